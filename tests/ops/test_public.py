"""The public functions are NumPy's on arrays, and compute the same when they are recorded."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import graphctx as gx
from graphctx import Layer, ops
from graphctx.builder import Builder
from graphctx.errors import DTypeError, GraphctxError, ShapeError
from graphctx.spec import TensorSpec, as_dtype
from graphctx.tensor import Recorder, Tensor
from tests.ops.recording import record, run

DTYPES = ("bool", "int8", "uint8", "int32", "uint32", "int64", "float16", "float32", "float64")
few = settings(max_examples=30)  # of each of a hundred functions

TOLERANCE = {"float16": 4e-3, "float32": 4e-6, "float64": 1e-12}


def elements(dtype: str, low: float = -100, high: float = 100) -> st.SearchStrategy[Any]:
    kind = np.dtype(dtype).kind
    if kind == "b":
        return st.booleans()
    if kind in "iu":
        return st.integers(0 if kind == "u" else int(low), int(high))
    width = np.dtype(dtype).itemsize * 8
    return st.floats(low, high, width=width, allow_subnormal=False)  # type: ignore[arg-type]


@st.composite
def pairs(draw: Any) -> tuple[Any, Any]:
    """Two arrays that broadcast, or an array and a Python scalar."""
    shapes = draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3))
    found = []
    for shape in shapes.input_shapes:
        dtype = draw(st.sampled_from(DTYPES))
        found.append(draw(hnp.arrays(dtype, shape, elements=elements(dtype))))
    scalar = draw(st.sampled_from((None, None, True, 2, 2.5, -1.0)))
    if scalar is not None:
        found[draw(st.sampled_from((0, 1)))] = scalar
    return found[0], found[1]


@st.composite
def arrays(draw: Any, dtypes: tuple[str, ...] = DTYPES, min_side: int = 0, min_dims: int = 0,
           low: float = -100, high: float = 100) -> Any:  # fmt: skip
    dtype = draw(st.sampled_from(dtypes))
    shape = draw(hnp.array_shapes(min_dims=min_dims, max_dims=3, min_side=min_side, max_side=3))
    return draw(hnp.arrays(dtype, shape, elements=elements(dtype, low, high)))


def same(found: Any, wanted: Any, tolerance: bool = False) -> None:
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    limit = TOLERANCE.get(str(wanted.dtype), 0.0) if tolerance else 0.0
    np.testing.assert_allclose(found, wanted, rtol=limit, atol=limit, equal_nan=True)


def check(function: Callable[..., Any], reference: Callable[..., Any], *operands: Any,
          eager_tolerance: bool = False, tolerance: bool = False) -> None:  # fmt: skip
    """The function equals NumPy's on arrays, and equals it when recorded; errors included."""
    with np.errstate(all="ignore"):
        try:
            wanted = reference(*operands)
        except (TypeError, ValueError, OverflowError) as error:
            with pytest.raises((GraphctxError, type(error))):
                function(*operands)
            with pytest.raises((GraphctxError, OverflowError)):
                run(function, *operands)
            return
        same(function(*operands), wanted, eager_tolerance)
        same(run(function, *operands), wanted, tolerance)


BINARY = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.true_divide,
    "maximum": np.maximum, "minimum": np.minimum, "equal": np.equal, "not_equal": np.not_equal,
    "less": np.less, "less_equal": np.less_equal, "greater": np.greater,
    "greater_equal": np.greater_equal, "logical_and": np.logical_and, "logical_or": np.logical_or,
    "logical_xor": np.logical_xor, "bitwise_and": np.bitwise_and, "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor, "atan2": np.arctan2,
}  # fmt: skip


@pytest.mark.parametrize("name", BINARY)
@few
@given(operands=pairs())
def test_binary(name: str, operands: tuple[Any, Any]) -> None:
    if not any(isinstance(x, np.ndarray) for x in operands):
        return
    check(getattr(ops, name), BINARY[name], *operands)


@pytest.mark.parametrize("name", ["floor_divide", "remainder", "fmod"])
@few
@given(operands=pairs())
def test_division(name: str, operands: tuple[Any, Any]) -> None:
    left, right = operands
    if isinstance(right, np.ndarray):
        right = np.where(right == 0, np.ones((), right.dtype), right).astype(right.dtype)
    if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
        check(getattr(ops, name), getattr(np, name), left, right)


@pytest.mark.parametrize("name", ["bitwise_left_shift", "bitwise_right_shift"])
@few
@given(x=arrays(DTYPES[1:6]), places=st.integers(0, 9))
def test_shift(name: str, x: Any, places: int) -> None:
    check(getattr(ops, name), getattr(np, name.removeprefix("bitwise_")), x, places)


@few
@given(operands=pairs())
def test_pow(operands: tuple[Any, Any]) -> None:
    left, right = (np.abs(x) if isinstance(x, np.ndarray) else abs(x) for x in operands)
    left, right = (x % 5 if not isinstance(x, np.ndarray) or x.dtype != bool else x
                   for x in (left, right))  # fmt: skip
    if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
        check(ops.pow, np.power, left, right, tolerance=True)


@pytest.mark.parametrize("name", ["logaddexp", "hypot"])
@few
@given(operands=pairs())
def test_binary_of_floats(name: str, operands: tuple[Any, Any]) -> None:
    if any(isinstance(x, np.ndarray) for x in operands):
        check(getattr(ops, name), getattr(np, name), *operands, tolerance=True)


UNARY = {
    "negative": np.negative, "positive": np.positive, "abs": np.abs, "sign": np.sign,
    "square": np.square, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc,
    "isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite, "signbit": np.signbit,
    "logical_not": np.logical_not, "bitwise_invert": np.invert, "exp": np.exp, "expm1": np.expm1,
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "atan": np.arctan, "sinh": np.sinh,
    "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh, "log": np.log, "sqrt": np.sqrt,
    "log1p": np.log1p, "log2": np.log2, "log10": np.log10, "asin": np.arcsin, "acos": np.arccos,
    "acosh": np.arccosh, "atanh": np.arctanh, "exp2": np.exp2,
}  # fmt: skip


@pytest.mark.parametrize("name", UNARY)
@few
@given(x=arrays())
def test_unary(name: str, x: Any) -> None:
    if x.dtype == bool and name in ("positive", "square", "signbit"):
        return  # NumPy has no such bool, or makes it int8 or float16
    check(getattr(ops, name), UNARY[name], x, tolerance=name == "exp2")


@few
@given(x=arrays(DTYPES[1:]))
def test_round_is_half_to_even(x: Any) -> None:
    check(ops.round, np.round, x)


@few
@given(x=arrays(("float32", "float64"), low=0.5))
def test_rsqrt_and_reciprocal(x: Any) -> None:
    check(ops.rsqrt, lambda x: 1 / np.sqrt(x), x)
    check(ops.reciprocal, np.reciprocal, x)


@few
@given(x=arrays(DTYPES[1:]), low=st.sampled_from((None, 0, 3)), high=st.sampled_from((None, 3, 9)))
def test_clip(x: Any, low: Any, high: Any) -> None:
    if low is None and high is None:
        return
    check(lambda x: ops.clip(x, low, high), lambda x: np.clip(x, low, high), x)
    check(lambda x: ops.clip(x, min=low, max=high), lambda x: np.clip(x, low, high), x)


def test_clip_takes_tensors_as_limits() -> None:
    x, low = np.float32([[1, 5], [7, 2]]), np.float32([2, 3])
    check(lambda x, low: ops.clip(x, low, 6.0), lambda x, low: np.clip(x, low, 6.0), x, low)


@few
@given(operands=pairs(), seed=st.integers(0, 9))
def test_where(operands: tuple[Any, Any], seed: int) -> None:
    shape = np.broadcast_shapes(*(np.shape(x) for x in operands))
    condition = np.random.default_rng(seed).random(shape) < 0.5
    check(ops.where, np.where, condition, *operands)


@few
@given(x=arrays(), target=st.sampled_from(DTYPES))
def test_astype(x: Any, target: str) -> None:
    if x.dtype.kind == "f" and np.dtype(target).kind == "u":
        x = np.abs(x)
    check(lambda x: ops.astype(x, target), lambda x: x.astype(target), x)


# -- reductions -----------------------------------------------------------------------------------


@st.composite
def reductions(draw: Any, dtypes: tuple[str, ...] = DTYPES, several: bool = True) -> Any:
    x = draw(arrays(dtypes, min_side=1, min_dims=1))
    choices: list[Any] = [None, *range(-x.ndim, x.ndim)]
    if several:
        choices += [tuple(range(x.ndim)), (0, -1) if x.ndim > 1 else (0,)]
    return x, draw(st.sampled_from(choices)), draw(st.booleans())


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "any", "all", "mean"])
@few
@given(case=reductions())
def test_reduction(name: str, case: Any) -> None:
    x, axis, keepdims = case
    if name == "prod":
        x = (x % 3).astype(x.dtype) if x.dtype != bool else x
    check(
        lambda x: getattr(ops, name)(x, axis=axis, keepdims=keepdims),
        lambda x: getattr(np, name)(x, axis=axis, keepdims=keepdims),
        x,
    )


@pytest.mark.parametrize("name", ["var", "std"])
@pytest.mark.parametrize("correction", [0, 1])
@few
@given(case=reductions(("int32", "float32", "float64", "bool")))
def test_variance(name: str, correction: int, case: Any) -> None:
    x, axis, keepdims = case
    x = np.tile(x, (2,) * x.ndim)  # more than one element along every axis
    check(
        lambda x: getattr(ops, name)(x, axis, keepdims, correction=correction),
        lambda x: getattr(np, name)(x, axis, keepdims=keepdims, correction=correction),
        x,
        eager_tolerance=True,
        tolerance=True,
    )


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@few
@given(case=reductions(several=False))
def test_search(name: str, case: Any) -> None:
    x, axis, keepdims = case
    check(
        lambda x: getattr(ops, name)(x, axis, keepdims),
        lambda x: getattr(np, name)(x, axis, keepdims=keepdims),
        x,
    )


@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod"])
@few
@given(case=reductions(several=False))
def test_cumulative(name: str, case: Any) -> None:
    x, axis, initial = case
    if name == "cumulative_prod" and x.dtype != bool:
        x = (x % 3).astype(x.dtype)
    if axis is None:
        x, axis = x.reshape(-1), 0
    check(
        lambda x: getattr(ops, name)(x, axis, initial),
        lambda x: getattr(np, name)(x, axis=axis, include_initial=initial),
        x,
        tolerance=True,
    )


@few
@given(case=reductions(("float32", "float64")))
def test_logsumexp(case: Any) -> None:
    x, axis, keepdims = case

    def reference(x: Any) -> Any:
        wide = np.asarray(x, np.longdouble)
        return np.log(np.exp(wide).sum(axis, keepdims=keepdims)).astype(x.dtype)

    check(lambda x: ops.logsumexp(x, axis, keepdims), reference, x,
          eager_tolerance=True, tolerance=True)  # fmt: skip


def test_logsumexp_of_infinities() -> None:
    x = np.array([[np.inf, 0.0], [-np.inf, -np.inf], [-np.inf, 0.0], [1e4, 1e4]], np.float32)
    wanted = np.float32([np.inf, -np.inf, 0.0, 1e4 + np.log(2)])
    same(ops.logsumexp(x, 1), wanted, tolerance=True)


def test_vector_norm() -> None:
    x = np.float32([[3, -4], [1, 2]])
    for order in (1, 2, 3, np.inf, -np.inf):
        check(
            lambda x, order=order: ops.vector_norm(x, axis=1, ord=order),
            lambda x, order=order: np.linalg.vector_norm(x, axis=1, ord=order),
            x,
            eager_tolerance=True,
            tolerance=True,
        )


@few
@given(x=arrays(("int32", "float32"), min_dims=1, min_side=2), largest=st.booleans())
def test_top_k(x: Any, largest: bool) -> None:
    values, indices = ops.top_k(x, 2, axis=0, largest=largest)
    order = np.argsort(-x if largest else x, axis=0, kind="stable")[:2]
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_array_equal(values, np.take_along_axis(x, order, 0))
    recorded = run(lambda x: ops.top_k(x, 2, axis=0, largest=largest), x)
    same(recorded[0], values)
    same(recorded[1], indices)


@given(x=arrays(("int32", "float32"), min_dims=1), descending=st.booleans())
@few
def test_sort(x: Any, descending: bool) -> None:
    def reference(x: Any) -> Any:
        return np.flip(np.sort(x), -1) if descending else np.sort(x)

    check(lambda x: ops.sort(x, descending=descending), reference, x)
    order = ops.argsort(x, descending=descending)
    same(np.take_along_axis(x, order, -1), reference(x))
    same(run(lambda x: ops.argsort(x, descending=descending), x), order)
    check(ops.count_nonzero, np.count_nonzero, x)
    check(lambda x: ops.count_nonzero(x, 0), lambda x: np.count_nonzero(x, 0), x)


def test_reductions_of_nothing() -> None:
    empty = np.zeros((0, 2), np.float32)
    check(ops.sum, np.sum, empty)
    check(lambda x: ops.any(x, 0), lambda x: np.any(x, 0), empty)
    with pytest.raises(ShapeError, match="max of no elements"):
        ops.max(empty, axis=0)
    with pytest.raises(ShapeError, match="max of no elements: axis 0"):
        run(lambda x: ops.max(x, axis=0), empty)


# -- products -------------------------------------------------------------------------------------

MATRICES = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)


def test_products() -> None:
    a, b = MATRICES
    check(ops.matmul, np.matmul, a, b.astype(np.float32))
    check(ops.matmul, np.matmul, a.astype(np.int32), b.astype(np.int64))
    check(ops.matmul, np.matmul, a[0], b)
    check(lambda a, b: ops.einsum("ij,jk->ki", a, b), lambda a, b: (a @ b).T, a, b)
    check(lambda a, b: ops.tensordot(a, b, 1), lambda a, b: np.tensordot(a, b, 1), a, b)
    check(
        lambda a, b: ops.tensordot(a, b, ((1,), (0,))),
        lambda a, b: np.tensordot(a, b, ((1,), (0,))),
        a,
        b,
    )
    check(ops.vecdot, np.vecdot, a, b[:, 0])
    check(ops.outer, np.outer, a, b)
    check(ops.dot, np.dot, a, b)
    check(ops.dot, np.dot, a, np.ones((2, 3, 2)))
    same(ops.gemm(a, b, b[0], alpha=2.0), 2 * (a @ b) + b[0])


# -- activations ----------------------------------------------------------------------------------


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x: np.where(x < 0, 0.01 * x, x),
    "elu": lambda x: np.where(x < 0, np.expm1(x), x),
    "sigmoid": sigmoid,
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hard_silu": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "silu": lambda x: x * sigmoid(x),
    "softplus": lambda x: np.logaddexp(x, 0),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "mish": lambda x: x * np.tanh(np.logaddexp(x, 0)),
    "log_sigmoid": lambda x: -np.logaddexp(-x, 0),
    "tanh_shrink": lambda x: x - np.tanh(x),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "hard_shrink": lambda x: np.where(np.abs(x) > 0.5, x, 0),
    "soft_shrink": lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
    "squareplus": lambda x: (x + np.sqrt(x * x + 4)) / 2,
    "sparse_plus": lambda x: np.where(x <= -1, 0, np.where(x >= 1, x, (x + 1) ** 2 / 4)),
    "sparse_sigmoid": lambda x: np.clip((x + 1) / 2, 0, 1),
    "softmax": lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
    "log_softmax": lambda x: x - np.log(np.exp(x).sum(-1, keepdims=True)),
    "softmin": lambda x: np.exp(-x) / np.exp(-x).sum(-1, keepdims=True),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
@few
@given(x=arrays(("float32", "float64"), low=-20, high=20, min_side=1))
def test_activation(name: str, x: Any) -> None:
    if not x.ndim:
        return
    check(
        getattr(ops, name),
        lambda x: ACTIVATIONS[name](x.astype(np.float64)).astype(x.dtype),
        x,
        eager_tolerance=True,
        tolerance=True,
    )


@given(x=arrays(("float16", "float32", "float64"), low=-7, high=7))
@few
def test_erf_and_gelu(x: Any) -> None:
    def erf(x: Any) -> Any:
        wide = x.astype(np.float64)
        return np.array([math.erf(v) for v in wide.flat]).reshape(x.shape).astype(x.dtype)

    def gelu(x: Any) -> Any:
        wide = x.astype(np.float64)
        return (wide / 2 * (1 + erf(wide / math.sqrt(2)))).astype(x.dtype)

    check(ops.erf, erf, x, eager_tolerance=True, tolerance=True)
    check(ops.gelu, gelu, x, eager_tolerance=True, tolerance=True)


def test_erf_is_accurate_to_the_last_places() -> None:
    x = np.linspace(-7, 7, 40_001)
    exact = np.array([math.erf(v) for v in x])
    assert np.abs(ops.erf(x) - exact).max() <= 4e-16
    single = x.astype(np.float32)
    exact = np.array([math.erf(v) for v in single.astype(np.float64)]).astype(np.float32)
    assert (np.abs(ops.erf(single) - exact) <= np.spacing(np.abs(exact))).all()
    np.testing.assert_array_equal(ops.erf(np.float32([np.nan, np.inf, -np.inf, -0.0])),
                                  np.float32([np.nan, 1, -1, -0.0]))  # fmt: skip


@pytest.mark.parametrize("name", [*ACTIVATIONS, "gelu", "erf", "selu", "celu", "log_sigmoid"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_activations_do_not_overflow(name: str, dtype: str) -> None:
    x = np.array([-6e4, -300.0, -20.0, 0.0, 20.0, 150.0], dtype)  # a warning would be an error
    if name == "squareplus":  # is a square root of a square
        x = np.maximum(x, -250)
    y = getattr(ops, name)(x)
    assert y.dtype == dtype
    assert np.isfinite(y).all()
    assert run(getattr(ops, name), x).dtype == dtype


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "elu", "gelu", "softmax", "silu"])
def test_activations_make_integers_floats(name: str) -> None:
    x = np.arange(-2, 3)
    function = getattr(ops, name)
    same(function(x), function(x.astype(np.float64)))
    same(run(function, x), function(x.astype(np.float64)))


def test_silu_exports_at_opset_23() -> None:
    assert record(ops.silu, np.float32([1, 2]))[1] == ["Sigmoid", "Mul"]


def test_attributes_by_position() -> None:
    x = np.float32([[-1, 2], [3, 4]])
    same(ops.leaky_relu(x, 0.5), np.where(x < 0, x / 2, x))
    same(run(lambda x: ops.softmax(x, 0), x), ops.softmax(x, axis=0))


# -- scalars and masks ----------------------------------------------------------------------------


def test_masks_combine() -> None:
    a, b = np.array([True, False]), np.array([True, True])
    assert record(lambda a, b: a & b, a, b)[1] == ["And"]
    assert record(lambda a, b: a | ~b, a, b)[1] == ["Not", "Or"]
    assert record(lambda a, b: a * b, a, b)[1] == ["And"]
    assert record(lambda a, b: a != b, a, b)[1] == ["Xor"]


def test_python_scalars_take_the_dtype_they_meet() -> None:
    half = np.float16([1, 2])
    assert run(lambda x: x * 2.5 + 1, half).dtype == np.float16
    assert run(lambda x: 1 - x / 3, half).dtype == np.float16
    assert run(lambda x: x**2, half).dtype == np.float16
    assert run(lambda x: x * np.float32(2), half).dtype == np.float32
    assert run(lambda x: x / 2, np.int32([1, 2])).dtype == np.float64
    assert run(lambda x: ops.where(x > 1, x, 0.0), half).dtype == np.float16


def test_integers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(OverflowError, match="300"):
        ops.add(np.uint8([1]), 300)
    with pytest.raises(DTypeError, match="300 does not fit into uint8"):
        run(lambda x: x + 300, np.uint8([1]))


def test_strings_do_not_mix_with_numbers() -> None:
    texts = np.array(["a", "b"], object)
    same(run(lambda x: x == "a", texts), np.array([True, False]))
    with pytest.raises(DTypeError, match="strings do not mix with numbers"):
        run(lambda x: x == 1, texts)


@pytest.mark.parametrize(
    "function", [np.tanh, np.sqrt, np.abs, np.sum, np.max, np.mean, np.var, np.argmax, np.fmod,
                 np.cumsum]
)  # fmt: skip
def test_numpy_functions_record(function: Any) -> None:
    x = np.float32([[1.5, 2.5], [3.5, 4.5]])
    operands = (x, np.float32(2)) if function is np.fmod else (x,)
    same(run(function, *operands), function(*operands), tolerance=True)


def test_symbolic_dimensions_survive() -> None:
    recorder = Recorder(Builder())
    x = Tensor(recorder.builder.input(TensorSpec(("n", 3)), "x"), recorder)
    assert str(ops.sum(x, axis=1).spec) == "float32[n]"
    assert str(ops.var(x, axis=0, keepdims=True).spec) == "float32[1, 3]"
    assert str((x @ np.ones((3, 5), np.float32)).spec) == "float32[n, 5]"
    assert str(ops.clip(x / 2, 0, 1).spec) == "float32[n, 3]"


def test_full_like() -> None:
    x = np.ones((2, 3), np.float32)
    check(ops.zeros_like, np.zeros_like, x)
    check(ops.ones_like, np.ones_like, x)
    check(lambda x: ops.full_like(x, 2, "int32"), lambda x: np.full_like(x, 2, np.int32), x)


def test_every_name_is_public() -> None:
    for name in ops.__all__:
        assert hasattr(ops, name)
        member = getattr(ops, name)
        if callable(member):
            assert member.__doc__, f"{name} has no docstring"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["var", "std"])
@pytest.mark.parametrize("correction", [0, 1])
def test_a_spread_of_16_bits_is_rounded_once(name: str, dtype: str, correction: int) -> None:
    x = (np.random.default_rng(0).standard_normal((40, 7)) * 3).astype(as_dtype(dtype))

    class Spread(Layer):
        def call(self, x: Any) -> Any:
            return getattr(ops, name)(x, axis=0, correction=correction)

    program = gx.compile(gx.trace(Spread(), TensorSpec(("n", 7), dtype)))
    found, wanted = program(x), Spread()(x)
    assert found.dtype == wanted.dtype == x.dtype
    np.testing.assert_array_equal(found.view(np.uint16), wanted.view(np.uint16))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_cube_is_that_of_numpy(dtype: str) -> None:
    x = np.random.default_rng(0).standard_normal((50, 4)).astype(dtype)

    class Cube(Layer):
        def call(self, x: Any) -> Any:
            return x**3, ops.pow(x, 3), np.power(x, 3.0)

    program = gx.compile(gx.trace(Cube(), TensorSpec(("n", 4), dtype)))
    for found in program(x):
        np.testing.assert_array_equal(found, x**3)


def test_string_is_a_dtype() -> None:
    assert TensorSpec((2,), "string") == TensorSpec((2,), object)
