"""Activation functions, by the names that Keras gives them, and `erf`.

Kernels are arithmetic on every element: a choice per element (`np.where`) costs ten times as much
as a multiplication. Those of several steps take large arrays in blocks: a step writes its result
into `out`, which may be `x` itself, so that buffers hold what is needed until then. None of them
overflows; float16 is computed in float32.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from graphctx.errors import ShapeError
from graphctx.graph import Node, Value
from graphctx.ops.blocks import in_blocks, sum_of_rows, with_column
from graphctx.ops.elementwise import (
    add,
    clip,
    divide,
    exp,
    maximum,
    minimum,
    multiply,
    negative,
    sqrt,
    square,
    subtract,
    tanh,
)
from graphctx.ops.logic import where
from graphctx.ops.rules import composite, float_rules, half_in_single
from graphctx.ops.table import (
    Inferred,
    common_dtype,
    floating,
    normalize_axis,
    numeric,
    op,
    require_kind,
)
from graphctx.spec import broadcast_shapes, joined_shape, shape_text


@functools.lru_cache(maxsize=256)
def _numbers(dtype: np.dtype[Any], *values: float) -> tuple[Any, ...]:
    """Numbers as arrays without axes, which NumPy takes faster than scalars."""
    return tuple(np.asarray(value, dtype) for value in values)


# -- rectifiers -----------------------------------------------------------------------------------


@op("Relu", since=14, infer=numeric, local=0, inline="np_maximum({0}, {zero}, out={out})")
def relu(x: Any) -> Any:
    """Rectified linear unit: `max(x, 0)`."""
    return np.maximum(x, 0)


@composite(lambda x: np.minimum(np.maximum(x, 0), 6))
def relu6(x: Any) -> Any:
    """Rectified linear unit that saturates: `min(max(x, 0), 6)`."""
    return clip(x, 0, 6)


@float_rules
@op("LeakyRelu", since=6, infer=floating, local=0)
def leaky_relu(x: Any, *, alpha: float = 0.01) -> Any:
    """`x` where it is positive, else `alpha * x`."""
    if 0 < alpha <= 1:
        return np.maximum(x, x * x.dtype.type(alpha))
    return np.where(x < 0, x * x.dtype.type(alpha), x)


def _infer_prelu(x: Value, slope: Value) -> Inferred:
    require_kind(x, "iuf", "a numeric dtype")
    common_dtype((x, slope))
    if joined_shape(broadcast_shapes(x.shape, slope.shape), x.shape) is None:
        raise ShapeError(
            f"slope {shape_text(slope.shape)} does not broadcast to x {shape_text(x.shape)}"
        )
    return x.shape, x.dtype


@op("PRelu", since=9, infer=_infer_prelu, promote=0, local=0)
def prelu(x: Any, slope: Any) -> Any:
    """`x` where it is positive, else `slope * x`; the slope broadcasts to `x`."""
    return np.where(np.less(x, 0), np.multiply(x, slope), x)


@float_rules
@op("ThresholdedRelu", since=10, infer=floating, local=0)
def thresholded_relu(x: Any, *, alpha: float = 1.0) -> Any:
    """`x` where it is larger than `alpha`, else 0."""
    return np.where(x > x.dtype.type(alpha), x, x.dtype.type(0))


@float_rules
@op("Shrink", since=9, infer=floating, local=0)
def shrink(x: Any, *, bias: float = 0.0, lambd: float = 0.5) -> Any:
    """`x` moved by `bias` towards 0 where `abs(x)` is larger than `lambd`, else 0."""
    scalar = x.dtype.type
    inner = np.where(x > scalar(lambd), x - scalar(bias), scalar(0))
    return np.where(x < -scalar(lambd), x + scalar(bias), inner)


def hard_shrink(x: Any, threshold: float = 0.5) -> Any:
    """`x` where `abs(x)` is larger than the threshold, else 0."""
    return shrink(x, lambd=threshold)


def soft_shrink(x: Any, threshold: float = 0.5) -> Any:
    """`x` moved by the threshold towards 0, and 0 in between."""
    return shrink(x, bias=threshold, lambd=threshold)


# -- exponential linear units ---------------------------------------------------------------------


def _elu_step(x: Any, out: Any, y: Any, z: Any, alpha: float, gamma: float, scale: float) -> None:
    zero, factor, outer, divisor = _numbers(x.dtype, 0, alpha, gamma, scale)
    np.minimum(x, zero, out=y)
    if scale != 1:
        np.divide(y, divisor, out=y)
    np.expm1(y, out=y)
    if alpha != 1:
        np.multiply(y, factor, out=y)
    np.add(y, np.maximum(x, zero, out=z), out=out)
    if gamma != 1:
        np.multiply(out, outer, out=out)


def _elu(x: Any, out: Any, alpha: float, gamma: float, scale: float) -> Any:
    """`gamma * (max(x, 0) + alpha * expm1(min(x, 0) / scale))`."""
    return in_blocks(_elu_step, (x,), out, (x.dtype, x.dtype), alpha, gamma, scale)


@float_rules
@op("Elu", since=6, infer=floating, local=0)
@half_in_single
def elu(x: Any, *, alpha: float = 1.0, out: Any = None) -> Any:
    """Exponential linear unit: `x` where it is positive, else `alpha * (exp(x) - 1)`."""
    return _elu(x, out, alpha, 1.0, 1.0)


@float_rules
@op("Selu", since=6, infer=floating, local=0)
@half_in_single
def selu(x: Any, *, alpha: float = 1.67326319217681884765625,
         gamma: float = 1.05070102214813232421875, out: Any = None) -> Any:  # fmt: skip
    """Scaled exponential linear unit: `gamma * elu(x, alpha)`."""
    return _elu(x, out, alpha, gamma, 1.0)


@float_rules
@op("Celu", since=12, infer=floating, local=0)
@half_in_single
def celu(x: Any, *, alpha: float = 1.0, out: Any = None) -> Any:
    """Continuously differentiable elu: `max(x, 0) + min(0, alpha * (exp(x / alpha) - 1))`."""
    return _elu(x, out, alpha, 1.0, alpha)


# -- sigmoid and its kin --------------------------------------------------------------------------

# Largest argument of exp below overflow, by itemsize.
_LARGEST_EXPONENT = {2: 11.0, 4: 88.0, 8: 709.0}


def _logistic(x: Any, out: Any, y: Any) -> None:
    least, one = _numbers(x.dtype, -_LARGEST_EXPONENT[x.dtype.itemsize], 1)
    np.maximum(x, least, out=y)
    np.negative(y, out=y)
    np.exp(y, out=y)
    np.add(y, one, out=y)
    np.reciprocal(y, out=out)


@float_rules
@op("Sigmoid", since=6, infer=floating, local=0)
@half_in_single
def sigmoid(x: Any, *, out: Any = None) -> Any:
    """Logistic function: `1 / (1 + exp(-x))`."""
    return in_blocks(_logistic, (x,), out, (x.dtype,), once=True)


def _ramp(x: Any, out: Any, alpha: float, beta: float) -> None:
    """`alpha * x + beta`, limited to the interval from 0 to 1."""
    slope, middle, zero, one = _numbers(x.dtype, alpha, beta, 0, 1)
    np.multiply(x, slope, out=out)
    np.add(out, middle, out=out)
    np.maximum(out, zero, out=out)
    np.minimum(out, one, out=out)


@float_rules
@op("HardSigmoid", since=6, infer=floating, local=0)
def _hard_sigmoid(x: Any, *, alpha: float = 0.2, beta: float = 0.5, out: Any = None) -> Any:
    """`alpha * x + beta`, limited to the interval from 0 to 1."""
    return in_blocks(_ramp, (x,), out, (), alpha, beta)


def hard_sigmoid(x: Any, alpha: float = 1 / 6, beta: float = 0.5) -> Any:
    """Piecewise linear sigmoid: `alpha * x + beta` between 0 and 1, with Keras's slope of 1/6.

    ONNX's `HardSigmoid` has 0.2 where no slope is given.
    """
    return _hard_sigmoid(x, alpha=alpha, beta=beta)


def _hard_silu(x: Any, out: Any, y: Any) -> None:
    _ramp(x, y, 1 / 6, 0.5)
    np.multiply(y, x, out=out)


@float_rules
@op("HardSwish", since=14, infer=floating, local=0)
def hard_silu(x: Any, *, out: Any = None) -> Any:
    """`x * hard_sigmoid(x)`."""
    return in_blocks(_hard_silu, (x,), out, (x.dtype,))


def _softplus(x: Any, out: Any, y: Any, z: Any) -> None:
    [zero] = _numbers(x.dtype, 0)
    np.absolute(x, out=y)
    np.negative(y, out=y)
    np.exp(y, out=y)
    np.log1p(y, out=y)
    np.add(y, np.maximum(x, zero, out=z), out=out)


@float_rules
@op("Softplus", since=1, infer=floating, local=0)
@half_in_single
def softplus(x: Any, *, out: Any = None) -> Any:
    """Smooth rectifier: `log(1 + exp(x))`."""
    return in_blocks(_softplus, (x,), out, (x.dtype, x.dtype))


def _softsign(x: Any, out: Any, y: Any) -> None:
    [one] = _numbers(x.dtype, 1)
    np.absolute(x, out=y)
    np.add(y, one, out=y)
    np.divide(x, y, out=out)


@float_rules
@op("Softsign", since=1, infer=floating, local=0)
@half_in_single
def softsign(x: Any, *, out: Any = None) -> Any:
    """`x / (1 + abs(x))`."""
    return in_blocks(_softsign, (x,), out, (x.dtype,))


def _mish(x: Any, out: Any, e: Any, n: Any) -> None:
    # tanh(log(1 + e)) = n / (n + 2) with n = e (e + 2), which is 1 in floats from x = 20 on.
    two, most = _numbers(x.dtype, 2, 20)
    np.minimum(x, most, out=e)
    np.exp(e, out=e)
    np.add(e, two, out=n)
    np.multiply(e, n, out=n)
    np.add(n, two, out=e)
    np.divide(n, e, out=n)
    np.multiply(x, n, out=out)


@float_rules
@op("Mish", since=18, infer=floating, local=0)
@half_in_single
def mish(x: Any, *, out: Any = None) -> Any:
    """`x * tanh(softplus(x))`."""
    return in_blocks(_mish, (x,), out, (x.dtype, x.dtype))


def _swish(x: Any, out: Any, y: Any, alpha: float) -> None:
    [factor] = _numbers(x.dtype, alpha)
    _logistic(x if alpha == 1 else np.multiply(x, factor, out=y), y, y)
    np.multiply(x, y, out=out)


@op("Swish", since=24, infer=floating, local=0)
@half_in_single
def swish_op(x: Any, *, alpha: float = 1.0, out: Any = None) -> Any:
    """`x * sigmoid(alpha * x)`."""
    return in_blocks(_swish, (x,), out, (x.dtype,), alpha)


def _infer_swiglu(A: Value, B: Value, *, alpha: float = 1.0) -> Inferred:
    require_kind(A, "f", "a floating dtype")
    dtype = common_dtype((A, B))
    if A.rank != B.rank:
        raise ShapeError(f"A {shape_text(A.shape)} and B {shape_text(B.shape)} are of one shape")
    shape = joined_shape(A.shape, B.shape)
    if shape is None:
        raise ShapeError(f"A {shape_text(A.shape)} and B {shape_text(B.shape)} are of one shape")
    return shape, dtype


def _expand_swiglu(A: Any, B: Any, *, alpha: float = 1.0) -> Any:
    gate = sigmoid(A if alpha == 1 else multiply(A, alpha))
    return multiply(multiply(A, gate), B)


@op("SwiGLU", since=28, infer=_infer_swiglu, expand=_expand_swiglu)
@half_in_single
def swiglu_op(A: Any, B: Any, *, alpha: float = 1.0) -> Any:
    """A gate that scales another tensor: `A * sigmoid(alpha * A) * B`."""
    if A.shape != B.shape:
        raise ValueError("no broadcasting")
    return swish_op.kernel(A, alpha=alpha) * B


def swiglu(gate: Any, x: Any, *, alpha: float = 1.0) -> Any:
    """Gated linear unit with a swish as its gate (Shazeer 2020): `gate * sigmoid(gate) * x`.

    Args:
        gate: any floating tensor.
        x: of the shape and dtype of gate.
        alpha: the gate is `gate * sigmoid(alpha * gate)`.

    Raises:
        ShapeError: the shapes differ.
    """
    return swiglu_op(gate, x, alpha=float(alpha))


def silu(x: Any) -> Any:
    """Sigmoid linear unit: `x * sigmoid(x)`."""
    return multiply(x, sigmoid(x))


swish = silu
hard_swish = hard_silu


def log_sigmoid(x: Any) -> Any:
    """`log(sigmoid(x))` without overflow."""
    return negative(softplus(negative(x)))


def glu(x: Any, axis: int = -1) -> Any:
    """Gated linear unit: one half of `x` times the sigmoid of the other half."""
    from graphctx import ops

    value, gate = ops.split(x, 2, axis)
    return multiply(value, sigmoid(gate))


# -- shapes of tanh -------------------------------------------------------------------------------


def exponential(x: Any) -> Any:
    """`exp(x)`."""
    return exp(x)


def linear(x: Any) -> Any:
    """`x` itself."""
    return x


def tanh_shrink(x: Any) -> Any:
    """`x - tanh(x)`."""
    return subtract(x, tanh(x))


def hard_tanh(x: Any) -> Any:
    """`x` limited to the interval from -1 to 1."""
    return clip(x, -1, 1)


def squareplus(x: Any, b: float = 4.0) -> Any:
    """Smooth rectifier without exponentials: `(x + sqrt(x ** 2 + b)) / 2`."""
    return multiply(add(x, sqrt(add(square(x), b))), 0.5)


def sparse_plus(x: Any) -> Any:
    """0 up to -1, `x` from 1 on, and the parabola `(x + 1) ** 2 / 4` in between."""
    # As max(x, 0) + (1 - min(|x|, 1)) ** 2 / 4: the parabola is symmetric but for its slope.
    gap = subtract(1.0, minimum(maximum(x, negative(x)), 1.0))
    return add(maximum(x, 0.0), multiply(square(gap), 0.25))


def sparse_sigmoid(x: Any) -> Any:
    """0 up to -1, 1 from 1 on, and linear in between."""
    return _hard_sigmoid(x, alpha=0.5, beta=0.5)


def threshold(x: Any, threshold: float, default_value: float) -> Any:
    """`x` where it is larger than the threshold, else the default value."""
    return where(x > threshold, x, default_value)


# -- error function -------------------------------------------------------------------------------

# erf(x) / x = P(x^2) / Q(x^2), highest power first. For |x| <= 0.46875, and exp(x^2) erfc(x) =
# C(x) / D(x) above: W. J. Cody, "Rational Chebyshev approximations for the error function",
# Mathematics of Computation 23 (1969), 631-637.
_CODY_P = (
    1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2, 3.77485237685302021e2,
    3.20937758913846947e3,
)  # fmt: skip
_CODY_Q = (
    1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3,
)  # fmt: skip
_CODY_C = (
    2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1,
    2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
    1.23033935479799725e3,
)  # fmt: skip
_CODY_D = (
    1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
    3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3,
)  # fmt: skip

# One rational function for float32, fitted on |x| <= 3.92, where erf is 1 in float32, by
# iteratively reweighted least squares; its relative error is 1.9e-8.
_SINGLE_P = (
    2.0501004955302806e-06, 0.0002848811242809279, 0.0037655459344326653, 0.05274850756061709,
    0.19040481004526016, 1.1283791462343011,
)  # fmt: skip
_SINGLE_Q = (
    3.8091767041102155e-05, 0.0011625182006089955, 0.014969075777633884, 0.11410842947992557,
    0.5020746110654629, 1.0,
)  # fmt: skip

# erf(x / sqrt(2)) = tanh(x P(x^2)), highest power first: the minimax polynomial (Remez) of the
# error function's relative error, 1e-7, for |x| <= 5.55, from where on it is 1 in float32.
_GELU_P = (
    1.5309432771965975e-09, -1.2390687606230631e-07, 3.855416915908713e-06, -5.468139670736644e-05,
    -3.416000305959848e-05, 0.03633458124504499, 0.7978845834732056,
)  # fmt: skip
_GELU_END = 5.55**2


def _horner(coefficients: tuple[Any, ...], x: Any, out: Any) -> Any:
    np.multiply(x, coefficients[0], out=out)
    for coefficient in coefficients[1:-1]:
        np.add(out, coefficient, out=out)
        np.multiply(out, x, out=out)
    return np.add(out, coefficients[-1], out=out)


def _erf_single(x: Any, out: Any, y: Any, t: Any, p: Any) -> None:
    end = 3.92
    np.maximum(x, -end, out=y)
    np.minimum(y, end, out=y)
    np.multiply(y, y, out=t)
    np.multiply(y, _horner(_SINGLE_P, t, p), out=y)
    np.divide(y, _horner(_SINGLE_Q, t, p), out=y)
    np.copyto(out, y, casting="same_kind")


def _erf_double(x: Any, out: Any, size: Any, t: Any, p: Any, q: Any) -> None:
    small = np.absolute(x, out=size) <= 0.46875
    np.minimum(size, 6.0, out=size)  # erf is 1 from 5.93 on
    np.divide(_horner(_CODY_C, size, p), _horner(_CODY_D, size, q), out=p)
    np.multiply(size, size, out=t)
    np.multiply(p, np.exp(np.negative(t, out=q), out=q), out=p)
    np.copysign(np.subtract(1.0, p, out=p), x, out=p)
    np.minimum(t, 0.25, out=t)
    np.multiply(x, _horner(_CODY_P, t, q), out=size)
    np.divide(size, _horner(_CODY_Q, t, q), out=size)
    np.copyto(p, size, where=small)
    np.copyto(out, p)


@float_rules
@op("Erf", since=9, infer=floating, local=0)
def erf(x: Any, *, out: Any = None) -> Any:
    """Error function `2 / sqrt(pi)` times the integral of `exp(-t ** 2)` from 0 to `x`.

    Accurate to 1 unit in the last place in float32, to 4e-16 in float64.
    """
    step, buffers = (_erf_double, 4) if x.dtype == np.float64 else (_erf_single, 3)
    return in_blocks(step, (x,), out, (np.float64,) * buffers)


def _gelu_tanh(x: Any, out: Any, y: Any) -> None:
    root = math.sqrt(2 / math.pi)
    first, third, one, half = _numbers(x.dtype, root, 0.044715 * root, 1, 0.5)
    np.multiply(x, x, out=y)
    np.multiply(y, third, out=y)
    np.add(y, first, out=y)
    np.multiply(y, x, out=y)
    _gated(x, out, np.tanh(y, out=y), one, half)


def _gelu_single(x: Any, out: Any, y: Any, t: Any) -> None:
    zero, end, one, half = _numbers(x.dtype, 0, _GELU_END, 1, 0.5)
    np.multiply(x, x, out=t)
    t.clip(zero, end, out=t)
    np.multiply(x, _horner(_numbers(x.dtype, *_GELU_P), t, y), out=y)
    _gated(x, out, np.tanh(y, out=y), one, half)


def _gelu_double(x: Any, out: Any, *buffers: Any) -> None:
    root, one, half = _numbers(x.dtype, math.sqrt(0.5), 1, 0.5)
    y, *rest = buffers
    np.multiply(x, root, out=y)
    _erf_double(y, y, *rest)
    _gated(x, out, y, one, half)


def _gated(x: Any, out: Any, gate: Any, one: Any, half: Any) -> None:
    """`x / 2 * (1 + gate)`; the gate is overwritten."""
    np.add(gate, one, out=gate)
    np.multiply(gate, x, out=gate)
    np.multiply(gate, half, out=out)


@float_rules
@op("Gelu", since=20, infer=floating, local=0)
@half_in_single
def gelu(x: Any, *, approximate: str = "none", out: Any = None) -> Any:
    """Gaussian error linear unit: `x / 2 * (1 + erf(x / sqrt(2)))`.

    With `approximate="tanh"` it is `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x ** 3)))`.
    """
    if approximate == "tanh":
        return in_blocks(_gelu_tanh, (x,), out, (x.dtype,))
    if x.dtype == np.float64:
        return in_blocks(_gelu_double, (x,), out, (x.dtype,) * 5)
    return in_blocks(_gelu_single, (x,), out, (x.dtype,) * 2)


# -- along an axis --------------------------------------------------------------------------------


def _infer_along(x: Value, *, axis: int = -1) -> Inferred:
    normalize_axis(axis, max(x.rank, 1))
    return floating(x)


def _along_last(node: Node) -> int | None:
    """Softmax of rows is computed row by row."""
    axis = node.attrs.get("axis", -1)
    return 1 if axis in (-1, node.output.rank - 1) else None


def _largest(x: Any, axis: int) -> Any:
    # With `initial` NumPy does not copy the first element of each row beforehand.
    return np.maximum.reduce(x, axis, keepdims=True, initial=-np.inf)


def _softmax_rows(x: Any, out: Any, y: Any) -> None:
    np.exp(with_column(np.subtract, x, _largest(x, -1), y), out=y)
    total = sum_of_rows(y)
    with_column(np.multiply, y, np.reciprocal(total, out=total), out)


@float_rules
@op("Softmax", since=13, infer=_infer_along, local=_along_last)
@half_in_single
def softmax(x: Any, *, axis: int = -1, out: Any = None) -> Any:
    """`exp(x)`, scaled to the sum 1 along an axis."""
    if not x.ndim:
        return np.ones((), x.dtype)
    if not x.size:
        return np.empty_like(x) if out is None else out
    if axis in (-1, x.ndim - 1):
        return in_blocks(
            _softmax_rows, (np.ascontiguousarray(x),), out, (x.dtype,), whole=1, once=True
        )
    y = np.subtract(x, _largest(x, axis), out=out)
    np.exp(y, out=y)
    y /= np.add.reduce(y, axis, keepdims=True)
    return y


def _log_softmax_rows(x: Any, out: Any, y: Any) -> None:
    largest = _largest(x, -1)
    total = sum_of_rows(np.exp(with_column(np.subtract, x, largest, y), out=y))
    with_column(np.subtract, x, largest, y)
    with_column(np.subtract, y, np.log(total, out=total), out)


@float_rules
@op("LogSoftmax", since=13, infer=_infer_along, local=_along_last)
@half_in_single
def log_softmax(x: Any, *, axis: int = -1, out: Any = None) -> Any:
    """Logarithm of `softmax`, without overflow."""
    if not x.ndim:
        return np.zeros((), x.dtype)
    if not x.size:
        return np.empty_like(x) if out is None else out
    if axis in (-1, x.ndim - 1):
        return in_blocks(_log_softmax_rows, (np.ascontiguousarray(x),), out, (x.dtype,), whole=1)
    y = np.subtract(x, _largest(x, axis), out=out)
    y -= np.log(np.add.reduce(np.exp(y), axis, keepdims=True))
    return y


@float_rules
@op("Hardmax", since=13, infer=_infer_along)
def hardmax(x: Any, *, axis: int = -1) -> Any:
    """1 at the first largest element along an axis, else 0."""
    if not x.ndim:
        return np.ones((), x.dtype)
    y = np.zeros_like(x)
    if x.size:
        np.put_along_axis(y, np.expand_dims(x.argmax(axis), axis), 1, axis)
    return y


def softmin(x: Any, axis: int = -1) -> Any:
    """`softmax(-x)`."""
    return softmax(negative(x), axis)


def logit(x: Any) -> Any:
    """Inverse of `sigmoid`: `log(x / (1 - x))`."""
    from graphctx.ops.elementwise import log

    return log(divide(x, subtract(1.0, x)))
