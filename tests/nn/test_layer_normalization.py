"""`LayerNorm`, `RMSNorm` and `UnitNorm`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphctx as gx
from graphctx import nn
from tests.nn.common import agree, close, refused, same, text, values

# Far from 1 and 0.
RANDOM: dict[str, Any] = {
    "gamma_initializer": "random_normal",
    "beta_initializer": "random_normal",
}


def normalized(x: Any, mean: Any, variance: Any, gamma: Any, beta: Any, epsilon: float) -> Any:
    """The definition."""
    return gamma * (x.astype(float) - mean) / np.sqrt(variance + epsilon) + beta


# -- LayerNorm ------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(data=st.data(), center=st.booleans(), scale=st.booleans())
def test_layer_norm(data: st.DataObject, center: bool, scale: bool) -> None:
    shape = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    given_axes = [data.draw(st.sampled_from([a, a - len(shape)])) for a in axes]
    x = values(*shape) * 2 + 1
    layer = nn.LayerNorm(given_axes, 0.01, center, scale, **RANDOM)
    y = layer(x)
    axes = sorted(axes)
    sizes = tuple(shape[a] for a in axes)
    broadcast = [n if i in axes else 1 for i, n in enumerate(shape)]
    wide = x.astype(float)
    gamma: Any
    beta: Any
    gamma = layer.gamma.numpy().reshape(broadcast) if layer.gamma is not None else 1.0
    beta = layer.beta.numpy().reshape(broadcast) if layer.beta is not None else 0.0
    assert layer.gamma is None or layer.gamma.shape == sizes
    mean = wide.mean(tuple(axes), keepdims=True)
    variance = wide.var(tuple(axes), keepdims=True)
    close(y, normalized(x, mean, variance, gamma, beta, 0.01), 1e-4)


@pytest.mark.parametrize("axis", [-1, 1, (1, 2), [-1, 1]])
@pytest.mark.parametrize("options", [{}, {"center": False}, {"scale": False}])
def test_layer_norm_program_equals_the_eager_call(axis: Any, options: Any) -> None:
    layer = nn.LayerNorm(axis, **options, **RANDOM)
    agree(layer, values(3, 4, 5))
    axes = {a % 3 for a in ([axis] if isinstance(axis, int) else axis)}
    agree(layer, values(3, 4, 5), tuple({0, 1, 2} - axes))


def test_layer_norm_text_and_weights() -> None:
    layer = nn.LayerNorm()
    assert text(gx.trace(layer, gx.TensorSpec(("batch", "time", 8)))) == (
        "graph layer_norm (x: float32[batch, time, 8])\n"
        "  %1 = LayerNormalization(x, @layer_norm/gamma, @layer_norm/beta, epsilon=0.001)\n"
        "  return %1"
    )
    assert list(layer.trainable_weights) == ["layer_norm/gamma", "layer_norm/beta"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"axis": "last"}, "axis is an integer or a list of them, got 'last'"),
        ({"axis": ()}, "axis is an integer or a list of them, got ()"),
        ({"epsilon": -1}, "epsilon is a number that is at least 0, got -1"),
        ({"dtype": "bool"}, "dtype is a floating dtype, got 'bool'"),
    ],
)
def test_layer_norm_bad_arguments(options: Any, message: str) -> None:
    refused(lambda: nn.LayerNorm(**options), f"LayerNorm: {message}")


def test_layer_norm_bad_inputs() -> None:
    refused(
        lambda: nn.LayerNorm(axis=3)(values(2, 3)),
        "layer_norm: LayerNorm has axis=3, which an input of 2 dimensions does not have",
    )
    refused(
        lambda: nn.LayerNorm(axis=(1, -1))(values(2, 3)),
        "layer_norm: LayerNorm has axis=(1, -1), which names an axis twice",
    )
    refused(
        lambda: gx.trace(nn.LayerNorm(), gx.TensorSpec((2, "features"))),
        "layer_norm: LayerNorm needs to know its size of the axes it normalizes to make its "
        "weights, but axis 1 of [2, features] is symbolic; give this dimension a number in the "
        "TensorSpec",
    )
    layer = nn.LayerNorm()
    layer(values(2, 3))
    refused(
        lambda: layer(values(2, 4)),
        "layer_norm: LayerNorm was built for sizes [3] of axes [1], got [2, 4]",
    )


def test_inputs_are_converted_to_the_layers_dtype() -> None:
    layer = nn.LayerNorm()
    x = values(6, 3, dtype="float16")
    same(layer(x), layer(x.astype("float32")))
    agree(layer, x)
    agree(nn.LayerNorm(dtype="float64"), x)


# -- RMSNorm --------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(data=st.data())
def test_rms_norm(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    x = values(*shape) * 2 + 1
    layer = nn.RMSNorm([data.draw(st.sampled_from([a, a - len(shape)])) for a in axes], 0.01)
    layer(x)
    sizes = [shape[a] for a in sorted(axes)]
    scale = values(*sizes, seed=1)
    layer.scale.assign(scale)
    wide = scale.reshape([n if i in axes else 1 for i, n in enumerate(shape)])
    square = np.square(x.astype(float)).mean(tuple(axes), keepdims=True)
    close(layer(x), wide * x / np.sqrt(square + 0.01), 1e-4)
    agree(layer, x, ())


def test_rms_norm_text_and_weights() -> None:
    layer = nn.RMSNorm()
    assert text(gx.trace(layer, gx.TensorSpec(("batch", "time", 8)))) == (
        "graph rms_norm (x: float32[batch, time, 8])\n"
        "  %1 = RMSNormalization(x, @rms_norm/scale, epsilon=1e-06)\n"
        "  return %1"
    )
    same(layer.scale.numpy(), np.ones(8, "float32"))


def test_rms_norm_errors() -> None:
    refused(
        lambda: nn.RMSNorm(axis=None), "RMSNorm: axis is an integer or a list of them, got None"
    )
    refused(
        lambda: nn.RMSNorm(epsilon=-1), "RMSNorm: epsilon is a number that is at least 0, got -1"
    )
    layer = nn.RMSNorm()
    layer(values(2, 3))
    refused(
        lambda: layer(values(2, 4)),
        "rms_norm: RMSNorm was built for sizes [3] of axes [1], got [2, 4]",
    )


# -- UnitNorm -------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(data=st.data())
def test_unit_norm(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    x = values(*shape) * 2 + 1
    layer = nn.UnitNorm(tuple(axes))
    wide = x.astype(float)
    close(layer(x), wide / np.sqrt(np.square(wide).sum(tuple(axes), keepdims=True)))
    agree(layer, x, tuple(range(len(shape))))


@pytest.mark.parametrize("axis", [-1, (0, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_zeros_stay_zeros(axis: Any, dtype: str) -> None:
    x = np.zeros((2, 3), dtype)
    same(nn.UnitNorm(axis)(x), x)


def test_unit_norm_texts() -> None:
    x = gx.TensorSpec(("batch", 8))
    assert text(gx.trace(nn.UnitNorm(), x)) == (
        "graph unit_norm (x: float32[batch, 8])\n  %1 = LpNormalization(x, axis=1)\n  return %1"
    )
    assert text(gx.trace(nn.UnitNorm((0, 1)), x)) == (
        "graph unit_norm (x: float32[batch, 8])\n"
        "  %1 = Mul(x, x)\n"
        "  %2 = ReduceSum(%1, [0, 1])\n"
        "  %3 = Sqrt(%2)\n"
        "  %4 = Max(%3, 1.175494e-38)\n"
        "  %5 = Div(x, %4)\n"
        "  return %5"
    )


def test_unit_norm_errors() -> None:
    refused(
        lambda: nn.UnitNorm("last"), "UnitNorm: axis is an integer or a list of them, got 'last'"
    )
    refused(
        lambda: nn.UnitNorm(2)(values(2, 3)),
        "unit_norm: UnitNorm has axis=2, which an input of 2 dimensions does not have",
    )
    refused(
        lambda: nn.UnitNorm((1, -1))(values(2, 3)),
        "unit_norm: UnitNorm has axis=(1, -1), which names an axis twice",
    )
    refused(
        lambda: nn.UnitNorm()(np.arange(3)),
        "unit_norm: UnitNorm takes a tensor of floats, got int64; convert it with "
        "ops.astype(x, 'float32')",
    )
