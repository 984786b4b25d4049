"""Fully connected layers."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from graphctx import ops
from graphctx.initializers import with_fans
from graphctx.layer import Layer, Variable
from graphctx.nn.activation import get_activation
from graphctx.nn.arguments import (
    as_floats,
    bad,
    bad_call,
    flag,
    float_dtype,
    is_integer,
    known_size,
    positive,
    require_shape,
    require_size,
)
from graphctx.spec import DimLike, same_dim, shape_text

__all__ = ["Dense", "EinsumDense"]

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
        self.use_bias = flag(self, "use_bias", use_bias)
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


_EQUATION = re.compile(r"(\.{3})?([a-zA-Z]+)(\.{3})?,([a-zA-Z]+)->(\.{3})?([a-zA-Z]+)(\.{3})?")


class EinsumDense(Layer):
    """Fully connected along named axes: `activation(einsum(equation, x, kernel) + bias)`.

    `EinsumDense("ab,bc->ac", 64, bias_axes="c")` is `Dense(64)`, and so is
    `EinsumDense("...b,bc->...c", 64, bias_axes="c")`, of any number of dimensions.
    `EinsumDense("btd,dnh->btnh", (None, 12, 64))` gives each of 12 heads 64 features.

    Args:
        equation: axes of the input, of the kernel and of the output, each by a letter:
            `"ab,bc->ac"`. Dots at the start, or at the end, of input and output stand for any
            number of further axes: `"...ab,bc->...ac"`, `"ab...,bc->ac..."`. Without dots at the
            start, the first axis is the batch.
        output_shape: sizes of the output without the batch and what dots stand for; None for a
            size that is the input's. A number stands for one size.
        activation: a name such as `"relu"`, a layer or a function; None for none.
        bias_axes: letters of the output along which the bias differs: `"c"`; None for no bias.
        kernel_initializer: see `graphctx.initializers.initialize`.
        bias_initializer: likewise.
        dtype: of weights and computation; inputs of another dtype are converted, as in Keras.
        name: of the layer.

    Attributes:
        kernel: a size for each of its letters.
        bias: sizes of the output from the first letter of bias_axes on, 1 where a letter is not
            among them; or None.

    The sizes that the weights have must be numbers; others may be symbolic.

    Raises:
        LayerError: a bad argument; an input of another rank or other sizes than the layer was
            built for, or not of numbers.
    """

    kernel: Variable
    bias: Variable | None

    def __init__(
        self,
        equation: str,
        output_shape: int | Sequence[int | None],
        activation: Any = None,
        bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        *,
        dtype: Any = "float32",
        name: str | None = None,
    ) -> None:
        self.name = name
        self._parse(equation)
        self.output_shape = self._sizes(output_shape)
        self.activation = get_activation(activation, self)
        self.bias_axes = bias_axes
        if bias_axes is not None and not (
            isinstance(bias_axes, str) and bias_axes and set(bias_axes) <= set(self._output)
        ):
            raise bad(
                self,
                f"bias_axes names axes of the output {self._output!r} of {equation!r}, got "
                f"{bias_axes!r}",
            )
        self.kernel_initializer = kernel_initializer
        self.bias_initializer = bias_initializer
        self.dtype = float_dtype(self, dtype)

    def _parse(self, equation: Any) -> None:
        found = _EQUATION.fullmatch(equation) if isinstance(equation, str) else None
        if found is not None:
            left, self._input, right, self._kernel, out_left, self._output, out_right = (
                found.groups()
            )
            if (left, right) != (out_left, out_right) or (left and right):
                found = None
        if found is None:
            raise bad(
                self,
                f"equation is like 'ab,bc->ac', '...ab,bc->...ac' or 'ab...,bc->ac...', got "
                f"{equation!r}",
            )
        self.equation = equation
        self._left, self._right = bool(left), bool(right)
        for term in (self._input, self._kernel, self._output):
            if len(set(term)) < len(term):
                raise bad(self, f"equation {equation!r} names an axis twice in {term!r}")
        for letter in self._kernel:
            if letter not in self._input + self._output:
                raise bad(self, f"equation {equation!r} has {letter!r} in the kernel alone")
        for letter in self._output:
            if letter not in self._input + self._kernel:
                raise bad(self, f"equation {equation!r} has {letter!r} in the output alone")
        if not self._left and self._output[0] != self._input[0]:
            raise bad(
                self,
                f"equation {equation!r} does not keep the batch, the first axis, where it is",
            )

    def _sizes(self, given: Any) -> tuple[int | None, ...]:
        sizes = (given,) if is_integer(given) else given
        if not isinstance(sizes, (tuple, list)) or not all(
            n is None or (is_integer(n) and n >= 1) for n in sizes
        ):
            raise bad(
                self, f"output_shape has a positive integer or None for each axis, got {given!r}"
            )
        return tuple(sizes)

    def _elided(self, shape: Sequence[DimLike]) -> int:
        """For how many axes of an input the dots stand."""
        elided = len(shape) - len(self._input)
        if elided < 0 or (elided and not self._left and not self._right):
            raise bad_call(
                self,
                f"takes a tensor with the axes {self.equation.partition(',')[0]!r}, got "
                f"{shape_text(shape)} with {len(shape)} dimension{'' if len(shape) == 1 else 's'}",
            )
        if self._left and not elided and self._output[0] != self._input[0]:
            raise bad_call(
                self,
                f"takes a batch dimension before the axes {self._input!r} of {self.equation!r}, "
                f"got {shape_text(shape)}",
            )
        return elided

    def build(self, input_shape: Any) -> None:
        """Create kernel and bias."""
        require_shape(self, input_shape, f"with the axes {self._input!r}", least=1)
        elided = self._elided(input_shape)
        self._rank = len(input_shape)
        start = elided if self._left else 0
        places = {letter: start + i for i, letter in enumerate(self._input)}
        # The batch stands first among the letters of the output, unless dots stand for it.
        named = self._output if self._left and elided else self._output[1:]
        if len(named) != len(self.output_shape):
            raise bad_call(
                self,
                f"has output_shape={self.output_shape} for the axes {named!r} of {self.equation!r}",
            )
        sizes: dict[str, int] = {}
        for letter, size in zip(named, self.output_shape, strict=True):
            if size is not None:
                sizes[letter] = size
                if letter in places and not same_dim(input_shape[places[letter]], size):
                    raise bad_call(
                        self,
                        f"has size {size} for {letter!r} in output_shape={self.output_shape}, but "
                        f"the input {shape_text(input_shape)} has {input_shape[places[letter]]}",
                    )

        def size_of(letter: str) -> int:
            if letter in sizes:
                return sizes[letter]
            if letter not in places:
                raise bad_call(
                    self,
                    f"needs the size of {letter!r}, which {self.equation!r} has in kernel and "
                    f"output: give it in output_shape, got {self.output_shape}",
                )
            return known_size(self, input_shape, places[letter], f"size of {letter!r}")

        shape = [size_of(letter) for letter in self._kernel]
        outputs = [
            n for n, letter in zip(shape, self._kernel, strict=True) if letter in self._output
        ]
        fan_out = math.prod(outputs)
        self.kernel = self.add_weight(
            shape,
            with_fans(self.kernel_initializer, math.prod(shape) // fan_out, fan_out),
            name="kernel",
            dtype=self.dtype,
        )
        self._checked = {
            places[letter]: n for n, letter in zip(shape, self._kernel, strict=True)
            if letter in places
        }  # fmt: skip
        self.bias = None
        if self.bias_axes is not None:
            first = min(self._output.index(letter) for letter in self.bias_axes)
            along = [size_of(n) if n in self.bias_axes else 1 for n in self._output[first:]]
            trailing = [1] * elided if self._right else []
            self.bias = self.add_weight(
                along + trailing, self.bias_initializer, name="bias", dtype=self.dtype
            )

    def call(self, x: Any) -> Any:
        """Map the axes that the equation names; see the class."""
        x = as_floats(self, x, self.dtype)
        if len(x.shape) != self._rank:
            raise bad_call(
                self, f"was built for inputs of {self._rank} dimensions, got {shape_text(x.shape)}"
            )
        for axis, size in self._checked.items():
            require_size(self, x.shape, axis, size, "elements")
        y = self._product(x)
        return self.activation(y if self.bias is None else ops.add(y, self.bias.value))

    def _product(self, x: Any) -> Any:
        """The sum of products: as a matrix product where it is one, for which runtimes are fast."""
        elided = [f"{i}." for i in range(len(x.shape) - len(self._input))]
        before, after = (elided, []) if self._left else ([], elided)
        inputs = [*before, *self._input, *after]
        outputs = [*before, *self._output, *after]
        kernel = self._kernel
        inner = [n for n in inputs if n in kernel and n not in outputs]
        columns = [n for n in outputs if n in kernel and n not in inputs]
        kept = [n for n in inputs if n not in inner]
        if not inner or not columns or len(inner) + len(columns) < len(kernel) or (
            set(kept) - set(outputs)
        ):  # fmt: skip
            return ops.einsum(self.equation, x, self.kernel.value)
        x = _permuted(x, inputs, kept + inner)
        sizes = x.shape[: len(kept)]
        if len(inner) > 1:
            x = ops.reshape(x, (*sizes, -1))
        matrix = _permuted(self.kernel.value, list(kernel), inner + columns)
        wide = matrix.shape[len(inner) :]
        if len(kernel) > 2:
            matrix = ops.reshape(matrix, (-1, math.prod(wide)))
        y = ops.matmul(x, matrix)
        if len(columns) > 1:
            y = ops.reshape(y, (*sizes, *wide))
        return _permuted(y, kept + columns, outputs)


def _permuted(x: Any, axes: list[str], wanted: list[str]) -> Any:
    """The tensor with its axes, which have labels, in another order."""
    return x if axes == wanted else ops.permute_dims(x, [axes.index(n) for n in wanted])
