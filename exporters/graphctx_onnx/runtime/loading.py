"""Checks the files of a bundle, and makes sessions of its programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphctx_onnx.runtime import sessions
from graphctx_onnx.runtime.errors import BundleError, InvalidBundleError, listing, suggest
from graphctx_onnx.runtime.files import Identity, check_content, check_size, identity
from graphctx_onnx.runtime.manifest import Manifest, ProgramFile
from graphctx_onnx.runtime.prepacked import Cache
from graphctx_onnx.runtime.protobuf import MalformedError, external_tensors
from graphctx_onnx.runtime.sessions import CPU, MODES, PREPACKED

FULL, MANIFEST = "full", "manifest"


@dataclass(frozen=True)
class Options:
    """How a bundle is loaded; see `Bundle.load`."""

    sharing: str
    providers: tuple[Any, ...]
    max_sessions: int | None
    threads: int | None
    cache: Path | None
    verify: str | bool

    def check(self) -> None:
        """Raise for options that make no sense here.

        Raises:
            BundleError: names the option.
        """
        if self.sharing not in MODES:
            raise BundleError(
                f"sharing is one of {listing(MODES)}, got {self.sharing!r}"
                f"{suggest(str(self.sharing), MODES)}"
            )
        if self.verify not in (FULL, MANIFEST, False):
            raise BundleError(f"verify is {FULL!r}, {MANIFEST!r} or False, got {self.verify!r}")
        for name in ("max_sessions", "threads"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise BundleError(f"{name} is a number from 1 on, or None, got {value!r}")
        if self.sharing == PREPACKED and self.providers != (CPU,):
            raise BundleError(
                f"sharing={PREPACKED!r} is for {CPU!r} alone, got {listing(self.providers)}"
            )


class Loader:
    """Makes sessions of the programs of a bundle, of files that were checked.

    Args:
        path: of the bundle.
        manifest: of the bundle.
        options: how to load.

    Attributes:
        sharing: how the sessions share weights.

    Raises:
        InvalidBundleError: a file is missing, damaged, or refers to what is no part of the bundle.
    """

    def __init__(self, path: Path, manifest: Manifest, options: Options) -> None:
        self.path = path
        self.manifest = manifest
        self.sharing = sessions.choose(options.sharing, manifest)
        self._options = options
        self._classes = {found.id: found for found in manifest.classes}
        self._cache = Cache(path, manifest, options.cache) if self.sharing == PREPACKED else None
        self._identities: dict[str, Identity] = {}
        if options.verify is not False:
            check = check_content if options.verify == FULL else check_size
            self._identities = {n: check(path, entry) for n, entry in manifest.files.items()}
            for found in manifest.classes:
                if found.program is not None:
                    self._check_references(found.program)

    def open(self, id: str) -> Any:
        """A session of the program of a class.

        Raises:
            InvalidBundleError: a file is not what it was when the bundle was loaded, or the program
                is not what the manifest says.
            SessionError: onnxruntime refuses the program.
        """
        found = self._classes[id]
        program = found.program
        assert program is not None
        for name in (program.file, *program.weights):
            self._check_still(name)
        self._check_references(program)
        what = f"the program for {found.condition}"
        threads = self._options.threads
        if self._cache is not None and program.weights:
            session = self._cache.open(program, threads, what)
        else:
            session = sessions.open_session(
                self.path / program.file,
                sessions.options_for(self.sharing, program, threads),
                self._options.providers,
                f"{self.path}: {what}",
            )
        self._check_interface(program, session)
        return session

    def _check_still(self, name: str) -> None:
        """Check that a file is the one that was checked before."""
        known = self._identities.get(name)
        if known is None:
            self._identities[name] = check_size(self.path, self.manifest.files[name])
            return
        try:
            same = identity(self.path, name) == known
        except InvalidBundleError:
            same = False
        if not same:
            raise InvalidBundleError(
                f"{self.path}: {name} is no more what it was when the bundle was loaded; "
                f"load it again"
            )

    def _check_references(self, program: ProgramFile) -> None:
        """Check that a program reads nothing but the weights that the manifest names.

        Raises:
            InvalidBundleError: it does, or it is no ONNX model.
        """
        where = f"{self.path}: {program.file}"
        try:
            tensors = external_tensors((self.path / program.file).read_bytes())
            for tensor in tensors:
                location = tensor.entries.get("location", "")
                if location not in program.weights:
                    raise InvalidBundleError(
                        f"{where}: the tensor {tensor.name!r} is in {location!r}, which is none of "
                        f"the program's files of weights ({listing(program.weights)}); do not use "
                        f"this bundle"
                    )
                end = (tensor.number("offset") or 0) + (tensor.number("length") or 0)
                if end > self.manifest.files[location].size:
                    raise InvalidBundleError(
                        f"{where}: the tensor {tensor.name!r} reaches beyond the end of {location}"
                    )
        except OSError as error:
            raise InvalidBundleError(f"{where} cannot be read: {error.strerror}") from error
        except MalformedError as error:
            raise InvalidBundleError(f"{where} is no ONNX model: {error}") from error

    def _check_interface(self, program: ProgramFile, session: Any) -> None:
        """Check that a session takes and returns what the manifest says.

        Raises:
            InvalidBundleError: it does not.
        """
        signature = program.signature
        fed = (*session.get_inputs(), *session.get_overridable_initializers())
        for kind, theirs, ours in (
            ("inputs", {entry.name for entry in fed}, signature.fed),
            ("outputs", {entry.name for entry in session.get_outputs()}, signature.returned),
        ):
            if theirs != set(ours):
                raise InvalidBundleError(
                    f"{self.path}: {program.file} has the {kind} {listing(sorted(theirs))}, the "
                    f"manifest says {listing(sorted(ours))}; export the bundle again"
                )
