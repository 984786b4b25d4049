"""Record a function on symbolic tensors without a model, and run what was recorded."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphctx.builder import Builder
from graphctx.executor.interpret import interpret
from graphctx.graph import CallGraph, Contexts, Returns
from graphctx.spec import TensorSpec
from graphctx.tensor import Recorder, Tensor
from graphctx.tree import LEAF


def record(function: Callable[..., Any], *operands: Any) -> tuple[CallGraph, list[str]]:
    """The graph of a function; every array among the operands is an input."""
    recorder = Recorder(Builder())
    given = [
        Tensor(recorder.builder.input(TensorSpec(x.shape, x.dtype), f"x{i}"), recorder)
        if isinstance(x, np.ndarray)
        else x
        for i, x in enumerate(operands)
    ]
    result = function(*given)
    results: Sequence[Any] = result if isinstance(result, tuple) else (result,)
    values = tuple(recorder.value(y) for y in results)
    nodes = tuple(recorder.builder.nodes)
    inputs = tuple(node.output for node in nodes if node.kind == "input")
    graph = CallGraph("recorded", nodes, inputs, Returns(LEAF, values), Contexts({}))
    return graph, [node.name for node in nodes if node.kind == "op"]


def run(function: Callable[..., Any], *operands: Any) -> Any:
    """What a function computes when it is recorded first."""
    graph, _ = record(function, *operands)
    feeds = {f"x{i}": x for i, x in enumerate(operands) if isinstance(x, np.ndarray)}
    known = interpret(graph, feeds)
    found = tuple(known[value] for value in graph.outputs)
    return found[0] if len(found) == 1 else found
