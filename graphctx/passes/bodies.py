"""Bodies of control flow: passes reach into them, and what is decided is no control flow any more.

An If whose condition is known becomes the nodes of the branch that runs; a Loop or Scan that never
runs, what it starts from. Constants move into the bodies that take them; what a body does not need,
or carries around unchanged, is no operand of it any more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphctx.body import Body, bodies_of, body_of, input_like, listed_operands, taken_by
from graphctx.builder import Builder, rebuild
from graphctx.errors import GraphctxError
from graphctx.graph import CallGraph, Node, Value, live_nodes
from graphctx.ops.bodies import trip_count
from graphctx.passes.uses import same_graph, transformed, use_counts
from graphctx.spec import Dim, is_static

Operands = tuple[Value | None, ...]


def map_bodies(graph: CallGraph, function: Callable[[CallGraph], CallGraph]) -> CallGraph:
    """Apply a pass to the graph of every body; the very same graph where that changes nothing."""
    if not any(map(bodies_of, graph.nodes)):
        return graph

    def transform(
        node: Node, operands: tuple[Value | None, ...], builder: Builder
    ) -> Sequence[Value] | None:
        attrs: dict[str, Any] = dict(node.attrs)
        for name, body in bodies_of(node).items():
            after = function(body.graph)
            if not same_graph(body.graph, after):
                attrs[name] = Body(after)
        if all(value is node.attrs[name] for name, value in attrs.items()):
            return None
        assert node.op is not None
        return builder.op(node.op, operands, attrs, node.call, node.source)

    return transformed(graph, transform)


def simplify_bodies(graph: CallGraph) -> CallGraph:
    """Decide what control flow is known, and leave out what the rest does not need."""
    if not any(map(bodies_of, graph.nodes)):
        return graph
    used = set(use_counts(graph))

    def transform(
        node: Node, operands: tuple[Value | None, ...], builder: Builder
    ) -> Sequence[Value] | None:
        if not bodies_of(node):
            return None
        wanted = [value in used for value in node.outputs]
        if not any(wanted):
            return None
        return _DECIDE[node.name](node, operands, builder) or _shrunk(
            node, operands, wanted, builder
        )

    return transformed(graph, transform)


# -- what is decided ------------------------------------------------------------------------------


def _decided_if(node: Node, operands: Operands, builder: Builder) -> Sequence[Value] | None:
    condition = operands[0]
    assert condition is not None
    if condition.constant is None:
        return None
    name = "then_branch" if condition.constant.all() else "else_branch"
    body = node.attrs[name]
    new = dict(zip(body.inputs, taken_by(node, name, operands), strict=True))
    for inner in body.graph.nodes:
        if inner.kind == "constant":
            new[inner.output] = builder.adopt(inner).output
        elif inner.kind == "op":
            taken = tuple(None if v is None else new[v] for v in inner.operands)
            new.update(zip(inner.outputs, rebuild(inner, taken, builder), strict=True))
    return [new[value] for value in body.outputs]


def _decided_loop(node: Node, operands: Operands, builder: Builder) -> Sequence[Value] | None:
    trips = trip_count(operands, node.attrs["body"])
    if isinstance(trips, Dim) or trips != 0:
        return None
    return _never(node, operands[2:], builder)


def _decided_scan(node: Node, operands: Operands, builder: Builder) -> Sequence[Value] | None:
    carried = node.attrs["carried"]
    first = operands[carried]
    assert first is not None
    axis = (node.attrs.get("scan_input_axes") or (0,))[0]
    length = first.shape[axis]
    if isinstance(length, Dim) or length != 0:
        return None
    return _never(node, operands, builder)


def _never(node: Node, operands: Operands, builder: Builder) -> Sequence[Value] | None:
    """What is carried stays, and nothing is stacked."""
    carried = node.attrs["carried"]
    stacks = node.outputs[carried:]
    if not all(is_static(value.shape) for value in stacks):
        return None
    empty = [builder.constant(np.empty(v.shape, v.dtype), node.call) for v in stacks]
    return [*(v for v in operands[:carried] if v is not None), *empty]


_DECIDE = {"If": _decided_if, "Loop": _decided_loop, "Scan": _decided_scan}


# -- what is not needed ---------------------------------------------------------------------------


def _shrunk(
    node: Node, operands: Operands, wanted: list[bool], builder: Builder
) -> Sequence[Value] | None:
    """The node without the operands, carried values and outputs that nothing needs."""
    made = _smaller_if if node.name == "If" else _smaller_loop
    return made(node, operands, wanted, builder)


def _smaller_if(
    node: Node, operands: Operands, wanted: list[bool], builder: Builder
) -> Sequence[Value] | None:
    attrs: dict[str, Any] = {}
    captures: list[Value] = []
    changed = not all(wanted)
    for name, body in bodies_of(node).items():
        outputs = [v for v, is_wanted in zip(body.outputs, wanted, strict=True) if is_wanted]
        taken = list(zip(body.inputs, taken_by(node, name, operands), strict=True))
        changed = changed or not _is_tight(taken, outputs)
        attrs[name], bound = _rebound([], taken, outputs)
        captures += bound
    if not changed:
        return None
    assert node.op is not None
    made = builder.op(node.op, [operands[0], *captures], attrs, node.call, node.source)
    return _spread(made, wanted, made[0])


def _smaller_loop(
    node: Node, operands: Operands, wanted: list[bool], builder: Builder
) -> Sequence[Value] | None:
    """Of a Loop or a Scan."""
    body: Body = node.attrs["body"]
    carried: int = node.attrs["carried"]
    before, leads = (2, 1) if node.name == "Loop" else (0, 0)  # flags, and conditions returned
    inputs = body.inputs[before : before + carried]
    ends = body.outputs[leads : leads + carried]
    stacks = body.outputs[leads + carried :]
    count = listed_operands(node) - before - carried  # of what is scanned
    scanned = body.inputs[before + carried : before + carried + count]
    outer = operands[before:]
    # What is carried around unchanged is taken from outside; what only serves itself is left out.
    fixed = [value is end for value, end in zip(inputs, ends, strict=True)]
    kept_stacks = [v for v, is_wanted in zip(stacks, wanted[carried:], strict=True) if is_wanted]
    roots = [*body.outputs[:leads], *kept_stacks]
    live = [not f and w for f, w in zip(fixed, wanted[:carried], strict=True)]
    while True:
        ends_kept = [end for end, is_live in zip(ends, live, strict=True) if is_live]
        needed = {node.output for node in live_nodes([*roots, *ends_kept]) if node.kind == "input"}
        more = [
            is_live or (value in needed and not f)
            for is_live, value, f in zip(live, inputs, fixed, strict=True)
        ]
        if more == live:
            break
        live = more
    keep_scanned = [value in needed for value in scanned]
    if count and not any(keep_scanned):
        keep_scanned[0] = True
    taken = [
        *((v, o) for v, o, f in zip(inputs, outer, fixed, strict=False) if f),
        *zip(body.inputs[before + carried + count :], outer[carried + count :], strict=True),
    ]
    outputs = [*body.outputs[:leads], *ends_kept, *kept_stacks]
    if all(live) and all(wanted[carried:]) and all(keep_scanned) and _is_tight(taken, outputs):
        return None
    own = [
        *body.inputs[:before],
        *(v for v, is_live in zip(inputs, live, strict=True) if is_live),
        *(v for v, is_kept in zip(scanned, keep_scanned, strict=True) if is_kept),
    ]
    smaller, bound = _rebound(own, taken, outputs)
    given = [
        *operands[:before],
        *(v for v, is_live in zip(outer, live, strict=False) if is_live),
        *(v for v, is_kept in zip(outer[carried:], keep_scanned, strict=False) if is_kept),
    ]
    attrs = {**node.attrs, "body": smaller, "carried": sum(live)}
    if node.name == "Scan":
        attrs["num_scan_inputs"] = sum(keep_scanned)
        for name, keep in (("scan_input", keep_scanned), ("scan_output", wanted[carried:])):
            for what in (f"{name}_axes", f"{name}_directions"):
                if attrs.get(what) is not None:
                    attrs[what] = tuple(
                        entry for entry, k in zip(attrs[what], keep, strict=True) if k
                    )
    assert node.op is not None
    made: Sequence[Value] = ()
    if len(outputs) > leads:
        made = builder.op(node.op, [*given, *bound], attrs, node.call, node.source)
    other = next(v for v in (*made, *outer) if v is not None)
    found = _spread(made, [*live, *wanted[carried:]], other)
    for index, (is_fixed, value) in enumerate(zip(fixed, outer, strict=False)):
        if is_fixed and value is not None:
            found[index] = value
    return found


def _spread(made: Sequence[Value], present: list[bool], other: Value) -> list[Value]:
    """Outputs by their old places; `other` stands where nothing looks."""
    values = iter(made)
    return [next(values) if is_present else other for is_present in present]


def _is_tight(taken: Sequence[tuple[Value, Value | None]], outputs: Sequence[Value]) -> bool:
    """Whether a body needs all that it takes, and knows all that is known of it."""
    needed = set(live_nodes(outputs))
    return len({operand for _, operand in taken}) == len(taken) and all(
        operand is not None
        and operand.constant is None
        and value.node in needed
        and (operand.dims is None or value.dims is not None)
        and not any(map(_sharper, operand.shape, value.shape))
        for value, operand in taken
    )


def _sharper(a: Any, b: Any) -> bool:
    """Whether more is known of a size than of another."""
    doubt = a.doubt if isinstance(a, Dim) else -1
    return bool(doubt < (b.doubt if isinstance(b, Dim) else -1))


def _rebound(
    own: Sequence[Value], taken: Sequence[tuple[Value, Value | None]], outputs: Sequence[Value]
) -> tuple[Body, list[Value]]:
    """A body with other inputs.

    Args:
        own: the inputs that stay.
        taken: (input, operand outside) of what the body takes from there.
        outputs: what it computes.

    Returns:
        The body, and the operands bound to its last inputs.
    """
    try:
        return _rebuilt(own, taken, outputs, sharper=True)
    except GraphctxError:
        # A branch that cannot run for what is known now: what it raises, it raises when it runs.
        return _rebuilt(own, taken, outputs, sharper=False)


def _rebuilt(
    own: Sequence[Value],
    taken: Sequence[tuple[Value, Value | None]],
    outputs: Sequence[Value],
    *,
    sharper: bool,
) -> tuple[Body, list[Value]]:
    builder = Builder()
    new = {value: input_like(builder, value) for value in own}
    bound: dict[Value, Value] = {}
    needed = live_nodes(outputs)
    present = set(needed)
    for value, operand in taken:
        assert operand is not None
        if value.node not in present:
            continue
        if operand.constant is not None:
            new[value] = builder.adopt(operand.node).output
            continue
        if operand not in bound:
            made = bound[operand] = input_like(builder, value)
            if sharper:
                pairs = zip(value.shape, operand.shape, strict=True)
                made.shape = tuple(o if _sharper(o, v) else v for v, o in pairs)
                made.dims = operand.dims if value.dims is None else value.dims
        new[value] = bound[operand]
    for node in needed:
        if node.kind != "input":
            operands = tuple(None if v is None else new[v] for v in node.operands)
            new.update(zip(node.outputs, rebuild(node, operands, builder), strict=True))
    inputs = [*(new[value] for value in own), *bound.values()]
    return body_of(builder, inputs, [new[value] for value in outputs]), list(bound)
