"""Tensors that are made from a shape or a range.

With plain numbers these functions return NumPy arrays, also in a trace, where they become
constants. A shape with symbolic dimensions records a node. Floating results are float32 unless a
dtype is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphctx.errors import DTypeError
from graphctx.graph import Value
from graphctx.ops.rules import recorder_of
from graphctx.ops.shape import broadcast_to, range_op, shape_entries, shape_operand
from graphctx.ops.table import Inferred, known_dims, op, require_rank
from graphctx.spec import Dim, as_dtype, kind_of
from graphctx.tensor import ArrayOperators, Tensor

FLOAT32 = np.dtype(np.float32)

# -- ranges ---------------------------------------------------------------------------------------


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Any:
    """Evenly spaced numbers: `start`, `start + step`, ... up to but without `stop`.

    Args:
        start: first number; the end, from 0, where `stop` is not given.
        stop: the end: a number, a symbolic dimension or a scalar tensor of known value.
        step: between numbers.
        dtype: of the result; int64, or float32 where a number is floating.
    """
    first, end = (0, start) if stop is None else (start, stop)
    bounds = [x.resolve() if isinstance(x, ArrayOperators) else x for x in (first, end, step)]
    floats = any(isinstance(x, float) or kind_of(getattr(x, "dtype", FLOAT32)) == "f"
                 for x in bounds if not isinstance(x, (int, Dim)))  # fmt: skip
    target = (FLOAT32 if floats else np.dtype(np.int64)) if dtype is None else as_dtype(dtype)
    recorder = recorder_of(*bounds)
    if recorder is None:
        return np.arange(*bounds, dtype=target)
    made = range_op(*(recorder.tensor(x) for x in _counted(bounds, floats)))
    return made if made.dtype == target else made.astype(target)


def _counted(bounds: Sequence[Any], floats: bool) -> list[Any]:
    dtype = np.float32 if floats else np.int64
    return [x if isinstance(x, (Tensor, Dim)) else np.asarray(x, dtype) for x in bounds]


def linspace(start: Any, stop: Any, num: Any, endpoint: bool = True, dtype: Any = "float32") -> Any:
    """`num` evenly spaced numbers from `start` to `stop`.

    Args:
        start: first number.
        stop: last number, or the one after it where `endpoint` is False.
        num: how many; an int or a symbolic dimension.
        endpoint: whether `stop` is among them.
        dtype: of the result.
    """
    bounds = [x.resolve() if isinstance(x, ArrayOperators) else x for x in (start, stop, num)]
    first, last, count = bounds
    target = as_dtype(dtype)
    recorder = recorder_of(*bounds)
    if recorder is None:
        return np.linspace(first, last, count, endpoint=endpoint, dtype=target)
    places = recorder.tensor(arange(count)).astype(target)
    gaps = count - 1 if endpoint else count
    if not isinstance(gaps, Dim):
        return first + places * ((last - first) / max(gaps, 1))
    return first + places * ((last - first) / recorder.tensor(gaps).astype(target))


# -- one value everywhere -------------------------------------------------------------------------


def _infer_constant_of_shape(input: Value, *, value: Any = None) -> Inferred:
    require_rank(input, 1, "the shape")
    dtype = FLOAT32 if value is None else np.asarray(value).dtype
    return tuple(known_dims(input, "the shape")), dtype


@op("ConstantOfShape", any_dtype=True, since=9, infer=_infer_constant_of_shape)
def constant_of_shape_op(input: Any, *, value: Any = None) -> Any:
    """A tensor of this shape with one value everywhere; float32 0 where it is not given."""
    if value is None:
        return np.zeros(input.tolist(), FLOAT32)
    value = np.asarray(value)
    return np.full(input.tolist(), value.reshape(()), value.dtype)


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    """A tensor with one value everywhere.

    Args:
        shape: an int or a sequence of ints, symbolic dimensions and 0-d integer tensors.
        fill_value: a number, or a scalar tensor.
        dtype: of the result; that of the value: bool, int64 or float32 for Python's numbers.
    """
    value = fill_value.resolve() if isinstance(fill_value, ArrayOperators) else fill_value
    entries = shape_entries(shape)
    recorder = recorder_of(entries, value)
    if dtype is not None:
        target = as_dtype(dtype)
    elif isinstance(value, float) or (
        isinstance(value, Tensor) and value.weak and kind_of(value.dtype) == "f"
    ):
        target = FLOAT32
    else:
        target = value.dtype if isinstance(value, Tensor) else np.asarray(value).dtype
    if isinstance(value, Tensor):
        return broadcast_to(value if value.dtype == target else value.astype(target), entries)
    if recorder is None:
        return np.full(entries, value, target)
    filled = np.asarray(value, target).reshape(1)
    return constant_of_shape_op(shape_operand(recorder, entries), value=filled)


def zeros(shape: Any, dtype: Any = "float32") -> Any:
    """A tensor of zeros; see `full` for the shape."""
    return full(shape, 0, dtype)


def ones(shape: Any, dtype: Any = "float32") -> Any:
    """A tensor of ones; see `full` for the shape."""
    return full(shape, 1, dtype)


def _infer_eye_like(input: Value, *, dtype: Any = None, k: int = 0) -> Inferred:
    require_rank(input, 2, "a matrix")
    if kind_of(input.dtype) not in "biuf":
        raise DTypeError(f"needs numbers, got {input.spec}")
    return input.shape, input.dtype if dtype is None else np.dtype(dtype)


@op("EyeLike", any_dtype=True, since=9, infer=_infer_eye_like)
def eye_like_op(input: Any, *, dtype: Any = None, k: int = 0) -> Any:
    """Ones on the k-th diagonal, zeros elsewhere, of the shape of a matrix."""
    rows, columns = input.shape
    return np.eye(rows, columns, k, input.dtype if dtype is None else dtype)


def eye(n: Any, m: Any = None, k: int = 0, dtype: Any = "float32") -> Any:
    """A matrix with ones on the k-th diagonal and zeros elsewhere.

    Args:
        n: number of rows.
        m: number of columns; n where it is not given.
        k: which diagonal; positive ones are above the main one.
        dtype: of the result.
    """
    rows, columns = shape_entries((n, n if m is None else m))
    if recorder_of(rows, columns) is None:
        return np.eye(rows, columns, k, as_dtype(dtype))
    return eye_like_op(zeros((rows, columns), dtype), k=k)
