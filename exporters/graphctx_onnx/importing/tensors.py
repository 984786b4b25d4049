"""Tensors of a file as arrays: checked before anything is allocated, shared with the file."""

from __future__ import annotations

import math
import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
from onnx import SparseTensorProto, TensorProto, numpy_helper

from graphctx.errors import GraphctxError, LoadError
from graphctx.spec import as_dtype, bits_of
from graphctx_onnx import tensors
from graphctx_onnx.importing.places import Place

DTYPES: dict[int, np.dtype[Any]] = tensors.DTYPES | {
    TensorProto.COMPLEX64: np.dtype("complex64"),
    TensorProto.COMPLEX128: np.dtype("complex128"),
}
"""ONNX element type -> NumPy dtype."""

# Field that holds elements one by one, and how many of its entries make one.
_FIELDS = {
    "FLOAT": ("float_data", 1), "COMPLEX64": ("float_data", 2), "DOUBLE": ("double_data", 1),
    "COMPLEX128": ("double_data", 2), "INT64": ("int64_data", 1), "UINT32": ("uint64_data", 1),
    "UINT64": ("uint64_data", 1), "STRING": ("string_data", 1),
}  # fmt: skip
_ALL_FIELDS = (
    "float_data",
    "int32_data",
    "string_data",
    "int64_data",
    "double_data",
    "uint64_data",
)
MOST_DENSE = 1 << 31
"""Bytes that a sparse tensor may take once it is dense: its file need not be as large."""


def dtype_of_name(name: str) -> np.dtype[Any]:
    """The dtype of an element type's name, `FLOAT`.

    Raises:
        LoadError: there is none, or graphctx lacks it.
    """
    number = dict(TensorProto.DataType.items()).get(name)
    if number not in DTYPES:
        raise LoadError(f"there is no element type {name!r} here")
    return DTYPES[number]


class Reader:
    """Reads the tensors of one model.

    Args:
        folder: where its external data lies; None: it cannot have any.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._root = None if folder is None else os.path.realpath(folder)
        self._files: dict[str, Any] = {}

    def array(self, proto: TensorProto, place: Place) -> np.ndarray[Any, Any]:
        """The array of a tensor, which nobody can write to.

        Raises:
            LoadError: an element type that graphctx lacks; not as much data as its shape needs;
                external data that is missing, too short, or outside the model's folder.
        """
        shape = _shape(proto.dims, place)
        kind = _kind(proto.data_type, place)
        if proto.HasField("segment"):
            raise place.error("the tensor is stored in segments, which no tool writes any more")
        if proto.data_location == TensorProto.EXTERNAL:
            content = self._external(proto, shape, kind, place)
        elif proto.HasField("raw_data"):
            content = proto.raw_data
            _require_size(len(content), _bytes(shape, kind), shape, kind, place)
        else:
            return self._listed(proto, shape, kind, place)
        if kind == "STRING":
            raise place.error("a tensor of strings has no raw data")
        found = tensors.from_bytes(content, shape, DTYPES[proto.data_type])
        if kind == "BOOL" and found.view(np.uint8).max(initial=0) > 1:
            raise place.error("a tensor of bools has elements that are neither 0 nor 1")
        return _frozen(found, place)

    def sparse(self, proto: SparseTensorProto, place: Place) -> np.ndarray[Any, Any]:
        """The dense array of a sparse tensor; see `array` for the errors."""
        shape = _shape(proto.dims, place)
        values = self.array(proto.values, place.inside("values"))
        indices = self.array(proto.indices, place.inside("indices"))
        count = math.prod(shape)
        if count * max(values.dtype.itemsize, 1) > MOST_DENSE:
            raise place.error(f"a sparse tensor of the shape {list(shape)} is too large when dense")
        rank = len(shape)
        if values.ndim != 1 or indices.dtype != np.int64:
            raise place.error("a sparse tensor has a vector of values, and int64 indices")
        if indices.ndim == 2 and indices.shape == (len(values), rank):
            columns = indices.T
            fits = all(
                column.min(initial=0) >= 0 and column.max(initial=-1) < size
                for column, size in zip(columns, shape, strict=True)
            )
            at: Any = tuple(columns)
        else:
            fits = indices.shape == values.shape and bool(
                indices.min(initial=0) >= 0 and indices.max(initial=-1) < count
            )
            at = np.unravel_index(indices, shape) if fits else ()
        if not fits:
            raise place.error("the indices of a sparse tensor do not fit its shape and values")
        dense = np.zeros(shape, values.dtype)
        dense[at] = values
        return _frozen(dense, place)

    # -- data in the model --------------------------------------------------------------------

    def _listed(
        self, proto: TensorProto, shape: tuple[int, ...], kind: str, place: Place
    ) -> np.ndarray[Any, Any]:
        """The array of a tensor whose elements are listed in a field for their type."""
        field, entries = _FIELDS.get(kind, ("int32_data", 1))
        count = math.prod(shape)
        per = max(1, 8 // bits_of(DTYPES[proto.data_type])) if field == "int32_data" else 1
        wanted = -(-count // per) * entries
        given = {name: len(getattr(proto, name)) for name in _ALL_FIELDS}
        have = given.pop(field)
        if have != wanted or any(given.values()):
            other = next((name for name, size in given.items() if size), None)
            what = f"{have} entries in {field}" + (f", and some in {other}" if other else "")
            raise place.error(
                f"a tensor {kind.lower()}{list(shape)} has {wanted} entries in {field}, got {what}"
            )
        return self._converted(proto, place)

    def _converted(self, proto: TensorProto, place: Place) -> np.ndarray[Any, Any]:
        try:
            found = numpy_helper.to_array(proto)
        except (ValueError, TypeError, OverflowError) as error:
            raise place.error(f"the tensor cannot be read: {error}") from error
        return _frozen(found, place)

    # -- data in other files ------------------------------------------------------------------

    def _external(self, proto: TensorProto, shape: tuple[int, ...], kind: str, place: Place) -> Any:
        """The bytes of a tensor in another file, mapped."""
        entries = {entry.key: entry.value for entry in proto.external_data}
        location = entries.get("location", "")
        place = place.inside(f"external data {location!r}")
        if kind == "STRING":
            raise place.error("tensors of strings cannot lie in another file")
        numbers = {}
        for key in ("offset", "length"):
            text = entries.get(key, "0" if key == "offset" else "")
            if text and not (text.isdecimal() and text.isascii() and len(text) < 20):
                raise place.error(f"its {key} is a number of bytes, got {text!r}")
            numbers[key] = int(text) if text else None
        need = _bytes(shape, kind)
        if numbers["length"] is not None:
            _require_size(numbers["length"], need, shape, kind, place)
        content = self._file(location, place)
        offset = numbers["offset"] or 0
        if offset + need > len(content):
            raise place.error(
                f"the file has {len(content):,} bytes, and the tensor needs {need:,} from "
                f"{offset:,} on; it is cut off, or of another model"
            )
        return memoryview(content)[offset : offset + need]

    def _file(self, location: str, place: Place) -> Any:
        if self._folder is None or self._root is None:
            raise place.error(
                "a model in memory has no folder with external data: load it from its file, or "
                "with onnx.load, which reads the data"
            )
        if location in self._files:
            return self._files[location]
        parts = location.replace("\\", "/").split("/")
        absolute = os.path.isabs(location) or location.startswith(("/", "\\")) or ":" in parts[0]
        if not location or "\0" in location or absolute or ".." in parts:
            raise place.error(
                "its path has to lie in the model's folder: relative, and without '..'"
            )
        path = os.path.join(self._folder, *parts)
        # A link may lead anywhere, and what it leads to may change.
        real = os.path.realpath(path)
        if os.path.normpath(os.path.join(self._root, *parts)) != real:
            raise place.error(
                "its path has to lie in the model's folder: it is, or goes by, a link"
            )
        if not os.path.isfile(path):
            raise place.error("there is no such file in the model's folder")
        try:
            with open(path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                content: Any = b""
                if size:
                    content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise place.error(f"the file cannot be read: {error.strerror or error}") from error
        self._files[location] = content
        return content


def _shape(dims: Any, place: Place) -> tuple[int, ...]:
    shape = tuple(int(dim) for dim in dims)
    if any(dim < 0 for dim in shape):
        raise place.error(f"a tensor has no shape {list(shape)}")
    return shape


def _kind(number: int, place: Place) -> str:
    try:
        kind: str = TensorProto.DataType.Name(number)
    except ValueError:
        raise place.error(f"there is no element type {number}") from None
    if number == TensorProto.UNDEFINED:
        raise place.error("the tensor has no element type")
    if number not in DTYPES:
        raise place.error(f"graphctx has no tensors of the element type {kind}")
    return kind


def _bytes(shape: tuple[int, ...], kind: str) -> int:
    """Bytes that a tensor takes in a file; those of sub-byte elements are packed."""
    dtype = DTYPES[getattr(TensorProto, kind)]
    return -(-math.prod(shape) * bits_of(dtype) // 8)


def _require_size(have: int, need: int, shape: tuple[int, ...], kind: str, place: Place) -> None:
    if have != need:
        raise place.error(
            f"a tensor {kind.lower()}{list(shape)} takes {need:,} bytes, got {have:,}"
        )


def _frozen(array: np.ndarray[Any, Any], place: Place) -> np.ndarray[Any, Any]:
    try:
        array = np.asarray(array).astype(as_dtype(array.dtype), copy=False)
    except GraphctxError as error:
        raise place.error(str(error)) from error
    if not array.flags.aligned:
        array = array.copy()
    if array.flags.writeable:
        array.flags.writeable = False
    return array
