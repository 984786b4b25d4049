"""ONNX models that the tests of the importer share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, NodeProto, ValueInfoProto, helper, numpy_helper

FLOAT = onnx.TensorProto.FLOAT
INT64 = onnx.TensorProto.INT64
BOOL = onnx.TensorProto.BOOL


def info(name: str, shape: Sequence[Any] | None = (), dtype: int = FLOAT) -> ValueInfoProto:
    """An input or output."""
    return helper.make_tensor_value_info(name, dtype, shape)


def model(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    weights: Mapping[str, Any] | None = None,
    *,
    opset: int = 23,
    ir_version: int = 10,
    **options: Any,
) -> ModelProto:
    """A model of one graph, named `net`."""
    stored = [
        numpy_helper.from_array(np.asarray(array), name) for name, array in (weights or {}).items()
    ]
    graph = helper.make_graph(nodes, "net", inputs, outputs, stored)
    opsets = [helper.make_opsetid("", opset), *options.pop("opsets", ())]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version, **options)


def one(
    op: str,
    operands: Mapping[str, Any],
    *,
    opset: int,
    outputs: Sequence[str] = ("y",),
    constant: Sequence[str] = (),
    dtype: int = FLOAT,
    **attributes: Any,
) -> ModelProto:
    """A model of one node; operands named in `constant` are initializers."""
    given = {name: np.asarray(array) for name, array in operands.items() if name}
    node = helper.make_node(op, list(operands), list(outputs), name="node", **attributes)
    inputs = [
        info(name, array.shape, helper.np_dtype_to_tensor_dtype(array.dtype))
        for name, array in given.items()
        if name not in constant
    ]
    stored = {name: array for name, array in given.items() if name in constant}
    results = [info(name, None, dtype) for name in outputs if name]
    return model([node], inputs, results, stored, opset=opset)


def run(found: ModelProto | str, feeds: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs by onnxruntime."""
    content = found.SerializeToString() if isinstance(found, ModelProto) else found
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))
