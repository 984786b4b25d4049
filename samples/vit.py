"""ViT: images as sequences of patches, and what to take of them as a context argument.

Dosovitskiy et al., "An image is worth 16x16 words: transformers for image recognition at scale"
(2021). `features` chooses at the very end: the logits, the token that stands for the image, or all
patches as a map; of what a program does not return, nothing is left in it.

Run it:                              python samples/vit.py
At the size of ViT-B/16:             python samples/vit.py --size base
With the weights of a checkpoint:    python samples/vit.py --size base --weights model.safetensors
Or look at it from the command line: graphctx contexts samples/vit.py
"""

import argparse
import dataclasses
from typing import Literal

import numpy as np

import graphctx as gx
from graphctx import Context, Layer, nn, ops


@dataclasses.dataclass(frozen=True)
class Config:
    image: int = 224
    patch: int = 16
    width: int = 768
    layers: int = 12
    heads: int = 12
    classes: int = 1000
    dropout: float = 0.0
    epsilon: float = 1e-12

    @property
    def side(self):
        """Patches along each side of the image."""
        return self.image // self.patch


SIZES = {
    "tiny": Config(image=32, patch=8, width=64, layers=4, heads=4, classes=10, dropout=0.1),
    "base": Config(),
    "large": Config(width=1024, layers=24, heads=16),
}


class Patches(Layer):
    """Images [batch, height, width, 3] as tokens: one for the image, then one for each patch."""

    def __init__(self, config):
        self.config = config
        self.projection = nn.Conv2D(config.width, config.patch, strides=config.patch)
        self.dropout = nn.Dropout(config.dropout)

    def build(self, input_shape):
        width = self.config.width
        self.class_token = self.add_weight((1, 1, width), "zeros", name="class_token")
        self.positions = self.add_weight(
            (1, self.config.side**2 + 1, width), "truncated_normal", name="positions"
        )

    def call(self, images):
        patches = ops.reshape(self.projection(images), (images.shape[0], -1, self.config.width))
        first = ops.broadcast_to(self.class_token, (images.shape[0], 1, self.config.width))
        return self.dropout(ops.concat([first, patches], axis=1) + self.positions)


class Block(Layer):
    """Attention and two dense layers, each added to what goes in."""

    def __init__(self, config):
        self.attention_norm = nn.LayerNorm(epsilon=config.epsilon)
        self.attention = nn.MultiHeadAttention(
            config.heads, config.width // config.heads, dropout=config.dropout
        )
        self.norm = nn.LayerNorm(epsilon=config.epsilon)
        self.wide = nn.Dense(4 * config.width, activation="gelu")
        self.narrow = nn.Dense(config.width)
        self.dropout = nn.Dropout(config.dropout)

    def call(self, x):
        y = self.attention_norm(x)
        x = x + self.dropout(self.attention(y, y))
        return x + self.dropout(self.narrow(self.wide(self.norm(x))))


class Head(Layer):
    """What the caller wants to know of an image."""

    def __init__(self, config):
        self.side = config.side
        self.classifier = nn.Dense(config.classes)

    def call(self, x, *, features: Context[Literal["logits", "image", "patches"]] = "logits"):
        if features == "patches":
            return ops.reshape(x[:, 1:], (x.shape[0], self.side, self.side, -1))
        return x[:, 0] if features == "image" else self.classifier(x[:, 0])


class VisionTransformer(Layer):
    def __init__(self, config):
        self.patches = Patches(config)
        self.blocks = [Block(config) for _ in range(config.layers)]
        self.norm = nn.LayerNorm(epsilon=config.epsilon)
        self.head = Head(config)

    def call(self, images):
        x = self.patches(images)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


WEIGHT_NAMES = [
    ("patches/projection", "vit.embeddings.patch_embeddings.projection"),
    ("patches/class_token", "vit.embeddings.cls_token"),
    ("patches/positions", "vit.embeddings.position_embeddings"),
    (r"blocks_(\d+)/attention/(query|key|value)", r"vit.encoder.layer.\1.attention.attention.\2"),
    (r"blocks_(\d+)/attention/attention_output", r"vit.encoder.layer.\1.attention.output.dense"),
    (r"blocks_(\d+)/attention_norm", r"vit.encoder.layer.\1.layernorm_before"),
    (r"blocks_(\d+)/norm", r"vit.encoder.layer.\1.layernorm_after"),
    (r"blocks_(\d+)/wide", r"vit.encoder.layer.\1.intermediate.dense"),
    (r"blocks_(\d+)/narrow", r"vit.encoder.layer.\1.output.dense"),
    ("norm", "vit.layernorm"),
    ("head/classifier", "classifier"),
]
"""Where the weights are in a file that Hugging Face's `ViTForImageClassification` wrote."""


def specs(config, batch="batch"):
    """What the model is called with."""
    return gx.TensorSpec((batch, config.image, config.image, 3), name="images")


def model():
    """A small one; the command line calls this."""
    return VisionTransformer(SIZES["tiny"])


input_specs = specs(SIZES["tiny"])


def main(size="tiny", weights=None):
    config = SIZES[size]
    vit = VisionTransformer(config)
    with gx.seed(0):
        graph = gx.trace(vit, specs(config))
    print(graph.contexts)
    if weights is not None:
        print(vit.load_weights(weights, WEIGHT_NAMES))

    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (2, config.image, config.image, 3)).astype(np.float32)
    for features in ("logits", "image", "patches"):
        program = gx.compile(graph, features=features)
        found = program(images)
        exported = gx.export(program, f"vit_{features}.onnx", sizes={"batch": [2]})
        print(f"\n{features}: {list(found.shape)}\n{exported.path}: {exported.nodes} nodes, "
              f"{exported.size / 1e6:.1f} MB, equal in onnxruntime to "
              f"{exported.report.largest:.0e}")  # fmt: skip

    patches = gx.compile(graph, features="patches")(images)
    shifted = gx.compile(graph, features="patches")(np.roll(images, config.patch, axis=2))
    print(f"\na patch that moves: {np.abs(shifted[:, :, 1:] - patches[:, :, :-1]).mean():.2f} "
          f"of {np.abs(patches).mean():.2f} differ, as positions count")  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="ViT, traced, run and exported.")
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--weights", help="a safetensors file of ViTForImageClassification")
    main(**vars(parser.parse_args()))
