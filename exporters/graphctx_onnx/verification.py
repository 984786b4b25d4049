"""Verification: the program against onnxruntime, on the file as it was written.

Every trial has its own sizes of the symbolic dimensions, random inputs and seed; a program with
state feeds each trial the state that the one before left. All trials run with onnxruntime's graph
optimizations off and on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from graphctx.body import all_nodes
from graphctx.errors import ExportError, GraphctxError, VerificationError, listing
from graphctx.export import as_path
from graphctx.graph import Value
from graphctx.spec import kind_of
from graphctx_onnx.compare import difference, tolerance_for
from graphctx_onnx.convert import Converted, convert
from graphctx_onnx.locate import Tolerances, Trial, first_difference, first_non_finite
from graphctx_onnx.metadata import load, read_metadata
from graphctx_onnx.precision import Precision, precisions
from graphctx_onnx.reference import Reference
from graphctx_onnx.report import Report, Row, sizes_text
from graphctx_onnx.sessions import LEVELS, OFF, ON, RefusedError, open_session, run
from graphctx_onnx.trials import (
    SEEDS,
    Given,
    Sizes,
    as_feeds,
    check_options,
    draw,
    larger,
    plan_contexts,
    plan_sizes,
    ranges_of,
)

Progress = Callable[[str, int, int], None]

REDRAWS = 2
"""Further draws for a graph with steps (`x > 0`), where a rounding error may tip an element."""


def verify(
    path: str | os.PathLike[str],
    program: Any,
    *,
    inputs: Given | None = None,
    sizes: Mapping[str, Sequence[int]] | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    progress: Progress | None = None,
) -> Report:
    """Compare a file that was exported from a program with that program.

    Args:
        path: of the model.
        program: a `Program`, or a `CallGraph` without open context arguments.
        inputs: to use instead of random ones: input name -> array; the arrays in order; or a
            function of (sizes, NumPy random generator) that returns either.
        sizes: symbolic dimension -> sizes to try, `{"batch": [1, 8]}`.
        rtol: relative tolerance; by default 1e-4 for what is computed in float32, 1e-8 in
            float64, 2e-2 in float16. Integers, bools and what only exact operators compute
            (random numbers, moved elements) must be equal.
        atol: absolute tolerance, in units of the output's largest magnitude (at least 0.01); by
            default 1e-5, 1e-9 and 1e-2.
        progress: told a stage, the steps done and the steps in all.

    Raises:
        VerificationError: they differ; names the output, the sizes and the first node that
            differs. Or the trials prove nothing, because no output was ever finite.
        ExportError: the file cannot be read or loaded, or is not one of this program.
    """
    source = as_path(path)
    graph = Reference(program).graph
    limits = Tolerances(rtol, atol)
    check_options(graph, inputs, sizes)
    metadata = read_metadata(source)
    opset = next(entry.version for entry in load(source).opset_import if not entry.domain)
    converted = convert(graph, opset=opset)
    if metadata.signature != converted.signature.as_json():
        raise ExportError(
            f"{source}: not exported from this program: "
            f"{_first_difference(metadata.signature, converted.signature.as_json())}"
        )
    return Verification(source, converted, program, limits, progress).run(inputs, sizes)


def _first_difference(file: Any, program: Any, where: str = "signature") -> str:
    """Where two signatures differ, in words."""
    if isinstance(file, dict) and isinstance(program, dict):
        for key in [*file, *(k for k in program if k not in file)]:
            if file.get(key) != program.get(key):
                return _first_difference(file.get(key), program.get(key), f"{where}, {key}")
    if isinstance(file, list) and isinstance(program, list) and len(file) == len(program):
        for index, (a, b) in enumerate(zip(file, program, strict=True)):
            if a != b:
                return _first_difference(a, b, f"{where} {index}")
    return f"{where}: {file!r} in the file, {program!r} in the program"


class Run(NamedTuple):
    """A trial, what the program computes in it, and what onnxruntime does; by output."""

    trial: Trial
    expected: Mapping[str, Any]
    actual: Mapping[str, Any]


class Verification:
    """One verification.

    Args:
        path: of the model.
        converted: the conversion that wrote it.
        program: `Program` or bound `CallGraph`.
        limits: tolerances.
        progress: told a stage, the steps done and the steps in all.
    """

    def __init__(
        self,
        path: Path,
        converted: Converted,
        program: Any,
        limits: Tolerances,
        progress: Progress | None = None,
    ) -> None:
        self.path = path
        self.converted = converted
        self.reference = Reference(program)
        self.graph = self.reference.graph
        self.limits = limits
        self.progress = progress
        self.precisions = precisions(converted.graph)
        self.ranges = ranges_of(converted.graph)
        signature = converted.signature
        returns = converted.graph.returns
        self.outputs: dict[str, Value] = dict(
            zip([p.name for p in signature.outputs], returns.values, strict=True)
        )
        self.states: dict[str, Value] = {
            entry.output: value
            for entry, (_, value) in zip(signature.state, returns.state.values(), strict=True)
        }
        self.report = Report()
        self.given = False
        self.fixed: Mapping[str, Any] = {}
        self.finite: set[str] = set()
        self.infinite: dict[str, Trial] = {}

    def run(self, inputs: Given | None, sizes: Mapping[str, Sequence[int]] | None) -> Report:
        """Run all trials; see `verify`."""
        self.given = inputs is not None
        plan = self._plan(inputs, sizes)
        steps = len(plan) * len(LEVELS)
        session = open_session(self.path, OFF)
        runs: list[Run] = []
        state: Mapping[str, Any] = {}
        for index, (asked, context) in enumerate(plan):
            self._tell("optimizations off", index, steps)
            found = self._accepted(session, index, asked, context, state, inputs)
            self._compare(session, OFF, found, None if inputs is not None else index)
            runs.append(found)
            state = self._state(found.expected)
        del session  # before the weights are loaded again
        quantized = any(node.name == "DequantizeLinear" for node in all_nodes(self.graph))
        session = open_session(self.path, ON, join_quantized=not quantized)
        if quantized:
            self.report.notes.append(
                "optimizations on without the one that joins operators and DequantizeLinear, as "
                "it rounds otherwise: by a step of the quantized numbers at times"
            )
        for index, found in enumerate(runs):
            self._tell("optimizations on", len(plan) + index, steps)
            found = Run(found.trial, found.expected, self._actual(session, found.trial))
            self._compare(session, ON, found, None if inputs is not None else index)
        self._tell("verified", steps, steps)
        self._require_finite()
        return self.report

    def _tell(self, stage: str, done: int, steps: int) -> None:
        if self.progress is not None:
            self.progress(stage, done, steps)

    # -- trials -------------------------------------------------------------------------------

    def _plan(
        self, inputs: Given | None, asked: Mapping[str, Sequence[int]] | None
    ) -> list[tuple[Sizes, Mapping[str, Any]]]:
        """Sizes and context of every trial; `self.fixed` are the sizes the user asked for."""
        self.fixed = dict(asked or {})
        if inputs is None or callable(inputs):
            sizes = plan_sizes(self.graph, asked)
        else:
            # A second run on given arrays starts from the state that the first one left.
            sizes = [as_feeds(self.graph, inputs)[1]] * (2 if self.states else 1)
        contexts = plan_contexts(self.graph)
        count = max(len(sizes), len(contexts))
        return [(sizes[i % len(sizes)], contexts[i % len(contexts)]) for i in range(count)]

    def _candidates(
        self,
        index: int,
        sizes: Sizes,
        context: Mapping[str, Any],
        state: Mapping[str, Any],
        inputs: Given | None,
    ) -> Iterator[Trial]:
        """What to try, in order, until it is accepted."""
        if inputs is None:
            for candidate in larger(sizes, self.graph, self.fixed):
                yield self._draw(candidate, index, context, state, 0)
        else:
            given = inputs(sizes, np.random.default_rng(index)) if callable(inputs) else inputs
            feeds, own = as_feeds(self.graph, given)
            yield self._trial(own, feeds, SEEDS[index % len(SEEDS)], state, context)

    def _trial(
        self,
        sizes: Sizes,
        feeds: Mapping[str, Any],
        seed: int,
        state: Mapping[str, Any],
        context: Mapping[str, Any],
    ) -> Trial:
        encodings = [port.encoding for port in self.converted.signature.contexts]
        encoded = {e.input: e.encode(context[e.argument.name]) for e in encodings}
        return Trial(sizes, {**feeds, **encoded}, seed, state, context)

    def _accepted(
        self,
        session: Any,
        index: int,
        asked: Sizes,
        context: Mapping[str, Any],
        state: Mapping[str, Any],
        inputs: Given | None,
    ) -> Run:
        """The first candidate that program and runtime accept, and what they compute."""
        last: Exception | None = None
        who = "a dimension would be below 1"
        for trial in self._candidates(index, asked, context, state, inputs):
            try:
                expected = self._expected(trial)
                found = Run(trial, expected, self._actual(session, trial))
            except MemoryError as error:
                raise self._too_large(trial.sizes) from error
            except (GraphctxError, ValueError, IndexError, ArithmeticError) as error:
                if inputs is not None:
                    raise  # what the user gives has to be accepted
                last = error
                runtime = isinstance(error, RefusedError)
                who = f"{'onnxruntime' if runtime else 'the program'} does not take them"
                continue
            if trial.sizes != asked and inputs is None:
                self.report.notes.append(
                    f"instead of {sizes_text(asked)}: {sizes_text(trial.sizes)}, as {who}"
                )
            return found
        if isinstance(last, RefusedError):
            raise last
        reason = f": {last}" if last is not None else ""
        raise VerificationError(
            f"{self.graph.name}: the program accepts none of the sizes and random inputs that "
            f"verification tried{reason}; say what it takes with sizes={{...}} or inputs=..."
        ) from last

    def _too_large(self, sizes: Mapping[str, int]) -> VerificationError:
        return VerificationError(
            f"{self.graph.name}: there is no memory to verify it at {sizes_text(sizes)}; choose "
            f"smaller sizes with sizes={{...}} or inputs=..."
        )

    def _state(self, expected: Mapping[str, Any]) -> dict[str, Any]:
        """The state that the next trial starts from."""
        return {
            entry.path: expected[entry.output]
            for entry in self.converted.signature.state
            if entry.input is not None
        }

    def _draw(
        self,
        sizes: Sizes,
        index: int,
        context: Mapping[str, Any],
        state: Mapping[str, Any],
        redraw: int,
    ) -> Trial:
        rng = np.random.default_rng([index, redraw])
        try:
            feeds = draw(self.converted.graph, self.ranges, sizes, index, rng)
        except (MemoryError, ValueError, OverflowError) as error:
            raise self._too_large(sizes) from error
        seed = SEEDS[index % len(SEEDS)] + redraw
        return self._trial(sizes, feeds, seed, state, context)

    def _expected(self, trial: Trial) -> dict[str, Any]:
        """What the program computes in a trial, by output."""
        return self._named(*self.reference.run(trial))

    def _named(self, outputs: Sequence[Any], state: Mapping[str, Any]) -> dict[str, Any]:
        found = dict(zip(self.outputs, outputs, strict=True))
        for entry in self.converted.signature.state:
            found[entry.output] = state[entry.path]
        return found

    def _feeds(self, trial: Trial) -> dict[str, Any]:
        """What onnxruntime is fed in a trial."""
        signature = self.converted.signature
        feeds = {port.name: trial.feeds[port.own] for port in signature.inputs}
        for context in signature.contexts:
            feeds[context.name] = trial.feeds[context.encoding.input]
        if signature.seed is not None:
            feeds[signature.seed.name] = np.asarray(trial.seed, np.int64)
        for entry in signature.state:
            if entry.input is not None and entry.path in trial.state:
                feeds[entry.input] = trial.state[entry.path]
        return feeds

    # -- comparison ---------------------------------------------------------------------------

    def _actual(self, session: Any, trial: Trial) -> dict[str, Any]:
        """What onnxruntime computes in a trial."""
        return run(session, [*self.outputs, *self.states], self._feeds(trial))

    def _compare(self, session: Any, level: str, found: Run, index: int | None) -> None:
        trial = found.trial
        rows = self._rows(level, found)
        bad = [row for row in rows if row.difference.problem]
        if bad and index is not None and all(self._precision(row.output).stepped for row in bad):
            again = self._redrawn(session, level, trial, index)
            if again is not None:
                names = ", ".join(repr(row.output) for row in bad)
                where = sizes_text(trial.sizes, trial.context)
                self.report.notes.append(
                    f"{names} at {where}: rounding tipped a comparison of "
                    f"floats in one draw ({bad[0].difference.problem}); another draw agrees"
                )
                rows, bad = again, []
        self.report.rows.extend(rows)
        if bad:
            raise VerificationError(self._mismatch(bad[0], trial))
        for output, value in found.expected.items():
            arrays = [np.asarray(array) for array in _arrays(value)]
            if not arrays or any(
                kind_of(array.dtype) != "f" or array.size == 0 or np.isfinite(array).any()
                for array in arrays
            ):
                self.finite.add(output)
            else:
                self.infinite.setdefault(output, trial)

    def _rows(self, level: str, found: Run) -> list[Row]:
        rows = []
        for name, array in found.expected.items():
            value = self.outputs.get(name) or self.states[name]
            tolerance = tolerance_for(
                self._precision(name), value.dtype, self.limits.rtol, self.limits.atol
            )
            apart = difference(array, found.actual[name], tolerance)
            rows.append(Row(found.trial.sizes, found.trial.context, level, name, tolerance, apart))
        return rows

    def _precision(self, output: str) -> Precision:
        value = self.outputs.get(output) or self.states[output]
        return self.precisions[value]

    def _redrawn(self, session: Any, level: str, trial: Trial, index: int) -> list[Row] | None:
        """Rows of another draw that agrees; None if none does: then it was no accident."""
        for redraw in range(1, REDRAWS + 1):
            other = self._draw(dict(trial.sizes), index, trial.context, trial.state, redraw)
            found = Run(other, self._expected(other), self._actual(session, other))
            rows = self._rows(level, found)
            if not any(row.difference.problem for row in rows):
                return rows
        return None

    # -- what is wrong ------------------------------------------------------------------------

    def _mismatch(self, row: Row, trial: Trial) -> str:
        optimizations = f"optimizations {row.level}"
        found = row.difference
        where = sizes_text(row.sizes, row.context)
        head = (
            f"{self.graph.name}: the exported model does not compute what the program does: "
            f"output {row.output!r} at {where}, onnxruntime {self.report.runtime} "
            f"with {optimizations}: {found.problem} (largest difference {found.largest:.3g}, "
            f"relative {found.relative:.3g})"
        )
        text = f"{head}; {self._cause(row, trial)}"
        bad = [name for name, array in trial.feeds.items() if _has_non_finite(array)]
        if bad:
            text += (
                f"; the inputs given hold NaN or infinite elements ({listing(bad)}), of which ONNX "
                f"does not say what every operator makes: if the model need not take them, give "
                f"finite ones"
            )
        return text

    def _cause(self, row: Row, trial: Trial) -> str:
        try:
            cause = first_difference(
                self.path, self.converted, trial, self._feeds(trial), self.limits
            )
        except (ExportError, OSError) as error:
            return f"the node that differs could not be found: {error}"
        if cause:
            return cause
        if row.level != OFF:
            return (
                "with optimizations off every node agrees: onnxruntime's optimizer changes the "
                "result"
            )
        interpreted = self._named(*Reference(self.graph).run(trial))[row.output]
        if difference(self._expected(trial)[row.output], interpreted, row.tolerance).problem:
            return "every node agrees when it is interpreted: the program's generated code is wrong"
        lowered = sorted({n.name for n in self.graph.nodes if n.op is not None and n.op.expand})
        return (
            f"every node of the ONNX graph agrees: an expansion into ONNX operators computes "
            f"something else (expanded: {', '.join(lowered) or 'none'})"
        )

    def _require_finite(self) -> None:
        for output, trial in self.infinite.items():
            if output in self.finite:
                continue
            value = self.outputs.get(output) or self.states[output]
            origin = first_non_finite(self.converted.graph, trial, value)
            advice = (
                "give other inputs"
                if self.given
                else "pass inputs that the model is made for: inputs={...}"
            )
            raise VerificationError(
                f"{self.graph.name}: verification proves nothing: output {output!r} is NaN or "
                f"infinite throughout in every trial; that begins at {origin}; {advice}"
            )


def _arrays(value: Any) -> list[Any]:
    """The array, or those of a sequence or an optional."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _has_non_finite(value: Any) -> bool:
    return any(kind_of(a.dtype) == "f" and not np.isfinite(a).all() for a in _arrays(value))
