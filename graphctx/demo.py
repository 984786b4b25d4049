"""The model that `graphctx demo` shows: a small convolutional network for handwritten digits.

Three layers know a context argument: `PixelNoise` reads `noise_scale`, `ConfigurableDropout` reads
`training` and `intensity`, and `nn.BatchNorm` reads `training`. `ConvBlock` and `DigitNet`, which
hold them, know nothing of any of these.

Nothing is trained by gradients. The filters of the first convolution are the principal components
of small patches of the images, those of the second are random, and the read-out is a ridge
regression, solved in closed form. The images are the 1,797 that scikit-learn brings along (Alpaydin
and Kaynak, "Optical recognition of handwritten digits", UCI, 1998).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from graphctx import nn, ops
from graphctx.context import Context, seed
from graphctx.errors import GraphctxError
from graphctx.layer import Layer
from graphctx.program import compile
from graphctx.spec import TensorSpec
from graphctx.trace import trace

Array = np.ndarray[Any, Any]

IMAGES = TensorSpec(("batch", 8, 8, 1), "float32", name="images")
"""What the network takes: grey images, from 0 to 1."""


class PixelNoise(Layer):
    """Adds normal noise to every pixel.

    Context:
        noise_scale (float, default 0): its standard deviation.
    """

    def call(self, x: Any, *, noise_scale: Context[float] = 0.0) -> Any:
        """Add noise to x, any shape; nothing at all where the scale is 0."""
        if noise_scale > 0:
            x = x + noise_scale * ops.random_normal(x.shape)
        return x


class ConfigurableDropout(Layer):
    """Dropout that is off, normal or aggressive.

    Args:
        rate: share of the elements that are dropped normally; twice that (at most 0.9) if
            aggressive.

    Context:
        training (bool, default False): nothing is dropped otherwise.
        intensity ("off", "normal" or "aggressive", default "normal").
    """

    def __init__(self, rate: float = 0.25) -> None:
        self.rate = rate

    def call(
        self,
        x: Any,
        *,
        training: Context[bool] = False,
        intensity: Context[Literal["off", "normal", "aggressive"]] = "normal",
    ) -> Any:
        """Drop elements of x, any shape."""
        if not training or intensity == "off":
            return x
        rate = {"normal": self.rate, "aggressive": min(0.9, 2 * self.rate)}[intensity]
        return ops.dropout(x, rate)


class ConvBlock(Layer):
    """Convolution, normalization, ReLU, dropout; it passes no context on by hand.

    Args:
        filters: number of output channels.
    """

    def __init__(self, filters: int) -> None:
        self.conv = nn.Conv2D(
            filters, 3, padding="same", use_bias=False, kernel_initializer="orthogonal"
        )
        self.norm = nn.BatchNorm(momentum=0.9)
        self.drop = ConfigurableDropout()

    def call(self, x: Any) -> Any:
        """[batch, height, width, channels] -> [batch, height, width, filters]."""
        return self.drop(ops.relu(self.norm(self.conv(x))))


class DigitNet(Layer):
    """Images to one score for each of the ten digits."""

    input_specs = IMAGES

    def __init__(self) -> None:
        self.noise = PixelNoise()
        self.features = nn.Sequential(
            [ConvBlock(16), ConvBlock(64), nn.MaxPooling2D(2), nn.Flatten()]
        )
        self.readout = nn.Dense(10)

    def call(self, images: Any) -> Any:
        """[batch, 8, 8, 1] -> [batch, 10]."""
        return self.readout(self.features(self.noise(images)))


# -- the images -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Digits:
    """Images [count, 8, 8, 1] from 0 to 1, and the digits they show, for training and for testing.

    The test images are the last fifth, not drawn at random: neighbours in the set are often by the
    same hand, and a hand that was trained on is easier to read.
    """

    train_images: Array
    train_labels: Array
    test_images: Array
    test_labels: Array


def load_digits() -> Digits:
    """The handwritten digits of scikit-learn.

    Raises:
        GraphctxError: scikit-learn is not installed.
    """
    try:
        from sklearn import datasets
    except ImportError as error:
        raise GraphctxError(
            f"the digits come with scikit-learn, which cannot be imported: {error}; install it "
            f"with pip install 'graphctx[demo]'"
        ) from error
    found = datasets.load_digits()
    images = (found.images[..., None] / 16).astype("float32")
    split = len(images) * 4 // 5
    return Digits(images[:split], found.target[:split], images[split:], found.target[split:])


# -- fitting --------------------------------------------------------------------------------------


def fitted(digits: Digits, *, init_seed: int = 0) -> DigitNet:
    """A network for the training images.

    Args:
        digits: of which only the training half is looked at.
        init_seed: decides the random filters.
    """
    model = DigitNet()
    with seed(init_seed):
        graph = trace(model, IMAGES)  # builds the weights
    first: Any = model.features.layers[0]
    first.conv.kernel.assign(patch_filters(digits.train_images))
    settle(model, compile(graph, training=True, intensity="off"), digits.train_images)
    features = compile(trace(model.features, IMAGES))
    images, labels = augmented(digits.train_images, digits.train_labels)
    kernel, bias = ridge(features(images), labels)
    model.readout.kernel.assign(kernel)
    assert model.readout.bias is not None
    model.readout.bias.assign(bias)
    return model


def model() -> DigitNet:
    """The fitted network: `graphctx.demo:model` on the command line."""
    return fitted(load_digits())


def patch_filters(images: Array, count: int = 8) -> Array:
    """The main directions in which 3 x 3 patches differ, and their negatives: [3, 3, 1, 2 count].

    After a ReLU one of the two filters sees an edge where the other sees its mirror image.
    """
    windows = np.lib.stride_tricks.sliding_window_view(images[..., 0], (3, 3), axis=(1, 2))
    patches = windows.reshape(-1, 9)
    patches = patches - patches.mean(axis=1, keepdims=True)
    _, directions = np.linalg.eigh(patches.T @ patches)
    main = directions[:, ::-1][:, :count]
    return np.concatenate([main, -main], axis=1).reshape(3, 3, 1, -1)


def settle(model: Layer, program: Any, images: Array, batch: int = 128, epochs: int = 3) -> None:
    """Run the training program over the images, and keep the moving statistics it leaves."""
    state: dict[str, Any] = {}
    for _ in range(epochs):
        for start in range(0, len(images) - batch + 1, batch):
            _, state = program.step(images[start : start + batch], state=state)
    for path, value in state.items():
        model.weights[path].assign(value)


def augmented(images: Array, labels: Array, noise: float = 0.2) -> tuple[Array, Array]:
    """The images as they are, shifted by a pixel in each direction, and with noise."""
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    versions = [
        padded[:, top : top + height, left : left + width]
        for top, left in ((1, 1), (0, 1), (1, 0), (1, 2), (2, 1))
    ]
    random = np.random.default_rng(0)
    versions.append((images + random.normal(0, noise, images.shape)).astype(images.dtype))
    return np.concatenate(versions), np.tile(labels, len(versions))


def ridge(features: Array, labels: Array, penalty: float = 0.3) -> tuple[Array, Array]:
    """Weights [features, 10] and bias [10] that best tell the labels from the features.

    Least squares on one-hot labels, `(F'F + penalty * mean(diag F'F) * I) W = F'T` for centered
    features F and labels T (Hoerl and Kennard, "Ridge regression", 1970).
    """
    targets = np.eye(10)[labels]
    center, mean = features.mean(axis=0), targets.mean(axis=0)
    centered = (features - center).astype("float64")
    gram = centered.T @ centered
    gram[np.diag_indices_from(gram)] += penalty * np.trace(gram) / len(gram)
    weights = np.linalg.solve(gram, centered.T @ (targets - mean))
    return weights, mean - center @ weights


def accuracy(scores: Array, labels: Array) -> float:
    """Share of the images whose highest score is that of their label."""
    return float((scores.argmax(axis=-1) == labels).mean())
