"""Element types, tensors and attributes as ONNX protobufs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import AttributeProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto
from onnx.defs import OpSchema

from graphctx.errors import ExportError
from graphctx.spec import (
    EXTENDED,
    ContainerType,
    Dim,
    SequenceType,
    TensorSpec,
    as_dtype,
    bits_of,
    dtype_name,
    is_extended,
    kind_of,
)

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
    as_dtype("bfloat16"): TensorProto.BFLOAT16,
    as_dtype("float8_e4m3fn"): TensorProto.FLOAT8E4M3FN,
    as_dtype("float8_e4m3fnuz"): TensorProto.FLOAT8E4M3FNUZ,
    as_dtype("float8_e5m2"): TensorProto.FLOAT8E5M2,
    as_dtype("float8_e5m2fnuz"): TensorProto.FLOAT8E5M2FNUZ,
    as_dtype("float8_e8m0"): TensorProto.FLOAT8E8M0,
    as_dtype("float6_e2m3"): TensorProto.FLOAT6E2M3,
    as_dtype("float6_e3m2"): TensorProto.FLOAT6E3M2,
    as_dtype("float4_e2m1"): TensorProto.FLOAT4E2M1,
    as_dtype("int4"): TensorProto.INT4,
    as_dtype("uint4"): TensorProto.UINT4,
    as_dtype("int2"): TensorProto.INT2,
    as_dtype("uint2"): TensorProto.UINT2,
}
"""NumPy dtype -> ONNX element type. Complex is absent: ONNX runtimes have no kernels for it."""

DTYPES = {number: dtype for dtype, number in ELEMENT_TYPES.items()}
"""ONNX element type -> NumPy dtype."""

_SPELLED = {"float32": "float", "float64": "double"} | {
    name: name.replace("_", "") for name in EXTENDED
}
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
    """The type as operator schemas spell it, `seq(tensor(float))`; empty where ONNX lacks it."""
    if isinstance(dtype, ContainerType):
        inner = type_text(dtype.element)
        word = "seq" if isinstance(dtype, SequenceType) else "optional"
        return f"{word}({inner})" if inner else ""
    return _TYPE_TEXTS.get(dtype, "")


def byte_size(shape: Sequence[Any], dtype: Any) -> int:
    """Bytes that a tensor of known size takes; 0 for strings, which have no fixed size."""
    if dtype == object:
        return 0
    count = int(np.prod([int(dim) for dim in shape], dtype=np.int64))
    return -(-count * bits_of(np.dtype(dtype)) // 8)


def flat_bytes(array: Any) -> np.ndarray[Any, Any]:
    """The bytes of an array as they stand in a file; no copy where it already has them so.

    Numbers of 6, 4 and 2 bits are packed, the first into the lowest bits (onnx.proto, `raw_data`).
    """
    flat: np.ndarray[Any, Any] = np.asarray(array, order="C").reshape(-1)
    bits = bits_of(array.dtype)
    if not is_extended(array.dtype):
        return flat.astype(array.dtype.newbyteorder("<"), copy=False).view(np.uint8)
    if bits == 16:
        return flat.view(np.uint16).astype("<u2", copy=False).view(np.uint8)
    codes = flat.view(np.uint8)
    if bits == 8:
        return codes
    if bits == 6:  # over the ends of bytes
        digits = np.unpackbits(codes[:, None], axis=1, count=bits, bitorder="little")
        return np.packbits(digits.reshape(-1), bitorder="little")
    each = 8 // bits
    padded: np.ndarray[Any, Any] = np.zeros(-(-codes.size // each) * each, np.uint8)
    padded[: codes.size] = codes & (2**bits - 1)  # of negative numbers all bits of the byte are set
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    packed: np.ndarray[Any, Any] = np.bitwise_or.reduce(padded.reshape(-1, each) << shifts, axis=1)
    return packed


def from_bytes(data: Any, shape: Sequence[int], dtype: Any) -> np.ndarray[Any, Any]:
    """The array of which `flat_bytes` made the bytes."""
    dtype = np.dtype(dtype)
    codes: np.ndarray[Any, Any] = np.frombuffer(data, np.uint8)
    bits = bits_of(dtype)
    if not is_extended(dtype):
        little: np.ndarray[Any, Any] = codes.view(dtype.newbyteorder("<"))
        return little.astype(dtype, copy=False).reshape(shape)
    if bits == 16:
        halves: np.ndarray[Any, Any] = codes.view("<u2").astype(np.uint16, copy=False)
        codes = halves
    elif bits == 6:
        count = int(np.prod(shape, dtype=np.int64))
        digits = np.unpackbits(codes, count=bits * count, bitorder="little").reshape(-1, bits)
        codes = np.packbits(digits, axis=1, bitorder="little").reshape(-1)
    elif bits < 8:
        shifts = np.arange(0, 8, bits, dtype=np.uint8)
        count = int(np.prod(shape, dtype=np.int64))
        codes = ((codes[:, None] >> shifts) & np.uint8(2**bits - 1)).reshape(-1)[:count]
        if kind_of(dtype) == "i":  # the sign goes through the byte
            codes = codes | np.where(codes >> (bits - 1), np.uint8(256 - 2**bits), np.uint8(0))
    made: np.ndarray[Any, Any] = codes.view(dtype)
    return made.reshape(shape)


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
        proto.raw_data = flat_bytes(array).tobytes()
    return proto


def value_info(name: str, shape: Sequence[Any], dtype: Any, where: str) -> ValueInfoProto:
    """Name and type of a value."""
    info = ValueInfoProto(name=name)
    info.type.CopyFrom(type_proto(shape, dtype, where))
    return info


def type_proto(shape: Sequence[Any] | None, dtype: Any, where: str) -> TypeProto:
    """A type: element type and shape, whose sizes are numbers, text, or unknown ones empty.

    Args:
        shape: None where not even the number of dimensions is known.
        dtype: of a tensor, or the type of a sequence or an optional.
        where: what the value is, for errors.

    Raises:
        ExportError: ONNX lacks it.
    """
    proto = TypeProto()
    if isinstance(dtype, ContainerType):
        inside = type_proto(dtype.shape, dtype.element, where)
        is_sequence = isinstance(dtype, SequenceType)
        outer = proto.sequence_type if is_sequence else proto.optional_type
        outer.elem_type.CopyFrom(inside)
        return proto
    proto.tensor_type.elem_type = element_type(dtype, where)
    if shape is None:
        return proto
    proto.tensor_type.shape.CopyFrom(TensorShapeProto())
    for dim in shape:
        entry = proto.tensor_type.shape.dim.add()
        if isinstance(dim, Dim):
            if not dim.is_unknown:
                entry.dim_param = str(dim)
        elif dim is not None:
            entry.dim_value = int(dim)
    return proto


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
        elif kind == types.TYPE_PROTO:
            spec = TensorSpec((), value) if isinstance(value, ContainerType) else value
            proto.tp.CopyFrom(type_proto(spec.shape, spec.dtype, where))
        elif kind == types.TENSOR:
            proto.t.CopyFrom(tensor("", np.asarray(value), where))
        else:
            raise ExportError(
                f"{where}: the attribute {name!r} holds {spelled.lower()}, which the ONNX "
                f"exporter does not write"
            )
    except (TypeError, ValueError, AttributeError) as error:
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
