"""What an export was asked for, but for its contexts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphctx.errors import ExportError
from graphctx.graph import CallGraph
from graphctx_onnx.locate import Tolerances
from graphctx_onnx.schemas import require_opset
from graphctx_onnx.trials import Given, check_options
from graphctx_onnx.verification import Progress


@dataclass(frozen=True)
class Options:
    """Options that exporting, adding and verifying share; see `graphctx_onnx.export_bundle`."""

    opset: int | None
    verify: bool
    inputs: Given | None
    sizes: Mapping[str, Sequence[int]] | None
    limits: Tolerances
    workers: int | None
    progress: Progress | None

    def check(self, graph: CallGraph) -> None:
        """Raise for options that make no sense.

        Raises:
            ExportError: names the option.
        """
        require_opset(self.opset)
        if not isinstance(self.verify, bool):
            raise ExportError(f"verify is True or False, got {self.verify!r}")
        if self.progress is not None and not callable(self.progress):
            raise ExportError(
                f"progress is a function of (stage, steps done, steps in all), "
                f"got {self.progress!r}"
            )
        if self.workers is not None and (type(self.workers) is not int or self.workers < 1):
            raise ExportError(f"workers is a number from 1 on, got {self.workers!r}")
        check_options(graph, self.inputs, self.sizes)

    def tell(self, stage: str, done: int, steps: int) -> None:
        """Report progress, if anybody listens."""
        if self.progress is not None:
            self.progress(stage, done, steps)
