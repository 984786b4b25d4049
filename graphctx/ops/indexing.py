"""Operators that read or write elements by position: slices, indices, padding, one-hot.

A slice of a symbolic dimension is taken to lie within it: `x[1:]` of size n has size n - 1.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphctx.errors import DTypeError, ShapeError, TraceError
from graphctx.graph import Value
from graphctx.ops.rules import recorder_of
from graphctx.ops.shape import (
    broadcast_to,
    concat,
    expand_dims,
    moveaxis,
    reshape,
    resolved,
    shape_entries,
    shape_operand,
    with_recorder,
)
from graphctx.ops.table import (
    Inferred,
    count_of,
    known_dims,
    known_ints,
    normalize_axes,
    normalize_axis,
    op,
    require_kind,
    require_rank,
)
from graphctx.spec import (
    Dim,
    DimLike,
    broadcast_shapes,
    joined_shape,
    kind_of,
    require_same_dim,
    same_dim,
    shape_text,
)
from graphctx.tensor import ArrayOperators, Recorder, Tensor, where

BEYOND = 2**31 - 1  # a bound at least this far out means "to the end", as ONNX advises
FIRST, LAST = np.iinfo(np.int64).min, np.iinfo(np.int64).max

# -- slices ---------------------------------------------------------------------------------------


def _python_slice(size: int, start: int, stop: int, step: int) -> slice:
    """ONNX's start, end and step on an axis of this size, as Python's slice."""
    if step == 0:
        raise ValueError("step is 0")
    start = start + size if start < 0 else start
    stop = stop + size if stop < 0 else stop
    if step > 0:
        return slice(min(max(start, 0), size), min(max(stop, 0), size), step)
    if size == 0:
        return slice(0, 0, 1)
    start, stop = min(max(start, 0), size - 1), min(max(stop, -1), size - 1)
    return slice(start, None if stop < 0 else stop, step)


def _slice_length(size: DimLike, start: Any, stop: Any, step: int) -> DimLike:
    """How many elements a slice takes of an axis.

    A size of which little is known may lie below a bound, so that only all of it is told.

    Raises:
        ShapeError: that depends on the value of a symbolic size.
    """
    if step == 0:
        raise ShapeError("the step of a slice is not 0")
    if not any(isinstance(bound, Dim) for bound in (size, start, stop)):
        return len(range(*_python_slice(int(size), start, stop, step).indices(int(size))))
    if any(isinstance(bound, Dim) and bound.doubt for bound in (size, start, stop)):
        first, end = (start, stop) if step > 0 else (stop, start)
        numbers = isinstance(first, int) and isinstance(end, int)
        whole = numbers and abs(step) == 1 and (first == 0 or first <= -BEYOND)
        whole = whole and (end >= BEYOND or (step < 0 and end == -1))
        return size if whole else Dim.unknown()
    low, high = (0, size) if step > 0 else (-1, size - 1)

    def place(bound: Any, least: DimLike) -> Any:
        if isinstance(bound, Dim):
            return size + bound if _is_negative(bound) else bound
        if bound >= BEYOND:
            return high
        if bound <= -BEYOND:
            return least
        return size + bound if bound < 0 else bound

    first, end = place(start, 0), place(stop, low)
    distance = end - first if step > 0 else first - end
    length: DimLike = (distance + abs(step) - 1) // abs(step)
    if not isinstance(length, Dim):
        return max(length, 0)
    if isinstance(size, Dim) and _is_negative(length):
        raise ShapeError(
            f"how much the slice {start}:{stop}:{step} takes of the symbolic size {size} cannot be "
            f"inferred: one bound counts from the front and one from the back"
        )
    return length


def _is_negative(dim: Dim) -> bool:
    """Whether a dimension is negative once all sizes are large."""
    return dim.evaluate(dict.fromkeys(dim.symbols, 1 << 20)) < 0


def _infer_slice(
    data: Value,
    starts: Value,
    ends: Value,
    axes: Value | None = None,
    steps: Value | None = None,
) -> Inferred:
    start, end = known_dims(starts, "the starts"), known_dims(ends, "the ends")
    for given, what in ((axes, "axes"), (steps, "steps")):
        if not len(start) == len(end) == (len(start) if given is None else count_of(given, what)):
            raise ShapeError("needs as many starts as ends, axes and steps")
    step = (1,) * len(start) if steps is None else known_ints(steps)
    along = range(len(start)) if axes is None else known_ints(axes)
    if along is None:
        return tuple(Dim.unknown() for _ in data.shape), data.dtype
    shape = list(data.shape)
    for i, axis in enumerate(normalize_axes(along, data.rank)):
        by = None if step is None else step[i]
        shape[axis] = (
            Dim.unknown() if by is None else _slice_length(shape[axis], start[i], end[i], by)
        )
    return tuple(shape), data.dtype


def _slice_content(data: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
    if any(isinstance(bound, Dim) for bound in (*starts, *ends)):
        return None
    return data[_python_slice(len(data), starts[0], ends[0], steps[0] if steps else 1)]


@op("Slice", any_dtype=True, since=13, infer=_infer_slice, view=True, content=_slice_content)
def slice_op(data: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
    """A part of a tensor; bounds beyond the ends are moved to them."""
    index: list[Any] = [slice(None)] * data.ndim
    start, end = starts.tolist(), ends.tolist()
    along = range(len(start)) if axes is None else axes.tolist()
    step = (1,) * len(start) if steps is None else steps.tolist()
    for axis, first, stop, by in zip(along, start, end, step, strict=True):
        index[axis] = _python_slice(data.shape[axis], first, stop, by)
    return data[tuple(index)]


# -- elements by index ----------------------------------------------------------------------------


def _check_indices(indices: Value, size: DimLike, what: str) -> None:
    require_kind(indices, "iu", "integer indices")
    if indices.constant is not None and indices.constant.size and not isinstance(size, Dim):
        least, most = int(indices.constant.min()), int(indices.constant.max())
        if least < -size or most >= size:
            wrong = least if least < -size else most
            raise ShapeError(f"index {wrong} is out of range for {what} of size {size}")


def _infer_gather(data: Value, indices: Value, *, axis: int = 0) -> Inferred:
    axis = normalize_axis(axis, data.rank)
    _check_indices(indices, data.shape[axis], f"axis {axis}")
    return (*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :]), data.dtype


def _gather_content(data: Any, indices: Any, *, axis: int = 0) -> Any:
    if any(isinstance(index, Dim) for index in indices):
        return None
    return tuple(data[index] for index in indices)


@op("Gather", any_dtype=True, since=13, infer=_infer_gather, content=_gather_content)
def gather_op(data: Any, indices: Any, *, axis: int = 0) -> Any:
    """Slices of a tensor along an axis, by index; negative ones count from the back."""
    return np.take(data, indices, axis)


def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """Elements of a tensor along an axis, by index.

    Args:
        x: any tensor.
        indices: an integer tensor of any shape, which replaces the axis in the result.
        axis: of x; None takes from the flat tensor.

    Raises:
        ShapeError: an index is out of range.
    """
    x, indices = resolved(x), _indices(indices)
    return (
        gather_op(reshape(x, (-1,)), indices) if axis is None else gather_op(x, indices, axis=axis)
    )


def _indices(indices: Any) -> Any:
    if isinstance(indices, Dim):
        recorder = recorder_of(indices)
        assert recorder is not None
        return recorder.tensor(indices)
    if isinstance(indices, (list, tuple)) and not len(indices):
        return np.zeros(0, np.int64)
    return indices if isinstance(indices, ArrayOperators) else np.asarray(indices)


def _infer_gather_elements(data: Value, indices: Value, *, axis: int = 0) -> Inferred:
    require_rank(indices, data.rank, "the indices")
    axis = normalize_axis(axis, data.rank)
    _check_indices(indices, data.shape[axis], f"axis {axis}")
    _require_within(indices, data, axis)
    return indices.shape, data.dtype


def _require_within(indices: Value, data: Value, axis: int) -> None:
    for i, (a, b) in enumerate(zip(indices.shape, data.shape, strict=True)):
        if i != axis and not (isinstance(a, Dim) or isinstance(b, Dim)) and a > b:
            raise ShapeError(
                f"the indices {shape_text(indices.shape)} are larger than {shape_text(data.shape)} "
                f"along axis {i}"
            )


def _crop(data: Any, shape: Sequence[int], axis: int) -> Any:
    """The leading part of the data that indices of this shape reach."""
    axis = axis % data.ndim
    if data.shape[:axis] == shape[:axis] and data.shape[axis + 1 :] == shape[axis + 1 :]:
        return data
    return data[tuple(slice(None) if i == axis else slice(n) for i, n in enumerate(shape))]


@op("GatherElements", any_dtype=True, since=13, infer=_infer_gather_elements)
def gather_elements_op(data: Any, indices: Any, *, axis: int = 0) -> Any:
    """One element for each index, which replaces its position along the axis."""
    return np.take_along_axis(_crop(data, indices.shape, axis), indices, axis)


def take_along_axis(x: Any, indices: Any, axis: int = -1) -> Any:
    """One element for each index, which replaces its position along the axis.

    Args:
        x: any tensor.
        indices: integers; of the shape of x but for the axis, or broadcast with it.
        axis: the indices count along.

    Raises:
        ShapeError: the shapes do not broadcast, or an index is out of range.
    """
    indices = resolved(indices)
    x, _ = with_recorder(x, indices)
    axis = normalize_axis(axis, x.ndim)
    if indices.ndim != x.ndim:
        raise ShapeError(f"{where()}the indices need {x.ndim} dimensions, got {indices.ndim}")
    shape, at = x.shape, indices.shape
    common = broadcast_shapes(
        (*shape[:axis], 1, *shape[axis + 1 :]), (*at[:axis], 1, *at[axis + 1 :])
    )
    x = broadcast_to(x, (*common[:axis], shape[axis], *common[axis + 1 :]))
    indices = broadcast_to(indices, (*common[:axis], at[axis], *common[axis + 1 :]))
    return gather_elements_op(x, indices, axis=axis)


def _nd_shape(data: Value, indices: Value, batch_dims: int = 0) -> tuple[DimLike, ...]:
    """The shape of what each index tuple of `indices[..., k]` addresses."""
    if not data.rank or not indices.rank:
        raise ShapeError("the data and the indices need a dimension")
    k = indices.shape[-1]
    require_kind(indices, "iu", "integer indices")
    if isinstance(k, Dim):
        raise ShapeError(f"the length of the index tuples must be a number, got {k}")
    if not 1 <= k <= data.rank - batch_dims:
        raise ShapeError(
            f"index tuples of length {k} do not address {shape_text(data.shape)}"
            + (f" after {batch_dims} batch dimensions" if batch_dims else "")
        )
    for i in range(batch_dims):
        require_same_dim(data.shape[i], indices.shape[i], f"batch dimension {i}")
    return data.shape[batch_dims + k :]


def _infer_gather_nd(data: Value, indices: Value, *, batch_dims: int = 0) -> Inferred:
    return (*indices.shape[:-1], *_nd_shape(data, indices, batch_dims)), data.dtype


@op("GatherND", any_dtype=True, since=13, infer=_infer_gather_nd)
def gather_nd(data: Any, indices: Any, *, batch_dims: int = 0) -> Any:
    """Elements or slices by index tuples: `data[indices[..., 0], indices[..., 1], ...]`."""
    grid = np.ogrid[tuple(slice(n) for n in data.shape[:batch_dims])] if batch_dims else ()
    extra = (1,) * (indices.ndim - 1 - batch_dims)
    batch = tuple(g.reshape(g.shape + extra) for g in grid)
    return data[batch + tuple(np.moveaxis(indices, -1, 0))]


_REDUCTIONS = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


def _write(out: Any, index: Any, updates: Any, reduction: str) -> Any:
    if reduction == "none":
        out[index] = updates
    elif reduction in _REDUCTIONS:
        _REDUCTIONS[reduction].at(out, index, updates)
    else:
        raise ValueError(f"unknown reduction {reduction!r}")
    return out


def _check_reduction(data: Value, updates: Value, reduction: str) -> None:
    if reduction != "none" and reduction not in _REDUCTIONS:
        raise ShapeError(f"reduction is none, {', '.join(_REDUCTIONS)}; got {reduction!r}")
    if updates.dtype != data.dtype:
        raise DTypeError(f"updates {updates.spec} need the dtype of the data, {data.dtype}")


def _infer_scatter_elements(
    data: Value, indices: Value, updates: Value, *, axis: int = 0, reduction: str = "none"
) -> Inferred:
    _infer_gather_elements(data, indices, axis=axis)
    _check_reduction(data, updates, reduction)
    if joined_shape(updates.shape, indices.shape) is None:
        raise ShapeError("updates and indices need one shape")
    return data.shape, data.dtype


@op("ScatterElements", since=18, infer=_infer_scatter_elements)
def scatter_elements(
    data: Any, indices: Any, updates: Any, *, axis: int = 0, reduction: str = "none"
) -> Any:
    """A copy of the data in which each index, along the axis, has got its update."""
    out = data.copy()
    index = list(np.ogrid[tuple(slice(n) for n in indices.shape)])
    index[axis] = indices
    return _write(out, tuple(index), updates, reduction)


def _infer_scatter_nd(
    data: Value, indices: Value, updates: Value, *, reduction: str = "none"
) -> Inferred:
    _check_reduction(data, updates, reduction)
    shape = (*indices.shape[:-1], *_nd_shape(data, indices))
    if joined_shape(updates.shape, shape) is None:
        raise ShapeError(f"updates need the shape {shape_text(shape)}")
    return data.shape, data.dtype


@op("ScatterND", since=18, infer=_infer_scatter_nd)
def scatter_nd(data: Any, indices: Any, updates: Any, *, reduction: str = "none") -> Any:
    """A copy of the data in which each index tuple has got its update."""
    return _write(data.copy(), tuple(np.moveaxis(indices, -1, 0)), updates, reduction)


# -- x[...] ---------------------------------------------------------------------------------------


def getitem(x: Any, index: Any) -> Any:
    """`x[index]` as NumPy has it: ints, slices, None, `...`, and one integer tensor or mask.

    What a mask takes has an unknown size.

    Raises:
        TraceError: a symbolic tensor is indexed by several tensors.
        ShapeError: an int is out of range, a mask has other sizes than its axes, or the size of a
            slice cannot be inferred.
    """
    items = index if isinstance(index, tuple) else (index,)
    items = tuple(item.resolve() if isinstance(item, ArrayOperators) else item for item in items)
    parts = [b for i in items if isinstance(i, slice) for b in (i.start, i.stop, i.step)]
    x, recorder = with_recorder(x, *items, *parts)
    if recorder is None:
        return x[items if isinstance(index, tuple) else items[0]]
    from graphctx.ops.masks import is_mask, without_masks

    if any(map(is_mask, items)):
        x, items = without_masks(x, items)
    return _Indexing(recorder, x, items).result()


class _Indexing:
    """One `x[index]` on a symbolic tensor: slices, then ints, the tensor, and new axes last."""

    def __init__(self, recorder: Recorder, x: Tensor, items: Sequence[Any]) -> None:
        self.recorder = recorder
        self.x = x
        parsed = [self._item(item) for item in items]
        self.items = self._written_out(parsed)
        # Whether something stands between ints and index tensors, be it an empty ellipsis.
        plain = (type(None), type(Ellipsis), slice)
        taken = [i for i, item in enumerate(parsed) if not isinstance(item, plain)]
        self.apart = bool(taken) and taken[-1] - taken[0] + 1 != len(taken)

    def _item(self, item: Any) -> Any:
        """An index item as an int, slice, None, Ellipsis, or an integer array or tensor."""
        if item is None or item is Ellipsis or isinstance(item, slice):
            return item
        if isinstance(item, (int, np.integer)) and not isinstance(item, bool):
            return int(item)
        item = _indices(item)
        if kind_of(item.dtype) not in "iu":
            raise DTypeError(f"{where()}an index is an integer, got {item.dtype}")
        return int(item) if isinstance(item, np.ndarray) and not item.ndim else item

    def _written_out(self, items: list[Any]) -> list[Any]:
        """The items with the ellipsis written out, one for each axis (and None)."""
        used = sum(item is not None and item is not Ellipsis for item in items)
        if used > self.x.ndim or sum(item is Ellipsis for item in items) > 1:
            raise ShapeError(
                f"{where()}{used} indices are too many for {self.x.spec}"
                if used > self.x.ndim
                else f"{where()}an index has one ellipsis"
            )
        fill = [slice(None)] * (self.x.ndim - used)
        for i, item in enumerate(items):
            if item is Ellipsis:
                return items[:i] + fill + items[i + 1 :]
        return items + fill

    def result(self) -> Any:
        """The tensor that the index takes."""
        arrays = [i for i in self.items if not isinstance(i, (int, slice)) and i is not None]
        wide = [item for item in arrays if item.ndim]
        if len(wide) > 1:
            raise TraceError(
                f"{where()}{self.x.spec} is indexed by several tensors at once; use ops.gather_nd"
            )
        x = self._sliced()
        # From the last axis to the first: what is taken leaves the axes before it in place.
        axis = self.x.ndim
        for item in reversed(self.items):
            axis -= item is not None
            if item is not None and not isinstance(item, slice):
                x = gather_op(x, self._checked(item, axis), axis=axis)
        x = self._new_axes(x, wide[0].ndim if wide else 0)
        return self._to_front(x, wide[0].ndim) if wide else x

    def _checked(self, item: Any, axis: int) -> Any:
        size = self.x.shape[axis]
        if isinstance(item, int):
            if not isinstance(size, Dim) and not -size <= item < size:
                raise ShapeError(
                    f"{where()}index {item} is out of range for axis {axis} of {self.x.spec}"
                )
            return np.asarray(item, np.int64)
        return item

    def _sliced(self) -> Any:
        starts, stops, axes, steps = [], [], [], []
        axis = -1
        for item in self.items:
            axis += item is not None
            if isinstance(item, slice):
                bounds = self._bounds(item, self.x.shape[axis])
                if bounds is not None:
                    starts.append(bounds[0])
                    stops.append(bounds[1])
                    axes.append(axis)
                    steps.append(bounds[2])
        if not axes:
            return self.x
        return slice_op(
            self.x,
            shape_operand(self.recorder, starts),
            shape_operand(self.recorder, stops),
            np.asarray(axes, np.int64),
            None if all(s == 1 for s in steps) else np.asarray(steps, np.int64),
        )

    def _bounds(self, item: slice, size: DimLike) -> tuple[Any, Any, int] | None:
        """ONNX's start, end and step of a slice; None for all of the axis."""
        start, stop = _bound(item.start), _bound(item.stop)
        step = 1 if item.step is None else operator.index(item.step)
        if step == 0:
            raise ShapeError(f"{where()}the step of a slice is not 0")
        static = all(b is None or isinstance(b, int) for b in (start, stop))
        if static and isinstance(size, int):
            first, end, _ = slice(start, stop, step).indices(size)
            if not len(range(first, end, step)):
                return 0, 0, 1
            if step == 1 and (first, end) == (0, size):
                return None
            return first, (FIRST if end < 0 else end), step
        if step == 1 and _is_edge(start, 0) and _is_edge(stop, size):
            return None
        first, end = (0, LAST) if step > 0 else (LAST, FIRST)
        return first if start is None else start, end if stop is None else stop, step

    def _new_axes(self, x: Any, rank: int) -> Any:
        """Axes of size 1 where the index has None."""
        new, position = [], 0
        for item in self.items:
            if item is None:
                new.append(position)
                position += 1
            elif isinstance(item, slice):
                position += 1
            elif not isinstance(item, int) and item.ndim:
                position += rank
        return expand_dims(x, tuple(new)) if new else x

    def _to_front(self, x: Any, rank: int) -> Any:
        """NumPy puts the axes of an index tensor first where ints stand apart from it."""
        if not self.apart:
            return x
        before = 0
        for item in self.items:
            if not isinstance(item, (int, slice)) and item is not None and item.ndim:
                break
            before += item is None or isinstance(item, slice)
        return moveaxis(x, tuple(range(before, before + rank)), tuple(range(rank)))


def _bound(bound: Any) -> Any:
    if isinstance(bound, ArrayOperators):
        bound = bound.resolve()
    if isinstance(bound, Tensor):
        return bound.value.dims[0] if bound.value.dims is not None else bound
    return bound if bound is None or isinstance(bound, Dim) else operator.index(bound)


def _is_edge(bound: Any, edge: DimLike) -> bool:
    return bound is None or (not isinstance(bound, Tensor) and same_dim(bound, edge))


# -- flip, roll, triangles ------------------------------------------------------------------------


def flip(x: Any, axis: Any = None) -> Any:
    """Elements in reverse order along an axis, several, or all."""
    x = resolved(x)
    if axis is None:
        axes = tuple(range(x.ndim))
    else:
        axes = normalize_axes(axis if isinstance(axis, (tuple, list)) else (axis,), x.ndim)
    back = slice(None, None, -1)
    return getitem(x, tuple(back if i in axes else slice(None) for i in range(x.ndim)))


def roll(x: Any, shift: Any, axis: Any = None) -> Any:
    """Elements moved along an axis; those that fall off the end come back at the start.

    Args:
        x: any tensor.
        shift: by how many places, a number or one for each axis.
        axis: to move along, one or several; None moves along the flat tensor.
    """
    x = resolved(x)
    if not isinstance(x, Tensor):
        return np.roll(x, shift, axis)
    if axis is None:
        return reshape(roll(reshape(x, (-1,)), shift, 0), x.shape)
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    shifts = shift if isinstance(shift, (tuple, list)) else (shift,) * len(axes)
    if len(axes) != len(shifts):
        raise ShapeError(f"{where()}roll needs one shift an axis, got {shifts} for {axes}")
    for by, along in zip(shifts, normalize_axes(axes, x.ndim), strict=True):
        x = _roll(x, operator.index(by), along)
    return x


def _roll(x: Any, shift: int, axis: int) -> Any:
    size = x.shape[axis]
    if isinstance(size, Dim) and abs(shift) > 1:
        from graphctx.ops.creation import arange

        return take(x, (arange(size) - shift) % x.recorder.tensor(size), axis)
    shift = shift if isinstance(size, Dim) else shift % max(size, 1)
    if not shift:
        return x
    before = (slice(None),) * axis
    return concat([x[(*before, slice(-shift, None))], x[(*before, slice(None, -shift))]], axis)


def _infer_trilu(input: Value, k: Value | None = None, *, upper: int = 1) -> Inferred:
    if input.rank < 2:
        raise ShapeError(f"needs a matrix or several, got {shape_text(input.shape)}")
    return input.shape, input.dtype


@op("Trilu", any_dtype=True, since=14, infer=_infer_trilu)
def trilu_op(input: Any, k: Any = None, *, upper: int = 1) -> Any:
    """The upper (or lower) triangle of the last two axes; zero, or an empty string, elsewhere."""
    if input.ndim < 2:
        raise ValueError("needs a matrix")
    diagonal = 0 if k is None else int(k.reshape(()))
    if input.dtype == object:
        kept = (np.triu if upper else np.tril)(np.ones(input.shape[-2:], bool), diagonal)
        return np.where(kept, input, "")
    return (np.triu if upper else np.tril)(input, diagonal)


def tril(x: Any, k: int = 0) -> Any:
    """The lower triangle up to the k-th diagonal, zero above it, of the last two axes."""
    return trilu_op(resolved(x), np.asarray(k, np.int64) if k else None, upper=0)


def triu(x: Any, k: int = 0) -> Any:
    """The upper triangle from the k-th diagonal on, zero below it, of the last two axes."""
    return trilu_op(resolved(x), np.asarray(k, np.int64) if k else None)


# -- padding --------------------------------------------------------------------------------------


def _pad_axes(rank: int, counts: Sequence[Any], axes: Sequence[int] | None) -> dict[int, Any]:
    along = range(rank) if axes is None else normalize_axes(axes, rank)
    if len(counts) != 2 * len(along):
        raise ShapeError(
            f"needs a pad before and after each of {len(along)} axes, got {len(counts)} pads"
        )
    return dict(zip(along, zip(counts, counts[len(along) :], strict=False), strict=True))


def _infer_pad(
    data: Value,
    pads: Value,
    constant_value: Value | None = None,
    axes: Value | None = None,
    *,
    mode: str = "constant",
) -> Inferred:
    if mode not in ("constant", "edge", "reflect", "wrap"):
        raise ShapeError(f"the mode is constant, edge, reflect or wrap, got {mode!r}")
    if constant_value is not None and constant_value.dtype != data.dtype:
        raise DTypeError(f"the value needs the dtype {data.dtype}, got {constant_value.dtype}")
    along = None if axes is None else known_ints(axes)
    if axes is not None and along is None:
        if count_of(pads, "pads") != 2 * count_of(axes, "axes"):
            raise ShapeError("needs a pad before and after each axis")
        return tuple(Dim.unknown() for _ in data.shape), data.dtype
    shape = list(data.shape)
    for axis, (before, after) in _pad_axes(data.rank, known_dims(pads, "the pads"), along).items():
        shape[axis] = shape[axis] + before + after
        size = shape[axis]
        if not isinstance(size, Dim) and size < 0:
            raise ShapeError(f"pads take more of axis {axis} than its size {data.shape[axis]}")
    return tuple(shape), data.dtype


def _pad_source(size: int, before: int, after: int, mode: str) -> Any:
    """Index of the element that each place along a padded axis repeats."""
    places = np.arange(-before, size + after)
    if mode == "edge":
        return places.clip(0, size - 1)
    if mode == "wrap":
        return places % size
    period = max(2 * (size - 1), 1)
    places %= period
    return np.minimum(places, period - places) if size > 1 else np.zeros_like(places)


@op("Pad", any_dtype=True, since=18, infer=_infer_pad)
def pad_op(
    data: Any, pads: Any, constant_value: Any = None, axes: Any = None, *, mode: str = "constant"
) -> Any:
    """A tensor with places added before and after each axis; negative pads take away."""
    along = None if axes is None else axes.tolist()
    widths = {a: w for a, w in _pad_axes(data.ndim, pads.tolist(), along).items() if any(w)}
    shape = list(data.shape)
    kept: list[Any] = [slice(None)] * data.ndim
    inner = list(kept)
    for axis, (before, after) in widths.items():
        size = data.shape[axis]
        shape[axis] = size + before + after
        kept[axis] = slice(max(-before, 0), size - max(-after, 0))
        inner[axis] = slice(max(before, 0), shape[axis] - max(after, 0))
    if mode != "constant":
        out = np.empty(shape, data.dtype)
    elif constant_value is None:
        out = np.full(shape, "" if data.dtype == object else 0, data.dtype)
    else:
        out = np.full(shape, constant_value.reshape(()), data.dtype)
    out[tuple(inner)] = data[tuple(kept)]
    if mode == "constant":
        return out
    for axis, (before, after) in widths.items():
        start, stop = inner[axis].start, inner[axis].stop
        source = start + _pad_source(stop - start, max(before, 0), max(after, 0), mode)
        lead = (slice(None),) * axis
        if before > 0:
            out[(*lead, slice(start))] = np.take(out, source[:start], axis)
        if after > 0:
            out[(*lead, slice(stop, None))] = np.take(out, source[stop:], axis)
    return out


def pad(x: Any, pads: Any, mode: str = "constant", value: Any = 0) -> Any:
    """Add places before and after each axis.

    Args:
        x: any tensor.
        pads: as in `numpy.pad`: one number for all, a pair `(before, after)` for all axes, or a
            pair for each axis. Negative numbers take away.
        mode: `"constant"`, `"edge"`, `"reflect"` (without the edge) or `"wrap"`.
        value: of the new places in constant mode.

    Raises:
        ShapeError: the pads do not fit the axes.
    """
    x, recorder = with_recorder(x, pads, value)
    pairs = _pad_pairs(pads, x.ndim)
    counts = [before for before, _ in pairs] + [after for _, after in pairs]
    fill = None
    if mode == "constant" and not (isinstance(value, (int, float)) and value == 0):
        fill = value.astype(x.dtype) if isinstance(value, Tensor) else np.asarray(value, x.dtype)
    return pad_op(x, shape_operand(recorder, counts), fill, mode=mode)


def _pad_pairs(pads: Any, rank: int) -> list[tuple[Any, Any]]:
    entries = pads.tolist() if isinstance(pads, np.ndarray) else pads
    if not isinstance(entries, (tuple, list)):
        return [(entries, entries)] * rank
    pairs = [tuple(p) if isinstance(p, (tuple, list)) else p for p in entries]
    if len(pairs) == 2 and not any(isinstance(p, tuple) for p in pairs):
        return [(pairs[0], pairs[1])] * rank
    if len(pairs) == 1 and rank != 1 and isinstance(pairs[0], tuple):
        pairs = pairs * rank
    if len(pairs) != rank or not all(isinstance(p, tuple) and len(p) == 2 for p in pairs):
        raise ShapeError(
            f"{where()}pads are a number, a pair (before, after), or a pair for each of {rank} "
            f"axes; got {pads!r}"
        )
    return [(before, after) for before, after in pairs]


def _infer_center_crop_pad(
    input_data: Value, shape: Value, *, axes: Sequence[int] | None = None
) -> Inferred:
    require_rank(shape, 1, "the shape")
    sizes = known_dims(shape, "the shape")
    along = range(input_data.rank) if axes is None else normalize_axes(axes, input_data.rank)
    if len(sizes) != len(along):
        raise ShapeError(f"needs a size for each of {len(along)} axes, got {list(sizes)}")
    if any(not isinstance(size, Dim) and size < 0 for size in sizes):
        raise ShapeError(f"sizes are at least 0, got {list(sizes)}")
    found = list(input_data.shape)
    for axis, size in zip(along, sizes, strict=True):
        found[axis] = size
    return tuple(found), input_data.dtype


@op("CenterCropPad", any_dtype=True, since=18, infer=_infer_center_crop_pad)
def center_crop_pad_op(input_data: Any, shape: Any, *, axes: Sequence[int] | None = None) -> Any:
    """The middle of each axis cut out, or zeros put around it, to get these sizes."""
    along = range(input_data.ndim) if axes is None else normalize_axes(axes, input_data.ndim)
    sizes = list(input_data.shape)
    for axis, size in zip(along, shape.tolist(), strict=True):
        sizes[axis] = size
    out = np.full(sizes, "" if input_data.dtype == object else 0, input_data.dtype)
    to: list[slice] = []
    source: list[slice] = []
    for old, new in zip(input_data.shape, sizes, strict=True):
        before, cut, count = max(new - old, 0) // 2, max(old - new, 0) // 2, min(old, new)
        to.append(slice(before, before + count))
        source.append(slice(cut, cut + count))
    out[tuple(to)] = input_data[tuple(source)]
    return out


def center_crop_pad(x: Any, shape: Any, *, axes: Any = None) -> Any:
    """Cut the middle out of each axis, or put zeros around it, to get these sizes.

    Args:
        x: any tensor; strings get empty ones around them.
        shape: sizes, of which some may be symbolic dimensions. Of an odd number of places to cut
            off or to add, the one more is at the end.
        axes: that they are of; all where they are not given.

    Raises:
        ShapeError: there is not one size for each axis.
    """
    x, recorder = with_recorder(x, shape)
    sizes = shape_operand(recorder, shape_entries(shape))
    if axes is None:
        return center_crop_pad_op(x, sizes)
    # Counted from the front: onnxruntime takes no others.
    return center_crop_pad_op(x, sizes, axes=normalize_axes(axes, x.ndim))


# -- one-hot --------------------------------------------------------------------------------------


def _infer_one_hot(indices: Value, depth: Value, values: Value, *, axis: int = -1) -> Inferred:
    require_kind(indices, "iuf", "numbers as indices")
    known = depth.dims or known_ints(depth) or (Dim.unknown(),)
    axis = normalize_axis(axis, indices.rank + 1)
    return (*indices.shape[:axis], known[0], *indices.shape[axis:]), values.dtype


@op("OneHot", any_dtype=True, since=11, infer=_infer_one_hot)
def one_hot_op(indices: Any, depth: Any, values: Any, *, axis: int = -1) -> Any:
    """`values[1]` at the index and `values[0]` elsewhere along a new axis of size depth."""
    size = int(depth.reshape(()))
    if indices.dtype != np.int64:
        indices = indices.astype(np.int64)
    off, on = values
    flat = indices.reshape(-1)
    out = np.full((flat.size, size), off, values.dtype)
    inside = (flat >= -size) & (flat < size)
    if inside.all():
        out[np.arange(flat.size), flat] = on
    else:
        (rows,) = inside.nonzero()
        out[rows, flat[rows]] = on
    out = out.reshape(*indices.shape, size)
    return out if axis in (-1, indices.ndim) else np.moveaxis(out, -1, axis)


def one_hot(indices: Any, depth: Any, axis: int = -1, dtype: Any = "float32") -> Any:
    """1 at the index and 0 elsewhere along a new axis; all 0 for an index out of range.

    Args:
        indices: integers of any shape; negative ones count from the back.
        depth: size of the new axis.
        axis: where it stands in the result.
        dtype: of the result.
    """
    recorder = recorder_of(depth)
    size = np.asarray(operator.index(depth), np.int64) if recorder is None else depth
    if recorder is not None:
        size = recorder.tensor(depth)
    return one_hot_op(resolved(indices), size, np.asarray([0, 1], dtype), axis=axis)
