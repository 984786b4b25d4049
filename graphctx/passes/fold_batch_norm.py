"""Batch normalization in inference mode is an affine map: fold it into the layer before it.

    scale * (y - mean) / sqrt(var + epsilon) + bias,  y = x @ kernel + offset
      = x @ (kernel * s) + ((offset - mean) * s + bias),  s = scale / sqrt(var + epsilon)

(Ioffe and Szegedy, "Batch Normalization", section 3.1.) The only pass that changes a result, by
rounding: the new kernel and offset are computed in float64 and rounded once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphctx.builder import Builder
from graphctx.graph import CallGraph, Node, Value
from graphctx.ops.table import TABLE
from graphctx.passes.simplify import new, permutation, replaces
from graphctx.passes.uses import state_variables, transformed, use_counts
from graphctx.spec import kind_of

LINEAR = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})

Array = np.ndarray[Any, Any]


def fold_batch_norm(graph: CallGraph, *, freeze: bool = True) -> CallGraph:
    """Fold inference-mode BatchNormalization into the Conv, Gemm or MatMul before it.

    Between the two may stand transposes (of a channels-last layer) and the addition of a constant
    a channel. Folded only if nothing else takes the values in between, the kernel is used here
    alone (a shared kernel stays shared), and the graph assigns none of the variables involved
    (without `freeze`: if there are none). One in training mode is never touched.
    """
    if not any(_normalizes(node) for node in graph.nodes):
        return graph
    counts = use_counts(graph)
    state = state_variables(graph)

    def known(value: Value | None) -> Array | None:
        if value is None or value.dtype is None or kind_of(value.dtype) != "f":
            return None
        if value.node.kind == "weight":
            fixed = freeze and id(value.node.data) not in state
            return _wide(graph.array(value.node)) if fixed else None
        return None if value.constant is None else _wide(value.constant)

    def transform(
        node: Node, operands: tuple[Value | None, ...], builder: Builder
    ) -> Sequence[Value] | None:
        if not _normalizes(node):
            return None
        parameters = [known(value) for value in operands[1:5]]
        if any(array is None for array in parameters):
            return None
        scale, bias, mean, variance = [array for array in parameters if array is not None]
        with np.errstate(all="ignore"):
            factor = scale / np.sqrt(variance + node.attrs.get("epsilon", 1e-5))
        old, made, axis = node.operands[0], operands[0], 1
        offset: Array = np.zeros(factor.shape)
        transposes: list[Node] = []
        while True:
            # Uses were counted in the old graph; a node that this pass has just made is not there.
            assert old is not None
            assert made is not None
            below = made.node
            if counts[old] != 1 or below.kind != "op" or below.name != old.node.name:
                return None
            if below.name in LINEAR:
                break
            slot = 0
            if below.name == "Transpose":
                transposes.append(below)
                axis = permutation(below, made.rank)[axis]
            elif below.name == "Add":
                slot = 0 if known(below.operands[1]) is not None else 1
                added = known(below.operands[1 - slot])
                through = below.operands[slot]
                if added is None or through is None or not replaces(through, below):
                    return None
                vector = per_channel(added, axis - made.rank, len(factor))
                if vector is None:
                    return None
                offset = offset + vector
            else:
                return None
            old, made = old.node.operands[slot], below.operands[slot]
        kernel = old.node.operands[1]
        if kernel is None or counts[kernel] != 1:
            return None
        folded = _linear(below, axis, known, factor, offset - mean, bias, builder)
        if folded is None:
            return None
        for transpose in reversed(transposes):
            folded = new(transpose, builder, "Transpose", [folded], **transpose.attrs)
        return [folded] if replaces(folded, node) else None

    return transformed(graph, transform)


def _normalizes(node: Node) -> bool:
    return (
        node.name == "BatchNormalization"
        and node.kind == "op"
        and len(node.outputs) == 1
        and not node.attrs.get("training_mode", 0)
    )


def _wide(array: Any) -> Array:
    return np.asarray(array, np.float64)


def per_channel(array: Array, axis: int, channels: int) -> Array | None:
    """What an operand adds to each channel; None where it differs within one.

    Args:
        array: broadcasts to a tensor that has its channels at `axis`.
        axis: counted from the end, negative.
        channels: their number.
    """
    if array.size == 1:
        return np.full(channels, array.reshape(-1)[0])
    if array.size != channels or -axis > array.ndim or array.shape[axis] != channels:
        return None
    return array.reshape(-1)


def _linear(
    node: Node,
    axis: int,
    known: Any,
    factor: Array,
    shift: Array,
    bias: Array,
    builder: Builder,
) -> Value | None:
    """The linear node with `y -> factor * (y + shift) + bias` folded in, or None."""
    x, kernel_value, *rest = node.operands
    kernel = known(kernel_value)
    if kernel is None or kernel_value is None:
        return None
    attrs = dict(node.attrs)
    channels = len(factor)
    offset: Array | None = np.zeros(channels)
    if rest and rest[0] is not None:
        given = known(rest[0])
        offset = None if given is None else per_channel(given, -1, channels)
    if offset is None:
        return None
    if node.name == "Gemm":
        offset = offset * attrs.pop("beta", 1.0)
    scaled = _scaled(node, kernel, axis, factor)
    if scaled is None:
        return None
    with np.errstate(all="ignore"):
        new_kernel = scaled.astype(kernel_value.dtype)
        new_bias = ((offset + shift) * factor + bias).astype(kernel_value.dtype)
    if not (np.isfinite(new_kernel).all() and np.isfinite(new_bias).all()):
        return None  # too large for the dtype once it is multiplied out
    operands = [x, builder.constant(new_kernel, node.call)]
    constant = builder.constant(new_bias, node.call)
    if node.name != "MatMul":
        operands.append(constant)
    made = builder.op(TABLE[node.name], operands, attrs, node.call, node.source)[0]
    return made if node.name != "MatMul" else new(node, builder, "Add", [made, constant])


def _scaled(node: Node, kernel: Array, axis: int, factor: Array) -> Array | None:
    """The kernel with every output channel multiplied by its factor, or None."""
    rank = node.output.rank
    if node.name == "MatMul":
        return kernel * factor if kernel.ndim == 2 and axis == rank - 1 else None
    if axis != 1:
        return None
    if node.name == "Gemm":
        return kernel * (factor[:, None] if node.attrs.get("transB", 0) else factor)
    if node.name == "Conv":
        return kernel * factor.reshape(-1, *[1] * (kernel.ndim - 1))
    # ConvTranspose: [inputs, outputs / group, ...], the inputs of each group in turn.
    groups = node.attrs.get("group", 1)
    grouped = kernel.reshape(groups, -1, *kernel.shape[1:])
    ones = [1] * (kernel.ndim - 2)
    return (grouped * factor.reshape(groups, 1, -1, *ones)).reshape(kernel.shape)
