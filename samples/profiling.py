"""Taps deep in a model: outputs of the programs that ask for them, and no trace in the others.

`taps` returns what flows through each tap, `statistics` what that is like. `Tap` and `Observed` go
with any model: put taps where you want to look, and mix `Observed` into the class of the root.

Run it:                              python samples/profiling.py
Or look at it from the command line: graphctx trace samples/profiling.py
"""

from typing import Any, Literal

import numpy as np
import rich
from rich.table import Table

import graphctx as gx
from graphctx import Context, Layer, nn, ops
from graphctx.demo import load_digits


class Tap(Layer):
    """Passes its input on, and leaves it in `seen`, if a layer further out collects."""

    def call(self, x, *, seen: Context[Any] = None):
        if seen is not None:
            seen[gx.current_path()] = x
        return x


class Observed(Layer):
    """Collects what the taps below it see. It comes before a class: `(Observed, Net)`."""

    def call(
        self,
        *inputs,
        taps: Context[bool] = False,
        statistics: Context[Literal["none", "mean_std", "histogram"]] = "none",
        **others,
    ):
        seen = {}
        with gx.context(seen=seen):  # the blocks between here and a tap do not know of it
            output = super().call(*inputs, **others)
        extra = dict(seen) if taps else {}
        for path, x in seen.items():
            if statistics == "mean_std":
                extra[f"{path}:mean_std"] = ops.stack([ops.mean(x), ops.std(x)])
            elif statistics == "histogram":
                extra[f"{path}:histogram"] = histogram(x)
        return {"output": output, **extra} if extra else output


EDGES = np.linspace(0, 1.5, 17, dtype="float32")


def histogram(x):
    """How many elements lie from each edge to the next: int64[16]."""
    column = ops.reshape(x, (-1, 1))
    return ops.count_nonzero((column >= EDGES[:-1]) & (column < EDGES[1:]), axis=0)


class ObservedSequential(Observed, nn.Sequential):
    """A `Sequential` that shows what its taps see."""


def layers(*tap):
    """Four blocks and a readout; each block ends with a tap where one is given."""
    blocks = [[nn.Dense(64, activation="relu"), *(kind() for kind in tap)] for _ in range(4)]
    return [nn.Sequential(block, name="block") for block in blocks] + [nn.Dense(10)]


model = ObservedSequential(layers(Tap), name="net")
plain = nn.Sequential(layers(), name="net")
input_specs = gx.TensorSpec(("batch", 64), name="pixels")


def bars(counts):
    """Counts as bars; the highest one is half of all or more."""
    return "".join(" ▁▂▃▄▅▆▇█"[min(8, int(np.ceil(16 * n / counts.sum())))] for n in counts)


def main():
    pixels = load_digits().test_images.reshape(-1, 64)
    with gx.seed(0):
        graph = gx.trace(model, input_specs)  # builds the weights, too

    tapped = gx.compile(graph, taps=True)
    exported = gx.export(tapped, "tapped.onnx")
    print(f"{exported.path}: {exported.nodes} nodes, verified with onnxruntime; its outputs:")
    for name, spec in tapped.outputs.items():
        print(f"  {name}: {spec.dtype}{list(spec.shape)}")

    numbers = gx.compile(graph, statistics="mean_std")(pixels)
    counts = gx.compile(graph, statistics="histogram")(pixels)
    table = Table("tap", "mean", "std", "from 0 to 1.5", title="The signal fades from ReLU to ReLU")
    for path in [name for name in tapped.outputs if name != "output"]:
        mean, std = numbers[f"{path}:mean_std"]
        table.add_row(path, f"{mean:.2f}", f"{std:.2f}", bars(counts[f"{path}:histogram"]))
    rich.print(table)

    off, without = gx.compile(graph), gx.compile(gx.trace(plain, input_specs))
    print(f"All of it off:\n{off.graph}")
    print(f"The same as of the model without taps: {str(off.graph) == str(without.graph)}")


if __name__ == "__main__":
    main()
