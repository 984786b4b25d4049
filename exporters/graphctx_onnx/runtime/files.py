"""The files of a bundle: regular files in its own folder, of known size and content."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from graphctx_onnx.runtime.errors import InvalidBundleError


@dataclass(frozen=True)
class FileEntry:
    """What the manifest says of a file.

    Attributes:
        name: in the folder of the bundle.
        size: in bytes.
        sha256: of its content, as 64 hexadecimal digits.
    """

    name: str
    size: int
    sha256: str


Identity = tuple[int, int, int, int]
"""Device, inode, size and time of the last change: equal for a file that is still the same."""


def identity(folder: Path, name: str) -> Identity:
    """What tells a file from one that is put in its place later.

    Raises:
        InvalidBundleError: it is missing, a symbolic link, or no regular file.
    """
    try:
        found = os.lstat(folder / name)
    except OSError as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else f"{error.strerror}"
        raise InvalidBundleError(f"{folder}: {name} {reason}; export the bundle again") from error
    if stat.S_ISLNK(found.st_mode):
        raise InvalidBundleError(
            f"{folder}: {name} is a symbolic link, which may lead out of the bundle; "
            f"copy the file itself"
        )
    if not stat.S_ISREG(found.st_mode):
        raise InvalidBundleError(f"{folder}: {name} is no regular file")
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def check_size(folder: Path, entry: FileEntry) -> Identity:
    """Check that a file is there and as long as the manifest says; see `identity`."""
    found = identity(folder, entry.name)
    if found[2] != entry.size:
        kind = "truncated" if found[2] < entry.size else "too long"
        raise InvalidBundleError(
            f"{folder}: {entry.name} is {kind}: it has {found[2]} bytes, the manifest says "
            f"{entry.size}; export the bundle again"
        )
    return found


def check_content(folder: Path, entry: FileEntry) -> Identity:
    """Check the size and the SHA-256 digest of a file; see `identity`."""
    found = check_size(folder, entry)
    digest = sha256_of(folder / entry.name)
    if digest != entry.sha256:
        raise InvalidBundleError(
            f"{folder}: {entry.name} is damaged: its SHA-256 is {digest[:12]}..., the manifest "
            f"says {entry.sha256[:12]}...; export the bundle again"
        )
    return found


def sha256_of(path: Path) -> str:
    """The digest of a file, as 64 hexadecimal digits.

    Raises:
        InvalidBundleError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InvalidBundleError(f"{path}: cannot be read: {error.strerror}") from error
