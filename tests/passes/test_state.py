"""State that is given back as it was is none."""

import numpy as np

from graphctx.graph import Branch
from graphctx.layer import Variable
from graphctx.passes import check, drop_kept_state, optimize, prune
from tests.passes.graphs import graph_of, lines


def counting(kept: bool):
    variable = Variable(np.zeros(4, np.float32))

    def function(g, x):
        old = g.weight("count", variable)
        new = g.op("Identity", old) if kept else g.op("Add", old, np.float32(1))
        g.state["count"] = (variable, new.value)
        return g.op("Add", x, old)

    return graph_of(function, ("batch", 4))


def test_kept_state_goes_and_its_variable_is_a_weight():
    graph = counting(kept=True)
    assert lines(graph)[-1] == "state @count = %1"
    after = check(optimize(graph))
    assert lines(after) == ["%1 = Add(x, @count)", "return %1"]
    assert after.returns.state == {}


def test_assigned_state_stays():
    graph = counting(kept=False)
    assert drop_kept_state(graph) is graph
    assert lines(optimize(graph)) == [
        "%1 = Add(x, @count)", "%2 = Add(@count, 1)", "return %1", "state @count = %2",
    ]  # fmt: skip


def test_the_value_of_another_variable_is_an_assignment():
    a, b = Variable(np.zeros(4)), Variable(np.zeros(4))

    def function(g, x):
        g.weight("a", a)
        g.state["a"] = (a, g.weight("b", b).value)
        return x

    graph = graph_of(function, (4,))
    assert drop_kept_state(graph) is graph


def test_in_every_outcome():
    graph = optimize(counting(kept=False))
    kept = counting(kept=True)
    selector = graph.nodes[0].output
    branch = Branch(selector, ((1, graph.outcome), (2, kept.outcome)))
    both = prune(graph.replace(outcome=branch))
    assert drop_kept_state(both) is both  # through Identity, which is for `simplify` to see
    after = optimize(both)
    assert str(after).count("state @count") == 1
