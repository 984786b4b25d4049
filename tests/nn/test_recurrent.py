"""Recurrent layers, their cells, and their wrappers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphctx as gx
from graphctx import Layer, nn, ops
from tests.nn.common import agree, close, refused, same, text, values
from tests.nn.parity.case import leaves

LAYERS = {"SimpleRNN": nn.SimpleRNN, "LSTM": nn.LSTM, "GRU": nn.GRU}
each = pytest.mark.parametrize("kind", LAYERS.values(), ids=LAYERS)
X = values(3, 5, 2)


def nodes(graph: Any) -> list[str]:
    """Names of the operators of a graph."""
    return [node.name for node in graph.nodes if node.kind == "op"]


def randomized(layer: Layer, x: Any) -> Layer:
    """The layer, built, with weights that are not zero."""
    layer(x)
    arrays = {
        path: values(*v.shape, seed=i, dtype=v.dtype)
        for i, (path, v) in enumerate(layer.weights.items())
    }
    layer.set_weights(arrays)
    return layer


# -- programs -------------------------------------------------------------------------------------


@each
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_program_equals_the_eager_call(kind: Any, dtype: str, return_sequences: bool) -> None:
    layer = kind(4, return_sequences=return_sequences, dtype=dtype, dropout=0.4)
    y = agree(layer, values(3, 5, 2, dtype=dtype), (0, 1))
    assert y.dtype == dtype
    assert y.shape == ((3, 5, 4) if return_sequences else (3, 4))


@each
@pytest.mark.parametrize(
    "options",
    [
        {"unroll": True},
        {"activation": "gelu", "go_backwards": True},
        {"recurrent_dropout": 0.3},
        {"dropout": 0.3, "recurrent_dropout": 0.3, "return_sequences": True},
    ],
)
def test_step_by_step_program_equals_the_eager_call(kind: Any, options: Any) -> None:
    agree(kind(4, **options), X)
    both = nn.Bidirectional(kind(4, **{**options, "go_backwards": False}))
    agree(both, X)


def test_wrapped_programs_equal_the_eager_call() -> None:
    agree(nn.Bidirectional(nn.LSTM(4, return_sequences=True, dropout=0.4)), X, (0, 1))
    agree(nn.Bidirectional(nn.GRU(4), merge_mode="ave"), X, (0, 1))
    agree(nn.TimeDistributed(nn.Dense(4)), X, (0, 1))
    agree(nn.RNN([nn.LSTMCell(3, dropout=0.4), nn.GRUCell(2)]), X)


def test_integers_are_converted() -> None:
    layer = nn.GRU(4)
    x = np.arange(30).reshape(3, 5, 2) % 7
    close(layer(x), layer(x.astype("float32")))


def test_texts() -> None:
    spec = gx.TensorSpec(("batch", "time", 3))
    graph = gx.trace(nn.GRU(2, return_sequences=True), spec)
    # Without dropout, training makes no difference; compiling turns the weights once.
    assert (
        text(graph)
        == """\
graph gru (sequences: float32[batch, time, 3])  contexts (training: bool = False)
  %1 = Transpose(sequences, perm=[1, 0, 2])
  %2 = Transpose(@gru/cell/kernel, perm=[1, 0])
  %3 = Unsqueeze(%2, [0])
  %4 = Transpose(@gru/cell/recurrent_kernel, perm=[1, 0])
  %5 = Unsqueeze(%4, [0])
  %6 = Reshape(@gru/cell/bias, [-1])
  %7 = Unsqueeze(%6, [0])
  %8 = GRU(%1, %3, %5, %7, hidden_size=2, linear_before_reset=1)
  %9 = Squeeze(%8.0, [1])
  %10 = Transpose(%9, perm=[1, 0, 2])
  return %10"""
    )
    assert nodes(gx.compile(graph).graph) == ["Transpose", "GRU", "Squeeze", "Transpose"]


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.LSTM(2), ["Transpose", "LSTM", "Squeeze"]),
        (nn.SimpleRNN(2, use_bias=False), ["Transpose", "RNN", "Squeeze"]),
        (nn.GRU(2, reset_after=False, return_state=True), ["Transpose", "GRU", "Squeeze"]),
        (
            nn.LSTM(2, return_sequences=True, go_backwards=True),
            ["Transpose", "LSTM", "Squeeze", "Transpose", "Slice"],
        ),
        (
            nn.Bidirectional(nn.LSTM(2, return_sequences=True)),
            ["Transpose", "LSTM", "Transpose", "Reshape"],
        ),
        (
            nn.Bidirectional(nn.GRU(2, return_sequences=True), merge_mode="sum"),
            ["Transpose", "GRU", "Split", "Squeeze", "Squeeze", "Add", "Transpose"],
        ),
        (nn.Bidirectional(nn.SimpleRNN(2)), ["Transpose", "RNN", "Transpose", "Reshape"]),
        (nn.TimeDistributed(nn.Dense(2)), ["Reshape", "Gemm", "Shape", "Concat", "Reshape"]),
        # Between two layers the batch need not come first again.
        (
            nn.Sequential([nn.LSTM(2, return_sequences=True), nn.LSTM(2)]),
            ["Transpose", "LSTM", "Squeeze", "LSTM", "Squeeze"],
        ),
    ],
    ids=lambda item: item.name if isinstance(item, Layer) else "",
)
def test_few_nodes(layer: Any, expected: list[str]) -> None:
    graph = gx.trace(layer, gx.TensorSpec(("batch", "time", 3)))
    found = nodes(gx.compile(graph).graph)
    assert sorted(found) == sorted(expected)


def test_attributes_of_activations() -> None:
    layer = nn.LSTM(2, activation="leaky_relu", recurrent_activation="hard_sigmoid")
    graph = gx.trace(layer, gx.TensorSpec(("batch", "time", 3)))
    [node] = [node for node in graph.nodes if node.name == "LSTM"]
    assert node.attrs["activations"] == ("HardSigmoid", "LeakyRelu", "LeakyRelu")
    assert node.attrs["activation_alpha"] == (1 / 6, 0.2, 0.2)
    assert node.attrs["activation_beta"] == (0.5,)


def test_dropout_is_a_distinction_of_training() -> None:
    graph = gx.trace(nn.LSTM(2, dropout=0.5), gx.TensorSpec(("batch", "time", 3)))
    assert text(graph).splitlines()[-2].startswith("  %25 = select training {False: %15")
    assert nodes(gx.compile(graph).graph) == ["Transpose", "LSTM", "Squeeze"]


# -- weights --------------------------------------------------------------------------------------


def test_weights() -> None:
    layer = nn.LSTM(2)
    layer(X)
    assert [(path, v.shape) for path, v in layer.weights.items()] == [
        ("lstm/cell/kernel", (2, 8)),
        ("lstm/cell/recurrent_kernel", (2, 8)),
        ("lstm/cell/bias", (8,)),
    ]
    kernel = layer.weights["lstm/cell/recurrent_kernel"].numpy()
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(2), atol=1e-6)
    assert kernel.flags.c_contiguous  # as after a round through a file
    same(layer.weights["lstm/cell/bias"].numpy(), np.array([0, 0, 1, 1, 0, 0, 0, 0], "float32"))


def test_initial_biases() -> None:
    for bias, expected in ((True, [3, 1, 3, 3]), (False, [3, 3, 3, 3])):
        cell = nn.LSTMCell(1, bias_initializer=3, unit_forget_bias=bias)
        cell(np.ones((1, 1), "float32"), [np.ones((1, 1), "float32")] * 2)
        same(cell.weights["lstm_cell/bias"].numpy(), np.array(expected, "float32"))


def test_initial_weights_differ_between_directions_and_stacked_cells() -> None:
    for layer in (nn.Bidirectional(nn.GRU(2)), nn.RNN([nn.GRUCell(2), nn.GRUCell(2)])):
        with gx.seed(1):
            layer(X)
        kernels = [v.numpy() for path, v in layer.weights.items() if path.endswith("/kernel")]
        assert len(kernels) == 2
        assert not np.array_equal(*kernels)


def test_eager_and_traced_layers_start_alike() -> None:
    spec = gx.TensorSpec(("batch", "time", 2))
    arrays = []
    for build in (lambda layer: layer(X), lambda layer: gx.trace(layer, spec)):
        layer = nn.Bidirectional(nn.LSTM(2))
        with gx.seed(1):
            build(layer)
        arrays.append({path: v.numpy() for path, v in layer.weights.items()})
    assert list(arrays[0]) == list(arrays[1])
    for path in arrays[0]:
        same(arrays[0][path], arrays[1][path])


# -- masks and states -----------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(sorted(LAYERS)),
    mask=st.none() | st.lists(st.booleans(), min_size=12, max_size=12),
    initial=st.booleans(),
    options=st.fixed_dictionaries(
        {
            "return_sequences": st.booleans(),
            "go_backwards": st.booleans(),
            "zero_output_for_mask": st.booleans(),
            "use_bias": st.booleans(),
            "activation": st.sampled_from(["tanh", "relu", "hard_sigmoid"]),
        }
    ),
)
def test_one_node_computes_what_the_steps_do(
    kind: str, mask: Any, initial: bool, options: Any
) -> None:
    x = values(3, 4, 2)
    given = None if mask is None else np.array(mask).reshape(3, 4)
    states = [values(3, 5, seed=i) for i in range(2 if kind == "LSTM" else 1)] if initial else None
    one, steps = (
        randomized(LAYERS[kind](5, return_state=True, unroll=unroll, **options), x)
        for unroll in (False, True)
    )
    results = [layer(x, states, given) for layer in (one, steps)]
    for ours, theirs in zip(*results, strict=True):
        close(ours, theirs, 1e-4)


@pytest.mark.parametrize("merge_mode", ["concat", "mul", None])
@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("initial", [False, True])
def test_one_node_of_both_directions(
    merge_mode: Any, return_sequences: bool, initial: bool
) -> None:
    mask = np.array([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], bool)
    states = [values(3, 4, seed=i) for i in range(4)] if initial else None
    one, two = (
        randomized(
            nn.Bidirectional(
                nn.LSTM(4, unroll=unroll, return_sequences=return_sequences, return_state=True),
                merge_mode,
            ),
            X,
        )
        for unroll in (False, True)
    )
    for ours, theirs in zip(one(X, states, mask), two(X, states, mask), strict=True):
        close(ours, theirs)


def masked_specs() -> tuple[gx.TensorSpec, ...]:
    return gx.TensorSpec(("batch", "time", 2)), gx.TensorSpec(("batch", "time"), "bool")


@pytest.mark.parametrize(
    "layer",
    [
        nn.LSTM(4, return_sequences=True, return_state=True),
        nn.GRU(4, return_sequences=True, go_backwards=True, zero_output_for_mask=True),
        nn.Bidirectional(nn.SimpleRNN(4, return_sequences=True)),
    ],
    ids=["repeated", "backwards", "both"],
)
def test_masks_of_any_size_in_programs(layer: Any, tmp_path: Any) -> None:
    rng = np.random.default_rng(2)
    x, mask = masked_specs()
    program = gx.compile(gx.trace(layer, x, mask=mask))
    gx.export(program, tmp_path / "masked.onnx")  # and verifies
    for batch, time in ((1, 1), (4, 30)):
        array, counts = values(batch, time, 2), rng.random((batch, time)) < 0.6
        counts[0] = False
        found, expected = program(array, mask=counts), layer(array, mask=counts)
        for ours, theirs in zip(leaves(found), leaves(expected), strict=True):
            same(ours, theirs)


def test_padding_does_not_matter() -> None:
    layer = randomized(nn.LSTM(4, return_state=True), X)
    lengths = np.array([5, 2, 3])
    mask = np.arange(5) < lengths[:, None]
    results = layer(X, mask=mask)
    for row, length in enumerate(lengths):
        for ours, alone in zip(results, layer(X[row : row + 1, :length]), strict=True):
            close(ours[row], alone[0])


def test_states_are_handed_on() -> None:
    layer = randomized(nn.LSTM(4, return_sequences=True, return_state=True), X)
    whole, *last = layer(X)
    first, *states = layer(X[:, :2])
    second, *again = layer(X[:, 2:], states)
    close(np.concatenate([first, second], axis=1), whole)
    for ours, theirs in zip(again, last, strict=True):
        close(ours, theirs)


def test_encoder_and_decoder_as_a_functional_model() -> None:
    source, target = gx.Input((5, 2), name="source"), gx.Input((4, 3), name="target")
    _, *states = nn.LSTM(4, return_state=True, name="encoder")(source)
    y = nn.LSTM(4, return_sequences=True, name="decoder")(target, initial_state=states)
    model = gx.Model([source, target], nn.TimeDistributed(nn.Dense(2))(y))
    arrays = [X, values(3, 4, 3)]
    program = gx.compile(gx.trace(model, *model.input_specs))
    same(program(*arrays), model(arrays))


@each
def test_stateful(kind: Any) -> None:
    layer = kind(4, stateful=True, return_sequences=True)
    other = kind(4, return_sequences=True)
    for one in (layer, other):
        with gx.seed(1):
            one.name = "same"
            one(X)
    layer.reset_state()
    halves = [layer(X[:, :2]), layer(X[:, 2:])]
    close(np.concatenate(halves, axis=1), other(X))
    states = [v for v in layer.weights.values() if v.name == "rnn_state"]
    assert [v.shape for v in states] == [(3, 4)] * (2 if kind is nn.LSTM else 1)
    assert not any(v.trainable for v in states)
    close(states[0].numpy(), other(X)[:, -1])
    layer.reset_state()
    assert not any(v.numpy().any() for v in states)
    agree(layer, X, ())


def test_stateful_wrappers() -> None:
    both = nn.Bidirectional(nn.GRU(4, stateful=True))
    agree(both, X, ())
    assert both.weights["bidirectional/forward_gru/rnn_state"].numpy().any()
    both.reset_state()
    assert not both.weights["bidirectional/backward_gru/rnn_state"].numpy().any()
    stack = nn.RNN([nn.LSTMCell(3), nn.GRUCell(2)], stateful=True)
    agree(stack, X, ())
    assert [path for path in stack.weights if "state" in path] == [
        "rnn/rnn_state", "rnn/rnn_state_1", "rnn/rnn_state_2",
    ]  # fmt: skip
    stack.reset_state()
    assert not stack.weights["rnn/rnn_state_2"].numpy().any()


def test_a_stateful_layer_is_served_with_its_state(tmp_path: Any) -> None:
    import onnxruntime

    layer = randomized(nn.LSTM(4, stateful=True), X)
    program = gx.compile(gx.trace(layer, gx.TensorSpec((3, "time", 2))))
    gx.export(program, tmp_path / "state.onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(tmp_path / "state.onnx", options)
    inputs = session.get_overridable_initializers()
    state = {v.name: np.zeros(v.shape, "float32") for v in inputs}
    layer.reset_state()
    for part in np.split(X, [2], axis=1):
        y, *new = session.run(None, {"sequences": part, **state})
        state = dict(zip(state, new, strict=True))
        close(y, layer(part))


# -- dropout --------------------------------------------------------------------------------------


def test_dropout_drops_the_same_features_in_all_steps() -> None:
    layer = nn.SimpleRNN(
        6, None, use_bias=False, kernel_initializer=np.eye(6), recurrent_initializer=0,
        dropout=0.4, return_sequences=True,
    )  # fmt: skip
    x = np.ones((50, 3, 6), "float32")
    with gx.seed(1):
        y = layer(x, training=True)
    scale = np.float32(1) / (np.float32(1) - np.float32(0.4))
    assert set(np.unique(y)) == {np.float32(0), scale}
    same(y[:, 0], y[:, 1])
    same(y[:, 0], y[:, 2])
    assert abs((y != 0).mean() - 0.6) < 0.1
    assert len({row.tobytes() for row in y[:, 0]}) > 20


def test_recurrent_dropout_drops_the_same_units_in_all_steps() -> None:
    layer = nn.SimpleRNN(
        6, None, use_bias=False, kernel_initializer=np.eye(6), recurrent_initializer=np.eye(6),
        recurrent_dropout=0.5, return_sequences=True,
    )  # fmt: skip
    x = np.zeros((50, 3, 6), "float32")
    x[:, 0] = 1
    with gx.seed(1):
        y = layer(x, training=True)
    same(y[:, 0], x[:, 0])
    assert set(np.unique(y[:, 1])) == {0.0, 2.0}
    same(y[:, 2], 2 * y[:, 1])
    close(layer(x), np.ones_like(x))


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("options", [{}, {"activation": "gelu"}])
def test_each_gate_drops_others_with_recurrent_dropout(kind: Any, options: Any) -> None:
    spec = gx.TensorSpec((2, 3, 4))
    for rates, draws in (((0.5, 0), 1), ((0, 0.5), "gates"), ((0.5, 0.5), "twice")):
        layer = kind(4, dropout=rates[0], recurrent_dropout=rates[1], **options)
        graph = gx.compile(gx.trace(layer, spec), training=True).graph
        count = {"gates": layer.cell.gates, "twice": 2 * layer.cell.gates}.get(draws, draws)
        assert nodes(graph).count("dropout") == count


def test_everything_dropped() -> None:
    layer = randomized(nn.LSTM(4, dropout=1, use_bias=False), X)
    assert not layer(X, training=True).any()


def test_stacked_cells_drop_the_same_in_all_steps() -> None:
    layer = nn.RNN([nn.LSTMCell(3, dropout=0.5), nn.GRUCell(2, recurrent_dropout=0.5)])
    graph = gx.compile(gx.trace(layer, gx.TensorSpec((2, 6, 4))), training=True).graph
    assert nodes(graph).count("dropout") == 1 + 3


# -- cells ----------------------------------------------------------------------------------------


class Adding(Layer):
    """A cell that sums up its inputs."""

    state_size = 2
    output_size = 2

    def call(self, x: Any, states: Any, *, training: gx.Context[bool] = False) -> Any:
        total = states[0] + (2 * x if training else x)
        return total, total


def test_a_cell_of_ones_own() -> None:
    layer = nn.RNN(Adding(), return_sequences=True, return_state=True)
    y, last = layer(X)
    close(y, np.cumsum(X, axis=1))
    same(last, y[:, -1])
    doubled, _ = layer(X, training=True)
    close(doubled, 2 * np.cumsum(X, axis=1))
    mask = np.array([[1, 0, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 0, 0, 0]], bool)
    y, last = layer(X, mask=mask)
    close(y, np.cumsum(X * mask[..., None], axis=1))
    agree(nn.RNN([Adding(), Adding()]), X)


class Counting(Layer):
    """A cell that counts its steps from 1."""

    state_size = 1
    output_size = 1

    def get_initial_state(self, batch_size: Any) -> Any:
        return ops.ones((batch_size, 1))

    def call(self, x: Any, states: Any) -> Any:
        return states[0], [states[0] + 1]


def test_a_cell_may_say_where_it_starts() -> None:
    close(nn.RNN(Counting(), return_sequences=True)(X)[0, :, 0], np.arange(1, 6, dtype="float32"))
    agree(nn.RNN(Counting()), X)


def test_cells_take_states_as_tensors_and_lists() -> None:
    x, h = values(3, 2), values(3, 4, seed=1)
    cell = randomized_cell(nn.GRUCell(4), x, h)
    y, state = cell(x, h)
    listed, [also] = cell(x, [h])
    for other in (state, listed, also):
        same(other, y)
    assert [s.shape for s in nn.LSTMCell(4).get_initial_state(3)] == [(3, 4), (3, 4)]
    assert nn.LSTMCell(4).state_size == [4, 4]
    assert cell.state_size == cell.output_size == 4
    assert nn.StackedRNNCells([cell, nn.LSTMCell(5)]).state_size == [4, [5, 5]]


def randomized_cell(cell: Any, x: Any, states: Any) -> Any:
    cell(x, states)
    cell.set_weights({p: values(*v.shape, seed=3) for p, v in cell.weights.items()})
    return cell


def test_a_cell_step_by_step_is_the_layer() -> None:
    layer = randomized(nn.LSTM(4, return_sequences=True), X)
    states = layer.cell.get_initial_state(3)
    outputs = []
    for x in np.unstack(X, axis=1):
        output, states = layer.cell(x, states)
        outputs.append(output)
    close(np.stack(outputs, axis=1), layer(X))


def test_stacked_cells() -> None:
    x = values(3, 2)
    stack = nn.StackedRNNCells([nn.LSTMCell(4), nn.SimpleRNNCell(3)])
    zeros = [[np.zeros((3, 4), "float32")] * 2, [np.zeros((3, 3), "float32")]]
    output, states = stack(x, zeros)
    assert output.shape == (3, 3)
    assert [[s.shape for s in each] for each in states] == [[(3, 4), (3, 4)], [(3, 3)]]


# -- wrappers -------------------------------------------------------------------------------------


def test_bidirectional_makes_copies() -> None:
    layer = nn.LSTM(4)
    both = nn.Bidirectional(layer)
    both(X)
    assert list(layer.weights) == []
    assert both.forward_layer is not layer
    assert [path for path in both.weights if path.endswith("bias")] == [
        "bidirectional/forward_lstm/cell/bias", "bidirectional/backward_lstm/cell/bias",
    ]  # fmt: skip


def test_bidirectional_is_both_layers() -> None:
    both = randomized(nn.Bidirectional(nn.GRU(4, return_sequences=True)), X)
    forward, backward = both.forward_layer(X), both.backward_layer(X)
    close(both(X), np.concatenate([forward, backward[:, ::-1]], axis=-1))


def test_bidirectional_while_training_with_dropout() -> None:
    layer = nn.Bidirectional(nn.LSTM(2, dropout=0.5))
    graph = gx.trace(layer, gx.TensorSpec(("batch", "time", 3)))
    assert nodes(gx.compile(graph).graph).count("LSTM") == 1
    trained = nodes(gx.compile(graph, training=True).graph)
    assert trained.count("LSTM") == trained.count("dropout") == 2


def test_time_distributed() -> None:
    x = values(2, 3, 4, 4, 1)
    layer = nn.TimeDistributed(nn.Conv2D(2, 3))
    y = layer(x)
    for t in range(3):
        close(y[:, t], layer.layer(x[:, t]))
    outputs = nn.TimeDistributed(nn.LSTM(3, return_state=True))(values(2, 3, 4, 5))
    assert [y.shape for y in outputs] == [(2, 3, 3)] * 3


def test_time_distributed_hands_on_masks() -> None:
    x, mask = values(2, 3, 4, 5), np.arange(24).reshape(2, 3, 4) % 5 > 1
    layer = nn.TimeDistributed(nn.GRU(3))
    y = layer(x, mask)
    for t in range(3):
        close(y[:, t], layer.layer(x[:, t], mask=mask[:, t]))


# -- what is refused ------------------------------------------------------------------------------


@each
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"units": 0}, "units is a positive integer, got 0"),
        ({"units": 2.5}, "units is a positive integer, got 2.5"),
        ({"dropout": 1.5}, "dropout is a number from 0 to 1, got 1.5"),
        ({"recurrent_dropout": -1}, "recurrent_dropout is a number from 0 to 1, got -1"),
        ({"dtype": "int32"}, "dtype is a floating dtype, got 'int32'"),
        (
            {"seed": 3},
            (
                "a layer has no seed of its own, got 3; give the seed to the program "
                "(program(x, seed=...)), or to everything in a block: with gx.seed(...)"
            ),
        ),
    ],
)
def test_bad_arguments(kind: Any, options: Any, message: str) -> None:
    refused(lambda: kind(**{"units": 4, **options}), f"{kind.__name__}: {message}")
    named = f"{kind.__name__} 'own': {message}"
    refused(lambda: kind(**{"units": 4, **options}, name="own"), named)


@pytest.mark.parametrize("argument", ["activation", "recurrent_activation"])
def test_bad_activations(argument: str) -> None:
    with pytest.raises(
        gx.LayerError, match=r"^GRU: unknown activation 'tahn'; did you mean 'tanh'"
    ):
        nn.GRU(4, **{argument: "tahn"})


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((X[0],), "takes a tensor [batch, time, features], got [5, 2] with 2 dimensions"),
        (
            (values(3, 5, 3),),
            "was built for 2 features, got [3, 5, 3] with 3 at axis 2",
        ),
        (("x",), "takes one tensor, got a str"),
        ((X, values(3, 4)), "takes a list of 2 states [batch, units], got 1"),
        ((X, [values(3, 4)] * 3), "takes a list of 2 states [batch, units], got 3"),
        ((X, [values(3, 4), values(3, 5)]), "takes a state [3, 4], got [3, 5]"),
        ((X, [values(2, 4), values(3, 4)]), "takes a state [3, 4], got [2, 4]"),
        ((X, [values(3, 4), 0]), "takes a state [3, 4], got a int"),
        (
            (X, None, np.ones((3, 4), bool)),
            "takes a mask [batch, time], which is [3, 5], got [3, 4]",
        ),
        (
            (X, None, np.ones((3, 5, 1), bool)),
            "takes a mask [batch, time], which is [3, 5], got [3, 5, 1]",
        ),
        ((X, None, [True]), "takes a mask of bools, got a list"),
        ((X, None, np.full((3, 5), "a", object)), "takes a mask of bools, got string"),
    ],
)
def test_bad_calls(args: Any, message: str) -> None:
    layer = nn.LSTM(4)
    layer(X)
    refused(lambda: layer(*args), f"lstm: LSTM {message}")


def test_symbolic_sizes() -> None:
    def trace(layer: Layer, *shape: Any, **options: Any) -> None:
        gx.trace(layer, gx.TensorSpec(shape), **options)

    refused(
        lambda: trace(nn.LSTM(4), "batch", "time", "features"),
        "lstm: LSTM needs to know its number of features to make its weights, but axis 2 of "
        "[batch, time, features] is symbolic; give this dimension a number in the TensorSpec "
        "[while tracing training=False]",
    )
    refused(
        lambda: trace(nn.LSTM(4, stateful=True), "batch", 5, 2),
        "lstm: LSTM has stateful=True and keeps a state for each sequence, but the number of them "
        "is symbolic in [batch, 5, 2]; give the batch dimension a number in the TensorSpec "
        "[while tracing training=False]",
    )
    start = "has to record each time step"
    end = (
        "but the number of them is symbolic in [3, time, 2]; give the time dimension a number in "
        "the TensorSpec"
    )
    for layer, reason in (
        (nn.LSTM(4, unroll=True), "unroll=True"),
        (nn.LSTM(4, activation="gelu"), "ONNX's operator lacks its activation function"),
        (nn.RNN(Adding(), name="lstm"), "ONNX has no operator for Adding"),
    ):
        refused(
            lambda layer=layer: trace(layer, 3, "time", 2),
            f"lstm: {type(layer).__name__} {start} ({reason}), {end} [while tracing "
            f"training=False]",
        )
    dropping = nn.LSTM(4, recurrent_dropout=0.5)
    refused(
        lambda: trace(dropping, 3, "time", 2),
        f"lstm: LSTM {start} (recurrent_dropout while training), {end}; or trace with "
        f"training=False [while tracing training=True]",
    )
    trace(dropping, 3, "time", 2, training=False)


def test_a_stateful_layer_refuses_another_batch() -> None:
    layer = nn.GRU(4, stateful=True)
    layer(X)
    refused(
        lambda: layer(X[:2]),
        "gru: GRU has stateful=True and was built for 3 sequences, got [2, 5, 2] with 2",
    )


def test_no_steps() -> None:
    layer = nn.LSTM(4, return_sequences=True, return_state=True)
    y, h, c = layer(X[:, :0])
    assert y.shape == (3, 0, 4)
    assert not h.any()
    assert not c.any()
    refused(
        lambda: nn.LSTM(4, unroll=True)(X[:, :0]),
        "lstm: LSTM has no time step to record in [3, 0, 2]",
    )


def test_cells_that_keep_no_promise() -> None:
    class Returns(Layer):
        state_size: Any = 2
        output_size = 2

        def __init__(self, result: Any) -> None:
            self.result = result

        def call(self, x: Any, states: Any) -> Any:
            return self.result(x, states)

    two = values(2, 5, 2)  # as many sequences as a cell is to return things
    start = "rnn: Returns is to return"
    refused(
        lambda: nn.RNN(Returns(lambda x, states: x))(two),
        f"{start} its output and a list of new states, got a ndarray",
    )
    refused(
        lambda: nn.RNN(Returns(lambda x, states: (x, [x, x])))(two),
        f"{start} 1 new states, got 2",
    )
    Returns.state_size = "two"
    cell = Returns(None)
    refused(
        lambda: nn.RNN(cell),
        "RNN: the state_size of a cell is a positive integer or a list of them, got 'two' of "
        "<Returns returns>",
    )
    stack = nn.StackedRNNCells([nn.GRUCell(2), nn.GRUCell(2)])
    refused(
        lambda: stack(values(3, 2), [values(3, 2)]),
        "stacked_rnn_cells: StackedRNNCells takes a list of the states of each of 2 cells, got 1",
    )


def test_bad_cells() -> None:
    cell = "a cell is a layer with state_size and output_size, got"
    refused(lambda: nn.RNN(4), f"RNN: {cell} 4")
    refused(lambda: nn.RNN(nn.Dense(4)), f"RNN: {cell} <Dense dense>")
    refused(
        lambda: nn.RNN(nn.LSTMCell),
        f"RNN: {cell} <class 'graphctx.nn.recurrent_cells.LSTMCell'>; create it first",
    )
    refused(lambda: nn.RNN([]), "StackedRNNCells: cells is a list of cells, got []")
    refused(lambda: nn.StackedRNNCells([4]), f"StackedRNNCells: {cell} 4")
    stack = nn.RNN([nn.LSTMCell(3), nn.GRUCell(2)])
    refused(
        lambda: stack(X, [values(3, 3)]),
        "rnn: RNN takes a list of 2 lists of states, one for each cell, got 1",
    )
    lstm_cell = nn.LSTMCell(4)
    lstm_cell(values(3, 2), [values(3, 4)] * 2)
    start = "lstm_cell: LSTMCell"
    refused(
        lambda: lstm_cell(X, []),
        f"{start} takes a tensor [batch, features], got [3, 5, 2] with 3 dimensions",
    )
    refused(
        lambda: lstm_cell(values(3, 3), []),
        f"{start} was built for 2 features, got [3, 3] with 3 at axis 1",
    )
    refused(
        lambda: lstm_cell(values(3, 2), values(3, 4)),
        f"{start} takes a list of 2 states [batch, units], got 1",
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": nn.Dense(4)}, "layer is a recurrent layer, got <Dense dense>"),
        (
            {"layer": nn.LSTM},
            (
                "layer is a recurrent layer, got <class 'graphctx.nn.recurrent.LSTM'>; create it "
                "first"
            ),
        ),
        ({"layer": None}, "layer is a recurrent layer, got None"),
        ({"backward_layer": 4}, "backward_layer is a recurrent layer, got 4"),
        (
            {"merge_mode": "add"},
            "merge_mode is one of 'sum', 'mul', 'ave', 'concat', None, got 'add'",
        ),
        (
            {"backward_layer": nn.GRU(4)},
            "the two layers go in different directions, but both have go_backwards=False",
        ),
        (
            {"backward_layer": nn.GRU(4, go_backwards=True, return_sequences=True)},
            "the two layers have the same return_sequences, got False and True",
        ),
    ],
)
def test_bidirectional_bad_arguments(options: Any, message: str) -> None:
    refused(
        lambda: nn.Bidirectional(**{"layer": nn.LSTM(4), **options}), f"Bidirectional: {message}"
    )


def test_bidirectional_bad_calls() -> None:
    layer = nn.LSTM(4)
    layer(X)
    refused(
        lambda: nn.Bidirectional(layer),
        "Bidirectional: layer was called already, and copies would start with its weights; give a "
        "new one",
    )
    for both in (nn.Bidirectional(nn.LSTM(4)), nn.Bidirectional(nn.LSTM(4, unroll=True))):
        refused(
            lambda both=both: both(X, [values(3, 4)] * 2),
            "bidirectional: Bidirectional takes a list of 4 states, those of the forward layer "
            "first, got 2",
        )
    refused(
        lambda: nn.Bidirectional(nn.LSTM(4))(X[0]),
        "bidirectional/forward_lstm: LSTM takes a tensor [batch, time, features], got [5, 2] with "
        "2 dimensions",
    )


def test_time_distributed_bad_calls() -> None:
    start = "time_distributed: TimeDistributed takes"
    layer = nn.TimeDistributed(nn.Dense(2))
    refused(lambda: nn.TimeDistributed(4), "TimeDistributed: wraps a layer, got 4")
    refused(
        lambda: layer(X[0]),
        f"{start} a tensor [batch, time, ...], got [5, 2] with 2 dimensions",
    )
    refused(lambda: layer([X]), f"{start} one tensor [batch, time, ...], got a list")
    refused(lambda: layer(X, 4), f"{start} a mask [3, 5] and more, got a int")
    refused(lambda: layer(X, np.ones((3, 4), bool)), f"{start} a mask [3, 5] and more, got [3, 4]")


def test_time_distributed_over_a_layer_that_returns_a_dict() -> None:
    class Both(Layer):
        def call(self, x: Any) -> Any:
            return {"x": x, "sums": (x.sum(axis=1), None)}

    y = nn.TimeDistributed(Both())(X)
    same(y["x"], X)
    close(y["sums"][0], X.sum(axis=2))
    assert y["sums"][1] is None


def test_the_biases_of_a_gru_are_constants_of_a_program() -> None:
    layer = nn.GRU(2, unroll=True)
    found = text(gx.compile(gx.trace(layer, gx.TensorSpec(("batch", 2, 3)))).graph)
    assert "Gather" not in found
    assert "@gru/cell/bias" not in found


def test_backwards_between_layers_needs_no_transpose() -> None:
    model = nn.Sequential([nn.GRU(2, return_sequences=True, go_backwards=True), nn.GRU(2)])
    graph = gx.compile(gx.trace(model, gx.TensorSpec(("batch", "time", 2)))).graph
    assert nodes(graph) == ["Transpose", "GRU", "Squeeze", "Slice", "GRU", "Squeeze"]
    agree(model, X)
