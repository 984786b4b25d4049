"""`UpSampling` and `Resizing`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphctx as gx
from graphctx import nn
from tests.nn.common import agree, close, refused, same, text, values

INTERPOLATIONS = ["nearest", "bilinear", "bicubic"]
UPSAMPLING: dict[int, Any] = {1: nn.UpSampling1D, 2: nn.UpSampling2D, 3: nn.UpSampling3D}


def traced(layer: Any, *shape: Any) -> list[str]:
    """The lines of a graph between its inputs and what it returns."""
    return text(gx.trace(layer, gx.TensorSpec(shape))).splitlines()[1:-1]


# -- whole factors --------------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    space=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    size=st.lists(st.integers(1, 4), min_size=3, max_size=3),
    channels_last=st.booleans(),
)
def test_elements_are_repeated(space: list[int], size: list[int], channels_last: bool) -> None:
    rank = len(space)
    x = values(2, *space, 3) if channels_last else values(2, 3, *space)
    y = UPSAMPLING[rank](size[:rank], "channels_last" if channels_last else "channels_first")(x)
    for axis, times in enumerate(size[:rank], start=1 if channels_last else 2):
        x = x.repeat(times, axis)
    same(y, x)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("size", [2, (1, 3)])
def test_upsampling_programs(interpolation: str, data_format: str, size: Any) -> None:
    layer = nn.UpSampling2D(size, data_format, interpolation)
    agree(layer, values(2, 5, 4, 3))
    agree(layer, values(2, 5, 4, 3), (0, 1, 2, 3))


@pytest.mark.parametrize("rank", [1, 3])
def test_upsampling_programs_of_sequences_and_volumes(rank: int) -> None:
    x = values(2, *(3, 4, 5)[:rank], 2)
    agree(UPSAMPLING[rank](), x, tuple(range(x.ndim)))


def test_upsampling_text() -> None:
    assert traced(nn.UpSampling2D((2, 3)), "batch", "h", "w", 4) == [
        "  %1 = Transpose(x, perm=[0, 3, 1, 2])",
        (
            "  %2 = Resize(%1, none, [1, 1, 2, 3], coordinate_transformation_mode=asymmetric, "
            "nearest_mode=floor)"
        ),
        "  %3 = Transpose(%2, perm=[0, 2, 3, 1])",
    ]
    assert traced(nn.UpSampling2D(2, "channels_first", "bilinear"), "batch", 4, "h", "w") == [
        "  %1 = Resize(x, none, [1, 1, 2, 2], mode=linear)"
    ]
    assert traced(nn.UpSampling2D(2, "channels_first", "bicubic"), "batch", 4, "h", "w") == [
        "  %1 = Resize(x, none, [1, 1, 2, 2], cubic_coeff_a=-0.5, exclude_outside=1, mode=cubic)"
    ]
    assert traced(nn.UpSampling1D(1), "batch", "t", 3) == []
    graph = gx.trace(nn.UpSampling3D((1, 2, 3)), gx.TensorSpec(("batch", "d", "h", 5, 2)))
    assert str(graph.outputs[0].spec) == "float32[batch, d, 2*h, 15, 2]"


# -- any size -------------------------------------------------------------------------------------


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("size", [(3, 7), (11, 2), (1, 1), (6, 5)])
@pytest.mark.parametrize("antialias", [False, True])
def test_resizing_programs(
    interpolation: str, data_format: str, size: Any, antialias: bool
) -> None:
    layer = nn.Resizing(*size, interpolation, antialias=antialias, data_format=data_format)
    x = values(2, 6, 5, 3)
    agree(layer, x)
    agree(layer, x, (0, 1, 2, 3))
    agree(layer, x[0], (0, 1, 2))
    assert layer(x).shape == ((2, *size, 3) if data_format == "channels_last" else (2, 6, *size))


@settings(max_examples=40)
@given(old=st.integers(1, 200), new=st.integers(1, 200))
def test_nearest_is_exact(old: int, new: int) -> None:
    x = np.arange(old, dtype=np.float32).reshape(1, old, 1, 1)
    expected = [(2 * i + 1) * old // (2 * new) for i in range(new)]
    assert nn.Resizing(new, 1, "nearest")(x).reshape(-1).tolist() == expected


def test_an_image_of_its_own_size_stays_as_it_is() -> None:
    x = values(2, 6, 5, 3)
    for interpolation in INTERPOLATIONS:
        same(nn.Resizing(6, 5, interpolation)(x), x)


def test_resizing_text() -> None:
    assert traced(nn.Resizing(4, 6), "batch", 8, 8, 3) == [
        "  %1 = Transpose(x, perm=[0, 3, 1, 2])",
        "  %2 = Resize(%1, none, [1, 1, 0.5, 0.75], mode=linear)",
        "  %3 = Transpose(%2, perm=[0, 2, 3, 1])",
    ]
    assert traced(nn.Resizing(2, 2, "nearest"), "batch", 6, 8, 3) == [
        "  %1 = Gather(x, [1, 4], axis=1)",
        "  %2 = Gather(%1, [2, 6], axis=2)",
    ]
    graph = gx.trace(nn.Resizing(4, 6), gx.TensorSpec(("batch", "h", "w", 3)))
    assert str(graph.outputs[0].spec) == "float32[batch, 4, 6, 3]"


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_symbolic_sizes_in_files(interpolation: str, tmp_path: Any) -> None:
    # onnxruntime has no bicubic that makes a channels-last image smaller.
    layer = nn.Resizing(9, 12, interpolation, data_format="channels_first")
    graph = gx.trace(layer, gx.TensorSpec(("batch", 2, "h", "w")))
    gx.export(gx.compile(graph), tmp_path / "resizing.onnx")


def test_preprocessing_of_bytes(tmp_path: Any) -> None:
    model = nn.Sequential([nn.Resizing(7, 9), nn.Rescaling(1 / 255), nn.Conv2D(2, 3)])
    graph = gx.trace(model, gx.TensorSpec(("batch", "h", "w", 3), "uint8"))
    x = np.random.default_rng(0).integers(0, 256, (2, 11, 8, 3), "uint8")
    close(gx.compile(graph)(x), model(x))
    gx.export(gx.compile(graph), tmp_path / "model.onnx")


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32"])
def test_integers_are_rounded(dtype: str) -> None:
    x = np.array([0, 255, 0, 255, 255, 0], dtype).reshape(1, 6, 1, 1)
    y = agree(nn.Resizing(9, 1), x)
    assert y.dtype == dtype
    same(y, np.round(nn.Resizing(9, 1)(x.astype("float32"))).astype(dtype))


def test_bicubic_does_not_leave_the_range_of_bytes() -> None:
    x = np.array([0, 0, 255, 255, 0, 0], "uint8").reshape(1, 6, 1, 1)
    wide = nn.Resizing(12, 1, "bicubic")(x.astype("float32"))
    assert wide.min() < 0
    assert wide.max() > 255
    y = agree(nn.Resizing(12, 1, "bicubic"), x)
    same(y, np.clip(np.round(wide), 0, 255).astype("uint8"))
    layer = nn.UpSampling2D((2, 1), interpolation="bicubic")
    same(layer(x), y)


# -- proportions ----------------------------------------------------------------------------------


def test_cropping_keeps_the_middle() -> None:
    x = np.arange(8, dtype=np.float32).reshape(1, 1, 8, 1).repeat(4, 1)
    layer = nn.Resizing(4, 4, crop_to_aspect_ratio=True)
    same(layer(x), x[:, :, 2:6])
    agree(layer, x)
    assert traced(layer, "batch", 4, 8, 1)[0] == "  %1 = Slice(x, [2], [6], [2])"


def test_padding_adds_at_both_ends() -> None:
    x = values(1, 4, 8, 1)
    layer = nn.Resizing(8, 8, pad_to_aspect_ratio=True, fill_value=2.5)
    same(layer(x), np.pad(x, [(0, 0), (2, 2), (0, 0), (0, 0)], constant_values=2.5))
    agree(layer, x)


@pytest.mark.parametrize("what", ["crop", "pad"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("size", [(3, 7), (8, 2)])
def test_proportions_in_programs(what: str, data_format: str, size: Any) -> None:
    keep = {f"{what}_to_aspect_ratio": True}
    agree(nn.Resizing(*size, **keep, data_format=data_format), values(2, 6, 5, 9))


# -- bad input ------------------------------------------------------------------------------------

KNOWN = "interpolation is one of 'bicubic', 'bilinear', 'nearest'"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.UpSampling1D(0), "UpSampling1D: size is a positive integer, got 0"),
        (
            lambda: nn.UpSampling2D((2, 1.5)),
            (
                "UpSampling2D: size is a positive integer, or two of them (height, width), got "
                "(2, 1.5)"
            ),
        ),
        (
            lambda: nn.UpSampling2D(interpolation="linear"),
            f"UpSampling2D: {KNOWN}, got 'linear'; did you mean 'bilinear'?",
        ),
        (
            lambda: nn.UpSampling2D(interpolation="lanczos3"),
            "UpSampling2D: ONNX's Resize has no interpolation 'lanczos3'; take 'bicubic'",
        ),
        (
            lambda: nn.UpSampling3D(2, "last"),
            ("UpSampling3D: data_format is one of 'channels_first', 'channels_last', got 'last'"),
        ),
        (lambda: nn.Resizing(0, 3), "Resizing: height is a positive integer, got 0"),
        (lambda: nn.Resizing(3, "3"), "Resizing: width is a positive integer, got '3'"),
        (
            lambda: nn.Resizing(3, 3, "area"),
            f"Resizing: {KNOWN}, got 'area'; did you mean 'nearest'?",
        ),
        (
            lambda: nn.Resizing(3, 3, "lanczos5"),
            "Resizing: ONNX's Resize has no interpolation 'lanczos5'; take 'bicubic'",
        ),
        (
            lambda: nn.Resizing(3, 3, fill_mode="edge"),
            "Resizing: fill_mode is one of 'constant', got 'edge'",
        ),
        (
            lambda: nn.Resizing(3, 3, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True),
            "Resizing: crop_to_aspect_ratio and pad_to_aspect_ratio exclude each other",
        ),
        (
            lambda: nn.UpSampling2D()(values(4, 4, 3)),
            (
                "up_sampling2d: UpSampling2D takes a tensor [batch, height, width, channels], got "
                "[4, 4, 3] with 3 dimensions"
            ),
        ),
        (
            lambda: nn.Resizing(3, 3)(values(4, 4)),
            (
                "resizing: Resizing takes a tensor [batch, height, width, channels] or [height, "
                "width, channels], got [4, 4] with 2 dimensions"
            ),
        ),
        (
            lambda: nn.Resizing(3, 3)(np.ones((1, 4, 4, 1), bool)),
            (
                "resizing: Resizing takes a tensor of floats, got bool; convert it with "
                "ops.astype(x, 'float32')"
            ),
        ),
        (
            lambda: gx.trace(
                nn.Resizing(3, 3, crop_to_aspect_ratio=True), gx.TensorSpec(("batch", "h", 8, 3))
            ),
            (
                "resizing: Resizing needs numbers as height and width to keep an aspect ratio, got "
                "[batch, h, 8, 3]; give these dimensions numbers in the TensorSpec"
            ),
        ),
    ],
)
def test_refused(make: Any, message: str) -> None:
    refused(make, message)
