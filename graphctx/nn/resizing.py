"""Layers that make sequences, images and volumes larger or smaller by interpolation."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphctx import ops
from graphctx.layer import Layer
from graphctx.nn.arguments import (
    as_floats,
    bad,
    bad_call,
    choice,
    flag,
    image_format,
    number,
    positive,
    require_shape,
)
from graphctx.nn.space import Spatial, shape_of
from graphctx.spec import is_static, kind_of, shape_text

__all__ = ["Resizing", "UpSampling1D", "UpSampling2D", "UpSampling3D"]

# Keras's interpolations as ONNX's Resize has them. Keras gives no weight to what is outside of an
# image; between two neighbours only, that is the same as if its edge went on.
INTERPOLATIONS: dict[str, dict[str, Any]] = {
    "bilinear": {"mode": "linear"},
    "bicubic": {"mode": "cubic", "cubic_coeff_a": -0.5, "exclude_outside": True},
}


def _interpolation(layer: Layer, value: Any) -> str:
    """Return a known interpolation.

    Raises:
        LayerError: it is another.
    """
    if isinstance(value, str) and value in ("lanczos3", "lanczos5"):
        raise bad(layer, f"ONNX's Resize has no interpolation {value!r}; take 'bicubic'")
    return choice(layer, "interpolation", value, ("nearest", *INTERPOLATIONS))


def _interpolated(layer: Spatial, x: Any, interpolation: str, **options: Any) -> Any:
    """Images resized as `ops.resize` does by the options, in the same layout and dtype."""
    dtype = x.dtype
    x = as_floats(layer, x, "float32" if kind_of(dtype) in "iu" else None)
    options = {"axes": (2, 3), **INTERPOLATIONS[interpolation], **options}
    y = ops.resize(layer._channels_first(x), **options)
    y = layer._as_given(y)
    if kind_of(dtype) == "f":
        return y
    y = ops.round(y)
    if interpolation == "bicubic" and dtype.itemsize < 4:
        limits = np.iinfo(dtype)  # beside an edge the curve overshoots
        y = ops.clip(y, float(limits.min), float(limits.max))
    return ops.astype(y, dtype)


class _UpSampling(Spatial):
    """Makes the axes of space a whole number of times as large.

    Args:
        size: how many times: {numbers}.
        data_format: "channels_last" (also None): {channels_last};
            "channels_first": {channels_first}.
        name: of the layer.

    Output in the layout and dtype of the input; all dimensions may be symbolic.

    Raises:
        LayerError: a bad argument, or an input in another layout.
    """

    def __init__(
        self, size: Any = 2, data_format: str | None = "channels_last", *, name: str | None = None
    ) -> None:
        self.name = name
        self.size = self._numbers("size", size)
        self.data_format = image_format(self, data_format)

    def call(self, x: Any) -> Any:
        """Enlarge x; see the class."""
        self._require_layout(shape_of(x))
        return x if max(self.size) == 1 else self._enlarged(x)

    def _enlarged(self, x: Any) -> Any:
        # Every element is repeated, in the words that onnxruntime has a faster kernel for.
        y = ops.resize(
            self._channels_first(x),
            scales=self.size,
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        return self._as_given(y)


class UpSampling1D(_UpSampling, rank=1):
    """Repeats every step of sequences."""


class UpSampling2D(_UpSampling, rank=2):
    """Repeats every row and column of images, or interpolates between them.

    The interpolation is "nearest", which repeats; "bilinear", between the two neighbours along
    each axis; or "bicubic", between four, with the coefficient -0.5 of Keys (1981). These take
    floats and integers, and round the latter.
    """

    def __init__(
        self,
        size: Any = 2,
        data_format: str | None = "channels_last",
        interpolation: str = "nearest",
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(size, data_format, name=name)
        self.interpolation = _interpolation(self, interpolation)

    def _enlarged(self, x: Any) -> Any:
        if self.interpolation == "nearest":
            return super()._enlarged(x)
        return _interpolated(self, x, self.interpolation, scales=self.size)


class UpSampling3D(_UpSampling, rank=3):
    """Repeats every plane of volumes, in each direction."""


class Resizing(Spatial):
    """Makes images as large as they are wanted.

    Args:
        height: of the output.
        width: of the output.
        interpolation: "nearest"; "bilinear", between the two neighbours along each axis;
            "bicubic", between four, with the coefficient -0.5 of Keys (1981).
        crop_to_aspect_ratio: whether what is too long of one side is cut off before, as much at
            both ends, so that the image is not distorted.
        pad_to_aspect_ratio: whether something is added to what is too short of one side instead.
        fill_mode: "constant", as in Keras.
        fill_value: what is added.
        antialias: whether "bilinear" and "bicubic" look at all elements that one of a smaller
            output stands for.
        data_format: "channels_last" (also None): [batch, height, width, channels];
            "channels_first": [batch, channels, height, width].
        name: of the layer.

    Input also without the batch; output in its layout and dtype, where integers are rounded. All
    dimensions may be symbolic; height and width not with an aspect ratio to keep.

    Raises:
        LayerError: a bad argument; an input in another layout; a symbolic height or width with an
            aspect ratio to keep; bools to interpolate between.
    """

    rank = 2

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = "channels_last",
        *,
        name: str | None = None,
    ) -> None:
        self.name = name
        self.height = positive(self, "height", height)
        self.width = positive(self, "width", width)
        self.interpolation = _interpolation(self, interpolation)
        self.crop_to_aspect_ratio = flag(self, "crop_to_aspect_ratio", crop_to_aspect_ratio)
        self.pad_to_aspect_ratio = flag(self, "pad_to_aspect_ratio", pad_to_aspect_ratio)
        self.fill_mode = choice(self, "fill_mode", fill_mode, ("constant",))
        self.fill_value = number(self, "fill_value", fill_value, -np.inf)
        self.antialias = flag(self, "antialias", antialias)
        self.data_format = image_format(self, data_format)
        if self.crop_to_aspect_ratio and self.pad_to_aspect_ratio:
            raise bad(self, "crop_to_aspect_ratio and pad_to_aspect_ratio exclude each other")

    def call(self, x: Any) -> Any:
        """Resize x; see the class."""
        shape = shape_of(x)
        expected = f"{self._layout} or {self._layout.replace('batch, ', '')}"
        require_shape(self, shape, expected, least=3, most=4)
        if len(shape) == 3:
            return ops.squeeze(self._resized(ops.expand_dims(x, 0)), 0)
        return self._resized(x)

    def _resized(self, x: Any) -> Any:
        if self.crop_to_aspect_ratio or self.pad_to_aspect_ratio:
            x = self._in_proportion(x)
        if self.interpolation == "nearest":
            for axis, size in zip(self._space_axes, (self.height, self.width), strict=True):
                # Element i is the one at floor((i + 1/2) * old / new). Whole numbers, since the
                # rounding of Resize would put what is halfway on either side.
                places = (2 * np.arange(size) + 1) * x.shape[axis] // (2 * size)
                x = ops.take(x, places, axis)
            return x
        options = {"antialias": True, "exclude_outside": True} if self.antialias else {}
        return _interpolated(
            self, x, self.interpolation, sizes=(self.height, self.width), **options
        )

    def _in_proportion(self, x: Any) -> Any:
        """The image cut or padded to the proportions of the output, in Keras's roundings."""
        sizes = [x.shape[axis] for axis in self._space_axes]
        if not is_static(sizes):
            raise bad_call(
                self,
                f"needs numbers as height and width to keep an aspect ratio, got "
                f"{shape_text(x.shape)}; give these dimensions numbers in the TensorSpec",
            )
        height, width = sizes
        wanted = (
            int(width * self.height / self.width),
            int(height * self.width / self.height),
        )
        ends = [slice(None)] * 4
        around = [(0, 0)] * 4
        for axis, old, new in zip(self._space_axes, sizes, wanted, strict=True):
            if self.crop_to_aspect_ratio:
                kept = max(min(old, new), 1)
                start = (old - kept) // 2
                ends[axis] = slice(start, start + kept)
            else:
                added = (max(old, new) - old) // 2
                around[axis] = (added, added)
        if self.crop_to_aspect_ratio:
            return x[tuple(ends)]
        return ops.pad(x, around, value=self.fill_value)
