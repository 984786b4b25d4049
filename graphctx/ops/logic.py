"""Comparison, logic, bits, choosing per element, and casting."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphctx.errors import DTypeError, ShapeError
from graphctx.graph import Node, Value
from graphctx.ops.conversions import ROUND_MODES, convert, reinterpret
from graphctx.ops.rules import (
    common,
    composite,
    numpy_rules,
    of_one_dtype,
    operands_of,
    recorder_of,
    tensor,
)
from graphctx.ops.table import Inferred, broadcast, broadcast_bool, op, require_kind, same
from graphctx.spec import (
    Dim,
    as_dtype,
    bits_of,
    broadcast_shapes,
    dtype_name,
    is_extended,
    kind_of,
)
from graphctx.tensor import ArrayOperators, Tensor

BOOL = np.dtype(bool)

# -- inference ------------------------------------------------------------------------------------


def _require_bool(*values: Value, **_: Any) -> Inferred:
    for value in values:
        require_kind(value, "b", "bool")
    return broadcast(*values)


def _require_integers(*values: Value, **_: Any) -> Inferred:
    for value in values:
        require_kind(value, "iu", "an integer dtype")
    return broadcast(*values)


def _compare(*values: Value, **_: Any) -> Inferred:
    for value in values:
        require_kind(value, "iuf", "a numeric dtype")
    return broadcast_bool(*values)


def _is_float(x: Value, **_: Any) -> Inferred:
    require_kind(x, "f", "a floating dtype")
    return x.shape, BOOL


def _infer_where(condition: Value, x: Value, y: Value) -> Inferred:
    require_kind(condition, "b", "a bool condition")
    shape, dtype = broadcast(x, y)
    return broadcast_shapes(condition.shape, shape), dtype


# -- comparison -----------------------------------------------------------------------------------


@numpy_rules(np.equal)
@op("Equal", since=19, infer=broadcast_bool, ufunc=np.equal, promote=0)
def equal(a: Any, b: Any) -> Any:
    """Whether two elements are equal."""
    return np.equal(a, b)


@composite(of_one_dtype(np.not_equal))
def not_equal(x1: Any, x2: Any) -> Any:
    """Whether two elements differ."""
    x1, x2, dtype = operands_of(np.not_equal, x1, x2)
    return xor_op(x1, x2) if dtype == bool else not_op(equal(x1, x2))


def _ordered(ufunc: Any) -> Callable[[Any], Callable[..., Any]]:
    """A public comparison: bools are compared as integers."""

    def declare(record: Any) -> Callable[..., Any]:
        def bools(x1: Any, x2: Any) -> Any:
            return record(astype(x1, np.int32), astype(x2, np.int32))

        return numpy_rules(ufunc, bools=bools)(record)

    return declare


@_ordered(np.less)
@op("Less", since=9, infer=_compare, ufunc=np.less, promote=0)
def less(a: Any, b: Any) -> Any:
    """`a < b`, elementwise."""
    return np.less(a, b)


@_ordered(np.less_equal)
@op("LessOrEqual", since=12, infer=_compare, ufunc=np.less_equal, promote=0)
def less_equal(a: Any, b: Any) -> Any:
    """`a <= b`, elementwise."""
    return np.less_equal(a, b)


@_ordered(np.greater)
@op("Greater", since=9, infer=_compare, ufunc=np.greater, promote=0)
def greater(a: Any, b: Any) -> Any:
    """`a > b`, elementwise."""
    return np.greater(a, b)


@_ordered(np.greater_equal)
@op("GreaterOrEqual", since=12, infer=_compare, ufunc=np.greater_equal, promote=0)
def greater_equal(a: Any, b: Any) -> Any:
    """`a >= b`, elementwise."""
    return np.greater_equal(a, b)


# -- tests ----------------------------------------------------------------------------------------


@op("IsNaN", since=9, infer=_is_float, ufunc=np.isnan)
def isnan_op(x: Any) -> Any:
    """Whether an element is NaN."""
    return np.isnan(x)


@op("IsInf", since=20, infer=_is_float, local=0)
def isinf_op(x: Any, *, detect_negative: int = 1, detect_positive: int = 1) -> Any:
    """Whether an element is infinite, of either sign or of one."""
    if detect_negative and detect_positive:
        return np.isinf(x)
    if detect_positive:
        return np.equal(x, np.inf)
    return np.equal(x, -np.inf) if detect_negative else np.zeros(x.shape, bool)


@composite(np.isnan)
def isnan(x: Any) -> Any:
    """Whether an element is NaN."""
    x = tensor(x)
    return isnan_op(x) if kind_of(x.dtype) == "f" else not_equal(x, x)


@composite(np.isinf)
def isinf(x: Any) -> Any:
    """Whether an element is infinite."""
    x = tensor(x)
    return isinf_op(x) if kind_of(x.dtype) == "f" else not_equal(x, x)


# -- logic ----------------------------------------------------------------------------------------


@op("Or", since=7, infer=_require_bool, ufunc=np.logical_or)
def or_op(a: Any, b: Any) -> Any:
    """Whether a bool is true."""
    return np.logical_or(a, b)


@op("And", since=7, infer=_require_bool, ufunc=np.logical_and)
def and_op(a: Any, b: Any) -> Any:
    """Whether both bools are true."""
    return np.logical_and(a, b)


@op("Xor", since=7, infer=_require_bool, ufunc=np.logical_xor)
def xor_op(a: Any, b: Any) -> Any:
    """Whether two bools differ."""
    return np.logical_xor(a, b)


@op("Not", since=1, infer=_require_bool, ufunc=np.logical_not)
def not_op(x: Any) -> Any:
    """Whether a bool is false."""
    return np.logical_not(x)


@composite(np.logical_and)
def logical_and(x1: Any, x2: Any) -> Any:
    """Whether both elements are true (not zero)."""
    return and_op(*_truths(x1, x2))


@composite(np.logical_or)
def logical_or(x1: Any, x2: Any) -> Any:
    """Whether an element is true (not zero)."""
    return or_op(*_truths(x1, x2))


@composite(np.logical_xor)
def logical_xor(x1: Any, x2: Any) -> Any:
    """Whether exactly one element is true (not zero)."""
    return xor_op(*_truths(x1, x2))


@composite(np.logical_not)
def logical_not(x: Any) -> Any:
    """Whether an element is false (zero)."""
    return not_op(*_truths(x))


def _truths(*operands: Any) -> tuple[Any, ...]:
    recorder = recorder_of(*operands)
    assert recorder is not None
    return tuple(recorder.tensor(x, BOOL) for x in operands)


# -- bits -----------------------------------------------------------------------------------------


@numpy_rules(np.bitwise_and, bools=and_op)
@op("BitwiseAnd", since=18, infer=_require_integers, ufunc=np.bitwise_and, promote=0)
def bitwise_and(a: Any, b: Any) -> Any:
    """Bits set in both elements; of bools, whether both are true."""
    return np.bitwise_and(a, b)


@numpy_rules(np.bitwise_or, bools=or_op)
@op("BitwiseOr", since=18, infer=_require_integers, ufunc=np.bitwise_or, promote=0)
def bitwise_or(a: Any, b: Any) -> Any:
    """Bits set in either element; of bools, whether one is true."""
    return np.bitwise_or(a, b)


@numpy_rules(np.bitwise_xor, bools=xor_op)
@op("BitwiseXor", since=18, infer=_require_integers, ufunc=np.bitwise_xor, promote=0)
def bitwise_xor(a: Any, b: Any) -> Any:
    """Bits set in one of the elements; of bools, whether they differ."""
    return np.bitwise_xor(a, b)


@numpy_rules(np.invert, bools=not_op)
@op("BitwiseNot", since=18, infer=_require_integers, ufunc=np.invert)
def bitwise_invert(x: Any) -> Any:
    """All bits flipped; of bools, whether it is false."""
    return np.invert(x)


_SHIFTS = {"LEFT": "np_left_shift", "RIGHT": "np_right_shift"}


def _infer_shift(x: Value, y: Value, *, direction: str) -> Inferred:
    if direction not in _SHIFTS:
        raise ShapeError(f"the direction is LEFT or RIGHT, got {direction!r}")
    return _require_integers(x, y)


def _inline_shift(node: Node) -> str:
    return f"{_SHIFTS[node.attrs['direction']]}({{0}}, {{1}}, out={{out}})"


@op("BitShift", since=11, infer=_infer_shift, promote=0, local=0, inline=_inline_shift)
def shift_op(x: Any, y: Any, *, direction: str) -> Any:
    """Bits moved up (`LEFT`) or down (`RIGHT`)."""
    return np.left_shift(x, y) if direction == "LEFT" else np.right_shift(x, y)


@composite(np.left_shift)
def bitwise_left_shift(x1: Any, x2: Any) -> Any:
    """Bits moved up by `x2` places."""
    x1, x2, _ = operands_of(np.left_shift, x1, x2)
    return shift_op(x1, x2, direction="LEFT")


@composite(np.right_shift)
def bitwise_right_shift(x1: Any, x2: Any) -> Any:
    """Bits moved down by `x2` places; the sign is kept."""
    x1, x2, _ = operands_of(np.right_shift, x1, x2)
    return shift_op(x1, x2, direction="RIGHT")


# -- choosing -------------------------------------------------------------------------------------


@op("Where", any_dtype=True, since=9, infer=_infer_where, promote=1, local=0)
def where_op(condition: Any, x: Any, y: Any) -> Any:
    """`x` where the condition is true, else `y`."""
    return np.where(condition, x, y)


@composite(of_one_dtype(np.where, 1))
def where(condition: Any, x1: Any, x2: Any) -> Any:
    """`x1` where the condition is true, else `x2`, elementwise."""
    recorder = recorder_of(condition, x1, x2)
    assert recorder is not None
    condition = recorder.tensor(condition, BOOL)
    if common(x1, x2) != BOOL:
        return where_op(condition, x1, x2)
    # onnxruntime has no Where for bools.
    return or_op(
        and_op(condition, recorder.tensor(x1)), and_op(not_op(condition), recorder.tensor(x2))
    )


def _first(x: tuple[Any, ...], *_: Any, **__: Any) -> Any:
    return x


@op("Identity", any_dtype=True, since=1, infer=same, view=True, content=_first, containers=[0])
def identity(x: Any) -> Any:
    """`x` itself, as an operator of its own."""
    return x


def _infer_cast(x: Value, *, to: Any, saturate: int = 1, round_mode: str = "up") -> Inferred:
    _require_round_mode(round_mode)
    return x.shape, as_dtype(to)


def _require_round_mode(round_mode: str) -> None:
    if round_mode not in ROUND_MODES:
        raise DTypeError(f"round_mode is one of {', '.join(ROUND_MODES)}, got {round_mode!r}")


def _local_cast(node: Node) -> int | None:
    return None if any(v.dtype == object for v in (node.output, *node.operands) if v) else 0


@op("Cast", any_dtype=True, since=13, infer=_infer_cast, content=_first, local=_local_cast)
def cast_op(x: Any, *, to: Any, saturate: int = 1, round_mode: str = "up") -> Any:
    """The same values as another dtype; strings are parsed or printed."""
    _require_round_mode(round_mode)
    to = as_dtype(to)
    if to == object:
        return _printed(x)
    if x.dtype == object:
        x = _parsed(x, to)
    return convert(x, to, saturate=bool(saturate), round_mode=round_mode)


def _printed(x: Any) -> Any:
    """Numbers as text, spelt as onnxruntime does: floats to 8 digits, bools as 1 and 0."""
    texts = np.empty(x.size, object)
    items = x.reshape(-1)
    if x.dtype.kind == "b":
        items = items.astype(np.int8)
    elif is_extended(x.dtype):
        items = items.astype(np.float32 if kind_of(x.dtype) == "f" else np.int8)
    texts[:] = list(map(_float_text if kind_of(x.dtype) == "f" else str, items.tolist()))
    return texts.reshape(x.shape)


def _float_text(number: float) -> str:
    if math.isfinite(number):
        return f"{number:.8g}"
    return "NaN" if number != number else "INF" if number > 0 else "-INF"


def _parsed(texts: Any, to: np.dtype[Any]) -> Any:
    read: Callable[[str], Any] = _parsed_int if kind_of(to) in "iu" else _parsed_float
    numbers = [read(text) for text in texts.reshape(-1)]
    return np.asarray(numbers).reshape(texts.shape)


def _parsed_float(text: str) -> float:
    if "_" in text:  # which Python takes for digits in groups
        raise ValueError(f"could not convert string to float: {text!r}")
    return float(text)


def _parsed_int(text: str) -> int:
    try:
        return int(text) if "_" not in text else int(_parsed_float(text))
    except ValueError:
        return int(_parsed_float(text))


def _infer_cast_like(
    input: Value, target_type: Value, *, saturate: int = 1, round_mode: str = "up"
) -> Inferred:
    _require_round_mode(round_mode)
    return input.shape, target_type.dtype


def _expand_cast_like(input: Any, target_type: Any, **attrs: Any) -> Any:
    return cast_op(input, to=target_type.dtype, **attrs)


@op("CastLike", since=15, any_dtype=True, infer=_infer_cast_like, expand=_expand_cast_like)
def cast_like_op(input: Any, target_type: Any, *, saturate: int = 1, round_mode: str = "up") -> Any:
    """The same values as the dtype of another tensor."""
    return cast_op.kernel(input, to=target_type.dtype, saturate=saturate, round_mode=round_mode)


def _infer_bitcast(input: Value, *, to: Any) -> Inferred:
    to = as_dtype(to)
    if object in (to, input.dtype):
        raise DTypeError("strings have no bits of a fixed number")
    if bits_of(to) != bits_of(input.dtype):
        raise DTypeError(
            f"{dtype_name(input.dtype)} has {bits_of(input.dtype)} bits, and {dtype_name(to)} "
            f"{bits_of(to)}"
        )
    return input.shape, to


@op("BitCast", since=26, any_dtype=True, infer=_infer_bitcast, local=0)
def bitcast_op(input: Any, *, to: Any) -> Any:
    """The same bits as numbers of another dtype."""
    to = as_dtype(to)
    if object in (to, input.dtype) or bits_of(to) != bits_of(input.dtype):
        raise TypeError("dtypes of different sizes")
    return reinterpret(input, to)


def bitcast(x: Any, dtype: Any) -> Any:
    """The same bits as numbers of another dtype, which has as many bits.

    Raises:
        DTypeError: it has more bits or fewer.
    """
    return bitcast_op(x, to=as_dtype(dtype))


def cast(x: Any, dtype: Any, *, saturate: bool = True, round_mode: str = "up") -> Any:
    """The same values as another dtype: `astype`, with what floats of 8 bits leave open.

    Args:
        x: any tensor.
        dtype: of the result.
        saturate: whether numbers out of range of a float of 8 bits become its largest one; else
            they become infinity, or NaN where the dtype has no infinity.
        round_mode: how float8_e8m0 rounds to a power of two: `up`, `down` or `nearest`.

    Raises:
        DTypeError: graphctx does not know the dtype, or the rounding mode.
    """
    return cast_op(x, to=as_dtype(dtype), saturate=int(saturate), round_mode=round_mode)


def cast_like(x: Any, other: Any) -> Any:
    """The same values as the dtype of another tensor."""
    return cast_like_op(x, other)


_dtype = functools.lru_cache(maxsize=256)(as_dtype)


def astype(x: Any, dtype: Any) -> Any:
    """The same values as another dtype; `x` itself where it has that dtype already.

    Raises:
        DTypeError: `dtype` is none that graphctx knows.
    """
    to = _dtype(dtype)
    if x.__class__ is not np.ndarray:
        x = x.resolve() if isinstance(x, ArrayOperators) else x
        if isinstance(x, (Tensor, Dim)):
            return tensor(x, to)
        x = np.asarray(x)
    if x.dtype.kind == "O" or to.kind == "O" or is_extended(to) or is_extended(x.dtype):
        return x if x.dtype == to else cast_op.kernel(x, to=to)
    return x.astype(to, copy=False)
