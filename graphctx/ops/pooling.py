"""Pooling, channels first: one number for each window of an image [N, C, D1, ...].

Windows are reduced along one axis after the other, tap by tap.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphctx.errors import DTypeError, ShapeError
from graphctx.graph import Value
from graphctx.ops.elementwise import abs as absolute
from graphctx.ops.elementwise import pow as power
from graphctx.ops.rules import half_in_single, one_floating_dtype
from graphctx.ops.shape import shape_entries, shape_operand, with_recorder
from graphctx.ops.table import TABLE, Inferred, known_dims, op, require_kind
from graphctx.ops.windows import (
    Ints,
    Layout,
    Windows,
    axes_of_space,
    key_of,
    layout_of,
    one_each,
    other_attrs,
    require_image,
    window_attrs,
)
from graphctx.spec import DimLike, dtype_name, joined_shape, shape_text

INT64 = np.dtype(np.int64)

OUTSIDE = -1
"""The index of the largest element of a window that lies in the padding alone."""

# -- over windows ---------------------------------------------------------------------------------


def _infer_pool(
    X: Value, *, kernel_shape: Sequence[int], auto_pad: str = "NOTSET", ceil_mode: int = 0,
    dilations: Ints = None, pads: Ints = None, strides: Ints = None, **_: Any,
) -> Inferred:  # fmt: skip
    if X.rank < 3:
        raise ShapeError(f"an image is [N, C, D1, ...], got {shape_text(X.shape)}")
    windows = Windows(kernel_shape, strides, dilations, pads, auto_pad)
    windows.check(X.rank - 2)
    return (*X.shape[:2], *windows.counts(X.shape[2:], ceil_mode)), X.dtype


def _infer_max_pool(
    X: Value, *, outputs: int = 1, storage_order: int = 0, **attrs: Any
) -> Inferred | list[Inferred]:
    require_kind(X, "fiu", "a numeric dtype")
    if storage_order not in (0, 1):
        raise ShapeError(f"storage_order is 0, by rows, or 1, by columns; got {storage_order}")
    shape, dtype = _infer_pool(X, **attrs)
    return (shape, dtype) if outputs == 1 else [(shape, dtype), (shape, INT64)]


def _infer_average_pool(X: Value, **attrs: Any) -> Inferred:
    require_image(X)
    return _infer_pool(X, **attrs)


def _infer_lp_pool(X: Value, *, p: int = 2, **attrs: Any) -> Inferred:
    _check_norm(p)
    return _infer_average_pool(X, **attrs)


def _check_norm(p: int) -> None:
    if p < 1:
        raise ShapeError(f"p of a norm is at least 1, got {p}")


def _reduce_axis(
    x: Any, axis: int, taps: Sequence[tuple[slice, slice]], count: int, ufunc: Any, empty: Any
) -> Any:
    """Windows along one axis reduced, a tap at a time; places outside count as `empty`."""
    lead = (slice(None),) * axis
    inside = [place for at, place in taps if (at.start, at.stop) == (0, count)]
    if len(inside) > 1:
        y = ufunc(x[(*lead, inside[0])], x[(*lead, inside[1])])
    elif inside:
        y = x[(*lead, inside[0])].copy()
    else:
        y = np.full((*x.shape[:axis], count, *x.shape[axis + 1 :]), empty, x.dtype)
    for place in inside[2:]:
        ufunc(y, x[(*lead, place)], out=y)
    for at, place in taps:
        if (at.start, at.stop) != (0, count):
            part = y[(*lead, at)]
            ufunc(part, x[(*lead, place)], out=part)
    return y


def _reduce(x: Any, layout: Layout, ufunc: Any, empty: Any) -> Any:
    y = x
    for axis, (taps, count) in enumerate(zip(layout.ranges, layout.counts, strict=True), 2):
        if taps != [(slice(0, count), slice(0, x.shape[axis], 1))]:  # which is y as it is
            y = _reduce_axis(y, axis, taps, count, ufunc, empty)
    return y.copy() if y is x else y


def _lowest(dtype: Any) -> Any:
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


@op("MaxPool", since=12, infer=_infer_max_pool)
def max_pool_op(
    X: Any, *, kernel_shape: Sequence[int], auto_pad: str = "NOTSET", ceil_mode: int = 0,
    dilations: Ints = None, outputs: int = 1, pads: Ints = None, storage_order: int = 0,
    strides: Ints = None,
) -> Any:  # fmt: skip
    """Largest element of every window, padding not counted; and where it is, as second output."""
    if storage_order not in (0, 1):
        raise ValueError("an unknown order")
    layout = layout_of(
        X.shape[2:], tuple(kernel_shape), key_of(strides), key_of(dilations), key_of(pads),
        auto_pad, ceil_mode,
    )  # fmt: skip
    y = _reduce(X, layout, np.maximum, _lowest(X.dtype))
    return y if outputs == 1 else (y, _largest(X, layout, storage_order))


def _largest(x: Any, layout: Layout, storage_order: int) -> Any:
    """Index of the largest element of every window, the first of equal ones, in all of x."""
    batch, channels, *sizes = x.shape
    count = math.prod(sizes)
    each = np.arange(count).reshape(sizes, order="F" if storage_order else "C")
    index = np.broadcast_to(each, x.shape)
    y = x
    # The last axis first: of equal elements the first in the order of rows is found.
    for i, places in reversed(list(enumerate(layout.counts))):
        y, index = _largest_along(y, index, i + 2, layout.ranges[i], places)
    images = np.arange(batch * channels).reshape(batch, channels, *(1,) * len(sizes))
    return np.where(index == OUTSIDE, OUTSIDE, index + images * count)


def _largest_along(
    x: Any, index: Any, axis: int, taps: Sequence[tuple[slice, slice]], count: int
) -> tuple[Any, Any]:
    """The largest elements of windows along an axis, and their indices."""
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    y, found = np.full(shape, _lowest(x.dtype), x.dtype), np.full(shape, OUTSIDE)
    lead = (slice(None),) * axis
    for at, place in taps:
        old, new = y[(*lead, at)], x[(*lead, place)]
        chosen = found[(*lead, at)]
        better = (new > old) | (new != new) | (chosen == OUTSIDE)
        np.copyto(old, new, where=better)
        np.copyto(chosen, index[(*lead, place)], where=better)
    return y, found


@op("AveragePool", since=11, infer=_infer_average_pool)
@half_in_single
def average_pool_op(
    X: Any, *, kernel_shape: Sequence[int], auto_pad: str = "NOTSET", ceil_mode: int = 0,
    count_include_pad: int = 0, dilations: Ints = None, pads: Ints = None, strides: Ints = None,
) -> Any:  # fmt: skip
    """Mean of every window, with or without the padding."""
    key = (
        X.shape[2:], tuple(kernel_shape), key_of(strides), key_of(dilations), key_of(pads),
        auto_pad, ceil_mode,
    )  # fmt: skip
    y = _reduce(X, layout_of(*key), np.add, 0)
    y /= _elements(count_include_pad, y.dtype, *key)
    return y


@functools.lru_cache(maxsize=1024)
def _elements(count_include_pad: int, dtype: Any, sizes: tuple[int, ...], *key: Any) -> Any:
    """How many elements each window has, to broadcast against the windows."""
    layout = layout_of(sizes, *key)
    windows = layout.windows
    number: Any = np.ones((), dtype)
    for i, (before, after) in enumerate(layout.widths):
        starts = np.arange(layout.counts[i]) * windows.strides[i] - before
        taps = starts[:, None] + np.arange(windows.kernel[i]) * windows.dilations[i]
        low, high = (-before, sizes[i] + after) if count_include_pad else (0, sizes[i])
        inside = np.maximum(((taps >= low) & (taps < high)).sum(1), 1).astype(dtype)
        if (inside == inside[0]).all():
            number = number * inside[0]
        else:
            number = number * inside.reshape(-1, *(1,) * (len(sizes) - 1 - i))
    return number


def _pool_attrs(
    x: Any, kernel: Any, strides: Any, pads: Any, dilations: Any, auto_pad: str, ceil_mode: bool
) -> dict[str, Any]:
    rank = axes_of_space(x)
    sizes = one_each(kernel, rank)
    attrs = {
        "kernel_shape": sizes,
        **window_attrs(rank, sizes if strides is None else strides, dilations, pads),
        **other_attrs(1, auto_pad),
    }
    return {**attrs, "ceil_mode": 1} if ceil_mode else attrs


def max_pool(
    x: Any, kernel: Any, *, strides: Any = None, pads: Any = None, dilations: Any = None,
    auto_pad: str = "NOTSET", ceil_mode: bool = False, indices: bool = False,
) -> Any:  # fmt: skip
    """Largest element of every window, channels first.

    Args:
        x: [N, C, D1, ...].
        kernel: size of the windows, a number or one an axis.
        strides: step between windows; the size of the windows where it is not given.
        pads: around the input, never the largest: as in `conv`.
        dilations: step between the elements of a window.
        auto_pad: as in `conv`.
        ceil_mode: whether the last window may hang over the end.
        indices: whether to return where the elements are, too.

    Returns:
        [N, C, ...]; with `indices` a tuple of it and int64 of the same shape: the index of each
        element among all of x, as `max_unpool` takes it; -1 for a window of padding alone.

    Raises:
        ShapeError: the windows do not fit the input.
    """
    attrs = _pool_attrs(x, kernel, strides, pads, dilations, auto_pad, ceil_mode)
    return max_pool_op(x, **attrs, **({"outputs": 2} if indices else {}))


def average_pool(
    x: Any, kernel: Any, *, strides: Any = None, pads: Any = None, dilations: Any = None,
    auto_pad: str = "NOTSET", ceil_mode: bool = False, count_include_pad: bool = False,
) -> Any:  # fmt: skip
    """Mean of every window, channels first; see `max_pool`.

    `count_include_pad` says whether padding counts as zeros, or not at all.
    """
    attrs = _pool_attrs(x, kernel, strides, pads, dilations, auto_pad, ceil_mode)
    if count_include_pad:
        attrs["count_include_pad"] = 1
    return average_pool_op(x, **attrs)


@op("LpPool", since=11, infer=_infer_lp_pool)
@half_in_single
def lp_pool_op(
    X: Any, *, kernel_shape: Sequence[int], auto_pad: str = "NOTSET", ceil_mode: int = 0,
    dilations: Ints = None, p: int = 2, pads: Ints = None, strides: Ints = None,
) -> Any:  # fmt: skip
    """The p-norm of every window."""
    layout = layout_of(
        X.shape[2:], tuple(kernel_shape), key_of(strides), key_of(dilations), key_of(pads),
        auto_pad, ceil_mode,
    )  # fmt: skip
    return _root(_reduce(_power(X, p), layout, np.add, 0), p)


def _power(x: Any, p: int) -> Any:
    one_floating_dtype(x)
    if p < 1:
        raise ValueError("p of a norm is at least 1")
    if p == 2:
        return np.square(x)
    return np.abs(x) if p == 1 else np.abs(x) ** x.dtype.type(p)


def _root(x: Any, p: int) -> Any:
    if p == 1:
        return x
    return np.sqrt(x) if p == 2 else x ** x.dtype.type(1 / p)


def lp_pool(
    x: Any, kernel: Any, *, p: int = 2, strides: Any = None, pads: Any = None,
    dilations: Any = None, auto_pad: str = "NOTSET", ceil_mode: bool = False,
) -> Any:  # fmt: skip
    """The p-norm `sum(abs(x) ** p) ** (1 / p)` of every window, channels first; see `max_pool`.

    Raises:
        ShapeError: p is less than 1, or the windows do not fit the input.
    """
    attrs = _pool_attrs(x, kernel, strides, pads, dilations, auto_pad, ceil_mode)
    return lp_pool_op(x, **attrs, **({} if p == 2 else {"p": operator.index(p)}))


# -- over all of space ----------------------------------------------------------------------------


def _infer_global_pool(X: Value) -> Inferred:
    require_image(X)
    ones: tuple[DimLike, ...] = (1,) * (X.rank - 2)
    return (*X.shape[:2], *ones), X.dtype


@op("GlobalAveragePool", since=1, infer=_infer_global_pool)
@half_in_single
def global_average_pool(X: Any) -> Any:
    """Mean over all axes of space: [N, C, D1, ...] to [N, C, 1, ...]."""
    count = math.prod(X.shape[2:])
    total = np.add.reduce(X.reshape(*X.shape[:2], count), axis=2)
    total /= X.dtype.type(count)
    return total.reshape(*X.shape[:2], *(1,) * (X.ndim - 2))


@op("GlobalMaxPool", since=1, infer=_infer_global_pool)
def global_max_pool(X: Any) -> Any:
    """Largest element over all axes of space: [N, C, D1, ...] to [N, C, 1, ...]."""
    return np.maximum.reduce(X, axis=tuple(range(2, X.ndim)), keepdims=True)


def _infer_global_lp_pool(X: Value, *, p: int = 2) -> Inferred:
    _check_norm(p)
    return _infer_global_pool(X)


def _expand_global_lp_pool(X: Any, *, p: int = 2) -> Any:
    # onnxruntime has no kernel of opset 22 or later for it.
    axes = np.arange(2, len(X.shape))
    if p < 3:
        return TABLE["ReduceL1" if p == 1 else "ReduceL2"](X, axes)
    powers = power(absolute(X), float(p))
    return power(TABLE["ReduceSum"](powers, axes), 1 / p)


@op("GlobalLpPool", since=2, infer=_infer_global_lp_pool, expand=_expand_global_lp_pool)
@half_in_single
def global_lp_pool(X: Any, *, p: int = 2) -> Any:
    """The p-norm over all axes of space: [N, C, D1, ...] to [N, C, 1, ...]."""
    powers = _power(np.ascontiguousarray(X), p).reshape(*X.shape[:2], math.prod(X.shape[2:]))
    total = np.add.reduce(powers, axis=2)
    return _root(total, p).reshape(*X.shape[:2], *(1,) * (X.ndim - 2))


# -- and back -------------------------------------------------------------------------------------


def _unpooled(
    sizes: Sequence[Any], kernel: Sequence[int], strides: Ints, pads: Ints
) -> tuple[Any, ...]:
    """The smallest image that has windows for all of these places.

    Raises:
        ShapeError: the attributes do not fit.
    """
    windows = Windows(kernel, strides, None, pads, "NOTSET")
    windows.check(len(sizes))
    return tuple(
        (size - 1) * windows.strides[i]
        + windows.extents[i]
        - windows.pads[i]
        - windows.pads[i + len(sizes)]
        for i, size in enumerate(sizes)
    )


def _infer_max_unpool(
    X: Value, I: Value, output_shape: Value | None = None, *, kernel_shape: Sequence[int],  # noqa: E741
    pads: Ints = None, strides: Ints = None,
) -> Inferred:  # fmt: skip
    require_image(X)
    if I.dtype != INT64:
        raise DTypeError(f"indices are int64, got {dtype_name(I.dtype)}")
    if joined_shape(X.shape, I.shape) is None:
        raise ShapeError(
            f"indices {shape_text(I.shape)} are as many as elements {shape_text(X.shape)}"
        )
    shape = (*X.shape[:2], *_unpooled(X.shape[2:], kernel_shape, strides, pads))
    if output_shape is None:
        return shape, X.dtype
    given = known_dims(output_shape, "output_shape")
    if len(given) != X.rank:
        raise ShapeError(f"output_shape has {X.rank} sizes, got {list(given)}")
    return given, X.dtype


@op("MaxUnpool", since=11, infer=_infer_max_unpool)
def max_unpool_op(
    X: Any, I: Any, output_shape: Any = None, *, kernel_shape: Sequence[int], pads: Ints = None,  # noqa: E741
    strides: Ints = None,
) -> Any:  # fmt: skip
    """Elements put where they came from before `MaxPool`, in an image of zeros.

    Indices count the elements of the image that is made, also where `output_shape` says how large
    it is: as onnxruntime has it. ONNX's own test has them count those of a smaller image.
    """
    try:
        shape = (*X.shape[:2], *_unpooled(X.shape[2:], kernel_shape, strides, pads))
    except ShapeError as error:
        raise ValueError(str(error)) from None
    if output_shape is not None:
        shape = tuple(output_shape.tolist())
    one_floating_dtype(X)
    if X.shape != I.shape or len(shape) != X.ndim:
        raise ValueError("the indices or the shape do not fit")
    y = np.zeros(shape, X.dtype)
    flat = I.reshape(-1)
    if flat.size and not 0 <= flat.min() <= flat.max() < y.size:
        raise ValueError(f"indices are from 0 to {y.size - 1}, got {flat.min()} to {flat.max()}")
    y.reshape(-1)[flat] = X.reshape(-1)
    return y


def max_unpool(
    x: Any, indices: Any, kernel: Any, *, strides: Any = None, pads: Any = None, shape: Any = None
) -> Any:
    """Put elements where `max_pool(..., indices=True)` found them, in an image of zeros.

    Args:
        x: [N, C, D1, ...].
        indices: int64 of the same shape, among all elements of the result.
        kernel: size of the windows that were pooled, a number or one an axis.
        strides: step between them; the size of the windows where it is not given.
        pads: as they were.
        shape: of the result; without it the smallest that had these windows.

    Raises:
        ShapeError: indices and elements are not as many, or an index is out of range.
    """
    x, recorder = with_recorder(x, indices, shape)
    rank = axes_of_space(x)
    sizes = one_each(kernel, rank)
    attrs = window_attrs(rank, sizes if strides is None else strides, None, pads)
    size = None if shape is None else shape_operand(recorder, shape_entries(shape))
    return max_unpool_op(x, indices, size, kernel_shape=sizes, **attrs)
