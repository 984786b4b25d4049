"""Public shape functions equal NumPy's on arrays, and recorded, with static and symbolic sizes."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphctx.ops as ops
from graphctx.builder import Builder
from graphctx.context import Frame, current
from graphctx.errors import DTypeError, ShapeError, TraceError
from graphctx.executor.interpret import interpret
from graphctx.graph import CallGraph, Contexts, Returns
from graphctx.ops.table import TABLE
from graphctx.spec import Dim, TensorSpec, evaluate
from graphctx.tensor import Recorder, Tensor
from graphctx.tree import LEAF

quick = settings(max_examples=60, deadline=None)


class Recording:
    """A function recorded on inputs `x0, x1, ...`, to be run at several sizes."""

    def __init__(self, function: Callable[..., Any], *specs: TensorSpec) -> None:
        self.recorder = Recorder(Builder())
        inputs = [self.recorder.builder.input(s, f"x{i}") for i, s in enumerate(specs)]
        for value in inputs:
            for axis, dim in enumerate(value.shape):
                if isinstance(dim, Dim) and str(dim) not in self.recorder.symbols:
                    self.recorder.symbols[str(dim)] = (value, axis)
        with tracing(self.recorder):
            result = function(*(Tensor(value, self.recorder) for value in inputs))
        parts = result if isinstance(result, (list, tuple)) else [result]
        self.outputs = [self.recorder.tensor(part).value for part in parts]
        self.inputs = inputs
        self.graph = CallGraph(
            "test", tuple(self.recorder.builder.nodes), tuple(inputs),
            Returns(LEAF, tuple(self.outputs)), Contexts({}),
        )  # fmt: skip

    def __call__(self, *arrays: Any) -> list[Any]:
        known = interpret(self.graph, {f"x{i}": x for i, x in enumerate(arrays)})
        sizes = {
            name: arrays[self.inputs.index(value)].shape[axis]
            for name, (value, axis) in self.recorder.symbols.items()
        }
        results = []
        for value in self.outputs:
            array = known[value]
            assert array.shape == tuple(evaluate(dim, sizes) for dim in value.shape)
            assert array.dtype == value.dtype
            results.append(array)
        return results

    @property
    def names(self) -> list[str]:
        """The operators that were recorded."""
        return [node.name for node in self.graph.nodes if node.kind == "op"]


@contextlib.contextmanager
def tracing(recorder: Recorder) -> Iterator[None]:
    token = current.set(Frame(None, None, {}, recorder))
    try:
        yield
    finally:
        current.reset(token)


def spec(*shape: Any, dtype: Any = "float32") -> TensorSpec:
    return TensorSpec(shape, dtype)


def numbers(*shape: int, dtype: Any = np.float32) -> Any:
    return np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)


def check(function: Callable[..., Any], reference: Callable[..., Any], *arrays: Any) -> None:
    """Eager and recorded calls give what the reference gives, in dtype and shape too."""
    wanted = reference(*arrays)
    wanted = list(wanted) if isinstance(wanted, (list, tuple)) else [wanted]
    found = function(*arrays)
    found = list(found) if isinstance(found, (list, tuple)) else [found]
    recorded = Recording(function, *(TensorSpec(x.shape, x.dtype) for x in arrays))(*arrays)
    for results in (found, recorded):
        assert len(results) == len(wanted)
        for x, y in zip(results, wanted, strict=True):
            np.testing.assert_array_equal(np.asarray(x), y, strict=True)


# -- x[...] ---------------------------------------------------------------------------------------


@st.composite
def indexed(draw: Any) -> tuple[Any, Any]:
    """An array and an index into it, sometimes with one array of integers."""
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4))
    index = draw(hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))
    items = list(index) if isinstance(index, tuple) else [index]
    places = [i for i, item in enumerate(items) if item is not None and item is not Ellipsis]
    if places and draw(st.booleans()):
        place = draw(st.sampled_from(places))
        axis = sum(item is not None for item in items[:place])
        if Ellipsis in [item for item in items[:place] if item is Ellipsis]:
            used = sum(item is not None and item is not Ellipsis for item in items)
            axis += len(shape) - used - 1
        wanted = draw(hnp.array_shapes(min_dims=1, max_dims=2, max_side=3))
        if shape[axis]:
            ints = st.integers(-shape[axis], shape[axis] - 1)
            items[place] = draw(hnp.arrays(np.int64, wanted, elements=ints))
    return numbers(*shape), tuple(items)


@quick
@given(indexed())
def test_getitem_equals_numpy(case: tuple[Any, Any]) -> None:
    x, index = case
    check(lambda x: ops.getitem(x, index), lambda x: x[index], x)


small = st.one_of(st.none(), st.integers(-3, 3))
steps = st.sampled_from([None, 1, 2, 3, -1, -2])
item = st.one_of(st.builds(slice, small, small, steps), st.integers(-3, 3), st.just(None))


@quick
@given(st.lists(item, max_size=3))
def test_getitem_of_symbolic_sizes_equals_numpy(items: list[Any]) -> None:
    index = tuple(items)
    try:
        recording = Recording(lambda x: x[index], spec("n", "m", "k"))
    except ShapeError as error:
        if "one bound counts from the front" not in str(error):
            raise
        return
    for shape in ((6, 7, 8), (9, 6, 11)):
        x = numbers(*shape)
        np.testing.assert_array_equal(recording(x)[0], x[index], strict=True)


def test_getitem_records_little() -> None:
    assert Recording(lambda x: x[:], spec("n", 3)).names == []
    assert Recording(lambda x: x[..., :3], spec("n", 3)).names == []
    assert Recording(lambda x: x[:, 0], spec("n", 3)).names == ["Gather"]
    assert Recording(lambda x: x[:, 1:, ::-1], spec("n", 3, 3)).names == ["Slice"]
    assert Recording(lambda x: x[:, None], spec("n", 3)).names == ["Unsqueeze"]


def test_getitem_by_a_tensor() -> None:
    recording = Recording(lambda x, i: x[1:, i], spec("n", 5, 2), TensorSpec(("k", 2), "int32"))
    assert [str(dim) for dim in recording.outputs[0].shape] == ["n - 1", "k", "2", "2"]
    x, i = numbers(4, 5, 2), np.array([[0, -1], [3, 3], [1, 0]], np.int32)
    np.testing.assert_array_equal(recording(x, i)[0], x[1:, i])


def test_a_constant_is_indexed_by_a_tensor_or_a_size() -> None:
    table = numbers(9, 2)
    recording = Recording(lambda i: ops.getitem(table, i), TensorSpec(("k",), "int64"))
    i = np.array([3, 3, 0])
    np.testing.assert_array_equal(recording(i)[0], table[i])
    recording = Recording(lambda x: x + ops.getitem(table, slice(x.shape[0])), spec("n", 2))
    x = numbers(5, 2)
    np.testing.assert_array_equal(recording(x)[0], x + table[:5])


def test_slices_by_sizes() -> None:
    recording = Recording(lambda x: x[x.shape[0] // 2 :], spec("n"))
    for n in (1, 4, 7):
        np.testing.assert_array_equal(recording(numbers(n))[0], numbers(n)[n // 2 :])
    recording = Recording(lambda x: x[: -(x.shape[0] // 2) - 1], spec("n"))
    np.testing.assert_array_equal(recording(numbers(7))[0], numbers(7)[:-4])
    recording = Recording(lambda x, y: x[: y.shape[0]], spec(16), spec("n"))
    np.testing.assert_array_equal(recording(numbers(16), numbers(5))[0], numbers(5))


def test_indices_that_are_sizes_or_empty() -> None:
    recording = Recording(lambda x: x[x.shape[0] - 1], spec("n", 3))
    np.testing.assert_array_equal(recording(numbers(4, 3))[0], numbers(4, 3)[-1])
    recording = Recording(lambda x: x[:, [], None], spec("n", 3))
    assert recording(numbers(4, 3))[0].shape == (4, 0, 1)
    recording = Recording(lambda x: x[np.int64(1), np.array(2)], spec("n", 3))
    assert recording(numbers(4, 3))[0] == 5


def test_unpacking_a_tensor() -> None:
    def rows(x: Any) -> Any:
        a, b = x
        return a, b

    x = numbers(2, 3)
    a, b = Recording(rows, spec(2, "n"))(x)
    np.testing.assert_array_equal([a, b], x)


# -- reshape --------------------------------------------------------------------------------------


@st.composite
def reshaped(draw: Any) -> tuple[Any, Any]:
    factors = draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))

    def grouped() -> list[int]:
        order = draw(st.permutations(factors))
        cuts = sorted(draw(st.sets(st.integers(1, len(order) - 1)))) if len(order) > 1 else []
        bounds = [0, *cuts, len(order)]
        return [int(np.prod(order[a:b])) for a, b in itertools.pairwise(bounds)]

    shape = grouped()
    if draw(st.booleans()):
        shape[draw(st.integers(0, len(shape) - 1))] = -1
    return numbers(*grouped()), tuple(shape)


@quick
@given(reshaped())
def test_reshape_equals_numpy(case: tuple[Any, Any]) -> None:
    x, shape = case
    check(lambda x: ops.reshape(x, shape), lambda x: x.reshape(shape), x)


Shaper = Callable[[Any], Sequence[Any]]

RESHAPES: list[tuple[Shaper, tuple[Any, ...], list[int]]] = [
    (lambda x: (x.shape[0], 784), ("n", 28, 28), [-1, 784]),
    (lambda x: (-1, 784), ("n", 28, 28), [-1, 784]),
    (lambda x: (x.shape[0], -1), ("n", 28, 28), [0, -1]),
    (lambda x: (x.shape[0], x.shape[1], 2, 2), ("n", "m", 4), [0, 0, 2, 2]),
    (lambda x: (x.shape[0] * x.shape[1], 4), ("n", "m", 4), [-1, 4]),
    (lambda x: (x.shape[0] * 2, x.shape[1] // 2), ("n", 6), [-1, 3]),
    (lambda x: (*x.shape[:2], -1), ("n", "m", 2, 3), [0, 0, -1]),
    (lambda x: (x.shape[1], x.shape[0]), ("n", 3), [3, -1]),
    (lambda x: (2, -1, 3), ("n", 6), [2, -1, 3]),
    (lambda x: (x.shape[0], 3, 1), ("n", 3), [-1, 3, 1]),
]


@pytest.mark.parametrize(("shape", "given_shape", "constant"), RESHAPES)
def test_symbolic_reshape_has_a_constant_shape(
    shape: Shaper, given_shape: tuple[Any, ...], constant: list[int]
) -> None:
    recording = Recording(lambda x: ops.reshape(x, shape(x)), spec(*given_shape))
    assert recording.names == ["Reshape"]
    [node] = [node for node in recording.graph.nodes if node.kind == "op"]
    operand = node.operands[1]
    assert operand is not None
    assert operand.constant is not None
    assert operand.constant.tolist() == constant
    for n, m in ((2, 4), (6, 1)):
        x = numbers(*(({"n": n, "m": m}.get(d, d)) for d in given_shape))
        np.testing.assert_array_equal(recording(x)[0], x.reshape(shape(x)), strict=True)


def test_reshape_to_two_unknown_sizes_computes_the_shape() -> None:
    def swapped(x: Any) -> Any:
        return ops.reshape(x, (x.shape[1], x.shape[0], 2))

    recording = Recording(swapped, spec("n", "m", 2))
    assert [str(dim) for dim in recording.outputs[0].shape] == ["m", "n", "2"]
    for shape in ((3, 4, 2), (0, 4, 2), (1, 1, 2)):
        x = numbers(*shape)
        np.testing.assert_array_equal(recording(x)[0], swapped(x), strict=True)


def test_reshape_keeps_an_empty_batch() -> None:
    recording = Recording(lambda x: ops.reshape(x, (x.shape[0], -1)), spec("n", 2, 3))
    assert recording(numbers(0, 2, 3))[0].shape == (0, 6)
    recording = Recording(lambda x: ops.reshape(x, (0, 3)), spec(3, 0))
    assert recording(numbers(3, 0))[0].shape == (0, 3)


def test_shapes_computed_with_tensors_are_read_again() -> None:
    def halves(x: Any) -> Any:
        size = ops.shape(x)
        return ops.reshape(x, (size[0] * size[1] // 2 - size[0] + size[0], 2))

    recording = Recording(halves, spec("n", 4))
    assert [str(dim) for dim in recording.outputs[0].shape] == ["2*n", "2"]
    assert recording(numbers(3, 4))[0].shape == (6, 2)

    def joined(x: Any) -> Any:
        size = ops.shape(x)
        return ops.reshape(x, ops.concat([size[1:], size[:1]]))

    recording = Recording(joined, spec("n", 4))
    assert [str(dim) for dim in recording.outputs[0].shape] == ["4", "n"]

    def scalars(x: Any) -> Any:
        rows = ops.squeeze(ops.expand_dims(ops.astype(ops.shape(x)[0], "int64"), 0), 0)
        return ops.broadcast_to(ops.ones((1, 1)), (rows + 1, ops.shape(x)[-1]))

    recording = Recording(scalars, spec("n", 4))
    assert [str(dim) for dim in recording.outputs[0].shape] == ["n + 1", "4"]
    assert recording(numbers(3, 4))[0].shape == (4, 4)


# -- functions beside NumPy's ---------------------------------------------------------------------

A = numbers(3, 4)
B = numbers(2, 3, 4)
IDS = np.array([[0, 2], [1, -1]])
Pair = tuple[Callable[..., Any], Callable[..., Any]]

STATIC: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[Any, ...]]] = {
    "permute_dims": (ops.permute_dims, np.transpose, (B,)),
    "permute_dims axes": (lambda x: ops.permute_dims(x, (1, -1, 0)),
                          lambda x: x.transpose(1, 2, 0), (B,)),
    "matrix_transpose": (ops.matrix_transpose, np.matrix_transpose, (B,)),
    "swapaxes": (lambda x: ops.swapaxes(x, 0, -1), lambda x: np.swapaxes(x, 0, -1), (B,)),
    "moveaxis": (lambda x: ops.moveaxis(x, 0, -1), lambda x: np.moveaxis(x, 0, -1), (B,)),
    "moveaxis many": (lambda x: ops.moveaxis(x, (0, 1), (-1, 0)),
                      lambda x: np.moveaxis(x, (0, 1), (-1, 0)), (B,)),
    "concat": (lambda x, y: ops.concat([x, y], axis=1), lambda x, y: np.concatenate([x, y], 1),
               (A, A[:, :1])),
    "concat flat": (lambda x, y: ops.concat([x, y], axis=None),
                    lambda x, y: np.concatenate([x, y], None), (A, B)),
    "concat promotes": (lambda x, y: ops.concat([x, y]), lambda x, y: np.concatenate([x, y]),
                        (A, A.astype(np.int64))),
    "stack": (lambda x, y: ops.stack([x, y], axis=-1), lambda x, y: np.stack([x, y], -1), (A, A)),
    "split": (lambda x: ops.split(x, 2, axis=1), lambda x: np.split(x, 2, 1), (A,)),
    "split at": (lambda x: ops.split(x, [1, -2], axis=-1), lambda x: np.split(x, [1, -2], -1),
                 (B,)),
    "split past": (lambda x: ops.split(x, [1, 9]), lambda x: np.split(x, [1, 9]), (A,)),
    "split one": (lambda x: ops.split(x, 1), lambda x: np.split(x, 1), (A,)),
    "unstack": (lambda x: ops.unstack(x, 1), lambda x: np.unstack(x, axis=1), (A,)),
    "squeeze": (ops.squeeze, np.squeeze, (B[:, :1],)),
    "squeeze axis": (lambda x: ops.squeeze(x, -2), lambda x: np.squeeze(x, -2), (B[:1, :1],)),
    "expand_dims": (lambda x: ops.expand_dims(x, (0, -1)), lambda x: np.expand_dims(x, (0, -1)),
                    (A,)),
    "flatten": (ops.flatten, lambda x: x.reshape(len(x), -1), (B,)),
    "broadcast_to": (lambda x: ops.broadcast_to(x, (2, 3, 4)),
                     lambda x: np.broadcast_to(x, (2, 3, 4)), (A[:1],)),
    "tile": (lambda x: ops.tile(x, (2, 3)), lambda x: np.tile(x, (2, 3)), (A,)),
    "tile few": (lambda x: ops.tile(x, 2), lambda x: np.tile(x, 2), (B,)),
    "tile many": (lambda x: ops.tile(x, (2, 1, 3)), lambda x: np.tile(x, (2, 1, 3)), (A,)),
    "repeat": (lambda x: ops.repeat(x, 3, axis=-1), lambda x: np.repeat(x, 3, -1), (A,)),
    "repeat flat": (lambda x: ops.repeat(x, 2), lambda x: np.repeat(x, 2), (A,)),
    "flip": (ops.flip, np.flip, (B,)),
    "flip axis": (lambda x: ops.flip(x, -1), lambda x: np.flip(x, -1), (B,)),
    "flip axes": (lambda x: ops.flip(x, (0, 2)), lambda x: np.flip(x, (0, 2)), (B,)),
    "roll": (lambda x: ops.roll(x, 1, 0), lambda x: np.roll(x, 1, 0), (A,)),
    "roll far": (lambda x: ops.roll(x, -7, 1), lambda x: np.roll(x, -7, 1), (A,)),
    "roll flat": (lambda x: ops.roll(x, 5), lambda x: np.roll(x, 5), (A,)),
    "roll axes": (lambda x: ops.roll(x, (1, 2), (0, 1)), lambda x: np.roll(x, (1, 2), (0, 1)),
                  (A,)),
    "take": (lambda x: ops.take(x, IDS, axis=1), lambda x: np.take(x, IDS, 1), (A,)),
    "take flat": (lambda x: ops.take(x, IDS), lambda x: np.take(x, IDS), (A,)),
    "take one": (lambda x: ops.take(x, -1, axis=0), lambda x: np.take(x, -1, 0), (A,)),
    "take_along_axis": (lambda x, i: ops.take_along_axis(x, i, 1),
                        lambda x, i: np.take_along_axis(x, i, 1), (A, np.argsort(-A, 1))),
    "take_along_axis broadcast": (lambda x, i: ops.take_along_axis(x, i, 0),
                                  lambda x, i: np.take_along_axis(x, i, 0), (A, IDS[:, :1])),
    "tril": (lambda x: ops.tril(x, -1), lambda x: np.tril(x, -1), (B,)),
    "triu": (ops.triu, np.triu, (A,)),
    "pad": (lambda x: ops.pad(x, 1), lambda x: np.pad(x, 1), (A,)),
    "pad value": (lambda x: ops.pad(x, ((1, 0), (0, 2)), value=7.5),
                  lambda x: np.pad(x, ((1, 0), (0, 2)), constant_values=7.5), (A,)),
    "pad edge": (lambda x: ops.pad(x, (1, 2), "edge"), lambda x: np.pad(x, (1, 2), "edge"), (A,)),
    "pad reflect": (lambda x: ops.pad(x, (2, 1), "reflect"),
                    lambda x: np.pad(x, (2, 1), "reflect"), (A,)),
    "pad wrap": (lambda x: ops.pad(x, (5, 6), "wrap"), lambda x: np.pad(x, (5, 6), "wrap"), (A,)),
    "one_hot": (lambda i: ops.one_hot(i, 3), lambda i: np.eye(3, dtype=np.float32)[i], (IDS,)),
    "one_hot axis": (lambda i: ops.one_hot(i, 3, axis=0, dtype="int64"),
                     lambda i: np.moveaxis(np.eye(3, dtype=np.int64)[i], -1, 0), (IDS,)),
    "gather_nd": (lambda x: ops.gather_nd(x, IDS), lambda x: x[IDS[:, 0], IDS[:, 1]], (A,)),
}  # fmt: skip


@pytest.mark.parametrize("name", STATIC)
def test_function_equals_numpy(name: str) -> None:
    function, reference, arrays = STATIC[name]
    check(function, reference, *arrays)


SYMBOLIC: dict[str, tuple[Callable[[Any], Any], tuple[Any, ...]]] = {
    "permute_dims": (lambda x: ops.permute_dims(x, (1, 2, 0)), ("n", "m", 2)),
    "concat": (lambda x: ops.concat([x, x[1:], x]), ("n", 2)),
    "stack": (lambda x: ops.stack([x, x], axis=1), ("n", "m")),
    "split": (lambda x: ops.split(ops.concat([x, x, x]), 3), ("n", 2)),
    "split at": (lambda x: ops.split(x, [1, -1], axis=0), ("n", 2)),
    "split at size": (lambda x: ops.split(x, [x.shape[0] // 2]), ("n", 2)),
    "unstack": (lambda x: ops.unstack(x, 1), ("n", 2)),
    "flatten": (ops.flatten, ("n", "m", 2)),
    "broadcast_to": (lambda x: ops.broadcast_to(x, (3, *x.shape)), ("n", "m")),
    "broadcast_to size": (lambda x: ops.broadcast_to(x[:, :1], x.shape), ("n", "m")),
    "tile": (lambda x: ops.tile(x, (2, 3)), ("n", "m")),
    "tile by size": (lambda x: ops.tile(x, (x.shape[1], 1)), ("n", "m")),
    "repeat": (lambda x: ops.repeat(x, 3, axis=0), ("n", "m")),
    "repeat by size": (lambda x: ops.repeat(x, x.shape[0], axis=1), ("n", "m")),
    "repeat flat": (lambda x: ops.repeat(x, 2), ("n", "m")),
    "flip": (ops.flip, ("n", 3)),
    "roll": (lambda x: ops.roll(x, 1, 0), ("n", 3)),
    "roll far": (lambda x: ops.roll(x, 5, 0), ("n", 3)),
    "roll back": (lambda x: ops.roll(x, -3, 0), ("n", 3)),
    "roll flat": (lambda x: ops.roll(x, 2), ("n", 3)),
    "take": (lambda x: ops.take(x, IDS[:, 0] % 2, axis=0), ("n", 3)),
    "take flat": (lambda x: ops.take(x, [0, -1]), ("n", 3)),
    "take_along_axis": (lambda x: ops.take_along_axis(x, ops.astype(x[:, :1] * 0, "int64"), 1),
                        ("n", 3)),
    "tril": (ops.tril, ("n", "m")),
    "pad": (lambda x: ops.pad(x, ((0, 1), (2, 0)), value=1.0), ("n", "m")),
    "pad by size": (lambda x: ops.pad(x, ((0, x.shape[0]), (0, 0))), ("n", "m")),
    "pad reflect": (lambda x: ops.pad(x, ((1, 1), (0, 0)), "reflect"), ("n", "m")),
    "pad wrap": (lambda x: ops.pad(x, ((3, 2), (0, 0)), "wrap"), ("n", "m")),
    "one_hot": (lambda x: ops.one_hot(ops.astype(x, "int64"), 4), ("n",)),
    "one_hot by size": (lambda x: ops.one_hot(ops.astype(x, "int64"), x.shape[0]), ("n",)),
    "zeros": (lambda x: ops.concat([x, ops.zeros((x.shape[0], 2))], axis=1), ("n", "m")),
    "ones": (lambda x: x + ops.ones(x.shape), ("n", "m")),
    "full of a tensor": (lambda x: ops.full((x.shape[0], 2), x[0, 0]), ("n", "m")),
    "arange": (lambda x: x + ops.arange(x.shape[0], dtype="float32"), ("n",)),
    "arange from": (lambda x: ops.arange(2, x.shape[0] + 2, 2), ("n",)),
    "arange back": (lambda x: ops.arange(x.shape[0] - 1, -1, -1), ("n",)),
    "eye": (lambda x: x @ ops.eye(x.shape[1]), ("n", "m")),
    "eye k": (lambda x: ops.eye(x.shape[0], 3, k=1, dtype="int32"), ("n",)),
    "linspace": (lambda x: ops.linspace(0.0, 1.0, x.shape[0]), ("n",)),
    "linspace open": (lambda x: ops.linspace(0.0, 2.0, x.shape[0], endpoint=False), ("n",)),
    "size": (ops.size, ("n", "m")),
    "swap blocks": (lambda x: ops.swapaxes(ops.reshape(x, (-1, 2, x.shape[1])), 0, 1), (6, "m")),
}  # fmt: skip


@pytest.mark.parametrize("name", SYMBOLIC)
def test_recorded_once_it_computes_at_every_size(name: str) -> None:
    function, shape = SYMBOLIC[name]
    recording = Recording(function, spec(*shape))
    for n, m in ((4, 3), (2, 5), (7, 1)):
        x = numbers(*({"n": n, "m": m}.get(dim, dim) for dim in shape))
        wanted = function(x)
        wanted = list(wanted) if isinstance(wanted, (list, tuple)) else [wanted]
        found = recording(x)
        assert len(found) == len(wanted)
        for y, expected in zip(found, wanted, strict=True):
            assert y.dtype == np.asarray(expected).dtype
            np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-7)


def test_creation_with_numbers_is_numpy() -> None:
    np.testing.assert_array_equal(ops.arange(5), np.arange(5), strict=True)
    np.testing.assert_array_equal(ops.arange(1, 2, 0.25), np.arange(1, 2, 0.25, np.float32))
    assert ops.arange(1, 2, 0.25).dtype == np.float32
    assert ops.zeros(3).dtype == ops.ones((2, 2)).dtype == ops.eye(2).dtype == np.float32
    assert ops.linspace(0, 1, 5).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert ops.full((2,), 3).dtype == np.int64
    assert ops.full((2,), 3.0).dtype == np.float32
    assert ops.full((), True).dtype == bool
    assert ops.zeros((2, 0), "int32").shape == (2, 0)


def test_eager_results_of_views_share_memory() -> None:
    x = numbers(4, 3)
    for view in (ops.reshape(x, -1), ops.permute_dims(x), ops.getitem(x, slice(1, 3)),
                 ops.flip(x), ops.expand_dims(x, 0), ops.split(x, 2)[1]):  # fmt: skip
        assert np.shares_memory(view, x)


# -- what is refused ------------------------------------------------------------------------------

N = spec("n", 4)
MASK = np.array([True, False])

REFUSED: dict[str, tuple[type[Exception], str, Callable[[Any], Any], TensorSpec]] = {
    "mask": (TraceError, r"boolean mask.*ops\.where", lambda x: x[x > 0], N),
    "constant mask": (TraceError, "boolean mask", lambda x: x[MASK], spec(2, 4)),
    "two tensors": (TraceError, r"several tensors.*ops\.gather_nd",
                    lambda x: x[np.array([0]), np.array([1])], spec(2, 4)),
    "float index": (DTypeError, "an index is an integer, got float", lambda x: x[1.5], N),
    "out of range": (ShapeError, "index 4 is out of range for axis 1 of", lambda x: x[0, 4], N),
    "take out of range": (ShapeError, "index -9 is out of range for axis 1 of size 4",
                          lambda x: ops.take(x, [0, -9], axis=1), N),
    "too many": (ShapeError, "3 indices are too many", lambda x: x[0, 0, 0], N),
    "zero step": (ShapeError, "step of a slice is not 0", lambda x: x[::0], N),
    "mixed bounds": (ShapeError, "the slice -3:2:1 takes of the symbolic size n cannot be inferred",
                     lambda x: x[-3:2], N),
    "reshape": (ShapeError, r"\[3, 4\] \(12 elements\) does not fit the shape \[5, 2\]",
                lambda x: ops.reshape(x, (5, 2)), spec(3, 4)),
    "reshape -1": (ShapeError, r"does not fit the shape \[-1, 5\]",
                   lambda x: ops.reshape(x, (-1, 5)), spec(3, 4)),
    "reshape two -1": (ShapeError, "one -1", lambda x: ops.reshape(x, (-1, -1)), spec(3, 4)),
    "reshape unproven": (ShapeError, "cannot be proven to fit.*write -1",
                         lambda x: ops.reshape(x, (3, 4)), N),
    "squeeze": (ShapeError, "axis 0 of size n is not 1", lambda x: ops.squeeze(x, 0), N),
    "axis": (ShapeError, "axis 2 is out of range for 2 dimensions",
             lambda x: ops.squeeze(x, 2), N),
    "axes": (ShapeError, r"name an axis twice", lambda x: ops.permute_dims(x, (0, 0)), N),
    "concat": (ShapeError, "sizes of axis 1 differ: 4 against 3",
               lambda x: ops.concat([x, x[:, :3]]), N),
    "concat unproven": (ShapeError, "sizes of axis 0 differ: n against n - 1; give both",
                        lambda x: ops.concat([x, x[1:]], axis=1), N),
    "concat rank": (ShapeError, "needs 2 dimensions", lambda x: ops.concat([x, x[0]]), N),
    "split": (ShapeError, "axis 1 of size 4 cannot be split into 3 equal parts",
              lambda x: ops.split(x, 3, axis=1), N),
    "split unproven": (ShapeError, "axis 0 of size n cannot be split into 2 equal parts",
                       lambda x: ops.split(x, 2), N),
    "unstack": (ShapeError, "unstack needs a known number of slices", ops.unstack, N),
    "broadcast": (ShapeError, r"\[n, 4\] cannot be broadcast to \[3, 4\]",
                  lambda x: ops.broadcast_to(x, (3, 4)), N),
    "pads": (ShapeError, r"a pair for each of 2 axes", lambda x: ops.pad(x, (1, 2, 3)), N),
    "pad mode": (ShapeError, "mode is constant, edge", lambda x: ops.pad(x, 1, "mirror"), N),
    "tril": (ShapeError, "needs a matrix", lambda x: ops.tril(x[0]), N),
    "gather_nd": (ShapeError, "index tuples of length 3", lambda x: ops.gather_nd(x, [[0, 0, 0]]),
                  N),
    "no axis": (ShapeError, "axis 3 is out of range", lambda x: ops.flatten(x, axis=3), N),
    "not all axes": (ShapeError, "do not order the 2 axes", lambda x: ops.permute_dims(x, (0,)), N),
    "no matrix": (ShapeError, "matrix_transpose needs 2 dimensions",
                  lambda x: ops.matrix_transpose(x[0]), N),
    "moves": (ShapeError, "as many destinations as sources",
              lambda x: ops.moveaxis(x, (0, 1), 0), N),
    "joined scalars": (ShapeError, "scalars have no axis.*stack them",
                       lambda x: ops.concat([x[0, 0], x[0, 1]]), N),
    "too many indices' axes": (ShapeError, "the indices need 2 dimensions, got 1",
                               lambda x: ops.take_along_axis(x, np.array([0]), 0), N),
    "large indices": (ShapeError, r"the indices \[5, 1\] are larger than \[3, 4\] along axis 0",
                      lambda x: TABLE["GatherElements"](x, np.zeros((5, 1), np.int64), axis=1),
                      spec(3, 4)),
    "updates": (ShapeError, "updates and indices need one shape",
                lambda x: ops.scatter_elements(x, np.array([[0]]), x), spec(3, 4)),
    "update shape": (ShapeError, r"updates need the shape \[2, 4\]",
                     lambda x: ops.scatter_nd(x, np.array([[0], [1]]), x), spec(3, 4)),
    "update dtype": (DTypeError, "need the dtype of the data, float32",
                     lambda x: ops.scatter_nd(x, np.array([[0]]), ops.astype(x[:1], "int64")),
                     spec(3, 4)),
    "reduction": (ShapeError, "reduction is none, add, mul, max, min; got 'avg'",
                  lambda x: ops.scatter_nd(x, np.array([[0]]), x[:1], reduction="avg"), spec(3, 4)),
    "roll": (ShapeError, "one shift an axis", lambda x: ops.roll(x, (1, 2), 0), N),
    "pad away": (ShapeError, "pads take more of axis 1 than its size 4",
                 lambda x: ops.pad(x, ((0, 0), (-2, -3))), N),
    "unknown depth": (ShapeError, "the depth must be known while tracing",
                      lambda x: ops.one_hot(np.array([1]), ops.astype(ops.sum(x), "int64")), N),
    "blocks": (ShapeError, r"the width \(3\) must be a multiple of 2",
               lambda x: ops.space_to_depth(x, blocksize=2), spec("n", 1, 2, 3)),
    "depth blocks": (ShapeError, r"the number of channels \(3\) must be a multiple of 4",
                     lambda x: ops.depth_to_space(x, blocksize=2), spec("n", 3, 2, 2)),
    "range by data": (ShapeError, "limit of a range must be known while tracing",
                      lambda x: ops.arange(0, ops.astype(ops.sum(x), "int64")), N),
    "range step": (ShapeError, "the step of a range is not 0",
                   lambda x: TABLE["Range"](ops.shape(x)[1], 5, 0), N),
    "range by size": (ShapeError, "needs an int as its step",
                      lambda x: ops.arange(0, 9, x.shape[0]), N),
    "repeats": (ShapeError, "one number of repeats", lambda x: ops.repeat(x, [1, 2], axis=0), N),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_while_recording(name: str) -> None:
    error, message, function, given_spec = REFUSED[name]
    with pytest.raises(error, match=message):
        Recording(function, given_spec)


def test_eager_errors_say_the_same() -> None:
    x = numbers(3, 4)
    with pytest.raises(ShapeError, match=r"Reshape\(.*\): \[3, 4\] \(12 elements\) does not fit"):
        ops.reshape(x, (5, 2))
    with pytest.raises(ShapeError, match="sizes of axis 1 differ: 4 against 3"):
        ops.concat([x, x[:, :3]])
    with pytest.raises(ShapeError, match="axis 0 of size 3 is not 1"):
        ops.squeeze(x, 0)
    with pytest.raises(ShapeError, match="index 9 is out of range for axis 1 of size 4"):
        ops.take(x, [9], axis=1)


def test_a_size_outside_of_its_trace_is_refused() -> None:
    with pytest.raises(TraceError, match="symbolic size n is used outside of a trace"):
        ops.zeros((Dim("n"), 2))


CONV: list[tuple[str, Callable[..., Any]]] = [
    (r"channels of the input \(3\) must be channels of the kernel \(4\) times group \(1\)",
     lambda x: ops.conv(x, numbers(2, 4, 3, 3))),
    (r"output channels \(4\) must be a multiple of group \(3\)",
     lambda x: ops.conv(x, numbers(4, 1, 3, 3), group=3)),
    (r"the kernel spans 9 of axis 2, more than its padded size 8",
     lambda x: ops.conv(x, numbers(2, 3, 9, 9))),
    (r"the kernel needs 4 dimensions as the input has",
     lambda x: ops.conv(x, numbers(2, 3, 3))),
    (r"the bias has one number an output channel: 3 against 2",
     lambda x: ops.conv(x, numbers(2, 3, 3, 3), numbers(3))),
    (r"needs strides for 2 axes of space, got \[1, 2, 3\]",
     lambda x: ops.conv(x, numbers(2, 3, 3, 3), strides=(1, 2, 3))),
    (r"pads are 4 numbers >= 0", lambda x: ops.conv(x, numbers(2, 3, 3, 3), pads=(1, 2, 3))),
    (r"auto_pad is NOTSET, SAME_UPPER",
     lambda x: ops.conv(x, numbers(2, 3, 3, 3), auto_pad="same")),
    (r"channels of the input \(3\) must be the first size of the kernel \(4\)",
     lambda x: ops.conv_transpose(x, numbers(4, 2, 3, 3))),
    (r"the kernel spans 10 of axis 3, more than its padded size 8",
     lambda x: ops.max_pool(x, (2, 10))),
    (r"channels \(3\) must be a multiple of num_groups \(2\)",
     lambda x: ops.group_norm(x, numbers(3), numbers(3), 2)),
    (r"scale has one number a channel: 8 against 3",
     lambda x: ops.batch_norm(x, numbers(8), numbers(3), numbers(3), numbers(3))),
    (r"Scale \[3\] does not broadcast to \[2, 3, 8, 8\]",
     lambda x: ops.layer_norm(x, numbers(3))),
    (r"Scale \[4, 2, 3, 8, 8\] does not broadcast",
     lambda x: ops.layer_norm(x, numbers(4, 2, 3, 8, 8))),
    ("strides are at least 1", lambda x: ops.max_pool(x, 2, strides=0)),
    ("group is at least 1", lambda x: ops.conv(x, numbers(2, 3, 3, 3), group=0)),
    ("the bias is a vector", lambda x: ops.conv(x, numbers(2, 3, 3, 3), numbers(2, 1))),
    (r"kernel_shape \[2, 2\] is not that of \[3, 3\]",
     lambda x: TABLE["Conv"](x, numbers(2, 3, 3, 3), kernel_shape=(2, 2))),
    (r"channels of the input \(3\) must be a multiple of group \(2\)",
     lambda x: ops.conv_transpose(x, numbers(3, 2, 3, 3), group=2)),
    ("needs output_padding for 2 axes of space",
     lambda x: ops.conv_transpose(x, numbers(3, 2, 3, 3), output_padding=(1, 1, 1))),
    ("pads leave nothing of axis 2",
     lambda x: ops.conv_transpose(x, numbers(3, 2, 3, 3), pads=(5, 0, 5, 0))),
    (r"an image is \[N, C, D1, ...\]", lambda x: ops.max_pool(x[:, :, 0, 0], ())),
    ("scale is a vector",
     lambda x: ops.instance_norm(x, numbers(3, 1), numbers(3))),
    (r"needs \[N, C, ...\], got \[2\]",
     lambda x: ops.instance_norm(x[:, 0, 0, 0], numbers(3), numbers(3))),
]  # fmt: skip


@pytest.mark.parametrize(("message", "function"), CONV)
def test_images_that_do_not_fit(message: str, function: Callable[..., Any]) -> None:
    with pytest.raises(ShapeError, match=message):
        function(numbers(2, 3, 8, 8))
    with pytest.raises(ShapeError, match=message):
        Recording(function, spec(2, 3, 8, 8))


def test_convolution_of_a_symbolic_batch() -> None:
    w, b = numbers(5, 3, 3, 3) / 100, numbers(5)

    def model(x: Any) -> Any:
        y = ops.max_pool(ops.conv(x, w, b, pads=1), 2)
        return ops.flatten(ops.conv_transpose(y, numbers(5, 2, 2, 2), strides=2))

    recording = Recording(model, spec("n", 3, "h", 8))
    assert [str(dim) for dim in recording.outputs[0].shape] == ["n", "32*floor(h/2)"]
    for n, h in ((1, 6), (3, 9)):
        x = numbers(n, 3, h, 8) / 50
        np.testing.assert_allclose(recording(x)[0], model(x), rtol=1e-6)


def test_public_functions_write_attributes_out() -> None:
    x = spec("n", 2, 6, 6)

    def attrs(function: Callable[[Any], Any]) -> Any:
        return Recording(function, x).outputs[0].node.attrs

    w = numbers(2, 2, 3, 3)
    assert attrs(lambda x: ops.conv(x, w)) == {}
    assert attrs(lambda x: ops.conv(x, w, strides=1, pads=0, dilations=(1, 1))) == {}
    assert attrs(lambda x: ops.conv(x, w, strides=2, pads=(1, 0))) == {
        "strides": (2, 2), "pads": (1, 0, 1, 0),
    }  # fmt: skip
    assert attrs(lambda x: ops.conv(x, w, auto_pad="same_upper")) == {"auto_pad": "SAME_UPPER"}
    assert attrs(lambda x: ops.conv_transpose(x, w, strides=2, output_padding=1)) == {
        "strides": (2, 2), "output_padding": (1, 1),
    }  # fmt: skip
    assert attrs(lambda x: ops.conv_transpose(x, w, strides=2, output_shape=(12, 13))) == {
        "strides": (2, 2), "output_shape": (12, 13),
    }  # fmt: skip
    assert attrs(lambda x: ops.max_pool(x, 2)) == {"kernel_shape": (2, 2), "strides": (2, 2)}
    assert attrs(lambda x: ops.average_pool(x, 2, strides=1, count_include_pad=True)) == {
        "kernel_shape": (2, 2), "count_include_pad": 1,
    }  # fmt: skip
    assert attrs(lambda x: ops.rms_norm(x, numbers(6), epsilon=1e-3)) == {"epsilon": 1e-3}
    assert attrs(lambda x: ops.layer_norm(x, numbers(6, 6), axis=-2)) == {"axis": -2}


def test_normalization_follows_its_formula() -> None:
    x = np.random.default_rng(3).standard_normal((4, 6, 5)).astype(np.float32)
    scale, bias = numbers(6) / 3, numbers(6) - 2
    mean, variance = x.mean((0, 2)), x.var((0, 2))
    column = (slice(None), None)
    y, new_mean, new_variance = ops.batch_norm(
        x, scale, bias, numbers(6), numbers(6), training=True, momentum=0.75
    )
    wanted = (x - mean[column]) / np.sqrt(variance + 1e-5)[column] * scale[column] + bias[column]
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(new_mean, 0.75 * numbers(6) + 0.25 * mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(new_variance, 0.75 * numbers(6) + 0.25 * variance, rtol=1e-5)
    np.testing.assert_allclose(
        ops.batch_norm(x, scale, bias, mean, variance), wanted, rtol=1e-4, atol=1e-5
    )
    one = ops.group_norm(x, scale, bias, 6)
    np.testing.assert_allclose(ops.instance_norm(x, scale, bias), one, rtol=1e-5, atol=1e-6)
    rms = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * numbers(5)
    np.testing.assert_allclose(ops.rms_norm(x, numbers(5)), rms, rtol=1e-5)


def test_multiply_adds() -> None:
    recording = Recording(lambda x: ops.conv(x, numbers(6, 2, 3, 3), group=2), spec("n", 4, 8, 8))
    node = recording.outputs[0].node
    assert node.op is not None
    assert node.op.multiply_adds is not None
    assert str(node.op.multiply_adds(node)) == "3888*n"  # 6 * 6 * 6 outputs of 2 * 3 * 3 each
    recording = Recording(lambda x: ops.conv_transpose(x, numbers(4, 5, 3, 3)), spec("n", 4, 8, 8))
    node = recording.outputs[0].node
    assert node.op is not None
    assert node.op.multiply_adds is not None
    assert str(node.op.multiply_adds(node)) == "11520*n"  # 4 * 8 * 8 elements to 5 * 3 * 3 each


NUMPY: dict[str, Callable[[Any], Any]] = {
    "concatenate": lambda x: np.concatenate([x, x], axis=1),
    "stack": lambda x: np.stack([x, x]),
    "reshape": lambda x: np.reshape(x, (2, -1)),
    "transpose": lambda x: np.transpose(x, (1, 0)),
    "moveaxis": lambda x: np.moveaxis(x, 0, 1),
    "swapaxes": lambda x: np.swapaxes(x, 0, 1),
    "expand_dims": lambda x: np.expand_dims(x, 1),
    "squeeze": lambda x: np.squeeze(x[:1], 0),
    "split": lambda x: np.split(x, 2, axis=1),
    "flip": lambda x: np.flip(x, 0),
    "roll": lambda x: np.roll(x, 1, axis=0),
    "tile": lambda x: np.tile(x, (2, 1)),
    "repeat": lambda x: np.repeat(x, 2, axis=1),
    "broadcast_to": lambda x: np.broadcast_to(x, (2, 4, 4)),
    "take": lambda x: np.take(x, [0, 2], axis=1),
    "tril": np.tril,
    "pad": lambda x: np.pad(x, ((0, 1), (2, 0)), mode="edge"),
    "method reshape": lambda x: x.reshape(2, 8),
    "method transpose": lambda x: x.transpose(),
    "property T": lambda x: x.T,
    "property mT": lambda x: x.mT,
}


@pytest.mark.parametrize("name", NUMPY)
def test_numpys_own_functions_are_recorded(name: str) -> None:
    function = NUMPY[name]
    x = numbers(4, 4)
    wanted = function(x)
    wanted = wanted if isinstance(wanted, list) else [wanted]
    found = Recording(function, spec(4, 4))(x)
    for y, expected in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(y, expected, strict=True)
