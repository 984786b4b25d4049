"""Files with the dtypes that NumPy lacks: bytes as onnx reads them, formats, verification."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graphctx_onnx.tensors import ELEMENT_TYPES, byte_size, flat_bytes, from_bytes, tensor
from onnx import numpy_helper

import graphctx as gx
from graphctx import ops
from graphctx.errors import ExportError
from graphctx.spec import EXTENDED, as_dtype, limits_of

FORMATS = {
    "float4_e2m1": 11, "float8_e8m0": 12, "int2": 13, "uint2": 13,
    "float6_e2m3": 14, "float6_e3m2": 14,
}  # fmt: skip


def numbers(name: str, count: int) -> Any:
    low, high = limits_of(as_dtype(name))
    whole = np.arange(count) % min(high, 6) + (name == "float8_e8m0")
    return np.where((np.arange(count) % 3 == 1) & (low < 0), -whole, whole).astype(as_dtype(name))


@pytest.mark.parametrize("count", [0, 1, 4, 5, 7])
@pytest.mark.parametrize("name", EXTENDED)
def test_onnx_reads_the_bytes(name: str, count: int) -> None:
    array = numbers(name, count)
    proto = tensor("x", array, "here")
    assert len(proto.raw_data) == byte_size(array.shape, array.dtype)
    read = numpy_helper.to_array(proto)
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)
    assert proto.raw_data == numpy_helper.from_array(array).raw_data
    np.testing.assert_array_equal(from_bytes(proto.raw_data, array.shape, array.dtype), array)


def test_every_code_survives() -> None:
    codes = np.arange(256, dtype=np.uint8)
    for name in ("float8_e4m3fn", "float8_e8m0", "float8_e5m2fnuz"):
        array = codes.view(as_dtype(name))
        assert flat_bytes(array).tobytes() == codes.tobytes()
    assert set(EXTENDED) == {n for n in EXTENDED if as_dtype(n) in ELEMENT_TYPES}


@pytest.mark.parametrize("name", EXTENDED)
def test_inputs_and_outputs_are_verified(name: str, tmp_path: Path) -> None:
    class Down(gx.Layer):
        def call(self, x: Any) -> Any:
            return ops.astype(x, name)

    class Up(gx.Layer):
        def call(self, x: Any) -> Any:
            return ops.astype(x, "float32")

    for model, dtype in ((Down(), "float32"), (Up(), name)):
        program = gx.compile(gx.trace(model, gx.TensorSpec(("n",), dtype)))
        path = tmp_path / "model.onnx"
        # onnxruntime has no kernel for floats of 6 and 4 bits; it takes float32 to be in range.
        verify = name[:6] not in ("float4", "float6") and (dtype != "float32" or name == "bfloat16")
        gx.export(program, path, verify=verify)
        proto = onnx.load(path)
        assert proto.ir_version == FORMATS.get(name, 10)


def test_constants_of_it_are_written(tmp_path: Path) -> None:
    class Net(gx.Layer):
        def call(self, x: Any) -> Any:
            return ops.astype(ops.concat([x, numbers("bfloat16", 5)]), "float32")

    program = gx.compile(gx.trace(Net(), gx.TensorSpec(("n",), "bfloat16")))
    gx.export(program, tmp_path / "model.onnx")
    [constant] = onnx.load(tmp_path / "model.onnx").graph.initializer
    np.testing.assert_array_equal(numpy_helper.to_array(constant), numbers("bfloat16", 5))


# -- quantized models -----------------------------------------------------------------------------

F = np.float32
GENERATOR = np.random.default_rng(0)
WEIGHT = GENERATOR.integers(-128, 128, (8, 4)).astype(np.int8)
KERNEL = GENERATOR.integers(-128, 128, (6, 4, 3, 3)).astype(np.int8)
PACKED = GENERATOR.integers(-8, 8, (64, 64)).astype(as_dtype("int4"))
ZERO = np.uint8(3)


def dynamic(x: Any) -> Any:
    quantized, scale, zero = ops.dynamic_quantize_linear(x)
    product = ops.matmul_integer(quantized, WEIGHT, zero)
    return ops.multiply(ops.astype(product, "float32"), ops.multiply(scale, F(0.02)))


MODELS: list[tuple[str, Callable[..., Any], list[tuple[Any, str]], set[str]]] = [
    ("quantize and back", lambda x: ops.dequantize_linear(
        ops.quantize_linear(x, F(0.1), ZERO), F(0.1), ZERO), [(("b", 8), "float32")],
     {"QuantizeLinear", "DequantizeLinear"}),
    ("to 4 bits", lambda x: ops.quantize_linear(x, F(0.1), dtype="int4"), [(("b", 8), "float32")],
     {"QuantizeLinear"}),
    ("dynamic", dynamic, [(("b", 8), "float32")],
     {"DynamicQuantizeLinear", "MatMulInteger", "Cast", "Mul"}),
    ("matrix product", lambda x: ops.qlinear_matmul(
        x, F(0.1), ZERO, WEIGHT, F(0.02), np.int8(0), F(0.5), ZERO), [(("b", 8), "uint8")],
     {"QLinearMatMul"}),
    ("convolution", lambda x: ops.qlinear_conv(
        x, F(0.1), ZERO, KERNEL, F(0.02), np.int8(0), F(2), ZERO, pads=1),
     [(("b", 4, 8, 8), "uint8")], {"QLinearConv"}),
    ("weights of 4 bits", lambda x: ops.matmul(x, ops.dequantize_linear(
        PACKED, np.ones((4, 64), F), axis=0, block_size=16)), [(("b", 64), "float32")],
     {"DequantizeLinear", "MatMul"}),
    ("linear attention", lambda x: ops.linear_attention(x, x, x, q_num_heads=2),
     [(("b", "t", 8), "float32")], {"LinearAttention"}),
    ("causal convolution", lambda x: ops.causal_conv_with_state(
        x, np.ones((4, 1, 3), F), activation="silu"), [(("b", 4, "t"), "float32")],
     {"Pad", "Conv", "Sigmoid", "Mul", "Slice"}),
    ("one tap", lambda x: ops.causal_conv_with_state(x, np.ones((4, 1, 1), F))[0],
     [(("b", 4, "t"), "float32")], {"Pad", "Conv"}),
    ("gate", lambda x: ops.swiglu(x, x), [(("b", 4), "float32")], {"Sigmoid", "Mul"}),
    ("mean and variance", ops.mean_variance_norm, [(("b", 4, 5, 5), "float32")],
     {"ReduceMean", "Sub", "Mul", "Sqrt", "Add", "Div"}),
    ("local response", lambda x: ops.local_response_norm(x, 5), [(("b", 9, 5, 5), "float32")],
     {"LRN"}),
    ("bits", lambda x: ops.bitcast(x, "int32"), [(("b", 4), "float32")], {"BitCast"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("function", "specs", "operators"), [m[1:] for m in MODELS], ids=[m[0] for m in MODELS]
)
def test_programs_are_verified(
    function: Any, specs: Any, operators: set[str], tmp_path: Path
) -> None:
    class Net(gx.Layer):
        def call(self, *inputs: Any) -> Any:
            return function(*inputs)

    graph = gx.trace(Net(), *[gx.TensorSpec(shape, dtype) for shape, dtype in specs])
    gx.export(gx.compile(graph), tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    assert {node.op_type for node in model.graph.node} <= operators
    assert {node.op_type for node in model.graph.node} & operators


def test_a_bundle_refuses_what_numpy_lacks(tmp_path: Path) -> None:
    class Net(gx.Layer):
        def call(self, x: Any) -> Any:
            return ops.astype(x, "float32")

    graph = gx.trace(Net(), gx.TensorSpec(("n",), "bfloat16"))
    with pytest.raises(ExportError, match="'x' is bfloat16, but a bundle runs with NumPy alone"):
        gx.export(graph, tmp_path / "model.bundle")
    assert not list(tmp_path.iterdir())
