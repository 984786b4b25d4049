"""Cases of the steps of gradient descent."""

from typing import Any

import numpy as np

from tests.ops.build import random
from tests.ops.case import Case

RATE, FIRST, LATER = np.array(0.1, np.float32), np.array(0), np.array(3)
WHY = "expanded: onnxruntime has no kernels of this domain"


def step(
    name: str, count: int, kinds: int, t: Any = LATER, dtype: Any = "float32", **attrs: Any
) -> Case:
    """A step for tensors of several shapes; squares of gradients are not negative."""
    shapes = [(2, 3), (4,), ()][:count]
    tensors = [random(shape).astype(dtype) for _ in range(kinds) for shape in shapes]
    tensors[-count:] = [abs(x) for x in tensors[-count:]]
    return Case(
        name, [RATE.astype(dtype), t, *tensors], attrs,
        symbolic={2: {0: "n"}, 2 + count: {0: "n"}, 2 + 2 * count: {0: "n"},
                  **({2 + 3 * count: {0: "n"}} if kinds == 4 else {})},
        onnxruntime=False, why_not=WHY,
    )  # fmt: skip


MOMENTUM: dict[str, Any] = {"alpha": 0.9, "beta": 0.5, "norm_coefficient": 0.01}

CASES = [
    step("Momentum", 1, 3, mode="standard", **MOMENTUM),
    step("Momentum", 2, 3, FIRST, mode="standard", **MOMENTUM),
    step("Momentum", 3, 3, mode="nesterov", **MOMENTUM),
    step("Momentum", 1, 3, dtype="float64", mode="nesterov", **MOMENTUM),
    step("Adagrad", 1, 3),
    step("Adagrad", 3, 3, decay_factor=0.1, epsilon=1e-3, norm_coefficient=0.01),
    step("Adagrad", 1, 3, FIRST, "float64", decay_factor=0.1),
    step("Adam", 1, 4),
    step("Adam", 2, 4, FIRST, alpha=0.95, beta=0.1),
    step("Adam", 3, 4, norm_coefficient=0.001, norm_coefficient_post=0.01, epsilon=1e-2),
    step("Adam", 1, 4, dtype="float64"),
]
