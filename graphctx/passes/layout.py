"""Transposes that channels-last layers wrap around their operators meet and cancel.

A convolution works on [batch, channels, ...], so a channels-last layer is
`Transpose -> Conv -> Transpose back`. What stands between two such layers works on each element
alone, in any layout: the transpose sinks through it until it meets the next layer's, where the
two cancel.

Then the kernels: transposing one that is constant leaves it strided in memory as it was.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphctx.builder import Builder, rewrite
from graphctx.graph import CallGraph, Node, Value
from graphctx.passes.cse import merge_common
from graphctx.passes.prune import prune
from graphctx.passes.simplify import made_by, new, permutation, simplify
from graphctx.passes.uses import transformed
from graphctx.spec import Dim

# Operators that compute every element from the elements at the same place.
ELEMENTWISE = frozenset(
    {
        "Abs", "Acos", "Acosh", "Add", "And", "Asin", "Asinh", "Atan", "Atanh",
        "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "Cast", "Ceil", "Celu",
        "Clip", "Cos", "Cosh", "Div", "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu",
        "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity", "IsInf",
        "IsNaN", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Mean", "Min", "Mish",
        "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow", "Reciprocal", "Relu", "Round",
        "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt",
        "Sub", "Sum", "Swish", "Tan", "Tanh", "ThresholdedRelu", "Where", "Xor",
    }
)  # fmt: skip

REDUCTIONS = frozenset({"ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"})


def sink_transposes(graph: CallGraph) -> CallGraph:
    """Move transposes towards the outputs, where that leaves fewer of them; else change nothing."""
    before = _transposes(graph)
    if not before:
        return graph
    moved = prune(merge_common(simplify(rewrite(graph, _sink))))
    return moved if _transposes(moved) < before else graph


def lay_out_kernels(graph: CallGraph) -> CallGraph:
    """Put constant kernels of convolutions into memory in the order in which they are read.

    Every run would have to do it: measured, that takes twice as long as the convolution of 512
    channels of 14x14 pixels itself. The operators' bits do not depend on it.
    """

    def transform(
        node: Node, operands: tuple[Value | None, ...], builder: Builder
    ) -> Sequence[Value] | None:
        if node.kind != "op" or node.name not in ("Conv", "ConvTranspose"):
            return None
        x, kernel, *rest = operands
        array = None if kernel is None else kernel.constant
        if array is None or array.flags.c_contiguous:
            return None
        ordered = builder.constant(np.ascontiguousarray(array), node.call)
        return [new(node, builder, node.name, [x, ordered, *rest], **node.attrs)]

    return transformed(graph, transform)


def _transposes(graph: CallGraph) -> int:
    return sum(node.name == "Transpose" and node.kind == "op" for node in graph.nodes)


def _sink(
    node: Node, operands: tuple[Value | None, ...], builder: Builder
) -> Sequence[Value] | None:
    if node.kind == "select":
        return _through_select(node, operands, builder)
    if node.kind != "op" or len(node.outputs) != 1:
        return None
    if node.name in ELEMENTWISE:
        return _through_elementwise(node, operands, builder)
    if node.name in REDUCTIONS:
        return _through_reduction(node, operands, builder)
    if node.name == "Concat":
        return _through_concat(node, operands, builder)
    if node.name == "Pad":
        return _through_pad(node, operands, builder)
    return None


def _common_permutation(operands: Sequence[Value | None]) -> tuple[int, ...] | None:
    """The permutation of all operands that are transposes; None if there is none, or two."""
    found: tuple[int, ...] | None = None
    for value in operands:
        inner = made_by(value, "Transpose")
        if inner is not None:
            perm = permutation(inner, inner.output.rank)
            if found is not None and perm != found:
                return None
            found = perm
    return found


def _through_elementwise(
    node: Node, operands: Sequence[Value | None], builder: Builder
) -> Sequence[Value] | None:
    """`f(Transpose(x), Transpose(y), c) -> Transpose(f(x, y, c'))`."""
    perm = _common_permutation(operands)
    if perm is None or len(perm) != node.output.rank:
        return None
    found: list[Value | None] = []
    for value in operands:
        inner = made_by(value, "Transpose")
        if value is None or value.rank == 0:
            found.append(value)
        elif inner is not None:
            found.append(inner.operands[0])
        else:
            moved = _untransposed(node, value, perm, builder)
            if moved is None:
                return None
            found.append(moved)
    made = new(node, builder, node.name, found, **node.attrs)
    return [new(node, builder, "Transpose", [made], perm=perm)]


def _untransposed(
    node: Node, value: Value, perm: tuple[int, ...], builder: Builder
) -> Value | None:
    """The operand as it broadcasts before the transpose: one value a channel, or one in all."""
    padded = (1,) * (len(perm) - value.rank) + tuple(value.shape)
    shape = [0] * len(perm)
    for axis, source in enumerate(perm):
        dim = padded[axis]
        shape[source] = -1 if isinstance(dim, Dim) else int(dim)
    if sum(size != 1 for size in shape) > 1 or 0 in shape:
        return None  # a transpose of its own, or of nothing
    if value.constant is not None:
        return builder.constant(value.constant.reshape(shape), node.call)
    target = builder.constant(np.array(shape, np.int64))
    return new(node, builder, "Reshape", [value, target])


def _sources(operands: Sequence[Value | None]) -> list[Value] | None:
    """What is transposed, if every operand is a transpose."""
    found = []
    for value in operands:
        inner = made_by(value, "Transpose")
        if inner is None or inner.operands[0] is None:
            return None
        found.append(inner.operands[0])
    return found


def _through_select(
    node: Node, operands: Sequence[Value | None], builder: Builder
) -> Sequence[Value] | None:
    """`select {a: Transpose(x), b: Transpose(y)} -> Transpose(select {a: x, b: y})`."""
    selector, *arms = operands
    perm = _common_permutation(arms)
    sources = _sources(arms)
    if selector is None or perm is None or sources is None:
        return None
    made = builder.select(selector, node.attrs["cases"], sources, node.call, node.source)
    return [new(node, builder, "Transpose", [made], perm=perm)]


def _through_concat(
    node: Node, operands: Sequence[Value | None], builder: Builder
) -> Sequence[Value] | None:
    """`Concat(Transpose(x), Transpose(y)) -> Transpose(Concat(x, y))` along the moved axis."""
    perm = _common_permutation(operands)
    sources = _sources(operands)
    if perm is None or sources is None:
        return None
    made = new(node, builder, "Concat", sources, axis=perm[node.attrs["axis"]])
    return [new(node, builder, "Transpose", [made], perm=perm)]


def _through_pad(
    node: Node, operands: Sequence[Value | None], builder: Builder
) -> Sequence[Value] | None:
    """`Pad(Transpose(x), pads) -> Transpose(Pad(x, moved pads))`."""
    x, pads, *rest = operands
    inner = made_by(x, "Transpose")
    if inner is None or pads is None or pads.constant is None or len(rest) > 1:
        return None
    perm = permutation(inner, inner.output.rank)
    moved = np.empty((2, len(perm)), np.int64)
    moved[:, perm] = pads.constant.reshape(2, -1)
    counts = builder.constant(moved.reshape(-1), node.call)
    made = new(node, builder, "Pad", [inner.operands[0], counts, *rest], **node.attrs)
    return [new(node, builder, "Transpose", [made], perm=perm)]


def _through_reduction(
    node: Node, operands: Sequence[Value | None], builder: Builder
) -> Sequence[Value] | None:
    """`Reduce(Transpose(x), axes) -> Transpose(Reduce(x, moved axes))`."""
    inner = made_by(operands[0], "Transpose")
    axes = operands[1].constant if len(operands) > 1 and operands[1] is not None else None
    if inner is None or axes is None or axes.size == 0:
        return None
    x = inner.operands[0]
    assert x is not None
    perm = permutation(inner, x.rank)
    # In ascending order: equal reductions are then one node.
    reduced = sorted(perm[int(axis)] for axis in axes)
    moved = builder.constant(np.array(reduced, np.int64), node.call)
    made = new(node, builder, node.name, [x, moved], **node.attrs)
    if not node.attrs.get("keepdims", 1):
        kept = [axis for axis in range(x.rank) if axis not in reduced]
        perm = tuple(kept.index(axis) for axis in perm if axis in kept)
    if perm == tuple(range(len(perm))):
        return [made]
    return [new(node, builder, "Transpose", [made], perm=perm)]
