"""Nodes that are no operator of the graph: constants, branches, what training alone changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphctx.errors import GraphctxError
from graphctx.graph import Value
from graphctx_onnx.importing.contexts import selector_of

if TYPE_CHECKING:
    from graphctx_onnx.importing.conversion import Conversion, Site

Handler = Callable[["Conversion", "Site"], Sequence[Value | None]]
HANDLERS: dict[str, Handler] = {}
"""Operator -> what reads its nodes."""


def handler(name: str) -> Callable[[Handler], Handler]:
    """Register the handler of an operator."""

    def register(function: Handler) -> Handler:
        HANDLERS[name] = function
        return function

    return register


_VALUES: dict[str, Any] = {
    "value_int": np.int64, "value_ints": np.int64, "value_float": np.float32,
    "value_floats": np.float32, "value_string": object, "value_strings": object,
}  # fmt: skip


@handler("Constant")
def _constant(conversion: Conversion, site: Site) -> Sequence[Value]:
    given = dict(site.attrs)
    if len(given) != 1:
        raise site.place.error(f"it has {len(given)} attributes, and exactly one holds the value")
    [(name, value)] = given.items()
    if name == "sparse_value":
        value = conversion.reader.sparse(value, site.place)
    elif name in _VALUES:
        value = np.array(value, _VALUES[name])
    return [conversion.stored(value, site.proto.output[0], site.make, inline=True)]


@handler("Dropout")
def _dropout(conversion: Conversion, site: Site) -> Sequence[Value | None]:
    """Passes its operand on, unless `training_mode` is true."""
    x, make = site.pending.required(0), site.make
    ratio, training = site.pending.operand(1), site.pending.operand(2)
    off = training is None or (training.constant is not None and not training.constant.any())
    zero = ratio is not None and ratio.constant is not None and not ratio.constant.any()
    if off or zero:
        mask = make("ConstantOfShape", make("Shape", x), value=np.ones(1, bool))
        return [x, mask if any(site.pending.outputs[1:]) else None]
    rate = make.constant(np.asarray(0.5, np.float32)) if ratio is None else ratio
    rate = rate if rate.dtype == x.dtype else make("Cast", rate, to=x.dtype)
    ones = make("Expand", make.scalar(1, x), make("Shape", x))
    noise = make("dropout", ones, rate, conversion.seed(), key=conversion.key(site))
    kept = make("Cast", noise, to=np.dtype(bool))
    dropped = make("Where", kept, make("Mul", x, noise), make.scalar(0, x))
    assert training is not None
    if training.constant is not None:
        return [dropped, kept]
    return [make("Where", training, dropped, x), make("Or", make("Not", training), kept)]


@handler("If")
def _if(conversion: Conversion, site: Site) -> Sequence[Value | None]:
    """The branch that is taken; a select of both where context decides; else an operator."""
    condition = site.pending.required(0)
    if condition.dtype != np.bool_:
        raise site.place.error(f"its condition is bool, got {condition.spec}")
    if condition.rank and any(isinstance(d, int) and d != 1 for d in condition.shape):
        raise site.place.error(f"its condition has one element, got {condition.spec}")
    if condition.constant is not None:
        taken = "then_branch" if condition.constant.all() else "else_branch"
        return conversion.branch(site, taken)
    if not conversion.decided(condition):
        raise site.place.error("an If on data")
    arms = {key: conversion.branch(site, key) for key in ("else_branch", "then_branch")}
    counts = {len(values) for values in arms.values()} | {len(site.proto.output)}
    if len(counts) > 1:
        raise site.place.error("its branches do not have as many outputs as it has")
    selector = selector_of(condition, site.make)
    found = []
    for slot, pair in enumerate(zip(*arms.values(), strict=True)):
        no, yes = pair
        if no is None or yes is None:
            raise site.place.error(f"output {slot} is missing in a branch")
        try:
            found.append(
                site.make.builder.select(
                    selector, (False, True), (no, yes), site.make.call, site.make.source
                )
            )
        except GraphctxError as error:
            raise site.place.error(
                f"output {slot} is {no.spec} in one branch and {yes.spec} in the other: {error}"
            ) from error
    return found
