"""Places, sorted positions and distinct elements: sizes that the data decides.

How many places or distinct elements there are is an unknown dimension of the result.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from graphctx.errors import ShapeError
from graphctx.ops.creation import arange
from graphctx.ops.elementwise import subtract
from graphctx.ops.indexing import roll, take
from graphctx.ops.logic import (
    BOOL,
    equal,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    not_equal,
)
from graphctx.ops.reductions import argsort, cumulative_sum, diff, sum
from graphctx.ops.rules import common, composite, recorder_of, tensor
from graphctx.ops.selection import nonzero_op
from graphctx.ops.shape import concat, expand_dims, reshape, unstack
from graphctx.spec import kind_of
from graphctx.tensor import Tensor, where

INT64 = np.dtype(np.int64)


class UniqueAll(NamedTuple):
    """What `unique_all` returns."""

    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


class UniqueCounts(NamedTuple):
    """What `unique_counts` returns."""

    values: Any
    counts: Any


class UniqueInverse(NamedTuple):
    """What `unique_inverse` returns."""

    values: Any
    inverse_indices: Any


def flat_nonzero(x: Any) -> Any:
    """Places, in order, of the elements of a vector that are not zero."""
    return nonzero_op(tensor(x, BOOL))[0]


@composite(np.nonzero)
def nonzero(x: Any) -> tuple[Any, ...]:
    """Where the elements are not zero: for each axis, its index of each of them, row by row.

    Raises:
        ShapeError: a scalar has no places.
    """
    x = tensor(x)
    if not x.shape:
        raise ShapeError(f"{where()}nonzero of a scalar: it has no axis; reshape it to (1,) first")
    return tuple(unstack(nonzero_op(x)))


def _is_nan(x: Tensor) -> Any:
    return not_equal(x, x)


@composite(lambda x1, x2, side, sorter: np.searchsorted(x1, x2, side, sorter))
def _searchsorted(x1: Any, x2: Any, side: str, sorter: Any) -> Any:
    if side not in ("left", "right"):
        raise ValueError(f"{where()}the side is 'left' or 'right', got {side!r}")
    recorder = recorder_of(x1, x2, sorter)
    assert recorder is not None
    dtype = common(x1, x2)
    if dtype == BOOL:
        dtype = np.dtype(np.int32)
    x1, x2 = recorder.tensor(x1, dtype), recorder.tensor(x2, dtype)
    if len(x1.shape) != 1:
        raise ShapeError(f"{where()}searchsorted needs a sorted vector, got {x1.spec}")
    if sorter is not None:
        x1 = take(x1, sorter, 0)
    x2 = expand_dims(x2, len(x2.shape))
    before = (less if side == "left" else less_equal)(x1, x2)
    if kind_of(dtype) == "f":
        first = logical_not(_is_nan(x1))
        before = logical_or(
            before, logical_and(_is_nan(x2), first) if side == "left" else _is_nan(x2)
        )
    return sum(before, axis=-1)


def searchsorted(x1: Any, x2: Any, side: str = "left", sorter: Any = None) -> Any:
    """Where elements would be inserted to keep a vector sorted; int64 of the shape of `x2`.

    Args:
        x1: sorted vector; NaN is last.
        x2: elements of any shape.
        side: `"left"` of equal elements or `"right"` of them.
        sorter: indices that sort `x1`, where it is not sorted.

    A program compares each element with all of `x1`.

    Raises:
        ShapeError: `x1` is no vector.
        ValueError: the side has another name.
    """
    return _searchsorted(x1, x2, side, sorter)


class _Runs:
    """A tensor's elements in order, and where runs of equal ones begin."""

    def __init__(self, x: Any) -> None:
        self.x = tensor(x)
        flat = reshape(self.x, (-1,))
        self.order = argsort(flat)
        self.sorted = take(flat, self.order, 0)
        self.size = flat.shape[0]
        first = equal(tensor(arange(self.size), like=flat), 0)
        # Each NaN differs from itself: a run of its own, as the standard has it.
        self.begins = logical_or(first, not_equal(self.sorted, roll(self.sorted, 1)))
        self.places = flat_nonzero(self.begins)

    @property
    def values(self) -> Any:
        return take(self.sorted, self.places, 0)

    @property
    def counts(self) -> Any:
        return diff(concat([self.places, reshape(tensor(self.size, INT64, like=self.x), (1,))]))

    @property
    def indices(self) -> Any:
        return take(self.order, self.places, 0)

    @property
    def inverse_indices(self) -> Any:
        run = subtract(cumulative_sum(self.begins), 1)
        return reshape(take(run, argsort(self.order), 0), self.x.shape)


@composite(np.unique_values)
def unique_values(x: Any) -> Any:
    """The distinct elements as a vector; a program has them in order."""
    return _Runs(x).values


@composite(lambda x: UniqueCounts(*np.unique_counts(x)))
def unique_counts(x: Any) -> UniqueCounts:
    """The distinct elements in order, and how often there is each."""
    runs = _Runs(x)
    return UniqueCounts(runs.values, runs.counts)


@composite(lambda x: UniqueInverse(*np.unique_inverse(x)))
def unique_inverse(x: Any) -> UniqueInverse:
    """The distinct elements in order, and of each element which of them it is."""
    runs = _Runs(x)
    return UniqueInverse(runs.values, runs.inverse_indices)


@composite(lambda x: UniqueAll(*np.unique_all(x)))
def unique_all(x: Any) -> UniqueAll:
    """The distinct elements in order, where each is first, which each element is, how often."""
    runs = _Runs(x)
    return UniqueAll(runs.values, runs.indices, runs.inverse_indices, runs.counts)
