"""ONNX's operators of classical machine learning: fitted models of scikit-learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import ensemble, linear_model, preprocessing, svm
from sklearn.datasets import load_iris, make_regression

import graphctx as gx
from graphctx import TensorSpec, ops
from graphctx.errors import DTypeError, ExportError, GraphctxError, ShapeError
from graphctx.ops.trees import Trees
from graphctx.passes import check
from tests.ops import cases_ml

F = np.float32
X, Y = load_iris(return_X_y=True)
X = X.astype(F)
NAMES = np.array(["setosa", "versicolor", "virginica"])


# -- models of scikit-learn -----------------------------------------------------------------------


def model(function: Any, **attrs: Any) -> gx.Program:
    """A program that applies an operator to rows of iris."""

    class Net(gx.Layer):
        def call(self, x: Any) -> Any:
            return function(x, **attrs)

    return gx.compile(check(gx.trace(Net(), TensorSpec(("n", X.shape[1])))))


def tree_attrs(estimators: Any, kind: str, scale: float = 1.0) -> dict[str, Any]:
    """The attributes of a tree ensemble for fitted trees of scikit-learn."""
    names = ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")
    found: dict[str, Any] = {f"nodes_{name}": [] for name in names}
    votes: dict[str, Any] = {
        f"{kind}_{name}": [] for name in ("treeids", "nodeids", "ids", "weights")
    }
    for tree, estimator in enumerate(estimators):
        t = estimator.tree_
        for node in range(t.node_count):
            leaf = t.children_left[node] < 0
            # The largest float32 that is not above the threshold: rows of float32 go the same way.
            split = F(t.threshold[node])
            split = np.nextafter(split, F(-np.inf)) if split > t.threshold[node] else split
            entry = (tree, node, 0 if leaf else t.feature[node], 0 if leaf else float(split),
                     "LEAF" if leaf else "BRANCH_LEQ", 0 if leaf else t.children_left[node],
                     0 if leaf else t.children_right[node])  # fmt: skip
            for values, item in zip(found.values(), entry, strict=True):
                values.append(item if isinstance(item, (str, float)) else int(item))
            if leaf:
                shares = t.value[node].reshape(-1)
                shares = shares / shares.sum() if kind == "class" else shares
                for at, weight in enumerate(shares):
                    entries = (tree, node, at, float(weight * scale))
                    for values, item in zip(votes.values(), entries, strict=True):
                        values.append(item)
    return {**found, **votes}


def agrees(program: gx.Program, path: Path, wanted: Any, rtol: float = 1e-5) -> None:
    """Assert that outputs are those wanted, and onnxruntime's on the exported file."""
    found = program(X)
    for ours, theirs in zip(found if isinstance(found, tuple) else (found,), wanted, strict=True):
        if ours.dtype.kind == "f":
            np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol)
        else:
            np.testing.assert_array_equal(ours, theirs)
    gx.export(program, path / "model.onnx", inputs=[X], rtol=max(rtol, 1e-4), atol=rtol)


def test_random_forest_classifier(tmp_path: Path) -> None:
    forest = ensemble.RandomForestClassifier(25, max_depth=5, random_state=0).fit(X, NAMES[Y])
    attrs = tree_attrs(forest.estimators_, "class", 1 / 25)
    program = model(
        ops.tree_ensemble_classifier, classlabels_strings=list(forest.classes_), **attrs
    )
    agrees(program, tmp_path, (forest.predict(X), forest.predict_proba(X)))


def test_gradient_boosting_regressor(tmp_path: Path) -> None:
    fitted = ensemble.GradientBoostingRegressor(n_estimators=30, random_state=0).fit(
        X, X[:, 0] ** 2
    )
    attrs = tree_attrs(fitted.estimators_[:, 0], "target", fitted.learning_rate)
    base = float(fitted.init_.constant_.item())
    program = model(ops.tree_ensemble_regressor, n_targets=1, base_values=[base], **attrs)
    agrees(program, tmp_path, (fitted.predict(X)[:, None],))


def test_random_forest_regressor_of_two_targets(tmp_path: Path) -> None:
    forest = ensemble.RandomForestRegressor(20, max_depth=6, random_state=0).fit(X, X[:, :2])
    attrs = tree_attrs(forest.estimators_, "target")
    program = model(ops.tree_ensemble_regressor, n_targets=2, aggregate_function="AVERAGE", **attrs)
    agrees(program, tmp_path, (forest.predict(X),))


def test_logistic_regression(tmp_path: Path) -> None:
    fitted = linear_model.LogisticRegression(max_iter=500).fit(X, Y)
    program = model(
        ops.linear_classifier, coefficients=fitted.coef_.reshape(-1).tolist(),
        intercepts=fitted.intercept_.tolist(), classlabels_ints=fitted.classes_.tolist(),
        post_transform="SOFTMAX",
    )  # fmt: skip
    agrees(program, tmp_path, (fitted.predict(X), fitted.predict_proba(X)), 1e-4)


def test_linear_regression(tmp_path: Path) -> None:
    fitted = linear_model.LinearRegression().fit(X[:, :], X[:, :2] * 3 + 1)
    program = model(
        ops.linear_regressor, coefficients=fitted.coef_.reshape(-1).tolist(),
        intercepts=fitted.intercept_.tolist(), targets=2,
    )  # fmt: skip
    agrees(program, tmp_path, (fitted.predict(X),), 1e-4)


@pytest.mark.parametrize("kernel", ["linear", "poly", "rbf", "sigmoid"])
def test_support_vector_classifier(kernel: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"kernel": kernel, "gamma": 0.05, "coef0": 0.5, "degree": 2}
    fitted = svm.SVC(**options, decision_function_shape="ovo").fit(X, Y)
    program = model(
        ops.svm_classifier, kernel_type=kernel.upper(), kernel_params=[0.05, 0.5, 2.0],
        support_vectors=fitted.support_vectors_.reshape(-1).tolist(),
        coefficients=fitted.dual_coef_.reshape(-1).tolist(), rho=fitted.intercept_.tolist(),
        vectors_per_class=fitted.n_support_.tolist(), classlabels_ints=fitted.classes_.tolist(),
    )  # fmt: skip
    agrees(program, tmp_path, (fitted.predict(X), fitted.decision_function(X)), 2e-3)


def test_support_vector_regressor(tmp_path: Path) -> None:
    fitted = svm.SVR(gamma=0.1).fit(X, X[:, 0])
    program = model(
        ops.svm_regressor, kernel_type="RBF", kernel_params=[0.1, 0.0, 3.0],
        support_vectors=fitted.support_vectors_.reshape(-1).tolist(),
        coefficients=fitted.dual_coef_.reshape(-1).tolist(), rho=fitted.intercept_.tolist(),
        n_supports=len(fitted.support_vectors_),
    )  # fmt: skip
    agrees(program, tmp_path, (fitted.predict(X)[:, None],), 1e-3)


def test_preprocessing(tmp_path: Path) -> None:
    scaler = preprocessing.StandardScaler().fit(X)
    normalizer = preprocessing.Normalizer("l2")
    scaled = model(ops.scaler, offset=scaler.mean_.tolist(), scale=(1 / scaler.scale_).tolist())
    agrees(scaled, tmp_path, (scaler.transform(X),), 1e-4)
    agrees(model(ops.normalizer, norm="L2"), tmp_path, (normalizer.transform(X),))
    binary = preprocessing.Binarizer(threshold=3.0)
    agrees(model(ops.binarizer, threshold=3.0), tmp_path, (binary.transform(X),))


# -- trees ----------------------------------------------------------------------------------------


def test_trees_of_any_form() -> None:
    """NaN at every node, rows of several blocks: as a walk from the root."""
    rng = np.random.default_rng(0)
    data = rng.standard_normal((3000, 4)).astype(F)
    data[rng.random(data.shape) < 0.1] = np.nan
    y = make_regression(3000, 4, random_state=0)[1]
    forest = ensemble.RandomForestRegressor(7, random_state=0).fit(
        np.nan_to_num(data)[:300], y[:300]
    )
    attrs = tree_attrs(forest.estimators_, "target")
    missing = rng.integers(0, 2, len(attrs["nodes_modes"])).tolist()
    found = ops.tree_ensemble_regressor(
        data, n_targets=1, nodes_missing_value_tracks_true=missing, **attrs
    )
    nodes = {key: i for i, key in enumerate(zip(attrs["nodes_treeids"], attrs["nodes_nodeids"],
                                               strict=True))}  # fmt: skip
    weights = dict(zip(zip(attrs["target_treeids"], attrs["target_nodeids"], strict=True),
                       attrs["target_weights"], strict=True))  # fmt: skip
    for row in (*range(40), *range(2990, 3000)):
        total = 0.0
        for tree in range(7):
            node = 0
            while attrs["nodes_modes"][nodes[tree, node]] != "LEAF":
                i = nodes[tree, node]
                x = data[row, attrs["nodes_featureids"][i]]
                true = bool(missing[i]) if np.isnan(x) else x <= attrs["nodes_values"][i]
                node = attrs["nodes_truenodeids" if true else "nodes_falsenodeids"][i]
            total += weights[tree, node]
        assert found[row, 0] == pytest.approx(total, rel=1e-5)


def test_layout_is_made_once() -> None:
    forest = ensemble.RandomForestRegressor(30, random_state=0).fit(X, X[:, 0])
    program = model(ops.tree_ensemble_regressor, n_targets=1,
                    **tree_attrs(forest.estimators_, "target"))  # fmt: skip
    made = []
    original = Trees.__init__

    def counted(self: Trees, *args: Any) -> None:
        made.append(self)
        original(self, *args)

    program(X)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trees, "__init__", counted)
        for _ in range(3):
            program(X)
    assert not made
    assert "items" in str(program.graph)  # and not thousands of numbers
    assert len(program.source) < 2000


BASE = cases_ml.nodes()
LIKE = {**BASE, **cases_ml.ONE, "n_targets": 1}
CLASSES = {**BASE, **cases_ml.THREE, "classlabels_int64s": [1, 2, 3]}
ZERO = {"coefficients": [1.0, 1.0], "rho": [0.0]}


@pytest.mark.parametrize(
    ("function", "attrs", "message"),
    [
        (ops.tree_ensemble_regressor, {"nodes_modes": ["BRANCH"] * 15}, "got 'BRANCH'"),
        (ops.tree_ensemble_regressor, {"nodes_featureids": [0]}, "has 1 entries for 15 nodes"),
        (ops.tree_ensemble_regressor, {"nodes_truenodeids": [9] * 15}, "tree 0 has no node 9"),
        (ops.tree_ensemble_regressor, {"nodes_truenodeids": [0] * 15}, "one root"),
        (ops.tree_ensemble_regressor, {"nodes_nodeids": [0] * 15}, "two nodes of one id"),
        (ops.tree_ensemble_regressor, {"target_ids": [1] * 9}, "from 0 to 0, got 1"),
        (ops.tree_ensemble_regressor, {"target_ids": [0]}, "are equally many"),
        (ops.tree_ensemble_regressor, {"post_transform": "EXP"}, "got 'EXP'"),
        (ops.tree_ensemble_regressor, {"aggregate_function": "MEAN"}, "got 'MEAN'"),
        (ops.tree_ensemble_regressor, {"base_values": [1.0, 2.0]}, "2 base values for 1 targets"),
        (ops.tree_ensemble_classifier, {"classlabels_int64s": None}, "needs the labels"),
        (ops.tree_ensemble_classifier, {"base_values": [1.0]}, "1 base values for 3 classes"),
        (ops.tree_ensemble_classifier, {"classlabels_int64s": [1, 2], "class_ids": [0] * 9,
                                        "post_transform": "PROBIT"}, "PROBIT needs votes"),
        (ops.tree_ensemble_classifier, {"classlabels_int64s": [1, 2], "class_ids": [1] * 9,
                                        "base_values": [1.0]}, "votes of both classes"),
        (ops.linear_regressor, {"coefficients": [1.0] * 5, "targets": 2}, "5 coefficients"),
        (ops.linear_regressor, {"coefficients": [1.0] * 3}, "for 3 features, got 4"),
        (ops.linear_classifier, {"coefficients": [1.0] * 8, "intercepts": [1.0, 2.0],
                                 "classlabels_ints": [1, 2, 3]}, "2 intercepts for 3 classes"),
        (ops.svm_regressor, {**ZERO, "kernel_type": "TREE"}, "got 'TREE'"),
        (ops.svm_regressor, {"coefficients": [1.0]}, "rho is one number"),
        (ops.svm_classifier, {**cases_ml.SVC, "rho": [0.1]}, "3 rho, got 3 and 1"),
        (ops.normalizer, {"norm": "L3"}, "got 'L3'"),
        (ops.imputer, {"imputed_value_int64s": [1]}, "float32 needs imputed_value_floats"),
        (ops.imputer, {"imputed_value_floats": [1.0, 2.0]}, "2 imputed values for 4 columns"),
        (ops.scaler, {"offset": [1.0, 2.0]}, "2 offsets for 4 columns"),
        (ops.one_hot_encoder, {}, "needs either cats_int64s or cats_strings"),
        (ops.one_hot_encoder, {"cats_strings": ["a"]}, "has other categories"),
        (ops.category_mapper, {"cats_strings": ["a"], "cats_int64s": [1]}, "needs strings or"),
        (ops.label_encoder, {"keys_floats": [1.0]}, "needs one of values_strings"),
        (ops.label_encoder, {"keys_floats": [1.0], "values_int64s": [1, 2]}, "1 keys for 2 values"),
        (ops.label_encoder, {"keys_int64s": [1], "values_int64s": [1]}, "the keys are int64, got"),
        (ops.feature_vectorizer, {"inputdimensions": [3]}, "operand 0 has 4 columns, not 3"),
    ],
)  # fmt: skip
def test_refused(function: Any, attrs: dict[str, Any], message: str) -> None:
    full = attrs
    if function is ops.tree_ensemble_regressor:
        full = {**LIKE, **attrs}
    if function is ops.tree_ensemble_classifier:
        full = {**CLASSES, **attrs}
    with pytest.raises((ShapeError, DTypeError), match=message):
        model(function, **full)


def test_refused_at_run_time() -> None:
    with pytest.raises(GraphctxError, match="the trees ask for feature 2 of 2"):
        ops.tree_ensemble_regressor(X[:, :2], **LIKE)
    with pytest.raises(GraphctxError, match="5 is none of the categories"):
        ops.one_hot_encoder(np.array([1, 5]), cats_int64s=[1], zeros=0)


def test_nodes_in_circles_are_refused() -> None:
    attrs: dict[str, Any] = dict(cases_ml.ensemble(X).attrs)
    attrs.update(nodes_trueleafs=[0, 0, 1], nodes_truenodeids=[1, 0, 3])
    with pytest.raises(ShapeError, match="go in circles"):
        model(ops.tree_ensemble, **attrs)


def test_one_opset_for_all_operators_of_the_domain(tmp_path: Path) -> None:
    class Net(gx.Layer):
        def call(self, x: Any) -> Any:
            attrs = dict(cases_ml.ensemble(X).attrs)
            return ops.tree_ensemble_regressor(x, **LIKE), ops.tree_ensemble(x, **attrs)

    program = gx.compile(gx.trace(Net(), TensorSpec(("n", 4))))
    with pytest.raises(
        ExportError, match=r"TreeEnsemble of opset 5, TreeEnsembleRegressor of opset"
    ):
        gx.export(program, tmp_path / "m.onnx")
