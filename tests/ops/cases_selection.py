"""Cases of the operators that search."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.ops.build import FLOATS, INTEGERS, random, refused
from tests.ops.case import Case

NUMBERS = (*FLOATS, *INTEGERS, "bool")
WORDS = np.array([["b", "", "b"], ["a", "Zürich", "a"], ["b", "", "b"]], object)
KNOWN = (
    "bool",
    "float16",
    "float32",
    "int32",
    "int64",
    "uint8",
)  # that onnxruntime's NonZero takes
SORTABLE = ("float16", "float32", "float64", "int8", "int64")
X = np.array([[2, 1, 2, 0], [3, 0, 3, 1], [2, 1, 2, 0]])
KEEP = np.array([True, False, True])
LACKS = "onnxruntime has no kernel for this dtype"


def case(op: str, *operands: Any, **attrs: Any) -> Case:
    """A case whose first operand has symbolic axes, with equal bits."""
    names = {axis: f"d{axis}" for axis in range(operands[0].ndim)}
    return Case(op, operands, attrs, symbolic={0: names} if names else {}, tolerance=0)


def unless(known: bool, given: Case) -> Case:
    """The case, or one that onnxruntime refuses."""
    return given if known else refused(given, LACKS)


def reverse(x: Any, lengths: Any, **attrs: Any) -> Case:
    """A case of ReverseSequence."""
    batch = attrs.get("batch_axis", 1)
    symbolic = {0: {0: "d0", 1: "d1"}, 1: {0: f"d{batch}"}}
    return Case("ReverseSequence", [x, np.asarray(lengths, np.int64)], attrs, symbolic=symbolic,
                tolerance=0)  # fmt: skip


BOXES = np.array([[[0, 0, 1, 1], [0, 0.1, 1, 1.1], [0, -0.1, 1, 0.9], [0, 10, 1, 11],
                   [0, 10.1, 1, 11.1], [0, 100, 1, 101]]], np.float32)  # fmt: skip
SCORES = np.array([[[0.9, 0.75, 0.6, 0.95, 0.5, 0.3], [0.1, 0.9, 0.9, 0.2, 0.4, 0.4]]], np.float32)
FLIPPED = BOXES[..., [2, 1, 0, 3]]
MANY = random((2, 60, 4), low=0, high=1)
RATES = random((2, 3, 60), low=0, high=1, seed=1)


def boxes(x: Any, scores: Any, most: int | None, overlap: float | None = None,
          least: float | None = None, **attrs: Any) -> Case:  # fmt: skip
    """A case of NonMaxSuppression."""
    limits = [None if most is None else np.array([most]),
              None if overlap is None else np.array([overlap], np.float32),
              None if least is None else np.array([least], np.float32)]  # fmt: skip
    symbolic = {0: {0: "n", 1: "k"}, 1: {0: "n", 1: "classes", 2: "k"}}
    return Case("NonMaxSuppression", [x, scores, *limits], attrs, symbolic=symbolic, tolerance=0)


CASES = [
    *(unless(t in KNOWN, case("NonZero", random((3, 4), t) * (random((3, 4)) > 0)))
      for t in NUMBERS if t != "bool"),
    case("NonZero", random((3, 4)) > 0),
    case("NonZero", np.zeros((2, 3), np.int64)),
    case("NonZero", random((2, 0, 3))),
    unless(False, case("NonZero", WORDS)),
    refused(case("NonZero", np.array(3)), "onnxruntime takes a scalar as a vector of one element"),
    case("Compress", random((3, 4)), KEEP),
    case("Compress", random((3, 4)), KEEP, axis=0),
    case("Compress", random((3, 4)), KEEP[:1], axis=-1),
    case("Compress", random((2, 3, 4)), KEEP, axis=1),
    *(case("Compress", random((3, 2), t), KEEP, axis=0) for t in NUMBERS),
    case("Compress", WORDS, KEEP, axis=1),
    *(unless(t in SORTABLE, case("Unique", X.astype(t), axis=axis, sorted=order))
      for t in NUMBERS for axis, order in ((0, 1), (1, 0))),
    *(unless(t in SORTABLE, case("Unique", X.astype(t))) for t in NUMBERS),
    case("Unique", X, sorted=0),
    case("Unique", X, axis=-1),
    case("Unique", np.stack([X, X[::-1]]), axis=1, sorted=0),
    case("Unique", WORDS),
    case("Unique", WORDS, sorted=0),
    case("Unique", WORDS, axis=0),
    case("Unique", WORDS, axis=1, sorted=0),
    *(reverse(random((4, 3), t), [4, 1, 2]) for t in NUMBERS),
    reverse(random((4, 3, 2)), [4, 3, 2]),
    reverse(random((3, 4, 2)), [4, 1, 2], batch_axis=0, time_axis=1),
    reverse(WORDS, [3, 1, 2]),
    boxes(BOXES, SCORES, 3, 0.5),
    boxes(BOXES, SCORES, 3, 0.5, 0.4),
    boxes(FLIPPED, SCORES, 2, 0.5),
    boxes(BOXES, SCORES, None),
    boxes(BOXES, SCORES, 2),
    boxes(BOXES, SCORES, 0, 0.5),
    boxes(BOXES[..., ::-1].copy(), SCORES, 4, 0.3, center_point_box=1),
    boxes(MANY, RATES, 20, 0.4, 0.2),
    boxes(MANY, RATES, 20, 0.4, 0.2, center_point_box=1),
    boxes(MANY, RATES, 100, 1.0),
]  # fmt: skip
