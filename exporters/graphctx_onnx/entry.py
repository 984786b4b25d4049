"""The object that graphctx finds by its entry point (group `graphctx.exporters`, name `onnx`)."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, Any

from graphctx.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from graphctx_onnx.pipeline import Exported
    from graphctx_onnx.report import Report


class OnnxExporter:
    """Writes programs as ONNX files.

    Attributes:
        name: `gx.export(..., format="onnx")`.
        suffixes: of the paths that ask for it.
        options: that `export` takes.
    """

    name = "onnx"
    suffixes = (".onnx",)
    options = (
        "opset", "verify", "inputs", "sizes", "external_threshold", "rtol", "atol", "progress",
    )  # fmt: skip

    def export(self, program: Any, path: str | os.PathLike[str], **options: Any) -> Exported:
        """Write a program; see `graphctx_onnx.export`."""
        _require_onnx()
        from graphctx_onnx.pipeline import export

        return export(program, path, **options)

    def verify(self, path: str | os.PathLike[str], program: Any, **options: Any) -> Report:
        """Compare a file with its program; see `graphctx_onnx.verify`."""
        _require_onnx()
        from graphctx_onnx.verification import verify

        return verify(path, program, **options)

    def context(self, path: str | os.PathLike[str]) -> tuple[Mapping[str, Any], tuple[str, ...]]:
        """The assignment a file was exported for, and the arguments that it leaves to run time."""
        _require_onnx()
        from graphctx_onnx.metadata import read_metadata

        found = read_metadata(path)
        return found.assignment, tuple(port["argument"] for port in found.signature["contexts"])

    def runner(self, path: str | os.PathLike[str]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        """Load a file into onnxruntime, optimizations on; return what runs it."""
        _require_onnx()
        from graphctx_onnx import sessions

        session = sessions.open_session(path, "on")
        names = [output.name for output in session.get_outputs()]
        return lambda feeds: sessions.run(session, names, feeds)


def _require_onnx() -> None:
    """Say what to install where the libraries of the exporter are missing."""
    for name in ("onnx", "onnxruntime"):
        if importlib.util.find_spec(name) is None:
            raise ExportError(
                f"the ONNX exporter needs {name}, which is not installed: "
                f"pip install 'graphctx[onnx]'"
            )


exporter = OnnxExporter()
