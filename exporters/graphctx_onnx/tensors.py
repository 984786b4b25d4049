"""Element types, tensors and attributes as ONNX protobufs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import AttributeProto, TensorProto, TensorShapeProto, ValueInfoProto
from onnx.defs import OpSchema

from graphctx.errors import ExportError
from graphctx.spec import Dim, dtype_name

ELEMENT_TYPES: dict[np.dtype[Any], int] = {
    np.dtype("bool"): TensorProto.BOOL,
    np.dtype("int8"): TensorProto.INT8,
    np.dtype("int16"): TensorProto.INT16,
    np.dtype("int32"): TensorProto.INT32,
    np.dtype("int64"): TensorProto.INT64,
    np.dtype("uint8"): TensorProto.UINT8,
    np.dtype("uint16"): TensorProto.UINT16,
    np.dtype("uint32"): TensorProto.UINT32,
    np.dtype("uint64"): TensorProto.UINT64,
    np.dtype("float16"): TensorProto.FLOAT16,
    np.dtype("float32"): TensorProto.FLOAT,
    np.dtype("float64"): TensorProto.DOUBLE,
    np.dtype(object): TensorProto.STRING,
}
"""NumPy dtype -> ONNX element type. Complex is absent: ONNX runtimes have no kernels for it."""

_SPELLED = {"float32": "float", "float64": "double"}
_TYPE_TEXTS = {
    dtype: f"tensor({_SPELLED.get(dtype_name(dtype), dtype_name(dtype))})"
    for dtype in ELEMENT_TYPES
}


def element_type(dtype: Any, where: str) -> int:
    """ONNX's number of an element type.

    Raises:
        ExportError: ONNX lacks it; the message starts with `where`.
    """
    found = ELEMENT_TYPES.get(dtype) if dtype is not None else None
    if found is None:
        name = "a context value" if dtype is None else dtype_name(dtype)
        hint = "; export its real and imaginary parts" if getattr(dtype, "kind", "") == "c" else ""
        raise ExportError(f"{where}: ONNX has no tensors of {name}{hint}")
    return found


def type_text(dtype: Any) -> str:
    """The type as operator schemas spell it, `tensor(float)`; empty where ONNX lacks it."""
    return _TYPE_TEXTS.get(dtype, "")


def byte_size(shape: Sequence[Any], dtype: Any) -> int:
    """Bytes that a tensor of known size takes; 0 for strings, which have no fixed size."""
    if dtype == object:
        return 0
    return int(np.prod([int(dim) for dim in shape], dtype=np.int64)) * int(np.dtype(dtype).itemsize)


def little_endian(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The array as its bytes stand in a file; no copy where it already is so."""
    return np.asarray(array, order="C").astype(array.dtype.newbyteorder("<"), copy=False)


def header(name: str, shape: Sequence[Any], dtype: Any, where: str) -> TensorProto:
    """A tensor without its data."""
    proto = TensorProto()
    proto.name = name
    proto.data_type = element_type(dtype, where)
    proto.dims.extend(int(dim) for dim in shape)
    return proto


def tensor(name: str, array: np.ndarray[Any, Any], where: str) -> TensorProto:
    """A tensor with its data."""
    proto = header(name, array.shape, array.dtype, where)
    if array.dtype == object:
        items = array.reshape(-1).tolist()
        proto.string_data.extend(
            item if isinstance(item, bytes) else str(item).encode() for item in items
        )
    else:
        proto.raw_data = little_endian(array).tobytes()
    return proto


def value_info(name: str, shape: Sequence[Any], dtype: Any, where: str) -> ValueInfoProto:
    """Name, element type and shape of a value: sizes as numbers, as text, or unknown ones empty."""
    info = ValueInfoProto()
    info.name = name
    tensor_type = info.type.tensor_type
    tensor_type.elem_type = element_type(dtype, where)
    tensor_type.shape.CopyFrom(TensorShapeProto())
    for dim in shape:
        entry = tensor_type.shape.dim.add()
        if not isinstance(dim, Dim):
            entry.dim_value = int(dim)
        elif not dim.is_unknown:
            entry.dim_param = str(dim)
    return info


def attribute(name: str, value: Any, kind: OpSchema.AttrType, where: str) -> AttributeProto:
    """An attribute of the type that the operator's schema gives it.

    Raises:
        ExportError: the value is not of that type.
    """
    types = OpSchema.AttrType
    spelled = str(kind).rpartition(".")[2]
    proto = AttributeProto()
    proto.name = name
    proto.type = getattr(AttributeProto, spelled)
    try:
        if kind == types.INT:
            is_dtype = isinstance(value, (np.dtype, type))
            proto.i = element_type(np.dtype(value), where) if is_dtype else int(value)
        elif kind == types.FLOAT:
            proto.f = float(value)
        elif kind == types.STRING:
            proto.s = _encoded(value)
        elif kind == types.INTS:
            proto.ints.extend(int(item) for item in value)
        elif kind == types.FLOATS:
            proto.floats.extend(float(item) for item in value)
        elif kind == types.STRINGS:
            proto.strings.extend(_encoded(item) for item in value)
        elif kind == types.TENSOR:
            proto.t.CopyFrom(tensor("", np.asarray(value), where))
        else:
            raise ExportError(
                f"{where}: the attribute {name!r} holds {spelled.lower()}, which the ONNX "
                f"exporter does not write"
            )
    except (TypeError, ValueError) as error:
        raise ExportError(
            f"{where}: the attribute {name!r} should be {spelled.lower()}, got {value!r}"
        ) from error
    return proto


def _encoded(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {value!r}")
    return value.encode()
