"""Tensors on the wire: every datatype, every way, and what is refused."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import numpy as np
import pytest
from graphctx_onnx.server.messages import message
from graphctx_onnx.server.protocol import RequestError, Status
from graphctx_onnx.server.tensors import (
    CONTENTS,
    DTYPES,
    Declared,
    fill_contents,
    from_bytes,
    from_contents,
    from_json,
    to_bytes,
    to_json,
)
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

MOST = 1 << 20
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@st.composite
def tensors(draw: Any) -> tuple[str, np.ndarray[Any, Any]]:
    """(datatype, tensor)."""
    datatype = draw(st.sampled_from(list(DTYPES)))
    dtype = DTYPES[datatype]
    shape = draw(arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3))
    if dtype == object:
        found = np.empty(shape, object)
        for index in np.ndindex(*shape):
            found[index] = draw(TEXT)
        return datatype, found
    return datatype, draw(arrays.arrays(dtype, shape))


def equal(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    """Whether arrays have the same dtype, shape and elements; every NaN is one."""
    return (
        a.dtype == b.dtype
        and a.shape == b.shape
        and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    )


def data_of(array: np.ndarray[Any, Any]) -> bytes:
    """Its raw bytes, as they go over the wire."""
    return b"".join([to_bytes(array)])


@given(tensors(), st.integers(0, 3))
def test_raw_bytes_there_and_back(case: Any, offset: int) -> None:
    datatype, array = case
    data = memoryview(b"." * offset + data_of(array))[offset:]
    found = from_bytes(Declared("x", datatype, list(array.shape), MOST), data)
    assert equal(found, array)
    assert found.flags.aligned
    if datatype not in ("BYTES", "FP16", "FP32", "FP64"):
        assert data_of(found) == data_of(array)


@given(tensors(), st.booleans())
def test_json_there_and_back(case: Any, nested: bool) -> None:
    datatype, array = case
    flat = json.loads(json.dumps(to_json(array), allow_nan=False))
    declared = Declared("x", datatype, list(array.shape), MOST)
    assert equal(from_json(declared, flat), array)
    if nested and array.ndim and array.dtype.kind != "f":
        assert equal(from_json(declared, array.tolist()), array)


@given(tensors())
def test_typed_contents_there_and_back(case: Any) -> None:
    datatype, array = case
    if datatype not in CONTENTS:
        return
    contents = message("InferTensorContents")()
    fill_contents(array, contents)
    contents = message("InferTensorContents").FromString(contents.SerializeToString())
    assert equal(from_contents(Declared("x", datatype, array.shape, MOST), contents), array)


def test_what_json_lacks_is_text() -> None:
    array = np.array([math.nan, math.inf, -math.inf, 1.5], np.float32)
    assert to_json(array) == ["NaN", "Infinity", "-Infinity", 1.5]
    assert equal(from_json(Declared("x", "FP32", [4], MOST), to_json(array)), array)
    assert equal(from_json(Declared("x", "FP32", [4], MOST), array.tolist()), array)


def test_raw_bytes_are_not_copied() -> None:
    data = np.arange(6, dtype=np.float32).tobytes()
    found = from_bytes(Declared("x", "FP32", [2, 3], MOST), data)
    assert not found.flags.owndata
    assert not found.flags.writeable


@pytest.mark.parametrize(
    ("datatype", "shape", "text"),
    [
        ("BF16", [1], "input 'x': BF16 is not served: NumPy and the programs lack it; send FP32"),
        ("FP8", [1], "input 'x': its datatype is one of BOOL, UINT8, .*, got 'FP8'"),
        (None, [1], "its datatype is one of .*, got None"),
        (["FP32"], [1], "its datatype is one of"),
        ("FP32", None, "its shape is a list of sizes, got None"),
        ("FP32", "12", "its shape is a list of sizes, got '12'"),
        ("FP32", [-1], r"a size is an integer from 0 on, got -1 in its shape"),
        ("FP32", [1.0], "a size is an integer from 0 on, got 1.0"),
        ("FP32", [True], "a size is an integer from 0 on, got True"),
        ("FP32", [1] * 33, "it has 33 dimensions; 32 are allowed"),
    ],
)
def test_what_cannot_be_declared(datatype: Any, shape: Any, text: str) -> None:
    with pytest.raises(RequestError, match=text) as caught:
        Declared("x", datatype, shape, MOST)
    assert caught.value.status is Status.INVALID


@pytest.mark.parametrize(
    "shape", [[1 << 20], [1 << 62, 1 << 62], [1 << 62, 0], [0, 1 << 40], [10**4000], [1 << 18, 2]]
)
def test_huge_shapes_are_refused_before_anything_is_allocated(shape: Any) -> None:
    with pytest.raises(RequestError, match="stands for more than the 1,048,576 bytes") as caught:
        Declared("x", "FP32", shape, MOST)
    assert caught.value.status is Status.TOO_LARGE


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "text"),
    [
        ("FP32", [2], b"1234", r"its shape \[2\] of FP32 needs 8 bytes, got 4"),
        ("INT64", [0], b"1", "needs 0 bytes, got 1"),
        ("BOOL", [2], b"\x00\x02", "a byte of BOOL is 0 or 1"),
        ("BYTES", [3], b"\x00" * 11, "needs 12 bytes at least, got 11"),
        ("BYTES", [1], b"\x05\x00\x00\x00abcd", "string 0 of 1 is cut off"),
        ("BYTES", [2], b"\x04\x00\x00\x00abcd", "string 1 of 2 is cut off"),
        ("BYTES", [2], b"\xff\xff\xff\xffabcd", "string 0 of 2 is cut off"),
        ("BYTES", [1], b"\x01\x00\x00\x00abcd", "3 bytes come after the last of 1 strings"),
        ("BYTES", [1], b"\x01\x00\x00\x00\xff", "string 0 is no UTF-8: invalid start byte"),
    ],
)
def test_raw_bytes_that_do_not_fit(datatype: str, shape: Any, data: bytes, text: str) -> None:
    with pytest.raises(RequestError, match=f"^input 'x': .*{text}"):
        from_bytes(Declared("x", datatype, shape, MOST), data)


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "text"),
    [
        ("FP32", [2], 1, "its data is a list, got 1"),
        ("FP32", [2], None, "its data is a list, got null"),
        ("FP32", [2], {"a": 1}, "its data is a list, got an object"),
        ("FP32", [2], [1], r"its shape \[2\] needs 2 elements, got 1"),
        ("FP32", [2, 2], [[1, 2], [3]], "expected a list of 2 in dimension 1, got one of 1"),
        ("FP32", [2, 2], [[1, 2], 3], "expected a list of 2 in dimension 1, got 3"),
        ("FP32", [2, 2], [[1, 2]], "expected a list of 2 in dimension 0, got one of 1"),
        ("FP32", [2], [[1], [2]], "the elements of FP32 are numbers, got a list at place 0"),
        ("FP32", [4], [[1, 2], [3, 4]], "expected a list of 4 in dimension 0, got one of 2"),
        ("FP32", [2], [1, None], "the elements of FP32 are numbers, got null at place 1"),
        ("FP32", [2], [1, True], "the elements of FP32 are numbers, got true at place 1"),
        ("FP32", [2], [1, "2"], "the elements of FP32 are numbers, got '2'"),
        ("FP32", [1], [1e39], "a number is outside FP32: 1e[+]39"),
        ("FP16", [1], [70000], "a number is outside FP16: 70000"),
        ("FP64", [1], [10**400], "a number is outside FP64"),
        ("INT32", [1], [1.0], "the elements of INT32 are integers, got 1.0 at place 0"),
        ("INT32", [1], ["NaN"], "the elements of INT32 are integers, got 'NaN'"),
        ("INT8", [1], [128], "a number is outside INT8"),
        ("UINT8", [1], [-1], "a number is outside UINT8"),
        ("UINT64", [1], [1 << 64], "a number is outside UINT64"),
        ("BOOL", [1], [1], "the elements of BOOL are true or false, got 1"),
        ("BYTES", [1], [1], "the elements of BYTES are strings, got 1"),
        ("BYTES", [1], ["\ud800"], "string 0 is no UTF-8"),
    ],
)
def test_json_that_does_not_fit(datatype: str, shape: Any, data: Any, text: str) -> None:
    with pytest.raises(RequestError, match=f"^input 'x': .*{text}"):
        from_json(Declared("x", datatype, shape, MOST), data)


@pytest.mark.parametrize(
    ("datatype", "field", "values", "text"),
    [
        ("FP16", "fp32_contents", [1.0], "FP16 goes into raw_input_contents"),
        ("FP32", "fp64_contents", [1.0], "FP32 goes into fp32_contents, got fp64_contents"),
        ("FP32", "fp32_contents", [1.0, 2.0], r"its shape \[1\] needs 1 elements, got 2"),
        ("INT8", "int_contents", [300], "a number is outside INT8"),
        ("UINT16", "uint_contents", [1 << 16], "a number is outside UINT16"),
        ("BYTES", "bytes_contents", [b"\xff"], "string 0 is no UTF-8"),
        ("BYTES", "bytes_contents", [], r"its shape \[1\] needs 1 elements, got 0"),
    ],
)
def test_typed_contents_that_do_not_fit(datatype: str, field: str, values: Any, text: str) -> None:
    contents = message("InferTensorContents")(**{field: values})
    with pytest.raises(RequestError, match=f"^input 'x': {text}"):
        from_contents(Declared("x", datatype, [1], MOST), contents)


def test_messages_stay_short() -> None:
    for datatype, data in (("FP32", ["x" * 10**6]), ("FP32", "x" * 10**6), ("Y" * 10**6, [1])):
        with pytest.raises(RequestError) as caught:
            from_json(Declared("x", datatype, [1], MOST), data)
        assert len(str(caught.value)) < 300
        assert re.match("input 'x': ", str(caught.value))
