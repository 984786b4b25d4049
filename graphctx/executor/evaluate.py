"""What bound context decides: expressions of context arguments, and so selects and outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphctx.context import GIVEN, UNSET
from graphctx.errors import GraphctxError
from graphctx.executor.interpret import run_op
from graphctx.graph import Branch, Node, Outcome, Value
from graphctx.tree import same_static

OPEN = object()  # what a selector is that the assignment does not decide
_ANY = object()  # what a selector is that only matters where an argument is given, and it is not


class Evaluator:
    """What the assignment decides: context expressions, and so selects and outcomes."""

    def __init__(self, assignment: Mapping[str, Any]) -> None:
        self.assignment = assignment
        self.values: dict[Value, Any] = {}
        self._unknown: set[Value] = set()
        # Values computed from an argument that is bound to "not given". Only the other case of
        # that decision, which was made further in, ever looks at them: any value will do.
        self._unset: set[Value] = set()

    def evaluate(self, value: Value) -> Any:
        """The array of a value that context alone decides, or None."""
        stack = [value]
        while stack:
            top = stack[-1]
            if self._visited(top):
                stack.pop()
                continue
            node = top.node
            if node.kind == "constant":
                self.values[top] = node.data
            elif node.kind == "context":
                given = self.assignment.get(node.name, OPEN)
                if given is UNSET:
                    self._unset.add(top)
                elif given is OPEN or top.dtype is None:
                    self._unknown.add(top)
                else:
                    self.values[top] = np.asarray(given, top.dtype)
            elif node.kind in ("input", "weight"):
                self._unknown.add(top)
            elif node.kind == "select":
                selector = node.operands[0]
                assert selector is not None
                if not self._visited(selector):
                    stack.append(selector)
                    continue
                taken = self.taken(node)
                if taken is None:
                    self._unknown.add(top)
                elif not self._visited(taken):
                    stack.append(taken)
                    continue
                elif taken in self.values:
                    self.values[top] = self.values[taken]
                else:
                    (self._unset if taken in self._unset else self._unknown).add(top)
            else:
                operands = [v for v in node.operands if v is not None]
                if any(v in self._unset for v in operands):
                    self._unset.add(top)
                elif any(v in self._unknown for v in operands):
                    self._unknown.add(top)
                else:
                    missing = [v for v in operands if v not in self.values]
                    if missing:
                        # One at a time: the first one that is unknown settles it.
                        stack.append(missing[0])
                        continue
                    self._run(top)
            stack.pop()
        return self.values.get(value)

    def _visited(self, value: Value) -> bool:
        return value in self.values or value in self._unknown or value in self._unset

    def _run(self, value: Value) -> None:
        node = value.node
        operands = [None if v is None else self.values[v] for v in node.operands]
        try:
            with np.errstate(all="ignore"):
                results = run_op(node, operands)
            self.values.update(zip(node.outputs, results, strict=True))
        except Exception:
            self._unknown.update(node.outputs)  # left for the run, which will say what is wrong

    def case(self, selector: Value) -> Any:
        """The value a selector has, `OPEN` where it is open, `_ANY` where none matters."""
        node = selector.node
        if node.kind == "context":
            return self.assignment.get(node.name, OPEN)
        known = self.evaluate(selector)
        if known is None:
            return _ANY if selector in self._unset else OPEN
        return known.item()

    def taken(self, node: Node) -> Value | None:
        """The arm of a select, None where it is open."""
        selector = node.operands[0]
        assert selector is not None
        case = self.case(selector)
        return None if case is OPEN else pick(selector, list(node.arms()), case)

    def resolve(self, outcome: Outcome) -> Outcome:
        """The outcome without the branches that are decided."""
        while isinstance(outcome, Branch):
            case = self.case(outcome.selector)
            if case is OPEN:
                return Branch(
                    outcome.selector,
                    tuple((key, self.resolve(inner)) for key, inner in outcome.cases),
                )
            outcome = pick(outcome.selector, outcome.cases, case)
        return outcome


def pick(selector: Value, cases: Any, case: Any) -> Any:
    """What belongs to a case of a selector, of pairs (case, what belongs to it)."""
    for known, chosen in cases:
        if (
            case is _ANY
            or known is case
            or (known is GIVEN and case is not UNSET)
            or same_static(known, case)
        ):
            return chosen
    raise GraphctxError(f"select on {selector.node.name} has no case {case!r}")
