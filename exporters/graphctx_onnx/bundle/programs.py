"""Which programs a bundle has: one for each class of assignments, equal ones merged.

The classes of a graph differ before optimization; programs that are equal after it are one. The
weights of programs are shared, or folded:

- *share*: a weight is computed with now only if all programs that use it do the same with it. So a
  transpose that every program begins with is stored as its result, once; a BatchNorm that only
  some programs could fold into the layer before it stays a node there, and the layer's kernel
  stays one.
- *fold*: each program is optimized alone, as `gx.compile` does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphctx.builder import Builder, rebuild
from graphctx.classes import Classes, ContextClass
from graphctx.errors import ExportError
from graphctx.graph import Branch, CallGraph, Contexts, Raises, Returns, Value
from graphctx.passes import (
    expand,
    fold_batch_norm,
    fold_constants,
    optimize,
    prune,
    same_graph,
)
from graphctx.passes.specialize import bind
from graphctx.program import Program
from graphctx.text import expression_text
from graphctx.tree import LEAF, Structure
from graphctx_onnx.convert import require_exportable
from graphctx_onnx.verification import Progress

SHARE, FOLD = "share", "fold"
ROUNDS = 6
"""How often weights are folded at most until nothing changes any more."""


@dataclass(frozen=True)
class Failure:
    """What the model raises."""

    type: str
    message: str
    source: str


@dataclass(frozen=True)
class Planned:
    """A class of the bundle.

    Attributes:
        found: the class; of all assignments whose programs are equal.
        optimized: what the file has to compute; None where the model raises.
        graph: the same with its weights shared or folded, to convert.
        failure: what the model raises, else None.
    """

    found: ContextClass
    optimized: CallGraph | None = None
    graph: CallGraph | None = None
    failure: Failure | None = None

    @property
    def program(self) -> Program:
        """A NumPy program, to compare the file with."""
        assert self.optimized is not None
        return Program(self.optimized)


def plan(
    classes: Classes,
    chosen: Sequence[ContextClass],
    weights: str,
    progress: Progress | None = None,
) -> list[Planned]:
    """Make the programs of some classes.

    Args:
        classes: of the traced graph.
        chosen: the classes to make.
        weights: `share` or `fold`.
        progress: told a stage, the steps done and the steps in all.

    Raises:
        ExportError: an argument that is left to run time decides what the model returns.
    """
    base = classes.graph.freeze()
    made: dict[Any, tuple[CallGraph | Failure, list[ContextClass]]] = {}
    builder = Builder(merge_calls=True)
    for index, found in enumerate(chosen):
        if progress is not None:
            progress("compiling", index, len(chosen))
        graph = bind(base, {n: v for n, v in found.assignment.items() if n in base.contexts})
        result: CallGraph | Failure
        if isinstance(graph.outcome, Raises):
            error = graph.outcome.error
            result = Failure(type(error).__name__, str(error), graph.outcome.source)
            key: Any = result
        else:
            _require_one_outcome(graph, found)
            result = _without_unread(optimize(graph, freeze=weights == FOLD))
            require_exportable(result)
            _require_tensors(result)
            key = _identity(result, builder)
        made.setdefault(key, (result, []))[1].append(found)
    results = [(result, classes.united(members)) for result, members in made.values()]
    graphs = [result for result, _ in results if isinstance(result, CallGraph)]
    converted = iter(fold_together(graphs) if weights == SHARE else graphs)
    return [
        Planned(found, failure=result)
        if isinstance(result, Failure)
        else Planned(found, result, next(converted))
        for result, found in results
    ]


def _require_tensors(graph: CallGraph) -> None:
    """Raise for a program that takes or returns a sequence or an optional.

    Raises:
        ExportError: names it.
    """
    for value in (*graph.inputs, *graph.outputs):
        if not value.is_tensor:
            raise ExportError(
                f"{graph.name}: programs of a bundle take and return tensors, and "
                f"{value.node.name!r} is {value.spec}; export it to a single .onnx file, or take "
                f"the tensors out of it"
            )


def _require_one_outcome(graph: CallGraph, found: ContextClass) -> None:
    if isinstance(graph.outcome, Branch):
        selector = graph.outcome.selector
        decides = selector.node.name if selector.node.kind == "context" else ""
        what = decides or expression_text(selector)
        name = decides or next(iter(graph.contexts))
        raise ExportError(
            f"{graph.name}: with {found.condition}, what the model returns depends on {what!r}, "
            f"which is left to run time, and an ONNX graph returns one thing; give it a value: "
            f"context={{{name!r}: ...}}"
        )


def _without_unread(graph: CallGraph) -> CallGraph:
    """The graph without open arguments on which nothing depends any more."""
    read = {node.name for node in graph.nodes if node.kind == "context"}
    kept = {name: argument for name, argument in graph.contexts.items() if name in read}
    return graph if len(kept) == len(graph.contexts) else graph.replace(contexts=Contexts(kept))


def _identity(graph: CallGraph, builder: Builder) -> Any:
    """What tells programs apart: equal ones become the same values in one builder."""
    outcome = graph.returns
    new = _adopted(graph, builder)
    returned = tuple(new[value] for value in outcome.values)
    state = tuple((path, new[value]) for path, (_, value) in outcome.state.items())
    return repr(outcome.structure), returned, state, tuple(graph.contexts)


def _adopted(graph: CallGraph, builder: Builder) -> dict[Value, Value]:
    """The values of a graph in a builder that has those of other graphs, too."""
    new: dict[Value, Value] = {}
    for node in graph.nodes:
        operands = tuple(None if v is None else new[v] for v in node.operands)
        for old, value in zip(node.outputs, rebuild(node, operands, builder), strict=True):
            new[old] = value
    return new


def fold_together(graphs: Sequence[CallGraph]) -> list[CallGraph]:
    """Compute with weights now, where all programs that use them do the same with them.

    The programs become one graph with the outputs of all, in which equal nodes are one. Folding
    computes with a weight only if nothing else uses it: in this graph, nothing in any program.

    Args:
        graphs: optimized, but for their weights.

    Returns:
        The programs, in ONNX's own operators.
    """
    if len(graphs) < 2:
        return [optimize(graph) for graph in graphs]
    builder = Builder(merge_calls=True)
    values: list[Value] = []
    state: dict[str, tuple[Any, Value]] = {}
    frozen: dict[Any, Any] = {}
    contexts: dict[str, Any] = {}
    inputs: dict[Value, None] = {}
    for index, graph in enumerate(graphs):
        graph = prune(fold_constants(expand(graph), freeze=False))
        new = _adopted(graph, builder)
        values += [new[value] for value in graph.returns.values]
        for path, (variable, value) in graph.returns.state.items():
            state[f"{index}:{path}"] = (variable, new[value])
        inputs.update((new[value], None) for value in graph.inputs)
        frozen.update(graph.frozen)
        contexts.update(graph.contexts)
    union = graphs[0].replace(
        nodes=tuple(builder.nodes),
        inputs=tuple(inputs),
        outcome=Returns(Structure("tuple", (LEAF,) * len(values)), tuple(values), state),
        contexts=Contexts(contexts),
        frozen=frozen,
    )
    for _ in range(ROUNDS):
        before, union = union, prune(fold_batch_norm(fold_constants(union)))
        if same_graph(before, union):
            break
    return _split(union, graphs)


def _split(union: CallGraph, graphs: Sequence[CallGraph]) -> list[CallGraph]:
    """The programs whose outputs a graph has one after the other."""
    found = []
    values = iter(union.returns.values)
    states = iter(union.returns.state.values())
    for graph in graphs:
        old = graph.returns
        outcome = Returns(
            old.structure,
            tuple(next(values) for _ in old.values),
            {path: next(states) for path in old.state},
        )
        found.append(prune(graph.replace(nodes=union.nodes, inputs=union.inputs, outcome=outcome)))
    return found
