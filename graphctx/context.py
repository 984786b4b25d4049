"""Context arguments: declaring them, their domains, and the rule that resolves them.

A consumer sees, in this order: the value given explicitly in its own call (unless `None`), the
value of the innermost enclosing call or `with gx.context(...)` block, its signature's default.
Scopes are a linked list of immutable `Frame`s in a `ContextVar`, so that threads and asyncio
tasks never see each other's values and an exception leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import enum
import inspect
import itertools
import os
import sys
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import numpy as np

from graphctx.errors import ContextError, listing, suggest

T = TypeVar("T")


class _ContextMarker:
    def __repr__(self) -> str:
        return "Context"


_MARKER = _ContextMarker()

Context = Annotated[T, _MARKER]
"""Annotates a context argument of `Layer.call`: `training: Context[bool] = False`.

Type checkers see plain `T`. `T` is `bool`, `Literal[...]`, an `Enum`, `int`, `float`, or anything
else, which is then opaque: traced only for its default and the values named to `gx.trace`.
"""


class _Sentinel(enum.Enum):
    UNSET = "unset"
    REQUIRED = "required"
    GIVEN = "given"

    def __repr__(self) -> str:
        return self.value

    __str__ = __repr__


UNSET = _Sentinel.UNSET  # nobody gave a value: every consumer sees its own default
REQUIRED = _Sentinel.REQUIRED  # the default of a consumer whose signature has none
GIVEN = _Sentinel.GIVEN  # a numeric argument that was given, whatever its value


# -- domains --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Domain:
    """The values a context argument may take.

    Attributes:
        kind: `"bool"`, `"literal"`, `"enum"`, `"int"`, `"float"` or `"opaque"`.
        values: all values, in order of declaration, of a finite domain; else empty.
        type: the enum class or the opaque type.
    """

    kind: str
    values: tuple[Any, ...] = ()
    type: Any = None

    def _members(self) -> Any:
        # `Literal["a", "b"]` and `Literal["b", "a"]` are equal to typing, so they are here.
        try:
            return frozenset((type(value), value) for value in self.values)
        except TypeError:
            return self.values

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Domain):
            return NotImplemented
        return (self.kind, self.type, self._members()) == (
            other.kind, other.type, other._members(),
        )  # fmt: skip

    def __hash__(self) -> int:
        return hash((self.kind, len(self.values)))

    @property
    def is_finite(self) -> bool:
        """Whether the domain lists all its values."""
        return self.kind in ("bool", "literal", "enum")

    @property
    def is_numeric(self) -> bool:
        """Whether a trace keeps the argument as a symbolic scalar."""
        return self.kind in ("int", "float")

    def normalize(self, value: Any) -> Any:
        """Return the value as a consumer sees it; raise `ValueError` if it is outside."""
        kind = self.kind
        if kind == "bool":
            if value is True or value is False:
                return value
            if isinstance(value, np.bool_):
                return bool(value)
        elif kind in ("literal", "enum"):
            if isinstance(value, np.generic):
                value = value.item()
            for allowed in self.values:
                if type(allowed) is type(value) and allowed == value:
                    return allowed
        elif kind == "int":
            if isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype.kind in "iu":
                return int(value)
            if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
                return int(value)
        elif kind == "float":
            if isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype.kind in "iuf":
                return float(value)
            is_number = isinstance(value, (int, float, np.integer, np.floating))
            if is_number and not isinstance(value, bool) and value == value:
                return float(value)  # NaN is on neither side of a comparison, so on no path
        else:
            return value
        raise ValueError(f"{value!r} is not in {self}")

    def parse(self, text: str) -> Any:
        """Return the value that a command line or a manifest wrote as text.

        Raises:
            ValueError: the text stands for no value of the domain.
        """
        if self.kind == "bool":
            known = {"true": True, "1": True, "false": False, "0": False}
            if text.lower() in known:
                return known[text.lower()]
        elif self.is_finite:
            for value in self.values:
                if text == value_text(value) or text == str(value):
                    return value
        elif self.kind == "int":
            return int(text)
        elif self.kind == "float":
            return float(text)
        else:
            return text
        raise ValueError(f"{text!r} is not in {self}")

    def __str__(self) -> str:
        if self.kind == "bool":
            return "bool"
        if self.is_finite:
            return "|".join(value_text(value) for value in self.values)
        if self.is_numeric:
            return self.kind
        return getattr(self.type, "__name__", None) or "any"


BOOL = Domain("bool", (False, True))
OPAQUE = Domain("opaque")


def value_text(value: Any) -> str:
    """A context value as it is printed: strings and enum members by their bare name."""
    if isinstance(value, _Sentinel):
        return value.value
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, str):
        return value
    return repr(value)


def domain_of(annotation: Any) -> Domain:
    """Turn the `T` of `Context[T]`, or what `register_context_args` takes, into a `Domain`.

    Raises:
        ContextError: an empty `Literal` or `Enum`.
    """
    if isinstance(annotation, Domain):
        return annotation
    if typing.get_origin(annotation) is Annotated:
        annotation = typing.get_args(annotation)[0]
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        # `None` means "not given" everywhere, so `bool | None` is the domain `bool`.
        members = [m for m in typing.get_args(annotation) if m is not type(None)]
        return domain_of(members[0]) if len(members) == 1 else Domain("opaque", (), annotation)
    if annotation is bool:
        return BOOL
    if annotation is int or annotation is float:
        return Domain(annotation.__name__)
    if origin is typing.Literal:
        values = tuple(v for v in typing.get_args(annotation) if v is not None)
        if not values:
            raise ContextError("a Literal domain needs at least one value that is not None")
        return (
            BOOL
            if set(map(type, values)) == {bool} and len(values) == 2
            else Domain("literal", values)
        )
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        if not len(annotation):
            raise ContextError(f"the enum {annotation.__name__} has no members")
        return Domain("enum", tuple(annotation), annotation)
    if isinstance(annotation, (list, tuple)):
        return Domain("literal", tuple(annotation))
    if annotation in (None, inspect.Parameter.empty, Any, T):
        return OPAQUE
    return Domain("opaque", (), annotation)


# -- declarations ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Declaration:
    """A context argument as one consumer declares it.

    Attributes:
        name: of the argument.
        domain: the values the consumer accepts.
        default: what the consumer sees when nobody gave a value; `REQUIRED` if it has none.
        injected: whether `call` takes it; a registered name that `call` lacks is declared only.
    """

    name: str
    domain: Domain
    default: Any
    injected: bool = True


_AnnotationSource = tuple[Mapping[str, Any], Mapping[str, Any]]


class CallSignature:
    """What `Layer.call` of one class takes: data arguments and context arguments.

    Annotations are resolved where the class is defined, so that string annotations (from
    `__future__`) may name types that are local to a function; what is not defined yet at that
    point is resolved at the first call.
    """

    def __init__(self, function: Callable[..., Any], scope: _AnnotationSource) -> None:
        self.function = function
        parameters = list(inspect.signature(function).parameters.values())[1:]
        self.parameters = {p.name: p for p in parameters}
        self.positional = tuple(
            p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        )
        self.takes_kwargs = any(p.kind is p.VAR_KEYWORD for p in parameters)
        self.context: dict[str, Declaration] = {}
        self._consumed: list[Declaration] | None = None
        self._pending: dict[str, str] = {}
        self._scope = scope
        for parameter in parameters:
            self._declare(parameter, parameter.annotation)
        if not self._pending:
            self._scope = ({}, {})  # let go of the frames' locals

    def __deepcopy__(self, memo: Any) -> CallSignature:
        return self  # never changed once it is made

    @property
    def consumed(self) -> list[Declaration]:
        """The context arguments that `call` takes, in the order of its signature."""
        if self._consumed is None:
            self._consumed = [d for d in self.context.values() if d.injected]
        return self._consumed

    def inherit(self, base: CallSignature) -> None:
        """Declare what a base class's `call` declares; it is passed on through `**kwargs`."""
        base.resolve_pending()
        for name, declaration in base.context.items():
            if name not in self.parameters:
                self.context.setdefault(name, declaration)

    def _declare(self, parameter: inspect.Parameter, annotation: Any) -> None:
        if isinstance(annotation, str):
            try:
                # The annotation is the layer author's own source text.
                annotation = eval(annotation, dict(self._scope[0]), self._scope[1])
            except Exception:
                if "Context" in annotation:
                    self._pending[parameter.name] = annotation
                annotation = parameter.empty
        is_context = typing.get_origin(annotation) is Annotated and any(
            m is _MARKER for m in annotation.__metadata__
        )
        if not is_context and parameter.name != "training":
            return
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            raise ContextError(f"*{parameter.name} cannot be a context argument; name it")
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise ContextError(f"context argument {parameter.name!r} must not be positional-only")
        domain = domain_of(annotation) if is_context else BOOL
        self.context[parameter.name] = self._checked(parameter, domain)

    def _checked(self, parameter: inspect.Parameter, domain: Domain) -> Declaration:
        default = parameter.default
        if parameter.name == "training" and (default is None or default is parameter.empty):
            default = False if domain == BOOL else REQUIRED
        elif default is parameter.empty:
            default = REQUIRED
        elif default is not None:
            try:
                default = domain.normalize(default)
            except ValueError:
                raise ContextError(
                    f"{self.function.__qualname__}: the default {default!r} of context argument "
                    f"{parameter.name!r} is outside its own domain {domain}"
                ) from None
        return Declaration(parameter.name, domain, default)

    def resolve_pending(self) -> None:
        """Resolve annotations that named something not yet defined at class creation."""
        if not self._pending:
            return
        pending, self._pending, self._consumed = self._pending, {}, None
        for name, text in pending.items():
            self._declare(self.parameters[name], text)
        if self._pending:
            name, text = next(iter(self._pending.items()))
            raise ContextError(
                f"{self.function.__qualname__}: cannot resolve the annotation {text!r} of "
                f"{name!r}; define or import what it names before the layer is used"
            )

    def with_registered(self, names: Iterable[str], domain: Any, *, given: bool) -> CallSignature:
        """A copy in which the names are context arguments too."""
        copy = object.__new__(CallSignature)
        copy.__dict__.update(self.__dict__)
        copy.context = dict(self.context)
        copy._consumed = None
        for name in names:
            parameter = self.parameters.get(name)
            known = copy.context.get(name)
            if given or known is None:
                resolved = domain_of(domain) if given else OPAQUE
            else:
                resolved = known.domain
            if not given and known is None and parameter is not None:
                if not isinstance(parameter.annotation, str):
                    resolved = domain_of(parameter.annotation)
                if resolved == OPAQUE and isinstance(parameter.default, bool):
                    resolved = BOOL
            if name == "training" and not given:
                resolved = BOOL
            if parameter is None:
                copy.context[name] = Declaration(name, resolved, None, self.takes_kwargs)
            else:
                copy.context[name] = self._checked(parameter, resolved)
        return copy


def defining_scope(module: str) -> _AnnotationSource:
    """Globals and enclosing function locals of the class statement that is being executed."""
    module_globals = vars(sys.modules[module]) if module in sys.modules else {}
    local_names: dict[str, Any] = {}
    frame = sys._getframe(2)
    chain = []
    while frame is not None and frame.f_globals is not module_globals:
        frame = frame.f_back  # type: ignore[assignment]
    while frame is not None and frame.f_globals is module_globals:
        if frame.f_code.co_name != "<module>":
            chain.append(frame.f_locals)
        frame = frame.f_back  # type: ignore[assignment]
    for names in reversed(chain):
        local_names.update(names)
    return module_globals, local_names


# -- scopes ---------------------------------------------------------------------------------------


class Provided:
    """A value that a call or a block provides to what is nested in it."""

    __slots__ = ("provider", "source", "value")

    def __init__(self, value: Any, provider: Frame | None, source: str) -> None:
        self.value = value
        self.provider = provider  # the frame of the call it was given to; None for a block
        self.source = source  # "file.py:12"


class Frame:
    """One layer call (or one `with gx.context(...)` block) on the stack of calls."""

    __slots__ = (
        "_path", "counts", "draws", "index", "iterations", "layer", "parent", "tracer", "values",
    )  # fmt: skip

    def __init__(
        self, parent: Frame | None, layer: Any, values: dict[str, Provided], tracer: Any = None
    ) -> None:
        self.parent = parent
        self.layer = layer
        self.values = values
        self.tracer = tracer
        self.draws = 0
        self._path: str | None = None
        # Numbers of the iterations of the loops that it runs in, the outermost first.
        self.iterations: tuple[Any, ...] = () if parent is None else parent.iterations
        if parent is None:
            self.counts: dict[Any, int] = {}
            self.index = 0
        elif layer is None:
            self.counts = parent.counts  # a block is not a call: names count on through it
            self.index = 0
        else:
            self.counts = {}
            counts = parent.counts
            self.index = index = counts.get(layer, 0)
            counts[layer] = index + 1

    @property
    def caller(self) -> Frame | None:
        """The nearest enclosing frame that is a layer call."""
        frame = self.parent
        while frame is not None and frame.layer is None:
            frame = frame.parent
        return frame

    @property
    def path(self) -> str:
        """Path of this call, unique within one call of the root: `model/block_1/drop#2`."""
        if self._path is None:
            caller = self.caller
            if self.layer is None:
                self._path = caller.path if caller else ""
            elif caller is None:
                self._path = self.layer.name
            else:
                again = f"#{self.index + 1}" if self.index else ""
                label = caller.layer._label_of(self.layer) or caller._guest_label(self.layer)
                self._path = f"{caller.path}/{label}{again}"
        return self._path

    def _guest_label(self, layer: Any) -> str:
        """Name of a layer that the running one does not own (of a closure, or made in `call`).

        Guests are named in the order in which they are called, so that every run of `call` gives
        them the same names.
        """
        before = 0
        for other in self.counts:
            if other is layer:
                break
            is_guest = not isinstance(other, str) and other.name == layer.name
            before += is_guest and self.layer._label_of(other) is None
        taken = set(self.layer._label_map().values())
        names = (f"{layer.name}_{i}" if i else layer.name for i in itertools.count())
        free = (name for name in names if name not in taken)
        return next(itertools.islice(free, before, None))


current: ContextVar[Frame | None] = ContextVar("graphctx_frame", default=None)


def block_values() -> dict[str, Any]:
    """Context values of the enclosing `with gx.context(...)` blocks and calls, by name."""
    frame = current.get()
    return {} if frame is None else {name: p.value for name, p in frame.values.items()}


NO_VALUES: dict[str, Provided] = {}


def current_path() -> str:
    """Path of the layer call that is running, `model/block_1/drop`; empty outside any call."""
    frame = current.get()
    return frame.path if frame is not None else ""


_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_COMMAND_LINE = os.path.join(_PACKAGE, "cli", "")
_INTERNAL: dict[str, bool] = {}
_SHORT: dict[str, str] = {}


def source_line() -> str:
    """`file.py:12` of the innermost Python frame outside graphctx itself."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None:
        filename = frame.f_code.co_filename
        if filename.startswith(_COMMAND_LINE):
            return "command line"
        internal = _INTERNAL.get(filename)
        if internal is None:
            # A block's generator is entered through contextlib.
            internal = filename.startswith((_PACKAGE, "<graphctx", contextlib.__file__))
            _INTERNAL[filename] = internal
        if not internal:
            short = _SHORT.get(filename)
            if short is None:
                short = _SHORT[filename] = _shorten(filename)
            return f"{short}:{frame.f_lineno}"
        frame = frame.f_back
    return "graphctx"


def _shorten(filename: str) -> str:
    """A path below the working directory is relative to it; else its last two parts."""
    try:
        relative = os.path.relpath(filename)
    except (ValueError, OSError):
        return filename
    if relative.startswith(".."):
        return os.sep.join(filename.split(os.sep)[-2:])
    return relative


class _Block:
    """Names a `with gx.context(...)` block provides, and which of them any layer declares."""

    __slots__ = ("known", "names", "parent")

    def __init__(self, names: set[str], parent: _Block | None) -> None:
        self.names = names
        self.known: set[str] | None = None
        self.parent = parent


_blocks: ContextVar[_Block | None] = ContextVar("graphctx_blocks", default=None)


@contextlib.contextmanager
def context(**values: Any) -> Iterator[None]:
    """Provide context values to every layer call in a `with` block.

    A value given to a call inside the block wins over the block's. `None` means "not given".

    Raises:
        ContextError: no layer at or under the enclosing call declares a name; outside any call,
            at the end of the block, when no model called in it declares the name.
    """
    parent = current.get()
    source = source_line()
    given = {name: value for name, value in values.items() if value is not None}
    caller = parent if parent is None or parent.layer is not None else parent.caller
    if caller is not None:
        for name in given:
            check_declared(caller.layer, name, caller.path, source)
    provided = dict(parent.values) if parent else {}
    provided.update({name: Provided(value, None, source) for name, value in given.items()})
    block = _Block(set(given), _blocks.get()) if caller is None else None
    frame = Frame(parent, None, provided, parent.tracer if parent else None)
    token = current.set(frame)
    block_token = _blocks.set(block) if block else None
    try:
        yield
    finally:
        current.reset(token)
        if block_token:
            _blocks.reset(block_token)
    if block and block.known is not None:
        for name in sorted(block.names - block.known - {"training"}):
            raise ContextError(
                f"context argument {name!r}, provided at {source}, is declared by no layer called "
                f"in this block{suggest(name, block.known)} (declared: {listing(block.known)})"
            )


def note_declared(layer: Any) -> None:
    """Tell the enclosing blocks which names the model that is being called declares."""
    block = _blocks.get()
    while block is not None:
        block.known = (block.known or set()) | layer._declared_names()
        block = block.parent


def check_declared(layer: Any, name: str, path: str, source: str) -> None:
    """Raise `ContextError` unless a layer at or under `layer` declares the name.

    `training` is known everywhere: every model may be called, fitted and evaluated with it.
    """
    if name == "training" or name in layer._declared_names():
        return
    known = layer._declared_names(rescan=True)
    if name not in known:
        for owner, _, item in layer._walk():
            if name in getattr(getattr(item, "_signature", None), "parameters", ()):
                raise ContextError(
                    f"{path}: {name!r}, given at {source}, is a parameter of the call of {owner}, "
                    f"but not a context argument: annotate it there, {name}: Context[...]"
                )
        raise ContextError(
            f"{path}: no layer at or under this call declares a context argument {name!r}, given "
            f"at {source}{suggest(name, known)} (declared: {listing(known)})"
        )


def outside_domain(
    path: str, declaration: Declaration, value: Any, where: str | None
) -> ContextError:
    """The error for a value that the consumer at `path` does not accept."""
    allowed = declaration.domain
    values = ", ".join(repr(v) for v in allowed.values) if allowed.is_finite else str(allowed)
    came = f", provided {where}" if where else ""
    return ContextError(
        f"{path}: context argument {declaration.name!r} got {value!r}{came}; allowed here: {values}"
    )


def required_missing(path: str, name: str) -> ContextError:
    """The error for an argument without a default that nobody gave."""
    return ContextError(
        f"{path}: context argument {name!r} has no default and no enclosing call or block gives "
        f"it a value; pass {name}=... to the model"
    )


# -- the seed -------------------------------------------------------------------------------------

_seed: ContextVar[int | None] = ContextVar("graphctx_seed", default=None)


@contextlib.contextmanager
def seed(value: int) -> Iterator[None]:
    """Fix the seed of initializers and random operators in a `with` block.

    The same seed gives the same numbers in an eager call, a program and an exported graph. Without
    a seed every eager call and every run of a program draws a fresh one.
    """
    token = _seed.set(check_seed(value))
    try:
        yield
    finally:
        _seed.reset(token)


def check_seed(value: Any) -> int:
    """Return the seed as an int in [0, 2**63).

    Raises:
        ContextError: it is not an integer in that range.
    """
    is_integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not is_integer or not 0 <= int(value) < 2**63:
        raise ContextError(f"a seed is an integer in [0, 2**63), got {value!r}")
    return int(value)


def current_seed() -> int | None:
    """The seed of the enclosing `with gx.seed(...)` block, if any."""
    return _seed.get()


def fresh_seed() -> int:
    """A seed from the operating system."""
    return int.from_bytes(os.urandom(8), "little") >> 1
