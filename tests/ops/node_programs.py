"""ONNX's own tests of single nodes, run on the records of the table, and as programs."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import AttributeProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.backend.test.case.base import Base

from graphctx.builder import Builder
from graphctx.graph import CallGraph, Contexts, Returns
from graphctx.ops.table import TABLE, type_of
from graphctx.program import compile
from graphctx.spec import TensorSpec
from graphctx.tree import LEAF, Structure


@dataclass(frozen=True)
class NodeTest:
    """A node, what it is given, and what it should make."""

    node: NodeProto
    inputs: Sequence[Any]
    outputs: Sequence[Any]

    @property
    def operands(self) -> list[Any]:
        """The operands, None for those that are left out."""
        given = iter(map(plain, self.inputs))
        return [next(given) if text else None for text in self.node.input]

    @property
    def attrs(self) -> dict[str, Any]:
        """The attributes as the records have them."""
        return {a.name: attribute(a) for a in self.node.attribute}

    def run(self) -> list[Any]:
        """The outputs of the record that the node names."""
        results = TABLE[self.node.op_type](*self.operands, **self.attrs)
        return self._named(results if isinstance(results, tuple) else (results,))

    def run_program(self) -> list[Any]:
        """The outputs of a program of this node, all of whose operands are inputs."""
        builder = Builder()
        operands = self.operands
        values = [
            None if x is None
            else builder.input(
                TensorSpec((), type_of(x)) if isinstance(x, list) else TensorSpec(x.shape, x.dtype),
                f"x{i}",
            )
            for i, x in enumerate(operands)
        ]  # fmt: skip
        made = builder.op(TABLE[self.node.op_type], values, self.attrs)
        graph = CallGraph(
            "node", tuple(builder.nodes), tuple(v for v in values if v is not None),
            Returns(Structure("tuple", (LEAF,) * len(made)), made), Contexts({}),
            input_structure=Structure("tuple", (LEAF,) * sum(v is not None for v in values)),
            parameters=tuple(f"x{i}" for i, v in enumerate(values) if v is not None),
        )  # fmt: skip
        given = [x for x in operands if x is not None]
        return self._named(compile(graph)(*given))

    def _named(self, results: Sequence[Any]) -> list[Any]:
        return [y for y, text in zip(results, self.node.output, strict=False) if text]

    def check(self, found: Sequence[Any], rtol: float = 1e-3) -> None:
        """Assert that outputs are those wanted."""
        assert len(found) == len(self.outputs)
        for ours, theirs in zip(found, map(plain, self.outputs), strict=True):
            same(ours, theirs, rtol)


def same(ours: Any, theirs: Any, rtol: float) -> None:
    """Assert that two arrays, or lists of them, are equal."""
    if isinstance(theirs, list):
        assert isinstance(ours, list)
        for a, b in zip(ours, theirs, strict=True):
            same(a, b, rtol)
        return
    ours = np.asarray(ours)
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    if ours.dtype.kind == "f":
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=1e-7)
    else:
        np.testing.assert_array_equal(ours, theirs)


def plain(value: Any) -> Any:
    """A test's value as an array, or a list of them; strings as objects."""
    if value is None:
        return None
    if isinstance(value, TensorProto):
        value = numpy_helper.to_array(value)
    if isinstance(value, list):
        return list(map(plain, value))
    array = np.asarray(value)
    return array.astype(object) if array.dtype.kind in "UT" else array


def attribute(proto: AttributeProto) -> Any:
    """An attribute: text, numbers, arrays, dtypes."""
    value = helper.get_attribute_value(proto)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, TensorProto):
        return plain(value)
    if isinstance(value, list) and value and isinstance(value[0], bytes):
        return [item.decode() for item in value]
    if proto.name in ("dtype", "to"):
        return np.dtype(helper.tensor_dtype_to_np_dtype(value))
    return value


def node_tests(*modules: str) -> dict[str, NodeTest]:
    """Name -> test, of modules of `onnx.backend.test.case.node`."""
    found: dict[str, NodeTest] = {}

    def collect(node: NodeProto, inputs: Any, outputs: Any, name: str, **_: Any) -> None:
        copy = NodeProto()
        copy.CopyFrom(node)
        found[name] = NodeTest(copy, list(inputs), list(outputs))

    for name in modules:
        module: Any = importlib.import_module(f"onnx.backend.test.case.node.{name}")
        original, module.expect = module.expect, collect
        try:
            for case in vars(module).values():
                if isinstance(case, type) and issubclass(case, Base) and case is not Base:
                    for method in dir(case):
                        if method.startswith("export"):
                            getattr(case, method)()
        finally:
            module.expect = original
    return found
