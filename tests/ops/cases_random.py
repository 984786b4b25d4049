"""Cases of the random operators; their statistics are in `test_random`."""

from __future__ import annotations

import numpy as np

from tests.ops.case import Case

SEED = np.asarray(2**40 + 17, np.int64)
KEY = 0x1234_5678_9ABC_DEF0
X = np.linspace(-1, 1, 24).reshape(2, 3, 4)


def shape(*dims: int) -> np.ndarray:
    """A shape operand."""
    return np.asarray(dims, np.int64)


CASES = [
    *(
        Case(op, [shape(*dims), SEED], {"key": key}, constant=[0], tolerance=0)
        for op in ("random_bits", "random_uniform", "random_normal")
        for dims in ((2, 3), (), (0, 4), (100_003,))
        for key in (KEY, 0, 2**64 - 1)
    ),
    *(
        Case(
            "dropout", [X.astype(dtype), np.asarray(rate, dtype), SEED], {"key": KEY},
            symbolic={0: {0: "batch"}}, tolerance=0,
        )
        for dtype in ("float32", "float64", "float16")
        for rate in (0.0, 0.3, 1.0)
    ),
    *(
        Case("iteration_seed", [np.asarray(seed), np.asarray(iteration)], tolerance=0)
        for seed in (0, 17, 2**40 + 17, 2**63 - 1)
        for iteration in (0, 1, 2**31 - 1)
    ),
    Case("dropout", [np.asarray(0.5), np.asarray(0.5), SEED], {"key": KEY}, tolerance=0),
]  # fmt: skip
