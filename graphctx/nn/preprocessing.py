"""Preprocessing that belongs in a served graph: what arrives becomes what a model takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from graphctx import ops
from graphctx.layer import Layer, Variable
from graphctx.nn.arguments import (
    as_floats,
    axis_tuple,
    bad,
    bad_call,
    choice,
    flag,
    float_dtype,
    is_integer,
    is_tensor,
    known_size,
    normal_axes,
    number,
    positive,
    require_shape,
    require_size,
)
from graphctx.spec import dtype_name, kind_of, limits_of, same_dim, same_shape, shape_text
from graphctx.tensor import ArrayOperators

__all__ = ["CategoryEncoding", "Discretization", "Normalization", "Rescaling"]

EPSILON = 1e-7  # Keras's, the least standard deviation


def _numbers(layer: Layer, what: str, value: Any, dtype: Any) -> Any:
    """An argument that is a number or an array of numbers, as an array."""
    array = np.asarray(value)
    if kind_of(array.dtype) not in "iuf" or not np.isfinite(array).all():
        raise bad(layer, f"{what} is a number or an array of numbers, got {value!r}")
    if array.size and abs(array).max() > limits_of(dtype)[1]:
        raise bad(layer, f"{what} is more than {dtype} can hold: {value!r}")
    return array.astype(dtype)


class Rescaling(Layer):
    """Scales and shifts: `x * scale + offset`. `Rescaling(1 / 127.5, -1)` maps bytes to [-1, 1].

    Args:
        scale: a number, or an array that broadcasts to the input: one number a channel, say.
        offset: likewise.
        dtype: to convert the input to first, and of the output.
        name: of the layer.

    Input numbers of any dtype and shape, output like it. All dimensions may be symbolic.

    Raises:
        LayerError: a scale or an offset that is no number, or an input not of numbers.
        ShapeError: they do not broadcast.
    """

    def __init__(
        self, scale: Any, offset: Any = 0.0, *, dtype: Any = "float32", name: str | None = None
    ) -> None:
        self.name = name
        self.dtype = float_dtype(self, dtype)
        self.scale = _numbers(self, "scale", scale, self.dtype)
        self.offset = _numbers(self, "offset", offset, self.dtype)

    def call(self, x: Any) -> Any:
        """Scale and shift x."""
        y = ops.multiply(as_floats(self, x, self.dtype), self.scale)
        return ops.add(y, self.offset) if self.offset.any() else y


# -- Normalization --------------------------------------------------------------------------------


class Normalization(Layer):
    """Shifts and scales features to mean 0 and variance 1: `(x - mean) / sqrt(variance)`.

    Mean and variance are given, or found by `adapt`. A standard deviation counts as at least 1e-7.

    Args:
        axis: the axis or axes along which mean and variance differ; None for one of each for all.
        mean: a number, or an array that broadcasts to the sizes of the axes in ascending order;
            together with variance.
        variance: likewise.
        invert: whether to do the inverse: `mean + x * sqrt(variance)`.
        dtype: to convert the input to first, of weights and of the output.
        name: of the layer.

    Attributes:
        mean: sizes of the axes in ascending order, not trainable; None where it is given.
        variance: likewise.
        count: int32 scalar, not trainable and without use; Keras has it among the weights.

    Input numbers of any dtype; the sizes of the axes must be numbers. Output like the input.

    Raises:
        LayerError: a bad argument; an input without one of the axes, with symbolic or other sizes
            of them than the layer was built for, or not of numbers.
    """

    mean: Variable | None
    variance: Variable | None
    count: Variable

    def __init__(
        self,
        axis: Any = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        *,
        dtype: Any = "float32",
        name: str | None = None,
    ) -> None:
        self.name = name
        is_none = axis is None or (isinstance(axis, (tuple, list)) and not axis)
        self.axis = () if is_none else axis_tuple(self, axis)
        self.invert = flag(self, "invert", invert)
        self.dtype = float_dtype(self, dtype)
        if (mean is None) != (variance is None):
            raise bad(self, "mean and variance are given together, or none of them")
        self._given: tuple[Any, Any] | None = None
        self.mean = self.variance = None
        if mean is not None:
            given = [_numbers(self, "mean", mean, self.dtype)]
            given.append(_numbers(self, "variance", variance, self.dtype))
            shapes = [array.shape for array in given]
            if shapes[0] != shapes[1] or len(shapes[0]) > len(self.axis):
                raise bad(
                    self,
                    f"mean and variance have one shape, of at most as many dimensions as axis has "
                    f"axes ({len(self.axis)}), got {shape_text(shapes[0])} and "
                    f"{shape_text(shapes[1])}",
                )
            if (given[1] < 0).any():
                raise bad(self, f"variance is at least 0, got {variance!r}")
            self._given = (given[0], given[1])

    def build(self, input_shape: Any) -> None:
        """Create mean and variance, or broadcast those that are given."""
        require_shape(self, input_shape, "[batch, ...]", least=0)
        rank = len(input_shape)
        axes = normal_axes(self, self.axis, rank)
        self._kept = {
            axis: known_size(self, input_shape, axis, "sizes along its axis") for axis in axes
        }
        sizes = tuple(self._kept.values())
        # Per feature, with size 1 elsewhere.
        self._wide = tuple(self._kept.get(axis, 1) for axis in range(rank))
        if self._given is not None:
            try:
                arrays = [np.broadcast_to(array, sizes) for array in self._given]
            except ValueError:
                raise bad_call(
                    self,
                    f"has a mean {shape_text(self._given[0].shape)}, which does not broadcast to "
                    f"the sizes {shape_text(sizes)} of axes {axes}",
                ) from None
            self._constants = tuple(array.reshape(self._wide) for array in arrays)
            return

        def weight(name: str, initializer: str, shape: Any, dtype: Any) -> Variable:
            return self.add_weight(shape, initializer, name=name, trainable=False, dtype=dtype)

        self.mean = weight("mean", "zeros", sizes, self.dtype)
        self.variance = weight("variance", "ones", sizes, self.dtype)
        self.count = weight("count", "zeros", (), "int32")

    def call(self, x: Any) -> Any:
        """Normalize x; see the class."""
        x = as_floats(self, x, self.dtype)
        if x.ndim != len(self._wide):
            raise bad_call(
                self,
                f"was built for inputs of {len(self._wide)} dimensions, got {shape_text(x.shape)}",
            )
        for axis, size in self._kept.items():
            require_size(self, x.shape, axis, size, "features")
        if self.mean is None or self.variance is None:
            mean, variance = self._constants
            deviation = np.maximum(np.sqrt(variance), self.dtype.type(EPSILON))
        else:
            mean, variance = (self._widened(v.value) for v in (self.mean, self.variance))
            deviation = ops.maximum(ops.sqrt(variance), EPSILON)
        return x * deviation + mean if self.invert else (x - mean) / deviation

    def _widened(self, weight: Any) -> Any:
        sizes = tuple(self._kept.values())
        trailing = self._wide[len(self._wide) - len(sizes) :] == sizes
        return weight if trailing else ops.reshape(weight, self._wide)

    def adapt(self, data: Any) -> None:
        """Set mean and variance to those of data. A trace made before keeps the old ones.

        Args:
            data: an array like the input, with a number for each size; or batches of one: anything
                to iterate over, also of tuples, of which the first part is taken.

        Raises:
            LayerError: mean and variance are given, there is no data, NaN or infinity in it, or it
                has another shape than the layer was built for.
        """
        if self._given is not None:
            raise bad(self, "adapt() would replace the mean and variance that are given")
        total = 0
        mean = variance = np.zeros(())
        for batch in _batches(self, data):
            self._ensure_built((batch,))
            if batch.ndim != len(self._wide) or any(
                batch.shape[a] != n for a, n in self._kept.items()
            ):
                raise bad(
                    self,
                    f"was built for inputs like {shape_text(self._wide)} (1 for any size), got "
                    f"data {shape_text(batch.shape)}",
                )
            others = tuple(a for a in range(batch.ndim) if a not in self._kept)
            wide = batch.astype(np.float64)
            count = int(np.prod([batch.shape[a] for a in others]))
            total += count
            share = count / total
            # The variances within both parts, and that between their means.
            step = wide.mean(others) - mean
            variance = variance + share * (wide.var(others) - variance + (1 - share) * step**2)
            mean = mean + share * step
        if not total:
            raise bad(self, "adapt() got no data")
        assert self.mean is not None
        assert self.variance is not None
        self.mean.assign(mean)
        self.variance.assign(variance)


def _batches(layer: Layer, data: Any) -> Iterable[Any]:
    """Data as arrays of numbers: one, or the batches of something to iterate over."""
    if isinstance(data, ArrayOperators) or not isinstance(data, Iterable):
        raise bad(layer, f"adapt() takes arrays of numbers, got {type(data).__name__}")
    for item in (data,) if isinstance(data, np.ndarray) else data:
        batch = item[0] if isinstance(item, tuple) else item
        if not isinstance(batch, np.ndarray) or kind_of(batch.dtype) not in "biuf":
            raise bad(layer, f"adapt() takes arrays of numbers, got {batch!r}")
        if not np.isfinite(batch).all():
            raise bad(layer, "adapt() got NaN or infinity; drop or replace them first")
        if batch.size:
            yield batch


# -- categories -----------------------------------------------------------------------------------

MODES = ("one_hot", "multi_hot", "count")


def _encoded(layer: Layer, x: Any, mode: str, depth: int, dtype: Any, weights: Any = None) -> Any:
    """Category numbers as vectors: one each ("one_hot"), or one for all along the last axis."""
    if mode == "one_hot":
        if x.ndim > 1 and same_dim(x.shape[-1], 1):
            x = ops.squeeze(x, axis=-1)
    else:
        require_shape(
            layer, x.shape, "[batch, categories] or [categories]", least=1, most=2,
            hint=f' (output_mode="{mode}")',
        )  # fmt: skip
    # As ONNX's OneHot, but a negative number is no category, as in Keras.
    hits = ops.expand_dims(x, -1) == np.arange(depth, dtype=x.dtype)
    if mode == "multi_hot":
        return ops.astype(ops.any(hits, axis=-2), dtype)
    hits = ops.astype(hits, dtype)
    if mode == "one_hot":
        return hits
    return ops.sum(hits if weights is None else hits * ops.expand_dims(weights, -1), axis=-2)


class CategoryEncoding(Layer):
    """Turns category numbers into vectors with a place for each category.

    Args:
        num_tokens: how many categories there are, numbered from 0. Other numbers have no place, and
            so leave it at 0.
        output_mode: "one_hot": a vector for each number, with 1 at its place; "multi_hot": one for
            each example, with 1 at the places of its numbers; "count": likewise, with how often a
            number is there.
        dtype: of the vectors.
        name: of the layer.

    Input integers [batch, numbers], or [numbers] of one example; for "one_hot" of any shape. Output
    [batch, num_tokens]; for "one_hot" [*shape, num_tokens], where a last axis of size 1 is left
    out. All dimensions may be symbolic.

    Raises:
        LayerError: a bad argument; an input not of integers, or of other dimensions; weights of
            another shape, or in another mode than "count".
    """

    def __init__(
        self,
        num_tokens: int,
        output_mode: str = "multi_hot",
        *,
        dtype: Any = "float32",
        name: str | None = None,
    ) -> None:
        self.name = name
        self.num_tokens = positive(self, "num_tokens", num_tokens)
        self.output_mode = choice(self, "output_mode", output_mode, MODES)
        self.dtype = float_dtype(self, dtype)

    def call(self, x: Any, count_weights: Any = None) -> Any:
        """Encode x.

        Args:
            x: see the class.
            count_weights: numbers of the shape of x, only for "count": how much each counts.
        """
        if not is_tensor(x):
            raise bad_call(self, f"takes one tensor of integers, got a {type(x).__name__}")
        if kind_of(x.dtype) not in "iu":
            raise bad_call(
                self,
                f"takes a tensor of integers, got {dtype_name(x.dtype)}; convert it with "
                f"ops.astype(x, 'int32')",
            )
        require_shape(self, x.shape, "[batch, ...]", least=1)
        if count_weights is not None:
            if self.output_mode != "count":
                raise bad_call(
                    self, f"has no use for count_weights in output_mode={self.output_mode!r}"
                )
            count_weights = as_floats(self, count_weights, self.dtype)
            if not same_shape(count_weights.shape, x.shape):
                raise bad_call(
                    self,
                    f"takes count_weights of the shape of its input {shape_text(x.shape)}, got "
                    f"{shape_text(count_weights.shape)}",
                )
        if x.dtype != np.int32:
            x = ops.astype(x, "int64")
        return _encoded(self, x, self.output_mode, self.num_tokens, self.dtype, count_weights)


# -- Discretization -------------------------------------------------------------------------------


class Discretization(Layer):
    """Says in which of several ranges each number lies.

    The boundaries [0, 1, 2] make the ranges (-inf, 0), [0, 1), [1, 2) and [2, inf), which are
    numbered from 0; NaN lies in the last one.

    Args:
        bin_boundaries: numbers in ascending order.
        num_bins: instead of them, how many ranges `adapt` is to find, all with about as many
            numbers.
        epsilon: how exactly `adapt` does so: the share of the numbers by which a boundary may be
            wrong.
        output_mode: "int" for the numbers of the ranges; else see `CategoryEncoding`.
        dtype: to compare in; of the output unless it is "int".
        name: of the layer.

    Input numbers of any shape. Output int32 of the same shape, or else as `CategoryEncoding` has
    it. All dimensions may be symbolic.

    Raises:
        LayerError: a bad argument; a call before the boundaries are known; an input not of numbers,
            or for "multi_hot" and "count" not of 1 or 2 dimensions.
    """

    def __init__(
        self,
        bin_boundaries: Iterable[float] | None = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        *,
        dtype: Any = "float32",
        name: str | None = None,
    ) -> None:
        self.name = name
        if (bin_boundaries is None) == (num_bins is None):
            raise bad(self, "takes either bin_boundaries or num_bins")
        self.num_bins = None if num_bins is None else positive(self, "num_bins", num_bins)
        self.epsilon = number(self, "epsilon", epsilon, 0, 1)
        if not self.epsilon:
            raise bad(self, "epsilon is larger than 0")
        self.output_mode = choice(self, "output_mode", output_mode, ("int", *MODES))
        self.dtype = float_dtype(self, dtype)
        self.bin_boundaries: list[float] | None = None
        if bin_boundaries is not None:
            self.bin_boundaries = self._ascending(bin_boundaries)

    def _ascending(self, given: Any) -> list[float]:
        is_list = isinstance(given, (list, tuple)) or (isinstance(given, np.ndarray) and given.ndim)
        values = list(given) if is_list else []
        numbers = [isinstance(v, (float, np.floating)) or is_integer(v) for v in values]
        if not values or not all(numbers) or not np.all(np.diff(np.asarray(values, float)) >= 0):
            raise bad(self, f"bin_boundaries are numbers in ascending order, got {given!r}")
        return [float(v) for v in values]

    def call(self, x: Any) -> Any:
        """Find the ranges of x; see the class."""
        if self.bin_boundaries is None:
            raise bad_call(self, "does not know its boundaries yet: call adapt(data) first")
        x = as_floats(self, x, self.dtype)
        with np.errstate(over="ignore"):  # infinity is beyond what the dtype holds, too
            boundaries = np.asarray(self.bin_boundaries, self.dtype)
        below = ops.expand_dims(x, -1) < boundaries
        numbers = ops.sum(ops.astype(ops.logical_not(below), "int32"), axis=-1, dtype="int32")
        if self.output_mode == "int":
            return numbers
        require_shape(self, x.shape, "[batch, ...]", least=1)
        return _encoded(self, numbers, self.output_mode, len(boundaries) + 1, self.dtype)

    def adapt(self, data: Any) -> None:
        """Set the boundaries to quantiles of data. A trace made before keeps the old ones.

        Args:
            data: an array of numbers, or batches of them; see `Normalization.adapt`.

        Raises:
            LayerError: the boundaries are given, there is no data, or NaN or infinity in it.
        """
        if self.num_bins is None:
            raise bad(self, "adapt() would replace the bin_boundaries that are given")
        summary = np.zeros((2, 0), np.float32)
        for batch in _batches(self, data):
            both = np.concatenate([_summary(batch, self.epsilon), summary], axis=1)
            summary = _compressed(both[:, np.argsort(both[0])], self.epsilon)
        if not summary.size:
            raise bad(self, "adapt() got no data")
        self.bin_boundaries = _compressed(summary, 1 / self.num_bins)[0, :-1].tolist()


# Keras's sketch of a distribution, so that the same data gives the same boundaries: [2, n], values
# in ascending order and how many numbers each stands for.


def _summary(values: Any, epsilon: float) -> Any:
    """The sketch of one array: numbers of it, in equal steps."""
    values = np.sort(values.astype(np.float32).reshape(-1))
    step = max(values.size / (1 / epsilon), 1)
    chosen = values[int(step - 1) :: int(step)]
    return np.stack([chosen, np.full_like(chosen, step)])


def _compressed(summary: Any, epsilon: float) -> Any:
    """The sketch with about `1 / epsilon` values, interpolated from those there are."""
    if summary.shape[1] * epsilon < 1:
        return summary
    shares = epsilon + np.arange(0.0, 1.0, epsilon)
    totals = summary[1].cumsum()
    values = np.interp(shares, totals / totals[-1], summary[0])
    counts = np.diff(np.interp(shares, totals / totals[-1], totals), prepend=0)
    return np.stack([values, counts]).astype(np.float32)
