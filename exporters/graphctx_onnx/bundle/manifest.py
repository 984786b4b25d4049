"""From a graph and its programs to `manifest.json`; the runtime reads it."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import AttributeProto, GraphProto

import graphctx
from graphctx.classes import Classes
from graphctx.context import REQUIRED, UNSET
from graphctx.errors import ExportError
from graphctx.graph import CallGraph, ContextArgument
from graphctx.spec import EXTENDED
from graphctx_onnx.bundle.folder import DIGITS, PROGRAM
from graphctx_onnx.bundle.programs import Failure
from graphctx_onnx.bundle.weights import Digests
from graphctx_onnx.convert import Converted
from graphctx_onnx.runtime.files import FileEntry
from graphctx_onnx.runtime.manifest import FORMAT, VERSION, TensorEntry

Json = dict[str, Any]


def value_json(graph: CallGraph, name: str, value: Any) -> Any:
    """A context value as JSON has it: members of an Enum by name, infinities as text.

    Raises:
        ExportError: JSON has no such value.
    """
    if value is UNSET:
        return None
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, (bool, int, float, str)):
        return value
    raise ExportError(
        f"{graph.name}: context argument {name!r} may be {value!r}, which no manifest can hold; "
        f"give it one value for all programs: context={{{name!r}: ...}}"
    )


def value_of(graph: CallGraph, name: str, value: Any) -> Any:
    """The context value that a manifest holds."""
    for case in graph.contexts[name].cases:
        found = value_json(graph, name, case)
        if type(found) is type(value) and found == value:
            return case
    return value


def arguments_json(graph: CallGraph, classes: Classes) -> list[Json]:
    """The open arguments of a graph: bound by the classes, or left to run time."""
    return [
        _argument(graph, argument, "runtime" if name in classes.runtime else "bound")
        for name, argument in graph.contexts.items()
    ]


def _argument(graph: CallGraph, argument: ContextArgument, binding: str) -> Json:
    domain, name = argument.domain, argument.name
    listed: Sequence[Any] = domain.values
    if not domain.is_finite:
        every = domain.is_numeric and not argument.enumerated
        listed = () if every else [case for case in argument.cases if case is not UNSET]
    values = [value_json(graph, name, value) for value in listed]
    required = argument.default is REQUIRED
    made: Json = {"name": name, "type": _type(domain.kind, listed), "required": required}
    if values:
        made["values"] = values
    if not required:
        made["default"] = value_json(graph, name, argument.default)
    return {**made, "binding": binding}


def _type(kind: str, values: Sequence[Any]) -> str:
    if kind in ("bool", "int", "float"):
        return kind
    names = {bool: "bool", int: "int", float: "float"}
    types = {"string" if isinstance(v, enum.Enum) else names.get(type(v), "string") for v in values}
    return types.pop() if len(types) == 1 else "mixed"


def fixed_json(graph: CallGraph) -> Json:
    """The arguments that are bound in the graph itself; values that JSON lacks as text."""
    found = {}
    for name, value in graph.bound.items():
        if value is not UNSET:
            try:
                found[name] = value_json(graph, name, value)
            except ExportError:
                found[name] = repr(value)
    return found


def conditions_json(
    graph: CallGraph, conditions: Iterable[Mapping[str, tuple[Any, ...]]]
) -> list[dict[str, list[Any]]]:
    """The condition of a class, as `Classes.conditions` gives it."""
    return [
        {name: [value_json(graph, name, value) for value in values] for name, values in c.items()}
        for c in conditions
    ]


def model_json(graph: CallGraph, digests: Digests) -> Json:
    """What tells the model and its weights from others."""
    weights = {
        node.name: digests.of(graph.array(node))
        for node in graph.weights
        if node.output.dtype != object
    }
    text = hashlib.sha256(str(graph).encode("utf-8", "backslashreplace")).hexdigest()
    return {"name": graph.name, "graph": text, "weights": weights}


def error_json(failure: Failure) -> tuple[str, Json]:
    """The id of a class under which the model raises, and what it raises."""
    made = dataclasses.asdict(failure)
    digest = hashlib.sha256(json.dumps(made).encode()).hexdigest()
    return f"error-{digest[:DIGITS]}", made


def manifest_json(
    *,
    classes: Classes,
    model: Json,
    opset: int | None,
    weights: str,
    sizes: Mapping[str, int],
    entries: Sequence[Json],
    files: Mapping[str, FileEntry],
    tensors: Iterable[TensorEntry],
) -> Json:
    """The whole manifest; `entries` are its classes."""
    graph = classes.graph
    return {
        "format": FORMAT,
        "version": VERSION,
        "graphctx": graphctx.__version__,
        "model": model,
        "opset": opset,
        "weights": weights,
        "sizes": dict(sizes),
        "arguments": arguments_json(graph, classes),
        "fixed": fixed_json(graph),
        "ignored": sorted(graph.unread),
        "classes": list(entries),
        "files": files_json(files.values()),
        "tensors": [tensor_json(tensor) for tensor in tensors],
    }


def files_json(files: Iterable[FileEntry]) -> Json:
    """Sizes and digests of files, by name."""
    found = sorted(files, key=lambda entry: entry.name)
    return {entry.name: {"size": entry.size, "sha256": entry.sha256} for entry in found}


def tensor_json(tensor: TensorEntry) -> Json:
    """Where a tensor stands."""
    return {
        "name": tensor.name,
        "sha256": tensor.sha256,
        "file": tensor.file,
        "offset": tensor.offset,
        "size": tensor.size,
    }


def as_bytes(manifest: Json) -> bytes:
    """The file."""
    text = json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode("utf-8", "backslashreplace")


def program_json(converted: Converted, file: str) -> Json:
    """What the manifest says of a program."""
    graph = converted.model.graph
    locations = {
        entry.value
        for tensor in graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    signature = converted.signature.as_json()
    for port in (*signature["inputs"], *signature["outputs"], *signature["state"]):
        if port["dtype"] in EXTENDED:
            name = port.get("name") or port["path"]
            raise ExportError(
                f"{converted.graph.name}: {name!r} is {port['dtype']}, but a bundle runs "
                f"with NumPy alone, which lacks it: take and return float32 instead, and convert "
                f"with ops.astype"
            )
    contexts = [
        {key: port[key] for key in ("name", "argument", "dtype")} for port in signature["contexts"]
    ]
    return {
        "file": file,
        "opset": converted.opset,
        "ir_version": converted.model.ir_version,
        "nodes": converted.count,
        "operators": sorted(_operators(graph)),
        "weights": sorted(locations),
        "signature": {**signature, "contexts": contexts},
    }


def program_id(file: str) -> str:
    """The id of the class whose program is in a file."""
    return file.removeprefix(f"{PROGRAM[0]}-").removesuffix(PROGRAM[1])


def _operators(graph: GraphProto) -> set[str]:
    """The operators of a graph and of its branches."""
    found = set()
    for node in graph.node:
        found.add(node.op_type)
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                found |= _operators(attribute.g)
    return found
