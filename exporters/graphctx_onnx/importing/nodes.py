"""One node of a file as operators of the graph: upgraded to the newest opset, then recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphctx.body import bodies_of
from graphctx.builder import Builder
from graphctx.errors import GraphctxError, LoadError
from graphctx.executor.interpret import run_op
from graphctx.graph import Call, Node, Value
from graphctx.ops.table import OUTPUTS, TABLE, Op
from graphctx.passes.fold import SMALL, is_pure, known_elements
from graphctx.spec import ContainerType
from graphctx_onnx.importing.places import Place


@dataclass
class Pending:
    """A node that is being read.

    Attributes:
        name: of the operator, with its domain outside ONNX's own.
        version: opset since which the operator means what the node means.
        operands: None for those left out.
        attrs: attributes that are given.
        outputs: for each output whether the file names it, and so may use it.
    """

    name: str
    version: int
    operands: list[Value | None]
    attrs: dict[str, Any]
    outputs: list[bool] = field(default_factory=lambda: [True])

    def operand(self, slot: int) -> Value | None:
        """The operand of a slot; None where it is left out."""
        return self.operands[slot] if slot < len(self.operands) else None

    def required(self, slot: int) -> Value:
        """The operand of a slot that cannot be left out."""
        value = self.operand(slot)
        if value is None:
            raise LoadError(f"operand {slot} is missing")
        return value


class Maker:
    """Records operators at the place of one node of the file.

    Args:
        builder: receives them.
        call: the layer call they belong to.
        source: what is noted as the line that made them.
    """

    def __init__(self, builder: Builder, call: Call | None, source: str) -> None:
        self.builder = builder
        self.call = call
        self.source = source

    def __call__(self, name: str, *operands: Any, **attrs: Any) -> Value:
        """The first output of an operator; arrays and numbers among the operands are constants."""
        return self.op(name, operands, attrs)[0]

    def op(self, name: str, operands: Sequence[Any], attrs: Mapping[str, Any]) -> tuple[Value, ...]:
        """All outputs of an operator.

        Raises:
            LoadError: operands or attributes that it does not take.
            ShapeError, DTypeError: they do not fit together.
        """
        record = TABLE[name]
        values = [x if x is None or isinstance(x, Value) else self.constant(x) for x in operands]
        while values and values[-1] is None:
            values.pop()
        _require_signature(record, values, attrs)
        outputs = self.builder.op(record, values, attrs, self.call, self.source)
        return self._folded(outputs[0].node) or outputs

    def constant(self, array: Any) -> Value:
        """A constant."""
        return self.builder.constant(array, self.call)

    def ints(self, numbers: Sequence[int]) -> Value:
        """A vector of int64."""
        return self.constant(np.asarray(numbers, np.int64).reshape(-1))

    def scalar(self, number: float, like: Value) -> Value:
        """A number with the dtype of a value."""
        with np.errstate(over="ignore"):
            return self.constant(np.asarray(number).astype(like.dtype))

    def _folded(self, node: Node) -> tuple[Value, ...] | None:
        """The outputs as constants, where they are known now and small: shapes are made so."""
        if node.kind != "op":
            return None
        known = known_elements(node)
        if known is not None:
            return (self.constant(known),)
        tensors = all(v is None or not isinstance(v.dtype, ContainerType)
                      for v in (*node.operands, *node.outputs))  # fmt: skip
        if not tensors or not is_pure(node) or bodies_of(node):
            return None
        arrays = []
        for value in node.operands:
            if value is not None and value.constant is None:
                return None
            arrays.append(None if value is None else value.constant)
        for value in node.outputs:
            size = 1
            for dim in value.shape:
                if not isinstance(dim, int):
                    return None
                size *= dim
            if size * value.dtype.itemsize > SMALL:
                return None
        try:
            with np.errstate(all="ignore"):
                results = run_op(node, arrays)
        except Exception:
            return None  # it raises when the program runs, where the user sees it
        if any(a.shape != v.shape for a, v in zip(results, node.outputs, strict=True)):
            return None
        return tuple(self.constant(np.array(array)) for array in results)


def _require_signature(
    record: Op, operands: Sequence[Value | None], attrs: Mapping[str, Any]
) -> None:
    """Raise for operands and attributes that an operator's record does not take."""
    most = len(record.operand_names)
    missing = [n for n, v in zip(record.operand_names[: record.least], operands, strict=False)
               if v is None]  # fmt: skip
    if len(operands) < record.least or (missing and not record.variadic):
        wanted = ", ".join(record.operand_names[: record.least])
        raise LoadError(f"it needs {record.least} operands ({wanted}), got {len(operands)}")
    if len(operands) > most and not record.variadic:
        raise LoadError(f"it takes {most} operands at most, got {len(operands)}")
    for name in attrs:
        if name not in record.defaults and name not in record.required:
            raise LoadError(f"graphctx's {record.name} has no attribute {name!r}")
    for name in record.required:
        if name not in attrs:
            raise LoadError(f"it needs the attribute {name!r}")


def fit_outputs(pending: Pending) -> None:
    """Say to the operators whose number of outputs is up to an attribute which are wanted."""
    if OUTPUTS in TABLE[pending.name].defaults and any(pending.outputs[1:]):
        pending.attrs[OUTPUTS] = len(pending.outputs)
    if pending.name == "Attention":
        mode = pending.attrs.pop("qk_matmul_output_mode", 0)
        if any(pending.outputs[3:]):
            pending.attrs["qk_matmul_output_mode"] = mode


# Operands that are scalars; files have vectors of one element there, which runtimes accept.
_SCALARS = {"Range": (0, 1, 2), "Clip": (1, 2), "CumSum": (1,), "CumProd": (1,), "Pad": (2,),
            "Trilu": (1,)}  # fmt: skip


def record(pending: Pending, make: Maker, place: Place) -> tuple[Value, ...]:
    """Record an upgraded node.

    Raises:
        LoadError: what it is given does not fit; the message names the node.
    """
    try:
        for slot in _SCALARS.get(pending.name, ()):
            value = pending.operand(slot)
            if value is not None and value.rank == 1:
                pending.operands[slot] = make("Reshape", value, make.ints(()))
        return make.op(pending.name, pending.operands, pending.attrs)
    except GraphctxError as error:
        raise place.error(str(error)) from error
    except Exception as error:
        # Inference is written for attributes that make sense; a file has any.
        raise place.error(
            f"{pending.name} does not take these operands and attributes: "
            f"{type(error).__name__}: {error}"
        ) from error
