"""The standard's extension for Fourier transforms: what is not complex is recorded."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphctx import ops
from graphctx.array_api.signatures import eager_only, require_cpu
from graphctx.ops.rules import recorder_of
from graphctx.ops.table import normalize_axis

__all__ = [
    "fft",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "ifft",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfftn",
    "rfft",
    "rfftfreq",
    "rfftn",
]


def fft(x: Any, /, *, n: Any = None, axis: int = -1, norm: str = "backward") -> Any:
    """The discrete Fourier transform along an axis."""
    return eager_only("fft.fft", np.fft.fft, x, n=n, axis=axis, norm=norm)


def ifft(x: Any, /, *, n: Any = None, axis: int = -1, norm: str = "backward") -> Any:
    """The inverse of `fft`."""
    return eager_only("fft.ifft", np.fft.ifft, x, n=n, axis=axis, norm=norm)


def fftn(x: Any, /, *, s: Any = None, axes: Any = None, norm: str = "backward") -> Any:
    """The discrete Fourier transform along several axes."""
    return eager_only("fft.fftn", np.fft.fftn, x, s=s, axes=axes, norm=norm)


def ifftn(x: Any, /, *, s: Any = None, axes: Any = None, norm: str = "backward") -> Any:
    """The inverse of `fftn`."""
    return eager_only("fft.ifftn", np.fft.ifftn, x, s=s, axes=axes, norm=norm)


def rfft(x: Any, /, *, n: Any = None, axis: int = -1, norm: str = "backward") -> Any:
    """The half of the transform of a real signal that says all."""
    return eager_only("fft.rfft", np.fft.rfft, x, n=n, axis=axis, norm=norm)


def irfft(x: Any, /, *, n: Any = None, axis: int = -1, norm: str = "backward") -> Any:
    """The inverse of `rfft`."""
    return eager_only("fft.irfft", np.fft.irfft, x, n=n, axis=axis, norm=norm)


def rfftn(x: Any, /, *, s: Any = None, axes: Any = None, norm: str = "backward") -> Any:
    """`rfft` along the last of several axes, `fft` along the others."""
    return eager_only("fft.rfftn", np.fft.rfftn, x, s=s, axes=axes, norm=norm)


def irfftn(x: Any, /, *, s: Any = None, axes: Any = None, norm: str = "backward") -> Any:
    """The inverse of `rfftn`."""
    return eager_only("fft.irfftn", np.fft.irfftn, x, s=s, axes=axes, norm=norm)


def hfft(x: Any, /, *, n: Any = None, axis: int = -1, norm: str = "backward") -> Any:
    """The transform of a signal whose other half is its conjugate in reverse order."""
    return eager_only("fft.hfft", np.fft.hfft, x, n=n, axis=axis, norm=norm)


def ihfft(x: Any, /, *, n: Any = None, axis: int = -1, norm: str = "backward") -> Any:
    """The inverse of `hfft`."""
    return eager_only("fft.ihfft", np.fft.ihfft, x, n=n, axis=axis, norm=norm)


def fftfreq(n: Any, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Any:
    """Frequencies of `fft`, in cycles per unit of the sample spacing `d`; float64."""
    return _frequencies(n, d, dtype, device, half=False)


def rfftfreq(n: Any, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Any:
    """Frequencies of `rfft`, in cycles per unit of the sample spacing `d`; float64."""
    return _frequencies(n, d, dtype, device, half=True)


def _frequencies(n: Any, d: float, dtype: Any, device: Any, *, half: bool) -> Any:
    require_cpu(device)
    recorder = recorder_of(n)
    if half:
        counts = ops.arange(0, n // 2 + 1)
    else:
        counts = ops.concat([ops.arange(0, (n - 1) // 2 + 1), ops.arange(-(n // 2), 0)])
    size = n if recorder is None else ops.astype(recorder.tensor(n), np.float64)
    return ops.astype(counts * (1.0 / (size * d)), np.float64 if dtype is None else dtype)


def fftshift(x: Any, /, *, axes: Any = None) -> Any:
    """The frequency 0 moved to the middle of each axis."""
    return _shifted(x, axes, lambda size: size - size // 2)


def ifftshift(x: Any, /, *, axes: Any = None) -> Any:
    """The inverse of `fftshift`."""
    return _shifted(x, axes, lambda size: size // 2)


def _shifted(x: Any, axes: Any, cut: Any) -> Any:
    """Along each axis, what is before the cut behind what is after it."""
    rank = np.ndim(x)
    if axes is None:
        axes = range(rank)
    for axis in axes if isinstance(axes, (tuple, list, range)) else (axes,):
        lead = (slice(None),) * normalize_axis(axis, rank)
        place = cut(x.shape[axis])
        after, before = x[(*lead, slice(place, None))], x[(*lead, slice(None, place))]
        x = ops.concat([after, before], axis)
    return x
