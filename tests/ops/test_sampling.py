"""Grids, regions of interest and deformable kernels: onnxruntime, definitions, errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphctx import ops
from graphctx.errors import DTypeError, ShapeError
from graphctx.ops.table import TABLE
from tests.ops import onnxruntime_node
from tests.ops.agreement import agree
from tests.ops.build import random
from tests.ops.case import Case
from tests.ops.cases_sampling import BOXES, FEATURES, IMAGES, ROI

# -- against onnxruntime --------------------------------------------------------------------------


@pytest.mark.parametrize("case", ROI, ids=lambda case: case.op)
def test_regions_are_onnxruntimes_of_opset_21(case: Case, monkeypatch: Any) -> None:
    monkeypatch.setattr(onnxruntime_node, "opset_of", lambda _: 21)
    [expected] = onnxruntime_node.run(case, [np.dtype(np.float32)])
    y = TABLE[case.op].kernel(*case.operands, **case.attrs)
    np.testing.assert_allclose(y, expected, rtol=2e-5, atol=2e-5)


@settings(max_examples=60, deadline=None)
@given(
    space=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    mode=st.sampled_from(["linear", "nearest", "cubic"]),
    padding=st.sampled_from(["zeros", "border", "reflection"]),
    corners=st.booleans(),
    # Quarters of elements: what is halfway between two is often asked for.
    places=st.lists(st.tuples(st.integers(-40, 40), st.integers(-40, 40)), min_size=1, max_size=9),
)
def test_grid_sample_is_onnxruntimes(
    space: Any, mode: str, padding: str, corners: bool, places: Any
) -> None:
    height, width = space
    grid = np.asarray(places, np.float32)[None, None] / np.float32(8)
    attrs = {"mode": mode, "padding_mode": padding, "align_corners": int(corners)}
    case = Case("GridSample", (random((1, 2, height, width)), grid), attrs)
    if padding == "reflection" and corners and 1 in space:
        return  # nothing to reflect between: onnxruntime divides by 0
    [expected] = onnxruntime_node.run(case, [np.dtype(np.float32)])
    y = TABLE["GridSample"].kernel(*case.operands, **attrs)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


# -- what they mean -------------------------------------------------------------------------------


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 2, 3, 2, 4)])
def test_the_grid_of_no_change_gives_the_image(shape: Any, corners: bool) -> None:
    x = random(shape)
    rank = len(shape) - 2
    theta = np.eye(rank, rank + 1, dtype=np.float32)[None].repeat(shape[0], 0)
    grid = ops.affine_grid(theta, shape, align_corners=corners)
    for mode in ("nearest", "linear", "cubic"):
        y = ops.grid_sample(x, grid, mode=mode, padding_mode="border", align_corners=corners)
        np.testing.assert_allclose(y, x, rtol=1e-4, atol=1e-5)


def test_every_dtype_is_sampled() -> None:
    x, grid = random((1, 2, 3, 4)), random((1, 2, 3, 2), low=-1.5, high=1.5)
    for mode in ("nearest", "linear"):
        both = ops.grid_sample((x + 1j * x[..., ::-1]).astype(np.complex64), grid, mode=mode)
        assert both.dtype == np.complex64
        np.testing.assert_allclose(both.real, ops.grid_sample(x, grid, mode=mode), atol=1e-6)
    strings = np.arange(24).reshape(1, 2, 3, 4).astype(str).astype(object)
    found = ops.grid_sample(strings, grid, mode="nearest")
    numbers = ops.grid_sample(np.arange(1, 25).reshape(1, 2, 3, 4), grid, mode="nearest")
    wanted = ["" if n == 0 else str(n - 1) for n in numbers.reshape(-1)]
    assert found.reshape(-1).tolist() == wanted
    assert "" in wanted


def test_a_deformable_kernel_in_its_place_is_a_convolution() -> None:
    x, w, bias = random((2, 4, 7, 6)), random((6, 2, 3, 3)), random((6,))
    options: dict[str, Any] = {"strides": (2, 1), "pads": 1, "dilations": (1, 2), "group": 2}
    wanted = ops.conv(x, w, bias, **options)
    offset = np.zeros((2, 18, *wanted.shape[2:]), np.float32)
    np.testing.assert_allclose(
        ops.deform_conv(x, w, offset, bias, **options), wanted, rtol=1e-4, atol=1e-4
    )


def test_a_whole_element_is_a_shift() -> None:
    x, w = random((1, 1, 5, 5)), np.ones((1, 1, 1, 1), np.float32)
    offset = np.zeros((1, 2, 5, 5), np.float32)
    offset[:, 1] = 1
    y = ops.deform_conv(x, w, offset)
    np.testing.assert_array_equal(y[..., :-1], x[..., 1:])
    np.testing.assert_array_equal(y[..., -1], 0)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_what_is_no_place_in_a_grid(number: float, padding: str) -> None:
    grid = np.full((1, 1, 2, 2), number, np.float32)
    grid[0, 0, 1] = 0
    for mode in ("nearest", "linear", "cubic"):
        x = np.ones((1, 1, 3, 3), np.float32)
        y = ops.grid_sample(x, grid, mode=mode, padding_mode=padding)
        assert y[0, 0, 0, 1] == 1
        assert np.isnan(y[0, 0, 0, 0]) or y[0, 0, 0, 0] in (0, 1)


# -- programs and files ---------------------------------------------------------------------------


def test_a_spatial_transformer(tmp_path: Path) -> None:
    def transformed(x: Any, theta: Any) -> Any:
        return ops.grid_sample(x, ops.affine_grid(theta, x.shape), padding_mode="border")

    agree(
        transformed, random((2, 3, 5, 6)), random((2, 2, 3), seed=1), folder=tmp_path,
        symbolic={0: {0: "n", 2: "h", 3: "w"}, 1: {0: "n"}}, tolerance=1e-4,
    )  # fmt: skip


def test_a_grid_whose_size_data_decides(tmp_path: Path) -> None:
    agree(
        lambda theta, size: ops.affine_grid(theta, size), random((2, 2, 3)),
        np.asarray([2, 3, 4, 5]), folder=tmp_path, verify=False,
    )  # fmt: skip


def test_regions_in_a_file(tmp_path: Path) -> None:
    def regions(x: Any, rois: Any) -> Any:
        return ops.roi_align(x, rois, IMAGES, (3, 2), sampling_ratio=2, spatial_scale=0.5)

    symbolic = {0: {2: "h", 3: "w"}}
    agree(regions, FEATURES, BOXES, symbolic=symbolic, folder=tmp_path, tolerance=1e-4)


def test_pooled_regions_in_a_file(tmp_path: Path) -> None:
    def regions(x: Any, rois: Any) -> Any:
        return ops.max_roi_pool(x, rois, (2, 2))

    rois = np.concatenate([IMAGES[:, None].astype(np.float32), BOXES], 1)
    agree(regions, FEATURES, rois, folder=tmp_path, verify=False)


def test_deformable_convolution_with_a_symbolic_batch(tmp_path: Path) -> None:
    def layer(x: Any, offset: Any, mask: Any) -> Any:
        return ops.deform_conv(x, random((4, 3, 2, 2)), offset, None, mask, strides=2)

    arrays = random((2, 3, 6, 6)), random((2, 8, 3, 3), seed=1), random((2, 4, 3, 3), seed=2)
    symbolic = {i: {0: "n"} for i in range(3)}
    agree(layer, *arrays, symbolic=symbolic, folder=tmp_path, tolerance=1e-4)


# -- what they refuse -----------------------------------------------------------------------------

X, GRID = random((2, 3, 4, 5)), random((2, 6, 7, 2))
KERNEL, OFFSET = random((4, 3, 2, 2)), random((2, 8, 3, 4))
D = np.float64
WRONG: list[tuple[Any, type[Exception], str]] = [
    (lambda: ops.affine_grid(random((2, 3, 3)), (2, 1, 3, 4)), ShapeError,
     r"AffineGrid\(.*theta is \[N, 2, 3\] .* got \[2, 3, 3\] and a size of 4 numbers"),
    (lambda: ops.affine_grid(random((2, 2, 3)), (3, 1, 3, 4)), ShapeError, "the batches of theta"),
    (lambda: ops.affine_grid(random((2, 2, 3), "int32"), (2, 1, 3, 4)), DTypeError, "a floating"),
    (lambda: ops.grid_sample(X, GRID[:1]), ShapeError, "the batches of the images and the grid"),
    (lambda: ops.grid_sample(X, GRID[..., :1]), ShapeError, r"got \[2, 6, 7, 1\] for \[2, 3, 4"),
    (lambda: ops.grid_sample(X, GRID, mode="bilinear"), ShapeError,
     "mode is one of linear, nearest, cubic; got 'bilinear'"),
    (lambda: ops.grid_sample(X, GRID, padding_mode="wrap"), ShapeError, "padding_mode is one of"),
    (lambda: ops.grid_sample(X, GRID.astype(int)), DTypeError, "a floating dtype as grid"),
    (lambda: ops.grid_sample(X.astype(object), GRID), DTypeError,
     "needs numbers or bools to interpolate, got string"),
    (lambda: ops.roi_align(X, BOXES[:, :3], IMAGES, 2), ShapeError, r"rois are \[regions, 4\]"),
    (lambda: ops.roi_align(X, BOXES, IMAGES[:2], 2), ShapeError, "each region has a batch index"),
    (lambda: ops.roi_align(X, BOXES, IMAGES + 1, 2), ShapeError,
     "RoiAlign.*a region is of image 2, and there are 2"),
    (lambda: ops.roi_align(X, BOXES, IMAGES, 0), ShapeError, "output_width are at least 1"),
    (lambda: ops.roi_align(X, BOXES, IMAGES, 2, mode="sum"), ShapeError, "mode is avg or max; got"),
    (lambda: ops.roi_align(X, BOXES.astype(D), IMAGES, 2), DTypeError, "operands need one dtype"),
    (lambda: ops.max_roi_pool(X, BOXES, (2, 2)), ShapeError, r"rois are \[regions, 5\], got"),
    (lambda: ops.max_roi_pool(X, random((2, 5)), (2, 0)), ShapeError, "pooled_shape is two"),
    (lambda: ops.deform_conv(X, KERNEL, OFFSET[:, :6]), ShapeError,
     r"offset needs the shape \[2, 8, 3, 4\], got float32\[2, 6, 3, 4\]"),
    (lambda: ops.deform_conv(X, KERNEL, OFFSET, None, OFFSET), ShapeError,
     r"mask needs the shape \[2, 4, 3, 4\]"),
    (lambda: ops.deform_conv(X, KERNEL, OFFSET, group=2), ShapeError,
     r"channels of the input \(3\) must be a multiple of the groups \(2\)"),
    (lambda: ops.deform_conv(X, KERNEL[:, :2], OFFSET), ShapeError, "the channels of a group: 2"),
    (lambda: ops.deform_conv(X, KERNEL, OFFSET, random((3,))), ShapeError, "the bias has one"),
    (lambda: ops.deform_conv(X, KERNEL[0], OFFSET), ShapeError, "need 4 dimensions as the input"),
    (lambda: ops.deform_conv(X, KERNEL, OFFSET.astype(D)), DTypeError, "operands need one dtype"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), WRONG)
def test_wrong_operands(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.parametrize(
    ("op", "operands", "attrs", "message"),
    [
        ("RoiAlign", (FEATURES, BOXES, IMAGES), {"coordinate_transformation_mode": "pixel"},
         "half_pixel or output_half_pixel; got 'pixel'"),
        ("DeformConv", (X, KERNEL, OFFSET), {"kernel_shape": (3, 3)}, r"kernel_shape \[3, 3\] is"),
    ],
)  # fmt: skip
def test_wrong_attributes(op: str, operands: Any, attrs: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        TABLE[op](*operands, **attrs)
