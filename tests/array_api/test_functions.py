"""Every function of the standard: NumPy, the namespace, a program and onnxruntime agree."""

from typing import Any

import numpy as np
import onnxruntime
import pytest

import graphctx as gx
from graphctx import Layer, array_api
from graphctx.layer import Variable
from tests.array_api.cases import CASES, Case

ALL = [
    pytest.param(case, id=f"{name}-{number}")
    for name, cases in CASES.items()
    for number, case in enumerate(cases)
]


class Call(Layer):
    """Model code as the standard has it: it asks its array for the namespace."""

    def __init__(self, case: Case) -> None:
        self.case = case

    def call(self, *arrays: Any) -> Any:
        return self.case.function(arrays[0].__array_namespace__(), *arrays)


def listed(found: Any) -> list[Any]:
    return list(found) if isinstance(found, (tuple, list)) else [found]


def wanted_of(case: Case) -> list[Any]:
    with np.errstate(all="ignore"):
        if case.wanted is not None:
            return listed(case.wanted(*case.arrays))
        return listed(case.function(np, *case.arrays))


def agree(case: Case, found: Any, wanted: list[Any], tolerance: float = 0.0) -> None:
    found = listed(found)
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        if case.unordered:
            a, b = np.sort(a), np.sort(b)
        if tolerance and a.dtype.kind == "f":
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)
        elif case.rounding:
            np.testing.assert_array_max_ulp(a, b, case.rounding)
        else:
            np.testing.assert_array_equal(a, b)


def specs(case: Case) -> list[gx.TensorSpec]:
    return [
        gx.TensorSpec(x.shape if case.fixed else (f"n{x.shape[0]}", *x.shape[1:]), x.dtype)
        for x in case.arrays
    ]


@pytest.mark.parametrize("case", ALL)
def test_arrays_and_variables(case: Case) -> None:
    wanted = wanted_of(case)
    with np.errstate(all="ignore"):
        agree(case, case.function(array_api, *case.arrays), wanted)
        agree(case, Call(case)(*map(Variable, case.arrays)), wanted)


@pytest.mark.parametrize("case", ALL)
def test_programs_and_onnxruntime(case: Case, tmp_path: Any) -> None:
    wanted = wanted_of(case)
    program = gx.compile(gx.trace(Call(case), *specs(case)))
    with np.errstate(all="ignore"):
        agree(case, program(*case.arrays), wanted)
    if case.onnxruntime:
        return
    gx.export(program, tmp_path / "m.onnx", verify=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", options)
    names = [x.name for x in session.get_inputs()]
    feeds = dict(zip(_inputs(program), case.arrays, strict=True))
    found = session.run(None, {name: feeds[name] for name in names})
    agree(case, found, wanted, case.tolerance)


def _inputs(program: Any) -> list[str]:
    return [value.node.name for value in program.graph.inputs]
