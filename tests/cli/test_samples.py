"""The samples run, as pages and from the command line."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Run

SAMPLES = Path(__file__).parents[2] / "samples"
PAGES = sorted(set(SAMPLES.glob("*.py")) - {SAMPLES / "serve_with_ray.py"})  # has its own test


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pages_run(page: Path, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", str(page)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert list(tmp_path.glob("*.onnx")) or list(tmp_path.glob("*.bundle/manifest.json"))


def test_what_the_first_model_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(SAMPLES / "first_model.py"), run_name="__main__")
    text = capsys.readouterr().out
    assert "training=True, intensity='aggressive') -> float32[3, 10]" in text
    assert "select intensity {off: %2, normal: %3, aggressive: %4}" in text
    assert "equal for equal seeds: True" in text
    assert "equal to the model itself: True" in text
    assert "intensity=off, inherited from the call of sequential, to which you give it" in text


@pytest.mark.parametrize("name", ["first_model.py", "digits.py"])
def test_samples_on_the_command_line(run: Run, name: str) -> None:
    assert "intensity" in run("contexts", SAMPLES / name).stdout
    assert "context" in run("trace", SAMPLES / name).stdout
