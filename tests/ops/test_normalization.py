"""Normalization of arrays of every size: small ones, those that are aligned, those in blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphctx import ops
from graphctx.errors import DTypeError, ShapeError
from graphctx.ops.table import TABLE
from tests.ops.agreement import agree
from tests.ops.build import random
from tests.ops.recording import record

SHAPES = [(2, 8, 3, 5), (2, 8, 17, 18), (5, 8, 64, 65), (9, 8, 200, 201)]


def standardized(x: Any, axes: tuple[int, ...], epsilon: float = 1e-5) -> Any:
    """In double precision."""
    x = x.astype(np.float64)
    mean = x.mean(axes, keepdims=True)
    return (x - mean) / np.sqrt(((x - mean) ** 2).mean(axes, keepdims=True) + epsilon)


def drawn(shape: Any, channels_last: bool) -> Any:
    """Numbers away from zero, in one of two orders in memory."""
    rng = np.random.default_rng(0)
    if channels_last:
        n, c, h, w = shape
        x = rng.standard_normal((n, h, w, c)).astype(np.float32).transpose(0, 3, 1, 2)
    else:
        x = rng.standard_normal(shape).astype(np.float32)
    return x + np.float32(3)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_size(shape: Any, channels_last: bool) -> None:
    x = drawn(shape, channels_last)
    n, c, _, w = shape
    scale, bias = np.linspace(0.5, 2, c, dtype=np.float32), np.linspace(-1, 1, c, dtype=np.float32)
    channel = (1, -1, 1, 1)
    affine = (scale.reshape(channel), bias.reshape(channel))
    grouped = standardized(x.reshape(n, 4, -1), (2,)).reshape(shape)
    alone = standardized(x, (2, 3))
    last = np.linspace(0.5, 2, w, dtype=np.float32)
    rows = standardized(x, (3,))
    square = np.sqrt((x.astype(np.float64) ** 2).mean(-1, keepdims=True) + 1e-5)
    cases = {
        "group": (ops.group_norm(x, scale, bias, 4), grouped * affine[0] + affine[1]),
        "instance": (ops.instance_norm(x, scale, bias), alone * affine[0] + affine[1]),
        "layer": (ops.layer_norm(x, last, last), rows * last + last),
        "rms": (ops.rms_norm(x, last), x / square * last),
    }
    for name, (found, expected) in cases.items():
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4, err_msg=name)
    softmax = np.exp(x.astype(np.float64) - x.max(-1, keepdims=True))
    softmax /= softmax.sum(-1, keepdims=True)
    np.testing.assert_allclose(ops.softmax(x), softmax, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(ops.log_softmax(x), np.log(softmax), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_statistics_of_layer_norm(dtype: str, tmp_path: Path) -> None:
    x, scale = random((40, 3, 8), dtype), random((3, 8), dtype)

    def normalized(x: Any) -> Any:
        return ops.layer_norm(x, scale, axis=1, statistics=True)

    folder = tmp_path if dtype == "float32" else None
    y, mean, deviation = agree(normalized, x, symbolic={0: {0: "n"}}, folder=folder)
    np.testing.assert_array_equal(y, ops.layer_norm(x, scale, axis=1))
    assert mean.dtype == deviation.dtype == np.float32
    np.testing.assert_allclose(mean, x.mean((1, 2), keepdims=True), atol=1e-6)
    wanted = 1 / np.sqrt(x.var((1, 2), keepdims=True) + 1e-5)
    np.testing.assert_allclose(deviation, wanted, rtol=1e-6)


def test_a_scale_of_another_dtype_decides_that_of_rms_norm() -> None:
    for dtypes in (("float16", "float32"), ("float32", "float16"), ("float32", "float64")):
        x, scale = random((3, 8), dtypes[0]), random((8,), dtypes[1])
        y = agree(lambda x, scale: ops.rms_norm(x, scale), x, scale)
        assert y.dtype == dtypes[1]
        wanted = x / np.sqrt((x.astype(float) ** 2).mean(-1, keepdims=True) + 1e-5) * scale
        np.testing.assert_allclose(y, wanted, rtol=2e-3)


def test_neighbouring_channels(tmp_path: Path) -> None:
    x = random((2, 6, 3, 4))
    y = agree(
        lambda x: ops.local_response_norm(x, 3, alpha=0.5, beta=0.7, bias=2),
        x, folder=tmp_path, symbolic={0: {0: "n", 2: "h"}},
    )  # fmt: skip
    squares = np.pad(x**2, [(0, 0), (1, 1), (0, 0), (0, 0)])
    total = squares[:, :-2] + squares[:, 1:-1] + squares[:, 2:]
    np.testing.assert_allclose(y, x / (2 + 0.5 / 3 * total) ** 0.7, rtol=1e-6)


def test_mean_and_variance_over_axes(tmp_path: Path) -> None:
    x = random((2, 3, 4, 5)) + 3
    y = agree(
        lambda x: ops.mean_variance_norm(x, axes=(0, -1)), x, folder=tmp_path,
        symbolic={0: {0: "n"}},
    )  # fmt: skip
    np.testing.assert_allclose(y.mean((0, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(y.std((0, 3)), 1, rtol=1e-5)


X = random((2, 3, 4, 4))
WRONG: list[tuple[Any, type[Exception], str]] = [
    (lambda: ops.local_response_norm(X, 0), ShapeError, r"LRN\(.*: size is at least 1, got 0"),
    (lambda: ops.local_response_norm(X.astype(int), 3), DTypeError, "needs a floating dtype"),
    (lambda: ops.mean_variance_norm(X, (0, 4)), ShapeError, "axis 4 is out of range for 4"),
    (lambda: ops.mean_variance_norm(X, (0, -4)), ShapeError, "name an axis twice"),
    (lambda: ops.rms_norm(X, X[0, 0, :, :3]), ShapeError,
     r"scale \[4, 3\] does not broadcast to \[2, 3, 4, 4\]"),
    (lambda: record(lambda x: TABLE["LayerNormalization"](x, x, outputs=2, stash_type=16), X),
     DTypeError, r"means and deviations are float32 \(stash_type 1\), not 16"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), WRONG)
def test_wrong_operands(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
