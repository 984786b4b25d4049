"""Matches a model's weights with stored arrays, and loads them: all of them or none."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphctx.errors import WeightsError
from graphctx.layer import Layer, Variable
from graphctx.spec import dtype_name, kind_of, limits_of, shape_text
from graphctx.weights.names import Keep, NameMap, Target, keep
from graphctx.weights.report import Row, WeightMatch
from graphctx.weights.source import Absent, Address, Recipe, Source, Stored, is_state
from graphctx.weights.steps import Array, states_layout, step_text

Found = Recipe | Absent | Keep
"""How a weight is made, what of it is not there, or that it is left alone."""


@dataclass(frozen=True)
class Match:
    """A weight of the model, and how its value is made of what is stored."""

    path: str
    variable: Variable
    recipe: Recipe


def match(
    model: Layer, source: Source, names: NameMap, ignore: Iterable[str] = ()
) -> tuple[WeightMatch, list[Match]]:
    """Find what is stored for each weight of a model; nothing is read.

    Args:
        model: whose weights are wanted.
        source: what is stored.
        names: the name map.
        ignore: regular expressions of stored names that are not wanted.

    Raises:
        WeightsError: the name map, or one of the patterns, makes no sense.
    """
    found = list(_look_up(model, source, names))
    taken = {name for _, _, how in found if isinstance(how, Recipe) for name in how.names}
    ignored = {*source.ignored, *_ignored(source, ignore)} - taken
    unexpected = [e for e in source.stored.values() if e.name not in taken | ignored]
    rows: list[Row] = []
    matches: list[Match] = []
    for path, variable, how in found:
        if isinstance(how, Recipe):
            row = _fit(path, variable, how, [source.stored[name] for name in how.names])
            if row.status == "matched":
                matches.append(Match(path, variable, how))
        elif isinstance(how, Absent):
            note = _absence(path, variable, how, unexpected)
            row = Row("missing", path, variable.shape, note=note)
        else:
            row = Row("kept", path, variable.shape)
        rows.append(row)
    for entry in unexpected:
        note = f"layer {entry.layer!r}" if entry.layer else ""
        rows.append(Row("unexpected", source=(entry.name,), stored=(entry.shape,), note=note))
    unbuilt = [
        path
        for path, _, item in model._walk()
        if isinstance(item, Layer) and not item._built and type(item).build is not Layer.build
    ]
    report = WeightMatch(
        model.name,
        source.path,
        source.layout,
        tuple(rows),
        ignored=tuple(name for name in source.stored if name in ignored),
        unused=tuple(names.unused),
        unbuilt=tuple(unbuilt),
    )
    return report, matches


def _look_up(model: Layer, source: Source, names: NameMap) -> Iterator[tuple[str, Variable, Found]]:
    """Go down the model: what a rule says of a layer holds for all below it."""
    addresses: dict[int, Address | Absent | Keep] = {}
    for path, owner, item in model._walk():
        label = path.rpartition("/")[2]
        target = names.find(path, is_weight=isinstance(item, Variable))
        at: Address | Absent | Keep = source.root(model) if owner is None else addresses[id(owner)]
        if isinstance(item, Layer):
            if isinstance(target, Target):
                at = _named(source, path, target)
            elif isinstance(target, Keep):
                at = target
            elif owner is not None and isinstance(at, Address):
                at = source.child(at, owner, item, label)
            addresses[id(item)] = at
            continue
        assert owner is not None, "the root of a walk is a layer"
        how: Found
        if isinstance(target, Target):
            how = source.from_names(target.names, target.steps, owner, label, item)
        elif isinstance(target, Keep):
            how = target
        else:
            how = source.recipe(at, owner, item, label) if isinstance(at, Address) else at
        lost = [n for n in how.names if n not in source.stored] if isinstance(how, Recipe) else []
        if lost:
            how = Absent(lost[0])
        yield path, item, keep if isinstance(how, Absent) and is_state(owner, label) else how


def _named(source: Source, path: str, target: Target) -> Address | Absent:
    if len(target.names) > 1:
        raise WeightsError(
            f"names: {path} is a layer, and has one name in the file, got {target.names}; several "
            f"are for a weight"
        )
    at = source.named(target.names[0])
    return Address(at.text, at.suffix, target.steps) if isinstance(at, Address) else at


def _fit(path: str, variable: Variable, recipe: Recipe, stored: Sequence[Stored]) -> Row:
    """Try what the steps make of the shapes."""
    # No memory: one number that is seen everywhere.
    arrays = [np.broadcast_to(np.zeros((), entry.dtype), entry.shape) for entry in stored]
    texts: list[str] = []
    what = "" if recipe.names == (path,) else f"{', '.join(recipe.names)}: "
    try:
        made = _make(recipe, arrays, variable.shape, texts)
    except Exception as error:  # a step may be any function of the user's
        note = f"{what}{error}"
    else:
        steps = f", {', '.join(texts)}: {shape_text(made.shape)}" if texts else ""
        file = " and ".join(shape_text(entry.shape) for entry in stored) + steps
        note = ""
        if made.shape != variable.shape:
            note = f"{what}file {file}, model {shape_text(variable.shape)}"
            if _fits_untransposed(recipe, arrays, variable.shape):
                note += "; it would fit untransposed, as layout='keras' or as_stored() has it"
        elif not _same_kind(made.dtype, variable.dtype):
            file = " and ".join(entry.dtype_text for entry in stored)
            note = f"{what}file {file}, model {dtype_name(variable.dtype)}"
    status = "misfit" if note else "matched"
    shapes = tuple(entry.shape for entry in stored)
    return Row(status, path, variable.shape, recipe.names, shapes, ", ".join(texts), note)


def _fits_untransposed(recipe: Recipe, arrays: list[Array], shape: tuple[int, ...]) -> bool:
    """Whether it is the layout alone that does not fit."""
    steps = tuple(step for step in recipe.steps if not states_layout(step))
    if steps == recipe.steps:
        return False
    made = _make(Recipe(recipe.names, steps, recipe.reshapes), arrays, shape)
    return bool(made.shape == shape)


def _make(
    recipe: Recipe, arrays: list[Array], shape: tuple[int, ...], texts: list[str] | None = None
) -> Array:
    """Apply the steps; `texts` takes what they do, in words."""
    for step in recipe.steps:
        if texts is not None:
            texts += [text] if (text := step_text(step, arrays[0].shape)) else []
        arrays = [step(*arrays)]
    if len(arrays) > 1:
        raise ValueError("nothing joins them: give add(), stack() or concat()")
    made = arrays[0]
    if recipe.reshapes and made.shape != shape and made.size == np.prod(shape, dtype=int):
        if texts is not None:
            texts.append(f"reshape {shape}")
        made = made.reshape(shape)
    return made


def _same_kind(stored: np.dtype[Any], wanted: np.dtype[Any]) -> bool:
    kinds = {"u": "i"}
    return kinds.get(kind_of(stored), kind_of(stored)) == kinds.get(
        kind_of(wanted), kind_of(wanted)
    )


def _absence(path: str, variable: Variable, absent: Absent, unexpected: list[Stored]) -> str:
    """Why a weight is missing, and what may be meant."""
    if absent.why:
        return absent.why
    known = [e.name for e in unexpected if np.prod(e.shape, dtype=int) == variable.size]
    if absent.name.endswith((".", "/")):  # a layer is what is not there
        known = [re.sub(r"[^./]*$", "", name) for name in known]
    near = difflib.get_close_matches(absent.name, known, n=1, cutoff=0.7)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"no {absent.name!r}{hint}" if near or not path.startswith(absent.name) else ""


def _ignored(source: Source, patterns: Iterable[str]) -> list[str]:
    found: list[str] = []
    for pattern in (patterns,) if isinstance(patterns, str) else patterns:
        try:
            compiled = re.compile(pattern)
        except re.error as error:
            raise WeightsError(
                f"ignore: {pattern!r} is not a regular expression: {error}"
            ) from None
        found += [name for name in source.stored if compiled.fullmatch(name)]
    return found


def assign(matches: Sequence[Match], source: Source) -> None:
    """Read what matched into the model's weights: all, or none if something cannot be read.

    Raises:
        WeightsError: a value cannot be read, or does not fit into the model's dtype.
    """
    before: list[tuple[Variable, Array]] = []
    try:
        for entry in matches:
            before.append((entry.variable, entry.variable.numpy()))
            try:
                arrays = [source.stored[name].read() for name in entry.recipe.names]
                _assign(entry, _make(entry.recipe, arrays, entry.variable.shape))
            except (OSError, ValueError, FloatingPointError) as error:
                raise WeightsError(
                    f"{source.path}: {', '.join(entry.recipe.names)} cannot be loaded into "
                    f"{entry.path}: {error}"
                ) from None
    except BaseException:
        for variable, value in before:
            variable._value = value
        raise


def _assign(entry: Match, array: Array) -> None:
    variable = entry.variable
    if kind_of(array.dtype) in "iu" and array.size and array.dtype != variable.dtype:
        lowest, highest = limits_of(variable.dtype)
        if array.min() < lowest or array.max() > highest:
            raise ValueError(f"its numbers are too large for {dtype_name(variable.dtype)}")
    with np.errstate(over="raise"):
        variable.assign(array)
