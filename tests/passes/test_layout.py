"""Transposes of channels-last layers sink until they cancel, or stay where they are."""

import numpy as np

from graphctx.passes import lay_out_kernels, optimize, sink_transposes
from tests.passes.graphs import graph_of, lines, passed

TO_FIRST, TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)
IMAGE = ("batch", 4, 5, 3)


def pooled(g, x):
    """A channels-last layer around an operator that takes channels first."""
    x = g.op("Transpose", x, perm=TO_FIRST)
    x = g.op("MaxPool", x, kernel_shape=(2, 2))
    return g.op("Transpose", x, perm=TO_LAST)


def test_between_two_layers_nothing_is_left():
    def function(g, x):
        bias = g.weight("bias", np.array([1, -2, 3], np.float32))
        y = g.op("Relu", g.op("Add", pooled(g, x), bias))
        return pooled(g, y)

    graph = graph_of(function, IMAGE)
    assert lines(graph) == [
        "%1 = Transpose(x, perm=[0, 3, 1, 2])",
        "%2 = MaxPool(%1, kernel_shape=[2, 2])",
        "%3 = Transpose(%2, perm=[0, 2, 3, 1])",
        "%4 = Add(%3, @bias)",
        "%5 = Relu(%4)",
        "%6 = Transpose(%5, perm=[0, 3, 1, 2])",
        "%7 = MaxPool(%6, kernel_shape=[2, 2])",
        "%8 = Transpose(%7, perm=[0, 2, 3, 1])",
        "return %8",
    ]
    assert lines(passed(graph, sink_transposes)) == [
        "%1 = Transpose(x, perm=[0, 3, 1, 2])",
        "%2 = MaxPool(%1, kernel_shape=[2, 2])",
        "%3 = Reshape(@bias, [1, 3, 1, 1])",
        "%4 = Add(%2, %3)",
        "%5 = Relu(%4)",
        "%6 = MaxPool(%5, kernel_shape=[2, 2])",
        "%7 = Transpose(%6, perm=[0, 2, 3, 1])",
        "return %7",
    ]
    assert lines(passed(graph, optimize))[2] == "%3 = Add(%2, [[[[1]], [[-2]], [[3]]]])"


def test_residual_blocks_and_concatenation():
    def function(g, x):
        a, b = pooled(g, x), pooled(g, g.op("Neg", x))
        both = g.op("Concat", g.op("Add", a, b), a, axis=-1)
        return pooled(g, g.op("Clip", both, np.float32(0), np.float32(6)))

    graph = graph_of(function, IMAGE)
    assert str(graph).count("Transpose") == 6
    after = passed(graph, sink_transposes)
    assert str(after).count("Transpose") == 3  # of x, of -x, and of the result
    assert "axis=1)" in str(after)


def test_a_global_mean_needs_no_transpose():
    def function(g, x):
        return g.op("ReduceMean", pooled(g, x), np.array([1, 2]), keepdims=0)

    graph = graph_of(function, IMAGE)
    assert lines(passed(graph, sink_transposes)) == [
        "%1 = Transpose(x, perm=[0, 3, 1, 2])",
        "%2 = MaxPool(%1, kernel_shape=[2, 2])",
        "%3 = ReduceMean(%2, [2, 3], keepdims=0)",
        "return %3",
    ]


def test_padding_between_two_layers():
    def function(g, x):
        y = g.op("Pad", pooled(g, x), np.array([0, 1, 2, 0, 0, 3, 0, 0]), np.float32(-1))
        return pooled(g, y)

    graph = graph_of(function, IMAGE)
    assert lines(passed(graph, sink_transposes)) == [
        "%1 = Transpose(x, perm=[0, 3, 1, 2])",
        "%2 = MaxPool(%1, kernel_shape=[2, 2])",
        "%3 = Pad(%2, [0, 0, 1, 2, 0, 0, 3, 0], -1)",
        "%4 = MaxPool(%3, kernel_shape=[2, 2])",
        "%5 = Transpose(%4, perm=[0, 2, 3, 1])",
        "return %5",
    ]


def test_padding_along_axes_that_are_named_is_not_moved():
    def function(g, x):
        y = g.op("Pad", pooled(g, x), np.array([1, 1]), None, np.array([1]))
        return pooled(g, y)

    graph = graph_of(function, IMAGE)
    assert sink_transposes(graph) is graph


def test_a_transpose_that_would_not_cancel_stays():
    graph = graph_of(lambda g, x: g.op("Relu", g.op("Transpose", x)), ("batch", 4))
    assert sink_transposes(graph) is graph


def test_an_operand_of_two_axes_is_not_moved():
    def function(g, x, y):
        return g.op("Transpose", g.op("Add", g.op("Transpose", x, perm=TO_FIRST), y), perm=TO_LAST)

    graph = graph_of(function, IMAGE, (4, 5))
    assert sink_transposes(graph) is graph


def test_dropout_is_not_moved_as_its_mask_follows_the_layout():
    def function(g, x):
        y = g.op("dropout", pooled(g, x), np.float32(0.5), g.seed(), key=1)
        return pooled(g, y)

    graph = graph_of(function, IMAGE)
    assert sink_transposes(graph) is graph


def test_a_select_of_two_transposes():
    def function(g, x):
        y = pooled(g, x)
        return pooled(g, g.select("training", {False: y, True: g.op("Relu", y)}))

    graph = graph_of(function, IMAGE)
    assert lines(passed(graph, sink_transposes)) == [
        "%1 = Transpose(x, perm=[0, 3, 1, 2])",
        "%2 = MaxPool(%1, kernel_shape=[2, 2])",
        "%3 = Relu(%2)",
        "%4 = select training {False: %2, True: %3}",
        "%5 = MaxPool(%4, kernel_shape=[2, 2])",
        "%6 = Transpose(%5, perm=[0, 2, 3, 1])",
        "return %6",
    ]


def test_batch_statistics_follow():
    # Batch normalization while training, channels last, between two convolutions.
    def function(g, x):
        y = pooled(g, x)
        mean = g.op("ReduceMean", y, np.array([0, 1, 2]))
        y = g.op("Sub", y, mean)
        return pooled(g, y), g.op("Reshape", mean, np.array([3]))

    graph = graph_of(function, IMAGE)
    assert lines(passed(graph, sink_transposes)) == [
        "%1 = Transpose(x, perm=[0, 3, 1, 2])",
        "%2 = MaxPool(%1, kernel_shape=[2, 2])",
        "%3 = ReduceMean(%2, [0, 2, 3])",
        "%4 = Sub(%2, %3)",
        "%5 = MaxPool(%4, kernel_shape=[2, 2])",
        "%6 = Transpose(%5, perm=[0, 2, 3, 1])",
        "%7 = Reshape(%3, [3])",
        "return (%6, %7)",
    ]


def test_constant_kernels_lie_in_memory_as_they_are_read():
    kernel = np.random.default_rng(0).standard_normal((2, 2, 3, 3)).astype(np.float32)

    def function(g, x):
        strided = g.op("Transpose", g.weight("kernel", kernel), perm=(3, 2, 0, 1))
        return g.op("Conv", x, strided), g.op("ConvTranspose", x, strided), strided

    folded = optimize(graph_of(function, ("batch", 3, 4, 4)))
    arrays = [node.data for node in folded.nodes if node.kind == "constant"]
    assert sorted(array.flags.c_contiguous for array in arrays) == [False, True]
    assert lay_out_kernels(folded) is folded
    for name in ("Conv", "ConvTranspose"):
        [node] = [node for node in folded.nodes if node.name == name]
        assert node.operands[1].constant.flags.c_contiguous
    passed(graph_of(function, ("batch", 3, 4, 4)), optimize)
