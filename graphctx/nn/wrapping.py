"""`Lambda`: a Python function as a layer."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from graphctx.context import CallSignature, defining_scope
from graphctx.layer import Layer
from graphctx.nn.arguments import bad

__all__ = ["Lambda"]


class Lambda(Layer):
    """Wraps a function of tensors.

    Args:
        function: takes what the layer is called with. Parameters annotated `Context[T]`, and one
            named `training`, are context arguments of the layer, as those of `Layer.call` are.
        name: of the layer.

    A layer that the function uses is no sub-layer, as it is not an attribute: write a class for
    it, or pass a layer itself as the function. Variables that the function uses are found by a
    trace, but are not among `weights`.

    Raises:
        LayerError: `function` cannot be called, or is the class of a layer.
        ContextError: a context argument of the function has a default outside its domain.
    """

    def __init__(self, function: Callable[..., Any], *, name: str | None = None) -> None:
        self.name = name
        if not callable(function):
            raise bad(self, f"wraps a function, got {type(function).__name__} {function!r}")
        if isinstance(function, type) and issubclass(function, Layer):
            raise bad(self, f"wraps a function, got the class {function.__name__}; create it first")
        self.function = function
        self._declare()

    def _declare(self) -> None:
        """Take over the function's parameters."""
        method = _as_method(self.function)
        if method is not None:
            defined = self.function
            while isinstance(defined, functools.partial):
                defined = defined.func
            scope = defining_scope(getattr(defined, "__module__", None) or "")
            # Of this layer alone: each wraps a function with parameters of its own.
            self.__dict__["_signature"] = CallSignature(method, scope)

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        state.pop("_signature", None)  # has a function in it that cannot be pickled
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._declare()

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self.function(*args, **kwargs)


def _as_method(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """The function with one more parameter, as methods have it; None where Python knows none."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some functions that are written in C
        return None

    @functools.wraps(function, updated=())
    def method(_layer: Any, *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    first = inspect.Parameter("_layer", inspect.Parameter.POSITIONAL_ONLY)
    method.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[first, *signature.parameters.values()]
    )
    return method
