"""Linear models and support vector machines, of ONNX's domain for classical machine learning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphctx.errors import ShapeError
from graphctx.graph import Value
from graphctx.ops.scores import TRANSFORMS, class_labels, logistic, transformed, two_columns
from graphctx.ops.table import ML_DOMAIN, Inferred, op, require_kind, require_rank
from graphctx.spec import Dim, DimLike

FLOAT32 = np.dtype(np.float32)
KERNELS = ("LINEAR", "POLY", "RBF", "SIGMOID")
Floats = Sequence[float] | None


def _rows(X: Value, features: int) -> DimLike:
    """The number of rows of an operand that has this many features."""
    require_kind(X, "if", "numbers")
    if X.rank != 1:
        require_rank(X, 2, "the operand [N, features]")
    width = X.shape[-1]
    if not isinstance(width, Dim) and width != features:
        raise ShapeError(f"the model has coefficients for {features} features, got {width}")
    return X.shape[0] if X.rank == 2 else 1


def _floats(values: Any) -> Any:
    return np.asarray(() if values is None else values, np.float64).astype(FLOAT32)


def _matrix(x: Any, features: int) -> Any:
    """Rows of float32."""
    rows = np.atleast_2d(x).astype(FLOAT32, copy=False)
    if rows.shape[1] != features:
        raise ValueError(f"the model has coefficients for {features} features")
    return rows


def _divided(count: int, by: int, what: str) -> int:
    if by <= 0 or count % by or not count:
        raise ShapeError(f"{count} coefficients are not the same number for each of {by} {what}")
    return count // by


def _require_transform(transform: str) -> None:
    if transform not in TRANSFORMS:
        raise ShapeError(f"post_transform is {', '.join(TRANSFORMS)}; got {transform!r}")


# -- linear models --------------------------------------------------------------------------------


def _infer_regressor(
    X: Value,
    *,
    coefficients: Floats = None,
    intercepts: Floats = None,
    post_transform: str = "NONE",
    targets: int = 1,
) -> Inferred:
    _require_transform(post_transform)
    features = _divided(len(_floats(coefficients)), targets, "targets")
    if intercepts is not None and len(intercepts) not in (0, targets):
        raise ShapeError(f"{len(intercepts)} intercepts for {targets} targets")
    return (_rows(X, features), targets), FLOAT32


@op("LinearRegressor", domain=ML_DOMAIN, since=1, infer=_infer_regressor)
def linear_regressor(
    X: Any,
    *,
    coefficients: Floats = None,
    intercepts: Floats = None,
    post_transform: str = "NONE",
    targets: int = 1,
) -> Any:
    """Products of each row with the coefficients of every target, and the intercepts."""
    weights = _floats(coefficients).reshape(targets, -1)
    scores = _matrix(X, weights.shape[1]) @ weights.T
    if intercepts is not None and len(intercepts):
        scores += _floats(intercepts)
    return transformed(scores, post_transform).astype(FLOAT32)


def _infer_classifier(
    X: Value,
    *,
    coefficients: Floats,
    classlabels_ints: Any = None,
    classlabels_strings: Any = None,
    intercepts: Floats = None,
    multi_class: int = 0,
    post_transform: str = "NONE",
) -> list[Inferred]:
    _require_transform(post_transform)
    labels = class_labels(classlabels_ints, classlabels_strings)
    rows = _planes(labels, intercepts)
    features = _divided(len(_floats(coefficients)), rows, "classes")
    if rows not in (len(labels), 1) or (rows == 1 and len(labels) != 2):
        raise ShapeError(f"{rows} intercepts for {len(labels)} classes")
    if rows == 1 and post_transform == "PROBIT":
        raise ShapeError("PROBIT needs coefficients for both classes")
    count = _rows(X, features)
    return [((count,), labels.dtype), ((count, len(labels)), FLOAT32)]


def _planes(labels: Any, intercepts: Floats) -> int:
    """How many scores the coefficients make: one a class, or one for the second of two."""
    return len(intercepts) if intercepts is not None and len(intercepts) else len(labels)


@op("LinearClassifier", domain=ML_DOMAIN, since=1, infer=_infer_classifier)
def linear_classifier(
    X: Any,
    *,
    coefficients: Floats,
    classlabels_ints: Any = None,
    classlabels_strings: Any = None,
    intercepts: Floats = None,
    multi_class: int = 0,
    post_transform: str = "NONE",
) -> Any:
    """The class with the highest score for each row, and the scores of all classes.

    With one row of coefficients for two classes it is the second one where the score is positive.
    """
    labels = class_labels(classlabels_ints, classlabels_strings)
    weights = _floats(coefficients).reshape(_planes(labels, intercepts), -1)
    scores = _matrix(X, weights.shape[1]) @ weights.T
    if intercepts is not None and len(intercepts):
        scores += _floats(intercepts)
    if len(weights) == 1:
        chosen = (scores[:, 0] > 0).astype(np.int64)
        both = two_columns(scores[:, 0], "NONE", positive=True)
        return labels[chosen], both.astype(FLOAT32)
    return labels[scores.argmax(1)], transformed(scores, post_transform).astype(FLOAT32)


# -- support vector machines ----------------------------------------------------------------------


def _kernel(x: Any, vectors: Any, kind: str, params: Floats) -> Any:
    """The kernel of every row with every vector: [N, vectors]."""
    gamma, offset, degree = [*_floats(params), 0, 0, 0][:3]
    if kind == "RBF":
        squares = (x * x).sum(1)[:, None] + (vectors * vectors).sum(1) - 2 * (x @ vectors.T)
        return np.exp(-gamma * np.maximum(squares, 0))
    products = x @ vectors.T
    if kind == "LINEAR":
        return products
    products = gamma * products + offset
    return np.tanh(products) if kind == "SIGMOID" else products**degree


def _require_kernel(kind: str) -> None:
    if kind not in KERNELS:
        raise ShapeError(f"kernel_type is {', '.join(KERNELS)}; got {kind!r}")


def _infer_svm_regressor(
    X: Value,
    *,
    coefficients: Floats = None,
    kernel_params: Floats = None,
    kernel_type: str = "LINEAR",
    n_supports: int = 0,
    one_class: int = 0,
    post_transform: str = "NONE",
    rho: Floats = None,
    support_vectors: Floats = None,
) -> Inferred:
    _require_transform(post_transform)
    _require_kernel(kernel_type)
    if len(_floats(rho)) != 1:
        raise ShapeError(f"rho is one number, got {len(_floats(rho))}")
    if n_supports:
        features = _divided(len(_floats(support_vectors)), n_supports, "support vectors")
        if len(_floats(coefficients)) != n_supports:
            raise ShapeError(f"{len(_floats(coefficients))} coefficients for {n_supports} vectors")
    else:
        features = len(_floats(coefficients))
    return (_rows(X, features), 1), FLOAT32


@op("SVMRegressor", domain=ML_DOMAIN, since=1, infer=_infer_svm_regressor)
def svm_regressor(
    X: Any,
    *,
    coefficients: Floats = None,
    kernel_params: Floats = None,
    kernel_type: str = "LINEAR",
    n_supports: int = 0,
    one_class: int = 0,
    post_transform: str = "NONE",
    rho: Floats = None,
    support_vectors: Floats = None,
) -> Any:
    """Kernels of each row with the support vectors, weighted; 1 or -1 of a one-class machine."""
    weights = _floats(coefficients)
    if n_supports:
        vectors = _floats(support_vectors).reshape(n_supports, -1)
        rows = _matrix(X, vectors.shape[1])
        scores = _kernel(rows, vectors, kernel_type, kernel_params) @ weights[:, None]
    else:
        rows = _matrix(X, len(weights))
        scores = _kernel(rows, weights[None], kernel_type, kernel_params)
    scores = scores + _floats(rho)[0]
    if one_class:
        scores = np.where(scores > 0, 1, -1)
    return transformed(scores.astype(FLOAT32), post_transform).astype(FLOAT32)


def _infer_svm_classifier(
    X: Value,
    *,
    classlabels_ints: Any = None,
    classlabels_strings: Any = None,
    coefficients: Floats = None,
    kernel_params: Floats = None,
    kernel_type: str = "LINEAR",
    post_transform: str = "NONE",
    prob_a: Floats = None,
    prob_b: Floats = None,
    rho: Floats = None,
    support_vectors: Floats = None,
    vectors_per_class: Any = None,
) -> list[Inferred]:
    _require_transform(post_transform)
    _require_kernel(kernel_type)
    labels = class_labels(classlabels_ints, classlabels_strings)
    count = len(labels)
    if len(_floats(prob_a)) != len(_floats(prob_b)):
        raise ShapeError("prob_a and prob_b have the same length")
    per_class = [] if vectors_per_class is None else list(vectors_per_class)
    if not sum(per_class):
        if len(_floats(rho)) < 1:
            raise ShapeError("rho is missing")
        features = _divided(len(_floats(coefficients)), count, "classes")
        rows = _rows(X, features)
        return [((rows,), labels.dtype), ((rows, count), FLOAT32)]
    pairs = count * (count - 1) // 2
    if len(per_class) != count or len(_floats(rho)) != pairs:
        raise ShapeError(
            f"{count} classes need {count} vectors_per_class and {pairs} rho, got "
            f"{len(per_class)} and {len(_floats(rho))}"
        )
    features = _divided(len(_floats(support_vectors)), sum(per_class), "support vectors")
    if len(_floats(coefficients)) != (count - 1) * sum(per_class):
        raise ShapeError(f"{(count - 1) * sum(per_class)} coefficients are needed")
    proba = len(_floats(prob_a))
    if proba not in (0, pairs):
        raise ShapeError(f"{pairs} prob_a are needed, got {proba}")
    if not proba and count == 2 and post_transform == "PROBIT":
        raise ShapeError("PROBIT needs the scores of both classes")
    rows = _rows(X, features)
    width = count if proba or count == 2 else pairs
    return [((rows,), labels.dtype), ((rows, width), FLOAT32)]


@op("SVMClassifier", domain=ML_DOMAIN, since=1, infer=_infer_svm_classifier)
def svm_classifier(
    X: Any,
    *,
    classlabels_ints: Any = None,
    classlabels_strings: Any = None,
    coefficients: Floats = None,
    kernel_params: Floats = None,
    kernel_type: str = "LINEAR",
    post_transform: str = "NONE",
    prob_a: Floats = None,
    prob_b: Floats = None,
    rho: Floats = None,
    support_vectors: Floats = None,
    vectors_per_class: Any = None,
) -> Any:
    """The class that wins most of its comparisons with the others, for each row; and scores.

    The scores are probabilities of the classes where `prob_a` is given (T.-F. Wu, C.-J. Lin and
    R. Weng 2004), else those of every pair of classes. Without support vectors the coefficients
    are planes, one a class.
    """
    labels = class_labels(classlabels_ints, classlabels_strings)
    count, weights, offsets = len(labels), _floats(coefficients), _floats(rho)
    per_class = [] if vectors_per_class is None else [int(n) for n in vectors_per_class]
    total = sum(per_class)
    if not total:
        planes = weights.reshape(count, -1)
        scores = _matrix(X, planes.shape[1]) @ planes.T + offsets[0]
        best = scores.argmax(1)
        return labels[best], transformed(scores, post_transform).astype(FLOAT32)
    vectors = _floats(support_vectors).reshape(total, -1)
    kernels = _kernel(_matrix(X, vectors.shape[1]), vectors, kernel_type, kernel_params)
    weights = weights.reshape(count - 1, total)
    ends = np.cumsum(per_class)
    parts = [slice(end - n, end) for end, n in zip(ends, per_class, strict=True)]
    pairs = [(i, j) for i in range(count) for j in range(i + 1, count)]
    scores = np.stack(
        [
            kernels[:, parts[i]] @ weights[j - 1, parts[i]]
            + kernels[:, parts[j]] @ weights[i, parts[j]]
            for i, j in pairs
        ],
        axis=1,
    )
    scores = scores + offsets
    votes = np.zeros((len(kernels), count), np.int64)
    for pair, (i, j) in enumerate(pairs):
        votes[:, i] += scores[:, pair] > 0
        votes[:, j] += scores[:, pair] <= 0
    best = votes.argmax(1)
    if prob_a is not None and len(prob_a):
        lost = logistic(scores * _floats(prob_a) + _floats(prob_b))
        scores = _coupled((1 - lost).clip(1e-7, 1 - 1e-7), pairs, count)
    elif count == 2:
        scores = two_columns(scores[:, 0], "NONE", positive=False)
    return labels[best], transformed(scores, post_transform).astype(FLOAT32)


def _coupled(won: Any, pairs: Sequence[tuple[int, int]], count: int) -> Any:
    """Probabilities of classes from those of pairs, by the iteration of libsvm.

    Args:
        won: [N, pairs]: probability of the first class of each pair.
        pairs: which classes.
        count: of the classes.
    """
    r = np.zeros((len(won), count, count), won.dtype)
    for pair, (i, j) in enumerate(pairs):
        r[:, i, j], r[:, j, i] = won[:, pair], 1 - won[:, pair]
    q = -r.transpose(0, 2, 1) * r
    q[:, range(count), range(count)] = (r * r).sum(1)
    found = np.full((len(won), count), 1 / count, won.dtype)
    left = np.arange(len(won))  # rows that have not converged
    for _ in range(max(100, count)):
        if not left.size:
            break
        p, own = found[left], q[left]
        qp = np.einsum("nij,nj->ni", own, p)
        pqp = (p * qp).sum(1)
        going = np.abs(qp - pqp[:, None]).max(1) >= 0.005 / count
        left, p, own, qp, pqp = (a[going] for a in (left, p, own, qp, pqp))
        for t in range(count):
            step = (pqp - qp[:, t]) / own[:, t, t]
            p[:, t] += step
            scale = 1 + step
            pqp = (pqp + step * (step * own[:, t, t] + 2 * qp[:, t])) / (scale * scale)
            qp = (qp + step[:, None] * own[:, t]) / scale[:, None]
            p /= scale[:, None]
        found[left] = p
    return found
