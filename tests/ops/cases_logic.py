"""Comparison, logic, bits, choosing, casting."""

import numpy as np

from tests.ops.build import FLOATS, INTEGERS, elementwise, random, refused
from tests.ops.case import Case

CASES: list[Case] = []

NAN, INF = np.nan, np.inf
SPECIAL = np.array([NAN, INF, -INF, 0.0, -0.0, 1.0, -2.5], np.float32)
BOOLS = np.array([True, True, False, False]), np.array([True, False, True, False])


def add(*cases: Case) -> None:
    CASES.extend(cases)


# -- comparison -----------------------------------------------------------------------------------

for op in ("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"):
    for dtype in (*FLOATS, *INTEGERS):
        case = elementwise(op, random((8,), dtype, 1), random((8,), dtype, 2).round())
        add(case)
    add(
        elementwise(op, random((2, 1, 3)).round(), random((4, 1), seed=2).round()),
        elementwise(op, random((4, 1)).round(), random((2, 1, 3), seed=2).round()),
        elementwise(op, random(()), random(())),
        elementwise(op, random((0, 3)), random((1, 3), seed=2)),
        elementwise(op, SPECIAL, np.zeros((), np.float32)),
        elementwise(op, SPECIAL, SPECIAL),
        elementwise(op, np.array([2**53, 2**53 + 1]), np.array([2**53 + 1])),
    )
add(
    elementwise("Equal", *BOOLS),
    elementwise("Equal", np.array(["a", "b"], object), np.array(["a"], object)),
)

# -- logic and bits -------------------------------------------------------------------------------

for op in ("And", "Or", "Xor"):
    add(
        elementwise(op, *BOOLS),
        elementwise(op, BOOLS[0].reshape(4, 1), BOOLS[1]),
        elementwise(op, np.array(True), np.array(False)),
        elementwise(op, np.zeros((0, 4), bool), BOOLS[1]),
    )
add(elementwise("Not", BOOLS[0]), elementwise("Not", np.array(True)))
for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor"):
    for dtype in INTEGERS:
        add(elementwise(op, random((5,), dtype, 1, -99, 99), random((5,), dtype, 2, -99, 99)))
    add(elementwise(op, random((2, 1), "int32", 1, -99, 99), random((3,), "int32", 2, -99, 99)))
for dtype in INTEGERS:
    add(elementwise("BitwiseNot", random((5,), dtype, 1, -99, 99)))
for direction in ("LEFT", "RIGHT"):
    for dtype in INTEGERS:
        x = np.array([1, 100, -100, -1] if dtype[0] == "i" else [1, 100, 255, 0]).astype(dtype)
        case = elementwise("BitShift", x, np.array([1, 0, 3, 2], dtype), direction=direction)
        if dtype[0] == "i":
            add(refused(case, "signed integers are allowed from opset 28 on"))
        else:
            add(case)
    add(
        elementwise("BitShift", np.array([[1], [2]], np.uint8), np.array([1, 7], np.uint8),
                    direction=direction),
        refused(elementwise("BitShift", np.array([1, -8], np.int8), np.array([8, 100], np.int8),
                            direction=direction), "signed integers from opset 28 on"),
    )  # fmt: skip

# -- tests ----------------------------------------------------------------------------------------

for op in ("IsNaN", "IsInf"):
    for dtype in FLOATS:
        add(elementwise(op, SPECIAL.astype(dtype)))
    add(elementwise(op, np.float32(NAN)), elementwise(op, np.zeros((0, 2), np.float32)))
add(
    elementwise("IsInf", SPECIAL, detect_negative=0),
    elementwise("IsInf", SPECIAL, detect_positive=0),
    elementwise("IsInf", SPECIAL, detect_negative=0, detect_positive=0),
)

# -- choosing -------------------------------------------------------------------------------------

for dtype in (*FLOATS, *INTEGERS, "bool"):
    case = elementwise("Where", BOOLS[0], random((4,), dtype, 1), random((4,), dtype, 2))
    lacking = dtype in ("int16", "uint16", "uint64", "bool")
    add(refused(case, f"no kernel for {dtype}") if lacking else case)
add(
    elementwise("Where", BOOLS[0].reshape(4, 1), random((3,)), random((2, 1, 1))),
    elementwise("Where", np.array(True), random((3,)), random(())),
    elementwise("Where", np.array(False), random(()), random(())),
    elementwise("Where", np.zeros((0, 4), bool), random((4,)), random(())),
    elementwise("Where", BOOLS[0], np.array(["a", "b", "c", "d"], object),
                np.array("none", object)),
)  # fmt: skip
add(elementwise("Identity", random((2, 3))), elementwise("Identity", np.array(["a"], object)))
for dtype in (*FLOATS, *INTEGERS):
    x, low, high = random((2, 3), dtype), np.array(1, dtype), np.array(2, dtype)
    lacking = dtype in ("int16", "uint16")
    for case in (
        elementwise("Clip", x, low, high),
        elementwise("Clip", x, low, None),
        elementwise("Clip", x, None, high),
    ):
        add(refused(case, f"no kernel for {dtype}") if lacking else case)
add(
    elementwise("Clip", random((2, 3)), None, None),
    elementwise("Clip", random((2, 3))),
    elementwise("Clip", random((2, 3)), np.float32(1), np.float32(-1)),
    elementwise("Clip", random(()), np.float32(1), np.float32(2)),
    elementwise("Clip", random((0, 3)), np.float32(1), np.float32(2)),
    elementwise("Clip", SPECIAL[1:], np.float32(-1), np.float32(2)),
)

# -- casting --------------------------------------------------------------------------------------

for source in (
    "float16",
    "float32",
    "float64",
    "int8",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "bool",
):
    for target in (*FLOATS, *INTEGERS, "bool"):
        x = np.array([0.0, 1.0, 2.7, 100.4]).astype(source)
        add(elementwise("Cast", x, to=np.dtype(target), tolerance=0))
add(
    elementwise("Cast", SPECIAL, to=np.dtype(bool)),
    elementwise("Cast", SPECIAL, to=np.dtype("float16")),
    elementwise("Cast", np.array([1e10, -1e10, 65519.0], np.float64), to=np.dtype("float32")),
    elementwise("Cast", np.array([300, -1, 2**40]), to=np.dtype("uint8")),
    elementwise("Cast", np.array([-1.9, -0.5, 1.9], np.float32), to=np.dtype("int32")),
    elementwise("Cast", random(()), to=np.dtype("float64")),
    elementwise("Cast", random((0, 3)), to=np.dtype("int64")),
    elementwise("Cast", np.array([["1.5", "-2"], ["1e3", "NaN"]], object), to=np.dtype("float32")),
    elementwise("Cast", np.array(["7", "-2"], object), to=np.dtype("int64")),
    elementwise("Cast", np.array([0.5, 1.25], np.float32), to=np.dtype(object)),
    elementwise("Cast", np.array([7, -2]), to=np.dtype(object)),
)
