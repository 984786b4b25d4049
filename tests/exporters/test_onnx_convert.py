"""What is in the exported protobuf: names, shapes, operators, metadata."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import graphctx_onnx
import numpy as np
import onnx
import pytest
from graphctx_onnx import export, read_metadata
from graphctx_onnx.convert import convert
from onnx import TensorProto, numpy_helper

import graphctx as gx
from graphctx import Dim, ExportError, TensorSpec, ops
from graphctx.builder import Builder
from graphctx.graph import Returns, live_nodes
from graphctx.ops.table import TABLE
from graphctx.tree import LEAF, Structure
from tests.exporters import onnx_models as models


def dims(info: Any) -> list[Any]:
    return [d.dim_param or d.dim_value for d in info.type.tensor_type.shape.dim]


def handmade(op: str, shapes: list[Any], dtype: str = "float32", **attrs: Any) -> gx.CallGraph:
    """A graph of one operator, which `graphctx.ops` might not make."""
    builder = Builder()
    values = [
        builder.constant(shape)
        if isinstance(shape, np.ndarray)
        else builder.input(TensorSpec(shape, dtype), f"x{i}")
        for i, shape in enumerate(shapes)
    ]
    outputs = builder.op(TABLE[op], values, attrs, None, "model.py:7")
    return gx.CallGraph(
        "model",
        tuple(live_nodes(outputs)),
        tuple(v for v in values if v.node.kind == "input"),
        Returns(Structure("tuple", (LEAF,) * len(outputs)), outputs),
        gx.trace(models.Lambda(ops.relu), TensorSpec((1,))).contexts,
    )


# -- names ----------------------------------------------------------------------------------------


def test_names_in_a_whole_model() -> None:
    model = convert(models.net(training=True).graph).model
    graph = model.graph
    assert [info.name for info in graph.input] == ["features"]
    assert [info.name for info in graph.output] == ["scores", "label"]
    assert [node.name for node in graph.node] == [
        "net/first/linear/Gemm",
        "net/first/noise/Mul",
        "net/first/noise/Tanh",
        "net/first/Relu",
        "net/second/linear/Gemm",
        "net/second/noise/Mul",
        "net/second/noise/Tanh",
        "net/second/Relu",
        "net/head/Gemm",
        "net/ArgMax",
    ]
    assert graph.node[0].output == ["net/first/linear/Gemm:Y"]
    assert graph.node[3].input == graph.node[2].output
    assert graph.node[-2].output == ["scores"]
    assert graph.node[-1].input == ["scores"]
    assert {tensor.name for tensor in graph.initializer} >= {
        "net/first/linear/kernel",
        "net/head/bias",
    }


def test_equal_nodes_get_numbers() -> None:
    program = models.program(lambda x: ops.tanh(ops.tanh(x)), TensorSpec((2,)))
    names = [node.name for node in convert(program.graph).model.graph.node]
    assert names == ["lambda/Tanh", "lambda/Tanh_1"]


def test_several_outputs_of_a_node() -> None:
    program = models.program(lambda x: [ops.tanh(y) for y in ops.split(x, 2)], TensorSpec((4,)))
    graph = convert(program.graph).model.graph
    assert list(graph.node[0].output) == ["lambda/Split:outputs_0", "lambda/Split:outputs_1"]


def test_parts_of_given_sizes(tmp_path: Path) -> None:
    program = models.program(lambda x: ops.split(x, [1]), TensorSpec((4,)))
    result = export(program, tmp_path / "model.onnx")
    [node] = onnx.load(result.path).graph.node
    assert (node.op_type, len(node.input), len(node.output)) == ("Split", 2, 2)
    assert "num_outputs" not in [entry.name for entry in node.attribute]


def test_outputs_that_nobody_takes() -> None:
    program = models.program(lambda x: ops.top_k(x, 2)[0], TensorSpec((5,)))
    [node] = [n for n in convert(program.graph).model.graph.node if n.op_type == "TopK"]
    assert len(node.output) == 2  # the indices are not optional
    graph = handmade("MaxPool", [(1, 1, 4, 4)], kernel_shape=(2, 2))
    first = graph.returns.values[:1]
    graph = graph.replace(outcome=Returns(LEAF, first))
    [node] = convert(graph).model.graph.node
    assert list(node.output) == ["output"]


@pytest.mark.parametrize(
    ("function", "outputs", "identities"),
    [
        (lambda x: x, ["output"], 1),
        (lambda x: {"x": x}, ["x_out"], 1),
        (lambda x: {"x": x * 2.0, "y": x}, ["x_out", "y"], 1),
        (lambda x: (lambda y: {"a": y, "b": y, "c": ops.tanh(y)})(x * 2.0), ["a", "b", "c"], 1),
        (lambda x: np.ones(2, "float32"), ["output"], 1),
    ],
)
def test_outputs_that_no_node_makes(
    function: Any, outputs: list[str], identities: int, tmp_path: Path
) -> None:
    program = models.program(function, TensorSpec(("batch",), name="x"))
    graph = convert(program.graph).model.graph
    assert [info.name for info in graph.output] == outputs
    assert sum(node.op_type == "Identity" for node in graph.node) == identities
    export(program, tmp_path / "model.onnx")


def test_an_output_that_is_a_weight(tmp_path: Path) -> None:
    kernel = models.weight(3)
    program = models.program(lambda x: (kernel, x * kernel), TensorSpec((3,)), kernel=kernel)
    export(program, tmp_path / "model.onnx")


def test_names_that_look_like_ours_do_not_clash(tmp_path: Path) -> None:
    spec = TensorSpec((2,), name="lambda/Mul:C")
    program = models.program(
        lambda x: {"lambda/Mul": ops.tanh(x * 2.0), "lambda/constant": x + 3.0}, spec
    )
    result = export(program, tmp_path / "model.onnx")
    graph = onnx.load(result.path).graph
    assert graph.input[0].name == "lambda/Mul:C"
    made = [name for node in graph.node for name in node.output]
    assert len(set(made)) == len(made)


def test_tied_weights_are_one_initializer(tmp_path: Path) -> None:
    table = models.weight(7, 4)

    def tied(tokens: Any) -> Any:
        return ops.matmul(ops.take(table, tokens, axis=0), ops.permute_dims(table, (1, 0)))

    program = models.program(tied, TensorSpec(("batch", "time"), "int64"), table=table)
    result = export(program, tmp_path / "model.onnx")
    weights = [t for t in onnx.load(result.path).graph.initializer if t.dims]
    assert [tensor.name for tensor in weights] == ["lambda/table"]


# -- shapes, types, attributes --------------------------------------------------------------------


def test_symbolic_dims_are_named() -> None:
    program = models.program(
        lambda x: {"pairs": ops.concat([x, x], axis=0), "flat": ops.reshape(x, (-1,))},
        TensorSpec(("batch", "time"), name="x"),
    )
    graph = convert(program.graph).model.graph
    assert dims(graph.input[0]) == ["batch", "time"]
    assert [dims(info) for info in graph.output] == [["2*batch", "time"], ["batch*time"]]


def test_every_inner_value_has_its_shape() -> None:
    graph = convert(models.net().graph).model.graph
    shapes = {info.name: dims(info) for info in graph.value_info}
    assert shapes["net/first/Relu:Y"] == ["batch", 16]
    made = {name for node in graph.node for name in node.output}
    assert set(shapes) | {"scores", "label"} == made


@pytest.mark.parametrize(
    ("dtype", "number"),
    [
        ("float32", TensorProto.FLOAT), ("float64", TensorProto.DOUBLE),
        ("float16", TensorProto.FLOAT16), ("int8", TensorProto.INT8),
        ("uint8", TensorProto.UINT8), ("int16", TensorProto.INT16),
        ("uint16", TensorProto.UINT16), ("int32", TensorProto.INT32),
        ("uint32", TensorProto.UINT32), ("int64", TensorProto.INT64),
        ("uint64", TensorProto.UINT64), ("bool", TensorProto.BOOL), ("str", TensorProto.STRING),
    ],
)  # fmt: skip
def test_every_dtype(dtype: str, number: int, tmp_path: Path) -> None:
    program = models.program(lambda x: ops.permute_dims(x, (1, 0)), TensorSpec(("batch", 2), dtype))
    result = export(program, tmp_path / "model.onnx")
    graph = onnx.load(result.path).graph
    assert graph.input[0].type.tensor_type.elem_type == number
    assert graph.output[0].type.tensor_type.elem_type == number


def test_constants_of_every_kind(tmp_path: Path) -> None:
    program = models.program(
        lambda x, s: (
            x + np.arange(3, dtype="float32"),
            ops.equal(s, np.array(["normal", "Zürich", ""], object)),
        ),
        TensorSpec((3,), name="x"),
        TensorSpec((3,), "str", name="s"),
    )
    result = export(program, tmp_path / "model.onnx")
    tensors = {t.name: t for t in onnx.load(result.path).graph.initializer}
    texts = [t for t in tensors.values() if t.data_type == TensorProto.STRING]
    assert numpy_helper.to_array(texts[0]).tolist() == ["normal", "Zürich", ""]


def test_attributes_have_the_types_of_the_schema() -> None:
    program = models.program(lambda x: ops.astype(x, "float16"), TensorSpec((2,)))
    [cast] = convert(program.graph).model.graph.node
    assert cast.attribute[0].i == TensorProto.FLOAT16
    graph = handmade("LeakyRelu", [(2,)], alpha=1)
    [leaky] = convert(graph).model.graph.node
    assert (leaky.attribute[0].name, leaky.attribute[0].f) == ("alpha", 1.0)
    graph = handmade("Transpose", [(2, 3)], perm=[1, 0])
    [transpose] = convert(graph).model.graph.node
    assert list(transpose.attribute[0].ints) == [1, 0]


def test_defaults_of_onnx_are_left_out_and_others_are_spelt_out() -> None:
    program = models.program(lambda x: ops.softmax(x), TensorSpec((2, 3)))
    [softmax] = convert(program.graph).model.graph.node
    assert [a.name for a in softmax.attribute if a.i == -1] == []


def test_an_attribute_of_the_wrong_type_is_refused() -> None:
    graph = handmade("LeakyRelu", [(2,)])
    graph.nodes[-1].attrs["alpha"] = "steep"
    with pytest.raises(ExportError, match=r"LeakyRelu \(model.py:7\): the attribute 'alpha' "
                       r"should be float, got 'steep'"):  # fmt: skip
        convert(graph)


# -- opsets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("opset", "ir"), [(18, 8), (19, 9), (20, 9), (21, 10), (23, 10), (25, 10), (28, 10)]
)
def test_every_opset_is_verified(opset: int, ir: int, tmp_path: Path) -> None:
    result = export(models.net(training=True), tmp_path / "model.onnx", opset=opset)
    model = onnx.load(result.path)
    assert (result.opset, result.ir_version) == (opset, ir)
    assert (model.opset_import[0].version, model.ir_version) == (opset, ir)


def test_opset_23_unless_an_operator_needs_a_later_one() -> None:
    assert convert(models.net().graph).opset == 23
    program = models.program(lambda x: ops.cumulative_prod(x, axis=0), TensorSpec((3,)))
    assert [node.name for node in convert(program.graph).graph.nodes][-1] == "CumProd"
    assert convert(program.graph).opset == 26


@pytest.mark.parametrize("opset", [17, 29, -1, "23", True])
def test_opset_out_of_range(opset: Any) -> None:
    with pytest.raises(ExportError, match="opset"):
        convert(models.net().graph, opset=opset)


def test_opset_out_of_range_says_what_there_is() -> None:
    message = "opset 17 cannot be written: choose one from 18 to 28"
    with pytest.raises(ExportError, match=message):
        convert(models.net().graph, opset=17)


def test_an_operator_that_needs_a_later_opset() -> None:
    graph = handmade("Gelu", [(2,)])
    with pytest.raises(ExportError, match=re.escape("opset=20")) as caught:
        convert(graph, opset=18)
    assert str(caught.value).startswith("Gelu (model.py:7): ")


def test_an_operator_whose_meaning_is_newer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TABLE["Relu"], "since", 25)
    with pytest.raises(ExportError) as caught:
        convert(models.net().graph, opset=23)
    assert re.fullmatch(
        r"net/first/Relu \(\S+onnx_models.py:\d+\): Relu of opset 23 computes something else; "
        r"it needs opset 25: export with opset=25",
        str(caught.value),
    )


def test_a_dtype_that_an_opset_lacks() -> None:
    # BitwiseAnd takes integers only, at every opset.
    graph = handmade("Add", [(2,), (2,)])
    graph.nodes[-1].operands[1].dtype = np.dtype("bool")
    with pytest.raises(ExportError, match="Add of opset 23 does not take bool as 'B'; no opset"):
        convert(graph)


def test_operands_of_two_dtypes() -> None:
    graph = handmade("Add", [(2,), (2,)])
    graph.nodes[-1].operands[1].dtype = np.dtype("float64")
    with pytest.raises(ExportError, match="Add needs one dtype for T, got float32 and float64"):
        convert(graph)


def test_an_attribute_that_an_opset_lacks() -> None:
    graph = handmade("Relu", [(2,)])
    graph.nodes[-1].attrs["slope"] = 1.0
    with pytest.raises(ExportError, match="Relu of opset 23 has no attribute 'slope'"):
        convert(graph)


# -- what cannot be said in ONNX ------------------------------------------------------------------


def test_a_model_that_returns_nothing() -> None:
    program = models.program(lambda x: {"nothing": None}, TensorSpec((2,)))
    with pytest.raises(ExportError, match="lambda: nothing to export: the model returns no tensor"):
        convert(program.graph)


def test_complex_numbers(tmp_path: Path) -> None:
    program = models.program(lambda x: x * 2.0, TensorSpec((2,), "complex64", name="z"))
    with pytest.raises(ExportError, match=re.escape(
        "input 'z': ONNX has no tensors of complex64; export its real and imaginary parts"
    )):  # fmt: skip
        export(program, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


class TwoStructures(gx.Layer):
    def call(self, x: Any, *, training: gx.Context[bool] = False) -> Any:
        return (x, x) if training else x


class Fails(gx.Layer):
    def call(self, x: Any, *, training: gx.Context[bool] = False) -> Any:
        if training:
            raise ValueError("only for inference")
        return x


def test_an_outcome_that_depends_on_context() -> None:
    graph = gx.trace(TwoStructures(), TensorSpec((2,)))
    closed = graph.replace(contexts=type(graph.contexts)({}))
    with pytest.raises(ExportError, match="what the model returns depends on 'training'"):
        convert(closed)


def test_a_model_that_raises() -> None:
    graph = gx.specialize(gx.trace(Fails(), TensorSpec((2,))), training=True)
    with pytest.raises(ExportError, match=(
        "nothing to export: with training=True the model raises ValueError: only for inference"
    )):  # fmt: skip
        convert(graph)


# -- metadata -------------------------------------------------------------------------------------


def test_metadata_round_trip(tmp_path: Path) -> None:
    result = export(models.net(training=True, mode="strong"), tmp_path / "model.onnx")
    found = read_metadata(result.path)
    assert found.version == gx.__version__
    assert found.model == "net"
    assert found.assignment == {"training": True, "mode": "strong"}
    assert found.signature == {
        "inputs": [{"name": "features", "dtype": "float32", "shape": ["batch", 4]}],
        "seed": None,
        "contexts": [],
        "outputs": [
            {"name": "scores", "output": "scores", "dtype": "float32", "shape": ["batch", 3]},
            {"name": "label", "output": "label", "dtype": "int64", "shape": ["batch"]},
        ],
        "state": [],
    }


def test_documentation_in_words() -> None:
    model = convert(models.counter().graph).model
    assert model.doc_string == (
        f"counter, compiled by graphctx {gx.__version__} with no context.\n"
        "input x: float32[batch, 3]\n"
        "output output: float32[batch, 3]\n"
        "output counter/mean:new: float32[3], the new value of the weight counter/mean; "
        "feed it to the optional input counter/mean of the next run\n"
        "output counter/count:new: int64[], the new value of the weight counter/count; "
        "feed it to the optional input counter/count of the next run"
    )
    assert (model.producer_name, model.producer_version) == ("graphctx", gx.__version__)


def test_nodes_know_their_layer_and_line() -> None:
    model = convert(models.net(training=True).graph).model
    node = next(n for n in model.graph.node if n.op_type == "Tanh")
    found = {entry.key: entry.value for entry in node.metadata_props}
    assert found["graphctx.path"] == "net/first/noise"
    assert re.fullmatch(r"\S*onnx_models.py:\d+", found["graphctx.source"])
    assert not Path(found["graphctx.source"].rpartition(":")[0]).is_absolute()


def test_old_formats_have_it_in_the_doc_string() -> None:
    model = convert(models.net(training=True).graph, opset=18).model
    node = next(n for n in model.graph.node if n.op_type == "Tanh")
    assert not node.metadata_props
    assert re.fullmatch(r"net/first/noise \(\S*onnx_models.py:\d+\)", node.doc_string)


def test_assignments_are_json() -> None:
    from graphctx_onnx.metadata import assignment_json

    from graphctx.context import UNSET

    bound = {"a": np.float32(0.5), "b": UNSET, "c": float("inf"), "d": ("x", 1)}
    assert assignment_json(bound) == {"a": 0.5, "b": None, "c": "inf", "d": "('x', 1)"}
    json.dumps(assignment_json(bound))


def test_metadata_of_other_files(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no protobuf")
    with pytest.raises(ExportError, match=r"text\.onnx: not an ONNX model"):
        read_metadata(tmp_path / "text.onnx")
    with pytest.raises(ExportError, match=r"missing\.onnx: cannot be read: No such file"):
        read_metadata(tmp_path / "missing.onnx")
    with pytest.raises(ExportError, match="not written by graphctx"):
        read_metadata(onnx.ModelProto())


# -- randomness and state -------------------------------------------------------------------------


def test_the_seed_is_an_input(tmp_path: Path) -> None:
    program = models.program(lambda x: ops.dropout(x, 0.5), TensorSpec(("batch", 4), name="x"))
    result = export(program, tmp_path / "model.onnx")
    graph = onnx.load(result.path).graph
    assert [info.name for info in graph.input] == ["x", "seed"]
    assert dims(graph.input[1]) == []
    assert read_metadata(result.path).signature["seed"] == "seed"
    assert all(row.difference.largest == 0 for row in result.report.rows)


def test_state_is_an_input_with_a_default_and_an_output(tmp_path: Path) -> None:
    import onnxruntime

    program = models.counter()
    result = export(program, tmp_path / "model.onnx")
    assert read_metadata(result.path).signature["state"][1] == {
        "input": "counter/count", "output": "counter/count:new", "path": "counter/count",
        "dtype": "int64", "shape": [],
    }  # fmt: skip
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(result.path), options)
    assert [entry.name for entry in session.get_inputs()] == ["x"]
    names = [entry.name for entry in session.get_overridable_initializers()]
    assert sorted(names) == ["counter/count", "counter/mean"]
    x = np.ones((2, 3), "float32")
    state: dict[str, Any] = {}
    ours: dict[str, Any] = {}
    for step in range(3):
        outputs = ["output", "counter/mean:new", "counter/count:new"]
        y, mean, count = session.run(outputs, {"x": x, **state})
        state = {"counter/mean": mean, "counter/count": count}
        expected, ours = program.step(x, state=ours)
        np.testing.assert_allclose(y, expected, rtol=1e-6)
        np.testing.assert_allclose(mean, ours["counter/mean"], rtol=1e-6)
        assert count == step + 1


def test_state_that_is_only_written(tmp_path: Path) -> None:
    class Last(gx.Layer):
        def __init__(self) -> None:
            self.seen = gx.Variable(np.zeros(3, "float32"))

        def call(self, x: Any) -> Any:
            self.seen.assign(ops.sum(x, axis=0))
            return x * 2.0

    program = gx.compile(gx.trace(Last(), TensorSpec(("batch", 3), name="x")))
    result = export(program, tmp_path / "model.onnx")
    assert [info.name for info in onnx.load(result.path).graph.input] == ["x"]
    [entry] = read_metadata(result.path).signature["state"]
    assert (entry["input"], entry["output"]) == (None, "last/seen:new")


def test_dims_in_the_signature_are_text() -> None:
    assert str(Dim("batch") * 2) == "2*batch"
    assert graphctx_onnx.exporter.name == "onnx"
