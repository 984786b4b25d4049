"""The pages: their code runs and prints what they show, their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.snippets import PAGES, ROOT, empty_folder, matches, run

WRITTEN = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]


def name(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_code_prints_what_the_page_shows(path: Path) -> None:
    with empty_folder() as folder:
        shown = run(path.read_text(encoding="utf-8"), folder)
    wrong = [f"shown:\n{e.block.text}\ncame:\n{e.text}" for e in shown if not e.agrees]
    advice = (
        f"python -m tests.docs.snippets {path.relative_to(ROOT)} writes what came into the page"
    )
    assert not wrong, "\n".join([*wrong, advice])


@pytest.mark.parametrize("path", WRITTEN, ids=name)
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(
        r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        found = path.parent / file if file else path
        assert found.exists(), f"{path.name} links to {target}, and there is no {found}"
        assert not anchor or anchor in anchors(found), f"{path.name}: no heading {target}"


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize(
    ("shown", "came", "words", "agrees"),
    [
        ("a\nb\n", "a  \nb\n\n", False, True),
        ("a\nb\n", "a b\n", False, False),
        ("a\nb\n", "a b\n", True, True),
        ("a ... d\n", "a b\nc d\n", False, True),
        ("a...\n", "b\n", False, False),
    ],
)
def test_what_counts_as_equal(shown: str, came: str, words: bool, agrees: bool) -> None:
    assert matches(shown, came, words=words) is agrees
