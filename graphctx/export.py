"""`export`: hands a program to the exporter that writes the format asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from graphctx.errors import ExportError, listing, suggest
from graphctx.graph import CallGraph
from graphctx.layer import Layer
from graphctx.program import Program, compile

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


class Exporter(Protocol):
    """What an entry point of the group `graphctx.exporters` refers to.

    Attributes:
        name: of the format.
        suffixes: of the files it writes.
        options: that `export` takes, by name.
        takes_graphs: whether it writes many programs of a graph: `export` is then given the graph
            itself, with `context` and `runtime` among the options.
    """

    name: str
    suffixes: tuple[str, ...]
    options: tuple[str, ...]
    takes_graphs: bool

    def export(self, program: Any, path: Any, **options: Any) -> Any:
        """Write a program; nothing is left behind if it fails."""

    def verify(self, path: Any, program: Program, **options: Any) -> Any:
        """Compare a file with the program it came from; raise `VerificationError`."""

    def context(self, path: Any) -> tuple[Mapping[str, Any], tuple[str, ...]]:
        """The assignment a file was exported for, and the arguments that it leaves to run time."""

    def runner(self, path: Any) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        """Load a file; return what runs it: inputs by name -> outputs by name."""


def exporters() -> dict[str, EntryPoint]:
    """Exporter name -> entry point, of all that are installed (group `graphctx.exporters`)."""
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group="graphctx.exporters")}


def exporter_for(path: Any, format: str | None = None) -> Exporter:
    """The exporter of a format, or of a file's suffix.

    Raises:
        ExportError: there is none, or it cannot be imported.
    """
    installed = exporters()
    if format is not None:
        if format not in installed:
            raise ExportError(
                f"no exporter {format!r}{suggest(str(format), installed)} "
                f"(installed: {listing(installed)})"
            )
        return _load(installed[format])
    path = as_path(path)
    suffix = path.suffix
    suffixes: list[str] = []
    for point in installed.values():
        exporter = _load(point)
        suffixes += exporter.suffixes
        if suffix in exporter.suffixes:
            return exporter
    raise ExportError(
        f"no exporter knows {f'{suffix!r} files' if suffix else 'files without a suffix'} "
        f"({path}); known: {listing(suffixes)}"
    )


def export(
    program: Program | CallGraph,
    path: Any,
    *,
    format: str | None = None,
    context: Mapping[str, Any] | None = None,
    runtime: Sequence[str] = (),
    **options: Any,
) -> Any:
    """Write a program in another format, checked and verified; or a graph, for many contexts.

    Args:
        program: to export; a graph is compiled first, with `context` and defaults, but for a
            bundle, which has its programs for all contexts.
        path: of the file; its suffix chooses the format: `.onnx`, `.bundle`.
        format: name of an exporter, instead of the suffix.
        context: for a graph: the assignment to compile it for.
        runtime: for a graph: names of context arguments to leave open.
        options: of the exporter; for ONNX see `graphctx_onnx.export`, for bundles
            `graphctx_onnx.export_bundle`.

    Returns:
        What the exporter returns.

    Raises:
        ExportError: neither a program nor a graph; no exporter for the suffix; an option that the
            exporter lacks; what cannot be exported; a failed verification. Nothing is left
            behind then.
    """
    if not isinstance(program, (Program, CallGraph)):
        raise no_program(program)
    if context is not None and not isinstance(context, Mapping):
        raise ExportError(f"context= is a dict such as {{'training': True}}, got {context!r}")
    if isinstance(program, Program) and (context or runtime):
        name = "context" if context else "runtime"
        raise ExportError(f"{name}= goes with a graph; this program is compiled already")
    exporter = exporter_for(as_path(path), format)
    graph = program if isinstance(program, CallGraph) else program.graph
    for name in options:
        if name not in exporter.options:
            raise _no_option(name, exporter, graph)
    if exporter.takes_graphs:
        if isinstance(program, Program):
            raise ExportError(
                f"a {exporter.name} holds the programs of many contexts, and this program is "
                f"compiled for one; export the traced graph"
            )
        return exporter.export(program, path, context=context, runtime=runtime, **options)
    if isinstance(program, CallGraph):
        program = compile(program, context, runtime=runtime)
    return exporter.export(program, path, **options)


def as_path(path: Any) -> Path:
    """The path of a file.

    Raises:
        ExportError: it is something else, or no path that a file can have.
    """
    if isinstance(path, os.PathLike):
        path = os.fspath(path)
    if not isinstance(path, str):
        hint = "; decode it with os.fsdecode" if isinstance(path, bytes) else ""
        raise ExportError(
            f"the path of a file is a str or a pathlib.Path, got {type(path).__name__}{hint}"
        )
    if "\0" in path:
        raise ExportError(f"{path!r}: no path of a file: it holds a zero character")
    return Path(path)


def no_program(found: Any) -> ExportError:
    """The error for what is neither a program nor a graph; says how to make one of it."""
    if isinstance(found, Layer):
        what = f"the layer {found.name!r}"
    elif isinstance(found, type):
        what = f"the class {found.__name__}"
    else:
        what = f"{found!r}" if isinstance(found, (str, os.PathLike)) else type(found).__name__
    return ExportError(
        f"expected a program or its graph, got {what}; trace and compile a model first: "
        f"gx.compile(gx.trace(model, gx.TensorSpec(...)))"
    )


def _no_option(name: str, exporter: Exporter, graph: CallGraph) -> ExportError:
    text = f"the exporter {exporter.name!r} has no option {name!r}"
    if name in graph.contexts:
        return ExportError(f"{text}; give a context argument as context={{{name!r}: ...}}")
    if name in graph.bound:
        return ExportError(
            f"{text}; this program is compiled already, and its context is chosen there: "
            f"gx.compile(graph, {name}=...)"
        )
    return ExportError(
        f"{text}{suggest(name, exporter.options)} (options: {listing(exporter.options)})"
    )


def _load(point: EntryPoint) -> Exporter:
    try:
        return point.load()  # type: ignore[no-any-return]
    except ImportError as error:
        raise ExportError(
            f"the exporter {point.name!r} cannot be imported: {error}; install it with "
            f"pip install 'graphctx[{point.name}]'"
        ) from error
