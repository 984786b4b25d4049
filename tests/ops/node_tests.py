"""ONNX's own tests of single operators, run on the records of the table."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.backend.test.case import node as onnx_cases

from graphctx.ops.table import OUTPUTS, TABLE

# Attributes that are numbers of element types in files, and dtypes here.
_DTYPES = {"dtype", "output_datatype", "softmax_precision", "to"}


@dataclass(frozen=True)
class NodeTest:
    """A model of one node, what it is given, and what it has to make of that."""

    model: ModelProto
    inputs: list[Any]
    outputs: list[Any]
    rtol: float
    atol: float

    @property
    def node(self) -> NodeProto:
        """The node."""
        return self.model.graph.node[0]

    def run(self) -> list[Any]:
        """What the table's record makes of the inputs, for the outputs that have a name."""
        given = {
            i.name: _array(x) for i, x in zip(self.model.graph.input, self.inputs, strict=True)
        }
        operands = [given[name] if name else None for name in self.node.input]
        record = TABLE[self.node.op_type]
        attrs = {a.name: _plain(a.name, helper.get_attribute_value(a)) for a in self.node.attribute}
        if OUTPUTS in record.defaults and len(self.node.output) > 1:
            attrs[OUTPUTS] = len(self.node.output)
        result = record(*operands, **attrs)
        results = result if isinstance(result, tuple) else (result,)
        return [y for y, name in zip(results, self.node.output, strict=False) if name]

    def check(self) -> None:
        """Assert that the outputs are as ONNX's runner of backends wants them."""
        made = self.run()
        assert len(made) == len(self.outputs)
        for ours, theirs in zip(made, map(_array, self.outputs), strict=True):
            assert ours.dtype == theirs.dtype
            np.testing.assert_allclose(ours, theirs, rtol=self.rtol, atol=self.atol)


def _array(x: Any) -> Any:
    return numpy_helper.to_array(x) if isinstance(x, TensorProto) else np.asarray(x)


def _plain(name: str, value: Any) -> Any:
    if name in _DTYPES:
        return helper.tensor_dtype_to_np_dtype(value)
    if isinstance(value, list):
        return [_plain("", item) for item in value]
    return value.decode() if isinstance(value, bytes) else value


def node_tests(**modules: str) -> dict[str, NodeTest]:
    """Name -> test, of operators, each with its module in `onnx.backend.test.case.node`.

    Tests of opsets in which the operator means something else are left out.
    """
    for module in modules.values():
        importlib.import_module(f"onnx.backend.test.case.node.{module}")  # which lists its tests
    found = {}
    for case in onnx_cases._NodeTestCases:
        nodes = case.model.graph.node
        if len(nodes) != 1 or nodes[0].op_type not in modules or case.name.endswith("_expanded"):
            continue
        if case.model.opset_import[0].version >= TABLE[nodes[0].op_type].since:
            [(inputs, outputs)] = case.data_sets
            found[case.name] = NodeTest(
                case.model, list(inputs), list(outputs), case.rtol, case.atol
            )  # fmt: skip
    return found
