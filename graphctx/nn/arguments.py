"""What layers are given, checked; errors name the layer, what it expects and what came."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from graphctx import ops
from graphctx.context import current_path
from graphctx.errors import DTypeError, LayerError, listing, suggest
from graphctx.layer import Layer
from graphctx.spec import (
    Dim,
    DimLike,
    as_dtype,
    dtype_name,
    is_storage,
    kind_of,
    same_dim,
    shape_text,
)
from graphctx.tensor import ArrayOperators

# -- arguments of a layer -------------------------------------------------------------------------


def bad(layer: Layer, what: str) -> LayerError:
    """The error for an argument of a layer: `Dense 'readout': units is ...`."""
    name = f" {layer._label!r}" if layer._label else ""
    return LayerError(f"{type(layer).__name__}{name}: {what}")


def is_integer(value: Any) -> bool:
    """Whether a value is an integer of Python or NumPy; a bool is none."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def positive(layer: Layer, what: str, value: Any) -> int:
    """Return an integer that is at least 1.

    Raises:
        LayerError: it is not one.
    """
    if not is_integer(value) or value < 1:
        raise bad(layer, f"{what} is a positive integer, got {value!r}")
    return int(value)


def numbers_of_axes(
    layer: Layer, what: str, value: Any, axes: Sequence[str], *, least: int = 1
) -> tuple[int, ...]:
    """Return an integer for each of the axes named, of one for all, or one for each.

    Raises:
        LayerError: it is neither, or a number is less than `least`, 1 or 0.
    """
    each = (value,) * len(axes) if is_integer(value) else value
    is_sequence = isinstance(each, (tuple, list)) and len(each) == len(axes)
    if is_sequence and all(is_integer(n) and n >= least for n in each):
        return tuple(int(n) for n in each)
    one = "a positive integer" if least else "an integer that is at least 0"
    counts = {2: "two", 3: "three"}
    many = f", or {counts[len(axes)]} of them ({', '.join(axes)})" if len(axes) > 1 else ""
    raise bad(layer, f"{what} is {one}{many}, got {value!r}")


def choice(layer: Layer, what: str, value: Any, known: Iterable[str]) -> str:
    """Return one of the known names.

    Raises:
        LayerError: it is another; the message suggests the nearest.
    """
    known = tuple(known)
    if not isinstance(value, str) or value not in known:
        hint = suggest(value, known) if isinstance(value, str) else ""
        raise bad(layer, f"{what} is one of {listing(known)}, got {value!r}{hint}")
    return value


def number(
    layer: Layer,
    what: str,
    value: Any,
    low: float,
    high: float = math.inf,
    *,
    open_end: bool = False,
) -> float:
    """Return a finite number in [low, high], or in [low, high) where the end is open.

    Raises:
        LayerError: it is not one.
    """
    is_number = isinstance(value, (int, float, np.integer, np.floating))
    inside = is_number and not isinstance(value, bool) and low <= value <= high
    if not inside or math.isinf(value) or (open_end and value == high):
        allowed = f" from {low:g} to {high:g}"
        if math.isinf(high):
            allowed = "" if math.isinf(low) else f" that is at least {low:g}"
        end = f", but not {high:g}" if open_end else ""
        raise bad(layer, f"{what} is a number{allowed}{end}, got {value!r}")
    return float(value)


def flag(layer: Layer, what: str, value: Any) -> bool:
    """Return True or False.

    Raises:
        LayerError: it is neither: an argument in the place of another, as a rule.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise bad(layer, f"{what} is True or False, got {value!r}")
    return bool(value)


def axis_tuple(layer: Layer, value: Any, what: str = "axis") -> tuple[int, ...]:
    """Return the axes of an integer, or of a list of integers.

    Raises:
        LayerError: it is neither, or names no axis.
    """
    axes = (value,) if is_integer(value) else value
    if not isinstance(axes, (tuple, list)) or not axes or not all(map(is_integer, axes)):
        raise bad(layer, f"{what} is an integer or a list of them, got {value!r}")
    return tuple(int(axis) for axis in axes)


def float_dtype(layer: Layer, value: Any) -> np.dtype[Any]:
    """Return the floating dtype of a layer's weights and computation; float32 for None.

    Raises:
        LayerError: it is another dtype, or none.
    """
    try:
        dtype = as_dtype("float32" if value is None else value)
    except DTypeError as error:
        raise bad(layer, f"dtype is a floating dtype: {error}") from None
    if kind_of(dtype) != "f":
        raise bad(layer, f"dtype is a floating dtype, got {dtype_name(dtype)!r}")
    if is_storage(dtype):
        raise bad(
            layer, f"dtype is a floating dtype to compute with, but {dtype_name(dtype)} only "
            f"stores numbers: use bfloat16 or float32"
        )  # fmt: skip
    return dtype


def image_format(layer: Layer, data_format: Any) -> str:
    """Return "channels_last" or "channels_first"; None stands for Keras's default, the former.

    Raises:
        LayerError: it is another.
    """
    known = ("channels_first", "channels_last")
    return known[1] if data_format is None else choice(layer, "data_format", data_format, known)


def no_seed(layer: Layer, seed: Any) -> None:
    """Refuse a seed: a layer has none of its own.

    Raises:
        LayerError: a seed is given.
    """
    if seed is not None:
        raise bad(
            layer,
            f"a layer has no seed of its own, got {seed!r}; give the seed to the program "
            f"(program(x, seed=...)), or to everything in a block: with gx.seed(...)",
        )


# -- what a layer is called with ------------------------------------------------------------------


def bad_call(layer: Layer, what: str) -> LayerError:
    """The error for a call: `model/dense: Dense takes ...`."""
    return LayerError(f"{current_path() or layer.name}: {type(layer).__name__} {what}")


def require_shape(
    layer: Layer, shape: Any, layout: str, *, least: int, most: float = math.inf, hint: str = ""
) -> None:
    """Check the rank of the one tensor that a layer takes.

    Args:
        layer: that is called.
        shape: of its input, as `build` gets it.
        layout: what the dimensions are, for the message.
        least: number of dimensions at least.
        most: number of dimensions at most.
        hint: what to do about it.

    Raises:
        LayerError: the rank is another, or the input is no tensor but a list of them.
    """
    if not isinstance(shape, tuple) or not all(
        isinstance(n, (int, np.integer, Dim)) for n in shape
    ):
        raise bad_call(layer, f"takes one tensor {layout}, got {_described(shape)}")
    if not least <= len(shape) <= most:
        raise bad_call(
            layer,
            f"takes a tensor {layout}, got {shape_text(shape)} with {len(shape)} "
            f"dimension{'' if len(shape) == 1 else 's'}{hint}",
        )


def _described(shape: Any) -> str:
    if isinstance(shape, (tuple, list, dict)):
        return f"a {type(shape).__name__} of {len(shape)}"
    return f"a {type(shape).__name__}"


def known_size(layer: Layer, shape: Sequence[DimLike], axis: int, what: str) -> int:
    """Return the size of a dimension that the shape of a weight depends on.

    Raises:
        LayerError: it is symbolic.
    """
    size = shape[axis]
    if isinstance(size, Dim):
        raise bad_call(
            layer,
            f"needs to know its {what} to make its weights, but axis {axis % len(shape)} of "
            f"{shape_text(shape)} is symbolic; give this dimension a number in the TensorSpec",
        )
    return int(size)


def normal_axis(layer: Layer, axis: int, rank: int) -> int:
    """Return an axis counted from the front.

    Raises:
        LayerError: it is out of range.
    """
    if not -rank <= axis < rank:
        raise bad_call(layer, f"has axis={axis}, which an input of {rank} dimensions does not have")
    return axis % rank


def normal_axes(layer: Layer, axes: Sequence[int], rank: int) -> list[int]:
    """Return axes counted from the front, in ascending order.

    Raises:
        LayerError: one is out of range, or named twice.
    """
    normal = sorted({normal_axis(layer, axis, rank) for axis in axes})
    if len(normal) < len(axes):
        raise bad_call(layer, f"has axis={tuple(axes)}, which names an axis twice")
    return normal


def require_size(layer: Layer, shape: Sequence[DimLike], axis: int, size: int, what: str) -> None:
    """Check that an axis has the size that the layer was built for.

    Raises:
        LayerError: it has another, or an unknown one.
    """
    if not same_dim(shape[axis], size):
        raise bad_call(
            layer,
            f"was built for {size} {what}, got {shape_text(shape)} with {shape[axis]} at axis "
            f"{axis % len(shape)}",
        )


def require_mask(layer: Layer, mask: Any, shape: Sequence[DimLike], *, least: int = 0) -> None:
    """Check that a mask is a tensor of bools or numbers that broadcasts to a shape.

    Args:
        layer: that is called.
        mask: that it is given.
        shape: of what is masked.
        least: number of dimensions of the mask at least.

    Raises:
        LayerError: it is no tensor, or one of another dtype or shape.
    """
    if not is_tensor(mask) or kind_of(mask.dtype) not in "biuf":
        came = dtype_name(mask.dtype) if is_tensor(mask) else _described(mask)
        raise bad_call(layer, f"takes a mask of bools, got {came}")
    fits = (
        same_dim(n, 1) or same_dim(n, own)
        for n, own in zip(reversed(mask.shape), reversed(shape), strict=False)
    )
    if not least <= len(mask.shape) <= len(shape) or not all(fits):
        raise bad_call(
            layer,
            f"takes a mask that broadcasts to {shape_text(shape)}, got {shape_text(mask.shape)}",
        )


def is_tensor(x: Any) -> bool:
    """Whether it is an array, a tensor of a trace or a variable."""
    return isinstance(x, (np.ndarray, ArrayOperators))


def as_floats(layer: Layer, x: Any, dtype: Any = None) -> Any:
    """Return the input as a floating tensor.

    Args:
        layer: that is called.
        x: its input: of integers or floats.
        dtype: to convert it to, as Keras does; without one, floats stay as they are.

    Raises:
        LayerError: it is no tensor, or not one of numbers.
    """
    if not is_tensor(x):
        raise bad_call(layer, f"takes one tensor, got {_described(x)}")
    if dtype is not None and x.dtype == dtype:
        return x
    kind = kind_of(x.dtype)
    if kind not in ("f" if dtype is None else "fiub"):
        wanted = "floats" if dtype is None else "numbers"
        hint = "; convert it with ops.astype(x, 'float32')" if kind in "iub" else ""
        raise bad_call(layer, f"takes a tensor of {wanted}, got {dtype_name(x.dtype)}{hint}")
    return x if dtype is None else ops.astype(x, dtype)


def promoted(layer: Layer, x: Any) -> Any:
    """Return the input as it is if it has floats, else as float32, of which means are, as in Keras.

    Raises:
        LayerError: it is no tensor, or not one of numbers.
    """
    return as_floats(layer, x, None if is_tensor(x) and kind_of(x.dtype) == "f" else "float32")
