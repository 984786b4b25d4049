"""Layers that are random while training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphctx as gx
from graphctx import Layer, nn
from tests.nn.common import agree, close, refused, same, text, values

LAYERS = [
    nn.Dropout(0.4),
    nn.GaussianNoise(0.5),
    nn.GaussianDropout(0.4),
    nn.AlphaDropout(0.4),
    nn.StochasticDepth(0.4),
    nn.SpatialDropout1D(0.4),
]
OFF = [
    nn.Dropout(0),
    nn.GaussianNoise(0),
    nn.GaussianDropout(0),
    nn.AlphaDropout(0),
    nn.StochasticDepth(0),
    nn.SpatialDropout1D(0),
]
NO_SEED = (
    "a layer has no seed of its own, got 3; give the seed to the program "
    "(program(x, seed=...)), or to everything in a block: with gx.seed(...)"
)


@pytest.mark.parametrize("layer", [*LAYERS, *OFF])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_program_equals_the_eager_call(layer: Any, dtype: str) -> None:
    x = values(5, 4, 3, dtype=dtype)
    same(agree(layer, x), x)
    agree(layer, x, (0, 1, 2))


@pytest.mark.parametrize("layer", LAYERS)
def test_identity_but_while_training(layer: Any) -> None:
    x = values(5, 4, 3)
    assert layer(x) is x
    assert layer(x, training=False) is x
    assert not np.array_equal(layer(x, training=True), x)


@pytest.mark.parametrize("layer", OFF)
def test_at_rate_0_nothing_changes(layer: Any) -> None:
    x = values(5, 4, 3)
    assert layer(x, training=True) is x
    graph = gx.trace(layer, gx.TensorSpec(("batch", 4, 3)))
    assert text(graph).endswith("\n  return x")


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
        ({"seed": 3}, NO_SEED),
    ],
)
def test_dropout_bad_arguments(options: Any, message: str) -> None:
    refused(lambda: nn.Dropout(**{"rate": 0.5, **options}), f"Dropout: {message}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stddev": -1}, "stddev is a number that is at least 0, got -1"),
        ({"stddev": float("inf")}, "stddev is a number that is at least 0, got inf"),
        ({"stddev": 1, "seed": 3}, NO_SEED),
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


# -- whole channels, whole examples ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "space", "axis"),
    [
        (nn.SpatialDropout1D(0.3), 1, -1),
        (nn.SpatialDropout2D(0.3), 2, -1),
        (nn.SpatialDropout2D(0.3, "channels_first"), 2, 1),
        (nn.SpatialDropout3D(0.3), 3, -1),
        (nn.SpatialDropout3D(0.3, "channels_first"), 3, 1),
    ],
)
def test_spatial_dropout(layer: Any, space: int, axis: int) -> None:
    x = np.moveaxis(np.ones((60, *(2,) * space, 50), "float32"), -1, axis)
    with gx.seed(1):
        y = layer(x, training=True)
    channels = np.moveaxis(y, axis, 1).reshape(60, 50, -1)
    same(channels, np.broadcast_to(channels[..., :1], channels.shape))
    assert abs((channels[..., 0] != 0).mean() - 0.7) < 0.03
    close(np.unique(y), np.array([0, 1 / 0.7]))
    agree(layer, x[:3], tuple(range(x.ndim)))


@pytest.mark.parametrize("shape", [(400,), (400, 3), (400, 2, 3)])
def test_stochastic_depth(shape: Any) -> None:
    x = np.ones(shape, "float32")
    layer = nn.StochasticDepth(0.25)
    with gx.seed(1):
        y = layer(x, training=True)
    examples = y.reshape(400, -1)
    same(examples, np.broadcast_to(examples[:, :1], examples.shape))
    assert abs((examples[:, 0] != 0).mean() - 0.75) < 0.06
    close(np.unique(y), np.array([0, 1 / 0.75]))
    agree(layer, x, tuple(range(x.ndim)))


def test_stochastic_depth_vanishes_without_training() -> None:
    class Block(Layer):
        def __init__(self) -> None:
            self.dense = nn.Dense(3)
            self.depth = nn.StochasticDepth(0.5)

        def call(self, x: Any) -> Any:
            return x + self.depth(self.dense(x))

    agree(Block(), values(4, 3))
    graph = gx.trace(Block(), gx.TensorSpec(("batch", 3)))
    assert text(gx.specialize(graph, training=False)).splitlines()[1:] == [
        "  %1 = Gemm(x, @block/dense/kernel, @block/dense/bias)",
        "  %2 = Add(x, %1)",
        "  return %2",
    ]


@pytest.mark.parametrize("kind", [nn.StochasticDepth, nn.SpatialDropout1D])
def test_all_dropped(kind: Any) -> None:
    x = values(3, 4, 5)
    same(kind(1)(x, training=True), np.zeros_like(x))


# -- alpha and Gaussian dropout -------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_alpha_dropout_keeps_mean_and_variance(rate: float) -> None:
    x = values(300, 300)
    with gx.seed(1):
        y = nn.AlphaDropout(rate)(x, training=True)
    assert abs(y.mean()) < 0.02
    assert abs(y.std() - 1) < 0.02
    low, counts = np.unique(y, return_counts=True)
    dropped = counts.argmax()
    assert abs(counts[dropped] / x.size - rate) < 0.01
    limit = -1.6732632423543772 * 1.0507009873554805
    a = ((1 - rate) * (1 + rate * limit**2)) ** -0.5
    assert abs(low[dropped] - (a * limit - a * limit * rate)) < 1e-5


def test_alpha_dropout_noise_shape() -> None:
    x = np.ones((4, 5, 6), "float32")
    layer = nn.AlphaDropout(0.5, (None, 1, None))
    with gx.seed(3):
        y = layer(x, training=True)
    same(y, np.broadcast_to(y[:, :1], y.shape))
    agree(layer, x, (0, 1, 2))
    refused(
        lambda: layer(values(2, 3), training=True),
        "alpha_dropout: AlphaDropout has noise_shape=(None, 1, None), which does not have the "
        "dimensions of the input [2, 3]",
    )


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_gaussian_dropout(rate: float) -> None:
    x = np.full((300, 300), 3, "float32")
    with gx.seed(1):
        factor = nn.GaussianDropout(rate)(x, training=True) / 3
    assert abs(factor.mean() - 1) < 0.01
    assert abs(factor.std() - np.sqrt(rate / (1 - rate))) < 0.01


@pytest.mark.parametrize("kind", [nn.AlphaDropout, nn.GaussianDropout])
def test_a_rate_of_1_has_no_meaning(kind: Any) -> None:
    refused(lambda: kind(1), f"{kind.__name__}: rate is a number from 0 to 1, but not 1, got 1")
    refused(
        lambda: kind(-0.5), f"{kind.__name__}: rate is a number from 0 to 1, but not 1, got -0.5"
    )


@pytest.mark.parametrize(
    "kind",
    [nn.AlphaDropout, nn.GaussianDropout, nn.SpatialDropout1D, nn.SpatialDropout2D,
     nn.SpatialDropout3D],
)  # fmt: skip
def test_no_layer_has_a_seed(kind: Any) -> None:
    refused(lambda: kind(0.5, seed=3), f"{kind.__name__}: {NO_SEED}")


def test_bad_arguments_and_shapes() -> None:
    refused(lambda: nn.SpatialDropout2D(2), "SpatialDropout2D: rate is a number from 0 to 1, got 2")
    refused(
        lambda: nn.StochasticDepth("all"),  # type: ignore[arg-type]
        "StochasticDepth: rate is a number from 0 to 1, got 'all'",
    )
    refused(
        lambda: nn.SpatialDropout3D(0.5, "NCDHW"),
        "SpatialDropout3D: data_format is one of 'channels_first', 'channels_last', got 'NCDHW'",
    )
    refused(
        lambda: nn.SpatialDropout2D(0.5, "channels_first")(values(2, 3, 4)),
        "spatial_dropout2d: SpatialDropout2D takes a tensor [batch, channels, height, width], got "
        "[2, 3, 4] with 3 dimensions",
    )
    refused(
        lambda: nn.SpatialDropout1D(0.5)(values(2, 3)),
        "spatial_dropout1d: SpatialDropout1D takes a tensor [batch, steps, channels], got [2, 3] "
        "with 2 dimensions",
    )
    refused(
        lambda: nn.StochasticDepth(0.5)(np.array(1.0)),
        "stochastic_depth: StochasticDepth takes a tensor [batch, ...], got [] with 0 dimensions",
    )


def test_training_outside_its_domain() -> None:
    with pytest.raises(gx.ContextError, match=r"dropout: context argument 'training' got 1\b"):
        nn.Sequential([nn.Dropout(0.5)])(values(2, 3), training=1)
