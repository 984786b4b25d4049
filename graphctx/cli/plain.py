"""Graphs, arguments and arrays as plain data, for `--json`."""

from __future__ import annotations

import enum
import itertools
import math
from typing import Any

import numpy as np

from graphctx.context import REQUIRED, UNSET
from graphctx.graph import Branch, CallGraph, Node, Outcome, Raises, Value
from graphctx.spec import Dim, TensorSpec, dtype_name


def plain(value: Any) -> Any:
    """A Python value as JSON has it: enum members by name, what JSON lacks as text."""
    if value is UNSET or value is REQUIRED:
        return None
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.dtype):
        return dtype_name(value)
    return str(value)


def spec_data(spec: TensorSpec) -> dict[str, Any]:
    """Shape and dtype; symbolic dimensions as text."""
    shape = [str(dim) if isinstance(dim, Dim) else int(dim) for dim in spec.shape]
    return {"dtype": dtype_name(spec.dtype), "shape": shape}


def contexts_data(graph: CallGraph) -> dict[str, Any]:
    """The open context arguments and the classes of their assignments."""
    classes = graph.classes()
    return {
        "arguments": _arguments_data(graph),
        "assignments": classes.assignments,
        "programs": len(classes),
        "classes": [
            {
                "condition": c.condition,
                "assignment": {name: plain(value) for name, value in c.assignment.items()},
                "assignments": c.count,
                "dead": list(c.dead),
            }
            for c in itertools.islice(classes, 50)
        ],
    }


def _arguments_data(graph: CallGraph) -> list[dict[str, Any]]:
    """The open context arguments; a default of null with `required` or one of each reader's own."""
    return [
        {
            "name": argument.name,
            "type": argument.domain.kind,
            "values": [plain(v) for v in argument.domain.values or argument.cases if v is not UNSET]
            if not argument.domain.is_numeric
            else [],
            "default": plain(argument.default),
            "required": argument.default is REQUIRED,
            "consumers": [
                {"path": c.path, "default": plain(c.default)} for c in argument.consumers
            ],
        }
        for argument in graph.contexts.values()
    ]


def stats_data(graph: CallGraph) -> dict[str, Any]:
    """Counts of what a graph is made of."""
    operators: dict[str, int] = {}
    for node in graph.nodes:
        if node.kind == "op":
            operators[node.name] = operators.get(node.name, 0) + 1
    weights = {id(node.data): node.data for node in graph.weights}.values()
    assignments: int | None = 1
    for argument in graph.contexts.values():
        if assignments is not None:
            finite = argument.domain.is_finite
            assignments = assignments * len(argument.domain.values) if finite else None
    return {
        "model": graph.name,
        "layer calls": len(graph.calls),
        "operators": sum(operators.values()),
        "selects": sum(node.kind == "select" for node in graph.nodes),
        "constants": sum(node.kind == "constant" for node in graph.nodes),
        "weights": len(weights),
        "parameters": sum(variable.size for variable in weights),
        "context arguments": len(graph.contexts),
        "assignments": assignments,
        "by operator": dict(sorted(operators.items(), key=lambda item: (-item[1], item[0]))),
    }


def graph_data(graph: CallGraph) -> dict[str, Any]:
    """The whole graph, without the values of its weights."""
    ids = graph.ids

    def reference(value: Value | None) -> Any:
        return None if value is None else {"node": ids[value.node], "output": value.index}

    def node_data(node: Node) -> dict[str, Any]:
        made: dict[str, Any] = {
            "id": ids[node],
            "kind": node.kind,
            "name": node.name,
            "path": node.path,
            "source": node.source,
            "operands": [reference(v) for v in node.operands],
            "attributes": plain(node.attrs),
            "outputs": [_output(v) for v in node.outputs],
        }
        if node.kind == "constant" and node.data.size <= 64:
            made["value"] = plain(node.data)
        return made

    def outcome_data(outcome: Outcome) -> dict[str, Any]:
        if isinstance(outcome, Raises):
            error = outcome.error
            return {
                "kind": "raise", "error": type(error).__name__, "message": str(error),
                "source": outcome.source,
            }  # fmt: skip
        if isinstance(outcome, Branch):
            return {
                "kind": "select",
                "selector": reference(outcome.selector),
                "cases": [
                    {"case": plain(case), "outcome": outcome_data(inner)}
                    for case, inner in outcome.cases
                ],
            }
        values = zip(outcome.names(), outcome.values, strict=True)
        return {
            "kind": "return",
            "outputs": [{"name": name, "value": reference(value)} for name, value in values],
            "state": {path: reference(value) for path, (_, value) in outcome.state.items()},
        }

    return {
        "name": graph.name,
        "inputs": [{"name": v.node.name, **spec_data(v.spec)} for v in graph.inputs],
        "seed": graph.seed.node.name if graph.seed is not None else None,
        "contexts": contexts_data(graph),
        "bound": plain(dict(graph.bound)),
        "nodes": [node_data(node) for node in graph.nodes],
        "outcome": outcome_data(graph.outcome),
        "calls": [
            {
                "path": call.path,
                "layer": call.layer,
                "parent": call.parent.path if call.parent else None,
                "source": call.source,
                "conditions": [plain(dict(c)) for c in call.conditions],
            }
            for call in graph.calls
        ],
    }


def _output(value: Value) -> dict[str, Any]:
    if value.dtype is None:
        return {"dtype": None, "shape": []}
    return spec_data(value.spec)
