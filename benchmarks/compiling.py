"""Trace, specialize and optimize models of 1,000 to 100,000 op nodes; a second context after it."""

from __future__ import annotations

import gc
import statistics
from typing import Any

import graphctx as gx
from benchmarks.timing import seconds
from graphctx import ops

SIZES = (1_000, 10_000, 100_000)
MICROSECONDS_A_NODE = 200
SECOND_CONTEXT = 1 / 3
OPS_A_PART = 14  # in the traced graph


class Part(gx.Layer):
    """Eight ops for one value of an argument, eight or nine others for the other."""

    def __init__(self) -> None:
        self.scale = self.add_weight((4,), "ones")
        self.shift = self.add_weight((4,), "zeros")

    def call(self, x: Any, training: gx.Context[bool] = False) -> Any:
        y = ops.tanh(x * self.scale + self.shift)
        if training:
            y = ops.dropout(y, 0.1)
        y = ops.sigmoid(y) * x
        return ops.relu(y - 0.5) + x


class Deep(gx.Layer):
    def __init__(self, parts: int) -> None:
        self.parts = [Part() for _ in range(parts)]

    def call(self, x: Any) -> Any:
        for part in self.parts:
            x = part(x)
        return x


def _measure(size: int) -> dict[str, float]:
    model = Deep(size // OPS_A_PART)
    spec = gx.TensorSpec(("batch", 4))
    graphs: list[Any] = []
    gc.collect()
    trace = seconds(lambda: graphs.append(gx.trace(model, spec)))
    graph = graphs[0]
    nodes = sum(node.kind == "op" for node in graph.nodes)
    first = seconds(lambda: gx.optimize(gx.specialize(graph, training=True)))
    second = seconds(lambda: gx.optimize(gx.specialize(graph, training=False)))
    return {"nodes": nodes, "trace": trace, "first": first, "second": second}


def run() -> list[dict[str, Any]]:
    """Rows for every size: microseconds an op node, and the cost of a second context."""
    rows = []
    for size in SIZES:
        runs = [_measure(size) for _ in range(5 if size < 50_000 else 3)]
        median = {key: statistics.median(r[key] for r in runs) for key in runs[0]}
        nodes = median["nodes"]
        whole = median["trace"] + median["first"]
        each = 1e6 * whole / nodes
        parts = ", ".join(
            f"{name} {1e6 * median[key] / nodes:.0f}"
            for name, key in (("trace", "trace"), ("specialize + optimize", "first"))
        )
        rows.append(
            {
                "what": f"trace + specialize + optimize, {nodes:,.0f} op nodes",
                "ours": f"{each:.0f} us a node ({parts})", "peer": f"{MICROSECONDS_A_NODE} us",
                "ratio": each / MICROSECONDS_A_NODE, "target": 1.0,
            }
        )  # fmt: skip
        rows.append(
            {
                "what": f"a second context of it, {nodes:,.0f} op nodes",
                "ours": f"{1e3 * median['second']:.1f} ms",
                "peer": f"the first one {1e3 * whole:.1f} ms",
                "ratio": median["second"] / whole, "target": SECOND_CONTEXT,
            }
        )  # fmt: skip
    return rows
