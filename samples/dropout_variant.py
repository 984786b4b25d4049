"""One dropout layer that is four: standard, spatial, gaussian or alpha, as the context says.

`VersatileDropout` has a layer for each `dropout_variant` and calls the one that is asked for. That
one reads `training`, which nobody passes on to it. A program has the chosen variant and no other.

Run it:                              python samples/dropout_variant.py
Or look at it from the command line: graphctx contexts samples/dropout_variant.py
"""

from typing import Literal

import rich
from rich.table import Table

import graphctx as gx
from graphctx import Context, Layer, nn
from graphctx.demo import load_digits


class VersatileDropout(Layer):
    def __init__(self, rate):
        self.variants = {
            "standard": nn.Dropout(rate),  # elements become 0
            "spatial": nn.SpatialDropout1D(rate),  # whole channels become 0
            "gaussian": nn.GaussianDropout(rate),  # elements are scaled by noise around 1
            "alpha": nn.AlphaDropout(rate),  # mean and variance stay, as SELU wants it
        }

    def call(
        self,
        x,
        *,
        dropout_variant: Context[Literal["standard", "spatial", "gaussian", "alpha"]] = "standard",
    ):
        return self.variants[dropout_variant](x)


class Block(Layer):
    def __init__(self, units):
        self.dense = nn.Dense(units, activation="selu", kernel_initializer="lecun_normal")
        self.dropout = VersatileDropout(0.2)

    def call(self, x):
        return self.dropout(self.dense(x))


model = nn.Sequential([nn.LayerNorm(), Block(64)], name="net")
input_specs = gx.TensorSpec(("batch", 8, 8), name="rows")  # an image as a sequence of rows


def main():
    rows = load_digits().test_images[..., 0]
    with gx.seed(0):
        graph = gx.trace(model, input_specs)  # builds the weights, too

    programs = {"none": gx.compile(graph)}
    for variant in graph.contexts["dropout_variant"].domain.values:
        programs[variant] = gx.compile(graph, training=True, dropout_variant=variant)
    table = Table("dropout", "operators", "zeros", "zero channels", "mean", "std")
    for variant, program in programs.items():
        gx.export(program, f"dropout_{variant}.onnx")  # verified with onnxruntime
        x = program(rows, seed=0)  # [batch, rows, channels]
        zero = x == 0
        shares = [f"{share:.1%}" for share in (zero.mean(), zero.all(axis=1).mean())]
        operators = str(len(program.summary().rows))
        table.add_row(variant, operators, *shares, f"{x.mean():.2f}", f"{x.std():.2f}")
    rich.print(table)


if __name__ == "__main__":
    main()
