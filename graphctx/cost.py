"""What it costs to leave context to run time, counted on the programs: no measurement, no guess."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphctx.context import REQUIRED, value_text
from graphctx.explain import count_text, summary
from graphctx.graph import CallGraph, require_graph
from graphctx.passes import optimize
from graphctx.passes.specialize import bind
from graphctx.program import compile
from graphctx.regions import Choice, Region, partition

MOST_ROWS = 32
"""Classes that are compared; each is a program to make."""


@dataclass(frozen=True)
class CostRow:
    """One class of the values that are left open; each pair is (left open, bound).

    Attributes:
        condition: of the class.
        nodes: operators that run.
        multiply_adds: of these; ints, or symbolic expressions.
        weight_bytes: of the weights that are kept.
    """

    condition: str
    nodes: tuple[int, int]
    multiply_adds: tuple[Any, Any]
    weight_bytes: tuple[int, int]


@dataclass(frozen=True)
class CostNote:
    """What `cost_note` found; prints as a table.

    Attributes:
        runtime: names of the arguments that are left open.
        choices: that the program makes in each run: `If`s, in an ONNX file.
        nodes: operators of the program, of which each run needs some.
        weight_bytes: of the weights of the program.
        rows: a class of values each.
        more: classes that are not compared.
    """

    runtime: tuple[str, ...]
    choices: int
    nodes: int
    weight_bytes: int
    rows: tuple[CostRow, ...]
    more: int

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data; symbolic numbers as text."""

        def plain(value: Any) -> Any:
            return value if isinstance(value, int) else str(value)

        return {
            "runtime": list(self.runtime),
            "choices": self.choices,
            "nodes": self.nodes,
            "weight_bytes": self.weight_bytes,
            "more": self.more,
            "rows": [
                {
                    "condition": row.condition,
                    **{
                        name: {"open": plain(pair[0]), "bound": plain(pair[1])}
                        for name, pair in (
                            ("nodes", row.nodes),
                            ("multiply_adds", row.multiply_adds),
                            ("weight_bytes", row.weight_bytes),
                        )
                    },
                }
                for row in self.rows
            ],
        }

    def __rich__(self) -> Any:
        from rich import box
        from rich.table import Table

        many = "s" * (self.choices != 1)
        title = (
            f"{', '.join(self.runtime)} left to run time: {self.nodes} operators, "
            f"{self.choices} choice{many} a run\nleft open -> bound"
        )
        if self.more:
            title += f"; {self.more} more classes are not compared"
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
        table.add_column("bound to", overflow="fold")
        for column in ("operators that run", "multiply-adds", "bytes of weights"):
            table.add_column(column, justify="right")
        for row in self.rows:
            pairs = (row.nodes, row.multiply_adds, row.weight_bytes)
            table.add_row(row.condition, *(_change(pair) for pair in pairs))
        return table

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=120, color_system=None)
        with console.capture() as capture:
            console.print(self)
        return capture.get()


def _change(pair: tuple[Any, Any]) -> str:
    left, bound = map(count_text, pair)
    return left if left == bound else f"{left} -> {bound}"


def cost_note(
    graph: CallGraph,
    context: Mapping[str, Any] | None = None,
    *,
    runtime: Sequence[str],
    **values: Any,
) -> CostNote:
    """Count what a program with arguments left to run time has, does and keeps beyond bound ones.

    A choice runs the arm that is taken alone, so a run of the open program costs what its class
    needs; what binding saves beyond that are the choices, the optimizations across them (a
    BatchNorm folded into the layer before it, a product with a known number), and the weights of
    the other arms.

    Args:
        graph: as `trace` returned it.
        context: values for arguments whose names clash with parameters.
        runtime: names of the arguments to leave open. Numbers among them are compared at their
            defaults.
        values: context values; arguments neither given nor in `runtime` have their defaults.

    Raises:
        ContextError: as `compile` raises it.
    """
    require_graph(graph, "cost_note")
    program = compile(graph, context, runtime=runtime, **values)
    runtime = tuple(dict.fromkeys(runtime))
    residual = bind(graph, program.graph.bound)
    numbers = {
        name: argument.default
        for name, argument in residual.contexts.items()
        if argument.domain.is_numeric and argument.default is not REQUIRED
    }
    classes = residual.classes()
    totals = summary(program.graph)
    rows = []
    for found in itertools.islice(classes, MOST_ROWS):
        chosen = {**found.assignment, **numbers}
        left = summary(bind(program.graph, chosen))
        bound = summary(optimize(bind(residual, chosen).freeze()))
        texts = [found.condition] if classes.arguments else []
        texts += [f"{name}={value_text(value)}" for name, value in numbers.items()]
        rows.append(
            CostRow(
                " & ".join(texts),
                (len(left.rows), len(bound.rows)),
                (left.multiply_adds, bound.multiply_adds),
                (totals.weight_bytes, bound.weight_bytes),
            )
        )
    returns = program.graph.returns
    results = [*returns.values, *(value for _, value in returns.state.values())]
    return CostNote(
        runtime,
        _choices(partition(results)),
        sum(row.op != "select" for row in totals.rows),
        totals.weight_bytes,
        tuple(rows),
        max(0, len(classes) - MOST_ROWS),
    )


def _choices(region: Region) -> int:
    """The choices of a region, and of those in it."""
    return sum(
        1 + _choices(step.taken) + _choices(step.otherwise)
        for step in region.steps
        if isinstance(step, Choice)
    )
