"""Operators on text: tensors of strings are object arrays of `str`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphctx.errors import DTypeError, ShapeError
from graphctx.graph import Value
from graphctx.ops.regex import compiled
from graphctx.ops.table import Inferred, broadcast, op
from graphctx.spec import Dim, dtype_name, shape_text

STRING, INT64, FLOAT32 = np.dtype(object), np.dtype(np.int64), np.dtype(np.float32)


def require_strings(*values: Value) -> None:
    """Raise `DTypeError` unless all values are strings."""
    for value in values:
        if value.dtype != STRING:
            raise DTypeError(f"needs strings, got {dtype_name(value.dtype)}")


def _texts(x: Any) -> list[Any]:
    """The strings of an array, in order."""
    if x.dtype != STRING:
        raise TypeError("needs strings")
    items: list[Any] = x.reshape(-1).tolist()
    return items


def each(function: Callable[[Any], Any], x: Any, dtype: Any = STRING) -> Any:
    """A function of every element of an array."""
    x = np.asarray(x)
    made = np.empty(x.size, dtype)
    made[:] = list(map(function, _texts(x)))
    return made.reshape(x.shape)


# -- joining and splitting ------------------------------------------------------------------------


def _infer_concat(x: Value, y: Value) -> Inferred:
    require_strings(x, y)
    return broadcast(x, y)


@op("StringConcat", since=20, infer=_infer_concat)
def string_concat(x: Any, y: Any) -> Any:
    """Two strings in one, elementwise."""
    return np.asarray(np.add(x, y), object)


def _infer_split(
    x: Value, *, delimiter: str | None = None, maxsplit: int | None = None
) -> list[Inferred]:
    require_strings(x)
    return [((*x.shape, Dim.unknown()), STRING), (x.shape, INT64)]


@op("StringSplit", since=20, infer=_infer_split)
def string_split(x: Any, *, delimiter: str | None = None, maxsplit: int | None = None) -> Any:
    """The parts of every string between delimiters, and their number.

    Without a delimiter, or with an empty one, parts lie between white space. The last axis of the
    parts, which is new, is as long as the most parts of a string; others end with empty strings.
    """
    most = -1 if maxsplit is None else maxsplit
    found = [text.split(delimiter or None, most) for text in _texts(x)]
    counts = np.array([len(parts) for parts in found], np.int64)
    longest = int(counts.max(initial=0))
    made = np.full((len(found), longest), "", object)
    for row, parts in zip(made, found, strict=True):
        row[: len(parts)] = parts
    return made.reshape(*x.shape, longest), counts.reshape(x.shape)


# -- normalization --------------------------------------------------------------------------------

_ACTIONS = ("NONE", "LOWER", "UPPER")
_OTHER_CASES = frozenset({"az", "lt", "tr"})  # languages whose letters have cases of their own


def _lower(text: str) -> str:
    return text.lower() if text.isascii() else "".join(map(_lower_letter, text))


def _upper(text: str) -> str:
    return text.upper() if text.isascii() else "".join(map(_upper_letter, text))


def _lower_letter(c: str) -> str:
    small = c.lower()
    return small if len(small) == 1 else c


def _upper_letter(c: str) -> str:
    capital = c.upper()
    return capital if len(capital) == 1 else c


def _infer_normalizer(
    X: Value,
    *,
    case_change_action: str = "NONE",
    is_case_sensitive: int = 0,
    locale: str | None = None,
    stopwords: Sequence[str] | None = None,
) -> Inferred:
    require_strings(X)
    if X.rank not in (1, 2) or (X.rank == 2 and isinstance(X.shape[0], int) and X.shape[0] != 1):
        raise ShapeError(f"takes the shapes [C] and [1, C], got {shape_text(X.shape)}")
    if case_change_action not in _ACTIONS:
        raise ShapeError(f"case_change_action is {', '.join(_ACTIONS)}; got {case_change_action!r}")
    language = (locale or "").replace("-", "_").partition("_")[0].lower()
    stops = stopwords is not None and len(stopwords) > 0
    changes = case_change_action != "NONE" or (stops and not is_case_sensitive)
    if changes and language in _OTHER_CASES:
        raise ShapeError(
            f"the locale {locale!r} has cases of letters of its own, which are not implemented"
        )
    kept = not stops and not isinstance(X.shape[-1], Dim) and X.shape[-1] > 0
    return (*X.shape[:-1], X.shape[-1] if kept else Dim.unknown()), STRING


@op("StringNormalizer", since=10, infer=_infer_normalizer)
def string_normalizer(
    X: Any,
    *,
    case_change_action: str = "NONE",
    is_case_sensitive: int = 0,
    locale: str | None = None,
    stopwords: Sequence[str] | None = None,
) -> Any:
    """Strings without those that are stop words, in lower or upper case; "" where none is left.

    Cases change letter by letter, as Unicode has it for all locales but those that are refused.
    """
    words = _texts(X)
    if stopwords is not None and len(stopwords):
        key: Callable[[Any], str] = str if is_case_sensitive else _lower
        stops = set(map(key, stopwords))
        words = [word for word in words if key(word) not in stops]
    changes: dict[str, Callable[[Any], str]] = {"LOWER": _lower, "UPPER": _upper, "NONE": str}
    made = np.empty(max(len(words), 1), object)
    made[:] = list(map(changes[case_change_action], words)) or [""]
    return made.reshape(*X.shape[:-1], -1)


# -- regular expressions --------------------------------------------------------------------------


def _infer_match(X: Value, *, pattern: str = "") -> Inferred:
    require_strings(X)
    compiled(pattern)
    return X.shape, np.dtype(bool)


@op("RegexFullMatch", since=20, infer=_infer_match)
def regex_full_match(X: Any, *, pattern: str = "") -> Any:
    """Whether all of a string matches a regular expression, in RE2's syntax.

    It is Python's `re` that matches, so named classes of Unicode and flags in the middle
    of a group are refused, and nested repetitions may take long.
    """
    match = compiled(pattern).fullmatch
    return each(lambda text: match(text) is not None, X, bool)


# -- n-grams --------------------------------------------------------------------------------------


def _infer_tf_idf(
    X: Value,
    *,
    max_gram_length: int,
    max_skip_count: int,
    min_gram_length: int,
    mode: str,
    ngram_counts: Sequence[int],
    ngram_indexes: Sequence[int],
    pool_int64s: Sequence[int] | None = None,
    pool_strings: Sequence[str] | None = None,
    weights: Sequence[float] | None = None,
) -> Inferred:
    if X.rank not in (1, 2):
        raise ShapeError(f"takes the shapes [C] and [N, C], got {shape_text(X.shape)}")
    if mode not in ("TF", "IDF", "TFIDF"):
        raise ShapeError(f"mode is TF, IDF or TFIDF; got {mode!r}")
    if (pool_int64s is None) == (pool_strings is None):
        raise ShapeError("needs either pool_int64s or pool_strings")
    if pool_strings is not None:
        require_strings(X)
    elif X.dtype not in (np.dtype(np.int32), INT64):
        raise DTypeError(f"needs int32 or int64 with pool_int64s, got {dtype_name(X.dtype)}")
    if not 1 <= min_gram_length <= max_gram_length or max_skip_count < 0:
        raise ShapeError(
            f"needs 1 <= min_gram_length <= max_gram_length and max_skip_count >= 0, got "
            f"{min_gram_length}, {max_gram_length} and {max_skip_count}"
        )
    if not len(ngram_indexes) or min(ngram_indexes) < 0:
        raise ShapeError("ngram_indexes has an entry >= 0 for every n-gram")
    columns = max(ngram_indexes) + 1
    grams = _grams(_listed(pool_int64s, pool_strings), ngram_counts)
    if len(grams) != len(ngram_indexes):
        raise ShapeError(f"the pool has {len(grams)} n-grams, ngram_indexes {len(ngram_indexes)}")
    if weights is not None and mode != "TF":
        if len(weights) != len(ngram_indexes):
            raise ShapeError(f"{len(weights)} weights for {len(ngram_indexes)} n-grams")
        unclear = [
            i for i, at in enumerate(ngram_indexes)
            if at >= len(weights) or weights[at] != weights[i]
        ]  # fmt: skip
        if unclear:
            raise ShapeError(
                f"weight {unclear[0]} is that of n-gram {unclear[0]} to the specification and of "
                f"column {unclear[0]} to runtimes, and these differ; order the n-grams by column"
            )
    return (*X.shape[:-1], columns), FLOAT32


def _listed(integers: Any, strings: Any) -> list[Any]:
    """The pool, whichever attribute has it."""
    return list(integers) if strings is None else list(strings)


def _grams(pool: Sequence[Any], starts: Sequence[int]) -> list[tuple[Any, ...]]:
    """The n-grams of a pool in order: first the 1-grams, from `starts[0]` on."""
    found = []
    for n, (start, stop) in enumerate(zip(starts, [*starts[1:], len(pool)], strict=True), 1):
        if not 0 <= start <= stop or (stop - start) % n:
            raise ShapeError(f"ngram_counts {list(starts)} do not divide a pool of {len(pool)}")
        found += [tuple(pool[i : i + n]) for i in range(start, stop, n)]
    return found


@op("TfIdfVectorizer", since=9, infer=_infer_tf_idf)
def tf_idf_vectorizer(
    X: Any,
    *,
    max_gram_length: int,
    max_skip_count: int,
    min_gram_length: int,
    mode: str,
    ngram_counts: Sequence[int],
    ngram_indexes: Sequence[int],
    pool_int64s: Sequence[int] | None = None,
    pool_strings: Sequence[str] | None = None,
    weights: Sequence[float] | None = None,
) -> Any:
    """How often each n-gram of a pool is found in a row, or its weight, or both multiplied.

    The elements of an n-gram may lie up to `max_skip_count` elements apart, evenly.
    """
    columns = max(ngram_indexes) + 1
    place = {
        gram: at
        for gram, at in zip(
            _grams(_listed(pool_int64s, pool_strings), ngram_counts), ngram_indexes, strict=True
        )
        if min_gram_length <= len(gram) <= max_gram_length
    }
    if (X.dtype == STRING) != (pool_strings is not None):
        raise TypeError("the pool and the operand are strings, or neither")
    rows = np.atleast_2d(X).tolist()
    counts = np.zeros((len(rows), columns), np.float32)
    for row, count in zip(rows, counts, strict=True):
        for skip in range(1, max_skip_count + 2):
            for n in range(max(min_gram_length, 1 if skip == 1 else 2), max_gram_length + 1):
                for start in range(len(row) - (n - 1) * skip):
                    found = place.get(tuple(row[start : start + (n - 1) * skip + 1 : skip]))
                    if found is not None:
                        count[found] += 1
    scale = np.ones(columns, np.float32)
    if weights is not None:
        scale[: len(weights)] = np.asarray(weights, np.float32)[:columns]
    if mode != "TF":
        counts = (counts if mode == "TFIDF" else np.minimum(counts, 1)) * scale
    return counts.reshape(*X.shape[:-1], columns)
