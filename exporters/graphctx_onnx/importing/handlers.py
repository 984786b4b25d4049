"""Nodes that are no operator of the graph: constants, branches, what training alone changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphctx.body import Body, record_body
from graphctx.errors import GraphctxError, LoadError
from graphctx.graph import Call, Value
from graphctx.ops.random import DRAWN, drawn
from graphctx.spec import OptionalType, may_be_same, same_dim
from graphctx.tensor import Recorder, Tensor
from graphctx_onnx.importing.contexts import Choice, choice_of, scalar
from graphctx_onnx.importing.nodes import Maker, Pending, record

if TYPE_CHECKING:
    from graphctx_onnx.importing.conversion import Conversion, Site

Handler = Callable[["Conversion", "Site"], Sequence[Value | None]]
HANDLERS: dict[str, Handler] = {}
"""Operator -> what reads its nodes."""


def handler(name: str) -> Callable[[Handler], Handler]:
    """Register the handler of an operator."""

    def register(function: Handler) -> Handler:
        HANDLERS[name] = function
        return function

    return register


_VALUES: dict[str, Any] = {
    "value_int": np.int64, "value_ints": np.int64, "value_float": np.float32,
    "value_floats": np.float32, "value_string": object, "value_strings": object,
}  # fmt: skip


@handler("Constant")
def _constant(conversion: Conversion, site: Site) -> Sequence[Value]:
    given = dict(site.attrs)
    if len(given) != 1:
        raise site.place.error(f"it has {len(given)} attributes, and exactly one holds the value")
    [(name, value)] = given.items()
    if name == "sparse_value":
        value = conversion.reader.sparse(value, site.place)
    elif name in _VALUES:
        value = np.array(value, _VALUES[name])
    return [conversion.stored(value, site.proto.output[0], site.make, inline=True)]


@handler("Identity")
def _identity(conversion: Conversion, site: Site) -> Sequence[Value | None]:
    """Another name of its operand."""
    return [site.pending.operand(0)]


@handler("Dropout")
def _dropout(conversion: Conversion, site: Site) -> Sequence[Value | None]:
    """Passes its operand on, unless `training_mode` is true."""
    x, make = site.pending.required(0), site.make
    ratio, training = site.pending.operand(1), site.pending.operand(2)
    inactive = training is None or (training.constant is not None and not training.constant.any())
    zero = ratio is not None and ratio.constant is not None and not ratio.constant.any()
    if inactive or zero:
        mask = make("ConstantOfShape", make("Shape", x), value=np.ones(1, bool))
        return [x, mask if any(site.pending.outputs[1:]) else None]
    rate = make.constant(np.asarray(0.5, np.float32)) if ratio is None else ratio
    rate = rate if rate.dtype == x.dtype else make("Cast", rate, to=x.dtype)
    ones = make("Expand", make.scalar(1, x), make("Shape", x))
    noise = make("dropout", ones, rate, conversion.seed(site.make), key=conversion.key(site))
    kept = make("Cast", noise, to=np.dtype(bool))
    dropped = make("Where", kept, make("Mul", x, noise), make.scalar(0, x))
    assert training is not None
    if training.constant is not None:
        return [dropped, kept]
    if conversion.depth or not conversion.decided(training):
        return [make("Where", training, dropped, x), make("Or", make("Not", training), kept)]
    choice = choice_of(training, make)
    all_kept = make("ConstantOfShape", make("Shape", x), value=np.ones(1, bool))
    found = []
    for on, off in ((dropped, x), (kept, all_kept)):
        arms = [on if truth else off for truth in choice.cases.values()]
        found.append(
            make.builder.select(choice.selector, tuple(choice.cases), arms, make.call, make.source)
        )
    return found


@handler("Pow")
def _pow(conversion: Conversion, site: Site) -> Sequence[Value]:
    """The cube of another tool is two products, as runtimes compute it; ours is that of NumPy."""
    x, exponent = site.pending.required(0), site.pending.required(1)
    known = exponent.constant
    cube = known is not None and known.size == 1 and exponent.rank <= x.rank and known.item() == 3
    if conversion.own is None and cube and x.dtype in (np.float32, np.float64):
        return [site.make("Mul", site.make("Mul", x, x), x)]
    return record(site.pending, site.make, site.place)


@handler("RotaryEmbedding")
def _rotary_embedding(conversion: Conversion, site: Site) -> Sequence[Value]:
    """Angles of one sample are those of all: PyTorch writes them so, and runtimes refuse it."""
    x, make = site.pending.required(0), site.make
    for slot in (1, 2):
        angles = site.pending.required(slot)
        if angles.rank == 3 and same_dim(angles.shape[0], 1) and not same_dim(x.shape[0], 1):
            sizes = make("Concat", make("Shape", x, end=1), make.ints((1, 1)), axis=0)
            site.pending.operands[slot] = make("Expand", angles, sizes)
    return record(site.pending, make, site.place)


class _Recorder(Recorder):
    """Records at the place of one node of the file."""

    def __init__(self, make: Maker) -> None:
        super().__init__(make.builder)
        self._make = make

    @property
    def call(self) -> Call | None:
        """The layer call of the node."""
        return self._make.call

    @property
    def source(self) -> str:
        """What is noted as the line that made it."""
        return self._make.source


def _drawn(conversion: Conversion, site: Site) -> Sequence[Value]:
    """Random numbers of the distribution, from the seed of the program and a stream of their own.

    A seed in the file makes no stream: it is that of another generator.
    """
    recorder = _Recorder(site.make)
    attrs = {name: value for name, value in site.attrs.items() if name != "seed"}
    operands = [Tensor(value, recorder) for value in site.pending.operands if value is not None]
    seed = Tensor(conversion.seed(site.make), recorder)
    return [drawn(site.pending.name, operands, seed, conversion.key(site), **attrs).value]


for _name in DRAWN:
    handler(_name)(_drawn)

DRAWING = frozenset((*DRAWN, "Dropout"))
"""Operators that may draw random numbers."""


@handler("If")
def _if(conversion: Conversion, site: Site) -> Sequence[Value | None]:
    """The branch that is taken; a select of both where context decides; else an operator."""
    condition = site.pending.required(0)
    if condition.dtype != np.bool_:
        raise site.place.error(f"its condition is bool, got {condition.spec}")
    if any(not may_be_same(dim, 1) for dim in condition.shape):
        raise site.place.error(f"its condition has one element, got {condition.spec}")
    if condition.constant is not None:
        return conversion.branch(site, "then_branch" if condition.constant.all() else "else_branch")
    keys = ("then_branch", "else_branch")
    if conversion.depth or not conversion.decided(condition):
        bodies: dict[str, Any] = {}
        operands = [condition if condition.rank < 2 else scalar(condition, site.make)]
        for key in keys:
            with conversion.body() as scope:
                results = _required(conversion.branch(site, key), site, key)
            bodies[key], taken = scope.close(results)
            operands += taken
        return _made(site, "If", operands, bodies)
    choice = choice_of(condition, site.make)
    if len(set(choice.cases.values())) == 1:
        return conversion.branch(site, keys[0] if any(choice.cases.values()) else keys[1])
    yes, no = (_required(_chosen(conversion, site, key, choice), site, key) for key in keys)
    if len(yes) != len(no):
        raise site.place.error(f"its branches have {len(yes)} and {len(no)} outputs")
    found = []
    for slot, (here, there) in enumerate(zip(yes, no, strict=True)):
        arms = [here if truth else there for truth in choice.cases.values()]
        try:
            found.append(
                site.make.builder.select(
                    choice.selector, tuple(choice.cases), arms, site.make.call, site.make.source
                )
            )
        except GraphctxError as error:
            raise site.place.error(
                f"its output {slot} is {here.spec} in then_branch and {there.spec} in "
                f"else_branch; bind what decides it, with inputs={{name: array}}, to load one of "
                f"them"
            ) from error
    return found


def _chosen(conversion: Conversion, site: Site, key: str, choice: Choice) -> Sequence[Value | None]:
    """The outputs of a branch that context decides on."""
    if not choice.argument:
        return conversion.branch(site, key)
    cases = [case for case, truth in choice.cases.items() if truth == (key == "then_branch")]
    with conversion.paths.under(choice.argument, cases):
        return conversion.branch(site, key)


@handler("Loop")
def _loop(conversion: Conversion, site: Site) -> Sequence[Value | None]:
    trips, condition = site.pending.operand(0), site.pending.operand(1)
    carried = _required(site.pending.operands[2:], site, "operand")
    first: list[tuple[Any, Any]] = [((), np.dtype(np.int64)), ((), np.dtype(bool))]
    body, taken = _recorded(conversion, site, first, carried, (), start=1, number=0)
    leads = [None if v is None else scalar(v, site.make) for v in (trips, condition)]
    if condition is None and not carried and not taken:
        leads[1] = site.make.constant(np.asarray(True))  # operands at the end are not left out
    return _made(site, "Loop", [*leads, *carried, *taken], {"body": body, "carried": len(carried)})


@handler("Scan")
def _scan(conversion: Conversion, site: Site) -> Sequence[Value | None]:
    if site.schema.since_version < 9:
        return _batched_scan(conversion, site)
    attrs = {name: value for name, value in site.attrs.items() if name != "body"}
    count = int(attrs["num_scan_inputs"])
    operands = _required(site.pending.operands, site, "operand")
    if not 0 < count <= len(operands):
        raise site.place.error(f"it scans {count} of its {len(operands)} operands")
    return _scanned(conversion, site, operands, attrs)


def _scanned(
    conversion: Conversion, site: Site, operands: Sequence[Value], attrs: dict[str, Any]
) -> Sequence[Value]:
    """A Scan of operands."""
    count = attrs["num_scan_inputs"]
    carried, scanned = operands[:-count], operands[-count:]
    axes = attrs.get("scan_input_axes", (0,) * count)
    if len(axes) != count:
        raise site.place.error(f"scan_input_axes has {len(axes)} entries for {count} tensors")
    slices: list[tuple[Any, Any]] = []
    for value, entry in zip(scanned, axes, strict=True):
        if not -value.rank <= entry < value.rank:
            raise site.place.error(f"it cannot scan axis {entry} of {value.spec}")
        axis = entry % value.rank
        slices.append(((*value.shape[:axis], *value.shape[axis + 1 :]), value.dtype))
    number = None
    if conversion.draws(site.attrs["body"].node):
        # The body does not get the number of the iteration, which random numbers depend on.
        number = len(slices)
        operands = [*operands, _counted(site.make, scanned[0], axes[0])]
        slices.append(((), np.dtype(np.int64)))
        attrs |= {"num_scan_inputs": count + 1}
        attrs |= {
            name: (*attrs[name], 0)
            for name in ("scan_input_axes", "scan_input_directions")
            if name in attrs
        }
    body, taken = _recorded(conversion, site, (), carried, slices, start=0, number=number)
    return _made(
        site, "Scan", [*operands, *taken], {**attrs, "body": body, "carried": len(carried)}
    )


def _counted(make: Maker, x: Value, axis: int) -> Value:
    """0, 1, 2 ...: the numbers of the slices of a tensor along an axis."""
    axis %= x.rank
    size = make("Reshape", make("Shape", x, start=axis, end=axis + 1), make.ints(()))
    zero, one = (make.constant(np.asarray(number)) for number in (0, 1))
    return make("Range", zero, size, one)


def _batched_scan(conversion: Conversion, site: Site) -> Sequence[Value]:
    """The Scan of opset 8: one for each element of a batch, and so a Scan of Scans."""
    if site.pending.operand(0) is not None:
        raise site.place.error(
            "its sequences have lengths of their own, which later opsets cannot say: convert the "
            "model to opset 9 or later"
        )
    operands = _required(site.pending.operands[1:], site, "operand")
    count = int(site.attrs["num_scan_inputs"])
    if not 0 < count <= len(operands) or any(value.rank < 1 for value in operands):
        raise site.place.error(f"it scans {count} of its {len(operands)} operands, in batches")
    attrs: dict[str, Any] = {"num_scan_inputs": count}
    if "directions" in site.attrs:
        attrs["scan_input_directions"] = site.attrs["directions"]
    with conversion.body() as scope:
        elements = [scope.input(value.shape[1:], value.dtype) for value in operands]
        numbers = []
        if conversion.draws(site.attrs["body"].node):
            numbers = [scope.input((), np.dtype(np.int64))]
            operands = [*operands, _counted(site.make, operands[0], 0)]
        with conversion.iteration(numbers):
            results = _scanned(conversion, site, elements, attrs)
    body, taken = scope.close(results)
    whole = {"body": body, "carried": 0, "num_scan_inputs": len(operands)}
    return _made(site, "Scan", [*operands, *taken], whole)


def _recorded(
    conversion: Conversion,
    site: Site,
    first: Sequence[tuple[Any, Any]],
    carried: Sequence[Value],
    last: Sequence[tuple[Any, Any]],
    *,
    start: int,
    number: int | None,
) -> tuple[Body, tuple[Value, ...]]:
    """The body of a Loop or Scan: its inputs are `first`, what is carried, then `last`.

    Args:
        conversion: of the file.
        site: of the node.
        first: shape and dtype of inputs.
        carried: the operands that are carried.
        last: shape and dtype of inputs.
        start: number of outputs before those that are carried on.
        number: which of `first` and `last` is the number of the iteration; of `last`, the file's
            graph does not take it.
    """
    initial = [(value.shape, value.dtype) for value in carried]
    leads = len(first)

    def record(inputs: list[Value]) -> Sequence[Value]:
        # `record_body` knows of no inputs after those that are carried: they stand before them.
        fixed, moved = inputs[: leads + len(last)], inputs[leads + len(last) :]
        end = len(fixed) if number is None or number < leads else number
        given = [*fixed[:leads], *moved, *fixed[leads:end]]
        around = [] if number is None else [fixed[number]]
        with conversion.iteration(around):
            made = list(_required(conversion.branch(site, "body", given), site, "body"))
        for index, (_, dtype) in enumerate(initial, start):
            # A file may begin with an optional, and go on with what it holds.
            if isinstance(dtype, OptionalType) and made[index].dtype.kind == dtype.element.kind:
                made[index] = site.make("Optional", made[index])
        return made

    with conversion.nested(site.place):
        try:
            body, taken = record_body(
                _Recorder(site.make), [*first, *last], initial, record, start=start
            )
        except LoadError:
            raise
        except GraphctxError as error:
            raise site.place.error(str(error)) from error
    inputs = body.graph.inputs
    moved = inputs[leads + len(last) : leads + len(last) + len(carried)]
    order = [
        *inputs[:leads], *moved, *inputs[leads : leads + len(last)],
        *inputs[leads + len(last) + len(carried) :],
    ]  # fmt: skip
    return Body(body.graph.replace(inputs=tuple(order))), taken


def _made(
    site: Site, name: str, operands: Sequence[Value | None], attrs: Mapping[str, Any]
) -> tuple[Value, ...]:
    return record(Pending(name, 0, list(operands), dict(attrs)), site.make, site.place)


def _required(values: Sequence[Value | None], site: Site, what: str) -> list[Value]:
    found = [value for value in values if value is not None]
    if len(found) < len(values):
        slot = next(i for i, value in enumerate(values) if value is None)
        raise site.place.error(f"{what}: value {slot} is missing")
    return found
