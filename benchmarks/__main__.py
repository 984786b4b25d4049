"""`python -m benchmarks [name ...]`: run the benchmarks, print a table, write JSON."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# One thread each, so that shared machines and small matrices are compared fairly.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

ALL = (
    "startup", "eager", "compiling", "mlp", "executor", "models_cnn", "models_transformers",
    "runtime_context", "bundles", "importing", "imported", "serving", "scoring",
)  # fmt: skip


def main() -> None:
    """Run what is named, or all."""
    from rich.console import Console
    from rich.table import Table

    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(ALL)}")
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/results.json"))
    parser.add_argument("--page", type=Path, help="write the table in Markdown, too")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(ALL)
    if unknown:
        parser.error(f"unknown benchmark {', '.join(sorted(unknown))}; known: {', '.join(ALL)}")
    console = Console(width=None if sys.stdout.isatty() else 150)
    rows: list[dict[str, Any]] = []
    for name in arguments.names or ALL:
        with console.status(f"running {name}"):
            rows += importlib.import_module(f"benchmarks.{name}").run()
    table = Table(title="graphctx benchmarks (medians; ratio = ours / peer, less is better)")
    for column in ("what", "ours", "peer"):
        table.add_column(column)
    table.add_column("ratio", justify="right")
    table.add_column("target", justify="right")
    table.add_column("")
    for row in rows:
        target = row["target"]
        met = "" if target is None else ("met" if row["ratio"] <= target else "MISSED")
        table.add_row(
            row["what"], row["ours"], row["peer"], f"{row['ratio']:.3f}",
            "" if target is None else f"{target:.3f}", met,
        )  # fmt: skip
    console.print(table)
    machine = {"python": platform.python_version(), "machine": platform.machine(),
               "cores": os.cpu_count()}  # fmt: skip
    arguments.output.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    console.print(f"written to {arguments.output}")
    if arguments.page is not None:
        arguments.page.write_text(page(rows))
        console.print(f"written to {arguments.page}")


HEAD = """\
# Speed

<!-- Written by `python -m benchmarks --page docs/speed.md`: do not edit. -->

What `make bench` measures, side by side with its peers: medians of runs that take turns, one thread
each where nothing else is said, on two shared cores. Times depend on the machine: compare the
ratios, ours / the peer's, of which less is better.

| What | Ours | Compared with | Ratio | Limit |
|---|---|---|---|---|
"""


def page(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a page; those that miss their limit are marked."""
    lines = []
    for row in rows:
        limit = "" if row["target"] is None else f"{row['target']:.3g}"
        missed = row["target"] is not None and row["ratio"] > row["target"]
        ratio = f"**{row['ratio']:.3f}**" if missed else f"{row['ratio']:.3f}"
        lines.append(f"| {row['what']} | {row['ours']} | {row['peer']} | {ratio} | {limit} |\n")
    return HEAD + "".join(lines)


if __name__ == "__main__":
    main()
