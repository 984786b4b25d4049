"""Every operator of the table, on the cases in the modules `cases_*` of this folder."""

import contextlib
import dataclasses
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import graphctx.ops
from graphctx.builder import Builder
from graphctx.errors import DTypeError, ShapeError
from graphctx.executor.interpret import interpret
from graphctx.graph import CallGraph, Contexts, Returns, Value
from graphctx.ops.table import OUTPUTS, TABLE, Op
from graphctx.spec import (
    Dim,
    OptionalType,
    SequenceType,
    TensorSpec,
    evaluate,
    is_extended,
    is_static,
    kind_of,
)
from graphctx.tensor import Recorder, Tensor
from graphctx.tree import LEAF
from tests.ops import onnxruntime_node
from tests.ops.case import Case

MODULES = sorted(path.stem for path in Path(__file__).parent.glob("cases_*.py"))
CASES: list[Case] = []
IDS: list[str] = []
for _module in MODULES:
    for _case in importlib.import_module(f"tests.ops.{_module}").CASES:
        CASES.append(_case)
        _operand = next((x for x in _case.operands if x is not None), "")
        _dtype = "sequence" if isinstance(_operand, list) else str(getattr(_operand, "dtype", ""))
        IDS.append(f"{_case.op}-{_dtype}-{sum(c.op == _case.op for c in CASES)}")

all_cases = pytest.mark.parametrize("case", CASES, ids=IDS)
ONNX = {name: record for name, record in TABLE.items() if not name.islower()}


def some_cases(wanted: Callable[[Op], Any]) -> pytest.MarkDecorator:
    """The cases of some operators only."""
    chosen = [(c, i) for c, i in zip(CASES, IDS, strict=True) if wanted(TABLE[c.op])]
    return pytest.mark.parametrize("case", [c for c, _ in chosen], ids=[i for _, i in chosen])


def test_every_operator_has_a_case() -> None:
    lacking = sorted(set(TABLE) - {case.op for case in CASES})
    assert not lacking, f"no case for {lacking}: add one to CASES of its tests/ops/cases_*.py"


def arrays_of(x: Any) -> list[Any]:
    """The array of a tensor, those of a sequence, none of what is not given."""
    return x if isinstance(x, list) else [] if x is None else [x]


@contextlib.contextmanager
def quiet(case: Case) -> Iterator[None]:
    """No floating point warnings where the case is about NaN and infinity."""
    special = any(
        a.dtype.kind == "f" and not np.isfinite(a).all()
        for x in case.operands
        for a in arrays_of(x)
    )
    with np.errstate(all="ignore" if special else None):
        yield


def values_of(case: Case, *, symbolic: bool) -> list[Value | None]:
    """The operands as graph values, with the case's symbolic dimensions if they are asked for."""
    builder = Builder()
    values: list[Value | None] = []
    for index, x in enumerate(case.operands):
        if x is None:
            values.append(None)
        elif index in case.constant:
            values.append(builder.constant(x))
        elif isinstance(x, list):
            values.append(builder.input(onnxruntime_node.spec_of(x), f"x{index}"))
        else:
            names: Mapping[int, str] = case.symbolic.get(index, {}) if symbolic else {}
            shape = [names.get(axis, size) for axis, size in enumerate(x.shape)]
            values.append(builder.input(TensorSpec(shape, x.dtype), f"x{index}"))
    return values


def sizes_of(case: Case) -> dict[str, int]:
    """The number that every symbolic dimension of a case stands for."""
    sizes: dict[str, int] = {}
    for index, names in case.symbolic.items():
        for axis, name in names.items():
            size = case.operands[index].shape[axis]
            assert sizes.setdefault(name, size) == size, f"{name!r} is two sizes in the case"
    return sizes


def outputs_of(case: Case) -> list[Any]:
    """What the kernel makes, as arrays."""
    with quiet(case):
        result = TABLE[case.op].kernel(*case.operands, **case.attrs)
    return list(map(settled, result if isinstance(result, tuple) else (result,)))


def settled(y: Any) -> Any:
    """A result as an array, or a list of them; None of an empty optional."""
    return y if y is None or isinstance(y, list) else np.asarray(y)


def fits(y: Any, shape: Any, dtype: Any, sizes: Mapping[str, int]) -> bool:
    """Whether a result is what inference says of it; an unknown size may be any."""
    if isinstance(dtype, OptionalType):
        return y is None or fits(y, dtype.shape, dtype.element, sizes)
    if isinstance(dtype, SequenceType):
        inside = [Dim.unknown() if dim is None else dim for dim in dtype.shape or ()]
        return isinstance(y, list) and all(
            x.dtype == dtype.element
            if dtype.shape is None
            else fits(x, inside, dtype.element, sizes)
            for x in y
        )
    return (
        y.dtype == dtype
        and len(shape) == y.ndim
        and all(
            (isinstance(dim, Dim) and dim.is_unknown) or evaluate(dim, sizes) == size
            for dim, size in zip(shape, y.shape, strict=True)
        )
    )


def copies(x: Any) -> list[Any]:
    """Copies of the arrays of an operand."""
    return [array.copy() for array in arrays_of(x)]


def comparable(y: Any) -> Any:
    """Floats of ml_dtypes as float32: NumPy does not know that their NaN is one."""
    return y.astype(np.float32) if is_extended(y.dtype) and kind_of(y.dtype) == "f" else y


def agree(case: Case, found: list[Any], wanted: list[Any]) -> None:
    """Assert that outputs are equal within the case's tolerance, in dtype and shape exactly."""
    assert len(found) == len(wanted)
    for y, expected in zip(found, wanted, strict=True):
        if expected is None or isinstance(expected, list):
            assert type(y) is type(expected)
            agree(case, arrays_of(y), arrays_of(expected))
            continue
        assert y.dtype == expected.dtype
        assert y.shape == expected.shape
        y, expected = comparable(y), comparable(expected)
        if case.tolerance == 0 or y.dtype.kind not in "fc":
            np.testing.assert_array_equal(y, expected)
        else:
            np.testing.assert_allclose(
                y, expected, rtol=case.tolerance, atol=case.tolerance, equal_nan=True
            )


@all_cases
def test_kernel_returns_what_is_inferred(case: Case) -> None:
    before = [copies(x) for x in case.operands]
    outputs = outputs_of(case)
    inferred = TABLE[case.op].infer_outputs(values_of(case, symbolic=False), case.attrs)
    for y, (shape, dtype) in zip(outputs, inferred, strict=True):
        assert fits(y, shape, dtype, {}), f"inferred {TensorSpec(shape, dtype)}, got {y}"
    for x, old in zip(case.operands, before, strict=True):
        for array, was in zip(arrays_of(x), old, strict=True):
            message = "the kernel writes to its operand"
            np.testing.assert_array_equal(comparable(array), comparable(was), message)


@some_cases(lambda record: not record.view)
def test_result_is_no_view_unless_declared(case: Case) -> None:
    made = [array for y in outputs_of(case) for array in arrays_of(y)]
    for x in (array for operand in case.operands for array in arrays_of(operand)):
        assert not any(np.shares_memory(x, y) for y in made)


@all_cases
def test_symbolic_shape_evaluates_to_the_kernels(case: Case) -> None:
    inferred = TABLE[case.op].infer_outputs(values_of(case, symbolic=True), case.attrs)
    sizes = sizes_of(case)
    for y, (shape, dtype) in zip(outputs_of(case), inferred, strict=True):
        assert fits(y, shape, dtype, sizes), f"inferred {TensorSpec(shape, dtype)}, got {y}"


SIZES_ARE_ELEMENTS = {"AffineGrid"}  # all of them, of an operand; see `test_sampling.py`


@pytest.mark.parametrize("name", [name for name in TABLE if name not in SIZES_ARE_ELEMENTS])
def test_symbolic_dimensions_survive(name: str) -> None:
    cases = [c for c in CASES if c.op == name]
    if not any(
        isinstance(x, np.ndarray) and x.ndim and i not in c.constant
        for c in cases
        for i, x in enumerate(c.operands)
    ):
        return  # it takes scalars and constants only
    assert any(
        not is_static(shape)
        for case in cases
        for shape, _ in TABLE[name].infer_outputs(values_of(case, symbolic=True), case.attrs)
    ) or any(case.symbolic for case in cases), "no case of it has a symbolic axis"


@some_cases(lambda record: record.name in ONNX)  # the others are lowered before they get there
def test_kernel_agrees_with_onnxruntime(case: Case) -> None:
    outputs = outputs_of(case)
    inferred = TABLE[case.op].infer_outputs(values_of(case, symbolic=False), case.attrs)
    dtypes = [dtype for _, dtype in inferred]
    if case.onnxruntime:
        agree(case, onnxruntime_node.run(case, dtypes), outputs)
        return
    assert case.why_not, "say why onnxruntime is left out"
    try:
        agree(case, onnxruntime_node.run(case, dtypes), outputs)
    except Exception:
        return  # refused, or another answer
    pytest.fail(f"onnxruntime agrees: drop onnxruntime=False ({case.why_not})")


@all_cases
def test_eager_call_is_the_kernel(case: Case) -> None:
    with quiet(case):
        result = TABLE[case.op](*case.operands, **case.attrs)
    results = result if isinstance(result, tuple) else (result,)
    for y, expected in zip(map(settled, results), outputs_of(case), strict=True):
        for array, wanted in zip(arrays_of(y), arrays_of(expected), strict=True):
            np.testing.assert_array_equal(comparable(array), comparable(wanted))


def is_scalar(x: Any) -> bool:
    return isinstance(x, np.ndarray) and not x.ndim


@pytest.mark.parametrize("case", [c for c in CASES if any(map(is_scalar, c.operands))])
def test_kernel_takes_scalars_for_arrays_without_axes(case: Case) -> None:
    # NumPy makes scalars of 0-d results, and a program hands them on as they are.
    operands = [x[()] if is_scalar(x) and x.dtype != object else x for x in case.operands]
    with quiet(case):
        result = TABLE[case.op].kernel(*operands, **case.attrs)
    results = result if isinstance(result, tuple) else (result,)
    agree(dataclasses.replace(case, tolerance=0), list(map(settled, results)), outputs_of(case))


@some_cases(lambda record: record.ufunc is not None)
def test_ufunc_equals_the_kernel(case: Case) -> None:
    ufunc = TABLE[case.op].ufunc
    assert ufunc.nin == len(case.operands)
    with quiet(case):
        found = np.asarray(ufunc(*case.operands))
    [expected] = outputs_of(case)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@some_cases(lambda record: record.expand is not None)
def test_expansion_computes_the_same(case: Case) -> None:
    expand = TABLE[case.op].expand
    assert expand is not None
    recorder = Recorder(Builder())
    operands = [
        None if x is None
        else recorder.tensor(x) if i in case.constant
        else Tensor(recorder.builder.input(TensorSpec(x.shape, x.dtype), f"x{i}"), recorder)
        for i, x in enumerate(case.operands)
    ]  # fmt: skip
    result = expand(*operands, **case.attrs)
    made = tuple(y.value for y in (result if isinstance(result, tuple) else (result,)))
    nodes = tuple(recorder.builder.nodes)
    assert {node.name for node in nodes if node.kind == "op"} <= set(ONNX)
    inputs = tuple(node.output for node in nodes if node.kind == "input")
    graph = CallGraph("expansion", nodes, inputs, Returns(LEAF, made), Contexts({}))
    feeds = {value.node.name: case.operands[int(value.node.name[1:])] for value in inputs}
    with np.errstate(all="ignore"):
        known = interpret(graph, feeds)
    agree(case, [known[value] for value in made], outputs_of(case))
    if case.onnxruntime:
        model = onnxruntime_node.model_of_graph(graph)
        agree(case, onnxruntime_node.run_model(model, feeds), outputs_of(case))


NUMPY_TYPES = {
    *(f"tensor({kind}int{bits})" for kind in ("", "u") for bits in (8, 16, 32, 64)),
    *(f"tensor({name})" for name in ("bool", "float16", "float", "double", "string")),
}


def element_types(schema: onnx.defs.OpSchema) -> set[str]:
    """The types of the first operand that NumPy has."""
    if not schema.inputs:
        return set()
    name = schema.inputs[0].type_str
    allowed = [c.allowed_type_strs for c in schema.type_constraints if c.type_param_str == name]
    return NUMPY_TYPES & {text for texts in allowed for text in texts}


@pytest.mark.parametrize("name", list(ONNX))
def test_record_has_the_signature_of_the_specification(name: str) -> None:
    record = TABLE[name]
    exported_at = record.since if record.domain else max(record.since, onnxruntime_node.OPSET)
    exported = onnx.defs.get_schema(name, exported_at, record.domain)
    earliest = onnx.defs.get_schema(name, record.since, record.domain)
    newest = onnx.defs.get_schema(name, record.domain)
    newest = exported if newest.deprecated else newest
    for schema in (earliest, exported, newest):
        # An operand that came later is refused by the exporter, at an opset before.
        # The operands of an If beside its condition are what its branches take from outside.
        count = len(record.operand_names) + (record.variadic and name != "If")
        assert len(schema.inputs) == count or (schema is not newest and len(schema.inputs) < count)
        single = onnx.defs.OpSchema.FormalParameterOption.Single
        if not record.variadic:
            assert record.least == sum(i.option == single for i in schema.inputs)
    assert element_types(earliest) >= element_types(exported), "it takes more types later"
    # How many outputs there are is ours to say; what a loop carries follows from its body in ONNX.
    ours = {*record.defaults, *record.required} - {OUTPUTS, "carried"}
    assert ours <= {*exported.attributes, *newest.attributes}
    for attribute, default in record.defaults.items():
        if attribute not in exported.attributes or default is None:
            continue
        given = exported.attributes[attribute].default_value
        if given.name:
            value = onnx.helper.get_attribute_value(given)
            assert default == pytest.approx(value.decode() if isinstance(value, bytes) else value)


def test_every_record_has_a_docstring() -> None:
    for record in TABLE.values():
        assert inspect.getdoc(record), f"{record.name} has no docstring"


# -- wrong operands -------------------------------------------------------------------------------

F = np.zeros((2, 3), np.float32)
I = np.zeros((2, 3), np.int32)  # noqa: E741
B = np.zeros((2, 3), bool)
AXES = np.array([5])
WRONG: list[tuple[str, tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    ("Add", (F, F.T), {}, ShapeError, r"^Add\(float32\[2, 3\], float32\[3, 2\]\): shapes"),
    ("Add", (F, F.T), {}, ShapeError, r"\[3, 2\] do not broadcast: 2 against 3 at axis -2$"),
    ("Add", (F, I), {}, DTypeError, "operands need one dtype, got float32 and int32"),
    ("Add", (B, B), {}, DTypeError, "Add.*needs a numeric dtype, got bool"),
    ("Exp", (I,), {}, DTypeError, r"Exp\(int32\[2, 3\]\): needs a floating dtype, got int32"),
    ("Less", (B, B), {}, DTypeError, "needs a numeric dtype, got bool"),
    ("And", (F, F), {}, DTypeError, "needs bool, got float32"),
    ("BitwiseAnd", (F, F), {}, DTypeError, "needs an integer dtype, got float32"),
    ("Where", (F, F, F), {}, DTypeError, "needs a bool condition, got float32"),
    ("Where", (B, F, F.T), {}, ShapeError, "do not broadcast"),
    ("Clip", (F, F), {}, ShapeError, r"min must be a scalar, got float32\[2, 3\]"),
    ("Pow", (B, F), {}, DTypeError, "needs a numeric dtype, got bool"),
    ("remainder", (I, I), {}, DTypeError, "needs a floating dtype, got int32"),
    ("PRelu", (F[0], F), {}, ShapeError, r"slope \[2, 3\] does not broadcast to x \[3\]"),
    ("Softmax", (F,), {"axis": 2}, ShapeError, "axis 2 is out of range for 2 dimensions"),
    ("ReduceSum", (F, AXES), {}, ShapeError, "axis 5 is out of range for 2 dimensions"),
    ("ReduceSum", (F, np.array([0, -2])), {}, ShapeError, r"axes \[0, -2\] name an axis twice"),
    ("ReduceMean", (B,), {}, DTypeError, "needs a numeric dtype, got bool"),
    ("ArgMax", (F,), {"axis": 2}, ShapeError, "axis 2 is out of range for 2 dimensions"),
    ("CumSum", (F, np.array(2)), {}, ShapeError, "axis 2 is out of range"),
    ("TopK", (F, np.array([4])), {}, ShapeError, "k=4 of 3 elements along axis 1"),
    ("MatMul", (F, F), {}, ShapeError, r"MatMul.*the inner dimensions differ: 3 against 2"),
    ("MatMul", (F, F[0, 0]), {}, ShapeError, "a scalar has no axis to sum over"),
    ("Gemm", (F, F[0]), {}, ShapeError, r"b must be a matrix, got \[3\]"),
    ("Gemm", (F, F), {}, ShapeError, "the inner dimensions differ: 3 against 2"),
    ("Gemm", (F, F.T, F), {}, ShapeError, r"shapes \[2, 3\] and \[2, 2\] do not broadcast"),
    ("Gemm", (F, F.T, np.zeros((1, 2, 2), np.float32)), {}, ShapeError,
     r"c \[1, 2, 2\] does not broadcast to \[2, 2\]"),
    ("Einsum", (F, F), {"equation": "ij,jk->ik"}, ShapeError, "sizes of 'j' differ: 3 against 2"),
    ("Einsum", (F,), {"equation": "ij,jk->ik"}, ShapeError, "is for 2 operands, got 1"),
    ("Einsum", (F,), {"equation": "ijk->i"}, ShapeError, "term 'ijk' .* operand 0, which has 2"),
    ("Einsum", (F,), {"equation": "ij->ik"}, ShapeError, "unknown or repeated labels"),
    ("Einsum", (F, F[0]), {"equation": "...,..."}, ShapeError, "the same number of dimensions"),
]  # fmt: skip
WRONG_IDS = [f"{op}-{i}" for i, (op, *_) in enumerate(WRONG)]


@pytest.mark.parametrize(("op", "operands", "attrs", "kind", "message"), WRONG, ids=WRONG_IDS)
def test_wrong_operands_are_explained(
    op: str, operands: tuple[Any, ...], attrs: dict[str, Any], kind: type[Exception], message: str
) -> None:
    builder = Builder()
    constants = {"ReduceSum": (1,), "CumSum": (1,), "TopK": (1,)}.get(op, ())
    values = [
        builder.constant(x) if i in constants
        else builder.input(TensorSpec(np.shape(x), np.asarray(x).dtype), f"x{i}")
        for i, x in enumerate(operands)
    ]  # fmt: skip
    with pytest.raises(kind, match=message):
        TABLE[op].infer_outputs(values, attrs)


@pytest.mark.parametrize(
    ("op", "shapes", "attrs", "message"),
    [
        ("Add", [("n", 3), ("m", 3)], {}, "n against m at axis -2; give both dimensions the same"),
        ("Add", [("n",), (5,)], {}, "n against 5"),
        ("MatMul", [(2, "k"), ("j", 3)], {}, "the inner dimensions differ: k against j"),
        ("Gemm", [(2, "k"), (4, 3)], {}, "k against 4; give both dimensions the same name"),
        ("Einsum", [("i", "j"), ("k", "l")], {"equation": "ij,jk"}, "'j' differ: j against k"),
        ("PRelu", [(1, 3), ("n", 3)], {}, "slope"),
    ],
)  # fmt: skip
def test_dimensions_must_be_provably_equal(
    op: str, shapes: list[Any], attrs: dict[str, Any], message: str
) -> None:
    builder = Builder()
    values = [builder.input(TensorSpec(shape), f"x{i}") for i, shape in enumerate(shapes)]
    with pytest.raises(ShapeError, match=message):
        TABLE[op].infer_outputs(values, attrs)


def test_eager_call_explains_itself_like_a_trace() -> None:
    with pytest.raises(ShapeError, match=r"MatMul\(.*the inner dimensions differ: 3 against 2"):
        TABLE["MatMul"](F, F)
    with pytest.raises(ShapeError, match=r"shapes \[2, 3\] and \[3, 2\] do not broadcast"):
        graphctx.ops.add(F, F.T)
    with pytest.raises(DTypeError, match="boolean subtract"):
        graphctx.ops.subtract(B, B)
    with pytest.raises(ShapeError, match="axis 7 is out of range for 2 dimensions"):
        graphctx.ops.sum(F, axis=7)


# -- numbers of multiplications, known elements ---------------------------------------------------


@pytest.mark.parametrize(
    ("op", "shapes", "attrs", "count"),
    [
        ("MatMul", [("n", 3), (3, 4)], {}, "12*n"),
        ("MatMul", [(5, 2, 3), (3, 4)], {}, "120"),
        ("MatMul", [(3,), (3,)], {}, "3"),
        ("Gemm", [(3, "n"), (3, 4)], {"transA": 1}, "12*n"),
        ("Einsum", [("b", 2, 3), ("b", 3, 4)], {"equation": "bij,bjk->bik"}, "24*b"),
        ("Einsum", [(2, 3)], {"equation": "ij->ji"}, "0"),
    ],
)
def test_multiply_adds(op: str, shapes: list[Any], attrs: dict[str, Any], count: str) -> None:
    builder = Builder()
    values = [builder.input(TensorSpec(shape), f"x{i}") for i, shape in enumerate(shapes)]
    [output] = builder.op(TABLE[op], values, attrs)
    record = TABLE[op]
    assert record.multiply_adds is not None
    assert str(record.multiply_adds(output.node)) == count


N = Dim("n")


@pytest.mark.parametrize(
    ("op", "operands", "dims"),
    [
        ("Add", [(N, 2), (3,)], (N + 3, 5)),
        ("Sub", [(N, 2), (1, N)], (N - 1, 2 - N)),
        ("Mul", [(N,), (4, 5)], (4 * N, 5 * N)),
        ("Div", [(6 * N, 7), (2,)], (3 * N, 3)),
        ("Div", [(-7, 7), (2, -2)], (-3, -3)),
        ("Div", [(N - 9, 7), (2,)], None),
        ("Div", [(N,), (0,)], None),
        ("floor_divide", [(-7, N), (2,)], (-4, N // 2)),
        ("Mod", [(-7, 4 * N), (2,)], (1, 0)),
    ],
)
def test_elements_that_are_dimensions_are_known(op: str, operands: list[Any], dims: Any) -> None:
    builder = Builder()
    values = []
    for i, entries in enumerate(operands):
        value = builder.input(TensorSpec((len(entries),), "int64"), f"x{i}")
        value.dims = entries
        values.append(value)
    [output] = builder.op(TABLE[op], values, {})
    assert str(output.dims) == str(dims)
