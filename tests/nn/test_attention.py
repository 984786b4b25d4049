"""Multi-head attention, its cache and rotary positions; attention without projections."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphctx as gx
from graphctx import Layer, nn
from tests.nn.common import agree, close, refused, same, text, values


class Self(Layer):
    """Self-attention of a layer."""

    def __init__(self, layer: Layer, **options: Any) -> None:
        self.attention = layer
        self.options = options

    def call(self, x: Any, mask: Any = None) -> Any:
        return self.attention(x, x, value_mask=mask, **self.options)


def causal(**options: Any) -> Self:
    return Self(nn.MultiHeadAttention(2, 4, **options), use_causal_mask=True)


# -- what is recorded -----------------------------------------------------------------------------


def test_a_node_a_projection_and_one_for_attention() -> None:
    layer = nn.MultiHeadAttention(2, 3, use_bias=False, name="attention")
    graph = gx.trace(layer, *[gx.TensorSpec(("b", "t", 4))] * 2)
    assert (
        text(graph)
        == """\
graph attention (query: float32[b, t, 4], value: float32[b, t, 4])
  %1 = Reshape(@attention/query/kernel, [4, 6])
  %2 = MatMul(query, %1)
  %3 = Reshape(@attention/key/kernel, [4, 6])
  %4 = MatMul(value, %3)
  %5 = Reshape(@attention/value/kernel, [4, 6])
  %6 = MatMul(value, %5)
  %7 = Attention(%2, %4, %6, kv_num_heads=2, q_num_heads=2)
  %8 = Reshape(@attention/attention_output/kernel, [6, 4])
  %9 = MatMul(%7, %8)
  return %9"""
    )
    program = gx.compile(graph)
    kinds = [node.name for node in program.graph.nodes if node.kind == "op"]
    assert kinds == ["MatMul", "MatMul", "MatMul", "Attention", "MatMul"]


def test_a_padding_mask_is_written_out_once() -> None:
    model = Self(nn.MultiHeadAttention(2, 3), use_causal_mask=True)
    specs = gx.TensorSpec(("b", "t", 4)), gx.TensorSpec(("b", "t"), "bool")
    program = gx.compile(gx.trace(model, *specs))
    kinds = [node.name for node in program.graph.nodes if node.kind == "op"]
    assert kinds.count("Expand") == 1
    assert "is_causal=1" in str(program.graph)


def test_a_step_of_one_token_moves_no_axes() -> None:
    model = causal(cache_length=8, use_bias=False)
    graph = gx.trace(model, gx.TensorSpec((1, 1, 6)), cache="decode")
    program = gx.compile(graph)
    kinds = [node.name for node in program.graph.nodes if node.kind == "op"]
    assert sorted(kinds) == [
        "Add", "Attention", *["MatMul"] * 4, *["Reshape"] * 4, "TensorScatter", "TensorScatter"
    ]  # fmt: skip


def test_context_is_what_the_layer_has_need_of() -> None:
    x = gx.TensorSpec((2, 3, 4))
    assert not gx.trace(causal(), x).contexts
    assert list(gx.trace(causal(dropout=0.5), x).contexts) == ["training"]
    assert list(gx.trace(causal(cache_length=4), x).contexts) == ["cache"]
    both = gx.trace(causal(cache_length=4, dropout=0.5), x)
    assert list(both.contexts) == ["cache", "training"]
    assert gx.compile(both).state == ()
    cache = "self/attention/cache"
    state = (f"{cache}/key", f"{cache}/value", f"{cache}/position")
    assert gx.compile(both, cache="prefill").state == state
    assert gx.compile(both, cache="decode").state == state


@pytest.mark.parametrize(
    "layer",
    [
        nn.MultiHeadAttention(2, 4),
        nn.MultiHeadAttention(2, 4, dropout=0.4),
        nn.MultiHeadAttention(3, 2, value_dim=5, use_gate=True, output_shape=(2, 3)),
        nn.MultiHeadAttention(2, 4, sliding_window=2, dropout=0.4),
        nn.MultiHeadAttention(2, 4, rotary_embedding=nn.RotaryEmbedding(9)),
        nn.GroupQueryAttention(4, 6, 2, dropout=0.4),
        nn.GroupQueryAttention(4, 6, 2, rotary_embedding=nn.RotaryEmbedding(9, rotated=2)),
    ],
    ids=str,
)
@pytest.mark.parametrize("options", [{}, {"use_causal_mask": True}])
def test_programs_are_eager_calls(layer: Layer, options: Any) -> None:
    agree(Self(layer, **options), values(2, 5, 6), symbolic=(0, 1))


def test_layers_are_built_by_keyword_arguments_too() -> None:
    x, y = values(2, 5, 6), values(2, 3, 4, seed=1)
    layer = nn.MultiHeadAttention(2, 4)
    assert layer(query=x, value=y, key=y).shape == (2, 5, 6)
    assert layer.weights["multi_head_attention/key/kernel"].shape == (4, 2, 4)
    same(layer(query=x, value=y), layer(x, y))
    graph = gx.trace(nn.MultiHeadAttention(2, 4), query=gx.TensorSpec((2, 5, 6)),
                     value=gx.TensorSpec((2, 3, 4)))  # fmt: skip
    assert gx.compile(graph).outputs["output"].shape == (2, 5, 6)


def test_weights_have_the_names_and_shapes_of_keras() -> None:
    layer = nn.MultiHeadAttention(2, 3, value_dim=5, use_gate=True)
    layer(values(2, 4, 6), values(2, 3, 7))
    prefix = "multi_head_attention"
    assert {path: weight.shape for path, weight in layer.weights.items()} == {
        f"{prefix}/query/kernel": (6, 2, 3), f"{prefix}/query/bias": (2, 3),
        f"{prefix}/key/kernel": (7, 2, 3), f"{prefix}/key/bias": (2, 3),
        f"{prefix}/gate/kernel": (6, 2, 5), f"{prefix}/gate/bias": (2, 5),
        f"{prefix}/value/kernel": (7, 2, 5), f"{prefix}/value/bias": (2, 5),
        f"{prefix}/attention_output/kernel": (2, 5, 6), f"{prefix}/attention_output/bias": (6,),
    }  # fmt: skip


# -- dropout, masks -------------------------------------------------------------------------------


@settings(max_examples=25)
@given(
    groups=st.integers(1, 2), share=st.integers(1, 2), rows=st.integers(1, 5),
    keys=st.integers(1, 5), is_causal=st.booleans(), window=st.none() | st.integers(1, 3),
    masks=st.sets(st.sampled_from(["query_mask", "value_mask", "key_mask", "attention_mask"])),
)  # fmt: skip
def test_dropout_of_nothing_is_attention_without_dropout(
    groups: int, share: int, rows: int, keys: int, is_causal: bool, window: Any, masks: set[str]
) -> None:
    rng = np.random.default_rng(0)
    shapes = {"query_mask": (2, rows), "attention_mask": (2, rows, keys)}
    given = {name: rng.random(shapes.get(name, (2, keys))) < 0.6 for name in masks}
    x, y = values(2, rows, 6), values(2, keys, 4, seed=1)
    options = {"use_causal_mask": is_causal, "return_attention_scores": True, **given}
    # So small a rate drops nothing: what differs is how it is computed.
    layer = nn.GroupQueryAttention(3, groups * share, groups, dropout=1e-9, sliding_window=window)
    found = layer(x, y, training=True, **options)
    for a, b in zip(found, layer(x, y, **options), strict=True):
        close(a, b)


def test_dropout_drops_weights_and_scales_the_others() -> None:
    layer = nn.MultiHeadAttention(1, 4, dropout=0.5, use_bias=False)
    x = values(1, 6, 4)
    plain = layer(x, x)
    program = gx.compile(gx.trace(layer, x, x), training=True)
    draws = np.stack([program(x, x, seed=seed) for seed in range(1500)])
    assert not np.array_equal(draws[0], draws[1])
    np.testing.assert_allclose(draws.mean(axis=0), plain, atol=0.15)


def test_a_row_without_keys_is_zero() -> None:
    layer = nn.MultiHeadAttention(2, 4, use_bias=False, dropout=0.5)
    x = values(2, 3, 6)
    mask = np.array([[True, True, True], [False, False, False]])
    for training in (False, True):
        y = layer(x, x, value_mask=mask, training=training)
        assert not y[1].any()
        assert y[0].any()


# -- rotary positions -----------------------------------------------------------------------------


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("rotated", [None, 4])
def test_rotary_embedding_is_a_rotation_of_pairs(interleaved: bool, rotated: int | None) -> None:
    x = values(2, 3, 5, 8)  # [batch, heads, length, size]
    layer = nn.RotaryEmbedding(16, 100.0, rotated=rotated, interleaved=interleaved)
    places = np.array([[0, 1, 2, 3, 4], [9, 3, 15, 0, 1]])
    y = layer(x, places)
    count = rotated or 8
    turned, rest = x[..., :count], x[..., count:]
    first, second = (
        (turned[..., ::2], turned[..., 1::2]) if interleaved else np.split(turned, 2, axis=-1)
    )
    angles = places[:, None, :, None] * 100.0 ** (-np.arange(0, count, 2) / count)
    pairs = (first + 1j * second) * np.exp(1j * angles)
    expected = np.empty_like(x)
    expected[..., count:] = rest
    if interleaved:
        expected[..., :count:2], expected[..., 1:count:2] = pairs.real, pairs.imag
    else:
        expected[..., : count // 2], expected[..., count // 2 : count] = pairs.real, pairs.imag
    close(y, expected)
    flat = x.transpose(0, 2, 1, 3).reshape(2, 5, 24)
    same(layer(flat, places, num_heads=3), y.transpose(0, 2, 1, 3).reshape(2, 5, 24))
    close(layer(x)[0], y[0])  # the first sample has the positions 0, 1, ...


def test_rotary_attention_sees_distances_only() -> None:
    layer = nn.RotaryEmbedding(32)
    q, k = values(1, 1, 4, 8), values(1, 1, 4, 8, seed=1)
    places = np.arange(4)[None]
    near, far = (
        layer(q, places + offset) @ layer(k, places + offset).swapaxes(-1, -2) for offset in (0, 20)
    )
    close(near, far, 1e-4)


# -- the cache ------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(
    lengths=st.lists(st.integers(1, 4), min_size=1, max_size=4), share=st.integers(1, 2),
    rotary=st.booleans(), window=st.none() | st.integers(1, 4), scores=st.booleans(),
    counts_itself=st.booleans(),
)  # fmt: skip
def test_prefill_and_steps_are_all_at_once(
    lengths: list[int], share: int, rotary: bool, window: Any, scores: bool, counts_itself: bool
) -> None:
    size = sum(lengths)
    layer = nn.GroupQueryAttention(
        4, 2 * share, 2, cache_length=size + 1, sliding_window=window,
        rotary_embedding=nn.RotaryEmbedding(size) if rotary else None,
    )  # fmt: skip
    x = values(2, size, 6)
    options = {"use_causal_mask": True, "return_attention_scores": scores}
    whole = layer(x, x, **options)
    start, found = 0, []
    for i, length in enumerate(lengths):
        part = x[:, start : start + length]
        position = None if counts_itself else np.full(2, start)
        y = layer(part, part, cache="decode" if i else "prefill", cache_position=position,
                  **options)  # fmt: skip
        if scores:
            y, weights = y
            width = min(weights.shape[-1], start + length)
            close(weights[..., :width], whole[1][:, :, start : start + length, :width])
            assert not weights[..., width:].any()
        found.append(y)
        start += length
    close(np.concatenate(found, axis=1), whole[0] if scores else whole)
    if counts_itself:
        np.testing.assert_array_equal(layer.cache.position.numpy(), [size, size])
    else:
        assert layer.cache.position is None


def test_programs_step_as_eager_calls_do() -> None:
    model = causal(cache_length=8)
    x = values(2, 5, 6)
    graph = gx.trace(model, gx.TensorSpec((2, "t", 6)))
    prefill, decode = (gx.compile(graph, cache=mode) for mode in ("prefill", "decode"))
    y, state = prefill.step(x[:, :3])
    same(model(x[:, :3], cache="prefill"), y)
    for place in (3, 4):
        y, state = decode.step(x[:, place : place + 1], state=state)
        same(model(x[:, place : place + 1], cache="decode"), y)
    for path, value in state.items():
        same(model.weights[path].numpy(), value)
    again, _ = prefill.step(x[:, :1], state=None)
    same(model(x[:, :1], cache="prefill"), again)
    assert model.attention.cache.position.numpy().tolist() == [1, 1]


def test_padding_at_the_end_of_a_prompt_is_written_over() -> None:
    layer = nn.MultiHeadAttention(2, 4, cache_length=8, rotary_embedding=nn.RotaryEmbedding(8))
    x = values(2, 6, 6)
    prompts = np.array([[True, True, True, True], [True, True, False, False]])
    layer(x[:, :4], x[:, :4], value_mask=prompts, use_causal_mask=True, cache="prefill")
    token = np.stack([x[0, 4:5], x[1, 2:3]])  # the fifth token of one, the third of the other
    y = layer(token, token, use_causal_mask=True, cache="decode")
    whole = layer(x, x, use_causal_mask=True)
    close(y[:, 0], np.stack([whole[0, 4], whole[1, 2]]))
    assert layer.cache.position.numpy().tolist() == [5, 3]
    pair = np.stack([x[0, 5:], x[1, 3:4]])
    mask = np.array([[True], [False]])
    layer(pair, pair, value_mask=mask, use_causal_mask=True, cache="decode")
    assert layer.cache.position.numpy().tolist() == [6, 3]


def test_a_full_cache_is_an_error_everywhere(tmp_path: Any) -> None:
    model = causal(cache_length=4)
    x = values(2, 4, 6)
    graph = gx.trace(model, gx.TensorSpec((2, "t", 6)))
    model(x, cache="prefill")
    full = "the cache has 4 places, of which sample 0 uses 4 already; 1 more do not fit"
    with pytest.raises(gx.ShapeError, match=f"^self/attention/cache: TensorScatter.*{full}"):
        model(x[:, :1], cache="decode")
    assert model.attention.cache.position.numpy().tolist() == [4, 4]
    model.attention.cache.position.assign(np.zeros(2, np.int64))
    prefill, decode = (gx.compile(graph, cache=mode) for mode in ("prefill", "decode"))
    _, state = prefill.step(x)
    message = f"^self/attention/cache: TensorScatter refuses these inputs: {full}"
    with pytest.raises(gx.InputError, match=message):
        decode.step(x[:, :1], state=state)
    with pytest.raises(gx.InputError, match="uses 0 already; 5 more do not fit"):
        prefill.step(values(2, 5, 6))
    exported = gx.export(decode, tmp_path / "decode.onnx", sizes={"t": [1]})
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(exported.path, options, ["CPUExecutionProvider"])
    with pytest.raises(Exception, match="TensorScatter"):
        session.run(None, {"x": x[:, :1], **state})
    exported = gx.export(prefill, tmp_path / "prefill.onnx", sizes={"t": [1, 4]})
    session = onnxruntime.InferenceSession(exported.path, options, ["CPUExecutionProvider"])
    with pytest.raises(Exception, match="TensorScatter"):
        session.run(None, {"x": values(2, 5, 6)})


def test_a_cache_written_in_place_is_the_same(tmp_path: Any) -> None:
    model = causal(cache_length=4)
    graph = gx.trace(model, gx.TensorSpec((2, "t", 6)), cache="decode")
    program = gx.compile(graph)
    exported = gx.export(program, tmp_path / "decode.onnx", sizes={"t": [1]})
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(exported.path, options, ["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_output("output")
    counter = "self/attention/cache/position"
    binding.bind_output(f"{counter}:new")
    state = {path: model.weights[path].numpy() for path in program.state}
    for name in ("key", "value"):
        path = f"self/attention/cache/{name}"
        value = onnxruntime.OrtValue.ortvalue_from_numpy(state[path].copy())
        binding.bind_ortvalue_input(path, value)
        binding.bind_ortvalue_output(f"{path}:new", value)
    position = state[counter]
    for place in range(4):
        x = values(2, 1, 6, seed=place)
        expected, state = program.step(x, state=state)
        binding.bind_cpu_input("x", x)
        bound = onnxruntime.OrtValue.ortvalue_from_numpy(position)
        binding.bind_ortvalue_input(counter, bound)
        session.run_with_iobinding(binding)
        y, position = (np.array(v.numpy()) for v in binding.get_outputs()[:2])
        close(y, expected)
    same(position, state[counter])


# -- attention without projections ----------------------------------------------------------------


class Pair(Layer):
    """A layer that takes a list, on one tensor."""

    def __init__(self, layer: Layer, **options: Any) -> None:
        self.attention = layer
        self.options = options

    def call(self, x: Any) -> Any:
        return self.attention([x, x], **self.options)


@pytest.mark.parametrize("layer", [nn.Attention(True, dropout=0.3), nn.AdditiveAttention(),
                                   nn.Attention(score_mode="concat")], ids=repr)  # fmt: skip
def test_attention_without_projections(layer: Layer) -> None:
    agree(Pair(layer, use_causal_mask=True), values(2, 4, 3), symbolic=(0, 1))


# -- messages -------------------------------------------------------------------------------------


def test_bad_arguments_are_refused() -> None:
    refused(
        lambda: nn.MultiHeadAttention(0, 4),
        "MultiHeadAttention: num_heads is a positive integer, got 0",
    )
    refused(
        lambda: nn.MultiHeadAttention(2, 4.0),  # type: ignore[arg-type]
        "MultiHeadAttention: key_dim is a positive integer, got 4.0",
    )
    refused(
        lambda: nn.MultiHeadAttention(2, 4, 0),
        "MultiHeadAttention: value_dim is a positive integer, got 0",
    )
    refused(
        lambda: nn.MultiHeadAttention(2, 4, dropout=1.0, name="a"),
        "MultiHeadAttention 'a': dropout is a number from 0 to 1, but not 1, got 1.0",
    )
    refused(
        lambda: nn.MultiHeadAttention(2, 4, output_shape=()),
        "MultiHeadAttention: output_shape is a positive integer or a list of them, got ()",
    )
    refused(
        lambda: nn.MultiHeadAttention(2, 4, attention_axes=(1, 2)),
        "MultiHeadAttention: attends over axis 1, the length, of [batch, length, features]; "
        "for other attention_axes reshape its inputs, got (1, 2)",
    )
    refused(
        lambda: nn.MultiHeadAttention(2, 4, sliding_window=0),
        "MultiHeadAttention: sliding_window is a positive integer, got 0",
    )
    refused(
        lambda: nn.MultiHeadAttention(2, 4, flash_attention=True),
        "MultiHeadAttention: flash_attention is a choice of Keras's backends; leave it out",
    )
    refused(
        lambda: nn.MultiHeadAttention(2, 4, cache_length=0),
        "MultiHeadAttention: cache_length is a positive integer, got 0",
    )
    refused(
        lambda: nn.MultiHeadAttention(2, 4, rotary_embedding=10),  # type: ignore[arg-type]
        "MultiHeadAttention: rotary_embedding is an nn.RotaryEmbedding, got int",
    )
    refused(
        lambda: nn.MultiHeadAttention(2, 4, seed=3),  # type: ignore[arg-type]
        "MultiHeadAttention: a layer has no seed of its own, got 3; give the seed to the "
        "program (program(x, seed=...)), or to everything in a block: with gx.seed(...)",
    )
    refused(
        lambda: nn.GroupQueryAttention(4, 6, 4),
        "GroupQueryAttention: num_query_heads is a multiple of num_key_value_heads=4, got 6",
    )
    refused(
        lambda: nn.RotaryEmbedding(8, rotated=3),
        "RotaryEmbedding: rotated is an even number, got 3",
    )
    refused(lambda: nn.Attention(score_mode="sum"),
            "Attention: score_mode is one of 'concat', 'dot', got 'sum'")  # fmt: skip


def test_bad_calls_are_refused() -> None:
    x = values(2, 4, 6)
    layer = nn.MultiHeadAttention(2, 4, name="att")
    refused(
        lambda: layer(x[0], x[0]),
        "att: MultiHeadAttention takes a tensor [batch, length, features] as its query, got "
        "[4, 6] with 2 dimensions",
    )
    layer(x, x)
    refused(
        lambda: layer(x, x[0]),
        "att: MultiHeadAttention takes a tensor [batch, length, features] as its value, got "
        "[4, 6] with 2 dimensions",
    )
    refused(
        lambda: layer(x, x, x[:, :3]),
        "att: MultiHeadAttention takes as many keys as values, got key [2, 3, 6] and value "
        "[2, 4, 6]",
    )
    refused(
        lambda: layer(x, x[..., :5]),
        "att/key: HeadDense was built for 6 features, got [2, 4, 5] with 5 at axis 2",
    )
    refused(
        lambda: layer(x, x, value_mask=np.ones((2, 3), bool)),
        "att: MultiHeadAttention takes a mask that broadcasts to [2, 4], got [2, 3]",
    )
    refused(
        lambda: layer(x, x, attention_mask=np.ones((2, 3, 4), bool)),
        "att: MultiHeadAttention takes a mask that broadcasts to [2, 4, 4], got [2, 3, 4]",
    )
    refused(
        lambda: layer(x, x, attention_mask=[True]),
        "att: MultiHeadAttention takes a mask of bools, got a list of 1",
    )
    rotary = nn.RotaryEmbedding(3, name="rope")
    refused(
        lambda: rotary(values(2, 4, 6), num_heads=1),
        "rope: RotaryEmbedding has max_length=3, got [2, 4, 6] with a length of 4",
    )
    refused(
        lambda: rotary(values(2, 3, 6)),
        "rope: RotaryEmbedding needs num_heads for an input [2, 3, 6]",
    )
    refused(
        lambda: rotary(values(2, 3, 6), num_heads=2),
        "rope: RotaryEmbedding rotates an even number of elements, at most 3: 3",
    )
    plain = nn.Attention(name="a")
    refused(lambda: plain(x), "a: Attention takes a list [query, value] or [query, value, key]")
    refused(
        lambda: plain([x, x[..., :4]]),
        "a: Attention takes query [batch, rows, features], value [batch, keys, size] and key "
        "[batch, keys, features], got [2, 4, 6], [2, 4, 4], [2, 4, 4]",
    )
    refused(lambda: plain([x, x], mask=np.ones((2, 4), bool)),
            "a: Attention takes as its mask a list [query mask, value mask]")  # fmt: skip


def test_what_a_cache_cannot_hold_is_refused() -> None:
    x = values(2, 4, 6)
    short = causal(cache_length=3)
    refused(
        lambda: short(x, cache="prefill"),
        "self/attention/cache: KeyValueCache is too short: cache_length=3, and the call has 4 "
        "tokens",
    )
    with pytest.raises(gx.LayerError, match=r"is too short: cache_length=3.*tracing cache=prefill"):
        gx.trace(short, gx.TensorSpec((2, 4, 6)))
    with pytest.raises(gx.LayerError, match=r"needs to know its batch.*axis 0 of \[b, t, 8\]"):
        gx.trace(causal(cache_length=3), gx.TensorSpec(("b", "t", 6)))
    assert gx.trace(causal(cache_length=3), gx.TensorSpec(("b", "t", 6)), cache="off")
    layer = nn.MultiHeadAttention(2, 4, cache_length=8, name="att")
    refused(
        lambda: layer(x, x, cache="prefill"),
        "att/cache: KeyValueCache in the mode 'prefill' needs use_causal_mask=True: an earlier "
        "token cannot see those that come with a later call",
    )
    now: dict[str, Any] = {"use_causal_mask": True, "cache": "decode"}
    refused(
        lambda: layer(x, x, attention_mask=np.ones((4, 4), bool), **now),
        "att/cache: KeyValueCache in the mode 'decode' takes no attention_mask: later calls "
        "would not keep to it; value_mask says which tokens are padding",
    )
    refused(
        lambda: layer(x[:, :1], x, **now),
        "att/cache: KeyValueCache in the mode 'decode' is for self-attention, got 1 queries "
        "and 4 keys",
    )
    layer(x, x, **now)
    refused(lambda: layer(x[:1], x[:1], **now),
            "att/cache: KeyValueCache was made for a batch of 2, got one of 1; make another model "
            "for it, and give it the same weights")  # fmt: skip
