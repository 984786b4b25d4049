"""The ONNX exporter of graphctx: write a program as an ONNX file, check it, verify it.

Importing this package is cheap; onnx and onnxruntime are imported when a name is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphctx_onnx.entry import exporter
    from graphctx_onnx.metadata import FileMetadata, read_metadata
    from graphctx_onnx.pipeline import Exported, export
    from graphctx_onnx.report import Report
    from graphctx_onnx.verification import verify

_HOMES = {
    "Exported": "pipeline",
    "FileMetadata": "metadata",
    "Report": "report",
    "export": "pipeline",
    "exporter": "entry",
    "read_metadata": "metadata",
    "verify": "verification",
}

__all__ = ["Exported", "FileMetadata", "Report", "export", "exporter", "read_metadata", "verify"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
