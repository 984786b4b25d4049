"""Tracing: every path, merged; what moves outwards; what is refused, and how."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import networkx as nx
import numpy as np
import pytest

import graphctx as gx
from graphctx import Context, Layer, TraceError, nn, ops
from graphctx.graph import Branch, Raises

SPEC = gx.TensorSpec(("batch", 3))
X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)


class Block(Layer):
    def __init__(self, child: Layer) -> None:
        self.child = child

    def call(self, x: Any) -> Any:
        return self.child(x)


def text(model: Layer, *specs: Any, **options: Any) -> str:
    return str(gx.trace(model, *(specs or (SPEC,)), **options))


# -- merging --------------------------------------------------------------------------------------


def test_the_example_of_the_readme() -> None:
    class ConfigurableDropout(Layer):
        def __init__(self, rate: float = 0.2) -> None:
            self.rate = rate

        def call(
            self, x: Any, *, training: Context[bool] = False,
            intensity: Context[Literal["off", "normal", "aggressive"]] = "normal",
        ) -> Any:  # fmt: skip
            if not training or intensity == "off":
                return x
            rate = {"normal": self.rate, "aggressive": min(0.9, 2 * self.rate)}[intensity]
            return ops.dropout(x, rate)

    class Block(Layer):
        def __init__(self, units: int) -> None:
            self.dense = nn.Dense(units, activation="relu")
            self.drop = ConfigurableDropout()

        def call(self, x: Any) -> Any:
            return self.drop(self.dense(x))

    assert text(Block(64), gx.TensorSpec(("batch", 64))) == (
        "graph block (x: float32[batch, 64], seed: seed)  contexts (training: bool = False, "
        "intensity: off|normal|aggressive = normal)\n"
        "  %1 = Gemm(x, @block/dense/kernel, @block/dense/bias)         # block/dense\n"
        "  %2 = Relu(%1)                                                # block/dense\n"
        "  %3 = dropout(%2, 0.2, seed, key=5757364752713963463)         # block/drop\n"
        "  %4 = dropout(%2, 0.4, seed, key=5757364752713963463)         # block/drop\n"
        "  %5 = select intensity {off: %2, normal: %3, aggressive: %4}  # block/drop\n"
        "  %6 = select training {False: %2, True: %5}                   # block/drop\n"
        "  return %6"
    )


def test_call_runs_once_a_path_and_not_again_below() -> None:
    runs: list[str] = []

    class Leaf(Layer):
        def call(self, x: Any, *, training: Context[bool] = False,
                 mode: Context[Literal["a", "b", "c"]] = "a") -> Any:  # fmt: skip
            runs.append("leaf")
            return x * {"a": 1, "b": 2, "c": 3}[mode] + training

    class Top(Layer):
        def __init__(self) -> None:
            self.leaves = [Leaf() for _ in range(10)]

        def call(self, x: Any, training: bool = False) -> Any:
            runs.append("top")
            for leaf in self.leaves:
                x = leaf(x)
            return x

    gx.trace(Top(), SPEC)
    # `training` is decided at the top: each leaf runs for its three modes in either case.
    assert runs.count("top") == 2
    assert runs.count("leaf") == 2 * 10 * 3


def test_python_control_flow_over_finite_values() -> None:
    class Flow(Layer):
        def call(self, x: Any, n: Context[Literal[1, 2, 4]] = 1, how: Context[str] = "f") -> Any:
            for i in range(n):
                x = x + i
            match n:
                case 2:
                    x = x * 2
            return {f"out_{n}": x}

    graph = gx.trace(Flow(), SPEC)
    for n in (1, 2, 4):
        expected = Flow()(X, n=n)
        found = gx.compile(graph, n=n)(X)
        assert list(found) == [f"out_{n}"] == list(expected)
        np.testing.assert_array_equal(found[f"out_{n}"], expected[f"out_{n}"])
    assert isinstance(graph.outcome, Branch)


def test_equal_results_are_no_select() -> None:
    class Same(Layer):
        def call(self, x: Any, training: bool = False) -> Any:
            if training:
                return ops.relu(x)
            y = ops.relu(x)
            return y

    assert "select" not in text(Same())


# -- decisions that move outwards -----------------------------------------------------------------


class Shapes(Layer):
    """Returns another structure, rank or dtype."""

    def __init__(self, what: str) -> None:
        self.what = what

    def call(self, x: Any, deep: Context[bool] = False) -> Any:
        if not deep:
            return x
        return {
            "structure": lambda: (x, x),
            "dict": lambda: {"y": x},
            "rank": lambda: ops.sum(x, axis=-1),
            "dtype": lambda: ops.astype(x, "float64"),
            "shape": lambda: x[:, :2],
            "static": lambda: 3,
            "none": lambda: None,
        }[self.what]()


@pytest.mark.parametrize("what", ["structure", "dict", "rank", "dtype", "shape", "static", "none"])
def test_what_cannot_be_merged_is_decided_further_out(what: str) -> None:
    class Describe(Layer):
        """Uses the result in a way that gives the same structure again."""

        def __init__(self) -> None:
            self.inner = Block(Shapes(what))

        def call(self, x: Any) -> Any:
            y = self.inner(x)
            return x + 1 if y is not None and getattr(y, "shape", 0) == x.shape else x * 2

    model = Describe()
    graph = gx.trace(model, SPEC)
    for deep in (False, True):
        np.testing.assert_array_equal(gx.compile(graph, deep=deep)(X), model(X, deep=deep))
    root = Block(Shapes(what))
    graph = gx.trace(root, SPEC)
    assert isinstance(graph.outcome, Branch)
    for deep in (False, True):
        found, expected = gx.compile(graph, deep=deep)(X), root(X, deep=deep)
        assert type(found) is type(expected)
        np.testing.assert_equal(found, expected)


def test_only_the_decision_that_differs_moves() -> None:
    class Two(Layer):
        def call(self, x: Any, training: bool = False, pair: Context[bool] = False) -> Any:
            y = x + 1 if training else x
            return (y, y) if pair else y

    graph = gx.trace(Block(Two()), SPEC)
    assert isinstance(graph.outcome, Branch)
    assert graph.outcome.selector.node.name == "pair"
    assert str(graph).count("select training") == 1


def test_what_the_model_raises_it_raises_under_that_context_only() -> None:
    class Picky(Layer):
        def call(self, x: Any, mode: Context[Literal["a", "b"]] = "a") -> Any:
            if mode == "b":
                raise NotImplementedError("no b here")
            return x

    graph = gx.trace(Block(Picky()), SPEC)
    assert isinstance(graph.outcome, Branch)
    assert isinstance(graph.outcome.cases[1][1], Raises)
    np.testing.assert_array_equal(gx.compile(graph)(X), X)
    with pytest.raises(NotImplementedError, match="no b here"):
        gx.compile(graph, mode="b")
    assert "raise NotImplementedError: no b here" in str(graph)


def test_an_exception_may_be_caught_by_the_caller() -> None:
    class Picky(Layer):
        def call(self, x: Any, mode: Context[Literal["a", "b"]] = "a") -> Any:
            if mode == "b":
                raise KeyError("b")
            return x

    class Catches(Layer):
        def __init__(self) -> None:
            self.inner = Picky()

        def call(self, x: Any) -> Any:
            try:
                return self.inner(x)
            except KeyError:
                return x * 2

    model = Catches()
    graph = gx.trace(model, SPEC)
    for mode in ("a", "b"):
        np.testing.assert_array_equal(gx.compile(graph, mode=mode)(X), model(X, mode=mode))


# -- numeric and opaque arguments -----------------------------------------------------------------


class Noisy(Layer):
    def call(self, x: Any, noise_scale: Context[float] = 0.5) -> Any:
        return x + noise_scale * np.float32(2)


def test_numeric_arguments_are_edges() -> None:
    graph = gx.trace(Block(Noisy()), SPEC)
    assert str(graph) == (
        "graph block (x: float32[batch, 3])  contexts (noise_scale: float = 0.5)\n"
        "  %1 = Cast($noise_scale, to=float32)  # block/child\n"
        "  %2 = Mul(%1, 2)                      # block/child\n"
        "  %3 = Add(x, %2)                      # block/child\n"
        "  return %3"
    )
    below = nx.descendants(graph.nx, "context:noise_scale")
    assert below == {"%1", "%2", "%3", "call:block/child"}


def test_predicates_on_numbers_are_explored() -> None:
    class Predicate(Layer):
        def call(self, x: Any, scale: Context[float] = 0.0) -> Any:
            if scale > 0 and scale < 10:
                return x * scale
            return x if scale else x + 1

    model = Block(Predicate())
    graph = gx.trace(model, SPEC)
    for scale in (-1.0, 0.0, 0.5, 20.0):
        expected = model(X, scale=scale)
        np.testing.assert_array_equal(gx.compile(graph, scale=scale)(X), expected)
        open_program = gx.compile(graph, runtime=["scale"])
        np.testing.assert_array_equal(open_program(X, scale=scale), expected)


@pytest.mark.parametrize("use", ["range", "axis", "index", "int", "round", "math", "key", "format"])
def test_a_number_whose_python_value_is_asked_for(use: str) -> None:
    class Asks(Layer):
        def call(self, x: Any, n: Context[int] = 1) -> Any:
            import math

            if use == "range":
                for _ in range(n):
                    x = x + 1
                return x
            if use == "axis":
                return ops.sum(x, axis=n, keepdims=True)
            if use == "index":
                return x + [10, 20, 30][n]
            if use == "int":
                return x + int(n) * 2
            if use == "key":
                return x + {0: 5, 1: 6}[n]
            if use == "format":
                return x + {"n=0": 5, "n=1": 6}[f"n={n}"]
            if use == "round":
                return x + round(n)
            return x + math.sqrt(n)

    model = Block(Asks())
    graph = gx.trace(model, SPEC, domains={"n": [0, 1]})
    assert graph.contexts["n"].cases == (1, 0)
    for n in (0, 1):
        np.testing.assert_array_equal(gx.compile(graph, n=n)(X), model(X, n=n))
    message = (
        r"'n' is asked for its Python value at tests/test_trace.py:\d+, so it was traced for 1, 0 "
        r"only, not for 7; name the values you need: trace\(..., domains={'n': \[1, 0, 7\]}\)"
    )
    with pytest.raises(gx.ContextError, match=message):
        gx.compile(graph, n=7)


def test_opaque_arguments() -> None:
    class Config:
        def __init__(self, factor: int) -> None:
            self.factor = factor

    small, large = Config(2), Config(100)

    class Reads(Layer):
        def call(self, x: Any, config: Context[Config] = small) -> Any:
            return x * config.factor

    graph = gx.trace(Block(Reads()), SPEC)
    np.testing.assert_array_equal(gx.compile(graph)(X), X * 2)
    with pytest.raises(
        gx.ContextError, match=r"'config' is opaque, so it was traced for .* only, not for"
    ):
        gx.compile(graph, config=large)
    graph = gx.trace(Block(Reads()), SPEC, domains={"config": [large]})
    np.testing.assert_array_equal(gx.compile(graph, config=large)(X), X * 100)

    class Needs(Layer):
        def call(self, x: Any, *, config: Context[Config]) -> Any:
            return x * config.factor

    message = r"block/child: context argument 'config' is opaque .* name its values with trace"
    with pytest.raises(gx.ContextError, match=message):
        gx.trace(Block(Needs()), SPEC)
    gx.trace(Block(Needs()), SPEC, domains={"config": [small]})


def test_domains_that_nobody_reads_or_that_are_finite() -> None:
    with pytest.raises(gx.ContextError, match="domains names 'noise', which no layer reads; did"):
        gx.trace(Noisy(), SPEC, domains={"noise": [1]})
    with pytest.raises(gx.ContextError, match="'training' already has the finite domain bool"):
        gx.trace(nn.Dropout(0.5), SPEC, domains={"training": [True]})


def test_different_defaults_of_a_number() -> None:
    class Other(Layer):
        def call(self, x: Any, noise_scale: Context[float] = 3.0) -> Any:
            return x * noise_scale

    class Both(Layer):
        def __init__(self) -> None:
            self.a, self.b = Noisy(), Other()

        def call(self, x: Any) -> Any:
            return self.b(self.a(x))

    model = Both()
    graph = gx.trace(model, SPEC)
    assert "noise_scale: float = 0.5 or 3.0" in str(graph)
    np.testing.assert_array_equal(gx.compile(graph)(X), model(X))
    np.testing.assert_array_equal(gx.compile(graph, noise_scale=2)(X), model(X, noise_scale=2))
    program = gx.compile(graph, runtime=["noise_scale"])
    np.testing.assert_array_equal(program(X), model(X))
    np.testing.assert_array_equal(program(X, noise_scale=2), model(X, noise_scale=2))


def test_a_predicate_on_a_number_that_is_not_given() -> None:
    """The predicate moves outwards, past the decision whether the number is given at all."""

    class Structure(Layer):
        def call(self, x: Any, scale: Context[float] = 1.0) -> Any:
            return (x, x) if scale > 0.5 else x * scale

    class Other(Layer):
        def call(self, x: Any, scale: Context[float] = 0.25) -> Any:
            return x * scale

    class Both(Layer):
        def __init__(self) -> None:
            self.a, self.b = Structure(), Other()

        def call(self, x: Any) -> Any:
            return self.a(x), self.b(x)

    model = Both()
    graph = gx.trace(model, SPEC)
    for given in ({}, {"scale": 2.0}, {"scale": 0.0}):
        np.testing.assert_equal(gx.compile(graph, given)(X), model(X, **given))


def test_the_value_of_a_number_that_is_not_given() -> None:
    """The Python value moves outwards, where other consumers have other defaults."""

    class Structure(Layer):
        def call(self, x: Any, n: Context[int] = 1) -> Any:
            return [x * i for i in range(n)]

    class Other(Layer):
        def call(self, x: Any, n: Context[int] = 5) -> Any:
            return x * n

    class Both(Layer):
        def __init__(self, *layers: Layer) -> None:
            self.parts = layers

        def call(self, x: Any) -> Any:
            return [part(x) for part in self.parts]

    for layers in ((Structure(), Other()), (Other(), Structure()), (Structure(), Structure())):
        model = Block(Both(*layers))
        graph = gx.trace(model, SPEC, domains={"n": [2, 3]})
        for given in ({}, {"n": 2}, {"n": 3}):
            np.testing.assert_equal(gx.compile(graph, given)(X), model(X, **given))


def test_weak_numbers_keep_the_dtype_of_tensors() -> None:
    class Weak(Layer):
        def call(self, x: Any, s: Context[float] = 0.1, n: Context[int] = 3) -> Any:
            return x * (s * 2 + 1) + n * s - (-s), x / n, n + 1, s**2

    model = Weak()
    x = X.astype(np.float16)
    expected = model(x)
    found = gx.compile(gx.trace(model, gx.TensorSpec((2, 3), "float16")))(x)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
        if isinstance(b, np.ndarray):
            assert a.dtype == b.dtype == np.float16


# -- state and randomness -------------------------------------------------------------------------


class Counter(Layer):
    def __init__(self) -> None:
        self.count = gx.Variable(np.float32(0), trainable=False)

    def call(self, x: Any, training: bool = False) -> Any:
        if training:
            self.count.assign(self.count + 1)
            self.count.assign(self.count * 2)
        return x + self.count


def test_state_is_an_output_and_the_variable_is_left_alone() -> None:
    model = Block(Counter())
    graph = gx.trace(model, SPEC)
    assert "state @block/child/count = %" in str(graph)
    assert model.child.count.numpy() == 0  # type: ignore[attr-defined]
    program = gx.compile(graph, training=True)
    assert program.state == ("block/child/count",)
    y, state = program.step(X)
    np.testing.assert_array_equal(y, X + 2)
    y, state = program.step(X, state=state)
    np.testing.assert_array_equal(y, X + 6)
    np.testing.assert_array_equal(program(X), X + 2)  # a call starts from the weights
    assert gx.compile(graph).state == ()
    with pytest.raises(
        gx.InputError, match="state names 'count'; did you mean 'block/child/count'"
    ):
        program.step(X, state={"count": 1})
    with pytest.raises(gx.InputError, match=r"state 'block/child/count' is float32\[\], got float"):
        program.step(X, state={"block/child/count": np.zeros(3)})
    model(X, training=True)
    assert model.child.count.numpy() == 2  # type: ignore[attr-defined]


def test_assigning_another_shape() -> None:
    class Bad(Layer):
        def __init__(self) -> None:
            self.v = gx.Variable(np.zeros(2, np.float32), name="v")

        def call(self, x: Any) -> Any:
            self.v.assign(x[0])
            return x

    message = r"variable 'v' has shape \[2\], assigned a value of shape \[3\] \(tests/test_trace"
    with pytest.raises(gx.LayerError, match=message):
        Bad()(X)
    with pytest.raises(gx.LayerError, match="bad: " + message):
        gx.trace(Bad(), SPEC)


def test_random_draws_have_their_own_streams_and_one_seed() -> None:
    class Draws(Layer):
        def __init__(self) -> None:
            self.drop = nn.Dropout(0.5)

        def call(self, x: Any) -> Any:
            first, second = self.drop(x), self.drop(x)
            return first, second, ops.random_uniform((2, 3)), ops.random_normal(x.shape)

    model = Draws()
    graph = gx.trace(model, SPEC)
    program = gx.compile(graph, training=True)
    x = np.ones((2, 3), np.float32)
    with gx.seed(7):
        expected = model(x, training=True)
        again = program(x)
    for a, b, c in zip(expected, program(x, seed=7), again, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
    many = np.ones((200, 3), np.float32)
    first, second, *_ = program(many, seed=1)
    other, *_ = program(many, seed=2)
    assert (first != second).any()
    assert (first != other).any()
    fresh = [program(many)[0] for _ in range(2)]
    assert (fresh[0] != fresh[1]).any()


# -- what a trace refuses -------------------------------------------------------------------------


def test_if_tensor() -> None:
    class If(Layer):
        def call(self, x: Any) -> Any:
            if ops.sum(x) > 0:
                return x
            return -x

    message = (
        r"block/child: `if tensor:` on bool\[\] at tests/test_trace.py:\d+ depends on the data, "
        r"which a trace does not have; choose per element with ops.where\(condition, a, b\), or "
        r"between computations with ops.cond"
    )
    with pytest.raises(TraceError, match=message):
        gx.trace(Block(If()), SPEC)
    np.testing.assert_array_equal(If()(X + 2), X + 2)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda x: int(x[0, 0]), r"the Python value \(int\) of a tensor float32\[\] is asked for"),
        (lambda x: np.asarray(x), "has no values to put into a NumPy array"),
        (lambda x: np.linalg.inv(x), "np.linalg.inv cannot be recorded on a symbolic tensor"),
        (lambda x: len(x), r"uses: the size batch is symbolic, so `int\(batch\)` has no answer"),
        (lambda x: x.shape[0] == 1, r"the size batch is symbolic, so `batch == 1` has no answer"),
        (lambda x: x.__setitem__(0, 1), "a symbolic tensor cannot be written to"),
    ],
)
def test_what_needs_values(use: Any, message: str) -> None:
    class Uses(Layer):
        def call(self, x: Any) -> Any:
            use(x)
            return x

    with pytest.raises(TraceError, match=message):
        gx.trace(Uses(), SPEC)


def test_a_failure_says_under_which_context() -> None:
    class Bad(Layer):
        def call(self, x: Any, training: bool = False) -> Any:
            return ops.matmul(x, x) if training else x

    message = r"block/child: MatMul\(float32\[batch, 3\], float32\[batch, 3\]\).*while tracing trai"
    with pytest.raises(gx.ShapeError, match=message):
        gx.trace(Block(Bad()), SPEC)
    # Bound to the context that works, the model can be traced.
    gx.trace(Block(Bad()), SPEC, training=False)


def test_a_tensor_that_a_forked_call_left_behind() -> None:
    class Leaves(Layer):
        def call(self, x: Any, training: bool = False) -> Any:
            self.left = x + 1 if training else x
            return x

    class Takes(Layer):
        def __init__(self) -> None:
            self.inner = Leaves()

        def call(self, x: Any) -> Any:
            self.inner(x)
            return self.inner.left * 2

    with pytest.raises(TraceError, match=r"takes: a tensor .* that another layer's call left beh"):
        gx.trace(Takes(), SPEC)
    gx.trace(Takes(), SPEC, training=True)  # one path: nothing is ambiguous


def test_tensors_of_another_trace() -> None:
    kept: list[Any] = []

    class Keeps(Layer):
        def call(self, x: Any) -> Any:
            if kept:
                return x + kept[0]
            kept.append(x)
            return x

    gx.trace(Keeps(), SPEC)
    with pytest.raises(TraceError, match=r"a symbolic tensor .* of another trace"):
        gx.trace(Keeps(), SPEC)


def test_a_call_that_is_not_deterministic() -> None:
    flips = iter([True, False, True, False, True, False])

    class Flips(Layer):
        def call(self, x: Any, a: Context[float] = 0.0, b: Context[float] = 0.0) -> Any:
            return (x if a > 0 else x + 1) if next(flips) else (x if b > 0 else x + 2)

    with pytest.raises(TraceError, match="the call is not deterministic"):
        gx.trace(Flips(), SPEC)


def test_cyclic_references() -> None:
    class Child(Layer):
        def call(self, x: Any) -> Any:
            return x

    class Parent(Layer):
        def __init__(self) -> None:
            self.child = Child()
            self.child.parent = self  # type: ignore[attr-defined]

        def call(self, x: Any) -> Any:
            return self.child(x)

    message = "parent contains itself: parent/child/parent refers back to it"
    with pytest.raises(gx.LayerError, match=message):
        gx.trace(Parent(), SPEC)
    with pytest.raises(gx.LayerError, match=message):
        _ = Parent().weights


def test_a_weight_that_cannot_be_built_yet() -> None:
    message = r"dense: .*features"
    with pytest.raises(gx.LayerError, match=message):
        gx.trace(nn.Dense(4), gx.TensorSpec(("batch", "features")))


def test_baking_a_variable_in() -> None:
    class Bakes(Layer):
        def __init__(self) -> None:
            self.w = gx.Variable(np.ones(3, np.float32))

        def call(self, x: Any) -> Any:
            return x + np.asarray(self.w)

    with pytest.raises(TraceError, match="bakes: turning variable 'weight' into a NumPy array"):
        gx.trace(Bakes(), SPEC)
    np.testing.assert_array_equal(Bakes()(X), X + 1)


def test_trace_takes_layers_and_is_not_nested() -> None:
    with pytest.raises(TraceError, match=r"trace\(\) takes a layer or model, got function"):
        gx.trace(lambda x: x, SPEC)  # type: ignore[arg-type]

    class Nested(Layer):
        def call(self, x: Any) -> Any:
            gx.trace(nn.Activation("relu"), SPEC)
            return x

    with pytest.raises(TraceError, match=r"trace\(\) is called inside a trace"):
        gx.trace(Nested(), SPEC)


# -- inputs, structures, names --------------------------------------------------------------------


def test_nests_of_inputs_and_outputs() -> None:
    class Nest(Layer):
        def call(self, pair: Any, table: Any, *, scale: Any = None) -> Any:
            a, (b, c) = pair
            return {"sum": a + b, "rest": [c * table["k"], (scale, None)], "n": 3}

    s = gx.TensorSpec((2,))
    model = Nest()
    graph = gx.trace(model, (s, [s, s]), {"k": s}, scale=s)
    assert [v.node.name for v in graph.inputs] == ["pair_0", "pair_1_0", "pair_1_1", "k", "scale"]
    v = [np.full(2, i, np.float32) for i in range(5)]
    program = gx.compile(graph)
    found = program((v[0], [v[1], v[2]]), {"k": v[3]}, scale=v[4])
    expected = model((v[0], [v[1], v[2]]), {"k": v[3]}, scale=v[4])
    np.testing.assert_equal(found, expected)
    assert list(program.outputs) == ["sum", "rest_0", "rest_1_0"]
    named = program(pair_0=v[0], pair_1_0=v[1], pair_1_1=v[2], k=v[3], scale=v[4])
    np.testing.assert_equal(named, expected)
    with pytest.raises(gx.InputError, match="input 'pair' is a tuple of 2, got list of 3"):
        program([v[0], v[1], v[2]], {"k": v[3]}, scale=v[4])
    with pytest.raises(gx.InputError, match="input 'table' is a dict with 'k', got 'z'"):
        program((v[0], [v[1], v[2]]), {"z": v[3]}, scale=v[4])


def test_static_arguments_are_passed_on() -> None:
    class Static(Layer):
        def call(self, x: Any, factor: int, names: Any = ()) -> Any:
            return dict.fromkeys(names, x * factor)

    graph = gx.trace(Static(), SPEC, 3, names=("a", "b"))
    found = gx.compile(graph)(X)
    np.testing.assert_array_equal(found["b"], X * 3)


def test_symbolic_sizes_can_be_computed_with() -> None:
    class Sizes(Layer):
        def call(self, x: Any) -> Any:
            n = x.shape[0]
            flat = ops.reshape(x, (n * 3,))
            return flat / n, ops.zeros((n, 2)) + (2 * n + 1), ops.broadcast_to(x[:1], (n, 3))

    model = Sizes()
    program = gx.compile(gx.trace(model, SPEC))
    for rows in (1, 2, 5):
        x = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)
        for a, b in zip(program(x), model(x), strict=True):
            np.testing.assert_array_equal(a, b)


def test_paths_are_readable_and_unique() -> None:
    class Encoder(Layer):
        def __init__(self) -> None:
            self.blocks = [nn.Dropout(0.1), nn.Dropout(0.1, name="special")]
            self.heads = {"left": nn.Activation("relu")}
            self.shared = self.blocks[0]

        def call(self, x: Any) -> Any:
            for block in self.blocks:
                x = block(x)
            return self.heads["left"](self.shared(x))

    graph = gx.trace(Block(Encoder()), SPEC)
    assert [call.path for call in graph.calls] == [
        "block", "block/child", "block/child/blocks_0", "block/child/special",
        "block/child/blocks_0#2", "block/child/heads_left",
    ]  # fmt: skip


def test_source_lines() -> None:
    class Line(Layer):
        def call(self, x: Any) -> Any:
            return ops.relu(x)  # this line

    graph = gx.trace(Block(Line()), SPEC)
    [node] = [n for n in graph.nodes if n.kind == "op"]
    name, line = node.source.split(":")
    assert name == "tests/test_trace.py"
    with open(__file__) as file:
        assert "# this line" in file.readlines()[int(line) - 1]


# -- the graph ------------------------------------------------------------------------------------


def test_networkx_view() -> None:
    class Mode(Layer):
        def call(self, x: Any, *, training: Context[bool] = False,
                 mode: Context[Literal["a", "b"]] = "a") -> Any:  # fmt: skip
            return x * 2 if training and mode == "a" else x

    graph = gx.trace(Block(Mode()), SPEC)
    view = graph.nx
    assert nx.is_directed_acyclic_graph(view)
    assert {d["kind"] for _, d in view.nodes(data=True)} == {
        "input", "context", "constant", "op", "select", "call",
    }  # fmt: skip
    assert all("path" in d for _, d in view.nodes(data=True))
    assert {d["kind"] for *_, d in view.edges(data=True)} == {"data", "context"}
    edge = view["context:mode"]["call:block/child"][0]
    assert edge["how"] == "inherited"
    assert edge["argument"] == "mode"
    with pytest.raises(nx.NetworkXError, match="Frozen graph"):
        view.add_node("x")


def test_values_given_inside_the_model_are_edges_between_calls() -> None:
    class Reads(Layer):
        def call(self, x: Any, *, training: Context[bool] = False) -> Any:
            return x + 1 if training else x

    class Gives(Layer):
        def __init__(self) -> None:
            self.here, self.below, self.block = Reads(), Block(Reads()), Reads()

        def call(self, x: Any) -> Any:
            x = self.below(self.here(x, training=True), training=True)
            with gx.context(training=True):
                return self.block(x)

    view = gx.trace(Gives(), SPEC).nx
    assert nx.is_directed_acyclic_graph(view)
    found = {
        (a, b): (d["how"], d["provider"], d["value"], d["source"].split(":")[0])
        for a, b, d in view.edges(data=True)
        if b.startswith("call:")
    }
    file = "tests/test_trace.py"
    assert found == {
        ("call:gives", "call:gives/here"): ("explicit", "gives", "True", file),
        ("call:gives/below", "call:gives/below/child"): (
            "inherited", "gives/below", "True", file,
        ),
        ("call:gives", "call:gives/block"): ("block", "gives", "True", file),
    }  # fmt: skip


def test_equal_graphs_have_equal_texts() -> None:
    model = Block(Noisy())
    assert text(model) == text(model)


def test_no_warnings_while_tracing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gx.trace(Block(Noisy()), SPEC)


def test_cond_in_a_trace_and_eagerly() -> None:
    class Cond(Layer):
        def __init__(self) -> None:
            self.drop = nn.Dropout(0.5)

        def call(self, x: Any) -> Any:
            return ops.cond(
                ops.sum(x) > 0, lambda v: self.drop(v) + 1, lambda v: self.drop(v) * 2 - 1, x
            )

    model = Cond()
    program = gx.compile(gx.trace(model, SPEC), training=True)
    for x in (X + 2, X - 2):
        with gx.seed(3):
            np.testing.assert_array_equal(program(x), model(x, training=True))

    class Assigns(Layer):
        def __init__(self) -> None:
            self.v = gx.Variable(np.float32(0))

        def call(self, x: Any) -> Any:
            return ops.cond(ops.sum(x) > 0, lambda: (self.v.assign(1), x)[1], lambda: x)

    with pytest.raises(TraceError, match=r"a function given to ops.cond, .* assigns to a variable"):
        gx.trace(Assigns(), SPEC)


def test_arguments_that_do_not_fit_the_call() -> None:
    class Two(Layer):
        def call(self, left: Any, right: Any) -> Any:
            return left + right

    with pytest.raises(
        TraceError, match=r"two: call\(\) takes 'right', too; give trace\(\) a Tens"
    ):
        gx.trace(Two(), SPEC)
    with pytest.raises(TraceError, match=r"two: call\(\) takes 2 positional arguments .*given 3"):
        gx.trace(Two(), SPEC, SPEC, SPEC)
    same = gx.TensorSpec((3,), name="x")
    with pytest.raises(TraceError, match="two inputs are named 'x'"):
        gx.trace(Two(), same, same)
