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
from tests.ops.node_programs import NodeTest, node_tests

MODULES = (
    "reshape", "expand", "tile", "rangeop", "slice", "pad", "constantofshape", "resize", "topk",
    "split", "unsqueeze", "squeeze", "reducesum", "reducemean", "reducemax", "reducemin",
    "reduceprod", "reducel1", "reducel2", "reduce_log_sum", "reduce_log_sum_exp",
    "reducesumsquare", "cumsum", "cumprod", "onehot", "trilu", "eyelike",
)  # fmt: skip
OTHERS = {
    # Of opset 13, without `num_outputs`: the number of outputs says it.
    "test_split_equal_parts_1d_opset13", "test_split_equal_parts_2d_opset13",
    "test_split_equal_parts_default_axis_opset13",
    # ONNX's reference takes the size of the result for a scale; runtimes take the scale.
    "test_resize_downsample_scales_cubic_align_corners",
    "test_resize_downsample_scales_linear_align_corners",
}  # fmt: skip
NODE_TESTS = {
    name: test
    for name, test in node_tests(*MODULES).items()
    if test.node.op_type in TABLE and name not in OTHERS
}


def test_all_node_tests_are_found() -> None:
    assert len(NODE_TESTS) == 237


@pytest.mark.parametrize("test", NODE_TESTS.values(), ids=NODE_TESTS)
def test_onnx_node_test_with_operands_of_the_run(test: NodeTest) -> None:
    with np.errstate(divide="ignore"):  # a logarithm of 0
        test.check(test.run_program())


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
