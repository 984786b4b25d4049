"""Inputs of a file that become context arguments: what of the graph reads them, and what decides.

A file knows no context: it has an input, most often a scalar or a tensor of one element. The graph
has a context node instead, and operators that make the input's tensor of it, so that whatever was
computed from the input is an expression of the argument; specializing computes it.

| argument | tensor of the input |
|---|---|
| bool, Literal, Enum | a select among constants; of an Enum its members' values |
| `int`, `float` | the argument itself, in the input's shape and dtype |
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphctx.context import REQUIRED, Domain, domain_of, value_text
from graphctx.executor.evaluate import Evaluator
from graphctx.graph import Call, Consumer, ContextArgument, Resolution, Value, live_nodes
from graphctx.spec import TensorSpec, dtype_name
from graphctx_onnx.importing.nodes import Maker
from graphctx_onnx.importing.places import Place

_KINDS = {"bool": "biuf", "int": "iuf", "float": "f"}  # dtype kinds of the inputs that fit


def argument_of(
    name: str, domain: Domain, spec: TensorSpec, default: Any, path: str, place: Place
) -> ContextArgument:
    """The context argument that an input becomes.

    Args:
        name: of the argument.
        domain: of its values.
        spec: of the input.
        default: array that the file has for the input, or None.
        path: of the call that reads it.
        place: of the model.

    Raises:
        LoadError: the input has more than one element, or a dtype that its values do not fit.
    """
    where = place.inside(f"input {name!r}")
    if any(not isinstance(dim, int) or dim != 1 for dim in spec.shape):
        raise where.error(
            f"it is {spec}, and only a scalar, or a tensor of one element, can be a context "
            f"argument; if it always has one element, say so: inputs cannot name it, too, so make "
            f"its dimensions 1 in the file"
        )
    dtype = spec.dtype
    kinds = _KINDS.get(domain.kind)
    if kinds is None:
        for case in domain.values:
            _require_fit(case, dtype, where)
    elif dtype.kind not in kinds:
        raise where.error(f"it is {dtype_name(dtype)}, which no {domain} is")
    found: Any = REQUIRED
    if default is not None:
        try:
            found = _case(domain, default.reshape(-1)[0].item() if default.dtype != object
                          else default.reshape(-1)[0])  # fmt: skip
        except ValueError as error:
            raise where.error(f"its default in the file is outside the domain: {error}") from None
    cases = tuple(domain.values) if domain.is_finite else ()
    if not cases and found is not REQUIRED:
        cases = (found,)
    return ContextArgument(name, domain, found, cases, [Consumer(path, found)])


def domain_of_dtype(dtype: np.dtype[Any], place: Place) -> Domain:
    """The domain of an argument of which only the input's dtype is known.

    Raises:
        LoadError: it is not bool, integer or floating.
    """
    kinds = {"b": bool, "i": int, "u": int, "f": float}
    if dtype.kind not in kinds:
        raise place.error(
            f"it is {dtype_name(dtype)}; name its values, with contexts={{name: Literal[...]}}"
        )
    return domain_of(kinds[dtype.kind])


def tensor_of(argument: ContextArgument, spec: TensorSpec, make: Maker) -> Value:
    """What stands for the input in the graph."""
    domain = argument.domain
    selector = make.builder.context(argument)
    shape = tuple(int(dim) for dim in spec.shape if isinstance(dim, int))
    if domain.is_finite:
        arms = [make.constant(np.full(shape, _plain(case), spec.dtype)) for case in domain.values]
        return make.builder.select(selector, domain.values, arms, make.call, make.source)
    value = selector
    if value.dtype != spec.dtype:
        value = make("Cast", value, to=spec.dtype)
    return make("Reshape", value, make.ints(shape)) if shape else value


def note(call: Call, argument: ContextArgument) -> None:
    """Note that the model reads an argument, which whoever runs the graph gives it."""
    call.resolutions.append(Resolution(argument.name, "caller", ""))


class Decided:
    """Which values context alone decides."""

    def __init__(self) -> None:
        self._known: dict[Value, bool] = {}

    def __call__(self, value: Value) -> bool:
        """Whether no input and no weight is needed to compute a value."""
        stack = [value]
        while stack:
            top = stack[-1]
            node = top.node
            if top in self._known:
                stack.pop()
            elif node.kind in ("input", "weight"):
                self._known[top] = False
            else:
                operands = [v for v in node.operands if v is not None]
                missing = [v for v in operands if v not in self._known]
                if missing:
                    stack += missing
                else:
                    made_of_nothing = node.kind == "op" and not operands
                    self._known[top] = not made_of_nothing and all(map(self._known.get, operands))
        return self._known[value]


@dataclass(frozen=True)
class Choice:
    """What decides an `If`.

    Attributes:
        selector: a context node's value, or a scalar bool.
        cases: its values, and which branch each one takes.
        argument: name of the argument, where it is the selector.
    """

    selector: Value
    cases: Mapping[Any, bool]
    argument: str = ""


def choice_of(condition: Value, make: Maker) -> Choice:
    """What decides an `If` whose condition context decides.

    A condition on one argument with finitely many values is a choice among them.
    """
    nodes = [node for node in live_nodes([condition]) if node.kind == "context"]
    if len(nodes) == 1 and nodes[0].data.domain.is_finite:
        [node] = nodes
        found = {}
        for case in node.data.domain.values:
            taken = Evaluator({node.name: case}).evaluate(condition)
            if taken is not None:
                found[case] = bool(taken.all())
        if len(found) == len(node.data.domain.values):
            return Choice(node.output, found, node.name)
    return Choice(scalar(condition, make), {False: False, True: True})


def scalar(value: Value, make: Maker) -> Value:
    """A value of one element as a scalar."""
    return value if not value.shape else make("Reshape", value, make.ints(()))


def _plain(case: Any) -> Any:
    return case.value if isinstance(case, enum.Enum) else case


def _require_fit(case: Any, dtype: np.dtype[Any], where: Place) -> None:
    plain = _plain(case)
    if dtype == object:
        fits = isinstance(plain, str)
    elif isinstance(plain, bool):
        fits = dtype.kind in "b"
    elif isinstance(plain, int):
        fits = dtype.kind in "iu" and np.iinfo(dtype).min <= plain <= np.iinfo(dtype).max
    else:
        fits = isinstance(plain, float) and dtype.kind == "f"
    if not fits:
        raise where.error(f"it is {dtype_name(dtype)}, which {value_text(case)} is not")


def _case(domain: Domain, value: Any) -> Any:
    """The case of a domain that a stored value stands for."""
    if domain.kind == "enum":
        for member in domain.values:
            if type(member.value) is type(value) and member.value == value:
                return member
    if domain.kind == "bool":
        value = bool(value)
    return domain.normalize(value)
