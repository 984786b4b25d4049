"""The files that an export leaves, or does not leave, behind."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from graphctx_onnx import destination, export, external, pipeline
from graphctx_onnx.convert import convert
from onnx import TensorProto

import graphctx as gx
from graphctx import ExportError, GraphctxError, TensorSpec, VerificationError, ops
from tests.exporters import onnx_models as models


def places(path: Path) -> dict[str, tuple[int, int]]:
    """Name -> offset and length of the tensors in the data file."""
    found = {}
    for tensor in onnx.load(path, load_external_data=False).graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            entries = {entry.key: entry.value for entry in tensor.external_data}
            assert entries["location"] == path.name + ".data"
            found[tensor.name] = (int(entries["offset"]), int(entries["length"]))
    return found


# -- external data --------------------------------------------------------------------------------


def test_a_small_model_is_one_file(tmp_path: Path) -> None:
    result = export(models.net(), tmp_path / "model.onnx")
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.onnx"]
    assert result.files == (result.path,) == (tmp_path / "model.onnx",)
    assert result.size == result.path.stat().st_size


def test_weights_over_a_threshold_go_to_the_data_file(tmp_path: Path) -> None:
    result = export(models.net(), tmp_path / "model.onnx", external_threshold=0)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["model.onnx", "model.onnx.data"]
    assert result.files == (result.path, tmp_path / "model.onnx.data")
    found = places(result.path)
    assert set(found) == {"net/first/linear/kernel", "net/second/linear/kernel"}
    data = (tmp_path / "model.onnx.data").read_bytes()
    variables = {node.name: node.data for node in models.net().graph.weights}
    for name, (offset, length) in found.items():
        assert offset % 4096 == 0
        array = np.frombuffer(data[offset : offset + length], "float32")
        np.testing.assert_array_equal(array, variables[name].numpy().reshape(-1))
    # onnx itself can put both together again.
    onnx.checker.check_model(onnx.load(result.path), full_check=True)


def test_shapes_and_axes_stay_inside_whatever_the_threshold(tmp_path: Path) -> None:
    indices = np.arange(100)

    def function(x: Any) -> Any:
        return ops.reshape(ops.sum(x, axis=0), (-1, 2)), ops.take(x, indices % 4, axis=1)

    program = models.program(function, TensorSpec(("batch", 4)))
    result = export(program, tmp_path / "model.onnx", external_threshold=0)
    assert [length for _, length in places(result.path).values()] == [800]


def test_large_tensors_are_aligned_for_mapping_on_windows() -> None:
    file = external.DataFile("model.onnx.data")
    protos = [TensorProto(), TensorProto(), TensorProto()]
    for proto, size in zip(protos, (10, 2 << 20, 20), strict=True):
        file.place(proto, size, None)
    assert [entry.offset for entry in file.entries] == [0, 1 << 16, (1 << 16) + (2 << 20)]
    file.place(TensorProto(), 1 << 20, None)
    assert file.entries[-1].offset % (1 << 16) == 0


def test_the_default_threshold(tmp_path: Path) -> None:
    small, large = models.weight(255, 1024), models.weight(256, 1024)
    program = models.program(
        lambda x, y: ops.matmul(x, small) + ops.matmul(y, large),
        TensorSpec((1, 255), name="x"),
        TensorSpec((1, 256), name="y"),
        small=small,
        large=large,
    )
    result = export(program, tmp_path / "model.onnx")
    assert set(places(result.path)) == {"lambda/large"}


def test_state_can_be_in_the_data_file(tmp_path: Path) -> None:
    class Table(gx.Layer):
        def __init__(self) -> None:
            self.table = models.weight(8, 8)

        def call(self, x: Any) -> Any:
            self.table.assign(self.table * 0.5)
            return ops.matmul(x, self.table)

    program = gx.compile(gx.trace(Table(), TensorSpec(("batch", 8))))
    result = export(program, tmp_path / "model.onnx", external_threshold=256)
    assert set(places(result.path)) == {"table/table"}


def test_large_constants_go_there_too(tmp_path: Path) -> None:
    table = np.arange(300_000, dtype="float32")
    program = models.program(lambda x: x + table, TensorSpec((300_000,)))
    result = export(program, tmp_path / "model.onnx")
    assert len(places(result.path)) == 1
    assert result.path.stat().st_size < 5000


def test_many_small_weights_do_not_burst_the_protobuf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external, "INSIDE_LIMIT", 3000)
    file = external.DataFile("d")
    file.plan([2000, 900])
    assert (file.holds(2000), file.holds(900)) == (False, False)
    file.plan([2000, 900, 500])
    assert (file.holds(2000), file.holds(900)) == (True, False)


def test_the_protobuf_never_holds_large_tensors() -> None:
    """A model of 3 GiB is laid out without its data being touched."""

    class Huge:
        shape = (3 << 20, 1 << 10)
        dtype = np.dtype("int8")

        def numpy(self) -> Any:
            return np.broadcast_to(np.int8(0), self.shape)  # takes no memory until it is copied

    program = models.program(
        lambda i: ops.take(variable, i, axis=0), TensorSpec(("batch",), "int64"),
        table=(variable := models.weight(4, 4)),
    )  # fmt: skip
    graph = program.graph
    node = next(node for node in graph.nodes if node.kind == "weight")
    node.data = Huge()
    node.output.shape = Huge.shape
    node.output.dtype = Huge.dtype
    gather = next(node for node in graph.nodes if node.name == "Gather")
    gather.output.shape = (*gather.output.shape[:1], 1 << 10)
    gather.output.dtype = Huge.dtype
    converted = convert(graph.replace(frozen={}))
    assert converted.data.size == 3 << 30
    assert converted.model.ByteSize() < 10_000


@pytest.mark.skipif("GRAPHCTX_HUGE" not in os.environ, reason="writes 2.2 GiB; set GRAPHCTX_HUGE")
def test_more_than_two_gib(tmp_path: Path) -> None:
    rows = 2_300_000
    table = np.zeros((rows, 1024), "int8")
    table[-1] = np.arange(1024) % 100
    variable = gx.Variable(table)
    program = models.program(
        lambda i: ops.take(variable, i, axis=0), TensorSpec(("batch",), "int64"), table=variable
    )
    result = export(program, tmp_path / "model.onnx")
    assert result.size > 2**31
    session = onnxruntime.InferenceSession(str(result.path))
    [found] = session.run(None, {"input_0": np.array([rows - 1])})
    np.testing.assert_array_equal(found[0], table[-1])


# -- paths that cannot be written -----------------------------------------------------------------


def refused(path: Path, message: str) -> None:
    """The path is refused before anything is converted."""

    def forbidden(*_: Any, **__: Any) -> Any:
        raise AssertionError("work was done for a path that cannot be written")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "convert", forbidden)
        with pytest.raises(ExportError) as caught:
            export(models.net(), path)
    assert str(caught.value) == f"{path}: {message}"


def test_another_suffix(tmp_path: Path) -> None:
    refused(
        tmp_path / "model.pb",
        "the name of an ONNX file ends in .onnx; write to 'model.pb.onnx' instead",
    )


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    folder = tmp_path / "missing"
    refused(folder / "m.onnx", f"the folder {str(folder)!r} does not exist; make it first")


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(tmp_path / "file" / "m.onnx", f"{str(tmp_path / 'file')!r} is not a folder")


def test_a_path_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").mkdir()
    refused(tmp_path / "m.onnx", "is a folder; give the name of a file in it")


def test_a_read_only_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.onnx"
    path.write_text("precious")
    monkeypatch.setattr(os, "access", lambda *_: False)  # tests may run as root
    refused(path, "cannot be written: the file there is read-only")
    assert path.read_text() == "precious"


def test_a_read_only_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(**_: Any) -> str:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(destination.tempfile, "mkdtemp", read_only)
    refused(tmp_path / "m.onnx", "cannot be written: Read-only file system")


# -- all or nothing -------------------------------------------------------------------------------


@pytest.fixture
def earlier(tmp_path: Path) -> dict[str, bytes]:
    """A model with a data file is at the path already."""
    export(models.net(), tmp_path / "model.onnx", external_threshold=0, verify=False)
    return {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()}


def contents(folder: Path) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in folder.iterdir()}


@pytest.mark.parametrize("stage", ["_write", "check", "Verification"])
@pytest.mark.parametrize("error", [RuntimeError("boom"), KeyboardInterrupt()])
def test_a_failure_leaves_what_was_there(
    stage: str, error: BaseException, earlier: dict[str, bytes], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(pipeline, stage, fail)
    with pytest.raises(type(error)):
        export(models.net(training=True), tmp_path / "model.onnx", external_threshold=0)
    assert contents(tmp_path) == earlier


def test_a_full_disk(
    earlier: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(external.DataFile, "write", full)
    path = tmp_path / "model.onnx"
    with pytest.raises(ExportError) as caught:
        export(models.net(training=True), path, external_threshold=0)
    assert str(caught.value) == f"{path}: cannot be written: No space left on device"
    assert contents(tmp_path) == earlier


@pytest.mark.parametrize(
    ("failing", "present"), [(1, True), (2, True), (3, True), (1, False), (2, False)]
)
def test_a_failure_while_moving_is_undone(
    failing: int, present: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    if present:
        export(models.net(), path, external_threshold=0, verify=False)
    before = contents(tmp_path)
    replace, calls = os.replace, []

    def move(source: Any, target: Any) -> None:
        calls.append(source)
        if len(calls) == failing:
            raise OSError(5, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(destination.os, "replace", move)
    with pytest.raises(ExportError, match=re.escape("cannot be written: Input/output error")):
        export(models.net(training=True), path, external_threshold=0, verify=False)
    assert contents(tmp_path) == before


def test_a_failed_verification_leaves_nothing(tmp_path: Path) -> None:
    program = models.program(lambda x: ops.log(-ops.exp(x)), TensorSpec(("batch",)))
    with pytest.raises(VerificationError):
        export(program, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_an_earlier_model_is_replaced(earlier: dict[str, bytes], tmp_path: Path) -> None:
    export(models.net(training=True), tmp_path / "model.onnx", external_threshold=0)
    found = contents(tmp_path)
    assert set(found) == set(earlier)
    assert found["model.onnx"] != earlier["model.onnx"]


def test_its_data_file_goes_with_it(earlier: dict[str, bytes], tmp_path: Path) -> None:
    export(models.net(), tmp_path / "model.onnx")
    assert set(contents(tmp_path)) == {"model.onnx"}


def test_a_data_file_of_somebody_else_stays(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("not a model")
    (tmp_path / "model.onnx.data").write_text("somebody's")
    export(models.net(), tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx.data").read_text() == "somebody's"


def test_paths_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert export(models.net(), "model.onnx", external_threshold=0).path == Path("model.onnx")
    assert set(contents(tmp_path)) == {"model.onnx", "model.onnx.data"}


def test_a_negative_threshold(tmp_path: Path) -> None:
    with pytest.raises(GraphctxError, match="external_threshold is a number of bytes, got -1"):
        export(models.net(), tmp_path / "model.onnx", external_threshold=-1)
