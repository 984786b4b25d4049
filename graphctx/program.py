"""`compile` and `Program`: a residual graph, optimized and made callable."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from graphctx.context import block_values, check_seed, current_seed, fresh_seed
from graphctx.errors import ContextError, InputError, listing, suggest
from graphctx.executor.codegen import Code, generate
from graphctx.graph import Branch, CallGraph, Raises, Value, require_graph
from graphctx.passes import optimize
from graphctx.passes.specialize import bind, check_value, default_of
from graphctx.spec import (
    ContainerType,
    Dim,
    OptionalType,
    SequenceType,
    dtype_name,
    is_extended,
    shape_text,
)
from graphctx.text import expression_text
from graphctx.tree import Structure

if TYPE_CHECKING:
    from graphctx.explain import Summary


def compile(
    graph: CallGraph,
    context: Mapping[str, Any] | None = None,
    *,
    runtime: Iterable[str] = (),
    name: str | None = None,
    **values: Any,
) -> Program:
    """Specialize and optimize a graph, and make it callable.

    Args:
        graph: what `trace` returned, or a specialized graph.
        context: values for arguments whose names clash with other parameters.
        runtime: names of arguments to leave open; they become keywords of the program.
        name: of the program.
        values: context values; arguments neither given nor in `runtime` get their defaults.

    Raises:
        ContextError: an unknown name, a value outside its domain, a missing required value, or an
            argument that decides the structure of the outputs and so cannot stay open.
        Exception: what the model itself raises under this context.
    """
    require_graph(graph, "compile")
    given = {k: v for k, v in {**(context or {}), **values}.items() if v is not None}
    if isinstance(runtime, str):
        raise ContextError(
            f"{graph.name}: runtime takes a list of names; write runtime=[{runtime!r}]"
        )
    runtime = tuple(runtime)
    for key, value in block_values().items():
        if key in graph.contexts and key not in runtime and value is not None:
            given.setdefault(key, value)
    for argument in runtime:
        if argument not in graph.contexts:
            raise ContextError(
                f"{graph.name}: runtime names {argument!r}, which no layer reads"
                f"{suggest(argument, graph.contexts)} (open: {listing(graph.contexts)})"
            )
        if argument in ("seed", "state"):
            raise ContextError(
                f"{graph.name}: context argument {argument!r} cannot be left to run time, as a "
                f"program has a parameter of that name; bind it, or give it another name"
            )
        if argument in given:
            raise ContextError(
                f"{graph.name}: context argument {argument!r} is both given and left to run time"
            )
    assignment = {}
    for key, value in given.items():
        checked = check_value(graph, key, value)
        if key in graph.contexts:
            assignment[key] = checked
    for key, open_argument in graph.contexts.items():
        if key not in assignment and key not in runtime:
            assignment[key] = default_of(graph, open_argument)
    residual = bind(graph, assignment)
    if isinstance(residual.outcome, Raises):
        raise residual.outcome.error
    if isinstance(residual.outcome, Branch):
        decides = residual.outcome.selector.node
        raise ContextError(
            f"{graph.name}: what the model returns depends on "
            f"{decides.name if decides.kind == 'context' else expression_text(decides.output)!r}, "
            f"so it cannot be left to run time; give it a value"
        )
    return Program(optimize(residual.freeze()), name=name)


class Program:
    """A callable residual graph.

    Attributes:
        graph: optimized; `graph.bound` is the assignment it was specialized for.
        name: of the program.

    Programs are thread-safe and never write to their inputs. They hold the values the weights had
    when the program was compiled.
    """

    def __init__(self, graph: CallGraph, name: str | None = None) -> None:
        self.graph = graph = graph if graph.frozen else graph.freeze()
        self.name = name or graph.name
        self._lock = threading.Lock()
        self._inputs = {v.node.name: Converter(v) for v in graph.inputs}
        structure = graph.input_structure
        self._flat = structure.kind == "tuple" and all(c.kind == "leaf" for c in structure.children)
        self._has_seed = graph.seed is not None
        self._contexts = tuple(graph.contexts)
        self._code = self._generate(with_state=False)
        self._run = self._code.function
        self._count = len(graph.inputs)
        self._plain = self._flat and not self._has_seed and not self._contexts

    def _generate(self, *, with_state: bool) -> Code:
        return generate(self.graph, self._inputs, with_state=with_state)

    @cached_property
    def _step_code(self) -> Code:
        with self._lock:
            return self._generate(with_state=True)

    @property
    def source(self) -> str:
        """The generated Python, and that of the bodies of control flow."""
        return self._code.text

    @property
    def inputs(self) -> dict[str, Any]:
        """Input name -> `TensorSpec`."""
        return {v.node.name: v.spec for v in self.graph.inputs}

    @property
    def outputs(self) -> dict[str, Any]:
        """Output name -> `TensorSpec`."""
        returns = self.graph.returns
        return {n: v.spec for n, v in zip(returns.names(), returns.values, strict=True)}

    @property
    def state(self) -> tuple[str, ...]:
        """Paths of the variables that the model assigns under this context."""
        return tuple(self.graph.returns.state)

    def __call__(self, *args: Any, seed: int | None = None, **kwargs: Any) -> Any:
        """Run the program.

        Args:
            args: inputs, as the model takes them.
            seed: of the random operators; without one, that of `gx.seed`, else a fresh one.
            kwargs: inputs by name; values of arguments left to run time.

        Raises:
            InputError: an input with another name, rank, dtype or size than was traced.
        """
        try:
            if self._plain and not kwargs and len(args) == self._count:
                if seed is not None:
                    check_seed(seed)
                return self._run(*args)
            return self._run(*self._arguments(args, seed, kwargs, self._code))
        except Exception as error:
            located = self._code.located(error)
            if located is error:
                raise
            raise located from error

    def step(
        self,
        *args: Any,
        seed: int | None = None,
        state: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> tuple[Any, dict[str, Any]]:
        """Run the program; also return the new value of each variable the model assigns.

        Args:
            args: as in a call.
            seed: as in a call.
            state: weight path -> value to start from, such as an earlier step returned.
            kwargs: as in a call.

        Returns:
            (outputs, state).
        """
        code = self._step_code
        arguments = self._arguments(args, seed, kwargs, code)
        given = dict(state or {})
        variables = {path: variable for path, (variable, _) in self.graph.returns.state.items()}
        for path in given:
            if path not in variables:
                raise InputError(
                    f"{self.name}: state names {path!r}{suggest(path, variables)} "
                    f"(state of this program: {listing(variables)})"
                )
        for path in code.names[len(arguments) :]:
            variable = variables[path]
            value = np.asarray(given.get(path, self.graph.frozen[variable]))
            if value.shape != variable.shape or value.dtype != variable.dtype:
                raise InputError(
                    f"{self.name}: state {path!r} is {dtype_name(variable.dtype)}"
                    f"{shape_text(variable.shape)}, got {dtype_name(value.dtype)}"
                    f"{shape_text(value.shape)}"
                )
            arguments.append(value)
        try:
            return code.function(*arguments)  # type: ignore[no-any-return]
        except Exception as error:
            located = code.located(error)
            if located is error:
                raise
            raise located from error

    def _arguments(
        self, args: tuple[Any, ...], seed: int | None, kwargs: dict[str, Any], code: Code
    ) -> list[Any]:
        context = {n: v for n, v in block_values().items() if n in self._contexts}
        context.update({n: kwargs.pop(n) for n in self._contexts if kwargs.get(n) is not None})
        kwargs = {n: v for n, v in kwargs.items() if n not in self._contexts}
        for name, value in context.items():
            check_value(self.graph, name, value)  # also where nothing depends on it
        found = self._leaves(args, kwargs)
        if self._has_seed:
            if seed is None:
                seed = current_seed()
            found.append(np.asarray(fresh_seed() if seed is None else check_seed(seed), np.int64))
        for name in code.names[len(found) : len(found) + len(self._contexts)]:
            if name in self._contexts:
                argument = self.graph.contexts[name]
                if context.get(name) is None:
                    found.append(default_of(self.graph, argument))
                else:
                    found.append(check_value(self.graph, name, context[name]))
        return found

    def _leaves(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """The inputs in order, from the call's nest or by name."""
        names = list(self._inputs)
        if set(kwargs) <= set(names) and self._flat:
            # Inputs by their own names.
            if len(args) > len(names):
                raise self._wrong_count(len(args))
            found = dict(zip(names, args, strict=False))
            for name, value in kwargs.items():
                if name in found:
                    raise InputError(f"{self.name}: input {name!r} is given twice")
                found[name] = value
            missing = [name for name in names if name not in found]
            if missing:
                raise InputError(
                    f"{self.name}: input {', '.join(map(repr, missing))} is missing "
                    f"(inputs: {self._signature_text()})"
                )
            return [found[name] for name in names]
        if not args and kwargs and set(kwargs) == set(names):
            return [kwargs[name] for name in names]
        parameters = self.graph.parameters
        nests = dict(zip(parameters, args, strict=False))
        for name, value in kwargs.items():
            if name not in parameters and name in self.graph.bound:
                raise ContextError(
                    f"{self.name}: context argument {name!r} is bound to "
                    f"{self.graph.bound[name]!r} in this program; to give it at run time, compile "
                    f"with runtime=[{name!r}]"
                )
            if name not in parameters:
                known = [*parameters, *names, *self._contexts]
                raise InputError(
                    f"{self.name}: no input {name!r}{suggest(name, known)} "
                    f"(inputs: {self._signature_text()})"
                )
            nests[name] = value
        if len(args) > len(parameters):
            raise self._wrong_count(len(args))
        structure = self.graph.input_structure
        leaves: list[Any] = []
        for name, child in zip(parameters, structure.children, strict=True):
            if name not in nests and child.leaves:
                raise InputError(
                    f"{self.name}: input {name!r} is missing (inputs: {self._signature_text()})"
                )
            leaves += self._take(name, nests.get(name), child)
        return leaves

    def _take(self, name: str, value: Any, structure: Structure) -> list[Any]:
        """The leaves of one argument, in the order of the structure that was traced."""
        if structure.kind == "leaf":
            return [value]
        if structure.kind == "static":
            return []
        if structure.kind == "dict":
            keys = structure.data
            if not isinstance(value, dict) or set(value) != set(keys):
                got = listing(map(str, value)) if isinstance(value, dict) else type(value).__name__
                raise InputError(
                    f"{self.name}: input {name!r} is a dict with {listing(map(str, keys))}, "
                    f"got {got}"
                )
            children = [value[key] for key in keys]
        else:
            count = len(structure.children)
            if not isinstance(value, (tuple, list)) or len(value) != count:
                size = f" of {len(value)}" if isinstance(value, (tuple, list)) else ""
                raise InputError(
                    f"{self.name}: input {name!r} is a {structure.kind} of {count}, "
                    f"got {type(value).__name__}{size}"
                )
            children = list(value)
        pairs = zip(children, structure.children, strict=True)
        return [leaf for item, child in pairs for leaf in self._take(name, item, child)]

    def _wrong_count(self, count: int) -> InputError:
        return InputError(
            f"{self.name}: takes {len(self.graph.parameters)} inputs ({self._signature_text()}), "
            f"got {count}"
        )

    def _signature_text(self) -> str:
        return ", ".join(f"{name}: {spec}" for name, spec in self.inputs.items()) or "none"

    def __reduce__(self) -> Any:
        return Program, (self.graph, self.name)

    def summary(self) -> Summary:
        """A table of the program's ops: path, shape, parameters, multiply-adds, bytes."""
        from graphctx.explain import summary

        return summary(self.graph, title=f"{self.name} ({self.graph.bound_text()})")

    def __repr__(self) -> str:
        open_names = f", open: {', '.join(self._contexts)}" if self._contexts else ""
        bound = self.graph.bound_text()
        return f"<Program {self.name}({self._signature_text()}) for {bound}{open_names}>"


class Converter:
    """Turns what a caller passed for an input into the array, or says what is wrong with it.

    Strings become an object array of `str`: bytes are taken as UTF-8. A sequence becomes a list of
    arrays, an optional that or None.
    """

    def __init__(self, value: Value) -> None:
        self.name = value.node.name
        self.spec = value.spec

    def __call__(self, given: Any, axis: int | None = None, size: int | None = None) -> Any:
        """The array for what was given; or say which size of an axis does not fit the others.

        Raises:
            InputError: it is none of the input's spec.
        """
        if isinstance(self.spec.dtype, ContainerType):
            return self._container(given, self.spec.dtype)
        if axis is not None:
            raise InputError(
                f"input {self.name!r}: dimension {self.spec.shape[axis]!s} (axis {axis}) is "
                f"{given.shape[axis]} here, but {size} in another place of the inputs"
            )
        if not isinstance(given, (np.ndarray, np.generic, int, float, bool, list, tuple, str)):
            raise InputError(
                f"input {self.name!r}: expected {self.spec}, got {type(given).__name__}"
            )
        array = np.asarray(given)
        if array.dtype.kind in "USO":
            array = self._texts(array)
        if is_extended(self.spec.dtype) and array.dtype == f"V{self.spec.dtype.itemsize}":
            array = array.view(self.spec.dtype)  # NumPy's files do not say which dtype it was
        if not isinstance(given, (np.ndarray, np.generic)) and np.can_cast(
            array.dtype, self.spec.dtype, "same_kind"
        ):
            array = array.astype(self.spec.dtype)  # Python numbers take the dtype asked for
        got = f"{dtype_name(array.dtype)}{shape_text(array.shape)}"
        if array.ndim != self.spec.rank:
            raise InputError(
                f"input {self.name!r}: expected {self.spec}, which has {self.spec.rank} "
                f"dimensions, got {got} with {array.ndim}"
            )
        if array.dtype != self.spec.dtype:
            raise InputError(
                f"input {self.name!r}: expected {self.spec}, got {got}; convert it with "
                f".astype({dtype_name(self.spec.dtype)!r})"
            )
        for position, dim in enumerate(self.spec.shape):
            if not isinstance(dim, Dim) and array.shape[position] != dim:
                raise InputError(
                    f"input {self.name!r}: expected {self.spec}, got {got}: axis {position} must "
                    f"be {dim}"
                )
        return array

    def _texts(self, array: Any) -> Any:
        """An array of strings as an object array of `str`."""
        items = array.reshape(-1).tolist()
        if array.dtype.kind == "O" and all(item.__class__ is str for item in items):
            return array
        texts = np.empty(len(items), object)
        for i, item in enumerate(items):
            if not isinstance(item, (str, bytes)):
                raise InputError(
                    f"input {self.name!r}: expected {self.spec}, got an array that holds "
                    f"{type(item).__name__}: {item!r}"
                )
            try:
                texts[i] = item.decode() if isinstance(item, bytes) else str(item)
            except UnicodeDecodeError as error:
                raise InputError(
                    f"input {self.name!r}: the bytes {item!r} are no UTF-8 text: {error}"
                ) from None
        return texts.reshape(array.shape)

    def _container(self, given: Any, kind: ContainerType) -> Any:
        """A list of arrays, or what an optional holds."""
        if isinstance(kind, OptionalType):
            if given is None:
                return None
            if isinstance(kind.element, ContainerType):
                return self._container(given, kind.element)
            return self._element(given, kind, "")
        if not isinstance(given, (list, tuple)):
            raise InputError(
                f"input {self.name!r}: expected {self.spec}, a list of arrays, got "
                f"{type(given).__name__}"
            )
        if given and isinstance(kind, SequenceType) and kind.empty:
            raise InputError(f"input {self.name!r}: expected an empty list, got {len(given)}")
        return [self._element(item, kind, f", element {i}") for i, item in enumerate(given)]

    def _element(self, given: Any, kind: ContainerType, where: str) -> Any:
        """One tensor of a container."""
        array = np.asarray(given)
        if array.dtype.kind in "USO":
            array = self._texts(array)
        sizes = array.shape if kind.shape is None else kind.shape
        fits = len(sizes) == array.ndim and all(
            dim is None or dim == size for dim, size in zip(sizes, array.shape, strict=True)
        )
        if array.dtype != kind.element or not fits:
            raise InputError(
                f"input {self.name!r}{where}: expected {self.spec}, got "
                f"{dtype_name(array.dtype)}{shape_text(array.shape)}"
            )
        return array
