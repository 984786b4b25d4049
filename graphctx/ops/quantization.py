"""Quantization: real numbers as few bits, a scale and a zero point; products of such numbers.

`real = (quantized - zero_point) * scale`. Rounding is to the nearest number, halves to even, and
what is out of range becomes the last number that is not, as ONNX's operators have it.

Products of integers are computed with float32, for which BLAS has fast kernels, and are exact: no
sum of products can reach 2**24, from where on float32 does not hold every integer. Longer sums are
taken in pieces, which are added up as float64, which holds every integer below 2**53. The order of
a sum then makes no difference.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphctx.errors import DTypeError, ShapeError
from graphctx.graph import Node, Value
from graphctx.ops.blocks import blocks
from graphctx.ops.conversions import convert
from graphctx.ops.linalg import infer_matmul
from graphctx.ops.neural import conv_op, infer_conv
from graphctx.ops.table import Inferred, normalize_axis, op
from graphctx.ops.windows import axes_of_space, other_attrs, window_attrs
from graphctx.spec import (
    as_dtype,
    dtype_name,
    is_extended,
    is_storage,
    kind_of,
    limits_of,
    may_be_same,
    same_shape,
    shape_text,
    size_of,
)

FLOAT32 = np.dtype(np.float32)
UINT8 = np.dtype(np.uint8)
INT32 = np.dtype(np.int32)

QUANTIZED = ("int8", "uint8", "int16", "uint16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2",
             "float8_e5m2fnuz", "float6_e2m3", "float6_e3m2", "float4_e2m1", "int4", "uint4",
             "int2", "uint2")  # fmt: skip
BYTES = ("int8", "uint8")
FLOAT8 = ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz")
FLOATS = ("float16", "bfloat16", "float32")


def _require(value: Value | None, names: Sequence[str], what: str) -> None:
    if value is not None and dtype_name(value.dtype) not in names:
        raise DTypeError(f"{what} is {_listed(names)}, got {dtype_name(value.dtype)}")


def _is_single(value: Value) -> bool:
    """Whether a value is a scalar, or a vector of one number."""
    return same_shape(value.shape, (1,) * min(value.rank, 1))


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]


# -- scales of a tensor, of the places along an axis, of blocks along it --------------------------


def _check_scales(
    x: Value, scale: Value, zero_point: Value | None, axis: int, block_size: int
) -> None:
    """Raise `ShapeError` unless scales and zero points are laid out as ONNX has it."""
    # ONNX's own tests have a zero point of shape [1] beside a scalar scale.
    single = zero_point is not None and _is_single(zero_point) and _is_single(scale)
    if (
        zero_point is not None
        and not single
        and (
            zero_point.rank != scale.rank
            or not all(map(may_be_same, zero_point.shape, scale.shape))
        )
    ):
        raise ShapeError(
            f"the zero point has the shape of the scale, {shape_text(scale.shape)}, "
            f"got {shape_text(zero_point.shape)}"
        )
    if block_size < 0:
        raise ShapeError(f"block_size is the length of a block, or 0 for none, got {block_size}")
    if not scale.rank or (_is_single(scale) and not block_size):
        return
    axis = normalize_axis(axis, x.rank)
    size = x.shape[axis]
    if not block_size:
        if scale.rank != 1 or not may_be_same(scale.shape[0], size):
            raise ShapeError(
                f"the scale is a scalar, or has one number for each of the {size} places along "
                f"axis {axis}, got {shape_text(scale.shape)}; scales of blocks need block_size"
            )
        return
    wanted = (*x.shape[:axis], -(-size // block_size), *x.shape[axis + 1 :])
    if scale.rank != x.rank or not all(map(may_be_same, scale.shape, wanted)):
        raise ShapeError(
            f"the scale of blocks of {block_size} along axis {axis} of {shape_text(x.shape)} is "
            f"{shape_text(wanted)}, got {shape_text(scale.shape)}"
        )


def _laid_out(scale: Any, shape: tuple[int, ...], axis: int, block_size: int) -> Any:
    """Scales or zero points as they broadcast to a tensor."""
    if block_size < 0:
        raise ValueError("block_size")
    if scale.ndim == 0:
        return scale
    if scale.size == 1 and not block_size:
        return scale.reshape(())
    if not block_size:
        if scale.shape != (shape[axis],):
            raise ValueError("one scale a place")
        return scale.reshape([-1 if i == axis % len(shape) else 1 for i in range(len(shape))])
    axis %= len(shape)
    wanted = (*shape[:axis], -(-shape[axis] // block_size), *shape[axis + 1 :])
    if scale.shape != wanted:
        raise ValueError("one scale a block")
    repeated = np.repeat(scale, block_size, axis)
    return repeated[(slice(None),) * axis + (slice(0, shape[axis]),)]


def _check_arrays(x: Any, scale: Any, zero: Any, names: Sequence[str]) -> None:
    """Refuse what inference explains."""
    if dtype_name(x.dtype) not in names:
        raise TypeError("dtype")
    if zero is not None and zero.shape != scale.shape and not zero.size == scale.size == 1:
        raise ValueError("zero point")


def _local(node: Node) -> int | None:
    """Quantized elements depend on one element where there is one scale."""
    scale = node.operands[1]
    return 0 if scale is not None and scale.rank == 0 else None


# -- from real numbers to quantized ones, and back ------------------------------------------------


def _infer_quantize(
    x: Value,
    y_scale: Value,
    y_zero_point: Value | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: Any = None,
    precision: Any = None,
    saturate: int = 1,
) -> Inferred:
    _require(x, (*FLOATS, "int32"), "x")
    _require(y_scale, (*FLOATS, "int32", "float8_e8m0"), "the scale")
    _require(y_zero_point, QUANTIZED, "the zero point")
    _check_scales(x, y_scale, y_zero_point, axis, block_size)
    if precision is not None and dtype_name(as_dtype(precision)) not in FLOATS:
        raise DTypeError(f"precision is {_listed(FLOATS)}, got {dtype_name(as_dtype(precision))}")
    return x.shape, _quantized_dtype(None if y_zero_point is None else y_zero_point.dtype,
                                     output_dtype)  # fmt: skip


def _quantized_dtype(zero_point: Any, asked: Any) -> Any:
    dtype = UINT8 if zero_point is None else zero_point
    if asked is not None:
        if zero_point is not None and as_dtype(asked) != zero_point:
            raise DTypeError(
                f"output_dtype is {dtype_name(as_dtype(asked))}, but the zero point is "
                f"{dtype_name(zero_point)}; give one of them"
            )
        dtype = as_dtype(asked)
    if dtype_name(dtype) not in QUANTIZED:
        raise DTypeError(f"the quantized dtype is {_listed(QUANTIZED)}, got {dtype_name(dtype)}")
    return dtype


@op("QuantizeLinear", since=19, any_dtype=True, infer=_infer_quantize, local=_local)
def quantize_linear_op(
    x: Any,
    y_scale: Any,
    y_zero_point: Any = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: Any = None,
    precision: Any = None,
    saturate: int = 1,
) -> Any:
    """`x / scale`, rounded and saturated, plus the zero point."""
    x = np.asarray(x)
    zero = y_zero_point
    _check_arrays(x, y_scale, zero, (*FLOATS, "int32"))
    if precision is not None and dtype_name(as_dtype(precision)) not in FLOATS:
        raise TypeError("precision")
    to = _quantized_dtype(None if zero is None else zero.dtype, output_dtype)
    exact = _division_dtype(x.dtype, y_scale.dtype, precision)
    scale = _laid_out(y_scale, x.shape, axis, block_size).astype(exact)
    if zero is not None:
        # float32 holds the zero points of every dtype, and their sums with what is in range.
        zero = _laid_out(zero, x.shape, axis, block_size).astype(np.float32)
    if kind_of(to) == "f":
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            y = x.astype(exact, copy=False) / scale
            return convert(
                y if zero is None else y + zero.astype(exact), to, saturate=bool(saturate)
            )
    return _rounded(x, scale, zero, to, exact)


def _division_dtype(x: Any, scale: Any, precision: Any) -> Any:
    """The dtype to divide in: asked for, else that of the scale, if it is one to compute with."""
    if precision is not None:
        return as_dtype(precision)
    if kind_of(scale) == "f" and not is_storage(scale):
        return scale
    if kind_of(x) == "f":
        return x
    return np.dtype(np.float64)  # of integers, which it holds


def _rounded(x: Any, scale: Any, zero: Any, to: Any, exact: Any) -> Any:
    """Quotients as integers: block by block, for each takes several steps."""
    y = np.empty_like(x, to)
    low, high = limits_of(to)
    wide = np.float64 if exact == np.float64 else np.float32
    arrays = [y, x, scale] if zero is None else [y, x, scale, zero]
    whole = not x.ndim or not x.size
    parts = [(*arrays, np.empty(x.shape, wide))] if whole else blocks(x.shape, arrays, (wide,))
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        for out, part, divisor, *rest, room in parts:
            if exact == wide:
                np.divide(part, divisor, out=room, dtype=exact, casting="same_kind")
            else:  # a quotient of 16 bits, in a place that holds the sum with any zero point
                room[...] = part.astype(exact, copy=False) / divisor
            np.rint(room, out=room)
            for shift in rest:
                room += shift
            np.fmax(room, low, out=room)  # NaN is the lowest number, as in ONNX's reference
            np.fmin(room, high, out=room)
            out[...] = room.astype(np.int32) if is_extended(to) else room
    return y


def _infer_dequantize(
    x: Value,
    x_scale: Value,
    x_zero_point: Value | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: Any = None,
) -> Inferred:
    _require(x, (*QUANTIZED, "int32"), "x")
    _require(x_scale, (*FLOATS, "float8_e8m0"), "the scale")
    if x_zero_point is not None:
        _require(x_zero_point, (dtype_name(x.dtype),), "the zero point")
    _check_scales(x, x_scale, x_zero_point, axis, block_size)
    return x.shape, _real_dtype(x_scale.dtype, output_dtype)


def _real_dtype(scale: Any, asked: Any) -> Any:
    dtype = scale if asked is None else as_dtype(asked)
    if dtype_name(dtype) not in FLOATS:
        raise DTypeError(
            f"the result is {_listed(FLOATS)}, got {dtype_name(dtype)}; give output_dtype"
        )
    return dtype


@op("DequantizeLinear", since=21, any_dtype=True, infer=_infer_dequantize, local=_local)
def dequantize_linear_op(
    x: Any,
    x_scale: Any,
    x_zero_point: Any = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: Any = None,
) -> Any:
    """`(x - zero_point) * scale`, computed in float32 and rounded once."""
    x = np.asarray(x)
    _check_arrays(x, x_scale, x_zero_point, (*QUANTIZED, "int32"))
    if x_zero_point is not None and x_zero_point.dtype != x.dtype:
        raise TypeError("zero point")
    to = _real_dtype(x_scale.dtype, output_dtype)
    scale = _laid_out(x_scale, x.shape, axis, block_size).astype(np.float32)
    y = np.asarray(x.astype(np.float32))
    if x_zero_point is not None:
        y -= _laid_out(x_zero_point, x.shape, axis, block_size).astype(np.float32)
    y *= scale
    with np.errstate(over="ignore"):
        return y.astype(to, copy=False)


def _infer_dynamic(x: Value) -> list[Inferred]:
    _require(x, ("float32",), "x")
    return [(x.shape, UINT8), ((), FLOAT32), ((), UINT8)]


@op("DynamicQuantizeLinear", since=11, any_dtype=True, infer=_infer_dynamic)
def dynamic_quantize_linear_op(x: Any) -> Any:
    """Numbers as uint8, with the scale and zero point that their extremes and 0 ask for."""
    if x.dtype != np.float32:
        raise TypeError("dtype")
    lowest = np.minimum.reduce(x, axis=None, initial=np.float32(0))
    highest = np.maximum.reduce(x, axis=None, initial=np.float32(0))
    extent = np.float32(1) if lowest == highest else highest - lowest
    scale = np.asarray(np.float32(extent) / np.float32(255))
    zero = np.asarray(np.rint(np.clip(-lowest / scale, 0, 255)).astype(np.uint8))
    return quantize_linear_op.kernel(x, scale, zero), scale, zero


# -- products of integers -------------------------------------------------------------------------


def _reach(x: Any, zero: Any) -> int:
    """What the absolute value of a number without its zero point can be at most."""
    low, high = limits_of(x.dtype)
    if zero is None or not zero.size:
        return int(max(-low, high))
    return int(max(int(zero.max()) - low, high - int(zero.min())))


def _piece(*reaches: int) -> int:
    """How many products of integers a float32 can add up exactly; see the module."""
    return max(1, 2**24 // math.prod(reaches))


def _without(x: Any, zero: Any) -> Any:
    """Numbers of 8 bits minus their zero points, as float32."""
    if x.dtype.itemsize != 1:
        raise TypeError("8 bits")
    y = x.astype(np.float32)
    if zero is not None:
        y -= zero.astype(np.float32)
    return y


def _by_row(value: Any, matrix: Any) -> Any:
    """Numbers of rows, to broadcast against a matrix: a vector has one a row."""
    rows = value is not None and value.ndim == 1 and value.size > 1 and matrix.ndim > 1
    return value[:, None] if rows else value


def _whole_product(a: Any, b: Any, a_zero: Any, b_zero: Any) -> Any:
    """The matrix product of quantized numbers, as floats that are exact."""
    x, y = _without(a, _by_row(a_zero, a)), _without(b, b_zero)
    if is_extended(a.dtype) or is_extended(b.dtype):  # floats of 8 bits
        return np.matmul(x.astype(np.float64), y.astype(np.float64))
    count, piece = a.shape[-1], _piece(_reach(a, a_zero), _reach(b, b_zero))
    if count <= piece:
        return np.matmul(x, y)
    column = y.ndim == 1
    y = y[:, None] if column else y
    total: Any = np.zeros((), np.float64)
    for start in range(0, count, piece):
        stop = start + piece
        total = total + np.matmul(x[..., start:stop], y[..., start:stop, :])
    return total[..., 0] if column else total


def _to_int32(x: Any) -> Any:
    """Whole floats as int32, which wrap around as sums of int32 do."""
    return np.asarray(x.astype(np.int32) if x.dtype == np.float32 else x.astype(np.int64)).astype(
        np.int32
    )


def _check_rows(x: Value, value: Value | None, last: int, what: str) -> None:
    """Scales or zero points: one in all, or one a row (`last=-2`) or column (`last=-1`)."""
    if value is None or _is_single(value):
        return
    count = x.shape[last] if x.rank > 1 else 1
    fits = value.rank == 1 and may_be_same(value.shape[0], count)
    if value.rank == x.rank > 1:
        wanted = (*x.shape[:-2], count, 1) if last == -2 else (*x.shape[:-2], 1, count)
        fits = all(map(may_be_same, value.shape, wanted))
    if not fits:
        place = "row" if last == -2 else "column"
        raise ShapeError(
            f"{what} is a scalar, or has one number for each {place} of {shape_text(x.shape)}, "
            f"got {shape_text(value.shape)}"
        )


def _as_float(value: Value) -> Value:
    """A stand-in for inference rules of floats."""
    return Value(value.node, value.index, value.shape, FLOAT32)


def _infer_matmul_integer(
    A: Value, B: Value, a_zero_point: Value | None = None, b_zero_point: Value | None = None
) -> Inferred:
    for name, x, zero, last in (("A", A, a_zero_point, -2), ("B", B, b_zero_point, -1)):
        _require(x, BYTES, name)
        if zero is not None:
            _require(zero, (dtype_name(x.dtype),), f"the zero point of {name}")
        _check_rows(x, zero, last, f"the zero point of {name}")
    return infer_matmul(_as_float(A), _as_float(B))[0], INT32


def _matmul_adds(node: Node) -> Any:
    first = node.operands[0]
    assert first is not None
    return size_of(node.output.shape) * first.shape[-1]


@op("MatMulInteger", since=10, infer=_infer_matmul_integer, multiply_adds=_matmul_adds)
def matmul_integer(A: Any, B: Any, a_zero_point: Any = None, b_zero_point: Any = None) -> Any:
    """Matrix product of integers of 8 bits minus their zero points, as int32."""
    return _to_int32(_whole_product(A, B, a_zero_point, b_zero_point))


def _infer_qlinear_matmul(
    a: Value, a_scale: Value, a_zero_point: Value, b: Value, b_scale: Value, b_zero_point: Value,
    y_scale: Value, y_zero_point: Value,
) -> Inferred:  # fmt: skip
    for name, x, scale, zero, last in (
        ("a", a, a_scale, a_zero_point, -2), ("b", b, b_scale, b_zero_point, -1),
    ):  # fmt: skip
        _require(x, (*BYTES, *FLOAT8), name)
        _require(zero, (dtype_name(x.dtype),), f"the zero point of {name}")
        _check_rows(x, scale, last, f"the scale of {name}")
        _check_rows(x, zero, last, f"the zero point of {name}")
    for name, scale in (("a", a_scale), ("b", b_scale), ("y", y_scale)):
        _require(scale, FLOATS, f"the scale of {name}")
    _require(y_zero_point, (*BYTES, *FLOAT8), "the zero point of y")
    return infer_matmul(_as_float(a), _as_float(b))[0], y_zero_point.dtype


@op("QLinearMatMul", since=10, any_dtype=True, infer=_infer_qlinear_matmul,
    multiply_adds=_matmul_adds)  # fmt: skip
def qlinear_matmul_op(
    a: Any, a_scale: Any, a_zero_point: Any, b: Any, b_scale: Any, b_zero_point: Any,
    y_scale: Any, y_zero_point: Any,
) -> Any:  # fmt: skip
    """Matrix product of quantized numbers, quantized."""
    product = _whole_product(a, b, a_zero_point, b_zero_point)
    scale = _float_scale(_by_row(a_scale, a)) * _float_scale(b_scale) / _float_scale(y_scale)
    return _requantized(product, scale, y_zero_point)


def _float_scale(scale: Any) -> Any:
    return scale.astype(np.float32)


def _requantized(x: Any, scale: Any, zero: Any) -> Any:
    """Sums of products in another scale; the product of these scales is rounded to float32."""
    real = x * scale.astype(np.float64)
    if kind_of(zero.dtype) == "f":
        return convert(real + zero.astype(np.float64), zero.dtype)
    low, high = limits_of(zero.dtype)
    return np.asarray((np.rint(real) + zero).clip(low, high)).astype(zero.dtype)


def _infer_conv_integer(
    x: Value, w: Value, x_zero_point: Value | None = None, w_zero_point: Value | None = None,
    **attrs: Any,
) -> Inferred:  # fmt: skip
    _check_conv(x, w, x_zero_point, w_zero_point)
    return infer_conv(_as_float(x), _as_float(w), **attrs)[0], INT32


def _check_conv(x: Value, w: Value, x_zero: Value | None, w_zero: Value | None) -> None:
    for name, value, zero in (("x", x, x_zero), ("w", w, w_zero)):
        _require(value, BYTES, name)
        if zero is not None:
            _require(zero, (dtype_name(value.dtype),), f"the zero point of {name}")
    _check_scalar(x_zero, "the zero point of x")
    _check_outputs(w, w_zero, "the zero point of w")


def _check_scalar(value: Value | None, what: str) -> None:
    if value is not None and not _is_single(value):
        raise ShapeError(f"{what} is a scalar, got {shape_text(value.shape)}")


def _check_outputs(w: Value, value: Value | None, what: str) -> None:
    if value is None or _is_single(value):
        return
    if value.rank != 1 or not w.rank or not may_be_same(value.shape[0], w.shape[0]):
        outputs = w.shape[0] if w.rank else 0
        raise ShapeError(
            f"{what} is a scalar, or has one number for each of the {outputs} output channels, "
            f"got {shape_text(value.shape)}"
        )


def _per_output(value: Any, rank: int, axis: int) -> Any:
    """Numbers of output channels, to broadcast along an axis of a tensor of a rank."""
    if value is None or value.ndim == 0:
        return value
    return value.reshape([-1 if i == axis else 1 for i in range(rank)])


def _whole_conv(x: Any, w: Any, x_zero: Any, w_zero: Any, attrs: dict[str, Any]) -> Any:
    """The convolution of quantized numbers, as floats that are exact; around them is real 0."""
    x_zero = None if x_zero is None else x_zero.reshape(())
    real, kernel = _without(x, x_zero), _without(w, _per_output(w_zero, w.ndim, 0))
    piece = _piece(_reach(x, x_zero), _reach(w, w_zero))
    depth, taps = w.shape[1], math.prod(w.shape[2:])
    if depth * taps <= piece:
        return conv_op.kernel(real, kernel, **attrs)
    channels = piece // taps
    if attrs["group"] != 1 or not channels:
        return conv_op.kernel(real.astype(np.float64), kernel.astype(np.float64), **attrs)
    total: Any = np.zeros((), np.float64)
    for start in range(0, depth, channels):
        stop = start + channels
        part = conv_op.kernel(real[:, start:stop], kernel[:, start:stop], **attrs)
        total = total + part
    return total


def _conv_adds(node: Node, kernel: int) -> Any:
    value = node.operands[kernel]
    assert value is not None
    return size_of(node.output.shape) * size_of(value.shape[1:])


@op("ConvInteger", since=10, infer=_infer_conv_integer,
    multiply_adds=lambda node: _conv_adds(node, 1))  # fmt: skip
def conv_integer_op(
    x: Any, w: Any, x_zero_point: Any = None, w_zero_point: Any = None, *,
    auto_pad: str = "NOTSET", dilations: Any = None, group: int = 1, kernel_shape: Any = None,
    pads: Any = None, strides: Any = None,
) -> Any:  # fmt: skip
    """Convolution of integers of 8 bits minus their zero points, as int32."""
    attrs = {"auto_pad": auto_pad, "dilations": dilations, "group": group,
             "kernel_shape": kernel_shape, "pads": pads, "strides": strides}  # fmt: skip
    return _to_int32(_whole_conv(x, w, x_zero_point, w_zero_point, attrs))


def _infer_qlinear_conv(
    x: Value, x_scale: Value, x_zero_point: Value, w: Value, w_scale: Value, w_zero_point: Value,
    y_scale: Value, y_zero_point: Value, B: Value | None = None, **attrs: Any,
) -> Inferred:  # fmt: skip
    _check_conv(x, w, x_zero_point, w_zero_point)
    for name, scale in (("x", x_scale), ("w", w_scale), ("y", y_scale)):
        _require(scale, ("float32",), f"the scale of {name}")
    _check_scalar(x_scale, "the scale of x")
    _check_outputs(w, w_scale, "the scale of w")
    _check_scalar(y_scale, "the scale of y")
    _check_scalar(y_zero_point, "the zero point of y")
    _require(y_zero_point, BYTES, "the zero point of y")
    _require(B, ("int32",), "the bias")
    bias = None if B is None else _as_float(B)
    return infer_conv(_as_float(x), _as_float(w), bias, **attrs)[0], y_zero_point.dtype


@op("QLinearConv", since=10, infer=_infer_qlinear_conv,
    multiply_adds=lambda node: _conv_adds(node, 3))  # fmt: skip
def qlinear_conv_op(
    x: Any, x_scale: Any, x_zero_point: Any, w: Any, w_scale: Any, w_zero_point: Any,
    y_scale: Any, y_zero_point: Any, B: Any = None, *, auto_pad: str = "NOTSET",
    dilations: Any = None, group: int = 1, kernel_shape: Any = None, pads: Any = None,
    strides: Any = None,
) -> Any:  # fmt: skip
    """Convolution of quantized numbers, quantized; the bias is in the scale of the products."""
    attrs = {"auto_pad": auto_pad, "dilations": dilations, "group": group,
             "kernel_shape": kernel_shape, "pads": pads, "strides": strides}  # fmt: skip
    sums = _whole_conv(x, w, x_zero_point, w_zero_point, attrs)
    if B is not None:
        sums = sums.astype(np.float64, copy=False) + _per_output(B, x.ndim, 1)
    scale = x_scale.reshape(()) * _per_output(w_scale, x.ndim, 1) / y_scale.reshape(())
    return _requantized(sums, scale, y_zero_point.reshape(()))


# -- public functions -----------------------------------------------------------------------------


def quantize_linear(
    x: Any,
    scale: Any,
    zero_point: Any = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    dtype: Any = None,
    precision: Any = None,
    saturate: bool = True,
) -> Any:
    """Numbers as few bits: `saturate(round(x / scale) + zero_point)`, halves to even.

    Args:
        x: float32, float16, bfloat16 or int32.
        scale: of the tensor, a scalar; of each place along `axis`, a vector; or of each block of
            `block_size` places along it, of the rank of x.
        zero_point: what 0 becomes; of the shape of the scale, and of the dtype of the result.
        axis: along which scales differ.
        block_size: how many places share a scale; 0 where there are no blocks.
        dtype: of the result: an integer of 16, 8, 4 or 2 bits or a float of 8, 6 or 4; uint8 where
            neither it nor a zero point is given.
        precision: dtype to divide in; that of the scale where it is not given.
        saturate: whether numbers out of range of a float of 8 bits become its largest one.

    Raises:
        ShapeError: scale and zero point do not fit x.
        DTypeError: ONNX does not quantize from or to these dtypes.
    """
    attrs: dict[str, Any] = {"axis": operator.index(axis), "block_size": operator.index(block_size)}
    if dtype is not None:
        attrs["output_dtype"] = as_dtype(dtype)
    if precision is not None:
        attrs["precision"] = as_dtype(precision)
    return quantize_linear_op(x, scale, zero_point, saturate=int(saturate), **attrs)


def dequantize_linear(
    x: Any,
    scale: Any,
    zero_point: Any = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    dtype: Any = None,
) -> Any:
    """The numbers that quantized ones stand for: `(x - zero_point) * scale`.

    Args:
        x: quantized, or int32.
        scale: as for `quantize_linear`.
        zero_point: of the shape of the scale and the dtype of x.
        axis: along which scales differ.
        block_size: how many places share a scale; 0 where there are no blocks.
        dtype: of the result: float32, float16 or bfloat16; that of the scale where not given.

    Raises:
        ShapeError: scale and zero point do not fit x.
        DTypeError: ONNX does not dequantize from or to these dtypes.
    """
    attrs: dict[str, Any] = {"axis": operator.index(axis), "block_size": operator.index(block_size)}
    if dtype is not None:
        attrs["output_dtype"] = as_dtype(dtype)
    return dequantize_linear_op(x, scale, zero_point, **attrs)


def dynamic_quantize_linear(x: Any) -> tuple[Any, Any, Any]:
    """Numbers as uint8, in the scale that their smallest, their largest and 0 ask for.

    Args:
        x: float32.

    Returns:
        The quantized tensor, its scale and its zero point.
    """
    made: tuple[Any, Any, Any] = dynamic_quantize_linear_op(x)
    return made


def qlinear_matmul(
    a: Any, a_scale: Any, a_zero_point: Any, b: Any, b_scale: Any, b_zero_point: Any,
    y_scale: Any, y_zero_point: Any,
) -> Any:  # fmt: skip
    """Matrix product of quantized tensors, quantized.

    Args:
        a: [..., M, K], int8, uint8 or a float of 8 bits.
        a_scale: of a: a scalar, or one a row.
        a_zero_point: like a_scale, of the dtype of a.
        b: [..., K, N].
        b_scale: of b: a scalar, or one a column.
        b_zero_point: like b_scale, of the dtype of b.
        y_scale: of the result.
        y_zero_point: of the result, and of its dtype.

    Raises:
        ShapeError, DTypeError: the operands do not fit.
    """
    return qlinear_matmul_op(
        a, a_scale, a_zero_point, b, b_scale, b_zero_point, y_scale, y_zero_point
    )


def conv_integer(
    x: Any, w: Any, x_zero_point: Any = None, w_zero_point: Any = None, *, strides: Any = None,
    pads: Any = None, dilations: Any = None, group: int = 1, auto_pad: str = "NOTSET",
) -> Any:  # fmt: skip
    """Convolution of integers of 8 bits minus their zero points, as int32; see `conv`.

    Args:
        x: [N, C, D1, ...], int8 or uint8.
        w: [M, C / group, K1, ...], int8 or uint8.
        x_zero_point: a scalar; around x are zero points.
        w_zero_point: a scalar, or one an output channel.
        strides: see `conv`.
        pads: see `conv`.
        dilations: see `conv`.
        group: see `conv`.
        auto_pad: see `conv`.

    Raises:
        ShapeError, DTypeError: the operands do not fit.
    """
    windows = window_attrs(axes_of_space(x), strides, dilations, pads)
    return conv_integer_op(
        x, w, x_zero_point, w_zero_point, **windows, **other_attrs(group, auto_pad)
    )


def qlinear_conv(
    x: Any, x_scale: Any, x_zero_point: Any, w: Any, w_scale: Any, w_zero_point: Any,
    y_scale: Any, y_zero_point: Any, bias: Any = None, *, strides: Any = None, pads: Any = None,
    dilations: Any = None, group: int = 1, auto_pad: str = "NOTSET",
) -> Any:  # fmt: skip
    """Convolution of quantized tensors, quantized; see `conv`.

    Args:
        x: [N, C, D1, ...], int8 or uint8.
        x_scale: a scalar.
        x_zero_point: a scalar of the dtype of x.
        w: [M, C / group, K1, ...], int8 or uint8.
        w_scale: a scalar, or one an output channel.
        w_zero_point: like w_scale, of the dtype of w.
        y_scale: of the result, a scalar.
        y_zero_point: of the result, and of its dtype: int8 or uint8.
        bias: [M], int32, in the scale `x_scale * w_scale`.
        strides: see `conv`.
        pads: see `conv`.
        dilations: see `conv`.
        group: see `conv`.
        auto_pad: see `conv`.

    Raises:
        ShapeError, DTypeError: the operands do not fit.
    """
    windows = window_attrs(axes_of_space(x), strides, dilations, pads)
    return qlinear_conv_op(
        x, x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale, y_zero_point, bias,
        **windows, **other_attrs(group, auto_pad),
    )  # fmt: skip
