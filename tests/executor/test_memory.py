"""How much memory a run takes at most: what is needed at one time, and no more."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

import graphctx as gx
from graphctx import Layer, nn, ops
from graphctx.ops.blocks import BLOCK

ROWS = 1024
WIDTH = 512
ARRAY = ROWS * WIDTH * 4  # bytes


def peak(call: Callable[[], Any]) -> int:
    """Most bytes that a call has at one time, its result included."""
    call()
    tracemalloc.start()
    try:
        kept = call()
        found = tracemalloc.get_traced_memory()[1]
        del kept
    finally:
        tracemalloc.stop()
    return found


def arrays(model: Layer) -> float:
    """The peak of a program, in arrays of [ROWS, WIDTH], less the buffers of a block."""
    program = gx.compile(gx.trace(model, gx.TensorSpec(("n", WIDTH))))
    x = np.ones((ROWS, WIDTH), np.float32) / WIDTH
    return (peak(lambda: program(x)) - 5 * BLOCK) / ARRAY


def test_dense_layers_need_an_operand_and_a_result() -> None:
    model = nn.Sequential([nn.Dense(WIDTH, activation="gelu") for _ in range(5)])
    assert arrays(model) <= 2


def test_a_chain_needs_its_result_only() -> None:
    class Chain(Layer):
        def call(self, x: Any) -> Any:
            for _ in range(10):
                x = ops.tanh(x * 2) + ops.sigmoid(x)
            return x

    assert arrays(Chain()) <= 1


def test_what_nothing_reads_any_more_is_let_go_of() -> None:
    class Narrow(Layer):
        def __init__(self) -> None:
            self.kernels = [self.add_weight((WIDTH, WIDTH), name=name) for name in "ab"]

        def call(self, x: Any) -> Any:
            first, second = ((x @ kernel.value)[:, :8] * 2 for kernel in self.kernels)
            return first + second

    assert arrays(Narrow()) <= 1.1


def test_results_of_a_step_are_no_more_than_they_are() -> None:
    class Residual(Layer):
        def __init__(self) -> None:
            self.norm = nn.LayerNorm()
            self.dense = nn.Dense(WIDTH)

        def call(self, x: Any) -> Any:
            for _ in range(4):
                x = x + self.dense(self.norm(x))
            return x

    assert arrays(Residual()) <= 3  # the sum, what is normalized, and the product
