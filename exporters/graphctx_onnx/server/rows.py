"""Which programs may run several requests as one: those that compute each row by itself.

Two things are asked of a program. Its signature must allow it: no random numbers (a row's would
depend on its place), no weights that a run replaces (batch statistics), and one and the same
varying size first in every input and output, and nowhere else. And it must be seen to do it: the
first batches of a class are run both ways, answered with what each request gives by itself, and
compared. One difference, and the requests of that class always run by themselves.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphctx_onnx.runtime import Signature

Arrays = Mapping[str, np.ndarray[Any, Any]]

TRIALS = 3
"""Batches that have to agree before the requests of a class are merged."""

# Bytes of a float -> (rtol, atol), as exports are verified: |a - b| <= rtol |b| + atol * scale.
_TOLERANCES = {2: (2e-2, 1e-2), 4: (1e-4, 1e-5), 8: (1e-8, 1e-9)}
_LEAST_SCALE = 1e-2


def obstacle(signature: Signature) -> str:
    """Why requests of this program are never merged; empty if the signature allows it."""
    if signature.seed is not None:
        return "it draws random numbers"
    if signature.state:
        return f"it replaces weights ({signature.state[0].name})"
    if not signature.inputs:
        return "it has no inputs"
    first = signature.inputs[0].shape[:1]
    for port in (*signature.inputs, *signature.outputs):
        if not isinstance(port.shape[:1][0] if port.shape else None, str):
            return f"{port.name} is {port}: its first size does not vary"
        if port.shape[:1] != first:
            return f"{port.name} is {port}: its first size is not {first[0]}"
        if any(_mentions(size, str(first[0])) for size in port.shape[1:]):
            return f"{port.name} is {port}: {first[0]} is not its first size alone"
    return ""


def _mentions(size: int | str, symbol: str) -> bool:
    return isinstance(size, str) and symbol in re.findall(r"\w+", size)


def fit(signature: Signature, inputs: Arrays, rows: int) -> bool:
    """Whether a request has these rows, at least one, in every input of the signature."""
    return rows > 0 and all(
        (array := inputs.get(port.name)) is not None and array.shape[:1] == (rows,)
        for port in signature.inputs
    )


def merged(requests: Sequence[Arrays]) -> dict[str, np.ndarray[Any, Any]]:
    """The rows of several requests, one below the other."""
    return {name: np.concatenate([r[name] for r in requests]) for name in requests[0]}


def split(outputs: Arrays, rows: Sequence[int]) -> list[dict[str, np.ndarray[Any, Any]]] | None:
    """The rows of each request; None if an output does not have as many rows as they have."""
    if any(not array.ndim or array.shape[0] != sum(rows) for array in outputs.values()):
        return None
    found, start = [], 0
    for count in rows:
        found.append({name: array[start : start + count] for name, array in outputs.items()})
        start += count
    return found


class Trial:
    """Finds out whether a program computes each row by itself. Thread-safe.

    Args:
        reason: why it is known not to; empty if that is open.

    Attributes:
        reason: why requests are not merged; empty if they are, or may be.
    """

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        self._left = TRIALS
        self._lock = threading.Lock()

    @property
    def passed(self) -> bool:
        """Whether requests are merged without looking any more."""
        return not self.reason and self._left <= 0

    def judge(
        self, requests: Sequence[Arrays], alone: Sequence[Arrays], together: Sequence[Arrays] | None
    ) -> str:
        """Compare what requests gave by themselves with what they gave as one batch.

        Returns:
            The difference; empty if there is none.
        """
        difference = _difference(alone, together)
        with self._lock:
            if difference:
                self.reason = self.reason or difference
            elif _differ(requests):  # equal rows prove nothing: their mean is each of them
                self._left -= 1
        return difference


def _differ(requests: Sequence[Arrays]) -> bool:
    first = requests[0]
    return any(
        not np.array_equal(array[:1], other[name][:1])
        for other in requests[1:]
        for name, array in first.items()
    )


def _difference(alone: Sequence[Arrays], together: Sequence[Arrays] | None) -> str:
    if together is None:
        return "it fails, or does not give a row for each row, when requests run as one batch"
    for one, other in zip(alone, together, strict=True):
        for name, expected in one.items():
            if not _agree(expected, other[name]):
                return f"its output {name!r} is another one when requests run as one batch"
    return ""


def _agree(expected: np.ndarray[Any, Any], actual: np.ndarray[Any, Any]) -> bool:
    if expected.shape != actual.shape:
        return False
    if expected.dtype.kind != "f":
        return bool(np.array_equal(expected, actual))
    rtol, atol = _TOLERANCES[min(expected.dtype.itemsize, 8)]
    finite = np.abs(expected[np.isfinite(expected)], dtype=np.float64)
    scale = max(_LEAST_SCALE, float(finite.max(initial=0.0)))
    return bool(np.allclose(actual, expected, rtol=rtol, atol=atol * scale, equal_nan=True))
