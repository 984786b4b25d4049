"""What is known of the sign and the neighbours of a floating number."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphctx.graph import Value
from graphctx.ops.elementwise import abs, add, expand_signbit, multiply, negative, subtract
from graphctx.ops.logic import (
    equal,
    greater,
    isinf,
    less_equal,
    logical_or,
    not_equal,
    where,
)
from graphctx.ops.rules import numpy_rules
from graphctx.ops.table import Inferred, broadcast, op, require_kind
from graphctx.spec import is_extended


def _infer(x1: Value, x2: Value) -> Inferred:
    require_kind(x1, "f", "a floating dtype")
    return broadcast(x1, x2)


def _expand_copysign(x1: Any, x2: Any) -> Any:
    return where(not_equal(expand_signbit(x1), expand_signbit(x2)), negative(x1), x1)


@numpy_rules(np.copysign)
@op("copysign", infer=_infer, ufunc=np.copysign, promote=0, expand=_expand_copysign)
def copysign(x1: Any, x2: Any) -> Any:
    """The magnitude of one element with the sign of another; a file takes NaN for positive."""
    return np.copysign(x1, x2)


def limits(dtype: Any) -> Any:
    """NumPy's `finfo`, or that of ml_dtypes for its dtypes."""
    package: Any = np
    if is_extended(dtype):
        import ml_dtypes as package
    return package.finfo(dtype)


def _expand_nextafter(x1: Any, x2: Any) -> Any:
    """The neighbour by arithmetic that rounds to it.

    Of a number a = m 2^e with 1 <= m < 2 the next one is a + u, u = 2^(e-p), p the bits after the
    point; the one before it a - u, or a - u/2 for m = 1. For a step s = 1.25 a 2^-(p+1), which is
    between 0.625 u and 1.25 u, a + s and a - s round to these. Numbers are first scaled by
    2^(p+1) where s could not be told exactly; below the normal ones all steps are equal.
    """
    info = limits(x1.dtype)
    scalar = x1.dtype.type
    scale = scalar(2.0 ** (info.nmant + 1))
    factor = scalar(1.25) / scale
    size = abs(x1)
    small = less_equal(size, scalar(info.tiny * 2.0 ** (info.nmant + 2)))
    scaled = where(small, multiply(size, scale), size)
    least = scalar(float(info.smallest_subnormal) * float(scale))
    step = multiply(scaled, factor)
    step = where(less_equal(size, scalar(info.tiny)), least, step)
    upwards = greater(x2, x1)
    away = equal(upwards, greater(x1, 0))  # from zero
    moved = where(away, add(scaled, step), subtract(scaled, step))
    moved = where(small, multiply(moved, scalar(1) / scale), moved)
    moved = where(isinf(x1), scalar(info.max), moved)  # only towards zero: beyond is nothing
    moved = where(expand_signbit(x1), negative(moved), moved)
    tiny = scalar(info.smallest_subnormal)
    moved = where(equal(x1, 0), where(upwards, tiny, -tiny), moved)
    unordered = logical_or(not_equal(x1, x1), not_equal(x2, x2))
    return where(equal(x1, x2), x2, where(unordered, add(x1, x2), moved))


@numpy_rules(np.nextafter)
@op("nextafter", infer=_infer, ufunc=np.nextafter, promote=0, expand=_expand_nextafter)
def nextafter(x1: Any, x2: Any) -> Any:
    """The floating number next to `x1` in the direction of `x2`."""
    return np.nextafter(x1, x2)
