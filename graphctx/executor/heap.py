"""Memory that a program lets go of stays with the process, for the next run."""

from __future__ import annotations

import functools

import numpy as np

_LARGEST = (32 << 20) - (1 << 16)  # bytes: the most that glibc's thresholds follow, less a margin


@functools.cache
def keep_freed_memory() -> None:
    """Let glibc keep up to 64 MiB of freed memory for later use.

    By itself it gives memory back to the system as soon as 128 KiB at the end of the heap are free,
    and asks for large arrays one by one. Every run of a program then gets its pages anew, which
    the system clears at the first touch: a tenth of the time of a transformer block. Both
    thresholds follow the largest array that was freed so far (mallopt(3), M_MMAP_THRESHOLD); this
    one is never touched, so that it takes no memory. Other allocators do not care.
    """
    np.empty(_LARGEST, np.uint8)
