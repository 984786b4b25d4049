"""Pooling over windows, over all of space, and over as many windows as are wanted."""

from __future__ import annotations

from typing import Any

from tests.nn.parity.case import Case, bools, floats

SPACE = {1: (7,), 2: (5, 6), 3: (4, 3, 4)}
RANKS = (1, 2, 3)
FIRST = {"data_format": "channels_first"}


def case(layer: str, rank: int, space: Any = None, named: Any = None, **options: Any) -> Case:
    space = space or SPACE[rank]
    last = options.get("data_format") != "channels_first"
    sizes = (*space, 2) if last else (2, *space)
    return Case(
        f"{layer}{rank}D",
        options,
        (floats(1 if rank == 3 else 2, *sizes),),
        named or {},
        modes=("inference",),
    )


SIZES: dict[int, list[Any]] = {1: [3], 2: [(3, 2), (1, 4)], 3: [(1, 2, 3), (2, 3, 1)]}
STRIDES: dict[int, list[Any]] = {1: [2], 2: [(2, 1)], 3: [(1, 2, 2)]}
OUTPUTS: dict[int, list[Any]] = {
    1: [1, 2, 3, 5, 7, 9],
    2: [1, (5, 3), (2, 4), (3, 1), (7, 8), (1, 6)],
    3: [1, (2, 3, 1), (3, 2, 4), (4, 1, 6)],
}

CASES = [
    *(
        case(kind, rank, **options)
        for kind in ("MaxPooling", "AveragePooling")
        for rank in RANKS
        for options in (
            {"pool_size": 2},
            {"pool_size": 2, **FIRST},
            {"pool_size": 2, "padding": "same"},
            {"pool_size": 3, "strides": 2, "padding": "same"},
            {"pool_size": 3, "strides": 1, "padding": "same", **FIRST},
            {"pool_size": 2, "strides": 3},
            {"pool_size": 1, "strides": 2, "padding": "same"},
            *({"pool_size": size} for size in SIZES[rank]),
            *({"pool_size": size, "padding": "same"} for size in SIZES[rank]),
            *({"pool_size": 3, "strides": strides} for strides in STRIDES[rank]),
        )
    ),
    case("MaxPooling", 2),
    *(
        case(f"Global{kind}Pooling", rank, **options)
        for kind in ("Max", "Average")
        for rank in RANKS
        for options in ({}, FIRST, {"keepdims": True}, {"keepdims": True, **FIRST})
    ),
    case("GlobalAveragePooling", 1, named={"mask": bools(2, 7)}),
    case("GlobalAveragePooling", 1, named={"mask": bools(2, 7)}, keepdims=True, **FIRST),
    *(
        case(f"Adaptive{kind}Pooling", rank, output_size=size, **options)
        for kind in ("Max", "Average")
        for rank in RANKS
        for size in OUTPUTS[rank]
        for options in ({}, FIRST)
    ),
    *(case(f"Adaptive{kind}Pooling", 2, (8, 6), output_size=(4, 4)) for kind in ("Max", "Average")),
]
