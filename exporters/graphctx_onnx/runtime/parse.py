"""Reads `manifest.json`: it conforms to the schema, and does not contradict itself."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from graphctx_onnx.runtime.errors import InvalidBundleError, listing
from graphctx_onnx.runtime.files import FileEntry, identity
from graphctx_onnx.runtime.manifest import (
    FORMAT,
    NAME,
    VERSION,
    Argument,
    ContextClass,
    ContextInput,
    Manifest,
    ModelFailure,
    OutputType,
    ProgramFile,
    Signature,
    StateType,
    TensorEntry,
    TensorType,
    is_among,
)
from graphctx_onnx.runtime.schema import NonconformingError, validate

MOST_BYTES = 1 << 28
"""Size of a manifest beyond which it cannot be one."""


def read_manifest(folder: str | os.PathLike[str]) -> Manifest:
    """Read and check the manifest of a bundle; the other files are not looked at.

    Raises:
        InvalidBundleError: there is no bundle, or not one that can be read; says why.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "is a file; a bundle is a folder" if folder.exists() else "there is no such folder"
        raise InvalidBundleError(f"{folder}: {what}")
    if not os.path.lexists(folder / NAME):
        raise InvalidBundleError(f"{folder}: not a bundle: it has no {NAME}")
    size = identity(folder, NAME)[2]
    if size > MOST_BYTES:
        raise InvalidBundleError(f"{folder}: {NAME} has {size} bytes; that is no manifest")
    try:
        text = (folder / NAME).read_bytes()
    except OSError as error:
        raise InvalidBundleError(f"{folder}: {NAME} cannot be read: {error.strerror}") from error
    try:
        return parse_manifest(text)
    except InvalidBundleError as error:
        raise InvalidBundleError(f"{folder}: {error}") from error


def parse_manifest(text: bytes) -> Manifest:
    """The manifest that a file holds.

    Raises:
        InvalidBundleError: it is none, or contradicts itself.
    """
    try:
        data = json.loads(text.decode(), parse_constant=_no_constant, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise InvalidBundleError(f"{NAME} is damaged: {error}") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise InvalidBundleError(f"{NAME} is not that of a graphctx bundle")
    version = data.get("version")
    if type(version) is int and version > VERSION:
        raise InvalidBundleError(
            f"{NAME} has format version {version}, and this graphctx reads up to {VERSION}; "
            f"install the version that wrote it (graphctx {data.get('graphctx')!s:.40})"
        )
    try:
        validate(data)
        return _Reader(data).manifest()
    except NonconformingError as error:
        raise InvalidBundleError(f"{NAME} is damaged: {error}") from error


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the member {twice!r} stands twice")
    return found


def _wrong(text: str) -> NonconformingError:
    return NonconformingError(text)


class _Reader:
    """Makes objects of data that conforms to the schema, and checks what a schema cannot say."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self.files = {n: FileEntry(n, e["size"], e["sha256"]) for n, e in data["files"].items()}
        if NAME in self.files:
            raise _wrong(f"files lists {NAME} itself")
        self.arguments: dict[str, Argument] = {}

    def manifest(self) -> Manifest:
        data = self.data
        for index, entry in enumerate(data["arguments"]):
            argument = self._argument(entry, f"arguments[{index}]")
            if argument.name in self.arguments:
                raise _wrong(f"arguments[{index}] is {argument.name!r} again")
            self.arguments[argument.name] = argument
        for kind in ("fixed", "ignored"):
            for name in data[kind]:
                if name in self.arguments:
                    raise _wrong(f"{kind} has {name!r}, which is an argument")
        classes = [self._class(e, f"classes[{i}]") for i, e in enumerate(data["classes"])]
        if len({found.id for found in classes}) < len(classes):
            raise _wrong("two classes have one id")
        if data["sizes"][data["weights"]] is None:
            raise _wrong(f"sizes.{data['weights']}: expected integer, got None")
        return Manifest(
            graphctx=data["graphctx"],
            model=data["model"]["name"],
            graph=data["model"]["graph"],
            model_weights=data["model"]["weights"],
            opset=data["opset"],
            weights=data["weights"],
            sizes=data["sizes"],
            arguments=self.arguments,
            fixed=data["fixed"],
            ignored=frozenset(data["ignored"]),
            classes=tuple(classes),
            files=self.files,
            tensors=tuple(self._tensor(e, f"tensors[{i}]") for i, e in enumerate(data["tensors"])),
            data=data,
        )

    # -- arguments ----------------------------------------------------------------------------

    def _argument(self, entry: dict[str, Any], where: str) -> Argument:
        kind, binding = entry["type"], entry["binding"]
        values = tuple(self._value(v, kind, f"{where}.values") for v in entry.get("values", ()))
        required, default = entry["required"], entry.get("default")
        if required == ("default" in entry):
            problem = "has a default" if required else "has no default"
            raise _wrong(f"{where} is {'' if required else 'not '}required and {problem}")
        if default is not None:
            default = self._value(default, kind, f"{where}.default")
            if values and not is_among(default, values):
                raise _wrong(f"{where}.default is {default!r}, not one of {listing(values)}")
        if not values and (binding == "bound" or kind not in ("int", "float")):
            raise _wrong(f"{where} lists no values")
        if len({(type(value), value) for value in values}) < len(values):
            raise _wrong(f"{where}.values has a value twice")
        return Argument(entry["name"], kind, values, default, required, binding)

    def _value(self, value: Any, kind: str, where: str) -> Any:
        """A value as Python has it: floats that JSON wrote as integers or as text, too."""
        if kind == "float" and type(value) is int and abs(value) < 1 << 1000:
            return float(value)
        if kind == "float" and value in ("inf", "-inf"):
            return float(value)
        expected = {"bool": bool, "int": int, "float": float, "string": str}.get(kind)
        if expected is not None and type(value) is not expected:
            raise _wrong(f"{where}: expected a value of type {kind}, got {value!r}")
        if isinstance(value, float) and not math.isfinite(value):
            raise _wrong(f"{where}: {value!r} is no number that JSON has")
        if type(value) is int and not -(1 << 63) <= value < 1 << 63:
            raise _wrong(f"{where}: {value!r:.40} does not fit 64 bits")
        return value

    # -- classes ------------------------------------------------------------------------------

    def _class(self, entry: dict[str, Any], where: str) -> ContextClass:
        if ("program" in entry) == ("error" in entry):
            raise _wrong(f"{where} needs either a program or an error")
        conditions = tuple(
            self._condition(found, f"{where}.conditions[{i}]")
            for i, found in enumerate(entry["conditions"])
        )
        program = error = None
        if "program" in entry:
            program = self._program(entry["program"], f"{where}.program")
        else:
            error = ModelFailure(**entry["error"])
        return ContextClass(
            entry["id"], entry["condition"], conditions, entry["assignments"], program, error
        )

    def _condition(self, entry: dict[str, list[Any]], where: str) -> dict[str, tuple[Any, ...]]:
        found = {}
        for name, values in entry.items():
            argument = self.arguments.get(name)
            if argument is None or argument.binding != "bound":
                raise _wrong(f"{where} speaks of {name!r}, which is no bound argument")
            cases = [v if v is None else self._value(v, argument.type, where) for v in values]
            for case in cases:
                ours = argument.default is None and not argument.required
                if not (is_among(case, argument.values) or (case is None and ours)):
                    raise _wrong(f"{where}.{name}: {case!r} is no value of this argument")
            found[name] = tuple(cases)
        return found

    def _program(self, entry: dict[str, Any], where: str) -> ProgramFile:
        for name in (entry["file"], *entry["weights"]):
            if name not in self.files:
                raise _wrong(f"{where} needs {name!r}, which files does not list")
        return ProgramFile(
            entry["file"], entry["opset"], entry["ir_version"], entry["nodes"],
            tuple(entry["operators"]), tuple(entry["weights"]),
            self._signature(entry["signature"], f"{where}.signature"),
        )  # fmt: skip

    def _signature(self, entry: dict[str, Any], where: str) -> Signature:
        contexts = tuple(ContextInput(**port) for port in entry["contexts"])
        for port in contexts:
            argument = self.arguments.get(port.argument)
            if argument is None or argument.binding != "runtime":
                raise _wrong(f"{where} has an input for {port.argument!r}, which is no argument")
            if argument.default is None and not argument.required:
                raise _wrong(f"{where} has an input for {port.argument!r}, which has no default")
            fitting = {"bool": ("bool",), "int": ("int64",), "float": ("float64",)}
            if port.dtype not in (*fitting.get(argument.type, ()), "string") or (
                port.dtype == "string" and not argument.values
            ):
                raise _wrong(f"{where}: {port.dtype} is no dtype for {argument.name!r}")
        found = Signature(
            tuple(TensorType(p["name"], p["dtype"], tuple(p["shape"])) for p in entry["inputs"]),
            entry["seed"],
            contexts,
            tuple(
                OutputType(p["name"], p["dtype"], tuple(p["shape"]), p["output"])
                for p in entry["outputs"]
            ),
            tuple(
                StateType(p["path"], p["dtype"], tuple(p["shape"]), p["input"], p["output"])
                for p in entry["state"]
            ),
        )
        for names, kind in ((found.fed, "inputs"), (found.returned, "outputs")):
            if len(set(names)) < len(names):
                raise _wrong(f"{where}: two {kind} have one name")
        return found

    def _tensor(self, entry: dict[str, Any], where: str) -> TensorEntry:
        file = self.files.get(entry["file"])
        if file is None:
            raise _wrong(f"{where} is in {entry['file']!r}, which files does not list")
        if entry["offset"] + entry["size"] > file.size:
            raise _wrong(f"{where} reaches beyond the end of {file.name}")
        return TensorEntry(**entry)
