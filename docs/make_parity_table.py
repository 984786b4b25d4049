"""Writes docs/parity.md, and the list of layers in docs/layers.md, from the layers and fixtures.

`python docs/make_parity_table.py`; see tests/nn/parity.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import graphctx.nn
from graphctx import Layer
from tests.nn.parity.case import MODES, Case, families
from tests.nn.parity.fixtures import fixture_of, read
from tests.nn.parity.test_parity import differences

PAGE = Path(__file__).with_name("parity.md")
LAYERS_PAGE = Path(__file__).with_name("layers.md")
START, END = "<!-- layers: written by docs/make_parity_table.py -->\n", "<!-- end of layers -->\n"

# Layers without cases -> what they are compared with.
OTHERS = {
    "Lambda": "the function itself",
    "RotaryEmbedding": "its definition",
    "Sequential": "its layers, one after the other",
    "StackedRNNCells": "Keras's, as a cell of `RNN`",
    "StochasticDepth": "its definition; Keras has none",
    "WeightNorm": "its definition, and `torch.nn.utils.parametrizations.weight_norm`",
}

HEAD = """\
# Parity with Keras

<!-- Written by docs/make_parity_table.py: do not edit. -->

Every layer is compared with Keras's layer of the same arguments and the same random weights: names,
order and shapes of the weights, outputs, and what the call assigns to weights. What Keras computed
is recorded in `tests/nn/parity/fixtures` (`make keras-fixtures` records it anew); where Keras is
installed, tests also check that it still computes that. The same cases compare programs with eager
calls, bit for bit, and the exported models in onnxruntime with the programs.

- **Cases**: how many combinations of arguments and inputs are compared.
- **Modes**: "both": with `training` false and true, outputs and state; "both, unless random": with
  true only where nothing is drawn, as random numbers are compared by their statistics; blank where
  `training` changes nothing, but in a layer that it is given.
- **Difference**: the largest `abs(ours - Keras's) / (1 + abs(Keras's))` when this page was written.
"""


def layers() -> dict[str, type[Layer]]:
    """Name -> class of all layers."""
    found = vars(graphctx.nn).items()
    return {
        name: kind for name, kind in found if isinstance(kind, type) and issubclass(kind, Layer)
    }


def cases() -> dict[str, list[tuple[str, Case]]]:
    """Name of a layer -> (family, case) of its cases."""
    found: dict[str, list[tuple[str, Case]]] = {}
    for family, listed in families().items():
        for case in listed:
            found.setdefault(case.layer, []).append((family, case))
    return found


def keras_names(name: str) -> list[str]:
    """What Keras calls the layer, where it is another name."""
    return sorted({case.keras or name for _, case in cases().get(name, ())} - {name})


def difference(name: str) -> str:
    """The largest difference between a layer and Keras's, over all its cases."""
    largest = 0.0
    for family, case in cases()[name]:
        for mode in case.modes:
            _, pairs = differences(case, fixture_of(family, case), mode)
            for ours, theirs in pairs:
                wide = theirs.astype(float)
                apart = np.abs(ours.astype(float) - wide) / (1 + np.abs(wide))
                # Two infinities are apart by NaN.
                largest = max(largest, float(np.nanmax(apart, initial=0)))
    return f"{largest:.0e}" if largest else "none"


def reads_training(name: str, kind: type[Layer]) -> bool:
    """Whether the layer, or one that it makes itself, depends on `training`."""
    plain = [case for _, case in cases().get(name, ()) if not holds_layers(case)]
    return "training" in kind._signature.context or any(
        "training" in case.ours()._declared_names() for case in plain
    )


def holds_layers(case: Case) -> bool:
    """Whether the layer of a case is given other layers."""
    return any(isinstance(value, str) and "nn." in value for value in case.options.values())


def modes(name: str, kind: type[Layer]) -> str:
    """In which modes the layer is compared."""
    if not reads_training(name, kind):
        return ""
    compared = [set(case.modes) for _, case in cases()[name]]
    return "both" if all(found == set(MODES) for found in compared) else "both, unless random"


def versions(family: str) -> str:
    """What recorded the fixtures of a family."""
    found = read(family)[1]
    return f"Keras {found['keras']}, its {found['backend']} backend, NumPy {found['numpy']}"


def page(*, measure: bool = True) -> str:
    """The whole page; without measuring, every difference is "?"."""
    parts = [HEAD]
    places: dict[str, list[str]] = {}
    for name, found in cases().items():
        places.setdefault(found[0][0], []).append(name)
    kinds = layers()
    for family, names in sorted(places.items()):
        parts.append(
            f"\n## {family}\n\nRecorded with {versions(family)}.\n\n"
            "| Layer | Keras's name | Cases | Modes | Difference |\n|---|---|---|---|---|\n"
        )
        for name in sorted(names):
            theirs = ", ".join(f"`{n}`" for n in keras_names(name))
            cells = [f"`nn.{name}`", theirs, str(len(cases()[name])), modes(name, kinds[name])]
            cells.append(difference(name) if measure else "?")
            parts.append(f"| {' | '.join(cells)} |\n")
    parts.append(
        "\n## Not compared with a layer of Keras\n\n| Layer | Compared with |\n|---|---|\n"
    )
    parts += [f"| `nn.{name}` | {what} |\n" for name, what in sorted(OTHERS.items())]
    return "".join(parts)


def families_of_layers() -> Iterator[tuple[str, list[str]]]:
    """(what a family is, names of its layers), by the name of its file."""
    for module in pkgutil.iter_modules(graphctx.nn.__path__):
        family = importlib.import_module(f"graphctx.nn.{module.name}")
        names = [name for name in getattr(family, "__all__", ()) if name in layers()]
        if names:
            about = (inspect.getdoc(family) or "").split("\n\n")[0]
            yield " ".join(about.split()).rstrip("."), sorted(names)


def listing() -> str:
    """The list of layers for docs/layers.md."""

    def described(name: str) -> str:
        mark = "†" if reads_training(name, kinds[name]) else ""
        other = "".join(f" ({n})" for n in keras_names(name))
        return f"`{name}`{mark}{other}"

    kinds = layers()
    lines = ["| | Layers; † reads `training`; (Keras's name, where it is another) |\n|---|---|\n"]
    for about, names in families_of_layers():
        lines.append(f"| {about} | {', '.join(map(described, names))} |\n")
    return "".join(lines)


def layers_page() -> str:
    """docs/layers.md with its list written anew."""
    text = LAYERS_PAGE.read_text(encoding="utf-8")
    before, rest = text.split(START)
    return f"{before}{START}\n{listing()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    LAYERS_PAGE.write_text(layers_page(), encoding="utf-8")
