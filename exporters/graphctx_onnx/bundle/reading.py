"""Reads a bundle that is there, and checks its files; needs no onnx."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from graphctx.errors import ExportError
from graphctx.export import as_path
from graphctx_onnx.runtime.errors import InvalidBundleError
from graphctx_onnx.runtime.files import check_content
from graphctx_onnx.runtime.manifest import Manifest, TensorEntry
from graphctx_onnx.runtime.parse import read_manifest

_CHUNK = 1 << 24  # bytes


def read(path: str | os.PathLike[str]) -> Manifest:
    """The manifest of a bundle.

    Raises:
        ExportError: there is no bundle, or it cannot be read; says why.
    """
    try:
        return read_manifest(as_path(path))
    except InvalidBundleError as error:
        raise ExportError(str(error)) from error


def check_files(
    folder: Path, manifest: Manifest, progress: Callable[[str, int, int], None] | None = None
) -> None:
    """Compare files and tensors with the digests in the manifest.

    Raises:
        ExportError: one is missing or damaged; names it.
    """
    steps = len(manifest.files) + len(manifest.tensors)
    try:
        for index, entry in enumerate(manifest.files.values()):
            if progress is not None:
                progress("checking files", index, steps)
            check_content(folder, entry)
        for index, tensor in enumerate(manifest.tensors):
            if progress is not None:
                progress("checking tensors", len(manifest.files) + index, steps)
            for _ in checked_chunks(folder, tensor):
                pass
    except InvalidBundleError as error:
        raise ExportError(str(error)) from error


def checked_chunks(folder: Path, tensor: TensorEntry) -> Iterator[bytes]:
    """The bytes of a tensor, in parts; what comes out last has been compared with its digest.

    Raises:
        ExportError: they are not what the manifest says.
    """
    digest = hashlib.sha256()
    left = tensor.size
    with (folder / tensor.file).open("rb") as file:
        file.seek(tensor.offset)
        while left > 0 and (data := file.read(min(left, _CHUNK))):
            digest.update(data)
            left -= len(data)
            yield data
    if digest.hexdigest() != tensor.sha256:
        raise ExportError(
            f"{folder}: the tensor {tensor.name!r} in {tensor.file} is not what the manifest "
            f"says; export the bundle again"
        )
