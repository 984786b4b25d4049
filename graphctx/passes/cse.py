"""Common subexpressions become one node, whichever layer calls they stand in."""

from __future__ import annotations

from graphctx.graph import CallGraph
from graphctx.passes.uses import transformed


def merge_common(graph: CallGraph) -> CallGraph:
    """Merge op nodes that apply one operator with equal attributes to the same operands.

    The tracer has merged them within each layer call already; this merges them across calls, so
    the first call's path and source line stay. Random operators differ by their key attribute:
    they are different nodes by construction.
    """
    return transformed(graph, lambda node, operands, builder: None, merge_calls=True)
