"""Pooling over images: windows, or the whole image."""

from __future__ import annotations

from typing import Any

from graphctx import ops
from graphctx.layer import Layer
from graphctx.nn.arguments import choice, image_format, positive_pair, require_shape
from graphctx.nn.conv import (
    PADDINGS,
    TO_CHANNELS_FIRST,
    TO_CHANNELS_LAST,
    image_layout,
    window_padding,
)

__all__ = ["AveragePooling2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D", "MaxPooling2D"]


class _Pooling2D(Layer):
    """What both kinds of windows share."""

    def __init__(
        self,
        pool_size: Any = (2, 2),
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = "channels_last",
        *,
        name: str | None = None,
    ) -> None:
        self.name = name
        self.pool_size = positive_pair(self, "pool_size", pool_size)
        self.strides = (
            self.pool_size if strides is None else positive_pair(self, "strides", strides)
        )
        self.padding = choice(self, "padding", padding, PADDINGS)
        self.data_format = image_format(self, data_format)
        self._attributes = {
            "strides": self.strides,
            **window_padding(self.padding, self.pool_size, self.strides),
        }

    def call(self, x: Any) -> Any:
        """Reduce every window of images; see the class."""
        require_shape(self, _shape(x), image_layout(self.data_format), least=4, most=4)
        if self.data_format == "channels_last":
            x = ops.permute_dims(x, TO_CHANNELS_FIRST)
        y = self._reduce(x)
        return ops.permute_dims(y, TO_CHANNELS_LAST) if self.data_format == "channels_last" else y

    def _reduce(self, x: Any) -> Any:
        raise NotImplementedError


class MaxPooling2D(_Pooling2D):
    """The largest element of every window of an image.

    Args:
        pool_size: height and width of a window, or one number for both.
        strides: steps between windows, likewise; the window's size where not given.
        padding: "valid" for windows inside the image only; "same" for a window for every step of
            the image, where what lies outside is never the largest.
        data_format: "channels_last" (also None): [batch, height, width, channels];
            "channels_first": [batch, channels, height, width].
        name: of the layer.

    Input and output have the same layout; all dimensions may be symbolic.

    Raises:
        LayerError: a bad argument, or an input that is not an image.
        ShapeError: the image is smaller than a window.
    """

    def _reduce(self, x: Any) -> Any:
        return ops.max_pool(x, self.pool_size, **self._attributes)


class AveragePooling2D(_Pooling2D):
    """The mean of every window of an image.

    Args:
        pool_size: height and width of a window, or one number for both.
        strides: steps between windows, likewise; the window's size where not given.
        padding: "valid" for windows inside the image only; "same" for a window for every step of
            the image, where what lies outside is not counted.
        data_format: "channels_last" (also None): [batch, height, width, channels];
            "channels_first": [batch, channels, height, width].
        name: of the layer.

    Input and output have the same layout; all dimensions may be symbolic.

    Raises:
        LayerError: a bad argument, or an input that is not an image.
        ShapeError: the image is smaller than a window.
        DTypeError: the image is not of floats.
    """

    def _reduce(self, x: Any) -> Any:
        return ops.average_pool(x, self.pool_size, **self._attributes)


class _GlobalPooling2D(Layer):
    """What both reductions of whole images share."""

    def __init__(
        self,
        data_format: str | None = "channels_last",
        keepdims: bool = False,
        *,
        name: str | None = None,
    ) -> None:
        self.name = name
        self.data_format = image_format(self, data_format)
        self.keepdims = bool(keepdims)
        self._axes = (1, 2) if self.data_format == "channels_last" else (2, 3)

    def call(self, x: Any) -> Any:
        """Reduce images over height and width; see the class."""
        require_shape(self, _shape(x), image_layout(self.data_format), least=4, most=4)
        return self._reduce(x)

    def _reduce(self, x: Any) -> Any:
        raise NotImplementedError


class GlobalAveragePooling2D(_GlobalPooling2D):
    """The mean of every channel of an image.

    Args:
        data_format: "channels_last" (also None): [batch, height, width, channels];
            "channels_first": [batch, channels, height, width].
        keepdims: whether height and width stay as dimensions of size 1.
        name: of the layer.

    Output [batch, channels], or the layout of the input with `keepdims`.

    Raises:
        LayerError: an unknown data_format, or an input that is not an image.
    """

    def _reduce(self, x: Any) -> Any:
        return ops.mean(x, axis=self._axes, keepdims=self.keepdims)


class GlobalMaxPooling2D(_GlobalPooling2D):
    """The largest element of every channel of an image.

    Args:
        data_format: "channels_last" (also None): [batch, height, width, channels];
            "channels_first": [batch, channels, height, width].
        keepdims: whether height and width stay as dimensions of size 1.
        name: of the layer.

    Output [batch, channels], or the layout of the input with `keepdims`.

    Raises:
        LayerError: an unknown data_format, or an input that is not an image.
    """

    def _reduce(self, x: Any) -> Any:
        return ops.max(x, axis=self._axes, keepdims=self.keepdims)


def _shape(x: Any) -> Any:
    return getattr(x, "shape", x)
