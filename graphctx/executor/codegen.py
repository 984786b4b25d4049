"""Straight-line Python for a residual graph.

Every op is one line that calls its kernel, or NumPy's function directly. Its result goes into the
memory of an operand that nothing needs any more, if that was made in this run: never into an input,
a weight, a constant, or anything that is returned. An array is let go of after the last line that
reads it. A chain of ops (see `chains`) is a function of its own, called where its arrays are large;
where they are not, its lines run as they stand.
"""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from graphctx.body import Body
from graphctx.collector import paused
from graphctx.context import GIVEN, UNSET
from graphctx.errors import InputError
from graphctx.executor.blockwise import ChainFunction
from graphctx.executor.branches import Else, End, If, Merge, Results, steps_of
from graphctx.executor.chains import Chain
from graphctx.executor.heap import keep_freed_memory
from graphctx.executor.statements import Memory, Statement
from graphctx.graph import CallGraph, Node, Returns, Value, live_nodes
from graphctx.ops.blocks import in_one_order, in_rows
from graphctx.ops.sequences import copied
from graphctx.regions import partition
from graphctx.spec import Dim, is_static
from graphctx.tree import Structure, same_static

Line = tuple[str, Node | None]
"""A line of generated code, and the node it computes."""


class Code:
    """Generated code.

    Attributes:
        source: Python text of the function `run`.
        function: the compiled function; takes the inputs, then the seed where there is one, then
            open context arguments, then state values.
        names: of its parameters.
        lines: line number -> the node it computes.
        bodies: the bodies that it runs, by what it calls them.
    """

    def __init__(
        self,
        source: str,
        namespace: dict[str, Any],
        names: Sequence[str],
        lines: Mapping[int, Node],
        bodies: Mapping[str, Body],
    ) -> None:
        self.source = source
        self.bodies = bodies
        self.names = tuple(names)
        self.lines = lines
        self.filename = filename = f"<graphctx {id(self):x}>"
        # Tracebacks through generated code show its lines.
        linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
        exec(compile(source, filename, "exec"), namespace)
        self.function: Callable[..., Any] = namespace["run"]

    @property
    def text(self) -> str:
        """The source, and that of the bodies that it runs."""
        parts = [f"\n# {name}\n{body.code.text}" for name, body in self.bodies.items()]
        return "".join([self.source, *parts])

    def run_body(self, *arrays: Any) -> tuple[Any, ...]:
        """Call the function of a body.

        Raises:
            InputError: a kernel refuses its operands; names the operator, its path and its line.
        """
        try:
            return self.function(*arrays)  # type: ignore[no-any-return]
        except Exception as error:
            located = self.located(error)
            if located is error:
                raise
            raise located from error

    def node_of(self, error: BaseException) -> Node | None:
        """The node at which an exception was raised, if it was raised in this code."""
        step = error.__traceback__
        found = None
        while step is not None:
            if step.tb_frame.f_code.co_filename == self.filename:
                found = self.lines.get(step.tb_lineno)
            step = step.tb_next
        return found

    def located(self, error: Exception) -> Exception:
        """The error of a kernel, with the op, the layer path and the source line it belongs to."""
        node = self.node_of(error)
        if node is None or getattr(error, "_located", False):
            return error
        found = InputError(
            f"{node.path}: {node.name} refuses these inputs: {error} ({node.source})"
        )
        found._located = True  # type: ignore[attr-defined]
        return found


class Emitter:
    """Writes the functions of a graph's program.

    Attributes:
        memory: of its values.
        namespace: what the functions' global names stand for.
        names: what the code calls values.
        chains: how many functions of chains there are.
        path: of the layer call that the last line belongs to.
        at: line number -> the node it computes.
        bodies: that the functions run, by what they call them.
    """

    def __init__(self, graph: CallGraph, returns: Returns, *, with_state: bool) -> None:
        self.graph = graph
        self.with_state = with_state
        self.results = list(returns.values)
        if with_state:
            self.results += [value for _, value in returns.state.values()]
        self.structure = returns.structure
        self.state_paths = list(returns.state) if with_state else []
        self.nodes = live_nodes(self.results)
        self.steps = list(steps_of(partition(self.results)))
        statements: list[Statement] = []
        for step in self.steps:
            if isinstance(step, Statement):
                statements.append(step)
            elif isinstance(step, (Chain, Merge)):
                statements += step.statements
        self.memory = Memory(graph, statements, self.results)
        self.last = len(statements) - 1
        self.namespace: dict[str, Any] = {"np": np, "ndarray": np.ndarray}
        self.names: dict[Value, str] = {}
        self.numbers: dict[Value, str] = {}
        self.variables: dict[str, Value] = {}  # local variable of `run` -> what it holds
        self.count = 0  # of these variables
        self.functions: list[Line] = []  # those of chains
        self.chains = 0
        self.at: dict[int, Node] = {}
        self.bodies: dict[str, Body] = {}
        self.path = ""

    # -- parts --------------------------------------------------------------------------------

    def bind(self, prefix: str, item: Any) -> str:
        """A name in the generated module for a Python object."""
        name = f"{prefix}{len(self.namespace)}"
        self.namespace[name] = item
        return name

    def emit(self, prologue: Sequence[str], parameters: Mapping[Value, str]) -> str:
        """The text of `run`, and of the functions it calls."""
        self.names.update(parameters)
        for node in self.nodes:
            if node.kind in ("weight", "constant") and node.output not in self.names:
                prefix = "w" if node.kind == "weight" else "c"
                self.names[node.output] = self.bind(prefix, self.graph.array(node))
        body = list(self._body())
        lines: list[Line] = [*self.functions, (f"def run({', '.join(parameters.values())}):", None)]
        lines += [(text, None) for text in prologue]
        lines += [("    " + text, node) for text, node in body]
        lines += [(text, None) for text in self._return()]
        self.at = {number: node for number, (_, node) in enumerate(lines, 1) if node is not None}
        return "\n".join(text for text, _ in lines) + "\n"

    def _body(self) -> Iterator[Line]:
        index = depth = 0
        for step in self.steps:
            lines: list[Line] = []
            inside = depth
            if isinstance(step, Statement):
                lines = self._straight(step, index)
                index += 1
            elif isinstance(step, Chain):
                lines = self._chain(step, index)
                index += len(step.statements)
            elif isinstance(step, If):
                lines = [(f"if {self._test(step.selector, step.case, step.cases)}:", None)]
                depth += 1
            elif isinstance(step, Else):
                lines = [("else:", None)]
                inside -= 1
            elif isinstance(step, Results):
                lines = self._results(step)
            elif isinstance(step, End):
                depth -= 1
            else:
                self._merge(step, index)
                index += len(step.statements)
            for text, node in lines:
                yield "    " * inside + text, node

    def _results(self, step: Results) -> list[Line]:
        """The lines that make the arms of a case the results of selects."""
        lines: list[Line] = []
        for node, arm in zip(step.selects, step.arms, strict=True):
            if node.output not in self.names:
                self.count += 1
                self.names[node.output] = f"v{self.count}"
            text = f"{self.names[node.output]} = {self.read(arm)}{self.comment(node)}"
            lines.append((text, node))
        return lines

    def _merge(self, step: Merge, index: int) -> None:
        """Results are variables from here on; what the branches named is let go of at the end."""
        for offset, statement in enumerate(step.statements):
            for value in statement.operands:
                name = "" if value is None else self.names.get(value, "")
                if value is not None and self.memory.last_read[value] <= index + offset:
                    self.variables.pop(name, None)
            output = statement.outputs[0]
            self.variables[self.names[output]] = output

    def read(self, value: Value) -> str:
        """What the code calls a value."""
        return self.numbers.get(value) or self.names[value]

    def number(self, node: Node, name: str) -> str:
        """The line that makes a NumPy scalar of an open numeric argument.

        Ops read the scalar; selects look at the parameter, which may be "not given". Then no op
        that matters reads the scalar: it is 1, which nothing refuses to divide by.
        """
        self.numbers[node.output] = f"n_{name}"
        scalar = self.bind("scalar", node.output.dtype.type)
        unset = self._literal(UNSET)
        return f"    n_{name} = {scalar}(1 if {name} is {unset} else {name})"

    # -- statements ---------------------------------------------------------------------------

    def _straight(self, statement: Statement, index: int) -> list[Line]:
        """The lines of a statement."""
        node = statement.node
        overwritten = self.memory.overwritten(statement, index)
        # Local variables whose values no later line reads.
        dying = [
            self.names[value]
            for value in dict.fromkeys(statement.operands)
            if value is not None and self.memory.last_read[value] == index
            and self.variables.get(self.names[value]) is value
        ]  # fmt: skip
        if node.kind == "select":
            text = self._select(node)
        else:
            out = "" if overwritten is None else self.names[overwritten]
            text = self.expression(statement, self.read, out)
        targets = []
        for value in statement.outputs:
            if overwritten is not None:
                target = self.names[overwritten]
            elif dying and len(statement.outputs) == 1:
                target = dying[0]  # which lets go of what it held
            else:
                self.count += 1
                target = f"v{self.count}"
            self.names[value] = target
            self.variables[target] = value
            targets.append(target)
            if self.memory.last_read[value] == index:
                dying.append(target)  # nothing reads it at all
        lines: list[Line] = [(f"{', '.join(targets)} = {text}{self.comment(node)}", node)]
        if index < self.last:
            last_read = self.memory.last_read
            dead = [name for name in dying if last_read[self.variables[name]] <= index]
            lines += self._forget(dead)
        return lines

    def _forget(self, variables: Iterable[str]) -> list[Line]:
        """The line that lets go of what variables hold."""
        names = list(dict.fromkeys(variables))
        for name in names:
            del self.variables[name]
        return [(f"del {', '.join(names)}", None)] if names else []

    def expression(self, statement: Statement, read: Callable[[Value], str], out: str) -> str:
        """What computes a statement's result, into `out` unless that is empty."""
        node = statement.node
        arguments = ["None" if v is None else read(v) for v in statement.operands]
        if statement.template:
            template = statement.template
            if not out:
                template = template.replace(", out={out}", "")
            for name in re.findall(r"np_(\w+)", template):
                self.namespace[f"np_{name}"] = getattr(np, name)
            zero = ""
            if "{zero}" in template:
                zero = self.bind("z", np.zeros((), node.output.dtype))
            return template.format(*arguments, out=out, zero=zero)
        assert node.op is not None
        kernel = f"k_{node.op.name}"
        function = node.op.kernel_for(node)
        if self.namespace.setdefault(kernel, function) is not function:
            kernel = self.bind(f"{kernel}_", function)
        arguments += [f"{name}={self._literal(value)}" for name, value in node.attrs.items()]
        if out:
            arguments.append(f"out={out}")
        return f"{kernel}({', '.join(arguments)})"

    def comment(self, node: Node) -> str:
        """The layer call that a line belongs to, where it is another one than before."""
        if not node.path or node.path == self.path:
            return ""
        self.path = node.path
        # Of a file anybody may have written: a line end in a name must not end the comment.
        return f"  # {node.path if node.path.isprintable() else ascii(node.path)}"

    def _chain(self, chain: Chain, index: int) -> list[Line]:
        """The lines of a chain: a call where its arrays are large, else its statements."""
        node = chain.statements[0].node
        comment = self.comment(node)
        path = self.path
        function = ChainFunction(self, chain, index + len(chain.statements) - 1)
        self.functions += function.lines
        full = [self.read(value) for value in chain.full]
        tests = [] if is_static(chain.shape) else [f"{full[0]}.size > {chain.limit}"]
        if not all(map(self.memory.row_major, chain.full)):
            helper = in_rows if function.needs_rows else in_one_order
            self.namespace[helper.__name__] = helper
            tests.append(f"{helper.__name__}({', '.join(full)})")
        before = list(self.variables)
        self.path = path
        straight: list[Line] = []
        for offset, statement in enumerate(chain.statements):
            straight += self._straight(statement, index + offset)
        targets = ", ".join(self.names[value] for value in function.outputs)
        call: list[Line] = [(f"{targets} = {function.call}", node)]
        dead = [name for name in before if name not in self.variables]
        if dead:
            call.append((f"del {', '.join(dead)}", None))
        if not tests:
            return [(call[0][0] + comment, node), *call[1:]]
        return [
            (f"if {' and '.join(tests)}:{comment}", None),
            *(("    " + text, at) for text, at in call),
            ("else:", None),
            *(("    " + text, at) for text, at in straight),
        ]

    def _select(self, node: Node) -> str:
        selector = node.operands[0]
        assert selector is not None
        *tests, (_, last) = list(node.arms())
        text = ""
        for case, value in tests:
            test = self._test(selector, case, node.attrs["cases"])
            text += f"{self.read(value)} if {test} else "
        return text + self.read(last)

    def _test(self, selector: Value, case: Any, cases: Sequence[Any]) -> str:
        """Whether a selector has a case."""
        name = self.names[selector]
        if case is GIVEN:
            return f"{name} is not {self._literal(UNSET)}"
        if case is UNSET:
            return f"{name} is {self._literal(case)}"
        mixed = len({type(case) for case in cases if case is not UNSET}) > 1
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
        if isinstance(value, Body):
            name = self.bind("body", value)
            self.bodies[name] = value
            return name
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
        name = self.read(value)
        owners = self.memory.owners
        borrowed = any(owner.node.kind != "op" for owner in owners[value])
        shared = sum(bool(owners[value] & owners[other]) for other in self.results) > 1
        if not value.is_tensor:
            self.namespace["copied"] = copied
            return f"copied({name})"
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


@paused()
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
    keep_freed_memory()
    returns = graph.returns
    emitter = Emitter(graph, returns, with_state=with_state)
    parameters: dict[Value, str] = {}
    prologue: list[str] = []
    sizes: dict[str, str] = {}
    used: set[str] = set()

    def parameter(name: str) -> str:
        clean = "".join(c if c.isascii() and c.isalnum() else "_" for c in name)
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
    return Code(
        source, emitter.namespace, [v.node.name for v in parameters], emitter.at, emitter.bodies
    )


@paused()
def generate_body(graph: CallGraph) -> Code:
    """Generate the code of a body: it takes the inputs in order, as they are; returns a tuple."""
    emitter = Emitter(graph, graph.returns, with_state=False)
    parameters = {value: f"i_{index}" for index, value in enumerate(graph.inputs)}
    source = emitter.emit([], parameters)
    return Code(source, emitter.namespace, list(parameters.values()), emitter.at, emitter.bodies)


def _check_input(
    emitter: Emitter,
    value: Value,
    name: str,
    convert: Callable[[Any], Any],
    sizes: dict[str, str],
) -> list[str]:
    """Lines that accept the usual array at once and send anything else to `convert`."""
    if not value.is_tensor:
        return [f"    {name} = {emitter.bind('convert', convert)}({name})"]
    tests = [f"{name}.__class__ is ndarray", f"{name}.dtype is {emitter.bind('d', value.dtype)}"]
    tests.append(f"{name}.ndim == {value.rank}")
    tests += [
        f"{name}.shape[{axis}] == {dim}"
        for axis, dim in enumerate(value.shape)
        if not isinstance(dim, Dim)
    ]
    function = emitter.bind("convert", convert)
    lines = [f"    if not ({' and '.join(tests)}):", f"        {name} = {function}({name})"]
    if value.dtype == object:  # what is in such an array has to be looked at
        lines = [f"    {name} = {function}({name})"]
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
