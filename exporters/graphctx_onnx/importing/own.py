"""What files that graphctx wrote say about themselves, so that reading one gives its graph back."""

from __future__ import annotations

import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from onnx import ModelProto

from graphctx.context import UNSET, Domain, domain_of
from graphctx.errors import ExportError
from graphctx_onnx.metadata import CONSTANT, UNPROVEN, VERSION, WEIGHT, read_metadata


@dataclass(frozen=True)
class Own:
    """The metadata of a file that graphctx wrote.

    Attributes:
        model: name of the root layer.
        assignment: bound context values.
        inputs: name in the file -> the model's own.
        outputs: the same of outputs.
        seed: name of the seed input.
        contexts: name of an input -> domain of the context argument it stands for.
        arguments: name of an input -> name of that argument.
        state_inputs: name of an optional input -> path of the weight it replaces.
        state_outputs: name of an output -> path of the weight that it is the new value of.
        weights: name of an initializer -> path of the weight, where they differ.
        constants: names of the initializers that are no weights.
        unproven: names of sizes that may be equal.
    """

    model: str
    assignment: Mapping[str, Any]
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    seed: str | None
    contexts: Mapping[str, Domain]
    arguments: Mapping[str, str]
    state_inputs: Mapping[str, str]
    state_outputs: Mapping[str, str]
    constants: frozenset[str]
    weights: Mapping[str, str] = field(default_factory=dict)
    unproven: frozenset[str] = frozenset()


def read_own(model: ModelProto) -> Own | None:
    """The metadata of a file; None where graphctx did not write it, or others changed it since."""
    if not any(entry.key == VERSION for entry in model.metadata_props):
        return None
    try:
        found = read_metadata(model)
        return _own(model, found.model, found.assignment, found.signature)
    except (ExportError, KeyError, TypeError, ValueError, AttributeError):
        return None


def _own(
    model: ModelProto, name: str, assignment: Mapping[str, Any], signature: Mapping[str, Any]
) -> Own | None:
    inputs = {info.name for info in model.graph.input}
    outputs = {info.name for info in model.graph.output}
    contexts = {entry["name"]: _domain(entry) for entry in signature["contexts"]}
    states = signature["state"]
    named_weights = {
        tensor.name: tensor.doc_string.removeprefix(WEIGHT)
        for tensor in model.graph.initializer
        if tensor.doc_string.startswith(WEIGHT)
    }
    state_inputs = {entry["input"]: entry["path"] for entry in states if entry["input"]}
    own = Own(
        model=name,
        assignment={n: UNSET if v is None else v for n, v in assignment.items()},
        inputs={},
        outputs={entry["name"]: entry["output"] for entry in signature["outputs"]},
        seed=signature["seed"],
        contexts=contexts,
        arguments={entry["name"]: entry["argument"] for entry in signature["contexts"]},
        state_inputs=state_inputs,
        state_outputs={entry["output"]: entry["path"] for entry in states},
        constants=frozenset(
            tensor.name for tensor in model.graph.initializer if tensor.doc_string == CONSTANT
        ),
        weights={**named_weights, **state_inputs},
        unproven=frozenset(_unproven(model)),
    )
    named = {*own.contexts, *own.state_inputs, *(entry["name"] for entry in signature["inputs"])}
    named.update([own.seed] if own.seed else ())
    if named != inputs or {*own.outputs, *own.state_outputs} != outputs:
        return None  # the interface was changed by another tool
    return own


def _unproven(model: ModelProto) -> list[str]:
    stored = [entry.value for entry in model.metadata_props if entry.key == UNPROVEN]
    return [str(name) for text in stored for name in json.loads(text)]


def _domain(entry: Mapping[str, Any]) -> Domain:
    values = entry.get("values")
    if values:
        return domain_of(typing.Literal[tuple(values)])
    return domain_of({"bool": bool, "int64": int, "float64": float}[entry["dtype"]])
