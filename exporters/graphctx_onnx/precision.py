"""How exactly each value of a graph is determined, which decides how it is compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from graphctx.body import Body, bodies_of
from graphctx.graph import CallGraph, Node, Value
from graphctx.spec import ContainerType, kind_of

# Operators that give equal bits everywhere: they move elements, work on integers or bools, or are
# rounded as IEEE 754 prescribes.
EXACT = frozenset(
    {
        "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose", "Slice", "Expand",
        "Tile", "Split", "Concat", "Where", "Gather", "GatherElements", "GatherND",
        "ScatterElements", "ScatterND", "Pad", "Cast", "CastLike", "Shape", "Size",
        "ConstantOfShape", "EyeLike", "OneHot", "DepthToSpace", "SpaceToDepth", "ReverseSequence",
        "Compress", "NonZero", "Trilu", "Unique", "Abs", "Neg", "Sign", "Floor", "Ceil", "Round",
        "Relu", "Max", "Min", "Clip", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual",
        "And", "Or", "Xor", "Not", "IsNaN", "IsInf", "BitShift", "BitwiseAnd", "BitwiseOr",
        "BitwiseXor", "BitwiseNot", "BitCast", "Add", "Sub", "Mul", "Div", "Sqrt", "ArgMax",
        "ArgMin", "ReduceMax", "ReduceMin", "TopK", "MaxPool", "GlobalMaxPool", "MaxUnpool",
        "MaxRoiPool", "CenterCropPad", "SequenceEmpty",
        "SequenceConstruct", "SequenceInsert", "SequenceErase", "SequenceAt", "SequenceLength",
        "SplitToSequence", "ConcatFromSequence", "Optional", "OptionalHasElement",
        "OptionalGetElement", "NonMaxSuppression", "ArrayFeatureExtractor", "Binarizer",
        "CategoryMapper", "Imputer", "LabelEncoder", "OneHotEncoder",
    }
)  # fmt: skip

# Of these, the ones that round floats; half precision may be computed in single.
_ROUNDING = frozenset({"Add", "Sub", "Mul", "Div", "Sqrt"})

# Operators whose result jumps where an operand changes by a rounding error.
STEPS = frozenset(
    {
        "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Floor", "Ceil", "Round",
        "Sign", "Mod", "ArgMax", "ArgMin", "TopK", "NonZero", "Unique", "Hardmax", "IsInf",
        "IsNaN", "QuantizeLinear", "DynamicQuantizeLinear", "NonMaxSuppression", "MaxPool",
        "RoiAlign", "MaxRoiPool", "GridSample", "Compress", "Binarizer", "Imputer", "LabelEncoder",
        "OneHotEncoder", "LinearClassifier", "SVMClassifier", "SVMRegressor", "TreeEnsemble",
        "TreeEnsembleClassifier", "TreeEnsembleRegressor", "QLinearConv", "QLinearMatMul",
    }
)  # fmt: skip

# Of these, the ones that round what they compute themselves, in another precision elsewhere.
_OWN_STEPS = frozenset({"DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul"})


@dataclass(frozen=True)
class Precision:
    """How exactly a value is determined.

    Attributes:
        dtype: the coarsest float dtype that was rounded to on the way; None: bit for bit.
        stepped: whether it depends on a step (`x > 0`) of something that is rounded.
    """

    dtype: np.dtype[Any] | None = None
    stepped: bool = False


def precisions(graph: CallGraph) -> dict[Value, Precision]:
    """The precision of every value of an expanded graph."""
    return _precisions(graph, Precision())


def _precisions(graph: CallGraph, given: Precision) -> dict[Value, Precision]:
    """The precision of every value, where that of the inputs is given."""
    found: dict[Value, Precision] = {}
    for node in graph.nodes:
        if node.kind == "input":
            found[node.output] = given
            continue
        operands = [found[v] for v in node.operands if v is not None]
        found.update(zip(node.outputs, _outputs(node, operands), strict=True))
    return found


def precision_of(node: Node) -> Precision:
    """The precision of a node's first output if its operands are exact."""
    return _outputs(node, [])[0]


def _outputs(node: Node, operands: list[Precision]) -> list[Precision]:
    rounded = [p.dtype for p in operands if p.dtype is not None]
    stepped = any(p.stepped for p in operands) or (bool(rounded) and _is_step(node))
    stepped = stepped or node.name in _OWN_STEPS
    bodies = bodies_of(node)
    if bodies:
        for inner in _inside(list(bodies.values()), rounded, stepped):
            rounded += [inner.dtype] if inner.dtype is not None else []
            stepped = stepped or inner.stepped
    elif node.op is not None and not _is_exact(node):
        rounded += [_dtype(v) for v in _floats(node)]
        if any(map(_is_rounded_attribute, (node.op.defaults | node.attrs).values())):
            rounded.append(np.dtype("float32"))
    found = []
    for output in node.outputs:
        own = [_dtype(output)] if rounded and _is_float(output) else []
        found.append(Precision(_coarsest([*rounded, *own]), stepped))
    return found


def _inside(bodies: list[Body], rounded: list[Any], stepped: bool) -> list[Precision]:
    """The precision of what bodies compute of operands that are rounded like this."""
    given = Precision(_coarsest(rounded), stepped)
    for _ in range(2):  # what a loop makes it takes again
        found = [p for body in bodies for p in _precisions(body.graph, given).values()]
        dtypes = [p.dtype for p in (given, *found) if p.dtype is not None]
        given = Precision(_coarsest(dtypes), any(p.stepped for p in (given, *found)))
    return found


def _coarsest(dtypes: list[Any]) -> Any:
    return min(dtypes, key=lambda dtype: dtype.itemsize, default=None)


def _is_float(value: Value) -> bool:
    return value.dtype is not None and kind_of(_dtype(value)) == "f"


def _dtype(value: Value) -> np.dtype[Any]:
    """The dtype of a tensor, or of those in a sequence or an optional."""
    found: Any = value.dtype
    return found.tensor_dtype if isinstance(found, ContainerType) else found


def _floats(node: Node) -> list[Value]:
    """The float operands and outputs of a node."""
    return [v for v in (*node.operands, *node.outputs) if v is not None and _is_float(v)]


def _is_exact(node: Node) -> bool:
    floats = [_dtype(value).itemsize for value in _floats(node)]
    if not floats:
        return True
    if node.name == "Mul" and any(v is not None and v.node.name == "Div" for v in node.operands):
        return False  # onnxruntime makes y / x of y * (1 / x), which rounds once instead of twice
    return node.name in EXACT and (min(floats) > 2 or node.name not in _ROUNDING)


def _is_rounded_attribute(value: Any) -> bool:
    """Whether an attribute is a number that changes when it is stored: ONNX's are float32."""
    return isinstance(value, float) and np.isfinite(value) and float(np.float32(value)) != value


def _is_step(node: Node) -> bool:
    if node.name == "Cast":
        return bool(_floats(node)) and not _is_float(node.output)
    return node.name in STEPS
