"""Normalization: over the batch, of examples, over groups of channels, of kernels."""

from __future__ import annotations

from typing import Any

from tests.nn.parity.case import Case, Draw, bools, floats, integers

CLIPPING = {"rmin": 0.5, "rmax": 1.5, "dmax": 0.3}


def batch(options: dict[str, Any], *shape: int, **more: Any) -> Case:
    return Case("BatchNorm", options, (floats(*shape),), keras="BatchNormalization", **more)


def layer(options: dict[str, Any], *shape: int) -> Case:
    return Case("LayerNorm", options, (floats(*shape),), keras="LayerNormalization")


def rms(options: dict[str, Any], *shape: int) -> Case:
    return Case("RMSNorm", options, (floats(*shape),), keras="RMSNormalization")


def unit(options: dict[str, Any], *shape: int) -> Case:
    return Case("UnitNorm", options, (floats(*shape),), keras="UnitNormalization")


def group(options: dict[str, Any], *shape: int) -> Case:
    return Case("GroupNorm", options, (floats(*shape),), keras="GroupNormalization")


def instance(options: dict[str, Any], *shape: int) -> Case:
    return Case(
        "InstanceNorm",
        options,
        (floats(*shape),),
        keras="GroupNormalization",
        keras_options={"groups": -1},
    )


def spectral(inner: str, *shape: int, **options: Any) -> Case:
    return Case(
        "SpectralNorm",
        {"layer": f"nn.{inner}", **options},
        (floats(*shape),),
        keras="SpectralNormalization",
        keras_options={"layer": f"keras.layers.{inner}"},
    )


CASES = [
    batch({}, 8, 3),
    batch({}, 5, 4, 3),
    batch({}, 3, 4, 5, 3),
    batch({}, 2, 2, 3, 2, 3),
    batch({"axis": 1}, 3, 2, 4, 5),
    batch({"axis": 1}, 3, 2, 4),
    batch({"axis": -2}, 3, 2, 4),
    batch({"center": False}, 4, 3),
    batch({"scale": False}, 4, 3),
    batch({"center": False, "scale": False, "axis": 1}, 4, 3, 2),
    batch({"momentum": 0.5, "epsilon": 0.1}, 4, 3),
    batch({"momentum": 0.0}, 4, 3),
    batch({}, 6, 1),
    Case("BatchNorm", {}, (Draw((4, 3), "float16"),), keras="BatchNormalization"),
    Case("BatchNorm", {}, (integers(9, 4, 3),), keras="BatchNormalization"),
    Case("BatchNorm", {"dtype": "float64"}, (floats(4, 3),), keras="BatchNormalization"),
    batch({}, 5, 4, 3, named={"mask": bools(5, 4)}),
    batch({}, 6, 3, named={"mask": bools(6)}),
    batch({"axis": 1}, 3, 2, 4, named={"mask": bools(3, 2)}),
    batch({"axis": 1, "scale": False}, 3, 2, 4, named={"mask": bools(3, 1)}),
    batch({}, 4, 3, named={"mask": integers(1, 4)}, note="of nothing"),
    batch({"renorm": True}, 6, 3),
    batch({"renorm": True, "center": False, "axis": 1}, 3, 2, 4),
    batch({"renorm": True, "scale": False}, 6, 3),
    batch({"renorm": True, "renorm_clipping": CLIPPING, "renorm_momentum": 0.8}, 5, 4, 3),
    batch({"renorm": True, "renorm_clipping": {"rmax": 1.1}, "epsilon": 0.5}, 6, 3),
    batch({"renorm": True, "momentum": 0.6}, 4, 3, 2, named={"mask": bools(4, 3)}),
    layer({}, 3, 5),
    layer({}, 2, 3, 4),
    layer({"axis": 1}, 2, 3, 4),
    layer({"axis": 0}, 3, 4),
    layer({"axis": [1, 2]}, 2, 3, 4),
    layer({"axis": (2, 1)}, 2, 3, 4),  # Keras fails for (-1, 1)
    layer({"axis": [1, 3]}, 2, 3, 2, 4),
    layer({"center": False}, 3, 5),
    layer({"scale": False}, 3, 5),
    layer({"center": False, "scale": False, "axis": 1}, 3, 5, 2),
    layer({"epsilon": 0.1}, 3, 5),
    rms({}, 3, 5),
    rms({}, 2, 3, 4),
    rms({"axis": [1, 2]}, 2, 3, 4),  # Keras fails for axes that are not the last ones
    rms({"epsilon": 0.1}, 3, 5),
    Case("RMSNorm", {"dtype": "float64"}, (floats(3, 5),), keras="RMSNormalization"),
    unit({}, 3, 5),
    unit({"axis": 0}, 3, 5),
    unit({"axis": 1}, 2, 3, 4),
    unit({"axis": [1, 2]}, 2, 3, 4),
    unit({"axis": (-1, 0)}, 2, 3, 4),
    group({"groups": 2}, 3, 4),
    group({"groups": 2}, 2, 5, 4),
    group({"groups": 3}, 2, 3, 2, 6),
    group({"groups": 1}, 2, 3, 2, 4),
    group({"groups": 4}, 2, 3, 2, 4),
    group({"groups": -1}, 2, 3, 4),
    group({"groups": -1}, 2, 4),
    group({"groups": 2, "axis": 1}, 2, 4, 3, 2),
    group({"groups": 2, "axis": 2}, 2, 3, 4, 2),
    group({"groups": 2, "center": False}, 2, 3, 4),
    group({"groups": 2, "scale": False}, 2, 3, 4),
    group({"groups": 2, "epsilon": 0.1}, 2, 3, 4),
    group({}, 1, 2, 64),
    instance({}, 2, 3, 4),
    instance({}, 2, 3, 2, 4),
    instance({"axis": 1}, 2, 3, 2, 4),
    instance({"center": False, "scale": False}, 2, 3, 4),
    instance({"epsilon": 0.1}, 2, 3, 4),
    instance({}, 2, 4),
    spectral("Dense(4)", 3, 5),
    spectral("Dense(4, use_bias=False)", 2, 3, 5, power_iterations=3),
    spectral("Conv2D(4, 2)", 2, 4, 4, 3),
    spectral("Conv2D(4, 2, activation='relu')", 1, 3, 3, 2, power_iterations=2),
]
