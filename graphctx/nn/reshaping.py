"""Layers that change the shape of their input."""

from __future__ import annotations

from typing import Any

from graphctx import ops
from graphctx.layer import Layer
from graphctx.nn.arguments import image_format, require_shape

__all__ = ["Flatten"]


class Flatten(Layer):
    """Makes one axis of all axes but the first.

    Args:
        data_format: "channels_first" moves the channels of [batch, channels, ...] to the end first,
            so that a layer after it may be the same for both formats; "channels_last" (also None)
            changes no order.
        name: of the layer.

    Input [batch, ...], of any dtype; output [batch, product of the other sizes]. All dimensions
    may be symbolic.

    Raises:
        LayerError: an unknown data_format, or an input that is a scalar.
    """

    def __init__(
        self, data_format: str | None = "channels_last", *, name: str | None = None
    ) -> None:
        self.name = name
        self.data_format = image_format(self, data_format)

    def call(self, x: Any) -> Any:
        """Flatten x; see the class."""
        shape = getattr(x, "shape", x)
        require_shape(self, shape, "[batch, ...]", least=1)
        rank = len(shape)
        if rank == 2:
            return x
        if self.data_format == "channels_first" and rank > 2:
            x = ops.permute_dims(x, (0, *range(2, rank), 1))
        return ops.flatten(x, axis=1)
