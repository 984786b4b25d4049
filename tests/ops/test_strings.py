"""Strings: RE2's syntax, what comes in as bytes, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphctx as gx
from graphctx import TensorSpec, ops
from graphctx.builder import Builder
from graphctx.errors import DTypeError, GraphctxError, InputError, ShapeError
from graphctx.ops.regex import compiled
from graphctx.ops.table import TABLE
from tests.ops import cases_strings, onnxruntime_node
from tests.ops.case import Case


def text(*items: Any) -> np.ndarray:
    return np.array(items, object)


# -- regular expressions --------------------------------------------------------------------------

SUBJECTS = text(
    "", "a", "ab", "abc", "A", "é", "É", "a\n", "\n", "a\nb", "\v", " ", "٣", "7", "_", "-", "]",
    "^", "\\", "a.c", "a{,2}", "aaa", "aaaa", "xay", "K", "k", "\u017f", "s", "a b", "foo-bar", "{",
    "$", "b]", "a&&b", "[", ".", "aba", "abab", "☃", "\x00", "~", "ab1",
)  # fmt: skip
PATTERNS = [
    "", "a", "a*", "(a|b)*", "a|ab|abc", r"\d", r"\D", r"\w", r"\W*", r"\s", r"\S*", r".",
    r"(?s).*", r"a$", r"a$\n", r"(?m)a$\nb", r"^a$", r"(?m)^a$\n^b$", r"\Aa\z", r"a\n", r"a{2,3}",
    r"a{2,}", r"a{3}", r"a{,2}", r"{", r"[]]", r"[^]]", r"[a-c]+", r"[^a-c]", r"[\d_]", r"[\D]",
    r"[\S]", r"[\W]", r"[^\w]", r"[[:alpha:]]+", r"[[:^alpha:]]+", r"[^[:space:]]", r"[a-]",
    r"[-a]", r"b]",
    r"a&&b", r"[&[a~]+", r"(?i)a", r"(?i)k", r"(?i)s", r"(?i)É", r"(?i:A)b",
    r"a(?i:B)c", r"(?U)a+", r"(?P<n>a)(?<m>b)", r"(?:ab)+", r"a??b", r"a+?", r"\x61", r"\x{2603}",
    r"\141", r"\0", r"\Qa.c\E", r"\Q.", r"\a", r"[\x61-\x{63}]", r"\.", r"\$", r"[.]", r"foo\bb",
    r"foo\b-\bbar", r"fo\Bo-bar", r"x(?:a)y", r"(a(b)?)+", r"[^\n]*", r"((?i)A)b", r"\v", r"[\n]",
    r"[a\-c]", r"\w+\s\w+", r"~", r"(|a)+", r"a||b", r"[[:word:]]+", r"\ta|\[",
]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_match_as_those_of_re2(pattern: str) -> None:
    case = Case("RegexFullMatch", [SUBJECTS], {"pattern": pattern})
    try:
        [theirs] = onnxruntime_node.run(case, [np.dtype(bool)])
    except Exception:
        with pytest.raises(GraphctxError, match="the pattern"):
            compiled(pattern)
        return
    ours = ops.regex_full_match(SUBJECTS, pattern=pattern)
    differ = [(s, a, b) for s, a, b in zip(SUBJECTS, ours, theirs, strict=True) if a != b]
    assert not differ


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(?=a)", r"the pattern '\(\?=a\)' at 0: RE2 has no such group"),
        ("a(?<!b)", "at 1: RE2 has no such group"),
        (r"(a)\1", r"at 3: RE2 has no escape \\1"),
        ("a++", r"at 2: RE2 has no repetition '\+\+'"),
        ("a**", "RE2 has no repetition"),
        ("*a", "at 0: nothing to repeat"),
        ("(|*)", "at 2: nothing to repeat"),
        ("a{2,1001}", "repeats more than 1000 times"),
        (r"\pL", r"classes of Unicode \(\\p\) are not implemented"),
        (r"\Z", r"RE2 has no escape \\Z"),
        ("(a", "a '\\(' is not closed"),
        ("a)", "'\\)' without '\\('"),
        ("[a", "at 0: a '\\[' is not closed"),
        ("[b-a]", "the range b-a counts down"),
        ("[[:foo:]]", r"RE2 has no class \[:foo:\]"),
        ("a(?i)b", r"write \(\?flags:\.\.\.\) around its part"),
        (r"\x{110000}", "there is no character 0x110000"),
    ],
)
def test_patterns_that_are_refused(pattern: str, message: str) -> None:
    with pytest.raises(GraphctxError, match=message):
        compiled(pattern)
    with pytest.raises(GraphctxError, match=r"RegexFullMatch\(string\[n\]\): the pattern"):
        gx.trace(gx.nn.Lambda(lambda x: ops.regex_full_match(x, pattern=pattern)),
                 TensorSpec(("n",), "str"))  # fmt: skip


def test_strings_stay_strings() -> None:
    for case in cases_strings.CASES:
        results = TABLE[case.op].kernel(*case.operands, **case.attrs)
        for y in results if isinstance(results, tuple) else (results,):
            items = np.asarray(y).reshape(-1).tolist() if np.asarray(y).dtype == object else []
            assert all(type(item) is str for item in items), case.op


# -- the border -----------------------------------------------------------------------------------


def test_bytes_are_taken_as_text(tmp_path: Path) -> None:
    model = gx.nn.Lambda(lambda x: (ops.string_concat(x, text("!")), ops.equal(x, text("é"))))
    program = gx.compile(gx.trace(model, TensorSpec(("n",), "str")))
    given: Any
    for given in (text("a", "é"), text("a", "é".encode()), np.array(["a", "é"]), ["a", "é"]):
        joined, same = program(given)
        assert joined.tolist() == ["a!", "é!"]
        assert same.tolist() == [False, True]
    gx.export(program, tmp_path / "m.onnx")
    with pytest.raises(InputError, match=r"expected string\[n\], got an array that holds int: 7"):
        program(text("a", 7))
    with pytest.raises(InputError, match="are no UTF-8 text"):
        program(text(b"\xff"))


def test_constants_take_bytes() -> None:
    builder = Builder()
    same = [builder.constant(x) for x in (text("é"), text("é".encode()), np.array(["é".encode()]))]
    assert same[0] is same[1]
    assert same[0] is same[2]
    assert same[0].constant.tolist() == ["é"]


def test_sizes_of_strings_are_checked() -> None:
    model = gx.compile(gx.trace(gx.nn.Add(), (TensorSpec(("n",)), TensorSpec(("n",)))))
    with pytest.raises(InputError, match="axis 0"):
        model((np.zeros(2, np.float32), np.zeros(3, np.float32)))

    class Join(gx.Layer):
        def call(self, x: Any, y: Any) -> Any:
            return ops.string_concat(x, y)

    program = gx.compile(gx.trace(Join(), *[TensorSpec(("n",), "str")] * 2))
    with pytest.raises(InputError, match=r"dimension n \(axis 0\) is 2 here, but 1"):
        program(text("a"), text("b", "c"))


# -- what is refused ------------------------------------------------------------------------------

GRAMS = {"max_gram_length": 1, "min_gram_length": 1, "max_skip_count": 0, "mode": "TF",
         "ngram_counts": [0], "ngram_indexes": [0, 1], "pool_strings": ["a", "b"]}  # fmt: skip


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda x: ops.string_concat(x, np.zeros(2)), DTypeError, "needs strings, got float64"),
        (lambda x: ops.string_split(np.zeros(2)), DTypeError, "needs strings, got float64"),
        (lambda x: ops.string_normalizer(x[None, None]), ShapeError, r"\[C\] and \[1, C\]"),
        (lambda x: ops.string_normalizer(x, case_change_action="upper"), ShapeError, "got 'upper'"),
        (lambda x: ops.string_normalizer(x, locale="tr_TR", case_change_action="LOWER"), ShapeError,
         "the locale 'tr_TR' has cases of letters of its own"),
        (lambda x: ops.tf_idf_vectorizer(x, **{**GRAMS, "mode": "TFI"}), ShapeError, "got 'TFI'"),
        (lambda x: ops.tf_idf_vectorizer(x, **{**GRAMS, "pool_int64s": [1]}), ShapeError,
         "needs either pool_int64s or pool_strings"),
        (lambda x: ops.tf_idf_vectorizer(np.zeros(2, int), **GRAMS), DTypeError, "needs strings"),
        (lambda x: ops.tf_idf_vectorizer(x, **{**GRAMS, "ngram_indexes": [0]}), ShapeError,
         "the pool has 2 n-grams, ngram_indexes 1"),
        (lambda x: ops.tf_idf_vectorizer(x, **{**GRAMS, "ngram_counts": [0, 1]}), ShapeError,
         r"ngram_counts \[0, 1\] do not divide a pool of 2"),
        (lambda x: ops.tf_idf_vectorizer(
            x, **{**GRAMS, "mode": "IDF", "ngram_indexes": [1, 0], "weights": [1.0, 2.0]}),
         ShapeError, "weight 0 is that of n-gram 0 to the specification"),
        (lambda x: ops.astype(text("abc"), "float32"), ValueError, "could not convert"),
        (lambda x: ops.astype(text("1_000"), "int64"), ValueError, "could not convert"),
    ],
)  # fmt: skip
def test_refused(call: Any, kind: type[Exception], message: str) -> None:
    model = gx.nn.Lambda(call)
    with pytest.raises(kind, match=message):
        gx.trace(model, TensorSpec(("n",), "str"))
