"""Algebraic simplification: a table of small rules, each of which says what it replaces by what.

Every rule keeps every bit of the result. So `x + 0` goes for integers only: with floats `-0.0 + 0`
is `0.0`, not `-0.0` (`x - 0` and `x + -0.0` are safe). A rule sees one node on operands that are
simplified already, and returns the value that replaces it, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphctx.builder import Builder
from graphctx.graph import CallGraph, Node, Value
from graphctx.ops.table import TABLE
from graphctx.passes.uses import transformed
from graphctx.spec import (
    Dim,
    OptionalType,
    Shape,
    bits_of,
    digits_of,
    kind_of,
    same_dim,
    same_shape,
)

Operands = Sequence[Value]
"""On which a rule sees its node. A rule knows which ones its operators may lack (None)."""

Rule = Callable[[Node, Operands, Builder], Value | None]

RULES: dict[str, list[Rule]] = {}

STEPS = 8
"""How often in a row the rules are applied to what a rule made."""

UNIFORM = 4096
"""Elements up to which a constant is looked through for whether all are equal."""


def simplify(graph: CallGraph) -> CallGraph:
    """Apply the rules to every node."""

    def transform(
        node: Node, operands: tuple[Value | None, ...], builder: Builder
    ) -> Sequence[Value] | None:
        made = apply(node, operands, builder)
        if made is None:
            return None
        for _ in range(STEPS):
            again = apply(made.node, made.node.operands, builder)
            if again is None:
                break
            made = again
        return [made]

    return transformed(graph, transform)


def apply(node: Node, operands: Sequence[Value | None], builder: Builder) -> Value | None:
    """What the first rule that matches replaces the node by."""
    if node.kind == "op" and len(node.outputs) == 1:
        for found in RULES.get(node.name, ()):
            made = found(node, operands, builder)  # type: ignore[arg-type]
            if made is not None and replaces(made, node):
                return made
    return None


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule for nodes of these operators."""

    def register(function: Rule) -> Rule:
        for name in names:
            RULES.setdefault(name, []).append(function)
        return function

    return register


# -- what the rules ask ---------------------------------------------------------------------------


def replaces(value: Value, node: Node) -> bool:
    """Whether the value has the shape and dtype of the node's output."""
    output = node.outputs[0]
    return value.dtype == output.dtype and same_shape(value.shape, output.shape)


def uniform(value: Value | None) -> Any:
    """The scalar that every element of a constant equals; None where there is none."""
    array = value.constant if value is not None else None
    if array is None or not 0 < array.size <= UNIFORM or array.dtype == object:
        return None
    first = array.reshape(-1)[0]
    if array.size > 1 and (array != first).any():
        return None
    if first == 0 and kind_of(array.dtype) in "fc" and np.signbit(array.real).any():
        # Zeros of both signs are equal numbers, but not the same operand.
        return None if not np.signbit(array.real).all() else first
    return first


def is_one(value: Value | None) -> bool:
    """Whether every element is one."""
    found = uniform(value)
    return found is not None and bool(found == 1)


def is_zero(value: Value | None, *, negative: bool = False) -> bool:
    """Whether every element is zero: for floats of the sign that is asked for."""
    found = uniform(value)
    if found is None or kind_of(found.dtype) not in "iuf" or found != 0:
        return False
    return kind_of(found.dtype) != "f" or bool(np.signbit(found)) == negative


def elements(value: Value | None) -> tuple[Any, ...] | None:
    """The elements of a small integer operand: numbers and symbolic dimensions."""
    if value is None:
        return None
    if value.constant is not None:
        return tuple(int(v) for v in value.constant.reshape(-1))
    return value.dims


def made_by(value: Value | None, *names: str) -> Node | None:
    """The node of a value if one of these operators made it."""
    if value is not None and value.node.kind == "op" and value.node.name in names:
        return value.node
    return None


def new(node: Node, builder: Builder, name: str, operands: Sequence[Any], **attrs: Any) -> Value:
    """A node in the place of another one: same layer call, same source line."""
    return builder.op(TABLE[name], operands, attrs, node.call, node.source)[0]


# -- arithmetic -----------------------------------------------------------------------------------


@rule("Add")
def add_zero(node: Node, operands: Operands, builder: Builder) -> Value | None:
    """`x + 0 -> x` for integers; `x + -0.0 -> x` for floats."""
    a, b = operands
    for x, other in ((a, b), (b, a)):
        if is_zero(other, negative=True) and replaces(x, node):
            return x
    return None


@rule("Sub")
def subtract_zero(node: Node, operands: Operands, builder: Builder) -> Value | None:
    """`x - 0 -> x`, but for floats not `x - -0.0`."""
    x, other = operands
    return x if is_zero(other) and replaces(x, node) else None


@rule("Mul")
def multiply_one(node: Node, operands: Operands, builder: Builder) -> Value | None:
    """`x * 1 -> x`."""
    a, b = operands
    for x, other in ((a, b), (b, a)):
        if is_one(other) and replaces(x, node):
            return x
    return None


@rule("Div", "Pow")
def divide_by_one(node: Node, operands: Operands, builder: Builder) -> Value | None:
    """`x / 1 -> x` and `x ** 1 -> x`."""
    x, other = operands
    return x if is_one(other) and replaces(x, node) else None


@rule("And", "Or", "Xor")
def logical_constant(node: Node, operands: Operands, builder: Builder) -> Value | None:
    """`x and True -> x`, `x or False -> x`, `x xor False -> x`."""
    a, b = operands
    for x, other in ((a, b), (b, a)):
        found = uniform(other)
        if found is not None and bool(found) == (node.name == "And") and replaces(x, node):
            return x
    return None


@rule("Neg", "Not", "BitwiseNot")
def involution(node: Node, operands: Operands, builder: Builder) -> Value | None:
    """`-(-x) -> x`, `not not x -> x`, `~~x -> x`."""
    inner = made_by(operands[0], node.name)
    return inner.operands[0] if inner is not None else None


@rule("Relu", "Abs", "Ceil", "Floor", "Round", "Sign", "Clip")
def idempotent(node: Node, operands: Operands, builder: Builder) -> Value | None:
    """`f(f(x)) -> f(x)` for Relu, Abs, Ceil, Floor, Round, Sign, and Clip to the same bounds."""
    x, *bounds = operands
    inner = made_by(x, node.name)
    if inner is None or inner.attrs != node.attrs:
        return None
    inner_bounds = [*inner.operands[1:], *[None] * len(bounds)]
    same = all(a is b for a, b in zip(bounds, inner_bounds, strict=False))
    return x if same and len(inner.operands) <= len(operands) else None


@rule("Max", "Min", "And", "Or", "BitwiseAnd", "BitwiseOr")
def same_operands(node: Node, operands: Operands, builder: Builder) -> Value | None:
    """`max(x, x) -> x`; and so `min`, `and`, `or`."""
    x = operands[0]
    return x if all(other is x for other in operands[1:]) else None


@rule("Where")
def where_known(node: Node, operands: Operands, builder: Builder) -> Value | None:
    """`where(True, a, b) -> a`, `where(False, a, b) -> b`, `where(c, a, a) -> a`."""
    condition, a, b = operands
    found = uniform(condition)
    if a is b:
        picked = a
    elif found is not None:
        picked = a if found else b
    else:
        return None
    return picked if replaces(picked, node) else None


@rule("dropout")
def dropout_of_nothing(node: Node, operands: Operands, builder: Builder) -> Value | None:
    """`dropout(x, rate=0) -> x`."""
    return operands[0] if uniform(operands[1]) == 0 else None


# -- dtypes ---------------------------------------------------------------------------------------


@rule("Identity")
def identity(node: Node, operands: Operands, builder: Builder) -> Value | None:
    """`Identity(x) -> x`."""
    return operands[0]


@rule("Cast", "CastLike")
def cast_to_same(node: Node, operands: Operands, builder: Builder) -> Value | None:
    """`Cast(x, to=x.dtype) -> x`."""
    return operands[0] if operands[0].dtype == node.outputs[0].dtype else None


@rule("CastLike")
def cast_like(node: Node, operands: Operands, builder: Builder) -> Value | None:
    """`CastLike(x, y) -> Cast(x, to=y.dtype)`, which does not need y."""
    return new(node, builder, "Cast", operands[:1], to=node.outputs[0].dtype, **node.attrs)


@rule("Cast")
def cast_of_cast(node: Node, operands: Operands, builder: Builder) -> Value | None:
    """`Cast(Cast(x, to=a), to=b) -> Cast(x, to=b)` where a holds every value of x exactly."""
    inner = made_by(operands[0], "Cast")
    if inner is None or set(node.attrs) != {"to"} or set(inner.attrs) != {"to"}:
        return None
    x = inner.operands[0]
    assert x is not None
    to = node.outputs[0].dtype
    if kind_of(to) not in "biuf" or not holds(inner.outputs[0].dtype, x.dtype):
        return None  # as text, 1 and 1.0 and True differ
    if kind_of(to) in "iu" and kind_of(inner.outputs[0].dtype) == "f" and not holds(to, x.dtype):
        # Out of range, a float wraps differently from an integer (and from another float).
        return None
    return new(node, builder, "Cast", [x], to=to)


def holds(wide: np.dtype[Any], narrow: np.dtype[Any]) -> bool:
    """Whether every number of the narrow dtype is one of the wide dtype."""
    if wide == narrow:
        return True
    if kind_of(wide) not in "biuf" or kind_of(narrow) not in "biuf" or kind_of(wide) == "b":
        return False
    if kind_of(narrow) == "b":
        return True
    if kind_of(wide) == "f" and kind_of(narrow) in "iu":
        return digits_of(wide) >= bits_of(narrow) - (kind_of(narrow) == "i")
    return bool(np.can_cast(narrow, wide, "safe"))


# -- axes and shapes ------------------------------------------------------------------------------


@rule("Transpose")
def transpose_of_nothing(node: Node, operands: Operands, builder: Builder) -> Value | None:
    """`Transpose(x, perm=[0, 1, ...]) -> x`."""
    x = operands[0]
    return x if permutation(node, x.rank) == tuple(range(x.rank)) else None


@rule("Transpose")
def transpose_of_transpose(node: Node, operands: Operands, builder: Builder) -> Value | None:
    """`Transpose(Transpose(x, p), q) -> Transpose(x, p[q])`."""
    inner = made_by(operands[0], "Transpose")
    if inner is None:
        return None
    x = inner.operands[0]
    assert x is not None
    first, second = permutation(inner, x.rank), permutation(node, x.rank)
    return new(node, builder, "Transpose", [x], perm=tuple(first[axis] for axis in second))


@rule("Transpose")
def transpose_of_ones(node: Node, operands: Operands, builder: Builder) -> Value | None:
    """`Transpose(x) -> Reshape(x)` where only axes of size 1 move: of a vector, or of a Reshape.

    Elsewhere a transpose of an image with one channel stays one, which may meet another.
    """
    x, wanted = operands[0], node.outputs[0].shape
    vector = sum(isinstance(dim, Dim) or dim != 1 for dim in wanted) <= 1
    if not vector and (made_by(x, *VIEWS) is None or not moves_ones(node, x)):
        return None
    target = shape_constant(x.shape, wanted)
    return None if target is None else new(node, builder, "Reshape", [x, builder.constant(target)])


def moves_ones(node: Node, x: Value) -> bool:
    """Whether a Transpose of x moves axes of size 1 only, so that elements keep their order."""
    perm = permutation(node, x.rank)
    kept = [axis for axis in perm if isinstance(x.shape[axis], Dim) or x.shape[axis] != 1]
    return kept == sorted(kept)


def permutation(node: Node, rank: int) -> tuple[int, ...]:
    """The permutation of a Transpose; axes are reversed where it has none."""
    perm = node.attrs.get("perm")
    return tuple(range(rank))[::-1] if perm is None else tuple(perm)


VIEWS = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")


@rule(*VIEWS)
def reshape_to_same(node: Node, operands: Operands, builder: Builder) -> Value | None:
    """`Reshape(x, shape of x) -> x`; Flatten, Squeeze, Unsqueeze, and pairs of them, likewise."""
    x = operands[0]
    if replaces(x, node):
        return x
    inner = made_by(x, *VIEWS)
    if inner is not None and inner.operands[0] is not None and replaces(inner.operands[0], node):
        return inner.operands[0]
    return None


@rule(*VIEWS)
def reshape_of_reshape(node: Node, operands: Operands, builder: Builder) -> Value | None:
    """`Reshape(Reshape(x, a), b) -> Reshape(x, b)`; Flatten, Squeeze, Unsqueeze likewise.

    A Transpose that moves axes of size 1 only is such a Reshape, too. Only where b means the same
    on x: sizes are numbers, the size of x at the same axis (0), or one -1; `Reshape(x, computed
    shape)` gets such a constant shape as well.
    """
    inner = made_by(operands[0], *VIEWS, "Transpose")
    wanted = node.outputs[0].shape
    if inner is not None and inner.name == "Transpose" and not moves_ones(inner, _of(inner)):
        inner = None
    if inner is None:
        if node.name == "Reshape" and operands[1].constant is None:
            target = shape_constant(operands[0].shape, wanted)
            if target is not None:
                return new(node, builder, "Reshape", [operands[0], builder.constant(target)])
        return None
    x = _of(inner)
    target = shape_constant(x.shape, wanted)
    if target is not None:
        return new(node, builder, "Reshape", [x, builder.constant(target)])
    if node.name == "Reshape":
        asked = operands[1].constant
        literal = bool(node.attrs.get("allowzero")) or (asked is not None and (asked != 0).all())
        if literal:
            return new(node, builder, "Reshape", [x, operands[1]], **node.attrs)
    return None


def _of(node: Node) -> Value:
    """The first operand."""
    x = node.operands[0]
    assert x is not None
    return x


def shape_constant(source: Shape, wanted: Shape) -> np.ndarray[Any, Any] | None:
    """A shape operand that reshapes `source` to `wanted` for every size of the symbols, or None.

    A symbolic size is written as 0 where it stands at the same axis of the source. Else it can
    be -1, but only beside sizes that are never 0, as -1 of nothing is ambiguous.
    """
    target: list[int] = []
    for axis, dim in enumerate(wanted):
        if not isinstance(dim, Dim):
            target.append(int(dim) or -2)  # a literal 0 would read as "copy"
        elif axis < len(source) and same_dim(source[axis], dim):
            target.append(0)
        else:
            target.append(-1)
    if -2 in target or target.count(-1) > 1 or (-1 in target and 0 in target):
        return None
    return np.array(target, np.int64)


@rule("Expand", "Tile")
def expand_to_same(node: Node, operands: Operands, builder: Builder) -> Value | None:
    """`Expand(x, shape of x) -> x`, `Tile(x, ones) -> x`."""
    x = operands[0]
    if node.name == "Tile":
        repeats = elements(operands[1])
        if repeats is None or any(isinstance(r, Dim) or r != 1 for r in repeats):
            return None
    return x if replaces(x, node) else None


@rule("Slice")
def slice_of_all(node: Node, operands: Operands, builder: Builder) -> Value | None:
    """`x[:] -> x`: steps of one that leave every size as it is."""
    x = operands[0]
    if len(operands) > 4 and operands[4] is not None:
        steps = elements(operands[4])
        if steps is None or any(isinstance(s, Dim) or s != 1 for s in steps):
            return None
    return x if replaces(x, node) else None


@rule("Pad")
def pad_by_nothing(node: Node, operands: Operands, builder: Builder) -> Value | None:
    """`Pad(x, zeros) -> x`."""
    pads = elements(operands[1])
    if pads is None or any(isinstance(p, Dim) or p != 0 for p in pads):
        return None
    return operands[0] if replaces(operands[0], node) else None


@rule("Split")
def split_into_one(node: Node, operands: Operands, builder: Builder) -> Value | None:
    """`Split(x) -> x`: into one part."""
    return operands[0]


@rule("Concat")
def concat_of_one(node: Node, operands: Operands, builder: Builder) -> Value | None:
    """`Concat(x) -> x`; operands without elements are left out."""
    axis = node.attrs["axis"]
    full = [x for x in operands if isinstance(x.shape[axis], Dim) or x.shape[axis] != 0]
    if len(operands) == 1 or len(full) == 1:
        x = (full or operands)[0]
        return x if replaces(x, node) else None
    if full and len(full) < len(operands):
        return new(node, builder, "Concat", full, **node.attrs)
    return None


# -- sequences and optionals ----------------------------------------------------------------------


def built(value: Value | None, name: str) -> Node | None:
    """The node of this operator that makes a value, if one does."""
    found = None if value is None else value.node
    return found if found is not None and found.kind == "op" and found.name == name else None


@rule("SequenceAt")
def element_of_known(node: Node, operands: Operands, builder: Builder) -> Value | None:
    """`SequenceAt(SequenceConstruct(x, y), 1) -> y`."""
    made, position = built(operands[0], "SequenceConstruct"), operands[1].constant
    if made is None or position is None:
        return None
    return made.operands[int(position.reshape(()))]


@rule("SequenceLength")
def length_of_known(node: Node, operands: Operands, builder: Builder) -> Value | None:
    """`SequenceLength(SequenceConstruct(x, y)) -> 2`."""
    made = built(operands[0], "SequenceConstruct")
    if made is None:
        return None
    return builder.constant(np.array(len(made.operands), np.int64), node.call)


@rule("OptionalGetElement")
def element_of_full(node: Node, operands: Operands, builder: Builder) -> Value | None:
    """`OptionalGetElement(Optional(x)) -> x`; of what is no optional, itself."""
    made = built(operands[0], "Optional")
    return operands[0] if made is None else made.operands[0] if made.operands else None


@rule("OptionalHasElement")
def known_to_be_full(node: Node, operands: Operands, builder: Builder) -> Value | None:
    """`OptionalHasElement(Optional(x)) -> True`; of an empty one, and of none, as well."""
    made = built(operands[0], "Optional") if operands else None
    if operands and made is None and isinstance(operands[0].dtype, OptionalType):
        return None
    full = bool(operands) and (made is None or bool(made.operands))
    return builder.constant(np.array(full), node.call)
