"""BERT: an encoder of text, with dropout, pooling and depth as context arguments.

Devlin et al., "BERT: pre-training of deep bidirectional transformers for language understanding"
(2019). `training` reaches 25 layers with dropout, `pooling` one layer at the end; the blocks
between know of neither. `exit_layer` stops the encoder early.

Run it:                              python samples/bert.py
At the size of BERT-base:            python samples/bert.py --size base
With the weights of a checkpoint:    python samples/bert.py --size base --weights model.safetensors
Or look at it from the command line: graphctx contexts samples/bert.py
"""

import argparse
import dataclasses
from typing import Literal

import numpy as np

import graphctx as gx
from graphctx import Context, Layer, nn, ops


@dataclasses.dataclass(frozen=True)
class Config:
    vocabulary: int = 30522
    positions: int = 512
    types: int = 2
    width: int = 768
    layers: int = 12
    heads: int = 12
    hidden: int = 3072
    dropout: float = 0.1
    epsilon: float = 1e-12


SIZES = {
    "tiny": Config(vocabulary=1000, positions=64, width=64, layers=4, heads=4, hidden=256),
    "base": Config(),
    "large": Config(width=1024, layers=24, heads=16, hidden=4096),
}


class Embeddings(Layer):
    """Tokens, their positions and their types, each as a vector, summed."""

    def __init__(self, config):
        self.tokens = nn.Embedding(config.vocabulary, config.width)
        self.positions = nn.Embedding(config.positions, config.width)
        self.types = nn.Embedding(config.types, config.width)
        self.norm = nn.LayerNorm(epsilon=config.epsilon)
        self.dropout = nn.Dropout(config.dropout)

    def call(self, tokens, types):
        x = self.tokens(tokens) + self.types(types) + self.positions(ops.arange(tokens.shape[1]))
        return self.dropout(self.norm(x))


class Block(Layer):
    """Attention, then two dense layers; what goes in is added to what comes out of each."""

    def __init__(self, config):
        self.attention = nn.MultiHeadAttention(
            config.heads, config.width // config.heads, dropout=config.dropout
        )
        self.attention_norm = nn.LayerNorm(epsilon=config.epsilon)
        self.wide = nn.Dense(config.hidden, activation="gelu")
        self.narrow = nn.Dense(config.width)
        self.norm = nn.LayerNorm(epsilon=config.epsilon)
        self.dropout = nn.Dropout(config.dropout)

    def call(self, x, mask):
        attended = self.attention(x, x, value_mask=mask)
        x = self.attention_norm(self.dropout(attended) + x)
        return self.norm(self.dropout(self.narrow(self.wide(x))) + x)


class Pooler(Layer):
    """One vector for each text: of its first token, through a dense layer, or the mean of all."""

    def __init__(self, config):
        self.dense = nn.Dense(config.width, activation="tanh")

    def call(self, x, mask, *, pooling: Context[Literal["first", "mean"]] = "first"):
        if pooling == "first":
            return self.dense(x[:, 0])
        counted = ops.expand_dims(ops.astype(mask, x.dtype), -1)
        return ops.sum(x * counted, axis=1) / ops.sum(counted, axis=1)


class Bert(Layer):
    def __init__(self, config):
        self.embeddings = Embeddings(config)
        self.blocks = [Block(config) for _ in range(config.layers)]
        self.pooler = Pooler(config)

    def call(self, tokens, mask, types, *, exit_layer: Context[int] = 0):
        """Tokens and types int64[batch, length]; the mask bool[batch, length], false for padding.

        After as many blocks as `exit_layer` says, or all for 0, the encoder stops.
        """
        x = self.embeddings(tokens, types)
        for block in self.blocks[: int(exit_layer) or None]:
            x = block(x, mask)
        return {"hidden": x, "pooled": self.pooler(x, mask)}


WEIGHT_NAMES = [
    ("embeddings/tokens", "embeddings.word_embeddings"),
    ("embeddings/positions", "embeddings.position_embeddings"),
    ("embeddings/types", "embeddings.token_type_embeddings"),
    ("embeddings/norm", "embeddings.LayerNorm"),
    (r"blocks_(\d+)/attention/(query|key|value)", r"encoder.layer.\1.attention.self.\2"),
    (r"blocks_(\d+)/attention/attention_output", r"encoder.layer.\1.attention.output.dense"),
    (r"blocks_(\d+)/attention_norm", r"encoder.layer.\1.attention.output.LayerNorm"),
    (r"blocks_(\d+)/wide", r"encoder.layer.\1.intermediate.dense"),
    (r"blocks_(\d+)/narrow", r"encoder.layer.\1.output.dense"),
    (r"blocks_(\d+)/norm", r"encoder.layer.\1.output.LayerNorm"),
]
"""Where the weights are in a file that Hugging Face's `BertModel` wrote."""


def specs(batch="batch", length="length"):
    """What the model is called with."""
    shape = (batch, length)
    return (
        gx.TensorSpec(shape, "int64", name="tokens"),
        gx.TensorSpec(shape, "bool", name="mask"),
        gx.TensorSpec(shape, "int64", name="types"),
    )


def batch_of(config, lengths, seed=0):
    """Tokens, mask and types of texts of these lengths, which begin with one token for all."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(2, config.vocabulary, (len(lengths), max(lengths)))
    tokens[:, 0] = 1
    mask = np.arange(max(lengths)) < np.array(lengths)[:, None]
    return np.where(mask, tokens, 0), mask, np.zeros_like(tokens)


def model():
    """A small one; the command line calls this."""
    return Bert(SIZES["tiny"])


input_specs = specs()


def main(size="tiny", weights=None):
    config = SIZES[size]
    bert = Bert(config)
    early = config.layers // 2
    with gx.seed(0):
        graph = gx.trace(bert, *specs(), domains={"exit_layer": [early]})
    print(graph.contexts)
    if weights is not None:
        print(bert.load_weights(weights, WEIGHT_NAMES))

    inputs = batch_of(config, [9, 5])
    program = gx.compile(graph)
    found = program(*inputs)
    print(f"\none text as a vector:      {found['pooled'].shape[-1]} numbers")
    alone = [x[1:, :5] for x in inputs]
    difference = np.abs(program(*alone)["pooled"] - found["pooled"][1]).max()
    print(f"padding changes it by:     {difference:.0e}")
    mean = gx.compile(graph, pooling="mean")(*inputs)["pooled"]
    print(f"the mean of its tokens:    {np.corrcoef(mean[0], found['pooled'][0])[0, 1]:+.2f}, "
          f"correlated with it")  # fmt: skip
    training = gx.compile(graph, training=True)
    draws = np.stack([training(*inputs, seed=seed)["pooled"] for seed in range(4)])
    print(f"under dropout, it varies:  {draws.std(axis=0).mean():.2f}")

    for name, given in (("bert", {}), ("bert_early", {"exit_layer": early, "pooling": "mean"})):
        chosen = gx.compile(graph, given)
        exported = gx.export(chosen, f"{name}.onnx", sizes={"batch": [2], "length": [7]})
        print(f"\n{exported.path}: {exported.nodes} nodes, {exported.size / 1e6:.1f} MB, equal in "
              f"onnxruntime to {exported.report.largest:.0e}")  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="BERT, traced, run and exported.")
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--weights", help="a safetensors file of Hugging Face's BertModel")
    main(**vars(parser.parse_args()))
