"""A folder with a few models, and a command line that runs in this process."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from graphctx.cli import app

Run = Callable[..., Any]

MODELS = """
from typing import Literal
import graphctx as gx
from graphctx import Context, Layer, nn, ops


class Scale(Layer):
    def call(self, x, *, training: Context[bool] = False,
             mode: Context[Literal["half", "same", "double"]] = "same",
             gain: Context[float] = 1.0):
        if not training:
            return x
        return gain * x * {"half": 0.5, "same": 1.0, "double": 2.0}[mode]


class Net(Layer):
    def __init__(self):
        self.dense = nn.Dense(3)
        self.scale = Scale()

    def call(self, x):
        return self.scale(self.dense(x))


class Pair(Layer):
    def call(self, left, right):
        return {"sum": left + right, "difference": left - right}


class Noisy(Layer):
    def call(self, x):
        return x + ops.random_normal(x.shape)


class Named(Layer):
    def call(self, x, *, style: Context[str]):
        if style == "loud":
            return x * 2
        return x * 1


class Broken(Layer):
    def call(self, x):
        return x + undefined_name


class ByData(Layer):
    def call(self, x):
        if ops.sum(x) > 0:
            return x
        return -x


def functional():
    x = gx.Input((4,), name="features")
    return gx.Model(x, nn.Dense(2)(x))


def needs_arguments(units):
    return nn.Dense(units)


class holder:
    inner = Net()


model = Net()
pair, noisy, named, broken, by_data = Pair(), Noisy(), Named(), Broken(), ByData()
input_specs = gx.TensorSpec(("batch", 4), "float32", name="x")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder, with `models.py` in it."""
    (tmp_path / "models.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if getattr(sys.modules[name], "__file__", None) == str(tmp_path / "models.py"):
            del sys.modules[name]


@pytest.fixture
def run(folder: Path) -> Run:
    """Run the command line: `run("trace", "models.py")`; check the exit code."""

    def invoke(*arguments: Any, code: int = 0) -> Any:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.stderr or result.stdout
        return result

    return invoke
