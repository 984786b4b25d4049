"""What matches what: a table, and the text of the error when something does not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from graphctx.spec import shape_text

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """A weight of the model, or an array that is stored and that no weight takes.

    Attributes:
        status: "matched"; "missing": nothing is stored for it; "misfit": what is stored has another
            shape or dtype; "kept": the name map leaves it alone; "unexpected": no weight takes it.
        weight: path of the model's weight.
        shape: of the model's weight.
        source: names of what is stored.
        stored: their shapes.
        steps: what is done to them.
        note: what is wrong.
    """

    status: str
    weight: str = ""
    shape: Shape | None = None
    source: tuple[str, ...] = ()
    stored: tuple[Shape, ...] = ()
    steps: str = ""
    note: str = ""


@dataclass(frozen=True)
class WeightMatch:
    """How a model's weights match those of a file; prints as a table.

    Attributes:
        model: its name.
        path: of the file.
        layout: "keras" or "torch": as the file's weights are laid out.
        rows: one for each weight of the model, then those that are unexpected.
        ignored: names in the file that are not loaded on purpose.
        unused: rules of the name map that match no layer and no weight.
        unbuilt: layers whose weights are not made yet.
    """

    model: str
    path: str
    layout: str
    rows: tuple[Row, ...]
    ignored: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    unbuilt: tuple[str, ...] = ()

    def of(self, *statuses: str) -> list[Row]:
        """The rows of these statuses."""
        return [row for row in self.rows if row.status in statuses]

    @property
    def fits(self) -> bool:
        """Whether every weight has its value, and every value its weight."""
        return not self.of("missing", "misfit", "unexpected") and not self.unused and self.has_any

    @property
    def has_any(self) -> bool:
        """Whether the model has weights, unless nothing is given to it either."""
        return not self.rows or any(row.weight for row in self.rows)

    @property
    def title(self) -> str:
        """The counts."""
        counts = [f"{len(self.of('matched'))} of {self._size} weights matched"]
        for status in ("kept", "missing", "misfit", "unexpected"):
            count = len(self.of(status))
            counts += [f"{count} {status}"] if count else []
        counts += [f"{len(self.ignored)} ignored"] if self.ignored else []
        return f"{self.model} from {self.path}, {self.layout} layout: {', '.join(counts)}"

    @property
    def _size(self) -> int:
        return sum(bool(row.weight) for row in self.rows)

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "model": self.model,
            "path": self.path,
            "layout": self.layout,
            "fits": self.fits,
            "ignored": list(self.ignored),
            "unused": list(self.unused),
            "rows": [
                {
                    "status": row.status, "weight": row.weight or None,
                    "shape": None if row.shape is None else list(row.shape),
                    "source": list(row.source), "stored": [list(s) for s in row.stored],
                    "steps": row.steps, "note": row.note,
                }
                for row in self.rows
            ],
        }  # fmt: skip

    def problems(self) -> str:
        """What does not match, as the error says it; an empty string if all does."""
        if self.fits:
            return ""
        lines = [f"{self.model}: {self.path} does not match the model's {self._size} weights"]
        for status in ("missing", "unexpected", "misfit"):
            found = _described(self.of(status))
            if found:
                lines.append(f"  {status}:{_joined(found)}")
        if self.unused:
            rules = [repr(key) for key in self.unused]
            lines.append(f"  rules of the name map that match nothing:{_joined(rules)}")
        if not self.has_any:
            lines.append("  the model has no weights yet: call or trace it once before loading")
        elif self.unbuilt:
            lines.append(
                f"  not made yet are the weights of{_joined(self.unbuilt)}: call or trace the "
                f"model once before loading"
            )
        return "\n".join(lines)

    def __rich__(self) -> Any:
        from rich import box
        from rich.markup import escape
        from rich.table import Table

        table = Table(
            title=escape(self.title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
        )
        for column in ("weight", "shape", "stored", "shape", "how", "status"):
            table.add_column(column, overflow="fold")
        for row in self.rows:
            shape = "" if row.shape is None else shape_text(row.shape)
            stored = "\n".join(shape_text(shape) for shape in row.stored)
            cells = (row.weight, shape, "\n".join(row.source), stored, row.steps, row.status)
            table.add_row(*map(escape, cells))
        return table

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=160, color_system=None)
        with console.capture() as capture:
            console.print(self)
        return capture.get()


def _described(rows: Iterable[Row]) -> list[str]:
    """Names and what is wrong with them, said once for those that follow each other."""
    found: list[tuple[list[str], str]] = []
    for row in rows:
        name = row.weight or row.source[0]
        if found and row.note and row.note == found[-1][1]:
            found[-1][0].append(name)
        else:
            found.append(([name], row.note))
    return [", ".join(names) + (f" ({note})" if note else "") for names, note in found]


def _joined(texts: Iterable[str]) -> str:
    """In one line if that is not too long, else one a line."""
    texts = list(texts)
    line = ", ".join(texts)
    return f" {line}" if len(line) <= 90 else "\n    " + ",\n    ".join(texts)
