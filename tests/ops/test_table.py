"""Every operator of the table, on the cases in the modules `cases_*` of this folder."""

import contextlib
import importlib
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import graphctx.ops  # noqa: F401 - fills the table
from graphctx.executor.interpret import interpret
from graphctx.graph import Builder, CallGraph, Contexts, Returns, Value
from graphctx.ops.table import TABLE, Op
from graphctx.spec import TensorSpec, evaluate, is_static
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
        _dtype = next((str(x.dtype) for x in _case.operands if x is not None), "")
        IDS.append(f"{_case.op}-{_dtype}-{sum(c.op == _case.op for c in CASES)}")

all_cases = pytest.mark.parametrize("case", CASES, ids=IDS)
ONNX = {name: record for name, record in TABLE.items() if not name.islower()}


def test_every_operator_has_a_case() -> None:
    lacking = sorted(set(TABLE) - {case.op for case in CASES})
    assert not lacking, f"no case for {lacking}: add one to CASES of its tests/ops/cases_*.py"


@contextlib.contextmanager
def quiet(case: Case) -> Iterator[None]:
    """No floating point warnings where the case is about NaN and infinity."""
    special = any(
        x is not None and x.dtype.kind == "f" and not np.isfinite(x).all() for x in case.operands
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
    return [np.asarray(y) for y in (result if isinstance(result, tuple) else (result,))]


def agree(case: Case, found: list[Any], wanted: list[Any]) -> None:
    """Assert that outputs are equal within the case's tolerance, in dtype and shape exactly."""
    assert len(found) == len(wanted)
    for y, expected in zip(found, wanted, strict=True):
        assert y.dtype == expected.dtype
        assert y.shape == expected.shape
        if case.tolerance == 0 or y.dtype.kind not in "fc":
            np.testing.assert_array_equal(y, expected)
        else:
            np.testing.assert_allclose(
                y, expected, rtol=case.tolerance, atol=case.tolerance, equal_nan=True
            )


@all_cases
def test_kernel_returns_what_is_inferred(case: Case) -> None:
    before = [None if x is None else x.copy() for x in case.operands]
    outputs = outputs_of(case)
    inferred = TABLE[case.op].infer_outputs(values_of(case, symbolic=False), case.attrs)
    assert [(y.shape, y.dtype) for y in outputs] == [(tuple(s), d) for s, d in inferred]
    for x, old in zip(case.operands, before, strict=True):
        if x is not None:
            np.testing.assert_array_equal(x, old, "the kernel writes to its operand")


@all_cases
def test_result_is_no_view_unless_declared(case: Case) -> None:
    if TABLE[case.op].view:
        return
    for y in outputs_of(case):
        for x in case.operands:
            assert x is None or not np.shares_memory(x, y)


@all_cases
def test_symbolic_shape_evaluates_to_the_kernels(case: Case) -> None:
    inferred = TABLE[case.op].infer_outputs(values_of(case, symbolic=True), case.attrs)
    sizes = sizes_of(case)
    found = [tuple(evaluate(dim, sizes) for dim in shape) for shape, _ in inferred]
    assert found == [y.shape for y in outputs_of(case)]


@pytest.mark.parametrize("name", list(TABLE))
def test_symbolic_dimensions_survive(name: str) -> None:
    cases = [c for c in CASES if c.op == name]
    if not any(
        x is not None and x.ndim and i not in c.constant
        for c in cases
        for i, x in enumerate(c.operands)
    ):
        return  # it takes scalars and constants only
    assert any(
        not is_static(shape)
        for case in cases
        for shape, _ in TABLE[name].infer_outputs(values_of(case, symbolic=True), case.attrs)
    ) or any(case.symbolic for case in cases), "no case of it has a symbolic axis"


@all_cases
def test_kernel_agrees_with_onnxruntime(case: Case) -> None:
    if case.op.islower():
        return  # ONNX has no such operator: it is lowered
    outputs = outputs_of(case)
    dtypes = [y.dtype for y in outputs]
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
    for y, expected in zip(results, outputs_of(case), strict=True):
        np.testing.assert_array_equal(np.asarray(y), expected)


@all_cases
def test_ufunc_equals_the_kernel(case: Case) -> None:
    ufunc = TABLE[case.op].ufunc
    if ufunc is None:
        return
    assert ufunc.nin == len(case.operands)
    with quiet(case):
        found = np.asarray(ufunc(*case.operands))
    [expected] = outputs_of(case)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@all_cases
def test_expansion_computes_the_same(case: Case) -> None:
    record = TABLE[case.op]
    if record.expand is None:
        return
    recorder = Recorder(Builder())
    operands = [
        None if x is None
        else recorder.tensor(x) if i in case.constant
        else Tensor(recorder.builder.input(TensorSpec(x.shape, x.dtype), f"x{i}"), recorder)
        for i, x in enumerate(case.operands)
    ]  # fmt: skip
    result = record.expand(*operands, **case.attrs)
    made = [y.value for y in (result if isinstance(result, tuple) else (result,))]
    nodes = tuple(recorder.builder.nodes)
    graph = CallGraph(
        "expansion",
        nodes,
        tuple(n.output for n in nodes if n.kind == "input"),
        Returns(LEAF, tuple(made)),
        Contexts({}),
    )
    feeds = {f"x{i}": x for i, x in enumerate(case.operands) if x is not None}
    with np.errstate(all="ignore"):
        known = interpret(graph, feeds)
    agree(case, [known[value] for value in made], outputs_of(case))


@pytest.mark.parametrize("name", list(ONNX))
def test_record_has_the_signature_of_the_specification(name: str) -> None:
    record: Op = TABLE[name]
    schema = onnx.defs.get_schema(name, max(record.since, onnxruntime_node.OPSET))
    assert record.since <= onnx.defs.onnx_opset_version()
    earliest = onnx.defs.get_schema(name, record.since)
    for version in (schema, earliest):
        required = sum(i.option == onnx.defs.OpSchema.FormalParameterOption.Single
                       for i in version.inputs)  # fmt: skip
        assert record.least <= max(required, 1)
        if not record.variadic:
            assert len(record.operand_names) >= len(version.inputs)
    known = set(schema.attributes)
    ours = set(record.defaults) | set(record.required)
    newest = set(onnx.defs.get_schema(name).attributes)
    assert ours <= newest | known, "attributes that the operator lacks"
    for attribute, default in record.defaults.items():
        if attribute not in known or default is None:
            continue
        given = schema.attributes[attribute].default_value
        if not given.name:
            continue
        value = onnx.helper.get_attribute_value(given)
        value = value.decode() if isinstance(value, bytes) else value
        assert default == pytest.approx(value), attribute


def test_kernels_name_their_operands_and_attributes() -> None:
    for record in TABLE.values():
        assert inspect.getdoc(record), f"{record.name} has no docstring"
