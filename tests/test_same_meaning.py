"""Rule 7: an eager call, a program, a runtime-context program and ONNX mean the same.

Random models (see `random_models`) under every assignment of what they read.
"""

from __future__ import annotations

import itertools
import os
import re
from typing import Any

import numpy as np
import onnxruntime
import pytest
from graphctx_onnx.convert import convert
from hypothesis import HealthCheck, given, note, reject, settings
from hypothesis import strategies as st

import graphctx as gx
from graphctx.context import UNSET
from graphctx.graph import CallGraph
from graphctx.layer import Layer
from graphctx.passes.check import check
from graphctx.passes.prune import prune
from tests.random_models import DOMAINS, VALUES, WIDTH, build, recipes

X = np.linspace(-1, 2, 4 * WIDTH, dtype=np.float32).reshape(4, WIDTH)
SPEC = gx.TensorSpec(("batch", WIDTH), "float32")
MODELS = int(os.environ.get("GRAPHCTX_RANDOM_MODELS", "300"))


def trace(model: Layer) -> CallGraph:
    """Trace with the values of the arguments whose Python value may be asked for."""
    names = model._declared_names()
    try:
        graph = gx.trace(model, SPEC)
    except ValueError as error:
        if isinstance(error, gx.GraphctxError):
            raise
        # It raises for every context; then so does every eager call.
        with pytest.raises(type(error), match=str(error)):
            model(X)
        reject()
    wanted = {n: v for n, v in DOMAINS.items() if n in names and n in graph.contexts}
    return gx.trace(model, SPEC, domains=wanted) if wanted else graph


def assignments(graph: CallGraph) -> list[dict[str, Any]]:
    """Every assignment of the values in `VALUES`, and "not given" for each argument."""
    names = list(graph.contexts)
    options = [[None, *VALUES[name]] for name in names]
    return [
        {n: v for n, v in zip(names, values, strict=True) if v is not None}
        for values in itertools.product(*options)
    ]


def eager(model: Layer, given: dict[str, Any], seed: int) -> tuple[Any, dict[str, Any]]:
    """What a call returns and what it assigns; the model is left as it was."""
    before = {path: v.numpy() for path, v in model.weights.items()}
    try:
        with gx.seed(seed):
            result: Any = model(X, **given)
    except ValueError as error:
        result = error
    after = {path: v.numpy() for path, v in model.weights.items()}
    model.set_weights(before)
    return result, after


def flat(result: Any) -> list[Any]:
    """The outputs as a list."""
    return list(result) if isinstance(result, tuple) else [result]


def same(a: Any, b: Any, what: str) -> None:
    """Equal structure, dtypes and bits."""
    assert isinstance(a, tuple) == isinstance(b, tuple), what
    for left, right in zip(flat(a), flat(b), strict=True):
        assert left.dtype == right.dtype, what
        np.testing.assert_array_equal(left, right, err_msg=what)


def run_onnx(
    program: gx.Program, seed: int, context: dict[str, Any] | None = None
) -> dict[str, Any]:
    """All outputs of onnxruntime, optimizations off."""
    converted = convert(program.graph)
    model = converted.model
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feeds = {"x": X, "seed": np.asarray(seed, np.int64)}
    for port in converted.signature.contexts:
        feeds[port.name] = port.encoding.encode((context or {})[port.encoding.argument.name])
    wanted = {i.name for i in (*session.get_inputs(), *session.get_overridable_initializers())}
    names = [o.name for o in session.get_outputs()]
    return dict(
        zip(names, session.run(names, {k: v for k, v in feeds.items() if k in wanted}), strict=True)
    )


@settings(max_examples=MODELS, deadline=None, suppress_health_check=list(HealthCheck))
@given(recipe=recipes, seed=st.integers(0, 2**63 - 1))
def test_eager_program_and_onnx_are_equal(recipe: Any, seed: int) -> None:
    model = build(recipe)
    graph = trace(model)
    check(graph)
    note(str(graph))
    exported: set[str] = set()
    for given_values in assignments(graph):
        what = f"{given_values}\n{graph}"
        expected, state = eager(model, given_values, seed)
        if isinstance(expected, Exception):
            with pytest.raises(type(expected), match=re.escape(str(expected))):
                gx.compile(graph, given_values)
            continue
        program = gx.compile(graph, given_values)
        result = program(X, seed=seed)
        same(result, expected, what)
        again, new_state = program.step(X, seed=seed)
        same(again, expected, what)
        for path, value in new_state.items():
            np.testing.assert_array_equal(value, state[path], err_msg=f"{path} {what}")
        for path in set(state) - set(new_state):
            np.testing.assert_array_equal(model.weights[path].numpy(), state[path])
        text = str(program.graph)
        if text in exported:
            continue  # the same program as for another assignment
        exported.add(text)
        outputs = run_onnx(program, seed)
        names = program.graph.returns.names()
        for name, value in zip(names, flat(expected), strict=True):
            np.testing.assert_array_equal(outputs[name], value, err_msg=f"{name} {what}")


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(recipe=recipes, data=st.data())
def test_the_laws_of_specialization(recipe: Any, data: st.DataObject) -> None:
    graph = trace(build(recipe))
    a = data.draw(st.sampled_from(assignments(graph)))
    order = data.draw(st.permutations(list(a)))
    cut = data.draw(st.integers(0, len(order)))
    first = {n: a[n] for n in order[:cut]}
    rest = {n: a[n] for n in order[cut:]}
    whole = gx.specialize(graph, a)
    check(whole)
    # In one step or in two; again; and nothing of the other cases is left.
    assert str(gx.specialize(gx.specialize(graph, first), rest)) == str(whole)
    assert str(gx.specialize(whole, {})) == str(whole)
    assert len(prune(whole).nodes) == len(whole.nodes)
    for node in whole.nodes:
        if node.kind == "select":
            selector = node.operands[0]
            assert selector is not None
            assert selector.node.name not in a


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(recipe=recipes, data=st.data())
def test_arguments_left_to_run_time_mean_the_same(recipe: Any, data: st.DataObject) -> None:
    model = build(recipe)
    graph = trace(model)
    a = data.draw(st.sampled_from(assignments(graph)))
    open_names = data.draw(st.lists(st.sampled_from(sorted(a) or [""]), unique=True))
    open_names = [name for name in open_names if name]
    bound = {n: v for n, v in a.items() if n not in open_names}
    expected, _ = eager(model, a, 5)
    try:
        program = gx.compile(graph, bound, runtime=open_names)
    except (gx.GraphctxError, ValueError):
        return  # the argument decides the structure (or whether the model raises)
    if isinstance(expected, Exception):
        return
    left = {n: a[n] for n in open_names}
    result = program(X, seed=5, **left)
    same(result, expected, f"{a} open {open_names}\n{program.source}")
    if any(argument.default is UNSET for argument in program.graph.contexts.values()):
        with pytest.raises(gx.ExportError, match="its default differs between layers"):
            run_onnx(program, 5, left)
        return
    outputs = run_onnx(program, 5, left)
    for name, value in zip(program.graph.returns.names(), flat(expected), strict=True):
        what = f"{name}: {a} open {open_names}\n{program.graph}"
        np.testing.assert_array_equal(outputs[name], value, err_msg=what)
