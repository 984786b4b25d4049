"""When and where weights are made: once, under the layer's own path, without a trace of it."""

from __future__ import annotations

from typing import Any

import pytest

import graphctx as gx
from graphctx import Layer, nn, ops
from tests.nn.common import refused, same, values

X = values(2, 5, 3)


class CallsWhileBuilding(Layer):
    """Asks a sub-layer for its output size by calling it in `build`."""

    def __init__(self) -> None:
        self.inner = nn.Sequential([nn.Dense(4), nn.Dropout(0.5)])

    def build(self, input_shape: Any) -> None:
        size = self.inner(ops.zeros(input_shape), training=True).shape[-1]
        self.scale = self.add_weight(size, "ones", name="scale")

    def call(self, x: Any) -> Any:
        return self.inner(x) * self.scale


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Bidirectional(nn.LSTM(4, dropout=0.5)),
        lambda: nn.Bidirectional(nn.GRU(4, recurrent_dropout=0.5, return_sequences=True)),
        lambda: nn.RNN([nn.LSTMCell(4, dropout=0.5)]),
        CallsWhileBuilding,
    ],
)
def test_random_numbers_do_not_depend_on_what_is_built(make: Any) -> None:
    with gx.seed(4):
        layer = make()
        first = layer(X, training=True)
    with gx.seed(4):
        same(layer(X, training=True), first)
    with gx.seed(4):
        program = gx.compile(gx.trace(make(), X), training=True)
    same(program(X, seed=4), first)


@pytest.mark.parametrize("make", [nn.SpectralNorm, nn.WeightNorm, nn.TimeDistributed])
def test_initial_weights_follow_from_the_path(make: Any) -> None:
    class Box(Layer):
        def __init__(self) -> None:
            self.layer = nn.Dense(4)

        def call(self, x: Any) -> Any:
            return self.layer(x)

    with gx.seed(1):
        for layer in (box := Box(), wrapper := make(nn.Dense(4))):
            layer.name = "model"
            layer(X)
    [kernel] = [v for path, v in wrapper.weights.items() if path.endswith("kernel")]
    same(kernel.numpy(), box.layer.kernel.numpy())


def test_a_build_that_fails_leaves_nothing() -> None:
    class Picky(Layer):
        def build(self, input_shape: Any) -> None:
            self.kernel = self.add_weight((3, 2), name="kernel")
            if input_shape[-1] != 3:
                raise gx.LayerError("picky")

        def call(self, x: Any) -> Any:
            return x @ self.kernel

    layer = Picky()
    refused(lambda: layer(values(1, 4)), "picky")
    layer(values(1, 3))
    assert list(layer.weights) == ["picky/kernel"]


def test_a_build_by_hand_is_refused_where_it_would_count_twice() -> None:
    layer = nn.Dense(2, name="out")
    layer.build((1, 3))
    refused(
        lambda: layer(values(1, 3)),
        "out: build() has been called already, and would make 'bias', 'kernel' a second time; "
        "leave it to the first call of the layer",
    )


def test_a_call_of_nothing() -> None:
    refused(
        nn.Dense(2),  # type: ignore[arg-type]
        "dense: Dense takes one tensor [batch, ..., features], got a NoneType",
    )
    refused(
        lambda: nn.LSTM(2)(None),
        "lstm: LSTM takes one tensor [batch, time, features], got a NoneType",
    )
