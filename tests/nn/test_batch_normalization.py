"""`BatchNorm`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphctx as gx
from graphctx import Layer, nn
from tests.nn.common import SEED, agree, close, refused, same, spec, text, values

# Far from 1 and 0.
RANDOM: dict[str, Any] = {
    "gamma_initializer": "random_normal",
    "beta_initializer": "random_normal",
}
MOVING: dict[str, Any] = {
    "moving_mean_initializer": "random_normal",
    "moving_variance_initializer": lambda shape, rng: rng.uniform(0.5, 2, shape),
}


def normalized(x: Any, mean: Any, variance: Any, gamma: Any, beta: Any, epsilon: float) -> Any:
    """The definition."""
    return gamma * (x.astype(float) - mean) / np.sqrt(variance + epsilon) + beta


@settings(max_examples=40)
@given(
    shape=st.lists(st.integers(1, 5), min_size=2, max_size=4),
    axis=st.integers(-4, 3),
    center=st.booleans(),
    scale=st.booleans(),
    training=st.booleans(),
)
def test_batch_norm(shape: list[int], axis: int, center: bool, scale: bool, training: bool) -> None:
    rank = len(shape)
    axis = axis % rank if axis >= 0 else -(-axis % rank or rank)
    x = values(*shape) * 2 + 1
    layer = nn.BatchNorm(axis, 0.9, 0.01, center, scale, **RANDOM, **MOVING)
    layer(x)
    channels = shape[axis]
    broadcast = [channels if i == axis % rank else 1 for i in range(rank)]
    moving = [layer.moving_mean.numpy(), layer.moving_variance.numpy()]
    others = tuple(i for i in range(rank) if i != axis % rank)
    batch = [x.astype(float).mean(others), x.astype(float).var(others)]
    mean, variance = (part.reshape(broadcast) for part in (batch if training else moving))
    gamma: Any
    beta: Any
    gamma = layer.gamma.numpy().reshape(broadcast) if layer.gamma is not None else 1.0
    beta = layer.beta.numpy().reshape(broadcast) if layer.beta is not None else 0.0
    assert (layer.gamma is not None, layer.beta is not None) == (scale, center)
    y = layer(x, training=training)
    close(y, normalized(x, mean, variance, gamma, beta, 0.01), 1e-4)
    for variable, old, new in zip(
        (layer.moving_mean, layer.moving_variance), moving, batch, strict=True
    ):
        close(variable.numpy(), old * 0.9 + new * 0.1 if training else old)


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 3), (3, 4, 5, 3), (2, 2, 3, 2, 3)])
@pytest.mark.parametrize("options", [{}, {"center": False}, {"scale": False}, {"axis": 1}])
def test_batch_norm_program_equals_the_eager_call(shape: Any, options: Any) -> None:
    axis = options.get("axis", -1) % len(shape)
    layer = nn.BatchNorm(**options, **RANDOM, **MOVING)
    agree(layer, values(*shape))
    agree(layer, values(*shape), tuple(i for i in range(len(shape)) if i != axis))


def test_several_steps_are_the_eager_mutations() -> None:
    model = nn.Sequential([nn.Dense(4), nn.BatchNorm(), nn.Activation("relu"), nn.BatchNorm()])
    x = values(8, 3)
    model(x)
    program = gx.compile(gx.trace(model, spec(x)), training=True)
    assert program.state == (
        "sequential/batch_norm/moving_mean",
        "sequential/batch_norm/moving_variance",
        "sequential/batch_norm_1/moving_mean",
        "sequential/batch_norm_1/moving_variance",
    )
    state: dict[str, Any] = {}
    for step in range(4):
        batch = values(8, 3, seed=step)
        y, state = program.step(batch, seed=SEED, state=state)
        same(y, model(batch, training=True))
        for path, value in state.items():
            same(value, model.weights[path].numpy())
    # The program keeps no state of its own.
    again, _ = program.step(values(8, 3, seed=0), seed=SEED, state=state)
    same(again, model(values(8, 3, seed=0), training=True))


def test_a_shared_layer_sees_what_its_first_call_assigned() -> None:
    class Twice(Layer):
        def __init__(self) -> None:
            self.norm = nn.BatchNorm()

        def call(self, x: Any) -> Any:
            return self.norm(x) + self.norm(x * 3, training=False)

    agree(Twice(), values(5, 3))


def test_moving_statistics_are_not_trainable() -> None:
    model = nn.Sequential([nn.BatchNorm()])
    model(values(2, 3))
    assert list(model.weights) == [
        "sequential/batch_norm/gamma",
        "sequential/batch_norm/beta",
        "sequential/batch_norm/moving_mean",
        "sequential/batch_norm/moving_variance",
    ]
    assert list(model.trainable_weights) == list(model.weights)[:2]


def test_batch_norm_texts() -> None:
    graph = gx.trace(nn.BatchNorm(name="n"), gx.TensorSpec(("batch", 3)))
    assert text(gx.specialize(graph, training=False)).splitlines()[:3] == [
        "graph n (x: float32[batch, 3])",
        (
            "  %1 = BatchNormalization(x, @n/gamma, @n/beta, @n/moving_mean, @n/moving_variance, "
            "epsilon=0.001)"
        ),
        "  return %1",
    ]
    assert text(gx.specialize(graph, training=True)) == (
        "graph n (x: float32[batch, 3])\n"
        "  %1 = ReduceMean(x, [0])\n"
        "  %2 = Sub(x, %1)\n"
        "  %3 = Mul(%2, %2)\n"
        "  %4 = ReduceMean(%3, [0])\n"
        "  %5 = Add(%4, 0.001)\n"
        "  %6 = Sqrt(%5)\n"
        "  %7 = Div(1, %6)\n"
        "  %8 = Reshape(@n/gamma, [1, -1])\n"
        "  %9 = Mul(%7, %8)\n"
        "  %10 = Mul(%2, %9)\n"
        "  %11 = Reshape(@n/beta, [1, -1])\n"
        "  %12 = Add(%10, %11)\n"
        "  %13 = Mul(@n/moving_mean, 0.99)\n"
        "  %14 = Reshape(%1, [3])\n"
        "  %15 = Mul(%14, 0.01)\n"
        "  %16 = Add(%13, %15)\n"
        "  %17 = Mul(@n/moving_variance, 0.99)\n"
        "  %18 = Reshape(%4, [3])\n"
        "  %19 = Mul(%18, 0.01)\n"
        "  %20 = Add(%17, %19)\n"
        "  return %12\n"
        "  state @n/moving_mean = %16\n"
        "  state @n/moving_variance = %20"
    )


def test_inference_has_no_state() -> None:
    graph = gx.trace(nn.BatchNorm(), gx.TensorSpec(("batch", 3)))
    assert gx.compile(graph, training=False).state == ()


@pytest.mark.parametrize("activation", [None, "relu"])
def test_inference_folds_into_the_convolution_before_it(activation: Any) -> None:
    model = nn.Sequential(
        [nn.Conv2D(4, 3), nn.BatchNorm(**RANDOM, **MOVING), nn.Activation(activation)]
    )
    x = values(2, 6, 6, 3)
    expected = model(x)
    program = gx.compile(gx.trace(model, spec(x)))
    names = [node.name for node in program.graph.nodes if node.kind == "op"]
    assert "BatchNormalization" not in names
    close(program(x), expected)


# -- masks ----------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(
    shape=st.lists(st.integers(1, 4), min_size=2, max_size=4),
    axis=st.sampled_from([-1, 1]),
    data=st.data(),
)
def test_masked_elements_do_not_count(shape: list[int], axis: int, data: Any) -> None:
    x = values(*shape) * 2 + 1
    sizes = [data.draw(st.sampled_from([1, n])) for n in shape[:-1]]
    mask = np.random.default_rng(data.draw(st.integers(0, 99))).random(sizes) < 0.6
    layer = nn.BatchNorm(axis, 0.9, 0.01)
    y = layer(x, mask=mask, training=True)
    axis %= len(shape)
    counts = np.broadcast_to(mask[..., None], shape)
    others = tuple(i for i in range(len(shape)) if i != axis)
    wide = [n if i == axis else 1 for i, n in enumerate(shape)]
    total = counts.sum(others) + 1e-7
    mean = np.where(counts, x, 0).sum(others) / total
    variance = np.where(counts, (x - mean.reshape(wide)) ** 2, 0).sum(others) / total
    close(y, normalized(x, mean.reshape(wide), variance.reshape(wide), 1, 0, 0.01), 1e-4)
    close(layer.moving_mean.numpy(), mean * 0.1, 1e-4)
    close(layer.moving_variance.numpy(), 0.9 + variance * 0.1, 1e-4)


def test_a_mask_in_a_program() -> None:
    class Masked(Layer):
        def __init__(self) -> None:
            self.norm = nn.BatchNorm()

        def call(self, x: Any) -> Any:
            return self.norm(x, mask=x[..., 0] > 0)

    agree(Masked(), values(5, 4, 3), (0, 1))
    agree(Masked(), values(5, 3))


def test_without_training_a_mask_changes_nothing() -> None:
    x = values(5, 3)
    layer = nn.BatchNorm(**RANDOM, **MOVING)
    same(layer(x, mask=np.zeros(5, bool)), layer(x))


# -- batch renormalization ------------------------------------------------------------------------


@pytest.mark.parametrize("clipping", [None, {}, {"rmax": 1.1}, {"rmin": 0.9, "dmax": 0.1}])
@pytest.mark.parametrize("options", [{}, {"center": False}, {"scale": False}])
def test_renorm(clipping: Any, options: Any) -> None:
    x = values(6, 3) * 2 + 1
    layer = nn.BatchNorm(
        momentum=0.9, epsilon=0.01, renorm=True, renorm_clipping=clipping, renorm_momentum=0.7,
        **options, **RANDOM, **MOVING,
    )  # fmt: skip
    layer(x)
    before = {path: weight.numpy() for path, weight in layer.weights.items()}
    mean, stddev = (before[f"batch_norm/renorm_{name}"] for name in ("mean", "stddev"))
    same(mean, before["batch_norm/moving_mean"])
    close(stddev**2, before["batch_norm/moving_variance"])
    y = layer(x, training=True)
    batch_mean, batch_stddev = x.mean(0), np.sqrt(x.var(0) + 0.01)
    limits = clipping or {}
    r = np.clip(batch_stddev / stddev, limits.get("rmin"), limits.get("rmax"))
    d = (batch_mean - mean) / stddev
    d = np.clip(d, -limits["dmax"], limits["dmax"]) if "dmax" in limits else d
    expected = (x - batch_mean) / batch_stddev * r + d
    expected = expected * before.get("batch_norm/gamma", 1) + before.get("batch_norm/beta", 0)
    close(y, expected, 1e-4)
    close(layer.renorm_mean.numpy(), mean * 0.7 + batch_mean * 0.3)
    close(layer.renorm_stddev.numpy(), stddev * 0.7 + batch_stddev * 0.3)
    moving = stddev * 0.9 + batch_stddev * 0.1
    close(layer.moving_stddev.numpy(), moving)
    close(layer.moving_variance.numpy(), moving**2 - 0.01)
    agree(layer, x)


def test_renorm_weights() -> None:
    layer = nn.BatchNorm(renorm=True)
    layer(values(2, 3))
    assert [path.partition("/")[2] for path in layer.weights] == [
        "gamma", "beta", "moving_mean", "moving_variance", "moving_stddev", "renorm_mean",
        "renorm_stddev",
    ]  # fmt: skip
    assert len(layer.trainable_weights) == 2


# -- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"axis": 1.5}, "axis is an integer, got 1.5"),
        ({"axis": [1]}, "axis is an integer, got [1]"),
        ({"momentum": 1.5}, "momentum is a number from 0 to 1, got 1.5"),
        ({"momentum": "0.9"}, "momentum is a number from 0 to 1, got '0.9'"),
        ({"epsilon": -1e-3}, "epsilon is a number that is at least 0, got -0.001"),
        ({"epsilon": float("nan")}, "epsilon is a number that is at least 0, got nan"),
        ({"epsilon": float("inf")}, "epsilon is a number that is at least 0, got inf"),
        ({"dtype": "int64"}, "dtype is a floating dtype, got 'int64'"),
        ({"renorm_momentum": 2}, "renorm_momentum is a number from 0 to 1, got 2"),
        (
            {"renorm_clipping": {"max": 1}},
            (
                "renorm_clipping has numbers for 'rmin', 'rmax' and 'dmax', or some of them, got "
                "{'max': 1}"
            ),
        ),
        (
            {"renorm_clipping": {"dmax": -1}},
            "renorm_clipping['dmax'] is a number that is at least 0, got -1",
        ),
        (
            {"renorm_clipping": {"rmin": 2, "rmax": 1}},
            "renorm_clipping has rmin larger than rmax: {'rmin': 2, 'rmax': 1}",
        ),
        (
            {"synchronized": True},
            (
                "synchronized=True would share statistics between machines, but a program runs on "
                "one; leave it out"
            ),
        ),
    ],
)
def test_batch_norm_bad_arguments(options: Any, message: str) -> None:
    refused(lambda: nn.BatchNorm(**options), f"BatchNorm: {message}")


def test_batch_norm_bad_inputs() -> None:
    refused(
        lambda: nn.BatchNorm()(values(3)),
        "batch_norm: BatchNorm takes a tensor [batch, ..., channels], got [3] with 1 dimension",
    )
    refused(
        lambda: nn.BatchNorm(axis=2)(values(3, 4)),
        "batch_norm: BatchNorm has axis=2, which an input of 2 dimensions does not have",
    )
    refused(
        lambda: gx.trace(nn.BatchNorm(), gx.TensorSpec((2, "channels"))),
        "batch_norm: BatchNorm needs to know its number of channels to make its weights, but axis "
        "1 of [2, channels] is symbolic; give this dimension a number in the TensorSpec [while "
        "tracing training=False]",
    )
    layer = nn.BatchNorm()
    layer(values(2, 3))
    refused(
        lambda: layer(values(2, 4)),
        "batch_norm: BatchNorm was built for 3 channels, got [2, 4] with 4 at axis 1",
    )
    start = "batch_norm: BatchNorm takes a mask"
    refused(lambda: layer(values(2, 3), mask=[True, False]), f"{start} of bools, got a list of 2")
    refused(lambda: layer(values(2, 3), mask=np.array(["a", "b"])), f"{start} of bools, got <U1")
    for shape, came in [((3,), "[3]"), ((2, 3), "[2, 3]"), ((), "[]")]:
        refused(
            lambda shape=shape: layer(values(2, 3), mask=np.ones(shape, bool)),  # type: ignore[misc]
            f"{start} that broadcasts to [2], got {came}",
        )


def test_inputs_are_converted_to_the_layers_dtype() -> None:
    layer = nn.BatchNorm()
    x = values(6, 3, dtype="float16")
    same(layer(x), layer(x.astype("float32")))
    agree(layer, x)
    agree(nn.BatchNorm(dtype="float64"), x)
