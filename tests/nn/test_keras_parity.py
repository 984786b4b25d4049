"""The layers compute what Keras's compute, with the same arguments and weights.

Keras is not part of the development set-up: `pip install -e '.[bench]'` brings it.
"""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import graphctx as gx
from graphctx import Layer, nn
from graphctx.nn.activation import ACTIVATIONS
from tests.nn.common import values

os.environ["KERAS_BACKEND"] = "numpy"
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Keras's own, and those of what it imports
    keras = pytest.importorskip("keras")

pytestmark = pytest.mark.filterwarnings("ignore")

NAMES = {"BatchNorm": "BatchNormalization", "LayerNorm": "LayerNormalization"}


def peer(layer: Layer, options: dict[str, Any]) -> Any:
    """Keras's layer of the same arguments."""
    kind = type(layer).__name__
    return getattr(keras.layers, NAMES.get(kind, kind))(**options)


def compare(kind: type[Layer], x: Any, *, tolerance: float = 1e-5, **options: Any) -> None:
    """Equal outputs, and equal state afterwards, in both training modes."""
    ours = kind(**options)
    theirs = peer(ours, options)
    ours(x)
    theirs.build(x.shape)
    weights = {path.partition("/")[2]: variable for path, variable in ours.weights.items()}
    assert list(weights) == [variable.name for variable in theirs.weights]
    rng = np.random.default_rng(1)
    for variable in theirs.weights:
        mine = weights[variable.name]
        assert mine.shape == tuple(variable.shape)
        assert mine.trainable == variable.trainable
        value = rng.uniform(0.5, 1.5, mine.shape).astype(np.float32)
        mine.assign(value)
        variable.assign(value)
    for training in (False, True):
        given = {"training": training} if ours._declared_names() else {}
        a, b = ours(x, **given), np.asarray(theirs(x, **given))
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
        for variable in theirs.weights:
            a, b = weights[variable.name].numpy(), np.asarray(variable.value)
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(activation: str) -> None:
    x = values(4, 6) * 3
    compare(nn.Activation, x, activation=activation)
    compare(nn.Dense, x, units=4, activation=activation)


def test_all_activation_names_of_keras_but_two_are_known() -> None:
    source = vars(keras.src.activations)["ALL_OBJECTS_DICT"]
    # threshold needs arguments that a name does not have; sparsemax is no operator of ONNX.
    assert set(source) - set(ACTIVATIONS) == {"threshold", "sparsemax"}
    assert set(ACTIVATIONS) <= set(source)


@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 5)])
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int32"])
def test_dense(shape: Any, use_bias: bool, dtype: str) -> None:
    compare(nn.Dense, values(*shape, dtype=dtype), units=4, use_bias=use_bias)


@settings(max_examples=20)
@given(
    space=st.tuples(st.integers(3, 8), st.integers(3, 8)),
    kernel_size=st.integers(1, 3) | st.tuples(st.integers(1, 3), st.integers(1, 3)),
    strides=st.integers(1, 3) | st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.sampled_from(["valid", "same"]),
    dilation_rate=st.integers(1, 2),
    groups=st.sampled_from([1, 2]),
    data_format=st.sampled_from(["channels_last", "channels_first"]),
)
def test_conv(space: Any, kernel_size: Any, data_format: str, **options: Any) -> None:
    assume(options["strides"] in (1, (1, 1)) or options["dilation_rate"] == 1)
    reach = (np.max(kernel_size) - 1) * options["dilation_rate"] + 1
    assume(options["padding"] == "same" or reach <= min(space))
    x = values(2, *space, 4) if data_format == "channels_last" else values(2, 4, *space)
    compare(
        nn.Conv2D, x, filters=6, kernel_size=kernel_size, data_format=data_format,
        tolerance=1e-4, **options,
    )  # fmt: skip


@settings(max_examples=20)
@given(
    kind=st.sampled_from([nn.MaxPooling2D, nn.AveragePooling2D]),
    space=st.tuples(st.integers(3, 8), st.integers(3, 8)),
    pool_size=st.integers(1, 3) | st.tuples(st.integers(1, 3), st.integers(1, 3)),
    strides=st.none() | st.integers(1, 3) | st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.sampled_from(["valid", "same"]),
    data_format=st.sampled_from(["channels_last", "channels_first"]),
)
def test_pooling(kind: Any, space: Any, data_format: str, **options: Any) -> None:
    x = values(2, *space, 3) if data_format == "channels_last" else values(2, 3, *space)
    compare(kind, x, data_format=data_format, **options)


@pytest.mark.parametrize("kind", [nn.GlobalMaxPooling2D, nn.GlobalAveragePooling2D])
@pytest.mark.parametrize("data_format", [None, "channels_last", "channels_first"])
@pytest.mark.parametrize("keepdims", [False, True])
def test_global_pooling(kind: Any, data_format: Any, keepdims: bool) -> None:
    compare(kind, values(2, 3, 4, 5), data_format=data_format, keepdims=keepdims)


@pytest.mark.parametrize("shape", [(8, 3), (5, 4, 3), (3, 4, 5, 3)])
@pytest.mark.parametrize(
    "options",
    [{}, {"axis": 1}, {"center": False}, {"scale": False}, {"momentum": 0.5, "epsilon": 0.1}],
)
def test_batch_norm(shape: Any, options: Any) -> None:
    compare(nn.BatchNorm, values(*shape) + 2, tolerance=1e-4, **options)


@pytest.mark.parametrize(
    "options",
    [{}, {"axis": 1}, {"axis": (1, 2)}, {"center": False}, {"scale": False}, {"epsilon": 0.1}],
)
def test_layer_norm(options: Any) -> None:
    compare(nn.LayerNorm, values(3, 4, 5) + 2, tolerance=1e-4, **options)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_embedding(dtype: str) -> None:
    x = np.random.default_rng(0).integers(0, 7, (2, 3)).astype(dtype)
    compare(nn.Embedding, x, input_dim=7, output_dim=4)


@pytest.mark.parametrize("shape", [(3,), (3, 4), (3, 4, 5), (3, 4, 5, 2)])
@pytest.mark.parametrize("data_format", [None, "channels_last", "channels_first"])
def test_flatten(shape: Any, data_format: Any) -> None:
    compare(nn.Flatten, values(*shape), data_format=data_format)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (nn.Dropout(0.3), {"rate": 0.3}),
        (nn.Dropout(0.3, (None, 1, None)), {"rate": 0.3, "noise_shape": (None, 1, None)}),
        (nn.GaussianNoise(0.5), {"stddev": 0.5}),
    ],
)
def test_random_layers_have_equal_statistics(ours: Any, theirs: Any) -> None:
    x = np.ones((200, 5, 200), "float32")
    keras.utils.set_random_seed(1)
    other = peer(ours, theirs)
    np.testing.assert_array_equal(ours(x), np.asarray(other(x)))
    with gx.seed(1):
        a, b = ours(x, training=True), np.asarray(other(x, training=True))
    assert abs(a.mean() - b.mean()) < 0.02
    assert abs(a.std() - b.std()) < 0.02
    if isinstance(ours, nn.Dropout):
        np.testing.assert_allclose(np.unique(a), np.unique(b), rtol=1e-6)


def test_lambda() -> None:
    x = values(2, 3)
    expected = np.asarray(keras.layers.Lambda(lambda x: x * 2)(x))
    np.testing.assert_array_equal(nn.Lambda(lambda x: x * 2)(x), expected)


@pytest.mark.parametrize(
    ("ours", "options"),
    [
        (nn.Dense, {"units": -1}),
        (nn.Conv2D, {"filters": 4, "kernel_size": 3, "groups": 3}),
        (nn.Conv2D, {"filters": 4, "kernel_size": 3, "strides": 2, "dilation_rate": 2}),
        (nn.Dropout, {"rate": 1.5}),
        (nn.GaussianNoise, {"stddev": -1}),
        (nn.Embedding, {"input_dim": 0, "output_dim": 2}),
    ],
)
def test_what_keras_refuses_is_refused(ours: Any, options: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        ours(**options)
    with pytest.raises(ValueError, match=r".+"):
        getattr(keras.layers, NAMES.get(ours.__name__, ours.__name__))(**options)
