"""`python -m benchmarks.conformance`: ONNX's backend tests, ours beside two peers.

Runs every case of the suite in the installed onnx with graphctx, with onnx's ReferenceEvaluator and
with onnxruntime's CPU provider, and writes docs/conformance.md. All three are fed the same arrays
and compared with the same tolerances (`tests/conformance/suite.py`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from tests.conformance import ours, peers
from tests.conformance.expected_failures import EXPECTED_FAILURES
from tests.conformance.suite import KINDS, Case, cases, compare

PAGE = Path(__file__).parents[1] / "docs" / "conformance.md"

BACKENDS: dict[str, Callable[..., list[Any]]] = {
    "graphctx": ours.graphctx,
    "onnx ReferenceEvaluator": peers.reference,
    "onnxruntime CPU": peers.in_onnxruntime,
}

_WHAT = {
    "node": "one operator, or its function body",
    "simple": "small models",
    "pytorch-operator": "operators as PyTorch exported them",
    "pytorch-converted": "layers as PyTorch exported them",
    "light": "image classifiers without their weights' values",
}

HEAD = f"""\
# Conformance

<!-- Written by `python -m benchmarks.conformance`: do not edit. -->

ONNX's own backend tests (`onnx.backend.test`), which nobody here wrote. Each model is imported with
`gx.load`, compiled and run by the NumPy executor; its outputs are compared with those that ONNX
ships, with its tolerances. The peers are fed the same arrays. Versions: onnx {version("onnx")},
onnxruntime {version("onnxruntime")}; with Pillow, which decodes images for graphctx and for onnx.

"""


def passes(case: Case, run: Callable[..., list[Any]]) -> bool:
    """Whether a backend makes of a case what ONNX says."""
    try:
        model, data = case.load()
        for inputs, outputs in data:
            compare(case, outputs, run(model, inputs))
    except Exception:
        return False
    return True


def measure() -> dict[str, set[str]]:
    """Backend -> names of the cases that it passes."""
    found: dict[str, set[str]] = {name: set() for name in BACKENDS}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for case in track(cases(), "ONNX's backend tests"):
            for name, run in BACKENDS.items():
                if passes(case, run):
                    found[name].add(case.name)
    return found


def page(passed: dict[str, set[str]]) -> str:
    """The page, in Markdown."""
    every = cases()
    lines = [
        *HEAD.splitlines(),
        f"| Tests | | of | {' | '.join(BACKENDS)} |",
        f"|---|---|---:|{'---:|' * len(BACKENDS)}",
    ]
    for kind in KINDS:
        names = {case.name for case in every if case.kind == kind}
        lines.append(_row(kind, _WHAT[kind], names, passed))
    lines.append(_row("**all**", "", {case.name for case in every}, passed))
    lines += ["", "## What graphctx does not pass", ""]
    reasons: dict[str, list[str]] = {}
    for name, reason in EXPECTED_FAILURES.items():
        reasons.setdefault(reason, []).append(name)
    lines += ["| Cases | Why |", "|---|---|"]
    for reason, names_of in reasons.items():
        lines.append(f"| {', '.join(f'`{name}`' for name in names_of)} | {reason} |")
    return "\n".join([*lines, ""])


def _row(kind: str, what: str, names: Iterable[str], passed: dict[str, set[str]]) -> str:
    names = set(names)
    counts = " | ".join(str(len(names & found)) for found in passed.values())
    return f"| {kind} | {what} | {len(names)} | {counts} |"


def main() -> None:
    """Measure and write the page."""
    passed = measure()
    names = {case.name for case in cases()}
    unexpected = names - passed["graphctx"] - set(EXPECTED_FAILURES)
    if unexpected:
        raise SystemExit(f"graphctx fails {len(unexpected)} cases: {', '.join(sorted(unexpected))}")
    PAGE.write_text(page(passed))
    print(f"written to {PAGE}")


if __name__ == "__main__":
    main()
