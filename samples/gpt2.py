"""GPT-2: one model that reads a prompt, and then writes token by token, by its context.

Radford et al., "Language models are unsupervised multitask learners" (2019). `cache` is read deep
inside: with "prefill" the model reads a prompt and keeps keys and values, with "decode" it adds a
token to them, "off" is the plain model. Two programs of one trace write text, and the same text in
NumPy and in onnxruntime.

Run it:                              python samples/gpt2.py
At the size of GPT-2 small:          python samples/gpt2.py --size small
With the weights of a checkpoint:    python samples/gpt2.py --size small --weights model.safetensors
Or look at it from the command line: graphctx contexts samples/gpt2.py
"""

import argparse
import dataclasses
from functools import partial
from typing import Literal

import numpy as np
from onnxruntime import InferenceSession, OrtValue, SessionOptions

import graphctx as gx
from graphctx import Context, Layer, nn, ops
from graphctx.weights import keep, part


@dataclasses.dataclass(frozen=True)
class Config:
    vocabulary: int = 50257
    positions: int = 1024
    width: int = 768
    layers: int = 12
    heads: int = 12
    dropout: float = 0.1
    batch: int = 1  # of the cache


SIZES = {
    "tiny": Config(vocabulary=500, positions=64, width=64, layers=3, heads=4, batch=2),
    "small": Config(),
}


class Positions(Layer):
    """A vector for each position, and how many tokens came before, which counts while decoding."""

    def __init__(self, config):
        self.table = nn.Embedding(config.positions, config.width)
        self.next = gx.Variable(np.zeros(config.batch, np.int64), trainable=False)

    def call(self, tokens, *, cache: Context[Literal["off", "prefill", "decode"]] = "off"):
        length = tokens.shape[1]
        start = self.next.value if cache == "decode" else np.zeros(self.next.shape, np.int64)
        if cache != "off":
            self.next.assign(ops.add(start, length))
        return self.table(ops.expand_dims(start, 1) + ops.arange(length)), start


class Block(Layer):
    """Attention and two dense layers, each added to what goes in."""

    def __init__(self, config):
        self.attention_norm = nn.LayerNorm(epsilon=1e-5)
        self.attention = nn.MultiHeadAttention(
            config.heads, config.width // config.heads, dropout=config.dropout,
            cache_length=config.positions,
        )  # fmt: skip
        self.norm = nn.LayerNorm(epsilon=1e-5)
        self.wide = nn.Dense(4 * config.width, activation=partial(ops.gelu, approximate="tanh"))
        self.narrow = nn.Dense(config.width)
        self.dropout = nn.Dropout(config.dropout)

    def call(self, x, start):
        y = self.attention_norm(x)
        x = x + self.dropout(self.attention(y, y, use_causal_mask=True, cache_position=start))
        return x + self.dropout(self.narrow(self.wide(self.norm(x))))


class GPT2(Layer):
    """Tokens int64[batch, length] to the scores of the next token, [batch, length, vocabulary]."""

    def __init__(self, config):
        self.tokens = nn.ReversibleEmbedding(config.vocabulary, config.width)
        self.positions = Positions(config)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = [Block(config) for _ in range(config.layers)]
        self.norm = nn.LayerNorm(epsilon=1e-5)

    def call(self, tokens, *, cache: Context[Literal["off", "prefill", "decode"]] = "off"):
        positions, start = self.positions(tokens)
        x = self.dropout(self.tokens(tokens) + positions)
        for block in self.blocks:
            x = block(x, start)
        if cache != "off":
            x = x[:, -1:]  # only the last token is followed by one that is not known
        return self.tokens(self.norm(x), reverse=True)


C_ATTN = r"transformer.h.\1.attn.c_attn"
WEIGHT_NAMES = [
    ("tokens", "transformer.wte"),
    ("positions/table", "transformer.wpe"),
    (r"blocks_(\d+)/attention/query", (C_ATTN, part(0, 3, axis=-1))),
    (r"blocks_(\d+)/attention/key", (C_ATTN, part(1, 3, axis=-1))),
    (r"blocks_(\d+)/attention/value", (C_ATTN, part(2, 3, axis=-1))),
    (r"blocks_(\d+)/attention/attention_output", r"transformer.h.\1.attn.c_proj"),
    (r"blocks_(\d+)/attention_norm", r"transformer.h.\1.ln_1"),
    (r"blocks_(\d+)/norm", r"transformer.h.\1.ln_2"),
    (r"blocks_(\d+)/wide", r"transformer.h.\1.mlp.c_fc"),
    (r"blocks_(\d+)/narrow", r"transformer.h.\1.mlp.c_proj"),
    ("norm", "transformer.ln_f"),
    ("positions/next", keep),
]
"""Where the weights are in a file that Hugging Face's `GPT2LMHeadModel` wrote."""

COUNTER = "gpt2/positions/next"


def generate(prefill, decode, prompt, count):
    """Continue prompts int64[batch, length] by the likeliest tokens, with two programs."""
    scores, state = prefill.step(prompt)
    tokens = [scores[:, -1].argmax(axis=-1)]
    while len(tokens) < count:
        scores, state = decode.step(tokens[-1][:, None], state=state)
        tokens.append(scores[:, -1].argmax(axis=-1))
    return np.stack(tokens, axis=1)


def generate_served(prefill, decode, prompt, count):
    """The same with two onnxruntime sessions: state goes from `<path>:new` to `<path>`.

    Keys and values are bound once, and written in place: no step copies the cache.
    """
    names = [output.name for output in prefill.get_outputs()]
    found = dict(zip(names, prefill.run(names, {"tokens": prompt}), strict=True))
    scores, start = found.pop("output"), found.pop(f"{COUNTER}:new")
    binding = decode.io_binding()
    binding.bind_output("output")
    binding.bind_output(f"{COUNTER}:new")
    for name, array in found.items():
        value = OrtValue.ortvalue_from_numpy(array)
        binding.bind_ortvalue_input(name.removesuffix(":new"), value)
        binding.bind_ortvalue_output(name, value)
    tokens = [scores[:, -1].argmax(axis=-1)]
    while len(tokens) < count:
        binding.bind_cpu_input("tokens", tokens[-1][:, None])
        binding.bind_ortvalue_input(COUNTER, OrtValue.ortvalue_from_numpy(start))
        decode.run_with_iobinding(binding)
        scores, start = (np.array(value.numpy()) for value in binding.get_outputs()[:2])
        tokens.append(scores[:, -1].argmax(axis=-1))
    return np.stack(tokens, axis=1)


def session(path):
    """An onnxruntime session."""
    options = SessionOptions()
    options.log_severity_level = 3  # it notes that inputs with defaults are not folded
    return InferenceSession(path, options, providers=["CPUExecutionProvider"])


def model():
    """A small one; the command line calls this."""
    return GPT2(SIZES["tiny"])


input_specs = gx.TensorSpec((SIZES["tiny"].batch, "length"), "int64", name="tokens")


def main(size="tiny", weights=None):
    config = SIZES[size]
    gpt2 = GPT2(config)
    with gx.seed(0):
        graph = gx.trace(gpt2, gx.TensorSpec((config.batch, "length"), "int64", name="tokens"))
    print(graph.contexts)
    if weights is not None:
        print(gpt2.load_weights(weights, WEIGHT_NAMES, layout="keras", ignore=["lm_head.weight"]))

    modes = {mode: gx.compile(graph, cache=mode) for mode in ("prefill", "decode")}
    prompt = np.random.default_rng(0).integers(0, config.vocabulary, (config.batch, 6))
    written = generate(*modes.values(), prompt, 12)
    print(f"\nNumPy:       {written[0]}")
    scores = gx.compile(graph)(np.concatenate([prompt, written], axis=1))
    print(f"all at once: {scores[0, 5:-1].argmax(axis=-1)}")

    sessions = []
    for mode, program in modes.items():
        exported = gx.export(program, f"gpt2_{mode}.onnx", sizes={"length": [1, 3]})
        sessions.append(session(exported.path))
        print(f"{exported.path}: {exported.nodes} nodes, {exported.size / 1e6:.1f} MB")
    served = generate_served(*sessions, prompt, 12)
    print(f"onnxruntime: {served[0]}")
    assert np.array_equal(written, served)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="GPT-2, traced, run and exported.")
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--weights", help="a safetensors file of Hugging Face's GPT2LMHeadModel")
    main(**vars(parser.parse_args()))
