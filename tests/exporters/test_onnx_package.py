"""How the exporter is found, and what importing it costs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import graphctx_onnx
import pytest

import graphctx as gx
from graphctx import ExportError, TensorSpec
from tests.exporters import onnx_models as models


def test_export_finds_it_by_suffix_and_by_name(tmp_path: Path) -> None:
    result = gx.export(models.net(), tmp_path / "model.onnx")
    assert isinstance(result, graphctx_onnx.Exported)
    assert gx.export(models.net(), tmp_path / "model.onnx", format="onnx", opset=21).opset == 21
    assert graphctx_onnx.exporter.suffixes == (".onnx",)


def test_a_graph_is_compiled_first(tmp_path: Path) -> None:
    graph = gx.trace(models.Net(), TensorSpec(("batch", 4)))
    gx.export(graph, tmp_path / "model.onnx", context={"training": True})
    found = graphctx_onnx.read_metadata(tmp_path / "model.onnx")
    assert found.assignment == {"training": True, "mode": "weak"}


def test_importing_it_imports_neither_onnx_nor_onnxruntime() -> None:
    code = (
        "import sys, graphctx_onnx; graphctx_onnx.exporter; "
        "print(sorted({'onnx', 'onnxruntime'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_public_names() -> None:
    for name in graphctx_onnx.__all__:
        assert getattr(graphctx_onnx, name) is not None
    assert dir(graphctx_onnx) == sorted(graphctx_onnx.__all__)
    with pytest.raises(AttributeError, match="module 'graphctx_onnx' has no attribute 'nothing'"):
        graphctx_onnx.nothing  # noqa: B018


def test_unknown_options(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no option 'optset'; did you mean 'opset'"):
        gx.export(models.net(), tmp_path / "model.onnx", optset=23)
    with pytest.raises(ExportError, match="no exporter"):
        gx.export(models.net(), tmp_path / "model.unknown")


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_libraries_that_are_not_installed(
    missing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == missing else found(name)
    )
    message = rf"needs {missing}, which is not installed: pip install 'graphctx\[onnx\]'"
    with pytest.raises(ExportError, match=message):
        gx.export(models.net(), tmp_path / "model.onnx")
