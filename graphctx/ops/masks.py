"""`x[mask]`: how many elements are taken is decided by the data, an unknown dimension."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphctx.context import source_line
from graphctx.errors import ShapeError, TraceError
from graphctx.ops.searching import flat_nonzero
from graphctx.ops.shape import reshape
from graphctx.spec import require_same_dim, size_of
from graphctx.tensor import ArrayOperators, Tensor, where


def is_mask(item: Any) -> bool:
    """Whether an item of an index is a bool, or a tensor or list of bools."""
    if isinstance(item, (ArrayOperators, np.ndarray)):
        return bool(item.dtype == np.bool_)
    if isinstance(item, list):
        return bool(item) and np.asarray(item).dtype == np.bool_
    return isinstance(item, (bool, np.bool_))


def without_masks(x: Tensor, items: Sequence[Any]) -> tuple[Tensor, tuple[Any, ...]]:
    """The tensor and the index with each mask as indices into its axes, which become one axis.

    Raises:
        ShapeError: a mask has not the sizes of its axes.
        TraceError: a mask is a single bool: the result would have another rank by the data.
    """
    items = [np.asarray(item) if isinstance(item, list) else item for item in items]
    axes = [np.ndim(i) if is_mask(i) else i is not None and i is not Ellipsis for i in items]
    hidden = len(x.shape) - sum(axes)
    found: list[Any] = []
    axis = 0
    for item, count in zip(items, axes, strict=True):
        if is_mask(item):
            item, x = _places(item, x, axis)
            count = 1
        found.append(item)
        axis += hidden if item is Ellipsis else int(count)
    return x, tuple(found)


def _places(mask: Any, x: Tensor, axis: int) -> tuple[Any, Tensor]:
    """The places that a mask takes along the one axis that its axes become, and `x` like that."""
    rank = np.ndim(mask)
    if not rank:
        raise TraceError(
            f"{where()}{x.spec} is indexed by a single bool, which would add an axis; keep the "
            f"shape with ops.where(condition, x, other) ({source_line()})"
        )
    sizes = x.shape[axis : axis + rank]
    if len(sizes) < rank:
        raise ShapeError(f"{where()}a mask of {rank} axes is too many for {x.spec}")
    for i, (a, b) in enumerate(zip(np.shape(mask), sizes, strict=True)):
        require_same_dim(a, b, f"{where()}a mask of {x.spec} along axis {axis + i}")
    if rank > 1:
        x = reshape(x, (*x.shape[:axis], size_of(sizes), *x.shape[axis + rank :]))
        mask = reshape(mask, (-1,))
    if isinstance(mask, Tensor):
        return flat_nonzero(mask), x
    return np.flatnonzero(mask), x
