"""The data file: weights too large for the protobuf, streamed beside the model.

A protobuf cannot exceed 2 GiB, and a runtime reads all of it into memory; the data file has no
limit and is memory-mapped.

- A tensor of `THRESHOLD` bytes (1 MiB) or more goes there. Models smaller than that, which people
  mail and commit, stay one file; what padding to a page costs is lost in the noise above it.
- Should what stays inside still exceed `INSIDE_LIMIT` (1 GiB, half of what a protobuf can hold),
  every tensor of 1 KiB or more goes out.
- Below `LEAST` (256 bytes) nothing goes out, whatever the threshold: shapes, axes and scales are
  there, which shape inference has to read, and it reads the protobuf only.
- Tensors of 1 MiB or more start at multiples of 64 KiB, as Windows needs to map them; smaller ones
  at multiples of 4 KiB, a page elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from onnx import TensorProto

from graphctx.errors import ExportError
from graphctx_onnx.tensors import flat_bytes

THRESHOLD = 1 << 20
LEAST = 1 << 8
INSIDE_LIMIT = 1 << 30
SMALL = 1 << 10
LARGE = 1 << 20
LARGE_ALIGNMENT = 1 << 16
PAGE = 1 << 12
CHUNK = 1 << 24


def require_threshold(asked: Any) -> None:
    """Raise for a threshold that is no number of bytes.

    Raises:
        ExportError: it is negative, or no integer.
    """
    number = isinstance(asked, (int, np.integer)) and not isinstance(asked, bool)
    if asked is not None and not (number and asked >= 0):
        raise ExportError(f"external_threshold is a number of bytes, got {asked!r}")


class Placed(NamedTuple):
    """A tensor's place in the data file; its source is the array."""

    name: str
    offset: int
    size: int
    source: Any


class DataFile:
    """Lays tensors out in one file, and writes it.

    Args:
        name: of the file, relative to the model.
        threshold: bytes from which on a tensor belongs here; None for `THRESHOLD`.
    """

    def __init__(self, name: str, threshold: int | None = None) -> None:
        self.name = name
        self.threshold = THRESHOLD if threshold is None else max(threshold, LEAST)
        self.entries: list[Placed] = []
        self.size = 0

    def plan(self, sizes: Iterable[int]) -> None:
        """Lower the threshold if what would stay in the model is too much for a protobuf."""
        inside = [size for size in sizes if not self.holds(size)]
        if sum(inside) > INSIDE_LIMIT:
            self.threshold = min(self.threshold, SMALL)

    def holds(self, size: int) -> bool:
        """Whether a tensor of so many bytes belongs here; strings count as 0."""
        return size >= self.threshold

    def place(self, proto: TensorProto, size: int, source: Any) -> None:
        """Give a tensor its place, and make the protobuf refer to it."""
        alignment = LARGE_ALIGNMENT if size >= LARGE else PAGE
        offset = -(-self.size // alignment) * alignment
        proto.data_location = TensorProto.EXTERNAL
        for key, value in (("location", self.name), ("offset", offset), ("length", size)):
            proto.external_data.add(key=key, value=str(value))
        self.entries.append(Placed(proto.name, offset, size, source))
        self.size = offset + size

    def write(
        self, folder: str | os.PathLike[str], progress: Callable[[int, int], None] | None = None
    ) -> None:
        """Write the file, one tensor at a time; nothing is held but the array at hand.

        Args:
            folder: to write it into.
            progress: told the bytes done and in all.
        """
        with open(os.path.join(folder, self.name), "wb") as file:
            for entry in self.entries:
                file.write(bytes(entry.offset - file.tell()))
                flat = flat_bytes(entry.source)
                if flat.nbytes != entry.size:
                    raise ValueError(
                        f"weight {entry.name!r} has {flat.nbytes} bytes, not {entry.size}"
                    )
                for start in range(0, len(flat), CHUNK):
                    file.write(flat[start : start + CHUNK].data)
                    if progress is not None:
                        progress(min(entry.offset + start + CHUNK, self.size), self.size)
