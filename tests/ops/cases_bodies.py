"""Cases of operators with bodies."""

from typing import Any

import numpy as np

from graphctx import ops
from graphctx.spec import Dim
from tests.ops.bodies import body
from tests.ops.build import random, refused
from tests.ops.case import Case

F, I, B = "float32", "int64", "bool"  # noqa: E741
X, Y = random((2, 3), seed=1), random((2, 3), seed=2)
YES, NO = np.array(True), np.array(False)
ROWS: Any = {1: {0: "rows"}, 2: {0: "rows"}}
MATRIX = ((2, 3), F)
ANY_MATRIX = ((Dim.unproven("rows"), 3), F)


def count(n: int) -> Any:
    return np.array(n, np.int64)


double = body(lambda x: x * np.float32(2), taken=[MATRIX])
total = body(lambda x: ops.sum(x, axis=0), taken=[ANY_MATRIX])
highest = body(lambda x: ops.max(x, axis=0), taken=[ANY_MATRIX])
negative = body(lambda x: -x, taken=[MATRIX])
both = body(lambda x: (x, ops.sum(x, axis=0)), taken=[MATRIX])
either = body(lambda x: (-x, ops.max(x, axis=0)), taken=[MATRIX])
nested = body(lambda x: ops.where(ops.greater(x, np.float32(0)), x, np.float32(0)), taken=[MATRIX])


def branches(then: Any, otherwise: Any) -> dict[str, Any]:
    return {"then_branch": then, "else_branch": otherwise}


IFS = [
    Case("If", (YES, X, Y), branches(double, negative)),
    Case("If", (NO, X, Y), branches(double, negative)),
    Case("If", (np.array([True]), X, Y), branches(both, either)),
    Case("If", (YES, X, Y), branches(total, highest), symbolic=ROWS),
    Case("If", (NO, X, X), branches(both, either)),
    Case("If", (YES, X, Y), branches(nested, negative)),
    Case("If", (NO,), branches(
        body(lambda: np.arange(3)), body(lambda: np.array([4, 5, 6]))
    )),
]  # fmt: skip

# Bodies of loops: (iteration, condition, what is carried, what is taken) -> (condition, ...).
FLAGS = (((), I), ((), B))
power = body(lambda i, going, x, y: (going, x * y), *FLAGS, MATRIX, taken=[MATRIX])
rising = body(
    lambda i, going, x, n: (ops.logical_not(going), x, n + i, ops.sum(x), ops.astype(i, F)),
    *FLAGS, MATRIX, ((), I),
)  # fmt: skip
sums = body(
    lambda i, going, x, y: (going, x + ops.sum(y, axis=0)), *FLAGS, ((3,), F), taken=[ANY_MATRIX]
)  # fmt: skip
always = body(
    lambda i, going, n: (going, n + i, ops.stack([n, i])), *FLAGS, ((), I)
)  # fmt: skip
once = body(
    lambda i, going, x: (ops.less(i, np.int64(0)), x - np.float32(1)), *FLAGS, MATRIX
)  # fmt: skip
numbers = body(lambda i, going: (going, i * np.int64(2)), *FLAGS)
swap = body(lambda i, going, x, y: (going, y, x - np.float32(1), x), *FLAGS, MATRIX, MATRIX)
until = body(
    lambda i, going, x, n: (ops.less(n, np.int64(5)), x * np.float32(2), n + np.int64(2)),
    *FLAGS, MATRIX, ((), I),
)  # fmt: skip


def loop(limit: int | None, going: Any, *operands: Any, body: Any, carried: int,
         constant: Any = (0,), symbolic: Any = {}) -> Case:  # noqa: B006 # fmt: skip
    first = None if limit is None else count(limit)
    attrs = {"body": body, "carried": carried}
    return Case("Loop", (first, going, *operands), attrs, constant=constant, symbolic=symbolic)


LOOPS = [
    loop(3, None, X, Y, body=power, carried=1),
    loop(0, None, X, Y, body=power, carried=1),
    loop(-1, None, X, Y, body=power, carried=1),
    loop(3, NO, X, Y, body=power, carried=1),
    loop(3, YES, X, Y, body=power, carried=1),
    loop(3, None, X[0], Y, body=sums, carried=1, symbolic={3: {0: "rows"}}),
    loop(4, None, count(7), body=always, carried=1),
    loop(0, None, count(7), body=always, carried=1),
    loop(3, NO, count(7), body=always, carried=1, constant=(0, 1)),
    loop(5, None, X, Y, body=swap, carried=2),
    Case("Loop", (None, YES, X), {"body": once, "carried": 1}),
    Case("Loop", (count(3),), {"body": numbers, "carried": 0}, constant=(0,)),
    loop(None, YES, X, count(0), body=until, carried=2),
    loop(2, YES, X, count(0), body=until, carried=2),
    loop(None, NO, X, count(0), body=until, carried=2),
]

# Bodies of scans: (what is carried, slices, what is taken) -> (what is carried, elements).
SEQUENCE, ROW = random((4, 3), seed=3), random((3,), seed=4)
accumulate = body(lambda s, x: (s + x, s * x), ((3,), F), ((3,), F))
weighted = body(lambda s, x, w: (s * w + x, x - w), ((3,), F), ((3,), F), taken=[((3,), F)])
pairs = body(lambda x, n: (x + ops.astype(n, F), n), ((3,), F), ((), I))
columns = body(lambda x, n: (x + ops.astype(n, F), n), ((4,), F), ((), I))


def scan(*operands: Any, body: Any, carried: int, inputs: int = 1, **attrs: Any) -> Case:
    names: Any = {} if attrs else {i: {0: "length"} for i in range(carried, carried + inputs)}
    return Case(
        "Scan", operands, {"body": body, "carried": carried, "num_scan_inputs": inputs, **attrs},
        symbolic=names,
    )  # fmt: skip


SCANS = [
    scan(ROW, SEQUENCE, body=accumulate, carried=1),
    refused(scan(ROW, SEQUENCE[:0], body=accumulate, carried=1), "it refuses length 0"),
    scan(ROW, SEQUENCE, ROW * 2, body=weighted, carried=1),
    scan(ROW, SEQUENCE, body=accumulate, carried=1, scan_input_directions=(1,)),
    scan(ROW, SEQUENCE, body=accumulate, carried=1, scan_output_directions=(1,)),
    scan(ROW, SEQUENCE, body=accumulate, carried=1, scan_output_axes=(1,)),
    scan(ROW, SEQUENCE, body=accumulate, carried=1, scan_output_axes=(-1,)),
    scan(ROW, SEQUENCE.T.copy(), body=accumulate, carried=1, scan_input_axes=(1,)),
    scan(ROW, SEQUENCE.T.copy(), body=accumulate, carried=1, scan_input_axes=(-1,)),
    scan(SEQUENCE, np.arange(4), body=pairs, carried=0, inputs=2),
    scan(
        SEQUENCE, np.arange(3), body=columns, carried=0, inputs=2, scan_input_axes=(1, 0),
        scan_input_directions=(0, 1), scan_output_axes=(1, 0), scan_output_directions=(1, 0),
    ),
]  # fmt: skip

CASES = [*IFS, *LOOPS, *SCANS]
