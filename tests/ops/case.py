"""One test case of one operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """An operator applied to concrete operands.

    Attributes:
        op: name in the table.
        operands: arrays; None for an optional operand that is not given. Small integer vectors
            that inference needs (shapes, axes, pads) are listed in `constant`.
        attrs: attributes.
        constant: indices of operands that are constants of the graph (their elements are known).
        symbolic: {operand index: {axis: "name"}}: dimensions that inference sees as symbols.
        tolerance: relative and absolute tolerance against onnxruntime; 0 asks for equal bits.
        onnxruntime: False where onnxruntime's CPU provider has no kernel for these dtypes; say why.
    """

    op: str
    operands: Sequence[Any]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    constant: Sequence[int] = ()
    symbolic: Mapping[int, Mapping[int, str]] = field(default_factory=dict)
    tolerance: float = 1e-6
    onnxruntime: bool = True
    why_not: str = ""
