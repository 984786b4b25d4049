"""Digests that say whether an interrupted run may go on: of files, of a bundle."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from graphctx_onnx.runtime.manifest import Manifest


def digest(value: Any) -> str:
    """Digest of plain data."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def of_bundle(manifest: Manifest) -> str:
    """Digest of a bundle: of its manifest, which has those of all files."""
    return digest(manifest.data)


def of_files(files: Iterable[Path], root: Path) -> str:
    """Digest of names, sizes and times of change; contents would take as long as scoring."""
    found = []
    for path in files:
        status = os.stat(path)
        found.append([os.path.relpath(path, root), status.st_size, status.st_mtime_ns])
    return digest(sorted(found))


def files_below(folder: Path) -> list[Path]:
    """All files in a folder and those in it."""
    return [Path(root) / name for root, _, names in os.walk(folder) for name in names]
