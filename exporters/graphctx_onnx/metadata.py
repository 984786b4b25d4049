"""What an exported file says about itself: properties of the model and of every node.

Properties of the model (`onnx.ModelProto.metadata_props`; in onnxruntime
`session.get_modelmeta().custom_metadata_map`):

| key | value |
|---|---|
| `graphctx.version` | version that wrote the file |
| `graphctx.model` | name of the root layer |
| `graphctx.assignment` | JSON: context argument -> value; null: left to each layer's default |
| `graphctx.signature` | JSON: inputs, seed, context, outputs and state, with dtypes and shapes |
| `graphctx.unproven` | JSON: names of sizes that may be equal; there only where such are |

What a program was loaded with, it is written with: the properties of that file, and its
description as the doc string of the graph.

Properties of a node: `graphctx.path`, the path of its layer call, and `graphctx.source`, the line
that made it. Files older than format 10 have no such place; there they are the node's doc string.
An initializer that is no weight has the doc string `constant`; a weight whose name in the file is
not its path, `weight ` and its path.
"""

from __future__ import annotations

import enum
import json
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto

import graphctx
from graphctx.context import UNSET
from graphctx.errors import ExportError
from graphctx.export import as_path
from graphctx.graph import CallGraph, Node
from graphctx.spec import Dim, DimLike, TensorSpec, Unproven, dtype_name
from graphctx_onnx.names import sentence
from graphctx_onnx.runtime_context import Encoding
from graphctx_onnx.trials import symbols_of

VERSION = "graphctx.version"
MODEL = "graphctx.model"
ASSIGNMENT = "graphctx.assignment"
SIGNATURE = "graphctx.signature"
UNPROVEN = "graphctx.unproven"
PATH = "graphctx.path"
SOURCE = "graphctx.source"
OWN = "graphctx."
DOCUMENTATION = "doc_string"
CONSTANT = "constant"
WEIGHT = "weight "


@dataclass(frozen=True)
class Port:
    """An input or output: its name in the file, the user's own name for it, and its type."""

    name: str
    own: str
    spec: TensorSpec


@dataclass(frozen=True)
class StatePort:
    """A weight that a run replaces.

    Attributes:
        input: name of the optional input that overrides the stored value; None where the program
            only writes it.
        output: name of the output that is the new value.
        path: of the weight.
        spec: shape and dtype.
    """

    input: str | None
    output: str
    path: str
    spec: TensorSpec


@dataclass(frozen=True)
class ContextPort:
    """An input for a context argument that is left to run time, and how its values are fed."""

    name: str
    encoding: Encoding

    def as_json(self) -> dict[str, Any]:
        """As it is stored in the signature."""
        argument, spec = self.encoding.argument, self.encoding.spec
        found: dict[str, Any] = {
            "name": self.name,
            "argument": argument.name,
            "dtype": dtype_name(spec.dtype),
        }
        if self.encoding.values:
            found["values"] = list(self.encoding.values)
        if not self.encoding.required:
            found["default"] = _plain(self.encoding.encode(argument.default).item())
        return found

    def as_text(self) -> str:
        """In words."""
        allowed = ", ".join(map(repr, self.encoding.values))
        text = f"input {self.name}: {self.encoding.spec}, the context argument"
        if self.name != self.encoding.argument.name:
            text += f" {self.encoding.argument.name}"
        text += f", one of {allowed}" if allowed else ""
        if self.encoding.required:
            return text
        default = self.encoding.encode(self.encoding.argument.default).item()
        return f"{text}; {default!r} where it is not fed"


@dataclass(frozen=True)
class Signature:
    """The interface of an exported model."""

    inputs: tuple[Port, ...]
    seed: Port | None
    contexts: tuple[ContextPort, ...]
    outputs: tuple[Port, ...]
    state: tuple[StatePort, ...]

    def as_json(self) -> dict[str, Any]:
        """As it is stored under `graphctx.signature`."""
        return {
            "inputs": [{"name": p.name, **_type(p.spec)} for p in self.inputs],
            "seed": self.seed.name if self.seed else None,
            "contexts": [port.as_json() for port in self.contexts],
            "outputs": [{"name": p.name, "output": p.own, **_type(p.spec)} for p in self.outputs],
            "state": [
                {"input": s.input, "output": s.output, "path": s.path, **_type(s.spec)}
                for s in self.state
            ],
        }

    def as_text(self) -> str:
        """The same in words, a line each."""
        lines = [f"input {p.name}: {p.spec}" for p in self.inputs]
        if self.seed:
            lines.append(
                f"input {self.seed.name}: {self.seed.spec}, the seed: the same seed gives the "
                f"same random numbers, bit for bit"
            )
        lines += [port.as_text() for port in self.contexts]
        for port in self.outputs:
            own = "" if port.name == port.own else f", the model's output {port.own!r}"
            lines.append(f"output {port.name}: {port.spec}{own}")
        for entry in self.state:
            text = f"output {entry.output}: {entry.spec}, the new value of the weight {entry.path}"
            if entry.input is not None:
                text += f"; feed it to the optional input {entry.input} of the next run"
            lines.append(text)
        return "\n".join(lines)


def _type(spec: TensorSpec) -> dict[str, Any]:
    return {"dtype": dtype_name(spec.dtype), "shape": [_size(dim) for dim in spec.shape]}


def _size(dim: DimLike) -> int | str:
    """A number, an expression of names, or "?": the numbers of unknown sizes differ every time."""
    if not isinstance(dim, Dim):
        return int(dim)
    return "?" if dim.is_unknown else str(dim)


def assignment_json(bound: Any) -> dict[str, Any]:
    """The bound context as JSON values: enum members by name, "not given" as null."""
    return {name: _plain(value) for name, value in bound.items()}


def _plain(value: Any) -> Any:
    if value is UNSET:
        return None
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return repr(value)
    return value if isinstance(value, (bool, int, float, str)) else repr(value)


def annotate(model: ModelProto, graph: CallGraph, signature: Signature) -> None:
    """Write the properties of the model, its producer and its documentation."""
    assignment = json.dumps(assignment_json(graph.bound), ensure_ascii=False)
    unproven = [name for name in symbols_of(graph) if isinstance(name, Unproven)]
    model.producer_name = "graphctx"
    model.producer_version = graphctx.__version__
    for key, value in (
        (VERSION, graphctx.__version__),
        (MODEL, graph.name),
        (ASSIGNMENT, assignment),
        (SIGNATURE, json.dumps(signature.as_json(), ensure_ascii=False)),
        *([(UNPROVEN, json.dumps(unproven, ensure_ascii=False))] if unproven else []),
        *((key, text) for key, text in graph.metadata.items() if key != DOCUMENTATION),
    ):
        model.metadata_props.add(key=key, value=_encodable(value))
    model.graph.doc_string = graph.metadata.get(DOCUMENTATION, "")
    model.doc_string = _encodable(
        f"{graph.name}, compiled by graphctx {graphctx.__version__} with {graph.bound_text()}.\n"
        f"{signature.as_text()}"
    )


def _encodable(text: str) -> str:
    """Half characters, which a context value may hold, as JSON escapes them."""
    return text.encode("utf-8", "backslashreplace").decode()


def annotate_node(proto: NodeProto, node: Node, ir_version: int) -> None:
    """Write the layer path and the source line of a node."""
    if ir_version < 10:
        proto.doc_string = sentence(node.path, node.source)
        return
    if node.path:
        proto.metadata_props.add(key=PATH, value=node.path)
    if node.source:
        proto.metadata_props.add(key=SOURCE, value=node.source)


def annotate_initializer(proto: TensorProto, node: Node) -> None:
    """Write what the name of a weight or constant does not say."""
    if node.kind == "constant":
        proto.doc_string = CONSTANT
    elif proto.name != node.name:
        proto.doc_string = WEIGHT + node.name


@dataclass(frozen=True)
class FileMetadata:
    """What a file that graphctx wrote says about itself; see this module for the fields."""

    version: str
    model: str
    assignment: dict[str, Any]
    signature: dict[str, Any]


def read_metadata(source: str | os.PathLike[str] | ModelProto) -> FileMetadata:
    """Read the metadata of a file or of a loaded model, without its weights.

    Raises:
        ExportError: it cannot be read, or graphctx did not write it.
    """
    if isinstance(source, ModelProto):
        model, where = source, "the model"
    else:
        model, where = load(source), str(source)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    missing = [key for key in (VERSION, MODEL, ASSIGNMENT, SIGNATURE) if key not in properties]
    if missing:
        raise ExportError(f"{where}: not written by graphctx: no property {missing[0]!r}")
    return FileMetadata(
        properties[VERSION],
        properties[MODEL],
        _parsed(properties, ASSIGNMENT, where),
        _parsed(properties, SIGNATURE, where),
    )


def _parsed(properties: dict[str, str], key: str, where: str) -> dict[str, Any]:
    try:
        found = json.loads(properties[key])
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ExportError(f"{where}: its property {key!r} is damaged; export the program again")
    return found


def load(path: str | os.PathLike[str]) -> ModelProto:
    """Load a model without its data file.

    Raises:
        ExportError: there is no such file, or it is no ONNX model.
    """
    path = as_path(path)
    try:
        return onnx.load(path, load_external_data=False)
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror or error}") from error
    except Exception as error:
        raise ExportError(f"{path}: not an ONNX model: {error}") from error
