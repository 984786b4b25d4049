"""The symbolic tensor: operators, NumPy's protocols and the array namespace reach the op table.

`ArrayOperators` is what `Tensor` and `Variable` share. A `Tensor` is bound to a `Recorder`, which
records every op that is applied to it: the tracer, a functional model under construction, or a
pass that expands an op.
"""

from __future__ import annotations

import contextlib
import functools
import operator
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from graphctx.builder import Builder
from graphctx.context import current_path, source_line
from graphctx.errors import DTypeError, GraphctxError, ShapeError, TraceError
from graphctx.graph import Call, Value
from graphctx.spec import Dim, Shape, TensorSpec, dtype_name, is_extended, kind_of

if TYPE_CHECKING:
    from types import ModuleType

    from graphctx.body import Scope
    from graphctx.ops.table import Op


def _ops() -> ModuleType:
    # The op families import this module; by the time an operator runs, they are loaded.
    from graphctx import ops

    return ops


_np: Any = np  # plainly typed: its functions reach `ArrayOperators` by NumPy's protocols
_POWERS = {0.5: "sqrt", -1: "reciprocal"}


class ArrayOperators:
    """Python's operators and NumPy's protocols, in terms of `graphctx.ops`."""

    __slots__ = ()
    dtype: Any
    __array_priority__: ClassVar[float] = 1000.0

    def resolve(self) -> Any:
        """Return the array (eager) or the tensor (in a trace) that an op takes."""
        raise NotImplementedError

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if not kwargs and len(inputs) == 2 and method == "__call__":  # x + variable, eagerly
            a, b = inputs
            if not isinstance(a, Tensor) and not isinstance(b, Tensor):
                a = a.resolve() if isinstance(a, ArrayOperators) else a
                b = b.resolve() if isinstance(b, ArrayOperators) else b
                if not isinstance(a, Tensor) and not isinstance(b, Tensor):
                    return ufunc(a, b)
        return _numpy_call(ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return _numpy_call(func, "__call__", args, kwargs)

    def __array_namespace__(self, /, *, api_version: str | None = None) -> ModuleType:
        """The functions of the array API standard; `graphctx.ops` has these and many more.

        Raises:
            ValueError: another version of the standard than 2021.12 to 2024.12 is asked for.
        """
        from graphctx import array_api

        return array_api.of_version(api_version)

    @property
    def device(self) -> str:
        """`"cpu"`, as NumPy has it; where a program runs is said when it runs."""
        return "cpu"

    def to_device(self, device: Any, /, *, stream: Any = None) -> Any:
        """Itself: there is one device.

        Raises:
            ValueError: another device, or a stream, is asked for.
        """
        if device != "cpu" or stream is not None:
            raise ValueError(f"{where()}the only device is 'cpu', without streams; got {device!r}")
        return self

    def __add__(self, other: Any) -> Any:
        return _operator("add", self, other)

    def __radd__(self, other: Any) -> Any:
        return _operator("add", other, self)

    def __sub__(self, other: Any) -> Any:
        return _operator("subtract", self, other)

    def __rsub__(self, other: Any) -> Any:
        return _operator("subtract", other, self)

    def __mul__(self, other: Any) -> Any:
        return _operator("multiply", self, other)

    def __rmul__(self, other: Any) -> Any:
        return _operator("multiply", other, self)

    def __truediv__(self, other: Any) -> Any:
        return _operator("divide", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _operator("divide", other, self)

    def __floordiv__(self, other: Any) -> Any:
        return _operator("floor_divide", self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return _operator("floor_divide", other, self)

    def __mod__(self, other: Any) -> Any:
        return _operator("remainder", self, other)

    def __rmod__(self, other: Any) -> Any:
        return _operator("remainder", other, self)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __pow__(self, other: Any) -> Any:
        if type(other) in (int, float) and not _is_number(self):
            # NumPy's operator, unlike `np.power`, takes these exponents apart.
            kind = self.dtype.kind
            if kind == "f" and other in _POWERS:
                return _operator(_POWERS[other], self)
            if kind == "b" and type(other) is int and other == 2:
                return _operator("square", self)
        return _operator("pow", self, other)

    def __rpow__(self, other: Any) -> Any:
        return _operator("pow", other, self)

    def __matmul__(self, other: Any) -> Any:
        return _operator("matmul", self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return _operator("matmul", other, self)

    def __and__(self, other: Any) -> Any:
        return _operator("bitwise_and", self, other)

    def __rand__(self, other: Any) -> Any:
        return _operator("bitwise_and", other, self)

    def __or__(self, other: Any) -> Any:
        return _operator("bitwise_or", self, other)

    def __ror__(self, other: Any) -> Any:
        return _operator("bitwise_or", other, self)

    def __xor__(self, other: Any) -> Any:
        return _operator("bitwise_xor", self, other)

    def __rxor__(self, other: Any) -> Any:
        return _operator("bitwise_xor", other, self)

    def __lshift__(self, other: Any) -> Any:
        return _operator("bitwise_left_shift", self, other)

    def __rlshift__(self, other: Any) -> Any:
        return _operator("bitwise_left_shift", other, self)

    def __rshift__(self, other: Any) -> Any:
        return _operator("bitwise_right_shift", self, other)

    def __rrshift__(self, other: Any) -> Any:
        return _operator("bitwise_right_shift", other, self)

    def __invert__(self) -> Any:
        return _operator("bitwise_invert", self)

    def __neg__(self) -> Any:
        return _operator("negative", self)

    def __pos__(self) -> Any:
        if _is_number(self) and self.dtype != bool:
            return self
        return _operator("positive", self)

    def __abs__(self) -> Any:
        return _operator("abs", self)

    def __lt__(self, other: Any) -> Any:
        return _operator("less", self, other)

    def __le__(self, other: Any) -> Any:
        return _operator("less_equal", self, other)

    def __gt__(self, other: Any) -> Any:
        return _operator("greater", self, other)

    def __ge__(self, other: Any) -> Any:
        return _operator("greater_equal", self, other)

    def __eq__(self, other: object) -> Any:
        return _operator("equal", self, other)

    def __ne__(self, other: object) -> Any:
        return _operator("not_equal", self, other)

    def __hash__(self) -> int:
        return id(self)

    def __getitem__(self, index: Any) -> Any:
        return _ops().getitem(self, index)

    @property
    def T(self) -> Any:
        """The axes in reverse order: of a matrix, its transpose."""
        return _ops().permute_dims(self)

    @property
    def mT(self) -> Any:
        """The transpose of the last two axes."""
        return _ops().matrix_transpose(self)

    def astype(self, dtype: Any) -> Any:
        """The same values as another dtype."""
        return _ops().astype(self, dtype)

    def reshape(self, *shape: Any, order: str = "C", copy: Any = None) -> Any:
        """The same elements in another shape; -1 is inferred."""
        if order != "C":
            return _np.reshape(self, shape, order=order)
        first = shape[0] if len(shape) == 1 else None
        whole = isinstance(first, (tuple, list)) or getattr(first, "ndim", 0) > 0
        return _ops().reshape(self, first if whole else shape)

    def flatten(self, order: str = "C") -> Any:
        """All elements along one axis."""
        return _np.ravel(self, order=order)

    def ravel(self, order: str = "C") -> Any:
        """All elements along one axis."""
        return _np.ravel(self, order=order)

    def copy(self, order: str = "C") -> Any:
        """The same values."""
        return _np.copy(self, order=order)

    def transpose(self, *axes: Any) -> Any:
        """Axes permuted; reversed where none are given."""
        order = axes[0] if len(axes) == 1 and isinstance(axes[0], (tuple, list)) else axes
        return _ops().permute_dims(self, tuple(order) if order else None)

    def swapaxes(self, axis1: int, axis2: int) -> Any:
        """Two axes swapped."""
        return _np.swapaxes(self, axis1, axis2)

    def squeeze(self, axis: Any = None) -> Any:
        """Axes of size 1 removed."""
        return _ops().squeeze(self, axis)

    @property
    def real(self) -> Any:
        """The real part: of what is not complex, itself."""
        return +self if _is_number(self) else _np.copy(self)

    @property
    def itemsize(self) -> int:
        """Number of bytes of an element."""
        return int(self.dtype.itemsize)

    @property
    def nbytes(self) -> Any:
        """Number of bytes: an int or a symbolic dimension."""
        return _np.size(self) * self.itemsize

    def clip(self, min: Any = None, max: Any = None, out: Any = None) -> Any:
        """Elements limited to an interval."""
        return _np.clip(self, min, max, out=out)

    def round(self, decimals: int = 0, out: Any = None) -> Any:
        """Elements rounded to a number of decimals, halves to even."""
        return _np.round(self, decimals, out=out)

    def conj(self) -> Any:
        """The complex conjugate: of what is not complex, itself."""
        return _np.conjugate(self)

    def dot(self, b: Any, out: Any = None) -> Any:
        """NumPy's dot product."""
        return _np.dot(self, b, out=out)

    def take(self, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
        """Elements along an axis, by index."""
        return _np.take(self, indices, axis=axis, out=out, mode=mode)

    def repeat(self, repeats: Any, axis: Any = None) -> Any:
        """Each element several times in a row."""
        return _np.repeat(self, repeats, axis=axis)

    def argsort(self, axis: Any = -1, kind: Any = None, order: Any = None, **options: Any) -> Any:
        """Indices that sort the elements along an axis."""
        return _np.argsort(self, axis=axis, kind=kind, order=order, **options)

    def sum(
        self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False,
        **options: Any,
    ) -> Any:  # fmt: skip
        """Sum over axes."""
        return _np.sum(self, axis, dtype, out, keepdims, **options)

    def prod(
        self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False,
        **options: Any,
    ) -> Any:  # fmt: skip
        """Product over axes."""
        return _np.prod(self, axis, dtype, out, keepdims, **options)

    def mean(
        self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False,
        **options: Any,
    ) -> Any:  # fmt: skip
        """Mean over axes."""
        return _np.mean(self, axis, dtype, out, keepdims, **options)

    def var(
        self, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0,
        keepdims: bool = False, **options: Any,
    ) -> Any:  # fmt: skip
        """Variance over axes; `ddof=1` divides by one less than the number of elements."""
        return _np.var(self, axis, dtype, out, ddof, keepdims, **options)

    def std(
        self, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0,
        keepdims: bool = False, **options: Any,
    ) -> Any:  # fmt: skip
        """Square root of the variance over axes."""
        return _np.std(self, axis, dtype, out, ddof, keepdims, **options)

    def max(self, axis: Any = None, out: Any = None, keepdims: bool = False, **options: Any) -> Any:
        """Largest element over axes."""
        return _np.max(self, axis, out, keepdims, **options)

    def min(self, axis: Any = None, out: Any = None, keepdims: bool = False, **options: Any) -> Any:
        """Smallest element over axes."""
        return _np.min(self, axis, out, keepdims, **options)

    def any(self, axis: Any = None, out: Any = None, keepdims: bool = False, **options: Any) -> Any:
        """Whether an element is true, over axes."""
        return _np.any(self, axis, out, keepdims, **options)

    def all(self, axis: Any = None, out: Any = None, keepdims: bool = False, **options: Any) -> Any:
        """Whether every element is true, over axes."""
        return _np.all(self, axis, out, keepdims, **options)

    def argmax(self, axis: Any = None, out: Any = None, *, keepdims: bool = False) -> Any:
        """Index of the largest element."""
        return _np.argmax(self, axis, out, keepdims=keepdims)

    def argmin(self, axis: Any = None, out: Any = None, *, keepdims: bool = False) -> Any:
        """Index of the smallest element."""
        return _np.argmin(self, axis, out, keepdims=keepdims)

    def cumsum(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        """Sum of the elements up to each one."""
        return _np.cumsum(self, axis, dtype, out)

    def cumprod(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        """Product of the elements up to each one."""
        return _np.cumprod(self, axis, dtype, out)

    if not TYPE_CHECKING:  # it would make a checker accept every name

        def __getattr__(self, name: str) -> Any:
            kind = type(self).__name__
            if name.startswith("_") or not hasattr(np.ndarray, name):
                raise AttributeError(f"{kind!r} object has no attribute {name!r}")
            from graphctx.ops.protocol import counterpart

            raise AttributeError(
                f"{where()}a {kind} has no {name!r}, unlike a NumPy array; {counterpart(name)} "
                f"({source_line()})"
            )


def _operator(name: str, *operands: Any) -> Any:
    """A Python operator: as the function of `graphctx.ops`, but numbers stay numbers."""
    if all(map(_is_number, operands)):
        return _number_operator(name, operands)
    if any(_is_float(x) for x in operands):
        # To NumPy a Python float is not weak beside bfloat16: `array * 0.5` is float32.
        operands = tuple(
            x.astype("float32") if isinstance(x, ArrayOperators) and is_extended(x.dtype) else x
            for x in operands
        )
    return getattr(_ops(), name)(*operands)


def _is_number(x: Any) -> bool:
    """Whether a value is a Python number, now or when the program runs."""
    if isinstance(x, Tensor):
        return x.weak
    return x.__class__ in (bool, int, float, Dim)


def _is_float(x: Any) -> bool:
    """Whether a value is a Python float, now or when the program runs."""
    return x.__class__ is float or (
        isinstance(x, Tensor) and x.weak and x.dtype is not None and x.dtype.kind == "f"
    )


def _number_operator(name: str, operands: Sequence[Any]) -> Any:
    """Python's operator on numbers that are known when the program runs: the result is one, too."""
    if name in _ARITHMETIC:
        operands = [_without_bool(x) for x in operands]
    if name == "pow" and isinstance(operands[1], Tensor) and kind_of(operands[1].dtype) == "i":
        # The type of `2 ** n` depends on the sign of n: ask for it.
        operands = [operands[0], int(operands[1])]
    if name == "pow" and isinstance(operands[1], int) and operands[1] < 0:
        base = operands[0]
        base = base.astype("float64") if isinstance(base, Tensor) else float(base)
        operands = [base, float(operands[1])]
    if not any(isinstance(x, (Tensor, Dim)) for x in operands):
        return getattr(operator, _PYTHON_NAMES.get(name, name))(*operands)
    result = getattr(_ops(), name)(*operands)
    return (
        Tensor(result.value, result.recorder, weak=True) if isinstance(result, Tensor) else result
    )


_PYTHON_NAMES = {"subtract": "sub", "multiply": "mul", "divide": "truediv", "negative": "neg",
                 "floor_divide": "floordiv", "remainder": "mod"}  # fmt: skip
_ARITHMETIC = frozenset(
    ("add", "subtract", "multiply", "divide", "floor_divide", "remainder", "pow")
    + ("negative", "positive", "abs")
)


def _without_bool(x: Any) -> Any:
    """Python counts with bools as with integers; NumPy does not."""
    if isinstance(x, Tensor) and x.dtype == np.bool_:
        return Tensor(x.astype("int64").value, x.recorder, weak=True)
    return int(x) if isinstance(x, bool) else x


def _numpy_call(function: Any, method: str, inputs: Sequence[Any], kwargs: Any) -> Any:
    from graphctx.ops.protocol import call

    return call(function, method, inputs, kwargs)


def where() -> str:
    """`path: ` of the running layer call for an error message; empty outside any."""
    path = current_path()
    return f"{path}: " if path else ""


class Tensor(ArrayOperators):
    """A value that is known by shape and dtype only.

    Attributes:
        value: in the graph that is being recorded.
        recorder: that records what is applied to it.
        weak: whether it takes the dtype of what it meets, as Python scalars do.
        run: the execution of a layer call it was made in (the tracer's affair).
    """

    __slots__ = ("recorder", "run", "value", "weak")

    def __init__(
        self, value: Value, recorder: Recorder, weak: bool = False, run: Any = None
    ) -> None:
        self.value = value
        self.recorder = recorder
        self.weak = weak
        self.run = run if run is not None else recorder.run

    def resolve(self) -> Tensor:
        """Return the tensor itself."""
        return self

    @property
    def shape(self) -> Shape:
        """Numbers and symbolic dimensions.

        Raises:
            DTypeError: it is a sequence or an optional.
        """
        require_tensor(self)
        return self.value.shape

    @property
    def dtype(self) -> Any:
        """NumPy dtype."""
        return self.value.dtype

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> Any:
        """Number of elements: an int or a symbolic dimension."""
        from graphctx.spec import size_of

        return size_of(self.shape)

    @property
    def spec(self) -> TensorSpec:
        """Shape and dtype."""
        return self.value.spec

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a scalar tensor")
        return int(self.shape[0])

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.recorder.python_value(self, "bool"))

    def __int__(self) -> int:
        return int(self.recorder.python_value(self, "int"))

    def __index__(self) -> int:
        return int(self.recorder.python_value(self, "index"))

    def __float__(self) -> float:
        return float(self.recorder.python_value(self, "float"))

    def __complex__(self) -> complex:
        return complex(self.recorder.python_value(self, "complex"))

    def __dlpack__(self, **options: Any) -> Any:
        raise BufferError(
            f"{where()}a symbolic tensor {self.spec} has no memory to share by DLPack; compute "
            f"with the functions of x.__array_namespace__() ({source_line()})"
        )

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0  # kDLCPU, as a NumPy array's

    def __hash__(self) -> int:
        # A context number as the key of a dict: its Python value is asked for, as by int().
        if self.weak:
            return hash(self.recorder.python_value(self, "hash"))
        return id(self)

    def __str__(self) -> str:
        # Text of a context number, as in an eager call: asks for the Python value.
        return str(self.recorder.python_value(self, "str")) if self.weak else repr(self)

    def _in_place(self, name: str, other: Any) -> Any:
        if self.weak:  # numbers are rebound, not changed
            return _operator(name, self, other)
        raise TraceError(
            f"{where()}an in-place operator on a tensor {self.spec} ({source_line()}) would change "
            f"the array under all its names in an eager call, and one name only in a trace; write "
            f"x = x + ... instead"
        )

    def __iadd__(self, other: Any) -> Any:
        return self._in_place("add", other)

    def __isub__(self, other: Any) -> Any:
        return self._in_place("subtract", other)

    def __imul__(self, other: Any) -> Any:
        return self._in_place("multiply", other)

    def __itruediv__(self, other: Any) -> Any:
        return self._in_place("divide", other)

    def __ifloordiv__(self, other: Any) -> Any:
        return self._in_place("floor_divide", other)

    def __imod__(self, other: Any) -> Any:
        return self._in_place("remainder", other)

    def __ipow__(self, other: Any) -> Any:
        return self._in_place("pow", other)

    def __imatmul__(self, other: Any) -> Any:
        return self._in_place("matmul", other)

    def __format__(self, spec: str) -> str:
        if self.weak:
            return format(self.recorder.python_value(self, "format"), spec)
        return format(repr(self), spec)

    def __round__(self, digits: int | None = None) -> Any:
        return round(float(self), digits) if digits is not None else round(float(self))

    def __iand__(self, other: Any) -> Any:
        return self._in_place("bitwise_and", other)

    def __ior__(self, other: Any) -> Any:
        return self._in_place("bitwise_or", other)

    def __ixor__(self, other: Any) -> Any:
        return self._in_place("bitwise_xor", other)

    def __ilshift__(self, other: Any) -> Any:
        return self._in_place("bitwise_left_shift", other)

    def __irshift__(self, other: Any) -> Any:
        return self._in_place("bitwise_right_shift", other)

    def item(self) -> Any:
        """The Python value; only of what depends on context arguments alone."""
        return self.recorder.python_value(self, "item")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TraceError(
            f"{where()}a symbolic tensor {self.spec} has no values to put into a NumPy array; "
            f"compute with graphctx.ops or NumPy functions that take it directly "
            f"({source_line()})"
        )

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TraceError(
            f"{where()}a symbolic tensor cannot be written to; build the result with ops.where "
            f"or ops.concat ({source_line()})"
        )

    def __repr__(self) -> str:
        return f"<Tensor {self.spec}>"


class Recorder:
    """Applies ops to symbolic tensors: promotes dtypes, turns Python values into constants.

    Args:
        builder: receives the nodes.
    """

    run: Any = None
    is_functional = False

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.symbols: dict[str, tuple[Value, int]] = {}

    # -- what a subclass knows ----------------------------------------------------------------

    @property
    def call(self) -> Call | None:
        """The layer call that is being recorded."""
        return None

    @property
    def source(self) -> str:
        """`file.py:12` of what is being recorded."""
        return source_line()

    def check(self, tensor: Tensor) -> None:
        """Raise unless the tensor may be used here."""
        if tensor.recorder is not self:
            raise TraceError(
                f"{where()}a symbolic tensor {tensor.spec} of another trace or functional model "
                f"is used here; pass it in as an input ({source_line()})"
            )

    def python_value(self, tensor: Tensor, what: str) -> Any:
        """The Python value of a tensor that is asked for one."""
        raise no_python_value(tensor, what)

    def seed(self) -> Tensor:
        """The int64 scalar seed input."""
        raise TraceError("random operators need a trace")

    # -- recording ----------------------------------------------------------------------------

    def record(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        """Record one op; returns a `Tensor`, or a tuple of them for several outputs."""
        source = self.source
        try:
            values = self._values(op, operands)
            outputs = self.builder.op(op, values, attrs, self.call, source)
        except GraphctxError as error:
            if error.args and not getattr(error, "_located", False):
                error.args = (f"{where()}{error.args[0]} ({source})", *error.args[1:])
                error._located = True  # type: ignore[attr-defined]
            raise
        self.name_sizes(outputs)
        if len(outputs) == 1:
            return Tensor(outputs[0], self)
        return tuple(Tensor(value, self) for value in outputs)

    def name_sizes(self, values: Sequence[Value]) -> None:
        """Note where sizes that only data decides can be read."""
        for value in values:
            for axis, dim in enumerate(value.shape):
                if isinstance(dim, Dim) and dim.is_unknown and str(dim) in dim.symbols:
                    self.symbols.setdefault(str(dim), (value, axis))

    @contextlib.contextmanager
    def scope(self) -> Iterator[Scope]:
        """What is recorded in this block belongs to a body; see `graphctx.body`."""
        with self.builder.scope() as scope:
            yield scope

    def _values(self, op: Op, operands: Sequence[Any]) -> list[Value | None]:
        start = op.promote
        if op.containers:
            operands = [
                self._sequence(x) if op.may_hold(i) and isinstance(x, (list, tuple)) else x
                for i, x in enumerate(operands)
            ]
        if start is None:
            return [None if x is None else self.value(x) for x in operands]
        fixed = [None if x is None else self.value(x) for x in operands[:start]]
        return fixed + self._promoted(operands[start:])

    def _sequence(self, items: Sequence[Any]) -> Any:
        """The sequence that a Python list of tensors and arrays stands for."""
        if not items:
            raise DTypeError("an empty list is no sequence of a known dtype: use sequence_empty")
        from graphctx.ops.table import TABLE

        return self.record(TABLE["SequenceConstruct"], items, {})

    def _promoted(self, operands: Sequence[Any]) -> list[Value | None]:
        dtypes: list[Any] = []
        for x in operands:
            if isinstance(x, Tensor):
                require_tensor(x)
                dtypes.append(_WEAK[kind_of(x.dtype)] if x.weak else x.dtype)
            elif x.__class__ in (bool, int, float, complex):
                dtypes.append(x)  # exactly these are weak to NumPy, an `IntEnum` is not
            elif isinstance(x, Dim):
                dtypes.append(0)  # weak, as the Python integer that it is in an eager call
            elif isinstance(x, ArrayOperators):
                dtypes.append(x.dtype)
            elif x is not None:
                dtypes.append(np.asarray(x).dtype)
        target = result_dtype(dtypes)
        return [None if x is None else self.value(x, target) for x in operands]

    def value(self, x: Any, dtype: Any = None) -> Value:
        """The graph value of a tensor, array, scalar, dimension or nested list of numbers."""
        if isinstance(x, ArrayOperators):
            x = x.resolve()
        if isinstance(x, Tensor):
            self.check(x)
            if dtype is not None and x.value.dtype != dtype:
                from graphctx.ops.table import TABLE

                cast = TABLE["Cast"]
                return self.builder.op(cast, [x.value], {"to": dtype}, self.call, self.source)[0]
            return x.value
        if isinstance(x, Dim):
            return self.value(self.dimensions((x,), scalar=True), dtype)
        if isinstance(x, (tuple, list)) and any(isinstance(item, (Dim, Tensor)) for item in x):
            return self.dimensions(tuple(x)).value
        if not isinstance(x, np.ndarray):
            plain = isinstance(x, (bool, int, float, complex, str, tuple, list, np.generic))
            if not plain:
                raise DTypeError(
                    f"{where()}expected a tensor, an array or a number, got "
                    f"{type(x).__name__} ({source_line()})"
                )
        array = np.asarray(x)
        if dtype is not None:
            if isinstance(x, int) and array.astype(dtype) != x and kind_of(dtype) in "iu":
                raise DTypeError(f"{where()}{x} does not fit into {dtype} ({source_line()})")
            array = array.astype(dtype)
        return self.builder.constant(array, self.call)

    def tensor(self, x: Any, dtype: Any = None) -> Tensor:
        """`value(x)` as a tensor."""
        return x if isinstance(x, Tensor) and dtype is None else Tensor(self.value(x, dtype), self)

    def dimensions(self, dims: Sequence[Any], *, scalar: bool = False) -> Tensor:
        """An int64 tensor whose elements are dimensions, read from the shapes of the inputs."""
        from graphctx import ops

        parts = [self._dimension(dim) for dim in dims]
        if scalar:
            return Tensor(self.value(ops.reshape(parts[0], ())), self)
        return self.tensor(ops.concat(parts, axis=0) if len(parts) != 1 else parts[0])

    def _dimension(self, dim: Any) -> Any:
        """One dimension as an int64 tensor of shape [1] (or an array where it is a number)."""
        from graphctx import ops
        from graphctx.ops.table import TABLE

        if isinstance(dim, Tensor):
            return ops.reshape(ops.astype(dim, "int64"), (1,))
        if not isinstance(dim, Dim):
            return np.asarray([int(dim)], np.int64)
        total: Any = None
        for monomial, coefficient in dim.terms:
            product: Any = None
            for atom, power in monomial:
                if isinstance(atom, str):
                    if atom not in self.symbols:
                        raise ShapeError(f"no input has the dimension {atom!r}")
                    source, axis = self.symbols[atom]
                    factor = self.record(
                        TABLE["Shape"], [Tensor(source, self)], {"start": axis, "end": axis + 1}
                    )
                else:
                    _, left, right = atom
                    # Sizes are not negative, so truncation is the floor.
                    factor = TABLE["Div"](self._dimension(left), self._dimension(right))
                for _ in range(power):
                    product = factor if product is None else ops.multiply(product, factor)
            if product is None:
                product = np.asarray([coefficient], np.int64)
            elif coefficient != 1:
                product = ops.multiply(product, np.asarray([coefficient], np.int64))
            total = product if total is None else ops.add(total, product)
        return total


def require_tensor(x: Tensor) -> None:
    """Raise `DTypeError` for a symbolic value that is a sequence or an optional."""
    if not x.value.is_tensor:
        how = (
            "sequence_at(x, position)" if x.dtype.kind == "sequence" else "optional_get_element(x)"
        )
        raise DTypeError(
            f"{where()}expected a tensor, got {x.dtype} ({source_line()}); take a tensor out of it "
            f"with ops.{how}"
        )


_WEAK: dict[str, Any] = {"b": False, "i": 0, "u": 0, "f": 0.0, "c": 0j}


def result_dtype(items: Sequence[Any]) -> np.dtype[Any]:
    """NumPy's promotion of dtypes and (weak) Python scalars.

    Raises:
        DTypeError: they have no common dtype, such as strings and numbers.
    """
    if all(isinstance(x, (bool, int, float, complex)) for x in items):
        return np.asarray(sum(items)).dtype if not all(
            isinstance(x, bool) for x in items
        ) else np.dtype(bool)  # fmt: skip
    if any(isinstance(x, np.dtype) and is_extended(x) for x in items):
        return extended_result(items)
    if any(isinstance(x, np.dtype) and x == object for x in items):
        if all(isinstance(x, np.dtype) and x.kind in "OU" for x in items):
            return np.dtype(object)
        raise DTypeError(f"strings do not mix with numbers: {items}")
    try:
        return np.result_type(*items)
    except TypeError as error:
        raise DTypeError(str(error)) from None


def extended_result(items: Sequence[Any]) -> np.dtype[Any]:
    """The common dtype where some are of ml_dtypes: bfloat16 with Python numbers stays bfloat16.

    Among arrays it is what NumPy's functions of two numbers compute in: float32 of bfloat16 and
    float16, float64 of bfloat16 and int32.

    Raises:
        DTypeError: there is none.
    """
    strong = list(dict.fromkeys(x for x in items if isinstance(x, np.dtype)))
    try:
        if object in strong or any(x is complex or isinstance(x, complex) for x in items):
            raise TypeError("strings and complex numbers")
        return functools.reduce(lambda a, b: np.add.resolve_dtypes((a, b, None))[2], strong)
    except TypeError:
        names = " and ".join(map(dtype_name, strong))
        raise DTypeError(
            f"{where()}{names} have no common dtype here; convert with ops.astype"
        ) from None


def no_python_value(tensor: Tensor, what: str) -> TraceError:
    """The error for `if tensor:` and its kin on data."""
    source = source_line()
    if what == "bool":
        return TraceError(
            f"{where()}`if tensor:` on {tensor.spec} at {source} depends on the data, which a "
            f"trace does not have; choose per element with ops.where(condition, a, b), or between "
            f"computations with ops.cond(condition, then, otherwise)"
        )
    return TraceError(
        f"{where()}the Python value ({what}) of a tensor {tensor.spec} is asked for at {source}, "
        f"but it depends on the data, which a trace does not have; keep it a tensor"
    )
