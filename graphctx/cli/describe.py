"""Commands that show what a model is: `trace`, `contexts`, `explain`, `summary`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphctx.cli import options, screen
from graphctx.cli.application import app

if TYPE_CHECKING:
    from graphctx.classes import Classes
    from graphctx.graph import CallGraph


@app.command(rich_help_panel="Look at a model")
def trace(
    model: options.Model,
    inputs: options.Inputs = None,
    context: options.Contexts = None,
    domain: options.Domains = None,
    optimize: Annotated[
        bool, typer.Option("--optimize", help="Show the program that runs: bound and optimized.")
    ] = False,
    stats: Annotated[bool, typer.Option("--stats", help="Count instead of showing all.")] = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Trace a model for every context and print its graph.

    With --context the graph is specialized for what is given; the rest stays open.
    """
    import graphctx
    from graphctx.cli import plain
    from graphctx.cli.models import load

    started = time.perf_counter()
    traced = load(model, inputs=inputs, context=context, domains=domain, quiet=json)
    seconds = time.perf_counter() - started
    if optimize:
        graph = traced.program().graph
    else:
        graph = graphctx.specialize(traced.graph, traced.context)
    if stats:
        counts = {**plain.stats_data(graph), "seconds": round(seconds, 4)}
        screen.print_json(counts) if json else _print_stats(counts)
    elif json:
        screen.print_json(plain.graph_data(graph))
    else:
        screen.print_text(str(graph))


def _print_stats(counts: dict[str, Any]) -> None:
    operators = counts.pop("by operator")
    if counts["assignments"] is None:
        counts["assignments"] = "no end"
    rows = [
        (name, f"{count:,}" if isinstance(count, int) else str(count))
        for name, count in counts.items()
    ]
    console = screen.stdout()
    console.print(screen.table("", ["graph", "count"], rows, right=["count"]))
    if operators:
        cells = [(name, f"{count:,}") for name, count in operators.items()]
        console.print(screen.table("", ["operator", "count"], cells, right=["count"]))


@app.command(rich_help_panel="Look at a model")
def contexts(
    model: options.Model,
    inputs: options.Inputs = None,
    domain: options.Domains = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """List the context arguments of a model, who reads them, and which values make a program."""
    from graphctx.cli import plain
    from graphctx.cli.models import load

    graph = load(model, inputs=inputs, domains=domain, quiet=json).graph
    if json:
        screen.print_json(plain.contexts_data(graph))
    elif graph.contexts:
        screen.stdout().print(contexts_table(graph))
        screen.stdout().print(classes_table(graph.classes()))
    else:
        screen.print_text(f"{graph.name} reads no context arguments")


def contexts_table(graph: CallGraph) -> Any:
    """The open context arguments as a rich table."""
    return screen.table(
        f"context of {graph.name}",
        ["argument", "type", "values", "default", "read by"],
        [
            (name, kind, values.replace("|", " | "), default, "\n".join(paths.split(", ")))
            for name, kind, values, default, paths in graph.contexts.rows()
        ],
    )


def classes_table(classes: Classes) -> Any:
    """The context classes as a rich table."""
    rows = classes.rows()
    more = len(classes) - len(rows)
    title = f"{classes.title}, {len(rows)} of them shown" if more else classes.title
    return screen.table(title, ["condition", "assignments", "dead"], rows, right=["assignments"])


@app.command(rich_help_panel="Look at a model")
def explain(
    model: options.Model,
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="Path of a layer or of one of its calls.")
    ],
    argument: Annotated[str, typer.Argument(metavar="ARG", help="The context argument.")],
    inputs: options.Inputs = None,
    context: options.Contexts = None,
    domain: options.Domains = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Say where the value of one context argument at one layer comes from."""
    import graphctx
    from graphctx.cli.models import load

    traced = load(model, inputs=inputs, context=context, domains=domain, quiet=json)
    text = graphctx.explain(traced.graph, path, argument, traced.context)
    if json:
        found = {"path": path, "argument": argument, "explanations": text.split("\n")}
        screen.print_json(found)
    else:
        screen.print_text(text)


@app.command(rich_help_panel="Look at a model")
def summary(
    model: options.Model,
    inputs: options.Inputs = None,
    context: options.Contexts = None,
    runtime: options.Runtime = None,
    domain: options.Domains = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """List the operators of the program for one context, with shapes, parameters and costs.

    With --runtime, what it costs to leave arguments open, against binding them.
    """
    import graphctx
    from graphctx.cli.models import load

    traced = load(model, inputs=inputs, context=context, domains=domain, quiet=json)
    table: Any = (
        graphctx.cost_note(traced.graph, traced.context, runtime=runtime)
        if runtime
        else traced.program().summary()
    )
    screen.print_json(table.as_dict()) if json else screen.stdout().print(table)
