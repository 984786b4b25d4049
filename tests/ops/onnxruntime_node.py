"""One ONNX node in onnxruntime: what its CPU kernel makes of a case."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from graphctx.ops.table import TABLE
from tests.ops.case import Case

OPSET = 23


def element_type(dtype: Any) -> int:
    if np.dtype(dtype) == object:
        return onnx.TensorProto.STRING
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def attribute(value: Any) -> Any:
    """An attribute as ONNX has it: dtypes as numbers, arrays as tensors."""
    if isinstance(value, np.dtype):
        return element_type(value)
    return numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value


def model_of(case: Case, dtypes: list[Any]) -> onnx.ModelProto:
    """A model of this one node; `dtypes` are those of its outputs."""
    names = ["" if x is None else f"x{i}" for i, x in enumerate(case.operands)]
    while names and not names[-1]:
        names.pop()
    outputs = [f"y{i}" for i in range(len(dtypes))]
    attrs = {name: attribute(value) for name, value in case.attrs.items()}
    node = helper.make_node(case.op, names, outputs, **attrs)
    inputs, initializers = [], []
    for index, x in enumerate(case.operands):
        if x is None:
            continue
        if index in case.constant:
            initializers.append(numpy_helper.from_array(np.array(x, order="C"), f"x{index}"))
        else:
            inputs.append(
                helper.make_tensor_value_info(f"x{index}", element_type(x.dtype), x.shape)
            )
    graph = helper.make_graph(
        [node],
        case.op,
        inputs,
        [
            helper.make_tensor_value_info(name, element_type(dtype), None)
            for name, dtype in zip(outputs, dtypes, strict=True)
        ],
        initializers,
    )
    opset = max(OPSET, TABLE[case.op].since)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def run(case: Case, dtypes: list[Any]) -> list[Any]:
    """The node's outputs.

    Raises:
        Exception: onnxruntime refuses the model.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    model = model_of(case, dtypes).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feeds = {
        f"x{i}": x for i, x in enumerate(case.operands) if x is not None and i not in case.constant
    }
    return list(session.run(None, feeds))
