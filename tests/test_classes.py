"""Context classes are what enumerating every assignment finds."""

from __future__ import annotations

import itertools
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, note, settings

import graphctx as gx
from graphctx import Context, Layer, nn, ops
from graphctx.builder import Builder, hashable, rebuild
from graphctx.classes import Classes
from graphctx.context import UNSET, value_text
from graphctx.graph import Branch, Raises, outcome_values
from graphctx.passes.specialize import bind
from tests.random_models import build, recipes
from tests.test_same_meaning import trace


def shape(outcome: Any) -> Any:
    """What is returned or raised, without the values."""
    if isinstance(outcome, Raises):
        return id(outcome.error)
    if isinstance(outcome, Branch):
        return [(str(case), shape(inner)) for case, inner in outcome.cases].__repr__()
    return repr(outcome.structure), *outcome.state


def enumerated(found: Classes) -> dict[Any, list[dict[str, Any]]]:
    """Assignments by the residual graph that `bind` makes of each, one after the other."""
    graph = found.graph
    builder = Builder(merge_calls=True)
    cases = [graph.contexts[name].cases for name in found.arguments]
    groups: dict[Any, list[dict[str, Any]]] = {}
    for values in itertools.product(*cases):
        assignment = dict(zip(found.arguments, values, strict=True))
        residual = bind(graph, assignment)
        new: dict[Any, Any] = {}
        for node in residual.nodes:
            operands = tuple(None if v is None else new[v] for v in node.operands)
            for old, value in zip(node.outputs, rebuild(node, operands, builder), strict=True):
                new[old] = value
        outcome = residual.outcome
        key = (shape(outcome), tuple(new[v] for v in outcome_values(outcome)))
        groups.setdefault(key, []).append(assignment)
    return groups


def holds(condition: str, assignment: dict[str, Any]) -> bool:
    """Whether the text of a condition holds."""
    if condition == "always":
        return True
    return any(
        all(
            value_text(assignment[part.split("=")[0]]) in part.split("=", 1)[1].split("|")
            for part in term.split(" & ")
        )
        for term in condition.split(" or ")
    )


def check(found: Classes) -> None:
    """The classes are those that enumeration finds, and say so."""
    expected = enumerated(found)
    assert found.assignments == sum(map(len, expected.values()))
    assert len(found) == len(expected)
    listed = list(found)
    assert sorted(c.count for c in listed) == sorted(map(len, expected.values()))
    for assignments in expected.values():
        given = [{k: v for k, v in a.items() if v is not UNSET} for a in assignments]
        [own] = [c for c in listed if holds(c.condition, assignments[0])]
        assert own.count == len(assignments)
        assert all(holds(own.condition, a) for a in assignments)
        for name in own.dead:
            values = {hashable(a[name]) for a in assignments}
            assert len(values) == len(found.graph.contexts[name].cases)
        required = all(a.default is not UNSET for a in found.graph.contexts.values())
        if required:  # else "not given" is a case that only leaving it out names
            assert all(found.of(a).condition == own.condition for a in given)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(recipe=recipes)
def test_random_models(recipe: Any) -> None:
    graph = trace(build(recipe))
    note(str(graph))
    found = graph.classes()
    if found.assignments <= 2000:
        check(found)


class Drop(Layer):
    """The layer of the README."""

    def call(
        self, x: Any, *, training: Context[bool] = False,
        intensity: Context[Literal["off", "normal", "aggressive"]] = "normal",
    ) -> Any:  # fmt: skip
        if not training or intensity == "off":
            return x
        return ops.dropout(x, {"normal": 0.2, "aggressive": 0.4}[intensity])


SPEC = gx.TensorSpec(("batch", 4))


def test_the_model_of_the_readme() -> None:
    graph = gx.trace(nn.Sequential([nn.Dense(4), Drop(), nn.Dense(4), Drop()]), SPEC)
    found = graph.classes()
    assert str(found) == (
        "6 assignments -> 3 programs\n"
        "  training=False or intensity=off       4\n"
        "  training=True & intensity=normal      1\n"
        "  training=True & intensity=aggressive  1"
    )
    check(found)
    assert found.groups == (("training", "intensity"),)
    assert found.of(training=True, intensity="aggressive").count == 1
    assert found.of().condition == "training=False or intensity=off"
    assert [len(c.compile(graph).graph.nodes) for c in found] == [
        len(gx.compile(graph, training=t, intensity="aggressive" if a else "normal").graph.nodes)
        for t, a in [(False, False), (True, False), (True, True)]
    ]


def test_what_is_bound_or_open_is_no_part_of_the_conditions() -> None:
    graph = gx.trace(nn.Sequential([Drop()]), SPEC)
    bound = graph.classes(training=True)
    assert [c.condition for c in bound] == [
        "intensity=off", "intensity=normal", "intensity=aggressive",
    ]  # fmt: skip
    assert bound[0].assignment == {"training": True, "intensity": "off"}
    assert str(graph.classes(training=False)) == (
        "3 assignments -> 1 program\n  always  3  dead: intensity"
    )
    left = graph.classes(runtime=["intensity"])
    assert left.runtime == ("intensity",)
    assert [c.condition for c in left] == ["training=False", "training=True"]
    with pytest.raises(IndexError):
        left[2]
    assert left[-1].condition == left[0:2][1].condition == "training=True"


class Noise(Layer):
    """Numbers stay open."""

    def call(self, x: Any, scale: Context[float] = 0.0, exact: Context[bool] = False) -> Any:
        return x if exact else x + scale if scale > 0.5 else x * 2


def test_numbers_are_left_to_run_time_unless_they_are_bound() -> None:
    graph = gx.trace(Noise(), SPEC)
    assert graph.classes().runtime == ("scale",)
    assert str(graph.classes()) == (
        "2 assignments -> 2 programs\n  exact=False  1\n  exact=True   1\n  left to run time: scale"
    )
    assert graph.classes(scale=1.0).runtime == ()
    check(graph.classes())


def switches(count: int, changed: str) -> Layer:
    """A model of bool arguments, each of which decides on a step of its own."""
    layers = []
    for i in range(count):
        namespace: dict[str, Any] = {"Layer": Layer, "Context": Context, "ops": ops}
        text = (
            f"class S{i}(Layer):\n"
            f"    def call(self, x, *, a{i}: Context[bool] = False):\n"
            f"        return {changed} if a{i} else x\n"
        )
        exec(compile(text, "switches", "exec", dont_inherit=True), namespace)
        layers.append(namespace[f"S{i}"]())
    return nn.Sequential(layers)


def test_independent_arguments_are_counted_without_enumeration() -> None:
    found = gx.trace(switches(40, "ops.dropout(x, 0.5)"), SPEC).classes()
    assert found.title == f"{2**40} assignments -> {2**40} programs"
    assert found.groups == tuple((f"a{i}",) for i in range(40))
    assert found[2**40 - 1].condition == " & ".join(f"a{i}=True" for i in range(40))
    assert str(found).endswith(f"... and {2**40 - 50} more")


def test_pairs_that_interact_are_groups_of_two() -> None:
    """`if a and b` has an arm that both selects share: what leads to it makes no difference."""

    layers = []
    for i in range(10):
        names: dict[str, Any] = {"Layer": Layer, "Context": Context}
        code = f"""
class Both(Layer):
    def call(self, x, *, a{i}: Context[bool] = False, b{i}: Context[bool] = False):
        return x * {i + 2} if a{i} and b{i} else x
"""
        exec(compile(code, "pairs", "exec", dont_inherit=True), names)
        layers.append(names["Both"]())
    found = gx.trace(nn.Sequential(layers), SPEC).classes()
    assert found.title == f"{2**20} assignments -> {2**10} programs"
    assert found.groups == tuple((f"a{i}", f"b{i}") for i in range(10))


def test_arguments_that_lead_to_equal_programs_are_one_group() -> None:
    found = gx.trace(switches(20, "ops.exp(x)"), SPEC).classes()
    assert found.title == f"{2**20} assignments -> 21 programs"
    assert [c.count for c in found][:3] == [1, 20, 190]
    assert sum(c.count for c in found) == 2**20
    assert found[9].condition.startswith("among others, a0=False & a1=False")
    check(gx.trace(switches(5, "ops.exp(x)"), SPEC).classes())
    check(gx.trace(switches(5, "ops.dropout(x, 0.5)"), SPEC).classes())


class Nested(Layer):
    """What one argument decides, another one may switch off; and the outcome depends on a third."""

    def call(
        self, x: Any, a: Context[bool] = False, b: Context[Literal[1, 2, 3]] = 1,
        taps: Context[bool] = False, unused: Context[bool] = False,
    ) -> Any:  # fmt: skip
        y = ops.exp(x) if a else (x * b if b > 1 else x)
        return (y, x) if taps else y


def test_outcomes_that_differ_are_different_programs() -> None:
    found = gx.trace(Nested(), SPEC).classes()
    check(found)
    assert found.title == "24 assignments -> 8 programs"
    assert found.dead == ("unused",)
    assert found.groups == (("a", "b"), ("taps",))
    assert found.of(a=True, b=3).condition == "a=True & taps=False"
    assert found.of(a=True, b=3).dead == ("b", "unused")


def test_conditions_as_data() -> None:
    found = gx.trace(Nested(), SPEC).classes()
    one = found.of(b=3)
    assert found.conditions(one) == [{"a": (False,), "b": (3,), "taps": (False,)}]
    assert found.within(found.conditions(one)) == [one]
    either = found.united([one, found.of(b=2)])
    assert either.condition == "a=False & b=2|3 & taps=False"
    assert either.count == one.count * 2
    assert found.within(found.conditions(either)) == [found.of(b=2), one]
    assert found.united(found).condition == "always"
    assert found.conditions(found.united(found)) == [{}]
    assert found.within([{}]) == list(found)
    assert len(found.within([{"a": (True,)}, {"taps": (True,), "b": (1,)}])) == 3
    assert found.within([]) == []


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(recipe=recipes)
def test_conditions_as_data_hold_where_the_text_does(recipe: Any) -> None:
    found = trace(build(recipe)).classes()
    cases = [found.graph.contexts[name].cases for name in found.arguments]
    for values in itertools.product(*cases):
        assignment = dict(zip(found.arguments, values, strict=True))
        for one in found:
            inside = any(
                all(
                    hashable(assignment[name]) in map(hashable, allowed)
                    for name, allowed in condition.items()
                )
                for condition in found.conditions(one)
            )
            assert inside == holds(one.condition, assignment)


def test_errors_name_what_is_wrong() -> None:
    graph = gx.trace(Nested(), SPEC)
    with pytest.raises(gx.ContextError, match="no layer reads a context argument 'tap'; did you"):
        graph.classes(tap=True)
    with pytest.raises(gx.ContextError, match="runtime names 'bb', which no layer reads"):
        graph.classes(runtime=["bb"])
    with pytest.raises(gx.ContextError, match="'b' is both given and left to run time"):
        graph.classes(runtime="b", b=2)
    with pytest.raises(gx.ContextError, match="'b' got 7; allowed: 1, 2, 3"):
        graph.classes().of(b=7)
