"""Linear algebra beyond products: diagonals, norms, powers and cross products."""

from __future__ import annotations

import builtins
import operator
from typing import Any

import numpy as np

from graphctx.context import source_line
from graphctx.errors import ShapeError, TraceError
from graphctx.ops.creation import arange, eye
from graphctx.ops.elementwise import abs, add, minimum, multiply, sqrt, square, subtract
from graphctx.ops.indexing import take
from graphctx.ops.linalg import matmul
from graphctx.ops.reductions import max, min, sum, symbolic_float
from graphctx.ops.rules import composite, operands_of, tensor
from graphctx.ops.shape import broadcast_to, expand_dims, reshape
from graphctx.ops.table import normalize_axis
from graphctx.spec import Dim, require_same_dim, same_dim
from graphctx.tensor import Tensor, where


def _matrices(x: Any, name: str) -> Tensor:
    matrices = tensor(x)
    if len(matrices.shape) < 2:
        raise ShapeError(f"{where()}{name} needs a matrix or several, got {matrices.spec}")
    return matrices


def _eager_cross(x1: Any, x2: Any, axis: int = -1) -> Any:
    return np.linalg.cross(x1, x2, axis=axis)


@composite(_eager_cross)
def cross(x1: Any, x2: Any, axis: int = -1) -> Any:
    """Cross product of vectors of three elements along an axis; other axes broadcast.

    Raises:
        ShapeError: a vector has not three elements.
    """
    x1, x2, _ = operands_of(np.multiply, x1, x2)
    for x in (x1, x2):
        size = x.shape[normalize_axis(axis, len(x.shape))] if x.shape else None
        if size != 3:
            raise ShapeError(f"{where()}cross needs 3 elements along axis {axis}, got {x.spec}")
    ahead, behind = np.array([1, 2, 0]), np.array([2, 0, 1])
    return subtract(
        multiply(take(x1, ahead, axis), take(x2, behind, axis)),
        multiply(take(x1, behind, axis), take(x2, ahead, axis)),
    )


def _eager_diagonal(x: Any, offset: int = 0) -> Any:
    return np.linalg.diagonal(x, offset=offset)


@composite(_eager_diagonal)
def diagonal(x: Any, offset: int = 0) -> Any:
    """The diagonal of the last two axes, or one `offset` places above it, as the last axis."""
    x = _matrices(x, "diagonal")
    rows, columns = x.shape[-2:]
    start = (builtins.max(-offset, 0), builtins.max(offset, 0))
    places = arange(_diagonal_length(x, rows - start[0], columns - start[1]))
    width = columns if not isinstance(columns, Dim) else tensor(columns, np.int64, like=x)
    flat = add(multiply(add(places, start[0]), width), add(places, start[1]))
    return take(reshape(x, (*x.shape[:-2], -1)), flat, -1)


def _diagonal_length(x: Tensor, rows: Any, columns: Any) -> Any:
    """The smaller of two sizes that may be negative."""
    if same_dim(rows, columns):
        return rows
    if not isinstance(rows, Dim) and not isinstance(columns, Dim):
        return builtins.max(builtins.min(rows, columns), 0)
    return minimum(tensor(rows, np.int64, like=x), tensor(columns, np.int64, like=x))


def _eager_trace(x: Any, offset: int = 0, *, dtype: Any = None) -> Any:
    return np.linalg.trace(x, offset=offset, dtype=dtype)


@composite(_eager_trace)
def trace(x: Any, offset: int = 0, *, dtype: Any = None) -> Any:
    """Sum of a diagonal of the last two axes; of small integers it is int64, as that of `sum`."""
    return sum(diagonal(_matrices(x, "trace"), offset), axis=-1, dtype=dtype)


def _eager_matrix_norm(x: Any, ord: Any = "fro", keepdims: bool = False) -> Any:
    return np.linalg.matrix_norm(x, ord=ord, keepdims=keepdims)


@composite(_eager_matrix_norm)
def matrix_norm(x: Any, ord: Any = "fro", keepdims: bool = False) -> Any:
    """Norm of the matrices in the last two axes.

    Args:
        x: integers become float64.
        ord: `"fro"`, the root of the sum of squares; 1 or -1, the largest or smallest sum of
            absolute values of a column; infinity or its negative, of a row.
        keepdims: whether the two axes stay, of size 1.

    Raises:
        TraceError: another norm is asked for of a symbolic tensor: it needs singular values.
    """
    x = symbolic_float(_matrices(x, "matrix_norm"))
    if ord == "fro":
        return sqrt(sum(square(x), axis=(-2, -1), keepdims=keepdims))
    if isinstance(ord, str) or builtins.abs(ord) not in (1, np.inf):
        raise TraceError(
            f"{where()}matrix_norm with ord={ord!r} needs singular values, which ONNX has no "
            f"operator for; use 'fro', 1, -1, inf or -inf ({source_line()})"
        )
    along = -2 if builtins.abs(ord) == 1 else -1
    found = (max if ord > 0 else min)(sum(abs(x), axis=along), axis=-1)
    return expand_dims(found, (-2, -1)) if keepdims else found


@composite(np.linalg.matrix_power)
def matrix_power(x: Any, n: int) -> Any:
    """Product of `n` times the same square matrix; the identity for 0.

    Raises:
        ShapeError: the matrices are not square.
        TraceError: a symbolic tensor would have to be inverted for a negative power.
    """
    x = _matrices(x, "matrix_power")
    n = operator.index(n)
    size = require_same_dim(x.shape[-2], x.shape[-1], f"{where()}a power is of a square matrix")
    if n < 0:
        raise TraceError(
            f"{where()}matrix_power with n={n} inverts a matrix, which ONNX has no operator for; "
            f"give the inverse as a weight or an input ({source_line()})"
        )
    if n == 0:
        return broadcast_to(tensor(eye(size, dtype=x.dtype), like=x), x.shape)
    if n == 3:  # NumPy's order of products, so that the bits are the same
        return matmul(matmul(x, x), x)
    result, power = None, x
    while True:
        n, bit = divmod(n, 2)
        if bit:
            result = power if result is None else matmul(result, power)
        if not n:
            return result
        power = matmul(power, power)
