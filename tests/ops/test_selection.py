"""Operators that search: programs, files, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphctx as gx
from graphctx import TensorSpec, ops
from graphctx.errors import DTypeError, GraphctxError, ShapeError
from graphctx.ops.selection import nonzero_op, unique_op


class Chosen(gx.Layer):
    """What is positive, in several ways."""

    def call(self, x: Any) -> Any:
        places = nonzero_op(x)
        kept = ops.compress(ops.reshape(x > 0, (-1,)), ops.reshape(x, (-1,)))
        values, _, inverse, counts = unique_op(ops.astype(x, "int64"))
        return places, kept * 2, ops.sum(kept), values + 1, counts, inverse


def test_sizes_that_data_decides(tmp_path: Path) -> None:
    program = gx.compile(gx.trace(Chosen(), TensorSpec(("n", 3))))
    rng = np.random.default_rng(0)
    for n in (1, 4):
        x = rng.standard_normal((n, 3)).astype(np.float32) * 3
        for ours, theirs in zip(program(x), Chosen()(x), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    gx.export(program, tmp_path / "m.onnx")


def test_first_of_equal_scores_is_taken() -> None:
    boxes = np.array([[[0, 0, 1, 1], [5, 5, 6, 6], [0, 0, 1, 1]]], np.float32)
    scores = np.full((1, 1, 3), 0.5, np.float32)
    found = ops.non_max_suppression(boxes, scores, np.array(9), np.float32(0.5))
    assert found.tolist() == [[0, 0, 0], [0, 0, 1]]


Z = np.zeros
F = np.float32


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda x: ops.compress(np.array([1, 0]), x), DTypeError, "needs a bool condition"),
        (lambda x: ops.compress(Z(4, bool), x, axis=1), ShapeError, "4 conditions for axis 1"),
        (lambda x: ops.compress(Z(1, bool), x, axis=2), ShapeError, "axis 2 is out of range"),
        (lambda x: ops.compress(Z((1, 1), bool), x), ShapeError, "the condition needs 1 dim"),
        (lambda x: unique_op(x, axis=3), ShapeError, "axis 3 is out of range"),
        (lambda x: ops.reverse_sequence(x, Z(3, int), batch_axis=2), ShapeError, "got 2 and 0"),
        (lambda x: ops.reverse_sequence(x, Z(2, int)), ShapeError, "sequences: 2 against"),
        (lambda x: ops.reverse_sequence(x, Z(3)), DTypeError, "sequence_lens are int64"),
        (lambda x: ops.non_max_suppression(x, x), ShapeError, "boxes needs 3 dimensions"),
        (lambda x: ops.non_max_suppression(Z((1, 2, 4), F), Z((1, 1, 3), F)), ShapeError,
         "number of boxes: 2 against 3"),
        (lambda x: ops.non_max_suppression(Z((1, 2, 3), F), Z((1, 1, 2), F)), ShapeError,
         "numbers of a box: 3 against 4"),
        (lambda x: ops.non_max_suppression(Z((1, 2, 4)), Z((1, 1, 2))), DTypeError, "are float32"),
        (lambda x: ops.non_max_suppression(Z((1, 2, 4), F), Z((1, 1, 2), F), Z(2, int)), ShapeError,
         "limits are scalars"),
    ],
)  # fmt: skip
def test_refused(call: Any, kind: type[Exception], message: str) -> None:
    class Net(gx.Layer):
        def call(self, x: Any) -> Any:
            boxes = Z((1, 2, 4), F)
            ops.non_max_suppression(boxes + x[0, 0], Z((1, 1, 2), F))
            return call(x)

    with pytest.raises(kind, match=message):
        gx.trace(Net(), TensorSpec((2, 3)))


def test_lengths_are_checked_at_run_time() -> None:
    with pytest.raises(GraphctxError, match=r"lengths are from 0 to 2, got \[5, 0, 1\]"):
        ops.reverse_sequence(Z((2, 3), F), np.array([5, 0, 1]))
