"""Models that the tests of bundles share."""

from __future__ import annotations

import enum
import functools
import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np
from graphctx_onnx import ExportedBundle, export_bundle

import graphctx as gx
from graphctx import Context, Layer, TensorSpec, nn, ops
from tests.exporters.onnx_models import Linear, weight

X = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
SPEC = TensorSpec(("batch", 4), name="x")


class Role(enum.Enum):
    """A domain of members."""

    TEACHER = 1
    STUDENT = 2


class Reader(Layer):
    """The only layer of `Net` that reads context; raises for a combination."""

    def call(
        self,
        x: Any,
        *,
        training: Context[bool] = False,
        mode: Context[Literal["off", "low", "high"]] = "low",
        role: Context[Role] = Role.STUDENT,
        scale: Context[float] = 1.0,
    ) -> Any:
        if role is Role.TEACHER and training:
            raise ValueError("a teacher is not trained")
        if not training or mode == "off":
            return x * scale
        return ops.dropout(x, {"low": 0.25, "high": 0.5}[mode])


class Net(Layer):
    """Eighteen assignments: inference, training in three modes of which two draw; an error."""

    def __init__(self, units: int = 16) -> None:
        self.first = Linear(4, units)
        self.norm = nn.BatchNorm()
        self.reader = Reader()
        self.second = Linear(units, 2)

    def call(self, x: Any) -> Any:
        hidden = self.norm(self.first(x))
        return {"hidden": hidden, "logits": self.second(self.reader(hidden))}


def net_graph(units: int = 16) -> gx.CallGraph:
    with gx.seed(0):
        return gx.trace(Net(units), SPEC)


class Choice(Layer):
    """One of four activations between two products."""

    def __init__(self, width: int, dtype: str = "float32") -> None:
        self.inner = weight(width, width, dtype=dtype)
        self.outer = weight(width, width, seed=1, dtype=dtype)

    def call(
        self, x: Any, *, mode: Context[Literal["relu", "tanh", "sigmoid", "elu"]] = "relu"
    ) -> Any:
        hidden = ops.matmul(x, self.inner)
        return ops.matmul(getattr(ops, mode)(hidden / self.inner.shape[0]), self.outer)


def choice_graph(width: int) -> gx.CallGraph:
    return gx.trace(Choice(width), TensorSpec(("batch", width), name="x"))


@functools.cache
def stored() -> tuple[Path, ExportedBundle]:
    """The bundle of `Net` for all contexts, made once; copy it before it is changed."""
    import atexit
    import tempfile

    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / "net.bundle"
    return path, export_bundle(net_graph(), path)


def copied(folder: Path) -> Path:
    """A copy of that bundle in another folder."""
    return Path(shutil.copytree(stored()[0], folder / "net.bundle"))
