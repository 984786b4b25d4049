"""Weights of all layers: paths, and saving and loading them as safetensors."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphctx as gx
from graphctx import nn
from tests.nn.common import same, values

PATHS = {
    "net/conv2d/kernel": (3, 3, 1, 4),
    "net/conv2d/bias": (4,),
    "net/batch_norm/gamma": (4,),
    "net/batch_norm/beta": (4,),
    "net/batch_norm/moving_mean": (4,),
    "net/batch_norm/moving_variance": (4,),
    "net/dense/kernel": (36, 5),
    "net/dense/bias": (5,),
    "net/layer_norm/gamma": (5,),
    "net/layer_norm/beta": (5,),
    "net/head/kernel": (5, 2),
}


def network(units: int = 5, *, head: bool = True) -> Any:
    layers = [
        nn.Conv2D(4, 3, activation="relu"),
        nn.BatchNorm(),
        nn.MaxPooling2D(),
        nn.Dropout(0.2),
        nn.Flatten(),
        nn.Dense(units),
        nn.LayerNorm(),
        nn.Activation("gelu"),
        nn.GaussianNoise(0.1),
    ]
    if head:
        layers.append(nn.Dense(2, use_bias=False, name="head"))
    return nn.Sequential(layers, name="net")


X = values(3, 8, 8, 1)


def test_paths() -> None:
    model = network()
    model(X)
    assert {path: weight.shape for path, weight in model.weights.items()} == PATHS
    assert model.count_params() == sum(int(np.prod(shape)) for shape in PATHS.values())
    assert [path for path in PATHS if "moving" not in path] == list(model.trainable_weights)


def test_saved_weights_are_loaded(tmp_path: Path) -> None:
    model, other = network(), network()
    model(X, training=True)
    other(X)
    assert not np.array_equal(model(X), other(X))
    model.save_weights(tmp_path / "weights.safetensors")
    other.load_weights(tmp_path / "weights.safetensors")
    same(other(X), model(X))
    for path, weight in model.weights.items():
        same(other.weights[path].numpy(), weight.numpy())


def test_what_does_not_match_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    model = network(head=False)
    model(X)
    model.save_weights(path)
    other = network(6)
    other(X)
    before = other(X)
    with pytest.raises(gx.WeightsError) as caught:
        other.load_weights(path)
    assert str(caught.value) == (
        f"net: {path} does not match the model's 11 weights\n"
        "  missing: net/head/kernel\n"
        "  misfit:\n"
        "    net/dense/kernel (file [36, 5], model [36, 6]),\n"
        "    net/dense/bias, net/layer_norm/gamma, net/layer_norm/beta (file [5], model [6])"
    )
    same(other(X), before)  # nothing was loaded
    full = network()
    full(X)
    full.save_weights(path)
    with pytest.raises(gx.WeightsError, match=r"  unexpected: net/head/kernel$"):
        model.load_weights(path)


def test_weights_that_are_not_made_yet(tmp_path: Path) -> None:
    model = network()
    model(X)
    model.save_weights(tmp_path / "weights.safetensors")
    with pytest.raises(gx.WeightsError, match="call or trace it once before loading"):
        network().load_weights(tmp_path / "weights.safetensors")


def test_a_file_that_is_none(tmp_path: Path) -> None:
    model = network()
    with pytest.raises(gx.WeightsError, match="missing: there is no such file"):
        model.load_weights(tmp_path / "missing")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(gx.WeightsError, match="text: not a file of weights"):
        model.load_weights(tmp_path / "text")


def test_tracing_makes_the_same_weights_as_calling() -> None:
    called, traced = network(), network()
    with gx.seed(3):
        called(X)
    with gx.seed(3):
        gx.trace(traced, gx.TensorSpec(("batch", 8, 8, 1)))
    for path, weight in called.weights.items():
        same(traced.weights[path].numpy(), weight.numpy())


def test_a_copy_is_a_model_of_its_own() -> None:
    model = network()
    model(X)
    other = copy.deepcopy(model)
    same(other(X), model(X))
    model(X, training=True)
    assert not np.array_equal(other(X), model(X))
    assert list(other.weights) == list(model.weights)
