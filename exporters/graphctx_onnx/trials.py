"""What verification tries: sizes of the symbolic dimensions, and inputs that a model accepts."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphctx.body import all_nodes, bodies_of, bound_operands
from graphctx.context import REQUIRED, UNSET
from graphctx.errors import ExportError, InputError, listing, suggest
from graphctx.graph import CallGraph, Node, Value
from graphctx.paths import compared
from graphctx.program import Converter
from graphctx.spec import (
    ContainerType,
    Dim,
    DimLike,
    OptionalType,
    Unproven,
    dtype_name,
    evaluate,
    is_extended,
    kind_of,
    limits_of,
    shape_text,
)

Sizes = dict[str, int]
Feeds = dict[str, Any]

# Each symbol is given each of these in turn, and no two symbols the same one at a time: 1 finds
# accidental broadcasting, unequal primes find dimensions that are taken for one another.
SIZES = (2, 3, 1, 7, 5, 11, 13)
TRIALS = 4
MOST_CONTEXTS = 16
SEEDS = (0, 1, 987_654_321, 2**40 + 17)

# Where a model refuses sizes (a window larger than the image, a dimension that must divide), all
# are multiplied by these in turn.
MULTIPLES = (1, 2, 4, 6, 8, 12, 16, 24, 32, 64, 128, 224)


# -- sizes ----------------------------------------------------------------------------------------


def symbols_of(graph: CallGraph) -> list[str]:
    """Names of the symbolic dimensions of the inputs, in order of appearance."""
    found: dict[str, None] = {}
    for value in graph.inputs:
        for dim in value.shape:
            if isinstance(dim, Dim):
                found.update(dict.fromkeys(sorted(dim.symbols)))
    return list(found)


def plan_sizes(graph: CallGraph, asked: Mapping[str, Sequence[int]] | None) -> list[Sizes]:
    """The sizes to try, one dict a trial.

    Args:
        graph: of the program.
        asked: symbol -> the sizes to try; the others take their usual ones.

    Raises:
        ExportError: `asked` names no dimension of the graph, or no sizes.
    """
    symbols = symbols_of(graph)
    if asked is not None and not isinstance(asked, Mapping):
        raise ExportError(f"sizes is a dict such as {{'batch': [1, 8]}}, got {asked!r}")
    asked = {name: _as_sizes(name, sizes) for name, sizes in (asked or {}).items()}
    for name in asked:
        if name not in symbols:
            raise ExportError(
                f"sizes: no input has a dimension {name!r}; "
                f"there are {listing(symbols)}{suggest(str(name), symbols)}"
            )
    count = max([len(sizes) for sizes in asked.values()], default=0)
    if set(asked) != set(symbols) or not symbols:
        count = max(count, TRIALS)
    usual = SIZES[: max(TRIALS, len(symbols))] + tuple(range(17, 17 + len(symbols)))
    return [
        {
            name: asked[name][trial % len(asked[name])]
            if name in asked
            else usual[(trial + position) % max(TRIALS, len(symbols))]
            for position, name in enumerate(symbols)
        }
        for trial in range(count)
    ]


def _as_sizes(name: str, sizes: Any) -> list[int]:
    several = isinstance(sizes, (Sequence, Set, np.ndarray)) and not isinstance(sizes, str)
    found = np.asarray(list(sizes) if several else [sizes])
    if found.ndim != 1 or found.size == 0 or kind_of(found.dtype) not in "iu" or found.min() < 0:
        raise ExportError(f"sizes: {name!r} needs a list of numbers such as [1, 8], got {sizes!r}")
    return [int(size) for size in found]


def larger(sizes: Sizes, graph: CallGraph, fixed: Mapping[str, Any]) -> Iterator[Sizes]:
    """The sizes and multiples of them, as far as no dimension in the graph gets below 1.

    Only symbols that make some dimension too small are multiplied while there are any; then all.
    Sizes that a file names as it likes may have to be equal: they are made equal, too.
    """
    if set(sizes) <= set(fixed):
        yield sizes
        return
    dims = {
        dim
        for node in all_nodes(graph)
        for value in node.outputs
        for dim in value.shape
        if isinstance(dim, Dim) and not dim.is_unknown
    }
    starts = []
    for start in (sizes, *_made_equal(sizes, graph, fixed)):
        grown = dict(start)
        for multiple in MULTIPLES:
            short = [dim for dim in dims if dim.evaluate(grown) < 1]
            for name in set().union(*(dim.symbols for dim in short)) - set(fixed):
                grown[name] = start[name] * multiple
        starts.append(grown)
    seen = set()
    for multiple in MULTIPLES:
        for grown in starts:
            candidate = {n: s if n in fixed else s * multiple for n, s in grown.items()}
            key = tuple(candidate.values())
            if key not in seen and all(dim.evaluate(candidate) >= 1 for dim in dims):
                seen.add(key)
                yield candidate


def _made_equal(sizes: Sizes, graph: CallGraph, fixed: Mapping[str, Any]) -> Iterator[Sizes]:
    """The sizes with unproven ones of the same axis alike, as of batches; then all unproven ones.

    Args:
        sizes: symbol -> size.
        graph: of the program.
        fixed: symbols that stay as they are.
    """
    axes: dict[str, int] = {}
    for value in graph.inputs:
        for axis, dim in enumerate(value.shape):
            for name in dim.symbols if isinstance(dim, Dim) else ():
                if isinstance(name, Unproven):
                    axes.setdefault(name, axis)
    for groups in (axes, dict.fromkeys(axes, 0)):
        first: dict[int, int] = {}
        for name, axis in groups.items():
            if name in fixed:
                first[axis] = sizes[name]
        for name, axis in groups.items():
            first.setdefault(axis, sizes[name])
        equal = {name: first[axis] for name, axis in groups.items() if name not in fixed}
        yield {**sizes, **equal}


# -- context --------------------------------------------------------------------------------------


def plan_contexts(graph: CallGraph) -> list[dict[str, Any]]:
    """Values of the arguments left to run time, one dict a trial.

    All combinations where they are few; else every value of every argument, in changing company.
    A number takes its default, what it is compared with, and numbers on both sides of that.
    """
    options = {name: _values_of(graph, name) for name in graph.contexts}
    if math.prod(map(len, options.values())) <= MOST_CONTEXTS:
        return [dict(zip(options, v, strict=True)) for v in itertools.product(*options.values())]
    rng = np.random.default_rng(0)
    shuffled = [
        {name: values[int(rng.integers(len(values)))] for name, values in options.items()}
        for _ in range(MOST_CONTEXTS // 2)
    ]
    longest = max(map(len, options.values()))
    turns = [
        {name: values[i % len(values)] for name, values in options.items()} for i in range(longest)
    ]
    return [*turns, *shuffled]


def _values_of(graph: CallGraph, name: str) -> list[Any]:
    argument = graph.contexts[name]
    if not argument.domain.is_numeric or argument.enumerated:
        return [case for case in argument.cases if case is not UNSET]
    whole = argument.domain.kind == "int"
    step = 1 if whole else 0.5
    values: list[Any] = [] if argument.default is REQUIRED else [argument.default]
    for node in graph.nodes:
        for value in node.outputs:
            fact = compared(value)
            if fact is not None and fact.name == name:
                values += [fact.constant - step, fact.constant, fact.constant + step]
    values += [0, 1] if whole else [0.0, 0.75]
    return list(dict.fromkeys(int(v) if whole else float(v) for v in values))


# -- inputs ---------------------------------------------------------------------------------------


@dataclass
class Range:
    """The integers an input may hold: at least `low`, below every one of `bounds`."""

    low: int | None = None
    bounds: list[DimLike] = field(default_factory=list)

    def limits(self, dtype: np.dtype[Any], sizes: Sizes) -> tuple[int, int]:
        """First integer, and the one after the last."""
        least, most = limits_of(dtype)
        low, high = (least, most + 1) if dtype.itemsize == 1 else (max(-8, least), 64)
        if self.low is not None:
            low = self.low
        if self.bounds:
            low = max(low, 0)
            high = min(evaluate(bound, sizes) for bound in self.bounds)
        return low, max(high, low + 1)


# Operators whose output holds the integers of some operands unchanged: name -> operand slots.
_PASSES: dict[str, tuple[int, ...] | None] = {
    "Identity": (0,), "Reshape": (0,), "Squeeze": (0,), "Unsqueeze": (0,), "Flatten": (0,),
    "Transpose": (0,), "Slice": (0,), "Expand": (0,), "Tile": (0,), "Split": (0,), "Cast": (0,),
    "Concat": None, "Where": (1, 2), "Gather": (0,), "GatherElements": (0,), "GatherND": (0,),
    "Pad": (0,), "Max": None, "Min": None, "Clip": (0,), "ReverseSequence": (0,),
}  # fmt: skip


def ranges_of(graph: CallGraph) -> dict[str, Range]:
    """For each integer input, the values that its uses allow.

    Follows the input through operators that move integers about, to those that take them as
    indices, divisors or shifts.
    """
    return {
        value.node.name: _range_of(value, graph)
        for value in graph.inputs
        if value.is_tensor and kind_of(value.dtype) in "iu"
    }


def _range_of(start: Value, graph: CallGraph) -> Range:
    found = Range()
    seen = {start}
    todo = [(graph, start)]
    while todo:
        graph, value = todo.pop()
        for node in graph.uses.get(value, ()):
            for name, body in bodies_of(node).items():
                for operand, given in bound_operands(node, name):
                    if operand is value and given not in seen:
                        seen.add(given)
                        todo.append((body.graph, given))
            for slot, operand in enumerate(node.operands):
                if operand is not value:
                    continue
                _restrict(found, node, slot)
                passes = _PASSES.get(node.name, ())
                if passes is None or slot in passes:
                    for output in node.outputs:
                        if kind_of(output.dtype) in "iu" and output not in seen:
                            seen.add(output)
                            todo.append((graph, output))
    return found


def _restrict(found: Range, node: Node, slot: int) -> None:
    name = node.name
    if name == "Loop":
        if slot == 0:
            found.bounds.append(10)  # iterations
        return
    data = node.operands[0]
    assert data is not None
    if name in ("Gather", "GatherElements", "ScatterElements") and slot == 1:
        found.bounds.append(data.shape[node.attrs.get("axis", 0)])
    elif name in ("GatherND", "ScatterND") and slot == 1:
        indices = node.operands[1]
        assert indices is not None
        first = node.attrs.get("batch_dims", 0)
        depth = indices.shape[-1]
        if isinstance(depth, int):
            found.bounds.extend(data.shape[first : first + depth])
    elif name == "OneHot" and slot == 0:
        depth_value = node.operands[1]
        if depth_value is not None and depth_value.constant is not None:
            found.bounds.append(int(depth_value.constant.reshape(-1)[0]))
        elif depth_value is not None and depth_value.dims:
            found.bounds.append(depth_value.dims[0])
    elif name in ("Div", "Mod") and slot == 1:
        found.low = 1
    elif name == "Pow":
        found.bounds.append((8, 4)[slot])  # powers that do not overflow
    elif name == "BitShift" and slot == 1:
        found.bounds.append(data.dtype.itemsize * 8)


def draw(
    graph: CallGraph, ranges: Mapping[str, Range], sizes: Sizes, trial: int, rng: Any
) -> Feeds:
    """Random inputs: of each float distribution in turn, integers in range, bools, strings."""
    words = _words(graph)
    feeds: Feeds = {}
    for value in graph.inputs:
        name = value.node.name
        if not value.is_tensor:
            feeds[name] = _container(value.dtype, trial, rng, words)
            continue
        shape = tuple(evaluate(dim, sizes) for dim in value.shape)
        limits = ranges[name].limits(value.dtype, sizes) if name in ranges else (0, 64)
        feeds[name] = _tensor(shape, value.dtype, limits, trial, rng, words)
    return feeds


def _tensor(
    shape: tuple[int, ...], dtype: Any, limits: tuple[int, int], trial: int, rng: Any,
    words: Sequence[str],
) -> Any:  # fmt: skip
    if kind_of(dtype) == "f":
        return _floats(shape, trial, rng).astype(dtype)
    if kind_of(dtype) in "iu":
        drawn = np.int64 if is_extended(dtype) else dtype
        return rng.integers(*limits, shape, dtype=drawn).astype(dtype, copy=False)
    if kind_of(dtype) == "b":
        return rng.random(shape) < 0.5
    picks = rng.integers(0, len(words), shape)
    return np.asarray(np.asarray(words, object)[picks], object)


def _container(kind: ContainerType, trial: int, rng: Any, words: Sequence[str]) -> Any:
    """A sequence of a few tensors of different sizes; an optional that now and then is empty."""
    if isinstance(kind, OptionalType):
        if trial % 2:
            return None
        if isinstance(kind.element, ContainerType):
            return _container(kind.element, trial, rng, words)
        count = 1
    else:
        count = (3, 1, 2, 4)[trial % 4]
    rank = int(rng.integers(1, 3))
    tensors = []
    for _ in range(count):
        dims = (None,) * rank if kind.shape is None else kind.shape
        sizes = tuple(int(rng.integers(1, 5)) if dim is None else int(dim) for dim in dims)
        tensors.append(_tensor(sizes, kind.element, (0, 64), trial, rng, words))
    return tensors[0] if isinstance(kind, OptionalType) else tensors


def _floats(shape: tuple[int, ...], trial: int, rng: Any) -> Any:
    """Normal; normal with a tenth of them ten times as large; between 0 and 1; normal again."""
    if trial % 4 == 2:
        return np.asarray(rng.random(shape))
    numbers = np.asarray(rng.standard_normal(shape))
    return numbers * np.where(rng.random(shape) < 0.1, 10.0, 1.0) if trial % 4 == 1 else numbers


def _words(graph: CallGraph) -> list[str]:
    """Strings: those that the graph compares with, and others; numbers where it parses them."""
    found = ["", "a", "Zürich"]
    for node in all_nodes(graph):
        if node.kind == "constant" and node.data.dtype == object:
            found.extend(map(str, node.data.reshape(-1)[:8]))
        if node.name == "Cast" and node.operands[0] and node.operands[0].dtype == object:
            return ["0", "7", "-3"]
    return found


Given = Mapping[str, Any] | Sequence[Any] | Callable[[Sizes, Any], Any]


def as_feeds(graph: CallGraph, given: Any) -> tuple[Feeds, Sizes]:
    """The user's own inputs by name, and the sizes they have.

    Args:
        graph: of the program.
        given: input name -> array, or the arrays in order (one array alone will do).

    Raises:
        ExportError: a name, number, shape or dtype of them is wrong.
    """
    names = [value.node.name for value in graph.inputs]
    if isinstance(given, (np.ndarray, np.generic, int, float)):
        given = [given]
    if not isinstance(given, (Mapping, Sequence)) or isinstance(given, (str, bytes)):
        raise ExportError(
            f"inputs: expected a dict of arrays, a list of them, or a function that returns "
            f"either, got {type(given).__name__}"
        )
    if not isinstance(given, Mapping):
        if len(given) != len(names):
            raise ExportError(
                f"inputs: the program takes {listing(names)}, got {len(given)} arrays"
            )
        given = dict(zip(names, given, strict=True))
    for name in given:
        if name not in names:
            raise ExportError(
                f"inputs: the program has no input {name!r}{suggest(str(name), names)}"
            )
    feeds: Feeds = {}
    sizes: Sizes = {}
    for value in graph.inputs:
        name = value.node.name
        if name not in given:
            raise ExportError(f"inputs: {name!r} is missing")
        if not value.is_tensor:
            try:
                feeds[name] = Converter(value)(given[name])
            except InputError as error:
                raise ExportError(f"inputs: {error}") from None
            continue
        array = _as_array(name, given[name])
        if array.dtype != value.dtype or array.ndim != value.rank:
            raise ExportError(
                f"inputs: {name!r} is {value.spec}, got "
                f"{dtype_name(array.dtype)}{shape_text(array.shape)}"
            )
        feeds[name] = array
        for dim, size in zip(value.shape, array.shape, strict=True):
            if isinstance(dim, Dim) and str(dim) in dim.symbols:
                sizes.setdefault(str(dim), size)
    return feeds, sizes


def _as_array(name: str, given: Any) -> Any:
    try:
        array = np.asarray(given)
    except ValueError as error:
        raise ExportError(f"inputs: {name!r} is no array: {error}") from error
    if array.dtype == object:
        other = next((item for item in array.flat if not isinstance(item, str)), "")
        if other != "":
            raise ExportError(f"inputs: {name!r} holds a Python object: {other!r}")
    return array.astype(object) if array.dtype.kind == "U" else array


def check_options(
    graph: CallGraph, inputs: Given | None, sizes: Mapping[str, Sequence[int]] | None
) -> None:
    """Raise for `inputs` and `sizes` that do not fit the graph, before any work is done.

    Raises:
        ExportError: says which of them is wrong.
    """
    if inputs is None or callable(inputs):
        plan_sizes(graph, sizes)
        if inputs is not None:
            _require_two(inputs)
        return
    if sizes is not None:
        raise ExportError(
            "sizes= goes with random inputs or a function that makes them; "
            "the arrays of inputs= have sizes of their own"
        )
    as_feeds(graph, inputs)


def _require_two(function: Callable[..., Any]) -> None:
    """Raise for a function that cannot be called with two arguments."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # one of C's, which does not say
    try:
        signature.bind(None, None)
    except TypeError as error:
        raise ExportError(
            f"inputs: a function is called with (sizes, NumPy random generator): {error}"
        ) from error
