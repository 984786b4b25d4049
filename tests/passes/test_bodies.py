"""Control flow in passes: what is decided goes, what is not needed is not taken."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphctx as gx
from graphctx import ops
from graphctx.body import record_body
from graphctx.builder import Builder
from graphctx.context import domain_of
from graphctx.errors import GraphctxError
from graphctx.graph import CallGraph, ContextArgument, Contexts, Returns, Value
from graphctx.ops.table import TABLE
from graphctx.passes import check, optimize
from graphctx.program import Program
from graphctx.spec import TensorSpec
from graphctx.tensor import Recorder, Tensor
from graphctx.tree import LEAF, Structure
from tests.ops.bodies import body

INT, BOOL = np.dtype(np.int64), np.dtype(bool)


class Model:
    """A graph that is recorded by hand."""

    def __init__(self, *specs: TensorSpec) -> None:
        self.recorder = Recorder(Builder())
        self.builder = self.recorder.builder
        self.inputs = [self.tensor(self.builder.input(s, f"x{i}")) for i, s in enumerate(specs)]

    def tensor(self, value: Value) -> Tensor:
        return Tensor(value, self.recorder)

    def cond(self, condition: Any, then: Callable[[], Any], other: Callable[[], Any]) -> Any:
        bodies, captures = [], []
        for function in (then, other):
            with self.builder.scope() as scope:
                found = function()
                results = found if isinstance(found, tuple) else (found,)
                body, taken = scope.close([self.recorder.value(r) for r in results])
            bodies.append(body)
            captures += taken
        attrs = dict(zip(("then_branch", "else_branch"), bodies, strict=True))
        made = self.builder.op(TABLE["If"], [self.recorder.value(condition), *captures], attrs)
        return tuple(map(self.tensor, made)) if len(made) > 1 else self.tensor(made[0])

    def loop(self, limit: Any, function: Callable[..., Any], *initial: Any) -> Any:
        values = [self.recorder.value(x) for x in initial]

        def record(inputs: list[Value]) -> Sequence[Value]:
            return [self.recorder.value(r) for r in function(*map(self.tensor, inputs))]

        first = [((), INT), ((), BOOL)]
        carried = [(value.shape, value.dtype) for value in values]
        body, taken = record_body(self.recorder, first, carried, record, 1)
        operands = [self.recorder.value(limit), None, *values, *taken]
        made = self.builder.op(TABLE["Loop"], operands, {"body": body, "carried": len(values)})
        return tuple(map(self.tensor, made)) if len(made) > 1 else self.tensor(made[0])

    def graph(self, *results: Any, contexts: Sequence[ContextArgument] = ()) -> CallGraph:
        values = tuple(self.recorder.value(r) for r in results)
        structure = Structure("tuple", (LEAF,) * len(values))
        inputs = tuple(t.value for t in self.inputs)
        return check(
            CallGraph(
                "model", tuple(self.builder.nodes), inputs, Returns(structure, values),
                Contexts({a.name: a for a in contexts}),
                parameters=tuple(v.node.name for v in inputs),
                input_structure=Structure("tuple", (LEAF,) * len(inputs)),
            )
        )  # fmt: skip


def optimized(graph: CallGraph, *inputs: Any) -> str:
    """The text of the optimized graph, which computes the same bits."""
    after = check(optimize(graph))
    ours, theirs = Program(graph)(*inputs), Program(after)(*inputs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    return str(after)


X = TensorSpec(("n", 3), "float32")
N = TensorSpec((), "int64")
ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_an_if_that_is_decided_is_the_branch_itself() -> None:
    model = Model(X)
    [x] = model.inputs
    y = ops.exp(x)
    result = model.cond(np.array(True), lambda: model.cond(np.array(False), lambda: x, lambda: -y),
                        lambda: ops.sin(y))  # fmt: skip
    assert optimized(model.graph(result), ARRAY) == (
        "graph model (x0: float32[n, 3])\n"
        "  %1 = Exp(x0)\n"
        "  %2 = Neg(%1)\n"
        "  return (%2,)"
    )  # fmt: skip


def test_passes_reach_into_bodies() -> None:
    model = Model(X, TensorSpec((), "bool"))
    x, flag = model.inputs
    two = ops.exp(np.zeros(1, np.float32)) + np.float32(1)  # known: moves into the body, and folds
    result = model.cond(flag, lambda: ops.negative(-(x * two)), lambda: x + (x * np.float32(0)) * 1)
    assert optimized(model.graph(result), ARRAY, np.array(True)) == (
        "graph model (x0: float32[n, 3], x1: bool[])\n"
        "  %1 = If(x1)\n"
        "    then_branch:\n"
        "      %%1 = Mul(x0, [2])\n"
        "      return %%1\n"
        "    else_branch:\n"
        "      %%1 = Mul(x0, 0)\n"
        "      %%2 = Add(x0, %%1)\n"
        "      return %%2\n"
        "  return (%1,)"
    )


def test_outputs_and_operands_that_nothing_needs_are_left_out() -> None:
    model = Model(X, TensorSpec((), "bool"))
    x, flag = model.inputs
    unused = ops.exp(x)
    first, _ = model.cond(flag, lambda: (x, unused), lambda: (-x, ops.sin(unused)))
    assert optimized(model.graph(first), ARRAY, np.array(False)) == (
        "graph model (x0: float32[n, 3], x1: bool[])\n"
        "  %1 = If(x1)\n"
        "    then_branch:\n"
        "      return x0\n"
        "    else_branch:\n"
        "      %%1 = Neg(x0)\n"
        "      return %%1\n"
        "  return (%1,)"
    )


def test_what_a_loop_carries_around_unchanged_or_for_itself_is_not_carried() -> None:
    model = Model(X, N)
    x, n = model.inputs
    fixed, ours = ops.exp(x), ops.sin(x)

    def step(i: Any, going: Any, a: Any, b: Any, c: Any) -> Any:
        return going, a + b, b, c * c, ops.sum(c), ops.sum(a)

    a, b, _, _, sums = model.loop(n, step, x, fixed, ours)
    assert optimized(model.graph(a, b, sums), ARRAY, np.array(3)) == (
        "graph model (x0: float32[n, 3], x1: int64[])\n"
        "  %1 = Exp(x0)\n"
        "  %2 = Loop(x1, none, x0, carried=1)\n"
        "    body(%%in_0: int64[], %%in_1: bool[], %%in_2: float32[n, 3]):\n"
        "      %%1 = Add(%%in_2, %1)\n"
        "      %%2 = ReduceSum(%%in_2, keepdims=0)\n"
        "      return %%in_1, %%1, %%2\n"
        "  return (%2.0, %1, %2.1)"
    )


def test_a_loop_that_never_runs_is_what_it_starts_from() -> None:
    model = Model(X)
    [x] = model.inputs
    a, counts = model.loop(np.int64(0), lambda i, going, a: (going, a * a, i), x)
    assert optimized(model.graph(a, counts), ARRAY) == (
        "graph model (x0: float32[n, 3])\n"
        "  return (x0, [])"
    )  # fmt: skip


def test_sizes_that_change_are_unknown_in_the_body() -> None:
    model = Model(X, N)
    x, n = model.inputs
    grown = model.loop(n, lambda i, going, a: (going, ops.concat([a, a], axis=0)), x)
    graph = model.graph(grown, grown * np.float32(2))
    [node] = [node for node in graph.nodes if node.name == "Loop"]
    assert [str(d) == "3" for d in node.attrs["body"].inputs[2].shape] == [False, True]
    first, second = Program(graph)(ARRAY, np.array(3))
    assert first.shape == (16, 3)
    np.testing.assert_array_equal(second, first * 2)
    assert "Loop" in optimized(graph, ARRAY, np.array(2))


def test_bodies_are_equal_where_they_compute_the_same() -> None:
    matrix = ((2, 3), "float32")
    one = body(lambda x: ops.exp(x) + np.float32(1), matrix)
    assert one == body(lambda x: ops.exp(x) + np.float32(1), matrix)
    assert hash(one) == hash(body(lambda x: ops.exp(x) + np.float32(1), matrix))
    others = [
        body(lambda x: ops.exp(x) + np.float32(2), matrix),
        body(lambda x: ops.exp(x) * np.float32(1), matrix),
        body(lambda x: ops.exp(x) + np.float32(1), ((3, 2), "float32")),
        body(lambda x: np.float32(1) + ops.exp(x), matrix),
        body(lambda x: (ops.exp(x) + np.float32(1), x), matrix),
    ]
    assert one not in others

    # Outputs of one node are told apart from that of the next one.
    def halves(x: Any) -> Any:
        a, b = ops.split(x, 2, axis=0)
        return ops.exp(a) + b

    def twice(x: Any) -> Any:
        y = ops.exp(ops.split(x, 2, axis=0)[0])
        return y + y

    assert body(halves, matrix) != body(twice, matrix)


def test_a_branch_that_context_decides_goes_when_it_is_bound(tmp_path: Path) -> None:
    argument = ContextArgument("use_cache", domain_of(bool), False, (False, True))
    kernel, other = gx.Variable(np.eye(3, dtype=np.float32)), gx.Variable(np.ones(3, np.float32))
    model = Model(X)
    [x] = model.inputs
    flag = model.builder.context(argument)
    weights = [model.tensor(model.builder.weight(v, n)) for v, n in ((kernel, "a"), (other, "b"))]
    y = model.cond(model.tensor(flag), lambda: (x @ weights[0], x), lambda: (x + weights[1], -x))
    graph = model.graph(*y, contexts=[argument])
    texts = {}
    for value in (False, True):
        program = gx.compile(graph, use_cache=value)
        texts[value] = str(program.graph)
        first, second = program(ARRAY)
        np.testing.assert_array_equal(first, ARRAY if value else ARRAY + 1)
        np.testing.assert_array_equal(second, ARRAY if value else -ARRAY)
    assert texts[True] == (
        "graph model (x0: float32[n, 3])\n"
        "  %1 = MatMul(x0, @a)\n"
        "  return (%1, x0)"
    )  # fmt: skip
    assert "If" not in texts[False]
    assert "@a" not in texts[False]
    program = gx.compile(graph, runtime=["use_cache"])
    assert "%1 = If($use_cache)" in str(program.graph)
    for value in (False, True):
        for a, b in zip(
            program(ARRAY, use_cache=value), gx.compile(graph, use_cache=value)(ARRAY), strict=True
        ):
            np.testing.assert_array_equal(a, b)
    gx.export(program, tmp_path / "model.onnx")
    assert [c.condition for c in graph.classes()] == ["use_cache=False", "use_cache=True"]


def test_costs_of_bodies() -> None:
    model = Model(X, N, TensorSpec((), "bool"))
    x, n, flag = model.inputs
    square = np.eye(3, dtype=np.float32)
    chosen = model.cond(flag, lambda: x @ square, lambda: x)
    known = model.loop(np.int64(4), lambda i, going, a: (going, a @ square), x)
    once = model.loop(n, lambda i, going, a: (going, a @ square), x)
    found = gx.summary(model.graph(chosen, known, once))
    works = [str(row.multiply_adds) for row in found.rows if row.op in ("If", "Loop")]
    assert works == ["9*n", "36*n", "9*n"]


def test_a_broken_body_is_found() -> None:
    model = Model(X, TensorSpec((), "bool"))
    x, flag = model.inputs
    graph = model.graph(model.cond(flag, lambda: ops.exp(x), lambda: x))
    [node] = [node for node in graph.nodes if node.name == "If"]
    inner = next(n for n in node.attrs["then_branch"].graph.nodes if n.kind == "op")
    inner.output.shape = (7, 3)
    with pytest.raises(GraphctxError, match=r"op %1 If has a broken then_branch: .* Exp is record"):
        check(graph)
