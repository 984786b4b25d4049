"""Noise whose strength is turned while a program runs: one trace, one program, any scale.

`noise_injection_scale` is left open when the program is compiled, and so is a keyword of it.

Run it:                              python samples/noise_injection.py
Or look at it from the command line: graphctx trace samples/noise_injection.py
"""

import numpy as np
import rich
from rich.table import Table

import graphctx as gx
from graphctx import Context, Layer, nn, ops
from graphctx.demo import accuracy, load_digits, ridge


class NoiseInjection(Layer):
    runs = 0  # of the Python below, in eager calls and traces; programs do not need it

    def call(self, x, *, noise_injection_scale: Context[float] = 0.0):
        NoiseInjection.runs += 1
        if noise_injection_scale > 0:  # a question about a number: both answers are traced
            x = x + noise_injection_scale * ops.random_normal(x.shape)
        return x


class Block(Layer):
    def __init__(self, units):
        self.noise = NoiseInjection()
        self.dense = nn.Dense(units, activation="relu", kernel_initializer="he_normal")

    def call(self, x):
        return self.dense(self.noise(x))


features = nn.Sequential([Block(256), Block(256)], name="features")
model = nn.Sequential([features, nn.Dense(10)], name="digit_net")
input_specs = gx.TensorSpec(("batch", 64), name="pixels")


def fit(pixels, labels):
    """Random features, and a readout that solves least squares. Returns the graph."""
    with gx.seed(0):
        graph = gx.trace(model, input_specs)  # builds the weights, too
    kernel, bias = ridge(features(pixels), labels, penalty=0.01)
    model.layers[-1].kernel.assign(kernel)
    model.layers[-1].bias.assign(bias)
    return graph


def largest_scale(program, pixels, labels, *, right):
    """The largest scale at which this share of the digits is read right, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(10):
        middle = (low + high) / 2
        scores = program(pixels, seed=0, noise_injection_scale=middle)
        low, high = (middle, high) if accuracy(scores, labels) >= right else (low, middle)
    return low


def main():
    digits = load_digits()
    pixels, labels = digits.test_images.reshape(-1, 64), digits.test_labels
    graph = fit(digits.train_images.reshape(-1, 64), digits.train_labels)
    program = gx.compile(graph, runtime=["noise_injection_scale"])
    print(program)
    runs = NoiseInjection.runs

    clean = program(pixels, seed=0)  # at the default, 0
    table = Table("noise_injection_scale", "scores differ by (rms)", "digits read right")
    for scale in (0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5):
        scores = program(pixels, seed=0, noise_injection_scale=scale)
        deviation = np.sqrt(np.mean((scores - clean) ** 2))
        table.add_row(f"{scale}", f"{deviation:.3f}", f"{accuracy(scores, labels):.1%}")
    rich.print(table)

    # Each scale of the bisection follows from the run before: none can be compiled ahead.
    scale = largest_scale(program, pixels, labels, right=0.9)
    print(f"90% of the digits are read right up to a scale of {scale:.3f}")
    print(f"Python ran `call` {runs} times until then, {NoiseInjection.runs - runs} times since")

    bound = gx.compile(graph, noise_injection_scale=0.1)
    turned = program(pixels, seed=7, noise_injection_scale=0.1)
    print(f"equal to a program compiled for 0.1: {np.array_equal(bound(pixels, seed=7), turned)}")
    exported = gx.export(graph, "quiet.onnx", context={"noise_injection_scale": 0})
    print(f"{exported.path}, for the scale 0: {exported.nodes} nodes, none of them for noise")


if __name__ == "__main__":
    main()
