"""Attention without projections: by dot products, and additive."""

from __future__ import annotations

from typing import Any

from graphctx import ops
from graphctx.context import Context
from graphctx.layer import Layer, Variable
from graphctx.nn.arguments import (
    bad_call,
    choice,
    flag,
    float_dtype,
    known_size,
    no_seed,
    number,
    require_mask,
)
from graphctx.nn.attention_parts import joined, masked_softmax
from graphctx.spec import same_dim, shape_text

__all__ = ["AdditiveAttention", "Attention"]


class Attention(Layer):
    """Attention by dot products: `softmax(query @ key.T) @ value`.

    Luong et al., "Effective approaches to attention-based neural machine translation" (2015).

    Args:
        use_scale: whether the products are multiplied by a weight.
        score_mode: "dot" for dot products, "concat" for
            `concat_score_weight * sum(tanh(scale * (query + key)))`.
        dropout: probability of an attention weight to become 0 while training.
        seed: must be None. The numbers follow from the program's seed and the layer's path.
        dtype: of the weights.
        name: of the layer.

    Call arguments:
        inputs: a list [query, value] or [query, value, key]: query [batch, rows, features], value
            [batch, keys, size], key [batch, keys, features]; the value is the key where there is
            none.
        mask: a list [query mask, value mask], bools [batch, rows] and [batch, keys] or None: rows
            that are 0 in the output, and keys that are seen.
        return_attention_scores: whether to return (output, weights [batch, rows, keys]).
        use_causal_mask: whether row i sees only the keys up to i.

    Context:
        training (bool, default False): whether there is dropout.

    Attributes:
        scale: a number, or None.
        concat_score_weight: a number, or None.

    Output [batch, rows, size]. A row that sees no key is 0.

    Raises:
        LayerError: a bad argument, inputs or masks that are no such list or do not fit together.
    """

    scale: Variable | None
    concat_score_weight: Variable | None

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: None = None,
        *,
        dtype: Any = "float32",
        name: str | None = None,
    ) -> None:
        self.name = name
        self.use_scale = flag(self, "use_scale", use_scale)
        self.score_mode = choice(self, "score_mode", score_mode, ("dot", "concat"))
        self.dropout = number(self, "dropout", dropout, 0, 1, open_end=True)
        no_seed(self, seed)
        self.dtype = float_dtype(self, dtype)

    def build(self, input_shape: Any) -> None:
        """Create the weights of the scores."""
        self.scale = self.concat_score_weight = None
        if self.use_scale:
            self.scale = self.add_weight((), "ones", name="scale", dtype=self.dtype)
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight(
                (), "ones", name="concat_score_weight", dtype=self.dtype
            )

    def _scores(self, query: Any, key: Any) -> Any:
        if self.concat_score_weight is None:
            scores = ops.matmul(query, ops.matrix_transpose(key))
            return scores if self.scale is None else scores * self.scale.value
        sums = _sums(query, key)
        if self.scale is not None:
            sums = sums * self.scale.value
        return self.concat_score_weight.value * ops.sum(ops.tanh(sums), axis=-1)

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
        *,
        training: Context[bool] = False,
    ) -> Any:
        """Attend; see the class."""
        query, value, key = self._inputs(inputs)
        rows, keys = query.shape[1], key.shape[1]
        query_mask, value_mask = self._masks(mask, query, value)
        seen = None if value_mask is None else ops.expand_dims(value_mask, 1)
        if use_causal_mask:
            seen = joined(seen, ops.expand_dims(ops.arange(rows), 1) >= ops.arange(keys))
        weights = masked_softmax(self._scores(query, key), seen)
        used = ops.dropout(weights, self.dropout) if training and self.dropout else weights
        y = ops.matmul(used, value)
        if query_mask is not None:
            y = ops.where(ops.expand_dims(query_mask, 2), y, 0.0)
        return (y, weights) if return_attention_scores else y

    def _inputs(self, inputs: Any) -> tuple[Any, Any, Any]:
        """Query, value and key."""
        if not isinstance(inputs, (list, tuple)) or not 2 <= len(inputs) <= 3:
            raise bad_call(self, "takes a list [query, value] or [query, value, key]")
        query, value = inputs[:2]
        key = inputs[2] if len(inputs) == 3 else value
        shapes: list[Any] = [getattr(x, "shape", ()) for x in (query, value, key)]
        fits = (
            all(len(shape) == 3 for shape in shapes)
            and same_dim(shapes[1][1], shapes[2][1])
            and same_dim(shapes[0][2], shapes[2][2])
            and all(same_dim(shapes[0][0], shape[0]) for shape in shapes)
        )
        if not fits:
            raise bad_call(
                self,
                f"takes query [batch, rows, features], value [batch, keys, size] and key [batch, "
                f"keys, features], got {', '.join(map(shape_text, shapes))}",
            )
        return query, value, key

    def _masks(self, mask: Any, query: Any, value: Any) -> tuple[Any, Any]:
        """The masks of query and value, as bools."""
        if mask is None:
            return None, None
        if not isinstance(mask, (list, tuple)) or not 2 <= len(mask) <= 3:
            raise bad_call(self, "takes as its mask a list [query mask, value mask]")
        masks = []
        for given, x in zip(mask, (query, value), strict=False):
            if given is not None:
                require_mask(self, given, x.shape[:2], least=2)
                given = ops.astype(given, "bool")
            masks.append(given)
        return masks[0], masks[1]


class AdditiveAttention(Attention):
    """Additive attention: `softmax(sum(scale * tanh(query + key))) @ value`.

    Bahdanau et al., "Neural machine translation by jointly learning to align and translate" (2015).

    Args:
        use_scale: whether the elements of the sum are multiplied by weights.
        dropout: probability of an attention weight to become 0 while training.
        seed: must be None. The numbers follow from the program's seed and the layer's path.
        dtype: of the weights.
        name: of the layer.

    Call arguments, context, output and errors are those of `Attention`.

    Attributes:
        scale: [features], or None.
    """

    def __init__(
        self,
        use_scale: bool = True,
        dropout: float = 0.0,
        seed: None = None,
        *,
        dtype: Any = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(use_scale, "dot", dropout, seed, dtype=dtype, name=name)

    def build(self, input_shape: Any) -> None:
        """Create the scale."""
        self.scale = None
        if self.use_scale:
            query_shape = self._shape_of_query(input_shape)
            features = known_size(self, query_shape, -1, "number of features")
            self.scale = self.add_weight(
                (features,), "glorot_uniform", name="scale", dtype=self.dtype
            )

    def _shape_of_query(self, shapes: Any) -> Any:
        is_list = isinstance(shapes, (list, tuple)) and len(shapes) in (2, 3)
        if not is_list or not isinstance(shapes[0], tuple):
            raise bad_call(self, "takes a list [query, value] or [query, value, key]")
        return shapes[0]

    def _scores(self, query: Any, key: Any) -> Any:
        sums = ops.tanh(_sums(query, key))
        return ops.sum(sums if self.scale is None else self.scale.value * sums, axis=-1)


def _sums(query: Any, key: Any) -> Any:
    """Every row of the query plus every key: [batch, rows, keys, features]."""
    return ops.expand_dims(query, 2) + ops.expand_dims(key, 1)
