"""`run`: arrays in and out."""

import json
from pathlib import Path

import numpy as np
import pytest

from graphctx.cli.models import load

from .conftest import Run

X = np.arange(8, dtype="float32").reshape(2, 4)


@pytest.fixture
def x(folder: Path) -> Path:
    np.save(folder / "x.npy", X)
    return folder / "x.npy"


@pytest.mark.usefixtures("x")
def test_without_an_output_file_the_outputs_are_shown(run: Run) -> None:
    lines = run("run", "models.py", "x.npy").stdout.splitlines()
    assert lines[0] == "output: float32[2, 3]"
    assert lines[1].startswith("  [[")


def test_npy_in_and_out(run: Run, x: Path) -> None:
    text = run(
        "run", "models.py", x, "-c", "training=true", "-c", "mode=half", "-o", "y.npy"
    ).stdout
    assert text == "output: float32[2, 3]\nwritten to y.npy\n"
    want = load("models.py").model(X, training=True, mode="half")
    np.testing.assert_allclose(np.load("y.npy"), want, rtol=1e-6)


@pytest.mark.usefixtures("folder")
def test_npz_in_and_out_by_name(run: Run) -> None:
    np.savez("in.npz", right=X, left=3 * X)
    run(
        "run",
        "models.py:pair",
        "in.npz",
        "-i",
        "float32[n,4]",
        "-i",
        "float32[n,4]",
        "-o",
        "out.npz",
    )
    with np.load("out.npz") as found:
        assert sorted(found.files) == ["difference", "sum"]
        np.testing.assert_array_equal(found["sum"], 4 * X)
        np.testing.assert_array_equal(found["difference"], 2 * X)


@pytest.mark.usefixtures("x")
def test_arrays_say_what_the_inputs_are_where_nothing_else_does(folder: Path, run: Run) -> None:
    (folder / "bare.py").write_text(
        "from graphctx import Layer\n"
        "class Sub(Layer):\n    def call(self, a, b):\n        return a - b\n"
        "model = Sub()\n"
    )
    np.save("one.npy", np.ones(4, "float32"))
    run("run", "bare.py", "x.npy", "one.npy", "-o", "y.npy")
    np.testing.assert_array_equal(np.load("y.npy"), X - 1)


def test_the_seed_decides_random_numbers(run: Run, x: Path) -> None:
    arguments = ["run", "models.py:noisy", x, "--json", "--seed"]
    first, again, other = (run(*arguments, seed).stdout for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_json_holds_the_values(run: Run, x: Path) -> None:
    found = json.loads(run("run", "models.py", x, "--json").stdout)
    assert found["output"]["dtype"] == "float32"
    assert np.shape(found["output"]["values"]) == (2, 3)


@pytest.mark.usefixtures("folder")
def test_json_of_what_json_lacks(run: Run) -> None:
    np.save("x.npy", np.array([[np.nan, np.inf, 1, 2]], "float32"))
    text = run("run", "models.py:by_name", "x.npy", "--json", code=2).stderr
    assert "models.py has no 'by_name'" in text
    found = json.loads(run("run", "models.py:named", "x.npy", "-c", "style=a", "--json").stdout)
    assert found["output"]["values"] == [["nan", "inf", 1.0, 2.0]]


def test_weights_from_a_file(run: Run, x: Path) -> None:
    model = load("models.py").model
    for variable in model.weights.values():
        variable.assign(np.ones(variable.shape))
    model.save_weights("ones.safetensors")
    run("run", "models.py", x, "--weights", "ones.safetensors", "-o", "y.npy")
    np.testing.assert_array_equal(np.load("y.npy"), np.repeat(X.sum(1, keepdims=True) + 1, 3, 1))
    result = run("run", "models.py:functional", x, "--weights", "ones.safetensors", code=1)
    assert "missing: model/dense/kernel" in result.stderr


def test_strings_are_written_and_shown(folder: Path, run: Run) -> None:
    (folder / "words.py").write_text(
        "import graphctx as gx\n"
        "class Same(gx.Layer):\n    def call(self, words):\n        return words\n"
        "model = Same()\ninput_specs = gx.TensorSpec(('n',), 'str')\n"
    )
    np.save("words.npy", np.array(["a", "bcd"]))
    run("run", "words.py", "words.npy", "-o", "out.npz")
    with np.load("out.npz", allow_pickle=False) as found:
        assert found["output"].tolist() == ["a", "bcd"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nope.npy"], 1, "nope.npy: cannot be read: No such file or directory"),
        (["models.py"], 2, "inputs are read from .npz (by name) and .npy files"),
        ([], 1, "net: 0 arrays for 1 inputs (x: float32[batch, 4]); missing: 'x'"),
        (["x.npy", "x.npy"], 1, "net: 2 arrays for 1 inputs"),
        (["x.npy", "-o", "y.txt"], 2, "outputs are written to .npz (by name) and .npy files"),
        (["x.npy", "-o", "no/y.npy"], 1, "no/y.npy: cannot be written: No such file or directory"),
        (["wrong.npz"], 1, "net: no input 'y' (inputs: x: float32[batch, 4])"),
        (["double.npy"], 1, "input 'x': expected float32[batch, 4], got float64[2, 4]"),
        (["text.npy"], 1, "text.npy: not a .npy file of plain arrays"),
        (["text.npz"], 1, "text.npz: not a .npz file of plain arrays"),
    ],
)
@pytest.mark.usefixtures("x")
def test_files_that_do_not_fit(run: Run, arguments: list[str], code: int, message: str) -> None:
    np.savez("wrong.npz", y=X)
    np.save("double.npy", X.astype("float64"))
    for name in ("text.npy", "text.npz"):
        Path(name).write_text("no array")
    result = run("run", "models.py", *arguments, code=code)
    assert message in result.stderr
    assert result.stdout == ""


@pytest.mark.usefixtures("x")
def test_one_npy_file_holds_one_output(run: Run) -> None:
    result = run(
        "run", "models.py:pair", "x.npy", "x.npy", "-i", "float32[n,4]", "-i", "float32[n,4]",
        "-o", "y.npy", code=2,
    )  # fmt: skip
    assert "there are 2 outputs, and a .npy file has one; use .npz" in result.stderr
    assert not Path("y.npy").exists()
