"""A call graph as a networkx graph."""

from __future__ import annotations

from typing import Any

import networkx as nx

from graphctx.context import value_text
from graphctx.graph import Call, CallGraph, Node
from graphctx.spec import dtype_name


def to_networkx(graph: CallGraph) -> nx.MultiDiGraph:
    """Return the graph as a frozen, acyclic `MultiDiGraph`.

    Nodes have `kind` and `path`; edges have `kind`: `data` (with `slot` and `index`: operand slot
    and output index) or `context` (with `argument`, and into a call `how`, `provider`, `source`).
    """
    result = nx.MultiDiGraph(name=graph.name)
    ids = graph.ids
    for node in graph.nodes:
        result.add_node(ids[node], kind=node.kind, path=node.path, **_attributes(node))
    for node in graph.nodes:
        for slot, value in enumerate(node.operands):
            if value is None:
                continue
            source = value.node
            if source.kind == "context":
                result.add_edge(
                    ids[source], ids[node], kind="context", argument=source.name, slot=slot
                )
            else:
                result.add_edge(ids[source], ids[node], kind="data", slot=slot, index=value.index)
    for call in graph.calls:
        _add_call(result, call, graph)
    return nx.freeze(result)


def _attributes(node: Node) -> dict[str, Any]:
    found: dict[str, Any] = {"name": node.name}
    if node.kind in ("op", "select"):
        found["attrs"] = dict(node.attrs)
        found["source"] = node.source
    if len(node.outputs) == 1:
        value = node.output
        found["shape"] = value.shape
        found["dtype"] = "any" if value.dtype is None else dtype_name(value.dtype)
    else:
        found["shape"] = [value.shape for value in node.outputs]
        found["dtype"] = [dtype_name(value.dtype) for value in node.outputs]
    if node.kind == "context":
        found["domain"] = str(node.data.domain)
        found["default"] = value_text(node.data.default)
    return found


def _add_call(result: nx.MultiDiGraph, call: Call, graph: CallGraph) -> None:
    name = f"call:{call.path}"
    conditions = [dict(c) for c in call.conditions]
    result.add_node(
        name, kind="call", path=call.path, layer=call.layer, conditions=conditions,
        source=call.source,
    )  # fmt: skip
    for edge in _context_edges(call):
        source = edge.pop("origin")
        if source in result:
            result.add_edge(source, name, kind="context", **edge)


def _context_edges(call: Call) -> list[dict[str, Any]]:
    """One edge for every way in which an argument of a call gets its value.

    What the graph leaves open comes from the context node; what the model itself writes comes from
    the call in whose code it is written: the provider, or for a value given in this very call (or
    in a block) the caller.
    """
    edges: dict[tuple[str, ...], dict[str, Any]] = {}
    for resolution in call.resolutions:
        how, provider = resolution.how, resolution.provider
        if how == "caller":
            origin = f"context:{resolution.argument}"
            how = "inherited" if call.parent is not None else "explicit"
            provider = call.path.split("/")[0]
        elif how == "inherited":
            origin = f"call:{provider}"
        else:
            provider = call.parent.path if call.parent is not None else ""
            origin = f"call:{provider}"
        edge = {
            "origin": origin, "argument": resolution.argument, "how": how, "provider": provider,
            "value": resolution.value, "source": resolution.source,
        }  # fmt: skip
        known = edges.setdefault(tuple(edge.values()), {**edge, "conditions": []})
        known["conditions"].append(dict(resolution.conditions))
    return list(edges.values())
