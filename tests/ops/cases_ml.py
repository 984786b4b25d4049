"""Cases of ONNX's operators of classical machine learning."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.ops.build import random, refused
from tests.ops.case import Case

X = random((5, 3))
DOUBLES = random((5, 3), "float64")
COUNTS = np.array([[3, 0, -2], [1, 4, 0], [2, 2, 2], [0, 0, 0], [7, -1, 3]])
WORDS = np.array([["a", "b", "x"], ["c", "a", "b"]], object)
TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
LACKS = "onnxruntime has no kernel for this dtype"
LABELS = "onnxruntime gives 0 and 1 instead of the labels of two classes"
NAN = float("nan")


def case(op: str, *operands: Any, tolerance: float = 1e-5, **attrs: Any) -> Case:
    """A case whose first operand has a symbolic number of rows."""
    symbolic = {0: {0: "n"}} if operands[0].ndim > 1 else {}
    return Case(op, operands, attrs, symbolic=symbolic, tolerance=tolerance)


def lacking(*given: Any, **more: Any) -> Case:
    """A case for which onnxruntime has no kernel."""
    return refused(case(*given, **more), LACKS)


def strings(*items: str) -> Any:
    """An array of strings."""
    return np.array(items, object)


# Three trees of two levels over three features, for a target and the classes that follow it.
MODES = ["BRANCH_LEQ", "BRANCH_LEQ", "LEAF", "LEAF", "LEAF"]
LEAVES = [(tree, node) for tree in range(3) for node in (2, 3, 4)]


def nodes(mode: str = "BRANCH_LEQ", missing: Any = None) -> dict[str, Any]:
    """The nodes of three trees."""
    found: dict[str, Any] = {
        "nodes_treeids": [tree for tree in range(3) for _ in range(5)],
        "nodes_nodeids": list(range(5)) * 3,
        "nodes_featureids": [0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0],
        "nodes_modes": [mode if text != "LEAF" else text for text in MODES] * 3,
        "nodes_truenodeids": [1, 2, 0, 0, 0] * 3,
        "nodes_falsenodeids": [4, 3, 0, 0, 0] * 3,
        "nodes_values": [0.5, -0.25, 0, 0, 0, 0, 1.0, 0, 0, 0, -1.0, 2.0, 0, 0, 0],
    }
    if missing is not None:
        found["nodes_missing_value_tracks_true"] = missing
    return found


def votes(kind: str, ids: Any, weights: Any, places: Any = None) -> dict[str, Any]:
    """What the leaves say."""
    places = LEAVES if places is None else places
    names = ("target_ids", "target_weights") if kind == "target" else ("class_ids", "class_weights")
    return {f"{kind}_treeids": [tree for tree, _ in places],
            f"{kind}_nodeids": [node for _, node in places],
            names[0]: ids, names[1]: weights}  # fmt: skip


WEIGHTS = [0.25, -0.5, 1.5, 0.75, 2.0, -1.0, 0.1, -0.3, 0.6]
SHARES = [0.05, 0.1, 0.15, 0.3, 0.2, 0.25, 0.01, 0.3, 0.16]
ONE = votes("target", [0] * 9, WEIGHTS)
TWO = votes("target", [0, 1] * 9, [*WEIGHTS, *WEIGHTS[::-1]],
            [place for place in LEAVES for _ in range(2)])  # fmt: skip
THREE = votes("class", [0, 1, 2] * 3, WEIGHTS)
EVERY = votes("class", [0, 1, 2] * 9, (SHARES * 3)[::-1], [p for p in LEAVES for _ in range(3)])
NUMBERS = np.concatenate([X, [[NAN, 1, 1], [1, NAN, NAN], [np.inf, -np.inf, 0], [0.5, 1, -1]]])
NUMBERS = NUMBERS.astype(np.float32)
LIKE = {"n_targets": 1, **ONE}


def regressor(x: Any, mode: str = "BRANCH_LEQ", missing: Any = None, **attrs: Any) -> Case:
    """A case of TreeEnsembleRegressor."""
    given = {**nodes(mode, missing), **LIKE, **attrs}
    given = {name: value for name, value in given.items() if value is not None}
    return case("TreeEnsembleRegressor", x, **given)


def classifier(x: Any, votes: Any, labels: Any = (10, 20, 30), **attrs: Any) -> Case:
    """A case of TreeEnsembleClassifier."""
    name = "classlabels_strings" if isinstance(labels[0], str) else "classlabels_int64s"
    return case("TreeEnsembleClassifier", x, **nodes(), **votes, **{name: list(labels)}, **attrs)


def ensemble(x: Any, **attrs: Any) -> Case:
    """A case of TreeEnsemble: two trees, the second of one comparison."""
    t = x.dtype
    given: dict[str, Any] = {
        "tree_roots": [0, 2], "nodes_modes": np.zeros(3, np.uint8), "n_targets": 2,
        "nodes_featureids": [0, 1, 2], "nodes_splits": np.array([0.5, -0.25, 0.1], t),
        "nodes_truenodeids": [1, 0, 3], "nodes_trueleafs": [0, 1, 1],
        "nodes_falsenodeids": [2, 1, 4], "nodes_falseleafs": [1, 1, 1],
        "leaf_targetids": [0, 1, 0, 1, 1], "leaf_weights": np.array([1, -2, 3, 0.5, -0.25], t),
    }  # fmt: skip
    return case("TreeEnsemble", x, **{**given, **attrs})


PLANES = {"coefficients": [0.5, -1.0, 2.0, 0.1, 0.3, -0.2, 1.0, 1.0, 1.0]}
BIAS = {"intercepts": [0.1, -0.2, 0.3]}
SUPPORT = random((7, 3), seed=5).reshape(-1).tolist()
DUAL = random((2, 7), seed=6).reshape(-1).tolist()
SVC = {"support_vectors": SUPPORT, "coefficients": DUAL, "vectors_per_class": [2, 3, 2],
       "rho": [0.1, -0.2, 0.3], "classlabels_ints": [5, 7, 9]}  # fmt: skip
PAIR = {"support_vectors": SUPPORT, "coefficients": DUAL[:7], "vectors_per_class": [4, 3],
        "rho": [0.1], "classlabels_strings": ["no", "yes"]}  # fmt: skip
PROBA = {"prob_a": [-1.5, -2.0, -0.5], "prob_b": [0.1, 0.2, -0.1]}
KERNELS = (("LINEAR", [0.0, 0.0, 0.0]), ("POLY", [0.5, 1.0, 3.0]), ("RBF", [0.3, 0.0, 0.0]),
           ("SIGMOID", [0.2, 0.5, 0.0]))  # fmt: skip
PLAIN = {"kernel_params": [0.0, 0.0, 0.0]}
SVR = {"support_vectors": SUPPORT, "coefficients": DUAL[:7], "n_supports": 7, "rho": [0.5]}
MEMBERS = np.array([1.2, 3.7, 8, 9, np.nan, 12, 7, np.nan], np.float32)

CASES = [
    *(case("ArrayFeatureExtractor", x, np.array([2, 0, 2]), tolerance=0)
      for x in (X, DOUBLES, COUNTS, COUNTS.astype(np.int32), WORDS)),
    case("ArrayFeatureExtractor", X, np.array([[1, 0]]), tolerance=0),
    case("ArrayFeatureExtractor", X[0], np.array([1, 0]), tolerance=0),
    case("ArrayFeatureExtractor", random((2, 4, 3)), np.array([1]), tolerance=0),
    case("Binarizer", X, threshold=0.25, tolerance=0),
    case("Binarizer", X[0], tolerance=0),
    *(lacking("Binarizer", x, threshold=0.5, tolerance=0) for x in (DOUBLES, COUNTS)),
    case("CategoryMapper", WORDS, cats_strings=["a", "b"], cats_int64s=[7, 9], default_int64=-5),
    case("CategoryMapper", COUNTS, cats_strings=["a", "b"], cats_int64s=[2, 3], default_string="?"),
    case("FeatureVectorizer", X, X[:, :2], inputdimensions=[3, 2]),
    case("FeatureVectorizer", COUNTS, inputdimensions=[3]),
    refused(case("FeatureVectorizer", X, COUNTS, inputdimensions=[3, 3]),
            "onnxruntime takes operands of one dtype"),
    refused(case("FeatureVectorizer", X, X), "onnxruntime needs inputdimensions"),
    case("Imputer", np.where(X > 1, np.float32(NAN), X), replaced_value_float=NAN,
         imputed_value_floats=[9.0], tolerance=0),
    case("Imputer", X, replaced_value_float=float(X[0, 0]), imputed_value_floats=[1.0, 2.0, 3.0],
         tolerance=0),
    case("Imputer", COUNTS, replaced_value_int64=2, imputed_value_int64s=[1, 2, 3]),
    lacking("Imputer", DOUBLES, imputed_value_floats=[1.0]),
    *(case("Normalizer", x, norm=norm) for norm in ("L1", "L2") for x in (X, COUNTS, DOUBLES)),
    case("Normalizer", np.abs(X)),
    case("Normalizer", np.zeros((2, 3), np.float32), norm="L2"),
    case("Normalizer", X[0], norm="L1"),
    *(case("OneHotEncoder", x, cats_int64s=[0, 2, 3], tolerance=0)
      for x in (COUNTS, COUNTS.astype(np.float32))),
    lacking("OneHotEncoder", COUNTS.astype(np.int32), cats_int64s=[0, 2, 3], tolerance=0),
    case("OneHotEncoder", WORDS, cats_strings=["a", "b", "c"], tolerance=0),
    case("OneHotEncoder", WORDS[1:], cats_strings=["a", "b", "c"], zeros=0, tolerance=0),
    *(case("Scaler", x, offset=[0.5, 0.25, 0.1], scale=[2.0, 3.0, 0.1])
      for x in (X, DOUBLES, COUNTS, COUNTS.astype(np.int32))),
    case("Scaler", X, offset=[0.5], scale=[2.0]),
    # Encoders.
    case("LabelEncoder", WORDS, keys_strings=["a", "b"], values_int64s=[3, 4], default_int64=-7),
    case("LabelEncoder", WORDS, keys_strings=["a", "b"], values_floats=[0.5, 1.5]),
    case("LabelEncoder", WORDS, keys_strings=["a", "b"], values_strings=["x", "y"]),
    case("LabelEncoder", COUNTS, keys_int64s=[3, 0], values_strings=["x", "y"]),
    case("LabelEncoder", COUNTS, keys_int64s=[3, 0], values_int64s=[1, 2]),
    case("LabelEncoder", COUNTS, keys_int64s=[3, 0], values_floats=[0.5, 1.5]),
    refused(case("LabelEncoder", np.array([0.5, NAN, 2], np.float32), keys_floats=[0.5, NAN],
                 values_strings=["half", "none"], default_string="?"),
            "onnxruntime does not find NaN among the keys"),
    case("LabelEncoder", np.array([0.5, 2], np.float32), keys_floats=[2.0], values_int64s=[9]),
    case("LabelEncoder", np.array([0.5, 2], np.float32), keys_floats=[2.0], values_floats=[0.1]),
    case("LabelEncoder", WORDS, keys_tensor=strings("a", "b"), default_tensor=np.array([7], "i2"),
         values_tensor=np.array([3, 4], np.int16)),
    case("LabelEncoder", DOUBLES, keys_tensor=DOUBLES[0, :2], values_tensor=np.array([0.5, 1.0]),
         default_tensor=np.array([-2.0])),
    case("LabelEncoder", COUNTS, keys_tensor=np.array([3, 0]), values_tensor=np.array([2, 1])),
    case("LabelEncoder", WORDS, keys_strings=["a", "b"], values_tensor=np.array([3, 4]),
         default_tensor=np.array([5])),
    # Linear models.
    *(case("LinearRegressor", x, **PLANES, **BIAS, targets=3)
      for x in (X,)),
    *(lacking("LinearRegressor", x, **PLANES, **BIAS, targets=3) for x in (DOUBLES, COUNTS)),
    case("LinearRegressor", X, coefficients=[0.5, 1.0, -1.0], intercepts=[2.0]),
    case("LinearRegressor", X, coefficients=[0.5, 1.0, -1.0]),
    *(case("LinearRegressor", X * 0.1, **PLANES, targets=3, post_transform=transform)
      for transform in TRANSFORMS if transform != "PROBIT"),
    *(case("LinearClassifier", x, **PLANES, **BIAS, classlabels_ints=[4, 5, 6])
      for x in (X, DOUBLES, COUNTS, COUNTS.astype(np.int32))),
    *(case("LinearClassifier", X, **PLANES, **BIAS, classlabels_strings=["a", "b", "c"],
           post_transform=transform) for transform in TRANSFORMS if transform != "PROBIT"),
    case("LinearClassifier", X, coefficients=[0.5, 1.0, -1.0], intercepts=[0.25],
         classlabels_ints=[3, 8]),
    # Support vector machines.
    *(case("SVMRegressor", X, kernel_type=kernel, kernel_params=params, **SVR, tolerance=1e-4)
      for kernel, params in KERNELS),
    case("SVMRegressor", X, one_class=1, **SVR, **PLAIN),
    case("SVMRegressor", X, **PLAIN, coefficients=[0.5, 1.0, -1.0], rho=[0.1]),
    *(case("SVMClassifier", X, kernel_type=kernel, kernel_params=params, **SVC, tolerance=1e-4)
      for kernel, params in KERNELS),
    *(case("SVMClassifier", X, kernel_type=kernel, kernel_params=params, **SVC, **PROBA,
           tolerance=1e-4) for kernel, params in KERNELS),
    *(case("SVMClassifier", X, **SVC, **PLAIN, post_transform=transform)
      for transform in TRANSFORMS if transform != "PROBIT"),
    case("SVMClassifier", X, **PAIR, **PLAIN),
    case("SVMClassifier", X, **PAIR, **PLAIN, prob_a=[-1.5], prob_b=[0.1], tolerance=1e-4),
    case("SVMClassifier", X, **PLAIN, coefficients=PLANES["coefficients"], rho=[0.1],
         classlabels_ints=[4, 5, 6]),
    case("SVMClassifier", DOUBLES, **SVC, **PLAIN),
    # Trees.
    *(regressor(x) for x in (X, DOUBLES)),
    *(refused(regressor(x), LACKS) for x in (COUNTS, COUNTS.astype(np.int32))),
    *(classifier(x, THREE) for x in (COUNTS, COUNTS.astype(np.int32))),
    *(regressor(NUMBERS, f"BRANCH_{mode}") for mode in ("LEQ", "LT", "GTE", "GT", "EQ", "NEQ")),
    *(regressor(NUMBERS, f"BRANCH_{mode}", [1, 0, 0, 0, 0] * 3) for mode in ("LEQ", "GT")),
    *(regressor(X, aggregate_function=name) for name in ("AVERAGE", "SUM", "MIN", "MAX")),
    *(regressor(X, aggregate_function=name, base_values=[0.5, 0.25], n_targets=2, **TWO)
      for name in ("AVERAGE", "SUM", "MIN", "MAX")),
    *(regressor(X, n_targets=2, post_transform=transform, **TWO)
      for transform in TRANSFORMS if transform != "PROBIT"),
    regressor(DOUBLES, nodes_values=None, target_weights=None, base_values=None,
              nodes_values_as_tensor=np.array(nodes()["nodes_values"]),
              target_weights_as_tensor=np.array(WEIGHTS), base_values_as_tensor=np.array([0.1])),
    classifier(X, THREE),
    classifier(X, THREE, base_values=[0.5, -0.25, 0.75]),
    classifier(DOUBLES, THREE, ["a", "b", "c"]),
    *(classifier(X, EVERY, post_transform=transform) for transform in TRANSFORMS),
    *(classifier(X, votes("class", [which] * 9, weights), (3, 8), post_transform=transform)
      for which in (0, 1) for weights in (SHARES, WEIGHTS)
      for transform in TRANSFORMS if transform != "PROBIT"),
    classifier(X, votes("class", [0] * 9, SHARES), ["no", "yes"], base_values=[0.25]),
    refused(classifier(X, votes("class", [0, 1] * 9, SHARES * 2,
                                [p for p in LEAVES for _ in range(2)]), (3, 8)), LABELS),
    ensemble(X),
    ensemble(DOUBLES),
    ensemble(NUMBERS, nodes_missing_value_tracks_true=[1, 0, 1]),
    *(ensemble(X, aggregate_function=n) for n in range(4)),
    *(ensemble(X, post_transform=n) for n in (0, 3)),
    *(refused(ensemble(X, post_transform=n), "onnxruntime takes 1 for LOGISTIC and 2 for SOFTMAX")
      for n in (1, 2)),
    ensemble(NUMBERS, nodes_modes=np.array([1, 3, 5], np.uint8)),
    ensemble(np.array([[1.2, 0, 0], [12, 12, 3], [np.nan, 7, 3]], np.float32),
             nodes_modes=np.array([6, 6, 0], np.uint8), membership_values=MEMBERS),
]  # fmt: skip
