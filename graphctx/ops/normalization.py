"""Normalization: subtract a mean, divide by a deviation, scale and shift.

Statistics are computed in the dtype of the input, those of float16 in float32.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphctx.errors import ShapeError
from graphctx.graph import Value
from graphctx.ops.rules import half_in_single
from graphctx.ops.table import Inferred, common_dtype, normalize_axis, op, require_kind
from graphctx.spec import Dim, broadcast_shapes, require_same_dim, same_shape, shape_text
from graphctx.tensor import where

# -- what the kernels share -----------------------------------------------------------------------


def _standardized(x: Any, epsilon: float) -> Any:
    """A new array with mean 0 and variance 1 along the last axis (Ba et al. 2016, eq. 3)."""
    count = x.dtype.type(x.shape[-1])
    mean = np.add.reduce(x, axis=-1, keepdims=True)
    mean /= count
    y = x - mean
    deviation = np.vecdot(y, y)[..., None]
    deviation /= count
    deviation += epsilon
    np.sqrt(deviation, out=deviation)
    np.divide(1, deviation, out=deviation)
    y *= deviation
    return y


def _check_affine(X: Value, size: Any, vectors: dict[str, Value | None]) -> None:
    for name, value in vectors.items():
        if value is None:
            continue
        require_kind(value, "f", "a floating dtype")
        if value.rank != 1:
            raise ShapeError(f"{name} is a vector, got {shape_text(value.shape)}")
        require_same_dim(value.shape[0], size, f"{name} has one number a channel")


def _channels_first(X: Value) -> None:
    require_kind(X, "f", "a floating dtype")
    if X.rank < 2:
        raise ShapeError(f"needs [N, C, ...], got {shape_text(X.shape)}")
