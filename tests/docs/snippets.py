"""Runs the code of a Markdown page and compares what it prints with what the page shows.

What a page is made of:

- a `python` block runs in the namespace of the page, after the blocks above it;
- a `text` block under `<!-- output -->` is what the Python block above it prints;
- a `text` block under `<!-- error -->` is the exception that the block above it raises, as the last
  line of a traceback has it; where its lines are broken does not matter;
- a `console` block has commands, `$ graphctx ...`, each with its output below it;
- a block under `<!-- file: NAME -->` is written to a file of that name.

In shown output `...` stands for anything; in that of a command, differences from onnxruntime, which
are those of a machine, are not compared. All runs in an empty folder that has the samples in it;
errors and graphs name the code `model.py`, by lines counted over the Python blocks of the page.

`python -m tests.docs.snippets [PAGE ...]` writes what came into the pages where it differs.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
import textwrap
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
WIDTH = 98
WIDE = {"COLUMNS": "100"}

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_DIFFERENCE = re.compile(r" +(equal|\d\.\de-\d+)$", re.MULTILINE)
_MARKER = re.compile(r"<!-- ([a-z ]+)(?:: (\S+))? -->\n\Z")


@dataclass
class Block:
    """A fenced block.

    Attributes:
        language: after the opening fence.
        text: between the fences.
        start: where the text starts in the page.
        marker: the word in the comment above it.
        argument: what follows the word.
    """

    language: str
    text: str
    start: int
    marker: str
    argument: str


@dataclass
class Shown:
    """Output that a page shows, and what came instead.

    Attributes:
        block: of the page.
        text: as the block would have it.
        agrees: whether the block says so.
    """

    block: Block
    text: str
    agrees: bool


def blocks(page: str) -> list[Block]:
    """All fenced blocks of a page."""
    found = []
    for fence in _FENCE.finditer(page):
        marker = _MARKER.search(page[: fence.start()])
        word, argument = marker.groups() if marker else ("", "")
        found.append(Block(fence[1], fence[2], fence.start(2), word, argument or ""))
    return found


def run(page: str, folder: Path) -> list[Shown]:
    """Run a page in a folder that is the working directory; return the outputs it shows."""
    (folder / "samples").symlink_to(ROOT / "samples")
    module = types.ModuleType("model")
    sys.modules["model"] = module
    search_path = list(sys.path)
    shown: list[Shown] = []
    printed: str | None = None
    error: Exception | None = None
    line = 0
    try:
        for block in blocks(page):
            if block.marker == "file":
                (folder / block.argument).write_text(block.text, encoding="utf-8")
            elif block.language == "console":
                shown.append(_session(block))
            elif block.language == "python":
                _require_shown(printed, error)
                printed, error = _execute(block, module, folder, line)
                line += block.text.count("\n") + 1
            elif block.marker == "output":
                assert printed is not None, f"output of nothing:\n{block.text}"
                agrees = matches(block.text, printed)
                shown.append(Shown(block, _trimmed(printed), agrees))
                printed = ""
            elif block.marker == "error":
                assert error is not None, f"no error was raised:\n{block.text}"
                message = f"{type(error).__name__}: {error}"
                agrees = matches(block.text, message, words=True)
                lines = [line for text in message.split("\n") for line in _wrapped(text)]
                shown.append(Shown(block, "\n".join([*lines, ""]), agrees))
                error = None
        _require_shown(printed, error)
    finally:
        del sys.modules["model"]
        sys.path[:] = search_path  # a command adds the folder of its model
    return shown


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(
        line, WIDTH, subsequent_indent=" " * (len(line) - len(line.lstrip())),
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _require_shown(printed: str | None, error: Exception | None) -> None:
    if error is not None:
        raise error
    assert not printed, f"the page does not show what is printed:\n{printed}"


def _execute(
    block: Block, module: types.ModuleType, folder: Path, line: int
) -> tuple[str, Exception | None]:
    code = compile("\n" * line + block.text, folder / "model.py", "exec")
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            exec(code, module.__dict__)
    except Exception as error:
        return out.getvalue(), error
    return out.getvalue(), None


def _session(block: Block) -> Shown:
    """Run the commands of a `console` block."""
    from typer.testing import CliRunner

    from graphctx.cli import app

    found = []
    for command in re.findall(r"^\$ (.*)$", block.text, re.MULTILINE):
        program, *arguments = shlex.split(command)
        assert program == "graphctx", f"only graphctx is run: {command}"
        result = CliRunner().invoke(app, arguments, prog_name="graphctx", env=WIDE)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        found.append(f"$ {command}\n{_trimmed(result.output)}")
    text = "".join(found)
    return Shown(block, text, matches(_undetermined(block.text), _undetermined(text)))


def _undetermined(text: str) -> str:
    """Without the numbers at the ends of the lines of a verification."""
    previous = ""
    while text != previous:
        previous, text = text, _DIFFERENCE.sub("", text)
    return text


def matches(shown: str, came: str, *, words: bool = False) -> bool:
    """Whether output is as shown; `words` compares words only, not lines."""
    if words:
        shown, came = " ".join(shown.split()), " ".join(came.split())
    pattern = re.escape(_trimmed(shown)).replace(r"\.\.\.", ".*?")
    return re.fullmatch(pattern, _trimmed(came), re.DOTALL) is not None


def _trimmed(text: str) -> str:
    """Without blanks at the ends of lines, and blank lines at the ends of the text."""
    lines = [line.rstrip() for line in text.split("\n")]
    text = "\n".join(lines).strip("\n")
    return text + "\n" if text else ""


@contextlib.contextmanager
def empty_folder() -> Iterator[Path]:
    """An empty folder, which is the working directory inside."""
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        yield Path(name).resolve()


def refresh(path: Path) -> int:
    """Write what came into a page; returns the number of blocks that changed."""
    page = path.read_text(encoding="utf-8")
    with empty_folder() as folder:
        wrong = [entry for entry in run(page, folder) if not entry.agrees]
    for entry in reversed(wrong):
        start = entry.block.start
        page = page[:start] + entry.text + page[start + len(entry.block.text) :]
    path.write_text(page, encoding="utf-8")
    return len(wrong)


if __name__ == "__main__":
    for path in [Path(name).resolve() for name in sys.argv[1:]] or PAGES:
        print(f"{os.path.relpath(path)}: {refresh(path)} outputs changed")
