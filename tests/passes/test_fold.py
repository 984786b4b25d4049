"""Constant folding: what is folded, and how much it may add to a graph."""

import numpy as np
import pytest

from graphctx.graph import Branch, Raises, Returns
from graphctx.layer import Variable
from graphctx.passes import fold_constants, optimize
from graphctx.passes.fold import SMALL
from graphctx.spec import TensorSpec
from tests.passes.graphs import graph_of, lines, passed, stored_bytes

B4 = ("batch", 4)
ZERO, ONE = np.float32(0), np.float32(1)
MATRIX = np.arange(12, dtype=np.float32).reshape(3, 4)


def test_a_chain_of_constants():
    graph = graph_of(
        lambda g, x: g.op("Add", x, g.op("Exp", g.op("Neg", g.op("Add", ZERO, np.zeros(4, "f4"))))),
        B4,
    )
    assert lines(graph) == [
        "%1 = Add(0, [0, 0, 0, 0])", "%2 = Neg(%1)", "%3 = Exp(%2)", "%4 = Add(x, %3)",
        "return %4",
    ]  # fmt: skip
    assert lines(passed(graph, fold_constants)) == ["%1 = Add(x, [1, 1, 1, 1])", "return %1"]


def test_several_outputs():
    def function(g, x):
        a, b = g.op("Split", np.arange(6, dtype=np.float32), num_outputs=2)
        return g.op("Mul", g.op("Add", x, a), b)

    graph = graph_of(function, ("batch", 3))
    assert lines(graph)[0] == "%1 = Split([0, 1, 2, 3, 4, 5], num_outputs=2)"
    assert lines(passed(graph, fold_constants)) == [
        "%1 = Add(x, [0, 1, 2])", "%2 = Mul(%1, [3, 4, 5])", "return %2",
    ]  # fmt: skip


def test_static_sizes_are_known_and_symbolic_ones_are_not():
    def function(g, x):
        shape = g.op("Shape", x)
        return (
            g.op("Gather", shape, np.array(1)),
            g.op("Gather", shape, np.array(0)),
            g.op("Shape", x, start=1),
        )

    graph = graph_of(function, ("batch", 4, 5))
    assert lines(graph) == [
        "%1 = Shape(x)", "%2 = Gather(%1, 1)", "%3 = Gather(%1, 0)", "%4 = Shape(x, start=1)",
        "return (%2, %3, %4)",
    ]  # fmt: skip
    assert lines(passed(graph, fold_constants)) == [
        "%1 = Shape(x)", "%2 = Gather(%1, 0)", "return (4, %2, [4, 5])",
    ]  # fmt: skip


def test_size_of_a_static_shape():
    graph = graph_of(lambda g, x, y: (g.op("Size", x), g.op("Size", y)), (3, 4), B4)
    assert lines(passed(graph, fold_constants)) == ["%1 = Size(y)", "return (12, %1)"]


@pytest.mark.parametrize(
    "make",
    [
        lambda g: g.op("ConstantOfShape", np.array([1000, 1000]), value=np.ones(1, np.float32)),
        lambda g: g.op("Expand", np.ones(1, np.float32), np.array([1000, 1000])),
        lambda g: g.op("Tile", np.ones((1, 1), np.float32), np.array([1000, 1000])),
        lambda g: g.op("Range", np.int64(0), np.int64(10**6), np.int64(1)),
    ],
    ids=["ConstantOfShape", "Expand", "Tile", "Range"],
)
def test_a_big_result_of_small_constants_is_not_folded(make):
    graph = graph_of(lambda g, x: (x, make(g)), B4)
    assert fold_constants(graph) is graph


def test_small_results_are_folded_whatever_they_come_from():
    graph = graph_of(lambda g, x: (x, g.op("Expand", 1.0, np.array([SMALL // 8]))), B4)
    assert lines(passed(graph, fold_constants))[0].startswith("return (x, constant(float64[128] ")
    graph = graph_of(lambda g, x: (x, g.op("Expand", 1.0, np.array([SMALL // 8 + 1]))), B4)
    assert fold_constants(graph) is graph


def test_repeated_concatenation_does_not_double_a_constant_each_time():
    def function(g, x):
        block = np.ones(SMALL // 4, np.float32)
        for _ in range(8):
            block = g.op("Concat", block, block, axis=0)
        return x, block

    graph = graph_of(function, B4)
    folded = passed(graph, fold_constants)
    assert stored_bytes(folded) == SMALL
    assert len(lines(folded)) == 8 + 1


def test_a_large_constant_is_folded_if_nothing_else_needs_it():
    large = np.arange(64 * 64, dtype=np.float32).reshape(64, 64)
    alone = graph_of(lambda g, x: g.op("MatMul", x, g.op("Transpose", large)), ("batch", 64))
    assert "Transpose" not in str(passed(alone, fold_constants))
    shared = graph_of(
        lambda g, x: g.op("MatMul", g.op("MatMul", x, large), g.op("Transpose", large)),
        ("batch", 64),
    )
    assert fold_constants(shared) is shared


def test_random_operators_are_never_folded():
    graph = graph_of(
        lambda g, x: g.op("Add", x, g.op("random_uniform", np.array([4]), np.int64(1), key=5)), B4
    )
    assert fold_constants(graph) is graph


def test_a_kernel_that_raises_is_left_for_the_run():
    words = np.array(["1", "two"], object)
    graph = graph_of(lambda g, x: (x, g.op("Cast", words, to=np.dtype("float32"))), B4)
    assert fold_constants(graph) is graph


def test_warnings_of_numpy_do_not_escape():
    graph = graph_of(lambda g, x: g.op("Add", x, g.op("Div", ONE, g.op("Neg", ZERO))), B4)
    assert lines(passed(graph, fold_constants)) == ["%1 = Add(x, -inf)", "return %1"]


# -- weights --------------------------------------------------------------------------------------


def test_a_weight_that_only_this_node_uses_becomes_a_constant_in_its_final_layout():
    def function(g, x):
        return g.op("MatMul", x, g.op("Transpose", g.weight("dense/kernel", MATRIX)))

    graph = graph_of(function, B4)
    assert lines(graph) == [
        "%1 = Transpose(@dense/kernel)", "%2 = MatMul(x, %1)", "return %2",
    ]  # fmt: skip
    after = passed(graph, fold_constants)
    assert len(after.weights) == 0
    [constant] = [node.data for node in after.nodes if node.kind == "constant"]
    np.testing.assert_array_equal(constant, MATRIX.T)
    assert not constant.flags.writeable
    assert not np.shares_memory(constant, MATRIX)


def test_without_freezing_every_weight_stays_a_node():
    def function(g, x):
        return g.op("MatMul", x, g.op("Transpose", g.weight("dense/kernel", MATRIX)))

    graph = graph_of(function, B4)
    assert fold_constants(graph, freeze=False) is graph
    assert optimize(graph, freeze=False).weights == graph.weights


def test_a_tied_weight_stays_tied():
    def function(g, x):
        kernel = g.weight("embedding", MATRIX)
        return g.op("MatMul", g.op("MatMul", x, g.op("Transpose", kernel)), kernel)

    graph = graph_of(function, B4)
    assert fold_constants(graph) is graph


def test_a_weight_that_is_returned_stays():
    def function(g, x):
        kernel = g.weight("kernel", MATRIX)
        return g.op("MatMul", x, g.op("Transpose", kernel)), kernel

    graph = graph_of(function, B4)
    assert fold_constants(graph) is graph


def test_a_weight_taken_twice_by_one_node_is_used_once():
    def function(g, x):
        kernel = g.weight("kernel", np.ones(1000, np.float32))
        return x, g.op("Mul", kernel, kernel)

    graph = graph_of(function, B4)
    assert passed(graph, fold_constants).weights == ()


def test_a_result_larger_than_its_weight_stays_computed():
    def function(g, x):
        small = g.weight("kernel", np.ones((1000, 1), np.int8))
        return g.op("MatMul", x, g.op("Cast", small, to=np.dtype("float32")))

    graph = graph_of(function, ("batch", 1000))
    assert fold_constants(graph) is graph


@pytest.mark.parametrize("branched", [False, True])
def test_state_is_not_folded(branched):
    variable = Variable(MATRIX)

    def function(g, x):
        kernel = g.weight("kernel", variable)
        g.state["kernel"] = (variable, x.value)
        return g.op("MatMul", x, g.op("Transpose", kernel))

    graph = graph_of(function, (3, 4))
    if branched:
        selector = graph.nodes[0].output
        other = Raises(ValueError("no"), "")
        graph = graph.replace(outcome=Branch(selector, ((1, graph.outcome), (2, other))))
    assert isinstance(graph.outcome, Branch if branched else Returns)
    assert fold_constants(graph) is graph


def test_the_layout_of_a_folded_array_is_that_of_the_kernel():
    # BLAS and NumPy's sums add in the order of the layout; folding must not change a bit.
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((65, 67)).astype(np.float32)
    graph = graph_of(
        lambda g, x: g.op("MatMul", x, g.op("Transpose", g.weight("kernel", kernel))),
        TensorSpec((1, 67), "float32"),
    )
    after = passed(graph, fold_constants)
    [constant] = [node.data for node in after.nodes if node.kind == "constant"]
    assert constant.flags.f_contiguous
