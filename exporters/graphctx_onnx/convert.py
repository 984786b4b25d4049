"""Program -> `onnx.ModelProto`: names, operators, weights, metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onnx import AttributeProto, GraphProto, ModelProto, TensorProto, ValueInfoProto

from graphctx.body import Body, all_nodes, bodies_of, listed_operands, taken_by, with_bodies
from graphctx.builder import content_key
from graphctx.errors import ExportError
from graphctx.export import no_program
from graphctx.graph import (
    Branch,
    CallGraph,
    Node,
    Raises,
    Returns,
    Value,
    live_nodes,
    outcome_values,
)
from graphctx.passes.bodies import map_bodies
from graphctx.passes.expand import expand
from graphctx.passes.fold import fold_constants
from graphctx.passes.prune import prune
from graphctx.regions import Choice, Region, partition
from graphctx.spec import TensorSpec
from graphctx_onnx import metadata
from graphctx_onnx.external import DataFile
from graphctx_onnx.metadata import ContextPort, Port, Signature, StatePort
from graphctx_onnx.names import NEW_STATE, Names, join, usable
from graphctx_onnx.runtime_context import Encoding, encoding, lower_context
from graphctx_onnx.schemas import (
    Schema,
    attributes_of,
    choose_domains,
    choose_opset,
    ir_version,
    label,
    require_legal,
)
from graphctx_onnx.tensors import attribute, byte_size, header, tensor, type_proto, value_info

# Operators whose unused outputs stay named: onnxruntime demands all three of a training BatchNorm.
_KEEP_OUTPUTS = frozenset({"BatchNormalization"})


@dataclass
class Converted:
    """A model that is not yet written.

    Attributes:
        model: the protobuf, with references instead of the data of large tensors.
        data: the large tensors.
        graph: what was converted, all operators ONNX's own.
        names: value of that graph -> its name in the model.
        signature: inputs, outputs, state and seed.
        opset: that it is written in.
        count: number of nodes, those in branches too.
    """

    model: ModelProto
    data: DataFile
    graph: CallGraph
    names: dict[Value, str]
    signature: Signature
    opset: int
    count: int


def graph_of(program: Any) -> CallGraph:
    """The graph of a program, or the graph itself.

    Raises:
        ExportError: it is neither; says how to make one of it.
    """
    graph = program if isinstance(program, CallGraph) else getattr(program, "graph", None)
    if not isinstance(graph, CallGraph):
        raise no_program(program)
    return graph


def require_exportable(graph: CallGraph) -> None:
    """Raise unless a graph is one program: one outcome, and open arguments that can be inputs.

    Raises:
        ExportError: names the arguments to bind, or the exception the model raises.
    """
    for argument in graph.contexts.values():
        encoding(graph, argument)
    if isinstance(graph.outcome, Branch):
        decided = graph.outcome.selector.node.name
        raise ExportError(
            f"{graph.name}: what the model returns depends on {decided!r}, and an ONNX graph "
            f"returns one thing; bind it first: gx.compile(graph, {decided}=...)"
        )
    if isinstance(graph.outcome, Raises):
        error = graph.outcome.error
        raise ExportError(
            f"{graph.name}: nothing to export: with {graph.bound_text()} the model raises "
            f"{type(error).__name__}: {error} (at {graph.outcome.source})"
        )
    if isinstance(graph.outcome, Returns) and next(outcome_values(graph.outcome), None) is None:
        raise ExportError(f"{graph.name}: nothing to export: the model returns no tensor")


def convert(
    graph: CallGraph,
    *,
    opset: int | None = None,
    external_threshold: int | None = None,
    data_name: str = "model.onnx.data",
    data: DataFile | None = None,
    name: str = "",
) -> Converted:
    """Convert a graph.

    Args:
        graph: of a program; open context arguments become inputs.
        opset: to write; None for 23, or the first later one that has all operators.
        external_threshold: bytes from which on a tensor goes to the data file; None for 1 MiB.
        data_name: name of the data file.
        data: where large tensors go, instead of a data file of the model's own.
        name: of the ONNX graph; the root layer's where it is empty.

    Raises:
        ExportError: the graph cannot be said in ONNX, or not at this opset.
    """
    require_exportable(graph)
    data = DataFile(data_name, external_threshold) if data is None else data
    lowered, encodings = lower_context(graph)
    return _Conversion(lower(lowered), encodings, opset, data, name).run()


def lower(graph: CallGraph) -> CallGraph:
    """The graph in ONNX's own operators; what an expansion computes of constants is computed."""
    if not any(node.op is not None and node.op.expand is not None for node in all_nodes(graph)):
        return graph
    return _folded(expand(graph))


def _folded(graph: CallGraph) -> CallGraph:
    return prune(fold_constants(map_bodies(graph, _folded)))


def _info(name: str, spec: TensorSpec) -> ValueInfoProto:
    return value_info(name, spec.shape, spec.dtype, repr(name))


def _what(node: Node) -> str:
    return label(node) if node.kind == "op" else f"{node.kind} {node.name!r}"


class _Conversion:
    """The state of one conversion."""

    def __init__(
        self,
        graph: CallGraph,
        encodings: Sequence[Encoding],
        opset: int | None,
        data: DataFile,
        name: str,
    ) -> None:
        self.graph = graph
        self.encodings = encodings
        self.data = data
        roots = list(outcome_values(graph.returns))
        live = set(live_nodes(roots))
        self.nodes = [node for node in graph.nodes if node in live]
        self.all_nodes = [inner for node in self.nodes for inner in with_bodies(node)]
        for value in (value for node in self.all_nodes for value in node.outputs):
            type_proto(None, value.dtype, _what(value.node))
        self.ops = [node for node in self.all_nodes if node.kind == "op"]
        self.opset = choose_opset(self.ops, opset)
        self.opsets = choose_domains(self.ops, self.opset)
        self.schemas = {
            node: require_legal(node, self.opsets[node.op.domain])
            for node in self.ops
            if node.op is not None
        }
        self.used = {v for node in self.all_nodes for v in node.operands if v is not None}
        self.used.update(roots)
        for node in self.ops:
            for body in bodies_of(node).values():
                self.used.update(body.outputs)
        self.model = ModelProto()
        self.proto: GraphProto = self.model.graph
        self.proto.name = name or graph.name
        self.names: dict[Value, str] = {}
        self.taken = Names()
        self.count = 0

    def run(self) -> Converted:
        signature, results = self._interface()
        self._initializers()
        region = partition(list(outcome_values(self.graph.returns)))
        made = self._region(self.proto, region)
        self._identities(self.proto, results)
        self._value_infos(made)
        dtypes = {value.dtype for node in self.all_nodes for value in node.outputs}
        self.model.ir_version = ir_version(self.opset, dtypes)
        for domain, version in self.opsets.items():
            self.model.opset_import.add(domain=domain, version=version)
        metadata.annotate(self.model, self.graph, signature)
        return Converted(
            self.model, self.data, self.graph, self.names, signature, self.opset, self.count
        )

    # -- the interface ------------------------------------------------------------------------

    def _interface(self) -> tuple[Signature, list[tuple[str, Value]]]:
        """Name inputs, seed, outputs and state, in this order; and every returned value."""
        graph, claim, returns = self.graph, self.taken.claim, self.graph.returns
        inputs = tuple(self._input(value) for value in graph.inputs)
        live_seed = graph.seed is not None and graph.seed.node in self.nodes
        seed = self._input(graph.seed) if live_seed and graph.seed is not None else None
        contexts = tuple(self._context(found) for found in self.encodings)
        outputs = []
        names = returns.names()
        for index, (name, value) in enumerate(zip(names, returns.values, strict=True)):
            own = usable(name, "output")
            if not name and own in names:
                own = f"{own}_{index}"
            own = f"{own}_out" if own in self.taken else own
            outputs.append(Port(claim(own), name, value.spec))
        weights = {id(node.data): node.output for node in self.nodes if node.kind == "weight"}
        state = []
        for path, (variable, value) in returns.state.items():
            new = claim(path + NEW_STATE)
            weight = weights.get(id(variable))
            if weight is not None:
                self.names[weight] = claim(weight.node.name)
            read = None if weight is None else self.names[weight]
            state.append(StatePort(read, new, path, value.spec))
        for entry in state:
            if entry.input is not None:
                self.proto.input.append(_info(entry.input, entry.spec))
        signature = Signature(inputs, seed, contexts, tuple(outputs), tuple(state))
        self.proto.output.extend(_info(port.name, port.spec) for port in outputs)
        self.proto.output.extend(_info(entry.output, entry.spec) for entry in state)
        results = [
            *zip((port.name for port in outputs), returns.values, strict=True),
            *((e.output, v) for e, (_, v) in zip(state, returns.state.values(), strict=True)),
        ]
        for name, value in results:
            if value.node.kind in ("op", "select"):
                self.names.setdefault(value, name)  # the first output that returns it
        return signature, results

    def _input(self, value: Value) -> Port:
        name = self.names[value] = self.taken.claim(usable(value.node.name, "input"))
        self.proto.input.append(_info(name, value.spec))
        return Port(name, value.node.name, value.spec)

    def _context(self, found: Encoding) -> ContextPort:
        """An optional input with the argument's default, or one that has to be fed."""
        argument = found.argument
        name = self.taken.claim(usable(argument.name, "context"))
        for node in self.nodes:
            if node.kind == "input" and node.name == found.input:
                self.names[node.output] = name
        self.proto.input.append(_info(name, found.spec))
        if not found.required:
            default = found.encode(argument.default)
            self.proto.initializer.append(tensor(name, default, repr(name)))
        return ContextPort(name, found)

    # -- weights and constants ----------------------------------------------------------------

    def _initializers(self) -> None:
        """Those of bodies, too, stand in the model's graph: a constant is written once."""
        users = self._first_users()
        leaves: list[Node] = []
        written: dict[Any, Node] = {}
        for node in self.all_nodes:
            if node.kind == "weight":
                leaves.append(node)
            elif node.kind == "constant":
                first = written.setdefault(content_key(node.data), node)
                if first is node:
                    leaves.append(node)
        sizes = {node: byte_size(node.output.shape, node.output.dtype) for node in leaves}
        self.data.plan(sizes.values())
        for node in leaves:
            if node.kind == "weight":
                name = self.names.get(node.output) or self.taken.claim(node.name)
            else:
                user = users.get(node)
                name = self.taken.claim(join(user.path if user else "", "constant"))
            self.names[node.output] = name
            self.proto.initializer.append(self._initializer(node, name, sizes[node]))
        for node in self.all_nodes:
            if node.kind == "constant":
                self.names[node.output] = self.names[written[content_key(node.data)].output]

    def _initializer(self, node: Node, name: str, size: int) -> TensorProto:
        where = _what(node)
        if self.data.holds(size):
            proto = header(name, node.output.shape, node.output.dtype, where)
            self.data.place(proto, size, self.graph.array(node))
            return proto
        return tensor(name, self.graph.array(node), where)

    def _first_users(self) -> Mapping[Node, Node]:
        users: dict[Node, Node] = {}
        for node in self.all_nodes:
            for operand in node.operands:
                if operand is not None:
                    users.setdefault(operand.node, node)
        return users

    # -- operators ----------------------------------------------------------------------------

    def _region(self, into: GraphProto, region: Region) -> set[Value]:
        """Write the nodes of a region; return the values that it computes."""
        made: set[Value] = set()
        for step in region.steps:
            if isinstance(step, Choice):
                self._choice(into, step)
                made.update(node.output for node in step.selects)
            else:
                self._node(into, step)
                made.update(step.outputs)
        return made

    def _choice(self, into: GraphProto, choice: Choice) -> None:
        """An If, whose branches have the nodes that only they need."""
        first = choice.selects[0]
        proto = into.node.add(op_type="If")
        proto.name = self.taken.claim(join(first.path, "If"))
        proto.input.append(self.names[choice.selector])
        for node in choice.selects:
            if node.output not in self.names:
                self.names[node.output] = self.taken.claim(f"{join(node.path, 'If')}:output")
            proto.output.append(self.names[node.output])
        metadata.annotate_node(proto, first, ir_version(self.opset))
        for key, case, region in (
            ("then_branch", True, choice.taken), ("else_branch", False, choice.otherwise),
        ):  # fmt: skip
            branch = GraphProto(name=f"{proto.name}/{key}")
            made = self._region(branch, region)
            self._results(branch, choice.results(case), made)
            proto.attribute.add(name=key, type=AttributeProto.GRAPH).g.CopyFrom(branch)
        self.count += 1

    def _results(self, branch: GraphProto, results: Sequence[Value], made: set[Value]) -> None:
        """The outputs of a branch: each is made in it, and stands once."""
        taken: set[Value] = set()
        for value in results:
            name = self.names[value]
            if value not in made or value in taken:
                name = self._identity(branch, value, f"{branch.name}/{len(branch.output)}")
            taken.add(value)
            branch.output.append(_info(name, value.spec))

    def _node(self, into: GraphProto, node: Node) -> None:
        schema = self.schemas[node]
        assert node.op is not None
        proto = into.node.add(op_type=node.name)
        if node.op.domain:
            proto.domain = node.op.domain
        proto.name = self.taken.claim(join(node.path, node.name))
        listed = node.operands[: listed_operands(node)]
        proto.input.extend("" if v is None else self.names[v] for v in listed)
        while len(proto.input) > schema.least_inputs and not proto.input[-1]:
            del proto.input[-1]
        proto.input.extend([""] * (schema.least_inputs - len(proto.input)))
        for slot, value in enumerate(node.outputs):
            proto.output.append(self._output_name(value, proto.name, schema, slot))
        while len(proto.output) > 1 and not proto.output[-1]:
            del proto.output[-1]
        where = label(node)
        for name, setting in attributes_of(node, schema).items():
            proto.attribute.append(attribute(name, setting, schema.attributes[name], where))
        for name, body in bodies_of(node).items():
            graph = self._body(body, f"{proto.name}/{name}", taken_by(node, name))
            proto.attribute.add(name=name, type=AttributeProto.GRAPH).g.CopyFrom(graph)
        metadata.annotate_node(proto, node, ir_version(self.opset))
        self.count += 1

    def _body(self, body: Body, name: str, taken: Sequence[Value | None]) -> GraphProto:
        """A sub-graph; what it takes from outside it calls as that is called there."""
        graph = GraphProto(name=name)
        own = len(body.inputs) - len(taken)
        for value in body.inputs[:own]:
            self.names[value] = self.taken.claim(f"{name}:input_{len(graph.input)}")
            graph.input.append(_info(self.names[value], value.spec))
        for value, outer in zip(body.inputs[own:], taken, strict=True):
            assert outer is not None
            self.names[value] = self.names[outer]
        made: set[Value] = set()
        for node in body.graph.nodes:
            if node.kind == "op":
                for value in node.outputs:
                    self.names.pop(value, None)  # where the same body stands elsewhere
                self._node(graph, node)
                made.update(node.outputs)
        self._results(graph, body.outputs, made)
        return graph

    def _output_name(self, value: Value, node: str, schema: Schema, slot: int) -> str:
        """The value's name; empty for an optional output that nobody takes."""
        formal = schema.output(slot)
        if value not in self.names:
            optional = formal is not None and formal.optional
            if optional and value not in self.used and value.node.name not in _KEEP_OUTPUTS:
                return ""
            self.names[value] = self.taken.claim(f"{node}:{schema.output_name(slot)}")
        return self.names[value]

    def _identity(self, into: GraphProto, value: Value, name: str) -> str:
        """Another name of a value."""
        proto = into.node.add(op_type="Identity")
        proto.name = self.taken.claim(f"{name}/Identity")
        proto.input.append(self.names[value])
        proto.output.append(name)
        metadata.annotate_node(proto, value.node, ir_version(self.opset))
        self.count += 1
        return name

    def _identities(self, into: GraphProto, results: list[tuple[str, Value]]) -> None:
        """An Identity for an output that is an input, a weight, a constant, or returned twice."""
        for name, value in results:
            if self.names[value] != name:
                self._identity(into, value, name)

    def _value_infos(self, made: set[Value]) -> None:
        """Shapes of the values inside the graph, for those who read the file."""
        outputs = {info.name for info in self.proto.output}
        for node in self.nodes:
            for value in node.outputs:
                name = self.names.get(value)
                if value in made and name is not None and name not in outputs:
                    info = value_info(name, value.shape, value.dtype, label(node))
                    self.proto.value_info.append(info)
