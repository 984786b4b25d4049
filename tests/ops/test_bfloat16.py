"""bfloat16: every operator that ONNX gives it to, and the rules by which it meets other dtypes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest

import graphctx as gx
from graphctx import ops
from graphctx.errors import DTypeError
from graphctx.ops.table import TABLE
from graphctx.spec import is_extended, kind_of
from tests.ops.case import Case
from tests.ops.onnxruntime_node import spec_of
from tests.ops.test_table import CASES, IDS, quiet

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
F = np.float32


def takes_bfloat16(name: str) -> bool:
    """Whether ONNX's operator does, or ours that ONNX lacks."""
    if name.islower():
        return name not in ("random_bits", "random_uniform", "random_normal", "dropout")
    record = TABLE[name]
    schema = onnx.defs.get_schema(name, record.since, record.domain)
    if not record.domain:
        schema = onnx.defs.get_schema(name)
    return any("tensor(bfloat16)" in c.allowed_type_strs for c in schema.type_constraints)


def narrow(x: Any) -> Any:
    if isinstance(x, list):
        return list(map(narrow, x))
    return x.astype(BFLOAT16) if x is not None and x.dtype == F else x


def single(x: Any) -> Any:
    """Numbers of bfloat16 as float32, in sequences, too."""
    if isinstance(x, list):
        return list(map(single, x))
    return x.astype(F) if x is not None and x.dtype == BFLOAT16 else x


def widened(x: Any) -> Any:
    wide = x is not None and is_extended(x.dtype) and kind_of(x.dtype) == "f"
    return x.astype(F) if wide else x


def is_single(x: Any) -> bool:
    """Whether an operand is float32, or a sequence of that."""
    return all(map(is_single, x)) if isinstance(x, list) else x is not None and x.dtype == F


# What these make of bits in bfloat16 is not what they make of those in float32; and bodies are for
# operands of one dtype.
OTHERS = ("nextafter", "BitCast", "If", "Loop", "Scan")
# Scales and regions of interest stay float32 in ONNX.
CHOSEN = [
    (case, name)
    for case, name in zip(CASES, IDS, strict=True)
    if takes_bfloat16(case.op) and any(is_single(x) for x in case.operands)
    if case.attrs.get("dtype") is None and case.op not in OTHERS
]
bfloat16_cases = pytest.mark.parametrize(
    "case", [case for case, _ in CHOSEN], ids=[name for _, name in CHOSEN]
)


def operands_of(case: Case) -> list[Any]:
    kept = {"Resize": 1, "TopK": 1}.get(case.op, len(case.operands))
    return [narrow(x) if i < kept else x for i, x in enumerate(case.operands)]


def listed(result: Any) -> list[Any]:
    """The arrays that an operator made, those in sequences, too."""
    if isinstance(result, (tuple, list)):
        return [array for part in result for array in listed(part)]
    return [np.asarray(result)]


@pytest.mark.parametrize(
    "case",
    [case for case, _ in CHOSEN if not TABLE[case.op].any_dtype],
    ids=[name for case, name in CHOSEN if not TABLE[case.op].any_dtype],
)
def test_it_is_computed_in_float32_and_rounded_once(case: Case) -> None:
    record = TABLE[case.op]
    operands = operands_of(case)
    with quiet(case), np.errstate(all="ignore"):
        found = listed(record.kernel(*operands, **case.attrs))
        wanted = listed(record.function(*map(single, operands), **case.attrs))
    for y, exact in zip(found, wanted, strict=True):
        if y.dtype == BFLOAT16:
            exact = widened(exact).astype(BFLOAT16).astype(F)
            # Of two that are as near, NumPy's and ml_dtypes's own functions may choose another.
            tolerance = 2**-8 if record.ufunc is not None else 0
            np.testing.assert_allclose(y.astype(F), exact, rtol=tolerance, atol=0)
        else:
            np.testing.assert_array_equal(widened(y), widened(exact))


@bfloat16_cases
def test_a_program_equals_the_eager_call(case: Case) -> None:
    operands = operands_of(case)
    given = [i for i, x in enumerate(operands) if x is not None and i not in case.constant]

    class Net(gx.Layer):
        def call(self, *inputs: Any) -> Any:
            found = dict(zip(given, inputs, strict=True))
            every = [found.get(i, x) for i, x in enumerate(operands)]
            return TABLE[case.op](*every, **case.attrs)

    feeds = [operands[i] for i in given]
    graph = gx.trace(Net(), *map(spec_of, feeds))
    with np.errstate(all="ignore"):
        eager = listed(TABLE[case.op](*operands, **case.attrs))
        found = listed(gx.compile(graph)(*feeds))
    for y, expected in zip(found, eager, strict=True):
        assert y.dtype == expected.dtype
        np.testing.assert_array_equal(widened(y), widened(expected))


# -- what it meets --------------------------------------------------------------------------------

X = np.array([1.5, -2.25, 3.0], BFLOAT16)
SINGLE, HALF, INTEGERS = X.astype(F), X.astype(np.float16), np.array([1, 2, 3], np.int32)
PAIRS: list[tuple[str, Callable[[Any], Any], str]] = [
    ("float in a function", lambda x: ops.multiply(x, 0.5), "bfloat16"),
    ("float in a function, first", lambda x: ops.subtract(0.1, x), "bfloat16"),
    ("integer", lambda x: ops.add(x, 3), "bfloat16"),
    ("quotient", lambda x: ops.divide(x, 3.0), "bfloat16"),
    ("power", lambda x: ops.pow(ops.abs(x), 2.5), "bfloat16"),
    ("where", lambda x: ops.where(ops.less(x, 0.5), x, 0.1), "bfloat16"),
    ("clip", lambda x: ops.clip(x, -0.1, 1.7), "bfloat16"),
    ("clip at one end", lambda x: ops.clip(x, -0.1), "bfloat16"),
    ("maximum", lambda x: ops.maximum(x, 0.1), "bfloat16"),
    ("sum", lambda x: ops.sum(x), "bfloat16"),
    ("mean", lambda x: ops.mean(x), "bfloat16"),
    ("cumulative sum", lambda x: ops.cumulative_sum(x), "bfloat16"),
    ("matrix product", lambda x: ops.matmul(ops.reshape(x, (1, 3)), X), "bfloat16"),
    ("operator with a float", lambda x: x * 0.1, "float32"),
    ("operator with an integer", lambda x: 2 - x, "bfloat16"),
    ("power as an operator", lambda x: x**2, "bfloat16"),
    ("root as an operator", lambda x: ops.abs(x) ** 0.5, "float32"),
    ("float32", lambda x: ops.add(x, SINGLE), "float32"),
    ("float16", lambda x: ops.add(x, HALF), "float32"),
    ("float16 in where", lambda x: ops.where(x > 0, x, HALF), "float32"),
    ("int32", lambda x: ops.add(x, INTEGERS), "float64"),
    ("gelu", lambda x: ops.gelu(x), "bfloat16"),
    ("comparison", lambda x: x < 0.1, "bool"),
]


@pytest.mark.parametrize(("function", "dtype"), [p[1:] for p in PAIRS], ids=[p[0] for p in PAIRS])
def test_dtypes_it_meets(function: Callable[[Any], Any], dtype: str) -> None:
    class Net(gx.Layer):
        def call(self, x: Any) -> Any:
            return function(x)

    eager = np.asarray(function(X))
    assert str(eager.dtype) == dtype
    found = gx.compile(gx.trace(Net(), gx.TensorSpec((3,), "bfloat16")))(X)
    assert np.asarray(found).dtype == eager.dtype
    np.testing.assert_array_equal(found, eager)


def test_sums_are_not_rounded_at_every_step() -> None:
    ones = np.ones(1000, BFLOAT16)  # bfloat16 has no 257: NumPy's own sum stays at 256
    assert ops.sum(ones) == 1000
    assert ops.mean(ones) == 1
    assert TABLE["ReduceSum"](ones, keepdims=0) == 1000
    assert ops.matmul(ones, ones) == 1000


def test_what_only_stores_numbers_is_refused_in_arithmetic() -> None:
    class Net(gx.Layer):
        def call(self, x: Any) -> Any:
            return ops.exp(x)

    message = r"Exp.*to compute with, got float8_e5m2, which only stores numbers.*ops\.astype"
    with pytest.raises(DTypeError, match=message):
        gx.trace(Net(), gx.TensorSpec((3,), "float8_e5m2"))
    with pytest.raises(DTypeError, match="bfloat16 and string have no common dtype here"):
        ops.where(np.array(True), X, np.array(["a"], object))


def test_a_layer_computes_in_it(tmp_path: Any) -> None:
    class Net(gx.Layer):
        def build(self, shape: Any) -> None:
            self.kernel = self.add_weight((shape[-1], 4), dtype="bfloat16")

        def call(self, x: Any) -> Any:
            return ops.softmax(ops.relu(ops.matmul(x, self.kernel)))

    x = np.linspace(-2, 2, 12).reshape(4, 3).astype(BFLOAT16)
    model = Net()
    eager = model(x)
    assert eager.dtype == BFLOAT16
    found = gx.compile(gx.trace(model, gx.TensorSpec(("batch", 3), "bfloat16")))(x)
    np.testing.assert_array_equal(found, eager)
    model.save_weights(tmp_path / "weights.safetensors")
    other = Net()
    other(x)
    other.load_weights(tmp_path / "weights.safetensors")
    np.testing.assert_array_equal(other(x), eager)
