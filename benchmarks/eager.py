"""An eager call through 30 nested layers that know nothing, around one that reads `training`.

Peer: Keras 3 with its NumPy backend, the same nest of layers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import graphctx as gx
from benchmarks.keras_peer import keras
from benchmarks.timing import side_by_side

DEPTH = 30
TARGET = 1 / 15


class Leaf(gx.Layer):
    def call(self, x: Any, training: gx.Context[bool] = False) -> Any:
        return x


class Nest(gx.Layer):
    def __init__(self, child: gx.Layer) -> None:
        self.child = child

    def call(self, x: Any) -> Any:
        return self.child(x)


def keras_nest() -> Any:
    """The same in Keras."""
    peer = keras()

    class KerasLeaf(peer.layers.Layer):  # type: ignore[misc, name-defined]
        def call(self, x: Any, training: bool = False) -> Any:
            return x

    class KerasNest(peer.layers.Layer):  # type: ignore[misc, name-defined]
        def __init__(self, child: Any) -> None:
            super().__init__()
            self.child = child

        def call(self, x: Any) -> Any:
            return self.child(x)

    model = KerasLeaf()
    for _ in range(DEPTH - 1):
        model = KerasNest(model)
    return model


def run() -> list[dict[str, Any]]:
    """One row: microseconds a layer, ours and Keras's, with `training=True` given at the top."""
    model: gx.Layer = Leaf()
    for _ in range(DEPTH - 1):
        model = Nest(model)
    peer = keras_nest()
    x = np.ones((1, 4), np.float32)
    found = side_by_side(
        {"graphctx": lambda: model(x, training=True), "keras": lambda: peer(x, training=True)}
    )
    ours, theirs = (1e6 * found[name] / DEPTH for name in ("graphctx", "keras"))
    return [
        {
            "what": f"eager call, {DEPTH} nested layers", "ours": f"{ours:.2f} us a layer",
            "peer": f"Keras 3 NumPy {theirs:.1f} us a layer", "ratio": ours / theirs,
            "target": TARGET,
        }
    ]  # fmt: skip
