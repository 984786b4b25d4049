"""`Activation`, and the functions by Keras's names."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import graphctx as gx
from graphctx import Layer, nn, ops
from graphctx.nn.activation import ACTIVATIONS, get_activation
from tests.nn.common import agree, close, refused, same, text, values

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _softmax(x: Any) -> Any:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _glu(x: Any) -> Any:
    a, b = np.split(x, 2, -1)
    return a * _sigmoid(b)


FORMULAS: dict[str, Any] = {
    "celu": lambda x: np.maximum(x, 0) + np.minimum(np.expm1(x), 0),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "exponential": np.exp,
    "gelu": lambda x: x / 2 * (1 + np.vectorize(math.erf)(x / np.sqrt(2))),
    "glu": _glu,
    "hard_shrink": lambda x: np.where(np.abs(x) > 0.5, x, 0),
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hard_silu": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "hard_swish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "linear": lambda x: x,
    "log_sigmoid": lambda x: np.log(_sigmoid(x)),
    "log_softmax": lambda x: np.log(_softmax(x)),
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "relu": lambda x: np.where(x > 0, x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "selu": lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(x)),
    "sigmoid": _sigmoid,
    "silu": lambda x: x * _sigmoid(x),
    "soft_shrink": lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
    "softmax": _softmax,
    "softplus": lambda x: np.log1p(np.exp(x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "sparse_plus": lambda x: np.where(x <= -1, 0, np.where(x < 1, (x + 1) ** 2 / 4, x)),
    "sparse_sigmoid": lambda x: np.clip((x + 1) / 2, 0, 1),
    "squareplus": lambda x: (x + np.sqrt(x**2 + 4)) / 2,
    "swish": lambda x: x * _sigmoid(x),
    "tanh": np.tanh,
    "tanh_shrink": lambda x: x - np.tanh(x),
}


def test_every_name_has_a_formula_here() -> None:
    assert set(FORMULAS) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_formula(name: str) -> None:
    x = np.concatenate([values(5, 6) * 4, np.zeros((1, 6), "float32")])
    layer = nn.Activation(name)
    close(layer(x), FORMULAS[name](x.astype(float)))
    agree(layer, x)


def test_a_function_or_a_layer() -> None:
    x = values(3, 4)
    close(nn.Activation(ops.tanh)(x), np.tanh(x))
    close(nn.Activation(lambda y: y * y)(x), x * x)

    class Shift(Layer):
        def __init__(self) -> None:
            self.offset = gx.Variable(np.float32(2))

        def call(self, x: Any) -> Any:
            return x + self.offset

    layer = nn.Activation(Shift())
    same(agree(layer, x), x + np.float32(2))
    assert list(layer.weights) == ["activation/activation/offset"]


def test_none_is_linear() -> None:
    x = values(3, 4)
    assert nn.Activation(None)(x) is x
    assert text(gx.trace(nn.Activation("linear"), gx.TensorSpec((2,)))) == (
        "graph activation (x: float32[2])\n  return x"
    )


def test_errors() -> None:
    with pytest.raises(gx.LayerError) as caught:
        nn.Activation("sofmax", name="out")
    message = (
        "Activation 'out': unknown activation 'sofmax'; did you mean 'softmax'? (known: 'celu'"
    )
    assert str(caught.value).startswith(message)
    with pytest.raises(gx.LayerError, match=r"^unknown activation 'zzz' "):
        get_activation("zzz")
    refused(
        lambda: nn.Activation(nn.Dense),
        "Activation: activation is the class Dense; create it first",
    )
    refused(
        lambda: nn.Activation(2.5),
        "Activation: activation is a name, a layer or a function, got float 2.5",
    )
