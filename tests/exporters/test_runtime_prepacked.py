"""The cache of weights that are arranged for the processor."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graphctx_onnx import Bundle, export_bundle
from graphctx_onnx.runtime import BundleError, prepacked
from graphctx_onnx.runtime.prepacked import default_root

from tests.exporters import bundle_models as models

WIDTH = 64
X = np.random.default_rng(0).standard_normal((5, WIDTH)).astype(np.float32)
MODES = ("relu", "tanh", "sigmoid", "elu")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("prepacked") / "m.bundle"
    export_bundle(models.choice_graph(WIDTH), found, verify=False)
    return found


def load(path: Path, cache: Path) -> Bundle:
    return Bundle.load(path, sharing="prepacked", cache=cache)


def folder(cache: Path) -> Path:
    [found] = (cache / "prepacked").iterdir()
    return found


def test_it_has_the_bits_of_private_sessions(path: Path, tmp_path: Path) -> None:
    cached, private = load(path, tmp_path), Bundle.load(path, sharing="private")
    for mode in MODES:
        found, expected = (b.run({"x": X}, mode=mode)["output"] for b in (cached, private))
        np.testing.assert_array_equal(found, expected)


def test_programs_share_what_is_written(path: Path, tmp_path: Path) -> None:
    bundle = load(path, tmp_path)
    for mode in MODES:
        bundle.run({"x": X}, mode=mode)
    files = {entry.suffix: [] for entry in folder(tmp_path).iterdir()}  # type: ignore[var-annotated]
    for entry in folder(tmp_path).iterdir():
        files[entry.suffix].append(entry)
    assert {suffix: len(found) for suffix, found in files.items()} == {
        ".onnx": 4, ".bin": 1, ".json": 2,
    }  # fmt: skip
    entries = {
        name: {e.key: e.value for e in tensor.external_data}
        for file in files[".onnx"]
        for tensor in onnx.load(file, load_external_data=False).graph.initializer
        if (name := f"{file.name} {tensor.name}") and tensor.external_data
    }
    assert len(entries) == 8
    assert len({e["offset"] for e in entries.values()}) == 2
    assert {e["location"] for e in entries.values()} == {files[".bin"][0].name}
    assert all("prepacked_0" in e for e in entries.values())


def test_it_is_written_once(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(path, tmp_path).run({"x": X})
    written = sorted(entry.stat().st_mtime_ns for entry in folder(tmp_path).iterdir())
    monkeypatch.setattr(prepacked.Cache, "_write", None)  # is not called
    load(path, tmp_path).run({"x": X})
    assert sorted(entry.stat().st_mtime_ns for entry in folder(tmp_path).iterdir()) == written


@pytest.mark.parametrize("change", ["host", "bundle", "damage"])
def test_it_is_written_anew_where_it_does_not_fit(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    bundle = tmp_path / "m.bundle"
    shutil.copytree(path, bundle)
    cache = tmp_path / "cache"
    load(bundle, cache).run({"x": X})
    (folder(cache) / "stale.bin").write_text("of somebody else")
    if change == "host":
        monkeypatch.setattr(prepacked.platform, "machine", lambda: "another")
    elif change == "bundle":
        export_bundle(models.choice_graph(WIDTH), bundle, contexts=[{}], verify=False)
    else:
        (folder(cache) / "host.json").write_text("{")
    load(bundle, cache).run({"x": X})
    assert not (folder(cache) / "stale.bin").exists()
    assert len(list(folder(cache).glob("*.onnx"))) == 1


def test_programs_without_weights_in_files_need_no_cache(tmp_path: Path) -> None:
    export_bundle(models.choice_graph(4), tmp_path / "m.bundle", verify=False)
    cache = tmp_path / "cache"
    load(tmp_path / "m.bundle", cache).run({"x": X[:, :4]})
    assert not cache.exists()


def test_convolutions(tmp_path: Path) -> None:
    """Their weights are reordered, not packed; and shared as well."""
    from tests.exporters.test_bundle_export import convolutions

    export_bundle(convolutions(), tmp_path / "m.bundle", verify=False)
    bundle, private = (
        Bundle.load(tmp_path / "m.bundle", sharing=sharing, cache=tmp_path / "cache")
        for sharing in ("prepacked", "private")
    )
    x = np.random.default_rng(0).standard_normal((2, 8, 8, 4)).astype(np.float32)
    for training in (False, True):
        found = bundle.run({"x": x}, training=training)["output"]
        np.testing.assert_array_equal(found, private.run({"x": x}, training=training)["output"])


def test_a_cache_that_cannot_be_written(path: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match="cannot be written: Not a directory; name another fol"):
        load(path, tmp_path / "file").run({"x": X})


def test_a_cache_on_a_full_disk(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(prepacked.os, "replace", full)
        message = (
            "the cache of prepacked weights cannot be written: No space left on device; name "
            r"another folder with cache=\.\.\., or choose sharing='shared' or 'private'"
        )
        with pytest.raises(BundleError, match=message):
            load(path, tmp_path).run({"x": X})
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    with monkeypatch.context() as patch:
        patch.setattr(prepacked.shutil, "disk_usage", lambda folder: usage)
        with pytest.raises(BundleError, match="needs 0 MiB while it is written, and 0 MiB are"):
            load(path, tmp_path).run({"x": X})
    load(path, tmp_path).run({"x": X})
    assert not [entry for entry in folder(tmp_path).iterdir() if entry.name.startswith(".")]


def test_a_data_file_that_is_too_short(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"0" * 10)
    with pytest.raises(OSError, match="onnxruntime wrote less than it should; is the disk full"):
        prepacked._digest(tmp_path / "data", 5, 10)


def test_the_usual_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_root() == tmp_path / "graphctx"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert default_root() == Path("/home/somebody/.cache/graphctx")


def test_other_providers_are_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from graphctx_onnx.runtime import sessions

    names = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(sessions.onnxruntime, "get_available_providers", lambda: names)
    with pytest.raises(BundleError, match="is for 'CPUExecutionProvider' alone"):
        Bundle.load(path, sharing="prepacked", providers=names)


def test_what_wrote_it_is_noted(path: Path, tmp_path: Path) -> None:
    load(path, tmp_path).run({"x": X})
    noted = json.loads((folder(tmp_path) / "host.json").read_text())
    assert set(noted["host"]) == {"onnxruntime", "machine", "processor"}
    assert (folder(tmp_path).stat().st_mode & 0o077) == 0
