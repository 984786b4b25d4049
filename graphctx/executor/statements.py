"""What generated code is made of: one statement for every array that is made, and its memory.

A node is one statement, or a few where an operator has several expressions (`Op.inline`). What
programs may do with memory is decided from the facts collected here: how long an array is needed,
who else looks at its memory, and in which order its elements lie there.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from graphctx.graph import CallGraph, Node, Value
from graphctx.spec import Dim, DimLike, same_shape


@dataclass(slots=True)
class Statement:
    """One line of a program.

    Attributes:
        node: that it belongs to.
        operands: values it reads.
        outputs: values it makes.
        template: expression with `{0}` for operands and `out={out}`, as `Op.inline` has it; empty
            where the node's kernel is called, or for a select.
        writes: whether it can write its result into an array it is given.
        local: see `Op`.
    """

    node: Node
    operands: tuple[Value | None, ...]
    outputs: tuple[Value, ...]
    template: str = ""
    writes: bool = False
    local: int | None = None

    def may_overwrite(self, value: Value) -> bool:
        """Whether the result may be written into the memory of an operand.

        NumPy's own functions take any, kernels the first one.
        """
        if not self.writes:
            return False
        return bool(self.template) or all(
            (v is value) == (i == 0) for i, v in enumerate(self.operands)
        )


def statements_of(nodes: Sequence[Node]) -> list[Statement]:
    """The statements of ops and selects, in order."""
    found: list[Statement] = []
    for node in nodes:
        if node.kind == "select":
            found.append(Statement(node, node.operands, node.outputs))
        elif node.kind == "op":
            found += _of_op(node)
    return found


def _of_op(node: Node) -> Iterator[Statement]:
    op = node.op
    assert op is not None
    output = node.output
    single = len(node.outputs) == 1 and output.rank > 0
    local = op.local_axes(node) if single else None
    templates = op.templates(node) if len(node.outputs) == 1 else ()
    if not templates:
        # Kernels compute float16 in float32, and would round between their steps.
        writes = op.writes and single and output.dtype.itemsize > 2
        yield Statement(node, node.operands, node.outputs, "", writes, local)
    made = None
    for index, template in enumerate(templates):
        slots, template = _parsed(template)
        operands = tuple(made if slot == "_" else node.operands[int(slot)] for slot in slots)
        made = output
        if index < len(templates) - 1:
            made = Value(node, 0, output.shape, output.dtype)
        if index and single:
            local = 0
        yield Statement(node, operands, (made,), template, single and "{out}" in template, local)


@functools.lru_cache(maxsize=1024)
def _parsed(template: str) -> tuple[tuple[str, ...], str]:
    """The operands that an expression reads, and the expression with these numbered in order."""
    slots = tuple(dict.fromkeys(re.findall(r"\{(\d+|_)\}", template)))
    for place, slot in enumerate(slots):
        template = template.replace(f"{{{slot}}}", f"{{={place}}}")
    return slots, template.replace("{=", "{")


class Memory:
    """What is known of the memory of every value of a program.

    Attributes:
        owners: the values in whose memory a value may lie. The value alone: it has its own, made
            in this run.
        last: value -> index of the last statement that reads its memory, through any value.
        last_read: value -> index of the last statement that reads the value itself.
    """

    def __init__(
        self, graph: CallGraph, statements: Sequence[Statement], results: Sequence[Value]
    ) -> None:
        self._graph = graph
        self.owners: dict[Value, frozenset[Value]] = {}
        self.last: dict[Value, int] = {}
        self.last_read: dict[Value, int] = {}
        self._order: dict[Value, Any] = {}
        for index, statement in enumerate(statements):
            for operand in statement.operands:
                if operand is not None:
                    self._read(operand, index)
            for value in statement.outputs:
                self.last[value] = self.last_read[value] = index
                self.owners[value] = self._owners(statement, value)
                self._order[value] = self._order_of(statement, value)
        for value in results:
            self._read(value, len(statements))

    def _read(self, value: Value, index: int) -> None:
        self.last_read[value] = index
        for owner in self.owners.setdefault(value, frozenset([value])):
            self.last[owner] = index

    def _owners(self, statement: Statement, value: Value) -> frozenset[Value]:
        node = statement.node
        if node.kind == "select":
            arms = [v for v in statement.operands[1:] if v is not None]
            return frozenset().union(*(self.owners[v] for v in arms))
        if node.op is not None and node.op.view == "any":
            taken = [v for v in statement.operands if v is not None]
            return frozenset([value]).union(*(self.owners[v] for v in taken))
        if node.op is not None and node.op.view:
            first = statement.operands[0]
            assert first is not None
            return self.owners[first]
        return frozenset([value])

    def fits(self, value: Value, output: Value, index: int, others: Iterable[Value | None]) -> bool:
        """Whether an output fits into a value's memory, which is free after a statement.

        Args:
            value: made in this run, and read by none of the others through another value.
            output: of the same shape and dtype.
            index: of the last statement that may read the value.
            others: what is read until then.
        """
        return (
            value.dtype == output.dtype
            and self.last[value] <= index
            and value in self._order  # no input, weight or constant
            and self.owners[value] == {value}
            and same_shape(value.shape, output.shape)
            and all(v is value or v is None or value not in self.owners[v] for v in others)
        )

    def overwritten(self, statement: Statement, index: int) -> Value | None:
        """The operand whose memory the statement of this index can write its result into."""
        output = statement.outputs[0]
        for value in statement.operands:
            if (
                value is not None
                and statement.may_overwrite(value)
                and self.fits(value, output, index, statement.operands)
                and self._keeps_order(value, output)
            ):
                return value
        return None

    # -- order in memory ----------------------------------------------------------------------

    def row_major(self, value: Value) -> bool:
        """Whether the value certainly lies in memory row by row."""
        if value.node.kind in ("weight", "constant"):
            return bool(self._graph.array(value.node).flags.c_contiguous)
        if count_axes(value.shape) < 2:
            return value in self._order
        return self._order.get(value) is _ROWS

    def _keeps_order(self, value: Value, output: Value) -> bool:
        """Whether an output is not known to lie in another order than a value."""
        order = self._order[output]
        return order is output or self._order[value] is order or count_axes(output.shape) < 2

    def _order_of(self, statement: Statement, value: Value) -> Any:
        """`_ROWS`, the value in whose order the elements lie, or the value itself: not known.

        NumPy's elementwise functions keep the order of their operands where these agree; one that
        lies row by row decides. Reductions sum in the order of memory, so programs keep to it.
        """
        node = statement.node
        op = node.op
        if op is None or op.view:
            return value
        local = statement.local
        if local or (op.row_major and local is None):
            return _ROWS
        if local is None:
            return value
        wide = [v for v in statement.operands if v is not None and count_axes(v.shape) > 1]
        full = [v for v in wide if same_shape(v.shape, value.shape)]
        if not wide or any(self.row_major(v) for v in full):
            return _ROWS
        orders = [self._order.get(v, v) for v in full]
        if full == wide and all(order is orders[0] for order in orders):
            return orders[0]
        # Operands in several orders: the result lies in the order of its axes, in general. But of
        # what comes from kernels, the pass that moves transposes may have permuted these; then it
        # may be the order of any operand.
        kernels = [v for v in orders if isinstance(v, Value) and v.node.kind == "op"]
        return value if full == wide and kernels == orders else object()


_ROWS = object()


def count_axes(shape: Sequence[DimLike]) -> int:
    """How many axes may have more than one element."""
    return sum(isinstance(dim, Dim) or dim != 1 for dim in shape)
