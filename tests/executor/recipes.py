"""Random models for the executor: elementwise operators, views, broadcasting, rows, products.

A model is a list of instructions, each of which takes values made before it, so that a failure
prints it. Values have one of a few kinds of shapes, so that every instruction fits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from graphctx import Layer, ops

Instruction = tuple[str, str, tuple[int, ...]]  # kind of the values, name, which of them

UNARY: dict[str, Callable[[Any], Any]] = {
    "tanh": ops.tanh,
    "exp": lambda x: ops.exp(ops.minimum(x, 4)),
    "sqrt": lambda x: ops.sqrt(ops.abs(x)),
    "relu": ops.relu,
    "sigmoid": ops.sigmoid,
    "softplus": ops.softplus,
    "elu": lambda x: ops.elu(x, alpha=0.7),
    "gelu": ops.gelu,
    "gelu_tanh": lambda x: ops.gelu(x, approximate="tanh"),
    "leaky": lambda x: ops.leaky_relu(x, alpha=0.3),
    "clip": lambda x: ops.clip(x, -1, 1.5),
    "double": lambda x: ops.astype(ops.astype(x, "float64") * 0.1, "float32"),
    "half": lambda x: ops.astype(ops.gelu(ops.astype(x, "float16")), "float32"),
    "scale": lambda x: 0.5 - x,
    "square": lambda x: x * x,
    "softmax": ops.softmax,
    "log_softmax": ops.log_softmax,
    "log_softmax_0": lambda x: ops.log_softmax(x, axis=1),
    "max": lambda x: x - ops.max(x, axis=-1, keepdims=True),
    "flat": lambda x: ops.reshape(ops.reshape(x, (-1, x.shape[-1])) * 2, x.shape),
    "halves": lambda x: ops.concat(ops.split(x, [1], axis=-1)[::-1], axis=-1),
    "flip": lambda x: ops.tanh(x[:, ::-1]),
    "mirror": lambda x: x + x[:, ::-1],
    "reverse": lambda x: x[:, ::-1],
    "sum": lambda x: x * ops.sum(x, axis=-1, keepdims=True),
    "mean": lambda x: x - ops.mean(x, axis=(0, 1), keepdims=True),
}
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "maximum": ops.maximum,
    "divide": lambda x, y: x / (y * y + 1),
    "where": lambda x, y: ops.where(x > y, x, y * 2),
    "norm_by": lambda x, y: ops.layer_norm(x, y, y),
}
KINDS = ("full", "turned")


class Recipe(Layer):
    """Runs instructions.

    Args:
        instructions: to run.
        results: which values to return beside the last one; some of them may be equal.
        size: of the last two axes.
    """

    def __init__(
        self, instructions: list[Instruction], results: list[int], size: tuple[int, int]
    ) -> None:
        self.instructions = instructions
        self.results = results
        random = np.random.default_rng(0)
        rows, columns = size
        shapes = {"row": (columns,), "column": (rows, 1), "mask": (1, rows, columns), "all": ()}
        self.narrow = {
            name: self.add_weight(
                shape, random.standard_normal(shape).astype(np.float32), name=name
            )
            for name, shape in shapes.items()
        }
        self.gamma = self.add_weight((columns,), np.linspace(1, 2, columns, dtype=np.float32))
        kernel = random.standard_normal((columns, columns)).astype(np.float32)
        self.kernel = self.add_weight((columns, columns), kernel)

    def call(self, x: Any, y: Any) -> Any:
        values: dict[str, list[Any]] = {
            "full": [x, y],
            "turned": [ops.permute_dims(x, (0, 2, 1))],
        }
        for kind, name, places in self.instructions:
            known = values[kind]
            operands = [known[place % len(known)] for place in places]
            if name == "turn":
                other = KINDS[1 - KINDS.index(kind)]
                values[other].append(ops.permute_dims(operands[0], (0, 2, 1)))
            elif name in UNARY:
                known.append(UNARY[name](operands[0]))
            elif name in BINARY:
                known.append(BINARY[name](*operands))
            elif kind == "turned":
                known.append(ops.tanh(operands[0]))
            elif name in self.narrow:
                known.append(BINARY["add"](operands[0], self.narrow[name].value))
            elif name == "norm":
                known.append(
                    ops.layer_norm(operands[0], self.gamma.value, self.narrow["row"].value)
                )
            else:
                known.append(ops.matmul(operands[0], self.kernel.value) * 0.1)
        everything = [*values["turned"], *values["full"]]
        return tuple(everything[place % len(everything)] for place in (-1, *self.results))


_names = [*UNARY, *BINARY, "turn", "row", "column", "mask", "all", "norm", "product"]
_names += ["softmax", "norm", "add", "multiply", "tanh"]  # more of what chains are made of
_late = st.sampled_from((-1, -1, -1, -2, -3))  # mostly what was made last
_instruction = st.tuples(
    st.sampled_from(("full", "full", "full", "turned")),
    st.sampled_from(_names),
    st.tuples(_late, st.one_of(_late, st.integers(0, 30))),
)
instructions = st.integers(1, 16).flatmap(
    lambda count: st.lists(_instruction, min_size=count, max_size=count)
)
results = st.lists(st.integers(-4, 30), max_size=2)
