"""Who works: threads of this process, or the workers of a cluster; both through Dask."""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any, Protocol

from graphctx_onnx.runtime import Bundle, Program
from graphctx_onnx.scoring import identity
from graphctx_onnx.scoring.errors import ClusterError, ScoringError
from graphctx_onnx.scoring.job import Job, Loading, run_remotely
from graphctx_onnx.scoring.rows import Batch, Unit

AHEAD = 2
"""Tasks that each thread of a cluster is given at a time: one to run, one to go on with."""

TIMEOUT = 10
"""Seconds that a scheduler has to answer."""

Store = Callable[[Unit, Iterable[Batch]], None]
Done = Callable[[Unit], None]


class Crew(Protocol):
    """Those who work.

    Attributes:
        workers: number of threads.
    """

    workers: int

    def do(
        self,
        job: Job,
        bundle: Bundle,
        program: Program,
        units: Sequence[Unit],
        store: Store,
        done: Done,
    ) -> None:
        """Score units, in any order, and store what they give.

        Args:
            job: what to do with a unit.
            bundle: that has the program.
            program: loaded here.
            units: what to score.
            store: writes the outputs of a unit; called by several threads at a time.
            done: told each unit that is stored, in the thread of the caller.

        Whatever ends it, nobody is at work any more when this returns.
        """


@contextlib.contextmanager
def crew_of(scheduler: str | None, workers: int | None) -> Iterator[Crew]:
    """Threads of this process; those of a cluster where its scheduler is given."""
    if scheduler is None:
        yield Threads(workers or _processors())
        return
    if workers is not None:
        raise ScoringError("workers are threads of this process: leave them out with --scheduler")
    cluster = Cluster(scheduler)
    try:
        yield cluster
    finally:
        cluster.close()


def _processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Threads:
    """Threads of this process; they share one session.

    Args:
        workers: how many.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def do(
        self,
        job: Job,
        bundle: Bundle,
        program: Program,
        units: Sequence[Unit],
        store: Store,
        done: Done,
    ) -> None:
        """See `Crew`."""
        import dask
        from dask.callbacks import Callback

        def work(unit: Unit) -> None:
            store(unit, job.run(program, unit))

        by_key = {f"score-{unit[0]}": unit for unit in units}
        tasks = [
            dask.delayed(work, pure=False)(unit, dask_key_name=key) for key, unit in by_key.items()
        ]

        def finished(key: Any, result: Any, graph: Any, state: Any, worker: Any) -> None:
            if key in by_key:
                done(by_key[key])

        pool = ThreadPoolExecutor(self.workers)
        try:
            with Callback(posttask=finished):
                dask.compute(*tasks, scheduler="threads", pool=pool, optimize_graph=False)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class Cluster:
    """The workers of a cluster of dask.distributed. Outputs come back here and are stored here.

    Args:
        address: of its scheduler, `tcp://host:8786`.

    Raises:
        ScoringError: dask.distributed is not installed.
        ClusterError: no scheduler answers, or it has no workers.
    """

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client
        except ImportError as error:
            raise ScoringError(
                f"--scheduler {address} needs dask.distributed, which is not installed: "
                f"pip install 'graphctx[cluster]'"
            ) from error
        self.address = address
        try:
            self._client = Client(address, timeout=TIMEOUT, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise ClusterError(f"no Dask scheduler answers at {address}: {error}") from error
        self.workers = sum(self._client.nthreads().values())
        if not self.workers:
            self.close()
            raise ClusterError(f"the Dask scheduler at {address} has no workers; start some")

    def do(
        self,
        job: Job,
        bundle: Bundle,
        program: Program,
        units: Sequence[Unit],
        store: Store,
        done: Done,
    ) -> None:
        """See `Crew`. So few units are on their way at a time that their outputs fit here.

        Raises:
            ClusterError: the cluster went away, or workers died of a unit.
        """
        from distributed import KilledWorker, as_completed
        from distributed.client import FutureCancelledError

        loading = Loading(pickle.dumps(bundle), identity.of_bundle(bundle.manifest))
        waiting = iter(units)
        running: dict[Any, Unit] = {}
        completed = as_completed(loop=self._client.loop)

        def send() -> None:
            unit = next(waiting, None)
            if unit is not None:
                future = self._client.submit(run_remotely, job, loading, unit, pure=False)
                running[future] = unit
                completed.add(future)

        try:
            for _ in range(AHEAD * self.workers):
                send()
            for future in completed:
                unit = running.pop(future)
                try:
                    found = future.result()
                except (KilledWorker, FutureCancelledError, CancelledError) as error:
                    raise ClusterError(
                        f"the cluster at {self.address} lost rows {unit[0]} to {unit[1]}: {error}"
                    ) from error
                send()
                store(unit, found)
                done(unit)
        finally:
            for future in running:
                future.cancel()

    def close(self) -> None:
        """Leave the cluster."""
        self._client.close()
