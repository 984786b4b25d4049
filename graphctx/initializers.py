"""Initial values of weights, by Keras's names and formulas."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphctx.context import current_seed, fresh_seed
from graphctx.errors import LayerError, listing, suggest

Initializer = Callable[[tuple[int, ...], np.random.Generator], Any]


def _fans(shape: Sequence[int]) -> tuple[float, float]:
    """Number of inputs and outputs of one unit, for a kernel laid out (..., in, out)."""
    if not shape:
        return 1.0, 1.0
    if len(shape) == 1:
        return float(shape[0]), float(shape[0])
    receptive = math.prod(shape[:-2])
    return float(shape[-2] * receptive), float(shape[-1] * receptive)


def _scaled(scale: float, mode: str, distribution: str) -> Initializer:
    def initialize(shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        fan_in, fan_out = _fans(shape)
        fan = {"in": fan_in, "out": fan_out, "avg": (fan_in + fan_out) / 2}[mode]
        variance = scale / max(1.0, fan)
        if distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return rng.uniform(-limit, limit, shape)
        # A normal cut at two standard deviations has 0.8796 of the deviation of the whole.
        return _truncated_normal(shape, rng) * math.sqrt(variance) / 0.87962566103423978

    return initialize


def _truncated_normal(shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    values = rng.standard_normal(shape)
    while True:
        outside = np.abs(values) > 2
        if not outside.any():
            return values
        values[outside] = rng.standard_normal(int(outside.sum()))


def _orthogonal(shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    if len(shape) < 2:
        raise LayerError(f"the orthogonal initializer needs at least 2 dimensions, got {shape}")
    rows, columns = math.prod(shape[:-1]), shape[-1]
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r))
    return (q.T if rows < columns else q).reshape(shape)


_SCALED: dict[str, Initializer] = {
    "glorot_uniform": _scaled(1, "avg", "uniform"),
    "glorot_normal": _scaled(1, "avg", "normal"),
    "he_uniform": _scaled(2, "in", "uniform"),
    "he_normal": _scaled(2, "in", "normal"),
    "lecun_uniform": _scaled(1, "in", "uniform"),
    "lecun_normal": _scaled(1, "in", "normal"),
}
"""Those whose numbers depend on how many inputs and outputs a unit has."""

_BY_NAME: dict[str, Initializer] = {
    "zeros": lambda shape, rng: np.zeros(shape),
    "ones": lambda shape, rng: np.ones(shape),
    "random_uniform": lambda shape, rng: rng.uniform(-0.05, 0.05, shape),
    "random_normal": lambda shape, rng: 0.05 * rng.standard_normal(shape),
    "truncated_normal": lambda shape, rng: 0.05 * _truncated_normal(shape, rng),
    "orthogonal": _orthogonal,
    **_SCALED,
}


def with_fans(initializer: Any, fan_in: int, fan_out: int) -> Any:
    """The initializer for a kernel that is not laid out (..., in, out).

    Args:
        initializer: see `initialize`.
        fan_in: product of the kernel's sizes along the inputs.
        fan_out: the same for the outputs; both together are all axes.
    """
    if not isinstance(initializer, str) or initializer not in _SCALED:
        return initializer
    draw = _SCALED[initializer]
    # Every element is drawn alike, so those of a matrix do.
    return lambda shape, rng: draw((fan_in, fan_out), rng).reshape(shape)


def initialize(initializer: Any, shape: tuple[int, ...], dtype: Any, path: str) -> Any:
    """Return the initial array of a weight.

    Args:
        initializer: a name such as `"glorot_uniform"`, a number (every element), an array of the
            weight's shape, or a function `(shape, rng) -> array`.
        shape: of the weight.
        dtype: of the weight.
        path: of the weight; with the seed of `gx.seed`, it decides the random numbers.

    Raises:
        LayerError: an unknown name, or an array of another shape.
    """
    if isinstance(initializer, str):
        if initializer not in _BY_NAME:
            raise LayerError(
                f"{path}: unknown initializer {initializer!r}{suggest(initializer, _BY_NAME)} "
                f"(known: {listing(_BY_NAME)})"
            )
        initializer = _BY_NAME[initializer]
    if callable(initializer):
        seed = current_seed()
        text = f"{fresh_seed() if seed is None else seed}:{path}"
        digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
        rng = np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
        array = np.asarray(initializer(shape, rng))
    elif np.ndim(initializer) == 0:
        array = np.full(shape, initializer)
    else:
        array = np.asarray(initializer)
    if array.shape != shape:
        raise LayerError(
            f"{path}: the initializer made an array of shape {array.shape}, the weight has {shape}"
        )
    # BLAS would sum, and so round, in another order along a kernel that lies transposed.
    return array.astype(dtype, order="C")
