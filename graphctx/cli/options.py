"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphctx.cli.application import set_debug

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", show_default=False,
        help="The model: file.py:name, module:name, or a file such as model.onnx.",
    ),
]  # fmt: skip
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input", "-i", metavar="SPEC", show_default=False,
        help="An input, such as 'x=float32\\[batch,64]'; repeat it for each. Not needed where the "
        "model, or the file beside it, has input_specs.",
    ),
]  # fmt: skip
Contexts = Annotated[
    list[str] | None,
    typer.Option(
        "--context", "-c", metavar="NAME=VALUE", show_default=False,
        help="A context value, such as training=true; repeat it for each.",
    ),
]  # fmt: skip
Runtime = Annotated[
    list[str] | None,
    typer.Option(
        "--runtime", "-r", metavar="NAME", show_default=False,
        help="A context argument to leave open, as an input of the file; repeat it for each.",
    ),
]  # fmt: skip
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--assignment", "-a", metavar="NAME=VALUE,...", show_default=False,
        help="For a bundle, an assignment whose program it has, such as training=true,mode=high; "
        "repeat it for each. Without it the bundle has all.",
    ),
]  # fmt: skip
Domains = Annotated[
    list[str] | None,
    typer.Option(
        "--domain", metavar="NAME=VALUE", show_default=False,
        help="A value to trace of an opaque argument; repeat it for each. Of a file: that an input "
        "is a context argument, and its values or its type, such as use_cache=bool.",
    ),
]  # fmt: skip
Weights = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", show_default=False,
        help="A file to load the weights from: safetensors, or .weights.h5 or .keras of Keras.",
    ),
]  # fmt: skip
Sizes = Annotated[
    list[str] | None,
    typer.Option(
        "--size", metavar="DIM=N,...", show_default=False,
        help="Sizes to try of a symbolic dimension, such as batch=1,8; repeat it for each.",
    ),
]  # fmt: skip
Opset = Annotated[
    int | None, typer.Option(metavar="N", show_default=False, help="ONNX opset to write.")
]
Verify = Annotated[bool, typer.Option("--verify/--no-verify", help="Compare with onnxruntime.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Debug = Annotated[
    bool, typer.Option("--debug", help="Show the traceback of an error.", callback=set_debug)
]
NoProgress = Annotated[bool, typer.Option("--no-progress", help="Show no progress bars.")]
