"""`Embedding`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphctx as gx
from graphctx import nn
from tests.nn.common import agree, refused, same, text, values


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4), ()])
@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "uint64"])
def test_formula(shape: Any, dtype: str) -> None:
    layer = nn.Embedding(7, 4)
    x = np.random.default_rng(0).integers(0, 7, shape).astype(dtype)
    y = layer(x)
    same(y, layer.embeddings.numpy()[x])
    same(agree(layer, np.asarray(x), tuple(range(len(shape)))), y)


def test_weights() -> None:
    model = nn.Sequential([nn.Embedding(7, 4)])
    model(np.zeros((2, 3), "int32"))
    assert list(model.weights) == ["sequential/embedding/embeddings"]
    embeddings = model.weights["sequential/embedding/embeddings"]
    assert embeddings.shape == (7, 4)
    assert np.abs(embeddings.numpy()).max() <= 0.05


def test_text() -> None:
    graph = gx.trace(nn.Embedding(7, 4), gx.TensorSpec(("batch", "time"), "int32"))
    assert text(graph) == (
        "graph embedding (x: int32[batch, time])\n"
        "  %1 = Gather(@embedding/embeddings, x)\n"
        "  return %1"
    )


def test_dtype_of_the_vectors() -> None:
    assert nn.Embedding(3, 2, dtype="float64")(np.zeros(2, int)).dtype == np.float64


@pytest.mark.parametrize("index", [7, -8])
def test_an_index_out_of_range(index: int) -> None:
    layer = nn.Embedding(7, 4)
    with pytest.raises(gx.ShapeError, match=f"embedding: Gather.*: index {index} is out of range"):
        layer(np.array([index]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_dim": 0}, "Embedding: input_dim is a positive integer, got 0"),
        ({"output_dim": -2}, "Embedding: output_dim is a positive integer, got -2"),
        ({"dtype": "int32"}, "Embedding: dtype is a floating dtype, got 'int32'"),
    ],
)
def test_bad_arguments(options: Any, message: str) -> None:
    refused(lambda: nn.Embedding(**{"input_dim": 3, "output_dim": 2, **options}), message)


def test_bad_inputs() -> None:
    layer = nn.Embedding(3, 2)
    message = (
        "embedding: Embedding takes a tensor of integers, got float32; convert it with "
        "ops.astype(x, 'int32')"
    )
    refused(lambda: layer(values(2)), message)
    refused(lambda: gx.trace(layer, gx.TensorSpec((2,))), message)
    refused(lambda: layer([1, 2]), "embedding: Embedding takes one tensor of integers, got a list")
