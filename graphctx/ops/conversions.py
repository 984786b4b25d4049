"""Numbers of one dtype as another, where that is more than `astype`: ONNX's rules for Cast."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphctx.spec import bits_of, is_extended, is_storage, kind_of, limits_of

SATURATING = frozenset(
    ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu")
)
"""What ml_dtypes calls the dtypes to which `saturate` matters."""

ROUND_MODES = ("up", "down", "nearest")


def convert(x: Any, to: Any, *, saturate: bool = True, round_mode: str = "up") -> Any:
    """The numbers of an array as another dtype.

    Args:
        x: numbers or bools.
        to: a dtype of numbers or bools.
        saturate: what is out of range of a float of 8 bits becomes its largest number; else it
            becomes infinity, or NaN where the dtype has none.
        round_mode: how float8_e8m0, which has powers of two only, rounds: `up`, `down`, or
            `nearest` with halves up.
    """
    if is_storage(x.dtype) and x.dtype != to:
        # From some of its dtypes to others ml_dtypes has no way; these hold each of their numbers.
        x = x.astype(np.float32 if kind_of(x.dtype) == "f" else np.int8)
    if not is_extended(to):
        return x.astype(to)
    if to.name not in SATURATING:
        return x.astype(to)
    if kind_of(x.dtype) != "f":
        x = x.astype(np.float32)
    if to.name == "float8_e8m0fnu":
        return _powers_of_two(x.astype(np.float32), saturate, round_mode).view(to)
    if saturate:
        x = np.clip(x, *limits_of(to))
    with np.errstate(over="ignore", invalid="ignore"):
        return x.astype(to)


def _powers_of_two(x: Any, saturate: bool, round_mode: str) -> Any:
    """The codes of float8_e8m0: the exponent plus 127; 255 is NaN. Signs are dropped."""
    mantissa, exponent = np.frexp(np.abs(x))  # x = mantissa * 2**exponent, 0.5 <= mantissa < 1
    code = exponent.astype(np.int32) + (127 - 1)
    if round_mode == "up":
        code = code + (mantissa > 0.5)
    elif round_mode == "nearest":
        code = code + (mantissa >= 0.75)
    code = np.where(np.isinf(x), 255, np.where(mantissa == 0, -1, code))
    inside = code.clip(0, 254) if saturate else np.where((code < 0) | (code > 254), 255, code)
    return np.where(np.isnan(x), 255, inside).astype(np.uint8)


def reinterpret(x: Any, to: Any) -> Any:
    """The bits of an array as numbers of another dtype of as many bits."""
    bits = bits_of(to)
    if bits == 8 * to.itemsize:
        return x.view(to).copy()
    # In memory each number takes a byte, with the sign in all of the bits above.
    codes = x.view(np.uint8) & np.uint8(2**bits - 1)
    if kind_of(to) == "i":
        codes = codes | np.where(codes >> (bits - 1), np.uint8(256 - 2**bits), np.uint8(0))
    return codes.view(to)
