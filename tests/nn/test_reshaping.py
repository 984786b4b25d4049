"""`Flatten`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphctx as gx
from graphctx import nn
from tests.nn.common import agree, refused, same, text, values


@settings(max_examples=30)
@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_formula(shape: list[int]) -> None:
    x = values(*shape)
    same(nn.Flatten()(x), x.reshape(shape[0], -1))
    moved = np.moveaxis(x, 1, -1) if len(shape) > 1 else x
    same(nn.Flatten("channels_first")(x), moved.reshape(shape[0], -1))


@pytest.mark.parametrize("shape", [(3,), (3, 4), (3, 4, 5), (3, 4, 5, 2)])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first", None])
def test_program_equals_the_eager_call(shape: Any, data_format: Any) -> None:
    layer = nn.Flatten(data_format)
    agree(layer, values(*shape), ())
    agree(layer, values(*shape), (0,))
    agree(layer, values(*shape), tuple(range(len(shape))))


def test_any_dtype() -> None:
    x = np.arange(24).reshape(2, 3, 4)
    same(nn.Flatten()(x), x.reshape(2, 12))


def test_an_empty_batch() -> None:
    assert nn.Flatten()(values(0, 3, 4)).shape == (0, 12)
    program = gx.compile(gx.trace(nn.Flatten(), gx.TensorSpec(("batch", 3, 4))))
    assert program(values(0, 3, 4)).shape == (0, 12)


def test_sizes_are_known_where_they_can_be() -> None:
    graph = gx.trace(nn.Flatten(), gx.TensorSpec(("batch", 3, "width")))
    assert str(graph.returns.values[0].spec) == "float32[batch, 3*width]"
    assert text(graph) == (
        "graph flatten (x: float32[batch, 3, width])\n  %1 = Flatten(x)\n  return %1"
    )


def test_errors() -> None:
    refused(
        lambda: nn.Flatten("channel_last"),
        "Flatten: data_format is one of 'channels_first', 'channels_last', got 'channel_last'; did "
        "you mean 'channels_last'?",
    )
    refused(
        lambda: nn.Flatten()(np.float32(1)),
        "flatten: Flatten takes a tensor [batch, ...], got [] with 0 dimensions",
    )
    refused(
        lambda: nn.Flatten()([values(1, 2)]),
        "flatten: Flatten takes one tensor [batch, ...], got a list of 1",
    )
