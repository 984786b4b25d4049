"""Programs against hand-written NumPy: a transformer block, a CNN, chains of operators; memory.

Every peer is written in the ways in which people write it: plain; in place; and tuned, with
buffers that are allocated once and reused by every call, which a program may not do, as its
results belong to the caller. The fastest one counts. All of them compute in float32.
"""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import graphctx as gx
from benchmarks.timing import side_by_side
from graphctx import Layer, nn, ops

TARGET = 1.05
ROUNDS = 61
WIDTH = 256
SEQUENCE = 128
BLOCKS = ((1, 4), (1, 8), (8, 4), (8, 8))  # batch and heads
EPSILON = 1e-3

Forms = Mapping[str, Callable[..., Any]]

# -- a transformer block --------------------------------------------------------------------------


def gelu(x: Any) -> Any:
    """The form with tanh, as in GPT-2."""
    return ops.gelu(x, approximate="tanh")


class Attention(Layer):
    """Self-attention over [batch, sequence, width], written with matrix products."""

    def __init__(self, heads: int) -> None:
        self.heads = heads
        self.project = nn.Dense(3 * WIDTH)
        self.out = nn.Dense(WIDTH)

    def call(self, x: Any) -> Any:
        batch, length, width = x.shape
        parts = ops.split(self.project(x), 3, -1)
        query, key, value = (
            ops.permute_dims(
                ops.reshape(y, (batch, length, self.heads, width // self.heads)), (0, 2, 1, 3)
            )
            for y in parts
        )
        scale = 1 / math.sqrt(width // self.heads)
        scores = ops.softmax((query * scale) @ ops.permute_dims(key, (0, 1, 3, 2)))
        mixed = ops.permute_dims(scores @ value, (0, 2, 1, 3))
        return self.out(ops.reshape(mixed, (batch, length, width)))


class Block(Layer):
    """Pre-norm transformer block."""

    def __init__(self, heads: int) -> None:
        self.norm_1 = nn.LayerNorm()
        self.attention = Attention(heads)
        self.norm_2 = nn.LayerNorm()
        self.up = nn.Dense(4 * WIDTH, activation=gelu)
        self.down = nn.Dense(WIDTH)

    def call(self, x: Any) -> Any:
        x = x + self.attention(self.norm_1(x))
        return x + self.down(self.up(self.norm_2(x)))


def plain_norm(x: Any, gamma: Any, beta: Any) -> Any:
    """Layer normalization as in the paper."""
    mean = x.mean(-1, keepdims=True)
    variance = x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + np.float32(EPSILON)) * gamma + beta


def plain_gelu(x: Any) -> Any:
    """GELU in one expression."""
    half, one = np.float32(0.5), np.float32(1)
    root, cube = np.float32(math.sqrt(2 / math.pi)), np.float32(0.044715)
    return half * x * (one + np.tanh(root * (x + cube * x * x * x)))


def plain_softmax(x: Any) -> Any:
    """Softmax over the last axis."""
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def norm_into(x: Any, gamma: Any, beta: Any, out: Any) -> Any:
    """Layer normalization into a buffer."""
    count = np.float32(x.shape[-1])
    mean = np.add.reduce(x, axis=-1, keepdims=True)
    mean /= count
    np.subtract(x, mean, out=out)
    scale = np.vecdot(out, out)[..., None]
    scale /= count
    scale += np.float32(EPSILON)
    np.sqrt(scale, out=scale)
    out /= scale
    out *= gamma
    out += beta
    return out


def gelu_into(x: Any, out: Any) -> Any:
    """GELU into a buffer that is not `x`: eight passes."""
    root = math.sqrt(2 / math.pi)
    np.multiply(x, x, out=out)
    out *= np.float32(0.044715 * root)
    out += np.float32(root)
    out *= x
    np.tanh(out, out=out)
    out += np.float32(1)
    out *= x
    out *= np.float32(0.5)
    return out


def softmax_into(x: Any, out: Any) -> Any:
    """Softmax over the last axis into a buffer, which may be `x`."""
    np.subtract(x, np.maximum.reduce(x, axis=-1, keepdims=True), out=out)
    np.exp(out, out=out)
    out /= np.add.reduce(out, axis=-1, keepdims=True)
    return out


def hand_written_block(weights: Mapping[str, Any], batch: int, heads: int) -> Forms:
    """The block in NumPy."""
    w = {path.split("/", 1)[1]: array for path, array in weights.items()}
    depth = WIDTH // heads
    scale = np.float32(1 / math.sqrt(depth))

    def split(x: Any) -> Any:
        return np.moveaxis(x.reshape(batch, SEQUENCE, 3, heads, depth), (2, 3), (0, 2))

    def plain(x: Any) -> Any:
        y = plain_norm(x, w["norm_1/gamma"], w["norm_1/beta"])
        y = y @ w["attention/project/kernel"] + w["attention/project/bias"]
        query, key, value = split(y)
        scores = plain_softmax((query * scale) @ key.swapaxes(-1, -2))
        y = (scores @ value).swapaxes(1, 2).reshape(x.shape)
        x = x + (y @ w["attention/out/kernel"] + w["attention/out/bias"])
        y = plain_norm(x, w["norm_2/gamma"], w["norm_2/beta"])
        y = plain_gelu(y @ w["up/kernel"] + w["up/bias"])
        return x + (y @ w["down/kernel"] + w["down/bias"])

    def in_place(x: Any) -> Any:
        x = x.reshape(-1, WIDTH)
        y = norm_into(x, w["norm_1/gamma"], w["norm_1/beta"], np.empty_like(x))
        y = np.dot(y, w["attention/project/kernel"])
        y += w["attention/project/bias"]
        y[:, :WIDTH] *= scale
        query, key, value = split(y)
        scores = query @ key.swapaxes(-1, -2)
        softmax_into(scores, scores)
        y = (scores @ value).swapaxes(1, 2).reshape(x.shape)
        del scores, query, key, value
        y = np.dot(y, w["attention/out/kernel"])
        y += w["attention/out/bias"]
        y += x
        x = y
        y = norm_into(x, w["norm_2/gamma"], w["norm_2/beta"], np.empty_like(x))
        y = np.dot(y, w["up/kernel"])
        y += w["up/bias"]
        y = gelu_into(y, np.empty_like(y))
        y = np.dot(y, w["down/kernel"])
        y += w["down/bias"]
        y += x
        return y.reshape(batch, SEQUENCE, WIDTH)

    rows = batch * SEQUENCE
    normed = np.empty((rows, WIDTH), np.float32)
    projected = np.empty((rows, 3 * WIDTH), np.float32)
    scores = np.empty((batch, heads, SEQUENCE, SEQUENCE), np.float32)
    mixed = np.empty((batch, heads, SEQUENCE, depth), np.float32)
    middle = np.empty((rows, WIDTH), np.float32)
    hidden = np.empty((rows, 4 * WIDTH), np.float32)
    active = np.empty((rows, 4 * WIDTH), np.float32)
    result = np.empty((rows, WIDTH), np.float32)

    def tuned(x: Any) -> Any:
        x = x.reshape(-1, WIDTH)
        norm_into(x, w["norm_1/gamma"], w["norm_1/beta"], normed)
        np.dot(normed, w["attention/project/kernel"], out=projected)
        np.add(projected, w["attention/project/bias"], out=projected)
        np.multiply(projected[:, :WIDTH], scale, out=projected[:, :WIDTH])
        query, key, value = split(projected)
        np.matmul(query, key.swapaxes(-1, -2), out=scores)
        softmax_into(scores, scores)
        np.matmul(scores, value, out=mixed)
        np.copyto(normed.reshape(batch, SEQUENCE, heads, depth), mixed.swapaxes(1, 2))
        np.dot(normed, w["attention/out/kernel"], out=middle)
        np.add(middle, w["attention/out/bias"], out=middle)
        np.add(middle, x, out=middle)
        norm_into(middle, w["norm_2/gamma"], w["norm_2/beta"], normed)
        np.dot(normed, w["up/kernel"], out=hidden)
        np.add(hidden, w["up/bias"], out=hidden)
        gelu_into(hidden, active)
        np.dot(active, w["down/kernel"], out=result)
        np.add(result, w["down/bias"], out=result)
        np.add(result, middle, out=result)
        return result.reshape(batch, SEQUENCE, WIDTH)

    return {"plain": plain, "in place": in_place, "tuned": tuned}


# -- a small CNN ----------------------------------------------------------------------------------

IMAGE = 28
FILTERS = (16, 32)


def cnn() -> Layer:
    """Two convolutions, each followed by max pooling, and a dense layer."""
    layers: list[Layer] = []
    for filters in FILTERS:
        layers += [nn.Conv2D(filters, 3, padding="same", activation="relu"), nn.MaxPooling2D()]
    return nn.Sequential([*layers, nn.Flatten(), nn.Dense(10)])


def hand_written_cnn(weights: Mapping[str, Any]) -> Forms:
    """The CNN in NumPy: a convolution is one matrix product with the windows of the image."""
    kernels = [v for k, v in weights.items() if k.endswith("kernel")]
    biases = [v for k, v in weights.items() if k.endswith("bias")]
    flat = [k.reshape(-1, k.shape[-1]) for k in kernels]  # [taps * channels, filters]

    def plain(x: Any) -> Any:
        for kernel, bias in zip(kernels[:-1], biases[:-1], strict=True):
            padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
            windows = sliding_window_view(padded, (3, 3), (1, 2))  # [N, H, W, C, 3, 3]
            x = np.maximum(np.tensordot(windows, kernel, ((4, 5, 3), (0, 1, 2))) + bias, 0)
            n, h, w, c = x.shape
            x = x.reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))
        return x.reshape(len(x), -1) @ kernels[-1] + biases[-1]

    def columns(x: Any) -> Any:
        n, h, w, c = x.shape
        padded = np.zeros((n, h + 2, w + 2, c), np.float32)
        padded[:, 1:-1, 1:-1] = x
        made = np.empty((n, h, w, 9 * c), np.float32)
        for tap in range(9):
            i, j = divmod(tap, 3)
            made[..., tap * c : (tap + 1) * c] = padded[:, i : i + h, j : j + w]
        return made.reshape(-1, 9 * c)

    def in_place(x: Any) -> Any:
        for kernel, bias in zip(flat[:-1], biases[:-1], strict=True):
            n, h, w, _ = x.shape
            y = np.dot(columns(x), kernel).reshape(n, h, w, -1)
            y += bias
            rows = np.maximum(y[:, ::2], y[:, 1::2])
            x = np.maximum(rows[:, :, ::2], rows[:, :, 1::2])
            np.maximum(x, 0, out=x)  # of a quarter of the numbers: the largest is the same
        y = np.dot(x.reshape(len(x), -1), kernels[-1])
        y += biases[-1]
        return y

    zero = np.float32(0)

    def by_window(x: Any) -> Any:
        for kernel, bias in zip(kernels[:-1], biases[:-1], strict=True):
            n, h, w, c = x.shape
            padded = np.zeros((n, h + 2, w + 2, c), np.float32)
            padded[:, 1:-1, 1:-1] = x
            windows = sliding_window_view(padded, (3, 3), (1, 2)).transpose(0, 1, 2, 4, 5, 3)
            y = np.dot(windows.reshape(-1, 9 * c), kernel.reshape(9 * c, -1))
            y += bias
            np.maximum(y, zero, out=y)
            y = y.reshape(n, h, w, -1)
            rows = np.maximum(y[:, ::2], y[:, 1::2])
            x = np.maximum(rows[:, :, ::2], rows[:, :, 1::2])
        y = np.dot(x.reshape(len(x), -1), kernels[-1])
        y += biases[-1]
        return y

    return {"plain": plain, "in place": in_place, "by window": by_window}


# -- chains of operators --------------------------------------------------------------------------

ROWS, COLUMNS = 512, 3072


class Chain(Layer):
    """A function of a tensor and two vectors."""

    def __init__(self, function: Callable[..., Any], columns: int) -> None:
        self.function = function
        self.scale = self.add_weight((columns,), np.linspace(0.5, 2, columns, dtype=np.float32))
        self.shift = self.add_weight((columns,), np.linspace(-1, 1, columns, dtype=np.float32))

    def call(self, x: Any) -> Any:
        return self.function(x, self.scale.value, self.shift.value)


def plain_erf(x: Any) -> Any:
    """The error function to 1.5e-7 (Abramowitz and Stegun, formula 7.1.26)."""
    t = 1 / (1 + np.float32(0.3275911) * np.abs(x))
    y = np.float32(1.061405429) * t
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        y = (y + np.float32(coefficient)) * t
    return np.copysign(1 - y * np.exp(-x * x), x)


def erf_gelu_into(x: Any, out: Any, t: Any, size: Any) -> Any:
    """GELU with that error function, in buffers."""
    np.multiply(x, np.float32(math.sqrt(0.5)), out=out)
    np.abs(out, out=size)
    np.multiply(size, np.float32(0.3275911), out=t)
    t += np.float32(1)
    np.reciprocal(t, out=t)
    np.multiply(size, size, out=size)
    np.negative(size, out=size)
    np.exp(size, out=size)
    np.multiply(t, np.float32(1.061405429), out=out)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        out += np.float32(coefficient)
        out *= t
    out *= size
    np.subtract(np.float32(1), out, out=out)
    np.copysign(out, x, out=out)
    out += np.float32(1)
    out *= x
    out *= np.float32(0.5)
    return out


def residual_into(x: Any, scale: Any, shift: Any, y: Any, out: Any) -> Any:
    """Relu, bias, residual and layer normalization in buffers."""
    np.maximum(x, 0, out=y)
    y += shift
    y += x
    return norm_into(y, scale, shift, out)


def long(x: Any, scale: Any, shift: Any) -> Any:
    """Nine elementwise operators."""
    y = ops.tanh(x * scale + shift) + x
    return (ops.abs(y) * 2 - x) * 0.5 + y * y


def plain_long(x: Any, scale: Any, shift: Any) -> Any:
    """The same in NumPy."""
    y = np.tanh(x * scale + shift) + x
    return (np.abs(y) * np.float32(2) - x) * np.float32(0.5) + y * y


def long_into(x: Any, scale: Any, shift: Any, y: Any, out: Any) -> Any:
    """The same in buffers."""
    np.multiply(x, scale, out=y)
    y += shift
    np.tanh(y, out=y)
    y += x
    np.abs(y, out=out)
    out *= np.float32(2)
    out -= x
    out *= np.float32(0.5)
    np.multiply(y, y, out=y)
    out += y
    return out


def batch_norm(x: Any, scale: Any, shift: Any) -> Any:
    """Batch normalization by the statistics of the batch."""
    centered = x - ops.mean(x, axis=0)
    variance = ops.mean(ops.square(centered), axis=0)
    return centered * (scale / ops.sqrt(variance + EPSILON)) + shift


def plain_batch_norm(x: Any, scale: Any, shift: Any) -> Any:
    """The same in NumPy."""
    return (x - x.mean(0)) / np.sqrt(x.var(0) + np.float32(EPSILON)) * scale + shift


def batch_norm_into(x: Any, scale: Any, shift: Any, y: Any, out: Any) -> Any:
    """The same in buffers."""
    count = np.float32(len(x))
    np.subtract(x, np.add.reduce(x, axis=0) / count, out=out)
    np.multiply(out, out, out=y)
    out *= scale / np.sqrt(np.add.reduce(y, axis=0) / count + np.float32(EPSILON))
    out += shift
    return out


def chains() -> list[tuple[str, Callable[..., Any], tuple[int, ...], Forms]]:
    """(what, function of a tensor and two vectors, shape of the tensor, hand-written forms)."""
    big = ROWS, COLUMNS
    a, b, c = (np.empty(big, np.float32) for _ in range(3))
    heads = 8, 8, SEQUENCE, SEQUENCE
    scores = np.empty(heads, np.float32)
    half, one, root = np.float32(0.5), np.float32(1), np.float32(math.sqrt(0.5))
    return [
        (
            "GELU with tanh", lambda x, *_: gelu(x), big,
            {
                "plain": lambda x, *_: plain_gelu(x),
                "in place": lambda x, *_: gelu_into(x, np.empty_like(x)),
                "tuned": lambda x, *_: gelu_into(x, a),
            },
        ),
        (
            "GELU with erf", lambda x, *_: ops.gelu(x), big,
            {
                "plain": lambda x, *_: half * x * (one + plain_erf(root * x)),
                "tuned": lambda x, *_: erf_gelu_into(x, a, b, c),
            },
        ),
        (
            "softmax", lambda x, *_: ops.softmax(x), heads,
            {
                "plain": lambda x, *_: plain_softmax(x),
                "in place": lambda x, *_: softmax_into(x, np.empty_like(x)),
                "tuned": lambda x, *_: softmax_into(x, scores),
            },
        ),
        (
            "layer normalization", lambda x, *v: ops.layer_norm(x, *v, epsilon=EPSILON), big,
            {
                "plain": plain_norm,
                "in place": lambda x, *v: norm_into(x, *v, np.empty_like(x)),
                "tuned": lambda x, *v: norm_into(x, *v, a),
            },
        ),
        (
            "relu, bias, residual, layer normalization",
            lambda x, g, s: ops.layer_norm(ops.relu(x) + s + x, g, s, epsilon=EPSILON), big,
            {
                "plain": lambda x, g, s: plain_norm(np.maximum(x, 0) + s + x, g, s),
                "in place": lambda x, *v: residual_into(x, *v, np.empty_like(x), np.empty_like(x)),
                "tuned": lambda x, *v: residual_into(x, *v, a, b),
            },
        ),
        (
            "scale, bias, GELU with tanh", lambda x, g, s: gelu(x * g + s), big,
            {
                "plain": lambda x, g, s: plain_gelu(x * g + s),
                "tuned": lambda x, g, s: gelu_into(
                    np.add(np.multiply(x, g, out=a), s, out=a), b
                ),
            },
        ),
        (
            "nine elementwise operators", long, big,
            {"plain": plain_long, "tuned": lambda x, *v: long_into(x, *v, a, b)},
        ),
        (
            "batch normalization in training", batch_norm, big,
            {"plain": plain_batch_norm, "tuned": lambda x, *v: batch_norm_into(x, *v, a, b)},
        ),
    ]  # fmt: skip


def dropout_row() -> dict[str, Any]:
    """Dropout, whose bits are equal everywhere, against NumPy's own generator."""
    rate = np.float32(0.1)
    random = np.random.default_rng(0)
    noise = np.empty((ROWS, COLUMNS), np.float32)
    result = np.empty_like(noise)

    def plain(x: Any) -> Any:
        return np.where(random.random(x.shape, np.float32) >= rate, x / (1 - rate), np.float32(0))

    def tuned(x: Any) -> Any:
        random.random(out=noise, dtype=np.float32)
        np.multiply(x, 1 / (1 - rate), out=result)
        return np.multiply(result, noise >= rate, out=result)

    program, _ = program_of(nn.Dropout(0.1), COLUMNS, training=True)
    what = f"dropout in training, {ROWS} x {COLUMNS}"
    forms = {"plain": plain, "tuned": tuned}
    x = values(ROWS, COLUMNS)
    return compare(what, lambda x: program(x, seed=0), forms, x, agree=False)


# -- running them ---------------------------------------------------------------------------------


def program_of(model: Layer, *shape: Any, **context: Any) -> tuple[gx.Program, dict[str, Any]]:
    """The program of a model with a symbolic batch, and the model's weights."""
    with gx.seed(0):
        program = gx.compile(gx.trace(model, gx.TensorSpec(("batch", *shape))), **context)
    return program, {path: variable.numpy() for path, variable in model.weights.items()}


def values(*shape: int) -> Any:
    """Normal random numbers."""
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def peak(function: Callable[..., Any], *args: Any) -> int:
    """Most bytes that a call has allocated at one time, its result included."""
    function(*args)
    tracemalloc.start()
    try:
        kept = function(*args)
        found = tracemalloc.get_traced_memory()[1]
        del kept
    finally:
        tracemalloc.stop()
    return found


def compare(
    what: str, ours: Callable[..., Any], forms: Forms, *args: Any, agree: bool = True
) -> dict[str, Any]:
    """One row: ours against the fastest of the hand-written forms, which compute the same.

    Args:
        what: is compared.
        ours: takes the first argument.
        forms: take all of them.
        args: arrays.
        agree: whether the results are equal but for rounding.
    """
    expected = ours(args[0])
    contenders: dict[str, Callable[[], Any]] = {"ours": lambda: ours(args[0])}
    for name, form in forms.items():
        if agree:
            np.testing.assert_allclose(form(*args), expected, rtol=1e-4, atol=1e-5)
        contenders[name] = lambda form=form: form(*args)
    found = side_by_side(contenders, rounds=ROUNDS, least=0.002)  # many short turns
    best = min(forms, key=found.__getitem__)
    plain = f", plain {1e3 * found['plain']:.3f} ms" if best != "plain" else ""
    return {
        "what": what, "ours": f"{1e3 * found['ours']:.3f} ms",
        "peer": f"hand-written ({best}) {1e3 * found[best]:.3f} ms{plain}",
        "ratio": found["ours"] / found[best], "target": TARGET,
    }  # fmt: skip


def compare_memory(what: str, ours: Callable[..., Any], forms: Forms, *args: Any) -> dict[str, Any]:
    """One row: the peak memory of ours against the least of the hand-written forms."""
    most = peak(ours, args[0])
    found = {name: peak(form, *args) for name, form in forms.items()}
    best = min(found, key=found.__getitem__)
    return {
        "what": f"peak memory, {what}", "ours": f"{most / 2**20:.2f} MiB",
        "peer": f"hand-written ({best}) {found[best] / 2**20:.2f} MiB",
        "ratio": most / found[best], "target": 1.0,
    }  # fmt: skip


def run() -> list[dict[str, Any]]:
    """Rows: time and memory of models and of single operators."""
    rows = []
    for batch, heads in BLOCKS:
        program, weights = program_of(Block(heads), SEQUENCE, WIDTH)
        forms = hand_written_block(weights, batch, heads)
        what = (
            f"transformer block, width {WIDTH}, sequence {SEQUENCE}, {heads} heads, batch {batch}"
        )
        x = values(batch, SEQUENCE, WIDTH)
        rows.append(compare(what, program, forms, x))
        forms = {name: forms[name] for name in ("plain", "in place")}  # the other keeps its buffers
        rows.append(compare_memory(what, program, forms, x))
    for batch in (1, 32):
        program, weights = program_of(cnn(), IMAGE, IMAGE, 1)
        forms = hand_written_cnn(weights)
        what = f"CNN, 2 x (convolution, relu, pool), dense, {IMAGE} x {IMAGE}, batch {batch}"
        x = values(batch, IMAGE, IMAGE, 1)
        rows.append(compare(what, program, forms, x))
        rows.append(compare_memory(what, program, forms, x))
    for name, function, shape, forms in chains():
        program, weights = program_of(Chain(function, shape[-1]), *shape[1:])
        vectors = [weights["chain/scale"], weights["chain/shift"]]
        what = f"{name}, {' x '.join(map(str, shape))}"
        rows.append(compare(what, program, forms, values(*shape), *vectors))
    return [*rows, dropout_row()]
