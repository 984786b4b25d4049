"""Remove what the outcome does not need; put the rest into canonical order."""

from __future__ import annotations

from graphctx.graph import Call, CallGraph, live_nodes, outcome_values


def prune(graph: CallGraph) -> CallGraph:
    """Keep the nodes that the outcome depends on, and the inputs of the signature.

    The order is that of a depth-first walk from the outcome, so that equal graphs have equal
    texts. Layer calls stay listed: `explain` answers for calls that left no node, too.
    """
    nodes = live_nodes([*outcome_values(graph.outcome), *graph.inputs])
    return graph.replace(nodes=tuple(nodes))


def consistent(call: Call, bound: dict[str, object]) -> bool:
    """Whether a layer call can happen under the bound values."""
    return any(
        all(name not in bound or bound[name] == case for name, case in conditions)
        for conditions in call.conditions
    )
