"""Normalization of arrays of every size: small ones, those that are aligned, those in blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphctx import ops

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
