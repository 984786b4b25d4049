"""`export` and `verify`."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from graphctx.cli.models import load

from .conftest import Run


def test_export_writes_a_verified_file(run: Run) -> None:
    text = run(
        "export", "models.py", "-o", "m.onnx", "-c", "training=true", "-c", "mode=half"
    ).stdout
    assert text.startswith("m.onnx: ")
    assert "verified with onnxruntime" in text
    x = np.ones((2, 4), "float32")
    [y] = onnxruntime.InferenceSession("m.onnx").run(None, {"x": x})
    np.testing.assert_allclose(y, load("models.py").model(x, training=True, mode="half"), atol=1e-6)


def test_export_as_json(run: Run) -> None:
    found = json.loads(
        run(
            "export", "models.py", "-o", "m.onnx", "--opset", 21, "--size", "batch=2,9", "--json"
        ).stdout
    )
    assert found["opset"] == 21
    assert found["context"] == {"training": False, "mode": "same", "gain": 1.0}
    assert {row["sizes"]["batch"] for row in found["verification"]["rows"]} == {2, 9}
    assert found["verification"]["largest_difference"] < 1e-5


def test_export_leaves_arguments_to_run_time(run: Run) -> None:
    arguments = ["export", "models.py", "-o", "m.onnx", "-r", "mode", "-c", "training=true"]
    text = run(*arguments).stdout
    assert "for training=True, gain=1.0, with 'mode' as inputs" in text
    assert "batch=2, mode=half" in text
    session = onnxruntime.InferenceSession("m.onnx")
    x = np.ones((2, 4), "float32")
    [y] = session.run(None, {"x": x, "mode": np.array("double", object)})
    expected = load("models.py").model(x, training=True, mode="double")
    np.testing.assert_allclose(y, expected, atol=1e-6)
    assert json.loads(run(*arguments, "--json").stdout)["runtime"] == ["mode"]
    assert "agrees with net" in run("verify", "m.onnx", "models.py").stdout


def test_export_without_verification(run: Run) -> None:
    assert "not verified" in run("export", "models.py", "-o", "m.onnx", "--no-verify").stdout
    arguments = ["export", "models.py", "-o", "m.onnx", "--no-verify", "--json"]
    assert json.loads(run(*arguments).stdout)["verification"] is None


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["-o", "no/m.onnx"], 1, "the folder 'no' does not exist"),
        (["-o", "m.foo"], 1, "no exporter knows '.foo' files"),
        (["-o", "m.onnx", "--opset", 99], 1, "opset 99 cannot be written"),
        (["-o", "m.onnx", "--size", "batch=x"], 2, "--size is written batch=1,8, got batch=x"),
        (["-o", "m.onnx", "--size", "bitch=1"], 1, "no input has a dimension 'bitch'"),
        (["-o", "m.onnx", "-c", "mode=other"], 1, "allowed: 'half', 'same', 'double'"),
        (["-o", "folder.onnx"], 1, "folder.onnx: is a folder; give the name of a file in it"),
        (["-o", "models.py/m.onnx"], 1, "models.py/m.onnx: 'models.py' is not a folder"),
        (["-o", ""], 1, "no exporter knows files without a suffix"),
        (["-o", "m.onnx", "--opset", "x"], 2, "valid integer"),
        (["-o", "m.onnx", "--size", "batch"], 2, "--size is written name=value (batch=1,8)"),
        (
            ["-o", "m.onnx", "--size", "batch=1,,2"],
            2,
            "--size is written batch=1,8, got batch=1,,2",
        ),
        (["-o", "m.onnx", "--size", "batch=-1"], 2, "--size takes numbers from 0 on, got batch=-1"),
        (["-o", "m.onnx", "--size", "batch=1", "--size", "batch=2"], 2, "gives 'batch' twice"),
        (["-o", "m.onnx", "--size", "batch=9999999999999"], 1, "no memory to verify it at batch="),
        (["-o", "m.onnx", "-c", "mode=half", "-c", "mode=half"], 2, "gives 'mode' twice"),
        ([], 2, "Missing option"),
    ],
)
def test_exports_that_fail_leave_nothing(
    folder: Path, run: Run, arguments: list[str], code: int, message: str
) -> None:
    (folder / "folder.onnx").mkdir()
    result = run("export", "models.py", *arguments, "--json", code=code)
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == ["models.py"]


def test_verify_takes_the_context_from_the_file(run: Run) -> None:
    run("export", "models.py", "-o", "m.onnx", "-c", "training=true", "-c", "mode=half")
    text = run("verify", "m.onnx", "models.py").stdout
    assert "m.onnx: agrees with net for training=True, mode='half', gain=1.0" in text
    found = json.loads(run("verify", "m.onnx", "models.py", "--json").stdout)
    assert found["context"]["mode"] == "half"


def test_verify_finds_another_context(run: Run) -> None:
    run("export", "models.py", "-o", "m.onnx", "-c", "training=true", "-c", "mode=half")
    result = run("verify", "m.onnx", "models.py", "-c", "mode=double", code=1)
    assert "error: " in result.stderr
    assert "net" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("file", "code", "message"),
    [
        ("nope.onnx", 1, "nope.onnx: cannot be read"),
        ("models.py", 1, "no exporter knows '.py' files (models.py); known: '.bundle', '.onnx'"),
        ("models", 1, "no exporter knows files without a suffix (models); known: '.bundle'"),
    ],
)
def test_files_that_cannot_be_verified(run: Run, file: str, code: int, message: str) -> None:
    assert message in run("verify", file, "models.py", code=code).stderr
