"""Windows, Fourier transforms, mel spectra: NumPy's, the public functions, errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphctx import ops
from graphctx.errors import DTypeError, ShapeError
from graphctx.ops.table import TABLE
from tests.ops.agreement import agree
from tests.ops.build import random
from tests.ops.recording import record


def test_windows_are_numpys() -> None:
    for ours, theirs in ((ops.hann_window, np.hanning), (ops.blackman_window, np.blackman)):
        np.testing.assert_allclose(
            ours(9, periodic=False, dtype="float64"), theirs(9), atol=1e-15, rtol=0
        )
        np.testing.assert_allclose(ours(8, dtype="float64"), theirs(9)[:-1], atol=1e-15, rtol=0)
    window = ops.hamming_window(5, periodic=False)
    assert window.dtype == np.float32
    np.testing.assert_allclose(window, np.hamming(5), atol=0.01)  # 0.54 is nearly 25 / 46


def test_transforms_are_numpys() -> None:
    x = random((2, 12, 2), "float64")
    z = x[..., 0] + 1j * x[..., 1]
    y = ops.dft(x)
    np.testing.assert_allclose(y[..., 0] + 1j * y[..., 1], np.fft.fft(z))
    np.testing.assert_allclose(ops.dft(ops.dft(x, inverse=True)), x, atol=1e-14)
    half = ops.dft(x[..., :1], onesided=True)
    assert half.shape == (2, 7, 2)
    np.testing.assert_allclose(ops.dft(half, inverse=True, onesided=True), x[..., :1], atol=1e-14)


def test_a_window_of_a_symbolic_size(tmp_path: Path) -> None:
    def windowed(x: Any) -> Any:
        return x * ops.hann_window(x.shape[1])

    agree(windowed, random((2, 9)), symbolic={0: {1: "n"}}, folder=tmp_path)


def test_half_a_spectrum_of_a_symbolic_size(tmp_path: Path) -> None:
    def there_and_back(x: Any) -> Any:
        half = ops.dft(x, onesided=True)
        return half, ops.dft(half, x.shape[1], inverse=True, onesided=True)

    x = random((3, 11, 1))
    _, back = agree(there_and_back, x, symbolic={0: {1: "n"}}, folder=tmp_path, tolerance=1e-4)
    np.testing.assert_allclose(back, x, atol=1e-6)


def test_a_mel_spectrogram(tmp_path: Path) -> None:
    def spectrogram(x: Any) -> Any:
        y = ops.stft(x, 8, ops.hann_window(32))
        power = ops.sum(y * y, axis=-1)
        return power @ ops.mel_weight_matrix(10, 32, 8000)

    y = agree(
        spectrogram, random((2, 100, 1)), symbolic={0: {0: "batch", 1: "time"}}, folder=tmp_path,
        tolerance=1e-3,
    )  # fmt: skip
    assert y.shape == (2, 9, 10)


def test_sizes_that_data_decides(tmp_path: Path) -> None:
    def framed(x: Any, length: Any) -> Any:
        return ops.stft(x, 3, None, length), ops.dft(x, length)

    agree(framed, random((2, 20, 1)), np.asarray(8), folder=tmp_path, tolerance=1e-4, verify=False)

    def window(n: Any) -> Any:
        return ops.hamming_window(n)

    agree(window, np.asarray(6), folder=tmp_path, verify=False)


def test_an_axis_that_data_decides() -> None:
    def transformed(x: Any, axis: Any) -> Any:
        return TABLE["DFT"](x, None, axis)

    agree(transformed, random((2, 4, 3, 1)), np.asarray(1))


def number(n: int) -> Any:
    return np.asarray(n, np.int64)


F2 = np.asarray(2, np.float32)
REAL, PAIRS = random((2, 8, 1)), random((2, 8, 2))
WRONG: list[tuple[Any, type[Exception], str]] = [
    (lambda: ops.hann_window(-1), ShapeError, r"HannWindow\(.*: the size of a window .* got -1"),
    (lambda: TABLE["HannWindow"](np.ones(2, np.int64)), ShapeError, r"size is a scalar, got \[2\]"),
    (lambda: record(TABLE["HannWindow"], F2), DTypeError, "needs an integer as size"),
    (lambda: ops.dft(REAL.astype(int)), DTypeError, "needs a floating dtype, got int64"),
    (lambda: ops.dft(random((2, 3))), ShapeError, r"the input has a last axis of 1 .* \[2, 3\]"),
    (lambda: ops.dft(PAIRS, onesided=True), ShapeError, "half of a spectrum is enough of real"),
    (lambda: ops.dft(REAL, axis=-1), ShapeError, "the last axis has the parts of a number"),
    (lambda: ops.dft(REAL, axis=3), ShapeError, "axis 3 is out of range for 3 dimensions"),
    (lambda: ops.dft(REAL, 0), ShapeError, "at least one element, got dft_length=0"),
    (lambda: ops.stft(REAL[0], 2), ShapeError, r"the signal \[batch, length, 1 or 2\] has a last"),
    (lambda: ops.stft(PAIRS, 2), ShapeError, "half of a spectrum is enough of real"),
    (lambda: ops.stft(REAL, 0), ShapeError, "frame_step is at least 1, got 0"),
    (lambda: ops.stft(REAL, 1, None, 9), ShapeError, "frames of 9 elements do not fit a signal of"),
    (lambda: ops.stft(REAL, 1, None, 0), ShapeError, "a frame has at least one element, got 0"),
    (lambda: ops.stft(REAL, 1, random((4,)), 5), ShapeError, "the window differ: 5 against 4"),
    (lambda: ops.stft(REAL, 1, random((4, 1))), ShapeError, r"window is a vector, got \[4, 1\]"),
    (lambda: ops.stft(REAL, 1, random((4,), "float64")), DTypeError, "operands need one dtype"),
    (
        lambda: record(TABLE["MelWeightMatrix"], F2, F2, F2, F2, F2),
        DTypeError, "needs integers as num_mel_bins, dft_length and sample_rate, got float32",
    ),
    (
        lambda: record(TABLE["MelWeightMatrix"], *map(number, (4, 8, 8, 0, 4))),
        DTypeError, "needs floats as edges in hertz, got int64",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), WRONG)
def test_wrong_operands(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
