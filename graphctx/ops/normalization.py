"""Normalization: subtract a mean, divide by a deviation, scale and shift.

Statistics are computed in the dtype of the input, those of float16 in float32. Large arrays are
taken in blocks; a step writes its result into `out`, which may be its first operand.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphctx.errors import DTypeError, ShapeError
from graphctx.graph import Node, Value
from graphctx.ops.blocks import in_blocks, sum_of_rows, with_column
from graphctx.ops.elementwise import add, divide, maximum, multiply, sqrt, square, subtract
from graphctx.ops.logic import astype
from graphctx.ops.reductions import mean, vector_norm
from graphctx.ops.rules import half_in_single, one_floating_dtype
from graphctx.ops.shape import broadcasts_to, reshape, reshape_op
from graphctx.ops.shape import shape as shape_of
from graphctx.ops.table import (
    Inferred,
    common_dtype,
    normalize_axes,
    normalize_axis,
    op,
    require_kind,
)
from graphctx.spec import is_half, is_multiple, require_same_dim, shape_text

# -- what the kernels share -----------------------------------------------------------------------


def _standardize(x: Any, y: Any, out: Any, epsilon: float) -> tuple[Any, Any]:
    """Write contiguous rows with mean 0 and variance 1 into `out` (Ba et al. 2016, eq. 3).

    `out` may be x; y is a buffer.

    Returns:
        Means and inverse deviations of the rows.
    """
    count = x.dtype.type(x.shape[-1])
    mean = sum_of_rows(x)
    mean /= count
    with_column(np.subtract, x, mean, y)
    deviation = np.vecdot(y, y)[..., None]
    deviation /= count
    deviation += epsilon
    np.sqrt(deviation, out=deviation)
    np.divide(1, deviation, out=deviation)
    with_column(np.multiply, y, deviation, out)
    return mean, deviation


def _flat(x: Any, axis: int) -> Any:
    """The axes from `axis` on as one."""
    axis %= x.ndim
    return x if axis == x.ndim - 1 else x.reshape(*x.shape[:axis], math.prod(x.shape[axis:]))


def _check_affine(X: Value, size: Any, vectors: dict[str, Value]) -> None:
    for name, value in vectors.items():
        require_kind(value, "f", "a floating dtype")
        if value.rank != 1:
            raise ShapeError(f"{name} is a vector, got {shape_text(value.shape)}")
        require_same_dim(value.shape[0], size, f"{name} has one number a channel")


def _channels_first(X: Value) -> None:
    require_kind(X, "f", "a floating dtype")
    if X.rank < 2:
        raise ShapeError(f"needs [N, C, ...], got {shape_text(X.shape)}")


def _per_channel(vector: Any, x: Any) -> Any:
    """A vector with one number a channel, to broadcast against [N, C, ...]."""
    if vector.shape != (x.shape[1],):
        raise ValueError("one number a channel")
    return vector.reshape(-1, *(1,) * (x.ndim - 2))


# -- over the batch -------------------------------------------------------------------------------


def _infer_batch_norm(
    X: Value,
    scale: Value,
    B: Value,
    input_mean: Value,
    input_var: Value,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
) -> Any:
    _channels_first(X)
    vectors: dict[str, Value] = {
        "scale": scale,
        "B": B,
        "input_mean": input_mean,
        "input_var": input_var,
    }
    _check_affine(X, X.shape[1], vectors)
    if not training_mode:
        return X.shape, X.dtype
    return [(X.shape, X.dtype), (input_mean.shape, input_mean.dtype),
            (input_var.shape, input_var.dtype)]  # fmt: skip


@op("BatchNormalization", since=15, infer=_infer_batch_norm)
def batch_norm_op(
    X: Any,
    scale: Any,
    B: Any,
    input_mean: Any,
    input_var: Any,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
) -> Any:
    """Each channel scaled and shifted by running statistics, or by those of the batch."""
    if not training_mode:
        return _affine(X, scale, B, input_mean, input_var, epsilon)
    axes = (0, *range(2, X.ndim))
    wide = X.astype(np.float32) if X.dtype == np.float16 else X
    count = wide.dtype.type(math.prod(X.shape) // X.shape[1])
    mean = np.add.reduce(wide, axis=axes)
    mean /= count
    centered = wide - _per_channel(mean, X)
    flat = _flat(centered, 2)
    variance = np.add.reduce(np.vecdot(flat, flat), axis=0)
    variance /= count
    factor = scale * (1 / np.sqrt(variance + variance.dtype.type(epsilon)))
    centered *= _per_channel(factor, X)
    centered += _per_channel(B, X)
    return (
        centered.astype(X.dtype, copy=False),
        _running(input_mean, mean, momentum),
        _running(input_var, variance, momentum),
    )


def _affine(X: Any, scale: Any, B: Any, mean: Any, variance: Any, epsilon: float) -> Any:
    factor = scale / np.sqrt(variance + variance.dtype.type(epsilon))
    operands = X, _per_channel(factor, X), _per_channel(B - mean * factor, X)
    return in_blocks(_scale_and_shift, operands, None, (factor.dtype,))


def _scale_and_shift(x: Any, factor: Any, shift: Any, out: Any, y: Any) -> None:
    np.add(np.multiply(x, factor, out=y), shift, out=out, casting="same_kind")


def _running(old: Any, current: Any, momentum: float) -> Any:
    kind = old.dtype.type
    return (old * kind(momentum) + current * kind(1 - momentum)).astype(old.dtype, copy=False)


def batch_norm(
    x: Any,
    scale: Any,
    bias: Any,
    mean: Any,
    variance: Any,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training: bool = False,
) -> Any:
    """Batch normalization (Ioffe and Szegedy 2015) over all axes but the second.

    Args:
        x: [N, C, ...].
        scale: [C].
        bias: [C].
        mean: [C], running mean.
        variance: [C], running (population) variance.
        epsilon: added to the variance.
        momentum: share of the old running statistics in the new ones.
        training: whether to use the statistics of the batch.

    Returns:
        The normalized tensor; in training a tuple of it, the new running mean and variance.

    Raises:
        ShapeError: a vector does not have one number a channel.
    """
    attrs: dict[str, Any] = {"epsilon": float(epsilon)}
    if training:
        attrs.update(momentum=float(momentum), training_mode=1)
    return batch_norm_op(x, scale, bias, mean, variance, **attrs)


# -- over the last axes ---------------------------------------------------------------------------


def _infer_layer_norm(
    X: Value,
    Scale: Value,
    B: Value | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    outputs: int = 1,
    stash_type: int = 1,
) -> Inferred | list[Inferred]:
    require_kind(X, "f", "a floating dtype")
    common_dtype([X, Scale] if B is None else [X, Scale, B])
    along = normalize_axis(axis, X.rank)
    if outputs > 1 and stash_type != 1:
        raise DTypeError(f"means and deviations are float32 (stash_type 1), not {stash_type}")
    for name, value in (("Scale", Scale), ("B", B)):
        if value is not None and not broadcasts_to(value.shape, X.shape):
            raise ShapeError(
                f"{name} {shape_text(value.shape)} does not broadcast to {shape_text(X.shape)}"
            )
    if outputs == 1:
        return X.shape, X.dtype
    statistics = ((*X.shape[:along], *(1 for _ in X.shape[along:])), np.dtype(np.float32))
    return [(X.shape, X.dtype), *[statistics] * (outputs - 1)]


def _local_axes(node: Node) -> int:
    """How many axes are normalized together."""
    axis: int = node.attrs.get("axis", -1)
    return -axis if axis < 0 else node.output.rank - axis


def _layer_norm(
    x: Any, scale: Any, bias: Any, out: Any, y: Any, axis: int, epsilon: float
) -> tuple[Any, Any]:
    found = _standardize(_flat(x, axis), _flat(y, axis), _flat(out, axis), epsilon)
    np.multiply(out, scale, out=out)
    if bias is not None:
        np.add(out, bias, out=out)
    return found


@op("LayerNormalization", since=17, infer=_infer_layer_norm, local=_local_axes, row_major=True)
def layer_norm_op(
    X: Any,
    Scale: Any,
    B: Any = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    outputs: int = 1,
    stash_type: int = 1,
    out: Any = None,
) -> Any:
    """The axes from `axis` on together standardized, then scaled and shifted.

    Further outputs are the means and the inverse deviations in float32.
    """
    axis = axis if axis < 0 else axis - X.ndim
    if outputs == 1:
        return _layer_norm_of(X, Scale, B, axis=axis, epsilon=epsilon, out=out)
    wide = np.ascontiguousarray(X, np.float32 if X.dtype == np.float16 else X.dtype)
    y = np.empty_like(wide)
    mean, deviation = _layer_norm(wide, Scale, B, y, np.empty_like(wide), axis, epsilon)
    shape = (*X.shape[:axis], *(1,) * -axis)
    statistics = (z.astype(np.float32, copy=False).reshape(shape) for z in (mean, deviation))
    with np.errstate(over="ignore"):
        return (y.astype(X.dtype, copy=False), *statistics)[:outputs]


@half_in_single
def _layer_norm_of(x: Any, scale: Any, bias: Any, *, axis: int, epsilon: float, out: Any) -> Any:
    x = np.ascontiguousarray(x)
    return in_blocks(
        _layer_norm, (x, scale, bias), out, (x.dtype,), axis, epsilon, whole=-axis, once=True
    )


def layer_norm(
    x: Any, scale: Any, bias: Any = None, *, axis: int = -1, epsilon: float = 1e-5,
    statistics: bool = False,
) -> Any:  # fmt: skip
    """Layer normalization (Ba et al. 2016): the axes from `axis` on have mean 0 and variance 1.

    Args:
        x: any floating tensor.
        scale: broadcasts to x; usually of the shape of the axes that are normalized.
        bias: like scale.
        axis: first of the axes that are normalized together.
        epsilon: added to the variance.
        statistics: whether to return means and inverse deviations, too.

    Returns:
        A tensor like x; with `statistics` a tuple of it and of two float32 tensors in which the
        axes from `axis` on have the size 1.

    Raises:
        ShapeError: scale or bias do not broadcast to x.
    """
    attrs = {"outputs": 3} if statistics else {}
    return layer_norm_op(x, scale, bias, axis=operator.index(axis), epsilon=float(epsilon), **attrs)


def _infer_rms_norm(
    X: Value, scale: Value, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Inferred:
    for value in (X, scale):
        require_kind(value, "f", "a floating dtype")
    normalize_axis(axis, X.rank)
    if not broadcasts_to(scale.shape, X.shape):
        raise ShapeError(
            f"scale {shape_text(scale.shape)} does not broadcast to {shape_text(X.shape)}"
        )
    return X.shape, scale.dtype


def _rms_norm(x: Any, scale: Any, out: Any, y: Any, axis: int, epsilon: float) -> None:
    flat = _flat(x, axis)
    root = np.vecdot(flat, flat)[..., None]
    root /= x.dtype.type(flat.shape[-1])
    root += epsilon
    np.sqrt(root, out=root)
    np.divide(1, root, out=root)
    with_column(np.multiply, flat, root, _flat(y, axis))
    np.multiply(y, scale, out=out)


@op("RMSNormalization", since=23, infer=_infer_rms_norm, local=_local_axes, row_major=True)
def rms_norm_op(
    X: Any, scale: Any, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1,
    out: Any = None,
) -> Any:  # fmt: skip
    """The axes from `axis` on together divided by their root mean square, then scaled."""
    axis = axis if axis < 0 else axis - X.ndim
    if X.dtype == scale.dtype:
        return _rms_norm_of(X, scale, axis=axis, epsilon=epsilon, out=out)
    # The result has the dtype of the scale.
    wide = np.result_type(X.dtype, scale.dtype, np.float32)
    operands = (x.astype(wide, copy=False) for x in (X, scale))
    with np.errstate(over="ignore"):
        return _rms_norm_of(*operands, axis=axis, epsilon=epsilon).astype(scale.dtype)


@half_in_single
def _rms_norm_of(x: Any, scale: Any, *, axis: int, epsilon: float, out: Any = None) -> Any:
    x = np.ascontiguousarray(x)
    return in_blocks(_rms_norm, (x, scale), out, (x.dtype,), axis, epsilon, whole=-axis)


def rms_norm(x: Any, scale: Any, *, axis: int = -1, epsilon: float = 1e-5) -> Any:
    """Root mean square normalization (Zhang and Sennrich 2019) of the axes from `axis` on.

    Args:
        x: any floating tensor.
        scale: broadcasts to x.
        axis: first of the axes that are normalized together.
        epsilon: added to the mean square.

    Raises:
        ShapeError: scale does not broadcast to x.
    """
    return rms_norm_op(x, scale, axis=operator.index(axis), epsilon=float(epsilon))


def _infer_lp_norm(input: Value, *, axis: int = -1, p: int = 2) -> Inferred:
    require_kind(input, "f", "a floating dtype")
    normalize_axis(axis, input.rank)
    if p not in (1, 2):
        raise ShapeError(f"p is 1 or 2, got {p}")
    return input.shape, input.dtype


@op("LpNormalization", since=22, infer=_infer_lp_norm)
@half_in_single
def lp_norm_op(input: Any, *, axis: int = -1, p: int = 2) -> Any:
    """The vectors along an axis divided by their p-norm (p is 1 or 2); zeros stay zeros."""
    if p == 1:
        norm = np.add.reduce(np.abs(input), axis=axis, keepdims=True)
    elif p == 2:
        norm = np.sqrt(np.add.reduce(np.square(input), axis=axis, keepdims=True))
    else:
        raise ValueError("p is 1 or 2")
    norm[norm == 0] = 1
    return input / norm


def unit_norm(x: Any, axis: int | Sequence[int] = -1) -> Any:
    """Vectors scaled to the Euclidean norm 1; zeros stay zeros.

    Args:
        x: any floating tensor.
        axis: along which a vector lies; of several axes, the elements are one vector together.
    """
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    if len(axes) == 1:
        return lp_norm_op(x, axis=operator.index(axes[0]))
    norm = vector_norm(x, axes, keepdims=True)
    return divide(x, maximum(norm, np.finfo(x.dtype).tiny))


# -- over space and groups of channels ------------------------------------------------------------


def _infer_instance_norm(
    input: Value, scale: Value, B: Value, *, epsilon: float = 1e-5
) -> Inferred:
    _channels_first(input)
    common_dtype([input, scale, B])
    _check_affine(input, input.shape[1], {"scale": scale, "B": B})
    return input.shape, input.dtype


@op("InstanceNormalization", since=6, infer=_infer_instance_norm, row_major=True)
@half_in_single
def instance_norm_op(input: Any, scale: Any, B: Any, *, epsilon: float = 1e-5) -> Any:
    """Each channel of each image standardized, then scaled and shifted."""
    input = np.ascontiguousarray(input)
    operands = input, _per_channel(scale, input), _per_channel(B, input)
    whole = input.ndim - 2
    return in_blocks(_layer_norm, operands, None, (input.dtype,), -whole, epsilon, whole=whole)


def instance_norm(x: Any, scale: Any, bias: Any, *, epsilon: float = 1e-5) -> Any:
    """Instance normalization (Ulyanov et al. 2016) of every channel of [N, C, ...].

    Raises:
        ShapeError: scale or bias do not have one number a channel.
    """
    return instance_norm_op(x, scale, bias, epsilon=float(epsilon))


def _infer_group_norm(
    X: Value, scale: Value, bias: Value, *, num_groups: int, epsilon: float = 1e-5,
    stash_type: int = 1,
) -> Inferred:  # fmt: skip
    _channels_first(X)
    common_dtype([X, scale, bias])
    channels = X.shape[1]
    if not is_multiple(channels, num_groups):
        raise ShapeError(f"channels ({channels}) must be a multiple of num_groups ({num_groups})")
    _check_affine(X, channels, {"scale": scale, "bias": bias})
    return X.shape, X.dtype


def _expand_group_norm(
    X: Any, scale: Any, bias: Any, *, num_groups: int, epsilon: float = 1e-5, stash_type: int = 1
) -> Any:
    # onnxruntime has no kernel for it, and runs this 1.4 to 2.5 times as fast as the function that
    # ONNX defines it by; onnx infers no shape for it, either.
    wide = np.dtype(np.float32) if is_half(X.dtype) else X.dtype
    channels = (-1, *(1,) * (len(X.shape) - 2))
    y = reshape_op(astype(X, wide), np.array([0, num_groups, -1], np.int64))
    y = instance_norm_op(y, np.ones(num_groups, wide), np.zeros(num_groups, wide), epsilon=epsilon)
    y = reshape_op(y, shape_of(X))
    y = multiply(y, reshape(astype(scale, wide), channels))
    return astype(add(y, reshape(astype(bias, wide), channels)), X.dtype)


@op("GroupNormalization", since=21, infer=_infer_group_norm, expand=_expand_group_norm,
    row_major=True)  # fmt: skip
@half_in_single
def group_norm_op(
    X: Any, scale: Any, bias: Any, *, num_groups: int, epsilon: float = 1e-5, stash_type: int = 1
) -> Any:
    """Each group of channels of each image standardized, then channels scaled and shifted."""
    if num_groups < 1 or X.shape[1] % num_groups:
        raise ValueError("channels do not fit")
    X = np.ascontiguousarray(X)
    operands = X, _per_channel(scale, X), _per_channel(bias, X)
    return in_blocks(_group_norm, operands, None, (X.dtype,), num_groups, epsilon, whole=X.ndim - 1)


def _group_norm(
    x: Any, scale: Any, bias: Any, out: Any, y: Any, num_groups: int, epsilon: float
) -> None:
    groups = len(x), num_groups, math.prod(x.shape[1:]) // num_groups
    _standardize(x.reshape(groups), y.reshape(groups), out.reshape(groups), epsilon)
    np.multiply(out, scale, out=out)
    np.add(out, bias, out=out)


def group_norm(x: Any, scale: Any, bias: Any, groups: int, *, epsilon: float = 1e-5) -> Any:
    """Group normalization (Wu and He 2018) of [N, C, ...].

    Args:
        x: [N, C, ...].
        scale: [C].
        bias: [C].
        groups: how many groups of neighbouring channels have mean 0 and variance 1.
        epsilon: added to the variance.

    Raises:
        ShapeError: the channels cannot be split into so many groups.
    """
    return group_norm_op(x, scale, bias, num_groups=operator.index(groups), epsilon=float(epsilon))


# -- over neighbouring channels, and over axes of choice ------------------------------------------


def _infer_lrn(
    X: Value, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0
) -> Inferred:
    _channels_first(X)
    if size < 1:
        raise ShapeError(f"size is at least 1, got {size}")
    return X.shape, X.dtype


@op("LRN", since=1, infer=_infer_lrn)
@half_in_single
def lrn_op(X: Any, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> Any:
    """Each element divided by a power of the sum of squares of neighbouring channels."""
    one_floating_dtype(X)
    if size < 1:
        raise ValueError("size is at least 1")
    channels = X.shape[1]
    squares = np.square(X)
    total = np.zeros_like(X)
    behind = min(size // 2, channels - 1)
    for shift in range(-min((size - 1) // 2, channels - 1), behind + 1):
        to = slice(max(-shift, 0), channels - max(shift, 0))
        total[:, to] += squares[:, max(shift, 0) : channels - max(-shift, 0)]
    kind = X.dtype.type
    total *= kind(alpha / size)
    total += kind(bias)
    return X / total ** kind(beta)


def local_response_norm(
    x: Any, size: int, *, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0
) -> Any:
    """Local response normalization (Krizhevsky et al. 2012) among neighbouring channels.

    `x / (bias + alpha / size * sum(x ** 2)) ** beta`, with the sum over `size` channels around each
    one, as far as they are there; of an even number, one more behind it.

    Args:
        x: [N, C, D1, ...]. onnxruntime has a kernel for images of float32 with two axes of space
            and an odd size.
        size: number of channels.
        alpha: factor of the mean square.
        beta: exponent.
        bias: added to it.

    Raises:
        ShapeError: the size is less than 1.
    """
    attrs = {"alpha": float(alpha), "beta": float(beta), "bias": float(bias)}
    return lrn_op(x, size=operator.index(size), **attrs)


def _infer_mean_variance(X: Value, *, axes: Sequence[int] = (0, 2, 3)) -> Inferred:
    require_kind(X, "f", "a floating dtype")
    normalize_axes(axes, X.rank)
    return X.shape, X.dtype


MEAN_VARIANCE_EPSILON = 1e-9
"""What ONNX adds to the deviation."""


def _expand_mean_variance(X: Any, *, axes: Sequence[int] = (0, 2, 3)) -> Any:
    # onnx's checker finds a node without the attribute invalid, and onnxruntime has a kernel for
    # float32 alone.
    y = subtract(X, mean(X, axes, keepdims=True))
    deviation = sqrt(mean(square(y), axes, keepdims=True))
    return divide(y, add(deviation, np.asarray(MEAN_VARIANCE_EPSILON).astype(X.dtype)))


@op("MeanVarianceNormalization", since=13, infer=_infer_mean_variance, expand=_expand_mean_variance)
@half_in_single
def mean_variance_norm_op(X: Any, *, axes: Sequence[int] = (0, 2, 3)) -> Any:
    """The axes together get mean 0 and variance 1."""
    one_floating_dtype(X)
    along = normalize_axes(axes, X.ndim)
    count = X.dtype.type(math.prod(X.shape[axis] for axis in along))
    centered = X - np.add.reduce(X, axis=along, keepdims=True) / count
    variance = np.add.reduce(np.square(centered), axis=along, keepdims=True) / count
    return centered / (np.sqrt(variance) + X.dtype.type(MEAN_VARIANCE_EPSILON))


def mean_variance_norm(x: Any, axes: Any = (0, 2, 3)) -> Any:
    """The axes together get mean 0 and variance 1: `(x - mean) / (sqrt(variance) + 1e-9)`.

    Args:
        x: any floating tensor.
        axes: over which mean and variance are taken.

    Raises:
        ShapeError: an axis is out of range or named twice.
    """
    return mean_variance_norm_op(x, axes=normalize_axes(axes, x.ndim))
