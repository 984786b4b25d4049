"""Attention, rotary embedding, and the write into a cache."""

from typing import Any

import numpy as np

from tests.ops.build import TOLERANCE, random, refused
from tests.ops.case import Case

CASES: list[Case] = []
ROWS = {0: {0: "b", 2: "t"}, 1: {0: "b", 2: "s"}, 2: {0: "b", 2: "s"}}
FLAT = {0: {0: "b", 1: "t"}, 1: {0: "b", 1: "s"}, 2: {0: "b", 1: "s"}}
INF = np.float32(np.inf)


def attend(*shapes: Any, mask: Any = None, past: int = 0, lengths: Any = None, why: str = "",
           dtype: str = "float32", symbolic: Any = None, **attrs: Any) -> None:  # fmt: skip
    """Add a case: shapes of Q, K and V, and of the past its length."""
    q, k, v = (random(shape, dtype, seed) for seed, shape in enumerate(shapes))
    pasts: list[Any] = [None, None]
    if past:
        heads = attrs.get("kv_num_heads", k.shape[1])
        pasts = [
            random((len(x), heads, past, x.shape[-1] // (heads if x.ndim == 3 else 1)), dtype, seed)
            for seed, x in ((7, k), (8, v))
        ]
    operands = (q, k, v, mask, *pasts, None if lengths is None else np.array(lengths, np.int64))
    while operands[-1] is None:
        operands = operands[:-1]
    if symbolic is None and mask is None and not past and lengths is None:
        symbolic = ROWS if q.ndim == 4 else FLAT
    tolerance = 4 * TOLERANCE[dtype]
    case = Case("Attention", operands, attrs, symbolic=symbolic or {}, tolerance=tolerance)
    CASES.append(refused(case, why) if why else case)


Q, K, V = (2, 3, 4, 8), (2, 3, 6, 8), (2, 3, 6, 5)  # [batch, heads, length, size]
SQUARE = ((2, 3, 5, 8),) * 3
GROUPED = ((2, 6, 4, 8), (2, 2, 5, 8), (2, 2, 5, 4))
HEADS = {"q_num_heads": 3, "kv_num_heads": 3}

attend(Q, K, V)
attend(Q, K, V, dtype="float16")
attend(Q, K, V, dtype="float64", why="no kernel for float64")
attend((1, 1, 1, 1), (1, 1, 1, 1), (1, 1, 1, 1))
attend(Q, K, V, scale=0.3)
attend(Q, K, V, softcap=2.0)
attend(Q, K, V, softmax_precision=np.dtype("float32"))
attend(Q, K, V, softmax_precision=np.dtype("float64"))
attend(*GROUPED)
attend(*GROUPED, softcap=1.5, scale=0.5, is_causal=1)
attend((2, 4, 3, 8), (2, 1, 5, 8), (2, 1, 5, 8), is_causal=1)
attend(*SQUARE, is_causal=1)
attend((1, 2, 5, 4), (1, 2, 3, 4), (1, 2, 3, 4), is_causal=1)  # more rows than keys
attend((1, 2, 300, 4), (1, 2, 300, 4), (1, 2, 300, 4), is_causal=1)  # several blocks of rows

# 3-D operands: [batch, length, heads * size].
attend((2, 4, 24), (2, 6, 24), (2, 6, 15), **HEADS)
attend((2, 4, 24), (2, 6, 24), (2, 6, 24), **HEADS, dtype="float16")
attend((2, 4, 24), (2, 6, 8), (2, 6, 4), q_num_heads=6, kv_num_heads=2)
attend((2, 5, 24), (2, 5, 24), (2, 5, 24), **HEADS, is_causal=1)

# Masks: of bools and of numbers, of every rank; a row that sees nothing is 0.
for shape in ((4, 6), (3, 4, 6), (2, 1, 4, 6), (1, 3, 4, 6), (2, 3, 4, 6)):
    attend(Q, K, V, mask=random(shape, seed=5))
    attend(Q, K, V, mask=random(shape, "bool", seed=6))
WHY_ROWS = "its masks do not broadcast along the rows"
for shape in ((6,), (1, 6), (2, 1, 1, 6)):
    attend(Q, K, V, mask=random(shape, seed=5), why=WHY_ROWS)
attend(*SQUARE, mask=random((5, 5), "bool", seed=1), is_causal=1)
attend(*SQUARE, mask=random((2, 1, 5, 5), seed=1), is_causal=1)
attend(*GROUPED, mask=random((6, 4, 5), "bool", seed=1))
attend(*GROUPED, mask=random((2, 6, 4, 5), seed=1))
attend(Q, K, V, mask=random((4, 6), "float16", seed=2), dtype="float16")
attend(Q, K, V, mask=random((4, 6), "int32", seed=2))
attend(Q, K, V, mask=np.zeros((4, 6), bool))
attend(Q, K, V, mask=np.full((4, 6), -INF))
attend(Q, K, V, mask=np.where(random((4, 6), "bool"), np.float32(0), -INF), softcap=2.0)
attend(
    Q, K, V, mask=random((2, 1, 4, 5), seed=3), why="it does not fill up masks that are too short"
)
attend(Q, K, V, mask=random((4, 5), "bool"), why="it does not fill up masks that are too short")

# With a past, and with lengths of a cache outside.
attend(Q, K, V, past=3)
attend((2, 4, 24), (2, 6, 24), (2, 6, 15), **HEADS, past=2)
attend(*GROUPED, past=2, is_causal=1)
attend(*GROUPED, past=2, mask=random((4, 7), "bool", seed=3))
attend((2, 3, 1, 8), (2, 3, 1, 8), (2, 3, 1, 5), past=4, is_causal=1)
attend(Q, K, V, lengths=[6, 2])
attend(Q, K, V, lengths=[6, 4], is_causal=1)
attend(*GROUPED, lengths=[4, 5], is_causal=1)
attend(*GROUPED, lengths=[2, 0], is_causal=1)  # rows that no key precedes
attend((2, 3, 1, 8), K, V, lengths=[1, 5], is_causal=1)
attend(Q, K, V, lengths=[5, 4], mask=random((2, 1, 4, 6), seed=3))

# Windows.
attend(*SQUARE, left_window_size=1)
attend(*SQUARE, right_window_size=0)
attend(*SQUARE, left_window_size=1, right_window_size=2)
attend(*SQUARE, left_window_size=2, is_causal=1)
attend((1, 2, 300, 4), (1, 2, 300, 4), (1, 2, 300, 4), left_window_size=9, right_window_size=3)
attend(*GROUPED, left_window_size=1, past=3)
attend(*GROUPED, left_window_size=1, right_window_size=1, lengths=[4, 5])

# The scores.
for mode in range(4):
    attend(Q, K, V, qk_matmul_output_mode=mode, symbolic=ROWS)
    finite = "its masked scores are the lowest finite number" if mode == 2 else ""
    attend(*SQUARE, qk_matmul_output_mode=mode, softcap=2.0, is_causal=1, why=finite)
    attend(*GROUPED, qk_matmul_output_mode=mode, mask=random((4, 5), "bool", seed=1), why=finite)
    attend(*GROUPED, qk_matmul_output_mode=mode, mask=random((4, 5), seed=1))
attend(Q, K, V, qk_matmul_output_mode=3, mask=np.zeros((4, 6), bool))
attend(Q, K, V, qk_matmul_output_mode=3, past=2)
attend(
    *GROUPED, qk_matmul_output_mode=2, past=2, is_causal=1,
    why="its scores with the bias lack the causal one",
)  # fmt: skip

# -- rotary embedding -----------------------------------------------------------------------------


def rotate(x: Any, half: int, positions: Any = None, tolerance: float = 1e-5,
           dtype: str = "float32", **attrs: Any) -> None:  # fmt: skip
    """Add a case; without positions, angles are given for each sample and place."""
    length = x[1] if len(x) == 3 else x[2]
    table = (x[0], length, half) if positions is None else (10, half)
    angles = [random(table, dtype, seed) for seed in (1, 2)]
    ids = [] if positions is None else [np.array(positions, np.int64)]
    at = {0: "b", (1 if len(x) == 3 else 2): "t"}
    symbolic: dict[int, Any] = {0: at}
    symbolic |= {1: {0: "b", 1: "t"}, 2: {0: "b", 1: "t"}} if positions is None else {
        1: {0: "n"}, 2: {0: "n"}, 3: {0: "b", 1: "t"}
    }  # fmt: skip
    CASES.append(
        Case("RotaryEmbedding", (random(x, dtype), *angles, *ids), attrs, symbolic=symbolic,
             tolerance=tolerance)
    )  # fmt: skip


IDS = [[0, 1, 2], [7, 8, 9]]
for options in ({}, {"interleaved": 1}):
    rotate((2, 4, 3, 8), 4, IDS, **options)
    rotate((2, 4, 3, 8), 4, **options)
    rotate((2, 3, 32), 4, IDS, num_heads=4, **options)
    rotate((2, 3, 32), 4, num_heads=4, **options)
    rotate((2, 4, 3, 8), 2, IDS, rotary_embedding_dim=4, num_heads=4, **options)
    rotate((2, 3, 32), 3, num_heads=4, rotary_embedding_dim=6, **options)
rotate((2, 4, 3, 8), 4, IDS, dtype="float16", tolerance=2e-2)

# -- writing into a cache -------------------------------------------------------------------------


def scatter(cache: Any, update: Any, starts: Any = None, dtype: Any = "float32",
            symbolic: Any = None, **attrs: Any) -> None:  # fmt: skip
    operands = [random(cache, dtype), random(update, dtype, 1)]
    if starts is not None:
        operands.append(np.array(starts, np.int64))
    CASES.append(Case("TensorScatter", operands, attrs, symbolic=symbolic or {}, tolerance=0))


scatter((2, 3, 8, 4), (2, 3, 2, 4), [0, 5])
scatter((2, 3, 8, 4), (2, 3, 2, 4), [6, 6])
scatter((2, 3, 8, 4), (2, 3, 1, 4), symbolic={0: {0: "b", 2: "n"}, 1: {0: "b", 2: "t"}})
scatter((2, 8, 4), (2, 3, 4), [1, 4])
scatter((2, 8, 4), (2, 8, 1), [1, 3], axis=2)
scatter((2, 8, 4), (2, 3, 4), [7, 4], mode="circular")
scatter((2, 8, 4), (2, 3, 4), [7, 7], mode="circular")
scatter((3, 4), (3, 2), [1, 0, 2], axis=-1, dtype="int32")
scatter((2, 3, 8, 4), (2, 3, 2, 4), [0, 5], dtype="float16")
