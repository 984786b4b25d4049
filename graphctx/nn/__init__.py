"""Layers, with Keras's argument names, defaults and formulas."""

from __future__ import annotations

from graphctx.nn.activation import Activation
from graphctx.nn.conv import Conv2D
from graphctx.nn.dense import Dense
from graphctx.nn.embedding import Embedding
from graphctx.nn.normalization import BatchNorm, LayerNorm
from graphctx.nn.pooling import (
    AveragePooling2D,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    MaxPooling2D,
)
from graphctx.nn.regularization import Dropout, GaussianNoise
from graphctx.nn.reshaping import Flatten
from graphctx.nn.sequential import Sequential
from graphctx.nn.wrapping import Lambda

__all__ = [
    "Activation",
    "AveragePooling2D",
    "BatchNorm",
    "Conv2D",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianNoise",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "Lambda",
    "LayerNorm",
    "MaxPooling2D",
    "Sequential",
]
