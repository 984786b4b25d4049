"""Creation functions of the standard. Floating results are float64 unless a dtype is given.

That is what NumPy's are in an eager call; those of `graphctx.ops` are float32.
"""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from graphctx import ops
from graphctx.array_api.signatures import documented, eager_only, require_cpu
from graphctx.ops.rules import recorder_of
from graphctx.spec import Dim, as_dtype, kind_of
from graphctx.tensor import ArrayOperators, Tensor, where

FLOAT = np.dtype(np.float64)


def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: Any = None) -> Any:
    """An array or a tensor of numbers, sequences of numbers, arrays or tensors.

    Raises:
        ValueError: a copy is forbidden, but another dtype asks for one.
    """
    require_cpu(device)
    obj = obj.resolve() if isinstance(obj, ArrayOperators) else obj
    recorder = recorder_of(obj)
    if recorder is None:
        return np.asarray(obj, dtype=dtype, copy=copy)
    found = _stacked(obj) if isinstance(obj, (tuple, list)) else recorder.tensor(obj)
    if dtype is None or found.dtype == as_dtype(dtype):
        return ops.positive(found) if _is_weak(found) and found.dtype != bool else found
    if copy is False:
        raise ValueError(f"{where()}asarray: {dtype} of {found.spec} is a copy, but copy=False")
    return ops.astype(found, dtype)


def _is_weak(x: Any) -> builtins.bool:
    return isinstance(x, Tensor) and x.weak


def _stacked(items: Any) -> Any:
    if isinstance(items, (tuple, list)):
        return ops.stack([_stacked(item) for item in items])
    return items


def from_dlpack(x: Any, /, *, device: Any = None, copy: Any = None) -> Any:
    """An array that shares the memory of another library's."""
    require_cpu(device)
    return eager_only("from_dlpack", np.from_dlpack, x, device=device, copy=copy)


def _number(x: Any) -> Any:
    """A Python number, a symbolic size or a scalar tensor."""
    return x.resolve() if isinstance(x, ArrayOperators) else x


@documented(ops.arange)
def arange(
    start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None
) -> Any:
    require_cpu(device)
    bounds = [_number(x) for x in (start, stop, step)]
    if dtype is None:
        kinds = [
            np.dtype(np.int64) if isinstance(x, (int, Dim)) else np.asarray(x).dtype
            if not isinstance(x, Tensor) else x.dtype
            for x in bounds if x is not None
        ]  # fmt: skip
        dtype = FLOAT if any(kind_of(kind) == "f" for kind in kinds) else np.dtype(np.int64)
    return ops.arange(bounds[0], bounds[1], bounds[2], dtype)


def empty(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """A tensor of any values; it has zeros, so that programs are deterministic."""
    return zeros(shape, dtype=dtype, device=device)


def empty_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """A tensor of the shape (and unless given, the dtype) of `x`; it has zeros."""
    return zeros_like(x, dtype=dtype, device=device)


@documented(ops.eye)
def eye(
    n_rows: Any, n_cols: Any = None, /, *, k: int = 0, dtype: Any = None, device: Any = None
) -> Any:
    require_cpu(device)
    return ops.eye(n_rows, n_cols, k, FLOAT if dtype is None else dtype)


def full(shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """A tensor with one value everywhere; of Python's numbers bool, int64 or float64."""
    require_cpu(device)
    value = _number(fill_value)
    if dtype is None and not isinstance(value, Tensor):
        dtype = np.int64 if isinstance(value, Dim) else np.asarray(value).dtype
    return ops.full(shape, value, dtype)


@documented(ops.full_like)
def full_like(x: Any, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    require_cpu(device)
    return ops.full_like(x, fill_value, _dtype_of(x) if dtype is None else dtype)


def _dtype_of(x: Any) -> Any:
    return x.dtype if isinstance(x, ArrayOperators) else np.asarray(x).dtype


def linspace(
    start: Any, stop: Any, /, num: Any, *, dtype: Any = None, device: Any = None,
    endpoint: builtins.bool = True,
) -> Any:  # fmt: skip
    """`num` evenly spaced numbers from `start` to `stop`, which may be left out at the end."""
    require_cpu(device)
    return ops.linspace(start, stop, num, endpoint, FLOAT if dtype is None else dtype)


@documented(ops.meshgrid)
def meshgrid(*arrays: Any, indexing: str = "xy") -> tuple[Any, ...]:
    return ops.meshgrid(*arrays, indexing=indexing)


def ones(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """A tensor of ones."""
    require_cpu(device)
    return ops.ones(shape, FLOAT if dtype is None else dtype)


@documented(ops.ones_like)
def ones_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    return full_like(x, 1, dtype=dtype, device=device)


@documented(ops.tril)
def tril(x: Any, /, *, k: int = 0) -> Any:
    return ops.tril(x, k)


@documented(ops.triu)
def triu(x: Any, /, *, k: int = 0) -> Any:
    return ops.triu(x, k)


def zeros(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """A tensor of zeros."""
    require_cpu(device)
    return ops.zeros(shape, FLOAT if dtype is None else dtype)


@documented(ops.zeros_like)
def zeros_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    return full_like(x, 0, dtype=dtype, device=device)
