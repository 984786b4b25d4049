"""Makes the nth step of writing to a disk fail, whichever it is."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock


@contextmanager
def failing_at(step: int, fail: Callable[[], None]) -> Iterator[list[str]]:
    """Call `fail` instead of the step of that number; yields the names of the steps so far."""
    steps: list[str] = []

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            steps.append(name)
            if len(steps) - 1 == step:
                fail()
            return real(*args, **kwargs)

        return call

    real_open = pathlib.Path.open

    def opened(path: pathlib.Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if "r" in mode:
            return real_open(path, mode, *args, **kwargs)
        file = counted("open", real_open)(path, mode, *args, **kwargs)
        return _File(file, counted("write", file.write))

    with (
        mock.patch.object(pathlib.Path, "open", opened),
        mock.patch.object(pathlib.Path, "mkdir", counted("mkdir", pathlib.Path.mkdir)),
        mock.patch.object(os, "replace", counted("replace", os.replace)),
        mock.patch.object(os, "rename", counted("rename", os.rename)),
        mock.patch.object(os, "fsync", counted("fsync", os.fsync)),
        mock.patch.object(os, "unlink", counted("unlink", os.unlink)),
    ):
        yield steps


class _File:
    """A file with another `write`."""

    def __init__(self, file: Any, write: Callable[..., Any]) -> None:
        self._file = file
        self.write = write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *error: Any) -> None:
        self._file.close()
