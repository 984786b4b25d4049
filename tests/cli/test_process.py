"""The command as a process of its own: streams, exit codes, what is imported."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import graphctx

# The command, and the same where it is not on PATH.
COMMAND = [sys.executable, "-c", "from graphctx.cli import main; main()"]


def graphctx_command(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], cwd=cwd, capture_output=True, text=True, check=False,
        env={**os.environ, **env},
    )  # fmt: skip


def test_the_entry_point_is_installed() -> None:
    from importlib.metadata import entry_points

    [point] = [p for p in entry_points(group="console_scripts") if p.name == "graphctx"]
    assert point.value == "graphctx.cli:main"


def test_exit_codes_and_streams(folder: Path) -> None:
    good = graphctx_command("contexts", "models:model", "--json", cwd=folder)
    assert good.returncode == 0
    assert good.stderr == ""
    assert json.loads(good.stdout)["arguments"][0]["name"] == "training"
    wrong = graphctx_command("trace", "models:model", "-c", "mode=x", cwd=folder)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr.startswith("error: net: context argument 'mode' got 'x'")
    assert wrong.stderr.count("\n") == 1
    usage = graphctx_command("trace", "models:model", "-c", "mode", cwd=folder)
    assert (usage.returncode, usage.stdout) == (2, "")


def test_a_closed_pipe_is_no_error(folder: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "trace", "models.py", "--json"], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    process.wait()
    assert "Traceback" not in errors
    assert "error:" not in errors


SLOW_TO_IMPORT = """
import time
print("up", flush=True)
time.sleep(60)
"""
SLOW_TO_TRACE = """
import graphctx as gx

class Slow(gx.Layer):
    def call(self, x):
        print("up", flush=True)
        while True:
            pass

model, input_specs = Slow(), gx.TensorSpec((2,))
"""


@pytest.mark.parametrize("source", [SLOW_TO_IMPORT, SLOW_TO_TRACE], ids=["import", "trace"])
def test_an_interruption(folder: Path, source: str) -> None:
    (folder / "slow.py").write_text(source)
    process = subprocess.Popen(
        [*COMMAND, "export", "slow.py", "-o", "m.onnx"], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout, stderr) == (130, "", "")
    assert not (folder / "m.onnx").exists()


def test_text_that_the_terminal_cannot_show(folder: Path) -> None:
    run = graphctx_command(
        "trace", "models:named", "-c", "style=\u00fc", "--optimize", cwd=folder,
        PYTHONIOENCODING="ascii",
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")
    run = graphctx_command(
        "export", "models.py", "-o", "\u00fc.onnx", "--no-verify", cwd=folder,
        PYTHONIOENCODING="ascii",
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("\\xfc.onnx: ")


def test_help_imports_no_exporter_and_no_model(folder: Path) -> None:
    code = (
        "import sys; from graphctx.cli import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('onnx', 'onnxruntime', 'sklearn', 'networkx') if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    assert run.stdout.rstrip().endswith("[]")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(folder: Path, shell: str) -> None:
    variables = {"_GRAPHCTX_COMPLETE": f"source_{shell}"}
    command = [sys.executable, "-c", "from graphctx.cli import main; main()"]
    run = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, **variables},
    )  # fmt: skip
    assert run.returncode == 0
    assert "_GRAPHCTX_COMPLETE" in run.stdout


def test_version(folder: Path) -> None:
    run = graphctx_command("--version", cwd=folder)
    assert run.stdout == f"graphctx {graphctx.__version__}\n"
