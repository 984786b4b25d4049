"""Tensors on the wire: as JSON, as raw bytes, as the typed contents of gRPC.

What a request declares is checked against what it brings before anything is allocated: a tensor
never takes more memory than its own bytes or numbers need.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from graphctx_onnx.server.protocol import RequestError, Status

Array = np.ndarray[Any, Any]

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(object),
}
"""The protocol's name of an element type -> NumPy's. BYTES are strings: UTF-8."""

DATATYPES = {dtype: name for name, dtype in DTYPES.items()}

MOST_DIMENSIONS = 32

LARGE = 1 << 17
"""Bytes of a request, or elements of an answer, that are not worked on in the event loop."""

_LENGTH = 4  # bytes before each string
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

# Python types that JSON has for a kind of dtype.
_JSON_TYPES: dict[str, tuple[frozenset[type], str]] = {
    "b": (frozenset({bool}), "true or false"),
    "i": (frozenset({int}), "integers"),
    "u": (frozenset({int}), "integers from 0 on"),
    "f": (frozenset({int, float}), "numbers"),
    "O": (frozenset({str}), "strings"),
}


class Declared:
    """A tensor as a request declares it: checked by itself, not yet against its data.

    Args:
        name: of the tensor.
        datatype: the protocol's name of its element type.
        shape: its sizes.
        most: bytes that a tensor may have.

    Attributes:
        dtype: NumPy's element type.
        shape: as a tuple.
        count: number of elements.

    Raises:
        RequestError: there is no such element type; a size that is none; too large.
    """

    __slots__ = ("count", "dtype", "name", "shape")

    def __init__(self, name: str, datatype: Any, shape: Any, most: int) -> None:
        self.name = name
        found = DTYPES.get(datatype) if isinstance(datatype, str) else None
        if found is None:
            raise _no_datatype(name, datatype)
        self.dtype = found
        if not isinstance(shape, Sequence) or isinstance(shape, str):
            raise _wrong(name, f"its shape is a list of sizes, got {shape!r:.80}")
        if len(shape) > MOST_DIMENSIONS:
            raise _wrong(name, f"it has {len(shape)} dimensions; {MOST_DIMENSIONS} are allowed")
        count, volume = 1, found.itemsize
        for size in shape:
            if type(size) is not int or size < 0:
                raise _wrong(name, f"a size is an integer from 0 on, got {size!r:.40} in its shape")
            count *= size
            # Zeros are left out: an output may have the other sizes without the zero.
            volume *= size or 1
            if volume > most:
                raise RequestError(
                    f"input {name!r}: its shape {list(shape)!r:.80} of {datatype} stands for more "
                    f"than the {most:,} bytes that are allowed",
                    Status.TOO_LARGE,
                )
        self.shape = tuple(shape)
        self.count = count


def _no_datatype(name: str, datatype: Any) -> RequestError:
    if datatype == "BF16":
        return _wrong(name, "BF16 is not served: NumPy and the programs lack it; send FP32")
    return _wrong(name, f"its datatype is one of {', '.join(DTYPES)}, got {datatype!r:.40}")


def _wrong(name: str, text: str) -> RequestError:
    return RequestError(f"input {name!r}: {text}")


# -- raw bytes ------------------------------------------------------------------------------------


def from_bytes(declared: Declared, data: bytes | memoryview) -> Array:
    """A tensor of its little-endian, row-major bytes; not copied where they are aligned.

    Raises:
        RequestError: more or fewer bytes than the shape needs; a bool that is neither 0 nor 1;
            a string that is cut off or no UTF-8.
    """
    dtype = declared.dtype
    if dtype == object:
        return _strings_from_bytes(declared, data)
    size = declared.count * dtype.itemsize
    if len(data) != size:
        raise _wrong(
            declared.name,
            f"its shape {list(declared.shape)} of {DATATYPES[dtype]} needs {size} bytes, got "
            f"{len(data)}",
        )
    found: Array = np.frombuffer(data, dtype)
    if sys.byteorder == "big":
        found = found.byteswap()
    if dtype == np.bool_ and found.view(np.uint8).max(initial=0) > 1:
        raise _wrong(declared.name, "a byte of BOOL is 0 or 1")
    if not found.flags.aligned:
        found = found.copy()
    return found.reshape(declared.shape)


def _strings_from_bytes(declared: Declared, data: bytes | memoryview) -> Array:
    count, name = declared.count, declared.name
    if count * _LENGTH > len(data):
        raise _wrong(
            name,
            f"its shape {list(declared.shape)} of BYTES needs {count * _LENGTH} bytes at least, "
            f"got {len(data)}",
        )
    found = np.empty(count, object)
    at = 0
    for index in range(count):
        start = at + _LENGTH
        at = start + int.from_bytes(data[at:start], "little")
        if start > len(data) or at > len(data):
            raise _wrong(name, f"string {index} of {count} is cut off at the end of the bytes")
        found[index] = _text(name, index, bytes(data[start:at]))
    if at != len(data):
        raise _wrong(name, f"{len(data) - at} bytes come after the last of {count} strings")
    return found.reshape(declared.shape)


def _text(name: str, index: int, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise _wrong(name, f"string {index} is no UTF-8: {error.reason}") from error


def to_bytes(array: Array) -> bytes | memoryview:
    """The bytes of a tensor, little-endian and row-major; not copied where they are its memory."""
    if array.dtype != object:
        found = np.ascontiguousarray(array).reshape(-1)
        if sys.byteorder == "big":
            found = found.byteswap()
        return found.view(np.uint8).data
    parts = []
    for text in array.reshape(-1):
        data = text if isinstance(text, bytes) else str(text).encode()
        parts += [len(data).to_bytes(_LENGTH, "little"), data]
    return b"".join(parts)


# -- JSON -----------------------------------------------------------------------------------------


def from_json(declared: Declared, data: Any) -> Array:
    """A tensor of its elements in JSON, flat or nested as its shape; floats may be "NaN", too.

    Raises:
        RequestError: not as many elements as the shape has, or not nested like it; an element of
            another type, or outside the range of the datatype.
    """
    flat = _flat(declared, data)
    dtype, name = declared.dtype, declared.name
    allowed, expected = _JSON_TYPES[dtype.kind]
    types = set(map(type, flat))
    if not types <= allowed:
        if dtype.kind != "f" or not types <= allowed | {str}:
            raise _unfit(declared, flat, allowed, expected)
        flat = [_special(declared, value) for value in flat]
    if dtype == object:
        found = np.empty(declared.count, object)
        found[:] = flat
        _check_text(name, flat)
        return found.reshape(declared.shape)
    return from_numbers(declared, flat)


def from_numbers(declared: Declared, flat: Sequence[Any]) -> Array:
    """A tensor of Python numbers.

    Raises:
        RequestError: not as many as the shape has; one is outside the range of the datatype.
    """
    dtype, name = declared.dtype, declared.name
    if len(flat) != declared.count:
        raise _wrong_count(declared, len(flat))
    try:
        with np.errstate(over="ignore"):
            found: Array = np.array(flat, dtype)
    except OverflowError as error:
        raise _wrong(name, f"a number is outside {DATATYPES[dtype]}: {error}") from error
    if dtype.kind == "f" and np.isinf(found).any():
        for value, stored in zip(flat, found.tolist(), strict=True):
            if math.isinf(stored) and not math.isinf(value):
                raise _wrong(name, f"a number is outside {DATATYPES[dtype]}: {value!r:.40}")
    return found.reshape(declared.shape)


def _flat(declared: Declared, data: Any) -> list[Any]:
    """The elements, row by row; `data` is flat or nested."""
    if type(data) is not list:
        raise _wrong(declared.name, f"its data is a list, got {_named(data)}")
    if not data or type(data[0]) is not list:
        if len(data) != declared.count:
            raise _wrong_count(declared, len(data))
        return data
    rows: list[Any] = [data]
    for axis, size in enumerate(declared.shape):
        for row in rows:
            if type(row) is not list or len(row) != size:
                came = f"one of {len(row)}" if type(row) is list else _named(row)
                raise _wrong(
                    declared.name,
                    f"its nested data does not fit its shape {list(declared.shape)}: expected a "
                    f"list of {size} in dimension {axis}, got {came}",
                )
        rows = list(itertools.chain.from_iterable(rows))
    return rows


def _wrong_count(declared: Declared, came: int) -> RequestError:
    return _wrong(
        declared.name,
        f"its shape {list(declared.shape)} needs {declared.count} elements, got {came}",
    )


def _special(declared: Declared, value: Any) -> Any:
    if type(value) is not str:
        return value
    if value not in _SPECIAL:
        raise _unfit(declared, [value], frozenset(), "numbers")
    return _SPECIAL[value]


def _unfit(
    declared: Declared, flat: Iterable[Any], allowed: frozenset[type], expected: str
) -> RequestError:
    index, value = next((i, v) for i, v in enumerate(flat) if type(v) not in allowed)
    return _wrong(
        declared.name,
        f"the elements of {DATATYPES[declared.dtype]} are {expected}, got {_named(value)} at "
        f"place {index}",
    )


def _named(value: Any) -> str:
    """What a JSON value is, in JSON's words."""
    if value is None:
        return "null"
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    return f"{value!r:.40}" if not isinstance(value, bool) else str(value).lower()


def _check_text(name: str, flat: Iterable[str]) -> None:
    """JSON can escape half a character, which no UTF-8 has."""
    for index, text in enumerate(flat):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise _wrong(name, f"string {index} is no UTF-8: {error.reason}") from error


def to_json(array: Array) -> list[Any]:
    """The elements of a tensor, row by row, as JSON has them; what it lacks is "NaN" and so on."""
    flat: list[Any] = array.reshape(-1).tolist()
    if array.dtype == object:
        return [v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in flat]
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return [v if math.isfinite(v) else _special_text(v) for v in flat]
    return flat


def _special_text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


# -- the typed contents of gRPC -------------------------------------------------------------------

CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Datatype -> field of `InferTensorContents`; FP16 has none."""


def from_contents(declared: Declared, contents: Any) -> Array:
    """A tensor of an `InferTensorContents`.

    Raises:
        RequestError: a field of another datatype is filled; not as many elements as the shape
            has; one is outside the range of the datatype.
    """
    datatype = DATATYPES[declared.dtype]
    expected = CONTENTS.get(datatype)
    if expected is None:
        raise _wrong(declared.name, f"{datatype} goes into raw_input_contents")
    for descriptor, _ in contents.ListFields():
        if descriptor.name != expected:
            raise _wrong(declared.name, f"{datatype} goes into {expected}, got {descriptor.name}")
    values = getattr(contents, expected)
    if datatype != "BYTES":
        return from_numbers(declared, list(values))
    if len(values) != declared.count:
        raise _wrong_count(declared, len(values))
    found = np.empty(declared.count, object)
    for index, data in enumerate(values):
        found[index] = _text(declared.name, index, data)
    return found.reshape(declared.shape)


def fill_contents(array: Array, contents: Any) -> None:
    """Write a tensor into an `InferTensorContents`; not FP16, which it has no field for."""
    field = getattr(contents, CONTENTS[DATATYPES[array.dtype]])
    if array.dtype == object:
        field.extend(v if isinstance(v, bytes) else str(v).encode() for v in array.reshape(-1))
    else:
        field.extend(array.reshape(-1).tolist())
