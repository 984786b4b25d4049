"""Layer calls from what a file says of its nodes: its own metadata, or the scopes in their names.

| written by | what it says | path |
|---|---|---|
| graphctx | `graphctx.path` (before format 10 the doc string) | that path |
| torch's exporter | `pkg.torch.onnx.name_scopes`, with classes | `net/encoder/layer.0/attention` |
| others | a name such as `/encoder/layer.0/attention/MatMul` | the same |

All else belongs to the graph itself.
"""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from onnx import NodeProto

from graphctx.graph import Call
from graphctx_onnx.metadata import PATH, SOURCE

_OWN_SENTENCE = re.compile(r"(?P<path>.*?)(?: \((?P<source>[^()]*:\d+)\))?", re.DOTALL)
_TORCH_SCOPES = "pkg.torch.onnx.name_scopes"
_TORCH_CLASSES = "pkg.torch.onnx.class_hierarchy"
DEEPEST = 64
"""Scopes deeper than this are cut: no model has them, and every one is a call."""


class Paths:
    """The tree of layer calls of a graph, made as nodes name them.

    Args:
        root: path of the graph itself.
        own: whether graphctx wrote the file.

    Attributes:
        calls: by path.
        conditions: sets of decisions under which what is read now is called.
    """

    def __init__(self, root: str, *, own: bool) -> None:
        self.root = root
        self.own = own
        self.calls: dict[str, Call] = {}
        self.conditions: list[tuple[tuple[str, Any], ...]] = [()]
        if not own:
            self.call(root, "Model")

    def call(self, path: str, layer: str = "") -> Call:
        """The call of a path; its parents are made first."""
        found = self.calls.get(path)
        if found is None:
            parent, slash, _ = path.rpartition("/")
            outer = self.call(parent) if slash else None
            found = self.calls[path] = Call(path, layer, outer, conditions=[*self.conditions])
        else:
            found.layer = found.layer or layer
            found.conditions += [c for c in self.conditions if c not in found.conditions]
        return found

    @contextlib.contextmanager
    def under(self, argument: str, cases: Sequence[Any]) -> Iterator[None]:
        """Calls in this block happen where a context argument has one of some values."""
        outer = self.conditions
        self.conditions = [(*held, (argument, case)) for held in outer for case in cases]
        try:
            yield
        finally:
            self.conditions = outer

    def of(self, proto: NodeProto, base: str) -> tuple[Call | None, str]:
        """The call that a node belongs to, and what its source line says.

        Args:
            proto: the node.
            base: path of the function call around it, or the root.
        """
        properties = {entry.key: entry.value for entry in proto.metadata_props}
        if self.own:
            path, source = properties.get(PATH, ""), properties.get(SOURCE, "")
            if not properties and proto.doc_string:
                match = _OWN_SENTENCE.fullmatch(proto.doc_string)
                assert match is not None
                path, source = match["path"], match["source"] or ""
            return (self.call(path) if path else None), source
        if _TORCH_SCOPES in properties:
            return self._torch(properties, base), proto.name
        scopes = [part for part in proto.name.split(";")[0].split("/")[:-1] if part][:DEEPEST]
        return self.call("/".join([base, *scopes])), proto.name

    def _torch(self, properties: dict[str, str], base: str) -> Call:
        scopes = _texts(properties[_TORCH_SCOPES])
        classes = _texts(properties.get(_TORCH_CLASSES, ""))
        path, outer = base, ""
        call = self.call(base)
        # The first scope is the model, the last one the node itself.
        for position, scope in enumerate(scopes[1:-1][:DEEPEST], 1):
            inner = scope.removeprefix(f"{outer}.") if outer else scope
            outer = scope
            path = f"{path}/{inner.replace('/', '.')}"
            name = classes[position] if position < len(classes) else ""
            call = self.call(path, name.rpartition(".")[2])
        return call


def _texts(literal: str) -> list[str]:
    """The texts of a Python list of them; none where it is something else."""
    try:
        found = ast.literal_eval(literal)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return []
    return [str(item) for item in found] if isinstance(found, list) else []
