"""Weights from elsewhere: files of Keras and PyTorch, name maps, layouts, and all that can fail."""

from __future__ import annotations

import builtins
import importlib.util
import json
import pickle
import re
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

import graphctx as gx
from graphctx import Layer, nn
from graphctx.layer import snake_case
from graphctx.weights import (
    add,
    as_stored,
    columns,
    concat,
    keep,
    part,
    reorder,
    reshape,
    rows,
    stack,
    transpose,
)
from graphctx.weights.keras import _class
from tests.weights_fixtures.cases import CASES, FOLDER, VECTORS, Case, Lookup, perceptron

Array = np.ndarray[Any, Any]


def named(case: Case) -> str:
    return case.name


def called(model: Layer, x: Array) -> Layer:
    model(x)
    return model


def dense(units: int = 2, features: int = 3, **options: Any) -> Layer:
    return called(nn.Sequential([nn.Dense(units, **options)], name="net"), values(1, features))


def values(*shape: int, dtype: Any = np.float32) -> Array:
    return np.random.default_rng(3).uniform(-1, 1, shape).astype(dtype)


def saved(path: Path, arrays: dict[str, Array], writer: str | None = "pt") -> Path:
    """A safetensors file, as PyTorch's users have it."""
    save_file(arrays, path, metadata=None if writer is None else {"format": writer})
    return path


def raw(header: Any, data: bytes = b"") -> bytes:
    """The bytes of a safetensors file."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def refused(message: str, load: Callable[[], Any]) -> None:
    """Check that a call raises a `WeightsError` with exactly this text."""
    with pytest.raises(gx.WeightsError, match=f"^{re.escape(message)}$"):
        load()


# -- files of the peers ---------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=named)
def test_recorded_files(case: Case) -> None:
    expected = np.load(FOLDER / "outputs.npz")[case.name]
    check(case, FOLDER / case.file, expected)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES, ids=named)
def test_files_written_here(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "numpy")
    pytest.importorskip(case.peer)
    from tests.weights_fixtures.record import write

    check(case, tmp_path / case.file, write(case, tmp_path))


def check(case: Case, path: Path, expected: Array) -> None:
    """Our model computes what the peer's does, and every weight has its own place in the file."""
    model = called(case.model(), case.x)
    dry = gx.load_weights(model, path, case.names, dry_run=True, **case.options)
    report = gx.load_weights(model, path, case.names, **case.options)
    assert report == dry
    assert report.fits
    assert [row.weight for row in report.of("matched")] == list(model.weights)
    np.testing.assert_allclose(model(case.x), expected, rtol=1e-5, atol=1e-5)


def test_every_case_is_recorded() -> None:
    assert set(np.load(FOLDER / "outputs.npz")) == {case.name for case in CASES}


# -- what is shown --------------------------------------------------------------------------------


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "w.safetensors",
        {"0.weight": values(2, 3), "head.weight": values(2, 5), "head.bias": values(3)},
    )
    model = called(nn.Sequential([nn.Dense(2), nn.Dense(2, name="head")], name="net"), values(1, 3))
    before = {name: weight.numpy() for name, weight in model.weights.items()}
    report = gx.load_weights(model, path, {"dense": "0"}, dry_run=True)
    assert all(model.weights[name].numpy() is value for name, value in before.items())
    text = str(report)
    rows = [re.sub(r" {2,}", " | ", line.strip()) for line in text.splitlines() if "net/" in line]
    assert rows == [
        "net/dense/kernel | [3, 2] | 0.weight | [2, 3] | transpose (1, 0) | matched",
        "net/dense/bias | [2] | missing",
        "net/head/kernel | [2, 2] | head.weight | [2, 5] | transpose (1, 0) | misfit",
        "net/head/bias | [2] | head.bias | [3] | misfit",
    ]
    assert report.title == (
        f"net from {path}, torch layout: 1 of 4 weights matched, 1 missing, 2 misfit"
    )
    data = json.loads(json.dumps(report.as_dict()))
    assert data["fits"] is False
    assert data["rows"][0] == {
        "status": "matched", "weight": "net/dense/kernel", "shape": [3, 2], "source": ["0.weight"],
        "stored": [[2, 3]], "steps": "transpose (1, 0)", "note": "",
    }  # fmt: skip


def test_all_that_is_wrong_is_listed(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "w.safetensors",
        {"0.weight": values(2, 3), "head.weight": values(2, 5), "heat.bias": values(2)},
    )
    model = called(nn.Sequential([nn.Dense(2), nn.Dense(2, name="head")], name="net"), values(1, 3))
    refused(
        f"net: {path} does not match the model's 4 weights\n"
        "  missing: net/dense/bias (no '0.bias'), net/head/bias (no 'head.bias'; did you mean "
        "'heat.bias'?)\n"
        "  unexpected: heat.bias\n"
        "  misfit: net/head/kernel (head.weight: file [2, 5], transpose (1, 0): [5, 2], model "
        "[2, 2])\n"
        "  rules of the name map that match nothing: 'haed'",
        lambda: gx.load_weights(model, path, {"dense": "0", "haed": "head"}),
    )


def test_what_fits_is_loaded_if_that_is_wanted(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.safetensors", {"0.weight": (kernel := values(2, 3))})
    model = dense()
    bias = model.weights["net/dense/bias"].numpy()
    report = gx.load_weights(model, path, strict=False)
    assert [row.status for row in report.rows] == ["matched", "missing"]
    np.testing.assert_array_equal(model.weights["net/dense/kernel"].numpy(), kernel.T)
    assert model.weights["net/dense/bias"].numpy() is bias


def test_unwanted_names_are_ignored(tmp_path: Path) -> None:
    arrays = {"0.weight": values(2, 3), "0.bias": values(2), "position_ids": values(1)}
    path = saved(tmp_path / "w.safetensors", arrays)
    report = gx.load_weights(dense(), path, ignore=["position_.*"])
    assert report.ignored == ("position_ids",)
    refused(
        "ignore: 'a(' is not a regular expression: missing ), unterminated subpattern at position "
        "1",
        lambda: gx.load_weights(dense(), path, ignore=["a("]),
    )


# -- name maps ------------------------------------------------------------------------------------


def bert() -> dict[str, Array]:
    """Names as Hugging Face's BERT has them."""
    arrays = {"bert.embeddings.word_embeddings.weight": values(7, 6)}
    for i in range(2):
        for name, shape in {"0": (6, 6), "2": (6, 6), "4": (6,), "5": (2, 6)}.items():
            arrays[f"bert.encoder.layer.{i}.out.{name}.weight"] = values(*shape) + i
            arrays[f"bert.encoder.layer.{i}.out.{name}.bias"] = values(shape[0]) - i
    return arrays


RULES: list[tuple[str, Any]] = [
    ("tokens", "bert.embeddings.word_embeddings"),
    (r"blocks_(\d)", r"bert.encoder.layer.\1.out"),
]


@pytest.mark.parametrize(
    "names",
    [
        RULES,
        [("", "bert"), ("tokens", RULES[0][1]), RULES[1]],
        [(r"lookup/blocks_(\d)", RULES[1][1]), RULES[0]],
        {
            "tokens/embeddings": "bert.embeddings.word_embeddings.weight",
            "blocks_0": "bert.encoder.layer.0.out",
            "lookup/blocks_1": "bert.encoder.layer.1.out",
        },
    ],
)
def test_layers_and_weights_are_named(names: Any, tmp_path: Path) -> None:
    arrays = bert()
    path = saved(tmp_path / "w.safetensors", arrays)
    model = called(Lookup(), np.zeros((1, 2), np.int32))
    assert gx.load_weights(model, path, names).fits
    weights = model.weights
    np.testing.assert_array_equal(
        weights["lookup/tokens/embeddings"].numpy(),
        arrays["bert.embeddings.word_embeddings.weight"],
    )
    inner = weights["lookup/blocks_1/dense_1/kernel"].numpy()
    np.testing.assert_array_equal(inner, arrays["bert.encoder.layer.1.out.2.weight"].T)


def test_a_function_names_weights(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.safetensors", {"x.kernel": values(3, 2), "x.bias": values(2)})
    asked = []

    def names(weight: str) -> Any:
        asked.append(weight)
        return "x." + weight.partition("/")[2] if weight == "dense/kernel" else "x.bias"

    model = dense()
    assert gx.load_weights(model, path, names).fits
    assert asked == ["dense/kernel", "dense/bias"]
    assert gx.load_weights(model, path, lambda weight: None, dry_run=True).fits is False


def test_the_deepest_rule_counts_and_then_the_first(tmp_path: Path) -> None:
    arrays = {"a.weight": values(2, 3), "a.bias": values(2), "b.bias": values(2) + 1}
    path = saved(tmp_path / "w.safetensors", arrays)
    model = dense()
    rules = [("dense", "a"), ("dense", "nowhere"), (".*/bias", "b.bias")]
    gx.load_weights(model, path, rules, ignore=["a.bias"], strict=False)
    np.testing.assert_array_equal(model.weights["net/dense/bias"].numpy(), arrays["b.bias"])


def test_kept_and_tied_weights(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.safetensors", {"table": (table := values(3, 3))})
    model = called(nn.Sequential([nn.Dense(3), nn.Dense(3)], name="net"), values(1, 3))
    bias = model.weights["net/dense/bias"].numpy()
    rules = [(".*/kernel", "table"), (".*/bias", keep)]
    report = gx.load_weights(model, path, rules)
    assert [row.status for row in report.rows] == ["matched", "kept", "matched", "kept"]
    assert model.weights["net/dense/bias"].numpy() is bias
    for name in ("net/dense/kernel", "net/dense_1/kernel"):
        np.testing.assert_array_equal(model.weights[name].numpy(), table.T)
    assert gx.load_weights(model, path, [(".*/kernel", "table"), ("dense(_1)?", keep)]).fits


class Attention(Layer):
    """What a fused projection is split into."""

    def __init__(self) -> None:
        self.query, self.key, self.value = nn.Dense(4), nn.Dense(4), nn.Dense(4)

    def call(self, x: Any) -> Any:
        return self.query(x) + self.key(x) + self.value(x)


def test_fused_weights_are_split(tmp_path: Path) -> None:
    model = called(Attention(), values(1, 3))
    kernel, bias = values(3, 12), values(12)
    names = ["query", "key", "value"]
    linear = saved(tmp_path / "l.safetensors", {"qkv.weight": kernel.T.copy(), "qkv.bias": bias})
    report = gx.load_weights(model, linear, {n: ("qkv", part(i, 3)) for i, n in enumerate(names)})
    assert report.rows[2].steps == "rows 4:8 of 12, transpose (1, 0)"
    assert report.rows[3].steps == "elements 4:8 of 12"
    for i, name in enumerate(names):
        own = model.weights[f"attention/{name}/kernel"].numpy()
        np.testing.assert_array_equal(own, kernel[:, 4 * i : 4 * i + 4])
    # As GPT-2 of Hugging Face has it.
    conv1d = saved(tmp_path / "c.safetensors", {"qkv.weight": kernel * 2, "qkv.bias": bias})
    rules = {n: ("qkv", part(i, 3, axis=-1)) for i, n in enumerate(names)}
    report = gx.load_weights(model, conv1d, rules, layout="keras")
    assert report.rows[2].steps == "columns 4:8 of 12"
    np.testing.assert_array_equal(model.query.kernel.numpy(), 2 * kernel[:, :4])
    rules = {n: ("qkv", part(i, 3, axis=-1), as_stored()) for i, n in enumerate(names)}
    assert gx.load_weights(model, conv1d, rules).fits
    np.testing.assert_array_equal(model.value.kernel.numpy(), 2 * kernel[:, 8:])
    np.testing.assert_array_equal(model.value.bias.numpy(), bias[8:])


def test_a_square_kernel_is_laid_out_by_its_source_alone(tmp_path: Path) -> None:
    kernel, bias = values(3, 3), values(3)
    model = dense(3, 3)
    own = model.weights["net/dense/kernel"]

    def loaded(arrays: dict[str, Array], writer: str | None, **options: Any) -> Array:
        gx.load_weights(model, saved(tmp_path / "w.safetensors", arrays, writer), **options)
        return own.numpy()

    torch = {"0.weight": kernel, "0.bias": bias}
    np.testing.assert_array_equal(loaded(torch, "pt"), kernel.T)
    np.testing.assert_array_equal(loaded(torch, None), kernel.T)
    np.testing.assert_array_equal(loaded(torch, "pt", layout="keras"), kernel)
    step = {"dense/kernel": ("0.weight", as_stored())}
    np.testing.assert_array_equal(loaded(torch, "pt", names=step), kernel)
    step = {"dense/kernel": ("0.weight", transpose())}
    np.testing.assert_array_equal(loaded(torch, "pt", layout="keras", names=step), kernel.T)
    step = {"dense/kernel": ("0.weight", lambda w: 2 * w)}
    np.testing.assert_array_equal(loaded(torch, "pt", names=step), 2 * kernel)
    ours = {"dense/kernel": kernel, "dense/bias": bias}
    np.testing.assert_array_equal(loaded(ours, None), kernel)
    np.testing.assert_array_equal(loaded({f"net/{n}": a for n, a in ours.items()}, None), kernel)
    flax = {"dense.kernel": kernel, "dense.bias": bias}
    np.testing.assert_array_equal(loaded(flax, "flax"), kernel)
    refused(
        f"{tmp_path / 'w.safetensors'}: its metadata says format 'mlx', and how that lays weights "
        f"out is not known: give layout='torch' ([out, in]) or layout='keras' ([in, out])",
        lambda: loaded(torch, "mlx"),
    )
    np.testing.assert_array_equal(loaded(torch, "mlx", layout="torch"), kernel.T)


def test_layouts_have_names() -> None:
    path = FOLDER / "keras_sequential.weights.h5"
    refused(
        f"{path}: written by Keras, and so cannot have layout='torch'",
        lambda: gx.load_weights(dense(), path, layout="torch"),
    )
    refused(
        "layout is one of 'keras', 'torch', got 'tourch'; did you mean 'torch'?",
        lambda: gx.load_weights(dense(), "w.safetensors", layout="tourch"),
    )


NONSENSE = {
    "names: expected a list of pairs, a dict or a function, got str 'dense'": "dense",
    "names: expected a list of pairs, a dict or a function, got int 5": 5,
    "names: a rule is a pair (pattern, source), got 'dense'; for several, give a list of them": (
        ("dense", "a")
    ),
    "names: 'a(' is not a regular expression: missing ), unterminated subpattern at position 1": [
        ("a(", "b")
    ],
    "names: the source of 'dense' does not fit its pattern: invalid group reference 1 at position "
    "1": [("dense", r"\1")],
    "names: a source is a name, or a tuple of names and then steps such as transpose(), got "
    "('a', 3)": {"dense": ("a", 3)},
    "names: net/dense is a layer, and has one name in the file, got ('a', 'b'); several are for a "
    "weight": {"dense": ("a", "b", add())},
}


@pytest.mark.parametrize("message", NONSENSE)
def test_name_maps_that_make_no_sense(message: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "w.safetensors", {"a": values(2)})
    refused(message, lambda: gx.load_weights(dense(), path, NONSENSE[message]))
    with pytest.raises(gx.WeightsError, match="so that its first step must join them: add"):
        gx.load_weights(dense(), path, {"dense/bias": ("a", "b", transpose())})


def test_several_names_and_nothing_that_joins_them(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.safetensors", {"a": values(2), "b": values(2)})
    report = gx.load_weights(dense(), path, {"dense/bias": ("a", "b")}, dry_run=True)
    assert report.rows[1].note == "a, b: nothing joins them: give add(), stack() or concat()"


# -- steps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "shapes", "text", "expected"),
    [
        ((transpose(),), [(2, 3)], "transpose (1, 0)", lambda a: a.T),
        ((transpose(2, 0, 1),), [(2, 3, 4)], "transpose (2, 0, 1)", lambda a: a.transpose(2, 0, 1)),
        ((reshape(3, -1),), [(2, 3)], "reshape (3, -1)", lambda a: a.reshape(3, 2)),
        ((rows(1, 3),), [(4, 2)], "rows 1:3 of 4", lambda a: a[1:3]),
        ((columns(1, 3),), [(2, 4)], "columns 1:3 of 4", lambda a: a[:, 1:3]),
        ((part(1, 2, axis=1),), [(2, 4, 3)], "axis 1 2:4 of 4", lambda a: a[:, 2:]),
        ((reorder(1, 0),), [(2, 4)], "reorder blocks (1, 0)", lambda a: a[:, [2, 3, 0, 1]]),
        ((add(),), [(3,), (3,)], "add", lambda a, b: a + b),
        ((stack(),), [(3,), (3,)], "stack axis 0", lambda a, b: np.stack([a, b])),
        ((concat(1), transpose()), [(2, 3), (2, 1)], "concat axis 1, transpose (1, 0)",
         lambda a, b: np.concatenate([a, b], 1).T),
        ((np.negative,), [(3,)], "negative", lambda a: -a),
    ],
)  # fmt: skip
def test_steps(steps: Any, shapes: Any, text: str, expected: Any, tmp_path: Path) -> None:
    arrays = {f"w{i}": values(*shape) + i for i, shape in enumerate(shapes)}
    path = saved(tmp_path / "w.safetensors", arrays, None)
    result = expected(*arrays.values())
    model = called(Holder(result.shape), values(1))
    report = gx.load_weights(model, path, {"weight": (*arrays, *steps)})
    assert report.rows[0].steps == text
    np.testing.assert_array_equal(model.weight.numpy(), result)


class Holder(Layer):
    def __init__(self, shape: Any, dtype: Any = np.float32) -> None:
        self.weight = gx.Variable(np.zeros(shape, dtype))

    def call(self, x: Any) -> Any:
        return x


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (part(0, 3), "axis 0 of size 4 has no part 0 of 3 equal ones"),
        (part(2, 2), "axis 0 of size 4 has no part 2 of 2 equal ones"),
        (rows(2, 5), "axis 0 of size 4 has no range 2:5"),
        (columns(3, 3), "axis -1 of size 2 has no range 3:3"),
        (reorder(2, 1, 0), "the last axis, of size 2, has no 3 blocks"),
    ],
)
def test_steps_that_do_not_fit(step: Any, message: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "w.safetensors", {"w": values(4, 2)}, None)
    model = Holder((4, 2))
    report = gx.load_weights(model, path, {"weight": ("w", step)}, dry_run=True)
    assert report.rows[0].status == "misfit"
    assert report.rows[0].note == f"w: {message}"


# -- dtypes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("stored", ["float16", "float32", "float64"])
@pytest.mark.parametrize("wanted", ["float16", "float32", "float64"])
def test_floats_are_converted(stored: str, wanted: str, tmp_path: Path) -> None:
    array = values(2, 3, dtype=stored)
    model = Holder((2, 3), wanted)
    gx.load_weights(model, saved(tmp_path / "w.safetensors", {"weight": array}))
    assert model.weight.numpy().dtype == wanted
    np.testing.assert_array_equal(model.weight.numpy(), array.astype(wanted))


def test_every_bfloat16_number(tmp_path: Path) -> None:
    bits = np.arange(2**16, dtype=np.uint16)
    header = {"weight": {"dtype": "BF16", "shape": [2**16], "data_offsets": [0, 2**17]}}
    path = tmp_path / "w.safetensors"
    path.write_bytes(raw(header, bits.tobytes()))
    model = Holder((2**16,))
    gx.load_weights(model, path)
    expected = (bits.astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(model.weight.numpy().view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize(
    ("stored", "wanted", "message"),
    [
        ("int32", "float32", "file int32, model float32"),
        ("float32", "int32", "file float32, model int32"),
        ("bool", "float32", "file bool, model float32"),
    ],
)
def test_integers_and_floats_are_not_mixed(
    stored: str, wanted: str, message: str, tmp_path: Path
) -> None:
    path = saved(tmp_path / "w.safetensors", {"weight": np.ones(2, stored)})
    refused(
        f"holder: {path} does not match the model's 1 weights\n  misfit: holder/weight "
        f"(weight: {message})",
        lambda: gx.load_weights(Holder((2,), wanted), path),
    )


@pytest.mark.parametrize(
    ("array", "wanted", "message"),
    [
        (np.array([1.0, 1e6], np.float32), "float16", "overflow encountered in cast"),
        (np.array([1, 2**40]), "int32", "its numbers are too large for int32"),
        (np.array([-1, 2]), "uint8", "its numbers are too large for uint8"),
    ],
)
def test_numbers_that_are_too_large(
    array: Array, wanted: str, message: str, tmp_path: Path
) -> None:
    path = saved(tmp_path / "w.safetensors", {"weight": array})
    model = Holder((2,), wanted)
    refused(
        f"{path}: weight cannot be loaded into holder/weight: {message}",
        lambda: gx.load_weights(model, path),
    )
    np.testing.assert_array_equal(model.weight.numpy(), [0, 0])


def test_all_or_nothing(tmp_path: Path) -> None:
    """The last of three weights cannot be converted; the others are as they were."""

    class Three(Layer):
        def __init__(self) -> None:
            self.a, self.b = gx.Variable(np.zeros(2, "f4")), gx.Variable(np.zeros(2, "f4"))
            self.c = gx.Variable(np.zeros(2, "f2"))

        def call(self, x: Any) -> Any:
            return x

    arrays = {name: np.full(2, 1e6, np.float32) for name in "abc"}
    path = saved(tmp_path / "w.safetensors", arrays)
    model = Three()
    before = [weight.numpy() for weight in model.weights.values()]
    with pytest.raises(gx.WeightsError, match="c cannot be loaded into three/c"):
        gx.load_weights(model, path)
    for weight, value in zip(model.weights.values(), before, strict=True):
        assert weight.numpy() is value


# -- files that are none --------------------------------------------------------------------------


def test_there_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    refused(f"{path}: there is no such file", lambda: gx.load_weights(dense(), path))


def test_folders(tmp_path: Path) -> None:
    with pytest.raises(gx.WeightsError, match=r"a folder without weights: none of model\.safet"):
        gx.load_weights(dense(), tmp_path)
    arrays = {"0.weight": values(2, 3), "0.bias": values(2)}
    path = saved(tmp_path / "model.safetensors", arrays)
    assert gx.load_weights(dense(), tmp_path).path == str(path)


NONE = "not a readable safetensors file: "
DAMAGED = {
    "the file is empty": b"",
    "not a file of weights; it is none of safetensors, HDF5 (.weights.h5) and .keras": b"hello",
    "a pointer of Git LFS, not the file itself; fetch it with: git lfs pull": (
        b"version https://git-lfs.github.com/spec/v1\n"
    ),
    "not an index of shards: expected JSON with a 'weight_map' that names the file of every "
    "weight": b'{"a": 1}',
    "its shard 'gone.safetensors' is missing": b'{"weight_map": {"a": "gone.safetensors"}}',
    "its shard '../up.safetensors' is missing": b'{"weight_map": {"a": "../up.safetensors"}}',
    "its shard 'gone.h5' is missing": b'{"weight_map": {"/layers/dense/vars": ["gone.h5"]}}',
    f"{NONE}it is cut off: a ends at byte 77, the file at 73": raw(
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, b"1234"
    ),
    f"{NONE}a of F32[2] does not take the bytes 0 to 4": raw(
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, b"1234"
    ),
    f"{NONE}its header of 400 bytes is longer than the file of 10": struct.pack("<Q", 400) + b"{}",
    f"{NONE}its header makes no sense (TypeError: 'int' object is not subscriptable)": raw(
        b'{"a": 1}'
    ),
    "a is of dtype F6_E2M3, which NumPy does not have": raw(
        {"a": {"dtype": "F6_E2M3", "shape": [2], "data_offsets": [0, 2]}}, b"12"
    ),
}


@pytest.mark.parametrize("message", DAMAGED)
def test_damaged_files(message: str, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(DAMAGED[message])
    refused(f"{path}: {message}", lambda: gx.load_weights(dense(), path))


def test_a_shard_without_its_tensor(tmp_path: Path) -> None:
    saved(tmp_path / "s.safetensors", {"a": values(2)})
    path = tmp_path / "index.json"
    path.write_text('{"weight_map": {"b": "s.safetensors"}}')
    refused(
        f"{path}: its shard 's.safetensors' has no tensor 'b'",
        lambda: gx.load_weights(dense(), path),
    )


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_pickles_are_refused(protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(pickle.dumps({"a": 1}, protocol))
    refused_as_pickle(path)


def test_archives_of_pytorch_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    refused_as_pickle(path)


def refused_as_pickle(path: Path) -> None:
    refused(
        f"{path}: a pickle, which may run any code when it is read, and so is not; convert it "
        f"where you trust it:\n"
        f"  python -c \"import torch, safetensors.torch as s; w = torch.load('{path}', "
        f"map_location='cpu', weights_only=True); s.save_file({{k: v.clone() for k, v in "
        f"w.items()}}, 'model.safetensors')\"",
        lambda: gx.load_weights(dense(), path),
    )


@pytest.mark.filterwarnings("ignore")
def test_the_conversion_of_pickles_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "model.pt"
    module = torch.nn.Sequential(torch.nn.Linear(3, 2))
    torch.save(module.state_dict(), path)
    with pytest.raises(gx.WeightsError) as caught:
        gx.load_weights(dense(), path)
    monkeypatch.chdir(tmp_path)
    code = str(caught.value).partition('python -c "')[2].removesuffix('"')
    exec(code, {})
    assert gx.load_weights(dense(), tmp_path).fits


# -- files of Keras that are none -----------------------------------------------------------------


def copied(name: str, folder: Path) -> Path:
    path = folder / name
    path.write_bytes((FOLDER / name).read_bytes())
    return path


def test_a_truncated_hdf5_file(tmp_path: Path) -> None:
    path = copied("keras_sequential.weights.h5", tmp_path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(gx.WeightsError, match=r"not a readable HDF5 file: .*truncated file"):
        gx.load_weights(dense(), path)


def test_an_hdf5_file_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file["measured"] = values(3)
    refused(
        f"{path}: an HDF5 file, but not one of Keras: no 'vars' in it",
        lambda: gx.load_weights(dense(), path),
    )


def test_arrays_in_other_files_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "data.weights.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/dense/vars")
        group.create_dataset("0", (2,), "f4", external=[("/etc/hostname", 0, 8)])
    refused(
        f"{path}: layers/dense/vars/0 refers to data in other files, which is not followed",
        lambda: gx.load_weights(dense(), path),
    )
    with h5py.File(path, "w") as file:
        file.create_group("layers/dense/vars")["0"] = h5py.ExternalLink("/etc/hostname", "x")
    with pytest.raises(gx.WeightsError, match="missing: net/dense/kernel"):
        gx.load_weights(dense(), path)


def test_arrays_that_are_no_weights(tmp_path: Path) -> None:
    path = tmp_path / "data.weights.h5"
    with h5py.File(path, "w") as file:
        file.create_group("layers/dense/vars")["0"] = "text"
    refused(
        f"{path}: layers/dense/vars/0 is of dtype object, which no weight has",
        lambda: gx.load_weights(dense(), path),
    )


def test_zip_archives_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme", "hello")
    refused(
        f"{path}: a zip archive, but not a .keras file: there is no model.weights.h5 in it",
        lambda: gx.load_weights(dense(), path),
    )
    path.write_bytes(path.read_bytes()[:40])
    refused(
        f"{path}: not a readable .keras file: File is not a zip file",
        lambda: gx.load_weights(dense(), path),
    )


@pytest.mark.parametrize("name", ["keras_sequential.weights.h5", "keras_branched.keras"])
def test_h5py_is_not_installed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "h5py":
            raise ImportError(name)
        return imported(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    refused(
        f"{FOLDER / name}: reading HDF5 files needs h5py: pip install 'graphctx[keras]'",
        lambda: gx.load_weights(dense(), FOLDER / name),
    )


def test_nothing_of_the_file_is_imported_before_it_is_needed() -> None:
    assert importlib.util.find_spec("h5py")
    code = "import sys, graphctx; sys.exit('h5py' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- which layer of Keras is which ----------------------------------------------------------------


def written(path: Path, arrays: dict[str, Array], layers: dict[str, str] | None = None) -> Path:
    """A file as Keras writes it; `layers` has the names of layers."""
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
        for group, name in (layers or {}).items():
            file.require_group(f"{group}/vars").attrs["name"] = name
    return path


def pair(prefix: str, shift: float = 0) -> dict[str, Array]:
    return {f"{prefix}/vars/0": values(3, 3) + shift, f"{prefix}/vars/1": values(3) + shift}


def two(*, names: tuple[str | None, str | None] = (None, None)) -> Layer:
    """A functional model whose two layers Keras could count in either order."""
    x = gx.Input((3,))
    first, second = (nn.Dense(3, name=name) for name in names)
    return gx.Model(x, first(x) + second(x), name="net")


def test_layers_that_could_be_each_other_are_not_guessed(tmp_path: Path) -> None:
    path = written(tmp_path / "w.weights.h5", {**pair("layers/dense"), **pair("layers/dense_1", 1)})
    doubt = (
        "and which of them is first in Keras's model is not certain: give them the names that they "
        "have there, or a name map"
    )
    refused(
        f"net: {path} does not match the model's 4 weights\n"
        "  missing:\n"
        f"    net/dense/kernel, net/dense/bias (dense is like dense_1, {doubt}),\n"
        f"    net/dense_1/kernel, net/dense_1/bias (dense_1 is like dense, {doubt})\n"
        "  unexpected: layers/dense/vars/0, layers/dense/vars/1, layers/dense_1/vars/0, "
        "layers/dense_1/vars/1",
        lambda: gx.load_weights(two(), path),
    )
    model = two()
    rules = [("dense", "layers/dense_1"), ("dense_1", "layers/dense")]
    assert gx.load_weights(model, path, rules).fits
    np.testing.assert_array_equal(model.weights["net/dense/bias"].numpy(), values(3) + 1)


def test_names_of_layers_go_before_their_order(tmp_path: Path) -> None:
    arrays = {**pair("layers/dense"), **pair("layers/dense_1", 1)}
    layers = {"layers/dense": "b", "layers/dense_1": "a"}
    path = written(tmp_path / "w.weights.h5", arrays, layers)
    model = two(names=("a", "b"))
    assert gx.load_weights(model, path).fits
    np.testing.assert_array_equal(model.weights["net/a/bias"].numpy(), values(3) + 1)
    model = called(nn.Sequential([nn.Dense(3), nn.Dense(3)], name="net"), values(1, 3))
    assert gx.load_weights(model, path, [("dense", "a"), ("dense_1", "b")]).fits
    np.testing.assert_array_equal(model.weights["net/dense/bias"].numpy(), values(3) + 1)


def test_attributes_are_found_by_the_names_of_layers(tmp_path: Path) -> None:
    """A subclassed model takes the weights of a functional one."""
    arrays = {**pair("layers/dense"), **pair("layers/dense_1", 1)}
    layers = {"layers/dense": "zeta", "layers/dense_1": "alpha"}

    class Net(Layer):
        def __init__(self) -> None:
            self.alpha, self.zeta = nn.Dense(3), nn.Dense(3)

        def call(self, x: Any) -> Any:
            return self.alpha(self.zeta(x))

    model = called(Net(), values(1, 3))
    assert gx.load_weights(model, written(tmp_path / "w.weights.h5", arrays, layers)).fits
    np.testing.assert_array_equal(model.alpha.bias.numpy(), values(3) + 1)


def test_attributes_that_keras_counts(tmp_path: Path) -> None:
    """A keras.Model has what comes after `layers` in the alphabet among its layers, by number."""

    class Net(Layer):
        def __init__(self) -> None:
            self.dense_1, self.dense_2 = nn.Dense(3), nn.Dense(3)
            self.stages = [nn.Dense(3), nn.Dense(3)]

        def call(self, x: Any) -> Any:
            for layer in (self.dense_1, self.dense_2, *self.stages):
                x = layer(x)
            return x

    arrays = {
        **pair("dense_1"), **pair("dense_2", 1), **pair("layers/dense_2", 2),
        **pair("layers/dense_3", 3),
    }  # fmt: skip
    layers = {"dense_1": "dense", "dense_2": "dense_1"}  # as Keras counts them
    path = written(tmp_path / "w.weights.h5", arrays, layers)
    model = called(Net(), values(1, 3))
    with pytest.raises(
        gx.WeightsError, match="stages_0 is like dense_1, and which of them is first"
    ):
        gx.load_weights(model, path)
    del model.dense_1, model.dense_2
    rest = {name: a for name, a in arrays.items() if name.startswith("layers")}
    rest = {name.replace("_2", "").replace("_3", "_1"): array for name, array in rest.items()}
    path = written(tmp_path / "rest.weights.h5", rest)
    assert gx.load_weights(model, path).fits
    np.testing.assert_array_equal(model.stages[1].bias.numpy(), values(3) + 3)


def test_names_come_from_the_configuration_where_the_file_has_none(tmp_path: Path) -> None:
    """As the first versions of Keras 3 wrote it."""
    path = copied("keras_branched.keras", tmp_path)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    weights = tmp_path / "model.weights.h5"
    weights.write_bytes(contents["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        file.visititems(lambda _, item: item.attrs.pop("name", None) and None)
    (case,) = (case for case in CASES if case.name == "keras_branched")
    model = called(case.model(), case.x)
    with pytest.raises(gx.WeightsError, match=r"net/left/bias \(left is like right, and which"):
        gx.load_weights(model, weights)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**contents, weights.name: weights.read_bytes()}.items():
            archive.writestr(name, content)
    check(case, path, np.load(FOLDER / "outputs.npz")[case.name])


def test_the_first_files_of_keras_3(tmp_path: Path) -> None:
    """TensorFlow 2.12 called the group otherwise, and the state of dropout was in the file."""
    arrays = {
        **pair("_layer_checkpoint_dependencies/dense"),
        "_layer_checkpoint_dependencies/dropout/seed_generator/vars/0": np.ones(2, np.uint32),
        "optimizer/vars/0": values(3, 3),
    }
    report = gx.load_weights(dense(3), written(tmp_path / "w.weights.h5", arrays))
    assert len(report.of("matched")) == 2
    assert len(report.ignored) == 2


def test_another_number_of_weights(tmp_path: Path) -> None:
    path = written(tmp_path / "w.weights.h5", pair("layers/dense"))
    refused(
        f"net: {path} does not match the model's 1 weights\n"
        "  missing: net/dense/kernel (layers/dense has 2 weights in the file, not 1)\n"
        "  unexpected: layers/dense/vars/0, layers/dense/vars/1",
        lambda: gx.load_weights(dense(3, use_bias=False), path),
    )


def test_a_rule_that_names_no_layer(tmp_path: Path) -> None:
    path = written(tmp_path / "w.weights.h5", pair("layers/dense"))
    with pytest.raises(gx.WeightsError, match=r"net/dense/kernel \(no 'layers/dence'"):
        gx.load_weights(dense(3), path, {"dense": "layers/dence"})


def test_models_of_a_branch_are_found_in_old_files(tmp_path: Path) -> None:
    """Weights alone, with names that count from anywhere, as Keras 2 wrote them."""
    path = tmp_path / "old.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"dense_7", b"dropout", b"dense_8"]
        file.create_group("dropout").attrs["weight_names"] = np.zeros(0, "S1")
        for layer in ("dense_7", "dense_8"):
            group = file.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}/kernel:0".encode(), f"{layer}/bias:0".encode()]
            group[f"{layer}/kernel:0"] = values(3, 3) + int(layer[-1])
            group[f"{layer}/bias:0"] = values(3)
    model = nn.Sequential([nn.Dense(3), nn.Dropout(0.1), nn.Dense(3)], name="net")
    called(model, values(1, 3))
    assert gx.load_weights(model, path).fits
    np.testing.assert_array_equal(model.weights["net/dense_1/kernel"].numpy(), values(3, 3) + 8)
    other = two(names=("dense_8", "right"))
    assert gx.load_weights(other, path, {"right": "dense_7"}).fits
    np.testing.assert_array_equal(other.weights["net/right/kernel"].numpy(), values(3, 3) + 7)
    with pytest.raises(gx.WeightsError, match="is like dense_1, and which of them"):
        gx.load_weights(two(), path)
    with pytest.raises(gx.WeightsError, match=r"net/dense/kernel, net/dense/bias \(no 'dense'\)"):
        gx.load_weights(dense(3), path, {"dense": "dense"})


@pytest.mark.filterwarnings("ignore")
def test_classes_have_the_names_that_keras_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "numpy")
    keras = pytest.importorskip("keras")
    others = {"Normalization": "Normalization", "InstanceNorm": "GroupNormalization"}
    for name, kind in vars(nn).items():
        theirs = others.get(name, re.sub("Norm$", "Normalization", name))
        if isinstance(kind, type) and hasattr(keras.layers, theirs):
            expected = snake_case(getattr(keras.layers, theirs).__name__)
            assert _class(kind.__new__(kind)) == expected


# -- models ---------------------------------------------------------------------------------------


def test_weights_that_are_not_made_yet(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.safetensors", {"0.weight": values(2, 3)})
    refused(
        f"net: {path} does not match the model's 0 weights\n"
        "  unexpected: 0.weight\n"
        "  the model has no weights yet: call or trace it once before loading",
        lambda: gx.load_weights(nn.Sequential([nn.Dense(2)], name="net"), path, strict=False),
    )

    class Late(Layer):
        def __init__(self) -> None:
            self.scale = gx.Variable(np.ones(2, np.float32))
            self.dense = nn.Dense(2)

        def call(self, x: Any) -> Any:
            return self.dense(x) * self.scale

    path = saved(tmp_path / "w.safetensors", {"scale": values(2), "dense.bias": values(2)})
    with pytest.raises(gx.WeightsError) as caught:
        gx.load_weights(Late(), path)
    assert str(caught.value).endswith(
        "not made yet are the weights of late/dense: call or trace the model once before loading"
    )


def test_the_method_of_a_layer(tmp_path: Path) -> None:
    model = perceptron()
    model(VECTORS)
    report = model.load_weights(FOLDER / "torch_perceptron.safetensors")
    assert isinstance(report, gx.weights.WeightMatch)
    np.testing.assert_allclose(
        model(VECTORS), np.load(FOLDER / "outputs.npz")["torch_perceptron"], rtol=1e-5
    )
    model.save_weights(tmp_path / "own.safetensors")
    other = nn.Sequential(list(model.layers), name="renamed")
    assert other.load_weights(tmp_path / "own.safetensors").fits


def test_what_a_model_keeps_between_calls_is_not_in_files(tmp_path: Path) -> None:
    model = nn.MultiHeadAttention(2, 3, cache_length=4, name="attention")
    x = values(1, 2, 6)
    model(x, x, use_causal_mask=True, cache="prefill")
    path = FOLDER / "torch_attention.safetensors"
    report = gx.load_weights(model, path, {"": "attention"}, ignore=["norm.*"])
    kept = {row.weight.removeprefix("attention/cache/") for row in report.of("kept")}
    assert kept == {"key", "value", "position"}
    model.save_weights(tmp_path / "own.safetensors")
    assert len(model.load_weights(tmp_path / "own.safetensors").of("matched")) == 11


def test_arrays_are_assigned_by_path() -> None:
    model = dense()
    model.set_weights({"net/dense/kernel": values(3, 2), "net/dense/bias": [1.0, 2.0]})
    np.testing.assert_array_equal(model.weights["net/dense/bias"].numpy(), [1, 2])
    model.set_weights({"dense/kernel": values(3, 2), "dense/bias": [3, 4.0]})
    np.testing.assert_array_equal(model.weights["net/dense/bias"].numpy(), [3, 4])
    refused(
        "net: what is given does not match the model's 2 weights\n"
        "  missing: net/dense/bias\n"
        "  misfit: net/dense/kernel (file [2, 3], model [3, 2])",
        lambda: model.set_weights({"net/dense/kernel": values(2, 3)}),
    )
