"""onnxruntime sessions, quiet and on the CPU."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime

from graphctx.errors import ExportError
from graphctx.spec import is_extended
from graphctx_onnx.metadata import SOURCE, load
from graphctx_onnx.names import sentence
from graphctx_onnx.tensors import (
    DTYPES,
    ELEMENT_TYPES,
    byte_size,
    flat_bytes,
    from_bytes,
    type_text,
)

OFF = "off"
ON = "on"
LEVELS = {
    OFF: onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    ON: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
"""Name of an optimization level, as reports print it -> onnxruntime's."""


class RefusedError(ExportError):
    """onnxruntime does not load a model, or does not run it on these inputs."""


_SILENT = 4  # only fatal errors; all others are raised as well


def open_session(
    path: str | os.PathLike[str], level: str, *, join_quantized: bool = True
) -> onnxruntime.InferenceSession:
    """Load a model.

    Args:
        path: of the file.
        level: of optimization.
        join_quantized: whether the optimizer may make one operator on integers of a float operator
            between QuantizeLinear and DequantizeLinear, which rounds otherwise.

    Raises:
        RefusedError: gives onnxruntime's message, the node, and what to do.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = LEVELS[level]
    options.log_severity_level = _SILENT
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not join_quantized:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    try:
        return onnxruntime.InferenceSession(
            os.fspath(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        advice = "export with verify=False if another runtime takes it"
        raise _refused(path, error, advice) from error


def run(
    session: onnxruntime.InferenceSession, names: Sequence[str], feeds: Mapping[str, Any]
) -> dict[str, Any]:
    """Run a model; returns output name -> array; a list of them for a sequence.

    Raises:
        RefusedError: gives onnxruntime's message and the node.
    """
    feeds = {name: _fed(value) for name, value in feeds.items()}
    ports = [*session.get_inputs(), *session.get_outputs()]
    try:
        if any(port.type in _EXTENDED for port in ports):
            values = {name: _value(array) for name, array in feeds.items()}
            found = session.run_with_ort_values(list(names), values)
            return dict(zip(names, map(_array, found), strict=True))
        return dict(zip(names, session.run(list(names), feeds), strict=True))
    except Exception as error:
        advice = (
            "if the model takes only some sizes or inputs, name them: sizes={...} or inputs=..."
        )
        raise _refused(session._model_path, error, advice) from error


def _fed(value: Any) -> Any:
    """A value as onnxruntime takes it: an array, a list of them, or None."""
    if isinstance(value, list):
        return [np.asarray(array, order="C") for array in value]
    return None if value is None else np.asarray(value, order="C")


_EXTENDED = {type_text(dtype): dtype for dtype in DTYPES.values() if is_extended(dtype)}
"""Types that onnxruntime does not make arrays of -> dtype."""


def _value(array: Any) -> onnxruntime.OrtValue:
    """An array as onnxruntime's value: those of ml_dtypes by their bytes."""
    if not is_extended(array.dtype):
        return onnxruntime.OrtValue.ortvalue_from_numpy(array)
    data = flat_bytes(array).tobytes()
    made = onnxruntime.OrtValue.ortvalue_from_shape_and_type(
        array.shape, ELEMENT_TYPES[array.dtype]
    )
    ctypes.memmove(made.data_ptr(), data, len(data))
    return made


def _array(value: onnxruntime.OrtValue) -> Any:
    """A value of onnxruntime's as an array."""
    dtype = _EXTENDED.get(value.data_type())
    if dtype is None:
        return value.numpy()
    shape = value.shape()
    return from_bytes(ctypes.string_at(value.data_ptr(), byte_size(shape, dtype)), shape, dtype)


def _refused(path: str | os.PathLike[str], error: Exception, advice: str) -> RefusedError:
    message = str(error).strip()
    node = named_node(path, message)
    where = f"{node}: " if node else ""
    if "NOT_IMPLEMENTED" in message:
        advice = (
            "it has no kernel for these dtypes or this opset: cast to float32 around the "
            "operator, choose another opset, or export with verify=False for another runtime"
        )
    return RefusedError(
        f"{where}onnxruntime {onnxruntime.__version__} refuses: {message}; {advice}"
    )


def named_node(path: str | os.PathLike[str], message: str) -> str:
    """The node that a message of onnxruntime names, as `path/Op (file.py:3)`; empty for none."""
    for node in load(path).graph.node:
        if node.name and (f"'{node.name}'" in message or f"({node.name})" in message):
            source = [entry.value for entry in node.metadata_props if entry.key == SOURCE]
            return sentence(node.name, *source) if source else node.name
    return ""
