"""Operators that search: what they find decides the size of their result, or its order."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphctx.errors import DTypeError, ShapeError
from graphctx.graph import Value
from graphctx.ops.table import Inferred, normalize_axis, op, require_kind, require_rank
from graphctx.spec import Dim, Shape, require_same_dim, shape_text, size_of

INT64, FLOAT32 = np.dtype(np.int64), np.dtype(np.float32)

# -- elements that hold ---------------------------------------------------------------------------


def _infer_nonzero(X: Value) -> Inferred:
    return (X.rank, Dim.unknown()), INT64


@op("NonZero", any_dtype=True, since=13, infer=_infer_nonzero)
def nonzero_op(X: Any) -> Any:
    """Places of the elements that are not zero (or empty strings): a column each, a row an axis."""
    found = np.nonzero(np.atleast_1d(X))
    return np.array(found, np.int64) if X.ndim else np.zeros((0, found[0].size), np.int64)


def _infer_compress(input: Value, condition: Value, *, axis: int | None = None) -> Inferred:
    require_kind(condition, "b", "a bool condition")
    require_rank(condition, 1, "the condition")
    if axis is None:
        return (Dim.unknown(),), input.dtype
    axis = normalize_axis(axis, input.rank)
    length, size = condition.shape[0], input.shape[axis]
    if isinstance(length, int) and isinstance(size, int) and length > size:
        raise ShapeError(f"{length} conditions for axis {axis} of size {size}")
    return (*input.shape[:axis], Dim.unknown(), *input.shape[axis + 1 :]), input.dtype


@op("Compress", any_dtype=True, since=11, infer=_infer_compress)
def compress_op(input: Any, condition: Any, *, axis: int | None = None) -> Any:
    """Slices along an axis, or elements of the flat tensor, for which a condition holds.

    There may be fewer conditions than slices; the last ones are left out then.
    """
    size = input.size if axis is None else input.shape[axis]
    if condition.size > size:
        raise ValueError(f"{condition.size} conditions for {size} elements")
    return np.compress(condition, input, axis)


def compress(condition: Any, x: Any, axis: int | None = None) -> Any:
    """Slices along an axis, or elements of the flat tensor, for which a condition holds.

    Args:
        condition: a vector of bools; where it is shorter than the axis, the rest is left out.
        x: any tensor.
        axis: None for the flat tensor.

    Raises:
        DTypeError: the condition holds other values.
        ShapeError: it is no vector, or longer than the axis.
    """
    return compress_op(x, condition, axis=axis)


# -- unique ones ----------------------------------------------------------------------------------


def _infer_unique(X: Value, *, axis: int | None = None, sorted: int = 1) -> list[Inferred]:
    count = Dim.unknown()
    shape: Shape
    if axis is None:
        shape, of = (count,), size_of(X.shape)
    else:
        axis = normalize_axis(axis, X.rank)
        shape, of = (*X.shape[:axis], count, *X.shape[axis + 1 :]), X.shape[axis]
    return [(shape, X.dtype), ((count,), INT64), ((of,), INT64), ((count,), INT64)]


@op("Unique", any_dtype=True, since=11, infer=_infer_unique)
def unique_op(X: Any, *, axis: int | None = None, sorted: int = 1) -> Any:
    """Elements, or slices along an axis, without repetitions.

    Also the place of the first of each; for every one of `X` its place in the result; and how many
    there are of each. Sorted, or in the order in which they come first.
    """
    codes = X
    if X.dtype == object and axis is not None:  # NumPy compares slices of numbers only
        _, codes = np.unique(X, return_inverse=True)
        codes = codes.reshape(X.shape)
    _, first, inverse, counts = np.unique(
        codes, return_index=True, return_inverse=True, return_counts=True, axis=axis
    )
    inverse = inverse.reshape(-1)
    if not sorted:
        order = np.argsort(first)
        place = np.empty_like(order)
        place[order] = np.arange(order.size)
        first, inverse, counts = first[order], place[inverse], counts[order]
    values = np.take(X.reshape(-1) if axis is None else X, first, 0 if axis is None else axis)
    return values, first.astype(np.int64), inverse.astype(np.int64), counts.astype(np.int64)


# -- sequences of different lengths in one tensor -------------------------------------------------


def _infer_reverse(
    input: Value, sequence_lens: Value, *, batch_axis: int = 1, time_axis: int = 0
) -> Inferred:
    if input.rank < 2:
        raise ShapeError(f"needs two axes or more, got {shape_text(input.shape)}")
    if {batch_axis, time_axis} != {0, 1}:
        raise ShapeError(f"one of batch_axis and time_axis is 0, the other 1; got {batch_axis} "
                         f"and {time_axis}")  # fmt: skip
    if sequence_lens.dtype != INT64:
        raise DTypeError(f"sequence_lens are int64, got {sequence_lens.spec}")
    require_rank(sequence_lens, 1, "sequence_lens")
    require_same_dim(sequence_lens.shape[0], input.shape[batch_axis], "number of sequences")
    return input.shape, input.dtype


@op("ReverseSequence", any_dtype=True, since=10, infer=_infer_reverse)
def reverse_sequence(
    input: Any, sequence_lens: Any, *, batch_axis: int = 1, time_axis: int = 0
) -> Any:
    """The first elements of each sequence in reverse, as many as its length says."""
    if input.ndim < 2 or {batch_axis, time_axis} != {0, 1}:
        raise ValueError("needs a batch axis and a time axis, 0 and 1")
    steps, count = input.shape[time_axis], input.shape[batch_axis]
    if sequence_lens.shape != (count,):
        raise ValueError(f"{sequence_lens.size} lengths for {count} sequences")
    if sequence_lens.size and not 0 <= sequence_lens.min() <= sequence_lens.max() <= steps:
        raise ValueError(f"lengths are from 0 to {steps}, got {sequence_lens.tolist()}")
    time = np.arange(steps)[:, None]
    source = np.where(time < sequence_lens, sequence_lens - 1 - time, time)
    batch = np.arange(count)[None]
    return input[source, batch] if time_axis == 0 else input[batch.T, source.T]


# -- boxes ----------------------------------------------------------------------------------------


def _infer_nms(
    boxes: Value,
    scores: Value,
    max_output_boxes_per_class: Value | None = None,
    iou_threshold: Value | None = None,
    score_threshold: Value | None = None,
    *,
    center_point_box: int = 0,
) -> Inferred:
    for value, what in ((boxes, "boxes"), (scores, "scores")):
        require_rank(value, 3, what)
        if value.dtype != FLOAT32:
            raise DTypeError(f"{what} are float32, got {value.spec}")
    require_same_dim(boxes.shape[0], scores.shape[0], "number of images")
    require_same_dim(boxes.shape[1], scores.shape[2], "number of boxes")
    require_same_dim(boxes.shape[2], 4, "numbers of a box")
    for limit, kind in ((max_output_boxes_per_class, "i"), (iou_threshold, "f"),
                        (score_threshold, "f")):  # fmt: skip
        if limit is not None:
            require_kind(limit, kind, "an int64 number of boxes and float32 thresholds")
            if size_of(limit.shape) != 1:
                raise ShapeError(f"limits are scalars, got {limit.spec}")
    return (Dim.unknown(), 3), INT64


@op("NonMaxSuppression", since=11, infer=_infer_nms)
def non_max_suppression(
    boxes: Any,
    scores: Any,
    max_output_boxes_per_class: Any = None,
    iou_threshold: Any = None,
    score_threshold: Any = None,
    *,
    center_point_box: int = 0,
) -> Any:
    """The best boxes of each class that do not overlap: [image, class, box] in every row.

    Box by box from the best score on; a box whose intersection over union with one that is taken
    exceeds a threshold is left out. Without `max_output_boxes_per_class` none is taken.
    """
    whole = boxes.dtype == scores.dtype == FLOAT32
    if not whole or boxes.shape != (scores.shape[0], scores.shape[2], 4):
        raise ValueError("boxes and scores do not fit")
    most = _limit(max_output_boxes_per_class, 0)
    overlap = np.float32(_limit(iou_threshold, 0.0))
    found = []
    for image, corners in enumerate(map(_corners, boxes, [center_point_box] * len(boxes))):
        areas = (corners[2] - corners[0]) * (corners[3] - corners[1])
        for number, score in enumerate(scores[image]):
            left = np.argsort(-score, kind="stable")
            if score_threshold is not None:
                left = left[score[left] > _limit(score_threshold, 0.0)]
            taken: list[int] = []
            while left.size and len(taken) < most:
                best, left = int(left[0]), left[1:]
                taken.append(best)
                left = left[~_overlap(corners, areas, best, left, overlap)]
            found += [(image, number, box) for box in taken]
    return np.array(found, np.int64).reshape(-1, 3)


def _limit(value: Any, default: float) -> Any:
    return default if value is None else np.asarray(value).reshape(()).item()


def _corners(boxes: Any, center: int) -> Any:
    """Rows of the lowest first and second coordinates, and of the highest ones."""
    if center:
        x, y, half_width, half_height = boxes[:, 0], boxes[:, 1], boxes[:, 2] / 2, boxes[:, 3] / 2
        ends = (x - half_width, y - half_height, x + half_width, y + half_height)
    else:
        ends = tuple(boxes.T)
    a, b, c, d = ends
    return np.stack([np.minimum(a, c), np.minimum(b, d), np.maximum(a, c), np.maximum(b, d)])


def _overlap(corners: Any, areas: Any, box: int, others: Any, threshold: Any) -> Any:
    """Whether the intersection over union of a box and others exceeds a threshold."""
    low = np.maximum(corners[:2, others], corners[:2, box, None])
    high = np.minimum(corners[2:, others], corners[2:, box, None])
    shared = np.maximum(high - low, 0).prod(0)
    union = areas[box] + areas[others] - shared
    whole = (areas[box] > 0) & (areas[others] > 0) & (union > 0)
    return whole & (shared / np.where(whole, union, 1) > threshold)
