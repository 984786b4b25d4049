"""Node-by-node evaluation: every intermediate value, for verification, folding and debugging.

Programs run generated code (`graphctx.executor.codegen`); this is the plain reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphctx.errors import GraphctxError
from graphctx.graph import CallGraph, Node, Value


def interpret(
    graph: CallGraph,
    feeds: Mapping[str, Any],
    *,
    seed: int = 0,
    state: Mapping[str, Any] | None = None,
    context: Mapping[str, Any] | None = None,
) -> dict[Value, Any]:
    """Evaluate every node of a graph.

    Args:
        graph: any graph; arguments that are still open are taken from `context`.
        feeds: input name -> array.
        seed: of the random operators.
        state: weight path -> array, instead of the variable's own value.
        context: argument name -> value; the argument's default where it is not given.

    Returns:
        The array (or context value, list of a sequence, None of an empty optional) of every value
        in the graph.
    """
    known: dict[Value, Any] = {}
    for node in graph.nodes:
        if node.kind == "input":
            is_seed = node.attrs.get("role") == "seed"
            known[node.output] = np.asarray(seed, np.int64) if is_seed else feeds[node.name]
        elif node.kind == "context":
            value = (context or {}).get(node.name, node.data.default)
            is_number = node.data.domain.is_numeric and isinstance(value, (int, float))
            known[node.output] = np.asarray(value, node.output.dtype) if is_number else value
        elif node.kind == "weight":
            given = state.get(node.name) if state else None
            known[node.output] = graph.array(node) if given is None else given
        elif node.kind == "constant":
            known[node.output] = node.data
        elif node.kind == "select":
            known[node.output] = known[picked(node, known[_selector(node)])]
        else:
            results = run_op(node, [None if v is None else known[v] for v in node.operands])
            known.update(zip(node.outputs, results, strict=True))
    return known


def _selector(node: Node) -> Value:
    value = node.operands[0]
    assert value is not None
    return value


def picked(node: Node, selected: Any) -> Value:
    """The arm of a select for a selector's value."""
    if isinstance(selected, (np.ndarray, np.generic)):
        selected = selected.item()
    for case, arm in node.arms():
        if type(case) is type(selected) and case == selected:
            return arm
    raise GraphctxError(f"select has no case for {selected!r}")


def run_op(node: Node, operands: list[Any]) -> tuple[Any, ...]:
    """Run one op's kernel; returns its outputs: tensors as arrays of the inferred dtypes."""
    assert node.op is not None
    result = node.op.kernel(*operands, **node.attrs)
    results = result if isinstance(result, tuple) else (result,)
    return tuple(
        np.asarray(array, dtype=value.dtype) if value.is_tensor else array
        for array, value in zip(results, node.outputs, strict=True)
    )
