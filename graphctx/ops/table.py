"""The op table: one record an operator.

An operator is declared in one place, by decorating its NumPy kernel:

    @op("Relu", since=14, infer=same)
    def relu(x):
        '''Rectified linear unit: `max(x, 0)`, elementwise.'''
        return np.maximum(x, 0)

Positional parameters of the kernel are operands, keyword-only ones attributes with ONNX's names
and defaults. The decorated name is the function that users call: on NumPy arrays it runs the
kernel at once, on symbolic tensors it records a node.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from graphctx.context import current
from graphctx.errors import DTypeError, GraphctxError, ShapeError
from graphctx.graph import Node, Value
from graphctx.spec import (
    Dim,
    SequenceType,
    Shape,
    TensorSpec,
    broadcast_shapes,
    dtype_name,
    is_extended,
    is_half,
    is_storage,
    kind_of,
    shape_text,
    size_of,
)
from graphctx.tensor import ArrayOperators, Tensor, result_dtype, where

OPSET = 28  # the newest opset of the pinned onnx: operators follow its specification
ML_DOMAIN = "ai.onnx.ml"
TRAINING_DOMAIN = "ai.onnx.preview.training"
ML_OPSET = 5  # that of ONNX's operators of classical machine learning

OUTPUTS = "outputs"
"""The attribute of ours that says how many outputs a node has, where ONNX's last are optional.

ONNX's nodes name their outputs instead: files do not have it.
"""

Inferred = tuple[Shape, Any]  # shape and dtype of one output


class Op:
    """The record of one operator. Calling it applies it.

    Attributes:
        name: ONNX's operator name; lower case for operators that ONNX lacks.
        domain: of ONNX's operator: empty for those of ONNX proper, `ML_DOMAIN` or
            `TRAINING_DOMAIN`. Names are unique in the whole table.
        since: first opset of the domain in which ONNX's operator means what the kernel does.
        kernel: NumPy implementation: `kernel(*operands, **attrs)`. It takes bfloat16, too: the
            function that was decorated computes it in float32, and the result is rounded once.
        function: the function that was decorated.
        any_dtype: whether that takes operands of every dtype as they are: it moves elements, or
            converts them by itself. Then it is the kernel.
        infer: `infer(*values, **attrs)` -> (shape, dtype), or a list of them.
        expand: for operators that ONNX or onnxruntime lack, the same computation in operators
            that they have: takes and returns tensors. Files have these instead.
        ufunc: the NumPy ufunc that equals the kernel, so that programs can reuse buffers.
        inline: NumPy expression that equals the kernel without attributes, for programs, or a
            function of the node that returns one (or None): `np_maximum({0}, {zero}, out={out})`.
            `np_x` is `np.x`, `{zero}` a scalar of the output's dtype; `, out={out}` is left out
            where no buffer is free. Of several expressions each is elementwise on what the one
            before it made, `{_}`: `("np_dot({0}, {1})", "np_add({_}, {2}, out={out})")`.
        view: whether the kernel may return a view of its first operand, or of "any" of them: a
            sequence of arrays that it was given counts as one.
        containers: indices of the operands that may be sequences or optionals, which are lists and
            None when they run, or "all"; all others are tensors.
        local: how many of the last axes the output depends on in full, or a function of the node
            that returns it: 0 for elementwise operators, 1 for those along rows; None where it
            cannot be computed part by part. Parts of the output then come from the same parts of
            the operands, and have the same bits.
        row_major: whether the result always lies in memory row by row (NumPy's order "C").
        writes: whether the kernel takes `out`, an array of the output's shape and dtype that it
            writes its result into and returns; it may be the first operand itself.
        promote: index of the first operand from which on operands are promoted to one dtype.
        content: `content(*dims, **attrs)`: elements of the output where the operands' elements
            are dimensions.
        multiply_adds: `(node) -> DimLike`, for the summary; None counts as 0.
        defaults: attribute -> default.
        required: names of attributes without a default.
    """

    def __init__(
        self,
        name: str,
        kernel: Callable[..., Any],
        infer: Callable[..., Any],
        *,
        domain: str,
        since: int,
        expand: Callable[..., Any] | None,
        ufunc: Any,
        inline: str | Callable[[Node], str | tuple[str, ...] | None] | None,
        view: bool | Literal["any"],
        containers: Sequence[int] | Literal["all"],
        any_dtype: bool,
        row_major: bool,
        local: int | Callable[[Node], int | None] | None,
        promote: int | None,
        content: Callable[..., Any] | None,
        multiply_adds: Callable[[Node], Any] | None,
    ) -> None:
        functools.update_wrapper(self, kernel)
        self.name = name
        self.function = kernel
        self.any_dtype = any_dtype or bool(view) or bool(containers)
        plain = self.any_dtype or ufunc is not None  # those of ml_dtypes round once, too
        self.kernel = kernel if plain else self._in_single(kernel)
        self.infer = infer
        self.domain = domain
        self.since = since
        self.expand = expand
        self.ufunc = ufunc
        self.inline = inline
        self.view = view
        self.containers = containers if containers == "all" else tuple(containers)
        self.row_major = row_major
        self.local = 0 if local is None and ufunc is not None else local
        self.promote = promote
        self.content = content
        self.multiply_adds = multiply_adds
        parameters = inspect.signature(kernel).parameters.values()
        operands = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.operand_names = tuple(p.name for p in operands)
        self.least = sum(p.default is p.empty for p in operands)
        attributes = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "out"]
        self.writes = any(p.name == "out" for p in parameters)
        self.defaults = {p.name: p.default for p in attributes if p.default is not p.empty}
        self.required = tuple(p.name for p in attributes if p.default is p.empty)

    def __call__(self, *operands: Any, **attrs: Any) -> Any:
        """Run the kernel on arrays; record a node on symbolic tensors."""
        for x in operands:
            if x.__class__ is not np.ndarray:
                return self._apply(operands, attrs)
        try:
            return self.kernel(*operands, **attrs)
        except (ValueError, IndexError, TypeError) as error:
            raise self._explain(operands, attrs, error) from error

    def _apply(self, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        inside = self._inside(operands)
        recorder = next((x.recorder for x in (*operands, *inside) if isinstance(x, Tensor)), None)
        if recorder is not None:
            # Variables are resolved by the recorder: a functional model keeps them by reference.
            self._check(operands, attrs)
            return recorder.record(self, operands, attrs)
        resolved = [
            list(map(_resolved, x))
            if self.may_hold(i) and isinstance(x, (list, tuple))
            else _resolved(x)
            for i, x in enumerate(operands)
        ]
        for x in (*resolved, *self._inside(resolved)):
            if isinstance(x, Tensor):
                recorder = x.recorder
            elif isinstance(x, Dim) and recorder is None:
                frame = current.get()
                recorder = frame.tracer if frame is not None else None
        if recorder is not None:
            self._check(resolved, attrs)
            return recorder.record(self, resolved, attrs)
        start = len(resolved) if self.promote is None else self.promote
        arrays = [
            x
            if x is None or (i >= start and isinstance(x, (bool, int, float, np.generic)))
            else list(map(_array, x))
            if self.may_hold(i) and isinstance(x, list)
            else _array(x)
            for i, x in enumerate(resolved)
        ]
        if any(isinstance(x, (np.ndarray, np.generic)) and is_extended(x.dtype) for x in arrays):
            arrays = self._of_one_dtype(arrays)
        try:
            return self.kernel(*arrays, **attrs)
        except (ValueError, IndexError, TypeError) as error:
            raise self._explain(arrays, attrs, error) from error

    def _of_one_dtype(self, operands: Sequence[Any]) -> list[Any]:
        """Operands with Python numbers as arrays: beside bfloat16 they are not weak to NumPy."""
        start = len(operands) if self.promote is None else self.promote
        given = [x for x in operands[start:] if x is not None]
        dtype = result_dtype([getattr(x, "dtype", x) for x in given]) if given else None
        rest = [None if x is None else np.asarray(x).astype(dtype) for x in operands[start:]]
        return [*operands[:start], *rest]

    def _check(self, operands: Sequence[Any], attrs: Mapping[str, Any]) -> None:
        most = len(self.operand_names)
        if len(operands) < self.least or (len(operands) > most and not self.variadic):
            raise TypeError(
                f"{where()}{self.name} takes {self.least} to {most} operands "
                f"({', '.join(self.operand_names)}), got {len(operands)}"
            )
        for name in attrs:
            if name not in self.defaults and name not in self.required:
                raise TypeError(f"{where()}{self.name} has no attribute {name!r}")
        for name in self.required:
            if name not in attrs:
                raise TypeError(f"{where()}{self.name} needs the attribute {name!r}")

    def _in_single(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The kernel of a function that bfloat16 is given to as float32."""

        @functools.wraps(function)
        def kernel(*operands: Any, **attrs: Any) -> Any:
            for x in operands:
                if isinstance(x, (np.ndarray, np.generic)) and is_extended(x.dtype):
                    dtypes = self._dtypes_of(operands, attrs)
                    return _round(function, dtypes, *operands, **attrs)
            return function(*operands, **attrs)

        return kernel

    def _dtypes_of(self, operands: Sequence[Any], attrs: Mapping[str, Any]) -> list[Any]:
        """The dtypes of the outputs for arrays."""
        from graphctx.builder import Builder

        builder = Builder()
        attrs = {name: value for name, value in attrs.items() if name != "out"}
        values = [
            None if x is None
            else builder.constant(x) if x.size <= 64  # elements that inference may ask for
            else builder.input(TensorSpec(x.shape, x.dtype), f"x{i}")
            for i, x in enumerate(operands)
        ]  # fmt: skip
        return [dtype for _, dtype in self.infer_outputs(values, attrs)]

    def kernel_for(self, node: Node) -> Callable[..., Any]:
        """What computes a node: the kernel, without what it does to find out about dtypes."""
        if self.kernel is self.function or not _has_extended(node):
            return self.function
        return functools.partial(_round, self.function, [v.dtype for v in node.outputs])

    def templates(self, node: Node) -> tuple[str, ...]:
        """The expressions for generated code; empty where the kernel is called; see `inline`."""
        if self.kernel is not self.function and _has_extended(node):
            return ()
        if callable(self.inline):
            found = self.inline(node)
        elif node.attrs:
            found = None
        elif self.inline is not None or self.ufunc is None:
            found = self.inline
        else:
            slots = ", ".join(f"{{{i}}}" for i in range(self.ufunc.nin))
            found = f"np_{self.ufunc.__name__}({slots}, out={{out}})"
        return (found,) if isinstance(found, str) else found or ()

    def may_hold(self, index: int) -> bool:
        """Whether an operand may be a sequence or an optional; see `containers`."""
        return self.containers == "all" or index in self.containers

    def _inside(self, operands: Sequence[Any]) -> list[Any]:
        """The tensors in operands that are given as Python lists."""
        lists = [
            x for i, x in enumerate(operands) if isinstance(x, (list, tuple)) and self.may_hold(i)
        ]
        return [item for x in lists for item in x]

    def local_axes(self, node: Node) -> int | None:
        """What `local` is for a node."""
        return self.local(node) if callable(self.local) else self.local

    def infer_outputs(
        self, operands: Sequence[Value | None], attrs: Mapping[str, Any]
    ) -> list[Inferred]:
        """Shape and dtype of every output.

        Raises:
            ShapeError, DTypeError: the operands do not fit; the message shows op and operands.
        """
        try:
            for index, value in enumerate(operands):
                if value is not None and not value.is_tensor and not self.may_hold(index):
                    raise DTypeError(f"operand {index} is a tensor, got {value.dtype}")
            inferred = self.infer(*operands, **attrs)
        except GraphctxError as error:
            shapes = ", ".join("none" if v is None else str(v.spec) for v in operands)
            message = f"{self.name}({shapes}): {error}"
            kind = type(error) if isinstance(error, (ShapeError, DTypeError)) else ShapeError
            raise kind(message) from None
        return inferred if isinstance(inferred, list) else [inferred]

    def annotate(self, node: Node) -> None:
        """Note the elements of the node's output where they are known dimensions."""
        if self.content is None:
            return
        dims = []
        for value in node.operands:
            if value is not None and value.dims is None:
                # The content of Shape comes from its operand's shape, not its elements.
                if self.name == "Shape":
                    continue
                return
            dims.append(None if value is None else value.dims)
        output = node.output
        if output.dtype != np.int64 or output.rank > 1:
            return
        output.dims = (
            self.content(node.operands[0], **node.attrs)
            if self.name == "Shape"
            else self.content(*dims, **node.attrs)
        )

    def _explain(
        self, operands: Sequence[Any], attrs: Mapping[str, Any], error: Exception
    ) -> Exception:
        """The inference's error for operands that the kernel refused, else the kernel's own."""
        if isinstance(error, GraphctxError):
            return error
        from graphctx.builder import Builder

        builder = Builder()
        try:
            self._check(operands, attrs)
            values = [
                None if x is None
                else _stand_in(builder, i, x) if self.may_hold(i)
                else builder.constant(np.asarray(x))
                for i, x in enumerate(operands)
            ]  # fmt: skip
            if self.promote is not None:
                common = np.result_type(*(x for x in operands[self.promote :] if x is not None))
                for value in values[self.promote :]:
                    if value is not None:
                        value.dtype = common
            self.infer_outputs(values, attrs)
        except GraphctxError as inferred:
            return type(inferred)(f"{where()}{inferred}")
        except Exception:
            return error
        shapes = ", ".join(
            "none" if x is None
            else str(type_of(x)) if isinstance(x, list)
            else f"{dtype_name(np.asarray(x).dtype)}{shape_text(np.shape(x))}"
            for x in operands
        )  # fmt: skip
        return ShapeError(f"{where()}{self.name}({shapes}): {error}")

    def __reduce__(self) -> Any:
        return _record, (self.name,)  # copies and pickles are the record itself

    def __repr__(self) -> str:
        return f"<op {self.name}>"


def _has_extended(node: Node) -> bool:
    return any(
        v is not None and v.dtype is not None and is_extended(v.dtype)
        for v in (*node.operands, *node.outputs)
    )


def _round(
    function: Callable[..., Any], dtypes: Sequence[Any], *operands: Any, **attrs: Any
) -> Any:
    """Call a kernel with float32 instead of bfloat16, and round what it returns."""
    wide = [
        x.astype(np.float32) if x is not None and is_extended(x.dtype) and is_half(x.dtype) else x
        for x in operands
    ]
    with np.errstate(over="ignore"):
        result = function(*wide, **attrs)
        if isinstance(result, tuple):
            return tuple(y.astype(d, copy=False) for y, d in zip(result, dtypes, strict=True))
        return result.astype(dtypes[0], copy=False)


def _record(name: str) -> Op:
    return TABLE[name]


def _resolved(x: Any) -> Any:
    return x.resolve() if isinstance(x, ArrayOperators) else x


def _array(x: Any) -> Any:
    array = np.asarray(x)
    return array.astype(object) if array.dtype.kind == "U" else array


def type_of(arrays: Sequence[Any]) -> SequenceType:
    """The type of a list of arrays, which is float32 where there are none."""
    found = SequenceType(arrays[0].dtype if arrays else np.float32, empty=True)
    for array in arrays:
        found = found.joined(array.shape)
    return found


def _stand_in(builder: Any, index: int, x: Any) -> Value:
    """An input of the shape and dtype, or of the type, of an operand."""
    spec = TensorSpec((), type_of(x)) if isinstance(x, list) else TensorSpec(x.shape, x.dtype)
    value: Value = builder.input(spec, f"x{index}")
    return value


class Table(Mapping[str, Op]):
    """All operators by ONNX name, in order of declaration."""

    def __init__(self) -> None:
        self._ops: dict[str, Op] = {}

    def add(self, record: Op) -> None:
        """Add a record; a name is declared once."""
        if record.name in self._ops:
            raise ValueError(f"operator {record.name!r} is declared twice")
        self._ops[record.name] = record

    def __getitem__(self, name: str) -> Op:
        return self._ops[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ops)

    def __len__(self) -> int:
        return len(self._ops)


TABLE = Table()


def op(
    name: str,
    *,
    infer: Callable[..., Any],
    domain: str = "",
    since: int = 1,
    expand: Callable[..., Any] | None = None,
    ufunc: Any = None,
    inline: str | Callable[[Node], str | tuple[str, ...] | None] | None = None,
    view: bool | Literal["any"] = False,
    containers: Sequence[int] | Literal["all"] = (),
    any_dtype: bool = False,
    row_major: bool = False,
    local: int | Callable[[Node], int | None] | None = None,
    promote: int | None = None,
    content: Callable[..., Any] | None = None,
    multiply_adds: Callable[[Node], Any] | None = None,
) -> Callable[[Callable[..., Any]], Op]:
    """Declare an operator by decorating its kernel; see `Op` for the arguments."""

    def declare(kernel: Callable[..., Any]) -> Op:
        record = Op(
            name, kernel, infer, domain=domain, since=since, expand=expand, ufunc=ufunc,
            inline=inline, view=view, containers=containers, any_dtype=any_dtype,
            row_major=row_major, local=local, promote=promote, content=content,
            multiply_adds=multiply_adds,
        )  # fmt: skip
        TABLE.add(record)
        return record

    return declare


# -- inference rules that many operators share ----------------------------------------------------


def same(x: Value, *_: Any, **__: Any) -> Inferred:
    """Output like the first operand."""
    return x.shape, x.dtype


def floating(x: Value, *_: Any, **__: Any) -> Inferred:
    """Output like the first operand, which must be floating."""
    require_kind(x, "f", "a floating dtype")
    return x.shape, x.dtype


def numeric(x: Value, *_: Any, **__: Any) -> Inferred:
    """Output like the first operand, which must be a number."""
    require_kind(x, "iufc", "a numeric dtype")
    return x.shape, x.dtype


def broadcast(*values: Value, **_: Any) -> Inferred:
    """Operands of one dtype, broadcast."""
    dtype = common_dtype(values)
    return broadcast_shapes(*(v.shape for v in values)), dtype


def broadcast_numeric(*values: Value, **_: Any) -> Inferred:
    """Numeric operands of one dtype, broadcast."""
    for value in values:
        require_kind(value, "iufc", "a numeric dtype")
    return broadcast(*values)


def broadcast_bool(*values: Value, **_: Any) -> Inferred:
    """Operands of one dtype, broadcast to a bool output."""
    common_dtype(values)
    return broadcast_shapes(*(v.shape for v in values)), np.dtype(bool)


def common_dtype(values: Sequence[Value]) -> Any:
    """The dtype all values share.

    Raises:
        DTypeError: they do not share one.
    """
    dtype = values[0].dtype
    for value in values[1:]:
        if value.dtype != dtype:
            raise DTypeError(
                f"operands need one dtype, got {dtype_name(dtype)} and {dtype_name(value.dtype)}"
            )
    return dtype


def require_kind(value: Value, kinds: str, what: str) -> None:
    """Raise `DTypeError` unless a value's numbers are of one of NumPy's kinds, to compute with."""
    if value.dtype is None or kind_of(value.dtype) not in kinds:
        got = "any" if value.dtype is None else dtype_name(value.dtype)
        raise DTypeError(f"needs {what}, got {got}")
    if is_storage(value.dtype):
        raise DTypeError(
            f"needs {what} to compute with, got {dtype_name(value.dtype)}, which only stores "
            f"numbers: convert it with ops.astype, or ops.dequantize_linear"
        )


def require_rank(value: Value, rank: int, what: str) -> None:
    """Raise `ShapeError` unless the value has that many dimensions."""
    if value.rank != rank:
        raise ShapeError(f"{what} needs {rank} dimensions, got {shape_text(value.shape)}")


def normalize_axis(axis: int, rank: int) -> int:
    """An axis counted from the front.

    Raises:
        ShapeError: it is out of range.
    """
    if not -rank <= axis < rank:
        raise ShapeError(f"axis {axis} is out of range for {rank} dimensions")
    return axis + rank if axis < 0 else axis


def normalize_axes(axes: Any, rank: int) -> tuple[int, ...]:
    """Axes counted from the front, each one once.

    Raises:
        ShapeError: one is out of range or given twice.
    """
    found = tuple(normalize_axis(int(axis), rank) for axis in axes)
    if len(set(found)) != len(found):
        raise ShapeError(f"axes {list(axes)} name an axis twice")
    return found


def known_ints(value: Value) -> tuple[int, ...] | None:
    """The elements of an integer operand, where they are known before it runs."""
    if value.constant is not None:
        return tuple(int(v) for v in value.constant.reshape(-1))
    if value.dims is not None and not any(isinstance(d, Dim) for d in value.dims):
        return tuple(int(d) for d in value.dims)
    return None


def count_of(value: Value, what: str) -> int:
    """The number of elements of an operand, which is what inference needs to know at least.

    Raises:
        ShapeError: it is not known.
    """
    count = size_of(value.shape)
    if isinstance(count, Dim):
        raise ShapeError(f"the number of {what} must be known while tracing")
    return int(count)


def constant_ints(value: Value | None, what: str) -> tuple[int, ...]:
    """The elements of an integer operand that inference needs to know.

    Raises:
        ShapeError: they are not constant.
    """
    found = None if value is None else known_ints(value)
    if found is None:
        raise ShapeError(f"{what} must be known while tracing")
    return found


def known_dims(value: Value | None, what: str) -> tuple[Any, ...]:
    """The elements of an integer operand, which may be symbolic or unknown dimensions.

    Raises:
        ShapeError: not even their number is known.
    """
    if value is not None and value.dims is not None:
        return value.dims
    if value is not None and value.constant is None and value.rank < 2:
        count = size_of(value.shape)
        if not isinstance(count, Dim):
            return tuple(Dim.unknown() for _ in range(count))
    return constant_ints(value, what)
