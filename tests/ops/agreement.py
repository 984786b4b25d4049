"""One meaning, three ways to compute it: an eager call, a program, the file in onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

import graphctx as gx

NAMES = "abcdefghij"


class Function(gx.Layer):
    """A function of tensors as a model."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def call(self, *operands: Any) -> Any:
        return self.function(*operands)


def agree(
    function: Callable[..., Any], *arrays: Any, folder: Path | None = None,
    symbolic: Mapping[int, Mapping[int, str]] | None = None, tolerance: float = 2e-5,
    verify: bool = True,
) -> Any:  # fmt: skip
    """What a function makes of arrays; a program of it has to make the same, bit for bit.

    Args:
        function: of tensors.
        arrays: what it is given, all of it data.
        folder: to write the program to; what onnxruntime makes of the file is compared then.
        symbolic: axes that have a name, for each array.
        tolerance: relative and absolute, of that comparison.
        verify: whether inputs chosen at random are right for it, too.
    """
    specs = []
    for index, x in enumerate(arrays):
        names = (symbolic or {}).get(index, {})
        shape = tuple(names.get(axis, size) for axis, size in enumerate(x.shape))
        specs.append(gx.TensorSpec(shape, x.dtype))
    program = gx.compile(gx.trace(Function(function), *specs))
    eager = function(*arrays)
    wanted = eager if isinstance(eager, tuple) else (eager,)
    found = program(*arrays)
    found = found if isinstance(found, tuple) else (found,)
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    if folder is not None:
        path = folder / "model.onnx"
        gx.export(program, path, verify=verify)
        session = onnxruntime.InferenceSession(path)
        names = [i.name for i in session.get_inputs()]
        for ours, theirs in zip(
            session.run(None, dict(zip(names, arrays, strict=True))), wanted, strict=True
        ):
            assert ours.dtype == theirs.dtype
            np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)
    return eager
