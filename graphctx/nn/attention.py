"""Multi-head attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphctx import ops
from graphctx.layer import Layer
from graphctx.nn.arguments import (
    axis_tuple,
    bad,
    bad_call,
    flag,
    float_dtype,
    is_integer,
    known_size,
    no_seed,
    number,
    positive,
    require_mask,
    require_shape,
)
from graphctx.nn.attention_parts import (
    DotProduct,
    DotProductDropout,
    HeadDense,
    KeyValueCache,
    joined,
)
from graphctx.nn.rotary_embedding import RotaryEmbedding
from graphctx.spec import same_dim, shape_text

__all__ = ["GroupQueryAttention", "MultiHeadAttention"]


class _Attention(Layer):
    """What `MultiHeadAttention` and `GroupQueryAttention` share.

    Args:
        num_heads: of the query.
        num_key_value_heads: of key and value.
        key_dim: size of a head of query and key.
        value_dim: size of a head of the value.
        others: see the classes.
    """

    attention_output: HeadDense | None

    def __init__(
        self,
        num_heads: int,
        num_key_value_heads: int,
        key_dim: int,
        value_dim: int,
        *,
        dropout: float,
        use_bias: bool,
        output_shape: tuple[int, ...] | None,
        sliding_window: int | None,
        kernel_initializer: Any,
        bias_initializer: Any,
        use_gate: bool,
        seed: None,
        cache_length: int | None,
        rotary_embedding: RotaryEmbedding | None,
        dtype: Any,
    ) -> None:
        no_seed(self, seed)
        self.num_heads = num_heads
        self.num_key_value_heads = num_key_value_heads
        self.key_dim = key_dim
        self.value_dim = value_dim
        self.dropout = number(self, "dropout", dropout, 0, 1, open_end=True)
        self.use_bias = flag(self, "use_bias", use_bias)
        self.output_shape = output_shape
        if sliding_window is not None:
            sliding_window = positive(self, "sliding_window", sliding_window)
        self.sliding_window = sliding_window
        self.use_gate = flag(self, "use_gate", use_gate)
        if cache_length is not None:
            cache_length = positive(self, "cache_length", cache_length)
        self.cache_length = cache_length
        if rotary_embedding is not None and not isinstance(rotary_embedding, RotaryEmbedding):
            raise bad(
                self,
                f"rotary_embedding is an nn.RotaryEmbedding, got {type(rotary_embedding).__name__}",
            )
        self.dtype = float_dtype(self, dtype)
        self._options = {
            "kernel_initializer": kernel_initializer,
            "bias_initializer": bias_initializer,
            "dtype": self.dtype,
        }
        self.query = self._projection("query", num_heads, key_dim)
        self.key = self._projection("key", num_key_value_heads, key_dim)
        self.gate = None
        if use_gate:
            self.gate = self._projection("gate", num_heads, value_dim, activation="sigmoid")
        self.value = self._projection("value", num_key_value_heads, value_dim)
        self.attention_output = None  # its size is that of the query: see `build`
        window = None if sliding_window is None else sliding_window - 1
        heads = (num_heads, num_key_value_heads, key_dim, window, rotary_embedding)
        self.dot_product = (
            DotProductDropout(self.dropout, *heads) if self.dropout else DotProduct(*heads)
        )
        self.cache = None
        if cache_length is not None:
            sizes = (key_dim, value_dim)
            self.cache = KeyValueCache(cache_length, sizes, self.dot_product, self.dtype)

    def _projection(self, name: str, heads: int, size: int, **others: Any) -> HeadDense:
        return HeadDense(
            "btd,dnh->btnh", (None, heads, size), bias_axes="nh" if self.use_bias else None,
            name=name, **self._options, **others,
        )  # fmt: skip

    def build(self, query_shape: Any, value_shape: Any = None, key_shape: Any = None) -> None:
        """Create the projection of the output, whose size is that of the query."""
        require_shape(self, query_shape, "[batch, length, features] as its query", least=3, most=3)
        shape = self.output_shape
        if shape is None:
            shape = (known_size(self, query_shape, -1, "number of features"),)
        axes = "defgijklm"[: len(shape)]
        self.attention_output = HeadDense(
            f"btnh,nh{axes}->bt{axes}", (None, *shape), (self.num_heads, self.value_dim),
            bias_axes=axes if self.use_bias else None, name="attention_output", **self._options,
        )  # fmt: skip

    def call(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
        *,
        cache_position: Any = None,
    ) -> Any:
        """Attend from query to key and value; see the class."""
        key = value if key is None else key
        self._check(query, value, key)
        sizes = (query.shape[0], self.num_heads, query.shape[1], key.shape[1])
        mask = self._mask(sizes, query_mask, value_mask, key_mask, attention_mask)
        gate = None if self.gate is None else self.gate(query)
        q, k, v = self.query(query), self.key(key), self.value(value)
        options = (use_causal_mask, return_attention_scores)
        if self.cache is not None:
            given = {
                "query_mask": query_mask, "key_mask": key_mask, "attention_mask": attention_mask
            }  # fmt: skip
            masks = tuple(name for name in given if given[name] is not None)
            found = self.cache(q, k, v, mask, value_mask, cache_position, *options, masks)
        else:
            q, k = self.dot_product.rotated(q, k)
            found = self.dot_product(q, k, v, mask, *options)
        y = found[0] if return_attention_scores else found
        assert self.attention_output is not None
        y = self.attention_output(y if gate is None else ops.multiply(y, gate))
        if self.output_shape is not None and len(self.output_shape) > 1:
            y = ops.reshape(y, (*query.shape[:2], *self.output_shape))
        return (y, found[1]) if return_attention_scores else y

    def _check(self, query: Any, value: Any, key: Any) -> None:
        for name, x in (("query", query), ("value", value), ("key", key)):
            layout = f"[batch, length, features] as its {name}"
            require_shape(self, getattr(x, "shape", x), layout, least=3, most=3)
        if not same_dim(value.shape[1], key.shape[1]):
            raise bad_call(
                self,
                f"takes as many keys as values, got key {shape_text(key.shape)} and value "
                f"{shape_text(value.shape)}",
            )

    def _mask(
        self, sizes: Any, query_mask: Any, value_mask: Any, key_mask: Any, attention_mask: Any
    ) -> Any:
        """All masks as one, which broadcasts to [batch, heads, rows, keys]; None for none."""
        batch, _, rows, keys = sizes
        found = None
        for mask, length, axes in (
            (query_mask, rows, (1, 3)), (value_mask, keys, (1, 2)), (key_mask, keys, (1, 2))
        ):  # fmt: skip
            if mask is not None:
                require_mask(self, mask, (batch, length), least=2)
                found = joined(found, ops.expand_dims(ops.astype(mask, "bool"), axes))
        if attention_mask is not None:
            for_all_heads = getattr(attention_mask, "ndim", 0) == 3
            shape = (batch, rows, keys) if for_all_heads else sizes
            require_mask(self, attention_mask, shape, least=2)
            mask = ops.astype(attention_mask, "bool")
            found = joined(ops.expand_dims(mask, 1) if for_all_heads else mask, found)
        return found


class MultiHeadAttention(_Attention):
    """Attention by several heads at once.

    Vaswani et al., "Attention is all you need" (2017): `softmax(q @ k.T / sqrt(key_dim)) @ v` for
    each head, where q, k and v are linear in query, key and value; the heads together give the
    output, linearly again. A row that sees no key gives zeros to the output projection.

    Args:
        num_heads: how many heads there are.
        key_dim: size of a head of query and key.
        value_dim: size of a head of the value; key_dim where it is None.
        dropout: probability of an attention weight to become 0 while training.
        use_bias: whether the projections have biases.
        output_shape: of the features of the output, one size or several; those of the query where
            it is None.
        attention_axes: must be None or 1: attention is over the length.
        sliding_window: a query sees the keys less than so many places away; None for all.
        flash_attention: must be None or False.
        kernel_initializer: of the projections; see `graphctx.initializers.initialize`.
        bias_initializer: likewise.
        use_gate: whether a fourth projection of the query, through a sigmoid, multiplies the heads
            (Qiu et al. 2025).
        seed: must be None. The numbers follow from the program's seed and the layer's path.
        cache_length: how many tokens the key/value cache holds; None for no cache.
        rotary_embedding: turns query and key by their positions; None for none.
        dtype: of weights and computation.
        name: of the layer.

    Call arguments:
        query: [batch, rows, features].
        value: [batch, keys, features].
        key: like the value; the value itself where it is None.
        query_mask: [batch, rows], of bools: which queries attend at all.
        value_mask: [batch, keys]: which values are attended to.
        key_mask: likewise.
        attention_mask: [batch, rows, keys], [rows, keys] or [batch, heads, rows, keys]: which keys
            each query sees.
        return_attention_scores: whether to return (output, weights [batch, heads, rows, keys]).
        use_causal_mask: whether query i sees only the keys up to i.
        cache_position: int64[batch], how many tokens are in the cache already; counted by the layer
            itself where it is None. One counter for all layers makes a leaner program.

    Context:
        training (bool, default False), where there is dropout.
        cache ("off", "prefill" or "decode", default "off"), where there is a cache: "prefill" keeps
            the keys and values of a call; "decode" adds those of a call to them, and attends to
            all. Tokens that `value_mask` masks, which stand at the end, are not counted: the next
            call writes over them.

    Attributes:
        query, key, value, attention_output, gate: the projections, with kernels [features, heads,
            size], [heads, size, features] for the output, and biases.
        cache: with the state key and value, [batch, heads, cache_length, size], and position,
            int64[batch]; or None.

    Raises:
        LayerError: a bad argument; inputs of another rank or that do not fit together; masks that
            do not fit them. With a cache also: a symbolic batch, a call that is longer than the
            cache, or that is not causal.
        InputError: when a program runs, a cache that is full; an eager call raises ShapeError.
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: int | Sequence[int] | None = None,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        use_gate: bool = False,
        seed: None = None,
        *,
        cache_length: int | None = None,
        rotary_embedding: RotaryEmbedding | None = None,
        dtype: Any = "float32",
        name: str | None = None,
    ) -> None:
        self.name = name
        if attention_axes is not None and axis_tuple(self, attention_axes) not in ((1,), (-2,)):
            raise bad(
                self,
                f"attends over axis 1, the length, of [batch, length, features]; for other "
                f"attention_axes reshape its inputs, got {attention_axes!r}",
            )
        _no_flash(self, flash_attention)
        heads, key_dim = positive(self, "num_heads", num_heads), positive(self, "key_dim", key_dim)
        super().__init__(
            heads,
            heads,
            key_dim,
            key_dim if value_dim is None else positive(self, "value_dim", value_dim),
            dropout=dropout,
            use_bias=use_bias,
            output_shape=_output_shape(self, output_shape),
            sliding_window=sliding_window,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            use_gate=use_gate,
            seed=seed,
            cache_length=cache_length,
            rotary_embedding=rotary_embedding,
            dtype=dtype,
        )


class GroupQueryAttention(_Attention):
    """Attention whose heads share keys and values in groups.

    Ainslie et al., "GQA: training generalized multi-query transformer models from multi-head
    checkpoints" (2023): as `MultiHeadAttention`, but each head of key and value serves
    `num_query_heads / num_key_value_heads` neighbouring heads of the query, so that a cache is
    smaller by that factor.

    Args:
        head_dim: size of a head.
        num_query_heads: how many heads the query has, a multiple of the next.
        num_key_value_heads: how many heads key and value have.
        dropout: probability of an attention weight to become 0 while training.
        use_bias: whether the projections have biases.
        sliding_window: a query sees the keys less than so many places away; None for all.
        flash_attention: must be None or False.
        kernel_initializer: of the projections; see `graphctx.initializers.initialize`.
        bias_initializer: likewise.
        use_gate: whether a fourth projection of the query, through a sigmoid, multiplies the heads.
        seed: must be None. The numbers follow from the program's seed and the layer's path.
        cache_length: how many tokens the key/value cache holds; None for no cache.
        rotary_embedding: turns query and key by their positions; None for none.
        dtype: of weights and computation.
        name: of the layer.

    Call arguments, context, attributes and errors are those of `MultiHeadAttention`; the weights
    that it returns are [batch, query heads, rows, keys].
    """

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        use_gate: bool = False,
        seed: None = None,
        *,
        cache_length: int | None = None,
        rotary_embedding: RotaryEmbedding | None = None,
        dtype: Any = "float32",
        name: str | None = None,
    ) -> None:
        self.name = name
        _no_flash(self, flash_attention)
        size = positive(self, "head_dim", head_dim)
        heads = positive(self, "num_query_heads", num_query_heads)
        shared = positive(self, "num_key_value_heads", num_key_value_heads)
        if heads % shared:
            raise bad(
                self,
                f"num_query_heads is a multiple of num_key_value_heads={shared}, got {heads}",
            )
        super().__init__(
            heads,
            shared,
            size,
            size,
            dropout=dropout,
            use_bias=use_bias,
            output_shape=None,
            sliding_window=sliding_window,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            use_gate=use_gate,
            seed=seed,
            cache_length=cache_length,
            rotary_embedding=rotary_embedding,
            dtype=dtype,
        )


def _output_shape(layer: Layer, shape: Any) -> tuple[int, ...] | None:
    if shape is None:
        return None
    sizes = (shape,) if is_integer(shape) else shape
    if not isinstance(sizes, (tuple, list)) or not sizes:
        raise bad(layer, f"output_shape is a positive integer or a list of them, got {shape!r}")
    return tuple(positive(layer, "output_shape", size) for size in sizes)


def _no_flash(layer: Layer, flash_attention: Any) -> None:
    if flash_attention is not None and flag(layer, "flash_attention", flash_attention):
        raise bad(layer, "flash_attention is a choice of Keras's backends; leave it out")
