"""Columns of features made ready, of ONNX's domain for classical machine learning.

`ZipMap`, `DictVectorizer` and `CastMap` are not here: they are about maps, which no other operator
takes, and the first only repeats what a classifier returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphctx.errors import DTypeError, ShapeError
from graphctx.graph import Value
from graphctx.ops.table import ML_DOMAIN, Inferred, op, require_kind, require_rank
from graphctx.spec import Dim, dtype_name, size_of

FLOAT32, INT64, STRING = np.dtype(np.float32), np.dtype(np.int64), np.dtype(object)
Floats = Sequence[float] | None

# -- columns --------------------------------------------------------------------------------------


def _infer_extractor(X: Value, Y: Value) -> Inferred:
    if not X.rank:
        raise ShapeError("needs an axis to take elements of")
    require_kind(Y, "i", "int64 indices")
    leading = X.shape[:-1] if X.rank > 1 else (1,)
    return (*leading, size_of(Y.shape)), X.dtype


@op("ArrayFeatureExtractor", domain=ML_DOMAIN, since=1, infer=_infer_extractor)
def array_feature_extractor(X: Any, Y: Any) -> Any:
    """Elements of the last axis by index; a vector is taken for a matrix of one row."""
    return np.atleast_2d(X)[..., Y.reshape(-1)]


def _infer_vectorizer(*X: Value, inputdimensions: Sequence[int] | None = None) -> Inferred:
    width: Any = 0
    for index, value in enumerate(X):
        require_kind(value, "if", "numbers")
        if value.rank != 1:
            require_rank(value, 2, "an operand [N, features]")
        columns = value.shape[-1]
        if inputdimensions is not None and not isinstance(columns, Dim):
            wanted = inputdimensions[index] if index < len(inputdimensions) else None
            if wanted != columns:
                raise ShapeError(f"operand {index} has {columns} columns, not {wanted}")
        width = width + columns
    return (X[0].shape[0] if X[0].rank == 2 else 1, width), FLOAT32


@op("FeatureVectorizer", domain=ML_DOMAIN, since=1, infer=_infer_vectorizer)
def feature_vectorizer(*X: Any, inputdimensions: Sequence[int] | None = None) -> Any:
    """Columns of several tensors side by side as float32; a vector is one row."""
    return np.concatenate([np.atleast_2d(x).astype(FLOAT32) for x in X], axis=1)


def _infer_numeric(X: Value, **_: Any) -> Inferred:
    require_kind(X, "if", "numbers")
    return X.shape, X.dtype


@op("Binarizer", domain=ML_DOMAIN, since=1, infer=_infer_numeric)
def binarizer(X: Any, *, threshold: float = 0.0) -> Any:
    """1 where an element is larger than a threshold, else 0."""
    limit = np.float32(threshold) if X.dtype == FLOAT32 else threshold
    return np.asarray(np.greater(X, limit)).astype(X.dtype)


def _check_columns(X: Value, count: int, what: str) -> None:
    width = X.shape[-1] if X.rank else 1
    if count != 1 and not isinstance(width, Dim) and count != width:
        raise ShapeError(f"{count} {what} for {width} columns")


def _infer_scaler(X: Value, *, offset: Floats = None, scale: Floats = None) -> Inferred:
    require_kind(X, "if", "numbers")
    for values, what in ((offset, "offsets"), (scale, "scales")):
        if values is not None:
            _check_columns(X, len(values), what)
    return X.shape, FLOAT32


@op("Scaler", domain=ML_DOMAIN, since=1, infer=_infer_scaler)
def scaler(X: Any, *, offset: Floats = None, scale: Floats = None) -> Any:
    """`(x - offset) * scale` as float32, each for all columns or one by one."""
    x = np.asarray(X, FLOAT32)
    if offset is not None:
        x = x - np.asarray(offset, FLOAT32)
    if scale is not None:
        x = x * np.asarray(scale, FLOAT32)
    return x.copy() if x is X else x


def _infer_normalizer(X: Value, *, norm: str = "MAX") -> Inferred:
    require_kind(X, "if", "numbers")
    if norm not in ("MAX", "L1", "L2"):
        raise ShapeError(f"norm is MAX, L1 or L2; got {norm!r}")
    if not 1 <= X.rank <= 2:
        require_rank(X, 2, "the operand [N, C]")
    return X.shape, FLOAT32


@op("Normalizer", domain=ML_DOMAIN, since=1, infer=_infer_normalizer)
def normalizer(X: Any, *, norm: str = "MAX") -> Any:
    """Rows divided by their largest element, or their norm; as they are where that is 0."""
    x = np.asarray(X, FLOAT32)
    if norm == "MAX":
        by = x.max(-1, keepdims=True)
    elif norm == "L1":
        by = np.abs(x).sum(-1, keepdims=True)
    else:
        by = np.sqrt((x * x).sum(-1, keepdims=True))
    return x / np.where(by == 0, np.float32(1), by)


def _infer_imputer(X: Value, **given: Any) -> Inferred:
    require_kind(X, "if", "numbers")
    name = "imputed_value_floats" if X.dtype.kind == "f" else "imputed_value_int64s"
    values = given.get(name)
    if values is None or not len(values):
        raise ShapeError(f"{dtype_name(X.dtype)} needs {name}")
    _check_columns(X, len(values), "imputed values")
    return X.shape, X.dtype


@op("Imputer", domain=ML_DOMAIN, since=1, infer=_infer_imputer)
def imputer(
    X: Any,
    *,
    imputed_value_floats: Floats = None,
    imputed_value_int64s: Sequence[int] | None = None,
    replaced_value_float: float = 0.0,
    replaced_value_int64: int = 0,
) -> Any:
    """Elements equal to a value (NaN is to itself) replaced by another, or by their column's."""
    if X.dtype.kind == "f":
        values = np.asarray(imputed_value_floats, np.float64).astype(X.dtype)
        old = X.dtype.type(replaced_value_float)
        return np.where(np.isnan(X) if np.isnan(old) else old == X, values, X)
    values = np.asarray(imputed_value_int64s, np.int64).astype(X.dtype)
    return np.where(replaced_value_int64 == X, values, X)


# -- categories -----------------------------------------------------------------------------------


def _infer_one_hot(
    X: Value, *, cats_int64s: Any = None, cats_strings: Any = None, zeros: int = 1
) -> Inferred:
    if (cats_int64s is None) == (cats_strings is None):
        raise ShapeError("needs either cats_int64s or cats_strings")
    if (X.dtype == STRING) != (cats_strings is not None):
        raise DTypeError(f"{X.spec} has other categories")
    count = len(cats_strings if cats_int64s is None else cats_int64s)
    return (*X.shape, count), FLOAT32


@op("OneHotEncoder", domain=ML_DOMAIN, since=1, infer=_infer_one_hot)
def one_hot_encoder(
    X: Any, *, cats_int64s: Any = None, cats_strings: Any = None, zeros: int = 1
) -> Any:
    """1 at the place of each element's category along a new last axis, else 0.

    An element of no category has zeros only, or is an error where `zeros` is 0.
    """
    if X.dtype == STRING:
        categories, x = np.array(list(cats_strings), object), X
    else:
        categories, x = np.asarray(cats_int64s, np.int64), X.astype(INT64)
    made = np.equal(x[..., None], categories)
    if not zeros and not made.any(-1).all():
        unknown = x.reshape(-1).tolist()[int(np.argmin(made.any(-1).reshape(-1)))]
        raise ValueError(f"{unknown!r} is none of the categories")
    return made.astype(FLOAT32)


def _infer_mapper(
    X: Value,
    *,
    cats_int64s: Any = None,
    cats_strings: Any = None,
    default_int64: int = -1,
    default_string: str = "_Unused",
) -> Inferred:
    if X.dtype not in (STRING, INT64):
        raise DTypeError(f"needs strings or int64, got {X.spec}")
    if cats_int64s is None or cats_strings is None or len(cats_int64s) != len(cats_strings):
        raise ShapeError("cats_int64s and cats_strings have the same length")
    return X.shape, INT64 if X.dtype == STRING else STRING


@op("CategoryMapper", domain=ML_DOMAIN, since=1, infer=_infer_mapper)
def category_mapper(
    X: Any,
    *,
    cats_int64s: Any = None,
    cats_strings: Any = None,
    default_int64: int = -1,
    default_string: str = "_Unused",
) -> Any:
    """The integer of each string, or the string of each integer; a default for unknown ones."""
    integers, strings = np.asarray(cats_int64s, np.int64), np.array(list(cats_strings), object)
    if X.dtype == STRING:
        return _mapped(X, strings, integers, np.int64(default_int64))
    return _mapped(X, integers, strings, default_string)


_KEYS = {"keys_strings": STRING, "keys_int64s": INT64, "keys_floats": FLOAT32}
_VALUES = {"values_strings": STRING, "values_int64s": INT64, "values_floats": FLOAT32}


def _column(attrs: dict[str, Any], kinds: dict[str, Any], tensor: str) -> Any:
    """The keys or values of an encoder, whichever attribute has them."""
    given = [name for name in (*kinds, tensor) if attrs.get(name) is not None]
    if len(given) != 1:
        raise ShapeError(f"needs one of {', '.join((*kinds, tensor))}, got {len(given)}")
    values = attrs[given[0]]
    if given[0] == tensor:
        return np.asarray(values).reshape(-1)
    dtype = kinds[given[0]]
    return np.array(list(values), object) if dtype == STRING else np.asarray(values).astype(dtype)


def _encoder(attrs: dict[str, Any]) -> tuple[Any, Any, Any]:
    """The keys, the values and the default of an encoder."""
    keys = _column(attrs, _KEYS, "keys_tensor")
    values = _column(attrs, _VALUES, "values_tensor")
    if len(keys) != len(values):
        raise ShapeError(f"{len(keys)} keys for {len(values)} values")
    tensor = attrs["default_tensor"]
    if tensor is not None:
        default = np.asarray(tensor).reshape(-1)[0]
        if np.asarray(tensor).dtype != values.dtype:
            raise DTypeError("default_tensor has the dtype of the values")
    elif values.dtype == STRING:
        default = attrs["default_string"]
    elif values.dtype.kind == "f":
        default = values.dtype.type(attrs["default_float"])
    else:
        default = values.dtype.type(attrs["default_int64"])
    return keys, values, default


def _infer_encoder(X: Value, **given: Any) -> Inferred:
    keys, values, _ = _encoder({**label_encoder.defaults, **given})
    if X.dtype != keys.dtype:
        raise DTypeError(f"the keys are {dtype_name(keys.dtype)}, got {X.spec}")
    return X.shape, values.dtype


@op("LabelEncoder", domain=ML_DOMAIN, since=2, infer=_infer_encoder)
def label_encoder(
    X: Any,
    *,
    default_float: float = -0.0,
    default_int64: int = -1,
    default_string: str = "_Unused",
    default_tensor: Any = None,
    keys_floats: Floats = None,
    keys_int64s: Any = None,
    keys_strings: Any = None,
    keys_tensor: Any = None,
    values_floats: Floats = None,
    values_int64s: Any = None,
    values_strings: Any = None,
    values_tensor: Any = None,
) -> Any:
    """The value of each element's key, the first where there are several; NaN is a key as others.

    An element that is no key has the default.
    """
    return _mapped(X, *_encoder(dict(locals())))


def _mapped(x: Any, keys: Any, values: Any, default: Any) -> Any:
    """The values of keys, and the default for what is none."""
    if x.dtype != keys.dtype:
        raise TypeError("the keys have another dtype")
    places = np.full(x.size, -1, np.int64)
    if x.dtype == STRING:
        table: dict[Any, int] = {}
        for place, key in enumerate(keys.tolist()):
            table.setdefault(key, place)
        places[:] = [table.get(item, -1) for item in x.reshape(-1).tolist()]
    elif len(keys):
        known, first = np.unique(keys, return_index=True)
        flat = x.reshape(-1)
        near = np.searchsorted(known, flat).clip(0, len(known) - 1)
        same = known[near] == flat
        if x.dtype.kind == "f":
            same |= np.isnan(known[near]) & np.isnan(flat)
        places = np.where(same, first[near], -1)
    found = np.empty(x.size, values.dtype)
    found[:] = default
    is_known = places >= 0
    found[is_known] = values[places[is_known]]
    return found.reshape(x.shape)
