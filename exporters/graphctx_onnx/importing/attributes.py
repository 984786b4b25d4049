"""Attributes of a node as the Python values that operators take, checked against their schemas."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx.defs
from onnx import AttributeProto, NodeProto, TensorProto, TypeProto, helper
from onnx.defs import OpSchema

from graphctx.errors import LoadError
from graphctx.spec import ContainerType, Dim, OptionalType, SequenceType, TensorSpec
from graphctx_onnx.importing.places import Place
from graphctx_onnx.importing.tensors import DTYPES

_TYPES: Any = AttributeProto.AttributeType
_SINGLE: dict[int, str] = {
    _TYPES.Value("FLOAT"): "f",
    _TYPES.Value("INT"): "i",
    _TYPES.Value("STRING"): "s",
    _TYPES.Value("TENSOR"): "t",
    _TYPES.Value("GRAPH"): "g",
    _TYPES.Value("SPARSE_TENSOR"): "sparse_tensor",
    _TYPES.Value("TYPE_PROTO"): "tp",
}
_LISTS: dict[int, str] = {
    _TYPES.Value("FLOATS"): "floats",
    _TYPES.Value("INTS"): "ints",
    _TYPES.Value("STRINGS"): "strings",
    _TYPES.Value("TENSORS"): "tensors",
    _TYPES.Value("GRAPHS"): "graphs",
}
NEWEST = 10_000
"""An opset that is newer than all: schemas are asked for the newest one below it."""

ELEMENT_TYPES = frozenset(
    {"to", "dtype", "output_datatype", "output_dtype", "softmax_precision", "precision"}
)
"""Attributes whose number is an element type; 0 is none. Operators take a dtype there."""

References = Mapping[str, AttributeProto]
"""Attributes of a function's call, which those of the nodes in its body refer to."""


def resolved(proto: NodeProto, references: References, place: Place) -> dict[str, AttributeProto]:
    """The attributes of a node by name; those of a function's body replaced by what they refer to.

    Raises:
        LoadError: a name stands twice, or one refers to no attribute of the function.
    """
    found: dict[str, AttributeProto] = {}
    for attribute in proto.attribute:
        if attribute.name in found:
            raise place.error(f"the attribute {attribute.name!r} is given twice")
        if not attribute.ref_attr_name:
            found[attribute.name] = attribute
            continue
        referred = references.get(attribute.ref_attr_name)
        if referred is not None:  # else the function's call leaves it out
            copy = AttributeProto()
            copy.CopyFrom(referred)
            copy.name = attribute.name
            found[attribute.name] = copy
    return found


def read(
    attributes: Mapping[str, AttributeProto],
    schema: OpSchema | None,
    array: Callable[[TensorProto, Place], np.ndarray[Any, Any]],
    place: Place,
) -> dict[str, Any]:
    """The attributes as Python values: numbers, text, tuples of them, arrays; graphs as they are.

    Args:
        attributes: of a node, by name.
        schema: that they have to fit; None: any name and type.
        array: reads a tensor.
        place: of the node.

    Raises:
        LoadError: one that the operator lacks, of another type, or missing.
    """
    known = {} if schema is None else schema.attributes
    found: dict[str, Any] = {}
    for name, attribute in attributes.items():
        if schema is not None:
            formal = known.get(name)
            if name in _LEGACY:
                continue
            if formal is None:
                raise place.error(
                    f"the operator has no attribute {name!r} in opset {schema.since_version}"
                    f"{' (it has ' + ', '.join(sorted(known)) + ')' if known else ''}"
                )
            wanted = str(formal.type).rpartition(".")[2]
            given = _type_name(attribute)
            if wanted != given:
                raise place.error(
                    f"the attribute {name!r} is of the type {wanted}, got {given or 'none'}"
                )
        found[name] = _value(name, attribute, array, place)
    for name, formal in known.items():
        if formal.required and name not in found:
            raise place.error(f"the attribute {name!r} is missing")
    return found


# Of the first opset: hints for the memory planner of another tool, and which outputs are used.
_LEGACY = frozenset({"consumed_inputs", "output_sequence"})


def old_defaults(schema: OpSchema, given: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes that are not given, and whose default is another one in the newest opset."""
    defaults = _defaults(schema.name, schema.domain, schema.since_version)
    return {name: value for name, value in defaults.items() if name not in given}


@functools.cache
def _defaults(name: str, domain: str, version: int) -> dict[str, Any]:
    then, now = (onnx.defs.get_schema(name, v, domain) for v in (version, NEWEST))
    found = {}
    for key, formal in then.attributes.items():
        later = now.attributes.get(key)
        if later is not None and formal.default_value.type and not now.deprecated:
            value = helper.get_attribute_value(formal.default_value)
            same = later.default_value.type and value == helper.get_attribute_value(
                later.default_value
            )
            if not same:
                found[key] = value.decode() if isinstance(value, bytes) else value
    return found


def _type_name(attribute: AttributeProto) -> str:
    kind = attribute.type
    if kind in _TYPES.values() and kind != AttributeProto.UNDEFINED:
        return str(_TYPES.Name(kind))
    # Files of the first format do not say which type it is.
    for number, field in _SINGLE.items():
        if attribute.HasField(field):
            return str(_TYPES.Name(number))
    for number, field in _LISTS.items():
        if len(getattr(attribute, field)):
            return str(_TYPES.Name(number))
    return ""


def _value(
    name: str,
    attribute: AttributeProto,
    array: Callable[[TensorProto, Place], np.ndarray[Any, Any]],
    place: Place,
) -> Any:
    kind = _type_name(attribute)
    if not kind:
        raise place.error(f"the attribute {name!r} has no type")
    where = place.inside(f"attribute {name!r}")
    number = _TYPES.Value(kind)
    if number in _LISTS:
        items = getattr(attribute, _LISTS[number])
        return tuple(_item(kind.removesuffix("S"), item, array, where) for item in items)
    value = getattr(attribute, _SINGLE[number])
    if kind == "INT" and name in ELEMENT_TYPES:
        return element_type(int(value), where) if value else None
    return _item(kind, value, array, where)


def _item(
    kind: str, value: Any, array: Callable[[TensorProto, Place], np.ndarray[Any, Any]], where: Place
) -> Any:
    if kind == "INT":
        return int(value)
    if kind == "FLOAT":
        return float(str(np.float32(value)))  # 0.1, which was rounded when it was written
    if kind == "STRING":
        return text(value, where)
    if kind == "TENSOR":
        return array(value, where)
    if kind == "TYPE_PROTO":
        return type_of(value, where)
    return value


def text(value: bytes, where: Place) -> str:
    """Text of a file.

    Raises:
        LoadError: it is no valid UTF-8.
    """
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise where.error(f"the text is no valid UTF-8: {error}") from None


def type_of(proto: TypeProto, where: Place) -> Any:
    """A type: a `TensorSpec`, whose named dimensions are unknown, or a `ContainerType`.

    Raises:
        LoadError: graphctx has no values of that type.
    """
    if proto.WhichOneof("value") != "tensor_type":
        return container_type(proto, where)
    dtype, shape = _tensor_type(proto, where)
    if shape is None:
        raise where.error("the type does not say how many dimensions a tensor has")
    return TensorSpec([Dim.unknown() if dim is None else dim for dim in shape], dtype)


def container_type(proto: TypeProto, where: Place) -> ContainerType:
    """The type of a sequence or an optional.

    Raises:
        LoadError: it is another type, or holds what graphctx has no sequences and optionals of.
    """
    kind = proto.WhichOneof("value")
    if kind == "sequence_type" and _is_tensor(proto.sequence_type.elem_type):
        return SequenceType(*_tensor_type(proto.sequence_type.elem_type, where))
    if kind == "optional_type":
        inner = proto.optional_type.elem_type
        if _is_tensor(inner):
            return OptionalType(*_tensor_type(inner, where))
        if inner.WhichOneof("value") == "sequence_type":
            return OptionalType(container_type(inner, where))
    what = "no type" if kind is None else f"the type {kind.removesuffix('_type')}"
    raise where.error(
        f"it has {what}{'' if kind is None else ' of what is no tensor'}: graphctx has tensors, "
        f"sequences of them, and optionals of these"
    )


def _is_tensor(proto: TypeProto) -> bool:
    return bool(proto.WhichOneof("value") == "tensor_type")


def _tensor_type(proto: TypeProto, where: Place) -> tuple[Any, tuple[int | None, ...] | None]:
    """Dtype and shape; None for sizes that are not numbers, or where there is no shape."""
    tensor = proto.tensor_type
    dtype = element_type(tensor.elem_type, where)
    if not tensor.HasField("shape"):
        return dtype, None
    dims = tensor.shape.dim
    return dtype, tuple(int(d.dim_value) if d.HasField("dim_value") else None for d in dims)


def element_type(number: int, where: Place) -> np.dtype[Any]:
    """The dtype of an element type's number.

    Raises:
        LoadError: there is none, or graphctx lacks it.
    """
    dtype = DTYPES.get(number)
    if dtype is not None:
        return dtype
    try:
        name = TensorProto.DataType.Name(number)
    except ValueError:
        raise where.error(f"there is no element type {number}") from None
    raise LoadError(f"{where}: graphctx has no tensors of the element type {name}")
