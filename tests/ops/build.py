"""Helpers that the tables of cases are written with."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.ops.case import Case

FLOATS = ("float16", "float32", "float64")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
# What a result may differ by from another implementation of the same formula.
TOLERANCE = {"float16": 2e-3, "float32": 2e-6, "float64": 1e-12}


def random(shape: Sequence[int], dtype: Any = "float32", seed: int = 0, low: float = -3.0,
           high: float = 3.0) -> Any:  # fmt: skip
    """Numbers between `low` and `high`, the same in every run."""
    dtype = np.dtype(dtype)
    generator = np.random.default_rng(seed)
    if dtype.kind == "b":
        return generator.random(shape) < 0.5
    numbers = generator.uniform(low, high, shape)
    if dtype.kind == "u":
        numbers = np.abs(numbers)
    return np.asarray(numbers).astype(dtype)


def aligned(operands: Sequence[Any], skip: Sequence[int] = ()) -> Mapping[int, Mapping[int, str]]:
    """Every axis a symbol: the same one for axes that broadcast to each other; 1 stays 1."""
    found: dict[int, dict[int, str]] = {}
    for index, x in enumerate(operands):
        if x is None or index in skip:
            continue
        names = {axis: f"d{x.ndim - axis}" for axis in range(x.ndim) if x.shape[axis] != 1}
        if names:
            found[index] = names
    return found


def elementwise(op: str, *operands: Any, tolerance: float | None = None, **attrs: Any) -> Case:
    """A case whose operands broadcast, with every axis symbolic."""
    arrays = tuple(None if x is None else np.asarray(x) for x in operands)
    return Case(
        op, arrays, attrs, symbolic=aligned(arrays), tolerance=tolerance_of(arrays, tolerance)
    )


def tolerance_of(arrays: Sequence[Any], given: float | None = None) -> float:
    """The tolerance for results of the widest rounding among the operands."""
    if given is not None:
        return given
    return max((TOLERANCE.get(str(x.dtype), 0.0) for x in arrays if x is not None), default=0.0)


def refused(case: Case, why: str) -> Case:
    """The case as one that onnxruntime has no kernel for, or another answer to."""
    return Case(
        case.op, case.operands, case.attrs, case.constant, case.symbolic, case.tolerance,
        onnxruntime=False, why_not=why,
    )  # fmt: skip
