"""The command `weights`, and weights of others for the commands that run a model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from tests.cli.conftest import Run

KERNEL = np.arange(12, dtype=np.float32).reshape(3, 4)
NAMES = """
NAMES = [("dense", "classifier")]
"""
NAMED = ("torch.safetensors", "--names", "names.py:NAMES")


def state(folder: Path, bias: str = "classifier.bias") -> None:
    """A state dict of PyTorch, and a name map for it."""
    arrays = {"classifier.weight": KERNEL, bias: np.ones(3, np.float32)}
    save_file(arrays, folder / "torch.safetensors", metadata={"format": "pt"})
    (folder / "names.py").write_text(NAMES)


def test_what_matches_what(run: Run, folder: Path) -> None:
    state(folder)
    text = run("weights", "models.py", *NAMED).stdout
    assert "net from torch.safetensors, torch layout: 2 of 2 weights matched" in text
    assert "transpose (1, 0)" in text
    found = json.loads(run("weights", "models.py", *NAMED, "--json").stdout)
    assert found["fits"] is True
    assert found["rows"][0]["source"] == ["classifier.weight"]


def test_they_are_written_as_graphctx_has_them(run: Run, folder: Path) -> None:
    state(folder)
    text = run("weights", "models.py", *NAMED, "-o", "own.safetensors").stdout
    assert text.endswith("written to own.safetensors\n")
    np.testing.assert_array_equal(load_file("own.safetensors")["net/dense/kernel"], KERNEL.T)
    np.save("x.npy", np.ones((1, 4), np.float32))
    found = run("run", "models.py", "x.npy", "--weights", "own.safetensors", "--json").stdout
    assert json.loads(found)["output"]["values"] == [[7, 23, 39]]


def test_what_does_not_match_is_an_error(run: Run, folder: Path) -> None:
    state(folder, bias="classifier.offset")
    arguments = ("weights", "models.py", *NAMED)
    result = run(*arguments, "-o", "own.safetensors", code=1)
    assert "missing" in result.stdout
    assert "missing: net/dense/bias (no 'classifier.bias'; did you mean" in result.stderr
    assert "unexpected: classifier.offset" in result.stderr
    assert not Path("own.safetensors").exists()
    assert json.loads(run(*arguments, "--json", code=1).stdout)["fits"] is False
    result = run(*arguments, "--ignore", "classifier.offset", code=1)
    assert "unexpected" not in result.stderr
    run(*arguments, "--partial", "-o", "own.safetensors")
    np.testing.assert_array_equal(load_file("own.safetensors")["net/dense/bias"], np.zeros(3))


def test_the_layout_may_be_given(run: Run, folder: Path) -> None:
    state(folder)
    result = run("weights", "models.py", *NAMED, "--layout", "keras", code=1)
    assert "net/dense/kernel (classifier.weight: file [3, 4], model [4, 3])" in result.stderr


def test_bad_command_lines(run: Run, folder: Path) -> None:
    state(folder)
    result = run("weights", "models.py", "torch.safetensors", "--names", "names.py", code=2)
    assert "--names is written file.py:NAMES, got names.py" in result.stderr
    result = run("weights", "models.py", "torch.safetensors", "--names", "names.py:NAME", code=2)
    assert "names.py has no 'NAME'" in result.stderr
    result = run("weights", "models.py", "none.safetensors", code=1)
    assert "none.safetensors: there is no such file" in result.stderr
