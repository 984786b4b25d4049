"""docs/array-api.md is what its script writes."""

from __future__ import annotations

import runpy
from typing import Any

import pytest

from tests.array_api.standard import FUNCTIONS
from tests.docs.snippets import ROOT


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs" / "make_array_api_table.py"))


def test_page_is_up_to_date(script: dict[str, Any]) -> None:
    advice = "write it: python docs/make_array_api_table.py"
    assert (ROOT / "docs" / "array-api.md").read_text(encoding="utf-8") == script["page"](), advice


def test_all_functions_are_listed(script: dict[str, Any]) -> None:
    assert {name for _, name, _ in script["functions"]()} == set(FUNCTIONS)
    assert set(script["NOTES"]) <= set(FUNCTIONS)
