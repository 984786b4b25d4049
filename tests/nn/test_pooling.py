"""Pooling over windows and over whole images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import graphctx as gx
from graphctx import nn
from tests.nn.common import agree, close, refused, same, text, values

WINDOWS: list[Any] = [nn.MaxPooling2D, nn.AveragePooling2D]
GLOBAL: list[Any] = [nn.GlobalMaxPooling2D, nn.GlobalAveragePooling2D]


def pooled(x: Any, reduce: Any, size: Any, strides: Any, padding: str) -> Any:
    """The definition, one window at a time, NaN standing for what lies outside."""
    space = x.shape[1:3]
    x = x.astype(float)
    if padding == "same":
        counts = [-(-n // s) for n, s in zip(space, strides, strict=True)]
        total = [
            max((c - 1) * s + k - n, 0)
            for c, s, k, n in zip(counts, strides, size, space, strict=True)
        ]
        pads = [(0, 0), *((t // 2, t - t // 2) for t in total), (0, 0)]
        x = np.pad(x, pads, constant_values=np.nan)
    else:
        counts = [(n - k) // s + 1 for n, s, k in zip(space, strides, size, strict=True)]
    y = np.zeros((x.shape[0], *counts, x.shape[3]))
    for i, j in np.ndindex(*counts):
        top, left = i * strides[0], j * strides[1]
        y[:, i, j] = reduce(x[:, top : top + size[0], left : left + size[1]], axis=(1, 2))
    return y


@settings(max_examples=60)
@given(
    kind=st.sampled_from(WINDOWS),
    space=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    size=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    strides=st.none() | st.tuples(st.integers(1, 4), st.integers(1, 4)),
    padding=st.sampled_from(["valid", "same"]),
    channels_last=st.booleans(),
)
def test_formula(
    kind: Any, space: Any, size: Any, strides: Any, padding: str, channels_last: bool
) -> None:
    assume(padding == "same" or (size[0] <= space[0] and size[1] <= space[1]))
    x = values(2, *space, 3)
    data_format = "channels_last" if channels_last else "channels_first"
    layer = kind(size, strides, padding, data_format)
    y = layer(x if channels_last else x.transpose(0, 3, 1, 2))
    reduce = np.nanmax if kind is nn.MaxPooling2D else np.nanmean
    expected = pooled(x, reduce, size, strides or size, padding)
    close(y if channels_last else y.transpose(0, 2, 3, 1), expected)


@pytest.mark.parametrize("kind", WINDOWS)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [None, 1])
@pytest.mark.parametrize("symbolic", [(0,), (0, 1, 2, 3)])
def test_program_equals_the_eager_call(
    kind: Any, data_format: str, padding: str, strides: Any, symbolic: Any
) -> None:
    layer = kind(2, strides, padding, data_format=data_format)
    agree(layer, values(2, 5, 6, 7), symbolic)


@pytest.mark.parametrize("kind", GLOBAL)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first", None])
@pytest.mark.parametrize("keepdims", [False, True])
def test_whole_images(kind: Any, data_format: str | None, keepdims: bool) -> None:
    x = values(2, 5, 6, 7)
    axes = (2, 3) if data_format == "channels_first" else (1, 2)
    reduce = np.max if kind is nn.GlobalMaxPooling2D else np.mean
    layer = kind(data_format=data_format, keepdims=keepdims)
    close(layer(x), reduce(x.astype(float), axis=axes, keepdims=keepdims))
    agree(layer, x)
    agree(layer, x, (0, 1, 2, 3))


def test_defaults_are_those_of_keras() -> None:
    for kind in WINDOWS:
        layer = kind()
        assert (layer.pool_size, layer.strides, layer.padding) == ((2, 2), (2, 2), "valid")
        assert layer.data_format == "channels_last"


def test_integers_have_a_largest() -> None:
    x = np.arange(32).reshape(1, 4, 4, 2)
    same(nn.MaxPooling2D()(x), x[:, 1::2, 1::2])
    same(nn.GlobalMaxPooling2D()(x), x.max((1, 2)))


def test_text() -> None:
    assert text(gx.trace(nn.MaxPooling2D(), gx.TensorSpec(("batch", "h", "w", 3)))) == (
        "graph max_pooling2d (x: float32[batch, h, w, 3])\n"
        "  %1 = Transpose(x, perm=[0, 3, 1, 2])\n"
        "  %2 = MaxPool(%1, kernel_shape=[2, 2], strides=[2, 2])\n"
        "  %3 = Transpose(%2, perm=[0, 2, 3, 1])\n"
        "  return %3"
    )


PAIR = "a positive integer, or two of them (height, width)"


@pytest.mark.parametrize("kind", WINDOWS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pool_size": 0}, f"pool_size is {PAIR}, got 0"),
        ({"pool_size": (1, 2, 3)}, f"pool_size is {PAIR}, got (1, 2, 3)"),
        ({"strides": -1}, f"strides is {PAIR}, got -1"),
        (
            {"padding": "Valid"},
            "padding is one of 'same', 'valid', got 'Valid'; did you mean 'valid'?",
        ),
        (
            {"data_format": "NHWC"},
            "data_format is one of 'channels_first', 'channels_last', got 'NHWC'",
        ),
    ],
)
def test_bad_arguments(kind: Any, options: Any, message: str) -> None:
    refused(lambda: kind(**options), f"{kind.__name__}: {message}")


@pytest.mark.parametrize("kind", WINDOWS + GLOBAL)
def test_bad_inputs(kind: Any) -> None:
    name = kind.__name__
    layer = kind(name="pool")
    message = f"pool: {name} takes a tensor [batch, height, width, channels], got [4, 4] with 2"
    refused(lambda: layer(values(4, 4)), f"{message} dimensions")
    refused(lambda: gx.trace(layer, gx.TensorSpec((4, 4))), f"{message} dimensions")
    refused(
        lambda: layer([values(1, 4, 4, 1)]),
        f"pool: {name} takes one tensor [batch, height, width, channels], got a list of 1",
    )


@pytest.mark.parametrize("kind", WINDOWS)
def test_an_image_smaller_than_a_window(kind: Any) -> None:
    with pytest.raises(gx.ShapeError, match="the kernel spans 5 of axis 3"):
        kind(5)(values(1, 5, 4, 1))
