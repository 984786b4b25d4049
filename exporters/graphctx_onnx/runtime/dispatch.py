"""From context values to the class that has their program: nothing but dict look-ups.

The value of a bound argument is a number, its place among the values of the argument, and an
assignment a tuple of such numbers. The class of a tuple is searched once, then remembered.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import numpy as np

from graphctx_onnx.runtime.errors import ContextError, listing, suggest
from graphctx_onnx.runtime.manifest import Argument, ContextClass, Manifest

MOST_REMEMBERED = 4096
"""Assignments whose class is remembered; then all are forgotten, and searched again."""

NOT_GIVEN = -1
"""The place of `None`: the argument is not given, and each layer has its own default."""

_MISSING = -2


class Taker:
    """Takes the values of one argument, or says what is wrong with them.

    Args:
        argument: of the bundle.
        position: of a bound argument in the assignments; -1 for one that is left to run time.
    """

    def __init__(self, argument: Argument, position: int) -> None:
        self.argument = argument
        self.position = position
        self.places = {(type(value), value): i for i, value in enumerate(argument.values)}

    def place(self, value: Any) -> int:
        """The place of a value among those of the argument.

        Raises:
            ContextError: it is none of them.
        """
        try:
            found = self.places.get((type(value), value))
        except TypeError:  # a list, an array
            found = None
        if found is None:
            value = self._plain(value)
            found = self.places.get((type(value), value))
        if found is None:
            raise self._refused(value)
        return found

    def normal(self, value: Any) -> Any:
        """The value of an argument that is left to run time, as a Python value of its type.

        Raises:
            ContextError: it is outside its domain.
        """
        if self.argument.values:
            return self.argument.values[self.place(value)]
        value = self._plain(value)
        if type(value) is int and -(1 << 63) <= value < 1 << 63 and self.argument.type == "int":
            return value
        if type(value) is float and self.argument.type == "float" and value == value:
            return value
        raise self._refused(value)

    def _plain(self, value: Any) -> Any:
        """NumPy's scalars, members of an Enum, and integers given for floats."""
        if isinstance(value, enum.Enum):
            value = value.name
        elif isinstance(value, (np.generic, np.ndarray)) and value.ndim == 0:
            value = value.item()
        if self.argument.type == "float" and type(value) is int and abs(value) <= 1 << 1000:
            value = float(value)
        return value if isinstance(value, (bool, int, float, str)) else repr(value)

    def _refused(self, value: Any) -> ContextError:
        return ContextError(
            f"context argument {self.argument.name!r} got {value!r:.80}; "
            f"allowed: {allowed_text(self.argument)}",
            self.argument.name,
            self.argument.values,
        )


def allowed_text(argument: Argument) -> str:
    """What an argument may be, in words."""
    if argument.values:
        return listing(argument.values)
    return "any integer of 64 bits" if argument.type == "int" else "any number but NaN"


class Dispatcher:
    """Finds the class of an assignment.

    Args:
        manifest: of the bundle.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        bound = [a for a in manifest.arguments.values() if a.binding == "bound"]
        self._bound = [Taker(a, position) for position, a in enumerate(bound)]
        self._takers = {taker.argument.name: taker for taker in self._bound}
        for argument in manifest.arguments.values():
            self._takers.setdefault(argument.name, Taker(argument, -1))
        self._defaults = [self._default(taker) for taker in self._bound]
        self._conditions = [
            (found, [self._places(condition) for condition in found.conditions])
            for found in manifest.classes
        ]
        self._found: dict[tuple[int, ...], ContextClass] = {}

    def find(self, context: Mapping[str, Any]) -> tuple[ContextClass, dict[str, Any]]:
        """The class of an assignment, and the values given for arguments left to run time.

        Args:
            context: argument -> value; None, or left out: not given.

        Raises:
            ContextError: an unknown name, a value outside its domain, a value that is missing, or
                an assignment that this bundle has no program for.
        """
        places = self._defaults.copy()
        given: dict[str, Any] = {}
        for name, value in context.items():
            if value is None:
                continue
            taker = self._takers.get(name)
            if taker is None:
                self._check_other(name, value)
            elif taker.position < 0:
                given[name] = taker.normal(value)
            else:
                places[taker.position] = taker.place(value)
        key = tuple(places)
        found = self._found.get(key)
        if found is None:
            found = self._search(key)
            if len(self._found) >= MOST_REMEMBERED:
                self._found.clear()
            self._found[key] = found
        return found, given

    # -- what is looked up once ---------------------------------------------------------------

    def _default(self, taker: Taker) -> int:
        if taker.argument.required:
            return _MISSING
        if taker.argument.default is None:
            return NOT_GIVEN
        return taker.place(taker.argument.default)

    def _places(self, condition: Mapping[str, tuple[Any, ...]]) -> dict[int, frozenset[int]]:
        found = {}
        for name, values in condition.items():
            taker = self._takers[name]
            places = (NOT_GIVEN if value is None else taker.place(value) for value in values)
            found[taker.position] = frozenset(places)
        return found

    def _search(self, key: tuple[int, ...]) -> ContextClass:
        for taker, place in zip(self._bound, key, strict=True):
            if place == _MISSING:
                raise required(taker.argument)
        for found, conditions in self._conditions:
            for condition in conditions:
                if all(key[position] in places for position, places in condition.items()):
                    return found
        raise self._none(key)

    def _check_other(self, name: str, value: Any) -> None:
        """Whether a name that is no argument may be given, and this value.

        Raises:
            ContextError: it may not.
        """
        manifest = self.manifest
        if name in manifest.ignored:
            return
        if name in manifest.fixed:
            fixed = manifest.fixed[name]
            if isinstance(value, enum.Enum):
                value = value.name
            elif isinstance(value, np.generic):
                value = value.item()
            if value == fixed and isinstance(value, bool) == isinstance(fixed, bool):
                return
            raise ContextError(
                f"context argument {name!r} is {fixed!r} in every program of this bundle, got "
                f"{value!r:.80}; export the model without that context for a choice",
                name,
                (fixed,),
            )
        known = [*manifest.arguments, *manifest.fixed, *manifest.ignored]
        raise ContextError(
            f"{manifest.model} has no context argument {name!r}{suggest(name, known)} "
            f"(there are: {listing(known)})",
            name,
        )

    def _none(self, key: tuple[int, ...]) -> ContextError:
        values = [
            f"{taker.argument.name}={taker.argument.values[place]}"
            for taker, place in zip(self._bound, key, strict=True)
            if place != NOT_GIVEN
        ]
        there = [found.condition for found in self.manifest.classes]
        more = f" and {len(there) - 8} more" if len(there) > 8 else ""
        return ContextError(
            f"this bundle has no program for {', '.join(values)}; it has programs for "
            f"{'; '.join(there[:8])}{more}; `graphctx bundle add` adds others"
        )


def required(argument: Argument) -> ContextError:
    """The error for an argument without a default that is not given."""
    return ContextError(
        f"context argument {argument.name!r} has no default; give it a value: "
        f"{allowed_text(argument)}",
        argument.name,
        argument.values,
    )
