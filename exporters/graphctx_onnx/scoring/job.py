"""What a worker does: it reads the rows of a task, runs the program on them, block by block."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphctx_onnx.runtime import Bundle, InvalidBundleError, Program
from graphctx_onnx.scoring import identity
from graphctx_onnx.scoring.errors import ScoringError
from graphctx_onnx.scoring.rows import Batch, Field, Source, Unit
from graphctx_onnx.scoring.seeds import pieces, segment_seed

READ_BYTES = 1 << 20
"""Inputs that are read at a time, for several runs: reading has costs of its own."""


@dataclass(frozen=True)
class Task:
    """What to run on rows.

    Attributes:
        program: id of the class.
        feeds: of the context arguments that are left to run time.
        seed: None for a program without random numbers.
        block: rows of a run; those of a segment, where there is a seed.
        outputs: names of those that are stored.
    """

    program: str
    feeds: Mapping[str, Any]
    seed: int | None
    block: int
    outputs: tuple[str, ...]

    def run(self, program: Program, batch: Batch) -> Batch:
        """Run the program on rows of one block."""
        inputs, before, seed = batch.arrays, 0, self.seed
        if seed is not None:
            segment, before = divmod(batch.start, self.block)
            seed = segment_seed(seed, segment)
            if before:  # the task starts inside of a segment
                inputs = {
                    name: np.concatenate([np.repeat(array[:1], before, axis=0), array])
                    for name, array in inputs.items()
                }
        found = program.run(inputs, self.feeds, seed)
        arrays = {name: found[name] for name in self.outputs}
        rows = before + batch.rows
        for name, array in arrays.items():
            if not array.ndim or len(array) != rows:
                raise ScoringError(
                    f"output {name!r} is not one for each row: {array.dtype}{list(array.shape)} "
                    f"for {rows} rows; name the outputs to store: --output, outputs=[...]"
                )
        return Batch(batch.start, {n: a[before:] for n, a in arrays.items()}, batch.kept)


@dataclass(frozen=True)
class Job:
    """A task, and the rows that it is for. Pickles.

    Attributes:
        task: what to run.
        source: of the rows.
        fields: of the outputs.
    """

    task: Task
    source: Source
    fields: tuple[Field, ...]

    def run(self, program: Program, unit: Unit) -> Iterator[Batch]:
        """The outputs of the rows of a unit, some at a time."""
        size, aligned = self.task.block, self.task.seed is not None
        row_bytes = max(1, sum(field.row_bytes for field in self.source.fields))
        for batch in self.source.batches(*unit, max(size, READ_BYTES // row_bytes)):
            made = []
            stop = batch.start + batch.rows
            for piece in pieces(batch.start, stop, size, aligned=aligned):
                found = self.task.run(program, batch.part(*piece))
                self._check(found)
                made.append(found.arrays)
            arrays = {name: np.concatenate([part[name] for part in made]) for name in made[0]}
            yield Batch(batch.start, arrays, batch.kept)

    def _check(self, found: Batch) -> None:
        for field in self.fields:
            array = found.arrays[field.name]
            if array.shape[1:] != field.shape:
                raise ScoringError(
                    f"output {field.name!r}: {list(array.shape[1:])} for a row from row "
                    f"{found.start} on, {list(field.shape)} for the first rows; all rows need one "
                    f"shape"
                )


@dataclass(frozen=True)
class Loading:
    """Which bundle a worker loads, and how. Pickles.

    Attributes:
        bundle: pickled as its path and options; see `Bundle`.
        digest: of the bundle.
    """

    bundle: bytes
    digest: str


_LOADED: dict[Loading, Bundle] = {}
_LOADING = threading.Lock()


def loaded(loading: Loading) -> Bundle:
    """The bundle of this process: loaded once, so that its threads share one session.

    Raises:
        InvalidBundleError: here it is another one than the client has.
    """
    import pickle

    with _LOADING:
        found = _LOADED.get(loading)
        if found is None:
            found = pickle.loads(loading.bundle)
            if identity.of_bundle(found.manifest) != loading.digest:
                raise InvalidBundleError(
                    f"{found.path}: on this worker it is another bundle than where the run was "
                    f"started; put it where all workers find it under one path"
                )
            _LOADED.clear()  # workers live long: one bundle at a time
            _LOADED[loading] = found
    return found


def run_remotely(job: Job, loading: Loading, unit: Unit) -> list[Batch]:
    """What a worker of a cluster is sent: returns the outputs of a unit."""
    program = loaded(loading).program(job.task.program)
    return list(job.run(program, unit))
