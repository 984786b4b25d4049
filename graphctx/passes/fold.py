"""Constant folding: whatever is known while compiling is computed while compiling.

The bound: folding one node adds at most `SMALL` bytes to the constants and weights of a graph.
A result of at most `SMALL` bytes is always folded; a larger one only if it is not larger than
the operands that this node alone uses, for those leave the graph. So a small graph never blows
up into big constants: ConstantOfShape, Expand, Tile and Range of big shapes stay nodes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphctx.body import bodies_of
from graphctx.builder import Builder
from graphctx.executor.interpret import run_op
from graphctx.graph import CallGraph, Node, Value
from graphctx.passes.uses import state_variables, transformed, use_counts
from graphctx.spec import Dim, is_static

SMALL = 1024
"""Bytes a constant may have whatever it is computed from: a vector of 256 floats."""

# What these compute is not a function of their operands.
RANDOM = frozenset(
    {
        "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
        "RandomUniformLike",
    }
)  # fmt: skip


def fold_constants(graph: CallGraph, *, freeze: bool = True) -> CallGraph:
    """Replace op nodes whose operands are all known by constants, within the module's bound.

    Known are constants, the sizes of static shapes, and (if `freeze`) a weight that this graph
    neither assigns nor uses anywhere else: a tied weight stays one weight. A kernel that raises
    keeps its node, and raises when the program runs.
    """
    counts = use_counts(graph)
    state = state_variables(graph)

    def transform(
        node: Node, operands: tuple[Value | None, ...], builder: Builder
    ) -> Sequence[Value] | None:
        if node.kind != "op" or not all(value.is_tensor for value in node.outputs):
            return None
        known = known_elements(node)
        if known is not None:
            return [builder.constant(known, node.call)]
        for value in operands:
            if value is not None and value.node.kind not in ("constant", "weight"):
                return None
        if not is_pure(node) or not fits(node, operands):
            return None
        arrays: list[Any] = []
        for old, value in zip(node.operands, operands, strict=True):
            if value is not None and value.node.kind == "weight":
                if not freeze or not sole(node, old) or id(value.node.data) in state:
                    return None
                arrays.append(graph.array(value.node))
            else:
                arrays.append(None if value is None else value.node.data)
        results = evaluate(node, arrays)
        if results is None:
            return None
        return [builder.constant(array, node.call) for array in results]

    def sole(node: Node, operand: Value | None) -> bool:
        return operand is not None and counts[operand] == node.operands.count(operand)

    def fits(node: Node, operands: tuple[Value | None, ...]) -> bool:
        size = sum(map(byte_size, node.outputs))
        if size <= SMALL:
            return True
        freed = 0.0
        for old, value in dict(zip(node.operands, operands, strict=True)).items():
            if value is not None and sole(node, old):
                freed += byte_size(value)
        return size <= freed

    return transformed(graph, transform)


def known_elements(node: Node) -> np.ndarray[Any, Any] | None:
    """The output of a node whose elements follow from static shapes, else None."""
    if len(node.outputs) != 1:
        return None
    output = node.output
    dims = output.dims
    if dims is None and node.name == "Size":
        of = node.operands[0]
        if of is not None and is_static(of.shape):
            dims = (math.prod(map(int, of.shape)),)
    if dims is None or not is_static(output.shape) or any(isinstance(d, Dim) for d in dims):
        return None
    return np.array(dims, output.dtype).reshape([int(d) for d in output.shape])


def is_pure(node: Node) -> bool:
    """Whether the node computes the same from the same operands, and soon.

    A source without any does not; control flow may draw numbers, and a loop take its time.
    """
    return (
        bool(node.operands)
        and not bodies_of(node)
        and node.name not in RANDOM
        and "key" not in node.attrs
        and "seed" not in node.attrs
    )


def byte_size(value: Value) -> float:
    """Bytes of a value; infinite where its shape is not static."""
    if value.dtype is None or not is_static(value.shape):
        return math.inf
    return math.prod(map(int, value.shape)) * int(value.dtype.itemsize)


def evaluate(node: Node, arrays: list[Any]) -> list[np.ndarray[Any, Any]] | None:
    """The node's outputs; None if the kernel raises or makes another shape than inferred."""
    try:
        with np.errstate(all="ignore"):
            results = run_op(node, arrays)
    except Exception:
        return None  # it raises when the program runs, where the user sees it
    for array, value in zip(results, node.outputs, strict=True):
        if array.shape != tuple(value.shape):
            return None
    return [frozen(array) for array in results]


def frozen(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The array if nobody can write to it, else a copy nobody can write to.

    A view of all of a weight, which never changes, is as good as a copy. A copy's memory layout is
    that of the result (a transpose stays strided as it was), because BLAS and NumPy's reductions
    sum in the order of the layout: folding must not change a bit.
    """
    if not array.flags.writeable and (array.base is None or array.base.size == array.size):
        return array
    copy = array.copy(order="K")
    copy.flags.writeable = False
    return copy
