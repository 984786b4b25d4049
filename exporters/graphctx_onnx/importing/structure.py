"""The structure of a file's graphs: every name is made once, before it is used."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from onnx import AttributeProto, FunctionProto, GraphProto, NodeProto

from graphctx.errors import listing
from graphctx_onnx.importing.places import Place, node_text

SHOWN = 5
"""Names that a message lists at most."""


def subgraphs(proto: NodeProto) -> Iterator[tuple[str, GraphProto]]:
    """(attribute, graph) of every graph that a node holds."""
    for attribute in proto.attribute:
        if attribute.type == AttributeProto.GRAPH or attribute.HasField("g"):
            yield attribute.name, attribute.g
        for graph in attribute.graphs:
            yield attribute.name, graph


def initializer_names(graph: GraphProto) -> list[str]:
    """Names of the dense and sparse initializers."""
    names = [tensor.name for tensor in graph.initializer]
    return names + [tensor.values.name for tensor in graph.sparse_initializer]


def ordered(
    graph: GraphProto, place: Place, outer: Container[str] = ()
) -> list[tuple[int, NodeProto]]:
    """The nodes of a graph with their numbers, each after those that it needs; names checked.

    Args:
        graph: of the file, or of a node.
        place: of the graph.
        outer: names that it may use without making them: those of the graphs around it.

    Raises:
        LoadError: a name is made twice, or by nobody; nodes need each other.
    """
    inputs = [info.name for info in graph.input]
    _require_distinct(inputs, "inputs", place)
    initializers = initializer_names(graph)
    _require_distinct(initializers, "initializers", place)
    if "" in inputs or "" in initializers:
        raise place.error("an input or initializer has no name")
    given = {*inputs, *initializers}
    found = sorted_nodes(graph.node, given, outer, place)
    made = {name for node in graph.node for name in node.output}
    own = made | given
    missing = [i.name for i in graph.output if i.name not in own and i.name not in outer]
    if missing:
        raise place.error(f"nothing makes the output {_names(missing)}")
    _require_distinct([info.name for info in graph.output], "outputs", place)
    return found


def ordered_function(function: FunctionProto, place: Place) -> list[tuple[int, NodeProto]]:
    """The nodes of a function; as `ordered`."""
    _require_distinct(function.input, "inputs", place)
    return sorted_nodes(function.node, set(function.input), (), place)


def sorted_nodes(
    nodes: Sequence[NodeProto], given: set[str], outer: Container[str], place: Place
) -> list[tuple[int, NodeProto]]:
    """The nodes in an order in which each can run; theirs, where that is one."""
    makers: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for name in node.output:
            if not name:
                continue
            if name in makers or name in given:
                first = "an input or initializer"
                if name in makers:
                    first = node_text(makers[name], nodes[makers[name]])
                raise place.node(index, node).error(
                    f"it makes {name!r}, which {first} makes already; every name is made once"
                )
            makers[name] = index
    needs: list[set[int]] = []
    in_order = True
    dangling: dict[str, int] = {}
    for index, node in enumerate(nodes):
        found: set[int] = set()
        for name in needed_names(node):
            maker = makers.get(name)
            if maker is not None:
                found.add(maker)
                in_order = in_order and maker < index
            elif name not in given and name not in outer:
                dangling.setdefault(name, index)
        needs.append(found)
    if dangling:
        name, index = next(iter(dangling.items()))
        others = list(dangling)[1:]
        more = f"; nor {_names(others)}, which later nodes take" if others else ""
        raise place.node(index, nodes[index]).error(f"nothing makes {name!r}, which it takes{more}")
    if in_order:
        return list(enumerate(nodes))
    return [(index, nodes[index]) for index in _sorted(needs, nodes, place)]


def _sorted(needs: list[set[int]], nodes: Sequence[NodeProto], place: Place) -> list[int]:
    order: list[int] = []
    state = [0] * len(needs)  # 1: being visited, 2: done
    for start in range(len(needs)):
        stack = [(start, iter(sorted(needs[start])))] if not state[start] else []
        state[start] = state[start] or 1
        while stack:
            index, rest = stack[-1]
            following = next((i for i in rest if state[i] != 2), None)
            if following is None:
                stack.pop()
                if state[index] != 2:
                    state[index] = 2
                    order.append(index)
            elif state[following] == 1:
                loop = [i for i, _ in stack]
                loop = loop[loop.index(following) :]
                shown = " -> ".join(node_text(i, nodes[i]) for i in loop[:SHOWN])
                raise place.error(f"its nodes need each other in a circle: {shown}")
            else:
                state[following] = 1
                stack.append((following, iter(sorted(needs[following]))))
    return order


def needed_names(node: NodeProto) -> list[str]:
    """Names that a node takes: its inputs, and what its graphs capture."""
    names = [name for name in node.input if name]
    for _, graph in subgraphs(node):
        names += captured_names(graph)
    return names


def captured_names(graph: GraphProto) -> list[str]:
    """Names that a graph takes from the graphs around it, in order of first use."""
    own = {info.name for info in graph.input} | set(initializer_names(graph))
    own.update(name for node in graph.node for name in node.output)
    found: dict[str, None] = {}
    for node in graph.node:
        found.update(dict.fromkeys(name for name in needed_names(node) if name not in own))
    found.update(dict.fromkeys(info.name for info in graph.output if info.name not in own))
    return list(found)


def _require_distinct(names: Sequence[str], what: str, place: Place) -> None:
    if len(set(names)) < len(names):
        repeated = sorted({name for name in names if list(names).count(name) > 1})
        raise place.error(f"two {what} are named {_names(repeated)}")


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return listing(names[:SHOWN]) + more
