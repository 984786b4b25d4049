"""Which programs may run several requests as one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphctx_onnx.runtime.manifest import OutputType, Signature, TensorType
from graphctx_onnx.server import rows

from tests.server.standin import MEAN, X, Y


def signature(
    inputs: Any = (X,), outputs: Any = (Y,), seed: str | None = None, state: Any = ()
) -> Signature:
    return Signature(tuple(inputs), seed, (), tuple(outputs), tuple(state))


def out(*shape: int | str) -> OutputType:
    return OutputType("y", "float32", shape, "y")


def into(*shape: int | str) -> TensorType:
    return TensorType("z", "float32", shape)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (signature(), ""),
        (signature([X, into("batch", "steps")], [Y, out("batch")]), ""),
        (signature(seed="seed"), "it draws random numbers"),
        (signature(state=[MEAN]), "it replaces weights (net/norm/mean)"),
        (signature([]), "it has no inputs"),
        (signature([into(4, 3)]), "z is float32[4, 3]: its first size does not vary"),
        (signature([into()]), "z is float32[]: its first size does not vary"),
        (signature(outputs=[out()]), "y is float32[]: its first size does not vary"),
        (signature([X, into("rows")]), "z is float32[rows]: its first size is not batch"),
        (signature(outputs=[out("2*batch")]), "y is float32[2*batch]: its first size is not batch"),
        (
            signature(outputs=[out("batch", "batch")]),
            "y is float32[batch, batch]: batch is not its first size alone",
        ),
        (
            signature([into("batch", "steps + batch")]),
            "z is float32[batch, steps + batch]: batch is not its first size alone",
        ),
        (signature([into("batch", "batches")], [out("batch")]), ""),
    ],
)
def test_what_a_signature_allows(found: Signature, reason: str) -> None:
    assert rows.obstacle(found) == reason


def test_rows_of_a_request() -> None:
    both = signature([X, into("batch")])
    x = np.zeros((2, 3), np.float32)
    assert rows.fit(both, {"x": x, "z": np.zeros(2, np.float32)}, 2)
    assert not rows.fit(both, {"x": x, "z": np.zeros(3, np.float32)}, 3)
    assert not rows.fit(both, {"x": x, "z": np.zeros((), np.float32)}, 2)
    assert not rows.fit(both, {"x": x}, 2)
    assert not rows.fit(signature(), {"x": x[:0]}, 0)


def test_merging_and_splitting() -> None:
    requests = [{"x": np.full((n, 3), n, np.float32)} for n in (1, 2, 3)]
    together = rows.merged(requests)
    assert together["x"].shape == (6, 3)
    parts = rows.split({"y": together["x"] * 2}, [1, 2, 3])
    assert parts is not None
    assert [part["y"].tolist() for part in parts] == [(2 * r["x"]).tolist() for r in requests]
    assert rows.split({"y": np.zeros((5, 3))}, [1, 2, 3]) is None
    assert rows.split({"y": np.zeros(())}, [1, 2, 3]) is None


def judged(trial: rows.Trial, function: Any, *requests: Any) -> rows.Trial:
    """The trial after a batch of a program."""
    inputs = [{"x": np.asarray(r, np.float32)} for r in requests]
    alone = [{"y": function(r["x"])} for r in inputs]
    together = rows.split({"y": function(rows.merged(inputs)["x"])}, [len(r) for r in requests])
    trial.judge(inputs, alone, together)
    return trial


def test_a_program_passes_after_some_batches() -> None:
    trial = rows.Trial()
    for _ in range(rows.TRIALS):
        assert not trial.passed
        judged(trial, np.tanh, [[1.0, 2.0]], [[3.0, 4.0]])
    assert trial.passed
    assert trial.reason == ""


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x - x.mean(0),
        lambda x: np.exp(x) / np.exp(x).sum(0),
        lambda x: np.cumsum(x, 0),
        lambda x: x[::-1],
        lambda x: x * len(x),
        lambda x: (x > x.min()).astype(np.int64),
        lambda x: np.where(x.max() > 3, np.nan, x),
    ],
)
def test_programs_whose_rows_know_of_each_other_are_found_out(function: Any) -> None:
    trial = judged(rows.Trial(), function, [[1.0, 2.0]], [[3.0, 5.0]])
    assert trial.reason == "its output 'y' is another one when requests run as one batch"
    assert not trial.passed


def test_equal_rows_prove_nothing() -> None:
    trial = rows.Trial()
    for _ in range(2 * rows.TRIALS):
        judged(trial, lambda x: x - x.mean(0), [[1.0, 2.0]], [[1.0, 2.0]])
    assert not trial.passed


def test_rounding_is_no_difference_and_nan_is_equal_to_nan() -> None:
    trial = rows.Trial()
    one = {"y": np.array([1.0, np.nan, 1e-9], np.float32)}
    other = {"y": np.array([1.00001, np.nan, 2e-9], np.float32)}
    trial.judge([{"x": np.zeros(1)}, {"x": np.ones(1)}], [one, one], [other, one])
    assert trial.reason == ""
