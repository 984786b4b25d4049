"""What a bundle holds: programs, weights, manifest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import jsonschema
import numpy as np
import onnx
import pytest
from graphctx_onnx import Bundle, ExportedBundle, export_bundle
from graphctx_onnx.runtime.schema import manifest_schema
from onnx import TensorProto

import graphctx as gx
from graphctx import Context, ContextError, ExportError, Layer, TensorSpec, nn, ops
from tests.exporters import bundle_models as models
from tests.exporters.onnx_models import Lambda, weight


def manifest_of(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path / "manifest.json").read_text())
    jsonschema.Draft202012Validator(manifest_schema()).validate(found)
    return found


def references(path: Path, program: str) -> dict[str, tuple[str, int, int]]:
    """Tensor -> file, offset, length, of those outside of a program."""
    found = {}
    for tensor in onnx.load(path / program, load_external_data=False).graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            entries = {entry.key: entry.value for entry in tensor.external_data}
            place = entries["location"], int(entries["offset"]), int(entries["length"])
            found[tensor.name] = place
    return found


def conditions(result: ExportedBundle) -> dict[str, int]:
    return {found.condition: found.assignments for found in result.classes}


# -- classes --------------------------------------------------------------------------------------


def test_every_distinct_program_is_there_once() -> None:
    path, result = models.stored()
    assert conditions(result) == {
        "training=False": 6,
        "training=True & mode=off & role=STUDENT": 1,
        "training=True & mode=low & role=STUDENT": 1,
        "training=True & mode=high & role=STUDENT": 1,
        "training=True & role=TEACHER": 3,
    }
    assert result.title == "12 assignments -> 4 programs"
    programs = [entry.name for entry in path.glob("*.onnx")]
    assert sorted(programs) == sorted(found.file for found in result.classes if found.file)
    errors = [found.error for found in result.classes if not found.file]
    assert errors == ["ValueError: a teacher is not trained"]
    assert all(c.report is not None and c.report.rows for c in result.classes if c.file)
    assert result.path == path
    assert set(result.files) == set(path.iterdir())
    assert result.size == sum(file.stat().st_size for file in path.iterdir())


def test_the_manifest_says_all_that_a_runtime_needs() -> None:
    path, result = models.stored()
    found = manifest_of(path)
    assert (found["format"], found["version"]) == ("graphctx-bundle", 1)
    assert (found["graphctx"], found["model"]["name"]) == (gx.__version__, "net")
    assert {entry.pop("name"): entry for entry in found["arguments"]} == {
        "training": {
            "type": "bool", "required": False, "values": [False, True], "default": False,
            "binding": "bound",
        },
        "mode": {
            "type": "string", "required": False, "values": ["off", "low", "high"],
            "default": "low", "binding": "bound",
        },
        "role": {
            "type": "string", "required": False, "values": ["TEACHER", "STUDENT"],
            "default": "STUDENT", "binding": "bound",
        },
        "scale": {"type": "float", "required": False, "default": 1.0, "binding": "runtime"},
    }  # fmt: skip
    by_condition = {entry["condition"]: entry for entry in found["classes"]}
    inference = by_condition["training=False"]
    assert inference["conditions"] == [{"training": [False]}]
    assert inference["id"] in inference["program"]["file"]
    assert inference["program"]["signature"] == {
        "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", 4]}],
        "seed": None,
        "contexts": [{"name": "scale", "argument": "scale", "dtype": "float64"}],
        "outputs": [
            {"name": "hidden", "output": "hidden", "dtype": "float32", "shape": ["batch", 16]},
            {"name": "logits", "output": "logits", "dtype": "float32", "shape": ["batch", 2]},
        ],
        "state": [],
    }
    training = by_condition["training=True & mode=low & role=STUDENT"]["program"]
    assert training["signature"]["seed"] == "seed"
    assert training["signature"]["contexts"] == []  # nothing depends on the scale there
    assert [entry["path"] for entry in training["signature"]["state"]] == [
        "net/norm/moving_mean", "net/norm/moving_variance",
    ]  # fmt: skip
    error = by_condition["training=True & role=TEACHER"]["error"]
    assert (error["type"], error["message"]) == ("ValueError", "a teacher is not trained")
    assert "bundle_models.py:" in error["source"]
    assert set(found["files"]) == {file.name for file in result.files} - {"manifest.json"}


def test_every_assignment_is_in_one_class() -> None:
    found = manifest_of(models.stored()[0])
    for training in (False, True):
        for mode in ("off", "low", "high"):
            for role in ("TEACHER", "STUDENT"):
                given = {"training": training, "mode": mode, "role": role}
                holds = [
                    entry["condition"]
                    for entry in found["classes"]
                    if any(
                        all(given[name] in values for name, values in condition.items())
                        for condition in entry["conditions"]
                    )
                ]
                assert len(holds) == 1, given


def test_programs_that_optimization_makes_equal_are_one(tmp_path: Path) -> None:
    class Model(Layer):
        def call(self, x: Any, *, mode: Context[Literal["a", "b", "c"]] = "a") -> Any:
            return {"a": ops.tanh(x) * 1, "b": ops.tanh(x), "c": x * 2}[mode]

    graph = gx.trace(Model(), models.SPEC)
    assert len(graph.classes()) == 3
    result = export_bundle(graph, tmp_path / "m.bundle")
    assert conditions(result) == {"mode=a|b": 2, "mode=c": 1}


def test_some_contexts_only(tmp_path: Path) -> None:
    graph = models.net_graph()
    contexts = [{"training": True}, {"training": True, "mode": "low"}, {}]
    result = gx.export(graph, tmp_path / "m.bundle", contexts=contexts)
    assert conditions(result) == {"training=True & mode=low & role=STUDENT": 1, "training=False": 6}
    assert result.title == "7 of 12 assignments -> 2 programs"


def test_arguments_that_have_one_value_in_every_program(tmp_path: Path) -> None:
    graph = models.net_graph()
    context = {"role": models.Role.STUDENT, "scale": 2.0}
    result = gx.export(graph, tmp_path / "m.bundle", context=context, verify=False)
    assert len(result.classes) == 4
    found = manifest_of(tmp_path / "m.bundle")
    assert found["fixed"] == {"role": "STUDENT", "scale": 2.0}
    assert {entry["name"] for entry in found["arguments"]} == {"training", "mode"}


def test_arguments_left_to_run_time(tmp_path: Path) -> None:
    graph = models.net_graph()
    context = {"role": models.Role.STUDENT}
    result = gx.export(graph, tmp_path / "m.bundle", context=context, runtime=["mode"])
    assert conditions(result) == {"training=False": 1, "training=True": 1}
    found = manifest_of(tmp_path / "m.bundle")
    binding = {entry["name"]: entry["binding"] for entry in found["arguments"]}
    assert binding == {"training": "bound", "mode": "runtime", "scale": "runtime"}


def test_other_kinds_of_arguments(tmp_path: Path) -> None:
    class Model(Layer):
        def call(
            self,
            x: Any,
            *,
            steps: Context[int] = 1,
            kind: Context[Literal["x", 1, True]] = 1,
            style: Context[str],
            limit: Context[float] = float("inf"),
        ) -> Any:
            for _ in range(steps):
                x = x * 2
            return ops.minimum(x, limit) if style == "loud" or kind == "x" else x

    domains = {"steps": [1, 3], "style": ["loud", "calm"]}
    graph = gx.trace(Model(), models.SPEC, domains=domains)
    gx.export(graph, tmp_path / "m.bundle", verify=False)
    found = {entry["name"]: entry for entry in manifest_of(tmp_path / "m.bundle")["arguments"]}
    assert found["steps"] == {
        "name": "steps", "type": "int", "required": False, "values": [1, 3], "default": 1,
        "binding": "bound",
    }  # fmt: skip
    assert (found["kind"]["type"], found["kind"]["values"]) == ("mixed", ["x", 1, True])
    assert found["style"]["required"]
    assert sorted(found["style"]["values"]) == ["calm", "loud"]
    assert "default" not in found["style"]
    assert found["limit"]["default"] == "inf"
    bundle = Bundle.load(tmp_path / "m.bundle")
    x = np.ones((1, 4), np.float32)
    given = {"steps": 3, "style": "loud", "limit": 5.0}
    np.testing.assert_array_equal(bundle.run({"x": x}, **given)["output"], x * 5)
    np.testing.assert_array_equal(bundle.run({"x": x}, style="loud")["output"], x * 2)
    np.testing.assert_array_equal(bundle.run({"x": x}, style="calm", kind=True)["output"], x * 2)


def test_arguments_whose_defaults_differ(tmp_path: Path) -> None:
    class First(Layer):
        def call(self, x: Any, *, mode: Context[Literal["a", "b"]] = "a") -> Any:
            return x + {"a": 1, "b": 2}[mode]

    class Second(Layer):
        def call(self, x: Any, *, mode: Context[Literal["a", "b"]] = "b") -> Any:
            return x * {"a": 3, "b": 4}[mode]

    model = nn.Sequential([First(), Second()])
    result = gx.export(gx.trace(model, models.SPEC), tmp_path / "m.bundle", verify=False)
    assert len(result.classes) == 3
    found = manifest_of(tmp_path / "m.bundle")
    assert found["arguments"][0]["default"] is None
    assert {"mode": [None]} in [c for entry in found["classes"] for c in entry["conditions"]]
    bundle = Bundle.load(tmp_path / "m.bundle")
    x = np.ones((1, 4), np.float32)
    for given in ({}, {"mode": "a"}, {"mode": "b"}):
        [output] = bundle.run({bundle.signature().inputs[0].name: x}, **given).values()
        np.testing.assert_array_equal(output, model(x, **given))


# -- weights --------------------------------------------------------------------------------------


def test_every_weight_is_stored_once(tmp_path: Path) -> None:
    graph = models.choice_graph(1024)  # 8 MiB of weights
    result = gx.export(graph, tmp_path / "m.bundle")
    assert len(result.classes) == 4
    single = gx.export(graph, tmp_path / "one.onnx")
    assert result.size <= 1.02 * single.size
    assert result.sizes == {"share": 8 << 20, "fold": 8 << 20}
    places = [references(tmp_path / "m.bundle", found.file) for found in result.classes]
    assert all(place == places[0] for place in places)
    [file] = (tmp_path / "m.bundle").glob("weights-*.bin")
    assert {name for name, _, _ in places[0].values()} == {file.name}


def test_tied_weights_and_equal_contents_are_stored_once(tmp_path: Path) -> None:
    tied, twin = weight(32, 32), weight(32, 32)
    model = Lambda(
        lambda x: ops.matmul(ops.tanh(ops.matmul(x, tied)), twin) @ tied, tied=tied, twin=twin
    )
    graph = gx.trace(model, TensorSpec(("batch", 32)))
    result = gx.export(graph, tmp_path / "m.bundle")
    assert result.sizes["share"] == 32 * 32 * 4
    assert [t["size"] for t in manifest_of(result.path)["tensors"]] == [32 * 32 * 4]


def test_tensors_are_aligned(tmp_path: Path) -> None:
    sizes = (70, 20_000, 300_000, 90, 17_000)  # floats
    weights = {f"w{i}": weight(size, seed=i) for i, size in enumerate(sizes)}
    model = Lambda(lambda x: tuple(x + w for w in weights.values()), **weights)
    result = gx.export(gx.trace(model, TensorSpec((1,))), tmp_path / "m.bundle")
    places = references(result.path, result.classes[0].file)
    for _, offset, size in places.values():
        assert offset % (65_536 if size >= 1 << 20 else 4096 if size >= 1 << 16 else 64) == 0
    [file] = result.path.glob("weights-*.bin")
    data = file.read_bytes()
    for name, (_, offset, size) in places.items():
        stored = np.frombuffer(data[offset : offset + size], np.float32)
        np.testing.assert_array_equal(stored, weights[name.rpartition("/")[2]].numpy())


class Convolutions(Layer):
    """Channels last: kernels are transposed before they are used."""

    def __init__(self) -> None:
        self.conv, self.norm = nn.Conv2D(8, 3), nn.BatchNorm()
        self.head = nn.Conv2D(4, 1)

    def call(self, x: Any) -> Any:
        return self.head(ops.relu(self.norm(self.conv(x))))


def convolutions() -> gx.CallGraph:
    with gx.seed(1):
        return gx.trace(Convolutions(), TensorSpec(("batch", 8, 8, 4)))


def operators(result: ExportedBundle, condition: str) -> list[str]:
    [file] = [found.file for found in result.classes if found.condition == condition]
    return [node.op_type for node in onnx.load(result.path / file).graph.node]


def test_layouts_are_stored_as_programs_use_them(tmp_path: Path) -> None:
    result = gx.export(convolutions(), tmp_path / "m.bundle")
    inference, training = (operators(result, f"training={b}") for b in (False, True))
    assert inference == ["Transpose", "Conv", "BatchNormalization", "Relu", "Conv", "Transpose"]
    assert training.count("Transpose") == 2  # of the image, not of kernels
    kernels = [
        {place for name, place in references(result.path, found.file).items() if place[2] > 300}
        for found in result.classes
    ]
    assert kernels[0] == kernels[1]
    assert len(kernels[0]) == 1


def test_folding_forks_weights(tmp_path: Path) -> None:
    graph = convolutions()
    shared = gx.export(graph, tmp_path / "shared.bundle")
    folded = gx.export(graph, tmp_path / "folded.bundle", weights="fold")
    assert operators(folded, "training=False") == ["Transpose", "Conv", "Relu", "Conv", "Transpose"]
    assert shared.sizes == folded.sizes
    kernel = 3 * 3 * 4 * 8 * 4
    assert shared.sizes["fold"] == shared.sizes["share"] + kernel
    assert (shared.weights, folded.weights) == ("share", "fold")
    x = np.random.default_rng(0).standard_normal((2, 8, 8, 4)).astype(np.float32)
    expected = gx.compile(graph)(x)
    for result in (shared, folded):
        np.testing.assert_allclose(Bundle.load(result.path).run({"x": x})["output"], expected,
                                   rtol=1e-4, atol=1e-5)  # fmt: skip


def test_a_weight_that_programs_use_differently_stays_as_it_is(tmp_path: Path) -> None:
    kernel = weight(16, 16)

    class Model(Layer):
        def __init__(self) -> None:
            self.kernel = kernel

        def call(self, x: Any, *, mode: Context[Literal["left", "right"]] = "left") -> Any:
            if mode == "left":
                return x @ self.kernel
            return ops.tanh(x) @ ops.permute_dims(self.kernel, (1, 0))

    graph = gx.trace(Model(), TensorSpec(("a", "b", 16)))
    result = gx.export(graph, tmp_path / "m.bundle")
    assert result.sizes == {"share": 1024, "fold": 2048}
    single = gx.export(graph, tmp_path / "one.bundle", contexts=[{"mode": "right"}])
    assert operators(single, "mode=right") == ["Tanh", "MatMul"]


def test_state_stays_an_input(tmp_path: Path) -> None:
    result = gx.export(convolutions(), tmp_path / "m.bundle")
    signature = Bundle.load(result.path).signature(training=True)
    assert [entry.input for entry in signature.state] == [
        "convolutions/norm/moving_mean", "convolutions/norm/moving_variance",
    ]  # fmt: skip


def test_a_model_without_weights(tmp_path: Path) -> None:
    result = gx.export(gx.trace(Lambda(ops.tanh), models.SPEC), tmp_path / "m.bundle")
    assert [file.suffix for file in result.files] == [".json", ".onnx"]
    assert result.title == "1 assignment -> 1 program"
    assert result.classes[0].condition == "always"


def test_an_export_is_reproducible(tmp_path: Path) -> None:
    first = gx.export(models.net_graph(), tmp_path / "a.bundle", verify=False)
    second = gx.export(models.net_graph(), tmp_path / "b.bundle", verify=False)
    for one, other in zip(first.files, second.files, strict=True):
        assert one.name == other.name
        assert one.read_bytes() == other.read_bytes()


# -- verification and progress --------------------------------------------------------------------


def test_every_program_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from graphctx_onnx.bundle import programs

    graph = models.choice_graph(4)
    real = programs.fold_together

    def wrong(graphs: Any) -> Any:
        made = real(graphs)
        return [made[1], made[0], *made[2:]]

    monkeypatch.setattr(programs, "fold_together", wrong)
    with pytest.raises(gx.VerificationError, match="the program for mode=relu: choice: the expo"):
        gx.export(graph, tmp_path / "m.bundle")
    assert list(tmp_path.iterdir()) == []
    gx.export(graph, tmp_path / "m.bundle", verify=False)


@pytest.mark.parametrize("workers", [1, 3])
def test_progress(tmp_path: Path, workers: int) -> None:
    told: list[tuple[str, int, int]] = []
    gx.export(
        models.choice_graph(16), tmp_path / "m.bundle", workers=workers, sizes={"batch": [2]},
        progress=lambda *step: told.append(step),
    )  # fmt: skip
    stages = list(dict.fromkeys(stage for stage, _, _ in told))
    assert stages == ["compiling", "converting", "writing", "verifying 4 programs"]
    assert told[-1] == ("verifying 4 programs", 8, 8)
    assert all(0 <= done <= steps for _, done, steps in told)


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "shared"}, "weights is 'share' or 'fold', got 'shared'"),
        ({"contexts": "every"}, r"contexts is 'all' or a list of assignments .* got 'every'"),
        ({"contexts": {"training": True}}, "contexts is 'all' or a list of assignments"),
        ({"contexts": []}, "contexts is 'all' or a list of assignments"),
        ({"contexts": [{"scale": 1.0}]}, "contexts name 'scale', which is left to run time"),
        ({"workers": 0}, "workers is a number from 1 on, got 0"),
        ({"verify": 1}, "verify is True or False, got 1"),
        ({"progress": 1}, "progress is a function"),
        ({"opset": 5}, "opset"),
        ({"sizes": {"time": [1]}}, "no input has a dimension 'time'"),
        ({"external_threshold": 1}, "the exporter 'bundle' has no option 'external_threshold'"),
        ({"training": True}, r"give a context argument as context={'training': \.\.\.}"),
    ],
)
def test_options_that_make_no_sense(tmp_path: Path, options: Any, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        gx.export(models.net_graph(), tmp_path / "m.bundle", **options)
    assert list(tmp_path.iterdir()) == []


def test_unknown_contexts(tmp_path: Path) -> None:
    with pytest.raises(ContextError, match="no layer reads a context argument 'modus'; did you"):
        gx.export(models.net_graph(), tmp_path / "m.bundle", contexts=[{"modus": "off"}])
    with pytest.raises(ContextError, match="context argument 'mode' got 'loud'; allowed: 'off'"):
        gx.export(models.net_graph(), tmp_path / "m.bundle", contexts=[{"mode": "loud"}])


def test_a_program_is_no_graph(tmp_path: Path) -> None:
    program = gx.compile(models.net_graph())
    with pytest.raises(ExportError, match="a bundle holds the programs of many contexts, and this"):
        gx.export(program, tmp_path / "m.bundle")


def test_too_many_programs(tmp_path: Path) -> None:
    names = [f"on_{i}" for i in range(12)]
    parameters = ", ".join(f"{name}: Context[bool] = False" for name in names)
    results = ", ".join(f"ops.sin(x) * {i} if {name} else x" for i, name in enumerate(names))
    scope: dict[str, Any] = {"Context": Context, "ops": ops}
    exec(f"def call(self, x, *, {parameters}):\n    return {results}", scope)
    graph = gx.trace(type("Switches", (Layer,), {"call": scope["call"]})(), models.SPEC)
    with pytest.raises(ExportError, match=r"all contexts are 4,096 programs, more than 1,000"):
        gx.export(graph, tmp_path / "m.bundle")
    result = gx.export(graph, tmp_path / "m.bundle", contexts=[{}, {"on_3": True}], verify=False)
    assert len(result.classes) == 2


def test_a_number_that_decides_what_is_returned(tmp_path: Path) -> None:
    class Model(Layer):
        def call(self, x: Any, *, noise: Context[float] = 0.0) -> Any:
            return (x, x + noise) if noise > 0 else x

    graph = gx.trace(Model(), models.SPEC)
    message = (
        r"with always, what the model returns depends on 'noise > 0', which is left to run time, "
        r".* give it a value: context={'noise': \.\.\.}"
    )
    with pytest.raises(ExportError, match=message):
        gx.export(graph, tmp_path / "m.bundle")
    gx.export(graph, tmp_path / "m.bundle", context={"noise": 1.0})
    assert len(Bundle.load(tmp_path / "m.bundle").signature().outputs) == 2


def test_values_that_json_lacks(tmp_path: Path) -> None:
    class Model(Layer):
        def call(self, x: Any, *, axes: Context[tuple[int, ...]] = (0,)) -> Any:
            return ops.sum(x, axis=axes)

    graph = gx.trace(Model(), models.SPEC, domains={"axes": [(0,), (0, 1)]})
    with pytest.raises(ExportError, match=r"'axes' may be \(0,\), which no manifest can hold; giv"):
        gx.export(graph, tmp_path / "m.bundle")
    gx.export(graph, tmp_path / "m.bundle", context={"axes": (0, 1)})
    assert manifest_of(tmp_path / "m.bundle")["fixed"] == {"axes": "(0, 1)"}
