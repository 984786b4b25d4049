"""Functions: those that a model brings along, and those by which ONNX defines operators."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import onnx.defs
from onnx import FunctionProto, ModelProto, NodeProto, TypeProto
from onnx.defs import OpSchema

from graphctx.graph import Value
from graphctx_onnx.importing.places import Place, operator_text
from graphctx_onnx.importing.structure import subgraphs
from graphctx_onnx.tensors import value_info

Key = tuple[str, str, str]
"""Domain, name and overload of a function."""

MOST_NODES = 5_000_000
"""Nodes that a model may have when all its functions are written out."""

DEEPEST = 100
"""Functions that may be around a node."""


def domain_of(domain: str) -> str:
    """A domain; ONNX's own, which has two names, is the empty one."""
    return "" if domain == "ai.onnx" else domain


def key_of(proto: NodeProto | FunctionProto) -> Key:
    """What a node calls, or a function is called."""
    name = proto.op_type if isinstance(proto, NodeProto) else proto.name
    return domain_of(proto.domain), name, proto.overload


def local_functions(model: ModelProto, place: Place) -> dict[Key, FunctionProto]:
    """The functions of a model.

    Raises:
        LoadError: two have one name; some call each other in a circle; written out, the model
            would have more than `MOST_NODES` nodes.
    """
    found: dict[Key, FunctionProto] = {}
    for function in model.functions:
        key = key_of(function)
        if key in found:
            text = operator_text(function.domain, function.name)
            raise place.error(f"two functions are named {text}")
        found[key] = function
    sizes: dict[Key, int] = {}
    for key in found:
        _measure(key, found, sizes, [], place)
    total = _size(model.graph.node, sizes)
    if total > MOST_NODES:
        raise place.error(
            f"with its functions written out it has {total:,} nodes; at most {MOST_NODES:,} are "
            f"read"
        )
    return found


def _measure(
    key: Key, functions: Mapping[Key, FunctionProto], sizes: dict[Key, int], above: list[Key],
    place: Place,
) -> None:  # fmt: skip
    if key in sizes:
        return
    if key in above:
        circle = " -> ".join(operator_text(*k[:2]) for k in (*above[above.index(key) :], key))
        raise place.error(f"its functions call each other in a circle: {circle}")
    if len(above) == DEEPEST:
        raise place.error(f"its functions call each other more than {DEEPEST} deep")
    above.append(key)
    for called in _called(functions[key].node):
        if called in functions:
            _measure(called, functions, sizes, above, place)
    above.pop()
    sizes[key] = _size(functions[key].node, sizes)


def _called(nodes: Iterable[NodeProto]) -> Iterable[Key]:
    for node in nodes:
        yield key_of(node)
        for _, graph in subgraphs(node):
            yield from _called(graph.node)


def _size(nodes: Iterable[NodeProto], sizes: Mapping[Key, int]) -> int:
    return sum(sizes.get(key, 1) for key in _called(nodes))


def defining_function(
    schema: Any, proto: NodeProto, operands: Sequence[Value | None], opset: int
) -> FunctionProto | None:
    """The function by which ONNX defines an operator; None for a primitive one.

    Args:
        schema: an `OpSchema`, of the operator; its types do not list what functions need.
        proto: the node; some definitions depend on its attributes.
        operands: of the node; some depend on their types.
        opset: of the model.
    """
    if schema.has_function:
        return schema.function_body  # type: ignore[no-any-return]
    if not schema.has_context_dependent_function:
        return None
    types = []
    for value in operands:
        kind = TypeProto()
        if value is not None:
            kind = value_info("", value.shape, value.dtype, "").type
        types.append(kind.SerializeToString())
    made = FunctionProto()
    versions = schema.context_dependent_function_opset_versions
    usable = [version for version in versions if version <= opset]
    if not usable:
        return None
    content = schema.get_context_dependent_function_with_opset_version(
        max(usable), proto.SerializeToString(), types
    )
    made.ParseFromString(content)
    if not made.opset_import:
        made.opset_import.add(domain="", version=opset)
    return made


def has_definition(schema: Any) -> bool:
    """Whether ONNX defines an operator by others."""
    return bool(schema.has_function or schema.has_context_dependent_function)


def schema_of(domain: str, name: str, version: int) -> OpSchema | None:
    """ONNX's schema of an operator at an opset; None where there is none."""
    try:
        return onnx.defs.get_schema(name, version, domain)
    except onnx.defs.SchemaError:
        return None
