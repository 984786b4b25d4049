"""Cells: one time step of a recurrent network."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from graphctx import ops
from graphctx.context import Context
from graphctx.layer import Layer, Variable
from graphctx.nn.activation import get_activation, leaky_relu
from graphctx.nn.arguments import (
    as_floats,
    bad,
    bad_call,
    flag,
    float_dtype,
    is_integer,
    is_tensor,
    known_size,
    no_seed,
    number,
    positive,
    require_shape,
    require_size,
)
from graphctx.nn.sublayers import build_sublayer
from graphctx.spec import DimLike, same_dim, shape_text

__all__ = ["GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells"]

# What ONNX's recurrent operators call an activation function, and its alpha and beta there.
ONNX_ACTIVATIONS: list[tuple[Any, str, float | None, float | None]] = [
    (ops.elu, "Elu", 1.0, None),
    (ops.hard_sigmoid, "HardSigmoid", 1 / 6, 0.5),
    (leaky_relu, "LeakyRelu", 0.2, None),
    (ops.linear, "Affine", 1.0, 0.0),
    (ops.relu, "Relu", None, None),
    (ops.sigmoid, "Sigmoid", None, None),
    (ops.softplus, "Softplus", None, None),
    (ops.softsign, "Softsign", None, None),
    (ops.tanh, "Tanh", None, None),
]


def onnx_activations(functions: Sequence[Any], defaults: Sequence[str]) -> dict[str, Any] | None:
    """The attributes that name activation functions in ONNX.

    Args:
        functions: of an operator.
        defaults: names of those that it has without attributes.

    Returns:
        None if ONNX lacks one of them.
    """
    found = [
        next((entry[1:] for entry in ONNX_ACTIVATIONS if entry[0] is function), None)
        for function in functions
    ]
    known = [entry for entry in found if entry is not None]
    if len(known) < len(found):
        return None
    names, alphas, betas = zip(*known, strict=True)
    if names == tuple(defaults):
        return {}
    attributes: dict[str, Any] = {"activations": names}
    for name, values in (("activation_alpha", alphas), ("activation_beta", betas)):
        given = tuple(value for value in values if value is not None)
        if given:
            attributes[name] = given
    return attributes


# (inputs, states) -> (output, new states)
Stepper = Callable[[Any, list[Any]], tuple[Any, list[Any]]]


class Masks(NamedTuple):
    """What dropout multiplies with in all steps of a sequence: one mask, or one for each gate.

    Attributes:
        inputs: [batch, features] each; none where inputs are not dropped.
        states: [batch, units] each; none where states are not dropped.
    """

    inputs: Sequence[Any] = ()
    states: Sequence[Any] = ()


class Cell(Layer):
    """What the cells share: their weights, dropout, and how they are called.

    Attributes:
        gates: number of blocks of `units` columns in the kernels.
        order: in which ONNX's operator has them.
        onnx_defaults: names of the activation functions that it has without attributes.
        state_count: number of states.
        units: size of the output and of each state.
        dropout: share of the inputs that is dropped while training.
        recurrent_dropout: share of the state that is dropped while training.
        dtype: of weights and computation.
    """

    gates: ClassVar[int]
    order: ClassVar[tuple[int, ...]]
    onnx_defaults: ClassVar[tuple[str, ...]]
    state_count: ClassVar[int] = 1

    kernel: Variable
    recurrent_kernel: Variable
    bias: Variable | None

    def __init__(
        self, units: Any, activation: Any, use_bias: bool, kernel_initializer: Any,
        recurrent_initializer: Any, bias_initializer: Any, dropout: Any, recurrent_dropout: Any,
        seed: Any, dtype: Any, name: str | None,
    ) -> None:  # fmt: skip
        self.name = name
        self.units = positive(self, "units", units)
        self.activation = get_activation(activation, self)
        self.use_bias = flag(self, "use_bias", use_bias)
        self.kernel_initializer = kernel_initializer
        self.recurrent_initializer = recurrent_initializer
        self.bias_initializer = bias_initializer
        self.dropout = number(self, "dropout", dropout, 0, 1)
        self.recurrent_dropout = number(self, "recurrent_dropout", recurrent_dropout, 0, 1)
        no_seed(self, seed)
        self.dtype = float_dtype(self, dtype)

    @property
    def kind(self) -> tuple[Any, ...]:
        """What two cells that ONNX's operator runs side by side have in common."""
        return type(self), self.units, self.use_bias, self.dtype

    @property
    def state_size(self) -> Any:
        """Sizes of the states: a number, or a list of them if there are several."""
        return self.units if self.state_count == 1 else [self.units] * self.state_count

    @property
    def output_size(self) -> int:
        """Size of the output."""
        return self.units

    def get_initial_state(self, batch_size: Any) -> list[Any]:
        """Zeros for each state."""
        return [ops.zeros((batch_size, self.units), self.dtype) for _ in range(self.state_count)]

    # -- weights ----------------------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Create the weights."""
        require_shape(self, input_shape, "[batch, features]", least=2, most=2)
        features = known_size(self, input_shape, -1, "number of features")
        columns = self.gates * self.units

        def weight(name: str, shape: Any, initializer: Any) -> Variable:
            return self.add_weight(shape, initializer, name=name, dtype=self.dtype)

        self.kernel = weight("kernel", (features, columns), self.kernel_initializer)
        self.recurrent_kernel = weight(
            "recurrent_kernel", (self.units, columns), self.recurrent_initializer
        )
        self.bias = None
        if self.use_bias:
            self.bias = weight("bias", self._bias_shape(), self.bias_initializer)

    def _bias_shape(self) -> tuple[int, ...]:
        return (self.gates * self.units,)

    # -- as ONNX's operator -----------------------------------------------------------------------

    @abstractmethod
    def onnx_functions(self) -> list[Any]:
        """The activation functions in ONNX's order."""

    @abstractmethod
    def onnx_operator(self, *operands: Any, **attributes: Any) -> Any:
        """Apply ONNX's operator."""

    def onnx_weights(self) -> tuple[Any, Any, Any]:
        """W, R and B (or None) of ONNX's operator: made of the weights, once, when compiling."""
        w = ops.expand_dims(ops.permute_dims(self._ordered(self.kernel), (1, 0)), 0)
        r = ops.expand_dims(ops.permute_dims(self._ordered(self.recurrent_kernel), (1, 0)), 0)
        return w, r, None if self.bias is None else ops.expand_dims(self._onnx_bias(self.bias), 0)

    def _onnx_bias(self, bias: Variable) -> Any:
        """The biases beside W and beside R, of which Keras has one."""
        return ops.concat([self._ordered(bias), np.zeros(bias.shape, self.dtype)], axis=0)

    def _ordered(self, weight: Variable) -> Any:
        """A weight with its columns in ONNX's order."""
        if self.order == tuple(range(self.gates)):
            return weight.value
        parts = ops.split(weight.value, self.gates, axis=-1)
        return ops.concat([parts[i] for i in self.order], axis=-1)

    # -- dropout ----------------------------------------------------------------------------------

    def masks(self, batch: DimLike, features: DimLike, *, training: bool) -> Masks:
        """Draw what is dropped; as in Keras, with recurrent dropout each gate has its masks."""
        if not training:
            return Masks()
        count = self.gates if self.recurrent_dropout else 1

        def draw(size: DimLike, rate: float) -> list[Any]:
            if not rate:
                return []
            return [ops.dropout(ops.ones((batch, size), self.dtype), rate) for _ in range(count)]

        return Masks(draw(features, self.dropout), draw(self.units, self.recurrent_dropout))

    # -- steps ------------------------------------------------------------------------------------

    def project(self, x: Any, masks: Masks) -> Any:
        """The inputs' share of the gates: [batch, ..., features] -> [batch, ..., columns]."""
        return self._add_input_bias(self._product(x, masks.inputs, self.kernel))

    def _add_input_bias(self, gates: Any) -> Any:
        return gates if self.bias is None else gates + self.bias

    @abstractmethod
    def step(self, gates: Any, states: Sequence[Any], masks: Masks) -> list[Any]:
        """The new states, of which the first one is the output, by the inputs' share of gates."""

    def _product(self, x: Any, masks: Sequence[Any], kernel: Variable) -> Any:
        """`x @ kernel`, where each block of the kernel may see x through a mask of its own."""
        if not masks:
            return ops.matmul(x, kernel)
        if x.ndim == 3:
            masks = [ops.expand_dims(mask, 1) for mask in masks]
        if len(masks) == 1:
            return ops.matmul(x * masks[0], kernel)
        blocks = ops.split(kernel.value, len(masks), axis=1)
        products = [ops.matmul(x * m, block) for m, block in zip(masks, blocks, strict=True)]
        return ops.concat(products, axis=-1)

    def call(self, inputs: Any, states: Any, *, training: Context[bool] = False) -> Any:
        """One step: return the output, and the new states as they were given.

        Args:
            inputs: [batch, features].
            states: list of [batch, units]; a single state may also be a tensor.
            training: whether inputs and states are dropped.
        """
        x = as_floats(self, inputs, self.dtype)
        require_shape(self, x.shape, "[batch, features]", least=2, most=2)
        require_size(self, x.shape, -1, self.kernel.shape[0], "features")
        given = require_states(self, self, states, x.shape[0])
        output, new = self.stepper(*x.shape, training=training)(x, given)
        return output, new if isinstance(states, (list, tuple)) else output

    def stepper(self, batch: DimLike, features: DimLike, *, training: bool) -> Stepper:
        """What makes one step after the other with the same elements dropped in each."""
        masks = self.masks(batch, features, training=training)

        def step(x: Any, states: list[Any]) -> tuple[Any, list[Any]]:
            new = self.step(self.project(x, masks), states, masks)
            return new[0], new

        return step


def sizes_of(cell: Any) -> list[Any]:
    """The sizes of a cell's states, in a list; of stacked cells, a list of those of each."""
    if isinstance(cell, StackedRNNCells):
        return [sizes_of(inner) for inner in cell.cells]
    sizes = cell.state_size
    return list(sizes) if isinstance(sizes, (list, tuple)) else [sizes]


def require_states(layer: Layer, cell: Any, given: Any, batch: DimLike) -> list[Any]:
    """Return the states that a cell starts from, nested as `sizes_of` has them, as its floats.

    Args:
        layer: that is called.
        cell: whose states they are.
        given: a list, or a tensor in the place of a list of one.
        batch: number of sequences.

    Raises:
        LayerError: another number of states, or one of another shape.
    """
    is_stack = isinstance(cell, StackedRNNCells)
    sizes = cell.cells if is_stack else sizes_of(cell)
    listed = list(given) if isinstance(given, (list, tuple)) else [given]
    if len(listed) != len(sizes):
        what = "lists of states, one for each cell" if is_stack else "states [batch, units]"
        raise bad_call(layer, f"takes a list of {len(sizes)} {what}, got {len(listed)}")
    pairs = zip(sizes, listed, strict=True)
    if is_stack:
        return [require_states(layer, inner, state, batch) for inner, state in pairs]
    return [_state(layer, size, state, batch, dtype_of(cell)) for size, state in pairs]


def _state(layer: Layer, size: int, state: Any, batch: DimLike, dtype: Any) -> Any:
    if not is_tensor(state):
        came = type(state).__name__
        raise bad_call(layer, f"takes a state {shape_text((batch, size))}, got a {came}")
    state = as_floats(layer, state, dtype)
    if state.ndim != 2 or not (same_dim(state.shape[0], batch) and state.shape[1] == size):
        wanted, came = shape_text((batch, size)), shape_text(state.shape)
        raise bad_call(layer, f"takes a state {wanted}, got {came}")
    return state


def dtype_of(cell: Any) -> Any:
    """The dtype in which a cell computes; float32 of one that does not say."""
    if isinstance(cell, StackedRNNCells):
        return dtype_of(cell.cells[0])
    return getattr(cell, "dtype", np.dtype("float32"))


class SimpleRNNCell(Cell):
    """One step of `SimpleRNN`: `h = activation(x @ kernel + bias + h @ recurrent_kernel)`.

    Args:
        units: size of the output and of the state.
        activation: a name, a layer or a function; None for none.
        use_bias: whether there is a bias.
        kernel_initializer: see `graphctx.initializers.initialize`.
        recurrent_initializer: likewise.
        bias_initializer: likewise.
        dropout: share of the inputs that is dropped while training, from 0 to 1.
        recurrent_dropout: likewise, of the state.
        seed: must be None. The numbers follow from the program's seed and the layer's path.
        dtype: of weights and computation; inputs of another dtype are converted, as in Keras.
        name: of the layer.

    Context:
        training (bool, default False): whether inputs and states are dropped.

    Attributes:
        kernel: [features, units].
        recurrent_kernel: [units, units].
        bias: [units], or None.

    Called with inputs [batch, features] and states, a list of [batch, units] or that one tensor;
    returns the output [batch, units] and the new states.

    Raises:
        LayerError: a bad argument; inputs or states of another shape.
    """

    gates = 1
    order = (0,)
    onnx_defaults = ("Tanh",)

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
        seed: None = None,
        *,
        dtype: Any = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(
            units, activation, use_bias, kernel_initializer, recurrent_initializer,
            bias_initializer, dropout, recurrent_dropout, seed, dtype, name,
        )  # fmt: skip

    def onnx_functions(self) -> list[Any]:
        """F."""
        return [self.activation]

    def onnx_operator(self, *operands: Any, **attributes: Any) -> Any:
        """`RNN`."""
        return ops.rnn(*operands, **attributes)

    def step(self, gates: Any, states: Sequence[Any], masks: Masks) -> list[Any]:
        """See `Cell.step`."""
        product = self._product(states[0], masks.states, self.recurrent_kernel)
        return [self.activation(gates + product)]


class LSTMCell(Cell):
    """One step of `LSTM`.

    With the four blocks of columns i, f, c, o of `z = x @ kernel + h @ recurrent_kernel + bias`:
    `c = recurrent_activation(z_f) * c + recurrent_activation(z_i) * activation(z_c)`,
    `h = recurrent_activation(z_o) * activation(c)`.

    Args:
        units: size of the output and of both states.
        activation: a name, a layer or a function; None for none.
        recurrent_activation: likewise, of the gates i, f and o.
        use_bias: whether there is a bias.
        kernel_initializer: see `graphctx.initializers.initialize`.
        recurrent_initializer: likewise.
        bias_initializer: likewise.
        unit_forget_bias: whether the bias of the gate f starts with 1.
        dropout: share of the inputs that is dropped while training, from 0 to 1.
        recurrent_dropout: likewise, of the state.
        seed: must be None. The numbers follow from the program's seed and the layer's path.
        dtype: of weights and computation; inputs of another dtype are converted, as in Keras.
        name: of the layer.

    Context:
        training (bool, default False): whether inputs and states are dropped.

    Attributes:
        kernel: [features, 4 * units].
        recurrent_kernel: [units, 4 * units].
        bias: [4 * units], or None.

    Called with inputs [batch, features] and the states [h, c], [batch, units] each; returns the
    output, which is h, and the new states.

    Raises:
        LayerError: a bad argument; inputs or states of another number or shape.
    """

    gates = 4
    order = (0, 3, 1, 2)  # of i, f, c, o ONNX makes i, o, f, c
    onnx_defaults = ("Sigmoid", "Tanh", "Tanh")
    state_count = 2

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
        *,
        dtype: Any = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(
            units, activation, use_bias, kernel_initializer, recurrent_initializer,
            bias_initializer, dropout, recurrent_dropout, seed, dtype, name,
        )  # fmt: skip
        self.recurrent_activation = get_activation(recurrent_activation, self)
        self.unit_forget_bias = flag(self, "unit_forget_bias", unit_forget_bias)

    def build(self, input_shape: Any) -> None:
        """Create the weights."""
        super().build(input_shape)
        if self.bias is not None and self.unit_forget_bias:
            bias = self.bias.numpy().copy()
            bias[self.units : 2 * self.units] = 1
            self.bias.assign(bias)

    def onnx_functions(self) -> list[Any]:
        """F, G and H."""
        return [self.recurrent_activation, self.activation, self.activation]

    def onnx_operator(self, *operands: Any, **attributes: Any) -> Any:
        """`LSTM`."""
        return ops.lstm(*operands, **attributes)

    def step(self, gates: Any, states: Sequence[Any], masks: Masks) -> list[Any]:
        """See `Cell.step`."""
        h, c = states
        z = gates + self._product(h, masks.states, self.recurrent_kernel)
        i, f, candidate, o = ops.split(z, 4, axis=-1)
        c = self.recurrent_activation(f) * c + self.recurrent_activation(i) * self.activation(
            candidate
        )
        return [self.recurrent_activation(o) * self.activation(c), c]


class GRUCell(Cell):
    """One step of `GRU`.

    With the three blocks of columns z, r, h of the kernels, and `reset_after`:
    `z = recurrent_activation(x @ kernel_z + bias_z + h @ recurrent_kernel_z + recurrent_bias_z)`,
    r likewise, `g = activation(x @ kernel_h + bias_h + r * (h @ recurrent_kernel_h +
    recurrent_bias_h))`, `h = z * h + (1 - z) * g`. Without it, r multiplies h, not the product:
    `g = activation(x @ kernel_h + bias_h + (r * h) @ recurrent_kernel_h)`, and there is one bias.

    Args:
        units: size of the output and of the state.
        activation: a name, a layer or a function; None for none.
        recurrent_activation: likewise, of the gates z and r.
        use_bias: whether there are biases.
        kernel_initializer: see `graphctx.initializers.initialize`.
        recurrent_initializer: likewise.
        bias_initializer: likewise.
        dropout: share of the inputs that is dropped while training, from 0 to 1.
        recurrent_dropout: likewise, of the state.
        reset_after: whether the reset gate r multiplies behind the product with the kernel.
        seed: must be None. The numbers follow from the program's seed and the layer's path.
        dtype: of weights and computation; inputs of another dtype are converted, as in Keras.
        name: of the layer.

    Context:
        training (bool, default False): whether inputs and states are dropped.

    Attributes:
        kernel: [features, 3 * units].
        recurrent_kernel: [units, 3 * units].
        bias: [2, 3 * units] with `reset_after`, of the inputs and of the state; else [3 * units];
            or None.

    Called with inputs [batch, features] and states, a list of [batch, units] or that one tensor;
    returns the output [batch, units] and the new states.

    Raises:
        LayerError: a bad argument; inputs or states of another shape.
    """

    gates = 3
    order = (0, 1, 2)
    onnx_defaults = ("Sigmoid", "Tanh")

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
        reset_after: bool = True,
        seed: None = None,
        *,
        dtype: Any = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(
            units, activation, use_bias, kernel_initializer, recurrent_initializer,
            bias_initializer, dropout, recurrent_dropout, seed, dtype, name,
        )  # fmt: skip
        self.recurrent_activation = get_activation(recurrent_activation, self)
        self.reset_after = flag(self, "reset_after", reset_after)

    @property
    def kind(self) -> tuple[Any, ...]:
        """See `Cell.kind`."""
        return *super().kind, self.reset_after

    def _bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def onnx_functions(self) -> list[Any]:
        """F and G."""
        return [self.recurrent_activation, self.activation]

    def onnx_operator(self, *operands: Any, **attributes: Any) -> Any:
        """`GRU`."""
        return ops.gru(*operands, linear_before_reset=self.reset_after, **attributes)

    def _onnx_bias(self, bias: Variable) -> Any:
        return ops.reshape(bias, (-1,)) if self.reset_after else super()._onnx_bias(bias)

    def _add_input_bias(self, gates: Any) -> Any:
        if self.bias is None:
            return gates
        return gates + (self._both_biases()[0] if self.reset_after else self.bias)

    def _both_biases(self) -> Any:
        """Those beside the kernel, and those beside the recurrent kernel: [1, columns] each.

        Parts of one operator, so that compiling makes constants of them.
        """
        assert self.bias is not None
        return ops.split(self.bias.value, 2, axis=0)

    def step(self, gates: Any, states: Sequence[Any], masks: Masks) -> list[Any]:
        """See `Cell.step`."""
        [h] = states
        z, r, candidate = ops.split(gates, 3, axis=-1)
        if self.reset_after:
            product = self._product(h, masks.states, self.recurrent_kernel)
            if self.bias is not None:
                product = product + self._both_biases()[1]
            of_z, of_r, of_candidate = ops.split(product, 3, axis=-1)
            r = self.recurrent_activation(r + of_r)
            of_candidate = r * of_candidate
        else:
            dropped = [h * mask for mask in masks.states] or [h] * 3
            of_z, of_r, kernel = ops.split(self.recurrent_kernel.value, 3, axis=1)
            of_z, of_r = ops.matmul(dropped[0], of_z), ops.matmul(dropped[1], of_r)
            r = self.recurrent_activation(r + of_r)
            of_candidate = ops.matmul(r * dropped[2], kernel)
        z = self.recurrent_activation(z + of_z)
        return [z * h + (1 - z) * self.activation(candidate + of_candidate)]


class StackedRNNCells(Layer):
    """Several cells as one: each takes the output of the one before it.

    Args:
        cells: with `call(inputs, states)`, `state_size` and `output_size`, as `LSTMCell` has them.
        name: of the layer.

    Attributes:
        cells: that are given.

    Called with inputs and a list of the states of each cell; returns the output of the last cell,
    and the new states in such a list.

    Raises:
        LayerError: cells that are none.
    """

    def __init__(self, cells: Sequence[Layer], *, name: str | None = None) -> None:
        self.name = name
        if not isinstance(cells, (list, tuple)) or not cells:
            raise bad(self, f"cells is a list of cells, got {cells!r}")
        for cell in cells:
            require_cell(self, cell)
        self.cells = list(cells)

    @property
    def state_size(self) -> list[Any]:
        """Sizes of the states of each cell."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> Any:
        """Size of the last cell's output."""
        return self.cells[-1].output_size

    def build(self, input_shape: Any) -> None:
        """Build those of the cells that are built in."""
        for cell in self.cells:
            if isinstance(cell, Cell):
                build_sublayer(cell, input_shape)
            input_shape = (input_shape[0], cell.output_size)

    def call(self, inputs: Any, states: Any) -> Any:
        """One step of every cell."""
        listed = list(states) if isinstance(states, (list, tuple)) else [states]
        count = len(self.cells)
        if len(listed) != count:
            raise bad_call(
                self, f"takes a list of the states of each of {count} cells, got {len(listed)}"
            )
        new = []
        for cell, state in zip(self.cells, listed, strict=True):
            inputs, state = cell(inputs, state)
            new.append(state)
        return inputs, new

    def stepper(self, batch: DimLike, features: DimLike, *, training: bool) -> Stepper:
        """See `Cell.stepper`."""
        steppers = []
        for cell in self.cells:
            steppers.append(stepper_of(cell, batch, features, training=training))
            features = cell.output_size

        def step(x: Any, states: list[Any]) -> tuple[Any, list[Any]]:
            new = []
            for inner, state in zip(steppers, states, strict=True):
                x, state = inner(x, state)
                new.append(state)
            return x, new

        return step


def stepper_of(cell: Any, batch: DimLike, features: DimLike, *, training: bool) -> Stepper:
    """What makes one step of a cell after the other."""
    if isinstance(cell, (Cell, StackedRNNCells)):
        return cell.stepper(batch, features, training=training)

    def step(x: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        result = cell(x, states)
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            came = type(result).__name__
            raise bad_call(cell, f"is to return its output and a list of new states, got a {came}")
        output, new = result
        new = list(new) if isinstance(new, (list, tuple)) else [new]
        if len(new) != len(states):
            raise bad_call(cell, f"is to return {len(states)} new states, got {len(new)}")
        return output, new

    return step


def require_cell(layer: Layer, cell: Any) -> None:
    """Check that a cell is a layer with sizes.

    Raises:
        LayerError: it is not.
    """
    size = getattr(cell, "state_size", None)
    if not isinstance(cell, Layer) or size is None or not hasattr(cell, "output_size"):
        hint = "; create it first" if isinstance(cell, type) else ""
        raise bad(layer, f"a cell is a layer with state_size and output_size, got {cell!r}{hint}")
    if not _are_sizes(size):
        raise bad(
            layer,
            f"the state_size of a cell is a positive integer or a list of them, got {size!r} of "
            f"{cell!r}",
        )


def _are_sizes(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return bool(value) and all(map(_are_sizes, value))
    return is_integer(value) and value >= 1
