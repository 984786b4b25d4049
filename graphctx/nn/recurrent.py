"""Recurrent layers: a cell along the time steps of sequences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphctx import ops
from graphctx.context import Context
from graphctx.errors import LayerError
from graphctx.layer import Layer, Variable
from graphctx.nn.arguments import (
    as_floats,
    bad,
    bad_call,
    flag,
    is_tensor,
    known_size,
    require_shape,
    require_size,
)
from graphctx.nn.recurrent_cells import (
    Cell,
    GRUCell,
    LSTMCell,
    SimpleRNNCell,
    StackedRNNCells,
    Stepper,
    dtype_of,
    onnx_activations,
    require_cell,
    require_states,
    sizes_of,
    stepper_of,
)
from graphctx.nn.sublayers import build_sublayer
from graphctx.spec import Dim, dtype_name, kind_of, same_dim, shape_text

__all__ = ["GRU", "LSTM", "RNN", "SimpleRNN"]

LAYOUT = "[batch, time, features]"


class RNN(Layer):
    """Runs a cell along the time steps of sequences.

    A single `SimpleRNNCell`, `LSTMCell` or `GRUCell` becomes one node of ONNX's operator of that
    kind, if it has their activation functions; masks are handled by moving the steps that count
    to the front. Otherwise, and with `unroll`, or `recurrent_dropout` while training, each time
    step is recorded, for which their number must be known.

    Args:
        cell: a layer with `state_size`, `output_size` and `call(inputs, states)`, which returns an
            output [batch, output_size] and the new states; optionally with
            `get_initial_state(batch_size)`. A list of cells stands for `StackedRNNCells`.
        return_sequences: whether the outputs of all steps are returned, not only the last.
        return_state: whether the last states are returned as well.
        go_backwards: whether the steps are taken from the last to the first. Outputs stay in the
            order in which they are made.
        stateful: whether a call starts from the states that the one before it ended with; they
            are weights that are assigned. `reset_state()` makes them 0 again.
        unroll: whether each time step is recorded in any case.
        zero_output_for_mask: whether outputs of masked steps are 0.
        name: of the layer.

    Context:
        training (bool, default False): whether the cell drops inputs and states; of no
            consequence without dropout.

    Attributes:
        cell: that runs; it has the weights.
        states: of a stateful layer; they are not trainable.

    Called with `sequences` [batch, time, features], of which features must be a number, and
    optionally `initial_state`, a list of [batch, units] (or that one tensor) in the place of zeros;
    and `mask` [batch, time], whose false steps are skipped: they leave the states as they are, and
    repeat the output of the step before them (at first, the initial state).

    Returns the last output [batch, units], or all outputs [batch, time, units]; with
    `return_state` a tuple of it and each state.

    Raises:
        LayerError: a bad argument; an input, state or mask of another shape; a symbolic number of
            features; of time steps, where they have to be recorded; of sequences, if stateful.
    """

    cell: Any

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        *,
        name: str | None = None,
    ) -> None:
        self.name = name
        if isinstance(cell, (list, tuple)):
            cell = StackedRNNCells(cell)
        require_cell(self, cell)
        self.cell = cell
        self.return_sequences = flag(self, "return_sequences", return_sequences)
        self.return_state = flag(self, "return_state", return_state)
        self.go_backwards = flag(self, "go_backwards", go_backwards)
        self.stateful = flag(self, "stateful", stateful)
        self.unroll = flag(self, "unroll", unroll)
        self.zero_output_for_mask = flag(self, "zero_output_for_mask", zero_output_for_mask)
        self.states: Any = None

    @property
    def dtype(self) -> Any:
        """Of the computation: the cell's."""
        return dtype_of(self.cell)

    def build(self, sequences_shape: Any) -> None:
        """Create the weights of the cell, and the states of a stateful layer."""
        self._check_rank(sequences_shape)
        if isinstance(self.cell, (Cell, StackedRNNCells)):
            known_size(self, sequences_shape, -1, "number of features")
            build_sublayer(self.cell, (sequences_shape[0], sequences_shape[2]))
        if self.stateful:
            batch = sequences_shape[0]
            if isinstance(batch, Dim):
                raise bad_call(
                    self,
                    f"has stateful=True and keeps a state for each sequence, but the number of "
                    f"them is symbolic in {shape_text(sequences_shape)}; give the batch dimension "
                    f"a number in the TensorSpec",
                )
            self.states = _nested(
                sizes_of(self.cell),
                lambda size: Variable(
                    np.zeros((batch, size), self.dtype), name="rnn_state", trainable=False
                ),
            )

    def reset_state(self) -> None:
        """Set the states of a stateful layer to 0."""
        for variable in _leaves(self.states or []):
            variable.assign(np.zeros(variable.shape, variable.dtype))

    # -- what it is called with -------------------------------------------------------------------

    def _check_rank(self, shape: Any) -> None:
        if isinstance(self.cell, (Cell, StackedRNNCells)):
            require_shape(self, shape, LAYOUT, least=3, most=3)
        else:
            require_shape(self, shape, "[batch, time, ...]", least=3)

    def checked(self, sequences: Any) -> Any:
        """The input as floats.

        Raises:
            LayerError: it is not one that the layer was built for.
        """
        x = as_floats(self, sequences, self.dtype)
        self._check_rank(x.shape)
        if isinstance(self.cell, Cell):
            require_size(self, x.shape, -1, self.cell.kernel.shape[0], "features")
        return x

    def _initial(self, x: Any, given: Any) -> Any:
        """The states to start from; None for zeros that ONNX's operator has by itself."""
        batch = x.shape[0]
        if self.stateful:
            kept = _leaves(self.states)[0].shape[0]
            if not same_dim(batch, kept):
                raise bad_call(
                    self,
                    f"has stateful=True and was built for {kept} sequences, got "
                    f"{shape_text(x.shape)} with {batch}",
                )
            given = self.states if given is None else given
        if given is None:
            return None
        return require_states(self, self.cell, given, batch)

    def _first_states(self, x: Any) -> Any:
        """What the cell starts from by itself, else zeros."""
        batch = x.shape[0]
        if hasattr(self.cell, "get_initial_state"):
            made = self.cell.get_initial_state(batch_size=batch)
            return list(made) if isinstance(made, (list, tuple)) else [made]
        return _nested(sizes_of(self.cell), lambda size: ops.zeros((batch, size), self.dtype))

    def call(
        self,
        sequences: Any,
        initial_state: Any = None,
        mask: Any = None,
        *,
        training: Context[bool] = False,
    ) -> Any:
        """Run the cell along sequences; see the class."""
        x = self.checked(sequences)
        states = self._initial(x, initial_state)
        if mask is not None:
            mask = as_time_mask(self, mask, x)
        reason = self.unrolled_because(training)
        if reason is None:
            output, states = self._as_operator(x, states, mask, training=training)
        else:
            self._require_steps(x, reason)
            states = self._first_states(x) if states is None else states
            output, states = self._step_by_step(x, states, mask, training=training)
        if self.stateful:
            for variable, state in zip(_leaves(self.states), _leaves(states), strict=True):
                variable.assign(state)
        return (output, *states) if self.return_state else output

    # -- one node ---------------------------------------------------------------------------------

    def unrolled_because(self, training: bool) -> str | None:
        """Why ONNX's operator cannot do it; None if it can."""
        cell = self.cell
        if not isinstance(cell, Cell):
            return f"ONNX has no operator for {type(cell).__name__}"
        if self.unroll:
            return "unroll=True"
        if training and cell.recurrent_dropout:
            return "recurrent_dropout while training"
        if onnx_activations(cell.onnx_functions(), cell.onnx_defaults) is None:
            return "ONNX's operator lacks its activation function"
        return None

    def _as_operator(self, x: Any, states: Any, mask: Any, *, training: bool) -> Any:
        x = drop_inputs(self.cell, x, training=training)
        backwards = self.go_backwards
        steps = None
        if mask is not None:
            if backwards:
                x, mask, backwards = ops.flip(x, 1), ops.flip(mask, 1), False
            steps = MaskedSteps(x, mask)
            x = steps.front
        direction = "reverse" if backwards else "forward"
        y, last = onnx_operator([self.cell], x, states, steps, direction)
        last = [ops.squeeze(state, 0) for state in last]
        if not self.return_sequences:
            output = last[0]
            if mask is not None and self.zero_output_for_mask:
                output = ops.where(mask[:, -1:], output, 0)
            return output, last
        y = ops.squeeze(y, 1)
        # Before the transpose, which meets that of a layer after it then.
        output = ops.permute_dims(ops.flip(y, 0) if backwards else y, (1, 0, 2))
        if steps is not None and self.zero_output_for_mask:
            output = steps.spread(output)
        elif steps is not None:
            output = steps.repeat(output, None if states is None else states[0])
        return output, last

    # -- step by step -----------------------------------------------------------------------------

    def _require_steps(self, x: Any, reason: str) -> None:
        steps = x.shape[1]
        if isinstance(steps, Dim):
            hint = "; or trace with training=False" if "while training" in reason else ""
            raise bad_call(
                self,
                f"has to record each time step ({reason}), but the number of them is symbolic in "
                f"{shape_text(x.shape)}; give the time dimension a number in the TensorSpec{hint}",
            )
        if steps == 0:
            raise bad_call(self, f"has no time step to record in {shape_text(x.shape)}")

    def _step_by_step(self, x: Any, states: Any, mask: Any, *, training: bool) -> Any:
        cell = self.cell
        step: Stepper
        if isinstance(cell, Cell):
            # The inputs' share of the gates of all steps at once.
            masks = cell.masks(x.shape[0], x.shape[2], training=training)
            x = cell.project(x, masks)

            def step(gates: Any, states: list[Any]) -> tuple[Any, list[Any]]:
                new = cell.step(gates, states, masks)
                return new[0], new

        else:
            step = stepper_of(cell, x.shape[0], x.shape[2], training=training)
        inputs = ops.unstack(x, 1)
        counts = None if mask is None else [ops.expand_dims(m, 1) for m in ops.unstack(mask, 1)]
        outputs: list[Any] = []
        for t in reversed(range(len(inputs))) if self.go_backwards else range(len(inputs)):
            output, new = step(inputs[t], states)
            if counts is not None:
                repeated = 0 if self.zero_output_for_mask else _first(states)
                output = ops.where(counts[t], output, repeated)
                new = _choose(counts[t], new, states)
            states = new
            outputs.append(output)
        return ops.stack(outputs, axis=1) if self.return_sequences else outputs[-1], states


class SimpleRNN(RNN):
    """Fully connected, with its own output as a second input at each time step.

    `h = activation(x @ kernel + bias + h @ recurrent_kernel)`, which is the output.

    Args:
        units: size of the output and of the state.
        activation: a name, a layer or a function; None for none.
        use_bias: whether there is a bias.
        kernel_initializer: see `graphctx.initializers.initialize`.
        recurrent_initializer: likewise.
        bias_initializer: likewise.
        dropout: share of the features that is dropped while training, the same in all steps.
        recurrent_dropout: likewise, of the state.
        return_sequences: see `RNN`; so are the next four.
        return_state: whether the last states are returned as well.
        go_backwards: whether the steps are taken from the last to the first.
        stateful: whether a call starts from the states that the one before it ended with.
        unroll: whether each time step is recorded in any case.
        seed: must be None. The numbers follow from the program's seed and the layer's path.
        zero_output_for_mask: whether outputs of masked steps are 0.
        dtype: of weights and computation; inputs of another dtype are converted, as in Keras.
        name: of the layer.

    Context:
        training (bool, default False): whether features and states are dropped.

    Attributes:
        cell: the `SimpleRNNCell`, with kernel [features, units], recurrent_kernel [units, units]
            and bias [units].

    For what it is called with, returns and raises see `RNN`.
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: None = None,
        *,
        zero_output_for_mask: bool = False,
        dtype: Any = "float32",
        name: str | None = None,
    ) -> None:
        self.name = name
        cell = _cell_of(
            self, SimpleRNNCell, units, activation, use_bias, kernel_initializer,
            recurrent_initializer, bias_initializer, dropout, recurrent_dropout, seed, dtype=dtype,
        )  # fmt: skip
        super().__init__(
            cell, return_sequences, return_state, go_backwards, stateful, unroll,
            zero_output_for_mask, name=name,
        )  # fmt: skip


class LSTM(RNN):
    """A long short-term memory: gates decide what a state c keeps, takes in and gives out.

    Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 9 (1997), with a gate
    to forget. With the four blocks of columns i, f, c, o of
    `z = x @ kernel + h @ recurrent_kernel + bias`:
    `c = recurrent_activation(z_f) * c + recurrent_activation(z_i) * activation(z_c)`, and
    `h = recurrent_activation(z_o) * activation(c)`, which is the output.

    Args:
        units: size of the output and of the states h and c.
        activation: a name, a layer or a function; None for none.
        recurrent_activation: likewise, of the gates i, f and o.
        use_bias: whether there is a bias.
        kernel_initializer: see `graphctx.initializers.initialize`.
        recurrent_initializer: likewise.
        bias_initializer: likewise.
        unit_forget_bias: whether the bias of the gate f starts with 1 (Jozefowicz et al. 2015).
        dropout: share of the features that is dropped while training, the same in all steps.
        recurrent_dropout: likewise, of the state h.
        seed: must be None. The numbers follow from the program's seed and the layer's path.
        return_sequences: see `RNN`; so are the next five.
        return_state: whether the last states are returned as well.
        go_backwards: whether the steps are taken from the last to the first.
        stateful: whether a call starts from the states that the one before it ended with.
        unroll: whether each time step is recorded in any case.
        zero_output_for_mask: whether outputs of masked steps are 0.
        dtype: of weights and computation; inputs of another dtype are converted, as in Keras.
        name: of the layer.

    Context:
        training (bool, default False): whether features and states are dropped.

    Attributes:
        cell: the `LSTMCell`, with kernel [features, 4 * units], recurrent_kernel
            [units, 4 * units] and bias [4 * units].

    For what it is called with, returns and raises see `RNN`; the states are [h, c].
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        *,
        zero_output_for_mask: bool = False,
        dtype: Any = "float32",
        name: str | None = None,
    ) -> None:
        self.name = name
        cell = _cell_of(
            self, LSTMCell, units, activation, recurrent_activation, use_bias, kernel_initializer,
            recurrent_initializer, bias_initializer, unit_forget_bias, dropout, recurrent_dropout,
            seed, dtype=dtype,
        )  # fmt: skip
        super().__init__(
            cell, return_sequences, return_state, go_backwards, stateful, unroll,
            zero_output_for_mask, name=name,
        )  # fmt: skip


class GRU(RNN):
    """A gated recurrent unit: gates decide how much of a new state replaces the old one.

    Cho et al., "Learning phrase representations using RNN encoder-decoder" (2014). With the three
    blocks of columns z, r, h of the kernels, and with `reset_after`:
    `z = recurrent_activation(x @ kernel_z + bias_z + h @ recurrent_kernel_z + recurrent_bias_z)`,
    r likewise, `g = activation(x @ kernel_h + bias_h + r * (h @ recurrent_kernel_h +
    recurrent_bias_h))`, and `h = z * h + (1 - z) * g`, which is the output. Without it, r
    multiplies h, not the product:
    `g = activation(x @ kernel_h + bias_h + (r * h) @ recurrent_kernel_h)`, and there is one bias.

    Args:
        units: size of the output and of the state.
        activation: a name, a layer or a function; None for none.
        recurrent_activation: likewise, of the gates z and r.
        use_bias: whether there are biases.
        kernel_initializer: see `graphctx.initializers.initialize`.
        recurrent_initializer: likewise.
        bias_initializer: likewise.
        dropout: share of the features that is dropped while training, the same in all steps.
        recurrent_dropout: likewise, of the state.
        seed: must be None. The numbers follow from the program's seed and the layer's path.
        return_sequences: see `RNN`; so are the next four.
        return_state: whether the last states are returned as well.
        go_backwards: whether the steps are taken from the last to the first.
        stateful: whether a call starts from the states that the one before it ended with.
        unroll: whether each time step is recorded in any case.
        reset_after: whether the reset gate r multiplies behind the product with the kernel.
        zero_output_for_mask: whether outputs of masked steps are 0.
        dtype: of weights and computation; inputs of another dtype are converted, as in Keras.
        name: of the layer.

    Context:
        training (bool, default False): whether features and states are dropped.

    Attributes:
        cell: the `GRUCell`, with kernel [features, 3 * units], recurrent_kernel
            [units, 3 * units], and bias [2, 3 * units], of inputs and state, or [3 * units]
            without `reset_after`.

    For what it is called with, returns and raises see `RNN`.
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        reset_after: bool = True,
        *,
        zero_output_for_mask: bool = False,
        dtype: Any = "float32",
        name: str | None = None,
    ) -> None:
        self.name = name
        cell = _cell_of(
            self, GRUCell, units, activation, recurrent_activation, use_bias, kernel_initializer,
            recurrent_initializer, bias_initializer, dropout, recurrent_dropout, reset_after, seed,
            dtype=dtype,
        )  # fmt: skip
        super().__init__(
            cell, return_sequences, return_state, go_backwards, stateful, unroll,
            zero_output_for_mask, name=name,
        )  # fmt: skip


def _cell_of(layer: RNN, kind: Callable[..., Cell], *arguments: Any, dtype: Any) -> Cell:
    """The cell of a layer, whose bad arguments are the layer's."""
    try:
        return kind(*arguments, dtype=dtype)
    except LayerError as error:
        raise bad(layer, str(error).partition(": ")[2]) from None


def _nested(sizes: list[Any], make: Callable[[Any], Any]) -> list[Any]:
    return [_nested(size, make) if isinstance(size, list) else make(size) for size in sizes]


def _leaves(nest: Any) -> list[Any]:
    if isinstance(nest, (list, tuple)):
        return [leaf for item in nest for leaf in _leaves(item)]
    return [nest]


def _first(states: Any) -> Any:
    """The state that a masked step repeats, as in Keras: of stacked cells, that of the last one."""
    first = states[0]
    return _leaves(states[-1])[0] if isinstance(first, (list, tuple)) else first


def _choose(condition: Any, new: Any, old: Any) -> Any:
    if isinstance(new, (list, tuple)):
        return [_choose(condition, a, b) for a, b in zip(new, old, strict=True)]
    return ops.where(condition, new, old)


def as_time_mask(layer: Layer, mask: Any, x: Any) -> Any:
    """Return a mask [batch, time] as bools.

    Raises:
        LayerError: it is no tensor, or of another shape.
    """
    if not is_tensor(mask) or kind_of(mask.dtype) not in "biuf":
        came = dtype_name(mask.dtype) if is_tensor(mask) else f"a {type(mask).__name__}"
        raise bad_call(layer, f"takes a mask of bools, got {came}")
    wanted = x.shape[:2]
    if mask.ndim != 2 or not all(map(same_dim, mask.shape, wanted)):
        raise bad_call(
            layer,
            f"takes a mask [batch, time], which is {shape_text(wanted)}, got "
            f"{shape_text(mask.shape)}",
        )
    return mask if mask.dtype == bool else ops.astype(mask, bool)


def drop_inputs(cell: Cell, x: Any, *, training: bool) -> Any:
    """The input of all steps with the same features dropped in each."""
    [mask] = cell.masks(x.shape[0], x.shape[2], training=training).inputs or [None]
    return x if mask is None else x * ops.expand_dims(mask, 1)


# -- ONNX's operators -----------------------------------------------------------------------------


class MaskedSteps:
    """Sequences with the steps that count in front, in their order, so that they have lengths.

    Args:
        x: [batch, time, features].
        mask: [batch, time].

    Attributes:
        front: [batch, time, features].
        lengths: int32 [batch].
    """

    def __init__(self, x: Any, mask: Any) -> None:
        counted = ops.astype(mask, "int64")
        order = ops.argsort(counted, axis=1, descending=True)
        self.front = ops.gather_nd(x, ops.expand_dims(order, -1), batch_dims=1)
        self.lengths = ops.astype(ops.sum(counted, axis=1), "int32")
        self._mask = ops.expand_dims(mask, -1)
        # How many steps count up to each one, itself included.
        self._upto = ops.expand_dims(ops.cumulative_sum(counted, axis=1), -1)

    def spread(self, y: Any) -> Any:
        """Outputs [batch, time, units] of `front` at their steps, 0 at those that do not count."""
        own = ops.gather_nd(y, ops.maximum(self._upto - 1, 0), batch_dims=1)
        return ops.where(self._mask, own, 0)

    def repeat(self, y: Any, first: Any) -> Any:
        """Outputs of `front` at their steps, repeated at those that do not count.

        Args:
            y: [batch, time, units].
            first: [batch, units] for the steps before the first one that counts; None for zeros.
        """
        if first is None:
            first = ops.zeros((y.shape[0], y.shape[2]), y.dtype)
        known = ops.concat([ops.expand_dims(first, 1), y], axis=1)
        return ops.gather_nd(known, self._upto, batch_dims=1)

    def keep(self, initial: Any, last: Any) -> Any:
        """Last states, or the initial ones of sequences where no step counts."""
        return ops.where(ops.expand_dims(self.lengths > 0, 1), last, initial)


def onnx_operator(
    cells: Sequence[Cell], x: Any, states: Any, steps: MaskedSteps | None, direction: str
) -> tuple[Any, list[Any]]:
    """Run ONNX's operator for one cell, or for two in both directions.

    Args:
        cells: of one kind.
        x: [batch, time, features].
        states: [batch, units] of each state of the first cell, then of the second; or None.
        steps: which of them there are, or None for all.
        direction: "forward", "reverse" or "bidirectional".

    Returns:
        Outputs [time, directions, batch, units], and each last state [directions, batch, units].
    """
    cell = cells[0]
    w, r, b = (
        None if parts[0] is None else parts[0] if len(parts) == 1 else ops.concat(parts, axis=0)
        for parts in zip(*(c.onnx_weights() for c in cells), strict=True)
    )
    count = cell.state_count
    initial: list[Any] = [None] * count
    if states is not None:
        initial = [ops.stack(states[i::count], axis=0) for i in range(count)]
    functions = [function for c in cells for function in c.onnx_functions()]
    activations = onnx_activations(functions, cell.onnx_defaults * len(cells))
    assert activations is not None
    lengths = None if steps is None else steps.lengths
    y, *last = cell.onnx_operator(
        ops.permute_dims(x, (1, 0, 2)), w, r, b, lengths, *initial,
        direction=direction, **activations,
    )  # fmt: skip
    if steps is not None and states is not None:
        last = [steps.keep(before, after) for before, after in zip(initial, last, strict=True)]
    return y, last
