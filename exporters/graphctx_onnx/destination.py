"""Where an export goes: all of it or nothing, and never half of it over what was there before."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graphctx.errors import ExportError

SUFFIX = ".onnx"


class Destination:
    """A place that is known to be writable, and a folder beside it to work in.

    Attributes:
        path: where the model will be.
        folder: temporary, on the same file system; the files are made here.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path
        self.folder = folder

    @property
    def data_name(self) -> str:
        """Name of the data file."""
        return f"{self.path.name}.data"

    def commit(self, stale_data: bool) -> list[Path]:
        """Move the finished files into place, the model last; returns where they are now.

        Args:
            stale_data: whether a data file that is there, but was not made anew, belongs to the
                model that is replaced, and goes with it.

        Raises:
            ExportError: a file cannot be moved; what was there before is there again.
        """
        data = self.path.with_name(self.data_name)
        made, aside = self.folder / self.data_name, self.folder / "replaced"
        moves = [(made, data)] if made.exists() else []
        moves.append((self.folder / self.path.name, self.path))
        placed: list[Path] = []
        try:
            if data.exists() and (made.exists() or stale_data):
                os.replace(data, aside)
            for source, target in moves:
                os.replace(source, target)
                placed.append(target)
        except BaseException as error:
            for target in placed:
                target.unlink()
            if aside.exists():
                os.replace(aside, data)
            if isinstance(error, OSError):
                raise cannot_write(self.path, error) from error
            raise
        return placed


@contextmanager
def destination(path: str | os.PathLike[str]) -> Iterator[Destination]:
    """Check that a model can be written to a path, and make a folder to work in.

    Whatever happens inside, the folder is gone at the end.

    Raises:
        ExportError: nothing can be written there; names the path and the reason.
    """
    target = as_path(path)
    if target.suffix != SUFFIX:
        instead = target.name.lstrip(".") + SUFFIX if target.name != SUFFIX else f"model{SUFFIX}"
        raise ExportError(
            f"{target}: the name of an ONNX file ends in {SUFFIX}; "
            f"write to {instead if instead != SUFFIX else f'model{SUFFIX}'!r} instead"
        )
    parent = target.parent
    if not parent.exists():
        raise ExportError(f"{target}: the folder {str(parent)!r} does not exist; make it first")
    if not parent.is_dir():
        raise ExportError(f"{target}: {str(parent)!r} is not a folder")
    if target.is_dir():
        raise ExportError(f"{target}: is a folder; give the name of a file in it")
    if target.exists() and not os.access(target, os.W_OK):
        raise ExportError(f"{target}: cannot be written: the file there is read-only")
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.stem}.", suffix=".tmp", dir=parent))
    except OSError as error:
        raise cannot_write(target, error) from error
    try:
        yield Destination(target, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def cannot_write(path: Path, error: OSError) -> ExportError:
    """The error for a path that the operating system refuses."""
    return ExportError(f"{path}: cannot be written: {error.strerror or error}")
