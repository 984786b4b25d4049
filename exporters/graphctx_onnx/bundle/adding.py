"""Adds contexts to a bundle that is there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from graphctx.graph import CallGraph
from graphctx_onnx.bundle.comparison import classes_of, require_same_model, there
from graphctx_onnx.bundle.export import ExportedBundle, choose, write
from graphctx_onnx.bundle.folder import workplace
from graphctx_onnx.bundle.options import Options
from graphctx_onnx.bundle.weights import Digests
from graphctx_onnx.locate import Tolerances
from graphctx_onnx.trials import Given
from graphctx_onnx.verification import Progress


def add_contexts(
    path: str | os.PathLike[str],
    graph: CallGraph,
    contexts: Iterable[Mapping[str, Any]],
    *,
    verify: bool = True,
    inputs: Given | None = None,
    sizes: Mapping[str, Sequence[int]] | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> ExportedBundle:
    """Add the programs for some contexts; weights that the bundle has are not stored again.

    Args:
        path: of the bundle.
        graph: of the model that it was exported from, with the same weights.
        contexts: assignments; see `graphctx_onnx.export_bundle`, as for the rest.
        verify: compare the programs that are new with onnxruntime first.
        inputs: for verification.
        sizes: for verification.
        rtol: of the verification.
        atol: of the verification.
        workers: programs that are verified at a time.
        progress: told a stage, the steps done and the steps in all.

    Raises:
        ContextError: an assignment has an unknown name or a value outside its domain.
        ExportError: the bundle is not one of this graph, or as `export_bundle`. Nothing has
            changed then.
        VerificationError: onnxruntime computes something else.
    """
    with workplace(path, existing=True) as place:
        before = place.before
        assert before is not None
        options = Options(
            before.opset, verify, inputs, sizes, Tolerances(rtol, atol), workers, progress
        )
        digests = Digests()
        classes = classes_of(graph, before, place.target)
        options.check(classes.graph)
        require_same_model(classes, before, place.target, digests)
        chosen = [*there(classes, before), *choose(classes, list(contexts))]
        return write(
            place,
            classes,
            list({found.members: found for found in chosen}.values()),
            before.weights,
            options,
            digests,
            known=before.tensors,
            proven=before.files,
        )
