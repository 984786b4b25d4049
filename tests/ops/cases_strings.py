"""Cases of the operators on strings, and of others that take them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.ops.build import aligned, refused
from tests.ops.case import Case


def text(*items: Any) -> np.ndarray:
    """An array of strings."""
    return np.array(items, object)


ALONE = ("StringSplit", "StringNormalizer", "RegexFullMatch", "Cast")  # of one operand


def case(op: str, *operands: Any, constant: Any = (), **attrs: Any) -> Case:
    """A case whose first operand has symbolic axes."""
    symbolic = {0: {0: "n"}} if op in ALONE and operands[0].ndim == 1 else {}
    return Case(op, operands, attrs, constant, symbolic, tolerance=0)


WORDS = text(["a", "Zürich", ""], ["b c", "ΑΣ", "straße"])
LINE = text("Monday", "tuesday", "MONDAY", "Zürich", "")
NUMBERS = np.array([1, 0.5, 1e-5, 1e10, 123456789, 3.14159265, np.nan, np.inf, -np.inf, -0.0])
POOL = {"pool_int64s": [2, 3, 5, 4, 5, 6, 7, 8, 6, 7], "ngram_counts": [0, 4],
        "ngram_indexes": [0, 1, 2, 3, 4, 5, 6]}  # fmt: skip
IDS = np.array([[1, 1, 3, 3, 3, 7], [8, 6, 7, 5, 6, 8]])
TEXT_POOL = {"pool_strings": ["a", "b", "c", "a", "b", "b", "c"], "ngram_counts": [0, 3],
             "ngram_indexes": [3, 0, 4, 1, 2]}  # fmt: skip
SPLIT = text(["a.b.c", ".", "a"], ["..", " x . y ", "ß.é"])
SPACES = text("a  b c ", " x y", "", "   ")


def grams(x: Any, pool: Any, mode: str, least: int, most: int, skip: int, **more: Any) -> Case:
    """A case of TfIdfVectorizer."""
    attrs = {"mode": mode, "min_gram_length": least, "max_gram_length": most,
             "max_skip_count": skip, **pool, **more}  # fmt: skip
    return Case("TfIdfVectorizer", [x], attrs, symbolic={0: {0: "n"}}, tolerance=0)


C = "C.utf8"  # a locale that every system has
BLANKS = "onnxruntime splits at the character ' ' alone"
EMPTY = "onnxruntime makes no part of an empty string"
WRONG = "onnxruntime loses all but the first string of a slice"
LACKS = "onnxruntime has no kernel for strings"


def unlike(why: str, *given: Any, **more: Any) -> Case:
    """A case on which onnxruntime has another answer, or none."""
    return refused(case(*given, **more), why)


CASES = [
    case("StringConcat", WORDS, WORDS),
    Case("StringConcat", [WORDS, WORDS], symbolic=aligned([WORDS, WORDS]), tolerance=0),
    case("StringConcat", WORDS, WORDS[0]),
    case("StringConcat", text("a", "b"), np.array("x", object)),
    case("StringConcat", np.array("ab", object), np.array("x", object)),
    case("StringConcat", text("a", "b").reshape(2, 1), text("x", "y", "z")),
    case("StringSplit", SPLIT, delimiter="."),
    case("StringSplit", SPLIT, delimiter=".", maxsplit=1),
    case("StringSplit", SPLIT, delimiter=".", maxsplit=0),
    case("StringSplit", text("a, b,, c", "x,y"), delimiter=", "),
    case("StringSplit", SPACES),
    case("StringSplit", SPACES, delimiter=""),
    case("StringSplit", text("a b c", "x y"), maxsplit=1),
    case("StringSplit", np.array("a.b", object), delimiter="."),
    unlike(BLANKS, "StringSplit", text("a\tb", "x\n y")),
    unlike(EMPTY, "StringSplit", text("a.b", ""), delimiter="."),
    case("StringNormalizer", LINE),
    *(case("StringNormalizer", LINE, case_change_action=action, locale=C)
      for action in ("LOWER", "UPPER")),
    case("StringNormalizer", LINE, stopwords=["monday"], locale=C),
    case("StringNormalizer", LINE, stopwords=["Monday"], is_case_sensitive=1),
    case("StringNormalizer", LINE, stopwords=["monday"], case_change_action="UPPER",
         locale=C),
    case("StringNormalizer", LINE[None], stopwords=["tuesday"], case_change_action="LOWER",
         locale=C),
    case("StringNormalizer", LINE[:1], stopwords=["monday"], locale=C),
    case("StringNormalizer", LINE[None, :1], stopwords=["monday"], locale=C),
    case("StringNormalizer", LINE, stopwords=["x"], locale=C),
    case("StringNormalizer", WORDS[1], case_change_action="LOWER", locale=C),
    case("RegexFullMatch", text("www.google.com", "a.com", ""), pattern=r"www\.[\w.-]+\.\bcom\b"),
    case("RegexFullMatch", WORDS, pattern=r"[a-z]*"),
    case("RegexFullMatch", WORDS, pattern=""),
    case("RegexFullMatch", np.array("x1", object), pattern=r"(?i)X\d"),
    *(grams(IDS.astype(t), POOL, mode, 2, 2, skip) for t in ("int32", "int64")
      for mode in ("TF", "IDF", "TFIDF") for skip in (0, 5)),
    grams(IDS, POOL, "TF", 1, 2, 5),
    grams(IDS[0], POOL, "TF", 1, 2, 1),
    grams(IDS, POOL, "TF", 1, 1, 3),
    grams(IDS, POOL, "TFIDF", 1, 2, 1, weights=[0.5, 2.0, 3.0, 0.25, 1.0, 7.0, 0.1]),
    grams(IDS, POOL, "IDF", 1, 2, 1, weights=[0.5, 2.0, 3.0, 0.25, 1.0, 7.0, 0.1]),
    grams(text(["a", "b", "c", "a"], ["b", "b", "c", "x"]), TEXT_POOL, "TF", 1, 2, 1),
    # Casts.
    *(case("Cast", NUMBERS.astype(t), to=np.dtype(object)) for t in ("float32", "float64")),
    case("Cast", NUMBERS[:3].astype("float16"), to=np.dtype(object)),
    case("Cast", np.array([True, False]), to=np.dtype(object)),
    case("Cast", np.array([2**63 - 1, -(2**63)]), to=np.dtype(object)),
    case("Cast", np.array([2**64 - 1], np.uint64), to=np.dtype(object)),
    case("Cast", text("inf", "INF", "+INF", "-inf", "NaN", "nan", "1E8", "-1e-5", "7"),
         to=np.dtype("float32")),
    case("Cast", text("100.5", "-3", "7"), to=np.dtype("int64")),
    case("Cast", text("18446744073709551615"), to=np.dtype("uint64")),
    case("Cast", text("1", "0", "-1"), to=np.dtype(bool)),
    case("Cast", WORDS, to=np.dtype(object)),
    # Operators of other families.
    case("Equal", WORDS, WORDS),
    case("Equal", WORDS, text("a", "x", "")),
    case("Where", WORDS == "a", WORDS, np.array("x", object)),
    case("Identity", WORDS),
    case("Concat", WORDS, WORDS, axis=1),
    case("Reshape", WORDS, np.array([3, 2]), constant=[1]),
    case("Transpose", WORDS),
    case("Flatten", WORDS),
    case("Squeeze", WORDS[None], np.array([0]), constant=[1]),
    case("Unsqueeze", WORDS, np.array([0]), constant=[1]),
    case("Expand", WORDS, np.array([2, 2, 3]), constant=[1]),
    case("Tile", WORDS, np.array([2, 1]), constant=[1]),
    case("Slice", WORDS, np.array([1]), np.array([2]), constant=[1, 2]),
    unlike(WRONG, "Gather", WORDS, np.array([1, 0, -1])),
    case("GatherElements", WORDS, np.array([[0, 1, 0]])),
    case("GatherND", WORDS, np.array([[0, 1], [1, 2]])),
    case("ScatterElements", WORDS, np.array([[1, 0, 1]]), WORDS[:1]),
    case("ScatterND", WORDS, np.array([[1]]), WORDS[:1]),
    case("Split", WORDS, None, axis=1, num_outputs=3),
    case("Shape", WORDS),
    case("Size", WORDS),
    unlike(LACKS, "Pad", WORDS, np.array([1, 0, 0, 2]), np.array("-", object), constant=[1]),
    unlike(LACKS, "Pad", WORDS, np.array([1, 0, 0, 2]), constant=[1]),
    unlike(LACKS, "Pad", WORDS, np.array([1, 0, 0, 2]), constant=[1], mode="edge"),
    case("OneHot", np.array([1, 0, 5]), np.array(3), text("no", "yes"), constant=[1]),
    unlike(LACKS, "DepthToSpace", WORDS.reshape(1, 6, 1, 1)[:, :4], blocksize=2),
    unlike(LACKS, "SpaceToDepth", WORDS.reshape(1, 1, 2, 3)[..., :2], blocksize=2),
    unlike(LACKS, "Trilu", WORDS),
    unlike(LACKS, "Resize", WORDS.reshape(1, 1, 2, 3), None, None, np.array([1, 1, 4, 6]),
           constant=[3], mode="nearest"),
]  # fmt: skip
