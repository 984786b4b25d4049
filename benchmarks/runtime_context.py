"""Context left to run time: open against bound, `If` against `Where`, in onnxruntime, one thread.

`Where` computes both sides and picks; `If` computes the side that is taken. The exporter writes
`If`s only; the `Where`s here are written by hand, over the same arms.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.timing import side_by_side

SIZES = ((1, 64), (64, 256), (512, 3072))


def run() -> list[dict[str, Any]]:
    """Rows: one product, an activation, a model with a BatchNorm, a model with two heads."""
    folder = Path(tempfile.mkdtemp())
    try:
        found = [_against_where(folder, name, shape) for name in _ARMS for shape in SIZES]
        return [*found, *_against_bound(folder)]
    finally:
        shutil.rmtree(folder)


_ARMS: dict[str, Callable[[Any, Any], Any]] = {
    "a product": lambda ops, x: x * 0.5,
    "a GELU": lambda ops, x: ops.gelu(x),
}


def _turns(contenders: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Many short turns: each is microseconds, and shared machines pause for milliseconds."""
    return side_by_side(contenders, rounds=61, least=0.002)


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options)


def _runner(path: Path, feeds: dict[str, Any]) -> Callable[[], Any]:
    session = _session(path)
    return lambda: session.run(["output"], feeds)


def _against_where(folder: Path, name: str, shape: tuple[int, int]) -> dict[str, Any]:
    """A choice between x and something of x, not taken."""
    import graphctx as gx
    from graphctx import Context, Layer, ops

    arm = _ARMS[name]

    class Chosen(Layer):
        def call(self, x: Any, *, on: Context[bool] = False) -> Any:
            return arm(ops, x) if on else x + 1

    class Computed(Layer):
        def call(self, x: Any, on: Any) -> Any:
            return ops.where(on, arm(ops, x), x + 1)

    spec = gx.TensorSpec(shape, name="x")
    gx.export(gx.trace(Chosen(), spec), folder / "if.onnx", runtime=["on"])
    both = gx.trace(Computed(), spec, gx.TensorSpec((), "bool", name="on"))
    gx.export(both, folder / "where.onnx")
    feeds = {"x": np.ones(shape, np.float32), "on": np.asarray(False)}
    times = _turns({n: _runner(folder / f"{n}.onnx", feeds) for n in ("if", "where")})
    return _row(f"If, {name} of {shape[0]}x{shape[1]} not taken", times["if"], "Where",
                times["where"])  # fmt: skip


def _against_bound(folder: Path) -> list[dict[str, Any]]:
    """Models whose programs differ, left open and bound to each value."""
    import graphctx as gx
    from graphctx import Context, Layer, nn

    class Heads(Layer):
        def __init__(self) -> None:
            self.body = nn.Dense(256, activation="relu")
            self.heads = {"small": nn.Dense(8), "large": nn.Sequential([nn.Dense(1024),
                                                                        nn.Dense(8)])}  # fmt: skip

        def call(self, x: Any, *, head: Context[Literal["small", "large"]] = "small") -> Any:
            return self.heads[head](self.body(x))

    blocks = [nn.Sequential([nn.Dense(256), nn.BatchNorm(), nn.ReLU()]) for _ in range(4)]
    models: dict[str, tuple[Any, str, tuple[Any, ...]]] = {
        "4 x (Dense, BatchNorm, ReLU)": (nn.Sequential(blocks), "training", (False, True)),
        "two heads": (Heads(), "head", ("small", "large")),
    }
    found = []
    for name, (model, argument, values) in models.items():
        graph = gx.trace(model, gx.TensorSpec(("batch", 256), name="x"))
        # A BatchNorm over two rows, which verification would try, is determined too little.
        gx.export(graph, folder / "open.onnx", runtime=[argument], verify=False)
        note = gx.cost_note(graph, runtime=[argument])
        for value, row in zip(values, note.rows, strict=True):
            gx.export(graph, folder / "bound.onnx", context={argument: value}, verify=False)
            for batch in (1, 64):
                x = np.random.default_rng(0).standard_normal((batch, 256), np.float32)
                feeds = {"x": x}
                dtype = object if isinstance(value, str) else bool
                chosen = {**feeds, argument: np.asarray(value, dtype)}
                times = _turns(
                    {
                        "open": _runner(folder / "open.onnx", chosen),
                        "bound": _runner(folder / "bound.onnx", feeds),
                    }
                )
                what = f"{argument} open, {name}, {argument}={value}, batch {batch}"
                found.append(
                    _row(f"{what} ({row.nodes[0]} operators)", times["open"],
                         f"bound ({row.nodes[1]} operators)", times["bound"])
                )  # fmt: skip
    return found


def _row(what: str, ours: float, peer: str, theirs: float) -> dict[str, Any]:
    return {
        "what": what,
        "ours": f"{ours * 1e6:.1f} us",
        "peer": f"{peer} {theirs * 1e6:.1f} us",
        "ratio": ours / theirs,
        "target": None,
    }
