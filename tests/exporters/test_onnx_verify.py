"""Verification: what is tried, what counts as equal, and what a failure says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graphctx_onnx import export, precision, schemas, sessions, trials, verification, verify
from graphctx_onnx.compare import EXACTLY, Tolerance, difference
from graphctx_onnx.convert import convert
from graphctx_onnx.precision import precisions
from graphctx_onnx.trials import larger, plan_sizes, ranges_of

import graphctx as gx
from graphctx import ExportError, TensorSpec, VerificationError, ops
from graphctx.ops.table import TABLE
from tests.exporters import onnx_models as models


class Tampered:
    """A program that is wrong in one element of its first output."""

    def __init__(self, program: gx.Program) -> None:
        self.graph = program.graph
        self.program = program

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = dict(self.program(*args, **kwargs))
        name = next(iter(result))
        result[name] = result[name].copy()
        result[name].reshape(-1)[0] += 1
        return result


# -- what is tried --------------------------------------------------------------------------------


def test_the_report_of_a_good_export(tmp_path: Path) -> None:
    stages: list[tuple[str, int, int]] = []
    result = export(
        models.net(training=True), tmp_path / "model.onnx",
        progress=lambda *stage: stages.append(stage),
    )  # fmt: skip
    report = result.report
    assert report is not None
    assert {(row.level, row.sizes["batch"], row.output) for row in report.rows} == {
        (level, batch, output)
        for level in ("off", "on")
        for batch in (1, 2, 3, 7)
        for output in ("scores", "label")
    }
    assert report.largest < 1e-4
    lines = str(report).splitlines()
    assert lines[0].startswith("onnxruntime ")
    assert lines[0].endswith(" at batch=2; batch=3; batch=1; batch=7")
    assert lines[1].split() == [
        "output", "optimizations", "trials", "largest", "difference", "relative"
    ]  # fmt: skip
    assert re.match(r"label +off +4 +equal$", lines[3])
    assert [stage for stage, _, _ in stages] == [
        "converting", "checking", *["optimizations off"] * 4,
        *["optimizations on"] * 4, "verified",
    ]  # fmt: skip
    assert stages[-1] == ("verified", 8, 8)


def test_verification_can_be_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions.onnxruntime, "InferenceSession", None)
    assert export(models.net(), tmp_path / "model.onnx", verify=False).report is None


def test_dimensions_differ_from_each_other() -> None:
    program = models.program(
        lambda x, y: (x, y), TensorSpec(("a", "b"), name="x"), TensorSpec(("c", "d"), name="y")
    )
    plan = plan_sizes(program.graph, None)
    assert len(plan) == 4
    assert all(len(set(sizes.values())) == 4 for sizes in plan)
    for name in "abcd":
        assert sorted(sizes[name] for sizes in plan) == [1, 2, 3, 7]


def test_many_dimensions_differ_too() -> None:
    names = [f"d{i}" for i in range(9)]
    program = models.program(lambda x: x, TensorSpec(names))
    for sizes in plan_sizes(program.graph, None):
        assert len(set(sizes.values())) == 9


def test_sizes_that_are_asked_for(tmp_path: Path) -> None:
    report = export(models.net(), tmp_path / "m.onnx", sizes={"batch": [1, 8]}).report
    assert report is not None
    assert {row.sizes["batch"] for row in report.rows} == {1, 8}
    report = verify(tmp_path / "m.onnx", models.net(), sizes={"batch": 0})
    assert {row.sizes["batch"] for row in report.rows} == {0}


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"bach": [1]}, "sizes: no input has a dimension 'bach'; there are 'batch'; did you mean"),
        ({"batch": []}, "sizes: 'batch' needs a list of numbers such as [1, 8], got []"),
        ({"batch": ["1"]}, "sizes: 'batch' needs a list of numbers such as [1, 8], got ['1']"),
    ],
)
def test_sizes_that_make_no_sense(sizes: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=re.escape(message)):
        export(models.net(), tmp_path / "model.onnx", sizes=sizes)


def test_sizes_grow_until_the_program_accepts_them(tmp_path: Path) -> None:
    kernel = models.weight(2, 1, 3, 3)
    program = models.program(
        lambda x: ops.conv(x, kernel),
        TensorSpec(("batch", 1, "height", "width"), name="x"), kernel=kernel,
    )  # fmt: skip
    report = export(program, tmp_path / "model.onnx").report
    assert report is not None
    assert {row.sizes["batch"] for row in report.rows} == {1, 2, 3, 7}
    assert all(min(row.sizes["height"], row.sizes["width"]) >= 3 for row in report.rows)
    assert report.notes[0].endswith(", as a dimension would be below 1")


def test_sizes_that_must_divide(tmp_path: Path) -> None:
    program = models.program(lambda x: ops.reshape(x, (-1, 8)), TensorSpec(("batch", 2), name="x"))
    report = export(program, tmp_path / "model.onnx").report
    assert report is not None
    assert all(row.sizes["batch"] % 4 == 0 for row in report.rows)


def test_fixed_sizes_stay() -> None:
    program = models.program(lambda x: ops.concat([x, x]), TensorSpec(("a", "b"), name="x"))
    found = list(larger({"a": 2, "b": 3}, program.graph, {"a": [2]}))
    assert found[0] == {"a": 2, "b": 3}
    assert all(sizes["a"] == 2 for sizes in found)


def test_a_program_that_accepts_nothing(tmp_path: Path) -> None:
    class Picky(Tampered):
        def __call__(self, features: Any, **kwargs: Any) -> Any:
            if len(features) != 15:
                raise ValueError("I only take 15")
            return self.program(features, **kwargs)

    picky = Picky(models.net())
    with pytest.raises(VerificationError, match=re.escape(
        "net: the program accepts none of the sizes and random inputs that verification tried: "
        "I only take 15; say what it takes with sizes={...} or inputs=..."
    )):  # fmt: skip
        export(picky, tmp_path / "model.onnx")
    export(picky, tmp_path / "model.onnx", sizes={"batch": [15]})


def test_indices_are_in_range(tmp_path: Path) -> None:
    table = models.weight(5, 4)

    def lookup(tokens: Any, kind: Any) -> Any:
        return ops.take(table, ops.reshape(tokens, (-1,)), axis=0), ops.one_hot(kind, 3)

    program = models.program(
        lookup, TensorSpec(("batch", "time"), "int32", name="tokens"),
        TensorSpec(("batch",), "int64", name="kind"), table=table,
    )  # fmt: skip
    ranges = ranges_of(convert(program.graph).graph)
    assert ranges["tokens"].limits(np.dtype("int32"), {}) == (0, 5)
    export(program, tmp_path / "model.onnx")


def test_indices_of_a_symbolic_axis() -> None:
    program = models.program(
        lambda x, i: ops.take(x, i, axis=1),
        TensorSpec(("batch", "time"), name="x"), TensorSpec((3,), "int64", name="i"),
    )  # fmt: skip
    ranges = ranges_of(convert(program.graph).graph)
    assert ranges["i"].limits(np.dtype("int64"), {"batch": 9, "time": 4}) == (0, 4)


def test_integer_divisors_are_not_zero(tmp_path: Path) -> None:
    program = models.program(
        lambda x, y: x // y, TensorSpec(("n",), "int32", name="x"),
        TensorSpec(("n",), "int32", name="y"),
    )  # fmt: skip
    export(program, tmp_path / "model.onnx")


@pytest.mark.parametrize("dtype", ["bool", "str", "uint8", "float16", "float64"])
def test_inputs_of_every_kind(dtype: str, tmp_path: Path) -> None:
    program = models.program(lambda x: ops.equal(x, x[:1]), TensorSpec(("batch",), dtype))
    export(program, tmp_path / "model.onnx")


def test_inputs_of_the_user(tmp_path: Path) -> None:
    program, path = models.net(), tmp_path / "model.onnx"
    x = np.ones((5, 4), "float32")
    export(program, path)
    for inputs in (x, [x], {"features": x}):
        report = verify(path, program, inputs=inputs)
        assert {row.sizes["batch"] for row in report.rows} == {5}
    drawn: list[int] = []

    def inputs_for(sizes: dict[str, int], rng: np.random.Generator) -> Any:
        drawn.append(sizes["batch"])
        return {"features": rng.random((sizes["batch"], 4), "float32")}

    verify(path, program, inputs=inputs_for, sizes={"batch": [2, 9]})
    assert drawn == [2, 9]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"feature": 1}, "inputs: the program has no input 'feature'; did you mean 'features'?"),
        ({}, "inputs: 'features' is missing"),
        ([], "inputs: the program takes 'features', got 0 arrays"),
        (np.ones((2, 4)), "inputs: 'features' is float32[batch, 4], got float64[2, 4]"),
        (np.ones(4, "float32"), "inputs: 'features' is float32[batch, 4], got float32[4]"),
    ],
)
def test_inputs_that_do_not_fit(inputs: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=re.escape(message)):
        export(models.net(), tmp_path / "model.onnx", inputs=inputs)


def test_arrays_have_sizes_of_their_own(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="the arrays of inputs= have sizes of their own"):
        export(
            models.net(), tmp_path / "model.onnx",
            inputs=np.ones((2, 4), "float32"), sizes={"batch": [1]},
        )  # fmt: skip


# -- what counts as equal -------------------------------------------------------------------------


def test_tolerances_follow_the_scale() -> None:
    usual = Tolerance(1e-4, 1e-5)
    large = np.array([1000.0, 0.0], "float32")
    assert not difference(large, large + np.float32(0.005), usual).problem
    assert difference(large / 1000, large / 1000 + np.float32(0.005), usual).problem
    tiny = np.array([1e-6, 2e-6], "float32")
    assert difference(tiny, tiny * 2, usual).problem


def test_exact_comparison() -> None:
    one = np.ones(3, "float32")
    assert not difference(one, one, EXACTLY).problem
    found = difference(one, np.nextafter(one, 2), EXACTLY)
    assert found.problem.startswith("3 of 3 elements differ, most at [0]: 1.0000001 instead of 1.0")
    found = difference(np.array([[1, 5]]), np.array([[1, 7]]), EXACTLY)
    assert found.problem == ("1 of 2 elements differ, first at [0, 1]: 7 instead of 5")
    assert found.largest == 2
    words = np.array(["a", "b"], object)
    assert difference(words, np.array(["a", "c"], object), EXACTLY).problem
    assert not difference(words, words.copy(), EXACTLY).problem


def test_nan_and_infinity_must_be_at_the_same_places() -> None:
    usual = Tolerance(1e-4, 1e-5)
    x = np.array([1.0, np.nan, np.inf, -np.inf], "float32")
    assert not difference(x, x.copy(), usual).problem
    for index in (1, 2, 3):
        y = x.copy()
        y[index] = 0
        assert "at other places, first at" in difference(x, y, usual).problem
    assert (
        "+inf at other places"
        in difference(x, np.array([1, np.nan, -np.inf, 0.0], "f"), usual).problem
    )


def test_shapes_and_dtypes_must_agree() -> None:
    x = np.ones((2, 1), "float32")
    assert difference(x, x[:, 0], EXACTLY).problem == "shape [2] instead of [2, 1]"
    assert difference(x, x.astype("float64"), EXACTLY).problem == "dtype float64 instead of float32"


def test_what_is_exact_is_compared_exactly() -> None:
    program = models.program(
        lambda x, i: {
            "moved": ops.permute_dims(x, (1, 0)) * 0.5,
            "computed": ops.tanh(x),
            "picked": ops.argmax(ops.tanh(x), axis=1),
            "random": ops.dropout(x, 0.5),
            "halved": ops.astype(ops.tanh(x), "float16"),
            "counted": i + 1,
        },
        TensorSpec(("n", 2), name="x"), TensorSpec(("n",), "int64", name="i"),
    )  # fmt: skip
    converted = convert(program.graph)
    exactness = precisions(converted.graph)
    returns = converted.graph.returns
    found = {
        name: (exactness[value].dtype, exactness[value].stepped)
        for name, value in zip(returns.names(), returns.values, strict=True)
    }
    single, half = np.dtype("float32"), np.dtype("float16")
    assert found == {
        "moved": (None, False), "computed": (single, False), "picked": (single, True),
        "random": (None, False), "halved": (half, False), "counted": (None, False),
    }  # fmt: skip


def test_a_tie_that_rounding_tips_is_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = models.program(lambda x: ops.tanh(x) > 0.1, TensorSpec(("n",), name="x"))
    path = tmp_path / "model.onnx"
    export(program, path)
    run, calls = verification.run, []

    def tipped(*args: Any) -> Any:
        calls.append(args)
        results = run(*args)
        return {k: ~v for k, v in results.items()} if len(calls) == 1 else results

    monkeypatch.setattr(verification, "run", tipped)
    report = verify(path, program)
    assert "rounding tipped a comparison of floats in one draw" in report.notes[0]
    monkeypatch.setattr(verification, "run", lambda *args: {k: ~v for k, v in run(*args).items()})
    with pytest.raises(VerificationError, match="2 of 2 elements differ"):
        verify(path, program)


# -- what a failure says --------------------------------------------------------------------------


def test_the_first_node_that_differs_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = TABLE["Tanh"].kernel
    monkeypatch.setattr(TABLE["Tanh"], "kernel", lambda x: kernel(x) + np.float32(0.01))
    monkeypatch.setattr(TABLE["Tanh"], "ufunc", None)
    graph = gx.trace(models.Net(), TensorSpec(("batch", 4), name="features"))
    from graphctx.passes.specialize import specialize

    bound = specialize(graph, training=True, mode="weak")
    with pytest.raises(VerificationError) as caught:
        export(bound, tmp_path / "model.onnx")
    assert re.fullmatch(
        r"net: the exported model does not compute what the program does: output 'scores' at "
        r"batch=2, onnxruntime \S+ with optimizations off: \d of 6 elements differ, most at "
        r"\[\d, \d\]: \S+ instead of \S+ \(largest difference \S+, relative \S+\); the first node "
        r"that differs is net/first/noise/Tanh \(\S*onnx_models.py:\d+\): \d+ of 32 elements "
        r"differ, most at \[\d, \d\]: \S+ instead of \S+",
        str(caught.value),
    )
    assert not list(tmp_path.iterdir())


def test_a_file_that_was_tampered_with(tmp_path: Path) -> None:
    program, path = models.net(training=True), tmp_path / "model.onnx"
    export(program, path, external_threshold=0)
    model = onnx.load(path, load_external_data=False)
    node = next(n for n in model.graph.node if n.name == "net/second/noise/Tanh")
    node.op_type = "Sigmoid"
    onnx.save(model, path)
    with pytest.raises(
        VerificationError, match=r"first node that differs is net/second/noise/Tanh"
    ):
        verify(path, program)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_weight_that_was_tampered_with(tmp_path: Path) -> None:
    program, path = models.net(), tmp_path / "model.onnx"
    export(program, path, external_threshold=0)
    data = tmp_path / "model.onnx.data"
    data.write_bytes(bytes(data.stat().st_size))
    with pytest.raises(VerificationError, match="first node that differs is net/first/linear/Gemm"):
        verify(path, program)


def test_generated_code_that_differs(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match=(
        r"every node agrees when it is interpreted: the program's generated code is wrong"
    )):  # fmt: skip
        export(Tampered(models.net()), tmp_path / "model.onnx")


def test_a_weight_that_was_assigned_after_compilation(tmp_path: Path) -> None:
    kernel = models.weight(3)
    program = models.program(lambda x: x * kernel, TensorSpec((3,)), kernel=kernel)
    before = kernel.numpy()
    kernel.assign(before * 2)
    path = tmp_path / "model.onnx"
    export(program, path)
    [stored] = onnx.load(path).graph.initializer
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(stored), before)


def test_a_batch_size_that_was_baked_in(tmp_path: Path) -> None:
    """What a trace with an example batch would give: right at that size only."""
    program = models.program(lambda x: ops.reshape(x, (-1, 8)), TensorSpec(("batch", 4, 2)))
    path = tmp_path / "model.onnx"
    export(program, path)
    model = onnx.load(path)
    [shape] = [t for t in model.graph.initializer if list(t.dims) == [2]]
    shape.raw_data = np.array([2, 8]).tobytes()
    onnx.save(model, path)
    with pytest.raises(ExportError) as caught:
        verify(path, program)
    assert re.match(r"lambda/Reshape \(\S+\): onnxruntime \S+ refuses: ", str(caught.value))
    assert str(caught.value).endswith(
        "if the model takes only some sizes or inputs, name them: sizes={...} or inputs=..."
    )
    with pytest.raises(ExportError, match="refuses"):
        verify(path, program, sizes={"batch": [2, 3]})
    verify(path, program, sizes={"batch": [2]})


def test_sizes_that_only_onnxruntime_refuses(tmp_path: Path) -> None:
    program = models.program(
        lambda x: ops.pad(x, ((0, 0), (1, 1)), mode="reflect"),
        TensorSpec(("batch", "width"), name="x"),
    )
    report = export(program, tmp_path / "model.onnx").report
    assert report is not None
    assert {row.sizes["width"] for row in report.rows} == {2, 3, 7}
    assert report.notes[0].endswith(", as onnxruntime does not take them")


def test_an_optimizer_that_changes_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, path = models.net(), tmp_path / "model.onnx"
    opened: list[str] = []
    open_session, run = verification.open_session, verification.run

    def remember(path: Any, level: str, **options: Any) -> Any:
        opened.append(level)
        return open_session(path, level, **options)

    def change(*args: Any) -> Any:
        results = run(*args)
        if opened[-1] == "on":
            results["scores"] = results["scores"] * 2
        return results

    monkeypatch.setattr(verification, "open_session", remember)
    monkeypatch.setattr(verification, "run", change)
    with pytest.raises(VerificationError, match=(
        r"optimizations on: .*; with optimizations off every node agrees: onnxruntime's optimizer "
        r"changes the result"
    )):  # fmt: skip
        export(program, path)


def test_rounding_that_grows(tmp_path: Path) -> None:
    """A wrong tolerance, not a wrong node: each node agrees on onnxruntime's own operands."""
    program = models.program(
        lambda x: ops.exp(ops.exp(ops.tanh(x) * 2.0)), TensorSpec(("batch", 64), name="x")
    )
    with pytest.raises(VerificationError) as caught:
        export(program, tmp_path / "model.onnx", rtol=1e-9, atol=1e-9)
    assert "the first node that differs is" in str(caught.value)


def test_an_expansion_that_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "log1p"
    monkeypatch.setattr(TABLE[name], "expand", lambda x: ops.log(x + 2.0))
    program = models.program(lambda x: ops.log1p(ops.abs(x)), TensorSpec(("batch",), name="x"))
    with pytest.raises(VerificationError, match=re.escape(
        "an expansion into ONNX operators computes something else (expanded: log1p)"
    )):  # fmt: skip
        export(program, tmp_path / "model.onnx")


def test_state_is_verified(tmp_path: Path) -> None:
    class Wrong(Tampered):
        def step(self, *args: Any, **kwargs: Any) -> Any:
            outputs, state = self.program.step(*args, **kwargs)
            return outputs, {**state, "counter/count": state["counter/count"] + 1}

    with pytest.raises(VerificationError, match="output 'counter/count:new'"):
        export(Wrong(models.counter()), tmp_path / "model.onnx")


def test_random_numbers_are_equal_bit_for_bit(tmp_path: Path) -> None:
    program = models.program(
        lambda x: (ops.dropout(x, 0.3), ops.dropout(x, 0.3)), TensorSpec(("batch", 50), name="x")
    )
    report = export(program, tmp_path / "model.onnx").report
    assert report is not None
    assert report.largest == 0
    assert all(row.tolerance.exact for row in report.rows)


# -- NaN and infinities ---------------------------------------------------------------------------


def test_nothing_is_proven_by_nan(tmp_path: Path) -> None:
    program = models.program(
        lambda x: ops.tanh(ops.log(-ops.exp(x))), TensorSpec(("batch",), name="x")
    )
    with pytest.raises(VerificationError) as caught:
        export(program, tmp_path / "model.onnx")
    assert re.fullmatch(
        r"lambda: verification proves nothing: output 'output' is NaN or infinite throughout in "
        r"every trial; that begins at lambda/Log \(\S+\), whose result is NaN though its operands "
        r"are not; pass inputs that the model is made for: inputs=\{...\}",
        str(caught.value),
    )


def test_a_weight_that_holds_nan(tmp_path: Path) -> None:
    kernel = gx.Variable(np.full(3, np.nan, "float32"))
    program = models.program(lambda x: x * kernel, TensorSpec((3,)), kernel=kernel)
    with pytest.raises(VerificationError, match=(
        "that begins at the weight 'lambda/kernel', which holds NaN elements"
    )):  # fmt: skip
        export(program, tmp_path / "model.onnx")


def test_some_nan_is_verified(tmp_path: Path) -> None:
    program = models.program(lambda x: ops.log(x), TensorSpec(("batch", 8), name="x"))
    assert export(program, tmp_path / "model.onnx").report is not None


# -- files and runtimes ---------------------------------------------------------------------------


def test_a_dtype_that_onnxruntime_lacks(tmp_path: Path) -> None:
    program = models.program(lambda x: ops.atan(x), TensorSpec((2,), "float64"))
    with pytest.raises(ExportError) as caught:
        export(program, tmp_path / "model.onnx")
    assert re.fullmatch(
        r"lambda/Atan \(\S+\): onnxruntime \S+ refuses: .*Could not find an implementation for "
        r"Atan.*; it has no kernel for these dtypes or this opset: cast to float32 around the "
        r"operator, choose another opset, or export with verify=False for another runtime",
        str(caught.value),
    )
    export(program, tmp_path / "model.onnx", verify=False)


def test_the_file_of_another_program(tmp_path: Path) -> None:
    export(models.counter(), tmp_path / "model.onnx", verify=False)
    with pytest.raises(ExportError, match=r"model\.onnx: not exported from this program"):
        verify(tmp_path / "model.onnx", models.net())


def test_onnx_and_graphctx_must_infer_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    infer = TABLE["Tanh"].infer
    monkeypatch.setattr(TABLE["Tanh"], "infer", lambda x: (infer(x)[0][:-1], infer(x)[1]))
    program = models.program(lambda x: ops.tanh(x), TensorSpec((2, 3)))
    with pytest.raises(ExportError, match=(
        r"lambda/Tanh \(\S+\): graphctx infers the shape \[2\], onnx infers \[2, 3\]"
    )):  # fmt: skip
        export(program, tmp_path / "model.onnx")


def test_lists_of_operators_name_those_of_the_table() -> None:
    for names in (
        precision.EXACT, precision.STEPS, precision._ROUNDING, precision._OWN_STEPS,
        trials._PASSES, schemas.LAST_WITH_KERNEL,
    ):  # fmt: skip
        assert set(names) <= set(TABLE)


def test_quantized_operators_are_not_joined(tmp_path: Path) -> None:
    """What onnxruntime computes with integers is rounded otherwise, by whole steps at times."""
    rng = np.random.default_rng(0)
    kernel = gx.Variable(rng.integers(-127, 128, (64, 64)).astype(np.int8))
    step, zero = np.float32(0.05), np.asarray(10, np.uint8)

    def quantized(x: Any) -> Any:
        for _ in range(6):
            x = ops.dequantize_linear(ops.quantize_linear(x, step, zero), step, zero)
            x = ops.softmax(ops.matmul(x, ops.dequantize_linear(kernel, np.float32(0.002)))) * 10
        return ops.dequantize_linear(ops.quantize_linear(x, step, zero), step, zero)

    program = models.program(quantized, TensorSpec(("batch", 64), name="x"))
    report = export(program, tmp_path / "model.onnx").report
    assert report is not None
    assert all(row.difference.problem == "" for row in report.rows)
    assert "joins operators and DequantizeLinear" in report.notes[-1]
