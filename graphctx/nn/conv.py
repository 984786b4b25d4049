"""Convolution over images."""

from __future__ import annotations

from typing import Any

from graphctx import ops
from graphctx.layer import Layer, Variable
from graphctx.nn.activation import get_activation
from graphctx.nn.arguments import (
    as_floats,
    bad,
    bad_call,
    choice,
    float_dtype,
    image_format,
    known_size,
    positive,
    positive_pair,
    require_shape,
)
from graphctx.spec import same_dim, shape_text

__all__ = ["Conv2D"]

TO_CHANNELS_FIRST = (0, 3, 1, 2)
TO_CHANNELS_LAST = (0, 2, 3, 1)
PADDINGS = ("same", "valid")


def window_padding(
    padding: str,
    size: tuple[int, int],
    strides: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> dict[str, Any]:
    """The padding of `ops.conv` and `ops.max_pool` that is Keras's `padding`.

    "same" makes `ceil(input / stride)` windows an axis, with an odd zero after the input. With
    stride 1 it does not depend on the input's size, and so is written as numbers.
    """
    if padding == "valid":
        return {}
    if strides != (1, 1):
        return {"auto_pad": "SAME_UPPER"}
    total = [(n - 1) * d for n, d in zip(size, dilation, strict=True)]
    return {"pads": (*(n // 2 for n in total), *(n - n // 2 for n in total))}


def image_layout(data_format: str) -> str:
    """The dimensions of an image, for messages."""
    if data_format == "channels_last":
        return "[batch, height, width, channels]"
    return "[batch, channels, height, width]"


class Conv2D(Layer):
    """Convolution over the height and width of images, as neural networks have it.

    `y[i, j, o] = activation(sum over u, v, c of x[s*i + d*u, s*j + d*v, c] * kernel[u, v, c, o]
    + bias[o])`, with strides s and dilation rates d.

    Args:
        filters: number of output channels.
        kernel_size: height and width of the kernel, or one number for both.
        strides: steps between windows, likewise.
        padding: "valid" for none; "same" for zeros around the image, so that there is a window for
            every step of the image.
        data_format: "channels_last" (also None): [batch, height, width, channels];
            "channels_first": [batch, channels, height, width].
        dilation_rate: steps between the elements of a window; more than 1 not together with
            strides of more than 1, as in Keras.
        groups: channels are split into so many groups, each with kernels of its own.
        activation: a name such as `"relu"`, a layer or a function; None for none.
        use_bias: whether there is a bias.
        kernel_initializer: see `graphctx.initializers.initialize`.
        bias_initializer: likewise.
        dtype: of weights and computation; inputs of another dtype are converted, as in Keras.
        name: of the layer.

    Attributes:
        kernel: [height, width, input channels / groups, filters].
        bias: [filters], or None.

    The number of channels of the input must be known; batch, height and width may be symbolic.

    Raises:
        LayerError: a bad argument; groups that do not divide the channels; an input that is not
            an image, with another number of channels than the layer was built for, or not of
            numbers.
        ShapeError: the image is smaller than the kernel.
    """

    kernel: Variable
    bias: Variable | None

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        data_format: str | None = "channels_last",
        dilation_rate: Any = (1, 1),
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        *,
        dtype: Any = "float32",
        name: str | None = None,
    ) -> None:
        self.name = name
        self.filters = positive(self, "filters", filters)
        self.kernel_size = positive_pair(self, "kernel_size", kernel_size)
        self.strides = positive_pair(self, "strides", strides)
        self.padding = choice(self, "padding", padding, PADDINGS)
        self.data_format = image_format(self, data_format)
        self.dilation_rate = positive_pair(self, "dilation_rate", dilation_rate)
        self.groups = positive(self, "groups", groups)
        self.activation = get_activation(activation, self)
        self.use_bias = use_bias
        self.kernel_initializer = kernel_initializer
        self.bias_initializer = bias_initializer
        self.dtype = float_dtype(self, dtype)
        if self.filters % self.groups:
            raise bad(self, f"groups={groups} does not divide filters={filters}")
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise bad(
                self,
                f"strides={self.strides} and dilation_rate={self.dilation_rate} cannot both be "
                f"more than 1",
            )
        self._attributes = {
            "strides": self.strides,
            "dilations": self.dilation_rate,
            "group": self.groups,
            **window_padding(self.padding, self.kernel_size, self.strides, self.dilation_rate),
        }

    def build(self, input_shape: Any) -> None:
        """Create kernel and bias."""
        self._check(input_shape)
        axis = 3 if self.data_format == "channels_last" else 1
        channels = known_size(self, input_shape, axis, "number of input channels")
        if channels % self.groups:
            raise bad_call(
                self,
                f"has groups={self.groups}, which does not divide the {channels} channels of the "
                f"input {shape_text(input_shape)}",
            )
        self.kernel = self.add_weight(
            (*self.kernel_size, channels // self.groups, self.filters),
            self.kernel_initializer,
            name="kernel",
            dtype=self.dtype,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                (self.filters,), self.bias_initializer, name="bias", dtype=self.dtype
            )

    def _check(self, shape: Any) -> None:
        require_shape(self, shape, image_layout(self.data_format), least=4, most=4)

    def call(self, x: Any) -> Any:
        """Convolve images; see the class."""
        x = as_floats(self, x, self.dtype)
        self._check(x.shape)
        channels = x.shape[3 if self.data_format == "channels_last" else 1]
        if not same_dim(channels, self.kernel.shape[2] * self.groups):
            raise bad_call(
                self,
                f"was built for {self.kernel.shape[2] * self.groups} channels, got "
                f"{shape_text(x.shape)}, which is {image_layout(self.data_format)}",
            )
        # [height, width, in, out] -> [out, in, height, width], which compiling does once.
        kernel = ops.permute_dims(self.kernel.value, (3, 2, 0, 1))
        bias = None if self.bias is None else self.bias.value
        if self.data_format == "channels_last":
            x = ops.permute_dims(x, TO_CHANNELS_FIRST)
        y = ops.conv(x, kernel, bias, **self._attributes)
        if self.data_format == "channels_last":
            y = ops.permute_dims(y, TO_CHANNELS_LAST)
        return self.activation(y)
