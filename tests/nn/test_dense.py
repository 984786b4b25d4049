"""`Dense` and `EinsumDense`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphctx as gx
from graphctx import nn
from tests.nn.common import agree, close, refused, same, text, values

# -- Dense ----------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(
    lead=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    features=st.integers(1, 6),
    units=st.integers(1, 6),
    use_bias=st.booleans(),
)
def test_formula(lead: list[int], features: int, units: int, use_bias: bool) -> None:
    x = values(*lead, features)
    layer = nn.Dense(units, use_bias=use_bias, bias_initializer="random_normal")
    y = layer(x)
    expected = np.einsum("...i,io->...o", x.astype(float), layer.kernel.numpy().astype(float))
    if use_bias:
        assert layer.bias is not None
        expected = expected + layer.bias.numpy()
    else:
        assert layer.bias is None
    close(y, expected)


@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 5), (2, 2, 3, 5)])
@pytest.mark.parametrize("options", [{}, {"use_bias": False}, {"activation": "tanh"}])
def test_program_equals_the_eager_call(shape: Any, options: Any) -> None:
    agree(nn.Dense(4, **options), values(*shape), tuple(range(len(shape) - 1)))


def test_rank_2_is_one_gemm() -> None:
    layer = nn.Dense(4, activation="relu")
    assert text(gx.trace(layer, gx.TensorSpec(("batch", 8)))) == (
        "graph dense (x: float32[batch, 8])\n"
        "  %1 = Gemm(x, @dense/kernel, @dense/bias)\n"
        "  %2 = Relu(%1)\n"
        "  return %2"
    )


def test_higher_rank_is_matmul_and_add() -> None:
    layer = nn.Dense(4)
    assert text(gx.trace(layer, gx.TensorSpec(("batch", "time", 8)))) == (
        "graph dense (x: float32[batch, time, 8])\n"
        "  %1 = MatMul(x, @dense/kernel)\n"
        "  %2 = Add(%1, @dense/bias)\n"
        "  return %2"
    )


def test_one_layer_serves_several_ranks() -> None:
    layer = nn.Dense(3)
    x = values(2, 4, 5)
    close(layer(x)[0], layer(x[0]))


@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool", "float16", "float64"])
def test_inputs_are_converted_to_the_layers_dtype(dtype: str) -> None:
    layer = nn.Dense(3)
    x = np.abs(values(4, 5) * 3).astype(dtype)
    same(layer(x), layer(x.astype("float32")))
    agree(layer, x)


def test_a_layer_in_float64() -> None:
    layer = nn.Dense(3, dtype="float64")
    x = values(4, 5)
    assert layer(x).dtype == np.float64
    assert layer.kernel.dtype == np.float64
    agree(layer, x)


def test_an_activation_may_be_a_layer_or_a_function() -> None:
    x = values(4, 5)
    inner = nn.Activation("tanh")
    layer = nn.Dense(3, activation=inner)
    close(layer(x), np.tanh(x @ layer.kernel.numpy()))
    assert layer.layers == [inner]
    assert "dense/activation" in [call.path for call in gx.trace(layer, x).calls]
    layer = nn.Dense(3, activation=lambda y: y * 2)
    close(layer(x), x @ layer.kernel.numpy() * 2)


def test_weights_have_names_and_reproducible_values() -> None:
    def kernels() -> list[Any]:
        model = nn.Sequential([nn.Dense(3), nn.Dense(3, name="head"), nn.Dense(3)])
        with gx.seed(5):
            model(values(2, 3))
        assert list(model.weights) == [
            "sequential/dense/kernel", "sequential/dense/bias",
            "sequential/head/kernel", "sequential/head/bias",
            "sequential/dense_1/kernel", "sequential/dense_1/bias",
        ]  # fmt: skip
        assert all(weight.trainable for weight in model.weights.values())
        return [weight.numpy() for path, weight in model.weights.items() if "kernel" in path]

    first, again = kernels(), kernels()
    for a, b in zip(first, again, strict=True):
        same(a, b)
    assert not np.array_equal(first[0], first[2])
    limit = np.sqrt(6 / 6)
    assert all(np.abs(kernel).max() <= limit for kernel in first)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"units": 0}, "Dense: units is a positive integer, got 0"),
        ({"units": -3}, "Dense: units is a positive integer, got -3"),
        ({"units": 2.5}, "Dense: units is a positive integer, got 2.5"),
        ({"units": True}, "Dense: units is a positive integer, got True"),
        ({"units": -3, "name": "head"}, "Dense 'head': units is a positive integer, got -3"),
        ({"units": 2, "dtype": "int32"}, "Dense: dtype is a floating dtype, got 'int32'"),
        (
            {"units": 2, "activation": nn.Dense},
            "Dense: activation is the class Dense; create it first",
        ),
        (
            {"units": 2, "activation": 3},
            "Dense: activation is a name, a layer or a function, got int 3",
        ),
        (
            {"units": 2, "name": "a b"},
            "a layer's name is made of letters, digits, '_', '-' and '.', got 'a b'",
        ),
    ],
)
def test_bad_arguments(options: Any, message: str) -> None:
    refused(lambda: nn.Dense(**options), message)


def test_an_unknown_activation_suggests_the_nearest() -> None:
    with pytest.raises(
        gx.LayerError, match="Dense: unknown activation 'rellu'; did you mean 'relu'"
    ):
        nn.Dense(2, activation="rellu")


def test_an_unknown_initializer() -> None:
    layer = nn.Sequential([nn.Dense(2, kernel_initializer="glorot")])
    message = "sequential/dense/kernel: unknown initializer 'glorot'; did you mean 'glorot"
    with pytest.raises(gx.LayerError, match=message):
        layer(values(2, 3))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            values(5),
            (
                "model/dense: Dense takes a tensor [batch, ..., features], got [5] with 1 "
                "dimension; add a batch dimension: x[None, :]"
            ),
        ),
        (
            [values(2, 5), values(2, 5)],
            "model/dense: Dense takes one tensor [batch, ..., features], got a list of 2",
        ),
        (
            values(2, 5).astype(complex),
            "model/dense: Dense takes a tensor of numbers, got complex128",
        ),
        (
            np.array([["a", "b"]], object),
            "model/dense: Dense takes a tensor of numbers, got string",
        ),
    ],
)
def test_bad_inputs(x: Any, message: str) -> None:
    refused(lambda: nn.Sequential([nn.Dense(2)], name="model")(x), message)


def test_another_number_of_features() -> None:
    model = nn.Sequential([nn.Dense(2)], name="model")
    model(values(3, 5))
    message = (
        "model/dense: Dense was built for 5 features, got [3, 4] with 4; use another layer for "
        "inputs of another size"
    )
    refused(lambda: model(values(3, 4)), message)
    refused(lambda: gx.trace(model, gx.TensorSpec((3, 4))), message)
    refused(
        lambda: model(values(5)),
        "model/dense: Dense takes a tensor [batch, ..., features], got [5] with 1 dimension; add "
        "a batch dimension: x[None, :]",
    )


def test_a_symbolic_number_of_features() -> None:
    refused(
        lambda: gx.trace(nn.Dense(2), gx.TensorSpec(("batch", "features"))),
        "dense: Dense needs to know its number of features to make its weights, but axis 1 of "
        "[batch, features] is symbolic; give this dimension a number in the TensorSpec",
    )


# -- EinsumDense ----------------------------------------------------------------------------------


@st.composite
def equations(draw: Any) -> tuple[str, tuple[int | None, ...], str | None, tuple[int, ...]]:
    """An equation, an output_shape, bias_axes, and the shape of an input."""
    count = draw(st.integers(1, 4))
    letters = "bcde"[:count]
    sizes = {letter: draw(st.integers(1, 3)) for letter in "abcdexyz"}
    dots = draw(st.sampled_from(["", "left", "right"]))
    inner = draw(st.lists(st.sampled_from(letters), min_size=1, unique=True))
    kept = [letter for letter in letters if letter not in inner]
    new = "xyz"[: draw(st.integers(0, 3))]
    kernel = draw(st.permutations([*inner, *new]))
    output = draw(st.permutations([*kept, *new]))
    before, after = ("...", "") if dots == "left" else ("a", "..." if dots == "right" else "")
    if dots == "left" and not output:
        output = ["x"]
        kernel = [*inner, "x"]
    equation = f"{before}{letters}{after},{''.join(kernel)}->{before}{''.join(output)}{after}"
    known = tuple(
        None if letter in kept and draw(st.booleans()) else sizes[letter] for letter in output
    )
    bias = draw(st.lists(st.sampled_from(output), unique=True)) if output else []
    elided = [2, 3][: draw(st.integers(1, 2))]
    shape = [sizes[letter] for letter in letters]
    shape = [*elided, *shape] if dots == "left" else [sizes["a"], *shape]
    shape += elided if dots == "right" else []
    return equation, known, "".join(bias) or None, tuple(shape)


@settings(max_examples=100)
@given(case=equations())
def test_einsum_dense(case: Any) -> None:
    equation, output_shape, bias_axes, shape = case
    layer = nn.EinsumDense(
        equation, output_shape, bias_axes=bias_axes, bias_initializer="random_normal"
    )
    x = values(*shape)
    y = layer(x)
    expected = np.einsum(equation, x.astype(float), layer.kernel.numpy())
    if layer.bias is not None:
        output = equation.partition("->")[2].replace(".", "")
        first = min(output.index(letter) for letter in bias_axes)
        assert layer.bias.ndim == expected.ndim - (y.ndim - layer.bias.ndim)
        named = layer.bias.shape[: len(output) - first]
        assert all(n == 1 or output[first + i] in bias_axes for i, n in enumerate(named))
        expected = expected + layer.bias.numpy()
    close(y, expected, 1e-4)
    agree(layer, x)


def test_einsum_dense_texts() -> None:
    """Matrix products, for which runtimes have fast kernels; Einsum where there is no other way."""

    def nodes(equation: str, output_shape: Any, *shape: Any) -> list[str]:
        layer = nn.EinsumDense(equation, output_shape)
        program = gx.compile(gx.trace(layer, gx.TensorSpec(shape)))
        return [line.strip().split(" = ")[1] for line in text(program.graph).splitlines()[1:-1]]

    kernel = "@einsum_dense/kernel"
    assert nodes("ab,bc->ac", 4, "n", 8) == [f"MatMul(x, {kernel})"]
    assert nodes("...x,xy->...y", 4, "n", "t", 8) == [f"MatMul(x, {kernel})"]
    wide, _ = nodes("btd,dnh->btnh", (None, 2, 300), "n", "t", 8)
    assert wide.startswith("MatMul(x, ")
    assert nodes("btnh,nhd->btd", (None, 9), "n", "t", 2, 4)[0] == "Reshape(x, [0, 0, -1])"
    assert nodes("bhd,hde->bhe", (2, 3), "n", 2, 4) == [
        f"Einsum(x, {kernel}, equation=bhd,hde->bhe)"
    ]


def test_a_kernel_is_scaled_by_its_inputs_and_outputs() -> None:
    layer = nn.EinsumDense("bxy,xyuv->buv", (50, 60))
    layer(values(2, 30, 40))
    limit = np.sqrt(6 / (30 * 40 + 50 * 60))
    assert 0.99 * limit < np.abs(layer.kernel.numpy()).max() <= limit
    layer = nn.EinsumDense("bxy,yx->b", (), kernel_initializer="he_normal")
    layer(values(2, 30, 40))
    assert abs(layer.kernel.numpy().std() - np.sqrt(2 / 1200)) < 0.002
    layer = nn.EinsumDense("bx,xu->bu", 2, kernel_initializer=np.ones((3, 2)))
    close(layer(values(2, 3))[:, 0], values(2, 3).sum(1))


@pytest.mark.parametrize("equation", ["ab,bc", 3, "...b,bc->c", "ab,bc,cd->ad", "ab->a"])
def test_what_is_no_equation(equation: Any) -> None:
    refused(
        lambda: nn.EinsumDense(equation, 4),
        f"EinsumDense: equation is like 'ab,bc->ac', '...ab,bc->...ac' or 'ab...,bc->ac...', got "
        f"{equation!r}",
    )


@pytest.mark.parametrize(
    ("equation", "message"),
    [
        ("abb,bc->ac", "names an axis twice in 'abb'"),
        ("ab,bd->ac", "has 'd' in the kernel alone"),
        ("ab,b->ac", "has 'c' in the output alone"),
        ("ab,bc->ca", "does not keep the batch, the first axis, where it is"),
    ],
)
def test_bad_equations(equation: str, message: str) -> None:
    refused(lambda: nn.EinsumDense(equation, 4), f"EinsumDense: equation {equation!r} {message}")


def test_bad_arguments_of_einsum_dense() -> None:
    for shape in (0, "x", (2.5,), [-1]):
        refused(
            lambda shape=shape: nn.EinsumDense("ab,bc->ac", shape),  # type: ignore[misc]
            "EinsumDense: output_shape has a positive integer or None for each axis, got "
            f"{shape!r}",
        )
    for axes in ("x", "", ["c"]):
        refused(
            lambda axes=axes: nn.EinsumDense("ab,bc->ac", 2, bias_axes=axes),  # type: ignore[misc]
            f"EinsumDense: bias_axes names axes of the output 'ac' of 'ab,bc->ac', got {axes!r}",
        )


@pytest.mark.parametrize(
    ("equation", "output_shape", "shape", "message"),
    [
        (
            "abc,cd->abd", (None, 4), (2, 3),
            "takes a tensor with the axes 'abc', got [2, 3] with 2 dimensions",
        ),
        (
            "ab,bc->ac", 4, (2, 3, 5),
            "takes a tensor with the axes 'ab', got [2, 3, 5] with 3 dimensions",
        ),
        (
            "...x,xy->...y", 4, (3,),
            "takes a batch dimension before the axes 'x' of '...x,xy->...y', got [3]",
        ),
        (
            "abc,cd->abd", 4, (2, 3, 5),
            "has output_shape=(4,) for the axes 'bd' of 'abc,cd->abd'",
        ),
        (
            "abc,cd->abd", (None, None), (2, 3, 5),
            (
                "needs the size of 'd', which 'abc,cd->abd' has in kernel and output: give it in "
                "output_shape, got (None, None)"
            ),
        ),
        (
            "abc,cd->abd", (4, 4), (2, 3, 5),
            "has size 4 for 'b' in output_shape=(4, 4), but the input [2, 3, 5] has 3",
        ),
    ],
)  # fmt: skip
def test_bad_inputs_of_einsum_dense(
    equation: str, output_shape: Any, shape: Any, message: str
) -> None:
    refused(
        lambda: nn.EinsumDense(equation, output_shape)(values(*shape)),
        f"einsum_dense: EinsumDense {message}",
    )


def test_inputs_that_einsum_dense_was_not_built_for() -> None:
    layer = nn.EinsumDense("...x,xy->...y", 4)
    layer(values(2, 3))
    refused(
        lambda: layer(values(2, 5)),
        "einsum_dense: EinsumDense was built for 3 elements, got [2, 5] with 5 at axis 1",
    )
    refused(
        lambda: layer(values(2, 5, 3)),
        "einsum_dense: EinsumDense was built for inputs of 2 dimensions, got [2, 5, 3]",
    )
    refused(
        lambda: gx.trace(nn.EinsumDense("ab,bc->ac", 4), gx.TensorSpec((2, "n"))),
        "einsum_dense: EinsumDense needs to know its size of 'b' to make its weights, but axis 1 "
        "of [2, n] is symbolic; give this dimension a number in the TensorSpec",
    )
    refused(
        lambda: nn.EinsumDense("ab,bc->ac", 4)([values(2, 3)]),
        "einsum_dense: EinsumDense takes one tensor with the axes 'ab', got a list of 1",
    )
