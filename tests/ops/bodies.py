"""Bodies made by hand, for tables of cases."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphctx.body import Body
from graphctx.builder import Builder
from graphctx.spec import TensorSpec
from graphctx.tensor import Recorder, Tensor


def body(function: Callable[..., Any], *specs: Any, taken: Sequence[Any] = ()) -> Body:
    """The body of a function of tensors, which takes further ones from outside.

    Args:
        function: of the inputs, then of what is taken; returns a tensor or a tuple of them.
        specs: (shape, dtype) of the inputs.
        taken: likewise.
    """
    recorder = Recorder(Builder())
    outer = [
        recorder.builder.input(TensorSpec(shape, dtype), f"outer_{index}")
        for index, (shape, dtype) in enumerate(taken)
    ]
    with recorder.builder.scope() as scope:
        inputs = [scope.input(TensorSpec(*spec).shape, np.dtype(spec[1])) for spec in specs]
        found = function(*(Tensor(value, recorder) for value in (*inputs, *outer)))
        results = found if isinstance(found, tuple) else (found,)
        made, captured = scope.close([recorder.value(result) for result in results])
    assert list(captured) == outer, "what is taken is used, in order"
    return made
