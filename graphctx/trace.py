"""The path-exploring tracer: one run of a model's Python for every path through its context.

`call` of a layer runs with real Python values for finite-domain arguments, once for each value
that can still matter on the current path. The results are merged by `select` nodes where their
structures, shapes and dtypes agree; where they do not, the decision moves to the enclosing call,
to the root if need be. A decision that was made further out is not made again.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphctx.builder import Builder, hashable
from graphctx.collector import paused
from graphctx.context import (
    GIVEN,
    NO_VALUES,
    REQUIRED,
    UNSET,
    Declaration,
    Frame,
    Provided,
    current,
    outside_domain,
    required_missing,
    source_line,
    value_text,
)
from graphctx.errors import ContextError, GraphctxError, TraceError, listing, suggest
from graphctx.executor.evaluate import Evaluator
from graphctx.graph import (
    Branch,
    Call,
    CallGraph,
    Consumer,
    ContextArgument,
    Contexts,
    Node,
    Outcome,
    Raises,
    Resolution,
    Returns,
    Value,
    live_nodes,
    outcome_values,
)
from graphctx.layer import Layer, Variable, place, provided_where
from graphctx.paths import (
    Choice,
    Comparison,
    Decision,
    Fork,
    Leaf,
    Lent,
    Raised,
    Run,
    Tree,
    Unmergeable,
    compared,
    feasible,
    grow,
    restrict,
)
from graphctx.spec import (
    ContainerType,
    Dim,
    TensorSpec,
    joined_dtype,
    joined_shape,
    kind_of,
    same_shape,
)
from graphctx.tensor import ArrayOperators, Recorder, Tensor, no_python_value, where
from graphctx.text import expression_text
from graphctx.tree import Structure, any_leaf, flatten, map_leaves, same_static, same_structure

if TYPE_CHECKING:
    from graphctx.body import Scope

RECURSION_LIMIT = 10_000


@paused()
def trace(
    model: Layer,
    *specs: Any,
    domains: Mapping[str, Sequence[Any]] | None = None,
    context: Mapping[str, Any] | None = None,
    **keywords: Any,
) -> CallGraph:
    """Trace a model once, for every context, into a call graph.

    `call` of each layer runs once per path through its context arguments, so its Python side
    effects (printing, counting, storing on `self`) repeat; what it returns, and what it assigns to
    variables, is recorded.

    Args:
        model: the root layer.
        specs: a `TensorSpec`, or a nest of them, for each positional argument; arrays stand for
            their own shape and dtype; other Python values are passed on as they are.
        domains: values to trace of opaque arguments, and of numeric ones whose Python value the
            model asks for (`range(n)`, an axis).
        context: values for context arguments whose names clash with other parameters.
        keywords: more arguments of the root call: specs, data, or context values to bind while
            tracing.

    Raises:
        TraceError: the model's Python depends on data, or cannot be recorded.
        ContextError: an unknown name, a value outside its domain, conflicting domains, an opaque
            argument without any value to trace.
        ShapeError, DTypeError: tensors do not fit together; the message names the layer path.
    """
    if not isinstance(model, Layer):
        raise TraceError(
            f"trace() takes a layer or model, got {type(model).__name__}; wrap a function in "
            f"nn.Lambda"
        )
    if current.get() is not None and current.get().tracer is not None:  # type: ignore[union-attr]
        raise TraceError("trace() is called inside a trace; call the layer itself")
    keywords.update(context or {})
    distinct: dict[str, list[Any]] = {}  # argument -> the different defaults of its consumers
    while True:
        tracer = Tracer(model, domains or {}, distinct)
        limit = sys.getrecursionlimit()
        # A layer takes five Python frames in a trace, two in an eager call.
        sys.setrecursionlimit(max(limit, RECURSION_LIMIT))
        try:
            return tracer.trace(specs, keywords)
        except _Restart:
            # Two consumers of one argument have different defaults: "not given" becomes a case
            # of its own. At most one restart an argument.
            continue
        finally:
            sys.setrecursionlimit(limit)


class _Restart(BaseException):
    pass


def _remember_refusal(error: TraceError) -> None:
    """Note what a trace cannot record: `except Exception:` in a model must not hide it."""
    frame = current.get()
    if frame is not None and isinstance(frame.tracer, Tracer):
        frame.tracer.run.refused = error


TraceError.created = _remember_refusal


# -- the tracer -----------------------------------------------------------------------------------


class Tracer(Recorder):
    """Records one trace. See `trace`."""

    def __init__(
        self, model: Layer, domains: Mapping[str, Sequence[Any]], distinct: dict[str, list[Any]]
    ) -> None:
        super().__init__(Builder())
        self.model = model
        self.domains = domains
        self.distinct = distinct
        self.arguments: dict[str, ContextArgument] = {}
        self.calls: dict[str, Call] = {}
        self.run: Run = Run(None, [])
        self._call: Call | None = None
        self._dependence: dict[Value, frozenset[str] | None] = {}
        self._seed_name = "seed"
        self._given: dict[str, Any] = {}
        self._consumers: set[tuple[str, str]] = set()
        self._restart = False
        self._comparisons: dict[int, Comparison] = {}
        self._predicates: dict[str, Value] = {}
        self._noted: set[tuple[Any, ...]] = set()
        self._bodies = 0  # how many are being recorded
        self._closed: set[Node] = set()  # what belongs to bodies that are recorded

    # -- the whole trace ----------------------------------------------------------------------

    def trace(self, specs: Sequence[Any], keywords: dict[str, Any]) -> CallGraph:
        """Run the root layer on every path; return the pruned graph."""
        args, kwargs, inputs, structure, parameters = self._make_inputs(specs, keywords)
        # Values of an enclosing `with gx.context(...)` block hold for the trace, too.
        block = current.get()
        root = Frame(None, None, NO_VALUES if block is None else block.values, self)
        token = current.set(root)
        try:
            tree = self._explore(
                lambda: self._root_call(root, args, kwargs), Lent(self.model.name, args, kwargs)
            )
            error = _first_error(tree)
            if error is not None:
                raise error  # the model raises under every context
            if _returns_nothing(tree):
                raise TraceError(
                    f"{self.model.name}: call() returns None under every context; is a `return` "
                    f"missing?"
                )
            self._check_domains()
            outcome = self._outcome(tree)
        finally:
            current.reset(token)
        declared = set(self.model._declared_names(rescan=True))
        if not self._takes_anything():
            declared.add("training")
        graph = CallGraph(
            name=self.model.name,
            nodes=tuple(self.builder.nodes),
            inputs=inputs,
            outcome=outcome,
            contexts=Contexts(self.arguments),
            calls=tuple(self.calls.values()),
            bound={n: v for n, v in self._given.items() if n in declared},
            unread=frozenset(declared - set(self.arguments) - set(self._given)),
            input_structure=structure,
            parameters=parameters,
            predicates=self._predicates,
        )
        self._name_weights()
        roots = [*outcome_values(outcome), *inputs]
        return graph.replace(nodes=tuple(live_nodes(roots)))

    def _takes_anything(self) -> bool:
        """Whether a layer takes `**kwargs`, so that `training` may reach what we do not see."""
        return any(
            isinstance(item, Layer)
            and item._signature.takes_kwargs
            and "training" not in item._signature.context
            for _, _, item in self.model._walk()
        )

    def _root_call(self, root: Frame, args: Any, kwargs: Any) -> Any:
        root.counts = {}
        return self.model(*args, **kwargs)

    def _make_inputs(self, specs: Sequence[Any], keywords: dict[str, Any]) -> Any:
        names = self.model._input_names(len(specs)) if hasattr(self.model, "_input_names") else None
        if names is None:
            signature = self.model._signature
            positional = [n for n in signature.positional if n not in signature.context]
            rest = [f"input_{i}" for i in range(len(specs))]
            names = [*positional, *rest[len(positional) :]][: len(specs)]
        for spec in specs:
            if isinstance(spec, tuple) and any(isinstance(dim, (str, Dim)) for dim in spec):
                raise TraceError(
                    f"{self.model.name}: {spec} is a shape; trace() takes gx.TensorSpec({spec})"
                )
        data = {k: v for k, v in keywords.items() if any_leaf(v, _is_spec)}
        self._check_arguments(names, len(specs), keywords)
        others = {k: v for k, v in keywords.items() if k not in data}
        leaves: list[tuple[str, Any]] = []
        structures: list[Structure] = []
        for name, spec in [*zip(names, specs, strict=False), *data.items()]:
            found, structure = flatten(spec, _is_spec)
            structures.append(structure)
            labels = structure.names(name)
            leaves += [
                ((leaf.name if isinstance(leaf, TensorSpec) else None) or label, leaf)
                for label, leaf in zip(labels, found, strict=True)
            ]
        taken: set[str] = set()
        values: list[Value] = []
        for label, leaf in leaves:
            unique, count = label, 1
            while unique in taken:
                if isinstance(leaf, TensorSpec) and leaf.name == label:
                    raise TraceError(f"two inputs are named {label!r}")
                unique, count = f"{label}_{count}", count + 1
            taken.add(unique)
            spec = _spec_of(leaf, unique)
            value = self.builder.input(spec, unique)
            values.append(value)
            for axis, dim in enumerate(spec.shape):
                if isinstance(dim, Dim) and len(dim.symbols) == 1 and str(dim) in dim.symbols:
                    self.symbols.setdefault(str(dim), (value, axis))
        while self._seed_name in taken:
            self._seed_name += "_"
        tensors = iter([Tensor(value, self) for value in values])
        built = [structure.build(tensors) for structure in structures]
        args = built[: len(specs)]
        kwargs = {**others, **dict(zip(data, built[len(specs) :], strict=True))}
        parameters = (*names[: len(specs)], *data)
        return args, kwargs, tuple(values), Structure("tuple", tuple(structures)), parameters

    def _check_arguments(
        self, names: Sequence[str], count: int, keywords: Mapping[str, Any]
    ) -> None:
        """Raise unless the specs fit the parameters of the root's `call`."""
        signature = self.model._signature
        missing = [
            name
            for name, p in signature.parameters.items()
            if p.default is p.empty
            and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
            and name not in signature.context
            and name not in keywords
            and name not in names[:count]
        ]
        variadic = any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values())
        if missing and not (variadic and count):
            raise TraceError(
                f"{self.model.name}: call() takes {listing(missing)}, too; give trace() a "
                f"TensorSpec (or a value) for each argument"
            )
        takes = [n for n in signature.positional if n not in signature.context]
        if count > len(takes) and not variadic:
            raise TraceError(
                f"{self.model.name}: call() takes {len(takes)} positional arguments "
                f"({listing(takes)}), trace() was given {count}"
            )

    def _outcome(self, tree: Tree) -> Outcome:
        if isinstance(tree, Raised):
            return Raises(tree.error, tree.source)
        if isinstance(tree, Fork):
            return Branch(
                tree.decision.selector,
                tuple(
                    (case, self._outcome(branch))
                    for case, branch in zip(tree.decision.cases, tree.branches, strict=True)
                ),
            )
        leaves, structure = flatten(
            tree.value, lambda x: _is_output(x) or isinstance(x, (Dim, Variable))
        )
        values = tuple(
            leaf.value
            if isinstance(leaf, Tensor)
            else tree.state.get(leaf) or self.value(leaf)
            if isinstance(leaf, Variable)
            else self.value(leaf)
            for leaf in leaves
        )
        paths = {v: path for path, v in self.model.weights.items()}
        return Returns(
            structure,
            values,
            {paths.get(v) or v.name or "weight": (v, new) for v, new in tree.state.items()},
        )

    def _name_weights(self) -> None:
        """Give weight nodes their paths; weights are built, and so named, during the trace."""
        paths = {id(v): path for path, v in self.model.weights.items()}
        taken = set(paths.values())
        for node in self.builder.nodes:
            if node.kind == "weight":
                path = paths.get(id(node.data))
                if path is None:
                    # A variable that no layer under the root owns, from a closure.
                    path = f"{node.path or self.model.name}/{node.data.name or 'weight'}"
                    if path in taken:
                        raise TraceError(
                            f"{node.path}: the weight {path!r} was made more than once while "
                            f"tracing; create layers with weights in __init__ (or build), not in "
                            f"call, which runs once per context"
                        )
                    taken.add(path)
                node.name = path

    def _check_domains(self) -> None:
        for name in self.domains:
            argument = self.arguments.get(name)
            if argument is None:
                raise ContextError(
                    f"{self.model.name}: domains names {name!r}, which no layer reads"
                    f"{suggest(name, self.arguments)} (read: {listing(self.arguments)})"
                )
            if argument.domain.is_finite:
                raise ContextError(
                    f"{self.model.name}: context argument {name!r} already has the finite domain "
                    f"{argument.domain}; domains= is for opaque and numeric arguments"
                )

    # -- exploring ----------------------------------------------------------------------------

    def _explore(self, body: Callable[[], Any], lent: Lent) -> Tree:
        """Run `body` once for every path through the decisions it asks for.

        What it can reach from outside must not change if there are several paths: each would see
        what the ones before it left.
        """
        outer = self.run
        choices: list[Choice] = []
        leaves: list[tuple[list[tuple[Decision, int]], Tree]] = []
        call = self._call
        while True:
            self.run = run = Run(outer, choices, decides=not self._bodies)
            leaf: Tree
            try:
                leaf = Leaf(self._returned(body()), run.state)
            except GraphctxError as error:
                if not getattr(error, "_defer", False):
                    if isinstance(error, TraceError):
                        outer.refused = error
                    self._on_path(error, run, len(choices))
                    raise
                leaf = Raised(error, _raised_at(error), run.state)
            except RecursionError as error:
                raise TraceError(
                    f"{self.model.name}: the layers are nested too deeply to trace, or a call "
                    f"does not end ({_raised_at(error)})"
                ) from error
            except Exception as error:
                leaf = Raised(error, _raised_at(error), run.state)
            finally:
                self.run = outer
                self._call = call
                if self._restart:
                    # Whatever the model's own `except` or `finally` made of it.
                    raise _Restart
            if run.refused is not None:
                outer.refused = run.refused
                raise self._on_path(run.refused, run, len(choices))
            if run.position < len(choices):
                raise TraceError(
                    f"the call is not deterministic: when it ran again, it did not ask for "
                    f"{choices[run.position].decision.label!r} as before; `call` must do the same "
                    f"for the same context"
                )
            if not choices:
                run.absorbed = outer
                if isinstance(leaf, Raised):
                    outer.state.update(leaf.state)
                    raise leaf.error
                return leaf
            changed = lent.changed()
            if changed is not None:
                refused = TraceError(
                    f"{lent.path}: the call changes a {type(changed).__name__} that it was given, "
                    f"and it runs once for every context, so that one would see what another one "
                    f"left there; return what you want to pass on"
                )
                outer.refused = refused
                raise self._on_path(refused, run, len(choices))
            leaves.append(([(c.decision, c.index) for c in choices], leaf))
            while choices and choices[-1].index == len(choices[-1].decision.cases) - 1:
                choices.pop()
            if not choices:
                break
            choices[-1].index += 1
        return grow(leaves, 0)

    def _returned(self, value: Any) -> Any:
        """What a path returned, after a check that its tensors belong to the path."""
        if isinstance(value, Tensor):
            self.check(value)
        elif isinstance(value, (tuple, list, dict)):
            for leaf in flatten(value, lambda x: isinstance(x, Tensor))[0]:
                self.check(leaf)
        return value

    def _on_path(self, error: GraphctxError, run: Run, own: int) -> GraphctxError:
        """Say under which context a trace failed."""
        if own and error.args and not getattr(error, "_on_path", False):
            conditions = ", ".join(f"{name}={value_text(case)}" for name, case in run.labels)
            error.args = (f"{error.args[0]} [while tracing {conditions}]", *error.args[1:])
            error._on_path = True  # type: ignore[attr-defined]
        return error

    def _merge(self, tree: Tree) -> Any:
        """One result for the enclosing run; what cannot be merged it has to decide."""
        outer = self.run
        while True:
            try:
                leaf = self._merged(tree)
            except Unmergeable as fork:
                decision = self._first(fork.decision)
                tree = restrict(tree, decision, outer.decide(decision))
                continue
            if isinstance(leaf, Raised):
                outer.state.update(leaf.state)
                raise leaf.error
            outer.state.update(leaf.state)
            return map_leaves(leaf.value, self._own, lambda x: isinstance(x, Tensor))

    def _first(self, decision: Decision) -> Decision:
        """What has to be decided before a decision may move outwards.

        The value of a number means nothing where the number is not given: that comes first.
        """
        kind, name = decision.key
        if kind != "context":
            return decision
        argument = self.arguments[name]
        if not argument.domain.is_numeric or argument.default is not UNSET:
            return decision
        given = Decision(("given", name), decision.selector, (UNSET, GIVEN))
        return decision if given.key in self.run.known else given

    def _merged(self, tree: Tree) -> Leaf | Raised:
        if not isinstance(tree, Fork):
            return tree
        leaves = [self._merged(branch) for branch in tree.branches]
        first = leaves[0]
        if isinstance(first, Raised):
            same = all(
                isinstance(leaf, Raised) and _same_error(leaf.error, first.error) and not leaf.state
                for leaf in leaves
            )
            if same:
                return first
        if any(isinstance(leaf, Raised) for leaf in leaves):
            raise Unmergeable(tree.decision)
        return self._select(tree.decision, leaves)  # type: ignore[arg-type]

    def _select(self, decision: Decision, leaves: list[Leaf]) -> Leaf:
        flat = [flatten(leaf.value, _is_output) for leaf in leaves]
        structure = flat[0][1]
        if not all(same_structure(structure, other) for _, other in flat[1:]):
            raise Unmergeable(decision)
        merged = [
            self._select_one(decision, [found[i] for found, _ in flat])
            for i in range(len(flat[0][0]))
        ]
        changed = dict.fromkeys(v for leaf in leaves for v in leaf.state)
        state = {}
        for variable in changed:
            arms = [leaf.state.get(variable) or self._read_value(variable) for leaf in leaves]
            state[variable] = self.builder.select(
                decision.selector, decision.cases, arms, self._call, self.source
            )
        return Leaf(structure.build(iter(merged)), state)

    def _select_one(self, decision: Decision, items: list[Any]) -> Any:
        first = items[0]
        if all(item is first for item in items[1:]):
            return first if not isinstance(first, Tensor) else self._own(first)
        if all(isinstance(item, np.ndarray) for item in items) and all(
            same_static(item, first) for item in items
        ):
            return first
        arms = [
            item.value if isinstance(item, Tensor) else self.builder.constant(item, self._call)
            for item in items
        ]
        weak = {isinstance(item, Tensor) and item.weak for item in items}
        for arm in arms[1:]:
            apart = joined_dtype(arm.dtype, arms[0].dtype) is None
            if apart or joined_shape(arm.shape, arms[0].shape) is None:
                raise Unmergeable(decision)
        if len(weak) > 1:
            raise Unmergeable(decision)
        value = self.builder.select(
            decision.selector, decision.cases, arms, self._call, self.source
        )
        return Tensor(value, self, weak.pop(), run=self.run)

    def _own(self, tensor: Tensor) -> Tensor:
        return Tensor(tensor.value, self, tensor.weak, run=self.run)

    # -- layer calls --------------------------------------------------------------------------

    def call_layer(
        self, layer: Layer, parent: Frame, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """What `Layer.__call__` does in a trace."""
        frame = Frame(parent, layer, parent.values, self)
        args, kwargs = layer._bind(frame, args, kwargs)
        if parent.layer is None and parent.parent is None:
            self._given = {name: given.value for name, given in frame.values.items()}
        call = self._enter(frame, layer)
        signature = layer._signature
        data_args, data_kwargs = args, kwargs

        def body() -> Any:
            args, kwargs = data_args, dict(data_kwargs)
            frame.counts = {}
            frame.draws = 0
            self._call = call
            token = current.set(frame)
            try:
                for declaration in signature.consumed:
                    value = self._resolve(frame, call, declaration)
                    args, kwargs = place(signature, declaration, value, args, kwargs)
                layer._ensure_built(args, kwargs)
                layer.__dict__["_called"] = True
                return layer.call(*args, **kwargs)
            finally:
                current.reset(token)

        outer_call = self._call
        lent = Lent(frame.path, args, kwargs, [given.value for given in frame.values.values()])
        tree = self._explore(body, lent)
        if isinstance(tree, Leaf):
            # One path: its values belong to the enclosing run as they are.
            self.run.state.update(tree.state)
            return tree.value
        self._call = call
        try:
            return self._merge(tree)
        finally:
            self._call = outer_call

    def _enter(self, frame: Frame, layer: Layer) -> Call:
        call = self.calls.get(frame.path)
        if call is None:
            call = Call(frame.path, type(layer).__name__, self._call, source_line())
            self.calls[frame.path] = call
        if self.run.labels not in call.conditions:
            call.conditions.append(self.run.labels)
        return call

    # -- context ------------------------------------------------------------------------------

    def _resolve(self, frame: Frame, call: Call, declaration: Declaration) -> Any:
        name = declaration.name
        labels = self.run.labels
        provided = frame.values.get(name)
        if provided is not None:
            self._note(call, _provided_resolution(name, provided, frame, labels))
            return self._provided_value(frame, declaration, provided)
        argument = self._argument(declaration, frame.path)
        self._note(call, Resolution(name, "caller", "", conditions=labels))
        selector = self.builder.context(argument)
        key = ("context", name)
        if argument.domain.is_numeric and key not in self.run.known:
            if argument.default is UNSET:
                decision = Decision(("given", name), selector, (UNSET, GIVEN))
                if self.run.decide(decision) is UNSET:
                    return self._default(frame, declaration)
            return Tensor(selector, self, weak=True)
        case = self.run.decide(Decision(key, selector, argument.cases))
        return self._default(frame, declaration) if case is UNSET else case

    def _default(self, frame: Frame, declaration: Declaration) -> Any:
        if declaration.default is REQUIRED:
            error = required_missing(frame.path, declaration.name)
            error._defer = True  # type: ignore[attr-defined]
            raise error
        return declaration.default

    def _provided_value(self, frame: Frame, declaration: Declaration, provided: Provided) -> Any:
        value, domain = provided.value, declaration.domain
        if isinstance(value, ArrayOperators):
            value = value.resolve()
        if isinstance(value, Tensor):
            if domain.kind == "opaque":
                return value
            if not value.shape and kind_of(value.dtype) in _ACCEPTED[domain.kind]:
                if domain.is_finite:
                    value = self.python_value(value, domain.kind)
                elif domain.kind == "float" and kind_of(value.dtype) != "f":
                    return Tensor(self.value(value, np.dtype("float64")), self, value.weak)
                else:
                    return value
        if isinstance(value, Tensor):
            raise ContextError(
                f"{frame.path}: context argument {declaration.name!r} got a symbolic tensor "
                f"{value.spec}, provided {provided_where(provided, frame)}; allowed here: {domain}"
            )
        try:
            return domain.normalize(value)
        except ValueError:
            where = provided_where(provided, frame)
            raise outside_domain(frame.path, declaration, value, where) from None

    def _argument(self, declaration: Declaration, path: str) -> ContextArgument:
        """The graph's argument for a declaration that the root left open."""
        name, domain, default = declaration.name, declaration.domain, declaration.default
        argument = self.arguments.get(name)
        if argument is None:
            unset = name in self.distinct or (default is None and domain.kind != "opaque")
            argument = ContextArgument(name, domain, UNSET if unset else default, ())
            argument.cases = self._cases(argument)
            if not argument.cases and domain.kind == "opaque":
                raise ContextError(
                    f"{path}: context argument {name!r} is opaque (its domain {domain} lists no "
                    f"values) and has no default, so there is nothing to trace; name its values "
                    f"with trace(..., domains={{{name!r}: [...]}})"
                )
            argument.enumerated = "its domain" if domain.kind == "opaque" else ""
            self.arguments[name] = argument
        elif argument.domain != domain:
            first = argument.consumers[0].path
            raise ContextError(
                f"context argument {name!r} has conflicting domains: {argument.domain} in {first}, "
                f"{domain} in {path}; give both consumers the same domain, or two names"
            )
        if (name, path) not in self._consumers:
            self._consumers.add((name, path))
            argument.consumers.append(Consumer(path, default))
            if argument.default is not UNSET and not same_static(argument.default, default):
                self.distinct[name] = [argument.default, default]
                self._restart = True
                raise _Restart
        return argument

    def _cases(self, argument: ContextArgument) -> tuple[Any, ...]:
        domain, default = argument.domain, argument.default
        unset = (UNSET,) if default is UNSET else ()
        if domain.is_finite:
            return (*domain.values, *unset)
        cases: list[Any] = [] if default in (UNSET, REQUIRED) else [default]
        known = self.distinct.get(argument.name, []) if domain.is_numeric else []
        cases += [value for value in known if value is not None and value is not REQUIRED]
        for value in self.domains.get(argument.name, ()):
            try:
                value = domain.normalize(value)
            except ValueError as error:
                raise ContextError(f"domains[{argument.name!r}]: {error}") from None
            if not any(same_static(value, known) for known in cases):
                cases.append(value)
        return (*cases, *unset)

    def _note(self, call: Call, resolution: Resolution) -> None:
        key = (
            id(call), resolution.argument, resolution.how, resolution.value, resolution.provider,
            resolution.source, hashable(resolution.conditions),
        )  # fmt: skip
        if key not in self._noted:
            self._noted.add(key)
            call.resolutions.append(resolution)

    # -- Python values of context expressions -------------------------------------------------

    def python_value(self, tensor: Tensor, what: str) -> Any:
        """A Python value for `if`, `int()`, `range()`: explored, if only context decides it."""
        self.check(tensor)
        value = tensor.value
        names = self._depends_on(value)
        if names is None or value.shape:
            raise no_python_value(tensor, what)
        if all(self._is_known(name) for name in names):
            return self._evaluate(value).item()
        enumerated = any(name in self.domains for name in names)
        if what == "bool" and not enumerated:
            if value.dtype != np.bool_:
                from graphctx import ops

                value = ops.not_equal(tensor, 0).value
            implied = self._implied(value)
            if implied is not None:
                return implied
            decision = Decision(("value", id(value)), value, (False, True))
            self._predicates[decision.label] = value
            return self.run.decide(decision)
        for name in sorted(names):
            if not self._is_known(name):
                argument = self.arguments[name]
                cases = tuple(c for c in argument.cases if c is not UNSET)
                if not cases:
                    raise ContextError(
                        f"the Python value ({what}) of context argument {name!r} is asked for at "
                        f"{source_line()}, but no value of it is known to trace; name its values "
                        f"with trace(..., domains={{{name!r}: [...]}})"
                    )
                argument.enumerated = argument.enumerated or source_line()
                selector = self.builder.context(argument)
                self.run.decide(Decision(("context", name), selector, cases))
        return self._evaluate(value).item()

    def _implied(self, value: Value) -> bool | None:
        """What earlier decisions on the same number say about a comparison; None if nothing.

        Paths that no number can take are not explored: they might fail, or differ in structure.
        """
        asked = compared(value)
        if asked is None:
            return None
        self._comparisons[id(value)] = asked
        known = [
            (self._comparisons[key], truth)
            for (kind, key), truth in self.run.known.items()
            if kind == "value" and key in self._comparisons
        ]
        facts = [(c, truth) for c, truth in known if c.name == asked.name]
        possible = [t for t in (False, True) if feasible([*facts, (asked, t)])]
        return possible[0] if len(possible) == 1 else None

    def _is_known(self, name: str) -> bool:
        return self.run.known.get(("context", name), UNSET) is not UNSET

    def _depends_on(self, value: Value) -> frozenset[str] | None:
        """Names of the context arguments that decide a value; None if data does."""
        stack = [value]
        while stack:
            top = stack[-1]
            if top in self._dependence:
                stack.pop()
                continue
            node = top.node
            if node.kind == "context":
                self._dependence[top] = frozenset([node.name])
            elif node.kind in ("input", "weight"):
                self._dependence[top] = None
            else:
                operands = [v for v in node.operands if v is not None]
                missing = [v for v in operands if v not in self._dependence]
                if missing:
                    stack += missing
                    continue
                found = [self._dependence[v] for v in operands]
                self._dependence[top] = (
                    None if None in found else frozenset().union(*found)  # type: ignore[arg-type]
                )
            stack.pop()
        return self._dependence[value]

    def _evaluate(self, value: Value) -> Any:
        """The array of a value whose context arguments are all decided on this path."""
        known = {name: case for (kind, name), case in self.run.known.items() if kind == "context"}
        return Evaluator(known).evaluate(value)

    # -- recorder hooks -----------------------------------------------------------------------

    @property
    def call(self) -> Call | None:
        """The layer call that is running."""
        return self._call

    def check(self, tensor: Tensor) -> None:
        """Refuse tensors of other traces, and those that a forked call left behind."""
        run = self.run
        if self._closed and tensor.value.node in self._closed:
            raise TraceError(
                f"{where()}a tensor {tensor.spec} that a function given to ops.cond, "
                f"ops.while_loop or ops.scan left behind is used at {source_line()}; it belongs to "
                f"a branch or an iteration: return it from the function instead"
            )
        if tensor.run is run:
            return
        super().check(tensor)
        made = tensor.run
        while made.absorbed is not None:
            made = made.absorbed
        ancestor: Run | None = run
        while ancestor is not None:
            if ancestor is made:
                return
            ancestor = ancestor.parent
        raise TraceError(
            f"{where()}a tensor {tensor.spec} that another layer's call left behind (on `self` "
            f"or in a variable) is used at {source_line()}; that call runs once per context, so "
            f"its side effects hold one path only: return the tensor instead"
        )

    def seed(self) -> Tensor:
        """The seed input."""
        spec = TensorSpec((), "int64")
        return Tensor(self.builder.input(spec, self._seed_name, "seed"), self)

    @contextlib.contextmanager
    def scope(self) -> Iterator[Scope]:
        """What is recorded in this block belongs to a body.

        A body has no selects: what it asks for is decided by the call that it stands in.
        """
        run, before = self.run, dict(self.run.state)
        self._bodies += 1
        try:
            with super().scope() as scope:
                yield scope
        finally:
            self._bodies -= 1
            self._closed |= scope.nodes
            changed, run.state = run.state != before, before
        if changed:
            raise TraceError(
                f"{where()}a function given to ops.cond, ops.while_loop or ops.scan assigns to a "
                f"variable; return the new value and assign it afterwards ({source_line()})"
            )

    def _read_value(self, variable: Variable) -> Value:
        value = self.run.lookup(variable)
        if value is None:
            value = self.builder.weight(variable, variable.name or "weight", self._call)
        return value

    def read(self, variable: Variable) -> Tensor:
        """A variable's value on this path."""
        return Tensor(self._read_value(variable), self)

    def assign(self, variable: Variable, value: Any) -> None:
        """Give a variable a new value on this path."""
        new = self.value(value, variable.dtype)
        if not same_shape(new.shape, variable.shape):
            from graphctx.errors import LayerError

            raise LayerError(variable.misfit(new.shape))
        self.run.state[variable] = new


# Dtype kinds of a symbolic scalar that a domain takes; what the others would be is not known.
_ACCEPTED = {"bool": "b", "literal": "iu", "enum": "", "int": "iu", "float": "iuf"}


def _provided_resolution(
    name: str, provided: Provided, frame: Frame, labels: tuple[tuple[str, Any], ...]
) -> Resolution:
    value = provided.value
    if isinstance(value, Tensor):
        text = expression_text(value.value)
    else:
        text = value_text(value)
    if provided.provider is None:
        return Resolution(name, "block", text, "", provided.source, labels)
    how = "explicit" if provided.provider is frame else "inherited"
    return Resolution(name, how, text, provided.provider.path, provided.source, labels)


def _raised_at(error: Exception) -> str:
    """`file.py:12` of the line that raised."""
    from graphctx.context import _shorten

    frames = traceback.extract_tb(error.__traceback__)
    return f"{_shorten(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""


def _same_error(a: Exception, b: Exception) -> bool:
    """Whether whoever catches two exceptions can tell them apart."""
    if a is b:
        return True
    if type(a) is not type(b) or repr(a) != repr(b) or set(vars(a)) != set(vars(b)):
        return False
    return all(same_static(value, vars(b)[name]) for name, value in vars(a).items())


def _first_error(tree: Tree) -> Exception | None:
    """The first exception, if every path of a tree raises."""
    if isinstance(tree, Raised):
        return tree.error
    if isinstance(tree, Leaf):
        return None
    errors = [_first_error(branch) for branch in tree.branches]
    return None if None in errors else errors[0]


def _returns_nothing(tree: Tree) -> bool:
    if isinstance(tree, Fork):
        return all(_returns_nothing(branch) for branch in tree.branches)
    return isinstance(tree, Leaf) and tree.value is None and not tree.state


def _is_spec(value: Any) -> bool:
    return isinstance(value, (TensorSpec, ContainerType, np.ndarray))


def _spec_of(leaf: Any, name: str) -> TensorSpec:
    """The spec of an input that a trace is given a spec, a type or an array for."""
    if isinstance(leaf, np.ndarray):
        return TensorSpec(leaf.shape, leaf.dtype)
    spec = TensorSpec((), leaf) if isinstance(leaf, ContainerType) else leaf
    kind: Any = spec.dtype
    while isinstance(kind, ContainerType):
        named = [dim for dim in kind.shape or () if isinstance(dim, Dim)]
        if named:
            raise TraceError(
                f"input {name!r} is {spec}: what is in a sequence or an optional has sizes of its "
                f"own; give a number instead of {named[0]}, or None for a size that may vary"
            )
        kind = kind.element
    return spec


def _is_output(value: Any) -> bool:
    return isinstance(value, (Tensor, np.ndarray, np.generic))
