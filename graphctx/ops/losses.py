"""Losses of classifiers: negative log-likelihood and cross entropy of class labels.

Scores are [N, C, d1, ...] with the classes along the second axis, labels are [N, d1, ...].
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from graphctx.errors import ShapeError
from graphctx.graph import Value
from graphctx.ops.rules import half_in_single, one_floating_dtype
from graphctx.ops.table import Inferred, common_dtype, op, require_kind
from graphctx.spec import Shape, require_same_dim, shape_text

REDUCTIONS = ("none", "sum", "mean")


def _infer_loss(
    scores: Value, labels: Value, weights: Value | None, reduction: str
) -> tuple[Shape, Any]:
    require_kind(scores, "f", "a floating dtype")
    require_kind(labels, "i", "integers as labels")
    if reduction not in REDUCTIONS:
        raise ShapeError(f"reduction is {', '.join(REDUCTIONS)}; got {reduction!r}")
    if scores.rank < 2 or labels.rank != scores.rank - 1:
        raise ShapeError(
            f"scores are [N, C, d1, ...] and labels [N, d1, ...], got {shape_text(scores.shape)} "
            f"and {shape_text(labels.shape)}"
        )
    rest = (scores.shape[0], *scores.shape[2:])
    for axis, (found, wanted) in enumerate(zip(labels.shape, rest, strict=True)):
        require_same_dim(found, wanted, f"axis {axis} of the labels differs from the scores'")
    if weights is not None:
        common_dtype((scores, weights))
        if weights.rank != 1:
            raise ShapeError(f"weights are a vector, got {shape_text(weights.shape)}")
        require_same_dim(weights.shape[0], scores.shape[1], "weights have one number a class")
    return labels.shape if reduction == "none" else (), scores.dtype


def _loss(
    log_probabilities: Any, labels: Any, weights: Any, ignored: int | None, reduction: str
) -> Any:
    """The loss of log-probabilities [N, C, ...]."""
    one_floating_dtype(log_probabilities, weights)
    if reduction not in REDUCTIONS or labels.dtype.kind != "i":
        raise ValueError("an unknown reduction, or labels that are no integers")
    count = log_probabilities.shape[1]
    dtype = log_probabilities.dtype
    kept = None if ignored is None else labels != ignored
    if labels.shape != (log_probabilities.shape[0], *log_probabilities.shape[2:]):
        raise ValueError("not one label for each place")
    classes = labels if kept is None else np.where(kept, labels, 0)
    if classes.size and not 0 <= classes.min() <= classes.max() < count:
        raise ValueError(f"labels are from 0 to {count - 1}, got {classes.min()} to "
                         f"{classes.max()}")  # fmt: skip
    loss = -np.take_along_axis(log_probabilities, np.expand_dims(classes, 1), 1).squeeze(1)
    factors = None if weights is None else weights[classes]
    if kept is not None:
        # Not a product with 0: what is ignored may be infinite.
        loss = np.where(kept, loss, dtype.type(0))
        factors = kept.astype(dtype) if factors is None else np.where(kept, factors, dtype.type(0))
    if weights is not None:
        loss = loss * factors
    if reduction == "none":
        return loss
    total = np.add.reduce(loss.reshape(-1))
    if reduction == "sum":
        return np.asarray(total)
    with np.errstate(invalid="ignore", divide="ignore"):  # of nothing, the mean is NaN
        share = np.add.reduce(factors.reshape(-1)) if factors is not None else dtype.type(loss.size)
        return np.asarray(total / share)


# -- negative log-likelihood ----------------------------------------------------------------------


def _infer_nll(
    input: Value, target: Value, weight: Value | None = None, *, ignore_index: int | None = None,
    reduction: str = "mean",
) -> Inferred:  # fmt: skip
    return _infer_loss(input, target, weight, reduction)


@op("NegativeLogLikelihoodLoss", since=13, infer=_infer_nll)
@half_in_single
def negative_log_likelihood_op(
    input: Any, target: Any, weight: Any = None, *, ignore_index: int | None = None,
    reduction: str = "mean",
) -> Any:  # fmt: skip
    """Negative log-likelihood of labels, of log-probabilities of classes."""
    return _loss(input, target, weight, ignore_index, reduction)


def nll_loss(
    log_probabilities: Any, labels: Any, weights: Any = None, *, reduction: str = "mean",
    ignore_index: int | None = None,
) -> Any:  # fmt: skip
    """Negative log-likelihood of labels: `-log_probabilities[n, labels[n]]`.

    Args:
        log_probabilities: floats [N, C, d1, ...] of C classes, as `log_softmax` makes them.
        labels: integers [N, d1, ...] from 0 to C - 1.
        weights: [C], factors of the classes.
        reduction: "none" for the loss of each label, "sum", or "mean": the sum divided by that of
            the weights of the labels.
        ignore_index: a label whose loss and weight are 0; it may be any number.

    Returns:
        [N, d1, ...], or a scalar.

    Raises:
        ShapeError: the operands do not fit, or a label is out of range.
    """
    return negative_log_likelihood_op(
        log_probabilities, labels, weights, **_attributes(reduction, ignore_index)
    )


def _attributes(reduction: str, ignore_index: int | None) -> dict[str, Any]:
    attrs: dict[str, Any] = {} if reduction == "mean" else {"reduction": reduction}
    if ignore_index is not None:
        attrs["ignore_index"] = operator.index(ignore_index)
    return attrs


# -- cross entropy --------------------------------------------------------------------------------


def _infer_cross_entropy(
    scores: Value, labels: Value, weights: Value | None = None, *,
    ignore_index: int | None = None, outputs: int = 1, reduction: str = "mean",
) -> Inferred | list[Inferred]:  # fmt: skip
    loss = _infer_loss(scores, labels, weights, reduction)
    return loss if outputs == 1 else [loss, (scores.shape, scores.dtype)]


@op("SoftmaxCrossEntropyLoss", since=13, infer=_infer_cross_entropy)
@half_in_single
def softmax_cross_entropy_op(
    scores: Any, labels: Any, weights: Any = None, *, ignore_index: int | None = None,
    outputs: int = 1, reduction: str = "mean",
) -> Any:  # fmt: skip
    """Cross entropy of labels and the softmax of scores; its logarithm as second output."""
    shifted = scores - np.maximum.reduce(scores, axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.add.reduce(np.exp(shifted), axis=1, keepdims=True))
    loss = _loss(log_probabilities, labels, weights, ignore_index, reduction)
    return loss if outputs == 1 else (loss, log_probabilities)


def softmax_cross_entropy(
    scores: Any, labels: Any, weights: Any = None, *, reduction: str = "mean",
    ignore_index: int | None = None, log_probabilities: bool = False,
) -> Any:  # fmt: skip
    """Cross entropy of labels and the softmax of scores over the classes.

    Args:
        scores: floats [N, C, d1, ...] of C classes.
        labels: see `nll_loss`, also for the next ones.
        weights: [C], factors of the classes.
        reduction: "none", "sum" or "mean".
        ignore_index: a label whose loss and weight are 0.
        log_probabilities: whether to return the logarithm of the softmax, too.

    Returns:
        [N, d1, ...], or a scalar; with `log_probabilities` a tuple of it and of [N, C, d1, ...].

    Raises:
        ShapeError: the operands do not fit, or a label is out of range.
    """
    attrs = _attributes(reduction, ignore_index)
    if log_probabilities:
        attrs["outputs"] = 2
    return softmax_cross_entropy_op(scores, labels, weights, **attrs)
