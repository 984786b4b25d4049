"""Checks and verifies the programs of a bundle, several at a time."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from graphctx.errors import ExportError
from graphctx.program import Program
from graphctx_onnx.bundle.options import Options
from graphctx_onnx.check import check
from graphctx_onnx.convert import Converted
from graphctx_onnx.report import Report
from graphctx_onnx.verification import Progress, Verification


@dataclass(frozen=True)
class Job:
    """A program to check.

    Attributes:
        condition: of its class, for messages.
        path: of its file.
        converted: the conversion that wrote it.
        program: that the file is compared with; None: its structure is checked alone.
    """

    condition: str
    path: Path
    converted: Converted
    program: Program | None


@dataclass
class _Told:
    """The progress of several verifications as one."""

    progress: Progress | None
    programs: int
    steps: dict[int, tuple[int, int]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, index: int) -> Progress:
        """What one of them tells."""

        def tell(stage: str, done: int, steps: int) -> None:
            if self.progress is None:
                return
            with self.lock:
                self.steps[index] = (done, steps)
                known = sum(steps for _, steps in self.steps.values())
                # Those that have not begun are taken to be like the others.
                total = known * self.programs // len(self.steps)
                self.progress(
                    f"verifying {self.programs} programs",
                    sum(done for done, _ in self.steps.values()),
                    total,
                )

        return tell


def verify_programs(jobs: Sequence[Job], options: Options) -> list[Report | None]:
    """Check every file, and compare it with its program; see `graphctx_onnx.verify`.

    Threads are enough: onnxruntime and NumPy's products leave Python alone while they compute.

    Raises:
        ExportError, VerificationError: of the first program that fails; names its condition.
    """
    told = _Told(options.progress, len(jobs))

    def run(index: int) -> Report | None:
        job = jobs[index]
        try:
            check(job.path, job.converted)
            if job.program is None:
                return None
            verification = Verification(
                job.path, job.converted, job.program, options.limits, told.of(index)
            )
            return verification.run(options.inputs, options.sizes)
        except ExportError as error:
            raise type(error)(f"the program for {job.condition}: {error}") from error

    count = min(options.workers or os.cpu_count() or 1, len(jobs)) or 1
    with ThreadPoolExecutor(count, thread_name_prefix="verify") as pool:
        futures = [pool.submit(run, index) for index in range(len(jobs))]
        try:
            return [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            raise
