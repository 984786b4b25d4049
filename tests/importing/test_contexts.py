"""Inputs of files that other tools wrote as context arguments: bound, they fold away."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import pytest
from onnx import GraphProto, ModelProto, helper

import graphctx as gx
from graphctx import ContextError, LoadError
from graphctx.passes.check import check
from tests.importing.models import BOOL, FLOAT, INT64, info, model, run

RANDOM = np.random.default_rng(0)
WIDTH, WORDS = 8, 11


def weight(*shape: int) -> Any:
    return (RANDOM.standard_normal(shape) * 0.3).astype(np.float32)


def decoder(name: str, *, past: bool) -> GraphProto:
    """A branch of a merged decoder: with the keys of earlier steps, or for the whole prompt."""
    nodes = []

    def add(op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        scope = f"/{name}/layer.0/attention/{op}_{len(nodes)}"
        nodes.append(helper.make_node(op, inputs, [f"{name}/{output}"], name=scope, **attributes))
        return f"{name}/{output}"

    x = add("Gather", ["embedding", "input_ids"], "x")
    query = add("MatMul", [x, "query"], "query")
    keys = add("MatMul", [x, "key"], "key")
    if past:
        keys = add("Concat", ["past_key", keys], "keys", axis=1)
    else:
        keys = add("MatMul", [keys, "prompt"], "keys")
    turned = add("Transpose", [keys], "turned", perm=[0, 2, 1])
    scores = add("Softmax", [add("MatMul", [query, turned], "scores")], "weights", axis=-1)
    mixed = add("MatMul", [scores, keys], "mixed")
    head = add("Transpose", ["embedding"], "head")
    logits = add("MatMul", [mixed, head], "logits")
    present = add("Identity", [keys], "present")
    return helper.make_graph(nodes, name, [], [info(logits, None), info(present, None)])


def merged_decoder() -> ModelProto:
    """A decoder as the Hugging Face exporters ship it: two graphs that share their weights."""
    branches = {
        "then_branch": decoder("with_past", past=True),
        "else_branch": decoder("prompt", past=False),
    }
    return model(
        [helper.make_node("If", ["use_cache_branch"], ["logits", "present"], "if", **branches)],
        [
            info("input_ids", ("batch_size", "sequence_length"), INT64),
            info("past_key", ("batch_size", "past_sequence_length", WIDTH)),
            info("use_cache_branch", (1,), BOOL),
        ],
        [
            info("logits", ("batch_size", "sequence_length", WORDS)),
            info("present", ("batch_size", "past_sequence_length + sequence_length", WIDTH)),
        ],
        {
            "embedding": weight(WORDS, WIDTH),  # tied: of the words, and of the read-out
            "query": weight(WIDTH, WIDTH),
            "key": weight(WIDTH, WIDTH),
            "prompt": weight(WIDTH, WIDTH),
        },
        opset=14,
        ir_version=8,
    )


MERGED = merged_decoder()
FEEDS = {
    "input_ids": np.asarray([[1, 2, 3], [4, 5, 6]]),
    "past_key": weight(2, 4, WIDTH),
}


@pytest.mark.parametrize("cached", [False, True])
def test_a_merged_decoder_has_one_branch_left(cached: bool, tmp_path: Path) -> None:
    graph = check(gx.load(MERGED, contexts={"use_cache_branch": bool}))
    assert str(graph.contexts["use_cache_branch"]) == "use_cache_branch: bool"
    program = gx.compile(check(gx.specialize(graph, use_cache_branch=cached)))
    wanted = run(MERGED, {**FEEDS, "use_cache_branch": np.asarray([cached])})
    found = program(**FEEDS)
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-6)

    gx.export(program, tmp_path / "branch.onnx")
    written = onnx.load(tmp_path / "branch.onnx")
    assert "If" not in {node.op_type for node in written.graph.node}
    weights = {"embedding", "query", "key"} | (set() if cached else {"prompt"})
    assert {tensor.name for tensor in written.graph.initializer} == weights
    for name, array in run(written, FEEDS).items():
        np.testing.assert_allclose(array, wanted[name], rtol=1e-5, atol=1e-6)


def test_a_merged_decoder_is_as_good_as_a_trace(tmp_path: Path) -> None:
    graph = gx.load(MERGED, contexts={"use_cache_branch": bool})
    assert len(graph.classes()) == 2
    assert gx.explain(graph, "net", "use_cache_branch", use_cache_branch=True) == (
        "net: use_cache_branch=True, given here, to the model"
    )
    paths = [call.path for call in gx.specialize(graph, use_cache_branch=True).calls]
    assert "net/with_past/layer.0/attention" in paths
    assert "net/prompt/layer.0/attention" not in paths
    # Left open it is an If again, that runs one branch.
    program = gx.compile(graph, runtime=["use_cache_branch"])
    gx.export(program, tmp_path / "merged.onnx")
    for cached in (False, True):
        wanted = run(MERGED, {**FEEDS, "use_cache_branch": np.asarray([cached])})
        for name, array in program(**FEEDS, use_cache_branch=cached).items():
            np.testing.assert_allclose(array, wanted[name], rtol=1e-5, atol=1e-6)
        feeds = {**FEEDS, "use_cache_branch": np.asarray(cached)}
        for name, array in run(str(tmp_path / "merged.onnx"), feeds).items():
            np.testing.assert_allclose(array, wanted[name], rtol=1e-5, atol=1e-6)
    with pytest.raises(ContextError, match="'use_cache_branch' has no default; give it a value"):
        gx.compile(graph)


def test_without_a_context_the_branch_is_chosen_by_data() -> None:
    program = gx.compile(gx.load(MERGED))
    assert [node.name for node in program.graph.nodes if node.kind == "op"] == ["If"]
    for cached in (False, True):
        feeds = {**FEEDS, "use_cache_branch": np.asarray([cached])}
        for name, array in run(MERGED, feeds).items():
            np.testing.assert_allclose(program(**feeds)[name], array, rtol=1e-5, atol=1e-6)


# -- types -----------------------------------------------------------------------------------------


class Size(enum.Enum):
    SMALL = 1
    LARGE = 100


def scaled(dtype: int, shape: tuple[int, ...] = (), default: Any = None) -> ModelProto:
    """`x * cast(setting)`, where the setting is an input."""
    stored = {} if default is None else {"setting": default}
    return model(
        [
            helper.make_node("Cast", ["setting"], ["factor"], to=FLOAT),
            helper.make_node("Mul", ["x", "factor"], ["y"]),
        ],
        [info("x", ("n",)), info("setting", shape, dtype)],
        [info("y", ("n",))],
        stored,
    )


X = np.asarray([1, 2], np.float32)


@pytest.mark.parametrize(
    ("kind", "dtype", "value", "factor"),
    [
        (bool, BOOL, True, 1),
        (bool, INT64, True, 1),
        (bool, FLOAT, False, 0),
        (int, INT64, -3, -3),
        (int, onnx.TensorProto.INT32, 7, 7),
        (int, FLOAT, 7, 7),
        (float, FLOAT, 0.5, 0.5),
        (float, onnx.TensorProto.DOUBLE, 0.5, 0.5),
        (Literal[1, 2], INT64, 2, 2),
        (Literal[0.5, 2.0], FLOAT, 0.5, 0.5),
        (Size, INT64, Size.LARGE, 100),
    ],
)
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_a_context_argument_is_what_its_input_was(
    kind: Any, dtype: int, value: Any, factor: float, shape: tuple[int, ...]
) -> None:
    stored = scaled(dtype, shape)
    del stored.graph.output[0].type.tensor_type.shape.dim[:]
    if len(shape) == 2:
        stored.graph.output[0].type.tensor_type.shape.dim.add()
    stored.graph.output[0].type.tensor_type.shape.dim.add()
    graph = check(gx.load(stored, contexts={"setting": kind}))
    wanted = (X * np.float32(factor)).reshape((1,) * (len(shape) - 1) + (2,))
    program = gx.compile(graph, setting=value)
    assert not program.graph.contexts
    np.testing.assert_array_equal(program(X)["y"], wanted)
    runtime = gx.compile(graph, runtime=["setting"])
    np.testing.assert_array_equal(runtime(X, setting=value)["y"], wanted)


def test_texts_that_choose() -> None:
    stored = model(
        [
            helper.make_node("Equal", ["mode", "loud"], ["is_loud"]),
            helper.make_node("Where", ["is_loud", "ten", "one"], ["factor"]),
            helper.make_node("Mul", ["x", "factor"], ["y"]),
        ],
        [info("x", ("n",)), info("mode", (), onnx.TensorProto.STRING)],
        [info("y", ("n",))],
        {
            "loud": np.asarray("loud", object),
            "ten": np.asarray(10, np.float32),
            "one": np.asarray(1, np.float32),
        },
    )
    graph = gx.load(stored, contexts={"mode": Literal["quiet", "loud"]})
    assert len(gx.compile(graph, mode="loud").graph.nodes) == 3
    np.testing.assert_array_equal(gx.compile(graph, mode="loud")(X)["y"], X * 10)
    np.testing.assert_array_equal(gx.compile(graph, mode="quiet")(X)["y"], X)


def test_a_default_of_the_file_is_the_default() -> None:
    stored = scaled(INT64, default=np.asarray(3))
    np.testing.assert_array_equal(gx.compile(gx.load(stored))(X)["y"], X * 3)
    graph = gx.load(stored, contexts={"setting": int})
    assert str(graph.contexts["setting"]) == "setting: int = 3"
    np.testing.assert_array_equal(gx.compile(graph)(X)["y"], X * 3)
    np.testing.assert_array_equal(gx.compile(graph, setting=5)(X)["y"], X * 5)
    with pytest.raises(LoadError, match="input 'setting': its default in the file is outside"):
        gx.load(stored, contexts={"setting": Literal[1, 2]})


def test_a_condition_on_several_arguments() -> None:
    branches = {
        key: helper.make_graph(
            [helper.make_node("Mul", ["x", name], [f"{name}_y"])],
            key,
            [],
            [info(f"{name}_y", None)],
        )
        for key, name in (("then_branch", "two"), ("else_branch", "three"))
    }
    stored = model(
        [
            helper.make_node("And", ["a", "b"], ["both"]),
            helper.make_node("If", ["both"], ["y"], **branches),
        ],
        [info("x", ("n",)), info("a", (1,), BOOL), info("b", (1,), BOOL)],
        [info("y", ("n",))],
        {"two": np.asarray(2, np.float32), "three": np.asarray(3, np.float32)},
    )
    graph = check(gx.load(stored, contexts={"a": bool, "b": bool}))
    assert len(graph.classes()) == 2
    for a in (False, True):
        for b in (False, True):
            wanted = X * (2 if a and b else 3)
            np.testing.assert_array_equal(gx.compile(graph, a=a, b=b)(X)["y"], wanted)
            partial = gx.compile(gx.specialize(graph, a=a), runtime=["b"])
            np.testing.assert_array_equal(partial(X, b=b)["y"], wanted)


# -- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "shape", "kind", "message"),
    [
        (INT64, (2,), int, r"input 'setting': it is int64\[2\], and only a scalar"),
        (INT64, ("n",), int, r"it is int64\[n\], and only a scalar, or a tensor of one element"),
        (INT64, (), float, "it is int64, which no float is"),
        (INT64, (), Literal["a", "b"], "it is int64, which a is not"),
        (onnx.TensorProto.INT8, (), Literal[1, 300], "it is int8, which 300 is not"),
    ],
)
def test_inputs_that_cannot_be_context(
    dtype: int, shape: tuple[Any, ...], kind: Any, message: str
) -> None:
    with pytest.raises(LoadError, match=message):
        gx.load(scaled(dtype, shape), contexts={"setting": kind})


def test_names_and_types_that_are_wrong() -> None:
    with pytest.raises(
        LoadError, match=r"contexts= names 'seting', which is no input; did you mean 'setting'\?"
    ):
        gx.load(scaled(INT64), contexts={"seting": int})
    with pytest.raises(LoadError, match=r"inputs= names 'y', which is no input"):
        gx.load(scaled(INT64), inputs={"y": (1,)})
    with pytest.raises(ContextError, match=r"contexts\['setting'\] is bool, int, float, a Literal"):
        gx.load(scaled(INT64), contexts={"setting": dict})
    with pytest.raises(LoadError, match="'x' is named in both contexts= and inputs=; choose one"):
        gx.load(scaled(INT64), contexts={"x": float}, inputs={"x": (1,)})


def test_branches_that_cannot_be_merged() -> None:
    branches = {
        key: helper.make_graph(
            [helper.make_node("Reshape", ["x", name], [f"{name}_y"])],
            key,
            [],
            [info(f"{name}_y", None)],
        )
        for key, name in (("then_branch", "row"), ("else_branch", "column"))
    }
    stored = model(
        [helper.make_node("If", ["flat"], ["y"], "choice", **branches)],
        [info("x", ("n",)), info("flat", (), BOOL)],
        [info("y", None)],
        {"row": np.asarray([-1]), "column": np.asarray([-1, 1])},
    )
    with pytest.raises(
        LoadError,
        match=r"node 0 'choice' \(If\): its output 0 is float32\[n\] in then_branch and "
        r"float32\[n, 1\] in else_branch; bind what decides it, with inputs={name: array}",
    ):
        gx.load(stored, contexts={"flat": bool})
    graph = gx.load(stored, inputs={"flat": np.asarray(True)})
    assert [value.node.name for value in graph.inputs] == ["x"]
    np.testing.assert_array_equal(gx.compile(graph)(X)["y"], X)


@pytest.mark.parametrize("flag", [True, False])
def test_a_condition_that_is_one_of_several_results(flag: bool, tmp_path: Path) -> None:
    """Of a Loop and of a TopK that context alone decides, nothing and no choice is left."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["c_out"]),
         helper.make_node("Identity", ["flag"], ["s_out"]),
         helper.make_node("Cast", ["flag"], ["row"], to=INT64)],
        "body", [info("i", (), INT64), info("c", (), BOOL), info("s", (), BOOL)],
        [info("c_out", (), BOOL), info("s_out", (), BOOL), info("row", (), INT64)],
    )  # fmt: skip
    arms = [
        helper.make_graph([helper.make_node(op, ["x"], [f"{op}_y"])], op, [],
                          [info(f"{op}_y", None)])
        for op in ("Exp", "Neg")
    ]  # fmt: skip
    nodes = [
        helper.make_node("Loop", ["three", "", "flag"], ["last", "rows"], body=body),
        helper.make_node("TopK", ["rows", "one"], ["most", "where"]),
        helper.make_node("Cast", ["most"], ["any"], to=BOOL),
        helper.make_node("And", ["any", "last"], ["both"]),
        helper.make_node("If", ["both"], ["y"], then_branch=arms[0], else_branch=arms[1]),
    ]
    stored = model(
        nodes, [info("x", (2,)), info("flag", (), BOOL)], [info("y", None)],
        {"three": np.asarray(3), "one": np.asarray([1])},
    )  # fmt: skip
    program = gx.compile(gx.load(stored, contexts={"flag": bool}), flag=flag)
    assert [n.name for n in program.graph.nodes if n.kind != "input"] == ["Exp" if flag else "Neg"]
    x = np.float32([1, -2])
    wanted = run(stored, {"x": x, "flag": np.asarray(flag)})["y"]
    np.testing.assert_allclose(program(x)["y"], wanted, rtol=1e-6)
    gx.export(program, tmp_path / "model.onnx")
