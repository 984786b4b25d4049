"""Padding that stands alone goes into the convolution or pooling after it.

    Conv(Pad(x, p), w) -> Conv(x, w, pads=p)
    MaxPool(Pad(Relu(x), p)) -> MaxPool(Relu(x), pads=p)

A convolution's own padding is zeros, too. A pooling's is never the largest, and so are zeros beside
numbers that are not negative. Every bit stays; a copy of the image is saved.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphctx.builder import Builder
from graphctx.graph import CallGraph, Node, Value
from graphctx.passes.simplify import elements, is_zero, made_by, new, permutation
from graphctx.passes.uses import transformed
from graphctx.spec import Dim


def fold_padding(graph: CallGraph) -> CallGraph:
    """Fold zeros around images, known in number, into the Conv or MaxPool that takes them.

    Between the two may stand a transpose (of a channels-last layer).
    """
    if not any(node.name == "Pad" and node.kind == "op" for node in graph.nodes):
        return graph
    return transformed(graph, _fold)


def _fold(
    node: Node, operands: tuple[Value | None, ...], builder: Builder
) -> Sequence[Value] | None:
    if node.kind != "op" or node.name not in ("Conv", "MaxPool"):
        return None
    attrs = dict(node.attrs)
    if attrs.pop("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or attrs.get("ceil_mode"):
        return None
    if len(node.outputs) > 1:
        return None  # indices of the largest elements, which count the padded image's
    transpose = made_by(operands[0], "Transpose")
    pad = made_by(transpose.operands[0] if transpose is not None else operands[0], "Pad")
    if pad is None or pad.operands[0] is None:
        return None
    x = pad.operands[0]
    counts = _zeros_around(pad, x.rank)
    if counts is None:
        return None
    if transpose is not None:
        perm = permutation(transpose, x.rank)
        counts = [counts[side + axis] for side in (0, x.rank) for axis in perm]
    before, after = counts[: x.rank], counts[x.rank :]
    if any(before[:2]) or any(after[:2]):
        return None  # of the batch or the channels
    added = before[2:] + after[2:]
    pads = [n + m for n, m in zip(attrs.get("pads") or [0] * len(added), added, strict=True)]
    if node.name == "MaxPool" and not (made_by(x, "Relu") and _within_windows(attrs, pads)):
        return None
    if transpose is not None:
        x = new(transpose, builder, "Transpose", [x], **transpose.attrs)
    return [new(node, builder, node.name, [x, *operands[1:]], **{**attrs, "pads": tuple(pads)})]


def _zeros_around(pad: Node, rank: int) -> list[int] | None:
    """How many zeros a Pad puts before, then after, each axis; None if it does anything else."""
    counts = elements(pad.operands[1])
    value, axes = (*pad.operands[2:], None, None)[:2]
    if pad.attrs.get("mode", "constant") != "constant" or axes is not None or counts is None:
        return None
    if value is not None and not is_zero(value):
        return None
    if len(counts) != 2 * rank or any(isinstance(n, Dim) or n < 0 for n in counts):
        return None
    return [int(n) for n in counts]


def _within_windows(attrs: dict[str, Any], pads: Sequence[int]) -> bool:
    """Whether every window has an element of the image."""
    kernel = attrs["kernel_shape"]
    dilated = any(step != 1 for step in attrs.get("dilations") or ())
    return not dilated and all(n < size for n, size in zip(pads, [*kernel, *kernel], strict=True))
