"""Layers that change the shape of their input."""

from __future__ import annotations

from typing import Any

from tests.nn.parity.case import Case, bools, floats, integers

FIRST = {"data_format": "channels_first"}


def case(layer: str, inputs: Any, **options: Any) -> Case:
    return Case(layer, options, (inputs,), modes=("inference",))


SEQUENCE, IMAGE, VOLUME = floats(2, 5, 3), floats(2, 5, 4, 3), floats(2, 4, 5, 6, 2)

CASES = [
    case("Flatten", IMAGE),
    case("Flatten", IMAGE, **FIRST),
    case("Flatten", VOLUME, **FIRST),
    case("Flatten", floats(2, 3)),
    case("Flatten", floats(3)),
    case("Flatten", floats(3), **FIRST),
    case("Reshape", SEQUENCE, target_shape=(3, 5)),
    case("Reshape", SEQUENCE, target_shape=(-1,)),
    case("Reshape", IMAGE, target_shape=(4, -1, 3)),
    case("Reshape", floats(2, 6), target_shape=(1, 2, 3, 1)),
    case("Reshape", floats(3), target_shape=(1, 1)),
    case("Reshape", integers(9, 2, 6), target_shape=(6,)),
    case("Reshape", floats(2, 1), target_shape=()),
    case("Permute", SEQUENCE, dims=(2, 1)),
    case("Permute", SEQUENCE, dims=(1, 2)),
    case("Permute", VOLUME, dims=(3, 1, 4, 2)),
    case("RepeatVector", floats(2, 3), n=4),
    case("RepeatVector", bools(2, 3), n=1),
    case("Cropping1D", SEQUENCE),
    case("Cropping1D", SEQUENCE, cropping=(0, 2)),
    case("Cropping1D", SEQUENCE, cropping=(3, 0)),
    case("Cropping1D", SEQUENCE, cropping=2),
    case("Cropping2D", IMAGE),
    case("Cropping2D", IMAGE, cropping=1),
    case("Cropping2D", IMAGE, cropping=(2, 1)),
    case("Cropping2D", IMAGE, cropping=((1, 3), (0, 2))),
    case("Cropping2D", IMAGE, cropping=((0, 1), (1, 0)), **FIRST),
    case("Cropping3D", VOLUME),
    case("Cropping3D", VOLUME, cropping=(1, 2, 0)),
    case("Cropping3D", VOLUME, cropping=((1, 0), (0, 3), (2, 2))),
    case("Cropping3D", floats(1, 2, 4, 5, 6), cropping=((1, 0), (0, 3), (2, 2)), **FIRST),
    case("ZeroPadding1D", SEQUENCE),
    case("ZeroPadding1D", SEQUENCE, padding=(0, 3)),
    case("ZeroPadding1D", SEQUENCE, padding=2, **FIRST),
    case("ZeroPadding1D", integers(9, 2, 3, 2), padding=(1, 0)),
    case("ZeroPadding2D", IMAGE),
    case("ZeroPadding2D", IMAGE, padding=(2, 0)),
    case("ZeroPadding2D", IMAGE, padding=((0, 1), (2, 3))),
    case("ZeroPadding2D", IMAGE, padding=((1, 0), (0, 2)), **FIRST),
    case("ZeroPadding2D", IMAGE, padding=0),
    case("ZeroPadding3D", floats(1, 2, 3, 2, 2)),
    case("ZeroPadding3D", floats(1, 2, 3, 2, 2), padding=(0, 1, 2)),
    case("ZeroPadding3D", floats(1, 2, 3, 2, 2), padding=((0, 1), (2, 0), (1, 1)), **FIRST),
]
