"""Passes: pure functions from call graph to call graph, one a file, and their order."""

from __future__ import annotations

from graphctx.collector import paused
from graphctx.graph import CallGraph
from graphctx.passes.bodies import map_bodies, simplify_bodies
from graphctx.passes.check import check
from graphctx.passes.cse import merge_common
from graphctx.passes.expand import expand
from graphctx.passes.fold import fold_constants
from graphctx.passes.fold_batch_norm import fold_batch_norm
from graphctx.passes.fold_padding import fold_padding
from graphctx.passes.layout import lay_out_kernels, sink_transposes
from graphctx.passes.prune import prune
from graphctx.passes.simplify import simplify
from graphctx.passes.specialize import specialize
from graphctx.passes.state import drop_kept_state
from graphctx.passes.uses import same_graph

ROUNDS = 6
"""How often the passes run at most; one round is enough for most graphs, a second one sees it."""


@paused()
def optimize(graph: CallGraph, *, freeze: bool = True) -> CallGraph:
    """Make a graph smaller without changing what it computes.

    Bit for bit, but for the rounding of `fold_batch_norm`. The passes run until nothing changes
    any more, at most `ROUNDS` times, so that the cost is linear in the size of the graph.

    Args:
        graph: with or without open context arguments.
        freeze: whether weights may be computed with now, and so become constants. Without it
            every weight stays a node: for programs that run with other weights than today's.
    """
    for _ in range(ROUNDS):
        before = graph = settle(graph, freeze=freeze)
        graph = sink_transposes(graph)
        if graph is before:
            break
    return lay_out_kernels(graph)


def settle(graph: CallGraph, *, freeze: bool = True) -> CallGraph:
    """Run the passes that look at a few nodes at a time until nothing changes any more."""
    graph = prune(graph)
    for _ in range(ROUNDS):
        before = graph
        # Known values first, as they make identities; then one node for equal ones, so that
        # what is used once is seen to be.
        graph = merge_common(simplify(fold_constants(graph, freeze=freeze)))
        graph = fold_padding(fold_batch_norm(drop_kept_state(graph), freeze=freeze))
        graph = prune(map_bodies(simplify_bodies(graph), settle))
        if same_graph(before, graph):
            break
    return graph


__all__ = [
    "ROUNDS",
    "check",
    "drop_kept_state",
    "expand",
    "fold_batch_norm",
    "fold_constants",
    "fold_padding",
    "lay_out_kernels",
    "map_bodies",
    "merge_common",
    "optimize",
    "prune",
    "same_graph",
    "settle",
    "simplify",
    "simplify_bodies",
    "sink_transposes",
    "specialize",
]
