"""The canonical text of a graph, and of its parts: what people read and golden tests compare."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from graphctx.body import Body, bodies_of, listed_operands, taken_by
from graphctx.builder import constant_key
from graphctx.context import value_text
from graphctx.graph import Branch, CallGraph, Node, Outcome, Raises, Value, live_nodes
from graphctx.spec import ContainerType, Dim, TensorSpec, dtype_name, is_extended

_UNKNOWN = re.compile(r"\?[0-9]+")


def graph_text(graph: CallGraph) -> str:
    """The canonical text of a graph: equal graphs have equal texts.

    What a body computes is numbered `%%1`, its inputs are `%%in_0`, and what it takes from outside
    is called what it is called there.
    """
    ids = graph.ids

    def ref(value: Value | None) -> str:
        if value is None:
            return "none"
        node = value.node
        if node.kind in ("op", "select"):
            return ids[node] if len(node.outputs) == 1 else f"{ids[node]}.{value.index}"
        return leaf_text(node)

    rows = _rows(graph.nodes, ids, ref)
    width = min(max((len(text) for text, _ in rows), default=0), 76)
    inputs = ", ".join(f"{v.node.name}: {v.spec}" for v in graph.inputs)
    if graph.seed is not None:
        inputs += f"{', ' if inputs else ''}{graph.seed.node.name}: seed"
    head = f"graph {graph.name} ({inputs})"
    if graph.contexts:
        head += f"  contexts ({', '.join(map(str, graph.contexts.values()))})"
    lines = [head]
    lines += [f"  {text:<{width}}  # {path}" if path else f"  {text}" for text, path in rows]
    lines += _outcome_text(graph.outcome, ref, "  ")
    return "\n".join(lines)


def _rows(
    nodes: Iterable[Node], ids: Mapping[Node, str], ref: Callable[[Value | None], str]
) -> list[tuple[str, str]]:
    """(text, path) of ops and selects, and of what stands in their bodies."""
    rows: list[tuple[str, str]] = []
    for node in nodes:
        if node.kind == "op":
            bodies = bodies_of(node)
            arguments = [ref(v) for v in node.operands[: listed_operands(node)]]
            arguments += [
                f"{k}={attr_text(v)}" for k, v in sorted(node.attrs.items()) if k not in bodies
            ]
            rows.append((f"{ids[node]} = {node.name}({', '.join(arguments)})", node.path))
            for name, body in bodies.items():
                rows += _body_rows(name, body, taken_by(node, name), ids[node], ref)
        elif node.kind == "select":
            arms = ", ".join(f"{value_text(case)}: {ref(v)}" for case, v in node.arms())
            selector = node.operands[0]
            assert selector is not None
            name = selector.node.name if selector.node.kind == "context" else ref(selector)
            rows.append((f"{ids[node]} = select {name} {{{arms}}}", node.path))
    return rows


def _body_rows(
    name: str,
    body: Body,
    taken: Sequence[Value | None],
    outer: str,
    outer_ref: Callable[[Value | None], str],
) -> list[tuple[str, str]]:
    """The block of one body of a node; `taken` are the operands bound to its last inputs."""
    mark = "%" * (outer.count("%") + 1)
    own = len(body.inputs) - len(taken)
    names = {value: f"{mark}in_{i}" for i, value in enumerate(body.inputs[:own])}
    names |= {v: outer_ref(o) for v, o in zip(body.inputs[own:], taken, strict=True)}
    ids: dict[Node, str] = {}
    for node in body.graph.nodes:
        if node.kind == "op":
            ids[node] = f"{mark}{len(ids) + 1}"

    def ref(value: Value | None) -> str:
        if value is None:
            return "none"
        node = value.node
        if node in ids:
            return ids[node] if len(node.outputs) == 1 else f"{ids[node]}.{value.index}"
        return names[value] if value in names else leaf_text(node)

    given = ", ".join(f"{names[v]}: {v.spec}" for v in body.inputs[:own])
    unknown: dict[str, str] = {}  # whose own numbers differ every time
    given = _UNKNOWN.sub(lambda m: unknown.setdefault(m[0], f"?{len(unknown) + 1}"), given)
    rows = [(f"  {name}({given}):" if given else f"  {name}:", "")]
    rows += [(f"    {text}", path) for text, path in _rows(body.graph.nodes, ids, ref)]
    return [*rows, (f"    return {', '.join(map(ref, body.outputs))}", "")]


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
        # Numbers of ml_dtypes are no Python numbers; a float32 holds each of them.
        plain = array.astype(np.float32) if is_extended(array.dtype) else array
        text = attr_text(plain.tolist())
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
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.size > 8:
        digest = hashlib.blake2b(repr(constant_key(value)).encode(), digest_size=4).hexdigest()
        return f"[{value.size} items {digest}]"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(attr_text(item) for item in value)}]"
    if isinstance(value, np.dtype):
        return dtype_name(value)
    if isinstance(value, Body):
        rows = _body_rows("", value, (), "", lambda _: "")
        text = "\n".join(row for row, _ in rows)
        return f"body({hashlib.blake2b(text.encode(), digest_size=4).hexdigest()})"
    if isinstance(value, (str, Dim, TensorSpec, ContainerType)):
        return str(value)
    return repr(value)


_SYMBOLS = {
    "Add": "+", "Sub": "-", "Mul": "*", "Div": "/", "Greater": ">", "GreaterOrEqual": ">=",
    "Less": "<", "LessOrEqual": "<=", "Equal": "==", "And": "and", "Or": "or", "Pow": "**",
}  # fmt: skip


def expression_text(value: Value, depth: int = 4) -> str:
    """A value that context decides, as an expression: `noise_scale > 0`."""
    node = value.node
    if node.kind == "context":
        return node.name
    if node.kind == "constant":
        return attr_text(node.data.tolist()) if node.data.size <= 4 else "constant"
    if node.kind != "op":
        return leaf_text(node) if node.kind in ("input", "weight") else node.kind
    if depth == 0:
        return "..."
    operands = [expression_text(v, depth - 1) for v in node.operands if v is not None]
    if node.name == "Cast":
        return operands[0]
    if node.name in _SYMBOLS and len(operands) == 2:
        return f"{operands[0]} {_SYMBOLS[node.name]} {operands[1]}"
    return f"{node.name}({', '.join(operands)})"


def context_names(value: Value) -> set[str]:
    """Names of the context arguments that a value is computed from."""
    return {node.name for node in live_nodes([value]) if node.kind == "context"}
