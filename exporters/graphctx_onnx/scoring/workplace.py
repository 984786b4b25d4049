"""The folder beside an output in which it is made, and the journal that a run goes on from.

`.NAME.scoring/` holds the rows that are done and `journal`: a line that says what is scored, then
one for each task that is done. The output itself appears when it is complete, by renaming.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from graphctx_onnx.scoring.errors import ClusterError, ScoringError, cannot_write
from graphctx_onnx.scoring.rows import Unit

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

VERSION = 1

_SAME = {
    "bundle": "the bundle",
    "context": "the context",
    "seed": "the seed",
    "segment": "the length of a segment",
    "input": "the input",
    "columns": "what is read and stored",
}
"""What has to be the same for a run to go on, in words."""


def check_target(target: Path, source: Path, *, overwrite: bool) -> None:
    """Refuse an output before anything is computed.

    Raises:
        ScoringError: it is the input, is there already, or has no folder to be in.
    """
    if os.path.realpath(target) == os.path.realpath(source):
        raise ScoringError(f"{target}: is the input; write the output to another path")
    if not target.parent.is_dir():
        raise ScoringError(f"{target}: the folder {str(target.parent)!r} does not exist")
    if target.exists() and not overwrite:
        raise ScoringError(f"{target}: exists; replace it with --overwrite, overwrite=True")
    if not os.access(target.parent, os.W_OK):
        raise ScoringError(f"{target}: cannot be written: its folder is read-only")


class Workplace:
    """The folder, and the journal in it. One process at a time.

    Args:
        target: path of the output.

    Attributes:
        folder: to work in.
        data: a folder in it, for the output.
        done: tasks that are done.

    Raises:
        ScoringError: another process is at it.
        OSError: the folder cannot be made.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.folder = target.with_name(f".{target.name}.scoring")
        self.data = self.folder / "data"
        self.done: list[Unit] = []
        self._journal = self.folder / "journal"
        self._found: dict[str, Any] | None = None
        self._first = ""
        self._taken = False
        self.folder.mkdir(exist_ok=True)
        self._lock = (self.folder / "lock").open("a")
        if fcntl is not None:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                self._lock.close()
                raise ScoringError(
                    f"{target}: another process is scoring to it; wait for it"
                ) from error
            except OSError:
                pass  # some network file systems have no locks

    # -- what an earlier run has left ------------------------------------------------------------

    def earlier(self) -> dict[str, Any] | None:
        """What the journal of an interrupted run says of it; None where there is none."""
        try:
            lines = self._journal.read_text(encoding="utf-8").split("\n")
            found = json.loads(lines[0])
            self.done = [tuple(json.loads(line)) for line in lines[1:-1]]  # the last may be torn
        except (OSError, ValueError):
            return None
        if found.get("version") != VERSION:
            return None
        self._found, self._first = found, f"{lines[0]}\n"
        return dict(found)

    def check_same(self, run: dict[str, Any]) -> None:
        """Refuse to go on with something else.

        Raises:
            ScoringError: names what differs.
        """
        assert self._found is not None
        changed = [words for key, words in _SAME.items() if self._found.get(key) != run[key]]
        if changed:
            raise ScoringError(
                f"{self.target}: {len(self.done)} parts of an interrupted run are here, which "
                f"differs in {', '.join(changed)}; give what was given then, or start anew with "
                f"--restart, restart=True"
            )
        self._taken = True

    # -- this run ---------------------------------------------------------------------------------

    def begin(self, run: dict[str, Any]) -> None:
        """Start anew: remove what is there, and write the first line of the journal."""
        self._taken = True
        self.done = []
        self._journal.unlink(missing_ok=True)
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir()
        self._first = json.dumps({"version": VERSION, **run}) + "\n"

    @contextlib.contextmanager
    def journal(self) -> Iterator[None]:
        """What is noted inside is what an interrupted run goes on from."""
        lines = [self._first, *(json.dumps(unit) + "\n" for unit in self.done)]
        fresh = self.folder / "journal.new"  # not the old one, whose last line may be torn
        with fresh.open("w", encoding="utf-8") as self._lines:
            self._lines.writelines(lines)
            self._lines.flush()
            os.replace(fresh, self._journal)
            yield

    def note(self, unit: Unit) -> None:
        """A task is done, and what it wrote is on the disk."""
        self._lines.write(json.dumps(unit) + "\n")
        self._lines.flush()
        self.done.append(unit)

    def commit(self, made: Path) -> None:
        """Put the finished output in its place."""
        aside = self.folder / "replaced"
        if self.target.exists() and (self.target.is_dir() or made.is_dir()):
            os.rename(self.target, aside)  # a folder does not take another's place
        try:
            os.replace(made, self.target)
        except BaseException:
            if aside.exists():
                os.rename(aside, self.target)
            raise

    def close(self, *, keep: bool) -> None:
        """Remove the folder; with `keep`, only where there is nothing to go on from."""
        if not (keep or not self._taken) or not self._journal.exists():
            shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()


@contextlib.contextmanager
def workplace(target: Path) -> Iterator[Workplace]:
    """A workplace for an output. When its user is interrupted it stays, else it is removed.

    Raises:
        ScoringError: another process is at it, or the system refuses to write.
    """
    try:
        work = Workplace(target)
    except OSError as error:
        raise cannot_write(target, error) from error
    keep = False
    try:
        yield work
    except OSError as error:
        raise cannot_write(target, error) from error
    except ClusterError:
        keep = True
        raise
    except Exception:
        raise
    except BaseException:
        keep = True
        raise
    finally:
        work.close(keep=keep)
