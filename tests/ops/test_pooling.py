"""Pooling and back, norms of windows, blocks put together: definitions, programs, errors."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphctx as gx
from graphctx import ops
from graphctx.errors import DTypeError, ShapeError
from graphctx.ops.table import TABLE
from tests.ops import onnxruntime_node
from tests.ops.agreement import Function, agree
from tests.ops.build import random
from tests.ops.case import Case

# -- against onnxruntime --------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(data=st.data(), op=st.sampled_from(["MaxPool", "AveragePool", "LpPool"]))
def test_poolings_are_onnxruntimes(data: st.DataObject, op: str) -> None:
    rank = data.draw(st.integers(1, 3))

    def each(low: int, high: int, count: int = rank) -> tuple[int, ...]:
        return data.draw(st.tuples(*[st.integers(low, high)] * count))

    kernel, strides, dilations = each(1, 3), each(1, 3), each(1, 2)
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    sizes = [n + extent for n, extent in zip(each(0, 4), extents, strict=True)]
    attrs: dict[str, Any] = {"kernel_shape": kernel, "strides": strides}
    attrs["ceil_mode"] = data.draw(st.integers(0, 1))
    if data.draw(st.booleans()):
        attrs["auto_pad"] = data.draw(st.sampled_from(["VALID", "SAME_UPPER", "SAME_LOWER"]))
        attrs["strides"] = tuple(map(min, strides, kernel))  # see `ops.max_pool`
    else:
        attrs["dilations"] = dilations
        attrs["pads"] = tuple(data.draw(st.integers(0, k - 1)) for k in kernel + kernel)
    if op == "MaxPool":
        attrs.update(outputs=2, storage_order=data.draw(st.integers(0, 1)))
    elif op == "AveragePool":
        attrs["count_include_pad"] = data.draw(st.integers(0, 1))
    else:
        attrs["p"] = data.draw(st.integers(1, 3))
    x = random((2, 2, *sizes)).round(1)  # with equal elements
    result = TABLE[op].kernel(x, **attrs)
    found = result if isinstance(result, tuple) else (result,)
    wanted = onnxruntime_node.run(Case(op, (x,), attrs), [y.dtype for y in found])
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


# -- maxima and where they are --------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 3, 7), (2, 3, 6, 7), (1, 2, 4, 5, 6)])
@pytest.mark.parametrize("options", [{}, {"pads": 1}, {"strides": 1}, {"strides": 3, "pads": 1}])
def test_indices_are_those_of_the_elements(shape: Any, options: Any) -> None:
    x = random(shape)
    y, indices = ops.max_pool(x, 2, indices=True, **options)
    np.testing.assert_array_equal(y, ops.max_pool(x, 2, **options))
    np.testing.assert_array_equal(x.reshape(-1)[indices], y)


def test_windows_of_padding_alone_have_no_index() -> None:
    y, indices = ops.max_pool(random((1, 1, 3)), 1, pads=1, strides=1, indices=True)
    assert indices.tolist() == [[[-1, 0, 1, 2, -1]]]
    assert y[0, 0, 0] == -np.inf


def test_the_lowest_number_has_an_index() -> None:
    x = np.full((1, 1, 4), np.iinfo(np.int8).min, np.int8)
    _, indices = ops.max_pool(x, 2, indices=True)
    assert indices.tolist() == [[[0, 2]]]


def test_unpooling_puts_maxima_back(tmp_path: Path) -> None:
    def there_and_back(x: Any) -> Any:
        y, indices = ops.max_pool(x, 2, indices=True)
        return ops.max_unpool(y, indices, 2), ops.max_unpool(y, indices, 2, shape=x.shape)

    x = random((2, 3, 6, 8))
    small, same = agree(there_and_back, x, folder=tmp_path, symbolic={0: {0: "n", 1: "c"}})
    np.testing.assert_array_equal(small, same)
    np.testing.assert_array_equal(ops.max_pool(same, 2), np.maximum(ops.max_pool(x, 2), 0))
    odd = random((1, 2, 5, 7))
    back = ops.max_unpool(*ops.max_pool(odd, 2, indices=True), 2, shape=odd.shape)
    assert set(back.reshape(-1)) <= {*odd.reshape(-1), 0}


def test_padding_stays_before_a_pooling_with_indices() -> None:
    # Folded into the pooling, indices would count the elements of another image.
    def padded(x: Any) -> Any:
        zeros = ops.pad(ops.relu(x), [(0, 0), (0, 0), (1, 1), (1, 1)])
        return ops.max_pool(zeros, 3, indices=True)[1]

    program = gx.compile(gx.trace(Function(padded), gx.TensorSpec((1, 2, 6, 6))))
    assert "Pad" in str(program.graph)
    agree(padded, random((1, 2, 6, 6)))


# -- norms ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [1, 2, 3])
def test_norms_of_windows(p: int, tmp_path: Path) -> None:
    x = random((2, 3, 4, 6), "float32")
    wanted = np.linalg.norm(x.reshape(2, 3, 2, 2, 3, 2).transpose(0, 1, 2, 4, 3, 5).reshape(-1, 4),
                            p, axis=1).reshape(2, 3, 2, 3)  # fmt: skip
    np.testing.assert_allclose(ops.lp_pool(x, 2, p=p), wanted, rtol=1e-6)
    # onnxruntime has no kernel for the operator: files have others in its place.
    y = agree(lambda x: ops.global_lp_pool(x, p=p), x, symbolic={0: {0: "n", 3: "w"}},
              folder=tmp_path)  # fmt: skip
    flat = np.linalg.norm(x.reshape(6, -1), p, axis=1)
    np.testing.assert_allclose(y.reshape(-1), flat, rtol=1e-6)


# -- blocks ---------------------------------------------------------------------------------------


def test_blocks_are_added_where_they_lie(tmp_path: Path) -> None:
    x = random((2, 12, 20))

    def image(x: Any) -> Any:
        return ops.col2im(x, (5, 6), (2, 2), pads=(0, 0, 0, 0))

    y = agree(image, x, folder=tmp_path, symbolic={0: {0: "n"}})
    wanted = np.zeros((2, 3, 5, 6), np.float32)
    blocks = x.reshape(2, 3, 2, 2, 4, 5)
    for i, j, row, column in itertools.product(range(2), range(2), range(4), range(5)):
        wanted[:, :, i + row, j + column] += blocks[:, :, i, j, row, column]
    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-6)


# -- the middle -----------------------------------------------------------------------------------


def test_the_middle_is_cut_out_or_put_into_zeros(tmp_path: Path) -> None:
    x = np.arange(1.0, 6.0, dtype=np.float32)
    assert ops.center_crop_pad(x, (2,)).tolist() == [2, 3]
    assert ops.center_crop_pad(x, (8,)).tolist() == [0, 1, 2, 3, 4, 5, 0, 0]
    both = ops.center_crop_pad(random((2, 4, 5)), (3, 2), axes=(-2, 0))
    assert both.shape == (2, 3, 5)

    def square(x: Any) -> Any:
        return ops.center_crop_pad(x, (x.shape[0], x.shape[0]))

    agree(square, random((4, 7)), symbolic={0: {0: "n", 1: "m"}})
    strings = np.asarray([["a", "b"]], object)
    assert ops.center_crop_pad(strings, (2, 1)).tolist() == [["a"], [""]]


def test_sizes_that_data_decides(tmp_path: Path) -> None:
    def cut(x: Any, size: Any) -> Any:
        return TABLE["CenterCropPad"](x, size, axes=(1, 2)) * 2

    agree(cut, random((2, 5, 6)), np.asarray([3, 8]), folder=tmp_path, verify=False)

    def resized(x: Any, scales: Any) -> Any:
        return TABLE["Resize"](x, None, scales, mode="linear") + 1

    scales = np.asarray([1, 1, 1.5, 2], np.float32)
    agree(resized, random((1, 2, 4, 4)), scales, folder=tmp_path, verify=False)

    def cropped(x: Any, region: Any, sizes: Any) -> Any:
        return TABLE["Resize"](
            x, region, None, sizes, mode="linear",
            coordinate_transformation_mode="tf_crop_and_resize",
        ) * 1  # fmt: skip

    region = np.asarray([0, 0, 0.2, 0.3, 1, 1, 0.9, 0.8], np.float32)
    sizes = np.asarray([1, 2, 3, 5])
    agree(cropped, random((1, 2, 8, 8)), region, sizes, folder=tmp_path, verify=False)

    def padded(x: Any, pads: Any, axes: Any) -> Any:
        return TABLE["Pad"](x, pads, None, axes, mode="edge") * 1

    agree(
        padded, random((2, 3)), np.asarray([1, 2]), np.asarray([1]), folder=tmp_path, verify=False
    )

    def largest(x: Any, k: Any) -> Any:
        values, indices = ops.top_k(x, k)
        return values * 2, indices

    agree(largest, random((3, 6)), np.asarray(2), folder=tmp_path, verify=False)

    def unpooled(x: Any, shape: Any) -> Any:
        y, indices = ops.max_pool(x, 2, indices=True)
        return TABLE["MaxUnpool"](y, indices, shape, kernel_shape=(2, 2), strides=(2, 2)) * 1

    shape = np.asarray([1, 2, 5, 5])
    agree(unpooled, random((1, 2, 5, 5)), shape, folder=tmp_path, verify=False)


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
def test_the_ratio_of_sizes_that_data_decides(policy: str, tmp_path: Path) -> None:
    def fitted(x: Any, sizes: Any) -> Any:
        return TABLE["Resize"](
            x, None, None, sizes, axes=(2, 3), keep_aspect_ratio_policy=policy, mode="linear"
        ) * 1  # fmt: skip

    agree(fitted, random((1, 2, 4, 6)), np.asarray([7, 8]), folder=tmp_path, verify=False)


# -- what they refuse -----------------------------------------------------------------------------

X = random((2, 3, 4, 5))
I = np.zeros((2, 3, 4, 5), np.int64)  # noqa: E741
BLOCKS = random((2, 12, 20))
WRONG: list[tuple[Any, type[Exception], str]] = [
    (lambda: ops.lp_pool(X, 2, p=0), ShapeError, r"LpPool\(.*: p of a norm is at least 1, got 0"),
    (lambda: ops.global_lp_pool(X, p=-1), ShapeError, "p of a norm is at least 1, got -1"),
    (lambda: ops.lp_pool(X.astype(int), 2), DTypeError, "needs a floating dtype, got int64"),
    (lambda: ops.lp_pool(X, 6), ShapeError, "the kernel spans 6 of axis 2, more than"),
    (lambda: TABLE["MaxPool"](X, kernel_shape=(2, 2), storage_order=2, outputs=2), ShapeError,
     "storage_order is 0, by rows, or 1, by columns; got 2"),
    (lambda: ops.max_unpool(X, I[:1], 2), ShapeError,
     r"MaxUnpool\(.*indices \[1, 3, 4, 5\] are as many as elements \[2, 3, 4, 5\]"),
    (lambda: ops.max_unpool(X, I + 480, 2), ShapeError, "from 0 to 479, got 480 to 480"),
    (lambda: ops.max_unpool(X, I - 1, 1, strides=1), ShapeError, "from 0 to 119, got -1 to -1"),
    (lambda: ops.max_unpool(X, I, 2, shape=(2, 3, 8)), ShapeError, "output_shape has 4 sizes, got"),
    (lambda: ops.max_unpool(X, I, (2,)), ShapeError, "needs kernel for 2 axes of space, got"),
    (lambda: ops.col2im(BLOCKS, (5, 6), (2, 3)), ShapeError,
     r"Col2Im\(.*the last axis has one place a block of the image: 20 against 16"),
    (lambda: ops.col2im(BLOCKS[:, :10], (5, 6), (2, 2)), ShapeError,
     r"axis 1 \(10\) must be a multiple of the elements of a block \(4\)"),
    (lambda: ops.col2im(BLOCKS[0], (5, 6), (2, 2)), ShapeError, "needs 3 dimensions"),
    (lambda: ops.center_crop_pad(X, (2, 2)), ShapeError, "needs a size for each of 4 axes, got"),
    (lambda: ops.center_crop_pad(X, (-1,), axes=(0,)), ShapeError, "sizes are at least 0, got"),
    (lambda: ops.det(X), ShapeError, "a determinant is of a square matrix: 4 against 5"),
    (lambda: ops.det(X[0, 0, 0]), ShapeError, r"needs square matrices \[..., n, n\], got \[5\]"),
    (lambda: ops.det(I[..., :4, :4]), DTypeError, "needs a floating dtype, got int64"),
    (lambda: ops.space_to_depth(X[..., :4], blocksize=2, mode="CDR"), ShapeError,
     "mode is DCR or CRD, got 'CDR'"),
    (lambda: ops.depth_to_space(X[:, :1], blocksize=1, mode=""), ShapeError, "mode is DCR or CRD"),
    (lambda: ops.depth_to_space(X, blocksize=0), ShapeError, "blocksize is at least 1, got 0"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), WRONG)
def test_wrong_operands(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
