"""Layers of attention."""

from __future__ import annotations

from typing import Any

from tests.nn.parity.case import Case, bools, floats

HEADS: dict[str, Any] = {"num_heads": 2, "key_dim": 3}
GROUPS: dict[str, Any] = {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}
X, Y = floats(2, 4, 5), floats(2, 3, 6)
CAUSAL = {"use_causal_mask": True}
SCORES = {"return_attention_scores": True}
ANY = {"attention_mask": floats(2, 4, 3, low=1)}  # true throughout: no row without a key


def attend(
    layer: str, options: Any, inputs: Any = (X, X), named: Any = None, **others: Any
) -> Case:
    """A case whose name says what its further arguments are."""
    return Case(layer, options, inputs, named or {}, note=",".join(named or {}), **others)


CASES = [
    attend("MultiHeadAttention", HEADS),
    attend("MultiHeadAttention", HEADS, (X, Y)),
    attend("MultiHeadAttention", HEADS, (X, Y, floats(2, 3, 4))),
    attend("MultiHeadAttention", HEADS, named={"key": floats(2, 4, 6)}),
    attend("MultiHeadAttention", {**HEADS, "value_dim": 5}),
    attend("MultiHeadAttention", {**HEADS, "use_bias": False}),
    attend("MultiHeadAttention", {**HEADS, "output_shape": 7}, (X, Y)),
    attend("MultiHeadAttention", {**HEADS, "output_shape": (2, 4)}, (X, Y)),
    attend("MultiHeadAttention", {**HEADS, "use_gate": True}),
    attend("MultiHeadAttention", {**HEADS, "use_gate": True, "value_dim": 2}, (X, Y)),
    attend("MultiHeadAttention", {**HEADS, "attention_axes": 1}),
    attend("MultiHeadAttention", {"num_heads": 1, "key_dim": 8}),
    attend("MultiHeadAttention", HEADS, named=CAUSAL),
    attend("MultiHeadAttention", HEADS, (X, Y), CAUSAL),
    attend("MultiHeadAttention", HEADS, named=SCORES),
    attend("MultiHeadAttention", HEADS, named={**SCORES, **CAUSAL}),
    attend("MultiHeadAttention", {**HEADS, "dropout": 0.3}, named=SCORES, modes=("inference",)),
    attend("MultiHeadAttention", {**HEADS, "dropout": 0.3}, modes=("inference",)),
    attend("MultiHeadAttention", {**HEADS, "sliding_window": 2}),
    attend("MultiHeadAttention", {**HEADS, "sliding_window": 2}, named={**CAUSAL, **SCORES}),
    attend("MultiHeadAttention", {**HEADS, "sliding_window": 1}, (X, X), CAUSAL),
    # A float is true where it is not 0; a row has to see a key, or Keras's backends differ.
    attend("MultiHeadAttention", HEADS, (X, Y), ANY),
    attend("MultiHeadAttention", HEADS, named={"attention_mask": bools(4, 4), **CAUSAL, **SCORES}),
    attend("MultiHeadAttention", HEADS, named={"attention_mask": bools(2, 4, 4), **SCORES}),
    attend("MultiHeadAttention", HEADS, (X, Y), {"attention_mask": bools(2, 2, 4, 3), **SCORES}),
    attend("MultiHeadAttention", HEADS, (X, Y), {"value_mask": bools(2, 3), **SCORES}),
    attend("MultiHeadAttention", HEADS, (X, Y),
           {"key_mask": bools(2, 3), "value_mask": bools(2, 3), **SCORES}),
    attend("MultiHeadAttention", HEADS, (X, X),
           {"value_mask": bools(2, 4), "attention_mask": bools(2, 4, 4), **CAUSAL, **SCORES}),
    attend("GroupQueryAttention", GROUPS),
    attend("GroupQueryAttention", GROUPS, (X, Y)),
    attend("GroupQueryAttention", GROUPS, (X, Y, floats(2, 3, 4))),
    attend("GroupQueryAttention", {**GROUPS, "num_key_value_heads": 1}, named=CAUSAL),
    attend("GroupQueryAttention", {**GROUPS, "num_key_value_heads": 4}),
    attend("GroupQueryAttention", {**GROUPS, "use_bias": False}),
    attend("GroupQueryAttention", {**GROUPS, "use_gate": True}),
    attend("GroupQueryAttention", {**GROUPS, "sliding_window": 2}, named=CAUSAL),
    attend("GroupQueryAttention", GROUPS, named={**SCORES, **CAUSAL}),
    attend("GroupQueryAttention", GROUPS, (X, Y), {"attention_mask": bools(2, 4, 3), **SCORES}),
    attend("GroupQueryAttention", {**GROUPS, "dropout": 0.3}, named=SCORES, modes=("inference",)),
    *(
        attend(layer, options, ([X, floats(2, 3, 5), *key],), named)
        for layer in ("Attention", "AdditiveAttention")
        for key in ([], [floats(2, 3, 5)])
        for options, named in (
            ({}, {}),
            ({"use_scale": True}, {"use_causal_mask": True}),
            ({"use_scale": False}, {**SCORES, "mask": [bools(2, 4), bools(2, 3)]}),
        )
    ),
    attend("Attention", {"score_mode": "concat"}, ([X, X],), SCORES),
    attend("Attention", {"score_mode": "concat", "use_scale": True}, ([X, X],)),
    attend("Attention", {"dropout": 0.3}, ([X, X],), modes=("inference",)),
]  # fmt: skip
