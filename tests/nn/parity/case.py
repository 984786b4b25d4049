"""A case: a layer of the same arguments, here and in Keras, and what it is called with."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

import numpy as np

MODES = {"inference": False, "training": True}


@dataclasses.dataclass(frozen=True)
class Draw:
    """An array to call a layer with, drawn at random.

    Attributes:
        shape: of the array.
        dtype: of the array; bools are true with probability 0.7.
        low: smallest number; without bounds, floats are standard normal.
        high: of numbers: none is as large.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    low: float | None = None
    high: float | None = None

    def make(self, rng: np.random.Generator) -> Any:
        """The array."""
        if self.dtype == "bool":
            return rng.random(self.shape) < 0.7
        if np.dtype(self.dtype).kind in "iu":
            return rng.integers(int(self.low or 0), int(self.high or 10), self.shape, self.dtype)
        if self.low is None:
            return rng.standard_normal(self.shape).astype(self.dtype)
        return rng.uniform(self.low, 1 if self.high is None else self.high, self.shape).astype(
            self.dtype
        )


def floats(*shape: int, low: float | None = None, high: float | None = None) -> Draw:
    """Normal float32 numbers, or uniform ones between bounds."""
    return Draw(shape, "float32", low, high)


def integers(high: int, *shape: int, low: int = 0, dtype: str = "int32") -> Draw:
    """Integers in [low, high)."""
    return Draw(shape, dtype, low, high)


def bools(*shape: int) -> Draw:
    """A mask."""
    return Draw(shape, "bool")


@dataclasses.dataclass(frozen=True)
class Case:
    """A layer to compare.

    Attributes:
        layer: name of the class in `graphctx.nn`.
        options: arguments of both layers; they must have a repr that says all. A string that
            starts with "nn." is evaluated, so that a layer can be named.
        inputs: positional arguments of the call, `Draw` or lists of them.
        named: further arguments of the call, `Draw` or plain values.
        keras: Keras's name of the class, where it is another.
        keras_options: arguments that Keras's layer needs instead of ours of the same name, or
            "absent" for none. A string that starts with "keras." is evaluated.
        modes: in which it is compared: "inference", "training". Random layers have one.
        tolerance: relative and absolute.
        onnx: False, with the reason as a comment in the list, where onnxruntime has no kernel.
        note: tells apart cases of the same arguments.
    """

    layer: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    inputs: tuple[Any, ...] = (Draw((2, 3)),)
    named: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    keras: str | None = None
    keras_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    modes: tuple[str, ...] = ("inference", "training")
    tolerance: float = 1e-5
    onnx: bool = True
    note: str = ""

    def __str__(self) -> str:
        options = ",".join(f"{k}={v!r}" for k, v in self.options.items())
        shapes = ";".join(map(_described, [*self.inputs, *self.named.values()]))
        note = f" {self.note}" if self.note else ""
        return f"{self.layer}({options}) on {shapes}{note}".replace(" ", "_").replace("/", "|")

    def ours(self) -> Any:
        """Our layer."""
        from graphctx import nn

        options = {name: evaluated(value, nn=nn) for name, value in self.options.items()}
        return getattr(nn, self.layer)(**options)

    def draw(self) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of the call, as they are when fixtures are recorded."""
        rng = np.random.default_rng(7)

        def make(item: Any) -> Any:
            if isinstance(item, list):
                return [make(i) for i in item]
            return item.make(rng) if isinstance(item, Draw) else item

        return [make(i) for i in self.inputs], {k: make(v) for k, v in self.named.items()}


def evaluated(value: Any, **namespace: Any) -> Any:
    """The value, or what it says where it is code of the one module that is given."""
    (name,) = namespace
    is_code = isinstance(value, str) and value.startswith(f"{name}.")
    return eval(value, namespace) if is_code else value


def _described(item: Any) -> str:
    if isinstance(item, list):
        return "+".join(map(_described, item))
    if not isinstance(item, Draw):
        return repr(item)
    return f"{item.dtype.replace('float32', '')}{list(item.shape)}".replace(" ", "")


def leaves(nest: Any) -> list[Any]:
    """The arrays of nested lists, tuples and dicts, in order; other values are none."""
    if isinstance(nest, Mapping):
        nest = list(nest.values())
    if isinstance(nest, (list, tuple)):
        return [leaf for item in nest for leaf in leaves(item)]
    return [nest] if hasattr(nest, "shape") else []


@functools.cache
def families() -> dict[str, list[Case]]:
    """Family -> its cases."""
    package = importlib.import_module("tests.nn.parity")
    found = {}
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.startswith("cases_"):
            cases = importlib.import_module(f"tests.nn.parity.{module.name}").CASES
            names = [str(case) for case in cases]
            twice = {name for name in names if names.count(name) > 1}
            assert not twice, f"{module.name} lists {twice} twice; give one of them a note"
            found[module.name.removeprefix("cases_")] = cases
    return found
