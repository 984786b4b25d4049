"""Activation functions, by the names that Keras gives them, and `erf`.

Kernels are arithmetic over the whole array: a choice per element (`np.where`) costs ten times as
much as a multiplication. None of them overflows; float16 is computed in float32.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphctx.errors import ShapeError
from graphctx.graph import Value
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
from graphctx.spec import broadcast_shapes, same_shape, shape_text

# -- rectifiers -----------------------------------------------------------------------------------


@op("Relu", since=14, infer=numeric, inline="np_maximum({0}, {zero}, out={out})")
def relu(x: Any) -> Any:
    """Rectified linear unit: `max(x, 0)`."""
    return np.maximum(x, 0)


@composite(lambda x: np.minimum(np.maximum(x, 0), 6))
def relu6(x: Any) -> Any:
    """Rectified linear unit that saturates: `min(max(x, 0), 6)`."""
    return clip(x, 0, 6)


@float_rules
@op("LeakyRelu", since=6, infer=floating)
def leaky_relu(x: Any, *, alpha: float = 0.01) -> Any:
    """`x` where it is positive, else `alpha * x`."""
    if 0 < alpha <= 1:
        return np.maximum(x, x * x.dtype.type(alpha))
    return np.where(x < 0, x * x.dtype.type(alpha), x)


def _infer_prelu(x: Value, slope: Value) -> Inferred:
    require_kind(x, "iuf", "a numeric dtype")
    common_dtype((x, slope))
    if not same_shape(broadcast_shapes(x.shape, slope.shape), x.shape):
        raise ShapeError(
            f"slope {shape_text(slope.shape)} does not broadcast to x {shape_text(x.shape)}"
        )
    return x.shape, x.dtype


@op("PRelu", since=9, infer=_infer_prelu, promote=0)
def prelu(x: Any, slope: Any) -> Any:
    """`x` where it is positive, else `slope * x`; the slope broadcasts to `x`."""
    return np.where(np.less(x, 0), np.multiply(x, slope), x)


@float_rules
@op("ThresholdedRelu", since=10, infer=floating)
def thresholded_relu(x: Any, *, alpha: float = 1.0) -> Any:
    """`x` where it is larger than `alpha`, else 0."""
    return np.where(x > x.dtype.type(alpha), x, x.dtype.type(0))


@float_rules
@op("Shrink", since=9, infer=floating)
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


def _elu(x: Any, alpha: float, gamma: float, scale: float) -> Any:
    """`gamma * (max(x, 0) + alpha * expm1(min(x, 0) / scale))`."""
    below = np.minimum(x, 0)
    if scale != 1:
        below /= scale
    below = np.expm1(below)
    if alpha != 1:
        below *= alpha
    below += np.maximum(x, 0)
    if gamma != 1:
        below *= gamma
    return below


@float_rules
@op("Elu", since=6, infer=floating)
@half_in_single
def elu(x: Any, *, alpha: float = 1.0) -> Any:
    """Exponential linear unit: `x` where it is positive, else `alpha * (exp(x) - 1)`."""
    return _elu(x, alpha, 1.0, 1.0)


@float_rules
@op("Selu", since=6, infer=floating)
@half_in_single
def selu(x: Any, *, alpha: float = 1.67326319217681884765625,
         gamma: float = 1.05070102214813232421875) -> Any:  # fmt: skip
    """Scaled exponential linear unit: `gamma * elu(x, alpha)`."""
    return _elu(x, alpha, gamma, 1.0)


@float_rules
@op("Celu", since=12, infer=floating)
@half_in_single
def celu(x: Any, *, alpha: float = 1.0) -> Any:
    """Continuously differentiable elu: `max(x, 0) + min(0, alpha * (exp(x / alpha) - 1))`."""
    return _elu(x, alpha, 1.0, alpha)


# -- sigmoid and its kin --------------------------------------------------------------------------

# Largest argument of exp below overflow, by itemsize.
_LARGEST_EXPONENT = {2: 11.0, 4: 88.0, 8: 709.0}


@half_in_single
def _logistic(x: Any) -> Any:
    y = np.maximum(x, -_LARGEST_EXPONENT[x.dtype.itemsize])
    if y.__class__ is not np.ndarray:  # of a 0-d array NumPy makes a scalar
        return np.reciprocal(np.exp(-y) + y.dtype.type(1))
    np.negative(y, out=y)
    np.exp(y, out=y)
    y += 1
    return np.reciprocal(y, out=y)


@float_rules
@op("Sigmoid", since=6, infer=floating)
def sigmoid(x: Any) -> Any:
    """Logistic function: `1 / (1 + exp(-x))`."""
    return _logistic(x)


@float_rules
@op("HardSigmoid", since=6, infer=floating)
def _hard_sigmoid(x: Any, *, alpha: float = 0.2, beta: float = 0.5) -> Any:
    """`alpha * x + beta`, limited to the interval from 0 to 1."""
    scalar = x.dtype.type
    y = x * scalar(alpha)
    y += scalar(beta)
    return np.minimum(np.maximum(y, 0), 1)


def hard_sigmoid(x: Any, alpha: float = 1 / 6, beta: float = 0.5) -> Any:
    """Piecewise linear sigmoid: `alpha * x + beta` between 0 and 1, with Keras's slope of 1/6.

    ONNX's `HardSigmoid` has 0.2 where no slope is given.
    """
    return _hard_sigmoid(x, alpha=alpha, beta=beta)


@float_rules
@op("HardSwish", since=14, infer=floating)
def hard_silu(x: Any) -> Any:
    """`x * hard_sigmoid(x)`."""
    scalar = x.dtype.type
    y = x * scalar(1 / 6)
    y += scalar(0.5)
    return np.minimum(np.maximum(y, 0), 1) * x


@float_rules
@op("Softplus", since=1, infer=floating)
@half_in_single
def softplus(x: Any) -> Any:
    """Smooth rectifier: `log(1 + exp(x))`."""
    return np.log1p(np.exp(-np.absolute(x))) + np.maximum(x, 0)


@float_rules
@op("Softsign", since=1, infer=floating)
@half_in_single
def softsign(x: Any) -> Any:
    """`x / (1 + abs(x))`."""
    return x / (np.absolute(x) + x.dtype.type(1))


@float_rules
@op("Mish", since=18, infer=floating)
@half_in_single
def mish(x: Any) -> Any:
    """`x * tanh(softplus(x))`."""
    # tanh(log(1 + e)) = n / (n + 2) with n = e (e + 2), which is 1 in floats from x = 20 on.
    e = np.exp(np.minimum(x, 20))
    n = e * (e + x.dtype.type(2))
    return x * (n / (n + x.dtype.type(2)))


@op("Swish", since=24, infer=floating)
@half_in_single
def swish_op(x: Any, *, alpha: float = 1.0) -> Any:
    """`x * sigmoid(alpha * x)`."""
    return x * _logistic(x if alpha == 1 else x * x.dtype.type(alpha))


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

_BLOCK = 16384  # elements whose intermediate results stay in the cache


def _horner(coefficients: tuple[float, ...], x: Any) -> Any:
    total = coefficients[0] * x
    for coefficient in coefficients[1:-1]:
        total += coefficient
        total *= x
    total += coefficients[-1]
    return total


def _erf_single(x: Any) -> Any:
    x = np.minimum(np.maximum(x.astype(np.float64), -3.92), 3.92)
    t = x * x
    x *= _horner(_SINGLE_P, t)
    x /= _horner(_SINGLE_Q, t)
    return x


def _erf_double(x: Any) -> Any:
    size = np.minimum(np.absolute(x), 6.0)  # erf is 1 from 5.93 on
    tail = _horner(_CODY_C, size)
    tail /= _horner(_CODY_D, size)
    t = size * size
    tail *= np.exp(-t)
    large = np.copysign(1.0 - tail, x)
    small = x * _horner(_CODY_P, np.minimum(t, 0.25))
    small /= _horner(_CODY_Q, np.minimum(t, 0.25))
    return np.where(size <= 0.46875, small, large)


def _in_blocks(kernel: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Run an elementwise kernel on pieces that fit in the cache."""

    @functools.wraps(kernel)
    def blocks(x: Any) -> Any:
        flat = np.ascontiguousarray(x).reshape(-1)
        out = np.empty_like(flat)
        for start in range(0, flat.size, _BLOCK):
            part = slice(start, start + _BLOCK)
            out[part] = kernel(flat[part])
        return out.reshape(x.shape)

    return blocks


_erf_single_blocks = _in_blocks(_erf_single)
_erf_double_blocks = _in_blocks(_erf_double)


def _erf(x: Any) -> Any:
    return _erf_double_blocks(x) if x.dtype == np.float64 else _erf_single_blocks(x)


@float_rules
@op("Erf", since=9, infer=floating)
def erf(x: Any) -> Any:
    """Error function `2 / sqrt(pi)` times the integral of `exp(-t ** 2)` from 0 to `x`.

    Accurate to 1 unit in the last place in float32, to 4e-16 in float64.
    """
    return _erf(x)


@float_rules
@op("Gelu", since=20, infer=floating)
@half_in_single
def gelu(x: Any, *, approximate: str = "none") -> Any:
    """Gaussian error linear unit: `x / 2 * (1 + erf(x / sqrt(2)))`.

    With `approximate="tanh"` it is `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x ** 3)))`.
    """
    scalar = x.dtype.type
    if approximate == "tanh":
        y = x * x
        y *= scalar(0.044715)
        y += scalar(1)
        y *= x
        y *= scalar(math.sqrt(2 / math.pi))
        y = np.tanh(y)
    else:
        y = _erf(x * scalar(math.sqrt(0.5)))
    y += scalar(1)
    y *= x
    y *= scalar(0.5)
    return y


# -- along an axis --------------------------------------------------------------------------------


def _infer_along(x: Value, *, axis: int = -1) -> Inferred:
    normalize_axis(axis, max(x.rank, 1))
    return floating(x)


def _centered(x: Any, axis: int) -> Any:
    return x - np.maximum.reduce(x, axis=axis, keepdims=True, initial=-np.inf)


@float_rules
@op("Softmax", since=13, infer=_infer_along)
@half_in_single
def softmax(x: Any, *, axis: int = -1) -> Any:
    """`exp(x)`, scaled to the sum 1 along an axis."""
    if not x.ndim:
        return np.ones((), x.dtype)
    y = _centered(x, axis)
    np.exp(y, out=y)
    y /= np.add.reduce(y, axis=axis, keepdims=True)
    return y


@float_rules
@op("LogSoftmax", since=13, infer=_infer_along)
@half_in_single
def log_softmax(x: Any, *, axis: int = -1) -> Any:
    """Logarithm of `softmax`, without overflow."""
    if not x.ndim:
        return np.zeros((), x.dtype)
    y = _centered(x, axis)
    y -= np.log(np.add.reduce(np.exp(y), axis=axis, keepdims=True))
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
