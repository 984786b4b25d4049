"""`Layer` and `Variable`: what a model is written with.

A layer is a class with `__init__`, optionally `build(input_shape)`, and `call`. Sub-layers and
variables are found by attribute, in lists, tuples and dicts too; `super().__init__()` need not be
called. In a trace `call` runs once for every path through its context arguments, so Python side
effects in it (printing, counting, storing on `self`) repeat; return values instead.
"""

from __future__ import annotations

import inspect
import re
import threading
import types
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from graphctx.context import (
    NO_VALUES,
    REQUIRED,
    CallSignature,
    Declaration,
    Frame,
    Provided,
    check_declared,
    current,
    current_path,
    defining_scope,
    note_declared,
    outside_domain,
    required_missing,
    source_line,
)
from graphctx.errors import ContextError, LayerError, TraceError, listing
from graphctx.initializers import initialize
from graphctx.spec import Dim, as_dtype, dtype_name, kind_of, shape_text
from graphctx.tensor import ArrayOperators, Tensor
from graphctx.tree import any_leaf, map_leaves

if TYPE_CHECKING:
    from graphctx.weights import WeightMatch


class Variable(ArrayOperators):
    """A named array that belongs to a layer: a weight, or state such as a moving average.

    Args:
        value: initial array.
        name: of the weight; the attribute's name where it is not given.
        trainable: whether training changes it.
        dtype: of the array; its own where not given.
    """

    __slots__ = ("__weakref__", "_value", "dtype", "name", "shape", "trainable")

    def __init__(
        self, value: Any, *, name: str | None = None, trainable: bool = True, dtype: Any = None
    ) -> None:
        array = np.asarray(value)
        if dtype is None and not isinstance(value, (np.ndarray, np.generic)):
            dtype = "float32" if kind_of(array.dtype) == "f" else array.dtype
        self.dtype = as_dtype(array.dtype if dtype is None else dtype)
        self._value = np.array(array, dtype=self.dtype, order="C")
        self._value.flags.writeable = False
        self.shape: tuple[int, ...] = self._value.shape
        self.name = name
        self.trainable = trainable

    def resolve(self) -> Any:
        """Return the array, or in a trace the tensor that stands for it."""
        frame = current.get()
        if frame is not None and frame.tracer is not None:
            return frame.tracer.read(self)
        return self._value

    @property
    def value(self) -> Any:
        """The current value: an array, or in a trace a tensor."""
        return self.resolve()

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(self._value.size)

    def numpy(self) -> np.ndarray[Any, Any]:
        """The concrete array, read-only; also in a trace."""
        return self._value

    def assign(self, value: Any) -> None:
        """Give the variable a new value of the same shape.

        In a trace this makes a state output of the graph and leaves the variable itself alone.

        Raises:
            LayerError: the shape differs.
        """
        frame = current.get()
        if frame is not None and frame.tracer is not None:
            frame.tracer.assign(self, value)
            return
        array = np.asarray(value.resolve() if isinstance(value, ArrayOperators) else value)
        if array.shape != self.shape:
            raise LayerError(self.misfit(array.shape))
        # A new array, never a write into the old one: programs keep what they were compiled with.
        array = np.array(array, dtype=self.dtype, order="C")
        array.flags.writeable = False
        self._value = array

    def _in_place(self, other: Any) -> Any:
        raise LayerError(
            f"{current_path() + ': ' if current_path() else ''}`+=` and its kin would put an array "
            f"in the place of variable {self.name or 'weight'!r} ({source_line()}); write "
            f"variable.assign(variable + ...)"
        )

    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ifloordiv__ = __imod__ = _in_place
    __ipow__ = __imatmul__ = __iand__ = __ior__ = __ixor__ = _in_place

    def __setstate__(self, state: Any) -> None:
        # Of a copy, or what was pickled: arrays come back writeable.
        for name, value in state[1].items():
            object.__setattr__(self, name, value)
        self._value.flags.writeable = False

    def misfit(self, shape: Any) -> str:
        """Message for a value of another shape."""
        path = current_path()
        return (
            f"{path + ': ' if path else ''}variable {self.name or 'weight'!r} has shape "
            f"{shape_text(self.shape)}, assigned a value of shape {shape_text(shape)} "
            f"({source_line()})"
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        frame = current.get()
        if frame is not None and frame.tracer is not None:
            raise TraceError(
                f"{frame.path}: turning variable {self.name or 'weight'!r} into a NumPy array "
                f"while tracing would bake its value in; use it in an operator as it is, or "
                f"variable.numpy() if a constant is what you want ({source_line()})"
            )
        array = self._value if dtype is None else self._value.astype(dtype)
        return array.copy() if copy else array

    def __repr__(self) -> str:
        name = f" {self.name}" if self.name else ""
        return f"<Variable{name} {dtype_name(self.dtype)}{shape_text(self.shape)}>"


def snake_case(name: str) -> str:
    """`ConfigurableDropout` -> `configurable_dropout`; `Conv2D` -> `conv2d`."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower().lstrip("_") or "layer"


_structure_version = 0  # counts changes to any layer's attributes; validates cached scans
_build_lock = threading.RLock()
_building: ContextVar[bool] = ContextVar("graphctx_building", default=False)


class Layer:
    """Base of all layers.

    Subclasses define `call(self, x, ...)`; parameters annotated `Context[T]`, and one named
    `training`, are context arguments. `build(self, input_shape)` may create weights that depend on
    the input's shape; it runs before the first call.

    While `gx.trace` runs, `call` runs once for every path through its context arguments: its Python
    side effects (printing, counting, storing on `self`) repeat. Return what others need.
    """

    _signature: ClassVar[CallSignature]
    _label: str | None
    _built: bool
    _called: bool
    _added: list[Variable]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "call" in cls.__dict__:
            signature = CallSignature(cls.__dict__["call"], defining_scope(cls.__module__))
            if signature.takes_kwargs:
                # `call(self, x, **kwargs)` that goes on to super().call reads what that reads.
                for base in cls.__mro__[1:]:
                    if "_signature" in base.__dict__:
                        signature.inherit(base.__dict__["_signature"])
            cls._signature = signature

    def __new__(cls, *args: Any, **kwargs: Any) -> Layer:  # noqa: D102 - see the class
        if cls.__dict__.get("__hash__", True) is None:
            # A dataclass compares by value and so has no hash; a layer is itself.
            cls.__hash__ = object.__hash__  # type: ignore[method-assign]
        self = super().__new__(cls)
        state = self.__dict__
        state["_label"] = None
        state["_built"] = False
        state["_called"] = False
        state["_added"] = []
        state["_labels"] = None
        state["_declared"] = (-1, frozenset())
        frame = current.get()
        state["_made_in"] = frame.layer if frame is not None and not _building.get() else None
        return self

    def __getstate__(self) -> dict[str, Any]:
        # What copies and pickles take over: not what holds of this very object.
        own = {"_added": list(self._added), "_labels": None, "_made_in": None}
        return {**self.__dict__, **own}

    def __setattr__(self, name: str, value: Any) -> None:
        global _structure_version
        if isinstance(value, (Layer, list, tuple, dict)):
            _structure_version += 1
            self.__dict__["_labels"] = None
        if isinstance(value, types.GeneratorType):
            raise LayerError(
                f"{self.name}: the attribute {name!r} is a generator, which is used up after one "
                f"pass; store a list"
            )
        object.__setattr__(self, name, value)

    # -- names --------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name given, else the class's in snake case."""
        return self._label or snake_case(type(self).__name__)

    @name.setter
    def name(self, value: str | None) -> None:
        if value is not None and not isinstance(value, str):
            raise LayerError(
                f"a layer's name is a string, got {type(value).__name__} {value!r}; does it belong "
                f"into a list before it?"
            )
        if value is not None and not re.fullmatch(r"[A-Za-z0-9_.\-]+", value):
            raise LayerError(
                f"a layer's name is made of letters, digits, '_', '-' and '.', got {value!r}"
            )
        self.__dict__["_label"] = value

    def _children(self) -> list[tuple[str, Any]]:
        """(label, sub-layer or variable) of what this layer owns, in order of assignment."""
        found: list[tuple[str, Any]] = []
        for attribute, value in self.__dict__.items():
            if attribute not in _OWN_STATE:
                _collect(attribute.lstrip("_") or attribute, value, found, set())
        found += [(v.name or f"weight_{i}", v) for i, v in enumerate(self._added)]
        return _unique_labels(found)

    def _label_map(self) -> dict[int, str]:
        labels: dict[int, str] | None = self.__dict__["_labels"]
        if labels is None:
            labels = {id(child): label for label, child in self._children()}
            self.__dict__["_labels"] = labels
        return labels

    def _label_of(self, child: Any) -> str | None:
        """Name of a sub-layer, relative to this layer that calls it; None if it is not under it."""
        label = self._label_map().get(id(child))
        if label is None:
            self.__dict__["_labels"] = None
            label = self._label_map().get(id(child))
        if label is None:
            for path, _, item in self._walk():
                if item is child:  # a deeper layer that is called directly
                    label = path.partition("/")[2]
                    self._label_map()[id(child)] = label
                    break
        return label

    def _walk(self) -> Iterator[tuple[str, Layer | None, Any]]:
        """(path, owner, layer or variable) of everything at and under this layer, once each.

        Raises:
            LayerError: a layer contains itself.
        """
        seen: set[int] = {id(self)}
        active: dict[int, str] = {}
        stack: list[tuple[str, Layer | None, Any, bool]] = [(self.name, None, self, True)]
        while stack:
            path, owner, item, entering = stack.pop()
            if not entering:
                del active[id(item)]
                continue
            if id(item) in active:
                raise LayerError(
                    f"{active[id(item)]} contains itself: {path} refers back to it; hold the "
                    f"reference where it is not an attribute (or wrap it in a lambda)"
                )
            if id(item) in seen and owner is not None:
                continue
            seen.add(id(item))
            yield path, owner, item
            if isinstance(item, Layer):
                active[id(item)] = path
                stack.append((path, owner, item, False))
                for label, child in reversed(item._children()):
                    stack.append((f"{path}/{label}", item, child, True))

    def _declared_names(self, *, rescan: bool = False) -> frozenset[str]:
        """Names of the context arguments declared at or under this layer."""
        version, names = self.__dict__["_declared"]
        if rescan or version != _structure_version:
            found: set[str] = set()
            for _, _, item in self._walk():
                if isinstance(item, Layer):
                    signature = item._signature
                    signature.resolve_pending()
                    found.update(signature.context)
            names = frozenset(found)
            self.__dict__["_declared"] = (_structure_version, names)
        return names  # type: ignore[no-any-return]

    # -- context ------------------------------------------------------------------------------

    def register_context_args(self, *names: str, domain: Any = inspect.Parameter.empty) -> None:
        """Declare context arguments by name.

        A name that `call` has as a parameter is passed to it; a name it lacks is accepted by calls
        of this layer and provided to the layers nested in it.

        Args:
            names: of the arguments.
            domain: `bool`, `Literal[...]`, an `Enum`, `int`, `float` or a list of values; taken
                from the annotation or a bool default of the parameter where it is not given.

        Raises:
            ContextError: the layer has been called already.
        """
        if self._called:
            raise ContextError(
                f"{self.name}: context arguments {listing(names)} are registered after the layer "
                f"was called; register them in __init__"
            )
        global _structure_version
        _structure_version += 1
        given = domain is not inspect.Parameter.empty
        self.__dict__["_signature"] = self._signature.with_registered(names, domain, given=given)

    # -- weights ------------------------------------------------------------------------------

    def build(self, *input_shapes: Any) -> None:
        """Create the weights that depend on the input's shape. Override it if there are any."""

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs. Every layer defines it."""
        raise LayerError(f"{type(self).__name__} defines no call()")

    def add_weight(
        self,
        shape: Any,
        initializer: Any = "glorot_uniform",
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = "float32",
    ) -> Variable:
        """Create a variable of this layer.

        Args:
            shape: numbers; a symbolic dimension cannot be the size of a weight.
            initializer: see `graphctx.initializers.initialize`.
            name: the attribute's name where it is not given.
            trainable: False for state such as moving averages.
            dtype: of the variable.

        Raises:
            LayerError: a dimension is not known yet.
        """
        shape = (shape,) if isinstance(shape, (int, Dim)) else tuple(shape)
        path = current_path() or self.name
        for dim in shape:
            if isinstance(dim, Dim) or not isinstance(dim, (int, np.integer)):
                raise LayerError(
                    f"{path}: a weight {name or ''!r} of shape {shape_text(shape)} cannot be built "
                    f"while the size {dim} is open; give this dimension a number in the TensorSpec"
                )
        label = name or f"weight_{len(self._added)}"
        shape = tuple(int(dim) for dim in shape)
        layer_path = re.sub(r"#\d+", "", path)
        array = initialize(initializer, shape, as_dtype(dtype), f"{layer_path}/{label}")
        variable = Variable(array, name=name, trainable=trainable)
        self._added.append(variable)
        self.__dict__["_labels"] = None
        return variable

    def _ensure_built(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any] = types.MappingProxyType({})
    ) -> None:
        if self._built:
            return
        with _build_lock:
            if self.__dict__["_built"]:  # by another thread, while this one waited
                return
            if type(self).build is not Layer.build:
                self._build_once(*self._build_shapes(args, kwargs))
            self._check_owner()
            self.__dict__["_built"] = True

    def _build_shapes(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
        """What `build` is given: the shapes of what the layer is called with."""
        parameters = list(inspect.signature(type(self).build).parameters.values())[1:]
        variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        required = sum(
            p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
            for p in parameters
        )
        names = self._signature.positional[len(args) :]
        data = [n for n in names if n not in self._signature.context]
        given = [*args, *map(kwargs.get, data)]
        while len(given) > required and given[-1] is None:
            given.pop()
        shapes = [map_leaves(a, lambda x: tuple(x.shape), _is_tensor) for a in given]
        return shapes if variadic else shapes[: len(parameters)]

    def _build_once(self, *shapes: Any) -> None:
        """Run `build`; one that fails leaves no weights behind."""
        before = list(self._added)
        frame = current.get()
        # Weights are made for real, also while tracing, and what is called or drawn for that does
        # not count: this call of the layer has the numbers of any later one.
        token = None if frame is None else current.set(_untraced(frame))
        building = _building.set(True)
        try:
            self.build(*shapes)
            names = {v.name for v in before}
            again = [v.name for v in self._added[len(before) :] if v.name and v.name in names]
            if again:
                raise LayerError(
                    f"{current_path() or self.name}: build() has been called already, and would "
                    f"make {listing(again)} a second time; leave it to the first call of the layer"
                )
        except BaseException:
            self._added[:] = before
            self.__dict__["_labels"] = None
            raise
        finally:
            _building.reset(building)
            if token is not None:
                current.reset(token)

    def _check_owner(self) -> None:
        """Refuse a layer with weights that is made anew in every call of another one."""
        maker = self.__dict__["_made_in"]
        if maker is not None and self._added and maker._label_of(self) is None:
            raise LayerError(
                f"{current_path()}: the layer is created in the call of {maker.name}, so every "
                f"call would start from new weights; create it in __init__ (or build) and keep it "
                f"on self"
            )

    @property
    def weights(self) -> dict[str, Variable]:
        """Path -> variable, for all variables at and under this layer; shared ones once."""
        return {path: item for path, _, item in self._walk() if isinstance(item, Variable)}

    @property
    def trainable_weights(self) -> dict[str, Variable]:
        """Path -> variable, for those that training changes."""
        return {path: v for path, v in self.weights.items() if v.trainable}

    @property
    def layers(self) -> list[Layer]:
        """The sub-layers this layer owns directly."""
        return [child for _, child in self._children() if isinstance(child, Layer)]

    def count_params(self) -> int:
        """Number of elements in all weights."""
        return sum(v.size for v in self.weights.values())

    def save_weights(self, path: Any) -> None:
        """Write all weights to a safetensors file, by weight path.

        Raises:
            WeightsError: there are none yet, or the file cannot be written.
        """
        from graphctx import weights

        weights.save_weights(self, path)

    def load_weights(self, path: Any, names: Any = None, **options: Any) -> WeightMatch:
        """Read all weights from a file: one that `save_weights` wrote, of Keras or of PyTorch.

        See `graphctx.load_weights`.

        Raises:
            WeightsError: the file is not readable, or its names and shapes do not match; the
                message lists what is missing, unexpected and does not fit. Nothing is loaded then.
        """
        from graphctx import weights

        return weights.load_weights(self, path, names, **options)

    def set_weights(self, arrays: Mapping[str, Any], *, source: str = "what is given") -> None:
        """Assign every weight by path; all of them fit or none is changed.

        Raises:
            WeightsError: see `load_weights`.
        """
        from graphctx import weights

        weights.set_weights(self, arrays, source)

    # -- calling ------------------------------------------------------------------------------

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run the layer on arrays; context arguments go by keyword to whoever declares them.

        Raises:
            ContextError: a name that no layer at or under this one declares, a value outside a
                consumer's domain, or a missing required value.
        """
        parent = current.get()
        if parent is None or parent.layer is None:
            if any_leaf((args, kwargs), _is_functional):
                return _functional_call(self, args, kwargs)
            if parent is None or parent.caller is None:
                note_declared(self)
        if parent is not None and parent.tracer is not None:
            return parent.tracer.call_layer(self, parent, args, kwargs)
        frame = Frame(parent, self, NO_VALUES if parent is None else parent.values)
        signature = self._signature
        if kwargs or signature.context or signature._pending:
            args, kwargs = self._bind(frame, args, kwargs)
            for declaration in signature.consumed:
                value = self._resolve(frame, declaration)
                args, kwargs = place(signature, declaration, value, args, kwargs)
        token = current.set(frame)
        try:
            if not self._built:
                self._ensure_built(args, kwargs)
                self.__dict__["_called"] = True
            return self.call(*args, **kwargs)
        finally:
            current.reset(token)

    def _bind(
        self, frame: Frame, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Separate data arguments from context; what is given is provided to the frame.

        Returns:
            Positional and keyword data arguments.
        """
        signature = self._signature
        if signature._pending:
            signature.resolve_pending()
        given: dict[str, Any] = {}
        data: dict[str, Any] = {}
        for name, value in kwargs.items():
            if name in signature.context:
                if value is not None:
                    given[name] = value
            elif name in signature.parameters or (
                signature.takes_kwargs and name not in self._declared_names()
            ):
                data[name] = value
            else:
                check_declared(self, name, frame.path, source_line())
                if value is not None:
                    given[name] = value
        for name in signature.context:
            if name in signature.positional:
                index = signature.positional.index(name)
                if index < len(args) and args[index] is not None:
                    if name in given:
                        raise TypeError(f"{frame.path}: {name!r} is given twice")
                    given[name] = args[index]
        if given:
            source = source_line()
            provided = {name: Provided(value, frame, source) for name, value in given.items()}
            frame.values = {**frame.values, **provided}
        return args, data

    def _resolve(self, frame: Frame, declaration: Declaration) -> Any:
        """The value one context argument has in an eager call."""
        provided = frame.values.get(declaration.name)
        if provided is not None:
            value = provided.value
            if isinstance(value, ArrayOperators):
                value = value.resolve()
            if declaration.domain.kind == "bool" and (value is True or value is False):
                return value
            try:
                return declaration.domain.normalize(value)
            except ValueError:
                where = provided_where(provided, frame)
                raise outside_domain(frame.path, declaration, value, where) from None
        if declaration.default is REQUIRED:
            raise required_missing(frame.path, declaration.name)
        return declaration.default

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


Layer._signature = CallSignature(Layer.call, (globals(), {}))


def place(
    signature: CallSignature,
    declaration: Declaration,
    value: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Put a resolved context value where `call` expects it."""
    name = declaration.name
    if name in signature.positional:
        index = signature.positional.index(name)
        if index < len(args):
            return (*args[:index], value, *args[index + 1 :]), kwargs
    kwargs[name] = value
    return args, kwargs


def provided_where(provided: Provided, frame: Frame) -> str:
    """Where a provided value came from, in words."""
    if provided.provider is None:
        return f"by a `with gx.context` block at {provided.source}"
    if provided.provider is frame:
        return f"here at {provided.source}"
    return f"by the call of {provided.provider.path} at {provided.source}"


def _untraced(frame: Frame) -> Frame:
    """A stand-in for a traced frame: the same path, but ops run at once."""
    copy = Frame(None, frame.layer, frame.values)
    copy._path = frame.path
    return copy


_OWN_STATE = frozenset(
    ("_label", "_built", "_called", "_added", "_labels", "_declared", "_signature", "_made_in")
)  # attributes that are the base class's own


def _is_tensor(value: Any) -> bool:
    return isinstance(value, (np.ndarray, ArrayOperators))


def _is_functional(value: Any) -> bool:
    return isinstance(value, Tensor) and value.recorder.is_functional


def _functional_call(layer: Layer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    from graphctx.nn.functional import record_call

    return record_call(layer, args, kwargs)


def _collect(label: str, value: Any, found: list[tuple[str, Any]], active: set[int]) -> None:
    if isinstance(value, (Layer, Variable)):
        found.append((label, value))
    elif isinstance(value, (list, tuple, dict)) and id(value) not in active:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        inside = active | {id(value)}
        for key, item in items:
            _collect(f"{label}_{key}", item, found, inside)
    elif isinstance(value, (set, frozenset)) and any(
        isinstance(item, (Layer, Variable)) for item in value
    ):
        raise LayerError(
            f"the attribute {label!r} holds layers or variables in a set, which has no order to "
            f"name them by; use a list or a dict"
        )


def _unique_labels(found: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Labels made unique; an explicit name wins over the attribute's; each child once."""
    result: list[tuple[str, Any]] = []
    taken: set[str] = set()
    counts: dict[str, int] = {}
    seen: set[int] = set()
    for label, child in found:
        if id(child) in seen:
            continue
        seen.add(id(child))
        explicit = child._label if isinstance(child, Layer) else child.name
        base = label = explicit or re.sub(r"[^A-Za-z0-9_.\-]", "_", label)
        while label in taken:
            counts[base] = counts.get(base, 0) + 1
            label = f"{base}_{counts[base]}"
        taken.add(label)
        result.append((label, child))
    return result
