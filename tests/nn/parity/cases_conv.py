"""Convolutions: plain, transposed, depthwise and separable."""

from __future__ import annotations

from typing import Any

from tests.nn.parity.case import Case, floats

SPACE = {1: (7,), 2: (5, 6), 3: (4, 3, 4)}
SMALL = {1: (4,), 2: (3, 2), 3: (2, 3, 2)}
RANKS = (1, 2, 3)


def case(layer: str, rank: int, channels: int = 2, shape: Any = None, **options: Any) -> Case:
    space = shape or SPACE[rank]
    last = options.get("data_format") != "channels_first"
    sizes = (*space, channels) if last else (channels, *space)
    # No layer here depends on the mode.
    return Case(layer, options, (floats(1 if rank == 3 else 2, *sizes),), modes=("inference",))


def conv(rank: int, channels: int = 2, **options: Any) -> Case:
    return case(f"Conv{rank}D", rank, channels, **{"filters": 2, "kernel_size": 3, **options})


def transposed(rank: int, shape: Any = None, **options: Any) -> Case:
    options = {"filters": 2, "kernel_size": 3, **options}
    return case(f"Conv{rank}DTranspose", rank, 3, shape or SMALL[rank], **options)


def depthwise(rank: int, **options: Any) -> Case:
    return case(f"DepthwiseConv{rank}D", rank, 3, **{"kernel_size": 3, **options})


def separable(rank: int, **options: Any) -> Case:
    return case(
        f"SeparableConv{rank}D",
        rank,
        **{"filters": 4, "kernel_size": 3, "padding": "same"} | options,
    )


FIRST = {"data_format": "channels_first"}
KERNELS: dict[int, list[Any]] = {1: [1, 4], 2: [(2, 3), (4, 1)], 3: [(1, 2, 3), (3, 1, 2)]}

CASES = [
    *(
        conv(rank, **options)
        for rank in RANKS
        for options in (
            {},
            FIRST,
            {"padding": "same"},
            {"padding": "same", "strides": 2},
            {"padding": "same", "strides": 2, **FIRST},
            {"padding": "same", "dilation_rate": 2},
            {"kernel_size": 2, "dilation_rate": 2},
            {"kernel_size": 1, "padding": "same", "strides": 3},
            {"use_bias": False, "activation": "relu"},
            {"activation": "softmax", **FIRST},
            {"filters": 4, "groups": 2, "padding": "same"},
            {"filters": 4, "groups": 2, "strides": 2, **FIRST},
            *({"kernel_size": size} for size in KERNELS[rank]),
            *({"kernel_size": size, "padding": "same", "strides": 2} for size in KERNELS[rank]),
        )
    ),
    conv(1, padding="causal"),
    conv(1, padding="causal", strides=2),
    conv(1, padding="causal", dilation_rate=3, kernel_size=2, data_format="channels_first"),
    conv(1, shape=(1,), kernel_size=1),
    conv(2, shape=(1, 9), kernel_size=(1, 5), strides=(1, 4), padding="same"),
    conv(2, channels=4, filters=4, groups=4),
    *(
        transposed(rank, **options)
        for rank in RANKS
        for options in (
            {},
            FIRST,
            {"padding": "same"},
            {"strides": 2},
            {"strides": 2, "padding": "same"},
            {"strides": 3, "padding": "same", **FIRST},
            {"kernel_size": 2, "strides": 3},
            {"kernel_size": 2, "strides": 3, "padding": "same"},
            {"kernel_size": 1, "strides": 2, "padding": "same"},
            {"kernel_size": 4, "strides": 2, "padding": "same"},
            {"kernel_size": 5, "padding": "same"},
            {"dilation_rate": 2},
            {"dilation_rate": 2, "padding": "same"},
            {"strides": 2, "output_padding": 0},
            {"strides": 2, "output_padding": 1},
            {"strides": 3, "output_padding": 2, "padding": "same"},
            {"strides": 3, "output_padding": 0, "padding": "same", "kernel_size": 4},
            {"use_bias": False, "activation": "relu"},
        )
    ),
    transposed(2, kernel_size=(2, 5), strides=(3, 1), padding="same"),
    transposed(2, kernel_size=(2, 5), strides=(3, 1), output_padding=(2, 0)),
    transposed(2, shape=(1, 4), strides=2, padding="same"),
    *(
        depthwise(rank, **options)
        for rank in (1, 2)
        for options in (
            {},
            FIRST,
            {"depth_multiplier": 2},
            {"depth_multiplier": 2, "padding": "same", **FIRST},
            {"padding": "same", "strides": 2},
            {"padding": "same", "dilation_rate": 2},
            {"padding": "same", "strides": 2, "dilation_rate": 2},
            {"kernel_size": 1, "use_bias": False},
            {"kernel_size": 2, "strides": 2, "activation": "tanh"},
        )
    ),
    depthwise(2, kernel_size=(1, 3), strides=(2, 1), padding="same"),
    *(
        separable(rank, **options)
        for rank in (1, 2)
        for options in (
            {},
            FIRST,
            {"padding": "valid", "depth_multiplier": 3},
            {"strides": 2, "depth_multiplier": 2},
            {"dilation_rate": 2, "use_bias": False},
            {"kernel_size": 2, "activation": "relu", **FIRST},
        )
    ),
]  # fmt: skip
