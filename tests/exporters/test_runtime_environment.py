"""The runtime needs NumPy and onnxruntime, and nothing else: no compiler, no onnx."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
import venv
from pathlib import Path

import graphctx_onnx
import numpy as np
import pytest

import graphctx as gx
from tests.exporters import bundle_models as models

PACKAGE = Path(graphctx_onnx.__file__).parent
RUNTIME = PACKAGE / "runtime"

SERVING = """
import json, sys
import numpy as np
from graphctx_onnx import Bundle
from graphctx_onnx.runtime import ContextError

bundle = Bundle.load(sys.argv[1])
outputs = bundle.run({"x": np.load(sys.argv[2])}, training=True, mode="high", seed=5)
try:
    bundle.run({}, mode="loud")
except ContextError as error:
    message = str(error)
print(json.dumps({
    "logits": outputs["logits"].tolist(),
    "message": message,
    "modules": sorted({name.partition(".")[0] for name in sys.modules}),
}))
"""


def place_of(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


@pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links")
def test_a_fresh_environment_with_numpy_and_onnxruntime(tmp_path: Path) -> None:
    """An environment of its own that has these two, and this package, and nothing else."""
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    [packages] = (tmp_path / "venv").glob("lib/python*/site-packages")
    numpy, onnxruntime = place_of("numpy"), place_of("onnxruntime")
    libraries = numpy.with_name("numpy.libs")  # where wheels keep them
    for source in (numpy, onnxruntime, PACKAGE, *([libraries] if libraries.exists() else [])):
        (packages / source.name).symlink_to(source)
    np.save(tmp_path / "x.npy", models.X)
    bundle = models.stored()[0]
    run = subprocess.run(
        [tmp_path / "venv/bin/python", "-I", "-c", SERVING, bundle, tmp_path / "x.npy"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    expected = gx.compile(models.net_graph(), training=True, mode="high")(models.X, seed=5)
    np.testing.assert_allclose(found["logits"], expected["logits"], rtol=1e-4, atol=1e-5)
    assert found["message"] == ("context argument 'mode' got 'loud'; allowed: 'off', 'low', 'high'")
    foreign = {"graphctx", "networkx", "onnx", "rich", "typer", "safetensors", "google"}
    assert not foreign & set(found["modules"])
    assert {entry.name for entry in packages.iterdir()} <= {
        "numpy", "numpy.libs", "onnxruntime", "graphctx_onnx",
    }  # fmt: skip


def test_what_the_runtime_imports() -> None:
    allowed = {*sys.stdlib_module_names, "numpy", "onnxruntime"}
    for path in RUNTIME.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                names = [node.module]
            else:
                continue
            for name in names:
                ours = name.startswith("graphctx_onnx.runtime")
                assert ours or name.partition(".")[0] in allowed, f"{path.name} imports {name}"


COMMANDS = """
import sys
for name in ("onnx", "networkx"):
    sys.modules[name] = None  # as if it were not installed
from graphctx.cli import main

sys.argv = ["graphctx", *sys.argv[1:]]
main()
"""


def test_commands_on_a_machine_that_serves(tmp_path: Path) -> None:
    """What `graphctx[serve]` and `graphctx[score]` install is enough: no onnx, and no networkx."""
    bundle = str(models.stored()[0])
    np.save(tmp_path / "x.npy", models.X)

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", COMMANDS, *arguments],
            capture_output=True, text=True, check=False, cwd=tmp_path,
        )  # fmt: skip

    listed = command("bundle", "ls", bundle)
    assert listed.returncode == 0, listed.stderr
    assert "training=True & mode=low" in listed.stdout
    context = ["-c", "mode=off", "-c", "scale=2", "-o", "logits"]
    scored = command("score", bundle, "x.npy", "y.npy", *context)
    assert scored.returncode == 0, scored.stderr
    assert np.load(tmp_path / "y.npy").shape == (3, 2)
    wrong = command("score", bundle, "x.npy", "z.npy", "-c", "mode=loud")
    assert (wrong.returncode, "context argument 'mode' got 'loud'" in wrong.stderr) == (1, True)
    needs = command("bundle", "verify", bundle)
    assert needs.returncode == 1
    assert "needs onnx, which is not installed: pip install 'graphctx[onnx]'" in needs.stderr
