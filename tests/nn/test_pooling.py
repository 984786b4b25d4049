"""Pooling over windows, over all of space, and over as many windows as are wanted."""

from __future__ import annotations

import re
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
    layer = kind(5)
    refused(
        lambda: layer(values(1, 5, 4, 1)),
        f"{layer.name}: {kind.__name__} has windows of 5 along the axis width, where the input has "
        f"4; use padding='same', or a larger input",
    )


# -- sequences and volumes ------------------------------------------------------------------------


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(
    ("kind", "space"),
    [
        (nn.MaxPooling1D, (7,)),
        (nn.AveragePooling1D, (7,)),
        (nn.MaxPooling3D, (3, 4, 5)),
        (nn.AveragePooling3D, (3, 4, 5)),
    ],
)
def test_programs_equal_eager_calls(kind: Any, space: Any, padding: str, data_format: str) -> None:
    layer = kind(3, 2, padding, data_format)
    x = values(2, *space, 3) if data_format == "channels_last" else values(2, 3, *space)
    agree(layer, x)
    agree(layer, x, tuple(range(x.ndim)))


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize(
    ("kind", "reduce", "space"),
    [
        (nn.GlobalMaxPooling1D, np.max, (7,)),
        (nn.GlobalAveragePooling1D, np.mean, (7,)),
        (nn.GlobalMaxPooling3D, np.max, (3, 4, 5)),
        (nn.GlobalAveragePooling3D, np.mean, (3, 4, 5)),
    ],
)
def test_all_of_space(kind: Any, reduce: Any, space: Any, keepdims: bool) -> None:
    for data_format in ("channels_last", "channels_first"):
        last = data_format == "channels_last"
        x = values(2, *space, 3) if last else values(2, 3, *space)
        axes = tuple(range(1, kind.rank + 1)) if last else tuple(range(2, kind.rank + 2))
        layer = kind(data_format, keepdims)
        close(agree(layer, x, tuple(range(x.ndim))), reduce(x, axes, keepdims=keepdims))


class Masked(gx.Layer):
    """One input for `agree`: the mask is what is positive in the first channel."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer

    def call(self, x: Any) -> Any:
        first = self.layer.data_format == "channels_first"
        return self.layer(x, mask=(x[:, 0] if first else x[:, :, 0]) > 0)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("keepdims", [False, True])
def test_masked_mean(data_format: str, keepdims: bool) -> None:
    layer = nn.GlobalAveragePooling1D(data_format, keepdims)
    last = data_format == "channels_last"
    x = values(4, 9, 3) if last else values(4, 3, 9)
    mask = (x[:, :, 0] if last else x[:, 0]) > 0
    expected = np.stack([
        row[m].mean(0) for row, m in zip(x if last else x.swapaxes(1, 2), mask, strict=True)
    ])  # fmt: skip
    if keepdims:
        expected = np.expand_dims(expected, 1 if last else 2)
    close(layer(x, mask=mask), expected)
    close(layer(x, mask=mask.astype("float32")), expected)
    agree(Masked(layer), x, (0, 1, 2))


def test_a_mask_hides_what_is_no_number() -> None:
    x = values(1, 3, 2)
    x[:, 2] = np.nan
    mask = np.array([[True, True, False]])
    close(nn.GlobalAveragePooling1D()(x, mask=mask), x[:, :2].mean(1))


def test_bad_masks() -> None:
    layer = nn.GlobalAveragePooling1D()
    x = values(2, 5, 3)
    refused(
        lambda: layer(x, mask=np.ones((2, 3), bool)),
        "global_average_pooling1d: GlobalAveragePooling1D takes a mask that broadcasts to [2, 5], "
        "got [2, 3]",
    )
    refused(
        lambda: layer(x, mask=np.ones(5, bool)),
        "global_average_pooling1d: GlobalAveragePooling1D takes a mask that broadcasts to [2, 5], "
        "got [5]",
    )


# -- as many windows as are wanted ----------------------------------------------------------------


ADAPTIVE = {
    1: (nn.AdaptiveAveragePooling1D, nn.AdaptiveMaxPooling1D),
    2: (nn.AdaptiveAveragePooling2D, nn.AdaptiveMaxPooling2D),
    3: (nn.AdaptiveAveragePooling3D, nn.AdaptiveMaxPooling3D),
}


def adapted(x: Any, counts: Any, reduce: Any) -> Any:
    """The definition, one window at a time: [batch, space..., channels]."""
    y = np.zeros((x.shape[0], *counts, x.shape[-1]))
    for place in np.ndindex(*counts):
        window = tuple(
            slice(i * n // m, -(-(i + 1) * n // m))
            for i, m, n in zip(place, counts, x.shape[1:-1], strict=True)
        )
        axes = tuple(range(1, x.ndim - 1))
        y[(slice(None), *place)] = reduce(x[(slice(None), *window)].astype(float), axis=axes)
    return y


@settings(max_examples=60)
@given(
    space=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    counts=st.lists(st.integers(1, 10), min_size=3, max_size=3),
    largest=st.booleans(),
    channels_last=st.booleans(),
)
def test_adaptive_formula(
    space: list[int], counts: list[int], largest: bool, channels_last: bool
) -> None:
    rank = len(space)
    counts = counts[:rank]
    x = values(2, *space, 2)
    layer = ADAPTIVE[rank][largest](counts, "channels_last" if channels_last else "channels_first")
    expected = adapted(x, counts, np.max if largest else np.mean)
    y = layer(x if channels_last else np.moveaxis(x, -1, 1))
    close(y if channels_last else np.moveaxis(y, 1, -1), expected)


@pytest.mark.parametrize("size", [1, (2, 3), (5, 4), (3, 5), (10, 4)])
@pytest.mark.parametrize("kind", ADAPTIVE[2])
def test_adaptive_programs_equal_eager_calls(kind: Any, size: Any) -> None:
    agree(kind(size), values(2, 5, 8, 3), (0,))


def test_all_of_space_may_be_symbolic() -> None:
    x = values(2, 5, 8, 3)
    y = agree(nn.AdaptiveAveragePooling2D(1), x, (0, 1, 2))
    close(y, x.mean((1, 2), keepdims=True))


def test_infinity_stays_in_its_windows() -> None:
    x = values(1, 5, 1)
    x[0, 0] = np.inf
    for size in (2, 3, 4):
        y = nn.AdaptiveAveragePooling1D(size)(x)[0, :, 0]
        assert np.isinf(y[0])
        assert np.isfinite(y[1:]).all()


@pytest.mark.parametrize(
    ("size", "lines"),
    [
        (1, ["  %1 = ReduceMax(x, [2, 3])"]),
        (4, ["  %1 = MaxPool(x, kernel_shape=[2, 3], strides=[2, 3])"]),
        (
            (3, 5),
            [
                "  %1 = Gather(x, [3, 4], axis=2)",
                "  %2 = ReduceMax(%1, [3], keepdims=0)",
                "  %3 = Gather(%2, [5, 4], axis=3)",
                "  %4 = ReduceMax(%3, [4], keepdims=0)",
            ],
        ),
        # Windows of one size may overlap.
        ((7, 4), ["  %1 = MaxPool(x, kernel_shape=[2, 3], strides=[1, 3])"]),
        (
            (4, 5),
            [
                "  %1 = MaxPool(x, kernel_shape=[2, 1], strides=[2, 1])",
                "  %2 = Gather(%1, [5, 4], axis=3)",
                "  %3 = ReduceMax(%2, [4], keepdims=0)",
            ],
        ),
    ],
)
def test_adaptive_text(size: Any, lines: list[str]) -> None:
    layer = nn.AdaptiveMaxPooling2D(size, "channels_first")
    found = text(gx.trace(layer, gx.TensorSpec(("batch", 2, 8, 12))))
    shapes = re.sub(r"constant\(int64(\[.*?\]).*?\)", r"\1", found)
    assert shapes.splitlines()[1:-1] == lines


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: nn.AdaptiveMaxPooling1D(0),
            "AdaptiveMaxPooling1D: output_size is a positive integer, got 0",
        ),
        (
            lambda: nn.AdaptiveAveragePooling3D((1, 2)),
            (
                "AdaptiveAveragePooling3D: output_size is a positive integer, or three of them "
                "(depth, height, width), got (1, 2)"
            ),
        ),
        (
            lambda: nn.AdaptiveAveragePooling2D(2, "first"),
            (
                "AdaptiveAveragePooling2D: data_format is one of 'channels_first', "
                "'channels_last', got 'first'; did you mean 'channels_first'?"
            ),
        ),
        (
            lambda: nn.AdaptiveAveragePooling2D(2)(np.ones((1, 4, 4, 1), np.complex64)),
            (
                "adaptive_average_pooling2d: AdaptiveAveragePooling2D takes a tensor of numbers, "
                "got complex64"
            ),
        ),
        (
            lambda: gx.trace(nn.AdaptiveMaxPooling2D(2), gx.TensorSpec(("batch", "h", 8, 3))),
            (
                "adaptive_max_pooling2d: AdaptiveMaxPooling2D needs to know the sizes of its "
                "windows, but a size of space of [batch, h, 8, 3] is symbolic; give it a number in "
                "the TensorSpec"
            ),
        ),
        (
            lambda: nn.MaxPooling1D((2, 2)),
            "MaxPooling1D: pool_size is a positive integer, got (2, 2)",
        ),
        (
            lambda: nn.AveragePooling3D(2)(values(1, 4, 4, 1)),
            (
                "average_pooling3d: AveragePooling3D takes a tensor [batch, depth, height, width, "
                "channels], got [1, 4, 4, 1] with 4 dimensions"
            ),
        ),
    ],
)
def test_refused(make: Any, message: str) -> None:
    refused(make, message)


@pytest.mark.parametrize(
    "layer",
    [
        nn.AveragePooling1D(2),
        nn.GlobalAveragePooling1D(),
        nn.AdaptiveAveragePooling1D(3),
    ],
)
@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool"])
def test_means_of_integers_are_float32_as_in_keras(layer: Any, dtype: str) -> None:
    x = (np.arange(24).reshape(2, 4, 3) % 7).astype(dtype)
    same(agree(layer, x), layer(x.astype(np.float32)))
