"""`Bundle`: one call for every context, and what it says when something is wrong."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from graphctx_onnx import Bundle, export_bundle
from graphctx_onnx.runtime import (
    BundleError,
    ContextError,
    InputError,
    InvalidBundleError,
    ModelError,
    SessionError,
    sessions,
)
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

import graphctx as gx
from graphctx import Context, Layer, TensorSpec, ops
from graphctx.context import value_text
from tests import test_same_meaning as law
from tests.exporters import bundle_models as models
from tests.exporters.bundle_models import X, copied
from tests.exporters.onnx_models import Lambda
from tests.random_models import build, recipes

BUNDLES = int(os.environ.get("GRAPHCTX_RANDOM_MODELS", "300")) // 20


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load(models.stored()[0])


def close(found: Any, expected: Any) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


# -- running --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"scale": 2.5},
        {"training": np.bool_(False), "scale": np.float32(0.5), "mode": "off"},
        {"role": models.Role.TEACHER},
        {"training": True, "mode": "high"},
        {"training": True, "mode": "off", "scale": 3},
        {"training": None, "mode": None},
    ],
)
def test_every_context_has_its_program(bundle: Bundle, context: dict[str, Any]) -> None:
    expected = gx.compile(models.net_graph(), context)(X, seed=7)
    close(bundle.run({"x": X}, seed=7, **context), expected)
    close(bundle.run({"x": X}, seed=7, context=context), expected)


@settings(max_examples=BUNDLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(recipe=recipes, seed=st.integers(0, 2**63 - 1), weights=st.sampled_from(["share", "fold"]))
def test_a_bundle_means_what_the_model_does(
    tmp_path_factory: pytest.TempPathFactory, recipe: Any, seed: int, weights: str
) -> None:
    """The law of same meaning, for random models under every assignment."""
    model = build(recipe)
    graph = law.trace(model)
    note(str(graph))
    path = tmp_path_factory.mktemp("law") / "m.bundle"
    fixed: dict[str, Any] = {}
    try:
        export_bundle(graph, path, verify=False, weights=weights)
    except gx.ExportError:  # a number decides what is returned, or has two defaults
        fixed = {"noise_scale": 0.5}
        export_bundle(graph, path, verify=False, weights=weights, context=fixed)
    bundle = Bundle.load(path, sharing="private")
    for assignment in law.assignments(graph):
        context = {**assignment, **fixed}
        expected, state = law.eager(model, context, seed)
        if isinstance(expected, Exception):
            with pytest.raises(ModelError, match=str(expected)):
                bundle.run({"x": law.X}, context=context)
            continue
        found, new_state = bundle.step({"x": law.X}, seed=seed, context=context)
        for value, wanted in zip(found.values(), law.flat(expected), strict=True):
            assert value.dtype == wanted.dtype
            np.testing.assert_allclose(value, wanted, rtol=1e-6, atol=1e-6, err_msg=str(context))
        for name, value in new_state.items():
            np.testing.assert_allclose(value, state[name], rtol=1e-6, atol=1e-6)


def test_seeds(bundle: Bundle) -> None:
    def run(**options: Any) -> Any:
        return bundle.run({"x": X}, training=True, mode="high", **options)["logits"]

    np.testing.assert_array_equal(run(seed=3), run(seed=np.int64(3)))
    assert not np.array_equal(run(seed=3), run(seed=4))
    assert not np.array_equal(run(), run())  # a fresh one each time
    bundle.run({"x": X}, seed=3)  # a program that draws nothing takes one, too


def test_state_goes_from_step_to_step(bundle: Bundle) -> None:
    graph = models.net_graph()
    program = gx.compile(graph, training=True)
    state, expected_state = None, None
    for seed in range(3):
        outputs, state = bundle.step({"x": X}, training=True, seed=seed, state=state)
        expected, expected_state = program.step(X, seed=seed, state=expected_state)
        close(outputs, expected)
        close(state, expected_state)
    assert set(state or {}) == {"net/norm/moving_mean", "net/norm/moving_variance"}
    # A run leaves what is stored as it is.
    close(bundle.run({"x": X}, training=True, seed=0), program(X, seed=0))
    assert bundle.step({"x": X})[1] == {}


def test_numbers_lists_and_views_are_inputs_too(bundle: Bundle) -> None:
    expected = bundle.run({"x": X})
    close(bundle.run({"x": X.tolist()}), expected)
    close(bundle.run({"x": np.asfortranarray(X)}), expected)
    close(bundle.run({"x": np.repeat(X, 2, axis=0)[::2]}), expected)


def test_text_is_an_input_too(tmp_path: Path) -> None:
    model = Lambda(lambda words: ops.equal(words, "yes"))
    export_bundle(gx.trace(model, TensorSpec(("n",), str, name="words")), tmp_path / "m.bundle")
    bundle = Bundle.load(tmp_path / "m.bundle")
    for words in (["yes", "no"], np.array(["yes", "no"]), np.array(["yes", "no"], object)):
        np.testing.assert_array_equal(bundle.run({"words": words})["output"], [True, False])


def test_programs_of_one_bundle_may_have_different_signatures(tmp_path: Path) -> None:
    class Tap(Layer):
        def call(self, x: Any, *, taps: Context[bool] = False) -> Any:
            return {"out": x * 2, "max": ops.max(x, axis=-1)} if taps else {"out": x * 2}

    export_bundle(gx.trace(Tap(), models.SPEC), tmp_path / "m.bundle")
    bundle = Bundle.load(tmp_path / "m.bundle")
    assert [port.name for port in bundle.signature().outputs] == ["out"]
    assert [str(port) for port in bundle.signature(taps=True).outputs] == [
        "float32[batch, 4]", "float32[batch]",
    ]  # fmt: skip
    assert bundle.run({"x": X}, taps=True).keys() == {"out", "max"}


def test_names_that_clash_with_parameters(tmp_path: Path) -> None:
    class Odd(Layer):
        def call(
            self, inputs: Any, *, seed: Context[int] = 1, context: Context[bool] = False
        ) -> Any:
            return inputs * seed if context else inputs

    export_bundle(gx.trace(Odd(), TensorSpec((2,))), tmp_path / "m.bundle", verify=False)
    bundle = Bundle.load(tmp_path / "m.bundle")
    found = bundle.run({"inputs": [1, 2]}, context={"seed": 3, "context": True})
    np.testing.assert_array_equal(found["output"], [3, 6])


def test_names_that_nothing_depends_on_are_ignored(tmp_path: Path) -> None:
    export_bundle(gx.trace(Lambda(ops.tanh), models.SPEC), tmp_path / "m.bundle")
    bundle = Bundle.load(tmp_path / "m.bundle")
    bundle.run({bundle.signature().inputs[0].name: X}, training=True)
    with pytest.raises(ContextError, match="no context argument 'mode'"):
        bundle.run({"x": X}, mode="off")


def test_arguments_that_are_fixed(tmp_path: Path) -> None:
    context = {"training": False, "role": models.Role.STUDENT, "scale": 2.0}
    export_bundle(models.net_graph(), tmp_path / "m.bundle", context=context)
    bundle = Bundle.load(tmp_path / "m.bundle")
    expected = gx.compile(models.net_graph(), context)(X)
    for given_context in ({}, context, {"scale": 2}, {"role": "STUDENT"}):
        close(bundle.run({"x": X}, context=given_context), expected)
    with pytest.raises(
        ContextError, match="'training' is False in every program of this bundle, g"
    ):
        bundle.run({"x": X}, training=True)
    with pytest.raises(ContextError, match="'training' is False in every program"):
        bundle.run({"x": X}, training=0)


@pytest.mark.parametrize("mode", ["off", "low", "high"])
@pytest.mark.parametrize("training", [False, True])
def test_arguments_left_to_run_time(tmp_path: Path, training: bool, mode: str) -> None:
    graph = models.net_graph()
    options: dict[str, Any] = {"context": {"role": models.Role.STUDENT}, "verify": False}
    export_bundle(graph, tmp_path / "m.bundle", runtime=["mode"], **options)
    bundle = Bundle.load(tmp_path / "m.bundle")
    expected = gx.compile(graph, training=training, mode=mode)(X, seed=1)
    close(bundle.run({"x": X}, training=training, mode=mode, seed=1), expected)
    with pytest.raises(ContextError, match="'mode' got 'loud'; allowed: 'off', 'low', 'high'"):
        bundle.run({"x": X}, training=training, mode="loud")


def test_required_arguments(tmp_path: Path) -> None:
    class Strict(Layer):
        def call(self, x: Any, *, role: Context[Literal["a", "b"]], gain: Context[float]) -> Any:
            return x * gain if role == "a" else x

    export_bundle(gx.trace(Strict(), models.SPEC), tmp_path / "m.bundle")
    bundle = Bundle.load(tmp_path / "m.bundle")
    with pytest.raises(ContextError, match="'role' has no default; give it a value: 'a', 'b'") as e:
        bundle.run({"x": X}, gain=2.0)
    assert (e.value.argument, e.value.allowed) == ("role", ("a", "b"))
    with pytest.raises(
        ContextError, match="'gain' has no default; give it a value: any number but"
    ):
        bundle.run({"x": X}, role="a")
    close(bundle.run({"x": X}, role="a", gain=2), {"output": X * 2})
    close(bundle.run({"x": X}, role="b"), {"output": X})  # nothing depends on the gain there


# -- what a server needs --------------------------------------------------------------------------


def test_arguments_and_classes(bundle: Bundle) -> None:
    assert bundle.name == "net"
    mode = bundle.arguments["mode"]
    assert (mode.type, mode.values, mode.default) == ("string", ("off", "low", "high"), "low")
    assert (mode.required, mode.binding) == (False, "bound")
    scale = bundle.arguments["scale"]
    assert (scale.type, scale.values, scale.default, scale.binding) == ("float", (), 1.0, "runtime")
    assert len({found.id for found in bundle.classes}) == 5
    signature = bundle.signature(training=True)
    assert [(p.name, p.dtype, p.shape) for p in signature.inputs] == [
        ("x", "float32", ("batch", 4))
    ]
    assert signature.seed == "seed"


def test_what_may_be_batched(bundle: Bundle) -> None:
    inference, feeds = bundle.resolve(scale=2.0)
    assert (inference, feeds) == bundle.resolve({"scale": 2}, mode="off")
    assert inference in {found.id for found in bundle.classes}
    assert {name: array.item() for name, array in feeds.items()} == {"scale": 2.0}
    assert bundle.resolve()[1]["scale"] == 1.0  # the default, so that equal runs look equal
    training, feeds = bundle.resolve(training=True, scale=2.0)
    assert training != inference
    assert feeds == {}
    program = bundle.program(inference)
    close(program.run({"x": X}, bundle.resolve(scale=2.0)[1]), bundle.run({"x": X}, scale=2.0))
    assert repr(program) == f"<Program {inference} for training=False: x: float32[batch, 4]>"
    with pytest.raises(BundleError, match="there is no class 'nothing'"):
        bundle.program("nothing")


def test_the_raw_session(bundle: Bundle) -> None:
    session = bundle.session(training=True, mode="off")
    assert session is bundle.session({"training": True}, mode="off")
    names = [entry.name for entry in session.get_outputs()]
    assert names[:2] == ["hidden", "logits"]
    assert session.run(["logits"], {"x": X})[0].shape == (3, 2)


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("context", "message", "argument"),
    [
        ({"trainin": True}, "net has no context argument 'trainin'; did you mean 'training'?", "t"),
        ({"training": 1}, "'training' got 1; allowed: False, True", "training"),
        ({"training": "true"}, "'training' got 'true'; allowed: False, True", "training"),
        ({"training": [True]}, r"'training' got '\[True\]'; allowed", "training"),
        ({"training": np.array([True])}, "'training' got 'array", "training"),
        ({"mode": "hi"}, "'mode' got 'hi'; allowed: 'off', 'low', 'high'", "mode"),
        ({"mode": True}, "'mode' got True; allowed", "mode"),
        ({"role": "Student"}, "'role' got 'Student'; allowed: 'TEACHER', 'STUDENT'", "role"),
        ({"scale": "2"}, "'scale' got '2'; allowed: any number but NaN", "scale"),
        ({"scale": True}, "'scale' got True; allowed: any number", "scale"),
        ({"scale": float("nan")}, "'scale' got nan; allowed", "scale"),
        ({"scale": None, "mode": b"off"}, "'mode' got \"b'off'\"", "mode"),
    ],
)
def test_context_that_is_wrong(
    bundle: Bundle, context: dict[str, Any], message: str, argument: str
) -> None:
    for call in (bundle.run, bundle.step):
        with pytest.raises(ContextError, match=message) as error:
            call({"x": X}, context=context)  # type: ignore[operator]
        assert (error.value.argument or "").startswith(argument)
        assert isinstance(error.value, ValueError)
    with pytest.raises(ContextError, match=message):
        bundle.resolve(context)


def test_a_value_is_checked_whatever_was_asked_before(bundle: Bundle) -> None:
    bundle.run({"x": X}, training=True)
    with pytest.raises(ContextError, match="'training' got 1"):
        bundle.run({"x": X}, training=1)


def test_an_assignment_without_a_program(tmp_path: Path) -> None:
    export_bundle(models.net_graph(), tmp_path / "m.bundle", contexts=[{}], verify=False)
    bundle = Bundle.load(tmp_path / "m.bundle")
    message = (
        "this bundle has no program for .*mode=high.*; it has programs for training=False; "
        "`graphctx bundle add` adds others"
    )
    with pytest.raises(ContextError, match=message):
        bundle.run({"x": X}, training=True, mode="high")


def test_the_model_raises(bundle: Bundle) -> None:
    message = "with training=True & role=TEACHER the model raises ValueError: a teacher is not tra"
    for call in (bundle.resolve, bundle.session, bundle.signature):
        with pytest.raises(ModelError, match=message) as error:
            call(training=True, role="TEACHER")  # type: ignore[operator]
    assert error.value.type == "ValueError"
    assert "bundle_models.py" in error.value.source
    [failing] = [found.id for found in bundle.classes if found.error is not None]
    with pytest.raises(ModelError, match=message):
        bundle.program(failing)


@pytest.mark.parametrize(
    ("inputs", "message", "name"),
    [
        ({}, r"input 'x' is missing \(inputs: x: float32\[batch, 4\]\)", "x"),
        ({"X": X}, "input 'x' is missing", "x"),
        ({"x": X, "xx": X}, r"no input 'xx'; did you mean 'x'\? \(inputs: x", "xx"),
        ({"x": X, "seed": 1}, r"no input 'seed'; the seed is given as seed=\.\.\.", "seed"),
        (
            {"x": X.astype("float64")},
            r"got float64\[3, 4\]: convert it with .astype\('float32'",
            "x",
        ),
        (
            {"x": X[0]},
            r"expected float32\[batch, 4\], got float32\[4\]: it needs 2 dimensions",
            "x",
        ),
        ({"x": X[:, :3]}, r"got float32\[3, 3\]: axis 1 must be 4", "x"),
        ({"x": "a"}, r"input 'x': expected float32\[batch, 4\], got string\[\]", "x"),
        ({"x": [[1, 2], [3]]}, "input 'x': expected float32", "x"),
        ({"x": object()}, "input 'x': expected .*, got object", "x"),
        ({"x": None}, "input 'x': expected .*, got NoneType", "x"),
        (X, "inputs are a dict of arrays by name, got ndarray", ""),
        ([X], "inputs are a dict of arrays by name, got list", ""),
    ],
)
def test_inputs_that_are_wrong(bundle: Bundle, inputs: Any, message: str, name: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        bundle.run(inputs)
    assert (error.value.input or "") == name


def test_one_name_is_one_size(tmp_path: Path) -> None:
    specs = [TensorSpec(("batch", 2), name="a"), TensorSpec((3, "batch"), name="b")]
    export_bundle(gx.trace(Lambda(lambda a, b: (a, b)), *specs), tmp_path / "m.bundle")
    bundle = Bundle.load(tmp_path / "m.bundle")
    names = [port.name for port in bundle.signature().inputs]
    feeds = dict(zip(names, (np.zeros((5, 2), "f4"), np.zeros((3, 4), "f4")), strict=True))
    with pytest.raises(InputError, match="axis 1 is 'batch', which is 5 in another input"):
        bundle.run(feeds)


@pytest.mark.parametrize("seed", [-1, 1.5, True, "1", 2**63])
def test_seeds_that_are_wrong(bundle: Bundle, seed: Any) -> None:
    for training in (False, True):
        with pytest.raises(InputError, match=r"a seed is an integer in \[0, 2\*\*63\), got "):
            bundle.run({"x": X}, training=training, seed=seed)


def test_state_that_is_wrong(bundle: Bundle) -> None:
    path = "net/norm/moving_mean"
    with pytest.raises(InputError, match=f"state names 'net/norm/mean'; did you mean '{path}'"):
        bundle.step({"x": X}, training=True, state={"net/norm/mean": 0})
    with pytest.raises(
        InputError, match=rf"state '{path}': expected float32\[16\], got float32\[3"
    ):
        bundle.step({"x": X}, training=True, state={path: np.zeros(3, "f4")})
    with pytest.raises(InputError, match=r"state names 'a' .*: none"):
        bundle.step({"x": X}, state={"a": 0})


def test_what_onnxruntime_refuses(tmp_path: Path) -> None:
    model = Lambda(lambda table, i: ops.take(table, i))
    specs = [TensorSpec((3,), name="table"), TensorSpec(("n",), "int64", name="i")]
    export_bundle(gx.trace(model, *specs), tmp_path / "m.bundle")
    bundle = Bundle.load(tmp_path / "m.bundle")
    names = [port.name for port in bundle.signature().inputs]
    with pytest.raises(SessionError, match=r"the program for always: onnxruntime refuses: .*Gat"):
        bundle.run(dict(zip(names, ([1.0, 2.0, 3.0], [7]), strict=True)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"sharing": "share"},
            "sharing is one of 'auto', 'shared', .* got 'share'; di",
        ),
        ({"verify": True}, "verify is 'full', 'manifest' or False, got True"),
        ({"max_sessions": 0}, "max_sessions is a number from 1 on, or None, got 0"),
        ({"threads": "2"}, "threads is a number from 1 on, or None, got '2'"),
        ({"providers": ["CPU"]}, "onnxruntime .* has no provider 'CPU' here.*'CPUExecutionProvid"),
        ({"providers": "CPUExecutionProvider"}, "providers is a list such as"),
        ({"providers": []}, "providers is a list such as"),
    ],
)
def test_options_that_make_no_sense(options: Any, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        Bundle.load(models.stored()[0], **options)


# -- sessions -------------------------------------------------------------------------------------


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the programs that are loaded, as they are."""
    found: list[str] = []
    real = sessions.open_session

    def open_session(path: Path, *args: Any) -> Any:
        found.append(path.name)
        time.sleep(0.02)
        return real(path, *args)

    monkeypatch.setattr(sessions, "open_session", open_session)
    return found


def test_programs_are_loaded_when_they_are_run(opened: list[str]) -> None:
    bundle = Bundle.load(models.stored()[0])
    assert repr(bundle) == "<Bundle net: 5 classes, 0 of 4 programs loaded (private)>"
    bundle.resolve(training=True)
    bundle.signature(training=True)
    assert opened == []
    bundle.run({"x": X})
    bundle.run({"x": X}, scale=3.0)
    assert len(opened) == 1
    assert "1 of 4 programs loaded" in repr(bundle)


def test_threads_share_sessions(opened: list[str]) -> None:
    bundle = Bundle.load(models.stored()[0])
    contexts: list[dict[str, Any]] = [{}, {"training": True, "mode": "off"}, {"training": True}]
    expected = [gx.compile(models.net_graph(), c)(X, seed=2) for c in contexts]
    barrier = threading.Barrier(12)

    def work(index: int) -> None:
        barrier.wait()
        for round_ in range(20):
            which = (index + round_) % 3
            close(bundle.run({"x": X}, seed=2, context=contexts[which]), expected[which])

    with ThreadPoolExecutor(12) as pool:
        for future in [pool.submit(work, index) for index in range(12)]:
            future.result()
    assert len(opened) == len(set(opened)) == 3


def test_only_so_many_sessions_are_kept(opened: list[str]) -> None:
    bundle = Bundle.load(models.stored()[0], max_sessions=2)
    contexts: list[dict[str, Any]] = [{}, {"training": True, "mode": "off"}, {"training": True}]
    for which in (0, 1, 0, 2):  # the second is used longest ago then
        bundle.run({"x": X}, context=contexts[which])
    assert len(opened) == 3
    assert "2 of 4 programs loaded" in repr(bundle)
    bundle.run({"x": X}, context=contexts[0])
    assert len(opened) == 3
    bundle.run({"x": X}, context=contexts[1])
    assert len(opened) == 4

    def work(index: int) -> None:
        for round_ in range(10):
            bundle.run({"x": X}, context=contexts[(index + round_) % 3])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))


def test_a_session_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = Bundle.load(models.stored()[0])

    def broken(*args: Any) -> Any:
        raise SessionError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(sessions, "open_session", broken)
        with pytest.raises(SessionError, match="out of memory"):
            bundle.run({"x": X})
    bundle.run({"x": X})


@pytest.mark.parametrize("sharing", ["shared", "private", "prepacked"])
@pytest.mark.parametrize("threads", [None, 1])
def test_ways_to_share_weights(tmp_path: Path, sharing: str, threads: int | None) -> None:
    bundle = Bundle.load(models.stored()[0], sharing=sharing, threads=threads, cache=tmp_path)
    for mode in ("off", "low"):
        expected = gx.compile(models.net_graph(), training=True, mode=mode)(X, seed=2)
        close(bundle.run({"x": X}, seed=2, training=True, mode=mode), expected)


MEMORY = """
import sys
import numpy as np
from graphctx_onnx import Bundle

def memory():
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024

bundle = Bundle.load(sys.argv[1], sharing=sys.argv[2], threads=1, cache=sys.argv[3])
x = np.ones((1, 1024), np.float32)
bundle.run({"x": x})
before = memory()
for mode in ("tanh", "sigmoid", "elu"):
    bundle.run({"x": x}, mode=mode)
print(memory() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux")
def test_memory_of_sessions_that_share_weights(tmp_path: Path) -> None:
    """Three more programs with 8 MiB of weights add less than one copy of them."""
    export_bundle(models.choice_graph(1024), tmp_path / "m.bundle", verify=False)
    added = {}
    for sharing in ("shared", "prepacked", "private"):
        command = [sys.executable, "-c", MEMORY, tmp_path / "m.bundle", sharing, tmp_path]
        run = subprocess.run(command, check=True, capture_output=True, text=True)
        added[sharing] = float(run.stdout)
    assert added["shared"] < 5
    assert added["prepacked"] < 5
    assert added["private"] > 20


def test_sessions_are_private_where_that_takes_little_memory(tmp_path: Path) -> None:
    assert Bundle.load(models.stored()[0]).sharing == "private"
    path = tmp_path / "m.bundle"
    graph = models.choice_graph(1024)  # 8 MiB
    export_bundle(graph, path, contexts=[{}, {"mode": "tanh"}, {"mode": "elu"}], verify=False)
    assert Bundle.load(path).sharing == "private"
    export_bundle(graph, path, verify=False)
    assert Bundle.load(path).sharing == "shared"
    x = np.ones((2, 1024), np.float32)
    found = Bundle.load(path).run({"x": x}, mode="tanh")["output"]
    expected = gx.compile(graph, mode="tanh")(x)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_a_bundle_pickles_as_its_path_and_options(opened: list[str]) -> None:
    bundle = Bundle.load(models.stored()[0], sharing="private", threads=1, max_sessions=3)
    bundle.run({"x": X})
    again = pickle.loads(pickle.dumps(bundle))
    assert (again.path, again.sharing) == (bundle.path, "private")
    close(again.run({"x": X}), bundle.run({"x": X}))
    assert len(opened) == 2
    assert copy.copy(bundle).path == bundle.path


# -- files that change ----------------------------------------------------------------------------


def test_a_file_that_changed_after_the_load_is_not_run(tmp_path: Path) -> None:
    path = copied(tmp_path)
    bundle = Bundle.load(path)
    [file] = [
        c.program.file for c in bundle.classes if c.program and c.condition == "training=False"
    ]
    data = (path / file).read_bytes()
    (path / file).unlink()
    (path / file).write_bytes(data)
    message = f"{file} is no more what it was when the bundle was loaded; load it again"
    with pytest.raises(InvalidBundleError, match=message):
        bundle.run({"x": X})
    (path / file).unlink()
    with pytest.raises(InvalidBundleError, match=message):
        bundle.run({"x": X})
    (path / file).write_bytes(data)
    Bundle.load(path).run({"x": X})


def test_a_bundle_that_is_replaced_while_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graphctx_onnx.runtime import bundle as module

    path = copied(tmp_path)
    graph = models.net_graph(units=8)
    real = module.read_manifest

    def slow(folder: Path) -> Any:
        found = real(folder)
        monkeypatch.undo()
        export_bundle(graph, path, verify=False)
        return found

    monkeypatch.setattr(module, "read_manifest", slow)
    bundle = Bundle.load(path)
    assert bundle.signature().outputs[0].shape == ("batch", 8)


def test_a_bundle_is_found_wherever_the_working_directory_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied(tmp_path)
    monkeypatch.chdir(tmp_path)
    bundle = Bundle.load("net.bundle", verify=False)
    monkeypatch.chdir("/")
    bundle.run({"x": X})


def test_values_are_named_as_the_exporter_names_them() -> None:
    """Values of a mixed list are fed as text where they are left to run time."""
    from graphctx_onnx.runtime.manifest import Argument
    from graphctx_onnx.runtime.program import ContextPort

    port = ContextPort(
        "a", Argument("a", "mixed", (1, "x", 0.5, True), 1, False, "runtime"), "string"
    )
    for value in (1, "x", 0.5, True, 1e300):
        assert port.array(value).item() == value_text(value)


def test_sessions_go_with_their_bundle() -> None:
    """There is no cycle that would keep their memory until it is collected."""
    bundle = Bundle.load(models.stored()[0])
    session = weakref.ref(bundle.session())
    bundle.run({"x": X})
    del bundle
    assert session() is None
