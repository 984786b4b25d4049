"""NumPy's functions on symbolic tensors and variables.

`np.sum(x, axis=0)` reaches `call` by NumPy's protocols. Without a symbolic tensor it is NumPy's own
function on the variables' arrays; with one it is recorded by the function of `graphctx.ops` that
means the same. What that one lacks is refused by name, with the place and what to write instead.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from graphctx.context import source_line
from graphctx.errors import TraceError
from graphctx.ops.reductions import symbolic_float
from graphctx.ops.rules import common, operands_of, promoted, strong, tensor
from graphctx.spec import kind_of
from graphctx.tensor import ArrayOperators, Tensor, where

# NumPy's name of a function -> the name in `graphctx.ops`, where they differ.
NAMES = {
    "absolute": "abs", "arccos": "acos", "arccosh": "acosh", "arcsin": "asin",
    "arcsinh": "asinh", "arctan": "atan", "arctanh": "atanh", "arctan2": "atan2",
    "true_divide": "divide", "concatenate": "concat", "transpose": "permute_dims",
    "power": "pow", "left_shift": "bitwise_left_shift", "right_shift": "bitwise_right_shift",
    "invert": "bitwise_invert", "bitwise_not": "bitwise_invert", "amax": "max", "amin": "min",
    "array_split": "split", "around": "round", "norm": "vector_norm", "empty_like": "zeros_like",
    "argwhere": "nonzero", "inner": "tensordot", "vdot": "vecdot",
    "average": "mean", "select": "where", "choose": "where", "put_along_axis": "scatter_elements",
    "nansum": "where", "nanmean": "where", "nanmax": "where", "nanmin": "where",
}  # fmt: skip

# Functions of NumPy whose names mean something else in `graphctx.ops`.
_HOMONYMS = frozenset(("cond", "identity", "resize"))

# Options that do not change the values, or only how eager calls compute them.
_IGNORED = frozenset(("casting", "subok", "optimize", "device", "copy", "kind", "stable"))

# What to write instead of an option that is not recorded.
_REMEDIES = {
    "out": "use the result that is returned: x = x + y instead of x += y",
    "where": "choose the elements with ops.where(mask, x, other) first",
    "initial": "combine it with the result, as ops.maximum does",
    "dtype": "convert with ops.astype",
    "mean": "leave it out: it is computed",
    "order": "permute the axes with ops.permute_dims",
}


def call(function: Any, method: str, inputs: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Apply one of NumPy's functions, or a method of a ufunc, where an argument is not an array.

    Raises:
        TraceError: it cannot be recorded on a symbolic tensor, or not with these options.
    """
    if not _symbolic(inputs) and not _symbolic(kwargs):
        # Beside a tensor, variables stay: a functional model keeps them by reference.
        inputs, kwargs = _resolved(inputs), _resolved(kwargs)
        if not _symbolic(inputs) and not _symbolic(kwargs):
            own = function if method == "__call__" else getattr(function, method)
            return own(*inputs, **kwargs)
    if isinstance(function, np.ufunc):
        return _ufunc(function, method, inputs, kwargs)
    return _function(function, inputs, kwargs)


def _symbolic(x: Any) -> bool:
    if isinstance(x, (tuple, list)):
        return any(map(_symbolic, x))
    if isinstance(x, Mapping):
        return any(map(_symbolic, x.values()))
    return isinstance(x, Tensor)


def _resolved(x: Any) -> Any:
    if isinstance(x, ArrayOperators):
        return x.resolve()
    if type(x) in (tuple, list):
        return type(x)(map(_resolved, x))
    if isinstance(x, Mapping):
        return {name: _resolved(value) for name, value in x.items()}
    return x


def _ops() -> ModuleType:
    from graphctx import ops  # which imports this module's siblings

    return ops


def _ufunc(ufunc: Any, method: str, inputs: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    name = ufunc.__name__
    options = {k: v for k, v in kwargs.items() if not _is_default(k, v)}
    if method == "reduce" and name in _REDUCTIONS:
        return _apply(_REDUCTIONS[name], f"{name}.reduce", inputs, {"axis": 0, **options})
    if method == "accumulate" and name in ("add", "multiply"):
        function = _cumsum if name == "add" else _cumprod
        return _apply(function, f"{name}.accumulate", inputs, {"axis": 0, **options})
    if method != "__call__":
        raise _unknown(f"{name}.{method}", name)
    known: Any = _UFUNCS.get(name) or getattr(_ops(), NAMES.get(name, name), None)
    if known is None:
        raise _unknown(name, name)
    return _apply(known, name, inputs, options)


def _is_default(option: str, value: Any) -> bool:
    if option == "out":
        return value is None or (isinstance(value, tuple) and all(x is None for x in value))
    if option == "where":
        return value is True or value is np._NoValue
    if option in ("dtype", "signature"):
        return value is None
    if option in ("axis", "axes"):
        return value is np._NoValue
    return value is np._NoValue or option in (*_IGNORED, "order") or value is False


def _function(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    name = function.__name__
    module = function.__module__ or ""
    shown = name if module == "numpy" else f"{module.removeprefix('numpy.')}.{name}"
    adapter = _FUNCTIONS.get(shown)
    known: Any = adapter or getattr(_ops(), NAMES.get(name, name), None)
    if adapter is None and (
        not callable(known)
        or (module != "numpy" and shown not in _LINALG)
        or (name in NAMES and name not in _SAME)
        or name in _HOMONYMS
    ):
        raise _unknown(shown, name)
    try:
        signature = _signature(function)
        bound = signature.bind(*args, **kwargs)
    except (TypeError, ValueError) as error:
        raise TraceError(f"{where()}np.{shown}: {error} ({source_line()})") from None
    operands: list[Any] = []
    options: dict[str, Any] = {}
    for parameter, value in bound.arguments.items():
        declared = signature.parameters[parameter]
        if declared.kind is declared.VAR_POSITIONAL:
            operands += value
        elif declared.kind is declared.VAR_KEYWORD:
            options.update(value)
        elif declared.default is declared.empty:
            operands.append(value)
        elif not (
            value is declared.default
            or parameter in _IGNORED
            or (parameter == "order" and isinstance(value, str) and value in "CKA")
            or (isinstance(value, (bool, int, str)) and value == declared.default)
        ):
            options[parameter] = value
    return _apply(known, shown, operands, options)


@functools.lru_cache(maxsize=256)
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


def _apply(
    function: Callable[..., Any], shown: str, operands: Sequence[Any], options: Mapping[str, Any]
) -> Any:
    """Call a function whose parameters have NumPy's names; refuse what it lacks."""
    signature = _signature(function)
    for option in options:
        if option not in signature.parameters:
            remedy = _REMEDIES.get(option)
            raise TraceError(
                f"{where()}np.{shown} with {option}= cannot be recorded on a symbolic tensor"
                f"{'; ' + remedy if remedy else ''} ({source_line()})"
            )
    try:
        signature.bind(*operands, **options)
    except TypeError as error:
        raise TraceError(
            f"{where()}np.{shown} cannot be recorded on a symbolic tensor like this: {error} "
            f"({source_line()})"
        ) from None
    return function(*operands, **options)


def counterpart(name: str) -> str:
    """What to use instead of a function or method of NumPy that is not recorded."""
    ops = _ops()
    own = NAMES.get(name, name)
    if own in ops.__all__ and name not in _HOMONYMS:
        return f"use ops.{own}"
    return "compute it with functions of graphctx.ops"


def _unknown(shown: str, name: str) -> TraceError:
    return TraceError(
        f"{where()}np.{shown} cannot be recorded on a symbolic tensor; {counterpart(name)} "
        f"({source_line()})"
    )


# -- functions whose parameters are not those of graphctx.ops -------------------------------------


def _float_power(x1: Any, x2: Any) -> Any:
    x1, x2, _ = operands_of(np.float_power, x1, x2)
    return _ops().pow(x1, x2)


def _rint(x: Any) -> Any:
    return _ops().round(tensor(x, promoted(np.rint, x)[0]))


def _fabs(x: Any) -> Any:
    return _ops().abs(tensor(x, promoted(np.fabs, x)[0]))


def _conjugate(x: Any) -> Any:
    return tensor(x, promoted(np.conjugate, x)[0])


def _divmod(x1: Any, x2: Any) -> Any:
    return _ops().floor_divide(x1, x2), _ops().remainder(x1, x2)


def _sum(a: Any, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Any:
    return _ops().sum(a, axis=axis, dtype=dtype, keepdims=keepdims)


def _prod(a: Any, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Any:
    return _ops().prod(a, axis=axis, dtype=dtype, keepdims=keepdims)


def _max(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return _ops().max(a, axis=axis, keepdims=keepdims)


def _min(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return _ops().min(a, axis=axis, keepdims=keepdims)


def _any(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return _ops().any(a, axis=axis, keepdims=keepdims)


def _all(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return _ops().all(a, axis=axis, keepdims=keepdims)


def _as_float(a: Any, dtype: Any, name: str) -> Any:
    if dtype is None:
        return a
    if kind_of(np.dtype(dtype)) != "f":
        raise TraceError(
            f"{where()}np.{name} with dtype={np.dtype(dtype)} cannot be recorded on a symbolic "
            f"tensor; convert the result with ops.astype ({source_line()})"
        )
    return _ops().astype(a, dtype)


def _mean(a: Any, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Any:
    return _ops().mean(_as_float(a, dtype, "mean"), axis=axis, keepdims=keepdims)


def _spread(name: str) -> Callable[..., Any]:
    def spread(
        a: Any, axis: Any = None, dtype: Any = None, ddof: Any = 0, keepdims: Any = False,
        correction: Any = 0,
    ) -> Any:  # fmt: skip
        if ddof and correction:
            raise TraceError(
                f"{where()}np.{name}: ddof and correction are two names of one option; give one "
                f"({source_line()})"
            )
        a = _as_float(a, dtype, name)
        return getattr(_ops(), name)(a, axis=axis, keepdims=keepdims, correction=ddof or correction)

    return spread


def _ptp(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return _ops().subtract(_max(a, axis, keepdims), _min(a, axis, keepdims))


def _cumulation(name: str) -> Callable[..., Any]:
    def cumulate(a: Any, axis: Any = None, dtype: Any = None, include_initial: Any = False) -> Any:
        ops = _ops()
        a = a if dtype is None else ops.astype(a, dtype)
        found = getattr(ops, name)(a, axis, include_initial)
        return found if dtype is None else ops.astype(found, dtype)

    return cumulate


_cumsum = _cumulation("cumulative_sum")
_cumprod = _cumulation("cumulative_prod")


def _clip(a: Any, a_min: Any = None, a_max: Any = None, min: Any = None, max: Any = None) -> Any:
    return _ops().clip(a, a_min if min is None else min, a_max if max is None else max)


def _round(a: Any, decimals: Any = 0) -> Any:
    ops = _ops()
    a = tensor(a)
    if kind_of(a.dtype) in "iu" and decimals >= 0:
        return a
    if decimals == 0:
        return _rint(a)
    if a.dtype == bool:
        raise TraceError(f"{where()}np.round: bools have no decimals ({source_line()})")
    wide = ops.astype(a, np.float64) if kind_of(a.dtype) in "iu" else a
    factor = 10.0 ** abs(decimals)
    there, back = (ops.multiply, ops.divide) if decimals > 0 else (ops.divide, ops.multiply)
    return ops.astype(back(ops.round(there(wide, factor)), factor), a.dtype)


def _pad(array: Any, pad_width: Any, mode: Any = "constant", constant_values: Any = 0) -> Any:
    if not isinstance(mode, str) or mode not in ("constant", "edge", "reflect", "wrap"):
        raise TraceError(
            f"{where()}np.pad with mode={mode!r} cannot be recorded on a symbolic tensor; the "
            f"modes are constant, edge, reflect and wrap ({source_line()})"
        )
    if not isinstance(constant_values, Tensor) and np.ndim(constant_values):
        raise TraceError(
            f"{where()}np.pad with several constant_values cannot be recorded on a symbolic "
            f"tensor; pad one side after the other with ops.pad ({source_line()})"
        )
    return _ops().pad(array, pad_width, mode=mode, value=constant_values)


def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None and y is None:
        return _ops().nonzero(condition)
    return _ops().where(condition, x, y)


def _linspace(start: Any, stop: Any, num: Any = 50, endpoint: Any = True, dtype: Any = None) -> Any:
    return _ops().linspace(start, stop, num, endpoint, "float64" if dtype is None else dtype)


def _reshape(a: Any, shape: Any) -> Any:
    return _ops().reshape(a, shape)


def _ravel(a: Any) -> Any:
    return _ops().reshape(a, (-1,))


def _copy(a: Any) -> Any:
    return strong(tensor(a))  # a tensor is never written to


def _astype(x: Any, dtype: Any) -> Any:
    return _ops().astype(x, dtype)


def _concat(arrays: Any, axis: Any = 0, dtype: Any = None) -> Any:
    ops = _ops()
    return ops.concat(arrays if dtype is None else [ops.astype(x, dtype) for x in arrays], axis)


def _stack(arrays: Any, axis: Any = 0, dtype: Any = None) -> Any:
    ops = _ops()
    return ops.stack(arrays if dtype is None else [ops.astype(x, dtype) for x in arrays], axis)


def _vstack(tup: Any, dtype: Any = None) -> Any:
    ops = _ops()
    rows = [x if np.ndim(x) > 1 else ops.reshape(x, (1, -1)) for x in tup]
    return _concat(rows, 0, dtype)


def _hstack(tup: Any, dtype: Any = None) -> Any:
    ops = _ops()
    parts = [x if np.ndim(x) else ops.reshape(x, (1,)) for x in tup]
    return _concat(parts, 0 if np.ndim(parts[0]) == 1 else 1, dtype)


def _inner(a: Any, b: Any) -> Any:
    ops = _ops()
    if not np.ndim(a) or not np.ndim(b):
        return ops.multiply(tensor(a, like=b), tensor(b, like=a))
    return ops.tensordot(a, b, axes=((-1,), (-1,)))


def _unstack(x: Any, axis: Any = 0) -> Any:
    return tuple(_ops().unstack(x, axis))


def _sort(a: Any, axis: Any = -1) -> Any:
    return _ops().sort(a, axis)


def _argsort(a: Any, axis: Any = -1) -> Any:
    return _ops().argsort(a, axis)


def _size(a: Any, axis: Any = None) -> Any:
    return a.size if axis is None else a.shape[axis]


def _diagonal(a: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1) -> Any:
    ops = _ops()
    return ops.diagonal(ops.moveaxis(a, (axis1, axis2), (-2, -1)), offset)


def _trace(
    a: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1, dtype: Any = None
) -> Any:  # fmt: skip
    return _ops().sum(_diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype)


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: Any = False) -> Any:
    ops = _ops()
    x = symbolic_float(x)
    matrix = (
        (isinstance(axis, (tuple, list)) and len(axis) == 2)
        or (axis is None and x.ndim == 2)
    )  # fmt: skip
    if ord is None and axis is None:
        flat = ops.reshape(x, (-1,))
        found = ops.sqrt(ops.matmul(flat, flat))
        return ops.reshape(found, (1,) * x.ndim) if keepdims else found
    if ord == "fro" if isinstance(ord, str) else ord is None or not matrix:
        if not matrix and (isinstance(ord, str) or (axis is None and x.ndim != 1)):
            raise _norm_error(x, ord, axis)
        if ord == 0:
            return ops.sum(ops.astype(ops.not_equal(x, 0), x.dtype), axis=axis, keepdims=keepdims)
        order = 2 if ord is None or isinstance(ord, str) else ord
        return ops.vector_norm(x, axis=axis, keepdims=keepdims, ord=order)
    raise _norm_error(x, ord, axis)


def _norm_error(x: Tensor, ord: Any, axis: Any) -> TraceError:
    return TraceError(
        f"{where()}np.linalg.norm of {x.spec} with ord={ord!r} and axis={axis!r} cannot be "
        f"recorded on a symbolic tensor; use ops.vector_norm ({source_line()})"
    )


def _vector_norm(x: Any, axis: Any = None, keepdims: Any = False, ord: Any = 2) -> Any:
    return _ops().vector_norm(symbolic_float(x), axis=axis, keepdims=keepdims, ord=ord)


def result_type(*items: Any) -> Any:
    """The dtype that arrays, tensors, dtypes and Python's numbers are promoted to."""
    if all(isinstance(x, (ArrayOperators, np.ndarray, int, float, complex)) for x in items):
        return common(*items)
    return np.result_type(
        *(np.empty((), x.dtype) if isinstance(x, ArrayOperators) else x for x in items)
    )


_UFUNCS: dict[str, Callable[..., Any]] = {
    "float_power": _float_power, "rint": _rint, "fabs": _fabs, "conjugate": _conjugate,
    "divmod": _divmod,
}  # fmt: skip

_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "add": _sum, "multiply": _prod, "maximum": _max, "minimum": _min, "logical_or": _any,
    "logical_and": _all,
}  # fmt: skip

# By NumPy's name; parameters have NumPy's names, too, but only those that are recorded.
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sum": _sum, "prod": _prod, "max": _max, "min": _min, "amax": _max, "amin": _min, "any": _any,
    "all": _all, "mean": _mean, "var": _spread("var"), "std": _spread("std"), "ptp": _ptp,
    "cumsum": _cumsum, "cumprod": _cumprod, "cumulative_sum": _cumsum,
    "cumulative_prod": _cumprod, "clip": _clip, "round": _round, "around": _round, "pad": _pad,
    "where": _where, "reshape": _reshape, "ravel": _ravel, "copy": _copy, "astype": _astype,
    "linspace": _linspace,
    "concatenate": _concat, "concat": _concat, "stack": _stack, "vstack": _vstack,
    "hstack": _hstack, "inner": _inner, "unstack": _unstack, "sort": _sort, "argsort": _argsort,
    "shape": lambda a: a.shape, "ndim": lambda a: a.ndim, "size": _size,
    "result_type": result_type, "diagonal": _diagonal, "trace": _trace,
    "linalg.norm": _norm, "linalg.vector_norm": _vector_norm,
    "iscomplexobj": lambda x: x.dtype.kind == "c", "isrealobj": lambda x: x.dtype.kind != "c",
}  # fmt: skip

# Functions of `numpy.linalg` that are those of `graphctx.ops` of that name.
_LINALG = frozenset(
    f"linalg.{name}"
    for name in (
        "cross",
        "diagonal",
        "matmul",
        "matrix_norm",
        "matrix_power",
        "matrix_transpose",
        "outer",
        "tensordot",
        "trace",
        "vecdot",
    )
)

# Functions whose counterpart takes the same arguments; the others in NAMES are only near.
_SAME = frozenset(("transpose", "array_split"))
