"""What holds of every layer: copies, first calls, empty batches, wrong arguments."""

from __future__ import annotations

import copy
import inspect
import pickle
import threading
from typing import Any

import numpy as np
import pytest

import graphctx as gx
from graphctx import nn
from tests.nn.common import refused, same
from tests.nn.one_of_each import KINDS, SPECIMENS, Specimen
from tests.nn.parity.case import leaves


def test_every_layer_is_tested() -> None:
    assert {specimen.kind for specimen in SPECIMENS} == set(KINDS)


def training(layer: Any) -> dict[str, bool]:
    """The context of a call in training mode."""
    return {"training": True} if "training" in layer._declared_names() else {}


def called(layer: Any, inputs: list[Any]) -> list[Any]:
    """The outputs of a call in training mode, with a seed; the weights are as they were then."""
    before = {path: v.numpy() for path, v in layer.weights.items()}
    with gx.seed(5):
        outputs = leaves(layer(*inputs, **training(layer)))
    if before:
        layer.set_weights(before)
    return outputs


def specs(item: Any) -> Any:
    """Specs of nested arrays, with the first axis symbolic."""
    if isinstance(item, list):
        return [specs(i) for i in item]
    return gx.TensorSpec(("batch", *item.shape[1:]), item.dtype)


every_layer = pytest.mark.parametrize("specimen", SPECIMENS, ids=str)


@every_layer
def test_the_first_call_is_like_any_other_and_like_the_program(specimen: Specimen) -> None:
    first, later, traced = (specimen.make() for _ in range(3))
    inputs = specimen.inputs(3)
    with gx.seed(5):
        outputs = leaves(first(*inputs, **training(first)))
    with gx.seed(5):  # which initial weights follow from, too
        later(*inputs)
        graph = gx.trace(traced, *specs(inputs))
    program = gx.compile(graph, training(traced))
    for a, b, c in zip(
        outputs, called(later, inputs), leaves(program(*inputs, seed=5)), strict=True
    ):
        same(a, b)
        same(a, c)


@every_layer
@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies(specimen: Specimen, how: Any) -> None:
    layer, inputs = specimen.make(), specimen.inputs(3)
    empty = how(layer)
    layer(*inputs)
    twin = how(layer)
    assert list(twin.weights) == list(layer.weights)
    for a, b in zip(called(layer, inputs), called(twin, inputs), strict=True):
        same(a, b)
    for variable in twin.weights.values():
        with pytest.raises(ValueError, match="read-only"):
            variable.numpy()[...] = 0
    if how is not copy.copy:  # which has the very sub-layers
        empty(*inputs)
        assert not set(map(id, layer.weights.values())) & set(map(id, empty.weights.values()))
        assert len(empty.weights) == len(layer.weights)


@every_layer
def test_an_empty_batch_and_one_example(specimen: Specimen) -> None:
    layer = specimen.make()
    layer(*specimen.inputs(3))
    graph = gx.trace(layer, *specs(specimen.inputs(3)))
    program = gx.compile(graph, {"training": False} if "training" in graph.contexts else {})
    for examples in (0, 1):
        inputs = specimen.inputs(examples)
        results = leaves(layer(*inputs)), leaves(program(*inputs))
        for a, b in zip(*results, strict=True):
            same(a, b)


@every_layer
def test_threads_build_it_once(specimen: Specimen) -> None:
    layer, inputs = specimen.make(), specimen.inputs(3)
    barrier = threading.Barrier(4)
    results: list[Any] = []

    def work() -> None:
        barrier.wait()
        results.append(leaves(layer(*inputs)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            same(a, b)
    alone = specimen.make()
    alone(*inputs)
    assert list(layer.weights) == list(alone.weights)


@every_layer
def test_nothing_is_no_tensor(specimen: Specimen) -> None:
    layer = specimen.make()
    if specimen.kind in ("Activation", "Identity", "Lambda"):  # take what their function takes
        return
    rest = specimen.inputs(3)[1:]
    with pytest.raises(gx.GraphctxError, match=f"^{layer.name}.* takes "):
        layer(None, *rest)


# -- wrong arguments ------------------------------------------------------------------------------

WRONG: list[Any] = [
    "x",
    "",
    -1.5,
    [],
    (1, 2, 3, 4, 5),
    {"a": 1},
    object(),
    float("nan"),
    np.array([1, 2]),
    np.array(2.5),
    nn.Dense,
    (None, "x"),
]


def refusal(specimen: Specimen, name: str, value: Any) -> str | None:
    """The message by which a layer refuses an argument; None if it takes it."""
    try:
        specimen.make(**{name: value})
    except gx.GraphctxError as error:
        return str(error)
    return None


@every_layer
def test_wrong_arguments_are_refused_in_the_name_of_the_layer(specimen: Specimen) -> None:
    for name, parameter in inspect.signature(KINDS[specimen.kind]).parameters.items():
        for wrong in WRONG:
            message = refusal(specimen, name, wrong)
            assert message is None or name == "name" or specimen.kind in message, (name, wrong)
        if isinstance(parameter.default, bool):
            refused(
                lambda name=name: specimen.make(**{name: "valid"}),
                f"{specimen.kind}: {name} is True or False, got 'valid'",
            )
        if name == "dtype":
            assert specimen.make(dtype=None).dtype == np.float32
            with pytest.raises(gx.LayerError, match=f"^{specimen.kind}: dtype is a floating dtype"):
                specimen.make(dtype="float31")
