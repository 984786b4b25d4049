"""Files of images: what comes of them, and what is refused."""

import builtins
from typing import Any

import numpy as np
import pytest

import graphctx as gx
from graphctx import ops
from graphctx.errors import DTypeError, GraphctxError, ShapeError
from graphctx.ops import images
from tests.ops.cases_images import PIXELS, encoded


def test_what_was_written_is_read() -> None:
    np.testing.assert_array_equal(ops.image_decoder(encoded("PNG")), PIXELS)
    backwards = ops.image_decoder(encoded("BMP"), pixel_format="BGR")
    np.testing.assert_array_equal(backwards, PIXELS[:, :, ::-1])
    grey = ops.image_decoder(encoded("PNG", "L"), pixel_format="Grayscale")
    assert grey.shape == (5, 7, 1)
    np.testing.assert_array_equal(ops.image_decoder(encoded("PNG", "L")), np.repeat(grey, 3, 2))


def test_in_a_program_its_sizes_are_unknown() -> None:
    layer = gx.nn.Lambda(lambda data: ops.astype(ops.image_decoder(data), "float32") / 255)
    program = gx.compile(gx.trace(layer, gx.TensorSpec(("bytes",), "uint8")))
    np.testing.assert_array_equal(program(encoded("PNG")), layer(encoded("PNG")))


@pytest.mark.parametrize(
    ("data", "options", "error", "message"),
    [
        (encoded("PNG")[:40], {}, ShapeError, "ImageDecoder: the bytes are no image: "),
        (np.zeros(0, np.uint8), {}, ShapeError, "ImageDecoder: the bytes are no image: "),
        (encoded("PNG"), {"pixel_format": "RGBA"}, ShapeError, "pixel_format is RGB, BGR, "),
        (encoded("PNG").astype("int8"), {}, DTypeError, "needs bytes as uint8, got int8"),
        (encoded("PNG")[None], {}, ShapeError, "the bytes of an image file needs 1 dimensions"),
    ],
)
def test_refused(data: Any, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ops.image_decoder(data, **options)


def test_images_of_too_many_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "LARGEST", 34)
    with pytest.raises(ShapeError, match="an image of 5 x 7 pixels is larger than 34 pixels"):
        ops.image_decoder(encoded("PNG"))


def test_without_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def lacking(name: str, *args: Any) -> Any:
        if name.startswith("PIL"):
            raise ImportError(name)
        return original(name, *args)

    monkeypatch.setattr(builtins, "__import__", lacking)
    with pytest.raises(GraphctxError, match=r"pip install 'graphctx\[images\]'"):
        ops.image_decoder(encoded("PNG"))
