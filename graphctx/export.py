"""`export`: hands a program to the exporter that writes the format asked for."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from graphctx.errors import ExportError, listing
from graphctx.graph import CallGraph
from graphctx.program import Program, compile


def exporters() -> dict[str, EntryPoint]:
    """Exporter name -> entry point, of all that are installed (group `graphctx.exporters`)."""
    return {point.name: point for point in entry_points(group="graphctx.exporters")}


def export(program: Program | CallGraph, path: Any, *, format: str | None = None,
           context: dict[str, Any] | None = None, **options: Any) -> Any:  # fmt: skip
    """Write a program in another format, checked and verified.

    Args:
        program: to export; a graph is compiled first, with `context` and defaults.
        path: of the file; its suffix chooses the format.
        format: name of an exporter, instead of the suffix.
        context: for a graph: the assignment to compile it for.
        options: of the exporter; for ONNX see `graphctx_onnx.export`.

    Returns:
        What the exporter returns.

    Raises:
        ExportError: no exporter for the suffix; what cannot be exported; a failed verification.
            Nothing is left behind then.
    """
    if isinstance(program, CallGraph):
        program = compile(program, context)
    elif context:
        raise ExportError("context= goes with a graph; this program is compiled already")
    installed = exporters()
    if format is not None:
        if format not in installed:
            raise ExportError(f"no exporter {format!r} (installed: {listing(installed)})")
        return _load(installed[format]).export(program, path, **options)
    suffix = Path(path).suffix
    suffixes = []
    for point in installed.values():
        exporter = _load(point)
        suffixes += exporter.suffixes
        if suffix in exporter.suffixes:
            return exporter.export(program, path, **options)
    raise ExportError(
        f"no exporter writes {suffix or 'files without a suffix'!r} ({path}); "
        f"known: {listing(suffixes)}"
    )


def _load(point: EntryPoint) -> Any:
    try:
        return point.load()
    except ImportError as error:
        raise ExportError(
            f"the exporter {point.name!r} cannot be imported: {error}; install it with "
            f"pip install 'graphctx[{point.name}]'"
        ) from error
