"""Reads ONNX files into call graphs; `graphctx.load` uses it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphctx.collector import paused
from graphctx.context import Domain
from graphctx.graph import CallGraph
from graphctx_onnx.importing.conversion import Conversion
from graphctx_onnx.importing.files import read


@paused()
def load(
    source: Any,
    *,
    contexts: Mapping[str, Domain | None] | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> CallGraph:
    """Read a model: a path, bytes, or an `onnx.ModelProto`; see `graphctx.load`."""
    return Conversion(read(source), contexts or {}, inputs or {}).run()
