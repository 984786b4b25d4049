"""Commands that make and check files of other formats: `export`, `specialize`, `verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphctx.cli import options, screen
from graphctx.cli.application import app
from graphctx.cli.failure import UsageError
from graphctx.context import value_text
from graphctx.errors import listing

if TYPE_CHECKING:
    from graphctx.program import Program


@app.command(rich_help_panel="Use a model")
def export(
    model: options.Model,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", show_default=False,
            help="File to write; its suffix chooses the format: model.onnx, or model.bundle for "
            "the programs of all contexts.",
        ),
    ],
    context: options.Contexts = None,
    runtime: options.Runtime = None,
    assignment: options.Assignments = None,
    fold: Annotated[
        bool,
        typer.Option("--fold", help="In a bundle, weights of its own for each program, folded."),
    ] = False,
    opset: options.Opset = None,
    verify: options.Verify = True,
    size: options.Sizes = None,
    weights: options.Weights = None,
    inputs: options.Inputs = None,
    domain: options.Domains = None,
    json: options.Json = False,
    no_progress: options.NoProgress = False,
    debug: options.Debug = False,
) -> None:  # fmt: skip
    """Write the program for one context to a file, or those for many to a bundle.

    They are checked and verified; if the verification fails, nothing is written.
    """
    from graphctx.cli import bundle
    from graphctx.cli.models import load
    from graphctx.export import exporter_for

    sizes = sizes_of(size)
    traced = load(
        model, inputs=inputs, context=context, domains=domain, weights=weights, quiet=json,
        open_names=runtime or (),
    )  # fmt: skip
    if exporter_for(output).takes_graphs:
        bundle.write(
            traced,
            output,
            assignments=assignment,
            fold=fold,
            runtime=runtime or (),
            opset=opset,
            verify=verify,
            sizes=sizes,
            json=json,
            no_progress=no_progress,
        )
        return
    if assignment or fold:
        raise UsageError(
            f"{'--assignment' if assignment else '--fold'} is for bundles: write to model.bundle; "
            f"for one context see --context"
        )
    _write(
        traced.program(runtime or ()), output, opset=opset, verify=verify, sizes=sizes, json=json,
        no_progress=no_progress,
    )  # fmt: skip


@app.command(rich_help_panel="Use a model")
def specialize(
    model: options.Model,
    values: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=VALUE...", show_default=False,
            help="Context values to bind, such as use_cache_branch=false.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", show_default=False,
            help="File to write; its suffix chooses the format: model.onnx.",
        ),
    ],
    opset: options.Opset = None,
    verify: options.Verify = True,
    size: options.Sizes = None,
    weights: options.Weights = None,
    inputs: options.Inputs = None,
    domain: options.Domains = None,
    json: options.Json = False,
    no_progress: options.NoProgress = False,
    debug: options.Debug = False,
) -> None:  # fmt: skip
    """Bind context arguments and write what is left; the others stay open, as inputs of the file.

    Of a file, the arguments are inputs: what depends on them is computed now, and branches not
    taken leave nothing behind, no node and no weight.
    """
    from graphctx.cli.models import load
    from graphctx.export import exporter_for

    if exporter_for(output).takes_graphs:
        raise UsageError(f"{output} holds many programs; to write a bundle see graphctx export")
    sizes = sizes_of(size)
    traced = load(model, inputs=inputs, context=values, domains=domain, weights=weights, quiet=json)
    runtime = [name for name in traced.graph.contexts if name not in traced.context]
    _write(
        traced.program(runtime), output, opset=opset, verify=verify, sizes=sizes, json=json,
        no_progress=no_progress,
    )  # fmt: skip


def _write(
    program: Program, output: Path, *, opset: int | None, verify: bool,
    sizes: dict[str, list[int]] | None, json: bool, no_progress: bool,
) -> None:  # fmt: skip
    """Write a program, and say what was written."""
    import graphctx
    from graphctx.cli.plain import plain

    with screen.progress(not no_progress and not json) as progress:
        written = graphctx.export(
            program, output, opset=opset, verify=verify, sizes=sizes, progress=progress
        )
    if json:
        screen.print_json(
            {
                "path": str(written.path),
                "files": [str(file) for file in written.files],
                "opset": written.opset,
                "ir_version": written.ir_version,
                "nodes": written.nodes,
                "bytes": written.size,
                "context": plain(dict(program.graph.bound)),
                "runtime": list(program.graph.contexts),
                "verification": report_data(written.report),
            }
        )
        return
    text = (
        f"{written.path}: {written.nodes} nodes, opset {written.opset}, "
        f"{screen.size_text(written.size)}, for {program.graph.bound_text()}"
    )
    if program.graph.contexts:
        text += f", with {listing(program.graph.contexts)} as inputs"
    others = [str(file) for file in written.files if file != written.path]
    screen.print_text(text + (f"; weights in {', '.join(others)}" if others else ""))
    if written.report is None:
        screen.print_text("not verified")
    else:
        print_report(written.report)


@app.command(rich_help_panel="Use a model")
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The exported file.")],
    model: options.Model,
    context: options.Contexts = None,
    size: options.Sizes = None,
    weights: options.Weights = None,
    inputs: options.Inputs = None,
    domain: options.Domains = None,
    json: options.Json = False,
    no_progress: options.NoProgress = False,
    debug: options.Debug = False,
) -> None:
    """Compare an exported file, run by onnxruntime, with the model it came from.

    The context is the one that the file was exported for, but for what --context says.
    """
    from graphctx.cli.models import load, pairs
    from graphctx.cli.plain import plain
    from graphctx.export import exporter_for

    sizes = sizes_of(size)
    exporter = exporter_for(file)
    stored, runtime = exporter.context(file)
    texts = pairs(context, "--context", "training=true")
    known = {name: str(value) for name, value in stored.items() if value is not None}
    both = [f"{name}={value}" for name, value in {**known, **texts}.items()]
    traced = load(
        model, inputs=inputs, context=both, domains=domain, weights=weights, quiet=json,
        open_names=[name for name in runtime if name not in texts],
    )  # fmt: skip
    program = traced.program([name for name in runtime if name not in texts])
    with screen.progress(not no_progress and not json) as progress:
        report = exporter.verify(file, program, sizes=sizes, progress=progress)
    if json:
        bound = plain(dict(program.graph.bound))
        found = {"path": str(file), "context": bound, "verification": report_data(report)}
        screen.print_json(found)
    else:
        screen.print_text(f"{file}: agrees with {program.name} for {program.graph.bound_text()}")
        print_report(report)


def sizes_of(texts: list[str] | None) -> dict[str, list[int]] | None:
    """The sizes that `--size` names, by dimension."""
    from graphctx.cli.models import pairs

    found: dict[str, list[int]] = {}
    for name, text in pairs(texts, "--size", "batch=1,8").items():
        try:
            found[name] = [int(part) for part in text.split(",")]
        except ValueError:
            raise UsageError(f"--size is written batch=1,8, got {name}={text}") from None
        if min(found[name]) < 0:
            raise UsageError(f"--size takes numbers from 0 on, got {name}={text}")
    return found or None


def report_data(report: Any) -> Any:
    """A verification as plain data; None where there was none."""
    from graphctx.cli.plain import plain

    if report is None:
        return None
    return {
        "onnxruntime": report.runtime,
        "largest_difference": plain(report.largest),
        "notes": list(report.notes),
        "rows": [
            {
                "output": row.output,
                "sizes": dict(row.sizes),
                "context": plain(dict(row.context)),
                "optimizations": row.level,
                "largest_difference": plain(row.difference.largest),
                "relative_difference": plain(row.difference.relative),
            }
            for row in report.rows
        ],
    }


def print_report(report: Any) -> None:
    """The verification: a row for each output and trial, a column for each optimization level."""
    levels = list(dict.fromkeys(row.level for row in report.rows))
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in report.rows:
        parts = [f"{name}={size}" for name, size in row.sizes.items()]
        parts += [f"{name}={value_text(value)}" for name, value in row.context.items()]
        cells = found.setdefault((row.output, ", ".join(parts) or "as given"), {})
        largest = row.difference.largest
        cells[row.level] = "equal" if largest == 0 else f"{largest:.1e}"
    columns = [f"optimizations {level}" for level in levels]
    rows = [[*key, *(cells.get(level, "") for level in levels)] for key, cells in found.items()]
    title = f"verified with onnxruntime {report.runtime}: largest difference"
    console = screen.stdout()
    console.print(screen.table(title, ["output", "trial", *columns], rows, right=columns))
    for note in report.notes:
        screen.print_text(f"note: {note}")
