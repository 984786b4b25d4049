"""Matrix products and their generalization, Einstein sums."""

from __future__ import annotations

import functools
import math
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphctx.errors import ShapeError
from graphctx.graph import Node, Value
from graphctx.ops.elementwise import multiply
from graphctx.ops.rules import (
    alike,
    composite,
    half_in_single,
    numpy_rules,
    one_floating_dtype,
    operands_of,
    tensor,
)
from graphctx.ops.table import TABLE, Inferred, common_dtype, normalize_axis, op, require_kind
from graphctx.spec import (
    DimLike,
    broadcast_dims,
    broadcast_shapes,
    joined_shape,
    require_same_dim,
    shape_text,
    size_of,
)
from graphctx.tensor import where as location

# -- MatMul ---------------------------------------------------------------------------------------


def infer_matmul(a: Value, b: Value) -> Inferred:
    """Shape and dtype of a matrix product."""
    require_kind(a, "iuf", "a numeric dtype")
    dtype = common_dtype((a, b))
    if a.rank == 0 or b.rank == 0:
        raise ShapeError("a scalar has no axis to sum over; multiply elementwise instead")
    inner = b.shape[-2] if b.rank > 1 else b.shape[0]
    require_same_dim(a.shape[-1], inner, "the inner dimensions differ")
    rows = a.shape[-2:-1] if a.rank > 1 else ()
    columns = b.shape[-1:] if b.rank > 1 else ()
    return broadcast_shapes(a.shape[:-2], b.shape[:-2]) + rows + columns, dtype


def _inline_matmul(node: Node) -> str | None:
    ranks = [v.rank for v in node.operands if v is not None]
    return "np_dot({0}, {1})" if ranks == [2, 2] else None


_SMALL = 10**6
"""Multiplications of a product up to which OpenBLAS has a kernel for small matrices."""


def _matmul_adds(node: Node) -> Any:
    a = node.operands[0]
    assert a is not None
    return size_of(node.output.shape) * a.shape[-1]


@numpy_rules(np.matmul, eager=lambda a, b: _eager_product(a, b))
@op("MatMul", since=9, infer=infer_matmul, promote=0, multiply_adds=_matmul_adds,
    inline=_inline_matmul, row_major=True)  # fmt: skip
def matmul(a: Any, b: Any) -> Any:
    """Matrix product over the last two axes; other axes broadcast, 1-D operands are vectors."""
    return _product(a, b)


def _eager_product(a: Any, b: Any) -> Any:
    if not a.__class__ is b.__class__ is np.ndarray:
        a, b = np.asarray(a), np.asarray(b)
    if a.dtype.kind != "V" and b.dtype.kind != "V":
        return _product(a, b)
    return TABLE["MatMul"].kernel(*alike(a, b))


def _product(a: Any, b: Any) -> Any:
    rank = b.ndim
    if rank == 2 and a.ndim == 2:
        return np.dot(a, b)  # less overhead than np.matmul
    if rank == 2 and a.ndim > 2 and a.size and b.size:
        rows = a.shape[-2]
        if rows < 5 or rows * b.size > _SMALL:
            # One product instead of many, which NumPy takes one by one.
            y = np.dot(a.reshape(-1, a.shape[-1]), b)
            return y.reshape(*a.shape[:-1], b.shape[1])
    return np.matmul(a, b, order="C")


# -- Gemm -----------------------------------------------------------------------------------------


def _infer_gemm(
    a: Value, b: Value, c: Value | None = None, *, alpha: float = 1.0, beta: float = 1.0,
    transA: int = 0, transB: int = 0,
) -> Inferred:  # fmt: skip
    require_kind(a, "iuf", "a numeric dtype")
    dtype = common_dtype([value for value in (a, b, c) if value is not None])
    for name, value in (("a", a), ("b", b)):
        if value.rank != 2:
            raise ShapeError(f"{name} must be a matrix, got {shape_text(value.shape)}")
    rows, inner = reversed(a.shape) if transA else a.shape
    other, columns = reversed(b.shape) if transB else b.shape
    require_same_dim(inner, other, "the inner dimensions differ")
    target = (rows, columns)
    if c is not None and joined_shape(broadcast_shapes(c.shape, target), target) is None:
        raise ShapeError(
            f"c {shape_text(c.shape)} does not broadcast to {shape_text((rows, columns))}"
        )
    return (rows, columns), dtype


def _inline_gemm(node: Node) -> tuple[str, ...] | None:
    if not {"transA", "transB"}.issuperset(node.attrs):
        return None
    left = "{0}.T" if node.attrs.get("transA") else "{0}"
    right = "{1}.T" if node.attrs.get("transB") else "{1}"
    product = f"np_dot({left}, {right})"
    if len(node.operands) == 2 or node.operands[2] is None:
        return (product,)
    return product, "np_add({_}, {2}, out={out})"


def _gemm_adds(node: Node) -> Any:
    a = node.operands[0]
    assert a is not None
    return size_of(node.output.shape) * a.shape[0 if node.attrs.get("transA") else 1]


@op("Gemm", since=11, infer=_infer_gemm, promote=0, multiply_adds=_gemm_adds,
    inline=_inline_gemm, row_major=True)  # fmt: skip
def gemm(a: Any, b: Any, c: Any = None, *, alpha: float = 1.0, beta: float = 1.0,
         transA: int = 0, transB: int = 0) -> Any:  # fmt: skip
    """`alpha * a @ b + beta * c`, of matrices that may be transposed first."""
    product = np.dot(a.T if transA else a, b.T if transB else b)
    if alpha != 1:
        product = (product * alpha).astype(product.dtype, copy=False)
    if c is None or beta == 0:
        return product
    if beta != 1:
        c = (c * beta).astype(product.dtype, copy=False)
    return np.add(product, c, out=product)


# -- Einsum ---------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1024)
def _parsed(equation: str, ranks: tuple[int, ...]) -> tuple[tuple[str, ...], str]:
    """The labels of every operand and of the output; an ellipsis becomes digits `0123`.

    Raises:
        ShapeError: the equation does not fit operands of these ranks.
    """
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise ShapeError(f"equation {equation!r} is for {len(terms)} operands, got {len(ranks)}")
    counts = {
        rank - len(term) + 3 for term, rank in zip(terms, ranks, strict=True) if "..." in term
    }
    if len(counts) > 1 or min(counts, default=0) < 0:
        raise ShapeError(
            f"every '...' of equation {equation!r} must stand for the same number of dimensions; "
            f"the operands have {', '.join(map(str, ranks))}"
        )
    hidden = max(counts, default=0)
    found = []
    for index, (term, rank) in enumerate(zip(terms, ranks, strict=True)):
        term = term.replace("...", string.digits[:hidden])
        if len(term) != rank or not all(c in string.ascii_letters + string.digits for c in term):
            raise ShapeError(
                f"term {terms[index]!r} of equation {equation!r} does not fit operand {index}, "
                f"which has {rank} dimensions"
            )
        found.append(term)
    if arrow:
        output = right.replace("...", string.digits[:hidden])
    else:
        labels = "".join(found)
        once = sorted(c for c in set(labels) if labels.count(c) == 1 and c.isalpha())
        output = string.digits[:hidden] + "".join(once)
    unknown = [c for c in output if c not in "".join(found)]
    if unknown or len(set(output)) != len(output):
        raise ShapeError(f"the output of equation {equation!r} has unknown or repeated labels")
    return tuple(found), output


def _infer_einsum(*inputs: Value, equation: str) -> Inferred:
    for value in inputs:
        require_kind(value, "iuf", "a numeric dtype")
    dtype = common_dtype(inputs)
    terms, output = _parsed(equation, tuple(value.rank for value in inputs))
    sizes = _label_sizes(terms, [value.shape for value in inputs])
    return tuple(sizes[label] for label in output), dtype


def _label_sizes(terms: Sequence[str], shapes: Sequence[Sequence[DimLike]]) -> dict[str, DimLike]:
    sizes: dict[str, DimLike] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for label, dim in zip(term, shape, strict=True):
            known = sizes.setdefault(label, dim)
            if label.isalpha():
                require_same_dim(known, dim, f"the sizes of {label!r} differ")
                continue
            merged = broadcast_dims(known, dim)
            if merged is None:
                raise ShapeError(f"the dimensions of '...' do not broadcast: {known} and {dim}")
            sizes[label] = merged
    return sizes


def _einsum_adds(node: Node) -> Any:
    values = [value for value in node.operands if value is not None]
    if len(values) < 2:
        return 0
    terms, _ = _parsed(node.attrs["equation"], tuple(value.rank for value in values))
    return size_of(list(_label_sizes(terms, [value.shape for value in values]).values()))


@dataclass(frozen=True)
class _Contraction:
    """An Einstein sum of two operands as one batched matrix product.

    Attributes:
        left, right: order of the axes: batch, rows, inner; batch, inner, columns.
        counts: how many axes are batch, rows and inner.
        out: order of the axes of the output among (batch, rows, columns).
    """

    left: tuple[int, ...]
    right: tuple[int, ...]
    counts: tuple[int, int, int]
    out: tuple[int, ...]


@functools.lru_cache(maxsize=1024)
def _contraction(terms: tuple[str, ...], output: str) -> _Contraction | None:
    """The plan for two operands; None where it is no plain matrix product."""
    if len(terms) != 2:
        return None
    a, b = terms
    if len(set(a)) != len(a) or len(set(b)) != len(b) or any(c.isdigit() for c in a + b):
        return None
    batch = [c for c in a if c in b and c in output]
    inner = [c for c in a if c in b and c not in output]
    rows = [c for c in a if c not in b]
    columns = [c for c in b if c not in a]
    if not inner or any(c not in output for c in rows + columns):
        return None
    made = batch + rows + columns
    return _Contraction(
        tuple(a.index(c) for c in batch + rows + inner),
        tuple(b.index(c) for c in batch + inner + columns),
        (len(batch), len(rows), len(inner)),
        tuple(made.index(c) for c in output),
    )


def _contract(plan: _Contraction, a: Any, b: Any) -> Any:
    batch, rows, inner = plan.counts
    a, b = a.transpose(plan.left), b.transpose(plan.right)
    batch_shape = a.shape[:batch]
    row_shape = a.shape[batch : batch + rows]
    column_shape = b.shape[batch + inner :]
    depth = math.prod(a.shape[batch + rows :])
    if b.shape[: batch + inner] != batch_shape + a.shape[batch + rows :]:
        raise ValueError("the sizes of the labels differ")
    left = a.reshape(*batch_shape, math.prod(row_shape), depth)
    right = b.reshape(*batch_shape, depth, math.prod(column_shape))
    product = np.dot(left, right) if not batch else np.matmul(left, right)
    return product.reshape(batch_shape + row_shape + column_shape).transpose(plan.out)


@op("Einsum", since=12, infer=_infer_einsum, promote=0, multiply_adds=_einsum_adds)
def einsum_op(*inputs: Any, equation: str) -> Any:
    """Sum of products by Einstein's convention."""
    terms, output = _parsed(equation, tuple(x.ndim for x in inputs))
    plan = _contraction(terms, output)
    if plan is not None and inputs[0].dtype == inputs[1].dtype:
        return _contract(plan, *inputs)
    if len(inputs) == 1:
        return np.array(np.einsum(equation, *inputs))  # of one operand NumPy returns a view
    return np.einsum(equation, *inputs, optimize=len(inputs) > 2)


def einsum(equation: str, *operands: Any) -> Any:
    """Sum of products by Einstein's convention: `einsum("bij,bjk->bik", x, y)`.

    Raises:
        ShapeError: the equation does not fit the operands.
    """
    return einsum_op(*operands, equation=equation)


# -- determinants ---------------------------------------------------------------------------------


def _infer_det(X: Value) -> Inferred:
    require_kind(X, "f", "a floating dtype")
    if X.rank < 2:
        raise ShapeError(f"needs square matrices [..., n, n], got {shape_text(X.shape)}")
    require_same_dim(X.shape[-2], X.shape[-1], "a determinant is of a square matrix")
    return X.shape[:-2], X.dtype


@op("Det", since=11, infer=_infer_det)
@half_in_single
def det(X: Any) -> Any:
    """The determinants of square matrices [..., n, n]."""
    one_floating_dtype(X)
    return np.asarray(np.linalg.det(X))


# -- public functions on top of them --------------------------------------------------------------


def _letters(count: int, start: int = 0) -> str:
    return string.ascii_letters[start : start + count]


@composite(np.tensordot)
def tensordot(x1: Any, x2: Any, axes: Any = 2) -> Any:
    """Sum of products over `axes`: a number of axes, or those of `x1` and those of `x2`."""
    x1, x2 = tensor(x1, like=x2), tensor(x2, like=x1)
    if isinstance(axes, int):
        left = list(range(len(x1.shape) - axes, len(x1.shape)))
        right = list(range(axes))
    else:
        left, right = ([a] if isinstance(a, int) else list(a) for a in axes)
    left = [normalize_axis(a, len(x1.shape)) for a in left]
    right = [normalize_axis(a, len(x2.shape)) for a in right]
    if len(left) != len(right):
        raise ShapeError(f"{location()}tensordot sums over {left} and {right}: not as many axes")
    first = list(_letters(len(x1.shape)))
    second = list(_letters(len(x2.shape), len(x1.shape)))
    for i, j in zip(left, right, strict=True):
        second[j] = first[i]
    output = [c for i, c in enumerate(first) if i not in left]
    output += [c for j, c in enumerate(second) if j not in right]
    return einsum(f"{''.join(first)},{''.join(second)}->{''.join(output)}", x1, x2)


def _infer_vecdot(a: Value, b: Value) -> Inferred:
    require_kind(a, "iuf", "a numeric dtype")
    dtype = common_dtype((a, b))
    require_same_dim(a.shape[-1], b.shape[-1], "the sizes differ")
    return broadcast_shapes(a.shape[:-1], b.shape[:-1]), dtype


def _expand_vecdot(a: Any, b: Any) -> Any:
    from graphctx import ops

    return ops.sum(multiply(a, b), axis=-1, dtype=a.dtype)


@op("vecdot", infer=_infer_vecdot, promote=0, expand=_expand_vecdot)
def vecdot_op(a: Any, b: Any) -> Any:
    """Dot product of vectors along the last axis; other axes broadcast."""
    return np.asarray(np.vecdot(a, b))


def _eager_vecdot(x1: Any, x2: Any, axis: int = -1) -> Any:
    return np.vecdot(x1, x2, axis=axis)  # type: ignore[call-overload]


@composite(_eager_vecdot)
def vecdot(x1: Any, x2: Any, axis: int = -1) -> Any:
    """Dot product of vectors along an axis; other axes broadcast."""
    from graphctx import ops

    x1, x2, dtype = operands_of(np.vecdot, x1, x2)
    if axis != -1:
        x1, x2 = ops.moveaxis(x1, axis, -1), ops.moveaxis(x2, axis, -1)
    if not x1.shape or not x2.shape:
        raise ShapeError(f"{location()}vecdot: a scalar has no axis to sum over")
    if dtype != bool:
        return vecdot_op(x1, x2)
    require_same_dim(x1.shape[-1], x2.shape[-1], f"{location()}vecdot: the sizes differ")
    return ops.any(multiply(x1, x2), axis=-1)


@composite(np.outer)
def outer(x1: Any, x2: Any) -> Any:
    """All products of an element of one vector and one of the other; operands are flattened."""
    from graphctx import ops

    x1, x2 = tensor(x1, like=x2), tensor(x2, like=x1)
    return multiply(ops.reshape(x1, (-1, 1)), ops.reshape(x2, (1, -1)))


@composite(np.dot)
def dot(x1: Any, x2: Any) -> Any:
    """NumPy's dot product: `matmul` up to 2 dimensions, a sum over the inner axes beyond."""
    x1, x2 = tensor(x1, like=x2), tensor(x2, like=x1)
    if not x1.shape or not x2.shape:
        return multiply(x1, x2)
    if len(x2.shape) <= 2:
        return matmul(x1, x2)
    return tensordot(x1, x2, axes=((-1,), (-2,)))
