"""Where in a model something is: what every error of the importer starts with."""

from __future__ import annotations

from onnx import NodeProto

from graphctx.errors import LoadError


class Place:
    """A graph or a node in a model, as messages name it.

    Args:
        text: `model.onnx`, `node 12 'Conv_3' (Conv)`.
        outer: what it is in.
    """

    __slots__ = ("outer", "text")

    def __init__(self, text: str, outer: Place | None = None) -> None:
        self.text = text
        self.outer = outer

    def inside(self, text: str) -> Place:
        """A place in this one."""
        return Place(text, self)

    def node(self, index: int, proto: NodeProto) -> Place:
        """A node of the graph that this place is."""
        return Place(node_text(index, proto), self)

    def error(self, problem: str) -> LoadError:
        """The error for a problem here."""
        return LoadError(f"{self}: {problem}")

    def __str__(self) -> str:
        return self.text if self.outer is None else f"{self.outer}: {self.text}"


def operator_text(domain: str, name: str) -> str:
    """`Conv`, or `com.microsoft::FusedMatMul` outside ONNX's own domain."""
    return f"{domain}::{name}" if domain else name


def node_text(index: int, proto: NodeProto) -> str:
    """`node 12 'Conv_3' (Conv)`."""
    name = f" {proto.name!r}" if proto.name else ""
    return f"node {index}{name} ({operator_text(proto.domain, proto.op_type)})"
