"""Layers that make one tensor of several."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

from graphctx import ops
from graphctx.layer import Layer
from graphctx.nn.arguments import (
    bad,
    bad_call,
    flag,
    is_integer,
    is_tensor,
    normal_axis,
    promoted,
)
from graphctx.nn.docstrings import continue_docstring
from graphctx.spec import dtype_name, kind_of, same_dim, shape_text

__all__ = [
    "Add",
    "Average",
    "Concatenate",
    "Dot",
    "Maximum",
    "Minimum",
    "Multiply",
    "Subtract",
]


def _require_tensors(layer: Layer, inputs: Any, count: int | None = None) -> None:
    """Check that a layer is called with a list of so many tensors, or of one at least."""
    wanted = "tensors" if count is None else f"{count} tensors"
    if not isinstance(inputs, (list, tuple)) or not inputs or not all(map(is_tensor, inputs)):
        came = f"a {type(inputs).__name__}"
        if isinstance(inputs, (list, tuple)):
            came += f" of {', '.join(type(x).__name__ for x in inputs) or 'nothing'}"
        raise bad_call(layer, f"takes a list of {wanted}, got {came}")
    if count is not None and len(inputs) != count:
        raise bad_call(layer, f"takes a list of {wanted}, got {len(inputs)}")


def _require_batch(layer: Layer, inputs: Any, least: int) -> None:
    """Check that tensors of numbers have so many dimensions, and the first one alike."""
    for x in inputs:
        if kind_of(x.dtype) not in "biuf":
            raise bad_call(layer, f"takes tensors of numbers, got {dtype_name(x.dtype)}")
    shapes = [x.shape for x in inputs]
    if any(len(shape) < least for shape in shapes):
        layout = "[batch, ...]" if least == 1 else "[batch, ..., features]"
        raise bad_call(layer, f"takes tensors {layout}, got {_listed(inputs)}")
    if not all(same_dim(shape[0], shapes[0][0]) for shape in shapes):
        raise bad_call(layer, f"takes tensors of one batch size, got {_listed(inputs)}")


def _listed(inputs: Any) -> str:
    return ", ".join(shape_text(x.shape) for x in inputs)


# -- element by element ---------------------------------------------------------------------------


class _Elementwise(Layer):
    """What the layers share that compute element by element.

    Args:
        name: of the layer.

    Input a list of {tensors} [batch, ...] of one batch size; output as they broadcast. A tensor of
    fewer dimensions than another one gets axes of size 1 after the batch.

    Raises:
        LayerError: it is called with anything else, or with tensors not of numbers.
        ShapeError: the tensors do not broadcast.
    """

    _function: ClassVar[Callable[[Any, Any], Any]]
    _count: ClassVar[int | None]

    def __init_subclass__(
        cls, function: Any = None, count: int | None = None, **options: Any
    ) -> None:
        super().__init_subclass__(**options)
        if function is None:
            return
        cls._function = staticmethod(function)
        cls._count = count
        continue_docstring(cls, tensors="tensors" if count is None else f"{count} tensors")

    def __init__(self, *, name: str | None = None) -> None:
        self.name = name

    def call(self, inputs: Any) -> Any:
        """Merge a list of tensors; see the class."""
        _require_tensors(self, inputs, self._count)
        _require_batch(self, inputs, 1)
        # Keras's rule, where NumPy's would put the new axes before the batch.
        rank = max(x.ndim for x in inputs)
        return self._merge([_widened(x, rank) for x in inputs])

    def _merge(self, inputs: list[Any]) -> Any:
        return functools.reduce(type(self)._function, inputs)


def _widened(x: Any, rank: int) -> Any:
    """The tensor with axes of size 1 after the first one, so that it has so many dimensions."""
    if x.ndim == rank:
        return x
    return ops.expand_dims(x, tuple(range(1, 1 + rank - x.ndim)))


class Add(_Elementwise, function=ops.add):
    """Sum of tensors, element by element."""


class Subtract(_Elementwise, function=ops.subtract, count=2):
    """Difference of two tensors, element by element."""


class Multiply(_Elementwise, function=ops.multiply):
    """Product of tensors, element by element."""


class Average(_Elementwise, function=ops.add):
    """Mean of tensors, element by element. That of integers is float32, as in Keras."""

    def _merge(self, inputs: list[Any]) -> Any:
        return super()._merge([promoted(self, x) for x in inputs]) / len(inputs)


class Maximum(_Elementwise, function=ops.maximum):
    """The largest of tensors, element by element."""


class Minimum(_Elementwise, function=ops.minimum):
    """The smallest of tensors, element by element."""


# -- along axes -----------------------------------------------------------------------------------


class Concatenate(Layer):
    """Joins tensors along an axis.

    Args:
        axis: along which they are joined.
        name: of the layer.

    Input a list of tensors of one shape but for the axis.

    Raises:
        LayerError: an axis that is no integer, or it is called with anything but tensors.
        ShapeError: the shapes do not fit.
    """

    def __init__(self, axis: int = -1, *, name: str | None = None) -> None:
        self.name = name
        if not is_integer(axis):
            raise bad(self, f"axis is an integer, got {axis!r}")
        self.axis = int(axis)

    def call(self, inputs: Any) -> Any:
        """Join a list of tensors; see the class."""
        _require_tensors(self, inputs)
        return ops.concat(inputs, axis=self.axis)


class Dot(Layer):
    """Dot products of the vectors along an axis of two tensors, example by example.

    Of x [batch, i, k] and y [batch, k, j], `Dot((2, 1))` makes [batch, i, j]: the other axes of x,
    then those of y. Of two matrices [batch, k] it makes [batch, 1].

    Args:
        axes: the axis of the first and that of the second tensor, or one number for both; not 0,
            which is the batch.
        normalize: whether to scale the vectors to the norm 1 first, so that the results are cosines
            of angles.
        name: of the layer.

    Input a list of two tensors of at least 2 dimensions and of one batch size.

    Raises:
        LayerError: a bad argument; it is called with anything else; the axes differ in size.
    """

    def __init__(self, axes: Any, normalize: bool = False, *, name: str | None = None) -> None:
        self.name = name
        pair = (axes, axes) if is_integer(axes) else axes
        if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not all(map(is_integer, pair)):
            raise bad(self, f"axes is an integer, or two of them, got {axes!r}")
        if 0 in pair:
            raise bad(self, f"axes names 0, which is the batch: {axes!r}")
        self.axes = (int(pair[0]), int(pair[1]))
        self.normalize = flag(self, "normalize", normalize)

    def call(self, inputs: Any) -> Any:
        """Multiply a list of two tensors; see the class."""
        _require_tensors(self, inputs, 2)
        _require_batch(self, inputs, 2)
        x, y = inputs
        i, j = (normal_axis(self, a, t.ndim) for a, t in zip(self.axes, inputs, strict=True))
        if 0 in (i, j) or not same_dim(x.shape[i], y.shape[j]):
            raise bad_call(
                self,
                f"multiplies along axes {i} and {j}, which are to be of one size and not the "
                f"batch, got {_listed(inputs)}",
            )
        if self.normalize:
            x = ops.unit_norm(promoted(self, x), axis=i)
            y = ops.unit_norm(promoted(self, y), axis=j)
        if x.ndim == y.ndim == 2:
            return ops.sum(x * y, axis=1, keepdims=True)
        rows, columns = _without(x.shape, i), _without(y.shape, j)
        # [batch, rows, k] @ [batch, k, columns]
        x = _matrices(x, i, last=True)
        y = _matrices(y, j, last=False)
        z = ops.matmul(x, y)
        if len(rows) == len(columns) == 1:
            return z
        return ops.reshape(z, (inputs[0].shape[0], *rows, *columns))


def _without(shape: Any, axis: int) -> tuple[Any, ...]:
    """The sizes but those of the batch and an axis."""
    return (*shape[1:axis], *shape[axis + 1 :])


def _matrices(x: Any, axis: int, *, last: bool) -> Any:
    """The tensor [batch, ...] as matrices: the axis is the last one, or the one before it."""
    others = _without(x.shape, axis)
    end = x.ndim - 1 if last else 1
    x = x if axis == end else ops.moveaxis(x, axis, end)
    if len(others) == 1:
        return x
    sizes = (-1, x.shape[end]) if last else (x.shape[1], -1)
    return ops.reshape(x, (x.shape[0], *sizes))
