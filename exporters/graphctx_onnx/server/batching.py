"""Jobs wait in a bounded line, are merged where they have one key, and run on threads.

A batch is formed while it waits: a job with a key joins the open batch of that key, one without a
key is a batch of its own. Batches are taken in the order in which they were opened. The line is
guarded by one lock, held for microseconds, so that an event loop can feed it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Any


class QueueFullError(Exception):
    """As many jobs wait as may wait."""


class ClosedError(Exception):
    """The batcher takes no more jobs, or did not come to run this one."""


class Job:
    """Something to run.

    Args:
        payload: what the runner needs.
        done: called once, on a thread of the batcher, with the result or an exception; it must
            not raise. It is not called for a job that was withdrawn.
        key: jobs with equal keys may run as one; None: it runs alone.
        rows: that it adds to a batch.
    """

    __slots__ = ("batch", "done", "key", "payload", "rows")

    def __init__(
        self, payload: Any, done: Callable[[Any], None], key: Hashable = None, rows: int = 1
    ) -> None:
        self.payload = payload
        self.done = done
        self.key = key
        self.rows = rows
        self.batch: _Batch | None = None  # that it waits in


class _Batch:
    __slots__ = ("due", "jobs", "key", "rows")

    def __init__(self, key: Hashable, due: float) -> None:
        self.key = key
        self.due = due
        self.jobs: list[Job] = []
        self.rows = 0


class Batcher:
    """A line of jobs and the threads that run them.

    Args:
        run: called on a thread with the jobs of a batch; returns a result, or an exception, for
            each.
        workers: number of threads.
        queue: jobs that may wait while all threads are busy.
        rows: that a batch may have; a job with more runs alone.
        delay: seconds that a batch waits for others to join it.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Job]], Sequence[Any]],
        *,
        workers: int,
        queue: int,
        rows: int = 1,
        delay: float = 0.0,
    ) -> None:
        self._run = run
        self._most_waiting = queue
        self._most_rows = rows
        self._delay = delay
        self._line: deque[_Batch] = deque()
        self._open: dict[Hashable, _Batch] = {}
        self._waiting = 0
        self._idle = workers
        self._closed = False
        self._changed = threading.Condition(threading.Lock())
        self._threads = [
            threading.Thread(target=self._work, name=f"graphctx-run-{i}", daemon=True)
            for i in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Number of jobs in line."""
        return self._waiting

    @property
    def running(self) -> int:
        """Number of batches that run."""
        return len(self._threads) - self._idle

    def submit(self, job: Job) -> None:
        """Put a job in line, and return at once.

        Raises:
            QueueFullError: as many wait as may.
            ClosedError: the batcher is closed.
        """
        with self._changed:
            if self._closed:
                raise ClosedError("the server is shutting down")
            if self._waiting >= self._most_waiting + self._idle:
                raise QueueFullError(f"the queue of {self._most_waiting} requests is full")
            batch = None if job.key is None else self._open.get(job.key)
            if batch is None or batch.rows + job.rows > self._most_rows:
                alone = job.key is None or job.rows >= self._most_rows
                due = 0.0 if alone or not self._delay else time.monotonic() + self._delay
                batch = _Batch(job.key, due)
                self._line.append(batch)
                if not alone:
                    self._open[job.key] = batch
            batch.jobs.append(job)
            batch.rows += job.rows
            job.batch = batch
            if batch.rows >= self._most_rows:
                batch.due = 0.0
            self._waiting += 1
            self._changed.notify()

    def withdraw(self, job: Job) -> bool:
        """Take a job out of the line; False if it runs already, or has run."""
        with self._changed:
            batch = job.batch
            if batch is None:
                return False
            batch.jobs.remove(job)
            batch.rows -= job.rows
            if not batch.jobs:
                self._line.remove(batch)
                self._shut(batch)
            job.batch = None
            self._waiting -= 1
            return True

    def hasten(self) -> None:
        """Let no batch wait for others any more, neither those in line nor later ones."""
        with self._changed:
            self._delay = 0.0
            self._changed.notify_all()

    def close(self, timeout: float | None = None) -> None:
        """Take no more jobs, run those in line, and wait for them.

        Args:
            timeout: seconds to wait; what is still in line then gets a `ClosedError`.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        end = None if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            thread.join(None if end is None else max(0.0, end - time.monotonic()))
        with self._changed:
            left = [job for batch in self._line for job in batch.jobs]
            self._line.clear()
            self._open.clear()
            self._waiting = 0
        for job in left:
            job.batch = None
            job.done(ClosedError("the server was shut down before it came to this request"))

    # -- the threads --------------------------------------------------------------------------

    def _work(self) -> None:
        while (jobs := self._take()) is not None:
            try:
                results = self._run(jobs)
            except BaseException as error:
                results = [error] * len(jobs)
            with self._changed:
                self._idle += 1
            for job, result in zip(jobs, results, strict=True):
                job.done(result)
            del jobs, results  # a thread that waits keeps no arrays alive

    def _take(self) -> list[Job] | None:
        """The jobs of the first batch that is due; waits for it. None once all is done."""
        with self._changed:
            while True:
                batch, wait = self._first_due()
                if batch is not None:
                    break
                if self._closed:
                    return None
                self._changed.wait(wait)
            self._line.remove(batch)
            self._shut(batch)
            for job in batch.jobs:
                job.batch = None
            self._waiting -= len(batch.jobs)
            self._idle -= 1
            if self._line:
                self._changed.notify()  # another thread watches for what is due next
            return batch.jobs

    def _first_due(self) -> tuple[_Batch | None, float | None]:
        """The first batch that is due, else the seconds until one will be."""
        if not self._line:
            return None, None
        if self._closed or not self._delay:
            return self._line[0], None
        now = time.monotonic()
        for batch in self._line:
            if batch.due <= now:
                return batch, None
        return None, min(batch.due for batch in self._line) - now

    def _shut(self, batch: _Batch) -> None:
        """Let no other job join a batch."""
        if self._open.get(batch.key) is batch:
            del self._open[batch.key]
