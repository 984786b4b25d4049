"""The command `run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from graphctx.cli import options, screen
from graphctx.cli.application import app


@app.command(rich_help_panel="Use a model")
def run(
    model: options.Model,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="Inputs: .npz files by input names, or .npy files, one for each input in order.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", show_default=False,
            help="Write the outputs: .npz by output names, or .npy for a single one. Without it "
            "they are shown.",
        ),
    ] = None,
    context: options.Contexts = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", show_default=False,
            help="Seed of random operators; a fresh one where it is not given.",
        ),
    ] = None,
    weights: options.Weights = None,
    inputs: options.Inputs = None,
    domain: options.Domains = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:  # fmt: skip
    """Run a model with NumPy on arrays from files, for one context."""
    from graphctx.cli import arrays, plain
    from graphctx.cli.models import load
    from graphctx.spec import TensorSpec, dtype_name, shape_text

    given = arrays.Given(files or [])
    traced = load(
        model, inputs=inputs, context=context, domains=domain, weights=weights, quiet=json,
        fallback=[TensorSpec(array.shape, array.dtype, name) for name, array in given.arrays]
        or None,
    )  # fmt: skip
    program = traced.program()
    if output is not None:
        arrays.check_target(output, len(program.outputs))
    values = given.for_program(program)
    result = program(*program.graph.input_structure.build(iter(values)), seed=seed)
    outputs = arrays.named_outputs(program, result)
    if output is not None:
        arrays.write(output, outputs)
    if json:
        screen.print_json(
            {
                name: {
                    "dtype": dtype_name(array.dtype),
                    "shape": list(array.shape),
                    **({} if output is not None else {"values": plain.plain(array)}),
                }
                for name, array in outputs.items()
            }
        )
        return
    for name, array in outputs.items():
        line = f"{name}: {dtype_name(array.dtype)}{shape_text(array.shape)}"
        screen.print_text(line if output is not None else f"{line}\n{_preview(array)}")
    if output is not None:
        screen.print_text(f"written to {output}")


def _preview(array: Any) -> str:
    """A few elements, indented."""
    import numpy as np

    text = np.array2string(
        array, threshold=60, edgeitems=3, max_line_width=96, precision=5, suppress_small=True
    )
    return "\n".join(f"  {line}" for line in text.split("\n"))
