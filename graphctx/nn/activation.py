"""Activation functions by Keras's names, and the layer that applies one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphctx import ops
from graphctx.errors import LayerError, listing, suggest
from graphctx.layer import Layer
from graphctx.nn.arguments import bad

__all__ = ["Activation"]

Function = Callable[[Any], Any]


def leaky_relu(x: Any) -> Any:
    """`x` where it is positive, else `0.2 * x`: Keras's slope, where ONNX's default is 0.01."""
    return ops.leaky_relu(x, alpha=0.2)


ACTIVATIONS: dict[str, Function] = {
    "celu": ops.celu,
    "elu": ops.elu,
    "exponential": ops.exponential,
    "gelu": ops.gelu,
    "glu": ops.glu,
    "hard_shrink": ops.hard_shrink,
    "hard_sigmoid": ops.hard_sigmoid,
    "hard_silu": ops.hard_silu,
    "hard_swish": ops.hard_silu,
    "hard_tanh": ops.hard_tanh,
    "leaky_relu": leaky_relu,
    "linear": ops.linear,
    "log_sigmoid": ops.log_sigmoid,
    "log_softmax": ops.log_softmax,
    "mish": ops.mish,
    "relu": ops.relu,
    "relu6": ops.relu6,
    "selu": ops.selu,
    "sigmoid": ops.sigmoid,
    "silu": ops.silu,
    "soft_shrink": ops.soft_shrink,
    "softmax": ops.softmax,
    "softplus": ops.softplus,
    "softsign": ops.softsign,
    "sparse_plus": ops.sparse_plus,
    "sparse_sigmoid": ops.sparse_sigmoid,
    "squareplus": ops.squareplus,
    "swish": ops.silu,
    "tanh": ops.tanh,
    "tanh_shrink": ops.tanh_shrink,
}
"""Keras's names; parameters of a function, such as the slope of `leaky_relu`, as in Keras."""


def get_activation(activation: Any, layer: Layer | None = None) -> Function:
    """Return the function of an `activation=` argument.

    Args:
        activation: a name in `ACTIVATIONS`, a layer, a function of one tensor, or None, which is
            `linear`.
        layer: whose argument it is, for the error.

    Raises:
        LayerError: an unknown name, a layer's class, or something that cannot be called.
    """
    if activation is None:
        return ops.linear
    if isinstance(activation, str):
        if activation in ACTIVATIONS:
            return ACTIVATIONS[activation]
        what = (
            f"unknown activation {activation!r}{suggest(activation, ACTIVATIONS)} "
            f"(known: {listing(ACTIVATIONS)})"
        )
    elif isinstance(activation, type):
        what = f"activation is the class {activation.__name__}; create it first"
    elif callable(activation):
        function: Function = activation
        return function
    else:
        what = (
            f"activation is a name, a layer or a function, got {type(activation).__name__} "
            f"{activation!r}"
        )
    raise LayerError(what) if layer is None else bad(layer, what)


class Activation(Layer):
    """Applies an activation function.

    Args:
        activation: a name in `graphctx.nn.activation.ACTIVATIONS` such as `"relu"`, a layer, or a
            function of one tensor.
        name: of the layer.

    Input and output have one shape, but for `"glu"`, which halves the last axis; softmax runs
    along the last axis.

    Raises:
        LayerError: an unknown activation.
    """

    def __init__(self, activation: Any, *, name: str | None = None) -> None:
        self.name = name
        self.activation = get_activation(activation, self)

    def call(self, x: Any) -> Any:
        """Apply the function to a tensor of any shape."""
        return self.activation(x)
