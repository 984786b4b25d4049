"""Import and optimize ONNX files: an encoder as PyTorch's exporter writes it, and light models."""

from __future__ import annotations

import gc
import statistics
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

import graphctx as gx
from benchmarks.timing import seconds

LAYERS, WIDTH, HEADS = 20, 64, 4
SECONDS_A_THOUSAND = 1.0


class _Writer:
    """Nodes of one graph, with the names and constants of a traced PyTorch module."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[TensorProto] = []
        self.random = np.random.default_rng(0)

    def add(self, scope: str, op: str, *inputs: str, **attributes: Any) -> str:
        name = f"{scope}/{op}_{len(self.nodes)}"
        output = f"{name}_output_0"
        self.nodes.append(helper.make_node(op, inputs, [output], name, **attributes))
        return output

    def constant(self, scope: str, value: Any) -> str:
        tensor = numpy_helper.from_array(np.asarray(value))
        return self.add(scope, "Constant", value=tensor)

    def weight(self, name: str, *shape: int) -> str:
        array = self.random.standard_normal(shape).astype(np.float32) * np.float32(0.05)
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def linear(self, scope: str, x: str, width: int, units: int) -> str:
        name = scope.strip("/").replace("/", ".")
        y = self.add(scope, "MatMul", x, self.weight(f"{name}.weight", width, units))
        return self.add(scope, "Add", self.weight(f"{name}.bias", units), y)

    def size(self, scope: str, x: str, axis: int) -> str:
        shape = self.add(scope, "Shape", x)
        size = self.add(scope, "Gather", shape, self.constant(scope, np.int64(axis)), axis=0)
        return self.add(scope, "Unsqueeze", size, axes=[0])

    def heads(self, scope: str, x: str) -> str:
        parts = [self.size(scope, x, 0), self.size(scope, x, 1)]
        parts += [self.constant(scope, np.int64([n])) for n in (HEADS, WIDTH // HEADS)]
        split = self.add(scope, "Reshape", x, self.add(scope, "Concat", *parts, axis=0))
        return self.add(scope, "Transpose", split, perm=[0, 2, 1, 3])

    def norm(self, scope: str, x: str) -> str:
        name = scope.strip("/").replace("/", ".")
        centred = self.add(scope, "Sub", x, self.add(scope, "ReduceMean", x, axes=[-1]))
        square = self.add(scope, "Pow", centred, self.constant(scope, np.float32(2)))
        variance = self.add(scope, "ReduceMean", square, axes=[-1])
        variance = self.add(scope, "Add", variance, self.constant(scope, np.float32(1e-12)))
        y = self.add(scope, "Div", centred, self.add(scope, "Sqrt", variance))
        y = self.add(scope, "Mul", y, self.weight(f"{name}.weight", WIDTH))
        return self.add(scope, "Add", y, self.weight(f"{name}.bias", WIDTH))

    def layer(self, scope: str, x: str, mask: str) -> str:
        inner = f"{scope}/attention/self"
        query, key, value = (
            self.heads(inner, self.linear(f"{inner}/{part}", x, WIDTH, WIDTH))
            for part in ("query", "key", "value")
        )
        key = self.add(inner, "Transpose", key, perm=[0, 1, 3, 2])
        scores = self.add(inner, "MatMul", query, key)
        scores = self.add(inner, "Div", scores, self.constant(inner, np.float32(4)))
        scores = self.add(inner, "Softmax", self.add(inner, "Add", scores, mask), axis=3)
        mixed = self.add(inner, "MatMul", scores, value)
        mixed = self.add(inner, "Transpose", mixed, perm=[0, 2, 1, 3])
        shape = [self.size(inner, mixed, 0), self.size(inner, mixed, 1)]
        shape.append(self.constant(inner, np.int64([WIDTH])))
        mixed = self.add(inner, "Reshape", mixed, self.add(inner, "Concat", *shape, axis=0))
        output = f"{scope}/attention/output"
        y = self.linear(f"{output}/dense", mixed, WIDTH, WIDTH)
        x = self.norm(f"{output}/LayerNorm", self.add(output, "Add", y, x))
        inner = f"{scope}/intermediate"
        y = self.linear(f"{inner}/dense", x, WIDTH, 4 * WIDTH)
        erf = self.add(
            inner, "Erf", self.add(inner, "Div", y, self.constant(inner, np.float32(1.4142135)))
        )
        erf = self.add(inner, "Add", erf, self.constant(inner, np.float32(1)))
        y = self.add(
            inner, "Mul", self.add(inner, "Mul", y, erf), self.constant(inner, np.float32(0.5))
        )
        output = f"{scope}/output"
        y = self.linear(f"{output}/dense", y, 4 * WIDTH, WIDTH)
        return self.norm(f"{output}/LayerNorm", self.add(output, "Add", y, x))


def encoder(layers: int = LAYERS) -> ModelProto:
    """A BERT of opset 12, with the shape arithmetic of a traced PyTorch module."""
    writer = _Writer()
    words = writer.weight("embeddings.word.weight", 1000, WIDTH)
    x = writer.norm(
        "/embeddings/LayerNorm", writer.add("/embeddings", "Gather", words, "input_ids")
    )
    mask = writer.add("", "Cast", writer.add("", "Unsqueeze", "attention_mask", axes=[1, 2]), to=1)
    mask = writer.add("", "Sub", writer.constant("", np.float32(1)), mask)
    mask = writer.add("", "Mul", mask, writer.constant("", np.float32(-10000)))
    for index in range(layers):
        x = writer.layer(f"/encoder/layer.{index}", x, mask)
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ("batch", "sequence"))
        for name in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info(x, TensorProto.FLOAT, ("batch", "sequence", WIDTH))
    graph = helper.make_graph(writer.nodes, "bert", inputs, [output], writer.weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=7)


def light(name: str) -> ModelProto:
    """A light model of onnx's own backend tests."""
    import onnx.backend.test

    folder = Path(onnx.backend.test.__file__).parent / "data" / "light"
    return onnx.load(folder / f"light_{name}.onnx")


def run() -> list[dict[str, Any]]:
    """Rows for every model: seconds for 1,000 nodes of the file."""
    rows = []
    for name, model in (("BERT", encoder()), ("light DenseNet", light("densenet121"))):
        content, nodes = model.SerializeToString(), len(model.graph.node)
        times = []
        for _ in range(5):
            graphs: list[Any] = []
            gc.collect()
            load = seconds(lambda graphs=graphs: graphs.append(gx.load(content)))  # noqa: B023
            times.append((load, seconds(lambda graphs=graphs: gx.optimize(graphs[0]))))
        loading, optimizing = (statistics.median(part) for part in zip(*times, strict=True))
        each = 1000 * (loading + optimizing) / nodes
        rows.append(
            {
                "what": f"import and optimize {name}, {nodes:,} nodes",
                "ours": f"{each:.3f} s for 1,000 nodes "
                        f"(load {loading:.3f} s, optimize {optimizing:.3f} s)",
                "peer": f"{SECONDS_A_THOUSAND} s", "ratio": each / SECONDS_A_THOUSAND,
                "target": 1.0,
            }
        )  # fmt: skip
    return rows
