"""Bundles: `export -o model.bundle`, and `bundle ls`, `verify`, `add`, `prune`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphctx.cli import options, screen
from graphctx.cli.application import app
from graphctx.cli.export import print_report, report_data, sizes_of
from graphctx.cli.failure import UsageError
from graphctx.context import value_text

if TYPE_CHECKING:
    from graphctx.cli.models import Traced

EXAMPLE = "training=true,mode=high"

bundle = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
app.add_typer(
    bundle,
    name="bundle",
    help="Look at bundles, the folders that hold the programs of many contexts, and change them.",
    rich_help_panel="Use a model",
)

BundlePath = Annotated[Path, typer.Argument(metavar="BUNDLE", help="The folder.")]


def write(
    traced: Traced,
    output: Path,
    *,
    assignments: Sequence[str] | None,
    fold: bool,
    json: bool,
    no_progress: bool,
    **given: Any,
) -> None:
    """Write a bundle and print what is in it; the command `export` for a path of that suffix."""
    import graphctx

    contexts = [_assignment(traced, text) for text in assignments or ()] or "all"
    with screen.progress(not no_progress and not json) as progress:
        written = graphctx.export(
            traced.graph, output, context=traced.context, contexts=contexts,
            weights="fold" if fold else "share", progress=progress, **given,
        )  # fmt: skip
    screen.print_json(_written_data(written)) if json else _print_written(written)


def _assignment(traced: Traced, text: str) -> dict[str, Any]:
    from graphctx.cli.models import context_of, pairs

    return context_of(traced.graph, pairs(text.split(","), "--assignment", EXAMPLE))


def _written_data(written: Any) -> dict[str, Any]:
    return {
        "path": str(written.path),
        "files": [str(file) for file in written.files],
        "bytes": written.size,
        "weights": written.weights,
        "weight_bytes": dict(written.sizes),
        "unused_bytes": written.unused,
        "title": written.title,
        "classes": [
            {
                "id": c.id,
                "condition": c.condition,
                "assignments": c.assignments,
                "file": c.file or None,
                "nodes": c.nodes,
                "error": c.error or None,
                "verification": report_data(c.report),
            }
            for c in written.classes
        ],
    }


def _print_written(written: Any) -> None:
    screen.print_text(f"{written.path}: {written.title}, {screen.size_text(written.size)}")
    screen.print_text(_weights_text(written.weights, written.sizes))
    if written.unused:
        unused = screen.size_text(written.unused)
        screen.print_text(f"{unused} of weights are not read any more: graphctx bundle prune")
    rows = [
        (c.id if c.file else "", c.condition, str(c.assignments), *_result(c))
        for c in written.classes
    ]
    columns = ["program", "condition", "assignments", "nodes", "largest difference"]
    screen.stdout().print(screen.table("", columns, rows, right=columns[2:]))
    _print_errors((c.condition, c.error) for c in written.classes if c.error)


def _result(found: Any) -> tuple[str, str]:
    """Number of nodes, and what the verification found."""
    if found.error:
        return "", "raises"
    if found.report is None:
        return str(found.nodes), ""
    largest = found.report.largest
    return str(found.nodes), "equal" if largest == 0 else f"{largest:.1e}"


def _print_errors(errors: Iterable[tuple[str, str]]) -> None:
    for condition, error in errors:
        screen.print_text(f"{condition}: the model raises {error}")


def _weights_text(weights: str, sizes: Any) -> str:
    """How large the weights are, and would be with the other choice."""
    other = "fold" if weights == "share" else "share"
    words = {"share": "shared", "fold": "folded"}
    text = f"weights: {screen.size_text(sizes[weights])}, {words[weights]}"
    if sizes[other] in (None, sizes[weights]):
        return text
    return f"{text}; {words[other]} they would be {screen.size_text(sizes[other])}"


@bundle.command("ls")
def list_(path: BundlePath, json: options.Json = False, debug: options.Debug = False) -> None:
    """List the classes of a bundle: conditions, programs, sizes; its arguments and weights.

    With --json, its manifest.
    """
    from graphctx.export import exporter_for

    exporter: Any = exporter_for(path, "bundle")
    manifest = exporter.read(path)
    if json:
        screen.print_json(manifest.data)
        return
    size = sum(entry.size for entry in manifest.files.values())
    size += (path / "manifest.json").stat().st_size
    screen.print_text(
        f"{path}: {manifest.model}, graphctx {manifest.graphctx}, {screen.size_text(size)}"
    )
    screen.print_text(_weights_text(manifest.weights, manifest.sizes))
    console = screen.stdout()
    if manifest.arguments:
        rows = [_argument_row(argument) for argument in manifest.arguments.values()]
        columns = ["argument", "type", "values", "default", "binding"]
        console.print(screen.table("context", columns, rows))
    for name, value in manifest.fixed.items():
        screen.print_text(f"{name} is {value!r} in every program")
    rows = [_class_row(manifest, found) for found in manifest.classes]
    columns = ["program", "condition", "assignments", "nodes", "size"]
    console.print(screen.table("classes", columns, rows, right=columns[2:]))
    _print_errors(
        (found.condition, f"{found.error.type}: {found.error.message}")
        for found in manifest.classes
        if found.error is not None
    )


def _argument_row(argument: Any) -> tuple[str, ...]:
    default = "" if argument.default is None else value_text(argument.default)
    return (
        argument.name,
        argument.type,
        " | ".join(map(value_text, argument.values)) or "any",
        "required" if argument.required else default or "each layer's own",
        argument.binding,
    )


def _class_row(manifest: Any, found: Any) -> tuple[str, ...]:
    program = found.program
    if program is None:
        return "", found.condition, str(found.assignments), "", "raises"
    size = manifest.files[program.file].size
    nodes = str(program.nodes)
    return found.id, found.condition, str(found.assignments), nodes, screen.size_text(size)


@bundle.command()
def verify(
    path: BundlePath,
    model: Annotated[
        str | None,
        typer.Argument(metavar="[MODEL]", help="The model that it was exported from."),
    ] = None,
    size: options.Sizes = None,
    weights: options.Weights = None,
    inputs: options.Inputs = None,
    domain: options.Domains = None,
    json: options.Json = False,
    no_progress: options.NoProgress = False,
    debug: options.Debug = False,
) -> None:
    """Check the files of a bundle; given the model, compare every program with it, too."""
    from graphctx.cli.models import load
    from graphctx.export import exporter_for

    exporter: Any = exporter_for(path, "bundle")
    given = {} if model is None else {"sizes": sizes_of(size)}
    graph = None
    if model is not None:
        graph = load(model, inputs=inputs, domains=domain, weights=weights, quiet=json).graph
    with screen.progress(not no_progress and not json) as progress:
        reports = exporter.verify(path, graph, progress=progress, **given)
    manifest = exporter.read(path)
    compared = list(zip(manifest.classes, reports, strict=False))
    if json:
        found = [
            {"condition": c.condition, "verification": report_data(report)}
            for c, report in compared
        ]
        screen.print_json({"path": str(path), "files": len(manifest.files), "classes": found})
        return
    screen.print_text(f"{path}: {len(manifest.files)} files are as the manifest says")
    for c, report in compared:
        if report is not None:
            screen.print_text(f"\n{c.condition}: agrees with {manifest.model}")
            print_report(report)


@bundle.command()
def add(
    path: BundlePath,
    model: options.Model,
    assignment: options.Assignments = None,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Compare with onnxruntime.")
    ] = True,
    size: options.Sizes = None,
    weights: options.Weights = None,
    inputs: options.Inputs = None,
    domain: options.Domains = None,
    json: options.Json = False,
    no_progress: options.NoProgress = False,
    debug: options.Debug = False,
) -> None:
    """Add the programs for other contexts; weights that the bundle has are not stored again."""
    from graphctx.cli.models import load
    from graphctx.export import exporter_for

    if not assignment:
        raise UsageError(f"name what to add: --assignment {EXAMPLE}")
    exporter: Any = exporter_for(path, "bundle")
    traced = load(model, inputs=inputs, domains=domain, weights=weights, quiet=json)
    contexts = [_assignment(traced, text) for text in assignment]
    with screen.progress(not no_progress and not json) as progress:
        written = exporter.add(
            path, traced.graph, contexts=contexts, verify=verify, sizes=sizes_of(size),
            progress=progress,
        )  # fmt: skip
    screen.print_json(_written_data(written)) if json else _print_written(written)


@bundle.command()
def prune(
    path: BundlePath,
    drop: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE,...", show_default=False,
            help=f"An assignment whose class goes, such as {EXAMPLE}; repeat it for each.",
        ),
    ] = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:  # fmt: skip
    """Remove classes, weights that no program needs, and what broken exports have left."""
    from graphctx.cli.models import pairs
    from graphctx.export import exporter_for

    exporter: Any = exporter_for(path, "bundle")
    arguments = exporter.read(path).arguments
    assignments = [
        {
            name: value_of(arguments.get(name), value)
            for name, value in pairs(text.split(","), "--drop", EXAMPLE).items()
        }
        for text in drop or ()
    ]
    pruned = exporter.prune(path, drop=assignments)
    if json:
        screen.print_json(
            {
                "path": str(pruned.path),
                "classes": list(pruned.conditions),
                "tensors": pruned.tensors,
                "bytes_before": pruned.before,
                "bytes": pruned.after,
            }
        )
        return
    for condition in pruned.conditions:
        screen.print_text(f"removed {condition}")
    sizes = f"{screen.size_text(pruned.before)} -> {screen.size_text(pruned.after)}"
    many = "s" * (pruned.tensors != 1)
    screen.print_text(f"{path}: {pruned.tensors} tensor{many} removed, {sizes}")


def value_of(argument: Any, text: str) -> Any:
    """The value that a text stands for; the text itself, for the bundle to refuse in words."""
    if argument is None:
        return text
    if argument.type == "bool":
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
    for value in argument.values:
        if text == value_text(value):
            return value
    if not argument.values:
        with contextlib.suppress(ValueError):
            return {"int": int, "float": float}[argument.type](text)
    return text
