"""Dense layers."""

from __future__ import annotations

from graphctx.nn.activation import ACTIVATIONS
from tests.nn.parity.case import Case, Draw, floats, integers

CASES = [
    Case("Dense", {"units": 4}, (floats(3, 5),)),
    Case("Dense", {"units": 4, "activation": "relu"}, (floats(2, 3, 5),)),
    Case("Dense", {"units": 4, "use_bias": False}, (floats(3, 5),)),
    Case("Dense", {"units": 1, "use_bias": False}, (floats(1, 2, 3, 1),)),
    Case("Dense", {"units": 4}, (integers(9, 3, 5),)),
    Case("Dense", {"units": 4}, (Draw((3, 5), "float16"),)),
    *(
        Case("Dense", {"units": 4, "activation": name}, (floats(2, 3),))
        for name in ACTIVATIONS
        if name != "relu"
    ),
    *(
        Case(
            "EinsumDense",
            {"equation": equation, "output_shape": sizes, "bias_axes": bias},
            (floats(*shape),),
        )
        for equation, sizes, bias, shape in [
            ("ab,bc->ac", 4, "c", (2, 3)),
            ("ab,bc->ac", 4, None, (2, 3)),
            ("ab,cb->ac", (4,), "c", (2, 3)),
            ("ab,b->a", (), None, (2, 3)),
            ("ab,b->ab", (3,), "b", (2, 3)),
            ("abc,cd->abd", (None, 4), "d", (2, 3, 5)),
            ("abc,cd->abd", (3, 4), "bd", (2, 3, 5)),
            ("abc,dc->adb", (4, 3), None, (2, 3, 5)),
            ("abc,bd->adc", (6, 5), "dc", (2, 3, 5)),
            ("abc,cd->ad", 4, None, (2, 3, 5)),
            ("bhd,hde->bhe", (3, 6), "he", (2, 3, 4)),
            ("btd,dnh->btnh", (None, 2, 3), "nh", (2, 4, 5)),
            ("btd,dnh->btnh", (None, 2, 3), "n", (2, 4, 5)),
            ("btnh,nhd->btd", (None, 4), "d", (2, 3, 4, 5)),
            ("btnh,hnd->btd", (None, 4), None, (2, 3, 4, 5)),
            ("...x,xy->...y", 4, "y", (2, 3)),
            ("...x,xy->...y", 4, "y", (2, 3, 4, 5)),
            ("...ab,bc->...ac", (3, 4), "ac", (2, 6, 3, 5)),
            ("...ab,bc->...ac", (4,), "c", (3, 5)),
            ("ab...,bc->ac...", (4,), "c", (2, 3)),
            ("ab...,bc->ac...", (4,), "c", (2, 3, 5, 6)),
        ]
    ),
    Case(
        "EinsumDense",
        {"equation": "abc,cd->abd", "output_shape": (None, 4), "activation": "tanh"},
        (floats(2, 3, 5),),
    ),
]
