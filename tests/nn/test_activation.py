"""Activation functions by Keras's names, and layers that apply them."""

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


def test_identity() -> None:
    x = values(3, 4)
    assert nn.Identity()(x) is x
    nest = {"a": x, "b": [x]}
    assert nn.Identity()(nest) is nest
    agree(nn.Identity(), x)


# -- functions with arguments ---------------------------------------------------------------------

X = np.concatenate([values(5, 6) * 4, np.zeros((1, 6), "float32"), np.ones((1, 6), "float32")])


@pytest.mark.parametrize("max_value", [None, 0, 2.5, 6])
@pytest.mark.parametrize("slope", [0, 0.3, 1.5])
@pytest.mark.parametrize("threshold", [0, 1.0])
def test_relu(max_value: Any, slope: float, threshold: float) -> None:
    layer = nn.ReLU(max_value, slope, threshold)
    expected = np.where(threshold < X, X, slope * (X - threshold))
    if max_value is not None:
        expected = np.where(max_value <= X, np.minimum(expected, max_value), expected)
    close(agree(layer, X), expected)


@pytest.mark.parametrize("slope", [0, 0.3, 1.5])
def test_leaky_relu(slope: float) -> None:
    close(agree(nn.LeakyReLU(slope), X), np.where(X > 0, X, slope * X))


@pytest.mark.parametrize("alpha", [1, 0.4, -1.5])
def test_elu(alpha: float) -> None:
    close(agree(nn.ELU(alpha), X), np.where(X > 0, X, alpha * np.expm1(X)))


def test_texts() -> None:
    spec = gx.TensorSpec(("n", 4))
    for layer, lines in [
        (nn.ReLU(), ["%1 = Relu(x)"]),
        (nn.ReLU(6), ["%1 = Clip(x, 0, 6)"]),
        (nn.ReLU(negative_slope=0.5), ["%1 = LeakyRelu(x, alpha=0.5)"]),
        (nn.ReLU(threshold=2), ["%1 = ThresholdedRelu(x, alpha=2)"]),
        (nn.LeakyReLU(), ["%1 = LeakyRelu(x, alpha=0.3)"]),
        (nn.ELU(), ["%1 = Elu(x)"]),
        (nn.Softmax(), ["%1 = Softmax(x, axis=1)"]),
        (nn.PReLU(name="p"), ["%1 = PRelu(x, @p/alpha)"]),
    ]:
        assert text(gx.trace(layer, spec)).splitlines()[1:-1] == [f"  {line}" for line in lines]


@pytest.mark.parametrize(
    ("shape", "shared", "alpha"),
    [
        ((3, 4), None, (4,)),
        ((3,), None, ()),
        ((2, 3, 4, 5), [1, 2], (1, 1, 5)),
        ((2, 3, 4, 5), -1, (3, 4, 1)),
        ((2, 3), (1,), (1,)),
    ],
)
def test_prelu(shape: Any, shared: Any, alpha: Any) -> None:
    x = values(*shape)
    layer = nn.PReLU("random_normal", shared)
    y = layer(x)
    assert layer.alpha.shape == alpha
    close(y, np.where(x > 0, x, layer.alpha.numpy() * x))
    agree(layer, x, tuple(i for i in range(len(shape)) if i == 0 or alpha[i - 1] == 1))
    assert list(layer.trainable_weights) == ["p_re_lu/alpha"]


@pytest.mark.parametrize("axis", [-1, 0, (1, 2), [0, -1], (0, 1, 2)])
@pytest.mark.parametrize("masked", [None, (2, 3, 4), (4,), (3, 1)])
def test_softmax(axis: Any, masked: Any) -> None:
    x = values(2, 3, 4)
    mask = None if masked is None else np.random.default_rng(0).random(masked) < 0.6
    axes = axis if isinstance(axis, int) else tuple(axis)
    kept = np.ones(x.shape, bool) if mask is None else np.broadcast_to(mask, x.shape)
    e = np.where(kept, np.exp(x), 0)
    total = e.sum(axes, keepdims=True)
    expected = np.divide(e, total, where=total > 0, out=np.zeros_like(e))
    layer = nn.Softmax(axis)
    close(layer(x, mask=mask), expected)
    if mask is None:
        agree(layer, x, (0, 1, 2))
        return
    names = [n if n == 1 else name for n, name in zip(mask.shape[::-1], "cba", strict=False)][::-1]
    spec = gx.TensorSpec(names, "bool")
    program = gx.compile(gx.trace(layer, gx.TensorSpec(("a", "b", "c")), mask=spec))
    same(program(x, mask=mask), layer(x, mask=mask))


def test_softmax_masks_of_numbers_and_half_precision() -> None:
    x = values(2, 3)
    mask = np.array([[0, 1, 1], [0.2, 0.7, 0.5]], "float32")
    same(nn.Softmax()(x, mask=mask), nn.Softmax()(x, mask=mask > 0.5))
    half = x.astype("float16")
    y = nn.Softmax()(half, mask=mask > 0.5)
    assert y.dtype == np.float16
    assert y[0, 0] == 0
    same(nn.Softmax()(half, mask=np.zeros(3, bool)), np.zeros_like(half))


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (nn.ReLU, {"max_value": -1}, "max_value is a number that is at least 0, got -1"),
        (nn.ReLU, {"negative_slope": -1}, "negative_slope is a number that is at least 0, got -1"),
        (nn.ReLU, {"threshold": -2}, "threshold is a number that is at least 0, got -2"),
        (
            nn.LeakyReLU, {"negative_slope": -1},
            "negative_slope is a number that is at least 0, got -1",
        ),
        (nn.ELU, {"alpha": None}, "alpha is a number, got None"),
        (nn.PReLU, {"shared_axes": "a"}, "shared_axes is an integer or a list of them, got 'a'"),
        (nn.PReLU, {"shared_axes": [0]}, "shared_axes names 0, the batch, which has no alpha: [0]"),
        (nn.PReLU, {"dtype": "int32"}, "dtype is a floating dtype, got 'int32'"),
        (nn.Softmax, {"axis": "last"}, "axis is an integer or a list of them, got 'last'"),
    ],
)  # fmt: skip
def test_bad_arguments(kind: Any, options: Any, message: str) -> None:
    refused(lambda: kind(**options), f"{kind.__name__}: {message}")


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.Softmax(2), "has axis=2, which an input of 2 dimensions does not have"),
        (nn.Softmax((0, -2)), "has axis=(0, -2), which names an axis twice"),
        (nn.PReLU(shared_axes=2), "has axis=2, which an input of 2 dimensions does not have"),
    ],
)
def test_axes_that_are_not_there(layer: Any, message: str) -> None:
    refused(lambda: layer(values(2, 3)), f"{layer.name}: {type(layer).__name__} {message}")


@pytest.mark.parametrize("kind", [nn.ReLU, nn.LeakyReLU, nn.ELU, nn.Softmax])
def test_inputs_that_are_no_floats(kind: Any) -> None:
    start = f"layer: {kind.__name__} takes"
    refused(
        lambda: kind(name="layer")(np.arange(3)),
        f"{start} a tensor of floats, got int64; convert it with ops.astype(x, 'float32')",
    )
    refused(lambda: kind(name="layer")([1.0]), f"{start} one tensor, got a list of 1")


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones((2, 2)), "that broadcasts to [2, 3], got [2, 2]"),
        (np.ones((1, 2, 3)), "that broadcasts to [2, 3], got [1, 2, 3]"),
        ([True], "of bools, got a list of 1"),
        (np.array(["a"]), "of bools, got <U1"),
    ],
)
def test_bad_masks(mask: Any, message: str) -> None:
    layer = nn.Softmax()
    refused(lambda: layer(values(2, 3), mask=mask), f"softmax: Softmax takes a mask {message}")


def test_inputs_that_prelu_was_not_built_for() -> None:
    layer = nn.PReLU(shared_axes=1)
    layer(values(2, 3, 4))
    refused(
        lambda: layer(values(2, 3, 5)),
        "p_re_lu: PReLU was built for inputs of sizes [1, 4] (1 for any) after the batch, got "
        "[2, 3, 5]",
    )
    refused(
        lambda: gx.trace(nn.PReLU(), gx.TensorSpec((2, "n"))),
        "p_re_lu: PReLU needs to know its sizes but the batch to make its weights, but axis 1 of "
        "[2, n] is symbolic; give this dimension a number in the TensorSpec",
    )
