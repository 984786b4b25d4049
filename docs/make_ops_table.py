"""Writes docs/ops.md from the operator table: `python docs/make_ops_table.py`."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

from graphctx import ops
from graphctx.ops.table import OPSET, TABLE, Op

PAGE = Path(__file__).with_name("ops.md")

# Operator -> the functions that record it, where the record is not itself the function.
FUNCTIONS = {
    "Compress": ["compress"], "Unique": [],
    "Adagrad": ["adagrad"], "Adam": ["adam"], "Momentum": ["momentum"],
    "AffineGrid": ["affine_grid"],
    "And": ["logical_and"], "ArgMax": ["argmax"], "ArgMin": ["argmin"],
    "Attention": ["attention"], "AveragePool": ["average_pool"],
    "BatchNormalization": ["batch_norm"],
    "BlackmanWindow": ["blackman_window"], "CenterCropPad": ["center_crop_pad"],
    "Col2Im": ["col2im"], "DFT": ["dft"], "DeformConv": ["deform_conv"],
    "BitShift": ["bitwise_left_shift", "bitwise_right_shift"], "Cast": ["astype", "cast"],
    "CastLike": ["cast_like"], "BitCast": ["bitcast"],
    "CausalConvWithState": ["causal_conv_with_state"], "ConvInteger": ["conv_integer"],
    "DequantizeLinear": ["dequantize_linear"],
    "DynamicQuantizeLinear": ["dynamic_quantize_linear"],
    "LinearAttention": ["linear_attention"],
    "QLinearConv": ["qlinear_conv"], "QLinearMatMul": ["qlinear_matmul"],
    "QuantizeLinear": ["quantize_linear"], "SwiGLU": ["swiglu"],
    "Ceil": ["ceil"], "Clip": ["clip"], "Concat": ["concat"], "ConstantOfShape": ["full"],
    "Conv": ["conv"], "ConvTranspose": ["conv_transpose"], "CumProd": ["cumulative_prod"],
    "CumSum": ["cumulative_sum"], "Div": ["divide"], "Einsum": ["einsum"],
    "Expand": ["broadcast_to"], "EyeLike": ["eye"], "Floor": ["floor"], "Gather": ["take"],
    "GridSample": ["grid_sample"], "HammingWindow": ["hamming_window"],
    "HannWindow": ["hann_window"], "LRN": ["local_response_norm"], "LpPool": ["lp_pool"],
    "MaxRoiPool": ["max_roi_pool"], "MaxUnpool": ["max_unpool"],
    "MeanVarianceNormalization": ["mean_variance_norm"],
    "MelWeightMatrix": ["mel_weight_matrix"], "NegativeLogLikelihoodLoss": ["nll_loss"],
    "RoiAlign": ["roi_align"], "STFT": ["stft"],
    "SoftmaxCrossEntropyLoss": ["softmax_cross_entropy"],
    "GRU": ["gru"], "GatherElements": ["take_along_axis"], "GroupNormalization": ["group_norm"],
    "HardSigmoid": ["hard_sigmoid"], "If": ["cond"], "InstanceNormalization": ["instance_norm"],
    "IsInf": ["isinf"], "IsNaN": ["isnan"], "LayerNormalization": ["layer_norm"],
    "LSTM": ["lstm"], "LpNormalization": ["unit_norm"],
    "Loop": ["while_loop"],
    "Max": ["maximum"], "MaxPool": ["max_pool"], "Mean": [], "Min": ["minimum"],
    "Mod": ["remainder", "fmod"], "Neg": ["negative"], "Not": ["logical_not"],
    "OneHot": ["one_hot"], "Or": ["logical_or"], "Pad": ["pad"], "Pow": ["pow"],
    "RMSNormalization": ["rms_norm"], "RNN": ["rnn"], "Range": ["arange"],
    "Reciprocal": ["reciprocal"],
    "ReduceL1": [], "ReduceL2": [], "ReduceLogSum": [], "ReduceLogSumExp": ["logsumexp"],
    "ReduceMax": ["max", "any"], "ReduceMean": ["mean"], "ReduceMin": ["min", "all"],
    "ReduceProd": ["prod"], "ReduceSum": ["sum"], "ReduceSumSquare": [], "Reshape": ["reshape"],
    "Resize": ["resize"], "RotaryEmbedding": ["rotary_embedding"], "Round": ["round"],
    "Scan": ["scan"], "Slice": ["getitem"], "Split": ["split"],
    "Squeeze": ["squeeze"],
    "NonZero": [], "Optional": ["optional"], "SequenceEmpty": ["sequence_empty"],
    "Sum": [], "Swish": [], "TensorScatter": ["tensor_scatter"], "Tile": ["tile"],
    "TopK": ["top_k"], "Transpose": ["permute_dims"],
    "Trilu": ["tril", "triu"], "Unsqueeze": ["expand_dims"], "Where": ["where"],
    "Xor": ["logical_xor"], "dropout": ["dropout"], "iteration_seed": [],
    "random_bits": ["random_bits"],
    "random_normal": ["random_normal"], "random_uniform": ["random_uniform"],
    "remainder": ["remainder"], "signbit": ["signbit"], "trunc": ["trunc"],
    "vecdot": ["vecdot"],
}  # fmt: skip

MAPS = "is about maps: a converter can be asked for tensors instead"
# ONNX's operators that the table lacks on purpose -> why.
LEFT_OUT = {
    "CastMap": MAPS, "DictVectorizer": MAPS, "ZipMap": MAPS,
    "Gradient": "asks for derivatives of the graph that it stands in",
}  # fmt: skip

HEAD = f"""\
# Operators

<!-- Written by docs/make_ops_table.py: do not edit. -->

The operators are ONNX's, with its names, attributes, broadcasting and corner cases, as of opset
{OPSET}; this page lists all {len(TABLE)} in the table. Call them through `graphctx.ops`, whose
functions have the names of the array API standard and NumPy's dtype rules: on arrays they compute
at once, on symbolic tensors they record a node. Functions that are not listed are made of these.

- **Operator**: how it is named in a graph; lower case where ONNX has no such operator.
- **Function**: of `graphctx.ops`, which records it; "none" where no function does yet.
- **Opset**: the first one in which ONNX's operator means what this one does; of another domain
  where one is named.
- **In a file**: ONNX's operator itself, or expanded into several others, where ONNX lacks it or
  onnxruntime is faster with these.
"""


def functions(record: Op) -> list[str]:
    """Names of the functions of `graphctx.ops` that record an operator.

    Raises:
        ValueError: it is not known.
    """
    if record.name in FUNCTIONS:
        return FUNCTIONS[record.name]
    name = record.__name__
    if not hasattr(ops, name):
        raise ValueError(f"{__file__}: say in FUNCTIONS which functions record {record.name!r}")
    return [name]


def page() -> str:
    """The whole page."""
    families: dict[str, list[Op]] = {}
    for record in TABLE.values():
        families.setdefault(record.kernel.__module__, []).append(record)
    parts = [HEAD]
    for module, records in sorted(families.items()):
        about = inspect.getdoc(sys.modules[module]) or ""
        parts.append(
            f"\n## {module.rpartition('.')[2]}\n\n{first_sentence(about)}\n\n"
            "| Operator | Function | Opset | In a file | Computes |\n|---|---|---|---|---|\n"
        )
        for record in sorted(records, key=lambda record: record.name.lower()):
            names = ", ".join(f"`{name}`" for name in functions(record))
            expanded = record.expand is not None
            cells = [
                f"`{record.name}`",
                names or "none",
                "" if record.name.islower() else f"{record.domain} {record.since}".strip(),
                "expanded" if expanded else "itself",
                first_sentence(inspect.getdoc(record) or "").replace("|", r"\|"),
            ]
            parts.append(f"| {' | '.join(cells)} |\n")
    parts.append("\n## Left out\n\n| Operator | Why |\n|---|---|\n")
    parts += [f"| `{name}` | {reason} |\n" for name, reason in sorted(LEFT_OUT.items())]
    return "".join(parts)


def first_sentence(text: str) -> str:
    """The first paragraph of a docstring, in one line."""
    return " ".join(text.split("\n\n")[0].split())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
