"""Zarr folders: a group with an array for each input, or one array; read and written by chunks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from graphctx_onnx.runtime.errors import listing, suggest
from graphctx_onnx.scoring import identity
from graphctx_onnx.scoring.errors import ScoringError, cannot_read
from graphctx_onnx.scoring.rows import Batch, Field, Unit, converted, field_found

SUFFIXES = (".zarr",)
MOST_CHUNK = 1 << 26
"""Bytes of rows that tasks are rounded up to for the sake of whole chunks."""


class ZarrSource:
    """Rows of Zarr arrays; see `Source`.

    Args:
        path: of the folder.
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
            self.identity = identity.of_files(identity.files_below(path), path)
            opened = zarr.open(path, mode="r")
        except (ValueError, KeyError, FileNotFoundError) as error:
            raise ScoringError(f"{path}: not a Zarr folder ({error})") from error
        except OSError as error:
            raise cannot_read(path, error) from error
        self._names: dict[str, str] = {}
        arrays = {}
        for field in fields:
            arrays[field.name] = self._array(opened, field, columns, len(fields))
        self.format = opened.metadata.zarr_format
        found = []
        for field in fields:
            array = arrays[field.name]
            where = f"{path}, {self._names[field.name]!r}"
            if not array.shape:
                raise ScoringError(f"{where}: has no axes, so no rows; expected {field}")
            dtype = "string" if array.dtype.kind in "UTO" else array.dtype.newbyteorder("=").name
            found.append(field_found(field, dtype, array.shape[1:], where, cast=cast))
        self.fields = tuple(found)
        counts = {name: array.shape[0] for name, array in arrays.items()}
        self.rows = next(iter(counts.values()))
        if len(set(counts.values())) > 1:
            text = ", ".join(f"{name}: {count}" for name, count in counts.items())
            raise ScoringError(f"{path}: the arrays have different numbers of rows: {text}")
        row_bytes = sum(field.row_bytes for field in self.fields)
        chunks = [(array.shards or array.chunks)[0] for array in arrays.values()]
        common = math.lcm(*chunks)
        self._chunk = common if common * row_bytes <= MOST_CHUNK else max(chunks)

    def _array(self, opened: Any, field: Field, columns: Mapping[str, str], count: int) -> Any:
        name = columns.get(field.name, field.name)
        if isinstance(opened, zarr.Array):
            if count != 1 or columns:
                raise ScoringError(
                    f"{self.path}: is one array without a name, and the program takes "
                    f"{count} inputs; store a group with an array for each"
                )
            self._names[field.name] = ""
            return opened
        found = opened.get(name)
        if not isinstance(found, zarr.Array):
            names = sorted(opened.array_keys())
            raise ScoringError(
                f"{self.path}: no array {name!r} for the input {field.name!r}"
                f"{suggest(name, names)} (there are: {listing(names)}); name another one with "
                f"--input {field.name}=NAME"
            )
        self._names[field.name] = name
        return found

    def units(self, target: int, least: int) -> list[Unit]:
        """See `Source`: whole chunks."""
        size = max(1, min(target, math.ceil(self.rows / least)))
        size = math.ceil(size / self._chunk) * self._chunk
        return [(start, min(start + size, self.rows)) for start in range(0, self.rows, size)]

    def batches(self, start: int, stop: int, rows: int) -> Iterator[Batch]:
        """See `Source`: whole chunks, so that none is unpacked twice."""
        opened: Any = zarr.open(self.path, mode="r")
        rows = math.ceil(rows / self._chunk) * self._chunk
        first = start
        while first < stop:
            end = min(stop, (first // rows + 1) * rows)
            arrays = {}
            for field in self.fields:
                name = self._names[field.name]
                array = opened[name] if name else opened
                where = f"{self.path}, {name!r}, rows {first} to {end}"
                try:
                    read = np.asarray(array[first:end])
                except (ValueError, RuntimeError, OSError) as error:
                    raise ScoringError(f"{where}: cannot be read ({error})") from error
                arrays[field.name] = converted(read, field, where)
            yield Batch(first, arrays)
            first = end


class ZarrSink:
    """A Zarr group with an array for each output; see `Sink`. A chunk has the rows of a task.

    Args:
        folder: to work in.
        fields: of the outputs.
        units: the tasks.
        format: of Zarr, 2 or 3.

    Raises:
        ScoringError: an output is text.
    """

    def __init__(
        self, folder: Path, fields: tuple[Field, ...], units: list[Unit], format: Any
    ) -> None:
        self._path = folder / "made.zarr"
        self._fields = fields
        self._units = units
        self._format = format
        for field in fields:
            if field.dtype == "string":
                raise ScoringError(
                    f"output {field.name!r} is text, which is not written to Zarr; score Parquet, "
                    f"or name the outputs to store: --output, outputs=[...]"
                )

    def prepare(self) -> None:
        """See `Sink`."""
        group = zarr.create_group(self._path, zarr_format=self._format)
        rows = self._units[-1][1]
        for field in self._fields:
            shape = tuple(int(n) for n in field.shape)
            group.create_array(
                field.name, shape=(rows, *shape), chunks=(self._units[0][1], *shape),
                dtype=field.dtype,
            )  # fmt: skip

    def store(self, unit: Unit, batches: Iterable[Batch]) -> None:
        """See `Sink`."""
        found: dict[str, list[Any]] = {field.name: [] for field in self._fields}
        for batch in batches:
            for name, array in batch.arrays.items():
                found[name].append(array)
        group: Any = zarr.open_group(self._path, mode="r+")
        for name, arrays in found.items():
            group[name][slice(*unit)] = np.concatenate(arrays)

    def intact(self, done: Iterable[Unit]) -> bool:
        """See `Sink`."""
        return self._path.is_dir()

    def finish(self, units: list[Unit]) -> Path:
        """See `Sink`."""
        return self._path
