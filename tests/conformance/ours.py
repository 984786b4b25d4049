"""What graphctx makes of a case: the model is imported, compiled and run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnx import ModelProto

import graphctx as gx


def graphctx(model: ModelProto, inputs: Sequence[Any]) -> list[Any]:
    """Run a model as a compiled program; random numbers are those of the seed 0."""
    program = gx.compile(gx.load(model))
    result = program(*inputs, seed=0)
    return [result[output.name] for output in model.graph.output]
