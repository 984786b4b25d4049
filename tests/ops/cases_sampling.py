"""Cases of sampling between the elements of images."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.ops.build import random, refused
from tests.ops.case import Case

F = np.float32


def ints(*values: int) -> Any:
    return np.asarray(values, np.int64)


# -- grids ----------------------------------------------------------------------------------------


def affine(batch: int, *space: int, dtype: Any = "float32", **attrs: Any) -> Case:
    rank = len(space)
    theta = random((batch, rank, rank + 1), dtype, low=-1, high=1)
    tolerance = {"float16": 2e-3, "float32": 2e-6, "float64": 1e-6}[dtype]
    return Case(
        "AffineGrid", (theta, ints(batch, 3, *space)), attrs, constant=(1,), tolerance=tolerance
    )


AFFINE = [
    *(
        affine(2, *space, align_corners=corners)
        for space in ((5, 6), (1, 4), (3, 4, 5), (1, 1, 2))
        for corners in (0, 1)
    ),
    affine(2, 3, 4, dtype="float64"),
    affine(2, 3, 4, dtype="float16"),
]

IMAGE, VOLUME = random((2, 3, 5, 6)), random((2, 3, 3, 4, 5), seed=1)
# Some of it lies far outside.
GRID = random((2, 4, 7, 2), seed=2, low=-2.6, high=2.6)
DEEP = random((2, 2, 4, 3, 3), seed=3, low=-2.6, high=2.6)
SPACE = {0: {0: "n", 1: "c", 2: "h", 3: "w"}, 1: {0: "n", 1: "i", 2: "j"}}


def sampled(x: Any, grid: Any, *, tolerance: float = 2e-5, **attrs: Any) -> Case:
    symbolic = SPACE if x.ndim == 4 else {0: {1: "c"}, 1: {1: "i"}}
    return Case("GridSample", (x, grid), attrs, symbolic=symbolic, tolerance=tolerance)


PADDINGS = ("zeros", "border", "reflection")
CORNERS = ints(-1, 1, 0)[:, None] * np.ones((1, 2), F)

GRID_SAMPLE = [
    *(
        sampled(x, grid, mode=mode, padding_mode=padding, align_corners=corners)
        for x, grid, modes in (
            (IMAGE, GRID, ("linear", "nearest", "cubic")),
            (VOLUME, DEEP, ("linear", "nearest")),
        )
        for mode in modes
        for padding in PADDINGS
        for corners in (0, 1)
    ),
    # The corners and the middle, exactly.
    *(
        sampled(IMAGE, np.broadcast_to(CORNERS, (2, 3, 3, 2)).astype(F), mode=mode, padding_mode=p,
                align_corners=corners)
        for mode in ("linear", "nearest")
        for p in PADDINGS
        for corners in (0, 1)
    ),
    sampled(random((1, 2, 1, 1)), GRID[:1], padding_mode="reflection"),
    sampled(IMAGE[:0], GRID[:0]),
    Case("GridSample", (random((2, 3, 5, 6), "float64"), GRID.astype(np.float64)), tolerance=1e-9),
    sampled(random((2, 3, 5, 6), "float16"), GRID, tolerance=5e-3),
    *(
        refused(
            sampled(VOLUME, DEEP, mode="cubic", padding_mode=padding), "onnxruntime has no kernel"
        )
        for padding in PADDINGS
    ),
    refused(sampled(IMAGE[:, :, 0], GRID[:, 0, :, :1]), "onnxruntime has no kernel"),
    refused(
        sampled(random((2, 3, 5, 6), "int32", high=99), GRID, mode="nearest"),
        "onnxruntime has no kernel",
    ),
    refused(sampled(random((2, 3, 5, 6), "uint8", high=200), GRID), "onnxruntime has no kernel"),
    refused(
        sampled(random((2, 3, 5, 6), "bool"), GRID, mode="nearest"), "onnxruntime has no kernel"
    ),
]  # fmt: skip

# -- regions --------------------------------------------------------------------------------------

FEATURES = random((2, 3, 9, 11), seed=4)
BOXES = np.asarray(
    [[0, 0, 10, 8], [2.3, 1.7, 7.9, 5.2], [-4, -3, 3, 4], [6, 5, 20, 19], [4, 4, 4, 4]], F
)
IMAGES = ints(0, 1, 1, 0, 1)
REGIONS = {0: {0: "n", 1: "c", 2: "h", 3: "w"}, 1: {0: "r"}}


def aligned(**attrs: Any) -> Case:
    case = Case(
        "RoiAlign", (FEATURES, BOXES, IMAGES), attrs, symbolic={**REGIONS, 2: {0: "r"}},
        tolerance=2e-5,
    )  # fmt: skip
    return refused(case, "onnxruntime has no kernel at this opset")


def pooled(**attrs: Any) -> Case:
    rois = np.concatenate([IMAGES[:, None].astype(F), BOXES], 1)
    case = Case("MaxRoiPool", (FEATURES, rois), attrs, symbolic=REGIONS)
    return refused(case, "onnxruntime has no kernel at this opset")


# `test_sampling.py` compares these with onnxruntime at the last opset that it has kernels for.
ROI = [
    *(
        aligned(
            output_height=4, output_width=3, sampling_ratio=ratio, mode=mode,
            coordinate_transformation_mode=transform,
        )
        for ratio in (0, 1, 2)
        for mode in ("avg", "max")
        for transform in ("half_pixel", "output_half_pixel")
    ),
    aligned(),
    aligned(output_height=2, output_width=2, spatial_scale=0.5),
    aligned(output_height=7, output_width=7, spatial_scale=3.0),
    pooled(pooled_shape=(2, 3)),
    pooled(pooled_shape=(1, 1), spatial_scale=0.5),
    pooled(pooled_shape=(7, 7)),
]  # fmt: skip

# -- deformable convolution -----------------------------------------------------------------------


def deformed(
    x: Any, w: Any, *, bias: bool = False, mask: bool = False, offset_group: int = 1,
    spread: float = 2.0, symbolic: Any = None, tolerance: float = 5e-5, **attrs: Any,
) -> Case:  # fmt: skip
    rank = x.ndim - 2
    taps = int(np.prod(w.shape[2:])) * offset_group
    places = []
    for i in range(rank):
        pads = attrs.get("pads", (0,) * 2 * rank)
        extent = (w.shape[2 + i] - 1) * attrs.get("dilations", (1,) * rank)[i] + 1
        stride = attrs.get("strides", (1,) * rank)[i]
        places.append((x.shape[2 + i] + pads[i] + pads[rank + i] - extent) // stride + 1)
    operands = [
        x, w, random((x.shape[0], taps * rank, *places), x.dtype, 5, -spread, spread),
        random(w.shape[:1], x.dtype, 6) if bias else None,
        random((x.shape[0], taps, *places), x.dtype, 7, 0, 1) if mask else None,
    ]  # fmt: skip
    if offset_group > 1:
        attrs["offset_group"] = offset_group
    return Case("DeformConv", operands, attrs, symbolic=symbolic or {}, tolerance=tolerance)


PLANE = random((2, 4, 6, 7), seed=8)
BATCH = {index: {0: "n"} for index in (0, 2, 4)}

DEFORM = [
    deformed(PLANE, random((6, 4, 3, 3)), symbolic={0: {0: "n"}, 2: {0: "n"}}),
    deformed(PLANE, random((6, 4, 3, 3)), bias=True, mask=True, symbolic=BATCH),
    deformed(PLANE, random((6, 4, 3, 2)), pads=(1, 0, 2, 1), mask=True),
    deformed(PLANE, random((6, 4, 2, 2)), strides=(2, 3), pads=(1, 1, 1, 1), spread=9),
    deformed(PLANE, random((6, 4, 2, 2)), dilations=(2, 3), kernel_shape=(2, 2)),
    deformed(PLANE, random((6, 2, 3, 3)), group=2, bias=True),
    deformed(PLANE, random((4, 1, 3, 3)), group=4, offset_group=2, mask=True),
    deformed(PLANE, random((6, 4, 1, 1)), offset_group=4, spread=0),
    Case(
        "DeformConv",
        (random((1, 2, 4, 4), "float64"), random((2, 2, 2, 2), "float64"),
         random((1, 8, 3, 3), "float64")),
        tolerance=1e-12,
    ),
    deformed(random((1, 2, 4, 4), "float16"), random((2, 2, 2, 2), "float16"), tolerance=2e-2),
    *(
        refused(case, "onnxruntime has no kernel")
        for case in (
            deformed(random((2, 3, 9)), random((4, 3, 3)), mask=True),
            deformed(random((1, 2, 4, 4, 4)), random((2, 2, 2, 2, 2))),
        )
    ),
]  # fmt: skip

CASES: list[Case] = [*AFFINE, *GRID_SAMPLE, *ROI, *DEFORM]
