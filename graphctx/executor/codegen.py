"""Straight-line Python for a residual graph.

Every op is one line that calls its kernel, or its NumPy ufunc directly. A ufunc writes into the
buffer of an operand that nothing needs any more, if that buffer was made in this run: never into
an input, a weight, a constant, or anything that is returned.
"""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphctx.context import GIVEN, UNSET
from graphctx.graph import CallGraph, Node, Returns, Value, live_nodes
from graphctx.spec import Dim, same_shape
from graphctx.tree import Structure, same_static


class Code:
    """Generated code.

    Attributes:
        source: Python text of the function `run`.
        function: the compiled function; takes the inputs, then the seed where there is one, then
            open context arguments, then state values.
        names: of its parameters.
        lines: line number -> the node it computes.
    """

    def __init__(
        self,
        source: str,
        namespace: dict[str, Any],
        names: Sequence[str],
        lines: Mapping[int, Node],
    ) -> None:
        self.source = source
        self.names = tuple(names)
        self.lines = lines
        self.filename = filename = f"<graphctx {id(self):x}>"
        # Tracebacks through generated code show its lines.
        linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
        exec(compile(source, filename, "exec"), namespace)
        self.function: Callable[..., Any] = namespace["run"]

    def node_of(self, error: BaseException) -> Node | None:
        """The node at which an exception was raised, if it was raised in this code."""
        step = error.__traceback__
        while step is not None:
            if step.tb_frame.f_code.co_filename == self.filename:
                return self.lines.get(step.tb_lineno)
            step = step.tb_next
        return None


class _Emitter:
    def __init__(self, graph: CallGraph, returns: Returns, *, with_state: bool) -> None:
        self.graph = graph
        self.with_state = with_state
        self.results = list(returns.values)
        if with_state:
            self.results += [value for _, value in returns.state.values()]
        self.structure = returns.structure
        self.state_paths = list(returns.state) if with_state else []
        self.nodes = live_nodes(self.results)
        self.namespace: dict[str, Any] = {"np": np, "ndarray": np.ndarray}
        self.names: dict[Value, str] = {}
        self.numbers: dict[Value, str] = {}
        self.lines: list[str] = []
        self.at: dict[int, Node] = {}  # line number -> node
        # The buffers a value may share memory with. Empty: it owns a buffer made in this run.
        self.owner: dict[Value, frozenset[Value]] = {}
        self.last_use = self._last_uses()

    def _last_uses(self) -> dict[Value, int]:
        """Owner of a buffer -> index of the last node that reads it through any alias."""
        last: dict[Value, int] = {}
        for index, node in enumerate(self.nodes):
            for value in node.outputs:
                self.owner[value] = self._owners(node, value)
            for operand in node.operands:
                if operand is not None:
                    for owner in self.owner[operand]:
                        last[owner] = index
        for value in self.results:
            for owner in self.owner[value]:
                last[owner] = len(self.nodes)
        return last

    def _owners(self, node: Node, value: Value) -> frozenset[Value]:
        if node.kind == "select":
            arms = [v for v in node.operands[1:] if v is not None]
            return frozenset().union(*(self.owner[v] for v in arms))
        if node.kind == "op" and node.op is not None and node.op.view:
            first = node.operands[0]
            assert first is not None
            return self.owner[first]
        return frozenset([value])

    # -- parts --------------------------------------------------------------------------------

    def bind(self, prefix: str, item: Any) -> str:
        """A name in the generated module for a Python object."""
        name = f"{prefix}{len(self.namespace)}"
        self.namespace[name] = item
        return name

    def emit(self, prologue: Sequence[str], parameters: Mapping[Value, str]) -> str:
        """The text of `run`."""
        self.names.update(parameters)
        path = None
        for index, node in enumerate(self.nodes):
            if node.kind in ("input", "context") or node.output in self.names:
                continue
            if node.kind in ("weight", "constant"):
                is_weight = node.kind == "weight"
                array = self.graph.array(node)
                if not is_weight and array.ndim == 0 and array.dtype != object:
                    array = array[()]
                self.names[node.output] = self.bind("w" if is_weight else "c", array)
                continue
            line = self._select(node) if node.kind == "select" else self._op(node, index)
            comment = ""
            if node.path and node.path != path:
                path = node.path
                comment = f"  # {path}"
            self.lines.append(f"    {line}{comment}")
            self.at[1 + len(prologue) + len(self.lines)] = node
        head = f"def run({', '.join(parameters.values())}):"
        body = [*prologue, *self.lines, *self._return()]
        return "\n".join([head, *body]) + "\n"

    def number(self, node: Node, name: str) -> str:
        """The line that makes a NumPy scalar of an open numeric argument.

        Ops read the scalar; selects look at the parameter, which may be "not given". Then no op
        that matters reads the scalar: it is 1, which nothing refuses to divide by.
        """
        self.numbers[node.output] = f"n_{name}"
        scalar = self.bind("scalar", node.output.dtype.type)
        unset = self._literal(UNSET)
        return f"    n_{name} = {scalar}(1 if {name} is {unset} else {name})"

    def _fresh(self, value: Value) -> str:
        name = f"v{len(self.names)}"
        self.names[value] = name
        return name

    def _op(self, node: Node, index: int) -> str:
        op = node.op
        assert op is not None
        arguments = ["None" if v is None else self._read(v) for v in node.operands]
        if len(node.outputs) == 1:
            template = op.template(node)
            if template is not None:
                buffer = self._dead_buffer(node, index)
                if buffer is None:
                    template = template.replace(", out={out}", "")
                for name in re.findall(r"np_(\w+)", template):
                    self.namespace[f"np_{name}"] = getattr(np, name)
                zero = self.bind("z", node.output.dtype.type(0)) if "{zero}" in template else ""
                text = template.format(*arguments, out=buffer, zero=zero)
                return f"{self._fresh(node.output)} = {text}"
        kernel = f"k_{op.name}"
        self.namespace[kernel] = op.kernel
        arguments += [f"{name}={self._literal(value)}" for name, value in node.attrs.items()]
        targets = ", ".join(self._fresh(value) for value in node.outputs)
        return f"{targets} = {kernel}({', '.join(arguments)})"

    def _dead_buffer(self, node: Node, index: int) -> str | None:
        """An operand's buffer that the op may write its result into."""
        output = node.output
        if output.rank == 0:
            return None
        for value in node.operands:
            if value is None or value.node.kind != "op":
                continue
            # Only a buffer that a kernel made in this run, seen through no view.
            if self.owner[value] != {value} or self.last_use[value] != index:
                continue
            if value.dtype == output.dtype and same_shape(value.shape, output.shape):
                return self.names[value]
        return None

    def _select(self, node: Node) -> str:
        selector = node.operands[0]
        assert selector is not None
        name = self.names[selector]
        *tests, (_, last) = list(node.arms())
        text = ""
        mixed = len({type(case) for case in node.attrs["cases"] if case is not UNSET}) > 1
        for case, value in tests:
            text += f"{self._read(value)} if {self._test(name, case, mixed)} else "
        return f"{self._fresh(node.output)} = {text}{self._read(last)}"

    def _read(self, value: Value) -> str:
        return self.numbers.get(value) or self.names[value]

    def _test(self, name: str, case: Any, mixed: bool) -> str:
        if case is GIVEN:
            return f"{name} is not {self._literal(UNSET)}"
        if case is UNSET:
            return f"{name} is {self._literal(case)}"
        if not mixed and isinstance(case, (bool, int, str)):
            return f"{name} == {self._literal(case)}"
        # 1, 1.0 and True are equal to Python, but are different cases.
        return f"{self.bind('same', same_static)}({name}, {self._literal(case)})"

    def _literal(self, value: Any) -> str:
        if isinstance(value, (bool, int, str)) and type(value) in (bool, int, str):
            return repr(value)
        if isinstance(value, float) and value == value and abs(value) != float("inf"):
            return repr(value)
        if isinstance(value, (tuple, list)) and all(type(v) is int for v in value):
            return repr(tuple(value))
        return self.bind("a", value)

    def _return(self) -> list[str]:
        texts = [self._result(value) for value in self.results]
        count = self.structure.leaves
        nest = self._nest(self.structure, iter(texts[:count]))
        if not self.with_state:
            return [f"    return {nest}"]
        state = ", ".join(
            f"{path!r}: {text}" for path, text in zip(self.state_paths, texts[count:], strict=True)
        )
        return [f"    return {nest}, {{{state}}}"]

    def _result(self, value: Value) -> str:
        """A result that shares memory with nothing the caller or a later run can change."""
        name = self._read(value)
        borrowed = any(owner.node.kind != "op" for owner in self.owner[value])
        shared = sum(bool(self.owner[value] & self.owner[other]) for other in self.results) > 1
        if value.rank == 0 or borrowed or shared:
            return f"np.array({name})"
        return name

    def _nest(self, structure: Structure, leaves: Any) -> str:
        if structure.kind == "leaf":
            return str(next(leaves))
        if structure.kind == "static":
            return self._literal(structure.data)
        children = [self._nest(child, leaves) for child in structure.children]
        if structure.kind == "tuple":
            return f"({', '.join(children)}{',' if len(children) == 1 else ''})"
        if structure.kind == "list":
            return f"[{', '.join(children)}]"
        if structure.kind == "dict":
            pairs = zip(structure.data, children, strict=True)
            return "{" + ", ".join(f"{self._literal(k)}: {c}" for k, c in pairs) + "}"
        return f"{self.bind('t', structure.data)}({', '.join(children)})"


def generate(
    graph: CallGraph,
    convert: Mapping[str, Callable[[Any], Any]],
    *,
    with_state: bool,
) -> Code:
    """Generate the code of a graph.

    Args:
        graph: with one outcome.
        convert: input name -> function that turns what a caller passed into the array, or raises.
        with_state: whether to take state values and return the new ones as well.
    """
    returns = graph.returns
    emitter = _Emitter(graph, returns, with_state=with_state)
    parameters: dict[Value, str] = {}
    prologue: list[str] = []
    sizes: dict[str, str] = {}
    used: set[str] = set()

    def parameter(name: str) -> str:
        clean = "".join(c if c.isalnum() or c == "_" else "_" for c in name)
        text = f"i_{clean}"
        while text in used:
            text += "_"
        used.add(text)
        return text

    for value in graph.inputs:
        name = parameter(value.node.name)
        parameters[value] = name
        prologue += _check_input(emitter, value, name, convert[value.node.name], sizes)
    if graph.seed is not None:
        parameters[graph.seed] = "seed"
    for node in graph.nodes:
        if node.kind == "context":
            name = parameters[node.output] = parameter(node.name)
            if node.data.domain.is_numeric:
                prologue.append(emitter.number(node, name))
    if with_state:
        state_weights = {variable for variable, _ in returns.state.values()}
        for node in graph.nodes:
            if node.kind == "weight" and node.data in state_weights:
                parameters[node.output] = parameter(node.name)
    source = emitter.emit(prologue, parameters)
    return Code(source, emitter.namespace, [v.node.name for v in parameters], emitter.at)


def _check_input(
    emitter: _Emitter,
    value: Value,
    name: str,
    convert: Callable[[Any], Any],
    sizes: dict[str, str],
) -> list[str]:
    """Lines that accept the usual array at once and send anything else to `convert`."""
    tests = [f"{name}.__class__ is ndarray", f"{name}.dtype is {emitter.bind('d', value.dtype)}"]
    tests.append(f"{name}.ndim == {value.rank}")
    tests += [
        f"{name}.shape[{axis}] == {dim}"
        for axis, dim in enumerate(value.shape)
        if not isinstance(dim, Dim)
    ]
    function = emitter.bind("convert", convert)
    lines = [f"    if not ({' and '.join(tests)}):", f"        {name} = {function}({name})"]
    for axis, dim in enumerate(value.shape):
        if not isinstance(dim, Dim):
            continue
        text = str(dim)
        known = sizes.get(text)
        if known is None:
            sizes[text] = f"{name}.shape[{axis}]"
        else:
            lines.append(f"    if {name}.shape[{axis}] != {known}:")
            lines.append(f"        {function}({name}, {axis}, {known})")
    return lines
