"""`score`: a bundle over files of many rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from graphctx.cli import options, screen
from graphctx.cli.application import app
from graphctx.cli.bundle import BundlePath, value_of
from graphctx.cli.failure import UsageError

_COLUMNS, _RANDOM, _RUNNING = "What is read and stored", "Random programs", "How it runs"
_UNITS = {"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


@app.command(rich_help_panel="Use a model")
def score(
    bundle: BundlePath,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN", help="Rows: .parquet (or a folder of such files), .npy, .npz or .zarr."
        ),
    ],
    target: Annotated[
        Path, typer.Argument(metavar="OUT", help="Outputs, a file or folder of the same format.")
    ],
    context: options.Contexts = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input", "-i", metavar="INPUT=NAME,...", show_default=False, rich_help_panel=_COLUMNS,
            help="Columns of an input, such as x=width,height or 'x=pixel_*', or the name of an "
            "array; without it they have the name of the input.",
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep", "-k", metavar="COLUMN,...", show_default=False, rich_help_panel=_COLUMNS,
            help="Parquet columns to carry along, such as id or '*'.",
        ),
    ] = None,
    output: Annotated[
        list[str] | None,
        typer.Option(
            "--output", "-o", metavar="NAME,...", show_default=False, rich_help_panel=_COLUMNS,
            help="Outputs to store; all without it.",
        ),
    ] = None,
    cast: Annotated[
        bool,
        typer.Option(
            "--cast", rich_help_panel=_COLUMNS,
            help="Convert dtypes of the same kind, such as float64 to float32.",
        ),
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", show_default=False, rich_help_panel=_RANDOM,
            help="Seed of random operators; a fresh one where it is not given.",
        ),
    ] = None,
    segment: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="ROWS", show_default=False, rich_help_panel=_RANDOM,
            help="Rows that have one seed; by default by the size of a row, at most 1024.",
        ),
    ] = None,
    block_rows: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="ROWS", show_default=False, rich_help_panel=_RUNNING,
            help="Rows of a run; by default as many as fit into a processor's cache.",
        ),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", show_default=False, rich_help_panel=_RUNNING,
            help="What the blocks of all threads may take, such as 512MiB; by default a quarter "
            "of what is free.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", show_default=False, rich_help_panel=_RUNNING,
            help="Threads; by default one for each processor.",
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", show_default=False, rich_help_panel=_RUNNING,
            help="A scheduler of dask.distributed, tcp://host:8786: its workers do the work.",
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", rich_help_panel=_RUNNING, help="Replace what is there."),
    ] = False,
    restart: Annotated[
        bool,
        typer.Option(
            "--restart", rich_help_panel=_RUNNING,
            help="Start anew, whatever an interrupted run has left.",
        ),
    ] = False,
    json: options.Json = False,
    no_progress: options.NoProgress = False,
    debug: options.Debug = False,
) -> None:  # fmt: skip
    """Run a bundle on all rows of a file, with Dask, for one context.

    The output is there when it is complete, or not at all. A run that was interrupted goes on when
    the same command is given again.
    """
    from graphctx.cli.models import pairs
    from graphctx.export import exporter_for

    exporter: Any = exporter_for(bundle, "bundle")
    arguments = exporter.read(bundle).arguments
    values = {
        name: value_of(arguments.get(name), text)
        for name, text in pairs(context, "--context", "training=true").items()
    }
    columns = {
        name: text.split(",") for name, text in pairs(inputs, "--input", "x=width,height").items()
    }
    try:
        with screen.progress(not no_progress and not json) as progress:
            done: Any = exporter.score(
                bundle, source, target, context=values, seed=seed, inputs=columns or None,
                outputs=_names(output) or None, keep=_names(keep), cast=cast,
                block_rows=block_rows, segment=segment,
                memory=None if memory is None else _bytes(memory), workers=workers,
                scheduler=scheduler, overwrite=overwrite, restart=restart, progress=progress,
            )  # fmt: skip
    except KeyboardInterrupt:
        screen.stderr().out(
            "interrupted: the same command goes on from here, --restart starts anew",
            highlight=False,
        )
        raise
    if json:
        screen.print_json(
            {
                "path": str(done.path),
                "rows": done.rows,
                "resumed_rows": done.resumed,
                "seconds": round(done.seconds, 3),
                "condition": done.condition,
                "outputs": list(done.outputs),
                "seed": done.seed,
                "segment": done.segment,
                "block_rows": done.block,
                "workers": done.workers,
            }
        )
        return
    text = f"{done.path}: {done.rows:,} rows of {', '.join(done.outputs)}"
    if done.condition != "always":
        text += f", for {done.condition}"
    if done.seed is not None:
        text += f", seed {done.seed}, segments of {done.segment} rows"
    screen.print_text(text)
    known = f", {done.resumed:,} of them by an earlier run" if done.resumed else ""
    rate = (done.rows - done.resumed) / max(done.seconds, 1e-9)
    screen.print_text(
        f"{done.seconds:.1f} s, {rate:,.0f} rows/s, {done.workers} threads, blocks of "
        f"{done.block:,} rows{known}"
    )


def _names(texts: list[str] | None) -> list[str]:
    return [name.strip() for text in texts or () for name in text.split(",")]


def _bytes(text: str) -> int:
    """Read `512MiB`.

    Raises:
        UsageError: it is written otherwise.
    """
    number, unit = text[:-3], text[-3:].lower()
    try:
        return int(float(number) * _UNITS[unit])
    except (KeyError, ValueError, OverflowError):
        raise UsageError(f"--memory is written 512MiB or 2GiB, got {text!r}") from None
