"""Activation functions by Keras's names, and layers that apply them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphctx import ops
from graphctx.errors import LayerError, listing, suggest
from graphctx.layer import Layer, Variable
from graphctx.nn.arguments import (
    as_floats,
    axis_tuple,
    bad,
    bad_call,
    float_dtype,
    known_size,
    normal_axes,
    number,
    require_mask,
    require_shape,
)
from graphctx.spec import same_dim, shape_text

__all__ = ["ELU", "Activation", "Identity", "LeakyReLU", "PReLU", "ReLU", "Softmax"]

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


class Identity(Layer):
    """Returns what it is given: a place where another model has a layer.

    Args:
        name: of the layer.

    Input and output any tensor, or nest of tensors.
    """

    def __init__(self, *, name: str | None = None) -> None:
        self.name = name

    def call(self, x: Any) -> Any:
        """Return x."""
        return x


# -- functions with arguments ---------------------------------------------------------------------


class ReLU(Layer):
    """Rectified linear unit, which may saturate, leak and start later.

    `max_value` where x is at least that; x where it is larger than the threshold; else
    `negative_slope * (x - threshold)`.

    Args:
        max_value: at least 0; None for no limit.
        negative_slope: at least 0.
        threshold: at least 0.
        name: of the layer.

    Output like the input, any shape of floats.

    Raises:
        LayerError: an argument that is negative, or an input not of floats.
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        *,
        name: str | None = None,
    ) -> None:
        self.name = name
        self.max_value = None if max_value is None else number(self, "max_value", max_value, 0)
        self.negative_slope = number(self, "negative_slope", negative_slope, 0)
        self.threshold = number(self, "threshold", threshold, 0)

    def call(self, x: Any) -> Any:
        """Apply the function to x."""
        x = as_floats(self, x)
        slope, threshold = self.negative_slope, self.threshold
        if slope and not threshold and self.max_value is None:
            return ops.leaky_relu(x, alpha=slope)
        if threshold:
            y = ops.thresholded_relu(x, alpha=threshold)
            y = y if self.max_value is None else ops.minimum(y, self.max_value)
        else:
            y = ops.relu(x) if self.max_value is None else ops.clip(x, 0, self.max_value)
        return y - slope * ops.relu(threshold - x) if slope else y


class LeakyReLU(Layer):
    """`x` where it is positive, else `negative_slope * x`.

    Args:
        negative_slope: at least 0.
        name: of the layer.

    Output like the input, any shape of floats.

    Raises:
        LayerError: a negative slope, or an input not of floats.
    """

    def __init__(self, negative_slope: float = 0.3, *, name: str | None = None) -> None:
        self.name = name
        self.negative_slope = number(self, "negative_slope", negative_slope, 0)

    def call(self, x: Any) -> Any:
        """Apply the function to x."""
        return ops.leaky_relu(as_floats(self, x), alpha=self.negative_slope)


class PReLU(Layer):
    """`x` where it is positive, else `alpha * x`, with an alpha that is trained.

    He et al., "Delving deep into rectifiers: surpassing human-level performance on ImageNet
    classification" (2015).

    Args:
        alpha_initializer: see `graphctx.initializers.initialize`.
        shared_axes: the axis or axes along which one alpha serves all; not 0, the batch, along
            which it always does. `[1, 2]` gives one a channel of an image.
        dtype: of weights and computation; inputs of another dtype are converted, as in Keras.
        name: of the layer.

    Attributes:
        alpha: sizes of the input without the batch, 1 for each shared axis.

    Input [batch, ...], of which the sizes of axes that are not shared must be numbers; output like
    the input.

    Raises:
        LayerError: a bad argument; an input without one of the axes, with symbolic or other sizes
            than the layer was built for, or not of numbers.
    """

    alpha: Variable

    def __init__(
        self,
        alpha_initializer: Any = "zeros",
        shared_axes: Any = None,
        *,
        dtype: Any = "float32",
        name: str | None = None,
    ) -> None:
        self.name = name
        self.alpha_initializer = alpha_initializer
        self.shared_axes: tuple[int, ...] = ()
        if shared_axes is not None:
            self.shared_axes = axis_tuple(self, shared_axes, "shared_axes")
        if 0 in self.shared_axes:
            raise bad(self, f"shared_axes names 0, the batch, which has no alpha: {shared_axes!r}")
        self.dtype = float_dtype(self, dtype)

    def build(self, input_shape: Any) -> None:
        """Create alpha."""
        require_shape(self, input_shape, "[batch, ...]", least=1)
        shared = normal_axes(self, self.shared_axes, len(input_shape))
        sizes = [
            1 if axis in shared else known_size(self, input_shape, axis, "sizes but the batch")
            for axis in range(1, len(input_shape))
        ]
        self.alpha = self.add_weight(sizes, self.alpha_initializer, name="alpha", dtype=self.dtype)

    def call(self, x: Any) -> Any:
        """Apply the function to x."""
        x = as_floats(self, x, self.dtype)
        sizes = self.alpha.shape
        if x.ndim != len(sizes) + 1 or not all(
            n == 1 or same_dim(n, own) for n, own in zip(sizes, x.shape[1:], strict=True)
        ):
            raise bad_call(
                self,
                f"was built for inputs of sizes {shape_text(sizes)} (1 for any) after the batch, "
                f"got {shape_text(x.shape)}",
            )
        return ops.prelu(x, self.alpha.value)


class ELU(Layer):
    """`x` where it is positive, else `alpha * (exp(x) - 1)`.

    Clevert, Unterthiner and Hochreiter, "Fast and accurate deep network learning by exponential
    linear units" (2016).

    Args:
        alpha: minus the limit for small x.
        name: of the layer.

    Output like the input, any shape of floats.

    Raises:
        LayerError: an alpha that is no number, or an input not of floats.
    """

    def __init__(self, alpha: float = 1.0, *, name: str | None = None) -> None:
        self.name = name
        self.alpha = number(self, "alpha", alpha, -np.inf)

    def call(self, x: Any) -> Any:
        """Apply the function to x."""
        return ops.elu(as_floats(self, x), alpha=self.alpha)


class Softmax(Layer):
    """`exp(x)`, scaled to the sum 1 along an axis, or over several of them together.

    Args:
        axis: the axis or axes.
        name: of the layer.

    Output like the input, any shape of floats.

    Raises:
        LayerError: a bad axis, an input without it or not of floats, or a mask of another shape.
    """

    def __init__(self, axis: Any = -1, *, name: str | None = None) -> None:
        self.name = name
        self.axis = axis_tuple(self, axis)

    def call(self, x: Any, mask: Any = None) -> Any:
        """Apply the function to x.

        Args:
            x: see the class.
            mask: bools, or numbers that count as true above 0.5, which broadcast to x: the
                elements that take part. The others become 0.
        """
        x = as_floats(self, x)
        axes = normal_axes(self, self.axis, x.ndim)
        if mask is not None:
            require_mask(self, mask, x.shape)
            mask = mask if mask.dtype == bool else mask > 0.5
            # Keras's number for what is masked: small enough, and finite where all is masked.
            x = ops.where(mask, x, -3e4 if x.dtype == np.float16 else -1e9)
        if len(axes) == 1:
            y = ops.softmax(x, axis=axes[0])
        else:
            y = ops.exp(x - ops.logsumexp(x, axis=tuple(axes), keepdims=True))
        return y if mask is None else ops.where(mask, y, 0)
