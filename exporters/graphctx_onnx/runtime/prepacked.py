"""A cache of programs that are optimized for this host, with weights arranged for its processor.

onnxruntime arranges the weights of products for the processor when it loads a program, a copy for
every session. It can also write what it arranged beside the weights, and map it from there. So each
program is loaded once to be written, then its weights are compared with those of the programs
written before, and where they are the same it is made to refer to theirs:

    <cache>/prepacked/<bundle>-<hash of its path>/
        host.json              what wrote it: onnxruntime, processor
        <program>.onnx         refers to the files below
        <program>.bin          weights, arranged weights; gone if nothing refers to it
        tensors.json           digest of a tensor -> where it stands

The cache is trusted as the user's other files are; deleting it costs time only.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import platform
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import onnxruntime

from graphctx_onnx.runtime.errors import BundleError
from graphctx_onnx.runtime.manifest import Manifest, ProgramFile
from graphctx_onnx.runtime.protobuf import Entries, ExternalTensor, replace_external
from graphctx_onnx.runtime.sessions import CPU, open_session, plain_options

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LEAST = 1 << 10
"""Bytes from which on a tensor is written to the data file."""

_PREPACKED = "prepacked_"

Place = dict[str, Any]
"""Of a tensor: file, offset, length; and the offsets of what is arranged of it, by digest."""


class Cache:
    """The cached programs of one bundle.

    Args:
        path: of the bundle.
        manifest: of the bundle.
        root: folder of all caches; None for the usual place.
    """

    def __init__(self, path: Path, manifest: Manifest, root: Path | None = None) -> None:
        where = hashlib.sha256(os.path.realpath(path).encode("utf-8", "surrogateescape"))
        name = f"{path.stem[:40]}-{where.hexdigest()[:12]}"
        self.bundle = path
        self.manifest = manifest
        self.folder = (root or default_root()) / "prepacked" / name
        self._lock = threading.Lock()

    def open(self, program: ProgramFile, threads: int | None, what: str) -> Any:
        """The session of a program; it is written to the cache first, if it is not there.

        Raises:
            BundleError: the cache cannot be written; says what to do.
            SessionError: onnxruntime refuses the program.
        """
        name = self.manifest.files[program.file].sha256[:24]
        try:
            with self._lock, _alone_in(self.folder):
                self._forget_others()
                made = self.folder / f"{name}.onnx"
                if not made.exists():
                    self._write(name, program, threads, what)
                options = plain_options(threads)
                # What is in the cache has been optimized.
                options.graph_optimization_level = (
                    onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
                )
                session = open_session(made, options, [CPU], f"{self.folder}: {what}")
                _give_back_memory()
                return session
        except OSError as error:
            raise BundleError(
                f"{self.folder}: the cache of prepacked weights cannot be written: "
                f"{error.strerror or error}; name another folder with cache=..., or choose "
                f"sharing='shared' or 'private'"
            ) from error

    def _write(self, name: str, program: ProgramFile, threads: int | None, what: str) -> None:
        """Let onnxruntime write an optimized program, and drop the weights that are there."""
        size = sum(self.manifest.files[file].size for file in program.weights)
        free = shutil.disk_usage(self.folder).free
        if free < 3 * size:
            raise BundleError(
                f"{self.folder}: the cache of prepacked weights needs {3 * size >> 20} MiB while "
                f"it is written, and {free >> 20} MiB are free; name another folder with "
                f"cache=..., or choose sharing='shared' or 'private'"
            )
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".") as made:
            folder = Path(made)
            options = plain_options(threads)
            options.optimized_model_filepath = str(folder / "program.onnx")
            for key, value in {
                "optimized_model_external_initializers_file_name": f"{name}.bin",
                "optimized_model_external_initializers_min_size_in_bytes": str(LEAST),
                "save_external_prepacked_constant_initializers": "1",
            }.items():
                options.add_session_config_entry(f"session.{key}", value)
            open_session(self.bundle / program.file, options, [CPU], f"{self.bundle}: {what}")
            known = self._tensors()
            text, own = _relinked(folder, known)
            if own:
                os.replace(folder / f"{name}.bin", self.folder / f"{name}.bin")
                _put(self.folder / "tensors.json", json.dumps(known).encode())
            _put(self.folder / f"{name}.onnx", text)

    def _tensors(self) -> dict[str, Place]:
        try:
            found: dict[str, Place] = json.loads((self.folder / "tensors.json").read_bytes())
        except FileNotFoundError:
            return {}
        return found

    def _forget_others(self) -> None:
        """Empty a cache that another runtime or processor has written, or an older bundle."""
        written = {
            "host": _host(),
            "files": {n: e.sha256 for n, e in self.manifest.files.items()},
        }
        mark = self.folder / "host.json"
        try:
            if json.loads(mark.read_bytes()) == written:
                return
        except (FileNotFoundError, ValueError):
            pass
        for entry in self.folder.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        _put(mark, json.dumps(written).encode())


def _relinked(folder: Path, known: dict[str, Place]) -> tuple[bytes, bool]:
    """A program that refers to known tensors where it can, and whether it has any of its own.

    Args:
        folder: has the program, and its data file.
        known: tensors that are in the cache; the program's own are added.
    """
    model = (folder / "program.onnx").read_bytes()
    digests: dict[tuple[str, str, str], str] = {}
    own = False

    def digest(file: str, offset: str, size: str) -> str:
        key = (file, offset, size)
        if key not in digests:
            digests[key] = _digest(folder / file, int(offset), int(size))
        return digests[key]

    def replaced(tensor: ExternalTensor) -> Entries:
        nonlocal own
        entries = tensor.entries
        file, size = entries["location"], entries["length"]
        content = digest(file, entries.get("offset", "0"), size)
        # A key, then `offset;size;checksum` of each block that was arranged.
        arranged = {
            key: (text.split("|")[0], [block.split(";") for block in text.split("|")[1:]])
            for key, text in entries.items()
            if key.startswith(_PREPACKED)
        }
        blocks = {
            digest(file, block[0], block[1]): ";".join(block)
            for _, found in arranged.values()
            for block in found
        }
        place = known.get(content)
        if place is None or not set(blocks) <= set(place["blocks"]):
            own = True
            place = {"file": file, "offset": entries.get("offset", "0"), "blocks": blocks}
            known.setdefault(content, place)
        made = {"location": place["file"], "offset": place["offset"], "length": size}
        for key, (kernel, found) in arranged.items():
            there = [place["blocks"][digest(file, block[0], block[1])] for block in found]
            made[key] = "|".join([kernel, *there])
        return made

    return replace_external(model, replaced), own


def _digest(path: Path, offset: int, size: int) -> str:
    """Of a part of a file, which must be there in full.

    Raises:
        OSError: the file is too short, as after a full disk.
    """
    found = hashlib.blake2b(digest_size=24)
    with path.open("rb") as file:
        file.seek(offset)
        while size > 0:
            data = file.read(min(size, 1 << 24))
            if not data:
                raise OSError("onnxruntime wrote less than it should; is the disk full?")
            found.update(data)
            size -= len(data)
    return found.hexdigest()


def _put(path: Path, data: bytes) -> None:
    """Write a file; it is there in full or not at all."""
    made = path.with_name(f".{path.name}")
    made.write_bytes(data)
    os.replace(made, path)


def _give_back_memory() -> None:
    """Return to the system what was freed, where the C library can (glibc).

    onnxruntime arranges all weights of a session before it finds them in the file, and frees that;
    the C library would keep it.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _host() -> dict[str, str]:
    """What arranged weights depend on."""
    processor = platform.processor()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        kinds = {x for x in lines if x.startswith(("model name", "flags", "Features", "CPU part"))}
        processor = hashlib.sha256("\n".join(sorted(kinds)).encode()).hexdigest()
    return {
        "onnxruntime": onnxruntime.__version__,
        "machine": platform.machine(),
        "processor": processor,
    }


def default_root() -> Path:
    """`$XDG_CACHE_HOME/graphctx`, or `~/.cache/graphctx`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "graphctx"


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Make a folder, and keep other processes from writing in it meanwhile."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
