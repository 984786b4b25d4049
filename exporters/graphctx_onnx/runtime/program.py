"""One program of a bundle: checks what it is fed, runs it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from graphctx_onnx.runtime.dispatch import required
from graphctx_onnx.runtime.errors import InputError, SessionError, listing, suggest
from graphctx_onnx.runtime.manifest import Argument, ContextClass, Signature, TensorType

_SYMBOL = re.compile(r"[^\W\d]\w*")


class Port:
    """A tensor that a program takes: checks arrays, or says what is wrong with them.

    Args:
        spec: of the tensor.
        kind: `input` or `state`, for messages.
    """

    __slots__ = ("dtype", "fixed", "kind", "name", "rank", "spec", "symbols")

    def __init__(self, spec: TensorType, kind: str = "input") -> None:
        self.spec = spec
        self.kind = kind
        self.name = spec.name
        self.dtype = np.dtype(object if spec.dtype == "string" else spec.dtype)
        self.rank = len(spec.shape)
        self.fixed = [(i, size) for i, size in enumerate(spec.shape) if isinstance(size, int)]
        self.symbols = [
            (i, size)
            for i, size in enumerate(spec.shape)
            if isinstance(size, str) and _SYMBOL.fullmatch(size)
        ]

    def take(self, given: Any, sizes: dict[str, int]) -> Any:
        """The array to feed.

        Args:
            given: what the caller passed.
            sizes: sizes that the inputs before have; this one's are added.

        Raises:
            InputError: another dtype, rank or size than the signature says.
        """
        array = given
        if array.__class__ is not np.ndarray or array.dtype != self.dtype:
            array = self._converted(given)
        shape = array.shape
        if len(shape) != self.rank:
            raise self._refused(array, f"it needs {self.rank} dimensions")
        for axis, size in self.fixed:
            if shape[axis] != size:
                raise self._refused(array, f"axis {axis} must be {size}")
        for axis, symbol in self.symbols:
            if sizes.setdefault(symbol, shape[axis]) != shape[axis]:
                raise self._refused(
                    array, f"axis {axis} is {symbol!r}, which is {sizes[symbol]} in another input"
                )
        return array

    def _converted(self, given: Any) -> Any:
        """Numbers, lists and scalars as arrays; text as onnxruntime takes it."""
        if not isinstance(given, (np.ndarray, np.generic, int, float, bool, list, tuple, str)):
            raise InputError(
                f"{self.kind} {self.name!r}: expected {self.spec}, got {type(given).__name__}",
                self.name,
            )
        try:
            array = np.asarray(given)
        except ValueError as error:
            raise InputError(
                f"{self.kind} {self.name!r}: expected {self.spec}: {error}", self.name
            ) from error
        if array.dtype.kind == "U":
            array = array.astype(object)
        if not isinstance(given, (np.ndarray, np.generic)) and np.can_cast(
            array.dtype, self.dtype, "same_kind"
        ):
            array = array.astype(self.dtype)  # Python numbers take the dtype asked for
        if array.dtype != self.dtype:
            raise self._refused(array, f"convert it with .astype({self.spec.dtype!r})")
        return array

    def _refused(self, array: Any, advice: str) -> InputError:
        dtype = "string" if array.dtype == object else array.dtype
        return InputError(
            f"{self.kind} {self.name!r}: expected {self.spec}, got {dtype}{list(array.shape)}: "
            f"{advice}",
            self.name,
        )


class ContextPort:
    """The scalar input for an argument that is left to run time."""

    def __init__(self, name: str, argument: Argument, dtype: str) -> None:
        self.name = name
        self.argument = argument
        self.dtype = np.dtype(object if dtype == "string" else dtype)
        self.default = None if argument.required else self.array(argument.default)

    def array(self, value: Any) -> Any:
        """The array to feed for a value."""
        if self.dtype == object and not isinstance(value, str):
            value = repr(value)  # as the exporter writes it
        return np.asarray(value, self.dtype)


class Program:
    """The program of one class of a bundle.

    Attributes:
        id: of the class.
        condition: of the class.
        signature: of the program.

    Args:
        found: the class.
        arguments: of the bundle, by name.
        session: returns the onnxruntime session.
    """

    def __init__(
        self, found: ContextClass, arguments: Mapping[str, Argument], session: Callable[[], Any]
    ) -> None:
        assert found.program is not None
        self.id = found.id
        self.condition = found.condition
        self.signature: Signature = found.program.signature
        self.session = session
        signature = self.signature
        self._inputs = [Port(spec) for spec in signature.inputs]
        self._seed = signature.seed
        self._contexts = {
            port.argument: ContextPort(port.name, arguments[port.argument], port.dtype)
            for port in signature.contexts
        }
        self._defaults = {
            port.name: port.default for port in self._contexts.values() if port.default is not None
        }
        self._required = [p for p in self._contexts.values() if p.default is None]
        self._outputs = [port.name for port in signature.outputs]
        self._state = {port.name: (port, Port(port, "state")) for port in signature.state}
        self._new_state = [port.new for port in signature.state]

    def feeds(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What to feed for the arguments left to run time: input name -> scalar array.

        Args:
            given: argument -> checked value; those not given have their defaults.

        Raises:
            ContextError: one without a default is missing.
        """
        found = self._defaults.copy()
        for name, value in given.items():
            port = self._contexts.get(name)  # None: this program does not depend on it
            if port is not None:
                found[port.name] = port.array(value)
        for port in self._required:
            if port.name not in found:
                raise required(port.argument)
        return found

    def run(
        self, inputs: Mapping[str, Any], feeds: Mapping[str, Any], seed: int | None = None
    ) -> dict[str, Any]:
        """Run the program; return its outputs by name.

        Args:
            inputs: arrays by name.
            feeds: of the arguments left to run time; see `feeds`.
            seed: of the random operators; None for a fresh one.

        Raises:
            InputError: an input is missing, unknown, or does not fit.
            SessionError: onnxruntime fails.
        """
        values = self._run(self._outputs, self._fed(inputs, feeds, seed))
        return dict(zip(self._outputs, values, strict=True))

    def step(
        self,
        inputs: Mapping[str, Any],
        feeds: Mapping[str, Any],
        seed: int | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Run the program; return its outputs, and weight path -> new value.

        Args:
            inputs: as for `run`.
            feeds: as for `run`.
            seed: as for `run`.
            state: weight path -> value to start from, such as an earlier step returned; what is
                missing starts from the stored value.
        """
        fed = self._fed(inputs, feeds, seed)
        for path, value in (state or {}).items():
            if path not in self._state:
                raise InputError(
                    f"state names {path!r}{suggest(path, self._state)} (state of the program for "
                    f"{self.condition}: {listing(self._state)})",
                    path,
                )
            entry, port = self._state[path]
            array = port.take(value, {})
            if entry.input is not None:
                fed[entry.input] = array
        values = self._run([*self._outputs, *self._new_state], fed)
        count = len(self._outputs)
        outputs = dict(zip(self._outputs, values[:count], strict=True))
        return outputs, dict(zip(self._state, values[count:], strict=True))

    def _fed(
        self, inputs: Mapping[str, Any], feeds: Mapping[str, Any], seed: int | None
    ) -> dict[str, Any]:
        found = dict(feeds)
        sizes: dict[str, int] = {}
        for port in self._inputs:
            try:
                given = inputs[port.name]
            except (KeyError, IndexError, TypeError):
                raise self._missing(port, inputs) from None
            found[port.name] = port.take(given, sizes)
        if len(inputs) != len(self._inputs):
            raise self._unknown(inputs)
        if seed is not None:
            seed = check_seed(seed)
        if self._seed is not None:
            found[self._seed] = np.asarray(fresh_seed() if seed is None else seed, np.int64)
        return found

    def _run(self, names: list[str], feeds: dict[str, Any]) -> Any:
        session = self.session()
        try:
            return session.run(names, feeds)
        except Exception as error:
            raise SessionError(
                f"the program for {self.condition}: onnxruntime refuses: {str(error).strip()}"
            ) from error

    def _missing(self, port: Port, inputs: Any) -> InputError:
        if not isinstance(inputs, Mapping):
            return InputError(
                f"inputs are a dict of arrays by name, got {type(inputs).__name__} "
                f"(inputs: {self._inputs_text()})"
            )
        return InputError(
            f"input {port.name!r} is missing (inputs: {self._inputs_text()})", port.name
        )

    def _unknown(self, inputs: Mapping[str, Any]) -> InputError:
        known = [port.name for port in self._inputs]
        name = next(name for name in inputs if name not in known)
        hint = ""
        if name in (self._seed, "seed"):
            hint = "; the seed is given as seed=..."
        return InputError(
            f"no input {name!r}{hint or suggest(str(name), known)} (inputs: {self._inputs_text()})",
            name,
        )

    def _inputs_text(self) -> str:
        return ", ".join(f"{port.name}: {port.spec}" for port in self._inputs) or "none"

    def __repr__(self) -> str:
        return f"<Program {self.id} for {self.condition}: {self._inputs_text()}>"


def check_seed(value: Any) -> int:
    """The seed as an integer in [0, 2**63).

    Raises:
        InputError: it is no such integer.
    """
    integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not integer or not 0 <= int(value) < 2**63:
        raise InputError(f"a seed is an integer in [0, 2**63), got {value!r:.80}", "seed")
    return int(value)


def fresh_seed() -> int:
    """A seed from the operating system."""
    return int.from_bytes(os.urandom(8), "little") >> 1
