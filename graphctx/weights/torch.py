"""PyTorch's names and layouts: of which parameter, and how, a weight of a layer is made.

That is decided by the layer's class alone. The shapes never decide: a square matrix has the same
shape transposed.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphctx.layer import Layer, Variable
from graphctx.weights.source import (
    Absent,
    Address,
    Function,
    Recipe,
    Source,
    Stored,
    attributes,
    kinds,
    sequence,
)
from graphctx.weights.steps import (
    Step,
    add,
    joins,
    part,
    reorder,
    stack,
    states_layout,
    transpose,
)


@dataclass(frozen=True)
class Convention:
    """How PyTorch keeps one weight of a layer.

    Attributes:
        names: of its parameters or buffers in the module.
        join: makes one array of several.
        layout: from PyTorch's layout to Keras's, which is ours.
        reshapes: whether the model's weight has the same elements in another shape.
    """

    names: tuple[str, ...]
    join: Step | None = None
    layout: tuple[Step, ...] = ()
    reshapes: bool = False


NORMALIZATION = {
    "gamma": "weight",
    "scale": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def convention(layer: Layer, label: str, rank: int) -> Convention | None:
    """PyTorch's way to keep a weight, by the layer's class; None where there is none.

    Args:
        layer: that owns the weight.
        label: of the weight: `kernel`.
        rank: of the weight.
    """
    for kind in kinds(layer):
        if kind == "EinsumDense" and not _output_is_last(layer):
            return None
        if kind == "GRUCell" and not layer.__dict__.get("reset_after", True):
            return None  # PyTorch has no such GRU
        found = _of_class(kind, label, rank)
        if found is not None:
            return found
    return None


def _of_class(kind: str, label: str, rank: int) -> Convention | None:
    if label == "bias" and (kind == "Dense" or "Conv" in kind):
        return Convention(("bias",))
    if label == "kernel":
        if kind == "Dense":
            return Convention(("weight",), layout=(transpose(1, 0),))
        if kind.startswith("DepthwiseConv"):
            # [channels * multiplier, 1, *window] -> [*window, channels, multiplier]
            layout = (transpose(*range(2, rank), 0, 1),)
            return Convention(("weight",), layout=layout, reshapes=True)
        if kind.startswith("Conv"):
            # [out, in, *window] -> [*window, in, out]; transposed convolutions have in and out
            # in each other's place, in PyTorch and in Keras.
            return Convention(("weight",), layout=(transpose(*range(2, rank), 1, 0),))
    if kind == "EinsumDense" and label in ("kernel", "bias"):
        # [out, in] -> [in, out], of which each may be several axes, such as heads and their size.
        if label == "bias":
            return Convention(("bias",), reshapes=True)
        return Convention(("weight",), layout=(transpose(1, 0),), reshapes=True)
    if kind == "Embedding" and label == "embeddings":
        return Convention(("weight",))
    if kind.endswith("Norm") and label in NORMALIZATION:
        return Convention((NORMALIZATION[label],))
    return _recurrent(kind.removesuffix("Cell"), label)


def _output_is_last(layer: Layer) -> bool:
    """Whether the kernel of an EinsumDense has all axes of the input before those of the output."""
    operands, _, result = str(getattr(layer, "equation", "")).replace(" ", "").partition("->")
    kernel = operands.partition(",")[2]
    is_output = [axis in result for axis in kernel]
    return is_output == sorted(is_output)


def _recurrent(kind: str, label: str) -> Convention | None:
    # Gates: Keras has i, f, c, o in an LSTM, as PyTorch; z, r, h in a GRU, where PyTorch has
    # r, z, n. The two biases of a GRU stay apart, as with Keras's reset_after=True.
    gates = (reorder(1, 0, 2),) if kind == "GRU" else ()
    if kind not in ("LSTM", "GRU", "SimpleRNN"):
        return None
    if label == "kernel":
        return Convention(("weight_ih_l0",), layout=(transpose(1, 0), *gates))
    if label == "recurrent_kernel":
        return Convention(("weight_hh_l0",), layout=(transpose(1, 0), *gates))
    if label == "bias":
        join = stack() if kind == "GRU" else add()
        return Convention(("bias_ih_l0", "bias_hh_l0"), join, gates)
    return None


ATTENTION = {"query": 0, "key": 1, "value": 2}
"""Parts of `in_proj_weight` and `in_proj_bias` of `torch.nn.MultiheadAttention`."""


class NamedTensors(Source):
    """Arrays with names made of the names of modules, as PyTorch's state dicts have them.

    Args:
        path: of the file.
        stored: its arrays.
        layout: "torch" if weights are laid out as PyTorch does it, "keras" if as Keras does it.
        separator: between the parts of a name.
        own: whether graphctx wrote the file, so that names are those of the model's weights.
    """

    def __init__(
        self, path: str, stored: list[Stored], layout: str, separator: str, *, own: bool
    ) -> None:
        super().__init__(path, stored, layout)
        self.separator = separator
        self.own = own
        self.prefixes = {""}
        for name in self.stored:
            end = name.find(separator)
            while end >= 0:
                self.prefixes.add(name[: end + 1])
                end = name.find(separator, end + 1)
        if not own:
            self.ignored.update(n for n in self.stored if _tail(n) == "num_batches_tracked")

    def root(self, model: Layer) -> Address:
        """No prefix; in a file with paths as ours the name of the model that was saved."""
        roots = {prefix for prefix in self.prefixes if prefix.count("/") == 1}
        if f"{model.name}/" in roots:
            return Address(f"{model.name}/")
        is_root = len(roots) == 1 and not any(f"{name}/" in roots for name, _ in model._children())
        return Address(roots.pop() if self.own and is_root else "")

    def named(self, text: str) -> Address | Absent:
        """The module of this name."""
        prefix = f"{text}{self.separator}" if text else ""
        return Address(prefix) if prefix in self.prefixes else Absent(prefix)

    def child(self, at: Address, owner: Layer, child: Layer, label: str) -> Address | Absent:
        """By its label or attribute; in a Sequential by its place among those with weights."""
        names = [label, *(() if self.own else self._routes(owner, child))]
        for name in names:
            prefix = f"{at.text}{name}{self.separator}"
            if prefix in self.prefixes:
                return Address(prefix, at.suffix, at.steps)
        if not self.own:
            found = self._by_place(at, owner, child) or self._inside(at, owner, child, label)
            if found is not None:
                return found
        return Absent(f"{at.text}{names[-1]}{self.separator}")

    def _routes(self, owner: Layer, item: Layer | Variable) -> list[str]:
        """`blocks.0` for the first of the list in the attribute `blocks`."""
        found: list[str] = []

        def visit(value: object, route: str, depth: int) -> None:
            if value is item:
                found.append(route)
            elif isinstance(value, (list, tuple, dict)) and depth:
                items = value.items() if isinstance(value, dict) else enumerate(value)
                for key, inner in items:
                    visit(inner, f"{route}{self.separator}{key}", depth - 1)

        if sequence(owner) is None:
            for attribute, value in attributes(owner):
                visit(value, attribute, 4)
        return found

    def _by_place(self, at: Address, owner: Layer, child: Layer) -> Address | None:
        """In PyTorch's Sequential modules go by number, and those without parameters count, too."""
        layers = sequence(owner)
        if layers is None:
            return None
        depth = len(at.text)
        inside = {p[depth:] for p in self.prefixes if p.startswith(at.text) and p != at.text}
        numbers = {name.partition(self.separator)[0] for name in inside}
        with_weights = [layer for layer in dict.fromkeys(layers) if layer.weights]
        if len(numbers) != len(with_weights) or not all(map(str.isdecimal, numbers)):
            return None
        number = dict(zip(with_weights, sorted(numbers, key=int), strict=True)).get(child)
        if number is None:
            return None
        return Address(f"{at.text}{number}{self.separator}", at.suffix, at.steps)

    def _inside(self, at: Address, owner: Layer, child: Layer, label: str) -> Address | None:
        """Sub-layers whose weights PyTorch keeps in the module itself."""
        if "MultiHeadAttention" in kinds(owner):
            if label in ATTENTION and f"{at.text}in_proj_weight" in self.stored:
                piece = part(ATTENTION[label], 3)
                return Address(f"{at.text}in_proj_", at.suffix, (*at.steps, piece))
            if label == "attention_output" and f"{at.text}out_proj.weight" in self.stored:
                return Address(f"{at.text}out_proj.", at.suffix, at.steps)
        if "Bidirectional" in kinds(owner) and f"{at.text}weight_ih_l0_reverse" in self.stored:
            return Address(at.text, "_reverse" if label.startswith("backward") else "", at.steps)
        if "Cell" in kinds(child) and f"{at.text}weight_ih_l0{at.suffix}" in self.stored:
            return at
        return None

    def recipe(self, at: Address, owner: Layer, variable: Variable, label: str) -> Recipe | Absent:
        """By PyTorch's name in PyTorch's layout, else by our own as it is stored."""
        kept = None if self.own else convention(owner, label, variable.ndim)
        if kept is not None:
            names = tuple(f"{at.text}{name}{at.suffix}" for name in kept.names)
            if all(name in self.stored for name in names):
                join = () if kept.join is None else (kept.join,)
                steps = (*join, *at.steps, *self._layout(kept, at.steps))
                return Recipe(names, steps, kept.reshapes)
        for route in (label, *(() if self.own else self._routes(owner, variable))):
            name = f"{at.text}{route}{at.suffix}"
            if name in self.stored:
                return Recipe((name,), at.steps)
        return Absent(f"{at.text}{kept.names[0] if kept is not None else label}{at.suffix}")

    def from_names(
        self, names: tuple[str, ...], steps: tuple[Function, ...], owner: Layer, label: str,
        variable: Variable,
    ) -> Recipe:  # fmt: skip
        """The convention of the layer comes after the steps of the map."""
        kept = convention(owner, label, variable.ndim)
        if kept is None or (_tail(names[0]) == label and label not in kept.names):
            return Recipe(names, steps)
        is_joined = bool(steps) and joins(steps[0])
        if kept.join is not None and len(names) == len(kept.names) and not is_joined:
            steps = (kept.join, *steps)
        return Recipe(names, (*steps, *self._layout(kept, steps)), kept.reshapes)

    def _layout(self, kept: Convention, steps: tuple[Function, ...]) -> tuple[Step, ...]:
        stated = self.layout != "torch" or any(states_layout(step) for step in steps)
        return () if stated else kept.layout


def _tail(name: str) -> str:
    """The last part of a name."""
    return name.replace("/", ".").rpartition(".")[2]
