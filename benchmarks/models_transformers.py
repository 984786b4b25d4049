"""BERT-base and GPT-2 small, of `samples/`: against torch, onnxruntime, and torch's own export.

Weights are random, and the same for all; every contender has one thread. The peers are the models
of Hugging Face's transformers. Files are written to memory (`/dev/shm`) where that is possible.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator

import graphctx as gx
from benchmarks.timing import side_by_side
from graphctx import ops
from graphctx.nn.attention_parts import DotProduct
from samples import bert, gpt2

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
LENGTHS = [128, 128]
PROMPT = 128
THREADS = 1
NOISE = 1.05  # what two equal files may differ by
Row = dict[str, Any]


def session(path: Path) -> onnxruntime.InferenceSession:
    """An onnxruntime session with one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what torch prints and warns of."""
    nowhere = io.StringIO()
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def row(what: str, ours: float, peer: str, theirs: float, target: float | None) -> Row:
    """A row of milliseconds."""
    return {
        "what": what, "ours": f"{1e3 * ours:.1f} ms", "peer": f"{peer} {1e3 * theirs:.1f} ms",
        "ratio": ours / theirs, "target": target,
    }  # fmt: skip


def best(function: Callable[[], Any], runs: int = 5) -> float:
    """Shortest wall time of a few runs: for what takes long, and the machine is shared."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


# -- BERT-base ------------------------------------------------------------------------------------


def by_products(
    self: DotProduct, query: Any, key: Any, value: Any, mask: Any, **options: Any
) -> Any:
    """Attention in the form without ONNX's operator, as torch exports it."""
    heads = (0, 0, self.num_heads, -1)
    q, k, v = (ops.reshape(x, (x.shape[0], x.shape[1], *heads[2:])) for x in (query, key, value))
    scores = ops.permute_dims(q, (0, 2, 1, 3)) @ ops.permute_dims(k, (0, 2, 3, 1))
    scores = scores * self.size**-0.5 + ops.where(mask, 0.0, -3.4e38)
    y = ops.permute_dims(ops.softmax(scores) @ ops.permute_dims(v, (0, 2, 1, 3)), (0, 2, 1, 3))
    return ops.reshape(y, (query.shape[0], query.shape[1], -1))


def bert_rows(folder: Path) -> list[Row]:
    """Latency, export, and what all contexts cost."""
    import torch
    from transformers import BertConfig, BertModel

    config = bert.SIZES["base"]
    peer = BertModel(BertConfig()).eval()
    peer.save_pretrained(folder / "hugging_face")
    model = bert.Bert(config)
    graph = gx.trace(model, *bert.specs())
    model.load_weights(folder / "hugging_face" / "model.safetensors", bert.WEIGHT_NAMES)

    one: dict[str, Any] = {"training": False, "pooling": "first", "exit_layer": 0}

    def convert() -> None:
        alone = gx.trace(model, *bert.specs(), **one)
        gx.export(gx.compile(alone), folder / "bert.onnx", verify=False)

    written = best(convert)
    raw = np.zeros((folder / "bert.onnx.data").stat().st_size, np.uint8)
    alone = best(lambda: (folder / "raw").write_bytes(raw.data))
    (folder / "raw").unlink()
    rows = [
        {
            "what": "BERT-base, one context: trace, specialize, export without verification",
            "ours": f"{written:.2f} s",
            "peer": f"limit 0.5 s (to write {raw.size / 1e6:.0f} MB alone {alone:.2f} s)",
            "ratio": written / 0.5, "target": 1.0,
        }
    ]  # fmt: skip
    traced_one = best(lambda: gx.trace(model, *bert.specs(), **one))
    traced_all = best(lambda: gx.trace(model, *bert.specs()))
    compiled = best(lambda: gx.compile(graph))
    what = "BERT-base, training x pooling: trace of all contexts"
    rows += [
        row(what, traced_all, "of one", traced_one, None),
        row(f"{what}, one program", traced_all + compiled, "of one", traced_one + compiled, 1.5),
    ]

    program = gx.compile(graph)
    inputs = bert.batch_of(config, LENGTHS)
    tokens, mask, types = (torch.from_numpy(x) for x in inputs)

    def run_torch() -> Any:
        with torch.no_grad():
            return peer(input_ids=tokens, attention_mask=mask.long(), token_type_ids=types)

    expected = run_torch().last_hidden_state.numpy()
    np.testing.assert_allclose(program(*inputs)["hidden"], expected, rtol=1e-3, atol=1e-4)
    feeds = dict(zip(("tokens", "mask", "types"), inputs, strict=True))
    served = session(folder / "bert.onnx")
    with mock.patch.object(DotProduct, "attend", by_products):
        products = gx.compile(gx.trace(model, *bert.specs(), **one))
    gx.export(products, folder / "products.onnx", verify=False)
    by_hand = session(folder / "products.onnx")
    with quiet():
        exported = torch.onnx.export(
            peer, (tokens, mask.long(), types), dynamo=True, optimize=True,
            input_names=["tokens", "mask", "types"],
            dynamic_shapes=({0: "batch", 1: "length"},) * 3,
        )  # fmt: skip
        exported.save(folder / "torch.onnx", external_data=True)
    of_torch = session(folder / "torch.onnx")
    names = [entry.name for entry in of_torch.get_inputs()]
    torch_feeds = dict(zip(names, (inputs[0], inputs[1].astype(np.int64), inputs[2]), strict=True))
    for runs, given in ((served, feeds), (by_hand, feeds), (of_torch, torch_feeds)):
        np.testing.assert_allclose(runs.run(None, given)[0], expected, rtol=1e-3, atol=1e-4)
    found = side_by_side(
        {
            "ours": lambda: program(*inputs),
            "torch": run_torch,
            "onnxruntime": lambda: served.run(["hidden"], feeds),
            "products": lambda: by_hand.run(["hidden"], feeds),
            "torch's file": lambda: of_torch.run(None, torch_feeds),
        },
        rounds=9,
    )
    evaluator = ReferenceEvaluator(onnx.load(folder / "bert.onnx"))
    reference = best(lambda: evaluator.run(None, feeds), runs=1)
    size = f"BERT-base, {len(LENGTHS)}x{LENGTHS[0]}"
    nodes = len(onnx.load(folder / "bert.onnx", load_external_data=False).graph.node)
    theirs = onnx.load(folder / "torch.onnx", load_external_data=False)
    peers = len(theirs.graph.node)
    return [
        *rows,
        row(size, found["ours"], "torch eager", found["torch"], 1.3),
        row(size, found["ours"], "onnxruntime", found["onnxruntime"], None),
        row(size, found["ours"], "ReferenceEvaluator, one run", reference, None),
        row(f"{size}, our file in onnxruntime", found["onnxruntime"], "torch's file",
            found["torch's file"], NOISE),
        row(f"{size}, our file in onnxruntime", found["onnxruntime"],
            "with products instead of Attention", found["products"], NOISE),
        {
            "what": "BERT-base, nodes of the file", "ours": str(nodes),
            "peer": f"torch.onnx, dynamo, optimized: {peers}", "ratio": nodes / peers,
            "target": 1.0,
        },
    ]  # fmt: skip


# -- GPT-2 small ----------------------------------------------------------------------------------


def gpt2_rows(folder: Path) -> list[Row]:
    """A step of decoding behind a prompt."""
    import torch
    from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel

    config = gpt2.SIZES["small"]
    peer = GPT2LMHeadModel(GPT2Config()).eval()
    peer.save_pretrained(folder / "hugging_face")
    model = gpt2.GPT2(config)
    graph = gx.trace(model, gx.TensorSpec((config.batch, "length"), "int64", name="tokens"))
    file = folder / "hugging_face" / "model.safetensors"
    model.load_weights(file, gpt2.WEIGHT_NAMES, layout="keras", ignore=["lm_head.weight"])
    prefill, decode = (gx.compile(graph, cache=mode) for mode in ("prefill", "decode"))
    prompt = np.random.default_rng(0).integers(0, config.vocabulary, (1, PROMPT))
    token = prompt[:, :1]
    _, state = prefill.step(prompt)

    gx.export(decode, folder / "decode.onnx", verify=False)
    served = session(folder / "decode.onnx")
    names = [entry.name for entry in served.get_outputs()]
    feeds = {"tokens": token, **state}
    binding = served.io_binding()
    binding.bind_cpu_input("tokens", token)
    binding.bind_output("output")
    for name in names[1:]:
        array = state[name.removesuffix(":new")]
        value = onnxruntime.OrtValue.ortvalue_from_numpy(array.copy())
        binding.bind_ortvalue_input(name.removesuffix(":new"), value)
        if name == f"{gpt2.COUNTER}:new":
            binding.bind_output(name)
        else:
            binding.bind_ortvalue_output(name, value)

    with torch.no_grad():
        cache = DynamicCache()
        peer(torch.from_numpy(prompt), past_key_values=cache)

    def run_torch() -> Any:
        with torch.no_grad():
            scores = peer(torch.from_numpy(token), past_key_values=cache).logits
        cache.crop(-1)
        return scores.numpy()

    expected, _ = decode.step(token, state=state)
    np.testing.assert_allclose(expected, run_torch(), rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(served.run(["output"], feeds)[0], expected, rtol=1e-2, atol=1e-3)
    found = side_by_side(
        {
            "ours": lambda: decode.step(token, state=state),
            "torch": run_torch,
            "onnxruntime": lambda: served.run(names, feeds),
            "bound": lambda: served.run_with_iobinding(binding),
        },
        rounds=15,
    )
    what = f"GPT-2 small, one token behind {PROMPT}, cache of {config.positions}"
    return [
        row(what, found["ours"], "torch eager", found["torch"], None),
        row(what, found["ours"], "onnxruntime", found["onnxruntime"], None),
        row(what, found["ours"], "onnxruntime, cache bound in place", found["bound"], None),
    ]


def run() -> list[Row]:
    """Rows: see the module."""
    import torch

    torch.set_num_threads(THREADS)
    rows = []
    for measure in (bert_rows, gpt2_rows):
        with tempfile.TemporaryDirectory(dir=MEMORY) as folder, quiet():
            rows += measure(Path(folder))
    return rows
