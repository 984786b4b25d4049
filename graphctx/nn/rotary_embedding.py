"""`RotaryEmbedding`: positions as rotations of queries and keys."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphctx import ops
from graphctx.layer import Layer
from graphctx.nn.arguments import as_floats, bad, bad_call, flag, number, positive, require_shape
from graphctx.spec import Dim, shape_text

__all__ = ["RotaryEmbedding"]


class RotaryEmbedding(Layer):
    """Rotates pairs of elements of each head by angles that grow with the position.

    Su et al., "RoFormer: enhanced transformer with rotary position embedding" (2021): pair i of a
    head is rotated by `position / max_wavelength ** (2 * i / rotated)`, so that a product of two
    heads depends on how far apart they are.

    Args:
        max_length: number of positions; tables of cosines and sines are made for them once.
        max_wavelength: the largest wavelength, divided by 2 pi; the `theta` of other libraries.
        rotated: how many elements of a head are rotated, an even number; None for all of them.
        interleaved: whether neighbours are a pair; otherwise element i and the one half of
            `rotated` further on are, as in the models of Hugging Face.
        name: of the layer.

    Input [batch, length, heads * size] with `num_heads`, or [batch, heads, length, size]; output
    like it. `positions` are int64[batch, length]; 0, 1, ... where they are not given.

    Raises:
        LayerError: a bad argument, an odd size of a head, an input of another rank or longer than
            the tables.
        InputError: when a program runs, a position that the tables do not have; an eager call
            raises ShapeError.
    """

    def __init__(
        self,
        max_length: int,
        max_wavelength: float = 10000.0,
        rotated: int | None = None,
        interleaved: bool = False,
        *,
        name: str | None = None,
    ) -> None:
        self.name = name
        self.max_length = positive(self, "max_length", max_length)
        self.max_wavelength = number(self, "max_wavelength", max_wavelength, 1)
        self.rotated = None if rotated is None else positive(self, "rotated", rotated)
        if self.rotated is not None and self.rotated % 2:
            raise bad(self, f"rotated is an even number, got {rotated}")
        self.interleaved = flag(self, "interleaved", interleaved)
        self._tables: dict[Any, tuple[Any, Any]] = {}

    def tables(self, size: int, dtype: Any) -> tuple[Any, Any]:
        """Cosines and sines, [positions, rotated / 2], for heads of a size."""
        rotated = self.rotated or size
        if rotated % 2 or rotated > size:
            raise bad_call(self, f"rotates an even number of elements, at most {size}: {rotated}")
        key = (rotated, np.dtype(dtype).str)
        if key not in self._tables:
            rates = self.max_wavelength ** (-np.arange(0, rotated, 2) / rotated)
            angles = np.arange(self.max_length)[:, None] * rates
            self._tables[key] = np.cos(angles).astype(dtype), np.sin(angles).astype(dtype)
        return self._tables[key]

    def call(self, x: Any, positions: Any = None, num_heads: int | None = None) -> Any:
        """Rotate the heads of x; see the class."""
        x = as_floats(self, x)
        shape = x.shape
        require_shape(self, shape, "[batch, length, heads * size]", least=3, most=4)
        length = shape[-2]
        if isinstance(length, int) and length > self.max_length:
            raise bad_call(
                self,
                f"has max_length={self.max_length}, got {shape_text(shape)} with a length of "
                f"{length}",
            )
        if len(shape) == 3 and num_heads is None:
            raise bad_call(self, f"needs num_heads for an input {shape_text(shape)}")
        size = shape[-1] if len(shape) == 4 else shape[-1] // (num_heads or 1)
        if isinstance(size, Dim):
            raise bad_call(self, f"needs to know the size of a head, got {shape_text(shape)}")
        cos, sin = self.tables(size, x.dtype)
        if positions is None:
            positions = ops.broadcast_to(ops.arange(length), (shape[0], length))
        return ops.rotary_embedding(
            x, cos, sin, positions,
            num_heads=num_heads if len(shape) == 3 else None,
            rotated=self.rotated or 0,
            interleaved=self.interleaved,
        )  # fmt: skip
