"""Cases of the operators on sequences and optionals."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.ops.build import FLOATS, INTEGERS, random
from tests.ops.case import Case

DTYPES = (*FLOATS, *INTEGERS, "bool")
RAGGED = [random((2, 3)), random((1, 3), seed=1), random((4, 3), seed=2)]
WORDS = np.array([["a", "Zürich"], ["", "b c"]], object)
TEXTS = [WORDS, WORDS[:1]]
X = random((5, 6))


def at(*places: int) -> np.ndarray:
    """A position."""
    return np.asarray(places[0] if len(places) == 1 else places, np.int64)


def case(op: str, *operands: Any, **attrs: Any) -> Case:
    """A case that moves elements, and so has equal bits everywhere."""
    return Case(op, operands, attrs, tolerance=0)


def symbolic(op: str, *operands: Any, constant: Any = (), **attrs: Any) -> Case:
    """The same, with symbolic axes of the first operand."""
    names = {axis: f"d{axis}" for axis in range(operands[0].ndim)}
    return Case(op, operands, attrs, constant, {0: names}, tolerance=0)


CASES = [
    case("SequenceEmpty"),
    case("SequenceEmpty", dtype=np.dtype("int64")),
    case("SequenceEmpty", dtype=np.dtype(object)),
    *(case("SequenceConstruct", random((2, 3), dtype), random((1,), dtype)) for dtype in DTYPES),
    case("SequenceConstruct", WORDS, WORDS[0]),
    symbolic("SequenceConstruct", X, X, X),
    Case("SequenceInsert", [RAGGED, X], symbolic={1: {0: "n", 1: "m"}}, tolerance=0),
    case("SequenceInsert", TEXTS, WORDS[0]),
    *(case("SequenceInsert", RAGGED, X, at(place)) for place in (0, 2, 3, -1, -3)),
    case("SequenceInsert", RAGGED, X, np.asarray(1, np.int32)),
    case("SequenceErase", RAGGED),
    *(case("SequenceErase", RAGGED, at(place)) for place in (0, 2, -1, -3)),
    *(case("SequenceAt", RAGGED, at(place)) for place in (0, 2, -1, -3)),
    case("SequenceAt", RAGGED, np.asarray(1, np.int32)),
    case("SequenceAt", TEXTS, at(1)),
    case("SequenceLength", RAGGED),
    case("SequenceLength", TEXTS),
    symbolic("SplitToSequence", X),
    symbolic("SplitToSequence", X, keepdims=0),
    symbolic("SplitToSequence", X, axis=-1, keepdims=0),
    symbolic("SplitToSequence", X, at(2)),
    symbolic("SplitToSequence", X, at(2), constant=[1], axis=1),
    symbolic("SplitToSequence", X, at(7), constant=[1]),
    Case("SplitToSequence", [X, at(3)], {"axis": 1}, constant=[1], symbolic={0: {0: "n"}}),
    symbolic("SplitToSequence", X, at(1, 4), constant=[1]),
    symbolic("SplitToSequence", X, at(3, 3), constant=[1], axis=-1, keepdims=0),
    symbolic("SplitToSequence", X, at(1, 0, 4)),
    symbolic("SplitToSequence", WORDS),
    *(symbolic("SplitToSequence", random((2, 4), t), axis=1) for t in ("int32", "int64")),
    case("ConcatFromSequence", RAGGED, axis=0),
    case("ConcatFromSequence", RAGGED, axis=-2),
    case("ConcatFromSequence", [X, X + 1], axis=1),
    *(case("ConcatFromSequence", [X, X + 1], axis=axis, new_axis=1) for axis in (0, 1, 2, -1, -3)),
    case("ConcatFromSequence", TEXTS, axis=0),
    symbolic("Optional", X),
    case("Optional", RAGGED),
    symbolic("OptionalHasElement", X),
    case("OptionalHasElement", RAGGED),
    case("OptionalHasElement"),
    symbolic("OptionalGetElement", X),
    case("OptionalGetElement", RAGGED),
    case("Identity", RAGGED),
]  # fmt: skip
