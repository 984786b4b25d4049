"""The command line, `graphctx`.

Exit codes: 0, all well; 1, the model, the data or a verification failed; 2, the command line
itself is wrong. Errors go to stderr, and what `--json` prints is JSON and nothing else.

A command imports what it needs when it runs, so that help and completion start at once.
"""

from __future__ import annotations

from graphctx.cli.application import app

# Importing them registers the commands, in the order of the help page.
# isort: off
from graphctx.cli import demo
from graphctx.cli import describe
from graphctx.cli import run
from graphctx.cli import export
# isort: on

__all__ = ["app", "demo", "describe", "export", "main", "run"]


def main() -> None:
    """Run the command line; the entry point of `graphctx`."""
    app(prog_name="graphctx")
