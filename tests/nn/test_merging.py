"""`Add`, `Subtract`, `Multiply`, `Average`, `Maximum`, `Minimum`, `Concatenate` and `Dot`."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphctx as gx
from graphctx import Layer, nn
from tests.nn.common import agree, close, refused, same, text, values

FUNCTIONS: dict[Any, Any] = {
    nn.Add: np.add,
    nn.Subtract: np.subtract,
    nn.Multiply: np.multiply,
    nn.Maximum: np.maximum,
    nn.Minimum: np.minimum,
}


class Merged(Layer):
    """Slices of one tensor, merged."""

    def __init__(self, layer: Layer, *parts: Any) -> None:
        self.layer = layer
        self.parts = [lambda x, part=part: x[part] for part in parts]

    def call(self, x: Any) -> Any:
        return self.layer([part(x) for part in self.parts])


# -- element by element ---------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    kind=st.sampled_from(list(FUNCTIONS)),
    shapes=st.lists(st.lists(st.sampled_from([1, 3]), max_size=3), min_size=1, max_size=4),
)
def test_elementwise(kind: Any, shapes: list[list[int]]) -> None:
    shapes = (shapes * 2)[:2] if kind is nn.Subtract else shapes
    inputs = [values(2, *shape, seed=i) for i, shape in enumerate(shapes)]
    rank = max(map(len, shapes))
    wide = [x.reshape(2, *(1,) * (rank - x.ndim + 1), *x.shape[1:]) for x in inputs]
    same(kind()(inputs), functools.reduce(FUNCTIONS[kind], wide))
    mean = functools.reduce(np.add, wide) / len(wide)
    close(nn.Average()(inputs), mean)


@pytest.mark.parametrize("kind", [*FUNCTIONS, nn.Average])
def test_program_equals_the_eager_call(kind: Any) -> None:
    x = values(3, 4, 5)
    agree(Merged(kind(), slice(None), (slice(None), 0)), x)
    agree(Merged(kind(), slice(None), (slice(None), 0)), x, (0, 1, 2))


def test_texts() -> None:
    a, b = gx.TensorSpec(("n", 4)), gx.TensorSpec(("n", "t", 4))
    assert text(gx.trace(nn.Add(), [b, a, b])) == (
        "graph add (inputs_0: float32[n, t, 4], inputs_1: float32[n, 4], "
        "inputs_2: float32[n, t, 4])\n"
        "  %1 = Unsqueeze(inputs_1, [1])\n"
        "  %2 = Add(inputs_0, %1)\n"
        "  %3 = Add(%2, inputs_2)\n"
        "  return %3"
    )
    assert text(gx.trace(nn.Average(), [a, a])).splitlines()[1:] == [
        "  %1 = Add(inputs_0, inputs_1)",
        "  %2 = Div(%1, 2)",
        "  return %2",
    ]
    assert text(gx.trace(nn.Multiply(), [a])).endswith("\n  return inputs_0")


def test_integers_stay_integers_but_in_a_mean() -> None:
    inputs = [np.array([[1, 2]]), np.array([[3, 5]])]
    same(nn.Add()(inputs), np.array([[4, 7]]))
    same(nn.Average()(inputs), np.array([[2, 3.5]], np.float32))  # as in Keras
    cosine = nn.Dot(1, normalize=True)(inputs)
    close(cosine, np.array([[13 / np.sqrt(5 * 34)]]))


def test_docstrings_go_on_as_that_of_the_family() -> None:
    assert inspect.getdoc(nn.Subtract).startswith(  # type: ignore[union-attr]
        "Difference of two tensors, element by element.\n\nArgs:\n    name: of the layer.\n\n"
        "Input a list of 2 tensors [batch, ...]"
    )

    class Sum(nn.Add):
        """Of a user."""

    assert inspect.getdoc(Sum) == "Of a user."
    same(Sum()([np.ones((1, 2)), np.ones((1, 2))]), np.full((1, 2), 2.0))


def test_in_a_functional_model() -> None:
    x = gx.Input((4,), name="x")
    y = gx.Input((3, 4), name="y")
    both = nn.Concatenate(axis=1)([nn.Add()([x, y]), y])
    model = gx.Model([x, y], nn.Dot(axes=(2, 1))([both, nn.Dense(4)(x)]))
    a, b = values(2, 4), values(2, 3, 4)
    expected = model([a, b])
    assert expected.shape == (2, 6)
    program = gx.compile(gx.trace(model, *[model.input_specs]))
    same(program([a, b]), expected)


# -- along axes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_concatenate(axis: int) -> None:
    x = values(3, 4, 5)
    parts = [slice(None), slice(None)]
    same(nn.Concatenate(axis)([x, x]), np.concatenate([x, x], axis))
    agree(Merged(nn.Concatenate(axis), *parts), x)


def test_concatenate_text() -> None:
    specs = [gx.TensorSpec(("n", 3)), gx.TensorSpec(("n", 4))]
    assert text(gx.trace(nn.Concatenate(), specs)) == (
        "graph concatenate (inputs_0: float32[n, 3], inputs_1: float32[n, 4])\n"
        "  %1 = Concat(inputs_0, inputs_1, axis=-1)\n"
        "  return %1"
    )


@settings(max_examples=60)
@given(
    left=st.lists(st.integers(1, 3), max_size=3),
    right=st.lists(st.integers(1, 3), max_size=3),
    size=st.integers(1, 4),
    places=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    normalize=st.booleans(),
    negative=st.booleans(),
)
def test_dot(
    left: list[int], right: list[int], size: int, places: tuple[int, int], normalize: bool,
    negative: bool,
) -> None:  # fmt: skip
    i, j = 1 + places[0] % (len(left) + 1), 1 + places[1] % (len(right) + 1)
    x = values(2, *left[: i - 1], size, *left[i - 1 :])
    y = values(2, *right[: j - 1], size, *right[j - 1 :], seed=1)
    axes = (i - x.ndim, j - y.ndim) if negative else (i, j)
    z = nn.Dot(axes, normalize)([x, y])
    a, b = x.astype(float), y.astype(float)
    if normalize:
        a = a / np.linalg.norm(a, axis=i, keepdims=True)
        b = b / np.linalg.norm(b, axis=j, keepdims=True)
    expected = np.stack([np.tensordot(m, n, (i - 1, j - 1)) for m, n in zip(a, b, strict=True)])
    close(z, expected if expected.ndim > 1 else expected[:, None], 1e-4)
    specs = [gx.TensorSpec(("n", *t.shape[1:])) for t in (x, y)]
    same(gx.compile(gx.trace(nn.Dot(axes, normalize), specs))([x, y]), z)


def test_dot_texts() -> None:
    a, b = gx.TensorSpec(("n", "s", 8)), gx.TensorSpec(("n", "t", 8))
    lines = text(gx.trace(nn.Dot(2), [a, b])).splitlines()[1:]
    assert lines == [
        "  %1 = Transpose(inputs_1, perm=[0, 2, 1])",
        "  %2 = MatMul(inputs_0, %1)",
        "  return %2",
    ]
    vector = gx.TensorSpec(("n", 8))
    assert text(gx.trace(nn.Dot(1, normalize=True), [vector, vector])).splitlines()[1:] == [
        "  %1 = LpNormalization(inputs_0, axis=1)",
        "  %2 = LpNormalization(inputs_1, axis=1)",
        "  %3 = Mul(%1, %2)",
        "  %4 = ReduceSum(%3, [1])",
        "  return %4",
    ]


# -- errors ---------------------------------------------------------------------------------------


def test_what_is_no_list_of_tensors() -> None:
    x = values(2, 3)
    for kind in (nn.Add, nn.Concatenate):
        name = f"merge: {kind.__name__} takes a list of tensors"
        layer: Any = kind(name="merge")
        refused(lambda layer=layer: layer(x), f"{name}, got a ndarray")  # type: ignore[misc]
        refused(lambda layer=layer: layer([]), f"{name}, got a list of nothing")  # type: ignore[misc]
        refused(lambda layer=layer: layer([x, 2]), f"{name}, got a list of ndarray, int")  # type: ignore[misc]
    refused(
        lambda: nn.Subtract()([x, x, x]),
        "subtract: Subtract takes a list of 2 tensors, got 3",
    )
    refused(lambda: nn.Dot(1)([x]), "dot: Dot takes a list of 2 tensors, got 1")


def test_batches_that_differ() -> None:
    refused(
        lambda: nn.Add()([values(2, 3), values(1, 3)]),
        "add: Add takes tensors of one batch size, got [2, 3], [1, 3]",
    )
    refused(
        lambda: gx.trace(nn.Add(), [gx.TensorSpec(("n", 3)), gx.TensorSpec(("m", 3))]),
        "add: Add takes tensors of one batch size, got [n, 3], [m, 3]",
    )
    refused(
        lambda: nn.Multiply()([values(2), np.array(3, "float32")]),
        "multiply: Multiply takes tensors [batch, ...], got [2], []",
    )


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(gx.ShapeError, match=r"^add: Add\(float32\[2, 3\], float32\[2, 4\]\)"):
        nn.Add()([values(2, 3), values(2, 4)])
    with pytest.raises(gx.ShapeError, match=r"^concatenate: Concat\("):
        nn.Concatenate()([values(2, 3), values(3, 3)])


def test_dot_errors() -> None:
    refused(lambda: nn.Dot("last"), "Dot: axes is an integer, or two of them, got 'last'")
    refused(lambda: nn.Dot((1, 2, 3)), "Dot: axes is an integer, or two of them, got (1, 2, 3)")
    refused(lambda: nn.Dot((0, 1)), "Dot: axes names 0, which is the batch: (0, 1)")
    x, y = values(2, 3), values(2, 4, 5)
    for axes, i, j in (((1, 2), 1, 2), ((-2, 2), 0, 2)):
        refused(
            lambda axes=axes: nn.Dot(axes)([x, y]),  # type: ignore[misc]
            f"dot: Dot multiplies along axes {i} and {j}, which are to be of one size and not the "
            f"batch, got [2, 3], [2, 4, 5]",
        )
    refused(
        lambda: nn.Dot(2)([x, y]),
        "dot: Dot has axis=2, which an input of 2 dimensions does not have",
    )
    refused(
        lambda: nn.Dot(1)([values(2), y]),
        "dot: Dot takes tensors [batch, ..., features], got [2], [2, 4, 5]",
    )
    refused(
        lambda: nn.Concatenate(axis=1.5),  # type: ignore[arg-type]
        "Concatenate: axis is an integer, got 1.5",
    )
