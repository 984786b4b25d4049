"""The program's own side of a comparison."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from graphctx.executor.interpret import interpret
from graphctx.graph import CallGraph
from graphctx.tree import Structure
from graphctx_onnx.convert import graph_of
from graphctx_onnx.locate import Trial


class Reference:
    """Runs a program, or interprets a bound graph.

    Args:
        source: a `Program` or a `CallGraph`.
    """

    def __init__(self, source: Any) -> None:
        self.program = None if isinstance(source, CallGraph) else source
        self.graph = graph_of(source)

    def run(self, trial: Trial) -> tuple[list[Any], dict[str, Any]]:
        """Return the outputs in order, and weight path -> new value."""
        with np.errstate(all="ignore"):
            return self._interpret(trial) if self.program is None else self._call(trial)

    def _call(self, trial: Trial) -> tuple[list[Any], dict[str, Any]]:
        assert self.program is not None
        arrays = iter([trial.feeds[value.node.name] for value in self.graph.inputs])
        arguments = self.graph.input_structure.build(arrays)
        seed = {"seed": trial.seed} if self.graph.seed is not None else {}
        structure = self.graph.returns.structure
        if self.graph.returns.state:
            nest, state = self.program.step(
                *arguments, state=dict(trial.state), **seed, **trial.context
            )
        else:
            nest, state = self.program(*arguments, **seed, **trial.context), {}
        return [_array(leaf) for leaf in _leaves(structure, nest)], dict(state)

    def _interpret(self, trial: Trial) -> tuple[list[Any], dict[str, Any]]:
        known = interpret(
            self.graph, trial.feeds, seed=trial.seed, state=trial.state, context=trial.context
        )
        returns = self.graph.returns
        outputs = [_array(known[value]) for value in returns.values]
        return outputs, {path: known[value] for path, (_, value) in returns.state.items()}


def _array(result: Any) -> Any:
    """A result as an array; sequences and empty optionals as they are."""
    return result if result is None or isinstance(result, list) else np.asarray(result)


def _leaves(structure: Structure, nest: Any) -> Iterator[Any]:
    """The tensors of a nest, in order."""
    if structure.kind == "leaf":
        yield nest
    elif structure.kind != "static":
        items = nest.values() if structure.kind == "dict" else nest
        for child, item in zip(structure.children, items, strict=True):
            yield from _leaves(child, item)
