"""The call graph: what a trace recorded and what every pass takes and returns.

A `CallGraph` is immutable. Its nodes stand in topological order; passes make new graphs that
share the nodes they did not change. `graph.nx` is the same graph as a networkx `MultiDiGraph`,
`str(graph)` its canonical text.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from graphctx.context import REQUIRED, UNSET, Domain, value_text
from graphctx.errors import GraphctxError
from graphctx.spec import ContainerType, Shape, TensorSpec
from graphctx.tree import LEAF, Structure

if TYPE_CHECKING:
    import networkx

    from graphctx.classes import Classes
    from graphctx.ops.table import Op


class Value:
    """One output of a node: what is known of it without running anything.

    Attributes:
        node: that makes it.
        index: which output of the node.
        shape: numbers and symbolic dimensions.
        dtype: NumPy dtype; `object` for strings; a `SequenceType` or `OptionalType` for what is no
            tensor; None for an opaque context value.
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

    @property
    def is_tensor(self) -> bool:
        """Whether it is a tensor, and no sequence or optional."""
        return not isinstance(self.dtype, ContainerType)

    def __repr__(self) -> str:
        return f"<{self.node.name}: {'any' if self.dtype is None else self.spec}>"


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
        enumerated: why the graph holds for the values in `cases` only: the line at which the model
            asked for the Python value of a number, or that the domain is opaque; else empty.
    """

    name: str
    domain: Domain
    default: Any
    cases: tuple[Any, ...]
    consumers: list[Consumer] = field(default_factory=list)
    enumerated: str = ""

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
        predicates: text of a predicate in the conditions of calls -> its value in the trace.
        frozen: variable -> the array it had when the graph was compiled; empty: variables are
            read as they are now.
        metadata: what the file that the graph was loaded from says of itself: its properties, and
            its description as `doc_string`.
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
    predicates: Mapping[str, Value] = field(default_factory=dict)
    frozen: Mapping[Any, np.ndarray[Any, Any]] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)

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

    def classes(
        self,
        context: Mapping[str, Any] | None = None,
        *,
        runtime: Iterable[str] = (),
        **values: Any,
    ) -> Classes:
        """Group the assignments by the program they specialize to; see `graphctx.classes`."""
        from graphctx.classes import classes

        return classes(self, context, runtime=runtime, **values)

    def __str__(self) -> str:
        from graphctx.text import graph_text

        return graph_text(self)

    def __repr__(self) -> str:
        ops = sum(node.kind == "op" for node in self.nodes)
        return f"<CallGraph {self.name}: {ops} ops, contexts {list(self.contexts)}>"


def require_graph(found: Any, function: str) -> CallGraph:
    """The argument of a function that takes a graph.

    Raises:
        GraphctxError: it is something else; says what to do.
    """
    if isinstance(found, CallGraph):
        return found
    kind = type(found).__name__
    inner = getattr(found, "graph", None)
    hint = "take its .graph" if isinstance(inner, CallGraph) else "trace the model first: gx.trace"
    raise GraphctxError(f"{function}() takes a call graph, got {kind}; {hint}")


def live_nodes(
    roots: Iterable[Value],
    operands: Callable[[Node], Sequence[Value | None]] = lambda node: node.operands,
) -> list[Node]:
    """The nodes that the roots depend on, each after its operands, in a canonical order.

    Args:
        roots: to start from.
        operands: what a node depends on.
    """
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
        stack.extend((v.node, False) for v in reversed(operands(node)) if v is not None)
    return order


def _bound_text(value: Any) -> str:
    if value is UNSET:
        return "default"
    return value_text(value) if isinstance(value, enum.Enum) else repr(value)
