"""What `export` and `verify` are asked for: all of it is checked before any work is done."""

from __future__ import annotations

import inspect
import math
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import graphctx_onnx
import numpy as np
import onnx
import onnxruntime
import pytest
from graphctx_onnx import destination, pipeline, read_metadata, verify
from graphctx_onnx.compare import Tolerance, difference
from graphctx_onnx.names import usable

import graphctx as gx
from graphctx import ExportError, TensorSpec, VerificationError, nn, ops
from tests.exporters import onnx_models as models

ROOT = Path(__file__).parents[2]


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be converted."""

    def forbidden(*_: Any, **__: Any) -> Any:
        raise AssertionError("work was done")

    monkeypatch.setattr(pipeline, "convert", forbidden)


# -- options --------------------------------------------------------------------------------------

TOLERANCES = [math.nan, math.inf, -math.inf, -1, "x", True, 1j, [1e-3], np.float32("nan")]


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("name", ["rtol", "atol"])
@pytest.mark.parametrize("value", TOLERANCES, ids=repr)
@pytest.mark.parametrize("compared", [True, False])
def test_tolerances(name: str, value: Any, compared: bool, tmp_path: Path) -> None:
    message = f"{name} is a finite number >= 0 such as 1e-4, got {value!r}; verify=False exports"
    with pytest.raises(ExportError, match=re.escape(message)):
        gx.export(models.net(), tmp_path / "m.onnx", verify=compared, **{name: value})
    assert not list(tmp_path.iterdir())


def test_tolerances_of_verify(tmp_path: Path) -> None:
    gx.export(models.net(), tmp_path / "m.onnx", rtol=0.1, atol=np.float32(0.1))
    with pytest.raises(ExportError, match="rtol is a finite number >= 0"):
        verify(tmp_path / "m.onnx", models.net(), rtol=math.nan)


def test_a_nan_tolerance_would_find_differences() -> None:
    one = np.ones(2, "float32")
    assert difference(one, one * 2, Tolerance(math.nan, math.nan)).problem


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"external_threshold": -1}, "external_threshold is a number of bytes, got -1"),
        ({"external_threshold": "1M"}, "external_threshold is a number of bytes, got '1M'"),
        ({"external_threshold": 1.5}, "external_threshold is a number of bytes, got 1.5"),
        ({"external_threshold": True}, "external_threshold is a number of bytes, got True"),
        ({"opset": "18"}, "opset is a number from 18 to 28, got '18'"),
        ({"opset": 18.0}, "opset is a number from 18 to 28, got 18.0"),
        ({"opset": True}, "opset is a number from 18 to 28, got True"),
        ({"opset": 17}, "opset 17 cannot be written: choose one from 18 to 28"),
        ({"verify": "no"}, "verify is True or False, got 'no'"),
        ({"verify": 3}, "verify is True or False, got 3"),
        ({"verify": None}, "verify is True or False, got None"),
        ({"progress": 3}, "progress is a function of (stage, steps done, steps in all), got 3"),
        ({"sizes": 3}, "sizes is a dict such as {'batch': [1, 8]}, got 3"),
        ({"sizes": "batch"}, "sizes is a dict such as {'batch': [1, 8]}, got 'batch'"),
        ({"sizes": {1: [2]}}, "sizes: no input has a dimension 1; there are 'batch'"),
        ({"sizes": {"batch": -1}}, "'batch' needs a list of numbers such as [1, 8], got -1"),
        ({"sizes": {"batch": [1.5]}}, "'batch' needs a list of numbers such as [1, 8], got [1.5]"),
        ({"sizes": {"batch": True}}, "'batch' needs a list of numbers such as [1, 8], got True"),
        ({"sizes": {"batch": None}}, "'batch' needs a list of numbers such as [1, 8], got None"),
        ({"sizes": {"batch": "12"}}, "'batch' needs a list of numbers such as [1, 8], got '12'"),
        ({"inputs": "abc"}, "inputs: expected a dict of arrays, a list of them, or a function"),
        ({"inputs": object()}, "function that returns either, got object"),
        ({"inputs": {1: 2}}, "inputs: the program has no input 1"),
        ({"inputs": {"features": None}}, "inputs: 'features' holds a Python object: None"),
        ({"inputs": {"features": [[1], [2, 3]]}}, "inputs: 'features' is no array: "),
        ({"inputs": lambda: 3}, "inputs: a function is called with (sizes, NumPy random generator"),
        (
            {"optset": 18},
            "the exporter 'onnx' has no option 'optset'; did you mean 'opset'? (options: 'atol', ",
        ),
        (
            {"training": True},
            "its context is chosen there: gx.compile(graph, training=...)",
        ),
        ({"context": 3}, "context= is a dict such as {'training': True}, got 3"),
        ({"context": {"training": True}}, "context= goes with a graph"),
        ({"format": "onx"}, "no exporter 'onx'; did you mean 'onnx'?"),
    ],
)  # fmt: skip
def test_options_that_make_no_sense(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=re.escape(message)):
        gx.export(models.net(), tmp_path / "m.onnx", **options)
    assert not list(tmp_path.iterdir())


def test_an_option_that_is_context(tmp_path: Path) -> None:
    graph = gx.trace(models.Net(), TensorSpec(("batch", 4), name="features"))
    with pytest.raises(ExportError, match=re.escape("give a context argument as context={'traini")):
        gx.export(graph, tmp_path / "m.onnx", training=True)
    assert gx.export(graph, tmp_path / "m.onnx", context={"training": True}).report is not None


def test_integers_of_numpy_are_integers(tmp_path: Path) -> None:
    result = gx.export(
        models.net(), tmp_path / "m.onnx", opset=np.int64(20), external_threshold=np.int32(256),
        sizes={"batch": np.array([1, 5])},
    )  # fmt: skip
    assert (result.opset, len(result.files)) == (20, 2)
    assert {row.sizes["batch"] for row in result.report.rows} == {1, 5}


def test_the_exporter_lists_its_options() -> None:
    parameters = inspect.signature(graphctx_onnx.export).parameters.values()
    keywords = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    assert list(graphctx_onnx.exporter.options) == keywords


@pytest.mark.parametrize("size", [10**13, 10**18])
def test_sizes_that_no_memory_holds(size: int, tmp_path: Path) -> None:
    message = f"net: there is no memory to verify it at batch={size}; choose smaller sizes"
    with pytest.raises(VerificationError, match=message):
        gx.export(models.net(), tmp_path / "m.onnx", sizes={"batch": size})
    assert not list(tmp_path.iterdir())


# -- what is exported, and where to ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "got"),
    [
        (nn.Dense(2), "the layer 'dense'"),
        (nn.Dense, "the class Dense"),
        (len, "builtin_function_or_method"),
        (None, "NoneType"),
        ("m.onnx", "'m.onnx'"),
    ],
)
@pytest.mark.parametrize("function", [gx.export, graphctx_onnx.export])
def test_what_is_no_program(program: Any, got: str, function: Any, tmp_path: Path) -> None:
    with pytest.raises(ExportError) as caught:
        function(program, tmp_path / "m.onnx")
    assert str(caught.value) == (
        f"expected a program or its graph, got {got}; trace and compile a model first: "
        f"gx.compile(gx.trace(model, gx.TensorSpec(...)))"
    )
    with pytest.raises(ExportError, match="expected a program or its graph"):
        verify(tmp_path / "m.onnx", program)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (5, "the path of a file is a str or a pathlib.Path, got int"),
        (None, "the path of a file is a str or a pathlib.Path, got NoneType"),
        (b"m.onnx", "got bytes; decode it with os.fsdecode"),
        ("a\0b.onnx", r"'a\x00b.onnx': no path of a file: it holds a zero character"),
        ("x" * 300 + ".onnx", "cannot be written: File name too long"),
    ],
)
def test_paths_that_are_none(path: Any, message: str) -> None:
    for function in (gx.export, graphctx_onnx.export):
        with pytest.raises(ExportError, match=re.escape(message)):
            function(models.net(), path)
    reading = message.replace("written", "read")
    with pytest.raises(ExportError, match=re.escape(reading)):
        verify(path, models.net())
    with pytest.raises(ExportError, match=re.escape(reading)):
        read_metadata(path)


def test_the_longest_names_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 245 + ".onnx")
    assert gx.export(models.net(), path, verify=False).path == path


@pytest.mark.parametrize("name", ["", ".onnx"])
def test_a_path_without_a_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"ends in \.onnx; write to 'model\.onnx' instead"):
        graphctx_onnx.export(models.net(), tmp_path / name if name else "")


# -- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a b", "a/b", "ü", "😀", "line\nbreak", " ", "x:new", "a" * 500])
def test_names_of_the_user_are_kept(name: str, tmp_path: Path) -> None:
    program = models.program(lambda x: {name: ops.tanh(x)}, TensorSpec(("n",), name=f"in{name}"))
    session = onnxruntime.InferenceSession(str(gx.export(program, tmp_path / "m.onnx").path))
    assert [port.name for port in session.get_inputs()] == [f"in{name}"]
    assert [port.name for port in session.get_outputs()] == [name]


def test_an_empty_name_is_replaced(tmp_path: Path) -> None:
    program = models.program(
        lambda x: {"": ops.tanh(x), "output": x * 2}, TensorSpec(("n",), name="x")
    )
    path = tmp_path / "m.onnx"
    gx.export(program, path)
    outputs = read_metadata(path).signature["outputs"]
    assert {port["output"]: port["name"] for port in outputs} == {
        "": "output_0", "output": "output"
    }  # fmt: skip
    verify(path, program)


@pytest.mark.parametrize(
    ("name", "problem"),
    [("\ud800", "it is no valid Unicode"), ("x\0y", "it holds a zero character")],
)
def test_names_that_no_runtime_reads(name: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError) as caught:
        usable(name, "input")
    assert str(caught.value) == f"input {name!r}: ONNX cannot have this name, {problem}; rename it"
    for program in (
        models.program(lambda x: {name: ops.tanh(x)}, TensorSpec(("n",))),
        models.program(ops.tanh, TensorSpec(("n",), name=name)),
    ):
        with pytest.raises(ExportError, match=problem):
            gx.export(program, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_context_that_is_no_valid_unicode(tmp_path: Path) -> None:
    class Named(gx.Layer):
        def call(self, x: Any, *, style: gx.Context[str] = "\udcff") -> Any:
            return x * 2 if style == "loud" else x

    program = gx.compile(gx.trace(Named(), TensorSpec(("n",)), domains={"style": ["loud"]}))
    gx.export(program, tmp_path / "m.onnx")
    assert read_metadata(tmp_path / "m.onnx").assignment == {"style": "\udcff"}


@pytest.mark.parametrize("value", ['{"training": tr', "3"])
def test_damaged_metadata(value: str, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    gx.export(models.net(), path, verify=False)
    model = onnx.load(path)
    for entry in model.metadata_props:
        if entry.key == "graphctx.assignment":
            entry.value = value
    onnx.save(model, path)
    with pytest.raises(ExportError, match=r"m\.onnx: its property 'graphctx.assignment' is damag"):
        verify(path, models.net())


# -- inputs that are not finite -------------------------------------------------------------------

MIXED = np.array([[1, np.nan], [np.inf, -np.inf], [0, -2]], "float32")


@pytest.mark.parametrize("name", ["tanh", "relu", "sigmoid", "exp", "sign", "isnan", "softmax"])
def test_nan_and_infinity_stay_where_they_are(name: str, tmp_path: Path) -> None:
    program = models.program(getattr(ops, name), TensorSpec(("n", 2), name="x"))
    report = gx.export(program, tmp_path / "m.onnx", inputs=MIXED).report
    assert report.largest < 1e-6


def test_inputs_that_make_the_verification_void(tmp_path: Path) -> None:
    program = models.program(ops.tanh, TensorSpec(("n", 2), name="x"))
    with pytest.raises(VerificationError) as caught:
        gx.export(program, tmp_path / "m.onnx", inputs=np.full((3, 2), np.nan, "float32"))
    assert str(caught.value) == (
        "lambda: verification proves nothing: output 'output' is NaN or infinite throughout in "
        "every trial; that begins at the input 'x', which holds NaN elements; give other inputs"
    )


def test_runtimes_that_treat_nan_differently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = models.program(lambda x: ops.min(x, axis=1), TensorSpec(("n", 2), name="x"))
    run = graphctx_onnx.verification.run
    monkeypatch.setattr(
        graphctx_onnx.verification, "run",
        lambda *args: {k: np.nan_to_num(v) for k, v in run(*args).items()},
    )  # fmt: skip
    with pytest.raises(VerificationError) as caught:
        gx.export(program, tmp_path / "m.onnx", inputs=MIXED)
    assert "NaN at other places, first at [0]" in str(caught.value)
    assert str(caught.value).endswith(
        "; the inputs given hold NaN or infinite elements ('x'), of which ONNX does not say what "
        "every operator makes: if the model need not take them, give finite ones"
    )


# -- interruptions, and others at work ------------------------------------------------------------


@pytest.mark.parametrize(
    ("present", "last"), [(True, 1), (True, 2), (True, 3), (False, 1), (False, 2)]
)
@pytest.mark.parametrize("after", [True, False])
def test_an_interruption_while_moving(
    present: bool, last: int, after: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever Ctrl-C comes, just before or just after a move, a whole model is there or none."""
    path = tmp_path / "m.onnx"
    if present:
        gx.export(models.net(), path, external_threshold=0, verify=False)
    replace, calls = os.replace, 0

    def move(source: Any, target: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == last and not after:
            raise KeyboardInterrupt
        replace(source, target)
        if calls == last:
            raise KeyboardInterrupt

    monkeypatch.setattr(destination.os, "replace", move)
    moves = 3 if present else 2
    with pytest.raises(KeyboardInterrupt):
        gx.export(models.net(training=True), path, external_threshold=0, verify=False)
    monkeypatch.undo()
    found = sorted(entry.name for entry in tmp_path.iterdir())
    is_done = after and last == moves
    assert found == (["m.onnx", "m.onnx.data"] if present or is_done else [])
    if found:
        verify(path, models.net(training=is_done))


@pytest.mark.skipif(destination.fcntl is None, reason="there are no locks of folders")
def test_one_export_moves_its_files_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, replace = tmp_path / "m.onnx", os.replace
    halfway, go_on = threading.Event(), threading.Event()

    def move(source: Any, target: Any) -> None:
        if target == path and not halfway.is_set():
            halfway.set()
            assert go_on.wait(60)
        replace(source, target)

    def write(training: bool) -> None:
        gx.export(models.net(training=training), path, external_threshold=0, verify=False, opset=21)

    monkeypatch.setattr(destination.os, "replace", move)
    first, second = (threading.Thread(target=write, args=(value,)) for value in (True, False))
    first.start()
    assert halfway.wait(60)
    second.start()
    second.join(0.5)
    assert second.is_alive()
    assert not path.exists()
    go_on.set()
    first.join()
    second.join()
    assert read_metadata(path).assignment["training"] is False
    verify(path, models.net())


WRITER = """
import sys
import graphctx as gx
from tests.exporters import onnx_models as models

scale = 3 if sys.argv[2] == "1" else 1
model = models.Net()
for variable in model.weights.values():
    variable.assign(variable.numpy() * scale)
graph = gx.trace(model, gx.TensorSpec(("batch", 4), name="features"))
program = gx.compile(graph, training=sys.argv[2] == "1")
print("ready", flush=True)
sys.stdin.readline()
for _ in range(40):
    gx.export(program, sys.argv[1], external_threshold=0, verify=False)
"""


def test_two_processes_that_write_one_path(tmp_path: Path) -> None:
    """The file and its data file are of one of them, and nothing else is there."""
    path = tmp_path / "m.onnx"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), number],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )
        for number in "01"
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["m.onnx", "m.onnx.data"]
    training = read_metadata(path).assignment["training"]
    kernel = next(
        onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load(path).graph.initializer
        if tensor.name == "net/first/linear/kernel"
    )
    want = models.Net().first.linear.kernel.numpy() * (3 if training else 1)
    np.testing.assert_array_equal(kernel, want)
