"""Convolution kernels: bits do not depend on memory layout, nor results on other calls."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from graphctx.ops.neural import KEPT, SMALL, conv_op, conv_transpose_op

RNG = np.random.default_rng(3)


def f32(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def channels_last(x: Any) -> Any:
    """The same array, with channels last in memory."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


@pytest.mark.parametrize(
    ("op", "x", "w", "attrs"),
    [
        (conv_op, f32(1, 16, 14, 14), f32(32, 16, 3, 3), {"pads": (1, 1, 1, 1)}),
        (conv_op, f32(1, 16, 30, 30), f32(32, 16, 3, 3), {"strides": (2, 2)}),
        (conv_op, f32(2, 64, 12, 12), f32(32, 64, 1, 1), {}),
        (conv_op, f32(4, 64, 5, 5), f32(32, 64, 3, 3), {}),
        (conv_op, f32(1, 64, 12, 12), f32(64, 1, 3, 3), {"group": 64}),
        (conv_op, f32(2, 16, 90), f32(32, 16, 7), {}),
        (conv_transpose_op, f32(1, 64, 12, 12), f32(64, 32, 1, 1), {}),
        (conv_transpose_op, f32(2, 16, 12, 12), f32(16, 32, 3, 3), {"strides": (2, 2)}),
    ],
)
def test_bits_do_not_depend_on_the_layout_in_memory(
    op: Any, x: Any, w: Any, attrs: dict[str, Any]
) -> None:
    # Programs fold transposes of channels-last layers away, which eager calls do as views.
    expected = op(x, w, **attrs)
    assert expected.flags.c_contiguous
    for a in (x, channels_last(x), np.asfortranarray(x)):
        for b in (w, channels_last(w), np.asfortranarray(w)):
            np.testing.assert_array_equal(op(a, b, **attrs), expected)


def test_no_call_sees_the_memory_of_another() -> None:
    sizes = (6, 40, 104, 10, 33, 70, 40)
    calls = [(f32(2, 24, n, n), f32(4, 24, 3, 3)) for n in sizes]
    columns = [24 * 9 * n * n * 4 for n in sizes]
    assert columns[0] < SMALL < columns[1] < KEPT < columns[2]  # some of it is kept, some is not

    def run(i: int) -> Any:
        return conv_op(*calls[i % len(calls)], pads=(1, 1, 1, 1))

    expected = [run(i) for i in range(len(calls))]
    copies = [y.copy() for y in expected]
    with ThreadPoolExecutor(4) as pool:
        for i, y in enumerate(pool.map(run, range(4 * len(calls)))):
            np.testing.assert_array_equal(y, copies[i % len(calls)])
    for y, copy in zip(expected, copies, strict=True):
        np.testing.assert_array_equal(y, copy)
