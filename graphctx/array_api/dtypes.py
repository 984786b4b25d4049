"""Functions of the standard about dtypes."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from graphctx import ops
from graphctx.array_api.signatures import require_cpu
from graphctx.ops.floats import limits
from graphctx.spec import as_dtype
from graphctx.tensor import ArrayOperators


def _dtype(x: Any) -> Any:
    """A dtype, or that of an array, a tensor or a variable."""
    return x.dtype if isinstance(x, (ArrayOperators, np.ndarray, np.generic)) else as_dtype(x)


def astype(x: Any, dtype: Any, /, *, copy: builtins.bool = True, device: Any = None) -> Any:
    """The same values as another dtype; with `copy` an array of its own."""
    require_cpu(device)
    x = x.resolve() if isinstance(x, ArrayOperators) else x
    found = ops.astype(x, dtype)
    return found.copy() if copy and found is x and isinstance(x, np.ndarray) else found


def can_cast(from_: Any, to: Any, /) -> builtins.bool:
    """Whether a dtype, or that of an array, becomes another one by promotion."""
    return np.can_cast(_dtype(from_), as_dtype(to))


def finfo(type: Any, /) -> Any:
    """Limits of a floating dtype, or of that of an array."""
    return limits(_dtype(type))


def iinfo(type: Any, /) -> Any:
    """Limits of an integer dtype, or of that of an array."""
    return np.iinfo(_dtype(type))


def isdtype(dtype: Any, kind: Any) -> builtins.bool:
    """Whether a dtype is another one, or of a kind such as "integral" or "real floating"."""
    return np.isdtype(np.dtype(dtype), kind)


def result_type(*arrays_and_dtypes: Any) -> Any:
    """The dtype that arrays, tensors, dtypes and Python's numbers are promoted to."""
    from graphctx.ops.protocol import result_type

    return result_type(*arrays_and_dtypes)
