"""How a record becomes the function that users call, with NumPy's dtype rules.

A public function does two things. On arrays it is NumPy: one test per argument, then the kernel.
On symbolic tensors it records, after promoting the operands as NumPy's own ufunc would.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from graphctx.builder import Builder
from graphctx.context import current
from graphctx.errors import DTypeError, GraphctxError, TraceError
from graphctx.ops.table import Op
from graphctx.spec import Dim, TensorSpec, is_extended, is_half, kind_of
from graphctx.tensor import (
    ArrayOperators,
    Recorder,
    Tensor,
    extended_result,
    require_tensor,
    result_dtype,
    where,
)

Function = TypeVar("Function", bound=Callable[..., Any])

# What NumPy takes as it is: no test for symbolic tensors is needed behind these.
_PLAIN = frozenset(
    (np.ndarray, bool, int, float, type(None), tuple, list, str, *np.sctypeDict.values())
)


def composite(eager: Callable[..., Any]) -> Callable[[Function], Function]:
    """Decorate what a function records; without a symbolic tensor `eager` runs at once.

    `eager` takes the same arguments: operands by position, options by position or name.
    """

    def declare(symbolic: Function) -> Function:
        @functools.wraps(symbolic)
        def function(*args: Any, **options: Any) -> Any:
            for x in args:
                if x.__class__ not in _PLAIN:
                    return _dispatch(eager, symbolic, args, options)
            try:
                return eager(*args, **options)
            except (ValueError, IndexError, TypeError) as error:
                raise _explain(symbolic, args, options, error) from error

        return function  # type: ignore[return-value]

    return declare


def _dispatch(
    eager: Callable[..., Any],
    symbolic: Callable[..., Any],
    args: Sequence[Any],
    options: dict[str, Any],
) -> Any:
    if not any(isinstance(x, Tensor) for x in args):
        # Beside a tensor, variables stay: a functional model keeps them by reference.
        args = [x.resolve() if isinstance(x, ArrayOperators) else x for x in args]
    if recorder_of(*args) is not None:
        for x in args:
            if isinstance(x, Tensor):
                require_tensor(x)
        return symbolic(*args, **options)
    try:
        return eager(*args, **options)
    except (ValueError, IndexError, TypeError) as error:
        raise _explain(symbolic, args, options, error) from error


def _explain(
    symbolic: Callable[..., Any], args: Sequence[Any], options: dict[str, Any], error: Exception
) -> Exception:
    """The error that recording the same call raises, else NumPy's own."""
    if isinstance(error, GraphctxError):
        return error
    recorder = Recorder(Builder())
    tensors = [
        Tensor(recorder.builder.input(TensorSpec(x.shape, x.dtype), f"x{i}"), recorder)
        if isinstance(x, (np.ndarray, np.generic)) and kind_of(x.dtype) in "biufcOU"
        else x
        for i, x in enumerate(args)
    ]
    try:
        symbolic(*tensors, **options)
    except GraphctxError as recorded:
        return recorded
    except Exception:
        return error
    return error


def recorder_of(*operands: Any) -> Recorder | None:
    """What records an op on these operands, or nests of them; None where none is symbolic.

    Raises:
        TraceError: a symbolic dimension is used outside of a trace.
    """
    dim = None
    for x in operands:
        if isinstance(x, Tensor):
            return x.recorder
        if isinstance(x, (tuple, list)):
            found = recorder_of(*x)
            if found is not None:
                return found
        elif isinstance(x, Dim):
            dim = x
    if dim is None:
        return None
    frame = current.get()
    if frame is None or frame.tracer is None:
        raise TraceError(f"{where()}the symbolic size {dim} is used outside of a trace")
    recorder: Recorder = frame.tracer
    return recorder


def tensor(x: Any, dtype: Any = None, *, like: Any = None) -> Tensor:
    """An operand as a tensor, of a dtype if one is given; `like` is another operand.

    It is not weak: a function of `graphctx.ops` makes an array of a Python number.
    """
    recorder = recorder_of(x, like)
    assert recorder is not None
    return strong(recorder.tensor(x, dtype))


def strong(x: Tensor) -> Tensor:
    """The tensor as one whose dtype counts where it meets others, as an array's does."""
    return Tensor(x.value, x.recorder, run=x.run) if x.weak else x


_WEAK: dict[str, Any] = {"b": np.dtype(bool), "i": int, "u": int, "f": float, "c": complex}


def dtype_of(x: Any) -> Any:
    """The dtype of an operand; `int`, `float` or `complex` where it is weak."""
    if isinstance(x, Tensor):
        require_tensor(x)
        return _WEAK[kind_of(x.dtype)] if x.weak else x.dtype
    if isinstance(x, Dim):
        return int  # the Python integer that it is in an eager call
    if isinstance(x, ArrayOperators):
        return x.dtype
    if x.__class__ in (int, float, complex):
        return x.__class__  # exactly these are weak to NumPy, an `IntEnum` is not
    dtype = np.asarray(x).dtype
    return np.dtype(object) if dtype.kind in "UT" else dtype


def promoted(ufunc: Any, *operands: Any) -> list[Any]:
    """The dtype that a NumPy ufunc casts each operand to.

    Raises:
        DTypeError: it does not take them.
    """
    dtypes = [dtype_of(x) for x in operands]
    if all(isinstance(dtype, type) for dtype in dtypes):
        dtypes = [np.dtype(dtype) for dtype in dtypes]
    if any(not isinstance(dtype, type) and is_extended(dtype) for dtype in dtypes):
        return [extended_result(dtypes)] * len(dtypes)
    if any(dtype == object for dtype in dtypes) and any(dtype != object for dtype in dtypes):
        raise DTypeError(f"{where()}{ufunc.__name__}: strings do not mix with numbers")
    try:
        found = ufunc.resolve_dtypes((*dtypes, *[None] * ufunc.nout))
    except TypeError as error:
        raise DTypeError(f"{where()}{ufunc.__name__}: {error}") from None
    dtypes = list(found[: len(operands)])
    if any(dtype != dtypes[0] for dtype in dtypes):  # NumPy compares int64 and uint64 as they are
        dtypes = [np.result_type(*dtypes)] * len(dtypes)
    return dtypes


def alike(*operands: Any) -> Sequence[Any]:
    """Arrays and Python numbers of one dtype where bfloat16 is among them, else as they are.

    NumPy would make float32 of bfloat16 and a Python float: to it that is no weak number there.
    """
    for x in operands:
        if isinstance(x, (np.ndarray, np.generic)) and is_extended(x.dtype):
            dtype = extended_result([dtype_of(x) for x in operands if x is not None])
            return [None if x is None else np.asarray(x).astype(dtype) for x in operands]
    return operands


def of_one_dtype(function: Callable[..., Any], start: int = 0) -> Callable[..., Any]:
    """The function of arrays with the operands from `start` on made `alike`."""

    def eager(*operands: Any) -> Any:
        for x in operands:
            if x.__class__ is np.ndarray:
                if x.dtype.kind == "V":
                    break
            elif x.__class__ not in _PLAIN:
                break
        else:  # as nearly always, and quick to know
            return function(*operands)
        return function(*operands[:start], *alike(*operands[start:]))

    return eager


def operands_of(ufunc: Any, *operands: Any) -> tuple[Any, ...]:
    """The operands as tensors of the dtype that a ufunc promotes them to, and that dtype."""
    recorder = recorder_of(*operands)
    assert recorder is not None
    dtypes = promoted(ufunc, *operands)
    return (
        *(recorder.tensor(x, dtype) for x, dtype in zip(operands, dtypes, strict=True)),
        dtypes[0],
    )


def common(*operands: Any) -> np.dtype[Any]:
    """The dtype that operands are promoted to where no ufunc says otherwise."""
    weak = {int: 0, float: 0.0, complex: 0j}
    dtypes = [dtype_of(x) for x in operands]
    return result_dtype([weak[d] if isinstance(d, type) else d for d in dtypes])


def numpy_rules(
    ufunc: Any,
    *,
    bools: Callable[..., Any] | None = None,
    eager: Callable[..., Any] | None = None,
) -> Callable[[Op], Callable[..., Any]]:
    """Decorate a record to make it a public function that promotes as `ufunc` does.

    Args:
        ufunc: whose dtype rules hold; on arrays it is also what runs.
        bools: what is recorded where the ufunc computes with bools, which ONNX's operator refuses.
        eager: runs on arrays instead of the ufunc.
    """

    def declare(record: Op) -> Callable[..., Any]:
        def symbolic(*operands: Any) -> Any:
            recorder = recorder_of(*operands)
            assert recorder is not None
            dtypes = promoted(ufunc, *operands)
            if bools is not None and dtypes[0] == bool:
                return bools(*operands)
            return record(*(recorder.tensor(x, d) for x, d in zip(operands, dtypes, strict=True)))

        run = ufunc if eager is None else eager

        # One function for each number of operands: this is what an eager call costs.
        def unary(x: Any) -> Any:
            if x.__class__ in _PLAIN:
                try:
                    return run(x)
                except (ValueError, TypeError) as error:
                    raise _explain(symbolic, (x,), {}, error) from error
            return _dispatch(run, symbolic, (x,), {})

        def binary(x1: Any, x2: Any) -> Any:
            if x1.__class__ is float or x2.__class__ is float:
                x1, x2 = alike(x1, x2)
            if x1.__class__ in _PLAIN and x2.__class__ in _PLAIN:
                try:
                    return run(x1, x2)
                except (ValueError, TypeError) as error:
                    raise _explain(symbolic, (x1, x2), {}, error) from error
            return _dispatch(run, symbolic, (x1, x2), {})

        function = unary if ufunc.nin == 1 else binary
        return _named_like(record, function)

    return declare


def float_rules(record: Op) -> Callable[..., Any]:
    """Decorate a record of floats: integers and bools become floats as `np.exp` makes them.

    Attributes of the record may also be given by position.
    """
    kernel = record.kernel
    names = tuple(record.defaults)

    def attributes(values: Sequence[Any], options: dict[str, Any]) -> dict[str, Any]:
        if len(values) > len(names):
            raise TypeError(f"{where()}{record.name} takes the attributes {names}")
        return {**dict(zip(names, values, strict=False)), **options}

    def eager(x: Any, *values: Any, **options: Any) -> Any:
        if x.__class__ is not np.ndarray or kind_of(x.dtype) != "f":
            x = np.asarray(x)
            if kind_of(x.dtype) not in "fc":
                x = x.astype(np.exp.resolve_dtypes((x.dtype, None))[0])
        if values:
            options = attributes(values, options)
        return kernel(x, **options)

    def symbolic(x: Any, *values: Any, **options: Any) -> Any:
        return record(tensor(x, promoted(np.exp, x)[0]), **attributes(values, options))

    return composite(eager)(_named_like(record, symbolic))


def _named_like(record: Op, function: Function) -> Function:
    """The function with the name, docstring and signature of a record's kernel."""
    functools.update_wrapper(function, record, updated=())
    return function


def half_in_single(kernel: Function) -> Function:
    """Decorate a kernel of several steps: 16 bits are computed in float32 and rounded once."""

    @functools.wraps(kernel)
    def wide(x: Any, *operands: Any, **attrs: Any) -> Any:
        dtype = x.dtype
        if not is_half(dtype):
            return kernel(x, *operands, **attrs)
        wider = [None if y is None else _single(y) for y in (x, *operands)]
        with np.errstate(over="ignore"):
            result = kernel(*wider, **attrs)
            if isinstance(result, tuple):
                return tuple(y.astype(dtype) for y in result)
            return result.astype(dtype)

    return wide  # type: ignore[return-value]


def one_floating_dtype(x: Any, *others: Any) -> None:
    """Raise `ValueError` unless arrays are of one floating dtype, where NumPy would not mind.

    For kernels: the error that users see is the one that inference has the words for.
    """
    if x.dtype.kind != "f" or any(y is not None and y.dtype != x.dtype for y in others):
        raise ValueError("the operands are not of one floating dtype")


def _single(x: Any) -> Any:
    return x.astype(np.float32) if is_half(x.dtype) else x
