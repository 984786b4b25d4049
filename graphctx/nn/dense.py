"""`Dense`: the fully connected layer."""

from __future__ import annotations

from typing import Any

from graphctx import ops
from graphctx.layer import Layer, Variable
from graphctx.nn.activation import get_activation
from graphctx.nn.arguments import (
    as_floats,
    bad_call,
    float_dtype,
    known_size,
    positive,
    require_shape,
)
from graphctx.spec import same_dim, shape_text

__all__ = ["Dense"]

_LAYOUT = "[batch, ..., features]"


class Dense(Layer):
    """Fully connected: `activation(x @ kernel + bias)`.

    Args:
        units: number of outputs.
        activation: a name such as `"relu"`, a layer or a function; None for none.
        use_bias: whether there is a bias.
        kernel_initializer: see `graphctx.initializers.initialize`.
        bias_initializer: likewise.
        dtype: of weights and computation; inputs of another dtype are converted, as in Keras.
        name: of the layer.

    Attributes:
        kernel: [features, units].
        bias: [units], or None.

    Input [batch, ..., features], of which features must be a number; output [batch, ..., units].

    Raises:
        LayerError: a bad argument; an input without a batch dimension, with a symbolic or another
            number of features than the layer was built for, or not of numbers.
    """

    kernel: Variable
    bias: Variable | None

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        *,
        dtype: Any = "float32",
        name: str | None = None,
    ) -> None:
        self.name = name
        self.units = positive(self, "units", units)
        self.activation = get_activation(activation, self)
        self.use_bias = use_bias
        self.kernel_initializer = kernel_initializer
        self.bias_initializer = bias_initializer
        self.dtype = float_dtype(self, dtype)

    def build(self, input_shape: Any) -> None:
        """Create kernel and bias."""
        self._check(input_shape)
        features = known_size(self, input_shape, -1, "number of features")
        self.kernel = self.add_weight(
            (features, self.units), self.kernel_initializer, name="kernel", dtype=self.dtype
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                (self.units,), self.bias_initializer, name="bias", dtype=self.dtype
            )

    def _check(self, shape: Any) -> None:
        hint = "; add a batch dimension: x[None, :]"
        require_shape(self, shape, _LAYOUT, least=2, hint=hint)

    def call(self, x: Any) -> Any:
        """Map the last axis of x; see the class."""
        x = as_floats(self, x, self.dtype)
        shape = x.shape
        if len(shape) < 2:
            self._check(shape)
        kernel = self.kernel.value
        if not same_dim(shape[-1], kernel.shape[0]):
            raise bad_call(
                self,
                f"was built for {kernel.shape[0]} features, got {shape_text(shape)} with "
                f"{shape[-1]}; use another layer for inputs of another size",
            )
        if self.bias is None:
            y = ops.matmul(x, kernel)
        elif len(shape) == 2:
            y = ops.gemm(x, kernel, self.bias.value)
        else:
            y = ops.add(ops.matmul(x, kernel), self.bias.value)
        return self.activation(y)
