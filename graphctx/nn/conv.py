"""Convolution over sequences, images and volumes: plain, transposed, depthwise and separable."""

from __future__ import annotations

from typing import Any

from graphctx import ops
from graphctx.layer import Variable
from graphctx.nn.activation import get_activation
from graphctx.nn.arguments import (
    as_floats,
    bad,
    bad_call,
    choice,
    flag,
    float_dtype,
    image_format,
    known_size,
    positive,
)
from graphctx.nn.space import Spatial, window_padding
from graphctx.spec import same_dim, shape_text

__all__ = [
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "SeparableConv1D",
    "SeparableConv2D",
]


class _Convolution(Spatial):
    """What all convolutions share."""

    bias: Variable | None

    def __init__(
        self,
        kernel_size: Any,
        strides: Any,
        padding: str,
        data_format: str | None,
        dilation_rate: Any,
        activation: Any,
        use_bias: bool,
        bias_initializer: Any,
        dtype: Any,
        *,
        paddings: tuple[str, ...] = ("valid", "same"),
        strided_dilation: bool = False,
    ) -> None:
        self.kernel_size = self._numbers("kernel_size", kernel_size)
        self.strides = self._numbers("strides", strides)
        self.padding = choice(self, "padding", padding, paddings)
        self.data_format = image_format(self, data_format)
        self.dilation_rate = self._numbers("dilation_rate", dilation_rate)
        self.activation = get_activation(activation, self)
        self.use_bias = flag(self, "use_bias", use_bias)
        self.bias_initializer = bias_initializer
        self.dtype = float_dtype(self, dtype)
        if not strided_dilation and max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise bad(
                self,
                f"strides={self.strides} and dilation_rate={self.dilation_rate} cannot both be "
                f"more than 1",
            )

    def _windows(self, x: Any) -> dict[str, Any]:
        """What `ops.conv` of a channels-first tensor takes beside the operands."""
        return {
            "strides": self.strides,
            "dilations": self.dilation_rate,
            **window_padding(
                self, self.padding, x.shape[2:], self.kernel_size, self.strides, self.dilation_rate
            ),
        }

    def _require_channels(self, shape: Any) -> int:
        """The number of channels of the input that the layer is built for."""
        self._require_layout(shape)
        self._channels = known_size(self, shape, self._channel_axis, "number of input channels")
        return self._channels

    def _add_bias(self, size: int) -> None:
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                (size,), self.bias_initializer, name="bias", dtype=self.dtype
            )

    def call(self, x: Any) -> Any:
        """Convolve; see the class."""
        x = as_floats(self, x, self.dtype)
        self._require_layout(x.shape)
        if not same_dim(x.shape[self._channel_axis], self._channels):
            raise bad_call(
                self,
                f"was built for {self._channels} channels, got {shape_text(x.shape)}, which is "
                f"{self._layout}",
            )
        bias = None if self.bias is None else self.bias.value
        y = self._convolved(self._channels_first(x), bias)
        return self.activation(self._as_given(y))

    def _convolved(self, x: Any, bias: Any) -> Any:
        """The convolution of a channels-first tensor."""
        raise NotImplementedError

    def _kernel(self, kernel: Any, *, in_order: bool = False) -> Any:
        """A kernel [space..., a, b] as ONNX has it: [b, a, space...], or [a, b, space...] in order.

        Compiling does that once.
        """
        first = (self.rank, self.rank + 1) if in_order else (self.rank + 1, self.rank)
        return ops.permute_dims(kernel, (*first, *range(self.rank)))


class _Conv(_Convolution):
    """Convolution, as neural networks have it.

    `y[i, o] = activation(sum over u, c of x[s * i + d * u, c] * kernel[u, c, o] + bias[o])`, where
    i and u are places in {axes}, with strides s and dilation rates d.

    Args:
        filters: number of output channels.
        kernel_size: size of the kernel: {numbers}.
        strides: steps between windows, likewise.
        padding: "valid" for none; "same" for zeros around the {thing}, so that there is a window
            for every step of it.
        data_format: "channels_last" (also None): {channels_last};
            "channels_first": {channels_first}.
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
        kernel: [{space}, input channels / groups, filters].
        bias: [filters], or None.

    Output in the layout of the input. The number of its channels must be known; all other
    dimensions may be symbolic.

    Raises:
        LayerError: a bad argument; groups that do not divide the channels; an input in another
            layout, with another number of channels than the layer was built for, not of numbers, or
            smaller than the kernel.
    """

    kernel: Variable

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = "channels_last",
        dilation_rate: Any = 1,
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
        self.groups = positive(self, "groups", groups)
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            bias_initializer, dtype,
            paddings=("valid", "same", "causal") if self.rank == 1 else ("valid", "same"),
        )  # fmt: skip
        self.kernel_initializer = kernel_initializer
        if self.filters % self.groups:
            raise bad(self, f"groups={groups} does not divide filters={filters}")

    def build(self, input_shape: Any) -> None:
        """Create kernel and bias."""
        channels = self._require_channels(input_shape)
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
        self._add_bias(self.filters)

    def _convolved(self, x: Any, bias: Any) -> Any:
        kernel = self._kernel(self.kernel.value)
        return ops.conv(x, kernel, bias, group=self.groups, **self._windows(x))


class Conv1D(_Conv, rank=1):
    """Convolution over the steps of sequences, as neural networks have it.

    The padding may also be "causal": zeros before the sequence only, so that no element of the
    output depends on later steps.
    """


class Conv2D(_Conv, rank=2):
    """Convolution over the height and width of images, as neural networks have it."""


class Conv3D(_Conv, rank=3):
    """Convolution over the depth, height and width of volumes, as neural networks have it."""


class _ConvTranspose(_Convolution):
    """Transposed convolution.

    The gradient of a convolution with respect to its input, made a layer: `x[i, c]` adds
    `x[i, c] * kernel[u, o, c]` to `y[s * i + d * u - p, o]`, where i and u are places in
    {axes}, with strides s and dilation rates d; bias and activation follow.

    Args:
        filters: number of output channels.
        kernel_size: size of the kernel: {numbers}.
        strides: steps in the output for one of the input, likewise.
        padding: with kernels that extend over `e = (kernel_size - 1) * dilation_rate + 1` steps,
            "valid" (p is 0) makes an axis `(size - 1) * strides + max(e, strides)` long; "same"
            `size * strides`, cutting off as much in front (p) as at the end, or one less.
        output_padding: {numbers},
            less than the strides. Then the lengths are
            `(size - 1) * strides + e + output_padding` and
            `(size - 1) * strides + e % 2 + output_padding`.
        data_format: "channels_last" (also None): {channels_last};
            "channels_first": {channels_first}.
        dilation_rate: steps between the elements of the kernel; more than 1 not together with
            strides of more than 1, as in Keras.
        activation: a name such as `"relu"`, a layer or a function; None for none.
        use_bias: whether there is a bias.
        kernel_initializer: see `graphctx.initializers.initialize`.
        bias_initializer: likewise.
        dtype: of weights and computation; inputs of another dtype are converted, as in Keras.
        name: of the layer.

    Attributes:
        kernel: [{space}, filters, input channels].
        bias: [filters], or None.

    Output in the layout of the input. The number of its channels must be known; all other
    dimensions may be symbolic.

    Raises:
        LayerError: a bad argument; an input in another layout, with another number of channels
            than the layer was built for, or not of numbers.
        ShapeError: nothing is left of an axis.
    """

    kernel: Variable

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = "channels_last",
        dilation_rate: Any = 1,
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
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            bias_initializer, dtype,
        )  # fmt: skip
        self.kernel_initializer = kernel_initializer
        self.output_padding = None
        if output_padding is not None:
            self.output_padding = self._numbers("output_padding", output_padding, least=0)
            if any(n >= s for n, s in zip(self.output_padding, self.strides, strict=True)):
                raise bad(
                    self,
                    f"output_padding={self.output_padding} must be less than "
                    f"strides={self.strides} along each axis",
                )
        extra = self.output_padding or (None,) * self.rank
        ends = [
            _cut(self.padding == "same", (k - 1) * d + 1, s, added)
            for k, s, d, added in zip(
                self.kernel_size, self.strides, self.dilation_rate, extra, strict=True
            )
        ]
        self._spread: dict[str, Any] = {
            "strides": self.strides,
            "dilations": self.dilation_rate,
            "pads": (*(before for before, _ in ends), *(max(after, 0) for _, after in ends)),
            "output_padding": tuple(max(-after, 0) for _, after in ends),
        }

    def build(self, input_shape: Any) -> None:
        """Create kernel and bias."""
        channels = self._require_channels(input_shape)
        self.kernel = self.add_weight(
            (*self.kernel_size, self.filters, channels),
            self.kernel_initializer,
            name="kernel",
            dtype=self.dtype,
        )
        self._add_bias(self.filters)

    def _convolved(self, x: Any, bias: Any) -> Any:
        return ops.conv_transpose(x, self._kernel(self.kernel.value), bias, **self._spread)


def _cut(same: bool, extent: int, stride: int, added: int | None) -> tuple[int, int]:
    """What a transposed convolution cuts off before and after an axis; less than 0 is added.

    As in Keras's `_convert_conv_transpose_padding_args_from_keras_to_jax`. Uncut, the axis is
    `(size - 1) * stride + extent` long.
    """
    if not same:
        return 0, -(max(stride - extent, 0) if added is None else added)
    if added is None:
        length = stride  # of the output of a single element
    else:
        length = extent % 2 + added
    rest = extent - length
    # The half that comes first is the smaller one; where there is nothing to cut, all is added
    # at the end.
    before = max(rest // 2, 0)
    return before, rest - before


class Conv1DTranspose(_ConvTranspose, rank=1):
    """Transposed convolution over the steps of sequences."""


class Conv2DTranspose(_ConvTranspose, rank=2):
    """Transposed convolution over the height and width of images."""


class Conv3DTranspose(_ConvTranspose, rank=3):
    """Transposed convolution over the depth, height and width of volumes."""


class _DepthwiseConv(_Convolution):
    """Convolution of each channel for itself.

    `y[i, c * depth_multiplier + m] = activation(sum over u of x[s * i + d * u, c] * kernel[u, c, m]
    + bias[c * depth_multiplier + m])`, where i and u are places in {axes}, with strides s and
    dilation rates d.

    Args:
        kernel_size: size of the kernel: {numbers}.
        strides: steps between windows, likewise.
        padding: "valid" for none; "same" for zeros around the {thing}, so that there is a window
            for every step of it.
        depth_multiplier: number of output channels for each input channel.
        data_format: "channels_last" (also None): {channels_last};
            "channels_first": {channels_first}.
        dilation_rate: steps between the elements of a window.
        activation: a name such as `"relu"`, a layer or a function; None for none.
        use_bias: whether there is a bias.
        depthwise_initializer: of the kernel; see `graphctx.initializers.initialize`.
        bias_initializer: likewise.
        dtype: of weights and computation; inputs of another dtype are converted, as in Keras.
        name: of the layer.

    Attributes:
        kernel: [{space}, input channels, depth_multiplier].
        bias: [input channels * depth_multiplier], or None.

    Output in the layout of the input. The number of its channels must be known; all other
    dimensions may be symbolic.

    Raises:
        LayerError: a bad argument; an input in another layout, with another number of channels
            than the layer was built for, not of numbers, or smaller than the kernel.
    """

    kernel: Variable

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = "channels_last",
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        *,
        dtype: Any = "float32",
        name: str | None = None,
    ) -> None:
        self.name = name
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            bias_initializer, dtype, strided_dilation=True,
        )  # fmt: skip
        self.depth_multiplier = positive(self, "depth_multiplier", depth_multiplier)
        self.depthwise_initializer = depthwise_initializer

    def build(self, input_shape: Any) -> None:
        """Create kernel and bias."""
        channels = self._require_channels(input_shape)
        self.kernel = self.add_weight(
            (*self.kernel_size, channels, self.depth_multiplier),
            self.depthwise_initializer,
            name="kernel",
            dtype=self.dtype,
        )
        self._add_bias(channels * self.depth_multiplier)

    def _convolved(self, x: Any, bias: Any) -> Any:
        return ops.conv(
            x, _depthwise(self, self.kernel), bias, group=self._channels, **self._windows(x)
        )


def _depthwise(layer: _Convolution, kernel: Variable) -> Any:
    """A kernel [space..., channels, multiplier] as ONNX has it: [outputs, 1, space...]."""
    channels, multiplier = kernel.shape[-2:]
    moved = layer._kernel(kernel.value, in_order=True)
    if multiplier == 1:
        return moved
    return ops.reshape(moved, (channels * multiplier, 1, *layer.kernel_size))


class DepthwiseConv1D(_DepthwiseConv, rank=1):
    """Convolution of each channel of sequences for itself."""


class DepthwiseConv2D(_DepthwiseConv, rank=2):
    """Convolution of each channel of images for itself."""


class _SeparableConv(_Convolution):
    """Convolution of each channel for itself, then of all channels at each place.

    `h[i, c * depth_multiplier + m] = sum over u of x[s * i + d * u, c] * depthwise_kernel[u, c, m]`
    and `y[i, o] = activation(sum over k of h[i, k] * pointwise_kernel[k, o] + bias[o])`, where i
    and u are places in {axes}, with strides s and dilation rates d.

    Args:
        filters: number of output channels.
        kernel_size: size of the depthwise kernel: {numbers}.
        strides: steps between windows, likewise.
        padding: "valid" for none; "same" for zeros around the {thing}, so that there is a window
            for every step of it.
        data_format: "channels_last" (also None): {channels_last};
            "channels_first": {channels_first}.
        dilation_rate: steps between the elements of a window.
        depth_multiplier: number of channels in between for each input channel.
        activation: a name such as `"relu"`, a layer or a function; None for none.
        use_bias: whether there is a bias.
        depthwise_initializer: see `graphctx.initializers.initialize`.
        pointwise_initializer: likewise.
        bias_initializer: likewise.
        dtype: of weights and computation; inputs of another dtype are converted, as in Keras.
        name: of the layer.

    Attributes:
        depthwise_kernel: [{space}, input channels, depth_multiplier].
        pointwise_kernel: [{ones}, input channels * depth_multiplier, filters].
        bias: [filters], or None.

    Output in the layout of the input. The number of its channels must be known; all other
    dimensions may be symbolic.

    Raises:
        LayerError: a bad argument; an input in another layout, with another number of channels
            than the layer was built for, not of numbers, or smaller than the kernel.
    """

    depthwise_kernel: Variable
    pointwise_kernel: Variable

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = "channels_last",
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        *,
        dtype: Any = "float32",
        name: str | None = None,
    ) -> None:
        self.name = name
        self.filters = positive(self, "filters", filters)
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            bias_initializer, dtype, strided_dilation=True,
        )  # fmt: skip
        self.depth_multiplier = positive(self, "depth_multiplier", depth_multiplier)
        self.depthwise_initializer = depthwise_initializer
        self.pointwise_initializer = pointwise_initializer

    def build(self, input_shape: Any) -> None:
        """Create both kernels and the bias."""
        channels = self._require_channels(input_shape)
        self.depthwise_kernel = self.add_weight(
            (*self.kernel_size, channels, self.depth_multiplier),
            self.depthwise_initializer,
            name="depthwise_kernel",
            dtype=self.dtype,
        )
        self.pointwise_kernel = self.add_weight(
            (*(1,) * self.rank, channels * self.depth_multiplier, self.filters),
            self.pointwise_initializer,
            name="pointwise_kernel",
            dtype=self.dtype,
        )
        self._add_bias(self.filters)

    def _convolved(self, x: Any, bias: Any) -> Any:
        h = ops.conv(
            x, _depthwise(self, self.depthwise_kernel), group=self._channels, **self._windows(x)
        )
        return ops.conv(h, self._kernel(self.pointwise_kernel.value), bias)


class SeparableConv1D(_SeparableConv, rank=1):
    """Convolution of each channel of sequences for itself, then of all channels at each step."""


class SeparableConv2D(_SeparableConv, rank=2):
    """Convolution of each channel of images for itself, then of all channels at each place."""
