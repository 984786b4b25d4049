"""All layers together: sequential, functional, in a larger model."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import graphctx as gx
from graphctx import Layer, nn
from tests.nn.common import SEED, agree, refused, same, values

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


# -- what models refuse ---------------------------------------------------------------------------


def test_what_a_sequential_refuses() -> None:
    refused(
        lambda: nn.Sequential(nn.Dense(2)),
        "sequential: Sequential takes a list of layers, got <Dense dense>",
    )
    with pytest.raises(gx.LayerError, match="; leave an Input out: sizes are those of the first"):
        nn.Sequential([gx.Input((4,)), nn.Dense(2)])
    model = nn.Sequential()
    refused(lambda: model.add(model), "sequential: a Sequential cannot hold itself")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: gx.Model(X, X),
            "the inputs of a Model are what Input() returned, got a ndarray",
        ),
        (
            lambda: gx.Model(gx.Input((4,)), X),
            "a Model has outputs that are tensors, made by Input() and layers",
        ),
        (
            lambda: gx.Model([], gx.Input((4,))),
            "a Model has inputs that are tensors, made by Input() and layers",
        ),
        (
            lambda: (lambda x: gx.Model([x, x], x))(gx.Input((4,))),
            "an Input is listed twice among the inputs of a Model",
        ),
        (
            lambda: gx.Input(4),  # type: ignore[arg-type]
            "Input() takes a shape without the batch dimension, such as (64,), got 4",
        ),
    ],
)
def test_what_a_functional_model_is_not_made_of(make: Any, message: str) -> None:
    refused(make, message)


def difference(names: tuple[str | None, str | None], kind: type = list) -> Layer:
    """A functional model of two inputs."""
    a, b = (gx.Input((4,), name=name) for name in names)
    inputs = {"a": a, "b": b} if kind is dict else [a, b]
    return gx.Model(inputs, a - b, name="net")


def test_a_functional_model_takes_its_inputs_by_name() -> None:
    a, b = values(2, 4), values(2, 4, seed=1)
    for model in (difference(("a", "b")), difference((None, None), dict)):
        for order in ({"a": a, "b": b}, {"b": b, "a": a}):
            same(model(order), a - b)
        refused(
            lambda model=model: model({"a": a, "c": b}),  # type: ignore[misc]
            "net: the model takes inputs 'a', 'b', got 'a', 'c'",
        )
    refused(
        lambda: difference(("a", "b"))([a]),
        "net: the model takes 2 inputs ('a', 'b'), got 1 arrays",
    )


def test_a_functional_model_takes_inputs_of_the_sizes_declared() -> None:
    image = gx.Input((4, 4, 1), name="image")
    model = gx.Model(image, nn.Activation("relu")(image), name="net")
    refused(
        lambda: model(values(2, 4, 5, 1)),
        "net: input 'image' is [batch, 4, 4, 1], got [2, 4, 5, 1]",
    )
    graph = gx.trace(model, gx.TensorSpec(("batch", "height", "width", 1)))  # is free to vary
    assert gx.compile(graph)(values(2, 4, 5, 1)).shape == (2, 4, 5, 1)
