"""Operator schemas: whether a node is legal at an opset, and which attributes it needs spelt out.

Everything here runs before a byte is written, so that what ONNX lacks is an error that names the
layer, and not a runtime's riddle.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx.defs
from onnx import helper
from onnx.defs import OpSchema

from graphctx.body import bodies_of, listed_operands
from graphctx.errors import ExportError
from graphctx.graph import Node
from graphctx.ops.table import ML_DOMAIN, ML_OPSET, OPSET, OUTPUTS
from graphctx.spec import ContainerType, dtype_name, is_storage
from graphctx_onnx.names import join, sentence
from graphctx_onnx.tensors import type_text

FIRST_OPSET = 18  # from here on reductions take their axes as operands, as graphctx has them
LAST_OPSET = OPSET
DEFAULT_OPSET = 23
OLDEST_ML_OPSET = 3  # from here on tree ensembles also take tensors of doubles

# The last opset at which onnxruntime 1.32 has a kernel, of operators that it has none for later on.
LAST_WITH_KERNEL = {"MaxRoiPool": 21, "RoiAlign": 21}

_OPTION = OpSchema.FormalParameterOption


@dataclass(frozen=True)
class Formal:
    """A formal input or output of an operator."""

    name: str
    type_name: str
    types: frozenset[str]
    optional: bool
    variadic: bool
    homogeneous: bool


@dataclass(frozen=True)
class Schema:
    """What an operator takes, gives and is configured by, at one opset."""

    inputs: tuple[Formal, ...]
    outputs: tuple[Formal, ...]
    least_inputs: int
    attributes: Mapping[str, OpSchema.AttrType]
    defaults: Mapping[str, Any]

    def input(self, slot: int) -> Formal | None:
        """The formal input of an operand slot; None where there is none."""
        return _slot(self.inputs, slot)

    def output(self, slot: int) -> Formal | None:
        """The formal output of an output slot; None where there is none."""
        return _slot(self.outputs, slot)

    def output_name(self, slot: int) -> str:
        """Name of an output: the formal one, numbered where it is variadic."""
        formal = self.outputs[min(slot, len(self.outputs) - 1)]
        return f"{formal.name}_{slot - len(self.outputs) + 1}" if formal.variadic else formal.name


def _slot(formals: tuple[Formal, ...], slot: int) -> Formal | None:
    if slot < len(formals):
        return formals[slot]
    return formals[-1] if formals and formals[-1].variadic else None


@functools.cache
def schema_of(name: str, opset: int, domain: str = "") -> Schema | None:
    """ONNX's schema of an operator at an opset; None where ONNX has no such operator."""
    try:
        found = onnx.defs.get_schema(name, opset, domain)
    except onnx.defs.SchemaError:
        return None
    if found.deprecated:
        return None
    return Schema(
        inputs=tuple(map(_formal, found.inputs)),
        outputs=tuple(map(_formal, found.outputs)),
        least_inputs=found.min_input,
        attributes={key: entry.type for key, entry in found.attributes.items()},
        defaults={
            key: _plain(helper.get_attribute_value(entry.default_value))
            for key, entry in found.attributes.items()
            if entry.default_value.type
        },
    )


def _formal(parameter: OpSchema.FormalParameter) -> Formal:
    return Formal(
        parameter.name,
        parameter.type_str,
        frozenset(parameter.types),
        parameter.option == _OPTION.Optional,
        parameter.option == _OPTION.Variadic,
        parameter.is_homogeneous,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return tuple(map(_plain, value)) if isinstance(value, (list, tuple)) else value


def label(node: Node) -> str:
    """`block/drop/Relu (model.py:12)`: how messages name a node."""
    return sentence(join(node.path, node.name), node.source)


def attributes_of(node: Node, schema: Schema) -> dict[str, Any]:
    """The attributes to write: those set, and defaults of ours that are not ONNX's own."""
    assert node.op is not None
    written = {}
    bodies = bodies_of(node)  # written as graphs; `carried` is the number of operands in ONNX
    for name, value in (node.op.defaults | node.attrs).items():
        if value is None or name == OUTPUTS or name in bodies or (bodies and name == "carried"):
            continue
        if name not in schema.attributes:
            if name in node.attrs:
                written[name] = value  # `fault` reports it
            continue
        if name in schema.defaults and _equal(schema.defaults[name], value):
            continue
        written[name] = value
    if node.name == "Split" and len(node.operands) > 1 and node.operands[1] is not None:
        written.pop("num_outputs", None)  # ONNX takes the sizes or their number, not both
    return written


def _equal(default: Any, value: Any) -> bool:
    if isinstance(default, float):
        return isinstance(value, (int, float)) and np.float32(default) == np.float32(value)
    if isinstance(default, tuple):
        return isinstance(value, (tuple, list)) and default == tuple(value)
    if isinstance(value, (np.ndarray, np.dtype, type)):
        return False
    return type(default) in (int, str) and bool(default == value)


def fault(node: Node, opset: int) -> str | None:
    """What is wrong with a node at an opset of its operator's domain; None if it is legal."""
    assert node.op is not None
    schema = schema_of(node.name, opset, node.op.domain)
    if schema is None:
        return f"ONNX has no operator {node.name} at opset {opset}"
    if node.op.since > opset:
        return f"{node.name} of opset {opset} computes something else"
    for name in attributes_of(node, schema):
        if name not in schema.attributes:
            return f"{node.name} of opset {opset} has no attribute {name!r}"
    for slot, formal in enumerate(schema.inputs):
        absent = slot >= len(node.operands) or node.operands[slot] is None
        if absent and not formal.optional and not formal.variadic:
            return f"{node.name} of opset {opset} needs the operand {formal.name!r}"
    lacking = [schema.input(slot) for slot in range(len(node.operands), schema.least_inputs)]
    if not all(formal is not None and formal.optional for formal in lacking):
        return f"{node.name} of opset {opset} needs {schema.least_inputs} operands or more"
    bound: dict[str, Any] = {}
    for slot, operand in enumerate(node.operands[: listed_operands(node)]):
        if operand is None:
            continue
        taken = schema.input(slot)
        if taken is None:
            return f"{node.name} of opset {opset} takes {len(schema.inputs)} operands at most"
        problem = _type_fault(node, taken, operand.dtype, opset, bound)
        if problem:
            return problem
    for slot, output in enumerate(node.outputs):
        given = schema.output(slot)
        if given is None:
            return f"{node.name} of opset {opset} has {len(schema.outputs)} outputs at most"
        problem = _type_fault(node, given, output.dtype, opset, bound)
        if problem:
            return problem
    return None


def _type_fault(
    node: Node, formal: Formal, dtype: Any, opset: int, bound: dict[str, Any]
) -> str | None:
    if dtype is None or type_text(dtype) not in formal.types:
        got = "a context value" if dtype is None else dtype_name(dtype)
        return f"{node.name} of opset {opset} does not take {got} as {formal.name!r}"
    if not formal.homogeneous or formal.type_name.startswith("tensor("):
        return None
    first = bound.setdefault(formal.type_name, dtype)
    if type_text(first) != type_text(dtype):
        return (
            f"{node.name} needs one dtype for {formal.type_name}, got {dtype_name(first)} "
            f"and {dtype_name(dtype)}"
        )
    return None


def needed_opset(node: Node) -> int | None:
    """The lowest opset at which a node is legal; None if no opset has it."""
    ours = node.op is None or not node.op.domain
    for opset in range(FIRST_OPSET, LAST_OPSET + 1) if ours else range(1, ML_OPSET + 1):
        if fault(node, opset) is None:
            return opset
    return None


def require_legal(node: Node, opset: int) -> Schema:
    """The node's schema.

    Raises:
        ExportError: the node is not legal at this opset; says which opset it needs.
    """
    problem = fault(node, opset)
    if problem is None:
        assert node.op is not None
        schema = schema_of(node.name, opset, node.op.domain)
        assert schema is not None
        return schema
    needed = needed_opset(node)
    if needed is None:
        advice = "no opset that the installed onnx knows has it"
    else:
        advice = f"it needs opset {needed}: export with opset={needed}"
    raise ExportError(f"{label(node)}: {problem}; {advice}")


def require_opset(asked: Any) -> None:
    """Raise for an opset that cannot be written, whatever the nodes.

    Raises:
        ExportError: it is no integer, or out of range.
    """
    if asked is None:
        return
    if isinstance(asked, bool) or not isinstance(asked, (int, np.integer)):
        raise ExportError(f"opset is a number from {FIRST_OPSET} to {LAST_OPSET}, got {asked!r}")
    if not FIRST_OPSET <= asked <= LAST_OPSET:
        raise ExportError(
            f"opset {asked} cannot be written: choose one from {FIRST_OPSET} to {LAST_OPSET}"
        )


def choose_opset(nodes: list[Node], asked: int | None) -> int:
    """The opset to write: the one asked for, else 23, or the first later one all nodes have.

    It is an earlier one where onnxruntime has a kernel for that only.

    Raises:
        ExportError: the one asked for is out of range.
    """
    require_opset(asked)
    if asked is not None:
        return int(asked)
    opset = min([DEFAULT_OPSET, *(LAST_WITH_KERNEL.get(n.name, DEFAULT_OPSET) for n in nodes)])
    for node in nodes:
        if node.op is None or node.op.domain:
            continue
        if fault(node, opset) is not None:
            later = range(opset + 1, LAST_OPSET + 1)
            opset = next((n for n in later if fault(node, n) is None), opset)
    return opset


def choose_domains(nodes: list[Node], opset: int) -> dict[str, int]:
    """The opset of every domain: that of ONNX proper, and the first that all others agree on.

    Raises:
        ExportError: no opset of a domain has all of its operators.
    """
    found = {"": opset}
    others = [node for node in nodes if node.op is not None and node.op.domain]
    if others:
        choices = range(OLDEST_ML_OPSET, ML_OPSET + 1)
        legal = [n for n in choices if all(fault(node, n) is None for node in others)]
        for node in () if legal else others:
            needed = needed_opset(node)
            require_legal(node, OLDEST_ML_OPSET if needed is None else needed)
        if not legal:
            texts = ", ".join(sorted({f"{n.name} of opset {needed_opset(n)}" for n in others}))
            raise ExportError(
                f"{label(others[0])}: no opset of {ML_DOMAIN} has all of its operators here: "
                f"{texts}; export them as programs of their own"
            )
        found[ML_DOMAIN] = legal[0]
    return found


_FORMATS = {
    "int4": 10, "uint4": 10, "float4_e2m1": 11, "float8_e8m0": 12, "int2": 13, "uint2": 13,
    "float6_e2m3": 14, "float6_e3m2": 14,
}  # fmt: skip
"""The file format that first has an element type; those with floats of 8 bits have it from 9 on."""


def ir_version(opset: int, dtypes: Iterable[Any] = ()) -> int:
    """The oldest file format that holds the opset and dtypes, so that older runtimes can read it.

    Formats 11 to 14 only add element types; 10 adds metadata of nodes.
    """
    oldest = 8 if opset < 19 else 9 if opset < 21 else 10
    inside = [d.tensor_dtype if isinstance(d, ContainerType) else d for d in dtypes]
    needed = [_FORMATS.get(dtype_name(d), 9) for d in inside if d is not None and is_storage(d)]
    return max(oldest, *needed) if needed else oldest
