"""Making nodes and graphs: equal nodes are made once; passes rewrite a graph node by node."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphctx.errors import ShapeError
from graphctx.graph import Call, CallGraph, ContextArgument, Node, Value, map_outcome
from graphctx.spec import (
    Shape,
    TensorSpec,
    as_dtype,
    dtype_name,
    is_extended,
    joined_dtype,
    joined_shape,
    kind_of,
)

if TYPE_CHECKING:
    from graphctx.body import Scope
    from graphctx.ops.table import Op


class Builder:
    """Makes nodes; equal nodes are made once.

    Args:
        merge_calls: whether equal nodes of different layer calls are one node too.
    """

    def __init__(self, *, merge_calls: bool = False) -> None:
        self.nodes: list[Node] = []
        self._made: dict[Any, Node] = {}
        self._merge_calls = merge_calls
        self._scopes: list[tuple[Scope, dict[Any, Node]]] = []
        self._contextual: set[Value] = set()

    def _add(self, key: Any, node: Node, outputs: Iterable[tuple[Shape, Any]]) -> Node:
        node.outputs = tuple(
            Value(node, i, tuple(shape), dtype) for i, (shape, dtype) in enumerate(outputs)
        )
        if self._contextual and any(v in self._contextual for v in node.operands):
            decided = all(
                v is None or v in self._contextual or v.node.kind == "constant"
                for v in node.operands
            )
            if decided:
                self._contextual.update(node.outputs)
        return self._keep(key, node)

    def _keep(self, key: Any, node: Node) -> Node:
        leaf = node.kind not in ("op", "select")
        if self._scopes and not leaf and node.output not in self._contextual:
            scope, made = self._scopes[-1]
            scope.nodes.add(node)
            made[key] = node
        else:
            self.nodes.append(node)
            self._made[key] = node
        return node

    def _find(self, key: Any) -> Node | None:
        """The node that was made for a key, in an open scope or outside."""
        if not self._scopes:
            return self._made.get(key)
        tables = [self._made, *(made for _, made in self._scopes)]
        return next((table[key] for table in reversed(tables) if key in table), None)

    @contextlib.contextmanager
    def scope(self) -> Iterator[Scope]:
        """Nodes that are made in this block belong to a body; see `graphctx.body`.

        Leaves do not, nor does what context alone decides: a decision is made outside of bodies.
        """
        from graphctx.body import Scope

        self._scopes.append((Scope(), {}))
        try:
            yield self._scopes[-1][0]
        finally:
            self._scopes.pop()

    def adopt(self, node: Node) -> Node:
        """Take over an unchanged node of another graph, or the equal node that is here."""
        key = self._key_of(node)
        made = self._find(key)
        return self._keep(key, node) if made is None else made

    def _key_of(self, node: Node) -> Any:
        if node.kind == "op":
            return self.op_key(node.op, node.operands, node.attrs, node.call)
        if node.kind == "select":
            return ("select", tuple(map(id, node.operands)), hashable(node.attrs["cases"]))
        if node.kind == "constant":
            if node.key is None:
                node.key = content_key(node.data)
            return node.key
        if node.kind == "weight":
            return ("weight", id(node.data))
        return (node.kind, node.name)

    def op_key(
        self, op: Any, operands: Sequence[Value | None], attrs: Mapping[str, Any], call: Call | None
    ) -> Any:
        """What makes two op nodes the same node."""
        frozen = tuple(sorted((k, hashable(v)) for k, v in attrs.items())) if attrs else ()
        where = None if self._merge_calls else id(call)
        return (op.name, tuple(map(id, operands)), frozen, where)

    def input(self, spec: TensorSpec | Value, name: str, role: str = "data") -> Value:
        """A named input of the spec's shape and dtype; `role` is `data` or `seed`."""
        made = self._made.get(("input", name))
        if made is None:
            node = Node("input", name, attrs={"role": role} if role != "data" else None)
            made = self._add(("input", name), node, [(spec.shape, spec.dtype)])
        return made.output

    def constant(self, array: Any, call: Call | None = None) -> Value:
        """A constant; equal arrays are one node. Bytes are strings, in UTF-8."""
        array = np.asarray(array)
        if array.dtype.kind in "SO":
            array = _decoded(array)
        array = array.astype(as_dtype(array.dtype), copy=False)
        if array.flags.writeable:
            array = array.copy() if array.size else array
            array.flags.writeable = False
        key = content_key(array)
        made = self._find(key)
        if made is None:
            node = Node("constant", "constant", call=call, data=array)
            node.key = key
            made = self._add(key, node, [(array.shape, array.dtype)])
            if array.ndim <= 1 and kind_of(array.dtype) in "iu" and array.size <= 64:
                made.output.dims = tuple(int(v) for v in array.reshape(-1))
        return made.output

    def weight(self, variable: Any, path: str, call: Call | None = None) -> Value:
        """The node of a variable; one node however often it is read."""
        made = self._made.get(("weight", id(variable)))
        if made is None:
            node = Node("weight", path, call=call, data=variable)
            made = self._add(("weight", id(variable)), node, [(variable.shape, variable.dtype)])
        return made.output

    def context(self, argument: ContextArgument) -> Value:
        """The node of a context argument."""
        made = self._made.get(("context", argument.name))
        if made is None:
            dtype = {"float": np.dtype("float64"), "int": np.dtype("int64"),
                     "bool": np.dtype(bool)}.get(argument.domain.kind)  # fmt: skip
            node = Node("context", argument.name, data=argument)
            made = self._add(("context", argument.name), node, [((), dtype)])
            self._contextual.add(made.output)
        return made.output

    def op(
        self,
        op: Op,
        operands: Sequence[Value | None],
        attrs: Mapping[str, Any],
        call: Call | None = None,
        source: str = "",
    ) -> tuple[Value, ...]:
        """An operator node; its shapes and dtypes are inferred.

        Raises:
            ShapeError, DTypeError: the operands do not fit; the message names the operator.
        """
        attrs = {k: _settled(v) for k, v in attrs.items() if not _is_default(op, k, v)}
        while operands and operands[-1] is None:  # an operand left out is not one that is None
            operands = operands[:-1]
        key = self.op_key(op, operands, attrs, call)
        made = self._find(key)
        if made is None:
            node = Node("op", op.name, tuple(operands), attrs, op=op, call=call, source=source)
            made = self._add(key, node, op.infer_outputs(operands, attrs))
            op.annotate(node)
        return made.outputs

    def select(
        self, selector: Value, cases: Sequence[Any], arms: Sequence[Value],
        call: Call | None = None, source: str = "",
    ) -> Value:  # fmt: skip
        """The node that picks one arm by the selector; equal arms are no node at all."""
        first = arms[0]
        if all(arm is first for arm in arms):
            return first
        shape: Shape = first.shape
        dtype = first.dtype
        for arm in arms[1:]:
            joined = joined_shape(shape, arm.shape)
            either = joined_dtype(dtype, arm.dtype)
            if (either is None and dtype is not None) or joined is None:
                raise ShapeError(f"select of {first.spec} and {arm.spec}")
            shape, dtype = joined, either
        key = ("select", (id(selector), *map(id, arms)), hashable(tuple(cases)))
        made = self._find(key)
        if made is None:
            node = Node(
                "select", "select", (selector, *arms), {"cases": tuple(cases)},
                call=call, source=source,
            )  # fmt: skip
            made = self._add(key, node, [(shape, dtype)])
        return made.output


def _decoded(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """An array of strings without bytes."""
    items = array.reshape(-1).tolist()
    if not any(isinstance(item, bytes) for item in items):
        return array
    texts = np.empty(array.size, object)
    texts[:] = [item.decode() if isinstance(item, bytes) else item for item in items]
    return texts.reshape(array.shape)


LONG = 64
"""Elements from which on an attribute is an array: quick to compare, and to put into a program."""


def _settled(value: Any) -> Any:
    """An attribute; a long list of numbers or strings as an array that nobody writes to."""
    if not isinstance(value, (list, tuple)) or len(value) < LONG:
        return value
    if not {type(item) for item in value} <= {int, float} and not all(
        isinstance(item, str) for item in value
    ):
        return value
    array = np.array(value, object if isinstance(value[0], str) else None)
    array.flags.writeable = False
    return array


def _is_default(op: Op, name: str, value: Any) -> bool:
    if name not in op.defaults or isinstance(value, np.ndarray):
        return False
    default = op.defaults[name]
    if default is None or value is None:
        return default is value  # to NumPy, None is the dtype float64
    return bool(default == value)


def hashable(value: Any) -> Any:
    """A hashable stand-in that tells values of different types apart (`True` and `1`)."""
    if isinstance(value, (tuple, list)):
        return tuple(hashable(item) for item in value)
    if isinstance(value, np.ndarray):
        return constant_key(value)
    if isinstance(value, float):
        return ("float", value.hex())
    try:
        hash(value)
    except TypeError:
        return (type(value), id(value))
    return (type(value), value)


class _Content:
    """A large read-only array as a key: equal to one of the same dtype, shape, layout and bits.

    Its hash is of a few elements; all of them are looked at where that of another array is equal.
    """

    __slots__ = ("array", "hash")

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.array = array
        few = array[tuple(np.linspace(0, n - 1, 32).astype(np.int64) for n in array.shape)]
        self.hash = hash((array.dtype.str, array.shape, few.tobytes()))

    def __hash__(self) -> int:
        return self.hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Content) or self.hash != other.hash:
            return False
        a, b = self.array, other.array
        if a is b:
            return True
        if a.dtype != b.dtype or a.shape != b.shape:
            return False
        if a.flags.c_contiguous != b.flags.c_contiguous:
            return False
        if a.dtype.kind == "c":
            return a.tobytes() == b.tobytes()
        bits = f"u{a.dtype.itemsize}"  # NaN equals NaN, and 0.0 is not -0.0
        return np.array_equal(a.view(bits), b.view(bits))

    def __reduce__(self) -> Any:
        return _Content, (self.array,)


def content_key(array: np.ndarray[Any, Any]) -> Any:
    """As `constant_key`, but quick for large arrays, which have to be read-only."""
    if array.dtype == object or array.nbytes <= 256:
        return constant_key(array)
    return _Content(array)


def constant_key(array: np.ndarray[Any, Any]) -> Any:
    """What makes two constants the same constant; memory layout does: BLAS sums in its order."""
    if array.dtype == object:
        return ("constant", "string", array.shape, tuple(array.reshape(-1)))
    data = array.tobytes()
    if len(data) > 256:
        data = hashlib.blake2b(data, digest_size=20).digest()
    # Those of ml_dtypes have no code of their own: every float of 8 bits is "<V1".
    code = dtype_name(array.dtype) if is_extended(array.dtype) else array.dtype.str
    return ("constant", code, array.shape, data, array.flags.c_contiguous)


def rewrite(
    graph: CallGraph,
    transform: Callable[[Node, tuple[Value | None, ...], Builder], Sequence[Value] | None],
    *,
    merge_calls: bool = False,
    **changes: Any,
) -> CallGraph:
    """Make a new graph node by node, in topological order.

    Args:
        graph: to rewrite; unchanged nodes are shared with it.
        transform: is given a node, its operands in the new graph, and the builder; returns the
            values that replace the node's outputs, or None to keep the node.
        merge_calls: whether equal nodes of different layer calls become one.
        changes: fields of the new graph.
    """
    builder = Builder(merge_calls=merge_calls)
    new: dict[Value, Value] = {}
    for node in graph.nodes:
        operands = tuple(None if v is None else new[v] for v in node.operands)
        made = transform(node, operands, builder)
        outputs = rebuild(node, operands, builder) if made is None else made
        for old, value in zip(node.outputs, outputs, strict=True):
            new[old] = value
    for value in graph.inputs:
        if value not in new:
            new[value] = builder.adopt(value.node).output
    return graph.replace(
        nodes=tuple(builder.nodes),
        inputs=tuple(new[value] for value in graph.inputs),
        outcome=map_outcome(graph.outcome, new.__getitem__),
        **changes,
    )


def rebuild(node: Node, operands: tuple[Value | None, ...], builder: Builder) -> Sequence[Value]:
    """The node on new operands: itself if they are the old ones."""
    if all(a is b for a, b in zip(operands, node.operands, strict=True)):
        return builder.adopt(node).outputs
    if node.kind == "select":
        selector, *arms = operands
        assert selector is not None
        return [
            builder.select(
                selector, node.attrs["cases"], [a for a in arms if a is not None],
                node.call, node.source,
            )
        ]  # fmt: skip
    assert node.op is not None
    return builder.op(node.op, operands, node.attrs, node.call, node.source)
