"""ONNX's own backend tests, each run against the importer and the executor.

onnx makes the cases of one node while their modules are imported, which takes many seconds: a test
here is such a module, and workers share them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import graphctx as gx
from graphctx.program import Program
from tests.conformance.expected_failures import DRAWN, EXPECTED_FAILURES
from tests.conformance.ours import outputs_of
from tests.conformance.suite import KINDS, Case, compare, file_cases, node_cases, node_modules

FILES = file_cases()
MODULES = node_modules()


def test_the_suite_is_whole() -> None:
    assert len(MODULES) == 197
    assert [sum(case.kind == kind for case in FILES) for kind in KINDS[1:]] == [23, 35, 82, 9]


def test_expected_failures_are_cases() -> None:
    def plain(name: str) -> str:
        return name.rpartition(".")[2].replace("_", "")

    names = {case.name for case in FILES}
    for module in MODULES:
        if any(plain(module) in plain(name) for name in EXPECTED_FAILURES):
            names.update(case.name for case in node_cases(module))
    assert not set(EXPECTED_FAILURES) - names


def check(case: Case) -> None:
    """Assert that a case passes, or fails as it is expected to."""
    expected = None if case.name in DRAWN else EXPECTED_FAILURES.get(case.name)
    try:
        run(case)
    except Exception:
        if expected is None:
            raise
    else:
        assert expected is None, f"passes now: take it off the list ({expected})"


def run(case: Case) -> None:
    """Assert that the outputs are ONNX's, and that optimizing changes no bit of them."""
    model, data = case.load()
    graph = gx.load(model)
    for inputs, outputs in data:
        with np.errstate(all="ignore"):  # some are about infinity
            found = outputs_of(model, gx.compile(graph)(*inputs, seed=0))
            if case.kind == "node":
                same_bits(found, outputs_of(model, Program(graph)(*inputs, seed=0)))
        if case.name in DRAWN:
            assert [(y.dtype, y.shape) for y in found] == [(y.dtype, y.shape) for y in outputs]
        else:
            compare(case, outputs, found)


@pytest.mark.parametrize("case", FILES, ids=[case.name for case in FILES])
def test_model(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("module", MODULES)
def test_operator(module: str) -> None:
    failed = {}
    cases = node_cases(module)
    assert cases
    for case in cases:
        try:
            check(case)
        except Exception as error:
            failed[case.name] = f"{type(error).__name__}: {error}"
    assert not failed


def test_no_case_of_an_operator_is_left_out() -> None:
    assert sum(len(node_cases(module)) for module in MODULES) == 1884


def same_bits(found: Any, plain: Any) -> None:
    """Assert that two values are one: arrays, sequences of them, or None."""
    if isinstance(found, Sequence):
        assert len(found) == len(plain)
        for x, y in zip(found, plain, strict=True):
            same_bits(x, y)
    elif found is None or found.dtype == object:
        np.testing.assert_array_equal(found, plain)
    else:
        assert (found.dtype, found.shape) == (plain.dtype, plain.shape)
        assert found.tobytes() == plain.tobytes()
