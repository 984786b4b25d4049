"""`graphctx demo`, and the model it shows."""

import re
import socket
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from graphctx_onnx import Bundle

import graphctx as gx
from graphctx.demo import IMAGES, DigitNet, Digits, accuracy, fitted, load_digits

from .conftest import Run


@pytest.fixture(scope="module")
def digits() -> Digits:
    return load_digits()


@pytest.fixture(scope="module")
def model(digits: Digits) -> DigitNet:
    return fitted(digits)


def test_the_halves_are_apart(digits: Digits) -> None:
    assert len(digits.train_images) == 1437
    assert len(digits.test_images) == 360
    assert digits.test_images.dtype == np.float32
    assert digits.test_images.max() == 1


def test_clean_images_are_read(model: DigitNet, digits: Digits) -> None:
    program = gx.compile(gx.trace(model, IMAGES))
    assert accuracy(program(digits.test_images), digits.test_labels) > 0.95


def test_averaging_helps_under_dropout(model: DigitNet, digits: Digits) -> None:
    program = gx.compile(gx.trace(model, IMAGES), training=True, intensity="aggressive")
    scores = [program(digits.test_images, seed=seed) for seed in range(6)]
    single = accuracy(scores[0], digits.test_labels)
    assert accuracy(np.mean(scores, axis=0), digits.test_labels) > single + 0.1


def test_for_inference_normalization_is_folded_away(model: DigitNet) -> None:
    graph = gx.compile(gx.trace(model, IMAGES)).graph
    names = [node.name for node in graph.nodes if node.kind == "op"]
    assert names.count("Conv") == 2
    assert "BatchNormalization" not in names
    assert graph.seed is None


@pytest.mark.usefixtures("folder")
def test_the_demo(run: Run, digits: Digits) -> None:
    text = run("demo", "--draws", 1, "--output", "made").stdout
    for heading in (
        "1  The network", "2  The trace", "3  The context", "4  The programs",
        "5  Accuracy on the test images", "6  The ONNX files", "7  The bundle and its server",
        "8  Timings",
    ):  # fmt: skip
        assert heading in text
    assert "12 assignments, 8 programs" in text
    assert "onnxruntime is as accurate as NumPy in 8 of 8 programs." in text
    assert max(map(len, text.splitlines())) <= 100
    asked = re.findall(r"intensity=\w+ +(\d+\.\d)% +(equal|\de-\d\d) +[\d.]+ ms", text)
    assert len(asked) == 4
    assert float(asked[0][0]) > 90
    assert all(apart == "equal" or float(apart) < 1e-4 for _, apart in asked)
    assert "-> 400: context argument 'intensity' got 'agressive'; allowed: 'off'" in text
    [address] = re.findall(r"answered at ([\d.]+):(\d+),", text)
    with pytest.raises(ConnectionRefusedError):  # it was stopped
        socket.create_connection((address[0], int(address[1])), timeout=5)
    assert len(Bundle.load("made/digits.bundle").classes) == 4
    files = sorted(path.name for path in Path("made").glob("*.onnx"))
    assert len(files) == 8
    session = onnxruntime.InferenceSession("made/inference.onnx")
    [scores] = session.run(None, {"images": digits.test_images})
    assert accuracy(scores, digits.test_labels) > 0.95


@pytest.mark.usefixtures("folder")
def test_the_demo_where_nothing_can_be_written(run: Run) -> None:
    Path("made").write_text("a file")
    assert "made: cannot be made: File exists" in run("demo", "-o", "made", code=1).stderr
