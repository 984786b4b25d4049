"""What classifiers and regressors of ONNX's machine learning domain make of their scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphctx.errors import ShapeError

TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
_ZERO = 1e-7  # a score this near to 0 is one for `SOFTMAX_ZERO`


def transformed(scores: Any, transform: str) -> Any:
    """Scores [N, C] after a transform along the classes."""
    if transform == "NONE":
        return scores
    if transform == "LOGISTIC":
        return logistic(scores)
    if transform == "PROBIT":
        return probit(scores)
    with np.errstate(under="ignore"):
        top = scores.max(-1, keepdims=True)
        powers = np.exp(scores - top)
        if transform == "SOFTMAX_ZERO":  # what is 0 stays 0
            powers = np.where(np.abs(scores) > _ZERO, powers, scores * np.exp(-top))
    total = powers.sum(-1, keepdims=True)
    return np.where(total == 0, scores.dtype.type(0.5), powers / np.where(total == 0, 1, total))


def two_columns(score: Any, transform: str, positive: bool) -> Any:
    """The scores [N, 2] of two classes of which only the second has one.

    Args:
        score: its scores [N].
        transform: one of `TRANSFORMS`.
        positive: whether they are shares: the first class has what is missing to 1, else the
            opposite.
    """
    if transform == "LOGISTIC":
        return logistic(np.stack([-score, score], 1))
    return np.stack([1 - score if positive else -score, score], 1)


def logistic(x: Any) -> Any:
    """`1 / (1 + exp(-x))`, without overflow."""
    with np.errstate(under="ignore"):
        high = 1 / (1 + np.exp(-np.abs(x)))
    return np.where(x < 0, 1 - high, high)


def probit(x: Any) -> Any:
    """The quantile of the normal distribution, in Winitzki's approximation, as runtimes have it."""
    y = 2 * x - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log((1 - y) * (1 + y))
        half = 2 / (np.pi * 0.147) + 0.5 * log
        root = np.sqrt(np.sqrt(half * half - log / 0.147) - half)
    return (np.where(y < 0, -1, 1) * root * 1.41421356).astype(x.dtype)


def class_labels(integers: Any, strings: Any) -> Any:
    """The labels of the classes: int64 or strings.

    Raises:
        ShapeError: there are none, or both.
    """
    has_integers = integers is not None and len(integers) > 0
    has_strings = strings is not None and len(strings) > 0
    if has_integers == has_strings:
        raise ShapeError("needs the labels of the classes, either integers or strings")
    return np.array(integers, np.int64) if has_integers else np.array(list(strings), object)
