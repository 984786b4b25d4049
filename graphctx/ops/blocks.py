"""Evaluation of large arrays in blocks that stay in the cache.

Several elementwise steps over a large array are bound by memory: each one reads and writes all of
it. Taken block by block they work in the cache, and go over the array itself only once. Kernels of
several steps do that by themselves (`in_blocks`), programs do it for chains of operators.

An element has the same bits in a block as in the whole array: NumPy's loops treat every element
alike, and no block cuts an axis that a step reduces (`whole`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np

BLOCK = 256 * 1024
"""Bytes of one array of a block: a few of them share the second-level cache."""

LARGE = 5 * BLOCK
"""What has more bytes is taken in blocks: with a second array it is more than that cache holds."""

_ALIGNMENT = 64  # bytes of a vector register: NumPy writes aligned memory twice as fast
_LITTLE = 16 * 1024  # bytes below which aligning costs more than it gains
_SHORT = 4096  # elements of a row up to which a product loses no accuracy to NumPy's pairwise sum


def blocks(
    shape: tuple[int, ...], arrays: Sequence[Any], dtypes: Sequence[Any] = (), whole: int = 0
) -> Iterator[tuple[Any, ...]]:
    """Yield block after block: a part of each array, then buffers of the block's shape.

    Args:
        shape: the first array has it, the others broadcast to it.
        arrays: operands, and results, which are written to through their parts.
        dtypes: of the buffers.
        whole: how many of the last axes are not cut.
    """
    arrays = [x if x.shape == shape else np.broadcast_to(x, shape) for x in arrays]
    rank = len(shape)
    if not whole and not arrays[0].flags.c_contiguous:
        # In the order in which the elements lie in memory.
        strides = arrays[0].strides
        order = sorted(range(rank), key=lambda i: -abs(strides[i]))
        shape = tuple(shape[i] for i in order)
        arrays = [x.transpose(order) for x in arrays]
    itemsize = max([x.itemsize for x in arrays] + [np.dtype(dtype).itemsize for dtype in dtypes])
    # Blocks are pieces of one axis, with all of the axes behind it, at each place of those before.
    axis = rank - whole - 1
    inner = math.prod(shape[axis + 1 :])
    while axis and inner * shape[axis] * itemsize <= BLOCK:
        inner *= shape[axis]
        axis -= 1
    count = shape[axis]
    pieces = -(-count // max(1, BLOCK // max(1, inner * itemsize)))
    places = list(product(*map(range, shape[:axis])))
    if not pieces or not places:
        return
    block = (-(-count // pieces), *shape[axis + 1 :])
    buffers = [aligned(block, dtype) for dtype in dtypes]
    # What is the same in every block is laid out once: NumPy broadcasts at half the speed.
    laid: list[Any] = [None] * len(arrays)
    if pieces * len(places) > 2:
        for index, x in enumerate(arrays):
            if any(x.strides) and not any(x.strides[: axis + 1]):
                laid[index] = aligned(block, x.dtype)
                np.copyto(laid[index], x[(0,) * axis][: block[0]])
    for place in places:
        parts = [x[place] for x in arrays] if place else arrays
        for piece in range(pieces):
            start, stop = count * piece // pieces, count * (piece + 1) // pieces
            yield (
                *[x[start:stop] if y is None else y[: stop - start]
                  for x, y in zip(parts, laid, strict=True)],
                *[x[: stop - start] for x in buffers],
            )  # fmt: skip


@functools.lru_cache(maxsize=64)
def _ones(size: int, dtype: np.dtype[Any]) -> Any:
    return np.ones(size, dtype)


def sum_of_rows(x: Any) -> Any:
    """Sums over the last axis of contiguous rows, which stays with size 1.

    Those of short rows are products with ones, which take half the time.
    """
    if x.shape[-1] > _SHORT:
        return np.add.reduce(x, axis=-1, keepdims=True)
    return np.vecdot(x, _ones(x.shape[-1], x.dtype))[..., None]


def with_column(ufunc: Any, x: Any, column: Any, out: Any) -> Any:
    """`ufunc(x, column)`, of rows and one number for each of them, into `out`.

    That may lie where `x` does. Where it does not, the numbers are laid out first: NumPy broadcasts
    at half the speed.
    """
    if out.nbytes < _LITTLE or np.may_share_memory(out, x):
        return ufunc(x, column, out=out)
    np.copyto(out, column)
    return ufunc(x, out, out=out)


def in_rows(*arrays: Any) -> bool:
    """Whether the elements of arrays lie in memory row by row."""
    return all(x.flags.c_contiguous for x in arrays)


def in_one_order(*arrays: Any) -> bool:
    """Whether the elements of arrays of one shape lie in memory in the same order.

    Then what NumPy's elementwise functions make of them lies in this order, too.
    """
    strides = arrays[0].strides
    return in_rows(*arrays) or (0 not in strides and all(x.strides == strides for x in arrays))


def aligned(shape: tuple[int, ...], dtype: Any) -> Any:
    """An array to write to, not initialized, at the start of a line of the cache."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    start = -memory.__array_interface__["data"][0] % _ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)


def _buffer(x: Any, dtype: Any) -> Any:
    """An array of the shape of `x`."""
    if x.nbytes < _LITTLE or not x.flags.c_contiguous:
        return np.empty_like(x, dtype)
    return aligned(x.shape, dtype)


def in_blocks(
    step: Callable[..., Any],
    operands: Sequence[Any],
    out: Any,
    dtypes: Sequence[Any],
    *more: Any,
    whole: int = 0,
    once: bool = False,
) -> Any:
    """Run a step of a kernel on blocks of its operands, or on all of them where they are small.

    Args:
        step: `step(*operands, out, *buffers, *more)` writes its result into `out`, when it needs
            the first buffer no more: this may be `out`.
        operands: the others broadcast to the first one; None where one is not given.
        out: of the shape and dtype of the first operand, and in the same order in memory; it may
            be that very object, else it shares no memory with the operands; None makes it.
        dtypes: of the buffers, which have the shape of the first operand.
        more: passed on.
        whole: how many of the last axes the step needs in full.
        once: whether the step has read the first operand when it has written the first buffer:
            that may be the operand, where `out` is.

    Returns:
        `out`.
    """
    x = operands[0]
    if out is None:
        out = np.empty_like(x)
    shared = bool(dtypes) and dtypes[0] == out.dtype and (once or out is not x)
    more_bytes = x.size * sum(np.dtype(dtype).itemsize for dtype in dtypes[shared:])
    limit = 3 * BLOCK - more_bytes if more_bytes else LARGE  # blocks save memory, too
    if x.nbytes <= limit or x.ndim <= whole:
        buffers = [_buffer(x, dtype) for dtype in dtypes[shared:]]
        step(*operands, out, *[out] * shared, *buffers, *more)
        return out
    given = [operand for operand in operands if operand is not None]
    for part, *rest in blocks(x.shape, (out, *given), dtypes, whole):
        found = iter(rest)
        step(
            *[None if operand is None else next(found) for operand in operands],
            part, *found, *more,
        )  # fmt: skip
    return out
