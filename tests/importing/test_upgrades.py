"""Operators of older opsets: every version has a meaning, the one that onnxruntime gives it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx.defs
import pytest
from graphctx_onnx.importing.attributes import NEWEST
from graphctx_onnx.importing.upgrades import UPGRADES
from onnx import helper

import graphctx as gx
from graphctx import LoadError
from graphctx.ops.table import TABLE
from tests.importing.models import INT64, one, run

# Versions that change no meaning: more element types, clearer words, an attribute or operand more
# whose absence is the old behaviour, a name of its own for what was undefined.
SAME: dict[tuple[int, ...], str] = {
    (8, 10, 11, 12, 22): "MaxPool",
    (8, 12, 13): "Max Min",
    (8, 13): "Mean Sum",
    (9, 11, 12, 13, 19, 21, 23, 24, 25): "Constant",
    (9, 11, 13): "Gemm",
    (9, 11, 13, 21, 23, 24, 25): "Flatten",
    (9, 11, 16, 19, 21, 23, 24, 25): "Scan",
    (9, 13): "Greater Less MatMul",
    (9, 13, 19, 21, 23, 24, 25, 28): "Cast",
    (9, 16): "PRelu",
    (10, 11, 19, 22): "AveragePool",
    (10, 13, 22): "Dropout",
    (11,): "Hardmax LogSoftmax NonMaxSuppression ReduceSum Softmax Split",
    (11, 12, 13): "ArgMax ArgMin",
    (11, 12, 13, 20): "ReduceMax ReduceMin",
    (11, 13): "Concat Gather ReduceL1 ReduceL2 ReduceMean ReduceProd ReduceSumSquare Slice",
    (11, 13, 16, 19, 21, 23, 24, 25): "If Loop",
    (11, 13, 19): "Equal",
    (11, 13, 28): "DepthToSpace ReduceLogSum ReduceLogSumExp",
    (11, 18, 22): "LpPool",
    (11, 21, 23, 24, 25): "Squeeze Unsqueeze",
    (11, 22): "Conv ConvTranspose MaxUnpool",
    (11, 24): "TopK",
    (11, 28): "Compress",
    (12, 13): "Clip GatherND",
    (12, 13, 15): "Pow",
    (13,): (
        "Abs Ceil Erf Exp Expand Floor GatherElements LRN Log MeanVarianceNormalization Neg "
        "NonZero Reciprocal Sigmoid Sign SoftmaxCrossEntropyLoss Sqrt Tanh Tile"
    ),
    (13, 14): "Add Div Mul Relu Sub",
    (13, 14, 16, 19, 21, 23, 24, 25): "Identity",
    (13, 14, 19, 21, 23, 24, 25): "Reshape",
    (13, 15, 19, 21, 23, 24, 25): "Shape",
    (13, 16, 18): "ScatterElements ScatterND",
    (13, 18, 19, 21, 23, 24, 25): "Pad",
    (13, 19, 21, 23, 24, 25): "Size",
    (13, 19, 21, 23, 24, 25, 28): "DequantizeLinear QuantizeLinear",
    (13, 20): "IsNaN",
    (13, 21, 23, 24, 25): "Transpose",
    (13, 22): "NegativeLogLikelihoodLoss",
    (13, 28): "Mod SpaceToDepth",
    (14,): "CumSum",
    (14, 22): "GRU LSTM RNN",
    (15,): "BatchNormalization",
    (16,): "GreaterOrEqual LeakyRelu LessOrEqual Where",
    (18, 19): "Resize",
    (18, 28): "OptionalGetElement OptionalHasElement",
    (19, 21, 23, 24, 25): "CastLike",
    (20,): "IsInf",
    (20, 21, 23, 24, 25): "ConstantOfShape",
    (21,): "QLinearMatMul",
    (22,): (
        "Acos Acosh Asin Asinh Atan Atanh Bernoulli Cos Cosh DeformConv Det Elu EyeLike "
        "GlobalAveragePool GlobalLpPool GlobalMaxPool GridSample HardSigmoid HardSwish "
        "InstanceNormalization LpNormalization MaxRoiPool Mish Multinomial RandomNormal "
        "RandomNormalLike RandomUniform RandomUniformLike RoiAlign Round Selu Sin Sinh Softplus "
        "Softsign Tan ThresholdedRelu"
    ),
    (24,): "SplitToSequence",
    (24, 25): "Attention",
    (27,): "Range",
    (28,): "BitShift Celu Einsum OneHot Optional ReverseSequence Unique",
}


def history() -> dict[str, list[int]]:
    """Operator of ONNX's own domain -> the versions it has had."""
    found: dict[str, list[int]] = defaultdict(list)
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "":
            found[schema.name].append(schema.since_version)
    return {name: sorted(versions) for name, versions in found.items()}


def test_every_version_of_every_operator_is_accounted_for() -> None:
    same = {
        (name, version)
        for versions, names in SAME.items()
        for name in names.split()
        for version in versions
    }
    later = {
        (name, version)
        for name, versions in history().items()
        for version in versions
        if version > max(7, versions[0])
    }
    upgraded = {(name, to) for name, steps in UPGRADES.items() for to in steps if to > 7}
    assert later - same == upgraded & later
    assert same <= later
    assert not same & upgraded


def test_an_upgrade_is_to_a_version_that_there_is() -> None:
    for name, steps in UPGRADES.items():
        assert set(steps) <= {*history()[name], 9, 10, 11}, name


@pytest.mark.parametrize("name", TABLE)
def test_defaults_are_those_of_onnx(name: str) -> None:
    """What a file leaves out is what graphctx leaves out."""
    record = TABLE[name]
    try:
        schema = onnx.defs.get_schema(name, NEWEST, "")
    except onnx.defs.SchemaError:
        return
    for key, formal in schema.attributes.items():
        ours = record.defaults.get(key)
        if not formal.default_value.type or ours is None:
            continue
        value = helper.get_attribute_value(formal.default_value)
        value = value.decode() if isinstance(value, bytes) else value
        if isinstance(value, list):
            assert list(ours) == value, key
        else:
            assert ours == value or np.float32(ours) == np.float32(value), key


# -- the same outputs as onnxruntime ---------------------------------------------------------------

RANDOM = np.random.default_rng(0)


def normal(*shape: int) -> Any:
    return RANDOM.standard_normal(shape).astype(np.float32)


X = normal(2, 3, 4)
IMAGE = normal(1, 2, 4, 6)
CASES: dict[str, tuple[str, int, Mapping[str, Any], Mapping[str, Any]]] = {
    "clip": ("Clip", 7, {"x": X}, {"min": -0.5, "max": 0.5}),
    "clip above": ("Clip", 7, {"x": X}, {"max": 0.5}),
    "clip to nothing": ("Clip", 7, {"x": X}, {}),
    "softmax": ("Softmax", 7, {"x": X}, {}),
    "softmax of rows": ("Softmax", 11, {"x": X}, {"axis": -1}),
    "softmax of all": ("Softmax", 8, {"x": X}, {"axis": 0}),
    "log softmax": ("LogSoftmax", 11, {"x": X}, {"axis": 1}),
    "hardmax": ("Hardmax", 7, {"x": X}, {}),
    "squeeze": ("Squeeze", 7, {"x": X[:1]}, {"axes": [0]}),
    "squeeze all": ("Squeeze", 11, {"x": X[:1, :1]}, {}),
    "unsqueeze": ("Unsqueeze", 7, {"x": X}, {"axes": [0, 2]}),
    "sum": ("ReduceSum", 7, {"x": X}, {"axes": [1], "keepdims": 0}),
    "sum of all": ("ReduceSum", 11, {"x": X}, {}),
    "mean": ("ReduceMean", 13, {"x": X}, {"axes": [-1]}),
    "largest": ("ReduceMax", 12, {"x": X}, {"axes": [0, 2]}),
    "l2": ("ReduceL2", 17, {"x": X}, {"axes": [0]}),
    "slice": ("Slice", 7, {"x": X}, {"starts": [1, -3], "ends": [2, 100], "axes": [0, 2]}),
    "slice first axes": ("Slice", 8, {"x": X}, {"starts": [0, 1], "ends": [-1, 3]}),
    "pad": ("Pad", 7, {"x": X}, {"pads": [0, 1, 2, 1, 0, 0], "value": 1.5}),
    "pad with zeros": ("Pad", 10, {"x": X}, {"pads": [0, 1, 2, 1, 0, 0]}),
    "pad by reflection": ("Pad", 7, {"x": X}, {"pads": [0, 1, 2, 0, 1, 1], "mode": "reflect"}),
    "upsample": ("Upsample", 7, {"x": IMAGE}, {"scales": [1.0, 1.0, 2.0, 3.0]}),
    "upsample linearly": (
        "Upsample", 7, {"x": IMAGE}, {"scales": [1.0, 1.0, 2.0, 2.0], "mode": "linear"},
    ),
    "upsample by operand": (
        "Upsample", 9, {"x": IMAGE, "s": np.float32([1, 1, 2, 1.5])}, {"mode": "nearest"},
    ),
    "resize": ("Resize", 10, {"x": IMAGE, "s": np.float32([1, 1, 2, 2])}, {}),
    "resize smaller": ("Resize", 10, {"x": IMAGE, "s": np.float32([1, 1, 0.5, 0.6])}, {}),
    "resize both ways": ("Resize", 10, {"x": IMAGE, "s": np.float32([1, 1, 0.6, 1.7])}, {}),
    "resize linearly": (
        "Resize", 10, {"x": IMAGE, "s": np.float32([1, 1, 0.6, 1.7])}, {"mode": "linear"},
    ),
    "resize 11": (
        "Resize", 11, {"x": IMAGE, "r": np.zeros(0, np.float32), "s": np.float32([1, 1, 2, 3])}, {},
    ),
    "resize 11 to sizes": (
        "Resize", 11,
        {"x": IMAGE, "r": np.zeros(0, np.float32), "s": np.zeros(0, np.float32),
         "z": np.asarray([1, 2, 8, 3])},
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
    ),
    "batch norm": (
        "BatchNormalization", 7, {"x": X, "s": normal(3), "b": normal(3), "m": normal(3),
                                  "v": np.abs(normal(3))}, {"epsilon": 1e-3},
    ),
    "batch norm 9": (
        "BatchNormalization", 9, {"x": X, "s": normal(3), "b": normal(3), "m": normal(3),
                                  "v": np.abs(normal(3))}, {"momentum": 0.5},
    ),
    "dropout": ("Dropout", 7, {"x": X}, {"ratio": 0.3}),
    "dropout 12": ("Dropout", 12, {"x": X, "r": np.asarray(0.3, np.float32)}, {}),
    "one hot": (
        "OneHot", 9,
        {"i": np.asarray([0, 2, 1]), "d": np.asarray([3]), "v": np.float32([0, 1])}, {},
    ),
    "scatter": (
        "Scatter", 9, {"x": X, "i": np.asarray([[[1, 0]]]), "u": normal(1, 1, 2)}, {"axis": 2},
    ),
    "cast": ("Cast", 7, {"x": X}, {"to": onnx.TensorProto.FLOAT}),
    "add": ("Add", 7, {"a": X, "b": normal(3, 1)}, {}),
    "max pool": ("MaxPool", 7, {"x": IMAGE}, {"kernel_shape": [2, 2]}),
    "average pool": (
        "AveragePool", 7, {"x": IMAGE}, {"kernel_shape": [2, 2], "pads": [1, 1, 0, 0]},
    ),
    "gemm": ("Gemm", 7, {"a": normal(2, 3), "b": normal(3, 4), "c": normal(4)}, {"alpha": 0.5}),
    "group norm": (
        "GroupNormalization", 18, {"x": normal(2, 4, 3), "s": normal(2), "b": normal(2)},
        {"num_groups": 2},
    ),
}  # fmt: skip
KNOWN = ("s", "r", "z", "d")  # operands that have to be constants


@pytest.mark.parametrize("case", CASES)
def test_an_older_operator_is_what_onnxruntime_computes(case: str) -> None:
    op, opset, operands, attributes = CASES[case]
    known = KNOWN if op in ("Upsample", "Resize", "OneHot") else ()
    model = one(op, operands, opset=opset, constant=known, **attributes)
    feeds = {name: array for name, array in operands.items() if name not in known}
    found = gx.compile(gx.load(model))(**feeds)["y"]
    wanted = run(model, feeds)["y"]
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("opset", [7, 13, 18])
def test_split_into_equal_parts(opset: int, count: int) -> None:
    names = [f"y{i}" for i in range(count)]
    x = normal(12, 2)
    more = {"num_outputs": count} if opset >= 18 else {}
    found = gx.compile(gx.load(one("Split", {"x": x}, opset=opset, outputs=names, **more)))(x)
    for name, part in zip(names, np.split(x, count), strict=True):
        np.testing.assert_array_equal(found[name], part)


def test_split_into_given_parts() -> None:
    x = normal(5, 2)
    model = one("Split", {"x": x}, opset=11, outputs=["a", "b"], split=[4, 1])
    found = gx.compile(gx.load(model))(x)
    np.testing.assert_array_equal(found["a"], x[:4])
    np.testing.assert_array_equal(found["b"], x[4:])


def test_the_largest_elements_of_opset_7() -> None:
    model = one("TopK", {"x": X}, opset=7, outputs=["y", "i"], k=2)
    del model.graph.output[1]
    np.testing.assert_array_equal(gx.compile(gx.load(model))(X)["y"], run(model, {"x": X})["y"])


def test_a_negative_index_was_outside_in_opset_9() -> None:
    operands = {"i": np.asarray([0, -1]), "d": np.asarray([2]), "v": np.float32([5, 7])}
    model = one("OneHot", operands, opset=9, constant=("d", "v"))
    found = gx.compile(gx.load(model))(operands["i"])["y"]
    np.testing.assert_array_equal(found, [[7, 5], [5, 5]])


def test_batch_norm_of_each_activation() -> None:
    parts = {"s": normal(3, 4), "b": normal(3, 4), "m": normal(3, 4), "v": np.abs(normal(3, 4))}
    model = one("BatchNormalization", {"x": X, **parts}, opset=7, spatial=0)
    found = gx.compile(gx.load(model))(X, *parts.values())["y"]
    wanted = (X - parts["m"]) / np.sqrt(parts["v"] + 1e-5) * parts["s"] + parts["b"]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_batch_norm_that_trains() -> None:
    parts = {"s": normal(3), "b": normal(3), "m": normal(3), "v": np.abs(normal(3))}
    names = ["y", "mean", "var", "", ""]
    model = one("BatchNormalization", {"x": X, **parts}, opset=9, outputs=names, momentum=0.75)
    found = gx.compile(gx.load(model))(X, *parts.values())
    mean, variance = X.mean((0, 2)), X.var((0, 2))
    np.testing.assert_allclose(found["mean"], 0.75 * parts["m"] + 0.25 * mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["var"], 0.75 * parts["v"] + 0.25 * variance, rtol=1e-5)
    used = one("BatchNormalization", {"x": X, **parts}, opset=9, outputs=["y", "", "", "saved"])
    with pytest.raises(LoadError, match="saved_mean and saved_var, meant for the gradient, are"):
        gx.load(used)


def test_a_mask_of_dropout_that_passes_on() -> None:
    model = one("Dropout", {"x": X}, opset=10, outputs=["", "y"], dtype=onnx.TensorProto.BOOL)
    del model.graph.node[0].output[0]
    model.graph.node[0].output.insert(0, "z")
    assert gx.compile(gx.load(model))(X)["y"].all()


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div"])
def test_broadcasting_before_opset_7(op: str) -> None:
    b = np.abs(normal(3)) + 1
    model = one(op, {"a": X, "b": b}, opset=6, broadcast=1, axis=1)
    wanted = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}[op]
    found = gx.compile(gx.load(model))(X, b)["y"]
    np.testing.assert_allclose(found, wanted(X, b[:, None]), rtol=1e-6)


def test_an_element_type_was_its_name() -> None:
    model = one("Cast", {"x": X}, opset=1, to="INT64", dtype=INT64)
    np.testing.assert_array_equal(gx.compile(gx.load(model))(X)["y"], X.astype(np.int64))
    with pytest.raises(LoadError, match=r"node 0 'node' \(Cast\): there is no element type 'LONG'"):
        gx.load(one("Cast", {"x": X}, opset=1, to="LONG"))


def test_what_no_later_opset_says() -> None:
    with pytest.raises(LoadError, match=r"\(Resize\): its scales are data, and what they decide"):
        gx.load(one("Resize", {"x": IMAGE, "s": np.float32([1, 1, 2, 2])}, opset=10))
