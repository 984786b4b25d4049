"""NumPy files: .npy for one array, .npz for several by name; mapped, never read whole."""

from __future__ import annotations

import errno
import io
import math
import os
import shutil
import struct
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import numpy as np

from graphctx_onnx.runtime.errors import listing, suggest
from graphctx_onnx.scoring import identity
from graphctx_onnx.scoring.errors import ScoringError, cannot_read
from graphctx_onnx.scoring.rows import Batch, Field, Unit, converted, field_found

SUFFIXES = (".npy", ".npz")


@dataclass(frozen=True)
class Place:
    """Where an array lies in a file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: Any
    offset: int

    def map(self, path: Path) -> Any:
        """The array, mapped into memory."""
        if math.prod(self.shape) == 0:
            return np.empty(self.shape, self.dtype)
        return np.memmap(path, self.dtype, "r", self.offset, self.shape, self.order)


class NumpySource:
    """Rows of arrays; see `Source`.

    Args:
        path: a .npy file for a program of one input; a .npz file with an array for each.
        fields: that the program takes.
        columns: input -> name of the array, where it is another one.
        cast: whether other dtypes of the same kind are converted.

    Raises:
        ScoringError: an array is missing, or is not what the program takes.
    """

    def __init__(
        self, path: Path, fields: tuple[Field, ...], columns: Mapping[str, str], *, cast: bool
    ) -> None:
        self.path = path
        try:
            self.identity = identity.of_files([path], path.parent)
            places = _places(path)
        except OSError as error:
            raise cannot_read(path, error) from error
        if path.suffix == ".npy":
            if len(fields) != 1 or columns:
                raise ScoringError(
                    f"{path}: a .npy file has one array without a name, and the program takes "
                    f"{listing(f.name for f in fields)}; store arrays by name in a .npz file"
                )
            places = {fields[0].name: places[""]}
        self._places: dict[str, Place] = {}
        found = []
        for field in fields:
            name = columns.get(field.name, field.name)
            if name not in places:
                raise ScoringError(
                    f"{path}: no array {name!r} for the input {field.name!r}"
                    f"{suggest(name, places)} (there are: {listing(places)}); name another one "
                    f"with --input {field.name}=NAME"
                )
            place = self._places[field.name] = places[name]
            where = str(path) if path.suffix == ".npy" else f"{path}, {name!r}"
            if not place.shape:
                raise ScoringError(f"{where}: has no axes, so no rows; expected {field}")
            dtype = "string" if place.dtype.kind == "U" else place.dtype.newbyteorder("=").name
            found.append(field_found(field, dtype, place.shape[1:], where, cast=cast))
        self.fields = tuple(found)
        counts = {name: place.shape[0] for name, place in self._places.items()}
        self.rows = next(iter(counts.values()))
        if len(set(counts.values())) > 1:
            text = ", ".join(f"{name}: {count}" for name, count in counts.items())
            raise ScoringError(f"{path}: the arrays have different numbers of rows: {text}")

    def units(self, target: int, least: int) -> list[Unit]:
        """See `Source`."""
        size = max(1, min(target, math.ceil(self.rows / least)))
        return [(start, min(start + size, self.rows)) for start in range(0, self.rows, size)]

    def batches(self, start: int, stop: int, rows: int) -> Iterator[Batch]:
        """See `Source`."""
        arrays = {name: place.map(self.path) for name, place in self._places.items()}
        for a in range(start, stop, rows):
            b = min(a + rows, stop)
            yield Batch(
                a,
                {f.name: converted(arrays[f.name][a:b], f, str(self.path)) for f in self.fields},
            )


def _places(path: Path) -> dict[str, Place]:
    """Name -> place of all arrays of a file.

    Raises:
        ScoringError: it is no such file, or a compressed one.
    """
    try:
        with path.open("rb") as file:
            if path.suffix == ".npy":
                return {"": _place(file, path.stat().st_size)}
            with zipfile.ZipFile(file) as archive:
                return {
                    entry.filename.removesuffix(".npy"): _entry(file, entry, path)
                    for entry in archive.infolist()
                }
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, ScoringError):
            raise
        raise ScoringError(f"{path}: not a {path.suffix} file of plain arrays ({error})") from error


def _entry(file: IO[bytes], entry: zipfile.ZipInfo, path: Path) -> Place:
    """Where the array in an entry of an archive lies."""
    if entry.compress_type != zipfile.ZIP_STORED:
        raise ScoringError(
            f"{path}: is compressed, so rows in the middle cannot be read; store it with np.savez"
        )
    file.seek(entry.header_offset)
    head = file.read(30)  # its last four bytes: lengths of the name and of the extra field
    start = entry.header_offset + 30 + sum(struct.unpack("<HH", head[26:30]))
    file.seek(start)
    return _place(file, start + entry.file_size)


def _place(file: IO[bytes], end: int) -> Place:
    """Read the header of an array, from where the file stands; its bytes end at `end`."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_2_0
    if version == (1, 0):
        read = np.lib.format.read_array_header_1_0
    shape, fortran, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("it has Python objects")
    offset = file.tell()
    if offset + math.prod(shape) * dtype.itemsize > end:
        raise ValueError("it is shorter than its header says")
    return Place(dtype, shape, "F" if fortran else "C", offset)


class NumpySink:
    """Arrays of the outputs; see `Sink`.

    Args:
        folder: to work in.
        suffix: `.npy` for one output, `.npz` for several.
        fields: of the outputs.
        rows: how many there will be.

    Raises:
        ScoringError: an output is text, or there are several for a .npy file.
    """

    def __init__(self, folder: Path, suffix: str, fields: tuple[Field, ...], rows: int) -> None:
        self.suffix = suffix
        self._rows = rows
        self._archive = folder / "made.npz"
        self._fields = {field.name: field for field in fields}
        self._files = {name: folder / f"{quote(name, safe='')}.npy" for name in self._fields}
        for field in fields:
            if field.dtype == "string":
                raise ScoringError(
                    f"output {field.name!r} is text, which {suffix} files store in one width; "
                    f"score Parquet, or name the outputs to store: --output, outputs=[...]"
                )
        if suffix == ".npy" and len(fields) != 1:
            raise ScoringError(
                f"there are {len(fields)} outputs ({listing(self._fields)}), and a .npy file has "
                f"one; write to .npz, or name the one to store: --output, outputs=[...]"
            )

    def prepare(self) -> None:
        """See `Sink`."""
        for name, path in self._files.items():
            header = self._header(name)
            with path.open("wb") as file:
                file.write(header)
                file.flush()
                size = len(header) + self._rows * self._fields[name].row_bytes
                _reserve(file, size)
                file.truncate(size)

    def _header(self, name: str) -> bytes:
        field = self._fields[name]
        descr = np.lib.format.dtype_to_descr(np.dtype(field.dtype))
        made = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            made, {"descr": descr, "fortran_order": False, "shape": (self._rows, *field.shape)}
        )
        return made.getvalue()

    def store(self, unit: Unit, batches: Iterable[Batch]) -> None:
        """See `Sink`. Not through a mapping: a full disk would end the process there."""
        with ExitStack() as stack:
            files = {}
            for name, path in self._files.items():
                file = files[name] = stack.enter_context(path.open("r+b"))
                file.seek(len(self._header(name)) + unit[0] * self._fields[name].row_bytes)
            for batch in batches:
                for name, array in batch.arrays.items():
                    files[name].write(np.ascontiguousarray(array).data)
            for file in files.values():
                file.flush()
                os.fsync(file.fileno())

    def intact(self, done: Iterable[Unit]) -> bool:
        """See `Sink`."""
        return all(path.exists() for path in self._files.values())

    def finish(self, units: list[Unit]) -> Path:
        """See `Sink`."""
        if self.suffix == ".npy":
            [path] = self._files.values()
            return path
        with self._archive.open("w+b") as made:
            with zipfile.ZipFile(made, "w") as archive:
                for name, path in self._files.items():
                    with (
                        path.open("rb") as source,
                        archive.open(f"{name}.npy", "w", force_zip64=True) as target,
                    ):
                        shutil.copyfileobj(source, target, 1 << 20)
            made.flush()
            os.fsync(made.fileno())
        return self._archive


def _reserve(file: IO[bytes], size: int) -> None:
    """Take the space at once, where the system can: a full disk is noticed before the work."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise
