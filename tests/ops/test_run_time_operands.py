"""Shapes, axes and sizes that only data tells: unknown sizes in the graph, the same result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphctx as gx
from graphctx import TensorSpec, ops
from graphctx.builder import Builder
from graphctx.errors import ShapeError
from graphctx.ops.table import TABLE


class Cut(gx.Layer):
    """A slice, a top k and a reshape whose sizes are inputs."""

    def call(self, x: Any, count: Any, axes: Any) -> Any:
        part = TABLE["Slice"](x, np.array([0]), count, np.array([1]))
        largest, _ = TABLE["TopK"](x, count)
        return part * 2, largest, TABLE["ReduceSum"](x, axes, keepdims=0), ops.shape(part)


def test_files_take_them_too(tmp_path: Path) -> None:
    specs = (TensorSpec(("n", 5)), TensorSpec((1,), "int64"), TensorSpec((1,), "int64"))
    program = gx.compile(gx.trace(Cut(), *specs))
    x = np.arange(15, dtype=np.float32).reshape(3, 5)
    given = (x, np.array([2]), np.array([-1]))
    part, largest, total, shape = program(*given)
    np.testing.assert_array_equal(part, x[:, :2] * 2)
    np.testing.assert_array_equal(largest, [[4, 3], [9, 8], [14, 13]])
    np.testing.assert_array_equal(total, x.sum(1))
    assert shape.tolist() == [3, 2]
    gx.export(program, tmp_path / "m.onnx", inputs=list(given))


@pytest.mark.parametrize(
    ("op", "shapes", "attrs", "message"),
    [
        ("ReduceSum", [(2, 3), ("k",)], {}, "the number of axes must be known"),
        ("ReduceSum", [(2, 3), (3,)], {"keepdims": 0}, "3 axes of 2"),
        ("Squeeze", [(2, 3), ("k",)], {}, "the number of axes must be known"),
        ("Unsqueeze", [(2, 3), ("k",)], {}, "the number of axes must be known"),
        ("Slice", [(2, 3), (1,), (1,), (2,)], {}, "as many starts as ends, axes and steps"),
        ("Pad", [(2, 3), (2,), None, (2,)], {}, "a pad before and after each axis"),
    ],
)
def test_numbers_of_axes_have_to_be_known(op: str, shapes: Any, attrs: Any, message: str) -> None:
    builder = Builder()
    values = [
        None if shape is None
        else builder.input(TensorSpec(shape, "int64" if i else "float32"), f"x{i}")
        for i, shape in enumerate(shapes)
    ]  # fmt: skip
    with pytest.raises(ShapeError, match=message):
        builder.op(TABLE[op], values, attrs)


def test_no_attribute_is_taken_for_its_default() -> None:
    # NumPy takes None for the dtype float64.
    builder = Builder()
    x = builder.input(TensorSpec((2, 2), "int32"), "x")
    [y] = builder.op(TABLE["EyeLike"], [x], {"dtype": np.dtype("float64")})
    assert y.dtype == np.float64
