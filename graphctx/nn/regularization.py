"""Layers that disturb their input while training, and pass it on otherwise."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from graphctx import ops
from graphctx.context import Context
from graphctx.layer import Layer
from graphctx.nn.arguments import (
    as_floats,
    bad,
    bad_call,
    image_format,
    is_integer,
    no_seed,
    number,
    require_shape,
)
from graphctx.nn.space import Spatial
from graphctx.spec import shape_text

__all__ = [
    "AlphaDropout",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "StochasticDepth",
]

SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


# -- what dropout layers share --------------------------------------------------------------------


def checked_noise_shape(layer: Layer, shape: Any) -> tuple[int | None, ...] | None:
    """Return a noise_shape as it is given to a layer.

    Raises:
        LayerError: it is not made of positive integers and None.
    """
    if shape is None:
        return None
    if isinstance(shape, (tuple, list)) and all(
        size is None or (is_integer(size) and size >= 1) for size in shape
    ):
        return tuple(shape)
    raise bad(
        layer, f"noise_shape has a positive integer or None for each dimension, got {shape!r}"
    )


def mask_shape(layer: Layer, noise_shape: tuple[int | None, ...], x: Any) -> list[Any]:
    """The shape of the mask for an input: noise_shape, with the input's own sizes for None.

    Raises:
        LayerError: noise_shape does not have the input's dimensions.
    """
    if len(noise_shape) != x.ndim:
        raise bad_call(
            layer,
            f"has noise_shape={noise_shape}, which does not have the dimensions of the input "
            f"{shape_text(x.shape)}",
        )
    return [own if n is None else n for n, own in zip(noise_shape, x.shape, strict=True)]


# -- layers that drop -----------------------------------------------------------------------------


class Dropout(Layer):
    """Sets elements to 0 at random while training, and scales the others by `1 / (1 - rate)`.

    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", Journal
    of Machine Learning Research 15 (2014), in its inverted form.

    Args:
        rate: probability of an element to become 0, from 0 to 1.
        noise_shape: shape of the mask, broadcast against the input; None stands for the input's
            own size there, 1 shares the mask along the axis: `(None, 1, None)`.
        seed: must be None. The numbers follow from the program's seed and the layer's path.
        name: of the layer.

    Context:
        training (bool, default False): whether elements are dropped.

    Output like the input, any shape of floats.

    Raises:
        LayerError: a rate outside [0, 1], a bad noise_shape, a seed, or an input not of floats.
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Iterable[int | None] | None = None,
        seed: None = None,
        *,
        name: str | None = None,
    ) -> None:
        self.name = name
        self.rate = number(self, "rate", rate, 0, 1)
        self.noise_shape = checked_noise_shape(self, noise_shape)
        no_seed(self, seed)

    def call(self, x: Any, *, training: Context[bool] = False) -> Any:
        """Drop elements of x while training; return x itself otherwise."""
        x = as_floats(self, x)
        if not training or self.rate == 0:
            return x
        if self.noise_shape is None:
            return ops.dropout(x, self.rate)
        return ops.dropout(x, self.rate, mask_shape(self, self.noise_shape, x))


class _SpatialDropout(Spatial):
    """Sets whole channels to 0 at random while training.

    The others are scaled by `1 / (1 - rate)`. Tompson et al., "Efficient object localization using
    convolutional networks" (2014).

    Args:
        rate: probability of a channel of an example to become 0, from 0 to 1.
        data_format: "channels_last" (also None): {channels_last};
            "channels_first": {channels_first}.
        seed: must be None. The numbers follow from the program's seed and the layer's path.
        name: of the layer.

    Context:
        training (bool, default False): whether channels are dropped.

    Input of floats, output alike. All dimensions may be symbolic.

    Raises:
        LayerError: a rate outside [0, 1], an unknown data_format, a seed, or another input.
    """

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: None = None,
        *,
        name: str | None = None,
    ) -> None:
        self.name = name
        self.rate = number(self, "rate", rate, 0, 1)
        self.data_format = image_format(self, data_format)
        no_seed(self, seed)

    def call(self, x: Any, *, training: Context[bool] = False) -> Any:
        """Drop channels of x while training; return x itself otherwise."""
        x = as_floats(self, x)
        self._require_layout(x.shape)
        if not training or self.rate == 0:
            return x
        shape = [1 if axis in self._space_axes else n for axis, n in enumerate(x.shape)]
        return ops.dropout(x, self.rate, shape)


class SpatialDropout1D(_SpatialDropout):
    """Sets whole channels of sequences to 0 at random while training.

    The others are scaled by `1 / (1 - rate)`. Tompson et al., "Efficient object localization using
    convolutional networks" (2014).

    Args:
        rate: probability of a channel of an example to become 0, from 0 to 1.
        seed: must be None. The numbers follow from the program's seed and the layer's path.
        name: of the layer.

    Context:
        training (bool, default False): whether channels are dropped.

    Input [batch, steps, channels] of floats, output alike. All dimensions may be symbolic.

    Raises:
        LayerError: a rate outside [0, 1], a seed, or another input.
    """

    rank = 1

    def __init__(self, rate: float, seed: None = None, *, name: str | None = None) -> None:
        super().__init__(rate, None, seed, name=name)


class SpatialDropout2D(_SpatialDropout, rank=2):
    """Sets whole channels of images to 0 at random while training."""


class SpatialDropout3D(_SpatialDropout, rank=3):
    """Sets whole channels of volumes to 0 at random while training."""


class StochasticDepth(Layer):
    """Sets whole examples to 0 at random while training, and scales others by `1 / (1 - rate)`.

    At the end of a residual branch it drops the branch: `x + nn.StochasticDepth(0.2)(branch(x))`.
    Huang et al., "Deep networks with stochastic depth" (2016), scaled while training as in
    Larsson et al., "FractalNet" (2017), where it is called drop-path. Keras has no such layer.

    Args:
        rate: probability of an example to become 0, from 0 to 1.
        name: of the layer.

    Context:
        training (bool, default False): whether examples are dropped.

    Input [batch, ...] of floats, output alike. All dimensions may be symbolic.

    Raises:
        LayerError: a rate outside [0, 1], or an input that is a scalar or not of floats.
    """

    def __init__(self, rate: float, *, name: str | None = None) -> None:
        self.name = name
        self.rate = number(self, "rate", rate, 0, 1)

    def call(self, x: Any, *, training: Context[bool] = False) -> Any:
        """Drop examples of x while training; return x itself otherwise."""
        x = as_floats(self, x)
        require_shape(self, x.shape, "[batch, ...]", least=1)
        if not training or self.rate == 0:
            return x
        return ops.dropout(x, self.rate, [x.shape[0], *(1,) * (x.ndim - 1)])


class AlphaDropout(Layer):
    """Dropout after SELU, which keeps mean 0 and variance 1, while training.

    Klambauer et al., "Self-normalizing neural networks" (2017): dropped elements become
    `s = -1.7580993...`, the limit of SELU at minus infinity, and all elements `a * x + b` with
    `a = ((1 - rate) * (1 + rate * s ** 2)) ** -0.5` and `b = -a * rate * s`.

    Args:
        rate: probability of an element to be dropped, from 0 to 1, but not 1.
        noise_shape: shape of the mask, broadcast against the input; None stands for the input's
            own size there, 1 shares the mask along the axis: `(None, 1, None)`.
        seed: must be None. The numbers follow from the program's seed and the layer's path.
        name: of the layer.

    Context:
        training (bool, default False): whether elements are dropped.

    Output like the input, any shape of floats.

    Raises:
        LayerError: a rate outside [0, 1), a bad noise_shape, a seed, or an input not of floats.
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Iterable[int | None] | None = None,
        seed: None = None,
        *,
        name: str | None = None,
    ) -> None:
        self.name = name
        self.rate = number(self, "rate", rate, 0, 1, open_end=True)
        self.noise_shape = checked_noise_shape(self, noise_shape)
        no_seed(self, seed)

    def call(self, x: Any, *, training: Context[bool] = False) -> Any:
        """Drop elements of x while training; return x itself otherwise."""
        x = as_floats(self, x)
        if not training or self.rate == 0:
            return x
        shape = x.shape if self.noise_shape is None else mask_shape(self, self.noise_shape, x)
        low = -SELU_ALPHA * SELU_SCALE
        a = ((1 - self.rate) * (1 + self.rate * low**2)) ** -0.5
        b = -a * low * self.rate
        kept = ops.random_uniform(shape) >= self.rate
        return ops.where(kept, ops.add(ops.multiply(x, a), b), a * low + b)


# -- layers that add or multiply noise ------------------------------------------------------------


class GaussianDropout(Layer):
    """Multiplies by normal random numbers with mean 1 while training.

    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", Journal
    of Machine Learning Research 15 (2014), section 10; their standard deviation,
    `sqrt(rate / (1 - rate))`, is that of dropout with the same rate.

    Args:
        rate: from 0 to 1, but not 1.
        seed: must be None. The numbers follow from the program's seed and the layer's path.
        name: of the layer.

    Context:
        training (bool, default False): whether elements are multiplied.

    Output like the input, any shape of floats.

    Raises:
        LayerError: a rate outside [0, 1), a seed, or an input not of floats.
    """

    def __init__(self, rate: float, seed: None = None, *, name: str | None = None) -> None:
        self.name = name
        self.rate = number(self, "rate", rate, 0, 1, open_end=True)
        no_seed(self, seed)

    def call(self, x: Any, *, training: Context[bool] = False) -> Any:
        """Multiply x by noise while training; return x itself otherwise."""
        x = as_floats(self, x)
        if not training or self.rate == 0:
            return x
        stddev = math.sqrt(self.rate / (1 - self.rate))
        return x * ops.random_normal(x.shape, 1.0, stddev, dtype=x.dtype)


class GaussianNoise(Layer):
    """Adds random numbers of a normal distribution with mean 0 while training.

    Args:
        stddev: standard deviation of the numbers, at least 0.
        seed: must be None. The numbers follow from the program's seed and the layer's path.
        name: of the layer.

    Context:
        training (bool, default False): whether noise is added.

    Output like the input, any shape of floats.

    Raises:
        LayerError: a negative stddev, a seed, or an input not of floats.
    """

    def __init__(self, stddev: float, seed: None = None, *, name: str | None = None) -> None:
        self.name = name
        self.stddev = number(self, "stddev", stddev, 0)
        no_seed(self, seed)

    def call(self, x: Any, *, training: Context[bool] = False) -> Any:
        """Add noise to x while training; return x itself otherwise."""
        x = as_floats(self, x)
        if not training or self.stddev == 0:
            return x
        return x + ops.multiply(ops.random_normal(x.shape, dtype=x.dtype), self.stddev)
