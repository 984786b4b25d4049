"""The object that graphctx finds by its entry point (group `graphctx.exporters`, name `onnx`)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphctx_onnx.pipeline import Exported


class OnnxExporter:
    """Writes programs as ONNX files.

    Attributes:
        name: `gx.export(..., format="onnx")`.
        suffixes: of the paths that ask for it.
    """

    name = "onnx"
    suffixes = (".onnx",)

    def export(self, program: Any, path: str | os.PathLike[str], **options: Any) -> Exported:
        """Write a program; see `graphctx_onnx.export`."""
        from graphctx_onnx.pipeline import export

        return export(program, path, **options)


exporter = OnnxExporter()
