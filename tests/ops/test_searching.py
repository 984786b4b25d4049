"""Places, sorted positions, distinct elements and masks: as NumPy has them, of any elements."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import graphctx as gx
from graphctx import ops
from graphctx.spec import Dim, TensorSpec
from tests.ops.recording import record, run

few = settings(max_examples=40)
SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)
SMALL = st.integers(-2, 2)


@st.composite
def arrays(draw: Any, shape: Any = SHAPES) -> Any:
    """Few different elements, NaN and both zeros among them."""
    dtype = draw(st.sampled_from(("bool", "uint8", "int32", "int64", "float32", "float64")))
    elements: Any = st.booleans() if dtype == "bool" else st.integers(0, 3)
    if dtype[0] in "if":
        elements = SMALL
    if dtype[0] == "f":
        elements = st.sampled_from((-1.5, 0.0, 2.0, np.nan, np.inf))
    return draw(hnp.arrays(dtype, shape, elements=elements))


def same(found: Any, wanted: Any) -> None:
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b, strict=True)


@few
@given(x=arrays())
def test_nonzero(x: Any) -> None:
    same(np.atleast_2d(run(ops.nonzero, x)), np.atleast_2d(ops.nonzero(x)))
    same(ops.nonzero(x), np.nonzero(x))


@few
@given(x=arrays())
def test_unique(x: Any) -> None:
    same(run(lambda x: tuple(ops.unique_all(x)), x), np.unique_all(x))
    same(run(lambda x: tuple(ops.unique_counts(x)), x), np.unique_counts(x))
    same(run(lambda x: tuple(ops.unique_inverse(x)), x), np.unique_inverse(x))
    same([run(ops.unique_values, x)], [np.sort(np.unique_values(x))])


@few
@given(x=arrays(st.integers(0, 6)), y=arrays(), side=st.sampled_from(("left", "right")))
def test_searchsorted(x: Any, y: Any, side: str) -> None:
    for other in (y, y.reshape(-1)[0] if y.size else y):
        wanted = np.searchsorted(np.sort(x), other, side)
        same([run(lambda x, y: ops.searchsorted(ops.sort(x), y, side), x, np.asarray(other))],
             [np.asarray(wanted)])  # fmt: skip
        same([run(lambda x, y: ops.searchsorted(x, y, side, ops.argsort(x)), x, np.asarray(other))],
             [np.asarray(wanted)])  # fmt: skip


@few
@given(x=arrays(), data=st.data())
def test_masks(x: Any, data: Any) -> None:
    start = data.draw(st.integers(0, x.ndim - 1))
    stop = data.draw(st.integers(start + 1, x.ndim))
    mask = data.draw(hnp.arrays(bool, x.shape[start:stop]))
    index = (slice(None),) * start + (mask,)
    wanted = x[index]
    same([run(lambda x, mask: x[(slice(None),) * start + (mask,)], x, mask)], [wanted])
    same([run(lambda x: x[index], x)], [wanted])
    same([run(lambda x, mask: x[(*(slice(None),) * start, mask, ...)], x, mask)], [wanted])


@few
@given(x=arrays(), data=st.data())
def test_repeat_by_one_number_for_each(x: Any, data: Any) -> None:
    axis = data.draw(st.integers(0, x.ndim - 1))
    repeats = data.draw(hnp.arrays(np.int64, x.shape[axis], elements=st.integers(0, 3)))
    wanted = np.repeat(x, repeats, axis)
    same([ops.repeat(x, repeats, axis)], [wanted])
    same([run(lambda x, n: ops.repeat(x, n, axis), x, repeats)], [wanted])
    same([run(lambda x: ops.repeat(x, repeats, axis), x)], [wanted])


def test_repeat_of_nothing_by_a_number_of_data() -> None:
    x, n = np.zeros((1, 0), bool), np.array([2])
    same([run(lambda x, n: ops.repeat(x, n, 0), x, n)], [np.repeat(x, n, 0)])


@few
@given(x=arrays(), data=st.data(), n=st.integers(0, 3), ends=st.sampled_from((None, 1)))
def test_diff(x: Any, data: Any, n: int, ends: Any) -> None:
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    end = {} if ends is None else {"prepend": ends, "append": x}
    with np.errstate(invalid="ignore"):
        wanted = np.diff(x, n, axis, **end)
        same([ops.diff(x, n, axis, *(end.values()))], [wanted])
        same([run(lambda x: ops.diff(x, n, axis, *((ends, x) if end else ())), x)], [wanted])


def test_sizes_are_unknown_and_belong_together() -> None:
    graph, _ = record(lambda x: (*ops.nonzero(x), x[x > 0]), np.ones((2, 3)))
    rows, columns, chosen = (value.shape[0] for value in graph.outputs)
    assert isinstance(rows, Dim)
    assert rows.is_unknown
    assert rows == columns
    assert chosen != rows


FUNCTIONS = {
    "nonzero": ops.nonzero,
    "unique": lambda x: tuple(ops.unique_all(x)),
    "mask": lambda x: x[x > 0] * 2,
    "mask of rows": lambda x: ops.sum(x[x[:, 0] > 0], axis=0),
    "searchsorted": lambda x: ops.searchsorted(ops.sort(ops.reshape(x, (-1,))), x),
    "repeat": lambda x: ops.repeat(x, ops.astype(x[:, 0] > 0, "int64") * 2, axis=0),
    "range": lambda x: ops.arange(ops.count_nonzero(x)) + 1,
}


@pytest.mark.parametrize("dtype", ["float32", "int64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_files_take_every_number_of_elements(name: str, dtype: str, tmp_path: Any) -> None:
    layer = gx.nn.Lambda(FUNCTIONS[name])
    program = gx.compile(gx.trace(layer, TensorSpec(("n", 2), dtype)))
    gx.export(program, tmp_path / "m.onnx", verify=False)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    for rows in (0, 1, 5):
        x = np.random.default_rng(rows).integers(-2, 3, (rows, 2)).astype(dtype)
        eager = layer(x)
        wanted = [np.asarray(y) for y in (eager if isinstance(eager, tuple) else (eager,))]
        found = program(x)
        same(found if isinstance(found, tuple) else [found], wanted)
        same(session.run(None, {session.get_inputs()[0].name: x}), wanted)
