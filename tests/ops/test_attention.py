"""Attention, rotary embedding and the cache's write: kernels, views, messages."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphctx as gx
from graphctx import ops
from graphctx.builder import Builder
from graphctx.errors import DTypeError, ShapeError
from graphctx.ops.table import TABLE
from graphctx.spec import TensorSpec

module = importlib.import_module("graphctx.ops.attention")  # `ops.attention` is the function

# -- the kernel -----------------------------------------------------------------------------------


def values(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def by_hand(q: Any, k: Any, v: Any, seen: Any) -> Any:
    """Attention by its formula, in float64, of [batch, heads, length, size]."""
    share = q.shape[1] // k.shape[1]
    k, v = (np.repeat(x.astype(np.float64), share, axis=1) for x in (k, v))
    scores = q.astype(np.float64) @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    weights = np.where(seen, np.exp(scores - scores.max(axis=-1, keepdims=True)), 0)
    total = weights.sum(axis=-1, keepdims=True)
    return weights / np.where(total == 0, 1, total) @ v


@settings(max_examples=60)
@given(
    batch=st.integers(1, 3), groups=st.integers(1, 3), share=st.integers(1, 3),
    rows=st.integers(1, 9), keys=st.integers(1, 9), causal=st.booleans(),
    window=st.none() | st.tuples(st.integers(-1, 3), st.integers(-1, 3)),
    has_mask=st.booleans(), has_lengths=st.booleans(), block=st.sampled_from([1, 20, 1 << 18]),
    rows_of_block=st.sampled_from([1, 3, 128]), seed=st.integers(0, 99),
)  # fmt: skip
def test_every_block_and_mask_is_the_formula(
    batch: int, groups: int, share: int, rows: int, keys: int, causal: bool, window: Any,
    has_mask: bool, has_lengths: bool, block: int, rows_of_block: int, seed: int,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    q = values(batch, groups * share, rows, 4, seed=seed)
    k, v = values(batch, groups, keys, 4, seed=seed + 1), values(batch, groups, keys, 5, seed=seed)
    mask = rng.random((batch, 1, rows, keys)) < 0.7 if has_mask else None
    lengths = rng.integers(0, keys + 1, batch) if has_lengths else None
    offset = np.zeros(batch, np.int64) if lengths is None else lengths - rows
    place = np.arange(rows)[:, None] + offset[:, None, None, None]
    key = np.arange(keys)
    seen = np.ones((batch, 1, rows, keys), bool) if mask is None else mask
    if lengths is not None:
        seen = seen & (key < lengths[:, None, None, None])
    left, right = window or (-1, -1)
    if left >= 0:
        seen = seen & (key >= place - left)
    if right >= 0:
        seen = seen & (key <= place + right)
    if causal:
        seen = seen & (key <= place)
    before = module.BLOCK, module.TOGETHER, module.ROWS
    module.BLOCK, module.TOGETHER, module.ROWS = block, 2 * block, rows_of_block
    try:
        found = ops.attention(q, k, v, mask, causal=causal, window=window, lengths=lengths)
    finally:
        module.BLOCK, module.TOGETHER, module.ROWS = before
    np.testing.assert_allclose(found, by_hand(q, k, v, seen), rtol=1e-4, atol=1e-5)


def test_three_dimensions_are_four() -> None:
    q, k, v = values(2, 4, 12), values(2, 5, 12, seed=1), values(2, 5, 6, seed=2)

    def split(x: Any) -> Any:
        return x.reshape(*x.shape[:2], 3, -1).transpose(0, 2, 1, 3)

    flat = ops.attention(q, k, v, num_heads=3)
    wide = ops.attention(split(q), split(k), split(v))
    np.testing.assert_array_equal(split(flat), wide)


def test_half_precision_is_computed_in_single() -> None:
    q = (values(1, 2, 3, 4) * 200).astype(np.float16)  # products overflow float16
    found = ops.attention(q, q, q, scale=1e-4)
    wide = ops.attention(*[q.astype(np.float32)] * 3, scale=1e-4)
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, wide.astype(np.float16))


def test_masks_of_one_row_or_one_key_are_for_all() -> None:
    q, k = values(2, 3, 4, 8), values(2, 3, 5, 8, seed=1)
    for shape in ((5,), (1, 5), (2, 1, 1, 5), (4, 1), (2, 1, 4, 1)):
        mask = np.random.default_rng(2).random(shape) < 0.6
        full = np.array(np.broadcast_to(mask, (2, 3, 4, 5)))
        np.testing.assert_array_equal(
            ops.attention(q, k, k, mask), ops.attention(q, k, k, full), str(shape)
        )


def test_scores_and_past() -> None:
    q, k, v = (values(1, 2, 3, 4, seed=i) for i in range(3))
    y, weights = ops.attention(q, k, v, scores=True, causal=True)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-6)
    np.testing.assert_allclose(weights @ v, y, rtol=1e-5, atol=1e-6)
    whole = ops.attention(q, k, v, causal=True)
    y, keys, now = ops.attention(
        q[:, :, 2:], k[:, :, 2:], v[:, :, 2:], past=(k[:, :, :2], v[:, :, :2]), causal=True
    )
    np.testing.assert_allclose(y, whole[:, :, 2:], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(keys, k)
    np.testing.assert_array_equal(now, v)
    *_, weights = ops.attention(q, k, v, past=(k, v), scores=True)
    assert weights.shape == (1, 2, 3, 6)


def test_tensor_scatter_writes_where_it_is_told() -> None:
    cache, update = values(2, 3, 4), values(2, 1, 4, seed=1)
    made = TABLE["TensorScatter"].kernel(cache, update, np.array([0, 2]), out=(own := cache.copy()))
    assert made is own
    np.testing.assert_array_equal(made, ops.tensor_scatter(cache, update, np.array([0, 2])))
    again = TABLE["TensorScatter"].kernel(own, update, np.array([1, 1]), out=own)
    assert again is own
    np.testing.assert_array_equal(own[:, 1], update[:, 0])


# -- wrong operands -------------------------------------------------------------------------------

Q, K = (2, 3, 4, 8), (2, 3, 6, 8)
FLAT = (2, 4, 24)
WRONG: list[tuple[str, list[Any], dict[str, Any], str]] = [
    ("Attention", [Q, K, (2, 6, 8)], {}, "Q, K and V need the same number of dimensions"),
    ("Attention", [FLAT, FLAT, FLAT], {}, r"3-D operands \[batch, length, heads \* size\] need"),
    ("Attention", [FLAT, FLAT, FLAT], {"q_num_heads": 5, "kv_num_heads": 3},
     r"the last dimension of Q \(24\) is no multiple of 5 heads"),
    ("Attention", [FLAT, FLAT, FLAT], {"q_num_heads": 3, "kv_num_heads": 2},
     "the sizes of a head of Q and K differ: 8 against 12"),
    ("Attention", [(2, 8)] * 3, {}, r"Q is \[batch, length, heads \* size\] or"),
    ("Attention", [Q, (1, 3, 6, 8), K], {}, "the batches of Q and K differ: 2 against 1"),
    ("Attention", [Q, K, (2, 3, 5, 8)], {}, "the lengths of K and V differ: 6 against 5"),
    ("Attention", [Q, (2, 2, 6, 8), (2, 2, 6, 8)], {},
     r"the heads of Q \(3\) are no multiple of those of K \(2\)"),
    ("Attention", [Q, K, K], {"qk_matmul_output_mode": 4}, "is 0, 1, 2 or 3, got 4"),
    ("Attention", [Q, K, K], {"left_window_size": -2}, "0 places or more, or -1 without end"),
    ("Attention", [Q, K, K, None, K], {}, "past_key and past_value are given together"),
    ("Attention", [Q, K, K, None, (2, 3, 2, 7), (2, 3, 2, 8)], {},
     "axis 3 of past_key differs: 7 against 8"),
    ("Attention", [Q, K, K, None, (2, 3, 2, 8), (2, 3, 3, 8)], {},
     "the lengths of past_key and past_value differ: 3 against 2"),
    ("Attention", [Q, K, K, (3, 6)], {},
     r"attn_mask \[3, 6\] does not broadcast to the scores \[2, 3, 4, 6\]"),
    ("Attention", [Q, K, K, (4, 7)], {}, "does not broadcast to the scores"),
    ("Attention", [Q, K, K, (1, 2, 3, 4, 6)], {}, "does not broadcast to the scores"),
    ("RotaryEmbedding", [FLAT, (9, 4), (9, 4), "ids"], {}, "needs num_heads"),
    ("RotaryEmbedding", [(2, 3, 4, 7), (9, 3), (9, 3), "ids"], {},
     "an even number of at most 7 elements is rotated, got 7"),
    ("RotaryEmbedding", [Q, (9, 4), (9, 4)], {},
     r"cos_cache is \[2, 4, 4\] without position_ids, got \[9, 4\]"),
    ("RotaryEmbedding", [Q, (2, 4, 4), (2, 4, 4), "ids"], {},
     r"cos_cache is \[positions, 4\], got \[2, 4, 4\]"),
    ("RotaryEmbedding", [Q, (9, 3), (9, 3), "ids"], {}, "axis 1 of cos_cache: 3 against 4"),
    ("TensorScatter", [(2, 5, 4), (2, 6, 4)], {}, "an update of 6 does not fit into a cache of 5"),
    ("TensorScatter", [(2, 5, 4), (2, 1, 3)], {}, "axis 2 of the cache and the update: 4 against"),
    ("TensorScatter", [(2, 5), (2, 5)], {"axis": 0}, "axis 0 is the batch"),
    ("TensorScatter", [(2, 5), (2, 5)], {"mode": "round"}, "linear or circular, got 'round'"),
    ("TensorScatter", [(2, 5), (2, 5, 1)], {}, "need the same dimensions"),
]  # fmt: skip


@pytest.mark.parametrize(("op", "shapes", "attrs", "message"), WRONG)
def test_wrong_operands_are_explained(op: str, shapes: Any, attrs: Any, message: str) -> None:
    builder = Builder()
    operands = [
        None if shape is None
        else builder.input(TensorSpec((2, 4), "int64"), f"x{i}") if shape == "ids"
        else builder.input(TensorSpec(shape), f"x{i}")
        for i, shape in enumerate(shapes)
    ]  # fmt: skip
    with pytest.raises(ShapeError, match=message):
        TABLE[op].infer_outputs(operands, attrs)


def test_wrong_dtypes_are_explained() -> None:
    builder = Builder()
    q, k = (builder.input(TensorSpec(s), f"x{i}") for i, s in enumerate((Q, K)))
    text = builder.input(TensorSpec((4, 6), "str"), "mask")
    short = builder.input(TensorSpec((3,), "int64"), "lengths")
    with pytest.raises(DTypeError, match="needs bools or numbers as attn_mask"):
        TABLE["Attention"].infer_outputs([q, k, k, text], {})
    with pytest.raises(DTypeError, match="softmax_precision is a floating dtype, got int32"):
        TABLE["Attention"].infer_outputs([q, k, k], {"softmax_precision": np.dtype("int32")})
    with pytest.raises(ShapeError, match="nonpad_kv_seqlen has one number a sample: 3 against 2"):
        TABLE["Attention"].infer_outputs([q, k, k, None, None, None, short], {})
    with pytest.raises(ShapeError, match="a cache outside, past_key for one inside: not both"):
        TABLE["Attention"].infer_outputs([q, k, k, None, k, k, short], {})


def test_what_only_values_tell_is_explained() -> None:
    cache, update = values(2, 5, 4), values(2, 2, 4)
    with pytest.raises(
        ShapeError,
        match="the cache has 5 places, of which sample 1 uses 4 already; 2 more do not fit",
    ):
        ops.tensor_scatter(cache, update, np.array([0, 4]))
    with pytest.raises(ShapeError, match="there are 9 positions, and 9 is none of them"):
        ops.rotary_embedding(values(*Q), values(9, 4), values(9, 4), np.full((2, 4), 9))


# -- in a trace -----------------------------------------------------------------------------------


def test_symbolic_masks_are_written_out_once() -> None:
    class Net(gx.Layer):
        def call(self, x: Any, mask: Any) -> Any:
            y = ops.attention(x, x, x, mask[:, None, None, :], num_heads=2)
            return ops.attention(y, y, y, mask[:, None, None, :], num_heads=2, causal=True)

    specs = gx.TensorSpec(("batch", "length", 8)), gx.TensorSpec(("batch", "length"), "bool")
    program = gx.compile(gx.trace(Net(), *specs))
    assert str(program.graph).count("Expand") == 1
    x, mask = values(2, 5, 8), np.arange(5) < np.array([[5], [3]])
    np.testing.assert_array_equal(program(x, mask), Net()(x, mask))


def test_summary_counts_both_products() -> None:
    builder = Builder()
    q = builder.input(TensorSpec(("b", 4, 24)), "q")
    k = builder.input(TensorSpec(("b", 6, 8)), "k")
    attrs = {"q_num_heads": 6, "kv_num_heads": 2}
    [y] = builder.op(TABLE["Attention"], [q, k, k], attrs)
    record = TABLE["Attention"]
    assert record.multiply_adds is not None
    assert str(record.multiply_adds(y.node)) == f"{6 * 4 * 6 * (4 + 4)}*b"
