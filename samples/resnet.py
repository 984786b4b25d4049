"""ResNet-50 as Keras defines it, with two context arguments more: what it returns, and drop-path.

He et al., "Deep residual learning for image recognition" (2015); the weights are those of
`keras.applications.ResNet50`, layer by layer under the same names. `features` is read by the model
alone; `drop_path` (stochastic depth, Huang et al., 2016) by a layer in each of its 16 blocks, which
do not mention it.

Run it:                              python samples/resnet.py
Or look at it from the command line: graphctx contexts samples/resnet.py
                                     graphctx summary samples/resnet.py -c features=pooled
With Keras's weights:                model.load_weights("resnet50.weights.h5", KERAS_NAMES)
"""

from typing import Literal

import numpy as np

import graphctx as gx
from graphctx import Context, Layer, nn, ops

# Keras's layers are not nested: `conv2_block1/1_conv` is called `conv2_block1_1_conv` there.
KERAS_NAMES = [(r"(conv\d_block\d+)/(\w+)", r"\1_\2")]


def norm(name):
    return nn.BatchNorm(epsilon=1.001e-5, name=name)


class DropPath(Layer):
    """Leaves a branch out for some of the images while training, and scales it for the others."""

    def __init__(self, share):
        self.share = share

    def call(self, x, *, training: Context[bool] = False, drop_path: Context[float] = 0.0):
        if not training or drop_path == 0:
            return x
        return ops.dropout(x, self.share * drop_path, (x.shape[0], 1, 1, 1))


class Block(Layer):
    """Three convolutions, to few channels and back to many, and a way around them."""

    def __init__(self, filters, stride, share, *, project, name):
        self.name = name
        self.project = None
        if project:
            self.project = nn.Conv2D(4 * filters, 1, stride, name="0_conv")
            self.norm_0 = norm("0_bn")
        self.conv_1 = nn.Conv2D(filters, 1, stride, name="1_conv")
        self.norm_1 = norm("1_bn")
        self.conv_2 = nn.Conv2D(filters, 3, padding="same", name="2_conv")
        self.norm_2 = norm("2_bn")
        self.conv_3 = nn.Conv2D(4 * filters, 1, name="3_conv")
        self.norm_3 = norm("3_bn")
        self.drop = DropPath(share)

    def call(self, x):
        around = x if self.project is None else self.norm_0(self.project(x))
        x = ops.relu(self.norm_1(self.conv_1(x)))
        x = ops.relu(self.norm_2(self.conv_2(x)))
        return ops.relu(around + self.drop(self.norm_3(self.conv_3(x))))


class ResNet(Layer):
    """Images [batch, height, width, 3] to what `features` asks for.

    Args:
        depths: number of blocks in each stage.
        classes: number of classes.
        width: number of channels before the first stage; each stage has twice those of the last.
        name: of the model.

    Context:
        features: "probabilities" or "logits" [batch, classes]; "pooled" [batch, channels]; or
            "stages", the output of every stage, for a detector.
        training, drop_path: see the layers.
    """

    def __init__(self, depths, classes, width=64, name="resnet"):
        self.name = name
        self.conv1_pad = nn.ZeroPadding2D(3)
        self.conv1_conv = nn.Conv2D(width, 7, strides=2)
        self.conv1_bn = norm("conv1_bn")
        self.pool1_pad = nn.ZeroPadding2D(1)
        self.pool1_pool = nn.MaxPooling2D(3, strides=2)
        shares = iter(np.linspace(0, 1, sum(depths)))  # the last blocks are left out most often
        self.stages = [
            [
                Block(
                    width << stage, 2 if stage and not i else 1, float(next(shares)),
                    project=not i, name=f"conv{stage + 2}_block{i + 1}",
                )
                for i in range(depth)
            ]
            for stage, depth in enumerate(depths)
        ]  # fmt: skip
        self.avg_pool = nn.GlobalAveragePooling2D()
        self.predictions = nn.Dense(classes)

    def call(
        self,
        images,
        *,
        features: Context[Literal["probabilities", "logits", "pooled", "stages"]] = "probabilities",
    ):
        x = ops.relu(self.conv1_bn(self.conv1_conv(self.conv1_pad(images))))
        x = self.pool1_pool(self.pool1_pad(x))
        outputs = []
        for stage in self.stages:
            for block in stage:
                x = block(x)
            outputs.append(x)
        if features == "stages":
            return outputs
        pooled = self.avg_pool(x)
        if features == "pooled":
            return pooled
        logits = self.predictions(pooled)
        return logits if features == "logits" else ops.softmax(logits)


def resnet50(classes=1000):
    return ResNet((3, 4, 6, 3), classes, name="resnet50")


# For the command line; images of any size, as Keras's `preprocess_input` makes them.
model = resnet50()
input_specs = gx.TensorSpec(("batch", "height", "width", 3), name="images")


def main():
    with gx.seed(0):
        graph = gx.trace(model, input_specs)  # once, for all contexts; builds the weights
    for argument in graph.contexts.values():
        print(f"{argument}; layers that read it: {len(argument.consumers)}")
    print(f"{sum(np.prod(weight.shape) for weight in model.weights.values()):,} parameters\n")

    # For inference each BatchNorm goes into its convolution, and transposes cancel.
    classify = gx.compile(graph)
    images = np.random.default_rng(0).normal(size=(2, 224, 224, 3)).astype("float32")
    scores = classify(images)
    print(f"probabilities: {operators(classify)} operators, {scores.shape}, sums {scores.sum(-1)}")

    # Another context: the classifier is not in its program.
    stages = gx.compile(graph, features="stages")
    shapes = [y.shape for y in stages(images)]
    print(f"stages:        {operators(stages)} operators, {shapes}")

    # While training, BatchNorm uses the batch, and what it has seen so far is state.
    train = gx.compile(graph, training=True, runtime=["drop_path"])
    _, state = train.step(images[:, :64, :64], drop_path=0.2, seed=0)
    print(f"training:      {operators(train)} operators, {len(state)} moving averages")

    exported = gx.export(classify, "resnet50.onnx")
    print(f"\n{exported.path}: {exported.nodes} nodes, verified with onnxruntime")


def operators(program):
    return sum(node.kind == "op" for node in program.graph.nodes)


if __name__ == "__main__":
    main()
