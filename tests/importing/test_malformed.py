"""Damaged and hostile files: an error of ours with the place in the model, and nothing else."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper, numpy_helper

import graphctx as gx
from graphctx import LoadError
from tests.importing.models import BOOL, INT64, info, model
from tests.importing.test_contexts import MERGED
from tests.importing.test_load import LINEAR, X


def node(op: str, inputs: list[str], outputs: list[str], name: str = "", **attributes: Any) -> Any:
    return helper.make_node(op, inputs, outputs, name, **attributes)


def changed(change: Callable[[ModelProto], Any]) -> ModelProto:
    """The linear model with something wrong."""
    copy = ModelProto()
    copy.CopyFrom(LINEAR)
    change(copy)
    return copy


def with_nodes(*nodes: Any) -> ModelProto:
    """A model of other nodes; `x` is float32[batch, 4], the output `y`."""

    def change(found: ModelProto) -> None:
        del found.graph.node[:]
        found.graph.node.extend(nodes)

    return changed(change)


def add_tensor(**fields: Any) -> ModelProto:
    """The linear model with one more initializer."""
    return changed(lambda m: m.graph.initializer.append(TensorProto(name="w", **fields)))


def attribute_of(index: int, **fields: Any) -> ModelProto:
    return changed(lambda m: m.graph.node[index].attribute.add(**fields))


FLOAT = TensorProto.FLOAT
CASES: dict[str, tuple[ModelProto | bytes, str]] = {
    # -- no model ---------------------------------------------------------------------------------
    "nothing": (b"", "the model: not an ONNX model, or a damaged one: it has no graph"),
    "text": (b"this is no model", "not an ONNX model, or a damaged one: its 16 bytes are no valid"),
    "cut off": (LINEAR.SerializeToString()[:-9], "or a damaged one: its 224 bytes are no valid"),
    "no format": (changed(lambda m: m.ClearField("ir_version")), "its IR version is 0; the"),
    "newer format": (changed(lambda m: setattr(m, "ir_version", 999)), "its IR version is 999"),
    "no opset": (
        changed(lambda m: m.ClearField("opset_import")), "it does not say which opset it is written"
    ),
    "newer opset": (
        changed(lambda m: setattr(m.opset_import[0], "version", 99)),
        "it is written in opset 99; graphctx and the installed onnx .* know 1 to 28",
    ),
    "two opsets": (
        changed(lambda m: m.opset_import.add(domain="ai.onnx", version=7)),
        "it imports two opsets of the domain 'ai.onnx': 23 and 7",
    ),
    "no text": (
        LINEAR.SerializeToString().replace(b"kernel", b"kern\xff\xfe"), r"b'kern\\xff\\xfe' is no "
    ),
    # -- names ------------------------------------------------------------------------------------
    "dangling": (
        with_nodes(node("Add", ["x", "z"], ["y"], "add")),
        r"the model: node 0 'add' \(Add\): nothing makes 'z', which it takes",
    ),
    "several dangling": (
        with_nodes(node("Add", ["x", "z"], ["h"]), node("Add", ["h", "u"], ["y"])),
        r"nothing makes 'z', which it takes; nor 'u', which later nodes take",
    ),
    "circle": (
        with_nodes(
            node("Relu", ["x"], ["a"]), node("Add", ["a", "c"], ["b"], "one"),
            node("Relu", ["b"], ["c"], "two"), node("Relu", ["c"], ["y"]),
        ),
        r"its nodes need each other in a circle: node 1 'one' \(Add\) -> node 2 'two' \(Relu\)",
    ),
    "itself": (with_nodes(node("Relu", ["y"], ["y"])), r"in a circle: node 0 \(Relu\)"),
    "made twice": (
        with_nodes(node("Relu", ["x"], ["y"], "a"), node("Abs", ["x"], ["y"], "b")),
        r"node 1 'b' \(Abs\): it makes 'y', which node 0 'a' \(Relu\) makes already; every name",
    ),
    "over an input": (
        with_nodes(node("Relu", ["x"], ["x"])), "it makes 'x', which an input or initializer makes"
    ),
    "no output": (
        changed(lambda m: m.graph.output.append(info("z"))), "nothing makes the output 'z'"
    ),
    "no outputs": (changed(lambda m: m.graph.ClearField("output")), "the model has no outputs"),
    "output twice": (
        changed(lambda m: m.graph.output.append(info("y"))), "two outputs are named 'y'"
    ),
    "input twice": (changed(lambda m: m.graph.input.append(info("x"))), "two inputs are named 'x'"),
    "weight twice": (
        changed(lambda m: m.graph.initializer.append(m.graph.initializer[0])),
        "two initializers are named 'kernel'",
    ),
    "no name": (changed(lambda m: m.graph.input.append(info(""))), "initializer has no name"),
    # -- operators --------------------------------------------------------------------------------
    "unknown": (
        with_nodes(
            node("Hocus", ["x"], ["a"], "one"), node("Pocus", ["a"], ["b"], domain="com.magic"),
            node("Hocus", ["b"], ["y"]),
        ),
        (
            r"the model: the operator Hocus is neither ONNX's nor a function of the model "
            r"\(2 nodes, first: node 0 'one' \(Hocus\)\); the operator com.magic::Pocus: the model "
            r"neither defines it nor imports an opset of its domain \(1 node, first: node 1 "
        ),
    ),
    "of a later opset": (
        changed(lambda m: (setattr(m.opset_import[0], "version", 13),
                           setattr(m.graph.node[1], "op_type", "Gelu"))),
        "the operator Gelu does not exist in opset 13, which the model imports",
    ),
    "too few operands": (
        with_nodes(node("Gemm", ["x"], ["y"], "g")),
        r"node 0 'g' \(Gemm\): it has 1 inputs, and the operator takes 2 to 3",
    ),
    "too many operands": (with_nodes(node("Relu", ["x", "x"], ["y"])), "it has 2 inputs, and the"),
    "an operand left out": (
        with_nodes(node("Add", ["x", ""], ["y"])), r"\(Add\): it needs 2 operands \(a, b\), got 1"
    ),
    "too many outputs": (
        with_nodes(node("Relu", ["x"], ["y", "z"])), "it has 2 outputs, and the operator takes 1"
    ),
    "shapes": (
        with_nodes(node("MatMul", ["kernel", "kernel"], ["y"], "m")),
        r"node 0 'm' \(MatMul\): MatMul\(float32\[4, 3\], float32\[4, 3\]\)",
    ),
    "dtypes": (
        with_nodes(node("Not", ["x"], ["y"])), r"\(Not\): Not\(float32\[batch, 4\]\): "
    ),
    # -- attributes -------------------------------------------------------------------------------
    "unknown attribute": (
        attribute_of(1, name="slope", type=1, f=1.0), "the operator has no attribute 'slope'"
    ),
    "attribute of another type": (
        attribute_of(0, name="alpha", type=2, i=1),
        r"\(Gemm\): the attribute 'alpha' is of the type FLOAT, got INT",
    ),
    "attribute without type": (attribute_of(0, name="alpha"), "the type FLOAT, got none"),
    "attribute twice": (
        changed(lambda m: [m.graph.node[0].attribute.add(name="alpha", type=1) for _ in "ab"]),
        "the attribute 'alpha' is given twice",
    ),
    "missing attribute": (
        with_nodes(node("Concat", ["x", "x"], ["y"])), "the attribute 'axis' is missing"
    ),
    "element type": (
        with_nodes(node("Cast", ["x"], ["y"], to=777)), "attribute 'to': there is no element"
    ),
    "text that is none": (
        with_nodes(node("Pad", ["x", "x"], ["y"], mode=b"\xff")), "attribute 'mode': the text is no"
    ),
    "two values": (
        with_nodes(node("Constant", [], ["y"], value_int=1, value_float=1.0)),
        "it has 2 attributes, and exactly one holds the value",
    ),
    "nonsense": (
        with_nodes(node("Transpose", ["x"], ["y"], perm=[0, 0])), r"\(Transpose\): Transpose\("
    ),
    "division by nothing": (
        with_nodes(
            node("Unsqueeze", ["kernel", "axes"], ["a"]),
            node("SpaceToDepth", ["a"], ["y"], blocksize=0),
            node("Constant", [], ["axes"], value_ints=[0, 1]),
        ),
        r"node 1 \(SpaceToDepth\): SpaceToDepth\(float32.*: blocksize is at least 1, got 0",
    ),
    # -- types ------------------------------------------------------------------------------------
    "output of another type": (
        changed(lambda m: setattr(m.graph.output[0].type.tensor_type, "elem_type", INT64)),
        "output 'y': the file says int64, and it is float32",
    ),
    "input without type": (
        changed(lambda m: m.graph.input[0].ClearField("type")),
        "input 'x': it has no type: graphctx has tensors, sequences of them",
    ),
    "input without rank": (
        changed(lambda m: m.graph.input[0].type.tensor_type.ClearField("shape")),
        r"input 'x': the file does not say how many dimensions it has; give its shape as inputs=",
    ),
    "negative size": (
        changed(lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[1], "dim_value", -4)),
        "input 'x': x: axis 1 has the size -4",
    ),
    # -- tensors ----------------------------------------------------------------------------------
    "too little data": (
        add_tensor(data_type=FLOAT, dims=[3], raw_data=bytes(8)),
        r"initializer 'w': a tensor float\[3\] takes 12 bytes, got 8",
    ),
    "absurd": (
        add_tensor(data_type=FLOAT, dims=[2**40, 2**40], raw_data=bytes(4)),
        r"a tensor float\[1099511627776, 1099511627776\] takes 4,835,703,278,458,516,698,824,704",
    ),
    "too few entries": (
        add_tensor(data_type=INT64, dims=[3], int64_data=[1]),
        r"a tensor int64\[3\] has 3 entries in int64_data, got 1 entries in int64_data",
    ),
    "entries of another type": (
        add_tensor(data_type=INT64, dims=[1], int64_data=[1], float_data=[1.0]),
        "got 1 entries in int64_data, and some in float_data",
    ),
    "negative shape": (
        add_tensor(data_type=FLOAT, dims=[-1], raw_data=b""), r"a tensor has no shape \[-1\]"
    ),
    "unknown type": (add_tensor(data_type=999, dims=[1]), "there is no element type 999"),
    "no type": (add_tensor(dims=[1]), "the tensor has no element type"),
    "bools": (
        add_tensor(data_type=BOOL, dims=[2], raw_data=b"\x01\x02"), "elements that are neither 0"
    ),
    "raw text": (
        add_tensor(data_type=TensorProto.STRING, dims=[1], raw_data=b"12345678"),
        "a tensor of strings has no raw data",
    ),
    "segments": (
        add_tensor(data_type=FLOAT, dims=[1], segment=TensorProto.Segment(begin=0, end=1)),
        "the tensor is stored in segments",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_damaged_model_is_refused_with_its_place(case: str) -> None:
    found, message = CASES[case]
    with pytest.raises(LoadError, match=message):
        gx.load(found)


def test_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "cut.onnx").write_bytes(LINEAR.SerializeToString()[:100])
    with pytest.raises(LoadError, match=r"cut\.onnx: not an ONNX model, or a damaged one"):
        gx.load(tmp_path / "cut.onnx")
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(LoadError, match="cannot be read: Is a directory"):
        gx.load(tmp_path / "folder.onnx")


def test_nodes_that_are_out_of_order_are_put_in_order() -> None:
    found = changed(lambda m: m.graph.node.reverse())
    assert str(gx.load(found)) == str(gx.load(LINEAR))


# -- sparse tensors --------------------------------------------------------------------------------


def sparse(values: Any, indices: Any, dims: list[int]) -> ModelProto:
    def change(found: ModelProto) -> None:
        tensor = found.graph.sparse_initializer.add(dims=dims)
        tensor.values.CopyFrom(numpy_helper.from_array(np.asarray(values, np.float32), "w"))
        tensor.indices.CopyFrom(numpy_helper.from_array(np.asarray(indices, np.int64), "i"))
        found.graph.node[1].CopyFrom(node("Add", ["h", "w"], ["y"]))

    return changed(change)


@pytest.mark.parametrize("indices", [[1, 2], [[0, 1], [0, 2]]])
def test_sparse_weights_are_weights(indices: Any) -> None:
    graph = gx.load(sparse([5, 7], indices, [1, 3]))
    [found] = [graph.array(n) for n in graph.weights if n.name == "w"]
    np.testing.assert_array_equal(found, [[0, 5, 7]])


@pytest.mark.parametrize(
    ("values", "indices", "dims", "message"),
    [
        ([5], [3], [1, 3], "the indices of a sparse tensor do not fit its shape and values"),
        ([5], [-1], [1, 3], "the indices of a sparse tensor do not fit"),
        ([5, 6], [1], [1, 3], "the indices of a sparse tensor do not fit"),
        ([5], [[0, 3]], [1, 3], "the indices of a sparse tensor do not fit"),
        ([5], [1], [2**20, 2**20], r"of the shape \[1048576, 1048576\] is too large when dense"),
    ],
)
def test_sparse_tensors_that_do_not_fit(
    values: Any, indices: Any, dims: list[int], message: str
) -> None:
    with pytest.raises(LoadError, match=message):
        gx.load(sparse(values, indices, dims))


# -- external data ---------------------------------------------------------------------------------


def external(folder: Path, location: str, **entries: Any) -> Path:
    """The linear model, whose kernel lies in another file."""

    def change(found: ModelProto) -> None:
        tensor = found.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **entries}.items():
            tensor.external_data.add(key=key, value=str(value))

    path = folder / "net.onnx"
    path.write_bytes(changed(change).SerializeToString())
    return path


KERNEL = LINEAR.graph.initializer[0].raw_data


def test_external_data_is_mapped(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "kernel.bin").write_bytes(b"123" + KERNEL + b"456")
    path = external(tmp_path, "data/kernel.bin", offset=3, length=48)
    (found,) = gx.compile(gx.load(path))(X).values()
    (wanted,) = gx.compile(gx.load(LINEAR))(X).values()
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("location", "entries", "message"),
    [
        (
            "nothing.bin",
            {},
            "external data 'nothing.bin': there is no such file in the model's fol",
        ),
        ("", {}, "external data '': its path has to lie in the model's folder"),
        ("../secret.bin", {}, "has to lie in the model's folder: relative, and without '..'"),
        ("a/../../secret.bin", {}, "has to lie in the model's folder: relative, and without '..'"),
        ("..\\secret.bin", {}, "has to lie in the model's folder: relative, and without '..'"),
        ("/etc/passwd", {}, "has to lie in the model's folder: relative, and without '..'"),
        ("C:\\secret.bin", {}, "has to lie in the model's folder: relative, and without '..'"),
        ("link.bin", {}, "has to lie in the model's folder: it is, or goes by, a link"),
        ("away/secret.bin", {}, "has to lie in the model's folder: it is, or goes by, a link"),
        ("kernel.bin", {"offset": 8}, "the file has 48 bytes, and the tensor needs 48 from 8 on"),
        ("kernel.bin", {"offset": -8}, "its offset is a number of bytes, got '-8'"),
        ("kernel.bin", {"offset": 10**30}, "its offset is a number of bytes, got '1000"),
        ("kernel.bin", {"length": 40}, r"a tensor float\[4, 3\] takes 48 bytes, got 40"),
        ("kernel.bin", {"length": "many"}, "its length is a number of bytes, got 'many'"),
        (
            "short.bin",
            {},
            "the file has 10 bytes, and the tensor needs 48 from 0 on; it is cut off",
        ),
        ("empty.bin", {}, "the file has 0 bytes, and the tensor needs 48 from 0 on"),
        (".", {}, "external data '.': "),
    ],
)
def test_external_data_that_is_refused(
    location: str, entries: dict[str, Any], message: str, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(KERNEL)
    (folder / "kernel.bin").write_bytes(KERNEL)
    (folder / "short.bin").write_bytes(KERNEL[:10])
    (folder / "empty.bin").write_bytes(b"")
    os.symlink(tmp_path / "secret.bin", folder / "link.bin")
    os.symlink(tmp_path, folder / "away")
    with pytest.raises(LoadError, match=re.escape(message) if ".." in message else message):
        gx.load(external(folder, location, **entries))


def test_a_model_in_memory_has_no_folder(tmp_path: Path) -> None:
    (tmp_path / "kernel.bin").write_bytes(KERNEL)
    path = external(tmp_path, "kernel.bin")
    with pytest.raises(LoadError, match="a model in memory has no folder with external data"):
        gx.load(path.read_bytes())
    gx.load(onnx.load(path))


# -- hostile files ---------------------------------------------------------------------------------


def test_names_are_no_code(tmp_path: Path) -> None:
    """Programs are Python text, and names of a file stand in it."""
    mark = tmp_path / "executed"
    code = f"\n    open({str(mark)!r}, 'w')\n    #"
    for text in (code, code.replace("\n", "\r"), code.replace("\n", "\x0c\u2028"), "\0", "²", "ﬁ"):
        found = changed(lambda m, text=text: (
            setattr(m.graph.node[0], "name", f"{text}/Gemm"),
            setattr(m.graph, "name", text),
            setattr(m.graph.input[0], "name", text),
            m.graph.node[0].input.__setitem__(0, text),
            setattr(m.graph.output[0], "name", f"{text}y"),
            m.graph.node[1].output.__setitem__(0, f"{text}y"),
        ))  # fmt: skip
        program = gx.compile(gx.load(found))
        assert list(program(X)) == [f"{text}y"]
        assert not mark.exists()


def test_attributes_are_no_code(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    direction = f"left_shift(1, 1) or open({str(mark)!r}, 'w') or np_left"
    shift = model(
        [node("BitShift", ["x", "x"], ["y"], direction=direction)],
        [info("x", (2,), TensorProto.UINT8)], [info("y", (2,), TensorProto.UINT8)],
    )  # fmt: skip
    with pytest.raises(LoadError, match=r"the direction is LEFT or RIGHT, got .left_shift"):
        gx.load(shift)
    assert not mark.exists()


def function(name: str, *calls: str) -> onnx.FunctionProto:
    names = ["x", *(f"h{i}" for i in range(len(calls) - 1)), "y"]
    nodes = [
        node(call, [names[i]], [names[i + 1]], domain="" if call == "Relu" else "own")
        for i, call in enumerate(calls)
    ]
    return helper.make_function("own", name, ["x"], ["y"], nodes, [helper.make_opsetid("", 23)])


def calling(name: str, *functions: onnx.FunctionProto) -> ModelProto:
    found = with_nodes(node(name, ["x"], ["y"], domain="own"))
    found.functions.extend(functions)
    found.opset_import.add(domain="own", version=1)
    return found


def test_functions_that_never_end() -> None:
    bombs = [function("f0", "Relu")]
    bombs += [function(f"f{i}", *[f"f{i - 1}"] * 10) for i in range(1, 20)]
    with pytest.raises(LoadError, match="with its functions written out it has 10,000,000,000"):
        gx.load(calling("f19", *bombs))
    with pytest.raises(LoadError, match="functions call each other in a circle: own::f -> own::g"):
        gx.load(calling("f", function("f", "g"), function("g", "f")))
    chain = [function("f0", "Relu")] + [function(f"f{i}", f"f{i - 1}") for i in range(1, 150)]
    with pytest.raises(LoadError, match="its functions call each other more than 100 deep"):
        gx.load(calling("f149", *reversed(chain)))
    with pytest.raises(LoadError, match="two functions are named own::f"):
        gx.load(calling("f", function("f", "Relu"), function("f", "Relu")))


def test_loops_in_loops_end() -> None:
    body = None
    for depth in range(12):
        inner = [node("Add", ["v", "x"], ["w"])] if body is None else [
            node("Loop", ["trips", "c", "v"], ["w"], body=body)
        ]  # fmt: skip
        body = helper.make_graph(
            [*inner, node("Identity", ["c"], ["d"])], f"body{depth}",
            [info("i", (), INT64), info("c", (), BOOL), info("v", None)],
            [info("d", (), BOOL), info("w", None)],
        )  # fmt: skip
    trips = helper.make_tensor("t", INT64, (), [2])
    found = with_nodes(
        node("Constant", [], ["trips"], value=trips),
        node("Loop", ["trips", "", "x"], ["y"], body=body),
    )
    with pytest.raises(LoadError, match="more than 8 loops are in each other"):
        gx.load(found)


def test_large_results_are_not_computed_while_reading() -> None:
    shape = helper.make_tensor("shape", INT64, (3,), [2**20, 2**20, 2**20])
    found = with_nodes(
        node("Constant", [], ["s"], value=shape), node("ConstantOfShape", ["s"], ["z"]),
        node("ReduceSum", ["z"], ["t"]), node("Add", ["x", "t"], ["y"]),
    )  # fmt: skip
    assert next(n.name for n in gx.load(found).nodes if n.kind == "op") == "ConstantOfShape"


# -- fuzzing ---------------------------------------------------------------------------------------

LOOPED = model(
    [
        node("Constant", [], ["trips"], value=helper.make_tensor("t", INT64, (), [3])),
        node(
            "Loop", ["trips", "", "x"], ["y", "all"], "loop",
            body=helper.make_graph(
                [
                    node("Mul", ["v", "factor"], ["w"]), node("Identity", ["w"], ["s"]),
                    node("Identity", ["c"], ["d"]),
                ],
                "body", [info("i", (), INT64), info("c", (), BOOL), info("v", ("n",))],
                [info("d", (), BOOL), info("w", ("n",)), info("s", ("n",))],
            ),
        ),
    ],
    [info("x", ("n",))],
    [info("y", ("n",)), info("all", (3, "n"))],
    {"factor": np.float32([2])},
)  # fmt: skip
CALLED = calling("f2", function("f0", "Relu"), function("f2", "f0", "f0"))
BASES = [LINEAR, MERGED, LOOPED, CALLED]


def load_or_refuse(found: Any) -> None:
    """Whatever a model is, it is loaded and compiled, or refused by an error of ours."""
    with contextlib.suppress(gx.GraphctxError):
        gx.compile(gx.load(found))


@settings(max_examples=150, deadline=5000, suppress_health_check=list(HealthCheck))
@given(
    base=st.sampled_from(BASES),
    changes=st.lists(
        st.tuples(
            st.sampled_from(["flip", "set", "insert", "delete", "cut"]),
            st.integers(0, 1 << 20),
            st.binary(min_size=1, max_size=4),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_bytes_that_are_changed(base: ModelProto, changes: list[tuple[str, int, bytes]]) -> None:
    content = bytearray(base.SerializeToString())
    for kind, position, new in changes:
        at = position % (len(content) + 1)
        if kind == "flip" and at < len(content):
            content[at] ^= 1 << (new[0] % 8)
        elif kind == "set":
            content[at : at + len(new)] = new
        elif kind == "insert":
            content[at:at] = new
        elif kind == "delete":
            del content[at : at + len(new)]
        else:
            del content[at:]
    load_or_refuse(bytes(content))


_VALUES = st.one_of(
    st.integers(-(2**31), 2**31 - 1), st.sampled_from([-1, 0, 1, 2**62, -(2**63), 7, 9, 1e30]),
    st.floats(width=32), st.text(max_size=6), st.binary(max_size=9),
    st.sampled_from(["x", "y", "h", "kernel", "Relu", "Loop", "If", "f0", "Constant", "own"]),
)  # fmt: skip


def messages(message: Any) -> list[Any]:
    """A message and all inside it."""
    found = [message]
    for item in found:
        for field, value in item.ListFields():
            if field.type == field.TYPE_MESSAGE:
                found += [value] if hasattr(value, "ListFields") else list(value)
    return found


@settings(max_examples=250, deadline=5000, suppress_health_check=list(HealthCheck))
@given(base=st.sampled_from(BASES), data=st.data())
def test_fields_that_are_changed(base: ModelProto, data: st.DataObject) -> None:
    found = ModelProto()
    found.CopyFrom(base)
    for _ in range(data.draw(st.integers(1, 3))):
        message = data.draw(st.sampled_from(messages(found)))
        field = data.draw(st.sampled_from(list(message.DESCRIPTOR.fields)))
        value = getattr(message, field.name)
        action = data.draw(st.sampled_from(["clear", "value", "again", "drop", "turn"]))
        try:
            if action == "clear":
                message.ClearField(field.name)
            elif hasattr(value, "MergeFrom") and not hasattr(value, "ListFields"):  # a list
                if action == "value" and field.type != field.TYPE_MESSAGE:
                    value.append(data.draw(_VALUES))
                elif action == "again" and len(value):
                    value.extend([data.draw(st.sampled_from(list(value)))])
                elif action == "drop" and len(value):
                    del value[data.draw(st.integers(0, len(value) - 1))]
                elif action == "turn":
                    value.reverse()
            elif hasattr(value, "ListFields"):
                value.SetInParent()
            else:
                setattr(message, field.name, data.draw(_VALUES))
        except (TypeError, ValueError, OverflowError):
            continue  # no value of this field
    load_or_refuse(found)
