"""Layers that make sequences, images and volumes larger or smaller."""

from __future__ import annotations

from typing import Any

from tests.nn.parity.case import Case, floats, integers

FIRST = {"data_format": "channels_first"}


def case(layer: str, inputs: Any, onnx: bool = True, **options: Any) -> Case:
    return Case(layer, options, (inputs,), modes=("inference",), onnx=onnx)


IMAGE = floats(2, 5, 4, 2)
BYTES = integers(256, 1, 5, 3, 2, dtype="uint8")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic")

CASES = [
    case("UpSampling1D", floats(2, 5, 3)),
    case("UpSampling1D", floats(2, 5, 3), size=3),
    case("UpSampling1D", floats(2, 5, 3), size=1),
    *(
        case("UpSampling2D", IMAGE, size=size, interpolation=interpolation, **options)
        for interpolation in INTERPOLATIONS
        for size in (2, (1, 3), (4, 2))
        for options in ({}, FIRST)
    ),
    case("UpSampling2D", IMAGE),
    case("UpSampling2D", BYTES),
    case("UpSampling2D", BYTES, interpolation="bilinear"),
    case("UpSampling3D", floats(1, 2, 3, 2, 2)),
    case("UpSampling3D", floats(1, 2, 3, 2, 2), size=(1, 2, 3)),
    case("UpSampling3D", floats(1, 2, 3, 2, 2), size=(3, 1, 2), **FIRST),
    *(
        case(
            "Resizing", IMAGE, height=h, width=w, interpolation=interpolation, antialias=antialias,
            # onnxruntime 1.32 moves the transposes past the Resize, and then has no kernel for it.
            onnx=interpolation != "bicubic" or antialias or (h, w) == (5, 4),
        )
        for interpolation in INTERPOLATIONS
        for antialias in (False, True)
        for h, w in ((3, 7), (11, 2), (5, 4), (1, 1))
    ),
    *(
        case("Resizing", IMAGE, height=3, width=5, interpolation=interpolation, **FIRST)
        for interpolation in INTERPOLATIONS
    ),
    case("Resizing", IMAGE, height=3, width=5),
    case("Resizing", floats(5, 4, 2), height=3, width=5),
    case("Resizing", floats(2, 5, 4), height=3, width=5, interpolation="bicubic", **FIRST),
    case("Resizing", floats(1, 30, 36, 1), height=9, width=10, interpolation="nearest"),
    *(
        # Sizes of which nothing is halfway between integers; bicubic is not here since Keras's
        # backends disagree on what it overshoots.
        case("Resizing", BYTES, height=7, width=5, interpolation=interpolation)
        for interpolation in ("nearest", "bilinear")
    ),
    case("Resizing", integers(99, 1, 5, 3, 2, low=-99), height=7, width=5),
    *(
        case("Resizing", inputs, height=h, width=w, **{f"{what}_to_aspect_ratio": True}, **options)
        for what in ("crop", "pad")
        for inputs, options in ((IMAGE, {}), (floats(2, 2, 5, 8), FIRST))
        for h, w in ((3, 3), (2, 7), (8, 3))
    ),
    case(
        "Resizing", IMAGE, height=6, width=6, pad_to_aspect_ratio=True, fill_value=0.5,
        interpolation="nearest",
    ),
]  # fmt: skip
