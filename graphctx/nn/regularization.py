"""Layers that disturb their input while training, and pass it on otherwise."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from graphctx import ops
from graphctx.context import Context
from graphctx.layer import Layer
from graphctx.nn.arguments import as_floats, bad, bad_call, is_integer, no_seed, number
from graphctx.spec import shape_text

__all__ = ["Dropout", "GaussianNoise"]


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
        self.noise_shape = self._noise_shape(noise_shape)
        no_seed(self, seed)

    def _noise_shape(self, shape: Any) -> tuple[int | None, ...] | None:
        if shape is None:
            return None
        if isinstance(shape, (tuple, list)) and all(
            size is None or (is_integer(size) and size >= 1) for size in shape
        ):
            return tuple(shape)
        raise bad(
            self,
            f"noise_shape has a positive integer or None for each dimension, got {shape!r}",
        )

    def call(self, x: Any, *, training: Context[bool] = False) -> Any:
        """Drop elements of x while training; return x itself otherwise."""
        x = as_floats(self, x)
        if not training or self.rate == 0:
            return x
        if self.noise_shape is None:
            return ops.dropout(x, self.rate)
        if len(self.noise_shape) != x.ndim:
            raise bad_call(
                self,
                f"has noise_shape={self.noise_shape}, which does not have the dimensions of the "
                f"input {shape_text(x.shape)}",
            )
        sizes = zip(self.noise_shape, x.shape, strict=True)
        return ops.dropout(x, self.rate, [own if n is None else n for n, own in sizes])


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
        return x + ops.random_normal(x.shape, dtype=x.dtype) * self.stddev
