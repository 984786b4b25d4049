"""Random operators: a counter-based integer hash, the same bits in NumPy and in onnxruntime.

Element `i` of a draw is `hash(i, key, seed)`. The key comes from the path of the layer call and
the number of the draw in it; the seed is an input of the program. The hash is two rounds of a
multiply-xorshift permutation of 32-bit integers ("lowbias32" of C. Wellons, whose bias is 0.17
where a perfect permutation has 0), with a key word added before each round.

Normal numbers take only operations that IEEE 754 rounds exactly (`+ - * / sqrt` in double
precision), so that they too have equal bits everywhere.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from graphctx.context import current, current_seed, fresh_seed
from graphctx.errors import DTypeError, ShapeError, TraceError
from graphctx.graph import Value
from graphctx.ops.activations import softmax
from graphctx.ops.blocks import aligned
from graphctx.ops.elementwise import abs as absolute
from graphctx.ops.elementwise import add, clip, div_op, mod_op, multiply, sqrt
from graphctx.ops.indexing import slice_op
from graphctx.ops.logic import astype, bitwise_right_shift, bitwise_xor, greater_equal, where
from graphctx.ops.reductions import cumulative_sum, reduce_prod_op
from graphctx.ops.reductions import sum as sum_of
from graphctx.ops.shape import concat, expand_dims, range_op, reshape_op
from graphctx.ops.shape import shape as shape_of
from graphctx.ops.table import TABLE, Inferred, known_dims, op, require_kind
from graphctx.spec import Dim, as_dtype, dtype_name, is_half, kind_of
from graphctx.tensor import ArrayOperators, Tensor, require_tensor

_BLOCK = 1 << 15  # elements that stay in the cache while they are hashed
_MASK = 0xFFFFFFFF
_GOLDEN = 0x9E3779B9  # 2**32 divided by the golden ratio: the permutation leaves 0 where it is
_SECOND = 0x85EBCA6B  # tells the second stream of a normal draw from the first


def _mix(x: int) -> int:
    """The 32-bit permutation on one Python integer."""
    x ^= x >> 16
    x = (x * 0x7FEB352D) & _MASK
    x ^= x >> 15
    x = (x * 0x846CA68B) & _MASK
    return x ^ (x >> 16)


def _key_words(key: int, seed: int) -> tuple[int, int]:
    """The two 32-bit words that a key and a seed give the hash.

    The seed is mixed before it meets the key, so that no seed undoes a difference of keys.
    """
    low = _mix((seed + _GOLDEN) & _MASK)
    high = _mix(((seed >> 32) + low) & _MASK)
    first = _mix(high ^ (key & _MASK))
    return first, _mix(((first ^ (key >> 32)) + low) & _MASK)


# Arrays without axes, which NumPy takes faster than scalars.
_STEPS = [
    (np.asarray(shift, np.uint32), np.asarray(factor, np.uint32))
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B))
]
_LAST = np.asarray(16, np.uint32)
_EIGHT = np.asarray(8, np.uint32)


def _hashed(size: int, words: tuple[int, int]) -> Iterator[tuple[slice, Any, Any]]:
    """Yield (which elements, their words, a buffer like these) block by block, in one memory."""
    first, second = (np.asarray(word, np.uint32) for word in words)
    counter, x, scratch = (aligned((min(size, _BLOCK),), np.uint32) for _ in range(3))
    counter[:] = np.arange(len(counter), dtype=np.uint32)
    counter += first
    for start in range(0, size, _BLOCK):
        stop = min(start + _BLOCK, size)
        bits, buffer = x[: stop - start], scratch[: stop - start]
        np.add(counter[: stop - start], np.asarray(start, np.uint32), out=bits)
        _mix_into(bits, buffer)
        np.add(bits, second, out=bits)
        _mix_into(bits, buffer)
        yield slice(start, stop), bits, buffer


def _mix_into(x: Any, buffer: Any) -> None:
    """The 32-bit permutation on an array, in place."""
    for shift, factor in _STEPS:
        np.right_shift(x, shift, out=buffer)
        np.bitwise_xor(x, buffer, out=x)
        np.multiply(x, factor, out=x)
    np.right_shift(x, _LAST, out=buffer)
    np.bitwise_xor(x, buffer, out=x)


def _empty(shape: Any, dtype: Any) -> tuple[Any, Any]:
    """An array of a shape, and the same flat."""
    dims = tuple(int(n) for n in np.asarray(shape).reshape(-1))
    if math.prod(dims) > 2**32:
        raise ShapeError(f"a random draw has at most 2**32 elements, got shape {dims}")
    made = np.empty(dims, dtype)
    return made, made.reshape(-1)


def _mix_tensor(x: Any) -> Any:
    """The 32-bit permutation on a tensor."""
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = bitwise_xor(x, bitwise_right_shift(x, np.uint32(shift)))
        x = x * np.uint32(factor)
    return bitwise_xor(x, bitwise_right_shift(x, np.uint32(16)))


def _bits_tensor(shape: Tensor, seed: Tensor, key: int, second: int = 0) -> Any:
    """The hash as a graph of integer operators."""
    two32 = np.int64(2**32)
    low = _mix_tensor(astype(mod_op(seed, two32), "uint32") + np.uint32(_GOLDEN))
    high = _mix_tensor(astype(div_op(seed, two32), "uint32") + low)
    first = _mix_tensor(bitwise_xor(high, np.uint32(key & _MASK)))
    word = _mix_tensor(bitwise_xor(first, np.uint32(key >> 32)) + low)
    if second:
        word = bitwise_xor(word, np.uint32(second))
    size = reduce_prod_op(shape, keepdims=0)
    counter = astype(range_op(np.int64(0), size, np.int64(1)), "uint32")
    x = _mix_tensor(_mix_tensor(counter + first) + word)
    return reshape_op(x, shape, allowzero=1)


def _infer(dtype: str) -> Callable[..., Inferred]:
    def infer(shape: Value, seed: Value, *, key: int) -> Inferred:
        return tuple(known_dims(shape, "the shape of a random draw")), np.dtype(dtype)

    return infer


@op(
    "random_bits",
    infer=_infer("uint32"),
    expand=lambda shape, seed, *, key: _bits_tensor(shape, seed, key),
)
def random_bits_op(shape, seed, *, key):  # type: ignore[no-untyped-def]
    """Uniform 32-bit words. `shape`: int64 vector; `seed`: int64 scalar; `key`: 64-bit integer."""
    made, flat = _empty(shape, np.uint32)
    for part, bits, _ in _hashed(flat.size, _key_words(key, int(seed))):
        flat[part] = bits
    return made


@op(
    "random_uniform",
    infer=_infer("float32"),
    expand=lambda shape, seed, *, key: (
        astype(bitwise_right_shift(_bits_tensor(shape, seed, key), np.uint32(8)), "float32")
        * np.float32(2.0**-24)
    ),
)
def random_uniform_op(shape, seed, *, key):  # type: ignore[no-untyped-def]
    """Uniform float32 in [0, 1), multiples of 2**-24."""
    made, flat = _empty(shape, np.float32)
    for part, bits, buffer in _hashed(flat.size, _key_words(key, int(seed))):
        np.right_shift(bits, _EIGHT, out=buffer)
        np.multiply(buffer.astype(np.float32), np.float32(2.0**-24), out=flat[part])
    return made


# sin(x) = x * sum((-1)^k x^2k / (2k+1)!), to 4e-14 on [-pi/2, pi/2].
_SINE = [1.0, -1 / 6, 1 / 120, -1 / 5040, 1 / 362880, -1 / 39916800, 1 / 6227020800,
         -1 / 1307674368000, 1 / 355687428096000]  # fmt: skip


def _horner(coefficients: list[float], x: Any) -> Any:
    total = x * coefficients[-1] + coefficients[-2]
    for coefficient in reversed(coefficients[:-2]):
        total = total * x + coefficient
    return total


def _box_muller(first: Any, second: Any, root: Callable[[Any], Any], magnitude: Any) -> Any:
    """A standard normal from two doubles that hold 32-bit integers (Box and Muller 1958).

    The logarithm is 64 times that of the 64th root, by `log v = 2 atanh((v - 1) / (v + 1))`; the
    cosine of the angle is a sine after exact reductions.
    """
    v = (first + 0.5) * 2.0**-32
    for _ in range(6):
        v = root(v)
    s = (v - 1.0) / (v + 1.0)
    log = s * 128.0 * _horner([1.0, 1 / 3, 1 / 5, 1 / 7, 1 / 9, 1 / 11, 1 / 13, 1 / 15], s * s)
    angle = (magnitude(second * 2.0**-32 - 0.5) - 0.25) * (2 * np.pi)
    return root(log * -2.0) * (angle * _horner(_SINE, angle * angle))


def _normal_tensor(shape: Tensor, seed: Tensor, *, key: int) -> Any:
    first = astype(_bits_tensor(shape, seed, key), "float64")
    second = astype(_bits_tensor(shape, seed, key, _SECOND), "float64")
    return astype(_box_muller(first, second, sqrt, absolute), "float32")


@op("random_normal", infer=_infer("float32"), expand=_normal_tensor)
def random_normal_op(shape, seed, *, key):  # type: ignore[no-untyped-def]
    """Standard normal float32."""
    made, flat = _empty(shape, np.float32)
    first, second = _key_words(key, int(seed))
    streams = (_hashed(flat.size, words) for words in ((first, second), (first, second ^ _SECOND)))
    for (part, a, _), (_, b, _) in zip(*streams, strict=True):
        flat[part] = _box_muller(a.astype(np.float64), b.astype(np.float64), np.sqrt, np.abs)
    return made


def _infer_dropout(x: Value, rate: Value, seed: Value, *, key: int) -> Inferred:
    require_kind(x, "f", "a floating dtype")
    if rate.shape:
        raise ShapeError("the rate must be a scalar")
    return x.shape, x.dtype


def _working(dtype: Any) -> Any:
    """Half precision is computed in single, as onnxruntime does on a CPU."""
    return np.dtype(np.float32) if is_half(dtype) else dtype


def _dropout_tensor(x: Tensor, rate: Tensor, seed: Tensor, *, key: int) -> Any:
    dtype = _working(x.dtype)
    one, zero = np.asarray(1, dtype), np.asarray(0, dtype)
    rate = clip(astype(rate, dtype), zero, one)
    bits = bitwise_right_shift(_bits_tensor(shape_of(x), seed, key), np.uint32(8))
    threshold = astype(astype(rate, "float64") * 2.0**24, "uint32")
    scaled = astype(x, dtype) * div_op(one, one - rate)
    return astype(where(greater_equal(bits, threshold), scaled, zero), x.dtype)


@op("dropout", infer=_infer_dropout, expand=_dropout_tensor, row_major=True)
def dropout_op(x, rate, seed, *, key, out=None):  # type: ignore[no-untyped-def]
    """Elements are 0 with probability `rate` (to 2**-24), else scaled by `1 / (1 - rate)`."""
    x = np.ascontiguousarray(x).reshape(np.shape(x))
    dtype = _working(x.dtype)
    rate = dtype.type(min(max(rate, 0), 1))
    threshold = np.asarray(float(rate) * 2.0**24, np.uint32)
    one = dtype.type(1)
    scale = np.asarray(one / (one - rate) if rate < 1 else 0, dtype)
    word = np.dtype(f"u{dtype.itemsize}")
    made, to = _empty(x.shape, x.dtype) if out is None else (out, out.reshape(-1))
    flat = x.reshape(-1)
    for part, bits, buffer in _hashed(flat.size, _key_words(key, int(seed))):
        np.right_shift(bits, _EIGHT, out=buffer)
        keep = np.greater_equal(buffer, threshold)
        # All bits or none: eight times as fast as np.where, and 0 also where x is not finite.
        mask = buffer if dtype.itemsize == 4 else np.empty(len(keep), word)
        np.copyto(mask, keep)
        np.negative(mask, out=mask)
        scaled = np.multiply(
            flat[part], scale, dtype=dtype, out=to[part] if x.dtype == dtype else None
        )
        found = scaled.view(word)
        np.bitwise_and(found, mask, out=found)
        if x.dtype != dtype:
            to[part] = scaled
    return made


# Numbers below 2**30, so that no product leaves 63 bits.
_FACTOR, _STEP, _OFFSET = 0x2C9277B5, 0x1B873593, 0x1BD1E995


def _infer_iteration_seed(seed: Value, iteration: Value) -> Inferred:
    for value in (seed, iteration):
        if value.shape or value.dtype != np.int64:
            raise ShapeError(f"needs int64 scalars, got {value.spec}")
    return (), np.dtype(np.int64)


def _iteration_seed_tensor(seed: Tensor, iteration: Tensor) -> Any:
    half = np.int64(2**32)
    upper = div_op(seed, half) * np.int64(_FACTOR) + iteration * np.int64(_STEP)
    upper = mod_op(upper + np.int64(_OFFSET), np.int64(2**31))
    return upper * half + mod_op(seed, half)


@op("iteration_seed", infer=_infer_iteration_seed, expand=_iteration_seed_tensor)
def iteration_seed_op(seed, iteration):  # type: ignore[no-untyped-def]
    """The seed of one iteration of a loop: int64 scalars.

    The upper half of the seed makes a step of a linear congruential generator, to which the number
    of the iteration is added: so nested loops have seeds of their own, too.
    """
    upper, lower = divmod(int(seed), 2**32)
    upper = (upper * _FACTOR + int(iteration) * _STEP + _OFFSET) % 2**31
    return np.asarray(upper * 2**32 + lower, np.int64)


# -- what users call ------------------------------------------------------------------------------


def key_of(text: str) -> int:
    """The 64-bit key of a stream of random numbers that is known by a text."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _draw() -> tuple[int, Any]:
    """(key, seed) of the next random draw of the running layer call."""
    frame = current.get()
    while frame is not None and frame.layer is None:
        frame = frame.parent if frame.parent is not None else None
    if frame is None:
        path, count = "", 0
    else:
        path, count = frame.path, frame.draws
        frame.draws += 1
    key = key_of(f"{path}:{count}")
    if frame is not None and frame.tracer is not None:
        seed = frame.tracer.seed()
    else:
        number = current_seed()
        seed = np.asarray(fresh_seed() if number is None else number, np.int64)
    for iteration in () if frame is None else frame.iterations:
        seed = iteration_seed_op(seed, iteration)
    return key, seed


def _recorded(name: str, *operands: Any, key: int) -> Any:
    """Apply a random op; in a trace always as a node, whatever its operands are."""
    frame = current.get()
    if frame is not None and frame.tracer is not None:
        return frame.tracer.record(TABLE[name], operands, {"key": key})
    functional = next((x for x in operands if isinstance(x, Tensor)), None)
    if functional is not None:
        raise TraceError(
            "a random operator cannot be applied to a functional model's tensor directly: its "
            "numbers would have no layer to belong to; put it into a layer's call"
        )
    return TABLE[name](*operands, key=key)


def _shape_operand(shape: Any) -> Any:
    if isinstance(shape, (int, np.integer, Dim)):
        shape = (shape,)
    if isinstance(shape, ArrayOperators):
        return shape
    shape = tuple(shape)
    if any(isinstance(dim, (Dim, Tensor)) for dim in shape):
        return shape
    return np.asarray(shape, np.int64).reshape(-1)


def random_bits(shape: Any) -> Any:
    """Random uint32 words, uniform over all 2**32 values."""
    key, seed = _draw()
    return _recorded("random_bits", _shape_operand(shape), seed, key=key)


def random_uniform(shape: Any, low: Any = 0.0, high: Any = 1.0, dtype: Any = "float32") -> Any:
    """Random numbers uniform over [low, high), from 24 random bits each."""
    key, seed = _draw()
    unit = astype(_recorded("random_uniform", _shape_operand(shape), seed, key=key), dtype)
    plain = isinstance(low, float) and isinstance(high, float)
    return unit if plain and (low, high) == (0.0, 1.0) else add(multiply(unit, high - low), low)


def random_normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32") -> Any:
    """Random numbers from a normal distribution."""
    key, seed = _draw()
    unit = astype(_recorded("random_normal", _shape_operand(shape), seed, key=key), dtype)
    plain = isinstance(mean, float) and isinstance(stddev, float)
    return unit if plain and (mean, stddev) == (0.0, 1.0) else add(multiply(unit, stddev), mean)


def random_bernoulli(shape: Any, probability: Any = 0.5) -> Any:
    """Random bools that are True with a probability."""
    key, seed = _draw()
    return _recorded("random_uniform", _shape_operand(shape), seed, key=key) < probability


def dropout(x: Any, rate: Any, noise_shape: Any = None) -> Any:
    """Set elements to 0 with probability `rate` and scale the others by `1 / (1 - rate)`.

    Args:
        x: floating tensor of any shape.
        rate: number in [0, 1], or a scalar tensor.
        noise_shape: shape of the mask, broadcast against `x`; 1 shares a mask along an axis.

    Raises:
        ShapeError: a rate outside [0, 1].
    """
    if not isinstance(rate, ArrayOperators):
        rate = float(rate)
        if not 0 <= rate <= 1:
            raise ShapeError(f"dropout: a rate is in [0, 1], got {rate}")
    if isinstance(x, ArrayOperators):
        x = x.resolve()
        if isinstance(x, Tensor):
            require_tensor(x)
    else:
        x = np.asarray(x)
    if noise_shape is not None:
        mask = random_uniform(noise_shape) >= rate
        scale = 1 / (1 - rate) if isinstance(rate, ArrayOperators) or rate < 1 else 0.0
        return where(mask, multiply(x, scale), np.asarray(0, x.dtype))
    key, seed = _draw()
    rate = astype(rate, x.dtype) if isinstance(rate, ArrayOperators) else x.dtype.type(rate)
    return _recorded("dropout", x, rate, seed, key=key)


# -- ONNX's own random operators ------------------------------------------------------------------

DRAWN = ("RandomUniform", "RandomUniformLike", "RandomNormal", "RandomNormalLike", "Bernoulli",
          "Multinomial")  # fmt: skip


def drawn(
    name: str,
    operands: Sequence[Any],
    seed: Any,
    key: int,
    *,
    dtype: Any = None,
    shape: Sequence[int] = (),
    low: float = 0.0,
    high: float = 1.0,
    mean: float = 0.0,
    scale: float = 1.0,
    sample_size: int = 1,
) -> Any:
    """What one of ONNX's random operators draws, in the operators of this module.

    The distribution is ONNX's, the bits are not those of any other runtime, which ONNX leaves
    open. A draw has 24 random bits (a normal one 64), whatever its dtype.

    Args:
        name: of the operator: `RandomUniform`, `RandomNormal`, their `Like`, `Bernoulli` or
            `Multinomial`.
        operands: of the operator; tensors or arrays.
        seed: of the program.
        key: of the stream; see `key_of`. Nodes with one key draw the same numbers.
        dtype: of the result; float32, or the operand's, or int32 of `Multinomial`, by default.
        shape: of the result, where no operand gives it.
        low: least number of a uniform distribution.
        high: bound of a uniform distribution.
        mean: of a normal distribution.
        scale: its standard deviation.
        sample_size: how many classes `Multinomial` draws for each row.

    Raises:
        ShapeError, DTypeError: an unknown operator, or an operand that does not fit.
    """
    if name not in DRAWN:
        raise ShapeError(f"random operators are {', '.join(DRAWN)}; got {name!r}")
    if name == "Multinomial":
        return _multinomial(operands[0], seed, key, sample_size, dtype or "int32")
    x = operands[0] if operands else None
    sizes = np.asarray(shape, np.int64).reshape(-1) if x is None else shape_of(x)
    wanted = as_dtype(("float32" if x is None else x.dtype) if dtype is None else dtype)
    if name == "Bernoulli":
        assert x is not None
        if kind_of(x.dtype) != "f":
            raise DTypeError(f"probabilities are floats, got {dtype_name(x.dtype)}")
        return astype(random_uniform_op(sizes, seed, key=key) < astype(x, "float32"), wanted)
    if kind_of(wanted) != "f":
        raise DTypeError(f"{name} draws floats, not {dtype_name(wanted)}: give it a dtype")
    if name.startswith("RandomUniform"):
        unit = random_uniform_op(sizes, seed, key=key)
        factor, offset = np.float32(high) - np.float32(low), np.float32(low)
    else:
        unit = random_normal_op(sizes, seed, key=key)
        factor, offset = np.float32(scale), np.float32(mean)
    return astype(unit * factor + offset, wanted)


def _multinomial(x: Any, seed: Any, key: int, count: int, dtype: Any) -> Any:
    """Classes that are drawn by logarithms of their shares [N, classes]: [N, count]."""
    if len(x.shape) != 2 or kind_of(x.dtype) != "f":
        raise ShapeError("Multinomial takes a matrix of logarithms [N, classes]")
    if as_dtype(dtype) not in (np.dtype(np.int32), np.dtype(np.int64)):
        raise DTypeError(f"Multinomial draws int32 or int64, not {dtype_name(as_dtype(dtype))}")
    ends = cumulative_sum(softmax(astype(x, "float32"), 1), axis=1)
    rows = slice_op(shape_of(x), np.array([0]), np.array([1]))
    sizes = concat([rows, np.array([count], np.int64)], axis=0)
    unit = random_uniform_op(sizes, seed, key=key)
    classes = slice_op(
        ends, np.array([0]), np.array([-1]), np.array([1])
    )  # the last takes the rest
    beyond = greater_equal(expand_dims(unit, 2), expand_dims(classes, 1))
    return astype(sum_of(astype(beyond, "int64"), axis=2), dtype)


__all__ = [
    "dropout", "random_bernoulli", "random_bits", "random_normal", "random_uniform",
]  # fmt: skip
