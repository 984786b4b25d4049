"""The pipeline on random graphs: same bits, no growth, nothing left to do."""

import math
import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from graphctx.layer import Variable
from graphctx.passes import check, optimize, prune
from graphctx.passes.fold import SMALL
from graphctx.spec import Dim
from tests.passes.graphs import (
    assert_same_bits,
    feeds_for,
    graph_of,
    lines,
    passed,
    run,
    stored_bytes,
)

EXACT = 2.0**20
"""Sums of integers up to here are exact in float32, in whatever order they are added."""


class Draw:
    """Draws a graph: a pool of tensors, to which every step adds one more.

    NumPy adds in the order of the memory layout, which passes may change. So each tensor has a
    bound: it holds integers up to that, or (infinity) anything; only the former are summed.
    """

    def __init__(self, rng: random.Random, g, *inputs):
        self.rng, self.g = rng, g
        self.numbers = np.random.default_rng(rng.randrange(2**32))
        self.pool = [(inputs[0], 3.0), (inputs[1], math.inf)]
        self.weights = [(Variable(self.integers(4, 4)), f"shared_{i}/kernel") for i in range(2)]
        self.count = 0

    def integers(self, *shape):
        return self.numbers.integers(-2, 3, shape).astype(np.float32)

    def steps(self, count):
        for _ in range(count):
            step = self.rng.choice(STEPS)
            with self.g.at(self.rng.choice(["", "a", "a/b", "c"]) or "m"):
                made = step(self, *self.rng.choice(self.pool[-6:]))
            if made is not None and made[0].value.rank <= 4:
                self.pool.append(made)
        results = [self.pool[-1][0], *(x for x, _ in self.rng.sample(self.pool, 2))]
        return tuple(results)

    def weight(self, *shape):
        if shape == (4, 4) and self.rng.random() < 0.5:
            variable, path = self.rng.choice(self.weights)
            return self.g.weight(path, variable)
        self.count += 1
        return self.g.weight(f"w{self.count}", self.integers(*shape))

    def known(self, *shape):
        """A constant, a weight, or a computation of them."""
        kind = self.rng.randrange(5)
        if kind == 0:
            return np.full(shape, self.rng.choice([0.0, -0.0, 1.0, 2.0]), np.float32)
        if kind == 1:
            return self.g.op("Neg", self.weight(*shape))
        if kind == 2:
            return self.g.op("Expand", np.float32(1), np.array(shape, np.int64))
        return self.weight(*shape) if kind == 3 else self.integers(*shape)

    # -- steps: (tensor, bound) -> (tensor, bound) or None ----------------------------------------

    def unary(self, x, bound):
        name = self.rng.choice(["Neg", "Relu", "Abs", "Identity", "Floor"])
        return self.g.op(name, x), bound

    def inexact(self, x, bound):
        return self.g.op(self.rng.choice(["Sigmoid", "Tanh", "Sqrt"]), x), math.inf

    def clip(self, x, bound):
        return self.g.op("Clip", x, np.float32(-2), np.float32(5)), bound

    def with_known(self, x, bound):
        last = x.shape[-1] if x.shape and isinstance(x.shape[-1], int) else 1
        shape = self.rng.choice([(), (last,), (1, last)[-max(x.ndim, 1) :]]) if x.ndim else ()
        name = self.rng.choice(["Add", "Sub", "Mul", "Max", "Min"])
        operands = [x, self.known(*shape)]
        if self.rng.random() < 0.3:
            operands.reverse()
        return self.g.op(name, *operands), bound * 2 + 2

    def by_one(self, x, bound):
        return self.g.op(self.rng.choice(["Div", "Pow", "Mul"]), x, np.float32(1)), bound

    def with_other(self, x, bound):
        same = [(y, b) for y, b in self.pool if str(y.shape) == str(x.shape)]
        y, other = self.rng.choice(same)
        if x.ndim and self.rng.random() < 0.5:
            return self.g.op("Concat", x, y, axis=-1), max(bound, other)
        name = self.rng.choice(["Add", "Max", "Sub"])
        return self.g.op(name, x, y), bound + other

    def select(self, x, bound):
        same = [(y, b) for y, b in self.pool if str(y.shape) == str(x.shape)]
        y, other = self.rng.choice(same)
        return self.g.select("training", {False: x, True: y}), max(bound, other)

    def where(self, x, bound):
        same = [(y, b) for y, b in self.pool if str(y.shape) == str(x.shape)]
        y, other = self.rng.choice(same)
        condition = self.rng.choice([np.array(True), np.array([False]), None])
        if condition is None:
            condition = self.g.op("Less", x, y)
        return self.g.op("Where", condition, x, y), max(bound, other)

    def transpose(self, x, bound):
        perm = list(range(x.ndim))
        self.rng.shuffle(perm)
        return self.g.op("Transpose", x, perm=tuple(perm)), bound

    def reshape(self, x, bound):
        static = [d for d in x.shape if isinstance(d, int)]
        size = math.prod(static)
        symbolic = [d for d in x.shape if isinstance(d, Dim)]
        if len(symbolic) > 1 or size == 0:
            return None
        part = self.rng.choice([d for d in range(1, size + 1) if size % d == 0])
        kind = self.rng.randrange(5)
        if kind == 0 and x.ndim:
            return self.g.op("Flatten", x, axis=self.rng.randrange(x.ndim + 1)), bound
        if kind == 1:
            axis = self.rng.randrange(x.ndim + 1)
            return self.g.op("Unsqueeze", x, np.array([axis])), bound
        ones = [i for i, d in enumerate(x.shape) if isinstance(d, int) and d == 1]
        if kind == 2 and ones:
            return self.g.op("Squeeze", x, np.array([self.rng.choice(ones)])), bound
        if kind == 3 and symbolic and x.shape[0] is symbolic[0]:
            return self.g.op("Reshape", x, np.array([0, part, size // part])), bound
        target = [-1 if symbolic else size // part, part]
        if symbolic and self.rng.random() < 0.5:
            batch = self.g.op("Shape", self.g_input, start=0, end=1)
            if str(symbolic[0]) == str(self.g_input.shape[0]):
                shape = self.g.op("Concat", batch, np.array([size]), axis=0)
                return self.g.op("Reshape", x, shape), bound
        return self.g.op("Reshape", x, np.array(target)), bound

    def nothing(self, x, bound):
        kind = self.rng.randrange(4) if x.ndim else 3
        zeros = np.zeros(x.ndim, np.int64)
        if kind == 0:
            return self.g.op("Slice", x, zeros, zeros + 2**40), bound
        if kind == 1:
            return self.g.op("Pad", x, np.concatenate([zeros, zeros])), bound
        if kind == 2:
            return self.g.op("Concat", x, axis=0), bound
        return self.g.op("Expand", x, zeros + 1), bound

    def cast(self, x, bound):
        if bound > EXACT:
            return None
        inner = self.rng.choice(["int32", "int64", "float64"])
        y = self.g.op("Cast", x, to=np.dtype(inner))
        if self.rng.random() < 0.5:
            y = self.g.op("Cast", y, to=np.dtype("int64"))
        return self.g.op("Cast", y, to=np.dtype("float32")), bound

    def reduce(self, x, bound):
        if not x.ndim:
            return None
        axis = self.rng.randrange(x.ndim)
        keep = self.rng.randrange(2)
        if bound * 64 > EXACT or self.rng.random() < 0.3:
            return self.g.op("ReduceMax", x, np.array([axis]), keepdims=keep), bound
        return self.g.op("ReduceSum", x, np.array([axis]), keepdims=keep), bound * 64

    def matmul(self, x, bound):
        if x.ndim < 2 or not isinstance(x.shape[-1], int) or bound * 200 > EXACT:
            return None
        kernel = self.weight(x.shape[-1], 4)
        if x.shape[-1] == 4 and self.rng.random() < 0.5:
            kernel = self.g.op("Transpose", kernel)
        y = self.g.op("MatMul", x, kernel)
        if self.rng.random() < 0.5:
            y = self.g.op("Add", y, self.weight(4))
        return y, bound * x.shape[-1] * 2 + 2

    def dropout(self, x, bound):
        self.count += 1
        rate = np.float32(self.rng.choice([0.0, 0.5]))
        return self.g.op("dropout", x, rate, self.g.seed(), key=self.count), bound * 2

    def random(self, x, bound):
        self.count += 1
        key = self.rng.choice([7, self.count])
        noise = self.g.op("random_uniform", np.array([4]), self.g.seed(), key=key)
        return noise, math.inf


STEPS = [
    Draw.unary, Draw.inexact, Draw.clip, Draw.with_known, Draw.with_known, Draw.by_one,
    Draw.with_other, Draw.select, Draw.where, Draw.transpose, Draw.transpose, Draw.reshape,
    Draw.reshape, Draw.nothing, Draw.cast, Draw.reduce, Draw.matmul, Draw.matmul, Draw.dropout,
    Draw.random,
]  # fmt: skip


def drawn(rng, count):
    def function(g, *inputs):
        draw = Draw(rng, g, *inputs)
        draw.g_input = inputs[0]
        return draw.steps(count)

    return graph_of(function, ("batch", 4), ("batch", 4))


def operators(graph):
    return sum(node.kind == "op" for node in graph.nodes)


@settings(max_examples=150)
@given(st.randoms(use_true_random=False), st.integers(1, 30))
def test_random_graphs(rng, count):
    graph = drawn(rng, count)
    check(graph)
    after = check(optimize(graph))
    again = check(optimize(after))
    assert str(again) == str(after)
    for batch in (1, 3):
        feeds = feeds_for(graph, batch=batch)
        feeds["x"] = np.random.default_rng(batch).integers(-3, 4, (batch, 4)).astype(np.float32)
        for training in (False, True):
            options = {"seed": 5, "context": {"training": training}}
            assert_same_bits(run(graph, feeds, **options), run(after, feeds, **options))
    ops = operators(graph)
    assert stored_bytes(after) <= stored_bytes(prune(graph)) + ops * SMALL
    assert operators(after) <= ops
    variables = [id(node.data) for node in after.weights]
    assert len(set(variables)) == len(variables)


@settings(max_examples=40)
@given(st.randoms(use_true_random=False), st.integers(0, 3), st.booleans(), st.booleans())
def test_random_stacks_with_batch_normalization(rng, depth, channels_last, training):
    numbers = np.random.default_rng(rng.randrange(2**32))

    def normal(*shape):
        return numbers.standard_normal(shape).astype(np.float32)

    def to(perm, g, x):
        return g.op("Transpose", x, perm=perm) if channels_last else x

    def function(g, x):
        shared = g.weight("shared/kernel", normal(3, 3, 1, 1))
        for i in range(depth + 1):
            first, last = (0, 3, 1, 2), (0, 2, 3, 1)
            kernel = shared if rng.random() < 0.3 else g.weight(f"{i}/kernel", normal(3, 3, 1, 1))
            x = to(last, g, g.op("Conv", to(first, g, x), kernel))
            bias = g.weight(f"{i}/bias", normal(3) if channels_last else normal(3, 1, 1))
            x = g.op("Add", x, bias) if rng.random() < 0.5 else x
            parameters = [normal(3), normal(3), normal(3), np.abs(normal(3)) + np.float32(0.1)]
            weights = [g.weight(f"{i}/bn/{j}", w) for j, w in enumerate(parameters)]
            y = to(last, g, g.op("BatchNormalization", to(first, g, x), *weights))
            if training:
                y = g.select("training", {False: y, True: g.op("Neg", x)})
            x = g.op(rng.choice(["Relu", "Tanh"]), y)
        return x

    shape = ("batch", 4, 5, 3) if channels_last else ("batch", 3, 4, 5)
    graph = graph_of(function, shape)
    after = check(optimize(graph))
    assert str(check(optimize(after))) == str(after)
    feeds = {"x": normal(2, *shape[1:])}
    for mode in (False, True):
        options = {"context": {"training": mode}}
        for a, b in zip(run(graph, feeds, **options), run(after, feeds, **options), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    if channels_last:
        assert str(after).count("Transpose") <= str(graph).count("Transpose")


# -- the order of the passes ----------------------------------------------------------------------


def test_each_pass_makes_work_for_the_next():
    def function(g, x):
        one = g.op("Exp", g.op("Sub", np.float32(2), np.float32(2)))  # folded, then an identity
        with g.at("a"):
            a = g.op("Mul", g.op("Transpose", g.op("Transpose", x)), one)
        with g.at("b"):
            b = g.op("Reshape", g.op("Flatten", x), g.op("Shape", x))
        return g.op("Max", g.op("Neg", a), g.op("Neg", b))

    graph = graph_of(function, ("batch", 4))
    assert str(graph) == (
        "graph g (x: float32[batch, 4])\n"
        "  %1 = Sub(2, 2)\n"
        "  %2 = Exp(%1)\n"
        "  %3 = Transpose(x)     # a\n"
        "  %4 = Transpose(%3)    # a\n"
        "  %5 = Mul(%4, %2)      # a\n"
        "  %6 = Flatten(x)       # b\n"
        "  %7 = Shape(x)         # b\n"
        "  %8 = Reshape(%6, %7)  # b\n"
        "  %9 = Neg(%5)\n"
        "  %10 = Neg(%8)\n"
        "  %11 = Max(%9, %10)\n"
        "  return %11"
    )
    assert lines(passed(graph, optimize)) == ["%1 = Neg(x)", "return %1"]


def test_an_optimized_graph_is_left_as_it_is():
    graph = passed(graph_of(lambda g, x: g.op("Exp", g.op("Neg", x)), ("batch", 4)), optimize)
    again = optimize(graph)
    assert all(a is b for a, b in zip(graph.nodes, again.nodes, strict=True))


def test_inputs_that_nothing_takes_stay_in_the_signature():
    graph = graph_of(lambda g, x, y: g.op("Identity", x), ("batch", 4), ())
    after = passed(graph, optimize)
    assert str(after) == "graph g (x: float32[batch, 4], y: float32[])\n  return x"


def test_outcomes_that_differ_are_optimized_too():
    from graphctx.graph import Branch, Raises

    graph = graph_of(lambda g, x: g.select("training", {False: x, True: g.op("Neg", x)}), (3, 4))
    [selector] = [node.output for node in graph.nodes if node.kind == "context"]
    negated = next(node.output for node in graph.nodes if node.name == "Neg")
    outcome = graph.outcome.__class__(graph.outcome.structure, (negated,))
    branch = Branch(selector, ((False, outcome), (True, Raises(ValueError("no"), ""))))
    after = check(optimize(graph.replace(outcome=branch)))
    assert lines(after) == [
        "%1 = Neg(x)", "select training", "False:", "return %1", "True:", "raise ValueError: no",
    ]  # fmt: skip
