"""Fixtures: what Keras computed, one safetensors file a family.

A file has, for every case, `<case>/input/<i>` for each array of the call, `<case>/weight/<path>` in
Keras's order, `<case>/<mode>/output/<i>`, and `<case>/<mode>/state/<path>` for each weight that the
call changed. Its metadata names the versions, and the order of the keys.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.nn.parity.case import Case

FOLDER = Path(__file__).parent / "fixtures"


class Fixture:
    """What Keras computed for one case.

    Attributes:
        inputs: arrays of the call, in order.
        weights: path in Keras's layer -> array, in Keras's order.
        trainable: of each weight, whether training changes it.
        outputs: mode -> arrays.
        state: mode -> path -> array, of the weights that the call changed.
    """

    def __init__(self) -> None:
        self.inputs: list[Any] = []
        self.weights: dict[str, Any] = {}
        self.trainable: dict[str, bool] = {}
        self.outputs: dict[str, list[Any]] = {}
        self.state: dict[str, dict[str, Any]] = {}


def write(family: str, found: dict[str, Fixture], versions: dict[str, str]) -> Path:
    """Write the fixtures of a family."""
    from safetensors.numpy import save_file

    arrays: dict[str, Any] = {}
    index: dict[str, Any] = {}
    for case, fixture in found.items():
        arrays |= {f"{case}/input/{i}": a for i, a in enumerate(fixture.inputs)}
        arrays |= {f"{case}/weight/{p}": a for p, a in fixture.weights.items()}
        for mode, outputs in fixture.outputs.items():
            arrays |= {f"{case}/{mode}/output/{i}": a for i, a in enumerate(outputs)}
            arrays |= {f"{case}/{mode}/state/{p}": a for p, a in fixture.state[mode].items()}
        index[case] = {
            "weights": fixture.trainable,
            "modes": {
                mode: {"outputs": len(outputs), "state": list(fixture.state[mode])}
                for mode, outputs in fixture.outputs.items()
            },
            "inputs": len(fixture.inputs),
        }
    path = FOLDER / f"{family}.safetensors"
    arrays = {key: np.ascontiguousarray(a).reshape(a.shape) for key, a in arrays.items()}
    save_file(arrays, path, {"versions": json.dumps(versions), "cases": json.dumps(index)})
    return path


@functools.cache
def read(family: str) -> tuple[dict[str, Fixture], dict[str, str]]:
    """Case -> fixture, and the versions of what recorded them."""
    from safetensors import safe_open

    path = FOLDER / f"{family}.safetensors"
    assert path.exists(), f"there are no fixtures of {family}: run make keras-fixtures"
    found = {}
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
        for name, entry in json.loads(metadata["cases"]).items():
            fixture = found[name] = Fixture()
            fixture.trainable = entry["weights"]
            fixture.inputs = [file.get_tensor(f"{name}/input/{i}") for i in range(entry["inputs"])]
            fixture.weights = {p: file.get_tensor(f"{name}/weight/{p}") for p in entry["weights"]}
            for mode, parts in entry["modes"].items():
                key = f"{name}/{mode}"
                count = parts["outputs"]
                fixture.outputs[mode] = [file.get_tensor(f"{key}/output/{i}") for i in range(count)]
                fixture.state[mode] = {
                    p: file.get_tensor(f"{key}/state/{p}") for p in parts["state"]
                }
    return found, json.loads(metadata["versions"])


def fixture_of(family: str, case: Case) -> Fixture:
    """The fixture of a case."""
    found = read(family)[0].get(str(case))
    assert found is not None, f"{case} has no fixture: run make keras-fixtures"
    return found
