"""Which node a mismatch comes from: the first whose value in onnxruntime differs from ours."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto

from graphctx.errors import ExportError
from graphctx.executor.interpret import interpret, run_op
from graphctx.graph import CallGraph, Node, Value, live_nodes
from graphctx.spec import kind_of
from graphctx_onnx.compare import difference, tolerance_for
from graphctx_onnx.convert import Converted
from graphctx_onnx.metadata import load
from graphctx_onnx.precision import precision_of, precisions
from graphctx_onnx.schemas import label
from graphctx_onnx.sessions import OFF, open_session, run
from graphctx_onnx.tensors import ELEMENT_TYPES


@dataclass(frozen=True)
class Trial:
    """One run: everything that is fed.

    Attributes:
        sizes: of the symbolic dimensions.
        feeds: input name -> array; those of arguments left to run time among them.
        seed: of the random operators.
        state: weight path -> value.
        context: values of the arguments left to run time.
    """

    sizes: Mapping[str, int]
    feeds: Mapping[str, Any]
    seed: int
    state: Mapping[str, Any]
    context: Mapping[str, Any]


@dataclass(frozen=True)
class Tolerances:
    """The user's `rtol` and `atol`; None for the usual ones.

    Raises:
        ExportError: one is no tolerance. NaN or infinity would let every difference pass.
    """

    rtol: float | None = None
    atol: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("rtol", self.rtol), ("atol", self.atol)):
            number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
            if value is not None and not (number and np.isreal(value) and 0 <= value < np.inf):
                raise ExportError(
                    f"{name} is a finite number >= 0 such as 1e-4, got {value!r}; "
                    f"verify=False exports without comparing"
                )


def first_difference(
    path: Path, converted: Converted, trial: Trial, feeds: Mapping[str, Any], limits: Tolerances
) -> str:
    """Name the first node whose value differs, optimizations off; empty if none does.

    Args:
        path: of the model.
        converted: the conversion that wrote it.
        trial: that failed.
        feeds: what onnxruntime was fed.
        limits: tolerances.
    """
    graph = converted.graph
    with np.errstate(all="ignore"):
        ours = interpret(graph, trial.feeds, seed=trial.seed, state=trial.state)
    theirs = all_values(path, converted, feeds)
    theirs |= {v: ours[v] for v in ours if v.node.kind != "op"}
    exactness = precisions(graph)
    for node in graph.nodes:
        for value in node.outputs if node.kind == "op" else ():
            if value not in theirs:
                continue
            tolerance = tolerance_for(exactness[value], value.dtype, limits.rtol, limits.atol)
            found = difference(ours[value], theirs[value], tolerance)
            if found.problem:
                text = f"the first node that differs is {label(node)}: {found.problem}"
                if _agrees_locally(node, value, theirs, limits):
                    text += (
                        "; given the operands that onnxruntime computed, both give the same, so "
                        "rounding before it grew too large here: if that is expected, raise "
                        "rtol or atol"
                    )
                return text
    return ""


def _agrees_locally(
    node: Node, value: Value, theirs: Mapping[Value, Any], limits: Tolerances
) -> bool:
    """Whether our kernel gives onnxruntime's result on onnxruntime's operands."""
    if any(v is not None and v not in theirs for v in node.operands):
        return False
    with np.errstate(all="ignore"):
        results = run_op(node, [None if v is None else theirs[v] for v in node.operands])
    exactness = precision_of(node)
    tolerance = tolerance_for(exactness, value.dtype, limits.rtol, limits.atol)
    return not difference(results[value.index], theirs[value], tolerance).problem


def all_values(path: Path, converted: Converted, feeds: Mapping[str, Any]) -> dict[Value, Any]:
    """Every value that onnxruntime computes, optimizations off.

    The instrumented model is written beside the original, where its data file is, and removed.
    """
    model = load(path)
    wanted = _add_outputs(model, converted)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem[:40]}.", suffix=".onnx", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(model.SerializeToString())
        session = open_session(name, OFF)
        results = run(session, list(wanted), feeds)
    finally:
        os.unlink(name)
    return {value: results[name] for name, value in wanted.items()}


def _add_outputs(model: ModelProto, converted: Converted) -> dict[str, Value]:
    """Make an output of every value that a node of the model computes."""
    made = {name for node in model.graph.node for name in node.output if name}
    outputs = {info.name for info in model.graph.output}
    wanted = {}
    for value, name in converted.names.items():
        if value.node.kind == "op" and name in made:
            wanted[name] = value
            if name not in outputs:
                info = model.graph.output.add(name=name)
                info.type.tensor_type.elem_type = ELEMENT_TYPES[value.dtype]
    kept = [info for info in model.graph.value_info if info.name not in wanted]
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)
    return wanted


def first_non_finite(graph: CallGraph, trial: Trial, target: Value) -> str:
    """Name the node above a value that makes it NaN, or infinite if it holds no NaN.

    That is the first operator that gives it from operands without it; else the weight or input
    that has it from the start.
    """
    with np.errstate(all="ignore"):
        known = interpret(graph, trial.feeds, seed=trial.seed, state=trial.state)
    word, test = ("NaN", np.isnan) if np.isnan(known[target]).any() else ("infinite", np.isinf)

    def is_bad(value: Value | None) -> bool:
        if value is None or value.dtype is None or kind_of(value.dtype) != "f":
            return False
        return bool(test(known[value]).any())

    above = set(live_nodes([target]))
    leaf = ""
    for node in graph.nodes:
        if node not in above or not any(map(is_bad, node.outputs)):
            continue
        if node.kind == "op" and not any(map(is_bad, node.operands)):
            return f"{label(node)}, whose result is {word} though its operands are not"
        if node.kind != "op":
            leaf = leaf or f"the {node.kind} {node.name!r}, which holds {word} elements"
    return leaf
