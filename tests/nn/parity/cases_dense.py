"""Dense layers."""

from __future__ import annotations

from tests.nn.parity.case import Case, floats

CASES = [
    Case("Dense", {"units": 4}, (floats(3, 5),)),
    Case("Dense", {"units": 4, "activation": "relu"}, (floats(2, 3, 5),)),
    Case("Dense", {"units": 4, "use_bias": False}, (floats(3, 5),)),
]
