"""What kind of file it is that weights are in: told by its content, not by its name."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from graphctx.errors import WeightsError
from graphctx.weights import keras, tensors
from graphctx.weights.keras_legacy import LegacyWeights
from graphctx.weights.source import Source, Stored
from graphctx.weights.torch import NamedTensors

IN_FOLDER = (
    "model.safetensors", "model.safetensors.index.json", "model.weights.h5", "model.weights.json",
)  # fmt: skip
"""Names of the weights in the folder of a model, as Hugging Face's and Keras's libraries do it."""

HDF5 = b"\x89HDF\r\n\x1a\n"

CONVERSION = (
    'python -c "import torch, safetensors.torch as s; '
    "w = torch.load('{path}', map_location='cpu', weights_only=True); "
    "s.save_file({{k: v.clone() for k, v in w.items()}}, 'model.safetensors')\""
)


def open_weights(path: Any, layout: str | None = None) -> Source:
    """Open a file of weights.

    Args:
        path: of the file, or of a model's folder.
        layout: "keras" or "torch", where the file leaves a doubt.

    Raises:
        WeightsError: there is no such file, it is damaged, or of a kind that is not read.
    """
    path = Path(path)
    if path.is_dir():
        found = [path / name for name in IN_FOLDER if (path / name).is_file()]
        if not found:
            raise WeightsError(
                f"{path}: a folder without weights: none of {', '.join(IN_FOLDER)} is in it"
            )
        path = found[0]
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except FileNotFoundError:
        raise WeightsError(f"{path}: there is no such file") from None
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from None
    source = _open(path, start, layout)
    if layout not in (None, source.layout):
        source.close()
        raise WeightsError(f"{path}: written by Keras, and so cannot have layout={layout!r}")
    return source


def _open(path: Path, start: bytes, layout: str | None) -> Source:
    if start.startswith(HDF5):
        return _hdf5(path)
    if tensors.is_safetensors(start):
        return _named(path, *tensors.open_safetensors(path), layout)
    if start.startswith(b"PK"):
        if _is_torch_archive(path):
            raise _pickle(path)
        return keras.open_archive(path)
    if start[:1] == b"\x80" and start[1:2] <= b"\x05":  # protocols 2 to 5
        raise _pickle(path)
    if start.lstrip().startswith(b"{"):
        return _index(path, layout)
    if not start:
        raise WeightsError(f"{path}: the file is empty")
    if start.startswith(b"version https://git-lfs"):
        raise WeightsError(
            f"{path}: a pointer of Git LFS, not the file itself; fetch it with: git lfs pull"
        )
    raise WeightsError(
        f"{path}: not a file of weights; it is none of safetensors, HDF5 (.weights.h5) and .keras"
    )


def _hdf5(path: Path) -> Source:
    file = keras.open_h5(path)
    try:
        if "layer_names" in file.attrs or "model_weights" in file or "layer_names0" in file.attrs:
            return LegacyWeights(path, file)
        return keras.KerasWeights(path, [file])
    except BaseException:
        file.close()
        raise


def _index(path: Path, layout: str | None) -> Source:
    """A JSON file that says which file each weight is in."""
    try:
        places = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        keras_shards = [name for name in places if name.endswith("/vars")]
    except (ValueError, KeyError, TypeError):
        raise WeightsError(
            f"{path}: not an index of shards: expected JSON with a 'weight_map' that names the "
            f"file of every weight"
        ) from None
    if keras_shards:
        return keras.open_shards(path, places)
    return _named(path, *tensors.open_shards(path, places), layout)


def _named(
    path: Path, stored: list[Stored], metadata: dict[str, str], layout: str | None
) -> NamedTensors:
    """Tensors with the names and the layout of whoever wrote them."""
    writer = metadata.get("format")
    names = [entry.name for entry in stored]
    own = writer == "graphctx"
    if layout is None and not own:
        like_torch = any(name.endswith(".weight") for name in names)
        if writer not in (None, "pt") and like_torch:
            raise WeightsError(
                f"{path}: its metadata says format {writer!r}, and how that lays weights out is "
                f"not known: give layout='torch' ([out, in]) or layout='keras' ([in, out])"
            )
        layout = "torch" if writer == "pt" or like_torch else "keras"
    dots = any("." in name for name in names) and not any("/" in name for name in names)
    return NamedTensors(str(path), stored, layout or "keras", "." if dots else "/", own=own)


def _is_torch_archive(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def _pickle(path: Path) -> WeightsError:
    return WeightsError(
        f"{path}: a pickle, which may run any code when it is read, and so is not; convert it "
        f"where you trust it:\n  {CONVERSION.format(path=path)}"
    )
