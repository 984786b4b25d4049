"""Bundles: size, memory of sessions that share weights, load time, latency, cost of dispatch.

Four variants of 128 MiB of weights. Memory is the proportional set size of a process of its own
that runs every variant once, so pages that its sessions share count once.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.timing import side_by_side

WIDTH = 4096
MODES = ("relu", "tanh", "sigmoid", "elu")
BATCH = 8
MEBIBYTE = 1 << 20


def run() -> list[dict[str, Any]]:
    """Rows: size, memory, load, latency, overhead."""
    folder = Path(tempfile.mkdtemp())
    try:
        return [*_size(folder), *_sharing(folder), _dispatch(folder)]
    finally:
        shutil.rmtree(folder)


def _row(what: str, ours: str, peer: str, ratio: float, target: float | None) -> dict[str, Any]:
    return {"what": what, "ours": ours, "peer": peer, "ratio": ratio, "target": target}


def _size(folder: Path) -> list[dict[str, Any]]:
    """A bundle of all variants against the file of one; verified with one thread, with two."""
    import graphctx as gx
    from graphctx import Context, Layer, TensorSpec, ops

    class Choice(Layer):
        def __init__(self) -> None:
            generator = np.random.default_rng(0)
            shape = (WIDTH, WIDTH)
            self.inner = gx.Variable(generator.standard_normal(shape, np.float32) / 64)
            self.outer = gx.Variable(generator.standard_normal(shape, np.float32) / 64)

        def call(
            self, x: Any, *, mode: Context[Literal["relu", "tanh", "sigmoid", "elu"]] = "relu"
        ) -> Any:
            return ops.matmul(getattr(ops, mode)(ops.matmul(x, self.inner)), self.outer)

    graph = gx.trace(Choice(), TensorSpec(("batch", WIDTH), name="x"))
    one = gx.export(graph, folder / "one.onnx", verify=False).size
    seconds = {}
    for workers in (1, 2):
        start = time.perf_counter()
        made = gx.export(graph, folder / "m.bundle", workers=workers)
        seconds[workers] = time.perf_counter() - start
    return [
        _row(
            "size of a bundle of 4 variants, 128 MiB",
            f"{made.size / MEBIBYTE:.2f} MiB", f"one program {one / MEBIBYTE:.2f} MiB",
            made.size / one, 1.02,
        ),
        _row(
            "its export, verified with 2 threads",
            f"{seconds[2]:.1f} s", f"with 1 thread {seconds[1]:.1f} s",
            seconds[2] / seconds[1], None,
        ),
    ]  # fmt: skip


def _sharing(folder: Path) -> list[dict[str, Any]]:
    """Each way to share weights, with one variant and with all."""
    found = {
        (sharing, count): _measured(folder, sharing, count)
        for sharing in ("shared", "prepacked", "private")
        for count in (1, len(MODES))
    }
    again = _measured(folder, "prepacked", len(MODES))
    rows = []
    for sharing in ("shared", "prepacked", "private"):
        one, four = found[sharing, 1], found[sharing, len(MODES)]
        added = four["memory"] - one["memory"]
        rows.append(
            _row(
                f"{sharing}: memory that 3 more variants add to one",
                f"{added:.1f} MiB (one: {one['memory']:.0f})", "limit 16 MiB", added / 16,
                None if sharing == "private" else 1.0,
            )
        )  # fmt: skip
    private = found["private", len(MODES)]
    for sharing in ("shared", "prepacked"):
        four = found[sharing, len(MODES)]
        times = {"": four} if sharing == "shared" else {", cache empty": four, ", cached": again}
        for when, measured in times.items():
            rows.append(
                _row(
                    f"{sharing}: load and first runs of 4 variants{when}",
                    f"{measured['first']:.2f} s", f"private {private['first']:.2f} s",
                    measured["first"] / private["first"], None,
                )
            )  # fmt: skip
        rows += [
            _row(
                f"{sharing}: a run of {batch} rows, one thread",
                f"{four[batch] * 1e3:.1f} ms", f"private {private[batch] * 1e3:.1f} ms",
                four[batch] / private[batch], None,
            )
            for batch in ("1", "8", "64")
        ]  # fmt: skip
    full, sizes = (_measured(folder, "shared", 1, verify=v) for v in ("full", "manifest"))
    rows.append(
        _row(
            "Bundle.load with verify='full'",
            f"{full['load'] * 1e3:.0f} ms", f"'manifest' {sizes['load'] * 1e3:.1f} ms",
            full["load"] / sizes["load"], None,
        )
    )  # fmt: skip
    return rows


def _measured(folder: Path, sharing: str, count: int, verify: str = "manifest") -> dict[str, Any]:
    """What a process of its own measures."""
    command = [sys.executable, "-m", "benchmarks.bundles", folder, sharing, str(count), verify]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def _memory() -> float:
    """Proportional set size of this process, in MiB."""
    for line in Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this system does not say how much memory a process has")


def _measure(folder: Path, sharing: str, count: int, verify: str) -> None:
    """Load a bundle, run some variants, print what that took."""
    from graphctx_onnx import Bundle

    x = np.random.default_rng(0).standard_normal((BATCH, WIDTH), np.float32)
    before = _memory()
    start = time.perf_counter()
    bundle = Bundle.load(
        folder / "m.bundle", sharing=sharing, threads=1, verify=verify, cache=folder / "cache"
    )
    load = time.perf_counter() - start
    for mode in MODES[:count]:
        bundle.run({"x": x}, mode=mode)
    found = {"load": load, "first": time.perf_counter() - start, "memory": _memory() - before}
    for batch in (1, 8, 64):
        x = np.random.default_rng(0).standard_normal((batch, WIDTH), np.float32)
        times = side_by_side({"run": lambda x=x: bundle.run({"x": x})}, rounds=7)  # type: ignore[misc]
        found[str(batch)] = times["run"]
    print(json.dumps(found))


def _dispatch(folder: Path) -> dict[str, Any]:
    """`Bundle.run` with three context arguments against the bare session on a tiny program."""
    from graphctx_onnx import Bundle

    import graphctx as gx
    from graphctx import Context, Layer, TensorSpec

    class Tiny(Layer):
        def call(
            self, x: Any, *, training: Context[bool] = False,
            mode: Context[Literal["a", "b"]] = "a", scale: Context[float] = 1.0,
        ) -> Any:  # fmt: skip
            return (x * 2 if training else x + 1) * scale if mode == "a" else x

    gx.export(gx.trace(Tiny(), TensorSpec(("batch", 64), name="x")), folder / "tiny.bundle")
    bundle = Bundle.load(folder / "tiny.bundle", threads=1)
    x = np.ones((1, 64), np.float32)
    session, feeds = bundle.session(), {"x": x, "scale": np.asarray(2.0)}
    names = [entry.name for entry in session.get_outputs()]
    times = side_by_side(
        {
            "bundle": lambda: bundle.run({"x": x}, training=False, mode="a", scale=2.0),
            "session": lambda: session.run(names, feeds),
        },
        rounds=25,
    )
    overhead = times["bundle"] - times["session"]
    return _row(
        "Bundle.run over session.run, 3 context arguments", f"{overhead * 1e6:.1f} us",
        f"limit 15 us (session.run {times['session'] * 1e6:.1f})", overhead / 15e-6, 1.0,
    )  # fmt: skip


if __name__ == "__main__":
    _measure(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4])
