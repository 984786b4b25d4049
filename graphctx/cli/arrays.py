"""Arrays in and out: npz files by name, npy files for one array."""

from __future__ import annotations

import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from graphctx.cli.failure import UsageError
from graphctx.errors import DTypeError, InputError, listing, suggest
from graphctx.program import Program
from graphctx.spec import as_dtype
from graphctx.tree import Structure

Arrays = dict[str, np.ndarray[Any, Any]]


class Given:
    """The arrays of the files on the command line.

    Attributes:
        named: from npz files, by name.
        ordered: from npy files, one each.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.named: Arrays = {}
        self.ordered: list[np.ndarray[Any, Any]] = []
        for path in paths:
            found = _read(path)
            if isinstance(found, dict):
                for name in found:
                    if name in self.named:
                        raise UsageError(f"{path}: {name!r} is in another file, too")
                self.named.update(found)
            else:
                self.ordered.append(found)

    @property
    def arrays(self) -> list[tuple[str | None, np.ndarray[Any, Any]]]:
        """(name, array), those without a name first."""
        return [*((None, array) for array in self.ordered), *self.named.items()]

    def for_program(self, program: Program) -> list[np.ndarray[Any, Any]]:
        """The arrays in the order of the program's inputs: the named ones by name, then the rest.

        Raises:
            InputError: an input is missing, or an array is of no input.
        """
        names = list(program.inputs)
        for name in self.named:
            if name not in names:
                raise InputError(
                    f"{program.name}: no input {name!r}{_hint(name, names)} "
                    f"(inputs: {_signature(program)})"
                )
        rest = iter(self.ordered)
        found = {}
        for name in names:
            array = self.named.get(name)
            found[name] = next(rest, None) if array is None else array
        missing = [name for name, array in found.items() if array is None]
        if missing or next(rest, None) is not None:
            counts = f"{len(self.ordered) + len(self.named)} arrays for {len(names)} inputs"
            raise InputError(
                f"{program.name}: {counts} ({_signature(program)})"
                + (f"; missing: {listing(missing)}" if missing else "")
            )
        return [array for array in found.values() if array is not None]


def _hint(name: str, names: list[str]) -> str:
    if re.fullmatch(r"arr_\d+", name) and names:
        return f"; give np.savez the arrays by name: np.savez(path, {names[0]}=...)"
    return suggest(name, names)


def _signature(program: Program) -> str:
    return ", ".join(f"{name}: {spec}" for name, spec in program.inputs.items()) or "none"


def _read(path: Path) -> Arrays | np.ndarray[Any, Any]:
    if path.suffix not in (".npy", ".npz"):
        raise UsageError(f"{path}: inputs are read from .npz (by name) and .npy files")
    arrays: dict[str, Any] = {}
    try:
        with path.open("rb") as file:
            found = np.load(file, allow_pickle=False)
            if isinstance(found, np.ndarray):
                arrays[""] = found
            else:
                arrays.update((name, found[name]) for name in found.files)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except _UNREADABLE as error:
        raise InputError(f"{path}: not a {path.suffix} file of plain arrays") from error
    is_plain = all(isinstance(array, np.ndarray) for array in arrays.values())
    if not is_plain or isinstance(found, np.ndarray) != (path.suffix == ".npy"):
        raise InputError(f"{path}: not a {path.suffix} file of plain arrays")
    if path.suffix == ".npy":
        return _native(arrays[""], str(path))
    return {name: _native(array, f"{path}, {name!r}") for name, array in arrays.items()}


_UNREADABLE = (
    ValueError, TypeError, EOFError, AttributeError, MemoryError, NotImplementedError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What NumPy and zipfile raise for a file that is something else, or damaged."""


def _native(array: np.ndarray[Any, Any], where: str) -> np.ndarray[Any, Any]:
    """The array in this machine's byte order.

    Raises:
        InputError: its dtype is none that a tensor has.
    """
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    try:
        as_dtype(array.dtype)
    except DTypeError as error:
        raise InputError(f"{where}: {error}") from error
    return array


def named_outputs(program: Program, result: Any) -> Arrays:
    """Output name -> array, of what a run of the program returned.

    The tensors of a sequence are numbered, `y_0`, `y_1`; an empty optional has none.
    """
    returns = program.graph.returns
    found: Arrays = {}
    leaves = _leaves(returns.structure, result)
    for name, leaf in zip(returns.names(), leaves, strict=True):
        if isinstance(leaf, list):
            found.update({f"{name}_{i}": np.asarray(item) for i, item in enumerate(leaf)})
        elif leaf is not None:
            found[name] = np.asarray(leaf)
    return found


def _leaves(structure: Structure, nest: Any) -> Iterator[Any]:
    """The tensors of a nest, in order."""
    if structure.kind == "leaf":
        yield nest
    elif structure.kind != "static":
        items = nest.values() if structure.kind == "dict" else nest
        for child, item in zip(structure.children, items, strict=True):
            yield from _leaves(child, item)


def check_target(path: Path, count: int) -> None:
    """Refuse a file for the outputs before anything is computed.

    Raises:
        UsageError: it ends in something else than `.npz` or `.npy`, or `.npy` for several arrays.
        InputError: there is no folder to write it in.
    """
    if path.suffix not in (".npy", ".npz"):
        raise UsageError(f"{path}: outputs are written to .npz (by name) and .npy files")
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; give the name of a file in it")
    if not path.parent.is_dir():
        raise InputError(
            f"{path}: cannot be written: the folder {str(path.parent)!r} does not exist"
        )
    if path.suffix == ".npy" and count != 1:
        raise UsageError(f"{path}: there are {count} outputs, and a .npy file has one; use .npz")


def write(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Write the arrays; see `check_target`. The file is there when it is complete, or not at all.

    Raises:
        InputError: the operating system refuses.
    """
    try:
        with tempfile.TemporaryDirectory(
            prefix=f".{path.stem[:40]}.", suffix=".tmp", dir=path.parent, ignore_cleanup_errors=True
        ) as folder:
            made = Path(folder) / path.name
            _write(made, arrays)
            os.replace(made, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error


def _write(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    if path.suffix == ".npy":
        with path.open("wb") as file:
            write_array(file, *arrays.values())
        return
    # Not np.savez, whose own parameters are names that an output might have.
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                write_array(file, array)


def write_array(file: IO[bytes], array: np.ndarray[Any, Any]) -> None:
    """Write one array in the npy format; strings as NumPy's own strings."""
    text = array.dtype == object
    np.lib.format.write_array(file, array.astype(np.str_) if text else array, allow_pickle=False)
