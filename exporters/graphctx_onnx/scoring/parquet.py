"""Parquet: columns are inputs by name; row groups are read one after the other, never all at once.

| input, one row | column |
|---|---|
| `[]` | numbers, bools or text |
| `[4]` | lists of four, of fixed size or not; or four columns of numbers |
| `[2, 3]` | lists of lists, or an Arrow tensor of that shape |
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from graphctx_onnx.runtime.errors import listing, suggest
from graphctx_onnx.scoring import identity
from graphctx_onnx.scoring.errors import ScoringError, cannot_read
from graphctx_onnx.scoring.rows import Batch, Field, Unit, converted, field_found

SUFFIXES = (".parquet",)
GROUP_ROWS = 1 << 20
"""Rows of a group of the output, at most."""

_PATTERN = frozenset("*?[")


class ParquetSource:
    """Rows of a Parquet file, or of all in a folder in the order of their names; see `Source`.

    Args:
        path: of the file or folder.
        fields: that the program takes.
        columns: input -> names of its columns, or patterns such as `pixel_*`.
        keep: names or patterns of columns that are carried along.
        cast: whether other dtypes of the same kind are converted.

    Raises:
        ScoringError: a column is missing, or is not what the program takes.
    """

    def __init__(
        self,
        path: Path,
        fields: tuple[Field, ...],
        columns: Mapping[str, Sequence[str]],
        keep: Sequence[str],
        *,
        cast: bool,
    ) -> None:
        self.path = path
        try:
            self._files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
            if not self._files:
                raise ScoringError(f"{path}: has no .parquet files")
            self.identity = identity.of_files(self._files, path.parent)
            footers = [pq.ParquetFile(file) for file in self._files]
        except OSError as error:
            raise cannot_read(path, error) from error
        except pa.ArrowInvalid as error:
            raise ScoringError(f"{path}: not a Parquet file ({error})") from error
        schema = footers[0].schema_arrow
        self._columns = {f.name: _named(path, schema, f, columns.get(f.name)) for f in fields}
        self._keep = _matching(path, schema, keep, "--keep")
        used = [*self._keep, *(name for names in self._columns.values() for name in names)]
        for file, footer in zip(self._files, footers, strict=True):
            for name in used:
                theirs = footer.schema_arrow
                if name not in theirs.names or theirs.field(name).type != schema.field(name).type:
                    there = theirs.field(name).type if name in theirs.names else "missing"
                    raise ScoringError(
                        f"{file}: column {name!r} is {there}, in {self._files[0]} it is "
                        f"{schema.field(name).type}"
                    )
        self.kept = pa.schema([(name, _plain(schema.field(name).type)) for name in self._keep])
        self._groups: list[list[int]] = []
        self._starts = [0]
        for footer in footers:
            data = footer.metadata
            sizes = [data.row_group(i).num_rows for i in range(data.num_row_groups)]
            self._groups.append(sizes)
            self._starts.append(self._starts[-1] + sum(sizes))
        self.rows = self._starts[-1]
        if self.rows == 0:
            self.fields = fields
            return
        first = next(self._records(0, 1, 1))[1]
        self.fields = tuple(
            _field(path, first, field, self._columns[field.name], cast=cast) for field in fields
        )

    def units(self, target: int, least: int) -> list[Unit]:
        """See `Source`: whole row groups, but for large ones of which there are few."""
        target = max(1, min(target, math.ceil(self.rows / least)))
        ends: list[int] = []
        total = 0
        for size in (size for groups in self._groups for size in groups):
            total += size
            if total - (ends[-1] if ends else 0) >= target or total == self.rows:
                ends.append(total)
        units = [(a, b) for a, b in zip([0, *ends], ends, strict=False) if a < b]
        if len(units) >= least:
            return units
        return [
            (a, min(a + target, stop)) for start, stop in units for a in range(start, stop, target)
        ]

    def batches(self, start: int, stop: int, rows: int) -> Iterator[Batch]:
        """See `Source`."""
        for first, record in self._records(start, stop, rows):
            arrays = {}
            for field in self.fields:
                parts = []
                for name in self._columns[field.name]:
                    where = f"{self.path}, column {name!r}, rows {first} to {first + len(record)}"
                    parts.append(_array(record.column(name), where))
                many = len(parts) > 1 or parts[0].ndim < len(field.shape) + 1
                whole = np.stack(parts, axis=1) if many else parts[0]
                if whole.shape[1:] != field.shape:
                    raise ScoringError(
                        f"{where}: {list(whole.shape[1:])} for a row, and {list(field.shape)} in "
                        f"the first row"
                    )
                arrays[field.name] = converted(whole, field, where)
            kept = [record.column(name).cast(self.kept.field(name).type) for name in self._keep]
            yield Batch(first, arrays, pa.record_batch(kept, self.kept) if kept else None)

    def _records(self, start: int, stop: int, rows: int) -> Iterator[tuple[int, pa.RecordBatch]]:
        """(number of the first row, the columns needed) of rows, in order."""
        needed = dict.fromkeys(name for names in self._columns.values() for name in names)
        columns = list(dict.fromkeys([*self._keep, *needed]))
        for file, sizes, offset in zip(self._files, self._groups, self._starts, strict=False):
            groups, place, first = [], offset, None
            for group, size in enumerate(sizes):
                if place < stop and place + size > start:
                    groups.append(group)
                    first = place if first is None else first
                place += size
            if first is None:
                continue
            try:
                with pq.ParquetFile(file, memory_map=True, pre_buffer=False) as opened:
                    for record in opened.iter_batches(rows, groups, columns, use_threads=False):
                        a, b = max(start - first, 0), min(stop - first, len(record))
                        if a < b:
                            yield first + a, record.slice(a, b - a)
                        first += len(record)
                        if first >= stop:
                            break
            except pa.ArrowException as error:
                raise ScoringError(f"{file}: is damaged ({error})") from error
            except OSError as error:
                raise cannot_read(file, error) from error


def _matching(path: Path, schema: pa.Schema, wanted: Sequence[str], option: str) -> list[str]:
    """The columns that names and patterns name; those of a pattern in the order of the file."""
    found: dict[str, None] = {}
    for name in wanted:
        if name in schema.names:
            found[name] = None
            continue
        several = [n for n in schema.names if _PATTERN & set(name) and fnmatchcase(n, name)]
        if not several:
            raise ScoringError(
                f"{path}: {option} names the column {name!r}, which is not there"
                f"{suggest(name, schema.names)} (there are: {_few(schema.names)})"
            )
        found.update(dict.fromkeys(several))
    for name in found:
        if schema.names.count(name) > 1:
            raise ScoringError(f"{path}: there are several columns {name!r}; rename them")
    return list(found)


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"{listing(names[:12])}{more}"


def _named(path: Path, schema: pa.Schema, field: Field, columns: Sequence[str] | None) -> list[str]:
    """The columns of an input."""
    if columns is not None:
        return _matching(path, schema, columns, f"--input {field.name}=...")
    if field.name not in schema.names:
        raise ScoringError(
            f"{path}: no column {field.name!r} for the input {field.name!r}: {field}"
            f"{suggest(field.name, schema.names)} (there are: {_few(schema.names)}); name its "
            f"columns with --input {field.name}=NAME,... or --input '{field.name}=PATTERN*'"
        )
    return _matching(path, schema, [field.name], "--input")


def _field(
    path: Path, first: pa.RecordBatch, field: Field, names: list[str], *, cast: bool
) -> Field:
    """What the columns of an input hold, judged by the first row."""
    if len(names) > 1 and len(field.shape) != 1:
        raise ScoringError(
            f"{path}: input {field.name!r} needs {field}, which {len(names)} columns cannot make; "
            f"several columns are for an input of one axis and the rows"
        )
    where = f"{path}, column{'s' * (len(names) > 1)} {_few(names)}"
    parts = [_array(first.column(name), where) for name in names]
    shapes = {part.shape[1:] for part in parts}
    dtypes = {_dtype(part) for part in parts}
    if len(dtypes) > 1 or (len(names) > 1 and shapes != {()}):
        text = ", ".join(sorted(f"{first.schema.field(name).type}" for name in set(names)))
        raise ScoringError(
            f"{where}: columns that make one input are plain and of one type, got {text}"
        )
    shape = shapes.pop()
    if len(names) > 1 or (shape == () and len(field.shape) == 1):
        shape = (len(names),)
    return field_found(field, dtypes.pop(), shape, where, cast=cast)


def _dtype(array: Any) -> str:
    return "string" if array.dtype == object else str(array.dtype)


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type that a column is kept in: dictionaries of values may differ between row groups."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _array(column: pa.Array, where: str) -> Any:
    """A column as an array; lists are axes. A missing number is NaN in a column of floats.

    Raises:
        ScoringError: lists of different lengths, missing values, a type that no tensor has.
    """
    shape = [len(column)]
    if isinstance(column, pa.FixedShapeTensorArray):
        array = column.to_numpy_ndarray()
        if not column.null_count:
            return array
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    while _is_list(column.type):
        if column.null_count:
            raise ScoringError(f"{where}: has missing lists; fill them")
        if pa.types.is_fixed_size_list(column.type):
            size = column.type.list_size
        else:
            sizes = pc.list_value_length(column)
            low, high = pc.min_max(sizes).as_py().values()
            if low != high:
                raise ScoringError(
                    f"{where}: has lists of {low} to {high} values; one length is needed"
                )
            size = low
        shape.append(size)
        column = column.flatten()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    plain = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if not (plain or text or pa.types.is_string_view(kind)):
        raise ScoringError(f"{where}: is {kind}; tensors have numbers, bools and text")
    if column.null_count and not pa.types.is_floating(kind):
        raise ScoringError(f"{where}: has missing values, which {kind} has no NaN for; fill them")
    return column.to_numpy(zero_copy_only=False).reshape(shape)


def _is_list(kind: pa.DataType) -> bool:
    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(test(kind) for test in tests)


class ParquetSink:
    """A Parquet file: what was kept, then a column for each output; see `Sink`.

    A task writes its rows to an Arrow file of its own, as a Parquet file that was not finished
    cannot be read. At the end these become one Parquet file, a row group for each.

    Args:
        folder: to work in.
        fields: of the outputs.
        kept: schema of the columns that are carried along.

    Raises:
        ScoringError: an output has the name of a column that is kept, or a dtype that Arrow lacks.
    """

    def __init__(self, folder: Path, fields: tuple[Field, ...], kept: pa.Schema) -> None:
        self.folder = folder
        self._made = folder / "made.parquet"
        self._fields = fields
        self._kept = kept.names
        columns = []
        for field in fields:
            if field.name in kept.names:
                raise ScoringError(
                    f"output {field.name!r} has the name of a column to keep; rename the column"
                )
            columns.append(pa.field(field.name, _type(field)))
        self._schema = pa.schema([*kept, *columns])

    def prepare(self) -> None:
        """See `Sink`: tasks make their own files."""

    def store(self, unit: Unit, batches: Iterable[Batch]) -> None:
        """See `Sink`."""
        with self._part(unit).open("wb") as file:
            with pa.ipc.new_file(file, self._schema) as writer:
                for batch in batches:
                    kept = [] if batch.kept is None else batch.kept.columns
                    made = [_column(batch.arrays[field.name], field) for field in self._fields]
                    writer.write_batch(pa.record_batch([*kept, *made], schema=self._schema))
            file.flush()
            os.fsync(file.fileno())

    def intact(self, done: Iterable[Unit]) -> bool:
        """See `Sink`."""
        return all(self._part(unit).exists() for unit in done)

    def finish(self, units: list[Unit]) -> Path:
        """See `Sink`."""
        with self._made.open("wb") as file:
            # Only what is kept repeats itself enough for a dictionary of values to be of use.
            with pq.ParquetWriter(file, self._schema, use_dictionary=self._kept) as writer:
                for unit in units:
                    with pa.memory_map(str(self._part(unit))) as part:
                        table = pa.ipc.open_file(part).read_all()
                        writer.write_table(table, row_group_size=GROUP_ROWS)
            file.flush()
            os.fsync(file.fileno())
        return self._made

    def _part(self, unit: Unit) -> Path:
        return self.folder / f"{unit[0]:015}.arrow"


def _type(field: Field) -> pa.DataType:
    if field.dtype == "string":
        kind = pa.string()
    else:
        try:
            kind = pa.from_numpy_dtype(np.dtype(field.dtype))
        except (pa.ArrowException, TypeError) as error:
            raise ScoringError(
                f"output {field.name!r} is {field}, which Parquet has no type for; name the "
                f"outputs to store: --output, outputs=[...]"
            ) from error
    for size in reversed(field.shape):
        kind = pa.list_(kind, int(size))
    return kind


def _column(array: Any, field: Field) -> pa.Array:
    """The column of an output: an axis of a row is a list of fixed size."""
    kind = pa.string() if field.dtype == "string" else None
    made = pa.array(np.ascontiguousarray(array).reshape(-1), kind)
    for size in reversed(field.shape):
        made = pa.FixedSizeListArray.from_arrays(made, int(size))
    return made
