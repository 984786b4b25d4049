"""The errors graphctx raises. Every one is a `GraphctxError`."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import ClassVar


class GraphctxError(Exception):
    """Base of all errors that graphctx raises on purpose."""


class ContextError(GraphctxError, ValueError):
    """A context argument is unknown, outside its domain, missing, or in conflict."""


class ShapeError(GraphctxError, ValueError):
    """Shapes or ranks do not fit together."""


class DTypeError(GraphctxError, TypeError):
    """Element types do not fit together."""


class LayerError(GraphctxError, ValueError):
    """A layer is built or called in a way that it cannot serve."""


class TraceError(GraphctxError, RuntimeError):
    """The model's Python did something that a trace cannot record.

    Attributes:
        created: is told of every new error; set by the tracer.
    """

    created: ClassVar[Callable[[TraceError], None] | None] = None

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        if TraceError.created is not None:
            TraceError.created(self)


class InputError(GraphctxError, ValueError):
    """A program was called with inputs that do not fit its signature."""


class WeightsError(GraphctxError, ValueError):
    """Stored weights do not match the model's weights."""


class LoadError(GraphctxError, ValueError):
    """A file is damaged, or holds what graphctx has no meaning for; says where in it."""


class ExportError(GraphctxError, RuntimeError):
    """A program cannot be written in the format asked for."""


class VerificationError(ExportError):
    """What was exported does not compute what the program computes."""


def suggest(name: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the nearest known name, or an empty string."""
    known = list(known)
    for path in known:
        if path.endswith(f"/{name}"):
            return f"; did you mean {path!r}?"
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def listing(names: Iterable[str], empty: str = "none") -> str:
    """Return the names, quoted and sorted, as one line for an error message."""
    return ", ".join(repr(name) for name in sorted(names)) or empty
