"""ResNet-50 and MobileNetV2 are those of Keras, and mean the same however they are run."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphctx as gx
from tests.nn.common import same
from tests.samples.test_scenarios import load

resnet, mobilenet = load("resnet"), load("mobilenet")
FULL = {
    "ResNet50": (resnet.resnet50, 25_636_712, resnet.KERAS_NAMES),
    "MobileNetV2": (mobilenet.mobilenet_v2, 3_538_984, mobilenet.KERAS_NAMES),
}
SMALL = {
    "resnet": lambda: resnet.ResNet((2, 1), classes=5, width=4),
    "mobilenet": lambda: mobilenet.MobileNetV2(
        0.25, classes=5, stages=((16, 1, 1), (24, 2, 2)), last=16
    ),
}
FEATURES = ("probabilities", "logits", "pooled", "stages")
SIZED = gx.TensorSpec((2, 72, 72, 3), name="images")
IMAGES = np.random.default_rng(0).standard_normal((2, 72, 72, 3)).astype(np.float32)


def as_if_trained(name: str, value: Any, rng: np.random.Generator) -> Any:
    """Values of a weight with which every layer matters; kernels are well as they are."""
    if name in ("gamma", "moving_variance"):
        return rng.uniform(0.5, 1.5, value.shape).astype(np.float32)
    if name in ("beta", "moving_mean", "bias"):
        return rng.normal(0, 0.3, value.shape).astype(np.float32)
    return value


def small(name: str) -> tuple[gx.Layer, gx.CallGraph]:
    """A small model and its graph."""
    model = SMALL[name]()
    with gx.seed(0):
        graph = gx.trace(model, gx.TensorSpec(("batch", "height", "width", 3), name="images"))
    rng = np.random.default_rng(1)
    for path, weight in model.weights.items():
        weight.assign(as_if_trained(path.rpartition("/")[2], weight.numpy(), rng))
    return model, graph


@pytest.mark.parametrize("name", FULL)
def test_parameters_are_as_many_as_keras_says(name: str) -> None:
    make, count, _ = FULL[name]
    model = make()
    gx.trace(model, SIZED, training=False, features="probabilities")
    assert sum(weight.numpy().size for weight in model.weights.values()) == count


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FULL)
def test_keras_computes_the_same(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("h5py")
    monkeypatch.setenv("KERAS_BACKEND", "numpy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras's own, and those of what it imports
        keras = pytest.importorskip("keras")
    make, _, names = FULL[name]
    theirs = getattr(keras.applications, name)(weights=None, input_shape=IMAGES.shape[1:])
    rng = np.random.default_rng(1)
    for weight in theirs.weights:
        weight.assign(as_if_trained(weight.name, np.asarray(weight), rng))
    theirs.save_weights(tmp_path / "their.weights.h5")
    ours = make()
    gx.trace(ours, SIZED, training=False, features="probabilities")
    report = ours.load_weights(tmp_path / "their.weights.h5", names)
    assert report.fits

    x = IMAGES * 0.5
    np.testing.assert_allclose(ours(x), np.asarray(theirs(x, training=False)), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(
        ours(x, training=True), np.asarray(theirs(x, training=True)), rtol=1e-2, atol=1e-4
    )
    averages = {w.path: np.asarray(w) for w in theirs.weights if "moving" in w.name}
    found = {path: v.numpy() for path, v in ours.weights.items() if "moving" in path}
    assert len(found) == len(averages) > 0
    for path, value in found.items():
        *layers, label = path.split("/")[1:]
        np.testing.assert_allclose(
            value, averages[f"{'_'.join(layers)}/{label}"], rtol=1e-3, atol=1e-3
        )


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("name", SMALL)
def test_calls_programs_and_onnx_agree(name: str, features: str, tmp_path: Path) -> None:
    model, graph = small(name)
    program = gx.compile(graph, features=features)
    expected = model(IMAGES, features=features)
    # Folding BatchNorm into the convolutions rounds.
    for a, b in zip(outputs(program(IMAGES)), outputs(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    report = gx.export(program, tmp_path / "model.onnx").report
    assert report.largest < 1e-4


def outputs(result: Any) -> list[Any]:
    """One output or several, as a list."""
    return result if isinstance(result, list) else [result]


@pytest.mark.parametrize("name", SMALL)
def test_training_agrees_bit_for_bit(name: str, tmp_path: Path) -> None:
    model, graph = small(name)
    program = gx.compile(graph, training=True)
    expected_state = {path: weight.numpy() for path, weight in model.weights.items()}
    result, state = program.step(IMAGES)
    gx.export(program, tmp_path / "model.onnx")
    same(result, model(IMAGES, training=True))
    after = {path: weight.numpy() for path, weight in model.weights.items()}
    assert set(state) == {path for path in after if "moving" in path}
    for path, value in after.items():
        same(state.get(path, expected_state[path]), value)


def test_inference_is_convolutions_and_little_else() -> None:
    _, graph = small("resnet")
    counts: dict[str, int] = {}
    for node in gx.compile(graph).graph.nodes:
        if node.kind == "op":
            counts[node.name] = counts.get(node.name, 0) + 1
    assert counts == {
        "Transpose": 1, "Conv": 12, "Relu": 10, "MaxPool": 1, "Add": 3, "ReduceMean": 1, "Gemm": 1,
        "Softmax": 1,
    }  # fmt: skip


def test_every_context_is_in_the_graph() -> None:
    _, graph = small("resnet")
    assert set(graph.contexts) == {"features", "training", "drop_path"}
    assert graph.contexts["features"].domain.values == FEATURES
    assert [c.path for c in graph.contexts["drop_path"].consumers] == [
        f"resnet/{block}/drop" for block in ("conv2_block1", "conv2_block2", "conv3_block1")
    ]
    plain = gx.compile(graph, features="stages")
    assert str(gx.compile(graph, features="stages", drop_path=0.5).graph) == str(plain.graph)
    shapes = [y.shape for y in plain(IMAGES)]
    assert shapes == [(2, 18, 18, 16), (2, 9, 9, 32)]


def test_drop_path_leaves_branches_out() -> None:
    drop = resnet.DropPath(0.5)
    x = np.ones((2000, 2, 2, 3), np.float32)
    same(drop(x, drop_path=0.4), x)
    with gx.seed(0):
        y = drop(x, training=True, drop_path=0.4)
    assert (y == y[:, :1, :1, :1]).all()  # whole images
    kept = y[:, 0, 0, 0] > 0
    assert 0.77 < kept.mean() < 0.83
    np.testing.assert_allclose(y[kept], 1 / 0.8, rtol=1e-6)


@pytest.mark.parametrize(("alpha", "count"), [(0.35, 1_691_208), (1.4, 6_156_712)])
def test_mobilenet_is_as_wide_as_alpha_says(alpha: float, count: int) -> None:
    model = mobilenet.mobilenet_v2(alpha)
    gx.trace(model, SIZED, training=False, features="probabilities")
    assert sum(weight.numpy().size for weight in model.weights.values()) == count
