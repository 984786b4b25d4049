"""What a verification compared, as data and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import onnxruntime

from graphctx.context import value_text
from graphctx_onnx.compare import Difference, Tolerance


def sizes_text(sizes: Mapping[str, int], context: Mapping[str, Any] | None = None) -> str:
    """`batch=2, time=3`, and the context of a trial where there is one: `mode=low`."""
    parts = [f"{name}={size}" for name, size in sizes.items()]
    parts += [f"{name}={value_text(value)}" for name, value in (context or {}).items()]
    return ", ".join(parts) or "fixed sizes"


@dataclass(frozen=True)
class Row:
    """One output, in one trial, at one optimization level."""

    sizes: Mapping[str, int]
    context: Mapping[str, Any]
    level: str
    output: str
    tolerance: Tolerance
    difference: Difference


@dataclass
class Report:
    """What was compared, and how far apart it was.

    Attributes:
        rows: one for every output, trial and optimization level.
        runtime: version of onnxruntime.
        notes: what a reader should know about the trials.
    """

    rows: list[Row] = field(default_factory=list)
    runtime: str = onnxruntime.__version__
    notes: list[str] = field(default_factory=list)

    @property
    def largest(self) -> float:
        """Largest absolute difference of all."""
        return max((row.difference.largest for row in self.rows), default=0.0)

    def __str__(self) -> str:
        """A line for every output and optimization level: the largest difference of all trials."""
        trials = list(dict.fromkeys(sizes_text(row.sizes, row.context) for row in self.rows))
        cells = [("output", "optimizations", "trials", "largest difference", "relative")]
        groups: dict[tuple[str, str], list[Difference]] = {}
        for row in self.rows:
            groups.setdefault((row.output, row.level), []).append(row.difference)
        for (output, level), found in groups.items():
            worst = max(found, key=lambda difference: difference.largest)
            largest = f"{worst.largest:.2e}" if worst.largest else "equal"
            relative = f"{worst.relative:.2e}" if worst.largest else ""
            cells.append((output, level, str(len(found)), largest, relative))
        widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
        lines = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]
        more = f"; and {len(trials) - 8} more" if len(trials) > 8 else ""
        head = f"onnxruntime {self.runtime} at {'; '.join(trials[:8])}{more}"
        return "\n".join([head, *lines, *self.notes])
