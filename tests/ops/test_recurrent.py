"""RNN, LSTM and GRU: the public functions, what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphctx as gx
from graphctx import ops
from graphctx.errors import DTypeError, ShapeError
from graphctx.ops.table import TABLE

F = np.float32


def operands(gates: int, directions: int = 1, batch: int = 2) -> list[Any]:
    rng = np.random.default_rng(3)
    shapes = [(4, batch, 3), (directions, gates * 5, 3), (directions, gates * 5, 5)]
    return [rng.standard_normal(shape).astype(F) for shape in shapes]


@pytest.mark.parametrize(
    ("function", "gates", "options"),
    [
        (ops.rnn, 1, {"activations": ["Relu"], "clip": 1}),
        (ops.rnn, 1, {"activation_alpha": [1], "activations": ["Elu"], "layout": 0}),
        (ops.lstm, 4, {"input_forget": True, "direction": "reverse"}),
        (ops.gru, 3, {"linear_before_reset": True}),
    ],
)
def test_a_program_equals_the_eager_call(function: Any, gates: int, options: Any) -> None:
    class Net(gx.Layer):
        def call(self, x: Any, w: Any, r: Any) -> Any:
            return function(x, w, r, **options)

    arrays = operands(gates)
    graph = gx.trace(Net(), gx.TensorSpec(("steps", "batch", 3)), *arrays[1:])
    [node] = [node for node in graph.nodes if node.kind == "op"]
    assert node.attrs["hidden_size"] == 5
    program = gx.compile(graph)
    for ours, theirs in zip(program(*arrays), Net()(*arrays), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def test_directions_are_independent() -> None:
    x, w, r = operands(4, 2)
    both, h, c = ops.lstm(x, w, r, direction="bidirectional")
    for d, direction in enumerate(("forward", "reverse")):
        one = ops.lstm(x, w[d : d + 1], r[d : d + 1], direction=direction)
        for ours, theirs in zip((both[:, d], h[d], c[d]), one, strict=True):
            np.testing.assert_array_equal(ours, theirs.reshape(ours.shape))


def test_short_sequences_are_those_alone() -> None:
    x, w, r = operands(3, 2)
    y, h = ops.gru(x, w, r, None, np.array([4, 2], np.int32), direction="bidirectional")
    alone, last = ops.gru(x[:2, 1:], w, r, direction="bidirectional")
    np.testing.assert_allclose(y[:2, :, 1:], alone, rtol=1e-6)
    np.testing.assert_allclose(h[:, 1:], last, rtol=1e-6)
    assert not y[2:, :, 1].any()


def test_states_are_copies() -> None:
    x, w, r = operands(4)
    h = np.ones((1, 2, 5), F)
    c = np.ones((1, 2, 5), F)
    y, last_h, last_c = ops.lstm(x, w, r, initial_h=h, initial_c=c)
    assert (h == 1).all()
    assert (c == 1).all()
    np.testing.assert_array_equal(y[-1], last_h)
    assert not np.shares_memory(y, last_h)
    assert not np.shares_memory(last_c, c)


def test_no_steps_leave_the_state() -> None:
    x, w, r = operands(4)
    h = np.ones((1, 2, 5), F)
    y, last_h, last_c = ops.lstm(x[:0], w, r, initial_h=h)
    assert y.shape == (0, 1, 2, 5)
    np.testing.assert_array_equal(last_h, h)
    assert not last_c.any()


X, W, R = operands(4)
ONE = np.zeros((1, 1), F)
WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"x": X[0]}, ShapeError, r"LSTM\(.*: X needs 3 dimensions, got \[2, 3\]"),
    ({"x": X.astype(np.int32)}, DTypeError, "needs a floating dtype, got int32"),
    ({"x": X.astype(np.float64)}, DTypeError, "operands need one dtype, got float64 and float32"),
    ({"w": W[:, :-1]}, ShapeError, "axis 1 of W: 19 against 20"),
    ({"x": X[:, :, :2]}, ShapeError, "axis 2 of W: 3 against 2"),
    ({"r": R[:, :, :4]}, ShapeError, "axis 1 of W: 20 against 16"),
    ({"b": ONE}, ShapeError, "axis 1 of B: 1 against 40"),
    ({"p": ONE}, ShapeError, "axis 1 of P: 1 against 15"),
    ({"direction": "bidirectional"}, ShapeError, "axis 0 of W: 1 against 2"),
    ({"initial_h": np.zeros((1, 3, 5), F)}, ShapeError, "axis 1 of initial_h: 3 against 2"),
    ({"initial_c": ONE}, ShapeError, r"initial_c needs 3 dimensions, got \[1, 1\]"),
    ({"sequence_lens": np.zeros(3, np.int32)}, ShapeError, "axis 0 of sequence_lens: 3 against 2"),
    ({"sequence_lens": np.zeros(2, np.int64)}, DTypeError, "sequence_lens is int32, got int64"),
    ({"sequence_lens": np.array([5, 1], np.int32)}, ShapeError,
     r"LSTM\(.*: sequence_lens are 2 numbers from 0 to 4"),
    ({"direction": "up"}, ShapeError,
     "direction is one of 'bidirectional', 'forward', 'reverse'; got 'up'"),
    ({"activations": ["Tanh"]}, ShapeError, r"needs 3 activations, got \['Tanh'\]"),
    ({"activations": ["Gelu"] * 3}, ShapeError,
     r"unknown activation 'Gelu' \(known: 'Affine', 'Elu',"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "kind", "message"), WRONG)
def test_wrong_operands(changes: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        ops.lstm(**{"x": X, "w": W, "r": R, **changes})


def test_hidden_size_must_fit() -> None:
    with pytest.raises(ShapeError, match="the last axis of R and hidden_size differ: 5 against 7"):
        TABLE["LSTM"](X, W, R, hidden_size=7)
