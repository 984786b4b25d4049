"""Activations."""

from __future__ import annotations

from graphctx.nn.activation import ACTIVATIONS
from tests.nn.parity.case import Case, Draw, bools, floats, integers

WIDE = floats(3, 4, low=-4, high=4)

CASES = [
    *(Case("Activation", {"activation": name}, (WIDE,)) for name in ACTIVATIONS),
    Case("Identity", {}, (floats(2, 3),)),
    Case("Identity", {}, (integers(9, 2, 3),)),
    *(
        Case("ReLU", options, (floats(3, 8, low=-8, high=8),))
        for options in (
            {},
            {"max_value": 6},
            {"max_value": 2.5},
            {"negative_slope": 0.3},
            {"threshold": 1.0},
            {"max_value": 3.0, "negative_slope": 0.1},
            {"max_value": 6, "threshold": 2.0},
            {"max_value": 4.0, "negative_slope": 0.2, "threshold": 1.5},
            {"negative_slope": 0.2, "threshold": 0.5},
            {"max_value": 0},
        )
    ),
    *(Case("LeakyReLU", o, (WIDE,)) for o in ({}, {"negative_slope": 0}, {"negative_slope": 1.0})),
    *(Case("ELU", o, (WIDE,)) for o in ({}, {"alpha": 0.4}, {"alpha": -1.5})),
    Case("PReLU", {}, (floats(3, 4),)),
    Case("PReLU", {}, (floats(5),)),
    Case("PReLU", {"shared_axes": 1}, (floats(3, 4),)),
    Case("PReLU", {"shared_axes": [1, 2]}, (floats(2, 3, 4, 5),)),
    Case("PReLU", {"shared_axes": [2, 3]}, (floats(2, 3, 4, 5),)),
    Case("PReLU", {}, (Draw((2, 3, 2), "float64"),)),
    *(
        Case("Softmax", {"axis": axis}, (floats(2, 3, 4),))
        for axis in (-1, 1, 0, [2], (1, 2), (-1, 0), (0, 1, 2))
    ),
    Case("Softmax", {}, (floats(2, 3, 4),), {"mask": bools(2, 3, 4)}),
    Case("Softmax", {}, (floats(2, 3, 4),), {"mask": bools(4)}),
    Case("Softmax", {"axis": 1}, (floats(2, 3, 4),), {"mask": bools(2, 1, 4)}),
    Case("Softmax", {"axis": (1, 2)}, (floats(2, 3, 4),), {"mask": bools(3, 4)}),
    Case("Softmax", {}, (floats(2, 3, 4),), {"mask": floats(2, 3, 4, low=0)}, note="of numbers"),
    Case("Softmax", {}, (floats(2, 3, 4),), {"mask": integers(2, 2, 3, 4)}),
    Case("Softmax", {}, (floats(2, 4),), {"mask": integers(1, 2, 4)}, note="of nothing"),
]
