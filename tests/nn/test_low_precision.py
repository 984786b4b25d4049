"""Layers that compute in bfloat16."""

from __future__ import annotations

import inspect
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import graphctx as gx
from graphctx import nn
from graphctx.errors import LayerError
from tests.nn.one_of_each import SPECIMENS, Specimen
from tests.nn.parity.case import leaves
from tests.nn.test_every_layer import specs, training

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
# The layers in these compute in float32, as each layer does that is not given another dtype.
OF_OTHERS = ("Sequential", "SpectralNorm", "WeightNorm", "TimeDistributed", "RNN",
             "StackedRNNCells", "Bidirectional")  # fmt: skip


def narrow(item: Any) -> Any:
    if isinstance(item, list):
        return [narrow(i) for i in item]
    return item.astype(BFLOAT16) if item.dtype == np.float32 else item


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("specimen", SPECIMENS, ids=str)
def test_a_program_equals_the_eager_call(specimen: Specimen, train: bool) -> None:
    takes = inspect.signature(getattr(nn, specimen.kind).__init__).parameters
    layer = specimen.make(**({"dtype": "bfloat16"} if "dtype" in takes else {}))
    inputs = narrow(specimen.inputs(3))
    with gx.seed(5):
        layer(*inputs)
        context = training(layer) if train else {}
        before = {path: variable.numpy() for path, variable in layer.weights.items()}
        outputs = leaves(layer(*inputs, **context))
    if before:
        layer.set_weights(before)
    with gx.seed(5):
        graph = gx.trace(layer, *specs(inputs))
    seed = {"seed": 5} if graph.seed is not None else {}
    for expected, found in zip(
        outputs, leaves(gx.compile(graph, context)(*inputs, **seed)), strict=True
    ):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found.astype(np.float64), expected.astype(np.float64))
        if specimen.kind not in (*OF_OTHERS, "Discretization"):
            assert found.dtype == BFLOAT16


def test_what_only_stores_numbers_is_refused() -> None:
    message = "dtype is a floating dtype to compute with, but float8_e5m2 only stores numbers"
    with pytest.raises(LayerError, match=message):
        nn.Dense(3, dtype="float8_e5m2")
