"""Nested tuples, lists and dicts of tensors: flatten, rebuild, name the leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Structure:
    """The shape of a nest without its tensors.

    Attributes:
        kind: `"leaf"`, `"tuple"`, `"list"`, `"dict"`, `"named"` or `"static"`.
        children: of a container.
        data: keys of a dict, class of a named tuple, value of a static leaf.
    """

    kind: str
    children: tuple[Structure, ...] = ()
    data: Any = None

    @property
    def leaves(self) -> int:
        """Number of tensors in the nest."""
        return 1 if self.kind == "leaf" else sum(child.leaves for child in self.children)

    def build(self, leaves: Iterator[Any]) -> Any:
        """Put the leaves, taken in order, back into the nest."""
        if self.kind == "leaf":
            return next(leaves)
        if self.kind == "static":
            return self.data
        values = [child.build(leaves) for child in self.children]
        if self.kind == "tuple":
            return tuple(values)
        if self.kind == "list":
            return values
        if self.kind == "dict":
            return dict(zip(self.data, values, strict=True))
        return self.data(*values)

    def names(self, prefix: str) -> list[str]:
        """A readable, unique name for every leaf, such as `x`, `x_0` or the key of a dict."""
        if self.kind == "leaf":
            return [prefix]
        if self.kind == "dict":
            keys = [str(key) for key in self.data]
        elif self.kind == "named":
            keys = list(self.data._fields)
        else:
            keys = [f"{prefix}_{i}" if prefix else f"output_{i}" for i in range(len(self.children))]
        found: list[str] = []
        for key, child in zip(keys, self.children, strict=True):
            found += child.names(key)
        return found


LEAF = Structure("leaf")


def flatten(value: Any, is_leaf: Callable[[Any], bool]) -> tuple[list[Any], Structure]:
    """Return the leaves of a nest in order, and its structure; all else is static."""
    leaves: list[Any] = []
    return leaves, _flatten(value, is_leaf, leaves)


def _flatten(value: Any, is_leaf: Callable[[Any], bool], leaves: list[Any]) -> Structure:
    if is_leaf(value):
        leaves.append(value)
        return LEAF
    if isinstance(value, tuple):
        children = tuple(_flatten(item, is_leaf, leaves) for item in value)
        if hasattr(value, "_fields"):
            return Structure("named", children, type(value))
        return Structure("tuple", children)
    if isinstance(value, list):
        return Structure("list", tuple(_flatten(item, is_leaf, leaves) for item in value))
    if isinstance(value, dict):
        return Structure(
            "dict",
            tuple(_flatten(item, is_leaf, leaves) for item in value.values()),
            tuple(value),
        )
    return Structure("static", (), value)


def same_structure(a: Structure, b: Structure) -> bool:
    """Whether two nests have the same containers and equal static values."""
    if a.kind != b.kind or len(a.children) != len(b.children):
        return False
    if a.kind == "static":
        return same_static(a.data, b.data)
    return a.data == b.data and all(map(same_structure, a.children, b.children))


def same_static(a: Any, b: Any) -> bool:
    """Equality of plain Python values, strict about their types; never raises."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return bool(a.hex() == b.hex())  # tells -0.0 from 0.0, and takes NaN for itself
    if isinstance(a, np.ndarray):
        if a.dtype == object or a.dtype != b.dtype or a.shape != b.shape:
            return bool(a.dtype == b.dtype and np.array_equal(a, b))
        return bool(
            a.tobytes() == b.tobytes()
        )  # bits: tells -0.0 from 0.0, and takes NaN for itself
    try:
        return bool(a == b)
    except Exception:
        return False


def map_leaves(value: Any, function: Callable[[Any], Any], is_leaf: Callable[[Any], bool]) -> Any:
    """Apply a function to every leaf of a nest."""
    if is_leaf(value):
        return function(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(map_leaves(item, function, is_leaf) for item in value))
    if isinstance(value, (tuple, list)):
        return type(value)(map_leaves(item, function, is_leaf) for item in value)
    if isinstance(value, Mapping):
        return {key: map_leaves(item, function, is_leaf) for key, item in value.items()}
    return value


def any_leaf(value: Any, is_leaf: Callable[[Any], bool]) -> bool:
    """Whether a nest has a leaf."""
    if is_leaf(value):
        return True
    if isinstance(value, Mapping):
        return any(any_leaf(item, is_leaf) for item in value.values())
    if isinstance(value, Sequence) and isinstance(value, (tuple, list)):
        return any(any_leaf(item, is_leaf) for item in value)
    return False
