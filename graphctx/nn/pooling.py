"""Pooling over sequences, images and volumes: windows, as many as wanted, or the whole."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphctx import ops
from graphctx.nn.arguments import bad_call, choice, flag, image_format, promoted, require_mask
from graphctx.nn.space import Spatial, shape_of, window_padding
from graphctx.spec import is_static, shape_text

__all__ = [
    "AdaptiveAveragePooling1D",
    "AdaptiveAveragePooling2D",
    "AdaptiveAveragePooling3D",
    "AdaptiveMaxPooling1D",
    "AdaptiveMaxPooling2D",
    "AdaptiveMaxPooling3D",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
]

# -- windows --------------------------------------------------------------------------------------


class _Pooling(Spatial):
    """Pooling over windows.

    Args:
        pool_size: size of a window: {numbers}.
        strides: steps between windows, likewise; the window's size where not given.
        padding: "valid" for windows inside the {thing} only; "same" for a window for every step
            of it, where what lies outside does not count.
        data_format: "channels_last" (also None): {channels_last};
            "channels_first": {channels_first}.
        name: of the layer.

    Output in the layout of the input; all dimensions may be symbolic.

    Raises:
        LayerError: a bad argument, or an input in another layout or smaller than a window.
        DTypeError: it is not of numbers.
    """

    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = "channels_last",
        *,
        name: str | None = None,
    ) -> None:
        self.name = name
        self.pool_size = self._numbers("pool_size", pool_size)
        self.strides = self.pool_size if strides is None else self._numbers("strides", strides)
        self.padding = choice(self, "padding", padding, ("valid", "same"))
        self.data_format = image_format(self, data_format)

    def call(self, x: Any) -> Any:
        """Reduce every window; see the class."""
        self._require_layout(shape_of(x))
        x = self._channels_first(x)
        padding = window_padding(
            self, self.padding, x.shape[2:], self.pool_size, self.strides, (1,) * self.rank
        )
        return self._as_given(self._reduced(x, strides=self.strides, **padding))

    def _reduced(self, x: Any, **windows: Any) -> Any:
        raise NotImplementedError


class _MaxPooling(_Pooling):
    def _reduced(self, x: Any, **windows: Any) -> Any:
        return ops.max_pool(x, self.pool_size, **windows)


class _AveragePooling(_Pooling):
    def _reduced(self, x: Any, **windows: Any) -> Any:
        return ops.average_pool(promoted(self, x), self.pool_size, **windows)


class MaxPooling1D(_MaxPooling, rank=1):
    """The largest element of every window of a sequence."""


class MaxPooling2D(_MaxPooling, rank=2):
    """The largest element of every window of an image."""


class MaxPooling3D(_MaxPooling, rank=3):
    """The largest element of every window of a volume."""


class AveragePooling1D(_AveragePooling, rank=1):
    """The mean of every window of a sequence."""


class AveragePooling2D(_AveragePooling, rank=2):
    """The mean of every window of an image."""


class AveragePooling3D(_AveragePooling, rank=3):
    """The mean of every window of a volume."""


# -- all of space ---------------------------------------------------------------------------------


class _GlobalPooling(Spatial):
    """Pooling over all of space.

    Args:
        data_format: "channels_last" (also None): {channels_last};
            "channels_first": {channels_first}.
        keepdims: whether {axes} stay, with size 1.
        name: of the layer.

    Output [batch, channels], or the layout of the input with `keepdims`. All dimensions may be
    symbolic.

    Raises:
        LayerError: an unknown data_format, or an input in another layout.
    """

    def __init__(
        self,
        data_format: str | None = "channels_last",
        keepdims: bool = False,
        *,
        name: str | None = None,
    ) -> None:
        self.name = name
        self.data_format = image_format(self, data_format)
        self.keepdims = flag(self, "keepdims", keepdims)

    def call(self, x: Any) -> Any:
        """Reduce all axes of space; see the class."""
        self._require_layout(shape_of(x))
        return self._reduced(x)

    def _reduced(self, x: Any) -> Any:
        raise NotImplementedError


class _GlobalAveragePooling(_GlobalPooling):
    def _reduced(self, x: Any) -> Any:
        return ops.mean(promoted(self, x), axis=self._space_axes, keepdims=self.keepdims)


class _GlobalMaxPooling(_GlobalPooling):
    def _reduced(self, x: Any) -> Any:
        return ops.max(x, axis=self._space_axes, keepdims=self.keepdims)


class GlobalAveragePooling1D(_GlobalAveragePooling, rank=1):
    """The mean of every channel of a sequence.

    Called with `mask`, of bools [batch, steps], it is the mean over the steps where the mask is
    true; of none of them it is NaN, as in Keras.
    """

    def call(self, x: Any, mask: Any = None) -> Any:
        """Reduce the steps; see the class."""
        if mask is None:
            return super().call(x)
        shape = shape_of(x)
        self._require_layout(shape)
        [steps] = self._space_axes
        require_mask(self, mask, (shape[0], shape[steps]), least=2)
        x = promoted(self, x)
        mask = ops.expand_dims(ops.astype(mask, "bool"), self._channel_axis)
        kept = ops.where(mask, x, ops.zeros_like(x))
        total = ops.sum(kept, axis=steps, keepdims=self.keepdims)
        return total / ops.sum(ops.astype(mask, x.dtype), axis=steps, keepdims=self.keepdims)


class GlobalAveragePooling2D(_GlobalAveragePooling, rank=2):
    """The mean of every channel of an image."""


class GlobalAveragePooling3D(_GlobalAveragePooling, rank=3):
    """The mean of every channel of a volume."""


class GlobalMaxPooling1D(_GlobalMaxPooling, rank=1):
    """The largest element of every channel of a sequence."""


class GlobalMaxPooling2D(_GlobalMaxPooling, rank=2):
    """The largest element of every channel of an image."""


class GlobalMaxPooling3D(_GlobalMaxPooling, rank=3):
    """The largest element of every channel of a volume."""


# -- as many windows as are wanted ----------------------------------------------------------------


class _AdaptivePooling(Spatial):
    """Pooling over as many windows as the output shall have elements.

    Along an axis of size n that becomes one of size m, window i covers the elements from
    `floor(i * n / m)` up to but without `ceil((i + 1) * n / m)`.

    Args:
        output_size: sizes of the output: {numbers}.
        data_format: "channels_last" (also None): {channels_last};
            "channels_first": {channels_first}.
        name: of the layer.

    Output in the layout of the input. Its sizes of space must be numbers, unless the output's are
    all 1.

    Raises:
        LayerError: a bad argument; an input in another layout, or with a symbolic size of space.
    """

    def __init__(
        self,
        output_size: Any,
        data_format: str | None = "channels_last",
        *,
        name: str | None = None,
    ) -> None:
        self.name = name
        self.output_size = self._numbers("output_size", output_size)
        self.data_format = image_format(self, data_format)

    def call(self, x: Any) -> Any:
        """Reduce every window; see the class."""
        shape = shape_of(x)
        self._require_layout(shape)
        if max(self.output_size) == 1:
            return self._whole(x)
        sizes = [shape[axis] for axis in self._space_axes]
        if not is_static(sizes):
            raise bad_call(
                self,
                f"needs to know the sizes of its windows, but a size of space of "
                f"{shape_text(shape)} is symbolic; give it a number in the TensorSpec",
            )
        x = self._channels_first(x)
        windows = [_windows(int(n), m) for n, m in zip(sizes, self.output_size, strict=True)]
        # All axes on which windows of one size lie at equal distances are pooled at once.
        evenly = [_evenly(starts, ends) for starts, ends in windows]
        if any(evenly):
            pool_size, strides = zip(*(even or (1, 1) for even in evenly), strict=True)
            x = self._pooled(x, pool_size, strides)
        for axis, (starts, ends) in enumerate(windows, start=2):
            if not evenly[axis - 2]:
                x = self._gathered(x, axis, starts, ends)
        return self._as_given(x)

    def _whole(self, x: Any) -> Any:
        """All of space as one window, in the layout of the input."""
        raise NotImplementedError

    def _pooled(self, x: Any, size: tuple[int, ...], strides: tuple[int, ...]) -> Any:
        """Windows of one size at equal distances."""
        raise NotImplementedError

    def _gathered(self, x: Any, axis: int, starts: Any, ends: Any) -> Any:
        """Any windows along one axis, of which some are an element larger than the others."""
        raise NotImplementedError


def _windows(size: int, count: int) -> tuple[Any, Any]:
    """Starts and ends of the windows along an axis."""
    i = np.arange(count)
    return i * size // count, -(-(i + 1) * size // count)


def _evenly(starts: Any, ends: Any) -> tuple[int, int] | None:
    """Size and distance of windows that are alike, if they are."""
    sizes, distances = set((ends - starts).tolist()), set(np.diff(starts).tolist())
    if len(sizes) > 1 or len(distances) > 1 or distances == {0}:
        return None
    [size] = sizes
    return size, next(iter(distances), size)


def _places(starts: Any, ends: Any) -> Any:
    """[windows, largest window]: the elements of each; smaller ones repeat their last."""
    largest = int((ends - starts).max())
    return np.minimum(starts[:, None] + np.arange(largest), ends[:, None] - 1)


class _AdaptiveAveragePooling(_AdaptivePooling):
    def call(self, x: Any) -> Any:
        return super().call(promoted(self, x))

    def _whole(self, x: Any) -> Any:
        return ops.mean(x, axis=self._space_axes, keepdims=True)

    def _pooled(self, x: Any, size: tuple[int, ...], strides: tuple[int, ...]) -> Any:
        return ops.average_pool(x, size, strides=strides)

    def _gathered(self, x: Any, axis: int, starts: Any, ends: Any) -> Any:
        places = _places(starts, ends)
        # What is there twice counts half, instead of not at all: infinity times 0 is not 0.
        times = (places[:, :, None] == places[:, None, :]).sum(2)
        weights = 1 / (times * (ends - starts)[:, None])
        weights = weights.reshape(*weights.shape, *(1,) * (self.rank + 1 - axis))
        elements = ops.take(x, places, axis)
        return ops.sum(elements * weights.astype(x.dtype), axis=axis + 1)


class _AdaptiveMaxPooling(_AdaptivePooling):
    def _whole(self, x: Any) -> Any:
        return ops.max(x, axis=self._space_axes, keepdims=True)

    def _pooled(self, x: Any, size: tuple[int, ...], strides: tuple[int, ...]) -> Any:
        return ops.max_pool(x, size, strides=strides)

    def _gathered(self, x: Any, axis: int, starts: Any, ends: Any) -> Any:
        return ops.max(ops.take(x, _places(starts, ends), axis), axis=axis + 1)


class AdaptiveAveragePooling1D(_AdaptiveAveragePooling, rank=1):
    """The means of as many windows of a sequence as are wanted."""


class AdaptiveAveragePooling2D(_AdaptiveAveragePooling, rank=2):
    """The means of as many windows of an image as are wanted."""


class AdaptiveAveragePooling3D(_AdaptiveAveragePooling, rank=3):
    """The means of as many windows of a volume as are wanted."""


class AdaptiveMaxPooling1D(_AdaptiveMaxPooling, rank=1):
    """The largest elements of as many windows of a sequence as are wanted."""


class AdaptiveMaxPooling2D(_AdaptiveMaxPooling, rank=2):
    """The largest elements of as many windows of an image as are wanted."""


class AdaptiveMaxPooling3D(_AdaptiveMaxPooling, rank=3):
    """The largest elements of as many windows of a volume as are wanted."""
