"""Structural checks of a written model: onnx's checker, and its shape inference against ours."""

from __future__ import annotations

import os
from typing import Any

import onnx
import onnx.checker
import onnx.shape_inference
from onnx import ModelProto, TensorProto, TypeProto, ValueInfoProto, helper

from graphctx.errors import ExportError
from graphctx.graph import Value
from graphctx.spec import Dim, shape_text
from graphctx_onnx.convert import Converted
from graphctx_onnx.schemas import label
from graphctx_onnx.tensors import ELEMENT_TYPES, type_proto


def check(path: str | os.PathLike[str], converted: Converted) -> None:
    """Check the file that a conversion was written to.

    Runs onnx's shape inference in strict mode with data propagation, compares element type, rank
    and known sizes of every value with our own inference, then runs onnx's checker in full.

    Raises:
        ExportError: the file is not valid, or ONNX reads a node differently from us.
    """
    try:
        inferred = infer(converted.model)
        infos = {info.name: info for info in (*inferred.graph.value_info, *inferred.graph.output)}
        for value, name in converted.names.items():
            if name in infos and value.node.kind == "op":
                _compare(value, infos[name])
        onnx.checker.check_model(os.fspath(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(
            f"{converted.graph.name}: onnx finds the exported model invalid: {error}"
        ) from error


def infer(model: ModelProto) -> ModelProto:
    """The model with the shapes that onnx infers, uninfluenced by those that we wrote.

    Tensors of the data file take part as inputs: data propagation reads no other files.
    """
    bare = ModelProto()
    bare.CopyFrom(model)
    del bare.graph.value_info[:]
    outside = [t for t in bare.graph.initializer if t.data_location == TensorProto.EXTERNAL]
    inputs = {info.name for info in bare.graph.input}
    for proto in outside:
        bare.graph.initializer.remove(proto)
        if proto.name not in inputs:
            info = helper.make_tensor_value_info(proto.name, proto.data_type, proto.dims)
            bare.graph.input.append(info)
    for info in bare.graph.output:
        inside = info.type
        while not inside.HasField("tensor_type"):
            inside = getattr(inside, inside.WhichOneof("value")).elem_type
        inside.tensor_type.ClearField("shape")
    return onnx.shape_inference.infer_shapes(bare, strict_mode=True, data_prop=True)


def _compare(value: Value, info: ValueInfoProto) -> None:
    where = label(value.node)
    ours = type_proto(None, value.dtype, where)
    if value.is_tensor != info.type.HasField("tensor_type"):
        raise ExportError(f"{where}: graphctx infers {value.spec}, onnx infers {info.type}")
    if not value.is_tensor:
        if _tensor_types(ours) != _tensor_types(info.type):
            raise ExportError(f"{where}: graphctx infers {value.spec}, onnx infers {info.type}")
        return
    theirs = info.type.tensor_type
    if theirs.elem_type != ELEMENT_TYPES[value.dtype]:
        names = {number: dtype for dtype, number in ELEMENT_TYPES.items()}
        other = names.get(theirs.elem_type, theirs.elem_type)
        raise ExportError(f"{where}: graphctx infers {value.dtype}, onnx infers {other}")
    if not theirs.HasField("shape"):
        return
    dims = [_dim(dim) for dim in theirs.shape.dim]
    agrees = len(dims) == value.rank and all(
        isinstance(our, Dim) or not isinstance(their, int) or our == their
        for our, their in zip(value.shape, dims, strict=True)
    )
    if not agrees:
        raise ExportError(
            f"{where}: graphctx infers the shape {shape_text(value.shape)}, "
            f"onnx infers [{', '.join(map(str, dims))}]"
        )


def _tensor_types(proto: TypeProto) -> list[str | int]:
    """The kinds of containers from outside in, then the element type of the tensors in them."""
    found: list[str | int] = []
    while not proto.HasField("tensor_type"):
        kind = proto.WhichOneof("value")
        if kind is None:
            return found
        found.append(kind)
        proto = getattr(proto, kind).elem_type
    return [*found, proto.tensor_type.elem_type]


def _dim(dim: Any) -> int | str:
    return int(dim.dim_value) if dim.HasField("dim_value") else dim.dim_param or "?"
