"""The random operators: equal bits in onnxruntime, and numbers that look random."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnxruntime
import pytest
from graphctx_onnx.convert import convert

import graphctx as gx
from graphctx import Layer, ops
from graphctx.ops.random import _BLOCK, _key_words, _mix
from graphctx.ops.table import TABLE

N = 1 << 18


def bits(key: int, seed: int = 0, count: int = N) -> Any:
    """Words of one stream."""
    return TABLE["random_bits"].kernel(np.array([count]), np.int64(seed), key=key)


def deviations(observed: Any, expected: Any) -> float:
    """Chi-squared statistic in standard deviations from its mean (Wilson and Hilferty)."""
    observed = np.asarray(observed, np.float64)
    freedom = observed.size - 1
    statistic = float(((observed - expected) ** 2 / expected).sum())
    variance = 2 / (9 * freedom)
    return ((statistic / freedom) ** (1 / 3) - (1 - variance)) / math.sqrt(variance)


KEYS = [0, 1, 2, 3, 2**32, 2**63, 0x9E3779B97F4A7C15]


@pytest.mark.parametrize("key", KEYS)
def test_words_are_uniform(key: int) -> None:
    words = bits(key)
    for shift in (0, 8, 16, 24):
        counts = np.bincount((words >> np.uint32(shift)) & 0xFF, minlength=256)
        assert abs(deviations(counts, N / 256)) < 5
    each = np.unpackbits(words.view(np.uint8)).reshape(-1, 8).sum(0)
    assert (abs(each - N * 4 / 2) < 5 * math.sqrt(N * 4) / 2).all()


@pytest.mark.parametrize("key", KEYS)
def test_successive_words_are_independent(key: int) -> None:
    words = bits(key)
    for lag in (1, 2, 3, 64):
        pairs = (words[:-lag] >> 28).astype(np.int64) * 16 + (words[lag:] >> 28)
        assert abs(deviations(np.bincount(pairs, minlength=256), (N - lag) / 256)) < 5
        flips = np.unpackbits((words[:-lag] ^ words[lag:]).view(np.uint8)).mean()
        assert abs(flips - 0.5) < 5 * 0.5 / math.sqrt(32 * N)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((0, 0), (1, 0)), ((0, 0), (0, 1)), ((0, 1), (1, 0)), ((5, 7), (7, 5)),
        ((0, 0), (2**32, 0)), ((0, 0), (0, 2**32)), ((2**32, 0), (0, 2**32)), ((1, 1), (2, 2)),
    ],
)  # fmt: skip
def test_neighboring_streams_share_no_pattern(
    first: tuple[int, int], second: tuple[int, int]
) -> None:
    a, b = bits(*first), bits(*second)
    for lag in (0, 1, 2):
        x, y = a[: N - lag], b[lag:]
        flips = np.unpackbits((x ^ y).view(np.uint8)).reshape(-1, 8)
        assert (abs(flips.mean(0) - 0.5) < 5 * 0.5 / math.sqrt(len(flips))).all()
        pairs = (x >> 28).astype(np.int64) * 16 + (y >> 28)
        assert abs(deviations(np.bincount(pairs, minlength=256), (N - lag) / 256)) < 5
    # As many words in common as chance gives: n^2 / 2^32 for windows of n.
    assert len(np.intersect1d(a, b)) < N * N / 2**32 * 1.5 + 10


def test_every_bit_of_key_and_seed_matters() -> None:
    base = bits(0, 0, 4096)
    for bit in range(64):
        for key, seed in ((1 << bit, 0), (0, 1 << min(bit, 62))):
            other = bits(key, seed, 4096)
            flips = np.unpackbits((base ^ other).view(np.uint8)).mean()
            assert abs(flips - 0.5) < 5 * 0.5 / math.sqrt(32 * 4096), (bit, key, seed)


def test_blocks_do_not_show() -> None:
    words = bits(9, 9, 2 * _BLOCK + 100)
    first, second = _key_words(9, 9)
    for i in (0, 1, _BLOCK - 1, _BLOCK, _BLOCK + 1, 2 * _BLOCK, 2 * _BLOCK + 99):
        assert words[i] == _mix((_mix((i + first) % 2**32) + second) % 2**32)


@pytest.mark.parametrize("key", KEYS)
def test_uniform_and_normal_numbers(key: int) -> None:
    shape = np.array([N])
    uniform = TABLE["random_uniform"].kernel(shape, np.int64(3), key=key)
    assert uniform.dtype == np.float32
    assert uniform.min() >= 0
    assert uniform.max() < 1
    # Kolmogorov-Smirnov distance of both against their distributions.
    ranks = (np.arange(N) + 0.5) / N
    assert abs(np.sort(uniform) - ranks).max() < 2.2 / math.sqrt(N)
    normal = TABLE["random_normal"].kernel(shape, np.int64(3), key=key).astype(np.float64)
    erf = np.vectorize(math.erf)
    assert abs((1 + erf(np.sort(normal) / math.sqrt(2))) / 2 - ranks).max() < 2.2 / math.sqrt(N)
    moments = [(normal**k).mean() for k in (1, 2, 3, 4)]
    errors = [1, math.sqrt(2), math.sqrt(15), math.sqrt(96)]
    for moment, wanted, error in zip(moments, (0, 1, 0, 3), errors, strict=True):
        assert abs(moment - wanted) < 5 * error / math.sqrt(N)
    assert abs(np.corrcoef(normal[::2], normal[1::2])[0, 1]) < 5 / math.sqrt(N / 2)
    assert abs(normal).max() > 4  # the tails are there


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean_and_the_rate(rate: float) -> None:
    with gx.seed(11):
        y = ops.dropout(np.ones(N, np.float32), rate)
    assert set(np.unique(y)) == {0, np.float32(1) / (np.float32(1) - np.float32(rate))}
    error = math.sqrt(rate * (1 - rate) / N)
    assert abs((y == 0).mean() - rate) < 5 * error
    assert abs(y.mean() - 1) < 5 * error / (1 - rate)


class Draws(Layer):
    """Every random function."""

    def call(self, x: Any) -> Any:
        return {
            "bits": ops.random_bits(x.shape),
            "uniform": ops.random_uniform(x.shape, -2, 3),
            "normal": ops.random_normal((x.shape[0], 5), 1, 2),
            "double": ops.random_normal((7,), dtype="float64"),
            "bernoulli": ops.random_bernoulli(x.shape, 0.25),
            "dropout": ops.dropout(x, 0.3),
            "shared": ops.dropout(x, 0.5, noise_shape=(x.shape[0], 1)),
        }


@pytest.mark.parametrize("seed", [0, 1, 2**32, 2**63 - 1])
@pytest.mark.parametrize("level", ["ORT_DISABLE_ALL", "ORT_ENABLE_ALL"])
def test_equal_bits_eagerly_in_programs_and_in_onnxruntime(seed: int, level: str) -> None:
    model = Draws()
    program = gx.compile(gx.trace(model, gx.TensorSpec(("batch", 1000))))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    converted = convert(program.graph)
    session = onnxruntime.InferenceSession(
        converted.model.SerializeToString(), options, ["CPUExecutionProvider"]
    )
    for rows in (1, 37):
        x = np.linspace(-1, 1, rows * 1000, dtype=np.float32).reshape(rows, 1000)
        with gx.seed(seed):
            eager = model(x)
        ours = program(x, seed=seed)
        names = [output.name for output in session.get_outputs()]
        theirs = dict(
            zip(names, session.run(names, {"x": x, "seed": np.asarray(seed)}), strict=True)
        )
        for name, value in eager.items():
            np.testing.assert_array_equal(ours[name], value, name)
            np.testing.assert_array_equal(theirs[name], value, name)
            assert theirs[name].dtype == value.dtype == ours[name].dtype


def test_what_random_functions_refuse() -> None:
    for rate in (-0.1, 1.5):
        with pytest.raises(gx.ShapeError, match=r"dropout: a rate is in \[0, 1\], got"):
            ops.dropout(np.ones(3, np.float32), rate)
    with pytest.raises(gx.DTypeError, match="needs a floating dtype, got int64"):
        gx.trace(_Lambda(lambda x: ops.dropout(x, 0.5)), gx.TensorSpec((3,), "int64"))
    with pytest.raises(gx.TraceError, match="a random operator cannot be applied to a functional"):
        ops.dropout(gx.Input((3,)), 0.5)


class _Lambda(Layer):
    def __init__(self, function: Any) -> None:
        self.function = function

    def call(self, x: Any) -> Any:
        return self.function(x)
