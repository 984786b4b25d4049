"""Reads a model: from a file, from bytes, or as it is; and checks that it is one at all."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError, Message
from onnx import ModelProto, TensorProto

from graphctx.errors import LoadError
from graphctx.ops.table import OPSET
from graphctx_onnx.importing.places import Place

NEWEST_IR = onnx.IR_VERSION
OWN_DOMAINS = frozenset({"", "ai.onnx"})


@dataclass(frozen=True)
class Source:
    """A model that was read.

    Attributes:
        model: as it is stored.
        folder: where its external data lies; None of a model in memory.
        place: how messages name it.
        name: for a graph that has none.
        opsets: domain -> version; ONNX's own domain is the empty one.
    """

    model: ModelProto
    folder: Path | None
    place: Place
    name: str
    opsets: dict[str, int]


def read(source: Any) -> Source:
    """Read a file, bytes, or take a `ModelProto`.

    Raises:
        LoadError: it cannot be read; it is no ONNX model, or a damaged one; it is newer than the
            installed onnx.
    """
    folder: Path | None = None
    if isinstance(source, ModelProto):
        model, place, name = source, Place("the model"), "model"
    elif isinstance(source, bytes):
        model, place, name = _parsed(source, "the model"), Place("the model"), "model"
    else:
        path = Path(source)
        model, place, name = _parsed(_content(path), str(path)), Place(str(path)), path.stem
        folder = path.parent
    return Source(model, folder, place, name, _opsets(model, place))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LoadError(f"{os.fspath(path)!r} cannot be read: {reason}") from error


def _parsed(content: bytes, where: str) -> ModelProto:
    model = ModelProto()
    try:
        model.ParseFromString(content)
        _require_text(model)
    except (DecodeError, ValueError) as error:
        raise LoadError(
            f"{where}: not an ONNX model, or a damaged one: its {len(content):,} bytes are no "
            f"valid protobuf ({error})"
        ) from error
    return model


def _require_text(message: Any) -> None:
    """Raise `ValueError` unless all text of a message is UTF-8: protobuf gives bytes where not.

    The data of tensors is not looked at.
    """
    stack = [message]
    texts: list[Any]
    while stack:
        item = stack.pop()
        if isinstance(item, TensorProto):
            stack += item.external_data
            texts = [item.name, item.doc_string]
        else:
            texts = []
            for field, value in item.ListFields():
                if field.type == field.TYPE_STRING:
                    texts += [value] if isinstance(value, (str, bytes)) else value
                elif field.type == field.TYPE_MESSAGE:
                    stack += [value] if isinstance(value, Message) else value
        for text in texts:
            if not isinstance(text, str):
                raise ValueError(f"the text {text[:40]!r} is no UTF-8")


def _opsets(model: ModelProto, place: Place) -> dict[str, int]:
    if not model.HasField("graph"):
        raise place.error("not an ONNX model, or a damaged one: it has no graph")
    if not 0 < model.ir_version <= NEWEST_IR:
        raise place.error(
            f"its IR version is {model.ir_version}; the installed onnx {onnx.__version__} reads "
            f"1 to {NEWEST_IR}"
        )
    opsets: dict[str, int] = {}
    for entry in model.opset_import:
        domain = "" if entry.domain in OWN_DOMAINS else entry.domain
        if opsets.setdefault(domain, entry.version) != entry.version:
            raise place.error(
                f"it imports two opsets of the domain {domain or 'ai.onnx'!r}: {opsets[domain]} "
                f"and {entry.version}"
            )
    if not opsets and model.ir_version < 3:
        opsets[""] = 1  # the format had no opsets yet
    if not opsets:
        raise place.error("a damaged model: it does not say which opset it is written in")
    if not 0 < opsets.get("", 1) <= OPSET:
        raise place.error(
            f"it is written in opset {opsets['']}; graphctx and the installed onnx "
            f"{onnx.__version__} know 1 to {OPSET}"
        )
    return opsets
