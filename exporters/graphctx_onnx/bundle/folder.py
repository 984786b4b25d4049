"""The folder of a bundle: after a crash or a full disk it is the old bundle or the new one.

The names of files say their content, so a file is never changed, and what a bundle consists of is
said by its manifest alone. A new bundle is made in a temporary folder beside its place, which is
then renamed. One that is there gets its new files first, then, in one step, its new manifest; last
go the files that it does not name. What a crash leaves is not read by anybody, and goes with the
next change.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from graphctx.errors import ExportError
from graphctx.export import as_path
from graphctx_onnx.destination import cannot_write
from graphctx_onnx.runtime.errors import InvalidBundleError
from graphctx_onnx.runtime.files import FileEntry, check_content
from graphctx_onnx.runtime.manifest import NAME, Manifest
from graphctx_onnx.runtime.parse import read_manifest

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

SUFFIX = ".bundle"
DIGITS = 12
"""Hexadecimal digits of a digest in the name of a file."""

PROGRAM, WEIGHTS = ("program", ".onnx"), ("weights", ".bin")
"""How the names of files begin and end."""

_PARTIAL = ".partial-"
_OURS = re.compile(rf"(program-[0-9a-f]{{{DIGITS}}}\.onnx|weights-[0-9a-f]{{{DIGITS}}}\.bin)")


class Workplace:
    """A folder in which a bundle is made, or changed.

    Attributes:
        target: path of the bundle, as it was named.
        path: the same without links.
        folder: to write into: the bundle itself if it is there, else a temporary folder.
        before: manifest of the bundle that is there, or None.
        files: that were written, or found written, by name.
    """

    def __init__(self, target: Path, path: Path, folder: Path, before: Manifest | None) -> None:
        self.target = target
        self.path = path
        self.folder = folder
        self.before = before
        self.files: dict[str, FileEntry] = {}
        self._made: list[str] = []
        self._committed = False

    def keep(self, names: Iterable[str]) -> None:
        """Files of the bundle that is there stay in it.

        Raises:
            InvalidBundleError: one is missing or damaged.
        """
        assert self.before is not None
        for name in names:
            check_content(self.folder, self.before.files[name])
            self.files[name] = self.before.files[name]

    def write(self, kind: str, suffix: str, chunks: Iterable[bytes | memoryview]) -> FileEntry:
        """Write a file, whose name is made of its content: `<kind>-<digest><suffix>`.

        One that is there already, and is not damaged, stays as it is.
        """
        partial = self.folder / f"{_PARTIAL}{secrets.token_hex(4)}"
        digest = hashlib.sha256()
        size = 0
        try:
            with partial.open("xb") as file:
                for chunk in chunks:
                    file.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
                file.flush()
                os.fsync(file.fileno())
            found = digest.hexdigest()
            entry = FileEntry(f"{kind}-{found[:DIGITS]}{suffix}", size, found)
            if not self.has(entry):
                if not (self.folder / entry.name).exists():
                    self._made.append(entry.name)
                os.replace(partial, self.folder / entry.name)
        finally:
            partial.unlink(missing_ok=True)
        self.files[entry.name] = entry
        return entry

    def has(self, entry: FileEntry) -> bool:
        """Whether the bundle that is there has a file, undamaged."""
        if self.before is None or entry.name not in self.before.files:
            return False
        try:
            check_content(self.folder, entry)
        except InvalidBundleError:
            return False
        return True

    def commit(self, manifest: bytes) -> None:
        """Put the manifest in place: from then on the bundle is the new one."""
        partial = self.folder / f"{_PARTIAL}manifest"
        with partial.open("wb") as file:
            file.write(manifest)
            file.flush()
            os.fsync(file.fileno())
        _sync(self.folder)
        os.replace(partial, self.folder / NAME)
        if self.folder != self.path:
            _sync(self.folder)
            if self.path.exists():
                os.rmdir(self.path)  # an empty folder
            os.rename(self.folder, self.path)
        self._committed = True
        with contextlib.suppress(OSError):
            _sync(self.path if self.folder == self.path else self.path.parent)
            self._clean()

    def _clean(self) -> None:
        """Remove what exports have left here, and the manifest does not name."""
        for entry in list(os.scandir(self.path)):
            ours = _OURS.fullmatch(entry.name) or entry.name.startswith(_PARTIAL)
            if ours and entry.name not in self.files and not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)

    def undo(self) -> None:
        """Remove what was written and not committed."""
        if self._committed:
            return
        if self.folder != self.path:
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        for name in os.listdir(self.folder):
            if name in self._made or name.startswith(_PARTIAL):
                with contextlib.suppress(OSError):
                    os.unlink(self.folder / name)


@contextlib.contextmanager
def workplace(path: str | os.PathLike[str], *, existing: bool = False) -> Iterator[Workplace]:
    """A folder to make a bundle in; what is not committed inside is undone.

    Args:
        path: of the bundle; ends in `.bundle`.
        existing: whether the bundle has to be there.

    Raises:
        ExportError: nothing can be written there, or something else is there; names the path and
            the reason.
    """
    target = as_path(path)
    if target.suffix != SUFFIX:
        name = target.name if target.name not in ("", SUFFIX) else "model"
        raise ExportError(
            f"{target}: the name of a bundle ends in {SUFFIX}; write to {name + SUFFIX!r} instead"
        )
    real = Path(os.path.realpath(target))
    try:
        with _alone_in(real):
            before = _bundle_at(target, real)
            if existing and before is None:
                raise ExportError(f"{target}: there is no bundle; gx.export(graph, ...) makes one")
            folder = real if before is not None else _temporary(real)
            place = Workplace(target, real, folder, before)
            try:
                yield place
            finally:
                place.undo()
    except OSError as error:
        raise cannot_write(target, error) from error
    except InvalidBundleError as error:
        raise ExportError(str(error)) from error


def _bundle_at(target: Path, real: Path) -> Manifest | None:
    """The manifest of a bundle that is there; None where there is nothing, or an empty folder.

    Raises:
        ExportError: something else is there.
    """
    parent = real.parent
    if not parent.is_dir():
        what = "is not a folder" if parent.exists() else "does not exist; make it first"
        raise ExportError(f"{target}: the folder {str(target.parent)!r} {what}")
    if not real.exists():
        return None
    if not real.is_dir():
        raise ExportError(f"{target}: is a file, and a bundle is a folder; remove it first")
    if not os.listdir(real):
        return None
    try:
        return read_manifest(real)
    except InvalidBundleError as error:
        raise ExportError(
            f"{target}: what is there is not replaced, as it is no bundle of this version "
            f"({error}); remove it first, or choose another path"
        ) from error


def _temporary(target: Path) -> Path:
    folder = target.with_name(f".{target.stem[:40]}.{secrets.token_hex(4)}.tmp")
    folder.mkdir()
    return folder


def _sync(folder: Path) -> None:
    """Make sure that the names in a folder outlive a loss of power, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes from changing a bundle that is there, where the system can.

    Raises:
        ExportError: another one is at it.
    """
    if fcntl is None or not folder.is_dir():
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ExportError(f"{folder}: another process is writing to it; try again") from error
        except OSError:
            pass  # some network file systems have no locks
        yield
    finally:
        os.close(handle)
