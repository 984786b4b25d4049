"""Batch and layer normalization."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphctx import ops
from graphctx.context import Context
from graphctx.layer import Layer, Variable
from graphctx.nn.arguments import (
    as_floats,
    bad,
    bad_call,
    float_dtype,
    is_integer,
    known_size,
    normal_axis,
    number,
    require_shape,
)
from graphctx.spec import same_dim, shape_text

__all__ = ["BatchNorm", "LayerNorm"]


class BatchNorm(Layer):
    """Normalizes each channel: `gamma * (x - mean) / sqrt(variance + epsilon) + beta`.

    Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal
    covariate shift" (2015), with Keras's conventions. While training, mean and (population)
    variance are those of the batch, and the moving ones become
    `moving * momentum + batch * (1 - momentum)`; otherwise they are the moving ones.

    Args:
        axis: of the channels.
        momentum: share of the old moving statistics in the new ones, from 0 to 1.
        epsilon: added to the variance, at least 0.
        center: whether beta is added.
        scale: whether gamma multiplies.
        beta_initializer: see `graphctx.initializers.initialize`; so are the next three.
        gamma_initializer: of gamma.
        moving_mean_initializer: of moving_mean.
        moving_variance_initializer: of moving_variance.
        dtype: of weights and computation; inputs of another dtype are converted, as in Keras.
        name: of the layer.

    Context:
        training (bool, default False): whether the statistics are those of the batch.

    Attributes:
        gamma: [channels], or None.
        beta: [channels], or None.
        moving_mean: [channels], not trainable; assigned while training.
        moving_variance: [channels], likewise.

    Input of at least 2 dimensions, of which the channels must be a number; output like the input.

    Raises:
        LayerError: a bad argument; an input without the axis, with a symbolic or another number of
            channels than the layer was built for, or not of numbers.
    """

    gamma: Variable | None
    beta: Variable | None
    moving_mean: Variable
    moving_variance: Variable

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        *,
        dtype: Any = "float32",
        name: str | None = None,
    ) -> None:
        self.name = name
        if not is_integer(axis):
            raise bad(self, f"axis is an integer, got {axis!r}")
        self.axis = int(axis)
        self.momentum = number(self, "momentum", momentum, 0, 1)
        self.epsilon = number(self, "epsilon", epsilon, 0)
        self.center = center
        self.scale = scale
        self.beta_initializer = beta_initializer
        self.gamma_initializer = gamma_initializer
        self.moving_mean_initializer = moving_mean_initializer
        self.moving_variance_initializer = moving_variance_initializer
        self.dtype = float_dtype(self, dtype)

    def build(self, input_shape: Any) -> None:
        """Create the weights and the moving statistics."""
        require_shape(self, input_shape, "[batch, ..., channels]", least=2)
        axis = normal_axis(self, self.axis, len(input_shape))
        channels = known_size(self, input_shape, axis, "number of channels")

        def weight(name: str, initializer: Any, *, trainable: bool = True) -> Variable:
            return self.add_weight(
                channels, initializer, name=name, trainable=trainable, dtype=self.dtype
            )

        self.gamma = weight("gamma", self.gamma_initializer) if self.scale else None
        self.beta = weight("beta", self.beta_initializer) if self.center else None
        self.moving_mean = weight("moving_mean", self.moving_mean_initializer, trainable=False)
        self.moving_variance = weight(
            "moving_variance", self.moving_variance_initializer, trainable=False
        )

    def call(self, x: Any, *, training: Context[bool] = False) -> Any:
        """Normalize x; while training, also update the moving statistics."""
        x = as_floats(self, x, self.dtype)
        axis = normal_axis(self, self.axis, x.ndim)
        channels = self.moving_mean.shape[0]
        if not same_dim(x.shape[axis], channels):
            raise bad_call(
                self,
                f"was built for {channels} channels, got {shape_text(x.shape)} with "
                f"{x.shape[axis]} at axis {axis}",
            )
        return self._by_batch(x, axis) if training else self._by_moving(x, axis)

    def _by_moving(self, x: Any, axis: int) -> Any:
        # ONNX's BatchNormalization, which has the channels at axis 1, can be folded into the layer
        # before it. Without gamma or beta it takes constants.
        channels = self.moving_mean.shape[0]
        y = ops.batch_norm(
            _moved(x, axis, 1),
            np.ones(channels, self.dtype) if self.gamma is None else self.gamma.value,
            np.zeros(channels, self.dtype) if self.beta is None else self.beta.value,
            self.moving_mean.value,
            self.moving_variance.value,
            epsilon=self.epsilon,
        )
        return _moved(y, 1, axis)

    def _by_batch(self, x: Any, axis: int) -> Any:
        others = tuple(i for i in range(x.ndim) if i != axis)
        mean = ops.mean(x, axis=others, keepdims=True)
        centered = x - mean
        variance = ops.mean(ops.square(centered), axis=others, keepdims=True)
        self._update(self.moving_mean, mean)
        self._update(self.moving_variance, variance)
        # Per channel, with size 1 elsewhere.
        shape = [1] * x.ndim
        shape[axis] = -1
        factor = 1 / ops.sqrt(variance + self.epsilon)
        if self.gamma is not None:
            factor = factor * ops.reshape(self.gamma, shape)
        y = centered * factor
        return y if self.beta is None else y + ops.reshape(self.beta, shape)

    def _update(self, moving: Variable, batch: Any) -> None:
        share = ops.reshape(batch, moving.shape) * (1 - self.momentum)
        moving.assign(moving * self.momentum + share)


def _moved(x: Any, source: int, destination: int) -> Any:
    return x if source == destination else ops.moveaxis(x, source, destination)


class LayerNorm(Layer):
    """Normalizes each example: `gamma * (x - mean) / sqrt(variance + epsilon) + beta`.

    Ba, Kiros and Hinton, "Layer normalization" (2016), with Keras's conventions: mean and
    (population) variance are taken over the given axes together, and gamma and beta have their
    shape.

    Args:
        axis: the axis or axes to normalize over.
        epsilon: added to the variance, at least 0.
        center: whether beta is added.
        scale: whether gamma multiplies.
        beta_initializer: see `graphctx.initializers.initialize`.
        gamma_initializer: likewise.
        dtype: of weights and computation; inputs of another dtype are converted, as in Keras.
        name: of the layer.

    Attributes:
        gamma: sizes of the axes in ascending order, or None.
        beta: likewise.

    Input of any shape, of which the sizes of the axes must be numbers; output like the input.

    Raises:
        LayerError: a bad argument; an input without one of the axes, with symbolic or other sizes
            of them than the layer was built for, or not of numbers.
    """

    gamma: Variable | None
    beta: Variable | None

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        *,
        dtype: Any = "float32",
        name: str | None = None,
    ) -> None:
        self.name = name
        self.axis = self._axis(axis)
        self.epsilon = number(self, "epsilon", epsilon, 0)
        self.center = center
        self.scale = scale
        self.beta_initializer = beta_initializer
        self.gamma_initializer = gamma_initializer
        self.dtype = float_dtype(self, dtype)

    def _axis(self, axis: Any) -> tuple[int, ...]:
        axes = (axis,) if is_integer(axis) else axis
        if not isinstance(axes, (tuple, list)) or not axes or not all(map(is_integer, axes)):
            raise bad(self, f"axis is an integer or a list of them, got {axis!r}")
        return tuple(int(i) for i in axes)

    def _axes(self, rank: int) -> list[int]:
        """The axes counted from the front, in ascending order."""
        axes = sorted({normal_axis(self, axis, rank) for axis in self.axis})
        if len(axes) < len(self.axis):
            raise bad_call(self, f"has axis={self.axis}, which names an axis twice")
        return axes

    def build(self, input_shape: Any) -> None:
        """Create gamma and beta."""
        require_shape(self, input_shape, "[..., features]", least=1)
        axes = self._axes(len(input_shape))
        self._sizes = tuple(
            known_size(self, input_shape, axis, "size of the axes it normalizes") for axis in axes
        )
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight(
                self._sizes, self.gamma_initializer, name="gamma", dtype=self.dtype
            )
        if self.center:
            self.beta = self.add_weight(
                self._sizes, self.beta_initializer, name="beta", dtype=self.dtype
            )

    def call(self, x: Any) -> Any:
        """Normalize x; see the class."""
        x = as_floats(self, x, self.dtype)
        rank = x.ndim
        axes = self._axes(rank)
        if not all(same_dim(x.shape[a], n) for a, n in zip(axes, self._sizes, strict=True)):
            raise bad_call(
                self,
                f"was built for sizes {shape_text(self._sizes)} of axes {axes}, got "
                f"{shape_text(x.shape)}",
            )
        # ONNX's LayerNormalization works on the last axes.
        order = [*(i for i in range(rank) if i not in axes), *axes]
        in_place = order == list(range(rank))
        y = ops.layer_norm(
            x if in_place else ops.permute_dims(x, order),
            np.ones(self._sizes, self.dtype) if self.gamma is None else self.gamma.value,
            None if self.beta is None else self.beta.value,
            axis=-len(axes),
            epsilon=self.epsilon,
        )
        return y if in_place else ops.permute_dims(y, [order.index(i) for i in range(rank)])
