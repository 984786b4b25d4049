"""ONNX's own tests of If, Loop and Scan, and of functions that are made of them."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
from graphctx_onnx import verify
from graphctx_onnx.convert import convert
from graphctx_onnx.trials import ranges_of
from onnx import AttributeProto, helper, numpy_helper

import graphctx as gx
from graphctx import nn, ops
from graphctx.body import record_body
from graphctx.builder import Builder
from graphctx.graph import CallGraph, Contexts, Returns, Value
from graphctx.ops.table import TABLE
from graphctx.passes import check, optimize
from graphctx.program import Program
from graphctx.spec import TensorSpec
from graphctx.tensor import Recorder
from graphctx.tree import LEAF, Structure

Names = dict[str, "Value | None"]

_OLD = ("test_scan_sum",)  # Scan of opset 8 has a batch axis; a reader upgrades it
# What sequences and optionals are tested with elsewhere.
_OTHER_TYPES = ("Sequence", "Optional", "ConcatFromSequence", "SplitToSequence")
_INT, _BOOL = np.dtype(np.int64), np.dtype(bool)


def node_types(graph: onnx.GraphProto) -> set[str]:
    found = set()
    for node in graph.node:
        found.add(node.op_type)
        for entry in node.attribute:
            if entry.type == AttributeProto.GRAPH:
                found |= node_types(entry.g)
    return found


def cases() -> list[Any]:
    from onnx.backend.test.case import node

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("if_", "loop", "scan", "rangeop", "linear_attention"):
            importlib.import_module(f"{node.__name__}.{name}")  # which adds its cases
    chosen = []
    for case in node._NodeTestCases:
        types = node_types(case.model.graph)
        if case.name in _OLD:
            continue
        if types & {"If", "Loop", "Scan"} and not any(t.startswith(_OTHER_TYPES) for t in types):
            chosen.append(case)
    return chosen


CASES = cases()
IDS = [case.name for case in CASES]


class Reader:
    """Nodes of ONNX as nodes of the table, as far as these tests need it."""

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.recorder = Recorder(Builder())
        self.builder = self.recorder.builder

    def nodes(self, graph: onnx.GraphProto, outer: Names) -> list[Value]:
        """The outputs of a graph."""
        names = dict(outer)
        for entry in graph.initializer:
            names[entry.name] = self.builder.constant(numpy_helper.to_array(entry))
        for node in graph.node:
            names.update(zip(node.output, self.node(node, names), strict=False))
        return [value for value in (names[o.name] for o in graph.output) if value is not None]

    def node(self, node: onnx.NodeProto, names: Names) -> Sequence[Value]:
        given = {a.name: a for a in node.attribute}
        if node.op_type == "Constant":
            [entry] = node.attribute
            value = helper.get_attribute_value(entry)
            if isinstance(value, onnx.TensorProto):
                return [self.builder.constant(numpy_helper.to_array(value))]
            kind = np.float32 if entry.name.startswith("value_float") else np.int64
            return [self.builder.constant(np.asarray(value, kind))]
        operands = [names[name] if name else None for name in node.input]
        if node.op_type == "Unsqueeze" and "axes" in given:  # before opset 13
            operands.append(self.builder.constant(np.asarray(given.pop("axes").ints)))
        attrs = {name: self.plain(name, entry) for name, entry in given.items()
                 if entry.type != AttributeProto.GRAPH}  # fmt: skip
        if node.op_type == "CastLike":
            _, like = operands
            assert like is not None
            return self.builder.op(TABLE["Cast"], operands[:1], {"to": like.dtype})
        op = TABLE[node.op_type]
        if node.op_type == "If":
            taken = []
            for name in ("then_branch", "else_branch"):
                with self.recorder.scope() as scope:
                    results = self.nodes(given[name].g, names)
                    attrs[name], captures = scope.close(results)
                taken += captures
            return self.builder.op(op, [operands[0], *taken], attrs)
        if node.op_type in ("Loop", "Scan"):
            return self.loop(node, operands, given["body"].g, attrs, names)
        return self.builder.op(op, operands, attrs)

    def loop(
        self,
        node: onnx.NodeProto,
        operands: list[Value | None],
        graph: onnx.GraphProto,
        attrs: dict[str, Any],
        names: Names,
    ) -> Sequence[Value]:
        def record(inputs: list[Value]) -> list[Value]:
            own = dict(zip((i.name for i in graph.input), inputs, strict=True))
            return self.nodes(graph, {**names, **own})

        if node.op_type == "Loop":
            first = [((), _INT), ((), _BOOL)]
            carried = [(v.shape, v.dtype) for v in operands[2:] if v is not None]
            body, taken = record_body(self.recorder, first, carried, record, 1)
            attrs["carried"] = len(carried)
        else:
            scanned = attrs["num_scan_inputs"]
            carried = [(v.shape, v.dtype) for v in operands[:-scanned] if v is not None]
            axes = attrs.get("scan_input_axes", [0] * scanned)
            with self.recorder.scope() as scope:
                inputs = [scope.input(*pair) for pair in carried]
                for value, axis in zip(operands[-scanned:], axes, strict=True):
                    assert value is not None
                    shape = list(value.shape)
                    del shape[axis]
                    inputs.append(scope.input(tuple(shape), value.dtype))
                body, taken = scope.close(record(inputs))
            attrs["carried"] = len(carried)
        return self.builder.op(TABLE[node.op_type], [*operands, *taken], {**attrs, "body": body})

    def plain(self, name: str, entry: AttributeProto) -> Any:
        value = helper.get_attribute_value(entry)
        if name == "to":
            return np.dtype(helper.tensor_dtype_to_np_dtype(value))
        if isinstance(value, onnx.TensorProto):
            return numpy_helper.to_array(value)
        return tuple(value) if isinstance(value, list) else value


def read(model: onnx.ModelProto) -> CallGraph:
    """The graph of a model."""
    reader = Reader(model.opset_import[0].version)
    names: Names = {}
    for entry in model.graph.input:
        tensor = entry.type.tensor_type
        shape = [d.dim_value for d in tensor.shape.dim]
        spec = TensorSpec(shape, helper.tensor_dtype_to_np_dtype(tensor.elem_type))
        names[entry.name] = reader.builder.input(spec, entry.name)
    results = tuple(reader.nodes(model.graph, names))
    inputs = tuple(value for value in names.values() if value is not None)
    return check(
        CallGraph(
            "model", tuple(reader.builder.nodes), inputs,
            Returns(Structure("tuple", (LEAF,) * len(results)), results), Contexts({}),
            parameters=tuple(names), input_structure=Structure("tuple", (LEAF,) * len(inputs)),
        )
    )  # fmt: skip


def agree(found: Sequence[Any], expected: Sequence[Any], tolerance: float) -> None:
    for y, wanted in zip(found, expected, strict=True):
        assert (y.dtype, y.shape) == (wanted.dtype, wanted.shape)
        y, wanted = (a.astype(np.float64) if a.dtype.kind in "fV" else a for a in (y, wanted))
        np.testing.assert_allclose(y, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_cases_of_onnx(case: Any) -> None:
    [(inputs, expected)] = case.data_sets
    graph = read(case.model)
    after = check(optimize(graph))
    half = any(np.asarray(x).dtype in (np.float16, ml_dtypes.bfloat16) for x in inputs)
    tolerance = 1e-2 if half else 1e-5
    names = {v.node.name for v in after.inputs}
    feeds = {
        i.name: np.asarray(x)
        for i, x in zip(case.model.graph.input, inputs, strict=True)
        if i.name in names
    }
    direct = Program(graph)(*inputs)
    agree(direct, expected, tolerance)
    for a, b in zip(Program(after)(*inputs), direct, strict=True):
        assert a.tobytes() == b.tobytes()
    if any(np.asarray(x).dtype == ml_dtypes.bfloat16 for x in inputs):
        return  # onnxruntime's Python interface takes none
    model = convert(graph).model
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    wanted = {entry.name for entry in session.get_inputs()}
    found = session.run(None, {k: v for k, v in feeds.items() if k in wanted})
    agree(found, expected, tolerance)


def test_all_cases_are_here() -> None:
    assert {"test_if", "test_loop11", "test_scan9_sum", "test_scan9_multi_state"} <= set(IDS)
    assert len(CASES) >= 23


def test_a_file_is_that_of_any_trace_of_the_model(tmp_path: Path) -> None:
    def grown(x: Any) -> Any:
        found = ops.while_loop(
            lambda c: c[0] < 2, lambda c: (c[0] + 1, ops.concat([c[1], c[1]])), (0, x)
        )
        return found[1]

    def program() -> Program:
        return gx.compile(gx.trace(nn.Lambda(grown), gx.TensorSpec(("batch", 3))))

    path = tmp_path / "model.onnx"
    gx.export(program(), path)
    again = program()  # whose unknown sizes have other numbers
    assert not verify(path, again).rows[0].difference.problem


def test_inputs_that_count_iterations_or_index_in_bodies_are_drawn_in_range(tmp_path: Path) -> None:
    graph = read_text(
        """
        <ir_version: 10, opset_import: ["" : 23]>
        model (int64 n, int64[3] rows, float[4, 2] table) => (float[a, 3, 2] y) {
          y = Loop(n, "") <body = step (int64 i, bool going) => (bool again, float[3, 2] taken) {
            again = Identity(going)
            taken = Gather(table, rows)
          }>
        }
        """
    )
    ranges = ranges_of(graph)
    sizes: dict[str, int] = {}
    assert ranges["n"].limits(_INT, sizes) == (0, 10)
    assert ranges["rows"].limits(_INT, sizes) == (0, 4)
    gx.export(Program(graph), tmp_path / "model.onnx")


def read_text(text: str) -> CallGraph:
    return read(onnx.parser.parse_model(text))
