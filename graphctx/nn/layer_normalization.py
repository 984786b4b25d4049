"""Normalization of each example by itself, over some of its axes."""

from __future__ import annotations

from typing import Any

from graphctx import ops
from graphctx.layer import Layer, Variable
from graphctx.nn.affine import Affine
from graphctx.nn.arguments import (
    as_floats,
    axis_tuple,
    bad_call,
    float_dtype,
    known_size,
    normal_axes,
    number,
    require_shape,
)
from graphctx.spec import same_dim, shape_text

__all__ = ["LayerNorm", "RMSNorm", "UnitNorm"]


class _ByExample(Layer):
    """What `LayerNorm` and `RMSNorm` share: ONNX's operators normalize the last axes."""

    axis: tuple[int, ...]
    dtype: Any
    _sizes: tuple[int, ...]

    def _note_sizes(self, input_shape: Any) -> None:
        require_shape(self, input_shape, "[..., features]", least=1)
        self._sizes = tuple(
            known_size(self, input_shape, axis, "size of the axes it normalizes")
            for axis in normal_axes(self, self.axis, len(input_shape))
        )

    def call(self, x: Any) -> Any:
        """Normalize x; see the class."""
        x = as_floats(self, x, self.dtype)
        rank = x.ndim
        axes = normal_axes(self, self.axis, rank)
        if not all(same_dim(x.shape[a], n) for a, n in zip(axes, self._sizes, strict=True)):
            raise bad_call(
                self,
                f"was built for sizes {shape_text(self._sizes)} of axes {axes}, got "
                f"{shape_text(x.shape)}",
            )
        if axes[0] == rank - len(axes):
            return self._normalize_last(x, len(axes))
        order = [*(i for i in range(rank) if i not in axes), *axes]
        y = self._normalize_last(ops.permute_dims(x, order), len(axes))
        return ops.permute_dims(y, [order.index(i) for i in range(rank)])

    def _normalize_last(self, x: Any, count: int) -> Any:
        raise NotImplementedError


class LayerNorm(_ByExample, Affine):
    """Normalizes each example: `gamma * (x - mean) / sqrt(variance + epsilon) + beta`.

    Ba, Kiros and Hinton, "Layer normalization" (2016), with Keras's conventions: mean and
    (population) variance are taken over the given axes together, and gamma and beta have their
    shape.

    Args:
        axis: the axis or axes to normalize over.
        epsilon: added to the variance, at least 0.
        center: whether beta is added.
        scale: whether gamma multiplies.
        beta_initializer: see `graphctx.initializers.initialize`.
        gamma_initializer: likewise.
        dtype: of weights and computation; inputs of another dtype are converted, as in Keras.
        name: of the layer.

    Attributes:
        gamma: sizes of the axes in ascending order, or None.
        beta: likewise.

    Input of any shape, of which the sizes of the axes must be numbers; output like the input.

    Raises:
        LayerError: a bad argument; an input without one of the axes, with symbolic or other sizes
            of them than the layer was built for, or not of numbers.
    """

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        *,
        dtype: Any = "float32",
        name: str | None = None,
    ) -> None:
        self.name = name
        self.axis = axis_tuple(self, axis)
        super().__init__(epsilon, center, scale, beta_initializer, gamma_initializer, dtype)

    def build(self, input_shape: Any) -> None:
        """Create gamma and beta."""
        self._note_sizes(input_shape)
        self._add_affine(self._sizes)

    def _normalize_last(self, x: Any, count: int) -> Any:
        gamma, beta = self._gamma_and_beta()
        beta = beta if self.center else None  # which LayerNormalization may lack
        return ops.layer_norm(x, gamma, beta, axis=-count, epsilon=self.epsilon)


class RMSNorm(_ByExample):
    """Divides each example by its root mean square: `scale * x / sqrt(mean(x ** 2) + epsilon)`.

    Zhang and Sennrich, "Root mean square layer normalization" (2019), with Keras's conventions: the
    mean is taken over the given axes together, and scale has their shape.

    Args:
        axis: the axis or axes to normalize over.
        epsilon: added to the mean square, at least 0.
        dtype: of weights and computation; inputs of another dtype are converted, as in Keras.
        name: of the layer.

    Attributes:
        scale: sizes of the axes in ascending order; ones at first.

    Input of any shape, of which the sizes of the axes must be numbers; output like the input.

    Raises:
        LayerError: a bad argument; an input without one of the axes, with symbolic or other sizes
            of them than the layer was built for, or not of numbers.
    """

    scale: Variable

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 1e-6,
        *,
        dtype: Any = "float32",
        name: str | None = None,
    ) -> None:
        self.name = name
        self.axis = axis_tuple(self, axis)
        self.epsilon = number(self, "epsilon", epsilon, 0)
        self.dtype = float_dtype(self, dtype)

    def build(self, input_shape: Any) -> None:
        """Create scale."""
        self._note_sizes(input_shape)
        self.scale = self.add_weight(self._sizes, "ones", name="scale", dtype=self.dtype)

    def _normalize_last(self, x: Any, count: int) -> Any:
        return ops.rms_norm(x, self.scale.value, axis=-count, epsilon=self.epsilon)


class UnitNorm(Layer):
    """Scales each example to the Euclidean norm 1: `x / sqrt(sum(x ** 2))`.

    Args:
        axis: the axis or axes to take the norm over.
        name: of the layer.

    Input any floats, output like the input. All dimensions may be symbolic. An example of zeros
    stays as it is. (Keras, too, has a norm of less than 1e-12 left as it is, times 1e12.)

    Raises:
        LayerError: a bad argument; an input without one of the axes, or not of floats.
    """

    def __init__(self, axis: Any = -1, *, name: str | None = None) -> None:
        self.name = name
        self.axis = axis_tuple(self, axis)

    def call(self, x: Any) -> Any:
        """Scale x; see the class."""
        x = as_floats(self, x)
        return ops.unit_norm(x, tuple(normal_axes(self, self.axis, x.ndim)))
