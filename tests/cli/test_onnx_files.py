"""Files of other tools as models: run, described, specialized."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.importing.models import run as onnxruntime_outputs
from tests.importing.test_contexts import FEEDS, MERGED, scaled

from .conftest import Run


@pytest.fixture
def merged(folder: Path) -> Path:
    onnx.save(MERGED, folder / "merged.onnx")
    np.savez(folder / "feeds.npz", **FEEDS)
    return folder


@pytest.mark.parametrize("cached", [False, True])
def test_specialize_writes_one_branch(run: Run, merged: Path, cached: bool) -> None:
    text = run("specialize", "merged.onnx", f"use_cache_branch={cached}", "-o", "out.onnx").stdout
    assert text.startswith("out.onnx: 10 nodes, opset 23, ")
    assert f"for use_cache_branch={cached}" in text
    written = onnx.load(merged / "out.onnx")
    assert "If" not in {node.op_type for node in written.graph.node}
    wanted = onnxruntime_outputs(MERGED, {**FEEDS, "use_cache_branch": np.asarray([cached])})
    for name, array in onnxruntime_outputs(written, FEEDS).items():
        np.testing.assert_allclose(array, wanted[name], rtol=1e-5, atol=1e-6)
    # The file is a model again, which was specialized for this; and it agrees with its origin.
    run("run", "out.onnx", "feeds.npz", "-o", "found.npz")
    np.testing.assert_allclose(np.load("found.npz")["logits"], wanted["logits"], 1e-5, 1e-6)
    assert "agrees with net" in run("verify", "out.onnx", "merged.onnx").stdout


@pytest.mark.usefixtures("merged")
def test_an_input_is_context_when_it_is_named(run: Run) -> None:
    run("run", "merged.onnx", "feeds.npz", "-c", "use_cache_branch=true", "-o", "found.npz")
    wanted = onnxruntime_outputs(MERGED, {**FEEDS, "use_cache_branch": np.asarray([True])})
    np.testing.assert_allclose(np.load("found.npz")["logits"], wanted["logits"], 1e-5, 1e-6)
    shown = run("contexts", "merged.onnx", "--domain", "use_cache_branch=bool").stdout
    assert "2 assignments -> 2 programs" in shown
    counts = json.loads(run("trace", "merged.onnx", "--stats", "--json").stdout)
    assert counts["by operator"] == {"If": 1}
    run("export", "merged.onnx", "--domain", "use_cache_branch=bool", "-o", "m.bundle")
    assert "use_cache_branch=True" in run("bundle", "ls", "m.bundle").stdout


def test_numbers_and_texts(run: Run, folder: Path) -> None:
    onnx.save(scaled(onnx.TensorProto.INT64), folder / "scaled.onnx")
    np.save(folder / "x.npy", np.float32([1, 2]))
    run("run", "scaled.onnx", "x.npy", "-c", "setting=5", "-o", "y.npy")
    np.testing.assert_array_equal(np.load("y.npy"), [5, 10])
    run("export", "scaled.onnx", "-r", "setting", "-o", "open.onnx")
    assert [i.name for i in onnx.load("open.onnx").graph.input] == ["x", "setting"]
    found = run("contexts", "scaled.onnx", "--domain", "setting=1", "--domain", "setting=2").stdout
    assert "1 | 2" in found


def test_specialize_a_model_in_python(run: Run, folder: Path) -> None:
    text = run("specialize", "models.py", "training=true", "-i", "x=float32[batch,4]",
               "-o", "out.onnx").stdout  # fmt: skip
    assert "for training=True, with 'gain', 'mode' as inputs" in text
    assert {i.name for i in onnx.load(folder / "out.onnx").graph.input} == {"x", "mode", "gain"}


@pytest.mark.usefixtures("merged")
def test_what_is_wrong(run: Run) -> None:
    found = run("specialize", "merged.onnx", "use_cach=true", "-o", "o.onnx", code=1)
    assert "contexts= names 'use_cach', which is no input; did you mean 'use_cache_branch'?" in (
        found.stderr
    )
    found = run("specialize", "merged.onnx", "use_cache_branch=perhaps", "-o", "o.onnx", code=1)
    assert "context argument 'use_cache_branch' got 'perhaps'; allowed: False, True" in found.stderr
    found = run("specialize", "merged.onnx", "use_cache_branch=1", "-o", "o.bundle", code=2)
    assert "o.bundle holds many programs; to write a bundle see graphctx export" in found.stderr
    found = run("run", "merged.onnx", "feeds.npz", "--weights", "w.safetensors", code=2)
    assert "--weights is for models in Python: merged.onnx has its own" in found.stderr
    found = run("run", "nothing.onnx", code=1)
    assert "'nothing.onnx' cannot be read: No such file or directory" in found.stderr
    found = run("weights", "merged.onnx", "feeds.npz", code=2)
    assert "merged.onnx has its own weights; name a model in Python" in found.stderr
    found = run("trace", "merged.onnx", "-i", "float32[2]", code=2)
    assert "--input names an input of merged.onnx: 'x=float32[batch,64]'" in found.stderr
