"""Context classes: which assignments of a graph are the same program.

What a graph specializes to under an assignment is decided by its selects. Arguments whose selects
have nothing to do with each other are looked at apart, so that twenty independent switches cost
twenty steps and not a million; arguments that interact are looked at together, node by node:
each value has a table of what it can specialize to, and of the assignments that lead there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from graphctx.assignments import ALL, NONE, Cube, Space
from graphctx.builder import Builder, hashable, rebuild
from graphctx.collector import paused
from graphctx.context import REQUIRED, UNSET, value_text
from graphctx.errors import ContextError, GraphctxError, listing, suggest
from graphctx.executor.evaluate import OPEN, Evaluator, pick
from graphctx.graph import (
    Branch,
    CallGraph,
    ContextArgument,
    Node,
    Outcome,
    Raises,
    Value,
    live_nodes,
    outcome_values,
    require_graph,
)
from graphctx.passes.specialize import bind, check_value, default_of

MOST_CONDITIONS = 64
"""Conditions of one class that are worked out; beyond it they are no description."""

MOST_CLASSES = 100_000
"""Programs that arguments which interact may have; beyond it nobody can want a list."""


@dataclass(frozen=True)
class ContextClass:
    """Assignments that are the same program.

    Attributes:
        condition: the shortest text that describes them, `training=True & mode=aggressive`.
        assignment: one of them, for `compile`.
        count: how many there are.
        dead: arguments that make no difference among them, or to them.
        members: the set of them, to `Classes.united` and `Classes.conditions`.
    """

    condition: str
    assignment: Mapping[str, Any]
    count: int
    dead: tuple[str, ...]
    members: int = field(repr=False)

    def compile(self, graph: CallGraph, runtime: Sequence[str] = ()) -> Any:
        """The program of this class; see `graphctx.compile`."""
        from graphctx.program import compile

        given = {k: v for k, v in self.assignment.items() if v is not UNSET}
        return compile(graph, given, runtime=runtime)


@dataclass(frozen=True)
class _Group:
    """Arguments that interact, and the sets of assignments to them that are one program each."""

    arguments: tuple[int, ...]
    sets: tuple[int, ...]


class Classes(Sequence[ContextClass]):
    """The context classes of a graph, in a fixed order; prints as a table.

    Attributes:
        graph: whose classes they are.
        arguments: names that the conditions speak of.
        runtime: names left to run time.
        groups: names that interact, together; arguments of different groups are independent.
        assignments: number of assignments of the arguments.
    """

    def __init__(
        self,
        graph: CallGraph,
        arguments: Sequence[ContextArgument],
        runtime: Sequence[str],
        bound: Mapping[str, Any],
        space: Space,
        groups: Sequence[_Group],
    ) -> None:
        self.graph = graph
        self.runtime = tuple(runtime)
        self.arguments = tuple(a.name for a in arguments)
        self.groups = tuple(tuple(self.arguments[i] for i in g.arguments) for g in groups)
        self.assignments = math.prod(space.sizes)
        self._cases = [a.cases for a in arguments]
        self._bound = dict(bound)
        self._space = space
        self._groups = tuple(groups)

    def __len__(self) -> int:
        return math.prod(len(group.sets) for group in self._groups)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        size = len(self)
        if not -size <= index < size:
            raise IndexError(index)
        index %= size
        chosen = ALL
        for group in reversed(self._groups):
            index, position = divmod(index, len(group.sets))
            chosen = self._space.both(chosen, group.sets[position])
        return self._described(chosen)

    def __iter__(self) -> Iterator[ContextClass]:
        return (self[i] for i in range(len(self)))

    def of(self, context: Mapping[str, Any] | None = None, **values: Any) -> ContextClass:
        """The class of an assignment; arguments not given have their defaults.

        Raises:
            ContextError: an unknown name or a value outside its domain.
        """
        given = {k: v for k, v in {**(context or {}), **values}.items() if v is not None}
        for name, value in given.items():
            given[name] = check_value(self.graph, name, value)
        place = ALL
        for index, name in enumerate(self.arguments):
            value = given.get(name)
            if value is None:
                value = default_of(self.graph, self.graph.contexts[name])
            case = next(
                i for i, case in enumerate(self._cases[index]) if hashable(case) == hashable(value)
            )
            place = self._space.both(place, self._space.where(index, [case]))
        chosen = ALL
        for group in self._groups:
            [found] = [s for s in group.sets if self._space.both(s, place) != NONE]
            chosen = self._space.both(chosen, found)
        return self._described(chosen)

    def united(self, classes: Iterable[ContextClass]) -> ContextClass:
        """Several of the classes as one: for programs that turn out to be equal."""
        chosen = NONE
        for found in classes:
            chosen = self._space.either(chosen, found.members)
        return self._described(chosen)

    def within(self, conditions: Iterable[Mapping[str, Sequence[Any]]]) -> list[ContextClass]:
        """The classes with an assignment in one of some conditions, as `conditions` gives them."""
        wanted = NONE
        for condition in conditions:
            place = ALL
            for name, values in condition.items():
                index = self.arguments.index(name)
                allowed = set(map(hashable, values))
                cases = [i for i, c in enumerate(self._cases[index]) if hashable(c) in allowed]
                place = self._space.both(place, self._space.where(index, cases))
            wanted = self._space.either(wanted, place)
        found = [(wanted, ALL)] if wanted != NONE else []
        for group in self._groups:
            found = [
                (both, self._space.both(chosen, members))
                for held, chosen in found
                for members in group.sets
                if (both := self._space.both(held, members)) != NONE
            ]
        return [self._described(chosen) for _, chosen in found]

    def conditions(self, found: ContextClass) -> list[dict[str, tuple[Any, ...]]]:
        """The condition of a class as data: argument -> values, in several ways if need be.

        An assignment is in the class if each argument of one of the dicts has one of its values
        there. `UNSET` is the value of an argument that is not given where defaults differ.
        """
        return [
            {
                self.arguments[argument]: tuple(self._cases[argument][i] for i in sorted(cases))
                for argument, cases in sorted(cube.items())
            }
            for cube in self._space.cover(found.members)
        ]

    def _described(self, chosen: int) -> ContextClass:
        first = self._space.first(chosen)
        assignment = {name: self._cases[i][first[i]] for i, name in enumerate(self.arguments)}
        support = self._space.support(chosen)
        if self._space.paths(chosen) > MOST_CONDITIONS:
            one = self._condition([{i: frozenset([case]) for i, case in first.items()}])
            condition = f"among others, {one}"
        else:
            condition = self._condition(self._space.cover(chosen))
        return ContextClass(
            condition,
            {**self._bound, **assignment},
            self._space.count(chosen),
            tuple(name for i, name in enumerate(self.arguments) if i not in support),
            chosen,
        )

    def _condition(self, cubes: list[Cube]) -> str:
        texts = []
        for cube in cubes:
            parts = []
            for argument, cases in sorted(cube.items()):
                known = self._cases[argument]
                values = [value_text(known[i]) for i in sorted(cases)]
                parts.append(f"{self.arguments[argument]}={'|'.join(values)}")
            texts.append(" & ".join(parts))
        return " or ".join(texts) or "always"

    @property
    def dead(self) -> tuple[str, ...]:
        """Arguments that make no difference to any program."""
        live = {i for group in self._groups for i in group.arguments}
        return tuple(name for i, name in enumerate(self.arguments) if i not in live)

    @cached_property
    def title(self) -> str:
        """The counts in words: `24 assignments -> 3 programs`."""
        programs = len(self)
        return (
            f"{self.assignments} assignment{'s' * (self.assignments != 1)} -> "
            f"{programs} program{'s' * (programs != 1)}"
        )

    def rows(self, most: int = 50) -> list[tuple[str, str, str]]:
        """(condition, assignments, dead arguments) of the first classes, as text."""
        return [
            (c.condition, str(c.count), ", ".join(c.dead)) for c in itertools.islice(self, most)
        ]

    def __repr__(self) -> str:
        lines = [self.title]
        rows = self.rows()
        widths = [max(len(row[i]) for row in rows) for i in range(2)]
        for condition, count, dead in rows:
            line = f"  {condition.ljust(widths[0])}  {count.rjust(widths[1])}"
            lines.append(f"{line}  dead: {dead}" if dead else line)
        if self.runtime:
            lines.append(f"  left to run time: {', '.join(self.runtime)}")
        if len(self) > len(rows):
            lines.append(f"  ... and {len(self) - len(rows)} more")
        return "\n".join(lines)


@paused()
def classes(
    graph: CallGraph,
    context: Mapping[str, Any] | None = None,
    *,
    runtime: Iterable[str] = (),
    **values: Any,
) -> Classes:
    """Group the assignments of a graph by the program that they specialize to.

    Args:
        graph: as `trace` returned it, or specialized in part.
        context: argument name -> value to bind; for names that clash with parameters.
        runtime: names of arguments to leave open. Numbers that are not bound are left open anyway,
            but for those of which the trace has certain values only.
        values: as `context`, by keyword.

    Returns:
        The classes. Assignments of one class have equal residual graphs; those of different classes
        differ before optimization.

    Raises:
        ContextError: an unknown name, a value outside its domain, or a name bound and open at once.
        GraphctxError: there are too many classes to list.
    """
    require_graph(graph, "classes")
    bound = {
        name: check_value(graph, name, value)
        for name, value in {**(context or {}), **values}.items()
        if value is not None
    }
    runtime = [runtime] if isinstance(runtime, str) else list(runtime)
    for name in runtime:
        if name not in graph.contexts:
            raise ContextError(
                f"{graph.name}: runtime names {name!r}, which no layer reads"
                f"{suggest(name, graph.contexts)} (open: {listing(graph.contexts)})"
            )
        if name in bound:
            raise ContextError(
                f"{graph.name}: context argument {name!r} is both given and left to run time"
            )
    bound = {name: value for name, value in bound.items() if name in graph.contexts}
    residual = bind(graph, bound)
    arguments = []
    for name, argument in residual.contexts.items():
        if name in runtime or (argument.domain.is_numeric and not argument.enumerated):
            if name not in runtime:
                runtime.append(name)
            continue
        if argument.default is not REQUIRED or argument.cases:
            arguments.append(argument)
    space = Space([len(a.cases) for a in arguments])
    groups = _Search(residual, arguments, space).groups()
    return Classes(graph, arguments, runtime, bound, space, groups)


class _Search:
    """Finds the groups of arguments that interact, and the classes of each."""

    def __init__(
        self, graph: CallGraph, arguments: Sequence[ContextArgument], space: Space
    ) -> None:
        self.graph = graph
        self.arguments = arguments
        self.space = space
        self.index = {a.name: i for i, a in enumerate(arguments)}
        self._decided: dict[Value, list[tuple[Any, int]]] = {}
        self._reached: dict[Value, set[int]] = {}
        self._place = {node: place for place, node in enumerate(graph.nodes)}
        self._equal: dict[tuple[int, int], frozenset[int] | None] = {}
        self.live = self._live()

    # -- selectors ----------------------------------------------------------------------------

    def decided(self, selector: Value) -> list[tuple[Any, int]]:
        """(case, the assignments that lead to it) of a selector; `OPEN` is a case, too."""
        found = self._decided.get(selector)
        if found is None:
            found = self._decided[selector] = self._decide(selector)
        return found

    def _decide(self, selector: Value) -> list[tuple[Any, int]]:
        if selector.node.kind == "context":
            index = self.index.get(selector.node.name)
            if index is None:
                return [(OPEN, ALL)]
            cases = self.arguments[index].cases
            return [(case, self.space.where(index, [i])) for i, case in enumerate(cases)]
        # An expression: of few arguments, so every combination of them is evaluated.
        names = sorted(
            {n.name for n in live_nodes([selector]) if n.kind == "context"} & set(self.index)
        )
        places = [self.index[name] for name in names]
        found: dict[Any, tuple[Any, int]] = {}
        for choice in itertools.product(*(range(self.space.sizes[i]) for i in places)):
            where = ALL
            assignment = {}
            for index, case in zip(places, choice, strict=True):
                where = self.space.both(where, self.space.where(index, [case]))
                assignment[self.arguments[index].name] = self.arguments[index].cases[case]
            known = Evaluator(assignment).case(selector)
            key = hashable(known)
            found[key] = (known, self.space.either(where, found.get(key, (None, NONE))[1]))
        return list(found.values())

    def arms(self, node: Node) -> list[tuple[Value, int]]:
        """(arm, the assignments that take it) of a select; an open one may take any arm."""
        selector = node.operands[0]
        assert selector is not None
        found: dict[Value, int] = {}
        for case, where in self.decided(selector):
            if case is UNSET and UNSET not in node.attrs["cases"]:
                continue  # never reached: further out it was decided that a value is given
            taken = [v for _, v in node.arms()]
            if case is not OPEN:
                taken = [pick(selector, list(node.arms()), case)]
            for value in taken:
                found[value] = self.space.either(found.get(value, NONE), where)
        return list(found.items())

    def outcomes(self, outcome: Outcome, where: int = ALL) -> Iterator[tuple[Outcome, int]]:
        """(outcome, the assignments that lead there); of its branches only open ones are left."""
        if not isinstance(outcome, Branch):
            yield outcome, where
            return
        for case, held in self.decided(outcome.selector):
            both = self.space.both(where, held)
            if both == NONE or (case is UNSET and all(c is not UNSET for c, _ in outcome.cases)):
                continue
            if case is not OPEN:
                yield from self.outcomes(pick(outcome.selector, outcome.cases, case), both)
                continue
            found: list[tuple[tuple[tuple[Any, Outcome], ...], int]] = [((), both)]
            for key, inner in outcome.cases:
                found = [
                    ((*cases, (key, result)), under)
                    for cases, place in found
                    for result, under in self.outcomes(inner, place)
                ]
            for cases, under in found:
                yield Branch(outcome.selector, cases), under

    # -- who interacts with whom --------------------------------------------------------------

    def _live(self) -> dict[Node, int]:
        """Node -> the assignments under which the outcome needs it."""
        live: dict[Node, int] = {}

        def need(value: Value | None, where: int) -> None:
            if value is not None and where != NONE:
                live[value.node] = self.space.either(live.get(value.node, NONE), where)

        for outcome, where in self.outcomes(self.graph.outcome):
            for value in outcome_values(outcome):
                need(value, where)
        for node in reversed(self.graph.nodes):
            where = live.get(node, NONE)
            if where == NONE:
                continue
            if node.kind != "select":
                for operand in node.operands:
                    need(operand, where)
                continue
            for arm, held in self.arms(node):
                need(arm, self.space.both(where, held))
            selector = node.operands[0]
            assert selector is not None
            for case, held in self.decided(selector):
                if case is OPEN:
                    need(selector, self.space.both(where, held))
        return live

    def groups(self) -> list[_Group]:
        """The arguments that interact, each group with its classes."""
        together = list(range(len(self.arguments)))

        def root(i: int) -> int:
            while together[i] != i:
                i = together[i]
            return i

        used: set[int] = set()

        def join(members: set[int]) -> None:
            used.update(members)
            for other in members:
                together[root(other)] = root(min(members))

        outcome_support: set[int] = set()
        for _, where in self.outcomes(self.graph.outcome):
            outcome_support |= self.space.support(where)
        join(outcome_support)
        for node, where in self.live.items():
            if node.kind == "context" and node.name in self.index:
                join({self.index[node.name]})  # its value is computed with
            if node.kind != "select":
                continue
            members = self.space.support(where)
            arms = self.arms(node)
            for _, held in arms:
                members |= self.space.support(held)
            for (a, _), (b, _) in itertools.combinations(arms, 2):
                members |= self._equal_by(a, b) or frozenset()
            join(members)
        found: dict[int, list[int]] = {}
        for i in sorted(used):
            found.setdefault(root(i), []).append(i)
        groups = [self._group(tuple(members)) for members in found.values()]
        return [group for group in groups if len(group.sets) > 1]

    def _arguments_of(self, value: Value) -> set[int]:
        """The arguments that a value depends on."""
        if value not in self._reached:
            nodes = live_nodes([value])
            self._reached[value] = {
                self.index[n.name] for n in nodes if n.kind == "context" and n.name in self.index
            }
        return self._reached[value]

    def _equal_by(self, a: Value, b: Value, depth: int = 0) -> frozenset[int] | None:
        """The arguments on which it depends whether two values specialize to the same one.

        None if they never do; all arguments of both where that takes long to see. What leads to a
        value that both share makes no difference, so its own arguments are not among them.
        """
        if a is b:
            return frozenset()
        if depth > 100:
            return frozenset(self._arguments_of(a) | self._arguments_of(b))
        key = (id(a), id(b))
        if key in self._equal:
            return self._equal[key]
        self._equal[key] = None  # acyclic: never looked at while it is worked out
        first, second = a.node, b.node
        found: list[frozenset[int]] | None = None
        if first.kind == "select" or second.kind == "select":
            # The later one is taken apart: the other may be a part of it.
            later = self._place[first] > self._place[second]
            taken = second.kind != "select" or (first.kind == "select" and later)
            node, other = (first, b) if taken else (second, a)
            selector = node.operands[0]
            assert selector is not None
            ways = [self._equal_by(arm, other, depth + 1) for _, arm in node.arms()]
            equal = [way for way in ways if way is not None]
            if equal:
                found = [frozenset(self._arguments_of(selector)), *equal]
        elif first.kind == "op" and second.kind == "op" and first.op is not None:
            if (
                first.name == second.name
                and a.index == b.index
                and len(first.operands) == len(second.operands)
                and hashable(tuple(sorted(first.attrs.items())))
                == hashable(tuple(sorted(second.attrs.items())))
            ):
                found = []
                for x, y in zip(first.operands, second.operands, strict=True):
                    if x is y:
                        continue
                    way = None if x is None or y is None else self._equal_by(x, y, depth + 1)
                    if way is None:
                        found = None
                        break
                    found.append(way)
        elif {first.kind, second.kind} == {"context", "constant"}:
            # A number that is computed with may be the constant that stands elsewhere.
            found = [frozenset(self._arguments_of(a) | self._arguments_of(b))]
        result = None if found is None else frozenset().union(*found)
        self._equal[key] = result
        return result

    # -- the classes of a group ---------------------------------------------------------------

    def _group(self, members: tuple[int, ...]) -> _Group:
        """Partition the assignments to some arguments by what the graph specializes to.

        The others have their first cases meanwhile: they make no difference to the partition.
        """
        space = self.space
        here = ALL
        for i in range(len(self.arguments)):
            if i not in members:
                here = space.both(here, space.where(i, [0]))
        tables: dict[Value, list[tuple[Value, int]]] = {}
        builder = Builder(merge_calls=True)

        def table(value: Value) -> list[tuple[Value, int]]:
            return tables[value]

        for node in self.graph.nodes:
            where = space.both(self.live.get(node, NONE), here)
            if where == NONE:
                continue
            if node.kind == "context" and node.name in self.index:
                tables[node.output] = [
                    (builder.constant(case), both)
                    for case, held in self.decided(node.output)
                    if case is not UNSET and (both := space.both(where, held)) != NONE
                ]
            elif node.kind == "select" and all(
                case is not OPEN
                for case, _ in self.decided(node.operands[0])  # type: ignore[arg-type]
            ):
                found: dict[Value, int] = {}
                for arm, held in self.arms(node):
                    taken = space.both(where, held)
                    if taken == NONE:
                        continue
                    for value, under in table(arm):
                        both = space.both(taken, under)
                        if both != NONE:
                            found[value] = space.either(found.get(value, NONE), both)
                tables[node.output] = list(found.items())
            else:
                results: list[dict[Value, int]] = [{} for _ in node.outputs]
                for operands, held in self._combined(node.operands, where, table):
                    made = rebuild(node, operands, builder)
                    for outputs, value in zip(results, made, strict=True):
                        outputs[value] = space.either(outputs.get(value, NONE), held)
                for old, outputs in zip(node.outputs, results, strict=True):
                    tables[old] = list(outputs.items())
        programs: dict[Any, int] = {}
        for outcome, where in self.outcomes(self.graph.outcome):
            for key, held in self._programs(outcome, space.both(where, here), table):
                programs[key] = space.either(programs.get(key, NONE), held)
        # Without the choice for the others.
        sets = [self._forget(held, members) for held in programs.values()]
        return _Group(members, tuple(sorted(sets, key=lambda s: sorted(space.first(s).items()))))

    def _combined(
        self, operands: Sequence[Value | None], where: int, table: Any
    ) -> list[tuple[tuple[Any, ...], int]]:
        """Every combination of what the operands can specialize to, and where it holds."""
        found: list[tuple[tuple[Any, ...], int]] = [((), where)]
        for operand in operands:
            if operand is None:
                found = [((*values, None), held) for values, held in found]
                continue
            options = table(operand)
            found = [
                ((*values, value), both)
                for values, held in found
                for value, under in options
                if (both := self.space.both(held, under)) != NONE
            ]
            if len(found) > MOST_CLASSES:
                raise GraphctxError(
                    f"{self.graph.name}: more than {MOST_CLASSES} programs; bind some of "
                    f"{listing(a.name for a in self.arguments)}, or leave them to run time"
                )
        return found

    def _programs(self, outcome: Outcome, where: int, table: Any) -> Iterator[tuple[Any, int]]:
        """(what identifies a program, where it holds) for one outcome."""
        if where != NONE:
            for found, held in self._combined(list(outcome_values(outcome)), where, table):
                yield _identity(outcome, iter(found)), held

    def _forget(self, a: int, members: Sequence[int]) -> int:
        """The set without what it says of other arguments, which is one case of each."""
        for i in range(len(self.arguments)):
            if i not in members:
                a = self.space.fixed(a, i, 0)
        return a


def _identity(outcome: Outcome, values: Iterator[Value]) -> Any:
    """What tells outcomes apart, with these values in the place of their own."""
    if isinstance(outcome, Raises):
        return id(outcome.error)
    if isinstance(outcome, Branch):
        selector = next(values)
        cases = ((hashable(case), _identity(inner, values)) for case, inner in outcome.cases)
        return selector, tuple(cases)
    returned = tuple(next(values) for _ in outcome.values)
    state = []
    for path, (variable, _) in outcome.state.items():
        value = next(values)
        if value.node.kind != "weight" or value.node.data is not variable:  # else it is kept
            state.append((path, value))
    return repr(outcome.structure), returned, tuple(state)
