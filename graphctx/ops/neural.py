"""Convolution and pooling, channels first: images are [N, C, D1, ...] with 1 to 3 axes of space.

A convolution is a matrix product of the kernel with the windows of the images, which are copied
into columns: those of some images, of some groups of channels and of some rows at a time, so that
they stay in the cache. Measured, this beats accumulating over kernel taps for every shape but tiny
ones, depthwise included. Pooling reduces one axis after the other, tap by tap.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from graphctx.errors import ShapeError
from graphctx.graph import Node, Value
from graphctx.ops.rules import half_in_single
from graphctx.ops.table import Inferred, common_dtype, op, require_kind
from graphctx.spec import (
    Dim,
    DimLike,
    Shape,
    kind_of,
    may_be_same,
    require_same_dim,
    same_dim,
    shape_text,
    size_of,
)

Ints = Sequence[int] | None
Pair = tuple[int, int]

AUTO_PADS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")

BLOCK = 1 << 20
"""Bytes that a kernel works on at a time, where it can choose: they stay in the cache."""

SMALL, KEPT = 1 << 17, 1 << 23
"""Between so many bytes the memory of a kernel is kept from one call to the next."""

NARROW = 24
"""Rows of fewer windows are copied in two steps."""

FEW, MOST = 64, 1024
"""How many windows make a matrix product.

With fewer, several images share one: it costs no less than to read the kernel. With more, an image
is taken in pieces: their columns stay in the cache, and need less memory.
"""

# -- where windows lie ----------------------------------------------------------------------------


class Windows:
    """Kernel, strides and dilations along every axis of space, checked.

    Args:
        kernel: sizes of the kernel; a convolution's may be symbolic.
        strides: steps between windows; 1 where not given.
        dilations: steps between taps; 1 where not given.
        pads: before each axis, then after each; 0 where not given.
        auto_pad: one of `AUTO_PADS`.
    """

    def __init__(
        self, kernel: Sequence[Any], strides: Ints, dilations: Ints, pads: Ints, auto_pad: str
    ) -> None:
        rank = len(kernel)
        self.kernel = tuple(kernel)
        self.strides = tuple(strides) if strides else (1,) * rank
        self.dilations = tuple(dilations) if dilations else (1,) * rank
        self.pads = tuple(pads) if pads else (0,) * (2 * rank)
        self.auto_pad = auto_pad
        self.extents = tuple(
            (k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True)
        )

    def check(self, rank: int) -> None:
        """Raise `ShapeError` unless the attributes fit this many axes of space."""
        if rank < 1:
            raise ShapeError("an image is [N, C, D1, ...]: it has axes of space")
        for what, given in (("kernel", self.kernel), ("strides", self.strides),
                            ("dilations", self.dilations)):  # fmt: skip
            if len(given) != rank:
                raise ShapeError(f"needs {what} for {rank} axes of space, got {list(given)}")
            if any(not isinstance(n, Dim) and n < 1 for n in given):
                raise ShapeError(f"{what} are at least 1, got {list(given)}")
        if len(self.pads) != 2 * rank or min(self.pads, default=0) < 0:
            raise ShapeError(
                f"pads are {2 * rank} numbers >= 0, before and then after {rank} axes of space, "
                f"got {list(self.pads)}"
            )
        if self.auto_pad not in AUTO_PADS:
            raise ShapeError(f"auto_pad is {', '.join(AUTO_PADS)}; got {self.auto_pad!r}")

    def counts(self, sizes: Sequence[Any], ceil_mode: int = 0) -> tuple[Any, ...]:
        """How many windows there are along each axis.

        Raises:
            ShapeError: an axis is too small for one.
        """
        found: list[Any] = []
        for axis, (size, extent, stride) in enumerate(
            zip(sizes, self.extents, self.strides, strict=True)
        ):
            if self.auto_pad.startswith("SAME"):
                found.append((size + stride - 1) // stride)
                continue
            before = after = 0
            if self.auto_pad == "NOTSET":
                before, after = self.pads[axis], self.pads[axis + len(sizes)]
            if ceil_mode:
                # The last window may hang over the end, but starts before the padding there.
                over = stride + after - extent
                reach = size + before + (over if isinstance(over, Dim) else min(over, 0))
                count = (reach + stride - 1) // stride
            else:
                count = (size + before + after - extent) // stride + 1
            if not isinstance(count, Dim) and count < 1:
                raise ShapeError(
                    f"the kernel spans {extent} of axis {axis + 2}, more than its padded size "
                    f"{size + before + after}"
                )
            found.append(count)
        return tuple(found)

    def widths(self, sizes: Sequence[int], counts: Sequence[int]) -> list[Pair]:
        """Padding before and after each axis."""
        rank = len(sizes)
        if self.auto_pad == "NOTSET":
            return [(self.pads[i], self.pads[i + rank]) for i in range(rank)]
        if self.auto_pad == "VALID":
            return [(0, 0)] * rank
        found = []
        for size, count, extent, stride in zip(
            sizes, counts, self.extents, self.strides, strict=True
        ):
            total = max((count - 1) * stride + extent - size, 0)
            less, more = total // 2, total - total // 2
            found.append((less, more) if self.auto_pad == "SAME_UPPER" else (more, less))
        return found


class _Layout:
    """Where windows lie in images of one size.

    Attributes:
        windows: kernel, strides and dilations.
        counts: number of windows along each axis.
        widths: padding before and after each axis.
        places: number of windows.
        taps: number of elements of a window.
        ranges: for each axis and tap, which windows have it in the image, and its places there.
        pointwise: whether a window is one element of the image, never of the padding.
        room: shape of what `_Columns` copies images into, if it does.
        copies: which elements of it are which elements of the image; the others are zeros.
        view: shape of the windows as a view of it: kernel, then counts.
        steps: strides of this view, in elements.
        pieces: of the windows: which ones along the first axis, and which of all.
        most: number of windows in a piece.
    """

    def __init__(
        self, sizes: Sequence[int], windows: Windows, counts: tuple[int, ...], widths: list[Pair]
    ) -> None:
        self.windows = windows
        self.counts = counts
        self.widths = widths
        self.places = math.prod(counts)
        self.taps = math.prod(windows.kernel)
        self.ranges = [
            [
                _within(tap * windows.dilations[i] - before, windows.strides[i], counts[i], size)
                for tap in range(windows.kernel[i])
            ]
            for i, (size, (before, _)) in enumerate(zip(sizes, widths, strict=True))
        ]
        self.pointwise = self.taps == 1 and not any(map(any, widths))
        self._plan_copies(sizes)
        self._plan_pieces()

    def _plan_copies(self, sizes: Sequence[int]) -> None:
        windows, widths = self.windows, self.widths
        room = [b + n + a for n, (b, a) in zip(sizes, widths, strict=True)]
        inner = [slice(b, b + n) for n, (b, _) in zip(sizes, widths, strict=True)]
        self.copies: list[tuple[Any, Any]] = []
        narrow = len(sizes) > 1 and self.counts[-1] < NARROW and windows.strides[-1] == 1
        if narrow:
            # What each tap of the last axis has of all windows: longer runs to copy from there.
            self.copies = [
                ((..., tap, *inner[:-1], to), (..., place))
                for tap, (to, place) in enumerate(self.ranges[-1])
            ]
            room[-1] = self.counts[-1]
        elif any(map(any, widths)):
            self.copies = [((..., *inner), ...)]
        rows = [math.prod(room[axis + 1 :]) for axis in range(len(room))]
        taps = [row * step for row, step in zip(rows, windows.dilations, strict=True)]
        steps = [row * step for row, step in zip(rows, windows.strides, strict=True)]
        if narrow:
            taps[-1] = math.prod(room)
            room.insert(0, windows.kernel[-1])
        self.room = tuple(room)
        self.view = (*windows.kernel, *self.counts)
        self.steps = (*taps, *steps)

    def _plan_pieces(self) -> None:
        first, *others = self.counts
        row = math.prod(others)
        rows = -(-first // max(1, -(-self.places // MOST)))
        whole = (slice(None),) * len(others)
        self.most = rows * row
        self.pieces = [
            ((..., slice(start, start + rows), *whole), slice(start * row, (start + rows) * row))
            for start in range(0, first, max(rows, 1))
        ]


@functools.lru_cache(maxsize=1024)
def _layout(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...] | None,
    dilations: tuple[int, ...] | None,
    pads: tuple[int, ...] | None,
    auto_pad: str,
    ceil_mode: int = 0,
) -> _Layout:
    """Where windows lie in images of these sizes.

    Raises:
        ValueError: they do not fit; inference has the words for it.
    """
    try:
        windows = Windows(kernel, strides, dilations, pads, auto_pad)
        windows.check(len(sizes))
        counts = windows.counts(sizes, ceil_mode)
    except ShapeError as error:
        raise ValueError(str(error)) from None
    return _Layout(sizes, windows, counts, windows.widths(sizes, counts))


def _key(ints: Ints) -> tuple[int, ...] | None:
    return None if ints is None else tuple(ints)


def _within(offset: int, stride: int, count: int, size: int) -> tuple[slice, slice]:
    """Which of `count` places `offset + i * stride` lie in `range(size)`: as i, and as places."""
    first = max(-(offset // stride), 0)
    last = min((size - 1 - offset) // stride + 1, count)
    if last <= first:
        return slice(0), slice(0)
    start = offset + first * stride
    return slice(first, last), slice(start, start + (last - first - 1) * stride + 1, stride)


def _image(X: Value) -> None:
    require_kind(X, "f", "a floating dtype")
    if X.rank < 3:
        raise ShapeError(f"an image is [N, C, D1, ...], got {shape_text(X.shape)}")


# -- convolution ----------------------------------------------------------------------------------


def _check_kernel(X: Value, W: Value, B: Value | None, group: int, out: int) -> None:
    """Checks that Conv and ConvTranspose share; `out` is the kernel's axis of output channels."""
    _image(X)
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
    if kernel_shape is not None and not all(map(same_dim, kernel, kernel_shape)):
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
    rest = outputs % group
    if isinstance(rest, Dim) or rest:
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

    def __init__(self, layout: _Layout) -> None:
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
    key = (X.shape[2:], W.shape[2:], _key(strides), _key(dilations), _key(pads), auto_pad)
    layout = _layout(*key)
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


def _conv_together(X: Any, W: Any, B: Any, layout: _Layout) -> Any:
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
        x,
        w,
        bias,
        **window_attrs(space_of(x), strides, dilations, pads),
        **other_attrs(group, auto_pad),
    )


def other_attrs(group: int, auto_pad: str) -> dict[str, Any]:
    """Attributes that differ from their defaults."""
    attrs: dict[str, Any] = {} if group == 1 else {"group": operator.index(group)}
    return attrs if auto_pad == "NOTSET" else {**attrs, "auto_pad": auto_pad.upper()}


def space_of(x: Any) -> int:
    """Number of axes of space of an image."""
    return (x.ndim if hasattr(x, "ndim") else np.ndim(x)) - 2


def _each(value: Any, rank: int) -> tuple[int, ...]:
    if isinstance(value, (tuple, list, np.ndarray)):
        return tuple(operator.index(n) for n in value)
    return (operator.index(value),) * rank


def window_attrs(rank: int, strides: Any, dilations: Any, pads: Any) -> dict[str, Any]:
    """Attributes as ONNX has them, of numbers or sequences; none that is a default."""
    attrs: dict[str, Any] = {}
    for name, value in (("strides", strides), ("dilations", dilations)):
        if value is not None:
            steps = _each(value, rank)
            if len(steps) != rank or any(n != 1 for n in steps):
                attrs[name] = steps
    if pads is not None:
        widths = _each(pads, rank)
        widths = widths * 2 if len(widths) == rank else widths
        if len(widths) != 2 * rank or any(widths):
            attrs["pads"] = widths
    return attrs


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
    rest = X.shape[1] % group
    if isinstance(rest, Dim) or rest:
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
        sizes, kernel, _key(strides), _key(dilations), _key(pads), auto_pad,
        _key(output_padding), _key(output_shape),
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
            _within(
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
    rank = space_of(x)
    attrs = {**window_attrs(rank, strides, dilations, pads), **other_attrs(group, auto_pad)}
    if output_padding is not None and any(_each(output_padding, rank)):
        attrs["output_padding"] = _each(output_padding, rank)
    if output_shape is not None:
        attrs["output_shape"] = _each(output_shape, rank)
    return conv_transpose_op(x, w, bias, **attrs)


# -- pooling --------------------------------------------------------------------------------------


def _infer_pool(
    X: Value, *, kernel_shape: Sequence[int], auto_pad: str = "NOTSET", ceil_mode: int = 0,
    count_include_pad: int = 0, dilations: Ints = None, pads: Ints = None,
    storage_order: int = 0, strides: Ints = None,
) -> Inferred:  # fmt: skip
    if X.rank < 3:
        raise ShapeError(f"an image is [N, C, D1, ...], got {shape_text(X.shape)}")
    windows = Windows(kernel_shape, strides, dilations, pads, auto_pad)
    windows.check(X.rank - 2)
    return (*X.shape[:2], *windows.counts(X.shape[2:], ceil_mode)), X.dtype


def _infer_max_pool(X: Value, **attrs: Any) -> Inferred:
    require_kind(X, "fiu", "a numeric dtype")
    return _infer_pool(X, **attrs)


def _infer_average_pool(X: Value, **attrs: Any) -> Inferred:
    _image(X)
    return _infer_pool(X, **attrs)


def _reduce_axis(
    x: Any, axis: int, taps: Sequence[tuple[slice, slice]], count: int, ufunc: Any, empty: Any
) -> Any:
    """Windows along one axis reduced, a tap at a time; places outside count as `empty`."""
    lead = (slice(None),) * axis
    inside = [place for at, place in taps if (at.start, at.stop) == (0, count)]
    if len(inside) > 1:
        y = ufunc(x[(*lead, inside[0])], x[(*lead, inside[1])])
    elif inside:
        y = x[(*lead, inside[0])].copy()
    else:
        y = np.full((*x.shape[:axis], count, *x.shape[axis + 1 :]), empty, x.dtype)
    for place in inside[2:]:
        ufunc(y, x[(*lead, place)], out=y)
    for at, place in taps:
        if (at.start, at.stop) != (0, count):
            part = y[(*lead, at)]
            ufunc(part, x[(*lead, place)], out=part)
    return y


def _reduce(x: Any, layout: _Layout, ufunc: Any, empty: Any) -> Any:
    y = x
    for axis, (taps, count) in enumerate(zip(layout.ranges, layout.counts, strict=True), 2):
        if taps != [(slice(0, count), slice(0, x.shape[axis], 1))]:  # which is y as it is
            y = _reduce_axis(y, axis, taps, count, ufunc, empty)
    return y.copy() if y is x else y


@op("MaxPool", since=12, infer=_infer_max_pool)
def max_pool_op(
    X: Any, *, kernel_shape: Sequence[int], auto_pad: str = "NOTSET", ceil_mode: int = 0,
    dilations: Ints = None, pads: Ints = None, storage_order: int = 0, strides: Ints = None,
) -> Any:  # fmt: skip
    """Largest element of every window, padding not counted."""
    layout = _layout(
        X.shape[2:], tuple(kernel_shape), _key(strides), _key(dilations), _key(pads), auto_pad,
        ceil_mode,
    )  # fmt: skip
    empty = -np.inf if kind_of(X.dtype) == "f" else np.iinfo(X.dtype).min
    return _reduce(X, layout, np.maximum, empty)


@op("AveragePool", since=11, infer=_infer_average_pool)
@half_in_single
def average_pool_op(
    X: Any, *, kernel_shape: Sequence[int], auto_pad: str = "NOTSET", ceil_mode: int = 0,
    count_include_pad: int = 0, dilations: Ints = None, pads: Ints = None, strides: Ints = None,
) -> Any:  # fmt: skip
    """Mean of every window, with or without the padding."""
    key = (
        X.shape[2:], tuple(kernel_shape), _key(strides), _key(dilations), _key(pads), auto_pad,
        ceil_mode,
    )  # fmt: skip
    y = _reduce(X, _layout(*key), np.add, 0)
    y /= _elements(count_include_pad, y.dtype, *key)
    return y


@functools.lru_cache(maxsize=1024)
def _elements(count_include_pad: int, dtype: Any, sizes: tuple[int, ...], *key: Any) -> Any:
    """How many elements each window has, to broadcast against the windows."""
    layout = _layout(sizes, *key)
    windows = layout.windows
    number: Any = np.ones((), dtype)
    for i, (before, after) in enumerate(layout.widths):
        starts = np.arange(layout.counts[i]) * windows.strides[i] - before
        taps = starts[:, None] + np.arange(windows.kernel[i]) * windows.dilations[i]
        low, high = (-before, sizes[i] + after) if count_include_pad else (0, sizes[i])
        inside = np.maximum(((taps >= low) & (taps < high)).sum(1), 1).astype(dtype)
        if (inside == inside[0]).all():
            number = number * inside[0]
        else:
            number = number * inside.reshape(-1, *(1,) * (len(sizes) - 1 - i))
    return number


def _pool_attrs(
    x: Any, kernel: Any, strides: Any, pads: Any, dilations: Any, auto_pad: str, ceil_mode: bool
) -> dict[str, Any]:
    rank = space_of(x)
    sizes = _each(kernel, rank)
    attrs = {
        "kernel_shape": sizes,
        **window_attrs(rank, sizes if strides is None else strides, dilations, pads),
        **other_attrs(1, auto_pad),
    }
    return {**attrs, "ceil_mode": 1} if ceil_mode else attrs


def max_pool(
    x: Any, kernel: Any, *, strides: Any = None, pads: Any = None, dilations: Any = None,
    auto_pad: str = "NOTSET", ceil_mode: bool = False,
) -> Any:  # fmt: skip
    """Largest element of every window, channels first.

    Args:
        x: [N, C, D1, ...].
        kernel: size of the windows, a number or one an axis.
        strides: step between windows; the size of the windows where it is not given.
        pads: around the input, never the largest: as in `conv`.
        dilations: step between the elements of a window.
        auto_pad: as in `conv`.
        ceil_mode: whether the last window may hang over the end.

    Raises:
        ShapeError: the windows do not fit the input.
    """
    return max_pool_op(x, **_pool_attrs(x, kernel, strides, pads, dilations, auto_pad, ceil_mode))


def average_pool(
    x: Any, kernel: Any, *, strides: Any = None, pads: Any = None, dilations: Any = None,
    auto_pad: str = "NOTSET", ceil_mode: bool = False, count_include_pad: bool = False,
) -> Any:  # fmt: skip
    """Mean of every window, channels first; see `max_pool`.

    `count_include_pad` says whether padding counts as zeros, or not at all.
    """
    attrs = _pool_attrs(x, kernel, strides, pads, dilations, auto_pad, ceil_mode)
    if count_include_pad:
        attrs["count_include_pad"] = 1
    return average_pool_op(x, **attrs)


def _infer_global_pool(X: Value) -> Inferred:
    _image(X)
    ones: tuple[DimLike, ...] = (1,) * (X.rank - 2)
    return (*X.shape[:2], *ones), X.dtype


@op("GlobalAveragePool", since=1, infer=_infer_global_pool)
@half_in_single
def global_average_pool(X: Any) -> Any:
    """Mean over all axes of space: [N, C, D1, ...] to [N, C, 1, ...]."""
    count = math.prod(X.shape[2:])
    total = np.add.reduce(X.reshape(*X.shape[:2], count), axis=2)
    total /= X.dtype.type(count)
    return total.reshape(*X.shape[:2], *(1,) * (X.ndim - 2))


@op("GlobalMaxPool", since=1, infer=_infer_global_pool)
def global_max_pool(X: Any) -> Any:
    """Largest element over all axes of space: [N, C, D1, ...] to [N, C, 1, ...]."""
    return np.maximum.reduce(X, axis=tuple(range(2, X.ndim)), keepdims=True)
