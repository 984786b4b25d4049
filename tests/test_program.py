"""Programs: inputs, errors, what results may share memory with, threads, generated code."""

from __future__ import annotations

import threading
from typing import Any, Literal

import numpy as np
import pytest

import graphctx as gx
from graphctx import Context, InputError, Layer, nn, ops

X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)


class Two(Layer):
    def call(self, left: Any, right: Any, *, gain: Context[float] = 2.0) -> Any:
        return left * gain + right


def program(**options: Any) -> gx.Program:
    specs = gx.TensorSpec(("batch", 3)), gx.TensorSpec(("batch", 3))
    return gx.compile(gx.trace(Two(), *specs), **options)


def test_inputs_by_position_and_by_name() -> None:
    p = program()
    expected = X * 2 + X
    for result in (p(X, X), p(X, right=X), p(right=X, left=X), p(X.tolist(), X)):
        np.testing.assert_array_equal(result, expected)
        assert result.dtype == np.float32
    assert str(p.inputs["left"]) == "float32[batch, 3]"
    assert str(p.outputs["output"]) == "float32[batch, 3]"


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((X,), {}, r"two: input 'right' is missing \(inputs: left: float32\[batch, 3\], right"),
        ((X, X, X), {}, r"two: takes 2 inputs \(left: .*\), got 3"),
        ((X,), {"rigth": X}, r"two: no input 'rigth'; did you mean 'right'\?"),
        ((X,), {"left": X}, "two: input 'left' is given twice"),
        ((X[0], X), {}, r"input 'left': expected float32\[batch, 3\], which has 2 dimensions, got"),
        ((X, X.astype("f8")), {}, r"input 'right': .*got float64\[2, 3\]; convert it with .astype"),
        ((X[:, :2], X), {}, r"input 'left': .*got float32\[2, 2\]: axis 1 must be 3"),
        ((X, X[:1]), {}, r"input 'right': dimension batch \(axis 0\) is 1 here, but 2 in another"),
        ((X, "text"), {}, r"input 'right': expected float32\[batch, 3\], which has 2 dim.*string"),
        ((X, {}), {}, r"input 'right': expected float32\[batch, 3\], got dict"),
        ((X, X), {"seed": -1}, r"a seed is an integer in \[0, 2\*\*63\), got -1"),
    ],
)
def test_what_does_not_fit_names_the_input(args: Any, kwargs: Any, message: str) -> None:
    with pytest.raises((InputError, gx.ContextError), match=message):
        program()(*args, **kwargs)


def test_open_arguments_are_keywords() -> None:
    p = program(runtime=["gain"])
    np.testing.assert_array_equal(p(X, X, gain=3), X * 3 + X)
    np.testing.assert_array_equal(p(X, X), X * 2 + X)
    np.testing.assert_array_equal(p(X, right=X, gain=np.float32(1)), X + X)
    with pytest.raises(gx.ContextError, match="'gain' got 'a'; allowed: float"):
        p(X, X, gain="a")


def test_an_argument_that_decides_the_structure_cannot_stay_open() -> None:
    class Pair(Layer):
        def call(self, x: Any, pair: Context[bool] = False) -> Any:
            return (x, x) if pair else x

    graph = gx.trace(Pair(), gx.TensorSpec((3,)))
    with pytest.raises(gx.ContextError, match="what the model returns depends on 'pair', so it"):
        gx.compile(graph, runtime=["pair"])


def test_results_share_memory_with_nothing() -> None:
    class Views(Layer):
        def __init__(self) -> None:
            self.w = gx.Variable(np.ones(3, np.float32))

        def call(self, x: Any) -> Any:
            y = x * 2
            return x, ops.reshape(x, (-1,)), self.w.value, y, ops.permute_dims(y, (1, 0)), y[:1]

    model = Views()
    p = gx.compile(gx.trace(model, gx.TensorSpec(("batch", 3))))
    x = X.copy()
    first = p(x)
    kept = [r.copy() for r in first]
    for i, a in enumerate(first):
        assert not np.shares_memory(a, x)
        assert not np.shares_memory(a, model.w.numpy())
        for b in first[i + 1 :]:
            assert not np.shares_memory(a, b)
    p(x + 1)
    for result, copy in zip(first, kept, strict=True):
        np.testing.assert_array_equal(result, copy)
        result += 1  # the caller may write into what it got
    for a, b in zip(p(x), kept, strict=True):
        np.testing.assert_array_equal(a, b)


def test_inputs_are_not_written_to() -> None:
    class Chain(Layer):
        def call(self, x: Any) -> Any:
            y = ops.reshape(x, (-1, 3)) + 0.0
            for _ in range(5):
                y = ops.relu(y * 2 - 0.5) + ops.reshape(x, (-1, 3))
            return y

    p = gx.compile(gx.trace(Chain(), gx.TensorSpec(("batch", 3))))
    x = X.copy()
    x.flags.writeable = False
    np.testing.assert_array_equal(p(x), Chain()(x))
    np.testing.assert_array_equal(x, X)


def test_buffers_are_reused() -> None:
    class Chain(Layer):
        def call(self, x: Any) -> Any:
            return ops.relu(ops.tanh(x * 2) + 1)

    source = gx.compile(gx.trace(Chain(), gx.TensorSpec(("batch", 3)))).source
    assert source.count("out=") == 3


def test_programs_are_thread_safe() -> None:
    model = nn.Sequential([nn.Dense(16, activation="relu"), nn.Dropout(0.5), nn.Dense(4)])
    p = gx.compile(gx.trace(model, gx.TensorSpec(("batch", 8))), training=True)
    inputs = [np.full((3, 8), i, np.float32) for i in range(8)]
    expected = [p(x, seed=i) for i, x in enumerate(inputs)]
    wrong: list[int] = []

    def work(index: int) -> None:
        results = [p(inputs[index], seed=index) for _ in range(200)]
        wrong.extend(index for r in results if not np.array_equal(r, expected[index]))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_programs_keep_the_weights_they_were_compiled_with() -> None:
    model = nn.Dense(2)
    graph = gx.trace(model, gx.TensorSpec(("batch", 3)))
    before = gx.compile(graph)
    expected = before(X)
    model.kernel.assign(model.kernel.numpy() * 0)
    np.testing.assert_array_equal(before(X), expected)
    np.testing.assert_array_equal(gx.compile(graph)(X), X[:, :2] * 0)


def test_a_kernel_that_fails_names_the_layer() -> None:
    p = gx.compile(gx.trace(nn.Embedding(5, 2), gx.TensorSpec(("n",), "int64")))
    message = r"embedding: Gather refuses these inputs: index 7 is out of bounds .*test_program"
    with pytest.raises(InputError, match=message):
        p(np.array([7]))


def test_source_and_summary() -> None:
    model = nn.Sequential([nn.Dense(4, activation="relu"), nn.Dropout(0.5), nn.Dense(2)])
    p = gx.compile(gx.trace(model, gx.TensorSpec(("batch", 3))), training=True)
    assert "# sequential/dense_1" in p.source
    summary = p.summary()
    assert summary.parameters == 3 * 4 + 4 + 4 * 2 + 2
    assert str(summary.multiply_adds) == "20*batch"
    assert [row.op for row in summary.rows] == ["Gemm", "Relu", "dropout", "Gemm"]
    assert "sequential/dense_1" in str(summary)
    assert summary.as_dict()["rows"][0]["shape"] == ["batch", 4]


def test_scalars_come_back_as_arrays() -> None:
    class Scalar(Layer):
        def call(self, x: Any) -> Any:
            return ops.sum(x), x[0, 0], ops.argmax(x), 3.0

    found = gx.compile(gx.trace(Scalar(), gx.TensorSpec(("batch", 3))))(X)
    assert [type(v) for v in found] == [np.ndarray, np.ndarray, np.ndarray, float]


def test_every_program_of_an_argument_space() -> None:
    class Modes(Layer):
        def call(self, x: Any, mode: Context[Literal["a", "b", "c"]] = "a") -> Any:
            return {"a": x, "b": x + 1, "c": x * 2}[mode]

    graph = gx.trace(Modes(), gx.TensorSpec(("batch", 3)))
    for mode, expected in (("a", X), ("b", X + 1), ("c", X * 2)):
        np.testing.assert_array_equal(gx.compile(graph, mode=mode)(X), expected)


def test_sums_run_in_the_same_order_as_in_eager_calls() -> None:
    # The first chain lies transposed in memory; a sum over it must not follow another order.
    def call(x: Any, y: Any) -> Any:
        return ops.mean(ops.exp(ops.matrix_transpose(x)) + ops.exp(y), axis=1)

    model = nn.Lambda(call)
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal(shape).astype(np.float32) for shape in [(2, 50, 33), (2, 33, 50)])
    program = gx.compile(gx.trace(model, gx.TensorSpec(x.shape), gx.TensorSpec(y.shape)))
    np.testing.assert_array_equal(program(x, y), model(x, y))


def test_names_of_the_programs_own_parameters_cannot_be_left_to_run_time() -> None:
    def call(x: Any, seed: Context[int] = 1) -> Any:
        return x * seed

    graph = gx.trace(nn.Lambda(call), gx.TensorSpec((2,)))
    message = (
        "lambda: context argument 'seed' cannot be left to run time, as a program has a parameter "
        "of that name; bind it, or give it another name"
    )
    with pytest.raises(gx.ContextError, match=message):
        gx.compile(graph, runtime=["seed"])
    bound = gx.compile(graph, {"seed": 3})
    np.testing.assert_array_equal(bound(np.ones(2, np.float32)), [3, 3])
