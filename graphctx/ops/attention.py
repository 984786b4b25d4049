"""Attention, rotary positions, and the write into a key/value cache.

The kernel of attention works on views of the heads, in blocks that stay in the processor's cache:
for a block of heads and of rows, scores are one batched matrix product, softmax runs in place, and
dividing by the sum comes after the second product, where there is less to divide. Scores lie with
the rows side by side, [keys, rows], as NumPy takes the largest over an axis that is not the last
several times as fast. Of the keys, a block looks only at those that causal masks, windows and
lengths leave to its rows.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

from graphctx.errors import DTypeError, ShapeError
from graphctx.graph import Node, Value
from graphctx.ops.rules import half_in_single
from graphctx.ops.shape import broadcast_to, expand_dims, resolved
from graphctx.ops.table import Inferred, common_dtype, normalize_axis, op, require_kind
from graphctx.spec import (
    Dim,
    DimLike,
    Shape,
    as_dtype,
    kind_of,
    may_be_same,
    require_same_dim,
    same_dim,
    shape_text,
    size_of,
)

BLOCK = 1 << 18
"""Scores of a head that are computed at a time: 1 MiB of float32, what a core's cache holds."""

TOGETHER = 1 << 16
"""Scores up to which heads, and samples, are computed together."""

ROWS = 128
"""Rows of a block where each row looks at other keys: the fewer, the less is computed in vain."""

# -- Attention: shapes ----------------------------------------------------------------------------


def _divided(size: DimLike, heads: int | None, what: str) -> DimLike:
    """The size of one head of a 3-D operand."""
    if heads is None:
        raise ShapeError(
            "3-D operands [batch, length, heads * size] need q_num_heads, kv_num_heads"
        )
    rest = size % heads if heads > 0 else 1
    if isinstance(rest, Dim) or rest:
        raise ShapeError(f"the last dimension of {what} ({size}) is no multiple of {heads} heads")
    return size // heads


def _by_heads(value: Value, heads: int | None, what: str) -> Shape:
    """The shape as [batch, heads, length, size]; heads count only where it has 3 dimensions."""
    if value.rank == 4:
        return value.shape
    if value.rank != 3:
        raise ShapeError(
            f"{what} is [batch, length, heads * size] or [batch, heads, length, size], got "
            f"{shape_text(value.shape)}"
        )
    batch, length, features = value.shape
    size = _divided(features, heads, what)
    assert heads is not None
    return batch, heads, length, size


def _infer_attention(
    Q: Value,
    K: Value,
    V: Value,
    attn_mask: Value | None = None,
    past_key: Value | None = None,
    past_value: Value | None = None,
    nonpad_kv_seqlen: Value | None = None,
    *,
    is_causal: int = 0,
    kv_num_heads: int | None = None,
    left_window_size: int = -1,
    q_num_heads: int | None = None,
    qk_matmul_output_mode: int | None = None,
    right_window_size: int = -1,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: Any = None,
) -> Any:
    for value in (Q, K, V):
        require_kind(value, "f", "a floating dtype")
    dtype = common_dtype((Q, K))
    if not Q.rank == K.rank == V.rank:
        raise ShapeError("Q, K and V need the same number of dimensions")
    batch, heads, rows, size = _by_heads(Q, q_num_heads, "Q")
    kv_batch, kv_heads, length, key_size = _by_heads(K, kv_num_heads, "K")
    v_batch, v_heads, v_length, value_size = _by_heads(V, kv_num_heads, "V")
    require_same_dim(batch, kv_batch, "the batches of Q and K differ")
    require_same_dim(batch, v_batch, "the batches of Q and V differ")
    require_same_dim(kv_heads, v_heads, "the heads of K and V differ")
    require_same_dim(length, v_length, "the lengths of K and V differ")
    require_same_dim(size, key_size, "the sizes of a head of Q and K differ")
    if isinstance(heads, Dim) or isinstance(kv_heads, Dim):
        require_same_dim(heads, kv_heads, "the heads of Q are no known multiple of those of K")
    elif kv_heads < 1 or heads % kv_heads:
        raise ShapeError(f"the heads of Q ({heads}) are no multiple of those of K ({kv_heads})")
    if softmax_precision is not None and kind_of(as_dtype(softmax_precision)) != "f":
        raise DTypeError(f"softmax_precision is a floating dtype, got {softmax_precision}")
    if qk_matmul_output_mode not in (None, 0, 1, 2, 3):
        raise ShapeError(f"qk_matmul_output_mode is 0, 1, 2 or 3, got {qk_matmul_output_mode}")
    if left_window_size < -1 or right_window_size < -1:
        raise ShapeError(
            f"a window reaches 0 places or more, or -1 without end, got {left_window_size} to the "
            f"left and {right_window_size} to the right"
        )
    past = _infer_past(past_key, past_value, K, V, (batch, kv_heads, size, value_size))
    total = length if past is None else past + length
    if nonpad_kv_seqlen is not None:
        _check_lengths(nonpad_kv_seqlen, batch, past)
    scores = (batch, heads, rows, total)
    if attn_mask is not None:
        _check_mask(attn_mask, scores)
    y: Shape = (batch, heads, rows, value_size)
    if Q.rank == 3:
        y = (batch, rows, heads * value_size)
    if past is None and qk_matmul_output_mode is None:
        return y, dtype
    outputs: list[Inferred] = [
        (y, dtype),
        ((batch, kv_heads, total, size), K.dtype),
        ((batch, kv_heads, total, value_size), V.dtype),
    ]
    return outputs if qk_matmul_output_mode is None else [*outputs, (scores, dtype)]


def _infer_past(
    past_key: Value | None, past_value: Value | None, K: Value, V: Value, sizes: Shape
) -> DimLike | None:
    """How many keys the past has; None without a past."""
    if past_key is None or past_value is None:
        if past_key is not past_value:
            raise ShapeError("past_key and past_value are given together, or neither")
        return None
    batch, heads, size, value_size = sizes
    length: DimLike | None = None
    for name, past, value, features in (
        ("past_key", past_key, K, size), ("past_value", past_value, V, value_size)
    ):  # fmt: skip
        common_dtype((value, past))
        if past.rank != 4:
            raise ShapeError(
                f"{name} is [batch, heads, length, size], got {shape_text(past.shape)}"
            )
        for axis, dim in ((0, batch), (1, heads), (3, features)):
            require_same_dim(past.shape[axis], dim, f"axis {axis} of {name} differs")
        length = past.shape[2] if length is None else length
        require_same_dim(past.shape[2], length, "the lengths of past_key and past_value differ")
    return length


def _check_lengths(lengths: Value, batch: DimLike, past: DimLike | None) -> None:
    if past is not None:
        raise ShapeError(
            "nonpad_kv_seqlen is for a cache outside, past_key for one inside: not both"
        )
    require_kind(lengths, "i", "integers as nonpad_kv_seqlen")
    if lengths.rank != 1:
        raise ShapeError(f"nonpad_kv_seqlen is [batch], got {shape_text(lengths.shape)}")
    require_same_dim(lengths.shape[0], batch, "nonpad_kv_seqlen has one number a sample")


def _check_mask(mask: Value, scores: Shape) -> None:
    """A mask broadcasts to the scores; along the keys it may be shorter, which masks the rest."""
    require_kind(mask, "biuf", "bools or numbers as attn_mask")
    fits = 1 <= mask.rank <= 4
    for axis, dim in enumerate(reversed(mask.shape) if fits else ()):
        wanted = scores[3 - axis]
        shorter = axis == 0 and isinstance(dim, int) and isinstance(wanted, int) and dim < wanted
        fits = fits and (may_be_same(dim, wanted) or shorter or (axis > 0 and same_dim(dim, 1)))
    if not fits:
        raise ShapeError(
            f"attn_mask {shape_text(mask.shape)} does not broadcast to the scores "
            f"{shape_text(scores)} [batch, heads, rows, keys]"
        )


def _attention_adds(node: Node) -> Any:
    """Of both products, with every key."""
    Q, K, V = (value for value in node.operands[:3] if value is not None)
    batch, heads, rows, size = _by_heads(Q, node.attrs.get("q_num_heads"), "Q")
    *_, length, _ = _by_heads(K, node.attrs.get("kv_num_heads"), "K")
    *_, value_size = _by_heads(V, node.attrs.get("kv_num_heads"), "V")
    past = node.operands[4] if len(node.operands) > 4 else None
    total = length if past is None else length + past.shape[2]
    return size_of((batch, heads, rows, total)) * (size + value_size)


# -- Attention: the kernel ------------------------------------------------------------------------


def _split_heads(x: Any, heads: int | None) -> Any:
    """[batch, length, heads * size] as a view [batch, heads, length, size]."""
    if x.ndim == 4:
        return x
    if heads is None:
        raise ValueError("the numbers of heads are missing")
    return x.reshape(*x.shape[:2], heads, x.shape[2] // heads).transpose(0, 2, 1, 3)


@op("Attention", since=23, infer=_infer_attention, multiply_adds=_attention_adds)
def attention_op(
    Q: Any,
    K: Any,
    V: Any,
    attn_mask: Any = None,
    past_key: Any = None,
    past_value: Any = None,
    nonpad_kv_seqlen: Any = None,
    *,
    is_causal: int = 0,
    kv_num_heads: int | None = None,
    left_window_size: int = -1,
    q_num_heads: int | None = None,
    qk_matmul_output_mode: int | None = None,
    right_window_size: int = -1,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: Any = None,
) -> Any:
    """Scaled dot-product attention: `softmax(scale * Q @ K.T + mask) @ V`, head by head.

    A node gives `present_key` and `present_value` if it has a past, and all four outputs if it has
    a `qk_matmul_output_mode`; ONNX's nodes name the outputs they give.
    """
    q, k, v = (
        _split_heads(Q, q_num_heads),
        _split_heads(K, kv_num_heads),
        _split_heads(V, kv_num_heads),
    )
    past = 0
    if past_key is not None:
        past = past_key.shape[2]
        k, v = np.concatenate([past_key, k], axis=2), np.concatenate([past_value, v], axis=2)
    job = _Attention(
        q, k, v, attn_mask, past, nonpad_kv_seqlen,
        causal=bool(is_causal), left=left_window_size, right=right_window_size, scale=scale,
        softcap=softcap, precision=softmax_precision, mode=qk_matmul_output_mode,
    )  # fmt: skip
    y = np.empty((q.shape[0], q.shape[2], q.shape[1], v.shape[3]), Q.dtype)
    by_heads = y.transpose(0, 2, 1, 3)
    if Q.ndim == 4:
        y = by_heads = np.empty((*q.shape[:3], v.shape[3]), Q.dtype)
    job.run(by_heads)
    if Q.ndim == 3:
        y = y.reshape(*Q.shape[:2], q.shape[1] * v.shape[3])
    if past_key is None and qk_matmul_output_mode is None:
        return y
    if past_key is None:
        k, v = k.copy(order="C"), v.copy(order="C")
    return (y, k, v) if job.scores is None else (y, k, v, job.scores)


class _Attention:
    """One call of the kernel.

    Args:
        q: [batch, heads, rows, size], as are the next two.
        k: [batch, groups, keys, size]; each is shared by `heads / groups` neighbouring heads.
        v: [batch, groups, keys, value size].
        mask: of bools or numbers, or None.
        past: how many keys precede the first row.
        lengths: [batch], how many keys are valid; None for all.
        causal: whether a row sees no later keys.
        left: how far a row sees to the left; -1 for all the way.
        right: likewise, to the right.
        scale: of the products; None for `1 / sqrt(size)`.
        softcap: limits the scores; 0 for no limit.
        precision: dtype of the softmax; None for that of the products.
        mode: which scores to keep; None for none.
    """

    def __init__(
        self, q: Any, k: Any, v: Any, mask: Any, past: int, lengths: Any, *, causal: bool,
        left: int, right: int, scale: float | None, softcap: float, precision: Any,
        mode: int | None,
    ) -> None:  # fmt: skip
        self.batch, self.heads, self.rows, size = q.shape
        self.groups, self.keys = k.shape[1:3]
        if k.shape[0] != self.batch or self.heads % self.groups or v.shape[:3] != k.shape[:3]:
            raise ValueError("batches, heads or lengths differ")
        self.dtype = np.result_type(q.dtype, np.float32)  # float16 is computed in float32
        self.share = self.heads // self.groups
        self.q = q.reshape(self.batch, self.groups, self.share, self.rows, size)
        self.k = k.astype(self.dtype, copy=False)
        self.v = v.astype(self.dtype, copy=False)
        self.past = past
        self.lengths = None if lengths is None else lengths.tolist()
        self.left = left
        self.right = 0 if causal else right
        self.scale = self.dtype.type(1 / math.sqrt(size) if scale is None else scale)
        self.softcap = self.dtype.type(softcap)
        self.precision = self.dtype if precision is None else np.dtype(precision)
        self.mode = mode
        self.mask = None if mask is None else self._bias(mask)
        self.scores: Any = None
        self.kept: Any = None
        if mode is not None:
            self.scores = np.empty((self.batch, self.heads, self.rows, self.keys), q.dtype)
            self.kept = self.scores.reshape(
                self.batch, self.groups, self.share, self.rows, self.keys
            )
        self.banded = self.left >= 0 or self.right >= 0
        self._last_band: tuple[Any, Any] = (None, None)

    def _bias(self, mask: Any) -> Any:
        """The mask as numbers to add, [batch, groups, share, rows, keys]: a view of few numbers.

        In memory, rows are side by side, as they are in the scores.
        """
        # Of axes that are only repeated, one element is enough; keys are counted below.
        mask = mask[tuple(slice(None if step else 1) for step in mask.strides[:-1])]
        if mask.dtype == bool:
            bias = np.where(mask, self.dtype.type(0), self.dtype.type(-np.inf))
        else:
            bias = mask.astype(self.dtype, copy=False)
        missing = self.keys - bias.shape[-1]
        if missing > 0:
            pads = [(0, 0)] * (bias.ndim - 1) + [(0, missing)]
            bias = np.pad(bias, pads, constant_values=-np.inf)
        if bias.ndim > 1:
            bias = np.ascontiguousarray(bias.swapaxes(-1, -2)).swapaxes(-1, -2)
        full = np.broadcast_to(bias, (self.batch, self.heads, self.rows, self.keys))
        return full.reshape(self.batch, self.groups, self.share, self.rows, self.keys)

    def run(self, out: Any) -> None:
        """Write [batch, heads, rows, value size] into an array."""
        out = out.reshape(self.batch, self.groups, self.share, self.rows, self.v.shape[3])
        for samples, groups, rows in self._blocks():
            self._block(samples, groups, rows, out[samples, groups, :, rows])

    def _blocks(self) -> Iterator[tuple[slice, slice, slice]]:
        """Samples, groups of heads and rows to compute at a time."""
        row = self.share * self.keys
        rows = min(self.rows, ROWS) if self.banded and self.mode is None else self.rows
        rows = max(1, min(rows, BLOCK // max(row, 1)))
        groups = max(1, min(self.groups, TOGETHER // max(row * rows, 1)))
        samples = 1
        if self.lengths is None and groups == self.groups and rows == self.rows:
            samples = max(1, TOGETHER // max(row * rows * groups, 1))
        for sample in range(0, self.batch, samples):
            for first in range(0, self.rows, rows):
                for group in range(0, self.groups, groups):
                    yield (
                        slice(sample, min(sample + samples, self.batch)),
                        slice(group, min(group + groups, self.groups)),
                        slice(first, min(first + rows, self.rows)),
                    )

    def _keys_of(self, sample: int, rows: slice) -> tuple[int, int, int]:
        """The first key and the end of those that the rows see; the place of row 0 among them."""
        offset, end = self.past, self.keys
        if self.lengths is not None:
            end = min(end, max(0, self.lengths[sample]))
            offset = self.lengths[sample] - self.rows
        if self.mode is not None:
            return 0, self.keys, offset  # all scores are asked for
        first = 0 if self.left < 0 else max(0, rows.start + offset - self.left)
        if self.right >= 0:
            end = min(end, rows.stop + offset + self.right)
        return first, max(first, end), offset

    def _band(self, sample: int, rows: slice, keys: slice, offset: int) -> Any:
        """What to add to the scores of keys that only some of the rows see; None for nothing."""
        of = (rows, keys, offset)  # the heads share it
        if self._last_band[0] != of:
            self._last_band = of, self._make_band(sample, rows, keys, offset)
        return self._last_band[1]

    def _make_band(self, sample: int, rows: slice, keys: slice, offset: int) -> Any:
        places = np.arange(rows.start, rows.stop) + offset
        key = np.arange(keys.start, keys.stop)[:, None]
        end = self.keys if self.lengths is None else self.lengths[sample]
        seen = np.broadcast_to(key < end, (len(key), len(places)))
        if self.left >= 0:
            seen = seen & (key >= places - self.left)
        if self.right >= 0:
            seen = seen & (key <= places + self.right)
        if seen.all():
            return None
        return np.where(seen, self.dtype.type(0), self.dtype.type(-np.inf)).T

    def _block(self, samples: slice, groups: slice, rows: slice, out: Any) -> None:
        first, end, offset = self._keys_of(samples.start, rows)
        if first == end:
            out[...] = 0
            return
        keys = slice(first, end)
        q = np.multiply(self.q[samples, groups, :, rows], self.scale, dtype=self.dtype, order="C")
        *lead, share, height, size = q.shape
        k = self.k[samples, groups, keys]
        scores = np.matmul(k, q.reshape(*lead, share * height, size).swapaxes(-1, -2))
        by_row = _by_row(scores, share)
        place = (samples, groups, slice(None), rows)
        if self.mode == 0:
            self.kept[place] = by_row
        if self.softcap > 0:
            scores /= self.softcap
            np.tanh(scores, out=scores)
            scores *= self.softcap
        if self.mode == 1:
            self.kept[place] = by_row
        bias = None
        if self.mode is not None or (self.banded and height > 1):
            bias = self._band(samples.start, rows, keys, offset)
        if self.mask is not None:
            part = self.mask[(*place, keys)]
            bias = part if bias is None else bias + part
        if bias is not None:
            by_row += bias
        if self.mode == 2:
            self.kept[place] = by_row
        scores = scores.astype(self.precision, copy=False)
        total = _exponentials(scores, bias, share)
        if self.mode == 3:
            scores /= total
            self.kept[place] = _by_row(scores, share)
            total = None
        weights = scores.astype(self.dtype, copy=False).swapaxes(-1, -2)
        y = np.matmul(weights, self.v[samples, groups, keys]).reshape(out.shape)
        if total is None:
            out[...] = y
        else:
            np.divide(y, total.reshape(*out.shape[:-1], 1), out=out, casting="same_kind")


def _by_row(scores: Any, share: int) -> Any:
    """[batch, groups, keys, share * rows] as a view [batch, groups, share, rows, keys]."""
    *lead, keys, rows = scores.shape
    return np.moveaxis(scores.reshape(*lead, keys, share, rows // share), 2, -1)


def _exponentials(scores: Any, bias: Any, share: int) -> Any:
    """Turn scores into the numerators of their softmax, in place; return the denominators.

    A row without any key to look at becomes 0, and its denominator 1: that is decided by the bias,
    as scores that are masked may be infinite themselves.
    """
    largest = np.maximum.reduce(scores, axis=-2, keepdims=True)
    finite = bool(np.isfinite(largest).all())
    if not finite:
        largest[np.isneginf(largest)] = 0
    scores -= largest
    np.exp(scores, out=scores)
    # A product with ones adds up faster than NumPy's sum does.
    total = np.matmul(np.ones((1, scores.shape[-2]), scores.dtype), scores)
    if not finite:
        if bias is not None:
            masked = np.isneginf(np.maximum.reduce(bias, axis=-1, keepdims=True))
            np.copyto(_by_row(scores, share), 0, where=masked)
            np.copyto(_by_row(total, share), 0, where=masked)
        total[total == 0] = 1
    return total


def attention(
    query: Any,
    key: Any,
    value: Any,
    mask: Any = None,
    *,
    num_heads: int | None = None,
    num_key_value_heads: int | None = None,
    scale: float | None = None,
    causal: bool = False,
    window: tuple[int, int] | None = None,
    softcap: float = 0.0,
    lengths: Any = None,
    past: tuple[Any, Any] | None = None,
    scores: bool = False,
) -> Any:
    """Scaled dot-product attention (Vaswani et al. 2017): `softmax(scale * q @ k.T + mask) @ v`.

    A row that sees no key at all gives zeros.

    Args:
        query: [batch, rows, heads * size], or [batch, heads, rows, size].
        key: [batch, keys, key/value heads * size], or [batch, key/value heads, keys, size]. Each
            key/value head is shared by as many neighbouring heads of the query (Ainslie et al.
            2023).
        value: like the key, with heads of any size.
        mask: broadcasts to [batch, heads, rows, keys]: bools, true where a row sees a key, or
            numbers that are added to the scores.
        num_heads: of the query, where it has 3 dimensions.
        num_key_value_heads: of key and value; as many as the query has where it is not given.
        scale: of the products; `1 / sqrt(size)` where it is not given.
        causal: whether row i sees the keys up to i only, counted from the first key after the past,
            or so that the last row is the last valid key of `lengths`.
        window: how many keys a row sees to its left and to its right; -1 for all.
        softcap: limits products to this absolute value by `softcap * tanh(product / softcap)`.
        lengths: int64[batch], how many keys of each sample are valid; the others are not looked at.
        past: keys and values [batch, key/value heads, past keys, size] that precede the others.
        scores: whether to return the attention weights, too.

    Returns:
        A tensor like the query, with heads of the values' size. With a past, or with scores, a
        tuple: of the tensor, keys and values with their past where there is one, and the weights
        [batch, heads, rows, keys] where they are asked for.

    Raises:
        ShapeError: the operands do not fit together.
    """
    attrs: dict[str, Any] = {"is_causal": int(causal), "softcap": float(softcap)}
    if num_heads is not None:
        shared = num_heads if num_key_value_heads is None else num_key_value_heads
        attrs.update(q_num_heads=operator.index(num_heads), kv_num_heads=operator.index(shared))
    if scale is not None:
        attrs["scale"] = float(scale)
    if window is not None:
        attrs.update(left_window_size=window[0], right_window_size=window[1])
    if scores:
        attrs["qk_matmul_output_mode"] = 3
    if mask is not None:
        keys = resolved(key).shape[-2] + (0 if past is None else resolved(past[0]).shape[-2])
        mask = _written_out(mask, resolved(query).shape[-2], keys)
    operands = [query, key, value, mask, *(past or (None, None)), lengths]
    while operands[-1] is None:
        operands.pop()
    made = attention_op(*operands, **attrs)
    if past is None and scores:
        return made[0], made[3]
    return made


def _written_out(mask: Any, rows: DimLike, keys: DimLike) -> Any:
    """The mask with all its rows and keys.

    onnxruntime does not repeat rows by itself; and of keys, ONNX takes one as too few, not as one
    for all.
    """
    mask = resolved(mask)
    if mask.ndim == 1:
        mask = expand_dims(mask, 0)
    if mask.ndim < 2:
        return mask
    height = rows if same_dim(mask.shape[-2], 1) else mask.shape[-2]
    width = keys if same_dim(mask.shape[-1], 1) else mask.shape[-1]
    return broadcast_to(mask, (*mask.shape[:-2], height, width))


# -- rotary positions -----------------------------------------------------------------------------


def _infer_rotary(
    X: Value, cos_cache: Value, sin_cache: Value, position_ids: Value | None = None, *,
    interleaved: int = 0, num_heads: int | None = None, rotary_embedding_dim: int = 0,
) -> Inferred:  # fmt: skip
    require_kind(X, "f", "a floating dtype")
    common_dtype((X, cos_cache, sin_cache))
    batch, _, length, size = _by_heads_one(X, num_heads)
    rotated = rotary_embedding_dim or size
    if isinstance(rotated, Dim) or rotated % 2 or (isinstance(size, int) and rotated > size):
        raise ShapeError(f"an even number of at most {size} elements is rotated, got {rotated}")
    wanted: Shape = (batch, length, rotated // 2)
    if position_ids is not None:
        require_kind(position_ids, "i", "integers as position_ids")
        if position_ids.rank != 2:
            raise ShapeError(f"position_ids is [batch, length], got {position_ids.spec}")
        require_same_dim(position_ids.shape[0], batch, "the batches of X and position_ids differ")
        require_same_dim(position_ids.shape[1], length, "the lengths of X and position_ids differ")
    for name, cache in (("cos_cache", cos_cache), ("sin_cache", sin_cache)):
        if cache.rank != (3 if position_ids is None else 2):
            layout = f"[positions, {rotated // 2}]"
            if position_ids is None:
                layout = f"{shape_text(wanted)} without position_ids"
            raise ShapeError(f"{name} is {layout}, got {shape_text(cache.shape)}")
        own = wanted if position_ids is None else (cache.shape[0], rotated // 2)
        for axis, dim in enumerate(own):
            require_same_dim(cache.shape[axis], dim, f"axis {axis} of {name}")
    require_same_dim(cos_cache.shape[0], sin_cache.shape[0], "cos_cache and sin_cache differ")
    return X.shape, X.dtype


def _by_heads_one(X: Value, heads: int | None) -> Shape:
    if X.rank == 3 and not heads:
        raise ShapeError("a 3-D tensor [batch, length, heads * size] needs num_heads")
    return _by_heads(X, heads, "X")


@op("RotaryEmbedding", since=23, infer=_infer_rotary)
@half_in_single
def rotary_embedding_op(
    X: Any, cos_cache: Any, sin_cache: Any, position_ids: Any = None, *, interleaved: int = 0,
    num_heads: int | None = None, rotary_embedding_dim: int = 0,
) -> Any:  # fmt: skip
    """Pairs of elements of every head rotated by angles that grow with the position."""
    flat = X.ndim == 3
    size = X.shape[-1] // num_heads if flat else X.shape[-1]
    x = X.reshape(*X.shape[:2], num_heads, size) if flat else X.transpose(0, 2, 1, 3)
    y = np.empty_like(x)
    rotated = rotary_embedding_dim or x.shape[-1]
    half = rotated // 2
    if position_ids is not None:
        if position_ids.size and (position_ids.min() < 0 or position_ids.max() >= len(cos_cache)):
            wrong = [p for p in position_ids.reshape(-1).tolist() if not 0 <= p < len(cos_cache)]
            raise ValueError(
                f"there are {len(cos_cache)} positions, and {wrong[0]} is none of them"
            )
        cos_cache, sin_cache = cos_cache[position_ids], sin_cache[position_ids]
    if cos_cache.shape[-1] != half or sin_cache.shape[-1] != half:
        raise ValueError("the angles do not fit the heads")
    cos, sin = cos_cache[:, :, None], sin_cache[:, :, None]
    one, two = (slice(0, rotated, 2), slice(1, rotated, 2)) if interleaved else (
        slice(half), slice(half, rotated)
    )  # fmt: skip
    x1, x2 = x[..., one], x[..., two]
    y[..., one] = cos * x1 - sin * x2
    y[..., two] = sin * x1 + cos * x2
    y[..., rotated:] = x[..., rotated:]
    return y.reshape(X.shape) if flat else y.transpose(0, 2, 1, 3)


def rotary_embedding(
    x: Any,
    cos: Any,
    sin: Any,
    positions: Any = None,
    *,
    num_heads: int | None = None,
    rotated: int = 0,
    interleaved: bool = False,
) -> Any:
    """Rotary position embedding (Su et al. 2021): pairs of elements rotated by the position.

    Args:
        x: [batch, length, heads * size], or [batch, heads, length, size].
        cos: of the angles, [positions, rotated / 2]; [batch, length, rotated / 2] without
            `positions`.
        sin: likewise.
        positions: int64[batch, length], each less than the number of positions.
        num_heads: where x has 3 dimensions.
        rotated: how many elements of each head are rotated, an even number; 0 for all.
        interleaved: whether neighbours are a pair; else an element and the one half a head further.

    Raises:
        ShapeError: the angles do not fit.
    """
    attrs: dict[str, Any] = {
        "interleaved": int(interleaved), "rotary_embedding_dim": operator.index(rotated)
    }  # fmt: skip
    if num_heads is not None:
        attrs["num_heads"] = operator.index(num_heads)
    return rotary_embedding_op(x, cos, sin, positions, **attrs)


# -- the cache ------------------------------------------------------------------------------------


def _infer_tensor_scatter(
    past_cache: Value, update: Value, write_indices: Value | None = None, *, axis: int = -2,
    mode: str = "linear",
) -> Inferred:  # fmt: skip
    common_dtype((past_cache, update))
    rank = past_cache.rank
    if update.rank != rank or rank < 2:
        raise ShapeError(
            f"cache and update need the same dimensions, two or more, got "
            f"{shape_text(past_cache.shape)} and {shape_text(update.shape)}"
        )
    if mode not in ("linear", "circular"):
        raise ShapeError(f"the mode is linear or circular, got {mode!r}")
    axis = normalize_axis(axis, rank)
    if axis == 0:
        raise ShapeError("axis 0 is the batch; the update is written along another")
    for i, (ours, theirs) in enumerate(zip(past_cache.shape, update.shape, strict=True)):
        if i != axis:
            require_same_dim(ours, theirs, f"axis {i} of the cache and the update")
        elif isinstance(ours, int) and isinstance(theirs, int) and theirs > ours:
            raise ShapeError(f"an update of {theirs} does not fit into a cache of {ours}")
    if write_indices is not None:
        require_kind(write_indices, "i", "integers as write_indices")
        if write_indices.rank != 1:
            raise ShapeError(f"write_indices is [batch], got {shape_text(write_indices.shape)}")
        require_same_dim(
            write_indices.shape[0], past_cache.shape[0], "write_indices has one number a sample"
        )
    return past_cache.shape, past_cache.dtype


@op("TensorScatter", any_dtype=True, since=24, infer=_infer_tensor_scatter)
def tensor_scatter_op(
    past_cache: Any, update: Any, write_indices: Any = None, *, axis: int = -2,
    mode: str = "linear", out: Any = None,
) -> Any:  # fmt: skip
    """A copy of a cache into which each sample's update is written at its index along an axis."""
    starts = [0] * len(past_cache) if write_indices is None else write_indices.tolist()
    size, count = past_cache.shape[axis], update.shape[axis]
    for sample, start in enumerate(starts):
        if start < 0 or (mode == "linear" and start + count > size) or count > size:
            raise ValueError(
                f"the cache has {size} places, of which sample {sample} uses {start} already; "
                f"{count} more do not fit"
            )
    if out is None:
        out = past_cache.copy(order="C")
    elif out is not past_cache:
        out[...] = past_cache
    before = (slice(None),) * (axis % out.ndim)
    if len(set(starts)) == 1 and starts[0] + count <= size:
        out[(*before, slice(starts[0], starts[0] + count))] = update
        return out
    for sample, start in enumerate(starts):
        places = slice(start, start + count)
        if start + count > size:
            places = (start + np.arange(count)) % size
        out[sample][(*before[1:], places)] = update[sample]
    return out


def tensor_scatter(
    cache: Any, update: Any, starts: Any = None, *, axis: int = -2, circular: bool = False
) -> Any:
    """A copy of a cache into which each sample's update is written along an axis.

    Args:
        cache: [batch, ...].
        update: like the cache, and not larger along the axis.
        starts: int64[batch], where to write each sample; at 0 where it is not given.
        axis: to write along; not that of the batch.
        circular: whether to go on at 0 after the end.

    Raises:
        ShapeError: the update does not fit; unless circular, also not at its start.
    """
    mode = "circular" if circular else "linear"
    return tensor_scatter_op(cache, update, starts, axis=operator.index(axis), mode=mode)
