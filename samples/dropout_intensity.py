"""Dropout that is off, normal or aggressive, inside blocks that do not know it.

One layer reads three arguments: `dropout_intensity_mode`, `training`, and `monte_carlo`, which
drops elements while predicting, to see how sure the network is (Gal and Ghahramani, "Dropout as a
Bayesian approximation", ICML 2016). The block around it and the model around that mention none.

Run it:                              python samples/dropout_intensity.py
Or look at it from the command line: graphctx contexts samples/dropout_intensity.py
"""

from typing import Literal

import numpy as np
import rich
from rich.table import Table

import graphctx as gx
from graphctx import Context, Layer, nn, ops
from graphctx.demo import accuracy, load_digits, ridge


class TunableDropout(Layer):
    def __init__(self, rate=0.1):
        self.rate = rate

    def call(
        self,
        x,
        *,
        training: Context[bool] = False,
        monte_carlo: Context[bool] = False,
        dropout_intensity_mode: Context[Literal["off", "normal", "aggressive"]] = "normal",
    ):
        if dropout_intensity_mode == "off" or not (training or monte_carlo):
            return x
        return ops.dropout(x, self.rate * {"normal": 1, "aggressive": 2.5}[dropout_intensity_mode])


class Block(Layer):
    def __init__(self, units):
        self.dense = nn.Dense(units, activation="relu", kernel_initializer="he_normal")
        self.dropout = TunableDropout()

    def call(self, x):
        return self.dropout(self.dense(x))


features = nn.Sequential([Block(256), Block(256)], name="features")
model = nn.Sequential([features, nn.Dense(10)], name="digit_net")
input_specs = gx.TensorSpec(("batch", 64), name="pixels")


def fit(pixels, labels, runs=4):
    """Random features; the readout solves least squares on runs with dropout. Returns the graph."""
    with gx.seed(0):
        graph = gx.trace(model, input_specs)  # builds the weights, too
        dropped = features(np.tile(pixels, (runs, 1)), training=True)
    kernel, bias = ridge(dropped, np.tile(labels, runs), penalty=0.01)
    model.layers[-1].kernel.assign(kernel)
    model.layers[-1].bias.assign(bias)
    return graph


def votes(program, pixels, runs=30):
    """The digit that most of the runs see, and the share of the runs that see it."""
    seen = np.stack([program(pixels, seed=seed).argmax(axis=-1) for seed in range(runs)])
    shares = np.stack([(seen == digit).mean(axis=0) for digit in range(10)], axis=-1)
    return shares.argmax(axis=-1), shares.max(axis=-1)


def main():
    digits = load_digits()
    pixels, labels = digits.test_images.reshape(-1, 64), digits.test_labels
    graph = fit(digits.train_images.reshape(-1, 64), digits.train_labels)

    print(graph.classes(), end="\n\n")  # which assignments are one program
    table = Table("ONNX file", "nodes", "onnxruntime differs by", "one run reads right")
    for number, found in enumerate(graph.classes()):
        program = found.compile(graph)
        exported = gx.export(program, f"dropout_{number}.onnx")  # verified before it appears
        right = f"{accuracy(program(pixels, seed=0), labels):.1%}"
        largest = f"{exported.report.largest:.0e}"
        table.add_row(exported.path.name, f"{exported.nodes}", largest, right)
    rich.print(table)

    path = "digit_net/features/block_1/dropout"
    for given in ({}, {"dropout_intensity_mode": "aggressive"}):
        print(gx.explain(graph, path, "dropout_intensity_mode", given))

    digit, share = votes(gx.compile(graph, monte_carlo=True), pixels)
    right, sure = digit == labels, share >= 0.9
    print(f"\n30 runs with Monte Carlo dropout vote: {right.mean():.1%} of the digits are right;")
    print(f"  where 27 or more agree ({sure.mean():.0%} of the images): {right[sure].mean():.1%}")
    print(f"  on the other images: {right[~sure].mean():.1%}")


if __name__ == "__main__":
    main()
