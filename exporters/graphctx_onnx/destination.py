"""Where an export goes: all of it or nothing, and never half of it over what was there before."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

from graphctx.errors import ExportError
from graphctx.export import as_path

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

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

    def commit(self, is_stale: Callable[[], bool]) -> list[Path]:
        """Move the finished files into place, the model last; returns where they are now.

        From the moment that the model is there the export is done; before that all is undone.
        Two exports to one path move their files one after the other, never in between.

        Args:
            is_stale: asked whether a data file that is there, but was not made anew, belongs to
                the model that is replaced, and goes with it.

        Raises:
            ExportError: a file cannot be moved; what was there before is there again.
        """
        try:
            with _alone_in(self.path.parent):
                return self._move(is_stale)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def _move(self, is_stale: Callable[[], bool]) -> list[Path]:
        data = self.path.with_name(self.data_name)
        made, aside = self.folder / self.data_name, self.folder / "replaced"
        model = self.folder / self.path.name
        has_data = made.exists()
        try:
            if data.exists() and (has_data or is_stale()):
                os.replace(data, aside)
            if has_data:
                os.replace(made, data)
            os.replace(model, self.path)
        except BaseException:
            if model.exists():
                if has_data and not made.exists():
                    data.unlink()
                if aside.exists():
                    os.replace(aside, data)
            raise
        return [data, self.path] if has_data else [self.path]


@contextmanager
def destination(path: str | os.PathLike[str]) -> Iterator[Destination]:
    """Check that a model can be written to a path, and make a folder to work in.

    Whatever happens inside, the folder is gone at the end.

    Raises:
        ExportError: nothing can be written there; names the path and the reason.
    """
    target = as_path(path)
    if target.suffix != SUFFIX:
        name = target.name if target.name not in ("", SUFFIX) else "model"
        raise ExportError(
            f"{target}: the name of an ONNX file ends in {SUFFIX}; "
            f"write to {name + SUFFIX!r} instead"
        )
    try:
        _require_writable(target)
        folder = Path(
            tempfile.mkdtemp(prefix=f".{target.stem[:40]}.", suffix=".tmp", dir=target.parent)
        )
    except OSError as error:
        raise cannot_write(target, error) from error
    try:
        yield Destination(target, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _require_writable(target: Path) -> None:
    parent = target.parent
    if not parent.exists():
        raise ExportError(f"{target}: the folder {str(parent)!r} does not exist; make it first")
    if not parent.is_dir():
        raise ExportError(f"{target}: {str(parent)!r} is not a folder")
    if target.is_dir():
        raise ExportError(f"{target}: is a folder; give the name of a file in it")
    if target.exists() and not os.access(target, os.W_OK):
        raise ExportError(f"{target}: cannot be written: the file there is read-only")


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other exports from moving files in this folder meanwhile, where the system can."""
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems have no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def cannot_write(path: Path, error: OSError) -> ExportError:
    """The error for a path that the operating system refuses."""
    return ExportError(f"{path}: cannot be written: {error.strerror or error}")
