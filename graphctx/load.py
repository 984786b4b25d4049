"""`load`: hands a model that another tool wrote to the importer that reads its format."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from graphctx.context import Domain, domain_of
from graphctx.errors import ContextError, DTypeError, LoadError, ShapeError, listing
from graphctx.graph import CallGraph
from graphctx.spec import TensorSpec

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


class Importer(Protocol):
    """What an entry point of the group `graphctx.importers` refers to.

    Attributes:
        name: of the format.
        suffixes: of the files it reads.
    """

    name: str
    suffixes: tuple[str, ...]

    def takes(self, model: Any) -> bool:
        """Whether an object that is no path is a model of this format."""

    def load(
        self, source: Any, *, contexts: Mapping[str, Domain | None], inputs: Mapping[str, Any]
    ) -> CallGraph:
        """Read a file, or a model in memory; raise `LoadError`. For `inputs` see `load`.

        A domain that is None is that of the input's dtype.
        """


def importers() -> dict[str, EntryPoint]:
    """Importer name -> entry point, of all that are installed (group `graphctx.importers`)."""
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group="graphctx.importers")}


def is_file(reference: Any) -> bool:
    """Whether a text names a file that an installed importer reads, by its suffix."""
    suffix = os.path.splitext(str(reference))[1].lower()
    return any(suffix in _imported(point).suffixes for point in importers().values())


def load(
    source: Any,
    *,
    contexts: Mapping[str, Any] | Iterable[str] | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> CallGraph:
    """Read a model that another tool wrote into a call graph, like one that `trace` makes.

    The graph takes the model's inputs by position or by name, and returns a dict: output name ->
    tensor. Its weights have the names that the file gives them; its layer calls are the scopes
    and functions of the file.

    Args:
        source: path of a file, whose suffix chooses the format (`.onnx`), or a model in memory
            (an `onnx.ModelProto`, or its bytes).
        contexts: inputs to make context arguments of: name -> type, as in `Context[...]`: `bool`,
            `int`, `float`, `Literal[...]` or an `Enum`; or names alone: the type is that of the
            input's numbers. They have to be scalars, or tensors of one element. A default that
            the file has for such an input is the argument's.
        inputs: what is known of inputs beyond what the file says: name -> `TensorSpec`, or a
            shape: numbers fix a dimension, equal names make dimensions equal; or an array: the
            input is this constant, and no input any more.

    Raises:
        LoadError: there is no such file; it is damaged, or not what its format demands; it has
            operators that graphctx lacks (all are named); `contexts` or `inputs` do not fit it.
        ContextError: a type in `contexts` that no input can stand for.
    """
    if isinstance(contexts, str):
        raise LoadError(f"contexts= is a dict or a list of names; write contexts=[{contexts!r}]")
    if contexts is not None and not isinstance(contexts, Mapping):
        contexts = dict.fromkeys(contexts)
    domains = {name: _domain(name, kind) for name, kind in (contexts or {}).items()}
    known = {name: _spec(name, spec) for name, spec in (inputs or {}).items()}
    for name in domains:
        if name in known:
            raise LoadError(f"{name!r} is named in both contexts= and inputs=; choose one")
    if isinstance(source, (str, os.PathLike)):
        source = Path(source)
        importer = _importer_of_file(source)
    else:
        importer = _importer_of_model(source)
    return importer.load(source, contexts=domains, inputs=known)


def _domain(name: str, kind: Any) -> Domain | None:
    if kind is None:
        return None
    domain = domain_of(kind)
    if domain.kind == "opaque":
        raise ContextError(
            f"contexts[{name!r}] is bool, int, float, a Literal[...] or an Enum, got {kind!r}"
        )
    return domain


def _spec(name: str, spec: Any) -> Any:
    """A `TensorSpec`, an array, or a shape whose dtype is the file's."""
    if isinstance(spec, (TensorSpec, np.ndarray)):
        return spec
    try:
        return TensorSpec(spec).shape
    except (ShapeError, DTypeError, TypeError) as error:
        raise LoadError(
            f"inputs[{name!r}] is a TensorSpec, a shape such as ('batch', 128) or an array, got "
            f"{spec!r}: {error}"
        ) from None


def _importer_of_file(path: Path) -> Importer:
    suffixes: list[str] = []
    for point in importers().values():
        importer = _imported(point)
        if path.suffix.lower() in importer.suffixes:
            return importer
        suffixes += importer.suffixes
    what = f"{path.suffix!r} files" if path.suffix else "files without a suffix"
    raise LoadError(f"no importer knows {what} ({path}); known: {listing(suffixes)}")


def _importer_of_model(model: Any) -> Importer:
    for point in importers().values():
        importer = _imported(point)
        if importer.takes(model):
            return importer
    raise LoadError(
        f"load() takes the path of a file or a model in memory, got {type(model).__name__} "
        f"(installed importers: {listing(importers())})"
    )


def _imported(point: EntryPoint) -> Importer:
    try:
        return point.load()  # type: ignore[no-any-return]
    except ImportError as error:
        raise LoadError(
            f"the importer {point.name!r} cannot be imported: {error}; install it with "
            f"pip install 'graphctx[{point.name}]'"
        ) from error
