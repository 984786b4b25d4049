"""One step of gradient descent, as ONNX has it: Momentum, Adagrad and Adam of `TRAINING_DOMAIN`.

Each takes the learning rate `R` and the number of steps before this one, `T`, both scalars; then
all tensors that are learned, all their gradients, and each kind of state of every tensor. It
returns the new tensors, then their new state in the same order. onnxruntime has no kernels for
them: files have the arithmetic that they stand for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphctx.errors import ShapeError
from graphctx.graph import Value
from graphctx.ops.elementwise import sqrt
from graphctx.ops.logic import astype, where
from graphctx.ops.table import TRAINING_DOMAIN, Inferred, op, require_kind
from graphctx.spec import dtype_name, joined_shape, shape_text


def _groups(R: Any, T: Any, inputs: Sequence[Any], kinds: int) -> list[tuple[Any, ...]]:
    """What belongs to each tensor: itself, its gradient, and its states.

    Raises:
        ShapeError, DTypeError: operands that do not go together; of a graph as of a call.
    """
    require_kind(R, "f", "a floating learning rate")
    require_kind(T, "i", "an integer number of steps")
    count, rest = divmod(len(inputs), kinds)
    if rest or not count:
        raise ShapeError(
            f"takes {kinds} operands for each tensor that is learned (itself, its gradient and "
            f"{kinds - 2} of state), got {len(inputs)}"
        )
    groups = [tuple(inputs[place::count]) for place in range(count)]
    for x, *others in groups:
        require_kind(x, "f", "a floating dtype")
        for other in others:
            if other.dtype != x.dtype or joined_shape(x.shape, other.shape) is None:
                here, there = (f"{dtype_name(v.dtype)}{shape_text(v.shape)}" for v in (x, other))
                raise ShapeError(
                    f"a tensor, its gradient and its state are alike, got {here} and {there}"
                )
    return groups


def _require_mode(mode: str) -> None:
    if mode not in ("standard", "nesterov"):
        raise ShapeError(f"the mode is standard or nesterov, got {mode!r}")


def _inferred(kinds: int) -> Any:
    def infer(
        R: Value, T: Value, *inputs: Value, mode: str = "standard", **_: Any
    ) -> list[Inferred]:
        _require_mode(mode)
        groups = _groups(R, T, inputs, kinds)
        states = (group for kind in range(2, kinds) for group in groups)
        return [(x.shape, x.dtype) for x, *_ in (*groups, *states)]

    return infer


def _in_order(results: Sequence[Sequence[Any]], groups: Sequence[Any]) -> tuple[Any, ...]:
    """All new tensors, then all new states of each kind, in the dtypes of the old ones."""
    dtypes = [group[0].dtype for group in groups]
    return tuple(
        astype(value, dtype)
        for kind in zip(*results, strict=True)
        for value, dtype in zip(kind, dtypes, strict=True)
    )


# The same code computes with arrays, as kernel, and with tensors, as expansion.


def _momentum(
    R: Any, T: Any, *inputs: Any,
    alpha: float, beta: float, mode: str, norm_coefficient: float,
) -> Any:  # fmt: skip
    """Gradient descent with momentum, `standard` or `nesterov` (Sutskever et al., ICML 2013)."""
    _require_mode(mode)
    groups = _groups(R, T, inputs, 3)
    scale = where(T > 0, astype(np.asarray(beta), R.dtype), astype(np.asarray(1.0), R.dtype))
    results = []
    for x, gradient, velocity in groups:
        gradient = norm_coefficient * x + gradient
        velocity = alpha * velocity + scale * gradient
        step = velocity if mode == "standard" else gradient + alpha * velocity
        results.append((x - R * step, velocity))
    return _in_order(results, groups)


def _adagrad(
    R: Any, T: Any, *inputs: Any,
    decay_factor: float = 0.0, epsilon: float = 1e-6, norm_coefficient: float = 0.0,
) -> Any:  # fmt: skip
    """Steps divided by the root of all squared gradients so far (Duchi and others, JMLR 2011)."""
    groups = _groups(R, T, inputs, 3)
    rate = R / (1 + astype(T, R.dtype) * decay_factor)
    results = []
    for x, gradient, squares in groups:
        gradient = norm_coefficient * x + gradient
        squares = squares + gradient * gradient
        results.append((x - rate * gradient / (sqrt(squares) + epsilon), squares))
    return _in_order(results, groups)


def _adam(
    R: Any, T: Any, *inputs: Any,
    alpha: float = 0.9, beta: float = 0.999, epsilon: float = 1e-6,
    norm_coefficient: float = 0.0, norm_coefficient_post: float = 0.0,
) -> Any:  # fmt: skip
    """Steps by running means of gradients and of their squares (Kingma and Ba, ICLR 2015)."""
    groups = _groups(R, T, inputs, 4)
    steps = astype(T, "float64")
    correction = sqrt(1 - beta**steps) / (1 - alpha ** where(T > 0, steps, 1.0))
    rate = where(T > 0, R * astype(correction, R.dtype), R)
    results = []
    for x, gradient, mean, square in groups:
        gradient = norm_coefficient * x + gradient
        mean = alpha * mean + (1 - alpha) * gradient
        square = beta * square + (1 - beta) * (gradient * gradient)
        moved = x - rate * (mean / (sqrt(square) + epsilon))
        results.append(((1 - norm_coefficient_post) * moved, mean, square))
    return _in_order(results, groups)


momentum = op("Momentum", domain=TRAINING_DOMAIN, infer=_inferred(3), expand=_momentum)(_momentum)
adagrad = op("Adagrad", domain=TRAINING_DOMAIN, infer=_inferred(3), expand=_adagrad)(_adagrad)
adam = op("Adam", domain=TRAINING_DOMAIN, infer=_inferred(4), expand=_adam)(_adam)
