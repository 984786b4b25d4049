"""Keras with its NumPy backend, imported the one way that works next to everything else."""

from __future__ import annotations

import os
from typing import Any


def keras() -> Any:
    """The keras module; set up for NumPy before its first import."""
    os.environ.setdefault("KERAS_BACKEND", "numpy")
    import keras

    if keras.config.backend() != "numpy":
        raise RuntimeError("KERAS_BACKEND is set to another backend; unset it")
    return keras
