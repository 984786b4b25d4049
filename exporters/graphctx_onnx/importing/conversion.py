"""A model as a call graph: its inputs, weights, nodes and outputs, one after the other."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import FunctionProto, GraphProto, NodeProto, ValueInfoProto
from onnx.defs import OpSchema

from graphctx.body import Scope
from graphctx.builder import Builder
from graphctx.context import Domain
from graphctx.errors import GraphctxError, listing, suggest
from graphctx.graph import CallGraph, ContextArgument, Contexts, Returns, Value, live_nodes
from graphctx.layer import Variable
from graphctx.ops.table import TABLE
from graphctx.spec import Dim, TensorSpec, dtype_name, may_be_same
from graphctx.tree import LEAF, Structure
from graphctx_onnx.importing import contexts as context_inputs
from graphctx_onnx.importing.attributes import (
    References,
    container_type,
    element_type,
    old_defaults,
    read,
    resolved,
)
from graphctx_onnx.importing.dims import read_dim, read_shape
from graphctx_onnx.importing.files import Source
from graphctx_onnx.importing.functions import (
    defining_function,
    domain_of,
    has_definition,
    key_of,
    local_functions,
    schema_of,
)
from graphctx_onnx.importing.handlers import DRAWING, HANDLERS
from graphctx_onnx.importing.nodes import Maker, Pending, fit_outputs, record
from graphctx_onnx.importing.own import Own, read_own
from graphctx_onnx.importing.paths import Paths
from graphctx_onnx.importing.places import Place, operator_text
from graphctx_onnx.importing.structure import (
    ordered,
    ordered_function,
    subgraphs,
)
from graphctx_onnx.importing.tensors import Reader
from graphctx_onnx.importing.upgrades import UPGRADES, upgraded
from graphctx_onnx.metadata import DOCUMENTATION, OWN
from graphctx_onnx.names import Names

DEEPEST_LOOPS = 8
"""Loops in each other; each may be read twice for every time that the one around it is."""

SMALL = 1024
"""Bytes up to which integers, and what a Constant node holds, are constants and no weights."""

# Operands that have to be known to infer a shape, though they are floating.
_KNOWN_OPERANDS = {"Resize": (1, 2, 3), "Upsample": (1,)}


class NodeScope:
    """The values of a graph or function by name, those of the graphs around it behind them."""

    def __init__(self, outer: NodeScope | None = None) -> None:
        self.values: dict[str, Value | None] = {}
        self.outer = outer

    def find(self, name: str) -> Value | None:
        """The value of a name; None for an optional one that is left out.

        Raises:
            KeyError: nobody makes it.
        """
        scope: NodeScope | None = self
        while scope is not None:
            if name in scope.values:
                return scope.values[name]
            scope = scope.outer
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        scope: NodeScope | None = self
        while scope is not None:
            if name in scope.values:
                return True
            scope = scope.outer
        return False


@dataclass
class Body:
    """What holds for the nodes of a graph or function.

    Attributes:
        scope: their names.
        opsets: domain -> version.
        references: attributes of the function's call.
        base: path of the function's call, or of the model.
        place: of the graph.
    """

    scope: NodeScope
    opsets: Mapping[str, int]
    references: References
    base: str
    place: Place

    def inner(self, place: Place) -> Body:
        """Of a graph that a node holds."""
        return Body(NodeScope(self.scope), self.opsets, self.references, self.base, place)


@dataclass
class Site:
    """A node that is being read, and all around it."""

    proto: NodeProto
    pending: Pending
    attrs: dict[str, Any]
    make: Maker
    place: Place
    body: Body
    schema: OpSchema


class Conversion:
    """The state of reading one model.

    Args:
        source: the model.
        contexts: inputs that become context arguments.
        inputs: what is known of inputs beyond what the file says.
    """

    def __init__(
        self, source: Source, contexts: Mapping[str, Domain | None], inputs: Mapping[str, Any]
    ) -> None:
        self.source = source
        self.place = source.place
        self.proto: GraphProto = source.model.graph
        self.reader = Reader(source.folder)
        self.builder = Builder()
        self.decided = context_inputs.Decided()
        self.functions = local_functions(source.model, source.place)
        self.own: Own | None = read_own(source.model)
        self.name = self.own.model if self.own else _root_name(self.proto.name or source.name)
        self.paths = Paths(self.name, own=self.own is not None)
        own_contexts = self.own.contexts if self.own else {}
        self.contexts = {**contexts, **own_contexts}
        self.contexts |= {name: domain for name, domain in contexts.items() if domain is not None}
        self.known = inputs
        self.weights = Names()
        self.calls: dict[str, int] = {}
        self.depth = 0  # of bodies around the node that is read
        self.loops = 0
        self.iterations: list[Value] = []  # of the loops around the node that is read
        self._seed: Value | None = None
        self._inline = self._known_operands()

    # -- the whole model ----------------------------------------------------------------------

    def run(self) -> CallGraph:
        """Read the model; see `graphctx.load` for the errors."""
        nodes = ordered(self.proto, self.place)
        self._require_known_operators()
        scope = NodeScope()
        body = Body(scope, self.source.opsets, {}, self.name, self.place)
        stored = self._initializers()
        inputs, arguments = self._inputs(scope, stored)
        for name, array in stored.items():
            make = Maker(self.builder, None, "")
            scope.values[name] = self.stored(array, name, make, inline=self._is_inline(name, array))
        self.nodes(nodes, body)
        returns = self._returns(scope)
        graph = CallGraph(
            name=self.name,
            nodes=(),
            inputs=tuple(inputs),
            outcome=returns,
            contexts=Contexts(arguments),
            calls=tuple(self.paths.calls.values()),
            bound=self.own.assignment if self.own else {},
            input_structure=Structure("tuple", (LEAF,) * len(inputs)),
            parameters=tuple(value.node.name for value in inputs),
            metadata=self._metadata(),
        )
        roots = [*returns.values, *(v for _, v in returns.state.values()), *inputs]
        return graph.replace(nodes=tuple(live_nodes(roots)))

    def _metadata(self) -> dict[str, str]:
        """The properties of the file that are not graphctx's own, and its description."""
        model = self.source.model
        found = {
            entry.key: entry.value
            for entry in model.metadata_props
            if not entry.key.startswith(OWN)
        }
        text = self.proto.doc_string or ("" if self.own else model.doc_string)
        return {**found, DOCUMENTATION: text} if text else found

    def nodes(self, nodes: Sequence[tuple[int, NodeProto]], body: Body) -> None:
        """Read nodes, and put what they make into the scope."""
        for index, proto in nodes:
            place = body.place.node(index, proto)
            outputs = self._node(proto, place, body)
            if len(outputs) < len(proto.output):
                extra = [name for name in proto.output[len(outputs) :] if name]
                if extra:
                    raise place.error(
                        f"it has {len(outputs)} outputs, and the file names "
                        f"{len(proto.output)}: {listing(extra)}"
                    )
            for slot, (name, value) in enumerate(zip(proto.output, outputs, strict=False)):
                if not name:
                    continue
                if value is None:
                    raise place.error(f"it does not make its output {slot}, {name!r}")
                body.scope.values[name] = value

    # -- inputs and weights -------------------------------------------------------------------

    def _inputs(
        self, scope: NodeScope, stored: dict[str, np.ndarray[Any, Any]]
    ) -> tuple[list[Value], dict[str, ContextArgument]]:
        """Inputs that have to be given, and context arguments; takes their defaults out."""
        self._require_inputs()
        states = self.own.state_inputs if self.own else {}
        inputs: list[Value] = []
        arguments: dict[str, ContextArgument] = {}
        for info in self.proto.input:
            name = info.name
            if name in stored and name not in self.contexts and name not in self.known:
                continue  # an input with a default is what its default is
            if name in states:
                continue
            spec = self._spec(info)
            if name in self.contexts:
                argument = self._argument(info.name, spec, stored.pop(name, None))
                arguments[argument.name] = argument
                call = self.paths.call(self.name)
                context_inputs.note(call, argument)
                make = Maker(self.builder, None, "")
                scope.values[name] = context_inputs.tensor_of(argument, spec, make)
                continue
            stored.pop(name, None)
            if isinstance(self.known.get(name), np.ndarray):
                scope.values[name] = self.builder.constant(self._constant(name, spec))
                continue
            role = "seed" if self.own and name == self.own.seed else "data"
            value = self.builder.input(spec, self.own_name(name), role)
            scope.values[name] = value
            if role == "data":
                inputs.append(value)
            else:
                self._seed = value
        return inputs, arguments

    def _constant(self, name: str, spec: TensorSpec) -> np.ndarray[Any, Any]:
        """The array that an input is said to be."""
        array = np.array(self.known[name], spec.dtype)
        array.flags.writeable = False
        return array

    def own_name(self, name: str) -> str:
        """What graphctx itself calls an input."""
        return self.own.inputs.get(name, name) if self.own else name

    def _argument(self, name: str, spec: TensorSpec, default: Any) -> ContextArgument:
        named = self.own.arguments.get(name, name) if self.own else name
        domain = self.contexts[name] or context_inputs.domain_of_dtype(
            spec.dtype, self.place.inside(f"input {name!r}")
        )
        return context_inputs.argument_of(named, domain, spec, default, self.name, self.place)

    def _require_inputs(self) -> None:
        """Raise for names in contexts= and inputs= that are no inputs."""
        known = [info.name for info in self.proto.input]
        for option, names in (("contexts", self.contexts), ("inputs", self.known)):
            for name in names:
                if name not in known:
                    raise self.place.error(
                        f"{option}= names {name!r}, which is no input{suggest(name, known)} "
                        f"(inputs: {listing(known)})"
                    )

    def _spec(self, info: ValueInfoProto) -> TensorSpec:
        place = self.place.inside(f"input {info.name!r}")
        given = self.known.get(info.name)
        if isinstance(given, np.ndarray):
            given = TensorSpec(given.shape, object if given.dtype.kind == "U" else given.dtype)
        if info.type.WhichOneof("value") != "tensor_type":
            return TensorSpec((), container_type(info.type, place))
        tensor = info.type.tensor_type
        dtype = element_type(tensor.elem_type, place)
        if isinstance(given, TensorSpec) and given.dtype != dtype:
            raise place.error(
                f"inputs= says {dtype_name(given.dtype)}, the file {dtype_name(dtype)}"
            )
        shape = given.shape if isinstance(given, TensorSpec) else given
        if shape is not None and not self.own:
            shape = tuple(read_dim(str(d), self._dim) if isinstance(d, Dim) else d for d in shape)
        if not tensor.HasField("shape"):
            if shape is None:
                raise place.error(
                    f"the file does not say how many dimensions it has; give its shape as "
                    f"inputs={{{info.name!r}: ('batch', 3)}}"
                )
            return TensorSpec(shape, dtype)
        try:
            stored = read_shape(tensor.shape, self._dim, info.name)
            if shape is None:
                return TensorSpec(stored, dtype)
        except GraphctxError as error:
            raise place.error(str(error)) from error
        if len(shape) != len(stored) or not all(map(may_be_same, stored, shape)):
            raise place.error(
                f"inputs= says {TensorSpec(shape, dtype)}, the file {TensorSpec(stored, dtype)}"
            )
        return TensorSpec(shape, dtype)

    def _dim(self, name: str) -> Dim:
        """A named dimension: one that a trace was given is proven to differ from others."""
        proven = self.own is not None and name not in self.own.unproven
        return Dim(name) if proven else Dim.unproven(name)

    def _initializers(self) -> dict[str, np.ndarray[Any, Any]]:
        found = {}
        for tensor in self.proto.initializer:
            place = self.place.inside(f"initializer {tensor.name!r}")
            found[tensor.name] = self.reader.array(tensor, place)
        for sparse in self.proto.sparse_initializer:
            place = self.place.inside(f"initializer {sparse.values.name!r}")
            found[sparse.values.name] = self.reader.sparse(sparse, place)
        return found

    def _is_inline(self, name: str, array: np.ndarray[Any, Any]) -> bool:
        """Whether an initializer is a constant: shapes, axes and the like; else it is a weight."""
        if self.own:
            return name in self.own.constants
        if array.dtype == object or name in self._inline:
            return True
        return array.ndim == 0 or (array.dtype.kind in "iub" and array.nbytes <= SMALL)

    def _known_operands(self) -> frozenset[str]:
        """Names of what inference has to know the elements of."""
        return frozenset(
            node.input[slot]
            for node in self.proto.node
            for slot in _KNOWN_OPERANDS.get(node.op_type, ())
            if slot < len(node.input)
        )

    def stored(self, array: np.ndarray[Any, Any], name: str, make: Maker, *, inline: bool) -> Value:
        """A stored array: a constant, or a weight of its name.

        Args:
            array: that nobody can write to.
            name: in the file.
            make: at its place.
            inline: whether it is a constant; a large one is a weight all the same, unless
                graphctx wrote it as a constant.
        """
        if inline and (self.own or array.dtype == object or array.nbytes <= SMALL):
            return make.constant(array)
        path = self.weights.claim(self.own.weights.get(name, name) if self.own else name)
        variable = Variable.sharing(array, path.rpartition("/")[2])
        return self.builder.weight(variable, path, make.call)

    # -- outputs ------------------------------------------------------------------------------

    def _returns(self, scope: NodeScope) -> Returns:
        states = self.own.state_outputs if self.own else {}
        keys: list[str] = []
        values: list[Value] = []
        state: dict[str, tuple[Any, Value]] = {}
        for info in self.proto.output:
            value = scope.find(info.name)
            place = self.place.inside(f"output {info.name!r}")
            if value is None:
                raise place.error("it is an optional value that is left out")
            self._require_type(info, value, place)
            if info.name in states:
                path = states[info.name]
                state[path] = (self._state_variable(path, value), value)
                continue
            keys.append(self.own.outputs.get(info.name, info.name) if self.own else info.name)
            values.append(value)
        if not values and not state:
            raise self.place.error("the model has no outputs")
        return Returns(Structure("dict", (LEAF,) * len(keys), tuple(keys)), tuple(values), state)

    def _require_type(self, info: ValueInfoProto, value: Value, place: Place) -> None:
        tensor = info.type.tensor_type
        if info.type.WhichOneof("value") == "tensor_type" and tensor.elem_type:
            declared = element_type(tensor.elem_type, place)
            if declared != value.dtype:
                raise place.error(
                    f"the file says {dtype_name(declared)}, and it is {dtype_name(value.dtype)}"
                )

    def _state_variable(self, path: str, value: Value) -> Variable:
        """The weight that a run replaces; one of zeros where nothing reads it."""
        for node in self.builder.nodes:
            if node.kind == "weight" and node.name == path:
                return node.data  # type: ignore[no-any-return]
        shape = [int(dim) for dim in value.shape]
        return Variable.sharing(np.zeros(shape, value.dtype), path.rpartition("/")[2])

    # -- nodes --------------------------------------------------------------------------------

    def _node(self, proto: NodeProto, place: Place, body: Body) -> Sequence[Value | None]:
        operands = [body.scope.find(name) if name else None for name in proto.input]
        attributes = resolved(proto, body.references, place)
        call, source = self.paths.of(proto, body.base)
        function = self.functions.get(key_of(proto))
        if function is not None:
            path = call.path if call is not None else body.base
            path = f"{path}/{proto.name.rpartition('/')[2] or function.name}"
            base = self._call_path(path)
            self.paths.call(base, function.name)
            return self._function(function, operands, attributes, base, place)
        domain = domain_of(proto.domain)
        schema = schema_of(domain, proto.op_type, body.opsets.get(domain, 0))
        if schema is None:
            raise place.error(self._unknown(domain, proto.op_type, body.opsets.get(domain, 0)))
        _require_count(len(proto.input), schema.min_input, schema.max_input, "inputs", place)
        _require_count(len(proto.output), schema.min_output, schema.max_output, "outputs", place)
        attrs = read(attributes, schema, self.reader.array, place)
        attrs |= old_defaults(schema, attrs)
        name = table_name(domain, proto.op_type)
        pending = Pending(
            name, schema.since_version, operands, dict(attrs), [bool(o) for o in proto.output]
        )
        make = Maker(self.builder, call, source)
        try:
            found = upgraded(pending, make)
        except GraphctxError as error:
            raise place.error(str(error)) from error
        if found is not None:
            return found
        if pending.name in HANDLERS:
            return HANDLERS[pending.name](
                self, Site(proto, pending, attrs, make, place, body, schema)
            )
        if pending.name in TABLE:
            fit_outputs(pending)
            made = record(pending, make, place)
            if not any(pending.outputs[len(made) :]) or not has_definition(schema):
                return made
        plain = NodeProto()
        plain.CopyFrom(proto)
        del plain.attribute[:]
        plain.attribute.extend(attributes.values())
        definition = defining_function(schema, plain, operands, body.opsets.get(domain, 0))
        if definition is None:
            raise place.error(self._unknown(domain, proto.op_type, body.opsets.get(domain, 0)))
        base = call.path if call is not None else body.base
        filled = {**_defaults(schema), **attributes}
        return self._function(definition, operands, filled, base, place)

    def _function(
        self, function: FunctionProto, operands: Sequence[Value | None],
        attributes: References, base: str, place: Place,
    ) -> Sequence[Value | None]:  # fmt: skip
        """The nodes of a function's body on the operands of its call."""
        place = place.inside(f"function {operator_text(function.domain, function.name)}")
        if len(operands) > len(function.input):
            raise place.error(f"it takes {len(function.input)} inputs, got {len(operands)}")
        references = {a.name: a for a in function.attribute_proto} | dict(attributes)
        opsets = {domain_of(entry.domain): entry.version for entry in function.opset_import}
        scope = NodeScope()
        scope.values = dict.fromkeys(function.input)
        scope.values.update(zip(function.input, operands, strict=False))
        body = Body(scope, {**self.source.opsets, **opsets}, references, base, place)
        self.nodes(ordered_function(function, place), body)
        return [scope.values.get(name) for name in function.output]

    def branch(self, site: Site, key: str, given: Sequence[Value] = ()) -> list[Value | None]:
        """The outputs of a graph that a node holds, read in the place of the node.

        Args:
            site: of the node.
            key: the attribute that is the graph.
            given: values of its inputs.
        """
        graph: GraphProto = site.attrs[key]
        body = site.body.inner(site.place.inside(key))
        if len(graph.input) != len(given):
            raise body.place.error(f"it has {len(graph.input)} inputs, and is given {len(given)}")
        nodes = ordered(graph, body.place, site.body.scope)
        for tensor in graph.initializer:
            array = self.reader.array(tensor, body.place.inside(f"initializer {tensor.name!r}"))
            inline = self._is_inline(tensor.name, array)
            made = self.stored(array, tensor.name, site.make, inline=inline)
            body.scope.values[tensor.name] = made
        for info, value in zip(graph.input, given, strict=True):
            self._require_type(info, value, body.place.inside(f"input {info.name!r}"))
            body.scope.values[info.name] = value
        self.nodes(nodes, body)
        return [body.scope.find(info.name) for info in graph.output]

    @contextlib.contextmanager
    def body(self) -> Iterator[Scope]:
        """Nodes that are read in this block belong to a body."""
        self.depth += 1
        try:
            with self.builder.scope() as scope:
                yield scope
        finally:
            self.depth -= 1

    @contextlib.contextmanager
    def nested(self, place: Place) -> Iterator[None]:
        """Read a body that may have to be read again, once its sizes are known to change."""
        if self.loops == DEEPEST_LOOPS:
            raise place.error(f"more than {DEEPEST_LOOPS} loops are in each other")
        self.depth += 1
        self.loops += 1
        try:
            yield
        finally:
            self.depth -= 1
            self.loops -= 1

    @contextlib.contextmanager
    def iteration(self, numbers: list[Value]) -> Iterator[None]:
        """What is read in this block runs in the iteration of these numbers."""
        self.iterations += numbers
        try:
            yield
        finally:
            del self.iterations[len(self.iterations) - len(numbers) :]

    def _call_path(self, path: str) -> str:
        """The path of a function's call; `#2` marks the second one of a name."""
        count = self.calls[path] = self.calls.get(path, 0) + 1
        return path if count == 1 else f"{path}#{count}"

    # -- random numbers -----------------------------------------------------------------------

    def seed(self, make: Maker) -> Value:
        """What a node draws from: the seed of the program, in loops that of the iteration."""
        seed = self._seed_input()
        for iteration in self.iterations:
            seed = make("iteration_seed", seed, iteration)
        return seed

    def draws(self, nodes: Iterable[NodeProto]) -> bool:
        """Whether nodes, what is in them, or functions that they call may draw random numbers."""
        todo, seen = list(nodes), set()
        while todo:
            node = todo.pop()
            if node.op_type in DRAWING:
                return True
            key = key_of(node)
            if key in self.functions and key not in seen:
                seen.add(key)
                todo += self.functions[key].node
            for attribute in node.attribute:
                for graph in (attribute.g, *attribute.graphs):
                    todo += graph.node
        return False

    def _seed_input(self) -> Value:
        """The seed input, which a graph with random operators has."""
        if self._seed is None:
            taken = {info.name for info in self.proto.input}
            name = "seed"
            while name in taken:
                name += "_"
            self._seed = self.builder.input(TensorSpec((), "int64"), name, "seed")
        return self._seed

    def key(self, site: Site) -> int:
        """What tells the random numbers of a node from those of others: its first output's name."""
        name = next((name for name in site.proto.output if name), "")
        digest = hashlib.blake2b(f"{site.body.base}:{name}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little")

    # -- operators that nobody knows ----------------------------------------------------------

    def _require_known_operators(self) -> None:
        """Raise for all operators that graphctx lacks, at once.

        Raises:
            LoadError: names them, how many nodes there are of each, and the first one.
        """
        found: dict[tuple[str, str, int], list[str]] = {}
        stack: list[tuple[Sequence[NodeProto], Mapping[str, int], Place]] = [
            (self.proto.node, self.source.opsets, Place("graph"))
        ]
        for function in self.source.model.functions:
            own = {domain_of(entry.domain): entry.version for entry in function.opset_import}
            stack.append((function.node, {**self.source.opsets, **own}, Place(function.name)))
        while stack:
            nodes, opsets, place = stack.pop()
            for index, proto in enumerate(nodes):
                domain = domain_of(proto.domain)
                version = opsets.get(domain, 0)
                if not self._is_known(proto, domain, version):
                    key = (domain, proto.op_type, version)
                    found.setdefault(key, []).append(str(place.node(index, proto)))
                for name, graph in subgraphs(proto):
                    stack.append((graph.node, opsets, place.node(index, proto).inside(name)))
        if not found:
            return
        lines = [
            f"{self._unknown(*key)} ({len(nodes)} {'node' if len(nodes) == 1 else 'nodes'}, "
            f"first: {nodes[0].removeprefix('graph: ')})"
            for key, nodes in sorted(found.items())
        ]
        raise self.place.error("; ".join(lines))

    def _is_known(self, proto: NodeProto, domain: str, version: int) -> bool:
        if key_of(proto) in self.functions:
            return True
        schema = schema_of(domain, proto.op_type, version)
        if schema is None:
            return False
        name = table_name(domain, proto.op_type)
        later = UPGRADES.get(name, {})
        return (
            name in TABLE
            or name in HANDLERS
            or any(to > schema.since_version for to in later)
            or has_definition(schema)
        )

    def _unknown(self, domain: str, name: str, version: int) -> str:
        text = operator_text(domain, name)
        if not version:
            return (
                f"the operator {text}: the model neither defines it nor imports an opset of its "
                f"domain"
            )
        newest = schema_of(domain, name, 10_000)
        if newest is None:
            return f"the operator {text} is neither ONNX's nor a function of the model"
        schema = schema_of(domain, name, version)
        if schema is None:
            return f"the operator {text} does not exist in opset {version}, which the model imports"
        return f"graphctx lacks the operator {text}{_ADVICE.get(name, '')}"


_ADVICE = {
    "ZipMap": ', as it has no maps: convert the classifier with options={"zipmap": False}',
}
"""What to do about operators that are lacking."""


def table_name(domain: str, name: str) -> str:
    """What an operator is called in graphctx's table; another name where that lacks it."""
    record = TABLE.get(name)
    return name if domain == ("" if record is None else record.domain) else f"{domain}.{name}"


def _defaults(schema: OpSchema) -> dict[str, Any]:
    return {
        name: formal.default_value
        for name, formal in schema.attributes.items()
        if formal.default_value.type
    }


def _require_count(count: int, least: int, most: int, what: str, place: Place) -> None:
    if not least <= count <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        if most > 2**30:
            wanted = f"{least} or more"
        raise place.error(f"it has {count} {what}, and the operator takes {wanted}")


def _root_name(name: str) -> str:
    """The path of the model: a name without what has a meaning in paths."""
    return re.sub(r"[/#\s]+", "_", name).strip("_") or "model"
