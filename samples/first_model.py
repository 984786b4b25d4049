"""A first model: one layer that knows a context argument, inside layers that do not.

Run it:                              python samples/first_model.py
Or look at it from the command line: graphctx trace samples/first_model.py
                                     graphctx contexts samples/first_model.py
"""

from typing import Literal

import numpy as np

import graphctx as gx
from graphctx import Context, Layer, nn, ops


class ConfigurableDropout(Layer):
    """The only layer that knows `intensity`. It declares it; nobody passes it on by hand."""

    def __init__(self, rate=0.2):
        self.rate = rate

    def call(
        self,
        x,
        *,
        training: Context[bool] = False,
        intensity: Context[Literal["off", "normal", "aggressive"]] = "normal",
    ):
        if not training or intensity == "off":  # ordinary Python: every branch is traced
            return x
        rate = {"normal": self.rate, "aggressive": min(0.9, 2 * self.rate)}[intensity]
        return ops.dropout(x, rate)


class Block(Layer):
    """Knows nothing about it: whatever the model is given reaches the dropout inside."""

    def __init__(self, units):
        self.dense = nn.Dense(units, activation="relu")
        self.drop = ConfigurableDropout()

    def call(self, x):
        return self.drop(self.dense(x))


model = nn.Sequential([Block(64), Block(64), nn.Dense(10)])

# What the command line traces the model with; a functional model knows its inputs by itself.
input_specs = gx.TensorSpec(("batch", 64), "float32", name="x")


def main():
    x = np.random.default_rng(0).normal(size=(3, 64)).astype("float32")

    print("1. Call it on NumPy arrays, as any function.\n")
    y = model(x, training=True, intensity="aggressive")
    print(f"   model(x, training=True, intensity='aggressive') -> {y.dtype}{list(y.shape)}")

    print("\n2. Trace it once, for every context. The selects are what context decides.\n")
    graph = gx.trace(model, input_specs)
    print(graph)

    print("\n3. What the arguments may be, and who reads them.\n")
    print(graph.contexts)

    print("\n4. Specialize for one context: of the rest no node is left.\n")
    program = gx.compile(graph, training=True, intensity="aggressive")
    print(program.graph)
    inference = gx.compile(graph)  # arguments that are not given have their defaults
    print(
        f"\n   for inference: {sum(node.kind == 'op' for node in inference.graph.nodes)} operators"
    )

    print("\n5. Run it. The same seed gives the same random numbers, here and in ONNX.\n")
    again = [program(x, seed=7) for _ in range(2)]
    print(f"   equal for equal seeds: {np.array_equal(*again)}")
    print(f"   equal to the model itself: {np.allclose(inference(x), model(x), atol=1e-5)}")

    print("\n6. Where does a value come from?\n")
    path = "sequential/block_1/drop"
    print(f"   {gx.explain(graph, path, 'intensity', training=True)}")
    print(f"   {gx.explain(graph, path, 'intensity', training=True, intensity='off')}")

    print("\n7. Export it; onnxruntime must agree before the file appears.\n")
    exported = gx.export(program, "first_model.onnx")
    print(f"   {exported.path}: {exported.nodes} nodes, opset {exported.opset}")
    print(f"   largest difference from onnxruntime: {exported.report.largest:.1e}")


if __name__ == "__main__":
    main()
