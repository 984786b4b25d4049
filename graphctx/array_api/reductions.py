"""Statistical, searching, sorting, set and utility functions of the standard."""

from __future__ import annotations

import builtins
from typing import Any

from graphctx import ops
from graphctx.array_api.signatures import documented


@documented(ops.all)
def all(x: Any, /, *, axis: Any = None, keepdims: builtins.bool = False) -> Any:
    return ops.all(x, axis, keepdims)


@documented(ops.any)
def any(x: Any, /, *, axis: Any = None, keepdims: builtins.bool = False) -> Any:
    return ops.any(x, axis, keepdims)


@documented(ops.argmax)
def argmax(x: Any, /, *, axis: int | None = None, keepdims: builtins.bool = False) -> Any:
    return ops.argmax(x, axis, keepdims)


@documented(ops.argmin)
def argmin(x: Any, /, *, axis: int | None = None, keepdims: builtins.bool = False) -> Any:
    return ops.argmin(x, axis, keepdims)


@documented(ops.argsort)
def argsort(
    x: Any, /, *, axis: int = -1, descending: builtins.bool = False, stable: builtins.bool = True
) -> Any:
    return ops.argsort(x, axis, descending)


@documented(ops.count_nonzero)
def count_nonzero(x: Any, /, *, axis: Any = None, keepdims: builtins.bool = False) -> Any:
    return ops.count_nonzero(x, axis, keepdims)


def _accumulated(function: Any, x: Any, axis: Any, dtype: Any, include_initial: Any) -> Any:
    if dtype is None:
        return function(x, axis, include_initial)
    return ops.astype(function(ops.astype(x, dtype), axis, include_initial), dtype)


@documented(ops.cumulative_prod)
def cumulative_prod(
    x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: builtins.bool = False
) -> Any:
    return _accumulated(ops.cumulative_prod, x, axis, dtype, include_initial)


@documented(ops.cumulative_sum)
def cumulative_sum(
    x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: builtins.bool = False
) -> Any:
    return _accumulated(ops.cumulative_sum, x, axis, dtype, include_initial)


@documented(ops.diff)
def diff(x: Any, /, *, axis: int = -1, n: int = 1, prepend: Any = None, append: Any = None) -> Any:
    return ops.diff(x, n, axis, prepend, append)


@documented(ops.max)
def max(x: Any, /, *, axis: Any = None, keepdims: builtins.bool = False) -> Any:
    return ops.max(x, axis, keepdims)


@documented(ops.mean)
def mean(x: Any, /, *, axis: Any = None, keepdims: builtins.bool = False) -> Any:
    return ops.mean(x, axis, keepdims)


@documented(ops.min)
def min(x: Any, /, *, axis: Any = None, keepdims: builtins.bool = False) -> Any:
    return ops.min(x, axis, keepdims)


@documented(ops.nonzero)
def nonzero(x: Any, /) -> tuple[Any, ...]:
    return ops.nonzero(x)


@documented(ops.prod)
def prod(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: builtins.bool = False) -> Any:
    return ops.prod(x, axis, keepdims, dtype=dtype)


@documented(ops.searchsorted)
def searchsorted(x1: Any, x2: Any, /, *, side: str = "left", sorter: Any = None) -> Any:
    return ops.searchsorted(x1, x2, side, sorter)


@documented(ops.sort)
def sort(
    x: Any, /, *, axis: int = -1, descending: builtins.bool = False, stable: builtins.bool = True
) -> Any:
    return ops.sort(x, axis, descending)


@documented(ops.std)
def std(
    x: Any, /, *, axis: Any = None, correction: float = 0.0, keepdims: builtins.bool = False
) -> Any:
    return ops.std(x, axis, keepdims, correction=correction)


@documented(ops.sum)
def sum(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: builtins.bool = False) -> Any:
    return ops.sum(x, axis, keepdims, dtype=dtype)


@documented(ops.unique_all)
def unique_all(x: Any, /) -> Any:
    return ops.unique_all(x)


@documented(ops.unique_counts)
def unique_counts(x: Any, /) -> Any:
    return ops.unique_counts(x)


@documented(ops.unique_inverse)
def unique_inverse(x: Any, /) -> Any:
    return ops.unique_inverse(x)


@documented(ops.unique_values)
def unique_values(x: Any, /) -> Any:
    return ops.unique_values(x)


@documented(ops.var)
def var(
    x: Any, /, *, axis: Any = None, correction: float = 0.0, keepdims: builtins.bool = False
) -> Any:
    return ops.var(x, axis, keepdims, correction=correction)


@documented(ops.where)
def where(condition: Any, x1: Any, x2: Any, /) -> Any:
    return ops.where(condition, x1, x2)
