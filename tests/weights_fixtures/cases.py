"""Models of ours, each with the file of a peer's weights and the name map that it takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import graphctx as gx
from graphctx import Layer, nn

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """A model of ours and a file.

    Attributes:
        file: with the peer's weights.
        model: makes ours.
        x: an input.
        names: the name map.
        options: of `load_weights`.
    """

    file: str
    model: Callable[[], Layer]
    x: np.ndarray[Any, Any]
    names: Any = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the case: `torch_mlp`."""
        return re.sub(r"\W+", "_", self.file.partition(".")[0])

    @property
    def peer(self) -> str:
        """Who wrote the file."""
        return self.name.partition("_")[0]


def values(*shape: int) -> np.ndarray[Any, Any]:
    """The same normal random numbers each time."""
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def convolutional(epsilon: float = 1e-3) -> Layer:
    return nn.Sequential(
        [
            nn.Conv2D(4, 3, activation="relu"),
            nn.BatchNorm(epsilon=epsilon),
            nn.MaxPooling2D(),
            nn.Dropout(0.2),
            nn.GlobalAveragePooling2D(),
            nn.Dense(5),
            nn.LayerNorm(epsilon=epsilon),
            nn.Dense(2, use_bias=False, name="head"),
        ],
        name="net",
    )


def branched() -> Layer:
    x = gx.Input((6,))
    left = nn.Dense(4, name="left")(x)
    right = nn.Dense(4, name="right")(x)
    inner = nn.Sequential([nn.Dense(4), nn.BatchNorm(), nn.Dense(4)])
    return gx.Model(x, nn.Dense(3)(inner(left + right)), name="net")


class Block(Layer):
    def __init__(self, units: int) -> None:
        self.zeta = nn.Dense(units)
        self.alpha = [nn.Dense(units), nn.Dense(units), nn.LayerNorm()]
        self.beta = {"a": nn.Dense(units), "b": [nn.Dense(units)]}
        self.shift = gx.Variable(np.zeros(units, np.float32))

    def call(self, x: Any) -> Any:
        for layer in (self.zeta, *self.alpha, self.beta["a"], self.beta["b"][0]):
            x = layer(x)
        return x + self.shift


class Net(Layer):
    def __init__(self) -> None:
        self.block = Block(4)
        self.head = nn.Dense(2)
        self._last = nn.Dense(2)

    def call(self, x: Any) -> Any:
        return self._last(self.head(self.block(x)))


class Stages(Layer):
    def __init__(self) -> None:
        self.convs = [nn.Conv2D(4, 3), nn.Conv2D(4, (3, 2), groups=2)]
        self.norm_1 = nn.BatchNorm(epsilon=1e-5)
        self.scale = gx.Variable(np.ones(4, np.float32))
        self.head = nn.Dense(4, use_bias=False)

    def call(self, x: Any) -> Any:
        for conv in self.convs:
            x = conv(x)
        return self.head(self.norm_1(x) * self.scale)


def perceptron(epsilon: float = 1e-5) -> Layer:
    layers = [nn.Dense(6, "relu"), nn.Dense(6, "relu"), nn.LayerNorm(epsilon=epsilon), nn.Dense(2)]
    return nn.Sequential(layers)


class Lookup(Layer):
    def __init__(self) -> None:
        self.tokens = nn.Embedding(7, 6)
        self.blocks = [perceptron(), perceptron()]

    def call(self, x: Any) -> Any:
        x = self.tokens(x)
        return self.blocks[0](x) + self.blocks[1](x)


class Attentive(Layer):
    def __init__(self, **sizes: int) -> None:
        self.attention = nn.MultiHeadAttention(num_heads=2, **sizes)
        self.norm = nn.LayerNorm(epsilon=1e-5)

    def call(self, x: Any) -> Any:
        return self.norm(x + self.attention(x, x))


class Recurrent(Layer):
    def __init__(self) -> None:
        self.both = nn.Bidirectional(nn.LSTM(4, return_sequences=True))
        self.gru = nn.GRU(3, return_sequences=True)
        self.last = nn.LSTM(2)

    def call(self, x: Any) -> Any:
        return self.last(self.gru(self.both(x)))


class Convolutions(Layer):
    def __init__(self) -> None:
        self.transposed = nn.Conv2DTranspose(4, 3, strides=2)
        self.depthwise = nn.DepthwiseConv2D((3, 2), depth_multiplier=2)
        self.norm = nn.GroupNorm(4, epsilon=1e-5)
        self.flat = nn.Conv1D(5, 3, strides=2)

    def call(self, x: Any) -> Any:
        x = self.norm(self.depthwise(self.transposed(x)))
        return self.flat(x[:, :, 0])


IMAGE = values(2, 9, 9, 3)
VECTORS = values(3, 6)
TOKENS = np.arange(6, dtype=np.int32).reshape(2, 3)

SEQUENCES = values(2, 5, 6)

CASES = [
    Case("keras_sequential.weights.h5", convolutional, IMAGE),
    Case("keras_branched.keras", branched, VECTORS),
    Case("keras_subclassed.weights.h5", Net, VECTORS),
    Case("keras_legacy.h5", convolutional, IMAGE),
    Case("keras_legacy_branched.h5", branched, VECTORS),
    Case("keras_shards.weights.json", lambda: perceptron(1e-3), VECTORS),
    Case("keras_bfloat16.weights.h5", lambda: perceptron(1e-3), VECTORS),
    Case("keras_attention.weights.h5", lambda: Attentive(key_dim=4), SEQUENCES),
    Case("keras_recurrent.weights.h5", Recurrent, SEQUENCES),
    Case("torch_recurrent.safetensors", Recurrent, SEQUENCES),
    Case("keras_convolutions.weights.h5", Convolutions, IMAGE),
    Case("torch_attention.safetensors", lambda: Attentive(key_dim=3), SEQUENCES),
    Case("torch_convolutions.safetensors", Convolutions, IMAGE),
    Case("torch_perceptron.safetensors", perceptron, VECTORS),
    Case("torch_convolutional.safetensors", lambda: convolutional(1e-5), IMAGE),
    Case("torch_stages.safetensors", Stages, IMAGE),
    Case("torch_bfloat16.safetensors", perceptron, VECTORS),
    Case("torch_float16.safetensors", perceptron, VECTORS),
    Case(
        "torch_shards.safetensors.index.json", Lookup, TOKENS,
        [("tokens", "table"), (r"blocks_(\d)", r"layers.\1.net")],
    ),
]  # fmt: skip
