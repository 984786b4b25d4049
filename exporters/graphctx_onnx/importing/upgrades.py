"""Operators of older opsets in terms of the newest ones.

graphctx has every operator as the newest opset has it. A node of an older opset goes through the
upgrades of its operator, one after another: `@upgrade("Clip", 11)` makes of a node that means what
opset 10 says one that means what opset 11 says. A test walks the history of ONNX's schemas: every
version of an operator is one of an upgrade, or one that `SAME` lists as of no change in meaning
(more element types, clearer words, an attribute whose default is the old behaviour).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphctx.errors import LoadError
from graphctx.graph import Value
from graphctx_onnx.importing.nodes import Maker, Pending
from graphctx_onnx.importing.tensors import dtype_of_name

Results = Sequence[Value | None]
Upgrade = Callable[[Pending, Maker], Results | None]
"""Changes the node and returns None; or records operators and returns the node's outputs."""

UPGRADES: dict[str, dict[int, Upgrade]] = {}
"""Operator -> version from which on it has another meaning -> what a node before it means there."""


def upgrade(*names: str, to: int) -> Callable[[Upgrade], Upgrade]:
    """Register the upgrade of operators to a version."""

    def register(function: Upgrade) -> Upgrade:
        for name in names:
            UPGRADES.setdefault(name, {})[to] = function
        return function

    return register


def upgraded(node: Pending, make: Maker) -> Results | None:
    """Bring a node up to the newest opset; returns its outputs, if they are recorded already.

    Raises:
        LoadError: it means something that no operator of graphctx does.
    """
    version = node.version
    while True:
        steps = UPGRADES.get(node.name, {})
        following = min((to for to in steps if to > version), default=None)
        if following is None:
            return None
        name = node.name
        found = steps[following](node, make)
        if found is not None:
            return found
        version = following if node.name == name else node.version


# -- attributes that became operands --------------------------------------------------------------


def _to_operand(node: Pending, make: Maker, attribute: str, slot: int) -> None:
    numbers = node.attrs.pop(attribute, None)
    if numbers is None:
        return
    node.operands += [None] * (slot + 1 - len(node.operands))
    node.operands[slot] = make.ints(numbers if isinstance(numbers, tuple) else (numbers,))


@upgrade("Squeeze", "Unsqueeze", "ReduceSum", to=13)
@upgrade(
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
    "ReduceMin", "ReduceProd", "ReduceSumSquare", to=18,
)  # fmt: skip
def _axes(node: Pending, make: Maker) -> None:
    _to_operand(node, make, "axes", 1)


@upgrade("Split", to=13)
def _split(node: Pending, make: Maker) -> None:
    _to_operand(node, make, "split", 1)


@upgrade("Split", to=18)
def _split_evenly(node: Pending, make: Maker) -> None:
    if node.operand(1) is None:
        node.attrs["num_outputs"] = len(node.outputs)


@upgrade("TopK", to=10)
def _top_k(node: Pending, make: Maker) -> None:
    _to_operand(node, make, "k", 1)


@upgrade("Slice", to=10)
def _slice(node: Pending, make: Maker) -> None:
    starts, ends = node.attrs["starts"], node.attrs["ends"]
    axes = node.attrs.pop("axes", tuple(range(len(starts))))
    if not len(starts) == len(ends) == len(axes):
        raise LoadError(f"it has {len(starts)} starts, {len(ends)} ends and {len(axes)} axes")
    node.attrs["axes"] = axes
    for slot, name in enumerate(("starts", "ends", "axes"), 1):
        _to_operand(node, make, name, slot)


@upgrade("Pad", to=2)
def _pad_first(node: Pending, make: Maker) -> None:
    node.attrs["pads"] = node.attrs.pop("paddings")


@upgrade("Pad", to=11)
def _pad(node: Pending, make: Maker) -> None:
    value = node.attrs.pop("value", 0.0)
    _to_operand(node, make, "pads", 1)
    if node.attrs.get("mode", "constant") == "constant" and value:
        node.operands.append(make.scalar(value, node.required(0)))


@upgrade("Clip", to=11)
def _clip(node: Pending, make: Maker) -> None:
    x = node.required(0)
    limits = [node.attrs.pop(name, None) for name in ("min", "max")]
    node.operands += [None if limit is None else make.scalar(limit, x) for limit in limits]


@upgrade("Reshape", to=5)
def _reshape(node: Pending, make: Maker) -> None:
    _to_operand(node, make, "shape", 1)


@upgrade("Tile", to=6)
def _tile(node: Pending, make: Maker) -> Results:
    x = node.required(0)
    tiles, axis = (_known(node.required(slot), what) for slot, what in ((1, "tiles"), (2, "axis")))
    repeats = [1] * x.rank
    repeats[int(axis.item())] = int(tiles.item())
    return [make("Tile", x, make.ints(repeats))]


@upgrade("Upsample", to=7)
def _upsample_first(node: Pending, make: Maker) -> None:
    height, width = (node.attrs.pop(f"{name}_scale") for name in ("height", "width"))
    node.attrs["scales"] = (1.0, 1.0, height, width)
    mode = node.attrs.get("mode", "nearest")
    node.attrs["mode"] = {"bilinear": "linear"}.get(mode, mode)


@upgrade("Upsample", to=9)
def _upsample_scales(node: Pending, make: Maker) -> None:
    node.operands.append(make.constant(np.asarray(node.attrs.pop("scales"), np.float32)))


@upgrade("Upsample", to=10)
def _upsample(node: Pending, make: Maker) -> None:
    # Scales of 1 or more, where both operators take the pixel at or below.
    scales = node.operand(1)
    node.name, node.version = "Resize", 11
    node.operands = [node.required(0), None, scales]
    node.attrs |= {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}


@upgrade("Resize", to=11)
def _resize(node: Pending, make: Maker) -> Results | None:
    x, scales = node.required(0), _known(node.required(1), "scales")
    node.attrs["coordinate_transformation_mode"] = "asymmetric"
    node.operands = [x, None, node.operand(1)]
    if node.attrs.get("mode", "nearest") != "nearest" or not (scales < 1).any():
        node.attrs["nearest_mode"] = "floor"
        return None
    # Axes that shrink take the pixel at or above, those that grow the one at or below.
    shrink, grow = np.minimum(scales, 1), np.maximum(scales, 1)
    smaller = make("Resize", x, None, shrink, **{**node.attrs, "nearest_mode": "ceil"})
    return [make("Resize", smaller, None, grow, **{**node.attrs, "nearest_mode": "floor"})]


@upgrade("Resize", to=13)
def _resize_empty(node: Pending, make: Maker) -> None:
    """An empty tensor was an operand left out."""
    for slot in (1, 2):
        value = node.operand(slot)
        if value is not None and value.shape == (0,):
            node.operands[slot] = None


# -- broadcasting ---------------------------------------------------------------------------------


@upgrade("Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Xor", "Equal", "Less", "Greater", to=7)
def _broadcast(node: Pending, make: Maker) -> None:
    """Before opset 7 the second operand was broadcast from `axis` on, and only if asked for."""
    a, b = node.required(0), node.required(1)
    axis = node.attrs.pop("axis", None)
    if node.attrs.pop("broadcast", 0) and axis is not None:
        axis = axis + a.rank if axis < 0 else axis
        node.operands[1] = _trailing_ones(b, a.rank - axis - b.rank, make)


@upgrade("PRelu", to=7)
def _prelu(node: Pending, make: Maker) -> None:
    x, slope = node.required(0), node.required(1)
    if slope.rank == 1 and x.rank > 1:  # of channels
        node.operands[1] = _trailing_ones(slope, x.rank - 2, make)


@upgrade("Gemm", to=7)
def _gemm(node: Pending, make: Maker) -> None:
    node.attrs.pop("broadcast", None)


def _trailing_ones(x: Value, count: int, make: Maker) -> Value:
    if count <= 0:
        return x
    return make("Unsqueeze", x, make.ints(range(x.rank, x.rank + count)))


# -- normalization, dropout -----------------------------------------------------------------------


@upgrade("BatchNormalization", to=7)
def _batch_norm_first(node: Pending, make: Maker) -> None:
    if not node.attrs.pop("is_test", 0):
        _refuse_training(node, "is_test=0")


@upgrade("BatchNormalization", to=9)
def _batch_norm_spatial(node: Pending, make: Maker) -> Results | None:
    if node.attrs.pop("spatial", 1):
        return None
    if any(node.outputs[1:]):
        _refuse_training(node, "spatial=0")
    x, scale, bias, mean, variance = (node.required(slot) for slot in range(5))
    epsilon = make.scalar(node.attrs.get("epsilon", 1e-5), x)
    centred = make("Sub", x, mean)
    deviation = make("Sqrt", make("Add", variance, epsilon))
    return [make("Add", make("Mul", make("Div", centred, deviation), scale), bias)]


@upgrade("BatchNormalization", to=14)
def _batch_norm_training(node: Pending, make: Maker) -> None:
    """The number of outputs said whether it trained."""
    if any(node.outputs[3:]):
        raise LoadError(
            "its outputs saved_mean and saved_var, meant for the gradient, are used; no operator "
            "gives them any more"
        )
    if any(node.outputs[1:]):
        node.attrs["training_mode"] = 1


def _refuse_training(node: Pending, setting: str) -> None:
    if any(node.outputs[1:]):
        raise LoadError(f"training with {setting} cannot be said in the newest opset")


@upgrade("GroupNormalization", to=21)
def _group_norm(node: Pending, make: Maker) -> None:
    """One scale and bias a group became one a channel."""
    x, groups = node.required(0), node.attrs["num_groups"]
    channels = x.shape[1] if x.rank > 1 else None
    if not isinstance(channels, int) or groups < 1 or channels % groups:
        raise LoadError(f"its {channels} channels cannot be divided into {groups} groups")
    for slot in (1, 2):
        column = make("Unsqueeze", node.required(slot), make.ints([1]))
        wide = make("Expand", column, make.ints([groups, channels // groups]))
        node.operands[slot] = make("Reshape", wide, make.ints([-1]))


@upgrade("Dropout", to=7)
def _dropout_first(node: Pending, make: Maker) -> None:
    # A network that is run is not being trained: that flag was for exporters that left it in.
    node.attrs.pop("is_test", None)


@upgrade("Dropout", to=12)
def _dropout(node: Pending, make: Maker) -> Results:
    """Without a training mode it passes its operand on."""
    x = node.required(0)
    if not any(node.outputs[1:]):
        return [x]
    kept = np.ones(1, bool if node.version >= 10 else x.dtype)
    return [x, make("ConstantOfShape", make("Shape", x), value=kept)]


# -- Softmax and its kin --------------------------------------------------------------------------


@upgrade("Softmax", "LogSoftmax", "Hardmax", to=13)
def _flattened(node: Pending, make: Maker) -> Results:
    """Before opset 13 all axes from `axis` on were one."""
    x, axis = node.required(0), node.attrs.get("axis", 1)
    if not -x.rank <= axis <= x.rank:
        raise LoadError(f"axis {axis} is out of range for {x.rank} dimensions")
    axis = axis + x.rank if axis < 0 else axis
    if axis == x.rank - 1:
        return [make(node.name, x, axis=-1)]
    rows = make(node.name, make("Flatten", x, axis=axis), axis=-1)
    return [make("Reshape", rows, make("Shape", x))]


# -- others ---------------------------------------------------------------------------------------


@upgrade("Cast", to=6)
def _cast(node: Pending, make: Maker) -> None:
    """The element type was its name."""
    node.attrs["to"] = dtype_of_name(node.attrs["to"])


@upgrade("Concat", to=4)
def _concat(node: Pending, make: Maker) -> None:
    node.attrs.setdefault("axis", 1)


@upgrade("Scatter", to=11)
def _scatter(node: Pending, make: Maker) -> None:
    node.name, node.version = "ScatterElements", 11


@upgrade("OneHot", to=11)
def _one_hot(node: Pending, make: Maker) -> None:
    """A negative index was outside; now it counts from the end."""
    indices = node.required(0)
    if indices.dtype.kind in "if":
        zero = make.scalar(0, indices)
        outside = make.scalar(np.iinfo(indices.dtype).max, indices) if indices.dtype.kind == "i" \
            else make.scalar(float("inf"), indices)  # fmt: skip
        node.operands[0] = make("Where", make("Less", indices, zero), outside, indices)


@upgrade("DFT", to=20)
def _dft(node: Pending, make: Maker) -> None:
    axis = node.attrs.pop("axis", 1)
    node.operands += [None] * (2 - len(node.operands))
    node.operands.append(make.constant(np.asarray(axis, np.int64)))


@upgrade("GridSample", to=20)
def _grid_sample(node: Pending, make: Maker) -> None:
    mode = node.attrs.get("mode", "bilinear")
    node.attrs["mode"] = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)


@upgrade("RoiAlign", to=16)
def _roi_align(node: Pending, make: Maker) -> None:
    node.attrs["coordinate_transformation_mode"] = "output_half_pixel"


def _known(value: Value, what: str) -> np.ndarray[Any, Any]:
    """The array of an operand that the newest opset needs to know beforehand."""
    if value.constant is not None:
        return value.constant
    raise LoadError(
        f"its {what} are data, and what they decide has to be known in the newest opset"
    )
