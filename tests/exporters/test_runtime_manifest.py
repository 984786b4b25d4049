"""Bundles that are refused: damaged, truncated, foreign, newer, climbing out of their folder."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import onnx
import pytest
from graphctx_onnx import Bundle
from graphctx_onnx.runtime import BundleError, InvalidBundleError, read_manifest
from graphctx_onnx.runtime.parse import parse_manifest
from graphctx_onnx.runtime.protobuf import MalformedError, external_tensors, replace_external
from graphctx_onnx.runtime.schema import NonconformingError, manifest_schema, validate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.exporters import bundle_models as models
from tests.exporters.bundle_models import X, copied


def text() -> bytes:
    return (models.stored()[0] / "manifest.json").read_bytes()


def edited(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the manifest of a bundle."""
    manifest = json.loads((path / "manifest.json").read_text())
    change(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))


def refused(path: Path, message: str, **options: Any) -> None:
    with pytest.raises(InvalidBundleError, match=message) as error:
        Bundle.load(path, **options)
    assert str(path) in str(error.value)


# -- the folder and its files ---------------------------------------------------------------------


def test_no_bundle(tmp_path: Path) -> None:
    refused(tmp_path / "m.bundle", "there is no such folder")
    (tmp_path / "f.bundle").write_text("")
    refused(tmp_path / "f.bundle", "is a file; a bundle is a folder")
    refused(tmp_path, r"not a bundle: it has no manifest\.json")


def test_a_missing_file(tmp_path: Path) -> None:
    path = copied(tmp_path)
    file = next(path.glob("*.bin"))
    file.unlink()
    refused(path, f"{file.name} is missing; export the bundle again")
    Bundle.load(path, verify=False)
    with pytest.raises(InvalidBundleError, match=f"{file.name} is missing"):
        Bundle.load(path, verify=False).run({"x": X})


@pytest.mark.parametrize("verify", ["full", "manifest"])
@pytest.mark.parametrize(("cut", "word"), [(-1, "truncated"), (1, "too long")])
def test_a_file_of_another_size(tmp_path: Path, verify: str, cut: int, word: str) -> None:
    path = copied(tmp_path)
    file = next(path.glob("*.bin"))
    data = file.read_bytes()
    file.write_bytes(data[:-1] if cut < 0 else data + b"0")
    refused(path, f"{file.name} is {word}: it has {len(data) + cut} bytes, the ma", verify=verify)


@pytest.mark.parametrize("suffix", [".onnx", ".bin"])
def test_a_damaged_file(tmp_path: Path, suffix: str) -> None:
    path = copied(tmp_path)
    file = next(path.glob(f"*{suffix}"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 8
    file.write_bytes(data)
    refused(path, f"{file.name} is damaged: its SHA-256 is .*, the manifest says")


@pytest.mark.skipif(os.name != "posix", reason="needs links and pipes")
@pytest.mark.parametrize("suffix", [".onnx", ".bin", ".json"])
def test_links_and_pipes(tmp_path: Path, suffix: str) -> None:
    path = copied(tmp_path)
    file = next(path.glob(f"*{suffix}"))
    outside = tmp_path / "outside"
    file.rename(outside)
    file.symlink_to(outside)
    refused(path, f"{file.name} is a symbolic link, which may lead out of the bundle; copy the fi")
    file.unlink()
    os.mkfifo(file)
    refused(path, f"{file.name} is no regular file")


def test_a_link_to_the_folder_is_fine(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(copied(tmp_path))
    Bundle.load(link).run({"x": X})


# -- the manifest ---------------------------------------------------------------------------------


def set_(*path: Any) -> Callable[[dict[str, Any]], None]:
    """Set a member of the manifest; the last item is the value."""

    def change(manifest: Any) -> None:
        for key in path[:-2]:
            manifest = manifest[key]
        manifest[path[-2]] = path[-1]

    return change


def delete(*path: Any) -> Callable[[dict[str, Any]], None]:
    def change(manifest: Any) -> None:
        for key in path[:-1]:
            manifest = manifest[key]
        del manifest[path[-1]]

    return change


def again(key: str) -> Callable[[dict[str, Any]], None]:
    def change(manifest: Any) -> None:
        manifest[key].append(copy.deepcopy(manifest[key][0]))

    return change


def program(manifest: dict[str, Any]) -> Any:
    return next(c["program"] for c in manifest["classes"] if c["condition"] == "training=False")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_("format", "another"), r"manifest\.json is not that of a graphctx bundle"),
        (set_("version", 2), "has format version 2, and this graphctx reads up to 1; install"),
        (set_("version", 0), "version: expected 1, got 0"),
        (set_("version", True), "version: expected 1, got True"),
        (delete("classes"), "the manifest lacks 'classes'"),
        (set_("more", 1), "the manifest has an unknown member 'more'"),
        (set_("weights", "both"), "weights: expected one of 'share', 'fold', got 'both'"),
        (set_("classes", []), r"classes: expected a list of 1 or more, got \[\]"),
        (set_("classes", 0, "id", ""), r"classes\[0\]\.id: expected an identifier"),
        (set_("files", "a/b", {"size": 1, "sha256": "0" * 64}), "the name 'a/b' in files"),
        (set_("files", "x\n", {"size": 1, "sha256": "0" * 64}), "in files: expected the name of"),
        (set_("files", "manifest.json", {"size": 1, "sha256": "0" * 64}), "files lists"),
        (lambda m: program(m).update(file="../x.onnx"), "file: expected the name of a file in the"),
        (lambda m: program(m).update(file="/etc/passwd"), r"file: expected the name of a file"),
        (lambda m: program(m).update(file="other.onnx"), "needs 'other.onnx', which files does"),
        (lambda m: program(m).update(weights=["..\\w"]), r"weights\[0\]: expected the name of a f"),
        (lambda m: program(m).update(opset=1.5), "opset: expected integer, got 1.5"),
        (lambda m: program(m).update(nodes=-1), "nodes: expected 0 or more, got -1"),
        (lambda m: program(m)["signature"]["inputs"][0].update(shape=[-1]), "a size or the name"),
        (lambda m: program(m)["signature"]["inputs"][0].update(dtype="f4"), "dtype: expected one"),
        (
            lambda m: program(m)["signature"]["contexts"][0].update(argument="mode"),
            "has an input for 'mode', which is no argument",
        ),
        (
            lambda m: program(m)["signature"]["contexts"][0].update(dtype="bool"),
            "bool is no dtype for 'scale'",
        ),
        (
            lambda m: program(m)["signature"]["contexts"][0].update(name="x"),
            "signature: two inputs have one name",
        ),
        (
            lambda m: program(m)["signature"]["outputs"][0].update(name="logits"),
            "signature: two outputs have one name",
        ),
        (delete("classes", 0, "conditions"), r"classes\[0\] lacks 'conditions'"),
        (set_("classes", 0, "conditions", [{"scale": [1.0]}]), "speaks of 'scale', which is no bo"),
        (set_("classes", 0, "conditions", [{"training": [1]}]), "expected a value of type bool, g"),
        (set_("classes", 0, "conditions", [{"mode": ["x"]}]), "'x' is no value of this argument"),
        (set_("classes", 0, "conditions", [{"mode": [None]}]), "None is no value of this argument"),
        (set_("classes", 0, "error", {"type": "", "message": "", "source": ""}), "needs either a"),
        (again("classes"), "two classes have one id"),
        (again("arguments"), "is 'training' again"),
        (set_("arguments", 0, "default", 1), "default: expected a value of type bool, got 1"),
        (set_("arguments", 0, "required", True), r"arguments\[0\] is required and has a default"),
        (delete("arguments", 0, "default"), "is not required and has no default"),
        (delete("arguments", 0, "values"), r"arguments\[0\] lists no values"),
        (set_("arguments", 0, "values", [True]), r"default is False, not one of True"),
        (set_("arguments", 0, "values", [True, False, True]), "values has a value twice"),
        (set_("ignored", ["training"]), "ignored has 'training', which is an argument"),
        (set_("fixed", {"mode": "off"}), "fixed has 'mode', which is an argument"),
        (set_("tensors", 0, "offset", 1 << 40), r"tensors\[0\] reaches beyond the end of weights-"),
        (set_("tensors", 0, "file", "w.bin"), r"tensors\[0\] is in 'w.bin', which files does not"),
        (set_("sizes", "share", None), "sizes.share: expected integer, got None"),
    ],
)  # fmt: skip
def test_manifests_that_are_refused(tmp_path: Path, change: Any, message: str) -> None:
    path = copied(tmp_path)
    edited(path, change)
    refused(path, message, verify=False)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is damaged: Expecting value"),
        (b"[]", "is not that of a graphctx bundle"),
        (b'{"format": "graphctx-bundle"', "is damaged: Expecting"),
        (b"\xff\xfe", "is damaged: 'utf-8' codec"),
        (b'{"format": NaN}', "is damaged: NaN is no JSON"),
        (b'{"format": 1, "format": 1}', "is damaged: the member 'format' stands twice"),
        (b"[" * 100_000, "is damaged: "),
        (b'{"format": "graphctx-bundle", "version": ' + b"9" * 5000 + b"}", "is damaged: "),
    ],
)  # fmt: skip
def test_files_that_are_no_manifest(tmp_path: Path, data: bytes, message: str) -> None:
    path = copied(tmp_path)
    (path / "manifest.json").write_bytes(data)
    refused(path, message)


def test_a_manifest_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = copied(tmp_path)
    with (path / "manifest.json").open("wb") as file:
        file.truncate(1 << 30)  # takes no room on the disk
    refused(path, "has 1073741824 bytes; that is no manifest")


# -- the programs ---------------------------------------------------------------------------------


def replace_program(path: Path, change: Callable[[onnx.ModelProto], Any]) -> None:
    """Change the program of a class, and make the manifest fit."""
    import hashlib

    def fit(manifest: dict[str, Any]) -> None:
        file = path / program(manifest)["file"]
        model = onnx.load(file, load_external_data=False)
        change(model)
        data = model.SerializeToString()
        file.write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        manifest["files"][file.name] = {"size": len(data), "sha256": digest}

    edited(path, fit)


def location(value: str) -> Callable[[onnx.ModelProto], None]:
    """Let the first external tensor be in another file."""

    def change(model: onnx.ModelProto) -> None:
        external = [t for t in model.graph.initializer if t.data_location]
        for entry in external[0].external_data:
            if entry.key == "location":
                entry.value = value

    return change


@pytest.mark.parametrize("where", ["../outside.bin", "/etc/passwd", "link.bin", "", "a/../b"])
@pytest.mark.parametrize("verify", ["full", "manifest", False])
def test_programs_that_read_other_files(tmp_path: Path, where: str, verify: Any) -> None:
    path = copied(tmp_path)
    (tmp_path / "outside.bin").write_bytes(b"secret" * 100)
    (path / "link.bin").symlink_to(tmp_path / "outside.bin")
    replace_program(path, location(where))
    message = f"the tensor '.*' is in '{where}', which is none of the program's files of weights"
    with pytest.raises(InvalidBundleError, match=message):
        Bundle.load(path, verify=verify).run({"x": X})


def test_tensors_hidden_in_branches_are_found(tmp_path: Path) -> None:
    path = copied(tmp_path)

    def hide(model: onnx.ModelProto) -> None:
        tensor = onnx.TensorProto(name="hidden", data_location=onnx.TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value="../hidden.bin")
        branch = onnx.GraphProto(name="branch", initializer=[tensor])
        node = model.graph.node.add(op_type="If", name="hidden")
        node.attribute.add(name="then_branch", type=onnx.AttributeProto.GRAPH).g.CopyFrom(branch)

    replace_program(path, hide)
    refused(path, r"is in '\.\./hidden\.bin', which is none of the program's")


def test_a_tensor_beyond_the_end_of_its_file(tmp_path: Path) -> None:
    path = copied(tmp_path)

    def change(model: onnx.ModelProto) -> None:
        [tensor, *_] = [t for t in model.graph.initializer if t.data_location]
        for entry in tensor.external_data:
            if entry.key == "offset":
                entry.value = str(1 << 30)

    replace_program(path, change)
    refused(path, r"the tensor '.*' reaches beyond the end of weights-")


def test_what_is_no_model(tmp_path: Path) -> None:
    path = copied(tmp_path)
    manifest = json.loads((path / "manifest.json").read_text())
    file = path / program(manifest)["file"]
    file.write_bytes(b"\x3a\xff\xff" + file.read_bytes()[3:])
    with pytest.raises(InvalidBundleError, match=rf"{file.name} is no ONNX model: a field reaches"):
        Bundle.load(path, verify="manifest")


# -- the wire format ------------------------------------------------------------------------------


def model_bytes() -> bytes:
    path, result = models.stored()
    return (path / next(c.file for c in result.classes if c.file)).read_bytes()


def test_references_are_read_and_replaced_as_onnx_does() -> None:
    data = model_bytes()
    model = onnx.load_from_string(data)
    expected = {
        t.name: {e.key: e.value for e in t.external_data}
        for t in model.graph.initializer
        if t.data_location == onnx.TensorProto.EXTERNAL
    }
    assert {t.name: t.entries for t in external_tensors(data)} == expected
    assert expected
    same = replace_external(data, lambda tensor: tensor.entries)
    assert onnx.load_from_string(same) == model
    longer = {"location": "ä" * 300, "offset": "7", "length": "9"}
    changed = onnx.load_from_string(replace_external(data, lambda tensor: longer))
    for tensor in changed.graph.initializer:
        if tensor.name in expected:
            assert {e.key: e.value for e in tensor.external_data} == longer
            del tensor.external_data[:]
    for tensor in model.graph.initializer:
        del tensor.external_data[:]
    assert changed == model


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damaged_models_are_malformed_or_models(data: st.DataObject) -> None:
    model = bytearray(model_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        model[data.draw(st.integers(0, len(model) - 1))] = data.draw(st.integers(0, 255))
    model = model[: data.draw(st.integers(0, len(model)))]
    try:
        for tensor in external_tensors(bytes(model)):
            tensor.number("offset")
    except MalformedError:
        pass


def test_malformed_numbers() -> None:
    for message, data in {
        "a number reaches beyond the end": b"\x80",
        "a number has more than ten bytes": b"\xff" * 11,
        "a field has the wire type 3": b"\x0b",
        "a field reaches beyond the end": b"\x3a\x05a",
        "messages are nested more than 100 deep": nested(200),
        "a name is no UTF-8": b"\x3a\x05\x2a\x03\x42\x01\xff",
    }.items():
        with pytest.raises(MalformedError, match=message):
            external_tensors(data)
    with pytest.raises(MalformedError, match="its offset is '1e5', no number"):
        external_tensors(external({"offset": "1e5"}))[0].number("offset")


def nested(depth: int) -> bytes:
    """Graphs in attributes of nodes of graphs."""
    data = b""
    for number in [6, 5, 1] * (depth // 3):
        size = len(data)
        length = bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14])
        data = bytes([number << 3 | 2]) + length + data
    size = len(data)
    return b"\x3a" + bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]) + data


def external(entries: dict[str, str]) -> bytes:
    tensor = onnx.TensorProto(name="t", data_location=onnx.TensorProto.EXTERNAL)
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    model = onnx.ModelProto()
    model.graph.initializer.append(tensor)
    return model.SerializeToString()


# -- fuzzing --------------------------------------------------------------------------------------


def members(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all members of a JSON value."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(
        value, list
    ) else ()  # fmt: skip
    for key, item in items:
        found += members(item, (*path, key))
    return found


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda value: not value.is_integer())
    | st.text(max_size=12) | st.sampled_from(["../x", "manifest.json", "inf", "bool", "a" * 300]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner,
                                                               max_size=3),
    max_leaves=5,
)  # fmt: skip

PATHS = members(json.loads(text()))


def survives(path: Path) -> None:
    """A bundle loads and runs, or is refused with our own error."""
    try:
        bundle = Bundle.load(path, verify="manifest")
        for found in bundle.classes:
            assert found.program is not None or found.error is not None
        bundle.run({"x": X}, training=False)
    except BundleError:
        pass


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_manifests_with_other_members(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    manifest = json.loads(text())
    for _ in range(data.draw(st.integers(1, 3))):
        *where, key = data.draw(st.sampled_from(PATHS))
        at = manifest
        try:
            for step in where:
                at = at[step]
            if data.draw(st.booleans()):
                del at[key]
            else:
                at[key] = data.draw(JSON_VALUES)
        except (KeyError, IndexError, TypeError):
            continue  # it went with what was changed before
    changed = json.dumps(manifest).encode()
    conforms = jsonschema.Draft202012Validator(manifest_schema()).is_valid(json.loads(changed))
    try:
        parse_manifest(changed)
    except InvalidBundleError:
        pass
    else:
        assert conforms  # what is read conforms to the published schema
    if conforms:
        folder = tmp_path_factory.mktemp("fuzz") / "m.bundle"
        shutil.copytree(models.stored()[0], folder, copy_function=os.link)
        (folder / "manifest.json").unlink()
        (folder / "manifest.json").write_bytes(changed)
        survives(folder)
        shutil.rmtree(folder)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_manifests_with_other_bytes(data: st.DataObject) -> None:
    changed = bytearray(text())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(changed) - 1))
        if data.draw(st.booleans()):
            changed[at] = data.draw(st.integers(0, 255))
        else:
            del changed[at : at + data.draw(st.integers(1, 40))]
    with contextlib.suppress(InvalidBundleError):
        parse_manifest(bytes(changed))


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(manifest_schema())
    jsonschema.Draft202012Validator(manifest_schema()).validate(json.loads(text()))
    assert read_manifest(models.stored()[0]).data == json.loads(text())


@settings(max_examples=50, deadline=None)
@given(value=JSON_VALUES)
@pytest.mark.parametrize("name", sorted(manifest_schema()["$defs"]))
def test_the_validator_agrees_with_the_standard(name: str, value: Any) -> None:
    """But for 1.0, which is no integer here and does not occur."""
    schema = {**manifest_schema()["$defs"][name], "$defs": manifest_schema()["$defs"]}
    try:
        validate(value, manifest_schema()["$defs"][name])
        ours = True
    except NonconformingError:
        ours = False
    assert ours == jsonschema.Draft202012Validator(schema).is_valid(value)


def test_numbers_in_a_manifest(tmp_path: Path) -> None:
    """Integers stand for floats, text for infinities; NumPy takes them all."""
    path = copied(tmp_path)
    edited(path, lambda m: m["arguments"][-1].update(default=2))
    scale = Bundle.load(path).arguments["scale"]
    assert (scale.default, type(scale.default)) == (2.0, float)
    edited(path, lambda m: m["arguments"][-1].update(default="-inf"))
    assert Bundle.load(path).arguments["scale"].default == -np.inf


def test_a_program_with_another_interface(tmp_path: Path) -> None:
    path = copied(tmp_path)
    edited(path, lambda m: program(m)["signature"]["outputs"].pop())
    message = "has the outputs 'hidden', 'logits', the manifest says 'hidden'; export the bundle"
    with pytest.raises(InvalidBundleError, match=message):
        Bundle.load(path).run({"x": X})
    path = copied(tmp_path / "again")
    edited(path, lambda m: program(m)["signature"]["inputs"][0].update(name="y"))
    with pytest.raises(InvalidBundleError, match="has the inputs 'scale', 'x', the manifest says"):
        Bundle.load(path).run({"y": X})
