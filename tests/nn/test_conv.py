"""`Conv2D`."""

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
    message = "the kernel spans 5 of axis 2, more than its padded size 3"
    with pytest.raises(gx.ShapeError, match=message):
        model(values(1, 3, 7, 1))
    with pytest.raises(gx.ShapeError, match=f"sequential/conv2d: Conv.*{message}"):
        gx.trace(model, gx.TensorSpec(("batch", 3, 7, 1)))
