"""The function of a chain: a loop over blocks, with the chain's statements in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphctx.executor.chains import Chain
from graphctx.executor.statements import Statement, count_axes
from graphctx.graph import Value
from graphctx.ops.blocks import blocks

if TYPE_CHECKING:
    from graphctx.executor.codegen import Emitter, Line


class ChainFunction:
    """Code that runs a chain block by block.

    In the loop, `x0` is a part of an operand, `y0` the part of a result, `t0` a buffer. A result
    takes the memory of an operand that nothing else needs, and its name, where there is one.

    Args:
        emitter: of the program.
        chain: to run.
        end: index of its last statement.

    Attributes:
        outputs: what statements after the chain read, or the program returns.
        lines: of the function.
        call: expression that makes the outputs.
        needs_rows: whether the operands must lie in memory row by row, so that the results lie
            there as those of the statements one by one.
    """

    def __init__(self, emitter: Emitter, chain: Chain, end: int) -> None:
        self.emitter = emitter
        self.memory = memory = emitter.memory
        self.chain = chain
        self.end = end
        self.outputs = [value for value in chain.made if memory.last_read[value] > end]
        self.operands = list(
            dict.fromkeys(
                value
                for statement in chain.statements
                for value in statement.operands
                if value is not None and value not in chain.made
            )
        )
        self.needs_rows = any(
            statement.local or (statement.node.op is not None and statement.node.op.row_major)
            for statement in chain.statements
        ) or any(count_axes(v.shape) > 1 for v in self.operands if v not in chain.full)
        self.last: dict[Value, int] = {}  # value -> position of the last statement that reads it
        for position, statement in enumerate(chain.statements):
            self.last.update((v, position) for v in statement.operands if v is not None)
        cut = [value for value in self.operands if value.rank > chain.whole]
        self.cut = sorted(cut, key=lambda value: value not in chain.full)
        # What the loop calls values.
        self.names = {value: f"x{i}" for i, value in enumerate(self.cut)}
        self.places: dict[Value, Value] = {}  # output -> the operand whose memory it takes
        self.buffers: dict[str, Any] = {}  # buffer -> dtype
        self.free: list[str] = []  # buffers that hold nothing
        self.lines = self._function()

    def _function(self) -> list[Line]:
        emitter, chain = self.emitter, self.chain
        emitter.path = ""
        body = [self._statement(s, position) for position, s in enumerate(chain.statements)]
        full = next(iter(chain.full))
        first = emitter.read(full)
        emitter.chains += 1
        variables = dict.fromkeys(map(emitter.read, self.operands))
        parameters = ", ".join(v for v in variables if v not in emitter.namespace)
        self.call = f"chain{emitter.chains}({parameters})"
        lines: list[Line] = [(f"def {self.call}:", None)]
        emitter.namespace.update(blocks=blocks, empty_like=np.empty_like)
        results = {}
        for value in self.outputs:
            place = self.places.get(value)
            if place is not None:
                results[value] = emitter.read(place)
                continue
            results[value] = f"r{len(results)}"
            dtype = "" if value.dtype == full.dtype else f", {emitter.bind('d', value.dtype)}"
            lines.append((f"    {results[value]} = empty_like({first}{dtype})", None))
        made = [value for value in self.outputs if value not in self.places]
        parts = [self.names[value] for value in (*made, *self.cut)]
        arrays = [*(results[value] for value in made), *map(emitter.read, self.cut)]
        arguments = f"{first}.shape, ({', '.join(arrays)},)"
        if self.buffers or chain.whole:
            dtypes = [emitter.bind("d", dtype) for dtype in self.buffers.values()]
            arguments += f", [{', '.join(dtypes)}]"
        if chain.whole:
            arguments += f", {chain.whole}"
        targets = ", ".join([*parts, *self.buffers])
        comma = "," if len(parts) + len(self.buffers) == 1 else ""
        lines.append((f"    for {targets}{comma} in blocks({arguments}):", None))
        lines += [(f"        {text}", node) for text, node in body]
        return [*lines, (f"    return {', '.join(results.values())}", None), ("", None)]

    def _statement(self, statement: Statement, position: int) -> Line:
        value = statement.outputs[0]
        name = ""
        if value in self.outputs:
            place = self._place(statement, position)
            if place is None:
                name = f"y{self.outputs.index(value)}"
            else:
                name = self.names[place]
                self.places[value] = place
        elif statement.writes:
            name = self._buffer(statement, position)
        text = self.emitter.expression(statement, self._read, name if statement.writes else "")
        if not statement.writes:
            text = f"{name}[...] = {text}" if name else f"s{position} = {text}"
        self.names[value] = name or f"s{position}"
        for operand in dict.fromkeys(statement.operands):
            if operand in self.chain.made and self.last[operand] == position:
                buffer = self.names[operand]
                if buffer in self.buffers and buffer != name:
                    self.free.append(buffer)
        return text + self.emitter.comment(statement.node), statement.node

    def _read(self, value: Value) -> str:
        return self.names.get(value) or self.emitter.read(value)

    def _place(self, statement: Statement, position: int) -> Value | None:
        """The operand whose memory an output takes, where one is free by then."""
        output = statement.outputs[0]
        for value in self.chain.full:
            last = self.last[value]
            if (
                last <= position
                and value not in self.places.values()
                and self.memory.fits(value, output, self.end, self.operands)
                and (last < position or not statement.writes or statement.may_overwrite(value))
            ):
                return value
        return None

    def _buffer(self, statement: Statement, position: int) -> str:
        """The buffer that a result is written into: an operand's, or one that is free, or new."""
        dtype = statement.outputs[0].dtype
        for value in statement.operands:
            if (
                value in self.chain.made
                and value not in self.outputs
                and self.last[value] == position
                and value.dtype == dtype
                and statement.may_overwrite(value)
            ):
                return self.names[value]
        for name in self.free:
            if self.buffers[name] == dtype:
                self.free.remove(name)
                return name
        name = f"t{len(self.buffers)}"
        self.buffers[name] = dtype
        return name
