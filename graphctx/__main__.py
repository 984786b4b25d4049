"""`python -m graphctx`: the command line."""

from graphctx.cli import main

main()
