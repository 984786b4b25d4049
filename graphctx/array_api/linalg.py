"""The standard's extension for linear algebra: products, norms and diagonals are recorded."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from graphctx import ops
from graphctx.array_api.manipulation import matrix_transpose
from graphctx.array_api.signatures import documented, eager_only
from graphctx.errors import ShapeError
from graphctx.tensor import where

__all__ = [
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]


def cholesky(x: Any, /, *, upper: builtins.bool = False) -> Any:
    """The Cholesky factor of positive definite matrices."""
    return eager_only("linalg.cholesky", np.linalg.cholesky, x, upper=upper)


@documented(ops.cross)
def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    return ops.cross(x1, x2, axis)


@documented(ops.det)
def det(x: Any, /) -> Any:
    return ops.det(x)


@documented(ops.diagonal)
def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    return ops.diagonal(x, offset)


def eigh(x: Any, /) -> Any:
    """Eigenvalues and eigenvectors of symmetric matrices."""
    return eager_only("linalg.eigh", np.linalg.eigh, x)


def eigvalsh(x: Any, /) -> Any:
    """Eigenvalues of symmetric matrices."""
    return eager_only("linalg.eigvalsh", np.linalg.eigvalsh, x)


def inv(x: Any, /) -> Any:
    """The inverses of square matrices."""
    return eager_only("linalg.inv", np.linalg.inv, x)


@documented(ops.matmul)
def matmul(x1: Any, x2: Any, /) -> Any:
    return ops.matmul(x1, x2)


@documented(ops.matrix_norm)
def matrix_norm(x: Any, /, *, keepdims: builtins.bool = False, ord: Any = "fro") -> Any:
    return ops.matrix_norm(x, ord, keepdims)


@documented(ops.matrix_power)
def matrix_power(x: Any, n: int, /) -> Any:
    return ops.matrix_power(x, n)


def matrix_rank(x: Any, /, *, rtol: Any = None) -> Any:
    """How many singular values of the matrices are larger than a part of the largest."""
    return eager_only("linalg.matrix_rank", np.linalg.matrix_rank, x, rtol=rtol)


@documented(ops.outer)
def outer(x1: Any, x2: Any, /) -> Any:
    for x in (x1, x2):
        if np.ndim(x) != 1:
            raise ShapeError(f"{where()}outer needs two vectors, got one of {np.ndim(x)} axes")
    return ops.outer(x1, x2)


def pinv(x: Any, /, *, rtol: Any = None) -> Any:
    """The pseudo-inverses of matrices."""
    return eager_only("linalg.pinv", np.linalg.pinv, x, rtol=rtol)


def qr(x: Any, /, *, mode: str = "reduced") -> Any:
    """The orthogonal and the triangular factor of matrices."""
    return eager_only("linalg.qr", np.linalg.qr, x, mode=mode)


def slogdet(x: Any, /) -> Any:
    """Signs and logarithms of the absolute values of determinants."""
    return eager_only("linalg.slogdet", np.linalg.slogdet, x)


def solve(x1: Any, x2: Any, /) -> Any:
    """The solutions of systems of linear equations."""
    return eager_only("linalg.solve", np.linalg.solve, x1, x2)


def svd(x: Any, /, *, full_matrices: builtins.bool = True) -> Any:
    """Singular values and vectors of matrices."""
    return eager_only("linalg.svd", np.linalg.svd, x, full_matrices=full_matrices)


def svdvals(x: Any, /) -> Any:
    """Singular values of matrices."""
    return eager_only("linalg.svdvals", np.linalg.svdvals, x)


@documented(ops.tensordot)
def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Any:
    return ops.tensordot(x1, x2, axes)


@documented(ops.trace)
def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    return ops.trace(x, offset, dtype=dtype)


@documented(ops.vecdot)
def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    return ops.vecdot(x1, x2, axis)


@documented(ops.vector_norm)
def vector_norm(
    x: Any, /, *, axis: Any = None, keepdims: builtins.bool = False, ord: Any = 2
) -> Any:
    return ops.vector_norm(x, axis, keepdims, ord)
