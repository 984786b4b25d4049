"""`Rescaling`, `Normalization`, `CategoryEncoding` and `Discretization`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphctx as gx
from graphctx import nn
from tests.nn.common import agree, close, refused, same, text, values

# -- Rescaling ------------------------------------------------------------------------------------


def test_rescaling() -> None:
    x = np.arange(256, dtype="uint8").reshape(16, 16)
    same(agree(nn.Rescaling(1 / 255), x), x.astype("float32") * np.float32(1 / 255))
    close(nn.Rescaling(1 / 127.5, -1)(x), x / 127.5 - 1)
    scale, offset = np.array([1.0, 2.0]), np.array([0.5, 0.0])
    close(agree(nn.Rescaling(scale, offset), values(3, 2)), values(3, 2) * scale + offset)
    assert nn.Rescaling(2, dtype="float64")(x).dtype == np.float64


def test_rescaling_texts() -> None:
    image = gx.TensorSpec(("n", 8), "uint8")
    assert text(gx.trace(nn.Rescaling(0.5, -1), image)) == (
        "graph rescaling (x: uint8[n, 8])\n"
        "  %1 = Cast(x, to=float32)\n"
        "  %2 = Mul(%1, 0.5)\n"
        "  %3 = Add(%2, -1)\n"
        "  return %3"
    )
    assert text(gx.trace(nn.Rescaling(0.5), gx.TensorSpec(("n",)))).splitlines()[1:] == [
        "  %1 = Mul(x, 0.5)",
        "  return %1",
    ]


def test_rescaling_errors() -> None:
    refused(
        lambda: nn.Rescaling("half"),
        "Rescaling: scale is a number or an array of numbers, got 'half'",
    )
    refused(
        lambda: nn.Rescaling(1, [0, float("inf")]),
        "Rescaling: offset is a number or an array of numbers, got [0, inf]",
    )
    refused(
        lambda: nn.Rescaling(1)([1, 2]), "rescaling: Rescaling takes one tensor, got a list of 2"
    )
    with pytest.raises(gx.ShapeError, match=r"^rescaling: Mul\("):
        nn.Rescaling([1, 2, 3])(values(2))


# -- Normalization --------------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    data=st.data(),
    invert=st.booleans(),
    parts=st.integers(1, 3),
)
def test_adapt(shape: list[int], data: Any, invert: bool, parts: int) -> None:
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), unique=True))
    x = values(*shape) * 3 + 2
    layer = nn.Normalization(axes or None, invert=invert)
    kept = 0 in axes  # then each batch is a part of its own features
    layer.adapt([x] * parts if kept else np.concatenate([x] * parts))
    others = tuple(i for i in range(len(shape)) if i not in axes)
    mean = x.astype(float).mean(others, keepdims=True)
    deviation = np.maximum(x.astype(float).std(others, keepdims=True), 1e-7)
    close(
        layer.weights["normalization/mean"].numpy(), mean.reshape([shape[a] for a in sorted(axes)])
    )
    expected = x * deviation + mean if invert else (x - mean) / deviation
    if not np.any(deviation < 1e-3):
        close(layer(x), expected, 1e-3)
    agree(layer, x, others)


def test_adapt_to_batches() -> None:
    x = values(20, 3) * 2 + 5
    whole, batches, pairs = nn.Normalization(), nn.Normalization(), nn.Normalization()
    whole.adapt(x)
    batches.adapt([x[:1], x[1:7], x[7:]])
    pairs.adapt((part, None) for part in (x[:12], x[12:]))
    for name in ("mean", "variance"):
        expected = whole.weights[f"normalization/{name}"].numpy()
        close(batches.weights[f"normalization/{name}"].numpy(), expected)
        close(pairs.weights[f"normalization/{name}"].numpy(), expected)
    y = whole(x)
    close(y.mean(0), np.zeros(3))
    close(y.std(0), np.ones(3))


def test_adapt_integers_to_what_a_built_layer_takes() -> None:
    x = np.arange(12, dtype="uint8").reshape(4, 3)
    layer = nn.Normalization()
    close(layer(x), x)
    layer.adapt(x)
    close(layer(x), (x - x.mean(0)) / x.std(0))


def test_given_statistics() -> None:
    x = values(4, 3)
    mean, variance = np.array([1.0, 2.0, 3.0]), np.array([4.0, 0.0, 1.0])
    y = agree(nn.Normalization(-1, mean, variance), x)
    close(y, (x - mean) / [2, 1e-7, 1])
    close(agree(nn.Normalization(-1, mean, variance, invert=True), x), x * [2, 1e-7, 1] + mean)
    close(nn.Normalization(None, 1.0, 4.0)(x), (x - 1) / 2)
    wide = values(2, 3, 4)
    y = nn.Normalization((1, 2), np.ones(4), np.full(4, 4.0))(wide)
    close(y, (wide - 1) / 2)
    assert nn.Normalization(None, 1.0, 4.0).weights == {}


def test_normalization_texts_and_weights() -> None:
    layer = nn.Normalization(name="n")
    graph = gx.trace(layer, gx.TensorSpec(("batch", 3)))
    assert text(graph) == (
        "graph n (x: float32[batch, 3])\n"
        "  %1 = Sub(x, @n/mean)\n"
        "  %2 = Sqrt(@n/variance)\n"
        "  %3 = Max(%2, 1e-07)\n"
        "  %4 = Div(%1, %3)\n"
        "  return %4"
    )
    assert layer.trainable_weights == {}
    assert list(layer.weights) == ["n/mean", "n/variance", "n/count"]
    given = nn.Normalization(None, 1.0, 4.0)
    assert text(gx.trace(given, gx.TensorSpec(("batch", 3)))).splitlines()[1:] == [
        "  %1 = Sub(x, [[1]])",
        "  %2 = Div(%1, [[2]])",
        "  return %2",
    ]
    channels = gx.trace(nn.Normalization(1, name="n"), gx.TensorSpec(("batch", 3, "n")))
    assert "Reshape(@n/mean, [1, 3, 1])" in text(channels)


def test_normalization_errors() -> None:
    refused(
        lambda: nn.Normalization("last"),
        "Normalization: axis is an integer or a list of them, got 'last'",
    )
    refused(
        lambda: nn.Normalization(mean=1.0),
        "Normalization: mean and variance are given together, or none of them",
    )
    refused(
        lambda: nn.Normalization(-1, [1.0, 2.0], 1.0),
        "Normalization: mean and variance have one shape, of at most as many dimensions as axis "
        "has axes (1), got [2] and []",
    )
    refused(
        lambda: nn.Normalization(None, [1.0], [1.0]),
        "Normalization: mean and variance have one shape, of at most as many dimensions as axis "
        "has axes (0), got [1] and [1]",
    )
    refused(
        lambda: nn.Normalization(-1, 0.0, -1.0), "Normalization: variance is at least 0, got -1.0"
    )
    refused(
        lambda: nn.Normalization(-1, "mean", 1.0),
        "Normalization: mean is a number or an array of numbers, got 'mean'",
    )
    refused(
        lambda: nn.Normalization(-1, np.ones(2), np.ones(2))(values(4, 3)),
        "normalization: Normalization has a mean [2], which does not broadcast to the sizes [3] of "
        "axes [1]",
    )
    refused(
        lambda: gx.trace(nn.Normalization(), gx.TensorSpec(("batch", "n"))),
        "normalization: Normalization needs to know its sizes along its axis to make its weights, "
        "but axis 1 of [batch, n] is symbolic; give this dimension a number in the TensorSpec",
    )
    layer = nn.Normalization()
    layer(values(4, 3))
    refused(
        lambda: layer(values(4, 2)),
        "normalization: Normalization was built for 3 features, got [4, 2] with 2 at axis 1",
    )
    refused(
        lambda: layer(values(4, 1, 3)),
        "normalization: Normalization was built for inputs of 2 dimensions, got [4, 1, 3]",
    )
    refused(
        lambda: layer.adapt(values(4, 2)),
        "Normalization: was built for inputs like [1, 3] (1 for any size), got data [4, 2]",
    )
    refused(lambda: layer.adapt([]), "Normalization: adapt() got no data")
    refused(lambda: layer.adapt(3), "Normalization: adapt() takes arrays of numbers, got int")
    refused(lambda: layer.adapt([3]), "Normalization: adapt() takes arrays of numbers, got 3")
    refused(
        lambda: nn.Normalization(None, 1.0, 4.0).adapt(values(2)),
        "Normalization: adapt() would replace the mean and variance that are given",
    )


# -- CategoryEncoding -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_encodings(dtype: str) -> None:
    x = np.array([[0, 2, 2], [3, 3, 1]], dtype)
    same(
        agree(nn.CategoryEncoding(4), x, (0, 1)),
        np.array([[1, 0, 1, 0], [0, 1, 0, 1]], "float32"),
    )
    same(
        agree(nn.CategoryEncoding(4, "count"), x, (0, 1)),
        np.array([[1, 0, 2, 0], [0, 1, 0, 2]], "float32"),
    )
    same(agree(nn.CategoryEncoding(4, "one_hot"), x, (0, 1)), np.eye(4, dtype="float32")[x])
    same(nn.CategoryEncoding(4, "one_hot")(x[:, :1]), np.eye(4, dtype="float32")[x[:, 0]])
    same(nn.CategoryEncoding(4)(x[0]), np.array([1, 0, 1, 0], "float32"))
    assert nn.CategoryEncoding(4, dtype="float64")(x).dtype == np.float64


def test_other_numbers_have_no_place() -> None:
    x = np.array([[-1, 4, 1]])
    expected = np.array([[0, 1, 0, 0]], "float32")
    same(nn.CategoryEncoding(4)(x), expected)
    same(nn.CategoryEncoding(4, "count")(x), expected)


def test_weighted_counts() -> None:
    x, weights = np.array([[0, 2, 2], [3, 3, 1]]), values(2, 3)
    expected = np.zeros((2, 4), "float32")
    for row in range(2):
        np.add.at(expected[row], x[row], weights[row])
    layer = nn.CategoryEncoding(4, "count")
    close(layer(x, count_weights=weights), expected)
    specs = [gx.TensorSpec(("n", "k"), "int64"), gx.TensorSpec(("n", "k"))]
    same(gx.compile(gx.trace(layer, *specs))(x, weights), layer(x, weights))


def test_encoding_text() -> None:
    layer = nn.CategoryEncoding(3, "count")
    assert text(gx.trace(layer, gx.TensorSpec(("n", "k"), "int32"))) == (
        "graph category_encoding (x: int32[n, k])\n"
        "  %1 = Unsqueeze(x, [-1])\n"
        "  %2 = Equal(%1, [0, 1, 2]:int32)\n"
        "  %3 = Cast(%2, to=float32)\n"
        "  %4 = ReduceSum(%3, [-2], keepdims=0)\n"
        "  return %4"
    )


def test_encoding_errors() -> None:
    refused(
        lambda: nn.CategoryEncoding(0), "CategoryEncoding: num_tokens is a positive integer, got 0"
    )
    refused(
        lambda: nn.CategoryEncoding(2, "onehot"),
        "CategoryEncoding: output_mode is one of 'count', 'multi_hot', 'one_hot', got 'onehot'; "
        "did you mean 'one_hot'?",
    )
    start = "category_encoding: CategoryEncoding"
    layer = nn.CategoryEncoding(4)
    x = np.array([[0, 1]])
    refused(
        lambda: layer(values(2, 3)),
        f"{start} takes a tensor of integers, got float32; convert it with ops.astype(x, 'int32')",
    )
    refused(lambda: layer([0, 1]), f"{start} takes one tensor of integers, got a list")
    refused(
        lambda: layer(np.zeros((2, 3, 4), int)),
        f"{start} takes a tensor [batch, categories] or [categories], got [2, 3, 4] with 3 "
        f'dimensions (output_mode="multi_hot")',
    )
    refused(
        lambda: layer(np.array(3)), f"{start} takes a tensor [batch, ...], got [] with 0 dimensions"
    )
    refused(
        lambda: layer(x, count_weights=values(1, 2)),
        f"{start} has no use for count_weights in output_mode='multi_hot'",
    )
    refused(
        lambda: nn.CategoryEncoding(4, "count")(x, count_weights=values(2)),
        f"{start} takes count_weights of the shape of its input [1, 2], got [2]",
    )


# -- Discretization -------------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    boundaries=st.lists(st.integers(-3, 3), min_size=1, max_size=5).map(sorted),
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3),
)
def test_ranges(boundaries: list[int], shape: list[int]) -> None:
    x = np.round(values(*shape) * 3)
    y = agree(nn.Discretization([float(b) for b in boundaries]), x, tuple(range(len(shape))))
    same(y, np.digitize(x, boundaries).astype("int32"))


def test_boundaries_and_what_is_no_number() -> None:
    x = np.array([-np.inf, -1, 0, 0.5, 1, np.inf, np.nan], "float32")
    same(nn.Discretization([0, 1])(x), np.array([0, 0, 1, 1, 2, 2, 2], "int32"))


def test_encoded_ranges() -> None:
    x = np.array([[-1.0, 0.5], [2.0, 3.0]], "float32")
    eye = np.eye(3, dtype="float32")
    one_hot = nn.Discretization([0.0, 1.0], output_mode="one_hot")
    same(agree(one_hot, x), eye[[[0, 1], [2, 2]]])
    same(nn.Discretization([0.0, 1.0], output_mode="multi_hot")(x), np.array(
        [[1, 1, 0], [0, 0, 1]], "float32"))  # fmt: skip
    same(nn.Discretization([0.0, 1.0], output_mode="count")(x), np.array(
        [[1, 1, 0], [0, 0, 2]], "float32"))  # fmt: skip


def test_discretization_text() -> None:
    assert text(gx.trace(nn.Discretization([0.0, 1.0]), gx.TensorSpec(("n",)))) == (
        "graph discretization (x: float32[n])\n"
        "  %1 = Unsqueeze(x, [-1])\n"
        "  %2 = Less(%1, [0, 1])\n"
        "  %3 = Not(%2)\n"
        "  %4 = Cast(%3, to=int32)\n"
        "  %5 = ReduceSum(%4, [-1], keepdims=0)\n"
        "  return %5"
    )


@pytest.mark.parametrize("batches", [1, 7])
def test_adapted_ranges_hold_equal_shares(batches: int) -> None:
    x = values(7000) ** 3
    layer = nn.Discretization(num_bins=5)
    layer.adapt(x if batches == 1 else np.split(x, batches))
    counts = np.bincount(layer(x), minlength=5) / x.size
    assert len(counts) == 5
    assert np.abs(counts - 0.2).max() < 0.02


def test_discretization_errors() -> None:
    for options in ({}, {"bin_boundaries": [0.0], "num_bins": 2}):
        refused(
            lambda options=options: nn.Discretization(**options),  # type: ignore[misc]
            "Discretization: takes either bin_boundaries or num_bins",
        )
    for boundaries in ([], [1.0, 0.0], ["a"], 3):
        refused(
            lambda boundaries=boundaries: nn.Discretization(boundaries),  # type: ignore[misc]
            f"Discretization: bin_boundaries are numbers in ascending order, got {boundaries!r}",
        )
    refused(
        lambda: nn.Discretization(num_bins=0),
        "Discretization: num_bins is a positive integer, got 0",
    )
    refused(
        lambda: nn.Discretization(num_bins=2, epsilon=0), "Discretization: epsilon is larger than 0"
    )
    refused(
        lambda: nn.Discretization([0.0], output_mode="ints"),
        "Discretization: output_mode is one of 'count', 'int', 'multi_hot', 'one_hot', got 'ints'; "
        "did you mean 'int'?",
    )
    layer = nn.Discretization(num_bins=2)
    refused(
        lambda: layer(values(3)),
        "discretization: Discretization does not know its boundaries yet: call adapt(data) first",
    )
    refused(lambda: layer.adapt([]), "Discretization: adapt() got no data")
    refused(
        lambda: nn.Discretization([0.0]).adapt(values(3)),
        "Discretization: adapt() would replace the bin_boundaries that are given",
    )
    refused(
        lambda: nn.Discretization([0.0], output_mode="count")(values(2, 3, 4)),
        "discretization: Discretization takes a tensor [batch, categories] or [categories], got "
        '[2, 3, 4] with 3 dimensions (output_mode="count")',
    )


@pytest.mark.parametrize("make", [nn.Normalization, lambda: nn.Discretization(num_bins=2)])
def test_adapt_takes_numbers_only(make: Any) -> None:
    layer = make()
    name = type(layer).__name__
    for value in (np.nan, np.inf):
        refused(
            lambda value=value: layer.adapt(np.array([[1.0, value]])),  # type: ignore[misc]
            f"{name}: adapt() got NaN or infinity; drop or replace them first",
        )
    refused(lambda: layer.adapt(np.ones((0, 2))), f"{name}: adapt() got no data")
    layer.adapt([np.ones((0, 2)), np.array([[1.0, 2.0], [3.0, 4.0]])])  # an empty batch is none


def test_numbers_that_the_dtype_does_not_hold() -> None:
    refused(
        lambda: nn.Rescaling(1e6, dtype="float16"),
        "Rescaling: scale is more than float16 can hold: 1000000.0",
    )
    layer = nn.Discretization([0.0, 1e6], dtype="float16")  # below which all numbers lie
    same(layer(np.array([6e4])), np.array([1], np.int32))
