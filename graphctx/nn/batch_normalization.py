"""`BatchNorm`: normalization by the statistics of a batch, or by moving averages of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphctx import ops
from graphctx.context import Context
from graphctx.layer import Variable
from graphctx.nn.affine import Affine
from graphctx.nn.arguments import (
    as_floats,
    bad,
    flag,
    is_integer,
    known_size,
    normal_axis,
    number,
    require_mask,
    require_shape,
    require_size,
)

__all__ = ["BatchNorm"]


class BatchNorm(Affine):
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
        renorm: whether to correct the statistics of the batch while training, so that they are near
            those of inference: Ioffe, "Batch renormalization" (2017). The normalized batch is
            multiplied by r and shifted by d, with
            `r = sqrt(variance + epsilon) / renorm_stddev`, `d = (mean - renorm_mean) /
            renorm_stddev`, and renorm_stddev taken as at least `sqrt(epsilon)`.
        renorm_clipping: limits of the corrections: "rmin" and "rmax" of r, "dmax" of the size of d.
        renorm_momentum: what `momentum` is, for renorm_mean and renorm_stddev.
        synchronized: must be False: a program runs on one machine.
        dtype: of weights and computation; inputs of another dtype are converted, as in Keras.
        name: of the layer.

    Context:
        training (bool, default False): whether the statistics are those of the batch.

    Attributes:
        gamma: [channels], or None.
        beta: [channels], or None.
        moving_mean: [channels], not trainable; assigned while training.
        moving_variance: [channels], likewise. With renorm it is `moving_stddev ** 2 - epsilon`.
        moving_stddev, renorm_mean, renorm_stddev: [channels], likewise; only with renorm.

    Input of at least 2 dimensions, of which the channels must be a number; output like the input.

    Raises:
        LayerError: a bad argument; an input without the axis, with a symbolic or another number of
            channels than the layer was built for, or not of numbers; a mask of another shape.
    """

    moving_mean: Variable
    moving_variance: Variable
    moving_stddev: Variable
    renorm_mean: Variable
    renorm_stddev: Variable

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
        renorm: bool = False,
        renorm_clipping: Mapping[str, float] | None = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        *,
        dtype: Any = "float32",
        name: str | None = None,
    ) -> None:
        self.name = name
        if not is_integer(axis):
            raise bad(self, f"axis is an integer, got {axis!r}")
        self.axis = int(axis)
        self.momentum = number(self, "momentum", momentum, 0, 1)
        super().__init__(epsilon, center, scale, beta_initializer, gamma_initializer, dtype)
        self.moving_mean_initializer = moving_mean_initializer
        self.moving_variance_initializer = moving_variance_initializer
        self.renorm = flag(self, "renorm", renorm)
        self.renorm_clipping = self._clipping(renorm_clipping)
        self.renorm_momentum = number(self, "renorm_momentum", renorm_momentum, 0, 1)
        if flag(self, "synchronized", synchronized):
            raise bad(
                self,
                "synchronized=True would share statistics between machines, but a program runs on "
                "one; leave it out",
            )

    def _clipping(self, clipping: Any) -> dict[str, float]:
        found = {} if clipping is None else clipping
        if not isinstance(found, Mapping) or not set(found) <= {"rmin", "rmax", "dmax"}:
            raise bad(
                self,
                f"renorm_clipping has numbers for 'rmin', 'rmax' and 'dmax', or some of them, got "
                f"{clipping!r}",
            )
        limits = {key: number(self, f"renorm_clipping[{key!r}]", n, 0) for key, n in found.items()}
        if limits.get("rmin", 0) > limits.get("rmax", np.inf):
            raise bad(self, f"renorm_clipping has rmin larger than rmax: {clipping!r}")
        return limits

    def build(self, input_shape: Any) -> None:
        """Create the weights and the moving statistics."""
        require_shape(self, input_shape, "[batch, ..., channels]", least=2)
        axis = normal_axis(self, self.axis, len(input_shape))
        channels = known_size(self, input_shape, axis, "number of channels")

        def weight(name: str, initializer: Any) -> Variable:
            return self.add_weight(
                channels, initializer, name=name, trainable=False, dtype=self.dtype
            )

        self._add_affine((channels,))
        self.moving_mean = weight("moving_mean", self.moving_mean_initializer)
        self.moving_variance = weight("moving_variance", self.moving_variance_initializer)
        if self.renorm:
            stddev = np.sqrt(self.moving_variance.numpy())
            self.moving_stddev = weight("moving_stddev", stddev)
            self.renorm_mean = weight("renorm_mean", self.moving_mean.numpy())
            self.renorm_stddev = weight("renorm_stddev", stddev)

    def call(self, x: Any, *, mask: Any = None, training: Context[bool] = False) -> Any:
        """Normalize x; while training, also update the moving statistics.

        Args:
            x: see the class.
            mask: bools [batch, ...], one dimension less than x: where the elements along the last
                axis count for the statistics of the batch. They are normalized all the same.
            training: see the class.
        """
        x = as_floats(self, x, self.dtype)
        axis = normal_axis(self, self.axis, x.ndim)
        require_size(self, x.shape, axis, self.moving_mean.shape[0], "channels")
        if mask is not None:
            require_mask(self, mask, x.shape[:-1], least=x.ndim - 1)
        return self._by_batch(x, axis, mask) if training else self._by_moving(x, axis)

    def _by_moving(self, x: Any, axis: int) -> Any:
        # ONNX's BatchNormalization, which has the channels at axis 1, can be folded into the layer
        # before it.
        y = ops.batch_norm(
            _moved(x, axis, 1),
            *self._gamma_and_beta(),
            self.moving_mean.value,
            self.moving_variance.value,
            epsilon=self.epsilon,
        )
        return _moved(y, 1, axis)

    def _by_batch(self, x: Any, axis: int, mask: Any) -> Any:
        others = tuple(i for i in range(x.ndim) if i != axis)
        # What is per channel has size 1 elsewhere.
        shape = [1] * x.ndim
        shape[axis] = -1
        gamma = None if self.gamma is None else ops.reshape(self.gamma, shape)
        beta = None if self.beta is None else ops.reshape(self.beta, shape)
        if mask is None:
            mean = ops.mean(x, axis=others, keepdims=True)
            centered = x - mean
            variance = ops.mean(ops.square(centered), axis=others, keepdims=True)
        else:
            counts = ops.broadcast_to(ops.expand_dims(ops.astype(mask, bool), -1), x.shape)
            # Keras adds 1e-7, its epsilon, so that a mask without a single true gives no NaN.
            total = ops.sum(ops.astype(counts, x.dtype), axis=others, keepdims=True) + 1e-7
            mean = ops.sum(ops.where(counts, x, 0), axis=others, keepdims=True) / total
            centered = x - mean
            squares = ops.where(counts, ops.square(centered), 0)
            variance = ops.sum(squares, axis=others, keepdims=True) / total
        if self.renorm:
            gamma, beta = self._renormalized(mean, variance, shape, gamma, beta)
        else:
            self._update(self.moving_mean, mean, self.momentum)
            self._update(self.moving_variance, variance, self.momentum)
        factor = 1 / ops.sqrt(variance + self.epsilon)
        y = centered * (factor if gamma is None else factor * gamma)
        # Beside bfloat16 the numbers above made float32.
        return ops.astype(y if beta is None else y + beta, x.dtype)

    def _renormalized(
        self, mean: Any, variance: Any, shape: list[int], gamma: Any, beta: Any
    ) -> tuple[Any, Any]:
        """Gamma and beta with the corrections r and d, which count as constants in training."""
        stddev = ops.sqrt(variance + self.epsilon)
        usual = ops.reshape(ops.maximum(self.renorm_stddev, self.epsilon**0.5), shape)
        clipping = self.renorm_clipping
        r = ops.clip(stddev / usual, clipping.get("rmin"), clipping.get("rmax"))
        d = (mean - ops.reshape(self.renorm_mean, shape)) / usual
        if "dmax" in clipping:
            d = ops.clip(d, -clipping["dmax"], clipping["dmax"])
        self._update(self.renorm_mean, mean, self.renorm_momentum)
        self._update(self.renorm_stddev, stddev, self.renorm_momentum)
        self._update(self.moving_mean, mean, self.momentum)
        self._update(self.moving_stddev, stddev, self.momentum)
        # Rounding may leave a little less than epsilon.
        self.moving_variance.assign(ops.relu(ops.square(self.moving_stddev) - self.epsilon))
        if gamma is not None:
            r, d = r * gamma, d * gamma
        return r, d if beta is None else d + beta

    def _update(self, moving: Variable, batch: Any, momentum: float) -> None:
        share = ops.reshape(batch, moving.shape) * (1 - momentum)
        moving.assign(moving * momentum + share)


def _moved(x: Any, source: int, destination: int) -> Any:
    return x if source == destination else ops.moveaxis(x, source, destination)
