"""What the tests of layers share: eager calls and programs are equal, bit for bit."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphctx as gx
from graphctx import Layer

SEED = 11


def values(*shape: int, seed: int = 0, dtype: Any = "float32") -> Any:
    """Normal random numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def spec(x: Any, symbolic: tuple[int, ...] = (0,)) -> gx.TensorSpec:
    """The spec of an array with some of its dimensions symbolic."""
    shape = [f"n{axis}" if axis in symbolic else size for axis, size in enumerate(x.shape)]
    return gx.TensorSpec(shape, x.dtype)


def agree(model: Layer, x: Any, symbolic: tuple[int, ...] = (0,)) -> Any:
    """Check that eager calls and programs are equal in both training modes, state included.

    Args:
        model: to check; its weights are as they were afterwards.
        x: its input.
        symbolic: axes whose sizes the trace does not know.

    Returns:
        The eager result with `training=False`.
    """
    model(x)
    before = {path: variable.numpy() for path, variable in model.weights.items()}
    graph = gx.trace(model, spec(x, symbolic))
    first = None
    for training in (False, True):
        given = {"training": training} if "training" in graph.contexts else {}
        with gx.seed(SEED):
            expected = model(x, **given)
        after = {path: variable.numpy() for path, variable in model.weights.items()}
        model.set_weights(before)
        program = gx.compile(graph, given)
        result, state = program.step(x, seed=SEED)
        same(result, expected)
        same(program(x, seed=SEED), expected)
        for path, value in after.items():
            same(state.get(path, before[path]), value)
        first = expected if first is None else first
    return first


def same(a: Any, b: Any) -> None:
    """Equal dtypes, shapes and bits."""
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    np.testing.assert_array_equal(a, b)


def close(a: Any, b: Any, tolerance: float = 1e-5) -> None:
    """Equal shapes, and float32 numbers equal but for rounding."""
    assert a.dtype == np.float32
    assert a.shape == np.shape(b)
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def refused(call: Callable[[], Any], message: str) -> None:
    """Check that a call raises a `LayerError` with exactly this text."""
    with pytest.raises(gx.LayerError, match=f"^{re.escape(message)}$"):
        call()


def text(graph: Any) -> str:
    """A graph's canonical text without the comments."""
    return "\n".join(line.split("  #")[0].rstrip() for line in str(graph).splitlines())
