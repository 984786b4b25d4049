"""Cases of convolution, pooling and normalization."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.ops.case import Case

RNG = np.random.default_rng(11)


def f32(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def f64(*shape: int) -> Any:
    return RNG.standard_normal(shape)


def f16(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float16)


def positive(*shape: int) -> Any:
    return (0.5 + RNG.random(shape)).astype(np.float32)


def near(op: str, *operands: Any, symbolic: Any = None, **attrs: Any) -> Case:
    return Case(op, operands, attrs, symbolic=symbolic or {}, tolerance=2e-5)


def exact(op: str, *operands: Any, symbolic: Any = None, **attrs: Any) -> Case:
    return Case(op, operands, attrs, symbolic=symbolic or {}, tolerance=0)


def unsupported(why: str, op: str, *operands: Any, constant: Any = (), **attrs: Any) -> Case:
    return Case(op, operands, attrs, constant=constant, onnxruntime=False, why_not=why)


NHW = {0: {0: "n", 2: "h", 3: "w"}}
AUTO = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")

IMAGE = f32(2, 4, 7, 8)
KERNEL = f32(6, 4, 3, 3)

CONV = [
    near("Conv", IMAGE, KERNEL, symbolic=NHW),
    near("Conv", IMAGE, KERNEL, f32(6), symbolic=NHW),
    near("Conv", IMAGE, KERNEL, f32(6), pads=(1, 1, 1, 1), symbolic=NHW),
    near("Conv", IMAGE, KERNEL, pads=(0, 2, 1, 0), symbolic=NHW),
    near("Conv", IMAGE, KERNEL, strides=(2, 3), pads=(1, 0, 2, 1), symbolic=NHW),
    near("Conv", IMAGE, KERNEL, dilations=(2, 3), pads=(2, 0, 2, 0), symbolic=NHW),
    near("Conv", IMAGE, KERNEL, dilations=(2, 1), strides=(2, 2), kernel_shape=(3, 3)),
    *(
        near("Conv", IMAGE, f32(6, 4, *kernel), auto_pad=auto, strides=strides, symbolic=NHW)
        for auto in AUTO
        for kernel, strides in (((3, 3), (1, 1)), ((2, 3), (2, 2)), ((4, 1), (3, 1)))
    ),
    *(
        unsupported("onnxruntime refuses this", "Conv", IMAGE, KERNEL, auto_pad=auto, dilations=d)
        for auto, d in (("SAME_UPPER", (2, 2)), ("SAME_LOWER", (1, 2)))
    ),
    near("Conv", IMAGE, f32(6, 2, 3, 3), f32(6), group=2, symbolic=NHW),
    near("Conv", IMAGE, f32(4, 1, 3, 3), f32(4), group=4, pads=(1, 1, 1, 1), symbolic=NHW),
    near("Conv", IMAGE, f32(8, 1, 3, 2), group=4, strides=(2, 2), symbolic=NHW),
    near("Conv", IMAGE, f32(6, 4, 1, 1), f32(6), symbolic=NHW),
    near("Conv", IMAGE, f32(6, 4, 1, 1), strides=(2, 2), symbolic=NHW),
    near("Conv", IMAGE, f32(6, 4, 1, 1), pads=(1, 0, 0, 1), symbolic=NHW),
    near("Conv", IMAGE, f32(6, 2, 1, 1), group=2),
    near("Conv", IMAGE, f32(3, 4, 7, 8), symbolic={0: {0: "n"}}),
    near("Conv", f32(0, 4, 5, 5), KERNEL, f32(6), symbolic={0: {0: "n"}}),
    near("Conv", f32(2, 3, 9), f32(4, 3, 3), f32(4), strides=(2,), symbolic={0: {2: "t"}}),
    near("Conv", f32(2, 3, 9), f32(4, 3, 3), dilations=(3,), pads=(4, 2), symbolic={0: {2: "t"}}),
    near("Conv", f32(2, 3, 9), f32(4, 3, 1), f32(4)),
    near("Conv", f32(1, 2, 4, 5, 6), f32(3, 2, 2, 3, 2), f32(3), strides=(1, 2, 2)),
    near("Conv", f32(1, 2, 4, 5, 6), f32(4, 1, 2, 2, 2), group=2, auto_pad="SAME_UPPER"),
    # Rows of many windows and of few; several blocks of images and of groups, the last one smaller.
    near("Conv", f32(3, 2, 9, 30), f32(4, 2, 3, 3), f32(4), pads=(1, 1, 1, 1), symbolic=NHW),
    near("Conv", f32(3, 2, 12, 12), f32(4, 2, 3, 3), f32(4), pads=(1, 1, 1, 1), symbolic=NHW),
    near("Conv", f32(2, 4, 13, 11), f32(4, 2, 3, 2), group=2, dilations=(2, 1), pads=(0, 1, 2, 0)),
    near("Conv", f32(5, 8, 40, 40), f32(4, 8, 3, 3), f32(4), symbolic=NHW),
    near("Conv", f32(2, 300, 16, 16), f32(300, 1, 3, 3), f32(300), group=300, pads=(1, 1, 1, 1)),
    near("Conv", f32(2, 3, 20, 20), f32(4, 3, 1, 1), f32(4), strides=(2, 2), symbolic=NHW),
    near("Conv", f32(2, 12, 12, 3).transpose(0, 3, 1, 2), f32(3, 3, 3, 4).T, f32(4)),
    near("Conv", f32(3, 8, 100), f32(4, 8, 5), pads=(2, 2), symbolic={0: {2: "t"}}),
    near("Conv", f32(2, 2, 5, 6, 7), f32(3, 2, 3, 3, 3), f32(3), pads=(1, 1, 1, 1, 1, 1)),
    unsupported("onnxruntime has no kernel", "Conv", f64(1, 2, 5, 5), f64(3, 2, 3, 3), f64(3)),
    Case("Conv", (f16(1, 2, 5, 5), f16(3, 2, 3, 3), f16(3)), tolerance=5e-3),
]

LATENT = f32(2, 4, 4, 5)
SPREAD = f32(4, 3, 3, 3)

CONV_TRANSPOSE = [
    near("ConvTranspose", LATENT, SPREAD, symbolic=NHW),
    near("ConvTranspose", LATENT, SPREAD, f32(3), symbolic=NHW),
    near("ConvTranspose", LATENT, SPREAD, strides=(2, 3), symbolic=NHW),
    near("ConvTranspose", LATENT, SPREAD, f32(3), strides=(2, 2), pads=(1, 1, 1, 1), symbolic=NHW),
    near("ConvTranspose", LATENT, SPREAD, strides=(2, 2), pads=(0, 1, 2, 0), symbolic=NHW),
    near("ConvTranspose", LATENT, SPREAD, strides=(2, 2), output_padding=(1, 1), symbolic=NHW),
    near("ConvTranspose", LATENT, SPREAD, strides=(3, 2), output_padding=(2, 0), pads=(1, 0, 1, 2)),
    near("ConvTranspose", LATENT, SPREAD, dilations=(2, 1), strides=(1, 2), symbolic=NHW),
    near("ConvTranspose", LATENT, f32(4, 2, 3, 3), f32(4), group=2, symbolic=NHW),
    near("ConvTranspose", LATENT, f32(4, 1, 2, 2), group=4, strides=(2, 2), symbolic=NHW),
    near("ConvTranspose", LATENT, f32(4, 3, 2, 2), strides=(2, 2), symbolic=NHW),
    near("ConvTranspose", LATENT, f32(4, 3, 1, 1), strides=(2, 2), symbolic=NHW),
    near("ConvTranspose", LATENT, SPREAD, strides=(2, 2), output_shape=(8, 10)),
    near("ConvTranspose", LATENT, SPREAD, strides=(2, 2), output_shape=(9, 11)),
    near("ConvTranspose", LATENT, SPREAD, strides=(2, 2), auto_pad="VALID", symbolic=NHW),
    near("ConvTranspose", LATENT, SPREAD, strides=(1, 1), auto_pad="SAME_UPPER", symbolic=NHW),
    near("ConvTranspose", LATENT, SPREAD, strides=(2, 2), auto_pad="SAME_UPPER", symbolic=NHW),
    near("ConvTranspose", LATENT, SPREAD, strides=(2, 2), auto_pad="SAME_LOWER", symbolic=NHW),
    near("ConvTranspose", f32(0, 4, 4, 5), SPREAD, symbolic={0: {0: "n"}}),
    near("ConvTranspose", f32(2, 3, 6), f32(3, 2, 4), f32(2), strides=(2,), pads=(1, 1)),
    near("ConvTranspose", f32(1, 2, 2, 3, 2), f32(2, 3, 2, 2, 3), f32(3), strides=(2, 1, 2)),
    near("ConvTranspose", f32(3, 8, 24, 24), f32(8, 32, 3, 3), f32(32), strides=(2, 2)),
    near("ConvTranspose", f32(2, 80, 20, 20), f32(80, 2, 3, 3), group=40, strides=(2, 1)),
    unsupported(
        "onnxruntime has no float64 kernel", "ConvTranspose", f64(1, 2, 3, 3), f64(2, 3, 3, 3)
    ),
]

WINDOWS: list[dict[str, Any]] = [
    {"kernel_shape": (2, 2), "strides": (2, 2)},
    {"kernel_shape": (3, 2)},
    {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)},
    {"kernel_shape": (3, 3), "strides": (2, 3), "pads": (0, 1, 2, 1)},
    {"kernel_shape": (3, 3), "strides": (2, 2), "ceil_mode": 1},
    {"kernel_shape": (3, 3), "strides": (3, 3), "pads": (1, 1, 1, 1), "ceil_mode": 1},
    {"kernel_shape": (2, 2), "strides": (3, 3), "ceil_mode": 1},
    {"kernel_shape": (2, 2), "strides": (2, 2), "pads": (1, 1, 1, 1), "ceil_mode": 1},
    {"kernel_shape": (2, 3), "dilations": (3, 2)},
    {"kernel_shape": (2, 2), "dilations": (2, 2), "pads": (1, 1, 1, 1), "strides": (2, 2)},
    {"kernel_shape": (1, 1)},
    {"kernel_shape": (1, 1), "strides": (2, 2)},
    {"kernel_shape": (7, 8)},
    *(
        {"kernel_shape": kernel, "strides": strides, "auto_pad": auto}
        for auto in AUTO[1:]
        for kernel, strides in (((3, 3), (1, 1)), ((2, 3), (2, 2)), ((4, 2), (3, 1)))
    ),
    {"kernel_shape": (3, 3), "strides": (2, 2), "auto_pad": "VALID", "ceil_mode": 1},
    {"kernel_shape": (2, 3), "strides": (2, 2), "auto_pad": "SAME_UPPER", "ceil_mode": 1},
]


def indices_of(height: int, width: int) -> Any:
    """Indices of different elements of an image [2, 3, height, width]."""
    return RNG.permutation(6 * height * width)[:36].reshape(2, 3, 2, 3)


POOL = [
    *(exact("MaxPool", IMAGE, symbolic=NHW, **attrs) for attrs in WINDOWS),
    *(near("AveragePool", IMAGE, symbolic=NHW, **attrs) for attrs in WINDOWS),
    *(
        near("AveragePool", IMAGE, symbolic=NHW, count_include_pad=1, **attrs)
        for attrs in WINDOWS
        if "pads" in attrs or attrs.get("ceil_mode") or "auto_pad" in attrs
    ),
    exact("MaxPool", f32(2, 3, 9), kernel_shape=(3,), strides=(2,), symbolic={0: {2: "t"}}),
    exact("MaxPool", f32(1, 2, 4, 5, 6), kernel_shape=(2, 3, 2), pads=(0, 1, 0, 1, 1, 1)),
    exact("MaxPool", f64(1, 2, 4, 4), kernel_shape=(2, 2)),
    exact("MaxPool", np.arange(32, dtype=np.int8).reshape(1, 2, 4, 4), kernel_shape=(3, 3)),
    exact(
        "MaxPool", np.arange(32, dtype=np.uint8).reshape(1, 2, 4, 4), kernel_shape=(3, 3),
        pads=(1, 1, 1, 1),
    ),
    exact("MaxPool", f32(0, 2, 4, 4), kernel_shape=(2, 2), symbolic={0: {0: "n"}}),
    exact("MaxPool", -1 - positive(1, 1, 4, 4), kernel_shape=(3, 3), pads=(1, 1, 1, 1)),
    near("AveragePool", f32(2, 3, 9), kernel_shape=(4,), strides=(3,), symbolic={0: {2: "t"}}),
    near("AveragePool", f32(1, 2, 4, 5, 6), kernel_shape=(2, 3, 2), pads=(0, 1, 0, 1, 1, 1)),
    near("AveragePool", f32(0, 2, 4, 4), kernel_shape=(2, 2), symbolic={0: {0: "n"}}),
    unsupported(
        "onnxruntime has no float64 kernel", "AveragePool", f64(1, 2, 4, 4), kernel_shape=(2, 2)
    ),
    *(
        exact("MaxPool", IMAGE, symbolic=NHW, outputs=2, storage_order=order, **attrs)
        for attrs in WINDOWS
        for order in (0, 1)
    ),
    exact("MaxPool", f32(2, 3, 9), kernel_shape=(4,), pads=(1, 2), outputs=2),
    exact("MaxPool", f32(1, 2, 4, 5, 6), kernel_shape=(2, 3, 2), strides=(1, 2, 2), outputs=2),
    # Of equal elements the first one.
    exact("MaxPool", f32(2, 3, 8, 8).round(), kernel_shape=(4, 4), outputs=2),
    exact("MaxPool", np.zeros((2, 2, 5, 5), np.uint8), kernel_shape=(3, 3), outputs=2),
    exact("MaxPool", f64(1, 2, 4, 4), kernel_shape=(2, 2), pads=(1, 1, 0, 0), outputs=2),
    *(
        near("LpPool", IMAGE, symbolic=NHW, **attrs, **({} if p == 2 else {"p": p}))
        for attrs in WINDOWS
        for p in (1, 2, 3)
    ),
    near("LpPool", f32(2, 3, 9), kernel_shape=(4,), strides=(3,), symbolic={0: {2: "t"}}),
    near("LpPool", f32(1, 2, 4, 5, 6), kernel_shape=(2, 3, 2), pads=(0, 1, 0, 1, 1, 1)),
    unsupported("onnxruntime has no float64 kernel", "LpPool", f64(1, 2, 4), kernel_shape=(2,)),
    *(
        Case(
            "GlobalLpPool", (x,), {} if p == 2 else {"p": p}, symbolic={0: {0: "n", 2: "h"}},
            tolerance=2e-5, onnxruntime=False, why_not="onnxruntime has no kernel at this opset",
        )
        for p in (1, 2, 3)
        for x in (IMAGE, f32(2, 3, 9), f64(2, 3, 2, 2, 2))
    ),
    Case(
        "GlobalLpPool", (f16(2, 3, 4, 4),), tolerance=5e-3, onnxruntime=False,
        why_not="onnxruntime has no kernel at this opset",
    ),
    *(
        Case("MaxUnpool", (f32(2, 3, 2, 3), indices, shape), attrs, constant=(2,), tolerance=0,
             symbolic={})
        for indices, shape, attrs in (
            (indices_of(4, 6), None, {"kernel_shape": (2, 2), "strides": (2, 2)}),
            (indices_of(5, 6), np.array([2, 3, 5, 6]), {"kernel_shape": (2, 2), "strides": (2, 2)}),
            (indices_of(3, 5), None, {"kernel_shape": (3, 3), "pads": (1, 0, 0, 0),
                                      "strides": (1, 1)}),
            (indices_of(2, 3), None, {"kernel_shape": (1, 1)}),
        )
    ),
    exact("MaxUnpool", f32(2, 2, 3), np.arange(12).reshape(2, 2, 3), kernel_shape=(2,),
          strides=(2,), symbolic={0: {0: "n", 2: "t"}, 1: {0: "n", 2: "t"}}),
    near("GlobalAveragePool", IMAGE, symbolic=NHW),
    near("GlobalAveragePool", f32(2, 3, 9), symbolic={0: {2: "t"}}),
    near("GlobalAveragePool", f32(2, 3, 2, 3, 4)),
    Case("GlobalAveragePool", (f16(2, 3, 4, 4),), tolerance=2e-3),
    exact("GlobalMaxPool", IMAGE, symbolic=NHW),
    exact("GlobalMaxPool", f32(2, 3, 9)),
    exact("GlobalMaxPool", f32(2, 3, 2, 3, 4)),
]  # fmt: skip


def blocks(shape: tuple[int, ...], image: Any, block: Any, **attrs: Any) -> Case:
    operands = (f32(*shape), np.asarray(image, np.int64), np.asarray(block, np.int64))
    return Case(
        "Col2Im", operands, attrs, constant=(1, 2), symbolic={0: {0: "n"}}, tolerance=2e-6
    )  # fmt: skip


COL2IM = [
    blocks((2, 12, 12), (4, 5), (2, 2)),
    blocks((2, 12, 6), (4, 6), (2, 2), strides=(2, 2)),
    blocks((1, 5, 1), (5, 5), (1, 5), strides=(5, 1), dilations=(1, 1), pads=(0, 0, 0, 0)),
    blocks((2, 6, 20), (4, 5), (3, 2), pads=(1, 0, 1, 1)),
    blocks((2, 4, 4), (5, 6), (2, 2), dilations=(3, 4)),
    blocks((1, 8, 8), (3, 3, 3), (2, 2, 2)),
    unsupported(
        "onnxruntime has no float64 kernel",
        "Col2Im",
        f64(1, 4, 4),
        np.array([3, 3]),
        np.array([2, 2]),
        constant=(1, 2),
    ),
    unsupported(
        "onnxruntime has no integer kernel",
        "Col2Im",
        np.arange(16).reshape(1, 4, 4),
        np.array([3, 3]),
        np.array([2, 2]),
        constant=(1, 2),
    ),
]


def batch_norm(x: Any, **attrs: Any) -> Case:
    c = x.shape[1]
    space = {0: {0: "n", **{axis: f"d{axis}" for axis in range(2, x.ndim)}}}
    vectors = (f32(c), f32(c), f32(c), positive(c))
    return near("BatchNormalization", x, *vectors, symbolic=space, **attrs)


NORM = [
    batch_norm(IMAGE),
    batch_norm(IMAGE, epsilon=1e-2),
    batch_norm(f32(5, 3)),
    batch_norm(f32(2, 3, 4)),
    batch_norm(f32(1, 3, 2, 2, 2)),
    batch_norm(IMAGE, training_mode=1),
    batch_norm(IMAGE, training_mode=1, momentum=0.6, epsilon=1e-3),
    batch_norm(f32(5, 3, 4), training_mode=1),
    near("BatchNormalization", f64(2, 3, 4), f64(3), f64(3), f64(3), f64(3) ** 2),
    near(
        "BatchNormalization", f64(2, 3, 4), f64(3), f64(3), f64(3), f64(3) ** 2, training_mode=1
    ),
    near("LayerNormalization", f32(2, 3, 8), f32(8), f32(8), symbolic={0: {0: "n", 1: "t"}}),
    near("LayerNormalization", f32(2, 3, 8), f32(8), symbolic={0: {0: "n"}}),
    near("LayerNormalization", f32(2, 3, 8), f32(8), f32(8), epsilon=1e-2),
    near("LayerNormalization", f32(2, 3, 8), f32(3, 8), f32(3, 8), axis=1, symbolic={0: {0: "n"}}),
    near("LayerNormalization", f32(2, 3, 8), f32(3, 8), axis=-2),
    near("LayerNormalization", f32(2, 3, 8), f32(2, 3, 8), f32(2, 3, 8), axis=0),
    near("LayerNormalization", f32(7), f32(7), f32(7)),
    near("LayerNormalization", f32(4, 64) * 100 + 1000, f32(64), f32(64)),
    near("LayerNormalization", f64(2, 8), f64(8), f64(8)),
    Case("LayerNormalization", (f16(2, 3, 8), f16(8), f16(8)), tolerance=5e-3),
    near("LayerNormalization", f32(2, 3, 8), f32(8), f32(8), outputs=3, symbolic={0: {0: "n"}}),
    near("LayerNormalization", f32(2, 3, 8), f32(3, 8), axis=1, outputs=2, symbolic={0: {0: "n"}}),
    near("LayerNormalization", f64(2, 8), f64(8), outputs=3),
    Case("LayerNormalization", (f16(2, 3, 8), f16(8)), {"outputs": 3}, tolerance=5e-3),
    near("InstanceNormalization", IMAGE, f32(4), f32(4), symbolic=NHW),
    near("InstanceNormalization", f32(2, 3, 9), f32(3), f32(3), epsilon=1e-2),
    near("InstanceNormalization", f32(1, 2, 2, 3, 4), f32(2), f32(2)),
    near("GroupNormalization", IMAGE, f32(4), f32(4), num_groups=2, symbolic=NHW),
    near("GroupNormalization", IMAGE, f32(4), f32(4), num_groups=1, epsilon=1e-2, symbolic=NHW),
    near("GroupNormalization", IMAGE, f32(4), f32(4), num_groups=4, symbolic=NHW),
    near("GroupNormalization", f32(3, 6), f32(6), f32(6), num_groups=3, symbolic={0: {0: "n"}}),
    near("RMSNormalization", f32(2, 3, 8), f32(8), symbolic={0: {0: "n", 1: "t"}}),
    near("RMSNormalization", f32(2, 3, 8), f32(3, 8), axis=1, epsilon=1e-2),
    near("RMSNormalization", f32(2, 3, 8), f32(8), axis=-2, symbolic={0: {0: "n"}}),
    near("RMSNormalization", f32(7), f32(7)),
    near("LRN", IMAGE, size=3, symbolic=NHW),
    near("LRN", IMAGE, size=5, alpha=0.5, beta=0.6, bias=2.0, symbolic=NHW),
    near("LRN", f32(1, 2, 3, 3), size=7, alpha=1.0),
    *(
        unsupported(why, "LRN", x, size=size, alpha=0.3)
        for why, x, size in (
            ("onnxruntime takes odd sizes", IMAGE, 4),
            ("onnxruntime takes two axes of space", f32(2, 5, 3), 3),
            ("onnxruntime has no float64 kernel", f64(1, 3, 2, 2), 3),
        )
    ),
    near("MeanVarianceNormalization", IMAGE, symbolic=NHW),
    near("MeanVarianceNormalization", IMAGE, axes=(1, -1), symbolic=NHW),
    unsupported("onnxruntime has no kernel", "MeanVarianceNormalization", f64(2, 3, 4, 4)),
    *(
        near("LpNormalization", f32(3, 4, 5), symbolic={0: {0: "n", 2: "t"}}, axis=axis, p=p)
        for axis in (-1, 1, 0)
        for p in (1, 2)
    ),
    near("LpNormalization", np.zeros((2, 3), np.float32)),
    near("LpNormalization", f64(7)),
    Case("LpNormalization", (f16(2, 3),), tolerance=5e-3),
]  # fmt: skip

CASES: list[Case] = [*CONV, *CONV_TRANSPOSE, *COL2IM, *POOL, *NORM]
