"""ONNX's backend test suite as a list of cases, and how their outputs are compared.

The models, inputs, outputs and tolerances are those of the installed onnx package: nothing here is
ours. `onnx.backend.test.runner` compares in the same way.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, OptionalProto, SequenceProto, TensorProto, numpy_helper
from onnx.backend.test.case import node as node_package
from onnx.backend.test.loader import DATA_DIR, load_model_tests
from onnx.backend.test.runner import Runner

KINDS = ("node", "simple", "pytorch-operator", "pytorch-converted", "light")
"""Of cases, in the order of tables."""

DataSet = tuple[list[Any], list[Any]]  # inputs and outputs


@dataclass(frozen=True)
class Case:
    """One case: a model and what it computes of some inputs.

    Attributes:
        name: as onnx names it, `test_abs`.
        kind: one of `KINDS`.
        rtol: relative tolerance of the outputs.
        atol: absolute tolerance of the outputs.
        load: reads the model and its data.
    """

    name: str
    kind: str
    rtol: float
    atol: float
    load: Callable[[], tuple[ModelProto, list[DataSet]]]


def cases() -> list[Case]:
    """All cases of the installed onnx, in order of kind and name."""
    nodes = [case for module in node_modules() for case in node_cases(module)]
    return sorted([*nodes, *file_cases()], key=lambda case: (KINDS.index(case.kind), case.name))


def file_cases() -> list[Case]:
    """Those whose models are files, of all kinds but "node"."""
    return [*_folder_cases(), *_light_cases()]


def node_modules() -> list[str]:
    """The modules of onnx that make the cases of kind "node", about one an operator."""
    prefix = f"{node_package.__name__}."
    found = pkgutil.walk_packages(node_package.__path__, prefix)
    names = [m.name.removeprefix(prefix) for m in found if not m.ispkg]
    return sorted(name for name in names if not name.startswith("_"))  # those hold data


@functools.cache
def node_cases(module: str) -> list[Case]:
    """The cases that a module makes, and computes the outputs of, while it is imported."""
    known = len(node_package._NodeTestCases)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they overflow on purpose
        importlib.import_module(f"{node_package.__name__}.{module}")
    return [
        Case(test.name, "node", test.rtol, test.atol, lambda test=test: _of_node(test))  # type: ignore[misc]
        for test in node_package._NodeTestCases[known:]
    ]


def _of_node(test: Any) -> tuple[ModelProto, list[DataSet]]:
    return test.model, [
        ([_value(x) for x in inputs], [_value(y) for y in outputs])
        for inputs, outputs in test.data_sets
    ]


def _folder_cases() -> Iterator[Case]:
    for kind in ("simple", "pytorch-operator", "pytorch-converted"):
        for test in load_model_tests(kind=kind):
            folder = Path(test.model_dir)
            yield Case(test.name, kind, test.rtol, test.atol, lambda f=folder: _of_folder(f))  # type: ignore[misc]


def _of_folder(folder: Path) -> tuple[ModelProto, list[DataSet]]:
    model = onnx.load(folder / "model.onnx")
    sets = sorted(folder.glob("test_data_set_*"))
    return model, [
        (
            _read(path, "input", [x.type for x in fed(model)]),
            _read(path, "output", [y.type for y in model.graph.output]),
        )
        for path in sets
    ]


def fed(model: ModelProto) -> list[Any]:
    """The inputs that have to be fed: before IR 4 every initializer is an input as well."""
    given = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in given]


def _read(folder: Path, role: str, types: Sequence[Any]) -> list[Any]:
    found = []
    for index, path in enumerate(sorted(folder.glob(f"{role}_*.pb"), key=_number)):
        data = path.read_bytes()
        kind = types[index].WhichOneof("value")
        found.append(_value(_PROTOS[kind].FromString(data)))
    return found


_PROTOS: dict[str, Any] = {
    "tensor_type": TensorProto, "sequence_type": SequenceProto, "optional_type": OptionalProto,
}  # fmt: skip


def _number(path: Path) -> int:
    return int(path.stem.rpartition("_")[2])


def _light_cases() -> Iterator[Case]:
    for path in sorted(Path(DATA_DIR, "light").glob("*.onnx")):
        yield Case(path.stem, "light", 1e-3, 1e-7, lambda path=path: _of_light(path))  # type: ignore[misc]


def _of_light(path: Path) -> tuple[ModelProto, list[DataSet]]:
    model = onnx.load(path)
    inputs = [Runner.generate_dummy_data(value) for value in fed(model)]
    stored = path.with_name(f"{path.stem}_output_0.pb").read_bytes()
    return model, [(inputs, [_value(TensorProto.FromString(stored))])]


def _value(found: Any) -> Any:
    """An array; a list of them for a sequence, None for an optional without a value."""
    if isinstance(found, TensorProto):
        return numpy_helper.to_array(found)
    if isinstance(found, SequenceProto):
        return [_value(item) for item in numpy_helper.to_list(found)]
    if isinstance(found, OptionalProto):
        return _value(numpy_helper.to_optional(found))
    if isinstance(found, (list, tuple)):
        return [_value(item) for item in found]
    return None if found is None else np.asarray(found)


def compare(case: Case, wanted: Sequence[Any], found: Sequence[Any]) -> None:
    """Raise `AssertionError` unless outputs agree as ONNX's own runner demands."""
    assert len(found) == len(wanted), f"{len(found)} outputs, not {len(wanted)}"
    for y, expected in zip(found, wanted, strict=True):
        _compare_one(case, expected, y)


def _compare_one(case: Case, wanted: Any, found: Any) -> None:
    if wanted is None or isinstance(wanted, list):
        assert type(found) is type(wanted) or (wanted and isinstance(found, (list, tuple)))
        if wanted is not None:
            compare(case, wanted, found)
        return
    found = np.asarray(found)
    assert found.shape == wanted.shape, f"shape {found.shape}, not {wanted.shape}"
    if wanted.dtype.kind in "OU":
        np.testing.assert_array_equal(found.astype(str), wanted.astype(str))
        return
    assert found.dtype == wanted.dtype, f"{found.dtype}, not {wanted.dtype}"
    rtol = case.rtol
    if wanted.dtype.name == "bfloat16":
        rtol = max(rtol, 2**-6)  # two units in the last place, as onnx's runner allows
    if wanted.dtype.kind == "V":  # numbers of few bits, which NumPy itself does not compare
        found, wanted = found.astype(np.float32), wanted.astype(np.float32)
    np.testing.assert_allclose(found, wanted, rtol=rtol, atol=case.atol)
