"""Control flow that data decides: `cond`, `while_loop` and `scan` of functions.

On arrays the functions run as they are; in a trace each is recorded once, as the body of an If, a
Loop or a Scan. A function takes from outside whatever it likes: tensors, weights, layers. It has
the context of the call that it stands in, and what that decides is decided outside of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from graphctx.body import Body, record_body, require_same_kind
from graphctx.context import Frame, current, source_line
from graphctx.errors import DTypeError, ShapeError, TraceError
from graphctx.graph import Value
from graphctx.ops.bodies import if_op, loop_op, scan_op
from graphctx.ops.creation import arange
from graphctx.ops.logic import astype
from graphctx.spec import Dim, dtype_name, joined_dtype, joined_shape, require_same_dim, shape_text
from graphctx.tensor import ArrayOperators, Recorder, Tensor
from graphctx.tensor import where as location
from graphctx.tree import Structure, flatten, map_leaves, same_structure

_INT, _BOOL = np.dtype(np.int64), np.dtype(bool)


def cond(
    condition: Any, then: Callable[..., Any], otherwise: Callable[..., Any], *operands: Any
) -> Any:
    """`then(*operands)` if the scalar condition holds, else `otherwise(*operands)`.

    Only the function chosen runs, in a program too. Both must return the same nest of tensors, of
    the same dtypes and ranks; a size in which they differ is unknown. In a trace, neither may
    assign to variables.

    Raises:
        ShapeError, DTypeError: the condition is not a scalar, or the outputs do not go together.
        TraceError: a function assigns to a variable.
    """
    condition = _resolved(condition)
    place = _Place("cond")
    if not isinstance(condition, Tensor):
        chosen, name = (then, "then") if bool(condition) else (otherwise, "otherwise")
        return map_leaves(place.run(name, chosen, operands), _array, _is_leaf)
    if condition.shape:
        raise ShapeError(f"{location()}cond needs a scalar condition, got {condition.spec}")
    recorder = condition.recorder
    bodies: list[Body] = []
    structures: list[Structure] = []
    captures: list[Value] = []
    for name, function in (("then", then), ("otherwise", otherwise)):
        with recorder.scope() as scope:
            values, structure = _values(recorder, place.run(name, function, operands))
        body, taken = scope.close(values)
        bodies.append(body)
        structures.append(structure)
        captures += taken
    if not same_structure(*structures):
        raise ShapeError(
            f"{location()}cond: the functions return different structures ({source_line()})"
        )
    for a, b in zip(*(body.outputs for body in bodies), strict=True):
        differ = joined_dtype(a.dtype, b.dtype) is None
        if differ or a.rank != b.rank:
            kind = DTypeError if differ else ShapeError
            raise kind(
                f"{location()}cond: the functions return {a.spec} and {b.spec} ({source_line()})"
            )
    attrs = {"then_branch": bodies[0], "else_branch": bodies[1]}
    made = _record(recorder, if_op, [astype(condition, "bool"), *captures], attrs, bodies[0])
    return structures[0].build(iter(made))


def while_loop(cond: Callable[[Any], Any], body: Callable[[Any], Any], init: Any) -> Any:
    """Carry `value = body(value)` on for as long as `cond(value)` holds, beginning with `init`.

    Args:
        cond: value -> bool scalar.
        body: value -> the next one: the same nest of tensors, of the same dtypes and ranks. A size
            that changes from one to the next is unknown.
        init: the first value: a tensor or number, or a nest of them.

    Returns:
        The first value for which `cond` does not hold.

    Raises:
        ShapeError, DTypeError: `body` returns something else than it takes, or `cond` no scalar.
        TraceError: a function assigns to a variable.
    """
    place = _Place("while_loop")
    leaves, structure = flatten(init, _is_leaf)
    if not leaves:
        raise ShapeError(f"{location()}while_loop: there is no tensor in init")
    recorder = _recorder_of(leaves)
    if recorder is None:
        return _while_arrays(place, cond, body, [_array(leaf) for leaf in leaves], structure)

    def goes_on(values: Sequence[Value], count: Any) -> Value:
        found = place.run("cond", cond, [_nest(recorder, structure, values)], count)
        return recorder.value(_flag(_resolved(found)))

    def record(inputs: Sequence[Value]) -> list[Value]:
        count = Tensor(inputs[0], recorder)
        given = _nest(recorder, structure, inputs[2:])
        found = place.run("body", body, [given], count)
        values, got = _values(recorder, found)
        _require_structure("while_loop", structure, got)
        _require_carry("while_loop", inputs[2:], values)
        return [goes_on(values, count + 1), *values]

    values = [recorder.value(leaf) for leaf in leaves]
    start = goes_on(values, np.asarray(0, _INT))
    carried = [(value.shape, value.dtype) for value in values]
    made, taken = record_body(recorder, [((), _INT), ((), _BOOL)], carried, record, 1)
    attrs = {"body": made, "carried": len(values)}
    results = _record(recorder, loop_op, [None, start, *values, *taken], attrs, made, 1)
    return structure.build(iter(results))


def _while_arrays(
    place: _Place,
    cond: Callable[[Any], Any],
    body: Callable[[Any], Any],
    leaves: list[Any],
    structure: Structure,
) -> Any:
    count = 0
    while True:
        number = np.asarray(count, _INT)
        if not _flag(_resolved(place.run("cond", cond, [structure.build(iter(leaves))], number))):
            return structure.build(iter(leaves))
        found = place.run("body", body, [structure.build(iter(leaves))], number)
        leaves = _carried("while_loop", leaves, structure, found)
        count += 1


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Run `carry, y = f(carry, x)` for every slice `x` of `xs` along the first axis, in order.

    Args:
        f: (carry, slice) -> (the next carry, an element of the results).
        init: the first carry: a nest of tensors and numbers. Shapes and dtypes stay.
        xs: a nest of tensors of one length, or None.
        length: number of slices; needed where there are no `xs`.
        reverse: go from the last slice to the first; the results keep the order of the slices.

    Returns:
        The last carry, and the stacked elements: a nest of tensors `[length, ...]`.

    Raises:
        ShapeError, DTypeError: the carry changes its structure, a shape or a dtype; the lengths
            differ, or there is none.
        TraceError: the function assigns to a variable.
    """
    place = _Place("scan")
    carry, structure = flatten(init, _is_leaf)
    sequences, nest = flatten(xs, _is_leaf)
    sequences = [_resolved(x) if isinstance(x, ArrayOperators) else np.asarray(x)
                 for x in sequences]  # fmt: skip
    count = _length(sequences, length)
    recorder = _recorder_of([*carry, *sequences])
    if recorder is None:
        return _scan_arrays(
            place, f, [_array(c) for c in carry], structure, sequences, nest, count, reverse
        )
    values = [recorder.value(leaf) for leaf in carry]
    # The number of the slice comes last: what draws random numbers needs it, else it is dropped.
    scanned = [recorder.value(x) for x in (*sequences, arange(count))]
    with recorder.scope() as scope:
        state = [scope.input(value.shape, value.dtype) for value in values]
        slices = [scope.input(value.shape[1:], value.dtype) for value in scanned]
        arguments = [_nest(recorder, structure, state), _nest(recorder, nest, slices[:-1])]
        found = place.run("body", f, arguments, Tensor(slices[-1], recorder))
        new, element = _pair(found)
        ends, got = _values(recorder, new)
        _require_structure("scan", structure, got)
        _require_carry("scan", values, ends, sizes=True)
        elements, stacked = _values(recorder, element)
    body, taken = scope.close([*ends, *elements])
    attrs: dict[str, Any] = {
        "body": body, "carried": len(values), "num_scan_inputs": len(scanned),
    }  # fmt: skip
    if reverse:
        attrs["scan_input_directions"] = (1,) * len(scanned)
        attrs["scan_output_directions"] = (1,) * len(elements)
    made = iter(_record(recorder, scan_op, [*values, *scanned, *taken], attrs, body))
    return structure.build(made), stacked.build(made)


def _scan_arrays(
    place: _Place,
    f: Callable[[Any, Any], tuple[Any, Any]],
    carry: list[Any],
    structure: Structure,
    sequences: Sequence[Any],
    nest: Structure,
    count: int,
    reverse: bool,
) -> tuple[Any, Any]:
    def step(carry: list[Any], slices: Sequence[Any], index: int) -> tuple[Any, Any]:
        arguments = [structure.build(iter(carry)), nest.build(iter(slices))]
        return _pair(place.run("body", f, arguments, np.asarray(index, _INT)))

    rows: list[list[Any]] = []
    stacked: Structure | None = None
    for index in reversed(range(count)) if reverse else range(count):
        new, element = step(carry, [x[index] for x in sequences], index)
        carry = _carried("scan", carry, structure, new, sizes=True)
        leaves, stacked = flatten(element, _is_leaf)
        rows.append([_array(leaf) for leaf in leaves])
    if stacked is None:
        # What the elements would be is seen by computing one, of nothing.
        with np.errstate(all="ignore"):
            _, element = step(carry, [np.zeros(x.shape[1:], x.dtype) for x in sequences], 0)
        leaves, stacked = flatten(element, _is_leaf)
        empty = [np.empty((0, *np.shape(leaf)), _array(leaf).dtype) for leaf in leaves]
        return structure.build(map(np.array, carry)), stacked.build(iter(empty))
    columns = zip(*(rows[::-1] if reverse else rows), strict=True)
    return structure.build(iter(carry)), stacked.build(map(np.stack, columns))


# -- functions and where they run -----------------------------------------------------------------


class _Place:
    """Where a piece of control flow stands in the running layer call.

    Each function runs in a scope of its own: layer calls and random draws in it are then named,
    and so keyed, alike whether other functions ran before it (in a trace) or not (eagerly).
    """

    def __init__(self, name: str) -> None:
        frame = current.get()
        if frame is not None and frame.layer is None:
            frame = frame.caller
        self.caller = frame
        if frame is not None:
            count = frame.counts.get(name, 0)
            frame.counts[name] = count + 1
            self.path = f"{frame.path}/{name}{f'#{count + 1}' if count else ''}"

    def run(
        self, name: str, function: Callable[..., Any], arguments: Sequence[Any], count: Any = None
    ) -> Any:
        """Run one function; `count` is the number of the iteration, for random draws."""
        if self.caller is None:
            return function(*arguments)
        enclosing = current.get()
        assert enclosing is not None
        frame = Frame(None, self.caller.layer, enclosing.values, enclosing.tracer)
        frame._path = f"{self.path}/{name}"
        frame.iterations = enclosing.iterations if count is None else (*enclosing.iterations, count)
        token = current.set(frame)
        try:
            return function(*arguments)
        finally:
            current.reset(token)


def _recorder_of(leaves: Sequence[Any]) -> Recorder | None:
    """Who records; None where all is arrays. In a trace everything is recorded."""
    for leaf in map(_resolved, leaves):
        if isinstance(leaf, Tensor):
            return leaf.recorder
    frame = current.get()
    return None if frame is None else frame.tracer


def _record(
    recorder: Recorder,
    op: Any,
    operands: Sequence[Any],
    attrs: dict[str, Any],
    body: Body,
    lead: int = 0,
) -> Iterator[Tensor]:
    """The outputs of a node with bodies."""
    if len(body.outputs) == lead:
        return iter(())
    given = [Tensor(x, recorder) if isinstance(x, Value) else x for x in operands]
    made = recorder.record(op, given, attrs)
    return iter(made if isinstance(made, tuple) else (made,))


# -- nests ----------------------------------------------------------------------------------------


def _is_leaf(value: Any) -> bool:
    return isinstance(
        value, (ArrayOperators, np.ndarray, np.generic, bool, int, float, complex, Dim)
    )


def _resolved(value: Any) -> Any:
    return value.resolve() if isinstance(value, ArrayOperators) else value


def _array(leaf: Any) -> Any:
    """A leaf as an array; a tensor as it is."""
    leaf = _resolved(leaf)
    return leaf if isinstance(leaf, (Tensor, Dim)) else np.asarray(leaf)


def _values(recorder: Recorder, result: Any) -> tuple[list[Value], Structure]:
    leaves, structure = flatten(result, _is_leaf)
    return [recorder.value(leaf) for leaf in leaves], structure


def _nest(recorder: Recorder, structure: Structure, values: Sequence[Value]) -> Any:
    return structure.build(Tensor(value, recorder) for value in values)


def _flag(found: Any) -> Any:
    """What `cond` returned, as a bool scalar."""
    found = found if isinstance(found, Tensor) else np.asarray(found)
    if found.shape:
        raise ShapeError(
            f"{location()}while_loop: cond returns {dtype_name(found.dtype)}"
            f"{shape_text(found.shape)}, not a scalar"
        )
    return astype(found, "bool")


def _require_structure(what: str, wanted: Structure, got: Structure) -> None:
    if not same_structure(wanted, got):
        raise ShapeError(
            f"{location()}{what}: the body returns another structure than it takes "
            f"({source_line()})"
        )


def _require_carry(
    name: str, before: Sequence[Any], after: Sequence[Any], *, sizes: bool = False
) -> None:
    """Raise unless what is carried on is like what was taken; with `sizes` in every size."""
    for index, (old, new) in enumerate(zip(before, after, strict=True)):
        try:
            require_same_kind(old.shape, old.dtype, new, index)
        except (ShapeError, DTypeError) as error:
            raise type(error)(f"{location()}{name}: {error} ({source_line()})") from None
        if sizes and joined_shape(old.shape, new.shape) is None:
            raise ShapeError(
                f"{location()}{name}: value {index} that is carried is {shape_text(old.shape)} at "
                f"first, and the body makes {shape_text(new.shape)} of it ({source_line()}); its "
                f"shape has to stay"
            )


def _carried(
    name: str, before: list[Any], structure: Structure, result: Any, *, sizes: bool = False
) -> list[Any]:
    """What a function carries on, as arrays, after a check that it is like what it took."""
    leaves, got = flatten(result, _is_leaf)
    _require_structure(name, structure, got)
    after = [_array(leaf) for leaf in leaves]
    _require_carry(name, before, after, sizes=sizes)
    return after


def _length(sequences: Sequence[Any], length: int | None) -> Any:
    """The number of slices."""
    found: Any = length
    for x in sequences:
        if not x.shape:
            raise ShapeError(f"{location()}scan: a scalar in xs has no slices")
        what = f"{location()}scan: the lengths differ"
        found = x.shape[0] if found is None else require_same_dim(found, x.shape[0], what)
    if found is None:
        raise ShapeError(f"{location()}scan: without xs it needs a length")
    return found


def _pair(found: Any) -> tuple[Any, Any]:
    if not isinstance(found, tuple) or len(found) != 2:
        raise TraceError(
            f"{location()}scan: f returns (carry, y), got {type(found).__name__} ({source_line()})"
        )
    return found
