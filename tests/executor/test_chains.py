"""Programs in blocks: the bits of an eager call, nothing written that is not theirs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

import graphctx as gx
from graphctx import Layer, nn, ops
from graphctx.executor import chains
from graphctx.ops import blocks
from graphctx.spec import is_extended
from tests.executor.recipes import Recipe, instructions, results

SYMBOLIC = ((), (0,))


@contextlib.contextmanager
def sizes(block: int, large: int) -> Iterator[None]:
    """Blocks of so many bytes, for arrays of more than so many; no array is too little to align."""
    with (
        mock.patch.multiple(blocks, BLOCK=block, LARGE=large, _LITTLE=0),
        mock.patch.object(chains, "_NARROW", 0),
    ):
        yield


def same_bits(a: Any, b: Any, what: str = "") -> None:
    """Equal dtypes, shapes and bits; of NaN there may be several."""
    assert a.dtype == b.dtype, what
    assert a.shape == b.shape, what
    if is_extended(a.dtype):  # to NumPy their NaN is none
        a, b = a.astype(np.float32), b.astype(np.float32)
    np.testing.assert_array_equal(a, b, what)
    if a.dtype.kind == "f":
        known = ~np.isnan(a)
        np.testing.assert_array_equal(np.signbit(a[known]), np.signbit(b[known]), what)


def values(shape: tuple[int, ...], seed: int, order: str = "C") -> Any:
    """Normal random numbers, laid out in one of several orders, that cannot be written to."""
    x = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    if order == "slice":
        wide = np.zeros((*shape[:-1], shape[-1] + 3), np.float32)
        wide[..., 1:-2] = x
        x = wide[..., 1:-2]
    else:
        x = np.array(x, order=order)  # type: ignore[call-overload]
    x.flags.writeable = False
    return x


@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    instructions=instructions,
    results=results,
    shape=st.tuples(st.integers(0, 9), st.integers(1, 7), st.sampled_from([1, 2, 7, 40])),
    symbolic=st.sampled_from(SYMBOLIC),
    orders=st.tuples(*[st.sampled_from(["C", "C", "F", "slice"])] * 2),
    block=st.sampled_from([1, 64, 200, 1000]),
    large=st.sampled_from([0, 0, 0, 1000]),
)
def test_programs_in_blocks_equal_eager_calls(
    instructions: Any, results: Any, shape: Any, symbolic: Any, orders: Any, block: int, large: int
) -> None:
    model = Recipe(instructions, results, shape[1:])
    x, y = (values(shape, seed, order) for seed, order in enumerate(orders))
    before = x.copy(), y.copy()
    spec = gx.TensorSpec([f"n{i}" if i in symbolic else n for i, n in enumerate(shape)])
    with np.errstate(all="ignore"):
        expected = model(x, y)
        with sizes(block, large):
            program = gx.compile(gx.trace(model, spec, spec))
            note(program.source)
            found = program(x, y)
    for a, b in zip(found, expected, strict=True):
        same_bits(a, b, program.source)
    for a, b in zip((x, y), before, strict=True):
        np.testing.assert_array_equal(a, b)
    for i, a in enumerate(found):
        assert not np.shares_memory(a, x)
        assert not np.shares_memory(a, y)
        assert not any(np.shares_memory(a, b) for b in found[i + 1 :])
        a[...] = 7  # what a caller writes into a result, the next run does not see
    with np.errstate(all="ignore"), sizes(block, large):
        for a, b in zip(program(x, y), expected, strict=True):
            same_bits(a, b)


class Masked(Layer):
    """A mask over the last two axes decides the order in memory; a sum over it depends on that."""

    def __init__(self) -> None:
        mask = np.random.default_rng(3).standard_normal((1, 40, 30)).astype(np.float32)
        self.mask = self.add_weight(mask.shape, mask)

    def call(self, x: Any) -> Any:
        return ops.sum(ops.tanh(x) * 3 + self.mask.value, axis=1)


def test_results_lie_in_memory_as_those_of_single_operators() -> None:
    x = values((5, 30, 40), 0).transpose(0, 2, 1)
    expected = Masked()(x)
    with sizes(1000, 0):
        program = gx.compile(gx.trace(Masked(), gx.TensorSpec(("n", 40, 30))))
        assert "in_rows(" in program.source  # the operand does not, so that no chain runs
        same_bits(program(x), expected)


class Pointwise(Layer):
    """One chain over all of it."""

    def __init__(self) -> None:
        self.shift = self.add_weight((64,), np.linspace(-1, 1, 64, dtype=np.float32))

    def call(self, x: Any) -> Any:
        return ops.gelu(ops.exp(x * 0.5) + self.shift.value) - x


def test_threads_do_not_share_buffers() -> None:
    with sizes(1024, 0):
        program = gx.compile(gx.trace(Pointwise(), gx.TensorSpec(("n", 64))))
        inputs = [values((40, 64), seed) for seed in range(6)]
        expected = [program(x) for x in inputs]
        wrong: list[int] = []

        def work(index: int) -> None:
            found = [program(inputs[index]) for _ in range(40)]
            wrong.extend(index for y in found if not np.array_equal(y, expected[index]))

        threads = [threading.Thread(target=work, args=(i,)) for i in range(len(inputs))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_an_error_in_a_block_names_the_layer_and_the_operator() -> None:
    with sizes(1024, 0):
        model = nn.Sequential([Pointwise()], name="net")
        program = gx.compile(gx.trace(model, gx.TensorSpec(("n", 64))))
        message = r"net/pointwise: Exp refuses these inputs: overflow .*test_chains.py"
        with pytest.raises(gx.InputError, match=message), np.errstate(over="raise"):
            program(np.full((40, 64), 300, np.float32))


def test_a_chain_reads_as_a_loop() -> None:
    program = gx.compile(gx.trace(Pointwise(), gx.TensorSpec(("n", 64))))
    assert (
        program.source
        == """\
def chain1(i_x):
    r0 = empty_like(i_x)
    for y0, x0, x1, t0 in blocks(i_x.shape, (r0, i_x, w5,), [d13]):
        np_multiply(x0, c4, out=t0)  # pointwise
        np_exp(t0, out=t0)
        np_add(t0, x1, out=t0)
        k_Gelu(t0, out=t0)
        np_subtract(t0, x0, out=y0)
    return r0

def run(i_x):
    if not (i_x.__class__ is ndarray and i_x.dtype is d2 and i_x.ndim == 2 and i_x.shape[1] == 64):
        i_x = convert3(i_x)
    if i_x.size > 327680 and in_one_order(i_x):  # pointwise
        v1 = chain1(i_x)
    else:
        v1 = np_multiply(i_x, c4)
        v1 = np_exp(v1, out=v1)
        v1 = np_add(v1, w5, out=v1)
        v1 = k_Gelu(v1, out=v1)
        v1 = np_subtract(v1, i_x, out=v1)
    return v1
"""
    )


def test_memory_that_another_operand_looks_at_is_not_written_to() -> None:
    class Twisted(Layer):
        def __init__(self) -> None:
            self.kernel = self.add_weight((64, 64))

        def call(self, x: Any) -> Any:
            y = x @ self.kernel.value
            return ops.layer_norm(y, y[::-1], y[:, ::-1])

    x = values((6, 64), 0)
    model = Twisted()
    expected = model(x)
    program = gx.compile(gx.trace(model, gx.TensorSpec(("n", 64))))
    same_bits(program(x), expected)
