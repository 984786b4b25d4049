"""Calls of every function of the standard: `function(xp, *arrays)` for a namespace `xp`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

RANDOM = np.random.default_rng(0)
NAN, INF = np.nan, np.inf


@dataclass(frozen=True)
class Case:
    """One call.

    Attributes:
        function: takes the namespace and the arrays.
        arrays: operands; the first axis of each is symbolic, of one name for each size.
        wanted: the same of NumPy, where it lacks an option.
        tolerance: relative and absolute, of onnxruntime.
        rounding: as many units in the last place NumPy may differ by from the program.
        fixed: whether no size is symbolic.
        unordered: whether the elements may come in any order.
        onnxruntime: why onnxruntime does not run it; empty where it does.
    """

    function: Callable[..., Any]
    arrays: Sequence[Any]
    wanted: Callable[..., Any] | None = None
    tolerance: float = 2e-6
    rounding: int = 0
    fixed: bool = False
    unordered: bool = False
    onnxruntime: str = ""


def normal(*shape: int, dtype: Any = np.float32) -> Any:
    """Numbers between about -6 and 6."""
    return (RANDOM.normal(size=shape) * 2).astype(dtype)


def between(low: float, high: float, *shape: int, dtype: Any = np.float32) -> Any:
    """Numbers in an interval."""
    return RANDOM.uniform(low, high, shape).astype(dtype)


def integers(low: int, high: int, *shape: int, dtype: Any = np.int64) -> Any:
    """Integers in an interval."""
    return RANDOM.integers(low, high, shape).astype(dtype)


X = normal(4, 3)
D = normal(4, 3, dtype=np.float64)
N = integers(-9, 9, 4, 3)
J = integers(-9, 9, 4, 3, dtype=np.int32)
U = integers(0, 9, 4, 3, dtype=np.uint8)
B = X > 0
V = normal(5)
M = normal(4, 3, 3)
SPECIAL = np.float32([NAN, INF, -INF, 0.0, -0.0, 1.0, -2.5, 1e30])
DOUBLE = "no kernel for float64"

CASES: dict[str, list[Case]] = {}


def add(name: str, *cases: Case) -> None:
    """Add cases of a function."""
    CASES.setdefault(name, []).extend(cases)


def call(name: str, *arrays: Any, **options: Any) -> None:
    """Add the plain call of a function, with these keywords and settings of the case."""
    fields = {k: options.pop(k) for k in list(options) if k in Case.__dataclass_fields__}

    def function(xp: Any, *operands: Any) -> Any:
        return find(xp, name)(*operands, **options)

    add(name, Case(function, arrays, **fields))


def find(xp: Any, name: str) -> Any:
    """A function of a namespace or of an extension of it."""
    for part in name.split("."):
        xp = getattr(xp, part)
    return xp


# -- elementwise ----------------------------------------------------------------------------------

INTERVALS = {"acos": (-1, 1), "acosh": (1, 9), "asin": (-1, 1), "atanh": (-0.9, 0.9),
             "log": (0.1, 9), "log10": (0.1, 9), "log1p": (-0.9, 9), "log2": (0.1, 9),
             "reciprocal": (0.2, 4), "sqrt": (0, 9), "square": (-3, 3)}  # fmt: skip
FLOATING = ("acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "exp", "expm1",
            "log", "log10", "log1p", "log2", "reciprocal", "sin", "sinh", "sqrt", "tan",
            "tanh")  # fmt: skip
SINGLE_ONLY = ("acos", "acosh", "asin", "asinh", "atan", "atanh", "cosh", "sinh", "tan")
for _name in FLOATING:
    _low, _high = INTERVALS.get(_name, (-3, 3))
    call(_name, between(_low, _high, 4, 3), tolerance=4e-6)
    call(_name, between(_low, _high, 4, 3, dtype=np.float64), tolerance=1e-12,
         onnxruntime=DOUBLE if _name in SINGLE_ONLY else "")  # fmt: skip
    call(_name, SPECIAL, tolerance=4e-6)
for _name in ("abs", "negative", "positive", "sign", "square", "floor", "ceil", "trunc", "round",
              "isfinite", "isinf", "isnan", "signbit"):  # fmt: skip
    if _name not in ("sign", "signbit"):
        call(_name, N)
    call(_name, X)
    call(_name, D)
    call(_name, SPECIAL)
call("sign", N)
for _name in ("conj", "real", "imag"):
    call(_name, X)
call("logical_not", B)
call("logical_not", N)
for _array in (B, N, J, U):
    call("bitwise_invert", _array)
for _name in ("add", "subtract", "multiply", "maximum", "minimum"):
    call(_name, N, integers(-9, 9, 4, 3))
    call(_name, J, integers(-9, 9, 4, 1))  # int32 and int64
for _name in ("add", "subtract", "multiply", "divide", "maximum", "minimum", "equal", "not_equal",
              "less", "less_equal", "greater", "greater_equal"):  # fmt: skip
    call(_name, X, normal(4, 3))
    call(_name, X, normal(4, 1, dtype=np.float64))
    call(_name, X, normal(3), fixed=True)
    add(_name, Case(lambda xp, x, name=_name: find(xp, name)(x, 2.0), [X]))
    call(_name, SPECIAL, SPECIAL[::-1].copy())
for _name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"):
    call(_name, N, J)
for _name in ("logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or",
              "bitwise_xor"):  # fmt: skip
    call(_name, B, ~B)
for _name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
    call(_name, N, J)
    call(_name, U, U[::-1].copy())
    add(_name, Case(lambda xp, x, name=_name: find(xp, name)(x, 5), [J]))
for _name in ("bitwise_left_shift", "bitwise_right_shift"):
    call(_name, U, integers(0, 4, 4, 3, dtype=np.uint8))
    call(_name, J, integers(0, 4, 4, 3, dtype=np.int32), onnxruntime="BitShift is of unsigned")
for _name in ("floor_divide", "remainder"):
    call(_name, N, integers(1, 5, 4, 3))
    call(_name, X, between(0.5, 3, 4, 3))
    call(_name, -X, between(-3, -0.5, 4, 3))
    call(_name, D, between(0.5, 3, 4, 3, dtype=np.float64))
call("divide", N, integers(1, 5, 4, 3))
call("pow", between(0.1, 3, 4, 3), normal(4, 3), tolerance=1e-5)
call("pow", integers(-3, 3, 4, 3), integers(0, 4, 4, 3))
add("pow", Case(lambda xp, x: xp.pow(x, 2), [X]), Case(lambda xp, x: xp.pow(x, 2.0), [D]))
call("atan2", X, normal(4, 3))
call("atan2", SPECIAL, SPECIAL[::-1].copy())
for _name in ("hypot", "logaddexp"):
    call(_name, X, normal(4, 3))
    call(_name, SPECIAL, SPECIAL[::-1].copy())
    call(_name, SPECIAL, np.float32([INF, 1, INF, -0.0, 0, 2, -0.5, NAN]))
    call(_name, D, normal(4, 3, dtype=np.float64), tolerance=1e-12)
call("copysign", X, normal(4, 3))
call("copysign", np.abs(SPECIAL), np.float32([1, -1, 1, -0.0, 0.0, -1, INF, -INF]))
call("copysign", D, normal(4, 3, dtype=np.float64))
call("nextafter", SPECIAL, SPECIAL[::-1].copy(), tolerance=0)
for _dtype in ("float32", "float64"):
    _info = np.finfo(_dtype)
    _tiny, _least = float(_info.tiny), float(_info.smallest_subnormal)
    _edges = [0.0, _least, 2 * _least, _tiny - _least, _tiny, _tiny + _least, 2 * _tiny,
              _tiny * 2.0**_info.nmant, _tiny * 2.0 ** (_info.nmant + 2), 0.75, 1.0, 1 + 2.0**-20,
              1.5, 2.0, 3e9, float(_info.max), INF]  # fmt: skip
    _edges = np.array(_edges, _dtype)
    for _towards in (INF, 0.0, -INF):
        call("nextafter", np.r_[_edges, -_edges], np.full(34, _towards, _dtype), tolerance=0)
    call("nextafter", between(-9, 9, 50, dtype=_dtype), between(-9, 9, 50, dtype=_dtype),
         tolerance=0)  # fmt: skip
add("clip", Case(lambda xp, x: xp.clip(x, -1.0, 1.0), [X]),
    Case(lambda xp, x: xp.clip(x, max=2), [N]), Case(lambda xp, x: xp.clip(x, -1, 2), [J]),
    Case(lambda xp, x, y: xp.clip(x, y, y + 1), [X, normal(4, 3)]),
    Case(lambda xp, x: xp.clip(x), [X]))  # fmt: skip

# -- statistics, searching, sorting, sets ---------------------------------------------------------

for _name in ("sum", "prod", "max", "min", "mean", "var", "std", "any", "all", "count_nonzero"):
    for _array in (X, D, J, N) if _name not in ("any", "all") else (X, B, J):
        call(_name, _array)
        call(_name, _array, axis=0)
        call(_name, _array, axis=-1, keepdims=True)
    call(_name, M, axis=(0, 2))
call("any", np.float32([0, NAN]))
for _name in ("sum", "prod"):
    call(_name, J, dtype=np.float64)
    call(_name, U, axis=0, onnxruntime="no kernel for uint64")
    call(_name, B)
for _name in ("var", "std"):
    call(_name, X, correction=1)
    call(_name, D, axis=0, correction=1.0)
for _name in ("cumulative_sum", "cumulative_prod"):
    for _array in (X, J):
        call(_name, _array, axis=0)
        call(_name, _array, axis=1, include_initial=True)
    call(_name, V)
    call(_name, J, axis=1, dtype=np.float64)
for _name in ("argmax", "argmin"):
    for _array in (X, N):
        call(_name, _array)
        call(_name, _array, axis=1)
        call(_name, _array, axis=0, keepdims=True)
for _array in (X, D, N, J):
    add(
        "sort",
        Case(lambda xp, x: xp.sort(x), [_array]),
        Case(lambda xp, x: xp.sort(x, axis=0, stable=False), [_array]),
        Case(lambda xp, x: xp.sort(x, descending=True), [_array],
             wanted=lambda x: np.flip(np.sort(x), -1)),
    )  # fmt: skip
    add(
        "argsort",
        Case(lambda xp, x: xp.argsort(x, stable=True), [_array]),
        Case(lambda xp, x: xp.argsort(x, axis=0, descending=True), [_array],
             wanted=lambda x: np.argsort(-x, axis=0, stable=True)),
    )  # fmt: skip
for _array in (B, X, N):
    call("nonzero", _array)
call("nonzero", V)
call("nonzero", np.zeros((4, 2), bool))
call("nonzero", normal(4, 3, 2) > 1)
for _side in ("left", "right"):
    _sorted = np.float32([-3, -1, -1, 0, 2, 2, 5, NAN])
    call("searchsorted", _sorted, np.float32([-9, -1, 2, 3, 5, 9, NAN, INF]), side=_side)
    call("searchsorted", np.sort(N[:, 0]), J, side=_side)
    add("searchsorted", Case(
        lambda xp, x, y, side=_side: xp.searchsorted(x, y, side=side, sorter=xp.argsort(x)),
        [V, X], wanted=lambda x, y, side=_side: np.searchsorted(np.sort(x), y, side)))  # fmt: skip
add("where", Case(lambda xp, x: xp.where(x > 0, x, 0.0), [X]),
    Case(lambda xp, x, y: xp.where(x > 0, x, y), [X, D]),
    Case(lambda xp, b: xp.where(b, b, ~b), [B]))  # fmt: skip
REPEATED = np.int64([[3, 1, 3], [2, 1, 3], [7, 7, 7]])
for _name in ("unique_all", "unique_counts", "unique_inverse", "unique_values"):
    for _array in (REPEATED, X, np.float32([1, NAN, 1, NAN, 0, INF]), np.zeros(1, np.int32)):
        call(_name, _array, unordered=_name == "unique_values")
add("diff", Case(lambda xp, x: xp.diff(x), [X]), Case(lambda xp, x: xp.diff(x, axis=0, n=2), [N]),
    Case(lambda xp, x, y: xp.diff(x, axis=1, prepend=y, append=y), [X, normal(4, 1)]),
    Case(lambda xp, x: xp.diff(x, n=0), [X]), Case(lambda xp, x: xp.diff(x), [B]))  # fmt: skip

# -- creation -------------------------------------------------------------------------------------

add("asarray", Case(lambda xp, x: xp.asarray(x), [X]),
    Case(lambda xp, x: xp.asarray(x, dtype=xp.float64, copy=True), [X]),
    Case(lambda xp, x: x + xp.asarray([[1.0, 2.0, 3.0]], dtype=x.dtype), [X]),
    Case(lambda xp, x: xp.asarray([xp.sum(x), xp.max(x)]), [X]))  # fmt: skip
for _name in ("zeros", "ones", "empty"):
    if _name != "empty":
        add(_name, Case(lambda xp, x, name=_name: find(xp, name)(x.shape) + x, [X]),
            Case(lambda xp, x, name=_name: find(xp, name)((2, x.shape[0]), dtype=xp.int32), [X]),
            Case(lambda xp, x, name=_name: find(xp, name)(x.shape[0]), [X]))  # fmt: skip
        add(f"{_name}_like", Case(lambda xp, x, name=_name: find(xp, f"{name}_like")(x), [X]),
            Case(lambda xp, x, name=_name: find(xp, f"{name}_like")(x, dtype=xp.bool),
                 [X]))  # fmt: skip
    else:
        add(_name, Case(lambda xp, x: xp.empty(x.shape, dtype=xp.int8) * 0, [X]))
        add("empty_like", Case(lambda xp, x: xp.astype(xp.empty_like(x), xp.bool) & False, [X]))
add("full", Case(lambda xp, x: xp.full(x.shape, 2.5), [X]), Case(lambda xp, x: xp.full(
    (x.shape[0], 2), 3), [X]), Case(lambda xp, x: xp.full((2,), True, dtype=xp.uint8) + x[0, 0],
                                    [U]), Case(lambda xp, x: xp.full(3, xp.max(x)), [X]),
)  # fmt: skip
add("full_like", Case(lambda xp, x: xp.full_like(x, 7), [X]),
    Case(lambda xp, x: xp.full_like(x, 7, dtype=xp.float64), [J]),
    Case(lambda xp, x: xp.full_like(x, xp.sum(x)), [X]))  # fmt: skip
add("arange", Case(lambda xp, x: xp.arange(x.shape[0]), [X]),
    Case(lambda xp, x: xp.arange(x.shape[0], dtype=xp.float32) * x[:, 0], [X]),
    Case(lambda xp, x: xp.arange(1, x.shape[0] + 1), [X]),
    Case(lambda xp, x: xp.arange(0.0, 1.5, 0.5) + x, [D]))  # fmt: skip
add("linspace", Case(lambda xp, x: xp.linspace(0, 1, 3) + x, [D]),
    Case(lambda xp, x: xp.linspace(0.0, 2.0, x.shape[0], dtype=xp.float32), [X]),
    Case(lambda xp, x: xp.linspace(-1, 1, 3, endpoint=False) + x, [D]))  # fmt: skip
add("eye", Case(lambda xp, x: xp.eye(x.shape[0]), [X]), Case(lambda xp, x: xp.eye(
    2, 3, k=1, dtype=xp.float32) @ x.T, [X]), Case(lambda xp, x: xp.eye(
        x.shape[0], 3, k=-1, dtype=xp.int32), [X]))  # fmt: skip
add("tril", Case(lambda xp, x: xp.tril(x, k=-1), [M]), Case(lambda xp, x: xp.tril(x), [X]))
add("triu", Case(lambda xp, x: xp.triu(x, k=1), [M]), Case(lambda xp, x: xp.triu(x), [X]))
add("meshgrid", Case(lambda xp, x, y: xp.meshgrid(x, y), [V, normal(3)]),
    Case(lambda xp, x, y: xp.meshgrid(x, y, x, indexing="ij"), [V, normal(3)]),
    Case(lambda xp, x: xp.meshgrid(x), [V]))  # fmt: skip

# -- manipulation and indexing --------------------------------------------------------------------

add("broadcast_arrays", Case(lambda xp, x, y: tuple(xp.broadcast_arrays(x, y)),
                             [X, normal(4, 1, dtype=np.float64)]))  # fmt: skip
add("broadcast_to", Case(lambda xp, x: xp.broadcast_to(x, (2, *x.shape)), [X]))
add("concat", Case(lambda xp, x, y: xp.concat([x, y]), [X, D]),
    Case(lambda xp, x: xp.concat((x, x), axis=-1), [X]),
    Case(lambda xp, x, y: xp.concat([x, y], axis=None), [J, N]))  # fmt: skip
add("expand_dims", Case(lambda xp, x: xp.expand_dims(x, 0), [X]),
    Case(lambda xp, x: xp.expand_dims(x, axis=-1), [X]))  # fmt: skip
add("flip", Case(lambda xp, x: xp.flip(x), [X]), Case(lambda xp, x: xp.flip(x, axis=(0, 2)), [M]))
call("matrix_transpose", M)
add("moveaxis", Case(lambda xp, x: xp.moveaxis(x, 0, -1), [M]),
    Case(lambda xp, x: xp.moveaxis(x, (0, 1), (2, 0)), [M]))  # fmt: skip
add("permute_dims", Case(lambda xp, x: xp.permute_dims(x, (2, 0, 1)), [M]))
add("repeat", Case(lambda xp, x: xp.repeat(x, 2), [X]),
    Case(lambda xp, x: xp.repeat(x, 3, axis=1), [X]),
    Case(lambda xp, x: xp.repeat(x, np.array([2, 0, 1]), axis=1), [X]),
    Case(lambda xp, x, n: xp.repeat(x, n, axis=0), [X, np.int64([2, 0, 1, 3])]),
    Case(lambda xp, x, n: xp.repeat(x, n), [V, np.int32([2, 0, 1, 3, 0])]))  # fmt: skip
add("reshape", Case(lambda xp, x: xp.reshape(x, (-1,)), [X]),
    Case(lambda xp, x: xp.reshape(x, (x.shape[0], 1, -1), copy=True), [X]))  # fmt: skip
add("roll", Case(lambda xp, x: xp.roll(x, 1), [X]),
    Case(lambda xp, x: xp.roll(x, (1, -2), axis=(0, 1)), [X]),
    Case(lambda xp, x: xp.roll(x, -3, axis=0), [X]))  # fmt: skip
add("squeeze", Case(lambda xp, x: xp.squeeze(x, 1), [normal(4, 1, 3)]),
    Case(lambda xp, x: xp.squeeze(x, axis=(1, 2)), [normal(4, 1, 1)]))  # fmt: skip
add("stack", Case(lambda xp, x, y: xp.stack([x, y]), [X, D]),
    Case(lambda xp, x: xp.stack((x, x), axis=-1), [X]))  # fmt: skip
add("tile", Case(lambda xp, x: xp.tile(x, (2, 1, 3)), [X]), Case(lambda xp, x: xp.tile(x, (2,)),
                                                                [X]))  # fmt: skip
add("unstack", Case(lambda xp, x: xp.unstack(x, axis=1), [X]),
    Case(lambda xp, x: xp.unstack(x), [X], fixed=True))  # fmt: skip
add("take", Case(lambda xp, x, i: xp.take(x, i, axis=1), [X, np.int64([2, 0, -1, 0])]),
    Case(lambda xp, x, i: xp.take(x, i), [V, np.int32([2, 0])]))  # fmt: skip
add("take_along_axis", Case(lambda xp, x: xp.take_along_axis(x, xp.argsort(x, axis=0), axis=0),
                            [X]),
    Case(lambda xp, x, i: xp.take_along_axis(x, i), [X, integers(0, 3, 4, 2)]))  # fmt: skip

# -- dtypes and inspection ------------------------------------------------------------------------

add("astype", Case(lambda xp, x: xp.astype(x, xp.int32), [X]),
    Case(lambda xp, x: xp.astype(x, x.dtype, copy=False), [X]),
    Case(lambda xp, x: xp.astype(x, xp.bool), [N]))  # fmt: skip
add("can_cast", Case(lambda xp, x: x * xp.can_cast(x.dtype, xp.float64), [X]))
add("finfo", Case(lambda xp, x: x + xp.finfo(x.dtype).eps, [X]))
add("iinfo", Case(lambda xp, x: x % xp.iinfo(xp.int8).max, [N]))
add("isdtype", Case(lambda xp, x: x if xp.isdtype(x.dtype, "real floating") else -x, [X]),
    Case(lambda xp, x: x if xp.isdtype(x.dtype, ("bool", xp.float64)) else -x, [J]))  # fmt: skip
add("result_type", Case(lambda xp, x, y: xp.astype(x, xp.result_type(x, y)), [X, D]),
    Case(lambda xp, x: xp.astype(x, xp.result_type(x, xp.int64, 1)), [J]))  # fmt: skip
add("__array_namespace_info__", Case(lambda xp, x: xp.astype(
    x, xp.__array_namespace_info__().default_dtypes()["real floating"]), [X]))  # fmt: skip

# -- linear algebra -------------------------------------------------------------------------------

for _name in ("matmul", "linalg.matmul"):
    call(_name, M, normal(4, 3, 2))
    call(_name, X, normal(3, 5), fixed=True)
    call(_name, normal(3, 3), normal(3), fixed=True)
call("linalg.matrix_transpose", M)
for _name in ("tensordot", "linalg.tensordot"):
    call(_name, X, normal(3, 4, 2), axes=1, fixed=True)
    call(_name, M, normal(4, 3, 2), axes=((0, 1), (0, 1)), tolerance=1e-5)
for _name in ("vecdot", "linalg.vecdot"):
    call(_name, X, normal(4, 3))
    call(_name, X, normal(4, 3), axis=0)
call("linalg.outer", V, normal(3))
call("linalg.cross", X, normal(4, 3))
call("linalg.cross", normal(4, 3, 2), normal(4, 3, 2), axis=1)
call("linalg.cross", N, integers(-9, 9, 4, 3))
for _offset in (0, 1, -1, 9):
    call("linalg.diagonal", M, offset=_offset)
    call("linalg.diagonal", normal(5, 3), offset=_offset)
    call("linalg.diagonal", normal(2, 4), offset=_offset, fixed=True)
for _array in (M, N, D):
    call("linalg.trace", _array)
call("linalg.trace", J, offset=1, dtype=np.int32)
call("linalg.det", M, tolerance=1e-5)
call("linalg.det", normal(2, 2), fixed=True)
call("linalg.det", normal(2, 4, 4, dtype=np.float64), onnxruntime=DOUBLE)
for _order in ("fro", 1, -1, INF, -INF):
    call("linalg.matrix_norm", M, ord=_order)
    call("linalg.matrix_norm", D, ord=_order, keepdims=True)
for _power in (0, 1, 2, 3, 4, 5, 7):
    add("linalg.matrix_power", Case(lambda xp, x, n=_power: xp.linalg.matrix_power(x, n), [M],
                                    tolerance=1e-5))  # fmt: skip
for _order in (0, 1, 2, 3, 2.5, INF, -INF):
    call("linalg.vector_norm", X, axis=1, ord=_order)
    call("linalg.vector_norm", D, ord=_order, keepdims=True)

# -- Fourier transforms ---------------------------------------------------------------------------

for _name in ("fft.fftshift", "fft.ifftshift"):
    call(_name, X)
    call(_name, V)
    call(_name, M, axes=(0, 1))
    call(_name, M, axes=-1)
for _name in ("fft.fftfreq", "fft.rfftfreq"):
    add(_name, Case(lambda xp, x, name=_name: find(xp, name)(x.shape[0], d=0.5), [V]),
        Case(lambda xp, x, name=_name: find(xp, name)(x.shape[0]), [X]))  # fmt: skip
