"""All layers together: sequential, functional, in a larger model."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import graphctx as gx
from graphctx import Layer, nn
from tests.nn.common import SEED, agree, same, values

X = values(3, 8, 8, 2)


def sequential() -> Layer:
    return nn.Sequential(
        [
            nn.GaussianNoise(0.1),
            nn.Conv2D(4, 3, padding="same", activation="relu"),
            nn.BatchNorm(),
            nn.MaxPooling2D(),
            nn.Lambda(lambda x, training=False: x * 2 if training else x),
            nn.Conv2D(3, 2, strides=2, activation=nn.Activation("gelu")),
            nn.AveragePooling2D(2, 1, "same"),
            nn.Flatten(),
            nn.LayerNorm(),
            nn.Dropout(0.3),
            nn.Dense(4, activation="softmax"),
        ]
    )


def functional() -> Layer:
    x = gx.Input((8, 8, 2), name="x")
    left = nn.BatchNorm(axis=-1)(x)
    right = nn.Dropout(0.5)(nn.Conv2D(2, 1)(x))
    y = nn.GlobalAveragePooling2D()(left + right)
    return gx.Model(x, nn.Dense(3)(nn.LayerNorm()(y)))


class Towers(Layer):
    """Two towers with a shared layer, one of them never trained."""

    def __init__(self) -> None:
        self.shared = nn.Sequential([nn.Flatten(), nn.Dense(5), nn.Dropout(0.5)])
        self.norms = [nn.BatchNorm(), nn.BatchNorm()]

    def call(self, x: Any) -> Any:
        student = self.norms[0](self.shared(x))
        teacher = self.norms[1](self.shared(x, training=False), training=False)
        return student - teacher


@pytest.mark.parametrize("make", [sequential, functional, Towers])
def test_program_equals_the_eager_call(make: Any) -> None:
    agree(make(), X)
    agree(make(), X[:1])


def test_one_program_serves_every_batch_size() -> None:
    model = sequential()
    program = gx.compile(gx.trace(model, gx.TensorSpec(("batch", 8, 8, 2))), training=True)
    for size in (1, 2, 5):
        x = values(size, 8, 8, 2)
        before = {path: weight.numpy() for path, weight in model.weights.items()}
        with gx.seed(SEED):
            expected = model(x, training=True)
        model.set_weights(before)
        same(program(x, seed=SEED), expected)


def test_image_sizes_may_be_symbolic() -> None:
    model = nn.Sequential(
        [
            nn.Conv2D(4, 3, padding="same", strides=2, activation="relu"),
            nn.BatchNorm(),
            nn.MaxPooling2D(padding="same"),
            nn.Conv2D(4, 2),
            nn.GlobalMaxPooling2D(),
            nn.Dense(2),
        ]
    )
    program = gx.compile(gx.trace(model, gx.TensorSpec(("batch", "height", "width", 2))))
    for height, width in [(8, 8), (9, 7), (15, 12)]:
        x = values(2, height, width, 2)
        np.testing.assert_allclose(program(x), model(x), rtol=1e-5, atol=1e-6)


def test_the_exported_names() -> None:
    kinds = {name: kind for name, kind in vars(nn).items() if isinstance(kind, type)}
    assert all(issubclass(kind, Layer) and kind.__doc__ for kind in kinds.values())
    for family in {inspect.getmodule(kind) for kind in kinds.values()}:
        names = {name for name, kind in kinds.items() if inspect.getmodule(kind) is family}
        assert names == set(vars(family)["__all__"])
