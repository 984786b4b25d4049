"""Blocks: they cover arrays exactly, and kernels compute in them what they compute of the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphctx.builder import Builder
from graphctx.graph import Node
from graphctx.ops import blocks
from graphctx.ops.table import OUTPUTS, TABLE
from graphctx.spec import TensorSpec
from tests.executor.test_chains import same_bits, sizes
from tests.ops.case import Case
from tests.ops.test_table import CASES, IDS, quiet


def node_of(case: Case) -> Node:
    """The node of a case."""
    builder = Builder()
    operands = tuple(
        None if x is None else builder.constant(x) if i in case.constant or not x.ndim
        else builder.input(TensorSpec(x.shape, x.dtype), f"x{i}")
        for i, x in enumerate(case.operands)
    )  # fmt: skip
    return builder.op(TABLE[case.op], operands, dict(case.attrs))[0].node


# Nodes of several outputs are neither computed part by part nor written into what is there.
SINGLE = [(case, name) for case, name in zip(CASES, IDS, strict=True) if OUTPUTS not in case.attrs]
LOCAL = [
    (case, name)
    for case, name in SINGLE
    if TABLE[case.op].local is not None
    and not any(x is not None and x.dtype == object for x in case.operands)
]
local_cases = pytest.mark.parametrize("case", [c for c, _ in LOCAL], ids=[i for _, i in LOCAL])


@settings(max_examples=300, deadline=None)
@given(
    shape=st.lists(st.integers(0, 6), min_size=1, max_size=4).map(tuple),
    whole=st.integers(0, 3),
    order=st.randoms(use_true_random=False),
    block=st.sampled_from([1, 8, 50, 100, 1000]),
)
def test_blocks_cover_every_element_once(shape: Any, whole: int, order: Any, block: int) -> None:
    whole = min(whole, len(shape) - 1)
    axes = list(range(len(shape)))
    if not whole:
        order.shuffle(axes)
    count = np.zeros([shape[i] for i in axes], np.float32).transpose(np.argsort(axes))
    assert count.shape == shape
    row = np.arange(shape[-1], dtype=np.float64)
    column = np.arange(shape[0], dtype=np.float32).reshape(-1, *[1] * (len(shape) - 1))
    found = np.zeros_like(count)
    with sizes(block, 0):
        for part, copy, right, down, wide, flags in blocks.blocks(
            shape, (count, found, row, column), (np.float64, bool), whole
        ):
            part += 1
            np.multiply(right, 10, out=wide)
            wide += down
            copy[...] = wide
            flags[...] = True
            assert wide.shape == flags.shape == part.shape
            assert not wide.size or wide.ctypes.data % 64 == 0
            if whole:
                assert part.shape[part.ndim - whole :] == shape[len(shape) - whole :]
    np.testing.assert_array_equal(count, 1)
    np.testing.assert_array_equal(found, np.broadcast_to(row * 10 + column, shape))


@pytest.mark.parametrize("name", [n for n, record in TABLE.items() if record.ufunc is not None])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "int64", "bool"])
def test_an_element_has_the_same_bits_wherever_it_stands(name: str, dtype: str) -> None:
    ufunc = TABLE[name].ufunc
    random = np.random.default_rng(0)
    operands = [(random.standard_normal(300) * 4).astype(dtype) for _ in range(ufunc.nin)]
    if name in ("Log", "log2", "log10", "Sqrt", "Acosh"):
        operands = [np.abs(operands[0])]
    with np.errstate(all="ignore"):
        try:
            whole = ufunc(*operands)
        except TypeError:
            return  # it does not take this dtype
        for size in (1, 2, 3, 7, 16, 31, 64, 65):
            for start in (*range(20), 100, 235):
                part = ufunc(*(x[start : start + size] for x in operands))
                same_bits(part, whole[start : start + size])
        if dtype == "float16":
            return  # of spread elements NumPy computes the logarithm to base 10 in another way
        spread = [np.zeros((300, 3), dtype) for _ in operands]
        for x, values in zip(spread, operands, strict=True):
            x[:, 1] = values
        same_bits(ufunc(*(x[:, 1] for x in spread)), whole)


def outputs(case: Case, operands: Any) -> Any:
    with quiet(case):
        return np.asarray(TABLE[case.op].kernel(*operands, **case.attrs))


@local_cases
def test_local_operators_compute_part_by_part(case: Case) -> None:
    node = node_of(case)
    local = TABLE[case.op].local_axes(node)
    whole = outputs(case, case.operands)
    if local is None or whole.ndim <= local or not whole.size:
        return
    for start in range(whole.shape[0]):
        part = [
            x if x is None or x.ndim <= local
            else np.broadcast_to(x, whole.shape)[start : start + 1]
            for x in case.operands
        ]  # fmt: skip
        same_bits(outputs(case, part), whole[start : start + 1])


@local_cases
def test_kernels_in_blocks_compute_the_same(case: Case) -> None:
    whole = outputs(case, case.operands)
    for block, large in ((1, 0), (20, 0), (100, 0), (1 << 20, 1 << 20)):
        with sizes(block, large):
            same_bits(outputs(case, case.operands), whole)


@pytest.mark.parametrize(
    "case",
    [c for c, _ in SINGLE if TABLE[c.op].writes and c.operands[0].dtype != np.float16],
    ids=lambda case: case.op,
)
def test_kernels_write_into_what_they_are_given(case: Case) -> None:
    whole = outputs(case, case.operands)
    for block, large in ((1, 0), (50, 0), (1 << 20, 1 << 20)):
        with sizes(block, large), quiet(case):
            out = np.full_like(whole, 7)
            assert TABLE[case.op].kernel(*case.operands, **case.attrs, out=out) is out
            same_bits(out, whole)
            over = np.array(case.operands[0])
            assert TABLE[case.op].kernel(over, *case.operands[1:], **case.attrs, out=over) is over
            same_bits(over, whole)


@pytest.mark.parametrize(
    "case", [c for c in CASES if TABLE[c.op].row_major], ids=lambda case: case.op
)
def test_row_major_operators_are(case: Case) -> None:
    turned = [None if x is None else np.asarray(x, order="F") for x in case.operands]
    for operands in (case.operands, turned):
        with quiet(case):
            result = TABLE[case.op].kernel(*operands, **case.attrs)
        for y in result if isinstance(result, tuple) else (result,):
            assert y.flags.c_contiguous
