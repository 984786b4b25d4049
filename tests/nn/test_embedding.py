"""`Embedding` and `ReversibleEmbedding`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphctx as gx
from graphctx import Layer, nn, ops
from tests.nn.common import agree, close, refused, same, text, values


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


# -- ReversibleEmbedding --------------------------------------------------------------------------


class Tied(Layer):
    """Embeds, and scores by the same vectors."""

    def __init__(self, **options: Any) -> None:
        self.embedding = nn.ReversibleEmbedding(7, 4, **options)

    def call(self, x: Any) -> Any:
        return self.embedding(ops.tanh(self.embedding(x)), reverse=True)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4)])
@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize("cap", [None, 0.5])
def test_reversible(shape: Any, tie: bool, cap: Any) -> None:
    model = Tied(tie_weights=tie, logit_soft_cap=cap)
    x = np.random.default_rng(0).integers(0, 7, shape)
    y = agree(model, x, tuple(range(len(shape))))
    vectors = model.embedding.embeddings.numpy()
    back = vectors.T if tie else model.embedding.reverse_embeddings.numpy()
    expected = np.tanh(vectors[x]) @ back
    close(y, expected if cap is None else np.tanh(expected / cap) * cap)
    names = ["embeddings"] if tie else ["embeddings", "reverse_embeddings"]
    assert [path.rpartition("/")[2] for path in model.weights] == names


def test_reverse_texts() -> None:
    layer = nn.ReversibleEmbedding(7, 4, name="e")
    graph = gx.trace(layer, gx.TensorSpec(("n", 4)), reverse=True)
    assert text(graph).splitlines()[1:] == [
        "  %1 = Gemm(x, @e/embeddings, transB=1)",
        "  return %1",
    ]
    graph = gx.trace(layer, gx.TensorSpec(("n", 3, 4)), reverse=True)
    assert text(graph).splitlines()[1:] == [
        "  %1 = Reshape(x, [-1, 4])",
        "  %2 = Gemm(%1, @e/embeddings, transB=1)",
        "  %3 = Reshape(%2, [-1, 3, 7])",
        "  return %3",
    ]


def test_the_way_back_in_another_dtype() -> None:
    layer = nn.ReversibleEmbedding(7, 4, reverse_dtype="float64")
    x = values(3, 4)
    y = layer(x, reverse=True)
    assert y.dtype == np.float64
    np.testing.assert_allclose(y, x.astype(float) @ layer.embeddings.numpy().T.astype(float))
    half = nn.ReversibleEmbedding(7, 4)(x.astype("float16"), reverse=True)
    assert half.dtype == np.float32


def test_an_embedding_tied_by_hand() -> None:
    class Model(Layer):
        def __init__(self) -> None:
            self.embedding = nn.Embedding(7, 4)

        def call(self, x: Any) -> Any:
            y = ops.tanh(self.embedding(x))
            return ops.matmul(y, ops.matrix_transpose(self.embedding.embeddings))

    agree(Model(), np.array([[0, 6, 2]]))
    assert list(Model().weights) == []


def test_reverse_errors() -> None:
    refused(
        lambda: nn.ReversibleEmbedding(3, 2, logit_soft_cap=0),
        "ReversibleEmbedding: logit_soft_cap=0 would make all logits 0; None is for no limit",
    )
    refused(
        lambda: nn.ReversibleEmbedding(3, 2, logit_soft_cap=-1),
        "ReversibleEmbedding: logit_soft_cap is a number that is at least 0, got -1",
    )
    refused(
        lambda: nn.ReversibleEmbedding(3, 2, reverse_dtype="int8"),
        "ReversibleEmbedding: dtype is a floating dtype, got 'int8'",
    )
    layer = nn.ReversibleEmbedding(3, 2)
    start = "reversible_embedding: ReversibleEmbedding"
    refused(
        lambda: layer(values(4, 3), reverse=True),
        f"{start} was built for 2 features, got [4, 3] with 3 at axis 1",
    )
    refused(
        lambda: layer(np.array(1.0), reverse=True),
        f"{start} takes a tensor [..., features], got [] with 0 dimensions",
    )
    refused(
        lambda: layer(values(4, 2)),
        f"{start} takes a tensor of integers, got float32; convert it with ops.astype(x, 'int32')",
    )
