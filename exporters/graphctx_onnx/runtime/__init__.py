"""The runtime of bundles: what a serving machine needs, and no more.

It imports the standard library, NumPy and onnxruntime; neither graphctx nor onnx.
"""

from graphctx_onnx.runtime.bundle import Bundle
from graphctx_onnx.runtime.errors import (
    BundleError,
    ContextError,
    InputError,
    InvalidBundleError,
    ModelError,
    SessionError,
)
from graphctx_onnx.runtime.manifest import (
    Argument,
    ContextClass,
    Manifest,
    OutputType,
    Signature,
    StateType,
    TensorType,
)
from graphctx_onnx.runtime.parse import read_manifest
from graphctx_onnx.runtime.program import Program

__all__ = [
    "Argument",
    "Bundle",
    "BundleError",
    "ContextClass",
    "ContextError",
    "InputError",
    "InvalidBundleError",
    "Manifest",
    "ModelError",
    "OutputType",
    "Program",
    "SessionError",
    "Signature",
    "StateType",
    "TensorType",
    "read_manifest",
]
