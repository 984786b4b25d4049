"""Normalization of each example over space and groups of channels."""

from __future__ import annotations

from typing import Any

from graphctx import ops
from graphctx.nn.affine import Affine
from graphctx.nn.arguments import (
    as_floats,
    bad,
    bad_call,
    is_integer,
    known_size,
    normal_axis,
    require_shape,
    require_size,
)
from graphctx.spec import shape_text

__all__ = ["GroupNorm", "InstanceNorm"]


class GroupNorm(Affine):
    """Normalizes groups of channels: `gamma * (x - mean) / sqrt(variance + epsilon) + beta`.

    Wu and He, "Group normalization" (2018), with Keras's conventions: neighbouring channels form a
    group, mean and (population) variance are those of a group of one example over all space, and
    gamma and beta are per channel.

    Args:
        groups: into how many the channels are split; -1 for one a channel, as in `InstanceNorm`.
        axis: of the channels; not 0, which is the batch.
        epsilon: added to the variance, at least 0.
        center: whether beta is added.
        scale: whether gamma multiplies.
        beta_initializer: see `graphctx.initializers.initialize`.
        gamma_initializer: likewise.
        dtype: of weights and computation; inputs of another dtype are converted, as in Keras.
        name: of the layer.

    Attributes:
        gamma: [channels], or None.
        beta: [channels], or None.

    Input of at least 2 dimensions, of which the channels must be a number; output like the input.

    Raises:
        LayerError: a bad argument; groups that do not divide the channels; an input without the
            axis, with a symbolic or another number of channels than the layer was built for, or not
            of numbers.
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
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
        if not is_integer(groups) or (groups < 1 and groups != -1):
            raise bad(self, f"groups is a positive integer, or -1, got {groups!r}")
        self.groups = int(groups)
        if not is_integer(axis) or axis == 0:
            raise bad(self, f"axis is an integer other than 0, which is the batch, got {axis!r}")
        self.axis = int(axis)
        super().__init__(epsilon, center, scale, beta_initializer, gamma_initializer, dtype)

    def build(self, input_shape: Any) -> None:
        """Create gamma and beta."""
        require_shape(self, input_shape, "[batch, ..., channels]", least=2)
        axis = self._channels(len(input_shape))
        channels = known_size(self, input_shape, axis, "number of channels")
        if channels % self.groups:
            raise bad_call(
                self,
                f"has groups={self.groups}, which does not divide the {channels} channels of the "
                f"input {shape_text(input_shape)}",
            )
        self._size = channels
        self._add_affine((channels,))

    def _channels(self, rank: int) -> int:
        axis = normal_axis(self, self.axis, rank)
        if axis == 0:
            raise bad_call(self, f"has axis={self.axis}, which is the batch of {rank} dimensions")
        return axis

    def call(self, x: Any) -> Any:
        """Normalize x; see the class."""
        x = as_floats(self, x, self.dtype)
        axis = self._channels(x.ndim)
        channels = self._size
        require_size(self, x.shape, axis, channels, "channels")
        gamma, beta = self._gamma_and_beta()
        # ONNX's operators have the channels at axis 1.
        x = x if axis == 1 else ops.moveaxis(x, axis, 1)
        # Of one channel a group onnxruntime has a kernel of its own, but not without space.
        if self.groups in (-1, channels) and x.ndim > 2:
            y = ops.instance_norm(x, gamma, beta, epsilon=self.epsilon)
        else:
            groups = channels if self.groups == -1 else self.groups
            y = ops.group_norm(x, gamma, beta, groups, epsilon=self.epsilon)
        return y if axis == 1 else ops.moveaxis(y, 1, axis)


class InstanceNorm(GroupNorm):
    """Normalizes each channel of each example: `GroupNorm` with one channel a group.

    Ulyanov, Vedaldi and Lempitsky, "Instance normalization: the missing ingredient for fast
    stylization" (2016). Keras has it as `GroupNormalization(groups=-1)`.

    Args:
        axis: of the channels; not 0, which is the batch.
        epsilon: added to the variance, at least 0.
        center: whether beta is added.
        scale: whether gamma multiplies.
        beta_initializer: see `graphctx.initializers.initialize`.
        gamma_initializer: likewise.
        dtype: of weights and computation; inputs of another dtype are converted, as in Keras.
        name: of the layer.

    Attributes:
        gamma: [channels], or None.
        beta: [channels], or None.

    Input of at least 2 dimensions, of which the channels must be a number; output like the input.

    Raises:
        LayerError: a bad argument; an input without the axis, with a symbolic or another number of
            channels than the layer was built for, or not of numbers.
    """

    def __init__(
        self,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        *,
        dtype: Any = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(
            -1, axis, epsilon, center, scale, beta_initializer, gamma_initializer,
            dtype=dtype, name=name,
        )  # fmt: skip
