"""Errors as a user of the command line sees them: one message, where it happened, no traceback."""

from __future__ import annotations

import importlib.util
import os
import sysconfig
import traceback
from collections.abc import Iterator
from types import TracebackType

from graphctx.cli.screen import stderr
from graphctx.errors import GraphctxError


class UsageError(Exception):
    """The command line is wrong: exit code 2."""


def report(error: BaseException, *, debug: bool) -> None:
    """Print an error to stderr: its message, where in the user's own code it was raised, notes."""
    console = stderr()
    if debug:
        console.out("".join(traceback.format_exception(error)), end="", highlight=False)
    console.print("[bold red]error:[/] ", end="")
    console.print(message(error), markup=False, highlight=False, soft_wrap=True)
    for note in getattr(error, "__notes__", ()):
        console.print("[bold]note:[/] ", end="")
        console.print(note, markup=False, highlight=False, soft_wrap=True)


def message(error: BaseException) -> str:
    """What to print of an error."""
    text = str(error)
    if isinstance(error, UsageError):
        return text
    place = where(error)
    if isinstance(error, SystemExit):
        return f"{place}: the model's code ends the program: sys.exit({error.code!r})"
    if isinstance(error, GraphctxError):
        return f"{text} ({place})" if place and place not in text else text
    kind = type(error).__name__
    if place is None and isinstance(error, OSError):
        return text  # what the system refuses, such as a full disk
    if place is None:
        return f"{kind}: {text} (inside graphctx; run again with --debug and report it)"
    if isinstance(error, SyntaxError):
        text = error.msg
    found = f"{place}: {kind}: {text}" if text else f"{place}: {kind}"
    layer = _layer(error)
    return f"{found} (in the layer {layer})" if layer else found


def where(error: BaseException) -> str | None:
    """`file.py:12` of the innermost line of the user's own code that an error passed through."""
    if isinstance(error, SyntaxError) and error.filename and not _is_library(error.filename):
        line = f":{error.lineno}" if error.lineno else ""
        return f"{_short(error.filename)}{line}"
    found = None
    for step in _steps(error):
        filename = step.tb_frame.f_code.co_filename
        if not _is_library(filename):
            found = f"{_short(filename)}:{step.tb_lineno}"
    cause = error.__cause__
    return where(cause) if found is None and cause not in (None, error) else found


def _layer(error: BaseException) -> str | None:
    """Path of the innermost layer call that an error passed through."""
    from graphctx.context import Frame

    found = None
    for step in _steps(error):
        frame = step.tb_frame.f_locals.get("frame")
        if isinstance(frame, Frame) and frame.path:
            found = frame.path
    return found


def _steps(error: BaseException) -> Iterator[TracebackType]:
    step = error.__traceback__
    while step is not None:
        yield step
        step = step.tb_next


def _is_library(filename: str) -> bool:
    """Whether a file is graphctx's, an installed package's or Python's, and not the user's."""
    if filename.startswith("<") or not os.path.exists(filename):  # `numpy/random/mtrand.pyx`
        return True
    return os.path.abspath(filename).startswith(tuple(_library_folders()))


def _library_folders() -> list[str]:
    paths = sysconfig.get_paths()
    folders = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    for package in ("graphctx", "graphctx_onnx", "typer"):
        spec = importlib.util.find_spec(package)
        folders += (spec.submodule_search_locations or []) if spec else []
    return [os.path.abspath(folder) + os.sep for folder in folders]


def _short(filename: str) -> str:
    """A path below the working directory is relative to it."""
    relative = os.path.relpath(filename)
    return filename if relative.startswith("..") else relative
