"""Where the windows of convolutions and poolings lie in images [N, C, D1, ...]."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphctx.errors import ShapeError
from graphctx.graph import Value
from graphctx.ops.table import require_kind
from graphctx.spec import Dim, shape_text

Ints = Sequence[int] | None
Pair = tuple[int, int]

AUTO_PADS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")

NARROW = 24
"""Rows of fewer windows are copied in two steps."""

MOST = 1024
"""How many windows a matrix product has at most.

With more, an image is taken in pieces: their columns stay in the cache, and need less memory.
"""


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


class Layout:
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
                within(tap * windows.dilations[i] - before, windows.strides[i], counts[i], size)
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
def layout_of(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...] | None,
    dilations: tuple[int, ...] | None,
    pads: tuple[int, ...] | None,
    auto_pad: str,
    ceil_mode: int = 0,
) -> Layout:
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
    return Layout(sizes, windows, counts, windows.widths(sizes, counts))


def key_of(ints: Ints) -> tuple[int, ...] | None:
    """An attribute as `layout_of` remembers it."""
    return None if ints is None else tuple(ints)


def within(offset: int, stride: int, count: int, size: int) -> tuple[slice, slice]:
    """Which of `count` places `offset + i * stride` lie in `range(size)`: as i, and as places."""
    first = max(-(offset // stride), 0)
    last = min((size - 1 - offset) // stride + 1, count)
    if last <= first:
        return slice(0), slice(0)
    start = offset + first * stride
    return slice(first, last), slice(start, start + (last - first - 1) * stride + 1, stride)


def require_image(X: Value) -> None:
    """Raise unless a value is floats [N, C, D1, ...]."""
    require_kind(X, "f", "a floating dtype")
    if X.rank < 3:
        raise ShapeError(f"an image is [N, C, D1, ...], got {shape_text(X.shape)}")


# -- attributes as users give them ----------------------------------------------------------------


def other_attrs(group: int, auto_pad: str) -> dict[str, Any]:
    """Attributes as ONNX has them; none that is a default."""
    attrs: dict[str, Any] = {} if group == 1 else {"group": operator.index(group)}
    return attrs if auto_pad == "NOTSET" else {**attrs, "auto_pad": auto_pad.upper()}


def axes_of_space(x: Any) -> int:
    """Number of axes of space of an image."""
    return (x.ndim if hasattr(x, "ndim") else np.ndim(x)) - 2


def one_each(value: Any, rank: int) -> tuple[int, ...]:
    """Numbers for each axis, of numbers or one for all of them."""
    if isinstance(value, (tuple, list, np.ndarray)):
        return tuple(operator.index(n) for n in value)
    return (operator.index(value),) * rank


def window_attrs(rank: int, strides: Any, dilations: Any, pads: Any) -> dict[str, Any]:
    """Attributes as ONNX has them, of numbers or sequences; none that is a default."""
    attrs: dict[str, Any] = {}
    for name, value in (("strides", strides), ("dilations", dilations)):
        if value is not None:
            steps = one_each(value, rank)
            if len(steps) != rank or any(n != 1 for n in steps):
                attrs[name] = steps
    if pads is not None:
        widths = one_each(pads, rank)
        widths = widths * 2 if len(widths) == rank else widths
        if len(widths) != 2 * rank or any(widths):
            attrs["pads"] = widths
    return attrs
