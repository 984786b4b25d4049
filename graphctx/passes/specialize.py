"""Partial evaluation: context known, tensors unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphctx.builder import Builder, rebuild
from graphctx.collector import paused
from graphctx.context import REQUIRED, UNSET, value_text
from graphctx.errors import ContextError, listing, suggest
from graphctx.executor.evaluate import Evaluator
from graphctx.graph import (
    CallGraph,
    ContextArgument,
    Contexts,
    Node,
    Outcome,
    Value,
    live_nodes,
    map_outcome,
    outcome_values,
    require_graph,
)
from graphctx.passes.prune import consistent, prune
from graphctx.passes.state import drop_kept_state
from graphctx.tree import same_static


def specialize(
    graph: CallGraph, context: Mapping[str, Any] | None = None, **values: Any
) -> CallGraph:
    """Bind context arguments to values and leave the rest open.

    Args:
        graph: to specialize.
        context: argument name -> value; for names that clash with parameters.
        values: the same as keywords. `None` means "not given": the argument stays open.

    Returns:
        The residual graph: nothing of the cases not taken is left in it, no node and no weight.

    Raises:
        ContextError: an unknown name, a value outside the domain, one that was not traced, or
            another value for an argument that is bound already.
    """
    require_graph(graph, "specialize")
    assignment: dict[str, Any] = {}
    for name, value in {**(context or {}), **values}.items():
        if value is not None:
            checked = check_value(graph, name, value)
            if name in graph.contexts:
                assignment[name] = checked
    return bind(graph, assignment) if assignment else prune(graph)


def check_value(graph: CallGraph, name: str, value: Any) -> Any:
    """The value as consumers see it; see `specialize` for the errors."""
    argument = graph.contexts.get(name)
    if argument is None:
        if name in graph.bound:
            if same_static(graph.bound[name], value):
                return value
            raise ContextError(
                f"{graph.name}: context argument {name!r} is already bound to "
                f"{graph.bound[name]!r}; specialize the traced graph instead"
            )
        if name in graph.unread:
            return value
        raise ContextError(
            f"{graph.name}: no layer reads a context argument {name!r}"
            f"{suggest(name, graph.contexts)} (open: {listing(graph.contexts)})"
        )
    if value is UNSET:
        if argument.default is REQUIRED:
            raise ContextError(
                f"{graph.name}: context argument {name!r} has no default; give it a value "
                f"({argument.domain})"
            )
        return value
    try:
        value = argument.domain.normalize(value)
        if argument.domain.kind == "int" and not -(2**63) <= value < 2**63:
            raise ValueError("out of range")
        if argument.enumerated and not any(same_static(value, case) for case in argument.cases):
            raise _not_traced(argument, value)
        return value
    except ContextError:
        raise
    except ValueError:
        domain = argument.domain
        allowed = ", ".join(map(repr, domain.values)) if domain.is_finite else str(domain)
        readers = ", ".join(dict.fromkeys(c.path for c in argument.consumers))
        raise ContextError(
            f"{graph.name}: context argument {name!r} got {value!r}; allowed: {allowed} "
            f"(read by {readers})"
        ) from None


def default_assignment(graph: CallGraph) -> dict[str, Any]:
    """The value of every open argument that nobody gives: its default, or `UNSET`.

    Raises:
        ContextError: an argument has no default.
    """
    return {name: default_of(graph, argument) for name, argument in graph.contexts.items()}


def default_of(graph: CallGraph, argument: ContextArgument) -> Any:
    """The default of one argument; see `default_assignment`."""
    if argument.default is REQUIRED:
        check_value(graph, argument.name, UNSET)
    return argument.default


@paused()
def bind(graph: CallGraph, assignment: Mapping[str, Any]) -> CallGraph:
    """The residual graph for checked values (`UNSET`: every consumer sees its own default)."""
    evaluator = Evaluator(assignment)
    outcome = evaluator.resolve(graph.outcome)
    builder = Builder()
    new: dict[Value, Value] = {}
    for node in _needed(outcome, evaluator):
        if node.kind == "select":
            taken = evaluator.taken(node)
            if taken is not None:
                new[node.output] = new[taken]
                continue
        if node.kind == "context":
            known = evaluator.evaluate(node.output)
            if known is not None:
                new[node.output] = builder.constant(known, node.call)
                continue
        operands = tuple(None if v is None else new[v] for v in node.operands)
        for old, value in zip(node.outputs, rebuild(node, operands, builder), strict=True):
            new[old] = value
    for value in graph.inputs:
        new.setdefault(value, value)
    bound = {**graph.bound, **assignment}
    residual = drop_kept_state(
        graph.replace(
            nodes=tuple(builder.nodes),
            outcome=map_outcome(outcome, new.__getitem__),
            contexts=Contexts({n: a for n, a in graph.contexts.items() if n not in assignment}),
            bound=bound,
            calls=tuple(call for call in graph.calls if consistent(call, bound)),
        )
    )
    return prune(residual)


def _not_traced(argument: ContextArgument, value: Any) -> ContextError:
    name, cases = argument.name, argument.cases
    traced = ", ".join(value_text(case) for case in cases if case is not UNSET)
    needed = ", ".join(repr(case) for case in (*cases, value) if case is not UNSET)
    why = "is opaque" if argument.enumerated == "its domain" else ""
    why = why or f"is asked for its Python value at {argument.enumerated}"
    return ContextError(
        f"context argument {name!r} {why}, so it was traced for {traced} only, not for {value!r}; "
        f"name the values you need: trace(..., domains={{{name!r}: [{needed}]}})"
    )


def _needed(outcome: Outcome, evaluator: Evaluator) -> list[Node]:
    """The nodes the outcome depends on; arms not taken are not entered."""

    def operands(node: Node) -> Sequence[Value | None]:
        taken = evaluator.taken(node) if node.kind == "select" else None
        return node.operands if taken is None else (taken,)

    return live_nodes(outcome_values(outcome), operands)
