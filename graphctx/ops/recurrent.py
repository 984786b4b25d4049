"""Recurrent networks along sequences: RNN, LSTM and GRU.

The input's share of the gates of all steps is one matrix product before the loop; a step then
works in place on its rows of it. float16 is computed in float32.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from graphctx.errors import DTypeError, ShapeError, listing
from graphctx.graph import Node, Value
from graphctx.ops.rules import half_in_single
from graphctx.ops.table import TABLE, common_dtype, op, require_kind, require_rank
from graphctx.spec import Shape, dtype_name, require_same_dim, size_of

DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}
Names = Sequence[str] | None
Floats = Sequence[float] | None
InPlace = Callable[[Any], None]

# The default activation functions of one direction.
_RNN = ("Tanh",)
_LSTM = ("Sigmoid", "Tanh", "Tanh")
_GRU = ("Sigmoid", "Tanh")

# -- activation functions, in place ---------------------------------------------------------------

# Name -> its function, and the parameters it has with their defaults.
ACTIVATIONS: dict[str, tuple[Callable[..., Any], Mapping[str, float]]] = {
    "Affine": (lambda x, alpha, beta: x * alpha + beta, {"alpha": 1.0, "beta": 0.0}),
    "Elu": (TABLE["Elu"].kernel, {"alpha": 1.0}),
    "HardSigmoid": (TABLE["HardSigmoid"].kernel, {"alpha": 0.2, "beta": 0.5}),
    "LeakyRelu": (TABLE["LeakyRelu"].kernel, {"alpha": 0.01}),
    "Relu": (TABLE["Relu"].kernel, {}),
    "ScaledTanh": (lambda x, alpha, beta: alpha * np.tanh(beta * x), {"alpha": 1.0, "beta": 1.0}),
    "Sigmoid": (TABLE["Sigmoid"].kernel, {}),
    "Softplus": (TABLE["Softplus"].kernel, {}),
    "Softsign": (TABLE["Softsign"].kernel, {}),
    "Tanh": (np.tanh, {}),
    "ThresholdedRelu": (TABLE["ThresholdedRelu"].kernel, {"alpha": 1.0}),
}
_SPELLING = {name.lower(): name for name in ACTIVATIONS}  # onnxruntime takes any case


def _sigmoid(x: Any) -> None:
    # sigmoid(x) = tanh(x / 2) / 2 + 1 / 2: NumPy's tanh is faster than its exp and a division.
    half = x.dtype.type(0.5)
    x *= half
    np.tanh(x, out=x)
    x *= half
    x += half


def _tanh(x: Any) -> None:
    np.tanh(x, out=x)


def _in_place(name: str, options: Mapping[str, float], clip: float | None) -> InPlace:
    if clip is None and name in ("Sigmoid", "Tanh"):
        return _sigmoid if name == "Sigmoid" else _tanh
    function, _ = ACTIVATIONS[name]

    def apply(x: Any) -> None:
        if clip is not None:
            np.clip(x, -clip, clip, out=x)
        x[...] = function(x, **options)

    return apply


_OF_FUNCTIONS = ("activations", "activation_alpha", "activation_beta", "clip")


def _functions(
    defaults: tuple[str, ...],
    direction: str,
    *,
    activations: Names = None,
    activation_alpha: Floats = None,
    activation_beta: Floats = None,
    clip: float | None = None,
) -> list[list[InPlace]]:
    """The activation functions of each direction.

    The parameters are consumed by the functions that have one, in their order, as in onnxruntime.

    Raises:
        ShapeError: an unknown name, or not as many as needed.
    """
    directions = _directions(direction)
    names = defaults * directions if activations is None else activations
    if defaults == _RNN:
        names = names[:directions]  # ONNX's default names two, also for one direction
    if len(names) != len(defaults) * directions:
        raise ShapeError(f"needs {len(defaults) * directions} activations, got {list(names)}")
    values = {"alpha": iter(activation_alpha or ()), "beta": iter(activation_beta or ())}
    found = []
    each = len(defaults)
    for index, name in enumerate(names):
        key = _SPELLING.get(str(name).lower())
        if key is None:
            raise ShapeError(f"unknown activation {name!r} (known: {listing(ACTIVATIONS)})")
        parameters = ACTIVATIONS[key][1].items()
        options = {k: float(next(values[k], default)) for k, default in parameters}
        # The third one, LSTM's, is given the cell, which onnxruntime does not clip.
        found.append(_in_place(key, options, clip if index % each < 2 else None))
    return [found[i * each : (i + 1) * each] for i in range(directions)]


# -- what the operators share ---------------------------------------------------------------------


def _infer(gates: int, functions: tuple[str, ...], *given: Value | None, **attrs: Any) -> Any:
    """Shapes and dtypes of the outputs of an operator with so many gates and such functions."""
    every = (*given, *[None] * (8 - len(given)))
    X, W, R, B, sequence_lens = every[:5]
    assert X is not None
    assert W is not None
    assert R is not None
    states, P = every[5:7] if gates == 4 else every[5:6], every[7]
    require_kind(X, "f", "a floating dtype")
    common_dtype([X, W, R, *(v for v in (B, *states, P) if v is not None)])
    for value, what in ((X, "X"), (W, "W"), (R, "R")):
        require_rank(value, 3, what)
    if sequence_lens is not None and sequence_lens.dtype != np.int32:
        raise DTypeError(f"sequence_lens is int32, got {dtype_name(sequence_lens.dtype)}")
    direction = attrs.get("direction", "forward")
    _functions(functions, direction, **{k: attrs[k] for k in _OF_FUNCTIONS if k in attrs})
    hidden_size = attrs.get("hidden_size")
    size = R.shape[2]
    if hidden_size is not None:
        require_same_dim(size, hidden_size, "the last axis of R and hidden_size differ")
    y, state, shapes = _shapes(gates, X.shape, size, direction, attrs.get("layout", 0))
    operands = {"W": W, "R": R, "B": B, "sequence_lens": sequence_lens, "P": P}
    operands |= dict(zip(_STATES, states, strict=False))
    for name, operand in operands.items():
        if operand is None:
            continue
        require_rank(operand, len(shapes[name]), name)
        for axis, (dim, wanted) in enumerate(zip(operand.shape, shapes[name], strict=True)):
            require_same_dim(dim, wanted, f"axis {axis} of {name}")
    return [(y, X.dtype), *((state, X.dtype) for _ in states)]


_STATES = ("initial_h", "initial_c")


def _shapes(
    gates: int, x: Sequence[Any], size: Any, direction: str, layout: int
) -> tuple[Shape, Shape, dict[str, Shape]]:
    """The shapes of the outputs, of a state, and of operands by name."""
    steps, batch = x[:2] if layout == 0 else x[1::-1]
    directions = _directions(direction)
    state: Shape = (directions, batch, size) if layout == 0 else (batch, directions, size)
    y: Shape = (steps, directions, batch, size) if layout == 0 else (batch, steps, directions, size)
    shapes: dict[str, Shape] = {
        "W": (directions, gates * size, x[2]),
        "R": (directions, gates * size, size),
        "B": (directions, 2 * gates * size),
        "sequence_lens": (batch,),
        "P": (directions, 3 * size),
        **dict.fromkeys(_STATES, state),
    }
    return y, state, shapes


def _directions(direction: str) -> int:
    if direction not in DIRECTIONS:
        raise ShapeError(f"direction is one of {listing(DIRECTIONS)}; got {direction!r}")
    return DIRECTIONS[direction]


def _multiply_adds(node: Node) -> Any:
    x, w, r = node.operands[:3]
    assert x is not None
    assert w is not None
    assert r is not None
    return x.shape[0] * x.shape[1] * (size_of(w.shape) + size_of(r.shape))


def _check(
    gates: int, X: Any, W: Any, R: Any, B: Any, sequence_lens: Any, states: Sequence[Any], P: Any,
    *, direction: str, hidden_size: int | None, layout: int,
) -> None:  # fmt: skip
    """Refuse arrays that do not fit; `_infer` says why."""
    size = R.shape[-1]
    shapes = _shapes(gates, X.shape, size, direction, layout)[2]
    operands = {"W": W, "R": R, "B": B, "P": P, **dict(zip(_STATES, states, strict=False))}
    fits = X.ndim == 3 and hidden_size in (None, size)
    for name, x in operands.items():
        fits = fits and (x is None or (x.shape == shapes[name] and x.dtype == X.dtype))
    if sequence_lens is not None:
        fits = fits and sequence_lens.shape == shapes["sequence_lens"]
        fits = fits and sequence_lens.dtype == np.int32
    if not fits:
        raise ValueError("operands do not fit")


# A cell: (direction, gates [T, N, gates * H], outputs [T, N, H], h, ...) -> an iterator that makes
# one step at a time: it writes the new h into its output, and other states in place.
Cell = Callable[..., Iterator[None]]


def _recur(
    cell: Cell,
    X: Any,
    W: Any,
    R: Any,
    bias: Any,
    lengths: Any,
    initial: Sequence[Any],
    *,
    direction: str,
    layout: int,
) -> tuple[Any, ...]:
    """Run a cell along sequences.

    Args:
        cell: see `Cell`.
        X: [T, N, I]; [N, T, I] in layout 1.
        W: [directions, gates * H, I].
        R: [directions, gates * H, H].
        bias: of all gates [directions, gates * H], or None.
        lengths: [N], or None for T.
        initial: [directions, N, H] of each state, or None for zeros; [N, directions, H] in layout
            1.
        direction: a key of `DIRECTIONS`.
        layout: whether the batch comes first.

    Returns:
        The outputs [T, directions, N, H], and the last value of each state like `initial`.
    """
    if layout:
        X = X.swapaxes(0, 1)
        initial = [None if s is None else s.swapaxes(0, 1) for s in initial]
    steps, batch, features = X.shape
    directions, rows, size = R.shape
    shape = (directions, batch, size)
    over = None if lengths is None else _over(lengths, steps, batch)
    flat = X.reshape(steps * batch, features)
    Y = np.empty((steps, *shape), X.dtype)
    last = [np.zeros(shape, X.dtype) if s is None else s.copy() for s in initial]
    for d in range(directions):
        gates = flat @ W[d].T
        if bias is not None:
            gates += bias[d]
        gates = gates.reshape(steps, batch, rows)
        backwards = slice(None, None, -1 if d or direction == "reverse" else 1)
        outputs = Y[backwards, d]
        states = [s[d] for s in last]
        made = cell(d, gates[backwards], outputs, *states)
        if over is None:
            for _ in made:
                pass
        else:
            _hold(made, outputs, states[1:], states[0], over[backwards])
        if steps:
            states[0][...] = outputs[-1]
    if over is not None:
        np.copyto(Y, 0, where=over[:, None])
        for state in last:
            state[:, lengths == 0] = 0  # as in onnxruntime, whatever the initial state is
    if layout:
        return Y.transpose(2, 0, 1, 3), *(s.swapaxes(0, 1) for s in last)
    return Y, *last


def _sum_of_biases(B: Any) -> Any:
    """[directions, gates * H]: what is added to gates anyway, beside W and beside R."""
    if B is None:
        return None
    half = B.shape[1] // 2
    return B[:, :half] + B[:, half:]


def _over(lengths: Any, steps: int, batch: int) -> Any:
    """[T, N, 1]: whether a sequence has no such step."""
    if lengths.min(initial=0) < 0 or lengths.max(initial=0) > steps:
        raise ValueError(f"sequence_lens are {batch} numbers from 0 to {steps}")
    return np.arange(steps)[:, None, None] >= lengths[:, None]


def _hold(made: Iterator[None], outputs: Any, others: list[Any], h: Any, over: Any) -> None:
    """Run a cell, keeping the states of sequences that are over."""
    old = [state.copy() for state in others]
    for _, output, ends in zip(made, outputs, over, strict=True):
        np.copyto(output, h, where=ends)
        h = output
        for state, before in zip(others, old, strict=True):
            np.copyto(state, before, where=ends)
            before[...] = state


# -- RNN ------------------------------------------------------------------------------------------


@op("RNN", since=14, infer=partial(_infer, 1, _RNN), multiply_adds=_multiply_adds)
@half_in_single
def rnn_op(
    X: Any, W: Any, R: Any, B: Any = None, sequence_lens: Any = None, initial_h: Any = None, *,
    activation_alpha: Floats = None, activation_beta: Floats = None, activations: Names = None,
    clip: float | None = None, direction: str = "forward", hidden_size: int | None = None,
    layout: int = 0,
) -> Any:  # fmt: skip
    """A simple recurrent network: `h = tanh(x W + h R + b)` step by step."""
    functions = _functions(
        _RNN, direction, activations=activations, activation_alpha=activation_alpha,
        activation_beta=activation_beta, clip=clip,
    )  # fmt: skip
    _check(
        1, X, W, R, B, sequence_lens, [initial_h], None,
        direction=direction, hidden_size=hidden_size, layout=layout,
    )  # fmt: skip

    def cell(d: int, gates: Any, outputs: Any, h: Any) -> Iterator[None]:
        [f] = functions[d]
        kernel = R[d].T
        for z, y in zip(gates, outputs, strict=True):
            np.dot(h, kernel, y)
            y += z
            f(y)
            h = y
            yield

    return _recur(
        cell, X, W, R, _sum_of_biases(B), sequence_lens, [initial_h],
        direction=direction, layout=layout,
    )  # fmt: skip


# -- LSTM -----------------------------------------------------------------------------------------


@op("LSTM", since=14, infer=partial(_infer, 4, _LSTM), multiply_adds=_multiply_adds)
@half_in_single
def lstm_op(
    X: Any, W: Any, R: Any, B: Any = None, sequence_lens: Any = None, initial_h: Any = None,
    initial_c: Any = None, P: Any = None, *, activation_alpha: Floats = None,
    activation_beta: Floats = None, activations: Names = None, clip: float | None = None,
    direction: str = "forward", hidden_size: int | None = None, input_forget: int = 0,
    layout: int = 0,
) -> Any:  # fmt: skip
    """A long short-term memory (Hochreiter and Schmidhuber 1997), optionally with peepholes."""
    functions = _functions(
        _LSTM, direction, activations=activations, activation_alpha=activation_alpha,
        activation_beta=activation_beta, clip=clip,
    )  # fmt: skip
    _check(
        4, X, W, R, B, sequence_lens, [initial_h, initial_c], P,
        direction=direction, hidden_size=hidden_size, layout=layout,
    )  # fmt: skip
    size = R.shape[2]

    def gates_of(gates: Any) -> Iterator[Any]:
        """Each step's [N, H] of the gates i, o, f, c, after the gates i, o, f together."""
        slices = [gates[..., k * size : (k + 1) * size] for k in range(4)]
        return zip(gates[..., : 3 * size], *slices, strict=True)

    def plain(d: int, gates: Any, outputs: Any, h: Any, c: Any) -> Iterator[None]:
        kernel = R[d].T
        product = np.empty(gates.shape[1:], gates.dtype)
        half = gates.dtype.type(0.5)
        for z, (iof, i, o, f, g), y in zip(gates, gates_of(gates), outputs, strict=True):
            np.dot(h, kernel, product)
            z += product
            # As in `_sigmoid`, so that one tanh serves all gates.
            iof *= half
            np.tanh(z, z)
            iof *= half
            iof += half
            c *= f
            g *= i
            c += g
            np.tanh(c, y)
            y *= o
            h = y
            yield

    def general(d: int, gates: Any, outputs: Any, h: Any, c: Any) -> Iterator[None]:
        kernel = R[d].T
        f_act, g_act, h_act = functions[d]
        peepholes = None if P is None else P[d].reshape(3, size)
        for z, (_, i, o, f, g), y in zip(gates, gates_of(gates), outputs, strict=True):
            z += h @ kernel
            if peepholes is not None:
                i += peepholes[0] * c
                f += peepholes[2] * c
            f_act(i)
            if input_forget:
                np.subtract(1, i, out=f)
            else:
                f_act(f)
            g_act(g)
            c *= f
            g *= i
            c += g
            if peepholes is not None:
                o += peepholes[1] * c
            f_act(o)
            y[...] = c
            h_act(y)
            y *= o
            h = y
            yield

    is_plain = P is None and not input_forget
    is_plain = is_plain and all(f == [_sigmoid, _tanh, _tanh] for f in functions)
    return _recur(
        plain if is_plain else general, X, W, R, _sum_of_biases(B), sequence_lens,
        [initial_h, initial_c], direction=direction, layout=layout,
    )  # fmt: skip


# -- GRU ------------------------------------------------------------------------------------------


@op("GRU", since=14, infer=partial(_infer, 3, _GRU), multiply_adds=_multiply_adds)
@half_in_single
def gru_op(
    X: Any, W: Any, R: Any, B: Any = None, sequence_lens: Any = None, initial_h: Any = None, *,
    activation_alpha: Floats = None, activation_beta: Floats = None, activations: Names = None,
    clip: float | None = None, direction: str = "forward", hidden_size: int | None = None,
    layout: int = 0, linear_before_reset: int = 0,
) -> Any:  # fmt: skip
    """A gated recurrent unit (Cho et al. 2014)."""
    functions = _functions(
        _GRU, direction, activations=activations, activation_alpha=activation_alpha,
        activation_beta=activation_beta, clip=clip,
    )  # fmt: skip
    _check(
        3, X, W, R, B, sequence_lens, [initial_h], None,
        direction=direction, hidden_size=hidden_size, layout=layout,
    )  # fmt: skip
    size = R.shape[2]
    # With linear_before_reset the bias beside R of the candidate is within the reset gate's reach.
    inside = None
    bias = _sum_of_biases(B)
    if linear_before_reset and bias is not None:
        bias[:, 2 * size :] = B[:, 2 * size : 3 * size]
        inside = B[:, 5 * size :]

    def cell(d: int, gates: Any, outputs: Any, h: Any) -> Iterator[None]:
        f_act, g_act = functions[d]
        # With linear_before_reset the candidate's product needs no gate: one product for all three.
        rows = 3 * size if linear_before_reset else 2 * size
        kernel, candidate_kernel = R[d, :rows].T, R[d, 2 * size :].T
        product = np.empty((gates.shape[1], rows), gates.dtype)
        of_gates, hidden = product[:, : 2 * size], product[:, 2 * size :]
        if not linear_before_reset:
            hidden = np.empty((gates.shape[1], size), gates.dtype)
        slices = [gates[..., k * size : (k + 1) * size] for k in range(3)]
        for zr, z, r, g, y in zip(gates[..., : 2 * size], *slices, outputs, strict=True):
            np.dot(h, kernel, product)
            zr += of_gates
            f_act(zr)
            if linear_before_reset:
                if inside is not None:
                    hidden += inside[d]
                hidden *= r
            else:
                r *= h
                np.dot(r, candidate_kernel, hidden)
            g += hidden
            g_act(g)
            # (1 - z) g + z h
            np.subtract(h, g, y)
            y *= z
            y += g
            h = y
            yield

    return _recur(
        cell, X, W, R, bias, sequence_lens, [initial_h], direction=direction, layout=layout
    )


# -- what users call ------------------------------------------------------------------------------


def rnn(
    x: Any,
    w: Any,
    r: Any,
    b: Any = None,
    sequence_lens: Any = None,
    initial_h: Any = None,
    *,
    activation_alpha: Floats = None,
    activation_beta: Floats = None,
    activations: Names = None,
    clip: float | None = None,
    direction: str = "forward",
    layout: int = 0,
) -> Any:
    """A simple recurrent network, ONNX's `RNN`: `h = f(x w^T + h r^T + b)` step by step.

    Args:
        x: [steps, batch, features].
        w: [directions, units, features].
        r: [directions, units, units].
        b: [directions, 2 * units]: the biases beside w, then those beside r.
        sequence_lens: int32 [batch], from 0 to steps; None if all sequences have all steps.
        initial_h: [directions, batch, units]; None for zeros.
        activation_alpha: first parameters of the activation functions that have one, in order.
        activation_beta: second parameters, likewise.
        activations: f of each direction, by ONNX's names such as "Tanh", the default.
        clip: bound of what activation functions are given.
        direction: "forward", "reverse" from the last step of each sequence to the first, or
            "bidirectional", which is both.
        layout: 1 for [batch, steps, features] and likewise [batch, ...] of initial states and
            outputs. onnxruntime's CPU kernels have layout 0 only.

    Returns:
        All h [steps, directions, batch, units], 0 behind the end of a sequence; and the last h
        [directions, batch, units], which is 0 for a sequence without steps.

    Raises:
        ShapeError, DTypeError: operands that do not fit; an unknown activation or direction.
    """
    return rnn_op(
        x, w, r, b, sequence_lens, initial_h,
        **_attributes(r, activation_alpha, activation_beta, activations, clip, direction, layout),
    )  # fmt: skip


def lstm(
    x: Any,
    w: Any,
    r: Any,
    b: Any = None,
    sequence_lens: Any = None,
    initial_h: Any = None,
    initial_c: Any = None,
    p: Any = None,
    *,
    activation_alpha: Floats = None,
    activation_beta: Floats = None,
    activations: Names = None,
    clip: float | None = None,
    direction: str = "forward",
    input_forget: bool = False,
    layout: int = 0,
) -> Any:
    """A long short-term memory, ONNX's `LSTM`, with gates in the order i, o, f, c.

    `i, o, f = F(x w^T + h r^T + p c + b)`, `c = f c + i G(x w^T + h r^T + b)`, `h = o H(c)`, where
    o sees the new c. Hochreiter and Schmidhuber, "Long short-term memory" (1997); peepholes of
    Gers and Schmidhuber (2000).

    Args:
        x: [steps, batch, features].
        w: [directions, 4 * units, features].
        r: [directions, 4 * units, units].
        b: [directions, 8 * units]: the biases beside w, then those beside r.
        sequence_lens: see `rnn`.
        initial_h: [directions, batch, units]; None for zeros.
        initial_c: likewise.
        p: peepholes [directions, 3 * units] of i, o and f.
        activation_alpha: see `rnn`.
        activation_beta: see `rnn`.
        activations: F, G and H of each direction; "Sigmoid", "Tanh", "Tanh" if not given.
        clip: see `rnn`.
        direction: see `rnn`.
        input_forget: whether f is `1 - i`.
        layout: see `rnn`.

    Returns:
        All h [steps, directions, batch, units], the last h and the last c [directions, batch,
        units]; for sequences that end earlier see `rnn`.

    Raises:
        ShapeError, DTypeError: see `rnn`.
    """
    return lstm_op(
        x, w, r, b, sequence_lens, initial_h, initial_c, p, input_forget=int(input_forget),
        **_attributes(r, activation_alpha, activation_beta, activations, clip, direction, layout),
    )  # fmt: skip


def gru(
    x: Any,
    w: Any,
    r: Any,
    b: Any = None,
    sequence_lens: Any = None,
    initial_h: Any = None,
    *,
    activation_alpha: Floats = None,
    activation_beta: Floats = None,
    activations: Names = None,
    clip: float | None = None,
    direction: str = "forward",
    layout: int = 0,
    linear_before_reset: bool = False,
) -> Any:
    """A gated recurrent unit, ONNX's `GRU`, with gates in the order z, r, h.

    `z, r = F(x w^T + h r^T + b)`, `g = G(x w^T + (r h) r^T + b)`, `h = (1 - z) g + z h`; with
    `linear_before_reset`, `g = G(x w^T + r (h r^T + b) + b)`. Cho et al., "Learning phrase
    representations using RNN encoder-decoder" (2014).

    Args:
        x: [steps, batch, features].
        w: [directions, 3 * units, features].
        r: [directions, 3 * units, units].
        b: [directions, 6 * units]: the biases beside w, then those beside r.
        sequence_lens: see `rnn`.
        initial_h: [directions, batch, units]; None for zeros.
        activation_alpha: see `rnn`.
        activation_beta: see `rnn`.
        activations: F and G of each direction; "Sigmoid", "Tanh" if not given.
        clip: see `rnn`.
        direction: see `rnn`.
        layout: see `rnn`.
        linear_before_reset: whether the reset gate multiplies the product with h, not h itself.

    Returns:
        All h [steps, directions, batch, units], and the last h [directions, batch, units]; for
        sequences that end earlier see `rnn`.

    Raises:
        ShapeError, DTypeError: see `rnn`.
    """
    return gru_op(
        x, w, r, b, sequence_lens, initial_h, linear_before_reset=int(linear_before_reset),
        **_attributes(r, activation_alpha, activation_beta, activations, clip, direction, layout),
    )  # fmt: skip


def _attributes(
    r: Any, alphas: Floats, betas: Floats, names: Names, clip: float | None, direction: str,
    layout: int,
) -> dict[str, Any]:  # fmt: skip
    """The attributes of all three operators; onnxruntime demands hidden_size."""
    given: dict[str, Any] = {"direction": direction, "layout": operator.index(layout)}
    shape = getattr(r, "shape", None) or np.shape(r)
    if shape and isinstance(shape[-1], int):
        given["hidden_size"] = shape[-1]
    if clip is not None:
        given["clip"] = float(clip)
    for name, values in (("activation_alpha", alphas), ("activation_beta", betas)):
        if values is not None:
            given[name] = tuple(float(v) for v in values)
    if names is not None:
        given["activations"] = tuple(names)
    return given
