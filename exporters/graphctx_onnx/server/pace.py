"""How long programs take, so that the quickest need no thread.

To hand a run to a thread and its result back takes some 0.1 ms of processor time, more than a small
program itself: with one that takes 0.01 ms, a server answers 1.8 times as many requests of one
client if the event loop runs it. It is seen from the runs on threads what is quick, for each
program and the shapes of its inputs, as an average hides that a loop has more steps for more rows.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Hashable

RUNS = 16
"""Runs, the last ones, that have to be quick; a quarter of them may have been disturbed."""

MOST_SHAPES = 64
"""Shapes that are looked at; requests of other shapes go to a thread."""


class Pace:
    """What runs of one program took. Thread-safe.

    Args:
        quick: seconds that a quick run takes at most; 0: none is.
    """

    def __init__(self, quick: float) -> None:
        self._quick = quick
        self._lock = threading.Lock()
        self._runs: dict[Hashable, deque[bool]] = {}

    def is_quick(self, shapes: Hashable) -> bool:
        """Whether a run on inputs of these shapes takes no longer than a thread would cost."""
        runs = self._runs.get(shapes)
        return runs is not None and len(runs) == RUNS and sum(runs) >= RUNS * 3 // 4

    def ran(self, shapes: Hashable, seconds: float) -> None:
        """Note what a run took."""
        if not self._quick:
            return
        with self._lock:
            runs = self._runs.get(shapes)
            if runs is None:
                if len(self._runs) >= MOST_SHAPES:
                    return
                runs = self._runs[shapes] = deque(maxlen=RUNS)
            if seconds > 10 * self._quick:
                runs.clear()  # not even once: begin anew
            runs.append(seconds <= self._quick)
