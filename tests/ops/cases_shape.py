"""Cases of the operators that move, pick, repeat, pad and make elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.ops.case import Case

RNG = np.random.default_rng(7)


def f32(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def i64(*values: Any) -> Any:
    return np.asarray(values, np.int64)


def scalar(value: Any, dtype: Any = np.int64) -> Any:
    return np.asarray(value, dtype)


def numbers(shape: tuple[int, ...], dtype: Any) -> Any:
    return (np.arange(np.prod(shape)).reshape(shape) % 7).astype(dtype)


X = f32(2, 3, 4)
STRINGS = np.array([["a", "bc"], ["", "d"]], dtype=object)
DTYPES = (np.float64, np.float16, np.int32, np.uint8, np.bool_)


def exact(op: str, *operands: Any, constant: Any = (), symbolic: Any = None, **attrs: Any) -> Case:
    return Case(op, operands, attrs, constant, symbolic or {}, tolerance=0)


def unsupported(why: str, op: str, *operands: Any, constant: Any = (), **attrs: Any) -> Case:
    return Case(op, operands, attrs, constant, tolerance=0, onnxruntime=False, why_not=why)


NB = {0: {0: "n", 1: "m"}}

RESHAPE = [
    exact("Reshape", X, i64(6, 4), constant=[1]),
    exact("Reshape", X, i64(-1), constant=[1], symbolic=NB),
    exact("Reshape", X, i64(-1, 12), constant=[1], symbolic={0: {0: "n"}}),
    exact("Reshape", X, i64(0, -1), constant=[1], symbolic=NB),
    exact("Reshape", X, i64(0, 0, 2, -1), constant=[1], symbolic=NB),
    exact("Reshape", X, i64(2, 0, 4), constant=[1], symbolic={0: {1: "m"}}),
    exact("Reshape", X, i64(4, -1, 1, 3), constant=[1]),
    exact("Reshape", f32(0, 3), i64(3, 0), constant=[1], allowzero=1),
    exact("Reshape", f32(3, 0), i64(0, 0), constant=[1]),
    exact("Reshape", f32(0, 3, 2), i64(0, 6), constant=[1], symbolic={0: {0: "n"}}),
    exact("Reshape", scalar(1.5, np.float32), i64(1, 1), constant=[1]),
    exact("Reshape", f32(1), i64(), constant=[1]),
    exact("Reshape", STRINGS, i64(4), constant=[1]),
    *(exact("Reshape", numbers((2, 6), t), i64(3, -1), constant=[1]) for t in DTYPES),
    exact("Flatten", X, symbolic=NB),
    exact("Flatten", X, axis=0, symbolic=NB),
    exact("Flatten", X, axis=2, symbolic=NB),
    exact("Flatten", X, axis=3),
    exact("Flatten", X, axis=-1, symbolic=NB),
    exact("Flatten", X, axis=-3),
    exact("Flatten", f32(5), symbolic={0: {0: "n"}}),
    exact("Flatten", f32(0, 3, 2), symbolic={0: {0: "n"}}),
    exact("Squeeze", f32(1, 3, 1, 2)),
    exact("Squeeze", f32(1, 3, 1, 2), i64(0), constant=[1], symbolic={0: {1: "m"}}),
    exact("Squeeze", f32(1, 3, 1, 2), i64(-2, 0), constant=[1]),
    exact("Squeeze", numbers((1, 1), np.int64), symbolic={}),
    exact("Unsqueeze", X, i64(0), constant=[1], symbolic=NB),
    exact("Unsqueeze", X, i64(-1, 1), constant=[1], symbolic=NB),
    exact("Unsqueeze", X, i64(4, 0), constant=[1]),
    exact("Unsqueeze", scalar(True, np.bool_), i64(0, 1), constant=[1]),
]

TRANSPOSE = [
    exact("Transpose", X, symbolic=NB),
    exact("Transpose", X, perm=(1, 0, 2), symbolic=NB),
    exact("Transpose", X, perm=(2, 0, 1), symbolic=NB),
    exact("Transpose", f32(0, 3), perm=(1, 0)),
    exact("Transpose", scalar(2.0, np.float32)),
    exact("Transpose", STRINGS),
    *(exact("Transpose", numbers((2, 3), t)) for t in DTYPES),
    exact("DepthToSpace", f32(2, 8, 2, 3), blocksize=2, symbolic={0: {0: "n", 2: "h", 3: "w"}}),
    exact("DepthToSpace", f32(1, 9, 2, 1), blocksize=3, mode="CRD"),
    exact("DepthToSpace", numbers((1, 4, 2, 2), np.float64), blocksize=2, mode="CRD"),
    exact("DepthToSpace", f32(1, 2, 2, 2), blocksize=1),
    exact("SpaceToDepth", f32(2, 2, 4, 6), blocksize=2, symbolic={0: {0: "n"}}),
    exact("SpaceToDepth", numbers((1, 1, 3, 3), np.float64), blocksize=3),
    exact("SpaceToDepth", f32(0, 1, 2, 2), blocksize=2),
    exact("SpaceToDepth", f32(2, 3, 4, 6), blocksize=2, mode="CRD"),
    exact("CenterCropPad", f32(5, 6, 7), i64(3, 9, 7), constant=[1]),
    exact("CenterCropPad", f32(5, 6, 7), i64(8, 3, 6), constant=[1]),
    exact(
        "CenterCropPad", f32(5, 6, 7), i64(2, 10), constant=[1], axes=(0, 2), symbolic={0: {1: "n"}}
    ),
    exact("CenterCropPad", f32(4, 5), i64(6), constant=[1], axes=(-1,), symbolic={0: {0: "n"}}),
    exact("CenterCropPad", numbers((3, 4), np.int32), i64(4, 3), constant=[1]),
    unsupported(
        "onnxruntime mixes int32 and int64",
        "CenterCropPad",
        f32(3, 4),
        np.array([4, 3], np.int32),
        constant=[1],
    ),
    exact("CenterCropPad", numbers((3, 4), np.uint8), i64(0, 3), constant=[1]),
    unsupported("onnxruntime pads no strings", "CenterCropPad", STRINGS, i64(3, 1), constant=[1]),
]

JOIN = [
    exact("Concat", X, f32(1, 3, 4), axis=0, symbolic={0: {0: "n"}, 1: {0: "k"}}),
    exact("Concat", X, f32(2, 1, 4), f32(2, 0, 4), axis=1, symbolic={0: {1: "m"}}),
    exact("Concat", X, X, axis=-1, symbolic={0: {0: "n"}, 1: {0: "n"}}),
    exact("Concat", X, axis=2),
    exact("Concat", STRINGS, STRINGS, axis=1),
    *(exact("Concat", numbers((2, 3), t), numbers((1, 3), t), axis=0) for t in DTYPES),
    exact("Split", f32(6, 2), num_outputs=3, symbolic={0: {1: "m"}}),
    exact("Split", f32(7, 2), num_outputs=3, symbolic={0: {0: "n"}}),
    exact("Split", f32(2, 6), num_outputs=2, axis=-1),
    exact("Split", f32(2, 6), i64(1, 2, 3), axis=1, constant=[1], symbolic={0: {0: "n"}}),
    exact("Split", f32(6), i64(0, 6), constant=[1]),
    exact("Split", f32(6), i64(6), constant=[1]),
    exact("Split", numbers((4, 2), np.bool_), num_outputs=2),
    exact("Split", numbers((4, 2), np.int32), num_outputs=4),
    exact("Split", STRINGS, num_outputs=2),
]

REPEAT = [
    exact("Expand", f32(3, 1), i64(2, 1, 4), constant=[1]),
    exact("Expand", f32(3, 1), i64(3, 4), constant=[1], symbolic={}),
    exact("Expand", X, i64(1, 1), constant=[1], symbolic=NB),
    exact("Expand", X, i64(5, 1, 1, 1), constant=[1], symbolic=NB),
    exact("Expand", scalar(1.5, np.float32), i64(2, 3), constant=[1]),
    exact("Expand", scalar(1, np.int64), i64(), constant=[1]),
    exact("Expand", f32(1, 2), i64(0, 2), constant=[1]),
    exact("Expand", numbers((1, 3), np.bool_), i64(2, 3), constant=[1]),
    exact("Expand", STRINGS[:1], i64(3, 2), constant=[1]),
    exact("Tile", X, i64(1, 2, 3), constant=[1], symbolic=NB),
    exact("Tile", X, i64(1, 1, 1), constant=[1], symbolic=NB),
    exact("Tile", f32(2), i64(0), constant=[1]),
    exact("Tile", f32(0, 2), i64(2, 2), constant=[1]),
    exact("Tile", numbers((2, 2), np.int32), i64(2, 1), constant=[1]),
    exact("Tile", numbers((2, 2), np.bool_), i64(2, 2), constant=[1]),
]

BIG = np.iinfo(np.int64).max
SMALL = np.iinfo(np.int64).min


def sliced(x: Any, start: Any, end: Any, axes: Any = None, steps: Any = None, **kw: Any) -> Case:
    extra = [axes] if steps is None else [axes, steps]
    operands = [start, end, *extra]
    while operands[-1] is None:
        operands.pop()
    return exact("Slice", x, *operands, constant=range(1, 5), **kw)


SLICE = [
    sliced(X, i64(0, 1), i64(1, 3)),
    sliced(X, i64(1), i64(BIG), i64(1), symbolic=NB),
    sliced(X, i64(0), i64(-1), i64(1), symbolic=NB),
    sliced(X, i64(-2), i64(BIG), i64(1), symbolic=NB),
    sliced(X, i64(0), i64(BIG), i64(0), symbolic=NB),
    sliced(X, i64(1), i64(-1), i64(2), symbolic={0: {2: "k"}}),
    sliced(X, i64(0), i64(2), i64(2), symbolic={0: {2: "k"}}),
    sliced(f32(7), i64(0), i64(BIG), i64(0), i64(2), symbolic={0: {0: "n"}}),
    sliced(f32(7), i64(1), i64(BIG), i64(0), i64(3), symbolic={0: {0: "n"}}),
    sliced(f32(7), i64(BIG), i64(SMALL), i64(0), i64(-1), symbolic={0: {0: "n"}}),
    sliced(f32(7), i64(-1), i64(SMALL), i64(0), i64(-2), symbolic={0: {0: "n"}}),
    sliced(f32(7), i64(-2), i64(0), i64(0), i64(-2), symbolic={0: {0: "n"}}),
    sliced(f32(7), i64(5), i64(1), i64(-1), i64(-3)),
    sliced(f32(7), i64(-100), i64(-200), i64(0), i64(-1)),
    sliced(f32(7), i64(100), i64(3), i64(0), i64(-1)),
    sliced(f32(7), i64(3), i64(3)),
    sliced(f32(7), i64(5), i64(2)),
    sliced(f32(7), i64(-100), i64(100)),
    sliced(f32(0, 2), i64(0), i64(BIG), i64(0), i64(-1)),
    sliced(f32(0, 2), i64(1), i64(5)),
    sliced(X, i64(0, 0), i64(2, 2), i64(-1, -2), i64(1, 1)),
    sliced(X, i64(0, 0), i64(2, 2), None, i64(1, 2)),
    sliced(X, np.array([1], np.int32), np.array([3], np.int32), np.array([2], np.int32)),
    sliced(STRINGS, i64(1), i64(2)),
    *(sliced(numbers((4, 3), t), i64(1), i64(3), i64(0)) for t in DTYPES),
]

INDEX = i64(2, 0, -1)

GATHER = [
    exact("Gather", X, i64(1, 0), symbolic={0: {1: "m"}, 1: {0: "k"}}),
    exact("Gather", X, INDEX, axis=1, symbolic=NB),
    exact("Gather", X, i64([0, 1], [2, -3]), axis=1, constant=[1]),
    exact("Gather", X, scalar(-1), axis=2, constant=[1], symbolic=NB),
    exact("Gather", X, scalar(0, np.int32), axis=-2, symbolic=NB),
    exact("Gather", X, np.zeros((0,), np.int64), axis=1),
    exact("Gather", f32(0, 3), i64(1), axis=1),
    unsupported("onnxruntime 1.32 drops strings of a row", "Gather", STRINGS, i64(1, 1, 0)),
    *(exact("Gather", numbers((4, 3), t), i64(3, 1)) for t in DTYPES),
    exact("GatherElements", X, numbers((2, 3, 4), np.int64) % 2, axis=0),
    exact("GatherElements", X, i64([[-1, 0, 2, 1]]), axis=1),
    exact("GatherElements", X, numbers((2, 3, 7), np.int64) % 4, axis=-1, symbolic=NB),
    exact("GatherElements", X, np.array([[[1]]], np.int32), axis=-2),
    exact("GatherElements", f32(2, 3), np.zeros((0, 3), np.int64), axis=0),
    exact("GatherElements", numbers((3,), np.bool_), i64(2, 2, 0, 1)),
    exact("GatherND", X, i64([0, 1], [1, -1]), symbolic={1: {0: "k"}}),
    exact("GatherND", X, i64([[0, 1, 3]], [[1, 2, 0]])),
    exact("GatherND", X, i64([1]), symbolic=NB),
    exact("GatherND", X, i64([1], [2]), batch_dims=1, symbolic={0: {0: "n"}, 1: {0: "n"}}),
    exact("GatherND", X, i64([[1], [2]], [[0], [-1]]), batch_dims=1),
    exact("GatherND", X, numbers((2, 3, 1), np.int64) % 4, batch_dims=2),
    exact("GatherND", X, numbers((2, 3, 5, 1), np.int64) % 4, batch_dims=2),
    exact("GatherND", numbers((2, 2), np.bool_), i64([0, 1])),
    exact("GatherND", STRINGS, i64([0, 1], [1, 1])),
]

SCATTER = [
    exact("ScatterElements", X, i64([[1, 0, 1]]), f32(1, 1, 3), axis=0, symbolic={0: {1: "m"}}),
    exact("ScatterElements", f32(3, 3), i64([0, -1]), f32(1, 2), axis=1),
    exact("ScatterElements", f32(3, 3), i64([0, 2]), f32(1, 2), axis=-1),
    exact("ScatterElements", numbers((4,), np.int64), i64(1, 1, 3), i64(5, 6, 7), reduction="add"),
    exact("ScatterElements", numbers((4,), np.int64), i64(1, 1, 3), i64(5, 6, 7), reduction="mul"),
    exact("ScatterElements", f32(4), i64(1, 1, 3), f32(3), reduction="max"),
    exact("ScatterElements", f32(4), i64(1, 1, 3), f32(3), reduction="min"),
    exact("ScatterElements", numbers((3,), np.bool_), i64(0), np.array([True])),
    exact("ScatterElements", f32(2, 2), np.zeros((0, 2), np.int64), f32(0, 2)),
    exact("ScatterND", X, i64([1]), f32(1, 3, 4), symbolic={}),
    exact("ScatterND", X, i64([0, 1], [1, 2]), f32(2, 4)),
    exact("ScatterND", X, i64([0, 1, 2], [1, 2, -1]), f32(2)),
    exact("ScatterND", numbers((4,), np.int64), i64([1], [1]), i64(5, 6), reduction="add"),
    exact("ScatterND", numbers((4,), np.int64), i64([1], [1]), i64(5, 6), reduction="mul"),
    exact("ScatterND", f32(4), i64([1], [1]), f32(2), reduction="max"),
    exact("ScatterND", f32(4), i64([1], [1]), f32(2), reduction="min"),
    exact("ScatterND", f32(3, 2), np.zeros((0, 1), np.int64), f32(0, 2), symbolic={0: {0: "n"}}),
]

SIZES = [
    exact("Shape", X, symbolic=NB),
    exact("Shape", X, start=1, symbolic=NB),
    exact("Shape", X, start=-2, end=-1, symbolic=NB),
    exact("Shape", X, end=2),
    exact("Shape", X, start=2, end=1),
    exact("Shape", X, start=-10, end=10),
    exact("Shape", scalar(1.0, np.float32)),
    exact("Shape", f32(0, 2)),
    exact("Shape", STRINGS),
    exact("Size", X, symbolic=NB),
    exact("Size", scalar(True, np.bool_)),
    exact("Size", f32(0, 2)),
    exact("Range", scalar(0), scalar(5), scalar(1), constant=[0, 1, 2]),
    exact("Range", scalar(10), scalar(2), scalar(-3), constant=[0, 1, 2]),
    exact("Range", scalar(3), scalar(3), scalar(1), constant=[0, 1, 2]),
    exact("Range", scalar(5), scalar(3), scalar(1), constant=[0, 1, 2]),
    # onnxruntime adds the step up; the specification multiplies it.
    *(
        Case("Range", [scalar(v, t) for v in bounds], constant=[0, 1, 2])
        for t, bounds in ((np.float32, (1, 2, 0.3)), (np.float64, (1, -2, -0.7)))
    ),
    exact("Range", *(scalar(v, np.int32) for v in (0, 7, 2)), constant=[0, 1, 2]),
    exact("ConstantOfShape", i64(2, 3), constant=[0]),
    exact("ConstantOfShape", i64(2, 0), value=np.array([1], np.int64), constant=[0]),
    exact("ConstantOfShape", i64(), value=np.array([2.5], np.float32), constant=[0]),
    exact("ConstantOfShape", i64(4), value=np.array([True]), constant=[0]),
    exact("ConstantOfShape", i64(4), value=np.array([-1], np.int32), constant=[0]),
    exact("EyeLike", f32(3, 4), symbolic=NB),
    exact("EyeLike", f32(3, 3), k=1),
    exact("EyeLike", f32(3, 4), k=-1, dtype=np.dtype(np.int64)),
    exact("EyeLike", numbers((2, 2), np.int32), dtype=np.dtype(np.float32)),
]

MATRIX = [
    exact("Trilu", X, symbolic=NB),
    exact("Trilu", X, upper=0, symbolic=NB),
    exact("Trilu", f32(4, 4), scalar(1), constant=[1]),
    exact("Trilu", f32(4, 4), scalar(-1), upper=0, constant=[1]),
    exact("Trilu", f32(4, 4), scalar(10), constant=[1]),
    exact("Trilu", f32(4, 4), scalar(-10), upper=0),
    exact("Trilu", numbers((3, 2), np.int64), scalar(-1)),
    exact("Trilu", numbers((3, 3), np.bool_)),
    exact("Trilu", f32(0, 3, 3)),
    exact("Trilu", f32(3, 0)),
]


def padded(x: Any, pads: Any, value: Any = None, axes: Any = None, **kw: Any) -> Case:
    operands = [pads, value, axes]
    while operands[-1] is None:
        operands.pop()
    return exact("Pad", x, *operands, constant=[1, 3], **kw)


PAD = [
    padded(X, i64(0, 1, 2, 0, 0, 1), symbolic=NB),
    padded(X, i64(0, 1, 2, 0, 0, 1), scalar(1.5, np.float32), symbolic=NB),
    padded(X, i64(1, 2), None, i64(-1), symbolic=NB),
    padded(X, i64(1, 2, 3, 4), scalar(-1, np.float32), i64(2, 0)),
    padded(X, i64(0, -1, 1, 0, 1, -2), scalar(7, np.float32), symbolic=NB),
    padded(X, i64(0, 0, 0, 0, 0, 0)),
    padded(f32(5), i64(-2, -2)),
    padded(f32(0, 2), i64(1, 0, 2, 0)),
    padded(numbers((2, 2), np.int64), i64(1, 1, 1, 1), scalar(9)),
    padded(numbers((2, 2), np.bool_), i64(1, 0, 0, 1), scalar(True, np.bool_)),
    padded(numbers((2, 2), np.uint8), i64(1, 0, 0, 1)),
    *(
        padded(f32(3, 4), pads, mode=mode, symbolic={0: {0: "n", 1: "m"}})
        for mode in ("edge", "reflect", "wrap")
        for pads in (i64(1, 2, 2, 1), i64(0, 1, 0, 0), i64(2, 0, 0, 3))
    ),
    padded(f32(3, 4), i64(4, 0, 3, 0), mode="edge"),
    padded(f32(4), i64(-1, 2), mode="edge"),
    padded(f32(4), i64(2, -1), mode="wrap"),
    padded(f32(3), i64(3, 5), mode="wrap"),
    padded(numbers((3, 3), np.int32), i64(1, 1), None, i64(1), mode="reflect"),
    unsupported(
        "onnxruntime refuses to reflect more than the axis has", "Pad", f32(3), i64(4, 5),
        constant=[1], mode="reflect",
    ),
]  # fmt: skip

ONE_HOT = [
    exact("OneHot", i64(0, 2, 1), scalar(3), i64(0, 1), constant=[1], symbolic={0: {0: "n"}}),
    exact("OneHot", i64([0, -1], [5, -9]), scalar(3), f32(2), constant=[1]),
    exact("OneHot", i64([0, 2], [1, 1]), scalar(3), f32(2), axis=0, constant=[1]),
    exact("OneHot", i64([0, 2], [1, 1]), scalar(3), f32(2), axis=1, constant=[1]),
    exact("OneHot", i64([0, 2], [1, 1]), i64(4), i64(5, 7), axis=-2, constant=[1]),
    unsupported(
        "onnxruntime refuses a scalar", "OneHot", scalar(1), scalar(3), f32(2), constant=[1]
    ),
    exact("OneHot", np.zeros((0,), np.int64), scalar(3), f32(2), constant=[1]),
    exact("OneHot", f32(4) * 0 + 2, scalar(3, np.float32), f32(2), constant=[1]),
    exact("OneHot", np.array([1, 0], np.int32), scalar(2, np.int32), f32(2), constant=[1]),
]

CASES: list[Case] = [
    *RESHAPE, *TRANSPOSE, *JOIN, *REPEAT, *SLICE, *GATHER, *SCATTER, *SIZES, *MATRIX, *PAD,
    *ONE_HOT,
]  # fmt: skip
