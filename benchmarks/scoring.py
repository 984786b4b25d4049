"""Batch scoring against a plain loop over `session.run` in one process, on the same files.

`GRAPHCTX_SCORING_ROWS` is the number of rows, 1,000,000 by default. The loop reads, runs and writes
in blocks, of the size that is best for it among some, and does nothing else: no check, no journal.
Both write a file that is on the disk when they return.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import seconds

COLUMNS, UNITS, CLASSES = 16, 128, 4
BLOCKS = (2048, 8192)


def run() -> list[dict[str, Any]]:
    """Rows: throughput for NumPy and Parquet files, on threads and on a cluster."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from graphctx_onnx import Bundle, score

    import graphctx as gx
    from graphctx import nn

    count = int(os.environ.get("GRAPHCTX_SCORING_ROWS", "1000000"))
    folder = Path(tempfile.mkdtemp())
    try:
        layers = [nn.Dense(UNITS, activation="tanh"), nn.Dense(UNITS, activation="tanh")]
        model = nn.Sequential([*layers, nn.Dense(CLASSES)])
        graph = gx.trace(model, gx.TensorSpec(("batch", COLUMNS), name="x"))
        path = gx.export(graph, folder / "light.bundle").path
        x = np.random.default_rng(0).standard_normal((count, COLUMNS), np.float32)
        np.save(folder / "in.npy", x)
        table = pa.table({f"x{i}": x[:, i] for i in range(COLUMNS)})
        pq.write_table(table, folder / "in.parquet", row_group_size=1 << 17)
        session = Bundle.load(path, threads=1).session()
        both = Bundle.load(path).session()

        def ours(kind: str, **options: Any) -> Callable[[], Any]:
            inputs = {"x": "x*"} if kind == "parquet" else None
            files = folder / f"in.{kind}", folder / f"out.{kind}"
            return lambda: score(path, *files, inputs=inputs, overwrite=True, **options)

        def numpy_loop(session: Any, block: int) -> None:
            rows = np.load(folder / "in.npy", mmap_mode="r")
            shape = (count, CLASSES)
            made = np.lib.format.open_memmap(folder / "peer.npy", "w+", np.float32, shape)
            for start in range(0, count, block):
                [y] = session.run(["output"], {"x": rows[start : start + block]})
                made[start : start + block] = y
            made.flush()

        def parquet_loop(session: Any, block: int) -> None:
            schema = pa.schema([pa.field("output", pa.list_(pa.float32(), CLASSES))])
            with (folder / "peer.parquet").open("wb") as file:
                with pq.ParquetWriter(file, schema, use_dictionary=False) as writer:
                    for record in pq.ParquetFile(folder / "in.parquet").iter_batches(block):
                        rows = np.stack([column.to_numpy() for column in record.columns], axis=1)
                        [y] = session.run(["output"], {"x": rows})
                        column = pa.FixedSizeListArray.from_arrays(y.ravel(), CLASSES)
                        writer.write_batch(pa.record_batch([column], schema=schema))
                os.fsync(file.fileno())

        found = []
        for kind, loop in {"npy": numpy_loop, "parquet": parquet_loop}.items():
            contenders: dict[str, Callable[[], Any]] = {"ours": ours(kind)}
            for name, chosen in {"1 thread": session, "all threads": both}.items():
                for block in BLOCKS:
                    contenders[f"{name}, {block:,} rows"] = (
                        lambda loop=loop, chosen=chosen, block=block: loop(chosen, block)
                    )
            times, processor = _turns(contenders)
            found.append(_row(f"{kind}, Dask threads", count, times))
            # What a busy machine does not change; the loop has one thread here, as each of ours.
            single = {name: time for name, time in processor.items() if "all" not in name}
            found.append(_row(f"{kind}, of processor time", count, single))
        found += _cluster(count, ours)
        return found
    finally:
        shutil.rmtree(folder)


def _turns(
    contenders: dict[str, Callable[[], Any]],
) -> tuple[dict[str, float], dict[str, float]]:
    """Median seconds of three turns, on the clock and of this process's processors."""
    clock: dict[str, list[float]] = {name: [] for name in contenders}
    processor: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(4):
        for name, function in contenders.items():
            started = time.process_time()
            taken = seconds(function)
            if turn:  # the first one warms up
                clock[name].append(taken)
                processor[name].append(time.process_time() - started)
    medians = [
        {name: statistics.median(times) for name, times in found.items()}
        for found in (clock, processor)
    ]
    return medians[0], medians[1]


def _cluster(count: int, ours: Callable[..., Callable[[], Any]]) -> list[dict[str, Any]]:
    """Two worker processes on this machine, against its threads."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as cluster:  # fmt: skip
        contenders = {
            "ours": ours("parquet", scheduler=cluster.scheduler_address),
            "Dask threads": ours("parquet"),
        }
        times, _ = _turns(contenders)
    return [_row("parquet, Dask cluster of 2 processes", count, times, target=None)]


def _row(
    what: str, count: int, times: dict[str, float], target: float | None = 1 / 0.9
) -> dict[str, Any]:
    best = min((name for name in times if name != "ours"), key=times.__getitem__)
    return {
        "what": f"scoring {count:,} rows, {what}",
        "ours": f"{count / times['ours'] / 1e6:.2f} M rows/s",
        "peer": f"{best}: {count / times[best] / 1e6:.2f} M rows/s",
        "ratio": times["ours"] / times[best],
        "target": target,
    }
