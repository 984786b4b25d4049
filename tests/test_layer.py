"""Authoring: what a layer may look like, how its parts are found and named."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import graphctx as gx
from graphctx import Layer, LayerError, nn, ops

X = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)
SPEC = gx.TensorSpec(("batch", 4))


def equal_both_ways(model: Layer, *inputs: Any, **given: Any) -> Any:
    """What an eager call returns, checked to be what the program returns."""
    expected = model(*inputs, **given)
    specs = [gx.TensorSpec(("batch", *x.shape[1:]), x.dtype) for x in inputs]
    found = gx.compile(gx.trace(model, *specs), given)(*inputs)
    np.testing.assert_equal(found, expected)
    return expected


def test_weights_are_found_in_attributes_lists_and_dicts() -> None:
    class Parts(Layer):
        def __init__(self) -> None:
            self.plain = gx.Variable(np.zeros(1))
            self.many = [gx.Variable(np.zeros(2)), (gx.Variable(np.zeros(3)),)]
            self.named = {"left": gx.Variable(np.zeros(4), trainable=False)}
            self._hidden = gx.Variable(np.zeros(5))
            self.given = gx.Variable(np.zeros(6), name="own_name")
            self.other = "text", 3, {"a": None}

        def call(self, x: Any) -> Any:
            return x

    weights = Parts().weights
    assert {path: v.size for path, v in weights.items()} == {
        "parts/plain": 1, "parts/many_0": 2, "parts/many_1_0": 3, "parts/named_left": 4,
        "parts/hidden": 5, "parts/own_name": 6,
    }  # fmt: skip
    assert "parts/named_left" not in Parts().trainable_weights
    assert Parts().count_params() == 21


def test_a_shared_layer_is_one_layer() -> None:
    class Shared(Layer):
        def __init__(self) -> None:
            self.first = nn.Dense(4)
            self.again = [self.first]

        def call(self, x: Any) -> Any:
            return self.again[0](self.first(x))

    model = Shared()
    equal_both_ways(model, X)
    assert list(model.weights) == ["shared/first/kernel", "shared/first/bias"]
    graph = gx.trace(model, SPEC)
    assert len(graph.weights) == 2
    assert [c.path for c in graph.calls] == ["shared", "shared/first", "shared/first#2"]


def test_a_layer_of_a_sub_layer_called_directly() -> None:
    class Inner(Layer):
        def __init__(self) -> None:
            self.dense = nn.Dense(4)

        def call(self, x: Any) -> Any:
            return self.dense(x)

    class Outer(Layer):
        def __init__(self) -> None:
            self.inner = Inner()

        def call(self, x: Any) -> Any:
            return self.inner.dense(x)

    model = Outer()
    equal_both_ways(model, X)
    assert [c.path for c in gx.trace(model, SPEC).calls] == ["outer", "outer/inner/dense"]


def test_a_layer_from_a_closure_has_a_name_and_weights() -> None:
    dense = nn.Dense(4)

    class Uses(Layer):
        def call(self, x: Any) -> Any:
            return dense(x)

    model = Uses()
    equal_both_ways(model, X)
    names = [node.name for node in gx.trace(model, SPEC).weights]
    assert names == ["uses/dense/kernel", "uses/dense/bias"]


def test_layers_made_in_call_have_the_same_names_in_every_run() -> None:
    class Makes(Layer):
        def call(self, x: Any, training: bool = False) -> Any:
            x = nn.Dropout(0.5)(x)
            if training:
                x = nn.Activation("tanh")(x)
            return nn.Dropout(0.5)(nn.Activation("relu")(x))

    model = Makes()
    x = np.ones((50, 4), np.float32)
    graph = gx.trace(model, SPEC)
    with gx.seed(1):
        first, second = model(x, training=True), model(x, training=True)
        np.testing.assert_array_equal(first, second)
        np.testing.assert_array_equal(gx.compile(graph, training=True)(x), first)
    assert {call.path for call in graph.calls} == {
        "makes", "makes/dropout", "makes/activation", "makes/activation_1", "makes/dropout_1",
    }  # fmt: skip

    class Weights(Layer):
        def call(self, x: Any, training: bool = False) -> Any:
            return nn.Dense(4)(x) + (1 if training else 0)

    message = r"weights/dense: the layer is created in the call of weights, so every call would"
    with pytest.raises(LayerError, match=message):
        gx.trace(Weights(), SPEC)
    with pytest.raises(LayerError, match=message):
        Weights()(X)

    class Builds(Layer):
        def build(self, shape: Any) -> None:
            self.dense = nn.Dense(4)

        def call(self, x: Any) -> Any:
            if not hasattr(self, "late"):
                self.late = nn.Dense(4)
            return self.late(self.dense(x))

    equal_both_ways(Builds(), X)


def test_what_newcomers_write() -> None:
    class Plain(Layer):
        def call(self, x: Any, mode: str = "a") -> Any:
            return x

    class Forgets(Layer):
        def call(self, x: Any) -> Any:
            ops.relu(x)

    class Generates(Layer):
        def __init__(self) -> None:
            self.blocks = (nn.Dense(4) for _ in range(2))

        def call(self, x: Any) -> Any:
            return x

    model = nn.Sequential([Plain()])
    with pytest.raises(
        gx.ContextError, match=r"is a parameter of the call of sequential/plain, but"
    ):
        model(X, mode="b")
    with pytest.raises(gx.TraceError, match=r"forgets: call\(\) returns None under every context"):
        gx.trace(Forgets(), SPEC)
    with pytest.raises(LayerError, match="'blocks' is a generator, which is used up"):
        Generates()
    with pytest.raises(LayerError, match=r"a layer's name is a string, got Dense .*into a list"):
        nn.Sequential(nn.Dense(1), nn.Dense(1))  # type: ignore[arg-type]
    with pytest.raises(LayerError, match=r"wrap a function in nn.Activation or nn.Lambda"):
        nn.Sequential([ops.relu])
    with pytest.raises(gx.TraceError, match=r"is a shape; trace\(\) takes gx.TensorSpec"):
        gx.trace(model, ("batch", 4))
    for function in (gx.compile, gx.specialize, gx.summary):
        with pytest.raises(
            gx.GraphctxError, match=r"takes a call graph, got Sequential; trace the"
        ):
            function(model)  # type: ignore[operator]
    with pytest.raises(gx.GraphctxError, match=r"takes a call graph, got Program; take its .graph"):
        gx.specialize(gx.compile(gx.trace(model, SPEC)))  # type: ignore[arg-type]
    with pytest.raises(
        gx.WeightsError, match="no weights yet: call or trace it once before saving"
    ):
        model.save_weights("unused")


def test_names() -> None:
    class HTTPBlock2D(Layer):
        def call(self, x: Any) -> Any:
            return x

    assert HTTPBlock2D().name == "http_block2d"
    layer = HTTPBlock2D()
    layer.name = "mine"
    assert layer.name == "mine"
    with pytest.raises(LayerError, match="a layer's name is made of letters, digits"):
        layer.name = "a/b"
    stack = nn.Sequential([nn.Dense(1), nn.Dense(1), nn.Dense(1, name="dense")], name="net")
    stack(X)
    assert [path for path in stack.weights if path.endswith("kernel")] == [
        "net/dense/kernel", "net/dense_1/kernel", "net/dense_2/kernel",
    ]  # fmt: skip


def test_build_takes_the_shapes_of_nested_inputs() -> None:
    class Pair(Layer):
        def build(self, shapes: Any) -> None:
            (_, a), second = shapes
            self.kernel = self.add_weight((a, second["b"][-1]), "ones")

        def call(self, inputs: Any) -> Any:
            first, second = inputs
            return ops.matmul(first, self.kernel) + second["b"]

    class Two(Layer):
        def build(self, first: Any, second: Any) -> None:
            self.kernel = self.add_weight((first[-1], second[-1]), "ones")

        def call(self, a: Any, b: Any) -> Any:
            return ops.matmul(a, self.kernel) + b

    b = np.ones((2, 3), np.float32)
    expected = X @ np.ones((4, 3), np.float32) + b
    np.testing.assert_array_equal(Pair()((X, {"b": b})), expected)
    np.testing.assert_array_equal(Two()(X, b), expected)
    spec = gx.TensorSpec(("batch", 3))
    program = gx.compile(gx.trace(Pair(), (SPEC, {"b": spec})))
    np.testing.assert_array_equal(program((X, {"b": b})), expected)


def test_outputs_of_any_nesting() -> None:
    class Point(NamedTuple):
        x: Any
        rest: Any

    class Nests(Layer):
        def call(self, x: Any) -> Any:
            return {"p": Point(x, [x + 1, (x + 2,)]), "none": None, "text": "t"}

    found = equal_both_ways(Nests(), X)
    assert isinstance(found["p"], Point)


def test_what_a_weight_refuses() -> None:
    class Bad(Layer):
        def __init__(self, **options: Any) -> None:
            self.options = options

        def build(self, shape: Any) -> None:
            self.add_weight(**{"shape": (2,), **self.options})

        def call(self, x: Any) -> Any:
            return x

    with pytest.raises(LayerError, match=r"bad/weight_0: unknown initializer 'glorot'; did you me"):
        Bad(initializer="glorot")(X)
    with pytest.raises(LayerError, match=r"made an array of shape \(3,\), the weight has \(2,\)"):
        Bad(initializer=np.zeros(3))(X)
    with pytest.raises(LayerError, match=r"bad: a weight '' of shape \[n\] cannot be built while"):
        Bad(shape=(gx.Dim("n"),))(X)
    with pytest.raises(gx.DTypeError, match="'nonsense' is not a dtype"):
        Bad(dtype="nonsense")(X)


def test_initial_weights_follow_the_seed_and_the_path() -> None:
    def first(seed: int | None) -> Any:
        model = nn.Sequential([nn.Dense(4), nn.Dense(4)])
        if seed is None:
            model(X)
        else:
            with gx.seed(seed):
                model(X)
        return [v.numpy() for v in model.weights.values()]

    np.testing.assert_equal(first(1), first(1))
    assert (first(1)[0] != first(2)[0]).any()
    assert (first(1)[0] != first(1)[2]).any()
    assert (first(None)[0] != first(None)[0]).any()


def test_variables_take_part_in_arithmetic() -> None:
    class Maths(Layer):
        def __init__(self) -> None:
            self.v = gx.Variable(np.arange(4, dtype=np.float32))
            self.n = gx.Variable(2, trainable=False)

        def call(self, x: Any) -> Any:
            y = x * self.v + self.v - 1 / (self.v + 1) @ np.ones((4, 4), np.float32)
            return np.maximum(y, self.v), -self.v, self.v[1:], self.v > 1, self.v.sum(), self.n + 1

    equal_both_ways(Maths(), X)
    assert gx.Variable([1.0, 2.0]).dtype == np.float32
    assert gx.Variable([1, 2]).dtype == np.int64
    assert gx.Variable(np.zeros(2)).dtype == np.float64


def test_a_layer_without_call() -> None:
    with pytest.raises(LayerError, match=r"Layer defines no call\(\)"):
        Layer()(X)
    with pytest.raises(LayerError, match=r"Sequential holds layers, got type .*create it first"):
        nn.Sequential([nn.Dense])


# -- functional models ----------------------------------------------------------------------------


def test_a_functional_model() -> None:
    start = gx.Input((4,), name="features")
    hidden = nn.Dense(5, activation="relu")(start)
    hidden = nn.Dropout(0.5)(hidden)
    scale = gx.Variable(np.float32(3), name="scale")
    out = nn.Dense(2)(hidden * scale + ops.sum(hidden, axis=-1, keepdims=True))
    model = gx.Model(start, out, name="net")
    graph = gx.trace(model, model.input_specs)
    assert str(graph.inputs[0].node.name) == "features"
    assert list(model.weights) == [
        "net/dense/kernel", "net/dense/bias", "net/dense_1/kernel", "net/dense_1/bias", "net/scale",
    ]  # fmt: skip
    with gx.seed(4):
        expected = model(X, training=True)
        np.testing.assert_array_equal(gx.compile(graph, training=True)(X), expected)
    assert (model(X) != expected).any()
    model.weights["net/scale"].assign(0)
    changed = gx.compile(graph)(X)
    np.testing.assert_array_equal(changed, model(X))


def test_several_inputs_and_outputs_and_nesting() -> None:
    a, b = gx.Input((4,), name="a"), gx.Input((4,), name="b")
    shared = nn.Dense(3)
    inner = gx.Model([a, b], {"sum": shared(a) + shared(b), "product": shared(a) * 2}, name="inner")
    c, d = gx.Input((4,)), gx.Input((4,))
    both = inner([c, d])
    outer = gx.Model((c, d), (both["sum"] - both["product"], c), name="outer")
    y = X + 1
    expected = outer((X, y))
    program = gx.compile(gx.trace(outer, (SPEC, SPEC)))
    np.testing.assert_equal(program((X, y)), expected)
    assert list(outer.weights) == ["outer/inner/dense/kernel", "outer/inner/dense/bias"]
    one = gx.Model({"left": a, "right": b}, a - b)
    np.testing.assert_array_equal(one({"right": y, "left": X}), X - y)


def test_a_functional_model_inside_a_subclassed_one() -> None:
    start = gx.Input((4,))
    core = gx.Model(start, nn.BatchNorm()(nn.Dense(4)(start)), name="core")

    class Whole(Layer):
        def __init__(self) -> None:
            self.core = core

        def call(self, x: Any) -> Any:
            return self.core(x, training=True)

    model = Whole()
    graph = gx.trace(model, SPEC)
    assert not graph.contexts
    assert "state @whole/core/batch_norm/moving_mean" in str(graph)


def test_what_a_functional_model_refuses() -> None:
    a, b = gx.Input((4,), name="a"), gx.Input((4,), name="b")
    with pytest.raises(LayerError, match="depends on the Input 'b', which is not listed"):
        gx.Model(a, a + b)
    with pytest.raises(LayerError, match="Model\\(\\) takes both inputs and outputs, or neither"):
        gx.Model(a)
    with pytest.raises(LayerError, match="the inputs of a Model are what Input\\(\\) returned"):
        gx.Model(a + 1, a + 2)
    with pytest.raises(LayerError, match=r"the model takes 2 inputs .*, got 1"):
        gx.Model([a, b], a + b)(X)
    with pytest.raises(LayerError, match=r"input 'a' is \[batch, 4\], got \[4\]"):
        gx.Model(a, a + 1)(X[0])
    with pytest.raises(LayerError, match=r"Input\(\) needs a shape"):
        gx.Input()
    with pytest.raises(gx.TraceError, match="depends on the data"):
        bool(ops.sum(a) > 0)
    with pytest.raises(gx.ShapeError, match=r"\[batch, 4\] and \[batch, 3\] do not broadcast"):
        _ = a + gx.Input((3,))


def test_shape_and_dtype_errors_name_the_layer_eagerly_and_in_a_trace() -> None:
    class Bad(Layer):
        def call(self, x: Any) -> Any:
            return ops.matmul(x, x)

    class Typed(Layer):
        def call(self, x: Any) -> Any:
            return ops.bitwise_and(x, 1)

    model = nn.Sequential([Bad()])
    message = r"sequential/bad: MatMul\(float32\[2, 4\], float32\[2, 4\]\): .* 4 .* 2"
    with pytest.raises(gx.ShapeError, match=message):
        model(X)
    with pytest.raises(
        gx.ShapeError, match=r"sequential/bad: MatMul\(float32\[batch, 4\].*test_la"
    ):
        gx.trace(model, SPEC)
    with pytest.raises(gx.DTypeError, match="sequential/typed: bitwise_and"):
        gx.trace(nn.Sequential([Typed()]), SPEC)
    with pytest.raises((gx.DTypeError, TypeError), match="bitwise_and"):
        nn.Sequential([Typed()])(X)
