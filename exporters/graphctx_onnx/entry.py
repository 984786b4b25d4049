"""What graphctx finds by its entry points (group `graphctx.exporters`): `onnx` and `bundle`."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, Any

from graphctx.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from graphctx_onnx.bundle.export import ExportedBundle
    from graphctx_onnx.bundle.pruning import Pruned
    from graphctx_onnx.pipeline import Exported
    from graphctx_onnx.report import Report
    from graphctx_onnx.runtime import Manifest


class OnnxExporter:
    """Writes programs as ONNX files.

    Attributes:
        name: `gx.export(..., format="onnx")`.
        suffixes: of the paths that ask for it.
        options: that `export` takes.
        takes_graphs: it writes one program, so a graph is compiled first.
    """

    name = "onnx"
    suffixes = (".onnx",)
    takes_graphs = False
    options = (
        "opset", "verify", "inputs", "sizes", "external_threshold", "rtol", "atol", "progress",
    )  # fmt: skip

    def export(self, program: Any, path: str | os.PathLike[str], **options: Any) -> Exported:
        """Write a program; see `graphctx_onnx.export`."""
        _require_onnx()
        from graphctx_onnx.pipeline import export

        return export(program, path, **options)

    def verify(self, path: str | os.PathLike[str], program: Any, **options: Any) -> Report:
        """Compare a file with its program; see `graphctx_onnx.verify`."""
        _require_onnx()
        from graphctx_onnx.verification import verify

        return verify(path, program, **options)

    def context(self, path: str | os.PathLike[str]) -> tuple[Mapping[str, Any], tuple[str, ...]]:
        """The assignment a file was exported for, and the arguments that it leaves to run time."""
        _require_onnx()
        from graphctx_onnx.metadata import read_metadata

        found = read_metadata(path)
        return found.assignment, tuple(port["argument"] for port in found.signature["contexts"])

    def runner(self, path: str | os.PathLike[str]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        """Load a file into onnxruntime, optimizations on; return what runs it."""
        _require_onnx()
        from graphctx_onnx import sessions

        session = sessions.open_session(path, "on")
        names = [output.name for output in session.get_outputs()]
        return lambda feeds: sessions.run(session, names, feeds)


class BundleExporter:
    """Writes and changes bundles; `gx.export` and `graphctx bundle` use it.

    Attributes:
        name: `gx.export(..., format="bundle")`.
        suffixes: of the paths that ask for it.
        options: that `export` takes.
        takes_graphs: it writes the programs of a graph for many contexts.
    """

    name = "bundle"
    suffixes = (".bundle",)
    takes_graphs = True
    options = (
        "contexts", "weights", "opset", "verify", "inputs", "sizes", "rtol", "atol", "workers",
        "progress",
    )  # fmt: skip

    def export(self, graph: Any, path: str | os.PathLike[str], **options: Any) -> ExportedBundle:
        """Write a bundle; see `graphctx_onnx.export_bundle`."""
        _require_onnx()
        from graphctx_onnx.bundle.export import export_bundle

        return export_bundle(graph, path, **options)

    def read(self, path: str | os.PathLike[str]) -> Manifest:
        """The manifest of a bundle; see `graphctx_onnx.runtime.read_manifest`."""
        from graphctx_onnx.bundle.reading import read

        return read(path)

    def verify(
        self, path: str | os.PathLike[str], graph: Any = None, **options: Any
    ) -> list[Report | None]:
        """Check a bundle; see `graphctx_onnx.verify_bundle`."""
        _require_onnx()
        from graphctx_onnx.bundle.comparison import verify_bundle

        return verify_bundle(path, graph, **options)

    def add(self, path: str | os.PathLike[str], graph: Any, **options: Any) -> ExportedBundle:
        """Add contexts to a bundle; see `graphctx_onnx.add_contexts`."""
        _require_onnx()
        from graphctx_onnx.bundle.adding import add_contexts

        return add_contexts(path, graph, **options)

    def prune(self, path: str | os.PathLike[str], **options: Any) -> Pruned:
        """Remove what nobody needs from a bundle; see `graphctx_onnx.prune_bundle`."""
        _require_onnx()
        from graphctx_onnx.bundle.pruning import prune_bundle

        return prune_bundle(path, **options)

    def context(self, path: str | os.PathLike[str]) -> tuple[Mapping[str, Any], tuple[str, ...]]:
        """A bundle has many assignments.

        Raises:
            ExportError: always; says what to use instead.
        """
        raise ExportError(f"{path}: a bundle has many contexts; use graphctx bundle verify")

    def runner(self, path: str | os.PathLike[str]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        """Load a bundle; return what runs the program for the default context."""
        from graphctx_onnx.runtime import Bundle

        return Bundle.load(path).run

    def serve(
        self,
        path: str | os.PathLike[str],
        *,
        loading: Mapping[str, Any],
        limits: Mapping[str, Any],
        options: Mapping[str, Any],
        **others: Any,
    ) -> None:
        """Serve a bundle until the process is told to stop; see `graphctx_onnx.server.serve`.

        Args:
            path: of the bundle.
            loading: of `Bundle.load`.
            limits: of `graphctx_onnx.server.Limits`.
            options: of `graphctx_onnx.server.Options`.
            others: of `serve`.

        Raises:
            ExportError: a library is missing, the bundle cannot be loaded, or the server cannot
                start.
        """
        try:
            from graphctx_onnx.server import Limits, Options, StartError, serve
        except ModuleNotFoundError as error:
            raise ExportError(str(error)) from error
        from graphctx_onnx.runtime import Bundle, BundleError

        try:
            serve(
                Bundle.load(path, **loading), limits=Limits(**limits), options=Options(**options),
                **others,
            )  # fmt: skip
        except (BundleError, StartError, ValueError) as error:
            raise ExportError(str(error)) from error


def _require_onnx() -> None:
    """Say what to install where the libraries of the exporter are missing."""
    for name in ("onnx", "onnxruntime"):
        if importlib.util.find_spec(name) is None:
            raise ExportError(
                f"the ONNX exporter needs {name}, which is not installed: "
                f"pip install 'graphctx[onnx]'"
            )


exporter = OnnxExporter()
bundle_exporter = BundleExporter()
