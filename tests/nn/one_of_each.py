"""One layer of each kind, with what to call it with: for what is to hold of all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from graphctx import Layer, nn
from tests.nn.common import values

CATEGORIES = np.array([[0, 2], [1, 4], [3, 3]], np.int32)


@dataclasses.dataclass(frozen=True)
class Specimen:
    """A layer to test.

    Attributes:
        kind: name of its class.
        arguments: makes what its constructor needs, sub-layers anew.
        inputs: makes the positional arguments of its call, for a number of examples.
    """

    kind: str
    arguments: Callable[[], dict[str, Any]]
    inputs: Callable[[int], list[Any]]

    def __str__(self) -> str:
        return self.kind

    def make(self, **others: Any) -> Any:
        """A new layer, with other arguments perhaps."""
        return getattr(nn, self.kind)(**{**self.arguments(), **others})


def _of(*shapes: tuple[int, ...], listed: bool = False) -> Callable[[int], list[Any]]:
    """Normal numbers [examples, *shape] for each shape."""

    def make(examples: int) -> list[Any]:
        tensors = [values(examples, *shape, seed=i) for i, shape in enumerate(shapes)]
        return [tensors] if listed else tensors

    return make


VECTORS, SEQUENCES = _of((4,)), _of((5, 4))


def _specimen(kind: str, inputs: Callable[[int], list[Any]], **arguments: Any) -> Specimen:
    return Specimen(kind, lambda: arguments, inputs)


def _integers(examples: int) -> list[Any]:
    return [np.resize(CATEGORIES, (examples, 2))]


def _step(states: int) -> Callable[[int], list[Any]]:
    """What a cell of 2 units is called with."""

    def make(examples: int) -> list[Any]:
        return [values(examples, 4), [values(examples, 2, seed=i) for i in range(states)]]

    return make


def halved(x: Any) -> Any:
    """For `Lambda`; pickles need a function that can be found by name."""
    return x / 2


def _of_vectors() -> Iterator[Specimen]:
    for kind in ("ELU", "Identity", "LeakyReLU", "PReLU", "ReLU", "Softmax", "UnitNorm"):
        yield _specimen(kind, VECTORS)
    for kind in ("AlphaDropout", "Dropout", "GaussianDropout", "StochasticDepth"):
        yield _specimen(kind, VECTORS, rate=0.3)
    yield _specimen("Activation", VECTORS, activation="gelu")
    yield _specimen("Dense", VECTORS, units=3)
    yield _specimen("Discretization", VECTORS, bin_boundaries=[0.0, 1.0])
    yield _specimen("GaussianNoise", VECTORS, stddev=0.3)
    yield _specimen("Lambda", VECTORS, function=halved)
    yield _specimen("Normalization", VECTORS)
    yield _specimen("RepeatVector", VECTORS, n=3)
    yield _specimen("Rescaling", VECTORS, scale=0.5, offset=1)
    yield _specimen("Reshape", VECTORS, target_shape=(2, -1))
    yield Specimen("Sequential", lambda: {"layers": [nn.Dense(2), nn.Dropout(0.5)]}, VECTORS)
    for kind in ("SpectralNorm", "WeightNorm"):
        yield Specimen(kind, lambda: {"layer": nn.Dense(3)}, VECTORS)


def _of_several() -> Iterator[Specimen]:
    for kind in ("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract"):
        yield _specimen(kind, _of((4,), (4,), listed=True))
    yield _specimen("Dot", _of((4,), (4,), listed=True), axes=1)


def _of_integers() -> Iterator[Specimen]:
    for kind in ("Embedding", "ReversibleEmbedding"):
        yield _specimen(kind, _integers, input_dim=5, output_dim=3)
    yield _specimen("CategoryEncoding", _integers, num_tokens=5)


def _of_sequences() -> Iterator[Specimen]:
    for kind in ("BatchNorm", "InstanceNorm", "LayerNorm", "RMSNorm"):
        yield _specimen(kind, SEQUENCES)
    yield _specimen("EinsumDense", SEQUENCES, equation="abc,cd->abd", output_shape=(None, 3))
    yield _specimen("GroupNorm", SEQUENCES, groups=2)
    yield _specimen("Permute", SEQUENCES, dims=(2, 1))
    yield Specimen("TimeDistributed", lambda: {"layer": nn.Dense(3)}, SEQUENCES)
    two = _of((5, 4), (5, 4))
    for kind in ("AdditiveAttention", "Attention"):
        yield _specimen(kind, lambda n: [two(n)], dropout=0.3)
    yield _specimen("MultiHeadAttention", two, num_heads=2, key_dim=3, dropout=0.3)
    yield _specimen(
        "GroupQueryAttention", two,
        head_dim=3, num_query_heads=4, num_key_value_heads=2, dropout=0.3,
    )  # fmt: skip
    yield _specimen("RotaryEmbedding", _of((5, 2, 4)), max_length=8)


def _recurrent() -> Iterator[Specimen]:
    for kind in ("GRU", "LSTM", "SimpleRNN"):
        yield _specimen(kind, SEQUENCES, units=3, dropout=0.3)
    for kind in ("GRUCell", "SimpleRNNCell"):
        yield _specimen(kind, _step(1), units=2, recurrent_dropout=0.3)
    yield _specimen("LSTMCell", _step(2), units=2, dropout=0.3)

    def cells() -> list[Any]:
        return [nn.LSTMCell(2, dropout=0.3), nn.SimpleRNNCell(2, recurrent_dropout=0.3)]

    def step(examples: int) -> list[Any]:
        x, states = _step(3)(examples)
        return [x, [states[:2], states[2:]]]

    yield Specimen("RNN", lambda: {"cell": cells()}, SEQUENCES)
    yield Specimen("StackedRNNCells", lambda: {"cells": cells()}, step)
    yield Specimen(
        "Bidirectional",
        lambda: {"layer": nn.LSTM(3, dropout=0.3, return_sequences=True)},
        SEQUENCES,
    )


def _of_space() -> Iterator[Specimen]:
    images = _of((6, 5, 4))
    yield _specimen("Flatten", images)
    yield _specimen("Resizing", images, height=3, width=7)
    for rank, inputs in {1: SEQUENCES, 2: images, 3: _of((4, 5, 3, 4))}.items():
        for kind in ("Conv{}D", "Conv{}DTranspose"):
            yield _specimen(kind.format(rank), inputs, filters=2, kernel_size=2)
        if rank < 3:
            yield _specimen(f"DepthwiseConv{rank}D", inputs, kernel_size=2)
            yield _specimen(f"SeparableConv{rank}D", inputs, filters=2, kernel_size=2)
        for kind in ("AveragePooling", "MaxPooling", "GlobalAveragePooling", "GlobalMaxPooling"):
            yield _specimen(f"{kind}{rank}D", inputs)
        for kind in ("Cropping", "UpSampling", "ZeroPadding"):
            yield _specimen(f"{kind}{rank}D", inputs)
        for kind in ("AdaptiveAveragePooling", "AdaptiveMaxPooling"):
            yield _specimen(f"{kind}{rank}D", inputs, output_size=2)
        yield _specimen(f"SpatialDropout{rank}D", inputs, rate=0.3)


SPECIMENS = [
    *_of_vectors(),
    *_of_several(),
    *_of_integers(),
    *_of_sequences(),
    *_recurrent(),
    *_of_space(),
]
KINDS = {
    name: kind
    for name, kind in vars(nn).items()
    if isinstance(kind, type) and issubclass(kind, Layer) and kind is not Layer
}
"""Name -> class of every public layer."""
