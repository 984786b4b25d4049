"""Layers that make one tensor of several."""

from __future__ import annotations

from typing import Any

from tests.nn.parity.case import Case, floats, integers

ELEMENTWISE = ("Add", "Multiply", "Average", "Maximum", "Minimum")


def merged(layer: str, *shapes: tuple[int, ...], options: dict[str, Any] | None = None) -> Case:
    return Case(layer, options or {}, ([floats(*shape) for shape in shapes],))


DOTS: list[tuple[Any, tuple[int, ...], tuple[int, ...]]] = [
    (1, (2, 3), (2, 3)),
    (-1, (2, 3), (2, 3)),
    (1, (2, 3), (2, 3, 4)),
    ((2, 1), (2, 4, 3), (2, 3)),
    ((2, 1), (2, 4, 3), (2, 3, 5)),
    ((1, 2), (2, 3, 5), (2, 4, 3)),
    (2, (2, 4, 3), (2, 5, 3)),
    (1, (2, 3, 4), (2, 3, 5)),
    ((2, 2), (2, 4, 3, 5), (2, 6, 3)),
    ((2, 2), (2, 4, 3), (2, 5, 3, 6)),
    ((3, 1), (2, 3, 2, 4), (2, 4, 3, 2)),
    ((1, 2), (2, 3), (2, 4, 3, 5)),
]

CASES = [
    *(merged(layer, (2, 3), (2, 3)) for layer in (*ELEMENTWISE, "Subtract")),
    *(merged(layer, (2, 3, 4), (2, 1, 4)) for layer in (*ELEMENTWISE, "Subtract")),
    *(merged(layer, (2, 4), (2, 3, 5, 4)) for layer in (*ELEMENTWISE, "Subtract")),
    *(merged(layer, (2, 3), (2, 3), (2, 3)) for layer in ELEMENTWISE),
    *(merged(layer, (2, 3)) for layer in ELEMENTWISE),
    *(merged(layer, (2, 4, 3), (2,), (2, 3)) for layer in ELEMENTWISE),
    Case("Add", {}, ([integers(9, 2, 3), integers(9, 2, 3)],)),
    Case("Maximum", {}, ([integers(9, 2, 3), integers(9, 2, 3)],)),
    merged("Concatenate", (2, 3), (2, 3)),
    merged("Concatenate", (2, 3), (2, 1), (2, 4)),
    merged("Concatenate", (2, 3, 4), (2, 5, 4), options={"axis": 1}),
    merged("Concatenate", (2, 3, 4), (2, 5, 4), options={"axis": -2}),
    merged("Concatenate", (2, 3), (4, 3), options={"axis": 0}),
    *(merged("Dot", x, y, options={"axes": axes}) for axes, x, y in DOTS),
    *(merged("Dot", x, y, options={"axes": axes, "normalize": True}) for axes, x, y in DOTS),
]  # fmt: skip
