"""Functions, control flow, scopes, sizes and what else a file has, each against onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graphctx_onnx.importing.dims import read_dim
from onnx import ModelProto, TensorProto, helper, numpy_helper

import graphctx as gx
from graphctx import LoadError
from graphctx.passes.check import check
from graphctx.spec import Dim
from tests.importing.models import BOOL, FLOAT, INT64, info, model, one, run

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((2, 3, 4)).astype(np.float32)


def node(op: str, inputs: list[str], outputs: list[str], name: str = "", **attributes: Any) -> Any:
    return helper.make_node(op, inputs, outputs, name, **attributes)


def agrees(stored: ModelProto, **feeds: Any) -> gx.CallGraph:
    """Loaded, compiled and run, it gives what onnxruntime gives."""
    graph = check(gx.load(stored))
    found = gx.compile(graph)(**feeds)
    for name, wanted in run(stored, feeds).items():
        assert found[name].shape == wanted.shape
        assert found[name].dtype == wanted.dtype
        np.testing.assert_allclose(found[name], wanted, rtol=1e-5, atol=1e-6)
    return graph


# -- functions -------------------------------------------------------------------------------------


def scaled(*, default: float | None = None) -> onnx.FunctionProto:
    """`y = leaky(x) * factor`; the slope is an attribute."""
    slope = node("LeakyRelu", ["x"], ["h"])
    slope.attribute.add(name="alpha", type=1, ref_attr_name="slope")
    nodes = [slope, node("Mul", ["h", "factor"], ["y"], "/inner/Mul")]
    opsets = [helper.make_opsetid("", 18)]
    made = helper.make_function("own", "Scaled", ["x", "factor"], ["y"], nodes, opsets, ["slope"])
    if default is not None:
        del made.attribute[:]
        made.attribute_proto.append(helper.make_attribute("slope", default))
    return made


def calls(function: onnx.FunctionProto, *attributes: dict[str, Any]) -> ModelProto:
    nodes, last = [], "x"
    for index, given in enumerate(attributes):
        nodes.append(node("Scaled", [last, "two"], [f"y{index}"], domain="own", **given))
        last = f"y{index}"
    return model(
        nodes, [info("x", ("a", 3, 4))], [info(last, ("a", 3, 4))], {"two": np.float32([2])},
        functions=[function], opsets=[helper.make_opsetid("own", 1)],
    )  # fmt: skip


def test_functions_are_layer_calls() -> None:
    graph = agrees(calls(scaled(), {"slope": 0.25}, {"slope": 0.5}), x=X)
    assert [(call.path, call.layer) for call in graph.calls] == [
        ("net", "Model"), ("net/Scaled", "Scaled"), ("net/Scaled/inner", ""),
        ("net/Scaled#2", "Scaled"), ("net/Scaled#2/inner", ""),
    ]  # fmt: skip
    assert str(graph).splitlines()[1].split() == (
        ["%1", "=", "LeakyRelu(x,", "alpha=0.25)", "#", "net/Scaled"]
    )


def test_attributes_that_a_call_leaves_out() -> None:
    agrees(calls(scaled(default=0.125), {}, {"slope": 0.5}), x=X)
    graph = gx.load(calls(scaled(), {}))  # then that of the operator holds
    assert "alpha" not in str(graph)


def test_operators_that_onnx_defines_by_others() -> None:
    x = RANDOM.standard_normal((2, 3, 4, 5)).astype(np.float32)
    agrees(one("MeanVarianceNormalization", {"x": x}, opset=13, axes=[0, 2]), x=x)
    scale, bias = np.float32([1, 2, 3, 4, 5]), np.float32([0, 1, 0, 1, 0])
    stored = one(
        "LayerNormalization", {"x": x, "scale": scale, "bias": bias}, opset=17,
        outputs=["y", "mean", "deviation"],
    )  # fmt: skip
    agrees(stored, x=x, scale=scale, bias=bias)


# -- control flow ----------------------------------------------------------------------------------


def test_an_if_on_data_takes_what_is_around_it() -> None:
    branches = {
        "then_branch": helper.make_graph(
            [node("Mul", ["x", "w"], ["a"])], "then", [], [info("a", None)],
            [numpy_helper.from_array(np.float32([3]), "w")],
        ),
        "else_branch": helper.make_graph(
            [node("Identity", ["h"], ["b"])], "else", [], [info("b", None)]
        ),
    }  # fmt: skip
    stored = model(
        [
            node("Relu", ["x"], ["h"]), node("ReduceSum", ["x"], ["s"], keepdims=0),
            node("Greater", ["s", "zero"], ["c"]), node("If", ["c"], ["y"], **branches),
        ],
        [info("x", ("n",))], [info("y", None)], {"zero": np.asarray(0, np.float32)},
    )  # fmt: skip
    for x in (np.float32([1, 2]), np.float32([-1, -2])):
        graph = agrees(stored, x=x)
    assert [n.name for n in graph.nodes if n.kind == "op"][-1] == "If"


@pytest.mark.parametrize("trips", [0, 3])
def test_a_loop_whose_carried_size_grows(trips: int) -> None:
    body = helper.make_graph(
        [
            node("Concat", ["v", "x"], ["w"], axis=0), node("ReduceSum", ["w"], ["s"], keepdims=0),
            node("Less", ["s", "limit"], ["go"]),
        ],
        "body", [info("i", (), INT64), info("c", (), BOOL), info("v", ("k",))],
        [info("go", (), BOOL), info("w", ("l",)), info("s", ())],
    )  # fmt: skip
    stored = model(
        [node("Loop", ["trips", "", "x"], ["y", "sums"], "loop", body=body)],
        [info("x", ("n",)), info("trips", (), INT64)], [info("y", ("m",)), info("sums", ("t",))],
        {"limit": np.asarray(5, np.float32)},
    )  # fmt: skip
    agrees(stored, x=np.float32([1, 2]), trips=np.asarray(trips))


def test_a_scan_and_that_of_opset_8() -> None:
    body = helper.make_graph(
        [node("Add", ["state", "element"], ["sum"]), node("Mul", ["sum", "element"], ["out"])],
        "body", [info("state", (2,)), info("element", (2,))],
        [info("sum", (2,)), info("out", (2,))],
    )  # fmt: skip
    start, x = np.zeros(2, np.float32), RANDOM.standard_normal((4, 2)).astype(np.float32)
    outputs = [info("end", None), info("all", None)]
    stored = model(
        [node("Scan", ["start", "x"], ["end", "all"], body=body, num_scan_inputs=1,
              scan_input_directions=[1])],
        [info("start", (2,)), info("x", (4, 2))], outputs,
    )  # fmt: skip
    agrees(stored, start=start, x=x)
    batched = model(
        [node("Scan", ["", "start", "x"], ["end", "all"], body=body, num_scan_inputs=1)],
        [info("start", (3, 2)), info("x", (3, 4, 2))], outputs, opset=8, ir_version=3,
    )  # fmt: skip
    agrees(batched, start=np.stack([start] * 3), x=np.stack([x, x + 1, x * 2]))
    batched.graph.node[0].input[0] = "lengths"
    batched.graph.input.append(info("lengths", (3,), INT64))
    with pytest.raises(LoadError, match=r"\(Scan\): its sequences have lengths of their own"):
        gx.load(batched)


# -- dropout ---------------------------------------------------------------------------------------


def dropout(training: Any) -> ModelProto:
    """Dropout of half, whose mode is an input or an initializer."""
    stored = one(
        "Dropout", {"x": np.ones((1000,), np.float32), "r": np.asarray(0.5, np.float32),
                    "t": np.asarray(bool(training))},
        opset=13, outputs=["y", "mask"], constant=("r",) if training is None else ("r", "t"),
    )  # fmt: skip
    stored.graph.output[1].type.tensor_type.elem_type = BOOL
    return stored


def test_dropout_that_trains_draws() -> None:
    x = np.arange(1, 1001, dtype=np.float32)
    program = gx.compile(gx.load(dropout(True)))
    found = program(x, seed=1)
    assert 400 < found["mask"].sum() < 600
    np.testing.assert_array_equal(found["y"], np.where(found["mask"], 2 * x, 0))
    np.testing.assert_array_equal(program(x, seed=1)["y"], found["y"])
    assert (program(x, seed=2)["mask"] != found["mask"]).any()


def test_dropout_by_an_input() -> None:
    x = np.arange(1, 1001, dtype=np.float32)
    program = gx.compile(gx.load(dropout(None)))
    quiet, loud = (program(x=x, t=np.asarray(t), seed=1) for t in (False, True))
    np.testing.assert_array_equal(quiet["y"], x)
    assert quiet["mask"].all()
    np.testing.assert_array_equal(loud["y"], np.where(loud["mask"], 2 * x, 0))
    graph = gx.load(dropout(None), contexts={"t": bool})
    assert gx.compile(graph, t=False).graph.seed is None
    np.testing.assert_array_equal(gx.compile(graph, t=True)(x, seed=1)["y"], loud["y"])


# -- sizes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["n", "2*n + 1", "m*n^2 - 3", "-n + 4", "floor(n/2)", "3*floor(n + 1/2*m) + n", "a.b",
     "floor(floor(n/2)/m)"],
)  # fmt: skip
def test_expressions_read_back(text: str) -> None:
    assert str(read_dim(text, Dim)) == text


@pytest.mark.parametrize(
    "text",
    ["past + ", "a b", "7", "2*", "floor(n)", "floor(n/0)", "f(x)", "n^-1", "n^99999", "", "n/2",
     "(n)", "floor(" * 50 + "n", "n - n", "Add_12:0"],
)  # fmt: skip
def test_other_texts_are_names(text: str) -> None:
    dim = read_dim(text, Dim.unproven)
    assert isinstance(dim, Dim)
    assert str(dim) == text
    assert dim.doubt == 1


def test_sizes_that_files_do_not_name() -> None:
    stored = model([node("Add", ["x", "y"], ["z"])], [info("x", ("?", 3)), info("y", ("b", -1))],
                   [info("z", None)])  # fmt: skip
    graph = gx.load(stored)
    assert [str(v.spec) for v in graph.inputs] == [
        "float32[x_dim_0, 3]", "float32[b, y_dim_1]",
    ]  # fmt: skip
    program = gx.compile(graph)
    for rows in (1, 5):  # one of them may be 1, and the run finds out what does not fit
        y = np.ones((5, 3), np.float32)
        np.testing.assert_array_equal(program(np.ones((rows, 3), np.float32), y)["z"], y * 2)
    with pytest.raises(gx.InputError, match="Add refuses these inputs"):
        program(np.ones((2, 3), np.float32), y)


def test_what_is_said_of_inputs() -> None:
    stored = model([node("Add", ["x", "y"], ["z"])], [info("x", ("a", 3)), info("y", ("b", 3))],
                   [info("z", None)])  # fmt: skip
    graph = gx.load(stored, inputs={"x": ("n", 3), "y": gx.TensorSpec(("n", 3))})
    assert str(graph.outputs[0].spec) == "float32[n, 3]"
    with pytest.raises(LoadError, match=r"inputs= says float32\[4\], the file float32\[a, 3\]"):
        gx.load(stored, inputs={"x": (4,)})
    with pytest.raises(LoadError, match=r"input 'x': inputs= says int64, the file float32"):
        gx.load(stored, inputs={"x": gx.TensorSpec(("n", 3), "int64")})
    with pytest.raises(LoadError, match=r"inputs\['x'\] is a TensorSpec, a shape such as"):
        gx.load(stored, inputs={"x": object()})
    stored.graph.input[0].type.tensor_type.ClearField("shape")
    assert str(gx.load(stored, inputs={"x": ("n", 3)}).inputs[0].spec) == "float32[n, 3]"


# -- scopes ----------------------------------------------------------------------------------------


def test_scopes_of_pytorch() -> None:
    stored = model(
        [node("Relu", ["x"], ["h"], "node_relu"), node("Abs", ["h"], ["y"], "node_abs")],
        [info("x", ("n",))], [info("y", ("n",))],
    )  # fmt: skip
    for index, (scopes, classes) in enumerate([
        ("['', 'encoder', 'encoder.layer.0', 'relu']",
         "['m.Net', 'm.Encoder', 'torch.nn.ReLU', 'aten.relu']"),
        ("['', 'abs']", "no list"),
    ]):  # fmt: skip
        properties = stored.graph.node[index].metadata_props
        properties.add(key="pkg.torch.onnx.name_scopes", value=scopes)
        properties.add(key="pkg.torch.onnx.class_hierarchy", value=classes)
    graph = gx.load(stored)
    assert [(n.path, n.source) for n in graph.nodes if n.kind == "op"] == [
        ("net/encoder/layer.0", "node_relu"), ("net", "node_abs"),
    ]  # fmt: skip
    assert [(c.path, c.layer) for c in graph.calls][1:] == [
        ("net/encoder", "Encoder"), ("net/encoder/layer.0", "ReLU"),
    ]  # fmt: skip


def test_an_error_of_the_run_names_the_node_of_the_file() -> None:
    stored = model([node("Reshape", ["x", "s"], ["y"], "/head/Reshape_7")],
                   [info("x", ("n",)), info("s", (2,), INT64)], [info("y", None)])  # fmt: skip
    program = gx.compile(gx.load(stored))
    with pytest.raises(gx.InputError, match=r"net/head: Reshape refuses .* \(/head/Reshape_7\)"):
        program(np.ones(3, np.float32), np.asarray([2, 2]))


# -- weights and constants -------------------------------------------------------------------------


def test_what_is_a_weight() -> None:
    large = np.arange(500, dtype=np.float32)
    stored = model(
        [
            node("Constant", [], ["small"], value=numpy_helper.from_array(np.float32([1, 2]))),
            node("Constant", [], ["large"], value=numpy_helper.from_array(large)),
            node("Mul", ["x", "bias"], ["a"]), node("Mul", ["a", "scalar"], ["b"]),
            node("Mul", ["b", "small"], ["c"]), node("Gather", ["large", "index"], ["d"]),
            node("Gather", ["table", "index"], ["e"]), node("Sum", ["c", "d"], ["f"]),
            node("Cast", ["e"], ["g"], to=FLOAT), node("Add", ["f", "g"], ["y"]),
        ],
        [info("x", (2,))], [info("y", (2,))],
        {"bias": np.float32([3]), "scalar": np.float32(2), "index": np.asarray([1, 2]),
         "table": np.arange(300)},
    )  # fmt: skip
    graph = agrees(stored, x=np.float32([1, 2]))
    assert {n.name for n in graph.weights} == {"bias", "large", "table"}


@pytest.mark.parametrize("kind", ["BFLOAT16", "FLOAT8E4M3FN", "INT4", "UINT4", "FLOAT16", "BOOL"])
@pytest.mark.parametrize("raw", [True, False])
def test_tensors_of_every_kind(kind: str, raw: bool) -> None:
    number = getattr(TensorProto, kind)
    dtype = helper.tensor_dtype_to_np_dtype(number)
    values = np.asarray([0, 1, 1, 0, 1]).astype(dtype)
    if raw:
        tensor = numpy_helper.from_array(values, "w")
    else:
        tensor = helper.make_tensor("w", number, (5,), [0, 1, 1, 0, 1])
    stored = model([node("Cast", ["w"], ["y"], to=FLOAT)], [], [info("y", (5,))])
    stored.graph.initializer.append(tensor)
    assert stored.graph.initializer[0].HasField("raw_data") == raw
    (found,) = gx.compile(gx.load(stored))().values()
    np.testing.assert_array_equal(found, [0, 1, 1, 0, 1])


def test_an_empty_tensor() -> None:
    stored = model([node("Concat", ["x", "nothing"], ["y"], axis=0)], [info("x", ("n",))],
                   [info("y", None)], {"nothing": np.zeros(0, np.float32)})  # fmt: skip
    agrees(stored, x=np.float32([1, 2]))


# -- what exporters write --------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [2, "n"])
def test_angles_of_one_sample_serve_all(batch: Any, tmp_path: Path) -> None:
    stored = model(
        [node("RotaryEmbedding", ["x", "cos", "sin"], ["y"])], [info("x", (batch, 3, 5, 4))],
        [info("y", None)],
        {name: RANDOM.standard_normal((1, 5, 2)).astype(np.float32) for name in ("cos", "sin")},
    )  # fmt: skip
    x = RANDOM.standard_normal((2, 3, 5, 4)).astype(np.float32)
    program = gx.compile(gx.load(stored))
    rows = [program(x=x)["y"]]
    gx.export(program, tmp_path / "model.onnx")
    for initializer in stored.graph.initializer:
        array = np.repeat(numpy_helper.to_array(initializer), 2, axis=0)
        initializer.CopyFrom(numpy_helper.from_array(array, initializer.name))
    rows.append(run(stored, {"x": x})["y"])
    np.testing.assert_allclose(*rows, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_cubes_of_files_are_products(dtype: str) -> None:
    three = np.array(3, dtype)
    stored = one("Pow", {"x": np.ones((2, 3), dtype), "e": three}, opset=15, constant=("e",),
                 dtype=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))  # fmt: skip
    graph = gx.load(stored)
    products = ["Mul", "Mul"] if dtype != "float16" else ["Pow"]
    assert [entry.name for entry in graph.nodes if entry.kind == "op"] == products
    x = RANDOM.standard_normal((2, 3)).astype(dtype)
    found = gx.compile(graph)(x=x)["y"]
    np.testing.assert_array_equal(found, x * x * x if products[0] == "Mul" else np.power(x, 3))


def test_attributes_are_what_was_written() -> None:
    """0.1 is stored as float32; 1e-5 is what the operator has without it."""
    x = RANDOM.standard_normal((2, 3))
    leaky = one("LeakyRelu", {"x": x}, opset=16, alpha=0.1, dtype=TensorProto.DOUBLE)
    np.testing.assert_array_equal(gx.compile(gx.load(leaky))(x=x)["y"], np.where(x < 0, x * 0.1, x))
    scale = np.ones(3, np.float32)
    norm = one(
        "LayerNormalization", {"x": x.astype(np.float32), "s": scale}, opset=17, epsilon=1e-5
    )
    assert "epsilon" not in str(gx.load(norm))


@pytest.mark.parametrize("op", ["LayerNormalization", "RMSNormalization"])
def test_a_scale_of_a_size_that_is_not_proven(op: str) -> None:
    stored = model([node(op, ["x", "s"], ["y"])], [info("x", (2, "n"))], [info("y", None)],
                   {"s": np.float32([1, 2, 3])})  # fmt: skip
    agrees(stored, x=RANDOM.standard_normal((2, 3)).astype(np.float32))
    with pytest.raises(gx.InputError, match="refuses these inputs"):
        gx.compile(gx.load(stored))(x=np.ones((2, 1), np.float32))


# -- random numbers in loops -----------------------------------------------------------------------


def drawing(inner: list[Any], *, scan: bool = False, opset: int = 21) -> ModelProto:
    """Five iterations of a body that makes `r`; the rows are stacked."""
    if scan:
        body = helper.make_graph(inner, "body", [info("row", (2,))], [info("r", None)])
        loop = node("Scan", ["x"], ["y"], body=body, num_scan_inputs=1, scan_input_directions=[1])
    else:
        inner = [*inner, node("Identity", ["c"], ["again"])]
        body = helper.make_graph(
            inner, "body", [info("i", (), INT64), info("c", (), BOOL)],
            [info("again", (), BOOL), info("r", None)],
        )  # fmt: skip
        loop = node("Loop", ["five", ""], ["y"], body=body)
    stored = {} if scan else {"five": np.asarray(5)}
    return model([loop], [info("x", (5, 2))], [info("y", None)], stored, opset=opset)


NORMAL = [node("RandomNormal", [], ["r"], shape=[2])]
EITHER = helper.make_graph([node("RandomUniform", [], ["u"], shape=[2])], "either", [],
                           [info("u", None)])  # fmt: skip


@pytest.mark.parametrize("scan", [False, True])
@pytest.mark.parametrize("inner", [
    NORMAL,
    [node("Dropout", ["x", "", "yes"], ["d"]),
     node("Einsum", ["d", "w"], ["r"], equation="ij,i->j")],
    [node("If", ["yes"], ["r"], then_branch=EITHER, else_branch=EITHER)],
    [node("Loop", ["two", ""], ["all"], body=helper.make_graph(
        [*NORMAL, node("Identity", ["c2"], ["again2"])], "inner",
        [info("i2", (), INT64), info("c2", (), BOOL)],
        [info("again2", (), BOOL), info("r", None)],
    )), node("Reshape", ["all", "flat"], ["r"])],
], ids=["normal", "dropout", "if", "loop"])  # fmt: skip
def test_every_iteration_draws_numbers_of_its_own(scan: bool, inner: list[Any]) -> None:
    stored = drawing([
        node("Constant", [], ["yes"], value=numpy_helper.from_array(np.asarray(True))),
        node("Constant", [], ["w"], value_floats=[1.0, 2.0, 4.0, 8.0, 16.0]),
        node("Constant", [], ["flat"], value_ints=[-1]),
        node("Constant", [], ["two"], value_int=2),
        *inner,
    ], scan=scan)  # fmt: skip
    graph = check(gx.load(stored))
    x = np.ones((5, 2), np.float32)
    found = gx.compile(graph)(x=x, seed=3)["y"]
    assert len(np.unique(found, axis=0)) == 5
    rows = found.reshape(-1, 2)
    assert len(np.unique(rows, axis=0)) == len(rows)
    np.testing.assert_array_equal(gx.compile(graph)(x=x, seed=3)["y"], found)
    assert (gx.compile(graph)(x=x, seed=4)["y"] != found).any()


@pytest.mark.parametrize("opset", [9, 21])
def test_a_scan_that_draws_scans_what_it_did(opset: int) -> None:
    zero = numpy_helper.from_array(np.float32(0))
    inner = [
        node("Constant", [], ["zero"], value=zero), node("RandomUniformLike", ["row"], ["u"]),
        node("Mul", ["u", "zero"], ["z"]), node("Add", ["row", "z"], ["r"]),
    ]  # fmt: skip
    x = np.arange(10, dtype=np.float32).reshape(5, 2)
    program = gx.compile(gx.load(drawing(inner, scan=True, opset=opset)))
    np.testing.assert_array_equal(program(x=x, seed=1)["y"], x[::-1])
