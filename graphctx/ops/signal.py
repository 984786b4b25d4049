"""Signals: windows, discrete Fourier transforms, and the weights of mel spectra.

Complex numbers are real tensors with a last axis of 2: the real and the imaginary part.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from graphctx.errors import ShapeError
from graphctx.graph import Value
from graphctx.ops.rules import half_in_single, one_floating_dtype
from graphctx.ops.shape import with_recorder
from graphctx.ops.table import Inferred, common_dtype, known_dims, normalize_axis, op, require_kind
from graphctx.spec import (
    Dim,
    DimLike,
    as_dtype,
    may_be_same,
    require_same_dim,
    same_dim,
    shape_text,
)
from graphctx.tensor import ArrayOperators

FLOAT32 = np.dtype(np.float32)


def _number(value: Value | None, what: str) -> Any:
    """The element of a scalar operand that a size follows from: a number or a dimension.

    Raises:
        ShapeError: it is no scalar.
    """
    if value is not None and value.shape not in ((), (1,)):
        raise ShapeError(f"{what} is a scalar, got {shape_text(value.shape)}")
    return known_dims(value, what)[0]


def _scalar(x: Any) -> Any:
    """A size as an operand; what is symbolic stays so."""
    return x if isinstance(x, (Dim, ArrayOperators)) else np.asarray(operator.index(x), np.int64)


# -- windows --------------------------------------------------------------------------------------


def _infer_window(size: Value, *, output_datatype: Any = None, periodic: int = 1) -> Inferred:
    require_kind(size, "i", "an integer as size")
    count = _number(size, "size")
    if not isinstance(count, Dim) and count < 0:
        raise ShapeError(f"the size of a window is at least 0, got {count}")
    dtype = FLOAT32 if output_datatype is None else as_dtype(output_datatype)
    return (count,), dtype


def _window(
    terms: tuple[float, ...], size: Any, *, output_datatype: Any = None, periodic: int = 1
) -> Any:
    """The sum of cosines of multiples of an angle that goes around once over a window."""
    count = int(size.item())
    if count < 0:
        raise ValueError("a negative size")
    dtype = FLOAT32 if output_datatype is None else np.dtype(output_datatype)
    with np.errstate(invalid="ignore"):  # a symmetric window of one element is 0 / 0
        angle = np.arange(count) * (2 * np.pi) / np.float64(count if periodic else count - 1)
        # The constant last: the largest element is 1 then, and stays so as an integer.
        waves = (factor * np.cos(i * angle) for i, factor in enumerate(terms) if i)
        y: Any = sum(waves) + terms[0]
        return y.astype(dtype)


_HANN = (0.5, -0.5)
_HAMMING = (25 / 46, -21 / 46)
_BLACKMAN = (0.42, -0.5, 0.08)


@op("HannWindow", since=17, infer=_infer_window)
def hann_window_op(size: Any, *, output_datatype: Any = None, periodic: int = 1) -> Any:
    """Hann window: `0.5 - 0.5 * cos(2 * pi * n / size)`."""
    return _window(_HANN, size, output_datatype=output_datatype, periodic=periodic)


@op("HammingWindow", since=17, infer=_infer_window)
def hamming_window_op(size: Any, *, output_datatype: Any = None, periodic: int = 1) -> Any:
    """Hamming window: `25 / 46 - 21 / 46 * cos(2 * pi * n / size)`."""
    return _window(_HAMMING, size, output_datatype=output_datatype, periodic=periodic)


@op("BlackmanWindow", since=17, infer=_infer_window)
def blackman_window_op(size: Any, *, output_datatype: Any = None, periodic: int = 1) -> Any:
    """Blackman window: `0.42 - 0.5 * cos(a) + 0.08 * cos(2 * a)` with `a = 2 * pi * n / size`."""
    return _window(_BLACKMAN, size, output_datatype=output_datatype, periodic=periodic)


def hann_window(size: Any, *, periodic: bool = True, dtype: Any = "float32") -> Any:
    """Hann window: `0.5 - 0.5 * cos(2 * pi * n / size)`.

    Args:
        size: number of elements; an int, a symbolic dimension or a scalar tensor.
        periodic: whether the window is one period, for spectra. Otherwise it is symmetric, with
            `size - 1` in the formula; of one element it then is NaN, as ONNX defines it.
        dtype: of the result; integers are cut off.

    Raises:
        ShapeError: the size is negative.
    """
    return _made(hann_window_op, size, periodic, dtype)


def hamming_window(size: Any, *, periodic: bool = True, dtype: Any = "float32") -> Any:
    """Hamming window: `25 / 46 - 21 / 46 * cos(2 * pi * n / size)`; see `hann_window`."""
    return _made(hamming_window_op, size, periodic, dtype)


def blackman_window(size: Any, *, periodic: bool = True, dtype: Any = "float32") -> Any:
    """Blackman window: `0.42 - 0.5 * cos(a) + 0.08 * cos(2 * a)` with `a = 2 * pi * n / size`.

    See `hann_window` for the arguments.
    """
    return _made(blackman_window_op, size, periodic, dtype)


def _made(record: Callable[..., Any], size: Any, periodic: bool, dtype: Any) -> Any:
    target = as_dtype(dtype)
    attrs: dict[str, Any] = {} if target == FLOAT32 else {"output_datatype": target}
    return record(_scalar(size), **attrs, **({} if periodic else {"periodic": 0}))


# -- Fourier transforms ---------------------------------------------------------------------------


def _parts(value: Value, what: str, rank: int | None = None) -> DimLike:
    """How many numbers an element has: 1 if it is real, 2 if it is complex."""
    require_kind(value, "f", "a floating dtype")
    fits = value.rank >= 2 if rank is None else value.rank == rank
    parts = value.shape[-1] if fits else 0
    if not (may_be_same(parts, 1) or may_be_same(parts, 2)):
        raise ShapeError(
            f"{what} has a last axis of 1 for real or 2 for complex numbers, got "
            f"{shape_text(value.shape)}"
        )
    return parts


def _no_half_of_complex(parts: DimLike, onesided: int) -> None:
    if onesided and same_dim(parts, 2):
        raise ShapeError("half of a spectrum is enough of real numbers only, not of complex ones")


def _infer_dft(
    input: Value, dft_length: Value | None = None, axis: Value | None = None, *, inverse: int = 0,
    onesided: int = 0,
) -> Inferred:  # fmt: skip
    parts = _parts(input, "the input")
    if not inverse:
        _no_half_of_complex(parts, onesided)
    last = 1 if onesided and inverse else 2
    place = -2 if axis is None else _number(axis, "the axis")
    if isinstance(place, Dim):
        return (*(Dim.unknown() for _ in input.shape[:-1]), last), input.dtype
    along = normalize_axis(place, input.rank)
    if along == input.rank - 1:
        raise ShapeError("the last axis has the parts of a number, and is not transformed")
    length: DimLike = input.shape[along]
    if dft_length is not None:
        length = _number(dft_length, "dft_length")
        require_kind(dft_length, "i", "an integer as dft_length")
    elif inverse and onesided:
        length = 2 * (length - 1)
    if not isinstance(length, Dim) and length < 1:
        raise ShapeError(f"a transform has at least one element, got dft_length={length}")
    count = length // 2 + 1 if onesided and not inverse else length
    return (*input.shape[:along], count, *input.shape[along + 1 : -1], last), input.dtype


def _complex(x: Any) -> Any:
    """Parts as NumPy's complex numbers; real ones stay real."""
    if x.shape[-1] == 1:
        return x[..., 0]
    wide = np.complex128 if x.dtype == np.float64 else np.complex64
    return np.ascontiguousarray(x).view(wide)[..., 0]


def _as_parts(x: Any) -> Any:
    """NumPy's complex numbers as real and imaginary parts."""
    x = np.ascontiguousarray(x)
    return x.view(x.real.dtype).reshape(*x.shape, 2)


@op("DFT", since=20, infer=_infer_dft)
@half_in_single
def dft_op(
    input: Any, dft_length: Any = None, axis: Any = None, *, inverse: int = 0, onesided: int = 0
) -> Any:
    """Discrete Fourier transform along an axis, of real numbers or pairs, or its inverse."""
    along = -2 if axis is None else int(axis.item())
    along += input.ndim if along < 0 else 0
    if not 0 <= along < input.ndim - 1 or input.shape[-1] not in (1, 2):
        raise ValueError("the axis does not fit")
    one_floating_dtype(input)
    length = None if dft_length is None else int(dft_length.item())
    x = _complex(input)
    if onesided and inverse:
        return np.fft.irfft(x, length, along)[..., None]
    if onesided:
        if input.shape[-1] == 2:
            raise ValueError("half of a spectrum of complex numbers")
        return _as_parts(np.fft.rfft(x, length, along))
    return _as_parts((np.fft.ifft if inverse else np.fft.fft)(x, length, along))


def dft(
    x: Any, length: Any = None, *, axis: int = -2, inverse: bool = False, onesided: bool = False
) -> Any:
    """Discrete Fourier transform `y[k] = sum(x[n] * exp(-2j * pi * k * n / length))`.

    Args:
        x: floats [..., 1], real numbers, or [..., 2], complex ones: real and imaginary parts.
        length: of the transform; x is cut off or filled with zeros. The size of the axis where it
            is not given; `2 * (size - 1)` for the inverse of half a spectrum.
        axis: to transform; not the last one.
        inverse: whether to compute the inverse, `1 / length` times the sum with `+2j`.
        onesided: whether only the first `length // 2 + 1` elements are made (or, for the inverse,
            given), which are enough where the signal is real.

    Returns:
        [..., 2]; the inverse of half a spectrum is real, [..., 1].

    Raises:
        ShapeError: the last axis is not 1 or 2, or half a spectrum of complex numbers is asked for.
    """
    x, _ = with_recorder(x, length)
    along = normalize_axis(axis, x.ndim)
    operand = None if along == x.ndim - 2 else np.asarray(along, np.int64)
    attrs = {"inverse": int(inverse), "onesided": int(onesided)}
    return dft_op(
        x, None if length is None else _scalar(length), operand,
        **{name: 1 for name, value in attrs.items() if value},
    )  # fmt: skip


def _infer_stft(
    signal: Value, frame_step: Value, window: Value | None = None,
    frame_length: Value | None = None, *, onesided: int = 1,
) -> Inferred:  # fmt: skip
    parts = _parts(signal, "the signal [batch, length, 1 or 2]", 3)
    _no_half_of_complex(parts, onesided)
    batch, size, _ = signal.shape
    length: DimLike = size
    if window is not None:
        common_dtype((signal, window))
        if window.rank != 1:
            raise ShapeError(f"the window is a vector, got {shape_text(window.shape)}")
        length = window.shape[0]
    if frame_length is not None:
        given = _number(frame_length, "frame_length")
        if window is not None:
            require_same_dim(given, length, "frame_length and the size of the window differ")
        length = given
    step = _number(frame_step, "frame_step")
    if not isinstance(step, Dim) and step < 1:
        raise ShapeError(f"frame_step is at least 1, got {step}")
    if not isinstance(length, Dim) and length < 1:
        raise ShapeError(f"a frame has at least one element, got {length}")
    frames = 1 if same_dim(length, size) else (size - length) // step + 1
    if not isinstance(frames, Dim) and frames < 1:
        raise ShapeError(f"frames of {length} elements do not fit a signal of {size}")
    return (batch, frames, length // 2 + 1 if onesided else length, 2), signal.dtype


@op("STFT", since=17, infer=_infer_stft)
@half_in_single
def stft_op(
    signal: Any, frame_step: Any, window: Any = None, frame_length: Any = None, *,
    onesided: int = 1,
) -> Any:  # fmt: skip
    """Fourier transforms of frames that slide over a signal, each multiplied by a window."""
    step = int(frame_step.item())
    length = signal.shape[1] if window is None else window.shape[0]
    if frame_length is not None and window is None:
        length = int(frame_length.item())
    one_floating_dtype(signal, window)
    if signal.ndim != 3 or step < 1 or (frame_length is not None and length != frame_length):
        raise ValueError("the frames do not fit")
    x = _complex(signal)
    frames = np.lib.stride_tricks.sliding_window_view(x, length, axis=1)[:, ::step]
    if window is not None:
        frames = frames * window
    if onesided:
        if signal.shape[-1] == 2:
            raise ValueError("half of a spectrum of complex numbers")
        return _as_parts(np.fft.rfft(frames))
    return _as_parts(np.fft.fft(frames))


def stft(
    x: Any, step: Any, window: Any = None, length: Any = None, *, onesided: bool = True
) -> Any:
    """Short-time Fourier transform: of frames that slide over a signal.

    Args:
        x: floats [batch, size, 1], real numbers, or [batch, size, 2], complex ones.
        step: between the starts of frames.
        window: [length], multiplied with each frame.
        length: of frames; that of the window, or of the signal, where it is not given.
        onesided: whether only the first `length // 2 + 1` frequencies are made, which are enough
            where the signal is real.

    Returns:
        [batch, (size - length) // step + 1, frequencies, 2].

    Raises:
        ShapeError: the frames do not fit the signal, or half a spectrum of complex numbers is
            asked for.
    """
    x, _ = with_recorder(x, window, length)
    return stft_op(
        x, _scalar(step), window, None if length is None else _scalar(length),
        **({} if onesided else {"onesided": 0}),
    )  # fmt: skip


# -- mel spectra ----------------------------------------------------------------------------------


def _infer_mel(
    num_mel_bins: Value, dft_length: Value, sample_rate: Value, lower_edge_hertz: Value,
    upper_edge_hertz: Value, *, output_datatype: Any = None,
) -> Inferred:  # fmt: skip
    for value in (num_mel_bins, dft_length, sample_rate):
        require_kind(value, "i", "integers as num_mel_bins, dft_length and sample_rate")
    for value in (lower_edge_hertz, upper_edge_hertz):
        require_kind(value, "f", "floats as edges in hertz")
    bins, length = _number(num_mel_bins, "num_mel_bins"), _number(dft_length, "dft_length")
    dtype = FLOAT32 if output_datatype is None else as_dtype(output_datatype)
    return (length // 2 + 1, bins), dtype


@op("MelWeightMatrix", since=17, infer=_infer_mel)
def mel_weight_matrix_op(
    num_mel_bins: Any, dft_length: Any, sample_rate: Any, lower_edge_hertz: Any,
    upper_edge_hertz: Any, *, output_datatype: Any = None,
) -> Any:  # fmt: skip
    """Weights [frequencies, bands] of triangular bands, equally far apart on the mel scale."""
    count, length = int(num_mel_bins.item()), int(dft_length.item())
    low, high = (_mel(float(edge.item())) for edge in (lower_edge_hertz, upper_edge_hertz))
    # Bands lie count + 2 steps apart, as ONNX has it: the last one ends a step below the edge.
    mels = low + np.arange(count + 2) * ((high - low) / (count + 2))
    hertz = 700 * (10 ** (mels / 2595) - 1)
    edges = ((length + 1) * hertz // int(sample_rate.item())).astype(np.int64)
    start, center, end = edges[:-2], edges[1:-1], edges[2:]
    place = np.arange(length // 2 + 1)[:, None]
    rise = np.where(center > start, (place - start) / np.maximum(center - start, 1), 1)
    fall = (end - place) / np.maximum(end - center, 1)
    weights = np.where((place >= start) & (place <= center), rise, 0)
    weights = np.where((place >= center) & (place < end), fall, weights)
    return weights.astype(FLOAT32 if output_datatype is None else np.dtype(output_datatype))


def _mel(hertz: float) -> Any:
    return 2595 * np.log10(1 + hertz / 700)


def mel_weight_matrix(
    bands: Any, dft_length: Any, sample_rate: Any, low: float = 0.0, high: float | None = None, *,
    dtype: Any = "float32",
) -> Any:  # fmt: skip
    """Weights that turn the frequencies of a spectrum into bands on the mel scale.

    The mel scale is `mel(f) = 2595 * log10(1 + f / 700)`. A spectrogram [frames, frequencies]
    times the matrix is a mel spectrogram [frames, bands].

    Args:
        bands: how many, each a triangle of height 1.
        dft_length: of the transforms the spectrum comes from.
        sample_rate: elements a second of the signal.
        low: lower edge of the lowest band in hertz.
        high: upper edge of the highest band in hertz; half the sample rate where it is not given.
        dtype: of the result.

    Returns:
        [dft_length // 2 + 1, bands].
    """
    if high is None:
        high = operator.index(sample_rate) / 2
    target = as_dtype(dtype)
    attrs = {} if target == FLOAT32 else {"output_datatype": target}
    edges = (np.asarray(edge, np.float32) for edge in (low, high))
    return mel_weight_matrix_op(
        _scalar(bands), _scalar(dft_length), _scalar(sample_rate), *edges, **attrs
    )
