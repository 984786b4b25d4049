"""Weights from elsewhere: files of Keras, PyTorch and graphctx, matched by name and layout.

`load_weights` reads Keras's `.weights.h5` and `.keras` files and PyTorch's state dicts in
safetensors files. What a file is, is told by its content; what is where in it, by conventions and a
name map; how a weight is laid out, by the file's framework and the layer's class, never by shapes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from graphctx.errors import WeightsError, suggest
from graphctx.layer import Layer
from graphctx.weights.match import assign, match
from graphctx.weights.names import NameMap, Names, keep
from graphctx.weights.report import Row, WeightMatch
from graphctx.weights.source import Source, Stored
from graphctx.weights.steps import (
    Step,
    add,
    as_stored,
    columns,
    concat,
    part,
    reorder,
    reshape,
    rows,
    stack,
    transpose,
)

__all__ = [
    "Row",
    "Step",
    "WeightMatch",
    "add",
    "as_stored",
    "columns",
    "concat",
    "keep",
    "load_weights",
    "part",
    "reorder",
    "reshape",
    "rows",
    "save_weights",
    "set_weights",
    "stack",
    "transpose",
]

LAYOUTS = ("keras", "torch")


def load_weights(
    model: Layer,
    path: Any,
    names: Names = None,
    *,
    layout: str | None = None,
    ignore: Iterable[str] = (),
    strict: bool = True,
    dry_run: bool = False,
) -> WeightMatch:
    r"""Load weights from a file; all of them, or, where something is wrong, none.

    Floats are converted to the dtype of the model's weight, bfloat16 included; integers and floats
    are not mixed.

    Args:
        model: whose weights have been made: it has been called or traced once.
        path: of a safetensors file, or the JSON index of several; of a `.weights.h5` file of Keras,
            the JSON index of several, or a `.keras` or older `.h5` file; or a model's folder with
            one of them in it.
        names: the name map, where names differ: a list of pairs (pattern, source), regular
            expressions that match all of a path; a dict, with paths as keys; or a function from the
            path of a weight to a source, or None. Paths are those of layers or of weights, without
            the model's own name. What is said of a layer holds for what is in it, unless a rule
            names that, too; the first rule that matches a path counts.

            A source is a name in the file; or a tuple of it and steps, which take a part or state
            the layout: `("h.0.attn.c_attn", part(0, 3, axis=-1))`; or of several names, a step that
            joins them, and others; or `keep`. `\1` stands for what the first group of the pattern
            matched.
        layout: "torch", [out, in] for kernels, or "keras", [in, out], for a file that does not say,
            or says wrong: such as that of a GPT-2 of Hugging Face, whose Conv1D has the latter.
        ignore: regular expressions of names in the file that are not wanted.
        strict: whether it is an error if something is missing, unexpected or does not fit;
            otherwise what fits is loaded.
        dry_run: load nothing; say what would be.

    Returns:
        What matches what. Print it.

    Raises:
        WeightsError: the file cannot be read, the name map makes no sense, or names or shapes do
            not match; the message lists all that is wrong. Nothing is loaded then.
    """
    from graphctx.weights.files import open_weights  # when it is needed: graphctx starts sooner

    if layout not in (None, *LAYOUTS):
        raise WeightsError(
            f"layout is one of 'keras', 'torch', got {layout!r}{suggest(str(layout), LAYOUTS)}"
        )
    rules = NameMap(names)
    source = open_weights(path, layout)
    try:
        return _load(model, source, rules, ignore, strict=strict, dry_run=dry_run)
    finally:
        source.close()


def _load(
    model: Layer, source: Source, names: NameMap, ignore: Iterable[str], *, strict: bool,
    dry_run: bool,
) -> WeightMatch:  # fmt: skip
    report, matches = match(model, source, names, ignore)
    if dry_run:
        return report
    if not report.has_any or (strict and not report.fits):
        raise WeightsError(report.problems())
    assign(matches, source)
    return report


def set_weights(model: Layer, arrays: Mapping[str, Any], source: str) -> WeightMatch:
    """Assign every weight by path; all of them fit or none is changed.

    Args:
        model: whose weights they are.
        arrays: by the paths of the weights.
        source: what they are, for messages.

    Raises:
        WeightsError: names, shapes or dtypes do not match.
    """
    from graphctx.weights.torch import NamedTensors

    stored = [_given(name, np.asarray(array)) for name, array in arrays.items()]
    given = NamedTensors(source, stored, "keras", "/", own=True)
    return _load(model, given, NameMap(None), (), strict=True, dry_run=False)


def _given(name: str, array: np.ndarray[Any, Any]) -> Stored:
    return Stored(name, array.shape, array.dtype, lambda: array)


def save_weights(model: Layer, path: Any) -> None:
    """Write all weights to a safetensors file, by weight path.

    Raises:
        WeightsError: there are none yet, or the file cannot be written.
    """
    from graphctx.weights.tensors import write_safetensors

    arrays = {name: weight.numpy() for name, weight in model.weights.items()}
    if not arrays:
        raise WeightsError(
            f"{model.name}: the model has no weights yet: call or trace it once before saving"
        )
    write_safetensors(path, arrays)
