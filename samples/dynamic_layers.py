"""Layer drop and early exit: layers that a context leaves out are not in its program at all.

A small stem scores each digit, and up to six blocks correct the scores. `active_layers` says how
many of them do, evenly spread (layer drop); `exit_at="early"` returns what the stem says.

Run it:                              python samples/dynamic_layers.py
Or look at it from the command line: graphctx summary samples/dynamic_layers.py -c active_layers=2
"""

from typing import Literal

import numpy as np
import rich
from rich.table import Table

import graphctx as gx
from graphctx import Context, Layer, nn
from graphctx.demo import accuracy, load_digits


class DynamicNet(Layer):
    def __init__(self):
        self.stem = self.two_layers(32)
        self.blocks = [self.two_layers(128) for _ in range(6)]

    @staticmethod
    def two_layers(units):
        hidden = nn.Dense(units, activation="relu", kernel_initializer="he_normal")
        return nn.Sequential([hidden, nn.Dense(10)])

    def call(
        self,
        pixels,
        *,
        active_layers: Context[Literal[2, 4, 6]] = 6,
        exit_at: Context[Literal["early", "end"]] = "end",
    ):
        scores = self.stem(pixels)
        if exit_at == "early":
            return scores
        for i in range(active_layers):
            scores = scores + self.blocks[6 * i // active_layers](pixels)
        return scores


model = DynamicNet()
input_specs = gx.TensorSpec(("batch", 64), name="pixels")


def fit(pixels, labels):
    """Random hidden layers; each readout solves least squares for what is still wrong."""
    with gx.seed(0):
        graph = gx.trace(model, input_specs)  # builds the weights, too
    missing = np.eye(10)[labels]
    for block in [model.stem, *model.blocks]:
        hidden, readout = block.layers
        columns = np.c_[hidden(pixels), np.ones(len(pixels))]
        solution = np.linalg.lstsq(columns, missing)[0]
        readout.kernel.assign(solution[:-1])
        readout.bias.assign(solution[-1])
        missing = missing - block(pixels)
    return graph


def cascade(early, end, pixels, margin=0.3):
    """The early scores where the best digit leads by a margin, else the final ones; and where."""
    scores = early(pixels)
    second, first = np.sort(scores, axis=-1)[:, -2:].T
    unsure = first - second < margin
    scores[unsure] = end(pixels[unsure])
    return scores, unsure


def multiply_adds(program):
    """For one image."""
    return program.summary().multiply_adds.evaluate({"batch": 1})


def main():
    digits = load_digits()
    pixels, labels = digits.test_images.reshape(-1, 64), digits.test_labels
    graph = fit(digits.train_images.reshape(-1, 64), digits.train_labels)

    table = Table("compiled for", "ONNX nodes", "parameters", "multiply-adds", "reads right")
    for context in ({"exit_at": "early"}, *({"active_layers": count} for count in (2, 4, 6))):
        [(name, value)] = context.items()
        program = gx.compile(graph, context)
        exported = gx.export(program, f"{name}_{value}.onnx")
        parameters, cost = program.summary().parameters, multiply_adds(program)
        right = f"{accuracy(program(pixels), labels):.1%}"
        row = [f"{name}={value}", str(exported.nodes), f"{parameters:,}", f"{cost:,}", right]
        table.add_row(*row)
    rich.print(table)

    early, end = gx.compile(graph, exit_at="early"), gx.compile(graph)
    scores, unsure = cascade(early, end, pixels)
    cost = multiply_adds(early) + unsure.mean() * multiply_adds(end)
    print(f"Only the {unsure.mean():.0%} of which the early exit is unsure go to the end: ", end="")
    print(f"{accuracy(scores, labels):.1%} right for {cost:,.0f} multiply-adds an image")


if __name__ == "__main__":
    main()
