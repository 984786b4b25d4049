"""The namespace has what the standard has, with its signatures, and says what it refuses."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest

import graphctx as gx
from graphctx import Layer, array_api, ops
from graphctx.array_api.signatures import REFUSED
from graphctx.builder import Builder
from graphctx.errors import DTypeError, ShapeError, TraceError
from graphctx.layer import Variable
from graphctx.spec import TensorSpec
from graphctx.tensor import Recorder, Tensor
from tests.array_api.cases import CASES, find
from tests.array_api.standard import ATTRIBUTES, CONSTANTS, DTYPES, FUNCTIONS, METHODS
from tests.ops.recording import run


def symbolic(*shape: Any, dtype: Any = "float32") -> Tensor:
    recorder = Recorder(Builder())
    return Tensor(recorder.builder.input(TensorSpec(shape, dtype), "x"), recorder)


def signature(function: Callable[..., Any]) -> str:
    found = inspect.signature(function)
    bare = [p.replace(annotation=p.empty) for p in found.parameters.values()]
    return str(found.replace(parameters=bare, return_annotation=found.empty))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signatures(name: str) -> None:
    assert signature(find(array_api, name)) == FUNCTIONS[name]
    assert find(array_api, name).__name__ == name.rpartition(".")[2]
    assert find(array_api, name).__doc__


# Variables are assigned as a whole, and are numbers by `variable.numpy()`.
NOT_OF_VARIABLES = ("__bool__", "__complex__", "__float__", "__index__", "__int__", "__setitem__")


@pytest.mark.parametrize(
    ("kind", "name"),
    [(Tensor, name) for name in METHODS]
    + [(Variable, name) for name in METHODS if name not in NOT_OF_VARIABLES],
)
def test_methods_take_what_the_standard_says(kind: Any, name: str) -> None:
    method = inspect.signature(getattr(kind, name))
    for parameter in inspect.signature(
        eval(f"lambda {METHODS[name][1:-1]}: 0")
    ).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            method.bind_partial(None, **{parameter.name: None})
    positional = METHODS[name][1:-1].split(", /")[0].split(", ")
    method.bind(*positional)


def test_nothing_is_missing_and_nothing_else_is_there() -> None:
    top = {name for name in FUNCTIONS if "." not in name}
    assert set(array_api.__all__) == {
        *top, *DTYPES, *CONSTANTS, "fft", "linalg", "__array_api_version__",
    }  # fmt: skip
    for extension in ("fft", "linalg"):
        names = {name.partition(".")[2] for name in FUNCTIONS if name.startswith(f"{extension}.")}
        assert set(getattr(array_api, extension).__all__) == names
    assert all(hasattr(symbolic(2, 2), name) for name in ATTRIBUTES)
    assert all(hasattr(Variable([[1.0]]), name) for name in ATTRIBUTES)


def test_every_function_has_a_case_or_is_refused() -> None:
    assert set(CASES) | set(REFUSED) == set(FUNCTIONS)
    assert not set(CASES) & set(REFUSED)


ARGUMENTS = {"linalg.solve": 2}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_recorded_says_why(name: str) -> None:
    def model(x: Any) -> Any:
        return find(x.__array_namespace__(), name)(*[x] * ARGUMENTS.get(name, 1))

    with pytest.raises(TraceError) as caught:
        gx.trace(gx.nn.Lambda(model), TensorSpec(("n", 3, 3)))
    message = str(caught.value)
    assert message.startswith(f"lambda: {name} of float32[n, 3, 3]")
    assert f"cannot be recorded: {REFUSED[name]}; compute it outside of the model" in message
    assert "test_standard.py:" in message


@pytest.mark.parametrize("name", sorted(set(REFUSED) - {"from_dlpack"}))
def test_what_cannot_be_recorded_computes_on_arrays(name: str) -> None:
    x = np.eye(3) * 2 + np.arange(9.0).reshape(3, 3) / 9
    x = x @ x.T
    for operand in (x, Variable(x)):
        operands = [operand] * ARGUMENTS.get(name, 1)
        found, wanted = find(array_api, name)(*operands), find(np, name)(*[x] * len(operands))
        if not isinstance(wanted, tuple):
            found, wanted = (found,), (wanted,)
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(a, b)


def test_dlpack() -> None:
    x = np.arange(3.0)
    np.testing.assert_array_equal(array_api.from_dlpack(x), x)
    np.testing.assert_array_equal(np.from_dlpack(Variable(x)), x)
    with pytest.raises(BufferError, match="no memory to share by DLPack"):
        symbolic(3).__dlpack__()
    assert symbolic(3).__dlpack_device__() == x.__dlpack_device__()
    assert Variable(x).__dlpack_device__() == x.__dlpack_device__()


def test_versions_and_devices() -> None:
    x = symbolic(3)
    assert x.__array_namespace__(api_version="2022.12") is array_api
    assert Variable([1.0]).__array_namespace__() is array_api
    assert array_api.__array_api_version__ == "2024.12"
    with pytest.raises(ValueError, match=r"of version 2024.12 .* not '2031.12'"):
        x.__array_namespace__(api_version="2031.12")
    assert x.device == np.zeros(1).device
    assert x.to_device("cpu") is x
    with pytest.raises(ValueError, match="the only device is 'cpu', without streams; got 'cuda'"):
        x.to_device("cuda")
    with pytest.raises(ValueError, match="the only device is 'cpu', got 'cuda'"):
        array_api.zeros(3, device="cuda")


def test_inspection() -> None:
    info = array_api.__array_namespace_info__()
    numpy: Any = np.__array_namespace_info__()
    assert info.capabilities() == numpy.capabilities()
    assert info.default_device() == numpy.default_device()
    assert info.default_dtypes() == numpy.default_dtypes()
    assert info.devices() == numpy.devices()
    assert set(numpy.dtypes()) - set(info.dtypes()) == {"complex64", "complex128"}
    assert info.dtypes(kind="real floating") == numpy.dtypes(kind="real floating")
    assert info.dtypes(kind=("bool", "signed integer")) == numpy.dtypes(
        kind=("bool", "signed integer")
    )
    with pytest.raises(ValueError, match="unknown kind 'odd'; there are bool"):
        info.dtypes(kind="odd")


def test_constants_and_dtypes_are_numpys() -> None:
    for name in (*DTYPES, *CONSTANTS):
        assert getattr(array_api, name) is getattr(np, name) or np.isnan(getattr(np, name))


@pytest.mark.parametrize(
    ("ask", "what"),
    [(bool, r"`if tensor:` .*ops\.where\(condition, a, b\)"), (int, r"Python value \(int\)"),
     (float, r"Python value \(float\)"), (complex, r"Python value \(complex\)"),
     (range, r"Python value \(index\)")],
)  # fmt: skip
def test_python_values_of_data_are_refused(ask: Any, what: str) -> None:
    with pytest.raises(TraceError, match=what):
        ask(symbolic())


@pytest.mark.parametrize("name", ["iand", "ior", "ixor", "ilshift", "irshift", "iadd"])
def test_operators_in_place_are_refused(name: str) -> None:
    with pytest.raises(TraceError, match="write x = x \\+"):
        getattr(symbolic(3, dtype="int32"), f"__{name}__")(1)


def test_complex_numbers_are_refused() -> None:
    for name in ("conj", "real", "imag"):
        with pytest.raises(DTypeError, match=rf"{name} of complex64\[3\]: .*no complex numbers"):
            find(array_api, name)(symbolic(3, dtype="complex64"))


X = np.float32([[3, -1.25, 2], [0.5, 7, -2.75]])
OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "2 << n": lambda n: 2 << n,
    "64 >> n": lambda n: 64 >> n,
    "n << 1": lambda n: n << 1,
    "T": lambda n: n.T,
    "T of three": lambda n: n[None].T,
    "mT": lambda n: n[None].mT,
    "mask": lambda n: n[n > 1],
    "mask of rows": lambda n: n[n[:, 0] > 1],
    "mask of columns": lambda n: n[:, n[0] > 1],
    "mask after ...": lambda n: n[..., n[0] > 1],
    "mask before new axis": lambda n: n[n > 1, None],
    "mask of two axes of three": lambda n: np.stack([n, n], 2)[n > 1],
    "mask and int": lambda n: n[n[:, 0] > 1, 1],
    "array mask": lambda n: n[np.array([True, False])],
    "list mask": lambda n: n[[True, False]],
    "none": lambda n: n[n > 100],
    "reduced": lambda n: np.sum(n[n > 1]) / np.shape(n[n > 1])[0],
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operators_and_indices(name: str) -> None:
    n = np.array([[3, 1, 2], [0, 4, 5]])
    found, wanted = run(OPERATIONS[name], n), OPERATIONS[name](n)
    np.testing.assert_array_equal(found, wanted)
    assert found.dtype == np.asarray(wanted).dtype


REFUSALS: dict[str, tuple[type[Exception], str, Callable[[Any], Any]]] = {
    "mask of other sizes": (ShapeError, r"a mask of float32\[2, 3\] along axis 1: 2 against 3",
                            lambda x: x[np.ones((2, 2), bool)]),
    "mask of many axes": (ShapeError, "a mask of 3 axes is too many",
                          lambda x: x[np.ones((2, 3, 1), bool)]),
    "single bool": (TraceError, "single bool, which would add an axis; .*ops.where",
                    lambda x: x[True]),
    "nonzero of a scalar": (ShapeError, "nonzero of a scalar: it has no axis",
                            lambda x: ops.nonzero(x[0, 0])),
    "side": (ValueError, "the side is 'left' or 'right', got 'top'",
             lambda x: ops.searchsorted(x[0], x, side="top")),
    "no vector": (ShapeError, r"needs a sorted vector, got float32\[2, 3\]",
                  lambda x: ops.searchsorted(x, x)),
    "indexing": (ValueError, "the indexing is 'xy' or 'ij', got 'ab'",
                 lambda x: ops.meshgrid(x[0], indexing="ab")),
    "grid of a matrix": (ShapeError, r"meshgrid needs vectors, got float32\[2, 3\]", ops.meshgrid),
    "cross": (ShapeError, "cross needs 3 elements along axis 0", lambda x: ops.cross(x, x, 0)),
    "matrix": (ShapeError, r"trace needs a matrix or several, got float32\[3\]",
               lambda x: ops.trace(x[0])),
    "norm": (TraceError, "matrix_norm with ord='nuc' needs singular values", lambda x:
             ops.matrix_norm(x, "nuc")),
    "power": (ShapeError, "a power is of a square matrix: 2 against 3",
              lambda x: ops.matrix_power(x, 2)),
    "inverse": (TraceError, "matrix_power with n=-1 inverts a matrix",
                lambda x: ops.matrix_power(x[:, :2], -1)),
    "times": (ValueError, "diff takes a number of times of at least 0, got -1",
              lambda x: ops.diff(x, -1)),
    "outer": (ShapeError, "outer needs two vectors, got one of 2 axes",
              lambda x: array_api.linalg.outer(x, x)),
    "copy": (ValueError, "is a copy, but copy=False",
             lambda x: array_api.asarray(x, dtype="int8", copy=False)),
    "writing": (TraceError, "cannot be written to", lambda x: x.__setitem__(0, 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name: str) -> None:
    error, message, function = REFUSALS[name]
    with pytest.raises(error, match=message):
        function(symbolic(2, 3))


class Standard(Layer):
    """A model as the standard's users write them, with a weight and a loop over axes."""

    def __init__(self) -> None:
        self.scale = Variable([1.0, 2.0, 3.0])

    def call(self, x: Any) -> Any:
        xp = self.scale.__array_namespace__()
        centered = x - xp.mean(x, axis=0, keepdims=True)
        scores = xp.linalg.vector_norm(centered * self.scale, axis=-1)
        best = xp.argsort(scores, descending=True)[:2]
        return xp.take(x, best, axis=0), xp.unique_counts(xp.floor(x)).counts, x[scores > 1.0]


def test_a_model_of_the_standard(tmp_path: Any) -> None:
    model = Standard()
    program = gx.compile(gx.trace(model, TensorSpec(("n", 3))))
    gx.export(program, tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    for rows in (2, 7):
        x = np.random.default_rng(0).normal(size=(rows, 3)).astype(np.float32)
        results = zip(program(x), model(x), session.run(None, {"x": x}), strict=True)
        for found, wanted, served in results:
            np.testing.assert_array_equal(found, wanted, strict=True)
            np.testing.assert_array_equal(served, wanted, strict=True)
