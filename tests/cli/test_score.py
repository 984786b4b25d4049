"""`score`: a bundle over the rows of a file."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from graphctx_onnx import Bundle

from .conftest import Run


@pytest.fixture
def bundle(run: Run) -> Callable[..., Any]:
    """A bundle in the working folder, and rows in both kinds of file."""
    run("export", "models.py", "-o", "m.bundle", "--no-verify")
    x = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)
    np.save("x.npy", x)
    pq.write_table(
        pa.table({"id": np.arange(50)} | {f"c{i}": x[:, i] for i in range(4)}), "x.parquet"
    )
    return lambda **values: Bundle.load("m.bundle").run({"x": x}, **values)["output"]


def test_arrays(run: Run, bundle: Callable[..., Any]) -> None:
    context = ["-c", "training=true", "-c", "mode=double", "-c", "gain=3"]
    result = run("score", "m.bundle", "x.npy", "y.npy", *context)
    first, second = result.stdout.splitlines()
    assert first == "y.npy: 50 rows of output, for training=True & mode=double"
    assert re.match(r"\d+\.\d s, [\d,]+ rows/s, ", second)
    assert result.stderr == ""  # no bar where there is no terminal
    expected = bundle(training=True, mode="double", gain=3.0)
    np.testing.assert_allclose(np.load("y.npy"), expected, rtol=1e-5)


def test_columns_and_json(run: Run, bundle: Callable[..., Any]) -> None:
    arguments = ["score", "m.bundle", "x.parquet", "y.parquet", "-i", "x=c0,c1,c2,c3", "-k", "i*"]
    found = json.loads(run(*arguments, "--json", "--workers", "1", "--memory", "1MiB").stdout)
    assert found.pop("seconds") >= 0
    assert found == {
        "path": "y.parquet", "rows": 50, "resumed_rows": 0, "condition": "training=False",
        "outputs": ["output"], "seed": None, "segment": None, "block_rows": found["block_rows"],
        "workers": 1,
    }  # fmt: skip
    made = pq.read_table("y.parquet")
    assert made.column_names == ["id", "output"]
    np.testing.assert_allclose(np.stack(made["output"].to_numpy()), bundle(), rtol=1e-5)
    assert "exists; replace it with --overwrite" in run(*arguments, code=1).stderr
    run(*arguments, "--overwrite")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["-c", "mod=half"], 1, "no context argument 'mod'; did you mean 'mode'?"),
        (["-c", "training=maybe"], 1, "'training' got 'maybe'; allowed: False, True"),
        (["-c", "gain=much"], 1, "'gain' got 'much'; allowed: any number but NaN"),
        (["-o", "logits"], 1, "the program has no output 'logits' (outputs: 'output')"),
        (["-i", "x"], 2, "--input is written name=value (x=width,height), got 'x'"),
        (["--memory", "much"], 2, "--memory is written 512MiB or 2GiB, got 'much'"),
        (["--block-rows", "0"], 2, "block-rows"),
    ],
)
def test_what_is_refused(
    options: list[str], code: int, message: str, run: Run, bundle: Any, folder: Path
) -> None:
    result = run("score", "m.bundle", "x.npy", "y.npy", *options, code=code)
    assert message in result.stderr
    assert {path.name for path in folder.glob("*y.npy*")} == set()


def test_what_is_no_bundle(run: Run, bundle: Any) -> None:
    assert "models.py" in run("score", "models.py", "x.npy", "y.npy", code=1).stderr
    assert "no such file or folder" in run("score", "m.bundle", "z.npy", "y.npy", code=1).stderr


def test_costs_of_leaving_context_open(run: Run) -> None:
    text = run("summary", "models.py", "-r", "training", "-r", "mode").stdout
    assert text.startswith("training, mode left to run time: ")
    assert "training=True & mode=half" in text
    found = json.loads(run("summary", "models.py", "-r", "mode", "--json").stdout)
    assert found["runtime"] == ["mode"]
