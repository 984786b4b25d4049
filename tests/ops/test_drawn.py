"""ONNX's random operators: their distributions, one meaning everywhere, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphctx as gx
from graphctx import TensorSpec
from graphctx.context import current
from graphctx.errors import DTypeError, ShapeError
from graphctx.ops.random import drawn, key_of

SEED = np.asarray(7, np.int64)
LOGITS = np.log(np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 1e-9]], np.float32))


def draw(name: str, *operands: Any, key: str = "a", **attrs: Any) -> Any:
    return drawn(name, operands, SEED, key_of(key), **attrs)


def test_uniform() -> None:
    x = draw("RandomUniform", shape=[200, 300], low=-2.0, high=6.0)
    assert x.dtype == np.float32
    assert x.shape == (200, 300)
    assert -2 <= x.min() <= -1.9
    assert 5.9 <= x.max() < 6
    assert x.mean() == pytest.approx(2, abs=0.05)


def test_normal() -> None:
    x = draw("RandomNormal", shape=[60_000], mean=3.0, scale=0.5, dtype="float64")
    assert x.dtype == np.float64
    assert x.mean() == pytest.approx(3, abs=0.01)
    assert x.std() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("name", ["RandomUniformLike", "RandomNormalLike"])
def test_like(name: str) -> None:
    x = np.zeros((2, 3), np.float16)
    assert draw(name, x).dtype == np.float16
    assert draw(name, x, dtype="float32").shape == (2, 3)
    assert draw(name, x.astype(int), dtype="float32").dtype == np.float32
    plain = draw(name.removesuffix("Like"), shape=[2, 3])
    np.testing.assert_array_equal(draw(name, x, dtype="float32"), plain)


def test_bernoulli() -> None:
    p = np.full((3, 20_000), 0.25, np.float32)
    p[1], p[2] = 0, 1
    x = draw("Bernoulli", p)
    assert x.dtype == np.float32
    assert x[0].mean() == pytest.approx(0.25, abs=0.02)
    assert not x[1].any()
    assert x[2].all()
    assert draw("Bernoulli", p, dtype="int64").dtype == np.int64


def test_multinomial() -> None:
    x = draw("Multinomial", LOGITS, sample_size=30_000)
    assert x.dtype == np.int32
    shares = [np.bincount(row, minlength=3) / 30_000 for row in x]
    np.testing.assert_allclose(shares, [[0.1, 0.2, 0.7], [0.5, 0.5, 0]], atol=0.02)
    assert draw("Multinomial", LOGITS, dtype="int64").shape == (2, 1)


def test_streams_are_those_of_keys() -> None:
    one = draw("RandomUniform", shape=[8])
    np.testing.assert_array_equal(one, draw("RandomUniform", shape=[8]))
    assert (one != draw("RandomUniform", shape=[8], key="b")).any()
    assert (
        one != drawn("RandomUniform", [], np.asarray(8, np.int64), key_of("a"), shape=[8])
    ).any()


class Noise(gx.Layer):
    """Every operator, in a program."""

    def call(self, x: Any) -> Any:
        frame = current.get()
        seed = frame.tracer.seed() if frame is not None and frame.tracer is not None else SEED
        return (
            drawn("RandomUniform", [], seed, 1, shape=[2, 3], low=1.0, high=2.0),
            drawn("RandomNormalLike", [x], seed, 2, dtype="float64"),
            drawn("Bernoulli", [x], seed, 3),
            drawn("Multinomial", [x], seed, 4, sample_size=5),
        )


def test_programs_and_files_draw_the_same(tmp_path: Path) -> None:
    program = gx.compile(gx.trace(Noise(), TensorSpec(("n", 4))))
    x = np.random.default_rng(0).random((3, 4)).astype(np.float32)
    for ours, theirs in zip(program(x, seed=7), Noise()(x), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    gx.export(program, tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("name", "operands", "attrs", "kind", "message"),
    [
        ("Gumbel", [], {}, ShapeError, "random operators are RandomUniform, .*; got 'Gumbel'"),
        ("RandomNormal", [], {"dtype": "int32"}, DTypeError, "draws floats, not int32"),
        ("RandomNormalLike", [np.zeros(3, int)], {}, DTypeError, "give it a dtype"),
        ("Bernoulli", [np.zeros(3, int)], {}, DTypeError, "probabilities are floats, got int64"),
        ("Multinomial", [np.zeros(3, np.float32)], {}, ShapeError, "takes a matrix"),
        ("Multinomial", [LOGITS], {"dtype": "float32"}, DTypeError, "not float32"),
    ],
)
def test_refused(name: str, operands: Any, attrs: Any, kind: Any, message: str) -> None:
    with pytest.raises(kind, match=message):
        draw(name, *operands, **attrs)
