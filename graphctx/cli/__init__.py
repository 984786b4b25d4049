"""The command line, `graphctx`.

Exit codes: 0, all well; 1, the model, the data or a verification failed; 2, the command line
itself is wrong; 130, interrupted with Ctrl-C. Errors go to stderr, and what `--json` prints is
JSON and nothing else.

A command imports what it needs when it runs, so that help and completion start at once.
"""

from __future__ import annotations

import io
import sys

from graphctx.cli.application import app

# Importing them registers the commands, in the order of the help page.
# isort: off
from graphctx.cli import demo
from graphctx.cli import describe
from graphctx.cli import run
from graphctx.cli import export
from graphctx.cli import bundle
from graphctx.cli import weights
from graphctx.cli import serve
# isort: on

__all__ = ["app", "bundle", "demo", "describe", "export", "main", "run", "serve", "weights"]


def main() -> None:
    """Run the command line; the entry point of `graphctx`."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr does
    try:
        app(prog_name="graphctx")
    except KeyboardInterrupt:  # before or after a command
        sys.exit(130)
