"""Single ONNX nodes and expansions in onnxruntime: what its CPU kernels make of a case."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
from graphctx_onnx.convert import convert
from graphctx_onnx.tensors import type_proto
from onnx import helper, numpy_helper

from graphctx.body import Body
from graphctx.builder import Builder
from graphctx.graph import CallGraph, Contexts, Returns, Value
from graphctx.ops.table import ML_OPSET, TABLE, type_of
from graphctx.spec import ContainerType, TensorSpec
from graphctx.tree import LEAF, Structure
from tests.ops.case import Case

OPSET = 23
OPSET_OF_ML = 3
OPSET_OF_ONNX = onnx.defs.onnx_opset_version()


def element_type(dtype: Any) -> int:
    if np.dtype(dtype) == object:
        return onnx.TensorProto.STRING
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def attribute(value: Any) -> Any:
    """An attribute as ONNX has it: dtypes as numbers, arrays as tensors."""
    if isinstance(value, np.dtype):
        return element_type(value)
    if isinstance(value, TensorSpec):
        return type_proto(value.shape, value.dtype, "")
    if isinstance(value, ContainerType):
        return type_proto((), value, "")
    return numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value


def model_of(case: Case, dtypes: list[Any]) -> onnx.ModelProto:
    """A model of this one node; `dtypes` are those of its outputs."""
    names = ["" if x is None else f"x{i}" for i, x in enumerate(case.operands)]
    while names and not names[-1]:
        names.pop()
    outputs = [f"y{i}" for i in range(len(dtypes))]
    attrs = {name: attribute(value) for name, value in case.attrs.items()}
    domain = TABLE[case.op].domain
    node = helper.make_node(case.op, names, outputs, domain=domain, **attrs)
    inputs, initializers = [], []
    for index, x in enumerate(case.operands):
        if x is None:
            continue
        if index in case.constant:
            initializers.append(numpy_helper.from_array(np.array(x, order="C"), f"x{index}"))
        else:
            inputs.append(value_info(f"x{index}", spec_of(x)))
    graph = helper.make_graph(
        [node],
        case.op,
        inputs,
        [
            value_info(name, TensorSpec((), dtype), shaped=False)
            for name, dtype in zip(outputs, dtypes, strict=True)
        ],
        initializers,
    )
    opsets = [helper.make_opsetid(domain, opset_of(case))]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def value_info(name: str, spec: TensorSpec, *, shaped: bool = True) -> onnx.ValueInfoProto:
    """A value of a tensor's or a container's type."""
    return helper.make_value_info(name, type_proto(spec.shape if shaped else None, spec.dtype, ""))


def spec_of(x: Any) -> TensorSpec:
    """The spec of an array, or of a list of them."""
    return TensorSpec((), type_of(x)) if isinstance(x, list) else TensorSpec(x.shape, x.dtype)


def opset_of(case: Case) -> int:
    """The first opset from `OPSET` on that takes these operands and attributes."""
    record = TABLE[case.op]
    opset = max(OPSET_OF_ML if record.domain else OPSET, record.since)
    for later in range(opset, 1 + (ML_OPSET if record.domain else OPSET_OF_ONNX)):
        schema = onnx.defs.get_schema(case.op, later, record.domain)
        if len(case.operands) <= schema.max_input and set(case.attrs) <= set(schema.attributes):
            return later
    return opset


def model_of_graph(graph: CallGraph) -> onnx.ModelProto:
    """A model of a graph of ONNX's own operators."""
    names: dict[Value | None, str] = {None: ""}
    nodes, initializers, since = [], [], OPSET
    for number, node in enumerate(graph.nodes):
        for value in node.outputs:
            names[value] = node.name if node.kind == "input" else f"v{number}_{value.index}"
        if node.kind == "constant":
            array = np.array(node.data, order="C")
            initializers.append(numpy_helper.from_array(array, names[node.output]))
        elif node.kind == "op":
            assert node.op is not None
            since = max(since, node.op.since)
            attrs = {name: attribute(value) for name, value in node.attrs.items()}
            operands, outputs = [names[v] for v in node.operands], [names[v] for v in node.outputs]
            nodes.append(helper.make_node(node.name, operands, outputs, **attrs))
    made = helper.make_graph(
        nodes,
        graph.name,
        [
            helper.make_tensor_value_info(names[v], element_type(v.dtype), v.shape)
            for v in graph.inputs
        ],
        [
            helper.make_tensor_value_info(names[v], element_type(v.dtype), None)
            for v in graph.outputs
        ],
        initializers,
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", since)], ir_version=10)


def run(case: Case, dtypes: list[Any]) -> list[Any]:
    """The node's outputs.

    Raises:
        Exception: onnxruntime refuses the model.
    """
    feeds = {
        f"x{i}": x for i, x in enumerate(case.operands) if x is not None and i not in case.constant
    }
    if any(isinstance(value, Body) for value in case.attrs.values()):
        return run_model(model_with_bodies(case), feeds)
    return run_model(model_of(case, dtypes), feeds)


def model_with_bodies(case: Case) -> onnx.ModelProto:
    """A model of a node whose attributes are graphs, as it is exported."""
    builder = Builder()
    operands = [
        None if x is None
        else builder.constant(x) if i in case.constant
        else builder.input(TensorSpec(x.shape, x.dtype), f"x{i}")
        for i, x in enumerate(case.operands)
    ]  # fmt: skip
    made = builder.op(TABLE[case.op], operands, case.attrs)
    nodes = tuple(builder.nodes)
    inputs = tuple(node.output for node in nodes if node.kind == "input")
    structure = Structure("tuple", (LEAF,) * len(made))
    return convert(CallGraph("model", nodes, inputs, Returns(structure, made), Contexts({}))).model


def run_model(model: onnx.ModelProto, feeds: dict[str, Any]) -> list[Any]:
    """The outputs of a model, without any optimization."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    data, providers = model.SerializeToString(), ["CPUExecutionProvider"]
    return list(onnxruntime.InferenceSession(data, options, providers=providers).run(None, feeds))
