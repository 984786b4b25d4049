"""A bundle whose programs are Python functions, so that a test decides what they do and when.

Dispatch and the checks of inputs are the runtime's own; only the sessions are replaced.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
from graphctx_onnx.runtime.dispatch import Dispatcher
from graphctx_onnx.runtime.errors import ModelError
from graphctx_onnx.runtime.manifest import (
    Argument,
    ContextClass,
    ContextInput,
    ModelFailure,
    OutputType,
    ProgramFile,
    Signature,
    StateType,
    TensorType,
)
from graphctx_onnx.runtime.program import Program

Function = Callable[[dict[str, Any]], dict[str, Any]]


def argument(
    name: str,
    type: str,
    values: Sequence[Any] = (),
    default: Any = None,
    *,
    required: bool = False,
    binding: str = "bound",
) -> Argument:
    """A context argument."""
    if type == "bool":
        values = (False, True)
    return Argument(name, type, tuple(values), default, required, binding)


def program_class(
    id: str,
    conditions: Mapping[str, Sequence[Any]],
    *,
    inputs: Sequence[TensorType] = (),
    outputs: Sequence[OutputType] = (),
    seed: bool = False,
    contexts: Sequence[ContextInput] = (),
    state: Sequence[StateType] = (),
) -> ContextClass:
    """A class with a program."""
    signature = Signature(
        tuple(inputs), "seed" if seed else None, tuple(contexts), tuple(outputs), tuple(state)
    )
    condition = " & ".join(f"{k}={'|'.join(map(str, v))}" for k, v in conditions.items())
    return ContextClass(
        id, condition or "all", ({k: tuple(v) for k, v in conditions.items()},), 1,
        ProgramFile(f"{id}.onnx", 23, 10, 1, (), (), signature), None,
    )  # fmt: skip


def failing_class(id: str, conditions: Mapping[str, Sequence[Any]]) -> ContextClass:
    """A class under which the model raises."""
    condition = " & ".join(f"{k}={'|'.join(map(str, v))}" for k, v in conditions.items())
    return ContextClass(
        id, condition, ({k: tuple(v) for k, v in conditions.items()},), 1, None,
        ModelFailure("ValueError", "no such mode", "model.py:3"),
    )  # fmt: skip


class StandIn:
    """See this module.

    Args:
        arguments: of the contexts.
        classes: with what each computes; the function is given the feeds, by name.
    """

    def __init__(
        self,
        arguments: Sequence[Argument],
        classes: Sequence[tuple[ContextClass, Function | None]],
    ) -> None:
        self.arguments = {a.name: a for a in arguments}
        self.classes = tuple(found for found, _ in classes)
        self.runs: list[tuple[str, int]] = []  # (class, rows) of every run
        manifest = SimpleNamespace(
            arguments=self.arguments, classes=self.classes, fixed={}, ignored=frozenset(),
            model="model",
        )  # fmt: skip
        self._dispatcher = Dispatcher(manifest)  # type: ignore[arg-type]
        self._programs = {
            found.id: Program(found, self.arguments, partial(_Session, self, found.id, function))
            for found, function in classes
            if function is not None
        }

    def resolve(self, context: Mapping[str, Any], /) -> tuple[str, dict[str, Any]]:
        found, given = self._dispatcher.find(context)
        program = self.program(found.id)
        return found.id, program.feeds(given)

    def program(self, id: str, /) -> Program:
        if id not in self._programs:
            raise ModelError("the model raises ValueError: no such mode", "ValueError", "m.py:3")
        return self._programs[id]


class _Session:
    def __init__(self, bundle: StandIn, id: str, function: Function) -> None:
        self.bundle = bundle
        self.id = id
        self.function = function

    def run(self, names: Sequence[str], feeds: dict[str, Any]) -> list[Any]:
        rows = next((len(v) for v in feeds.values() if v.ndim), 0)
        self.bundle.runs.append((self.id, rows))
        found = self.function(feeds)
        return [found[name] for name in names]


# -- bundles that several tests use ---------------------------------------------------------------

X = TensorType("x", "float32", ("batch", 3))
Y = OutputType("y", "float32", ("batch", 3), "y")
MEAN = StateType("net/norm/mean", "float32", (3,), "net/norm/mean", "net/norm/mean:new")


def contextual(hold: threading.Event | None = None) -> StandIn:
    """A model with every kind of argument.

    | context | y |
    |---|---|
    | `training=False`, `mode` off or low | `x + noise_scale` or `2 * x + noise_scale`, row by row |
    | `training=True` | `x - mean(x)` over the rows; it replaces a weight |
    | `sampling=True` | `x + seed` |
    | `mode=broken` | the model raises |

    Args:
        hold: programs wait until it is set.
    """

    def waiting(function: Function) -> Function:
        def run(feeds: dict[str, Any]) -> dict[str, Any]:
            if hold is not None:
                assert hold.wait(30)
            return function(feeds)

        return run

    def scaled(factor: float) -> Function:
        def run(feeds: dict[str, Any]) -> dict[str, Any]:
            offset = feeds["noise_scale"] + 10 * feeds["steps"]
            return {"y": (factor * feeds["x"] + offset).astype(np.float32)}

        return run

    def centred(feeds: dict[str, Any]) -> dict[str, Any]:
        return {"y": feeds["x"] - feeds["x"].mean(0), "net/norm/mean:new": feeds["x"].mean(0)}

    def sampled(feeds: dict[str, Any]) -> dict[str, Any]:
        return {"y": feeds["x"] + np.float32(feeds["seed"] % 1000)}

    contexts = (
        ContextInput("noise_scale", "noise_scale", "float64"),
        ContextInput("steps", "steps", "int64"),
    )
    quiet = {"training": (False,), "sampling": (False,)}
    return StandIn(
        [
            argument("training", "bool", default=False),
            argument("sampling", "bool", default=False),
            argument("mode", "string", ("off", "low", "broken"), "off"),
            argument("noise_scale", "float", default=0.0, binding="runtime"),
            argument("steps", "int", default=0, binding="runtime"),
            argument("priority", "int", (1, 2), 1),
        ],
        [
            (failing_class("broken", {"mode": ("broken",)}), None),
            (
                program_class("train", {"training": (True,)}, inputs=[X], outputs=[Y],
                              state=[MEAN]),
                waiting(centred),
            ),
            (
                program_class("sample", {"sampling": (True,)}, inputs=[X], outputs=[Y],
                              seed=True),
                waiting(sampled),
            ),
            (
                program_class("off", {**quiet, "mode": ("off",)}, inputs=[X], outputs=[Y],
                              contexts=contexts),
                waiting(scaled(1)),
            ),
            (
                program_class("low", {**quiet, "mode": ("low",)}, inputs=[X], outputs=[Y],
                              contexts=contexts),
                waiting(scaled(2)),
            ),
        ],
    )  # fmt: skip


DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16",
    "float32", "float64", "string",
)  # fmt: skip


def typed(dtypes: Sequence[str] = DTYPES) -> StandIn:
    """A model that gives back an input of each dtype, of any size: `x_int8` as `y_int8`."""
    inputs = [TensorType(f"x_{dtype}", dtype, ("n", "m")) for dtype in dtypes]
    outputs = [OutputType(f"y_{dtype}", dtype, ("n", "m"), f"y_{dtype}") for dtype in dtypes]

    def run(feeds: dict[str, Any]) -> dict[str, Any]:
        return {name.replace("x_", "y_"): array for name, array in feeds.items()}

    return StandIn([], [(program_class("all", {}, inputs=inputs, outputs=outputs), run)])
