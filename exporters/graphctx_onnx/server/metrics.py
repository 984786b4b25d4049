"""Prometheus metrics by context class.

Numbers are kept in plain Python and given to prometheus_client when it asks: its own counters take
ten times as long, for each request. A registry of its own, as two servers may be in one process.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_LATEST
NO_CLASS = "none"
"""Label of requests that were refused before their class was known."""

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class _Histograms:
    """A histogram for each class."""

    def __init__(self, name: str, text: str, bounds: tuple[float, ...]) -> None:
        self.name = name
        self.text = text
        self.bounds = bounds
        self.counts: dict[str, list[int]] = {}
        self.sums: dict[str, float] = {}

    def observe(self, label: str, value: float) -> None:
        counts = self.counts.get(label)
        if counts is None:
            counts = self.counts[label] = [0] * (len(self.bounds) + 1)
            self.sums[label] = 0.0
        counts[bisect_left(self.bounds, value)] += 1
        self.sums[label] += value

    def family(self, model: str) -> HistogramMetricFamily:
        family = HistogramMetricFamily(self.name, self.text, labels=("model", "class"))
        for label, counts in self.counts.items():
            buckets, total = [], 0
            for bound, count in zip((*map(float, self.bounds), "+Inf"), counts, strict=True):
                total += count
                buckets.append((str(bound), total))
            family.add_metric((model, label), buckets, self.sums[label])
        return family


class Metrics(Collector):
    """What is counted and measured, by class of the context. Thread-safe.

    Args:
        model: its name, a label of all.
        conditions: class -> which contexts it stands for.
        waiting: the number of requests in line.
        running: the number of batches that run.
    """

    def __init__(
        self,
        model: str,
        conditions: Mapping[str, str],
        waiting: Callable[[], int],
        running: Callable[[], int],
    ) -> None:
        self._model = model
        self._conditions = conditions
        self._waiting = waiting
        self._running = running
        self._lock = threading.Lock()
        self._requests: dict[tuple[str, str, str], int] = {}
        self._seconds = _Histograms(
            "graphctx_request_seconds", "From the first byte read to the answer.", _SECONDS
        )
        self._run_seconds = _Histograms(
            "graphctx_run_seconds", "Of a batch in onnxruntime.", _SECONDS
        )
        self._rows = _Histograms("graphctx_batch_rows", "Rows of a batch.", _COUNTS)
        self._merged = _Histograms("graphctx_batch_requests", "Requests of a batch.", _COUNTS)
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def finished(self, label: str, transport: str, status: str, seconds: float) -> None:
        """Count an answer: `status` is `ok`, or why it was refused."""
        key = (label, transport, status)
        with self._lock:
            self._requests[key] = self._requests.get(key, 0) + 1
            self._seconds.observe(label, seconds)

    def ran(self, label: str, requests: int, rows: int, seconds: float) -> None:
        """Measure a batch."""
        with self._lock:
            self._run_seconds.observe(label, seconds)
            self._rows.observe(label, rows)
            self._merged.observe(label, requests)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        """See `prometheus_client.registry.Collector`."""
        model = self._model
        requests = CounterMetricFamily(
            "graphctx_requests", "Answers, by status: ok, or why the request was refused.",
            labels=("model", "class", "transport", "status"),
        )  # fmt: skip
        with self._lock:
            for key, count in self._requests.items():
                requests.add_metric((model, *key), count)
            families = [
                found.family(model)
                for found in (self._seconds, self._run_seconds, self._rows, self._merged)
            ]
        yield requests
        yield from families
        waiting = GaugeMetricFamily(
            "graphctx_queue_requests", "Requests that wait for a thread.", labels=("model",)
        )
        waiting.add_metric((model,), self._waiting())
        yield waiting
        running = GaugeMetricFamily(
            "graphctx_running_batches", "Batches that run.", labels=("model",)
        )
        running.add_metric((model,), self._running())
        yield running
        classes = GaugeMetricFamily(
            "graphctx_class_info", "1; says which contexts a class stands for.",
            labels=("model", "class", "condition"),
        )  # fmt: skip
        for label, condition in self._conditions.items():
            classes.add_metric((model, label, condition), 1)
        yield classes
