"""What layers are given, checked; errors name the layer, what it expects and what came."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from graphctx import ops
from graphctx.context import current_path
from graphctx.errors import LayerError, listing, suggest
from graphctx.layer import Layer
from graphctx.spec import Dim, DimLike, as_dtype, dtype_name, shape_text
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


def positive_pair(layer: Layer, what: str, value: Any) -> tuple[int, int]:
    """Return (height, width) of a number for both, or one for each.

    Raises:
        LayerError: it is neither, or a number is less than 1.
    """
    pair = (value, value) if is_integer(value) else value
    if isinstance(pair, (tuple, list)) and len(pair) == 2:
        height, width = pair
        if is_integer(height) and is_integer(width) and height >= 1 and width >= 1:
            return int(height), int(width)
    raise bad(
        layer,
        f"{what} is a positive integer, or two of them (height, width), got {value!r}",
    )


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


def number(layer: Layer, what: str, value: Any, low: float, high: float = math.inf) -> float:
    """Return a finite number in [low, high].

    Raises:
        LayerError: it is not one.
    """
    is_number = isinstance(value, (int, float, np.integer, np.floating))
    if not is_number or isinstance(value, bool) or not low <= value <= high or math.isinf(value):
        allowed = f"that is at least {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
        raise bad(layer, f"{what} is a number {allowed}, got {value!r}")
    return float(value)


def float_dtype(layer: Layer, value: Any) -> np.dtype[Any]:
    """Return the floating dtype of a layer's weights and computation.

    Raises:
        LayerError: it is another dtype.
    """
    dtype = as_dtype(value)
    if dtype.kind != "f":
        raise bad(layer, f"dtype is a floating dtype, got {dtype_name(dtype)!r}")
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


def as_floats(layer: Layer, x: Any, dtype: Any = None) -> Any:
    """Return the input as a floating tensor.

    Args:
        layer: that is called.
        x: its input: of integers or floats.
        dtype: to convert it to, as Keras does; without one, floats stay as they are.

    Raises:
        LayerError: it is no tensor, or not one of numbers.
    """
    if not isinstance(x, (np.ndarray, ArrayOperators)):
        raise bad_call(layer, f"takes one tensor, got {_described(x)}")
    if dtype is not None and x.dtype == dtype:
        return x
    kind = x.dtype.kind
    if kind not in ("f" if dtype is None else "fiub"):
        wanted = "floats" if dtype is None else "numbers"
        hint = "; convert it with ops.astype(x, 'float32')" if kind in "iub" else ""
        raise bad_call(layer, f"takes a tensor of {wanted}, got {dtype_name(x.dtype)}{hint}")
    return x if dtype is None else ops.astype(x, dtype)
