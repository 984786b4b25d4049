"""Models that others exported, imported with `gx.load`: our executor against ONNX's reference.

The light models of onnx's backend tests, and ResNet-50, MobileNetV2, BERT-base and GPT-2 with
random weights, written by torch's exporter. Before anything is timed, outputs are compared with
onnxruntime's. Memory is the peak of what NumPy allocates during one run (tracemalloc); weights and
compiling do not count, and models on which the peer is slow are left out.
"""

from __future__ import annotations

import math
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator

import graphctx as gx
from benchmarks.models_transformers import quiet
from benchmarks.timing import seconds
from tests.conformance.suite import cases, fed

Row = dict[str, Any]

FASTER, MEMORY, PER_NODE = 1 / 5, 1 / 2, 1e-3
PATIENCE = 5.0
"""Seconds of a run of the peer up to which its memory is measured: that takes much longer."""


def run() -> list[Row]:
    """Rows: time and memory of a run, time to import and optimize, and the geometric mean."""
    rows: list[Row] = []
    ratios = []
    for name, model, feeds in _models():
        program, import_seconds = _imported(model)
        evaluator = ReferenceEvaluator(model)
        names = [output.name for output in model.graph.output]

        def ours(program: gx.Program = program, feeds: Any = feeds) -> Any:
            return program(**feeds)

        def theirs(evaluator: Any = evaluator, feeds: Any = feeds) -> Any:
            return evaluator.run(None, feeds)

        _agree(name, model, feeds, [ours()[output] for output in names])
        reference = seconds(theirs)
        own = sorted(seconds(ours) for _ in range(7))[3]
        ratios.append(own / reference)
        rows.append(_row(name, own, "ReferenceEvaluator", reference, 1.0))
        if reference < PATIENCE:
            memory, their_memory = _peak(ours), _peak(theirs)
            rows.append(
                {
                    "what": f"{name}, peak memory of a run", "ours": f"{memory / 2**20:.1f} MiB",
                    "peer": f"ReferenceEvaluator {their_memory / 2**20:.1f} MiB",
                    "ratio": memory / their_memory, "target": MEMORY,
                }
            )  # fmt: skip
        nodes = len(model.graph.node)
        rows.append(
            {
                "what": f"{name}, {nodes} nodes: import and optimize",
                "ours": f"{import_seconds * 1e3:.0f} ms",
                "peer": "limit 1 s for 1,000 nodes",
                "ratio": import_seconds / (PER_NODE * nodes), "target": 1.0,
            }
        )  # fmt: skip
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    rows.append(
        {
            "what": f"geometric mean over these {len(ratios)} models", "ours": "",
            "peer": "ReferenceEvaluator", "ratio": mean, "target": FASTER,
        }
    )  # fmt: skip
    return rows


def _row(what: str, ours: float, peer: str, theirs: float, target: float | None) -> Row:
    return {
        "what": what, "ours": f"{ours * 1e3:.1f} ms", "peer": f"{peer} {theirs * 1e3:.1f} ms",
        "ratio": ours / theirs, "target": target,
    }  # fmt: skip


def _imported(model: onnx.ModelProto) -> tuple[gx.Program, float]:
    """The program, and the best seconds of two that importing and compiling takes."""
    found: list[gx.Program] = []
    taken = [seconds(lambda: found.append(gx.compile(gx.load(model)))) for _ in range(2)]
    return found[-1], min(taken)


def _agree(name: str, model: onnx.ModelProto, feeds: Any, found: list[Any]) -> None:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for ours, theirs in zip(found, session.run(None, feeds), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3, err_msg=name)


def _peak(function: Callable[[], Any]) -> int:
    """Bytes that a call allocates at most at a time."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# -- the models -----------------------------------------------------------------------------------


def _models() -> Iterator[tuple[str, onnx.ModelProto, dict[str, Any]]]:
    for case in cases():
        if case.kind == "light":
            model, [(inputs, _)] = case.load()
            names = [value.name for value in fed(model)]
            yield case.name, model, dict(zip(names, inputs, strict=True))
    if any(find_spec(name) is None for name in ("torch", "transformers", "onnxscript")):
        print("no models of torch: torch, transformers or onnxscript is not installed")
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(quiet())
        yield from _of_torch(folder)


def _of_torch(folder: Path) -> Iterator[tuple[str, onnx.ModelProto, dict[str, Any]]]:
    import torch
    import transformers

    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.standard_normal((1, 3, 224, 224)).astype(np.float32))
    tokens = torch.from_numpy(rng.integers(0, 1000, (1, 64)))
    torch.set_num_threads(1)
    ones, zeros = torch.ones_like(tokens), torch.zeros_like(tokens)
    for name, kind, config, examples in (
        ("ResNet-50", "ResNetForImageClassification", "ResNetConfig", (image,)),
        ("MobileNetV2", "MobileNetV2ForImageClassification", "MobileNetV2Config", (image,)),
        ("BERT-base", "BertModel", "BertConfig", (tokens, ones, zeros)),
        ("GPT-2", "GPT2LMHeadModel", "GPT2Config", (tokens,)),
    ):
        options = {"use_cache": False} if name == "GPT-2" else {}
        module = getattr(transformers, kind)(getattr(transformers, config)(**options)).eval()
        path = folder / f"{name}.onnx"
        torch.onnx.export(module, examples, dynamo=True, optimize=True, verbose=False).save(path)
        model = onnx.load(path)
        arrays = (example.numpy() for example in examples)
        names = (value.name for value in model.graph.input)
        yield f"{name} of torch", model, dict(zip(names, arrays, strict=True))
