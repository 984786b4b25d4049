"""Cases of linear attention, the causal convolution, SwiGLU, and normalization beside channels."""

from typing import Any

from tests.ops.build import FLOATS, TOLERANCE, elementwise, random, refused
from tests.ops.case import Case

CASES: list[Case] = []
NEW = "onnxruntime 1.32 has no kernel for it"


def attention(*operands: Any, **attrs: Any) -> None:
    symbolic = {i: {0: "n", 1: "t"} for i, x in enumerate(operands) if x is not None and i != 3}
    if len(operands) > 3 and operands[3] is not None:
        symbolic[3] = {0: "n"}
    case = Case(
        "LinearAttention",
        operands,
        attrs,
        symbolic=symbolic,
        tolerance=TOLERANCE[str(operands[0].dtype)] * 4,
    )
    CASES.append(case)


for dtype in ("float16", "float32"):
    q, k, v = (random((2, 5, width), dtype, width, -1, 1) for width in (12, 6, 10))
    decay, wide, beta = (random((2, 5, width), dtype, 1, -2, 0) for width in (2, 6, 1))
    state = random((2, 2, 3, 5), "float32")
    heads = {"q_num_heads": 4, "kv_num_heads": 2}
    attention(q, k, v, update_rule="linear", **heads)
    attention(q, k, v, state, update_rule="linear", scale=0.3, **heads)
    attention(q, k, v, None, decay, update_rule="gated", **heads)
    attention(q, k, v, state, wide, update_rule="gated", **heads)
    attention(q, k, v, state, None, beta, update_rule="delta", **heads)
    attention(q, k, v, state, decay, -decay / 4, **heads)
    attention(q[:, :1], k[:, :1], v[:, :1], state, wide[:, :1], beta[:, :1], **heads)


def causal(*operands: Any, **attrs: Any) -> None:
    names = {0: {0: "n", 2: "t"}, 3: {0: "n"}}
    symbolic = {i: names[i] for i, x in enumerate(operands) if x is not None and i in names}
    tolerance = TOLERANCE[str(operands[0].dtype)]
    case = Case("CausalConvWithState", operands, attrs, symbolic=symbolic, tolerance=tolerance)
    CASES.append(case)


for dtype in ("float16", "float32"):
    x, weight, bias = random((2, 3, 6), dtype), random((3, 1, 4), dtype), random((3,), dtype)
    causal(x, weight)
    causal(x, weight, bias, random((2, 3, 3), dtype, 5), activation="silu")
    causal(x[..., :1], weight, None, random((2, 3, 3), dtype, 5), activation="swish")
    causal(x, weight[..., :1], bias)

for dtype in FLOATS:
    a, b = random((2, 3), dtype), random((2, 3), dtype, 1)
    CASES.append(refused(elementwise("SwiGLU", a, b), NEW))
    CASES.append(refused(elementwise("SwiGLU", a, b, alpha=1.5), NEW))
    image = random((2, 5, 3, 4), dtype, 2)
    batch = {0: {0: "n"}}
    lacking = "no kernel for float64" if dtype == "float64" else ""
    for size in (1, 2, 3, 9):
        attrs = {"size": size, "alpha": 0.2, "beta": 0.5, "bias": 2.0}
        case = Case("LRN", (image,), attrs, symbolic=batch, tolerance=TOLERANCE[dtype] * 4)
        why = lacking or ("" if size % 2 else "it takes odd sizes only")
        CASES.append(refused(case, why) if why else case)
    for axes in ((0, 2, 3), (1,)):
        case = Case("MeanVarianceNormalization", (image,), {"axes": axes}, symbolic={0: {2: "h"}},
                    tolerance=TOLERANCE[dtype] * 10)  # fmt: skip
        CASES.append(refused(case, lacking) if lacking else case)
