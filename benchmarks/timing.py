"""Timing that can be compared: contenders take turns, medians are quoted."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any


def seconds(function: Callable[[], Any], repeat: int = 1) -> float:
    """Wall time of one call, as the mean over `repeat` calls in a row."""
    start = time.perf_counter()
    for _ in range(repeat):
        function()
    return (time.perf_counter() - start) / repeat


def side_by_side(
    contenders: Mapping[str, Callable[[], Any]], *, rounds: int = 15, least: float = 0.01
) -> dict[str, float]:
    """Median seconds a call of each contender, taking turns so that drift hits all alike.

    Args:
        contenders: name -> function to call.
        rounds: how often each takes its turn.
        least: a turn lasts at least this many seconds.
    """
    repeats = {}
    for name, function in contenders.items():
        function()  # warm up
        repeats[name] = max(1, int(least / max(seconds(function, 3), 1e-7)))
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, function in contenders.items():
            found[name].append(seconds(function, repeats[name]))
    return {name: statistics.median(times) for name, times in found.items()}
