"""What layers over space share: docstrings that say all, layouts, lean graphs of whole stacks."""

from __future__ import annotations

import inspect
from collections import Counter
from typing import Any

import pytest

import graphctx as gx
from graphctx import Layer, nn
from graphctx.nn.space import Spatial, layout
from tests.nn.common import close, text, values

LAYERS = [
    kind
    for kind in vars(nn).values()
    if isinstance(kind, type) and issubclass(kind, Spatial) and not kind.__name__.startswith("_")
]


@pytest.mark.parametrize("kind", LAYERS)
def test_help_says_all(kind: Any) -> None:
    doc = inspect.getdoc(kind) or ""
    assert "{" not in doc
    assert "\n\nArgs:\n" in doc
    assert "\n\nRaises:\n    LayerError: " in doc
    assert all(len(line) <= 100 for line in doc.splitlines())
    has_format = "data_format" in inspect.signature(kind).parameters
    for data_format in ("channels_last", "channels_first") if has_format else ("channels_last",):
        assert layout(kind.rank, data_format) in doc
    for name in inspect.signature(kind).parameters:
        assert name in ("interpolation", "dtype") or f"\n    {name}: " in doc, name
    for other in {1, 2, 3} - {kind.rank}:
        assert layout(other, "channels_last") not in doc


def test_help_of_one_and_of_three_axes() -> None:
    assert "kernel_size: size of the kernel: a number.\n" in nn.Conv1D.__doc__
    assert "kernel: [steps, input channels / groups, filters]." in nn.Conv1D.__doc__
    assert '"causal"' in nn.Conv1D.__doc__
    assert '"causal"' not in nn.Conv3D.__doc__
    assert (
        "kernel_size: size of the kernel: a number for all axes, or (depth, height, width).\n"
        in nn.Conv3D.__doc__
    )
    assert "i and u are places in depth, height and width," in nn.Conv3D.__doc__


def test_a_subclass_keeps_its_own_docstring() -> None:
    class Edges(nn.Conv2D):
        """Finds edges."""

    assert Edges.__doc__ == "Finds edges."
    assert Edges.rank == 2


# -- whole stacks ---------------------------------------------------------------------------------


def operators(model: Layer, *shape: Any) -> list[str]:
    """Names of the operators of the program, in order."""
    graph = gx.compile(gx.trace(model, gx.TensorSpec(shape))).graph
    return [node.name for node in graph.nodes if node.kind == "op"]


class Branches(Layer):
    def __init__(self) -> None:
        self.left = nn.Conv2D(8, 3, padding="same")
        self.right = nn.Conv2D(4, 1)
        self.pool = nn.AveragePooling2D(3, 1, padding="same")
        self.join = nn.Concatenate()
        self.add = nn.Add()
        self.mix = nn.Conv2D(12, 1)
        self.last = nn.Conv2D(8, 1)

    def call(self, x: Any) -> Any:
        y = self.join([self.left(x), self.pool(self.right(x))])
        return self.last(self.add([y, self.mix(y)]))


class SqueezeAndExcite(Layer):
    def __init__(self) -> None:
        self.conv = nn.Conv2D(8, 3, padding="same")
        self.pool = nn.GlobalAveragePooling2D(keepdims=True)
        self.squeeze = nn.Conv2D(2, 1, activation="relu")
        self.excite = nn.Conv2D(8, 1, activation="sigmoid")
        self.last = nn.Conv2D(4, 1)

    def call(self, x: Any) -> Any:
        y = self.conv(x)
        return self.last(y * self.excite(self.squeeze(self.pool(y))))


STACKS: list[tuple[str, Any, Any, list[str]]] = [
    (
        "classifier",
        lambda: nn.Sequential([
            nn.Conv2D(8, 3, use_bias=False), nn.BatchNorm(), nn.Activation("relu"),
            nn.MaxPooling2D(), nn.Conv2D(8, 3), nn.GlobalAveragePooling2D(), nn.Dense(10),
        ]),
        ("batch", 16, 16, 3),
        ["Transpose", "Conv", "Relu", "MaxPool", "Conv", "ReduceMean", "Gemm"],
    ),
    (
        "padding",
        lambda: nn.Sequential([
            nn.Conv2D(8, 3, 2), nn.ZeroPadding2D(1), nn.MaxPooling2D(3, 2), nn.Conv2D(4, 1),
        ]),
        ("batch", "height", "width", 3),
        ["Transpose", "Conv", "Pad", "MaxPool", "Conv", "Transpose"],
    ),
    (
        "upsampling",
        lambda: nn.Sequential([
            nn.Conv2D(8, 3), nn.UpSampling2D(), nn.Conv2DTranspose(4, 3, 2, padding="same"),
            nn.UpSampling2D(interpolation="bilinear"), nn.Conv2D(4, 3),
        ]),
        ("batch", "height", "width", 3),
        ["Transpose", "Conv", "Resize", "ConvTranspose", "Resize", "Conv", "Transpose"],
    ),
    (
        "depthwise",
        lambda: nn.Sequential([
            nn.DepthwiseConv2D(3, 2, padding="same", use_bias=False), nn.BatchNorm(),
            nn.Activation("relu6"), nn.Conv2D(4, 1), nn.SeparableConv2D(4, 3, padding="same"),
            nn.AveragePooling2D(3, 2, padding="same"), nn.Conv2D(3, 1),
        ]),
        ("batch", 16, 16, 3),
        [
            "Transpose", "Conv", "Clip", "Conv", "Conv", "Conv", "AveragePool", "Conv",
            "Transpose",
        ],
    ),
    (
        "adaptive",
        lambda: nn.Sequential([nn.Conv2D(8, 3), nn.AdaptiveAveragePooling2D(7), nn.Conv2D(4, 1)]),
        ("batch", 16, 16, 3),
        ["Transpose", "Conv", "AveragePool", "Conv", "Transpose"],
    ),
    (
        "branches",
        Branches,
        ("batch", 8, 8, 3),
        [
            "Transpose", "Conv", "Conv", "AveragePool", "Concat", "Conv", "Add", "Conv",
            "Transpose",
        ],
    ),
    (
        "squeeze and excite",
        SqueezeAndExcite,
        ("batch", 8, 8, 3),
        [
            "Transpose", "Conv", "ReduceMean", "Conv", "Relu", "Conv", "Sigmoid", "Mul", "Conv",
            "Transpose",
        ],
    ),
    (
        "sequences",
        lambda: nn.Sequential([
            nn.Conv1D(8, 3, padding="causal"), nn.MaxPooling1D(), nn.UpSampling1D(),
            nn.Conv1D(3, 3), nn.GlobalMaxPooling1D(),
        ]),
        ("batch", "steps", 3),
        ["Transpose", "Conv", "MaxPool", "Resize", "Conv", "ReduceMax"],
    ),
    (
        "volumes",
        lambda: nn.Sequential([
            nn.Conv3D(4, 2), nn.AveragePooling3D(), nn.Conv3DTranspose(2, 2, 2),
            nn.GlobalAveragePooling3D(),
        ]),
        ("batch", 5, 5, 5, 2),
        ["Transpose", "Conv", "AveragePool", "ConvTranspose", "ReduceMean"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("make", "shape", "names"), [s[1:] for s in STACKS], ids=lambda s: "")
def test_transposes_are_at_the_ends_only(make: Any, shape: Any, names: Any) -> None:
    assert Counter(operators(make(), *shape)) == Counter(names)


@pytest.mark.parametrize(("make", "shape"), [s[1:3] for s in STACKS], ids=[s[0] for s in STACKS])
def test_a_stack_is_equal_to_its_program_and_file(make: Any, shape: Any, tmp_path: Any) -> None:
    model = make()
    sizes = {"batch": 2, "height": 9, "width": 8, "steps": 10}
    x = values(*(sizes.get(n, n) for n in shape))
    program = gx.compile(gx.trace(model, gx.TensorSpec(shape)))
    close(program(x), model(x))  # a BatchNorm goes into the Conv before it
    gx.export(program, tmp_path / "stack.onnx")


def test_golden_text_of_a_stack() -> None:
    model = nn.Sequential([
        nn.ZeroPadding2D(((0, 1), (2, 0))), nn.DepthwiseConv2D(3, 2, depth_multiplier=2),
        nn.UpSampling2D((1, 2)), nn.AveragePooling2D(3, 2, padding="same"),
    ])  # fmt: skip
    assert text(gx.trace(model, gx.TensorSpec(("batch", "h", "w", 2)))) == (
        "graph sequential (x: float32[batch, h, w, 2])\n"
        "  %1 = Pad(x, [0, 0, 2, 0, 0, 1, 0, 0])\n"
        "  %2 = Transpose(%1, perm=[0, 3, 1, 2])\n"
        "  %3 = Transpose(@sequential/depthwise_conv2d/kernel, perm=[2, 3, 0, 1])\n"
        "  %4 = Reshape(%3, [4, 1, 3, 3])\n"
        "  %5 = Conv(%2, %4, @sequential/depthwise_conv2d/bias, group=2, strides=[2, 2])\n"
        "  %6 = Transpose(%5, perm=[0, 2, 3, 1])\n"
        "  %7 = Transpose(%6, perm=[0, 3, 1, 2])\n"
        "  %8 = Resize(%7, none, [1, 1, 1, 2], coordinate_transformation_mode=asymmetric, "
        "nearest_mode=floor)\n"
        "  %9 = Transpose(%8, perm=[0, 2, 3, 1])\n"
        "  %10 = Transpose(%9, perm=[0, 3, 1, 2])\n"
        "  %11 = AveragePool(%10, auto_pad=SAME_UPPER, kernel_shape=[3, 3], strides=[2, 2])\n"
        "  %12 = Transpose(%11, perm=[0, 2, 3, 1])\n"
        "  return %12"
    )
