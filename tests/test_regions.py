"""Regions: what only one arm of a select needs runs only in that arm."""

from __future__ import annotations

from typing import Any, Literal

import graphctx as gx
from graphctx import Context, Layer, nn, ops
from graphctx.graph import Node
from graphctx.regions import Choice, Region, partition

SPEC = gx.TensorSpec(("n", 3))


def described(region: Region) -> list[Any]:
    """Names of operators; choices as (case, what runs, what runs otherwise)."""
    found: list[Any] = []
    for step in region.steps:
        if isinstance(step, Node):
            found.append(step.name)
        else:
            assert isinstance(step, Choice)
            found.append((step.case, described(step.taken), described(step.otherwise)))
    return found


def regions(model: Any, *shapes: Any) -> list[Any]:
    """The regions of a model that is traced and not specialized."""
    returns = gx.trace(model, *(shapes or (SPEC,))).returns
    state = [value for _, value in returns.state.values()]
    return described(partition([*returns.values, *state]))


def test_each_arm_has_what_only_it_needs() -> None:
    def call(
        x: Any, mode: Context[Literal["a", "b", "c"]] = "a", training: Context[bool] = False
    ) -> Any:
        shared = ops.exp(x)
        if mode == "a":
            return ops.sin(shared) if training else ops.cos(shared)
        both = ops.tanh(shared)  # b and c, not a
        return both if mode == "b" else ops.abs(both)

    found = regions(nn.Lambda(call))
    assert found == [
        "Exp",
        (
            "a",
            [(False, ["Cos"], ["Sin"])],
            ["Tanh", ("b", [], ["Abs"])],
        ),
    ]


def test_selects_of_one_selector_are_one_choice() -> None:
    # The statistics of the batch are needed by the output and by both moving averages.
    [choice] = [
        step
        for step in partition_of(nn.BatchNorm(), gx.TensorSpec(("n", 4))).steps
        if isinstance(step, Choice)
    ]
    assert len(choice.selects) == 3
    assert "ReduceMean" in described(choice.otherwise)
    assert "BatchNormalization" in described(choice.taken)


def partition_of(model: Any, spec: Any) -> Region:
    """The region of a traced model."""
    returns = gx.trace(model, spec).returns
    return partition([*returns.values, *(value for _, value in returns.state.values())])


def test_selects_that_need_each_other_are_apart() -> None:
    class Step(Layer):
        def call(self, x: Any, deep: Context[bool] = False) -> Any:
            return ops.exp(x) if deep else x

    found = regions(nn.Sequential([Step(), Step(), nn.Lambda(lambda x: ops.abs(x))]))
    assert found == [(False, [], ["Exp"]), (False, [], ["Exp"]), "Abs"]


def test_selects_in_different_arms_are_apart() -> None:
    def call(x: Any, outer: Context[bool] = False, inner: Context[bool] = False) -> Any:
        if outer:
            return ops.sin(x) if inner else x
        return (ops.cos(x) if inner else x) * 2

    assert regions(nn.Lambda(call)) == [
        (False, [(False, ["Mul"], ["Cos", "Mul"])], [(False, [], ["Sin"])])
    ]


def test_a_graph_without_selects_is_one_region() -> None:
    assert regions(nn.Lambda(lambda x: ops.abs(x) + 1)) == ["Abs", "Add"]
    assert regions(nn.Lambda(lambda x: x)) == []
