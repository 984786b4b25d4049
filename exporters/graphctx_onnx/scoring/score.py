"""`score`: plan, run what is not done yet, put the output in place."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphctx_onnx.runtime import Bundle, Program
from graphctx_onnx.runtime.errors import listing, suggest
from graphctx_onnx.runtime.program import check_seed, fresh_seed
from graphctx_onnx.scoring import identity
from graphctx_onnx.scoring.crew import Crew, crew_of
from graphctx_onnx.scoring.errors import ScoringError
from graphctx_onnx.scoring.job import Job, Task
from graphctx_onnx.scoring.rows import Field, Sink, Source, Unit, fields_of
from graphctx_onnx.scoring.seeds import segment_rows
from graphctx_onnx.scoring.workplace import Workplace, check_target, workplace

StrPath = str | os.PathLike[str]
Progress = Callable[[str, int, int], None]

FORMATS = {".parquet": "parquet", ".npy": "numpy", ".npz": "numpy", ".zarr": "zarr"}
BLOCK_BYTES = 1 << 18
"""Inputs and outputs of one run: with what is computed in between they stay in a processor's cache.

Measured for 16 columns, 2 x 128 units: runs of 1 MiB take 1.5 times the processor time of these.
"""

UNIT_BYTES = 1 << 25
"""Inputs and outputs of a task: much more than what it costs to hand it out."""

MEMORY_PARTS = 4
"""Of the memory given to a thread, its inputs and outputs take one part, the rest is the run's."""

PROBED = 8
"""Rows that are run before the rest."""


@dataclass(frozen=True)
class Scored:
    """What `score` did.

    Attributes:
        path: of the output.
        rows: of the input, all scored.
        resumed: of these, rows that an earlier run had scored.
        seconds: that this run took.
        seed: of the random numbers; None where the program draws none.
        segment: rows that are drawn for together; see `graphctx_onnx.scoring.seeds`.
        block: rows of a run of the program.
        workers: threads, of this process or of the cluster.
        condition: of the class of contexts.
        outputs: names of those that were stored.
    """

    path: Path
    rows: int
    resumed: int
    seconds: float
    seed: int | None
    segment: int | None
    block: int
    workers: int
    condition: str
    outputs: tuple[str, ...]


def score(
    bundle: Bundle | StrPath,
    source: StrPath,
    target: StrPath,
    /,
    *,
    context: Mapping[str, Any] | None = None,
    seed: int | None = None,
    inputs: Mapping[str, str | Sequence[str]] | None = None,
    outputs: Sequence[str] | None = None,
    keep: Sequence[str] = (),
    cast: bool = False,
    block_rows: int | None = None,
    segment: int | None = None,
    memory: int | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    overwrite: bool = False,
    restart: bool = False,
    progress: Progress | None = None,
    **values: Any,
) -> Scored:
    """Run the program for a context on all rows of a file, and write its outputs to another.

    Rows are counted along the first axis of every input and output, and must not depend on each
    other. The output is there when it is complete, or not at all. A run that was interrupted goes
    on when it is started again with the same bundle, context, seed and input.

    Args:
        bundle: a loaded `Bundle`, or the path of one, which is loaded with one thread a run.
        source: `.parquet` (a file, or a folder of such files), `.npy`, `.npz` or `.zarr`.
        target: of the same format; for NumPy `.npy` or `.npz`.
        context: argument -> value; for names that clash with parameters.
        seed: of the random operators; without one a fresh one is drawn.
        inputs: input -> its name in the source where it is another one; for Parquet, also a list
            of columns, or a pattern such as `pixel_*`, for an input of two axes.
        outputs: names of those to store; all by default.
        keep: names or patterns of Parquet columns to carry along.
        cast: convert dtypes of the same kind, such as float64 to float32.
        block_rows: rows of a run; by default as many as fit into a processor's cache.
        segment: for random programs: rows that have one seed; see `graphctx_onnx.scoring.seeds`.
        memory: bytes that the blocks of all threads may take; by default a quarter of what is free.
        workers: threads of this process; by default one for each processor.
        scheduler: address of a scheduler of dask.distributed: its workers do the work, and find
            bundle and source under the same paths.
        overwrite: replace an output that is there.
        restart: start anew, whatever an interrupted run has left.
        progress: called with a stage, the rows done and the rows in all.
        values: context values by keyword.

    Raises:
        ScoringError: an input, an output or an option is refused.
        ContextError, ModelError, InvalidBundleError: see `Bundle`.
        ClusterError: the cluster cannot be reached, or lost the work.
    """
    started = time.perf_counter()
    path, place = Path(source), Path(target)
    if scheduler is not None:
        path = Path(os.path.abspath(path))  # workers are in folders of their own
    _check_options(block_rows=block_rows, segment=segment, memory=memory, workers=workers)
    kind = _kind(path, place, keep)
    check_target(place, path, overwrite=overwrite)
    if not isinstance(bundle, Bundle):
        bundle = Bundle.load(bundle, threads=1)
    id, feeds = bundle.resolve({**(context or {}), **values})
    program = bundle.program(id)
    rows = _source(kind, path, fields_of(program.signature, program.condition), inputs, keep, cast)
    if not rows.rows:
        raise ScoringError(f"{path}: has no rows")
    random = program.signature.seed is not None
    if not random:
        segment = None
    elif segment is None:
        segment = segment_rows(sum(field.row_bytes for field in rows.fields))
    stored = _outputs(program, outputs)
    run: dict[str, Any] = {
        "bundle": identity.of_bundle(bundle.manifest),
        "context": identity.digest([id, {name: str(value) for name, value in feeds.items()}]),
        "seed": check_seed(seed) if random and seed is not None else None,
        "segment": segment,
        "input": identity.digest([rows.identity, rows.rows]),
        "columns": identity.digest([inputs, list(keep), list(stored), cast]),
    }
    with crew_of(scheduler, workers) as crew, workplace(place) as work:
        earlier = None if restart else work.earlier()
        if random and seed is None:
            run["seed"] = fresh_seed() if earlier is None else earlier["seed"]
        if earlier is not None:
            work.check_same(run)
        task = Task(id, feeds, run["seed"], segment or PROBED, stored)
        fields = probe(program, task, rows)
        if earlier is None:
            row_bytes = max(1, sum(field.row_bytes for field in (*rows.fields, *fields)))
            block, target_rows = _sizes(row_bytes, memory, crew.workers)
            block = segment or block_rows or block
            units = rows.units(max(block, target_rows), 4 * crew.workers)
        else:
            block, units = earlier["block"], [(start, stop) for start, stop in earlier["units"]]
        sink = _sink(kind, work.data, place, rows, fields, units)
        if earlier is None or not sink.intact(work.done):
            work.begin({**run, "block": block, "units": units})
            sink.prepare()
        job = Job(dataclasses.replace(task, block=block), rows, fields)
        resumed = sum(stop - start for start, stop in work.done)
        with work.journal():
            _do(job, bundle, work, sink, units, crew, progress or _silent)
        work.commit(sink.finish(units))
    return Scored(
        place, rows.rows, resumed, time.perf_counter() - started, run["seed"], segment, block,
        crew.workers, program.condition, stored,
    )  # fmt: skip


def _do(
    job: Job,
    bundle: Bundle,
    work: Workplace,
    sink: Sink,
    units: Sequence[Unit],
    crew: Crew,
    progress: Progress,
) -> None:
    """Score the units that are not done yet."""
    known = set(work.done)
    missing = [unit for unit in units if unit not in known]
    program = bundle.program(job.task.program)
    program.session()  # loaded once, before threads ask for it
    scored = job.source.rows - sum(stop - start for start, stop in missing)
    progress("scoring", scored, job.source.rows)

    def done(unit: Unit) -> None:
        nonlocal scored
        work.note(unit)
        scored += unit[1] - unit[0]
        progress("scoring", scored, job.source.rows)

    crew.do(job, bundle, program, missing, sink.store, done)
    progress("writing", 0, 1)


def probe(program: Program, task: Task, rows: Source) -> tuple[Field, ...]:
    """Run a few rows; returns what one row of each output is.

    Raises:
        ScoringError: an output is not by rows, or rows depend on each other.
    """
    count = min(PROBED, rows.rows)
    batch = next(rows.batches(0, count, count)).part(0, count)
    found = task.run(program, batch)
    half = count // 2
    parts = [(0, half)] if task.seed is not None else [(0, half), (half, count)]
    for start, stop in parts if half else ():
        alone = task.run(program, batch.part(start, stop))
        for name, expected in found.part(start, stop).arrays.items():
            if not _close(alone.arrays[name], expected):
                raise ScoringError(
                    f"rows of the program for {program.condition} depend on each other: the output "
                    f"{name!r} of rows {start} to {stop} is another one with rows 0 to {count} in "
                    f"one run; scores would depend on the size of a block"
                )
    return tuple(
        Field(name, "string" if array.dtype == object else array.dtype.name, array.shape[1:])
        for name, array in found.arrays.items()
    )


def _close(a: Any, b: Any) -> bool:
    """Whether floats differ by rounding only; others are not compared, which may round too."""
    if a.dtype.kind not in "fV":
        return True
    a, b = a.astype(np.float64), b.astype(np.float64)
    finite = np.abs(b[np.isfinite(b)])
    scale = float(finite.max(initial=0.0))
    return bool(np.allclose(a, b, rtol=1e-2, atol=1e-3 * scale, equal_nan=True))


# -- options ---------------------------------------------------------------------------------------


def _check_options(**numbers: int | None) -> None:
    for name, value in numbers.items():
        if value is not None and (type(value) is not int or value < 1):
            raise ScoringError(f"{name} is a number from 1 on, got {value!r}")


def _kind(source: Path, target: Path, keep: Sequence[str]) -> str:
    """The format of a run: `parquet`, `numpy` or `zarr`.

    Raises:
        ScoringError: the source is not there or of no known format, the target of another one; a
            library is not installed.
    """
    suffix = source.suffix or ".parquet" * source.is_dir()
    kind = FORMATS.get(suffix)
    if kind is None:
        raise ScoringError(f"{source}: rows are read from {listing(FORMATS)}, not {suffix!r}")
    if not source.exists():
        raise ScoringError(f"{source}: there is no such file or folder")
    if FORMATS.get(target.suffix) != kind:
        allowed = listing(suffix for suffix, theirs in FORMATS.items() if theirs == kind)
        raise ScoringError(
            f"{target}: the output of {source.name} is of the same format: its name ends in "
            f"{allowed}"
        )
    if keep and kind != "parquet":
        raise ScoringError("columns to keep are those of Parquet files: leave out --keep, keep=")
    for library in ("dask", *{"parquet": ("pyarrow",), "zarr": ("zarr",)}.get(kind, ())):
        if importlib.util.find_spec(library) is None:
            raise ScoringError(
                f"scoring {suffix} files needs {library}, which is not installed: "
                f"pip install 'graphctx[score]'"
            )
    return kind


def _source(
    kind: str,
    path: Path,
    fields: tuple[Field, ...],
    inputs: Mapping[str, str | Sequence[str]] | None,
    keep: Sequence[str],
    cast: bool,
) -> Any:
    names = [field.name for field in fields]
    for name in inputs or {}:
        if name not in names:
            raise ScoringError(
                f"the program has no input {name!r}{suggest(name, names)} "
                f"(inputs: {', '.join(f'{field.name}: {field}' for field in fields)})"
            )
    lists = {n: [v] if isinstance(v, str) else list(v) for n, v in (inputs or {}).items()}
    if kind == "parquet":
        from graphctx_onnx.scoring.parquet import ParquetSource

        return ParquetSource(path, fields, lists, keep, cast=cast)
    for name, several in lists.items():
        if len(several) != 1:
            raise ScoringError(
                f"{path}: input {name!r} is one array, got {listing(several)}; several columns "
                f"are for Parquet"
            )
    columns = {name: several[0] for name, several in lists.items()}
    if kind == "numpy":
        from graphctx_onnx.scoring.numpy_files import NumpySource

        return NumpySource(path, fields, columns, cast=cast)
    from graphctx_onnx.scoring.zarr_folders import ZarrSource

    return ZarrSource(path, fields, columns, cast=cast)


def _sink(
    kind: str, folder: Path, place: Path, rows: Any, fields: tuple[Field, ...], units: list[Unit]
) -> Sink:
    if kind == "parquet":
        from graphctx_onnx.scoring.parquet import ParquetSink

        return ParquetSink(folder, fields, rows.kept)
    if kind == "numpy":
        from graphctx_onnx.scoring.numpy_files import NumpySink

        return NumpySink(folder, place.suffix, fields, rows.rows)
    from graphctx_onnx.scoring.zarr_folders import ZarrSink

    return ZarrSink(folder, fields, units, rows.format)


def _outputs(program: Program, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """Names of the outputs to store."""
    known = [port.name for port in program.signature.outputs]
    for name in wanted or ():
        if name not in known:
            raise ScoringError(
                f"the program has no output {name!r}{suggest(name, known)} "
                f"(outputs: {listing(known)})"
            )
    return tuple(dict.fromkeys(wanted or known))


def _sizes(row_bytes: int, memory: int | None, workers: int) -> tuple[int, int]:
    """Rows of a run, and of a task, from the bytes of inputs and outputs of one row."""
    share = (memory or _free_memory() // 4) // (workers * MEMORY_PARTS)
    return max(1, min(BLOCK_BYTES, share) // row_bytes), max(1, min(UNIT_BYTES, share) // row_bytes)


def _free_memory() -> int:
    """Bytes that programs may take now; 4 GiB where the system does not say."""
    with contextlib.suppress(OSError, ValueError):
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        lines = dict(line.split(":") for line in text.splitlines())
        return int(lines["MemAvailable"].split()[0]) << 10
    return 4 << 30


def _silent(stage: str, done: int, rows: int) -> None:
    pass
