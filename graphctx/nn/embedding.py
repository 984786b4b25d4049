"""Vectors looked up by number, and the way back."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphctx import ops
from graphctx.layer import Layer, Variable
from graphctx.nn.arguments import (
    as_floats,
    bad,
    bad_call,
    flag,
    float_dtype,
    number,
    positive,
    require_shape,
    require_size,
)
from graphctx.spec import dtype_name, kind_of
from graphctx.tensor import ArrayOperators

__all__ = ["Embedding", "ReversibleEmbedding"]

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

    To tie an output layer to it, multiply by the vectors: `ops.matmul(x,
    ops.matrix_transpose(embedding.embeddings))`; `ReversibleEmbedding` does that.

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
        if kind_of(x.dtype) not in "iu":
            raise bad_call(
                self,
                f"takes a tensor of integers, got {dtype_name(x.dtype)}; convert it with "
                f"ops.astype(x, 'int32')",
            )
        if x.dtype not in _INDEX_DTYPES:
            x = ops.astype(x, "int64")
        return ops.take(self.embeddings.value, x, axis=0)


class ReversibleEmbedding(Embedding):
    """An embedding that can be called in reverse, to score every number by a vector.

    `embedding(x)` is `embeddings[x]`; `embedding(y, reverse=True)` is `y @ embeddings.T`, the
    logits of a language model whose weights are tied: Press and Wolf, "Using the output embedding
    to improve language models" (2017).

    Args:
        input_dim: number of vectors; the input has integers from 0 to `input_dim - 1`.
        output_dim: size of a vector.
        tie_weights: whether both ways use one weight; else the way back has its own.
        embeddings_initializer: see `graphctx.initializers.initialize`; of both weights.
        reverse_dtype: of the computation of the way back, and of its result; `dtype` where it is
            not given.
        logit_soft_cap: limits the way back smoothly: `tanh(y / cap) * cap`; None for no limit.
        dtype: of the vectors.
        name: of the layer.

    Attributes:
        embeddings: [input_dim, output_dim].
        reverse_embeddings: [output_dim, input_dim]; only if the weights are not tied.

    Input integers of any shape, output [*shape, output_dim]; in reverse input
    [..., output_dim], output [..., input_dim]. All other dimensions may be symbolic.

    Raises:
        LayerError: a bad argument; an input not of integers; in reverse, one of another size or not
            of numbers.
        ShapeError: in an eager call, an integer outside the range above; see `Embedding`.
    """

    reverse_embeddings: Variable

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Any = "random_uniform",
        reverse_dtype: Any = None,
        logit_soft_cap: float | None = None,
        *,
        dtype: Any = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(input_dim, output_dim, embeddings_initializer, dtype=dtype, name=name)
        self.tie_weights = flag(self, "tie_weights", tie_weights)
        self.reverse_dtype = float_dtype(self, dtype if reverse_dtype is None else reverse_dtype)
        self.logit_soft_cap = logit_soft_cap
        if logit_soft_cap is not None and number(self, "logit_soft_cap", logit_soft_cap, 0) == 0:
            raise bad(self, "logit_soft_cap=0 would make all logits 0; None is for no limit")

    def build(self, input_shape: Any) -> None:
        """Create the vectors of both ways."""
        super().build(input_shape)
        if not self.tie_weights:
            self.reverse_embeddings = self.add_weight(
                (self.output_dim, self.input_dim),
                self.embeddings_initializer,
                name="reverse_embeddings",
                dtype=self.dtype,
            )

    def call(self, x: Any, reverse: bool = False) -> Any:
        """Look up the vectors of x, or in reverse multiply x by them; see the class."""
        if not reverse:
            return super().call(x)
        x = as_floats(self, x, self.reverse_dtype)
        require_shape(self, x.shape, "[..., features]", least=1)
        require_size(self, x.shape, -1, self.output_dim, "features")
        y = self._logits(x)
        cap = self.logit_soft_cap
        return y if cap is None else ops.tanh(y / cap) * cap

    def _logits(self, x: Any) -> Any:
        if not self.tie_weights:
            return ops.matmul(x, ops.astype(self.reverse_embeddings.value, self.reverse_dtype))
        vectors = ops.astype(self.embeddings.value, self.reverse_dtype)
        # Not by a transposed weight, which a runtime would keep as a second copy.
        rows = x if x.ndim == 2 else ops.reshape(x, (-1, self.output_dim))
        y = ops.gemm(rows, vectors, transB=1)
        return y if x.ndim == 2 else ops.reshape(y, (*x.shape[:-1], self.input_dim))
