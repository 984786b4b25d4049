"""Cases of RNN, LSTM and GRU."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.ops.case import Case

RNG = np.random.default_rng(23)
GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
TOLERANCE = 1e-5
STEPS, BATCH, FEATURES, UNITS = 5, 3, 2, 4
NO_DOUBLE = "it has no kernel for double"
NO_LAYOUT = "its kernels have layout 0 only"
PARAMETERS = "it takes 0 for a parameter that is not given, ONNX's operator has another default"


def case(
    op: str,
    *,
    bias: bool = True,
    lengths: Any = None,
    initial: bool = False,
    peepholes: bool = False,
    dtype: Any = np.float32,
    why_not: str = "",
    batch: int = BATCH,
    **attrs: Any,
) -> Case:
    """An operator on random operands, of those that it has in these attributes."""
    gates, directions = GATES[op], 2 if attrs.get("direction") == "bidirectional" else 1

    def draw(*shape: int) -> Any:
        # Small, so that activation functions without bounds stay in theirs.
        return (0.6 * RNG.standard_normal(shape)).astype(dtype)

    swap = (0, 1) if attrs.get("layout") else (0, 0)
    x = draw(STEPS, batch, FEATURES)
    states: list[Any] = [draw(directions, batch, UNITS) if initial else None]
    if op == "LSTM":
        states.append(draw(directions, batch, UNITS) if initial else None)
    operands = [
        np.ascontiguousarray(x.swapaxes(*swap)),
        draw(directions, gates * UNITS, FEATURES),
        draw(directions, gates * UNITS, UNITS),
        draw(directions, 2 * gates * UNITS) if bias else None,
        None if lengths is None else np.array(lengths, np.int32),
        *(None if s is None else np.ascontiguousarray(s.swapaxes(*swap)) for s in states),
        *([draw(directions, 3 * UNITS) if peepholes else None] if op == "LSTM" else []),
    ]
    symbolic: dict[int, dict[int, str]] = {0: {0: "steps", 1: "batch"}}
    if attrs.get("layout"):
        symbolic = {0: {0: "batch", 1: "steps"}}
    if lengths is not None:
        symbolic[4] = {0: "batch"}
    if initial:
        axis = 0 if attrs.get("layout") else 1
        symbolic |= {5 + i: {axis: "batch"} for i in range(len(states))}
    return Case(
        op, operands, {"hidden_size": UNITS, **attrs}, symbolic=symbolic,
        tolerance=4e-3 if dtype == np.float16 else TOLERANCE, onnxruntime=not why_not,
        why_not=why_not,
    )  # fmt: skip


ALL_DIRECTIONS = ("forward", "reverse", "bidirectional")
# A full sequence, a short one, and one without steps.
LENGTHS = (STEPS, 2, 0)

COMMON = [
    made
    for op in GATES
    for made in (
        case(op, bias=False),
        case(op),
        case(op, batch=1),
        case(op, initial=True),
        *(case(op, initial=True, direction=d) for d in ALL_DIRECTIONS[1:]),
        *(case(op, initial=True, lengths=LENGTHS, direction=d) for d in ALL_DIRECTIONS),
        case(op, lengths=(2, 3, 1)),
        case(op, clip=0.4),
        case(op, clip=0.4, bias=False, direction="bidirectional"),
        case(op, dtype=np.float16),
        case(op, initial=True, lengths=LENGTHS, dtype=np.float16, direction="reverse"),
        case(op, initial=True, dtype=np.float64, why_not=NO_DOUBLE),
        case(op, initial=True, lengths=LENGTHS, layout=1, why_not=NO_LAYOUT),
        case(op, initial=True, layout=1, direction="bidirectional", why_not=NO_LAYOUT),
    )
]

SIMPLE = ("Relu", "Tanh", "Sigmoid", "Softsign", "Softplus", "LeakyRelu", "HardSigmoid", "Elu")

RNN = [
    *(case("RNN", activations=(name,)) for name in SIMPLE),
    *(
        case("RNN", activations=(name,), activation_alpha=(0.3,), activation_beta=(0.6,))
        for name in ("Affine", "ScaledTanh", "HardSigmoid")
    ),
    *(
        case("RNN", activations=(name,), activation_alpha=(0.3,))
        for name in ("LeakyRelu", "Elu", "ThresholdedRelu")
    ),
    case("RNN", activations=("Relu", "Tanh")),
    case("RNN", activations=("Relu", "Sigmoid"), direction="bidirectional"),
    *(
        case("RNN", activations=(name,), why_not=PARAMETERS)
        for name in ("Affine", "ScaledTanh", "ThresholdedRelu")
    ),
]

LSTM = [
    *(case("LSTM", activations=(name, "Tanh", "Tanh")) for name in SIMPLE),
    *(case("LSTM", activations=("Sigmoid", name, name)) for name in SIMPLE),
    case("LSTM", peepholes=True),
    case("LSTM", peepholes=True, initial=True, lengths=LENGTHS, direction="bidirectional"),
    case("LSTM", peepholes=True, bias=False, clip=0.5),
    case("LSTM", input_forget=1),
    case("LSTM", input_forget=1, peepholes=True, initial=True),
    # Each function takes the next parameter, if it has one.
    case(
        "LSTM",
        activations=("Sigmoid", "LeakyRelu", "HardSigmoid"),
        activation_alpha=(0.1, 0.3),
        activation_beta=(0.4,),
    ),
    case(
        "LSTM",
        activations=("HardSigmoid", "Tanh", "Affine", "Sigmoid", "Elu", "ScaledTanh"),
        activation_alpha=(0.3, 0.5, 0.7, 0.9),
        activation_beta=(0.4, 0.1, 0.8),
        direction="bidirectional",
    ),
]

GRU = [
    *(case("GRU", activations=(name, "Tanh")) for name in SIMPLE),
    *(case("GRU", activations=("Sigmoid", name), linear_before_reset=1) for name in SIMPLE),
    case("GRU", linear_before_reset=1),
    case("GRU", linear_before_reset=1, bias=False),
    case("GRU", linear_before_reset=1, clip=0.5),
    case("GRU", linear_before_reset=1, initial=True, lengths=LENGTHS, direction="bidirectional"),
    case(
        "GRU",
        activations=("HardSigmoid", "LeakyRelu"),
        activation_alpha=(0.3, 0.1),
        activation_beta=(0.4,),
    ),
]

CASES: list[Case] = [*COMMON, *RNN, *LSTM, *GRU]
