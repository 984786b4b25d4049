"""The line of jobs: bounded, in order, merged by key, never lost."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from graphctx_onnx.server.batching import Batcher, ClosedError, Job, QueueFullError


class Line:
    """A batcher whose runs wait for `go`, with a record of its batches and results."""

    def __init__(self, **options: Any) -> None:
        self.go = threading.Event()
        self.batches: list[list[Any]] = []
        self.results: dict[Any, Any] = {}
        self.batcher = Batcher(self._run, **{"workers": 1, "queue": 100, **options})

    def _run(self, jobs: Sequence[Job]) -> list[Any]:
        self.batches.append([job.payload for job in jobs])
        assert self.go.wait(20)
        return [f"did {job.payload}" for job in jobs]

    def submit(self, payload: Any, key: Any = None, rows: int = 1) -> Job:
        job = Job(payload, lambda result: self.results.__setitem__(payload, result), key, rows)
        self.batcher.submit(job)
        return job

    def busy(self) -> None:
        """Keep the only thread busy."""
        self.submit("first")
        until(lambda: bool(self.batches))

    def end(self) -> None:
        self.go.set()
        self.batcher.close()


def until(condition: Any) -> None:
    """Wait for something that other threads do."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_jobs_without_a_key_run_alone_in_order() -> None:
    line = Line()
    line.busy()
    for name in "abc":
        line.submit(name)
    assert (line.batcher.waiting, line.batcher.running) == (3, 1)
    line.end()
    assert line.batches == [["first"], ["a"], ["b"], ["c"]]
    assert line.results == {name: f"did {name}" for name in ("first", "a", "b", "c")}
    assert (line.batcher.waiting, line.batcher.running) == (0, 0)


def test_equal_keys_are_merged_up_to_the_number_of_rows() -> None:
    line = Line(rows=4)
    line.busy()
    for name, key, rows in [
        ("a1", "a", 1), ("b1", "b", 2), ("a2", "a", 2), ("none", None, 1), ("b2", "b", 2),
        ("a3", "a", 2), ("b3", "b", 1), ("large", "a", 9), ("a4", "a", 1),
    ]:  # fmt: skip
        line.submit(name, key, rows)
    line.end()
    # a3 does not fit with a1 and a2; what has four rows is closed.
    assert line.batches == [
        ["first"], ["a1", "a2"], ["b1", "b2"], ["none"], ["a3", "a4"], ["b3"], ["large"],
    ]  # fmt: skip


def test_an_idle_thread_starts_at_once() -> None:
    line = Line(rows=4)
    line.submit("a", "key")
    until(lambda: line.batches == [["a"]])
    line.end()


def test_a_batch_with_room_waits_for_others_as_long_as_asked() -> None:
    line = Line(rows=3, delay=0.2)
    line.go.set()
    start = time.monotonic()
    line.submit("a", "key")
    line.submit("b", "key")
    line.submit("alone")
    until(lambda: "b" in line.results)
    assert time.monotonic() - start >= 0.2
    line.end()
    assert line.batches == [["alone"], ["a", "b"]]


def test_what_is_alone_or_full_waits_for_nobody() -> None:
    line = Line(rows=3, delay=1000.0)
    line.go.set()
    line.submit("a", "key", 2)
    line.submit("alone")
    until(lambda: "alone" in line.results)
    line.submit("b", "key")
    until(lambda: "b" in line.results)
    line.submit("large", "key", 3)
    until(lambda: "large" in line.results)
    line.end()
    assert line.batches == [["alone"], ["a", "b"], ["large"]]


def test_two_threads_watch_what_is_due() -> None:
    """The thread that waits for a batch to be due may be taken by another one meanwhile."""
    line = Line(workers=2, rows=4, delay=0.05)
    line.submit("slow", "key")  # one thread waits until it is due
    line.submit("long")  # and may well be the one that takes this
    until(lambda: ["long"] in line.batches)
    until(lambda: ["slow"] in line.batches)
    line.end()


def test_the_line_is_bounded() -> None:
    line = Line(queue=2)
    line.busy()
    line.submit("a")
    line.submit("b")
    with pytest.raises(QueueFullError, match="the queue of 2 requests is full"):
        line.submit("c")
    line.end()
    assert "c" not in line.results


def test_without_a_line_idle_threads_still_take_jobs() -> None:
    line = Line(queue=0, workers=2)
    line.submit("a")
    line.submit("b")
    with pytest.raises(QueueFullError):
        line.submit("c")
    line.end()
    assert sorted(line.results) == ["a", "b"]


def test_a_job_can_be_withdrawn_until_it_runs() -> None:
    line = Line(rows=4)
    line.busy()
    jobs = {name: line.submit(name, "key") for name in "abc"}
    alone = line.submit("alone")
    assert line.batcher.withdraw(jobs["b"])
    assert not line.batcher.withdraw(jobs["b"])
    assert line.batcher.withdraw(alone)
    assert line.batcher.waiting == 2
    line.end()
    assert line.batches == [["first"], ["a", "c"]]
    assert not line.batcher.withdraw(jobs["a"])


def test_the_last_job_of_a_batch_takes_it_along() -> None:
    line = Line(rows=4)
    line.busy()
    assert line.batcher.withdraw(line.submit("a", "key"))
    line.submit("b", "key")
    line.end()
    assert line.batches == [["first"], ["b"]]


def test_closing_runs_what_waits() -> None:
    line = Line(delay=10.0, rows=4)
    line.submit("a", "key")
    line.go.set()
    start = time.monotonic()
    line.batcher.close()
    assert time.monotonic() - start < 5
    assert line.results == {"a": "did a"}
    with pytest.raises(ClosedError, match="shutting down"):
        line.submit("b")


def test_a_batch_in_line_can_be_hastened() -> None:
    line = Line(delay=10.0, rows=4)
    line.go.set()
    line.submit("a", "key")
    line.batcher.hasten()
    until(lambda: line.results == {"a": "did a"})
    line.submit("b", "key")
    until(lambda: "b" in line.results)
    line.end()


def test_closing_in_a_hurry_tells_those_that_wait() -> None:
    line = Line()
    line.busy()
    line.submit("a")
    line.batcher.close(timeout=0.05)
    assert isinstance(line.results["a"], ClosedError)
    assert "first" not in line.results  # still runs
    line.end()
    assert line.results["first"] == "did first"


def test_an_error_goes_to_every_job_of_the_batch_and_the_thread_lives() -> None:
    def run(jobs: Sequence[Job]) -> list[Any]:
        if jobs[0].payload == "bad":
            raise ValueError("bad")
        return [job.payload for job in jobs]

    batcher = Batcher(run, workers=1, queue=10)
    results: list[Any] = []
    batcher.submit(Job("bad", results.append))
    batcher.submit(Job("good", results.append))
    batcher.close()
    assert isinstance(results[0], ValueError)
    assert results[1] == "good"


def test_many_threads_lose_and_mix_nothing() -> None:
    def run(jobs: Sequence[Job]) -> list[Any]:
        assert len({job.key for job in jobs}) == 1
        assert len(jobs) == 1 or (jobs[0].key is not None and sum(j.rows for j in jobs) <= 8)
        return [job.payload * 2 for job in jobs]

    batcher = Batcher(run, workers=3, queue=64, rows=8, delay=0.0005)
    answered: list[tuple[int, Any]] = []
    counts = {"refused": 0, "withdrawn": 0, "sent": 0}

    def client(number: int) -> None:
        random_ = random.Random(number)
        for i in range(300):
            payload = number * 1000 + i
            job = Job(
                payload, lambda result, payload=payload: answered.append((payload, result)),
                random_.choice([None, "a", "b"]), random_.choice([1, 2, 5]),
            )  # fmt: skip
            try:
                batcher.submit(job)
            except QueueFullError:
                counts["refused"] += 1
                time.sleep(0.001)
                continue
            counts["sent"] += 1
            if random_.random() < 0.2 and batcher.withdraw(job):
                counts["withdrawn"] += 1

    threads = [threading.Thread(target=client, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    batcher.close()
    assert all(result == 2 * payload for payload, result in answered)
    assert len(answered) == len(dict(answered)) == counts["sent"] - counts["withdrawn"]
    assert batcher.waiting == batcher.running == 0
