"""Dimensions of a file: numbers, names, and the expressions that graphctx's own exporter writes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from onnx import TensorShapeProto

from graphctx.errors import ShapeError
from graphctx.spec import Dim, DimLike, Shape

_TOKEN = re.compile(r"\s*(?:(\d+)|floor\b|([^\W\d][\w.]*)|([-+*^/()]))")
DEEPEST = 20
"""How deep an expression may be nested; the exporter's are flat."""


class _NoExpressionError(Exception):
    pass


def read_shape(shape: TensorShapeProto, name: Callable[[str], Dim], where: str) -> Shape:
    """The dimensions of a shape.

    Args:
        shape: of the file.
        name: makes a dimension of a name.
        where: for the message.

    Raises:
        ShapeError: a negative dimension.
    """
    found: list[DimLike] = []
    for axis, dim in enumerate(shape.dim):
        if dim.HasField("dim_value"):
            if dim.dim_value < -1:
                raise ShapeError(f"{where}: axis {axis} has the size {dim.dim_value}")
            # Some tools write -1 for a size that varies.
            found.append(
                Dim.unproven(f"{where}_dim_{axis}") if dim.dim_value < 0 else dim.dim_value
            )
        elif dim.dim_param.strip("?"):
            found.append(read_dim(dim.dim_param, name))
        else:
            found.append(Dim.unproven(f"{where}_dim_{axis}"))
    return tuple(found)


def read_dim(text: str, name: Callable[[str], Dim]) -> DimLike:
    """The dimension of a text: `batch`, `2*batch + 1`; any other text is a name of its own."""
    try:
        dim = _Parser(text, name).whole()
    except (_NoExpressionError, ShapeError):
        return Dim.unproven(text)
    return dim if isinstance(dim, Dim) else Dim.unproven(text)


class _Parser:
    """Reads what `str(dim)` writes.

    Grammar: `sum = ["-"] product {("+" | "-") product}`, `product = factor {"*" factor}`,
    `factor = number | atom ["^" number]`, `atom = name | "floor(" sum "/" sum ")"`.
    """

    def __init__(self, text: str, name: Callable[[str], Dim]) -> None:
        self.name = name
        self.depth = 0
        self.tokens: list[str] = []
        position = 0
        text = text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise _NoExpressionError
            self.tokens.append(match.group().strip())
            position = match.end()
        self.tokens.reverse()

    def whole(self) -> Any:
        found = self._sum()
        if self.tokens:
            raise _NoExpressionError
        return found

    def _take(self, *wanted: str) -> bool:
        if self.tokens and self.tokens[-1] in wanted:
            self.tokens.pop()
            return True
        return False

    def _sum(self) -> Any:
        total = -self._product() if self._take("-") else self._product()
        while self.tokens and self.tokens[-1] in "+-":
            total = total + self._product() if self._take("+") else self._less(total)
        return total

    def _less(self, total: Any) -> Any:
        self.tokens.pop()
        return total - self._product()

    def _product(self) -> Any:
        product = self._factor()
        while self._take("*"):
            product = product * self._factor()
        return product

    def _factor(self) -> Any:
        if not self.tokens:
            raise _NoExpressionError
        token = self.tokens.pop()
        if token.isdecimal():
            return int(token)
        atom = self._floor() if token == "floor" else self._named(token)
        if not self._take("^"):
            return atom
        power = self.tokens.pop() if self.tokens else ""
        if not power.isdecimal() or not 1 <= int(power) <= DEEPEST:
            raise _NoExpressionError
        found = atom
        for _ in range(int(power) - 1):
            found = found * atom
        return found

    def _named(self, token: str) -> Dim:
        if not (token[0].isalpha() or token[0] == "_"):
            raise _NoExpressionError
        return self.name(token)

    def _floor(self) -> Any:
        self.depth += 1
        if self.depth > DEEPEST or not self._take("("):
            raise _NoExpressionError
        left = self._sum()
        if not self._take("/"):
            raise _NoExpressionError
        right = self._sum()
        if not self._take(")"):
            raise _NoExpressionError
        self.depth -= 1
        return left // right
