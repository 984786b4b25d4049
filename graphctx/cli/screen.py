"""What goes to the terminal: consoles, tables, progress bars."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PLAIN_WIDTH = 100
"""Columns of what is printed to a file or a pipe."""

Progress = Callable[[str, int, int], None]
"""Told a stage, the steps done and the steps in all."""


def stdout() -> Console:
    """A console on today's stdout."""
    return _console(stderr=False)


def stderr() -> Console:
    """A console on today's stderr."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PLAIN_WIDTH
    return console


def print_text(text: str) -> None:
    """Print text as it is, never wrapped, so that it can be piped and compared."""
    stdout().out(text, highlight=False)


def print_json(value: Any) -> None:
    """Print JSON and nothing else."""
    stdout().out(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False), highlight=False)


def table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, right: Sequence[str] = ()
) -> Table:
    """A table of plain cells.

    Args:
        title: above it.
        columns: headings.
        rows: cells, as text (no markup) or as rich renderables.
        right: headings of the columns that are aligned to the right.
    """
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    made = Table(
        title=escape(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD,
        pad_edge=False,
    )  # fmt: skip
    for column in columns:
        made.add_column(
            escape(column), justify="right" if column in right else "left", overflow="fold"
        )
    for row in rows:
        made.add_row(*(escape(cell) if isinstance(cell, str) else cell for cell in row))
    return made


@contextmanager
def progress(enabled: bool = True) -> Iterator[Progress]:
    """Yield a function that shows progress on stderr, if that is a terminal."""
    if not enabled or not sys.stderr.isatty():
        yield lambda stage, done, steps: None
        return
    from rich.progress import BarColumn, SpinnerColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=30),
        TextColumn("{task.fields[count]}"),
    )  # fmt: skip
    # Nothing is redirected: what a model prints to stdout stays there.
    with Bar(
        *columns, console=stderr(), transient=True, redirect_stdout=False, redirect_stderr=False
    ) as bar:
        task = bar.add_task("starting", total=None, count="")

        def show(stage: str, done: int, steps: int) -> None:
            known = steps > 1
            bar.update(
                task, description=stage, completed=done, total=steps if known else None,
                count=f"{done:,}/{steps:,}" if known else "",
            )  # fmt: skip

        yield show


def size_text(count: float) -> str:
    """A number of bytes as people read it: `12.3 KiB`."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
