"""How functions of `graphctx.ops` and NumPy become the standard's, and what is refused.

On arrays and variables every function computes at once. On symbolic tensors it records, or says
why it cannot.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from graphctx import ops
from graphctx.context import source_line
from graphctx.errors import TraceError
from graphctx.ops.rules import recorder_of
from graphctx.tensor import ArrayOperators, Tensor, where

Function = TypeVar("Function", bound=Callable[..., Any])

_FACTORS = "ONNX has no operator that factors or inverts matrices"
_COMPLEX = "ONNX's operators take no complex numbers: ops.dft has pairs of numbers instead"

REFUSED = {
    "from_dlpack": "a symbolic tensor has no memory to share",
    "linalg.cholesky": _FACTORS,
    "linalg.eigh": _FACTORS,
    "linalg.eigvalsh": _FACTORS,
    "linalg.inv": _FACTORS,
    "linalg.matrix_rank": f"it counts singular values, and {_FACTORS}",
    "linalg.pinv": _FACTORS,
    "linalg.qr": _FACTORS,
    "linalg.slogdet": _FACTORS,
    "linalg.solve": _FACTORS,
    "linalg.svd": _FACTORS,
    "linalg.svdvals": _FACTORS,
    "fft.fft": f"the result is complex, and {_COMPLEX}",
    "fft.ifft": f"the result is complex, and {_COMPLEX}",
    "fft.fftn": f"the result is complex, and {_COMPLEX}",
    "fft.ifftn": f"the result is complex, and {_COMPLEX}",
    "fft.rfft": f"the result is complex, and {_COMPLEX}",
    "fft.irfft": f"the operand is complex, and {_COMPLEX}",
    "fft.rfftn": f"the result is complex, and {_COMPLEX}",
    "fft.irfftn": f"the operand is complex, and {_COMPLEX}",
    "fft.hfft": f"the operand is complex, and {_COMPLEX}",
    "fft.ihfft": f"the result is complex, and {_COMPLEX}",
}
"""What a symbolic tensor is refused by, and why; arrays are not."""


def eager_only(name: str, function: Callable[..., Any], *operands: Any, **options: Any) -> Any:
    """Call NumPy's function on arrays and variables.

    Raises:
        TraceError: an operand is symbolic; the message has the reason.
    """
    operands = tuple(x.resolve() if isinstance(x, ArrayOperators) else x for x in operands)
    if recorder_of(*operands) is not None:
        specs = ", ".join(str(x.spec) for x in operands if isinstance(x, Tensor))
        raise TraceError(
            f"{where()}{name} of {specs} cannot be recorded: {REFUSED[name]}; compute it outside "
            f"of the model and give the result as a weight or an input ({source_line()})"
        )
    return function(*operands, **options)


def documented(function: Callable[..., Any]) -> Callable[[Function], Function]:
    """Decorate a function that is another one but for its signature with its docstring."""

    def declare(standard: Function) -> Function:
        standard.__doc__ = function.__doc__
        return standard

    return declare


def unary(name: str) -> Callable[[Any], Any]:
    """The function of `graphctx.ops` of that name as one of an array."""
    function = getattr(ops, name)

    @documented(function)
    def standard(x: Any, /) -> Any:
        return function(x)

    standard.__name__ = standard.__qualname__ = name
    return standard


def binary(name: str) -> Callable[[Any, Any], Any]:
    """The function of `graphctx.ops` of that name as one of two arrays."""
    function = getattr(ops, name)

    @documented(function)
    def standard(x1: Any, x2: Any, /) -> Any:
        return function(x1, x2)

    standard.__name__ = standard.__qualname__ = name
    return standard


def require_cpu(device: Any) -> None:
    """Raise `ValueError` for a device that there is not."""
    if device not in (None, "cpu"):
        raise ValueError(f"{where()}the only device is 'cpu', got {device!r}")
