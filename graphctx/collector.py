"""Keeping the garbage collector out of the way while many nodes are made."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """Make no collections in a `with` block (or in a function that is decorated with this).

    A compiler makes many objects that live, and the collector looks at all of them again and
    again: without it, a graph of 100,000 nodes is compiled about twice as fast. Nodes and their
    values refer to each other, so a dropped graph is freed by a later collection.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
