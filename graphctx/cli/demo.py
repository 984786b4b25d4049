"""The command `demo`: the whole way of one model, from its trace to a server."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphctx.cli import options, screen
from graphctx.cli.application import app

if TYPE_CHECKING:
    from graphctx.demo import Array, DigitNet, Digits
    from graphctx.graph import CallGraph
    from graphctx.program import Program

NOISE = 0.2
DRAWS = 16
SENT = 100
"""Images in a request."""
SHOWN = 33
"""Lines of the traced graph that are shown: the noise and the first block."""

DROP = "digit_net/features/conv_block_1/drop"


@app.command(rich_help_panel="Start here")
def demo(
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FOLDER", help="Where the ONNX files are written."),
    ] = Path("demo-output"),
    draws: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Random runs to average where dropout is at work."),
    ] = DRAWS,
    no_progress: options.NoProgress = False,
    debug: options.Debug = False,
) -> None:
    """Trace, specialize, run, export and serve a network for handwritten digits, step by step."""
    from graphctx.errors import ExportError

    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(f"{output}: cannot be made: {error.strerror or error}") from error
    Demo(output, draws, show_progress=not no_progress).run()


@dataclass
class Variant:
    """One program, and all assignments that it is the program of."""

    program: Program
    assignments: list[dict[str, Any]]
    compile_seconds: float
    exported: Any = None
    export_seconds: float = 0.0
    scores: dict[str, list[Array]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def values(self, name: str) -> str:
        """The values of an argument for which this is the program, as text."""
        found = dict.fromkeys(str(assignment[name]) for assignment in self.assignments)
        return "any" if len(found) == 3 else " or ".join(found)

    @property
    def is_random(self) -> bool:
        """Whether two runs differ."""
        return self.program.graph.seed is not None

    @property
    def file_name(self) -> str:
        """Of its ONNX file."""
        first = self.assignments[0]
        parts = ["training", first["intensity"]] if first["training"] else ["inference"]
        return "-".join([*parts, *(["noise"] if first["noise_scale"] else [])]) + ".onnx"


class Demo:
    """One run of the demo.

    Args:
        folder: of the ONNX files.
        draws: random runs to average.
        show_progress: whether to show what is being done.
    """

    def __init__(self, folder: Path, draws: int, *, show_progress: bool) -> None:
        self.console = screen.stdout()
        self.console.width = min(self.console.width, screen.PLAIN_WIDTH)
        self.folder = folder
        self.draws = draws
        self.show_progress = show_progress
        self.started = time.perf_counter()
        self.stages: list[tuple[str, float]] = []

    def run(self) -> None:
        """Do and show it all."""
        from graphctx.demo import IMAGES, fitted, load_digits
        from graphctx.trace import trace

        with self.stage("load the images"):
            digits = load_digits()
        with self.stage("fit the network in closed form"):
            model = fitted(digits)
        with self.stage("trace it for every context"):
            graph = trace(model, IMAGES)
        self.show_network(model, digits)
        self.show_trace(graph)
        self.show_contexts(graph)
        variants = self.specialize(graph)
        self.show_programs(graph, variants)
        self.export(variants)
        self.measure(variants, digits)
        self.show_accuracy(variants, digits)
        self.show_files(variants, digits)
        self.serve(graph, digits)
        self.show_timings(variants, digits)

    @contextmanager
    def stage(self, what: str) -> Iterator[screen.Progress]:
        """Take the time of a `with` block, and show on a terminal that it is at work."""
        started = time.perf_counter()
        with screen.progress(self.show_progress) as progress:
            progress(what, 0, 1)
            yield progress
        self.stages.append((what, time.perf_counter() - started))

    def heading(self, number: int, title: str, text: str) -> None:
        """Start a step."""
        self.console.print()
        self.console.rule(f"[bold]{number}  {title}", align="left", style="dim")
        self.console.print(text, markup=False)

    # -- trace --------------------------------------------------------------------------------

    def show_network(self, model: DigitNet, digits: Digits) -> None:
        """What is shown, and where its weights come from."""
        self.heading(
            1,
            "The network",
            f"{model.count_params():,} weights, fitted in closed form on "
            f"{len(digits.train_images):,} real images; {len(digits.test_images)} others are for "
            f"testing. The first filters are principal components of image patches, the second "
            f"ones are random, the read-out is a ridge regression, and BatchNorm's statistics are "
            f"what its training program leaves behind.",
        )

    def show_trace(self, graph: CallGraph) -> None:
        """The traced graph, as far as its first block."""
        from graphctx.cli.plain import stats_data

        stats = stats_data(graph)
        self.heading(
            2,
            "The trace",
            f"Python ran once for every path. All contexts are in one graph of "
            f"{stats['operators']} operators and {stats['selects']} selects; a select is where "
            f"a context argument decides.",
        )
        self.show_graph(graph, SHOWN)

    def show_graph(self, graph: CallGraph, shown: int) -> None:
        """The text of a graph in a panel, one line an operator."""
        from rich import box
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        prefix = f"{graph.name}/"
        head, *lines = str(graph).replace(prefix, "").split("\n")
        more = len(lines) - shown
        grid = Table.grid(padding=(0, 2), expand=True)
        grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        grid.add_column(no_wrap=True, overflow="ellipsis", justify="right", style="dim")
        for line in lines[: shown if more > 3 else len(lines)]:
            text, _, path = line.partition("  # ")
            style = "cyan" if " = select " in text else ""
            grid.add_row(Text(text.strip(), style), path.strip())
        if more > 3:
            grid.add_row(Text(f"... {more} more lines", "dim"), "")
        title = Text(head.partition("  contexts")[0], "bold")
        self.console.print(Panel(grid, title=title, title_align="left", box=box.ROUNDED))

    def show_contexts(self, graph: CallGraph) -> None:
        """The context arguments, and where one value comes from."""
        from graphctx.cli.describe import contexts_table
        from graphctx.explain import explain

        self.heading(
            3,
            "The context",
            "ConvBlock and DigitNet, which hold the layers that read these, never mention them.",
        )
        self.console.print(contexts_table(graph))
        for values in ({"training": True}, {"training": True, "intensity": "aggressive"}):
            given = ", ".join(f"{name}={value}" for name, value in values.items())
            self.console.print(f"[bold]explain[/] the intensity of one layer, given {given}:")
            self.console.print(f"  {explain(graph, DROP, 'intensity', values)}", markup=False)

    # -- specialize ---------------------------------------------------------------------------

    def specialize(self, graph: CallGraph) -> list[Variant]:
        """The distinct programs of all assignments, with and without noise."""
        from graphctx.program import compile

        intensities = graph.contexts["intensity"].domain.values
        found: dict[str, Variant] = {}
        assignments = [
            {"training": training, "intensity": intensity, "noise_scale": noise}
            for training, intensity, noise in product((False, True), intensities, (0.0, NOISE))
        ]
        with self.stage(f"specialize and optimize for {len(assignments)} assignments"):
            for assignment in assignments:
                started = time.perf_counter()
                program = compile(graph, assignment)
                seconds = time.perf_counter() - started
                variant = found.setdefault(str(program.graph), Variant(program, [], seconds))
                variant.assignments.append(assignment)
        return list(found.values())

    def show_programs(self, graph: CallGraph, variants: list[Variant]) -> None:
        """How many programs there are, and the one for inference."""
        count = sum(len(variant.assignments) for variant in variants)
        self.heading(
            4,
            "The programs",
            f"{count} assignments, {len(variants)} programs: without training the intensity is of "
            f"no effect. For inference nothing of dropout and noise is left, and each BatchNorm "
            f"is folded into the convolution before it:",
        )
        self.show_graph(variants[0].program.graph, SHOWN)

    # -- run ----------------------------------------------------------------------------------

    def export(self, variants: list[Variant]) -> None:
        """Write every program to ONNX, checked and verified."""
        from graphctx.export import export

        what = f"export and verify {len(variants)} programs"
        with self.stage(what) as progress:
            for index, variant in enumerate(variants):
                progress(what, index, len(variants))
                started = time.perf_counter()
                variant.exported = export(variant.program, self.folder / variant.file_name)
                variant.export_seconds = time.perf_counter() - started

    def measure(self, variants: list[Variant], digits: Digits) -> None:
        """Run every program on the test images, with NumPy and with onnxruntime."""
        what = "run them all, and take times"
        with self.stage(what) as progress:
            for index, variant in enumerate(variants):
                progress(what, index, len(variants))
                runs = self.draws if variant.is_random else 1
                for runtime, function in runners(variant, digits.test_images).items():
                    variant.scores[runtime] = [function(seed) for seed in range(runs)]
                    variant.seconds[runtime] = fastest(function, min(5, self.draws))

    def show_accuracy(self, variants: list[Variant], digits: Digits) -> None:
        """Accuracy for each context, by NumPy and by onnxruntime."""
        import numpy as np

        from graphctx.demo import accuracy

        labels = digits.test_labels
        rows = []
        for variant in variants:
            numpy, onnx = variant.scores["NumPy"], variant.scores["onnxruntime"]
            single = [accuracy(scores[0], labels) for scores in (numpy, onnx)]
            mean = [accuracy(np.mean(scores, axis=0), labels) for scores in (numpy, onnx)]
            apart = max(float(np.abs(a - b).max()) for a, b in zip(numpy, onnx, strict=True))
            rows.append(
                [
                    variant.values("training"),
                    variant.values("intensity"),
                    variant.values("noise_scale"),
                    *(f"{value:.1%}" for value in single),
                    *(f"{value:.1%}" if variant.is_random else "" for value in mean),
                    "equal" if apart == 0 else f"{apart:.0e}",
                ]
            )
        columns = [
            "\ntraining", "\nintensity", "noise\nscale", "accuracy\nNumPy", "\nonnxruntime",
            f"mean of {self.draws}\nNumPy", "\nonnxruntime", "largest\ndifference",
        ]  # fmt: skip
        self.heading(
            5,
            "Accuracy on the test images",
            f"One run each; where a run is random, also the mean of the scores of {self.draws} "
            f"runs (with dropout at work: Monte Carlo dropout). The same seeds give the same draws "
            f"in onnxruntime. In training, BatchNorm takes the statistics of the batch.",
        )
        self.console.print(screen.table("", columns, rows, right=columns[3:]))
        equal = sum(row[3:7:2] == row[4:7:2] for row in rows)
        self.console.print(
            f"onnxruntime is as accurate as NumPy in {equal} of {len(rows)} programs."
        )

    def show_files(self, variants: list[Variant], digits: Digits) -> None:
        """What was exported, and what to try with it."""
        import numpy as np
        from rich.markup import escape

        images = self.folder / "images.npy"
        np.save(images, digits.test_images)
        rows = [
            [
                variant.file_name,
                str(variant.exported.nodes),
                screen.size_text(variant.exported.size),
                f"{variant.exported.report.largest:.0e}",
                f"{variant.export_seconds * 1e3:.0f} ms",
            ]
            for variant in variants
        ]
        self.heading(
            6,
            "The ONNX files",
            f"In {self.folder}{os.sep}. Each was checked, and compared with NumPy at several batch "
            f"sizes, before it appeared.",
        )
        columns = ["file", "nodes", "size", "largest difference", "export and verify"]
        self.console.print(screen.table("", columns, rows, right=columns[1:]))
        path = variants[-1].exported.path
        # In a checkout the command is not on the search path, but where it was started from.
        graphctx = "graphctx" if shutil.which("graphctx") else os.path.relpath(sys.argv[0])
        for command in (
            f"{graphctx} run graphctx.demo:model {images} -c noise_scale={NOISE} --seed 0",
            f"{graphctx} verify {path} graphctx.demo:model",
        ):
            self.console.print(f"[bold]try:[/] {escape(command)}", soft_wrap=True)

    # -- serve --------------------------------------------------------------------------------

    def serve(self, graph: CallGraph, digits: Digits) -> None:
        """A bundle of all programs, and a server of it that is asked in each class."""
        from graphctx.cli.demo_server import Client, serving
        from graphctx.cli.describe import classes_table
        from graphctx.export import export

        path = self.folder / "digits.bundle"
        with self.stage("export a bundle of all programs") as progress:
            bundle = export(graph, path, progress=progress)
        self.heading(
            7,
            "The bundle and its server",
            f"{path} has every program once, and every weight once. The noise is left to run time: "
            f"each request brings its own.",
        )
        classes = graph.classes()
        self.console.print(classes_table(classes))
        weights = screen.size_text(bundle.sizes[bundle.weights])
        files = screen.size_text(bundle.size)
        self.console.print(f"Weights {weights}, all files {files}.")
        with (
            self.stage("serve it, and ask in every class"),
            serving(path, self.folder / "serve.log") as address,
        ):
            client = Client(address)
            answers = [self.ask(client, graph, found, digits) for found in classes]
            refused = client.refusal(digits.test_images[:1], {"intensity": "agressive"})
            client.close()
        self.console.print(
            f"graphctx serve answered at {address}, over the Open Inference Protocol. Triton's "
            f"client asked it in every class, with noise_scale={NOISE}, and for what is not there:",
            markup=False,
        )
        columns = ["request", "accuracy", "difference from NumPy", f"{SENT} images"]
        self.console.print(screen.table("", columns, answers, right=columns[1:]))
        self.console.print(f"  intensity=agressive -> {refused}", markup=False)

    def ask(self, client: Any, graph: CallGraph, found: Any, digits: Digits) -> list[str]:
        """A row: what the server makes of the test images in a class, beside the program."""
        import numpy as np

        from graphctx.demo import accuracy
        from graphctx.program import compile

        context = {**found.assignment, "noise_scale": NOISE}
        images, seed = digits.test_images[:SENT], 5
        program = compile(graph, context)
        client.scores(images, context, seed)  # the program is loaded when it is first asked for
        started = time.perf_counter()
        scores = client.scores(images, context, seed)
        seconds = time.perf_counter() - started
        apart = float(np.abs(scores - program(images, seed=seed)).max())
        return [
            ", ".join(f"{name}={value}" for name, value in found.assignment.items()),
            f"{accuracy(scores, digits.test_labels[:SENT]):.1%}",
            "equal" if apart == 0 else f"{apart:.0e}",
            f"{seconds * 1e3:.1f} ms",
        ]

    def show_timings(self, variants: list[Variant], digits: Digits) -> None:
        """How long everything took."""
        count = len(digits.test_images)
        rows = [
            [
                variant.file_name.removesuffix(".onnx"),
                str(sum(node.kind == "op" for node in variant.program.graph.nodes)),
                f"{variant.compile_seconds * 1e3:.1f} ms",
                f"{variant.seconds['NumPy'] * 1e3:.1f} ms",
                f"{variant.seconds['onnxruntime'] * 1e3:.1f} ms",
            ]
            for variant in variants
        ]
        columns = ["program", "operators", "compile", f"NumPy, {count} images", "onnxruntime"]
        self.heading(8, "Timings", "The fastest of several runs.")
        self.console.print(screen.table("", columns, rows, right=columns[1:]))
        total = time.perf_counter() - self.started
        stages = [[what, f"{seconds:.2f} s"] for what, seconds in self.stages]
        stages.append(["all of it", f"{total:.2f} s"])
        self.console.print(screen.table("", ["stage", "time"], stages, right=["time"]))


def runners(variant: Variant, images: Array) -> dict[str, Callable[[int], Array]]:
    """Runtime -> a function of the seed that gives the scores of the images."""
    from graphctx.export import exporter_for

    # The core never imports an exporter; the one for ONNX is found by its entry point.
    run = exporter_for(variant.exported.path).runner(variant.exported.path)

    def with_numpy(seed: int) -> Array:
        return variant.program(images, seed=seed)  # type: ignore[no-any-return]

    def with_onnxruntime(seed: int) -> Array:
        feeds = {"images": images, **({"seed": seed} if variant.is_random else {})}
        return next(iter(run(feeds).values()))  # the scores; state comes after them

    return {"NumPy": with_numpy, "onnxruntime": with_onnxruntime}


def fastest(function: Callable[[int], Any], repeats: int) -> float:
    """Seconds of the fastest of several calls."""
    times = []
    for seed in range(repeats):
        started = time.perf_counter()
        function(seed)
        times.append(time.perf_counter() - started)
    return min(times)
