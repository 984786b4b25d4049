"""Arithmetic on single elements: sums, powers, exponentials, angles, rounding.

The public functions have the array API standard's names and NumPy's dtype rules, on arrays and on
symbolic tensors alike. A record that is not itself the public function is named `like_this_op`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphctx.context import source_line
from graphctx.errors import DTypeError, ShapeError
from graphctx.graph import Node, Value
from graphctx.ops.logic import (
    and_op,
    astype,
    equal,
    greater,
    identity,
    less,
    logical_and,
    logical_or,
    not_equal,
    or_op,
    where,
)
from graphctx.ops.rules import (
    alike,
    common,
    composite,
    numpy_rules,
    of_one_dtype,
    operands_of,
    promoted,
    recorder_of,
    tensor,
)
from graphctx.ops.table import (
    Inferred,
    broadcast,
    broadcast_numeric,
    floating,
    numeric,
    op,
    require_kind,
)
from graphctx.spec import (
    Dim,
    as_dtype,
    broadcast_shapes,
    is_extended,
    kind_of,
)
from graphctx.tensor import Tensor
from graphctx.tensor import where as location

INT64 = np.dtype(np.int64)

# -- inference ------------------------------------------------------------------------------------


def _broadcast_floating(*values: Value, **_: Any) -> Inferred:
    for value in values:
        require_kind(value, "f", "a floating dtype")
    return broadcast(*values)


def _infer_pow(x: Value, y: Value) -> Inferred:
    require_kind(x, "iuf", "a numeric dtype")
    require_kind(y, "iuf", "a numeric exponent")
    return broadcast_shapes(x.shape, y.shape), x.dtype


def _infer_clip(x: Value, min: Value | None = None, max: Value | None = None) -> Inferred:
    require_kind(x, "iuf", "a numeric dtype")
    for name, bound in (("min", min), ("max", max)):
        if bound is not None:
            if bound.rank != 0:
                raise ShapeError(f"{name} must be a scalar, got {bound.spec}")
            broadcast(x, bound)
    return x.shape, x.dtype


# -- elements that are known dimensions -----------------------------------------------------------


def _pairwise(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Content of a binary operator: its function on every pair of elements."""

    def content(a: tuple[Any, ...], b: tuple[Any, ...], **_: Any) -> Any:
        length = len(b) if len(a) == 1 else len(a)
        if len(a) not in (1, length) or len(b) not in (1, length):
            return None
        a, b = (x * length if len(x) == 1 else x for x in (a, b))
        found = tuple(function(x, y) for x, y in zip(a, b, strict=True))
        return None if any(entry is None for entry in found) else found

    return content


def _never_negative(dim: Any) -> bool:
    if isinstance(dim, Dim):
        return all(coefficient >= 0 for _, coefficient in dim.terms)
    return bool(dim >= 0)


def _divided(a: Any, b: Any) -> Any:
    """Truncating division; unknown where a sign is."""
    if not isinstance(b, Dim) and b == 0:
        return None
    if _never_negative(a) and _never_negative(b):
        return a // b
    if isinstance(a, Dim) or isinstance(b, Dim):
        return None
    return -(-a // b) if (a < 0) != (b < 0) else a // b


def _floor_divided(a: Any, b: Any) -> Any:
    return None if not isinstance(b, Dim) and b == 0 else a // b


def _floor_remainder(a: Any, b: Any, *, fmod: int = 0) -> Any:
    return None if not isinstance(b, Dim) and b == 0 else a % b


# -- arithmetic -----------------------------------------------------------------------------------


def _kind(*operands: Any) -> str:
    return kind_of(np.result_type(*operands))


@numpy_rules(np.add, bools=or_op)
@op("Add", since=14, infer=broadcast_numeric, ufunc=np.add, promote=0,
    content=_pairwise(lambda a, b: a + b))  # fmt: skip
def add(a: Any, b: Any) -> Any:
    """Sum of two tensors, elementwise."""
    return np.add(a, b)


@numpy_rules(np.subtract)
@op("Sub", since=14, infer=broadcast_numeric, ufunc=np.subtract, promote=0,
    content=_pairwise(lambda a, b: a - b))  # fmt: skip
def subtract(a: Any, b: Any) -> Any:
    """Difference of two tensors, elementwise."""
    return np.subtract(a, b)


@numpy_rules(np.multiply, bools=and_op)
@op("Mul", since=14, infer=broadcast_numeric, ufunc=np.multiply, promote=0,
    content=_pairwise(lambda a, b: a * b))  # fmt: skip
def multiply(a: Any, b: Any) -> Any:
    """Product of two tensors, elementwise."""
    return np.multiply(a, b)


def _inline_div(node: Node) -> str | None:
    floats = kind_of(node.output.dtype) in "fc"
    return "np_divide({0}, {1}, out={out})" if floats else None


@op("Div", since=14, infer=broadcast_numeric, promote=0, content=_pairwise(_divided), local=0,
    inline=_inline_div)  # fmt: skip
def div_op(a: Any, b: Any) -> Any:
    """Quotient; of integers it is truncated towards zero."""
    kind = _kind(a, b)
    if kind in "fc":
        return np.divide(a, b)
    if kind == "u":
        return np.floor_divide(a, b)
    return np.floor_divide(np.subtract(a, np.fmod(a, b)), b)  # truncates: nothing left to round


@composite(of_one_dtype(np.true_divide))
def divide(x1: Any, x2: Any) -> Any:
    """Quotient of two tensors, elementwise; of integers it is a float."""
    return div_op(*operands_of(np.true_divide, x1, x2)[:2])


@op("Mod", since=13, infer=broadcast_numeric, promote=0, content=_pairwise(_floor_remainder),
    local=0)  # fmt: skip
def mod_op(a: Any, b: Any, *, fmod: int = 0) -> Any:
    """Remainder with the sign of the divisor; with `fmod=1` that of the dividend."""
    return np.fmod(a, b) if fmod else np.remainder(a, b)


def _expand_floor_divide(a: Any, b: Any) -> Any:
    quotient = div_op(a, b)
    kind = kind_of(a.dtype)
    if kind == "u":
        return quotient
    if kind == "i":  # one less where truncation went up
        rest = subtract(a, multiply(quotient, b))
        return subtract(quotient, astype(not_equal(rest, mod_op(a, b)), a.dtype))
    # Python's algorithm for floats: exact multiples stay exact, whatever `a / b` rounds to.
    rest = mod_op(a, b, fmod=1)
    whole = divide(subtract(a, rest), b)
    lower = logical_and(not_equal(rest, 0), not_equal(less(rest, 0), less(b, 0)))
    whole = subtract(whole, astype(lower, a.dtype))
    low = floor(whole)
    low = add(low, astype(greater(subtract(whole, low), 0.5), a.dtype))
    return where(equal(b, 0), quotient, low)


@numpy_rules(np.floor_divide)
@op("floor_divide", infer=broadcast_numeric, ufunc=np.floor_divide, promote=0,
    expand=_expand_floor_divide, content=_pairwise(_floor_divided))  # fmt: skip
def floor_divide(a: Any, b: Any) -> Any:
    """Quotient rounded towards minus infinity, elementwise, as Python's `//`."""
    return np.floor_divide(a, b)


def _expand_remainder(a: Any, b: Any) -> Any:
    rest = mod_op(a, b, fmod=1)
    signs_differ = not_equal(less(rest, 0), less(b, 0))
    return where(logical_and(not_equal(rest, 0), signs_differ), add(rest, b), rest)


@op("remainder", infer=_broadcast_floating, ufunc=np.remainder, promote=0,
    expand=_expand_remainder)  # fmt: skip
def remainder_op(a: Any, b: Any) -> Any:
    """Remainder of floats with the sign of the divisor."""
    return np.remainder(a, b)  # Mod with fmod=0 takes floats from opset 28 on only


@composite(of_one_dtype(np.remainder))
def remainder(x1: Any, x2: Any) -> Any:
    """Remainder with the sign of the divisor, elementwise, as Python's `%`."""
    x1, x2, dtype = operands_of(np.remainder, x1, x2)
    return remainder_op(x1, x2) if kind_of(dtype) == "f" else mod_op(x1, x2)


@composite(of_one_dtype(np.fmod))
def fmod(x1: Any, x2: Any) -> Any:
    """Remainder with the sign of the dividend, elementwise, as C's `fmod`."""
    x1, x2, dtype = operands_of(np.fmod, x1, x2)
    if kind_of(dtype) == "f":
        return mod_op(x1, x2, fmod=1)
    x2 = _never_zero(x2)  # the remainder by 0 is 0 in NumPy, as is the one by 1
    return subtract(x1, multiply(div_op(x1, x2), x2))


def _never_zero(x: Tensor) -> Any:
    """Integers with 1 instead of 0."""
    known = x.value.constant
    if known is not None and np.all(known):
        return x
    return where(equal(x, 0), np.ones((), x.dtype), x)


def _local_pow(node: Node) -> int | None:
    exponent = node.operands[1]
    assert exponent is not None
    return None if exponent.rank else 0  # the kernel asks for the number of exponents


def _inline_pow(node: Node) -> str | None:
    exponent = node.operands[1]
    assert exponent is not None
    known = exponent.constant
    square = known is not None and known.ndim == 0 and known == 2
    return "np_square({0}, out={out})" if square and kind_of(node.output.dtype) == "f" else None


@op("Pow", since=15, infer=_infer_pow, local=_local_pow, inline=_inline_pow)
def pow_op(x: Any, y: Any) -> Any:
    """Power, of the dtype of the base."""
    if kind_of(x.dtype) == "f":
        if y.size == 1 and y.ndim <= x.ndim and y.item() == 2:
            return np.square(x)
        return np.power(x, y).astype(x.dtype, copy=False)
    if kind_of(y.dtype) == "f" or (y.size and y.min() < 0):
        return np.power(x.astype(np.float64), y).astype(x.dtype)
    return np.power(x, y.astype(x.dtype, copy=False))


def _eager_pow(x1: Any, x2: Any) -> Any:
    x1, x2 = alike(x1, x2)
    return pow_op.kernel(x1, x2) if is_extended(np.asarray(x1).dtype) else np.power(x1, x2)


@composite(_eager_pow)
def pow(x1: Any, x2: Any) -> Any:
    """Power, elementwise. Integers stay integers and wrap around."""
    x1, x2, dtype = operands_of(np.power, x1, x2)
    known = x2.value.constant
    if kind_of(dtype) == "i" and known is not None and np.any(known < 0):
        raise DTypeError(
            f"{location()}integers have no power of a negative integer; make the base a float "
            f"with ops.astype ({source_line()})"
        )
    if kind_of(dtype) == "f" or dtype in (np.int32, np.int64):
        return pow_op(x1, x2)
    return astype(pow_op(astype(x1, INT64), astype(x2, INT64)), dtype)


@op("Neg", since=13, infer=numeric, ufunc=np.negative)
def neg_op(x: Any) -> Any:
    """Minus `x`."""
    return np.negative(x)


@composite(np.negative)
def negative(x: Any) -> Any:
    """Minus `x`; unsigned integers wrap around."""
    [dtype] = promoted(np.negative, x)
    return subtract(np.zeros((), dtype), x) if kind_of(dtype) == "u" else neg_op(x)


@composite(np.positive)
def positive(x: Any) -> Any:
    """`x` itself; bools have no sign."""
    promoted(np.positive, x)
    return tensor(x)


@numpy_rules(np.absolute, bools=identity)
@op("Abs", since=13, infer=numeric, ufunc=np.absolute)
def abs(x: Any) -> Any:
    """Absolute value, elementwise."""
    return np.absolute(x)


@numpy_rules(np.sign)
@op("Sign", since=9, infer=numeric, ufunc=np.sign)
def sign(x: Any) -> Any:
    """-1, 0 or 1 by the sign, elementwise; NaN stays NaN."""
    return np.sign(x)


@numpy_rules(np.sqrt)
@op("Sqrt", since=6, infer=floating, ufunc=np.sqrt)
def sqrt(x: Any) -> Any:
    """Square root, elementwise."""
    return np.sqrt(x)


@composite(np.square)
def square(x: Any) -> Any:
    """`x * x`, elementwise; of bools it is int8, as in NumPy."""
    x = tensor(x, promoted(np.square, x)[0])
    return multiply(x, x)


@op("Reciprocal", since=6, infer=floating, ufunc=np.reciprocal)
def reciprocal_op(x: Any) -> Any:
    """`1 / x`."""
    return np.reciprocal(x)


@composite(np.reciprocal)
def reciprocal(x: Any) -> Any:
    """`1 / x`, elementwise; of integers it is truncated, as in NumPy."""
    x = tensor(x, promoted(np.reciprocal, x)[0])
    if kind_of(x.dtype) == "f":
        return reciprocal_op(x)
    with np.errstate(all="ignore"):
        of_zero = np.reciprocal(np.zeros(1, x.dtype))[0]
    return where(equal(x, 0), of_zero, div_op(np.ones((), x.dtype), _never_zero(x)))


@composite(lambda x: np.reciprocal(np.sqrt(x)))
def rsqrt(x: Any) -> Any:
    """`1 / sqrt(x)`, elementwise."""
    return reciprocal_op(sqrt(x))


def _broadcast_all(step: Any) -> Callable[..., Any]:
    """A kernel for any number of operands."""

    def kernel(*data: Any) -> Any:
        if len(data) == 2:
            return step(*data)
        return functools.reduce(step, data) if len(data) > 1 else data[0] + 0

    return kernel


_max_of = _broadcast_all(np.maximum)
_min_of = _broadcast_all(np.minimum)
_sum_of = _broadcast_all(np.add)


def _inline_pair(name: str) -> Callable[[Node], str | None]:
    """The ufunc of an operator that takes any number of operands, for two."""
    return lambda node: f"np_{name}({{0}}, {{1}}, out={{out}})" if len(node.operands) == 2 else None


@op("Max", since=12, infer=broadcast_numeric, promote=0, local=0, inline=_inline_pair("maximum"))
def max_op(*data: Any) -> Any:
    """Largest of any number of elements."""
    return _max_of(*data)


@op("Min", since=12, infer=broadcast_numeric, promote=0, local=0, inline=_inline_pair("minimum"))
def min_op(*data: Any) -> Any:
    """Smallest of any number of elements."""
    return _min_of(*data)


@op("Sum", since=8, infer=_broadcast_floating, promote=0, local=0, inline=_inline_pair("add"))
def sum_op(*data: Any) -> Any:
    """Sum of any number of tensors, elementwise."""
    return _sum_of(*data)


@op("Mean", since=8, infer=_broadcast_floating, promote=0, local=0)
def mean_op(*data: Any) -> Any:
    """Mean of any number of tensors, elementwise."""
    return _sum_of(*data) / len(data)


@composite(of_one_dtype(np.maximum))
def maximum(x1: Any, x2: Any) -> Any:
    """The larger of two elements; NaN if one is NaN."""
    x1, x2, dtype = operands_of(np.maximum, x1, x2)
    return or_op(x1, x2) if dtype == bool else max_op(x1, x2)


@composite(of_one_dtype(np.minimum))
def minimum(x1: Any, x2: Any) -> Any:
    """The smaller of two elements; NaN if one is NaN."""
    x1, x2, dtype = operands_of(np.minimum, x1, x2)
    return and_op(x1, x2) if dtype == bool else min_op(x1, x2)


def _inline_clip(node: Node) -> str | None:
    bounds = [v is not None for v in (*node.operands[1:], None, None)][:2]
    if bounds == [True, True]:
        return "{0}.clip({1}, {2}, out={out})"
    if bounds == [True, False]:
        return "np_maximum({0}, {1}, out={out})"
    return "np_minimum({0}, {2}, out={out})" if bounds == [False, True] else None


@op("Clip", since=12, infer=_infer_clip, promote=0, local=0, inline=_inline_clip)
def clip_op(x: Any, min: Any = None, max: Any = None) -> Any:
    """Elements limited to an interval; a bound is a scalar."""
    if min is None:
        return np.positive(x) if max is None else np.minimum(x, max)
    return np.maximum(x, min) if max is None else np.asarray(x).clip(min, max)


def _clip_eager(x: Any, min: Any = None, max: Any = None) -> Any:
    x, min, max = alike(x, min, max)
    if min is None or max is None:
        return clip_op.kernel(x, min, max)
    if is_extended(np.asarray(x).dtype):  # NumPy's `clip` would return float32
        return np.minimum(np.maximum(x, min), max)
    return np.clip(x, min, max)


@composite(_clip_eager)
def _clip_any(x: Any, min: Any = None, max: Any = None) -> Any:
    bounds = [bound for bound in (min, max) if bound is not None]
    if not bounds:
        return x
    recorder = recorder_of(x, *bounds)
    assert recorder is not None
    dtype = common(x, *bounds)
    x = recorder.tensor(x, dtype)
    low, high = (None if b is None else recorder.tensor(b, dtype) for b in (min, max))
    if all(bound is None or _is_number(bound) for bound in (low, high)):
        return clip_op(x, low, high)
    x = x if low is None else maximum(x, low)
    return x if high is None else minimum(x, high)


def _is_number(bound: Tensor) -> bool:
    """Whether a bound is a scalar that is not NaN, which ONNX runtimes take for no limit."""
    known = bound.value.constant
    if bound.shape:
        return False
    return kind_of(bound.dtype) != "f" or (known is not None and not np.isnan(known).any())


def clip(x: Any, min: Any = None, max: Any = None) -> Any:
    """Elements limited to the interval from `min` to `max`; None is no limit."""
    return _clip_any(x, min, max)


# -- exponentials, logarithms, trigonometry -------------------------------------------------------


@numpy_rules(np.exp)
@op("Exp", since=6, infer=floating, ufunc=np.exp)
def exp(x: Any) -> Any:
    """Exponential, elementwise."""
    return np.exp(x)


@numpy_rules(np.log)
@op("Log", since=6, infer=floating, ufunc=np.log)
def log(x: Any) -> Any:
    """Natural logarithm, elementwise."""
    return np.log(x)


def _expand_expm1(x: Any) -> Any:
    # tanh(x / 2) (exp(x) + 1) equals exp(x) - 1 and does not cancel near 0.
    return multiply(tanh(multiply(x, 0.5)), add(exp(x), 1.0))


@numpy_rules(np.expm1)
@op("expm1", infer=floating, ufunc=np.expm1, expand=_expand_expm1)
def expm1(x: Any) -> Any:
    """`exp(x) - 1`, accurate near 0."""
    return np.expm1(x)


def _expand_log1p(x: Any) -> Any:
    # Kahan: the rounding error of u = 1 + x cancels in log(u) / (u - 1).
    u = add(x, 1.0)
    direct = logical_or(equal(u, 1.0), equal(u, np.inf))
    safe = where(direct, 2.0, u)
    return where(direct, where(equal(u, 1.0), x, u),
                 multiply(log(safe), divide(x, subtract(safe, 1.0))))  # fmt: skip


@numpy_rules(np.log1p)
@op("log1p", infer=floating, ufunc=np.log1p, expand=_expand_log1p)
def log1p(x: Any) -> Any:
    """`log(1 + x)`, accurate near 0."""
    return np.log1p(x)


@numpy_rules(np.log2)
@op("log2", infer=floating, ufunc=np.log2, expand=lambda x: multiply(log(x), 1 / math.log(2)))
def log2(x: Any) -> Any:
    """Logarithm to base 2, elementwise."""
    return np.log2(x)


@numpy_rules(np.log10)
@op("log10", infer=floating, ufunc=np.log10, expand=lambda x: multiply(log(x), 1 / math.log(10)))
def log10(x: Any) -> Any:
    """Logarithm to base 10, elementwise."""
    return np.log10(x)


@composite(np.exp2)
def exp2(x: Any) -> Any:
    """`2 ** x`, elementwise."""
    [dtype] = promoted(np.exp2, x)
    return pow_op(np.full((), 2, dtype), tensor(x, dtype))


def _expand_logaddexp(a: Any, b: Any) -> Any:
    larger, smaller = max_op(a, b), min_op(a, b)
    distance = where(equal(a, b), 0.0, subtract(smaller, larger))  # inf - inf is not known
    return add(larger, _expand_log1p(exp(distance)))


@numpy_rules(np.logaddexp)
@op("logaddexp", infer=_broadcast_floating, ufunc=np.logaddexp, promote=0,
    expand=_expand_logaddexp)  # fmt: skip
def logaddexp(a: Any, b: Any) -> Any:
    """`log(exp(a) + exp(b))` without overflow, elementwise."""
    return np.logaddexp(a, b)


def _expand_hypot(a: Any, b: Any) -> Any:
    longer, shorter = max_op(abs(a), abs(b)), min_op(abs(a), abs(b))
    ratio = where(logical_or(equal(longer, 0), equal(longer, np.inf)), 0.0,
                  divide(shorter, longer))  # fmt: skip
    found = multiply(longer, sqrt(add(multiply(ratio, ratio), 1.0)))
    # Of an infinite side the length is infinite, even where the other side is NaN.
    return where(logical_or(equal(abs(a), np.inf), equal(abs(b), np.inf)), np.inf, found)


@numpy_rules(np.hypot)
@op("hypot", infer=_broadcast_floating, ufunc=np.hypot, promote=0, expand=_expand_hypot)
def hypot(a: Any, b: Any) -> Any:
    """`sqrt(a ** 2 + b ** 2)` without overflow, elementwise."""
    return np.hypot(a, b)


@numpy_rules(np.sin)
@op("Sin", since=7, infer=floating, ufunc=np.sin)
def sin(x: Any) -> Any:
    """Sine of radians, elementwise."""
    return np.sin(x)


@numpy_rules(np.cos)
@op("Cos", since=7, infer=floating, ufunc=np.cos)
def cos(x: Any) -> Any:
    """Cosine of radians, elementwise."""
    return np.cos(x)


@numpy_rules(np.tan)
@op("Tan", since=7, infer=floating, ufunc=np.tan)
def tan(x: Any) -> Any:
    """Tangent of radians, elementwise."""
    return np.tan(x)


@numpy_rules(np.arcsin)
@op("Asin", since=7, infer=floating, ufunc=np.arcsin)
def asin(x: Any) -> Any:
    """Arc sine in radians, elementwise."""
    return np.arcsin(x)


@numpy_rules(np.arccos)
@op("Acos", since=7, infer=floating, ufunc=np.arccos)
def acos(x: Any) -> Any:
    """Arc cosine in radians, elementwise."""
    return np.arccos(x)


@numpy_rules(np.arctan)
@op("Atan", since=7, infer=floating, ufunc=np.arctan)
def atan(x: Any) -> Any:
    """Arc tangent in radians, elementwise."""
    return np.arctan(x)


def _expand_atan2(y: Any, x: Any) -> Any:
    # The angle of the smaller over the larger side, mirrored into the octant of (x, y).
    flat, steep = abs(x), abs(y)
    longer, shorter = maximum(flat, steep), minimum(flat, steep)
    ratio = divide(shorter, where(equal(longer, 0), 1.0, longer))
    ratio = where(equal(shorter, np.inf), 1.0, ratio)
    angle = atan(ratio)
    angle = where(greater(steep, flat), subtract(math.pi / 2, angle), angle)
    angle = where(expand_signbit(x), subtract(math.pi, angle), angle)
    return where(expand_signbit(y), negative(angle), angle)


@numpy_rules(np.arctan2)
@op("atan2", infer=_broadcast_floating, ufunc=np.arctan2, promote=0, expand=_expand_atan2)
def atan2(y: Any, x: Any) -> Any:
    """Angle of the point (x, y) in radians, from -pi to pi, elementwise."""
    return np.arctan2(y, x)


@numpy_rules(np.sinh)
@op("Sinh", since=9, infer=floating, ufunc=np.sinh)
def sinh(x: Any) -> Any:
    """Hyperbolic sine, elementwise."""
    return np.sinh(x)


@numpy_rules(np.cosh)
@op("Cosh", since=9, infer=floating, ufunc=np.cosh)
def cosh(x: Any) -> Any:
    """Hyperbolic cosine, elementwise."""
    return np.cosh(x)


@numpy_rules(np.tanh)
@op("Tanh", since=6, infer=floating, ufunc=np.tanh)
def tanh(x: Any) -> Any:
    """Hyperbolic tangent, elementwise."""
    return np.tanh(x)


@numpy_rules(np.arcsinh)
@op("Asinh", since=9, infer=floating, ufunc=np.arcsinh)
def asinh(x: Any) -> Any:
    """Inverse of `sinh`, elementwise."""
    return np.arcsinh(x)


@numpy_rules(np.arccosh)
@op("Acosh", since=9, infer=floating, ufunc=np.arccosh)
def acosh(x: Any) -> Any:
    """Inverse of `cosh`, elementwise."""
    return np.arccosh(x)


@numpy_rules(np.arctanh)
@op("Atanh", since=9, infer=floating, ufunc=np.arctanh)
def atanh(x: Any) -> Any:
    """Inverse of `tanh`, elementwise."""
    return np.arctanh(x)


# -- rounding -------------------------------------------------------------------------------------


def _rounding(ufunc: Any, record: Any) -> Callable[[Any], Any]:
    """A public function that leaves integers as they are."""

    def eager(x: Any) -> Any:
        return ufunc(x)

    def symbolic(x: Any) -> Any:
        x = tensor(x)
        if ufunc is _round_any:
            promoted(np.positive, x)  # refuses bools, as the eager call does
        return record(x) if kind_of(x.dtype) == "f" else x

    return functools.wraps(record)(composite(eager)(symbolic))


@op("Floor", since=6, infer=floating, ufunc=np.floor)
def floor_op(x: Any) -> Any:
    """The largest whole number that is not above, elementwise."""
    return np.floor(x)


@op("Ceil", since=6, infer=floating, ufunc=np.ceil)
def ceil_op(x: Any) -> Any:
    """The smallest whole number that is not below, elementwise."""
    return np.ceil(x)


@op("Round", since=11, infer=floating, ufunc=np.rint)
def round_op(x: Any) -> Any:
    """The nearest whole number, halves to even, elementwise."""
    return np.rint(x)


def _expand_trunc(x: Any) -> Any:
    return where(less(x, 0), ceil(x), floor(x))


@op("trunc", infer=floating, ufunc=np.trunc, expand=_expand_trunc)
def trunc_op(x: Any) -> Any:
    """The nearest whole number towards zero, elementwise."""
    return np.trunc(x)


def _round_any(x: Any) -> Any:
    return np.rint(x) if kind_of(np.asarray(x).dtype) in "fc" else np.positive(x)


floor = _rounding(np.floor, floor_op)
ceil = _rounding(np.ceil, ceil_op)
round = _rounding(_round_any, round_op)
trunc = _rounding(np.trunc, trunc_op)


# -- tests ----------------------------------------------------------------------------------------


@composite(np.isfinite)
def isfinite(x: Any) -> Any:
    """Whether an element is neither infinite nor NaN."""
    x = tensor(x)
    return less(abs(x), np.inf) if kind_of(x.dtype) == "f" else equal(x, x)


def expand_signbit(x: Any) -> Any:
    """Whether a float is negative or -0; of NaN, false."""
    # 1 / -0 is minus infinity.
    return less(where(equal(x, 0), reciprocal_op(x), x), 0)


def _infer_signbit(x: Value) -> Inferred:
    require_kind(x, "f", "a floating dtype")
    return x.shape, np.dtype(bool)


@op("signbit", infer=_infer_signbit, ufunc=np.signbit, expand=expand_signbit)
def signbit_op(x: Any) -> Any:
    """Whether an element is negative, is -0, or is a NaN with its sign set, which files ignore."""
    return np.signbit(x)


@composite(np.signbit)
def signbit(x: Any) -> Any:
    """Whether an element is negative, or is -0."""
    x = tensor(x)
    return signbit_op(x) if kind_of(x.dtype) == "f" else less(x, 0)


# -- tensors like another -------------------------------------------------------------------------


@composite(lambda x, fill_value, dtype: np.full_like(x, fill_value, dtype))
def _full_like(x: Any, fill_value: Any, dtype: Any) -> Any:
    from graphctx import ops

    shape = x.shape if isinstance(x, Tensor) else np.shape(x)
    return ops.full(shape, fill_value, tensor(x, like=fill_value).dtype if dtype is None else dtype)


def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Any:
    """A tensor of the shape (and unless given, the dtype) of `x` with one value everywhere."""
    return _full_like(x, fill_value, None if dtype is None else as_dtype(dtype))


def zeros_like(x: Any, dtype: Any = None) -> Any:
    """A tensor of zeros of the shape (and unless given, the dtype) of `x`."""
    return full_like(x, 0, dtype)


def ones_like(x: Any, dtype: Any = None) -> Any:
    """A tensor of ones of the shape (and unless given, the dtype) of `x`."""
    return full_like(x, 1, dtype)
