"""Every rule of the table: golden text before and after, equal in every bit."""

import numpy as np
import pytest

from graphctx.passes import simplify
from graphctx.passes.simplify import RULES, holds
from graphctx.spec import TensorSpec
from tests.passes.graphs import graph_of, lines, passed

B4 = ("batch", 4)
B45 = ("batch", 4, 5)
BT = ("batch", "time")
INTS = TensorSpec(B4, "int32")
BOOLS = TensorSpec(B4, "bool")
IMAGE = ("batch", "time", 4, 5)
ZEROS = np.zeros(4, np.int32)


def to(name):
    return {"to": np.dtype(name)}


def vector(*entries):
    return np.array(entries, np.int64)


# name: (function, inputs, text before, text after)
CASES = {
    "add integer zero": (
        lambda g, x: g.op("Add", x, ZEROS), [INTS],
        ["%1 = Add(x, [0, 0, 0, 0]:int32)", "return %1"],
        ["return x"],
    ),
    "add integer zero on the left": (
        lambda g, x: g.op("Add", ZEROS, x), [INTS],
        ["%1 = Add([0, 0, 0, 0]:int32, x)", "return %1"],
        ["return x"],
    ),
    "add float zero makes -0.0 positive: kept": (
        lambda g, x: g.op("Add", x, 0.0), [B4],
        ["%1 = Add(x, 0)", "return %1"],
        ["%1 = Add(x, 0)", "return %1"],
    ),
    "add negative zero": (
        lambda g, x: g.op("Add", x, -0.0), [B4],
        ["%1 = Add(x, -0)", "return %1"],
        ["return x"],
    ),
    "add zeros of both signs: kept": (
        lambda g, x: g.op("Add", x, np.array([0.0, -0.0, -0.0, -0.0], np.float32)), [B4],
        ["%1 = Add(x, [0, -0, -0, -0])", "return %1"],
        ["%1 = Add(x, [0, -0, -0, -0])", "return %1"],
    ),
    "add zeros that broadcast x: kept": (
        lambda g, x: g.op("Add", x, np.zeros((2, 1, 1), np.int32)), [INTS],
        ["%1 = Add(x, [[[0]], [[0]]]:int32)", "return %1"],
        ["%1 = Add(x, [[[0]], [[0]]]:int32)", "return %1"],
    ),
    "subtract zero": (
        lambda g, x: g.op("Sub", x, 0.0), [B4],
        ["%1 = Sub(x, 0)", "return %1"],
        ["return x"],
    ),
    "subtract negative zero: kept": (
        lambda g, x: g.op("Sub", x, -0.0), [B4],
        ["%1 = Sub(x, -0)", "return %1"],
        ["%1 = Sub(x, -0)", "return %1"],
    ),
    "zero minus x: kept": (
        lambda g, x: g.op("Sub", ZEROS, x), [INTS],
        ["%1 = Sub([0, 0, 0, 0]:int32, x)", "return %1"],
        ["%1 = Sub([0, 0, 0, 0]:int32, x)", "return %1"],
    ),
    "multiply by one": (
        lambda g, x: g.op("Mul", np.ones((1, 4), np.float32), x), [B4],
        ["%1 = Mul([[1, 1, 1, 1]], x)", "return %1"],
        ["return x"],
    ),
    "divide by one": (
        lambda g, x: g.op("Div", x, 1.0), [B4],
        ["%1 = Div(x, 1)", "return %1"],
        ["return x"],
    ),
    "one divided by x: kept": (
        lambda g, x: g.op("Div", 1.0, x), [B4],
        ["%1 = Div(1, x)", "return %1"],
        ["%1 = Div(1, x)", "return %1"],
    ),
    "a cast like another tensor": (
        lambda g, x, n: g.op("CastLike", x, g.op("Neg", n)), [B4, INTS],
        ["%1 = Neg(y)", "%2 = CastLike(x, %1)", "return %2"],
        ["%1 = Cast(x, to=int32)", "return %1"],
    ),
    "power of one": (
        lambda g, x: g.op("Pow", x, np.float32(1)), [B4],
        ["%1 = Pow(x, 1)", "return %1"],
        ["return x"],
    ),
    "and True": (
        lambda g, x: g.op("And", x, np.array(True)), [BOOLS],
        ["%1 = And(x, True)", "return %1"],
        ["return x"],
    ),
    "or False, xor False": (
        lambda g, x: g.op("Xor", np.array(False), g.op("Or", x, np.array([False]))), [BOOLS],
        ["%1 = Or(x, [False])", "%2 = Xor(False, %1)", "return %2"],
        ["return x"],
    ),
    "or True: kept": (
        lambda g, x: g.op("Or", x, np.array(True)), [BOOLS],
        ["%1 = Or(x, True)", "return %1"],
        ["%1 = Or(x, True)", "return %1"],
    ),
    "double negation": (
        lambda g, x: g.op("Neg", g.op("Neg", g.op("Neg", x))), [B4],
        ["%1 = Neg(x)", "%2 = Neg(%1)", "%3 = Neg(%2)", "return %3"],
        ["%1 = Neg(x)", "return %1"],
    ),
    "double not": (
        lambda g, x: g.op("Not", g.op("Not", x)), [BOOLS],
        ["%1 = Not(x)", "%2 = Not(%1)", "return %2"],
        ["return x"],
    ),
    "idempotent": (
        lambda g, x: g.op("Floor", g.op("Floor", g.op("Abs", g.op("Abs", x)))), [B4],
        ["%1 = Abs(x)", "%2 = Abs(%1)", "%3 = Floor(%2)", "%4 = Floor(%3)", "return %4"],
        ["%1 = Abs(x)", "%2 = Floor(%1)", "return %2"],
    ),
    "clip twice to the same bounds": (
        lambda g, x: g.op("Clip", g.op("Clip", x, 0.0, 1.0), 0.0, 1.0), [B4],
        ["%1 = Clip(x, 0, 1)", "%2 = Clip(%1, 0, 1)", "return %2"],
        ["%1 = Clip(x, 0, 1)", "return %1"],
    ),
    "clip to other bounds: kept": (
        lambda g, x: g.op("Clip", g.op("Clip", x, None, 1.0), 0.0, 1.0), [B4],
        ["%1 = Clip(x, none, 1)", "%2 = Clip(%1, 0, 1)", "return %2"],
        ["%1 = Clip(x, none, 1)", "%2 = Clip(%1, 0, 1)", "return %2"],
    ),
    "largest of the same": (
        lambda g, x: g.op("Max", x, x, x), [B4],
        ["%1 = Max(x, x, x)", "return %1"],
        ["return x"],
    ),
    "smallest of one": (
        lambda g, x: g.op("Min", x), [INTS],
        ["%1 = Min(x)", "return %1"],
        ["return x"],
    ),
    "where True": (
        lambda g, x, y: g.op("Where", np.array([True]), x, y), [B4, B4],
        ["%1 = Where([True], x, y)", "return %1"],
        ["return x"],
    ),
    "where False, of a value that would be broadcast: kept": (
        lambda g, x, y: g.op("Where", np.array(False), x, y), [B4, ()],
        ["%1 = Where(False, x, y)", "return %1"],
        ["%1 = Where(False, x, y)", "return %1"],
    ),
    "where of equal arms": (
        lambda g, x, y: g.op("Where", x, y, y), [BOOLS, B4],
        ["%1 = Where(x, y, y)", "return %1"],
        ["return y"],
    ),
    "identity": (
        lambda g, x: g.op("Identity", g.op("Identity", x)), [B4],
        ["%1 = Identity(x)", "%2 = Identity(%1)", "return %2"],
        ["return x"],
    ),
    "cast to the same": (
        lambda g, x: g.op("Cast", x, **to("float32")), [B4],
        ["%1 = Cast(x, to=float32)", "return %1"],
        ["return x"],
    ),
    "cast there and back": (
        lambda g, x: g.op("Cast", g.op("Cast", x, **to("int64")), **to("int32")), [INTS],
        ["%1 = Cast(x, to=int64)", "%2 = Cast(%1, to=int32)", "return %2"],
        ["return x"],
    ),
    "cast through a wider dtype": (
        lambda g, x: g.op("Cast", g.op("Cast", x, **to("int64")), **to("float32")), [INTS],
        ["%1 = Cast(x, to=int64)", "%2 = Cast(%1, to=float32)", "return %2"],
        ["%1 = Cast(x, to=float32)", "return %1"],
    ),
    "cast through a narrower dtype rounds: kept": (
        lambda g, x: g.op("Cast", g.op("Cast", x, **to("float16")), **to("float32")), [B4],
        ["%1 = Cast(x, to=float16)", "%2 = Cast(%1, to=float32)", "return %2"],
        ["%1 = Cast(x, to=float16)", "%2 = Cast(%1, to=float32)", "return %2"],
    ),
    "cast of a float to a narrow integer is not that of an integer: kept": (
        lambda g, x: g.op("Cast", g.op("Cast", x, **to("float64")), **to("int8")), [INTS],
        ["%1 = Cast(x, to=float64)", "%2 = Cast(%1, to=int8)", "return %2"],
        ["%1 = Cast(x, to=float64)", "%2 = Cast(%1, to=int8)", "return %2"],
    ),
    "cast to a text: kept": (
        lambda g, x: g.op("Cast", g.op("Cast", x, **to("int32")), to=np.dtype(object)), [BOOLS],
        ["%1 = Cast(x, to=int32)", "%2 = Cast(%1, to=string)", "return %2"],
        ["%1 = Cast(x, to=int32)", "%2 = Cast(%1, to=string)", "return %2"],
    ),
    "element of a sequence in sight": (
        lambda g, x: g.op("SequenceAt", g.op("SequenceConstruct", x, x, g.op("Neg", x)), -1), [B4],
        ["%1 = Neg(x)", "%2 = SequenceConstruct(x, x, %1)", "%3 = SequenceAt(%2, -1)", "return %3"],
        ["%1 = Neg(x)", "return %1"],
    ),
    "length of a sequence in sight": (
        lambda g, x: g.op("SequenceLength", g.op("SequenceConstruct", x, x)), [B4],
        ["%1 = SequenceConstruct(x, x)", "%2 = SequenceLength(%1)", "return %2"],
        ["return 2"],
    ),
    "what an optional holds": (
        lambda g, x: g.op("OptionalGetElement", g.op("Optional", x)), [B4],
        ["%1 = Optional(x)", "%2 = OptionalGetElement(%1)", "return %2"],
        ["return x"],
    ),
    "what is no optional": (
        lambda g, x: g.op("OptionalGetElement", x), [B4],
        ["%1 = OptionalGetElement(x)", "return %1"],
        ["return x"],
    ),
    "whether an optional holds something": (
        lambda g, x: (g.op("OptionalHasElement", g.op("Optional", x)),
                      g.op("OptionalHasElement", g.op("Optional", type=TensorSpec(B4)))), [B4],
        ["%1 = Optional(x)", "%2 = OptionalHasElement(%1)", "%3 = Optional(type=float32[batch, 4])",
         "%4 = OptionalHasElement(%3)", "return (%2, %4)"],
        ["return (True, False)"],
    ),
    "transpose of nothing": (
        lambda g, x: g.op("Transpose", x, perm=(0, 1, 2)), [B45],
        ["%1 = Transpose(x, perm=[0, 1, 2])", "return %1"],
        ["return x"],
    ),
    "transpose and back": (
        lambda g, x: g.op("Transpose", g.op("Transpose", x, perm=(1, 2, 0)), perm=(2, 0, 1)),
        [B45],
        ["%1 = Transpose(x, perm=[1, 2, 0])", "%2 = Transpose(%1, perm=[2, 0, 1])", "return %2"],
        ["return x"],
    ),
    "transpose of transpose": (
        lambda g, x: g.op("Transpose", g.op("Transpose", x), perm=(0, 2, 1)), [B45],
        ["%1 = Transpose(x)", "%2 = Transpose(%1, perm=[0, 2, 1])", "return %2"],
        ["%1 = Transpose(x, perm=[2, 0, 1])", "return %1"],
    ),
    "transpose of one axis": (
        lambda g, x, y: (g.op("Transpose", x, perm=(0, 2, 1)), g.op("Transpose", y)),
        [(1, 1, 4), ("batch", 1)],
        ["%1 = Transpose(x, perm=[0, 2, 1])", "%2 = Transpose(y)", "return (%1, %2)"],
        ["%1 = Reshape(x, [1, 4, 1])", "%2 = Reshape(y, [1, -1])", "return (%1, %2)"],
    ),
    "transpose of a reshape that moves ones only": (
        lambda g, x, y: (
            g.op("Transpose", g.op("Reshape", x, vector(0, 1, 4, 5)), perm=(0, 2, 1, 3)),
            g.op("Transpose", y, perm=(0, 2, 1)),
        ),
        [("batch", 20), ("batch", 1, 5)],
        ["%1 = Reshape(x, [0, 1, 4, 5])", "%2 = Transpose(%1, perm=[0, 2, 1, 3])",
         "%3 = Transpose(y, perm=[0, 2, 1])", "return (%2, %3)"],
        ["%1 = Reshape(x, [0, 4, 1, 5])", "%2 = Transpose(y, perm=[0, 2, 1])", "return (%1, %2)"],
    ),
    "reshape of a transpose that moves ones only": (
        lambda g, x, y: (
            g.op("Reshape", g.op("Transpose", x, perm=(0, 2, 1, 3)), vector(0, 1, 20)),
            g.op("Reshape", g.op("Transpose", y, perm=(0, 2, 1)), vector(0, 20)),
        ),
        [("batch", 4, 1, 5), ("batch", 4, 5)],
        ["%1 = Transpose(x, perm=[0, 2, 1, 3])", "%2 = Reshape(%1, [0, 1, 20])",
         "%3 = Transpose(y, perm=[0, 2, 1])", "%4 = Reshape(%3, [0, 20])", "return (%2, %4)"],
        ["%1 = Reshape(x, [0, 1, 20])", "%2 = Transpose(y, perm=[0, 2, 1])",
         "%3 = Reshape(%2, [0, 20])", "return (%1, %3)"],
    ),
    "reshape to the same": (
        lambda g, x: g.op("Reshape", x, vector(-1, 4)), [B4],
        ["%1 = Reshape(x, [-1, 4])", "return %1"],
        ["return x"],
    ),
    "flatten of a matrix": (
        lambda g, x: g.op("Flatten", x), [B4],
        ["%1 = Flatten(x)", "return %1"],
        ["return x"],
    ),
    "reshape there and back": (
        lambda g, x: g.op("Reshape", g.op("Flatten", x), vector(0, 4, 5)), [B45],
        ["%1 = Flatten(x)", "%2 = Reshape(%1, [0, 4, 5])", "return %2"],
        ["return x"],
    ),
    "squeeze of unsqueeze, of symbolic sizes": (
        lambda g, x: g.op("Squeeze", g.op("Unsqueeze", x, vector(1)), vector(1)), [BT],
        ["%1 = Unsqueeze(x, [1])", "%2 = Squeeze(%1, [1])", "return %2"],
        ["return x"],
    ),
    "a chain of reshapes": (
        lambda g, x: g.op(
            "Reshape", g.op("Unsqueeze", g.op("Reshape", x, vector(-1, 20)), vector(1)),
            vector(-1, 2, 10),
        ), [B45],
        ["%1 = Reshape(x, [-1, 20])", "%2 = Unsqueeze(%1, [1])", "%3 = Reshape(%2, [-1, 2, 10])",
         "return %3"],
        ["%1 = Reshape(x, [0, 2, 10])", "return %1"],
    ),
    "0 of the second reshape copies a size that only the first one makes": (
        lambda g, x: g.op("Reshape", g.op("Reshape", x, vector(4, -1)), vector(0, 5, -1)), [B45],
        ["%1 = Reshape(x, [4, -1])", "%2 = Reshape(%1, [0, 5, -1])", "return %2"],
        ["%1 = Reshape(x, [4, 5, -1])", "return %1"],
    ),
    "two symbolic sizes that move: kept": (
        lambda g, x: g.op("Unsqueeze", g.op("Unsqueeze", x, vector(0)), vector(0)), [BT],
        ["%1 = Unsqueeze(x, [0])", "%2 = Unsqueeze(%1, [0])", "return %2"],
        ["%1 = Unsqueeze(x, [0])", "%2 = Unsqueeze(%1, [0])", "return %2"],
    ),
    "squeeze of flatten": (
        lambda g, x: g.op("Squeeze", g.op("Flatten", x, axis=1), vector(1)),
        [("batch", 1, 1)],
        ["%1 = Flatten(x)", "%2 = Squeeze(%1, [1])", "return %2"],
        ["%1 = Reshape(x, [0])", "return %1"],
    ),
    "-1 beside a size that may be 0 is ambiguous: kept": (
        lambda g, x: g.op("Flatten", g.op("Unsqueeze", x, vector(3))), [("batch", "time", 4)],
        ["%1 = Unsqueeze(x, [3])", "%2 = Flatten(%1)", "return %2"],
        ["%1 = Unsqueeze(x, [3])", "%2 = Flatten(%1)", "return %2"],
    ),
    "reshape to a computed shape": (
        lambda g, x: g.op(
            "Reshape", x, g.op("Concat", g.op("Shape", x, end=2), vector(20), axis=0)
        ), [IMAGE],
        ["%1 = Shape(x, end=2)", "%2 = Concat(%1, [20], axis=0)", "%3 = Reshape(x, %2)",
         "return %3"],
        ["%1 = Reshape(x, [0, 0, 20])", "return %1"],
    ),
    "reshape of reshape to a computed shape of which 0 is a size": (
        lambda g, x: g.op(
            "Reshape",
            g.op("Unsqueeze", x, vector(0)),
            g.op("Concat", g.op("Shape", x, start=1), g.op("Shape", x, end=1), axis=0),
            allowzero=1,
        ),
        [BT],
        ["%1 = Unsqueeze(x, [0])", "%2 = Shape(x, start=1)", "%3 = Shape(x, end=1)",
         "%4 = Concat(%2, %3, axis=0)", "%5 = Reshape(%1, %4, allowzero=1)", "return %5"],
        ["%1 = Shape(x, start=1)", "%2 = Shape(x, end=1)", "%3 = Concat(%1, %2, axis=0)",
         "%4 = Reshape(x, %3, allowzero=1)", "return %4"],
    ),
    "expand to the same": (
        lambda g, x: g.op("Expand", x, vector(1, 4)), [B4],
        ["%1 = Expand(x, [1, 4])", "return %1"],
        ["return x"],
    ),
    "tile once": (
        lambda g, x: g.op("Tile", x, vector(1, 1)), [B4],
        ["%1 = Tile(x, [1, 1])", "return %1"],
        ["return x"],
    ),
    "slice of all": (
        lambda g, x: g.op("Slice", x, vector(0), vector(99), vector(1)), [B4],
        ["%1 = Slice(x, [0], [99], [1])", "return %1"],
        ["return x"],
    ),
    "slice backwards: kept": (
        lambda g, x: g.op("Slice", x, vector(3), vector(-99), vector(1), vector(-1)), [B4],
        ["%1 = Slice(x, [3], [-99], [1], [-1])", "return %1"],
        ["%1 = Slice(x, [3], [-99], [1], [-1])", "return %1"],
    ),
    "pad by nothing": (
        lambda g, x: g.op("Pad", x, vector(0, 0, 0, 0)), [B4],
        ["%1 = Pad(x, [0, 0, 0, 0])", "return %1"],
        ["return x"],
    ),
    "pad that shifts: kept": (
        lambda g, x: g.op("Pad", x, vector(0, 1, 0, -1)), [B4],
        ["%1 = Pad(x, [0, 1, 0, -1])", "return %1"],
        ["%1 = Pad(x, [0, 1, 0, -1])", "return %1"],
    ),
    "split into one": (
        lambda g, x: g.op("Split", x, vector(4), axis=1), [B4],
        ["%1 = Split(x, [4], axis=1)", "return %1"],
        ["return x"],
    ),
    "concat of one": (
        lambda g, x: g.op("Concat", x, axis=1), [B4],
        ["%1 = Concat(x, axis=1)", "return %1"],
        ["return x"],
    ),
    "concat with nothing": (
        lambda g, x: g.op("Concat", x, np.zeros((0, 4), np.float32), x, axis=0), [B4],
        ["%1 = Concat(x, [], x, axis=0)", "return %1"],
        ["%1 = Concat(x, x, axis=0)", "return %1"],
    ),
    "dropout of nothing": (
        lambda g, x: g.op("dropout", x, np.float32(0), g.seed(), key=3), [B4],
        ["%1 = dropout(x, 0, seed, key=3)", "return %1"],
        ["return x"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_rule(case):
    function, specs, before, after = case
    graph = graph_of(function, *specs)
    assert lines(graph) == before
    assert lines(passed(graph, simplify)) == after


@pytest.mark.parametrize("size", [0, 1, 3])
@pytest.mark.parametrize("name", [n for n in CASES if "reshape" in n or "squeeze" in n])
def test_reshapes_at_every_size_of_the_batch(name, size):
    function, specs, _, _ = CASES[name]
    if "batch" in specs[0]:
        passed(graph_of(function, *specs), simplify, batch=size, time=2)


def test_every_rule_says_what_it_replaces():
    for rules in RULES.values():
        for rule in rules:
            assert rule.__doc__ is not None
            assert "->" in rule.__doc__


def test_a_replaced_node_keeps_its_layer_and_the_graph_its_text():
    def function(g, x):
        with g.at("outer/inner"):
            return g.op("Transpose", g.op("Transpose", x), perm=(0, 2, 1))

    after = passed(graph_of(function, B45), simplify)
    assert str(after) == (
        "graph g (x: float32[batch, 4, 5])\n"
        "  %1 = Transpose(x, perm=[2, 0, 1])  # outer/inner\n"
        "  return %1"
    )


def test_a_graph_without_a_match_is_the_same_object():
    graph = graph_of(lambda g, x: g.op("Exp", g.op("Neg", x)), B4)
    assert simplify(graph) is graph


@pytest.mark.parametrize("narrow", ["bool", "int8", "uint8", "int16", "int32", "uint32", "int64",
                                    "uint64", "float16", "float32", "float64"])  # fmt: skip
@pytest.mark.parametrize("wide", ["bool", "int8", "uint8", "int16", "int32", "uint32", "int64",
                                  "uint64", "float16", "float32", "float64"])  # fmt: skip
def test_a_dtype_holds_another_only_if_every_extreme_survives(wide, narrow):
    narrow, wide = np.dtype(narrow), np.dtype(wide)
    if narrow == bool:
        extremes = [False, True]
    elif narrow.kind == "f":
        info = np.finfo(narrow)
        extremes = [info.max, info.min, info.smallest_subnormal, 1 + info.eps, -1.5]
    else:
        info = np.iinfo(narrow)
        extremes = [info.max, info.min, info.max - 1, info.max // 3]
    values = np.array(extremes, narrow)
    with np.errstate(all="ignore"):
        survives = [
            int(w) == int(n) if narrow.kind in "biu" and np.isfinite(w) else w == n
            for w, n in zip(values.astype(wide), values, strict=True)
        ]
    if holds(wide, narrow):
        assert all(survives)
    elif wide != bool and narrow.kind in "biu":
        assert not all(survives)
