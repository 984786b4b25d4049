"""What is known of a bundle without opening its programs: the content of `manifest.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphctx_onnx.runtime.files import FileEntry

NAME = "manifest.json"
FORMAT = "graphctx-bundle"
VERSION = 1


@dataclass(frozen=True)
class TensorType:
    """An input of a program.

    Attributes:
        name: of the input.
        dtype: NumPy's name; `string` for text.
        shape: sizes; a name stands for one that may vary, and is the same size everywhere.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class OutputType(TensorType):
    """An output of a program.

    Attributes:
        output: the model's own name of it, where it is not `name`.
    """

    output: str


@dataclass(frozen=True)
class StateType(TensorType):
    """A weight that a run replaces; `name` is its path.

    Attributes:
        input: optional input for the old value; None where the program only writes it.
        new: output that is the new value.
    """

    input: str | None
    new: str


@dataclass(frozen=True)
class ContextInput:
    """The scalar input of a program for an argument that is left to run time."""

    name: str
    argument: str
    dtype: str


@dataclass(frozen=True)
class Signature:
    """The interface of a program; names are those in its ONNX file.

    Attributes:
        inputs: data inputs.
        seed: name of the int64 scalar input of a program that draws random numbers, else None.
        contexts: inputs for arguments that are left to run time.
        outputs: in order.
        state: weights that a run replaces.
    """

    inputs: tuple[TensorType, ...]
    seed: str | None
    contexts: tuple[ContextInput, ...]
    outputs: tuple[OutputType, ...]
    state: tuple[StateType, ...]

    @property
    def fed(self) -> list[str]:
        """Names of all that can be fed: inputs, the seed, context, old values of state."""
        names = [port.name for port in self.inputs] + [port.name for port in self.contexts]
        names += [port.input for port in self.state if port.input is not None]
        return names if self.seed is None else [*names, self.seed]

    @property
    def returned(self) -> list[str]:
        """Names of all outputs, and of the new values of state."""
        return [port.name for port in self.outputs] + [port.new for port in self.state]


@dataclass(frozen=True)
class ProgramFile:
    """The ONNX file of a class.

    Attributes:
        file: its name.
        opset: that it is written in.
        ir_version: of the file format.
        nodes: number of ONNX nodes.
        operators: each once, sorted.
        weights: names of the files of weights that it reads.
        signature: its interface.
    """

    file: str
    opset: int
    ir_version: int
    nodes: int
    operators: tuple[str, ...]
    weights: tuple[str, ...]
    signature: Signature


@dataclass(frozen=True)
class ModelFailure:
    """What the model raises: name of the exception, its message, and `file.py:12`."""

    type: str
    message: str
    source: str


@dataclass(frozen=True)
class ContextClass:
    """Assignments that are one program, or under which the model raises.

    Attributes:
        id: short, unique in the bundle; it changes when the program changes.
        condition: the conditions as text, `training=True & mode=high`.
        conditions: argument -> values; an assignment belongs to the class if one of them holds.
            None among the values: the argument is not given.
        assignments: how many assignments of the bound arguments these are.
        program: None where the model raises.
        error: None where there is a program.
    """

    id: str
    condition: str
    conditions: tuple[Mapping[str, tuple[Any, ...]], ...]
    assignments: int
    program: ProgramFile | None
    error: ModelFailure | None


@dataclass(frozen=True)
class Argument:
    """A context argument of a bundle.

    Attributes:
        name: of the argument.
        type: `bool`, `int`, `float`, `string`, or `mixed` for a list of values of several types.
        values: all allowed values, in order; empty: every number of the type.
        default: where a run does not give it; None: each layer has a default of its own, or the
            argument is required.
        required: whether every run has to give it.
        binding: `bound`, its value chooses the program; `runtime`, it is an input of programs.
    """

    name: str
    type: str
    values: tuple[Any, ...]
    default: Any
    required: bool
    binding: str


@dataclass(frozen=True)
class TensorEntry:
    """Where a tensor stands, by content: its bytes have the digest `sha256`."""

    name: str
    sha256: str
    file: str
    offset: int
    size: int


@dataclass(frozen=True)
class Manifest:
    """A manifest that was read and checked; see `schema.json` for the members.

    Attributes:
        graphctx: version that wrote it.
        model: name of the root layer.
        graph: digest of the traced graph.
        model_weights: path of a weight of the traced model -> digest of its bytes.
        opset: that was asked for; None: the first that a program can be in.
        weights: `share` or `fold`.
        sizes: bytes of the tensors in files, as they are, and as they would be with the other
            choice; None: not known.
        arguments: that a run may be given, by name.
        fixed: arguments that have one value in every program.
        ignored: names that a run may give, though nothing depends on them.
        classes: in a fixed order.
        files: all files but the manifest, by name.
        tensors: what the files of weights hold.
        data: the same as plain JSON.
    """

    graphctx: str
    model: str
    graph: str
    model_weights: Mapping[str, str]
    opset: int | None
    weights: str
    sizes: Mapping[str, int | None]
    arguments: Mapping[str, Argument]
    fixed: Mapping[str, Any]
    ignored: frozenset[str]
    classes: tuple[ContextClass, ...]
    files: Mapping[str, FileEntry]
    tensors: tuple[TensorEntry, ...]
    data: dict[str, Any] = field(repr=False)


def is_among(value: Any, values: tuple[Any, ...]) -> bool:
    """Whether a value is one of some, of the same type: `1` is not `True`."""
    return any(type(value) is type(known) and value == known for known in values)
