"""Bundles that are there: adding contexts, removing what nobody needs, verifying."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphctx_onnx import Bundle, add_contexts, export_bundle, prune_bundle, verify_bundle

import graphctx as gx
from graphctx import ContextError, ExportError, TensorSpec, VerificationError
from tests.exporters import bundle_models as models
from tests.exporters.bundle_models import copied
from tests.exporters.onnx_models import Linear


def conditions(path: Path) -> list[str]:
    return [found.condition for found in Bundle.load(path).classes]


def agrees(path: Path, graph: gx.CallGraph, **context: Any) -> bool:
    """Whether the bundle computes what the program does."""
    seed = 5
    program = gx.compile(graph, context)
    found = Bundle.load(path).run({"x": models.X}, seed=seed, context=context)
    expected = program(models.X, seed=seed)
    return all(np.allclose(found[name], expected[name], 1e-4, 1e-5) for name in expected)


def small(tmp_path: Path) -> Path:
    """A bundle of two of the classes."""
    path = tmp_path / "m.bundle"
    contexts = [{"training": True, "mode": "high"}, {"training": True, "mode": "low"}]
    export_bundle(models.net_graph(), path, contexts=contexts)
    return path


# -- adding ---------------------------------------------------------------------------------------


def test_a_context_is_added(tmp_path: Path) -> None:
    path = small(tmp_path)
    before = {entry.name: entry.read_bytes() for entry in path.iterdir()}
    graph = models.net_graph()
    added = add_contexts(path, graph, [{"training": True, "mode": "off"}])
    assert conditions(path) == [found.condition for found in added.classes] == [
        "training=True & mode=low & role=STUDENT",
        "training=True & mode=high & role=STUDENT",
        "training=True & mode=off & role=STUDENT",
    ]  # fmt: skip
    # Nothing that was there is written again, or compared again.
    assert added.unused == 0
    for name, data in before.items():
        if name != "manifest.json":
            assert (path / name).read_bytes() == data
    assert len(list(path.glob("weights-*.bin"))) == 1
    assert [found.report is not None for found in added.classes] == [False, False, True]
    for mode in ("off", "low", "high"):
        assert agrees(path, graph, training=True, mode=mode)


def test_an_added_program_may_need_weights_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "m.bundle"
    graph = models.net_graph(units=64)
    export_bundle(graph, path, contexts=[{}])  # alone, its BatchNorm is folded
    first = Bundle.load(path).manifest
    added = add_contexts(path, graph, [{"training": True}])
    assert added.unused > 0
    assert set(first.files) - {first.classes[0].program.file} < {f.name for f in added.files}
    assert agrees(path, graph)
    assert agrees(path, graph, training=True)
    pruned = prune_bundle(path)
    assert pruned.tensors > 0
    assert agrees(path, graph)
    assert agrees(path, graph, training=True)
    verify_bundle(path, graph)


def test_adding_what_is_there_changes_nothing(tmp_path: Path) -> None:
    path = copied(tmp_path)
    before = {entry.name: entry.read_bytes() for entry in path.iterdir()}
    add_contexts(path, models.net_graph(), [{}, {"training": True}])
    assert {entry.name: entry.read_bytes() for entry in path.iterdir()} == before


@pytest.mark.parametrize("weights", ["share", "fold"])
def test_adding_one_by_one_is_exporting_all(tmp_path: Path, weights: str) -> None:
    graph, path = models.net_graph(), tmp_path / "m.bundle"
    options: dict[str, Any] = {"runtime": ["mode"], "context": {"role": models.Role.STUDENT}}
    export_bundle(graph, path, contexts=[{}], weights=weights, **options)
    add_contexts(path, graph, [{"training": True}])
    whole = export_bundle(graph, tmp_path / "all.bundle", weights=weights, **options)
    one, other = Bundle.load(path).manifest, Bundle.load(whole.path).manifest
    assert [c.conditions for c in one.classes] == [c.conditions for c in other.classes]
    assert one.sizes == other.sizes
    for training in (False, True):
        assert agrees(path, graph, training=training, mode="high", role=models.Role.STUDENT)


def test_adding_refuses_another_model(tmp_path: Path) -> None:
    path = copied(tmp_path)
    before = {entry.name: entry.read_bytes() for entry in path.iterdir()}
    message = r"net\.bundle: not exported from this graph: the traced graphs differ; export the"
    with pytest.raises(ExportError, match=message):
        add_contexts(path, models.net_graph(units=8), [{}])
    graph = models.net_graph()
    kernel = next(node.data for node in graph.weights if node.name == "net/first/kernel")
    kernel.assign(kernel * 2)
    with pytest.raises(ExportError, match="weights differ: 'net/first/kernel'; export the bundle"):
        add_contexts(path, graph, [{}])
    other = gx.trace(Linear(4, 16), models.SPEC)
    with pytest.raises(ExportError, match="this graph has no open context argument"):
        add_contexts(path, other, [{}])
    with pytest.raises(ContextError, match="context argument 'mode' got 'loud'"):
        add_contexts(path, models.net_graph(), [{"mode": "loud"}])
    assert {entry.name: entry.read_bytes() for entry in path.iterdir()} == before


def test_adding_to_damaged_weights_is_refused(tmp_path: Path) -> None:
    path = small(tmp_path)
    file = next(path.glob("weights-*.bin"))
    file.write_bytes(b"0" * file.stat().st_size)
    before = {entry.name: entry.read_bytes() for entry in path.iterdir()}
    with pytest.raises(ExportError, match=rf"{file.name} is damaged: its SHA-256 is"):
        add_contexts(path, models.net_graph(), [{}])
    assert {entry.name: entry.read_bytes() for entry in path.iterdir()} == before


def test_adding_needs_a_bundle(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"there is no bundle; gx\.export"):
        add_contexts(tmp_path / "m.bundle", models.net_graph(), [{}])
    assert list(tmp_path.iterdir()) == []


def test_the_opset_stays_that_of_the_bundle(tmp_path: Path) -> None:
    path = tmp_path / "m.bundle"
    graph = models.choice_graph(4)
    export_bundle(graph, path, contexts=[{}], opset=21)
    add_contexts(path, graph, [{"mode": "tanh"}])
    programs = [found.program for found in Bundle.load(path).classes]
    assert [program.opset for program in programs if program is not None] == [21, 21]


# -- removing -------------------------------------------------------------------------------------


def test_classes_are_removed_with_the_weights_that_only_they_need(tmp_path: Path) -> None:
    path = tmp_path / "m.bundle"
    graph = models.net_graph(units=64)
    export_bundle(graph, path, weights="fold")
    size = sum(entry.stat().st_size for entry in path.iterdir())
    pruned = prune_bundle(path, drop=[{}, {"training": True, "role": "TEACHER"}])
    assert pruned.conditions == ("training=False", "training=True & role=TEACHER")
    assert pruned.tensors > 0
    assert pruned.after < pruned.before < size
    assert len(conditions(path)) == 3
    verify_bundle(path, graph)
    for mode in ("off", "low", "high"):
        assert agrees(path, graph, training=True, mode=mode)
    sizes = Bundle.load(path).manifest.sizes
    assert sizes["share"] is None  # of the programs that are left it is not known
    assert sizes["fold"] == sum(t.size for t in Bundle.load(path).manifest.tensors)


def test_removing_nothing_changes_nothing(tmp_path: Path) -> None:
    path = copied(tmp_path)
    before = {entry.name: entry.read_bytes() for entry in path.iterdir()}
    (path / "weights-0123456789ab.bin").write_text("left by a crash")
    pruned = prune_bundle(path)
    assert (pruned.conditions, pruned.tensors, pruned.after) == ((), 0, pruned.before)
    assert {entry.name: entry.read_bytes() for entry in path.iterdir()} == before


def test_all_weights_can_go(tmp_path: Path) -> None:
    path = copied(tmp_path)
    drop = [{"training": t, "mode": m} for t in (False, True) for m in ("off", "low", "high")]
    pruned = prune_bundle(path, drop=drop)
    assert len(pruned.conditions) == 4
    assert [entry.name for entry in path.iterdir()] == ["manifest.json"]
    assert Bundle.load(path).classes[0].error is not None


def test_what_pruning_refuses(tmp_path: Path) -> None:
    path = copied(tmp_path)
    before = {entry.name: entry.read_bytes() for entry in path.iterdir()}
    with pytest.raises(ContextError, match="net has no context argument 'modus'; did you mean 'mo"):
        prune_bundle(path, drop=[{"modus": "off"}])
    everything = [
        {"training": t, "mode": m, "role": r}
        for t in (False, True) for m in ("off", "low", "high") for r in ("TEACHER", "STUDENT")
    ]  # fmt: skip
    with pytest.raises(ExportError, match="no class would be left; remove the folder instead"):
        prune_bundle(path, drop=everything)
    assert {entry.name: entry.read_bytes() for entry in path.iterdir()} == before
    program = next(path.glob("*.onnx"))
    program.write_bytes(program.read_bytes()[:100])
    with pytest.raises(ExportError, match=r"program-.* is damaged"):
        prune_bundle(path)


# -- verifying ------------------------------------------------------------------------------------


def test_verifying_files_and_numbers() -> None:
    path, _ = models.stored()
    assert verify_bundle(path) == []
    told: list[str] = []
    reports = verify_bundle(
        path, models.net_graph(), sizes={"batch": [2]}, workers=1,
        progress=lambda stage, done, steps: told.append(stage),
    )  # fmt: skip
    assert [report is None for report in reports] == [
        found.program is None for found in Bundle.load(path).classes
    ]
    assert all(0 <= report.largest < 1e-4 for report in reports if report is not None)
    assert {"checking files", "checking tensors", "compiling"} < set(told)


@pytest.mark.parametrize("suffix", [".onnx", ".bin"])
def test_a_changed_byte_is_found(tmp_path: Path, suffix: str) -> None:
    path = copied(tmp_path)
    file = next(path.glob(f"*{suffix}"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(ExportError, match=rf"{file.name} is damaged: its SHA-256 is"):
        verify_bundle(path)


def test_a_tensor_in_the_wrong_place_is_found(tmp_path: Path) -> None:
    path = copied(tmp_path)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["tensors"][0]["sha256"] = "0" * 64
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(
        ExportError, match=r"the tensor '.*' in weights-.* is not what the manifest"
    ):
        verify_bundle(path)


def test_verifying_against_another_model(tmp_path: Path) -> None:
    path, _ = models.stored()
    with pytest.raises(ExportError, match="not exported from this graph: its model is 'net', this"):
        verify_bundle(path, gx.trace(models.Net(), TensorSpec(("batch", 4), name="x"), ).replace(
            name="other"
        ))  # fmt: skip


def test_a_program_that_computes_something_else(tmp_path: Path) -> None:
    """A bundle whose digests are right, but which has the wrong program."""
    path = tmp_path / "m.bundle"
    graph = models.choice_graph(4)
    export_bundle(graph, path)
    manifest = json.loads((path / "manifest.json").read_text())
    first, second = manifest["classes"][:2]
    first["program"], second["program"] = second["program"], first["program"]
    (path / "manifest.json").write_text(json.dumps(manifest))
    verify_bundle(path)
    with pytest.raises(VerificationError, match="the program for mode=relu: choice: the exported"):
        verify_bundle(path, graph)
