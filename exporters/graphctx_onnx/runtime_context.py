"""Context that is left to run time, as ONNX says it: scalar inputs, and selects on bools.

| argument | input | default |
|---|---|---|
| bool | bool | the argument's |
| `int`, `float` | int64, double | the argument's |
| integers of a Literal | int64 | the argument's |
| other Literals, an Enum | string: the value's text, the member's name | the argument's |

A default is an initializer of the input's name, so feeding it is optional. A value outside the
domain is an index out of range: a runtime refuses it, and its message names the node, whose name
says what is allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphctx import ops
from graphctx.builder import Builder, rewrite
from graphctx.context import REQUIRED, UNSET, value_text
from graphctx.errors import ExportError
from graphctx.graph import Call, CallGraph, ContextArgument, Contexts, Node, Value
from graphctx.spec import TensorSpec, kind_of
from graphctx.tensor import Recorder, Tensor

ROLE = "context"


@dataclass(frozen=True)
class Encoding:
    """How the values of an argument are fed to a file.

    Attributes:
        argument: that is left to run time.
        dtype: of the scalar input; `object` for strings.
        values: what may be fed, where that is listed; in the order of `cases`.
        cases: the Python values that they stand for.
    """

    argument: ContextArgument
    dtype: np.dtype[Any]
    values: tuple[Any, ...] = ()
    cases: tuple[Any, ...] = ()

    @property
    def input(self) -> str:
        """Name of the input node."""
        return f"context:{self.argument.name}"

    @property
    def spec(self) -> TensorSpec:
        """Type of the input."""
        return TensorSpec((), self.dtype)

    @property
    def required(self) -> bool:
        """Whether a run has to be given a value."""
        return self.argument.default is REQUIRED

    def encode(self, value: Any) -> Any:
        """The array that is fed for a value of the argument."""
        for case, text in zip(self.cases, self.values, strict=True):
            if type(case) is type(value) and case == value:
                value = text
                break
        return np.asarray(value, self.dtype)


def encoding(graph: CallGraph, argument: ContextArgument) -> Encoding:
    """How an open argument is fed.

    Raises:
        ExportError: no input of ONNX can stand for it.
    """
    name = argument.name
    where = f"{graph.name}: context argument {name!r} cannot be left to run time in an ONNX file"
    if argument.default is UNSET:
        raise ExportError(
            f"{where}: its default differs between layers ({argument}), and an input has one; bind "
            f"it, or give the layers one default"
        )
    domain = argument.domain
    if domain.kind == "opaque":
        raise ExportError(f"{where}: its domain is opaque ({argument}); bind it")
    if domain.kind == "bool":
        return Encoding(argument, np.dtype(bool))
    if domain.is_numeric:
        dtype = np.dtype(np.int64 if domain.kind == "int" else np.float64)
        listed = tuple(argument.cases) if argument.enumerated else ()
        return Encoding(argument, dtype, listed, listed)
    if all(type(case) is int for case in domain.values):
        return Encoding(argument, np.dtype(np.int64), domain.values, domain.values)
    texts = tuple(v if isinstance(v, str) else value_text(v) for v in domain.values)
    if len(set(texts)) < len(texts):
        raise ExportError(f"{where}: two of its values have one text ({', '.join(texts)}); bind it")
    return Encoding(argument, np.dtype(object), texts, domain.values)


class _Recorder(Recorder):
    """Records what turns an input into the value of an argument."""

    def __init__(self, builder: Builder, call: Call) -> None:
        super().__init__(builder)
        self._call = call

    @property
    def call(self) -> Call | None:
        return self._call

    @property
    def source(self) -> str:
        return ""


class _Argument:
    """An argument in the graph that is made: its input, its checked value, its cases."""

    def __init__(self, found: Encoding, builder: Builder) -> None:
        self.encoding = found
        self.builder = builder
        argument = found.argument
        allowed = ", ".join(map(str, found.values)) or str(argument.domain)
        recorder = _Recorder(builder, Call(f"context/{argument.name} ({allowed})", "", None))
        self.input = builder.input(found.spec, found.input, role=ROLE)
        self.recorder = recorder
        self._tests: dict[Any, Value] = {}
        given = Tensor(self.input, recorder)
        self.index: Any = None
        self.value = self.input
        if found.values:
            count = len(found.values)
            table = np.array(found.values, found.dtype)
            hits = ops.astype(ops.equal(given, table), "int64")
            place = ops.sum(hits * (np.arange(count) - count)) + count
            self.index = ops.take(np.arange(count), place)
            if argument.domain.is_numeric:
                self.value = recorder.value(ops.take(table, place))
        elif kind_of(found.dtype) == "f":
            # NaN is outside the domain: it is on neither side of a comparison.
            number = ops.take(ops.reshape(given, (1,)), ops.astype(ops.isnan(given), "int64"))
            self.value = recorder.value(number)

    def test(self, case: Any) -> Value:
        """The bool that says whether the argument has this case."""
        if self.encoding.dtype == bool:
            return self.input
        position = next(
            i
            for i, known in enumerate(self.encoding.cases)
            if type(known) is type(case) and known == case
        )
        if position not in self._tests:
            self._tests[position] = self.recorder.value(ops.equal(self.index, position))
        return self._tests[position]


def lower_context(graph: CallGraph) -> tuple[CallGraph, tuple[Encoding, ...]]:
    """Make inputs of the open arguments, and selects on bools of all selects.

    Returns:
        The graph, without context nodes, and how each argument is fed. The inputs that stand for
        arguments have the role "context".

    Raises:
        ExportError: no input can stand for one of the arguments.
    """
    found = tuple(encoding(graph, argument) for argument in graph.contexts.values())
    if not found:
        return graph, ()
    arguments: dict[str, _Argument] = {}

    def transform(
        node: Node, operands: tuple[Value | None, ...], builder: Builder
    ) -> Sequence[Value] | None:
        if node.kind == "context":
            known = next(e for e in found if e.argument.name == node.name)
            argument = arguments[node.name] = _Argument(known, builder)
            return [argument.value]
        if node.kind != "select":
            return None
        selector = node.operands[0]
        assert selector is not None
        arms = [v for v in operands[1:] if v is not None]
        cases = node.attrs["cases"]
        result = arms[-1]
        for case, arm in reversed(list(zip(cases[:-1], arms[:-1], strict=True))):
            if selector.node.kind == "context":
                test = arguments[selector.node.name].test(case)
            else:
                assert operands[0] is not None
                test = operands[0]
            pair = (result, arm) if case is False else (arm, result)
            result = builder.select(test, (True, False), pair, node.call, node.source)
        return [result]

    return rewrite(graph, transform, contexts=Contexts({})), found
