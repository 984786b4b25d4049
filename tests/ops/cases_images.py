"""Cases of files of images."""

import io
from typing import Any

import numpy as np
import PIL.Image

from tests.ops.case import Case

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
WHY = "onnxruntime has no kernel for it"


def encoded(format: str, mode: str = "RGB") -> Any:
    """An image file without losses, as bytes."""
    file = io.BytesIO()
    PIL.Image.fromarray(PIXELS).convert(mode).save(file, format)
    return np.frombuffer(file.getvalue(), np.uint8)


CASES = [
    Case("ImageDecoder", [encoded(format, mode)], {"pixel_format": pixels},
         symbolic={0: {0: "bytes"}}, onnxruntime=False, why_not=WHY)
    for format, mode, pixels in (
        ("PNG", "RGB", "RGB"), ("BMP", "RGB", "BGR"), ("TIFF", "RGB", "Grayscale"),
        ("PPM", "L", "RGB"), ("PNG", "RGBA", "RGB"), ("PNG", "P", "BGR"),
    )
]  # fmt: skip
