"""Random arguments of the layers over space, compared with the Keras that is installed.

Fixed ones are compared with fixtures, in `tests/nn/parity`.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from graphctx import nn
from tests.nn.common import values
from tests.nn.test_keras_parity import compare

pytestmark = pytest.mark.filterwarnings("ignore")

FORMATS = st.sampled_from(["channels_last", "channels_first"])
PADDINGS = st.sampled_from(["valid", "same"])
# Keras's NumPy backend compiles each example with XLA, which is what takes the time.
some = settings(max_examples=40)
few = settings(max_examples=20)


def image(data_format: str, *space: int, channels: int = 2) -> Any:
    last = data_format == "channels_last"
    return values(2, *space, channels) if last else values(2, channels, *space)


@some
@given(
    size=st.integers(1, 6),
    kernel_size=st.integers(1, 5),
    strides=st.integers(1, 4),
    dilation_rate=st.integers(1, 3),
    padding=PADDINGS,
    output_padding=st.none() | st.integers(0, 3),
    data_format=FORMATS,
)
def test_transposed_convolution(
    size: int, kernel_size: int, strides: int, dilation_rate: int, padding: str,
    output_padding: int | None, data_format: str,
) -> None:  # fmt: skip
    assume(strides == 1 or dilation_rate == 1)
    assume(output_padding is None or output_padding < strides)
    # Of one element, "same" may leave nothing, which we refuse.
    assume(size > 1 or padding == "valid" or output_padding is None)
    compare(
        nn.Conv1DTranspose, image(data_format, size), filters=3, kernel_size=kernel_size,
        strides=strides, dilation_rate=dilation_rate, padding=padding,
        output_padding=output_padding, data_format=data_format,
    )  # fmt: skip


@some
@given(
    space=st.tuples(st.integers(1, 5), st.integers(1, 4)),
    kernel_size=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=PADDINGS,
    data_format=FORMATS,
)
def test_transposed_convolution_of_images(
    space: Any, kernel_size: Any, strides: Any, padding: str, data_format: str
) -> None:
    compare(
        nn.Conv2DTranspose, image(data_format, *space), filters=2, kernel_size=kernel_size,
        strides=strides, padding=padding, data_format=data_format,
    )  # fmt: skip


@few
@given(
    space=st.tuples(st.integers(1, 7), st.integers(1, 6)),
    kernel_size=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    strides=st.integers(1, 3),
    dilation_rate=st.tuples(st.integers(1, 2), st.integers(1, 3)),
    depth_multiplier=st.integers(1, 3),
    padding=PADDINGS,
    separable=st.booleans(),
    data_format=FORMATS,
)
def test_depthwise_and_separable_convolution(
    space: Any, kernel_size: Any, strides: int, dilation_rate: Any, depth_multiplier: int,
    padding: str, separable: bool, data_format: str,
) -> None:  # fmt: skip
    extents = [(k - 1) * d + 1 for k, d in zip(kernel_size, dilation_rate, strict=True)]
    assume(padding == "same" or all(e <= n for e, n in zip(extents, space, strict=True)))
    options = {
        "kernel_size": kernel_size, "strides": strides, "dilation_rate": dilation_rate,
        "depth_multiplier": depth_multiplier, "padding": padding, "data_format": data_format,
    }  # fmt: skip
    x = image(data_format, *space)
    if separable:
        compare(nn.SeparableConv2D, x, filters=3, **options)
    else:
        compare(nn.DepthwiseConv2D, x, **options)


@few
@given(
    size=st.integers(1, 9),
    kernel_size=st.integers(1, 4),
    strides=st.integers(1, 3),
    dilation_rate=st.integers(1, 3),
    data_format=FORMATS,
)
def test_causal_convolution(
    size: int, kernel_size: int, strides: int, dilation_rate: int, data_format: str
) -> None:
    assume(strides == 1 or dilation_rate == 1)
    compare(
        nn.Conv1D, image(data_format, size), filters=3, kernel_size=kernel_size, strides=strides,
        dilation_rate=dilation_rate, padding="causal", data_format=data_format,
    )  # fmt: skip


@few
@given(
    space=st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 5)),
    pool_size=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 3)),
    strides=st.none() | st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 2)),
    padding=PADDINGS,
    largest=st.booleans(),
    data_format=FORMATS,
)
def test_pooling_of_volumes(
    space: Any, pool_size: Any, strides: Any, padding: str, largest: bool, data_format: str
) -> None:
    assume(padding == "same" or all(k <= n for k, n in zip(pool_size, space, strict=True)))
    compare(
        nn.MaxPooling3D if largest else nn.AveragePooling3D, image(data_format, *space),
        pool_size=pool_size, strides=strides, padding=padding, data_format=data_format,
    )  # fmt: skip


@some
@given(
    space=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    output_size=st.tuples(st.integers(1, 13), st.integers(1, 13)),
    largest=st.booleans(),
    data_format=FORMATS,
)
def test_adaptive_pooling(space: Any, output_size: Any, largest: bool, data_format: str) -> None:
    compare(
        nn.AdaptiveMaxPooling2D if largest else nn.AdaptiveAveragePooling2D,
        image(data_format, *space), output_size=output_size, data_format=data_format,
    )  # fmt: skip


@some
@given(
    space=st.tuples(st.integers(1, 40), st.integers(1, 9)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 12)),
    interpolation=st.sampled_from(["nearest", "bilinear", "bicubic"]),
    antialias=st.booleans(),
    aspect_ratio=st.sampled_from(["stretch", "crop", "pad"]),
    data_format=FORMATS,
)
def test_resizing(
    space: Any, size: Any, interpolation: str, antialias: bool, aspect_ratio: str,
    data_format: str,
) -> None:  # fmt: skip
    keep = {} if aspect_ratio == "stretch" else {f"{aspect_ratio}_to_aspect_ratio": True}
    compare(
        nn.Resizing, image(data_format, *space), height=size[0], width=size[1],
        interpolation=interpolation, antialias=antialias, data_format=data_format, **keep,
        tolerance=1e-4,
    )  # fmt: skip
