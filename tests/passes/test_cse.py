"""Equal nodes of different layer calls become one."""

import numpy as np

from graphctx.passes import merge_common
from tests.passes.graphs import graph_of, lines, passed

B4 = ("batch", 4)


def test_equal_nodes_of_two_layer_calls():
    def function(g, x):
        with g.at("a"):
            a = g.op("Exp", g.op("Neg", x))
        with g.at("b"):
            b = g.op("Exp", g.op("Neg", x))
        return g.op("Add", a, b)

    graph = graph_of(function, B4)
    assert str(graph) == (
        "graph g (x: float32[batch, 4])\n"
        "  %1 = Neg(x)       # a\n"
        "  %2 = Exp(%1)      # a\n"
        "  %3 = Neg(x)       # b\n"
        "  %4 = Exp(%3)      # b\n"
        "  %5 = Add(%2, %4)\n"
        "  return %5"
    )
    assert str(passed(graph, merge_common)) == (
        "graph g (x: float32[batch, 4])\n"
        "  %1 = Neg(x)       # a\n"
        "  %2 = Exp(%1)      # a\n"
        "  %3 = Add(%2, %2)\n"
        "  return %3"
    )


def test_attributes_and_their_types_tell_nodes_apart():
    def function(g, x):
        with g.at("a"):
            a = g.op("Transpose", x, perm=(0, 1))
        with g.at("b"):
            b = g.op("Transpose", x, perm=(1, 0))
        return a, b, g.op("Add", x, np.float32(0.0)), g.op("Add", x, np.float32(-0.0))

    graph = graph_of(function, B4)
    assert merge_common(graph) is graph


def test_random_draws_survive():
    def function(g, x):
        parts = []
        for i, path in enumerate(("a", "b")):
            with g.at(path):
                parts.append(g.op("dropout", x, np.float32(0.5), g.seed(), key=i))
        return tuple(parts)

    graph = graph_of(function, B4)
    assert lines(passed(graph, merge_common)) == [
        "%1 = dropout(x, 0.5, seed, key=0)", "%2 = dropout(x, 0.5, seed, key=1)",
        "return (%1, %2)",
    ]  # fmt: skip


def test_equal_selects_become_one():
    def function(g, x):
        arms = []
        for path in ("a", "b"):
            with g.at(path):
                arms.append(g.select("training", {False: x, True: g.op("Neg", x)}))
        return tuple(arms)

    after = passed(graph_of(function, B4), merge_common)
    assert lines(after) == [
        "%1 = Neg(x)", "%2 = select training {False: x, True: %1}", "return (%2, %2)",
    ]  # fmt: skip


def test_a_select_whose_arms_become_one_goes():
    def function(g, x):
        arms = {}
        for case in (False, True):
            with g.at(f"when_{case}"):
                arms[case] = g.op("Neg", x)
        return g.select("training", arms)

    after = passed(graph_of(function, B4), merge_common)
    assert lines(after) == ["%1 = Neg(x)", "return %1"]
