"""ResNet-50 and MobileNetV2 on one image: our programs and our exports against others'.

All run with the number of threads in OPENBLAS_NUM_THREADS; `python -m benchmarks` sets one. The
models of torch are those of transformers, without downloads, and in eager mode: BatchNorm is a step
of its own there. Its ResNet is built with `downsample_in_bottleneck`, the strides of version 1 as
in Keras. Keras, with its torch backend, runs in a process of its own; its weights are loaded into
ours, and both exports must compute the same.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator

import graphctx as gx
from benchmarks.timing import seconds
from samples import mobilenet, resnet

THREADS = int(os.environ.get("OPENBLAS_NUM_THREADS") or os.cpu_count() or 1)
IMAGE = gx.TensorSpec((1, 224, 224, 3), name="images")
NOISE = 1.05  # what two equal files may differ by
TORCH, KERAS = "torch.onnx (dynamo, optimized)", "Keras (torch backend)"


@dataclass(frozen=True)
class Case:
    """A model of ours and its peers.

    Attributes:
        what: its name.
        make: makes ours.
        names: the name map for Keras's weights.
        torch: names of its configuration and class in transformers, and options of the former.
        keras: name in `keras.applications`.
        target: of our program against torch.
    """

    what: str
    make: Callable[[], gx.Layer]
    names: Any
    torch: tuple[str, str, dict[str, Any]]
    keras: str
    target: float | None


CASES = (
    Case(
        "ResNet-50", resnet.resnet50, resnet.KERAS_NAMES,
        ("ResNetConfig", "ResNetForImageClassification",
         {"num_labels": 1000, "downsample_in_bottleneck": True}),
        "ResNet50", 2.5,
    ),
    Case(
        "MobileNetV2", mobilenet.mobilenet_v2, mobilenet.KERAS_NAMES,
        ("MobileNetV2Config", "MobileNetV2ForImageClassification", {"num_labels": 1000}),
        "MobileNetV2", None,
    ),
)  # fmt: skip

EXPORT_FROM_KERAS = """
import sys, keras, numpy
name, folder = sys.argv[1:]
model = getattr(keras.applications, name)(weights=None, classifier_activation=None)
model(numpy.zeros((1, 224, 224, 3), "float32"), training=False)
model.save_weights(f"{folder}/keras.weights.h5")
model.export(f"{folder}/keras.onnx", format="onnx", verbose=False)
"""


def run() -> list[dict[str, Any]]:
    """Rows: latencies of programs, then nodes and latencies of exports."""
    rows = []
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            rows += _rows(case, Path(folder))
    return rows


def _rows(case: Case, folder: Path) -> list[dict[str, Any]]:
    layer = case.make()
    with gx.seed(0):
        graph = gx.trace(layer, IMAGE, training=False)
    if _export_from_keras(case, folder):
        layer.load_weights(folder / "keras.weights.h5", case.names)
    program = gx.compile(graph, features="logits")
    gx.export(program, folder / "ours.onnx")
    module = _torch_module(case)
    if module is not None:
        _export_from_torch(module, folder / "torch.onnx")

    x = np.random.default_rng(0).standard_normal(IMAGE.shape).astype(np.float32)
    sessions = {
        name: _session(folder / f"{name}.onnx", x if name != "torch" else _channels_first(x))
        for name in ("ours", "torch", "keras")
        if (folder / f"{name}.onnx").exists()
    }
    if "keras" in sessions:
        np.testing.assert_allclose(sessions["ours"](), sessions["keras"](), rtol=1e-3, atol=1e-4)
    contenders: dict[str, Callable[[], Any]] = {"program": lambda: program(x)}
    if module is not None:
        contenders["torch eager"] = _eager(module, x)
    found = _in_turns({**contenders, **{f"file {k}": v for k, v in sessions.items()}})
    reference = ReferenceEvaluator(onnx.load(folder / "ours.onnx"))
    once = seconds(lambda: reference.run(None, {IMAGE.name: x}))

    def row(what: str, ours: float, peer: str, theirs: float, target: float | None) -> Any:
        times = (f"{1e3 * ours:.1f} ms", f"{peer} {1e3 * theirs:.1f} ms")
        return dict(
            zip(("what", "ours", "peer", "ratio", "target"), (what, *times, ours / theirs, target),
                strict=True)
        )  # fmt: skip

    threads = f"{THREADS} thread{'s' if THREADS > 1 else ''}"
    what = f"{case.what}, one image, {threads}"
    rows = [row(what, found["program"], "onnxruntime", found["file ours"], None)]
    if "torch eager" in found:
        rows.insert(
            0, row(what, found["program"], "torch eager", found["torch eager"], case.target)
        )
    rows.append(row(what, found["program"], "ReferenceEvaluator, once,", once, None))
    nodes = _nodes(folder / "ours.onnx")
    for name, peer in (("torch", TORCH), ("keras", KERAS)):
        if name in sessions:
            theirs = _nodes(folder / f"{name}.onnx")
            rows.append(
                {
                    "what": f"{case.what}, exported", "ours": f"{nodes} nodes",
                    "peer": f"{peer} {theirs} nodes", "ratio": nodes / theirs, "target": 1.0,
                }
            )  # fmt: skip
            rows.append(
                row(
                    f"{case.what}, exported, in onnxruntime, {threads}", found["file ours"], peer,
                    found[f"file {name}"], NOISE,
                )
            )  # fmt: skip
    return rows


def _in_turns(contenders: Mapping[str, Callable[[], Any]], rounds: int = 15) -> dict[str, float]:
    """Median seconds of each contender's second call in a turn.

    Threads that wait for work spin for a while after a call, and would take a core from the next
    contender's; so each turn begins with a pause and with a call that does not count.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, function in contenders.items():
            time.sleep(0.1 if THREADS > 1 else 0)
            function()
            times[name].append(seconds(function))
    return {name: statistics.median(found) for name, found in times.items()}


def _session(path: Path, x: Any) -> Callable[[], Any]:
    """What runs a file on an image."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    feeds, outputs = {session.get_inputs()[0].name: x}, [session.get_outputs()[0].name]
    return lambda: session.run(outputs, feeds)[0]


def _nodes(path: Path) -> int:
    return len(onnx.load(path, load_external_data=False).graph.node)


def _channels_first(x: Any) -> Any:
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


# -- peers ----------------------------------------------------------------------------------------


def _torch_module(case: Case) -> Any:
    """The model of transformers; None, and a line that says so, if it is not installed."""
    if find_spec("torch") is None or find_spec("transformers") is None:
        print(f"{case.what}: no comparison with torch: torch or transformers is not installed")
        return None
    import torch
    import transformers

    torch.set_num_threads(THREADS)
    config, kind, options = case.torch
    return getattr(transformers, kind)(getattr(transformers, config)(**options)).eval()


def _eager(module: Any, x: Any) -> Callable[[], Any]:
    import torch

    tensor = torch.from_numpy(_channels_first(x))

    def call() -> Any:
        with torch.inference_mode():
            return module(tensor).logits

    return call


def _export_from_torch(module: Any, path: Path) -> None:
    import torch

    if find_spec("onnxscript") is None:
        print("no export from torch: onnxscript is not installed")
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example = torch.zeros(1, 3, *IMAGE.shape[1:3])
        torch.onnx.export(module, (example,), dynamo=True, optimize=True, verbose=False).save(path)


def _export_from_keras(case: Case, folder: Path) -> bool:
    """Weights and export of Keras's model; False, and a line that says so, if there are none."""
    lacking = [name for name in ("keras", "torch", "h5py") if find_spec(name) is None]
    if lacking:
        print(f"{case.what}: no export from Keras: {', '.join(lacking)} not installed")
        return False
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", EXPORT_FROM_KERAS, case.keras, str(folder)],
        check=True, capture_output=True, env={**os.environ, "KERAS_BACKEND": "torch"},
    )  # fmt: skip
    return True
