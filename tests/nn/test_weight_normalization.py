"""`SpectralNorm` and `WeightNorm`."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import graphctx as gx
from graphctx import nn
from tests.nn.common import agree, close, refused, same, text, values

# -- SpectralNorm ---------------------------------------------------------------------------------


def test_training_approaches_the_largest_singular_value() -> None:
    layer = nn.SpectralNorm(nn.Dense(4))
    x = values(3, 5)
    layer(x)
    kernel = layer.weights["spectral_norm/kernel"]
    before = values(5, 4, seed=1)
    kernel.assign(before)
    for _ in range(40):
        y = layer(x, training=True)
    largest = np.linalg.svd(before, compute_uv=False)[0]
    close(kernel.numpy(), before / largest, 1e-3)
    close(y, x @ kernel.numpy())
    close(np.linalg.norm(layer.vector_u.numpy()), np.ones((), "float32"))


def test_one_step_is_its_definition() -> None:
    layer = nn.SpectralNorm(nn.Conv2D(4, 2), power_iterations=2)
    x = values(1, 3, 3, 2)
    expected = layer(x)
    same(layer(x, training=False), expected)  # changes nothing
    kernel = layer.weights["spectral_norm/kernel"]
    matrix, u = kernel.numpy().reshape(-1, 4).astype(float), layer.vector_u.numpy().astype(float)
    for _ in range(2):
        v = u @ matrix.T / np.linalg.norm(u @ matrix.T)
        u = v @ matrix / np.linalg.norm(v @ matrix)
    layer(x, training=True)
    close(layer.vector_u.numpy(), u)
    close(kernel.numpy(), (matrix / (v @ matrix @ u.T)).reshape(2, 2, 2, 4))


@pytest.mark.parametrize("inner", [nn.Dense(4), nn.Dense(1), nn.Dense(3, use_bias=False)])
def test_spectral_norm_program_equals_the_eager_call(inner: Any) -> None:
    model = nn.Sequential([nn.SpectralNorm(inner, 2), nn.SpectralNorm(nn.Dense(2))])
    agree(model, values(3, 5))


def test_spectral_norm_of_an_embedding() -> None:
    layer = nn.SpectralNorm(nn.Embedding(5, 3))
    x = np.array([[0, 3], [4, 1]])
    same(agree(layer, x), layer.weights["spectral_norm/embeddings"].numpy()[x])


def test_a_kernel_of_zeros_stays_so() -> None:
    layer = nn.SpectralNorm(nn.Dense(2, kernel_initializer="zeros"))
    layer(values(3, 4))
    u = layer.vector_u.numpy()
    same(layer(values(3, 4), training=True), np.zeros((3, 2), "float32"))
    same(layer.vector_u.numpy(), u)
    same(layer.weights["spectral_norm/kernel"].numpy(), np.zeros((4, 2), "float32"))


def test_spectral_norm_weights_and_texts() -> None:
    layer = nn.SpectralNorm(nn.Dense(2))
    graph = gx.trace(layer, gx.TensorSpec(("batch", 3)))
    assert list(layer.weights) == [
        "spectral_norm/kernel", "spectral_norm/vector_u", "spectral_norm/layer/bias",
    ]  # fmt: skip
    assert list(layer.trainable_weights) == list(layer.weights)[::2]
    assert text(gx.specialize(graph, training=False)) == (
        "graph spectral_norm (x: float32[batch, 3])\n"
        "  %1 = Gemm(x, @spectral_norm/kernel, @spectral_norm/layer/bias)\n"
        "  return %1"
    )
    assert text(gx.specialize(graph, training=True)) == (
        "graph spectral_norm (x: float32[batch, 3])\n"
        "  %1 = Transpose(@spectral_norm/kernel, perm=[1, 0])\n"
        "  %2 = MatMul(@spectral_norm/vector_u, %1)\n"
        "  %3 = LpNormalization(%2)\n"
        "  %4 = MatMul(%3, @spectral_norm/kernel)\n"
        "  %5 = LpNormalization(%4)\n"
        "  %6 = Transpose(%5, perm=[1, 0])\n"
        "  %7 = MatMul(%4, %6)\n"
        "  %8 = Equal(%7, 0)\n"
        "  %9 = Where(%8, 1, %7)\n"
        "  %10 = Reshape(%9, [])\n"
        "  %11 = Div(@spectral_norm/kernel, %10)\n"
        "  %12 = Gemm(x, %11, @spectral_norm/layer/bias)\n"
        "  %13 = Where(%8, @spectral_norm/vector_u, %5)\n"
        "  return %12\n"
        "  state @spectral_norm/vector_u = %13\n"
        "  state @spectral_norm/kernel = %11"
    )


# -- WeightNorm -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inner", "x", "axis"),
    [
        (nn.Dense(4), values(3, 5), -1),
        (nn.Dense(4), values(3, 5), 0),
        (nn.Conv2D(4, 2), values(2, 4, 4, 3), -1),
        (nn.Conv2D(4, 2), values(2, 4, 4, 3), 2),
        (nn.Embedding(6, 3), np.array([[0, 5], [2, 2]]), -1),
    ],
)
def test_weight_norm(inner: Any, x: Any, axis: int) -> None:
    layer = nn.WeightNorm(inner, axis)
    layer(x)
    name = "embeddings" if isinstance(inner, nn.Embedding) else "kernel"
    direction = layer.weights[f"weight_norm/layer/{name}"]
    v = values(*direction.shape, seed=1)
    others = tuple(i for i in range(v.ndim) if i != axis % v.ndim)
    norms = np.sqrt(np.square(v).sum(others, keepdims=True))
    g = values(direction.shape[axis], seed=2)
    direction.assign(v)
    layer.g.assign(g)
    wide = [-1 if i == axis % v.ndim else 1 for i in range(v.ndim)]
    plain = copy.deepcopy(inner)
    setattr(plain, name, gx.Variable(g.reshape(wide) * v / norms))
    close(agree(layer, x), plain(x), 1e-4)


def test_at_first_the_kernel_is_that_of_the_layer() -> None:
    x = values(3, 5)
    with gx.seed(1):
        layer = nn.WeightNorm(nn.Dense(4))
        y = layer(x)
    assert list(layer.weights) == [
        "weight_norm/layer/bias", "weight_norm/layer/kernel", "weight_norm/g",
    ]  # fmt: skip
    close(y, x @ layer.weights["weight_norm/layer/kernel"].numpy())
    assert all(variable.trainable for variable in layer.weights.values())


def test_weight_norm_is_that_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    x = values(3, 5)
    theirs = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(5, 4))
    ours = nn.WeightNorm(nn.Dense(4))
    ours(x)
    state = {name: array.detach().numpy() for name, array in theirs.state_dict().items()}
    g = state["parametrizations.weight.original0"].reshape(4) * 1.5
    with torch.no_grad():
        theirs.parametrizations.weight.original0[:] = torch.from_numpy(g.reshape(4, 1))
    ours.set_weights(
        {
            "weight_norm/g": g,
            "weight_norm/layer/kernel": state["parametrizations.weight.original1"].T,
            "weight_norm/layer/bias": state["bias"],
        }
    )
    close(ours(x), theirs(torch.from_numpy(x)).detach().numpy())


def test_a_compiled_kernel_is_computed_once() -> None:
    model = nn.WeightNorm(nn.Conv2D(4, 2), name="n")
    graph = gx.trace(model, gx.TensorSpec(("batch", 8, 8, 3)))
    assert text(graph) == (
        "graph n (x: float32[batch, 8, 8, 3])\n"
        "  %1 = Transpose(x, perm=[0, 3, 1, 2])\n"
        "  %2 = Reshape(@n/layer/kernel, [-1, 4])\n"
        "  %3 = LpNormalization(%2, axis=0)\n"
        "  %4 = Mul(%3, @n/g)\n"
        "  %5 = Reshape(%4, [2, 2, 3, 4])\n"
        "  %6 = Transpose(%5, perm=[3, 2, 0, 1])\n"
        "  %7 = Conv(%1, %6, @n/layer/bias)\n"
        "  %8 = Transpose(%7, perm=[0, 2, 3, 1])\n"
        "  return %8"
    )
    names = [node.name for node in gx.compile(graph).graph.nodes if node.kind == "op"]
    assert names == ["Transpose", "Conv", "Transpose"]


def test_a_copy_is_a_layer_of_its_own() -> None:
    layer = nn.WeightNorm(nn.Dense(4))
    x = values(3, 5)
    y = layer(x)
    other = copy.deepcopy(layer)
    layer.g.assign(layer.g.numpy() * 2)
    same(other(x), y)
    assert not np.array_equal(layer(x), y)


# -- both -----------------------------------------------------------------------------------------


def test_a_kernel_is_normalized_once() -> None:
    dense = nn.Dense(3)
    for outer in (nn.SpectralNorm, nn.WeightNorm):
        for inner in (nn.SpectralNorm, nn.WeightNorm):
            wrapper = inner(dense)
            refused(
                lambda outer=outer, wrapper=wrapper: outer(wrapper),  # type: ignore[misc]
                f"{outer.__name__}: wraps a layer with a kernel of its own, got {wrapper!r}, which "
                f"wraps <Dense dense>",
            )
    nn.WeightNorm(dense)(values(2, 4))
    refused(
        lambda: nn.WeightNorm(dense)(values(2, 4)),
        "weight_norm: WeightNorm wraps <Dense dense>, whose kernel a WeightNorm normalizes "
        "already; give each a layer of its own",
    )


def test_what_the_layer_inside_refuses_names_it() -> None:
    refused(
        lambda: nn.SpectralNorm(nn.Dense(3))(values(4)),
        "spectral_norm/layer: Dense takes a tensor [batch, ..., features], got [4] with 1 "
        "dimension; add a batch dimension: x[None, :]",
    )


def test_errors() -> None:
    not_a_layer: Any = 3
    a_class: Any = nn.Dense
    for kind in (nn.SpectralNorm, nn.WeightNorm):
        name = kind.__name__
        refused(lambda kind=kind: kind(not_a_layer), f"{name}: wraps a layer, got 3")  # type: ignore[misc]
        refused(
            lambda kind=kind: kind(a_class),  # type: ignore[misc]
            f"{name}: wraps a layer, got {a_class!r}; create it first",
        )
        refused(
            lambda kind=kind: kind(nn.Flatten(), name="n")(values(2, 3)),  # type: ignore[misc]
            f"n: {name} wraps a layer with a weight 'kernel' or 'embeddings', which Flatten does "
            f"not have",
        )
    refused(
        lambda: nn.SpectralNorm(nn.Dense(2), 0),
        "SpectralNorm: power_iterations is a positive integer, got 0",
    )
    refused(
        lambda: nn.WeightNorm(nn.Dense(2), axis="out"),  # type: ignore[arg-type]
        "WeightNorm: axis is an integer, got 'out'",
    )
    refused(
        lambda: nn.WeightNorm(nn.Dense(2), axis=2)(values(3, 4)),
        "weight_norm: WeightNorm has axis=2, which an input of 2 dimensions does not have",
    )
