"""Regions: which nodes run only when a select takes one of its arms.

A graph whose context is open computes, at run time, the arms that are taken and no others. This
finds, for every select, the nodes that only one of its arms needs; they form a region that an
executor or a file format runs lazily (`if` in Python, `If` in ONNX).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from graphctx.graph import Node, Value, live_nodes


@dataclass(eq=False)
class Region:
    """Nodes and choices that run together, in order.

    Attributes:
        parent: the region around it; None for that of the whole graph.
        steps: what it computes.
        depth: number of regions around it.
    """

    parent: Region | None = None
    steps: list[Node | Choice] = field(default_factory=list)
    depth: int = 0

    def inner(self) -> Region:
        """A new region in this one."""
        return Region(self, depth=self.depth + 1)


@dataclass(eq=False)
class Choice:
    """Selects on one selector that are made together: `if selector is case: ... else: ...`.

    A choice of more than two cases has the choice among the others as the last step of
    `otherwise`; it has the same selects.

    Attributes:
        selects: the select nodes that it computes.
        case: in which `taken` runs.
        taken: region of the case; the result of a select is its arm of this case.
        otherwise: region of all other cases.
        last: the case of `otherwise` where only one is left; its arms are the results there.
    """

    selects: tuple[Node, ...]
    case: Any
    taken: Region
    otherwise: Region
    last: Any = None
    has_last: bool = False

    @property
    def selector(self) -> Value:
        """The value that decides."""
        value = self.selects[0].operands[0]
        assert value is not None
        return value

    def results(self, case: Any) -> list[Value]:
        """The arm of every select for a case."""
        found = []
        for node in self.selects:
            [arm] = [v for known, v in node.arms() if known is case]
            found.append(arm)
        return found


def partition(results: Sequence[Value]) -> Region:
    """The region of the whole graph that the results need; weights and inputs are in no region.

    Selects of the same selector of which none needs another one are one choice, so that what
    several of them take from one case (a batch's mean, for an output and a moving average) is
    computed in that case only.
    """
    nodes = live_nodes(results)
    root = Region()
    groups = _grouped(nodes)
    waiting: dict[Node, int] = dict.fromkeys(nodes, 0)
    for node in nodes:
        for needed in {v.node for v in node.operands if v is not None}:
            waiting[needed] += 1
    places: dict[Node, Region] = {}  # where a node is needed so far

    def need(value: Value | None, region: Region) -> None:
        if value is not None:
            found = places.get(value.node)
            places[value.node] = region if found is None else _common(found, region)

    for value in results:
        need(value, root)
    # Users first; a group of selects comes when the users of all its members have come.
    position = {node: i for i, node in enumerate(nodes)}
    ready = [-position[node] for node in nodes if not waiting[node]]
    heapq.heapify(ready)  # so that the order of the graph stays
    arrived: dict[Any, int] = {}
    while ready:
        node = nodes[-heapq.heappop(ready)]
        members = [node]
        if node.kind == "select":
            key = groups[node]
            arrived[id(key)] = arrived.get(id(key), 0) + 1
            if arrived[id(key)] < len(key):
                continue
            members = key
        for inner in _by_region(members, places):
            region = places[inner[0]]
            if inner[0].kind == "select":
                _add_choice(tuple(inner), region, need)
            else:
                if inner[0].kind == "op":
                    region.steps.append(inner[0])
                for operand in inner[0].operands:
                    need(operand, region)
        for member in members:
            for needed in {v.node for v in member.operands if v is not None}:
                waiting[needed] -= 1
                if not waiting[needed]:
                    heapq.heappush(ready, -position[needed])
    _reverse(root)
    return root


def _common(a: Region, b: Region) -> Region:
    """The innermost region around both."""
    while a is not b:
        if a.depth < b.depth:
            a, b = b, a
        assert a.parent is not None
        a = a.parent
    return a


def _grouped(nodes: Sequence[Node]) -> dict[Node, list[Node]]:
    """Select -> the selects that it may be made together with, itself among them.

    Those have its selector and cases, and lie under as many selects as it does: so none of them
    needs another one, and no two groups need each other.
    """
    level: dict[Node, int] = {}
    groups: dict[Any, list[Node]] = {}
    found: dict[Node, list[Node]] = {}
    for node in nodes:
        above = max((level[v.node] for v in node.operands if v is not None), default=0)
        level[node] = above + (node.kind == "select")
        if node.kind == "select":
            selector = node.operands[0]
            key = (selector, tuple(map(id, node.attrs["cases"])), level[node])
            group = groups.setdefault(key, [])
            group.append(node)
            found[node] = group
    return found


def _by_region(members: list[Node], places: dict[Node, Region]) -> list[list[Node]]:
    """The selects of a group that are needed in the same region, together."""
    found: dict[int, list[Node]] = {}
    for member in members:
        found.setdefault(id(places[member]), []).append(member)
    return list(found.values())


def _add_choice(selects: tuple[Node, ...], region: Region, need: Any) -> None:
    """Make the choice of selects in a region, case by case."""
    cases = selects[0].attrs["cases"]
    for node in selects:
        need(node.operands[0], region)
    for case in cases[:-1]:
        choice = Choice(selects, case, region.inner(), region.inner())
        for value in choice.results(case):
            need(value, choice.taken)
        region.steps.append(choice)
        region = choice.otherwise
    choice.last, choice.has_last = cases[-1], True
    for value in choice.results(cases[-1]):
        need(value, region)


def _reverse(region: Region) -> None:
    """Steps were found from the results upwards."""
    stack = [region]
    while stack:
        item = stack.pop()
        item.steps.reverse()
        for step in item.steps:
            if isinstance(step, Choice):
                stack += [step.taken, step.otherwise]
