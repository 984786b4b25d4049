"""Files of images as arrays; the package Pillow reads them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from graphctx.errors import DTypeError, GraphctxError, ShapeError
from graphctx.graph import Value
from graphctx.ops.table import Inferred, op, require_rank
from graphctx.spec import Dim, dtype_name

PIXEL_FORMATS = ("RGB", "BGR", "Grayscale")
LARGEST = 1 << 28
"""Pixels of the largest image that is decoded: a file of few bytes can say that it has any size."""


def _infer_image_decoder(encoded_stream: Value, *, pixel_format: str = "RGB") -> Inferred:
    require_rank(encoded_stream, 1, "the bytes of an image file")
    if encoded_stream.dtype != np.uint8:
        raise DTypeError(f"needs bytes as uint8, got {dtype_name(encoded_stream.dtype)}")
    if pixel_format not in PIXEL_FORMATS:
        raise ShapeError(f"pixel_format is {', '.join(PIXEL_FORMATS)}; got {pixel_format!r}")
    channels = 1 if pixel_format == "Grayscale" else 3
    return (Dim.unknown(), Dim.unknown(), channels), np.dtype(np.uint8)


@op("ImageDecoder", since=20, infer=_infer_image_decoder)
def image_decoder(encoded_stream: Any, *, pixel_format: str = "RGB") -> Any:
    """The image in a file's bytes: uint8 [height, width, channels].

    Args:
        encoded_stream: uint8 vector: a BMP, JPEG, JPEG 2000, PNG, PNM, TIFF or WebP file.
        pixel_format: `RGB` or `BGR`, three channels; `Grayscale`, one.

    Raises:
        ShapeError: the bytes are no image that Pillow reads, or one of too many pixels.
        GraphctxError: the package Pillow is not installed.
    """
    is_bytes = encoded_stream.ndim == 1 and encoded_stream.dtype == np.uint8
    if not is_bytes or pixel_format not in PIXEL_FORMATS:
        raise ValueError("bytes, and a pixel format")  # inference says it in full
    try:
        import PIL.Image
    except ImportError:
        raise GraphctxError(
            "ImageDecoder needs the package Pillow: pip install 'graphctx[images]'"
        ) from None
    try:
        with PIL.Image.open(io.BytesIO(encoded_stream.tobytes())) as image:
            if image.width * image.height > LARGEST:
                raise ShapeError(
                    f"ImageDecoder: an image of {image.height} x {image.width} pixels is larger "
                    f"than {LARGEST} pixels"
                )
            if pixel_format == "Grayscale":
                return np.array(image.convert("L"))[:, :, None]
            pixels = np.array(image.convert("RGB"))
    except (OSError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        raise ShapeError(f"ImageDecoder: the bytes are no image: {error}") from error
    return pixels if pixel_format == "RGB" else np.ascontiguousarray(pixels[:, :, ::-1])
