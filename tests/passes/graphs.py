"""Small graphs by hand, and what a pass may not change about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import graphctx.ops  # noqa: F401 - fills the table
from graphctx.builder import Builder
from graphctx.context import Domain
from graphctx.executor.interpret import interpret
from graphctx.graph import (
    Call,
    CallGraph,
    Consumer,
    ContextArgument,
    Contexts,
    Returns,
    Value,
    outcome_values,
)
from graphctx.layer import Variable
from graphctx.ops.table import TABLE
from graphctx.passes import check, prune
from graphctx.spec import TensorSpec
from graphctx.tensor import Recorder, Tensor
from graphctx.tree import flatten


class Hand(Recorder):
    """A recorder for graphs written by hand."""

    def __init__(self) -> None:
        super().__init__(Builder())
        self._call: Call | None = None
        self.arguments: dict[str, ContextArgument] = {}
        self.state: dict[str, tuple[Variable, Value]] = {}

    @property
    def call(self) -> Call | None:
        return self._call

    @property
    def source(self) -> str:
        return ""

    @contextmanager
    def at(self, path: str) -> Iterator[None]:
        """Everything inside belongs to one layer call."""
        before, self._call = self._call, Call(path, "Layer", self._call)
        yield
        self._call = before

    def op(self, name: str, *operands: Any, **attrs: Any) -> Any:
        record = TABLE[name]
        record._check(operands, attrs)
        return self.record(record, operands, attrs)

    def weight(self, path: str, array: Any) -> Tensor:
        variable = array if isinstance(array, Variable) else Variable(np.asarray(array))
        return Tensor(self.builder.weight(variable, path, self.call), self)

    def seed(self) -> Tensor:
        return Tensor(self.builder.input(TensorSpec((), "int64"), "seed", "seed"), self)

    def select(self, name: str, arms: dict[Any, Tensor]) -> Tensor:
        argument = ContextArgument(name, Domain("bool", (False, True)), False, tuple(arms))
        argument = self.arguments.setdefault(name, argument)
        argument.consumers.append(Consumer("", False))
        selector = self.builder.context(argument)
        values = [arm.value for arm in arms.values()]
        return Tensor(self.builder.select(selector, list(arms), values, self.call), self)


def graph_of(function: Callable[..., Any], *specs: Any) -> CallGraph:
    """The graph of `function(hand, x0, x1, ...)`; a spec is a `TensorSpec` or a shape."""
    hand = Hand()
    inputs = []
    for i, spec in enumerate(specs):
        spec = spec if isinstance(spec, TensorSpec) else TensorSpec(spec, "float32")
        value = hand.builder.input(spec, "xyzuvw"[i])
        for axis, dim in enumerate(spec.shape):
            if not isinstance(dim, int):
                hand.symbols.setdefault(str(dim), (value, axis))
        inputs.append(value)
    result = function(hand, *(Tensor(value, hand) for value in inputs))
    leaves, structure = flatten(result, lambda leaf: isinstance(leaf, Tensor))
    return CallGraph(
        name="g",
        nodes=tuple(hand.builder.nodes),
        inputs=tuple(inputs),
        outcome=Returns(structure, tuple(leaf.value for leaf in leaves), hand.state),
        contexts=Contexts(hand.arguments),
    )


def run(graph: CallGraph, feeds: dict[str, Any], **options: Any) -> list[Any]:
    """Outputs, then new states."""
    with np.errstate(all="ignore"):
        known = interpret(graph, feeds, **options)
    return [known[value] for value in outcome_values(graph.outcome)]


def feeds_for(graph: CallGraph, seed: int = 0, **sizes: int) -> dict[str, Any]:
    """Random inputs, with zeros of both signs and, for floats, NaN and infinities among them."""
    rng = np.random.default_rng(seed)
    feeds = {}
    for value in graph.inputs:
        shape = [d if isinstance(d, int) else d.evaluate(sizes) for d in value.shape]
        dtype = value.dtype
        if dtype == bool:
            array = rng.random(shape) < 0.5
        elif dtype.kind in "iu":
            array = rng.integers(0 if dtype.kind == "u" else -100, 100, shape).astype(dtype)
        else:
            array = rng.standard_normal(shape).astype(dtype)
            flat = array.reshape(-1)
            special = [-0.0, 0.0, np.nan, np.inf, -np.inf, 1e-42]
            flat[: min(flat.size // 2, 6)] = special[: min(flat.size // 2, 6)]
        feeds[value.node.name] = array
    return feeds


def assert_same_bits(before: list[Any], after: list[Any]) -> None:
    """Equal dtypes, shapes and bits; all NaNs are one."""
    assert len(before) == len(after)
    for a, b in zip(before, after, strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        if a.dtype.kind in "fc":
            np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
            a, b = np.nan_to_num(a, nan=0.0), np.nan_to_num(b, nan=0.0)
            np.testing.assert_array_equal(np.signbit(a.real), np.signbit(b.real))
        np.testing.assert_array_equal(a, b)


def passed(graph: CallGraph, *passes: Callable[[CallGraph], CallGraph], **sizes: int) -> CallGraph:
    """What the passes make of the graph, pruned; checked after each, equal in every bit."""
    check(graph)
    after = graph
    for step in passes:
        after = check(step(after))
    after = check(prune(after))
    feeds = feeds_for(graph, **(sizes or {"batch": 3, "time": 5}))
    assert_same_bits(run(graph, feeds, seed=7), run(after, feeds, seed=7))
    return after


def lines(graph: CallGraph) -> list[str]:
    """The text without the line of the inputs and without layer paths."""
    return [line.split("  #")[0].strip() for line in str(graph).splitlines()[1:]]


def stored_bytes(graph: CallGraph) -> int:
    """Bytes of all constants and weights."""
    total = 0
    for node in graph.nodes:
        if node.kind == "constant":
            total += node.data.nbytes
        elif node.kind == "weight":
            total += node.data.numpy().nbytes
    return total
