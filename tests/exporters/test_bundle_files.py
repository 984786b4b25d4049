"""The folder of a bundle: whatever happens, it is the old bundle or the new one."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphctx_onnx import Bundle, add_contexts, export_bundle, prune_bundle
from graphctx_onnx.bundle import folder as folders

import graphctx as gx
from graphctx import ExportError, TensorSpec
from graphctx.graph import CallGraph
from tests.exporters import bundle_models as models
from tests.exporters.failing_writes import failing_at
from tests.exporters.onnx_models import Linear

X = np.ones((1, 16), np.float32)


def graph(scale: float) -> CallGraph:
    model = Linear(16, 16)
    model.kernel.assign(model.kernel * scale)
    return gx.trace(model, TensorSpec(("batch", 16), name="x"))


def content(path: Path) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in path.iterdir()}


def computes(path: Path, program: CallGraph) -> bool:
    """Whether a bundle is there, undamaged, and computes what a graph does."""
    return np.allclose(Bundle.load(path).run({"x": X})["output"], gx.compile(program)(X), 1e-5)


def full_disk() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def interrupt() -> None:
    raise KeyboardInterrupt


FAILURES = pytest.mark.parametrize(
    ("fail", "error"), [(full_disk, ExportError), (interrupt, KeyboardInterrupt)]
)


@FAILURES
def test_a_new_bundle_is_there_in_full_or_not_at_all(
    tmp_path: Path, fail: Any, error: type[BaseException]
) -> None:
    made, target = graph(1.0), tmp_path / "m.bundle"
    for step in range(100):
        with failing_at(step, fail) as steps:
            try:
                export_bundle(made, target, verify=False)
            except error:
                if not target.exists():
                    assert list(tmp_path.iterdir()) == [], steps
                    continue
                assert error is KeyboardInterrupt  # when it was in place already
        # What fails after the bundle is in place does no harm.
        assert computes(target, made)
        shutil.rmtree(target)
        if step >= len(steps):
            break
    assert {"mkdir", "open", "write", "fsync", "replace", "rename"} <= set(steps)


def test_a_full_disk(tmp_path: Path) -> None:
    message = r"m\.bundle: cannot be written: No space left on device"
    with failing_at(3, full_disk), pytest.raises(ExportError, match=message):
        export_bundle(graph(1.0), tmp_path / "m.bundle")


@FAILURES
def test_replacing_leaves_the_old_bundle_or_the_new_one(
    tmp_path: Path, fail: Any, error: type[BaseException]
) -> None:
    old, new, target = graph(1.0), graph(2.0), tmp_path / "m.bundle"
    export_bundle(old, target, verify=False)
    before = content(target)
    committed = False
    for step in range(100):
        with failing_at(step, fail) as steps:
            try:
                export_bundle(new, target, verify=False)
            except error:
                if not committed and content(target) == before:
                    assert computes(target, old)
                    continue
        committed = True
        assert computes(target, new)
        shutil.rmtree(target)
        target.mkdir()
        for name, data in before.items():
            (target / name).write_bytes(data)
        if step >= len(steps):
            break
    assert committed
    assert "unlink" in steps  # the old files go last


@pytest.mark.parametrize("change", ["add", "prune"])
def test_changing_a_bundle_leaves_the_old_or_the_new_one(tmp_path: Path, change: str) -> None:
    traced = models.choice_graph(16)
    original = tmp_path / "original.bundle"
    contexts = [{"mode": "relu"}, {"mode": "tanh"}]
    export_bundle(traced, original, contexts=contexts, verify=False)
    target = tmp_path / "m.bundle"
    before = content(original)
    known = 0
    for step in range(100):
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(original, target)
        with failing_at(step, full_disk) as steps:
            try:
                if change == "add":
                    add_contexts(target, traced, [{"mode": "elu"}], verify=False)
                else:
                    prune_bundle(target, drop=[{"mode": "tanh"}])
            except ExportError:
                assert content(target) == before, steps
                continue
        known = len(Bundle.load(target).classes)
        assert known == (3 if change == "add" else 1)
        if step >= len(steps):
            break
    assert known


KILLED = """
    import os, shutil, signal, sys
    from pathlib import Path
    from graphctx_onnx import Bundle, export_bundle
    from tests.exporters.failing_writes import failing_at
    from tests.exporters.test_bundle_files import content, graph

    folder = Path(sys.argv[1])
    old, new = graph(1.0), graph(2.0)
    target, original = folder / "m.bundle", folder / "original.bundle"
    export_bundle(old, original, verify=False)
    counts = {"old": 0, "new": 0, "none": 0}

    def killed(step, replaced):
        child = os.fork()
        if child == 0:
            with failing_at(step, lambda: os.kill(os.getpid(), signal.SIGKILL)):
                export_bundle(new, target, verify=False)
            os._exit(0)
        return os.waitpid(child, 0)[1] != 0

    for replaced in (True, False):
        step, alive = 0, False
        while not alive:
            shutil.rmtree(target, ignore_errors=True)
            if replaced:
                shutil.copytree(original, target)
            alive = not killed(step, replaced)
            step += 1
            if not replaced and not target.exists():
                counts["none"] += 1
                continue
            manifest = Bundle.load(target).manifest
            kind = "old" if manifest.data == Bundle.load(original).manifest.data else "new"
            assert replaced or kind == "new"
            counts[kind] += 1
            # Whatever was left is gone after the next export.
            export_bundle(old, target, verify=False)
            assert content(target) == content(original), sorted(content(target))
    print(*counts.values())
"""


@pytest.mark.skipif(os.name != "posix", reason="needs fork and SIGKILL")
def test_a_killed_process_leaves_the_old_bundle_or_the_new_one(tmp_path: Path) -> None:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path)],
        capture_output=True, text=True, check=False, env=environment,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    old, new, none = map(int, run.stdout.split())
    assert old > 5
    assert new > 1
    assert none > 5


# -- what is there already ------------------------------------------------------------------------


def test_replacing_a_bundle_removes_what_it_does_not_need(tmp_path: Path) -> None:
    target = tmp_path / "m.bundle"
    export_bundle(graph(1.0), target, verify=False)
    (target / "README.md").write_text("mine")
    (target / "program-0123456789ab.onnx").write_text("left by a crash")
    (target / ".partial-01234567").write_text("left by a crash")
    written = export_bundle(graph(2.0), target, verify=False)
    assert set(target.iterdir()) == {*written.files, target / "README.md"}


def test_a_damaged_file_is_written_again(tmp_path: Path) -> None:
    target = tmp_path / "m.bundle"
    written = export_bundle(graph(1.0), target, verify=False)
    weights = next(file for file in written.files if file.suffix == ".bin")
    before = content(target)
    weights.write_bytes(b"\0" * weights.stat().st_size)
    export_bundle(graph(1.0), target, verify=False)
    assert content(target) == before


def test_an_unchanged_file_stays(tmp_path: Path) -> None:
    target = tmp_path / "m.bundle"
    written = export_bundle(graph(1.0), target, verify=False)
    inodes = [file.stat().st_ino for file in written.files[1:]]
    export_bundle(graph(1.0), target, verify=False)
    assert [file.stat().st_ino for file in written.files[1:]] == inodes


def test_an_empty_folder_becomes_a_bundle(tmp_path: Path) -> None:
    target = tmp_path / "m.bundle"
    target.mkdir()
    export_bundle(graph(1.0), target, verify=False)
    assert computes(target, graph(1.0))


def test_files_can_be_read_by_others(tmp_path: Path) -> None:
    umask = os.umask(0o022)
    try:
        written = export_bundle(graph(1.0), tmp_path / "m.bundle", verify=False)
    finally:
        os.umask(umask)
    assert {file.stat().st_mode & 0o777 for file in written.files} == {0o644}
    assert written.path.stat().st_mode & 0o777 == 0o755


def test_a_link_to_a_bundle_stays_a_link(tmp_path: Path) -> None:
    export_bundle(graph(1.0), tmp_path / "real.bundle", verify=False)
    link = tmp_path / "m.bundle"
    link.symlink_to(tmp_path / "real.bundle")
    assert export_bundle(graph(2.0), link, verify=False).path == link
    assert link.is_symlink()
    assert computes(link, graph(2.0))


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("m", None, "m: the name of a bundle ends in .bundle; write to 'm.bundle' instead"),
        (".bundle", None, "write to 'model.bundle' instead"),
        ("no/m.bundle", None, "the folder '.*no' does not exist; make it first"),
        ("f/m.bundle", lambda path: path.parent.write_text(""), "the folder '.*f' is not a fold"),
        ("m.bundle", lambda path: path.write_text(""), "is a file, and a bundle is a folder; rem"),
        (
            "m.bundle",
            lambda path: (path / "photos").mkdir(parents=True),
            r"what is there is not replaced, as it is no bundle .* \(.*no manifest.json\); remove",
        ),
    ],
)
def test_paths_that_are_refused(tmp_path: Path, name: str, make: Any, message: str) -> None:
    if make is not None:
        make(tmp_path / name)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ExportError, match=message):
        export_bundle(graph(1.0), tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_foreign_manifest_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "m.bundle"
    target.mkdir()
    (target / "manifest.json").write_text('{"name": "an app"}')
    with pytest.raises(ExportError, match=r"\(.*manifest.json is not that of a graphctx bundle\)"):
        export_bundle(graph(1.0), target)
    assert content(target) == {"manifest.json": b'{"name": "an app"}'}


@pytest.mark.skipif(folders.fcntl is None, reason="needs file locks")
def test_two_processes_do_not_write_to_one_bundle(tmp_path: Path) -> None:
    import fcntl

    target = tmp_path / "m.bundle"
    export_bundle(graph(1.0), target, verify=False)
    handle = os.open(target, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        with pytest.raises(ExportError, match="another process is writing to it; try again"):
            export_bundle(graph(2.0), target)
    finally:
        os.close(handle)
    export_bundle(graph(2.0), target, verify=False)


def test_a_bundle_that_appears_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "m.bundle"
    real = folders.Workplace.commit

    def late(place: Any, manifest: bytes) -> None:
        monkeypatch.undo()
        export_bundle(graph(1.0), target, verify=False)
        real(place, manifest)

    monkeypatch.setattr(folders.Workplace, "commit", late)
    with pytest.raises(ExportError, match=r"m\.bundle: cannot be written: Directory not empty"):
        export_bundle(graph(2.0), target, verify=False)
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.bundle"]
    assert computes(target, graph(1.0))
