"""Shapes, symbolic dimensions and dtypes: what is known of a tensor before it has values."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from graphctx.errors import DTypeError, ShapeError, TraceError

# An atom is a named size or a floor division / remainder that does not simplify:
# "batch" or ("//", numerator, denominator) or ("%", ...).
Atom = Any
Monomial = tuple[tuple[Atom, int], ...]  # ((atom, power), ...), sorted by text


class Unproven(str):
    """Name of a size that may turn out to be any number, that of another dimension too.

    A size that a trace is given by name is told apart from all others, and what needs two of them
    to be equal is an error. Of a size that data decides (`?3`), or that a file only names, too
    little is known for that: such a dimension goes with every other, and the run finds out.
    """

    __slots__ = ()


_unknown_sizes = itertools.count(1)


class Dim:
    """A symbolic dimension: a polynomial with integer coefficients over named sizes.

    `Dim("batch") * 2 + 1` is a `Dim`; arithmetic whose result is a known number gives a plain
    `int`. Equal expressions are equal objects in the sense of `==`; comparing with a number that
    the expression might or might not equal raises `TraceError`, because a trace that took one
    side would silently be wrong for the other.
    """

    __slots__ = ("_hash", "doubt", "terms")

    terms: tuple[tuple[Monomial, int], ...]
    doubt: int  # 0: all sizes in it are told apart, 1: one is `Unproven`, 2: one is unknown

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name.replace(".", "_").isidentifier():
            raise ShapeError(
                f"a symbolic dimension is named like a Python identifier, got {name!r}"
            )
        self.terms = ((((name, 1),), 1),)
        self.doubt = 0
        self._hash = hash(self.terms)

    # -- construction -------------------------------------------------------------------------

    @staticmethod
    def unknown() -> Dim:
        """A new dimension whose size only data decides, as that of what a search finds."""
        return Dim.unproven(f"?{next(_unknown_sizes)}")

    @staticmethod
    def unproven(name: str) -> Dim:
        """A dimension that a file names: equal names are equal sizes, others may be; any text."""
        terms: Mapping[Monomial, int] = {((Unproven(name), 1),): 1}
        made = Dim._make(terms)
        assert isinstance(made, Dim)
        return made

    @staticmethod
    def _make(terms: Mapping[Monomial, int]) -> DimLike:
        kept = sorted(((m, c) for m, c in terms.items() if c), key=_term_order)
        if not kept:
            return 0
        if len(kept) == 1 and kept[0][0] == ():
            return kept[0][1]
        dim = object.__new__(Dim)
        dim.terms = tuple(kept)
        dim.doubt = max(_doubt(atom) for monomial, _ in kept for atom, _ in monomial)
        dim._hash = hash(dim.terms)
        return dim

    # -- arithmetic ---------------------------------------------------------------------------

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, (int, np.integer, Dim)):
            return NotImplemented
        terms = dict(self.terms)
        for monomial, coefficient in _terms(other):
            terms[monomial] = terms.get(monomial, 0) + coefficient
        return Dim._make(terms)

    __radd__ = __add__

    def __neg__(self) -> Any:
        return self * -1

    def __sub__(self, other: Any) -> Any:
        if not isinstance(other, (int, np.integer, Dim)):
            return NotImplemented
        return self + (other * -1)

    def __rsub__(self, other: Any) -> Any:
        return (self * -1) + other

    def __mul__(self, other: Any) -> Any:
        if not isinstance(other, (int, np.integer, Dim)):
            return NotImplemented
        terms: dict[Monomial, int] = {}
        for left, a in self.terms:
            for right, b in _terms(other):
                product = _multiply(left, right)
                terms[product] = terms.get(product, 0) + a * b
        return Dim._make(terms)

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Any:
        if not isinstance(other, (int, np.integer, Dim)):
            return NotImplemented
        return _floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return _floor_divide(other, self)

    def __mod__(self, other: Any) -> Any:
        if not isinstance(other, (int, np.integer, Dim)):
            return NotImplemented
        return self - _floor_divide(self, other) * other

    def __rmod__(self, other: Any) -> Any:
        return other - _floor_divide(other, self) * self

    # -- what is no whole number: computed by the trace, from the shapes of the inputs ---------

    def _scalar(self) -> Any:
        """The dimension as a symbolic number that takes the dtype of what it meets."""
        from graphctx.context import current
        from graphctx.tensor import Tensor

        frame = current.get()
        if frame is None or frame.tracer is None:
            self._unknown(f"{self} as a number")
        assert frame is not None
        return Tensor(frame.tracer.value(self), frame.tracer, weak=True)

    def __truediv__(self, other: Any) -> Any:
        return self._scalar() / other

    def __rtruediv__(self, other: Any) -> Any:
        return other / self._scalar()

    def __pow__(self, other: Any) -> Any:
        if isinstance(other, int) and other >= 0:
            power: Any = 1
            for _ in range(other):
                power = power * self
            return power
        return self._scalar() ** other

    def __rpow__(self, other: Any) -> Any:
        return other ** self._scalar()

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        numbers = [x._scalar() if isinstance(x, Dim) else x for x in inputs]
        return getattr(ufunc, method)(*numbers, **kwargs)

    # -- comparison ---------------------------------------------------------------------------

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Dim):
            return self.terms == other.terms
        if isinstance(other, (int, np.integer)):
            self._unknown(f"{self} == {other}")
        return NotImplemented

    def _unknown(self, what: str) -> Any:
        from graphctx.context import current_path, source_line

        path = current_path()
        raise TraceError(
            f"{path + ': ' if path else ''}the size {self} is symbolic, so `{what}` has no answer "
            f"while tracing ({source_line()}); give this dimension a number in its TensorSpec if "
            f"the model depends on it"
        )

    def __lt__(self, other: Any) -> bool:
        return bool(self._unknown(f"{self} < {other}"))

    def __le__(self, other: Any) -> bool:
        return bool(self._unknown(f"{self} <= {other}"))

    def __gt__(self, other: Any) -> bool:
        return bool(self._unknown(f"{self} > {other}"))

    def __ge__(self, other: Any) -> bool:
        return bool(self._unknown(f"{self} >= {other}"))

    def __bool__(self) -> bool:
        return bool(self._unknown(f"bool({self})"))

    def __index__(self) -> int:
        return int(self._unknown(f"int({self})"))

    __int__ = __index__

    def __float__(self) -> float:
        return float(self._unknown(f"float({self})"))

    # -- use ----------------------------------------------------------------------------------

    @property
    def is_unknown(self) -> bool:
        """Whether a size in it is known only when data is."""
        return self.doubt == 2

    @property
    def symbols(self) -> frozenset[str]:
        """Names of the sizes this expression depends on."""
        found: set[str] = set()
        for monomial, _ in self.terms:
            for atom, _power in monomial:
                if isinstance(atom, str):
                    found.add(atom)
                else:
                    for operand in atom[1:]:
                        if isinstance(operand, Dim):
                            found |= operand.symbols
        return frozenset(found)

    def evaluate(self, sizes: Mapping[str, int]) -> int:
        """Return the number this expression has for the given sizes (`KeyError` if one lacks)."""
        total = 0
        for monomial, coefficient in self.terms:
            product = coefficient
            for atom, power in monomial:
                if isinstance(atom, str):
                    value = sizes[atom]
                else:
                    left, right = (evaluate(operand, sizes) for operand in atom[1:])
                    value = left // right
                product *= value**power
            total += product
        return total

    def __str__(self) -> str:
        parts = []
        for monomial, coefficient in self.terms:
            factors = [
                _atom_text(atom) if power == 1 else f"{_atom_text(atom)}^{power}"
                for atom, power in monomial
            ]
            if abs(coefficient) != 1 or not factors:
                factors.insert(0, str(abs(coefficient)))
            sign = "-" if coefficient < 0 else "+"
            parts.append((sign, "*".join(factors)))
        text = "".join(f" {sign} {body}" for sign, body in parts)
        return text[3:] if text.startswith(" + ") else "-" + text[3:]

    def __repr__(self) -> str:
        return str(self)


DimLike = int | Dim
Shape = tuple[DimLike, ...]


def _terms(value: Any) -> Iterable[tuple[Monomial, int]]:
    return value.terms if isinstance(value, Dim) else (((), int(value)),)


def _doubt(atom: Atom) -> int:
    if isinstance(atom, str):
        return (1 + atom.startswith("?")) if isinstance(atom, Unproven) else 0
    return max(dim.doubt if isinstance(dim, Dim) else 0 for dim in atom[1:])


def _atom_text(atom: Atom) -> str:
    if isinstance(atom, str):
        return atom
    symbol, left, right = atom
    return f"floor({left}/{right})" if symbol == "//" else f"({left}{symbol}{right})"


def _term_order(term: tuple[Monomial, int]) -> tuple[bool, int, str]:
    monomial, _ = term
    text = "*".join(f"{_atom_text(atom)}^{power}" for atom, power in monomial)
    return (monomial == (), -sum(power for _, power in monomial), text)


def _multiply(left: Monomial, right: Monomial) -> Monomial:
    powers: dict[Atom, int] = dict(left)
    for atom, power in right:
        powers[atom] = powers.get(atom, 0) + power
    return tuple(sorted(powers.items(), key=lambda item: _atom_text(item[0])))


def _divide_monomial(left: Monomial, right: Monomial) -> Monomial | None:
    powers: dict[Atom, int] = dict(left)
    for atom, power in right:
        powers[atom] = powers.get(atom, 0) - power
        if powers[atom] < 0:
            return None
        if powers[atom] == 0:
            del powers[atom]
    return tuple(sorted(powers.items(), key=lambda item: _atom_text(item[0])))


def _floor_divide(left: Any, right: Any) -> Any:
    """Floor division; terms that divide evenly are taken out of the floor."""
    if not isinstance(left, Dim) and not isinstance(right, Dim):
        return int(left) // int(right)
    if isinstance(left, Dim) and isinstance(right, Dim) and left.terms == right.terms:
        return 1
    if not isinstance(right, Dim) and right == 0:
        raise ShapeError(f"division of the dimension {left} by zero")
    divisor = list(_terms(right))
    whole: dict[Monomial, int] = {}
    rest: dict[Monomial, int] = {}
    if len(divisor) == 1:
        [(monomial, coefficient)] = divisor
        for term, value in _terms(left):
            quotient = _divide_monomial(term, monomial)
            if quotient is not None and value % coefficient == 0:
                whole[quotient] = whole.get(quotient, 0) + value // coefficient
            else:
                rest[term] = value
        outside, inside = Dim._make(whole), Dim._make(rest)
    else:
        outside, inside = 0, left
    if not isinstance(inside, Dim) and not isinstance(right, Dim):
        return outside + inside // int(right)
    if not isinstance(inside, Dim) and inside == 0:
        return outside
    atom = ("//", inside, right if isinstance(right, Dim) else int(right))
    return outside + Dim._make({((atom, 1),): 1})


def evaluate(dim: DimLike, sizes: Mapping[str, int]) -> int:
    """Return a dimension as a number, given the sizes of its symbols."""
    return dim.evaluate(sizes) if isinstance(dim, Dim) else int(dim)


def same_dim(a: DimLike, b: DimLike) -> bool:
    """Whether two dimensions are provably equal; never raises."""
    if isinstance(a, Dim) or isinstance(b, Dim):
        return isinstance(a, Dim) and isinstance(b, Dim) and a.terms == b.terms
    return a == b


def may_be_same(a: DimLike, b: DimLike) -> bool:
    """Whether two dimensions are provably equal, or one of them is not proven; never raises."""
    return same_dim(a, b) or any(isinstance(dim, Dim) and dim.doubt for dim in (a, b))


def is_multiple(size: DimLike, of: DimLike) -> bool:
    """Whether a dimension is a multiple of another, or may be as one of them is not proven."""
    if not isinstance(of, Dim) and of < 1:
        return False
    rest = size % of
    return bool(rest.doubt) if isinstance(rest, Dim) else rest == 0


def joined_shape(a: Sequence[DimLike], b: Sequence[DimLike]) -> Shape | None:
    """The shape of what has one shape or the other; None where they do not go together."""
    if len(a) != len(b) or not all(map(may_be_same, a, b)):
        return None
    return tuple(x if same_dim(x, y) else Dim.unknown() for x, y in zip(a, b, strict=True))


def same_shape(a: Sequence[DimLike], b: Sequence[DimLike]) -> bool:
    """Whether two shapes are provably equal; never raises."""
    return len(a) == len(b) and all(map(same_dim, a, b))


def is_static(shape: Sequence[DimLike]) -> bool:
    """Whether every dimension is a number."""
    return not any(isinstance(dim, Dim) for dim in shape)


def size_of(shape: Sequence[DimLike]) -> Any:
    """Number of elements of a shape: an `int`, or a `Dim` where a dimension is symbolic."""
    total: Any = 1
    for dim in shape:
        total = total * dim
    return total


def broadcast_dims(a: DimLike, b: DimLike) -> DimLike | None:
    """The dimension two operands broadcast to, or None where it cannot be proven to fit."""
    if same_dim(a, b) or (not isinstance(b, Dim) and b == 1):
        return a
    if not isinstance(a, Dim) and a == 1:
        return b
    if not may_be_same(a, b):
        return None
    # One of them may be 1, so that only a number tells the result.
    return next((dim for dim in (a, b) if not isinstance(dim, Dim)), Dim.unknown())


def broadcast_shapes(*shapes: Shape) -> Shape:
    """NumPy's broadcasting rule on shapes with symbolic dimensions.

    Raises:
        ShapeError: two dimensions are neither provably equal nor one of them 1.
    """
    rank = max((len(shape) for shape in shapes), default=0)
    result: list[DimLike] = [1] * rank
    for shape in shapes:
        offset = rank - len(shape)
        for axis, dim in enumerate(shape):
            merged = broadcast_dims(result[offset + axis], dim)
            if merged is None:
                text = " and ".join(shape_text(s) for s in shapes)
                raise ShapeError(
                    f"shapes {text} do not broadcast: {result[offset + axis]} against {dim} at "
                    f"axis {offset + axis - rank}{_same_name_hint(result[offset + axis], dim)}"
                )
            result[offset + axis] = merged
    return tuple(result)


def _same_name_hint(a: DimLike, b: DimLike) -> str:
    if isinstance(a, Dim) or isinstance(b, Dim):
        return "; give both dimensions the same name or number if they are always equal"
    return ""


def require_same_dim(a: DimLike, b: DimLike, what: str) -> DimLike:
    """Return the dimension if both are, or may be, equal; else raise `ShapeError` naming `what`."""
    if not may_be_same(a, b):
        raise ShapeError(f"{what}: {a} against {b}{_same_name_hint(a, b)}")
    return min(a, b, key=lambda dim: dim.doubt if isinstance(dim, Dim) else -1)


def shape_text(shape: Sequence[Any]) -> str:
    """A shape as it is printed: `[batch, 64]`."""
    return "[" + ", ".join(str(dim) for dim in shape) + "]"


def as_dim(value: Any) -> DimLike:
    """Turn `64`, `"batch"` or a `Dim` into a dimension."""
    if isinstance(value, Dim):
        return value
    if isinstance(value, str):
        return Dim(value)
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        if value < 0:
            raise ShapeError(f"a dimension is a number >= 0 or a name, got {value}")
        return int(value)
    raise ShapeError(
        f"a dimension is a number or a name such as 'batch', got {value!r} "
        f"({type(value).__name__}); name a dimension that may vary"
    )


_KINDS = frozenset("biufc")

EXTENDED: Mapping[str, tuple[str, int, str]] = {
    "bfloat16": ("f", 16, "bfloat16"),
    "float8_e4m3fn": ("f", 8, "float8_e4m3fn"),
    "float8_e4m3fnuz": ("f", 8, "float8_e4m3fnuz"),
    "float8_e5m2": ("f", 8, "float8_e5m2"),
    "float8_e5m2fnuz": ("f", 8, "float8_e5m2fnuz"),
    "float8_e8m0": ("f", 8, "float8_e8m0fnu"),
    "float6_e2m3": ("f", 6, "float6_e2m3fn"),
    "float6_e3m2": ("f", 6, "float6_e3m2fn"),
    "float4_e2m1": ("f", 4, "float4_e2m1fn"),
    "int4": ("i", 4, "int4"),
    "uint4": ("u", 4, "uint4"),
    "int2": ("i", 2, "int2"),
    "uint2": ("u", 2, "uint2"),
}
"""Dtypes that ONNX has and NumPy lacks: name -> kind, bits, and what ml_dtypes calls it."""

_EXTENDED_NAMES = {spelled: name for name, (_, _, spelled) in EXTENDED.items()}


def as_dtype(value: Any) -> np.dtype[Any]:
    """Return the NumPy dtype for a dtype, a name or a scalar type.

    Those of `EXTENDED` come from the package ml_dtypes, which is imported for the first of them.

    Raises:
        DTypeError: it is not a bool, integer, unsigned, floating, complex or string dtype, or is
            one of ml_dtypes, which is not installed.
    """
    dtype: np.dtype[Any]
    if isinstance(value, str) and (value in EXTENDED or value in _EXTENDED_NAMES):
        return _extended_dtype(_EXTENDED_NAMES.get(value, value))
    try:
        dtype = np.dtype(object if isinstance(value, str) and value == "string" else value)
    except (TypeError, ValueError) as error:
        raise DTypeError(f"{value!r} is not a dtype: {error}") from None
    if dtype.kind in "OUT":
        return np.dtype(object)  # strings: NumPy object arrays, as onnx and onnxruntime have them
    if kind_of(dtype) not in _KINDS or not dtype.isnative:
        raise DTypeError(f"dtype {dtype} is not supported; use a bool, integer or float dtype")
    return dtype


@functools.cache
def _extended_dtype(name: str) -> np.dtype[Any]:
    try:
        import ml_dtypes
    except ImportError:
        raise DTypeError(
            f"dtype {name} needs the package ml_dtypes: pip install 'graphctx[dtypes]'"
        ) from None
    found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, EXTENDED[name][2]))
    return found


def kind_of(dtype: Any) -> str:
    """What kind of number a dtype is, by NumPy's letters: `f` for float32 and for bfloat16.

    `dtype.kind` says so of NumPy's own dtypes only: it is `V` for those of ml_dtypes. This is `V`
    for what graphctx does not know.
    """
    kind: str = dtype.kind
    if kind != "V":
        return kind
    name = _EXTENDED_NAMES.get(dtype.name)
    return kind if name is None else EXTENDED[name][0]


def is_extended(dtype: Any) -> bool:
    """Whether a dtype is one of ml_dtypes."""
    return bool(dtype.isbuiltin == 2)  # registered with NumPy; the kind of float8_e5m2 is "f"


def is_storage(dtype: Any) -> bool:
    """Whether numbers of a dtype are only stored, moved and converted, as ONNX has it.

    These are floats of 8, 6 and 4 bits, and integers of 4 and 2.
    """
    return is_extended(dtype) and dtype.name != "bfloat16"


def is_half(dtype: Any) -> bool:
    """Whether a dtype is a float of 16 bits: kernels compute these in float32."""
    return bool(dtype.itemsize == 2 and kind_of(dtype) == "f")


def bits_of(dtype: Any) -> int:
    """How many bits a number takes in a file; NumPy keeps those of less than 8 in a byte each."""
    name = _EXTENDED_NAMES.get(dtype.name) if is_extended(dtype) else None
    return int(8 * dtype.itemsize) if name is None else EXTENDED[name][1]


def limits_of(dtype: Any) -> tuple[Any, Any]:
    """The smallest and the largest finite number of an integer or floating dtype, as Python's."""
    floats = kind_of(dtype) == "f"
    package: Any = np
    if is_extended(dtype):
        import ml_dtypes as package
    info = package.finfo(dtype) if floats else package.iinfo(dtype)
    read = float if floats else int
    return read(info.min), read(info.max)


def digits_of(dtype: Any) -> int:
    """How many binary digits the significand of a floating dtype has."""
    package: Any = np
    if is_extended(dtype):
        import ml_dtypes as package
    return int(package.finfo(dtype).nmant) + 1


def dtype_name(dtype: Any) -> str:
    """A dtype as it is printed; object arrays hold strings."""
    if is_extended(dtype):
        return _EXTENDED_NAMES.get(dtype.name, str(dtype))
    return "string" if dtype == object else str(dtype)


class ContainerType:
    """What a value is that is no tensor: it stands where the dtype of a tensor does.

    The shape of such a value is `()`; what it holds has a shape of its own.

    Args:
        element: dtype of the tensors in it; or, in an optional, a `SequenceType`.
        shape: of every tensor in it: numbers and symbolic dimensions; None for a size that is not
            the same in all of them, or altogether where not even the number of dimensions is.
    """

    __slots__ = ("element", "shape")

    kind = ""  # what `np.dtype.kind` says of dtypes: none of its letters
    itemsize = 8  # bytes of a reference
    isbuiltin = 0  # none that is registered with NumPy

    def __init__(self, element: Any, shape: Iterable[Any] | None = None) -> None:
        self.element: Any = _as_type(element)
        self.shape: tuple[DimLike | None, ...] | None = None
        if isinstance(self.element, ContainerType):
            shape = ()
        if shape is not None:
            dims = [None if dim is None else as_dim(dim) for dim in shape]
            self.shape = tuple(
                None if isinstance(dim, Dim) and dim.is_unknown else dim for dim in dims
            )

    @property
    def tensor_dtype(self) -> np.dtype[Any]:
        """The dtype of the tensors in it, however deep."""
        found: Any = self.element
        return found.tensor_dtype if isinstance(found, ContainerType) else found

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        assert isinstance(other, ContainerType)
        return bool(self.element == other.element) and _same_sizes(self.shape, other.shape)

    def __hash__(self) -> int:
        return hash((self.kind, self.element, self.shape))

    def __str__(self) -> str:
        text = dtype_name(self.element)
        if self.shape is not None and not isinstance(self.element, ContainerType):
            text += shape_text(["?" if dim is None else dim for dim in self.shape])
        return f"{self.kind}({text})"

    def __repr__(self) -> str:
        return f"<{self}>"


class SequenceType(ContainerType):
    """A list of tensors of one dtype, such as ONNX's sequence operators take.

    Args:
        element: dtype of the tensors.
        shape: see `ContainerType`.
        empty: whether it certainly has no element, and so fits any sequence of that dtype.
    """

    __slots__ = ("empty",)

    kind = "sequence"

    def __init__(
        self, element: Any, shape: Iterable[Any] | None = None, *, empty: bool = False
    ) -> None:
        super().__init__(element, shape)
        if isinstance(self.element, ContainerType):
            raise DTypeError(f"the elements of a sequence are tensors, got {self.element}")
        self.empty = empty

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SequenceType):
            return NotImplemented
        return self.empty == other.empty and bool(super().__eq__(other))

    __hash__ = ContainerType.__hash__

    def joined(self, shape: Sequence[DimLike | None] | None) -> SequenceType:
        """The type of a sequence that also has an element of this shape."""
        return SequenceType(self.element, shape if self.empty else _joined(self.shape, shape))


class OptionalType(ContainerType):
    """A tensor or a sequence, or nothing, which is None when a program runs."""

    __slots__ = ()

    kind = "optional"


def _joined(
    a: Sequence[DimLike | None] | None, b: Sequence[DimLike | None] | None
) -> Sequence[DimLike | None] | None:
    if a is None or b is None or len(a) != len(b):
        return None
    return [x if _same_size(x, y) else None for x, y in zip(a, b, strict=True)]


def joined_dtype(a: Any, b: Any) -> Any:
    """The dtype or type of what has one or the other; None where they do not go together."""
    if not isinstance(a, ContainerType) or not isinstance(b, ContainerType) or a == b:
        return a if a == b else None
    if type(a) is not type(b):
        return None
    element = joined_dtype(a.element, b.element)
    if element is None:
        return None
    if isinstance(a, SequenceType) and isinstance(b, SequenceType):
        return b if a.empty else a if b.empty else a.joined(b.shape)
    return type(a)(element, _joined(a.shape, b.shape))


def _as_type(value: Any) -> Any:
    return value if isinstance(value, ContainerType) else as_dtype(value)


def _same_size(a: DimLike | None, b: DimLike | None) -> bool:
    return a is b if a is None or b is None else same_dim(a, b)


def _same_sizes(a: tuple[DimLike | None, ...] | None, b: tuple[DimLike | None, ...] | None) -> bool:
    if a is None or b is None:
        return a is b
    return len(a) == len(b) and all(map(_same_size, a, b))


class TensorSpec:
    """Shape and dtype of a tensor, and for an input its name.

    Args:
        shape: one entry a dimension: a number, or a name for a size that may vary
            (`("batch", 64)`). The same name is the same size everywhere in a model.
        dtype: anything NumPy takes as a dtype; or a `SequenceType` or `OptionalType`, whose value
            is no tensor and has the shape `()`.
        name: name of the input; the parameter's name where it is not given.
    """

    __slots__ = ("dtype", "name", "shape")

    def __init__(
        self, shape: Iterable[Any], dtype: Any = "float32", name: str | None = None
    ) -> None:
        if isinstance(shape, (str, int)):
            shape = (shape,)
        self.shape: Shape = tuple(as_dim(dim) for dim in shape)
        self.dtype: Any = _as_type(dtype)
        self.name = name
        if self.shape and isinstance(self.dtype, ContainerType):
            raise DTypeError(f"{self.dtype} has no shape of its own, got {shape_text(self.shape)}")

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def symbols(self) -> frozenset[str]:
        """Names of all symbolic sizes in the shape."""
        return frozenset().union(*(d.symbols for d in self.shape if isinstance(d, Dim)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TensorSpec):
            return NotImplemented
        return (
            self.dtype == other.dtype
            and self.name == other.name
            and same_shape(self.shape, other.shape)
        )

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype, self.name))

    def __str__(self) -> str:
        if isinstance(self.dtype, ContainerType):
            return str(self.dtype)
        return f"{dtype_name(self.dtype)}{shape_text(self.shape)}"

    def __repr__(self) -> str:
        name = f", name={self.name!r}" if self.name else ""
        shape = tuple(str(d) if isinstance(d, Dim) else d for d in self.shape)
        return f"TensorSpec({shape!r}, {dtype_name(self.dtype)!r}{name})"
