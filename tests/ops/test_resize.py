"""Resize: against onnxruntime on random attributes, and the public function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import graphctx as gx
from graphctx import Layer, ops
from graphctx.builder import Builder
from graphctx.errors import DTypeError, ShapeError
from graphctx.ops.resizing import COORDINATES, NEAREST_MODES
from graphctx.ops.table import TABLE
from graphctx.spec import Dim, TensorSpec
from tests.ops import onnxruntime_node
from tests.ops.agreement import agree
from tests.ops.build import random
from tests.ops.cases_resize import resize
from tests.ops.recording import record, run


@settings(max_examples=150, deadline=None)
@given(
    space=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    sizes=st.none() | st.tuples(st.integers(1, 12), st.integers(1, 12)),
    scales=st.tuples(st.floats(0.25, 3, width=32), st.floats(0.25, 3, width=32)),
    mode=st.sampled_from(["nearest", "linear", "cubic"]),
    coordinates=st.sampled_from(COORDINATES),
    rounding=st.sampled_from(NEAREST_MODES),
    antialias=st.booleans(),
    exclude_outside=st.booleans(),
    roi=st.tuples(*[st.integers(-4, 12).map(lambda n: n / 8)] * 4),
)
def test_equal_to_onnxruntime(
    space: Any, sizes: Any, scales: Any, mode: str, coordinates: str, rounding: str,
    antialias: bool, exclude_outside: bool, roi: Any,
) -> None:  # fmt: skip
    antialias = antialias and mode != "nearest"
    if mode == "nearest" or (mode == "linear" and not antialias):
        exclude_outside = False  # onnxruntime has no such thing
    x = random((1, 2, *space))
    attrs: dict[str, Any] = {
        "axes": (2, 3), "mode": mode, "coordinate_transformation_mode": coordinates,
        "nearest_mode": rounding, "exclude_outside": int(exclude_outside),
        "antialias": int(antialias), "extrapolation_value": 9.0,
    }  # fmt: skip
    if coordinates == "tf_crop_and_resize":
        attrs["roi"] = roi
    how: dict[str, Any] = {"scales": scales} if sizes is None else {"sizes": sizes}
    case = resize(x, **how, **attrs)
    made = (
        [int(np.float32(n) * np.float32(s)) for n, s in zip(space, scales, strict=True)]
        if sizes is None
        else sizes
    )
    assume(min(made) > 0)
    # Where a size does not change, onnxruntime looks at neither scale nor region.
    assume(all(a != b for a, b in zip(space, made, strict=True)))
    y = TABLE["Resize"].kernel(*case.operands, **case.attrs)
    [expected] = onnxruntime_node.run(case, [x.dtype])
    if antialias:
        np.testing.assert_allclose(y, expected, rtol=5e-5, atol=5e-5)
    else:
        np.testing.assert_array_equal(y, expected)


# -- the function ---------------------------------------------------------------------------------

X = random((2, 3, 4, 5))


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"sizes": 6}, (2, 3, 6, 6)),
        ({"sizes": (6, 7)}, (2, 3, 6, 7)),
        ({"sizes": (1, 6, 7)}, (2, 1, 6, 7)),
        ({"sizes": 6, "axes": 1}, (2, 6, 4, 5)),
        ({"sizes": (6, 7), "axes": (-1, 1)}, (2, 7, 4, 6)),
        ({"scales": 2}, (2, 3, 8, 10)),
        ({"scales": (0.5, 1.5)}, (2, 3, 2, 7)),
        ({"scales": np.float32(0.5), "axes": (0, 2)}, (1, 3, 2, 5)),
        ({"scales": (1, 1, 2, 1)}, (2, 3, 8, 5)),
    ],
)
def test_which_axes(options: Any, shape: Any) -> None:
    y = ops.resize(X, **options)
    assert y.shape == shape
    np.testing.assert_array_equal(run(lambda x: ops.resize(x, **options), X), y)


def test_what_is_a_default_is_not_recorded() -> None:
    graph, _ = record(lambda x: ops.resize(x, scales=2, axes=(-2, -1)), X)
    [node] = [node for node in graph.nodes if node.kind == "op"]
    assert node.attrs == {}
    graph, _ = record(lambda x: ops.resize(x, sizes=(2, 3, 2, 2), mode="cubic"), X)
    [node] = [node for node in graph.nodes if node.kind == "op"]
    assert node.attrs == {"mode": "cubic"}


def resized_text(options: Any, *shape: Any) -> str:
    graph = gx.compile(gx.trace(Resizes(**options), TensorSpec(shape))).graph
    return "\n".join(line.split("  #")[0].rstrip() for line in str(graph).splitlines()[1:-1])


@pytest.mark.parametrize(
    ("options", "shape", "text"),
    [
        ({"scales": 2}, ("n", 3, "h", 4), "  %1 = Resize(x, none, [1, 1, 2, 2])"),
        ({"sizes": 6}, (2, 3, 4, 4), "  %1 = Resize(x, none, none, [2, 3, 6, 6])"),
        ({"sizes": 6}, ("n", 3, 4, 4), "  %1 = Resize(x, none, [1, 1, 1.5, 1.5])"),
        # 49 times the float32 that is nearest to 1/49 is less than 1, if not rounded.
        (
            {"sizes": 1},
            ("n", 3, 49, 49),
            (
                "  %1 = Shape(x, end=1)\n"
                "  %2 = Concat(%1, [3], [1], [1], axis=0)\n"
                "  %3 = Resize(x, none, none, %2)"
            ),
        ),
        (
            {"sizes": 5, "keep_aspect_ratio_policy": "not_larger"},
            ("n", 3, 4, 2),
            (
                "  %1 = Resize(x, none, none, [5, 5], axes=[2, 3], "
                "keep_aspect_ratio_policy=not_larger)"
            ),
        ),
    ],
)
def test_all_axes_are_written_out(options: Any, shape: Any, text: str) -> None:
    assert resized_text(options, *shape) == text


class ChannelsLast(Layer):
    def __init__(self, **options: Any) -> None:
        self.options = options

    def call(self, x: Any) -> Any:
        y = ops.resize(ops.permute_dims(x, (0, 3, 1, 2)), **self.options)
        return ops.permute_dims(y, (0, 2, 3, 1))


@pytest.mark.parametrize("options", [{"scales": 2}, {"sizes": (5, 3)}, {"sizes": (1, 7)}])
def test_onnxruntime_moves_transposes_past_it(options: Any, tmp_path: Any) -> None:
    layer = ChannelsLast(mode="linear", **options)
    program = gx.compile(gx.trace(layer, TensorSpec(("n", 49, 4, 3))))
    gx.export(program, tmp_path / "resize.onnx")  # and verifies


def test_a_region_and_ratios() -> None:
    options = {
        "sizes": (3, 3), "roi": (0, 0.5, 1, 1.5), "mode": "linear", "extrapolation_value": -1.0,
        "coordinate_transformation_mode": "tf_crop_and_resize",
    }  # fmt: skip
    y = ops.resize(X, **options)
    assert (y[..., 2] == -1).all()
    np.testing.assert_array_equal(run(lambda x: ops.resize(x, **options), X), y)
    assert ops.resize(X, 10, keep_aspect_ratio_policy="not_larger").shape == (2, 3, 8, 10)
    assert ops.resize(X, 10, keep_aspect_ratio_policy="not_smaller").shape == (2, 3, 10, 13)


class Resizes(Layer):
    def __init__(self, **options: Any) -> None:
        self.options = options

    def call(self, x: Any) -> Any:
        return ops.resize(x, **self.options)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"scales": 2}, "[n, 3, 2*h, 10]"),
        ({"scales": (0.5, 1)}, "[n, 3, floor(h/2), 5]"),
        ({"scales": (0.75, 1)}, "[n, 3, floor(3*h/4), 5]"),
        ({"sizes": (7, 6)}, "[n, 3, 7, 6]"),
    ],
)
def test_symbolic_sizes(options: Any, shape: str) -> None:
    graph = gx.trace(Resizes(**options), TensorSpec(("n", 3, "h", 5)))
    assert shape == "[" + ", ".join(map(str, graph.outputs[0].shape)) + "]"
    x = random((2, 3, 7, 5))
    np.testing.assert_array_equal(gx.compile(graph)(x), ops.resize(x, **options))


class ToSizeOf(Layer):
    def call(self, x: Any, other: Any) -> Any:
        return ops.resize(x, other.shape[2:], mode="linear")


def test_sizes_of_another_tensor(tmp_path: Any) -> None:
    graph = gx.trace(ToSizeOf(), TensorSpec((1, 2, 3, 4)), TensorSpec((1, 1, "h", "w")))
    assert str(graph.outputs[0].spec) == "float32[1, 2, h, w]"
    x, other = random((1, 2, 3, 4)), random((1, 1, 5, 2))
    program = gx.compile(graph)
    np.testing.assert_array_equal(program(x, other), ToSizeOf()(x, other))
    gx.export(program, tmp_path / "resize.onnx")


COORDINATES_TEXT = (
    "half_pixel, half_pixel_symmetric, pytorch_half_pixel, align_corners, asymmetric, "
    "tf_crop_and_resize"
)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "^resize needs either sizes or scales$"),
        ({"sizes": 3, "scales": 2}, "^resize needs either sizes or scales$"),
        ({"sizes": (3, 0)}, r"sizes are more than 0, got \[2, 3, 3, 0\]"),
        ({"scales": (2, -1)}, r"scales are more than 0, got \[1.0, 1.0, 2.0, -1.0\]"),
        ({"sizes": (3, 3), "axes": 2}, r"needs sizes for 1 axes, got \[3, 3\]"),
        ({"scales": 2, "axes": 4}, "axis 4 is out of range for 4 dimensions"),
        ({"scales": 2, "axes": (2, -2)}, r"axes \[2, -2\] name an axis twice"),
        ({"scales": 2, "mode": "area"}, "mode is one of nearest, linear, cubic; got 'area'"),
        (
            {"scales": 2, "coordinate_transformation_mode": "corners"},
            f"coordinate_transformation_mode is one of {COORDINATES_TEXT}; got 'corners'",
        ),
        (
            {"scales": 2, "nearest_mode": "round"},
            "one of round_prefer_floor, round_prefer_ceil, floor, ceil; got 'round'",
        ),
        ({"scales": 2, "antialias": True}, "antialias is for the modes linear and cubic"),
        (
            {"sizes": 3, "keep_aspect_ratio_policy": "crop"},
            "keep_aspect_ratio_policy is stretch, not_larger, not_smaller; got 'crop'",
        ),
        (
            {"sizes": 3, "coordinate_transformation_mode": "tf_crop_and_resize"},
            "needs a roi of 8 numbers, the starts and then the ends of 4 axes, got none",
        ),
        (
            {"sizes": 3, "coordinate_transformation_mode": "tf_crop_and_resize", "roi": (0, 1)},
            r"needs a roi of 4 numbers.*got \[2\]",
        ),
    ],
)
def test_refused(options: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        ops.resize(X, **options)
    with pytest.raises(ShapeError, match=message):
        record(lambda x: ops.resize(x, **options), X)


@pytest.mark.parametrize(
    ("dtype", "options", "message"),
    [
        (
            "bool",
            {"mode": "linear"},
            r"Resize\(bool\[2, 3, 4, 5\].*needs a numeric dtype, got bool",
        ),
        ("int32", {"mode": "cubic"}, "needs a floating dtype, got int32"),
        ("int32", {"mode": "linear", "antialias": True}, "needs a floating dtype, got int32"),
    ],
)
def test_dtypes_refused(dtype: str, options: Any, message: str) -> None:
    x = random((2, 3, 4, 5), dtype)
    with pytest.raises(DTypeError, match=message):
        ops.resize(x, 6, **options)
    with pytest.raises(DTypeError, match=message):
        record(lambda x: ops.resize(x, 6, **options), x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"scales": 0.3},
            (
                "the symbolic size h times 0.3 has no exact name; give sizes in place of scales, "
                "or a scale such as 2 or 0.75"
            ),
        ),
        (
            {"sizes": 4, "keep_aspect_ratio_policy": "not_larger"},
            r"policy='not_larger' needs numbers as sizes, got \[1, 1, h, 4\] and sizes \[4, 4\]",
        ),
    ],
)
def test_symbolic_sizes_refused(options: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        gx.trace(Resizes(**options), TensorSpec((1, 1, "h", 4)))


@pytest.mark.parametrize(
    ("function", "numbers"),
    [
        (lambda x, n: ops.resize(x, n, mode="linear"), np.asarray([6, 7])),
        (lambda x, n: ops.resize(x, n), np.asarray(5)),
        (lambda x, n: ops.resize(x, scales=n, mode="linear"), np.asarray([1.5, 2], np.float32)),
        (lambda x, n: ops.resize(x, scales=n), np.asarray(0.5, np.float32)),
        (lambda x, n: ops.resize(x, scales=(2, n)), np.asarray(1.5, np.float32)),
        (
            lambda x, n: ops.resize(
                x, (3, 5), roi=n, coordinate_transformation_mode="tf_crop_and_resize"
            ),
            np.asarray([0.1, 0.2, 0.8, 0.9], np.float32),
        ),
    ],
)
def test_numbers_that_data_decides(function: Any, numbers: Any, tmp_path: Path) -> None:
    agree(
        lambda x, n: function(x, n) * 1, random((1, 2, 4, 4)), numbers, folder=tmp_path,
        verify=False,
    )  # fmt: skip


def test_scales_that_only_data_tells_give_unknown_sizes() -> None:
    builder = Builder()
    x = builder.input(TensorSpec((1, 1, 3, 4)), "x")
    scales = builder.input(TensorSpec((4,)), "scales")
    [(shape, _)] = TABLE["Resize"].infer_outputs([x, None, scales], {})
    assert all(isinstance(dim, Dim) and dim.is_unknown for dim in shape)


def test_operands_without_elements_are_none() -> None:
    # As models that older tools wrote have it.
    none = np.zeros(0, np.float32)
    y = TABLE["Resize"](X, none, none, np.array((2, 3, 6, 6)))
    np.testing.assert_array_equal(y, ops.resize(X, (6, 6)))
