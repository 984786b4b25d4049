"""Choosing between computations by data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphctx.context import Frame, current, source_line
from graphctx.errors import ShapeError, TraceError
from graphctx.ops.logic import where
from graphctx.spec import same_shape
from graphctx.tensor import ArrayOperators, Tensor
from graphctx.tensor import where as location
from graphctx.tree import flatten, same_structure


def cond(
    condition: Any, then: Callable[..., Any], otherwise: Callable[..., Any], *operands: Any
) -> Any:
    """`then(*operands)` if the scalar condition holds, else `otherwise(*operands)`.

    On arrays only the function chosen runs. In a trace both run and each output is chosen by
    `ops.where`, so both must return the same structure, shapes and dtypes, and neither may assign
    to variables.

    Raises:
        ShapeError: the condition is not a scalar, or the outputs differ.
    """
    if isinstance(condition, ArrayOperators):
        condition = condition.resolve()
    branches = _branches()
    if not isinstance(condition, Tensor):
        chosen, name = (then, "then") if bool(condition) else (otherwise, "otherwise")
        return _run(branches, name, chosen, operands)
    if condition.shape:
        raise ShapeError(f"{location()}cond needs a scalar condition, got {condition.spec}")
    yes, structure = flatten(_run(branches, "then", then, operands), _is_array)
    no, other = flatten(_run(branches, "otherwise", otherwise, operands), _is_array)
    if not same_structure(structure, other):
        raise ShapeError(f"{location()}cond: the two functions return different structures")
    for a, b in zip(yes, no, strict=True):
        if a.dtype != b.dtype or not same_shape(a.shape, b.shape):
            raise ShapeError(
                f"{location()}cond: the two functions return {a.dtype}{list(a.shape)} and "
                f"{b.dtype}{list(b.shape)}"
            )
    return structure.build(where(condition, a, b) for a, b in zip(yes, no, strict=True))


def _branches() -> tuple[Frame, str] | None:
    """The running layer call and the path of this `cond` in it."""
    frame = current.get()
    if frame is not None and frame.layer is None:
        frame = frame.caller
    if frame is None:
        return None
    count = frame.counts.get("cond", 0)
    frame.counts["cond"] = count + 1
    return frame, f"{frame.path}/cond{f'#{count + 1}' if count else ''}"


def _run(
    branches: tuple[Frame, str] | None, name: str, function: Callable[..., Any], operands: Any
) -> Any:
    """Run one function in a scope of its own.

    Layer calls and random draws in it are then named, and so keyed, alike whether the other
    function ran before it (in a trace) or not (eagerly).
    """
    if branches is None:
        return function(*operands)
    caller, path = branches
    enclosing = current.get()
    assert enclosing is not None
    frame = Frame(None, caller.layer, enclosing.values, enclosing.tracer)
    frame._path = f"{path}/{name}"
    tracer = frame.tracer
    state = dict(tracer.run.state) if tracer is not None else {}
    token = current.set(frame)
    try:
        result = function(*operands)
    finally:
        current.reset(token)
    if tracer is not None and tracer.run.state != state:
        raise TraceError(
            f"{caller.path}: a function given to ops.cond assigns to a variable; return the new "
            f"value and assign it after the cond ({source_line()})"
        )
    return result


def _is_array(value: Any) -> bool:
    return isinstance(value, (Tensor, np.ndarray))
