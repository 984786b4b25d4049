"""What normalization layers share: gamma, which multiplies, and beta, which is added."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphctx.layer import Layer, Variable
from graphctx.nn.arguments import flag, float_dtype, number


class Affine(Layer):
    """A layer with a gamma and a beta, each of which may be left out.

    Args:
        epsilon: added to the variance, at least 0.
        center: whether beta is added.
        scale: whether gamma multiplies.
        beta_initializer: see `graphctx.initializers.initialize`.
        gamma_initializer: likewise.
        dtype: of both.

    Attributes:
        gamma: what multiplies, or None.
        beta: what is added, or None.
    """

    gamma: Variable | None
    beta: Variable | None

    def __init__(
        self,
        epsilon: float,
        center: bool,
        scale: bool,
        beta_initializer: Any,
        gamma_initializer: Any,
        dtype: Any,
    ) -> None:
        self.epsilon = number(self, "epsilon", epsilon, 0)
        self.center = flag(self, "center", center)
        self.scale = flag(self, "scale", scale)
        self.beta_initializer = beta_initializer
        self.gamma_initializer = gamma_initializer
        self.dtype = float_dtype(self, dtype)

    def _add_affine(self, shape: tuple[int, ...]) -> None:
        """Create gamma and beta."""
        self._affine_shape = shape
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight(
                shape, self.gamma_initializer, name="gamma", dtype=self.dtype
            )
        if self.center:
            self.beta = self.add_weight(shape, self.beta_initializer, name="beta", dtype=self.dtype)

    def _gamma_and_beta(self) -> tuple[Any, Any]:
        """Both, as ONNX's operators take them: constants in the place of what is left out."""
        shape = self._affine_shape
        return (
            np.ones(shape, self.dtype) if self.gamma is None else self.gamma.value,
            np.zeros(shape, self.dtype) if self.beta is None else self.beta.value,
        )
