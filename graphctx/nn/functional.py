"""Functional models: `gx.Input`, layers applied to it, `gx.Model(inputs, outputs)`.

Applying a layer or an op to an `Input` records a step. Calling the model replays the steps, so
that every context explores the layers anew; a functional model is a layer like any other.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from graphctx.builder import Builder
from graphctx.context import source_line
from graphctx.errors import GraphctxError, LayerError, listing
from graphctx.graph import Node, Returns, Value
from graphctx.layer import Layer, Variable
from graphctx.nn.sequential import name_children
from graphctx.spec import Dim, TensorSpec, as_dim, shape_text
from graphctx.tensor import Recorder, Tensor, no_python_value
from graphctx.tree import Structure, flatten

_numbers = itertools.count(1)


class _FunctionalRecorder(Recorder):
    """Records the steps of all functional models; there is one, so that models nest."""

    is_functional = True

    def value(self, x: Any, dtype: Any = None) -> Value:
        if isinstance(x, Variable):
            return self.builder.weight(x, x.name or "weight")
        if isinstance(x, Tensor) and not x.recorder.is_functional:
            raise LayerError(
                f"a tensor of a trace is used in a functional model; build the model outside of "
                f"call() ({source_line()})"
            )
        return super().value(x, dtype)

    def python_value(self, tensor: Tensor, what: str) -> Any:
        raise no_python_value(tensor, what)

    def check(self, tensor: Tensor) -> None:
        return

    def scope(self) -> Any:
        raise LayerError(
            f"ops.cond, ops.while_loop and ops.scan over a functional model's tensors belong into "
            f"a layer's call: nn.Lambda(lambda x: ops.cond(...)) ({source_line()})"
        )


class _CallStep(Node):
    """A layer call in a functional model."""

    __slots__ = ("arguments", "layer", "result")

    layer: Layer
    arguments: tuple[Structure, int]
    result: Structure


def _recorder() -> _FunctionalRecorder:
    # A builder of its own for every op: steps hold on to each other through their operands only,
    # so a model that is dropped leaves nothing behind.
    return _FunctionalRecorder(Builder())


def Input(
    shape: Iterable[Any] | None = None,
    dtype: Any = "float32",
    name: str | None = None,
    *,
    batch: Any = "batch",
    spec: TensorSpec | None = None,
) -> Tensor:
    """Start a functional model.

    Args:
        shape: without the batch dimension, as in Keras: `Input((64,))`.
        dtype: of the input.
        name: of the input.
        batch: name or number of the batch dimension.
        spec: the whole shape and dtype instead.

    Returns:
        A tensor to apply layers, operators and `graphctx.ops` to.

    Raises:
        LayerError: there is neither a shape nor a spec, or the shape is no sequence.
        ShapeError: a dimension is no number and no name.
    """
    if spec is None:
        if shape is None:
            raise LayerError("Input() needs a shape (without the batch dimension) or a spec")
        if isinstance(shape, str) or not isinstance(shape, Iterable):
            raise LayerError(
                f"Input() takes a shape without the batch dimension, such as (64,), got {shape!r}"
            )
        spec = TensorSpec((as_dim(batch), *shape), dtype, name)
    node = Node("input", name or spec.name or f"input_{next(_numbers)}")
    node.data = name or spec.name
    node.outputs = (Value(node, 0, spec.shape, spec.dtype),)
    recorder = _recorder()
    for axis, dim in enumerate(spec.shape):
        if isinstance(dim, Dim):
            recorder.symbols[str(dim)] = (node.outputs[0], axis)
    return Tensor(node.outputs[0], recorder)


def record_call(layer: Layer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Record the call of a layer on functional tensors; its outputs are inferred by a trace."""
    leaves, structure = flatten((args, kwargs), _is_symbolic)
    specs = iter([TensorSpec(t.shape, t.dtype) for t in leaves])
    spec_args, spec_kwargs = structure.build(specs)
    result_structure, outputs = _infer(layer, spec_args, spec_kwargs)
    step = _CallStep("call", layer.name, tuple(t.value for t in leaves), source=source_line())
    step.layer = layer
    step.arguments = (structure, len(leaves))
    step.result = result_structure
    step.outputs = tuple(
        Value(step, i, value.shape, value.dtype) for i, value in enumerate(outputs)
    )
    recorder = leaves[0].recorder
    return result_structure.build(iter([Tensor(v, recorder) for v in step.outputs]))


def _infer(layer: Layer, args: Any, kwargs: Any) -> tuple[Structure, Sequence[Value]]:
    """What a layer returns under default context; builds its weights."""
    from graphctx.passes.specialize import bind, default_assignment
    from graphctx.trace import trace

    graph = trace(layer, *args, **kwargs)
    graph = bind(graph, default_assignment(graph))
    returns = graph.returns
    assert isinstance(returns, Returns)
    return returns.structure, returns.values


class Model(Layer):
    """A model: functional if made as `Model(inputs, outputs)`, else subclass it like `Layer`.

    Args:
        inputs: what `Input` returned, or a nest of them; the model is called with the same nest.
        outputs: nest of what was computed from them.
        name: of the model.

    Raises:
        LayerError: the inputs are not what `Input` returned, one of them is listed twice, nothing
            is computed from them, or an output depends on an `Input` that is not listed. In a call:
            another number or other names of inputs, or an input of another shape.
    """

    def __init__(self, inputs: Any = None, outputs: Any = None, name: str | None = None) -> None:
        self.name = name
        if inputs is None and outputs is None:
            return
        if inputs is None or outputs is None:
            raise LayerError("Model() takes both inputs and outputs, or neither (a subclass)")
        self._functional = True
        leaves, self._input_structure = flatten(inputs, _is_array)
        results, self._output_structure = flatten(outputs, _is_symbolic)
        for leaf in leaves:
            if not _is_symbolic(leaf) or leaf.value.node.kind != "input":
                came = "" if _is_symbolic(leaf) else f", got a {type(leaf).__name__}"
                raise LayerError(f"the inputs of a Model are what Input() returned{came}")
        if len({leaf.value for leaf in leaves}) < len(leaves):
            raise LayerError("an Input is listed twice among the inputs of a Model")
        if not leaves or not results:
            which = "outputs" if leaves else "inputs"
            raise LayerError(f"a Model has {which} that are tensors, made by Input() and layers")
        self._inputs = tuple(tensor.value for tensor in leaves)
        self._outputs = tuple(tensor.value for tensor in results)
        self._steps = _steps(self._outputs, self._inputs)
        self._owned = list(
            {id(s.layer): s.layer for s in self._steps if isinstance(s, _CallStep)}.values()
        )

    def _children(self) -> list[tuple[str, Any]]:
        if not self.__dict__.get("_functional"):
            return super()._children()
        variables = [(s.data.name or "weight", s.data) for s in self._steps if s.kind == "weight"]
        return name_children(self._owned, variables)

    def _input_names(self, count: int) -> list[str] | None:
        if not self.__dict__.get("_functional"):
            return None
        if count == 1 or self._input_structure.kind not in ("tuple", "list"):
            if self._input_structure.kind == "leaf":
                return [self._inputs[0].node.data or "x"]
            return ["x"][:count]
        return [v.node.data or f"x_{i}" for i, v in enumerate(self._inputs)][:count]

    @property
    def input_specs(self) -> Any:
        """The nest of `TensorSpec`s that a functional model was declared with."""
        specs = [TensorSpec(v.shape, v.dtype, v.node.data) for v in self._inputs]
        return self._input_structure.build(iter(specs))

    def call(self, *inputs: Any) -> Any:
        """Replay the recorded steps on actual inputs."""
        if not self.__dict__.get("_functional"):
            raise LayerError(f"{type(self).__name__} defines no call()")
        leaves = self._arrays(inputs[0] if len(inputs) == 1 else tuple(inputs))
        for value, leaf in zip(self._inputs, leaves, strict=True):
            if not _fits(leaf.shape, value.shape):
                raise LayerError(
                    f"{self.name}: input {value.node.name!r} is {shape_text(value.shape)}, got "
                    f"{shape_text(leaf.shape)}"
                )
        known: dict[Value, Any] = dict(zip(self._inputs, leaves, strict=True))
        for step in self._steps:
            _replay(step, known)
        return self._output_structure.build(known[v] for v in self._outputs)

    def _arrays(self, nest: Any) -> list[Any]:
        """What the model is called with, in the order of its inputs."""
        names = [value.node.data for value in self._inputs]
        if self._input_structure.kind == "dict":
            names = list(self._input_structure.data)
        if isinstance(nest, dict) and None not in names:
            if set(nest) != set(names):
                raise LayerError(
                    f"{self.name}: the model takes inputs {listing(names)}, got {listing(nest)}"
                )
            nest = [nest[name] for name in names]
        leaves, _ = flatten(nest, _is_array)
        if len(leaves) != len(self._inputs):
            raise LayerError(
                f"{self.name}: the model takes {len(self._inputs)} inputs "
                f"({listing(str(v.node.name) for v in self._inputs)}), got {len(leaves)} arrays"
            )
        return leaves


def _fits(shape: Sequence[Any], declared: Sequence[Any]) -> bool:
    """Whether a shape has the rank declared, and its numbers where both have a number."""
    return len(shape) == len(declared) and all(
        isinstance(n, Dim) or isinstance(own, Dim) or n == own
        for n, own in zip(shape, declared, strict=True)
    )


def _replay(step: Node, known: dict[Value, Any]) -> None:
    if isinstance(step, _CallStep):
        structure, _ = step.arguments
        args, kwargs = structure.build(known[v] for v in step.operands if v is not None)
        result = step.layer(*args, **kwargs)
        leaves, _ = flatten(result, _is_array)
        if len(leaves) != len(step.outputs):
            raise LayerError(
                f"{step.layer.name}: returns {len(leaves)} tensors here, {len(step.outputs)} when "
                f"the functional model was built; a layer whose outputs depend on context needs a "
                f"subclassed model"
            )
        known.update(zip(step.outputs, leaves, strict=True))
        return
    if step.kind == "constant":
        known[step.output] = step.data
    elif step.kind == "weight":
        known[step.output] = step.data.value
    elif step.kind == "op":
        assert step.op is not None
        try:
            results = step.op(
                *(None if v is None else known[v] for v in step.operands), **step.attrs
            )
        except GraphctxError as error:
            if error.args and step.source not in str(error.args[0]):
                error.args = (f"{error.args[0]} (recorded at {step.source})",)
            raise
        outputs = results if isinstance(results, tuple) else (results,)
        known.update(zip(step.outputs, outputs, strict=True))


def _steps(outputs: Sequence[Value], inputs: Sequence[Value]) -> list[Node]:
    """The steps that the outputs depend on, each after its operands."""
    from graphctx.graph import live_nodes

    given = {value.node for value in inputs}
    steps = []
    for node in live_nodes(outputs):
        if node.kind != "input":
            steps.append(node)
        elif node not in given:
            raise LayerError(f"an output depends on the Input {node.name!r}, which is not listed")
    return steps


def _is_symbolic(value: Any) -> bool:
    return isinstance(value, Tensor) and value.recorder.is_functional


def _is_array(value: Any) -> bool:
    return isinstance(value, (Tensor, np.ndarray, np.generic))
