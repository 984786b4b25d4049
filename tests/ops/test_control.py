"""`ops.cond`, `ops.while_loop` and `ops.scan`: eager calls, programs and files mean the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pytest
from graphctx_onnx import export

import graphctx as gx
from graphctx import Context, Layer, nn, ops
from graphctx.body import bodies_of
from graphctx.errors import DTypeError, InputError, LayerError, ShapeError, TraceError
from graphctx.passes import check
from graphctx.tree import flatten

X = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
SPEC = gx.TensorSpec(("batch", 3), "float32")


def leaves(nest: Any) -> list[Any]:
    return flatten(nest, lambda x: isinstance(x, (np.ndarray, np.generic)))[0]


def agree(model: Any, *inputs: Any, path: Path | None = None, **context: Any) -> Any:
    """The program of a model or function, which computes the bits of an eager call."""
    if not isinstance(model, Layer):
        model = nn.Lambda(model)
    specs = [gx.TensorSpec(("batch", *x.shape[1:]) if x.ndim else (), x.dtype) for x in inputs]
    program = gx.compile(check(gx.trace(model, *specs)), **context)
    check(program.graph)
    for seed in (0, 7):
        with gx.seed(seed):
            expected = model(*inputs, **context)
        for a, b in zip(leaves(program(*inputs, seed=seed)), leaves(expected), strict=True):
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            assert a.tobytes() == b.tobytes()
    if path is not None:
        export(program, path / "model.onnx")
    return program


# -- cond -----------------------------------------------------------------------------------------


def test_only_the_function_chosen_runs() -> None:
    def chosen(x: Any, index: Any) -> Any:
        rows = ops.astype(index, "int64")
        return ops.cond(rows < 4, lambda: ops.take(x, rows, axis=0), lambda: x[0] * 0)

    program = agree(chosen, X, np.array(2))
    agree(chosen, X, np.array(9))
    with pytest.raises(ShapeError, match=r"lambda/cond/then: Gather.*index 9 is out of range"):
        nn.Lambda(lambda x: ops.cond(x[0] > 0, lambda: ops.take(X, 9, axis=0), lambda: X))(
            np.array([1])
        )
    assert [n.name for n in program.graph.nodes if n.kind == "op"] == ["Less", "If"]


def test_sizes_in_which_functions_differ_are_unknown(tmp_path: Path) -> None:
    def longer(x: Any) -> Any:
        y, n = ops.cond(ops.sum(x) > 0, lambda: (ops.concat([x, x]), 2), lambda: (x, 1))
        return y * np.float32(2), ops.sum(y, axis=0), n

    for sign in (1, -1):
        agree(longer, X * np.float32(sign), path=tmp_path)


def test_numbers_variables_and_conditions_of_any_dtype() -> None:
    class Model(Layer):
        def __init__(self) -> None:
            self.w = gx.Variable(np.ones(3, np.float32))

        def call(self, x: Any, n: Any) -> Any:
            return ops.cond(n, lambda: (self.w, 1.0, None), lambda: (x[0], 0.0, None))

    agree(Model(), X, np.array(0))
    agree(Model(), X, np.array(5))


def test_a_condition_of_context_is_decided_when_the_context_is() -> None:
    class Model(Layer):
        def call(self, x: Any, scale: Context[float] = 0.5) -> Any:
            return ops.cond(scale > 1, lambda: x * scale, lambda: -x)

    graph = gx.trace(Model(), SPEC)
    assert "If" in str(graph)
    assert str(gx.compile(graph, scale=2.0).graph) == (
        "graph model (x: float32[batch, 3])\n"
        "  %1 = Mul(x, 2)  # model\n"
        "  return %1"
    )  # fmt: skip
    program = gx.compile(graph, runtime=["scale"])
    for scale in (0.0, 1.5):
        np.testing.assert_array_equal(program(X, scale=scale), Model()(X, scale=scale))


class Pair(NamedTuple):
    total: Any
    rows: Any


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda x: ops.cond(x > 0, lambda: x, lambda: x), ShapeError,
         r"lambda: cond needs a scalar condition, got bool\[batch, 3\]"),
        (lambda x: ops.cond(x[0, 0] > 0, lambda: x, lambda: (x, x)), ShapeError,
         r"cond: the functions return different structures \(.*test_control.py:\d+\)"),
        (lambda x: ops.cond(x[0, 0] > 0, lambda: x, lambda: x[0]), ShapeError,
         r"cond: the functions return float32\[batch, 3\] and float32\[3\] \(.*py:\d+\)"),
        (lambda x: ops.cond(x[0, 0] > 0, lambda: x, lambda: ops.astype(x, "int32")), DTypeError,
         r"cond: the functions return float32\[batch, 3\] and int32\[batch, 3\]"),
        (lambda x: ops.while_loop(lambda c: x > 0, lambda c: c, x), ShapeError,
         r"lambda: while_loop: cond returns bool\[batch, 3\], not a scalar"),
        (lambda x: ops.while_loop(lambda c: c[0, 0] > 0, lambda c: (c, c), x), ShapeError,
         r"while_loop: the body returns another structure than it takes \(.*py:\d+\)"),
        (lambda x: ops.while_loop(lambda c: c[0, 0] > 0, lambda c: c.astype("int32"), x),
         DTypeError, r"while_loop: value 0 .* float32\[batch, 3\] at first, .* int32\[batch, 3\]"),
        (lambda x: ops.while_loop(lambda c: True, lambda c: c, None), ShapeError,
         "while_loop: there is no tensor in init"),
        (lambda x: ops.scan(lambda c, v: (c[None], v), x[0], x), ShapeError,
         r"scan: value 0 that is carried is float32\[3\] at first, .* makes float32\[1, 3\]"),
        (lambda x: ops.scan(lambda c, v: (ops.concat([c, c]), v), x[0], x), ShapeError,
         r"scan: value 0 .* is \[3\] at first, .* makes \[6\] of it \(.*\); its shape has to stay"),
        (lambda x: ops.scan(lambda c, v: c, x[0], x), TraceError,
         r"scan: f returns \(carry, y\), got"),
        (lambda x: ops.scan(lambda c, v: (c, v), x[0], (x, x[0, :2])), ShapeError,
         "scan: the lengths differ: batch against 2"),
        (lambda x: ops.scan(lambda c, v: (c, v), x[0], x[0, 0]), ShapeError,
         "scan: a scalar in xs has no slices"),
        (lambda x: ops.scan(lambda c, v: (c, v), x), ShapeError,
         "scan: without xs it needs a length"),
    ],
)  # fmt: skip
def test_what_does_not_go_together(call: Callable[[Any], Any], kind: Any, message: str) -> None:
    with pytest.raises(kind, match=message):
        gx.trace(nn.Lambda(call), SPEC)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda x: ops.while_loop(lambda c: c[0] < 3, lambda c: c[0] + 1, (np.int64(1),)),
         ShapeError, "while_loop: the body returns another structure"),
        (lambda x: ops.while_loop(lambda c: c < 3, lambda c: c * 0.5, np.int64(1)), DTypeError,
         r"while_loop: value 0 that is carried is int64\[\] at first, and the body makes "),
        (lambda x: ops.scan(lambda c, v: (ops.concat([c, c]), v), x[0], x), ShapeError,
         r"scan: value 0 that is carried is \[3\] at first"),
        (lambda x: ops.scan(lambda c, v: (c, v), x[0], (x, x[:2])), ShapeError,
         "scan: the lengths differ: 4 against 2"),
    ],
)  # fmt: skip
def test_eager_calls_refuse_the_same(call: Callable[[Any], Any], kind: Any, message: str) -> None:
    with pytest.raises(kind, match=message):
        call(X)


# -- while_loop -----------------------------------------------------------------------------------


def test_a_loop_over_a_nest_with_what_it_takes_from_outside(tmp_path: Path) -> None:
    class Power(Layer):
        def __init__(self) -> None:
            self.dense = nn.Dense(3)

        def call(self, x: Any) -> Any:
            def going(state: Any) -> Any:
                return ops.logical_and(state["n"] < 5, ops.max(ops.abs(state["x"])) < 20)

            def step(state: Any) -> Any:
                return {"n": state["n"] + 1, "x": self.dense(state["x"]) + y}

            y = ops.exp(x)
            return ops.while_loop(going, step, {"n": 0, "x": x})

    program = agree(Power(), X, path=tmp_path)
    assert {n.name for n in program.graph.weights} == {"power/dense/kernel", "power/dense/bias"}


def test_sizes_that_change_are_unknown(tmp_path: Path) -> None:
    def doubled(x: Any) -> Any:
        n, y = ops.while_loop(
            lambda c: c[0] < 3, lambda c: (c[0] + 1, ops.concat([c[1], c[1] / c[1].shape[0]])),
            (0, x),
        )  # fmt: skip
        return y / y.shape[0], n

    agree(doubled, X, path=tmp_path)


def test_a_loop_that_runs_never_or_once() -> None:
    for n in (0, 1, 2):
        agree(lambda n, x: ops.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, -c[1]), (0, x)),
              np.array(n), X)  # fmt: skip


def test_loops_in_loops_and_branches(tmp_path: Path) -> None:
    def nested(x: Any) -> Any:
        def inner(total: Any, row: Any) -> Any:
            grown, _ = ops.while_loop(
                lambda c: c[1] < 2, lambda c: (c[0] + ops.sum(row) * x[0], c[1] + 1), (total, 0)
            )
            return ops.cond(ops.sum(row) > 0, lambda: grown, lambda: total - row), grown

        return ops.scan(inner, x[0] * 0, x)

    program = agree(nested, X, path=tmp_path)
    [scan] = [node for node in program.graph.nodes if node.name == "Scan"]
    inside = {node.name for node in bodies_of(scan)["body"].graph.nodes}
    assert {"If", "Loop"} <= inside
    source = program.source  # with that of the bodies, those in bodies too
    assert re.search(r"k_Scan\(.*, body=(body\d+),", source)
    assert len(re.findall(r"^# body\d+\ndef run\(", source, re.MULTILINE)) == 4


# -- scan -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_over_nests(reverse: bool, tmp_path: Path) -> None:
    def pairs(x: Any, y: Any) -> Any:
        def step(carry: Any, item: Any) -> Any:
            total, count = carry
            return (total + item.total * item.rows, count + 1), {"a": total, "b": (count, 2.0)}

        return ops.scan(step, (x[0] * 0, 0), Pair(x, y), reverse=reverse)

    agree(pairs, X, X + 1, path=tmp_path)


def test_scan_without_slices_or_elements() -> None:
    agree(lambda x: ops.scan(lambda c, _: (c * np.float32(2), c), x, length=3), X)
    agree(lambda x: ops.scan(lambda c, row: (c + row, None), x[0], x), X)
    agree(lambda x: ops.scan(lambda c, row: (c, (row, ops.sum(row))), (), x), X)


def test_scan_over_nothing() -> None:
    agree(lambda x: ops.scan(lambda c, row: (c + row, (row[:2], x)), np.zeros(3, np.float32), x),
          X[:0])  # fmt: skip


# -- context, randomness, state -------------------------------------------------------------------


class Noisy(Layer):
    """Draws random numbers under one mode and reads a number."""

    def call(
        self, x: Any, training: bool = False, mode: Context[Literal["a", "b"]] = "a",
        scale: Context[float] = 0.5,
    ) -> Any:  # fmt: skip
        y = x * scale if mode == "a" else x
        return y + ops.random_normal(x.shape) if training else y


class Controlled(Layer):
    """All three, around layers that read context."""

    def __init__(self) -> None:
        self.noisy = Noisy()

    def call(self, x: Any) -> Any:
        a = ops.cond(ops.sum(x) > 0, lambda: self.noisy(x), lambda: x)
        _, b = ops.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, self.noisy(c[1])), (0, a))
        return ops.scan(lambda c, row: (self.noisy(c), self.noisy(row)), b[0], b)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("mode", ["a", "b"])
def test_context_in_bodies(training: bool, mode: str, tmp_path: Path) -> None:
    agree(Controlled(), X, path=tmp_path, training=training, mode=mode, scale=0.75)


def test_bodies_are_free_of_context() -> None:
    class M(Layer):
        def __init__(self) -> None:
            self.noisy = Noisy()

        def call(self, x: Any) -> Any:
            return ops.while_loop(lambda c: ops.max(c) < 3, self.noisy, x)

    graph = gx.specialize(gx.trace(M(), SPEC), training=False)
    assert re.sub(" +# .*", "", str(graph)) == (
        "graph m (x: float32[batch, 3])  contexts (mode: a|b = a, scale: float = 0.5)\n"
        "  %1 = ReduceMax(x, keepdims=0)\n"
        "  %2 = Less(%1, 3)\n"
        "  %3 = Cast($scale, to=float32)\n"
        "  %4 = Loop(none, %2, x, carried=1)\n"
        "    body(%%in_0: int64[], %%in_1: bool[], %%in_2: float32[batch, 3]):\n"
        "      %%1 = Mul(%%in_2, %3)\n"
        "      %%2 = ReduceMax(%%1, keepdims=0)\n"
        "      %%3 = Less(%%2, 3)\n"
        "      return %%3, %%1\n"
        "  %5 = Loop(none, %2, x, carried=1)\n"
        "    body(%%in_0: int64[], %%in_1: bool[], %%in_2: float32[batch, 3]):\n"
        "      %%1 = ReduceMax(%%in_2, keepdims=0)\n"
        "      %%2 = Less(%%1, 3)\n"
        "      return %%2, %%in_2\n"
        "  %6 = select mode {a: %4, b: %5}\n"
        "  return %6"
    )


def test_each_iteration_draws_numbers_of_its_own(tmp_path: Path) -> None:
    def step(c: Any, _: Any) -> Any:
        rows = ops.scan(lambda d, _: (d, ops.random_uniform((2,))), 0, length=3)[1]
        return c, (ops.random_uniform((2,)), rows)

    program = agree(lambda x: (ops.scan(step, 0, length=4)[1], x), X, path=tmp_path)
    (outer, inner), _ = program(X, seed=3)
    numbers = np.concatenate([outer.reshape(-1), inner.reshape(-1)])
    assert len(np.unique(numbers)) == len(numbers) == 4 * 2 + 4 * 3 * 2
    assert not np.isin(program(X, seed=4)[0][0], numbers).any()


def test_variables_are_not_assigned_in_bodies() -> None:
    class Counts(Layer):
        def __init__(self) -> None:
            self.v = gx.Variable(np.float32(0))

        def call(self, x: Any) -> Any:
            def body(c: Any) -> Any:
                self.v.assign(self.v + 1)
                return c * np.float32(2)

            return ops.while_loop(lambda c: ops.max(c) < 9, body, x)

    message = (
        r"counts: a function given to ops\.cond, .* assigns to a variable; return the new value"
    )
    with pytest.raises(TraceError, match=message):
        gx.trace(Counts(), SPEC)


def test_what_was_assigned_before_is_seen_in_bodies() -> None:
    class Counts(Layer):
        def __init__(self) -> None:
            self.v = gx.Variable(np.float32(1), trainable=False)

        def call(self, x: Any) -> Any:
            self.v.assign(self.v + 1)
            y = ops.while_loop(lambda c: ops.max(c) < 9, lambda c: c * self.v, ops.abs(x))
            self.v.assign(ops.max(y))
            return y

    program = gx.compile(gx.trace(Counts(), SPEC))
    outputs, state = program.step(X)
    model = Counts()
    np.testing.assert_array_equal(outputs, model(X))
    np.testing.assert_array_equal(state["counts/v"], model.v.numpy())


def test_sizes_of_tensors_in_bodies(tmp_path: Path) -> None:
    def rows(x: Any) -> Any:
        return ops.while_loop(
            lambda c: c[0] < x.shape[0],
            lambda c: (c[0] + 1, c[1] + ops.take(x, c[0], axis=0) * c[1].shape[0], c[2] * 2),
            (0, x[0] * 0, x.shape[0]),
        )

    agree(rows, X, path=tmp_path)


def test_a_tensor_that_a_body_leaves_behind_is_refused() -> None:
    def leaks(x: Any) -> Any:
        kept: list[Any] = []
        y = ops.cond(ops.sum(x) > 0, lambda: (kept.append(x * 2), x)[1], lambda: x)
        return y + kept[0]

    message = (
        r"lambda: a tensor float32\[batch, 3\] that a function given to .* left behind is used at"
    )
    with pytest.raises(TraceError, match=message):
        gx.trace(nn.Lambda(leaks), SPEC)


def test_control_flow_over_a_functional_models_tensors_goes_into_a_layer() -> None:
    x = gx.Input((3,))
    with pytest.raises(LayerError, match=r"belong into a layer's call: nn.Lambda\(lambda x: "):
        ops.cond(ops.sum(x) > 0, lambda: x, lambda: -x)
    model = gx.Model(x, nn.Lambda(lambda x: ops.cond(ops.sum(x) > 0, lambda: x, lambda: -x))(x))
    agree(model, X)


def test_an_error_in_a_body_says_where() -> None:
    class Gathers(Layer):
        def call(self, x: Any) -> Any:
            return ops.scan(lambda i, row: (i + 1, ops.take(row, i * 2, axis=0)), 0, x)

    program = gx.compile(gx.trace(Gathers(), SPEC))
    with pytest.raises(InputError, match=r"gathers.*: Gather refuses these inputs: .*test_control"):
        program(X)


def test_a_branch_runs_lazily_where_a_select_does() -> None:
    graph = gx.trace(Controlled(), SPEC)
    program = gx.compile(graph, runtime=["training", "mode", "scale"])
    for training in (False, True):
        for mode in ("a", "b"):
            given = {"training": training, "mode": mode, "scale": 0.25}
            with gx.seed(2):
                expected = Controlled()(X, **given)
            for a, b in zip(leaves(program(X, seed=2, **given)), leaves(expected), strict=True):
                assert a.tobytes() == b.tobytes()
    assert re.search(r"\n    +v\d+(, v\d+)* = k_(If|Loop|Scan)\(", program.source)
