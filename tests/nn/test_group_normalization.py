"""`GroupNorm` and `InstanceNorm`."""

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


@settings(max_examples=40)
@given(
    batch=st.integers(1, 3),
    space=st.lists(st.integers(1, 4), max_size=3),
    groups=st.integers(1, 3),
    size=st.integers(1, 3),
    place=st.integers(0, 3),
    center=st.booleans(),
    scale=st.booleans(),
)
def test_group_norm(
    batch: int, space: list[int], groups: int, size: int, place: int, center: bool, scale: bool
) -> None:
    axis = 1 + place % (len(space) + 1)
    shape = [batch, *space]
    shape.insert(axis, groups * size)
    x = values(*shape) * 2 + 1
    layer = nn.GroupNorm(groups, axis, 0.01, center, scale, **RANDOM)
    y = layer(x)
    parts = np.moveaxis(x.astype(float), axis, 1).reshape(batch, groups, -1)
    mean, variance = (f(-1, keepdims=True) for f in (parts.mean, parts.var))
    parts = (parts - mean) / np.sqrt(variance + 0.01)
    expected = np.moveaxis(parts.reshape(batch, groups * size, *space), 1, axis)
    wide = [n if i == axis else 1 for i, n in enumerate(shape)]
    expected = expected * (layer.gamma.numpy().reshape(wide) if layer.gamma is not None else 1)
    expected = expected + (layer.beta.numpy().reshape(wide) if layer.beta is not None else 0)
    close(y, expected, 1e-3)
    assert (layer.gamma is not None, layer.beta is not None) == (scale, center)
    agree(layer, x, tuple(i for i in range(len(shape)) if i != axis))


def test_instance_norm_is_one_channel_a_group() -> None:
    x = values(2, 5, 4, 3)
    same(nn.InstanceNorm()(x), nn.GroupNorm(-1)(x))
    same(nn.InstanceNorm(1)(x), nn.GroupNorm(5, axis=1)(x))
    agree(nn.InstanceNorm(**RANDOM), x, (0, 1, 2))


def test_weights() -> None:
    layer = nn.InstanceNorm()
    layer(values(2, 4, 3))
    assert list(layer.trainable_weights) == ["instance_norm/gamma", "instance_norm/beta"]
    layer = nn.GroupNorm(3, center=False, scale=False)
    layer(values(2, 4, 3))
    assert layer.weights == {}


def test_texts() -> None:
    image = gx.TensorSpec(("batch", "height", "width", 6))
    assert text(gx.trace(nn.GroupNorm(2, name="n"), image)) == (
        "graph n (x: float32[batch, height, width, 6])\n"
        "  %1 = Transpose(x, perm=[0, 3, 1, 2])\n"
        "  %2 = GroupNormalization(%1, @n/gamma, @n/beta, epsilon=0.001, num_groups=2)\n"
        "  %3 = Transpose(%2, perm=[0, 2, 3, 1])\n"
        "  return %3"
    )
    assert text(gx.trace(nn.InstanceNorm(1, name="n"), gx.TensorSpec(("batch", 6, "n")))) == (
        "graph n (x: float32[batch, 6, n])\n"
        "  %1 = InstanceNormalization(x, @n/gamma, @n/beta, epsilon=0.001)\n"
        "  return %1"
    )


def test_transposes_of_neighbours_cancel() -> None:
    model = nn.Sequential(
        [nn.Conv2D(4, 3), nn.GroupNorm(2), nn.Activation("relu"), nn.Conv2D(2, 3)]
    )
    program = gx.compile(gx.trace(model, gx.TensorSpec(("batch", 8, 8, 3))))
    names = [node.name for node in program.graph.nodes if node.kind == "op"]
    assert names == ["Transpose", "Conv", "GroupNormalization", "Relu", "Conv", "Transpose"]


def test_without_space_a_channel_is_its_own_mean() -> None:
    layer = nn.InstanceNorm(beta_initializer="ones")
    same(layer(values(3, 4)), np.ones((3, 4), "float32"))
    agree(layer, values(3, 4))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": 0}, "groups is a positive integer, or -1, got 0"),
        ({"groups": 1.5}, "groups is a positive integer, or -1, got 1.5"),
        ({"axis": 0}, "axis is an integer other than 0, which is the batch, got 0"),
        ({"axis": [1]}, "axis is an integer other than 0, which is the batch, got [1]"),
        ({"epsilon": -1}, "epsilon is a number that is at least 0, got -1"),
        ({"dtype": "int64"}, "dtype is a floating dtype, got 'int64'"),
    ],
)
def test_bad_arguments(options: Any, message: str) -> None:
    refused(lambda: nn.GroupNorm(**options), f"GroupNorm: {message}")


def test_bad_inputs() -> None:
    refused(
        lambda: nn.GroupNorm(4)(values(2, 3, 6)),
        "group_norm: GroupNorm has groups=4, which does not divide the 6 channels of the input "
        "[2, 3, 6]",
    )
    refused(
        lambda: nn.GroupNorm(2)(values(4)),
        "group_norm: GroupNorm takes a tensor [batch, ..., channels], got [4] with 1 dimension",
    )
    refused(
        lambda: nn.GroupNorm(2, axis=-2)(values(2, 4)),
        "group_norm: GroupNorm has axis=-2, which is the batch of 2 dimensions",
    )
    refused(
        lambda: gx.trace(nn.InstanceNorm(), gx.TensorSpec((2, 3, "channels"))),
        "instance_norm: InstanceNorm needs to know its number of channels to make its weights, but "
        "axis 2 of [2, 3, channels] is symbolic; give this dimension a number in the TensorSpec",
    )
    layer = nn.GroupNorm(2)
    layer(values(2, 3, 4))
    refused(
        lambda: layer(values(2, 3, 6)),
        "group_norm: GroupNorm was built for 4 channels, got [2, 3, 6] with 6 at axis 2",
    )


def test_inputs_are_converted_to_the_layers_dtype() -> None:
    layer = nn.GroupNorm(2)
    x = values(2, 3, 4, dtype="float16")
    same(layer(x), layer(x.astype("float32")))
    agree(layer, x)
    agree(nn.GroupNorm(2, dtype="float64"), x)
