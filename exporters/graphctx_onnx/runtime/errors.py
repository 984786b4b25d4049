"""The errors of the runtime. Every one is a `BundleError`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class BundleError(Exception):
    """Base of all errors that the runtime raises on purpose."""


class InvalidBundleError(BundleError):
    """A bundle is refused: damaged, incomplete, foreign, of a newer format, or not safe to load."""


class ContextError(BundleError, ValueError):
    """A context argument is unknown, missing, or has a value that this bundle has no program for.

    Attributes:
        argument: its name; None where no single one is to blame.
        allowed: its values, where they are listed.
    """

    def __init__(
        self, message: str, argument: str | None = None, allowed: tuple[Any, ...] = ()
    ) -> None:
        super().__init__(message)
        self.argument = argument
        self.allowed = allowed


class InputError(BundleError, ValueError):
    """An input is unknown, missing, or does not have the dtype, rank or sizes of the signature.

    Attributes:
        input: its name; None where no single one is to blame.
    """

    def __init__(self, message: str, input: str | None = None) -> None:
        super().__init__(message)
        self.input = input


class ModelError(BundleError, RuntimeError):
    """The model itself raises under this context; the message is the model's own.

    Attributes:
        type: name of the model's exception.
        source: `file.py:12` that raises it.
    """

    def __init__(self, message: str, type: str, source: str) -> None:
        super().__init__(message)
        self.type = type
        self.source = source


class SessionError(BundleError, RuntimeError):
    """onnxruntime does not load a program, or does not run it."""


def suggest(name: str, known: Iterable[str]) -> str:
    """`"; did you mean 'x'?"` for the nearest known name, or an empty string."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def listing(names: Iterable[Any]) -> str:
    """Names or values as one line of a message."""
    return ", ".join(map(repr, names)) or "none"
