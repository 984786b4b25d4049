"""Quantization, casts, linear attention: definitions, public functions, refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphctx as gx
from graphctx import ops
from graphctx.errors import DTypeError, ShapeError
from graphctx.spec import EXTENDED, as_dtype, is_storage, limits_of

F = np.float32


# -- casts ----------------------------------------------------------------------------------------

NATIVE = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16",
          "uint32", "uint64", "bool")  # fmt: skip


@pytest.mark.parametrize("target", [*NATIVE, *EXTENDED])
@pytest.mark.parametrize("source", [*NATIVE, *EXTENDED])
def test_every_pair_of_dtypes(source: str, target: str) -> None:
    numbers = np.array([1, 2, 1, 2]) if source == "float8_e8m0" else np.array([0, 1, 0, 1])
    x = numbers.astype(as_dtype(source))
    y = ops.astype(x, target)
    assert y.dtype == as_dtype(target)
    high = limits_of(y.dtype)[1] if target != "bool" else 1
    expected = numbers if target != "float8_e8m0" else np.where(numbers == 0, 2.0**-127, numbers)
    if source == "float8_e8m0" and high < 2:
        expected = np.where(numbers == 2, -2 if target == "int2" else 1, numbers)
    np.testing.assert_array_equal(y.astype(np.float64), expected)

    class Net(gx.Layer):
        def call(self, x: Any) -> Any:
            return ops.astype(x, target)

    found = gx.compile(gx.trace(Net(), gx.TensorSpec((4,), source)))(x)
    np.testing.assert_array_equal(found.astype(np.float64), expected)


FLOAT8 = [
    # x, saturated, not saturated; None is NaN (the tables of ONNX's Cast)
    ("float8_e4m3fn", np.inf, 448, None), ("float8_e4m3fn", -np.inf, -448, None),
    ("float8_e4m3fn", 464, 448, 448), ("float8_e4m3fn", 465, 448, None),
    ("float8_e4m3fnuz", np.inf, 240, None), ("float8_e4m3fnuz", 1e9, 240, None),
    ("float8_e5m2", np.inf, 57344, np.inf), ("float8_e5m2", -1e9, -57344, -np.inf),
    ("float8_e5m2fnuz", -np.inf, -57344, None), ("float8_e5m2fnuz", np.nan, None, None),
    ("float8_e8m0", np.inf, 2.0**127, None), ("float8_e8m0", 3e38, 2.0**127, None),
    ("float8_e8m0", 0, 2.0**-127, None), ("float8_e8m0", 1e-45, 2.0**-127, None),
    ("float8_e8m0", np.nan, None, None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "x", "saturated", "not_saturated"), FLOAT8)
@pytest.mark.parametrize("source", ["float32", "float64"])
def test_out_of_range_of_floats_of_8_bits(
    name: str, x: float, saturated: Any, not_saturated: Any, source: str
) -> None:
    numbers = np.array([x], source)
    for saturate, expected in ((True, saturated), (False, not_saturated)):
        y = ops.cast(numbers, name, saturate=saturate).astype(np.float64)
        np.testing.assert_array_equal(y, [np.nan if expected is None else expected])


def test_rounding_to_powers_of_two() -> None:
    x = np.array([1, 1.25, 1.5, 1.75, 2, 0.3], F)
    for mode, expected in (
        ("up", [1, 2, 2, 2, 2, 0.5]), ("down", [1, 1, 1, 1, 2, 0.25]),
        ("nearest", [1, 1, 2, 2, 2, 0.25]),
    ):  # fmt: skip
        y = ops.cast(x, "float8_e8m0", round_mode=mode)
        np.testing.assert_array_equal(y.astype(F), np.array(expected, F))
    with pytest.raises(DTypeError, match="round_mode is one of up, down, nearest, got 'even'"):
        ops.cast(x, "float8_e8m0", round_mode="even")


@given(st.lists(st.floats(width=32, allow_subnormal=False), min_size=1))
def test_floats_of_8_bits_are_the_nearest(numbers: list[float]) -> None:
    codes = np.arange(256, dtype=np.uint8).view(as_dtype("float8_e4m3fn")).astype(np.float64)
    known = codes[~np.isnan(codes)]
    x = np.array(numbers, F)
    for ours, number in zip(ops.astype(x, "float8_e4m3fn").astype(np.float64), x, strict=True):
        if np.isnan(number):
            assert np.isnan(ours)
        else:
            limited = np.clip(np.float64(number), -448, 448)
            assert abs(ours - limited) == np.abs(known - limited).min()


def test_strings() -> None:
    numbers = ops.astype(np.array(["1.5", "-2", "inf"], object), "bfloat16")
    np.testing.assert_array_equal(numbers.astype(F), np.array([1.5, -2, np.inf], F))
    assert ops.astype(numbers[:2], object).tolist() == ["1.5", "-2"]
    assert ops.astype(np.array(["3", "-7"], object), "int4").tolist() == [3, -7]


def test_bits() -> None:
    x = np.array([1.0, -2.0], F)
    assert ops.bitcast(x, "int32").tolist() == [0x3F800000, -0x40000000]
    four = np.array([-8, -1, 7]).astype(as_dtype("int4"))
    unsigned = ops.bitcast(four, "uint4")
    assert unsigned.astype(int).tolist() == [8, 15, 7]
    np.testing.assert_array_equal(ops.bitcast(unsigned, "int4").astype(int), four.astype(int))
    with pytest.raises(DTypeError, match=r"BitCast.*float32 has 32 bits, and float16 16"):
        ops.bitcast(x, "float16")
    with pytest.raises(DTypeError, match="strings have no bits"):
        ops.bitcast(x, object)
    assert ops.cast_like(x, np.zeros(1, np.int8)).dtype == np.int8


# -- quantization ---------------------------------------------------------------------------------


@given(
    st.lists(st.integers(-4000, 4000), min_size=1, max_size=20), st.integers(1, 40),
    st.sampled_from(["int8", "uint8", "int4", "uint4", "int2", "uint2", "int16", "uint16"]),
    st.integers(0, 255),
)  # fmt: skip
def test_quantized_numbers_are_the_nearest(
    numbers: list[int], step: int, name: str, zero: int
) -> None:
    low, high = limits_of(as_dtype(name))
    shift = min(zero, high)
    x, scale = np.array(numbers, F) / 8, F(step) / 8
    y = ops.quantize_linear(x, scale, np.array(shift).astype(as_dtype(name)))
    exact = [min(max(round(n / step) + shift, low), high) for n in numbers]  # halves to even
    assert y.astype(int).tolist() == exact
    back = ops.dequantize_linear(y, scale, np.array(shift).astype(as_dtype(name)))
    inside = [low < v < high for v in exact]
    assert (np.abs(back - x)[inside] <= scale / 2).all()


def large(dtype: Any, shape: tuple[int, ...]) -> Any:
    return np.full(shape, limits_of(np.dtype(dtype))[1 if dtype == np.uint8 else 0], dtype)


@pytest.mark.parametrize("count", [257, 258, 259, 1024, 1025, 70000])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_products_of_the_largest_numbers_are_exact(dtype: Any, count: int) -> None:
    a, b = large(dtype, (1, count)), large(dtype, (count, 2))
    a[0, 0] = 1  # an odd sum
    wide = a.astype(np.int64) @ b.astype(np.int64)
    np.testing.assert_array_equal(ops.matmul_integer(a, b), wide.astype(np.int32))
    images, kernel = a.reshape(1, count, 1), b.T.reshape(2, count, 1)
    found = ops.conv_integer(images, kernel)
    np.testing.assert_array_equal(found.reshape(1, 2), wide.astype(np.int32))


def recorded(function: Callable[..., Any], *operands: Any) -> Any:
    class Net(gx.Layer):
        def call(self, *inputs: Any) -> Any:
            return function(*inputs)

    specs = [gx.TensorSpec(x.shape, x.dtype) for x in operands]
    return gx.compile(gx.trace(Net(), *specs))(*operands)


X = np.random.default_rng(0).standard_normal((2, 6, 40)).astype(F)
Q, S, Z = ops.dynamic_quantize_linear(X)
PUBLIC: list[tuple[str, Callable[..., Any], list[Any]]] = [
    ("quantize", lambda x: ops.quantize_linear(x, F(0.1), np.int8(3)), [X]),
    ("quantize large", lambda x: ops.quantize_linear(x, F(0.1), dtype="int4"),
     [np.tile(X, (1000, 1, 1))]),
    ("blocks", lambda x: ops.quantize_linear(x, np.ones((2, 6, 3), F), axis=2, block_size=16,
                                             dtype="float8_e4m3fn", saturate=False), [X]),
    ("precision", lambda x: ops.quantize_linear(x, F(0.1), precision="float16"), [X]),
    ("dequantize", lambda x, s, z: ops.dequantize_linear(x, s, z, dtype="bfloat16"), [Q, S, Z]),
    ("dynamic", lambda x: ops.dynamic_quantize_linear(x)[0], [X]),
    ("matrix product", lambda a: ops.qlinear_matmul(a, F(0.1), Z, Q[0].T, F(0.2), Z, F(3), Z), [Q]),
    ("convolution", lambda x: ops.qlinear_conv(
        x, F(0.1), Z, Q[:, :, :3], F(0.2), Z, F(3), np.int8(0), np.array([5, -5], np.int32),
        pads=1, strides=2), [Q]),
    ("integers", lambda x: ops.conv_integer(x, Q[:, :3, :5], group=2), [Q]),
    ("swiglu", lambda x: ops.swiglu(x, x, alpha=1.5), [X]),
    ("swiglu of half", lambda x: ops.swiglu(x, x), [X.astype(np.float16)]),
    ("linear attention", lambda q: ops.linear_attention(
        q, q, q, None, q[..., :2], q[..., :1], q_num_heads=2)[0], [X]),
    ("linear attention's state", lambda q, s: ops.linear_attention(
        q, q[..., :20], q[..., 20:], s, q_num_heads=4, kv_num_heads=2)[1],
     [X, np.ones((2, 2, 10, 10), F)]),
    ("causal", lambda x: ops.causal_conv_with_state(
        x, np.ones((6, 1, 4), F), np.ones(6, F), activation="silu")[0], [X]),
    ("causal's state", lambda x: ops.causal_conv_with_state(
        x[..., :2], np.ones((6, 1, 4), F), None, x[..., :3])[1], [X]),
    ("mean and variance", lambda x: ops.mean_variance_norm(x, (0, 2)), [X]),
    ("local response", lambda x: ops.local_response_norm(x, 4, alpha=0.1), [X]),
    ("bits", lambda x: ops.bitcast(x, "uint32"), [X]),
    ("cast", lambda x: ops.cast(x, "float8_e5m2", saturate=False), [X]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("function", "operands"), [p[1:] for p in PUBLIC], ids=[p[0] for p in PUBLIC]
)
def test_a_program_equals_the_eager_call(function: Any, operands: list[Any]) -> None:
    operands = [np.asarray(x) for x in operands]
    eager = np.asarray(function(*operands))
    found = np.asarray(recorded(function, *operands))
    assert found.dtype == eager.dtype
    if is_storage(eager.dtype):
        found, eager = found.view(np.uint8), eager.view(np.uint8)
    np.testing.assert_array_equal(found, eager)


def test_linear_attention_is_a_sum_over_the_past() -> None:
    q, k, v = np.random.default_rng(1).standard_normal((3, 2, 7, 8)).astype(F)
    y, state = ops.linear_attention(q, k, v, q_num_heads=1, scale=0.5)
    weights = np.tril(q @ k.swapaxes(1, 2)) * 0.5
    np.testing.assert_allclose(y, weights @ v, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(state[:, 0], k.swapaxes(1, 2) @ v, rtol=1e-4, atol=1e-5)
    first, half = ops.linear_attention(q[:, :3], k[:, :3], v[:, :3], q_num_heads=1, scale=0.5)
    second, whole = ops.linear_attention(
        q[:, 3:], k[:, 3:], v[:, 3:], half, q_num_heads=1, scale=0.5
    )
    np.testing.assert_allclose(np.concatenate([first, second], 1), y, rtol=1e-6)
    np.testing.assert_array_equal(whole, state)


def test_a_sequence_in_parts_is_the_sequence() -> None:
    weight, bias = np.random.default_rng(2).standard_normal((2, 6, 1, 4)).astype(F)
    whole, last = ops.causal_conv_with_state(X, weight, bias[:, 0, 0])
    state, parts = None, []
    for start, stop in ((0, 1), (1, 3), (3, 40)):
        y, state = ops.causal_conv_with_state(X[..., start:stop], weight, bias[:, 0, 0], state)
        parts.append(y)
    np.testing.assert_allclose(np.concatenate(parts, -1), whole, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(state, last)


B = np.zeros((2, 4), np.int8)
REFUSED: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: ops.quantize_linear(X.astype(np.float64), F(1)), DTypeError,
     "x is float16, bfloat16, float32 or int32, got float64"),
    (lambda: ops.quantize_linear(X, F(1), np.int8(0), dtype="uint8"), DTypeError,
     "output_dtype is uint8, but the zero point is int8; give one of them"),
    (lambda: ops.quantize_linear(X, F(1), dtype="int32"), DTypeError,
     "the quantized dtype is int8, uint8, .* or uint2, got int32"),
    (lambda: ops.quantize_linear(X, F(1), precision="int8"), DTypeError,
     "precision is float16, bfloat16 or float32, got int8"),
    (lambda: ops.quantize_linear(X, np.ones(5, F)), ShapeError,
     r"one number for each of the 6 places along axis 1, got \[5\]; .* need block_size"),
    (lambda: ops.quantize_linear(X, np.ones((2, 5, 40), F), block_size=2), ShapeError,
     r"the scale of blocks of 2 along axis 1 of \[2, 6, 40\] is \[2, 3, 40\], got \[2, 5, 40\]"),
    (lambda: ops.quantize_linear(X, F(1), block_size=-1), ShapeError, "block_size is the length"),
    (lambda: ops.quantize_linear(X, F(1), np.zeros(3, np.int8)), ShapeError,
     r"the zero point has the shape of the scale, \[\], got \[3\]"),
    (lambda: ops.dequantize_linear(B, as_array(1, "float8_e8m0")), DTypeError,
     "the result is float16, bfloat16 or float32, got float8_e8m0; give output_dtype"),
    (lambda: ops.dequantize_linear(B, F(1), np.uint8(0)), DTypeError,
     "the zero point is int8, got uint8"),
    (lambda: ops.dynamic_quantize_linear(B), DTypeError, "x is float32, got int8"),
    (lambda: ops.matmul_integer(B, B.T, np.zeros(3, np.int8)), ShapeError,
     r"the zero point of A is a scalar, or has one number for each row of \[2, 4\], got \[3\]"),
    (lambda: ops.matmul_integer(X, X), DTypeError, "A is int8 or uint8, got float32"),
    (lambda: ops.conv_integer(Q, X[:, :, :2]), DTypeError, "w is int8 or uint8, got float32"),
    (lambda: ops.matmul_integer(B, B), ShapeError, "the inner dimensions differ: 4 against 2"),
    (lambda: ops.qlinear_matmul(B, F(1), np.int8(0), B.T, np.ones(3, F), np.int8(0), F(1),
                                np.int8(0)), ShapeError, "the scale of b .* for each column"),
    (lambda: ops.conv_integer(Q, Q[:, :5, :2]), ShapeError, "channels of the input"),
    (lambda: ops.conv_integer(Q, Q[:, :, :2], Z, np.zeros(3, np.uint8)), ShapeError,
     "the zero point of w .* for each of the 2 output channels"),
    (lambda: ops.qlinear_conv(Q, np.ones(2, F), Z, Q[:, :, :2], F(1), Z, F(1), Z), ShapeError,
     r"the scale of x is a scalar, got \[2\]"),
    (lambda: ops.swiglu(X, X[:1]), ShapeError,
     r"A \[2, 6, 40\] and B \[1, 6, 40\] are of one shape"),
    (lambda: ops.linear_attention(X, X, X, q_num_heads=3, kv_num_heads=2), ShapeError,
     r"q_num_heads \(3\) must be a multiple of kv_num_heads \(2\)"),
    (lambda: ops.linear_attention(X, X, X, q_num_heads=2, update_rule="gated"), ShapeError,
     "the update rule 'gated' needs decay"),
    (lambda: ops.linear_attention(X, X, X, decay=X, q_num_heads=2, update_rule="delta"),
     ShapeError, "the update rule 'delta' takes no decay"),
    (lambda: ops.linear_attention(X, X, X, q_num_heads=3), ShapeError,
     r"the width of query \(40\) must be a multiple of the number of heads \(3\)"),
    (lambda: ops.linear_attention(X, X, X, np.zeros((2, 2, 3, 3), F), q_num_heads=2), ShapeError,
     r"past_state is \[2, 2, 20, 20\], got \[2, 2, 3, 3\]"),
    (lambda: ops.causal_conv_with_state(X, np.ones((5, 1, 2), F)), ShapeError,
     r"weight is \[6, 1, taps\], got \[5, 1, 2\]"),
    (lambda: ops.causal_conv_with_state(X, np.ones((6, 1, 2), F), activation="relu"), ShapeError,
     "activation is one of none, silu, swish, got 'relu'"),
    (lambda: ops.local_response_norm(X, 0), ShapeError, "size is at least 1, got 0"),
    (lambda: ops.mean_variance_norm(X, (3,)), ShapeError, "axis 3 is out of range"),
]  # fmt: skip


def as_array(values: Any, dtype: str) -> Any:
    return np.asarray(values).astype(as_dtype(dtype))


@pytest.mark.parametrize(("call", "kind", "message"), REFUSED)
def test_wrong_operands_are_explained(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
