"""Request parameters: context arguments, the seed, and what the protocol itself has.

A context argument travels under its own name, or under `context.` and its name where a client or
the protocol keeps that name for itself (tritonclient refuses `priority`, `timeout`, `sequence_id`,
`triton_...`; `seed`, `timeout` and `binary_data_output` mean here what `PROTOCOL` says). No
parameter is ever dropped: an unknown one, one of another type, one without a value is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from graphctx_onnx.server.protocol import RequestError

PREFIX = "context."

SEED, TIMEOUT, BINARY = "seed", "timeout", "binary_data_output"
PROTOCOL = {
    SEED: "an integer in [0, 2**63): of the random numbers",
    TIMEOUT: "an integer: microseconds that the answer may take",
    BINARY: "a bool: whether outputs come as raw bytes",
}
"""Parameters that every model has, and what they are."""

_TYPES: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (float, int),
    "string": (str,),
    "mixed": (bool, int, float, str),
}
_NAMES = {"bool": "a bool", "int": "an integer", "float": "a number", "string": "a string",
          "mixed": "a bool, a number or a string"}  # fmt: skip


class Argument(Protocol):
    """What is asked of a context argument of a bundle; see `graphctx_onnx.runtime.Argument`."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def type(self) -> str:
        """`bool`, `int`, `float`, `string` or `mixed`."""

    @property
    def values(self) -> tuple[Any, ...]:
        """All allowed values; empty where every one of the type is allowed."""

    @property
    def default(self) -> Any:
        """The value where none is given; None for each layer's own."""

    @property
    def required(self) -> bool:
        """Whether every request has to give it."""

    @property
    def binding(self) -> str:
        """`bound` or `runtime`."""


@dataclass(slots=True)
class Read:
    """The parameters of a request, sorted.

    Attributes:
        context: argument -> value.
        seed: of the random numbers; None where it is not given.
        timeout: seconds that the answer may take; None where it is not given.
        binary: whether outputs come as raw bytes; None where it is not given.
    """

    context: dict[str, Any]
    seed: int | None = None
    timeout: float | None = None
    binary: bool | None = None


class Parameters:
    """Reads the parameters of requests.

    Args:
        arguments: the context arguments of the model.
    """

    def __init__(self, arguments: Mapping[str, Argument]) -> None:
        self.arguments = arguments

    def read(self, given: Mapping[str, Any]) -> Read:
        """Sort and check the parameters of one request.

        A name that is none of the model's arguments is passed on as context: the bundle knows
        whether it may be given, and `advice` is for its error.

        Raises:
            RequestError: a parameter without a value or of another type; one given twice.
        """
        found = Read({})
        context = found.context
        for key, value in given.items():
            if key in PROTOCOL:
                self._protocol(found, key, value)
                continue
            name = key.removeprefix(PREFIX)
            if name in context:
                raise RequestError(
                    f"the context argument {name!r} is given twice: as {name!r} and as "
                    f"{PREFIX + name!r}"
                )
            argument = self.arguments.get(name)
            types = _TYPES[argument.type if argument else "mixed"]
            if type(value) not in types:
                raise self._ill_typed(key, value, argument)
            context[name] = value
        return found

    def advice(self) -> str:
        """All parameters that a request may have, in words."""
        own = [f"{self.parameter(a.name)} ({_allowed(a)})" for a in self.arguments.values()]
        return f"parameters: {', '.join([*own, *PROTOCOL])}"

    def parameter(self, name: str) -> str:
        """The name that a context argument travels under wherever no client reserves it."""
        return PREFIX + name if name in PROTOCOL else name

    def _protocol(self, found: Read, key: str, value: Any) -> None:
        if key == BINARY:
            if type(value) is not bool:
                raise self._ill_typed(key, value, None)
            found.binary = value
        elif type(value) is not int or not 0 <= value < 1 << 63:
            raise self._ill_typed(key, value, None)
        elif key == SEED:
            found.seed = value
        elif value:  # Triton has 0 for "no limit of mine"
            found.timeout = value / 1e6

    def _ill_typed(self, key: str, value: Any, argument: Argument | None) -> RequestError:
        expected = PROTOCOL.get(key) or (_allowed(argument) if argument else _NAMES["mixed"])
        if value is None:
            return RequestError(f"the parameter {key!r} has no value; expected {expected}")
        return RequestError(
            f"the parameter {key!r} is {type_text(value)} ({value!r:.80}); expected {expected}"
        )


def type_text(value: Any) -> str:
    """The type of a parameter in words."""
    names = {bool: "a bool", int: "an integer", float: "a float", str: "a string",
             list: "a list", dict: "an object"}  # fmt: skip
    return names.get(type(value), type(value).__name__)


def _allowed(argument: Argument) -> str:
    if argument.values and argument.type != "bool":
        text = "one of " + ", ".join(map(repr, argument.values))
    else:
        text = _NAMES[argument.type]
    return text + (", required" if argument.required else "")
