"""Batch normalization goes into the layer before it, or stays: never in training mode."""

import numpy as np
import pytest

import graphctx as gx
from graphctx.layer import Variable
from graphctx.passes import check, fold_batch_norm, optimize, prune
from tests.passes.graphs import graph_of, lines, run

RNG = np.random.default_rng(3)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def normalize(g, x, channels, name="bn", **attrs):
    """Inference-mode BatchNormalization of channels at axis 1."""
    parameters = {
        "scale": normal(channels), "bias": normal(channels), "mean": normal(channels),
        "var": np.abs(normal(channels)) + np.float32(0.1),
    }  # fmt: skip
    return g.op(
        "BatchNormalization", x, *(g.weight(f"{name}/{k}", v) for k, v in parameters.items()),
        **attrs,
    )  # fmt: skip


def folded(graph, *passes):
    check(graph)
    after = graph
    for step in passes or (fold_batch_norm, prune):
        after = check(step(after))
    rng = np.random.default_rng(0)
    feeds = {
        v.node.name: rng.standard_normal([3 if not isinstance(d, int) else d for d in v.shape])
        .astype(v.dtype)
        for v in graph.inputs
    }  # fmt: skip
    before, now = run(graph, feeds), run(after, feeds)
    for a, b in zip(before[: len(now)], now, strict=True):  # without the state that was kept
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)
    return after


IMAGE = ("batch", 3, 6, 6)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("group", [1, 3])
def test_conv(group, bias):
    def function(g, x):
        operands = [g.weight("conv/kernel", normal(6, 3 // group, 3, 3))]
        if bias:
            operands.append(g.weight("conv/bias", normal(6)))
        y = g.op("Conv", x, *operands, kernel_shape=(3, 3), group=group)
        return normalize(g, y, 6, epsilon=1e-3)

    graph = graph_of(function, IMAGE)
    assert len(lines(graph)) == 3
    after = folded(graph)
    [conv, result] = lines(after)
    assert conv.startswith("%1 = Conv(x, constant(float32[6, ")
    assert result == "return %1"
    assert after.weights == ()


@pytest.mark.parametrize("group", [1, 3])
def test_conv_transpose(group):
    def function(g, x):
        kernel = g.weight("conv/kernel", normal(3, 6 // group, 3, 3))
        y = g.op("ConvTranspose", x, kernel, kernel_shape=(3, 3), group=group)
        return normalize(g, y, 6)

    assert len(lines(folded(graph_of(function, IMAGE)))) == 2


@pytest.mark.parametrize("offset", [None, (), (1,), (5,), (1, 5)])
@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm(transposed, offset):
    def function(g, x):
        kernel = g.weight("kernel", normal(5, 4) if transposed else normal(4, 5))
        extra = [] if offset is None else [g.weight("bias", normal(*offset))]
        y = g.op("Gemm", x, kernel, *extra, transB=transposed, alpha=0.5, beta=2.0)
        return normalize(g, y, 5)

    after = folded(graph_of(function, ("batch", 4)))
    [gemm, result] = lines(after)
    assert gemm.startswith("%1 = Gemm(x, constant(float32[")
    assert gemm.endswith(", alpha=0.5, transB=1)" if transposed else ", alpha=0.5)")
    assert "beta" not in gemm
    assert result == "return %1"


def test_gemm_whose_offset_differs_from_row_to_row_is_left():
    def function(g, x):
        y = g.op("Gemm", x, g.weight("kernel", normal(4, 5)), g.weight("bias", normal(3, 1)))
        return normalize(g, y, 5)

    graph = graph_of(function, (3, 4))
    assert fold_batch_norm(graph) is graph


@pytest.mark.parametrize("bias", ["none", "left", "right", "matrix"])
def test_matmul(bias):
    def function(g, x):
        y = g.op("MatMul", x, g.weight("kernel", normal(4, 5)))
        if bias != "none":
            added = g.weight("bias", normal(1, 5) if bias == "matrix" else normal(5))
            y = g.op("Add", added, y) if bias == "left" else g.op("Add", y, added)
        return normalize(g, y, 5)

    after = folded(graph_of(function, ("batch", 4)))
    [matmul, add, result] = lines(after)
    assert matmul.startswith("%1 = MatMul(x, constant(float32[4, 5] ")
    assert add.startswith("%2 = Add(%1, [")
    assert result == "return %2"


def test_matmul_of_a_channels_last_sequence():
    def function(g, x):
        y = g.op("MatMul", x, g.weight("kernel", normal(4, 5)))
        y = g.op("Add", y, g.weight("bias", normal(5)))
        y = g.op("Transpose", y, perm=(0, 2, 1))
        return g.op("Transpose", normalize(g, y, 5), perm=(0, 2, 1))

    graph = graph_of(function, ("batch", 7, 4))
    assert [line.split("(")[0] for line in lines(folded(graph))] == [
        "%1 = MatMul", "%2 = Add", "%3 = Transpose", "%4 = Transpose", "return %4",
    ]  # fmt: skip
    assert [line.split("(")[0] for line in lines(folded(graph, optimize))] == [
        "%1 = MatMul", "%2 = Add", "return %2",
    ]  # fmt: skip


def test_channels_last_convolution_with_a_relu_between_two():
    first, last = (0, 3, 1, 2), (0, 2, 3, 1)

    def layer(g, x, channels, kernel):
        y = g.op("Transpose", x, perm=first)
        y = g.op("Conv", y, g.weight(kernel, normal(4, channels, 3, 3)))
        y = g.op("Transpose", y, perm=last)
        y = g.op("Add", y, g.weight(kernel + "/bias", normal(4)))
        y = normalize(g, g.op("Transpose", y, perm=first), 4, kernel + "/bn")
        return g.op("Relu", g.op("Transpose", y, perm=last))

    graph = graph_of(lambda g, x: layer(g, layer(g, x, 3, "a"), 4, "b"), ("batch", 8, 8, 3))
    after = folded(graph, optimize)
    assert [line.split("(")[0] for line in lines(after)] == [
        "%1 = Transpose", "%2 = Conv", "%3 = Relu", "%4 = Conv", "%5 = Relu", "%6 = Transpose",
        "return %6",
    ]  # fmt: skip
    assert str(optimize(after)) == str(after)


# -- left alone -----------------------------------------------------------------------------------


def conv(g, x, kernel=None):
    if kernel is None:
        kernel = g.weight("conv/kernel", normal(6, 3, 3, 3))
    return g.op("Conv", x, kernel)


def test_training_mode_is_never_touched():
    def function(g, x):
        y = g.op(
            "BatchNormalization", conv(g, x), normal(6), normal(6), normal(6),
            np.abs(normal(6)), training_mode=1,
        )  # fmt: skip
        return y[0] if isinstance(y, tuple) else y

    graph = graph_of(function, IMAGE)
    assert fold_batch_norm(graph) is graph


def test_a_kernel_used_twice_stays_shared():
    def function(g, x):
        kernel = g.weight("conv/kernel", normal(6, 3, 3, 3))
        return normalize(g, conv(g, x, kernel), 6), conv(g, g.op("Neg", x), kernel)

    graph = graph_of(function, IMAGE)
    assert fold_batch_norm(graph) is graph


def test_a_result_used_elsewhere_stays():
    def function(g, x):
        y = conv(g, x)
        return normalize(g, y, 6), y

    graph = graph_of(function, IMAGE)
    assert fold_batch_norm(graph) is graph


@pytest.mark.parametrize("which", ["conv/kernel", "bn/mean"])
def test_state_stays_a_variable(which):
    def function(g, x):
        variables = {
            "conv/kernel": Variable(normal(6, 3, 3, 3)), "bn/scale": Variable(normal(6)),
            "bn/bias": Variable(normal(6)), "bn/mean": Variable(normal(6)),
            "bn/var": Variable(np.abs(normal(6))),
        }  # fmt: skip
        weights = {name: g.weight(name, variable) for name, variable in variables.items()}
        kernel = weights.pop("conv/kernel")
        g.state[which] = (variables[which], g.op("Neg", g.weight(which, variables[which])).value)
        return g.op("BatchNormalization", conv(g, x, kernel), *weights.values())

    graph = graph_of(function, IMAGE)
    assert fold_batch_norm(graph) is graph


def test_without_freezing_only_constants_are_folded():
    graph = graph_of(lambda g, x: normalize(g, conv(g, x), 6), IMAGE)
    assert fold_batch_norm(graph, freeze=False) is graph

    def function(g, x):
        scale, bias, mean, var = normal(6), normal(6), normal(6), np.abs(normal(6))
        return g.op("BatchNormalization", conv(g, x, normal(6, 3, 3, 3)), scale, bias, mean, var)

    graph = graph_of(function, IMAGE)
    assert len(lines(prune(fold_batch_norm(graph, freeze=False)))) == 2


def test_the_layers_of_a_real_model():
    class Block(gx.Layer):
        def __init__(self):
            self.conv = gx.nn.Conv2D(4, 3, padding="same")
            self.norm = gx.nn.BatchNorm()
            self.wide = gx.nn.Dense(5)
            self.norm_1 = gx.nn.BatchNorm()

        def call(self, x):
            x = gx.ops.relu(self.norm(self.conv(x)))
            return gx.ops.tanh(self.norm_1(self.wide(gx.ops.mean(x, axis=(1, 2)))))

    model = Block()
    model(normal(2, 6, 6, 3))
    for norm in (model.norm, model.norm_1):
        for variable in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance):
            variable.assign(np.abs(normal(*variable.shape)) + np.float32(0.1))
    graph = gx.trace(model, gx.TensorSpec(("batch", 6, 6, 3)))
    inference = gx.specialize(graph, training=False)
    after = folded(inference, optimize)
    assert [line.split("(")[0] for line in lines(after)] == [
        "%1 = Transpose", "%2 = Conv", "%3 = Relu", "%4 = ReduceMean", "%5 = Gemm", "%6 = Tanh",
        "return %6",
    ]  # fmt: skip
    training = gx.specialize(graph, training=True)
    assert "BatchNormalization" not in str(training)
    after = folded(training, optimize)
    assert len(after.returns.state) == 4
    both = folded(graph, optimize)
    assert str(both).count("BatchNormalization") == 2


def test_another_axis_than_the_output_channels_is_left():
    def function(g, x):
        y = g.op("Transpose", conv(g, x), perm=(0, 2, 1, 3))
        return normalize(g, y, 4)

    graph = graph_of(function, IMAGE)
    assert fold_batch_norm(graph) is graph


def test_a_sum_of_two_computed_values_is_left():
    graph = graph_of(lambda g, x: normalize(g, g.op("Add", conv(g, x), conv(g, x)), 6), IMAGE)
    assert fold_batch_norm(graph) is graph


def test_what_would_overflow_is_left():
    def function(g, x):
        y = conv(g, x, g.weight("conv/kernel", np.full((6, 3, 3, 3), 1e30, np.float32)))
        tiny = np.zeros(6, np.float32)
        return g.op(
            "BatchNormalization", y, np.full(6, 1e10, np.float32), tiny, tiny, tiny + 1e-12,
            epsilon=0.0,
        )  # fmt: skip

    graph = graph_of(function, IMAGE)
    assert fold_batch_norm(graph) is graph


def test_one_normalization_after_another():
    graph = graph_of(
        lambda g, x: normalize(g, normalize(g, conv(g, x), 6, "first"), 6, "second"), IMAGE
    )
    assert len(lines(folded(graph, optimize))) == 2
