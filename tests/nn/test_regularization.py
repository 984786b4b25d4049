"""`Dropout` and `GaussianNoise`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphctx as gx
from graphctx import nn
from tests.nn.common import agree, refused, same, text, values

LAYERS = [nn.Dropout(0.4), nn.GaussianNoise(0.5)]


@pytest.mark.parametrize("layer", [*LAYERS, nn.Dropout(0), nn.GaussianNoise(0)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_program_equals_the_eager_call(layer: Any, dtype: str) -> None:
    x = values(5, 4, 3, dtype=dtype)
    same(agree(layer, x), x)
    agree(layer, x, (0, 1, 2))


@pytest.mark.parametrize("layer", LAYERS)
def test_identity_but_while_training(layer: Any) -> None:
    x = values(5, 4)
    assert layer(x) is x
    assert layer(x, training=False) is x
    assert not np.array_equal(layer(x, training=True), x)


def test_dropout() -> None:
    x = np.ones((200, 300), "float32")
    with gx.seed(1):
        y = nn.Dropout(0.3)(x, training=True)
    kept = y != 0
    assert abs(kept.mean() - 0.7) < 0.01
    same(y[kept], np.full(kept.sum(), np.float32(1) / (np.float32(1) - np.float32(0.3))))


@pytest.mark.parametrize(("rate", "value"), [(0, 1), (1, 0)])
def test_dropout_at_its_limits(rate: float, value: float) -> None:
    x = np.ones((3, 4), "float32")
    same(nn.Dropout(rate)(x, training=True), np.full_like(x, value))
    agree(nn.Dropout(rate), x)


@pytest.mark.parametrize("noise_shape", [(None, 1, None), [None, 1, 6], (1, 5, 1), (1, 1, 1)])
def test_noise_shape(noise_shape: Any) -> None:
    x = np.ones((4, 5, 6), "float32")
    layer = nn.Dropout(0.5, noise_shape)
    with gx.seed(3):
        y = layer(x, training=True)
    assert set(np.unique(y)) <= {0.0, 2.0}
    for axis, size in enumerate(noise_shape):
        if size == 1:
            same(y, np.broadcast_to(np.take(y, [0], axis), y.shape))
    agree(layer, x)
    agree(layer, x, (0,))


def test_gaussian_noise() -> None:
    x = np.full((200, 300), 3, "float32")
    with gx.seed(1):
        noise = nn.GaussianNoise(0.5)(x, training=True) - x
    assert abs(noise.mean()) < 0.01
    assert abs(noise.std() - 0.5) < 0.01


@pytest.mark.parametrize("kind", [nn.Dropout, nn.GaussianNoise])
def test_every_layer_draws_numbers_of_its_own(kind: Any) -> None:
    x = np.ones((50, 50), "float32")
    model = nn.Sequential([kind(0.5), kind(0.5)])
    with gx.seed(1):
        first = kind(0.5)(x, training=True)
        same(kind(0.5)(x, training=True), first)
        both = model(x, training=True)
    with gx.seed(2):
        assert not np.array_equal(kind(0.5)(x, training=True), first)
    expected = 0.25 if kind is nn.Dropout else 0.5
    measured = (both != 0).mean() if kind is nn.Dropout else both.var()
    assert abs(measured - expected) < 0.05


def test_texts() -> None:
    graph = gx.trace(nn.Dropout(0.25), gx.TensorSpec(("batch", 3)))
    lines = text(graph).splitlines()
    assert lines[0] == (
        "graph dropout (x: float32[batch, 3], seed: seed)  contexts (training: bool = False)"
    )
    assert lines[1].startswith("  %1 = dropout(x, 0.25, seed, key=")
    assert lines[2:] == ["  %2 = select training {False: x, True: %1}", "  return %2"]
    assert text(gx.specialize(graph, training=False)) == (
        "graph dropout (x: float32[batch, 3])\n  return x"
    )
    graph = gx.trace(nn.Dropout(0), gx.TensorSpec(("batch", 3)))
    assert text(graph).endswith("\n  return x")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 1.5}, "rate is a number from 0 to 1, got 1.5"),
        ({"rate": -0.1}, "rate is a number from 0 to 1, got -0.1"),
        ({"rate": "half"}, "rate is a number from 0 to 1, got 'half'"),
        ({"rate": True}, "rate is a number from 0 to 1, got True"),
        ({"rate": float("nan")}, "rate is a number from 0 to 1, got nan"),
        (
            {"noise_shape": (1, 0)},
            "noise_shape has a positive integer or None for each dimension, got (1, 0)",
        ),
        (
            {"noise_shape": "ab"},
            "noise_shape has a positive integer or None for each dimension, got 'ab'",
        ),
        (
            {"seed": 3},
            (
                "a layer has no seed of its own, got 3; give the seed to the program "
                "(program(x, seed=...)), or to everything in a block: with gx.seed(...)"
            ),
        ),
    ],
)
def test_dropout_bad_arguments(options: Any, message: str) -> None:
    refused(lambda: nn.Dropout(**{"rate": 0.5, **options}), f"Dropout: {message}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stddev": -1}, "stddev is a number that is at least 0, got -1"),
        ({"stddev": float("inf")}, "stddev is a number that is at least 0, got inf"),
        (
            {"stddev": 1, "seed": 3},
            (
                "a layer has no seed of its own, got 3; give the seed to the program "
                "(program(x, seed=...)), or to everything in a block: with gx.seed(...)"
            ),
        ),
    ],
)
def test_gaussian_noise_bad_arguments(options: Any, message: str) -> None:
    refused(lambda: nn.GaussianNoise(**options), f"GaussianNoise: {message}")


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("training", [False, True])
def test_bad_inputs(layer: Any, training: bool) -> None:
    start = f"{layer.name}: {type(layer).__name__} takes"
    refused(
        lambda: layer(np.arange(3), training=training),
        f"{start} a tensor of floats, got int64; convert it with ops.astype(x, 'float32')",
    )
    refused(lambda: layer([values(2)], training=training), f"{start} one tensor, got a list of 1")


def test_a_noise_shape_of_another_rank() -> None:
    refused(
        lambda: nn.Dropout(0.5, (None, 1))(values(2, 3, 4), training=True),
        "dropout: Dropout has noise_shape=(None, 1), which does not have the dimensions of the "
        "input [2, 3, 4]",
    )


def test_training_outside_its_domain() -> None:
    with pytest.raises(gx.ContextError, match=r"dropout: context argument 'training' got 1\b"):
        nn.Sequential([nn.Dropout(0.5)])(values(2, 3), training=1)
