"""What a file of weights is to the matcher: stored arrays, and where a layer's are among them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphctx.layer import _OWN_STATE, Layer, Variable
from graphctx.spec import dtype_name
from graphctx.weights.steps import Array

Function = Callable[..., Array]


@dataclass(frozen=True)
class Stored:
    """An array in a file.

    Attributes:
        name: in the file.
        shape: as stored.
        dtype: that `read` gives.
        read: makes the array; a view into the file where that is possible.
        kind: name of the dtype in the file, where NumPy has none such.
        layer: what the file says its layer is called.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], Array]
    kind: str = ""
    layer: str = ""

    @property
    def dtype_text(self) -> str:
        """The dtype in the file."""
        return self.kind or dtype_name(self.dtype)


@dataclass(frozen=True)
class Address:
    """Where the weights at and under a layer are in a file.

    Attributes:
        text: what their names start with.
        suffix: what their names end with.
        steps: what has to be done to each of them.
    """

    text: str
    suffix: str = ""
    steps: tuple[Function, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """How a weight is made of stored arrays.

    Attributes:
        names: of the arrays.
        steps: in order; with several names, the first step joins them.
        reshapes: whether, at last, it takes the shape of the model's weight if the sizes agree: a
            convention of the layer's class, never a guess.
    """

    names: tuple[str, ...]
    steps: tuple[Function, ...] = ()
    reshapes: bool = False


@dataclass(frozen=True)
class Absent:
    """What a file does not have.

    Attributes:
        name: that it should have.
        why: an explanation, where the name is none.
    """

    name: str
    why: str = ""


class Source:
    """The arrays of a file, and where it keeps those of a layer.

    Attributes:
        path: of the file, for messages.
        stored: by name.
        ignored: names that no model loads: states of optimizers, counters.
        layout: "keras" or "torch": in which layout the weights of a layer are.
    """

    def __init__(self, path: str, stored: Iterable[Stored], layout: str) -> None:
        self.path = path
        self.stored = {entry.name: entry for entry in stored}
        self.ignored: set[str] = set()
        self.layout = layout

    def root(self, model: Layer) -> Address:
        """Where the model itself is."""
        raise NotImplementedError

    def named(self, text: str) -> Address | Absent:
        """The address of a layer that a name map gives."""
        raise NotImplementedError

    def child(self, at: Address, owner: Layer, child: Layer, label: str) -> Address | Absent:
        """The address of a sub-layer of a layer at an address."""
        raise NotImplementedError

    def recipe(self, at: Address, owner: Layer, variable: Variable, label: str) -> Recipe | Absent:
        """How a weight of a layer at an address is made."""
        raise NotImplementedError

    def from_names(
        self, names: tuple[str, ...], steps: tuple[Function, ...], owner: Layer, label: str,
        variable: Variable,
    ) -> Recipe:  # fmt: skip
        """How a weight is made of what a name map names."""
        return Recipe(names, steps)

    def close(self) -> None:
        """Close the file."""


def attributes(layer: Layer) -> list[tuple[str, Any]]:
    """(name, value) of the attributes in which a layer may hold sub-layers and weights."""
    return [
        (name, value)
        for name, value in vars(layer).items()
        if name not in _OWN_STATE and isinstance(value, (Layer, Variable, list, tuple, dict))
    ]


def kinds(layer: Layer) -> list[str]:
    """Names of the layer's class and its bases, as far as they are graphctx's own."""
    return [c.__name__ for c in type(layer).__mro__ if c.__module__.startswith("graphctx.nn.")]


def sequence(layer: Layer) -> list[Layer] | None:
    """The layers of a model that calls them one after the other."""
    if "Sequential" in kinds(layer):
        own: list[Layer] = vars(layer)["_layers"]
        return own
    return None


def is_state(owner: Layer, label: str) -> bool:
    """Whether a variable only passes something on from call to call: files need not have it."""
    return "KeyValueCache" in kinds(owner) or label.startswith("rnn_state")


def own_weights(layer: Layer) -> list[Variable]:
    """The layer's own weights, in the order of their creation, those that are trained first."""
    added = layer._added
    own = [item for _, item in layer._children() if isinstance(item, Variable)]
    if len(own) == len(added):
        own = added
    return [v for v in own if v.trainable] + [v for v in own if not v.trainable]
