"""`Embedding`: vectors looked up by number."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphctx import ops
from graphctx.layer import Layer, Variable
from graphctx.nn.arguments import bad_call, float_dtype, positive
from graphctx.spec import dtype_name
from graphctx.tensor import ArrayOperators

__all__ = ["Embedding"]

_INDEX_DTYPES = (np.dtype("int32"), np.dtype("int64"))


class Embedding(Layer):
    """Turns integers into vectors: `embeddings[x]`.

    Args:
        input_dim: number of vectors; the input has integers from 0 to `input_dim - 1`.
        output_dim: size of a vector.
        embeddings_initializer: see `graphctx.initializers.initialize`.
        dtype: of the vectors.
        name: of the layer.

    Attributes:
        embeddings: [input_dim, output_dim].

    Input integers of any shape; output [*shape, output_dim]. All dimensions may be symbolic.

    Raises:
        LayerError: a bad argument, or an input not of integers.
        ShapeError: in an eager call, an integer outside the range above; negative ones down to
            `-input_dim` count from the back, as in NumPy and ONNX.
    """

    embeddings: Variable

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "random_uniform",
        *,
        dtype: Any = "float32",
        name: str | None = None,
    ) -> None:
        self.name = name
        self.input_dim = positive(self, "input_dim", input_dim)
        self.output_dim = positive(self, "output_dim", output_dim)
        self.embeddings_initializer = embeddings_initializer
        self.dtype = float_dtype(self, dtype)

    def build(self, input_shape: Any) -> None:
        """Create the vectors."""
        self.embeddings = self.add_weight(
            (self.input_dim, self.output_dim),
            self.embeddings_initializer,
            name="embeddings",
            dtype=self.dtype,
        )

    def call(self, x: Any) -> Any:
        """Look up the vectors of x; see the class."""
        if not isinstance(x, (np.ndarray, np.generic, ArrayOperators)):
            raise bad_call(self, f"takes one tensor of integers, got a {type(x).__name__}")
        if x.dtype.kind not in "iu":
            raise bad_call(
                self,
                f"takes a tensor of integers, got {dtype_name(x.dtype)}; convert it with "
                f"ops.astype(x, 'int32')",
            )
        if x.dtype not in _INDEX_DTYPES:
            x = ops.astype(x, "int64")
        return ops.take(self.embeddings.value, x, axis=0)
