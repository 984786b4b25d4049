"""The map in CONTRIBUTING.md: it lists every file, and imports run as it says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.docs.snippets import ROOT, blocks

MARKED = {b.marker: b.text for b in blocks((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))}
CORE = ROOT / "graphctx"


def listed() -> Iterator[str]:
    """The files on the map, as paths from the root."""
    folders: list[str] = []
    for line in MARKED["map"].splitlines():
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        del folders[depth:]
        if name.endswith("/"):
            folders.append(name)
        else:
            yield "".join([*folders, name])


def test_map_lists_every_file() -> None:
    found = [*CORE.rglob("*.py"), *(ROOT / "exporters").rglob("*.py")]
    assert sorted(listed()) == sorted(path.relative_to(ROOT).as_posix() for path in found)


def test_imports_run_one_way() -> None:
    groups = MARKED["imports"].replace("\n", " ").split("<-")
    rank = {name: i for i, group in enumerate(groups) for name in re.findall(r"\w+", group)}
    for path in CORE.rglob("*.py"):
        unit = path.relative_to(CORE).parts[0].removesuffix(".py")
        if unit.startswith("__"):
            continue
        assert unit in rank, f"say where {unit} stands in the order of imports"
        for name in imported(path):
            if name != unit:
                assert rank[name] < rank[unit], f"{path.relative_to(ROOT)} imports {name}"


def imported(path: Path) -> Iterator[str]:
    """Modules and packages of the core that a file imports when it is imported itself."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            package, *rest = name.split(".")
            if package == "graphctx" and rest:
                yield rest[0]
