"""What layers of attention are made of: heads side by side, dropout, and the key/value cache."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from graphctx import ops
from graphctx.context import Context
from graphctx.layer import Layer, Variable
from graphctx.nn.arguments import as_floats, bad_call, known_size, require_size
from graphctx.nn.dense import EinsumDense
from graphctx.nn.rotary_embedding import RotaryEmbedding
from graphctx.spec import same_dim

__all__: list[str] = []


class HeadDense(EinsumDense):
    """An `EinsumDense` from or to heads that stay side by side: [batch, length, heads * size].

    The weights are Keras's, such as [features, heads, size]. Taken as a matrix, which costs nothing
    once a program is compiled, a kernel needs no reshape or transpose around the product.

    Args:
        equation: as if heads had an axis of their own: "btd,dnh->btnh".
        output_shape: sizes of the output, with None for the length.
        heads: (heads, size) of the input, where it has heads.
        others: arguments of `EinsumDense`.
    """

    def __init__(
        self, equation: str, output_shape: Any, heads: tuple[int, ...] = (), **others: Any
    ) -> None:
        super().__init__(equation, output_shape, **others)
        self._heads = heads
        self._wide = math.prod(self.output_shape[1:])  # type: ignore[arg-type]

    def build(self, input_shape: Any) -> None:
        """Create kernel and bias."""
        super().build((*input_shape[:2], *self._heads) if self._heads else input_shape)

    def call(self, x: Any) -> Any:
        """The output with the axes after the length as one."""
        x = as_floats(self, x, self.dtype)
        features = self.kernel.size // self._wide
        require_size(self, x.shape, -1, features, "features")
        y = ops.matmul(x, ops.reshape(self.kernel.value, (features, self._wide)))
        if self.bias is not None:
            y = ops.add(y, ops.reshape(self.bias.value, (self._wide,)))
        return y if self.activation is None else self.activation(y)


class DotProduct(Layer):
    """`softmax(q @ k.T / sqrt(size)) @ v`, head by head.

    Args:
        num_heads: of the query.
        num_key_value_heads: of key and value.
        size: of a head of query and key.
        window: how far a row sees to either side; None for all.
        rotary: applied to query and key before; None for none.
    """

    def __init__(
        self,
        num_heads: int,
        num_key_value_heads: int,
        size: int,
        window: int | None,
        rotary: RotaryEmbedding | None,
    ) -> None:
        self.num_heads = num_heads
        self.num_key_value_heads = num_key_value_heads
        self.size = size
        self.window = None if window is None else (window, window)
        self.rotary_embedding = rotary

    def rotated(self, query: Any, key: Any, positions: Any = None) -> tuple[Any, Any]:
        """Query and key, which have 3 dimensions, turned by their positions."""
        if self.rotary_embedding is None:
            return query, key
        return (
            self.rotary_embedding(query, positions, num_heads=self.num_heads),
            self.rotary_embedding(key, positions, num_heads=self.num_key_value_heads),
        )

    def attend(self, query: Any, key: Any, value: Any, mask: Any = None, **options: Any) -> Any:
        """What `ops.attention` gives for these heads, of 3 dimensions or of 4."""
        if query.ndim == 3:
            options.update(num_heads=self.num_heads, num_key_value_heads=self.num_key_value_heads)
        return ops.attention(query, key, value, mask, window=self.window, **options)

    def call(self, query: Any, key: Any, value: Any, mask: Any, causal: bool, scores: bool) -> Any:
        """Attend to keys that are turned already."""
        return self.attend(query, key, value, mask, causal=causal, scores=scores)


class DotProductDropout(DotProduct):
    """Sets attention weights to 0 at random while training.

    Args:
        rate: probability of a weight to become 0.
        others: arguments of `DotProduct`.
    """

    def __init__(self, rate: float, *others: Any) -> None:
        super().__init__(*others)
        self.rate = rate

    def call(
        self,
        query: Any,
        key: Any,
        value: Any,
        mask: Any,
        causal: bool,
        scores: bool,
        *,
        training: Context[bool] = False,
    ) -> Any:
        """Attend; with dropout while training."""
        if not training:
            return self.attend(query, key, value, mask, causal=causal, scores=scores)
        batch, rows, _ = query.shape
        keys, groups = key.shape[1], self.num_key_value_heads
        share = self.num_heads // groups
        q = ops.reshape(query, (batch, rows, groups, share, self.size))
        q = ops.permute_dims(q * (1 / math.sqrt(self.size)), (0, 2, 3, 1, 4))
        k = ops.permute_dims(ops.reshape(key, (batch, keys, groups, 1, self.size)), (0, 2, 3, 4, 1))
        v = ops.reshape(value, (batch, keys, groups, 1, value.shape[-1] // groups))
        products = ops.reshape(ops.matmul(q, k), (batch, self.num_heads, rows, keys))
        weights = masked_softmax(products, joined(mask, self._seen(rows, keys, causal)))
        dropped = ops.reshape(ops.dropout(weights, self.rate), (batch, groups, share, rows, keys))
        y = ops.matmul(dropped, ops.permute_dims(v, (0, 2, 3, 1, 4)))
        y = ops.reshape(ops.permute_dims(y, (0, 3, 1, 2, 4)), (batch, rows, -1))
        return (y, weights) if scores else y

    def _seen(self, rows: Any, keys: Any, causal: bool) -> Any:
        """[rows, keys]: which keys causality and the window leave to each row; None for all."""
        if not causal and self.window is None:
            return None
        distance = ops.expand_dims(ops.arange(rows), 1) - ops.arange(keys)
        near = None if self.window is None else ops.abs(distance) <= self.window[0]
        return joined(near, distance >= 0 if causal else None)


def joined(a: Any, b: Any) -> Any:
    """What both masks let through; None lets through all."""
    if a is None or b is None:
        return b if a is None else a
    return ops.logical_and(a, b)


def masked_softmax(scores: Any, mask: Any) -> Any:
    """Softmax over the last axis of what a mask of bools lets through; 0 where that is nothing."""
    if mask is None:
        return ops.softmax(scores, axis=-1)
    lowest = float(np.finfo(scores.dtype).min)
    weights = ops.softmax(ops.where(mask, scores, lowest), axis=-1)
    return ops.where(mask, weights, 0.0)


class KeyValueCache(Layer):
    """The keys and values of earlier calls, as state.

    In the mode "prefill" a call attends as ever, and keeps its keys and values from the start of
    the cache on; "decode" adds them to those that are there, and attends to all. Every sample of
    the batch has its own number of tokens: padding at the end, which the mask of a call tells,
    does not count, and the next call writes over it.

    Args:
        length: how many tokens the cache holds.
        sizes: of a head of keys and of values.
        dot_product: attends.
        dtype: of keys and values.

    Context:
        cache ("off", "prefill" or "decode", default "off"): what is done with the cache.

    Attributes:
        key: [batch, key/value heads, length, size], not trainable; made by the first call that
            needs it.
        value: likewise.
        position: int64[batch], how many tokens of each sample are in the cache; None where calls
            are told.
    """

    key: Variable
    value: Variable
    position: Variable | None

    def __init__(
        self, length: int, sizes: tuple[int, int], dot_product: DotProduct, dtype: Any
    ) -> None:
        self.name = "cache"
        self.length = length
        self.sizes = sizes
        self.dot_product = dot_product
        self.dtype = dtype
        self.position = None
        self._batch: int | None = None

    def call(
        self,
        query: Any,
        key: Any,
        value: Any,
        mask: Any,
        counted: Any,
        position: Any,
        causal: bool,
        scores: bool,
        masks: tuple[str, ...],
        *,
        cache: Context[Literal["off", "prefill", "decode"]] = "off",
    ) -> Any:
        """Attend, with the tokens of earlier calls in the mode "decode".

        Args:
            query: [batch, rows, heads * size].
            key: [batch, rows, key/value heads * size].
            value: likewise.
            mask: what a row sees, [batch, heads, rows, keys], or None.
            counted: bools [batch, rows], which tokens are no padding; None for all.
            position: int64[batch], how many tokens precede; None if the layer is to count itself.
            causal: whether a row sees no later tokens.
            scores: whether to return the weights, too.
            masks: names of the masks that the layer was given, but that of padding.
            cache: see the class.
        """
        if cache != "off":
            self._check(cache, query, key, causal, masks)
        if cache == "decode":
            return self._decode(query, key, value, counted, position, scores)
        query, key = self.dot_product.rotated(query, key)
        if cache == "prefill":
            self._keep(key, value, None)
            if position is None:
                self._count(key, counted, np.zeros(self._batch, np.int64))
        return self.dot_product(query, key, value, mask, causal, scores)

    def _decode(
        self, query: Any, key: Any, value: Any, counted: Any, position: Any, scores: bool
    ) -> Any:
        rows = query.shape[1]
        before = self._counter().value if position is None else position
        positions = ops.expand_dims(before, 1) + ops.arange(rows)
        query, key = self.dot_product.rotated(query, key, positions)
        keys, values = self._keep(key, value, before)
        if position is None:
            self._count(key, counted, before)
        found = self.dot_product.attend(
            self._by_heads(query, self.dot_product.num_heads), keys, values,
            causal=True, lengths=ops.add(before, rows), scores=scores,
        )  # fmt: skip
        y = found[0] if scores else found
        y = ops.reshape(ops.permute_dims(y, (0, 2, 1, 3)), (self._batch, rows, -1))
        return (y, found[1]) if scores else y

    def _check(self, mode: str, query: Any, key: Any, causal: bool, masks: tuple[str, ...]) -> None:
        """Refuse what a cache cannot hold; make its variables."""
        if not causal:
            raise bad_call(
                self,
                f"in the mode {mode!r} needs use_causal_mask=True: an earlier token cannot see "
                f"those that come with a later call",
            )
        if masks:
            raise bad_call(
                self,
                f"in the mode {mode!r} takes no {masks[0]}: later calls would not keep to it; "
                f"value_mask says which tokens are padding",
            )
        rows = query.shape[1]
        if not same_dim(rows, key.shape[1]):
            raise bad_call(
                self,
                f"in the mode {mode!r} is for self-attention, got {rows} queries and "
                f"{key.shape[1]} keys",
            )
        if isinstance(rows, int) and rows > self.length:
            raise bad_call(
                self,
                f"is too short: cache_length={self.length}, and the call has {rows} tokens",
            )
        if self._batch is None:
            self._allocate(query.shape)
        elif not same_dim(query.shape[0], self._batch):
            raise bad_call(
                self,
                f"was made for a batch of {self._batch}, got one of {query.shape[0]}; make another "
                f"model for it, and give it the same weights",
            )

    def _allocate(self, shape: Any) -> None:
        """Make the variables, for a query of this shape."""
        self._batch = known_size(self, shape, 0, "batch")
        groups = self.dot_product.num_key_value_heads
        self.key, self.value = (
            self.add_weight(
                (self._batch, groups, self.length, size), "zeros", name=name, trainable=False,
                dtype=self.dtype,
            )
            for name, size in zip(("key", "value"), self.sizes, strict=True)
        )  # fmt: skip

    def _by_heads(self, x: Any, heads: int) -> Any:
        """[batch, rows, heads * size] as [batch, heads, rows, size]."""
        x = ops.reshape(x, (self._batch, x.shape[1], heads, -1))
        return ops.permute_dims(x, (0, 2, 1, 3))

    def _keep(self, key: Any, value: Any, before: Any) -> tuple[Any, Any]:
        """Write keys and values behind those there are (None: over them); return them all."""
        kept = []
        for variable, new in ((self.key, key), (self.value, value)):
            new = self._by_heads(new, self.dot_product.num_key_value_heads)
            old = variable.value
            if before is None:
                old = ops.broadcast_to(np.zeros((1, 1, 1, 1), self.dtype), variable.shape)
            written = ops.tensor_scatter(old, new, before)
            variable.assign(written)
            kept.append(written)
        return kept[0], kept[1]

    def _counter(self) -> Variable:
        """The variable `position`."""
        if self.position is None:
            self.position = self.add_weight(
                (self._batch,), "zeros", name="position", trainable=False, dtype="int64"
            )
        return self.position

    def _count(self, key: Any, counted: Any, before: Any) -> None:
        """Count the tokens of a call."""
        count = key.shape[1]
        if counted is not None:
            count = ops.sum(ops.astype(counted, "int64"), axis=1)
        self._counter().assign(ops.add(before, count))
