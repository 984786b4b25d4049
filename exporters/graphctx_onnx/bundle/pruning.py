"""Removes from a bundle what nobody needs: classes that are named, weights no program reads."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphctx.errors import ContextError, ExportError
from graphctx_onnx.bundle.folder import PROGRAM, WEIGHTS, Workplace, workplace
from graphctx_onnx.bundle.manifest import Json, as_bytes, files_json, program_id, tensor_json
from graphctx_onnx.bundle.reading import checked_chunks
from graphctx_onnx.bundle.weights import aligned, reference
from graphctx_onnx.runtime import errors
from graphctx_onnx.runtime.dispatch import Dispatcher
from graphctx_onnx.runtime.manifest import Manifest, TensorEntry
from graphctx_onnx.runtime.parse import parse_manifest
from graphctx_onnx.runtime.protobuf import (
    Entries,
    ExternalTensor,
    MalformedError,
    external_tensors,
    replace_external,
)

Place = tuple[str, int]
"""File and offset of a tensor."""


@dataclass(frozen=True)
class Pruned:
    """What was removed.

    Attributes:
        path: of the bundle.
        conditions: of the classes that went.
        tensors: number of tensors that went.
        before: bytes of all files before.
        after: bytes of all files now.
    """

    path: Path
    conditions: tuple[str, ...]
    tensors: int
    before: int
    after: int


def prune_bundle(path: str | os.PathLike[str], drop: Iterable[Mapping[str, Any]] = ()) -> Pruned:
    """Remove classes, weights that no program reads, and what broken exports have left.

    Args:
        path: of the bundle.
        drop: assignments whose classes go; arguments not named in one have their defaults.

    Raises:
        ContextError: an assignment is none of the bundle.
        ExportError: no class would be left, or the bundle is damaged or cannot be written; nothing
            has changed then.
    """
    with workplace(path, existing=True) as place:
        manifest = place.before
        assert manifest is not None
        dropped = _dropped(manifest, drop)
        kept = [e for e in manifest.data["classes"] if e["id"] not in dropped]
        if not kept:
            raise ExportError(f"{place.target}: no class would be left; remove the folder instead")
        models = {
            e["program"]["file"]: (place.folder / e["program"]["file"]).read_bytes()
            for e in kept
            if "program" in e
        }
        used = _used(manifest, models, place.target)
        if len(used) == len(manifest.tensors):
            place.keep(name for e in kept if "program" in e for name in _files(e["program"]))
            tensors = list(manifest.tensors)
        else:
            tensors = _compact(place, used)
            kept = _rewrite(place, kept, models, used, tensors)
        size = sum(tensor.size for tensor in tensors)
        sizes = {name: None if dropped else n for name, n in manifest.sizes.items()}
        data = {
            **manifest.data,
            "sizes": {**sizes, manifest.weights: size},
            "classes": kept,
            "files": files_json(place.files.values()),
            "tensors": [tensor_json(tensor) for tensor in tensors],
        }
        text = as_bytes(data)
        after = parse_manifest(text)  # what cannot be read is not written
        place.commit(text)
    return Pruned(
        place.target,
        tuple(found.condition for found in manifest.classes if found.id in dropped),
        len(manifest.tensors) - len(tensors),
        sum(entry.size for entry in manifest.files.values()),
        sum(entry.size for entry in after.files.values()),
    )


def _dropped(manifest: Manifest, drop: Iterable[Mapping[str, Any]]) -> set[str]:
    """Ids of the classes that some assignments belong to."""
    dispatcher = Dispatcher(manifest)
    try:
        return {dispatcher.find(assignment)[0].id for assignment in drop}
    except errors.ContextError as error:
        raise ContextError(str(error)) from error


def _files(program: Json) -> list[str]:
    return [program["file"], *program["weights"]]


def _used(
    manifest: Manifest, models: Mapping[str, bytes], target: Path
) -> dict[Place, TensorEntry]:
    """The tensors that some programs read.

    Raises:
        ExportError: a program is damaged, or reads what the manifest does not list.
    """
    listed = {(tensor.file, tensor.offset): tensor for tensor in manifest.tensors}
    used: dict[Place, TensorEntry] = {}
    for file, model in models.items():
        try:
            for tensor in external_tensors(model):
                place = _place(tensor)
                used[place] = listed[place]
        except (MalformedError, KeyError) as error:
            raise ExportError(
                f"{target}: {file} is damaged: it reads a tensor that the manifest does not "
                f"list; export the bundle again"
            ) from error
    return {place: tensor for place, tensor in listed.items() if place in used}


def _place(tensor: ExternalTensor) -> Place:
    return tensor.entries["location"], tensor.number("offset") or 0


def _compact(place: Workplace, used: Mapping[Place, TensorEntry]) -> list[TensorEntry]:
    """Write a file of weights that has some tensors only; return where they are."""
    placed = []
    end = 0
    for tensor in used.values():
        offset = aligned(end, tensor.size)
        placed.append(offset)
        end = offset + tensor.size

    def chunks() -> Iterator[bytes]:
        at = 0
        for tensor, offset in zip(used.values(), placed, strict=True):
            yield bytes(offset - at)
            yield from checked_chunks(place.folder, tensor)
            at = offset + tensor.size

    if not used:
        return []
    file = place.write(*WEIGHTS, chunks()).name
    return [
        TensorEntry(tensor.name, tensor.sha256, file, offset, tensor.size)
        for tensor, offset in zip(used.values(), placed, strict=True)
    ]


def _rewrite(
    place: Workplace,
    classes: Sequence[Json],
    models: Mapping[str, bytes],
    used: Mapping[Place, TensorEntry],
    tensors: Sequence[TensorEntry],
) -> list[Json]:
    """Write programs that refer to the new places of their tensors; return the classes."""
    moved = dict(zip(used, tensors, strict=True))

    def replaced(tensor: ExternalTensor) -> Entries:
        return reference(moved[_place(tensor)])

    made = []
    for entry in classes:
        if "program" not in entry:
            made.append(entry)
            continue
        program = entry["program"]
        model = replace_external(models[program["file"]], replaced)
        file = place.write(*PROGRAM, [model]).name
        weights = sorted({tensor.entries["location"] for tensor in external_tensors(model)})
        changed = {**program, "file": file, "weights": weights}
        made.append({**entry, "id": program_id(file), "program": changed})
    return made
