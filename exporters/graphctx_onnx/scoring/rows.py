"""What one row of a program is: its fields, what a file has for them, how they are converted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from graphctx_onnx.runtime.manifest import Signature, TensorType
from graphctx_onnx.scoring.errors import ScoringError

Arrays = dict[str, Any]
Unit = tuple[int, int]
"""Rows from the first number on, below the second: what one task scores."""


@dataclass(frozen=True)
class Field:
    """An input of the program, or an output, as one row has it.

    Attributes:
        name: of the input or output.
        dtype: NumPy's name; `string` for text.
        shape: of one row; a name stands for a size that may vary.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(['rows', *map(str, self.shape)])}]"

    @property
    def row_bytes(self) -> int:
        """Bytes of one row; a size that may vary counts as 1, text as 32 bytes."""
        size = 32 if self.dtype == "string" else np.dtype(self.dtype).itemsize
        return size * math.prod(n if isinstance(n, int) else 1 for n in self.shape)


@dataclass(frozen=True)
class Batch:
    """Rows in a row.

    Attributes:
        start: number of the first.
        arrays: by name; the first axis are the rows.
        kept: columns that are carried along, as a `pyarrow.RecordBatch`; None for none.
    """

    start: int
    arrays: Arrays
    kept: Any = None

    @property
    def rows(self) -> int:
        """How many rows these are."""
        return len(next(iter(self.arrays.values())))

    def part(self, start: int, stop: int) -> Batch:
        """Some of the rows, without a copy."""
        a, b = start - self.start, stop - self.start
        kept = None if self.kept is None else self.kept.slice(a, b - a)
        return Batch(start, {name: array[a:b] for name, array in self.arrays.items()}, kept)


class Source(Protocol):
    """Rows to score. It is pickled to the workers, which open its files themselves.

    Attributes:
        rows: how many there are.
        fields: what one row of each input has.
        identity: digest of names, sizes and times of the files.
    """

    rows: int
    fields: tuple[Field, ...]
    identity: str

    def units(self, target: int, least: int) -> list[Unit]:
        """Cut the rows into tasks.

        Args:
            target: rows that a task should have.
            least: tasks that there should be.
        """

    def batches(self, start: int, stop: int, rows: int) -> Iterator[Batch]:
        """Read rows, about so many at a time."""


class Sink(Protocol):
    """Where outputs go: into a folder first, and from there in one step to their place."""

    def prepare(self) -> None:
        """Make what is written to."""

    def store(self, unit: Unit, batches: Iterable[Batch]) -> None:
        """Write the rows of a task; they are on the disk when this returns."""

    def intact(self, done: Iterable[Unit]) -> bool:
        """Whether all is there that an earlier run has written."""

    def finish(self, units: list[Unit]) -> Any:
        """Make the output complete; returns the path of the file or folder, to be renamed."""


def fields_of(signature: Signature, condition: str) -> tuple[Field, ...]:
    """The inputs of a program, row by row.

    Raises:
        ScoringError: the program has no inputs, or one whose first axis is not left open.
    """
    if not signature.inputs:
        raise ScoringError(f"the program for {condition} takes no inputs: there are no rows")
    return tuple(_field(port, condition) for port in signature.inputs)


def _field(port: TensorType, condition: str) -> Field:
    if not port.shape or isinstance(port.shape[0], int):
        raise ScoringError(
            f"the program for {condition} takes {port.name!r} as {port}, whose first axis is not "
            f"open: rows are counted along it; export the model with a symbolic first dimension, "
            f"such as 'batch'"
        )
    return Field(port.name, port.dtype, port.shape[1:])


def field_found(
    wanted: Field, dtype: str, shape: tuple[int, ...], where: str, *, cast: bool
) -> Field:
    """What a file has for an input: the field with its sizes.

    Args:
        wanted: by the program.
        dtype: that is stored.
        shape: of one row, as stored.
        where: the file and the name there, for messages.
        cast: whether another dtype of the same kind is converted.

    Raises:
        ScoringError: another dtype or shape.
    """
    found = Field(wanted.name, dtype, shape)
    fits = len(shape) == len(wanted.shape) and all(
        isinstance(ask, str) or ask == have for ask, have in zip(wanted.shape, shape, strict=True)
    )
    if not fits:
        raise ScoringError(f"{where}: input {wanted.name!r} needs {wanted}, got {found}")
    if dtype != wanted.dtype:
        castable = (
            "string" not in (dtype, wanted.dtype)
            and np.can_cast(np.dtype(dtype), np.dtype(wanted.dtype), "same_kind")
        )  # fmt: skip
        if not castable:
            raise ScoringError(
                f"{where}: input {wanted.name!r} needs {wanted}, got {found}, which is no dtype of "
                f"that kind; convert it first"
            )
        if not cast:
            raise ScoringError(
                f"{where}: input {wanted.name!r} needs {wanted}, got {found}; convert it, or let "
                f"scoring convert it: --cast, cast=True"
            )
    return Field(wanted.name, wanted.dtype, shape)


def converted(array: Any, field: Field, where: str) -> Any:
    """An array in the dtype of a field, contiguous, in this machine's byte order.

    Raises:
        ScoringError: an integer does not fit into the smaller dtype.
    """
    if field.dtype == "string":
        return array if array.dtype == object else array.astype(object)
    wanted = np.dtype(field.dtype)
    if array.dtype == wanted:
        return np.ascontiguousarray(array)
    with np.errstate(over="ignore"):  # a double that no float32 can hold becomes infinite
        made = np.ascontiguousarray(array, wanted)
    if wanted.kind in "iu" and not np.array_equal(made, array):
        raise ScoringError(
            f"{where}: input {field.name!r}: {array.dtype} values do not fit into {wanted}"
        )
    return made
