"""ONNX for graphctx: write programs as files and bundles, check, verify and read them.

Importing this package is cheap; onnx and onnxruntime are imported when a name is first used.
`Bundle`, and all of `graphctx_onnx.runtime`, needs NumPy and onnxruntime only.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphctx_onnx.bundle.adding import add_contexts
    from graphctx_onnx.bundle.comparison import verify_bundle
    from graphctx_onnx.bundle.export import ExportedBundle, export_bundle
    from graphctx_onnx.bundle.pruning import Pruned, prune_bundle
    from graphctx_onnx.entry import bundle_exporter, exporter, importer
    from graphctx_onnx.importing import load
    from graphctx_onnx.metadata import FileMetadata, read_metadata
    from graphctx_onnx.pipeline import Exported, export
    from graphctx_onnx.report import Report
    from graphctx_onnx.runtime import Bundle
    from graphctx_onnx.scoring import Scored, score
    from graphctx_onnx.verification import verify

_HOMES = {
    "Bundle": "runtime",
    "Exported": "pipeline",
    "ExportedBundle": "bundle.export",
    "FileMetadata": "metadata",
    "Pruned": "bundle.pruning",
    "Report": "report",
    "Scored": "scoring",
    "add_contexts": "bundle.adding",
    "bundle_exporter": "entry",
    "export": "pipeline",
    "export_bundle": "bundle.export",
    "exporter": "entry",
    "importer": "entry",
    "load": "importing",
    "prune_bundle": "bundle.pruning",
    "read_metadata": "metadata",
    "score": "scoring",
    "verify": "verification",
    "verify_bundle": "bundle.comparison",
}

__all__ = [
    "Bundle",
    "Exported",
    "ExportedBundle",
    "FileMetadata",
    "Pruned",
    "Report",
    "Scored",
    "add_contexts",
    "bundle_exporter",
    "export",
    "export_bundle",
    "exporter",
    "importer",
    "load",
    "prune_bundle",
    "read_metadata",
    "score",
    "verify",
    "verify_bundle",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
