"""Layers around a layer, which normalize its kernel."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphctx import ops
from graphctx.context import Context
from graphctx.layer import Layer, Variable
from graphctx.nn.arguments import bad, bad_call, is_integer, normal_axis, positive
from graphctx.nn.sublayers import build_sublayer, require_layer
from graphctx.tensor import ArrayOperators

__all__ = ["SpectralNorm", "WeightNorm"]

KERNELS = ("kernel", "embeddings")


class _OfKernel(Layer):
    """A layer around another one, which has a kernel."""

    layer: Layer

    def _wrap(self, layer: Any) -> None:
        if isinstance(require_layer(self, layer), _OfKernel):
            raise bad(
                self,
                f"wraps a layer with a kernel of its own, got {layer!r}, which wraps "
                f"{layer.layer!r}",
            )
        self.layer = layer

    def _built_kernel(self, input_shape: Any) -> tuple[str, Variable]:
        """Build the layer inside; return the name of its kernel, and the kernel."""
        layer = self.layer
        build_sublayer(layer, input_shape)
        for name in KERNELS:
            kernel = layer.__dict__.get(name)
            if isinstance(kernel, Variable):
                return name, kernel
            if isinstance(kernel, _Product):
                raise bad_call(
                    self,
                    f"wraps {layer!r}, whose {name} a WeightNorm normalizes already; give each a "
                    f"layer of its own",
                )
        raise bad_call(
            self,
            f"wraps a layer with a weight 'kernel' or 'embeddings', which {type(layer).__name__} "
            f"does not have",
        )


class SpectralNorm(_OfKernel):
    """Divides the kernel of a layer by its largest singular value, at every step of training.

    Miyato et al., "Spectral normalization for generative adversarial networks" (2018), with Keras's
    conventions. The kernel counts as a matrix [all its axes but the last, the last]; its largest
    singular value is estimated by power iteration, which goes on from where the step before it
    ended: `v = unit(u @ kernel.T)`, `u = unit(v @ kernel)`, `sigma = v @ kernel @ u.T`.

    Args:
        layer: with a weight `kernel` (`Dense`, `Conv2D` ...) or `embeddings`.
        power_iterations: how often u and v are computed in a step.
        name: of the layer.

    Context:
        training (bool, default False): whether u and the kernel are assigned before the layer runs.

    Attributes:
        layer: that is given.
        kernel: that of the layer; assigned while training.
        vector_u: [1, size of the kernel's last axis], not trainable; likewise.

    Input and output are the layer's.

    Raises:
        LayerError: a bad argument, or a layer without a kernel.
    """

    kernel: Variable
    vector_u: Variable

    def __init__(self, layer: Layer, power_iterations: int = 1, *, name: str | None = None) -> None:
        self.name = name
        # As in Keras, the weights are kernel, vector_u, then what else the layer has.
        self.__dict__.update(kernel=None, vector_u=None)
        self._wrap(layer)
        self.power_iterations = positive(self, "power_iterations", power_iterations)

    def build(self, input_shape: Any) -> None:
        """Build the layer inside, and create vector_u."""
        _, self.kernel = self._built_kernel(input_shape)
        self.vector_u = self.add_weight(  # only its direction matters
            (1, self.kernel.shape[-1]),
            "truncated_normal",
            name="vector_u",
            trainable=False,
            dtype=self.kernel.dtype,
        )

    def call(self, x: Any, *, training: Context[bool] = False) -> Any:
        """Run the layer; while training, normalize its kernel first."""
        if training:
            self._normalize()
        return self.layer(x)

    def _normalize(self) -> None:
        kernel = self.kernel
        matrix = kernel.value
        if kernel.ndim != 2:
            matrix = ops.reshape(matrix, (-1, kernel.shape[-1]))
        # To a gradient, u and v are constants.
        u = self.vector_u.value
        for _ in range(self.power_iterations):
            v = ops.unit_norm(ops.matmul(u, ops.matrix_transpose(matrix)))
            u = ops.unit_norm(ops.matmul(v, matrix))
        sigma = ops.matmul(ops.matmul(v, matrix), ops.matrix_transpose(u))
        # A kernel of zeros stays as it is.
        is_zero = sigma == 0
        self.vector_u.assign(ops.where(is_zero, self.vector_u, u))
        sigma = ops.reshape(ops.where(is_zero, 1, sigma), ())
        kernel.assign(kernel / sigma)


class WeightNorm(_OfKernel):
    """Splits the kernel of a layer into length and direction: `kernel = g * v / norm(v)`.

    Salimans and Kingma, "Weight normalization: a simple reparameterization to accelerate training
    of deep neural networks" (2016). Each output has a length of its own: the norm is taken over all
    axes of the kernel but one. PyTorch has it as `weight_norm`, with `weight_g` and `weight_v`.

    Args:
        layer: with a weight `kernel` (`Dense`, `Conv2D` ...) or `embeddings`, which becomes v. The
            layer computes with the product from then on, also where it is called by itself.
        axis: of the kernel, along which the lengths differ. The last one has the outputs in most
            layers; in a transposed convolution it is the last but one.
        name: of the layer.

    Attributes:
        layer: that is given; its weight `kernel` (or `embeddings`) is v.
        g: [size of the axis]; at first the norms of v, so that the kernel is v.

    Input and output are the layer's.

    Raises:
        LayerError: a bad argument, a layer without a kernel, or a kernel without the axis.
    """

    g: Variable

    def __init__(self, layer: Layer, axis: int = -1, *, name: str | None = None) -> None:
        self.name = name
        self._wrap(layer)
        if not is_integer(axis):
            raise bad(self, f"axis is an integer, got {axis!r}")
        self.axis = int(axis)

    def build(self, input_shape: Any) -> None:
        """Build the layer inside, create g, and give the layer its new kernel."""
        name, v = self._built_kernel(input_shape)
        axis = normal_axis(self, self.axis, v.ndim)
        others = tuple(i for i in range(v.ndim) if i != axis)
        norms = np.sqrt(np.sum(np.square(v.numpy()), axis=others))
        self.g = self.add_weight(norms.shape, norms, name="g", dtype=v.dtype)
        setattr(self.layer, name, _Product(self.g, v, axis))

    def call(self, x: Any) -> Any:
        """Run the layer."""
        return self.layer(x)


class _Product(ArrayOperators):
    """What takes the place of a kernel: computed from g and v wherever it is read."""

    def __init__(self, g: Variable, v: Variable, axis: int) -> None:
        self.g = g
        self.v = v
        self.axis = axis
        self.shape = v.shape
        self.dtype = v.dtype
        self.ndim = v.ndim
        self.size = v.size

    def resolve(self) -> Any:
        """The product, as an array or in a trace a tensor."""
        # One use of v alone, so that compiling can compute the product once and drop v.
        last = self.ndim - 1
        v = self.v.value if self.axis == last else ops.moveaxis(self.v.value, self.axis, last)
        rows = ops.reshape(v, (-1, v.shape[-1])) if last != 1 else v
        product = ops.unit_norm(rows, axis=0) * self.g.value
        product = ops.reshape(product, v.shape) if last != 1 else product
        return product if self.axis == last else ops.moveaxis(product, last, self.axis)

    @property
    def value(self) -> Any:
        """See `resolve`."""
        return self.resolve()
