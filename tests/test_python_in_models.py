"""What Python code in a model may do: the same eagerly and in a program, or a clear refusal."""

from __future__ import annotations

import copy
import enum
import pickle
import sys
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest

import graphctx as gx
from graphctx import Context, Layer, LayerError, TraceError, nn, ops

X = np.linspace(-1, 2, 12, dtype=np.float32).reshape(4, 3)
SPEC = gx.TensorSpec(("n", 3))


class Function(Layer):
    """A layer of a function `(layer, x, n)`; `n` is a context number."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def call(self, x: Any, n: Context[int] = 3) -> Any:
        return self.function(x, n)


class FloatFunction(Layer):
    """The same with a float."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def call(self, x: Any, s: Context[float] = 0.5) -> Any:
        return self.function(x, s)


def law(model: Layer, *, domains: Any = None, runtime: tuple[str, ...] = (), **given: Any) -> Any:
    """An eager call equals the program, and the program with arguments left to run time."""
    with gx.seed(3):
        before = {path: v.numpy() for path, v in model.weights.items()}
        expected = model(X, **given)
        state = {path: v.numpy() for path, v in model.weights.items()}
        if before:
            model.set_weights(before)
        graph = gx.trace(model, SPEC, domains=domains)
        found, new = gx.compile(graph, given).step(X)
        np.testing.assert_equal(found, expected)
        for a, b in zip(np.atleast_1d(found), np.atleast_1d(expected), strict=True):
            assert np.asarray(a).dtype == np.asarray(b).dtype
        for path, value in new.items():
            np.testing.assert_array_equal(value, state[path])
        for path in set(before) - set(new):
            np.testing.assert_array_equal(before[path], state[path])
        if runtime:
            bound = {k: v for k, v in given.items() if k not in runtime}
            later = {k: v for k, v in given.items() if k in runtime}
            program = gx.compile(graph, bound, runtime=runtime)
            np.testing.assert_equal(program(X, **later), expected)
    return expected


# -- context numbers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        lambda x, n: x * len(str(n)),
        lambda x, n: x * len("%s and %d" % (n, n)),  # noqa: UP031
        lambda x, n: x * len(f"{n:05d}"),
        lambda x, n: x * ((n > 0) + (n < 9)),
        lambda x, n: x * (-(n > 0)),
        lambda x, n: x * 2**n,
        lambda x, n: x * 2**-n,
        lambda x, n: x * n**2,
        lambda x, n: x * n**-1,
        lambda x, n: x * (n * np.float64(2)),
        lambda x, n: x * (n // 2 + n % 2 - n / 2),
        lambda x, n: n * x.shape[1] * x,
        lambda x, n: x * min(n, 2) + max(n, 2, 7),
        lambda x, n: x * (5 if 1 < n <= 3 else 6),
        lambda x, n: x + {1: 10, 2: 20, 3: 30}[n],
        lambda x, n: sum((x for _ in range(n)), 0 * x),
        lambda x, n: x + next(i for i in range(9) if i > n),
        lambda x, n: x * abs(-n) + (+n),
        lambda x, n: x * (not n) + (n and 4) + (n or 5),
    ],
)
@pytest.mark.parametrize("n", [1, 2, 3])
def test_an_integer_in_python_expressions(function: Any, n: int) -> None:
    law(Function(function), n=n, domains={"n": [1, 2, 3]})


@pytest.mark.parametrize(
    "function",
    [
        lambda x, s: x * (1 - s) ** 2,
        lambda x, s: x * (s > 0.4) + (s * 2 > 1 or s < 0),
        lambda x, s: x * np.float32(2) * s,
        lambda x, s: x * (s if s >= 0 else 1),
        lambda x, s: x.astype("float64") * s,
        lambda x, s: ops.astype(x, "int32") * s,
        lambda x, s: s if s > 0.4 else -s,
        lambda x, s: x / (x.shape[0] * s),
    ],
)
@pytest.mark.parametrize("s", [0.25, 0.5, 3.0])
def test_a_float_in_python_expressions(function: Any, s: float) -> None:
    law(FloatFunction(function), s=s, runtime=("s",))


def loops(x: Any, n: Any) -> Any:
    while n > 0:
        x, n = x + 1, n - 1
    return x


def test_a_loop_on_a_number_needs_its_values() -> None:
    message = (
        r"function: one call asked for more than 100 decisions on context numbers, the last one "
        r"for .* at tests/test_python_in_models.py:\d+; if this is a loop, name the values to "
        r"trace: trace\(..., domains={'n': \[...\]}\)"
    )
    with pytest.raises(TraceError, match=message):
        gx.trace(Function(loops), SPEC)
    for n in (1, 3):
        law(Function(loops), n=n, domains={"n": [1, 3]})


def test_sizes_in_float_expressions() -> None:
    class Sizes(Layer):
        def call(self, x: Any) -> Any:
            n = x.shape[0]
            return x * (1 / n) + n**-0.5, x / np.sqrt(n), x * n**2, x.shape, x.size

    model = Sizes()
    program = gx.compile(gx.trace(model, SPEC))
    for found, expected in zip(program(X), model(X), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_given_from_one_number_to_another() -> None:
    class Inner(Layer):
        def call(
            self, x: Any, f: Context[float] = 0.0, k: Context[Literal[1, 2, 3]] = 1,
            on: Context[bool] = False,
        ) -> Any:  # fmt: skip
            return ops.astype(x, "int32") * f + {1: 1, 2: 5, 3: 9}[k] + on

    class Outer(Layer):
        def __init__(self) -> None:
            self.inner = Inner()
            self.v = gx.Variable(np.float32(2))

        def call(self, x: Any, n: Context[int] = 2) -> Any:
            return self.inner(x, f=n, k=n, on=n > 1) + self.inner(x, f=self.v)

    law(Outer(), n=3, domains={"n": [1, 3]})

    class Wrong(Layer):
        def __init__(self, **given: Any) -> None:
            self.inner = Inner()
            self.given = given

        def call(self, x: Any, n: Context[float] = 2.0) -> Any:
            return self.inner(x, **dict.fromkeys(self.given, n))

    with pytest.raises(gx.ContextError, match=r"'on' got a symbolic tensor float64"):
        gx.trace(Wrong(on=1), SPEC)


def test_subclasses_of_numbers() -> None:
    class Level(enum.IntEnum):
        LOW = 2

    class Uses(Layer):
        def call(self, x: Any) -> Any:
            return x * Level.LOW + Level.LOW

    law(Uses())


def test_cases_that_are_equal_to_python() -> None:
    class Mixed(Layer):
        def call(self, x: Any, k: Context[Literal[0, 1, False, True]] = 0) -> Any:
            return x + {"0": 1, "1": 2, "False": 3, "True": 4}[repr(k)]

    for k in (0, 1, False, True):
        law(Mixed(), k=k, runtime=("k",))


def test_numbers_that_do_not_fit() -> None:
    graph = gx.trace(Function(lambda x, n: x * n), SPEC)
    with pytest.raises(gx.ContextError, match="'n' got 9223372036854775808; allowed: int"):
        gx.compile(graph, n=2**63)


# -- what a model's own exception handling must not hide ------------------------------------------


def test_except_does_not_swallow_what_a_trace_refuses() -> None:
    class Logs(Layer):
        def call(self, x: Any) -> Any:
            try:
                positive = bool(ops.sum(x) > 0)
            except Exception:
                positive = False
            return x if positive else -x

    np.testing.assert_array_equal(Logs()(X), X)
    with pytest.raises(TraceError, match="logs: `if tensor:`"):
        gx.trace(Logs(), SPEC)

    class Outer(Layer):
        def __init__(self) -> None:
            self.inner = Inner()

        def call(self, x: Any) -> Any:
            try:
                return self.inner(x)
            except Exception:
                return x

    class Inner(Layer):
        def call(self, x: Any) -> Any:
            return x * float(ops.sum(x))

    with pytest.raises(TraceError, match="outer/inner: the Python value"):
        gx.trace(Outer(), SPEC)


def test_except_does_not_swallow_a_second_default() -> None:
    class First(Layer):
        def call(self, x: Any, m: Context[Literal["a", "b"]] = "a") -> Any:
            return x + (m == "a")

    class Second(Layer):
        def call(self, x: Any, m: Context[Literal["a", "b"]] = "b") -> Any:
            return x + 10 * (m == "a")

    class Catches(Layer):
        def __init__(self) -> None:
            self.first, self.second = First(), Second()

        def call(self, x: Any) -> Any:
            y = self.first(x)
            try:
                return self.second(y)
            except:  # noqa: E722 - the worst case
                return y

    for given in ({}, {"m": "a"}, {"m": "b"}):
        law(Catches(), **given)


def test_state_assigned_before_a_caught_exception_stays() -> None:
    class Raises(Layer):
        def __init__(self) -> None:
            self.v = gx.Variable(np.float32(1), trainable=False)

        def call(self, x: Any, training: bool = False) -> Any:
            self.v.assign(self.v + 1)
            if training:
                self.v.assign(self.v * 5)
                raise ValueError("after the assignment")
            return x

    class Catches(Layer):
        def __init__(self) -> None:
            self.inner = Raises()

        def call(self, x: Any) -> Any:
            try:
                return self.inner(x)
            except ValueError:
                return x + self.inner.v

    for training in (False, True):
        law(Catches(), training=training)

    class Always(Layer):
        def __init__(self) -> None:
            self.inner = Raises()

        def call(self, x: Any) -> Any:
            try:
                return self.inner(x, training=True)
            except ValueError:
                return x + self.inner.v

    law(Always())


# -- variables, layers, classes -------------------------------------------------------------------


def test_in_place_operators() -> None:
    class Counts(Layer):
        def __init__(self) -> None:
            self.count = gx.Variable(np.float32(0))

        def call(self, x: Any) -> Any:
            self.count += 1
            return x

    for run in (lambda: Counts()(X), lambda: gx.trace(Counts(), SPEC)):
        with pytest.raises(LayerError, match=r"counts: `\+=` and its kin .* variable.assign\("):
            run()

    class Adds(Layer):
        def call(self, x: Any) -> Any:
            y = x * 2
            y += 1
            return y

    Adds()(X)
    with pytest.raises(TraceError, match=r"adds: an in-place operator on a tensor .* write"):
        gx.trace(Adds(), SPEC)


def test_variables_and_scalars_in_what_is_returned() -> None:
    class Returns(Layer):
        def __init__(self) -> None:
            self.v = gx.Variable(np.float32(1))

        def call(self, x: Any) -> Any:
            self.v.assign(self.v + 1)
            return {"v": self.v, "s": np.float32(3), "x": [x, (self.v,)]}

    model = Returns()
    program = gx.compile(gx.trace(model, SPEC))
    assert list(program.outputs) == ["v", "s", "x_0", "x_1_0"]
    found = program(X)
    assert found["v"] == found["x"][1][0] == 2
    assert found["s"] == 3
    assert model(X)["v"] == 2


def test_layers_in_private_containers_are_found() -> None:
    class Hides(Layer):
        def __init__(self) -> None:
            self._blocks = [nn.Dense(3), nn.Dropout(0.5)]
            self._by_name = {"a": nn.Dense(3)}

        def call(self, x: Any) -> Any:
            for block in self._blocks:
                x = block(x)
            return self._by_name["a"](x)

    model = Hides()
    with gx.seed(1):
        model(X, training=True)
    assert list(model.weights) == [
        "hides/blocks_0/kernel", "hides/blocks_0/bias",
        "hides/by_name_a/kernel", "hides/by_name_a/bias",
    ]  # fmt: skip

    class Sets(Layer):
        def __init__(self) -> None:
            self.blocks = {nn.Dense(3)}

        def call(self, x: Any) -> Any:
            return x

    with pytest.raises(LayerError, match="'blocks' holds layers or variables in a set"):
        _ = Sets().weights


def test_calls_that_pass_keywords_on() -> None:
    class Base(Layer):
        def call(self, x: Any, training: bool = False, k: Context[Literal["u", "v"]] = "u") -> Any:
            return x * (2 if training else 3) + (k == "v")

    class Derived(Base):
        def call(self, x: Any, **options: Any) -> Any:
            return super().call(x, **options) + 1

    for given in ({}, {"training": True}, {"k": "v"}):
        law(Derived(), **given)

    class Opaque(Layer):
        def call(self, *args: Any, **options: Any) -> Any:
            return args[0] * (2 if options.get("training") else 3)

    np.testing.assert_array_equal(Opaque()(X, training=True), X * 2)
    graph = gx.trace(Opaque(), SPEC)
    with pytest.raises(gx.ContextError, match="no layer reads a context argument 'training'"):
        gx.compile(graph, training=True)


def test_dataclass_layers() -> None:
    @dataclass
    class Scale(Layer):
        factor: float = 2.0

        def call(self, x: Any, training: bool = False) -> Any:
            return x * self.factor if training else x

    model = nn.Sequential([Scale(), Scale(3.0)])
    for training in (False, True):
        law(model, training=training)


def test_copies_and_pickles() -> None:
    model = nn.Sequential([nn.Dense(4, activation="relu"), nn.Dropout(0.5), nn.Dense(2)])
    graph = gx.trace(model, SPEC)
    program = gx.compile(graph, training=True)
    expected = program(X, seed=1)
    for other in (copy.deepcopy(program), pickle.loads(pickle.dumps(program))):
        np.testing.assert_array_equal(other(X, seed=1), expected)
    again = gx.compile(gx.trace(pickle.loads(pickle.dumps(model)), SPEC), training=True)
    np.testing.assert_array_equal(again(X, seed=1), expected)


def test_deep_nesting() -> None:
    class Nest(Layer):
        def __init__(self, child: Layer) -> None:
            self.child = child

        def call(self, x: Any) -> Any:
            return self.child(x)

    model: Layer = nn.Dropout(0.5)
    for _ in range(300):
        model = Nest(model)
    limit = sys.getrecursionlimit()
    gx.trace(model, SPEC)
    assert sys.getrecursionlimit() == limit

    class Endless(Layer):
        def call(self, x: Any) -> Any:
            return self.call(x)

    with pytest.raises(TraceError, match="endless: the layers are nested too deeply to trace"):
        gx.trace(Endless(), SPEC)


# -- blocks around programs -----------------------------------------------------------------------


def test_blocks_reach_compile_and_open_arguments() -> None:
    model = nn.Dropout(0.5)
    graph = gx.trace(model, SPEC)
    open_program = gx.compile(graph, runtime=["training"])
    with gx.context(training=True):
        bound = gx.compile(graph)
        dropped = open_program(X, seed=1)
        kept = open_program(X, seed=1, training=False)
    assert bound.graph.bound == {"training": True}
    np.testing.assert_array_equal(bound(X, seed=1), dropped)
    assert (dropped == 0).any()
    np.testing.assert_array_equal(kept, X)
    with pytest.raises(gx.ContextError, match="'training' is bound to True in this"):
        bound(X, training=False)
    with pytest.raises(gx.ContextError, match=r"runtime takes a list of names; write"):
        gx.compile(graph, runtime="training")


# -- what a second look found ---------------------------------------------------------------------


def test_open_arguments_are_checked_even_if_nothing_depends_on_them() -> None:
    program = gx.compile(gx.trace(Function(loops), SPEC, domains={"n": [3]}), runtime=["n"])
    with pytest.raises(gx.ContextError, match="'n' is asked for its Python value"):
        program(X, n=5)

    class Same(Layer):
        def call(self, x: Any, k: Context[Literal["one", "two"]] = "one") -> Any:
            return x

    program = gx.compile(gx.trace(Same(), SPEC), runtime=["k"])
    program(X, k="two")
    with pytest.raises(gx.ContextError, match="'k' got 'three'; allowed: 'one', 'two'"):
        program(X, k="three")


def test_exceptions_that_a_caller_can_tell_apart() -> None:
    class OwnError(ValueError):
        def __init__(self, k: str) -> None:
            super().__init__("the same text")
            self.k = k

    class Raises(Layer):
        def call(self, x: Any, kind: Context[Literal["v", "k", "o", "p"]] = "v") -> Any:
            if kind == "v":
                raise ValueError("v")
            if kind == "k":
                raise KeyError("k")
            raise OwnError(kind)

    class Catches(Layer):
        def __init__(self) -> None:
            self.inner = Raises()

        def call(self, x: Any) -> Any:
            try:
                return self.inner(x)
            except OwnError as error:
                return x + {"o": 1, "p": 2}[error.k]
            except ValueError:
                return x + 3
            except KeyError:
                return x + 4

    for kind in ("v", "k", "o", "p"):
        law(Catches(), kind=kind, runtime=("kind",))


def test_a_variable_that_is_returned_stays_a_variable() -> None:
    class Gives(Layer):
        def __init__(self) -> None:
            self.v = gx.Variable(np.zeros(3, np.float32), trainable=False)

        def call(self, x: Any, training: bool = False) -> Any:
            return self.v

    class Uses(Layer):
        def __init__(self) -> None:
            self.inner = Gives()

        def call(self, x: Any) -> Any:
            v = self.inner(x)
            v.assign(v + 1)
            return x + v

    law(Uses())


def test_signs_of_zero_in_arrays() -> None:
    class Zero(Layer):
        def call(self, x: Any, sign: Context[Literal["plus", "minus"]] = "plus") -> Any:
            return np.array({"plus": 0.0, "minus": -0.0}[sign], np.float32)

    class Uses(Layer):
        def __init__(self) -> None:
            self.zero = Zero()

        def call(self, x: Any) -> Any:
            return (abs(x) + 1) * self.zero(x)

    for sign in ("plus", "minus"):
        found = law(Uses(), sign=sign)
        assert np.signbit(found).all() == (sign == "minus")


def test_paths_that_no_number_can_take() -> None:
    def contradicts(x: Any, s: Any) -> Any:
        y = x if s > 0 else x[:, :2]
        if s <= 0:
            return y + np.ones(2, np.float32)
        if s > 10 and s < 5:
            return x[:, :7] @ x
        return y + np.ones(3, np.float32)

    for s in (-1.0, 0.0, 0.5, 20.0):
        law(FloatFunction(contradicts), s=s)
    for n in (2, 3, 4):
        law(Function(lambda x, n: x if n > 2 else x[:, 0] if n < 3 else 1 / 0), n=n)
    with pytest.raises(gx.ContextError, match="'s' got nan"):
        FloatFunction(contradicts)(X, s=float("nan"))


def test_numbers_that_are_not_given_at_run_time_do_no_harm() -> None:
    class Divides(Layer):
        def call(self, x: Any, n: Context[int] = 2) -> Any:
            return x + 10 // n

    class Multiplies(Layer):
        def call(self, x: Any, n: Context[int] = 3) -> Any:
            return x * n

    law(nn.Sequential([Divides(), Multiplies()]), runtime=("n",))


def test_weights_of_any_rank_and_dtype(tmp_path: Any) -> None:
    class Weights(Layer):
        def __init__(self) -> None:
            self.scalar = gx.Variable(np.float32(1))
            self.count = gx.Variable(np.array([1, 2], np.int32))

        def call(self, x: Any) -> Any:
            return x

    model = Weights()
    model.scalar.assign(5)
    model.save_weights(tmp_path / "w.safetensors")
    other = Weights()
    other.load_weights(tmp_path / "w.safetensors")
    assert other.scalar.numpy() == 5
    wrong = {"weights/scalar": np.float32(9), "weights/count": np.array([1.7, 2.9])}
    message = r"misfit: weights/count \(file float64, model int32\)"
    with pytest.raises(gx.WeightsError, match=message):
        model.set_weights(wrong)
    assert model.scalar.numpy() == 5


def test_explain_evaluates_what_the_assignment_decides() -> None:
    class Reads(Layer):
        def call(self, x: Any, k: Context[Literal["given", "auto"]] = "auto") -> Any:
            return x + 1 if k == "given" else x

    class Outer(Layer):
        def __init__(self) -> None:
            self.reader, self.more = Reads(), Reads()

        def call(
            self, x: Any, s: Context[float] = 0.1, k: Context[Literal["given", "auto"]] = "auto"
        ) -> Any:
            x = self.reader(x, k="given" if s > 0.5 else "auto")
            return self.more(x, k="given") if k == "given" else x

    graph = gx.trace(Outer(), SPEC)
    assert gx.explain(graph, "outer/reader", "k").startswith("outer/reader: k=auto, given here")
    assert "k=given, given here" in gx.explain(graph, "outer/reader", "k", s=0.7)
    assert "\n" not in gx.explain(graph, "outer/reader", "k", s=0.7)
    assert "not called here" in gx.explain(graph, "outer/more", "k")
    assert "k=given, given here" in gx.explain(graph, "outer/more", "k", k="given")


class Collects(Layer):
    """Puts a tensor into a list that it is given, under one context only."""

    def call(self, x: Any, *, taps: Context[bool] = False, seen: Context[Any] = None) -> Any:
        if taps:
            seen.append(x)
        return x


class Collected(Layer):
    """Gives the list as context."""

    def __init__(self) -> None:
        self.tap = Collects()

    def call(self, x: Any) -> Any:
        seen: list[Any] = []
        y = self.tap(x, seen=seen)
        return (y, *seen)


class FillsItsArgument(Layer):
    """Changes a dict inside its argument."""

    def call(self, pair: Any, *, taps: Context[bool] = False) -> Any:
        x, notes = pair
        if taps:
            notes["x"] = x
        return x


def test_what_a_forked_call_was_given_must_not_change() -> None:
    message = (
        r"collected/tap: the call changes a list that it was given, and it runs once for every "
        r"context, so that one would see what another one left there; return what you want to "
        r"pass on \[while tracing taps=True\]"
    )
    with pytest.raises(gx.TraceError, match=message):
        gx.trace(Collected(), gx.TensorSpec((2,)))
    with pytest.raises(gx.TraceError, match="the call changes a dict that it was given"):
        gx.trace(nn.Lambda(lambda x: FILL((x, {})), name="net"), gx.TensorSpec((2,)))


FILL = FillsItsArgument()


class FillsItsOwn(Layer):
    """A list that each path makes anew may be filled by what it calls."""

    def __init__(self) -> None:
        self.append = nn.Lambda(lambda x, seen: seen.append(x) or x)

    def call(self, x: Any, *, taps: Context[bool] = False) -> Any:
        seen: list[Any] = []
        y = self.append(x * 2, seen)
        return y + seen[0] if taps else y


def test_a_list_that_every_path_makes_anew_may_be_filled() -> None:
    graph = gx.trace(FillsItsOwn(), gx.TensorSpec((2,)))
    x = np.ones(2, np.float32)
    for taps in (False, True):
        np.testing.assert_array_equal(gx.compile(graph, taps=taps)(x), FillsItsOwn()(x, taps=taps))
