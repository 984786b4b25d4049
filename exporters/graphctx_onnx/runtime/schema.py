"""The JSON schema of a manifest, and the part of JSON Schema (2020-12) that it needs.

`schema.json` beside this file is the published schema; a bundle whose manifest does not conform
is refused. The validator is stricter than the standard in one point: `1.0` is no integer.
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

from graphctx_onnx.runtime.errors import listing

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


class NonconformingError(ValueError):
    """A value does not conform to the schema; the message says where and why."""


@functools.cache
def manifest_schema() -> dict[str, Any]:
    """The schema of `manifest.json`."""
    found: dict[str, Any] = json.loads(
        Path(__file__).with_name("schema.json").read_text(encoding="utf-8")
    )
    return found


def validate(value: Any, schema: dict[str, Any] | None = None, where: str = "") -> None:
    """Check a value against a schema, by default that of a manifest.

    Raises:
        NonconformingError: it does not conform.
    """
    schema = manifest_schema() if schema is None else schema
    while "$ref" in schema:
        schema = manifest_schema()["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    _check_type(value, schema, where)
    if "const" in schema and not _same(value, schema["const"]):
        raise _unlike(f"{schema['const']!r}", value, where)
    if "enum" in schema and not any(_same(value, entry) for entry in schema["enum"]):
        raise _unlike(f"one of {listing(schema['enum'])}", value, where)
    if "anyOf" in schema and not any(_conforms(value, entry) for entry in schema["anyOf"]):
        raise _unlike(schema["description"], value, where)
    if isinstance(value, str):
        if "pattern" in schema and re.fullmatch(schema["pattern"], value) is None:
            raise _unlike(schema["description"], value, where)
        if len(value) < schema.get("minLength", 0):
            raise _unlike("text that is not empty", value, where)
    elif isinstance(value, (int, float)):
        if value < schema.get("minimum", value):
            raise _unlike(f"{schema['minimum']} or more", value, where)
    elif isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            raise _unlike(f"a list of {schema['minItems']} or more", value, where)
        for index, item in enumerate(value):
            validate(item, schema.get("items", {}), f"{where}[{index}]")
    elif isinstance(value, dict):
        _check_members(value, schema, where)


def _check_type(value: Any, schema: dict[str, Any], where: str) -> None:
    names = schema.get("type", list(_TYPES))
    names = [names] if isinstance(names, str) else names
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    for name in names:
        numeric = name in ("integer", "number")
        if isinstance(value, _TYPES[name]) and (number or not numeric):
            return
    raise _unlike(schema.get("description") or " or ".join(names), value, where)


def _check_members(value: dict[str, Any], schema: dict[str, Any], where: str) -> None:
    known = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            raise NonconformingError(f"{where or 'the manifest'} lacks {name!r}")
    rest = schema.get("additionalProperties", {})
    for name, member in value.items():
        place = f"{where}.{name}" if where else name
        if "propertyNames" in schema:
            validate(name, schema["propertyNames"], f"the name {name!r} in {where}")
        if name in known:
            validate(member, known[name], place)
        elif rest is False:
            raise NonconformingError(
                f"{where or 'the manifest'} has an unknown member {name!r} "
                f"(known: {listing(known)})"
            )
        else:
            validate(member, rest, place)


def _conforms(value: Any, schema: dict[str, Any]) -> bool:
    try:
        validate(value, schema)
    except NonconformingError:
        return False
    return True


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and a == b


def _unlike(expected: str, value: Any, where: str) -> NonconformingError:
    text = repr(value)
    text = text if len(text) <= 80 else f"{text[:77]}..."
    return NonconformingError(f"{where or 'the manifest'}: expected {expected}, got {text}")
