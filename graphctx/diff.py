"""What differs between the programs of two assignments, layer by layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphctx.context import value_text
from graphctx.explain import Row, count_text, summary
from graphctx.graph import CallGraph, Node, require_graph
from graphctx.program import compile
from graphctx.text import attr_text, leaf_text


@dataclass(frozen=True)
class LayerDifference:
    """How one layer call differs between two programs.

    Attributes:
        path: of the layer call.
        ops: what each program computes there and the other does not: `Mul(0.5) float32[batch, 4]`.
        weights: paths of the weights that only one of them reads there.
        multiply_adds: of each; an int or a symbolic expression.
        bytes: of the outputs of each; likewise.
    """

    path: str
    ops: tuple[tuple[str, ...], tuple[str, ...]]
    weights: tuple[tuple[str, ...], tuple[str, ...]]
    multiply_adds: tuple[Any, Any]
    bytes: tuple[Any, Any]


@dataclass(frozen=True)
class Difference:
    """What `diff` found; prints as a table. It is false where the programs do the same.

    Attributes:
        titles: the two assignments, as text.
        layers: the layer calls that differ.
        parameters: elements of all weights of each program.
        multiply_adds: of each program.
        bytes: of all outputs of operators of each program.
        rewired: whether the same operators take other operands.
    """

    titles: tuple[str, str]
    layers: tuple[LayerDifference, ...]
    parameters: tuple[int, int]
    multiply_adds: tuple[Any, Any]
    bytes: tuple[Any, Any]
    rewired: bool

    def __bool__(self) -> bool:
        return bool(self.layers) or self.rewired

    def __rich__(self) -> Any:
        from rich import box
        from rich.table import Table

        if self.rewired:
            return f"{self.titles[0]} and {self.titles[1]} connect the same operators differently"
        if not self:
            return f"{self.titles[0]} and {self.titles[1]} are the same program"
        table = Table(
            title=f"a: {self.titles[0]}\nb: {self.titles[1]}",
            title_justify="left", show_footer=True, box=box.SIMPLE_HEAD,
        )  # fmt: skip
        table.add_column("layer path", "total", overflow="fold")
        for side, count in zip("ab", self.parameters, strict=True):
            table.add_column(f"only in {side}", f"{count:,} parameters", overflow="fold")
        table.add_column("multiply-adds", _change(self.multiply_adds), justify="right")
        table.add_column("bytes", _change(self.bytes), justify="right")
        for layer in self.layers:
            sides = [
                "\n".join([*ops, *(f"@{path}" for path in weights)]).replace("[", r"\[")
                for ops, weights in zip(layer.ops, layer.weights, strict=True)
            ]
            table.add_row(layer.path, *sides, _change(layer.multiply_adds), _change(layer.bytes))
        return table

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=120, color_system=None)
        with console.capture() as capture:
            console.print(self)
        return capture.get()


def _change(pair: tuple[Any, Any]) -> str:
    a, b = map(count_text, pair)
    return "" if a == b == "0" else a if a == b else f"{a} -> {b}"


def diff(graph: CallGraph, a: Mapping[str, Any], b: Mapping[str, Any]) -> Difference:
    """Compare the optimized programs of two assignments of one graph.

    Args:
        graph: as `trace` returned it.
        a: an assignment: context argument -> value; defaults for the rest.
        b: another one.

    Raises:
        ContextError: an unknown name or a value outside its domain.
        Exception: what the model itself raises under one of them.
    """
    require_graph(graph, "diff")
    graphs = [compile(graph, given).graph for given in (a, b)]
    found = [summary(one) for one in graphs]
    rows = [_by_path(one.rows) for one in found]
    operators = [_operators(one) for one in graphs]
    weights = [_weights(one) for one in graphs]
    layers = []
    for path in dict.fromkeys([*rows[0], *rows[1]]):
        ours, theirs = (side.get(path, []) for side in rows)
        texts = [side.get(path, Counter()) for side in operators]
        own = [side.get(path, Counter()) for side in weights]
        difference = LayerDifference(
            path,
            (_only(texts[0], texts[1]), _only(texts[1], texts[0])),
            (_only(own[0], own[1]), _only(own[1], own[0])),
            (_sum(r.multiply_adds for r in ours), _sum(r.multiply_adds for r in theirs)),
            (_sum(r.bytes for r in ours), _sum(r.bytes for r in theirs)),
        )
        if any(difference.ops) or any(difference.weights):
            layers.append(difference)
    titles = [
        ", ".join(f"{name}={value_text(value)}" for name, value in given.items()) or "defaults"
        for given in (a, b)
    ]
    return Difference(
        (titles[0], titles[1]),
        tuple(layers),
        (found[0].parameters, found[1].parameters),
        (found[0].multiply_adds, found[1].multiply_adds),
        (found[0].bytes, found[1].bytes),
        not layers and len({str(one).partition("\n")[2] for one in graphs}) > 1,
    )


def _by_path(rows: tuple[Row, ...]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.path, []).append(row)
    return found


def _weights(graph: CallGraph) -> dict[str, Counter[str]]:
    """Layer path -> the weights that its operators read."""
    found: dict[str, Counter[str]] = {}
    for node in graph.nodes:
        for operand in node.operands:
            if operand is not None and operand.node.kind == "weight":
                found.setdefault(node.path, Counter())[operand.node.name] = 1
    return found


def _operators(graph: CallGraph) -> dict[str, Counter[str]]:
    """Layer path -> what its operators are, and how often."""
    found: dict[str, Counter[str]] = {}
    for node in graph.nodes:
        if node.kind == "op":
            found.setdefault(node.path, Counter())[_text(node)] += 1
    return found


def _text(node: Node) -> str:
    """Operator, numbers it takes, attributes and type of the first output."""
    parts = [
        leaf_text(v.node)
        for v in node.operands
        if v is not None and v.constant is not None and v.constant.size == 1
    ]
    parts += [
        f"{name}={attr_text(value)}"
        for name, value in sorted(node.attrs.items())
        if name != "key"  # of a random operator: follows from its place
    ]
    inside = f"({', '.join(parts)})" if parts else ""
    return f"{node.name}{inside} {node.output.spec}"


def _only(a: Mapping[str, int], b: Mapping[str, int]) -> tuple[str, ...]:
    """What a has more often than b, each with its number."""
    more = {text: count - b.get(text, 0) for text, count in a.items()}
    return tuple(
        f"{count} x {text}" if count > 1 else text for text, count in more.items() if count > 0
    )


def _sum(values: Any) -> Any:
    total: Any = 0
    for value in values:
        total = total + value
    return total
