"""What a path-exploring tracer keeps track of: decisions, runs, and the tree of what runs returned.

A `Decision` is a fork: a context argument's value, or the truth of a predicate on one. A `Run` is
one execution of a layer's `call`, on one path through its decisions; the paths of a call make a
tree of `Fork`s whose leaves are what each path returned or raised.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphctx.context import current_path, source_line
from graphctx.errors import TraceError
from graphctx.graph import Value
from graphctx.layer import Variable
from graphctx.text import context_names, expression_text
from graphctx.tree import same_static


@dataclass(frozen=True)
class Decision:
    """A fork of the exploration.

    Attributes:
        key: identifies it: `("context", name)`, `("given", name)` or `("value", id)`.
        selector: the value in the graph that decides at run time.
        cases: the outcomes to explore.
    """

    key: tuple[str, Any]
    selector: Value
    cases: tuple[Any, ...]

    @property
    def label(self) -> str:
        """What is decided, for messages."""
        kind, name = self.key
        return expression_text(self.selector) if kind == "value" else str(name)


@dataclass
class Choice:
    """The case that is taken of a decision, by its index."""

    decision: Decision
    index: int


class Run:
    """One execution of a layer's `call` on one path.

    Attributes:
        parent: the execution of the enclosing call.
        known: decision key -> case, made in this run or further out.
        labels: the same decisions for people: (name, case) in order.
        state: variables assigned in this run.
        absorbed: the enclosing run that took over this one's values, because there was one path.
        refused: what the tracer could not record; the model's own `except` must not hide it.
        decides: whether it explores what it is asked; in a body it asks the enclosing run.
    """

    __slots__ = (
        "absorbed", "choices", "decides", "known", "labels", "parent", "position", "refused",
        "state",
    )  # fmt: skip

    def __init__(self, parent: Run | None, choices: list[Choice], *, decides: bool = True) -> None:
        self.parent = parent
        self.known: dict[tuple[str, Any], Any] = dict(parent.known) if parent else {}
        self.labels: tuple[tuple[str, Any], ...] = parent.labels if parent else ()
        self.state: dict[Variable, Value] = {}
        self.choices = choices
        self.position = 0
        self.absorbed: Run | None = None
        self.refused: TraceError | None = None
        self.decides = decides

    def decide(self, decision: Decision) -> Any:
        """The case of a decision on this path; the first case where it is new."""
        key = decision.key
        if key in self.known:
            return self.known[key]
        if not self.decides and self.parent is not None:
            self.known[key] = self.parent.decide(decision)
            self.labels = self.parent.labels
            return self.known[key]
        if self.position == len(self.choices):
            if len(self.choices) >= MOST_DECISIONS:
                raise too_many_decisions(decision)
            self.choices.append(Choice(decision, 0))
        choice = self.choices[self.position]
        if choice.decision.key != key:
            raise TraceError(
                f"the call is not deterministic: when it ran again, it asked for "
                f"{decision.label!r} where it had asked for {choice.decision.label!r}; `call` must "
                f"do the same for the same context"
            )
        self.position += 1
        case = choice.decision.cases[choice.index]
        self.known[key] = case
        self.labels = (*self.labels, (decision.label, case))
        return case

    def lookup(self, variable: Variable) -> Value | None:
        """The value last assigned to a variable on this path, if any."""
        run: Run | None = self
        while run is not None:
            if variable in run.state:
                return run.state[variable]
            run = run.parent
        return None


class Lent:
    """Lists, dicts and sets that a call can reach from outside, and what was in them before.

    Args:
        path: of the call.
        nests: its arguments, and context values.
    """

    def __init__(self, path: str, *nests: Any) -> None:
        self.path = path
        self._found: list[tuple[Any, list[Any]]] = []
        for nest in nests:
            self._collect(nest)

    def _collect(self, nest: Any) -> None:
        if isinstance(nest, (list, dict, set)) and not any(c is nest for c, _ in self._found):
            self._found.append((nest, _elements(nest)))
        if isinstance(nest, (list, tuple)):
            for item in nest:
                self._collect(item)
        elif isinstance(nest, dict):
            for item in nest.values():
                self._collect(item)

    def changed(self) -> Any:
        """A container that holds something else now; None if none does."""
        for container, before in self._found:
            now = _elements(container)
            if len(now) != len(before) or any(a is not b for a, b in zip(now, before, strict=True)):
                return container
        return None


def _elements(container: Any) -> list[Any]:
    if isinstance(container, dict):
        return [item for pair in container.items() for item in pair]
    return list(container)


MOST_DECISIONS = 100
"""Decisions that one call may ask for on one path: a loop on a context number never ends."""


def too_many_decisions(decision: Decision) -> TraceError:
    """The error for `while n > 0` on a number that a trace does not know."""
    names = sorted(context_names(decision.selector))
    domains = ", ".join(f"{name!r}: [...]" for name in names)
    return TraceError(
        f"{current_path()}: one call asked for more than {MOST_DECISIONS} decisions on context "
        f"numbers, the last one for `{decision.label}` at {source_line()}; if this is a loop, name "
        f"the values to trace: trace(..., domains={{{domains}}})"
    )


@dataclass
class Leaf:
    """What one path returned."""

    value: Any
    state: dict[Variable, Value]


@dataclass
class Raised:
    """What one path raised."""

    error: Exception
    source: str
    state: dict[Variable, Value]


@dataclass
class Fork:
    """A decision, and what each of its cases led to."""

    decision: Decision
    branches: list[Tree]


Tree = Leaf | Raised | Fork


class Unmergeable(Exception):  # noqa: N818 - control flow, never seen by users
    """The cases of a decision gave results that no select can merge."""

    def __init__(self, decision: Decision) -> None:
        self.decision = decision


def grow(leaves: list[tuple[list[tuple[Decision, int]], Tree]], depth: int) -> Tree:
    """The decision tree of paths in depth-first order."""
    first, leaf = leaves[0]
    if len(first) == depth:
        return leaf
    decision = first[depth][0]
    groups: dict[int, list[Any]] = {}
    for path, item in leaves:
        groups.setdefault(path[depth][1], []).append((path, item))
    return Fork(decision, [grow(group, depth + 1) for group in groups.values()])


def restrict(tree: Tree, decision: Decision, case: Any) -> Tree:
    """The part of a tree in which a decision has one case."""
    if not isinstance(tree, Fork):
        return tree
    if tree.decision.key == decision.key:
        for known, branch in zip(tree.decision.cases, tree.branches, strict=True):
            if known is case or same_static(known, case):
                return restrict(branch, decision, case)
    return Fork(tree.decision, [restrict(b, decision, case) for b in tree.branches])


@dataclass(frozen=True)
class Comparison:
    """A context number compared with a constant: `name <operator> constant`."""

    name: str
    test: Callable[[Any, Any], bool]
    constant: float
    whole: bool


_TESTS: dict[str, tuple[Any, Any]] = {
    # operator of the graph: (number on the left, number on the right)
    "Greater": (operator.gt, operator.lt),
    "GreaterOrEqual": (operator.ge, operator.le),
    "Less": (operator.lt, operator.gt),
    "LessOrEqual": (operator.le, operator.ge),
    "Equal": (operator.eq, operator.eq),
}


def compared(value: Value) -> Comparison | None:
    """A predicate as a comparison of one context number with a constant, if it is one."""
    node = value.node
    if node.kind != "op" or node.name not in _TESTS or len(node.operands) != 2:
        return None
    for index, (number, constant) in enumerate((node.operands, node.operands[::-1])):
        if number is None or constant is None:
            return None
        if number.node.kind == "context" and constant.constant is not None:
            test = _TESTS[node.name][index]
            whole = number.node.data.domain.kind == "int"
            return Comparison(number.node.name, test, constant.constant.item(), whole)
    return None


def feasible(facts: list[tuple[Comparison, bool]]) -> bool:
    """Whether a number exists for which comparisons with constants have these outcomes.

    It is enough to try the constants, and one number between and beyond each two of them.
    """
    constants = sorted({fact.constant for fact, _ in facts})
    tries: list[float]
    if facts[0][0].whole:
        tries = [whole + step for c in constants for whole in (math.floor(c), math.ceil(c))
                 for step in (-1, 0, 1)]  # fmt: skip
    else:
        between = [(a + b) / 2 for a, b in itertools.pairwise(constants)]
        tries = [*constants, *between, -math.inf, math.inf]
    return any(all(f.test(t, f.constant) == truth for f, truth in facts) for t in tries)
