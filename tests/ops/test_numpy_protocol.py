"""NumPy's own functions and array methods on symbolic tensors mean what they mean on arrays."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphctx as gx
from graphctx import ops
from graphctx.builder import Builder
from graphctx.errors import DTypeError, ShapeError, TraceError
from graphctx.layer import Layer, Variable
from graphctx.spec import TensorSpec
from graphctx.tensor import Recorder, Tensor
from tests.ops.recording import record, run

X = np.float32([[3, -1.25, 2], [0.5, 7, -2.75]])
N = np.int32([[3, -1, 2], [15, 7, -25]])
B = np.array([[True, False, True], [False, False, True]])


def weak(value: Any) -> Callable[[Any], Tensor]:
    """A Python number that is known when the program runs, beside a tensor."""

    def make(x: Any) -> Tensor:
        constant = np.asarray(value)
        made = x.recorder.builder.input(TensorSpec((), constant.dtype), "weak")
        return Tensor(made, x.recorder, weak=True)

    return make


def same(function: Callable[..., Any], *operands: Any, tolerance: float = 0.0) -> None:
    """The recorded function equals the same expression on arrays."""
    with np.errstate(all="ignore"):
        wanted = function(*operands)
        listed = isinstance(wanted, list)
        found = run((lambda *x: tuple(function(*x))) if listed else function, *operands)
    if not isinstance(wanted, (tuple, list)):
        wanted, found = [wanted], [found]
    for a, b in zip(found, wanted, strict=True):
        b = np.asarray(b)
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "concatenate(axis=None)": lambda x: np.concatenate((x, x), axis=None),
    "concatenate(dtype)": lambda x: np.concatenate((x, x), dtype="float64"),
    "sort(axis=None)": lambda x: np.sort(x, axis=None),
    "sort": lambda x: np.sort(x, 0, kind="stable"),
    "argsort(axis=None)": lambda x: np.argsort(x, axis=None, kind="stable"),
    "argsort": lambda x: np.argsort(x, kind="stable"),
    "repeat": lambda x: np.repeat(x, 2),
    "float_power": lambda x: np.float_power(np.abs(x), 2),
    "rint": np.rint,
    "fabs": lambda x: np.fabs(x + 0.0),
    "round": np.round,
    "around": np.around,
    "square": np.square,
    "x ** 2": lambda x: x**2,
    "x ** 3": lambda x: x**3,
    "2 ** x": lambda x: np.abs(x) ** 2.0,
    "isfinite": np.isfinite,
    "vstack": lambda x: np.vstack((x, x[0])),
    "hstack": lambda x: np.hstack((x, x)),
    "hstack vectors": lambda x: np.hstack((x[0], x[1], x[0, 0])),
    "stack": lambda x: np.stack((x, x), 1),
    "ravel": np.ravel,
    "reshape": lambda x: np.reshape(x, (3, 2)),
    "size": lambda x: x * np.size(x, 1) + np.size(x) + np.ndim(x),
    "sum(dtype)": lambda x: np.sum(x, 0, np.float64),
    "sum(keepdims)": lambda x: np.sum(x, keepdims=True),
    "prod": lambda x: np.prod(x, axis=1),
    "mean(dtype)": lambda x: np.mean(x, axis=0, dtype="float64"),
    "add.reduce": lambda x: np.add.reduce(x),
    "add.reduce(axis=None)": lambda x: np.add.reduce(x, axis=None, keepdims=True),
    "logical_or.reduce": lambda x: np.logical_or.reduce(x, axis=1),
    "add.accumulate": lambda x: np.add.accumulate(x),
    "cumsum": np.cumsum,
    "cumsum(dtype)": lambda x: np.cumsum(x, 0, dtype="int8"),
    "any": lambda x: np.any(x > 2, axis=0),
    "full_like": lambda x: np.full_like(x, 1, dtype="float64"),
    "zeros_like": np.zeros_like,
    "pad": lambda x: np.pad(x, ((0, 1), (2, 0)), constant_values=1),
    "pad(edge)": lambda x: np.pad(x, 1, mode="edge"),
    "inner": lambda x: np.inner(x + 0.0, x + 0.0),
    "where": lambda x: np.where(x > 0, x, 0),
    "copy": np.copy,
    "astype": lambda x: np.astype(x, np.float64),
    "count_nonzero": lambda x: np.count_nonzero(x, axis=0),
    "nonzero": np.nonzero,
    "where(condition)": lambda x: np.where(x > 1),
    "x[mask]": lambda x: x[x > 1],
    "diff": lambda x: np.diff(x, 1, 0, prepend=1),
    "diagonal": lambda x: np.diagonal(np.stack((x, x), 2), 1, 2, 0),
    "trace": lambda x: np.trace(np.stack((x, x, x)), 0, 2, 0),
    "cross": lambda x: np.cross(x + 0.0, x[0] + 0.0),
    "linalg.trace": lambda x: np.linalg.trace(np.stack((x, x, x))),
    "linalg.diagonal": lambda x: np.linalg.diagonal(x, offset=-1),
    "linalg.cross": lambda x: np.linalg.cross(x + 0.0, x[::-1] + 0.0),
    "meshgrid": lambda x: np.meshgrid(x[0], x[:, 0], indexing="ij"),
    "broadcast_arrays": lambda x: np.broadcast_arrays(x, x[:1]),
    "searchsorted": lambda x: np.searchsorted([-1, 1, 3], x, side="right"),
    "repeat(each)": lambda x: np.repeat(x, [2, 0, 1], axis=1),
    "unique_counts": np.unique_counts,
    "unstack": np.unstack,
    "split": lambda x: np.split(x, 3, axis=1),
    "result_type": lambda x: x.astype(np.result_type(x, np.float32, np.zeros(1, np.float64))),
    ".flatten": lambda x: x.flatten(),
    ".ravel": lambda x: x.ravel(),
    ".copy": lambda x: x.copy() * 2,
    ".cumsum": lambda x: x.cumsum(axis=1),
    ".any": lambda x: x.any(axis=0),
    ".all": lambda x: x.all(),
    ".argmin": lambda x: x.argmin(1),
    ".argmax": lambda x: x.argmax(),
    ".nbytes": lambda x: x * x.nbytes + x.itemsize,
    ".real": lambda x: x.real * 1,
    ".round": lambda x: x.round(),
    ".repeat": lambda x: x.repeat(2, axis=1),
    ".take": lambda x: x.take([1, 0], axis=1),
    ".swapaxes": lambda x: x.swapaxes(0, 1),
    ".sum(0, dtype)": lambda x: x.sum(0, "float64"),
    ".max(axis, keepdims)": lambda x: x.max(axis=1, keepdims=True),
    ".std(ddof)": lambda x: x.std(ddof=1),
}


@pytest.mark.parametrize("x", [X, N, B], ids=lambda x: str(x.dtype))
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str, x: Any) -> None:
    same(FUNCTIONS[name], x, tolerance=2e-6 if "std" in name else 0.0)


NUMBERS: dict[str, Callable[[Any], Any]] = {
    "round(1)": lambda x: np.round(x, 1),
    "round(-1)": lambda x: np.round(x, decimals=-1),
    ".round(2)": lambda x: x.round(2),
    "std(ddof)": lambda x: np.std(x, ddof=1),
    "var(correction)": lambda x: np.var(x, axis=0, correction=1),
    "clip(a_min)": lambda x: np.clip(x, a_min=-1, a_max=2),
    "clip(min)": lambda x: np.clip(x, min=-1),
    ".clip": lambda x: x.clip(0, 2),
    "ptp": lambda x: np.ptp(x, axis=1),
    "divmod": lambda x: divmod(x, 2),
    "rdivmod": lambda x: divmod(7, x),
    "np.divmod": lambda x: np.divmod(x, 2),
    ".dot": lambda x: x.dot(x.T),
    "norm": np.linalg.norm,
    "norm(axis)": lambda x: np.linalg.norm(x, axis=1),
    "norm(1)": lambda x: np.linalg.norm(x, 1, axis=0),
    "norm(0)": lambda x: np.linalg.norm(x, 0, axis=0),
    "norm(inf)": lambda x: np.linalg.norm(x, np.inf, axis=1, keepdims=True),
    "norm(fro)": lambda x: np.linalg.norm(x, "fro", axis=(0, 1)),
    "vector_norm": lambda x: np.linalg.vector_norm(x, axis=1, ord=1),
    "vecdot": lambda x: np.vecdot(x, x),
    "vecdot(axis)": lambda x: ops.vecdot(x, x, axis=0),
    "conj": np.conj,
    "+x": lambda x: +x,
}


@pytest.mark.parametrize("x", [X, N], ids=lambda x: str(x.dtype))
@pytest.mark.parametrize("name", NUMBERS)
def test_functions_of_numbers(name: str, x: Any) -> None:
    same(NUMBERS[name], x, tolerance=2e-6 if "std" in name or "var" in name else 0.0)


def test_special_exponents_are_those_of_the_operator() -> None:
    edges = np.float32([0.25, np.inf, -np.inf, -0.0, 3, 7e-39])
    same(lambda x: x**0.5, edges)
    same(lambda x: x**-1, edges)
    assert record(lambda x: x**2, X)[1] == ["Pow"]


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8", "uint32"])
def test_division_by_zero_is_what_numpy_has(dtype: str) -> None:
    x, y = np.array([7, 5, 0, 1], dtype), np.array([0, 3, 0, 1], dtype)
    same(ops.fmod, x, y)
    same(lambda x: ops.fmod(x, 0), x)
    same(ops.reciprocal, y)
    assert record(lambda x: ops.fmod(x, 3), x)[1] == ["Div", "Mul", "Sub"]


def test_vecdot_keeps_the_dtype() -> None:
    same(ops.vecdot, N, N)
    same(ops.vecdot, B, B)
    with pytest.raises(ShapeError, match="the sizes differ"):
        run(ops.vecdot, N, N[:, :1])


@pytest.mark.parametrize(
    ("function", "x"),
    [
        (lambda x: x**-1, N),
        (lambda x: ops.pow(x, np.array([1, -2, 0])), N),
        (lambda x: +x, B),
        (ops.positive, B),
        (ops.round, B),
    ],
)
def test_what_numpy_refuses_is_refused(function: Callable[[Any], Any], x: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        function(x)
    with pytest.raises(DTypeError):
        run(function, x)


def test_products_of_bools_are_refused() -> None:
    with pytest.raises(DTypeError, match="MatMul"):
        run(lambda x: x @ x.T, B)


@pytest.mark.parametrize("descending", [False, True])
def test_bools_are_sorted(descending: bool) -> None:
    same(lambda x: ops.sort(x, descending=descending), B)
    same(lambda x: ops.argsort(x, axis=None), B)


@pytest.mark.parametrize(
    ("function", "number", "dtype"),
    [
        (lambda n, x: ops.round(n) * x, 0.5, "float64"),
        (lambda n, x: ops.round(n) * x, 3, "float64"),
        (lambda n, x: ops.full((3,), n) + x, 0.5, "float32"),
        (lambda n, x: ops.full((3,), n) + x, 2, "float64"),
        (lambda n, x: ops.reshape(n, ()) * x, 0.5, "float64"),
        (lambda n, x: ops.broadcast_to(n, ()) * x, 0.5, "float64"),
        (lambda n, x: ops.positive(n) * x, 0.5, "float64"),
        (lambda n, x: ops.dot(n, x), 0.5, "float64"),
        (lambda n, x: ops.clip(n, 0, 1) * x, 0.5, "float64"),
        (lambda n, x: ops.where(x > 0, n, x), 0.5, "float32"),
        (lambda n, x: (+n) * x, 0.5, "float32"),
        (lambda n, x: n.real * x, 0.5, "float32"),
        (lambda n, x: np.pad(x, 1, constant_values=n), 0.5, "float32"),
    ],
)
def test_a_number_in_a_function_becomes_an_array(function: Any, number: Any, dtype: str) -> None:
    x = np.float32([1, 2, 3])
    assert function(number, x).dtype == dtype
    recorder = Recorder(Builder())
    tensor = Tensor(recorder.builder.input(TensorSpec((3,), "float32"), "x"), recorder)
    assert function(weak(number)(tensor), tensor).dtype == dtype


def test_limits_that_are_nan() -> None:
    x = np.float32([-1, 1, np.nan])
    same(lambda x: ops.clip(x, 0, np.nan), x)
    same(lambda x: ops.clip(x, np.nan, 2.0), x)
    assert record(lambda x: ops.clip(x, 0, np.nan), x)[1] == ["Max", "Min"]
    assert record(lambda x: ops.clip(x, 0, 1), x)[1] == ["Clip"]


class Scale(Layer):
    def __init__(self) -> None:
        self.scale = Variable(np.float32([[1, 2, 3], [4, 5, 6], [7, 8, 9]]))


def test_numpy_computes_with_variables() -> None:
    variable = Scale().scale
    value = variable.numpy()
    x = X.copy()
    x += variable.value[:2]
    np.testing.assert_array_equal(x, X + value[:2])
    y = np.ones((3, 3), np.float32)
    y += variable
    np.testing.assert_array_equal(y, 1 + value)
    y @= variable
    np.testing.assert_array_equal(y, (1 + value) @ value)
    np.testing.assert_array_equal(np.add(variable, 1, dtype="float64"), value + 1.0)
    np.testing.assert_array_equal(np.median(variable, axis=0), np.median(value, axis=0))
    np.testing.assert_array_equal(variable.std(0, ddof=1), value.std(0, ddof=1))
    np.testing.assert_array_equal(np.concatenate([variable, y], axis=None)[:9], value.ravel())


class Refused(Layer):
    def __init__(self, function: Any) -> None:
        self.function = function

    def call(self, x: Any) -> Any:
        return self.function(x)


def written(x: Any) -> Any:
    y = np.ones((2, 3), np.float32)
    y += x
    return y


@pytest.mark.parametrize(
    ("function", "remedy"),
    [
        (written, r"np.add with out= .*x = x \+ y"),
        (lambda x: np.sum(x, where=x > 0), r"np.sum with where= .*ops.where\(mask"),
        (lambda x: np.max(x, initial=0.0), r"np.max with initial= .*ops.maximum"),
        (lambda x: np.add(x, 1, dtype="float64"), r"np.add with dtype= .*ops.astype"),
        (lambda x: np.mean(x, dtype="int32"), r"np.mean with dtype=int32 .*ops.astype"),
        (lambda x: np.pad(x, 1, mode="linear_ramp"), "np.pad with mode='linear_ramp'"),
        (lambda x: np.pad(x, 1, constant_values=(1, 2)), "several constant_values .*ops.pad"),
        (lambda x: np.reshape(x, (3, 2), order="F"), "np.reshape with order= .*ops.permute_dims"),
        (lambda x: x.reshape(3, 2, order="F"), "np.reshape with order="),
        (lambda x: np.linalg.norm(x, "nuc"), "np.linalg.norm .*ops.vector_norm"),
        (lambda x: np.linalg.cond(x), "np.linalg.cond cannot"),
        (lambda x: np.argwhere(x), "np.argwhere .*ops.nonzero"),
        (lambda x: np.subtract.outer(x, x), "np.subtract.outer .*ops.subtract"),
        (lambda x: np.add.at(x, 0, 1), "np.add.at cannot"),
        (lambda x: np.median(x), "np.median cannot"),
    ],
)
def test_what_is_not_recorded_is_refused_with_place_and_remedy(function: Any, remedy: str) -> None:
    model = Refused(function)
    with pytest.raises(TraceError, match=rf"^refused: .*{remedy}.*test_numpy_protocol.py:\d+"):
        gx.trace(model, TensorSpec(("n", 3), "float32"))


def test_methods_of_arrays_that_are_missing() -> None:
    found: list[str] = []

    def function(x: Any) -> Any:
        assert not hasattr(x, "tolist")
        assert not hasattr(x, "flop")
        with pytest.raises(AttributeError) as caught:
            x.sort()
        found.append(str(caught.value))
        return x

    gx.trace(Refused(function), TensorSpec(("n", 3), "float32"))
    assert found[0].startswith(
        "refused: a Tensor has no 'sort', unlike a NumPy array; use ops.sort"
    )
    assert "test_numpy_protocol.py:" in found[0]
    with pytest.raises(AttributeError, match="object has no attribute 'flop'"):
        _ = Scale().scale.flop


def test_a_shape_tensor_is_a_shape() -> None:
    same(lambda x, y: x.reshape(ops.shape(y)), X, X.reshape(3, 2))
    graph = gx.trace(Refused(lambda x: (x + 1).reshape(ops.shape(x))), TensorSpec(("n", 3)))
    assert [str(v.spec) for v in graph.outputs] == ["float32[n, 3]"]


def test_a_part_of_a_symbolic_size_is_exported() -> None:
    from graphctx_onnx.convert import convert

    graph = gx.trace(Refused(lambda x: x[:, : x.shape[1] // 2] * 2), TensorSpec(("n", "m")))
    model = convert(gx.compile(graph).graph).model
    import onnxruntime

    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for width in (1, 4, 7):
        x = np.ones((2, width), np.float32)
        [found] = session.run(None, {"x": x})
        np.testing.assert_array_equal(found, x[:, : width // 2] * 2)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.kron(x, x), lambda x: np.interp(x, x[0], x[0]), np.unique,
        lambda x: np.dstack((x, x)), np.nan_to_num, np.linalg.inv, np.cov, np.allclose,
        lambda x: np.isclose(x, x), lambda x: np.histogram(x), lambda x: np.average(x),
        lambda x: np.select([x > 0], [x]), np.empty_like, np.gradient, np.fft.fft,
        np.atleast_2d, np.spacing,
        lambda x: np.take(x, 0, mode="clip"),
        lambda x: np.zeros_like(x, shape=(3,)), lambda x: np.matmul(x, x.T, dtype="float64"),
    ],
)  # fmt: skip
def test_every_refusal_is_located(function: Any) -> None:
    if function is np.allclose:
        function = lambda x: np.allclose(x, x)  # noqa: E731
    with pytest.raises(TraceError, match=r"^refused: np\.\S+ .*cannot be recorded"):
        gx.trace(Refused(function), TensorSpec(("n", 3), "float32"))


def numpys(name: str) -> Any:
    """NumPy's function of this name."""
    return getattr(np, name, None) or getattr(np.linalg, name, None)


HOMONYMS = {"cond", "identity", "resize"}  # other things in NumPy, where none of them is dispatched
IN_NUMPY = [
    name
    for name in ops.__all__
    if callable(getattr(ops, name)) and not isinstance(getattr(ops, name), type)
    if callable(numpys(name)) and numpys(name) is not getattr(ops, name) and name not in HOMONYMS
]


def test_most_names_are_numpys() -> None:
    assert len(IN_NUMPY) > 120


@pytest.mark.parametrize("name", IN_NUMPY)
def test_names_of_numpy_take_its_operands_in_its_order(name: str) -> None:
    ours, function = inspect.signature(getattr(ops, name)).parameters, numpys(name)
    plain = [p for p in ours.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    if isinstance(function, np.ufunc):
        assert sum(p.default is p.empty for p in plain) == function.nin
        return
    theirs = [
        p for p in inspect.signature(function).parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]  # fmt: skip
    assert len(plain) >= sum(p.default is p.empty for p in theirs)
    names, others = [p.name for p in plain], [p.name for p in theirs]
    assert [n for n in names if n in others] == [n for n in others if n in names]


@pytest.mark.parametrize(
    ("function", "name"), [(lambda x: np.resize(x, (3, 4)), "resize"), (np.linalg.cond, "cond")]
)
def test_names_that_mean_something_else_in_numpy_are_refused(function: Any, name: str) -> None:
    with pytest.raises(TraceError, match=rf"{name} cannot be recorded .*; compute it with"):
        record(function, X)
