"""Matrix products and Einstein sums."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.ops.build import FLOATS, TOLERANCE, random, refused, tolerance_of
from tests.ops.case import Case

CASES: list[Case] = []


def add(*cases: Case) -> None:
    CASES.extend(cases)


def product(op: str, letters: str, *operands: Any, tolerance: float | None = None,
            **attrs: Any) -> Case:  # fmt: skip
    """A case whose axes are the symbols of these letters: `"mk,kn"`; `.` is no symbol."""
    symbolic: dict[int, Mapping[int, str]] = {}
    for index, term in enumerate(letters.split(",")):
        names = {axis: name for axis, name in enumerate(term) if name != "."}
        if names:
            symbolic[index] = names
    return Case(op, operands, attrs, symbolic=symbolic, tolerance=tolerance_of(operands, tolerance))


# -- MatMul ---------------------------------------------------------------------------------------

for dtype in (*FLOATS, "int32", "int64", "uint32", "uint64"):
    case = product("MatMul", "mk,kn", random((2, 3), dtype), random((3, 4), dtype, 2),
                   tolerance=4 * TOLERANCE.get(dtype, 0.0))  # fmt: skip
    add(case)
for letters, a, b in (
    ("bmk,bkn", (2, 3, 4), (2, 4, 5)),
    ("abmk,kn", (2, 3, 4, 5), (5, 6)),
    ("mk,bkn", (3, 4), (2, 4, 5)),
    ("abmk,bkn", (2, 3, 4, 5), (3, 5, 6)),
    ("a.mk,bkn", (2, 1, 4, 5), (3, 5, 6)),
    (".mk,bkn", (1, 2, 3), (4, 3, 2)),
    ("k,k", (3,), (3,)),
    ("mk,k", (2, 3), (3,)),
    ("k,kn", (3,), (3, 4)),
    ("bmk,k", (2, 3, 4), (4,)),
    ("k,bkn", (4,), (2, 4, 5)),
    ("bmk,kn", (0, 3, 4), (4, 5)),
    ("mk,kn", (1, 1), (1, 1)),
):
    add(product("MatMul", letters, random(a), random(b, seed=2), tolerance=1e-5))
add(product("MatMul", "mk,kn", random((3, 2)).T, random((4, 3), seed=2).T, tolerance=1e-5))
add(product("MatMul", "bmk,kn", random((3, 2, 4)).transpose(1, 0, 2), random((4, 5)),
            tolerance=1e-5))  # fmt: skip
add(product("MatMul", "mk,kn", np.zeros((2, 0), np.float32), np.zeros((0, 3), np.float32)))

# -- Gemm -----------------------------------------------------------------------------------------

for dtype in FLOATS:
    add(product("Gemm", "mk,kn,n", random((2, 3), dtype), random((3, 4), dtype, 2),
                random((4,), dtype, 3), tolerance=4 * TOLERANCE[dtype]))  # fmt: skip
for dtype in ("int32", "int64", "uint32", "uint64"):
    case = product("Gemm", "mk,kn,n", random((2, 3), dtype), random((3, 4), dtype, 2),
                   random((4,), dtype, 3))  # fmt: skip
    add(refused(case, f"no kernel for {dtype}"))
A, B = random((2, 3)), random((3, 4), seed=2)
add(
    product("Gemm", "mk,kn", A, B, tolerance=1e-5),
    product("Gemm", "mk,kn", A, B, alpha=0.5, tolerance=1e-5),
    product("Gemm", "mk,kn,mn", A, B, random((2, 4)), beta=0.25, tolerance=1e-5),
    product("Gemm", "mk,kn,m.", A, B, random((2, 1)), alpha=2.0, beta=0.5, tolerance=1e-5),
    product("Gemm", "mk,kn,.n", A, B, random((1, 4)), tolerance=1e-5),
    product("Gemm", "mk,kn,", A, B, random(()), tolerance=1e-5),
    product("Gemm", "mk,kn,.", A, B, random((1,)), beta=0.0, tolerance=1e-5),
    product("Gemm", "km,kn,n", A.T.copy(), B, random((4,)), transA=1, tolerance=1e-5),
    product("Gemm", "mk,nk,n", A, B.T.copy(), random((4,)), transB=1, tolerance=1e-5),
    product("Gemm", "km,nk,n", A.T.copy(), B.T.copy(), random((4,)), transA=1, transB=1,
            tolerance=1e-5),
)  # fmt: skip

# -- Einsum ---------------------------------------------------------------------------------------


def einsum(equation: str, letters: str, *shapes: tuple[int, ...], dtype: str = "float32") -> Case:
    arrays = [random(shape, dtype, i) for i, shape in enumerate(shapes)]
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    return product("Einsum", letters, *arrays, equation=equation, tolerance=tolerance)


add(
    einsum("ij,jk->ik", "ij,jk", (2, 3), (3, 4)),
    einsum("ij,jk", "ij,jk", (2, 3), (3, 4)),
    einsum("ij,jk->ki", "ij,jk", (2, 3), (3, 4), dtype="float64"),
    einsum("ij,jk->ik", "ij,jk", (2, 3), (3, 4), dtype="int64"),
    einsum("bhqd,bhkd->bhqk", "bhqd,bhkd", (2, 3, 4, 5), (2, 3, 6, 5)),
    einsum("bqhd,bkhd->bhqk", "bqhd,bkhd", (2, 4, 3, 5), (2, 6, 3, 5)),
    einsum("b i j , b j k -> b i k", "bij,bjk", (2, 3, 4), (2, 4, 5)),
    einsum("i,i->", "i,i", (3,), (3,)),
    einsum("i,j->ij", "i,j", (3,), (4,)),
    einsum("i,i->i", "i,i", (3,), (3,)),
    einsum("ij->ji", "ij", (2, 3)),
    einsum("ij->j", "ij", (2, 3)),
    einsum("ij->", "ij", (2, 3)),
    einsum("ii->i", "ii", (3, 3)),
    einsum("ii", "ii", (3, 3)),
    einsum("ij,kj->k", "ij,kj", (2, 3), (4, 3)),
    einsum("...ij,...jk->...ik", "abij,abjk", (2, 3, 4, 5), (2, 3, 5, 6)),
    einsum("...ij,jk", "aij,jk", (2, 3, 4), (4, 5)),
    einsum("i...->...", "iab", (2, 3, 4)),
    einsum("ij,jk,kl->il", "ij,jk,kl", (2, 3), (3, 4), (4, 5)),
    einsum("ab,cd->abcd", "ab,cd", (2, 3), (4, 5)),
    einsum("Ab,bC->AC", "Ab,bC", (2, 3), (3, 4)),
)

# -- vecdot ---------------------------------------------------------------------------------------

for dtype in (*FLOATS, "int32", "int64"):
    case = product("vecdot", "bk,bk", random((2, 5), dtype), random((2, 5), dtype, 2),
                   tolerance=4 * TOLERANCE.get(dtype, 0.0))  # fmt: skip
    add(case)
for letters, a, b in (("abk,k", (2, 3, 4), (4,)), ("k,k", (3,), (3,)), ("bk,bk", (2, 0), (2, 0))):
    add(product("vecdot", letters, random(a), random(b, seed=2), tolerance=1e-5))


def determinant(shape: tuple[int, ...], dtype: Any = "float32", tolerance: float = 1e-5) -> Case:
    names = {axis: f"n{axis}" for axis in range(len(shape) - 2)}
    return Case("Det", (random(shape, dtype),), symbolic={0: names}, tolerance=tolerance)


CASES += [
    determinant((3, 3)),
    determinant((2, 5, 4, 4)),
    determinant((6, 1, 1)),
    refused(determinant((2, 3, 3), "float64", 1e-12), "onnxruntime has no float64 kernel"),
    determinant((3, 3), "float16", 1e-2),
]
