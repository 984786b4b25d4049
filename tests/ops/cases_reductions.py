"""Reductions, searches along an axis, cumulative sums, top k."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.ops.build import FLOATS, TOLERANCE, aligned, random, refused, tolerance_of
from tests.ops.case import Case

CASES: list[Case] = []

NAN, INF = np.nan, np.inf


def add(*cases: Case) -> None:
    CASES.extend(cases)


def reduction(op: str, data: Any, axes: Sequence[int] | None = None,
              tolerance: float | None = None, **attrs: int) -> Case:  # fmt: skip
    """A reduction over constant axes, every axis of the data symbolic."""
    data = np.asarray(data)
    operands = (data,) if axes is None else (data, np.asarray(axes, np.int64))
    return Case(
        op, operands, attrs, constant=(1,) if axes is not None else (),
        symbolic=aligned((data,)), tolerance=tolerance_of((data,), tolerance),
    )  # fmt: skip


# What onnxruntime's CPU provider has no kernel for.
LACKING = {
    "int64": ("ReduceLogSum",),
    "uint32": ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1",
               "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp"),
}  # fmt: skip
REDUCTIONS = ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1",
              "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp")  # fmt: skip
for op in REDUCTIONS:
    low = 0.5 if op == "ReduceLogSum" else -3
    for dtype in (*FLOATS, "int32", "int64", "uint32"):
        if dtype[0] in "iu" and op == "ReduceLogSum":
            continue  # integers are no more in the newest specification
        data = random((2, 3, 4), dtype, 2, low, 3)
        case = reduction(op, data, [1], tolerance=4 * TOLERANCE.get(dtype, 0.0))
        lacking = op in LACKING.get(dtype, ())
        add(refused(case, f"no kernel for {dtype}") if lacking else case)
    data = random((2, 3, 4), "float32", 2, low, 3)
    add(
        reduction(op, data, tolerance=1e-5),
        reduction(op, data, [], tolerance=1e-5),
        reduction(op, data, [-1], keepdims=0, tolerance=1e-5),
        reduction(op, data, [2, 0], keepdims=0, tolerance=1e-5),
        reduction(op, data, [0, -2], tolerance=1e-5),
        reduction(op, np.float32(1.5)),
        reduction(op, data, [], noop_with_empty_axes=1, tolerance=1e-5),
        reduction(op, random((1, 3, 1), low=0.5), [0]),
    )
for op in ("ReduceMax", "ReduceMin"):
    for dtype in ("int8", "uint8", "bool"):
        add(reduction(op, random((2, 3), dtype, 1), [1]))
    add(reduction(op, np.zeros((0, 3), np.float32), [0]))
for op in ("ReduceSum", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare"):
    add(reduction(op, np.zeros((2, 0), np.float32), [1]))
big = np.array([[1000.0, 1000.0], [-1000.0, -1000.0], [-INF, 0.0]], np.float32)
add(reduction("ReduceLogSumExp", big, [1]))
add(reduction("ReduceLogSumExp", np.array([[INF, 0.0], [-INF, -INF]], np.float32), [1]))
add(refused(reduction("ReduceSum", np.array([2**31 - 1, 1], np.int32), [0]),
            "its integers do not wrap around"))  # fmt: skip

for op in ("ArgMax", "ArgMin"):
    for dtype in (*FLOATS, "int32", "int64", "int8", "uint8"):
        case = reduction(op, random((3, 4), dtype, 1, -9, 9), axis=1)
        add(case)
    ties = np.array([[2, 2, 1, 1], [1, 2, 1, 2]], np.float32)
    for keepdims in (0, 1):
        add(
            reduction(op, ties, axis=1, keepdims=keepdims),
            reduction(op, ties, axis=-2, keepdims=keepdims),
            reduction(op, ties, axis=-1, keepdims=keepdims, select_last_index=1),
            reduction(op, ties, keepdims=keepdims),
        )


def cumulative(op: str, x: Any, axis: int, **attrs: int) -> Case:
    return Case(
        op, (x, np.asarray(axis, np.int64)), attrs, constant=(1,), symbolic=aligned((x,)),
        tolerance=tolerance_of((x,)),
    )  # fmt: skip


for op in ("CumSum", "CumProd"):
    for dtype in ("float32", "float64", "int32", "int64"):
        for attrs in ({}, {"reverse": 1}, {"exclusive": 1}, {"exclusive": 1, "reverse": 1}):
            for axis in (0, -1):
                case = cumulative(op, random((2, 3), dtype, 1), axis, **attrs)
                add(case)
    case = cumulative(op, random((1, 3)), 0, exclusive=1)
    add(case)


def top_k(x: Any, k: int, **attrs: int) -> Case:
    x = np.asarray(x)
    return Case("TopK", (x, np.array([k])), attrs, constant=(1,), symbolic=aligned((x,)))


for dtype in ("float32", "float64", "int32", "int64", "uint8"):
    case = top_k(random((3, 5), dtype, 1, -9, 9), 3)
    add(case)
ties = np.array([[3, 1, 3, 2, 3, 1], [1, 1, 1, 1, 1, 1]], np.float32)
for largest in (0, 1):
    add(
        top_k(ties, 3, largest=largest),
        top_k(ties, 6, largest=largest),
        top_k(ties, 1, largest=largest, axis=0),
        top_k(np.int32([-(2**31), 5, 2**31 - 1]), 2, largest=largest),
    )
