"""graphctx: a graph compiler for models whose behaviour depends on context.

A model is traced once, for every context; `specialize` makes one graph per context; the result
runs with NumPy or is exported to ONNX. Start with `trace`, `compile`, `export`, `explain`.
"""

from __future__ import annotations

from graphctx import nn, ops, weights
from graphctx.context import Context, context, current_path, seed
from graphctx.cost import CostNote, cost_note
from graphctx.diff import diff
from graphctx.errors import (
    ContextError,
    DTypeError,
    ExportError,
    GraphctxError,
    InputError,
    LayerError,
    LoadError,
    ShapeError,
    TraceError,
    VerificationError,
    WeightsError,
)
from graphctx.explain import explain, summary
from graphctx.export import export
from graphctx.graph import CallGraph
from graphctx.layer import Layer, Variable
from graphctx.load import load
from graphctx.nn.functional import Input, Model
from graphctx.passes import optimize
from graphctx.passes.specialize import specialize
from graphctx.program import Program, compile
from graphctx.spec import Dim, OptionalType, SequenceType, TensorSpec
from graphctx.trace import trace
from graphctx.weights import load_weights

__version__ = "0.1.0"

__all__ = [
    "CallGraph",
    "Context",
    "ContextError",
    "CostNote",
    "DTypeError",
    "Dim",
    "ExportError",
    "GraphctxError",
    "Input",
    "InputError",
    "Layer",
    "LayerError",
    "LoadError",
    "Model",
    "OptionalType",
    "Program",
    "SequenceType",
    "ShapeError",
    "TensorSpec",
    "TraceError",
    "Variable",
    "VerificationError",
    "WeightsError",
    "__version__",
    "compile",
    "context",
    "cost_note",
    "current_path",
    "diff",
    "explain",
    "export",
    "load",
    "load_weights",
    "nn",
    "ops",
    "optimize",
    "seed",
    "specialize",
    "summary",
    "trace",
    "weights",
]
