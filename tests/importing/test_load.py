"""Files of other tools as call graphs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

import graphctx as gx
from graphctx import LoadError
from tests.importing.models import info, model

KERNEL = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
BIAS = np.random.default_rng(1).standard_normal(3).astype(np.float32)
LINEAR = model(
    [
        helper.make_node("Gemm", ["x", "kernel", "bias"], ["h"], name="/head/linear/Gemm"),
        helper.make_node("Relu", ["h"], ["y"], name="/head/Relu"),
    ],
    [info("x", ("batch", 4))],
    [info("y", ("batch", 3))],
    {"kernel": KERNEL, "bias": BIAS},
)
X = np.random.default_rng(2).standard_normal((5, 4)).astype(np.float32)
Y = np.maximum(X @ KERNEL + BIAS, 0)


def test_a_file_becomes_a_call_graph(tmp_path: Path) -> None:
    onnx.save(LINEAR, tmp_path / "linear.onnx")
    graph = gx.load(tmp_path / "linear.onnx")
    assert str(graph) == (
        "graph net (x: float32[batch, 4])\n"
        "  %1 = Gemm(x, @kernel, @bias)  # net/head/linear\n"
        "  %2 = Relu(%1)                 # net/head\n"
        "  return {'y': %2}"
    )
    assert [call.path for call in graph.calls] == ["net", "net/head", "net/head/linear"]
    found = gx.compile(graph)(X)
    assert list(found) == ["y"]
    np.testing.assert_allclose(found["y"], Y, rtol=1e-6, atol=1e-6)


def test_models_in_memory() -> None:
    wanted = str(gx.load(LINEAR))
    assert str(gx.load(LINEAR.SerializeToString())) == wanted


def test_what_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"'.*nothing\.onnx' cannot be read: No such file"):
        gx.load(tmp_path / "nothing.onnx")
    with pytest.raises(LoadError, match=r"no importer knows '\.pt' files \(net\.pt\); known: "):
        gx.load("net.pt")
    with pytest.raises(LoadError, match="takes the path of a file or a model in memory, got int"):
        gx.load(3)
