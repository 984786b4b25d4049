"""`export`: hands a program to the exporter that writes the format asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from graphctx.errors import ExportError, listing
from graphctx.graph import CallGraph
from graphctx.program import Program, compile

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


class Exporter(Protocol):
    """What an entry point of the group `graphctx.exporters` refers to.

    Attributes:
        name: of the format.
        suffixes: of the files it writes.
    """

    name: str
    suffixes: tuple[str, ...]

    def export(self, program: Program, path: Any, **options: Any) -> Any:
        """Write a program; nothing is left behind if it fails."""

    def verify(self, path: Any, program: Program, **options: Any) -> Any:
        """Compare a file with the program it came from; raise `VerificationError`."""

    def assignment(self, path: Any) -> Mapping[str, Any]:
        """The context a file was exported for, as its metadata has it."""

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
            raise ExportError(f"no exporter {format!r} (installed: {listing(installed)})")
        return _load(installed[format])
    suffix = Path(path).suffix
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
    **options: Any,
) -> Any:
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
    return exporter_for(path, format).export(program, path, **options)


def _load(point: EntryPoint) -> Exporter:
    try:
        return point.load()  # type: ignore[no-any-return]
    except ImportError as error:
        raise ExportError(
            f"the exporter {point.name!r} cannot be imported: {error}; install it with "
            f"pip install 'graphctx[{point.name}]'"
        ) from error
