"""The name map: which layer or weight of the model is which in the file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from graphctx.errors import WeightsError
from graphctx.weights.source import Function
from graphctx.weights.steps import joins

Names = Mapping[str, Any] | Iterable[tuple[str, Any]] | Callable[[str], Any] | None


class Keep:
    """The type of `keep`."""

    def __repr__(self) -> str:
        return "keep"


keep: Final = Keep()
"""In the place of a source: the model's weights stay as they are."""


@dataclass(frozen=True)
class Target:
    """What a rule says of a layer or weight.

    Attributes:
        names: in the file.
        steps: what is done to what is stored there.
    """

    names: tuple[str, ...]
    steps: tuple[Function, ...] = ()


@dataclass
class Rule:
    """A pattern and its replacement.

    Attributes:
        key: as the user wrote it.
        pattern: that a path has to match, all of it.
        target: with references to groups of the pattern, or `keep`.
        used: whether it ever matched.
    """

    key: str
    pattern: re.Pattern[str]
    target: Target | Keep
    used: bool = field(default=False)


class NameMap:
    """What the user said of names.

    Args:
        names: see `graphctx.weights.load_weights`.

    Raises:
        WeightsError: it is not a map, or one of its patterns is no regular expression.
    """

    def __init__(self, names: Any) -> None:
        self.rules: list[Rule] = []
        self.function: Callable[[str], Any] | None = None
        if names is None:
            return
        if isinstance(names, Mapping):
            for key, value in names.items():
                target = _target(value)
                if isinstance(target, Target):  # a backslash stands for itself here
                    literal = tuple(name.replace("\\", r"\\") for name in target.names)
                    target = Target(literal, target.steps)
                self.rules.append(Rule(str(key), re.compile(re.escape(str(key))), target))
        elif callable(names):
            self.function = names
        elif isinstance(names, str) or not isinstance(names, Iterable):
            raise WeightsError(
                f"names: expected a list of pairs, a dict or a function, got "
                f"{type(names).__name__} {names!r}"
            )
        else:
            for rule in names:
                if not (isinstance(rule, tuple) and len(rule) == 2 and isinstance(rule[0], str)):
                    raise WeightsError(
                        f"names: a rule is a pair (pattern, source), got {rule!r}; for several, "
                        f"give a list of them"
                    )
                try:
                    pattern = re.compile(rule[0])
                except re.error as error:
                    raise WeightsError(
                        f"names: {rule[0]!r} is not a regular expression: {error}"
                    ) from None
                self.rules.append(Rule(rule[0], pattern, _target(rule[1])))

    def find(self, path: str, *, is_weight: bool) -> Target | Keep | None:
        """What the map says of a path; None where it says nothing.

        Args:
            path: of a layer or weight, from the model's name on.
            is_weight: functions are asked for weights only.
        """
        below = path.partition("/")[2]
        if self.function is not None:
            value = self.function(below) if is_weight else None
            return None if value is None else _target(value)
        for rule in self.rules:
            found = rule.pattern.fullmatch(below) or rule.pattern.fullmatch(path)
            if found is None:
                continue
            rule.used = True
            if isinstance(rule.target, Keep):
                return rule.target
            try:
                names = tuple(found.expand(name) for name in rule.target.names)
            except (re.error, IndexError) as error:
                raise WeightsError(
                    f"names: the source of {rule.key!r} does not fit its pattern: {error}"
                ) from None
            return Target(names, rule.target.steps)
        return None

    @property
    def unused(self) -> list[str]:
        """The keys of the rules that matched nothing."""
        return [rule.key for rule in self.rules if not rule.used]


def _target(value: Any) -> Target | Keep:
    """Read a source: `"name"`, `("name", step, ...)`, `("name", "name", join, step, ...)`."""
    if isinstance(value, Keep):
        return value
    parts = (value,) if isinstance(value, str) else value
    if isinstance(parts, tuple) and parts and isinstance(parts[0], str):
        names = tuple(part for part in parts if isinstance(part, str))
        steps = parts[len(names) :]
        if all(callable(step) for step in steps) and parts[: len(names)] == names:
            if len(names) == 1 or not steps or joins(steps[0]):
                return Target(names, steps)
            raise WeightsError(
                f"names: the source {value!r} has several names, so that its first step must join "
                f"them: add(), stack() or concat()"
            )
    raise WeightsError(
        f"names: a source is a name, or a tuple of names and then steps such as transpose(), got "
        f"{value!r}"
    )
