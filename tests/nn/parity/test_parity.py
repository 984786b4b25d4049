"""The layers compute what Keras's compute: eagerly, as programs and in onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphctx as gx
from tests.nn.parity.case import MODES, Case, families, leaves
from tests.nn.parity.fixtures import Fixture, fixture_of, read

ALL = [(family, case) for family, cases in families().items() for case in cases]
IDS = [str(case) for _, case in ALL]


def prepared(case: Case, fixture: Fixture) -> Any:
    """Our layer with Keras's weights: the same names, in the same order and of the same shapes."""
    layer = case.ours()
    inputs, named = case.draw()
    layer(*inputs, **named)
    ours = layer.weights
    described = [(p.rpartition("/")[2], v.shape, v.trainable) for p, v in ours.items()]
    theirs = fixture.weights
    assert described == [
        (p.rpartition("/")[2], a.shape, fixture.trainable[p]) for p, a in theirs.items()
    ]
    layer.set_weights(dict(zip(ours, theirs.values(), strict=True)))
    return layer


def given(layer: Any, mode: str) -> dict[str, bool]:
    """The context of a call."""
    return {"training": MODES[mode]} if "training" in layer._declared_names() else {}


def differences(case: Case, fixture: Fixture, mode: str) -> tuple[list[Any], list[tuple[Any, Any]]]:
    """Call our layer; return its outputs, and pairs (ours, Keras's) of outputs and state."""
    layer = prepared(case, fixture)
    inputs, named = case.draw()
    outputs = leaves(layer(*inputs, **named, **given(layer, mode)))
    assert len(outputs) == len(fixture.outputs[mode])
    pairs = [(np.asarray(a), b) for a, b in zip(outputs, fixture.outputs[mode], strict=True)]
    after = dict(zip(fixture.weights, layer.weights.values(), strict=True))
    for path, before in fixture.weights.items():
        pairs.append((after[path].numpy(), fixture.state[mode].get(path, before)))
    return outputs, pairs


def test_fixtures_are_of_these_cases() -> None:
    for family, cases in families().items():
        assert set(read(family)[0]) == set(map(str, cases)), "run make keras-fixtures"


@pytest.mark.parametrize(("family", "case"), ALL, ids=IDS)
def test_equal_to_keras(family: str, case: Case) -> None:
    fixture = fixture_of(family, case)
    inputs, named = case.draw()
    for recorded, drawn in zip(fixture.inputs, leaves([inputs, named]), strict=True):
        np.testing.assert_array_equal(recorded, drawn)
    for mode in case.modes:
        _, pairs = differences(case, fixture, mode)
        for ours, theirs in pairs:
            assert ours.shape == theirs.shape
            assert ours.dtype == theirs.dtype
            np.testing.assert_allclose(ours, theirs, rtol=case.tolerance, atol=case.tolerance)


@pytest.mark.parametrize(("family", "case"), ALL, ids=IDS)
def test_programs_and_files_are_equal_to_eager_calls(
    family: str, case: Case, tmp_path: Any
) -> None:
    fixture = fixture_of(family, case)
    layer = prepared(case, fixture)
    before = {path: variable.numpy() for path, variable in layer.weights.items()}
    inputs, named = case.draw()

    def spec(item: Any) -> Any:
        if isinstance(item, list):
            return [spec(i) for i in item]
        return gx.TensorSpec(item.shape, item.dtype) if isinstance(item, np.ndarray) else item

    graph = gx.trace(layer, *map(spec, inputs), **{k: spec(v) for k, v in named.items()})
    for training in (False, True):
        context = {"training": training} if "training" in layer._declared_names() else {}
        with gx.seed(3):
            expected = leaves(layer(*inputs, **named, **context))
        after = {path: variable.numpy() for path, variable in layer.weights.items()}
        layer.set_weights(before)
        program = gx.compile(graph, context if "training" in graph.contexts else {})
        arrays = {k: v for k, v in named.items() if leaves(v)}
        result, state = program.step(*inputs, **arrays, seed=3)
        for ours, other in zip(leaves(result), expected, strict=True):
            np.testing.assert_array_equal(ours, other)
        for path, value in after.items():
            np.testing.assert_array_equal(state.get(path, before[path]), value)
        if case.onnx:
            gx.export(program, tmp_path / f"{training}.onnx")  # and verifies
