"""`Sequential`: layers called one after the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from graphctx.errors import LayerError
from graphctx.layer import Layer
from graphctx.tensor import ArrayOperators

__all__ = ["Sequential"]


class Sequential(Layer):
    """A stack of layers: each takes what the one before it returned.

    Args:
        layers: in order; they may be added later with `add`.
        name: of the model.

    Context arguments go to whichever layer declares them, as in every call.
    """

    def __init__(self, layers: Iterable[Layer] = (), name: str | None = None) -> None:
        self.name = name
        self._layers: list[Layer] = []
        is_array = isinstance(layers, (str, np.ndarray, ArrayOperators))
        if is_array or not isinstance(layers, Iterable):
            raise LayerError(f"{self.name}: Sequential takes a list of layers, got {layers!r}")
        for layer in layers:
            self.add(layer)

    def add(self, layer: Any) -> None:
        """Append a layer.

        Raises:
            LayerError: it is not a layer, or the model itself.
        """
        if layer is self:
            raise LayerError(f"{self.name}: a Sequential cannot hold itself")
        if not isinstance(layer, Layer):
            if isinstance(layer, ArrayOperators):
                hint = "; leave an Input out: sizes are those of the first call"
            elif isinstance(layer, type):
                hint = "; create it first: Dense(10)"
            elif callable(layer):
                hint = "; wrap a function in nn.Activation or nn.Lambda"
            else:
                hint = "; nest another Sequential, or name an activation in nn.Activation"
            raise LayerError(
                f"{self.name}: Sequential holds layers, got {type(layer).__name__} {layer!r}{hint}"
            )
        self._layers = [*self._layers, layer]

    def _children(self) -> list[tuple[str, Any]]:
        return name_children(self._layers, super()._children())

    def call(self, x: Any) -> Any:
        """Run the layers in order."""
        for layer in self._layers:
            x = layer(x)
        return x


def name_children(layers: Iterable[Layer], others: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Layers by their own names (`dense`, `dense_1`), then whatever else a subclass owns."""
    from graphctx.layer import _unique_labels

    own = [(layer.name, layer) for layer in layers]
    known = {id(layer) for _, layer in own}
    return _unique_labels(own + [(label, c) for label, c in others if id(c) not in known])
