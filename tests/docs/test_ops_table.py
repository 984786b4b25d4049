"""docs/ops.md is what its script writes, and what it says of functions holds."""

from __future__ import annotations

import runpy
import types
from collections.abc import Iterator
from typing import Any

import onnx
import pytest

from graphctx import ops
from graphctx.ops.table import TABLE, Op
from tests.docs.snippets import ROOT

SCRIPT = ROOT / "docs" / "make_ops_table.py"


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def test_page_is_up_to_date(script: dict[str, Any]) -> None:
    advice = "write it: python docs/make_ops_table.py"
    assert (ROOT / "docs" / "ops.md").read_text(encoding="utf-8") == script["page"](), advice


def test_listed_functions_record_the_operator(script: dict[str, Any]) -> None:
    assert set(script["FUNCTIONS"]) <= set(TABLE), "an operator that is not in the table"
    for record in TABLE.values():
        for name in script["functions"](record):
            assert name in ops.__all__
            assert record.name in set(reached(getattr(ops, name), set())), (
                f"ops.{name} does not refer to the record of {record.name}"
            )


def test_what_is_left_out_is_onnxs_and_not_in_the_table(script: dict[str, Any]) -> None:
    theirs = {schema.name for schema in onnx.defs.get_all_schemas()}  # of every domain
    assert set(script["LEFT_OUT"]) <= theirs
    assert not set(script["LEFT_OUT"]) & set(TABLE)


def reached(function: Any, seen: set[int]) -> Iterator[str]:
    """Names of the operators whose records a function refers to, by itself or through helpers."""
    if isinstance(function, Op):
        yield function.name
        return
    if id(function) in seen:
        return
    seen.add(id(function))
    if isinstance(function, type):
        for method in vars(function).values():
            yield from reached(method, seen)
    if not isinstance(function, types.FunctionType):
        return
    if hasattr(function, "__wrapped__"):
        yield from reached(function.__wrapped__, seen)
    for cell in function.__closure__ or ():
        yield from reached(cell.cell_contents, seen)
    for code in codes(function.__code__):
        for name in code.co_names:
            found = function.__globals__.get(name)
            if getattr(found, "__module__", "").startswith("graphctx.ops"):
                yield from reached(found, seen)
        if "TABLE" in code.co_names or "_recorded" in code.co_names:
            yield from (text for text in code.co_consts if isinstance(text, str) and text in TABLE)


def codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """The code of a function and of those inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)
