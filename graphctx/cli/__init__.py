"""The command line: `graphctx demo`, `trace`, `contexts`, `explain`, `summary`, `run`, `export`,
`verify`.

Exit codes: 0, all well; 1, the model, the data or a verification failed; 2, the command line
itself is wrong. Errors go to stderr, and what `--json` prints is JSON and nothing else.
"""

from __future__ import annotations

from graphctx.cli.application import app
from graphctx.cli import demo, describe, export, run  # isort: skip - registers the commands

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line; the entry point of `graphctx`."""
    app(prog_name="graphctx")
