"""Models that the tests of the ONNX exporter share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

import graphctx as gx
from graphctx import Context, Layer, TensorSpec, Variable, ops


def weight(*shape: int, seed: int = 0, dtype: str = "float32") -> Variable:
    """A variable of normal numbers."""
    return Variable(np.random.default_rng(seed).standard_normal(shape).astype(dtype))


class Lambda(Layer):
    """A model that is one function; weights are given by name."""

    def __init__(self, function: Callable[..., Any], **weights: Any) -> None:
        self.function = function
        for name, variable in weights.items():
            setattr(self, name, variable)

    def call(self, *tensors: Any) -> Any:
        return self.function(*tensors)


class Linear(Layer):
    def __init__(self, inputs: int, units: int) -> None:
        self.kernel = weight(inputs, units)
        self.bias = weight(units, seed=1)

    def call(self, x: Any) -> Any:
        return ops.gemm(x, self.kernel, self.bias)


class Noise(Layer):
    """The only layer that reads the context."""

    def call(
        self,
        x: Any,
        *,
        training: Context[bool] = False,
        mode: Context[Literal["weak", "strong"]] = "weak",
    ) -> Any:
        if not training:
            return x
        return ops.tanh(x * {"weak": 0.5, "strong": 2.0}[mode])


class Block(Layer):
    def __init__(self, inputs: int, units: int) -> None:
        self.linear = Linear(inputs, units)
        self.noise = Noise()

    def call(self, x: Any) -> Any:
        return ops.relu(self.noise(self.linear(x)))


class Counter(Layer):
    """A running mean and a count of calls."""

    def __init__(self) -> None:
        self.mean = Variable(np.zeros(3, "float32"))
        self.count = Variable(np.zeros((), "int64"))

    def call(self, x: Any) -> Any:
        self.mean.assign(self.mean * 0.9 + ops.mean(x, axis=0) * 0.1)
        self.count.assign(self.count + 1)
        return x - self.mean


class Net(Layer):
    """Two blocks and a read-out, with a dict of outputs."""

    def __init__(self) -> None:
        self.first = Block(4, 16)
        self.second = Block(16, 16)
        self.head = Linear(16, 3)

    def call(self, features: Any) -> Any:
        hidden = self.second(self.first(features))
        scores = self.head(hidden)
        return {"scores": scores, "label": ops.argmax(scores, axis=-1)}


def net(**context: Any) -> gx.Program:
    graph = gx.trace(Net(), TensorSpec(("batch", 4), name="features"))
    return gx.compile(graph, **context)


def program(function: Callable[..., Any], *specs: TensorSpec, **weights: Any) -> gx.Program:
    """A function as a compiled program."""
    return gx.compile(gx.trace(Lambda(function, **weights), *specs))


def counter() -> gx.Program:
    return gx.compile(gx.trace(Counter(), TensorSpec(("batch", 3), name="x")))
