"""`export` to a bundle; `bundle ls`, `verify`, `add` and `prune`."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphctx.cli.models import load
from graphctx.export import exporter_for

from .conftest import Run

RAISES = """
from graphctx import Context, Layer
import graphctx as gx


class Picky(Layer):
    def call(self, x, *, training: Context[bool] = False):
        if training:
            raise ValueError("not for training")
        return x * 2


model = Picky()
input_specs = gx.TensorSpec(("batch", 4), name="x")
"""


def bundle(path: str = "m.bundle") -> Any:
    import graphctx_onnx

    return graphctx_onnx.Bundle.load(path)


def test_export_writes_the_programs_of_all_contexts(run: Run) -> None:
    text = run("export", "models.py", "-o", "m.bundle").stdout
    assert text.startswith("m.bundle: 6 assignments -> 4 programs, ")
    assert "weights: " in text
    for condition in ("training=False", "training=True & mode=half"):
        assert condition in text
    x = np.ones((2, 4), "float32")
    found = bundle().run({"x": x}, training=True, mode="double", gain=3.0)["output"]
    expected = load("models.py").model(x, training=True, mode="double", gain=3.0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_export_of_some_contexts(run: Run) -> None:
    arguments = ["export", "models.py", "-o", "m.bundle", "--no-verify"]
    text = run(*arguments, "-a", "training=true,mode=half", "-a", "training=false").stdout
    assert text.startswith("m.bundle: 4 of 6 assignments -> 2 programs")
    found = json.loads(run(*arguments, "-c", "mode=same", "-c", "gain=2", "--json").stdout)
    assert found["title"] == "2 assignments -> 2 programs"
    assert [entry["condition"] for entry in found["classes"]] == ["training=False", "training=True"]
    assert [entry["verification"] for entry in found["classes"]] == [None, None]
    assert found["weights"] == "share"
    assert sum(Path(file).stat().st_size for file in found["files"]) == found["bytes"]
    assert bundle().manifest.fixed == {"mode": "same", "gain": 2.0}
    run(*arguments, "-r", "mode", "--fold", "--opset", "21")
    assert bundle().manifest.weights == "fold"
    assert {c.program.opset for c in bundle().classes} == {21}
    assert bundle().arguments["mode"].binding == "runtime"


def test_export_where_the_model_raises(run: Run, folder: Path) -> None:
    (folder / "picky.py").write_text(RAISES)
    text = run("export", "picky.py", "-o", "m.bundle").stdout
    assert "training=True: the model raises ValueError: not for training" in text
    text = run("bundle", "ls", "m.bundle").stdout
    assert "training=True: the model raises ValueError: not for training" in text


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["-o", "m.bundle", "-a", "training"], 2, "--assignment is written name=value (training"),
        (["-o", "m.bundle", "-a", "modus=half"], 1, "no layer reads a context argument 'modus'"),
        (["-o", "m.onnx", "-a", "mode=half"], 2, "--assignment is for bundles: write to model.bun"),
        (["-o", "m.onnx", "--fold"], 2, "--fold is for bundles: write to model.bundle"),
        (["-o", "m.bundle", "-a", "gain=1"], 1, "contexts name 'gain', which is left to run time"),
    ],
)
def test_export_refuses(run: Run, arguments: list[str], code: int, message: str) -> None:
    found = run("export", "models.py", *arguments, code=code)
    assert message in " ".join(found.stderr.split())
    assert not Path("m.bundle").exists()


def test_ls(run: Run) -> None:
    run("export", "models.py", "-o", "m.bundle", "--no-verify", "-c", "gain=1")
    text = run("bundle", "ls", "m.bundle").stdout
    assert text.startswith("m.bundle: net, graphctx ")
    assert "half | same | double" in text
    assert "gain is 1.0 in every program" in text
    assert "training=True & mode=double" in text
    found = json.loads(run("bundle", "ls", "m.bundle", "--json").stdout)
    assert found == json.loads(Path("m.bundle/manifest.json").read_text())


def test_add_and_prune(run: Run) -> None:
    run("export", "models.py", "-o", "m.bundle", "-a", "training=false")
    text = run("bundle", "add", "m.bundle", "models.py", "-a", "training=true,mode=half").stdout
    assert text.startswith("m.bundle: 4 of 6 assignments -> 2 programs")
    assert bundle().resolve(training=True, mode="half")
    arguments = ["bundle", "add", "m.bundle", "models.py", "-a", "training=true", "--json"]
    assert len(json.loads(run(*arguments).stdout)["classes"]) == 3
    text = run("bundle", "prune", "m.bundle", "--drop", "training=true,mode=half").stdout
    assert text.startswith("removed training=True & mode=half\nm.bundle: 0 tensors removed, ")
    found = json.loads(
        run("bundle", "prune", "m.bundle", "--drop", "training=false", "--json").stdout
    )
    assert found["classes"] == ["training=False"]
    assert found["bytes"] < found["bytes_before"]
    assert [c.condition for c in bundle().classes] == ["training=True & mode=same"]
    assert "has no default" not in text
    found = run("bundle", "prune", "m.bundle", "--drop", "mode=loud", code=1)
    assert "context argument 'mode' got 'loud'; allowed: 'half', 'same', 'double'" in found.stderr
    found = run("bundle", "add", "m.bundle", "models.py", code=2)
    assert "name what to add: --assignment training=true,mode=high" in found.stderr


def test_verify(run: Run, folder: Path) -> None:
    run("export", "models.py", "-o", "m.bundle", "--no-verify")
    text = run("bundle", "verify", "m.bundle").stdout
    assert text == "m.bundle: 4 files are as the manifest says\n"
    text = run("bundle", "verify", "m.bundle", "models.py", "--size", "batch=2").stdout
    assert text.count("agrees with net") == 4
    assert "batch=2" in text
    found = json.loads(run("bundle", "verify", "m.bundle", "models.py", "--json").stdout)
    assert len(found["classes"]) == 4
    assert found["classes"][0]["verification"]["largest_difference"] < 1e-5
    program = next(folder.glob("m.bundle/*.onnx"))
    program.write_bytes(program.read_bytes()[:-1])
    assert "is truncated: it has" in run("bundle", "verify", "m.bundle", code=1).stderr


@pytest.mark.parametrize("command", ["ls", "verify", "prune"])
def test_what_is_no_bundle(run: Run, folder: Path, command: str) -> None:
    assert "there is no such folder" in run("bundle", command, "none.bundle", code=1).stderr
    found = run("bundle", command, "models.py", code=1)
    assert "models.py: is a file; a bundle is a folder" in found.stderr
    (folder / "empty").mkdir()
    assert "not a bundle: it has no manifest.json" in run("bundle", command, "empty", code=1).stderr


def test_a_bundle_under_another_name(run: Run, folder: Path) -> None:
    """Where it is deployed, as in a volume of a container, the folder has the name of the place."""
    run("export", "models.py", "-o", "m.bundle", "--no-verify")
    (folder / "m.bundle").rename(folder / "models")
    assert "training=False" in run("bundle", "ls", "models").stdout
    assert "files are as the manifest says" in run("bundle", "verify", "models").stdout
    message = "the name of a bundle ends in .bundle"
    assert message in run("bundle", "prune", "models", code=1).stderr


def test_the_command_verify_is_for_files_of_one_context(run: Run) -> None:
    run("export", "models.py", "-o", "m.bundle", "--no-verify")
    found = run("verify", "m.bundle", "models.py", code=1)
    assert "a bundle has many contexts; use graphctx bundle verify" in found.stderr


def test_a_bundle_has_a_runner_for_its_default_context(run: Run) -> None:
    run("export", "models.py", "-o", "m.bundle", "--no-verify")
    x = np.ones((2, 4), "float32")
    found = exporter_for("m.bundle").runner("m.bundle")({"x": x})
    np.testing.assert_allclose(found["output"], load("models.py").model(x), rtol=1e-5)
