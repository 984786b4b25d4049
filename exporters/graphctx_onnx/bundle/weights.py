"""The weights of a bundle: every content once, in files that can be mapped into memory.

A tensor is known by the SHA-256 digest of its bytes; whichever program has a tensor of the same
bytes refers to the same place. One export adds one file, `weights-<digest>.bin`, with what is not
there yet. In it

- tensors of 1 MiB or more start at multiples of 64 KiB, as Windows needs to map them,
- those of 64 KiB or more at pages, and all others at multiples of 64 bytes, as vector units like.

Tensors of less than 256 bytes stay in the programs: shapes and axes are among them, which shape
inference has to read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from onnx import ModelProto, TensorProto

from graphctx.body import all_nodes
from graphctx.graph import CallGraph
from graphctx_onnx.external import CHUNK, LARGE, LARGE_ALIGNMENT, LEAST, PAGE, DataFile, Placed
from graphctx_onnx.runtime.manifest import TensorEntry
from graphctx_onnx.tensors import byte_size, flat_bytes

LINE = 1 << 6
PAGED = 1 << 16
PENDING = "weights.pending"
"""Where new tensors are said to be, until the name of their file is known."""


class Digests:
    """Digests of arrays; each array is read once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, str]] = {}

    def of(self, array: Any) -> str:
        """SHA-256 of the bytes of an array, as they stand in a file."""
        found = self._known.get(id(array))
        if found is None:
            digest = hashlib.sha256(flat_bytes(array).data).hexdigest()
            found = self._known[id(array)] = (array, digest)  # the array keeps its id
        return found[1]


def stored_size(graphs: Iterable[CallGraph], digests: Digests) -> int:
    """Bytes of the tensors that some programs need in files of weights."""
    sizes: dict[str, int] = {}
    for graph in graphs:
        for node in all_nodes(graph):
            if node.kind in ("weight", "constant"):
                size = byte_size(node.output.shape, node.output.dtype)
                if size >= LEAST:
                    sizes[digests.of(graph.array(node))] = size
    return sum(sizes.values())


class Pack(DataFile):
    """What the programs of a bundle store outside of their files.

    Args:
        known: tensors that are in files of the bundle already.
        digests: of arrays.

    Attributes:
        tensors: that the programs refer to, by digest; new ones in the file `PENDING`.
        entries: the new tensors, with their arrays.
        size: of the new file.
    """

    def __init__(self, known: Iterable[TensorEntry], digests: Digests) -> None:
        super().__init__(PENDING, LEAST)
        self._known = {tensor.sha256: tensor for tensor in known}
        self._digests = digests
        self.tensors: dict[str, TensorEntry] = {}

    def plan(self, sizes: Iterable[int]) -> None:
        """All tensors go outside, whatever their sizes."""

    def place(self, proto: TensorProto, size: int, source: Any) -> None:
        """Make a tensor refer to its content, which gets a place if it is new."""
        digest = self._digests.of(source)
        found = self.tensors.get(digest) or self._known.get(digest)
        if found is None:
            offset = aligned(self.size, size)
            found = TensorEntry(proto.name, digest, PENDING, offset, size)
            self.entries.append(Placed(proto.name, offset, size, source))
            self.size = offset + size
        self.tensors[digest] = found
        refer(proto, found)

    def chunks(self) -> Iterator[memoryview | bytes]:
        """The content of the new file, in parts."""
        at = 0
        for entry in self.entries:
            yield bytes(entry.offset - at)
            data = flat_bytes(entry.source)
            for start in range(0, len(data), CHUNK):
                yield data[start : start + CHUNK].data
            at = entry.offset + entry.size

    def settle(self, models: Sequence[ModelProto], name: str) -> None:
        """Say in the models and in `tensors` where the new tensors are."""
        for model in models:
            for proto in model.graph.initializer:
                for entry in proto.external_data:
                    if entry.key == "location" and entry.value == PENDING:
                        entry.value = name
        for digest, found in self.tensors.items():
            if found.file == PENDING:
                self.tensors[digest] = TensorEntry(
                    found.name, digest, name, found.offset, found.size
                )


def aligned(end: int, size: int) -> int:
    """Where a tensor of a size starts, after one that ends somewhere."""
    alignment = LARGE_ALIGNMENT if size >= LARGE else PAGE if size >= PAGED else LINE
    return -(-end // alignment) * alignment


def refer(proto: TensorProto, found: TensorEntry) -> None:
    """Make a tensor refer to a place in a file."""
    proto.data_location = TensorProto.EXTERNAL
    for key, value in reference(found).items():
        proto.external_data.add(key=key, value=value)


def reference(found: TensorEntry) -> dict[str, str]:
    """How ONNX refers to a place in a file."""
    return {"location": found.file, "offset": str(found.offset), "length": str(found.size)}
