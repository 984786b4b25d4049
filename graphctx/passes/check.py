"""The invariants every pass keeps, checked anew: debug a pass by checking what it returns."""

from __future__ import annotations

from typing import Any

from graphctx.body import bodies_of
from graphctx.errors import GraphctxError
from graphctx.graph import CallGraph, Node, Value, outcome_values
from graphctx.spec import TensorSpec, joined_dtype, joined_shape, may_be_same

LEAVES = frozenset({"input", "context", "weight", "constant"})


def check(graph: CallGraph) -> CallGraph:
    """Return the graph if it is well formed.

    Every node stands once, after its operands; recorded shapes, dtypes and known elements are
    those that inference gives now; the outcome is made of values of the graph; every context
    argument that is read is open; no two nodes have one id.

    Raises:
        GraphctxError: an invariant does not hold; the message names the node.
    """
    present: set[int] = set()
    for node in graph.nodes:
        if id(node) in present:
            raise _broken(graph, node, "stands in the graph twice")
        for value in node.operands:
            if value is not None:
                _check_present(graph, value, present, f"an operand of {_name(graph, node)}")
        _check_node(graph, node)
        present.add(id(node))
    for value in graph.inputs:
        # An input that nothing takes may be missing from the nodes: `prune` leaves it out.
        if value.node.kind != "input":
            raise _broken(graph, value.node, "is listed as an input")
    for value in outcome_values(graph.outcome):
        _check_present(graph, value, present, "part of the outcome")
    names = set(graph.ids.values())
    if len(names) != len(graph.nodes):
        seen: set[str] = set()
        for node, name in graph.ids.items():
            if name in seen:
                raise _broken(graph, node, "has the id of another node")
            seen.add(name)
    return graph


def _check_present(graph: CallGraph, value: Value, present: set[int], role: str) -> None:
    node = value.node
    if id(node) not in present:
        raise _broken(graph, node, f"is {role} but does not stand before it in the graph")
    if value.index >= len(node.outputs) or node.outputs[value.index] is not value:
        raise _broken(graph, node, f"has no such output {value.index}, which is {role}")


def _check_node(graph: CallGraph, node: Node) -> None:
    if node.kind == "op":
        _check_op(graph, node)
    elif node.kind == "select":
        _check_select(graph, node)
    elif node.kind not in LEAVES:
        raise _broken(graph, node, f"is of the unknown kind {node.kind!r}")
    elif node.kind == "context" and node.name not in graph.contexts:
        raise _broken(graph, node, "reads a context argument that the graph does not list")
    elif node.kind == "constant":
        array = node.data
        if array.flags.writeable:
            raise _broken(graph, node, "is a constant whose array can be written to")
        if array.dtype != node.output.dtype or array.shape != node.output.shape:
            raise _broken(graph, node, "is a constant of another shape or dtype than recorded")


def _check_op(graph: CallGraph, node: Node) -> None:
    if node.op is None:
        raise _broken(graph, node, "has no operator record")
    try:
        inferred = node.op.infer_outputs(node.operands, node.attrs)
    except GraphctxError as error:
        raise _broken(graph, node, f"does not pass inference: {error}") from error
    _check_bodies(graph, node)
    if len(inferred) != len(node.outputs):
        raise _broken(graph, node, f"has {len(node.outputs)} outputs, not {len(inferred)}")
    for value, (shape, dtype) in zip(node.outputs, inferred, strict=True):
        if not _same_type(value.dtype, dtype) or joined_shape(value.shape, shape) is None:
            now = TensorSpec(shape, dtype)
            raise _broken(graph, node, f"is recorded as {value.spec}, but inference gives {now}")
    if node.op.content is not None:
        twin = Node("op", node.name, node.operands, node.attrs, op=node.op)
        twin.outputs = tuple(Value(twin, v.index, v.shape, v.dtype) for v in node.outputs)
        node.op.annotate(twin)
        recorded, known = node.output.dims, twin.output.dims
        agree = (recorded is None) == (known is None)
        if recorded is not None and known is not None:
            agree = len(recorded) == len(known) and all(map(may_be_same, recorded, known))
        if not agree:
            raise _broken(graph, node, f"has the elements {recorded}, but inference gives {known}")


def _check_bodies(graph: CallGraph, node: Node) -> None:
    """Each body is closed, and well formed itself."""
    for name, body in bodies_of(node).items():
        for inner in body.graph.nodes:
            if inner.kind not in ("input", "constant", "op"):
                what = f"has a {inner.kind} in its {name}, which has to be closed"
                raise _broken(graph, node, what)
        try:
            check(body.graph)
        except GraphctxError as error:
            raise _broken(graph, node, f"has a broken {name}: {error}") from error


def _check_select(graph: CallGraph, node: Node) -> None:
    cases = node.attrs["cases"]
    if len(node.operands) != len(cases) + 1 or None in node.operands:
        raise _broken(graph, node, f"has {len(node.operands) - 1} arms for {len(cases)} cases")
    for _, arm in node.arms():
        apart = joined_shape(arm.shape, node.output.shape) is None
        if apart or not _same_type(arm.dtype, node.output.dtype):
            raise _broken(graph, node, f"is {node.output.spec}, but has the arm {arm.spec}")


def _same_type(a: Any, b: Any) -> bool:
    """Whether dtypes are equal; what is in a sequence may be known more or less exactly."""
    return bool(a == b) or joined_dtype(a, b) is not None


def _name(graph: CallGraph, node: Node) -> str:
    return f"{node.kind} {graph.ids.get(node, '')} {node.name}".replace("  ", " ")


def _broken(graph: CallGraph, node: Node, what: str) -> GraphctxError:
    where = f"{node.path}: " if node.path else ""
    source = f" ({node.source})" if node.source else ""
    return GraphctxError(f"{where}the node {_name(graph, node)} {what}{source}")
