"""What graphctx makes of a case: the model is imported, compiled and run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from onnx import ModelProto

import graphctx as gx


def graphctx(model: ModelProto, inputs: Sequence[Any]) -> list[Any]:
    """Run a model as a compiled program; random numbers are those of the seed 0."""
    return outputs_of(model, gx.compile(gx.load(model))(*inputs, seed=0))


def outputs_of(model: ModelProto, result: Mapping[str, Any]) -> list[Any]:
    """The outputs of a program in the order of the model."""
    return [result[output.name] for output in model.graph.output]
