"""Sets of context assignments, as reduced ordered multi-valued decision diagrams.

A set is a number. 0 is the empty set, 1 holds every assignment; any other number stands for a node
that looks at one argument and has one set for each of its cases. Equal sets are equal numbers, so
sets can be compared, and used as keys, at no cost: R. E. Bryant, "Graph-based algorithms for
Boolean function manipulation" (1986), with more than two branches.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

NONE = 0
ALL = 1

Cube = dict[int, frozenset[int]]
"""Argument -> the cases it may have; arguments that are missing may have any."""


class Space:
    """All assignments to some arguments, and the sets of them.

    Args:
        sizes: number of cases of each argument. Arguments and cases are named by their positions.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = tuple(sizes)
        self._nodes: list[tuple[int, tuple[int, ...]]] = [(len(self.sizes), ())] * 2
        self._made: dict[tuple[int, tuple[int, ...]], int] = {}
        self._memo: dict[tuple[str, int, int], int] = {}

    def _node(self, argument: int, branches: tuple[int, ...]) -> int:
        if all(branch == branches[0] for branch in branches):
            return branches[0]
        key = (argument, branches)
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = len(self._nodes)
            self._nodes.append(key)
        return found

    def where(self, argument: int, cases: Iterable[int]) -> int:
        """The assignments in which an argument has one of these cases."""
        chosen = set(cases)
        return self._node(argument, tuple(int(i in chosen) for i in range(self.sizes[argument])))

    def both(self, a: int, b: int) -> int:
        """The assignments in both sets."""
        if a == b or b == ALL:
            return a
        if a == ALL:
            return b
        if NONE in (a, b):
            return NONE
        return self._apply("both", min(a, b), max(a, b))

    def either(self, a: int, b: int) -> int:
        """The assignments in at least one of the sets."""
        if a == b or b == NONE:
            return a
        if a == NONE:
            return b
        if ALL in (a, b):
            return ALL
        return self._apply("either", min(a, b), max(a, b))

    def without(self, a: int, b: int) -> int:
        """The assignments in the first set, but not in the second."""
        if a in (b, NONE) or b == ALL:
            return NONE
        return a if b == NONE else self._apply("without", a, b)

    def _apply(self, operation: str, a: int, b: int) -> int:
        key = (operation, a, b)
        found = self._memo.get(key)
        if found is None:
            top = min(self._nodes[a][0], self._nodes[b][0])
            pairs = zip(self._branches(a, top), self._branches(b, top), strict=True)
            combine = getattr(self, operation)
            found = self._node(top, tuple(combine(x, y) for x, y in pairs))
            self._memo[key] = found
        return found

    def _branches(self, a: int, argument: int) -> tuple[int, ...]:
        own, branches = self._nodes[a]
        return branches if own == argument else (a,) * self.sizes[argument]

    def support(self, a: int) -> set[int]:
        """The arguments on which it depends whether an assignment is in the set."""
        found: set[int] = set()
        seen = set()
        stack = [a]
        while stack:
            item = stack.pop()
            if item > ALL and item not in seen:
                seen.add(item)
                argument, branches = self._nodes[item]
                found.add(argument)
                stack.extend(branches)
        return found

    def count(self, a: int) -> int:
        """Number of assignments in the set."""
        known: dict[int, int] = {NONE: 0, ALL: 1}

        def below(item: int, argument: int) -> int:
            """Assignments to the arguments from this one on."""
            own, branches = self._nodes[item]
            if item not in known:
                known[item] = sum(below(branch, own + 1) for branch in branches)
            return known[item] * math.prod(self.sizes[argument:own])

        return below(a, 0)

    def first(self, a: int) -> dict[int, int]:
        """Argument -> case of the first assignment in the set, which must not be empty."""
        found = dict.fromkeys(range(len(self.sizes)), 0)
        while a != ALL:
            argument, branches = self._nodes[a]
            case = next(i for i, branch in enumerate(branches) if branch != NONE)
            found[argument], a = case, branches[case]
        return found

    def paths(self, a: int) -> int:
        """Number of ways through the diagram: at most so many conditions are needed."""
        known = {NONE: 0, ALL: 1}

        def ways(item: int) -> int:
            if item not in known:
                known[item] = sum(map(ways, self._nodes[item][1]))
            return known[item]

        return ways(a)

    def cover(self, a: int) -> list[Cube]:
        """Few and short conditions whose union is the set; see `_irredundant`."""
        if a in (NONE, ALL):
            return [{}] if a else []
        support = sorted(self.support(a))
        orders: Iterable[tuple[int, ...]] = itertools.permutations(support)
        if len(support) > 4:
            orders = [tuple(support), tuple(reversed(support))]
        covers = [self._irredundant(a, a, order)[0] for order in orders]
        return min(covers, key=lambda cubes: (sum(map(len, cubes)), len(cubes)))

    def _irredundant(self, low: int, high: int, order: Sequence[int]) -> tuple[list[Cube], int]:
        """Conditions that hold in all of `low`, and nowhere outside `high`; and where they hold.

        S. Minato, "Fast generation of irredundant sum-of-products forms from binary decision
        diagrams" (1992), with cases that lead to the same set taken together.
        """
        if low == NONE:
            return [], NONE
        if high == ALL:
            return [{}], ALL
        argument, *rest = order
        lows = [self.fixed(low, argument, i) for i in range(self.sizes[argument])]
        highs = [self.fixed(high, argument, i) for i in range(self.sizes[argument])]
        everywhere = highs[0]
        for item in highs[1:]:
            everywhere = self.both(everywhere, item)
        cubes: list[Cube] = []
        covered = [NONE] * len(lows)
        # What no condition on the rest alone can cover needs one on this argument.
        for target in dict.fromkeys(highs):
            cases = frozenset(i for i, item in enumerate(highs) if item == target)
            needed = NONE
            for i in cases:
                needed = self.either(needed, self.without(lows[i], everywhere))
            found, held = self._irredundant(needed, target, rest)
            cubes += [{argument: cases, **cube} for cube in found]
            for i in cases:
                covered[i] = held
        left = NONE
        for item, held in zip(lows, covered, strict=True):
            left = self.either(left, self.without(item, held))
        found, held = self._irredundant(left, everywhere, rest)
        cubes += found
        union = self._node_of(argument, [self.either(item, held) for item in covered])
        return cubes, union

    def fixed(self, a: int, argument: int, case: int) -> int:
        """The set with one argument fixed, as a set that does not depend on it."""
        own, branches = self._nodes[a]
        if own > argument:
            return a
        if own == argument:
            return branches[case]
        key = (f"fixed {argument}", a, case)
        if key not in self._memo:
            self._memo[key] = self._node(
                own, tuple(self.fixed(branch, argument, case) for branch in branches)
            )
        return self._memo[key]

    def _node_of(self, argument: int, branches: Sequence[int]) -> int:
        """Which of the sets holds is decided by an argument of any position."""
        union = NONE
        for case, branch in enumerate(branches):
            union = self.either(union, self.both(self.where(argument, [case]), branch))
        return union
