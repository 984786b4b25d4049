"""Which statements of a program run together, block by block.

A chain is a run of statements that make arrays of one shape and read each other's results, each
computed part by part (`Op.local`): elementwise ones, softmax and normalization along rows. Where
the arrays are large, a program takes all of a chain for one block before it goes to the next one,
so that what lies between its statements never leaves the cache; see `graphctx.ops.blocks`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from graphctx.executor.statements import Statement
from graphctx.graph import Node, Value
from graphctx.ops import blocks
from graphctx.spec import Dim, Shape, is_static, same_shape, size_of

LONGEST = 32
"""Statements of a chain, so that the arrays of one block fit into the cache."""

_LITTLE = 4096  # elements that may be made earlier than the model says
_NARROW = 32  # numbers of an example


@dataclass(eq=False)
class Chain:
    """Statements that run together.

    Attributes:
        shape: of what each of them makes.
        whole: how many of the last axes are not cut.
        statements: in order.
        made: what they make.
        full: operands of that shape that are made before.
    """

    shape: Shape
    whole: int = 0
    statements: list[Statement] = field(default_factory=list)
    made: dict[Value, None] = field(default_factory=dict)
    full: dict[Value, None] = field(default_factory=dict)

    def takes(self, statement: Statement) -> bool:
        """Whether a statement can be one of the chain, and has to do with it."""
        if statement.local is None or len(self.statements) == LONGEST:
            return False
        if max(self.whole, statement.local) >= len(self.shape):
            return False
        if not same_shape(statement.outputs[0].shape, self.shape):
            return False
        return not self.statements or any(
            v in self.made or v in self.full for v in statement.operands
        )

    def add(self, statement: Statement) -> None:
        """Append a statement."""
        self.statements.append(statement)
        self.whole = max(self.whole, statement.local or 0)
        self.made[statement.outputs[0]] = None
        for value in statement.operands:
            if value is not None and value not in self.made and same_shape(value.shape, self.shape):
                self.full[value] = None

    def lets_pass(self, statement: Statement) -> bool:
        """Whether a statement may run before the chain, which then may go on after it.

        The chain's operands are needed for longer: it has one, which is no larger than what comes
        of it, or the statement is next to nothing.
        """
        if any(value in self.made for value in statement.operands):
            return False
        return _is_little(statement) or (
            len(self.full) == 1 and not any(_is_view(value.node) for value in self.full)
        )

    @property
    def limit(self) -> int:
        """Number of elements up to which its arrays are small."""
        sizes: list[int] = [value.dtype.itemsize for value in (*self.made, *self.full)]
        return blocks.LARGE // max(sizes)

    @property
    def worthwhile(self) -> bool:
        """Whether there is something to gain, with large arrays.

        Two of NumPy's functions take as long in blocks as one after the other, and a batch of a few
        numbers each is hardly ever large.
        """
        kernels = sum(not statement.template for statement in self.statements)
        if len(self.statements) + bool(kernels) < 3 or not self.full:
            return False
        sizes = [dim for dim in self.shape if not isinstance(dim, Dim)]
        if len(sizes) == len(self.shape):
            return bool(size_of(sizes) > self.limit)
        return len(sizes) < len(self.shape) - 1 or bool(size_of(sizes) >= _NARROW)


def arranged(statements: Sequence[Statement]) -> list[Statement | Chain]:
    """Statements and chains, in an order in which they can run."""
    found: list[Statement | Chain] = []
    chain: Chain | None = None

    def close() -> None:
        if chain is not None:
            found.extend([chain] if chain.worthwhile else chain.statements)

    for statement in statements:
        if chain is not None:
            if chain.takes(statement):
                chain.add(statement)
                continue
            if chain.lets_pass(statement):
                found.append(statement)
                continue
            close()
        chain = None
        if statement.local is not None:
            candidate = Chain(statement.outputs[0].shape)
            if candidate.takes(statement):
                chain = candidate
                chain.add(statement)
                continue
        found.append(statement)
    close()
    return found


def _is_little(statement: Statement) -> bool:
    """Whether a statement makes next to nothing: a view, or a few numbers."""
    return _is_view(statement.node) or all(
        is_static(value.shape) and size_of(value.shape) <= _LITTLE for value in statement.outputs
    )


def _is_view(node: Node) -> bool:
    return node.op is not None and bool(node.op.view)
