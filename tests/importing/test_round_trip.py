"""What graphctx writes it reads back: the same outputs, bit for bit, names, sizes and metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphctx_onnx.convert import convert
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from onnx import ModelProto, helper

import graphctx as gx
from graphctx import Context, Layer, TensorSpec, nn, ops
from graphctx.cli.models import load
from graphctx.demo import DigitNet
from graphctx.passes.check import check
from graphctx.spec import evaluate
from graphctx.tree import flatten
from tests.docs.snippets import ROOT
from tests.exporters import onnx_models as models
from tests.importing.test_load import LINEAR
from tests.random_models import build, recipes
from tests.samples.test_cnn_models import small
from tests.test_same_meaning import X, assignments, flat, trace


def read_back(program: gx.Program) -> gx.CallGraph:
    """The graph of the file that a program becomes; written again, it has an equal text."""
    graph = check(gx.load(convert(program.graph).model))
    runtime = list(graph.contexts)
    again = gx.compile(graph, runtime=runtime)
    second = gx.load(convert(again.graph).model)
    assert str(gx.compile(second, runtime=runtime).graph) == str(again.graph)
    return graph


@pytest.mark.parametrize("training", [False, True])
def test_a_program_is_what_its_file_is(training: bool, tmp_path: Path) -> None:
    program = models.net(training=training, mode="strong")
    gx.export(program, tmp_path / "net.onnx")
    graph = gx.load(tmp_path / "net.onnx")
    found = gx.compile(graph)
    assert str(found.graph) == str(program.graph)
    assert found.inputs == program.inputs
    assert found.outputs == program.outputs
    assert graph.bound == program.graph.bound
    assert {call.path for call in graph.calls} <= {call.path for call in program.graph.calls}
    sources = {node.source for node in program.graph.nodes}
    assert {node.source for node in graph.nodes} == sources
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    for name, array in program(x).items():
        np.testing.assert_array_equal(found(x)[name], array)
    gx.export(found, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == (tmp_path / "net.onnx").read_bytes()


@pytest.mark.parametrize("opset", [18, 19, 21, 23])
def test_every_opset_that_is_written(opset: int, tmp_path: Path) -> None:
    program = models.net()
    gx.export(program, tmp_path / "net.onnx", opset=opset)
    assert str(gx.compile(gx.load(tmp_path / "net.onnx")).graph) == str(program.graph)


def test_state_is_state_again() -> None:
    program = models.counter()
    found = gx.compile(read_back(program))
    assert found.state == program.state
    x = np.random.default_rng(0).standard_normal((3, 3)).astype(np.float32)
    start = {"counter/mean": np.ones(3, np.float32), "counter/count": np.asarray(4)}
    wanted, state = program.step(x, state=start)
    outputs, new = found.step(x, state=start)
    np.testing.assert_array_equal(outputs["output"], wanted)
    for path, value in state.items():
        np.testing.assert_array_equal(new[path], value)


def test_context_that_is_left_open_is_open_again() -> None:
    graph = gx.trace(models.Net(), TensorSpec(("batch", 4), name="features"))
    program = gx.compile(graph, runtime=["training", "mode"])
    found = read_back(program)
    assert str(found) == str(program.graph)
    assert repr(found.contexts).splitlines()[1:] == [
        "training  bool     False|True   False    net",
        "mode      literal  weak|strong  weak     net",
    ]


class Noisy(Layer):
    """Draws random numbers."""

    def call(self, x: Any) -> Any:
        return ops.dropout(x + ops.random_normal(x.shape), 0.25)


def test_the_same_seed_gives_the_same_numbers() -> None:
    program = gx.compile(gx.trace(Noisy(), TensorSpec(("n", 3))))
    found = gx.compile(read_back(program))
    x = np.ones((4, 3), np.float32)
    np.testing.assert_array_equal(found(x, seed=7)["output"], program(x, seed=7))
    with pytest.raises(gx.InputError, match="takes 1 inputs"):
        found(x, 7)


class Many(Layer):
    """Outputs of several names, one of them an input's, and a computed size."""

    def __init__(self) -> None:
        self.constant = models.weight(6, dtype="float32")

    def call(self, x: Any, factor: Any, *, loud: Context[bool] = False) -> Any:
        joined = ops.concat([x, x, ops.ones((1, 6))], axis=0) * self.constant
        return {"x": x, "joined": joined * (2.0 if loud else 1.0), "": factor}


def test_names_and_sizes_stay() -> None:
    specs = TensorSpec(("batch", 6)), TensorSpec((), "int32")
    program = gx.compile(gx.trace(Many(), *specs), loud=True)
    graph = read_back(program)
    found = gx.compile(graph)
    assert {name: str(spec) for name, spec in found.outputs.items()} == {
        "x": "float32[batch, 6]", "joined": "float32[2*batch + 1, 6]", "": "int32[]",
    }  # fmt: skip
    assert found.inputs == program.inputs
    assert graph.bound == {"loud": True}
    assert [node.name for node in graph.weights] == ["many/constant"]
    x = np.random.default_rng(0).standard_normal((2, 6)).astype(np.float32)
    for name, array in program(x, np.int32(3)).items():
        np.testing.assert_array_equal(found(x, np.int32(3))[name], array)


def test_sizes_of_inputs_are_expressions_again() -> None:
    class Half(Layer):
        def call(self, x: Any, y: Any) -> Any:
            return ops.reshape(x, (-1, 2)) + y

    n = gx.Dim("n")
    program = gx.compile(gx.trace(Half(), TensorSpec((n * 2,)), TensorSpec((n, 2))))
    graph = read_back(program)
    assert [str(value.spec) for value in graph.inputs] == ["float32[2*n]", "float32[n, 2]"]


SAMPLES = ("bert", "gpt2", "vit", "dropout_intensity", "dropout_variant", "dynamic_layers",
           "first_model", "noise_injection")  # fmt: skip


def feeds_of(program: gx.Program) -> dict[str, Any]:
    """Random inputs; every size is 4."""
    rng, found = np.random.default_rng(0), {}
    for name, spec in program.inputs.items():
        shape = [evaluate(dim, dict.fromkeys(spec.symbols, 4)) for dim in spec.shape]
        is_float = spec.dtype.kind == "f"
        array = rng.standard_normal(shape) if is_float else rng.integers(0, 2, shape)
        found[name] = array.astype(spec.dtype)
    return found


def same_outputs(program: gx.Program) -> None:
    """The file of a program gives its outputs, bit for bit."""
    found = gx.compile(read_back(program))
    feeds = feeds_of(program)
    wanted, _ = flatten(program(**feeds, seed=3), lambda x: isinstance(x, np.ndarray))
    for array, other in zip(found(**feeds, seed=3).values(), wanted, strict=True):
        np.testing.assert_array_equal(array, other)


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_read_back(name: str) -> None:
    graph = load(str(ROOT / "samples" / f"{name}.py")).graph
    same_outputs(gx.compile(graph))
    if "training" in graph.contexts:
        same_outputs(gx.compile(graph, training=True))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", ["resnet", "mobilenet"])
def test_networks_for_images_read_back(name: str, training: bool) -> None:
    _, graph = small(name)
    size = {"batch": 4, "height": 36, "width": 36}
    program = gx.compile(graph, training=training)
    found = gx.compile(read_back(program))
    x = np.random.default_rng(0).standard_normal((*size.values(), 3)).astype(np.float32)
    wanted, _ = flatten(program(x), lambda x: isinstance(x, np.ndarray))
    for array, other in zip(found(x).values(), wanted, strict=True):
        np.testing.assert_array_equal(array, other)


@pytest.mark.parametrize("training", [False, True])
def test_the_demo_reads_back(training: bool) -> None:
    spec = TensorSpec(("batch", 8, 8, 1), name="image")
    same_outputs(gx.compile(gx.trace(DigitNet(), spec), training=training))


def test_properties_and_descriptions_stay() -> None:
    stored = ModelProto()
    stored.CopyFrom(LINEAR)
    stored.doc_string = "A linear model."
    stored.metadata_props.add(key="license", value="Apache-2.0")
    stored.metadata_props.add(key="graphctx.model", value="not this one")
    graph = gx.load(stored)
    assert graph.metadata == {"license": "Apache-2.0", "doc_string": "A linear model."}
    written = convert(gx.compile(graph).graph).model
    assert {"license", "graphctx.model"} <= {entry.key for entry in written.metadata_props}
    assert written.graph.doc_string == "A linear model."
    assert gx.load(written).metadata == graph.metadata


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(recipe=recipes, data=st.data())
def test_random_models_read_back(recipe: Any, data: st.DataObject) -> None:
    graph = trace(build(recipe))
    assignment = data.draw(st.sampled_from(assignments(graph)))
    try:
        program = gx.compile(graph, assignment)
    except (gx.GraphctxError, ValueError):
        return  # the model itself raises
    note(str(program.graph))
    found = gx.compile(read_back(program))
    wanted, state = program.step(X, seed=11)
    outputs, new = found.step(X, seed=11)
    for name, value in zip(program.outputs, flat(wanted), strict=True):
        np.testing.assert_array_equal(outputs[name], value)
        assert outputs[name].dtype == value.dtype
    assert {p: v.tolist() for p, v in new.items()} == {p: v.tolist() for p, v in state.items()}


def test_weights_share_the_memory_of_their_file(tmp_path: Path) -> None:
    model = nn.Sequential([nn.Dense(1000), nn.Dense(10)])
    program = gx.compile(gx.trace(model, TensorSpec(("batch", 500))))
    gx.export(program, tmp_path / "net.onnx")
    assert (tmp_path / "net.onnx.data").stat().st_size >= 500 * 1000 * 4
    graph = gx.load(tmp_path / "net.onnx")
    arrays = [graph.array(node) for node in graph.weights]
    large = max(arrays, key=lambda array: array.nbytes)
    assert large.base is not None
    assert not large.flags.owndata
    x = np.random.default_rng(0).standard_normal((2, 500)).astype(np.float32)
    (found,) = gx.compile(graph)(x).values()
    np.testing.assert_array_equal(found, program(x))
    # Written over its own file, whose memory it shares.
    gx.export(gx.compile(graph), tmp_path / "net.onnx")
    (again,) = gx.compile(gx.load(tmp_path / "net.onnx"))(x).values()
    np.testing.assert_array_equal(again, program(x))


def test_a_file_that_another_tool_changed_is_any_file(tmp_path: Path) -> None:
    model = convert(models.net().graph).model
    model.graph.input[0].name = "renamed"
    for node in model.graph.node:
        node.input[:] = ["renamed" if name == "features" else name for name in node.input]
    graph = gx.load(model)
    assert [value.node.name for value in graph.inputs] == ["renamed"]
    assert [node.path for node in graph.nodes if node.name == "Relu"] == [
        "net/net/first", "net/net/second",
    ]  # fmt: skip


def test_sizes_that_a_file_names_may_still_be_equal(tmp_path: Path) -> None:
    """Of `n` and `m` of another tool's file it is not known that they differ, later neither."""
    stored = helper.make_graph(
        [helper.make_node("Add", ["x", "y"], ["o"])], "net",
        [helper.make_tensor_value_info("x", 1, ["n", "k"]),
         helper.make_tensor_value_info("y", 1, ["m", "k"])],
        [helper.make_tensor_value_info("o", 1, None)],
    )  # fmt: skip
    opset = helper.make_opsetid("", 21)
    program = gx.compile(gx.load(helper.make_model(stored, opset_imports=[opset], ir_version=10)))
    path = tmp_path / "net.onnx"
    report = gx.export(program, path).report
    assert report is not None
    sizes = {(row.sizes["n"], row.sizes["m"]) for row in report.rows}
    assert (3, 3) in sizes
    assert all(n == m or 1 in (n, m) for n, m in sizes)
    found = gx.compile(gx.load(path))
    assert str(found.graph) == str(program.graph)
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(found(x=x, y=x)["o"], program(x=x, y=x)["o"])
