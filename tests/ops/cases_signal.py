"""Cases of windows, Fourier transforms and mel spectra."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.ops.build import random, refused
from tests.ops.case import Case

F = np.float32


def number(value: int, dtype: Any = np.int64) -> Any:
    return np.asarray(value, dtype)


def window(op: str, size: Any, **attrs: Any) -> Case:
    return Case(op, (size,), attrs, constant=(0,), tolerance=1e-6)


WINDOWS = [
    case
    for op in ("HannWindow", "HammingWindow", "BlackmanWindow")
    for case in (
        window(op, number(10)),
        window(op, number(7, np.int32), periodic=0),
        window(op, number(1)),
        refused(window(op, number(0)), "onnx infers sizes from 1 on"),
        window(op, number(9), output_datatype=np.dtype(np.float64)),
        window(op, number(8), output_datatype=np.dtype(np.int32)),
        refused(
            window(op, number(8), output_datatype=np.dtype(np.float16)), "onnxruntime has no kernel"
        ),
    )
]


def transform(x: Any, length: int | None = None, axis: int | None = None, **attrs: Any) -> Case:
    operands = (
        x, None if length is None else number(length), None if axis is None else number(axis)
    )  # fmt: skip
    along = -2 if axis is None else axis
    names = {i: f"d{i}" for i in range(x.ndim - 1) if i != along % x.ndim}
    return Case("DFT", operands, attrs, constant=(1, 2), symbolic={0: names}, tolerance=1e-4)


REAL, COMPLEX = random((3, 10, 4, 1)), random((3, 10, 4, 2), seed=1)

DFT = [
    transform(REAL),
    transform(REAL, axis=1),
    transform(REAL, axis=-3),
    transform(REAL, axis=0),
    transform(COMPLEX, axis=1),
    transform(COMPLEX, axis=1, inverse=1),
    transform(REAL, axis=1, inverse=1),
    transform(REAL, 13, 1),
    transform(REAL, 7, 1),
    transform(COMPLEX, 16, 1, inverse=1),
    transform(REAL, axis=1, onesided=1),
    transform(REAL, 9, 1, onesided=1),
    transform(COMPLEX, axis=1, inverse=1, onesided=1),
    transform(COMPLEX, 19, 1, inverse=1, onesided=1),
    *(
        refused(
            transform(COMPLEX, length, 1, inverse=1, onesided=1),
            "onnxruntime makes something else of spectra that have not length // 2 + 1 elements",
        )
        for length in (4, 15, 20)
    ),
    Case("DFT", (REAL, None, number(1)), constant=(2,), symbolic={0: {1: "n"}}, tolerance=2e-5),
    Case(
        "DFT", (COMPLEX, None, number(1)), {"inverse": 1, "onesided": 1}, constant=(2,),
        symbolic={0: {1: "n"}}, tolerance=2e-5,
    ),
    Case("DFT", (random((4, 6, 1), "float64"),), tolerance=1e-12),
    Case("DFT", (random((4, 6, 2), "float16"),), tolerance=2e-2),
]  # fmt: skip

SIGNAL = random((2, 20, 1), seed=2)
PAIRS = random((2, 20, 2), seed=3)


def frames(
    signal: Any, step: int, window: Any = None, length: int | None = None, *,
    symbolic: Any = None, **attrs: Any,
) -> Case:  # fmt: skip
    operands = (signal, number(step), window, None if length is None else number(length))
    return Case(
        "STFT", operands, attrs, constant=(1, 3),
        symbolic={0: {0: "b", 1: "t"}} if symbolic is None else symbolic, tolerance=2e-5,
    )  # fmt: skip


STFT = [
    frames(SIGNAL, 3, None, 8),
    frames(SIGNAL, 4, random((8,), seed=4)),
    frames(SIGNAL, 4, random((7,), seed=4), 7),
    frames(SIGNAL, 1, random((6,), seed=4), onesided=0, symbolic={0: {0: "b"}, 2: {0: "w"}}),
    frames(PAIRS, 5, None, 6, onesided=0),
    frames(PAIRS, 5, random((6,), seed=4), onesided=0),
    frames(random((2, 12, 1), "float64"), 3, random((4,), "float64")),
    refused(frames(SIGNAL, 1), "onnxruntime takes nothing for a frame of all of the signal"),
    Case(
        "STFT",
        (random((2, 12, 1), "float16"), number(3), random((4,), "float16")),
        constant=(1,),
        tolerance=2e-2,
    ),
]


def mel(bands: int, length: int, rate: int, low: float, high: float, **attrs: Any) -> Case:
    operands = (number(bands), number(length), number(rate, np.int64), F(low), F(high))
    return Case(
        "MelWeightMatrix", tuple(np.asarray(x) for x in operands), attrs, constant=(0, 1, 2, 3, 4)
    )


MEL = [
    mel(8, 16, 8192, 0, 8192 / 2),
    mel(20, 256, 16000, 80, 7600),
    mel(4, 64, 8000, 300, 3400, output_datatype=np.dtype(np.float64)),
    mel(40, 32, 8000, 0, 4000),
]

CASES: list[Case] = [*WINDOWS, *DFT, *STFT, *MEL]
