"""A model with a context argument of every kind, and a bundle of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

import graphctx as gx
from graphctx import Context, Layer, nn, ops


class Net(Layer):
    """Inference row by row; training with batch statistics and, unless it is off, dropout.

    `priority` is a name that tritonclient keeps for itself, `mc` draws without batch statistics.
    """

    def __init__(self) -> None:
        self.first = nn.Dense(16, activation="relu")
        self.norm = nn.BatchNorm()
        self.second = nn.Dense(4)

    def call(
        self,
        x: Any,
        *,
        training: Context[bool] = False,
        intensity: Context[Literal["off", "normal", "aggressive"]] = "normal",
        mc: Context[bool] = False,
        priority: Context[Literal[1, 2]] = 1,
        noise_scale: Context[float] = 0.0,
        steps: Context[int] = 0,
    ) -> Any:
        hidden = self.norm(self.first(x + noise_scale))
        if (training and intensity != "off") or mc:
            hidden = ops.dropout(hidden, {"off": 0.1, "normal": 0.25, "aggressive": 0.5}[intensity])
        scores = self.second(hidden) * priority + steps
        return {"scores": scores, "best": ops.argmax(scores, axis=-1)}


def graph() -> gx.CallGraph:
    """Its graph, with weights that are always the same."""
    with gx.seed(0):
        found = gx.trace(Net(), gx.TensorSpec(("batch", 8), name="x"))
    return found


RUNTIME = ("noise_scale", "steps")


def write_bundle(path: Path) -> Path:
    """Write a bundle of all its contexts."""
    gx.export(graph(), path, contexts="all", runtime=RUNTIME, verify=False)
    return path


def inputs(rows: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Random rows for it."""
    return np.random.default_rng(seed).standard_normal((rows, 8)).astype(np.float32)
