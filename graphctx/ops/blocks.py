"""Evaluation of large arrays in blocks that stay in the cache.

Several elementwise steps over a large array are bound by memory: each one reads and writes all of
it. Taken block by block they work in the cache, and go over the array itself only once. Kernels of
several steps do that by themselves (`in_blocks`), programs do it for chains of operators.

An element has the same bits in a block as in the whole array: NumPy's loops treat every element
alike, and no block cuts an axis that a step reduces (`whole`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np

BLOCK = 192 * 1024
"""Bytes of one array of a block: a few of them share the second-level cache."""

LARGE = 2 * BLOCK
"""What has more bytes is taken in blocks."""

_ALIGNMENT = 64  # bytes of a vector register: NumPy writes aligned memory twice as fast


def blocks(
    shape: tuple[int, ...], arrays: Sequence[Any], dtypes: Sequence[Any] = (), whole: int = 0
) -> Iterator[tuple[Any, ...]]:
    """Yield block after block: a view of each array, then buffers of the block's shape.

    Args:
        shape: the first array has it, the others broadcast to it.
        arrays: operands, and results, which are written to through their views.
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
    bounds = [count * i // max(1, pieces) for i in range(pieces + 1)]
    cuts = [slice(start, stop) for start, stop in zip(bounds[:-1], bounds[1:], strict=True)]
    buffers: dict[int, tuple[Any, ...]] = {}
    if pieces:
        rows = -(-count // pieces)
        memory = [_aligned(rows * inner, np.dtype(dtype)) for dtype in dtypes]
        for size in (rows, count // pieces):
            block = (size, *shape[axis + 1 :])
            buffers[size] = tuple(x[: size * inner].reshape(block) for x in memory)
    for place in product(*map(range, shape[:axis])):
        parts = [x[place] for x in arrays] if place else arrays
        for cut in cuts:
            yield (*[x[cut] for x in parts], *buffers[cut.stop - cut.start])


def _aligned(size: int, dtype: np.dtype[Any]) -> Any:
    memory = np.empty(size * dtype.itemsize + _ALIGNMENT, np.uint8)
    start = -memory.__array_interface__["data"][0] % _ALIGNMENT
    return memory[start : start + size * dtype.itemsize].view(dtype)


def in_blocks(
    step: Callable[..., object], x: Any, out: Any, dtypes: Sequence[Any], *more: Any, whole: int = 0
) -> Any:
    """Run a step of a kernel on blocks of `x`, or on all of it where it is small.

    Args:
        step: `step(x, out, *buffers, *more)` writes its result into `out`, which may be `x`.
        x: operand.
        out: of the same shape and dtype, in the same order in memory; None makes it.
        dtypes: of the buffers, which have the shape of `x`.
        more: passed on.
        whole: how many of the last axes the step needs in full.

    Returns:
        `out`.
    """
    if out is None:
        out = np.empty_like(x)
    if x.nbytes <= LARGE or x.ndim <= whole:
        step(x, out, *[np.empty_like(x, dtype) for dtype in dtypes], *more)
    else:
        for part, source, *buffers in blocks(x.shape, (out, x), dtypes, whole):
            step(source, part, *buffers, *more)
    return out
