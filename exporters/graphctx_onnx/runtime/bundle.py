"""`Bundle`: loads a folder that `gx.export` wrote, and runs the program of any context."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from graphctx_onnx.runtime.dispatch import Dispatcher
from graphctx_onnx.runtime.errors import BundleError, InvalidBundleError, ModelError
from graphctx_onnx.runtime.loading import FULL, Loader, Options
from graphctx_onnx.runtime.manifest import Argument, ContextClass, Manifest, Signature
from graphctx_onnx.runtime.parse import read_manifest
from graphctx_onnx.runtime.program import Program
from graphctx_onnx.runtime.sessions import AUTO, CPU, Providers, SessionPool, check_providers


class Bundle:
    """The programs of a model for all its contexts, run by onnxruntime. Made by `Bundle.load`.

    Thread-safe. A program is loaded when it is first run. Pickles as its path and options, so that
    a worker process loads it itself.

    Attributes:
        path: of the folder.
        manifest: what it says of itself.
    """

    def __init__(self, path: Path, manifest: Manifest, options: Options) -> None:
        self.path = path
        self.manifest = manifest
        self._options = options
        self._classes = {found.id: found for found in manifest.classes}
        self._loader = Loader(path, manifest, options)
        self._pool = SessionPool(self._loader.open, list(self._classes), options.max_sessions)
        self._find = Dispatcher(manifest).find
        self._programs = {
            found.id: Program(found, manifest.arguments, partial(self._pool.get, found.id))
            for found in manifest.classes
            if found.program is not None
        }

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        sharing: str = AUTO,
        providers: Providers = (CPU,),
        max_sessions: int | None = None,
        threads: int | None = None,
        cache: str | os.PathLike[str] | None = None,
        verify: str | bool = FULL,
    ) -> Bundle:
        """Load a bundle; its programs are loaded when they are first run.

        Args:
            path: of the folder.
            sharing: `shared`: weights stay in the bundle, mapped into memory once for all programs;
                `prepacked`: they are arranged for this processor once, in a cache on this host, and
                mapped from there; `private`: every program has a copy of its own; `auto`: `private`
                where the copies add at most 16 MiB, else `shared`.
            providers: onnxruntime's execution providers, in order of preference.
            max_sessions: programs that are kept loaded; those used longest ago go. None: all.
            threads: that one run may use; None: as many as onnxruntime wants.
            cache: folder for `prepacked`; by default `$XDG_CACHE_HOME/graphctx` or
                `~/.cache/graphctx`.
            verify: `full`: compare the SHA-256 digest of every file with the manifest; `manifest`:
                the sizes only; False: nothing of a program before it is loaded.

        Raises:
            InvalidBundleError: it is damaged, incomplete, foreign, of a newer format, or refers to
                files outside of its folder.
            BundleError: an option makes no sense here.
        """
        options = Options(
            sharing,
            tuple(check_providers(providers)),
            max_sessions,
            threads,
            None if cache is None else Path(cache),
            verify,
        )
        options.check()
        folder = Path(os.path.abspath(path))
        while True:
            manifest = read_manifest(folder)
            try:
                return cls(folder, manifest, options)
            except InvalidBundleError:
                if read_manifest(folder).data == manifest.data:
                    raise  # else it was replaced while it was read

    # -- what there is ------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.manifest.model

    @property
    def sharing(self) -> str:
        """How sessions share weights: `shared`, `prepacked` or `private`."""
        return self._loader.sharing

    @property
    def arguments(self) -> Mapping[str, Argument]:
        """The context arguments that a run may be given, by name."""
        return self.manifest.arguments

    @property
    def classes(self) -> tuple[ContextClass, ...]:
        """The classes of assignments: conditions, and the program or the error of each."""
        return self.manifest.classes

    def signature(self, context: Mapping[str, Any] | None = None, /, **values: Any) -> Signature:
        """Inputs, outputs and state of the program for a context; see `run` for the errors."""
        return self._program(context, values)[0].signature

    def resolve(
        self, context: Mapping[str, Any] | None = None, /, **values: Any
    ) -> tuple[str, dict[str, Any]]:
        """The id of the class of a context, and what to feed for arguments left to run time.

        Runs whose class and feeds are equal may be batched: `program(id).run(inputs, feeds)`.

        Raises:
            ContextError: see `run`.
            ModelError: the model raises under this context.
        """
        program, feeds = self._program(context, values)
        return program.id, feeds

    def program(self, id: str) -> Program:
        """The program of a class.

        Raises:
            BundleError: there is no such class.
            ModelError: the model raises under these contexts.
        """
        found = self._programs.get(id)
        if found is None:
            self._raise(id)
        return found

    # -- running ------------------------------------------------------------------------------

    def run(
        self,
        inputs: Mapping[str, Any],
        /,
        *,
        seed: int | None = None,
        context: Mapping[str, Any] | None = None,
        **values: Any,
    ) -> dict[str, Any]:
        """Run the program for a context.

        Args:
            inputs: arrays by name.
            seed: of the random operators; without one a fresh one is drawn.
            context: argument -> value; for names that clash with parameters.
            values: context values by keyword. Arguments that are not given, or None, have their
                defaults.

        Returns:
            Arrays by output name.

        Raises:
            ContextError: an unknown argument, a value outside its domain or of another type, a
                missing one, or an assignment that the bundle has no program for.
            InputError: an input is missing, unknown, or of another dtype, rank or size.
            ModelError: the model raises under this context.
            SessionError: onnxruntime fails.
        """
        program, feeds = self._program(context, values)
        return program.run(inputs, feeds, seed)

    def step(
        self,
        inputs: Mapping[str, Any],
        /,
        *,
        state: Mapping[str, Any] | None = None,
        seed: int | None = None,
        context: Mapping[str, Any] | None = None,
        **values: Any,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Run the program for a context, and return what it makes of its state, too.

        Args:
            inputs: as for `run`.
            state: weight path -> value to start from, such as an earlier step returned; the rest
                starts from the stored values.
            seed: as for `run`.
            context: as for `run`.
            values: as for `run`.

        Returns:
            (outputs by name, new value of each weight that the program replaces, by path).
        """
        program, feeds = self._program(context, values)
        return program.step(inputs, feeds, seed, state)

    def session(self, context: Mapping[str, Any] | None = None, /, **values: Any) -> Any:
        """The `onnxruntime.InferenceSession` of the program for a context."""
        return self._program(context, values)[0].session()

    # -- inside -------------------------------------------------------------------------------

    def _program(
        self, context: Mapping[str, Any] | None, values: Mapping[str, Any]
    ) -> tuple[Program, dict[str, Any]]:
        found, given = self._find({**context, **values} if context else values)
        program = self._programs.get(found.id)
        if program is None:
            self._raise(found.id)
        return program, program.feeds(given)

    def _raise(self, id: str) -> NoReturn:
        found = self._classes.get(id)
        if found is None:
            raise BundleError(f"{self.path}: there is no class {id!r:.80}")
        error = found.error
        assert error is not None
        raise ModelError(
            f"{self.name}: with {found.condition} the model raises {error.type}: "
            f"{error.message} (at {error.source})",
            error.type,
            error.source,
        )

    def __reduce__(self) -> Any:
        return _load, (self.path, self._options)

    def __repr__(self) -> str:
        count = len(self.classes)
        return (
            f"<Bundle {self.name}: {count} class{'es' * (count != 1)}, "
            f"{len(self._pool)} of {len(self._programs)} programs loaded ({self.sharing})>"
        )


def _load(path: Path, options: Options) -> Bundle:
    return Bundle.load(path, **dataclasses.asdict(options))
