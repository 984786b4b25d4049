"""ONNX's own tests of If, Loop and Scan, written back to files for onnxruntime."""

from __future__ import annotations

import itertools
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
from onnx import AttributeProto

import graphctx as gx
from graphctx import nn, ops
from graphctx.program import Program
from tests.conformance.suite import Case, node_cases

_INT = np.dtype(np.int64)

# The modules of onnx whose cases have bodies. Sequences and optionals are tested elsewhere.
MODULES = ("if_", "loop", "scan", "rangeop", "linear_attention")
_OTHER_TYPES = ("Sequence", "Optional", "ConcatFromSequence", "SplitToSequence")


def node_types(graph: onnx.GraphProto) -> set[str]:
    found = set()
    for node in graph.node:
        found.add(node.op_type)
        for entry in node.attribute:
            if entry.type == AttributeProto.GRAPH:
                found |= node_types(entry.g)
    return found


def cases() -> list[Case]:
    chosen = []
    for case in itertools.chain.from_iterable(map(node_cases, MODULES)):
        types = node_types(case.load()[0].graph)
        if types & {"If", "Loop", "Scan"} and not any(t.startswith(_OTHER_TYPES) for t in types):
            chosen.append(case)
    return chosen


CASES = cases()
IDS = [case.name for case in CASES]


def agree(found: Sequence[Any], expected: Sequence[Any], tolerance: float) -> None:
    for y, wanted in zip(found, expected, strict=True):
        assert (y.dtype, y.shape) == (wanted.dtype, wanted.shape)
        y, wanted = (a.astype(np.float64) if a.dtype.kind in "fV" else a for a in (y, wanted))
        np.testing.assert_allclose(y, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_cases_of_onnx(case: Case) -> None:
    model, [(inputs, expected)] = case.load()
    graph = gx.load(model)
    half = any(x.dtype in (np.float16, ml_dtypes.bfloat16) for x in inputs)
    tolerance = 1e-2 if half else 1e-5
    names = {v.node.name for v in graph.inputs}
    feeds = {i.name: x for i, x in zip(model.graph.input, inputs, strict=True) if i.name in names}
    agree(list(Program(graph)(*inputs).values()), expected, tolerance)
    if any(x.dtype == ml_dtypes.bfloat16 for x in inputs):
        return  # onnxruntime's Python interface takes none
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        convert(graph).model.SerializeToString(), options, providers=["CPUExecutionProvider"]
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
    model = onnx.parser.parse_model(
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
    graph = gx.load(model)
    ranges = ranges_of(graph)
    sizes: dict[str, int] = {}
    assert ranges["n"].limits(_INT, sizes) == (0, 10)
    assert ranges["rows"].limits(_INT, sizes) == (0, 4)
    gx.export(Program(graph), tmp_path / "model.onnx")
