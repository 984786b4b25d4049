"""Several tensors broadcast to one shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphctx.errors import ShapeError
from graphctx.ops.rules import composite, recorder_of
from graphctx.ops.shape import broadcast_to, reshape
from graphctx.spec import broadcast_shapes
from graphctx.tensor import where


@composite(lambda *arrays: tuple(np.broadcast_arrays(*arrays)))
def broadcast_arrays(*arrays: Any) -> tuple[Any, ...]:
    """All tensors, each repeated to the shape that they broadcast to."""
    recorder = recorder_of(*arrays)
    assert recorder is not None
    tensors = [recorder.tensor(x) for x in arrays]
    shape = broadcast_shapes(*(x.shape for x in tensors))
    return tuple(broadcast_to(x, shape) for x in tensors)


def _eager_meshgrid(*arrays: Any, indexing: str = "xy") -> tuple[Any, ...]:
    return tuple(np.meshgrid(*arrays, indexing=indexing))  # type: ignore[call-overload]


@composite(_eager_meshgrid)
def meshgrid(*arrays: Any, indexing: str = "xy") -> tuple[Any, ...]:
    """The coordinates of all points of a grid, from those along each axis.

    Args:
        arrays: vectors.
        indexing: `"ij"` for axes in the order of the arrays; `"xy"` with the first two swapped.

    Raises:
        ValueError: the indexing has another name.
        ShapeError: an array is no vector.
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"{where()}the indexing is 'xy' or 'ij', got {indexing!r}")
    recorder = recorder_of(*arrays)
    assert recorder is not None
    tensors = [recorder.tensor(x) for x in arrays]
    axes = list(range(len(tensors)))
    if indexing == "xy" and len(axes) > 1:
        axes[:2] = [1, 0]
    spread = []
    for axis, x in zip(axes, tensors, strict=True):
        if len(x.shape) > 1:
            raise ShapeError(f"{where()}meshgrid needs vectors, got {x.spec}")
        shape: list[Any] = [1] * len(tensors)
        shape[axis] = -1
        spread.append(reshape(x, shape))
    return tuple(broadcast_arrays(*spread))
