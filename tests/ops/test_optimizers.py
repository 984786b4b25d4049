"""Steps of gradient descent: programs are the eager call, files run, wrong operands are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphctx as gx
from graphctx import ops
from graphctx.errors import DTypeError, ShapeError

RATE, STEPS = np.float32(0.1), np.int64(2)
X = np.arange(6, dtype=np.float32).reshape(2, 3)
MOMENTUM: dict[str, Any] = {
    "alpha": 0.9, "beta": 1.0, "mode": "standard", "norm_coefficient": 0.0,
}  # fmt: skip


@pytest.mark.parametrize("steps", [0, 3])
def test_programs_and_files_take_the_same_step(steps: int, tmp_path: Path) -> None:
    layer = gx.nn.Lambda(lambda x, t: ops.adam(RATE, t, x, x * 0.5, x * 0.1, x * x))
    program = gx.compile(
        gx.trace(layer, gx.TensorSpec(("n", 3)), gx.TensorSpec((), "int64"))
    )  # fmt: skip
    eager = layer(X, np.array(steps))
    for made, expected in zip(program(X, np.array(steps)), eager, strict=True):
        np.testing.assert_array_equal(made, expected)
    gx.export(program, tmp_path / "step.onnx")  # verified with onnxruntime


def test_gradient_descent_gets_to_the_minimum() -> None:
    x, velocity = X, np.zeros_like(X)
    for step in range(200):
        x, velocity = ops.momentum(RATE, np.int64(step), x, 2 * (x - 1), velocity, **MOMENTUM)
    np.testing.assert_allclose(x, 1, atol=1e-3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: ops.adagrad(RATE, STEPS, x, X), ShapeError,
         r"takes 3 operands for each tensor that is learned \(itself, its gradient and 1 of state"),
        (lambda x: ops.adam(RATE, STEPS, x), ShapeError, "takes 4 operands for each .* got 1"),
        (lambda x: ops.adagrad(RATE, STEPS, x, X, X[:1]), ShapeError,
         r"gradient and its state are alike, got float32\[2, 3\] and float32\[1, 3\]"),
        (lambda x: ops.adagrad(RATE, STEPS, x, X, X.astype("float64")), ShapeError,
         r"are alike, got float32\[2, 3\] and float64\[2, 3\]"),
        (lambda x: ops.momentum(RATE, STEPS, x, X, X, **{**MOMENTUM, "mode": "heavy"}), ShapeError,
         "the mode is standard or nesterov, got 'heavy'"),
        (lambda x: ops.adagrad(np.int64(1), STEPS, x, X, X), DTypeError, "a floating learning rat"),
        (lambda x: ops.adagrad(RATE, RATE, x, X, X), DTypeError, "an integer number of steps"),
    ],
)  # fmt: skip
def test_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(X)
    with pytest.raises(error, match=message):
        gx.compile(gx.trace(gx.nn.Lambda(call), gx.TensorSpec((2, 3))))(X)
