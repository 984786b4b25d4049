"""ONNX's own backend tests of single operators: what they feed, and what they expect."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from graphctx.ops.table import TABLE
from graphctx.spec import is_extended

RTOL, ATOL = 1e-3, 1e-7  # those of onnx.backend.test
_DTYPES = frozenset(("to", "output_dtype", "precision", "dtype"))


@dataclass(frozen=True)
class NodeTest:
    """One backend test: a node, what it is given, what it makes."""

    node: NodeProto
    inputs: list[Any]
    outputs: list[Any]

    def run(self) -> list[Any]:
        """What our operator makes of the inputs, for the outputs that the test names."""
        given = iter(self.inputs)
        operands = [next(given) if name else None for name in self.node.input]
        attrs = dict(map(_attribute, self.node.attribute))
        result = TABLE[self.node.op_type](*operands, **attrs)
        results = result if isinstance(result, tuple) else (result,)
        named = [np.asarray(y) for y, name in zip(results, self.node.output, strict=False) if name]
        return named[: len(self.outputs)]

    def check(self) -> None:
        """Assert that our operator makes what is expected: of integers the very same."""
        found = self.run()
        assert len(found) == len(self.outputs)
        for ours, theirs in zip(found, self.outputs, strict=True):
            assert ours.dtype == theirs.dtype
            assert ours.shape == theirs.shape
            if ours.dtype.kind == "f" or is_extended(ours.dtype):
                wide = [y.astype(np.float64) for y in (ours, theirs)]
                np.testing.assert_allclose(*wide, rtol=RTOL, atol=ATOL)
            else:
                np.testing.assert_array_equal(ours, theirs)


def _attribute(attribute: Any) -> tuple[str, Any]:
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        value = value.decode()
    if attribute.name in _DTYPES:
        value = array_dtype(value) if value else None
    return attribute.name, value


def array_dtype(element_type: int) -> Any:
    """Our dtype of one of ONNX's element types."""
    if element_type == TensorProto.STRING:
        return np.dtype(object)
    return np.dtype(helper.tensor_dtype_to_np_dtype(element_type))


def _array(value: Any) -> Any:
    if value is None or isinstance(value, list):
        return value
    array = numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)
    return array.astype(object) if array.dtype.kind in "US" else array


def node_tests(modules: Iterable[str]) -> dict[str, NodeTest]:
    """Name -> test, of the modules of `onnx.backend.test.case.node` with these names."""
    found: dict[str, NodeTest] = {}

    def collect(
        node: NodeProto, inputs: list[Any], outputs: list[Any], name: str, **_: Any
    ) -> None:
        found[name] = NodeTest(node, list(map(_array, inputs)), list(map(_array, outputs)))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the NumPy code that makes what is expected
        for name in modules:
            module: Any = importlib.import_module(f"onnx.backend.test.case.node.{name}")
            original, module.expect = module.expect, collect
            try:
                for case in list(vars(module).values()):
                    if isinstance(case, type) and case.__module__ == module.__name__:
                        for method in (m for m in dir(case) if m.startswith("export")):
                            getattr(case, method)()
            finally:
                module.expect = original
    return found
