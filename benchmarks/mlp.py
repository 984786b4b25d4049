"""An 8-layer MLP: our program against hand-written NumPy, ReferenceEvaluator and onnxruntime."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator

import graphctx as gx
from benchmarks.timing import side_by_side
from graphctx import nn

LAYERS = 8
SHAPES = ((64, 1), (256, 32))


def hand_written(pairs: list[Any]) -> dict[str, Callable[[Any], Any]]:
    """Ways in which people write it; the fastest one counts."""

    def plain(x: Any) -> Any:
        for kernel, bias in pairs:
            x = np.maximum(x @ kernel + bias, 0)
        return x

    def in_place(x: Any) -> Any:
        for kernel, bias in pairs:
            x = np.dot(x, kernel)
            x += bias
            np.maximum(x, 0, out=x)
        return x

    zero = np.zeros((), np.float32)  # which NumPy takes faster than a scalar

    def tuned(x: Any, dot: Any = np.dot, add: Any = np.add, maximum: Any = np.maximum) -> Any:
        for kernel, bias in pairs:
            x = dot(x, kernel)
            add(x, bias, out=x)
            maximum(x, zero, out=x)
        return x

    buffers: dict[int, list[Any]] = {}

    def reusing(x: Any, dot: Any = np.dot, add: Any = np.add, maximum: Any = np.maximum) -> Any:
        if len(x) not in buffers:
            buffers[len(x)] = [np.empty((len(x), len(bias)), np.float32) for _, bias in pairs]
        for (kernel, bias), y in zip(pairs, buffers[len(x)], strict=True):
            dot(x, kernel, out=y)
            add(y, bias, out=y)
            maximum(y, zero, out=y)
            x = y
        return x

    return {"plain": plain, "in place": in_place, "tuned": tuned, "reusing buffers": reusing}


def run() -> list[dict[str, Any]]:
    """Rows: against the best hand-written form, and against ReferenceEvaluator at batch 1."""
    rows = []
    for width, batch in SHAPES:
        model = nn.Sequential([nn.Dense(width, activation="relu") for _ in range(LAYERS)])
        with gx.seed(0):
            program = gx.compile(gx.trace(model, gx.TensorSpec(("batch", width))))
        arrays = [v.numpy() for v in model.weights.values()]
        x = np.random.default_rng(0).standard_normal((batch, width)).astype(np.float32)
        hand = hand_written(list(zip(arrays[::2], arrays[1::2], strict=True)))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "mlp.onnx")
            gx.export(program, path)
            reference = ReferenceEvaluator(onnx.load(path))
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
        [name] = program.inputs
        contenders: dict[str, Callable[[], Any]] = {
            "program": lambda program=program, x=x: program(x),
            "ReferenceEvaluator": lambda r=reference, x=x, n=name: r.run(None, {n: x}),
            "onnxruntime": lambda s=session, x=x, n=name: s.run(["output"], {n: x}),
        }
        for key, function in hand.items():
            np.testing.assert_allclose(program(x), function(x), rtol=1e-5, atol=1e-6)
            contenders[key] = lambda function=function, x=x: function(x)
        found = {k: 1e6 * v for k, v in side_by_side(contenders, rounds=25).items()}
        best = min(hand, key=found.__getitem__)
        what = f"MLP, {LAYERS} layers, width {width}, batch {batch}"
        ours = f"{found['program']:.1f} us"
        rows.append(
            {
                "what": what, "ours": ours, "peer": f"hand-written ({best}) {found[best]:.1f} us",
                "ratio": found["program"] / found[best], "target": 1.05,
            }
        )  # fmt: skip
        rows.append(
            {
                "what": what, "ours": ours,
                "peer": f"ReferenceEvaluator {found['ReferenceEvaluator']:.1f} us",
                "ratio": found["program"] / found["ReferenceEvaluator"],
                "target": 1 / 3 if batch == 1 else None,
            }
        )  # fmt: skip
        rows.append(
            {
                "what": what, "ours": ours, "peer": f"onnxruntime {found['onnxruntime']:.1f} us",
                "ratio": found["program"] / found["onnxruntime"], "target": None,
            }
        )  # fmt: skip
    return rows
