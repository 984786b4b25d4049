"""MobileNetV2 as Keras defines it, with one context argument more: what it returns.

Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks" (2018); the weights are
those of `keras.applications.MobileNetV2`, layer by layer under the same names.

Run it:                              python samples/mobilenet.py
Or look at it from the command line: graphctx summary samples/mobilenet.py
                                     graphctx summary samples/mobilenet.py -c features=stages
With Keras's weights:                model.load_weights("mobilenet.weights.h5", KERAS_NAMES)
"""

from typing import Literal

import numpy as np

import graphctx as gx
from graphctx import Context, Layer, nn, ops

# Keras's layers are not nested: `block_1/expand` is called `block_1_expand` there.
KERAS_NAMES = [(r"(block_\d+|expanded_conv)/(\w+)", r"\1_\2")]

# Channels of the output before they are scaled, stride of the first block, number of blocks.
STAGES = ((16, 1, 1), (24, 2, 2), (32, 2, 3), (64, 2, 4), (96, 1, 3), (160, 2, 3), (320, 1, 1))


def conv(filters, size, stride, name):
    return nn.Conv2D(filters, size, stride, padding="same", use_bias=False, name=name)


def norm(name):
    return nn.BatchNorm(momentum=0.999, epsilon=1e-3, name=name)


def scaled(filters, alpha):
    """So many filters times alpha, as a multiple of 8 that is not less than nine tenths of it."""
    wanted = filters * alpha
    found = max(8, int(wanted + 4) // 8 * 8)
    return found + 8 if found < 0.9 * wanted else found


class InvertedResidual(Layer):
    """To many channels, each of them convolved for itself, and to few again, without a ReLU.

    Args:
        channels: of the input.
        filters: of the output; where both are equal and the stride is 1, the input is added.
        stride: of the convolution.
        expansion: how many times as many channels there are in between.
        name: of the block.
    """

    def __init__(self, channels, filters, stride, expansion, name):
        self.name = name
        self.adds = stride == 1 and channels == filters
        self.expand = None
        if expansion > 1:
            self.expand = conv(expansion * channels, 1, 1, "expand")
            self.expand_norm = norm("expand_BN")
        self.depthwise = nn.DepthwiseConv2D(3, stride, padding="same", use_bias=False)
        self.depthwise_norm = norm("depthwise_BN")
        self.project = conv(filters, 1, 1, "project")
        self.project_norm = norm("project_BN")

    def call(self, x):
        y = x if self.expand is None else ops.relu6(self.expand_norm(self.expand(x)))
        y = ops.relu6(self.depthwise_norm(self.depthwise(y)))
        y = self.project_norm(self.project(y))
        return x + y if self.adds else y


class MobileNetV2(Layer):
    """Images [batch, height, width, 3] to what `features` asks for.

    Args:
        alpha: scales the number of channels.
        classes: number of classes.
        stages: channels, stride and number of blocks of each stage.
        last: channels after the last stage.
        name: of the model.

    Context:
        features: "probabilities" or "logits" [batch, classes]; "pooled" [batch, channels]; or
            "stages", the output of every stage, for a detector.
        training: see BatchNorm.
    """

    def __init__(self, alpha, classes, stages=STAGES, last=1280, name="mobilenet_v2"):
        self.name = name
        channels = scaled(32, alpha)
        self.conv = conv(channels, 3, 2, "Conv1")
        self.norm = norm("bn_Conv1")
        self.stages = []
        count = 0
        for width, stride, depth in stages:
            filters, blocks = scaled(int(width * alpha), 1), []
            for i in range(depth):
                name = f"block_{count}" if count else "expanded_conv"
                expansion = 6 if count else 1
                blocks.append(
                    InvertedResidual(channels, filters, 1 if i else stride, expansion, name)
                )
                channels, count = filters, count + 1
            self.stages.append(blocks)
        self.last_conv = conv(scaled(last, max(1.0, alpha)), 1, 1, "Conv_1")
        self.last_norm = norm("Conv_1_bn")
        self.pool = nn.GlobalAveragePooling2D()
        self.predictions = nn.Dense(classes)

    def call(
        self,
        images,
        *,
        features: Context[Literal["probabilities", "logits", "pooled", "stages"]] = "probabilities",
    ):
        x = ops.relu6(self.norm(self.conv(images)))
        outputs = []
        for stage in self.stages:
            for block in stage:
                x = block(x)
            outputs.append(x)
        if features == "stages":
            return outputs
        pooled = self.pool(ops.relu6(self.last_norm(self.last_conv(x))))
        if features == "pooled":
            return pooled
        logits = self.predictions(pooled)
        return logits if features == "logits" else ops.softmax(logits)


def mobilenet_v2(alpha=1.0, classes=1000):
    return MobileNetV2(alpha, classes)


# For the command line; images of any size, from -1 to 1 as Keras's `preprocess_input` makes them.
model = mobilenet_v2()
input_specs = gx.TensorSpec(("batch", "height", "width", 3), name="images")


def main():
    with gx.seed(0):
        graph = gx.trace(model, input_specs)  # once, for all contexts; builds the weights
    for argument in graph.contexts.values():
        print(f"{argument}; layers that read it: {len(argument.consumers)}")
    print(f"{sum(np.prod(weight.shape) for weight in model.weights.values()):,} parameters\n")

    # One program says which class it is, another one gives a detector what it needs.
    for features in ("probabilities", "stages"):
        program = gx.compile(graph, features=features)
        for size in (224, 96):
            outputs = program(np.zeros((1, size, size, 3), "float32"))
            shapes = [y.shape for y in outputs] if features == "stages" else outputs.shape
            print(f"{features} of {size}x{size} pixels: {shapes}")
        exported = gx.export(program, f"mobilenet_{features}.onnx")
        print(f"{exported.path}: {exported.nodes} nodes, verified with onnxruntime\n")


if __name__ == "__main__":
    main()
