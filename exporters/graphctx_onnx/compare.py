"""Comparing what the program computes with what onnxruntime computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from graphctx.spec import dtype_name, is_extended, kind_of, shape_text
from graphctx_onnx.precision import Precision

# Coarsest float dtype on the way -> (rtol, atol).
TOLERANCES = {2: (2e-2, 1e-2), 4: (1e-4, 1e-5), 8: (1e-8, 1e-9)}
FLOOR = 1e-2
"""Scale that `atol` is multiplied by at least, so that cancellation to almost 0 is no mismatch."""


@dataclass(frozen=True)
class Tolerance:
    """`|actual - expected| <= rtol * |expected| + atol * max(FLOOR, largest |expected|)`.

    The absolute part follows the scale of the tensor: an element that comes out near 0 only
    because large terms cancel is as uncertain as those terms are. (0, 0) asks for equal bits.
    """

    rtol: float
    atol: float

    @property
    def exact(self) -> bool:
        """Whether it asks for equality."""
        return self.rtol == 0 and self.atol == 0


EXACTLY = Tolerance(0.0, 0.0)


def tolerance_for(
    precision: Precision, dtype: Any, rtol: float | None, atol: float | None
) -> Tolerance:
    """Exact for all but floats, and for floats that are rounded nowhere; else by coarsest dtype."""
    if precision.dtype is None or kind_of(dtype) != "f":
        return EXACTLY
    # bfloat16 has 3 binary digits fewer than float16, on which those of 2 bytes are laid out.
    coarse = 8.0 if is_extended(precision.dtype) else 1.0
    usual = [coarse * number for number in TOLERANCES[max(2, min(precision.dtype.itemsize, 8))]]
    return Tolerance(usual[0] if rtol is None else rtol, usual[1] if atol is None else atol)


@dataclass(frozen=True)
class Difference:
    """How far two arrays are apart.

    Attributes:
        problem: what is wrong, in words; empty if they agree.
        largest: largest absolute difference of finite elements.
        relative: that, divided by the largest expected magnitude.
    """

    problem: str
    largest: float = 0.0
    relative: float = 0.0


def difference(expected: Any, actual: Any, tolerance: Tolerance) -> Difference:
    """Compare what onnxruntime computed with what the program did."""
    expected, actual = np.asarray(expected), np.asarray(actual)
    if expected.dtype != actual.dtype:
        return Difference(
            f"dtype {dtype_name(actual.dtype)} instead of {dtype_name(expected.dtype)}"
        )
    if expected.shape != actual.shape:
        return Difference(
            f"shape {shape_text(actual.shape)} instead of {shape_text(expected.shape)}"
        )
    if expected.size == 0:
        return Difference("")
    if kind_of(expected.dtype) != "f":
        return _unequal(expected, actual)
    for name, test in (("NaN", np.isnan), ("+inf", np.isposinf), ("-inf", np.isneginf)):
        if not np.array_equal(test(expected), test(actual)):
            at = _first(test(expected) != test(actual))
            problem = f"{name} at other places, first {_instead(expected, actual, at)}"
            return Difference(problem, np.inf, np.inf)
    finite = np.isfinite(expected)
    wide = np.result_type(expected.dtype, np.float64)
    want = np.where(finite, expected, 0).astype(wide)
    apart = np.abs(np.where(finite, actual, 0).astype(wide) - want)
    scale = float(np.abs(want).max())
    allowed = tolerance.rtol * np.abs(want) + tolerance.atol * max(FLOOR, scale)
    largest = float(apart.max())
    found = Difference("", largest, largest / scale if scale else largest)
    beyond = ~(apart <= allowed)  # a NaN on either side is a difference
    if not beyond.any():
        return found
    at = tuple(int(i) for i in np.unravel_index(int(np.argmax(apart - allowed)), apart.shape))
    problem = f"{_share(beyond)}, most {_instead(expected, actual, at)}"
    return Difference(problem, found.largest, found.relative)


def _unequal(expected: Any, actual: Any) -> Difference:
    unequal = expected != actual
    if not unequal.any():
        return Difference("")
    at = _first(unequal)
    numeric = kind_of(expected.dtype) in "iu"
    largest = (
        float(np.abs(actual.astype(np.float64) - expected.astype(np.float64)).max())
        if numeric
        else 1.0
    )
    problem = f"{_share(unequal)}, first {_instead(expected, actual, at)}"
    return Difference(problem, largest, largest)


def _instead(expected: Any, actual: Any, at: tuple[int, ...]) -> str:
    """`at [0, 3]: 1.5 instead of 2.0`."""
    found, wanted = actual[at], expected[at]
    if isinstance(wanted, str):
        return f"at {list(at)}: {found!r} instead of {wanted!r}"
    return f"at {list(at)}: {found!s} instead of {wanted!s}"


def _first(mask: Any) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(mask)), mask.shape))


def _share(mask: Any) -> str:
    return f"{int(np.count_nonzero(mask))} of {mask.size} elements differ"
