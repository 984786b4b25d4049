"""What only one arm of a select needs runs only if that arm is taken."""

from __future__ import annotations

import re
from typing import Any, Literal

import numpy as np
import pytest

import graphctx as gx
from graphctx import Context, Layer, nn, ops

SPEC = gx.TensorSpec(("n", 3), name="x")
X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)


class Modes(Layer):
    """Each mode has work of its own; "fails" asks for a row that is not there."""

    def call(
        self, x: Any, mode: Context[Literal["plain", "exp", "fails"]] = "plain",
        training: Context[bool] = False,
    ) -> Any:  # fmt: skip
        shared = ops.abs(x)
        if mode == "fails":
            return ops.take(shared, ops.astype(ops.sum(shared) + 100, "int64"), axis=0) + shared
        if mode == "exp":
            return ops.exp(shared) if training else shared * 2
        return shared


def test_arms_that_are_not_taken_do_not_run() -> None:
    model = Modes()
    program = gx.compile(gx.trace(model, SPEC), runtime=["mode", "training"])
    for mode in ("plain", "exp"):
        for training in (False, True):
            expected = model(X, mode=mode, training=training)
            result = program(X, mode=mode, training=training)
            np.testing.assert_array_equal(result, expected)
    with pytest.raises(gx.InputError, match="Gather refuses these inputs"):
        program(X, mode="fails")


def test_the_source_shows_the_branches() -> None:
    def call(x: Any, deep: Context[bool] = False) -> Any:
        return ops.exp(x) + 1 if deep else x

    program = gx.compile(gx.trace(nn.Lambda(call), SPEC), runtime=["deep"])
    body = program.source.partition("= convert")[2].partition("\n")[2]
    assert re.sub(r"\bc\d+\b", "c", body) == (
        "    if i_deep == False:\n"
        "        v1 = i_x  # lambda\n"
        "    else:\n"
        "        v2 = np_exp(i_x)\n"
        "        v2 = np_add(v2, c, out=v2)\n"
        "        v1 = v2\n"
        "    return np.array(v1)\n"
    )


def test_arms_that_are_there_already_are_picked_in_a_line() -> None:
    def call(x: Any, swap: Context[bool] = False) -> Any:
        a, b = ops.exp(x), ops.sin(x)
        return (b, a) if swap else (a, b)

    model = nn.Lambda(call)
    program = gx.compile(gx.trace(model, SPEC), runtime=["swap"])
    assert " if i_swap == False else " in program.source
    for swap in (False, True):
        for ours, theirs in zip(program(X, swap=swap), model(X, swap=swap), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_state_and_outputs_of_one_case_are_computed_together() -> None:
    model = nn.BatchNorm()
    program = gx.compile(gx.trace(model, SPEC), runtime=["training"])
    for training in (False, True):
        before = {path: v.numpy() for path, v in model.weights.items()}
        result, state = program.step(X, training=training)
        np.testing.assert_array_equal(result, model(X, training=training))
        for path, variable in model.weights.items():
            np.testing.assert_array_equal(state.get(path, before[path]), variable.numpy())
        model.set_weights(before)
