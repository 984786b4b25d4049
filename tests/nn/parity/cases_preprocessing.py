"""Preprocessing that belongs in a served graph."""

from __future__ import annotations

from typing import Any

from tests.nn.parity.case import Case, Draw, floats, integers

BINS = [-1.0, 0.0, 0.5, 2.0]
MODES = ("one_hot", "multi_hot", "count")


def normalized(options: dict[str, Any], *shape: int) -> Case:
    return Case("Normalization", options, (floats(*shape),))


CASES = [
    Case("Rescaling", {"scale": 1 / 255}, (integers(256, 2, 3, dtype="uint8"),)),
    Case("Rescaling", {"scale": 1 / 127.5, "offset": -1}, (integers(256, 2, 3, dtype="uint8"),)),
    Case("Rescaling", {"scale": 2.0, "offset": 0.5}, (floats(2, 3),)),
    Case("Rescaling", {"scale": [1.0, 2.0, 3.0], "offset": [0.5, 0.0, 1.0]}, (floats(2, 4, 3),)),
    Case("Rescaling", {"scale": 2.0, "dtype": "float64"}, (integers(9, 2),)),
    normalized({}, 4, 3),
    normalized({}, 2, 3, 4),
    normalized({"axis": None}, 4, 3),
    normalized({"axis": 1}, 2, 3, 4),
    normalized({"axis": (1, 2)}, 2, 3, 4),
    normalized({"axis": (-1, 1)}, 2, 3, 2, 4),
    normalized({"invert": True}, 4, 3),
    normalized({"axis": 1, "invert": True}, 2, 3, 4),
    normalized({"axis": 0}, 4),
    normalized({"mean": 3.0, "variance": 2.0}, 4, 3),
    normalized({"axis": None, "mean": 3.0, "variance": 2.0}, 4, 3),
    normalized({"mean": [1.0, 2.0, 3.0], "variance": [2.0, 0.0, 1.0]}, 4, 3),
    normalized({"mean": [1.0, 2.0, 3.0], "variance": [2.0, 0.5, 1.0], "invert": True}, 4, 3),
    normalized({"axis": 1, "mean": [1.0, 2.0, 3.0], "variance": [2.0, 0.5, 1.0]}, 2, 3, 4),
    normalized({"axis": (1, 3), "mean": [1.0, 2.0], "variance": [2.0, 0.5]}, 2, 3, 2, 2),
    Case("Normalization", {}, (integers(256, 4, 3, dtype="uint8"),)),
    Case("Discretization", {"bin_boundaries": BINS}, (floats(3, 4, low=-3, high=3),)),
    Case("Discretization", {"bin_boundaries": [2, 5]}, (integers(9, 3, 4),)),
    Case("Discretization", {"bin_boundaries": [0.0]}, (Draw((5,), "float32"),)),
    Case("Discretization", {"bin_boundaries": BINS}, (floats(2, 3, 2, 2),)),
    *(
        Case(
            "Discretization",
            {"bin_boundaries": BINS, "output_mode": mode},
            (floats(*shape, low=-3, high=3),),
        )
        for mode in MODES
        for shape in ((3, 4), (3, 1), (4,))
    ),
    *(
        Case("CategoryEncoding", {"num_tokens": 5, "output_mode": mode}, (integers(5, *shape),))
        for mode in MODES
        for shape in ((3, 4), (3, 1), (4,))
    ),
    Case("CategoryEncoding", {"num_tokens": 5}, (integers(5, 3, 4, dtype="int64"),)),
    Case("CategoryEncoding", {"num_tokens": 5}, (integers(5, 3, 4, dtype="uint8"),)),
    Case(
        "CategoryEncoding",
        {"num_tokens": 5, "output_mode": "one_hot"},
        (integers(5, 3, 4, low=-3),),
        note="negative",
    ),
    *(
        Case(
            "CategoryEncoding",
            {"num_tokens": 5, "output_mode": "count"},
            (integers(5, *shape),),
            {"count_weights": floats(*shape)},
        )
        for shape in ((3, 4), (3, 1), (4,))
    ),
]
