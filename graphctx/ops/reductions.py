"""Operators that reduce axes, search along them, or accumulate along one.

ONNX's reductions take their axes as a constant tensor and keep the dtype. The public functions
have NumPy's signature and dtypes: `sum` of int32 is int64, `mean` of integers is float64.
"""

from __future__ import annotations

import builtins
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphctx.errors import ShapeError
from graphctx.graph import Value
from graphctx.ops.elementwise import (
    abs,
    divide,
    maximum,
    pow,
    sqrt,
    square,
    subtract,
)
from graphctx.ops.logic import BOOL, astype, not_equal
from graphctx.ops.rules import composite, half_in_single, recorder_of, tensor
from graphctx.ops.shape import reshape
from graphctx.ops.table import Inferred, count_of, known_ints, normalize_axis, op, require_kind
from graphctx.spec import Dim, as_dtype, is_extended, is_half, kind_of, size_of
from graphctx.tensor import ArrayOperators, Tensor
from graphctx.tensor import where as location

INT64 = np.dtype(np.int64)

# Plainly typed: the overloads of `reduce` do not know a `keepdims` that is a variable.
_ADD: Any = np.add
_MULTIPLY: Any = np.multiply
_MAXIMUM: Any = np.maximum
_MINIMUM: Any = np.minimum

# -- records --------------------------------------------------------------------------------------


def _reduced(kinds: str) -> Callable[..., Inferred]:
    """Inference of a reduction of dtypes of these kinds."""

    def infer(
        data: Value, axes: Value | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Inferred:
        require_kind(data, kinds, "a numeric dtype" if "i" in kinds else "a floating dtype")
        given = () if axes is None else known_ints(axes)
        if given is None:
            assert axes is not None
            return _unknown(data, count_of(axes, "axes"), keepdims, noop_with_empty_axes)
        found = _axes_of(given, data.rank, noop_with_empty_axes)
        shape = tuple(
            1 if axis in found else dim
            for axis, dim in enumerate(data.shape)
            if keepdims or axis not in found
        )
        return shape, data.dtype

    return infer


def _unknown(data: Value, count: int, keepdims: int, noop_with_empty_axes: int) -> Inferred:
    """The output of a reduction of axes that only the data tells, of which there are so many."""
    if not count:
        count = 0 if noop_with_empty_axes else data.rank
        if not count:
            return data.shape, data.dtype
    rank = data.rank if keepdims else data.rank - count
    if rank < 0:
        raise ShapeError(f"{count} axes of {data.rank}")
    return tuple(Dim.unknown() for _ in range(rank)), data.dtype


def _axes_of(given: Sequence[int], rank: int, noop_with_empty_axes: int) -> tuple[int, ...]:
    if not given:
        return () if noop_with_empty_axes else tuple(range(rank))
    found = tuple(normalize_axis(int(axis), rank) for axis in given)
    if len(set(found)) != len(found):
        raise ShapeError(f"axes {list(given)} name an axis twice")
    return found


def _axis(axes: Any, noop_with_empty_axes: int) -> tuple[int, ...] | None:
    """ONNX's axes as NumPy takes them."""
    if axes is None or not axes.size:
        return () if noop_with_empty_axes else None
    return tuple(axes.tolist())


def _sum_of(x: Any, axis: Any, keepdims: bool) -> Any:
    return _ADD.reduce(x, axis=axis, dtype=x.dtype, keepdims=keepdims)


def _mean_of(x: Any, axis: Any, keepdims: bool) -> Any:
    if is_half(x.dtype):
        return _mean_of(x.astype(np.float32), axis, keepdims).astype(x.dtype)
    total = _ADD.reduce(x, axis=axis, dtype=x.dtype, keepdims=keepdims)
    count = _count(x.shape, axis)
    if kind_of(x.dtype) == "f":
        return np.true_divide(total, x.dtype.type(count))
    count = np.asarray(count, x.dtype)
    return np.floor_divide(np.subtract(total, np.fmod(total, count)), count)


def _count(shape: Sequence[Any], axis: Any) -> Any:
    if axis is None:
        return size_of(shape)
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    return size_of([shape[i] for i in axes])


def _lowest(dtype: np.dtype[Any]) -> Any:
    if kind_of(dtype) == "f":
        return -np.inf
    return False if kind_of(dtype) == "b" else np.iinfo(dtype).min


def _highest(dtype: np.dtype[Any]) -> Any:
    if kind_of(dtype) == "f":
        return np.inf
    return True if kind_of(dtype) == "b" else np.iinfo(dtype).max


def _max_of(x: Any, axis: Any, keepdims: bool) -> Any:
    if not x.size:
        return _MAXIMUM.reduce(x, axis=axis, keepdims=keepdims, initial=_lowest(x.dtype))
    return _MAXIMUM.reduce(x, axis=axis, keepdims=keepdims)


def _min_of(x: Any, axis: Any, keepdims: bool) -> Any:
    if not x.size:
        return _MINIMUM.reduce(x, axis=axis, keepdims=keepdims, initial=_highest(x.dtype))
    return _MINIMUM.reduce(x, axis=axis, keepdims=keepdims)


def _in_float(reduce: Callable[..., Any]) -> Callable[..., Any]:
    """Integers are reduced as float64 and cut off; floats of 16 bits are reduced as float32."""

    def convert(x: Any, axis: Any, keepdims: bool) -> Any:
        half = is_half(x.dtype)
        if not half and x.dtype.kind == "f":
            return reduce(x, axis, keepdims)
        wide = x.astype(np.float32 if half else np.float64)
        return np.asarray(reduce(wide, axis, keepdims)).astype(x.dtype)

    return convert


def _log_sum_exp(x: Any, axis: Any, keepdims: bool) -> Any:
    largest = _MAXIMUM.reduce(x, axis=axis, keepdims=True, initial=-np.inf)
    # Where all are infinite of one sign, x - largest has no value: the answer is largest itself.
    shift = np.where(np.isfinite(largest), largest, x.dtype.type(0))
    total = _ADD.reduce(np.exp(x - shift), axis=axis, keepdims=keepdims)
    with np.errstate(divide="ignore"):
        found = np.log(total)
    return found + (shift if keepdims else shift.reshape(np.shape(found)))


@op("ReduceSum", since=13, infer=_reduced("iuf"))
def reduce_sum_op(data: Any, axes: Any = None, *, keepdims: int = 1,
               noop_with_empty_axes: int = 0) -> Any:  # fmt: skip
    """Sum; integers wrap around."""
    return _sum_of(data, _axis(axes, noop_with_empty_axes), bool(keepdims))


@op("ReduceMean", since=18, infer=_reduced("iuf"))
def reduce_mean_op(data: Any, axes: Any = None, *, keepdims: int = 1,
                noop_with_empty_axes: int = 0) -> Any:  # fmt: skip
    """Mean; of integers it is truncated."""
    return _mean_of(data, _axis(axes, noop_with_empty_axes), bool(keepdims))


@op("ReduceMax", since=20, infer=_reduced("iufb"))
def reduce_max_op(data: Any, axes: Any = None, *, keepdims: int = 1,
               noop_with_empty_axes: int = 0) -> Any:  # fmt: skip
    """Largest element; the lowest number there is of no elements."""
    return _max_of(data, _axis(axes, noop_with_empty_axes), bool(keepdims))


@op("ReduceMin", since=20, infer=_reduced("iufb"))
def reduce_min_op(data: Any, axes: Any = None, *, keepdims: int = 1,
               noop_with_empty_axes: int = 0) -> Any:  # fmt: skip
    """Smallest element; the highest number there is of no elements."""
    return _min_of(data, _axis(axes, noop_with_empty_axes), bool(keepdims))


def _prod_content(data: Any, axes: Any = None, *, keepdims: int = 1, **_: Any) -> Any:
    return (size_of(data),)


@op("ReduceProd", since=18, infer=_reduced("iuf"), content=_prod_content)
def reduce_prod_op(data: Any, axes: Any = None, *, keepdims: int = 1,
                noop_with_empty_axes: int = 0) -> Any:  # fmt: skip
    """Product; integers wrap around."""
    axis = _axis(axes, noop_with_empty_axes)
    return _MULTIPLY.reduce(data, axis=axis, dtype=data.dtype, keepdims=bool(keepdims))


@op("ReduceL1", since=18, infer=_reduced("iuf"))
def reduce_l1_op(data: Any, axes: Any = None, *, keepdims: int = 1,
              noop_with_empty_axes: int = 0) -> Any:  # fmt: skip
    """Sum of absolute values."""
    return _sum_of(np.absolute(data), _axis(axes, noop_with_empty_axes), bool(keepdims))


def _l2_of(x: Any, axis: Any, keepdims: bool) -> Any:
    return np.sqrt(_sum_of(np.square(x), axis, keepdims))


@op("ReduceL2", since=18, infer=_reduced("iuf"))
def reduce_l2_op(data: Any, axes: Any = None, *, keepdims: int = 1,
              noop_with_empty_axes: int = 0) -> Any:  # fmt: skip
    """Square root of the sum of squares."""
    return _in_float(_l2_of)(data, _axis(axes, noop_with_empty_axes), bool(keepdims))


@op("ReduceSumSquare", since=18, infer=_reduced("iuf"))
def reduce_sum_square_op(data: Any, axes: Any = None, *, keepdims: int = 1,
                      noop_with_empty_axes: int = 0) -> Any:  # fmt: skip
    """Sum of squares."""
    return _sum_of(np.square(data), _axis(axes, noop_with_empty_axes), bool(keepdims))


def _log_sum(x: Any, axis: Any, keepdims: bool) -> Any:
    return np.log(_sum_of(x, axis, keepdims))


@op("ReduceLogSum", since=18, infer=_reduced("iuf"))
def reduce_log_sum_op(data: Any, axes: Any = None, *, keepdims: int = 1,
                   noop_with_empty_axes: int = 0) -> Any:  # fmt: skip
    """Logarithm of the sum."""
    return _in_float(_log_sum)(data, _axis(axes, noop_with_empty_axes), bool(keepdims))


@op("ReduceLogSumExp", since=18, infer=_reduced("iuf"))
def reduce_log_sum_exp_op(data: Any, axes: Any = None, *, keepdims: int = 1,
                       noop_with_empty_axes: int = 0) -> Any:  # fmt: skip
    """Logarithm of the sum of exponentials, without overflow."""
    return _in_float(_log_sum_exp)(data, _axis(axes, noop_with_empty_axes), bool(keepdims))


def _infer_arg(
    data: Value, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0
) -> Inferred:
    require_kind(data, "iuf", "a numeric dtype")
    axis = normalize_axis(axis, data.rank)
    kept = (1,) if keepdims else ()
    return data.shape[:axis] + kept + data.shape[axis + 1 :], INT64


def _arg_kernel(name: str) -> Callable[..., Any]:
    def kernel(data: Any, axis: int, keepdims: int, select_last_index: int) -> Any:
        if not select_last_index:
            return getattr(data, name)(axis, keepdims=bool(keepdims))
        found = getattr(np.flip(data, axis), name)(axis, keepdims=bool(keepdims))
        return data.shape[axis] - 1 - found

    return kernel


_argmax_of = _arg_kernel("argmax")
_argmin_of = _arg_kernel("argmin")


@op("ArgMax", since=12, infer=_infer_arg)
def arg_max_op(data: Any, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Any:
    """Index of the largest element along an axis; of several, the first or the last one."""
    return _argmax_of(data, axis, keepdims, select_last_index)


@op("ArgMin", since=12, infer=_infer_arg)
def arg_min_op(data: Any, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Any:
    """Index of the smallest element along an axis; of several, the first or the last one."""
    return _argmin_of(data, axis, keepdims, select_last_index)


def _infer_cumulative(x: Value, axis: Value, *, exclusive: int = 0, reverse: int = 0) -> Inferred:
    require_kind(x, "iuf", "a numeric dtype")
    require_kind(axis, "i", "an integer axis")
    if axis.constant is not None:
        normalize_axis(int(axis.constant.reshape(())), x.rank)
    return x.shape, x.dtype


def _cumulate(ufunc: Any, x: Any, axis: Any, exclusive: int, reverse: int) -> Any:
    axis = int(axis.item())
    if reverse:
        x = np.flip(x, axis)
    y = ufunc.accumulate(x, axis=axis, dtype=x.dtype)
    if exclusive and y.size:
        y = np.roll(y, 1, axis)
        first = [slice(None)] * y.ndim
        first[axis] = slice(0, 1)
        y[tuple(first)] = ufunc.identity
    return np.flip(y, axis) if reverse else y


@op("CumSum", since=14, infer=_infer_cumulative)
def cum_sum_op(x: Any, axis: Any, *, exclusive: int = 0, reverse: int = 0) -> Any:
    """Sum of the elements up to each one, along an axis."""
    return _cumulate(np.add, x, axis, exclusive, reverse)


@op("CumProd", since=26, infer=_infer_cumulative)
def cum_prod_op(x: Any, axis: Any, *, exclusive: int = 0, reverse: int = 0) -> Any:
    """Product of the elements up to each one, along an axis."""
    return _cumulate(np.multiply, x, axis, exclusive, reverse)


def _infer_top_k(
    x: Value, k: Value, *, axis: int = -1, largest: int = 1, sorted: int = 1
) -> list[Inferred]:
    require_kind(x, "iuf", "a numeric dtype")
    axis = normalize_axis(axis, x.rank)
    known = k.dims or known_ints(k)
    count = known[0] if known else Dim.unknown()
    size = x.shape[axis]
    if not isinstance(count, Dim) and not isinstance(size, Dim) and count > size:
        raise ShapeError(f"k={count} of {size} elements along axis {axis}")
    shape = x.shape[:axis] + (count,) + x.shape[axis + 1 :]
    return [(shape, x.dtype), (shape, INT64)]


@op("TopK", since=11, infer=_infer_top_k)
def top_k_op(x: Any, k: Any, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> Any:
    """The k largest or smallest elements along an axis, and their indices."""
    count = int(k.item())
    if largest:
        # A stable sort of the reversed axis, read backwards: the lower index first among equals.
        order = x.shape[axis] - 1 - np.argsort(np.flip(x, axis), axis=axis, kind="stable")
        order = np.flip(order, axis)
    else:
        order = np.argsort(x, axis=axis, kind="stable")
    chosen = np.ascontiguousarray(np.take(order, np.arange(count), axis=axis))
    return np.take_along_axis(x, chosen, axis), chosen


# -- public functions -----------------------------------------------------------------------------


def _axes_operand(axis: Any) -> Any:
    """`axis` as the axes operand; None for all axes."""
    if axis is None:
        return None
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    return np.asarray([operator.index(a) for a in axes], np.int64)


def _reduce(record: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    noop = int(isinstance(axis, (tuple, list)) and not axis)
    return record(x, _axes_operand(axis), keepdims=int(keepdims), noop_with_empty_axes=noop)


def _summed_dtype(dtype: Any) -> Any:
    return _ADD.reduce(np.zeros(1, dtype)).dtype


def _summed(function: Callable[[Any], Any], x: Any, dtype: Any) -> Any:
    """A sum or product of a dtype, by default that of NumPy.

    onnxruntime adds integers of 32 and 64 bits with a sign only. Others are computed as int64: what
    wraps around has the same lower bits.
    """
    x = tensor(x)
    target = as_dtype(_summed_dtype(x.dtype) if dtype is None else dtype)
    if kind_of(target) not in "iu" or target in (np.int32, INT64):
        return function(astype(x, target))
    x = x if kind_of(x.dtype) in "biu" else astype(x, target)
    return astype(function(astype(x, INT64)), target)


_COMPARED = {
    np.dtype(np.int16): np.dtype(np.int32),
    np.dtype(np.uint16): np.dtype(np.int32),
    np.dtype(np.uint32): INT64,
}
"""Integers that ONNX or onnxruntime cannot compare along an axis, as others that it can."""


def _compared(x: Tensor) -> Any:
    return astype(x, _COMPARED.get(x.dtype, x.dtype))


def _eager(ufunc: Any) -> Callable[..., Any]:
    def reduce(x: Any, axis: Any = None, keepdims: bool = False, *, dtype: Any = None) -> Any:
        if axis.__class__ is list:
            axis = tuple(axis)
        return ufunc.reduce(x, axis=axis, dtype=dtype, keepdims=keepdims)

    return reduce


def _eager_sum(ufunc: Any) -> Callable[..., Any]:
    """A sum or product, which NumPy would round to bfloat16 after each step."""
    plain = _eager(ufunc)

    def reduce(x: Any, axis: Any = None, keepdims: bool = False, *, dtype: Any = None) -> Any:
        if dtype is None and is_extended(getattr(x, "dtype", INT64)) and is_half(x.dtype):
            return plain(x.astype(np.float32), axis, keepdims).astype(x.dtype)
        return plain(x, axis, keepdims, dtype=dtype)

    return reduce


@composite(_eager_sum(_ADD))
def sum(x: Any, axis: Any = None, keepdims: bool = False, *, dtype: Any = None) -> Any:
    """Sum over axes; of bools and small integers it is int64, as in NumPy."""
    return _summed(lambda x: _reduce(reduce_sum_op, x, axis, keepdims), x, dtype)


@composite(_eager_sum(np.multiply))
def prod(x: Any, axis: Any = None, keepdims: bool = False, *, dtype: Any = None) -> Any:
    """Product over axes; of bools and small integers it is int64, as in NumPy."""
    return _summed(lambda x: _reduce(reduce_prod_op, x, axis, keepdims), x, dtype)


def _require_elements(x: Tensor, axis: Any, name: str) -> None:
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, (tuple, list)) else (axis,)
    for a in axes:
        dim = x.shape[normalize_axis(a, x.ndim)]
        if not isinstance(dim, Dim) and dim == 0:
            raise ShapeError(f"{location()}{name} of no elements: axis {a} of {x.spec} is empty")


@composite(_eager(np.maximum))
def max(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Largest element over axes; NaN if there is one."""
    x = tensor(x)
    _require_elements(x, axis, "max")
    return astype(_reduce(reduce_max_op, _compared(x), axis, keepdims), x.dtype)


@composite(_eager(np.minimum))
def min(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Smallest element over axes; NaN if there is one."""
    x = tensor(x)
    _require_elements(x, axis, "min")
    return astype(_reduce(reduce_min_op, _compared(x), axis, keepdims), x.dtype)


@composite(_eager(np.logical_or))
def any(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether an element is true (not zero), over axes."""
    return _reduce(reduce_max_op, tensor(x, BOOL), axis, keepdims)


@composite(_eager(np.logical_and))
def all(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether every element is true (not zero), over axes."""
    return _reduce(reduce_min_op, tensor(x, BOOL), axis, keepdims)


def _float_of(x: Any) -> Any:
    """The operand with integers as float64, as NumPy's `mean` has it."""
    return x if kind_of(x.dtype) in "fc" else x.astype(np.float64)


def _eager_mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    x = _float_of(np.asarray(x))
    return _mean_of(x, tuple(axis) if axis.__class__ is list else axis, keepdims)


@composite(_eager_mean)
def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Mean over axes; of integers it is float64."""
    return _reduce(reduce_mean_op, symbolic_float(x), axis, keepdims)


def symbolic_float(x: Any) -> Tensor:
    """The operand as a tensor of floats; integers become float64."""
    x = tensor(x)
    return x if kind_of(x.dtype) == "f" else tensor(x, np.float64)


@half_in_single
def _variance(x: Any, *, axis: Any, keepdims: bool, correction: float) -> Any:
    deviation = x - _mean_of(x, axis, True)
    total = _ADD.reduce(np.multiply(deviation, deviation), axis=axis, keepdims=keepdims)
    return np.true_divide(total, x.dtype.type(np.maximum(_count(x.shape, axis) - correction, 0)))


def _eager_var(x: Any, axis: Any = None, keepdims: bool = False, *, correction: float = 0) -> Any:
    if axis.__class__ is list:
        axis = tuple(axis)
    x = _float_of(np.asarray(x))
    return _variance(x, axis=axis, keepdims=keepdims, correction=correction)


@composite(_eager_var)
def var(x: Any, axis: Any = None, keepdims: bool = False, *, correction: float = 0) -> Any:
    """Mean squared deviation from the mean, over axes.

    `correction=1` divides by one less than the number of elements. Of 16 bits it is computed in
    float32.
    """
    x = symbolic_float(x)
    if is_half(x.dtype):
        wide = astype(x, np.float32)
        return astype(var(wide, axis, keepdims, correction=correction), x.dtype)
    squares = square(subtract(x, mean(x, axis, keepdims=True)))
    if not correction:
        return _reduce(reduce_mean_op, squares, axis, keepdims)
    count = _count(x.shape, axis)
    if isinstance(count, Dim):
        divisor = maximum(subtract(tensor(count, x.dtype, like=x), correction), 0.0)
    else:
        divisor = np.asarray(builtins.max(count - correction, 0), x.dtype)
    return divide(_reduce(reduce_sum_op, squares, axis, keepdims), divisor)


@composite(lambda *args, **options: np.sqrt(_eager_var(*args, **options)))
def std(x: Any, axis: Any = None, keepdims: bool = False, *, correction: float = 0) -> Any:
    """Square root of `var`."""
    return sqrt(var(x, axis, keepdims, correction=correction))


def _eager_arg(name: str) -> Callable[..., Any]:
    def arg(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
        return getattr(np.asarray(x), name)(axis, keepdims=keepdims)

    return arg


def _symbolic_arg(record: Any, x: Any, axis: int | None, keepdims: bool) -> Any:
    from graphctx import ops

    x = tensor(x)
    x = astype(x, np.int32) if x.dtype == BOOL else _compared(x)
    if axis is not None:
        return record(x, axis=axis, keepdims=int(keepdims))
    found = record(ops.reshape(x, (-1,)), axis=0, keepdims=0)
    return ops.reshape(found, (1,) * len(x.shape)) if keepdims else found


@composite(_eager_arg("argmax"))
def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Index of the first largest element along an axis, or of all elements."""
    return _symbolic_arg(arg_max_op, x, axis, keepdims)


@composite(_eager_arg("argmin"))
def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Index of the first smallest element along an axis, or of all elements."""
    return _symbolic_arg(arg_min_op, x, axis, keepdims)


def _accumulation(record: Any, x: Any, axis: int | None, include_initial: bool) -> Any:
    from graphctx import ops

    x = tensor(x)
    if axis is None:
        if len(x.shape) != 1:
            x = ops.reshape(x, (-1,))
        axis = 0
    found = _summed(lambda x: record(x, np.asarray(axis, np.int64)), x, None)
    if not include_initial:
        return found
    axis = normalize_axis(axis, len(x.shape))
    start = x.shape[:axis] + (1,) + x.shape[axis + 1 :]
    identity = np.asarray(0 if record is cum_sum_op else 1, found.dtype)
    return ops.concat([ops.broadcast_to(tensor(identity, like=x), start), found], axis=axis)


def _eager_cumulative(function: Callable[..., Any]) -> Callable[..., Any]:
    def accumulate(x: Any, axis: int | None = None, include_initial: bool = False) -> Any:
        x = np.asarray(x)
        if axis is None:
            x, axis = x.reshape(-1), 0
        if is_extended(x.dtype) and is_half(x.dtype):
            wide = function(x.astype(np.float32), axis=axis, include_initial=include_initial)
            return wide.astype(x.dtype)
        return function(x, axis=axis, include_initial=include_initial)

    return accumulate


@composite(_eager_cumulative(np.cumulative_sum))
def cumulative_sum(x: Any, axis: int | None = None, include_initial: bool = False) -> Any:
    """Sum of the elements up to each one along an axis; of all elements where it is None."""
    return _accumulation(cum_sum_op, x, axis, include_initial)


@composite(_eager_cumulative(np.cumulative_prod))
def cumulative_prod(x: Any, axis: int | None = None, include_initial: bool = False) -> Any:
    """Product of the elements up to each one along an axis; of all elements where it is None."""
    return _accumulation(cum_prod_op, x, axis, include_initial)


def _eager_diff(x: Any, n: int, axis: int, prepend: Any, append: Any) -> Any:
    ends = {"prepend": prepend, "append": append}
    return np.diff(x, n, axis, **{name: y for name, y in ends.items() if y is not None})


@composite(_eager_diff)
def _diff(x: Any, n: int, axis: int, prepend: Any, append: Any) -> Any:
    from graphctx import ops

    if n < 0:
        raise ValueError(f"{location()}diff takes a number of times of at least 0, got {n}")
    recorder = recorder_of(x, prepend, append)
    assert recorder is not None
    x = recorder.tensor(x)
    axis = normalize_axis(axis, len(x.shape))
    one = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    parts = [
        y if y is x or len(np.shape(y)) else ops.broadcast_to(y, one)
        for y in (prepend, x, append)
        if y is not None
    ]
    x = ops.concat(parts, axis) if n and len(parts) > 1 else x
    lead = (slice(None),) * axis
    for _ in range(n):
        step = not_equal if x.dtype == BOOL else subtract
        x = step(x[(*lead, slice(1, None))], x[(*lead, slice(None, -1))])
    return x


def diff(x: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Each element less the one before it along an axis, `n` times; of bools, whether they differ.

    Args:
        x: any tensor of at least one dimension.
        n: how often; each time there is one element less.
        axis: of the neighbours.
        prepend: put before `x` along the axis first; a scalar, or of the other sizes of `x`.
        append: put after it.

    Raises:
        ShapeError: `x` has no such axis.
        ValueError: `n` is negative.
    """
    return _diff(x, n, axis, prepend, append)


cumsum = cumulative_sum
cumprod = cumulative_prod


def _eager_logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    x = _float_of(np.asarray(x))
    return _in_float(_log_sum_exp)(x, tuple(axis) if axis.__class__ is list else axis, keepdims)


@composite(_eager_logsumexp)
def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """`log(sum(exp(x)))` over axes, without overflow."""
    return _reduce(reduce_log_sum_exp_op, symbolic_float(x), axis, keepdims)


def vector_norm(x: Any, axis: Any = None, keepdims: bool = False, ord: float = 2) -> Any:
    """The `ord`-norm over axes: 1, 2, infinity, any other number, or 0 to count what is not 0."""
    if ord == 0:
        x = x if isinstance(x, Tensor) else np.asarray(x)
        return sum(astype(not_equal(x, 0), x.dtype), axis, keepdims)
    if ord == 1:
        return sum(abs(x), axis, keepdims)
    if ord == 2:
        return sqrt(sum(square(x), axis, keepdims))
    if ord == float("inf"):
        return max(abs(x), axis, keepdims)
    if ord == -float("inf"):
        return min(abs(x), axis, keepdims)
    return pow(sum(pow(abs(x), ord), axis, keepdims), 1 / ord)


def top_k(
    x: Any, k: Any, axis: int = -1, *, largest: bool = True, sorted: bool = True
) -> tuple[Any, Any]:
    """The `k` largest (or smallest) elements along an axis, in order, and their indices.

    Of equal elements the one with the lower index comes first. `k` may be computed, too.
    """
    count: Any
    if isinstance(k, Dim):
        recorder = recorder_of(k)
        assert recorder is not None
        count = recorder.dimensions((k,))
    elif isinstance(k, ArrayOperators):
        count = reshape(astype(k, np.int64), (1,))
    else:
        count = np.asarray([operator.index(k)], np.int64)
    found: tuple[Any, Any] = top_k_op(x, count, axis=axis, largest=int(largest), sorted=int(sorted))
    return found


def _sorted(x: Any, axis: int | None, descending: bool) -> tuple[Any, Any]:
    x = tensor(x)
    if axis is None:
        from graphctx import ops

        x, axis = ops.reshape(x, (-1,)), 0
    size = x.shape[normalize_axis(axis, len(x.shape))]
    wide = astype(x, np.int32) if x.dtype == BOOL else _compared(x)
    values, indices = top_k(wide, size, axis, largest=descending)
    return astype(values, x.dtype), indices


def _eager_argsort(x: Any, axis: int | None = -1, descending: bool = False) -> Any:
    x = np.asarray(x)
    if axis is None:
        x, axis = x.reshape(-1), 0
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    return top_k(x, x.shape[axis], axis)[1]


@composite(_eager_argsort)
def argsort(x: Any, axis: int | None = -1, descending: bool = False) -> Any:
    """Indices that sort the elements along an axis, or of all; equal ones stay in order."""
    return _sorted(x, axis, descending)[1]


def _eager_sort(x: Any, axis: int | None = -1, descending: bool = False) -> Any:
    ascending = np.sort(x, axis=axis)
    return np.flip(ascending, axis) if descending else ascending


@composite(_eager_sort)
def sort(x: Any, axis: int | None = -1, descending: bool = False) -> Any:
    """The elements along an axis, or all of them, in order."""
    return _sorted(x, axis, descending)[0]


@composite(lambda x, axis=None, keepdims=False: np.count_nonzero(x, axis, keepdims=keepdims))
def count_nonzero(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Number of elements that are not zero, over axes."""
    return sum(tensor(x, BOOL), axis, keepdims)
