"""Activation functions and erf."""

import numpy as np

from tests.ops.build import FLOATS, TOLERANCE, elementwise, random, refused
from tests.ops.case import Case

CASES: list[Case] = []

NAN, INF = np.nan, np.inf
SPECIAL = np.array([NAN, INF, -INF, 0.0, -0.0, 1.0, -2.5], np.float32)
# Far from 0, where the plain formulas overflow.
FAR = np.array([-1000.0, -100.0, -30.0, 30.0, 100.0, 1000.0], np.float32)


def add(*cases: Case) -> None:
    CASES.extend(cases)


# Operators that onnxruntime's CPU provider has no float64 kernel for. Those of Shrink and Gelu
# compute with constants that are rounded to float32.
SINGLE_ONLY = (
    "Celu", "Elu", "Erf", "Gelu", "HardSigmoid", "HardSwish", "Hardmax", "LeakyRelu", "Mish",
    "PRelu", "Selu", "Shrink", "Softplus", "Softsign", "ThresholdedRelu",
)  # fmt: skip


def lacking(op: str, dtype: str) -> bool:
    return (dtype == "float64" and op in SINGLE_ONLY) or (dtype == "float16" and op == "Celu")


def each_dtype(op: str, **attrs: float | str) -> None:
    """The operator on 2-D, 0-d and empty operands, and on each floating dtype."""
    for dtype in FLOATS:
        case = elementwise(op, random((3, 5), dtype, 3, -4, 4), tolerance=2 * TOLERANCE[dtype],
                           **attrs)  # fmt: skip
        add(refused(case, f"no kernel for {dtype}") if lacking(op, dtype) else case)
    add(elementwise(op, random((), seed=4), **attrs), elementwise(op, random((0, 3)), **attrs))


UNARY = (
    "Relu", "LeakyRelu", "Elu", "Selu", "Celu", "Sigmoid", "HardSigmoid", "HardSwish", "Softplus",
    "Softsign", "Mish", "ThresholdedRelu", "Shrink", "Erf", "Gelu", "Swish",
)  # fmt: skip
for op in UNARY:
    each_dtype(op)
    if op != "Swish":
        add(elementwise(op, FAR, tolerance=1e-5))
each_dtype("LeakyRelu", alpha=0.3)
each_dtype("LeakyRelu", alpha=2.0)
each_dtype("LeakyRelu", alpha=0.0)
each_dtype("Elu", alpha=0.7)
each_dtype("Selu", alpha=2.0, gamma=3.0)
each_dtype("Celu", alpha=2.5)
each_dtype("HardSigmoid", alpha=0.5, beta=0.6)
each_dtype("ThresholdedRelu", alpha=2.0)
each_dtype("Shrink", lambd=1.5, bias=0.5)
each_dtype("Gelu", approximate="tanh")
each_dtype("Swish", alpha=1.5)
for dtype in ("int8", "int32", "int64"):
    case = elementwise("Relu", np.array([-2, 0, 3], dtype))
    add(refused(case, "no kernel for int64") if dtype == "int64" else case)
for op in ("Relu", "Sigmoid", "Softplus", "LeakyRelu"):
    add(elementwise(op, SPECIAL[1:]))
add(elementwise("Gelu", FAR, approximate="tanh"))
add(elementwise("Erf", np.linspace(-5, 5, 50_001, dtype=np.float32), tolerance=1e-6))

for dtype in FLOATS:
    case = elementwise("PRelu", random((2, 3, 4), dtype), random((3, 1), dtype, 2))
    add(refused(case, f"no kernel for {dtype}") if lacking("PRelu", dtype) else case)
add(
    elementwise("PRelu", random((2, 3)), random((2, 3), seed=2)),
    elementwise("PRelu", random((2, 3)), random((), seed=2)),
    refused(elementwise("PRelu", np.array([-3, 4], np.int32), np.array([2], np.int32)),
            "no kernel for int32"),
)  # fmt: skip

for op in ("Softmax", "LogSoftmax", "Hardmax"):
    for dtype in FLOATS:
        for axis in (-1, 0, 1):
            case = elementwise(op, random((2, 3, 4), dtype), axis=axis,
                               tolerance=4 * TOLERANCE[dtype])  # fmt: skip
            add(refused(case, f"no kernel for {dtype}") if lacking(op, dtype) else case)
    add(
        elementwise(op, np.array([[1000.0, -1000.0, 999.0]], np.float32)),
        elementwise(op, np.array([[-INF, 0.0, -INF, 1.0]], np.float32)),
        elementwise(op, random((3, 1))),
        elementwise(op, random((0, 3))),
        elementwise(op, np.array([[2, 2, 1], [0, 3, 3]], np.float32)),
    )
