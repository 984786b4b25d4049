"""ONNX's own tests of single operators, run on the records of the table."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from graphctx.ops.table import OUTPUTS, TABLE

# Attributes that are numbers of element types in files, and dtypes here.
_DTYPES = {"dtype", "output_datatype", "softmax_precision", "to"}


@dataclass(frozen=True)
class NodeTest:
    """A node, what it is given, and what it has to make of that."""

    node: NodeProto
    inputs: list[Any]
    outputs: list[Any]

    def run(self) -> list[Any]:
        """What the table's record makes of the inputs, for the outputs that have a name."""
        given = iter(self.inputs)
        operands = [_array(next(given)) if name else None for name in self.node.input]
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
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-7)


def _array(x: Any) -> Any:
    return numpy_helper.to_array(x) if isinstance(x, TensorProto) else np.asarray(x)


def _plain(name: str, value: Any) -> Any:
    if name in _DTYPES:
        return helper.tensor_dtype_to_np_dtype(value)
    return value.decode() if isinstance(value, bytes) else value


def node_tests(
    *modules: str, wanted: Callable[[str], bool] = lambda export: True
) -> dict[str, NodeTest]:
    """Name -> test, of modules of `onnx.backend.test.case.node`, at the newest opset.

    `wanted` is asked for the name of each function that exports tests.
    """
    found: dict[str, NodeTest] = {}
    for name in modules:
        module = importlib.import_module(f"onnx.backend.test.case.node.{name}")

        def collect(
            node: NodeProto, inputs: list[Any], outputs: list[Any], name: str, **options: Any
        ) -> None:
            if "opset_imports" not in options:  # of an older opset
                found[name] = NodeTest(node, inputs, outputs)

        original, module.expect = module.expect, collect  # type: ignore[attr-defined]
        try:
            for export in _exports(module):
                if wanted(export.__name__):
                    export()
        finally:
            module.expect = original  # type: ignore[attr-defined]
    return found


def _exports(module: ModuleType) -> Iterator[Any]:
    for _, case in inspect.getmembers(module, inspect.isclass):
        if case.__module__ == module.__name__:
            for name in dir(case):
                if name.startswith("export"):
                    yield getattr(case, name)
