"""`Lambda`."""

from __future__ import annotations

import functools
from typing import Any, Literal

import numpy as np
import pytest

import graphctx as gx
from graphctx import Context, nn, ops
from tests.nn.common import agree, close, refused, same, text, values


def test_a_function_of_one_tensor() -> None:
    x = values(3, 4)
    same(agree(nn.Lambda(lambda x: x * 2 + 1), x), x * np.float32(2) + np.float32(1))


def test_the_name_of_the_input_is_the_functions() -> None:
    graph = gx.trace(nn.Lambda(lambda image: image * 2), gx.TensorSpec((3,)))
    assert text(graph) == "graph lambda (image: float32[3])\n  %1 = Mul(image, 2)\n  return %1"


def test_several_inputs_and_outputs() -> None:
    layer = nn.Lambda(lambda a, b=None, *, c: (a + b, {"c": c}), name="both")
    x = values(3)
    total, rest = layer(x, x, c=x)
    same(total, x + x)
    assert rest["c"] is x
    spec = gx.TensorSpec((3,))
    program = gx.compile(gx.trace(layer, spec, spec, c=spec))
    same(program(x, x, c=x)[0], total)


def test_training_is_a_context_argument() -> None:
    def double(x: Any, training: bool = False) -> Any:
        return x * 2 if training else x

    model = nn.Sequential([nn.Dense(3), nn.Lambda(double)])
    x = values(2, 4)
    agree(model, x)
    close(model(x, training=True), model(x) * 2)


def test_annotated_parameters_are_context_arguments() -> None:
    Mode = Literal["off", "on"]  # local: the annotations of this file are strings

    def scaled(x: Any, *, mode: Context[Mode] = "off", scale: Context[float] = 2.0) -> Any:
        return x if mode == "off" else x * scale

    model = nn.Sequential([nn.Lambda(scaled, name="scaled"), nn.Lambda(ops.tanh)])
    x = values(2, 4)
    same(model(x), np.tanh(x))
    same(model(x, mode="on"), np.tanh(x * np.float32(2)))
    same(model(x, mode="on", scale=3.0), np.tanh(x * np.float32(3)))
    graph = gx.trace(model, gx.TensorSpec(("batch", 4)))
    assert list(graph.contexts) == ["mode", "scale"]
    assert [c.path for c in graph.contexts["mode"].consumers] == ["sequential/scaled"]
    program = gx.compile(graph, mode="on", runtime=["scale"])
    same(program(x, scale=3.0), model(x, mode="on", scale=3.0))
    with pytest.raises(gx.ContextError, match="allowed here: 'off', 'on'"):
        model(x, mode="of")
    with pytest.raises(gx.ContextError, match=r"declares a context argument 'mod'.*'mode'"):
        model(x, mod="on")


def test_a_partial_function_keeps_its_context_arguments() -> None:
    def powered(x: Any, power: float, *, invert: Context[bool] = False) -> Any:
        return 1 / x**power if invert else x**power

    layer = nn.Lambda(functools.partial(powered, power=2))
    x = np.abs(values(3)) + 1
    close(layer(x), x**2)
    close(layer(x, invert=True), 1 / x**2)
    program = gx.compile(gx.trace(layer, gx.TensorSpec((3,))), invert=True)
    same(program(x), layer(x, invert=True))


def test_each_layer_has_parameters_of_its_own() -> None:
    def first(x: Any, training: bool = False) -> Any:
        return x * 2 if training else x

    plain, consumer = nn.Lambda(lambda x: x), nn.Lambda(first)
    assert plain._declared_names() == frozenset()
    assert consumer._declared_names() == {"training"}
    assert nn.Lambda._signature.context == {}


def test_functions_python_knows_no_parameters_of() -> None:
    x = values(3)
    same(nn.Lambda(np.tanh)(x), np.tanh(x))
    agree(nn.Lambda(np.tanh), x)
    same(nn.Lambda(functools.partial(ops.clip, min=0, max=1))(x), np.clip(x, 0, 1))


def test_methods_and_callable_objects() -> None:
    class Scale:
        def __init__(self, factor: float) -> None:
            self.factor = factor

        def __call__(self, x: Any, training: bool = False) -> Any:
            return x * self.factor if training else x

        def method(self, x: Any, training: bool = False) -> Any:
            return self(x, training)

    x = values(3)
    for function in (Scale(2.0), Scale(2.0).method):
        layer = nn.Lambda(function)
        agree(layer, x)
        same(layer(x, training=True), x * np.float32(2))


def test_a_layer_as_the_function_is_a_sub_layer() -> None:
    model = nn.Lambda(nn.Dense(2))
    agree(model, values(3, 4))
    assert list(model.weights) == ["lambda/function/kernel", "lambda/function/bias"]


def test_a_variable_from_outside() -> None:
    offset = gx.Variable(np.float32(2), name="offset")
    layer = nn.Lambda(lambda x: x + offset)
    same(agree(layer, values(3)), values(3) + np.float32(2))
    assert layer.weights == {}


def test_errors() -> None:
    not_a_function: Any = 3
    refused(lambda: nn.Lambda(not_a_function), "Lambda: wraps a function, got int 3")
    refused(
        lambda: nn.Lambda(nn.Dense),
        "Lambda: wraps a function, got the class Dense; create it first",
    )

    def outside(x: Any, mode: Context[Literal["a", "b"]] = "c") -> Any:  # type: ignore[assignment]
        return x

    with pytest.raises(gx.ContextError, match="outside: the default 'c' of context argument"):
        nn.Lambda(outside)
    with pytest.raises(TypeError, match="positional"):
        nn.Lambda(lambda x: x)(values(2), values(2))
