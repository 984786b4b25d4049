"""Safetensors files: read where they lie on the disk, also in shards; and written.

The format (https://huggingface.co/docs/safetensors): 8 bytes with the length of a header, in
little-endian order; the header in JSON: dtype, shape and range of bytes of each tensor; the bytes.
bfloat16 is the upper half of a float32, which is what NumPy makes of it here.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from graphctx.errors import WeightsError
from graphctx.spec import as_dtype
from graphctx.weights.source import Stored
from graphctx.weights.steps import Array

DTYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32",
    "I32": "int32", "U64": "uint64", "I64": "int64", "F16": "float16", "F32": "float32",
    "F64": "float64", "BF16": "uint16", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0",
}  # fmt: skip
"""Dtypes by those of the format; bfloat16 is read as its bits, which needs no ml_dtypes."""

MOST_HEADER = 100_000_000
"""Bytes; what the safetensors library takes, too."""


def is_safetensors(start: bytes) -> bool:
    """Whether a file that starts so is a safetensors file."""
    return len(start) > 8 and start[8:9] == b"{" and start[4:8] == b"\0\0\0\0"


def from_bfloat16(bits: Array) -> Array:
    """The float32 numbers of bfloat16 bits."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def open_safetensors(path: Path) -> tuple[list[Stored], dict[str, str]]:
    """The tensors of a file, not yet read, and its metadata.

    Raises:
        WeightsError: the file is damaged.
    """

    def damaged(what: str) -> WeightsError:
        return WeightsError(f"{path}: not a readable safetensors file: {what}")

    size = os.path.getsize(path)
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > min(size - 8, MOST_HEADER):
            raise damaged(f"its header of {length} bytes is longer than the file of {size}")
        try:
            header = json.loads(file.read(length))
            metadata = header.pop("__metadata__", {})
            tensors = [
                (name, str(entry["dtype"]), tuple(map(int, entry["shape"])), *entry["data_offsets"])
                for name, entry in header.items()
            ]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise damaged(f"its header makes no sense ({type(error).__name__}: {error})") from None
    found = []
    for name, kind, shape, start, stop in tensors:
        if kind not in DTYPES:
            raise WeightsError(f"{path}: {name} is of dtype {kind}, which NumPy does not have")
        dtype = as_dtype(DTYPES[kind])
        if not 0 <= start <= stop or stop - start != math.prod(shape) * dtype.itemsize:
            raise damaged(
                f"{name} of {kind}{list(shape)} does not take the bytes {start} to {stop}"
            )
        if 8 + length + stop > size:
            raise damaged(
                f"it is cut off: {name} ends at byte {8 + length + stop}, the file at {size}"
            )
        read = _reader(path, dtype, shape, 8 + length + start, widen=kind == "BF16")
        if kind == "BF16":
            found.append(Stored(name, shape, np.dtype("float32"), read, "bfloat16"))
        else:
            found.append(Stored(name, shape, dtype, read))
    return found, dict(metadata)


def _reader(
    path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int, *, widen: bool
) -> Callable[[], Array]:
    def read() -> Array:
        # A map of an empty range is an error of the operating system's.
        empty = math.prod(shape) == 0
        bits = np.empty(shape, dtype) if empty else np.memmap(path, dtype, "r", offset, shape)
        return from_bfloat16(bits) if widen else bits

    return read


def open_shards(path: Path, places: Mapping[str, str]) -> tuple[list[Stored], dict[str, str]]:
    """The tensors of all files that a `model.safetensors.index.json` names.

    Args:
        path: of the index.
        places: file of each tensor.

    Raises:
        WeightsError: a file is missing or damaged, or lacks a tensor.
    """
    found: list[Stored] = []
    metadata: dict[str, str] = {}
    for file in dict.fromkeys(places.values()):
        shard = path.parent / file
        if Path(file).name != file or not shard.is_file():
            raise WeightsError(f"{path}: its shard {file!r} is missing")
        entries, more = open_safetensors(shard)
        metadata.update(more)
        here = {entry.name: entry for entry in entries}
        for name in (name for name, place in places.items() if place == file):
            if name not in here:
                raise WeightsError(f"{path}: its shard {file!r} has no tensor {name!r}")
            found.append(here[name])
    return found, metadata


def write_safetensors(path: Any, arrays: Mapping[str, Array]) -> None:
    """Write arrays to a file.

    Raises:
        WeightsError: it cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    try:
        save_file(
            {name: np.asarray(array, order="C") for name, array in arrays.items()},
            str(path),
            metadata={"format": "graphctx"},
        )
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: cannot be written: {error}") from None
