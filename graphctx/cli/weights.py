"""The command `weights`: what in a file of weights is which weight of a model."""

from __future__ import annotations

import sys
from contextlib import nullcontext, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from graphctx.cli import options, screen
from graphctx.cli.application import app


@app.command(rich_help_panel="Use a model")
def weights(
    model: options.Model,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Weights of PyTorch (safetensors), of Keras (.weights.h5, .keras) or of graphctx.",
        ),
    ],
    names: Annotated[
        str | None,
        typer.Option(
            metavar="REFERENCE", show_default=False,
            help="The name map: file.py:NAMES or module:NAMES, a list, dict or function.",
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            metavar="LAYOUT", show_default=False,
            help="How the file has kernels: torch, \\[out, in], or keras, \\[in, out].",
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REGEX", show_default=False,
            help="Names in the file that are not wanted; repeat it for each.",
        ),
    ] = None,
    incomplete: Annotated[
        bool, typer.Option("--partial", help="Take what fits, and leave the rest.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", show_default=False,
            help="Write the model's weights to a safetensors file, which it then loads by itself.",
        ),
    ] = None,
    inputs: options.Inputs = None,
    domain: options.Domains = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:  # fmt: skip
    """Show which of a file's weights a model would load, and what is done to them.

    With --output they are loaded, and written as graphctx has them. It is an error if something is
    missing, unexpected or does not fit.
    """
    from graphctx.cli.failure import UsageError
    from graphctx.cli.models import find_object, load
    from graphctx.errors import WeightsError
    from graphctx.weights import load_weights

    if names is not None and ":" not in names:
        raise UsageError(f"--names is written file.py:NAMES, got {names}")
    found = load(model, inputs=inputs, domains=domain, quiet=json).model
    if found is None:
        raise UsageError(f"{model} has its own weights; name a model in Python")
    with redirect_stdout(sys.stderr) if json else nullcontext():
        rules = None if names is None else find_object(names)[0]
    read = partial(load_weights, found, file, rules, layout=layout, ignore=ignore or ())
    report = read(dry_run=True)
    if json:
        screen.print_json(report.as_dict())
    else:
        screen.stdout().print(report)
    if not report.fits and not incomplete:
        raise WeightsError(report.problems())
    if output is not None:
        read(strict=not incomplete)
        found.save_weights(output)
        if not json:
            screen.print_text(f"written to {output}")
