"""Layers that change the shape of their input: reordered, repeated, cut or padded."""

from __future__ import annotations

import math
from typing import Any

from graphctx import ops
from graphctx.layer import Layer
from graphctx.nn.arguments import bad, bad_call, image_format, is_integer, positive, require_shape
from graphctx.nn.space import AXES, Spatial, shape_of
from graphctx.spec import is_static, same_dim, shape_text, size_of

__all__ = [
    "Cropping1D",
    "Cropping2D",
    "Cropping3D",
    "Flatten",
    "Permute",
    "RepeatVector",
    "Reshape",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "ZeroPadding3D",
]


class Flatten(Layer):
    """Makes one axis of all axes but the first.

    Args:
        data_format: "channels_first" moves the channels of [batch, channels, ...] to the end first,
            so that a layer after it may be the same for both formats; "channels_last" (also None)
            changes no order.
        name: of the layer.

    Input [batch, ...], of any dtype; output [batch, product of the other sizes]. All dimensions
    may be symbolic.

    Raises:
        LayerError: an unknown data_format, or an input that is a scalar.
    """

    def __init__(
        self, data_format: str | None = "channels_last", *, name: str | None = None
    ) -> None:
        self.name = name
        self.data_format = image_format(self, data_format)

    def call(self, x: Any) -> Any:
        """Flatten x; see the class."""
        shape = shape_of(x)
        require_shape(self, shape, "[batch, ...]", least=1)
        rank = len(shape)
        if rank == 2:
            return x
        if self.data_format == "channels_first" and rank > 2:
            x = ops.permute_dims(x, (0, *range(2, rank), 1))
        return ops.flatten(x, axis=1)


class Reshape(Layer):
    """Gives all axes but the first another shape.

    Args:
        target_shape: without the batch; one entry may be -1, which then follows from the others.
        name: of the layer.

    Input [batch, ...], of any dtype; output [batch, *target_shape]. All dimensions may be
    symbolic, where their product fits for all sizes.

    Raises:
        LayerError: a target_shape that is none, or that does not fit the input.
        ShapeError: it cannot be proven to fit a symbolic input.
    """

    def __init__(self, target_shape: Any, *, name: str | None = None) -> None:
        self.name = name
        entries = tuple(target_shape) if isinstance(target_shape, (tuple, list)) else None
        if (
            entries is None
            or not all(is_integer(n) and n >= -1 for n in entries)
            or entries.count(-1) > 1
        ):
            raise bad(
                self,
                f"target_shape is a tuple of integers that are at least 0, or -1 for one of them, "
                f"got {target_shape!r}",
            )
        self.target_shape = tuple(int(n) for n in entries)

    def call(self, x: Any) -> Any:
        """Reshape x; see the class."""
        shape = shape_of(x)
        require_shape(self, shape, "[batch, ...]", least=1)
        target: list[Any] = list(self.target_shape)
        count = size_of(shape[1:])
        known = math.prod(n for n in target if n != -1)
        if -1 in target and known and same_dim(count // known * known, count):
            # Worked out here: of an empty batch, NumPy cannot tell what -1 is.
            target[target.index(-1)] = count // known
        if is_static(shape[1:]) and (-1 in target or math.prod(target) != count):
            raise bad_call(
                self,
                f"has target_shape={self.target_shape}, which does not fit the {count} elements of "
                f"{shape_text(shape)} after the batch",
            )
        return ops.reshape(x, (shape[0], *target))


class Permute(Layer):
    """Puts all axes but the first into another order.

    Args:
        dims: axis i of the output is axis `dims[i - 1]` of the input; the first axis after the
            batch is 1.
        name: of the layer.

    Input [batch, ...], of any dtype, with as many axes as dims after the batch. All dimensions may
    be symbolic.

    Raises:
        LayerError: dims that are no permutation, or an input with another number of dimensions.
    """

    def __init__(self, dims: Any, *, name: str | None = None) -> None:
        self.name = name
        entries = tuple(dims) if isinstance(dims, (tuple, list)) else ()
        numbers = list(range(1, len(entries) + 1))
        if not entries or not all(map(is_integer, entries)) or sorted(entries) != numbers:
            raise bad(self, f"dims is a permutation of 1, 2, ..., got {dims!r}")
        self.dims = tuple(int(n) for n in entries)

    def call(self, x: Any) -> Any:
        """Permute the axes of x; see the class."""
        rank = len(self.dims) + 1
        axes = ", ".join(f"axis {n}" for n in range(1, rank))
        require_shape(self, shape_of(x), f"[batch, {axes}]", least=rank, most=rank)
        return ops.permute_dims(x, (0, *self.dims))


class RepeatVector(Layer):
    """Repeats a vector as the steps of a sequence.

    Args:
        n: number of steps.
        name: of the layer.

    Input [batch, features], of any dtype; output [batch, n, features]. All dimensions may be
    symbolic.

    Raises:
        LayerError: n is not a positive integer, or the input has not two dimensions.
    """

    def __init__(self, n: int, *, name: str | None = None) -> None:
        self.name = name
        self.n = positive(self, "n", n)

    def call(self, x: Any) -> Any:
        """Repeat x; see the class."""
        shape = shape_of(x)
        require_shape(self, shape, "[batch, features]", least=2, most=2)
        return ops.broadcast_to(ops.expand_dims(x, 1), (shape[0], self.n, shape[1]))


# -- what lies around ------------------------------------------------------------------------------


class _Border(Spatial):
    """What cropping and padding share."""

    def _sides(self, what: str, value: Any) -> tuple[tuple[int, int], ...]:
        """(before, after) for each axis of space.

        Raises:
            LayerError: it is something else.
        """
        rank = self.rank
        if is_integer(value):
            each: Any = [(value, value)] * rank
        elif rank == 1:
            each = [value]
        elif isinstance(value, (tuple, list)) and len(value) == rank:
            each = [(n, n) if is_integer(n) else n for n in value]
        else:
            each = []
        if len(each) != rank or not all(map(_is_pair, each)):
            more = f", one or two for each of ({', '.join(AXES[rank])})"
            raise bad(
                self,
                f"{what} is an integer that is at least 0, or two (before, after)"
                f"{more if rank > 1 else ''}, got {value!r}",
            )
        return tuple((int(before), int(after)) for before, after in each)

    def _all_axes(self, sides: Any) -> list[tuple[int, int]]:
        """The sides of all axes: none of batch and channels."""
        around = [(0, 0)] * (self.rank + 2)
        for axis, side in zip(self._space_axes, sides, strict=True):
            around[axis] = side
        return around


def _is_pair(value: Any) -> bool:
    is_pair = isinstance(value, (tuple, list)) and len(value) == 2
    return is_pair and all(is_integer(n) and n >= 0 for n in value)


class _Cropping(_Border):
    """Cuts off what lies at the ends of the axes of space.

    Args:
        cropping: {sides}.
        data_format: "channels_last" (also None): {channels_last};
            "channels_first": {channels_first}.
        name: of the layer.

    Input of any dtype, output in its layout; all dimensions may be symbolic.

    Raises:
        LayerError: a bad argument, an input in another layout, or one of which nothing is left.
    """

    def __init__(
        self,
        cropping: Any = 1,
        data_format: str | None = "channels_last",
        *,
        name: str | None = None,
    ) -> None:
        self.name = name
        self.data_format = image_format(self, data_format)
        self.cropping = self._sides("cropping", cropping)

    def call(self, x: Any) -> Any:
        """Crop x; see the class."""
        shape = shape_of(x)
        self._require_layout(shape)
        around = self._all_axes(self.cropping)
        for axis, (before, after) in enumerate(around):
            size = shape[axis]
            if isinstance(size, int) and before + after >= size > 0:
                raise bad_call(
                    self,
                    f"has cropping={self.cropping}, which leaves nothing of axis {axis} of "
                    f"{shape_text(shape)}",
                )
        if not any(map(any, around)):
            return x
        return x[tuple(slice(before or None, -after or None) for before, after in around)]


class Cropping1D(_Cropping, rank=1):
    """Cuts steps off the ends of sequences."""


class Cropping2D(_Cropping, rank=2):
    """Cuts rows and columns off the edges of images."""

    def __init__(
        self,
        cropping: Any = ((0, 0), (0, 0)),
        data_format: str | None = "channels_last",
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(cropping, data_format, name=name)


class Cropping3D(_Cropping, rank=3):
    """Cuts planes off the sides of volumes."""


class _ZeroPadding(_Border):
    """Adds zeros at the ends of the axes of space.

    Args:
        padding: {sides}.
        data_format: "channels_last" (also None): {channels_last};
            "channels_first": {channels_first}.
        name: of the layer.

    Input of any dtype, output in its layout; all dimensions may be symbolic.

    Raises:
        LayerError: a bad argument, or an input in another layout.
    """

    def __init__(
        self,
        padding: Any = 1,
        data_format: str | None = "channels_last",
        *,
        name: str | None = None,
    ) -> None:
        self.name = name
        self.data_format = image_format(self, data_format)
        self.padding = self._sides("padding", padding)

    def call(self, x: Any) -> Any:
        """Pad x; see the class."""
        self._require_layout(shape_of(x))
        around = self._all_axes(self.padding)
        return ops.pad(x, around) if any(map(any, around)) else x


class ZeroPadding1D(_ZeroPadding, rank=1):
    """Adds steps of zeros at the ends of sequences."""


class ZeroPadding2D(_ZeroPadding, rank=2):
    """Adds rows and columns of zeros at the edges of images."""


class ZeroPadding3D(_ZeroPadding, rank=3):
    """Adds planes of zeros at the sides of volumes."""
