"""Writes a bundle: programs, weights, manifest; checked and verified before it is in place."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphctx.classes import Classes, ContextClass
from graphctx.errors import ExportError, listing
from graphctx.graph import CallGraph
from graphctx.passes.specialize import specialize
from graphctx_onnx.bundle import manifest as manifests
from graphctx_onnx.bundle.folder import PROGRAM, WEIGHTS, Workplace, workplace
from graphctx_onnx.bundle.options import Options
from graphctx_onnx.bundle.programs import FOLD, SHARE, Planned, plan
from graphctx_onnx.bundle.verification import Job, verify_programs
from graphctx_onnx.bundle.weights import Digests, Pack, stored_size
from graphctx_onnx.convert import Converted, convert, lower
from graphctx_onnx.locate import Tolerances
from graphctx_onnx.report import Report
from graphctx_onnx.runtime.manifest import NAME, Manifest, TensorEntry
from graphctx_onnx.runtime.parse import parse_manifest
from graphctx_onnx.trials import Given
from graphctx_onnx.verification import Progress

ALL = "all"
MOST_CLASSES = 1000
"""Programs of a bundle beyond which nobody can want all."""


@dataclass(frozen=True)
class ExportedClass:
    """A class of a bundle that was written.

    Attributes:
        id: of the class in the manifest.
        condition: which assignments it has.
        assignments: how many.
        file: name of its ONNX file; empty where the model raises.
        nodes: number of ONNX nodes.
        error: what the model raises, else empty.
        report: of the verification; None where there was none.
    """

    id: str
    condition: str
    assignments: int
    file: str
    nodes: int
    error: str
    report: Report | None = field(repr=False)


@dataclass(frozen=True)
class ExportedBundle:
    """What was written.

    Attributes:
        path: of the bundle.
        classes: its programs and errors, with their verification.
        files: all of them.
        size: of all files, in bytes.
        weights: `share` or `fold`.
        sizes: bytes of all weights as they were written, and with the other choice.
        unused: bytes of weights that no program reads any more; `prune_bundle` removes them.
        title: the counts in words: `24 assignments -> 3 programs`.
    """

    path: Path
    classes: tuple[ExportedClass, ...]
    files: tuple[Path, ...]
    size: int
    weights: str
    sizes: Mapping[str, int | None]
    unused: int
    title: str


def export_bundle(
    graph: CallGraph,
    path: str | os.PathLike[str],
    *,
    contexts: str | Iterable[Mapping[str, Any]] = ALL,
    runtime: Sequence[str] = (),
    context: Mapping[str, Any] | None = None,
    weights: str = SHARE,
    opset: int | None = None,
    verify: bool = True,
    inputs: Given | None = None,
    sizes: Mapping[str, Sequence[int]] | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> ExportedBundle:
    """Write the programs of a graph for many contexts: each program once, each weight once.

    Numeric context arguments are left to run time, but for those of which the trace has certain
    values only. Where the model raises, the bundle has its error.

    Args:
        graph: as `trace` returned it, or specialized in part.
        path: of the folder; ends in `.bundle`. A bundle that is there is replaced, anything else
            is not.
        contexts: `"all"`, or assignments; those not named in one have their defaults. The bundle
            has the classes that the assignments belong to.
        runtime: names of arguments to leave to run time, as inputs of the programs.
        context: values that hold in every program; these arguments are no choice in the bundle.
        weights: `"share"`: every weight stands once, as far as programs use it alike; `"fold"`:
            each program is optimized alone, so a BatchNorm may be folded into weights that
            another program needs as they were.
        opset: as for `graphctx_onnx.export`, and so are the next five.
        verify: compare every program with onnxruntime before the bundle is put in place.
        inputs: for verification.
        sizes: for verification.
        rtol: of the verification.
        atol: of the verification.
        workers: programs that are verified at a time; None: as many as there are processors.
        progress: told a stage, the steps done and the steps in all.

    Raises:
        ContextError: an assignment has an unknown name or a value outside its domain.
        ExportError: an option makes no sense, the path cannot be written, or a program cannot be
            said in ONNX; nothing has changed then.
        VerificationError: onnxruntime computes something else.
    """
    options = Options(opset, verify, inputs, sizes, Tolerances(rtol, atol), workers, progress)
    if weights not in (SHARE, FOLD):
        raise ExportError(f"weights is {SHARE!r} or {FOLD!r}, got {weights!r}")
    graph = specialize(graph, context or {}).freeze()
    options.check(graph)
    classes = graph.classes(runtime=runtime)
    chosen = choose(classes, contexts)
    with workplace(path) as place:
        return write(place, classes, chosen, weights, options, Digests())


def choose(classes: Classes, contexts: Any) -> list[ContextClass]:
    """The classes that were asked for.

    Raises:
        ExportError: `contexts` is neither "all" nor assignments, or there are too many classes.
        ContextError: an unknown name or a value outside its domain.
    """
    graph = classes.graph
    if isinstance(contexts, str) and contexts == ALL:
        if len(classes) > MOST_CLASSES:
            raise ExportError(
                f"{graph.name}: all contexts are {len(classes):,} programs, more than "
                f"{MOST_CLASSES:,}; name those you need: contexts=[{{...}}, ...], or leave some of "
                f"{listing(classes.arguments)} to run time"
            )
        return list(classes)
    given = [] if isinstance(contexts, (str, Mapping)) else list(contexts)
    if not given or not all(isinstance(assignment, Mapping) for assignment in given):
        raise ExportError(
            f"contexts is 'all' or a list of assignments such as [{{'training': True}}], "
            f"got {contexts!r}"
        )
    for assignment in given:
        for name in assignment:
            if name in classes.runtime:
                raise ExportError(
                    f"{graph.name}: contexts name {name!r}, which is left to run time; a bundle "
                    f"takes every value of it"
                )
    found = [classes.of(assignment) for assignment in given]
    return list({entry.members: entry for entry in found}.values())


def write(
    place: Workplace,
    classes: Classes,
    chosen: Sequence[ContextClass],
    weights: str,
    options: Options,
    digests: Digests,
    known: Sequence[TensorEntry] = (),
    proven: Collection[str] = (),
) -> ExportedBundle:
    """Write the programs of some classes, and put them in place.

    Args:
        place: to write to.
        classes: of the graph.
        chosen: classes to write.
        weights: `share` or `fold`.
        options: of the export.
        digests: of the arrays read so far.
        known: tensors in files of the bundle that is there; those files stay in it.
        proven: files of programs that need not be compared with their programs again.
    """
    planned = plan(classes, chosen, weights, options.progress)
    sizes = _sizes(classes, chosen, weights, planned, digests)
    pack = Pack(known, digests)
    converted = []
    for index, entry in enumerate(planned):
        options.tell("converting", index, len(planned))
        if entry.graph is not None:
            converted.append(convert(entry.graph, opset=options.opset, data=pack))
    _write_weights(place, pack, converted, options)
    # A file of weights stays as long as one of its tensors is needed; `prune` takes the others out.
    needed = {tensor.file for tensor in pack.tensors.values()}
    kept = [tensor for tensor in known if tensor.file in needed]
    if place.before is not None:
        place.keep({tensor.file for tensor in kept})
    files = [place.write(*PROGRAM, [c.model.SerializeToString()]) for c in converted]
    entries = _entries(classes, planned, converted, [file.name for file in files])
    tensors = {tensor.sha256: tensor for tensor in kept} | pack.tensors
    data = manifests.manifest_json(
        classes=classes,
        model=manifests.model_json(classes.graph, digests),
        opset=options.opset,
        weights=weights,
        sizes=sizes,
        entries=entries,
        files=place.files,
        tensors=tensors.values(),
    )
    text = manifests.as_bytes(data)
    manifest = parse_manifest(text)  # what cannot be read is not written
    reports = _verified(place, manifest, planned, converted, options, proven)
    place.commit(text)
    unused = sum(t.size for digest, t in tensors.items() if digest not in pack.tensors)
    return _exported(place.target, manifest, reports, classes.assignments, unused)


def _sizes(
    classes: Classes,
    chosen: Sequence[ContextClass],
    weights: str,
    planned: Sequence[Planned],
    digests: Digests,
) -> dict[str, int]:
    """Bytes of the weights as they are written, and with the other choice."""
    ours = [entry.graph for entry in planned if entry.graph is not None]
    size = stored_size(map(lower, ours), digests)
    if len(ours) < 2:
        return {SHARE: size, FOLD: size}
    other = FOLD if weights == SHARE else SHARE
    theirs = [e.graph for e in plan(classes, chosen, other) if e.graph is not None]
    return {weights: size, other: stored_size(map(lower, theirs), digests)}


def _write_weights(
    place: Workplace, pack: Pack, converted: Sequence[Converted], options: Options
) -> None:
    """Write the tensors that are new; then the models can say where they are."""
    if not pack.entries:
        return

    def told() -> Iterable[bytes | memoryview]:
        done = 0
        for chunk in pack.chunks():
            yield chunk
            done += len(chunk)
            options.tell("writing", done, pack.size)

    name = place.write(*WEIGHTS, told()).name
    pack.settle([entry.model for entry in converted], name)


def _entries(
    classes: Classes,
    planned: Sequence[Planned],
    converted: Sequence[Converted],
    files: Sequence[str],
) -> list[manifests.Json]:
    """The classes of the manifest."""
    graph = classes.graph
    made = iter(zip(converted, files, strict=True))
    entries = []
    for entry in planned:
        conditions = manifests.conditions_json(graph, classes.conditions(entry.found))
        common = {
            "condition": entry.found.condition,
            "conditions": conditions,
            "assignments": entry.found.count,
        }
        if entry.failure is not None:
            id, error = manifests.error_json(entry.failure)
            entries.append({"id": id, **common, "error": error})
        else:
            program, file = next(made)
            made_of = manifests.program_json(program, file)
            entries.append({"id": manifests.program_id(file), **common, "program": made_of})
    return entries


def _verified(
    place: Workplace,
    manifest: Manifest,
    planned: Sequence[Planned],
    converted: Sequence[Converted],
    options: Options,
    proven: Collection[str],
) -> list[Report | None]:
    """Check and verify every program; return the reports, in the order of the classes."""
    made = iter(converted)
    jobs = [
        Job(
            found.condition,
            place.folder / found.program.file,
            next(made),
            entry.program if options.verify and found.program.file not in proven else None,
        )
        for found, entry in zip(manifest.classes, planned, strict=True)
        if found.program is not None
    ]
    reports = iter(verify_programs(jobs, options))
    return [None if c.program is None else next(reports) for c in manifest.classes]


def _exported(
    path: Path,
    manifest: Manifest,
    reports: Sequence[Report | None],
    assignments: int,
    unused: int,
) -> ExportedBundle:
    found = [
        ExportedClass(
            entry.id,
            entry.condition,
            entry.assignments,
            entry.program.file if entry.program is not None else "",
            entry.program.nodes if entry.program is not None else 0,
            f"{entry.error.type}: {entry.error.message}" if entry.error is not None else "",
            report,
        )
        for entry, report in zip(manifest.classes, reports, strict=True)
    ]
    files = tuple(path / name for name in (NAME, *sorted(manifest.files)))
    return ExportedBundle(
        path,
        tuple(found),
        files,
        sum(file.stat().st_size for file in files),
        manifest.weights,
        manifest.sizes,
        unused,
        _title(manifest, assignments),
    )


def _title(manifest: Manifest, assignments: int) -> str:
    """The counts in words: `24 assignments -> 3 programs`.

    Args:
        manifest: of the bundle.
        assignments: that the bound arguments have in all.
    """
    covered = sum(found.assignments for found in manifest.classes)
    programs = sum(found.program is not None for found in manifest.classes)
    some = "" if covered == assignments else f"{covered} of "
    return (
        f"{some}{assignments} assignment{'s' * (assignments != 1)} -> "
        f"{programs} program{'s' * (programs != 1)}"
    )
