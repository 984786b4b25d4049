"""Elementwise functions of the standard."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphctx import ops
from graphctx.array_api.signatures import binary, documented, unary
from graphctx.errors import DTypeError
from graphctx.ops.rules import composite, promoted, tensor
from graphctx.tensor import Tensor, where

abs = unary("abs")
acos = unary("acos")
acosh = unary("acosh")
add = binary("add")
asin = unary("asin")
asinh = unary("asinh")
atan = unary("atan")
atan2 = binary("atan2")
atanh = unary("atanh")
bitwise_and = binary("bitwise_and")
bitwise_invert = unary("bitwise_invert")
bitwise_left_shift = binary("bitwise_left_shift")
bitwise_or = binary("bitwise_or")
bitwise_right_shift = binary("bitwise_right_shift")
bitwise_xor = binary("bitwise_xor")
ceil = unary("ceil")
copysign = binary("copysign")
cos = unary("cos")
cosh = unary("cosh")
divide = binary("divide")
equal = binary("equal")
exp = unary("exp")
expm1 = unary("expm1")
floor = unary("floor")
floor_divide = binary("floor_divide")
greater = binary("greater")
greater_equal = binary("greater_equal")
hypot = binary("hypot")
isfinite = unary("isfinite")
isinf = unary("isinf")
isnan = unary("isnan")
less = binary("less")
less_equal = binary("less_equal")
log = unary("log")
log10 = unary("log10")
log1p = unary("log1p")
log2 = unary("log2")
logaddexp = binary("logaddexp")
logical_and = binary("logical_and")
logical_not = unary("logical_not")
logical_or = binary("logical_or")
logical_xor = binary("logical_xor")
maximum = binary("maximum")
minimum = binary("minimum")
multiply = binary("multiply")
negative = unary("negative")
nextafter = binary("nextafter")
not_equal = binary("not_equal")
positive = unary("positive")
pow = binary("pow")
reciprocal = unary("reciprocal")
remainder = binary("remainder")
round = unary("round")
sign = unary("sign")
signbit = unary("signbit")
sin = unary("sin")
sinh = unary("sinh")
sqrt = unary("sqrt")
square = unary("square")
subtract = binary("subtract")
tan = unary("tan")
tanh = unary("tanh")
trunc = unary("trunc")


@documented(ops.clip)
def clip(x: Any, /, min: Any = None, max: Any = None) -> Any:
    return ops.clip(x, min, max)


def _part(name: str, x: Any) -> Tensor:
    """The operand of a function of complex numbers, which must not be one.

    Raises:
        DTypeError: it is complex.
    """
    found = tensor(x)
    if found.dtype.kind == "c":
        raise DTypeError(
            f"{where()}{name} of {found.spec}: ONNX's operators take no complex numbers; keep the "
            f"real and the imaginary part as two tensors"
        )
    return found


@composite(np.conj)
def _conj(x: Any) -> Any:
    _part("conj", x)
    return tensor(x, promoted(np.conjugate, x)[0])


def conj(x: Any, /) -> Any:
    """The complex conjugate: of what is not complex, itself."""
    return _conj(x)


@composite(np.real)
def _real(x: Any) -> Any:
    return _part("real", x)


def real(x: Any, /) -> Any:
    """The real part: of what is not complex, itself."""
    return _real(x)


@composite(np.imag)
def _imag(x: Any) -> Any:
    return ops.zeros_like(_part("imag", x))


def imag(x: Any, /) -> Any:
    """The imaginary part: of what is not complex, zeros."""
    return _imag(x)
