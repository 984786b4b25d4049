"""`serve`: a bundle over REST and gRPC."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from graphctx.cli import options, screen
from graphctx.cli.application import app
from graphctx.cli.failure import UsageError

TOKEN = "GRAPHCTX_TOKEN"

_WHERE, _LIMITS, _RUNNING, _SAFETY = "Where", "Limits", "How programs run", "Security and logs"


@app.command(rich_help_panel="Use a model")
def serve(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder of the bundle.")],
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", show_default=False,
            help="Name of the model; by default that of the folder.",
        ),
    ] = None,
    model_version: Annotated[
        str, typer.Option(metavar="VERSION", help="Version that clients may ask for.")
    ] = "1",
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", rich_help_panel=_WHERE,
                          help="Address to listen on; 0.0.0.0 for all of this machine.")
    ] = "127.0.0.1",
    http_port: Annotated[
        int, typer.Option(metavar="PORT", rich_help_panel=_WHERE,
                          help="Port of REST; 0 for any that is free, -1 for none.")
    ] = 8080,
    grpc_port: Annotated[
        int, typer.Option(metavar="PORT", rich_help_panel=_WHERE,
                          help="Port of gRPC; 0 for any that is free, -1 for none.")
    ] = 8081,
    max_body: Annotated[
        float, typer.Option(metavar="MIB", rich_help_panel=_LIMITS, help="Size of a request.")
    ] = 64,
    max_rows: Annotated[
        int, typer.Option(metavar="N", rich_help_panel=_LIMITS, help="Rows of a request.")
    ] = 65_536,
    max_requests: Annotated[
        int, typer.Option(metavar="N", rich_help_panel=_LIMITS,
                          help="Requests that are read, wait or run at a time.")
    ] = 512,
    queue: Annotated[
        int, typer.Option(metavar="N", rich_help_panel=_LIMITS,
                          help="Requests that may wait for a thread.")
    ] = 256,
    connections: Annotated[
        int, typer.Option(metavar="N", rich_help_panel=_LIMITS, help="Connections of HTTP.")
    ] = 1024,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", rich_help_panel=_LIMITS,
                            help="Time for reading a request, and for answering it.")
    ] = 30,
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", rich_help_panel=_RUNNING, show_default="one for each core",
                     help="Threads that run programs."),
    ] = None,
    threads: Annotated[
        int, typer.Option(metavar="N", rich_help_panel=_RUNNING,
                          help="Threads of onnxruntime for one run.")
    ] = 1,
    sharing: Annotated[
        str, typer.Option(metavar="MODE", rich_help_panel=_RUNNING,
                          help="How programs share weights: auto, shared, prepacked, private.")
    ] = "auto",
    preload: Annotated[
        bool, typer.Option("--preload/--no-preload", rich_help_panel=_RUNNING,
                           help="Load all programs first, not when they are asked for.")
    ] = True,
    batch: Annotated[
        int, typer.Option(metavar="ROWS", rich_help_panel=_RUNNING,
                          help="Merge requests of one context up to this many rows.")
    ] = 1,
    batch_delay: Annotated[
        float, typer.Option(metavar="MS", rich_help_panel=_RUNNING,
                            help="Milliseconds that a request waits for others.")
    ] = 0,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", rich_help_panel=_SAFETY, show_default=False,
                                  help="Certificate and its chain (PEM).")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(metavar="FILE", rich_help_panel=_SAFETY, show_default=False,
                                  help="Its private key (PEM).")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", rich_help_panel=_SAFETY, show_default=False,
                     help=f"File with the bearer token; else it is in the variable {TOKEN}."),
    ] = None,
    grace: Annotated[
        float, typer.Option(metavar="SECONDS", rich_help_panel=_SAFETY,
                            help="Time that requests have when the server is told to stop.")
    ] = 30,
    log_level: Annotated[
        str, typer.Option(metavar="LEVEL", rich_help_panel=_SAFETY,
                          help="debug, info, warning or error.")
    ] = "info",
    log_requests: Annotated[
        bool, typer.Option("--log-requests", rich_help_panel=_SAFETY,
                           help="Log a line for each request.")
    ] = False,
    debug: options.Debug = False,
) -> None:  # fmt: skip
    """Serve a bundle over the Open Inference Protocol v2: REST and gRPC.

    Context arguments travel as request parameters. SIGTERM or Ctrl-C: no more requests are taken,
    and those that have been are answered. Logs go to stderr, a JSON object a line.
    """
    from graphctx.export import exporter_for

    limits: dict[str, Any] = {
        "body": int(max_body * (1 << 20)), "rows": max_rows, "requests": max_requests,
        "queue": queue, "timeout": timeout, "batch": batch, "delay": batch_delay / 1000,
    }  # fmt: skip
    if workers is not None:
        limits["workers"] = workers
    exporter: Any = exporter_for(bundle, "bundle")
    exporter.serve(
        bundle,
        name=name,
        version=model_version,
        preload=preload,
        log_requests=log_requests,
        loading={"threads": threads, "sharing": sharing},
        limits=limits,
        options={
            "host": host,
            "http_port": None if http_port < 0 else http_port,
            "grpc_port": None if grpc_port < 0 else grpc_port,
            "token": _token(token_file),
            "certificate": tls_cert,
            "key": tls_key,
            "connections": connections,
            "grace": grace,
            "log_level": log_level,
        },
        listening=_listening,
    )


def _token(file: Path | None) -> str | None:
    if file is None:
        token, place = os.environ.get(TOKEN), f"the variable {TOKEN}"
    else:
        try:
            token, place = file.read_text(encoding="utf-8").strip(), f"--token-file: {file}"
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--token-file: {file} cannot be read: {error}") from error
    if token == "":  # somebody meant to have one
        raise UsageError(f"{place} is empty; a token has 16 characters or more")
    return token


def _listening(name: str, addresses: tuple[Any, ...]) -> None:
    places = [
        f"{address}/v2/models/{name}" if address.scheme.startswith("http") else str(address)
        for address in addresses
    ]
    screen.print_text(f"{name}: {' and '.join(places)}; Ctrl-C stops")
