"""Arithmetic, powers, exponentials, angles, rounding."""

import numpy as np

from tests.ops.build import FLOATS, INTEGERS, TOLERANCE, elementwise, random, refused
from tests.ops.case import Case

CASES: list[Case] = []

NAN, INF = np.nan, np.inf
SPECIAL = np.array([NAN, INF, -INF, 0.0, -0.0, 1.0, -2.5], np.float32)


def add(*cases: Case) -> None:
    CASES.extend(cases)


# -- two operands ---------------------------------------------------------------------------------

for op in ("Add", "Sub", "Mul"):
    for dtype in FLOATS + ("int32", "int64"):
        add(elementwise(op, random((2, 3), dtype, 1), random((2, 3), dtype, 2), tolerance=0))
    for dtype in ("int8", "int16", "uint8", "uint16", "uint32", "uint64"):
        case = elementwise(op, random((5,), dtype, 1, 0, 100), random((5,), dtype, 2, 0, 100))
        add(case)
    add(
        elementwise(op, random((2, 1, 3)), random((4, 1), seed=2), tolerance=0),
        elementwise(op, random((4, 1)), random((2, 1, 3), seed=2), tolerance=0),
        elementwise(op, random(()), random((), seed=2), tolerance=0),
        elementwise(op, random((0, 3)), random((1, 3), seed=2), tolerance=0),
        elementwise(op, SPECIAL, SPECIAL[::-1].copy(), tolerance=0),
    )
# Integers wrap around.
add(elementwise("Mul", np.array([200, 3], np.uint8), np.array([2, 255], np.uint8)))
add(elementwise("Sub", np.array([0], np.uint32), np.array([1], np.uint32)))
add(elementwise("Add", np.array([2**31 - 1], np.int32), np.array([1], np.int32)))

SIGNS = np.array([7, -7, 7, -7, 6, -6, 0, 1]), np.array([3, 3, -3, -3, 2, -2, 5, -8])
for dtype in FLOATS:
    add(elementwise("Div", random((2, 3), dtype), random((3,), dtype, 2, 1, 4), tolerance=0))
add(elementwise("Div", SPECIAL, np.array(2, np.float32), tolerance=0))
add(elementwise("Div", random(()), random((), seed=3), tolerance=0))
add(elementwise("Div", random((0, 2)), random((2,), seed=3), tolerance=0))
for op in ("Div", "Mod"):
    for dtype in INTEGERS:
        a, b = (np.abs(x) if dtype[0] == "u" else x for x in SIGNS)
        add(elementwise(op, a.astype(dtype), b.astype(dtype)))
    add(elementwise(op, np.array([-128, 127], np.int8), np.array([100, -128], np.int8)))
for dtype in FLOATS:
    a, b = (SIGNS[0] + 0.25).astype(dtype), (SIGNS[1] + 0.5).astype(dtype)
    add(elementwise("Mod", a, b, fmod=1, tolerance=0))
    add(refused(elementwise("Mod", a, b), "floats with fmod=0 are allowed from opset 28 on"))
    add(elementwise("remainder", a, b, tolerance=TOLERANCE[dtype]))
    add(elementwise("floor_divide", a, b, tolerance=0))
    case = elementwise("atan2", a, b, tolerance=TOLERANCE[dtype])
    add(refused(case, "no kernel of Atan for float64") if dtype == "float64" else case)
for dtype in INTEGERS:
    a, b = (np.abs(x) if dtype[0] == "u" else x for x in SIGNS)
    add(elementwise("floor_divide", a.astype(dtype), b.astype(dtype)))
add(elementwise("floor_divide", np.array([-128, 127], np.int8), np.array([100, -128], np.int8)))
# 1 // 0.1 is 9, because 0.1 is a little more than a tenth.
add(elementwise("floor_divide", np.array([1.0, -1.0, 6.0]), np.array([0.1, 0.1, 0.1])))
add(elementwise("floor_divide", np.array([1.0, -1.0, 0.0, INF, 2.0, -2.0]),
                np.array([0.0, 0.0, 0.0, 2.0, INF, INF])))  # fmt: skip
add(elementwise("remainder", np.array([1.0, -1.0, 0.0, INF, 2.0, -2.0, 0.0]),
                np.array([0.0, 0.0, 0.0, 2.0, INF, INF, -3.0])))  # fmt: skip
add(elementwise("Mod", SPECIAL, np.array(2, np.float32), fmod=1, tolerance=0))
add(elementwise("atan2", np.float32([0.0, -0.0, 0.0, -0.0, INF, INF, -INF, 1.0, NAN]),
                np.float32([1.0, 1.0, -1.0, -1.0, INF, -INF, 1.0, INF, 1.0])))  # fmt: skip

for dtype in ("float32", "float64"):
    base = random((2, 3), dtype, 1, 0.1, 3)
    for exponent in (2, 3, 0.5, -1.5):
        add(elementwise("Pow", base, np.array(exponent, dtype)))
    add(elementwise("Pow", base, random((3,), dtype, 2)))
    add(elementwise("Pow", base, np.array([2, 3, -1], np.int64)))
add(elementwise("Pow", np.array([2, 3, -4], np.int32), np.array([3, 0, 3], np.int32)))
add(elementwise("Pow", np.array([2, 3, -4], np.int64), np.array([3, 0, 3], np.int64)))
add(elementwise("Pow", np.array([4, 9, 16], np.int32), np.array([0.5, 1.5, 2], np.float32)))
add(elementwise("Pow", np.array([2, 3], np.int64), np.array([[3], [2]], np.int32)))
add(elementwise("Pow", SPECIAL, np.array(2, np.float32)))
add(elementwise("Pow", random((), low=1), np.array([2.0, 3.0], np.float32)))
add(elementwise("Pow", random((3,), "float16", 1, 1, 3), random((), "float16", 2)))

# -- any number of operands -----------------------------------------------------------------------

for op in ("Max", "Min", "Sum", "Mean"):
    for dtype in ("float32", "float64") if op in ("Sum", "Mean") else FLOATS:
        case = elementwise(op, random((2, 3), dtype), random((3,), dtype, 2))
        lacking = (op, dtype) == ("Mean", "float64")
        add(refused(case, "no kernel for float64") if lacking else case)
    add(
        elementwise(op, random((2, 3)), random((3,), seed=2), random((2, 1), seed=3)),
        elementwise(op, random((2, 3))),
        elementwise(op, random(()), random((), seed=2)),
    )
    if op in ("Max", "Min"):
        for dtype in ("int32", "int64", "uint32", "uint64"):
            add(elementwise(op, random((4,), dtype, 1, -9, 9), random((4,), dtype, 2, -9, 9)))
        add(elementwise(op, SPECIAL, np.zeros((), np.float32)))

# -- one operand ----------------------------------------------------------------------------------

RANGES = {"Asin": (-1, 1), "Acos": (-1, 1), "Atanh": (-0.9, 0.9), "Acosh": (1, 4), "Log": (0.1, 4),
          "Sqrt": (0, 4), "Reciprocal": (0.5, 3), "log1p": (-0.9, 4), "log2": (0.1, 4),
          "log10": (0.1, 4), "expm1": (-2, 2), "Round": (-4, 4)}  # fmt: skip
SINGLE_ONLY = ("Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh")
UNARY = (
    "Exp", "Log", "Sqrt", "Reciprocal", "Floor", "Ceil", "Round", "Sin", "Cos", "Tan", "Asin",
    "Acos", "Atan", "Sinh", "Cosh", "Tanh", "Asinh", "Acosh", "Atanh", "Neg", "Abs", "Sign",
    "trunc", "expm1", "log1p", "log2", "log10",
)  # fmt: skip
for op in UNARY:
    low, high = RANGES.get(op, (-3, 3))
    for dtype in FLOATS:
        case = elementwise(op, random((2, 3), dtype, 5, low, high), tolerance=2 * TOLERANCE[dtype])
        lacking = dtype == "float64" and op in SINGLE_ONLY
        add(refused(case, "no kernel for float64") if lacking else case)
    add(
        elementwise(op, random((), seed=5, low=max(low, 0.1), high=min(high, 0.9) or 1) if op !=
                    "Acosh" else np.float32(2)),
        elementwise(op, np.zeros((0, 2), np.float32)),
        elementwise(op, SPECIAL),
    )  # fmt: skip
for op in ("Neg", "Abs", "Sign"):
    for dtype in ("int8", "int32", "int64"):
        add(elementwise(op, np.array([-5, 0, 7], dtype)))
for op in ("Abs", "Sign"):
    add(elementwise(op, np.array([0, 7], np.uint8)))
HALVES = np.array([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999997, 8388609.0], np.float32)
for op in ("Floor", "Ceil", "Round", "trunc"):
    add(elementwise(op, HALVES, tolerance=0))
for op in ("Exp", "Tanh", "Sinh", "Cosh"):
    add(elementwise(op, np.array([-80.0, 80.0, 1e-6], np.float32), tolerance=1e-5))
TINY = np.array([1e-20, -1e-20, 1e-8, -1e-8, 3e-4, 0.5, -0.5])
add(elementwise("expm1", np.r_[TINY, -800.0, 700.0]), elementwise("log1p", np.r_[TINY, 1e300]))

# -- signs and neighbours -------------------------------------------------------------------------

SIDES = np.array([NAN, INF, -INF, 0.0, -0.0, 3.0, 1e30, -1e-30], np.float32)
for op in ("hypot", "logaddexp", "copysign", "nextafter"):
    for dtype in FLOATS:
        exact = op in ("copysign", "nextafter")
        tolerance = 0 if exact else 2 * TOLERANCE[dtype]
        a, b = random((2, 3), dtype, 1, -3, 3), random((3,), dtype, 2, -3, 3)
        add(elementwise(op, a, b, tolerance=tolerance))
    add(elementwise(op, np.abs(SIDES), np.nan_to_num(SIDES[::-1]), tolerance=1e-6),
        elementwise(op, random((0, 3)), random((1, 3), seed=2)),
        elementwise(op, random(()), random((), seed=2)))  # fmt: skip
for dtype in FLOATS:
    info = np.finfo(dtype)
    ends = np.array([0, info.smallest_subnormal, info.tiny, info.max, INF, 1, 2], dtype)
    for towards in (0, INF, -INF):
        add(elementwise("nextafter", np.r_[ends, -ends], np.array(towards, dtype), tolerance=0))
    add(elementwise("signbit", np.array([-1, 0, -0.0, 2, INF, -INF, NAN], dtype)))
