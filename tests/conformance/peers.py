"""What ONNX's reference implementation and onnxruntime make of a case."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
from onnx import ModelProto, helper
from onnx.reference import ReferenceEvaluator

from tests.conformance.suite import fed


def reference(model: ModelProto, inputs: Sequence[Any]) -> list[Any]:
    """Run a model with `onnx.reference.ReferenceEvaluator`."""
    feeds = dict(zip([x.name for x in fed(model)], inputs, strict=False))
    return list(ReferenceEvaluator(model).run(None, feeds))


def in_onnxruntime(model: ModelProto, inputs: Sequence[Any]) -> list[Any]:
    """Run a model with onnxruntime's CPU provider."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    outputs = [y.name for y in session.get_outputs()]
    feeds = dict(zip([x.name for x in session.get_inputs()], inputs, strict=False))
    if not any(isinstance(x, np.ndarray) and x.dtype.kind == "V" for x in feeds.values()):
        return list(session.run(outputs, feeds))
    values = session.run_with_ort_values(outputs, {name: _ort(x) for name, x in feeds.items()})
    return [_array(value) for value in values]


def _ort(array: Any) -> Any:
    """A value of a type that NumPy lacks is given as its bits."""
    if array.dtype.kind != "V":
        return onnxruntime.OrtValue.ortvalue_from_numpy(array)
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    bits = array.view(f"u{array.dtype.itemsize}")
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, kind)


def _array(value: Any) -> Any:
    if not value.is_tensor():
        return value.numpy()
    dtype = helper.tensor_dtype_to_np_dtype(value.element_type())
    return value.numpy().view(dtype) if dtype.kind == "V" else value.numpy()
