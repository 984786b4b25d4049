"""Errors: one message, an exit code, no traceback."""

from pathlib import Path

import pytest

import graphctx

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
