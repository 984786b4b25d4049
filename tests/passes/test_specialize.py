"""Specialize, prune and expand: golden text before and after, invariants, equal outputs."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

import graphctx as gx
from graphctx import Context, Layer, ops
from graphctx.executor.interpret import interpret
from graphctx.graph import CallGraph
from graphctx.passes import check, expand, prune
from graphctx.passes.specialize import specialize

X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)


class Modes(Layer):
    """A select, a predicate, a number, and a weight of one case only."""

    def __init__(self) -> None:
        self.kernel = gx.Variable(np.arange(3, dtype=np.float32))

    def call(self, x: Any, mode: Context[Literal["a", "b"]] = "a", s: Context[float] = 0.0) -> Any:
        y = x * self.kernel if mode == "b" else ops.relu(x)
        return y * s if s > 0.5 else y


GRAPH = gx.trace(Modes(), gx.TensorSpec(("n", 3), name="x"))


def outputs(graph: CallGraph, **context: Any) -> Any:
    check(graph)
    return interpret(graph, {"x": X}, context=context)[graph.outputs[0]]


def test_the_graph_before() -> None:
    assert str(GRAPH) == (
        "graph modes (x: float32[n, 3])  contexts (mode: a|b = a, s: float = 0.0)\n"
        "  %1 = Greater($s, 0.5:float64)         # modes\n"
        "  %2 = Relu(x)                          # modes\n"
        "  %3 = Cast($s, to=float32)             # modes\n"
        "  %4 = Mul(%2, %3)                      # modes\n"
        "  %5 = select %1 {False: %2, True: %4}  # modes\n"
        "  %6 = Mul(x, @modes/kernel)            # modes\n"
        "  %7 = Mul(%6, %3)                      # modes\n"
        "  %8 = select %1 {False: %6, True: %7}  # modes\n"
        "  %9 = select mode {a: %5, b: %8}       # modes\n"
        "  return %9"
    )


def test_one_argument_and_then_the_other() -> None:
    half = specialize(GRAPH, mode="b")
    assert "select mode" not in str(half)
    np.testing.assert_array_equal(outputs(half, s=2.0), X * np.arange(3, dtype="f") * 2)
    whole = specialize(half, s=0.25)
    assert str(whole) == (
        "graph modes (x: float32[n, 3])\n  %1 = Mul(x, @modes/kernel)  # modes\n  return %1"
    )
    np.testing.assert_array_equal(outputs(whole), X * np.arange(3, dtype="f"))


def test_a_weight_of_the_other_case_is_gone() -> None:
    graph = specialize(GRAPH, mode="a", s=0.0)
    assert str(graph) == "graph modes (x: float32[n, 3])\n  %1 = Relu(x)  # modes\n  return %1"
    assert not graph.weights
    np.testing.assert_array_equal(outputs(graph), np.maximum(X, 0))


def test_prune_drops_what_nothing_needs_and_keeps_the_inputs() -> None:
    graph = specialize(GRAPH, mode="a", s=0.0)
    extra = specialize(GRAPH, mode="b", s=0.0)
    more = graph.replace(nodes=(*graph.nodes, *(n for n in extra.nodes if n.kind == "weight")))
    assert len(more.nodes) == len(graph.nodes) + 1
    assert prune(more).nodes == graph.nodes
    assert str(prune(more)) == str(graph)


class Expm1(Layer):
    def call(self, x: Any) -> Any:
        return ops.expm1(x)


def test_expand_leaves_operators_of_onnx_only() -> None:
    graph = gx.trace(Expm1(), gx.TensorSpec(("n", 3), name="x"))
    assert str(graph) == ("graph expm1 (x: float32[n, 3])\n  %1 = expm1(x)  # expm1\n  return %1")
    expanded = expand(graph)
    assert str(expanded) == (
        "graph expm1 (x: float32[n, 3])\n"
        "  %1 = Mul(x, 0.5)  # expm1\n"
        "  %2 = Tanh(%1)     # expm1\n"
        "  %3 = Exp(x)       # expm1\n"
        "  %4 = Add(%3, 1)   # expm1\n"
        "  %5 = Mul(%2, %4)  # expm1\n"
        "  return %5"
    )
    assert all(node.op.expand is None for node in expanded.nodes if node.op is not None)
    np.testing.assert_allclose(outputs(expanded), np.expm1(X), rtol=1e-6)
    assert str(expand(expanded)) == str(expanded)
