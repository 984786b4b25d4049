"""Dtypes that ONNX has and NumPy lacks: names, kinds, constants, weights."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import graphctx as gx
from graphctx import ops
from graphctx.builder import Builder
from graphctx.errors import DTypeError
from graphctx.passes.simplify import holds
from graphctx.spec import (
    EXTENDED,
    _extended_dtype,
    as_dtype,
    bits_of,
    dtype_name,
    is_half,
    is_storage,
    kind_of,
    limits_of,
)


@pytest.mark.parametrize("name", EXTENDED)
def test_names_and_kinds(name: str) -> None:
    dtype = as_dtype(name)
    kind, bits, spelled = EXTENDED[name]
    assert dtype == np.dtype(getattr(ml_dtypes, spelled))
    assert as_dtype(dtype) == as_dtype(spelled) == as_dtype(dtype.type) == dtype
    assert dtype_name(dtype) == name
    assert str(gx.TensorSpec((2,), name)) == f"{name}[2]"
    assert kind_of(dtype) == kind
    assert kind_of(np.dtype("float32")) == "f"
    assert bits_of(dtype) == bits
    assert is_storage(dtype) == (name != "bfloat16")
    assert is_half(dtype) == (name == "bfloat16")
    low, high = limits_of(dtype)
    assert np.asarray(high).astype(dtype) == high
    assert low <= 0 < high or name == "float8_e8m0"


@pytest.mark.parametrize("name", ["float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz"])
def test_what_onnx_lacks_is_refused(name: str) -> None:
    with pytest.raises(DTypeError, match=f"dtype {name} is not supported"):
        as_dtype(getattr(ml_dtypes, name))


def test_without_ml_dtypes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    _extended_dtype.cache_clear()
    message = r"dtype bfloat16 needs the package ml_dtypes: pip install 'graphctx\[dtypes\]'"
    with pytest.raises(DTypeError, match=message):
        gx.TensorSpec((2,), "bfloat16")


def test_constants_of_equal_bits_and_other_dtypes_differ() -> None:
    builder = Builder()
    bits = np.arange(6, dtype=np.uint8)
    names = [name for name, (_, bits, _) in EXTENDED.items() if bits <= 8]
    made = {builder.constant(bits.view(as_dtype(name))) for name in names}
    assert len(made) == len(names)
    assert builder.constant(bits.view(as_dtype("int4"))) in made
    large = np.zeros(1000, np.uint8)
    assert len({builder.constant(large.view(as_dtype(name))) for name in names}) == len(names)


def test_text_of_constants() -> None:
    class Net(gx.Layer):
        def call(self, x: Any) -> Any:
            return ops.add(x, np.array([0.5, 1.25], as_dtype("bfloat16")))

    text = str(gx.trace(Net(), gx.TensorSpec((2,), "bfloat16")))
    assert "Add(x, [0.5, 1.25]:bfloat16)" in text


def test_a_cast_that_loses_nothing_is_no_cast() -> None:
    bfloat16, single, half = as_dtype("bfloat16"), np.dtype("float32"), np.dtype("float16")
    assert holds(single, bfloat16)
    assert holds(bfloat16, np.dtype("int8"))
    for wide, narrow in ((bfloat16, single), (half, bfloat16), (bfloat16, np.dtype("int16"))):
        assert not holds(wide, narrow)

    class Net(gx.Layer):
        def call(self, x: Any) -> Any:
            return ops.astype(ops.astype(x, "float32"), "bfloat16")

    program = gx.compile(gx.trace(Net(), gx.TensorSpec((2,), "bfloat16")))
    assert not [node for node in program.graph.nodes if node.kind == "op"]


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_weights_in_safetensors(name: str, tmp_path: Path) -> None:
    numbers = np.array([0.5, -1.5, 0, 96], as_dtype(name))

    class Net(gx.Layer):
        def __init__(self) -> None:
            self.scale = gx.Variable(np.zeros(4, as_dtype(name)))

        def call(self, x: Any) -> Any:
            return ops.multiply(x, ops.astype(self.scale, "float32"))

    one, other = Net(), Net()
    x = np.ones(4, np.float32)
    one(x), other(x)
    one.scale.assign(numbers)
    one.save_weights(tmp_path / "w.safetensors")
    other.load_weights(tmp_path / "w.safetensors")
    assert other.scale.dtype == as_dtype(name)
    np.testing.assert_array_equal(other(x), numbers.astype(np.float32))


def test_arrays_from_numpys_files_are_taken(tmp_path: Path) -> None:
    class Net(gx.Layer):
        def call(self, x: Any) -> Any:
            return ops.multiply(x, 2.0)

    x = np.array([1.5, -2], as_dtype("bfloat16"))
    np.savez(tmp_path / "x.npz", x=x)
    with np.load(tmp_path / "x.npz") as file:
        stored = file["x"]
    assert stored.dtype == "V2"
    program = gx.compile(gx.trace(Net(), gx.TensorSpec(("n",), "bfloat16")))
    np.testing.assert_array_equal(program(stored), x + x)
