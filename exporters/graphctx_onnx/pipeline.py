"""Export: convert, write, check, verify, and only then put the files in place."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphctx.errors import ExportError
from graphctx_onnx.check import check
from graphctx_onnx.convert import Converted, convert, graph_of, require_exportable
from graphctx_onnx.destination import Destination, cannot_write, destination
from graphctx_onnx.external import require_threshold
from graphctx_onnx.locate import Tolerances
from graphctx_onnx.metadata import load
from graphctx_onnx.report import Report
from graphctx_onnx.schemas import require_opset
from graphctx_onnx.trials import Given, check_options
from graphctx_onnx.verification import Progress, Verification


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: of the model.
        files: the model, and its data file where there is one.
        opset: that it is written in.
        ir_version: of the file format.
        nodes: number of ONNX nodes.
        size: of all files, in bytes.
        report: of the verification; None where it was not asked for.
    """

    path: Path
    files: tuple[Path, ...]
    opset: int
    ir_version: int
    nodes: int
    size: int
    report: Report | None = field(repr=False)


def export(
    program: Any,
    path: str | os.PathLike[str],
    *,
    opset: int | None = None,
    verify: bool = True,
    inputs: Given | None = None,
    sizes: Mapping[str, Sequence[int]] | None = None,
    external_threshold: int | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Write a program as an ONNX file, checked and verified.

    Inputs and outputs have the user's names; a random program has the int64 scalar input `seed`.
    A weight that the program assigns is an optional input, whose default is its stored value, and
    an output `<path>:new`. The files appear at once when all is done; on any error nothing is
    left behind, and a file that was at the path before stays.

    Args:
        program: a `Program`, or a `CallGraph` without open context arguments.
        path: ends in `.onnx`; large weights go to `<path>.data` beside it.
        opset: from 18 to 28; by default 23, or the first later one that has all operators used.
        verify: compare with onnxruntime before the files are put in place.
        inputs: for verification; see `graphctx_onnx.verify`.
        sizes: for verification: symbolic dimension -> sizes to try.
        external_threshold: bytes from which on a weight goes to the data file; by default 1 MiB,
            256 bytes at least.
        rtol: relative tolerance of the verification.
        atol: absolute tolerance of the verification.
        progress: told a stage, the steps done and the steps in all.

    Raises:
        ExportError: an option makes no sense, the path cannot be written, or the program cannot
            be said in ONNX.
        VerificationError: onnxruntime computes something else.
    """
    graph = graph_of(program)
    require_exportable(graph)
    require_opset(opset)
    require_threshold(external_threshold)
    limits = Tolerances(rtol, atol)
    if not isinstance(verify, bool):
        raise ExportError(f"verify is True or False, got {verify!r}")
    if progress is not None and not callable(progress):
        raise ExportError(
            f"progress is a function of (stage, steps done, steps in all), got {progress!r}"
        )
    check_options(graph, inputs, sizes)
    with destination(path) as target:
        _tell(progress, "converting", 0, 1)
        converted = convert(
            graph,
            opset=opset,
            external_threshold=external_threshold,
            data_name=target.data_name,
        )
        made = _write(converted, target, progress)
        _tell(progress, "checking", 0, 1)
        check(made, converted)
        report = None
        if verify:
            report = Verification(made, converted, program, limits, progress).run(inputs, sizes)
        size = sum(file.stat().st_size for file in target.folder.iterdir())
        files = target.commit(is_stale=functools.partial(_refers_to_data, target))
    return Exported(
        files[-1],
        tuple(reversed(files)),
        converted.opset,
        converted.model.ir_version,
        converted.count,
        size,
        report,
    )


def _tell(progress: Progress | None, stage: str, done: int, steps: int) -> None:
    if progress is not None:
        progress(stage, done, steps)


def _write(converted: Converted, target: Destination, progress: Progress | None) -> Path:
    """Write model and data file into the temporary folder."""
    told = None if progress is None else functools.partial(progress, "writing")
    made = target.folder / target.path.name
    try:
        if converted.data.entries:
            converted.data.write(target.folder, told)
        made.write_bytes(converted.model.SerializeToString())
    except OSError as error:
        raise cannot_write(target.path, error) from error
    return made


def _refers_to_data(target: Destination) -> bool:
    """Whether the model that is replaced has its weights in the data file of that name."""
    if not target.path.exists() or not target.path.with_name(target.data_name).exists():
        return False
    try:
        tensors = load(target.path).graph.initializer
    except ExportError:
        return False
    return any(
        entry.key == "location" and entry.value == target.data_name
        for tensor in tensors
        for entry in tensor.external_data
    )
