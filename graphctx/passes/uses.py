"""What several passes ask of a graph: how often a value is used, and what is state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from graphctx.builder import Builder, rewrite
from graphctx.graph import Branch, CallGraph, Node, Outcome, Returns, Value, outcome_values

Transform = Callable[[Node, tuple[Value | None, ...], Builder], Sequence[Value] | None]


def use_counts(graph: CallGraph) -> Counter[Value]:
    """How many operand slots and outputs take each value."""
    counts: Counter[Value] = Counter()
    for node in graph.nodes:
        counts.update(v for v in node.operands if v is not None)
    counts.update(outcome_values(graph.outcome))
    return counts


def state_variables(graph: CallGraph) -> set[int]:
    """Ids of the variables that the graph assigns under any context."""
    return {id(variable) for variable in _assigned(graph.outcome)}


def _assigned(outcome: Outcome) -> list[object]:
    if isinstance(outcome, Returns):
        return [variable for variable, _ in outcome.state.values()]
    if isinstance(outcome, Branch):
        return [variable for _, inner in outcome.cases for variable in _assigned(inner)]
    return []


def transformed(graph: CallGraph, transform: Transform, *, merge_calls: bool = False) -> CallGraph:
    """`rewrite`, but the very same graph where it changed nothing.

    A fixpoint then shows by identity, and what the graph has cached stays.
    """
    after = rewrite(graph, transform, merge_calls=merge_calls)
    return graph if same_graph(graph, after) else after


def same_graph(a: CallGraph, b: CallGraph) -> bool:
    """Whether two graphs have the same nodes, in the same order, and return the same values."""
    if a is b:
        return True
    if len(a.nodes) != len(b.nodes) or any(
        x is not y for x, y in zip(a.nodes, b.nodes, strict=True)
    ):
        return False
    ours, theirs = list(outcome_values(a.outcome)), list(outcome_values(b.outcome))
    return len(ours) == len(theirs) and all(x is y for x, y in zip(ours, theirs, strict=True))
