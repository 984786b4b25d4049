"""Cases of Resize; `test_resize.py` draws many more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.ops.build import random
from tests.ops.case import Case

IMAGE = random((2, 3, 5, 4))
NHW = {0: {0: "n", 2: "h", 3: "w"}}
COORDINATES = (
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
)  # fmt: skip


def resize(
    x: Any, *, scales: Sequence[float] | None = None, sizes: Sequence[int] | None = None,
    roi: Sequence[float] | None = None, symbolic: Any = None, why_not: str = "",
    tolerance: float | None = None, **attrs: Any,
) -> Case:  # fmt: skip
    exact = attrs.get("mode", "nearest") == "nearest"
    operands = (
        x,
        None if roi is None else np.array(roi, np.float32),
        None if scales is None else np.array(scales, np.float32),
        None if sizes is None else np.array(sizes, np.int64),
    )
    return Case(
        "Resize", operands, attrs, constant=(1, 2, 3), symbolic=symbolic or {},
        tolerance=(0 if exact else 1e-5) if tolerance is None else tolerance,
        onnxruntime=not why_not, why_not=why_not,
    )  # fmt: skip


NO_KERNEL = "onnxruntime has no kernel"
ROI = (0, 0, 0.2, -0.3, 1, 1, 0.9, 1.4)

CASES: list[Case] = [
    resize(IMAGE, scales=(1, 1, 2, 3), symbolic=NHW),
    resize(IMAGE, scales=(1, 1, 0.5, 0.75), symbolic=NHW),
    resize(IMAGE, scales=(1, 1, 1.5, 0.5), symbolic=NHW, mode="linear"),
    resize(IMAGE, scales=(1, 1, 1.5, 0.5), symbolic=NHW, mode="cubic"),
    resize(IMAGE, scales=(1, 1, 1.3, 0.6), symbolic={0: {0: "n"}}),
    resize(IMAGE, sizes=(2, 3, 7, 3)),
    resize(IMAGE, sizes=(7, 3), axes=(2, 3), symbolic=NHW),
    resize(IMAGE, sizes=(3, 7), axes=(3, 2), symbolic=NHW, mode="linear"),
    resize(IMAGE, scales=(2, 2), axes=(2, 3), symbolic=NHW),
    resize(IMAGE, scales=(2,), axes=(3,), symbolic=NHW, mode="cubic"),
    resize(IMAGE, scales=(1.5, 2, 0.5, 3)),  # "nearest" takes any axes
    resize(IMAGE, scales=(1, 1.5, 2, 1), mode="linear"),  # channels last
    resize(IMAGE, scales=(1, 1, 1, 1), symbolic=NHW),
    resize(IMAGE, scales=(1, 1, 1, 1), mode="linear"),
    *(
        resize(
            IMAGE, sizes=sizes, axes=(2, 3), symbolic=NHW, nearest_mode=rounding,
            coordinate_transformation_mode=coordinates,
        )
        for coordinates in COORDINATES
        for rounding in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
        for sizes in ((3, 7), (10, 1))
    ),
    *(
        resize(
            IMAGE, scales=scales, axes=(2, 3), mode=mode, coordinate_transformation_mode=coordinates
        )
        for coordinates in COORDINATES
        for mode in ("linear", "cubic")
        for scales in ((0.6, 1.7), (2.6, 0.3))
    ),
    *(
        resize(IMAGE, sizes=sizes, axes=(2, 3), mode=mode, antialias=1, exclude_outside=outside)
        for mode in ("linear", "cubic")
        for outside in (0, 1)
        for sizes in ((2, 7), (4, 1), (10, 3))
    ),
    resize(IMAGE, sizes=(7, 2), axes=(2, 3), mode="cubic", exclude_outside=1, cubic_coeff_a=-0.5),
    resize(
        IMAGE, sizes=(7, 2), axes=(2, 3), mode="linear", exclude_outside=1,
        why_not="onnxruntime excludes what is outside with cubic only",
    ),
    *(
        resize(
            IMAGE, sizes=sizes, axes=(2, 3), mode=mode, roi=(0.2, -0.3, 0.9, 1.4),
            coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=9.0,
        )
        for mode in ("nearest", "linear", "cubic")
        for sizes in ((3, 7), (1, 2))
    ),
    resize(
        IMAGE, sizes=(2, 3, 3, 6), mode="linear", roi=ROI,
        coordinate_transformation_mode="tf_crop_and_resize",
    ),
    *(
        resize(IMAGE, sizes=(7, 7), axes=(2, 3), mode=mode, keep_aspect_ratio_policy=policy)
        for mode in ("nearest", "linear")
        for policy in ("not_larger", "not_smaller")
    ),
    resize(random((3, 7)), scales=(2, 0.5), mode="linear", symbolic={0: {0: "n"}}),
    resize(random((7,)), scales=(1.5,), symbolic={0: {0: "n"}}),
    resize(random((2, 3, 7)), sizes=(2, 3, 4), mode="linear"),
    resize(random((2, 3, 4, 5, 6)), sizes=(7, 2, 4), axes=(2, 3, 4), mode="linear"),
    resize(random((2, 3, 4, 5, 6)), scales=(1, 1, 2, 2, 2), symbolic={0: {2: "d", 4: "w"}}),
    resize(random((0, 3, 4, 4)), sizes=(2, 2), axes=(2, 3), symbolic={0: {0: "n"}}),
    *(
        resize(random((1, 2, 4, 4), dtype), scales=(1, 1, 1.5, 0.5))
        for dtype in ("int8", "uint8", "int32", "float16")
    ),
    *(
        resize(random((1, 2, 4, 4), dtype, high=90), sizes=(6, 3), axes=(2, 3), mode="linear")
        for dtype in ("int8", "uint8", "int32")
    ),
    *(
        resize(
            random((1, 2, 4, 4), "float16"), sizes=(6, 3), axes=(2, 3), mode=mode, tolerance=2e-3
        )
        for mode in ("linear", "cubic")
    ),
    *(
        resize(random((1, 2, 4, 4), dtype), scales=(1, 1, 1.5, 0.5), why_not=NO_KERNEL)
        for dtype in ("bool", "int64", "float64")
    ),
    resize(random((1, 2, 4, 4), "float64"), scales=(1, 1, 2, 2), mode="cubic", why_not=NO_KERNEL),
    resize(random((2, 3, 7)), sizes=(2, 3, 4), mode="cubic", why_not=NO_KERNEL),
    resize(
        random((1, 1, 2, 3)), scales=(1, 1, 1.3, 1.3), mode="linear",
        why_not="onnxruntime copies the input where no size changes",
    ),
]  # fmt: skip
