"""Sequences and optionals: in programs, in files, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphctx as gx
from graphctx import Context, OptionalType, SequenceType, TensorSpec, ops
from graphctx.errors import (
    DTypeError,
    ExportError,
    GraphctxError,
    InputError,
    ShapeError,
    TraceError,
)
from graphctx.executor.interpret import interpret
from graphctx.passes import check

F = np.float32
X = np.arange(6, dtype=F).reshape(2, 3)
RAGGED = [X, X[:1] + 10, np.concatenate([X, X])]
ROWS = SequenceType("float32", (None, 3))


def layer(function: Any) -> gx.Layer:
    """A layer whose call is a function of positional operands."""

    class Net(gx.Layer):
        def call(self, *operands: Any) -> Any:
            return function(*operands)

    return Net()


def program_of(function: Any, *specs: Any) -> gx.Program:
    """The program of a function; every pass leaves the graph well formed."""
    program = gx.compile(check(gx.trace(layer(function), *specs)))
    check(program.graph)
    return program


def agrees(function: Any, *specs: Any, given: Any, path: Path | None = None) -> Any:
    """Assert one meaning of eager call, program, interpreter and onnxruntime; return it."""
    program = program_of(function, *specs)
    eager, ours = function(*given), program(*given)
    eager = eager if isinstance(eager, tuple) else (eager,)
    ours = ours if isinstance(ours, tuple) else (ours,)
    feeds = dict(zip(program.inputs, given, strict=True))
    known = interpret(program.graph, feeds)
    for a, b, value in zip(eager, ours, program.graph.outputs, strict=True):
        equal(a, b)
        equal(known[value], b)
    if path is not None:
        gx.export(program, path / "model.onnx")
        gx.export(program, path / "given.onnx", inputs=feeds)
    return ours


def equal(a: Any, b: Any) -> None:
    """Assert that two values are the same: arrays, lists of them, or None."""
    assert isinstance(a, list) == isinstance(b, list)
    if isinstance(a, list):
        for x, y in zip(a, b, strict=True):
            equal(x, y)
    elif a is None or b is None:
        assert a is b
    else:
        a, b = np.asarray(a), np.asarray(b)
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_array_equal(a, b)


# -- one meaning ----------------------------------------------------------------------------------


def edit(s: Any, x: Any) -> Any:
    t = ops.sequence_insert(s, x * 2, 0)
    t = ops.sequence_insert(t, x)
    t = ops.sequence_erase(t, 1)
    return (
        t,
        ops.sequence_at(t, -1) + 1,
        ops.sequence_length(t),
        ops.concat_from_sequence(t, axis=0),
    )


def test_sequences_are_edited(tmp_path: Path) -> None:
    found = agrees(edit, ROWS, TensorSpec(("n", 3)), given=(RAGGED, X), path=tmp_path)
    assert [t.shape[0] for t in found[0]] == [2, 1, 4, 2]
    assert found[2] == 4


def test_tensors_are_split_and_joined(tmp_path: Path) -> None:
    def function(x: Any, position: Any) -> Any:
        parts = ops.split_to_sequence(x, 2, axis=1)
        rows = ops.split_to_sequence(x, keepdims=0)
        return (
            ops.concat_from_sequence(parts, axis=1),
            ops.concat_from_sequence(rows, axis=0, new_axis=1),
            ops.sequence_at(rows, position),
        )

    found = agrees(function, TensorSpec((2, 3)), TensorSpec((), "int64"),
                   given=(X, np.asarray(1)))  # fmt: skip
    np.testing.assert_array_equal(found[0], X)
    np.testing.assert_array_equal(found[1], X)
    program = program_of(function, TensorSpec((2, 3)), TensorSpec((), "int64"))
    gx.export(program, tmp_path / "m.onnx", inputs=[X, np.asarray(1)])


def test_optionals_hold_tensors_and_sequences(tmp_path: Path) -> None:
    def function(o: Any, s: Any, x: Any) -> Any:
        return (
            ops.optional_has_element(o),
            ops.optional_has_element(s),
            ops.optional_get_element(ops.optional(x)) + 1,
            ops.sequence_length(ops.optional_get_element(ops.optional(ops.sequence_construct(x)))),
            ops.optional(x),
        )

    specs = (OptionalType("float32", (3,)), OptionalType(ROWS), TensorSpec((2, 3)))
    for given in ((X[0], RAGGED, X), (None, None, X)):
        found = agrees(function, *specs, given=given, path=tmp_path)
        assert bool(found[0]) == bool(found[1]) == (given[0] is not None)


def test_an_empty_optional_is_none(tmp_path: Path) -> None:
    def function(x: Any) -> Any:
        nothing = ops.optional(type=TensorSpec((2,)))
        return nothing, ops.optional_has_element(nothing), x + 1

    program = program_of(function, TensorSpec((2, 3)))
    found = program(X)
    assert found[0] is None
    assert not found[1]
    gx.export(program, tmp_path / "m.onnx")


def test_a_list_of_tensors_is_a_sequence() -> None:
    agrees(lambda x: ops.concat_from_sequence([x, x + 1, X], axis=0), TensorSpec((2, 3)), given=[X])
    agrees(lambda x: ops.sequence_at([X, X + 1], x), TensorSpec((), "int64"), given=[np.asarray(1)])
    with pytest.raises(DTypeError, match="an empty list is no sequence of a known dtype"):
        program_of(lambda x: ops.sequence_insert([], x), TensorSpec((2, 3)))


def test_context_chooses_between_sequences() -> None:
    class Net(gx.Layer):
        def call(self, x: Any, *, wide: Context[bool] = False) -> Any:
            return ops.sequence_construct(x, x) if wide else ops.sequence_construct(x[:1])

    graph = check(gx.trace(Net(), TensorSpec((2, 3))))
    assert "select wide" in str(graph)
    for wide in (True, False):
        equal(gx.compile(graph, wide=wide)(X), Net()(X, wide=wide))
    left_open = gx.compile(graph, runtime=["wide"])
    equal(left_open(X, wide=True), [X, X])
    equal(left_open(X), [X[:1]])


def test_files_choose_between_sequences(tmp_path: Path) -> None:
    class Net(gx.Layer):
        def call(self, x: Any, *, wide: Context[bool] = False) -> Any:
            return ops.sequence_construct(x, x) if wide else ops.sequence_construct(x[:1])

    gx.export(
        gx.compile(gx.trace(Net(), TensorSpec((2, 3))), runtime=["wide"]), tmp_path / "m.onnx"
    )


def test_functional_models_have_sequences_inside() -> None:
    x = gx.Input((3,))
    model = gx.Model(x, ops.concat_from_sequence([x, ops.sequence_at([x * 2], 0)], axis=1))
    program = gx.compile(gx.trace(model, TensorSpec(("n", 3))))
    np.testing.assert_array_equal(program(X), np.concatenate([X, X * 2], axis=1))


class Doubled(gx.Layer):
    """ONNX's SequenceMap: a loop that carries a sequence."""

    def call(self, s: Any) -> Any:
        count = ops.sequence_length(s)

        def body(carry: Any) -> Any:
            i, made = carry
            return i + 1, ops.sequence_insert(made, ops.sequence_at(s, i) * 2)

        start = (np.int64(0), ops.sequence_empty())
        return ops.while_loop(lambda carry: carry[0] < count, body, start)[1]


def test_loops_carry_sequences(tmp_path: Path) -> None:
    program = gx.compile(check(gx.trace(Doubled(), ROWS)))
    check(program.graph)
    assert "%%in_3: sequence(float32[?, 3])" in str(program.graph)
    for given in (RAGGED, RAGGED[:1], []):
        equal(program(given), [x * 2 for x in given])
    gx.export(program, tmp_path / "m.onnx")


def test_branches_return_sequences(tmp_path: Path) -> None:
    def function(x: Any) -> Any:
        return ops.cond(
            ops.sum(x) > 0,
            lambda x: ops.sequence_construct(x, x),
            lambda x: ops.sequence_construct(x[:1]),
            x,
        )

    program = program_of(function, TensorSpec((2, 3)))
    equal(program(X), [X, X])
    equal(program(-X), [-X[:1]])
    gx.export(program, tmp_path / "m.onnx")


def test_a_loop_that_carries_something_else_is_refused() -> None:
    def function(x: Any) -> Any:
        start = ops.sequence_empty("int64")
        return ops.while_loop(
            lambda c: ops.sequence_length(c) < 3, lambda c: ops.sequence_construct(x), start
        )

    with pytest.raises(DTypeError, match=r"carried is sequence\(int64\) at first, and the body"):
        program_of(function, TensorSpec((2, 3)))


# -- memory ---------------------------------------------------------------------------------------


def test_results_share_no_memory_with_what_is_given() -> None:
    program = program_of(lambda s, x: (ops.sequence_insert(s, x), ops.sequence_at(s, 0)),
                         ROWS, TensorSpec((2, 3)))  # fmt: skip
    sequence, first = program(RAGGED, X)
    for array in (*sequence, first):
        array[...] = -1
    assert not any((array == -1).any() for array in (*RAGGED, X))


def test_what_is_in_a_sequence_is_not_overwritten() -> None:
    def function(x: Any) -> Any:
        doubled = x * 2
        kept = ops.sequence_construct(doubled)
        return doubled + 1, ops.sequence_at(kept, 0), kept

    program = program_of(function, TensorSpec((1024, 3)))
    x = np.ones((1024, 3), F)
    for _ in range(2):
        plus, first, kept = program(x)
        assert (plus == 3).all()
        assert (first == 2).all()
        assert (kept[0] == 2).all()


def test_kernels_leave_lists_alone() -> None:
    given = list(RAGGED)
    ops.sequence_insert(given, X)
    ops.sequence_erase(given)
    ops.split_to_sequence(X)
    assert given == RAGGED


# -- text -----------------------------------------------------------------------------------------


def test_text() -> None:
    graph = gx.trace(layer(edit), ROWS, TensorSpec(("n", 3)))
    assert (
        str(graph).splitlines()[0]
        == "graph net (input_0: sequence(float32[?, 3]), input_1: float32[n, 3])"
    )
    assert str(OptionalType(SequenceType("float32"))) == "optional(sequence(float32))"
    assert str(OptionalType("int64", ("n", None))) == "optional(int64[n, ?])"
    assert repr(SequenceType("bool", ())) == "<sequence(bool[])>"


def test_types_are_equal_by_content() -> None:
    assert SequenceType("float32", ("n", 3)) == SequenceType("float32", ("n", 3))
    assert SequenceType("float32", ("n", 3)) != SequenceType("float32", (3, 3))
    assert SequenceType("float32", (3,)) != OptionalType("float32", (3,))
    assert SequenceType("float32") != np.dtype("float32")
    assert np.dtype("float32") != SequenceType("float32")
    assert SequenceType("float32", empty=True) != SequenceType("float32")
    assert len({OptionalType(ROWS), OptionalType(ROWS), ROWS}) == 2


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        (lambda s, x: ops.reshape(s, (-1,)), DTypeError, "tensor, got sequence"),
        (lambda s, x: s + x, DTypeError, r"got sequence\(float32\[\?, 3\]\).*ops.sequence_at"),
        (lambda s, x: ops.concat([s, s]), DTypeError, "expected a tensor|is a tensor"),
        (lambda s, x: ops.astype(s, "int32"), DTypeError, "operand 0 is a tensor, got sequence"),
        (lambda s, x: s[0], DTypeError, "expected a tensor, got sequence"),
        (lambda s, x: s.shape, DTypeError, "expected a tensor, got sequence"),
        (lambda s, x: s.size, DTypeError, "expected a tensor, got sequence"),
        (lambda s, x: ops.dropout(s, 0.5), DTypeError, "expected a tensor, got sequence"),
        (lambda s, x: gx.nn.Dense(3)(s), DTypeError, "expected a tensor, got sequence"),
        (lambda s, x: len(s), DTypeError, "expected a tensor, got sequence"),
        (lambda s, x: ops.where(x > 0, s, x), DTypeError, "expected a tensor, got sequence"),
        (lambda s, x: ops.sum(s), DTypeError, "tensor, got sequence"),
        (lambda s, x: ops.matmul(x, s), DTypeError, "tensor, got sequence"),
        (lambda s, x: ops.optional(ops.optional(x)), DTypeError, "holds a tensor or a sequence"),
        (lambda s, x: ops.optional(), DTypeError, "needs the attribute type"),
        (lambda s, x: ops.sequence_at(x, 0), DTypeError, r"needs a sequence, got float32\[2, 3\]"),
        (lambda s, x: ops.sequence_at(s, 0.5), DTypeError, "int32 or int64 position"),
        (lambda s, x: ops.sequence_at(s, [1, 2]), ShapeError, r"position is a scalar, got \[2\]"),
        (lambda s, x: ops.sequence_insert(s, x > 0), DTypeError,
         "a tensor of bool does not go into a sequence of float32"),
        (lambda s, x: ops.sequence_at(ops.sequence_construct(x, x), 2), ShapeError,
         "position 2 is out of range for a sequence of 2"),
        (lambda s, x: ops.sequence_at(ops.sequence_empty(), 0), ShapeError, "has no element"),
        (lambda s, x: ops.sequence_erase(ops.sequence_empty()), ShapeError, "nothing to erase"),
        (lambda s, x: ops.concat_from_sequence(ops.sequence_empty(), axis=0), ShapeError,
         "an empty sequence has nothing to join"),
        (lambda s, x: ops.sequence_construct(x, x > 0), DTypeError, "one dtype"),
        (lambda s, x: ops.sequence_at(ops.sequence_insert(s, x[0]), x.shape[0] - 1), ShapeError,
         "a number of dimensions that only its data tells"),
        (lambda s, x: ops.concat_from_sequence(ops.sequence_insert(s, x[0]), axis=0), ShapeError,
         "differ in their number of dimensions"),
        (lambda s, x: ops.split_to_sequence(x, np.array([1, 2]), axis=0), ShapeError,
         r"the sizes \[1, 2\] do not add up to 2"),
        (lambda s, x: ops.split_to_sequence(x, 0), ShapeError, "sizes to split into are positive"),
        (lambda s, x: ops.split_to_sequence(x, axis=2), ShapeError, "axis 2 is out of range"),
        (lambda s, x: ops.split_to_sequence(ops.sum(x)), ShapeError, "a scalar has no axis"),
    ],
)  # fmt: skip
def test_refused_in_a_trace(function: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        gx.trace(layer(function), ROWS, TensorSpec((2, 3)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.sequence_at(RAGGED, 3), "position 3 is out of range for a sequence of 3"),
        (lambda: ops.sequence_insert(RAGGED, X, -4), "position -4 is out of range"),
        (lambda: ops.sequence_insert(RAGGED, X > 0), "bool does not go into a sequence of float32"),
        (lambda: ops.sequence_construct(X, X > 0), "one dtype"),
        (lambda: ops.sequence_construct(), "needs a tensor; "),
        (lambda: ops.sequence_erase([]), "an empty sequence has nothing to erase"),
        (lambda: ops.split_to_sequence(X, np.array([1, 2])), "do not add up to 2"),
        (lambda: ops.split_to_sequence(X, np.array(-1)), "sizes to split into are positive"),
        (lambda: ops.optional_get_element(None), "the optional holds nothing"),
    ],
)
def test_refused_on_arrays(call: Any, message: str) -> None:
    with pytest.raises(GraphctxError, match=message):
        call()


def test_refused_at_run_time() -> None:
    program = program_of(lambda s, i: ops.sequence_at(s, i), ROWS, TensorSpec((), "int64"))
    with pytest.raises(InputError, match="SequenceAt refuses these inputs: position 5 is out of"):
        program(RAGGED, np.asarray(5))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (X, r"expected sequence\(float32\[\?, 3\]\), a list of arrays, got ndarray"),
        (None, "a list of arrays, got NoneType"),
        ([X, X.astype(np.float64)], r"element 1: expected .*, got float64\[2, 3\]"),
        ([X[:, :2]], r"element 0: expected sequence\(float32\[\?, 3\]\), got float32\[2, 2\]"),
        ([X[0]], r"element 0: .* got float32\[3\]"),
    ],
)
def test_wrong_sequences_are_refused(given: Any, message: str) -> None:
    program = program_of(ops.sequence_length, ROWS)
    with pytest.raises(InputError, match=message):
        program(given)
    assert program([]) == 0
    assert program((X, X)) == 2


def test_wrong_optionals_are_refused() -> None:
    program = program_of(ops.optional_has_element, OptionalType("float32", (2, 3)))
    assert program(X)
    assert not program(None)
    with pytest.raises(InputError, match=r"expected optional\(float32\[2, 3\]\), got float32\[3\]"):
        program(X[0])


def test_sizes_in_a_sequence_have_no_names() -> None:
    with pytest.raises(TraceError, match="give a number instead of n, or None for a size that may"):
        gx.trace(layer(ops.sequence_length), SequenceType("float32", ("n", 3)))
    with pytest.raises(DTypeError, match="has no shape of its own"):
        TensorSpec((2,), ROWS)
    with pytest.raises(DTypeError, match="the elements of a sequence are tensors"):
        SequenceType(ROWS)


def test_wrong_inputs_of_a_verification_are_refused(tmp_path: Path) -> None:
    program = program_of(ops.sequence_length, ROWS)
    with pytest.raises(ExportError, match=r"inputs: input 'input_0': expected sequence"):
        gx.export(program, tmp_path / "m.onnx", inputs=[X])


def test_bundles_have_tensors_only(tmp_path: Path) -> None:
    graph = gx.trace(layer(ops.sequence_length), ROWS)
    with pytest.raises(ExportError, match=r"take and return tensors, and 'input_0' is sequence"):
        gx.export(graph, tmp_path / "m.bundle")
    graph = gx.trace(layer(ops.sequence_construct), TensorSpec((2, 3)))
    with pytest.raises(ExportError, match=r"SequenceConstruct. is sequence\(float32\[2, 3\]\)"):
        gx.export(graph, tmp_path / "m.bundle")
