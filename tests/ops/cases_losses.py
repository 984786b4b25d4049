"""Cases of losses of classifiers."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.ops.build import TOLERANCE, random
from tests.ops.case import Case

CLASSES = 5


def labels(*shape: int, dtype: Any = np.int64, ignored: int | None = None) -> Any:
    found = np.random.default_rng(7).integers(0, CLASSES, shape).astype(dtype)
    if ignored is not None:
        found.reshape(-1)[::3] = ignored
    return found


def loss(
    op: str, shape: tuple[int, ...], *, weighted: bool = False, ignored: int | None = None,
    reduction: str = "mean", dtype: Any = "float32", integer: Any = np.int64, outputs: int = 1,
) -> Case:  # fmt: skip
    scores = random((shape[0], CLASSES, *shape[1:]), dtype)
    operands = [scores, labels(*shape, dtype=integer, ignored=ignored)]
    if weighted:
        operands.append(random((CLASSES,), dtype, 5, 0.5, 2))
    attrs: dict[str, Any] = {}
    if reduction != "mean":
        attrs["reduction"] = reduction
    if ignored is not None:
        attrs["ignore_index"] = ignored
    if outputs > 1:
        attrs["outputs"] = outputs
    names = {0: "n", **{axis: f"d{axis}" for axis in range(1, len(shape))}}
    symbolic = {0: {0 if a == 0 else a + 1: n for a, n in names.items()}, 1: names}
    return Case(op, operands, attrs, symbolic=symbolic, tolerance=2 * TOLERANCE[dtype])


def both(op: str) -> list[Case]:
    return [
        *(
            loss(op, shape, weighted=weighted, ignored=ignored, reduction=reduction)
            for shape in ((4,), (3, 6), (2, 3, 4))
            for weighted in (False, True)
            for ignored in (None, 2)
            for reduction in ("none", "sum", "mean")
        ),
        loss(op, (4, 3), ignored=-100),
        loss(op, (4, 3), ignored=77, weighted=True),
        loss(op, (4, 3), integer=np.int32),
        loss(op, (4, 3), dtype="float64", weighted=True),
    ]


CASES: list[Case] = [
    *both("NegativeLogLikelihoodLoss"),
    *both("SoftmaxCrossEntropyLoss"),
    loss("NegativeLogLikelihoodLoss", (4, 3), dtype="float16"),
    loss("SoftmaxCrossEntropyLoss", (4, 3), dtype="float16"),
    loss("SoftmaxCrossEntropyLoss", (4, 3), outputs=2),
    loss("SoftmaxCrossEntropyLoss", (4,), outputs=2, reduction="none", weighted=True, ignored=1),
    loss("SoftmaxCrossEntropyLoss", (2, 3, 4), outputs=2, reduction="sum"),
    Case(
        "SoftmaxCrossEntropyLoss",
        (random((2, CLASSES)) * 200, labels(2)),
        {"outputs": 2},
        tolerance=1e-5,
    ),
]
