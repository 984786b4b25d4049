"""Embeddings."""

from __future__ import annotations

from tests.nn.parity.case import Case, Draw, floats, integers

SIZES = {"input_dim": 7, "output_dim": 4}

CASES = [
    Case("Embedding", SIZES, (integers(7, 2, 3),)),
    Case("Embedding", SIZES, (integers(7, 5),)),
    Case("Embedding", SIZES, (integers(7, 2, 1, 3, dtype="int64"),)),
    Case("Embedding", SIZES, (integers(7, 2, 3, dtype="uint8"),)),
    Case("Embedding", {**SIZES, "dtype": "float64"}, (integers(7, 2, 3),)),
    Case("ReversibleEmbedding", SIZES, (integers(7, 2, 3),)),
    Case("ReversibleEmbedding", {**SIZES, "tie_weights": False}, (integers(7, 2, 3),)),
    *(
        Case("ReversibleEmbedding", {**SIZES, **options}, (floats(*shape),), {"reverse": True})
        for options in (
            {},
            {"tie_weights": False},
            {"logit_soft_cap": 0.5},
            {"tie_weights": False, "logit_soft_cap": 2.0},
        )
        for shape in ((3, 4), (2, 3, 4))
    ),
    Case("ReversibleEmbedding", SIZES, (Draw((2, 5, 3, 4), "float64"),), {"reverse": True}),
]
