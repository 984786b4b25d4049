"""Layers around layers of sequences: both directions, and one layer at every time step."""

from __future__ import annotations

import copy
from typing import Any

from graphctx import ops
from graphctx.context import Context
from graphctx.layer import Layer
from graphctx.nn.arguments import bad, bad_call, is_tensor, require_shape
from graphctx.nn.recurrent import RNN, MaskedSteps, as_time_mask, onnx_operator
from graphctx.nn.recurrent_cells import Cell, require_states, sizes_of
from graphctx.nn.sublayers import build_sublayer, require_layer
from graphctx.spec import same_shape, shape_text
from graphctx.tree import map_leaves

__all__ = ["Bidirectional", "TimeDistributed"]

MERGE_MODES = ("sum", "mul", "ave", "concat", None)


class Bidirectional(Layer):
    """Runs a recurrent layer along sequences in both directions, and merges what comes out.

    Two alike layers of one cell become one bidirectional node of ONNX's operator. As in Keras,
    outputs of masked steps are 0 if all outputs are returned.

    Args:
        layer: such as `LSTM(8)`, not called yet: copies of it run forwards and backwards.
        merge_mode: "concat" puts the outputs of both directions side by side; "sum", "mul" and
            "ave" (their mean) combine them; None returns both.
        backward_layer: for the other direction, in the place of a copy. It takes the steps in the
            other order than `layer`, and returns the like.
        name: of the layer.

    Context:
        training (bool, default False): see `RNN`.

    Attributes:
        forward_layer: the copy that runs forwards.
        backward_layer: the copy that runs backwards, or what is given.

    Called like the layer, with the states of the forward layer first in `initial_state`. Returns
    the merged output, of all steps in the order of the input if the layer returns sequences, or
    both outputs; if it returns states, a tuple of it and the last states, forward ones first.

    Raises:
        LayerError: a bad argument; what the layer refuses.
    """

    forward_layer: RNN
    backward_layer: RNN

    def __init__(
        self,
        layer: RNN,
        merge_mode: str | None = "concat",
        *,
        backward_layer: RNN | None = None,
        name: str | None = None,
    ) -> None:
        self.name = name
        self._require_recurrent("layer", layer)
        if backward_layer is not None:
            self._require_recurrent("backward_layer", backward_layer)
        if not (merge_mode is None or isinstance(merge_mode, str)) or merge_mode not in MERGE_MODES:
            known = ", ".join(map(repr, MERGE_MODES))
            raise bad(self, f"merge_mode is one of {known}, got {merge_mode!r}")
        if layer._built:
            raise bad(
                self,
                "layer was called already, and copies would start with its weights; give a new one",
            )
        self.merge_mode = merge_mode
        self.forward_layer = copy.deepcopy(layer)
        self.forward_layer.name = f"forward_{layer.name.removeprefix('forward_')}"
        if backward_layer is None:
            backward_layer = copy.deepcopy(layer)
            backward_layer.name = f"backward_{layer.name.removeprefix('backward_')}"
            backward_layer.go_backwards = True
        self.backward_layer = backward_layer
        self._check_alike()
        for direction in (self.forward_layer, self.backward_layer):
            direction.zero_output_for_mask = direction.return_sequences

    def _require_recurrent(self, what: str, given: Any) -> None:
        if not isinstance(given, RNN):
            hint = "; create it first" if isinstance(given, type) else ""
            raise bad(self, f"{what} is a recurrent layer, got {given!r}{hint}")

    def _check_alike(self) -> None:
        forward, backward = self.forward_layer, self.backward_layer
        if forward.go_backwards == backward.go_backwards:
            raise bad(
                self,
                f"the two layers go in different directions, but both have "
                f"go_backwards={forward.go_backwards}",
            )
        for name in ("stateful", "return_sequences", "return_state"):
            one, other = getattr(forward, name), getattr(backward, name)
            if one != other:
                raise bad(self, f"the two layers have the same {name}, got {one} and {other}")

    def build(self, sequences_shape: Any) -> None:
        """Build both layers."""
        build_sublayer(self.forward_layer, sequences_shape)
        build_sublayer(self.backward_layer, sequences_shape)

    def reset_state(self) -> None:
        """Set the states of stateful layers to 0."""
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    def call(
        self,
        sequences: Any,
        initial_state: Any = None,
        mask: Any = None,
        *,
        training: Context[bool] = False,
    ) -> Any:
        """Run both layers; see the class."""
        run = self._as_operator if self._is_one_node(training) else self._one_by_one
        output, states = run(sequences, initial_state, mask)
        if not self.forward_layer.return_state:
            return output
        return (*output, *states) if self.merge_mode is None else (output, *states)

    def _merged(self, forward: Any, backward: Any) -> Any:
        if self.merge_mode is None:
            return forward, backward
        if self.merge_mode == "concat":
            return ops.concat([forward, backward], axis=-1)
        if self.merge_mode == "mul":
            return forward * backward
        total = forward + backward
        return total / 2 if self.merge_mode == "ave" else total

    # -- one layer after the other ----------------------------------------------------------------

    def _one_by_one(self, sequences: Any, initial_state: Any, mask: Any) -> Any:
        outputs, states = [], []
        halves = [None, None] if initial_state is None else self._halves(initial_state)
        for layer, initial in zip((self.forward_layer, self.backward_layer), halves, strict=True):
            result = layer(sequences, initial_state=initial, mask=mask)
            if layer.return_state:
                result, *last = result
                states += last
            outputs.append(result)
        forward, backward = outputs
        if self.forward_layer.return_sequences:
            backward = ops.flip(backward, 1)
        return self._merged(forward, backward), states

    def _halves(self, states: Any) -> list[Any]:
        counts = [len(sizes_of(self.forward_layer.cell)), len(sizes_of(self.backward_layer.cell))]
        given = len(states) if isinstance(states, (list, tuple)) else 1
        if given != sum(counts):
            raise bad_call(
                self,
                f"takes a list of {sum(counts)} states, those of the forward layer first, got "
                f"{given}",
            )
        return [states[: counts[0]], states[counts[0] :]]

    # -- one node ---------------------------------------------------------------------------------

    def _is_one_node(self, training: bool) -> bool:
        """Whether ONNX's operator does both layers at once."""
        forward, backward = self.forward_layer, self.backward_layer
        if any(layer.unrolled_because(training) for layer in (forward, backward)):
            return False
        dropped = training and (forward.cell.dropout or backward.cell.dropout)
        return (
            backward.go_backwards
            and not forward.stateful
            and not dropped  # each drops others
            and forward.cell.kind == backward.cell.kind
        )

    def _as_operator(self, sequences: Any, initial_state: Any, mask: Any) -> Any:
        cells: list[Cell] = [self.forward_layer.cell, self.backward_layer.cell]
        x = self.forward_layer.checked(sequences)
        states = None
        if initial_state is not None:
            sides = zip(cells, self._halves(initial_state), strict=True)
            states = [s for c, half in sides for s in require_states(self, c, half, x.shape[0])]
        steps = None
        if mask is not None:
            steps = MaskedSteps(x, as_time_mask(self, mask, x))
            x = steps.front
        y, last = onnx_operator(cells, x, states, steps, "bidirectional")
        # [2, batch, units] each -> those of the forward layer, then those of the backward layer
        pairs = [ops.unstack(pair, 0) for pair in last]
        states = [state for side in zip(*pairs, strict=True) for state in side]
        every = self.forward_layer.return_sequences
        if self.merge_mode == "concat":
            y = ops.permute_dims(y, (2, 0, 1, 3)) if every else ops.permute_dims(last[0], (1, 0, 2))
            merged = ops.reshape(y, (*y.shape[:-2], 2 * cells[0].units))
        elif every:
            forward, backward = (ops.permute_dims(side, (1, 0, 2)) for side in ops.unstack(y, 1))
            merged = self._merged(forward, backward)
        else:
            merged = self._merged(*pairs[0])
        if steps is not None and every:
            both = isinstance(merged, tuple)
            merged = tuple(map(steps.spread, merged)) if both else steps.spread(merged)
        return merged, states


class TimeDistributed(Layer):
    """Applies a layer to every time step.

    The layer runs once, on all steps of all sequences as one batch: [batch * time, ...]. So a layer
    whose examples meet, as those of `BatchNorm` do while training, takes all steps together, where
    Keras runs it for each step.

    Args:
        layer: to apply.
        name: of the layer.

    Attributes:
        layer: that is given.

    Called with x [batch, time, ...] and optionally a mask [batch, time, ...], which the layer then
    is given too; returns [batch, time, ...], or a nest of such.

    Raises:
        LayerError: `layer` is none; an input of less than 3 dimensions, or a mask of other sizes.
    """

    def __init__(self, layer: Any, *, name: str | None = None) -> None:
        self.name = name
        self.layer = require_layer(self, layer)

    def call(self, x: Any, mask: Any = None) -> Any:
        """Apply the layer; see the class."""
        if not is_tensor(x):
            raise bad_call(self, f"takes one tensor [batch, time, ...], got a {type(x).__name__}")
        require_shape(self, x.shape, "[batch, time, ...]", least=3)
        options = {}
        if mask is not None:
            if not is_tensor(mask) or not same_shape(mask.shape[:2], x.shape[:2]):
                came = shape_text(mask.shape) if is_tensor(mask) else f"a {type(mask).__name__}"
                raise bad_call(self, f"takes a mask {shape_text(x.shape[:2])} and more, got {came}")
            options["mask"] = _one_batch(mask)
        time = x.shape[1]
        return map_leaves(
            self.layer(_one_batch(x), **options),
            lambda y: ops.reshape(y, (-1, time, *y.shape[1:])),
            is_tensor,
        )


def _one_batch(x: Any) -> Any:
    return ops.reshape(x, (-1, *x.shape[2:]))
