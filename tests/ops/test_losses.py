"""Losses of classifiers: their definition, programs, errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphctx import ops
from graphctx.errors import DTypeError, ShapeError
from tests.ops.agreement import agree
from tests.ops.build import random
from tests.ops.cases_losses import labels
from tests.ops.recording import record

SCORES, LABELS, WEIGHTS = random((4, 5), "float64"), labels(4), random((5,), "float64", 1, 0.5, 2)


def test_the_definition() -> None:
    probabilities = np.exp(SCORES) / np.exp(SCORES).sum(1, keepdims=True)
    each = -np.log(probabilities[np.arange(4), LABELS])
    weight = WEIGHTS[LABELS]
    found = ops.softmax_cross_entropy(SCORES, LABELS, WEIGHTS, reduction="none")
    np.testing.assert_allclose(found, each * weight)
    mean, logs = ops.softmax_cross_entropy(SCORES, LABELS, WEIGHTS, log_probabilities=True)
    np.testing.assert_allclose(mean, (each * weight).sum() / weight.sum())
    np.testing.assert_allclose(logs, np.log(probabilities))
    assert mean == ops.nll_loss(logs, LABELS, WEIGHTS)
    kept = LABELS[0] != LABELS
    found = ops.softmax_cross_entropy(SCORES, LABELS, ignore_index=int(LABELS[0]))
    np.testing.assert_allclose(found, each[kept].mean())


def test_what_is_ignored_may_be_infinite() -> None:
    logs = np.asarray([[-np.inf, 0.0], [-1.0, -2.0]])
    found = ops.nll_loss(logs, np.asarray([0, 1]), ignore_index=0, reduction="sum")
    assert found == 2


def test_the_mean_of_nothing_is_no_number() -> None:
    with np.errstate(all="raise"):
        assert np.isnan(ops.nll_loss(SCORES, np.full(4, 9), ignore_index=9))


def test_scores_do_not_overflow() -> None:
    found = ops.softmax_cross_entropy(np.asarray([[1000.0, 0.0]], np.float32), np.asarray([1]))
    assert found == 1000


def test_programs_and_files(tmp_path: Path) -> None:
    def losses(scores: Any, given: Any) -> Any:
        loss, logs = ops.softmax_cross_entropy(
            scores, given, random((5,), low=0.5), ignore_index=2, log_probabilities=True
        )
        return loss, ops.nll_loss(logs, given, reduction="none")

    agree(
        losses, random((3, 5, 6)), labels(3, 6), folder=tmp_path, verify=False,
        symbolic={0: {0: "n", 2: "t"}, 1: {0: "n", 1: "t"}},
    )  # fmt: skip


WRONG: list[tuple[Any, type[Exception], str]] = [
    (lambda: ops.nll_loss(SCORES, LABELS[:3]), ShapeError, "axis 0 of the labels differs from"),
    (lambda: ops.nll_loss(SCORES, LABELS[:, None]), ShapeError,
     r"NegativeLogLikelihoodLoss\(.*labels \[N, d1, ...\], got \[4, 5\] and \[4, 1\]"),
    (lambda: ops.nll_loss(SCORES, LABELS + 4), ShapeError, "labels are from 0 to 4, got"),
    (lambda: ops.nll_loss(SCORES, LABELS, WEIGHTS[:2]), ShapeError, "one number a class: 2"),
    (lambda: ops.nll_loss(SCORES, LABELS, WEIGHTS[None]), ShapeError, "weights are a vector"),
    (lambda: ops.nll_loss(SCORES, LABELS, reduction="max"), ShapeError,
     "reduction is none, sum, mean; got 'max'"),
    (lambda: ops.nll_loss(SCORES.astype(int), LABELS), DTypeError, "needs a floating dtype"),
    (lambda: ops.nll_loss(SCORES, LABELS * 1.0), DTypeError, "needs integers as labels"),
    (lambda: ops.softmax_cross_entropy(SCORES, LABELS, WEIGHTS.astype(np.float32)), DTypeError,
     r"SoftmaxCrossEntropyLoss\(.*operands need one dtype"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), WRONG)
def test_wrong_operands(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_a_second_output_is_recorded_only_where_it_is_asked_for() -> None:
    graph, names = record(ops.softmax_cross_entropy, SCORES, LABELS)
    assert names == ["SoftmaxCrossEntropyLoss"]
    assert len(graph.outputs[0].node.outputs) == 1
