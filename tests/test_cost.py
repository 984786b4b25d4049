"""`gx.cost_note`: what leaving context to run time costs against binding it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import onnx
import pytest

import graphctx as gx
from graphctx import Context, ContextError, Layer, nn, ops

SPEC = gx.TensorSpec(("batch", 4), name="x")


class Roles(Layer):
    """Two roles with weights of their own, and one without."""

    def __init__(self) -> None:
        self.teacher, self.student = nn.Dense(64), nn.Dense(2)

    def call(
        self,
        x: Any,
        *,
        role: Context[Literal["teacher", "student", "none"]] = "student",
        gain: Context[float] = 1.0,
    ) -> Any:
        if role == "none":
            return x[:, :2] * gain
        return self.teacher(x)[:, :2] * gain if role == "teacher" else self.student(x) * gain


def graph() -> gx.CallGraph:
    return gx.trace(nn.Sequential([nn.Dense(8), nn.BatchNorm(), Roles()], name="net"), SPEC)


def test_arms_that_are_not_taken_keep_their_weights() -> None:
    note = gx.cost_note(graph(), runtime=["role"])
    assert note.runtime == ("role",)
    assert (note.choices, note.more) == (2, 0)
    teacher, student, none = note.rows
    assert [row.condition for row in note.rows] == ["role=teacher", "role=student", "role=none"]
    first = 4 * (4 * 8 + 8)  # the Dense before, with the BatchNorm in it
    kept = first + 4 * (8 * 64 + 64) + 4 * (8 * 2 + 2)
    assert {row.weight_bytes[0] for row in note.rows} >= {note.weight_bytes}
    assert note.weight_bytes >= kept
    assert student.weight_bytes == (note.weight_bytes, first + 4 * (8 * 2 + 2))
    assert none.weight_bytes[1] == first
    assert teacher.weight_bytes[1] >= first + 4 * (8 * 64 + 64)
    for row, adds in zip(note.rows, (544, 48, 32), strict=True):
        assert [str(count) for count in row.multiply_adds] == [f"{adds}*batch"] * 2
        assert row.nodes[0] == row.nodes[1]  # nothing is optimized across these choices


def test_optimizations_that_binding_allows() -> None:
    """A BatchNorm that is folded, a factor that is one."""
    note = gx.cost_note(graph(), runtime=["training", "gain"])
    inference, training = note.rows
    assert inference.condition == "training=False & gain=1.0"
    assert inference.nodes == (5, 2)
    assert training.nodes[0] > training.nodes[1] > 10
    assert note.choices == 1
    only_gain = gx.cost_note(graph(), {"training": False}, runtime=["gain"])
    assert [row.condition for row in only_gain.rows] == ["gain=1.0"]
    assert only_gain.choices == 0


def test_the_bound_side_is_the_program_of_compile() -> None:
    traced = graph()
    for row, role in zip(
        gx.cost_note(traced, runtime=["role"]).rows, ("teacher", "student", "none"), strict=True
    ):
        found = gx.compile(traced, role=role).summary()
        assert (row.nodes[1], row.weight_bytes[1]) == (len(found.rows), found.weight_bytes)


@pytest.mark.parametrize("runtime", [["role"], ["training"], ["training", "role", "gain"]])
def test_choices_are_the_ifs_of_a_file(runtime: list[str], tmp_path: Path) -> None:
    traced = graph()
    gx.export(traced, tmp_path / "m.onnx", runtime=runtime, verify=False)

    def ifs(proto: Any) -> int:
        inner = (a.g for n in proto.node for a in n.attribute if a.type == a.GRAPH)
        return sum(node.op_type == "If" for node in proto.node) + sum(map(ifs, inner))

    found = ifs(onnx.load(str(tmp_path / "m.onnx")).graph)
    assert found == gx.cost_note(traced, runtime=runtime).choices > 0


class Many(Layer):
    """Sixty-four classes."""

    def call(self, x: Any, *, n: Context[Literal[tuple(range(64))]] = 0) -> Any:  # type: ignore[valid-type]
        return ops.multiply(x, float(n))


def test_as_text_and_as_data() -> None:
    note = gx.cost_note(gx.trace(nn.Sequential([Many()]), SPEC), runtime=["n"])
    assert (len(note.rows), note.more, note.choices) == (32, 32, 63)
    text = str(note)
    assert text.startswith("n left to run time: 63 operators, 63 choices a run")
    assert "left open -> bound; 32 more classes are not compared" in text
    data = note.as_dict()
    assert data["rows"][2] == {
        "condition": "n=2",
        "nodes": {"open": 1, "bound": 1},
        "multiply_adds": {"open": 0, "bound": 0},
        "weight_bytes": {"open": 0, "bound": 0},
    }


def test_refusals_are_those_of_compile() -> None:
    with pytest.raises(ContextError, match="runtime names 'rol', which no layer reads; did you"):
        gx.cost_note(graph(), runtime=["rol"])
    with pytest.raises(ContextError, match="runtime takes a list of names"):
        gx.cost_note(graph(), runtime="role")
