"""Writes docs/ops.md from the operator table: `python docs/make_ops_table.py`."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

from graphctx import ops
from graphctx.ops.table import OPSET, TABLE, Op

PAGE = Path(__file__).with_name("ops.md")

# Operator -> the functions that record it, where there are several, or one of another name than the
# kernel.
FUNCTIONS = {
    "And": ["logical_and"], "ArgMax": ["argmax"], "ArgMin": ["argmin"],
    "BitShift": ["bitwise_left_shift", "bitwise_right_shift"], "Cast": ["astype", "cast"],
    "ConstantOfShape": ["full"], "CumProd": ["cumulative_prod"], "CumSum": ["cumulative_sum"],
    "Div": ["divide"], "Expand": ["broadcast_to"], "EyeLike": ["eye"], "Gather": ["take"],
    "GatherElements": ["take_along_axis"], "If": ["cond"], "LRN": ["local_response_norm"],
    "Loop": ["while_loop"], "LpNormalization": ["unit_norm"], "Max": ["maximum"], "Mean": [],
    "Min": ["minimum"], "Mod": ["remainder", "fmod"], "Neg": ["negative"],
    "NegativeLogLikelihoodLoss": ["nll_loss"], "Not": ["logical_not"], "Or": ["logical_or"],
    "Range": ["arange"], "ReduceLogSumExp": ["logsumexp"], "ReduceMax": ["max", "any"],
    "ReduceMean": ["mean"], "ReduceMin": ["min", "all"], "ReduceProd": ["prod"],
    "ReduceSum": ["sum"], "Slice": ["getitem"], "Sum": [], "Swish": [],
    "Transpose": ["permute_dims"], "Trilu": ["tril", "triu"], "Unsqueeze": ["expand_dims"],
    "Xor": ["logical_xor"],
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

    The kernel of `ops.pad` is called `pad` or, where the function is another one, `pad_op`.
    """
    name = record.function.__name__.strip("_").removesuffix("_op")
    return FUNCTIONS.get(record.name, [name] if name in ops.__all__ else [])


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
