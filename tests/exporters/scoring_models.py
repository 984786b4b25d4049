"""Bundles and rows that the tests of scoring share."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from graphctx_onnx import Bundle, export_bundle

import graphctx as gx
from graphctx import Context, Layer, TensorSpec, nn, ops


class Reader(Layer):
    """Random in training; `gain` is left to run time."""

    def call(
        self,
        x: Any,
        *,
        training: Context[bool] = False,
        mode: Context[Literal["low", "high"]] = "low",
        gain: Context[float] = 1.0,
    ) -> Any:
        if training:
            return ops.dropout(x, {"low": 0.25, "high": 0.5}[mode])
        return x * gain


class Plain(Layer):
    """Two outputs, one of them of two axes and the rows."""

    def __init__(self) -> None:
        self.dense = nn.Dense(3)
        self.reader = Reader()

    def call(self, x: Any) -> Any:
        hidden = self.reader(self.dense(x))
        return {"logits": hidden, "pairs": ops.stack([hidden, -hidden], axis=-1)}


class Two(Layer):
    """Inputs of several shapes and dtypes."""

    def call(self, image: Any, count: Any, flag: Any) -> Any:
        total = ops.sum(image, axis=(1, 2)) + ops.astype(count, "float32")
        return {"total": ops.where(flag, total, -total), "next": count + 1}


class Centered(Layer):
    """Its rows depend on each other."""

    def call(self, x: Any) -> Any:
        return x - ops.mean(x, axis=0)


class Mean(Layer):
    """An output by rows, and one that is not."""

    def call(self, x: Any) -> Any:
        return {"twice": x * 2, "mean": ops.mean(x)}


class Fixed(Layer):
    """For three rows only."""

    def call(self, x: Any) -> Any:
        return x + 1


X = TensorSpec(("batch", 4), name="x")
MODELS: dict[str, tuple[Callable[[], Layer], tuple[TensorSpec, ...]]] = {
    "plain": (Plain, (X,)),
    "two": (
        Two,
        (
            TensorSpec(("batch", 2, 3), name="image"),
            TensorSpec(("batch",), "int64", name="count"),
            TensorSpec(("batch",), "bool", name="flag"),
        ),
    ),
    "centered": (Centered, (X,)),
    "mean": (Mean, (X,)),
    "fixed": (Fixed, (TensorSpec((3, 4), name="x"),)),
    "normed": (lambda: nn.Sequential([nn.BatchNorm()]), (X,)),
}


@functools.cache
def stored(name: str) -> Path:
    """The bundle of a model, made once."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    make, specs = MODELS[name]
    path = Path(folder) / f"{name}.bundle"
    with gx.seed(0):
        export_bundle(gx.trace(make(), *specs), path, verify=False)
    return path


@functools.cache
def loaded(name: str) -> Bundle:
    """The same, loaded with one thread a run."""
    return Bundle.load(stored(name), threads=1)


def rows(count: int, width: int = 4) -> Any:
    """Random rows of `x`."""
    return np.random.default_rng(0).standard_normal((count, width)).astype(np.float32)
