"""What layers around other layers share."""

from __future__ import annotations

from typing import Any

from graphctx.context import NO_VALUES, Frame, current
from graphctx.layer import Layer
from graphctx.nn.arguments import bad


def require_layer(layer: Layer, given: Any) -> Layer:
    """Return the layer that another one is to wrap.

    Raises:
        LayerError: it is none.
    """
    if not isinstance(given, Layer):
        hint = "; create it first" if isinstance(given, type) else ""
        raise bad(layer, f"wraps a layer, got {given!r}{hint}")
    return given


def build_sublayer(layer: Layer, shape: Any) -> None:
    """Build a layer under its own path, for one that uses its weights without calling it.

    Args:
        layer: to build, unless it is.
        shape: of its input.
    """
    if not layer._built:
        token = current.set(Frame(current.get(), layer, NO_VALUES))
        try:
            layer._build_once(shape)
        finally:
            current.reset(token)
        layer._built = True
