"""Context that is left to run time: inputs with defaults, and an If for every choice."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
import pytest
from graphctx_onnx import read_metadata

import graphctx as gx
from graphctx import Context, Layer, nn, ops

SPEC = gx.TensorSpec(("n", 3), name="x")
X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)


class Role(enum.Enum):
    """A domain of members."""

    TEACHER = 1
    STUDENT = 2


class Everything(Layer):
    """Reads an argument of every kind."""

    def __init__(self) -> None:
        self.norm = nn.BatchNorm()

    def call(
        self, x: Any, *, training: Context[bool] = False,
        mode: Context[Literal["off", "low", "high"]] = "low", scale: Context[float] = 0.5,
        shift: Context[int] = 2, depth: Context[Literal[1, 2]] = 1,
        role: Context[Role] = Role.STUDENT,
    ) -> Any:  # fmt: skip
        if mode != "off":
            x = ops.exp(x) if mode == "low" else ops.dropout(x, 0.5)
        x = self.norm(x) * scale + shift
        if scale > 1:
            x = ops.tanh(x)
        for _ in range(depth):
            x = x * 0.5
        return x if role is Role.STUDENT else -x


ALL = ["training", "mode", "scale", "shift", "depth", "role"]


def session_of(path: Path) -> Any:
    """A quiet session."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def test_every_kind_of_argument(tmp_path: Path) -> None:
    program = gx.compile(gx.trace(Everything(), SPEC), runtime=ALL)
    path = tmp_path / "all.onnx"
    exported = gx.export(program, path)
    report = str(exported.report)
    assert "training=True" in report
    assert "mode=high" in report
    assert "scale=1.5" in report  # beyond what it is compared with
    session = session_of(path)
    types = {i.name: i.type for i in session.get_inputs()}
    assert types == {"x": "tensor(float)", "seed": "tensor(int64)"}
    optional = {i.name: i.type for i in session.get_overridable_initializers()}
    assert {name: optional[name] for name in ALL} == {
        "training": "tensor(bool)", "mode": "tensor(string)", "scale": "tensor(double)",
        "shift": "tensor(int64)", "depth": "tensor(int64)", "role": "tensor(string)",
    }  # fmt: skip
    feeds = {"x": X, "seed": np.array(3)}
    [defaults] = session.run(["output"], feeds)
    np.testing.assert_allclose(defaults, program(X, seed=3), rtol=1e-5, atol=1e-6)
    context = {
        "training": True, "mode": "high", "scale": 2.0, "shift": -1, "depth": 2,
        "role": Role.TEACHER,
    }  # fmt: skip
    given = {k: np.array(v.name if k == "role" else v) for k, v in context.items()}
    given["mode"] = given["mode"].astype(object)
    given["role"] = given["role"].astype(object)
    [result] = session.run(["output"], {**feeds, **given})
    np.testing.assert_allclose(result, program(X, seed=3, **context), rtol=1e-5, atol=1e-6)


def test_the_signature_says_what_may_be_fed(tmp_path: Path) -> None:
    path = tmp_path / "all.onnx"
    program = gx.compile(gx.trace(Everything(), SPEC), runtime=["mode", "scale", "role"])
    gx.export(program, path, verify=False)
    assert read_metadata(path).signature["contexts"] == [
        {
            "name": "mode", "argument": "mode", "dtype": "string",
            "values": ["off", "low", "high"], "default": "low",
        },
        {"name": "scale", "argument": "scale", "dtype": "float64", "default": 0.5},
        {
            "name": "role", "argument": "role", "dtype": "string",
            "values": ["TEACHER", "STUDENT"], "default": "STUDENT",
        },
    ]  # fmt: skip
    text = onnx.load(path).doc_string
    assert (
        "input mode: string[], the context argument, one of 'off', 'low', 'high'; 'low' where it "
        "is not fed" in text
    )
    assert "input scale: float64[], the context argument; 0.5 where it is not fed" in text


@pytest.mark.parametrize(
    ("name", "value", "node"),
    [
        ("mode", "lwo", "context/mode (off, low, high)/Gather"),
        ("depth", 3, "context/depth (1, 2)/Gather"),
        ("role", "PUPIL", "context/role (TEACHER, STUDENT)/Gather"),
        ("scale", float("nan"), "context/scale (float)/Gather"),
    ],
)
def test_values_outside_the_domain_are_refused_at_run_time(
    name: str, value: Any, node: str, tmp_path: Path
) -> None:
    path = tmp_path / "all.onnx"
    gx.export(gx.compile(gx.trace(Everything(), SPEC), runtime=ALL), path, verify=False)
    array = np.array(value, object if isinstance(value, str) else None)
    with pytest.raises(Exception, match=r"indices element out of data bounds") as raised:
        session_of(path).run(["output"], {"x": X, "seed": np.array(1), name: array})
    assert f"Name:'{node}'" in str(raised.value)


def branches(model: Any) -> list[tuple[list[str], list[str]]]:
    """Operators of the two branches of every If at the top."""
    found = []
    for node in model.graph.node:
        if node.op_type == "If":
            graphs = {a.name: [n.op_type for n in a.g.node] for a in node.attribute}
            found.append((graphs["then_branch"], graphs["else_branch"]))
    return found


def test_branches_have_what_only_they_need(tmp_path: Path) -> None:
    path = tmp_path / "norm.onnx"
    model = nn.Sequential([nn.Dense(3), nn.BatchNorm(), nn.Dense(2)])
    exported = gx.export(gx.compile(gx.trace(model, SPEC), runtime=["training"]), path)
    written = onnx.load(path)
    assert [node.op_type for node in written.graph.node] == ["Gemm", "If", "Gemm"]
    [(taken, otherwise)] = branches(written)
    assert taken.count("ReduceMean") == 2
    assert otherwise[0] == "BatchNormalization"
    assert exported.nodes == 3 + len(taken) + len(otherwise)


class Required(Layer):
    """No default."""

    def call(self, x: Any, mode: Context[Literal["a", "b"]]) -> Any:
        return x if mode == "a" else -x


def test_an_argument_without_default_has_to_be_fed(tmp_path: Path) -> None:
    path = tmp_path / "required.onnx"
    gx.export(gx.compile(gx.trace(Required(), SPEC), runtime=["mode"]), path)
    session = session_of(path)
    assert {i.name for i in session.get_inputs()} == {"x", "mode"}
    [y] = session.run(None, {"x": X, "mode": np.array("b", object)})
    np.testing.assert_array_equal(y, -X)
    with pytest.raises(ValueError, match="mode"):
        session.run(None, {"x": X})
    assert "default" not in read_metadata(path).signature["contexts"][0]


class Same(Layer):
    """An input has the name of the argument."""

    def call(self, mode: Any, training: Context[bool] = False) -> Any:
        return self.inner(mode) if training else mode

    def __init__(self) -> None:
        self.inner = Required()


def test_names_are_unique(tmp_path: Path) -> None:
    path = tmp_path / "same.onnx"
    graph = gx.trace(Same(), gx.TensorSpec(("n",)))
    program = gx.compile(graph, runtime=["mode", "training"])
    gx.export(program, path, verify=False)
    names = [port["name"] for port in read_metadata(path).signature["contexts"]]
    assert names == ["training", "mode_1"]


class Other(Layer):
    """Another default of the same argument."""

    def call(self, x: Any, mode: Context[Literal["a", "b"]] = "b") -> Any:
        return x if mode == "a" else x * 2


class Also(Other):
    """A third one."""

    def call(self, x: Any, mode: Context[Literal["a", "b"]] = "a") -> Any:
        return x if mode == "a" else x * 3


class Opaque(Layer):
    """Any object."""

    def call(self, x: Any, style: Context[object] = "plain") -> Any:
        return x if style == "plain" else -x


def test_what_no_input_can_stand_for_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "refused.onnx"
    differing = gx.trace(nn.Sequential([Other(), Also()]), SPEC)
    with pytest.raises(
        gx.ExportError,
        match=r"sequential: context argument 'mode' cannot be left to run time in an ONNX file: "
        r"its default differs between layers \(mode: 'a'\|'b' = b or a\)|its default differs",
    ):
        gx.export(gx.compile(differing, runtime=["mode"]), path)
    opaque = gx.trace(Opaque(), SPEC, domains={"style": ["plain", "fancy"]})
    with pytest.raises(gx.ExportError, match="its domain is opaque"):
        gx.export(gx.compile(opaque, runtime=["style"]), path)
    assert not list(tmp_path.iterdir())


def test_a_graph_can_be_exported_with_arguments_left_open(tmp_path: Path) -> None:
    path = tmp_path / "open.onnx"
    graph = gx.trace(nn.Sequential([nn.Dense(2), nn.Dropout(0.5), Required()]), SPEC)
    gx.export(graph, path, context={"mode": "b"}, runtime=["training"])
    assert [i.name for i in session_of(path).get_overridable_initializers()] == ["training"]
    assert read_metadata(path).assignment == {"mode": "b"}
    program = gx.compile(graph, mode="a")
    with pytest.raises(gx.ExportError, match="runtime= goes with a graph; this program is compi"):
        gx.export(program, path, runtime=["training"])
