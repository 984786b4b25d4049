"""A bundle and the model that it was exported from: are they still the same, do they agree."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graphctx.classes import Classes, ContextClass
from graphctx.errors import ExportError, listing
from graphctx.export import as_path
from graphctx.graph import CallGraph, require_graph
from graphctx.passes.specialize import specialize
from graphctx_onnx.bundle.manifest import arguments_json, model_json, value_of
from graphctx_onnx.bundle.options import Options
from graphctx_onnx.bundle.programs import plan
from graphctx_onnx.bundle.reading import check_files, read
from graphctx_onnx.bundle.verification import Job, verify_programs
from graphctx_onnx.bundle.weights import Digests, Pack
from graphctx_onnx.convert import convert
from graphctx_onnx.locate import Tolerances
from graphctx_onnx.report import Report
from graphctx_onnx.runtime.manifest import Manifest
from graphctx_onnx.trials import Given
from graphctx_onnx.verification import Progress


def verify_bundle(
    path: str | os.PathLike[str],
    graph: CallGraph | None = None,
    *,
    inputs: Given | None = None,
    sizes: Mapping[str, Sequence[int]] | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> list[Report | None]:
    """Check the files of a bundle against its manifest, and its programs against the model.

    Args:
        path: of the bundle.
        graph: of the model that it was exported from; None: only the files are checked.
        inputs: for the comparison; see `graphctx_onnx.verify`, as for the next three.
        sizes: symbolic dimension -> sizes to try.
        rtol: relative tolerance.
        atol: absolute tolerance.
        workers: programs that are compared at a time; None: as many as there are processors.
        progress: told a stage, the steps done and the steps in all.

    Returns:
        What was compared, for every class in order; None where the model raises. Nothing without
        a graph.

    Raises:
        ExportError: a file is missing or damaged, or the bundle is not one of this graph.
        VerificationError: a program computes something else.
    """
    manifest = read(path)
    folder = as_path(path)
    check_files(folder, manifest, progress)
    if graph is None:
        return []
    options = Options(
        manifest.opset, True, inputs, sizes, Tolerances(rtol, atol), workers, progress
    )
    digests = Digests()
    classes = classes_of(graph, manifest, folder)
    options.check(classes.graph)
    require_same_model(classes, manifest, folder, digests)
    planned = plan(classes, there(classes, manifest), manifest.weights, progress)
    ours = {entry.found.condition: entry for entry in planned}
    pack = Pack(manifest.tensors, digests)
    jobs = []
    for found in manifest.classes:
        entry = ours.get(found.condition)
        error = None if entry is None else entry.failure
        if entry is None or (entry.graph is None) != (found.program is None):
            raise _another(folder, f"its class {found.condition!r} is none of this graph")
        if found.error is not None and (error is None or error.message != found.error.message):
            raise _another(folder, f"with {found.condition} the model raises something else")
        if found.program is None or entry.graph is None:
            continue
        converted = convert(entry.graph, opset=found.program.opset, data=pack)
        file = folder / found.program.file
        jobs.append(Job(found.condition, file, converted, entry.program))
    reports = iter(verify_programs(jobs, options))
    return [None if found.program is None else next(reports) for found in manifest.classes]


def classes_of(graph: CallGraph, manifest: Manifest, folder: Path) -> Classes:
    """The classes of a graph, with the arguments bound and open as in a bundle.

    Raises:
        ExportError: the graph has other arguments.
    """
    require_graph(graph, "verify")
    fixed = {
        name: value_of(graph, name, value)
        for name, value in manifest.fixed.items()
        if name in graph.contexts
    }
    graph = specialize(graph, fixed).freeze()
    runtime = [a.name for a in manifest.arguments.values() if a.binding == "runtime"]
    for name in manifest.arguments:
        if name not in graph.contexts:
            raise _another(folder, f"this graph has no open context argument {name!r}")
    classes = graph.classes(runtime=runtime)
    ours = {entry["name"]: entry for entry in arguments_json(graph, classes)}
    theirs = {entry["name"]: entry for entry in manifest.data["arguments"]}
    for name, entry in ours.items():
        if theirs.get(name) != entry:
            raise _another(
                folder,
                f"context argument {name!r} is {theirs.get(name, 'missing')} there and "
                f"{entry} in this graph",
            )
    return classes


def require_same_model(
    classes: Classes, manifest: Manifest, folder: Path, digests: Digests
) -> None:
    """Raise unless a graph and its weights are those that a bundle was exported from.

    Raises:
        ExportError: says what differs.
    """
    ours = model_json(classes.graph, digests)
    if ours["name"] != manifest.model:
        raise _another(folder, f"its model is {manifest.model!r}, this one {ours['name']!r}")
    if ours["graph"] != manifest.graph:
        raise _another(folder, "the traced graphs differ")
    differing = [
        path for path, digest in ours["weights"].items() if manifest.model_weights[path] != digest
    ]
    if differing:
        more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
        raise _another(folder, f"weights differ: {listing(differing[:5])}{more}")


def there(classes: Classes, manifest: Manifest) -> list[ContextClass]:
    """The classes of a graph that a bundle has."""
    graph = classes.graph
    conditions: list[dict[str, tuple[Any, ...]]] = [
        {
            name: tuple(value_of(graph, name, value) for value in values)
            for name, values in condition.items()
        }
        for entry in manifest.data["classes"]
        for condition in entry["conditions"]
    ]
    return classes.within(conditions)


def _another(folder: Path, why: str) -> ExportError:
    return ExportError(f"{folder}: not exported from this graph: {why}; export the bundle again")
