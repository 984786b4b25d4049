"""Padding goes into the convolution or pooling after it, where it means the same."""

import numpy as np
import pytest

from graphctx.passes import fold_padding, optimize
from tests.passes.graphs import graph_of, lines, passed

IMAGE = ("batch", 2, 5, 6)
KERNEL = np.random.default_rng(0).standard_normal((3, 2, 3, 3)).astype(np.float32)
AROUND = np.array([0, 0, 1, 0, 0, 0, 2, 1])


def test_a_convolution_pads_by_itself():
    def function(g, x):
        return g.op("Conv", g.op("Pad", x, AROUND), g.weight("w", KERNEL), strides=(2, 2))

    graph = graph_of(function, IMAGE)
    assert lines(passed(graph, fold_padding)) == [
        "%1 = Conv(x, @w, pads=[1, 0, 2, 1], strides=[2, 2])",
        "return %1",
    ]


def test_to_padding_that_is_there_it_is_added():
    def function(g, x):
        padded, kernel = g.op("Pad", x, AROUND, np.float32(0)), g.weight("w", KERNEL)
        wider = g.op("Conv", padded, kernel, pads=(0, 1, 0, 1))
        return wider, g.op("Conv", padded, kernel, auto_pad="VALID"), padded

    graph = graph_of(function, IMAGE)
    assert lines(passed(graph, fold_padding)) == [
        "%1 = Conv(x, @w, pads=[1, 1, 2, 2])",
        "%2 = Conv(x, @w, pads=[1, 0, 2, 1])",
        "%3 = Pad(x, [0, 0, 1, 0, 0, 0, 2, 1], 0)",
        "return (%1, %2, %3)",
    ]


def test_channels_last():
    def function(g, x):
        y = g.op("Pad", x, np.array([0, 1, 0, 0, 0, 2, 1, 0]))
        y = g.op("Transpose", y, perm=(0, 3, 1, 2))
        y = g.op("Relu", g.op("Conv", y, g.weight("w", KERNEL)))
        y = g.op("Transpose", y, perm=(0, 2, 3, 1))
        y = g.op("Pad", y, np.array([0, 1, 1, 0, 0, 1, 1, 0]))
        y = g.op("Transpose", y, perm=(0, 3, 1, 2))
        y = g.op("MaxPool", y, kernel_shape=(3, 3), strides=(2, 2))
        return g.op("Transpose", y, perm=(0, 2, 3, 1))

    graph = graph_of(function, ("batch", 5, 6, 2))
    assert lines(passed(graph, optimize)) == [
        "%1 = Transpose(x, perm=[0, 3, 1, 2])",
        "%2 = Conv(%1, @w, pads=[1, 0, 2, 1])",
        "%3 = Relu(%2)",
        "%4 = MaxPool(%3, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2])",
        "%5 = Transpose(%4, perm=[0, 2, 3, 1])",
        "return %5",
    ]


@pytest.mark.parametrize(
    ("pads", "value", "attrs"),
    [
        ([0, 1, 0, 0, 0, 1, 0, 0], None, {}),  # of the channels
        ([0, 0, -1, 0, 0, 0, 0, 0], None, {}),  # takes away
        (AROUND, 1, {}),
        (AROUND, -0.0, {}),
        (AROUND, None, {"mode": "edge"}),
    ],
)
def test_what_is_no_padding_of_a_convolution_stays(pads, value, attrs):
    def function(g, x):
        fill = None if value is None else np.float32(value)
        kernel = np.ones((3, 4 if pads[1] else 2, 3, 3), np.float32)
        return g.op("Conv", g.op("Pad", x, np.array(pads), fill, **attrs), g.weight("w", kernel))

    graph = graph_of(function, IMAGE)
    assert fold_padding(graph) is graph


def test_padding_by_the_size_of_the_image_stays():
    def function(g, x):
        return g.op("Conv", g.op("Pad", x, AROUND), g.weight("w", KERNEL), auto_pad="SAME_UPPER")

    graph = graph_of(function, IMAGE)
    assert fold_padding(graph) is graph


@pytest.mark.parametrize(
    ("before", "attrs"),
    [
        ("Neg", {"kernel_shape": (3, 3)}),  # zeros could be the largest
        ("Relu", {"kernel_shape": (2, 2)}),  # a window of padding alone
        ("Relu", {"kernel_shape": (3, 3), "dilations": (2, 2)}),
        ("Relu", {"kernel_shape": (3, 3), "ceil_mode": 1}),
    ],
)
def test_what_is_no_padding_of_a_pooling_stays(before, attrs):
    graph = graph_of(
        lambda g, x: g.op("MaxPool", g.op("Pad", g.op(before, x), AROUND), **attrs), IMAGE
    )
    assert fold_padding(graph) is graph
