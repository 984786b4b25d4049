"""The steps of a program in order: statements, chains, and the branches between them.

What only one arm of a select needs is computed in a branch of an `if` (see `graphctx.regions`). The
order of the steps is that of the text, so a statement of one branch stands before those of the
other: what is known of the memory by position holds on every way through the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from graphctx.executor.chains import Chain, arranged
from graphctx.executor.statements import Statement, statements_of
from graphctx.graph import Node, Value
from graphctx.regions import Choice, Region


@dataclass(eq=False)
class If:
    """Begins the branch of a case.

    Attributes:
        selector: that decides.
        case: in which the branch runs.
        cases: all cases of the selector.
    """

    selector: Value
    case: Any
    cases: tuple[Any, ...]


@dataclass(eq=False)
class Else:
    """Begins the branch of all other cases."""


@dataclass(eq=False)
class End:
    """Ends the branches."""


@dataclass(eq=False)
class Results:
    """The arms of one case become the results of selects.

    Attributes:
        selects: the nodes.
        arms: the arm of each.
    """

    selects: tuple[Node, ...]
    arms: list[Value]


@dataclass(eq=False)
class Merge:
    """After all branches: the selects have their results, whichever branch ran.

    Attributes:
        statements: one for each select, of all its arms.
    """

    statements: list[Statement]


Step = Statement | Chain | If | Else | End | Results | Merge


def steps_of(region: Region) -> Iterator[Step]:
    """The steps of a region and of the branches in it."""
    nodes: list[Node] = []
    for step in region.steps:
        if isinstance(step, Node):
            nodes.append(step)
            continue
        yield from arranged(statements_of(nodes))
        nodes = []
        if _computes(step):
            yield from _branches(step)
            yield Merge(statements_of(step.selects))
        else:
            yield from statements_of(step.selects)
    yield from arranged(statements_of(nodes))


def _computes(choice: Choice) -> bool:
    """Whether a branch has anything to compute; else one line picks the arm."""
    while not choice.taken.steps:
        if choice.has_last:
            return bool(choice.otherwise.steps)
        *others, inner = choice.otherwise.steps
        if others or not isinstance(inner, Choice):
            return True
        choice = inner
    return True


def _branches(choice: Choice) -> Iterator[Step]:
    yield If(choice.selector, choice.case, choice.selects[0].attrs["cases"])
    yield from steps_of(choice.taken)
    yield Results(choice.selects, choice.results(choice.case))
    yield Else()
    if choice.has_last:
        yield from steps_of(choice.otherwise)
        yield Results(choice.selects, choice.results(choice.last))
    else:
        # The last step is the choice among the other cases, of the same selects.
        *steps, inner = choice.otherwise.steps
        assert isinstance(inner, Choice)
        yield from steps_of(Region(steps=steps))
        yield from _branches(inner)
    yield End()
