"""The errors of scoring. Every one is a `BundleError`."""

from __future__ import annotations

from pathlib import Path

from graphctx_onnx.runtime.errors import BundleError


class ScoringError(BundleError, ValueError):
    """An input, an output or an option is refused; the message names it. Nothing is left behind."""


class ClusterError(BundleError, RuntimeError):
    """The cluster cannot be reached, or lost the work. What is done stays for the next run."""


def cannot_write(path: Path, error: OSError) -> ScoringError:
    """The error for a path that the operating system refuses."""
    return ScoringError(f"{path}: cannot be written: {error.strerror or error}")


def cannot_read(path: Path, error: OSError) -> ScoringError:
    """The error for a file that the operating system refuses."""
    return ScoringError(f"{path}: cannot be read: {error.strerror or error}")
