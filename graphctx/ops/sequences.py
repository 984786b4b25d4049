"""Sequences and optionals: values that are no tensors.

When a graph runs, a sequence is a list of arrays of one dtype, each with a shape of its own, and an
empty optional is None. No operator changes a list that it is given, and arrays are not copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphctx.context import current
from graphctx.errors import DTypeError, ShapeError
from graphctx.graph import Value
from graphctx.ops.table import (
    TABLE,
    Inferred,
    common_dtype,
    normalize_axis,
    op,
    require_kind,
)
from graphctx.spec import (
    ContainerType,
    Dim,
    DimLike,
    OptionalType,
    SequenceType,
    Shape,
    TensorSpec,
    as_dtype,
    dtype_name,
    is_static,
    same_dim,
    shape_text,
)

INT64, BOOL = np.dtype(np.int64), np.dtype(bool)

# -- inference ------------------------------------------------------------------------------------


def _sequence(value: Value) -> SequenceType:
    if not isinstance(value.dtype, SequenceType):
        raise DTypeError(f"needs a sequence, got {value.spec}")
    return value.dtype


def _check_position(position: Value | None) -> None:
    if position is not None:
        require_kind(position, "i", "an int32 or int64 position")
        if position.rank > 1 or (position.rank and not same_dim(position.shape[0], 1)):
            raise ShapeError(f"the position is a scalar, got {shape_text(position.shape)}")


def opened(kind: ContainerType, what: str) -> Shape:
    """The shape of a tensor that is taken out of a sequence or an optional.

    Raises:
        ShapeError: not even its number of dimensions is known.
    """
    if kind.shape is None:
        raise ShapeError(
            f"{what} of {kind} has a number of dimensions that only its data tells; build the "
            f"sequence of tensors with the same number of dimensions"
        )
    return tuple(Dim.unknown() if dim is None else dim for dim in kind.shape)


def _known_elements(sequence: Value) -> Sequence[Value] | None:
    """The tensors of a sequence that is built where it can be seen."""
    node = sequence.node
    if node.kind == "op" and node.name == "SequenceConstruct":
        return [v for v in node.operands if v is not None]
    return None


def _infer_empty(*, dtype: Any = None) -> Inferred:
    return (), SequenceType(np.float32 if dtype is None else as_dtype(dtype), empty=True)


def _infer_construct(*inputs: Value) -> Inferred:
    if not inputs:
        raise ShapeError("needs a tensor; SequenceEmpty makes an empty sequence")
    kind = SequenceType(common_dtype(inputs), empty=True)
    for value in inputs:
        kind = kind.joined(value.shape)
    return (), kind


def _infer_insert(input_sequence: Value, tensor: Value, position: Value | None = None) -> Inferred:
    kind = _sequence(input_sequence)
    _check_position(position)
    if tensor.dtype != kind.element:
        raise DTypeError(
            f"a tensor of {dtype_name(tensor.dtype)} does not go into a sequence of "
            f"{dtype_name(kind.element)}"
        )
    return (), kind.joined(tensor.shape)


def _infer_erase(input_sequence: Value, position: Value | None = None) -> Inferred:
    kind = _sequence(input_sequence)
    _check_position(position)
    if kind.empty:
        raise ShapeError("an empty sequence has nothing to erase")
    return (), kind


def _infer_at(input_sequence: Value, position: Value) -> Inferred:
    kind = _sequence(input_sequence)
    _check_position(position)
    if kind.empty:
        raise ShapeError("an empty sequence has no element")
    known = _known_elements(input_sequence)
    if known is not None and position.constant is not None:
        place = int(position.constant.reshape(())[()])
        if not -len(known) <= place < len(known):
            raise ShapeError(_out_of_range(place, len(known)))
        return known[place].shape, kind.element
    return opened(kind, "an element"), kind.element


def _infer_length(input_sequence: Value) -> Inferred:
    _sequence(input_sequence)
    return (), INT64


def _infer_split(
    input: Value, split: Value | None = None, *, axis: int = 0, keepdims: int = 1
) -> Inferred:
    if not input.rank:
        raise ShapeError("a scalar has no axis to split along")
    axis = normalize_axis(axis, input.rank)
    before, after = input.shape[:axis], input.shape[axis + 1 :]
    if split is None:
        return (), SequenceType(input.dtype, (*before, *((1,) if keepdims else ()), *after))
    require_kind(split, "i", "int32 or int64 sizes")
    if split.rank > 1:
        raise ShapeError(f"split is one size or a vector of them, got {shape_text(split.shape)}")
    size: DimLike | None = None
    if split.constant is not None and split.constant.size:
        sizes = split.constant.reshape(-1)
        if (sizes <= 0).any() if not split.rank else (sizes < 0).any():
            raise ShapeError(f"sizes to split into are positive, got {sizes.tolist()}")
        total = input.shape[axis]
        if split.rank and is_static((total,)) and sizes.sum() != total:
            raise ShapeError(f"the sizes {sizes.tolist()} do not add up to {total}")
        whole = split.rank or (not isinstance(total, Dim) and total % int(sizes[0]) == 0)
        size = int(sizes[0]) if whole and (sizes == sizes[0]).all() else None
    return (), SequenceType(input.dtype, (*before, size, *after))


def _infer_concat(input_sequence: Value, *, axis: int, new_axis: int = 0) -> Inferred:
    kind = _sequence(input_sequence)
    if kind.empty:
        raise ShapeError("an empty sequence has nothing to join")
    if kind.shape is None:
        raise ShapeError(f"the elements of {kind} differ in their number of dimensions")
    if not new_axis and not kind.shape:
        raise ShapeError("scalars have no axis to join along; new_axis=1 makes one")
    known = _known_elements(input_sequence)
    axis = normalize_axis(axis, len(kind.shape) + bool(new_axis))
    shape = list(kind.shape)
    if new_axis:
        shape.insert(axis, None if known is None else len(known))
    else:
        total: Any = 0
        for value in known or ():
            total = total + value.shape[axis]
        shape[axis] = None if known is None else total
    return tuple(Dim.unknown() if dim is None else dim for dim in shape), kind.element


def _infer_optional(input: Value | None = None, *, type: Any = None) -> Inferred:
    if input is None:
        if type is None:
            raise DTypeError("an empty optional needs the attribute type: a TensorSpec or a type")
        if isinstance(type, TensorSpec) and not isinstance(type.dtype, ContainerType):
            return (), OptionalType(type.dtype, type.shape)
        return (), OptionalType(type.dtype if isinstance(type, TensorSpec) else type)
    if isinstance(input.dtype, OptionalType):
        raise DTypeError(f"an optional holds a tensor or a sequence, got {input.dtype}")
    return (), OptionalType(input.dtype, input.shape)


def _infer_has_element(input: Value | None = None) -> Inferred:
    return (), BOOL


_NOTHING = "the optional holds nothing; ask with optional_has_element first"


def _infer_get_element(input: Value | None) -> Inferred:
    if input is None:
        raise ShapeError(_NOTHING)
    if not isinstance(input.dtype, OptionalType):
        return input.shape, input.dtype
    if isinstance(input.dtype.element, ContainerType):
        return (), input.dtype.element
    return opened(input.dtype, "the element"), input.dtype.element


# -- sequences ------------------------------------------------------------------------------------


def _out_of_range(position: int, length: int) -> str:
    return f"position {position} is out of range for a sequence of {length}"


def _place(position: Any, length: int, most: int) -> int:
    """A position as an index from the front; `most` is the last one that there is."""
    place = int(np.asarray(position).reshape(())[()])
    if not -length <= place <= most:
        raise IndexError(_out_of_range(place, length))
    return place + length if place < 0 else place


def copied(value: Any) -> Any:
    """A value whose arrays are shared with nothing: those of a sequence, too."""
    if isinstance(value, list):
        return list(map(np.array, value))
    return None if value is None else np.array(value)


@op("SequenceEmpty", since=11, infer=_infer_empty)
def sequence_empty_op(*, dtype: Any = None) -> Any:
    """A sequence without elements, of float32 tensors where no dtype is given."""
    return []


def sequence_empty(dtype: Any = "float32") -> Any:
    """A sequence without elements.

    Args:
        dtype: of the tensors that may go into it.

    Returns:
        An empty list; in a trace a symbolic sequence.
    """
    frame = current.get()
    dtype = as_dtype(dtype)
    if frame is not None and frame.tracer is not None:
        attrs = {} if dtype == np.float32 else {"dtype": dtype}
        return frame.tracer.record(TABLE["SequenceEmpty"], (), attrs)
    return []


@op("SequenceConstruct", since=11, infer=_infer_construct, view="any")
def sequence_construct(*inputs: Any) -> Any:
    """A sequence of these tensors, which have one dtype."""
    if not inputs:
        raise ValueError("needs a tensor; sequence_empty makes an empty sequence")
    if any(x.dtype != inputs[0].dtype for x in inputs):
        raise TypeError("operands need one dtype")
    return list(inputs)


@op("SequenceInsert", since=11, infer=_infer_insert, view="any", containers=[0])
def sequence_insert(input_sequence: Any, tensor: Any, position: Any = None) -> Any:
    """A sequence with one more tensor, before a position; at the end where none is given."""
    if input_sequence and input_sequence[0].dtype != tensor.dtype:
        raise TypeError("the tensor needs the dtype of the sequence")
    length = len(input_sequence)
    place = length if position is None else _place(position, length, length)
    return [*input_sequence[:place], tensor, *input_sequence[place:]]


@op("SequenceErase", since=11, infer=_infer_erase, view="any", containers=[0])
def sequence_erase(input_sequence: Any, position: Any = None) -> Any:
    """A sequence without the tensor at a position; without the last one where none is given."""
    length = len(input_sequence)
    place = _place(-1 if position is None else position, length, length - 1)
    return [*input_sequence[:place], *input_sequence[place + 1 :]]


@op("SequenceAt", since=11, infer=_infer_at, view=True, containers=[0])
def sequence_at(input_sequence: Any, position: Any) -> Any:
    """The tensor at a position of a sequence; a negative one counts from the back."""
    length = len(input_sequence)
    return input_sequence[_place(position, length, length - 1)]


@op("SequenceLength", since=11, infer=_infer_length, containers=[0])
def sequence_length(input_sequence: Any) -> Any:
    """The number of tensors in a sequence as an int64 scalar."""
    return np.array(len(input_sequence), np.int64)


@op("SplitToSequence", since=11, infer=_infer_split, view=True)
def split_to_sequence(input: Any, split: Any = None, *, axis: int = 0, keepdims: int = 1) -> Any:
    """A tensor cut along an axis: into parts of one size, of these sizes, or of size 1.

    Of one size the last part may be smaller. Without `split` the axis is left out of every part
    where `keepdims` is 0.
    """
    size = input.shape[axis]
    if split is None:
        if not keepdims:
            return list(np.moveaxis(input, axis, 0))
        split = 1
    sizes = np.asarray(split)
    if not sizes.ndim:
        step = int(sizes)
        if step <= 0:
            raise ValueError(f"sizes to split into are positive, got {step}")
        ends = list(range(step, size + step, step))
    else:
        if (sizes < 0).any() or int(sizes.sum()) != size:
            raise ValueError(f"the sizes {sizes.tolist()} do not add up to {size}")
        ends = np.cumsum(sizes).tolist()
    index: list[Any] = [slice(None)] * input.ndim
    parts = []
    for start, end in zip([0, *ends], ends, strict=False):
        index[axis] = slice(start, min(end, size))
        parts.append(input[tuple(index)])
    return parts


@op("ConcatFromSequence", since=11, infer=_infer_concat, containers=[0])
def concat_from_sequence(input_sequence: Any, *, axis: int, new_axis: int = 0) -> Any:
    """The tensors of a sequence joined along an axis, or stacked along a new one."""
    return (np.stack if new_axis else np.concatenate)(input_sequence, axis=axis)


# -- optionals ------------------------------------------------------------------------------------


@op("Optional", since=15, infer=_infer_optional, view="any", containers=[0])
def optional_op(input: Any = None, *, type: Any = None) -> Any:
    """An optional that holds a tensor or a sequence; an empty one of a type without operand."""
    return input


def optional(x: Any = None, type: Any = None) -> Any:
    """An optional that holds a tensor or a sequence, or nothing.

    Args:
        x: what it holds; None for an empty one.
        type: of what an empty one could hold: a `TensorSpec` or a `SequenceType`.

    Returns:
        `x` itself; in a trace a symbolic optional.
    """
    frame = current.get()
    if x is None and frame is not None and frame.tracer is not None:
        return frame.tracer.record(TABLE["Optional"], (), {"type": type})
    return optional_op(x)


@op("OptionalHasElement", since=18, infer=_infer_has_element, containers=[0])
def optional_has_element(input: Any = None) -> Any:
    """Whether an optional holds something; of what is none, True."""
    return np.array(input is not None)


@op("OptionalGetElement", since=18, infer=_infer_get_element, view=True, containers=[0])
def optional_get_element(input: Any) -> Any:
    """What an optional holds; what is none, itself."""
    if input is None:
        raise ValueError(_NOTHING)
    return input
