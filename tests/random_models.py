"""Random models for the law "same meaning": nested layers that consume, override and hide context.

A model is drawn as a recipe (nested tuples) and built from it, so that a failure prints the recipe
and the same recipe always makes the same model. Only operators that IEEE 754 rounds exactly are
used, so that equal means equal bits, in onnxruntime too.
"""

from __future__ import annotations

import enum
from typing import Any, Literal

import numpy as np
from hypothesis import strategies as st

import graphctx as gx
from graphctx import Context, Layer, ops

WIDTH = 3


class Role(enum.Enum):
    """A finite domain that is not a string."""

    TEACHER = 1
    STUDENT = 2


class Scale(Layer):
    """Reads a bool and a literal."""

    def __init__(self, factor: float) -> None:
        self.kernel = gx.Variable(np.linspace(1, factor, WIDTH, dtype=np.float32))

    def call(
        self, x: Any, *, training: Context[bool] = False,
        mode: Context[Literal["off", "low", "high"]] = "low",
    ) -> Any:  # fmt: skip
        if not training or mode == "off":
            return x
        return x * self.kernel * {"low": 0.5, "high": 2.0}[mode]


class OtherDefault(Layer):
    """Reads the same literal with another default."""

    def call(self, x: Any, mode: Context[Literal["off", "low", "high"]] = "high") -> Any:
        match mode:
            case "off":
                return x - 1
            case "low":
                return abs(x) * x
        return ops.relu(x) + x


class Noise(Layer):
    """Adds a numeric argument, and decides on a predicate of it."""

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def call(self, x: Any, noise_scale: Context[float] = 0.25) -> Any:
        if noise_scale > self.limit:
            return x + noise_scale * 2
        return x * (1 + noise_scale)


class Repeat(Layer):
    """Asks for the Python value of a number."""

    def call(self, x: Any, *, steps: Context[int] = 1) -> Any:
        for i in range(steps):
            x = x * 0.5 + i
        return x


class Pieces(Layer):
    """Returns a list whose length is a number; its default is another one."""

    def call(self, x: Any, steps: Context[int] = 2) -> Any:
        return [x * (i + 1) for i in range(steps)]


class SumPieces(Layer):
    """Uses `Pieces` and returns one tensor again."""

    def __init__(self) -> None:
        self.pieces = Pieces()

    def call(self, x: Any) -> Any:
        total = x
        for piece in self.pieces(x):
            total = total + piece
        return total


class LoudNoise(Layer):
    """Returns another structure by a predicate of a number with another default."""

    def call(self, x: Any, noise_scale: Context[float] = 1.0) -> Any:
        return (x, x * noise_scale) if noise_scale > 0.4 else x


class Quiet(Layer):
    """Uses `LoudNoise` and returns one tensor again."""

    def __init__(self) -> None:
        self.loud = LoudNoise()

    def call(self, x: Any) -> Any:
        y = self.loud(x)
        return y[0] - y[1] if isinstance(y, tuple) else y


class Counter(Layer):
    """Has state, and changes it when training only."""

    def __init__(self) -> None:
        self.count = gx.Variable(np.float32(1), trainable=False)

    def call(self, x: Any, training: bool = False) -> Any:
        if training:
            self.count.assign(self.count + ops.max(x))
        return x + self.count


class Drop(Layer):
    """Draws random numbers when training."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def call(self, x: Any, training: Context[bool] = False) -> Any:
        return ops.dropout(x, self.rate) if training else x


class Distill(Layer):
    """Reads an enum; raises for a combination."""

    def call(self, x: Any, role: Context[Role] = Role.STUDENT, training: bool = False) -> Any:
        if role is Role.TEACHER and training:
            raise ValueError("a teacher is not trained")
        return x * 3 if role is Role.TEACHER else x


class Tap(Layer):
    """Returns another structure, so that the decision has to move outwards."""

    def call(self, x: Any, taps: Context[bool] = False) -> Any:
        return (x * 2, ops.min(x, axis=-1)) if taps else x * 2


class Untap(Layer):
    """Uses a `Tap` and returns one tensor again."""

    def __init__(self) -> None:
        self.tap = Tap()

    def call(self, x: Any) -> Any:
        y = self.tap(x)
        if isinstance(y, tuple):
            return y[0] + y[1][:, None]
        return y


class Stack(Layer):
    """Knows nothing of context."""

    def __init__(self, children: list[Layer]) -> None:
        self.blocks = children

    def call(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        return x


class Residual(Layer):
    """Knows nothing of context."""

    def __init__(self, child: Layer) -> None:
        self.child = child

    def call(self, x: Any) -> Any:
        return x + self.child(x)


class Twice(Layer):
    """Calls a shared layer twice; the first time with an explicit value."""

    def __init__(self, child: Layer, given: dict[str, Any]) -> None:
        self.child = child
        self.given = given

    def call(self, x: Any) -> Any:
        return self.child(x, **self.given) - self.child(x)


class Block(Layer):
    """Provides values by a `with` block to one of two children."""

    def __init__(self, inside: Layer, after: Layer, given: dict[str, Any]) -> None:
        self.inside = inside
        self.after = after
        self.given = given

    def call(self, x: Any) -> Any:
        with gx.context(**self.given):
            x = self.inside(x)
        return self.after(x)


class Switch(Layer):
    """Consumes an argument and calls one child or the other."""

    def __init__(self, first: Layer, second: Layer) -> None:
        self.first = first
        self.second = second

    def call(self, x: Any, training: Context[bool] = False) -> Any:
        return self.first(x) if training else self.second(x)


class Derive(Layer):
    """Provides values computed from its own argument."""

    def __init__(self, child: Layer) -> None:
        self.child = child

    def call(self, x: Any, noise_scale: Context[float] = 0.75) -> Any:
        given = {}
        declared = self.child._declared_names()
        if "noise_scale" in declared:
            given["noise_scale"] = noise_scale * 0.5
        if "training" in declared:
            given["training"] = noise_scale > 0.6
        return self.child(x, **given)


class Catch(Layer):
    """Catches what its child raises."""

    def __init__(self, child: Layer) -> None:
        self.child = child

    def call(self, x: Any) -> Any:
        try:
            return self.child(x) + 1
        except ValueError:
            return x * 2


class Conditional(Layer):
    """Chooses between its children by data."""

    def __init__(self, first: Layer, second: Layer) -> None:
        self.first = first
        self.second = second

    def call(self, x: Any) -> Any:
        return ops.cond(ops.max(x) > 1, self.first, self.second, x)


class While(Layer):
    """Applies its child as often as data says."""

    def __init__(self, child: Layer) -> None:
        self.child = child

    def call(self, x: Any) -> Any:
        def going(carry: Any) -> Any:
            return ops.logical_and(carry[0] < 3, ops.max(carry[1]) < 4)

        count, y = ops.while_loop(going, lambda c: (c[0] + 1, self.child(c[1])), (0, x))
        return y + ops.astype(count, "float32")


class Rows(Layer):
    """Applies its child to one row after the other."""

    def __init__(self, child: Layer, reverse: bool) -> None:
        self.child = child
        self.reverse = reverse

    def call(self, x: Any) -> Any:
        def step(total: Any, row: Any) -> Any:
            made = self.child(row[None])[0]
            return total + made * 0.5, made - total

        total, rows = ops.scan(step, x[0] * 0, x, reverse=self.reverse)
        return rows + total


class Early(Layer):
    """Returns before its second child, if an argument says so."""

    def __init__(self, first: Layer, second: Layer) -> None:
        self.first = first
        self.second = second

    def call(self, x: Any, *, mode: Context[Literal["off", "low", "high"]] = "low") -> Any:
        y = self.first(x, **declared(self.first, {"mode": "high"}))
        if mode == "off":
            return y
        return self.second(y) if mode == "low" else self.second(self.second(y))


VALUES: dict[str, list[Any]] = {
    "training": [False, True],
    "mode": ["off", "low", "high"],
    "noise_scale": [0.0, 0.3, 1.5],
    "steps": [1, 2, 3],
    "role": [Role.TEACHER, Role.STUDENT],
    "taps": [False, True],
}
DOMAINS = {"steps": [1, 2, 3]}

_given = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(values) for name, values in VALUES.items()}
)
_leaf = st.one_of(
    st.tuples(st.just("scale"), st.sampled_from([2.0, 3.0])),
    st.just(("other",)),
    st.tuples(st.just("noise"), st.sampled_from([0.1, 0.5])),
    st.just(("repeat",)),
    st.just(("pieces",)),
    st.just(("quiet",)),
    st.just(("counter",)),
    st.tuples(st.just("drop"), st.sampled_from([0.3, 0.6])),
    st.just(("distill",)),
    st.just(("tap",)),
    st.just(("untap",)),
)


_stateless = st.sampled_from(
    [("scale", 2.0), ("other",), ("noise", 0.1), ("repeat",), ("drop", 0.3), ("untap",)]
)  # nothing in functions given to control flow may assign to variables


def _controlled(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.tuples(st.just("cond"), inner, inner),
        st.tuples(st.just("while"), inner),
        st.tuples(st.just("rows"), inner, st.booleans()),
        st.tuples(st.just("stack"), st.lists(inner, min_size=1, max_size=2)),
        st.tuples(st.just("switch"), inner, inner),
        st.tuples(st.just("early"), inner, inner),
        st.tuples(st.just("derive"), inner),
    )


_control = st.recursive(_stateless, _controlled, max_leaves=2)


def _extend(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.tuples(st.just("stack"), st.lists(inner, min_size=1, max_size=3)),
        st.tuples(st.just("residual"), inner),
        st.tuples(st.just("twice"), inner, _given),
        st.tuples(st.just("block"), inner, inner, _given),
        st.tuples(st.just("switch"), inner, inner),
        st.tuples(st.just("derive"), inner),
        st.tuples(st.just("catch"), inner),
        st.tuples(st.just("early"), inner, inner),
        st.tuples(st.just("cond"), _control, _control),
        st.tuples(st.just("while"), _control),
        st.tuples(st.just("rows"), _control, st.booleans()),
    )


recipes = st.recursive(_leaf, _extend, max_leaves=6)


def build(recipe: Any) -> Layer:
    """The model of a recipe."""
    kind, *rest = recipe
    simple = {
        "scale": Scale, "other": OtherDefault, "noise": Noise, "repeat": Repeat,
        "counter": Counter, "drop": Drop, "distill": Distill, "untap": Untap,
        "pieces": SumPieces, "quiet": Quiet,
    }  # fmt: skip
    if kind == "tap":
        return Tap()
    if kind in simple:
        return simple[kind](*rest)
    if kind == "stack":
        return Stack([single(build(child)) for child in rest[0]])
    if kind == "residual":
        return Residual(single(build(rest[0])))
    if kind == "twice":
        child = single(build(rest[0]))
        return Twice(child, declared(child, rest[1]))
    if kind == "block":
        inside, after = single(build(rest[0])), build(rest[1])
        return Block(inside, after, declared(inside, rest[2]))
    if kind == "catch":
        return Catch(single(build(rest[0])))
    if kind == "early":
        return Early(single(build(rest[0])), single(build(rest[1])))
    if kind == "cond":
        return Conditional(single(build(rest[0])), single(build(rest[1])))
    if kind == "while":
        return While(single(build(rest[0])))
    if kind == "rows":
        return Rows(single(build(rest[0])), rest[1])
    if kind == "switch":
        return Switch(build(rest[0]), build(rest[1]))
    return Derive(single(build(rest[0])))


class First(Layer):
    """Takes the first of what its child returns."""

    def __init__(self, child: Layer) -> None:
        self.child = child

    def call(self, x: Any) -> Any:
        y = self.child(x)
        return y[0] if isinstance(y, tuple) else y


def single(layer: Layer) -> Layer:
    """The layer, made to return one tensor."""
    return First(layer) if "taps" in layer._declared_names() else layer


def declared(layer: Layer, given: dict[str, Any]) -> dict[str, Any]:
    """The values whose names the layer knows: others are errors."""
    names = layer._declared_names()
    return {name: value for name, value in given.items() if name in names}
