"""Sizes that only data decides, or that a file merely names."""

from typing import Any

import numpy as np
import onnxruntime
import pytest

import graphctx as gx
from graphctx import Layer, ops
from graphctx.builder import Builder
from graphctx.errors import ShapeError
from graphctx.graph import CallGraph, Contexts, Returns, Value
from graphctx.ops.table import TABLE
from graphctx.passes.check import check
from graphctx.spec import (
    Dim,
    TensorSpec,
    broadcast_dims,
    joined_shape,
    may_be_same,
    require_same_dim,
    same_dim,
)
from graphctx.tree import LEAF


def test_an_unknown_size_is_itself_only_and_may_be_any_other() -> None:
    a, b = Dim.unknown(), Dim.unknown()
    assert same_dim(a, a)
    assert not same_dim(a, b)
    assert may_be_same(a, b)
    assert may_be_same(a, 3)
    assert a.is_unknown
    assert (a * 2 + 1).is_unknown
    assert (Dim("n") // a).is_unknown
    assert not Dim("n").is_unknown


def test_sizes_of_files_have_any_name_and_may_be_equal() -> None:
    a, b = Dim.unproven("batch size"), Dim.unproven("b-2")
    assert str(a) == "batch size"
    assert same_dim(a, Dim.unproven("batch size"))
    assert may_be_same(a, b)
    assert not a.is_unknown
    assert not may_be_same(Dim("a"), Dim("b"))


def test_broadcasting_tells_what_is_certain() -> None:
    unknown, named = Dim.unknown(), Dim("n")
    assert broadcast_dims(unknown, 1) is unknown
    assert broadcast_dims(unknown, 5) == 5
    assert broadcast_dims(0, unknown) == 0
    both = broadcast_dims(unknown, named)  # the unknown size may be 1 or n, n may be 1
    assert isinstance(both, Dim)
    assert both.is_unknown
    assert not same_dim(both, unknown)
    assert broadcast_dims(named, Dim("m")) is None


def test_of_two_equal_sizes_the_known_one_is_kept() -> None:
    unknown, file, named = Dim.unknown(), Dim.unproven("f"), Dim("n")
    assert require_same_dim(unknown, 4, "") == 4
    assert require_same_dim(unknown, file, "") is file
    assert require_same_dim(file, named, "") is named


def test_joined_shapes() -> None:
    unknown = Dim.unknown()
    joined = joined_shape((unknown, 2), (3, 2))
    assert joined is not None
    assert isinstance(joined[0], Dim)
    assert joined[0].is_unknown
    assert joined[1] == 2
    assert joined_shape((2,), (3,)) is None
    assert joined_shape((2,), (2, 1)) is None


def graph_of(builder: Builder, inputs: list[Value], output: Value) -> CallGraph:
    returns = Returns(LEAF, (output,))
    return CallGraph("g", tuple(builder.nodes), tuple(inputs), returns, Contexts({}))


@pytest.mark.parametrize(
    ("op", "other", "wanted"),
    [
        ("Reshape", [3, -1], np.arange(6.0, dtype=np.float32).reshape(3, 2)),
        ("Expand", [4, 1, 1], np.broadcast_to(np.arange(6.0, dtype=np.float32), (4, 1, 6))),
    ],
)
def test_a_shape_that_is_data(op: str, other: list[int], wanted: Any, tmp_path: Any) -> None:
    builder = Builder()
    x = builder.input(TensorSpec(("n",), "float32"), "x")
    shape = builder.input(TensorSpec((len(other),), "int64"), "shape")
    (y,) = builder.op(TABLE[op], [x, shape], {})
    (z,) = builder.op(TABLE["Mul"], [y, y], {})
    assert all(isinstance(dim, Dim) and dim.is_unknown for dim in y.shape[:-1])
    graph = graph_of(builder, [x, shape], z)
    check(graph)
    program = gx.compile(graph)
    feed = {"x": np.arange(6.0, dtype=np.float32), "shape": np.asarray(other)}
    np.testing.assert_array_equal(program(**feed), wanted * wanted)
    gx.export(program, tmp_path / "m.onnx", verify=False)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    np.testing.assert_array_equal(session.run(None, feed)[0], wanted * wanted)


def test_a_slice_of_an_unknown_size_is_unknown_unless_it_is_all() -> None:
    builder = Builder()
    x = builder.input(TensorSpec((Dim.unknown(),), "float32"), "x")

    def sliced(start: int, stop: int, step: int = 1) -> Any:
        operands = [builder.constant(np.asarray([n])) for n in (start, stop, 0, step)]
        return builder.op(TABLE["Slice"], [x, *operands], {})[0].shape[0]

    large = np.iinfo(np.int64).max
    assert same_dim(sliced(0, large), x.shape[0])
    assert same_dim(sliced(-1, -large, -1), x.shape[0])
    for bounds in ((0, 5), (-1, large), (1, large), (0, large, 2)):
        found = sliced(*bounds)
        assert found.is_unknown
        assert not same_dim(found, x.shape[0])


class Found(Layer):
    """Uses a size that data decides as a number."""

    def call(self, x: Any, shape: Any) -> Any:
        y = TABLE["Reshape"](x, shape)
        return ops.reshape(y, (y.shape[1], y.shape[0])) / y.shape[1]


def test_unknown_sizes_are_numbers_in_a_trace() -> None:
    graph = gx.trace(
        Found(), gx.TensorSpec(("n",), "float32"), gx.TensorSpec((2,), "int64")
    )  # fmt: skip
    x, shape = np.arange(6.0, dtype=np.float32), np.asarray([2, 3])
    found = gx.compile(graph)(x, shape)
    np.testing.assert_array_equal(found, x.reshape(3, 2) / np.float32(3))
    np.testing.assert_array_equal(found, Found()(x, shape))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x[: ops.astype(ops.sum(x), "int64")] * 2,
        lambda x: ops.reshape(x, (ops.astype(ops.sum(x), "int64"), 2)) + 1,
        lambda x: ops.broadcast_to(x, (ops.astype(ops.sum(x), "int64"), x.shape[0])) - 1,
    ],
)
def test_sizes_computed_from_data(function: Any, tmp_path: Any) -> None:
    layer = gx.nn.Lambda(function)
    x = np.asarray([0.0, 1.0, 2.0, 0.0, 0.0, 0.0], np.float32)
    program = gx.compile(gx.trace(layer, gx.TensorSpec(("n",), "float32")))
    eager = layer(x)
    np.testing.assert_array_equal(program(x), eager)
    gx.export(program, tmp_path / "m.onnx", verify=False)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    np.testing.assert_array_equal(session.run(None, {session.get_inputs()[0].name: x})[0], eager)


def test_named_sizes_stay_strict() -> None:
    with pytest.raises(ShapeError, match="do not broadcast"):
        gx.trace(_add, gx.TensorSpec(("a",)), gx.TensorSpec(("b",)))


class _Add(Layer):
    def call(self, x: Any, y: Any) -> Any:
        return x + y


_add = _Add()
