"""BERT, GPT-2 and ViT: equal to Hugging Face's, and what their pages claim."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest

import graphctx as gx
from tests.samples.hugging_face import FOLDER, PEERS, Arrays, Peer

SAMPLES = Path(__file__).parents[2] / "samples"
TOLERANCE = 1e-4


@pytest.fixture
def sample(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """A page as a module of its own."""
    name = f"transformer_{request.param}"
    spec = importlib.util.spec_from_file_location(name, SAMPLES / f"{request.param}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[name]


def page(name: str) -> Any:
    return pytest.mark.parametrize("sample", [name], indirect=True)


every_page = pytest.mark.parametrize(
    ("peer", "sample"), [(p, p.sample) for p in PEERS], indirect=["sample"],
    ids=[p.sample for p in PEERS],
)  # fmt: skip


# -- the weights and results of Hugging Face ------------------------------------------------------


def loaded(peer: Peer, page: Any, file: Path, inputs: Arrays) -> tuple[Any, gx.CallGraph]:
    """The sample's model with weights of a file, and its trace."""
    config = dataclasses.replace(page.Config(), **peer.config)
    classes = {"bert": "Bert", "gpt2": "GPT2", "vit": "VisionTransformer"}
    model = getattr(page, classes[peer.sample])(config)
    graph = gx.trace(model, *inputs.values())
    options: dict[str, Any] = {}
    if peer.sample == "gpt2":
        options = {"layout": "keras", "ignore": ["lm_head.weight"]}
    if peer.sample == "vit":
        options = {"ignore": ["vit.pooler.*"]}
    found = model.load_weights(file, page.WEIGHT_NAMES, **options)
    assert found.fits
    return model, graph


def equal(peer: Peer, page: Any, file: Path, inputs: Arrays, outputs: Arrays) -> None:
    """The sample computes what transformers does, eagerly and as programs."""
    model, graph = loaded(peer, page, file, inputs)
    x = tuple(inputs.values())
    if peer.sample == "bert":
        found = gx.compile(graph)(*x)
        hidden = found["hidden"] * inputs["mask"][..., None]
        close({**found, "hidden": hidden}, outputs)
        close(model(*x)["pooled"], found["pooled"], 0)
    elif peer.sample == "gpt2":
        close(gx.compile(graph)(*x), outputs["scores"])
        tokens = gx.trace(model, gx.TensorSpec((2, "length"), "int64"))
        programs = [gx.compile(tokens, cache=mode) for mode in ("prefill", "decode")]
        np.testing.assert_array_equal(page.generate(*programs, *x, 5), outputs["written"])
    else:
        close({name: gx.compile(graph, features=name)(*x) for name in outputs}, outputs)


def close(a: Any, b: Any, tolerance: float = TOLERANCE) -> None:
    if isinstance(b, dict):
        assert set(a) == set(b)
        for name in b:
            close(a[name], b[name], tolerance)
    else:
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@every_page
def test_equal_to_what_was_recorded(peer: Peer, sample: ModuleType) -> None:
    arrays = np.load(FOLDER / "outputs.npz")
    inputs, outputs = (
        {
            key.rpartition("/")[2]: arrays[key]
            for key in arrays
            if key.startswith(f"{peer.sample}/{side}/")
        }
        for side in ("in", "out")
    )
    equal(peer, sample, FOLDER / f"{peer.sample}.safetensors", inputs, outputs)


@pytest.mark.filterwarnings("ignore")
@every_page
def test_equal_to_transformers(peer: Peer, sample: ModuleType, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("transformers")
        pytest.importorskip("torch")
        larger = dataclasses.replace(peer, config={**peer.config, "layers": 3, "width": 24})
        recorded = larger.record(tmp_path, seed=1)
    equal(larger, sample, *recorded)


# -- what the pages claim -------------------------------------------------------------------------


@page("bert")
def test_bert(sample: Any) -> None:
    config = sample.SIZES["tiny"]
    model = sample.Bert(config)
    graph = gx.trace(model, *sample.specs(), domains={"exit_layer": [1]})
    assert set(graph.contexts) == {"training", "pooling", "exit_layer"}
    tokens, mask, types = inputs = sample.batch_of(config, [9, 5])
    plain = gx.compile(graph)(*inputs)
    mean = gx.compile(graph, pooling="mean")(*inputs)["pooled"]
    for i, length in enumerate(mask.sum(axis=1)):
        np.testing.assert_allclose(mean[i], plain["hidden"][i, :length].mean(axis=0), rtol=1e-4)
    early = gx.compile(graph, exit_layer=1)(*inputs)["hidden"]
    first = model.blocks[0](model.embeddings(tokens, types), mask)
    np.testing.assert_array_equal(early, first)
    training = gx.compile(graph, training=True)
    assert not np.array_equal(training(*inputs, seed=1)["hidden"], plain["hidden"])
    with gx.seed(1):
        eager = model(*inputs, training=True)
    np.testing.assert_array_equal(training(*inputs, seed=1)["hidden"], eager["hidden"])


@page("bert")
def test_a_block_of_bert_is_eighteen_nodes(sample: Any) -> None:
    counts = []
    for layers in (1, 2):
        config = dataclasses.replace(sample.SIZES["tiny"], layers=layers)
        program = gx.compile(gx.trace(sample.Bert(config), *sample.specs()))
        counts.append(sum(node.kind == "op" for node in program.graph.nodes))
    assert counts[1] - counts[0] == 18
    assert counts[0] + 11 * 18 <= 231  # BERT-base


@page("gpt2")
def test_gpt2(sample: Any, tmp_path: Path) -> None:
    config = sample.SIZES["tiny"]
    model = sample.GPT2(config)
    graph = gx.trace(model, sample.input_specs)
    assert set(graph.contexts) == {"training", "cache"}
    prefill, decode = (gx.compile(graph, cache=mode) for mode in ("prefill", "decode"))
    prompt = np.random.default_rng(1).integers(0, config.vocabulary, (2, 5))
    written = sample.generate(prefill, decode, prompt, 8)
    scores = gx.compile(graph)(np.concatenate([prompt, written], axis=1))
    np.testing.assert_array_equal(scores[:, 4:-1].argmax(axis=-1), written)
    sessions = []
    for name, program in (("prefill", prefill), ("decode", decode)):
        path = tmp_path / f"{name}.onnx"
        gx.export(program, path, verify=False)
        sessions.append(sample.session(path))
    np.testing.assert_array_equal(sample.generate_served(*sessions, prompt, 8), written)
    # One table is both the embedding and the readout, one counter serves all layers.
    assert sum("tokens" in path for path in model.weights) == 1
    assert [path for path in decode.state if "cache" not in path] == ["gpt2/positions/next"]
    full = np.zeros((2, config.positions), np.int64)
    _, state = prefill.step(full)
    with pytest.raises(gx.InputError, match="gpt2/positions/table: Gather refuses"):
        decode.step(full[:, :1], state=state)


@page("gpt2")
def test_prefill_starts_from_nothing(sample: Any) -> None:
    program = gx.compile(gx.trace(sample.model(), sample.input_specs), cache="prefill")
    assert not any(node.kind == "weight" and "cache" in node.name for node in program.graph.nodes)


@page("vit")
def test_vit(sample: Any, tmp_path: Path) -> None:
    config = sample.SIZES["tiny"]
    model = sample.VisionTransformer(config)
    graph = gx.trace(model, sample.specs(config))
    assert set(graph.contexts) == {"training", "features"}
    images = np.random.default_rng(0).uniform(-1, 1, (3, 32, 32, 3)).astype(np.float32)
    shapes = {"logits": (3, 10), "image": (3, 64), "patches": (3, 4, 4, 64)}
    for features, shape in shapes.items():
        program = gx.compile(graph, features=features)
        found = program(images)
        assert found.shape == shape
        np.testing.assert_array_equal(found, model(images, features=features))
        gx.export(program, tmp_path / f"{features}.onnx", verify=False)
    names = [entry.name for entry in onnx.load(tmp_path / "image.onnx").graph.initializer]
    assert not any("classifier" in name for name in names)


@pytest.mark.parametrize("sample", ["bert", "gpt2", "vit"], indirect=True)
def test_pages_are_short(sample: ModuleType) -> None:
    assert sample.__file__ is not None
    assert len(Path(sample.__file__).read_text().splitlines()) < 200
