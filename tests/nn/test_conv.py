"""Convolutions: `Conv2D` in full, of the others what is theirs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import graphctx as gx
from graphctx import nn
from tests.nn.common import agree, close, refused, same, text, values


def convolved(x: Any, kernel: Any, strides: Any, padding: str, dilation: Any, groups: int) -> Any:
    """The definition, one output at a time: x and result [batch, height, width, channels]."""
    x, kernel = x.astype(float), kernel.astype(float)
    batch, height, width, channels = x.shape
    size = [(n - 1) * d + 1 for n, d in zip(kernel.shape[:2], dilation, strict=True)]
    if padding == "same":
        counts = [-(-n // s) for n, s in zip((height, width), strides, strict=True)]
        total = [
            max((c - 1) * s + k - n, 0)
            for c, s, k, n in zip(counts, strides, size, (height, width), strict=True)
        ]
        x = np.pad(x, [(0, 0), *((t // 2, t - t // 2) for t in total), (0, 0)])
    else:
        counts = [(n - k) // s + 1 for n, s, k in zip((height, width), strides, size, strict=True)]
    filters = kernel.shape[3]
    y = np.zeros((batch, *counts, filters))
    for i, j in np.ndindex(*counts):
        top, left = i * strides[0], j * strides[1]
        window = x[:, top : top + size[0] : dilation[0], left : left + size[1] : dilation[1]]
        blocks = (np.split(np.arange(n), groups) for n in (channels, filters))
        for inputs, outputs in zip(*blocks, strict=True):
            y[:, i, j, outputs] = np.tensordot(window[..., inputs], kernel[..., outputs], 3)
    return y


@settings(max_examples=60)
@given(
    batch=st.integers(1, 3),
    space=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    depth=st.integers(1, 3),
    out=st.integers(1, 3),
    groups=st.integers(1, 3),
    kernel_size=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    padding=st.sampled_from(["valid", "same"]),
    channels_last=st.booleans(),
)
def test_formula(
    batch: int, space: Any, depth: int, out: int, groups: int, kernel_size: Any, strides: Any,
    dilation: Any, padding: str, channels_last: bool,
) -> None:  # fmt: skip
    assume(max(strides) == 1 or max(dilation) == 1)
    extent = [(n - 1) * d + 1 for n, d in zip(kernel_size, dilation, strict=True)]
    assume(padding == "same" or (extent[0] <= space[0] and extent[1] <= space[1]))
    x = values(batch, *space, depth * groups)
    layer = nn.Conv2D(
        out * groups, kernel_size, strides, padding, dilation_rate=dilation, groups=groups,
        data_format="channels_last" if channels_last else "channels_first",
        bias_initializer="random_normal",
    )  # fmt: skip
    y = layer(x if channels_last else x.transpose(0, 3, 1, 2))
    assert layer.kernel.shape == (*kernel_size, depth, out * groups)
    assert layer.bias is not None
    expected = convolved(x, layer.kernel.numpy(), strides, padding, dilation, groups)
    close(y if channels_last else y.transpose(0, 2, 3, 1), expected + layer.bias.numpy())


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("symbolic", [(0,), (0, "height", "width")])
@pytest.mark.parametrize(
    "options",
    [
        {}, {"padding": "same"}, {"padding": "same", "strides": 2, "activation": "relu"},
        {"dilation_rate": 2, "padding": "same"}, {"groups": 2, "use_bias": False},
        {"strides": (2, 1)},
    ],
)  # fmt: skip
def test_program_equals_the_eager_call(options: Any, symbolic: Any, data_format: str) -> None:
    x = values(2, 7, 6, 4) if data_format == "channels_last" else values(2, 4, 7, 6)
    space = (1, 2) if data_format == "channels_last" else (2, 3)
    axes = (0, *space) if len(symbolic) > 1 else (0,)
    agree(nn.Conv2D(6, 3, data_format=data_format, **options), x, axes)


def test_channels_last_is_transposed_around_the_operator() -> None:
    layer = nn.Conv2D(4, 3, padding="same", strides=2)
    assert text(gx.trace(layer, gx.TensorSpec(("batch", "height", "width", 2)))) == (
        "graph conv2d (x: float32[batch, height, width, 2])\n"
        "  %1 = Transpose(x, perm=[0, 3, 1, 2])\n"
        "  %2 = Transpose(@conv2d/kernel, perm=[3, 2, 0, 1])\n"
        "  %3 = Conv(%1, %2, @conv2d/bias, auto_pad=SAME_UPPER, strides=[2, 2])\n"
        "  %4 = Transpose(%3, perm=[0, 2, 3, 1])\n"
        "  return %4"
    )


def test_channels_first_transposes_the_kernel_only() -> None:
    layer = nn.Conv2D(4, 3, padding="same", data_format="channels_first")
    graph = gx.trace(layer, gx.TensorSpec(("batch", 2, "height", "width")))
    assert text(graph) == (
        "graph conv2d (x: float32[batch, 2, height, width])\n"
        "  %1 = Transpose(@conv2d/kernel, perm=[3, 2, 0, 1])\n"
        "  %2 = Conv(x, %1, @conv2d/bias, pads=[1, 1, 1, 1])\n"
        "  return %2"
    )
    program = gx.compile(graph)
    # The kernel is transposed while compiling, and the weight itself is gone.
    assert [node.name for node in program.graph.nodes if node.kind == "op"] == ["Conv"]
    weights = [node.name for node in program.graph.nodes if node.kind == "weight"]
    assert weights == ["conv2d/bias"]


def test_neighbouring_layers_lose_the_transposes_between_them() -> None:
    model = nn.Sequential([nn.Conv2D(4, 3, activation="relu"), nn.MaxPooling2D(), nn.Conv2D(4, 1)])
    program = gx.compile(gx.trace(model, gx.TensorSpec(("batch", 8, 8, 1))))
    names = [node.name for node in program.graph.nodes if node.kind == "op"]
    inside = names[names.index("Conv") : len(names) - names[::-1].index("Conv")]
    assert inside == ["Conv", "Relu", "MaxPool", "Conv"]


def test_inputs_are_converted_to_the_layers_dtype() -> None:
    layer = nn.Conv2D(2, 3)
    x = (np.abs(values(1, 5, 5, 1)) * 50).astype("uint8")
    same(layer(x), layer(x.astype("float32")))
    agree(layer, x)


def test_one_number_stands_for_both() -> None:
    layer = nn.Conv2D(2, 3, 2, dilation_rate=1)
    assert (layer.kernel_size, layer.strides, layer.dilation_rate) == ((3, 3), (2, 2), (1, 1))


def test_names_of_weights() -> None:
    model = nn.Sequential([nn.Conv2D(2, 3), nn.Conv2D(2, 1, use_bias=False)])
    model(values(1, 5, 5, 3))
    assert {path: weight.shape for path, weight in model.weights.items()} == {
        "sequential/conv2d/kernel": (3, 3, 3, 2),
        "sequential/conv2d/bias": (2,),
        "sequential/conv2d_1/kernel": (1, 1, 2, 2),
    }


# -- the others -----------------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    size=st.tuples(st.integers(1, 4), st.integers(1, 3)),
    kernel_size=st.tuples(st.integers(1, 5), st.integers(1, 4)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.sampled_from(["valid", "same"]),
)
def test_transposed_convolution_is_the_adjoint(
    size: Any, kernel_size: Any, strides: Any, padding: str
) -> None:
    """`<conv(x), y> == <x, transposed(y)>` with one kernel, for every x and y."""
    assume(all(k >= s for k, s in zip(kernel_size, strides, strict=True)))
    y = values(2, *size, 3)
    transposed = nn.Conv2DTranspose(2, kernel_size, strides, padding, use_bias=False)
    back = transposed(y)
    x = values(*back.shape, seed=1)
    conv = nn.Conv2D(3, kernel_size, strides, padding, use_bias=False)
    assert conv(x).shape == y.shape
    conv.kernel.assign(transposed.kernel.numpy())
    assert np.vdot(conv(x), y) == pytest.approx(np.vdot(x, back), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize(
    ("options", "lengths"),
    [
        ({}, [3, 7]),
        ({"strides": 2}, [3, 11]),
        ({"strides": 5}, [5, 25]),
        ({"dilation_rate": 2}, [5, 9]),
        ({"padding": "same"}, [1, 5]),
        ({"padding": "same", "strides": 2}, [2, 10]),
        ({"padding": "same", "strides": 5}, [5, 25]),
        ({"strides": 2, "output_padding": 0}, [3, 11]),
        ({"strides": 2, "output_padding": 1}, [4, 12]),
        ({"padding": "same", "strides": 2, "output_padding": 0}, [1, 9]),
        ({"padding": "same", "strides": 3, "output_padding": 2}, [3, 15]),
    ],
)
def test_lengths_of_transposed_convolutions(options: Any, lengths: list[int]) -> None:
    layer = nn.Conv1DTranspose(4, 3, **options)
    assert [layer(values(1, size, 2)).shape[1] for size in (1, 5)] == lengths
    graph = gx.trace(layer, gx.TensorSpec(("batch", "steps", 2)))
    length = graph.outputs[0].shape[1]
    assert [length.evaluate({"steps": size}) for size in (1, 5)] == lengths


def test_causal_outputs_do_not_depend_on_later_steps() -> None:
    layer = nn.Conv1D(3, 3, padding="causal", dilation_rate=2)
    x = values(2, 9, 2)
    changed = x.copy()
    changed[:, 5:] = 0
    y, z = layer(x), layer(changed)
    assert y.shape == (2, 9, 3)
    same(y[:, :5], z[:, :5])
    assert not np.array_equal(y[:, 5], z[:, 5])


def test_separable_is_depthwise_and_then_pointwise() -> None:
    x = values(2, 6, 5, 3)
    layer = nn.SeparableConv2D(4, 3, 2, "same", depth_multiplier=2, bias_initializer="ones")
    depthwise = nn.DepthwiseConv2D(3, 2, "same", 2, use_bias=False)
    pointwise = nn.Conv2D(4, 1, bias_initializer="ones")
    y = layer(x)
    pointwise(depthwise(x))
    depthwise.kernel.assign(layer.depthwise_kernel.numpy())
    pointwise.kernel.assign(layer.pointwise_kernel.numpy())
    same(y, pointwise(depthwise(x)))


def test_depthwise_is_a_convolution_a_channel() -> None:
    x = values(2, 6, 5, 3)
    layer = nn.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False)
    y = layer(x)
    for channel in range(3):
        one = nn.Conv2D(2, 3, use_bias=False)
        one(x[..., :1])
        one.kernel.assign(layer.kernel.numpy()[:, :, channel : channel + 1])
        close(y[..., 2 * channel : 2 * channel + 2], one(x[..., channel : channel + 1]))


RANKS = {1: (7,), 2: (6, 7), 3: (4, 5, 4)}


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (nn.Conv1D, {"filters": 3, "padding": "causal", "strides": 2}),
        (nn.Conv1D, {"filters": 3, "padding": "same", "strides": 2}),
        (nn.Conv3D, {"filters": 4, "groups": 2, "padding": "same"}),
        (nn.Conv3D, {"filters": 2, "padding": "same", "strides": (1, 2, 3)}),
        (nn.Conv1DTranspose, {"filters": 3, "padding": "same", "strides": 2}),
        (nn.Conv2DTranspose, {"filters": 3, "strides": (2, 3), "output_padding": (1, 2)}),
        (nn.Conv3DTranspose, {"filters": 2, "padding": "same", "strides": 2}),
        (nn.DepthwiseConv1D, {"depth_multiplier": 2, "padding": "same", "strides": 2}),
        (nn.DepthwiseConv2D, {"padding": "same", "dilation_rate": 2, "activation": "relu"}),
        (nn.SeparableConv1D, {"filters": 3, "strides": 3}),
        (nn.SeparableConv2D, {"filters": 3, "padding": "same", "strides": 2}),
    ],
)
def test_programs_equal_eager_calls(kind: Any, options: Any, data_format: str) -> None:
    layer = kind(kernel_size=3, data_format=data_format, **options)
    space = RANKS[kind.rank]
    last = data_format == "channels_last"
    x = values(2, *space, 4) if last else values(2, 4, *space)
    axes = tuple(range(1, kind.rank + 1)) if last else tuple(range(2, kind.rank + 2))
    agree(layer, x)
    agree(layer, x, (0, *axes))


def test_padding_is_written_as_numbers_where_the_sizes_are_known() -> None:
    layer = nn.Conv2D(4, 3, padding="same", strides=2, data_format="channels_first")
    assert text(gx.trace(layer, gx.TensorSpec(("batch", 2, 8, 9)))).splitlines()[2] == (
        "  %2 = Conv(x, %1, @conv2d/bias, pads=[0, 1, 1, 1], strides=[2, 2])"
    )
    layer = nn.Conv2D(4, 1, padding="same", strides=2, data_format="channels_first")
    assert text(gx.trace(layer, gx.TensorSpec(("batch", 2, "h", "w")))).splitlines()[2] == (
        "  %2 = Conv(x, %1, @conv2d/bias, strides=[2, 2])"
    )


@pytest.mark.parametrize(
    ("layer", "lines"),
    [
        (
            nn.Conv1D(4, 3, padding="causal", dilation_rate=2),
            [
                "  %1 = Transpose(x, perm=[0, 2, 1])",
                "  %2 = Transpose(@conv1d/kernel, perm=[2, 1, 0])",
                "  %3 = Conv(%1, %2, @conv1d/bias, dilations=[2], pads=[4, 0])",
                "  %4 = Transpose(%3, perm=[0, 2, 1])",
            ],
        ),
        (
            nn.Conv1DTranspose(4, 3, 2, "same", data_format="channels_first"),
            [
                "  %1 = Transpose(@conv1d_transpose/kernel, perm=[2, 1, 0])",
                "  %2 = ConvTranspose(x, %1, @conv1d_transpose/bias, pads=[0, 1], strides=[2])",
            ],
        ),
        (
            nn.Conv1DTranspose(4, 2, 3, data_format="channels_first"),
            [
                "  %1 = Transpose(@conv1d_transpose/kernel, perm=[2, 1, 0])",
                (
                    "  %2 = ConvTranspose(x, %1, @conv1d_transpose/bias, output_padding=[1], "
                    "strides=[3])"
                ),
            ],
        ),
        (
            nn.DepthwiseConv1D(3, data_format="channels_first"),
            [
                "  %1 = Transpose(@depthwise_conv1d/kernel, perm=[1, 2, 0])",
                "  %2 = Conv(x, %1, @depthwise_conv1d/bias, group=2)",
            ],
        ),
        (
            nn.SeparableConv1D(4, 3, depth_multiplier=2, data_format="channels_first"),
            [
                "  %1 = Transpose(@separable_conv1d/depthwise_kernel, perm=[1, 2, 0])",
                "  %2 = Reshape(%1, [4, 1, 3])",
                "  %3 = Conv(x, %2, group=2)",
                "  %4 = Transpose(@separable_conv1d/pointwise_kernel, perm=[2, 1, 0])",
                "  %5 = Conv(%3, %4, @separable_conv1d/bias)",
            ],
        ),
    ],
)
def test_text(layer: Any, lines: list[str]) -> None:
    shape = ("batch", "t", 2) if layer.data_format == "channels_last" else ("batch", 2, "t")
    assert text(gx.trace(layer, gx.TensorSpec(shape))).splitlines()[1:-1] == lines


def test_kernels_are_laid_out_while_compiling() -> None:
    for layer, count in (
        (nn.DepthwiseConv2D(3, depth_multiplier=2, data_format="channels_first"), 1),
        (nn.SeparableConv2D(3, 3, depth_multiplier=2, data_format="channels_first"), 2),
        (nn.Conv3DTranspose(3, 2, 2, data_format="channels_first"), 1),
    ):
        shape = ("batch", 2, *["n"] * layer.rank)
        program = gx.compile(gx.trace(layer, gx.TensorSpec(shape)))
        assert len([node for node in program.graph.nodes if node.kind == "op"]) == count


@pytest.mark.parametrize(
    ("layer", "shape", "weights"),
    [
        (nn.Conv1D(6, 3, groups=2), (7, 4), {"kernel": (3, 2, 6), "bias": (6,)}),
        (nn.Conv3D(6, (1, 2, 3)), (4, 4, 4, 2), {"kernel": (1, 2, 3, 2, 6), "bias": (6,)}),
        (nn.Conv2DTranspose(6, (2, 3)), (4, 4, 2), {"kernel": (2, 3, 6, 2), "bias": (6,)}),
        (
            nn.DepthwiseConv2D((2, 3), depth_multiplier=2),
            (4, 4, 3),
            {"kernel": (2, 3, 3, 2), "bias": (6,)},
        ),
        (
            nn.SeparableConv2D(5, (2, 3), depth_multiplier=2),
            (4, 4, 3),
            {"depthwise_kernel": (2, 3, 3, 2), "pointwise_kernel": (1, 1, 6, 5), "bias": (5,)},
        ),
        (nn.DepthwiseConv1D(2, use_bias=False), (4, 3), {"kernel": (2, 3, 1)}),
    ],
)
def test_weights_are_those_of_keras(layer: Any, shape: Any, weights: Any) -> None:
    layer(values(1, *shape))
    assert {p.rpartition("/")[2]: w.shape for p, w in layer.weights.items()} == weights


PAIR = "a positive integer, or two of them (height, width)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filters": -1}, "Conv2D: filters is a positive integer, got -1"),
        ({"kernel_size": 0}, f"Conv2D: kernel_size is {PAIR}, got 0"),
        ({"kernel_size": (3, 3, 3)}, f"Conv2D: kernel_size is {PAIR}, got (3, 3, 3)"),
        ({"strides": (1, 0)}, f"Conv2D: strides is {PAIR}, got (1, 0)"),
        ({"strides": 1.5}, f"Conv2D: strides is {PAIR}, got 1.5"),
        ({"dilation_rate": "2"}, f"Conv2D: dilation_rate is {PAIR}, got '2'"),
        (
            {"padding": "sama"},
            "Conv2D: padding is one of 'same', 'valid', got 'sama'; did you mean 'same'?",
        ),
        ({"padding": 1}, "Conv2D: padding is one of 'same', 'valid', got 1"),
        (
            {"data_format": "channel_last"},
            (
                "Conv2D: data_format is one of 'channels_first', 'channels_last', got "
                "'channel_last'; did you mean 'channels_last'?"
            ),
        ),
        ({"groups": 0}, "Conv2D: groups is a positive integer, got 0"),
        ({"groups": 3}, "Conv2D: groups=3 does not divide filters=4"),
        (
            {"strides": 2, "dilation_rate": (1, 2)},
            "Conv2D: strides=(2, 2) and dilation_rate=(1, 2) cannot both be more than 1",
        ),
        ({"dtype": "int8"}, "Conv2D: dtype is a floating dtype, got 'int8'"),
    ],
)
def test_bad_arguments(options: Any, message: str) -> None:
    refused(lambda: nn.Conv2D(**{"filters": 4, "kernel_size": 3, **options}), message)


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (
            nn.Conv2D(4, 3, groups=2),
            ("batch", 8, 8, 3),
            (
                "conv2d: Conv2D has groups=2, which does not divide the 3 channels of the input "
                "[batch, 8, 8, 3]"
            ),
        ),
        (
            nn.Conv2D(4, 3),
            (8, 8, 3),
            (
                "conv2d: Conv2D takes a tensor [batch, height, width, channels], got [8, 8, 3] "
                "with 3 dimensions"
            ),
        ),
        (
            nn.Conv2D(4, 3, data_format="channels_first"),
            (8, 3),
            (
                "conv2d: Conv2D takes a tensor [batch, channels, height, width], got [8, 3] with 2 "
                "dimensions"
            ),
        ),
        (
            nn.Conv2D(4, 3),
            ("batch", 8, 8, "channels"),
            (
                "conv2d: Conv2D needs to know its number of input channels to make its weights, "
                "but axis 3 of [batch, 8, 8, channels] is symbolic; give this dimension a number "
                "in the TensorSpec"
            ),
        ),
    ],
)
def test_bad_inputs(layer: Any, shape: Any, message: str) -> None:
    refused(lambda: gx.trace(layer, gx.TensorSpec(shape)), message)
    if "batch" not in shape:
        refused(lambda: layer(values(*shape)), message)


def test_another_number_of_channels() -> None:
    layer = nn.Conv2D(4, 3)
    layer(values(1, 5, 5, 3))
    refused(
        lambda: layer(values(1, 3, 5, 5)),
        "conv2d: Conv2D was built for 3 channels, got [1, 3, 5, 5], which is [batch, height, "
        "width, channels]",
    )


def test_an_image_smaller_than_the_kernel() -> None:
    model = nn.Sequential([nn.Conv2D(4, 5)])
    message = (
        "sequential/conv2d: Conv2D has windows of 5 along the axis height, where the input has 3; "
        "use padding='same', or a larger input"
    )
    refused(lambda: model(values(1, 3, 7, 1)), message)
    refused(lambda: gx.trace(model, gx.TensorSpec(("batch", 3, 7, 1))), message)
    graph = gx.trace(model, gx.TensorSpec(("batch", "height", 7, 1)))
    with pytest.raises(gx.InputError, match="the kernel spans 5 of axis 2"):
        gx.compile(graph)(values(1, 3, 7, 1))


TRIPLE = "a positive integer, or three of them (depth, height, width)"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Conv1D(0, 3), "Conv1D: filters is a positive integer, got 0"),
        (lambda: nn.Conv1D(4, (3, 3)), "Conv1D: kernel_size is a positive integer, got (3, 3)"),
        (lambda: nn.Conv3D(4, 0), f"Conv3D: kernel_size is {TRIPLE}, got 0"),
        (lambda: nn.Conv3D(4, 3, (1, 2)), f"Conv3D: strides is {TRIPLE}, got (1, 2)"),
        (
            lambda: nn.Conv1D(4, 3, padding="casual"),
            (
                "Conv1D: padding is one of 'causal', 'same', 'valid', got 'casual'; did you mean "
                "'causal'?"
            ),
        ),
        (
            lambda: nn.Conv1DTranspose(4, 3, padding="causal"),
            "Conv1DTranspose: padding is one of 'same', 'valid', got 'causal'",
        ),
        (
            lambda: nn.DepthwiseConv2D(3, depth_multiplier=0),
            "DepthwiseConv2D: depth_multiplier is a positive integer, got 0",
        ),
        (
            lambda: nn.SeparableConv1D(4, 3, depth_multiplier=1.5, name="mix"),
            "SeparableConv1D 'mix': depth_multiplier is a positive integer, got 1.5",
        ),
        (
            lambda: nn.SeparableConv2D(-2, 3),
            "SeparableConv2D: filters is a positive integer, got -2",
        ),
        (
            lambda: nn.Conv2DTranspose(4, 3, 2, output_padding=2),
            (
                "Conv2DTranspose: output_padding=(2, 2) must be less than strides=(2, 2) along "
                "each axis"
            ),
        ),
        (
            lambda: nn.Conv2DTranspose(4, 3, (2, 1), output_padding=(1, 1)),
            (
                "Conv2DTranspose: output_padding=(1, 1) must be less than strides=(2, 1) along "
                "each axis"
            ),
        ),
        (
            lambda: nn.Conv2DTranspose(4, 3, 2, output_padding=-1),
            (
                "Conv2DTranspose: output_padding is an integer that is at least 0, or two of them "
                "(height, width), got -1"
            ),
        ),
        (
            lambda: nn.Conv1DTranspose(4, 3, 2, dilation_rate=2),
            "Conv1DTranspose: strides=(2,) and dilation_rate=(2,) cannot both be more than 1",
        ),
        (
            lambda: nn.Conv3D(4, 3, data_format="NDHWC"),
            "Conv3D: data_format is one of 'channels_first', 'channels_last', got 'NDHWC'",
        ),
        (
            lambda: nn.DepthwiseConv1D(3, dtype="int32"),
            "DepthwiseConv1D: dtype is a floating dtype, got 'int32'",
        ),
    ],
)
def test_bad_arguments_of_the_others(make: Any, message: str) -> None:
    refused(make, message)


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (
            nn.Conv1D(4, 3),
            (5, 3),
            "conv1d: Conv1D takes a tensor [batch, steps, channels], got [5, 3] with 2 dimensions",
        ),
        (
            nn.Conv3DTranspose(4, 3, data_format="channels_first"),
            (2, 5, 5, 3),
            (
                "conv3d_transpose: Conv3DTranspose takes a tensor [batch, channels, depth, height, "
                "width], got [2, 5, 5, 3] with 4 dimensions"
            ),
        ),
        (
            nn.DepthwiseConv2D(3),
            ("batch", 5, 5, "c"),
            (
                "depthwise_conv2d: DepthwiseConv2D needs to know its number of input channels to "
                "make its weights, but axis 3 of [batch, 5, 5, c] is symbolic; give this dimension "
                "a number in the TensorSpec"
            ),
        ),
        (
            nn.DepthwiseConv1D(3, 2, "same", dilation_rate=2),
            ("batch", "steps", 3),
            (
                "depthwise_conv1d: DepthwiseConv1D needs numbers as sizes of space for "
                "padding='same' with strides and dilation, got [steps]; give these dimensions "
                "numbers in the TensorSpec"
            ),
        ),
    ],
)
def test_bad_inputs_of_the_others(layer: Any, shape: Any, message: str) -> None:
    refused(lambda: gx.trace(layer, gx.TensorSpec(shape)), message)
    if all(isinstance(n, int) for n in shape):
        refused(lambda: layer(values(*shape)), message)


def test_another_number_of_channels_for_the_others() -> None:
    layer = nn.SeparableConv1D(4, 3)
    layer(values(1, 5, 3))
    refused(
        lambda: layer(values(1, 5, 2)),
        "separable_conv1d: SeparableConv1D was built for 3 channels, got [1, 5, 2], which is "
        "[batch, steps, channels]",
    )


def test_nothing_left_of_a_transposed_convolution() -> None:
    layer = nn.Conv1DTranspose(4, 2, 2, "same", output_padding=0)
    with pytest.raises(gx.ShapeError, match=r"conv1d_transpose: .*pads leave nothing of axis 2"):
        layer(values(1, 1, 3))
