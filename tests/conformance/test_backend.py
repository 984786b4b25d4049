"""ONNX's own backend tests, each run against the importer and the executor."""

import numpy as np
import pytest

from tests.conformance.expected_failures import EXPECTED_FAILURES
from tests.conformance.ours import graphctx
from tests.conformance.suite import KINDS, Case, cases, compare

CASES = cases()


def test_the_suite_is_whole() -> None:
    counts = [sum(case.kind == kind for case in CASES) for kind in KINDS]
    assert counts == [1884, 23, 35, 82, 9]


def test_expected_failures_are_cases() -> None:
    assert not set(EXPECTED_FAILURES) - {case.name for case in CASES}


def run(case: Case) -> None:
    model, data = case.load()
    for inputs, outputs in data:
        with np.errstate(all="ignore"):  # some are about infinity
            found = graphctx(model, inputs)
        compare(case, outputs, found)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case(case: Case) -> None:
    if case.name not in EXPECTED_FAILURES:
        run(case)
        return
    try:
        run(case)
    except Exception:
        return
    pytest.fail(f"passes now: take it off the list ({EXPECTED_FAILURES[case.name]})")
