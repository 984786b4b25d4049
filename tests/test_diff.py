"""`gx.diff`: what differs between the programs of two assignments."""

from __future__ import annotations

from typing import Any, Literal

import pytest

import graphctx as gx
from graphctx import Context, Layer, nn, ops
from tests.test_classes import Drop

SPEC = gx.TensorSpec(("batch", 4))


def test_layers_that_differ() -> None:
    graph = gx.trace(nn.Sequential([nn.Dense(3), Drop(), nn.Dense(2)], name="net"), SPEC)
    found = gx.diff(graph, {"training": True}, {"training": True, "intensity": "aggressive"})
    assert found.titles == ("training=True", "training=True, intensity=aggressive")
    [layer] = found.layers
    assert layer.path == "net/drop"
    assert layer.ops == (
        ("dropout(0.2) float32[batch, 3]",), ("dropout(0.4) float32[batch, 3]",),
    )  # fmt: skip
    off = gx.diff(graph, {}, {"training": True})
    assert off.layers[0].ops == ((), ("dropout(0.2) float32[batch, 3]",))
    assert str(off.layers[0].bytes) == "(0, 12*batch)"
    assert "0 -> 12*batch" in str(off)


def test_equal_programs() -> None:
    graph = gx.trace(nn.Sequential([Drop()]), SPEC)
    found = gx.diff(graph, {"training": False}, {"intensity": "off"})
    assert not found
    assert str(found).strip() == "training=False and intensity=off are the same program"


class Roles(Layer):
    """Each role has weights of its own; a third swaps operands."""

    def __init__(self) -> None:
        self.teacher, self.student = nn.Dense(8), nn.Dense(2)

    def call(self, x: Any, role: Context[Literal["teacher", "student", "back"]] = "teacher") -> Any:
        if role == "teacher":
            return self.teacher(x)
        return (
            ops.exp(self.student(x)) - x[:, :2]
            if role == "student"
            else x[:, :2] - ops.exp(self.student(x))
        )


def test_weights_and_costs() -> None:
    graph = gx.trace(Roles(), SPEC)
    found = gx.diff(graph, {}, {"role": "student"})
    assert found.parameters == (40, 10)
    by_path = {layer.path: layer for layer in found.layers}
    assert by_path["roles/teacher"].weights == (
        ("roles/teacher/kernel", "roles/teacher/bias"), (),
    )  # fmt: skip
    assert list(map(str, found.multiply_adds)) == ["32*batch", "8*batch"]
    text = str(found)
    assert "defaults" in text
    assert "@roles/student/kernel" in text
    assert "40 parameters" in text


def test_operands_that_are_swapped_are_seen() -> None:
    found = gx.diff(gx.trace(Roles(), SPEC), {"role": "student"}, {"role": "back"})
    assert found
    assert found.rewired
    assert str(found).strip() == (
        "role=student and role=back connect the same operators differently"
    )


def test_errors() -> None:
    graph = gx.trace(Roles(), SPEC)
    with pytest.raises(gx.ContextError, match="'role' got 'pupil'; allowed: 'teacher', 'student'"):
        gx.diff(graph, {}, {"role": "pupil"})
    with pytest.raises(
        gx.GraphctxError, match=r"diff\(\) takes a call graph, got Roles; trace the"
    ):
        gx.diff(Roles(), {}, {})  # type: ignore[arg-type]
