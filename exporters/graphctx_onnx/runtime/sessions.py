"""onnxruntime sessions: how they share weights, and how many there are at a time.

| sharing | weights in memory | speed | needs |
|---|---|---|---|
| `shared` | once, mapped from the bundle | products of few rows are slower | nothing |
| `prepacked` | once, mapped from a cache on this host | full | disk; the first load is slow |
| `private` | a copy for every session | full | memory |

By default sessions are private where their copies take little memory, else shared. Measured (one
thread, onnxruntime 1.32; `benchmarks/bundles.py`): products with kernels of 4096x4096 take 3.0 of
the time of `private` on 8 rows and 1.9 on 64 in the mode `shared`, 1.0 on 1 row; with kernels of
256x256 1.8, 1.2 and 1.2.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnxruntime

from graphctx_onnx.runtime.errors import BundleError, SessionError, listing, suggest
from graphctx_onnx.runtime.manifest import Manifest, ProgramFile

AUTO, SHARED, PREPACKED, PRIVATE = "auto", "shared", "prepacked", "private"
MODES = (AUTO, SHARED, PREPACKED, PRIVATE)
MOST_COPIED = 16 << 20
"""Bytes that private copies of weights may add to one for `auto` to choose them."""

CPU = "CPUExecutionProvider"
Providers = Sequence[str | tuple[str, dict[str, Any]]]

# What copies a large weight into the memory of one session: products with what stands behind a
# layer, and the folding of a transpose, which the runtime can do on the way instead.
_COPYING = "ConvBNFusion;ConvMulFusion;MatmulBNFusion"
_MOST_FOLDED = str(1 << 16)
_CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})

_SILENT = 4  # only fatal errors; all others are raised as well


def choose(sharing: str, manifest: Manifest) -> str:
    """How the sessions of a bundle share weights, where that is left open."""
    if sharing != AUTO:
        return sharing
    programs = [found.program for found in manifest.classes if found.program is not None]
    sizes = [sum(manifest.files[name].size for name in p.weights) for p in programs]
    copies = sum(sizes) - max(sizes, default=0)
    return PRIVATE if copies <= MOST_COPIED else SHARED


def check_providers(providers: Providers) -> list[Any]:
    """The providers, if this onnxruntime has them.

    Raises:
        BundleError: it lacks one; names those that there are.
    """
    if isinstance(providers, str) or not providers:
        raise BundleError(f"providers is a list such as [{CPU!r}], got {providers!r}")
    known = onnxruntime.get_available_providers()
    for entry in providers:
        name = entry if isinstance(entry, str) else entry[0]
        if name not in known:
            raise BundleError(
                f"onnxruntime {onnxruntime.__version__} has no provider {name!r} here"
                f"{suggest(str(name), known)} (there are: {listing(known)})"
            )
    return list(providers)


def plain_options(threads: int | None = None) -> onnxruntime.SessionOptions:
    """Options of a quiet session with a number of threads; None: as many as onnxruntime wants."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _SILENT
    if threads is not None:
        options.intra_op_num_threads = threads
    return options


def options_for(
    sharing: str, program: ProgramFile, threads: int | None
) -> onnxruntime.SessionOptions:
    """Options of a session that shares weights so (`shared`), or does not (`private`)."""
    options = plain_options(threads)
    if sharing == SHARED:
        # Prepacking copies the weights of products into private memory.
        options.add_session_config_entry("session.disable_prepacking", "1")
        options.add_session_config_entry("optimization.disable_specified_optimizers", _COPYING)
        options.add_session_config_entry(
            "optimization.constant_folding_max_output_size_in_bytes", _MOST_FOLDED
        )
        if _CONVOLUTIONS & set(program.operators):
            # The level above reorders the weights of convolutions into private memory.
            options.graph_optimization_level = (
                onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
            )
    return options


def open_session(
    path: Path, options: onnxruntime.SessionOptions, providers: Sequence[Any], what: str
) -> Any:
    """Load a program.

    Raises:
        SessionError: onnxruntime refuses; gives its message.
    """
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=list(providers))
    except Exception as error:
        raise SessionError(
            f"{what}: onnxruntime {onnxruntime.__version__} does not load {path.name}: "
            f"{str(error).strip()}"
        ) from error


class SessionPool:
    """Sessions by key: each is made when it is first asked for, once, whoever asks.

    Args:
        make: makes the session of a key.
        keys: all that there are.
        limit: sessions that are kept; those used longest ago go first. None: no limit. One that
            is running goes when it is done.
    """

    def __init__(
        self, make: Callable[[str], Any], keys: Sequence[str], limit: int | None = None
    ) -> None:
        self._make = make
        self._limit = limit
        self._sessions: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()
        self._making = {key: threading.Lock() for key in keys}

    def get(self, key: str) -> Any:
        """The session of a key."""
        found = self._known(key)
        if found is not None:
            return found
        with self._making[key]:
            found = self._known(key)  # made while this thread waited
            if found is None:
                found = self._make(key)
                with self._lock:
                    self._sessions[key] = found
                    while self._limit is not None and len(self._sessions) > self._limit:
                        self._sessions.popitem(last=False)
        return found

    def _known(self, key: str) -> Any:
        if self._limit is None:
            return self._sessions.get(key)
        with self._lock:
            found = self._sessions.get(key)
            if found is not None:
                self._sessions.move_to_end(key)
        return found

    def __len__(self) -> int:
        return len(self._sessions)

    def __contains__(self, key: str) -> bool:
        return key in self._sessions
