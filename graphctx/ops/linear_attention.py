"""Sequence mixing with a state of fixed size: linear attention, and the convolution before it.

Both take the state that an earlier part of the sequence left, and return the one to go on with.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from graphctx.errors import ShapeError
from graphctx.graph import Node, Value
from graphctx.ops.activations import silu
from graphctx.ops.indexing import getitem, pad
from graphctx.ops.neural import conv_op
from graphctx.ops.rules import half_in_single
from graphctx.ops.shape import concat
from graphctx.ops.table import Inferred, common_dtype, op, require_kind, require_rank
from graphctx.spec import DimLike, may_be_same, shape_text, size_of

UPDATE_RULES = ("linear", "gated", "delta", "gated_delta")
ACTIVATIONS = ("none", "silu", "swish")

# -- linear attention -----------------------------------------------------------------------------


def _part(size: DimLike, count: int, what: str) -> Any:
    rest = size % count
    if not isinstance(rest, int) or rest:
        raise ShapeError(f"{what} ({size}) must be a multiple of the number of heads ({count})")
    return size // count


def _check_rule(update_rule: str, decay: Any, beta: Any) -> None:
    if update_rule not in UPDATE_RULES:
        raise ShapeError(f"update_rule is one of {', '.join(UPDATE_RULES)}, got {update_rule!r}")
    for name, given, wanted in (("decay", decay, "gated"), ("beta", beta, "delta")):
        if (given is not None) != (wanted in update_rule):
            verb = "takes no" if given is not None else "needs"
            raise ShapeError(f"the update rule {update_rule!r} {verb} {name}")


def _infer_linear_attention(
    query: Value,
    key: Value,
    value: Value,
    past_state: Value | None = None,
    decay: Value | None = None,
    beta: Value | None = None,
    *,
    q_num_heads: int,
    kv_num_heads: int,
    chunk_size: int = 64,
    scale: float = 0.0,
    update_rule: str = "gated_delta",
) -> list[Inferred]:
    _check_rule(update_rule, decay, beta)
    if kv_num_heads < 1 or q_num_heads < 1 or q_num_heads % kv_num_heads:
        raise ShapeError(
            f"q_num_heads ({q_num_heads}) must be a multiple of kv_num_heads ({kv_num_heads})"
        )
    sequences = {"query": query, "key": key, "value": value, "decay": decay, "beta": beta}
    given = {name: x for name, x in sequences.items() if x is not None}
    for name, x in given.items():
        require_kind(x, "f", "a floating dtype")
        require_rank(x, 3, name)
        if not all(map(may_be_same, x.shape[:2], query.shape[:2])):
            raise ShapeError(
                f"{name} {shape_text(x.shape)} and query {shape_text(query.shape)} differ in "
                f"batch or length"
            )
    common_dtype(list(given.values()))
    batch, length = query.shape[:2]
    width = _part(query.shape[2], q_num_heads, "the width of query")
    depth = _part(value.shape[2], kv_num_heads, "the width of value")
    widths: dict[str, tuple[Any, ...]] = {
        "key": (kv_num_heads * width,),
        "decay": (kv_num_heads, kv_num_heads * width),
        "beta": (kv_num_heads, 1),
    }
    for name, allowed in widths.items():
        if name in given and not any(may_be_same(given[name].shape[2], w) for w in allowed):
            raise ShapeError(
                f"the last axis of {name} is {' or '.join(map(str, allowed))}, "
                f"got {shape_text(given[name].shape)}"
            )
    state = (batch, kv_num_heads, width, depth)
    dtype = query.dtype
    if past_state is not None:
        require_kind(past_state, "f", "a floating dtype")
        dtype = past_state.dtype
        if past_state.rank != 4 or not all(map(may_be_same, past_state.shape, state)):
            raise ShapeError(
                f"past_state is {shape_text(state)}, got {shape_text(past_state.shape)}"
            )
    return [((batch, length, depth * q_num_heads), query.dtype), (state, dtype)]


def _linear_attention_adds(node: Node) -> Any:
    query, *_ = (v for v in node.operands if v is not None)
    reads = size_of(node.outputs[1].shape[1:]) * query.shape[0] * query.shape[1]
    heads = node.attrs["q_num_heads"] // node.attrs["kv_num_heads"]
    delta = "delta" in node.attrs.get("update_rule", "gated_delta")
    return reads * (1 + heads + delta)


def _by_head(x: Any, heads: int) -> Any:
    """[batch, length, heads * n] as float32 [length, batch, heads, n]."""
    batch, length, width = x.shape
    y = x.astype(np.float32).reshape(batch, length, heads, width // heads)
    return y.transpose(1, 0, 2, 3)


@op("LinearAttention", since=27, any_dtype=True, infer=_infer_linear_attention,
    multiply_adds=_linear_attention_adds)  # fmt: skip
def linear_attention_op(
    query: Any,
    key: Any,
    value: Any,
    past_state: Any = None,
    decay: Any = None,
    beta: Any = None,
    *,
    q_num_heads: int,
    kv_num_heads: int,
    chunk_size: int = 64,
    scale: float = 0.0,
    update_rule: str = "gated_delta",
) -> Any:
    """Attention that reads a matrix, to which each place adds an outer product."""
    _check_rule(update_rule, decay, beta)
    batch, length, width = query.shape
    heads, group = kv_num_heads, q_num_heads // kv_num_heads
    width //= q_num_heads
    depth = value.shape[2] // heads
    q = _by_head(query, q_num_heads).reshape(length, batch, heads, group, width)
    k, v = _by_head(key, heads), _by_head(value, heads)
    kept = None if decay is None else np.exp(_by_head(decay, heads))
    rate = None if beta is None else _by_head(beta, beta.shape[2])
    if past_state is None:
        state = np.zeros((batch, heads, width, depth), np.float32)
    else:
        state = past_state.astype(np.float32)
    y = np.empty((length, batch, heads, group, depth), np.float32)
    for t in range(length):
        if kept is not None:
            state *= kept[t][..., None]
        new = v[t]
        if rate is not None:
            new = rate[t] * (new - np.matmul(k[t][..., None, :], state)[..., 0, :])
        state += k[t][..., None] * new[..., None, :]
        np.matmul(q[t], state, out=y[t])
    y *= np.float32(scale or 1 / math.sqrt(width))
    y = y.transpose(1, 0, 2, 3, 4).reshape(batch, length, q_num_heads * depth)
    dtype = query.dtype if past_state is None else past_state.dtype
    with np.errstate(over="ignore"):
        return y.astype(query.dtype, copy=False), state.astype(dtype, copy=False)


def linear_attention(
    query: Any,
    key: Any,
    value: Any,
    past_state: Any = None,
    decay: Any = None,
    beta: Any = None,
    *,
    q_num_heads: int,
    kv_num_heads: int | None = None,
    scale: float | None = None,
    update_rule: str | None = None,
) -> tuple[Any, Any]:
    """Attention with a state of fixed size instead of all keys and values.

    At each place the state `S` [key width, value width] of a head becomes `exp(decay) * S + key *
    value^T` (Katharopoulos et al. 2020; gated: Yang et al. 2023); with `beta`, the delta rule, what
    it held for the key is replaced: `+ key * (beta * (value - S^T key))^T` (Schlag et al. 2021,
    Yang et al. 2024). The output is `scale * S^T query`. It is computed in float32.

    Args:
        query: [batch, length, q_num_heads * key width].
        key: [batch, length, kv_num_heads * key width].
        value: [batch, length, kv_num_heads * value width].
        past_state: [batch, kv_num_heads, key width, value width]; zeros where not given.
        decay: logarithm of what is kept: [batch, length, kv_num_heads], or of each key width.
        beta: how much is replaced: [batch, length, kv_num_heads] or [batch, length, 1].
        q_num_heads: heads of the query, a multiple of kv_num_heads.
        kv_num_heads: heads of keys and values; as many as of the query where not given.
        scale: of the output; `1 / sqrt(key width)` where not given.
        update_rule: `linear`, `gated`, `delta` or `gated_delta`; that of the operands given.

    Returns:
        [batch, length, q_num_heads * value width], and the state after the last place.

    Raises:
        ShapeError: the operands do not fit each other, the heads or the rule.
    """
    if update_rule is None:
        parts = ["gated"] * (decay is not None) + ["delta"] * (beta is not None)
        update_rule = "_".join(parts) or "linear"
    found: tuple[Any, Any] = linear_attention_op(
        query, key, value, past_state, decay, beta, q_num_heads=operator.index(q_num_heads),
        kv_num_heads=operator.index(q_num_heads if kv_num_heads is None else kv_num_heads),
        scale=float(scale or 0.0), update_rule=update_rule,
    )  # fmt: skip
    return found


# -- causal convolution ---------------------------------------------------------------------------


def _infer_causal_conv(
    input: Value,
    weight: Value,
    bias: Value | None = None,
    past_state: Value | None = None,
    *,
    activation: str = "none",
) -> list[Inferred]:
    if activation not in ACTIVATIONS:
        raise ShapeError(f"activation is one of {', '.join(ACTIVATIONS)}, got {activation!r}")
    given = [v for v in (input, weight, bias, past_state) if v is not None]
    for v in given:
        require_kind(v, "f", "a floating dtype")
    common_dtype(given)
    require_rank(input, 3, "input")
    require_rank(weight, 3, "weight")
    batch, channels, _ = input.shape
    if not may_be_same(weight.shape[0], channels) or not may_be_same(weight.shape[1], 1):
        raise ShapeError(f"weight is [{channels}, 1, taps], got {shape_text(weight.shape)}")
    if bias is not None and (bias.rank != 1 or not may_be_same(bias.shape[0], channels)):
        raise ShapeError(f"bias is [{channels}], got {shape_text(bias.shape)}")
    state = (batch, channels, weight.shape[2] - 1)
    if past_state is not None and not (
        past_state.rank == 3 and all(map(may_be_same, past_state.shape, state))
    ):
        raise ShapeError(f"past_state is {shape_text(state)}, got {shape_text(past_state.shape)}")
    return [(input.shape, input.dtype), (state, input.dtype)]


def _expand_causal_conv(
    input: Any, weight: Any, bias: Any = None, past_state: Any = None, *, activation: str = "none"
) -> Any:
    before = weight.shape[2] - 1
    if past_state is None:
        padded = pad(input, [(0, 0), (0, 0), (before, 0)])
    else:
        padded = concat([past_state, input], axis=2)
    y = conv_op(padded, weight, bias, group=input.shape[1])
    state = getitem(padded, (..., slice(-before, None) if before else slice(0)))
    return y if activation == "none" else silu(y), state


@op("CausalConvWithState", since=27, infer=_infer_causal_conv, expand=_expand_causal_conv)
@half_in_single
def causal_conv_with_state_op(
    input: Any, weight: Any, bias: Any = None, past_state: Any = None, *, activation: str = "none"
) -> Any:
    """Each channel convolved along the sequence, with what came before it; and what comes last."""
    before = weight.shape[2] - 1
    if past_state is None:
        past_state = np.zeros((*input.shape[:2], before), input.dtype)
    padded = np.concatenate([past_state, input], axis=2)
    y = conv_op.kernel(padded, weight, bias, group=input.shape[1])
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation is one of {', '.join(ACTIVATIONS)}")
    if activation != "none":
        y = silu(y)
    return y, padded[:, :, padded.shape[2] - before :].copy()


def causal_conv_with_state(
    x: Any, weight: Any, bias: Any = None, past_state: Any = None, *, activation: str = "none"
) -> tuple[Any, Any]:
    """Causal convolution of each channel, for sequences that come in parts.

    Args:
        x: [batch, channels, length].
        weight: [channels, 1, taps].
        bias: [channels].
        past_state: [batch, channels, taps - 1]: the state that the part before returned; zeros
            where not given.
        activation: applied to the result: `none`, or `silu`, which is also called `swish`.

    Returns:
        [batch, channels, length], and the last `taps - 1` places of the past state and x.

    Raises:
        ShapeError: the operands do not fit.
    """
    found: tuple[Any, Any] = causal_conv_with_state_op(
        x, weight, bias, past_state, activation=activation
    )
    return found
