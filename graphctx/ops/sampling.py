"""Sampling of images between their elements: grids, regions of interest, deformable kernels.

Where to look is the same for all channels: indices and weights are computed once an image, then
elements are gathered for all channels together, one neighbour after the other.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from graphctx.errors import DTypeError, ShapeError
from graphctx.graph import Node, Value
from graphctx.ops.rules import half_in_single, one_floating_dtype
from graphctx.ops.shape import shape_entries, shape_operand, with_recorder
from graphctx.ops.table import Inferred, common_dtype, known_dims, op, require_kind, require_rank
from graphctx.ops.windows import (
    Ints,
    Windows,
    axes_of_space,
    key_of,
    layout_of,
    require_image,
    window_attrs,
)
from graphctx.spec import (
    dtype_name,
    is_multiple,
    may_be_same,
    require_same_dim,
    shape_text,
    size_of,
)

INT64 = np.dtype(np.int64)

# -- grids ----------------------------------------------------------------------------------------


def _infer_affine_grid(theta: Value, size: Value, *, align_corners: int = 0) -> Inferred:
    require_kind(theta, "f", "a floating dtype")
    require_rank(theta, 3, "theta [N, 2, 3] or [N, 3, 4]")
    require_rank(size, 1, "the size")
    batch, _, *space = known_dims(size, "the size")
    rank = len(space)
    fits = rank in (2, 3) and all(map(may_be_same, theta.shape[1:], (rank, rank + 1)))
    if not fits:
        raise ShapeError(
            f"theta is [N, 2, 3] for a size [N, C, H, W] and [N, 3, 4] for [N, C, D, H, W], got "
            f"{shape_text(theta.shape)} and a size of {rank + 2} numbers"
        )
    require_same_dim(theta.shape[0], batch, "the batches of theta and of the size differ")
    return (batch, *space, rank), theta.dtype


def _centers(count: int, align_corners: int, dtype: Any) -> Any:
    """Where the elements of an axis lie, between -1 and 1."""
    if align_corners:
        # A single element lies at the end, as in onnxruntime.
        return np.linspace(-1 if count > 1 else 1, 1, count).astype(dtype)
    return ((2 * np.arange(count) + 1) / max(count, 1) - 1).astype(dtype)


@op("AffineGrid", since=20, infer=_infer_affine_grid)
@half_in_single
def affine_grid_op(theta: Any, size: Any, *, align_corners: int = 0) -> Any:
    """Where an affine map takes the elements of an image: [N, H, W, 2] or [N, D, H, W, 3]."""
    one_floating_dtype(theta)
    space = size.tolist()[2:]
    rank = len(space)
    if theta.shape != (int(size[0]), rank, rank + 1):
        raise ValueError("theta does not fit the size")
    y = np.empty((theta.shape[0], *space, rank), theta.dtype)
    # Coordinates are x, y, z: the last axis of the image is the first of them.
    *outer, inner = (_centers(count, align_corners, theta.dtype) for count in space)
    single = (..., *(None,) * (rank - 1))
    for c in range(rank):
        rest = theta[:, c, rank][single]
        for axis, place in enumerate(outer):
            factor = theta[:, c, rank - 1 - axis][single]
            rest = rest + factor * place.reshape(-1, *(1,) * (rank - 2 - axis))
        np.add(rest[..., None], theta[:, c, 0][single][..., None] * inner, out=y[..., c])
    return y


def affine_grid(theta: Any, size: Any, *, align_corners: bool = False) -> Any:
    """Where an affine map takes the elements of an image, for `grid_sample`.

    Jaderberg et al., "Spatial transformer networks" (2015).

    Args:
        theta: floats [N, 2, 3] or [N, 3, 4]: each a matrix that is multiplied by `(x, y, 1)` or
            `(x, y, z, 1)`, of coordinates from -1 to 1.
        size: of the images, [N, C, H, W] or [N, C, D, H, W]; some of it may be symbolic.
        align_corners: whether -1 and 1 are the centers of the outermost elements; otherwise they
            are their outer edges.

    Returns:
        [N, H, W, 2] or [N, D, H, W, 3].

    Raises:
        ShapeError: theta and the size do not fit.
    """
    theta, recorder = with_recorder(theta, size)
    attrs = {"align_corners": 1} if align_corners else {}
    return affine_grid_op(theta, shape_operand(recorder, shape_entries(size)), **attrs)


MODES = ("linear", "nearest", "cubic")
PADDINGS = ("zeros", "border", "reflection")
CUBIC = -0.75
"""The coefficient of Keys, Cubic convolution interpolation for digital image processing (1981)."""


def _infer_grid_sample(
    X: Value, grid: Value, *, align_corners: int = 0, mode: str = "linear",
    padding_mode: str = "zeros",
) -> Inferred:  # fmt: skip
    for what, given, known in (("mode", mode, MODES), ("padding_mode", padding_mode, PADDINGS)):
        if given not in known:
            raise ShapeError(f"{what} is one of {', '.join(known)}; got {given!r}")
    if mode == "nearest":
        require_kind(X, "biufcO", "a dtype with elements")
    else:
        require_kind(X, "biufc", "numbers or bools to interpolate")
    require_kind(grid, "f", "a floating dtype as grid")
    rank = X.rank - 2
    if rank < 1 or grid.rank != X.rank or not may_be_same(grid.shape[-1], rank):
        raise ShapeError(
            f"a grid is [N, D1, ..., number of axes of space] for images [N, C, D1, ...], got "
            f"{shape_text(grid.shape)} for {shape_text(X.shape)}"
        )
    require_same_dim(X.shape[0], grid.shape[0], "the batches of the images and the grid differ")
    return (*X.shape[:2], *grid.shape[1:-1]), X.dtype


def _reflected(x: Any, low: float, high: float) -> Any:
    """Coordinates folded back at the borders until they lie between them."""
    span = high - low
    if span <= 0:
        return np.full_like(x, low)
    beyond = np.maximum(low - x, x - high)
    turns = np.floor(beyond / span)
    rest = (beyond - turns * span).astype(x.dtype)
    from_low = (x < low) == (turns % 2 == 0)
    folded = np.where(from_low, low + rest, high - rest)
    return np.where((x >= low) & (x <= high), x, folded).astype(x.dtype)


def _cubic_weights(x: Any) -> tuple[Any, ...]:
    """Weights of the four neighbours, for the distance to the second one."""
    a = x.dtype.type(CUBIC)

    def far(t: Any) -> Any:
        return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a

    def near(t: Any) -> Any:
        return ((a + 2) * t - (a + 3)) * t * t + 1

    return far(x + 1), near(x), near(1 - x), far(2 - x)


@np.errstate(invalid="ignore")  # of what is infinitely far away
def _neighbours(
    x: Any, size: int, low: float, high: float, mode: str, padding: str
) -> list[tuple[Any, Any, Any]]:
    """The neighbours of samples along one axis: indices, weights, and which are in the image.

    None stands for weights that are 1, and where all are.
    """
    if mode == "nearest":
        x = np.rint(x)
    outside = (x < low) | (x > high)
    if padding == "border" and mode != "cubic":
        x = np.where(outside, x.clip(0, size - 1), x)
    elif padding == "reflection":
        x = np.where(outside, _reflected(x, low, high), x)
    first = np.floor(x)
    rest = x - first
    weights: tuple[Any, ...] = (None,)
    if mode == "linear":
        weights = (1 - rest, rest)
    elif mode == "cubic":
        weights = _cubic_weights(rest)
        first -= 1
    found = []
    for tap, weight in enumerate(weights):
        at = first + tap
        there = None
        if padding == "zeros":
            there = (at >= 0) & (at < size)
        elif padding == "reflection":
            at = np.trunc(_reflected(at, low, high))
        # NaN is nowhere; what was clipped there weighs NaN, too, or is not there.
        index = np.nan_to_num(at.clip(0, size - 1), nan=0).astype(np.intp)
        found.append((index, weight, there))
    return found


@op("GridSample", since=16, infer=_infer_grid_sample)
def grid_sample_op(
    X: Any, grid: Any, *, align_corners: int = 0, mode: str = "linear",
    padding_mode: str = "zeros",
) -> Any:  # fmt: skip
    """Images sampled at the places of a grid, [N, C, D1, ...], between their elements."""
    if X.shape[0] != grid.shape[0] or X.ndim != grid.ndim or grid.shape[-1] != X.ndim - 2:
        raise ValueError("the grid does not fit")
    if mode not in MODES or padding_mode not in PADDINGS:
        raise ValueError("an unknown mode")
    one_floating_dtype(grid)
    if X.dtype == object and mode != "nearest":
        raise ValueError("strings lie on no line")
    batch, channels, *sizes = X.shape
    wide = np.dtype(np.float64 if X.dtype in (np.float64, np.complex128) else np.float32)
    dtype = X.dtype if mode == "nearest" or X.dtype.kind == "c" else wide
    y = np.full((batch, channels, math.prod(grid.shape[1:-1])), _nothing(dtype), dtype)
    for n in range(0 if 0 in sizes else batch):
        places = grid[n].astype(wide, copy=False).reshape(-1, len(sizes))
        axes = []
        for i, size in enumerate(sizes):
            x = places[:, len(sizes) - 1 - i]
            low, high = (0.0, size - 1.0) if align_corners else (-0.5, size - 0.5)
            x = (x + 1) / 2 * (size - 1) if align_corners else ((x + 1) * size - 1) / 2
            axes.append(_neighbours(x, size, low, high, mode, padding_mode))
        image = X[n].reshape(channels, -1)
        _gather(image, sizes, axes, y[n])
    with np.errstate(invalid="ignore", over="ignore"):
        return y.reshape(batch, channels, *grid.shape[1:-1]).astype(X.dtype, copy=False)


def _nothing(dtype: Any) -> Any:
    return "" if dtype == object else 0


def _gather(image: Any, sizes: Sequence[int], axes: Sequence[Any], out: Any) -> None:
    """Write the weighted sum of the neighbours along all axes into [channels, samples]."""
    # All channels of an element lie side by side, and behind the last element what is outside.
    outside = image.shape[1]
    rows = np.full((outside + 1, len(image)), _nothing(out.dtype), out.dtype)
    rows[:-1] = image.T
    total: Any = None
    for taps in itertools.product(*axes):
        index: Any = 0
        weight: Any = None
        there: Any = None
        for (at, w, t), size in zip(taps, sizes, strict=True):
            index = index * size + at
            weight = w if weight is None else weight * w
            there = t if there is None else there & t
        if there is not None:
            index = np.where(there, index, outside)
        part = rows.take(index, axis=0)
        if weight is not None:
            part *= weight[:, None]
        total = part if total is None else np.add(total, part, out=total)
    out[...] = total.T


def grid_sample(
    x: Any, grid: Any, *, mode: str = "linear", padding_mode: str = "zeros",
    align_corners: bool = False,
) -> Any:  # fmt: skip
    """Sample images at the places of a grid, between their elements.

    Args:
        x: [N, C, D1, ...] of numbers, with any number of axes of space; for "nearest" of any
            dtype.
        grid: floats [N, E1, ..., number of axes of space]; coordinates from -1 to 1, that of the
            last axis of space first, as `affine_grid` makes them.
        mode: "linear" between the neighbours along all axes, "nearest" (halfway to the even one),
            or "cubic" (Keys 1981, with the coefficient -0.75).
        padding_mode: what lies outside: "zeros", the elements at the "border", or the image by
            "reflection" at its border.
        align_corners: whether -1 and 1 are the centers of the outermost elements; otherwise they
            are their outer edges.

    Returns:
        [N, C, E1, ...], of the dtype of x; integers are cut off. onnxruntime has kernels for images
        of floats with two axes of space, and with three for other modes than "cubic".

    Raises:
        ShapeError: the grid does not fit the images, or a mode is unknown.
    """
    attrs: dict[str, Any] = {"align_corners": 1} if align_corners else {}
    if mode != "linear":
        attrs["mode"] = mode
    if padding_mode != "zeros":
        attrs["padding_mode"] = padding_mode
    return grid_sample_op(x, grid, **attrs)


# -- regions of interest --------------------------------------------------------------------------


def _check_regions(X: Value, rois: Value, columns: int) -> None:
    require_kind(X, "f", "a floating dtype")
    common_dtype((X, rois))
    require_rank(X, 4, "the images [N, C, H, W]")
    if rois.rank != 2 or not may_be_same(rois.shape[1], columns):
        raise ShapeError(f"rois are [regions, {columns}], got {shape_text(rois.shape)}")


def _infer_max_roi_pool(
    X: Value, rois: Value, *, pooled_shape: Sequence[int], spatial_scale: float = 1.0
) -> Inferred:
    _check_regions(X, rois, 5)
    if len(pooled_shape) != 2 or min(pooled_shape) < 1:
        raise ShapeError(f"pooled_shape is two numbers of at least 1, got {list(pooled_shape)}")
    return (rois.shape[0], X.shape[1], *pooled_shape), X.dtype


def _bins(start: int, end: int, count: int, size: int) -> Iterator[tuple[int, slice]]:
    """The parts of a region along an axis of which some lie in the image, with their numbers."""
    # In single precision, as onnxruntime computes it: where a part begins may depend on that.
    extent = np.float32(max(end - start + 1, 1)) / np.float32(count)
    for i in range(count):
        first = min(max(start + math.floor(np.float32(i) * extent), 0), size)
        last = min(max(start + math.ceil(np.float32(i + 1) * extent), 0), size)
        if first < last:
            yield i, slice(first, last)


def _image_of(number: Any, batch: int) -> int:
    image = int(number)
    if not 0 <= image < batch:
        raise ValueError(f"a region is of image {image}, and there are {batch}")
    return image


@op("MaxRoiPool", since=1, infer=_infer_max_roi_pool)
def max_roi_pool_op(
    X: Any, rois: Any, *, pooled_shape: Sequence[int], spatial_scale: float = 1.0
) -> Any:
    """Largest elements of the parts of regions of images; 0 for parts outside."""
    one_floating_dtype(X, rois)
    rows, columns = pooled_shape
    batch, channels, height, width = X.shape
    if min(pooled_shape) < 1 or rois.shape[1:] != (5,):
        raise ValueError("the regions do not fit")
    y = np.zeros((len(rois), channels, rows, columns), X.dtype)
    wide = np.result_type(rois.dtype, np.float32)
    for region, part in zip(rois.astype(wide, copy=False), y, strict=True):
        image = X[_image_of(region[0], batch)]
        # Halfway is rounded away from zero, as C does.
        scaled = region[1:] * wide.type(spatial_scale)
        left, top, right, bottom = np.trunc(scaled + np.copysign(0.5, scaled)).astype(int).tolist()
        for i, places in _bins(top, bottom, rows, height):
            strip = np.maximum.reduce(image[:, places], axis=1)
            for j, beside in _bins(left, right, columns, width):
                part[:, i, j] = np.maximum.reduce(strip[:, beside], axis=1)
    return y


def max_roi_pool(x: Any, rois: Any, pooled_shape: Any, *, spatial_scale: float = 1.0) -> Any:
    """Largest elements of regions of images, each cut into as many parts.

    Girshick, "Fast R-CNN" (2015).

    Args:
        x: [N, C, H, W].
        rois: [regions, 5]: number of the image, then left, top, right and bottom, inclusive.
        pooled_shape: rows and columns of parts.
        spatial_scale: factor from the coordinates of regions to those of x.

    Returns:
        [regions, C, rows, columns]; 0 for parts that lie outside. onnxruntime has kernels for files
        of opsets up to 21, as files with it are unless another operator needs more.

    Raises:
        ShapeError: the operands do not fit, or a region is of an image that is not there.
    """
    attrs: dict[str, Any] = {"pooled_shape": tuple(operator.index(n) for n in pooled_shape)}
    if spatial_scale != 1:
        attrs["spatial_scale"] = float(spatial_scale)
    return max_roi_pool_op(x, rois, **attrs)


TRANSFORMS = ("half_pixel", "output_half_pixel")


def _infer_roi_align(
    X: Value, rois: Value, batch_indices: Value, *,
    coordinate_transformation_mode: str = "half_pixel", mode: str = "avg", output_height: int = 1,
    output_width: int = 1, sampling_ratio: int = 0, spatial_scale: float = 1.0,
) -> Inferred:  # fmt: skip
    for what, given, known in (
        ("mode", mode, ("avg", "max")),
        ("coordinate_transformation_mode", coordinate_transformation_mode, TRANSFORMS),
    ):
        if given not in known:
            raise ShapeError(f"{what} is {' or '.join(known)}; got {given!r}")
    _check_regions(X, rois, 4)
    if batch_indices.dtype != INT64:
        raise DTypeError(f"batch_indices are int64, got {dtype_name(batch_indices.dtype)}")
    require_rank(batch_indices, 1, "batch_indices")
    require_same_dim(rois.shape[0], batch_indices.shape[0], "each region has a batch index")
    if min(output_height, output_width) < 1 or sampling_ratio < 0:
        raise ShapeError(
            f"output_height and output_width are at least 1, sampling_ratio at least 0; got "
            f"{output_height}, {output_width}, {sampling_ratio}"
        )
    return (rois.shape[0], X.shape[1], output_height, output_width), X.dtype


class _Samples:
    """Where a region is sampled along one axis.

    Attributes:
        low, high: [parts * samples]: indices of the neighbours.
        near, far: their weights; 0 for samples outside of the image.
        each: number of samples of a part.
    """

    def __init__(
        self, start: Any, extent: Any, parts: int, each: int, size: int, dtype: Any
    ) -> None:
        self.each = each
        step = extent / dtype.type(parts)
        part = np.arange(parts, dtype=dtype)[:, None] * step
        x = start + part + (np.arange(each, dtype=dtype) + dtype.type(0.5)) * step / max(each, 1)
        x = x.reshape(-1)
        inside = (x >= -1) & (x <= size)
        x = x.clip(0, size - 1)
        self.low = x.astype(np.intp)
        self.high = np.minimum(self.low + 1, size - 1)
        far = x - self.low
        self.far = np.where(inside, far, 0).astype(dtype)
        self.near = np.where(inside, 1 - far, 0).astype(dtype)

    def matrix(self, first: int, last: int) -> Any:
        """[parts, last - first]: how much each element counts in the sum over the samples."""
        parts = len(self.low) // self.each
        found = np.zeros((parts, last - first), self.near.dtype)
        rows = np.repeat(np.arange(parts), self.each)
        np.add.at(found, (rows, self.low - first), self.near)
        np.add.at(found, (rows, self.high - first), self.far)
        return found


@op("RoiAlign", since=16, infer=_infer_roi_align)
@half_in_single
def roi_align_op(
    X: Any, rois: Any, batch_indices: Any, *, coordinate_transformation_mode: str = "half_pixel",
    mode: str = "avg", output_height: int = 1, output_width: int = 1, sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> Any:  # fmt: skip
    """Means, or maxima, of samples of the parts of regions of images.

    Samples lie between elements. The mean of their interpolations is a product of two matrices and
    the image; a maximum is of the four weighted neighbours of all samples, as in onnxruntime.
    """
    one_floating_dtype(X, rois)
    batch, channels, height, width = X.shape
    if mode not in ("avg", "max") or coordinate_transformation_mode not in TRANSFORMS:
        raise ValueError("an unknown mode")
    if min(output_height, output_width) < 1 or sampling_ratio < 0 or rois.shape[1:] != (4,):
        raise ValueError("the regions do not fit")
    y = np.zeros((len(rois), channels, output_height, output_width), X.dtype)
    if not (height and width):
        return y
    half = coordinate_transformation_mode == "half_pixel"
    scaled = rois * X.dtype.type(spatial_scale)
    if half:
        scaled = scaled - X.dtype.type(0.5)
    for number, (x0, y0, x1, y1), part in zip(batch_indices, scaled, y, strict=True):
        image = X[_image_of(number, batch)]
        axes = []
        for start, end, parts, size in (
            (y0, y1, output_height, height), (x0, x1, output_width, width)
        ):  # fmt: skip
            extent = end - start
            if not half:
                extent = max(extent, X.dtype.type(1))  # a region has at least one element
            each = sampling_ratio or math.ceil(extent / parts)
            axes.append(_Samples(start, extent, parts, max(each, 0), size, X.dtype))
        rows, columns = axes
        if not rows.each or not columns.each:
            continue  # nothing of it
        if mode == "avg":
            top, bottom = rows.low.min(), rows.high.max() + 1
            left, right = columns.low.min(), columns.high.max() + 1
            narrow = image[:, top:bottom, left:right] @ columns.matrix(left, right).T
            np.matmul(rows.matrix(top, bottom), narrow, out=part)
            part /= rows.each * columns.each
        else:
            part[...] = _largest_sample(image, rows, columns, part.shape)
    return y


def _largest_sample(image: Any, rows: _Samples, columns: _Samples, shape: Sequence[int]) -> Any:
    largest = None
    for i, u in ((rows.low, rows.near), (rows.high, rows.far)):
        for j, v in ((columns.low, columns.near), (columns.high, columns.far)):
            weighted = image[:, i[:, None], j] * (u[:, None] * v)
            largest = weighted if largest is None else np.maximum(largest, weighted, out=largest)
    assert largest is not None
    channels, height, width = shape
    split = largest.reshape(channels, height, rows.each, width, columns.each)
    return np.maximum.reduce(split, axis=(2, 4))


def roi_align(
    x: Any, rois: Any, batch_indices: Any, output_size: Any, *, mode: str = "avg",
    sampling_ratio: int = 0, spatial_scale: float = 1.0, aligned: bool = True,
) -> Any:  # fmt: skip
    """Sample regions of images, each cut into as many parts (He et al., "Mask R-CNN", 2017).

    Args:
        x: floats [N, C, H, W].
        rois: [regions, 4]: left, top, right, bottom.
        batch_indices: int64 [regions]: number of the image of each.
        output_size: rows and columns of parts, or a number for both.
        mode: "avg" for the mean of the samples of a part; "max" for the largest of their weighted
            neighbours.
        sampling_ratio: samples of a part along each axis; 0 for as many as it has elements.
        spatial_scale: factor from the coordinates of regions to those of x.
        aligned: whether coordinates are moved by half an element, which is better; otherwise
            regions are at least one element large.

    Returns:
        [regions, C, rows, columns]. onnxruntime has kernels for files of opsets up to 21.

    Raises:
        ShapeError: the operands do not fit, or a region is of an image that is not there.
    """
    single = isinstance(output_size, (int, np.integer))
    height, width = (output_size,) * 2 if single else output_size
    attrs: dict[str, Any] = {
        "output_height": operator.index(height), "output_width": operator.index(width),
        "mode": mode, "sampling_ratio": operator.index(sampling_ratio),
        "spatial_scale": float(spatial_scale),
        "coordinate_transformation_mode": TRANSFORMS[not aligned],
    }  # fmt: skip
    attrs = {name: value for name, value in attrs.items() if value != roi_align_op.defaults[name]}
    return roi_align_op(x, rois, batch_indices, **attrs)


# -- deformable convolution -----------------------------------------------------------------------


def _infer_deform_conv(
    X: Value, W: Value, offset: Value, B: Value | None = None, mask: Value | None = None, *,
    dilations: Ints = None, group: int = 1, kernel_shape: Ints = None, offset_group: int = 1,
    pads: Ints = None, strides: Ints = None,
) -> Inferred:  # fmt: skip
    require_image(X)
    common_dtype([value for value in (X, W, offset, B, mask) if value is not None])
    rank = X.rank - 2
    if W.rank != X.rank or offset.rank != X.rank:
        raise ShapeError(
            f"the kernel and the offsets need {X.rank} dimensions as the input has, got "
            f"{shape_text(W.shape)} and {shape_text(offset.shape)}"
        )
    kernel = W.shape[2:]
    if kernel_shape is not None and not all(map(may_be_same, kernel, kernel_shape)):
        raise ShapeError(f"kernel_shape {list(kernel_shape)} is not that of {shape_text(kernel)}")
    for count, groups, what in (
        (X.shape[1], group, "channels of the input"),
        (X.shape[1], offset_group, "channels of the input"),
        (W.shape[0], group, "output channels"),
    ):
        if not is_multiple(count, groups):
            raise ShapeError(f"{what} ({count}) must be a multiple of the groups ({groups})")
    require_same_dim(W.shape[1], X.shape[1] // group, "the kernel has the channels of a group")
    windows = Windows(kernel, strides, dilations, pads, "NOTSET")
    windows.check(rank)
    counts = windows.counts(X.shape[2:])
    taps = size_of(kernel) * offset_group
    wanted = [(offset, taps * rank, "offset")]
    if mask is not None:
        wanted.append((mask, taps, "mask"))
    for value, channels, what in wanted:
        shape = (X.shape[0], channels, *counts)
        if value.rank != X.rank or not all(map(may_be_same, value.shape, shape)):
            raise ShapeError(f"{what} needs the shape {shape_text(shape)}, got {value.spec}")
    if B is not None:
        require_rank(B, 1, "the bias")
        require_same_dim(B.shape[0], W.shape[0], "the bias has one number an output channel")
    return (X.shape[0], W.shape[0], *counts), X.dtype


def _deform_conv_adds(node: Node) -> Any:
    kernel = node.operands[1]
    assert kernel is not None
    return size_of(node.output.shape) * size_of(kernel.shape[1:])


@op("DeformConv", since=19, infer=_infer_deform_conv, multiply_adds=_deform_conv_adds)
@half_in_single
def deform_conv_op(
    X: Any, W: Any, offset: Any, B: Any = None, mask: Any = None, *, dilations: Ints = None,
    group: int = 1, kernel_shape: Ints = None, offset_group: int = 1, pads: Ints = None,
    strides: Ints = None,
) -> Any:  # fmt: skip
    """Convolution whose kernel has its elements at places of its own for each window."""
    one_floating_dtype(X, W, offset, B, mask)
    batch, channels, *sizes = X.shape
    kernel = W.shape[2:]
    outputs, depth = W.shape[:2]
    if W.ndim != X.ndim or depth * group != channels or outputs % group or channels % offset_group:
        raise ValueError("channels do not fit")
    if kernel_shape is not None and tuple(kernel_shape) != kernel:
        raise ValueError("kernel_shape does not fit")
    layout = layout_of(
        tuple(sizes), kernel, key_of(strides), key_of(dilations), key_of(pads), "NOTSET"
    )  # fmt: skip
    counts, taps, rank = layout.counts, layout.taps, len(sizes)
    shape = (batch, offset_group, taps)
    places = offset.reshape(*shape, rank, layout.places)
    masks = None if mask is None else mask.reshape(*shape, layout.places)
    if B is not None and B.shape != (outputs,):
        raise ValueError("the bias does not fit")
    base = _tap_places(layout.windows, counts, layout.widths, X.dtype)
    kernels = W.reshape(group, outputs // group, depth * taps)
    y = np.empty((batch, group, outputs // group, layout.places), X.dtype)
    columns = np.empty((offset_group, channels // offset_group, taps * layout.places), X.dtype)
    for n in range(batch):
        images = X[n].reshape(offset_group, channels // offset_group, -1)
        for g in range(offset_group):
            axes = [
                _neighbours((base[i] + places[n, g, :, i]).reshape(-1), size, 0, size, "linear",
                            "zeros")
                for i, size in enumerate(sizes)
            ]  # fmt: skip
            _gather(images[g], sizes, axes, columns[g])
            if masks is not None:
                columns[g] *= masks[n, g].reshape(-1)
        np.matmul(kernels, columns.reshape(group, depth * taps, layout.places), out=y[n])
    y = y.reshape(batch, outputs, *counts)
    if B is not None:
        y += B.reshape(-1, *(1,) * rank)
    return y


def _tap_places(windows: Windows, counts: Sequence[int], widths: Any, dtype: Any) -> list[Any]:
    """For each axis, where the elements of a kernel lie for each window: [taps, windows]."""
    found = []
    grids = np.indices((*windows.kernel, *counts)).astype(dtype)
    rank = len(counts)
    for i in range(rank):
        place = grids[i] * windows.dilations[i] + grids[rank + i] * windows.strides[i]
        place -= widths[i][0]
        found.append(place.reshape(math.prod(windows.kernel), -1))
    return found


def deform_conv(
    x: Any, w: Any, offset: Any, bias: Any = None, mask: Any = None, *, strides: Any = None,
    pads: Any = None, dilations: Any = None, group: int = 1, offset_group: int = 1,
) -> Any:  # fmt: skip
    """Convolution whose kernel has its elements at places of its own for each window.

    Dai et al., "Deformable convolutional networks" (2017); with a mask Zhu et al., "Deformable
    ConvNets v2" (2019).

    Args:
        x: floats [N, C, D1, ...].
        w: kernel [M, C / group, K1, ...].
        offset: [N, offset_group * elements of the kernel * axes, O1, ...]: how far from its place
            each element of the kernel is, along each axis. Between elements of x is interpolated;
            outside are zeros.
        bias: [M].
        mask: [N, offset_group * elements of the kernel, O1, ...]: factors of what is found there.
        strides: step between windows, a number or one an axis.
        pads: zeros around: a number, one an axis, or `before, ..., after, ...` of all axes.
        dilations: step between the elements of a kernel, a number or one an axis.
        group: channels are split into so many groups, each with its own kernels.
        offset_group: channels are split into so many groups, each with its own offsets.

    Returns:
        [N, M, O1, ...], with the sizes that `conv` gives.

    Raises:
        ShapeError: the operands do not fit.
    """
    attrs = window_attrs(axes_of_space(x), strides, dilations, pads)
    for name, value in (("group", group), ("offset_group", offset_group)):
        if value != 1:
            attrs[name] = operator.index(value)
    return deform_conv_op(x, w, offset, bias, mask, **attrs)
