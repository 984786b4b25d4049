"""Random programs: the same numbers for a row, however the rows are cut into blocks.

A program hashes the place of an element in its own run. So the rows are seen as segments of a
fixed length, counted from the first row of the input, and each segment is run with a seed of its
own, derived from that of the run and from the number of the segment. What is random about a row
follows from the seed, the length of a segment and the number of the row: not from the size of
blocks, the number of workers, or what they did before an interruption. The first segment has the
seed itself, so it is what `Bundle.run` gives for these rows.

A task that starts inside a segment runs what comes before it there with copies of its own first
row, and drops them: the place of a row in the segment is what counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

MOST_ROWS = 1024
MOST_BYTES = 1 << 20


def segment_rows(row_bytes: int) -> int:
    """Length of a segment: a power of two, at most 1024 rows and 1 MiB of input."""
    rows = MOST_ROWS
    while rows > 1 and rows * row_bytes > MOST_BYTES:
        rows //= 2
    return rows


def segment_seed(seed: int, segment: int) -> int:
    """The seed of a segment, in [0, 2**63)."""
    if segment == 0:
        return seed
    found = hashlib.sha256(f"{seed} {segment}".encode()).digest()
    return int.from_bytes(found[:8], "little") >> 1


def pieces(start: int, stop: int, size: int, *, aligned: bool) -> Iterator[tuple[int, int]]:
    """Cut rows into pieces of a size; aligned ones end where a segment of that size ends."""
    while start < stop:
        end = min(stop, (start // size + 1) * size if aligned else start + size)
        yield start, end
        start = end
