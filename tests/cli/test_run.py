"""`run`: arrays in and out."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from graphctx.cli import arrays
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
    assert "model/dense/kernel (net/dense/kernel: file [4, 3], model [4, 2])" in result.stderr


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
        (["x.npy", "-o", "no/y.npy"], 1, "no/y.npy: cannot be written: the folder 'no' does not"),
        (
            ["x.npy", "-o", "folder.npy"],
            2,
            "folder.npy: is a folder; give the name of a file in it",
        ),
        (["x.npy", "-o", "/proc/y.npy"], 1, "/proc/y.npy: cannot be written: No such file or dir"),
        (["folder.npy"], 1, "folder.npy: cannot be read: Is a directory"),
        (["more.npz"], 1, "net: no input 'z' (inputs: x: float32[batch, 4])"),
        (["big.npz"], 1, "net: no input 'X'"),
        (["bare.npz"], 1, "no input 'arr_0'; give np.savez the arrays by name: np.savez(path, x="),
        (["none.npz"], 1, "net: 0 arrays for 1 inputs (x: float32[batch, 4]); missing: 'x'"),
        (["good.npz", "more.npz"], 2, "more.npz: 'x' is in another file, too"),
        (["flat.npy"], 1, "input 'x': expected float32[batch, 4], which has 2 dimensions"),
        (["dates.npy"], 1, "dates.npy: dtype datetime64[D] is not supported"),
        (["dates.npz"], 1, "dates.npz, 'x': dtype datetime64[D] is not supported"),
        (["objects.npy"], 1, "objects.npy: not a .npy file of plain arrays"),
        (["short.npy"], 1, "short.npy: not a .npy file of plain arrays"),
        (["short.npz"], 1, "short.npz: not a .npz file of plain arrays"),
        (["empty.npy"], 1, "empty.npy: not a .npy file of plain arrays"),
        (["damaged.npz"], 1, "damaged.npz: not a .npz file of plain arrays"),
        (["packed.npz"], 1, "packed.npz: not a .npz file of plain arrays"),
        (["other.npz"], 1, "other.npz: not a .npz file of plain arrays"),
        (["good.npy"], 1, "good.npy: not a .npy file of plain arrays"),
        (["swapped.npz"], 1, "swapped.npz: not a .npz file of plain arrays"),
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
    broken_files()
    before = sorted(Path().iterdir())
    result = run("run", "models.py", *arguments, "--json", code=code)
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert sorted(Path().iterdir()) == before


def broken_files() -> None:
    """Files of arrays that are damaged, of another kind, or that do not fit."""
    Path("folder.npy").mkdir()
    np.savez("more.npz", x=X, z=X)
    np.savez("big.npz", X=X)
    np.savez("bare.npz", X)
    np.savez("good.npz", x=X)
    np.savez("none.npz")
    np.savez_compressed("packed.npz", x=np.zeros((64, 4), "float32"))
    np.save("flat.npy", X[0])
    np.save("dates.npy", np.array(["2020-01-01"], "datetime64[D]"))
    np.savez("dates.npz", x=np.array(["2020-01-01"], "datetime64[D]"))
    np.save("objects.npy", np.array([{}], object), allow_pickle=True)
    Path("empty.npy").touch()
    Path("short.npy").write_bytes(Path("x.npy").read_bytes()[:140])
    Path("short.npz").write_bytes(Path("good.npz").read_bytes()[:100])
    for name, source, at in (("damaged.npz", "good.npz", 60), ("packed.npz", "packed.npz", 80)):
        content = bytearray(Path(source).read_bytes())
        content[at : at + 20] = b"\xff" * 20
        Path(name).write_bytes(content)
    Path("good.npy").write_bytes(Path("good.npz").read_bytes())
    Path("swapped.npz").write_bytes(Path("x.npy").read_bytes())
    with zipfile.ZipFile("other.npz", "w") as archive:
        archive.writestr("notes.txt", "no array")


@pytest.mark.usefixtures("folder")
def test_the_other_byte_order_is_read(run: Run) -> None:
    np.save("x.npy", X.astype(">f4"))
    run("run", "models.py", "x.npy", "-o", "y.npy")
    np.testing.assert_allclose(np.load("y.npy"), load("models.py").model(X), rtol=1e-6)


@pytest.mark.parametrize("name", ["y.npy", "y.npz"])
def test_outputs_are_written_whole_or_not_at_all(
    name: str, x: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(name).write_text("precious")
    before = sorted(Path().iterdir())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(arrays, "write_array", full)
    result = run("run", "models.py", x, "-o", name, code=1)
    assert f"{name}: cannot be written: No space left on device" in result.stderr
    assert Path(name).read_text() == "precious"
    assert sorted(Path().iterdir()) == before


@pytest.mark.usefixtures("x")
def test_one_npy_file_holds_one_output(run: Run) -> None:
    result = run(
        "run", "models.py:pair", "x.npy", "x.npy", "-i", "float32[n,4]", "-i", "float32[n,4]",
        "-o", "y.npy", code=2,
    )  # fmt: skip
    assert "there are 2 outputs, and a .npy file has one; use .npz" in result.stderr
    assert not Path("y.npy").exists()
