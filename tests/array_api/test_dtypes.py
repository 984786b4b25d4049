"""Every dtype of the standard: its promotion, and programs that compute what NumPy computes."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphctx import array_api
from graphctx.builder import Builder
from graphctx.errors import DTypeError
from graphctx.spec import TensorSpec
from graphctx.tensor import Recorder, Tensor
from tests.array_api.cases import find
from tests.array_api.standard import FUNCTIONS
from tests.ops.recording import run

SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
FLOATING = ("float32", "float64")
ALL = ("bool", *SIGNED, *UNSIGNED, *FLOATING)


def promotion() -> dict[tuple[str, str], str]:
    """The standard's tables: of one kind the wider; of a signed and an unsigned one a wider one."""
    found = {("bool", "bool"): "bool"}
    for kind in (SIGNED, UNSIGNED, FLOATING):
        for (i, a), (j, b) in itertools.product(enumerate(kind), repeat=2):
            found[a, b] = kind[max(i, j)]
    for (i, a), (j, b) in itertools.product(enumerate(SIGNED), enumerate(UNSIGNED[:3])):
        found[a, b] = found[b, a] = SIGNED[max(i, j + 1)]
    return found


PROMOTION = promotion()
SCALARS = {"bool": (True,), "signed": (True, 2), "floating": (True, 2, 2.5)}
TWICE = {"add": "__add__", "multiply": "__mul__", "bitwise_and": "__and__", "less": "__lt__"}


def symbolic(recorder: Recorder, dtype: str) -> Tensor:
    return Tensor(recorder.builder.input(TensorSpec(("n",), dtype), f"x_{dtype}"), recorder)


@pytest.mark.parametrize(("first", "second"), PROMOTION)
def test_promotion(first: str, second: str) -> None:
    recorder = Recorder(Builder())
    x, y = symbolic(recorder, first), symbolic(recorder, second)
    wanted = np.dtype(PROMOTION[first, second])
    assert array_api.result_type(x, y) == wanted
    assert array_api.concat([x, y]).dtype == wanted
    assert array_api.where(array_api.asarray([True]), x, y).dtype == wanted
    for name, operator in TWICE.items():
        if name == "bitwise_and" and first in FLOATING:
            continue
        result = np.dtype(bool) if name == "less" else wanted
        assert getattr(array_api, name)(x, y).dtype == result
        assert getattr(x, operator)(y).dtype == result


@pytest.mark.parametrize("dtype", ALL)
def test_scalars_take_the_dtype_of_the_array(dtype: str) -> None:
    kind = "bool" if dtype == "bool" else "floating" if dtype in FLOATING else "signed"
    for scalar in SCALARS[kind]:
        x = symbolic(Recorder(Builder()), dtype)
        wanted = np.dtype(dtype)
        assert (x * scalar).dtype == (scalar * x).dtype == wanted
        assert array_api.maximum(x, scalar).dtype == array_api.maximum(scalar, x).dtype == wanted
        assert array_api.result_type(x, scalar) == wanted


UNARY = [n for n, s in FUNCTIONS.items() if s == "(x, /)" and not n.startswith(("fft", "linalg"))]
BINARY = [n for n, s in FUNCTIONS.items() if s == "(x1, x2, /)" and not n.startswith("linalg")]
ALONG = (
    "all", "any", "argmax", "argmin", "argsort", "count_nonzero", "cumulative_prod",
    "cumulative_sum", "diff", "flip", "max", "mean", "min", "prod", "sort", "std", "sum", "var",
)  # fmt: skip
OTHERS: dict[str, Callable[..., Any]] = {
    "where": lambda xp, x, y: xp.where(x > y, x, y),
    "clip": lambda xp, x, y: xp.clip(x, 1, 3),
    "searchsorted": lambda xp, x, y: xp.searchsorted(xp.sort(x[0]), y),
    "mask": lambda xp, x, y: x[x > y],
    "repeat": lambda xp, x, y: xp.repeat(x, np.array([1, 0, 2]), axis=0),
    "trace": lambda xp, x, y: xp.linalg.trace(x),
    "cross": lambda xp, x, y: xp.linalg.cross(x, y),
    "matrix_power": lambda xp, x, y: xp.linalg.matrix_power(x, 3),
    "tril": lambda xp, x, y: xp.tril(x),
}


def operands(dtype: str) -> tuple[Any, Any]:
    random = np.random.default_rng(3)
    if dtype in FLOATING:
        return tuple(random.normal(size=(2, 3, 3)).astype(dtype) * 2)  # type: ignore[return-value]
    low = 0 if dtype == "bool" or dtype in UNSIGNED else -9
    x = random.integers(low, 2 if dtype == "bool" else 9, (3, 3)).astype(dtype)
    return x, random.integers(1, 2 if dtype == "bool" else 6, (3, 3)).astype(dtype)


def calls() -> dict[str, Callable[..., Any]]:
    found: dict[str, Callable[..., Any]] = dict(OTHERS)
    for name in UNARY:
        found[name] = lambda xp, x, y, name=name: find(xp, name)(x)
    for name in BINARY:
        found[name] = lambda xp, x, y, name=name: find(xp, name)(x, y)
    for name in ALONG:
        found[f"{name} of rows"] = lambda xp, x, y, name=name: find(xp, name)(x, axis=1)
    return found


CALLS = calls()
# The standard has no products or rounding of bools: NumPy makes bools and float16 of them.
BEYOND = {("matmul", "bool"), ("matrix_power", "bool"), ("round", "bool")}


@pytest.mark.parametrize("name", CALLS)
def test_programs_compute_what_numpy_computes(name: str) -> None:
    for dtype in ALL:
        x, y = operands(dtype)
        function = CALLS[name]
        with np.errstate(all="ignore"):
            try:
                wanted = function(np, x, y)
            except (TypeError, ValueError):
                wanted = None
            if wanted is None or (name, dtype) in BEYOND:
                with pytest.raises(DTypeError):
                    run(lambda *xs, function=function: function(array_api, *xs), x, y)
                continue
            found = run(lambda *xs, function=function: function(array_api, *xs), x, y)
        pairs = zip(found, wanted, strict=True) if isinstance(wanted, tuple) else [(found, wanted)]
        for a, b in pairs:
            b = np.sort(b) if name == "unique_values" else np.asarray(b)
            assert a.dtype == b.dtype, dtype
            np.testing.assert_array_equal(a, b, dtype)
