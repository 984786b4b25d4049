"""Replace operators that ONNX or onnxruntime lack by operators that they have."""

from __future__ import annotations

from collections.abc import Sequence

from graphctx.builder import Builder, rewrite
from graphctx.graph import Call, CallGraph, Node, Value
from graphctx.passes.bodies import map_bodies
from graphctx.tensor import Recorder, Tensor


class _Expansion(Recorder):
    """Records what an op expands into, at the place of the node it replaces."""

    def __init__(self, builder: Builder, node: Node) -> None:
        super().__init__(builder)
        self._node = node

    @property
    def call(self) -> Call | None:
        return self._node.call

    @property
    def source(self) -> str:
        return self._node.source


def expand(graph: CallGraph) -> CallGraph:
    """Return a graph that computes the same values with ONNX's operators only."""

    def transform(
        node: Node, operands: tuple[Value | None, ...], builder: Builder
    ) -> Sequence[Value] | None:
        if node.op is None or node.op.expand is None:
            return None
        recorder = _Expansion(builder, node)
        tensors = [None if v is None else Tensor(v, recorder) for v in operands]
        result = node.op.expand(*tensors, **node.attrs)
        results = result if isinstance(result, tuple) else (result,)
        return [recorder.value(tensor) for tensor in results]

    return rewrite(map_bodies(graph, expand), transform)
