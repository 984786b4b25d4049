"""Operators with bodies: If, Loop and Scan, in ONNX's words.

The operands that ONNX lists come first; after them those that the bodies take from outside, which
ONNX does not list but finds by name (see `graphctx.body`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphctx.body import Body, as_number, bodies_of, either_shape, output_shape, require_same_kind
from graphctx.errors import DTypeError, ShapeError
from graphctx.graph import Node, Value
from graphctx.ops.sequences import copied
from graphctx.ops.table import Inferred, normalize_axis, op
from graphctx.spec import (
    Dim,
    Shape,
    dtype_name,
    joined_dtype,
    may_be_same,
    require_same_dim,
    shape_text,
)

Arrays = Any  # what an operator makes: an array, or a tuple of several


def _several(arrays: Sequence[Any]) -> Arrays:
    return arrays[0] if len(arrays) == 1 else tuple(arrays)


def _outputs(inferred: list[Inferred]) -> Inferred | list[Inferred]:
    return inferred[0] if len(inferred) == 1 else inferred


def _require_flag(value: Value, what: str) -> None:
    if value.dtype != np.bool_:
        got = "any" if value.dtype is None else dtype_name(value.dtype)
        raise DTypeError(f"{what} is a bool, got {got}")
    if not (value.rank == 0 or (value.rank == 1 and may_be_same(value.shape[0], 1))):
        raise ShapeError(f"{what} is a scalar, got {shape_text(value.shape)}")


def _bind(
    body: Body, given: Sequence[tuple[Shape, Any]], attribute: str, operands: Sequence[Value | None]
) -> None:
    """Check that what a body is given, and the operands after that, fit its inputs.

    Raises:
        ShapeError, DTypeError: they do not.
    """
    found = [*given, *((v.shape, v.dtype) if v is not None else None for v in operands)]
    if len(found) != len(body.inputs):
        raise ShapeError(f"{attribute} takes {len(body.inputs)} inputs, got {len(found)}")
    for index, (value, pair) in enumerate(zip(body.inputs, found, strict=True)):
        if pair is None:
            raise ShapeError(f"input {index} of {attribute} is not given")
        shape, dtype = pair
        if joined_dtype(dtype, value.dtype) != value.dtype:
            raise DTypeError(
                f"input {index} of {attribute} is {dtype_name(value.dtype)}, got "
                f"{'any' if dtype is None else dtype_name(dtype)}"
            )
        if len(shape) != value.rank or not all(map(may_be_same, shape, value.shape)):
            raise ShapeError(
                f"input {index} of {attribute} is {shape_text(value.shape)}, got "
                f"{shape_text(shape)}"
            )


def _carry(initial: Value | None, body: Body, made: Value, index: int) -> Inferred:
    """What is carried is after the last run: as it was at first, or as the body made it."""
    assert initial is not None
    require_same_kind(initial.shape, initial.dtype, made, index)
    dtype = joined_dtype(initial.dtype, made.dtype)
    return either_shape(initial.shape, output_shape(body, made)), dtype


def _work(body: Body) -> Any:
    """Multiplications with additions in one run of a body."""
    total: Any = 0
    for node in body.graph.nodes:
        if node.op is not None and node.op.multiply_adds is not None:
            total = total + node.op.multiply_adds(node)
    return total


# -- If -------------------------------------------------------------------------------------------


def _infer_if(
    cond: Value, *captures: Value, then_branch: Body, else_branch: Body
) -> Inferred | list[Inferred]:
    _require_flag(cond, "the condition")
    count = len(then_branch.outputs)
    if len(else_branch.outputs) != count:
        raise ShapeError(
            f"the branches return {count} and {len(else_branch.outputs)} tensors"
        )  # fmt: skip
    takes = len(then_branch.inputs)
    _bind(then_branch, [], "then_branch", captures[:takes])
    _bind(else_branch, [], "else_branch", captures[takes:])
    found: list[Inferred] = []
    for a, b in zip(then_branch.outputs, else_branch.outputs, strict=True):
        dtype = joined_dtype(a.dtype, b.dtype)
        if dtype is None or a.rank != b.rank:
            kind = DTypeError if dtype is None else ShapeError
            raise kind(f"the branches return {a.spec} and {b.spec}")
        shapes = output_shape(then_branch, a), output_shape(else_branch, b)
        found.append((either_shape(*shapes), dtype))
    return _outputs(found)


def _work_of_if(node: Node) -> Any:
    """Of the branch that takes more; of both where sizes decide which that is."""
    works = [_work(body) for body in bodies_of(node).values()]
    symbolic = any(isinstance(work, Dim) for work in works)
    return works[0] + works[1] if symbolic else max(works)


@op("If", containers="all", any_dtype=True, since=11, infer=_infer_if, multiply_adds=_work_of_if)
def if_op(cond, *captures, then_branch, else_branch):  # type: ignore[no-untyped-def]
    """What one of two bodies makes; the other one does not run.

    `captures`: what `then_branch` takes from outside, then what `else_branch` takes.
    """
    takes = len(then_branch.inputs)
    if cond:
        return _several(then_branch.run(*captures[:takes]))
    return _several(else_branch.run(*captures[takes:]))


# -- Loop -----------------------------------------------------------------------------------------


def trip_count(operands: Sequence[Value | None], body: Body) -> Any:
    """How often a Loop runs, where that is known before it does: a dimension, else None."""
    M, cond = (*operands[:2], None, None)[:2]
    runs_on = body.outputs[0]
    always = runs_on is body.inputs[1] or (runs_on.constant is not None and runs_on.constant.all())
    started = cond is None or (cond.constant is not None and bool(cond.constant.all()))
    if cond is not None and cond.constant is not None and not cond.constant.any():
        return 0
    if M is None:
        return None
    count = M.dims[0] if M.dims is not None else None
    if count is None or (not isinstance(count, Dim) and count <= 0):
        return None if count is None else 0
    return count if always and started else None


def _infer_loop(
    M: Value | None = None,
    cond: Value | None = None,
    *operands: Value,
    body: Body,
    carried: int,
) -> Inferred | list[Inferred]:
    if M is not None and (M.dtype != np.int64 or M.rank > 1):
        raise ShapeError(f"the trip count is an int64 scalar, got {M.spec}")
    if cond is not None:
        _require_flag(cond, "the condition")
    if len(body.outputs) < 1 + carried:
        raise ShapeError(
            f"the body returns {len(body.outputs)} tensors, less than a condition and the "
            f"{carried} that are carried"
        )
    _require_flag(body.outputs[0], "what the body returns first")
    inputs = body.inputs
    flags: list[tuple[Shape, Any]] = [((), np.dtype(np.int64)), ((), np.dtype(bool))]
    # Carried values may change their size from one run to the next, as the inputs say.
    _bind(body, flags, "body", operands)
    found = [
        _carry(initial, body, made, index)
        for index, (initial, made) in enumerate(
            zip(operands[:carried], body.outputs[1 : 1 + carried], strict=True)
        )
    ]
    for given, made in zip(inputs[2 : 2 + carried], body.outputs[1:], strict=False):
        if not all(map(may_be_same, given.shape, made.shape)):
            raise ShapeError(
                f"the body takes {given.spec} and makes {made.spec} of it; let the size be unknown"
            )
    trips = trip_count((M, cond), body)
    for made in body.outputs[1 + carried :]:
        if not made.is_tensor:
            raise DTypeError(f"the elements of a stack are tensors, got {made.spec}")
        lead = Dim.unknown() if trips is None else trips
        found.append(((lead, *output_shape(body, made)), made.dtype))
    return _outputs(found)


def _work_of_loop(node: Node) -> Any:
    """Of all iterations; of one where their number is not known."""
    body = node.attrs["body"]
    trips = trip_count(node.operands, body)
    return _work(body) * (1 if trips is None else trips)


@op(
    "Loop",
    containers="all",
    any_dtype=True,
    since=11,
    infer=_infer_loop,
    multiply_adds=_work_of_loop,
)
def loop_op(M=None, cond=None, *operands, body, carried):  # type: ignore[no-untyped-def]
    """Run a body until its condition fails, at most `M` times (None: no limit).

    The body takes the number of the iteration, the condition, what is carried, then what it takes
    from outside; it returns the condition, what is carried on, and an element of each stack.

    Returns:
        What is carried in the end, then the stacks: `[iterations, ...]`.
    """
    most = None if M is None else int(np.asarray(M).reshape(()))
    going = True if cond is None else np.asarray(cond).reshape(())
    values: Sequence[Any] = operands[:carried]
    captures = operands[carried:]
    stacks: list[list[Any]] = [[] for _ in body.outputs[1 + carried :]]
    run, count = body.run, 0
    while going and (most is None or count < most):
        going, *made = run(np.asarray(count, np.int64), np.asarray(going), *values, *captures)
        values = made[:carried]
        for stack, element in zip(stacks, made[carried:], strict=True):
            stack.append(element)
        count += 1
    if not count:
        values = [copied(value) for value in values]  # nobody else's memory
    empty = [_nothing(value) for value in body.outputs[1 + carried :]]
    pairs = zip(stacks, empty, strict=True)
    return _several([*values, *(np.stack(s) if s else nothing for s, nothing in pairs)])


def _nothing(value: Value) -> Any:
    return np.empty((0, *map(as_number, value.shape)), value.dtype)


# -- Scan -----------------------------------------------------------------------------------------


def _listed(entries: Sequence[int] | None, count: int, what: str) -> tuple[int, ...]:
    """An attribute that has one entry for each of some operands or outputs; zeros if left out."""
    if entries is None:
        return (0,) * count
    if len(entries) != count:
        raise ShapeError(f"{what} has {len(entries)} entries for {count} tensors")
    return tuple(entries)


def _directions(entries: Sequence[int] | None, count: int, what: str) -> tuple[int, ...]:
    found = _listed(entries, count, what)
    if any(entry not in (0, 1) for entry in found):
        raise ShapeError(f"{what} are 0 (forward) or 1 (backward), got {list(found)}")
    return found


def _infer_scan(
    *operands: Value,
    body: Body,
    carried: int,
    num_scan_inputs: int,
    scan_input_axes: Sequence[int] | None = None,
    scan_input_directions: Sequence[int] | None = None,
    scan_output_axes: Sequence[int] | None = None,
    scan_output_directions: Sequence[int] | None = None,
) -> Inferred | list[Inferred]:
    if num_scan_inputs < 1:
        raise ShapeError("there is nothing to scan")
    initial, rest = operands[:carried], operands[carried:]
    if len(rest) < num_scan_inputs or len(body.outputs) < carried:
        raise ShapeError(
            f"{carried} carried and {num_scan_inputs} scanned tensors need as many operands, and "
            f"a body that returns the former"
        )
    scanned, captures = rest[:num_scan_inputs], rest[num_scan_inputs:]
    axes = _listed(scan_input_axes, num_scan_inputs, "scan_input_axes")
    _directions(scan_input_directions, num_scan_inputs, "scan_input_directions")
    length: Any = None
    slices: list[tuple[Shape, Any]] = []
    for value, entry in zip(scanned, axes, strict=True):
        axis = normalize_axis(entry, value.rank)
        size = value.shape[axis]
        what = "the scanned tensors differ in length"
        length = size if length is None else require_same_dim(length, size, what)
        slices.append(((*value.shape[:axis], *value.shape[axis + 1 :]), value.dtype))
    first = [(v.shape, v.dtype) for v in initial]
    _bind(body, [*first, *slices], "body", captures)
    found = [
        _carry(value, body, made, index)
        for index, (value, made) in enumerate(zip(initial, body.outputs, strict=False))
    ]
    stacked = body.outputs[carried:]
    outputs = _listed(scan_output_axes, len(stacked), "scan_output_axes")
    _directions(scan_output_directions, len(stacked), "scan_output_directions")
    for made, entry in zip(stacked, outputs, strict=True):
        axis = normalize_axis(entry, made.rank + 1)
        shape = output_shape(body, made)
        found.append(((*shape[:axis], length, *shape[axis:]), made.dtype))
    return _outputs(found)


def _work_of_scan(node: Node) -> Any:
    first = node.operands[node.attrs["carried"]]
    assert first is not None
    return _work(node.attrs["body"]) * first.shape[(node.attrs.get("scan_input_axes") or (0,))[0]]


@op("Scan", any_dtype=True, since=11, infer=_infer_scan, multiply_adds=_work_of_scan)
def scan_op(  # type: ignore[no-untyped-def]
    *operands,
    body,
    carried,
    num_scan_inputs,
    scan_input_axes=None,
    scan_input_directions=None,
    scan_output_axes=None,
    scan_output_directions=None,
):
    """Run a body once for each slice of some tensors, along one axis of each.

    `operands`: `carried` initial values, `num_scan_inputs` tensors to take slices of, then what the
    body takes from outside. The body returns what is carried on, and an element of each stack.

    Returns:
        What is carried in the end, then the stacks.
    """
    values: Sequence[Any] = operands[:carried]
    rest = operands[carried:]
    scanned, captures = rest[:num_scan_inputs], rest[num_scan_inputs:]
    axes = _listed(scan_input_axes, num_scan_inputs, "scan_input_axes")
    back = _listed(scan_input_directions, num_scan_inputs, "scan_input_directions")
    sequences = [np.moveaxis(x, axis, 0) for x, axis in zip(scanned, axes, strict=True)]
    sequences = [x[::-1] if b else x for x, b in zip(sequences, back, strict=True)]
    count = len(sequences[0])
    if any(len(x) != count for x in sequences):
        raise ShapeError(f"the scanned tensors have {[len(x) for x in sequences]} slices")
    stacked = body.outputs[carried:]
    stacks: list[list[Any]] = [[] for _ in stacked]
    run = body.run
    for index in range(count):
        made = run(*values, *(x[index] for x in sequences), *captures)
        values = made[:carried]
        for stack, element in zip(stacks, made[carried:], strict=True):
            stack.append(element)
    if not count:
        values = [copied(value) for value in values]  # nobody else's memory
    axes = _listed(scan_output_axes, len(stacks), "scan_output_axes")
    back = _listed(scan_output_directions, len(stacks), "scan_output_directions")
    results = []
    for stack, value, axis, backward in zip(stacks, stacked, axes, back, strict=True):
        whole = np.stack(stack[::-1] if backward else stack) if stack else _nothing(value)
        results.append(np.ascontiguousarray(np.moveaxis(whole, 0, axis)))
    return _several([*values, *results])
