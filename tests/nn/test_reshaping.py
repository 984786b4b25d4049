"""Layers that change the shape of their input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphctx as gx
from graphctx import nn
from tests.nn.common import agree, refused, same, text, values


@settings(max_examples=30)
@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_flatten(shape: list[int]) -> None:
    x = values(*shape)
    same(nn.Flatten()(x), x.reshape(shape[0], -1))
    moved = np.moveaxis(x, 1, -1) if len(shape) > 1 else x
    same(nn.Flatten("channels_first")(x), moved.reshape(shape[0], -1))


@pytest.mark.parametrize("shape", [(3,), (3, 4), (3, 4, 5), (3, 4, 5, 2)])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first", None])
def test_flatten_programs(shape: Any, data_format: Any) -> None:
    layer = nn.Flatten(data_format)
    agree(layer, values(*shape), ())
    agree(layer, values(*shape), (0,))
    agree(layer, values(*shape), tuple(range(len(shape))))


def test_flatten_of_any_dtype() -> None:
    x = np.arange(24).reshape(2, 3, 4)
    same(nn.Flatten()(x), x.reshape(2, 12))


def test_flatten_of_an_empty_batch() -> None:
    assert nn.Flatten()(values(0, 3, 4)).shape == (0, 12)
    program = gx.compile(gx.trace(nn.Flatten(), gx.TensorSpec(("batch", 3, 4))))
    assert program(values(0, 3, 4)).shape == (0, 12)


def test_flatten_knows_sizes_where_it_can() -> None:
    graph = gx.trace(nn.Flatten(), gx.TensorSpec(("batch", 3, "width")))
    assert str(graph.returns.values[0].spec) == "float32[batch, 3*width]"
    assert text(graph) == (
        "graph flatten (x: float32[batch, 3, width])\n  %1 = Flatten(x)\n  return %1"
    )


def test_flatten_errors() -> None:
    refused(
        lambda: nn.Flatten("channel_last"),
        "Flatten: data_format is one of 'channels_first', 'channels_last', got 'channel_last'; did "
        "you mean 'channels_last'?",
    )
    refused(
        lambda: nn.Flatten()(np.float32(1)),
        "flatten: Flatten takes a tensor [batch, ...], got [] with 0 dimensions",
    )
    refused(
        lambda: nn.Flatten()([values(1, 2)]),
        "flatten: Flatten takes one tensor [batch, ...], got a list of 1",
    )


def traced(layer: Any, *shape: Any) -> list[str]:
    """The lines of a graph between its inputs and what it returns."""
    return text(gx.trace(layer, gx.TensorSpec(shape))).splitlines()[1:-1]


# -- the same elements in another order or shape --------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "target"),
    [
        ((2, 12), (3, 4)),
        ((2, 3, 4), (-1,)),
        ((2, 3, 4), (4, -1, 1)),
        ((2, 1), ()),
        ((2,), (1, 1)),
        ((0, 3, 4), (-1, 2)),
        ((2, 0, 4), (0, 3)),
    ],
)
def test_reshape(shape: Any, target: Any) -> None:
    layer = nn.Reshape(target)
    x = values(*shape)
    elements = int(np.prod(shape[1:]))
    known = int(np.prod([n for n in target if n != -1]))
    wanted = (shape[0], *(elements // known if n == -1 else n for n in target))
    same(agree(layer, x), x.reshape(wanted))


def test_reshape_text() -> None:
    assert traced(nn.Reshape((3, 4)), "batch", 12) == ["  %1 = Reshape(x, [-1, 3, 4])"]
    assert traced(nn.Reshape((-1, 4)), "batch", 12) == ["  %1 = Reshape(x, [-1, 3, 4])"]
    assert traced(nn.Reshape((-1, 4)), "batch", "n", 4) == []
    assert traced(nn.Reshape((-1, 2)), "batch", "n", 4) == ["  %1 = Reshape(x, [0, -1, 2])"]
    assert traced(nn.Reshape((12,)), "batch", 12) == []
    agree(nn.Reshape((-1, 2)), values(2, 3, 4), (0, 1))


@settings(max_examples=30)
@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4), random=st.randoms())
def test_permute(sizes: list[int], random: Any) -> None:
    dims = list(range(1, len(sizes) + 1))
    random.shuffle(dims)
    x = values(2, *sizes)
    same(nn.Permute(dims)(x), x.transpose(0, *dims))


def test_permute_text() -> None:
    assert traced(nn.Permute((2, 1)), "batch", "n", 3) == ["  %1 = Transpose(x, perm=[0, 2, 1])"]
    assert traced(nn.Permute((1, 2)), "batch", "n", 3) == []
    agree(nn.Permute((3, 1, 2)), values(2, 3, 4, 5), (0, 1, 2, 3))


def test_repeat_vector() -> None:
    x = values(3, 2)
    y = agree(nn.RepeatVector(4), x, (0, 1))
    assert y.shape == (3, 4, 2)
    same(y, np.repeat(x[:, None], 4, axis=1))
    assert traced(nn.RepeatVector(4), "batch", "n") == [
        "  %1 = Unsqueeze(x, [1])",
        "  %2 = Expand(%1, [1, 4, 1])",
    ]


# -- what lies around -----------------------------------------------------------------------------

SIDES: dict[int, list[tuple[Any, Any]]] = {
    1: [(1, [(1, 1)]), ((0, 2), [(0, 2)]), (0, [(0, 0)])],
    2: [
        (1, [(1, 1), (1, 1)]),
        ((2, 0), [(2, 2), (0, 0)]),
        (((0, 1), (2, 0)), [(0, 1), (2, 0)]),
        ((1, [0, 2]), [(1, 1), (0, 2)]),
    ],
    3: [(1, [(1, 1)] * 3), ((0, (1, 0), 2), [(0, 0), (1, 0), (2, 2)])],
}
BORDERS = [(rank, given, sides) for rank, cases in SIDES.items() for given, sides in cases]


def around(rank: int, sides: Any, data_format: str) -> list[Any]:
    if data_format == "channels_last":
        return [(0, 0), *sides, (0, 0)]
    return [(0, 0), (0, 0), *sides]


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(("rank", "given", "sides"), BORDERS)
def test_zero_padding(rank: int, given: Any, sides: Any, data_format: str) -> None:
    layer = getattr(nn, f"ZeroPadding{rank}D")(given, data_format)
    x = values(*(2, 3, 4, 5, 6)[: rank + 2])
    y = agree(layer, x)
    same(y, np.pad(x, around(rank, sides, data_format)))
    agree(layer, x, tuple(range(x.ndim)))
    assert nn.ZeroPadding1D((2, 1)).padding == ((2, 1),)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(("rank", "given", "sides"), BORDERS)
def test_cropping(rank: int, given: Any, sides: Any, data_format: str) -> None:
    layer = getattr(nn, f"Cropping{rank}D")(given, data_format)
    x = values(*(5, 6, 7, 8, 9)[: rank + 2])
    ends = around(rank, sides, data_format)
    expected = x[tuple(slice(b, n - a) for n, (b, a) in zip(x.shape, ends, strict=True))]
    same(agree(layer, x), expected)
    agree(layer, x, tuple(range(x.ndim)))


def test_defaults_are_those_of_keras() -> None:
    assert nn.Cropping1D().cropping == ((1, 1),)
    assert nn.Cropping2D().cropping == ((0, 0), (0, 0))
    assert nn.Cropping3D().cropping == ((1, 1),) * 3
    assert nn.ZeroPadding3D().padding == ((1, 1),) * 3


def test_border_text() -> None:
    assert traced(nn.ZeroPadding2D(((0, 1), (2, 3))), "batch", "h", 4, 3) == [
        "  %1 = Pad(x, [0, 0, 2, 0, 0, 1, 3, 0])"
    ]
    assert traced(nn.ZeroPadding2D(0), "batch", "h", 4, 3) == []
    graph = gx.trace(nn.Cropping2D(((1, 2), (0, 1))), gx.TensorSpec(("batch", "h", 4, 3)))
    assert text(graph).splitlines()[1:-1] == ["  %1 = Slice(x, [1, 0], [-2, 3], [1, 2])"]
    assert str(graph.outputs[0].spec) == "float32[batch, h - 3, 3, 3]"
    assert traced(nn.Cropping2D(), "batch", "h", 4, 3) == []


def test_any_dtype() -> None:
    x = np.arange(12, dtype="int64").reshape(1, 3, 4)
    same(nn.ZeroPadding1D()(x), np.pad(x, [(0, 0), (1, 1), (0, 0)]))
    same(nn.Cropping1D()(x), x[:, 1:-1])
    same(nn.RepeatVector(2)(x[0] > 3), np.repeat(x[0, :, None] > 3, 2, 1))


SHAPE = "target_shape is a tuple of integers that are at least 0, or -1 for one of them"
ENDS = "an integer that is at least 0, or two (before, after)"
EACH_2 = f"{ENDS}, one or two for each of (height, width)"
EACH_3 = f"{ENDS}, one or two for each of (depth, height, width)"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Reshape(3), f"Reshape: {SHAPE}, got 3"),
        (lambda: nn.Reshape((3, -2)), f"Reshape: {SHAPE}, got (3, -2)"),
        (lambda: nn.Reshape((-1, -1)), f"Reshape: {SHAPE}, got (-1, -1)"),
        (lambda: nn.Reshape((2.0,)), f"Reshape: {SHAPE}, got (2.0,)"),
        (lambda: nn.Permute((0, 1)), "Permute: dims is a permutation of 1, 2, ..., got (0, 1)"),
        (lambda: nn.Permute((1, 1)), "Permute: dims is a permutation of 1, 2, ..., got (1, 1)"),
        (lambda: nn.Permute(()), "Permute: dims is a permutation of 1, 2, ..., got ()"),
        (lambda: nn.Permute("12"), "Permute: dims is a permutation of 1, 2, ..., got '12'"),
        (lambda: nn.RepeatVector(0), "RepeatVector: n is a positive integer, got 0"),
        (lambda: nn.ZeroPadding1D(-1), f"ZeroPadding1D: padding is {ENDS}, got -1"),
        (lambda: nn.ZeroPadding1D((1, 2, 3)), f"ZeroPadding1D: padding is {ENDS}, got (1, 2, 3)"),
        (lambda: nn.ZeroPadding2D((1, -1)), f"ZeroPadding2D: padding is {EACH_2}, got (1, -1)"),
        (lambda: nn.ZeroPadding2D(1.5), f"ZeroPadding2D: padding is {EACH_2}, got 1.5"),
        (
            lambda: nn.ZeroPadding2D((1, 2), "NHWC"),
            ("ZeroPadding2D: data_format is one of 'channels_first', 'channels_last', got 'NHWC'"),
        ),
        (lambda: nn.Cropping1D(-2), f"Cropping1D: cropping is {ENDS}, got -2"),
        (lambda: nn.Cropping3D((1, 2)), f"Cropping3D: cropping is {EACH_3}, got (1, 2)"),
        (
            lambda: nn.Cropping3D(((1, 1), (0, 1), (2, -1)), name="cut"),
            f"Cropping3D 'cut': cropping is {EACH_3}, got ((1, 1), (0, 1), (2, -1))",
        ),
    ],
)
def test_bad_arguments(make: Any, message: str) -> None:
    refused(make, message)


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (
            nn.Reshape((3, 5)),
            (2, 3, 4),
            (
                "reshape: Reshape has target_shape=(3, 5), which does not fit the 12 elements of "
                "[2, 3, 4] after the batch"
            ),
        ),
        (
            nn.Reshape((5, -1)),
            ("batch", 12),
            (
                "reshape: Reshape has target_shape=(5, -1), which does not fit the 12 elements of "
                "[batch, 12] after the batch"
            ),
        ),
        (
            nn.Reshape((0, -1)),
            (2, 0),
            (
                "reshape: Reshape has target_shape=(0, -1), which does not fit the 0 elements of "
                "[2, 0] after the batch"
            ),
        ),
        (
            nn.Permute((2, 1)),
            (2, 3, 4, 5),
            (
                "permute: Permute takes a tensor [batch, axis 1, axis 2], got [2, 3, 4, 5] with 4 "
                "dimensions"
            ),
        ),
        (
            nn.RepeatVector(2),
            ("batch", 3, 4),
            (
                "repeat_vector: RepeatVector takes a tensor [batch, features], got [batch, 3, 4] "
                "with 3 dimensions"
            ),
        ),
        (
            nn.ZeroPadding3D(),
            (2, 3, 4, 5),
            (
                "zero_padding3d: ZeroPadding3D takes a tensor [batch, depth, height, width, "
                "channels], got [2, 3, 4, 5] with 4 dimensions"
            ),
        ),
        (
            nn.Cropping1D((2, 3)),
            ("batch", 5, 2),
            (
                "cropping1d: Cropping1D has cropping=((2, 3),), which leaves nothing of axis 1 of "
                "[batch, 5, 2]"
            ),
        ),
        (
            nn.Cropping2D(2, "channels_first"),
            (1, 3, 9, 4),
            (
                "cropping2d: Cropping2D has cropping=((2, 2), (2, 2)), which leaves nothing of "
                "axis 3 of [1, 3, 9, 4]"
            ),
        ),
    ],
)
def test_bad_inputs(layer: Any, shape: Any, message: str) -> None:
    refused(lambda: gx.trace(layer, gx.TensorSpec(shape)), message)
    if "batch" not in shape:
        refused(lambda: layer(values(*shape)), message)


def test_a_shape_that_cannot_be_proven_to_fit() -> None:
    with pytest.raises(gx.ShapeError, match="cannot be proven to fit the shape"):
        gx.trace(nn.Reshape((3, 4)), gx.TensorSpec(("batch", "n")))
