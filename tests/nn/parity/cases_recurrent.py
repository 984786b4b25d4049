"""Recurrent layers, their cells, and wrappers."""

from __future__ import annotations

from typing import Any

from tests.nn.parity.case import Case, bools, floats, integers

# Sequences [batch, time, features], masks of them, and units.
X = floats(3, 5, 2)
MASK = {"mask": bools(3, 5)}
UNITS = 4
STATES = {"SimpleRNN": 1, "LSTM": 2, "GRU": 1}
MODES = ("inference",)  # without dropout, training is no other


def case(layer: str, inputs: Any = (X,), named: Any = None, **options: Any) -> Case:
    return Case(layer, {"units": UNITS, **options}, inputs, named or {}, modes=MODES)


def of_each(layer: str) -> list[Case]:
    """What all three layers have."""
    states = [floats(3, UNITS) for _ in range(STATES[layer])]
    every = {"return_sequences": True, "return_state": True}
    return [
        Case(layer, {"units": UNITS}, (X,)),
        case(layer, **every),
        case(layer, use_bias=False),
        case(layer, (floats(1, 1, 1),), **every),
        case(layer, (integers(5, 2, 3, 2),)),
        case(layer, (X, states), **every, go_backwards=True),
        # Of ONNX's operator, and not of it.
        case(layer, activation="relu", return_sequences=True),
        case(layer, activation=None),
        case(layer, activation="leaky_relu"),
        case(layer, activation="gelu", **every),
        case(layer, (X, states), activation="mish", go_backwards=True, **every),
        # Masks.
        case(layer, named=MASK),
        case(layer, (X, states), MASK, **every),
        case(layer, (X, states), MASK, **every, go_backwards=True),
        case(layer, (X, states), MASK, **every, zero_output_for_mask=True),
        case(layer, named=MASK, zero_output_for_mask=True, return_state=True),
        case(layer, named=MASK, **every, zero_output_for_mask=True, go_backwards=True),
        case(layer, (X, states), MASK, activation="gelu", **every, go_backwards=True),
        case(layer, named=MASK, activation="gelu", zero_output_for_mask=True, **every),
        case(layer, named=MASK, unroll=True, **every),
        case(layer, named={"mask": integers(2, 3, 5)}, **every),
    ]


GATED = [
    made
    for layer in ("LSTM", "GRU")
    for made in (
        case(layer, recurrent_activation="relu", activation="softsign"),
        case(layer, recurrent_activation="hard_sigmoid", activation="softplus"),
        case(layer, activation="elu"),
        case(layer, recurrent_activation="silu"),
    )
]

ONE_KIND = [
    case("LSTM", unit_forget_bias=False),
    case("GRU", reset_after=False, return_sequences=True),
    case("GRU", reset_after=False, use_bias=False),
    case("GRU", reset_after=False, unroll=True),
    case("GRU", reset_after=False, named=MASK, activation="gelu"),
]


def both(layer: str, merge_mode: Any = "concat", inputs: Any = (X,), named: Any = None) -> Case:
    return Case(
        "Bidirectional",
        {"layer": f"nn.{layer}", "merge_mode": merge_mode},
        inputs,
        named or {},
        keras_options={"layer": f"keras.layers.{layer}"},
        modes=MODES,
    )


def both_layers(forward: str, backward: str, named: Any = None) -> Case:
    names = {"layer": forward, "backward_layer": backward}
    return Case(
        "Bidirectional",
        {k: f"nn.{v}" for k, v in names.items()},
        (X,),
        named or {},
        keras_options={k: f"keras.layers.{v}" for k, v in names.items()},
        modes=MODES,
    )


EVERY = "return_sequences=True, return_state=True"
FOUR = [floats(3, UNITS) for _ in range(4)]

BOTH = [
    *(both(f"{layer}(4, {EVERY})") for layer in STATES),
    *(both(f"{layer}(4, {EVERY})", named=MASK) for layer in STATES),
    *(both("LSTM(4, return_sequences=True)", mode) for mode in ("sum", "mul", "ave", None)),
    *(both("LSTM(4)", mode) for mode in ("sum", "mul", "ave", None)),
    *(both(f"GRU(4, {EVERY})", mode, named=MASK) for mode in ("sum", None)),
    both("GRU(4)", named=MASK),
    both(f"LSTM(4, {EVERY})", inputs=(X, FOUR)),
    both(f"LSTM(4, {EVERY})", inputs=(X, FOUR), named=MASK),
    both("LSTM(4, use_bias=False)"),
    # Two nodes, or none.
    both(f"LSTM(4, activation='gelu', {EVERY})", inputs=(X, FOUR), named=MASK),
    both("GRU(4, unroll=True, return_sequences=True)", "ave"),
    both_layers("LSTM(4)", "LSTM(3, go_backwards=True)"),
    both_layers(
        "GRU(4, return_sequences=True)", "LSTM(4, go_backwards=True, return_sequences=True)", MASK
    ),
    both_layers(
        "GRU(4, return_sequences=True)",
        "GRU(4, activation='relu', go_backwards=True, return_sequences=True)",
    ),
    both_layers(
        "GRU(4, return_sequences=True)",
        "GRU(4, reset_after=False, go_backwards=True, return_sequences=True)",
    ),
    both_layers("LSTM(4, go_backwards=True)", "LSTM(4)"),
]

CELLS = [
    Case("SimpleRNNCell", {"units": 4}, (floats(3, 2), floats(3, 4))),
    Case("SimpleRNNCell", {"units": 4, "use_bias": False}, (floats(3, 2), [floats(3, 4)])),
    Case("LSTMCell", {"units": 4}, (floats(3, 2), [floats(3, 4), floats(3, 4)])),
    Case("GRUCell", {"units": 4}, (floats(3, 2), floats(3, 4))),
    Case("GRUCell", {"units": 4, "reset_after": False}, (floats(3, 2), [floats(3, 4)])),
]


def along(cell: str, inputs: Any = (X,), named: Any = None, **options: Any) -> Case:
    return Case(
        "RNN",
        {"cell": f"nn.{cell}", "return_sequences": True, "return_state": True, **options},
        inputs,
        named or {},
        keras_options={"cell": f"keras.layers.{cell.replace('nn.', 'keras.layers.')}"},
        modes=MODES,
    )


STACK = "StackedRNNCells([nn.LSTMCell(4), nn.GRUCell(3)])"

ALONG = [
    along("LSTMCell(4)"),
    along("GRUCell(4)", go_backwards=True),
    along("SimpleRNNCell(4, activation='gelu')", named=MASK),
    along(STACK),
    along(STACK, go_backwards=True, named=MASK),
    along(STACK, zero_output_for_mask=True, named=MASK),
]


def at_each_step(layer: str, *shape: int) -> Case:
    return Case(
        "TimeDistributed",
        {"layer": f"nn.{layer}"},
        (floats(*shape),),
        keras_options={"layer": f"keras.layers.{layer}"},
        modes=MODES,
    )


AT_EACH_STEP = [
    at_each_step("Dense(4)", 2, 3, 5),
    at_each_step("Conv2D(3, 2)", 2, 3, 4, 4, 2),
    at_each_step("LSTM(4)", 2, 3, 4, 5),
]

CASES = [
    *(made for layer in STATES for made in of_each(layer)),
    *GATED,
    *ONE_KIND,
    *BOTH,
    *CELLS,
    *ALONG,
    *AT_EACH_STEP,
]
