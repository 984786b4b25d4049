"""What a name map can do to a stored weight on its way into the model.

A step is a function of an array. What is here also says of itself what it does, for the table of
matches; any other function, a `lambda` too, may stand in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, repr=False)
class Step:
    """A function of one or several arrays that can say what it does.

    Attributes:
        run: the function.
        text: what it does, in words, given the shape of the (first) array.
        states_layout: whether it says how the source is laid out; the convention of the layer then
            transposes nothing.
        joins: whether it takes several arrays.
    """

    run: Callable[..., Array]
    text: Callable[[tuple[int, ...]], str]
    states_layout: bool = False
    joins: bool = False

    def __call__(self, *arrays: Array) -> Array:
        """Apply it."""
        return self.run(*arrays)


def transpose(*axes: int) -> Step:
    """Put the axes in another order; without any, in reverse."""

    def text(shape: tuple[int, ...]) -> str:
        return f"transpose {_numbers(axes or reversed(range(len(shape))))}"

    return Step(lambda w: np.transpose(w, axes or None), text, states_layout=True)


def reshape(*shape: int) -> Step:
    """Give it another shape, in row-major order; one size may be -1."""
    return Step(lambda w: np.reshape(w, shape), lambda _: f"reshape {_numbers(shape)}", True)


def as_stored() -> Step:
    """Leave the layout as it is in the file, also where the convention would transpose."""
    return Step(lambda w: w, lambda _: "", states_layout=True)


def part(index: int, of: int, axis: int = 0) -> Step:
    """Take one of several equal parts along an axis.

    Weights of fused layers are split so: the query of a PyTorch `qkv` is `part(0, 3)` of its weight
    [3*d, d] and of its bias [3*d]. Where the weight is [d, 3*d], it is `part(0, 3, axis=-1)`.

    Args:
        index: of the part, from 0.
        of: number of parts.
        axis: to split.
    """

    def bounds(shape: tuple[int, ...]) -> tuple[int, int]:
        size = shape[axis]
        if size % of or not 0 <= index < of:
            raise ValueError(f"axis {axis} of size {size} has no part {index} of {of} equal ones")
        return index * size // of, (index + 1) * size // of

    return Step(
        lambda w: _cut(w, *bounds(w.shape), axis),
        lambda shape: _cut_text(shape, *bounds(shape), axis),
    )


def rows(start: int, stop: int) -> Step:
    """Take a range of the first axis."""
    return Step(lambda w: _cut(w, start, stop, 0), lambda shape: _cut_text(shape, start, stop, 0))


def columns(start: int, stop: int) -> Step:
    """Take a range of the last axis."""
    return Step(lambda w: _cut(w, start, stop, -1), lambda shape: _cut_text(shape, start, stop, -1))


def reorder(*blocks: int) -> Step:
    """Split the last axis into equal blocks and put them in another order.

    The gates of recurrent layers: `reorder(1, 0, 2)` puts the second block first.
    """

    def run(w: Array) -> Array:
        if w.shape[-1] % len(blocks):
            raise ValueError(f"the last axis, of size {w.shape[-1]}, has no {len(blocks)} blocks")
        parts = np.split(w, len(blocks), axis=-1)
        return np.concatenate([parts[i] for i in blocks], axis=-1)

    return Step(run, lambda _: f"reorder blocks {_numbers(blocks)}")


def add() -> Step:
    """The sum of several stored weights, as of the two biases of PyTorch's LSTM."""
    return Step(lambda *arrays: sum(arrays[1:], arrays[0]), lambda _: "add", joins=True)


def stack(axis: int = 0) -> Step:
    """Several stored weights of one shape, stacked along a new axis."""
    return Step(lambda *arrays: np.stack(arrays, axis), lambda _: f"stack axis {axis}", joins=True)


def concat(axis: int = 0) -> Step:
    """Several stored weights, joined along an axis that they have."""
    return Step(
        lambda *arrays: np.concatenate(arrays, axis), lambda _: f"concat axis {axis}", joins=True
    )


def states_layout(step: Callable[..., Any]) -> bool:
    """Whether a step says how the source is laid out; a function of the user's always does."""
    return step.states_layout if isinstance(step, Step) else True


def joins(step: Callable[..., Any]) -> bool:
    """Whether a step may take several arrays; a function of the user's may."""
    return step.joins if isinstance(step, Step) else True


def step_text(step: Callable[..., Any], shape: tuple[int, ...]) -> str:
    """What a step does to an array of this shape, in words."""
    return step.text(shape) if isinstance(step, Step) else getattr(step, "__name__", repr(step))


def _cut(w: Array, start: int, stop: int, axis: int) -> Array:
    if not 0 <= start < stop <= w.shape[axis]:
        raise ValueError(f"axis {axis} of size {w.shape[axis]} has no range {start}:{stop}")
    index: list[Any] = [slice(None)] * w.ndim
    index[axis] = slice(start, stop)
    cut: Array = w[tuple(index)]
    return cut


def _cut_text(shape: tuple[int, ...], start: int, stop: int, axis: int) -> str:
    names = {0: "rows", len(shape) - 1: "columns"} if len(shape) == 2 else {}
    what = names.get(axis % len(shape), f"axis {axis}" if len(shape) > 1 else "elements")
    return f"{what} {start}:{stop} of {shape[axis]}"


def _numbers(numbers: Any) -> str:
    return "(" + ", ".join(map(str, numbers)) + ")"
