"""Answers in words and tables: where a context value came from, what a graph consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphctx.context import GIVEN, REQUIRED, UNSET, value_text
from graphctx.errors import ContextError, listing, suggest
from graphctx.executor.evaluate import Evaluator
from graphctx.graph import Call, CallGraph, Resolution, require_graph
from graphctx.passes.specialize import check_value
from graphctx.spec import Dim, dtype_name, shape_text, size_of
from graphctx.tree import same_static


def explain(
    graph: CallGraph, path: str, arg: str, context: Mapping[str, Any] | None = None, **values: Any
) -> str:
    """Say in words where the value of one context argument at one layer came from.

    Args:
        graph: as `trace` returned it.
        path: of the layer or of one of its calls, `model/block_1/drop`.
        arg: name of the argument.
        context: values for arguments whose names clash with parameters.
        values: the assignment to explain; what is not given is open, so that its default holds.

    Returns:
        One line for every call of the layer and every way in which the value is decided there.

    Raises:
        ContextError: an unknown path, or an argument that the layer does not read.
    """
    require_graph(graph, "explain")
    assignment = {}
    for name, value in {**(context or {}), **values}.items():
        if value is not None:
            assignment[name] = check_value(graph, name, value)
    calls = [c for c in graph.calls if path in (c.path, c.layer_path)]
    if not calls:
        paths = [call.path for call in graph.calls]
        raise ContextError(
            f"{graph.name}: no layer call {path!r}{suggest(path, paths)}; the calls are "
            f"{', '.join(paths[:20])}{' ...' if len(paths) > 20 else ''}"
        )
    if not any(r.argument == arg for call in calls for r in call.resolutions):
        read = dict.fromkeys(r.argument for call in calls for r in call.resolutions)
        raise ContextError(
            f"{path}: the layer does not read {arg!r}{suggest(arg, read)} "
            f"(it reads {listing(read)})"
        )
    lines = []
    known = {**_defaults(graph), **graph.bound, **assignment}
    for call in calls:
        found = [
            r for r in call.resolutions if r.argument == arg and _holds(graph, r.conditions, known)
        ]
        if not found:
            conditions = " or ".join(_conditions_text(c) for c in call.conditions)
            lines.append(f"{call.path}: not called here; it is called when {conditions}")
        seen = set()
        for resolution in found:
            line = f"{call.path}: {_words(graph, call, resolution, assignment)}"
            if line not in seen:
                seen.add(line)
                lines.append(line)
    return "\n".join(lines)


def _defaults(graph: CallGraph) -> dict[str, Any]:
    """What an argument that is not given is, for conditions: its default, or not known."""
    return {
        name: argument.default
        for name, argument in graph.contexts.items()
        if argument.default is not REQUIRED
    }


def _holds(
    graph: CallGraph, conditions: tuple[tuple[str, Any], ...], known: Mapping[str, Any]
) -> bool:
    """Whether decisions made further out may have been made under the known values."""
    for name, case in conditions:
        predicate = graph.predicates.get(name)
        if predicate is not None:
            value = Evaluator(known).evaluate(predicate)
            if value is not None and bool(value) != case:
                return False
        elif name in known:
            given = known[name]
            held = given is not UNSET if case is GIVEN else same_static(given, case)
            if not held:
                return False
    return True


def _conditions_text(conditions: tuple[tuple[str, Any], ...]) -> str:
    return ", ".join(f"{name}={value_text(case)}" for name, case in conditions) or "always"


def _words(
    graph: CallGraph, call: Call, resolution: Resolution, assignment: Mapping[str, Any]
) -> str:
    name = resolution.argument
    if resolution.how == "explicit":
        return f"{name}={resolution.value}, given here, in this call ({resolution.source})"
    if resolution.how == "block":
        return (
            f"{name}={resolution.value}, from the `with gx.context(...)` block at "
            f"{resolution.source}"
        )
    if resolution.how == "inherited":
        return (
            f"{name}={resolution.value}, inherited from the call of {resolution.provider}, which "
            f"was given it at {resolution.source}"
        )
    root = call
    while root.parent is not None:
        root = root.parent
    if name in assignment:
        text = value_text(assignment[name])
        if call is root:
            return f"{name}={text}, given here, to the model"
        return f"{name}={text}, inherited from the call of {root.path}, to which you give it"
    if name in graph.bound and graph.bound[name] is not UNSET:
        text = value_text(graph.bound[name])
        return f"{name}={text}, which the graph was specialized for"
    argument = graph.contexts.get(name)
    default: Any = REQUIRED
    if argument is not None:
        default = next((c.default for c in argument.consumers if c.path == call.path), REQUIRED)
    if default is REQUIRED:
        return f"{name} has no default and no enclosing call or block gives it a value"
    return (
        f"{name}={value_text(default)}, the default in the signature of {call.layer}.call; no "
        f"enclosing call or block gives it a value"
    )


# -- summary --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One op of a summary.

    Attributes:
        op: operator name.
        path: of the layer call.
        shape: of the first output.
        dtype: of the first output.
        parameters: elements of the weights that are used here first.
        multiply_adds: an int, or a symbolic expression.
        bytes: of all outputs, an int or a symbolic expression.
    """

    op: str
    path: str
    shape: tuple[Any, ...]
    dtype: str
    parameters: int
    multiply_adds: Any
    bytes: Any


@dataclass(frozen=True)
class Summary:
    """Rows and totals of a graph; prints as a table."""

    title: str
    rows: tuple[Row, ...]
    parameters: int
    multiply_adds: Any
    bytes: Any
    weight_bytes: int = 0
    notes: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data; symbolic numbers as text."""

        def plain(value: Any) -> Any:
            return str(value) if isinstance(value, Dim) else value

        return {
            "title": self.title,
            "parameters": self.parameters,
            "weight_bytes": self.weight_bytes,
            "multiply_adds": plain(self.multiply_adds),
            "bytes": plain(self.bytes),
            "rows": [
                {
                    "op": row.op, "path": row.path, "shape": [plain(d) for d in row.shape],
                    "dtype": row.dtype, "parameters": row.parameters,
                    "multiply_adds": plain(row.multiply_adds), "bytes": plain(row.bytes),
                }
                for row in self.rows
            ],
        }  # fmt: skip

    def __rich__(self) -> Any:
        from rich import box
        from rich.table import Table

        table = Table(title=self.title, title_justify="left", show_footer=True, box=box.SIMPLE_HEAD)
        table.add_column("op", "total")
        table.add_column("layer path", overflow="fold")
        table.add_column("output")
        table.add_column("parameters", f"{self.parameters:,}", justify="right")
        table.add_column("multiply-adds", count_text(self.multiply_adds), justify="right")
        table.add_column("bytes", count_text(self.bytes), justify="right")
        for row in self.rows:
            table.add_row(
                row.op,
                row.path,
                f"{row.dtype}{shape_text(row.shape)}".replace("[", r"\["),
                f"{row.parameters:,}" if row.parameters else "",
                count_text(row.multiply_adds) if _nonzero(row.multiply_adds) else "",
                count_text(row.bytes),
            )
        return table

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=120, color_system=None)
        with console.capture() as capture:
            console.print(self)
        return capture.get()


def _nonzero(value: Any) -> bool:
    return isinstance(value, Dim) or bool(value)


def count_text(value: Any) -> str:
    """A count as it is printed: thousands separated, symbolic ones as they are."""
    return str(value) if isinstance(value, Dim) else f"{value:,}"


def summary(graph: CallGraph, title: str = "") -> Summary:
    """Op, layer path, shape, parameters, multiply-adds and bytes of every op of a graph."""
    require_graph(graph, "summary")
    rows = []
    seen: set[int] = set()
    weight_bytes = 0
    total_adds: Any = 0
    total_bytes: Any = 0
    for node in graph.nodes:
        if node.kind not in ("op", "select"):
            continue
        parameters = 0
        for operand in node.operands:
            if operand is None or id(operand.node) in seen:
                continue
            if operand.node.kind == "weight" or (
                operand.node.kind == "constant" and operand.node.data.size > 1
            ):
                seen.add(id(operand.node))
                parameters += int(operand.node.data.size)
                weight_bytes += int(operand.node.data.size * operand.dtype.itemsize)
        record = node.op
        adds = record.multiply_adds(node) if record and record.multiply_adds else 0
        size: Any = 0
        for value in node.outputs:
            itemsize = value.dtype.itemsize if value.dtype is not None else 8
            size = size + size_of(value.shape) * itemsize
        total_adds = total_adds + adds
        total_bytes = total_bytes + size
        first = node.output
        dtype = "any" if first.dtype is None else dtype_name(first.dtype)
        rows.append(Row(node.name, node.path, first.shape, dtype, parameters, adds, size))
    return Summary(
        title or f"{graph.name} ({graph.bound_text()})",
        tuple(rows),
        sum(row.parameters for row in rows),
        total_adds,
        total_bytes,
        weight_bytes,
    )
