"""The installed Keras: it computes what the fixtures say, and what random arguments ask for.

Keras is not part of the development set-up: `pip install -e '.[bench]'` brings it. Without it,
`tests/nn/parity` compares with the fixtures alone.
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
from tests.nn.common import close, values
from tests.nn.parity.case import Case, families
from tests.nn.parity.fixtures import fixture_of, read

os.environ.setdefault("KERAS_BACKEND", "numpy")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Keras's own, and those of what it imports
    keras = pytest.importorskip("keras")

pytestmark = pytest.mark.filterwarnings("ignore")

ALL = [(family, case) for family, cases in families().items() for case in cases]


@pytest.mark.parametrize(("family", "case"), ALL, ids=[str(case) for _, case in ALL])
def test_fixtures_are_what_keras_computes(family: str, case: Case) -> None:
    from tests.nn.parity.record import record

    backend = read(family)[1]["backend"]
    if backend != keras.backend.backend():
        pytest.skip(f"recorded with KERAS_BACKEND={backend}")
    live, fixture = record(case), fixture_of(family, case)
    assert live.trainable == fixture.trainable
    assert list(live.outputs) == list(fixture.outputs)
    pairs = [(live.weights, fixture.weights)]
    for mode, outputs in fixture.outputs.items():
        pairs.append((dict(enumerate(live.outputs[mode])), dict(enumerate(outputs))))
        pairs.append((live.state[mode], fixture.state[mode]))
    for now, then in pairs:
        assert list(now) == list(then)
        for key, array in then.items():
            assert now[key].dtype == array.dtype
            np.testing.assert_allclose(now[key], array, case.tolerance, case.tolerance)


def peer(layer: Layer, options: dict[str, Any]) -> Any:
    """Keras's layer of the same arguments."""
    return getattr(keras.layers, type(layer).__name__)(**options)


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


def test_all_activation_names_of_keras_but_two_are_known() -> None:
    source = vars(keras.src.activations)["ALL_OBJECTS_DICT"]
    # threshold needs arguments that a name does not have; sparsemax is no operator of ONNX.
    assert set(source) - set(ACTIVATIONS) == {"threshold", "sparsemax"}
    assert set(ACTIVATIONS) <= set(source)


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


RANDOM: list[tuple[Any, dict[str, Any], tuple[int, ...]]] = [
    (nn.Dropout, {"rate": 0.3}, (200, 5, 200)),
    (nn.Dropout, {"rate": 0.3, "noise_shape": (None, 1, None)}, (200, 5, 200)),
    (nn.GaussianNoise, {"stddev": 0.5}, (200, 5, 200)),
    (nn.GaussianDropout, {"rate": 0.3}, (200, 5, 200)),
    (nn.AlphaDropout, {"rate": 0.3}, (200, 5, 200)),
    (nn.AlphaDropout, {"rate": 0.3, "noise_shape": (None, 1, None)}, (200, 5, 200)),
    (nn.SpatialDropout1D, {"rate": 0.3}, (200, 3, 200)),
    (nn.SpatialDropout2D, {"rate": 0.3}, (200, 2, 2, 200)),
    (nn.SpatialDropout2D, {"rate": 0.3, "data_format": "channels_first"}, (200, 200, 2, 2)),
    (nn.SpatialDropout3D, {"rate": 0.3}, (200, 2, 1, 2, 200)),
    (nn.SpatialDropout3D, {"rate": 0.3, "data_format": "channels_first"}, (200, 200, 2, 1, 2)),
]


@pytest.mark.parametrize(("kind", "options", "shape"), RANDOM)
def test_random_layers_have_equal_statistics(kind: Any, options: Any, shape: Any) -> None:
    x = np.ones(shape, "float32")
    keras.utils.set_random_seed(1)
    ours = kind(**options)
    theirs = peer(ours, options)
    with gx.seed(1):
        a, b = ours(x, training=True), np.asarray(theirs(x, training=True))
    assert abs(a.mean() - b.mean()) < 0.02
    assert abs(a.std() - b.std()) < 0.02
    for axis in range(a.ndim):  # along which elements share a draw
        assert abs(a.mean(axis).std() - b.mean(axis).std()) < 0.02
    if len(np.unique(b)) == 2:
        np.testing.assert_allclose(np.unique(a), np.unique(b), rtol=1e-5)


@pytest.mark.parametrize("axis", [-1, 1, (1, 2), None])
@pytest.mark.parametrize("batches", [1, 3])
def test_normalization_adapts_alike(axis: Any, batches: int) -> None:
    data = values(9, 4, 3) * 2 + 5
    ours, theirs = nn.Normalization(axis), keras.layers.Normalization(axis)
    ours.adapt(np.split(data, batches))
    theirs.adapt(data)  # of batches it wants TensorFlow
    for mine, variable in zip(ours.weights.values(), theirs.weights, strict=True):
        np.testing.assert_allclose(mine.numpy(), np.asarray(variable.value), rtol=1e-5)
    close(ours(data), np.asarray(theirs(data)))


@pytest.mark.parametrize(
    ("count", "bins", "epsilon"), [(700, 5, 0.01), (90, 4, 0.01), (3000, 7, 0.1)]
)
@pytest.mark.parametrize("batches", [1, 5])
def test_discretization_adapts_alike(count: int, bins: int, epsilon: float, batches: int) -> None:
    data = values(count) ** 3
    ours = nn.Discretization(num_bins=bins, epsilon=epsilon)
    ours.adapt(np.split(data, batches))
    theirs = keras.layers.Discretization(num_bins=bins, epsilon=epsilon)
    for batch in np.split(data, batches):  # its adapt() wants TensorFlow
        theirs.update_state(batch)
    theirs.finalize_state()
    np.testing.assert_allclose(ours.bin_boundaries, theirs.bin_boundaries, rtol=1e-6)


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
        (nn.ReLU, {"max_value": -1}),
        (nn.LeakyReLU, {"negative_slope": -1}),
        (nn.CategoryEncoding, {"num_tokens": 0}),
        (nn.Discretization, {"bin_boundaries": [0.0], "num_bins": 2}),
        (nn.Normalization, {"mean": 1.0}),
        (nn.Dot, {"axes": (1, 2, 3)}),
    ],
)
def test_what_keras_refuses_is_refused(ours: Any, options: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        ours(**options)
    with pytest.raises(ValueError, match=r".+"):
        getattr(keras.layers, ours.__name__)(**options)
