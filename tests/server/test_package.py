"""What the package needs, and what it is made from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import graphctx_onnx.server as server
import pytest
from google.protobuf import descriptor_pb2

FOLDER = Path(server.__file__).parent


def test_it_needs_neither_the_compiler_nor_onnx() -> None:
    code = (
        "import sys, graphctx_onnx.server; "
        "print(sorted({m.split('.')[0] for m in sys.modules} "
        "& {'graphctx', 'networkx', 'onnx', 'rich', 'typer', 'tritonclient'}))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


@pytest.mark.parametrize("missing", ["onnxruntime", "starlette", "google.protobuf"])
def test_the_extra_that_is_missing_is_named(missing: str, tmp_path: Path) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from graphctx.cli import main\n"
        "sys.argv = ['graphctx', 'serve', 'some.bundle']\n"
        "main()"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 1
    text = " ".join(found.stderr.split())
    assert f"the server needs {missing}" in text
    assert "which is not installed: pip install 'graphctx[serve]'" in text


def test_the_description_is_made_from_the_proto(tmp_path: Path) -> None:
    protoc = pytest.importorskip(
        "grpc_tools.protoc", reason="NOT TESTED: open_inference.desc (pip install grpcio-tools)"
    )
    made = tmp_path / "made.desc"
    arguments = ["-I", str(FOLDER), f"--descriptor_set_out={made}", "open_inference.proto"]
    assert protoc.main(["protoc", *arguments]) == 0
    kept = (FOLDER / "open_inference.desc").read_bytes()
    read = descriptor_pb2.FileDescriptorSet.FromString
    assert read(made.read_bytes()) == read(kept)
