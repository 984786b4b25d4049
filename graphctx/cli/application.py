"""The typer application that the commands register with, and what happens on an error."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from graphctx.cli.failure import UsageError, report, where


class _Group(TyperGroup):
    """Turns exceptions into one message on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except (Exception, SystemExit) as error:
            if hasattr(error, "format_message"):
                raise  # typer's own usage errors, which it prints itself
            if isinstance(error, SystemExit) and where(error) is None:
                raise  # rich's, when nobody reads what it prints
            report(error, debug=bool(ctx.obj))
            raise typer.Exit(2 if isinstance(error, UsageError) else 1) from None


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        import graphctx

        typer.echo(f"graphctx {graphctx.__version__}")
        raise typer.Exit


@app.callback()
def graphctx_(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """A graph compiler: trace a model once for every context, specialize, run or export.

    MODEL is a layer, or a function without arguments that makes one, as [bold]file.py:name[/bold]
    or [bold]package.module:name[/bold]; the name [bold]model[/bold] may be left out.

    Exit codes: 0 all well; 1 the model, its data or a verification failed; 2 wrong usage.
    """


def set_debug(ctx: typer.Context, wanted: bool) -> bool:
    """Remember whether tracebacks are shown; the callback of `--debug`."""
    ctx.find_root().obj = wanted
    return wanted
