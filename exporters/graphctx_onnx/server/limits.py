"""What a server takes at most."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

MEBIBYTE = 1 << 20


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not every system has it
        return os.cpu_count() or 1


@dataclass(frozen=True)
class Limits:
    """What a server takes at most; beyond it a request is refused, with a status that says so.

    Attributes:
        body: bytes of a request (413, RESOURCE_EXHAUSTED).
        rows: first size of an input (413, RESOURCE_EXHAUSTED).
        requests: that are read, wait or run at a time (503, UNAVAILABLE).
        queue: requests that wait for a thread (503, UNAVAILABLE).
        timeout: seconds until the answer (504, DEADLINE_EXCEEDED), and for reading a request (408).
        workers: threads that run programs.
        batch: rows of several requests that may run as one; 1: requests are never merged.
        delay: seconds that a request waits for others to be merged with.
        quick: seconds; a program that is seen to take less runs in the event loop, as handing it to
            a thread takes as long; 0: all run on threads. Not where requests are merged.
    """

    body: int = 64 * MEBIBYTE
    rows: int = 65_536
    requests: int = 512
    queue: int = 256
    timeout: float = 30.0
    workers: int = field(default_factory=_cores)
    batch: int = 1
    delay: float = 0.0
    quick: float = 0.0002

    def __post_init__(self) -> None:
        for name in ("body", "rows", "requests", "workers", "batch"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ValueError(f"{name} is an integer from 1 on, got {value!r}")
        if type(self.queue) is not int or self.queue < 0:
            raise ValueError(f"queue is an integer from 0 on, got {self.queue!r}")
        if not 0 < self.timeout < float("inf"):
            raise ValueError(f"timeout is a number of seconds above 0, got {self.timeout!r}")
        if not 0 <= self.quick <= 0.01:
            raise ValueError(f"quick is a number of seconds from 0 to 0.01, got {self.quick!r}")
        if not 0 <= self.delay < self.timeout:
            raise ValueError(
                f"delay is a number of seconds from 0 to less than the timeout, got {self.delay!r}"
            )
