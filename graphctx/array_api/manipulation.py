"""Functions of the standard that move, join, repeat and index elements."""

from __future__ import annotations

import builtins
from typing import Any

from graphctx import ops
from graphctx.array_api.signatures import documented


@documented(ops.broadcast_arrays)
def broadcast_arrays(*arrays: Any) -> tuple[Any, ...]:
    return ops.broadcast_arrays(*arrays)


@documented(ops.broadcast_to)
def broadcast_to(x: Any, /, shape: Any) -> Any:
    return ops.broadcast_to(x, shape)


@documented(ops.concat)
def concat(arrays: Any, /, *, axis: int | None = 0) -> Any:
    return ops.concat(arrays, axis)


@documented(ops.expand_dims)
def expand_dims(x: Any, /, axis: Any) -> Any:
    return ops.expand_dims(x, axis)


@documented(ops.flip)
def flip(x: Any, /, *, axis: Any = None) -> Any:
    return ops.flip(x, axis)


@documented(ops.matrix_transpose)
def matrix_transpose(x: Any, /) -> Any:
    return ops.matrix_transpose(x)


@documented(ops.moveaxis)
def moveaxis(x: Any, source: Any, destination: Any, /) -> Any:
    return ops.moveaxis(x, source, destination)


@documented(ops.permute_dims)
def permute_dims(x: Any, /, axes: Any) -> Any:
    return ops.permute_dims(x, axes)


@documented(ops.repeat)
def repeat(x: Any, repeats: Any, /, *, axis: int | None = None) -> Any:
    return ops.repeat(x, repeats, axis)


@documented(ops.reshape)
def reshape(x: Any, /, shape: Any, *, copy: builtins.bool | None = None) -> Any:
    found = ops.reshape(x, shape)
    return found.copy() if copy else found


@documented(ops.roll)
def roll(x: Any, /, shift: Any, *, axis: Any = None) -> Any:
    return ops.roll(x, shift, axis)


@documented(ops.squeeze)
def squeeze(x: Any, /, axis: Any) -> Any:
    return ops.squeeze(x, axis)


@documented(ops.stack)
def stack(arrays: Any, /, *, axis: int = 0) -> Any:
    return ops.stack(arrays, axis)


@documented(ops.take)
def take(x: Any, indices: Any, /, *, axis: int | None = None) -> Any:
    return ops.take(x, indices, axis)


@documented(ops.take_along_axis)
def take_along_axis(x: Any, indices: Any, /, *, axis: int = -1) -> Any:
    return ops.take_along_axis(x, indices, axis)


@documented(ops.tile)
def tile(x: Any, repetitions: Any, /) -> Any:
    return ops.tile(x, repetitions)


@documented(ops.unstack)
def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    return tuple(ops.unstack(x, axis))
