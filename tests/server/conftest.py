"""What several files of tests need: a bundle on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from graphctx_onnx import Bundle

from tests.server.models import write_bundle


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of `tests.server.models.Net`."""
    return write_bundle(tmp_path_factory.mktemp("bundles") / "digits.bundle")


@pytest.fixture(scope="session")
def bundle(bundle_path: Path) -> Bundle:
    """The same, loaded."""
    return Bundle.load(bundle_path, threads=1)
