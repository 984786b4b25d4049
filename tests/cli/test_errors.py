"""Errors: one message, an exit code, no traceback."""

import json
import os
from pathlib import Path

import pytest

import graphctx
from graphctx.cli import screen

from .conftest import Run


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["trace", "models.py", "-c", "mode=hal"], 1, "net: context argument 'mode' got 'hal'"),
        (["trace", "models.py", "-c", "mod=half"], 1, "did you mean 'mode'?"),
        (["trace", "models.py", "-c", "gain=much"], 1, "'gain' got 'much'; allowed: float"),
        (["trace", "models.py", "-c", "mode"], 2, "--context is written name=value"),
        (["trace", "models.py", "-c", "mode=half", "-c", "mode=same"], 2, "gives 'mode' twice"),
        (["trace", "models.py:broken"], 1, "models.py:44: NameError: name 'undefined_name'"),
        (["trace", "models.py:by_data"], 1, "`if tensor:`"),
        (["trace", "nope.py"], 2, "no file 'nope.py'"),
        (["trace"], 2, "Missing argument"),
        (["trace", "models.py", "--nope"], 2, "No such option"),
        (["nope"], 2, "No such command 'nope'"),
        (["contexts"], 2, "Missing argument 'MODEL'"),
        (["summary"], 2, "Missing argument 'MODEL'"),
        (["run"], 2, "Missing argument 'MODEL'"),
        (["export", "models.py"], 2, "Missing option '--output'"),
        (["verify", "a.onnx"], 2, "Missing argument 'MODEL'"),
        (["explain", "models.py"], 2, "Missing argument 'PATH'"),
        (["explain", "models.py", "net"], 2, "Missing argument 'ARG'"),
        (["explain", "models.py", "net", "nope"], 1, "net: the layer does not read 'nope'"),
        (["explain", "models.py", "nope", "mode"], 1, "net: no layer call 'nope'"),
        (["trace", "models.py", "more"], 2, "unexpected extra argument"),
        (["trace", "models.py", "-c"], 2, "Option '-c' requires an argument"),
        (["trace", "models.py", "-c", "=half"], 2, "--context is written name=value"),
        (["trace", "models.py", "-c", "mode=\udcff"], 1, "got '\\udcff'; allowed: 'half'"),
        (["contexts", "models.py", "--domain", "style"], 2, "--domain is written name=value"),
        (
            ["contexts", "models.py", "--domain", "nope=3"],
            1,
            "domains names 'nope', which no layer",
        ),
        (["run", "models.py", "--seed", "-1"], 2, "greater than or equal to 0"),
        (["run", "models.py", "--seed", "x"], 2, "valid integer"),
        (["demo", "--draws", "0"], 2, "greater than or equal to 1"),
        (["demo", "-o", "models.py"], 1, "models.py: cannot be made: File exists"),
    ],
)
def test_messages(run: Run, arguments: list[str], code: int, message: str) -> None:
    result = run(*arguments, code=code)
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1 / 0\n", "error: bad.py:1: ZeroDivisionError: division by zero"),
        ("\ndef f(:\n", "error: bad.py:2: SyntaxError: invalid syntax"),
        ("import nosuchpackage\n", "error: bad.py:1: ModuleNotFoundError: No module named"),
        ("assert False\n", "error: bad.py:1: AssertionError\n"),
        ("def f():\nx = 1\n", "error: bad.py:2: IndentationError: expected an indented block"),
        ("x = '\0'\n", "error: bad.py: SyntaxError: source code string cannot contain null bytes"),
        ("def f():\n    f()\nf()\n", "error: bad.py:2: RecursionError: maximum recursion depth"),
        ("import sys\nsys.exit()\n", "bad.py:2: the model's code ends the program: sys.exit(None)"),
        ("exit('done')\n", "the model's code ends the program: sys.exit('done')"),
        ("open('/nope')\n", "error: bad.py:1: FileNotFoundError: [Errno 2]"),
        (
            "from graphctx import nn\nmodel = nn.Dense(-3)\n",
            "units is a positive integer, got -3 (bad.py:2)",
        ),
    ],
)
def test_errors_in_the_file_of_the_model(folder: Path, run: Run, source: str, message: str) -> None:
    (folder / "bad.py").write_text(source)
    result = run("trace", "bad.py", code=1)
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("model = 5\n", "bad.py:model is not a model: expected a Layer, or a function without"),
        ("model = int\n", "bad.py:model is not a model: "),
        ("def model():\n    return None\n", "bad.py:model is not a model: "),
        ("", "bad.py has no 'model' (layers there: none)"),
        (
            "import models, graphctx as gx\nmodel = gx.trace(models.model, models.input_specs)\n",
            "bad.py:model is traced already: name the layer that it was made from",
        ),
        (
            "import models, graphctx as gx\nmodel = gx.compile(gx.trace(models.Scale(), 1.0))",
            "bad.py:model is compiled already: name the layer that it was made from",
        ),
        (
            "from models import model\ninput_specs = (4,)\n",
            "input_specs is a TensorSpec, or a tuple of one for each argument of call, got (4,)",
        ),
    ],
)  # fmt: skip
def test_files_without_a_model(folder: Path, run: Run, source: str, message: str) -> None:
    (folder / "bad.py").write_text(source)
    result = run("trace", "bad.py", "--json", code=2)
    assert message in result.stderr
    assert result.stdout == ""


LAYERS = """
import graphctx as gx
from graphctx import Layer, nn, ops

class Inner(Layer):
    def call(self, x):
        return {body}

class Outer(Layer):
    def __init__(self):
        self.first = Inner()

    def call(self, x):
        return self.first(x)

model = Outer()
input_specs = gx.TensorSpec(("batch", 4), "float32", name="x")
"""


@pytest.mark.parametrize(
    ("body", "start"),
    [
        (
            "x @ ops.ones((5, 2))",
            "outer/first: MatMul(float32[batch, 4], float32[5, 2]): the inner",
        ),
        ("ops.reshape(x, (3, 7))", "outer/first: Reshape("),
        ("x & 3", "outer/first: "),
        ("1 if ops.sum(x) > 0 else 2", "outer/first: `if tensor:`"),
        ("nn.Conv2D(3, 3)(x)", "outer/first/conv2d: Conv2D takes a tensor"),
        ("undefined", "bad.py:7: NameError: name 'undefined' is not defined"),
        ("ops.nothing(x)", "bad.py:7: AttributeError: "),
        ("int('a')", "bad.py:7: ValueError: invalid literal"),
    ],
)
@pytest.mark.parametrize("command", [["trace"], ["summary"], ["contexts"], ["run"]])
def test_a_failing_trace_says_where(
    folder: Path, run: Run, command: list[str], body: str, start: str
) -> None:
    (folder / "bad.py").write_text(LAYERS.format(body=body))
    result = run(*command, "bad.py", "--json", code=1)
    assert result.stderr.startswith(f"error: {start}")
    assert "bad.py:7" in result.stderr
    assert "outer/first" in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_what_a_model_prints_is_no_json(folder: Path, run: Run) -> None:
    (folder / "loud.py").write_text("print('hello')\nfrom models import model, input_specs\n")
    for command in (["trace"], ["contexts"], ["summary"], ["explain", "net/scale", "mode"]):
        result = run(command[0], "loud.py", *command[1:], "--json")
        json.loads(result.stdout)
        assert result.stderr == "hello\n"
    assert run("trace", "loud.py").stdout.startswith("hello\ngraph net")


def test_what_the_system_refuses_is_no_mistake_of_graphctx(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen, "print_text", os.listdir)
    result = run("trace", "models.py", code=1)
    assert result.stderr.startswith("error: [Errno 2] No such file or directory: 'graph net")
    assert "inside graphctx" not in result.stderr


def test_debug_shows_the_traceback(run: Run) -> None:
    result = run("trace", "models.py:broken", "--debug", code=1)
    assert "Traceback (most recent call last)" in result.stderr
    assert "return x + undefined_name" in result.stderr
    assert result.stderr.rstrip().splitlines()[-1].startswith("error: models.py:44: NameError")
    assert "Traceback" not in run("trace", "models.py:broken", code=1).stderr


def test_mistakes_of_graphctx_itself_say_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphctx, "specialize", None)
    result = run("trace", "models.py", code=1)
    assert "(inside graphctx; run again with --debug and report it)" in result.stderr


def test_markup_in_a_message_stays_text(folder: Path, run: Run) -> None:
    (folder / "bad.py").write_text("raise ValueError('[bold] is no markup [/]')\n")
    assert "ValueError: [bold] is no markup [/]" in run("trace", "bad.py", code=1).stderr


def test_help_and_version(run: Run) -> None:
    assert run("--version").stdout == f"graphctx {graphctx.__version__}\n"
    text = run("--help").stdout
    for command in ("demo", "trace", "contexts", "explain", "summary", "run", "export", "verify"):
        assert f" {command} " in text
        assert run(command, "--help").stdout
    assert "--install-completion" in text
