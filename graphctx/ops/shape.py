"""Operators that move, join, repeat or regroup elements without computing with them.

Shapes given to these functions may hold symbolic dimensions. Where the shape is a known number of
elements apart from one dimension, it is recorded as a constant (`-1`, or `0` for an unchanged
dimension); only what cannot be said like that is computed from the shapes of the inputs.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphctx.errors import ShapeError
from graphctx.graph import Node, Value
from graphctx.ops.rules import recorder_of, strong
from graphctx.ops.table import (
    Inferred,
    common_dtype,
    count_of,
    known_dims,
    known_ints,
    normalize_axes,
    normalize_axis,
    op,
    require_rank,
)
from graphctx.spec import (
    Dim,
    DimLike,
    Shape,
    broadcast_shapes,
    is_multiple,
    kind_of,
    may_be_same,
    require_same_dim,
    same_dim,
    same_shape,
    shape_text,
    size_of,
)
from graphctx.tensor import ArrayOperators, Recorder, Tensor, where

INT64 = np.dtype(np.int64)

MODES = ("DCR", "CRD")
"""Whether the place in a block comes before or after the channel, in the channels of an image."""

# -- what the functions of these families share ---------------------------------------------------


def resolved(x: Any) -> Any:
    """An operand as an array or a `Tensor`."""
    if isinstance(x, np.ndarray):
        return x
    if not isinstance(x, ArrayOperators):
        return np.asarray(x)
    x = x.resolve()
    return strong(x) if isinstance(x, Tensor) else x


def with_recorder(x: Any, *others: Any) -> tuple[Any, Recorder | None]:
    """An operand as a tensor and what records it, or as an array and None."""
    # Asked first: a functional model records a variable, not its value.
    recorder = recorder_of(x, *others)
    if recorder is None:
        x = resolved(x)
        recorder = x.recorder if isinstance(x, Tensor) else None
    return (x, None) if recorder is None else (strong(recorder.tensor(x)), recorder)


def shape_entries(shape: Any) -> tuple[Any, ...]:
    """The entries of a shape argument: ints, `Dim`s, and 0-d tensors of unknown value."""
    if isinstance(shape, ArrayOperators):
        shape = shape.resolve()
    if isinstance(shape, Tensor) and len(shape.shape) == 1:
        if shape.value.dims is not None:
            return shape.value.dims
        length = shape.shape[0]
        if isinstance(length, Dim):
            raise ShapeError(f"{where()}a shape needs a known number of entries, got {length}")
        return tuple(shape[i] for i in range(length))
    if isinstance(shape, np.ndarray):
        return tuple(int(entry) for entry in shape.reshape(-1))
    if not isinstance(shape, (tuple, list)):
        shape = (shape,)
    return tuple(_entry(entry) for entry in shape)


def _entry(entry: Any) -> Any:
    if isinstance(entry, ArrayOperators):
        entry = entry.resolve()
    if isinstance(entry, Tensor):
        return entry.value.dims[0] if entry.value.dims is not None else entry
    return entry if isinstance(entry, Dim) else operator.index(entry)


def shape_operand(recorder: Recorder | None, entries: Sequence[Any]) -> Any:
    """A shape as an operand: an int64 vector, computed only where it is not constant."""
    if any(isinstance(entry, (Dim, Tensor)) for entry in entries):
        assert recorder is not None
        return recorder.dimensions(entries)
    return np.asarray(entries, np.int64)


def _axes(axis: Any) -> tuple[int, ...]:
    return tuple(axis) if isinstance(axis, (tuple, list)) else (operator.index(axis),)


# -- one shape to another -------------------------------------------------------------------------


def reshaped(shape: Shape, target: Sequence[Any], allowzero: int = 0) -> Shape:
    """The shape that ONNX's Reshape gives; dimensions that 0 copies cancel out of a -1.

    Raises:
        ShapeError: the numbers of elements differ, or cannot be proven equal.
    """
    dims: list[Any] = []
    hole: int | None = None
    copied: set[int] = set()
    for axis, entry in enumerate(target):
        if isinstance(entry, Dim) or entry > 0 or (entry == 0 and allowzero):
            dims.append(entry)
        elif entry == 0:
            if axis >= len(shape):
                raise ShapeError(f"0 at axis {axis} copies a dimension that is not there")
            dims.append(shape[axis])
            copied.add(axis)
        elif entry == -1 and hole is None:
            hole = axis
            dims.append(1)
        else:
            raise ShapeError(f"the shape {shape_text(target)} may have one -1, all else >= 0")
    total = size_of([dim for axis, dim in enumerate(shape) if axis not in copied])
    known = size_of([dim for axis, dim in enumerate(dims) if axis not in copied])
    what = f"{shape_text(shape)} ({size_of(shape)} elements)"
    if hole is None:
        if not may_be_same(total, known):
            proof = isinstance(total, Dim) or isinstance(known, Dim)
            raise ShapeError(
                f"{what} {'cannot be proven to' if proof else 'does not'} fit the shape "
                f"{shape_text(dims)} ({size_of(dims)} elements)"
                + ("; write -1 for the dimension that follows from the others" if proof else "")
            )
        return tuple(dims)
    if not isinstance(known, Dim) and known == 0:
        raise ShapeError(f"-1 in the shape {shape_text(target)} could be anything")
    dims[hole] = total // known
    rest = total - dims[hole] * known
    if not isinstance(rest, Dim) and rest != 0:
        raise ShapeError(f"{what} does not fit the shape {shape_text(target)}")
    return tuple(dims)


def _infer_reshape(data: Value, shape: Value, *, allowzero: int = 0) -> Inferred:
    require_rank(shape, 1, "the shape")
    return reshaped(data.shape, known_dims(shape, "the shape"), allowzero), data.dtype


def _first(data: Any, *_: Any, **__: Any) -> Any:
    return data


def _inline_reshape(node: Node) -> str | None:
    target = node.operands[1].constant if node.operands[1] is not None else None
    if target is None or 0 in target:
        return None
    return f"{{0}}.reshape({', '.join(map(str, target.tolist()))})" if target.size else None


@op(
    "Reshape",
    any_dtype=True,
    since=14,
    infer=_infer_reshape,
    view=True,
    content=_first,
    inline=_inline_reshape,
)
def reshape_op(data: Any, shape: Any, *, allowzero: int = 0) -> Any:
    """The same elements in another shape; -1 is inferred, 0 copies unless `allowzero`."""
    target = shape.tolist()
    if not allowzero and 0 in target:
        if -1 in target:
            target = reshaped(data.shape, target)
        else:
            target = [data.shape[i] if dim == 0 else dim for i, dim in enumerate(target)]
    return data.reshape(target)


def reshape(x: Any, shape: Any) -> Any:
    """The same elements in another shape.

    Args:
        x: any tensor.
        shape: an int or a sequence of ints, symbolic dimensions and 0-d integer tensors; one
            entry may be -1 and is inferred.

    Raises:
        ShapeError: the numbers of elements differ.
    """
    entries = shape_entries(shape)
    x, recorder = with_recorder(x, entries)
    if recorder is None:
        return reshape_op(x, np.asarray(entries, np.int64), allowzero=1)
    known = not any(isinstance(entry, Tensor) for entry in entries)
    constant = _constant_shape(x.shape, entries) if known else None
    if constant is not None:
        if same_shape(x.shape, entries):
            return x
        return reshape_op(x, np.asarray(constant, np.int64), allowzero=int(0 in numbers(entries)))
    # A dimension of size 0 means 0 where nothing is to be inferred.
    return reshape_op(x, recorder.dimensions(entries), allowzero=int(-1 not in numbers(entries)))


def numbers(entries: Sequence[Any]) -> list[int]:
    """The entries of a shape that are numbers."""
    return [entry for entry in entries if isinstance(entry, int)]


def _constant_shape(shape: Shape, entries: Sequence[DimLike]) -> list[int] | None:
    """Entries for Reshape with symbolic dimensions written as -1 or 0, where that says the same."""
    given = numbers(entries)
    if len(given) == len(entries):
        return given
    if 0 in given:
        return None
    hole = -1 in given
    found: list[int] = []
    for axis, entry in enumerate(entries):
        unchanged = axis < len(shape) and same_dim(shape[axis], entry)
        if isinstance(entry, int):
            found.append(entry)
        elif unchanged and (hole or len(given) < len(entries) - 1):
            found.append(0)
        elif not hole:
            found.append(-1)
            hole = True
        else:
            return None
    try:
        return found if same_shape(reshaped(shape, found), reshaped(shape, entries)) else None
    except ShapeError:
        return None


def _infer_flatten(input: Value, *, axis: int = 1) -> Inferred:
    if not -input.rank <= axis <= input.rank:
        raise ShapeError(f"axis {axis} is out of range for {input.rank} dimensions")
    axis = axis + input.rank if axis < 0 else axis
    return (size_of(input.shape[:axis]), size_of(input.shape[axis:])), input.dtype


@op("Flatten", any_dtype=True, since=13, infer=_infer_flatten, view=True)
def flatten(input: Any, *, axis: int = 1) -> Any:
    """All axes before `axis` as one, all others as another: [batch, ...] to [batch, n]."""
    if not -input.ndim <= axis <= input.ndim:
        raise ValueError("axis out of range")
    axis = axis + input.ndim if axis < 0 else axis
    rows, columns = size_of(input.shape[:axis]), size_of(input.shape[axis:])
    return input.reshape(rows, columns)


def _infer_squeeze(data: Value, axes: Value | None = None) -> Inferred:
    if axes is None:
        drop = tuple(i for i, d in enumerate(data.shape) if not isinstance(d, Dim) and d == 1)
    else:
        known = known_ints(axes)
        if known is None:
            rank = data.rank - count_of(axes, "axes")
            return tuple(Dim.unknown() for _ in range(rank)), data.dtype
        drop = normalize_axes(known, data.rank)
    for axis in drop:
        if not may_be_same(data.shape[axis], 1):
            raise ShapeError(f"axis {axis} of size {data.shape[axis]} is not 1")
    return tuple(d for i, d in enumerate(data.shape) if i not in drop), data.dtype


@op("Squeeze", any_dtype=True, since=13, infer=_infer_squeeze, view=True, content=_first)
def squeeze_op(data: Any, axes: Any = None) -> Any:
    """Axes of size 1 removed; all of them where none are given."""
    return np.squeeze(data, None if axes is None else tuple(axes.tolist()))


def squeeze(x: Any, axis: Any = None) -> Any:
    """Remove axes of size 1.

    Args:
        x: any tensor.
        axis: an axis or several; None for all whose size is known to be 1.

    Raises:
        ShapeError: an axis has, or may have, another size.
    """
    x = resolved(x)
    return squeeze_op(x) if axis is None else squeeze_op(x, np.asarray(_axes(axis), np.int64))


def _infer_unsqueeze(data: Value, axes: Value) -> Inferred:
    new = known_ints(axes)
    if new is None:
        rank = data.rank + count_of(axes, "axes")
        return tuple(Dim.unknown() for _ in range(rank)), data.dtype
    rank = data.rank + len(new)
    new = normalize_axes(new, rank)
    old = iter(data.shape)
    return tuple(1 if i in new else next(old) for i in range(rank)), data.dtype


@op("Unsqueeze", any_dtype=True, since=13, infer=_infer_unsqueeze, view=True, content=_first)
def unsqueeze_op(data: Any, axes: Any) -> Any:
    """Axes of size 1 inserted, so that they stand where `axes` says in the result."""
    return np.expand_dims(data, tuple(axes.reshape(-1).tolist()))


def expand_dims(x: Any, axis: Any = 0) -> Any:
    """Insert axes of size 1 at these positions of the result."""
    return unsqueeze_op(resolved(x), np.asarray(_axes(axis), np.int64))


# -- axes in another order ------------------------------------------------------------------------


def _infer_transpose(data: Value, *, perm: Sequence[int] | None = None) -> Inferred:
    if perm is None:
        return data.shape[::-1], data.dtype
    order = normalize_axes(perm, data.rank)
    if len(order) != data.rank:
        raise ShapeError(f"axes {list(perm)} do not order the {data.rank} axes of {data.spec}")
    return tuple(data.shape[axis] for axis in order), data.dtype


def _inline_transpose(node: Node) -> str:
    return f"{{0}}.transpose({', '.join(map(str, node.attrs.get('perm', ())))})"


@op(
    "Transpose",
    any_dtype=True,
    since=13,
    infer=_infer_transpose,
    view=True,
    inline=_inline_transpose,
)
def transpose_op(data: Any, *, perm: Any = None) -> Any:
    """Axes permuted: axis i of the result is axis `perm[i]` of the operand."""
    return data.transpose(perm)


def permute_dims(x: Any, axes: Any = None) -> Any:
    """Axes in another order; reversed where none is given.

    Args:
        x: any tensor.
        axes: axis i of the result is axis `axes[i]` of x.

    Raises:
        ShapeError: the axes are not those of x, each one once.
    """
    x = resolved(x)
    rank = x.ndim
    if axes is None:
        order: tuple[int, ...] = tuple(range(rank))[::-1]
    else:
        order = tuple(a + rank if -rank <= a < 0 else int(a) for a in axes)
    if order == tuple(range(rank)):
        return x
    return transpose_op(x, perm=order)


def matrix_transpose(x: Any) -> Any:
    """The last two axes swapped."""
    x = resolved(x)
    if x.ndim < 2:
        raise ShapeError(f"{where()}matrix_transpose needs 2 dimensions, got {x.ndim}")
    return swapaxes(x, -1, -2)


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Two axes swapped."""
    x = resolved(x)
    order = list(range(x.ndim))
    first, second = normalize_axis(axis1, x.ndim), normalize_axis(axis2, x.ndim)
    order[first], order[second] = second, first
    return permute_dims(x, order)


def moveaxis(x: Any, source: Any, destination: Any) -> Any:
    """Axes moved from `source` to `destination`; the others keep their order."""
    x = resolved(x)
    sources = normalize_axes(_axes(source), x.ndim)
    destinations = normalize_axes(_axes(destination), x.ndim)
    if len(sources) != len(destinations):
        raise ShapeError(
            f"{where()}moveaxis needs as many destinations as sources, got {list(sources)} and "
            f"{list(destinations)}"
        )
    order = [axis for axis in range(x.ndim) if axis not in sources]
    for to, axis in sorted(zip(destinations, sources, strict=True)):
        order.insert(to, axis)
    return permute_dims(x, order)


# -- join and split -------------------------------------------------------------------------------


def _infer_concat(*inputs: Value, axis: int) -> Inferred:
    if not inputs:
        raise ShapeError("needs at least one tensor")
    first = inputs[0]
    if not first.rank:
        raise ShapeError("scalars have no axis to be joined along; stack them")
    axis = normalize_axis(axis, first.rank)
    total = first.shape[axis]
    for value in inputs[1:]:
        require_rank(value, first.rank, f"what is joined to {shape_text(first.shape)}")
        for i, (a, b) in enumerate(zip(first.shape, value.shape, strict=True)):
            if i != axis:
                require_same_dim(a, b, f"sizes of axis {i} differ")
        total = total + value.shape[axis]
    dims = (*first.shape[:axis], total, *first.shape[axis + 1 :])
    return dims, common_dtype(inputs)


def _concat_content(*dims: Any, axis: int) -> Any:
    return sum(dims, ())


@op(
    "Concat",
    any_dtype=True,
    since=13,
    infer=_infer_concat,
    promote=0,
    content=_concat_content,
    row_major=True,
)
def concat_op(*inputs: Any, axis: int) -> Any:
    """Tensors joined along an axis."""
    if all(x.flags.c_contiguous for x in inputs):
        return np.concatenate(inputs, axis)
    # NumPy would keep the order of transposed operands, which makes all that follows slow.
    shape = list(inputs[0].shape)
    shape[axis] = sum(x.shape[axis] for x in inputs)
    return np.concatenate(inputs, axis, out=np.empty(shape, np.result_type(*inputs)))


def concat(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    """Join tensors along an axis that they have.

    Args:
        arrays: tensors of equal shapes apart from this axis; dtypes are promoted.
        axis: to join along; None flattens them first.

    Raises:
        ShapeError: their shapes differ along another axis.
    """
    recorder = recorder_of(*arrays)
    arrays = [resolved(x) if recorder is None else recorder.tensor(x) for x in arrays]
    if axis is None:
        arrays = [reshape(x, (-1,)) for x in arrays]
    return concat_op(*arrays, axis=0 if axis is None else axis)


def stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    """Join tensors of one shape along a new axis."""
    recorder = recorder_of(*arrays)
    arrays = [x if recorder is None else recorder.tensor(x) for x in arrays]
    return concat([expand_dims(x, axis) for x in arrays], axis)


def _chunks(size: DimLike, parts: int) -> list[DimLike]:
    """Sizes of equal parts; the last one is smaller where they do not fit."""
    chunk = (size + parts - 1) // parts
    last = size - chunk * (parts - 1)
    if not isinstance(last, Dim) and last < 0:
        raise ShapeError(f"an axis of size {size} cannot be split into {parts} parts")
    return [chunk] * (parts - 1) + [last]


def _infer_split(
    input: Value, split: Value | None = None, *, axis: int = 0, num_outputs: int = 0
) -> list[Inferred]:
    axis = normalize_axis(axis, input.rank)
    size = input.shape[axis]
    if split is not None:
        sizes = list(known_dims(split, "the sizes of the parts"))
        require_same_dim(sum(sizes[1:], sizes[0]), size, f"parts {sizes} of axis {axis}")
    elif num_outputs > 0:
        sizes = _chunks(size, num_outputs)
    else:
        raise ShapeError("needs the sizes of the parts, or num_outputs")
    before, after = input.shape[:axis], input.shape[axis + 1 :]
    return [((*before, part, *after), input.dtype) for part in sizes]


@op("Split", any_dtype=True, since=18, infer=_infer_split, view=True)
def split_op(input: Any, split: Any = None, *, axis: int = 0, num_outputs: int = 0) -> Any:
    """A tensor cut into parts along an axis."""
    size = input.shape[axis]
    sizes = _chunks(size, num_outputs) if split is None else split.tolist()
    if sum(sizes) != size:
        raise ValueError("parts do not fit")
    index: list[Any] = [slice(None)] * input.ndim
    parts = []
    start = 0
    for part in sizes:
        index[axis] = slice(start, start + part)
        parts.append(input[tuple(index)])
        start += part
    return tuple(parts) if len(parts) != 1 else parts[0]


def split(x: Any, parts: Any, axis: int = 0) -> list[Any]:
    """Cut a tensor into parts along an axis.

    Args:
        x: any tensor.
        parts: how many equal parts, or the indices at which to cut, as in `numpy.split`.
        axis: to cut.

    Raises:
        ShapeError: the size is not a multiple of the number of parts.
    """
    x = resolved(x)
    axis = normalize_axis(axis, x.ndim)
    size = x.shape[axis]
    if not isinstance(parts, (tuple, list, np.ndarray)):
        count = operator.index(parts)
        rest = size % count if count > 0 else 1
        if isinstance(rest, Dim) or rest:
            raise ShapeError(
                f"{where()}axis {axis} of size {size} cannot be split into {parts} equal parts"
            )
        made = split_op(x, axis=axis, num_outputs=count)
    else:
        cuts = [_cut(entry, size) for entry in shape_entries(parts)]
        bounds = [0, *cuts, size]
        sizes = [end - start for start, end in itertools.pairwise(bounds)]
        made = split_op(x, shape_operand(recorder_of(x, sizes), sizes), axis=axis)
    return list(made) if isinstance(made, tuple) else [made]


def _cut(entry: Any, size: DimLike) -> Any:
    if isinstance(entry, int) and entry < 0:
        return size + entry
    return entry if isinstance(entry, Dim) or isinstance(size, Dim) else min(entry, size)


def unstack(x: Any, axis: int = 0) -> list[Any]:
    """The slices of a tensor along an axis, without that axis."""
    x = resolved(x)
    axis = normalize_axis(axis, x.ndim)
    size = x.shape[axis]
    if isinstance(size, Dim):
        raise ShapeError(f"{where()}unstack needs a known number of slices, axis {axis} has {size}")
    if size == 0:
        return []
    return [squeeze(part, axis) for part in split(x, size, axis)]


# -- repeat ---------------------------------------------------------------------------------------


def _infer_expand(input: Value, shape: Value) -> Inferred:
    return broadcast_shapes(input.shape, tuple(known_dims(shape, "the shape"))), input.dtype


@op("Expand", any_dtype=True, since=13, infer=_infer_expand, view=True)
def expand_op(input: Any, shape: Any) -> Any:
    """A tensor broadcast together with a shape."""
    return np.broadcast_to(input, np.broadcast_shapes(input.shape, tuple(shape.tolist())))


def broadcasts_to(shape: Shape, target: Sequence[Any]) -> bool:
    """Whether a shape broadcasts to another one, or may as a size is not proven."""
    missing = len(target) - len(shape)
    return missing >= 0 and all(
        may_be_same(a, b) or same_dim(a, 1) for a, b in zip(shape, target[missing:], strict=True)
    )


def broadcast_to(x: Any, shape: Any) -> Any:
    """A tensor repeated along axes of size 1 and new leading axes.

    Args:
        x: any tensor.
        shape: of the result: numbers and symbolic dimensions.

    Raises:
        ShapeError: x does not broadcast to the shape.
    """
    entries = shape_entries(shape)
    x, recorder = with_recorder(x, entries)
    missing = len(entries) - x.ndim
    known = not any(isinstance(entry, Tensor) for entry in entries)
    if known:
        if not broadcasts_to(x.shape, entries):
            raise ShapeError(
                f"{where()}{shape_text(x.shape)} cannot be broadcast to {shape_text(entries)}"
            )
        if recorder is not None and same_shape(x.shape, entries):
            return x
    # Expand broadcasts both ways: 1 keeps a symbolic dimension that x has already.
    kept = [
        1 if isinstance(e, Dim) and i >= missing and same_dim(e, x.shape[i - missing]) else e
        for i, e in enumerate(entries)
    ]
    return expand_op(x, shape_operand(recorder, kept))


def _infer_tile(input: Value, repeats: Value) -> Inferred:
    counts = known_dims(repeats, "the repeats")
    if len(counts) != input.rank:
        raise ShapeError(f"needs one repeat an axis of {shape_text(input.shape)}, got {counts}")
    return tuple(d * n for d, n in zip(input.shape, counts, strict=True)), input.dtype


@op("Tile", any_dtype=True, since=13, infer=_infer_tile, view=True)
def tile_op(input: Any, repeats: Any) -> Any:
    """A tensor repeated as a whole, `repeats[i]` times along axis i."""
    counts = repeats.tolist()
    if len(counts) != input.ndim:
        raise ValueError("one repeat an axis")
    blocks: list[int] = []
    spread: list[Any] = []
    for size, count in zip(input.shape, counts, strict=True):
        blocks += [count, size]
        spread += [None, slice(None)]
    shape = [size * count for size, count in zip(input.shape, counts, strict=True)]
    return np.broadcast_to(input[tuple(spread)], blocks).reshape(shape)


def tile(x: Any, repeats: Any) -> Any:
    """Repeat a tensor as a whole.

    Args:
        x: any tensor.
        repeats: one number an axis, or fewer for the last axes, or more for new leading axes.
    """
    entries = shape_entries(repeats)
    x, recorder = with_recorder(x, entries)
    rank = max(x.ndim, len(entries))
    entries = (1,) * (rank - len(entries)) + entries
    if rank > x.ndim:
        x = expand_dims(x, tuple(range(rank - x.ndim)))
    return tile_op(x, shape_operand(recorder, entries))


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Any:
    """Repeat each element several times in a row, along an axis or of the flat tensor.

    Args:
        x: any tensor.
        repeats: how often, or a vector of how often each element along the axis.
        axis: to repeat along.

    Raises:
        ShapeError: there are not as many numbers of repeats as elements.
    """
    x, recorder = with_recorder(x, repeats)
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    axis = normalize_axis(axis, x.ndim)
    repeats = repeats if isinstance(repeats, Dim) else resolved(repeats)
    if np.ndim(repeats) and (recorder is None or not same_dim(np.shape(repeats)[0], 1)):
        return _repeat_each(x, repeats, axis)
    count = shape_entries(repeats)
    dims = x.shape
    spread = broadcast_to(expand_dims(x, axis + 1), (*dims[: axis + 1], *count, *dims[axis + 1 :]))
    return reshape(spread, (*dims[:axis], count[0] * dims[axis], *dims[axis + 1 :]))


def _repeat_each(x: Any, repeats: Any, axis: int) -> Any:
    """`repeat` by one number for each element: which element is at each place."""
    from graphctx import ops

    if not isinstance(x, Tensor):
        return np.repeat(x, repeats, axis)
    size = x.shape[axis]
    require_same_dim(size, np.shape(repeats)[0], f"{where()}repeat needs one number an element")
    if not isinstance(repeats, Tensor):
        return ops.take(x, np.repeat(np.arange(len(repeats)), repeats), axis)
    ends = ops.cumulative_sum(ops.astype(repeats, INT64))
    places = ops.arange(ops.sum(ops.astype(repeats, INT64)))
    return ops.take(x, ops.searchsorted(ends, places, side="right"), axis)


# -- blocks of an image ---------------------------------------------------------------------------


def _divided(size: DimLike, block: int, what: str) -> DimLike:
    if not is_multiple(size, block):
        raise ShapeError(f"{what} ({size}) must be a multiple of {block}")
    return size // block


def _check_block(blocksize: int, mode: str) -> None:
    if blocksize < 1:
        raise ShapeError(f"blocksize is at least 1, got {blocksize}")
    if mode not in MODES:
        raise ShapeError(f"mode is {' or '.join(MODES)}, got {mode!r}")


def _infer_depth_to_space(input: Value, *, blocksize: int, mode: str = "DCR") -> Inferred:
    require_rank(input, 4, "the image [N, C, H, W]")
    _check_block(blocksize, mode)
    n, c, h, w = input.shape
    depth = _divided(c, blocksize * blocksize, "the number of channels")
    return (n, depth, h * blocksize, w * blocksize), input.dtype


@op("DepthToSpace", any_dtype=True, since=13, infer=_infer_depth_to_space, view=True)
def depth_to_space(input: Any, *, blocksize: int, mode: str = "DCR") -> Any:
    """Channels moved into blocks of space: [N, C*b*b, H, W] to [N, C, H*b, W*b].

    Channels are the place in a block and then a channel of the result; in the mode "CRD" the
    channel comes first.
    """
    if mode not in MODES or blocksize < 1:
        raise ValueError("an unknown mode, or no blocks")
    n, c, h, w = input.shape
    b, depth = blocksize, c // (blocksize * blocksize)
    if mode == "DCR":
        x = input.reshape(n, b, b, depth, h, w).transpose(0, 3, 4, 1, 5, 2)
    else:
        x = input.reshape(n, depth, b, b, h, w).transpose(0, 1, 4, 2, 5, 3)
    return x.reshape(n, depth, h * b, w * b)


def _infer_space_to_depth(input: Value, *, blocksize: int, mode: str = "DCR") -> Inferred:
    require_rank(input, 4, "the image [N, C, H, W]")
    _check_block(blocksize, mode)
    n, c, h, w = input.shape
    rows, columns = _divided(h, blocksize, "the height"), _divided(w, blocksize, "the width")
    return (n, c * blocksize * blocksize, rows, columns), input.dtype


@op("SpaceToDepth", any_dtype=True, since=13, infer=_infer_space_to_depth, view=True)
def space_to_depth(input: Any, *, blocksize: int, mode: str = "DCR") -> Any:
    """Blocks of space moved into channels: [N, C, H*b, W*b] to [N, C*b*b, H, W].

    The channels are ordered as `depth_to_space` takes them in the same mode.
    """
    if mode not in MODES or blocksize < 1:
        raise ValueError("an unknown mode, or no blocks")
    n, c, h, w = input.shape
    b = blocksize
    x = input.reshape(n, c, h // b, b, w // b, b)
    x = x.transpose(0, 3, 5, 1, 2, 4) if mode == "DCR" else x.transpose(0, 1, 3, 5, 2, 4)
    return x.reshape(n, c * b * b, h // b, w // b)


# -- the shape itself -----------------------------------------------------------------------------


def _infer_shape(data: Value, *, start: int = 0, end: int | None = None) -> Inferred:
    return (len(data.shape[start:end]),), INT64


def _shape_content(data: Value, *, start: int = 0, end: int | None = None) -> Any:
    return data.shape[start:end]


@op("Shape", any_dtype=True, since=15, infer=_infer_shape, content=_shape_content)
def shape(data: Any, *, start: int = 0, end: int | None = None) -> Any:
    """The sizes of the axes `start:end` as an int64 vector."""
    return np.array(data.shape[start:end], np.int64)


def _infer_size(data: Value) -> Inferred:
    return (), INT64


@op("Size", any_dtype=True, since=13, infer=_infer_size)
def size(data: Any) -> Any:
    """The number of elements as an int64 scalar."""
    return np.array(data.size, np.int64)


def _scalar(value: Value, what: str) -> Any:
    """The element of a scalar: a number, a dimension, or None where only data tells."""
    if value.rank:
        raise ShapeError(f"{what} needs to be a scalar, got {shape_text(value.shape)}")
    if value.dims is not None:
        return value.dims[0]
    return None if value.constant is None else value.constant.item()


def _range_length(start: Any, limit: Any, delta: Any) -> DimLike:
    if start is None or limit is None or delta is None:  # the data decides
        return Dim.unknown()
    if not any(isinstance(x, Dim) for x in (start, limit, delta)):
        if not delta:
            raise ShapeError("the step of a range is not 0")
        if all(isinstance(x, int) for x in (start, limit, delta)):
            return len(range(start, limit, delta))
        length: DimLike = math.ceil((limit - start) / delta)
        return max(length, 0)
    if isinstance(delta, Dim) or not isinstance(delta, int):
        raise ShapeError(f"a range between symbolic sizes needs an int as its step, got {delta}")
    distance = limit - start if delta > 0 else start - limit
    length = (distance + abs(delta) - 1) // abs(delta)
    return length


def _infer_range(start: Value, limit: Value, delta: Value) -> Inferred:
    dtype = common_dtype((start, limit, delta))
    bounds = (_scalar(start, "start"), _scalar(limit, "limit"), _scalar(delta, "delta"))
    if any(x is None or (isinstance(x, Dim) and x.is_unknown) for x in bounds):
        return (Dim.unknown(),), dtype
    return (_range_length(*bounds),), dtype


@op("Range", since=11, infer=_infer_range, promote=0)
def range_op(start: Any, limit: Any, delta: Any) -> Any:
    """`start`, `start + delta`, ... up to but without `limit`."""
    dtype = np.result_type(start, limit, delta)
    first, end, step = (np.asarray(x).item() for x in (start, limit, delta))
    if kind_of(dtype) != "f":
        return np.arange(first, end, step, dtype=dtype)
    count = max(math.ceil((end - first) / step), 0)
    return np.asarray(first, dtype) + np.arange(count, dtype=dtype) * np.asarray(step, dtype)
