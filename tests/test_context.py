"""The rules of context arguments, eagerly and in traces, and the message of every refusal."""

from __future__ import annotations

import asyncio
import enum
import threading
from typing import Any, Literal

import numpy as np
import pytest

import graphctx as gx
from graphctx import Context, ContextError, Layer, nn, ops

X = np.ones((2, 3), np.float32)
SPEC = gx.TensorSpec(("batch", 3))


class Seen(Layer):
    """Records what it saw, by adding a number to its input."""

    def call(
        self, x: Any, *, mode: Context[Literal["a", "b", "c"]] = "a", training: bool = False
    ) -> Any:
        return x + {"a": 1, "b": 2, "c": 3}[mode] * 10 + training


class Wrap(Layer):
    """Knows nothing of context."""

    def __init__(self, *children: Layer) -> None:
        self.children = list(children)

    def call(self, x: Any) -> Any:
        for child in self.children:
            x = child(x)
        return x


def both_ways(model: Layer, **given: Any) -> float:
    """What the model adds to a zero, checked to be the same eagerly and as a program."""
    zero = np.zeros((1, 3), np.float32)
    result = model(zero, **given)
    program = gx.compile(gx.trace(model, SPEC), given)
    np.testing.assert_array_equal(program(zero), result)
    traced = gx.compile(gx.trace(model, SPEC, **given))
    np.testing.assert_array_equal(traced(zero), result)
    return float(result[0, 0])


# -- declaring ------------------------------------------------------------------------------------


def test_training_is_always_a_context_argument() -> None:
    class Plain(Layer):
        def call(self, x, training):  # type: ignore[no-untyped-def]
            return x + 1 if training else x

    assert both_ways(Wrap(Plain())) == 0  # a missing default is False
    assert both_ways(Wrap(Plain()), training=True) == 1


def test_none_as_default_of_training_is_false() -> None:
    class Plain(Layer):
        def call(self, x: Any, training: Any = None) -> Any:
            assert training in (False, True)
            return x + 1 if training else x

    assert both_ways(Wrap(Plain())) == 0
    assert both_ways(Wrap(Plain()), training=True) == 1


def test_annotations_may_name_types_local_to_a_function() -> None:
    class Color(enum.Enum):
        RED = 1
        BLUE = 2

    Size = Literal["s", "l"]

    class Local(Layer):
        def call(self, x: Any, c: Context[Color] = Color.RED, s: Context[Size] = "s") -> Any:
            return x + (1 if c is Color.BLUE else 0) + (2 if s == "l" else 0)

    assert both_ways(Wrap(Local()), c=Color.BLUE, s="l") == 3
    assert str(gx.trace(Local(), SPEC).contexts["c"]) == "c: RED|BLUE = RED"


def test_an_annotation_may_name_a_type_defined_later() -> None:
    class Early(Layer):
        def call(self, x: Any, how: Context[Later] = None) -> Any:  # type: ignore[name-defined]  # noqa: F821
            return x + 1 if how == "late" else x

    with pytest.raises(ContextError, match=r"cannot resolve the annotation 'Context\[Later\]'"):
        Early()(X)

    class Fine(Layer):
        def call(self, x: Any, how: Context[_Later] = "early") -> Any:
            return x + 1 if how == "late" else x

    assert both_ways(Fine(), how="late") == 1


_Later = Literal["early", "late"]


def test_registered_arguments() -> None:
    class Registered(Layer):
        def __init__(self) -> None:
            self.register_context_args("foo", domain=Literal["x", "y"])

        def call(self, x: Any, foo: Any = "x") -> Any:
            return x + 1 if foo == "y" else x

    model = Wrap(Registered())
    assert both_ways(model, foo="y") == 1
    with pytest.raises(ContextError, match=r"'foo' got 'z'.*allowed here: 'x', 'y'"):
        model(X, foo="z")
    with pytest.raises(ContextError, match=r"'bar' are registered after the layer was called"):
        model.children[0].register_context_args("bar")


def test_context_arguments_may_be_given_by_position() -> None:
    class Positional(Layer):
        def call(self, x: Any, training: bool = False, y: Any = None) -> Any:
            return x + training + (0 if y is None else y)

    class Outer(Layer):
        def __init__(self) -> None:
            self.inner = Positional()

        def call(self, x: Any) -> Any:
            return self.inner(x, True, x + 5)

    assert both_ways(Outer()) == 6
    with pytest.raises(TypeError, match="'training' is given twice"):
        Positional()(X, True, training=True)


def test_the_default_must_be_in_the_domain() -> None:
    with pytest.raises(ContextError, match=r"the default 'z' of context argument 'm' is outside"):

        class Bad(Layer):
            def call(self, x: Any, m: Context[Literal["a", "b"]] = "z") -> Any:
                return x


# -- resolving and scope --------------------------------------------------------------------------


def test_explicit_wins_over_enclosing_wins_over_default() -> None:
    class Explicit(Layer):
        def __init__(self) -> None:
            self.a = Seen()

        def call(self, x: Any) -> Any:
            return self.a(x, mode="c")

    assert both_ways(Wrap(Seen())) == 10
    assert both_ways(Wrap(Seen()), mode="b") == 20
    assert both_ways(Wrap(Explicit()), mode="b") == 30


def test_none_means_not_given() -> None:
    class Nothing(Layer):
        def __init__(self) -> None:
            self.a = Seen()

        def call(self, x: Any) -> Any:
            with gx.context(mode=None):
                return self.a(x, mode=None, training=None)

    model = Wrap(Nothing())
    assert both_ways(model) == 10
    assert both_ways(model, mode="b", training=True) == 21
    assert both_ways(model, mode=None, training=None) == 10


def test_a_value_does_not_leak_to_siblings() -> None:
    class Leaky(Layer):
        def __init__(self) -> None:
            self.a, self.b = Seen(), Seen()

        def call(self, x: Any) -> Any:
            return self.a(x, mode="c", training=True) * 1000 + self.b(x)

    # In Keras 3.15 the second layer sees what was given to the first.
    assert both_ways(Leaky()) == 31 * 1000 + 10
    assert both_ways(Leaky(), mode="b") == 31 * 1000 + 20


def test_a_default_stays_with_its_owner() -> None:
    class Owner(Layer):
        def __init__(self) -> None:
            self.inner = Seen()

        def call(self, x: Any, mode: Context[Literal["a", "b", "c"]] = "b") -> Any:
            return self.inner(x) + {"a": 1, "b": 2, "c": 3}[mode] * 1000

    # The owner sees its own "b", the layer inside its own "a".
    assert both_ways(Wrap(Owner())) == 2010
    assert both_ways(Wrap(Owner()), mode="c") == 3030
    contexts = gx.trace(Wrap(Owner()), SPEC).contexts
    assert str(contexts["mode"]) == "mode: a|b|c = b or a"


def test_an_exception_leaves_nothing_behind() -> None:
    class Bad(Layer):
        def call(self, x: Any, training: bool = False) -> Any:
            raise RuntimeError("oops")

    with pytest.raises(RuntimeError, match="oops"):
        Bad()(X, training=True)
    with pytest.raises(RuntimeError, match="oops"), gx.context(training=True):
        Bad()(X)
    assert Seen()(X)[0, 0] == 11
    with pytest.raises(RuntimeError, match="oops"):
        gx.trace(Bad(), SPEC)
    assert Seen()(X)[0, 0] == 11


def test_blocks_provide_and_nest() -> None:
    class Blocks(Layer):
        def __init__(self) -> None:
            self.a = Seen()

        def call(self, x: Any) -> Any:
            with gx.context(mode="b"):
                x = self.a(x)
                with gx.context(training=True, mode="c"):
                    x = self.a(x)
            return self.a(x)

    assert both_ways(Blocks()) == 20 + 31 + 10
    with gx.context(mode="c"):
        assert Wrap(Seen())(X)[0, 0] == 31
        assert Wrap(Seen())(X, mode="b")[0, 0] == 21
        graph = gx.trace(Wrap(Seen()), SPEC)
    assert list(graph.contexts) == ["training"]  # the block bound mode while tracing


def test_a_provided_numeric_expression() -> None:
    class Consumer(Layer):
        def call(self, x: Any, scale: Context[float] = 1.0) -> Any:
            return x + scale

    class Halves(Layer):
        def __init__(self) -> None:
            self.inner = Consumer()

        def call(self, x: Any, scale: Context[float] = 4.0) -> Any:
            return self.inner(x, scale=scale / 2)

    assert both_ways(Halves()) == 2
    assert both_ways(Halves(), scale=3) == 1.5
    graph = gx.trace(Halves(), SPEC)
    program = gx.compile(graph, runtime=["scale"])
    assert program(np.zeros((1, 3), np.float32), scale=5)[0, 0] == 2.5


def test_threads_do_not_see_each_other() -> None:
    model = Wrap(Seen())
    barrier = threading.Barrier(4)
    found: dict[str, set[float]] = {}

    def work(mode: str) -> None:
        with gx.context(mode=mode):
            barrier.wait()
            found[mode] = {float(model(X)[0, 0]) for _ in range(200)}

    threads = [threading.Thread(target=work, args=(m,)) for m in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    barrier.wait()
    plain = {float(model(X)[0, 0]) for _ in range(200)}
    for thread in threads:
        thread.join()
    assert found == {"a": {11}, "b": {21}, "c": {31}}
    assert plain == {11}


def test_asyncio_tasks_do_not_see_each_other() -> None:
    model = Wrap(Seen())

    async def work(mode: str) -> set[float]:
        found = set()
        with gx.context(mode=mode):
            for _ in range(20):
                await asyncio.sleep(0)
                found.add(float(model(X)[0, 0]))
        return found

    async def all_of_them() -> list[set[float]]:
        return await asyncio.gather(*(work(m) for m in ("a", "b", "c")))

    assert asyncio.run(all_of_them()) == [{11}, {21}, {31}]


# -- checked --------------------------------------------------------------------------------------


def test_unknown_names() -> None:
    model = Wrap(Seen())
    message = (
        r"wrap: no layer at or under this call declares a context argument 'mod', given at "
        r"tests/test_context.py:\d+; did you mean 'mode'\? \(declared: 'mode', 'training'\)"
    )
    with pytest.raises(ContextError, match=message):
        model(X, mod="a")
    with pytest.raises(ContextError, match=message):
        gx.trace(model, SPEC, mod="a")
    graph = gx.trace(model, SPEC)
    for function in (gx.compile, gx.specialize):
        with pytest.raises(ContextError, match=r"no layer reads a context argument 'mod'; did you"):
            function(graph, mod="a")
    with pytest.raises(ContextError, match=r"runtime names 'mod', which no layer reads; did you"):
        gx.compile(graph, runtime=["mod"])


def test_a_name_must_be_declared_at_or_under_the_call() -> None:
    class Elsewhere(Layer):
        def call(self, x: Any, other: Context[bool] = False) -> Any:
            return x

    class Outer(Layer):
        def __init__(self) -> None:
            self.a, self.b = Seen(), Elsewhere()

        def call(self, x: Any) -> Any:
            return self.b(self.a(x, other=True))

    with pytest.raises(ContextError, match=r"outer/a: no layer at or under this call.*'other'"):
        Outer()(X)


def test_unknown_names_in_blocks() -> None:
    with (
        pytest.raises(ContextError, match=r"'mod', provided at .*, is declared by no layer called"),
        gx.context(mod="a"),
    ):
        Seen()(X)

    class Inner(Layer):
        def __init__(self) -> None:
            self.a = Seen()

        def call(self, x: Any) -> Any:
            with gx.context(mod="a"):
                return self.a(x)

    with pytest.raises(ContextError, match=r"inner: no layer at or under this call.*'mod'"):
        Inner()(X)
    with gx.context(mod="a"):
        pass  # nothing was called, so nothing can be said


def test_training_is_known_everywhere() -> None:
    class Plain(Layer):
        def call(self, x: Any) -> Any:
            return x

    np.testing.assert_array_equal(Plain()(X, training=True), X)
    np.testing.assert_array_equal(gx.compile(gx.trace(Plain(), SPEC), training=True)(X), X)


def test_values_outside_the_domain() -> None:
    model = Wrap(Wrap(Seen()))
    message = (
        r"wrap/children_0/children_0: context argument 'mode' got 'z', provided by the call of "
        r"wrap at tests/test_context.py:\d+; allowed here: 'a', 'b', 'c'"
    )
    with pytest.raises(ContextError, match=message):
        model(X, mode="z")
    with pytest.raises(ContextError, match=message):
        gx.trace(model, SPEC, mode="z")
    with pytest.raises(ContextError, match=r"'training' got 1, provided by the call of wrap"):
        model(X, training=1)
    block = r"got 'z', provided by a `with gx.context` block at tests/test_context.py:\d+"
    with pytest.raises(ContextError, match=block), gx.context(mode="z"):
        model(X)
    graph = gx.trace(model, SPEC)
    message = (
        r"wrap: context argument 'mode' got 'z'; allowed: 'a', 'b', 'c' "
        r"\(read by wrap/children_0/children_0\)"
    )
    for function in (gx.compile, gx.specialize):
        with pytest.raises(ContextError, match=message):
            function(graph, mode="z")
    program = gx.compile(graph, runtime=["mode"])
    with pytest.raises(ContextError, match=message):
        program(X, mode="z")


@pytest.mark.parametrize(
    ("domain", "good", "bad"),
    [
        (bool, [True, np.bool_(False)], [1, 0.0, "true"]),
        (Literal[1, 2], [1, np.int64(2)], [True, 1.0, "1", 3]),
        (Literal["a"], ["a", np.str_("a")], ["A", 1]),
        (int, [3, np.int32(3)], [3.0, True, "3"]),
        (float, [0.5, 3, np.float32(0.5)], ["0.5", True]),
    ],
)
def test_domains(domain: Any, good: list[Any], bad: list[Any]) -> None:
    class Reader(Layer):
        def __init__(self) -> None:
            self.register_context_args("value", domain=domain)

        def call(self, x: Any, value: Any = None) -> Any:
            self.seen = value
            return x

    layer = Reader()
    for value in good:
        layer(X, value=value)
        assert not isinstance(layer.seen, np.generic)
        assert layer.seen == value
    for value in bad:
        with pytest.raises(ContextError, match="'value' got"):
            layer(X, value=value)
    layer(X)
    assert layer.seen is None


def test_a_required_argument() -> None:
    class Needs(Layer):
        def call(self, x: Any, *, role: Context[Literal["t", "s"]]) -> Any:
            return x + (1 if role == "t" else 2)

    model = Wrap(Needs())
    with pytest.raises(ContextError, match="wrap/children_0: context argument 'role' has no def"):
        model(X)
    assert both_ways(model, role="t") == 1
    graph = gx.trace(model, SPEC)
    assert graph.contexts["role"].cases == ("t", "s")
    with pytest.raises(ContextError, match=r"'role' has no default; give it a value \(t\|s\)"):
        gx.compile(graph)


def test_required_by_one_consumer_only() -> None:
    class Needs(Layer):
        def call(self, x: Any, *, role: Context[Literal["t", "s"]]) -> Any:
            return x + 1

    class Has(Layer):
        def call(self, x: Any, *, role: Context[Literal["t", "s"]] = "s") -> Any:
            return x + 10

    model = Wrap(Has(), Needs())
    graph = gx.trace(model, SPEC)
    assert both_ways(model, role="t") == 11
    with pytest.raises(ContextError, match="wrap/children_1: context argument 'role' has no def"):
        gx.compile(graph)


def test_a_declared_argument_that_is_always_overridden_may_be_given() -> None:
    class Explicit(Layer):
        def __init__(self) -> None:
            self.a = Seen()

        def call(self, x: Any) -> Any:
            return self.a(x, mode="c")

    graph = gx.trace(Explicit(), SPEC)
    assert list(graph.contexts) == ["training"]
    assert graph.unread == {"mode"}
    assert str(gx.compile(graph, mode="b").graph) == str(gx.compile(graph).graph)


def test_what_is_bound_while_tracing_stays_bound() -> None:
    graph = gx.trace(Wrap(Seen()), SPEC, mode="b")
    assert graph.bound == {"mode": "b"}
    assert list(graph.contexts) == ["training"]
    gx.compile(graph, mode="b")
    with pytest.raises(ContextError, match="'mode' is already bound to 'b'"):
        gx.compile(graph, mode="a")


def test_conflicting_domains() -> None:
    class Other(Layer):
        def call(self, x: Any, mode: Context[bool] = False) -> Any:
            return x

    message = (
        r"'mode' has conflicting domains: a\|b\|c in wrap/children_0, bool in wrap/children_1; "
        r"give both consumers the same domain, or two names"
    )
    with pytest.raises(ContextError, match=message):
        gx.trace(Wrap(Seen(), Other()), SPEC)


def test_the_order_of_a_literal_makes_no_other_domain() -> None:
    class First(Layer):
        def call(self, x: Any, pick: Context[Literal["p", "q"]] = "p") -> Any:
            return x + (pick == "q")

    class Second(Layer):
        def __init__(self) -> None:
            self.register_context_args("pick", domain=["q", "p"])

        def call(self, x: Any, pick: Any = "p") -> Any:
            return x + 10 * (pick == "q")

    assert both_ways(Wrap(First(), Second()), pick="q") == 11


def test_binding_twice() -> None:
    graph = gx.specialize(gx.trace(Wrap(Seen()), SPEC), mode="a")
    assert str(gx.specialize(graph, mode="a")) == str(graph)
    with pytest.raises(ContextError, match="'mode' is already bound to 'a'"):
        gx.specialize(graph, mode="b")
    with pytest.raises(ContextError, match="'mode' is both given and left to run time"):
        gx.compile(gx.trace(Seen(), SPEC), mode="a", runtime=["mode"])


def test_domains_that_make_no_sense() -> None:
    class Empty(enum.Enum):
        pass

    with pytest.raises(ContextError, match="the enum Empty has no members"):

        class Bad(Layer):
            def call(self, x: Any, e: Context[Empty] = None) -> Any:  # type: ignore[assignment]
                return x

    with pytest.raises(ContextError, match="must not be positional-only"):

        class Worse(Layer):
            def call(self, x: Any, training: bool = False, /) -> Any:
                return x


def test_names_that_clash_with_parameters() -> None:
    class Clash(Layer):
        def call(self, x: Any, *, domains: Context[bool] = False, name: Context[bool] = False,
                 path: Context[bool] = False, runtime: Context[bool] = False) -> Any:  # fmt: skip
            return x + domains + 2 * name + 4 * path + 8 * runtime

    model = Wrap(Clash())
    every = {"domains": True, "name": True, "path": True, "runtime": True}
    zero = np.zeros((1, 3), np.float32)
    assert model(zero, **every)[0, 0] == 15
    graph = gx.trace(model, SPEC)
    assert gx.compile(graph, every)(zero)[0, 0] == 15
    assert gx.compile(gx.trace(model, SPEC, context=every))(zero)[0, 0] == 15
    assert gx.compile(gx.specialize(graph, every))(zero)[0, 0] == 15
    text = gx.explain(graph, "wrap/children_0", "path", {"path": True})
    assert "path=True, inherited from the call of wrap" in text


def test_a_seed_is_checked() -> None:
    for bad in (-1, 2**63, 1.5, "a", True):
        with pytest.raises(ContextError, match="a seed is an integer in"), gx.seed(bad):  # type: ignore[arg-type]
            pass


# -- Keras's own cases (keras/src/layers/layer_test.py), in this API ------------------------------


class KerasInner(Layer):
    def __init__(self) -> None:
        self.register_context_args("foo_mode")

    def call(self, x: Any, foo_mode: Any = None) -> Any:
        return x + (1 if foo_mode else 0)


def test_keras_custom_layers() -> None:
    class Outer(Layer):
        def __init__(self) -> None:
            self.register_context_args("foo_mode")
            self.inner = KerasInner()

        def call(self, x: Any) -> Any:
            return self.inner(x)

    assert int(Outer()(np.array(0), foo_mode=True)) == 1
    assert int(Outer()(np.array(0))) == 0
    graph = gx.trace(Outer(), gx.TensorSpec((), "int64"), domains={"foo_mode": [True]})
    assert int(gx.compile(graph, foo_mode=True)(np.array(0))) == 1
    assert int(gx.compile(graph)(np.array(0))) == 0


def test_keras_triple_nesting() -> None:
    layer = Wrap(Wrap(KerasInner()))
    layer.register_context_args("foo_mode")
    assert int(layer(np.array(0), foo_mode=True)) == 1
    assert int(layer(np.array(0))) == 0


def test_keras_propagation_without_declaration() -> None:
    class Inner(Layer):
        def call(self, x: Any, foo_mode: Any = None) -> Any:
            return x + (1 if foo_mode else 0)

    layer = Wrap(Inner())
    layer.register_context_args("foo_mode")
    assert int(layer(np.array(0), foo_mode=True)) == 0


def test_keras_sequential_and_functional_models_as_layers() -> None:
    class Inner(Layer):
        def __init__(self) -> None:
            self.register_context_args("foo_mode")

        def call(self, x: Any, foo_mode: Any = False) -> Any:
            return x + ops.where(foo_mode, 1.0, 0.0)

    sample = np.array([[1.0], [2.0]])
    sequential = nn.Sequential([nn.Activation("linear"), Wrap(Inner())])
    np.testing.assert_array_equal(sequential(sample, foo_mode=True), sample + 1)
    np.testing.assert_array_equal(sequential(sample), sample)
    start = gx.Input((1,), "float64")
    model = gx.Model(start, Wrap(Inner())(nn.Activation("linear")(start)))
    np.testing.assert_array_equal(model(sample, foo_mode=True), sample + 1)
    np.testing.assert_array_equal(model(sample), sample)


def test_keras_training_resolution() -> None:
    class Training(Layer):
        def __init__(self) -> None:
            self.dp = nn.Dropout(0.9)

        def call(self, x: Any, training: bool = False) -> Any:
            return self.dp(x)

    class Wrapped(Layer):
        def __init__(self) -> None:
            self.dp = Training()

        def call(self, x: Any, training: bool = False) -> Any:
            return self.dp(x)

    class Explicit(Layer):
        def __init__(self) -> None:
            self.dp = nn.Dropout(0.9)

        def call(self, x: Any, training: bool = False) -> Any:
            return self.dp(x, training=True)

    x = np.ones((4, 4), np.float32)
    for layer in (Training(), Wrapped()):
        assert layer(x).min() == 1
        assert layer(x, training=True).min() == 0
    assert Explicit()(x, training=False).min() == 0


def test_keras_training_where_nobody_reads_it() -> None:
    class Unaware(Layer):
        def build(self, input_shape: Any) -> None:
            self.activation = nn.Activation("linear")

        def call(self, inputs: Any) -> Any:
            return self.activation(inputs)

    Unaware()(np.ones((1, 4, 4, 3), np.float32), training=True)
