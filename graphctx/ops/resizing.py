"""Resizing: every axis interpolated by itself, as indices into it and weights of what is there."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from graphctx.errors import ShapeError
from graphctx.graph import Value
from graphctx.ops.shape import concat, reshape, shape_entries, shape_operand, with_recorder
from graphctx.ops.table import Inferred, known_dims, normalize_axes, op, require_kind
from graphctx.spec import (
    Dim,
    DimLike,
    Shape,
    is_static,
    joined_shape,
    kind_of,
    same_dim,
    shape_text,
)
from graphctx.tensor import ArrayOperators, Tensor, where

Region = tuple[float, float]
ALL: Region = (0.0, 1.0)

MODES = ("nearest", "linear", "cubic")
NEAREST_MODES = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
POLICIES = ("stretch", "not_larger", "not_smaller")
COORDINATES = (
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
    "tf_crop_and_resize",
)  # fmt: skip

# -- the sizes of a result ------------------------------------------------------------------------


def _resized(
    shape: Shape,
    axes: Sequence[int] | None,
    scales: Sequence[float] | None,
    sizes: Sequence[DimLike] | None,
    policy: str,
) -> tuple[Shape, dict[int, float]]:
    """The shape of a result, and the scale of each axis that is resized.

    The scale of an axis is missing where sizes are symbolic.

    Raises:
        ShapeError: neither scales nor sizes are given, or both, or they do not fit the shape.
    """
    along = tuple(range(len(shape))) if axes is None else normalize_axes(axes, len(shape))
    if (scales is None) == (sizes is None):
        raise ShapeError("needs either scales or sizes")
    if policy not in POLICIES:
        raise ShapeError(f"keep_aspect_ratio_policy is {', '.join(POLICIES)}; got {policy!r}")
    before = [shape[axis] for axis in along]
    if sizes is None:
        assert scales is not None
        _check("scales", scales, before)
        after = [_scaled(size, scale) for size, scale in zip(before, scales, strict=True)]
        ratios = dict(zip(along, scales, strict=True))
    else:
        _check("sizes", sizes, before)
        after = list(sizes)
        ratios = {
            axis: float(np.float32(new) / np.float32(old)) if old else 1.0
            for axis, new, old in zip(along, after, before, strict=True)
            if is_static((new, old))
        }
        if policy != "stretch":
            if len(ratios) < len(along):
                raise ShapeError(
                    f"keep_aspect_ratio_policy={policy!r} needs numbers as sizes, got "
                    f"{shape_text(shape)} and sizes {shape_text(sizes)}"
                )
            ratio = (min if policy == "not_larger" else max)(ratios.values())
            ratios = dict.fromkeys(along, ratio)
            after = [math.floor(np.float32(ratio) * np.float32(old) + 0.5) for old in before]
    new_sizes = dict(zip(along, after, strict=True))
    return tuple(new_sizes.get(axis, size) for axis, size in enumerate(shape)), ratios


def _check(what: str, given: Sequence[Any], before: Sequence[DimLike]) -> None:
    """Raise `ShapeError` unless there is a positive number for each axis; 0 stays 0."""
    if len(given) != len(before):
        raise ShapeError(f"needs {what} for {len(before)} axes, got {list(given)}")
    for n, old in zip(given, before, strict=True):
        if not isinstance(n, Dim) and n <= 0 and not (n == 0 and same_dim(old, 0)):
            raise ShapeError(f"{what} are more than 0, got {list(given)}")


EXACT = 4096  # products of a scale's numerator and sizes up to this are exact in float32


def _scaled(size: DimLike, scale: float) -> DimLike:
    """`floor(size * scale)`, in float32 as onnxruntime computes it."""
    if not isinstance(size, Dim):
        return int(np.float32(size) * np.float32(scale))
    fraction = Fraction(scale)
    if fraction.numerator > EXACT:
        raise ShapeError(
            f"the symbolic size {size} times {scale:g} has no exact name; give sizes in place of "
            f"scales, or a scale such as 2 or 0.75"
        )
    count: DimLike = size * fraction.numerator // fraction.denominator
    return count


# -- how an element of a result is made of those of the input -------------------------------------


class Method(NamedTuple):
    """The attributes that say how to interpolate along an axis."""

    mode: str
    nearest_mode: str
    coordinates: str
    cubic_a: float
    exclude_outside: bool
    antialias: bool

    @property
    def is_linear(self) -> bool:
        """Whether a result lies between two neighbours along each axis, and nothing else counts."""
        return self.mode == "linear" and not (self.antialias or self.exclude_outside)

    def check(self) -> None:
        """Raise `ShapeError` for a name that ONNX does not know."""
        for what, given, known in (
            ("mode", self.mode, MODES),
            ("nearest_mode", self.nearest_mode, NEAREST_MODES),
            ("coordinate_transformation_mode", self.coordinates, COORDINATES),
        ):
            if given not in known:
                raise ShapeError(f"{what} is one of {', '.join(known)}; got {given!r}")
        if self.antialias and self.mode == "nearest":
            raise ShapeError("antialias is for the modes linear and cubic")


class Taps(NamedTuple):
    """What the elements of a result along an axis are made of.

    Attributes:
        at: [taps, size of the result]: indices into the axis.
        weights: likewise; None where there is one tap, of weight 1.
        total: [size of the result]: what the sum of the taps is divided by; None for 1.
        outside: [size of the result]: what lies outside the input and gets the extrapolation
            value; None where nothing does.
    """

    at: Any
    weights: Any = None
    total: Any = None
    outside: Any = None


def _positions(coordinates: str, size: int, count: int, scale: float, region: Region) -> Any:
    """Where the elements of a result lie on the axis of the input.

    Computed in float32 and in the order of onnxruntime, since what is nearest depends on it;
    returned in float64, where the roundings that follow are exact.
    """
    one = np.float32
    x, step, last = np.arange(count, dtype=one), one(scale), one(size - 1)
    if coordinates == "asymmetric":
        found = x / step
    elif coordinates == "align_corners":
        found = x * last / one(max(count - 1, 1))
    elif coordinates == "tf_crop_and_resize":
        start, end = map(one, region)
        if count > 1:
            found = start * last + x * (end - start) * last / one(count - 1)
        else:
            found = x + one(0.5) * (start + end) * last
    elif coordinates == "pytorch_half_pixel" and count == 1:
        found = x
    elif coordinates == "half_pixel_symmetric":
        offset = one(size / 2) * (one(1) - one(count) / (step * one(size)))
        exact = np.float64(offset) + (x + 0.5).astype(np.float64) / np.float64(step) - 0.5
        found = exact.astype(one)
    else:
        found = (x + one(0.5)) / step - one(0.5)
    return found.astype(np.float64)


def _nearest(x: Any, how: str) -> Any:
    if how in ("floor", "ceil"):
        return np.floor(x) if how == "floor" else np.ceil(x)
    # As in onnxruntime, halfway is also what rounding may have put that far from it.
    slack = 1e-6
    return np.ceil(x - 0.5 - slack) if how == "round_prefer_floor" else np.floor(x + 0.5 + slack)


def _cubic(x: Any, a: Any) -> Any:
    """Keys, Cubic convolution interpolation for digital image processing (1981), equation 4."""
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0)).astype(x.dtype)


@functools.lru_cache(maxsize=256)
def _taps(method: Method, size: int, count: int, scale: float, region: Region, dtype: Any) -> Taps:
    """The taps for an axis of `size` elements that becomes one of `count`."""
    x = _positions(method.coordinates, size, count, scale, region)
    outside = None
    if method.coordinates == "tf_crop_and_resize":
        beyond = (x < 0) | (x > size - 1)
        outside = beyond if beyond.any() else None
    if method.mode == "nearest":
        at, weights = _nearest(x, method.nearest_mode)[None], None
    elif method.is_linear:
        x = x.clip(0, size - 1)
        low = np.floor(x)
        high = np.minimum(low + 1, size - 1)
        at = np.stack([low, high])
        weights = np.where(low == high, 0.5, [high - x, x - low])
    elif method.antialias:
        # Stretched over all the elements that one of a smaller result stands for.
        stretch = max(1 / scale, 1.0)
        reach = math.ceil((1 if method.mode == "linear" else 2) * stretch)
        at = np.floor(x) + np.arange(1 - reach, reach + 1)[:, None]
        distance = np.abs(at - x) / stretch
        is_linear = method.mode == "linear"
        weights = np.maximum(1 - distance, 0) if is_linear else _cubic(distance, method.cubic_a)
    else:
        step = (x - np.floor(x)).astype(dtype)
        at = np.floor(x) + np.arange(-1, 3)[:, None]
        weights = _cubic(np.stack([step + 1, step, 1 - step, 2 - step]), dtype.type(method.cubic_a))
    total = None
    if method.exclude_outside and weights is not None:
        weights = np.where((at >= 0) & (at < size), weights, 0)
    if (method.exclude_outside or method.antialias) and weights is not None:
        total = weights.sum(0).astype(dtype)
        total[total == 0] = 1
    if weights is not None:
        weights = weights.astype(dtype)
    return Taps(at.clip(0, size - 1).astype(np.intp), weights, total, outside)


def _spread(weights: Any, axis: int, rank: int) -> Any:
    """Weights along an axis, so that they broadcast against a tensor."""
    return weights.reshape(-1, *(1,) * (rank - 1 - axis))


def _corners(x: Any, taps: Sequence[tuple[int, Taps]]) -> Iterator[tuple[Any, Any]]:
    """The neighbours on each side along all axes, and their weights; the last axis goes first."""
    if not taps:
        yield x, 1
        return
    (axis, along), *rest = taps
    for at, weight in zip(along.at, along.weights, strict=True):
        for part, others in _corners(x.take(at, axis), rest):
            yield part, others * _spread(weight, axis, x.ndim)


def _multilinear(x: Any, taps: dict[int, Taps]) -> Any:
    """The weighted mean of the neighbours along all axes, corner by corner as in onnxruntime."""
    total = None
    for part, weight in _corners(x, list(taps.items())):
        part *= weight
        total = part if total is None else np.add(total, part, out=total)
    return total


def _summed(x: Any, axis: int, taps: Taps, *, innermost: bool) -> Any:
    """The weighted sum of the neighbours along one axis."""
    weights, total = taps.weights, taps.total
    if innermost and total is not None:
        weights, total = weights / total, None
    y = None
    for at, weight in zip(taps.at, weights, strict=True):
        part = x.take(at, axis)
        part *= _spread(weight, axis, x.ndim)
        if total is not None:
            part /= _spread(total, axis, x.ndim)
        y = part if y is None else np.add(y, part, out=y)
    return y


# -- the operator ---------------------------------------------------------------------------------


def _kinds(mode: str, antialias: int) -> str:
    """NumPy's kinds of dtypes that a mode takes; integers cannot overshoot as floats do."""
    if mode == "nearest":
        return "biufcO"
    return "iuf" if mode == "linear" and not antialias else "f"


def _infer_resize(
    X: Value, roi: Value | None = None, scales: Value | None = None, sizes: Value | None = None, *,
    antialias: int = 0, axes: Sequence[int] | None = None,
    coordinate_transformation_mode: str = "half_pixel", cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0, extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch", mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
) -> Inferred:  # fmt: skip
    Method(
        mode, nearest_mode, coordinate_transformation_mode, cubic_coeff_a, bool(exclude_outside),
        bool(antialias),
    ).check()  # fmt: skip
    kinds = _kinds(mode, antialias)
    require_kind(X, kinds, "a floating dtype" if kinds == "f" else "a numeric dtype")
    count = X.rank if axes is None else len(axes)
    roi, scales, sizes = _given(roi), _given(scales), _given(sizes)
    if coordinate_transformation_mode == "tf_crop_and_resize" and (
        roi is None or joined_shape(roi.shape, (2 * count,)) is None
    ):
        raise ShapeError(
            f"tf_crop_and_resize needs a roi of {2 * count} numbers, the starts and then the ends "
            f"of {count} axes, got {'none' if roi is None else shape_text(roi.shape)}"
        )
    factors = None
    if scales is not None:
        if scales.constant is None:
            return _unknown_along(X.shape, axes), X.dtype
        factors = scales.constant.reshape(-1).tolist()
    dims = None if sizes is None else known_dims(sizes, "the sizes")
    keeps_ratio = keep_aspect_ratio_policy in POLICIES[1:]
    if (
        dims is not None
        and keeps_ratio
        and any(isinstance(dim, Dim) and dim.is_unknown for dim in (*dims, *X.shape))
    ):
        return _unknown_along(X.shape, axes), X.dtype
    shape, _ = _resized(X.shape, axes, factors, dims, keep_aspect_ratio_policy)
    return shape, X.dtype


def _unknown_along(shape: Shape, axes: Sequence[int] | None) -> Shape:
    """The shape of a result whose sizes along the axes only data decides."""
    along = range(len(shape)) if axes is None else normalize_axes(axes, len(shape))
    return tuple(Dim.unknown() if axis in along else dim for axis, dim in enumerate(shape))


def _given(operand: Any) -> Any:
    """An operand, or None for one without elements, which older models give for none."""
    return None if operand is None or operand.shape == (0,) else operand


@op("Resize", since=19, infer=_infer_resize)
def resize_op(
    X: Any, roi: Any = None, scales: Any = None, sizes: Any = None, *, antialias: int = 0,
    axes: Sequence[int] | None = None, coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75, exclude_outside: int = 0, extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch", mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
) -> Any:  # fmt: skip
    """A tensor with more or fewer elements along its axes, interpolated."""
    method = Method(
        mode, nearest_mode, coordinate_transformation_mode, cubic_coeff_a, bool(exclude_outside),
        bool(antialias),
    )  # fmt: skip
    roi, scales, sizes = _given(roi), _given(scales), _given(sizes)
    try:
        method.check()
        shape, factors = _resized(
            X.shape,
            axes,
            None if scales is None else scales.tolist(),
            None if sizes is None else sizes.tolist(),
            keep_aspect_ratio_policy,
        )
    except ShapeError as error:
        raise ValueError(str(error)) from None
    if kind_of(X.dtype) not in _kinds(mode, antialias):
        raise ValueError("the dtype does not fit")
    regions: dict[int, Region] = {}
    if coordinate_transformation_mode == "tf_crop_and_resize":
        if roi is None:
            raise ValueError("no region")
        starts, ends = roi.astype(np.float64).reshape(2, len(factors)).tolist()
        regions = dict(zip(factors, zip(starts, ends, strict=True), strict=True))
    wide = X.dtype if mode == "nearest" or X.dtype == np.float64 else np.dtype(np.float32)
    y = X.astype(wide, copy=False)
    taps = {
        axis: _taps(method, X.shape[axis], shape[axis], factor, regions.get(axis, ALL), wide)
        for axis, factor in sorted(factors.items())
        if X.shape[axis] != shape[axis] or factor != 1 or regions.get(axis, ALL) != ALL
    }
    if method.is_linear and taps:
        y = _multilinear(y, taps)
    elif mode == "nearest":
        # Axes that shrink go first: that leaves less to do. Then the last, as outer ones move
        # blocks.
        for axis in sorted(taps, key=lambda i: (shape[i] / max(X.shape[i], 1), -i)):
            y = y.take(taps[axis].at[0], axis)
    else:
        for axis in reversed(taps):
            y = _summed(y, axis, taps[axis], innermost=axis == max(taps))
    for axis, along in taps.items():
        if along.outside is not None:
            y[(slice(None),) * axis + (along.outside,)] = extrapolation_value
    with np.errstate(over="ignore"):
        return y.copy() if y is X else y.astype(X.dtype, copy=False)


def resize(
    x: Any, sizes: Any = None, *, scales: Any = None, axes: Any = None, mode: str = "nearest",
    coordinate_transformation_mode: str = "half_pixel",
    nearest_mode: str = "round_prefer_floor", cubic_coeff_a: float = -0.75,
    exclude_outside: bool = False, antialias: bool = False,
    keep_aspect_ratio_policy: str = "stretch", roi: Any = None, extrapolation_value: float = 0.0,
) -> Any:  # fmt: skip
    """Make a tensor larger or smaller along some of its axes, by interpolation.

    Args:
        x: any tensor; of floats for "cubic" and `antialias`, of numbers for "linear", which cuts
            off what integers have no room for.
        sizes: of the axes in the result: a number for all of them, or one for each, which may be
            a symbolic dimension, or computed. Either they are given, or scales.
        scales: how much larger the axes get, likewise: `floor(size * scale)` elements, in float32.
        axes: which axes are resized. Without them: the last ones, as many as numbers are given;
            for a single number all after the first two, as in images [N, C, D1, ...].
        mode: "nearest"; "linear" between the two neighbours along each axis; "cubic" between four.
        coordinate_transformation_mode: where the elements of the result lie between those of x.
            With x the index of one of `count`, and `scale = count / size` unless it is given:
            "half_pixel": `(x + 0.5) / scale - 0.5`; "pytorch_half_pixel": the same, 0 for a single
            element; "half_pixel_symmetric": the same, centered where `size * scale` is no whole
            number; "asymmetric": `x / scale`; "align_corners": `x * (size - 1) / (count - 1)`;
            "tf_crop_and_resize": likewise between the ends of a region of interest.
        nearest_mode: "round_prefer_floor", "round_prefer_ceil", "floor" or "ceil".
        cubic_coeff_a: the coefficient of Keys (1981); -0.75 is PyTorch's, -0.5 TensorFlow's.
        exclude_outside: whether neighbours outside the tensor have no weight, where otherwise
            the element at the edge stands in for them.
        antialias: whether "linear" and "cubic" look at all elements that one of a smaller result
            stands for.
        keep_aspect_ratio_policy: "stretch" to the sizes; "not_larger" and "not_smaller" keep the
            ratio of the axes, which then are at most, or at least, that large.
        roi: region of interest for "tf_crop_and_resize": the starts of all axes and then the ends,
            as fractions of their sizes.
        extrapolation_value: in that mode, what lies outside the tensor.

    onnxruntime interpolates "linear" in up to three axes, and "cubic" in two, of [N, C, ...].
    Where no size changes it returns x as it is, whatever the scales and the region.

    Raises:
        ShapeError: the numbers do not fit the axes, or a name is unknown; scales whose product with
            a symbolic size has no exact name.
        DTypeError: x is not of floats, or not of numbers.
    """
    if (sizes is None) == (scales is None):
        raise ShapeError(f"{where()}resize needs either sizes or scales")
    numbers: Any = scales if sizes is None else sizes
    single = isinstance(numbers, (int, float, Dim)) or getattr(numbers, "ndim", None) == 0
    numbers = [numbers] if single else list(numbers)
    x, recorder = with_recorder(x, numbers, roi)
    if axes is None:
        axes = range(2 if single else x.ndim - len(numbers), x.ndim)
    # Counted from the front: onnxruntime takes no others.
    along = normalize_axes(axes if isinstance(axes, Iterable) else (axes,), x.ndim)
    numbers *= len(along) if single else 1
    every = tuple(range(x.ndim))
    if roi is not None and not isinstance(roi, ArrayOperators):
        roi = np.asarray(roi, np.float32)
    fits = len(numbers) == len(along) and (roi is None or np.shape(roi) == (2 * len(along),))
    if fits and keep_aspect_ratio_policy == "stretch" and not isinstance(roi, ArrayOperators):
        # Numbers for all axes: where onnxruntime 1.32 moves a transpose past a Resize, it takes
        # them to be there.
        changed = dict(zip(along, numbers, strict=True))
        rest = x.shape if scales is None else (1,) * x.ndim
        numbers = [changed.get(axis, rest[axis]) for axis in every]
        if roi is not None:
            starts, ends = np.zeros(x.ndim, np.float32), np.ones(x.ndim, np.float32)
            starts[list(along)], ends[list(along)] = roi.reshape(2, -1)
            roi = np.concatenate([starts, ends])
        along = every
    attrs: dict[str, Any] = {
        "antialias": int(antialias),
        "axes": None if along == every else along,
        "coordinate_transformation_mode": coordinate_transformation_mode,
        "cubic_coeff_a": float(cubic_coeff_a),
        "exclude_outside": int(exclude_outside),
        "extrapolation_value": float(extrapolation_value),
        "keep_aspect_ratio_policy": keep_aspect_ratio_policy,
        "mode": mode,
        "nearest_mode": nearest_mode,
    }
    attrs = {name: value for name, value in attrs.items() if value != resize_op.defaults[name]}
    if scales is None:
        numbers = shape_entries(numbers)
        factors = _as_scales(x.shape, numbers) if along == every else None
        if factors is None:
            return resize_op(x, roi, None, shape_operand(recorder, numbers), **attrs)
        numbers = factors
    if any(isinstance(n, Tensor) for n in numbers):
        return resize_op(x, roi, concat([_vector(n) for n in numbers]), **attrs)
    return resize_op(x, roi, np.asarray(numbers, np.float32), **attrs)


def _vector(number: Any) -> Any:
    """A scale as a vector of one element."""
    if isinstance(number, Tensor):
        return reshape(number.astype(np.float32), (1,))
    return np.asarray([number], np.float32)


def _as_scales(shape: Shape, sizes: Sequence[Any]) -> list[float] | None:
    """Scales that say the same as sizes of which some are symbolic and stay as they are.

    None if there are none such. Scales are constants, where sizes would have to be computed.
    """
    if is_static((*shape, *sizes)):
        return None
    found = []
    for old, new in zip(shape, sizes, strict=True):
        if same_dim(old, new):
            found.append(1.0)
            continue
        if not isinstance(old, int) or not isinstance(new, int) or old == 0:
            return None
        scale = float(np.float32(new) / np.float32(old))
        # onnx computes with more digits than onnxruntime: one of them may round the size down.
        if _scaled(old, scale) != new or int(old * scale) != new:
            return None
        found.append(scale)
    return found
