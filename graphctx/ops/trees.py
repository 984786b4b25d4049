"""Ensembles of decision trees, of ONNX's domain for classical machine learning.

All rows go down all trees at once, a level a step. Trees are laid out anew for that: level by
level, the two children of a node side by side, a leaf its own child.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphctx.errors import DTypeError, ShapeError
from graphctx.graph import Value
from graphctx.ops.scores import TRANSFORMS, class_labels, transformed, two_columns
from graphctx.ops.table import ML_DOMAIN, Inferred, op, require_kind, require_rank
from graphctx.spec import dtype_name

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ",
         "BRANCH_MEMBER", "LEAF")  # fmt: skip
MEMBER, LEAF = MODES.index("BRANCH_MEMBER"), MODES.index("LEAF")
AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
_TESTS = (np.less_equal, np.less, np.greater_equal, np.greater, np.equal, np.not_equal)
_BLOCK = 1 << 15  # places in trees that are looked at together, so that they stay in the cache

# -- trees ----------------------------------------------------------------------------------------


class Trees:
    """Trees that are laid out for rows to go down.

    Args:
        roots: of the trees, as numbers of nodes.
        modes: of the nodes: which comparison; `LEAF` for leaves.
        features: that each node compares.
        splits: what with; of the dtype to compare in.
        true, false: where to go from a node.
        missing: whether NaN goes the true way.
        leaves, targets, weights: in parallel: a node, and what it adds to which target.
        count: of the targets.
        members: node -> what it compares with, for `MEMBER`.

    Raises:
        ShapeError: nodes go in circles.
    """

    def __init__(
        self,
        roots: Any,
        modes: Any,
        features: Any,
        splits: Any,
        true: Any,
        false: Any,
        missing: Any,
        leaves: Any,
        targets: Any,
        weights: Any,
        count: int,
        members: Sequence[tuple[int, Any]] = (),
    ) -> None:
        self.count = count
        self.roots = len(roots)
        levels: list[Any] = []
        children: list[Any] = []
        level, first = roots, 0
        while len(level):
            if len(levels) > len(modes):
                raise ShapeError("the nodes of a tree go in circles")
            levels.append(level)
            inner = modes[level] != LEAF
            child = np.arange(first, first + len(level))
            first += len(level)
            child[inner] = first + 2 * np.arange(np.count_nonzero(inner))
            children.append(child)
            level = np.stack([true[level[inner]], false[level[inner]]], axis=1).reshape(-1)
        order = np.concatenate([*levels, np.zeros(0, np.int64)]).astype(np.int64)
        self.depth = len(levels) - 1
        self.child = np.concatenate([*children, np.zeros(0, np.int64)]).astype(np.intp)
        self.modes = modes[order]
        self.is_leaf = self.modes == LEAF
        self.feature = np.where(self.is_leaf, 0, features[order]).astype(np.intp)
        self.most = int(self.feature.max(initial=0))  # highest feature that is asked for
        self.split = splits[order]
        self.missing = missing[order].astype(bool)
        self.members = [
            (place, values) for node, values in members for place in np.flatnonzero(order == node)
        ]
        kinds = np.unique(self.modes[~self.is_leaf])
        self.one = int(kinds[0]) if len(kinds) == 1 and kinds[0] < 4 else -1  # mode of all nodes
        if self.one >= 0:
            # A leaf goes the true way for every finite number: to itself.
            self.split = np.where(self.is_leaf, np.inf if self.one < 2 else -np.inf, self.split)
            self.split = self.split.astype(splits.dtype)
        votes = np.zeros((len(modes), count), weights.dtype)
        np.add.at(votes, (leaves, targets), weights)
        voted = np.zeros((len(modes), count), bool)
        voted[leaves, targets] = True
        self.votes, self.voted = votes[order], voted[order]

    def places(self, rows: Any) -> Any:
        """The leaf of every row in every tree."""
        start = np.arange(self.roots, dtype=np.intp)
        at = np.repeat(start[None], len(rows), 0)
        width = rows.shape[1]
        offset = (np.arange(len(rows), dtype=np.intp) * width)[:, None]
        flat = rows.reshape(-1)
        plain = self.one >= 0 and bool(np.isfinite(rows).all())
        for _ in range(self.depth):
            x = flat.take(self.feature.take(at) + offset)
            if plain:
                went = _TESTS[self.one](x, self.split.take(at))
                at = self.child.take(at)
                at += ~went
            else:
                went = self._went(x, at)
                at = np.where(self.is_leaf[at], at, self.child[at] + ~went)
        return at

    def _went(self, x: Any, at: Any) -> Any:
        """Whether numbers go the true way, of nodes of several modes or of numbers like NaN."""
        modes, split = self.modes[at], self.split[at]
        went = np.zeros(at.shape, bool)
        for mode, test in enumerate(_TESTS):
            here = modes == mode
            went[here] = test(x[here], split[here])
        for place, values in self.members:
            here = at == place
            went[here] = np.isin(x[here], values)
        return went | (np.isnan(x) & self.missing[at])

    def scores(self, x: Any, aggregate: str) -> tuple[Any, Any]:
        """What the trees say of each row and target, and whether one says anything."""
        rows = np.ascontiguousarray(x, self.split.dtype)
        if rows.ndim == 1:
            rows = rows[None]
        if rows.shape[1] <= self.most and self.roots:
            raise ValueError(f"the trees ask for feature {self.most} of {rows.shape[1]}")
        total = np.zeros((len(rows), self.count), self.votes.dtype)
        voted = np.zeros((len(rows), self.count), bool)
        step = max(_BLOCK // max(self.roots, 1), 1)
        for first in range(0, len(rows), step):
            part = slice(first, first + step)
            at = self.places(rows[part])
            for target in range(self.count):
                said = self.voted[:, target].take(at)
                votes = self.votes[:, target].take(at)
                voted[part, target] = said.any(1)
                if aggregate in ("SUM", "AVERAGE"):
                    total[part, target] = votes.sum(1)
                else:
                    least = aggregate == "MIN"
                    votes = np.where(said, votes, np.inf if least else -np.inf)
                    total[part, target] = votes.min(1) if least else votes.max(1)
        if aggregate == "AVERAGE":
            total /= max(self.roots, 1)
        return np.where(voted, total, 0).astype(total.dtype), voted


_CACHE: OrderedDict[tuple[int, ...], tuple[Any, Trees]] = OrderedDict()
_KEPT = 16  # ensembles whose layout is remembered


def _remembered(make: Callable[..., Trees], *attributes: Any) -> Trees:
    """What `make` makes of attributes, once: they are large, and the same in every run.

    Arrays that cannot be written to are known by their identity, and kept so that it stays theirs.
    """
    fixed = all(
        a is None
        or isinstance(a, (int, str))
        or (isinstance(a, np.ndarray) and not a.flags.writeable)
        for a in attributes
    )
    if not fixed:
        return make(*attributes)
    key = (id(make), *(a if isinstance(a, int) else id(a) for a in attributes))
    found = _CACHE.get(key)
    if found is None:
        found = _CACHE[key] = (attributes, make(*attributes))
        while len(_CACHE) > _KEPT:
            _CACHE.popitem(last=False)
    return found[1]


def _ints(values: Any, count: int | None = None) -> Any:
    if values is None:
        return np.zeros(count or 0, np.int64)
    return np.asarray(values, np.int64).reshape(-1)


def _reals(values: Any, doubles: Any) -> Any:
    """Floats of an attribute, or of the tensor that holds them more exactly."""
    if doubles is not None:
        return np.asarray(doubles).reshape(-1)
    return np.asarray(() if values is None else values, np.float64).reshape(-1).astype(FLOAT32)


def _require_lengths(count: int, **attributes: Any) -> None:
    for name, values in attributes.items():
        if values is not None and len(values) != count:
            raise ShapeError(f"{name} has {len(values)} entries for {count} nodes")


def _numbered(
    tree_ids: Any, node_ids: Any, modes: Any, features: Any, values: Any, doubles: Any, true: Any,
    false: Any, missing: Any, leaf_trees: Any, leaf_nodes: Any, leaf_targets: Any, weights: Any,
    weight_doubles: Any, count: int,
) -> Trees:  # fmt: skip
    """Trees whose nodes are known by the ids of tree and node."""
    trees, nodes = _ints(tree_ids), _ints(node_ids)
    splits = _reals(values, doubles)
    _require_lengths(
        len(nodes), nodes_treeids=trees, nodes_modes=modes, nodes_featureids=features,
        nodes_values=splits, nodes_truenodeids=true, nodes_falsenodeids=false,
        nodes_missing_value_tracks_true=missing,
    )  # fmt: skip
    numbers = {name: number for number, name in enumerate(MODES)}
    unknown = sorted(set(modes) - (set(MODES) - {"BRANCH_MEMBER"}))
    if unknown:
        raise ShapeError(f"nodes_modes are {', '.join(MODES)}; got {unknown[0]!r}")
    kinds = np.array([numbers[mode] for mode in modes], np.int8)
    width = int(nodes.max(initial=0)) + 1
    keys = trees * width + nodes
    order = np.argsort(keys, kind="stable")
    if (np.diff(keys[order]) == 0).any():
        raise ShapeError("a tree has two nodes of one id")

    def places(of_trees: Any, of_nodes: Any) -> Any:
        wanted = of_trees * width + of_nodes
        found = order[np.searchsorted(keys[order], wanted).clip(0, max(len(keys) - 1, 0))]
        if len(wanted) and ((keys[found] != wanted) | (of_nodes >= width)).any():
            at = int(np.argmax((keys[found] != wanted) | (of_nodes >= width)))
            raise ShapeError(f"tree {int(of_trees[at])} has no node {int(of_nodes[at])}")
        return found

    inner = np.flatnonzero(kinds != LEAF)
    yes, no = np.zeros(len(nodes), np.int64), np.zeros(len(nodes), np.int64)
    yes[inner] = places(trees[inner], _ints(true)[inner])
    no[inner] = places(trees[inner], _ints(false)[inner])
    is_root = np.ones(len(nodes), bool)
    is_root[yes[inner]] = is_root[no[inner]] = False
    if len(np.unique(trees)) != np.count_nonzero(is_root):
        raise ShapeError("a tree has one root, from which its nodes go on without circles")
    leaves = _ints(leaf_nodes)
    targets, amounts = _ints(leaf_targets), _reals(weights, weight_doubles)
    if not len(leaves) == len(targets) == len(amounts) == len(_ints(leaf_trees)):
        raise ShapeError("ids of trees, nodes and targets, and weights, are equally many")
    if len(targets) and not 0 <= targets.min() <= targets.max() < count:
        raise ShapeError(f"targets or classes are from 0 to {count - 1}, got {int(targets.max())}")
    return Trees(
        np.flatnonzero(is_root), kinds, _ints(features), splits, yes, no,
        _ints(missing, len(nodes)), places(_ints(leaf_trees), leaves), targets, amounts, count,
    )  # fmt: skip


def _check_rows(X: Value) -> Any:
    """The number of rows of the operand."""
    require_kind(X, "if", "numbers")
    if X.rank not in (1, 2):
        require_rank(X, 2, "the operand [N, features]")
    return X.shape[0] if X.rank == 2 else 1


def _require_one_of(what: str, given: Any, allowed: Sequence[str]) -> None:
    if given not in allowed:
        raise ShapeError(f"{what} is {', '.join(allowed)}; got {given!r}")


def _base(values: Any, doubles: Any, count: int) -> Any:
    found = _reals(values, doubles)
    if len(found) not in (0, 1, count):
        raise ShapeError(f"{len(found)} base values for {count} targets or classes")
    return found


# -- regression -----------------------------------------------------------------------------------


def _regressor(attrs: dict[str, Any]) -> Trees:
    return _remembered(
        _numbered, attrs["nodes_treeids"], attrs["nodes_nodeids"], attrs["nodes_modes"],
        attrs["nodes_featureids"], attrs["nodes_values"], attrs["nodes_values_as_tensor"],
        attrs["nodes_truenodeids"], attrs["nodes_falsenodeids"],
        attrs["nodes_missing_value_tracks_true"], attrs["target_treeids"], attrs["target_nodeids"],
        attrs["target_ids"], attrs["target_weights"], attrs["target_weights_as_tensor"],
        attrs["n_targets"] or 1,
    )  # fmt: skip


def _infer_regressor(X: Value, **given: Any) -> Inferred:
    rows = _check_rows(X)
    attrs = {**tree_ensemble_regressor.defaults, **given}
    _require_one_of("post_transform", attrs["post_transform"], TRANSFORMS)
    _require_one_of("aggregate_function", attrs["aggregate_function"], AGGREGATES)
    _base(attrs["base_values"], attrs["base_values_as_tensor"], attrs["n_targets"] or 1)
    return (rows, _regressor(attrs).count), FLOAT32


@op("TreeEnsembleRegressor", domain=ML_DOMAIN, since=3, infer=_infer_regressor)
def tree_ensemble_regressor(
    X: Any,
    *,
    aggregate_function: str = "SUM",
    base_values: Any = None,
    base_values_as_tensor: Any = None,
    n_targets: int | None = None,
    nodes_falsenodeids: Any = None,
    nodes_featureids: Any = None,
    nodes_hitrates: Any = None,
    nodes_hitrates_as_tensor: Any = None,
    nodes_missing_value_tracks_true: Any = None,
    nodes_modes: Any = None,
    nodes_nodeids: Any = None,
    nodes_treeids: Any = None,
    nodes_truenodeids: Any = None,
    nodes_values: Any = None,
    nodes_values_as_tensor: Any = None,
    post_transform: str = "NONE",
    target_ids: Any = None,
    target_nodeids: Any = None,
    target_treeids: Any = None,
    target_weights: Any = None,
    target_weights_as_tensor: Any = None,
) -> Any:
    """The sum, average, least or largest of what each row's leaves say of every target."""
    trees = _regressor(dict(locals()))
    scores, _ = trees.scores(X, aggregate_function)
    base = _base(base_values, base_values_as_tensor, trees.count)
    if len(base):
        scores = scores + base.astype(scores.dtype)
    return transformed(scores, post_transform).astype(FLOAT32)


# -- classification -------------------------------------------------------------------------------


def _classifier(attrs: dict[str, Any]) -> Trees:
    labels = class_labels(attrs["classlabels_int64s"], attrs["classlabels_strings"])
    return _remembered(
        _numbered, attrs["nodes_treeids"], attrs["nodes_nodeids"], attrs["nodes_modes"],
        attrs["nodes_featureids"], attrs["nodes_values"], attrs["nodes_values_as_tensor"],
        attrs["nodes_truenodeids"], attrs["nodes_falsenodeids"],
        attrs["nodes_missing_value_tracks_true"], attrs["class_treeids"], attrs["class_nodeids"],
        attrs["class_ids"], attrs["class_weights"], attrs["class_weights_as_tensor"], len(labels),
    )  # fmt: skip


def _infer_classifier(X: Value, **given: Any) -> list[Inferred]:
    rows = _check_rows(X)
    attrs = {**tree_ensemble_classifier.defaults, **given}
    _require_one_of("post_transform", attrs["post_transform"], TRANSFORMS)
    labels = class_labels(attrs["classlabels_int64s"], attrs["classlabels_strings"])
    base = _base(attrs["base_values"], attrs["base_values_as_tensor"], len(labels))
    alone = _alone(labels, attrs["class_ids"])
    if alone is None and len(base) not in (0, len(labels)):
        raise ShapeError(f"{len(base)} base values for {len(labels)} classes")
    if alone is not None and len(base) > 1 - alone:
        raise ShapeError("base values are for votes of both classes, and one is voted for")
    if alone == 0 and attrs["post_transform"] == "PROBIT":
        raise ShapeError("PROBIT needs votes for both classes")
    return [((rows,), labels.dtype), ((rows, _classifier(attrs).count), FLOAT32)]


@op("TreeEnsembleClassifier", domain=ML_DOMAIN, since=3, infer=_infer_classifier)
def tree_ensemble_classifier(
    X: Any,
    *,
    base_values: Any = None,
    base_values_as_tensor: Any = None,
    class_ids: Any = None,
    class_nodeids: Any = None,
    class_treeids: Any = None,
    class_weights: Any = None,
    class_weights_as_tensor: Any = None,
    classlabels_int64s: Any = None,
    classlabels_strings: Any = None,
    nodes_falsenodeids: Any = None,
    nodes_featureids: Any = None,
    nodes_hitrates: Any = None,
    nodes_hitrates_as_tensor: Any = None,
    nodes_missing_value_tracks_true: Any = None,
    nodes_modes: Any = None,
    nodes_nodeids: Any = None,
    nodes_treeids: Any = None,
    nodes_truenodeids: Any = None,
    nodes_values: Any = None,
    nodes_values_as_tensor: Any = None,
    post_transform: str = "NONE",
) -> Any:
    """The class with the largest sum of votes for each row, and the scores of all classes.

    Of two classes of which only one is voted for, its score decides for the second class: against
    0.5 if all votes are positive, else against 0. If the first one is voted for, its score counts
    for the second, and the first one gets what is missing to 1, or the opposite.
    """
    trees = _classifier(dict(locals()))
    labels = class_labels(classlabels_int64s, classlabels_strings)
    scores, voted = trees.scores(X, "SUM")
    base = _base(base_values, base_values_as_tensor, trees.count).astype(scores.dtype)
    alone = _alone(labels, class_ids)
    if alone is None:
        if len(base):
            scores, voted = scores + base, True
        best = np.where(voted, scores, -np.inf).argmax(1)
        return labels[best], transformed(scores, post_transform).astype(FLOAT32)
    score = scores[:, alone] + (base[0] if len(base) else 0)
    positive = bool((_reals(class_weights, class_weights_as_tensor) >= 0).all())
    if alone == 0:
        scores = two_columns(score, post_transform, positive)
    else:
        scores = transformed(scores, post_transform)
    chosen = score > (0.5 if positive else 0)
    return labels[chosen.astype(np.int64)], scores.astype(FLOAT32)


def _alone(labels: Any, class_ids: Any) -> int | None:
    """The only one of two classes that is voted for, if so."""
    named = np.unique(_ints(class_ids))
    return int(named[0]) if len(labels) == 2 and len(named) == 1 else None


# -- both, as of opset 5 --------------------------------------------------------------------------


def _positioned(
    roots: Any, modes: Any, features: Any, splits: Any, true: Any, true_leaf: Any, false: Any,
    false_leaf: Any, missing: Any, targets: Any, weights: Any, members: Any, count: int,
) -> Trees:  # fmt: skip
    """Trees whose nodes and leaves are known by their positions."""
    kinds = np.asarray(modes, np.int8).reshape(-1)
    inner, leaves = len(kinds), len(_ints(targets))
    _require_lengths(
        inner, nodes_featureids=features, nodes_splits=splits, nodes_truenodeids=true,
        nodes_trueleafs=true_leaf, nodes_falsenodeids=false, nodes_falseleafs=false_leaf,
        nodes_missing_value_tracks_true=missing,
    )  # fmt: skip
    if len(kinds) and not 0 <= kinds.min() <= kinds.max() <= MEMBER:
        raise ShapeError(f"nodes_modes are from 0 to {MEMBER}, got {int(kinds.max())}")
    if leaves != len(np.asarray(weights).reshape(-1)):
        raise ShapeError(f"leaf_weights has not the {leaves} entries of leaf_targetids")
    if leaves and not 0 <= _ints(targets).min() <= _ints(targets).max() < count:
        raise ShapeError(f"leaf_targetids are from 0 to {count - 1}")

    def places(to: Any, is_leaf: Any) -> Any:
        to, is_leaf = _ints(to), _ints(is_leaf)
        if ((to < 0) | (to >= np.where(is_leaf, leaves, inner))).any():
            raise ShapeError("a node goes on to one that is not there")
        return np.concatenate([to + inner * (is_leaf != 0), np.zeros(leaves, np.int64)])

    values = np.asarray(() if members is None else members).reshape(-1)
    ends = np.flatnonzero(np.isnan(values))
    sets = [part[~np.isnan(part)] for part in np.split(values, ends)][: len(ends)]
    nodes = np.flatnonzero(kinds == MEMBER)
    if len(sets) != len(nodes):
        raise ShapeError(f"membership_values has {len(sets)} sets for {len(nodes)} nodes")
    weights = np.asarray(weights).reshape(-1)
    splits = np.concatenate([np.asarray(splits).reshape(-1), np.zeros(leaves)])
    return Trees(
        _ints(roots), np.concatenate([kinds, np.full(leaves, LEAF, np.int8)]),
        np.concatenate([_ints(features), np.zeros(leaves, np.int64)]),
        splits.astype(weights.dtype), places(true, true_leaf), places(false, false_leaf),
        np.concatenate([_ints(missing, inner), np.zeros(leaves, np.int64)]),
        inner + np.arange(leaves), _ints(targets), weights, count,
        list(zip(nodes.tolist(), sets, strict=True)),
    )  # fmt: skip


def _ensemble(attrs: dict[str, Any]) -> Trees:
    return _remembered(
        _positioned, attrs["tree_roots"], attrs["nodes_modes"], attrs["nodes_featureids"],
        attrs["nodes_splits"], attrs["nodes_truenodeids"], attrs["nodes_trueleafs"],
        attrs["nodes_falsenodeids"], attrs["nodes_falseleafs"],
        attrs["nodes_missing_value_tracks_true"], attrs["leaf_targetids"], attrs["leaf_weights"],
        attrs["membership_values"], attrs["n_targets"] or 1,
    )  # fmt: skip


def _infer_ensemble(X: Value, **given: Any) -> Inferred:
    require_kind(X, "f", "a floating dtype")
    require_rank(X, 2, "the operand [N, features]")
    attrs = {**tree_ensemble.defaults, **given}
    for name, names in (("post_transform", TRANSFORMS), ("aggregate_function", AGGREGATES)):
        if not 0 <= attrs[name] < len(names):
            raise ShapeError(f"{name} is from 0 to {len(names) - 1}, got {attrs[name]}")
    for name in ("nodes_splits", "leaf_weights"):
        dtype = np.asarray(attrs[name]).dtype
        if dtype != X.dtype:
            raise DTypeError(f"{name} has the dtype of X, {dtype_name(X.dtype)}; got {dtype}")
    return (X.shape[0], _ensemble(attrs).count), X.dtype


@op("TreeEnsemble", domain=ML_DOMAIN, since=5, infer=_infer_ensemble)
def tree_ensemble(
    X: Any,
    *,
    leaf_targetids: Any,
    leaf_weights: Any,
    nodes_falseleafs: Any,
    nodes_falsenodeids: Any,
    nodes_featureids: Any,
    nodes_modes: Any,
    nodes_splits: Any,
    nodes_trueleafs: Any,
    nodes_truenodeids: Any,
    tree_roots: Any,
    aggregate_function: int = 1,
    membership_values: Any = None,
    n_targets: int | None = None,
    nodes_hitrates: Any = None,
    nodes_missing_value_tracks_true: Any = None,
    post_transform: int = 0,
) -> Any:
    """The sum, average, least or largest of what each row's leaves say of every target."""
    scores, _ = _ensemble(dict(locals())).scores(X, AGGREGATES[aggregate_function])
    return transformed(scores, TRANSFORMS[post_transform]).astype(X.dtype)
