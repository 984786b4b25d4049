"""Cases of quantization, and of products of quantized numbers."""

from typing import Any

import numpy as np

from graphctx.spec import as_dtype
from tests.ops.build import aligned, random, refused
from tests.ops.case import Case

CASES: list[Case] = []
F = np.float32
NAN, INF = np.nan, np.inf


def array(values: Any, dtype: str) -> Any:
    return np.asarray(values).astype(as_dtype(dtype))


def arrays(*operands: Any) -> tuple[Any, ...]:
    return tuple(None if x is None else np.asarray(x) for x in operands)


def add(case: Case, why: str = "") -> None:
    CASES.append(refused(case, why) if why else case)


def quantize(
    x: Any, scale: Any, zero: Any = None, symbolic: bool = True, why: str = "", **attrs: Any
) -> None:
    blocks = {i + 1: {0: "n"} for i, y in enumerate((scale, zero)) if np.ndim(y) == 3}
    names = {0: {0: "n"}, **blocks} if symbolic and x.ndim else {}
    add(Case("QuantizeLinear", arrays(x, scale, zero), attrs, symbolic=names, tolerance=0), why)


def dequantize(
    x: Any, scale: Any, zero: Any = None, symbolic: bool = True, why: str = "", **attrs: Any
) -> None:
    blocks = {i + 1: {0: "n"} for i, y in enumerate((scale, zero)) if np.ndim(y) == 3}
    names = {0: {0: "n"}, **blocks} if symbolic and x.ndim else {}
    add(Case("DequantizeLinear", arrays(x, scale, zero), attrs, symbolic=names, tolerance=0), why)


X = random((3, 4, 5), low=-300, high=300)
HALVES = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 1e9, -1e9, INF, -INF], F)
INTEGERS = ("int8", "uint8", "int16", "uint16", "int4", "uint4", "int2", "uint2")
LIMITS = "onnxruntime takes 2-bit zero points from opset 25 on, and has no kernel there"

for dtype in INTEGERS:
    zero = array(1, dtype)
    why = LIMITS if dtype.endswith("2") else ""
    packed = "onnxruntime's Python interface gives no arrays of it" if dtype[-1] in "24" else why
    quantize(X, F(2.5), zero, why=packed)
    quantize(HALVES, F(1), zero, why=packed)
    dequantize(array(random((3, 4), low=-3, high=3), dtype), F(0.3), zero, why=packed)
    quantize(X, random((4,), low=1, high=3), array([0, 1, 1, 0], dtype), axis=-2, why=packed)
quantize(X, F(2.5))
quantize(X, np.array([2.5], F), np.array([3], np.uint8))
quantize(np.asarray(F(7.5)), F(2.5), np.int8(-3), symbolic=False)
quantize(np.zeros((0, 3), F), F(1))
quantize(X.astype(np.float16), np.float16(2.5), np.int8(3))
quantize(X, F(2.5), output_dtype=np.dtype(np.int8))
quantize(np.array([NAN, 1], F), F(1), np.uint8(3))
BLOCKS = random((3, 2, 5), low=1, high=3)
quantize(X, BLOCKS, np.ones((3, 2, 5), np.int8), symbolic=True, axis=1, block_size=2)
quantize(X, random((3, 4, 2), low=1, high=3), axis=2, block_size=3)
dequantize(X.astype(np.int8), BLOCKS, np.ones((3, 2, 5), np.int8), axis=1, block_size=2)
dequantize(X.astype(np.int8), random((5,)), axis=2)
dequantize(X.astype(np.int32), F(0.1))
dequantize(X.astype(np.uint8), np.float16(0.1), np.uint8(128))
quantize(np.arange(-9, 9, dtype=np.int32), F(4), np.int8(1), why="onnxruntime takes no int32")
quantize(X, np.float16(2.5), np.int8(1))
quantize(X, F(2.5), np.int8(1),          precision=np.dtype(np.float16))  # fmt: skip
dequantize(X.astype(np.int8), F(0.1),
           output_dtype=np.dtype(np.float16))  # fmt: skip
for dtype in ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float4_e2m1",
              "float6_e2m3", "float6_e3m2"):  # fmt: skip
    why = "onnxruntime's Python interface takes and gives no arrays of it"
    quantize(np.append(X.reshape(-1), [F(1e9), F(-1e9)]), F(2), array(0, dtype), why=why)
    quantize(X, F(0.5), why=why, output_dtype=as_dtype(dtype), saturate=0)
    dequantize(array(random((3, 4), low=-3, high=3), dtype), F(0.3), why=why)
why = "onnxruntime's Python interface takes no arrays of it"
quantize(array(X, "bfloat16"), array(2.5, "bfloat16"), np.int8(1), why=why)
quantize(X, array(2, "float8_e8m0"), np.int8(1), why=why)
dequantize(X.astype(np.int8), array(2, "float8_e8m0"), why=why, output_dtype=np.dtype(F))
for x in (X, np.abs(X), -np.abs(X), np.asarray(F(3))):
    add(Case("DynamicQuantizeLinear", (x,), symbolic=aligned((x,)), tolerance=0))
add(Case("DynamicQuantizeLinear", (np.zeros((2, 3), F),), tolerance=0),
    "the scale of zeros alone is 1 there, and 1 / 255 in ONNX's reference")  # fmt: skip
add(Case("DynamicQuantizeLinear", (np.zeros((0, 2), F),), tolerance=0),
    "onnxruntime divides by zero")  # fmt: skip

# -- products -------------------------------------------------------------------------------------

UNSIGNED = np.random.default_rng(0).integers(0, 256, (3, 2, 300)).astype(np.uint8)
SIGNED = np.random.default_rng(1).integers(-128, 128, (300, 4)).astype(np.int8)
SQUARE = np.random.default_rng(2).integers(0, 256, (2, 2)).astype(np.uint8)


def product(*operands: Any, why: str = "") -> None:
    names = {i: {0: "n"} for i, x in enumerate(operands) if np.ndim(x) == 3}
    add(Case("MatMulInteger", arrays(*operands), symbolic=names, tolerance=0), why)


product(UNSIGNED, SIGNED)
product(UNSIGNED, SIGNED, np.uint8(7), np.int8(-3))
product(UNSIGNED[0], SIGNED, np.uint8(255), np.array([1, -2, 3, 127], np.int8))
product(UNSIGNED[..., :5], SIGNED[:5])
product(UNSIGNED[0], UNSIGNED[0].T, np.uint8(7), np.uint8(9))
ROWS = "onnxruntime takes one zero point for all rows"
product(SQUARE, SQUARE, np.array([1, 2], np.uint8), np.array([3, 4], np.uint8), why=ROWS)
product(UNSIGNED, SIGNED, np.array([[[1], [2]]] * 3, np.uint8), why=ROWS)


def quantized_product(*operands: Any, why: str = "") -> None:
    names = {0: {0: "n"}} if operands[0].ndim == 3 else {}
    add(Case("QLinearMatMul", arrays(*operands), symbolic=names, tolerance=0), why)


SCALES = F(0.02), F(0.03), F(0.5)
quantized_product(UNSIGNED, SCALES[0], np.uint8(113), SIGNED, SCALES[1], np.int8(3), SCALES[2],
                  np.uint8(118))  # fmt: skip
quantized_product(UNSIGNED[0], SCALES[0], np.uint8(113), SIGNED, np.array([1, 2, 3, 4], F) / 100,
                  np.array([1, 2, 3, 4], np.int8), SCALES[2], np.uint8(118))  # fmt: skip
quantized_product(UNSIGNED[0], np.array([0.01, 0.02], F), np.array([3, 113], np.uint8), SIGNED,
                  SCALES[1], np.int8(0), SCALES[2], np.uint8(118), why=ROWS)  # fmt: skip
quantized_product(UNSIGNED[0], np.float16(0.02), np.uint8(113), SIGNED, np.float16(0.03),
                  np.int8(3), np.float16(0.5), np.int8(-7),
                  why="onnxruntime takes scales of float32 alone")  # fmt: skip
E4M3 = as_dtype("float8_e4m3fn")
quantized_product(
    array(UNSIGNED[0] / 64, "float8_e4m3fn"), F(1), array(0, "float8_e4m3fn"),
    array(SIGNED / 64, "float8_e4m3fn"), F(1), array(0, "float8_e4m3fn"), F(2),
    array(0, "float8_e4m3fn"), why="onnxruntime has no kernel for floats of 8 bits",
)  # fmt: skip

IMAGES = np.random.default_rng(3).integers(0, 256, (2, 4, 6, 5)).astype(np.uint8)
KERNEL = np.random.default_rng(4).integers(-128, 128, (6, 4, 3, 3)).astype(np.int8)
WIDE = np.random.default_rng(5).integers(0, 256, (1, 40, 5, 5)).astype(np.uint8)
DEEP = np.random.default_rng(6).integers(0, 256, (2, 40, 3, 3)).astype(np.uint8)


def convolution(*operands: Any, why: str = "", **attrs: Any) -> None:
    symbolic = {0: {0: "n"}}
    add(Case("ConvInteger", arrays(*operands), attrs, symbolic=symbolic, tolerance=0), why)


U8 = "onnxruntime convolves with kernels of uint8 alone"
convolution(IMAGES, KERNEL.view(np.uint8))
convolution(IMAGES, KERNEL.view(np.uint8), np.uint8(9), np.uint8(3), pads=(1, 0, 2, 1),
            strides=(2, 1))  # fmt: skip
convolution(WIDE, DEEP, np.uint8(200), np.uint8(9), auto_pad="SAME_UPPER")
convolution(IMAGES, KERNEL[:, :2].view(np.uint8), np.uint8(9), group=2, dilations=(2, 1))
convolution(IMAGES, KERNEL, np.uint8(9), np.arange(6).astype(np.int8), why=U8)
convolution(IMAGES[..., 0], KERNEL.view(np.uint8)[..., 0], np.uint8(9))


def quantized_convolution(*operands: Any, why: str = "", **attrs: Any) -> None:
    symbolic = {0: {0: "n"}}
    add(Case("QLinearConv", arrays(*operands), attrs, symbolic=symbolic, tolerance=0), why)


OUTPUTS = np.arange(1, 7).astype(F) / 300
quantized_convolution(IMAGES, F(0.02), np.uint8(113), KERNEL, F(0.01), np.int8(0), F(0.4),
                      np.uint8(118), pads=(1, 1, 1, 1))  # fmt: skip
quantized_convolution(IMAGES, F(0.02), np.uint8(113), KERNEL, OUTPUTS,
                      np.zeros(6, np.int8), F(0.4), np.uint8(118),
                      np.arange(-3, 3, dtype=np.int32) * 10000, strides=(2, 2))  # fmt: skip
quantized_convolution(WIDE, F(0.02), np.uint8(200), DEEP, F(0.01), np.uint8(9), F(8),
                      np.uint8(7))  # fmt: skip
