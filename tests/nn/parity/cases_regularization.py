"""Layers that are random while training; their statistics are in tests/nn/test_keras_parity.py."""

from __future__ import annotations

from typing import Any

from tests.nn.parity.case import Case, floats

BEFORE = ("inference",)


def passed_on(layer: str, options: dict[str, Any], *shape: int) -> Case:
    return Case(layer, options, (floats(*shape),), modes=BEFORE)


CASES = [
    passed_on("Dropout", {"rate": 0.4}, 3, 4),
    passed_on("Dropout", {"rate": 0.4, "noise_shape": (None, 1, None)}, 2, 3, 4),
    Case("Dropout", {"rate": 0}, (floats(3, 4),)),
    Case("Dropout", {"rate": 1}, (floats(3, 4),)),
    passed_on("GaussianNoise", {"stddev": 0.4}, 3, 4),
    Case("GaussianNoise", {"stddev": 0}, (floats(3, 4),)),
    passed_on("GaussianDropout", {"rate": 0.4}, 3, 4),
    Case("GaussianDropout", {"rate": 0}, (floats(3, 4),)),
    passed_on("AlphaDropout", {"rate": 0.4}, 3, 4),
    passed_on("AlphaDropout", {"rate": 0.4, "noise_shape": (None, 1)}, 3, 4),
    Case("AlphaDropout", {"rate": 0}, (floats(3, 4),)),
    passed_on("SpatialDropout1D", {"rate": 0.4}, 2, 3, 4),
    Case("SpatialDropout1D", {"rate": 1}, (floats(2, 3, 4),)),
    passed_on("SpatialDropout2D", {"rate": 0.4}, 2, 3, 2, 4),
    passed_on("SpatialDropout2D", {"rate": 0.4, "data_format": "channels_first"}, 2, 3, 2, 4),
    Case("SpatialDropout2D", {"rate": 1}, (floats(2, 3, 2, 4),)),
    passed_on("SpatialDropout3D", {"rate": 0.4}, 2, 3, 2, 2, 4),
    passed_on("SpatialDropout3D", {"rate": 0.4, "data_format": "channels_first"}, 2, 3, 2, 2, 4),
    Case("SpatialDropout3D", {"rate": 1}, (floats(2, 3, 2, 2, 4),)),
]
