"""The call graph: what a trace recorded and what every pass takes and returns.

A `CallGraph` is immutable. Its nodes stand in topological order; passes make new graphs that
share the nodes they did not change. `graph.nx` is the same graph as a networkx `MultiDiGraph`,
`str(graph)` its canonical text.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from graphctx.context import REQUIRED, UNSET, Domain, value_text
from graphctx.errors import GraphctxError, ShapeError
from graphctx.spec import Dim, Shape, TensorSpec, as_dtype, dtype_name, same_shape, shape_text
from graphctx.tree import LEAF, Structure

if TYPE_CHECKING:
    import networkx

    from graphctx.ops.table import Op


class Value:
    """One output of a node: what is known of it without running anything.

    Attributes:
        node: that makes it.
        index: which output of the node.
        shape: numbers and symbolic dimensions.
        dtype: NumPy dtype; `object` for strings; None for an opaque context value.
        dims: the elements, where they are known dimensions (of an int64 scalar or vector).
    """

    __slots__ = ("dims", "dtype", "index", "node", "shape")

    def __init__(
        self,
        node: Node,
        index: int,
        shape: Shape,
        dtype: np.dtype[Any] | None,
        dims: tuple[Any, ...] | None = None,
    ) -> None:
        self.node = node
        self.index = index
        self.shape = shape
        self.dtype: Any = dtype
        self.dims = dims

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def constant(self) -> np.ndarray[Any, Any] | None:
        """The array of a constant, else None."""
        return self.node.data if self.node.kind == "constant" else None

    @property
    def spec(self) -> TensorSpec:
        """Shape and dtype as a `TensorSpec`."""
        return TensorSpec(self.shape, self.dtype)

    def __repr__(self) -> str:
        dtype = "any" if self.dtype is None else dtype_name(self.dtype)
        return f"<{self.node.name}: {dtype}{shape_text(self.shape)}>"


class Node:
    """A node of the graph. Treat it as immutable.

    Attributes:
        kind: `input`, `context`, `weight`, `constant`, `op` or `select`.
        name: operator name; or of the input, argument or weight.
        op: the operator record of an op node.
        operands: values it takes; None for an optional operand that is not given. A select takes
            its selector, then one value a case.
        attrs: attributes that differ from the operator's defaults; `cases` of a select.
        call: the layer call it belongs to.
        source: `file.py:12` that made it.
        data: array of a constant, `Variable` of a weight, `ContextArgument` of a context node.
        outputs: its values.
    """

    __slots__ = (
        "attrs", "call", "data", "key", "kind", "name", "op", "operands", "outputs", "source",
    )  # fmt: skip

    def __init__(
        self,
        kind: str,
        name: str,
        operands: tuple[Value | None, ...] = (),
        attrs: dict[str, Any] | None = None,
        *,
        op: Op | None = None,
        call: Call | None = None,
        source: str = "",
        data: Any = None,
    ) -> None:
        self.kind = kind
        self.name = name
        self.op = op
        self.operands = operands
        self.attrs: dict[str, Any] = attrs or {}
        self.call = call
        self.source = source
        self.data = data
        self.outputs: tuple[Value, ...] = ()
        self.key: Any = None  # of a constant: what `constant_key` found, once

    @property
    def path(self) -> str:
        """Path of the layer call it belongs to."""
        return self.call.path if self.call is not None else ""

    @property
    def output(self) -> Value:
        """Its only (or first) output."""
        return self.outputs[0]

    def arms(self) -> Iterator[tuple[Any, Value]]:
        """(case, value) of a select."""
        return zip(self.attrs["cases"], self.operands[1:], strict=True)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name} {self.path}>"


@dataclass(frozen=True)
class Resolution:
    """How one consumer came by the value of one context argument, on the paths `conditions`.

    Attributes:
        argument: its name.
        how: `"explicit"`, `"inherited"` (from an enclosing call), `"block"`, `"caller"` (left open:
            whoever runs the graph gives it) or `"default"`.
        value: as text; of a default or a provided value.
        provider: path of the providing call.
        source: `file.py:12` where the value was written.
        conditions: decisions made further out, under which this holds.
    """

    argument: str
    how: str
    value: str
    provider: str = ""
    source: str = ""
    conditions: tuple[tuple[str, Any], ...] = ()


@dataclass(eq=False)
class Call:
    """One layer call of the traced model.

    Attributes:
        path: unique path of the call, `model/block_1/drop`; `#2` marks a repeated call.
        layer: class name of the layer.
        parent: the enclosing call, None for the root.
        source: where it was called.
        conditions: sets of decisions under which it was called; one empty set: always.
        resolutions: how its context arguments were resolved.
        variables: weights the layer owns: (path, number of elements).
    """

    path: str
    layer: str
    parent: Call | None
    source: str = ""
    conditions: list[tuple[tuple[str, Any], ...]] = field(default_factory=list)
    resolutions: list[Resolution] = field(default_factory=list)

    @property
    def layer_path(self) -> str:
        """The path without the marks of repeated calls."""
        return "/".join(part.split("#")[0] for part in self.path.split("/"))


@dataclass(frozen=True)
class Consumer:
    """A layer call that declares a context argument."""

    path: str
    default: Any


@dataclass(eq=False)
class ContextArgument:
    """A context argument of a graph.

    Attributes:
        name: of the argument.
        domain: the values it may take.
        default: the default all consumers share; `UNSET` where they differ, `REQUIRED` where none
            has one.
        cases: the values the graph distinguishes; `UNSET` among them where defaults differ.
        consumers: who reads it, with the default in each signature.
        enumerated: whether the graph holds for the values in `cases` only: the domain is opaque, or
            the model asked for the Python value of a number.
    """

    name: str
    domain: Domain
    default: Any
    cases: tuple[Any, ...]
    consumers: list[Consumer] = field(default_factory=list)
    enumerated: bool = False

    def __str__(self) -> str:
        if self.default is REQUIRED:
            return f"{self.name}: {self.domain}"
        if self.default is UNSET:
            differing = dict.fromkeys(value_text(c.default) for c in self.consumers)
            return f"{self.name}: {self.domain} = {' or '.join(differing)}"
        return f"{self.name}: {self.domain} = {value_text(self.default)}"


class Contexts(Mapping[str, ContextArgument]):
    """The context arguments of a graph, by name; prints as a table."""

    def __init__(self, arguments: Mapping[str, ContextArgument]) -> None:
        self._arguments = dict(arguments)

    def __getitem__(self, name: str) -> ContextArgument:
        return self._arguments[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arguments)

    def __len__(self) -> int:
        return len(self._arguments)

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """(name, type, values, default, consumers' paths) of every argument, as text."""
        found = []
        for argument in self._arguments.values():
            domain = argument.domain
            if argument.default is UNSET:
                default = ", ".join(
                    f"{value_text(c.default)} ({c.path})" for c in argument.consumers
                )
            else:
                default = value_text(argument.default)
            values = [value_text(v) for v in domain.values]
            if not domain.is_finite:
                values = [value_text(v) for v in argument.cases if v is not UNSET]
                values = [] if domain.is_numeric and len(values) < 2 else values
            kind = domain.type.__name__ if domain.kind == "enum" else domain.kind
            paths = list(dict.fromkeys(c.path for c in argument.consumers))
            found.append(
                (argument.name, kind, "|".join(values) or "any", default, ", ".join(paths))
            )
        return found

    def __repr__(self) -> str:
        rows = [("argument", "type", "values", "default", "read by"), *self.rows()]
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        return "\n".join(
            "  ".join([cell.ljust(width) for cell, width in zip(row, widths, strict=False)])
            + "  " + row[4]
            for row in rows
        )  # fmt: skip


# -- outcomes -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Returns:
    """What the model returns: the structure, its values, and the new value of each state.

    Attributes:
        structure: nest of the outputs.
        values: its tensors, in order.
        state: weight path -> (variable, new value) of every variable that was assigned.
    """

    structure: Structure
    values: tuple[Value, ...]
    state: Mapping[str, tuple[Any, Value]] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Unique names of the outputs."""
        names = self.structure.names("output")
        return [n if names.count(n) == 1 else f"{n}_{i}" for i, n in enumerate(names)]


@dataclass(frozen=True)
class Branch:
    """Outcomes that a select cannot merge: which one depends on a context argument.

    Attributes:
        selector: the context node's value or the predicate that decides.
        cases: value -> outcome.
    """

    selector: Value
    cases: tuple[tuple[Any, Outcome], ...]


@dataclass(frozen=True)
class Raises:
    """The model raises this exception here, as it does when it is called eagerly."""

    error: Exception
    source: str


Outcome = Returns | Branch | Raises


def outcome_values(outcome: Outcome) -> Iterator[Value]:
    """Every value an outcome refers to, in a fixed order."""
    if isinstance(outcome, Returns):
        yield from outcome.values
        for _, value in outcome.state.values():
            yield value
    elif isinstance(outcome, Branch):
        yield outcome.selector
        for _, inner in outcome.cases:
            yield from outcome_values(inner)


def map_outcome(outcome: Outcome, function: Callable[[Value], Value]) -> Outcome:
    """The outcome with every value replaced."""
    if isinstance(outcome, Returns):
        return Returns(
            outcome.structure,
            tuple(function(value) for value in outcome.values),
            {path: (var, function(value)) for path, (var, value) in outcome.state.items()},
        )
    if isinstance(outcome, Branch):
        return Branch(
            function(outcome.selector),
            tuple((case, map_outcome(inner, function)) for case, inner in outcome.cases),
        )
    return outcome


# -- building -------------------------------------------------------------------------------------


class Builder:
    """Makes nodes; equal nodes are made once.

    Args:
        merge_calls: whether equal nodes of different layer calls are one node too.
    """

    def __init__(self, *, merge_calls: bool = False) -> None:
        self.nodes: list[Node] = []
        self._made: dict[Any, Node] = {}
        self._merge_calls = merge_calls

    def _add(self, key: Any, node: Node, outputs: Iterable[tuple[Shape, Any]]) -> Node:
        node.outputs = tuple(
            Value(node, i, tuple(shape), dtype) for i, (shape, dtype) in enumerate(outputs)
        )
        self.nodes.append(node)
        if key is not None:
            self._made[key] = node
        return node

    def adopt(self, node: Node) -> Node:
        """Take over an unchanged node of another graph, or the equal node that is here."""
        key = self._key_of(node)
        made = self._made.get(key)
        if made is not None:
            return made
        self.nodes.append(node)
        self._made[key] = node
        return node

    def _key_of(self, node: Node) -> Any:
        if node.kind == "op":
            return self.op_key(node.op, node.operands, node.attrs, node.call)
        if node.kind == "select":
            return ("select", tuple(map(id, node.operands)), _frozen(node.attrs["cases"]))
        if node.kind == "constant":
            if node.key is None:
                node.key = constant_key(node.data)
            return node.key
        if node.kind == "weight":
            return ("weight", id(node.data))
        return (node.kind, node.name)

    def op_key(
        self, op: Any, operands: Sequence[Value | None], attrs: Mapping[str, Any], call: Call | None
    ) -> Any:
        """What makes two op nodes the same node."""
        frozen = tuple(sorted((k, _frozen(v)) for k, v in attrs.items())) if attrs else ()
        where = None if self._merge_calls else id(call)
        return (op.name, tuple(map(id, operands)), frozen, where)

    def input(self, spec: TensorSpec, name: str, role: str = "data") -> Value:
        """A named input; `role` is `data` or `seed`."""
        made = self._made.get(("input", name))
        if made is None:
            node = Node("input", name, attrs={"role": role} if role != "data" else None)
            made = self._add(("input", name), node, [(spec.shape, spec.dtype)])
        return made.output

    def constant(self, array: Any, call: Call | None = None) -> Value:
        """A constant; equal arrays are one node."""
        array = np.asarray(array)
        array = array.astype(as_dtype(array.dtype), copy=False)
        key = constant_key(array)
        made = self._made.get(key)
        if made is None:
            if array.flags.writeable:
                array = array.copy() if array.size else array
                array.flags.writeable = False
            node = Node("constant", "constant", call=call, data=array)
            node.key = key
            made = self._add(key, node, [(array.shape, array.dtype)])
            if array.ndim <= 1 and array.dtype.kind in "iu" and array.size <= 64:
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
        attrs = {k: v for k, v in attrs.items() if k not in op.defaults or op.defaults[k] != v}
        while operands and operands[-1] is None:  # an operand left out is not one that is None
            operands = operands[:-1]
        key = self.op_key(op, operands, attrs, call)
        made = self._made.get(key)
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
        for arm in arms[1:]:
            if arm.dtype != first.dtype or not same_shape(arm.shape, first.shape):
                raise ShapeError(f"select of {first.spec} and {arm.spec}")
        key = ("select", (id(selector), *map(id, arms)), _frozen(tuple(cases)))
        made = self._made.get(key)
        if made is None:
            node = Node(
                "select", "select", (selector, *arms), {"cases": tuple(cases)},
                call=call, source=source,
            )  # fmt: skip
            made = self._add(key, node, [(first.shape, first.dtype)])
        return made.output


def _frozen(value: Any) -> Any:
    """A hashable stand-in that tells values of different types apart (`True` and `1`)."""
    if isinstance(value, (tuple, list)):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, np.ndarray):
        return constant_key(value)
    if isinstance(value, float):
        return ("float", value.hex())
    try:
        hash(value)
    except TypeError:
        return (type(value), id(value))
    return (type(value), value)


def constant_key(array: np.ndarray[Any, Any]) -> Any:
    """What makes two constants the same constant; memory layout does: BLAS sums in its order."""
    if array.dtype == object:
        return ("constant", "string", array.shape, tuple(array.reshape(-1)))
    data = array.tobytes()
    if len(data) > 256:
        data = hashlib.blake2b(data, digest_size=20).digest()
    return ("constant", array.dtype.str, array.shape, data, array.flags.c_contiguous)


# -- the graph ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class CallGraph:
    """A traced model, or what a pass made of one.

    Attributes:
        name: of the root layer.
        nodes: all nodes in topological order.
        inputs: data inputs in the order of the signature.
        outcome: what is returned, decided by context where structures differ.
        contexts: the context arguments that are still open, by name.
        bound: the values that `specialize` (or `trace`) bound; `UNSET` for "not given".
        unread: arguments that some layer declares, but whose value nothing depends on, because
            every reader is given one explicitly; giving them is no error. So is `training`.
        calls: the tree of layer calls, parents first.
        input_structure: nest of the positional arguments that the inputs came from.
        parameters: name of the `call` parameter of each positional argument.
        frozen: variable -> the array it had when the graph was compiled; empty: variables are
            read as they are now.
    """

    name: str
    nodes: tuple[Node, ...]
    inputs: tuple[Value, ...]
    outcome: Outcome
    contexts: Contexts
    calls: tuple[Call, ...] = ()
    bound: Mapping[str, Any] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()
    input_structure: Structure = LEAF
    parameters: tuple[str, ...] = ()
    frozen: Mapping[Any, np.ndarray[Any, Any]] = field(default_factory=dict)

    def array(self, node: Node) -> np.ndarray[Any, Any]:
        """The array of a constant, or of a weight as the graph has it."""
        array = node.data if node.kind == "constant" else self.frozen.get(node.data)
        return node.data.numpy() if array is None else array

    def freeze(self) -> CallGraph:
        """A copy that keeps the values the weights have now, whatever is assigned later.

        No array is copied: a variable that is assigned gets a new one.
        """
        return self.replace(frozen={node.data: self.array(node) for node in self.weights})

    @property
    def returns(self) -> Returns:
        """The one outcome of a graph whose outputs depend on no context.

        Raises:
            GraphctxError: they do.
        """
        if isinstance(self.outcome, Returns):
            return self.outcome
        if isinstance(self.outcome, Raises):
            raise GraphctxError(
                f"{self.name}: the model raises {type(self.outcome.error).__name__}: "
                f"{self.outcome.error} (at {self.outcome.source}) under {self.bound_text()}"
            ) from self.outcome.error
        raise GraphctxError(
            f"{self.name}: what the model returns depends on {self.outcome.selector.node.name!r}; "
            f"specialize the graph for a value of it first"
        )

    def bound_text(self) -> str:
        """The bound assignment, `training=False, mode='a'`."""
        return ", ".join(
            f"{name}={_bound_text(value)}" for name, value in self.bound.items()
        ) or "no context"  # fmt: skip

    @property
    def outputs(self) -> tuple[Value, ...]:
        """The values returned; see `returns`."""
        return self.returns.values

    @property
    def seed(self) -> Value | None:
        """The seed input, where the graph draws random numbers."""
        for node in self.nodes:
            if node.kind == "input" and node.attrs.get("role") == "seed":
                return node.output
        return None

    @property
    def weights(self) -> tuple[Node, ...]:
        """The weight nodes in order of first use."""
        return tuple(node for node in self.nodes if node.kind == "weight")

    def replace(self, **changes: Any) -> CallGraph:
        """A copy with some fields changed."""
        return replace(self, **changes)

    @cached_property
    def uses(self) -> dict[Value, list[Node]]:
        """Value -> the nodes that take it, in order; once for every operand slot."""
        found: dict[Value, list[Node]] = {}
        for node in self.nodes:
            for operand in node.operands:
                if operand is not None:
                    found.setdefault(operand, []).append(node)
        return found

    @cached_property
    def nx(self) -> networkx.MultiDiGraph:
        """The graph as a frozen networkx `MultiDiGraph`; see `docs/graph.md` for its attributes."""
        from graphctx.network import to_networkx

        return to_networkx(self)

    @cached_property
    def ids(self) -> dict[Node, str]:
        """Node -> its id in the text and in `graph.nx`: `%3`, `input:x`, `weight:dense/kernel`."""
        found: dict[Node, str] = {}
        numbers = constants = 0
        for node in self.nodes:
            if node.kind in ("op", "select"):
                numbers += 1
                found[node] = f"%{numbers}"
            elif node.kind == "constant":
                constants += 1
                found[node] = f"constant:{constants}"
            else:
                found[node] = f"{node.kind}:{node.name}"
        return found

    def __str__(self) -> str:
        return graph_text(self)

    def __repr__(self) -> str:
        ops = sum(node.kind == "op" for node in self.nodes)
        return f"<CallGraph {self.name}: {ops} ops, contexts {list(self.contexts)}>"


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


def live_nodes(roots: Iterable[Value]) -> list[Node]:
    """The nodes that the roots depend on, each after its operands, in a canonical order."""
    order: list[Node] = []
    seen: set[int] = set()
    stack: list[tuple[Node, bool]] = [(v.node, False) for v in reversed(list(roots))]
    while stack:
        node, expanded = stack.pop()
        if expanded:
            order.append(node)
            continue
        if id(node) in seen:
            continue
        seen.add(id(node))
        stack.append((node, True))
        stack.extend((v.node, False) for v in reversed(node.operands) if v is not None)
    return order


def _bound_text(value: Any) -> str:
    if value is UNSET:
        return "default"
    return value_text(value) if isinstance(value, enum.Enum) else repr(value)


# -- text -----------------------------------------------------------------------------------------


def graph_text(graph: CallGraph) -> str:
    """The canonical text of a graph: equal graphs have equal texts."""
    ids = graph.ids

    def ref(value: Value | None) -> str:
        if value is None:
            return "none"
        node = value.node
        if node.kind in ("op", "select"):
            return ids[node] if len(node.outputs) == 1 else f"{ids[node]}.{value.index}"
        return leaf_text(node)

    rows: list[tuple[str, str]] = []
    for node in graph.nodes:
        if node.kind == "op":
            arguments = [ref(v) for v in node.operands]
            arguments += [f"{k}={attr_text(v)}" for k, v in sorted(node.attrs.items())]
            rows.append((f"{ids[node]} = {node.name}({', '.join(arguments)})", node.path))
        elif node.kind == "select":
            arms = ", ".join(f"{value_text(case)}: {ref(v)}" for case, v in node.arms())
            selector = node.operands[0]
            assert selector is not None
            name = selector.node.name if selector.node.kind == "context" else ref(selector)
            rows.append((f"{ids[node]} = select {name} {{{arms}}}", node.path))
    width = min(max((len(text) for text, _ in rows), default=0), 76)
    inputs = ", ".join(
        f"{v.node.name}: {dtype_name(v.dtype)}{shape_text(v.shape)}" for v in graph.inputs
    )
    if graph.seed is not None:
        inputs += f"{', ' if inputs else ''}{graph.seed.node.name}: seed"
    head = f"graph {graph.name} ({inputs})"
    if graph.contexts:
        head += f"  contexts ({', '.join(map(str, graph.contexts.values()))})"
    lines = [head]
    lines += [f"  {text:<{width}}  # {path}" if path else f"  {text}" for text, path in rows]
    lines += _outcome_text(graph.outcome, ref, "  ")
    return "\n".join(lines)


def _outcome_text(outcome: Outcome, ref: Callable[[Value], str], indent: str) -> list[str]:
    if isinstance(outcome, Raises):
        return [f"{indent}raise {type(outcome.error).__name__}: {outcome.error}"]
    if isinstance(outcome, Branch):
        node = outcome.selector.node
        lines = [f"{indent}select {node.name if node.kind == 'context' else ref(outcome.selector)}"]
        for case, inner in outcome.cases:
            lines.append(f"{indent}  {value_text(case)}:")
            lines += _outcome_text(inner, ref, indent + "    ")
        return lines
    nest = outcome.structure.build(iter([_Verbatim(ref(v)) for v in outcome.values]))
    lines = [f"{indent}return {nest!r}"]
    lines += [f"{indent}state @{path} = {ref(v)}" for path, (_, v) in outcome.state.items()]
    return lines


class _Verbatim(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def leaf_text(node: Node) -> str:
    """An input, context argument, weight or constant as an operand is printed."""
    if node.kind == "input":
        return node.name
    if node.kind == "context":
        return f"${node.name}"
    if node.kind == "weight":
        return f"@{node.name}"
    array = node.data
    if array.size <= 8:
        text = attr_text(array.tolist())
        return (
            text
            if array.dtype in (np.float32, np.int64, np.bool_, object)
            else f"{text}:{dtype_name(array.dtype)}"
        )
    digest = hashlib.blake2b(repr(constant_key(array)).encode(), digest_size=4).hexdigest()
    return f"constant({node.output.spec} {digest})"


def attr_text(value: Any) -> str:
    """An attribute as it is printed."""
    if isinstance(value, float):
        return f"{value:.7g}" if value == value else "nan"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(attr_text(item) for item in value)}]"
    if isinstance(value, np.dtype):
        return dtype_name(value)
    if isinstance(value, (str, Dim)):
        return str(value)
    return repr(value)
