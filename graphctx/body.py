"""Bodies: the sub-graphs of control flow, which a node runs as often as the data says.

A body is closed: it has no weights, no context and no selects. Whatever it takes from outside is an
operand of the node that holds it, bound to an input of the body; constants alone are its own. So a
node with bodies is a node like any other to whoever looks at a graph, and what works on graphs
works on a body's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from graphctx.builder import Builder, content_key, hashable, rebuild
from graphctx.errors import DTypeError, ShapeError
from graphctx.graph import CallGraph, Contexts, Node, Returns, Value, live_nodes
from graphctx.spec import Dim, Shape, TensorSpec, joined_dtype, same_dim
from graphctx.tree import LEAF, Structure

if TYPE_CHECKING:
    from graphctx.executor.codegen import Code
    from graphctx.tensor import Recorder


class Body:
    """A closed graph as an attribute of a node; equal where it computes the same in the same way.

    Args:
        graph: without weights, context and selects; returns a tuple of tensors.

    Attributes:
        graph: nodes in topological order, inputs in the order of their operands.
    """

    def __init__(self, graph: CallGraph) -> None:
        self.graph = graph

    @property
    def inputs(self) -> tuple[Value, ...]:
        """What the node binds its operands to."""
        return self.graph.inputs

    @property
    def outputs(self) -> tuple[Value, ...]:
        """What one run computes."""
        return self.graph.outputs

    @cached_property
    def code(self) -> Code:
        """What runs it."""
        from graphctx.executor.codegen import generate_body

        return generate_body(self.graph)

    @property
    def run(self) -> Callable[..., tuple[Any, ...]]:
        """The body as a function from arrays to arrays, none of which share memory."""
        return self.code.run_body

    @cached_property
    def _key(self) -> Any:
        numbers: dict[Value, int] = {}
        rows: list[Any] = []

        def name(values: Sequence[Value | None]) -> tuple[int | None, ...]:
            return tuple(None if v is None else numbers[v] for v in values)

        for value in self.inputs:
            numbers[value] = len(numbers)
            rows.append((_shape_key(value.shape), value.dtype, _shape_key(value.dims or ())))
        for node in live_nodes(self.outputs):
            if node.kind == "input":
                continue
            if node.kind == "constant":
                rows.append(content_key(node.data))
            else:
                attrs = tuple(sorted((k, hashable(v)) for k, v in node.attrs.items()))
                rows.append((node.name, name(node.operands), attrs))
            start = len(numbers)
            numbers.update((value, start + value.index) for value in node.outputs)
        return (tuple(rows), name(self.outputs))

    @cached_property
    def _hash(self) -> int:
        return hash(self._key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Body):
            return NotImplemented
        return self._hash == other._hash and bool(self._key == other._key)

    def __reduce__(self) -> Any:
        return Body, (self.graph,)

    def __repr__(self) -> str:
        return f"<Body of {len(self.graph.nodes)} nodes>"


def _shape_key(shape: Sequence[Any]) -> tuple[Any, ...]:
    return tuple("?" if isinstance(d, Dim) and d.is_unknown else d for d in shape)


def body_of(builder: Builder, inputs: Sequence[Value], outputs: Sequence[Value]) -> Body:
    """The body of what a builder made for it: only what its outputs need, in canonical order."""
    needed = live_nodes([*outputs, *inputs])
    structure = Structure("tuple", (LEAF,) * len(outputs))
    return Body(
        CallGraph(
            "body", tuple(needed), tuple(inputs), Returns(structure, tuple(outputs)), Contexts({})
        )
    )


def bodies_of(node: Node) -> dict[str, Body]:
    """Attribute -> body of a node."""
    return {name: value for name, value in node.attrs.items() if isinstance(value, Body)}


def listed_operands(node: Node) -> int:
    """How many operands ONNX lists; those after them are what its bodies take from outside."""
    if node.name == "If":
        return 1
    if node.name == "Loop":
        return 2 + int(node.attrs["carried"])
    if node.name == "Scan":
        return int(node.attrs["carried"]) + int(node.attrs["num_scan_inputs"])
    return len(node.operands)


def taken_by(
    node: Node, attribute: str, operands: Sequence[Value | None] | None = None
) -> Sequence[Value | None]:
    """The operands that one of a node's bodies takes from outside, bound to its last inputs.

    Args:
        node: with bodies.
        attribute: whose value the body is.
        operands: other ones than the node's, such as a pass has.
    """
    taken = (node.operands if operands is None else operands)[listed_operands(node) :]
    if attribute == "then_branch":
        return taken[: len(node.attrs[attribute].inputs)]
    if attribute == "else_branch":
        return taken[len(node.attrs["then_branch"].inputs) :]
    return taken


def bound_operands(node: Node, attribute: str) -> list[tuple[Value | None, Value]]:
    """(operand, input) of a body: what the first run takes, as far as it is an operand."""
    inputs = node.attrs[attribute].inputs
    if node.name == "If":
        return list(zip(taken_by(node, attribute), inputs, strict=True))
    first = 2 if node.name == "Loop" else 0
    return list(zip(node.operands[first:], inputs[first:], strict=True))


def all_nodes(graph: CallGraph) -> Iterator[Node]:
    """The nodes of a graph, and of the bodies in it."""
    for node in graph.nodes:
        yield from with_bodies(node)


def with_bodies(node: Node) -> Iterator[Node]:
    """A node, and the nodes of its bodies."""
    yield node
    for body in bodies_of(node).values():
        yield from all_nodes(body.graph)


def input_like(builder: Builder, value: Value) -> Value:
    """The next input of a body, for a value outside: what is known of that is known inside."""
    made = builder.input(value, f"in_{len(builder.nodes)}")
    made.dims = value.dims
    return made


class Scope:
    """What is recorded for one body, by a builder that records other things before and after.

    Nodes made in a scope are the body's own, and are not found again outside of it: what one branch
    computes does not become what another one takes over. `Builder.scope` makes it.

    Attributes:
        inputs: placeholders for the body's inputs.
        nodes: they, and what was made in it.
    """

    def __init__(self) -> None:
        self.inputs: list[Value] = []
        self.nodes: set[Node] = set()

    def input(self, shape: Shape, dtype: Any) -> Value:
        """A placeholder of the next input."""
        node = Node("input", f"in_{len(self.inputs)}")
        node.outputs = (Value(node, 0, shape, dtype),)
        self.inputs.append(node.output)
        self.nodes.add(node)
        return node.output

    def close(self, results: Sequence[Value]) -> tuple[Body, tuple[Value, ...]]:
        """The body that computes the results.

        Returns:
            The body, and the values outside that it takes: operands for its last inputs.
        """
        builder = Builder()
        new = {value: input_like(builder, value) for value in self.inputs}
        captured: list[Value] = []

        def inside(value: Value | None) -> Value | None:
            if value is None or value in new:
                return None if value is None else new[value]
            if value.node.kind == "constant":
                made = builder.adopt(value.node).output
            else:
                captured.append(value)
                made = input_like(builder, value)
            new[value] = made
            return made

        own = self.nodes - {value.node for value in self.inputs}
        for node in live_nodes(results, lambda node: node.operands if node in own else ()):
            if node in own:
                operands = tuple(map(inside, node.operands))
                new.update(zip(node.outputs, rebuild(node, operands, builder), strict=True))
        outputs = [inside(value) for value in results]
        inputs = [new[value] for value in (*self.inputs, *captured)]
        return body_of(builder, inputs, [v for v in outputs if v is not None]), tuple(captured)


# -- shapes of what is carried --------------------------------------------------------------------


def either_shape(a: Sequence[Any], b: Sequence[Any]) -> Shape:
    """The shape of what has one shape or the other, of one rank: sizes that differ are unknown."""
    return tuple(x if same_dim(x, y) else Dim.unknown() for x, y in zip(a, b, strict=True))


def record_body(
    recorder: Recorder,
    first: Sequence[tuple[Shape, Any]],
    carried: Sequence[tuple[Shape, Any]],
    record: Callable[[list[Value]], Sequence[Value]],
    start: int,
) -> tuple[Body, tuple[Value, ...]]:
    """Record the body of a loop until what it carries on fits what it takes.

    A size that changes from one run to the next is unknown in the body.

    Args:
        recorder: that records.
        first: shape and dtype of the inputs before those that are carried.
        carried: shape and dtype of what is carried, as it is at first.
        record: computes the body's outputs from its inputs; is called again where sizes change.
        start: number of outputs before those that are carried on.

    Returns:
        As `Scope.close`.

    Raises:
        ShapeError, DTypeError: what is carried on has another rank or dtype than at first.
    """
    while True:
        with recorder.scope() as scope:
            inputs = [scope.input(shape, dtype) for shape, dtype in (*first, *carried)]
            recorder.name_sizes(inputs)
            results = record(inputs)
        made = results[start : start + len(carried)]
        for index, ((shape, dtype), value) in enumerate(zip(carried, made, strict=True)):
            require_same_kind(shape, dtype, value, index)
        pairs = zip(carried, made, strict=True)
        wider = [
            (_widened(shape, value.shape), joined_dtype(dtype, value.dtype))
            for (shape, dtype), value in pairs
        ]
        if all(
            new[1] == old[1] and all(a is b for a, b in zip(new[0], old[0], strict=True))
            for new, old in zip(wider, carried, strict=True)
        ):
            return scope.close(results)
        carried = wider


def require_same_kind(shape: Sequence[Any], dtype: Any, made: Any, index: int) -> None:
    """Raise unless what a body makes of a value has the value's dtype and rank.

    Raises:
        ShapeError, DTypeError: it has not.
    """
    differ = joined_dtype(made.dtype, dtype) is None
    if differ or len(made.shape) != len(shape):
        kind = DTypeError if differ else ShapeError
        raise kind(
            f"value {index} that is carried is {TensorSpec(shape, dtype)} at first, "
            f"and the body makes {TensorSpec(made.shape, made.dtype)} of it"
        )


def _widened(shape: Sequence[Any], found: Sequence[Any]) -> Shape:
    """The shape of what has one shape at first and another one later; its sizes if they stay."""
    return tuple(
        x if same_dim(x, y) or (isinstance(x, Dim) and x.is_unknown) else Dim.unknown()
        for x, y in zip(shape, found, strict=True)
    )


def output_shape(body: Body, value: Value) -> Shape:
    """The shape of a body's output for who is outside: sizes found inside have no name there."""
    known = {
        symbol
        for given in body.inputs
        for dim in given.shape
        if isinstance(dim, Dim)
        for symbol in dim.symbols
    }
    return tuple(
        Dim.unknown() if isinstance(d, Dim) and d.is_unknown and not d.symbols <= known else d
        for d in value.shape
    )


def as_number(dim: Any) -> int:
    """A size of an array that nothing was computed for: 0 where it has no number."""
    return 0 if isinstance(dim, Dim) else int(dim)
