"""Convolution, channels first: images are [N, C, D1, ...] with 1 to 3 axes of space.

A convolution is a matrix product of the kernel with the windows of the images, which are copied
into columns: those of some images, of some groups of channels and of some rows at a time, so that
they stay in the cache. Measured, this beats accumulating over kernel taps for every shape but tiny
ones, depthwise included.
"""

from __future__ import annotations

import functools
import itertools
import math
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from graphctx.errors import ShapeError
from graphctx.graph import Node, Value
from graphctx.ops.rules import half_in_single
from graphctx.ops.shape import shape_entries, shape_operand, with_recorder
from graphctx.ops.table import Inferred, common_dtype, known_dims, op, require_kind, require_rank
from graphctx.ops.windows import (
    Ints,
    Layout,
    Windows,
    axes_of_space,
    key_of,
    layout_of,
    one_each,
    other_attrs,
    require_image,
    window_attrs,
    within,
)
from graphctx.spec import (
    Dim,
    Shape,
    is_multiple,
    may_be_same,
    require_same_dim,
    shape_text,
    size_of,
)

BLOCK = 1 << 20
"""Bytes that a kernel works on at a time, where it can choose: they stay in the cache."""

SMALL, KEPT = 1 << 17, 1 << 23
"""Between so many bytes the memory of a kernel is kept from one call to the next."""

FEW = 64
"""Of images with fewer windows, several share a product: it costs no less to read the kernel."""

# -- convolution ----------------------------------------------------------------------------------


def _check_kernel(X: Value, W: Value, B: Value | None, group: int, out: int) -> None:
    """Checks that Conv and ConvTranspose share; `out` is the kernel's axis of output channels."""
    require_image(X)
    common_dtype([X, W] if B is None else [X, W, B])
    if W.rank != X.rank:
        raise ShapeError(
            f"the kernel needs {X.rank} dimensions as the input has, got {shape_text(W.shape)}"
        )
    if group < 1:
        raise ShapeError(f"group is at least 1, got {group}")
    if B is not None:
        channels = W.shape[0] if out == 0 else W.shape[1] * group
        if B.rank != 1:
            raise ShapeError(f"the bias is a vector, got {shape_text(B.shape)}")
        require_same_dim(B.shape[0], channels, "the bias has one number an output channel")


def _check_kernel_shape(kernel: Shape, kernel_shape: Ints) -> None:
    if kernel_shape is not None and not all(map(may_be_same, kernel, kernel_shape)):
        raise ShapeError(f"kernel_shape {list(kernel_shape)} is not that of {shape_text(kernel)}")


def _check_shapes(W: Any, B: Any, outputs: int, kernel_shape: Ints) -> None:
    """What a kernel would not notice by itself."""
    if B is not None and B.shape != (outputs,):
        raise ValueError("the bias does not fit")
    if kernel_shape is not None and tuple(kernel_shape) != W.shape[2:]:
        raise ValueError("kernel_shape does not fit")


def infer_conv(
    X: Value, W: Value, B: Value | None = None, *, auto_pad: str = "NOTSET",
    dilations: Ints = None, group: int = 1, kernel_shape: Ints = None, pads: Ints = None,
    strides: Ints = None,
) -> Inferred:  # fmt: skip
    """Shape and dtype of a convolution."""
    _check_kernel(X, W, B, group, 0)
    channels, depth, outputs = X.shape[1], W.shape[1], W.shape[0]
    if not may_be_same(channels, depth * group):
        raise ShapeError(
            f"channels of the input ({channels}) must be channels of the kernel ({depth}) times "
            f"group ({group})"
        )
    if not is_multiple(outputs, group):
        raise ShapeError(f"output channels ({outputs}) must be a multiple of group ({group})")
    _check_kernel_shape(W.shape[2:], kernel_shape)
    windows = Windows(W.shape[2:], strides, dilations, pads, auto_pad)
    windows.check(X.rank - 2)
    return (X.shape[0], outputs, *windows.counts(X.shape[2:])), X.dtype


def _conv_multiply_adds(node: Node) -> Any:
    kernel = node.operands[1]
    assert kernel is not None
    return size_of(node.output.shape) * size_of(kernel.shape[1:])


def _blocks(batch: int, group: int, size: int) -> Iterator[tuple[slice, slice]]:
    """Split images and their groups of channels into blocks of about `BLOCK` bytes.

    Args:
        batch: number of images.
        group: number of groups.
        size: bytes for a group of an image.
    """
    groups = max(1, min(group, BLOCK // max(size, 1)))
    images = max(1, min(batch, BLOCK // max(size * group, 1)))
    for i in range(0, batch, images):
        for g in range(0, group, groups):
            yield slice(i, i + images), slice(g, g + groups)


_kept = threading.local()


def _scratch(name: str, shape: tuple[int, ...], dtype: Any) -> Any:
    """Memory for one call of a kernel, kept for the next one in this thread.

    The system takes large arrays back when they are freed, and clears every page of new ones:
    that took a third of the time of MobileNetV2. Threads share nothing, and what is larger than
    `KEPT` bytes is not kept.
    """
    size = math.prod(shape) * dtype.itemsize
    if size < SMALL or size > KEPT:
        return np.empty(shape, dtype)
    memory = getattr(_kept, name, None)
    if memory is None or memory.nbytes < size:
        memory = np.empty(size, np.uint8)
        setattr(_kept, name, memory)
    return np.ndarray(shape, dtype, memory)


class _Columns:
    """Copies the windows of images into the columns of matrices, for one call of a kernel."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.room: Any = None
        self.memory: Any = None

    def __call__(self, x: Any) -> Iterator[tuple[slice, Any]]:
        """Pieces of the windows of images [images, groups, depth, ...].

        Which windows, and their columns [images, groups, depth * taps, windows], which hold until
        the next ones. No later call may have more images or groups than the first.
        """
        layout = self.layout
        images, groups, depth = x.shape[:3]
        if layout.pointwise:
            steps = (slice(None, None, step) for step in layout.windows.strides)
            columns = np.ascontiguousarray(x[(..., *steps)])
            yield slice(None), columns.reshape(images, groups, depth, layout.places)
            return
        windows = self._windows(x)
        for rows, places in layout.pieces:
            part = windows[rows]
            if self.memory is None:
                self.memory = _scratch("columns", part.shape, x.dtype)
            columns = np.ndarray(part.shape, x.dtype, self.memory)
            columns[...] = part
            yield places, columns.reshape(images, groups, depth * layout.taps, -1)

    def _windows(self, x: Any) -> Any:
        """The windows as a view: [images, groups, depth, kernel..., windows...]."""
        layout = self.layout
        if not layout.copies:
            room = np.ascontiguousarray(x)
        else:
            if self.room is None:
                self.room = _scratch("room", (*x.shape[:3], *layout.room), x.dtype)
                self.room[...] = 0
            room = self.room[: x.shape[0], : x.shape[1]]
            for to, place in layout.copies:
                room[to] = x[place]
        strides = (*room.strides[:3], *[step * x.itemsize for step in layout.steps])
        return np.ndarray((*x.shape[:3], *layout.view), x.dtype, room, 0, strides)


@op("Conv", since=11, infer=infer_conv, multiply_adds=_conv_multiply_adds)
@half_in_single
def conv_op(
    X: Any, W: Any, B: Any = None, *, auto_pad: str = "NOTSET", dilations: Ints = None,
    group: int = 1, kernel_shape: Ints = None, pads: Ints = None, strides: Ints = None,
) -> Any:  # fmt: skip
    """Convolution (cross-correlation) of [N, C, ...] with a kernel [M, C / group, ...]."""
    batch, channels = X.shape[:2]
    outputs, depth = W.shape[:2]
    if W.ndim != X.ndim or group < 1 or depth * group != channels or outputs % group:
        raise ValueError("channels do not fit")
    _check_shapes(W, B, outputs, kernel_shape)
    key = (X.shape[2:], W.shape[2:], key_of(strides), key_of(dilations), key_of(pads), auto_pad)
    layout = layout_of(*key)
    if group == 1 < batch and layout.places < FEW:
        return _conv_together(X, W, B, layout)
    each = outputs // group
    # Contiguous always, whatever the layouts of X and W in memory: the same bits.
    kernels = np.ascontiguousarray(W).reshape(group, each, depth * layout.taps)
    bias = None if B is None else B.reshape(group, each, 1)
    images = X.reshape(batch, group, depth, *X.shape[2:])
    y = np.empty((batch, group, each, layout.places), X.dtype)
    columns = _Columns(layout)
    for block in _blocks(batch, group, kernels[0, 0].nbytes * layout.most):
        result, kernel = y[block], kernels[block[1]]
        for places, part in columns(images[block]):
            np.matmul(kernel, part, out=result[..., places])
        if bias is not None:
            result += bias[block[1]]
    return y.reshape(batch, outputs, *layout.counts)


def _conv_together(X: Any, W: Any, B: Any, layout: Layout) -> Any:
    """Several images as one, with one more axis of space: they share matrix products."""
    windows, widths = layout.windows, layout.widths
    y = conv_op.kernel(
        X.swapaxes(0, 1)[None], W[:, :, None], B, strides=(1, *windows.strides),
        dilations=(1, *windows.dilations),
        pads=(0, *(before for before, _ in widths), 0, *(after for _, after in widths)),
    )  # fmt: skip
    return np.ascontiguousarray(y[0].swapaxes(0, 1))


def conv(
    x: Any, w: Any, bias: Any = None, *, strides: Any = None, pads: Any = None,
    dilations: Any = None, group: int = 1, auto_pad: str = "NOTSET",
) -> Any:  # fmt: skip
    """Convolution, as neural networks have it (cross-correlation), channels first.

    Args:
        x: [N, C, D1, ...] with 1 to 3 axes of space.
        w: kernel [M, C / group, K1, ...]; `group=C` is a depthwise convolution.
        bias: [M].
        strides: step between windows, a number or one an axis.
        pads: zeros around: a number, one an axis, or `before, ..., after, ...` of all axes.
        dilations: step between taps, a number or one an axis.
        group: channels are split into so many groups, each with its own kernels.
        auto_pad: "SAME_UPPER" or "SAME_LOWER" pad so that there is a window for every step of the
            input, with an odd zero after or before it; "VALID" pads nothing.

    Raises:
        ShapeError: channels, kernel and input do not fit.
    """
    return conv_op(
        x, w, bias, **window_attrs(axes_of_space(x), strides, dilations, pads),
        **other_attrs(group, auto_pad),
    )  # fmt: skip


# -- transposed convolution -----------------------------------------------------------------------


class Spread:
    """Where a transposed convolution puts each element: sizes of the output, padding taken off."""

    def __init__(
        self, windows: Windows, sizes: Sequence[Any], output_padding: Ints, output_shape: Ints
    ) -> None:
        rank = len(sizes)
        for what, given in (("output_padding", output_padding), ("output_shape", output_shape)):
            if given and len(given) != rank:
                raise ShapeError(f"needs {what} for {rank} axes of space, got {list(given)}")
        self.outputs: list[Any] = []
        self.before: list[int] = []
        added = output_padding or (0,) * rank
        for i, size in enumerate(sizes):
            stride = windows.strides[i]
            full = stride * (size - 1) + added[i] + windows.extents[i]
            if output_shape:
                output = output_shape[i]
            elif windows.auto_pad.startswith("SAME"):
                output = size * stride
            elif windows.auto_pad == "VALID":
                output = full
            else:
                self.outputs.append(full - windows.pads[i] - windows.pads[i + rank])
                self.before.append(windows.pads[i])
                continue
            total = full - output
            if not isinstance(total, Dim):
                less = max(total, 0) // 2
                upper = windows.auto_pad == "SAME_UPPER"
                self.before.append(less if upper else max(total, 0) - less)
            self.outputs.append(output)
        for axis, output in enumerate(self.outputs):
            if not isinstance(output, Dim) and output < 1 and sizes[axis] > 0:
                raise ShapeError(f"pads leave nothing of axis {axis + 2}")


def _infer_conv_transpose(
    X: Value, W: Value, B: Value | None = None, *, auto_pad: str = "NOTSET",
    dilations: Ints = None, group: int = 1, kernel_shape: Ints = None,
    output_padding: Ints = None, output_shape: Ints = None, pads: Ints = None,
    strides: Ints = None,
) -> Inferred:  # fmt: skip
    _check_kernel(X, W, B, group, 1)
    if not may_be_same(X.shape[1], W.shape[0]):
        raise ShapeError(
            f"channels of the input ({X.shape[1]}) must be the first size of the kernel "
            f"({W.shape[0]})"
        )
    if not is_multiple(X.shape[1], group):
        raise ShapeError(
            f"channels of the input ({X.shape[1]}) must be a multiple of group ({group})"
        )
    _check_kernel_shape(W.shape[2:], kernel_shape)
    windows = Windows(W.shape[2:], strides, dilations, pads, auto_pad)
    windows.check(X.rank - 2)
    spread = Spread(windows, X.shape[2:], output_padding, output_shape)
    return (X.shape[0], W.shape[1] * group, *spread.outputs), X.dtype


def _conv_transpose_multiply_adds(node: Node) -> Any:
    x, kernel = node.operands[:2]
    assert x is not None
    assert kernel is not None
    return size_of(x.shape) * size_of(kernel.shape[1:])


@op(
    "ConvTranspose", since=11, infer=_infer_conv_transpose,
    multiply_adds=_conv_transpose_multiply_adds,
)  # fmt: skip
@half_in_single
def conv_transpose_op(
    X: Any, W: Any, B: Any = None, *, auto_pad: str = "NOTSET", dilations: Ints = None,
    group: int = 1, kernel_shape: Ints = None, output_padding: Ints = None,
    output_shape: Ints = None, pads: Ints = None, strides: Ints = None,
) -> Any:  # fmt: skip
    """Transposed convolution of [N, C, ...] with a kernel [C, M / group, ...]."""
    batch, channels = X.shape[:2]
    depth = W.shape[1]
    if W.ndim != X.ndim or group < 1 or W.shape[0] != channels or channels % group:
        raise ValueError("channels do not fit")
    _check_shapes(W, B, depth * group, kernel_shape)
    sizes = X.shape[2:]
    kernel = W.shape[2:]
    outputs, ranges = _places(
        sizes, kernel, key_of(strides), key_of(dilations), key_of(pads), auto_pad,
        key_of(output_padding), key_of(output_shape),
    )  # fmt: skip
    each = channels // group
    places = math.prod(sizes)
    kernels = np.ascontiguousarray(W).reshape(group, each, -1).swapaxes(1, 2)
    images = np.ascontiguousarray(X).reshape(batch, group, each, places)
    y = np.empty((batch, group, depth, *outputs), X.dtype)
    y[...] = 0 if B is None else B.reshape(group, depth, *(1,) * len(sizes))
    for block in _blocks(batch, group, kernels[0, :, 0].nbytes * places):
        columns = np.matmul(kernels[block[1]], images[block])
        result = y[block]
        columns = columns.reshape(*result.shape[:3], *kernel, *sizes)
        lead = (slice(None),) * 3
        for tap in itertools.product(*map(range, kernel)):
            pairs = [ranges[i][t] for i, t in enumerate(tap)]
            source = columns[(*lead, *tap, *(elements for elements, _ in pairs))]
            result[(*lead, *(places for _, places in pairs))] += source
    return y.reshape(batch, group * depth, *outputs)


@functools.lru_cache(maxsize=1024)
def _places(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...] | None,
    dilations: tuple[int, ...] | None,
    pads: tuple[int, ...] | None,
    auto_pad: str,
    output_padding: tuple[int, ...] | None,
    output_shape: tuple[int, ...] | None,
) -> tuple[list[int], list[list[tuple[slice, slice]]]]:
    """Sizes of the output; for every axis and tap which elements it adds to which places."""
    windows = Windows(kernel, strides, dilations, pads, auto_pad)
    try:
        windows.check(len(sizes))
        spread = Spread(windows, sizes, output_padding, output_shape)
    except ShapeError as error:
        raise ValueError(str(error)) from None
    ranges = [
        [
            within(
                tap * windows.dilations[i] - spread.before[i], windows.strides[i], size,
                spread.outputs[i],
            )
            for tap in range(kernel[i])
        ]
        for i, size in enumerate(sizes)
    ]  # fmt: skip
    return spread.outputs, ranges


def conv_transpose(
    x: Any, w: Any, bias: Any = None, *, strides: Any = None, pads: Any = None,
    dilations: Any = None, group: int = 1, auto_pad: str = "NOTSET", output_padding: Any = None,
    output_shape: Any = None,
) -> Any:  # fmt: skip
    """Transposed convolution, channels first: the gradient of `conv` with respect to its input.

    Args:
        x: [N, C, D1, ...] with 1 to 3 axes of space.
        w: kernel [C, M / group, K1, ...].
        bias: [M].
        strides: a number or one an axis.
        pads: taken off the result: a number, one an axis, or before and after each axis.
        dilations: step between taps, a number or one an axis.
        group: channels are split into so many groups.
        auto_pad: "SAME_UPPER" and "SAME_LOWER" make the output `strides` times as large.
        output_padding: added at the end of each axis of the output.
        output_shape: sizes of the output's axes of space, from which the pads follow.

    Raises:
        ShapeError: channels, kernel and input do not fit.
    """
    rank = axes_of_space(x)
    attrs = {**window_attrs(rank, strides, dilations, pads), **other_attrs(group, auto_pad)}
    if output_padding is not None and any(one_each(output_padding, rank)):
        attrs["output_padding"] = one_each(output_padding, rank)
    if output_shape is not None:
        attrs["output_shape"] = one_each(output_shape, rank)
    return conv_transpose_op(x, w, bias, **attrs)


# -- blocks put together to images ----------------------------------------------------------------


def _infer_col2im(
    input: Value, image_shape: Value, block_shape: Value, *, dilations: Ints = None,
    pads: Ints = None, strides: Ints = None,
) -> Inferred:  # fmt: skip
    require_kind(input, "biufc", "numbers, which can be added")
    require_rank(input, 3, "the blocks [N, C * block, L]")
    for value, what in ((image_shape, "image_shape"), (block_shape, "block_shape")):
        require_rank(value, 1, what)
    sizes = known_dims(image_shape, "image_shape")
    block = known_dims(block_shape, "block_shape")
    windows = Windows(block, strides, dilations, pads, "NOTSET")
    windows.check(len(sizes))
    places = size_of(windows.counts(sizes))
    require_same_dim(input.shape[2], places, "the last axis has one place a block of the image")
    taps = size_of(block)
    if not is_multiple(input.shape[1], taps):
        raise ShapeError(
            f"axis 1 ({input.shape[1]}) must be a multiple of the elements of a block ({taps})"
        )
    return (input.shape[0], input.shape[1] // taps, *sizes), input.dtype


@op("Col2Im", since=18, infer=_infer_col2im)
@half_in_single
def col2im_op(
    input: Any, image_shape: Any, block_shape: Any, *, dilations: Ints = None, pads: Ints = None,
    strides: Ints = None,
) -> Any:  # fmt: skip
    """Blocks [N, C * block, L] added to images [N, C, D1, ...] at the places they lie at."""
    sizes, block = tuple(image_shape.tolist()), tuple(block_shape.tolist())
    layout = layout_of(
        sizes, block, key_of(strides), key_of(dilations), key_of(pads), "NOTSET"
    )  # fmt: skip
    batch, rows = input.shape[:2]
    if input.ndim != 3 or rows % layout.taps or input.shape[2] != layout.places:
        raise ValueError("the blocks do not fit")
    blocks = input.reshape(batch, rows // layout.taps, *block, *layout.counts)
    y = np.zeros((batch, rows // layout.taps, *sizes), input.dtype)
    lead = (slice(None),) * 2
    for tap in itertools.product(*map(range, block)):
        pairs = [layout.ranges[i][t] for i, t in enumerate(tap)]
        source = blocks[(*lead, *tap, *(at for at, _ in pairs))]
        part = y[(*lead, *(place for _, place in pairs))]
        np.add(part, source, out=part)
    return y


def col2im(
    x: Any, image: Any, block: Any, *, strides: Any = None, pads: Any = None, dilations: Any = None
) -> Any:
    """Put images together from blocks, which add up where they overlap (PyTorch's `fold`).

    Args:
        x: [N, C * product of the block, L], the blocks in the order in which a convolution comes
            by them.
        image: sizes of the axes of space of the images, of which some may be symbolic.
        block: sizes of a block.
        strides: step between blocks, a number or one an axis.
        pads: around the images: a number, one an axis, or before and after each axis.
        dilations: step between the elements of a block, a number or one an axis.

    Returns:
        [N, C, *image].

    Raises:
        ShapeError: the blocks do not fit the images.
    """
    x, recorder = with_recorder(x, image, block)
    sizes = shape_operand(recorder, shape_entries(image))
    kernel = np.asarray(one_each(block, len(shape_entries(image))), np.int64)
    return col2im_op(x, sizes, kernel, **window_attrs(len(kernel), strides, dilations, pads))
