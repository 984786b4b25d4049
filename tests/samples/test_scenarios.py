"""The motivating scenarios: what the sample pages show is so.

`tests/cli/test_samples.py` runs every page as a reader does; here are the claims.
"""

from __future__ import annotations

import importlib.util
import inspect
import itertools
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
import rich

import graphctx as gx
from graphctx import Context, Layer, nn, ops
from graphctx.demo import accuracy, load_digits

SAMPLES = Path(__file__).parents[2] / "samples"
DIGITS = load_digits()
SEEN, PIXELS = (images.reshape(-1, 64) for images in (DIGITS.train_images, DIGITS.test_images))
LABELS = DIGITS.test_labels
SEED = 5


def load(name: str) -> ModuleType:
    """A sample page as a module of its own."""
    spec = importlib.util.spec_from_file_location(f"sample_{name}", SAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def shown(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[tuple[ModuleType, str, Path]]:
    """A page that has run: the module, what it printed, and the folder it ran in."""
    monkeypatch.chdir(tmp_path)
    rich.reconfigure(width=100)
    module = load(request.param)
    module.main()
    yield module, capsys.readouterr().out, tmp_path
    del sys.modules[module.__name__]
    rich.reconfigure()


def page(name: str) -> Any:
    return pytest.mark.parametrize("shown", [name], indirect=True)


def assignments(graph: gx.CallGraph) -> Iterator[dict[str, Any]]:
    """Every assignment of arguments with finite domains."""
    domains = [argument.domain.values for argument in graph.contexts.values()]
    for values in itertools.product(*domains):
        yield dict(zip(graph.contexts, values, strict=True))


def agree(model: Layer, graph: gx.CallGraph, *inputs: Any) -> dict[str, list[dict[str, Any]]]:
    """Check that programs are the eager calls, bit for bit; the assignments of each program."""
    found: dict[str, list[dict[str, Any]]] = {}
    for assignment in assignments(graph):
        with gx.seed(SEED):
            expected = model(*inputs, **assignment)
        program = gx.compile(graph, assignment)
        result = program(*inputs, seed=SEED)
        if isinstance(expected, dict):
            assert list(result) == list(expected)
        else:
            expected, result = {"": expected}, {"": result}
        for name, value in expected.items():
            np.testing.assert_array_equal(result[name], value)
        found.setdefault(str(program.graph), []).append(assignment)
    return found


def rows(text: str) -> list[list[str]]:
    """The cells of the tables that rich printed."""
    return [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in text.splitlines()
        if line.startswith("│")
    ]


def weights(file: Path, model: Layer) -> set[str]:
    """The weights of a model that are in an ONNX file, by path."""
    return {tensor.name for tensor in onnx.load(file).graph.initializer} & set(model.weights)


# -- dropout_intensity ----------------------------------------------------------------------------


@page("dropout_intensity")
def test_dropout_intensity(shown: tuple[ModuleType, str, Path]) -> None:
    sample, text, folder = shown
    graph = gx.trace(sample.model, sample.input_specs)
    classes = agree(sample.model, graph, PIXELS[:8])
    assert [len(found) for found in classes.values()] == [6, 3, 3]
    for layer in (sample.Block, nn.Sequential):
        assert "dropout_intensity_mode" not in inspect.getsource(layer)
    assert "12 assignments -> 3 programs\n" in text
    files = {row[0]: row for row in rows(text)}
    assert sorted(files) == [file.name for file in sorted(folder.glob("*.onnx"))]
    assert all(float(row[2]) < 1e-5 for row in files.values())
    assert [i.name for i in onnx.load(folder / "dropout_0.onnx").graph.input] == ["pixels"]
    path = "digit_net/features/block_1/dropout"
    assert (
        f"{path}: dropout_intensity_mode=aggressive, inherited from the call of digit_net, to "
        f"which you give it\n"
    ) in text


@page("dropout_intensity")
def test_dropout_while_predicting_tells_how_sure_the_network_is(
    shown: tuple[ModuleType, str, Path],
) -> None:
    sample, _, _ = shown
    graph = gx.trace(sample.model, sample.input_specs)
    dropping = gx.compile(graph, monte_carlo=True)
    digit, share = sample.votes(dropping, PIXELS)
    right, sure = digit == LABELS, share >= 0.9
    assert right.mean() > accuracy(dropping(PIXELS, seed=0), LABELS)
    assert right[sure].mean() > 0.98
    assert right[~sure].mean() < 0.8


# -- noise_injection ------------------------------------------------------------------------------


@page("noise_injection")
def test_noise_injection(
    shown: tuple[ModuleType, str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    sample, text, folder = shown
    graph = gx.trace(sample.model, sample.input_specs)
    scales = [0, 0.01, 0.05, 0.123, 0.5]
    bound = [gx.compile(graph, noise_injection_scale=scale) for scale in scales]
    with gx.seed(SEED):
        eager = [sample.model(PIXELS, noise_injection_scale=scale) for scale in scales]
    program = gx.compile(graph, runtime=["noise_injection_scale"])

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("a program neither traces nor generates code when a scale changes")

    for module, name in (("program", "generate"), ("program", "optimize"), ("trace", "Tracer")):
        monkeypatch.setattr(sys.modules[f"graphctx.{module}"], name, never)
    monkeypatch.setattr(sample.NoiseInjection, "call", never)
    deviations = []
    for scale, by_itself, called in zip(scales, bound, eager, strict=True):
        scores = program(PIXELS, seed=SEED, noise_injection_scale=scale)
        np.testing.assert_array_equal(scores, by_itself(PIXELS, seed=SEED))
        np.testing.assert_array_equal(scores, called)
        with gx.context(noise_injection_scale=scale):
            np.testing.assert_array_equal(program(PIXELS, seed=SEED), scores)
        deviations.append(float(np.std(scores - eager[0])))
    assert deviations[0] == 0
    assert deviations == sorted(deviations)
    assert re.search(r"Python ran `call` \d+ times until then, 0 times since", text)
    assert "equal to a program compiled for 0.1: True" in text
    shown_rows = [row for row in rows(text) if len(row) == 3]
    assert [float(row[1]) for row in shown_rows] == sorted(float(row[1]) for row in shown_rows)
    quiet = onnx.load(folder / "quiet.onnx").graph
    assert [node.op_type for node in quiet.node] == ["Gemm", "Relu", "Gemm", "Relu", "Gemm"]
    assert [i.name for i in quiet.input] == ["pixels"]


@page("noise_injection")
def test_the_largest_scale_is_the_largest(shown: tuple[ModuleType, str, Path]) -> None:
    sample, _, _ = shown
    graph = gx.trace(sample.model, sample.input_specs)
    program = gx.compile(graph, runtime=["noise_injection_scale"])
    scale = sample.largest_scale(program, PIXELS, LABELS, right=0.9)

    def right(scale: float) -> float:
        return accuracy(program(PIXELS, seed=0, noise_injection_scale=scale), LABELS)

    assert right(scale) >= 0.9 > right(scale + 2**-10)


# -- dropout_variant ------------------------------------------------------------------------------


@page("dropout_variant")
def test_dropout_variant(shown: tuple[ModuleType, str, Path]) -> None:
    sample, text, folder = shown
    images = DIGITS.test_images[..., 0]
    graph = gx.trace(sample.model, sample.input_specs)
    classes = agree(sample.model, graph, images[:8])
    assert [len(found) for found in classes.values()] == [4, 1, 1, 1, 1]
    assert "training" not in inspect.getsource(sample.VersatileDropout)
    assert len(list(folder.glob("dropout_*.onnx"))) == 5
    cells = {row[0]: [float(cell.rstrip("%")) for cell in row[1:]] for row in rows(text)}
    for variant, (operators, zeros, channels, mean, std) in cells.items():
        assert operators == len(gx.compile(
            graph, training=variant != "none",
            dropout_variant=None if variant == "none" else variant,
        ).summary().rows)  # fmt: skip
        assert zeros == pytest.approx(20 if variant in ("standard", "spatial") else 0, abs=1)
        assert channels == pytest.approx(20 if variant == "spatial" else 0, abs=1)
        assert mean == pytest.approx(cells["none"][3], abs=0.06)
        kept = abs(std - cells["none"][4]) < 0.05
        assert kept == (variant in ("none", "alpha"))


# -- distillation ---------------------------------------------------------------------------------


@page("distillation")
def test_each_role_has_its_own_weights(shown: tuple[ModuleType, str, Path]) -> None:
    sample, text, folder = shown
    shared = {"distillation/embedding/kernel", "distillation/embedding/bias"}
    student = shared | {"distillation/student/kernel", "distillation/student/bias"}
    teacher = set(sample.model.weights) - student | shared
    assert len(teacher) == 8
    assert weights(folder / "teacher.onnx", sample.model) == teacher
    assert weights(folder / "student.onnx", sample.model) == student
    assert weights(folder / "matching.onnx", sample.model) == student
    for specs, role, expected in (
        ((sample.PIXELS,), "teacher_logits", teacher),
        ((sample.PIXELS,), "student_match", student),
        ((sample.PIXELS, sample.LOGITS), "student_match", student),
    ):
        program = gx.compile(gx.trace(sample.model, *specs), knowledge_distillation_role=role)
        assert {node.name for node in program.graph.weights} == expected
    assert [row[1] for row in rows(text)] == [
        "embedding, teacher", "embedding, student", "embedding, student",
    ]  # fmt: skip
    with pytest.raises(gx.ContextError, match="'knowledge_distillation_role' has no default"):
        gx.compile(gx.trace(sample.model, sample.PIXELS))


@page("distillation")
def test_the_student_matches_the_teacher(shown: tuple[ModuleType, str, Path]) -> None:
    sample, text, _ = shown
    logits = sample.model(PIXELS, knowledge_distillation_role="teacher_logits")
    agree(sample.model, gx.trace(sample.model, sample.PIXELS), PIXELS)
    both = gx.trace(sample.model, sample.PIXELS, sample.LOGITS)
    agree(sample.model, both, PIXELS, logits)
    matching = gx.compile(both, knowledge_distillation_role="student_match")(PIXELS, logits)
    assert matching["loss"] == pytest.approx(np.mean((matching["logits"] - logits) ** 2), rel=1e-5)
    served = sample.model(PIXELS, knowledge_distillation_role="student_match")
    np.testing.assert_array_equal(served, matching["logits"])
    assert 0.85 < accuracy(served, LABELS) < accuracy(logits, LABELS)
    before, after = map(float, re.findall(r"(\d\.\d+) (?:before|after)", text))
    assert after < before / 10


# -- dynamic_layers -------------------------------------------------------------------------------


@page("dynamic_layers")
def test_layers_that_are_left_out_leave_nothing(shown: tuple[ModuleType, str, Path]) -> None:
    sample, text, folder = shown
    graph = gx.trace(sample.model, sample.input_specs)
    classes = agree(sample.model, graph, PIXELS)
    assert [len(found) for found in classes.values()] == [3, 1, 1, 1]
    kept: dict[str, list[int]] = {
        "exit_at_early": [],
        "active_layers_2": [0, 3],
        "active_layers_4": [0, 1, 3, 4],
        "active_layers_6": [0, 1, 2, 3, 4, 5],
    }
    for row, (file, blocks) in zip(rows(text), kept.items(), strict=True):
        found = {path.split("/")[1] for path in weights(folder / f"{file}.onnx", sample.model)}
        assert found == {"stem", *(f"blocks_{block}" for block in blocks)}
        count = len(blocks)
        adds = 64 * 32 + 32 * 10 + count * (64 * 128 + 128 * 10)
        parameters = adds + 32 + 10 + count * (128 + 10)
        # Of a block: Gemm, Relu, Gemm, and the Add of its correction.
        assert row[1:4] == [f"{3 + 4 * count}", f"{parameters:,}", f"{adds:,}"]


@page("dynamic_layers")
def test_a_cascade_is_as_good_for_less(shown: tuple[ModuleType, str, Path]) -> None:
    sample, _, _ = shown
    graph = gx.trace(sample.model, sample.input_specs)
    early, end = gx.compile(graph, exit_at="early"), gx.compile(graph)
    scores, unsure = sample.cascade(early, end, PIXELS)
    np.testing.assert_array_equal(scores[~unsure], early(PIXELS)[~unsure])
    np.testing.assert_allclose(scores[unsure], end(PIXELS)[unsure], rtol=1e-4, atol=1e-5)
    assert accuracy(scores, LABELS) > accuracy(end(PIXELS), LABELS) - 0.01
    cost = sample.multiply_adds(early) + unsure.mean() * sample.multiply_adds(end)
    assert cost < 0.7 * sample.multiply_adds(end)


# -- profiling ------------------------------------------------------------------------------------


@page("profiling")
def test_taps_leave_no_trace_when_they_are_off(shown: tuple[ModuleType, str, Path]) -> None:
    sample, text, folder = shown
    observed = gx.compile(gx.trace(sample.model, sample.input_specs))
    sample.plain.set_weights({path: w.numpy() for path, w in sample.model.weights.items()})
    plain = gx.compile(gx.trace(sample.plain, sample.input_specs))
    assert str(observed.graph) == str(plain.graph)
    assert observed.source == plain.source
    graphs = []
    for name, program in (("observed", observed), ("plain", plain)):
        gx.export(program, folder / f"{name}.onnx")
        graph = onnx.load(folder / f"{name}.onnx").graph
        for node in graph.node:  # all but the number of the line that called the first layer
            [line] = [p for p in node.metadata_props if p.key == "graphctx.source"]
            node.metadata_props.remove(line)
        graphs.append(graph.SerializeToString(deterministic=True))
    assert graphs[0] == graphs[1]
    assert "The same as of the model without taps: True" in text


@page("profiling")
def test_taps_and_statistics(shown: tuple[ModuleType, str, Path]) -> None:
    sample, text, folder = shown
    graph = gx.trace(sample.model, sample.input_specs)
    assert list(graph.contexts) == ["taps", "statistics"]
    assert len(agree(sample.model, graph, PIXELS)) == 6
    found = gx.compile(graph, taps=True, statistics="histogram")(PIXELS)
    numbers = gx.compile(graph, statistics="mean_std")(PIXELS)
    x, paths = PIXELS, ["net/block/tap", "net/block_1/tap", "net/block_2/tap", "net/block_3/tap"]
    assert list(found) == ["output", *paths, *(f"{path}:histogram" for path in paths)]
    for block, path in zip(sample.model.layers, paths, strict=False):
        x = block(x)
        np.testing.assert_array_equal(found[path], x)
        np.testing.assert_allclose(numbers[f"{path}:mean_std"], [x.mean(), x.std()], rtol=1e-4)
        inside = x[x < sample.EDGES[-1]]
        counts, _ = np.histogram(inside, sample.EDGES)
        np.testing.assert_array_equal(found[f"{path}:histogram"], counts)
    tapped = onnx.load(folder / "tapped.onnx").graph
    assert [output.name for output in tapped.output] == ["output", *paths]
    assert [row[0] for row in rows(text)] == paths


def test_a_tap_in_a_layer_that_decides_is_refused_unless_the_root_decides() -> None:
    sample = load("profiling")

    class Decides(Layer):
        def __init__(self) -> None:
            self.tap = sample.Tap()

        def call(self, x: Any, *, training: Context[bool] = False) -> Any:
            return self.tap(ops.relu(x) if training else x)

    spec = gx.TensorSpec(("batch", 4))
    with pytest.raises(gx.TraceError, match="the call changes a dict that it was given"):
        gx.trace(sample.ObservedSequential([Decides()]), spec)

    class Root(sample.Observed, nn.Sequential):  # type: ignore[name-defined, misc]
        def call(self, x: Any, *, training: Context[bool] = False, **others: Any) -> Any:
            return super().call(x, **others)

    model = Root([Decides()], name="root")
    graph = gx.trace(model, spec)
    x = np.random.default_rng(0).standard_normal((3, 4)).astype("float32")
    assert set(graph.contexts) == {"taps", "statistics", "training"}
    agree(model, graph, x)


# -- serve_noise_sweep ----------------------------------------------------------------------------


@page("serve_noise_sweep")
def test_a_served_sweep_is_what_the_program_computes(shown: tuple[ModuleType, str, Path]) -> None:
    sample, text, folder = shown
    found = [[float(cell.rstrip("%")) for cell in row] for row in rows(text)]
    assert [scale for scale, *_ in found] == list(sample.SCALES)
    program = gx.compile(gx.trace(sample.model(), sample.input_specs), runtime=["noise_scale"])
    images = DIGITS.test_images
    for scale, mean, least, most in found:
        right = [
            100 * accuracy(program(images, seed=seed, noise_scale=scale), LABELS)
            for seed in sample.SEEDS
        ]
        # Scores agree to rounding: a digit between two classes may be read either way.
        expected = [np.mean(right), min(right), max(right)]
        np.testing.assert_allclose([mean, least, most], expected, atol=100.5 / len(LABELS))
    assert found[0][1:] == [97.2] * 3
    means = [mean for _, mean, _, _ in found]
    assert means == sorted(means, reverse=True)
    assert means[-1] < 60
    assert "REST and gRPC agree: True\nand with NumPy: True\n" in text
    assert text.endswith("no context argument 'noise_scal'; did you mean 'noise_scale'?\n")
    events = [json.loads(line)["event"] for line in (folder / "serve.log").read_text().splitlines()]
    assert events == ["listening", "stopping", "stopped"]
