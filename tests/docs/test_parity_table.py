"""docs/parity.md and the list in docs/layers.md are what their script writes, of all layers."""

from __future__ import annotations

import re
import runpy
from typing import Any

import pytest

from tests.docs.snippets import ROOT

SCRIPT = ROOT / "docs" / "make_parity_table.py"
ADVICE = "write it: python docs/make_parity_table.py"


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def test_parity_page_is_up_to_date_but_for_the_differences(script: dict[str, Any]) -> None:
    text = (ROOT / "docs" / "parity.md").read_text(encoding="utf-8")
    assert re.sub(r"\| (none|\de-\d\d) \|$", "| ? |", text, flags=re.MULTILINE) == script["page"](
        measure=False
    ), ADVICE


def test_list_of_layers_is_up_to_date(script: dict[str, Any]) -> None:
    text = (ROOT / "docs" / "layers.md").read_text(encoding="utf-8")
    assert text == script["layers_page"](), ADVICE


def test_every_layer_is_compared(script: dict[str, Any]) -> None:
    compared, others, layers = (
        set(script["cases"]()),
        set(script["OTHERS"]),
        set(script["layers"]()),
    )
    assert compared | others == layers, "add cases, or say in OTHERS what it is compared with"
    assert not compared & others


def test_differences_are_small(script: dict[str, Any]) -> None:
    text = (ROOT / "docs" / "parity.md").read_text(encoding="utf-8")
    found = re.findall(r"\| (\de-\d\d) \|$", text, flags=re.MULTILINE)
    assert found
    assert max(map(float, found)) < 1e-3
