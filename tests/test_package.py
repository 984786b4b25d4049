"""What is installed, and what imports what."""

import importlib.metadata
import json
import subprocess
import sys

import pytest

import graphctx

# Imports every module of the core, and prints which packages that brought in.
IMPORT_THE_CORE = """
import importlib, json, pkgutil, sys
import graphctx
for module in pkgutil.walk_packages(graphctx.__path__, "graphctx."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@pytest.fixture(scope="module")
def packages_of_the_core() -> set[str]:
    command = [sys.executable, "-c", IMPORT_THE_CORE]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return set(json.loads(run.stdout))


def test_version_is_the_one_of_the_distribution() -> None:
    assert importlib.metadata.version("graphctx") == graphctx.__version__


def test_onnx_exporter_is_found_by_its_entry_point() -> None:
    exporters = importlib.metadata.entry_points(group="graphctx.exporters")
    assert exporters["onnx"].module == "graphctx_onnx"


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "graphctx_onnx", "sklearn", "keras"])
def test_core_never_imports(package: str, packages_of_the_core: set[str]) -> None:
    assert package not in packages_of_the_core
