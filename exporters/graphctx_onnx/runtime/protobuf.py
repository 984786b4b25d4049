"""The references to data files in an ONNX model: read and replaced without onnx.

A protobuf message is a row of fields: a number, a wire type, and the value. Only the way from a
model to its tensors is walked (https://protobuf.dev/programming-guides/encoding and `onnx.proto`);
everything else is copied as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

# Message -> field number -> message that the field holds.
_FIELDS = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_TENSOR_NAME, _TENSOR_ENTRY, _TENSOR_LOCATION = 8, 13, 14
_EXTERNAL = 1
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
MOST_DEPTH = 100
"""Messages in one another; protobuf's own limit."""

Entries = dict[str, str]


class MalformedError(ValueError):
    """The bytes are no ONNX model."""


@dataclass(frozen=True)
class ExternalTensor:
    """A tensor whose data is in another file; `entries` has `location`, `offset`, `length`."""

    name: str
    entries: Entries

    def number(self, key: str) -> int | None:
        """An entry that is a number; None where it is missing.

        Raises:
            MalformedError: it is no number.
        """
        text = self.entries.get(key)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise MalformedError(f"tensor {self.name!r}: its {key} is {text!r:.40}, no number")
        return int(text)


def external_tensors(model: bytes) -> list[ExternalTensor]:
    """The tensors of a serialized ONNX model whose data is in another file.

    Raises:
        MalformedError: the bytes are no such model.
    """
    found: list[ExternalTensor] = []

    def note(tensor: ExternalTensor) -> None:
        found.append(tensor)

    _walk(memoryview(model), "model", note, 0)
    return found


def replace_external(model: bytes, replace: Callable[[ExternalTensor], Entries]) -> bytes:
    """The model with other entries for its external tensors.

    Args:
        model: serialized.
        replace: is given a tensor, returns its new entries.

    Raises:
        MalformedError: the bytes are no such model.
    """
    return _walk(memoryview(model), "model", replace, 0)


Visit = Callable[[ExternalTensor], Entries | None]


def _walk(data: memoryview, message: str, visit: Visit, depth: int) -> bytes:
    """Visit the external tensors of a message; return it with what the visits returned."""
    if depth > MOST_DEPTH:
        raise MalformedError(f"messages are nested more than {MOST_DEPTH} deep")
    if message == "tensor":
        return _tensor(data, visit)
    parts: list[bytes | memoryview] = []
    for number, kind, start, content in _fields(data):
        inner = _FIELDS[message].get(number)
        if inner is None or kind != _BYTES:
            parts.append(data[start : content.stop])
        else:
            made = _walk(data[content.start : content.stop], inner, visit, depth + 1)
            parts += [_tag(number), _varint_bytes(len(made)), made]
    return b"".join(parts)


def _tensor(data: memoryview, visit: Visit) -> bytes:
    name, external, entries = "", False, {}
    kept: list[memoryview] = []
    for number, kind, start, content in _fields(data):
        value = data[content.start : content.stop]
        if number == _TENSOR_ENTRY and kind == _BYTES:
            key, text = _entry(value)
            if key in entries:
                raise MalformedError(f"tensor {name!r} says twice what its {key!r:.40} is")
            entries[key] = text
            continue
        if number == _TENSOR_NAME and kind == _BYTES:
            name = _text(value)
        elif number == _TENSOR_LOCATION and kind == _VARINT:
            external = _varint(value, 0)[0] == _EXTERNAL
        kept.append(data[start : content.stop])
    if not external:
        return bytes(data)
    replaced = visit(ExternalTensor(name, entries))
    if replaced is None:
        return bytes(data)
    parts: list[bytes | memoryview] = [*kept]
    for key, text in replaced.items():
        pair = b"".join(
            [_tag(n) + _varint_bytes(len(t)) + t
             for n, t in ((_ENTRY_KEY, key.encode()), (_ENTRY_VALUE, text.encode()))]
        )  # fmt: skip
        parts += [_tag(_TENSOR_ENTRY), _varint_bytes(len(pair)), pair]
    return b"".join(parts)


def _entry(data: memoryview) -> tuple[str, str]:
    found = {_ENTRY_KEY: "", _ENTRY_VALUE: ""}
    for number, kind, _, content in _fields(data):
        if kind == _BYTES and number in found:
            found[number] = _text(data[content.start : content.stop])
    return found[_ENTRY_KEY], found[_ENTRY_VALUE]


def _text(data: memoryview) -> str:
    try:
        return bytes(data).decode()
    except UnicodeDecodeError as error:
        raise MalformedError(f"a name is no UTF-8: {error}") from error


# -- the wire format ------------------------------------------------------------------------------


def _fields(data: memoryview) -> Iterator[tuple[int, int, int, range]]:
    """(number, wire type, where the field starts, where its content stands) of every field."""
    at = 0
    while at < len(data):
        start = at
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind == _VARINT:
            size = _varint(data, at)[1] - at
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise MalformedError(f"a field has the wire type {kind}")
        if number == 0 or at + size > len(data):
            raise MalformedError("a field reaches beyond the end")
        yield number, kind, start, range(at, at + size)
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number of up to ten bytes of seven bits each, and where it ends."""
    value = 0
    for index in range(10):
        if at + index >= len(data):
            raise MalformedError("a number reaches beyond the end")
        byte = data[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise MalformedError("a number has more than ten bytes")


def _varint_bytes(value: int) -> bytes:
    made = bytearray()
    while value >= 0x80:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


def _tag(number: int) -> bytes:
    return _varint_bytes(number << 3 | _BYTES)
