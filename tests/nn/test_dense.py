"""`Dense`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphctx as gx
from graphctx import nn
from tests.nn.common import agree, close, refused, same, text, values


@settings(max_examples=30)
@given(
    lead=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    features=st.integers(1, 6),
    units=st.integers(1, 6),
    use_bias=st.booleans(),
)
def test_formula(lead: list[int], features: int, units: int, use_bias: bool) -> None:
    x = values(*lead, features)
    layer = nn.Dense(units, use_bias=use_bias, bias_initializer="random_normal")
    y = layer(x)
    expected = np.einsum("...i,io->...o", x.astype(float), layer.kernel.numpy().astype(float))
    if use_bias:
        assert layer.bias is not None
        expected = expected + layer.bias.numpy()
    else:
        assert layer.bias is None
    close(y, expected)


@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 5), (2, 2, 3, 5)])
@pytest.mark.parametrize("options", [{}, {"use_bias": False}, {"activation": "tanh"}])
def test_program_equals_the_eager_call(shape: Any, options: Any) -> None:
    agree(nn.Dense(4, **options), values(*shape), tuple(range(len(shape) - 1)))


def test_rank_2_is_one_gemm() -> None:
    layer = nn.Dense(4, activation="relu")
    assert text(gx.trace(layer, gx.TensorSpec(("batch", 8)))) == (
        "graph dense (x: float32[batch, 8])\n"
        "  %1 = Gemm(x, @dense/kernel, @dense/bias)\n"
        "  %2 = Relu(%1)\n"
        "  return %2"
    )


def test_higher_rank_is_matmul_and_add() -> None:
    layer = nn.Dense(4)
    assert text(gx.trace(layer, gx.TensorSpec(("batch", "time", 8)))) == (
        "graph dense (x: float32[batch, time, 8])\n"
        "  %1 = MatMul(x, @dense/kernel)\n"
        "  %2 = Add(%1, @dense/bias)\n"
        "  return %2"
    )


def test_one_layer_serves_several_ranks() -> None:
    layer = nn.Dense(3)
    x = values(2, 4, 5)
    close(layer(x)[0], layer(x[0]))


@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool", "float16", "float64"])
def test_inputs_are_converted_to_the_layers_dtype(dtype: str) -> None:
    layer = nn.Dense(3)
    x = np.abs(values(4, 5) * 3).astype(dtype)
    same(layer(x), layer(x.astype("float32")))
    agree(layer, x)


def test_a_layer_in_float64() -> None:
    layer = nn.Dense(3, dtype="float64")
    x = values(4, 5)
    assert layer(x).dtype == np.float64
    assert layer.kernel.dtype == np.float64
    agree(layer, x)


def test_an_activation_may_be_a_layer_or_a_function() -> None:
    x = values(4, 5)
    inner = nn.Activation("tanh")
    layer = nn.Dense(3, activation=inner)
    close(layer(x), np.tanh(x @ layer.kernel.numpy()))
    assert layer.layers == [inner]
    assert "dense/activation" in [call.path for call in gx.trace(layer, x).calls]
    layer = nn.Dense(3, activation=lambda y: y * 2)
    close(layer(x), x @ layer.kernel.numpy() * 2)


def test_weights_have_names_and_reproducible_values() -> None:
    def kernels() -> list[Any]:
        model = nn.Sequential([nn.Dense(3), nn.Dense(3, name="head"), nn.Dense(3)])
        with gx.seed(5):
            model(values(2, 3))
        assert list(model.weights) == [
            "sequential/dense/kernel", "sequential/dense/bias",
            "sequential/head/kernel", "sequential/head/bias",
            "sequential/dense_1/kernel", "sequential/dense_1/bias",
        ]  # fmt: skip
        assert all(weight.trainable for weight in model.weights.values())
        return [weight.numpy() for path, weight in model.weights.items() if "kernel" in path]

    first, again = kernels(), kernels()
    for a, b in zip(first, again, strict=True):
        same(a, b)
    assert not np.array_equal(first[0], first[2])
    limit = np.sqrt(6 / 6)
    assert all(np.abs(kernel).max() <= limit for kernel in first)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"units": 0}, "Dense: units is a positive integer, got 0"),
        ({"units": -3}, "Dense: units is a positive integer, got -3"),
        ({"units": 2.5}, "Dense: units is a positive integer, got 2.5"),
        ({"units": True}, "Dense: units is a positive integer, got True"),
        ({"units": -3, "name": "head"}, "Dense 'head': units is a positive integer, got -3"),
        ({"units": 2, "dtype": "int32"}, "Dense: dtype is a floating dtype, got 'int32'"),
        (
            {"units": 2, "activation": nn.Dense},
            "Dense: activation is the class Dense; create it first",
        ),
        (
            {"units": 2, "activation": 3},
            "Dense: activation is a name, a layer or a function, got int 3",
        ),
        (
            {"units": 2, "name": "a b"},
            "a layer's name is made of letters, digits, '_', '-' and '.', got 'a b'",
        ),
    ],
)
def test_bad_arguments(options: Any, message: str) -> None:
    refused(lambda: nn.Dense(**options), message)


def test_an_unknown_activation_suggests_the_nearest() -> None:
    with pytest.raises(
        gx.LayerError, match="Dense: unknown activation 'rellu'; did you mean 'relu'"
    ):
        nn.Dense(2, activation="rellu")


def test_an_unknown_initializer() -> None:
    layer = nn.Sequential([nn.Dense(2, kernel_initializer="glorot")])
    message = "sequential/dense/kernel: unknown initializer 'glorot'; did you mean 'glorot"
    with pytest.raises(gx.LayerError, match=message):
        layer(values(2, 3))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            values(5),
            (
                "model/dense: Dense takes a tensor [batch, ..., features], got [5] with 1 "
                "dimension; add a batch dimension: x[None, :]"
            ),
        ),
        (
            [values(2, 5), values(2, 5)],
            "model/dense: Dense takes one tensor [batch, ..., features], got a list of 2",
        ),
        (
            values(2, 5).astype(complex),
            "model/dense: Dense takes a tensor of numbers, got complex128",
        ),
        (
            np.array([["a", "b"]], object),
            "model/dense: Dense takes a tensor of numbers, got string",
        ),
    ],
)
def test_bad_inputs(x: Any, message: str) -> None:
    refused(lambda: nn.Sequential([nn.Dense(2)], name="model")(x), message)


def test_another_number_of_features() -> None:
    model = nn.Sequential([nn.Dense(2)], name="model")
    model(values(3, 5))
    message = (
        "model/dense: Dense was built for 5 features, got [3, 4] with 4; use another layer for "
        "inputs of another size"
    )
    refused(lambda: model(values(3, 4)), message)
    refused(lambda: gx.trace(model, gx.TensorSpec((3, 4))), message)
    refused(
        lambda: model(values(5)),
        "model/dense: Dense takes a tensor [batch, ..., features], got [5] with 1 dimension; add "
        "a batch dimension: x[None, :]",
    )


def test_a_symbolic_number_of_features() -> None:
    refused(
        lambda: gx.trace(nn.Dense(2), gx.TensorSpec(("batch", "features"))),
        "dense: Dense needs to know its number of features to make its weights, but axis 1 of "
        "[batch, features] is symbolic; give this dimension a number in the TensorSpec",
    )
