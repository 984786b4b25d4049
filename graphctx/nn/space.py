"""What layers over space share: sequences, images and volumes, channels last or first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from graphctx import ops
from graphctx.layer import Layer
from graphctx.nn.arguments import bad_call, numbers_of_axes, require_shape
from graphctx.nn.docstrings import continue_docstring
from graphctx.spec import Dim, DimLike, shape_text

AXES = {1: ("steps",), 2: ("height", "width"), 3: ("depth", "height", "width")}
THINGS = {1: "sequence", 2: "image", 3: "volume"}


class Spatial(Layer):
    """A layer over one to three axes of space.

    A family has a base class for any number of axes; `class Conv2D(_Conv, rank=2)` is it for two.
    Its docstring goes on as that of the base, with `words` filled in (see `continue_docstring`).

    Attributes:
        rank: number of axes of space.
        data_format: "channels_last" or "channels_first".
    """

    rank: ClassVar[int]
    data_format: str = "channels_last"

    def __init_subclass__(cls, rank: int | None = None, **options: Any) -> None:
        super().__init_subclass__(**options)
        if rank is None:
            return
        cls.rank = rank
        continue_docstring(cls, **words(rank))

    def _numbers(self, what: str, value: Any, *, least: int = 1) -> tuple[int, ...]:
        """An argument that is a number for each axis of space, or one for all."""
        return numbers_of_axes(self, what, value, AXES[self.rank], least=least)

    @property
    def _layout(self) -> str:
        """The dimensions of an input, for messages."""
        return layout(self.rank, self.data_format)

    @property
    def _channel_axis(self) -> int:
        return 1 if self.data_format == "channels_first" else self.rank + 1

    @property
    def _space_axes(self) -> tuple[int, ...]:
        start = 2 if self.data_format == "channels_first" else 1
        return tuple(range(start, start + self.rank))

    def _require_layout(self, shape: Any) -> None:
        """Refuse an input with another number of dimensions."""
        require_shape(self, shape, self._layout, least=self.rank + 2, most=self.rank + 2)

    def _channels_first(self, x: Any) -> Any:
        """The input as ONNX's operators take it."""
        if self.data_format == "channels_first":
            return x
        return ops.permute_dims(x, (0, self.rank + 1, *range(1, self.rank + 1)))

    def _as_given(self, y: Any) -> Any:
        """What such an operator returns, in the layout of the input."""
        if self.data_format == "channels_first":
            return y
        return ops.permute_dims(y, (0, *range(2, self.rank + 2), 1))


def words(rank: int) -> dict[str, str]:
    """What the docstrings of a family call what there are that many axes of."""
    axes = AXES[rank]
    one_each = f"({', '.join(axes)})"
    sides = "how many: a number for both ends, or two (before, after)"
    if rank > 1:
        sides = f"a number for all, or one or two (before, after) for each of {one_each}"
    return {
        "thing": THINGS[rank],
        "axes": " and ".join(", ".join(axes).rsplit(", ", 1)),
        "numbers": "a number" if rank == 1 else f"a number for all axes, or {one_each}",
        "space": ", ".join(axes),
        "ones": ", ".join("1" for _ in axes),
        "sides": sides,
        "channels_last": layout(rank, "channels_last"),
        "channels_first": layout(rank, "channels_first"),
    }


def layout(rank: int, data_format: str) -> str:
    """The dimensions of a tensor: `[batch, height, width, channels]`."""
    axes = ", ".join(AXES[rank])
    if data_format == "channels_first":
        return f"[batch, channels, {axes}]"
    return f"[batch, {axes}, channels]"


def shape_of(x: Any) -> tuple[DimLike, ...]:
    """The shape of an input; what is no tensor is returned as it is, to be refused."""
    shape: tuple[DimLike, ...] = getattr(x, "shape", x)
    return shape


def window_padding(
    layer: Layer,
    padding: str,
    sizes: Sequence[DimLike],
    window: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
) -> dict[str, Any]:
    """The attributes of convolution and pooling that are Keras's `padding`.

    "same" makes `ceil(size / stride)` windows an axis, with an odd zero at the end; "causal" pads
    before the input only, "valid" not at all.

    Raises:
        LayerError: a window is larger than what it moves over, or the padding depends on a symbolic
            size in a way that onnxruntime refuses.
    """
    reach = [(n - 1) * d for n, d in zip(window, dilation, strict=True)]
    if padding == "valid":
        for axis, size, more in zip(AXES[len(sizes)], sizes, reach, strict=True):
            if not isinstance(size, Dim) and size <= more:
                raise bad_call(
                    layer,
                    f"has windows of {more + 1} along the axis {axis}, where the input has {size}; "
                    f"use padding='same', or a larger input",
                )
    if padding == "valid" or not any(reach):
        return {}
    if padding == "causal":
        return {"pads": (*reach, *(0 for _ in reach))}
    total = []
    for size, stride, more in zip(sizes, strides, reach, strict=True):
        if stride == 1:
            total.append(more)
        elif not isinstance(size, Dim):
            total.append(max((-(-size // stride) - 1) * stride + more + 1 - size, 0))
        elif max(dilation) == 1:
            return {"auto_pad": "SAME_UPPER"}
        else:
            raise bad_call(
                layer,
                f"needs numbers as sizes of space for padding='same' with strides and dilation, "
                f"got {shape_text(sizes)}; give these dimensions numbers in the TensorSpec",
            )
    return {"pads": (*(n // 2 for n in total), *(n - n // 2 for n in total))}
