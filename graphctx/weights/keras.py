"""Keras 3's files: `.weights.h5`, its shards, and `.keras`.

Keras keeps a layer's weights by number, in `vars` of a group that it names after where the layer
is: `layers/dense_1` in a Sequential or functional model, where layers are counted by class; the
attribute's name elsewhere, `attention/query_dense`, with the same counting inside lists. So that
name is worked out here from our model, as Keras works it out from its own. The names that layers
were given are in the file, too, and go first.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from graphctx.errors import WeightsError
from graphctx.graph import Node, Value
from graphctx.layer import Layer, Variable, snake_case
from graphctx.weights.source import (
    Absent,
    Address,
    Recipe,
    Source,
    Stored,
    attributes,
    kinds,
    own_weights,
    sequence,
)
from graphctx.weights.tensors import from_bfloat16

CLASSES = {
    "BatchNorm": "batch_normalization",
    "GroupNorm": "group_normalization",
    "GroupQueryAttention": "grouped_query_attention",
    "InstanceNorm": "group_normalization",
    "LayerNorm": "layer_normalization",
    "Model": "functional",
    "RMSNorm": "rms_normalization",
    "SpectralNorm": "spectral_normalization",
    "UnitNorm": "unit_normalization",
}
"""What Keras calls our classes, in snake case, where that is another name."""

IN_ATTENTION = {
    "query": "query_dense",
    "key": "key_dense",
    "value": "value_dense",
    "attention_output": "output_dense",
}
"""Where Keras's MultiHeadAttention has its sub-layers, by their names."""

IGNORED = re.compile(r"(^|/)(optimizer|_?seed_generator)/")
"""Groups that are not the model's weights."""

IN_ARCHIVE = "model.weights.h5"


def open_h5(path: Path, file: Any = None) -> Any:
    """Open an HDF5 file.

    Args:
        path: of the file, for messages too.
        file: what to read, where that is not a file of its own.

    Raises:
        WeightsError: h5py is not installed, or the file is damaged.
    """
    try:
        import h5py
    except ImportError:
        raise WeightsError(
            f"{path}: reading HDF5 files needs h5py: pip install 'graphctx[keras]'"
        ) from None
    try:
        return h5py.File(path if file is None else file, "r")
    except (OSError, RuntimeError) as error:
        raise WeightsError(f"{path}: not a readable HDF5 file: {error}") from None


def open_archive(path: Path) -> KerasWeights:
    """Open a `.keras` file.

    Raises:
        WeightsError: it is damaged, or has no weights in it.
    """
    try:
        archive = zipfile.ZipFile(path)
        names = archive.namelist()
        config = json.loads(archive.read("config.json")) if "config.json" in names else {}
        # Keras does not compress it, so that it is read from where it lies.
        member = archive.open(IN_ARCHIVE) if IN_ARCHIVE in names else None
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise WeightsError(f"{path}: not a readable .keras file: {error}") from None
    if member is None:
        archive.close()
        raise WeightsError(
            f"{path}: a zip archive, but not a .keras file: there is no {IN_ARCHIVE} in it"
        )
    return KerasWeights(path, [open_h5(path, member)], config, [member, archive])


def open_shards(path: Path, weight_map: Any) -> KerasWeights:
    """Open all files that a `.weights.json` names.

    Raises:
        WeightsError: one of them is missing or damaged.
    """
    shards = sorted({str(name) for names in weight_map.values() for name in np.atleast_1d(names)})
    for name in shards:
        if Path(name).name != name or not (path.parent / name).is_file():
            raise WeightsError(f"{path}: its shard {name!r} is missing")
    return KerasWeights(path, [open_h5(path.parent / name) for name in shards])


def stored_dataset(path: Any, name: str, dataset: Any, layer: str) -> Stored:
    """An array of an HDF5 file, not yet read.

    Raises:
        WeightsError: it lies in other files, or its dtype is none that a weight has.
    """
    if dataset.is_virtual or dataset.external:
        raise WeightsError(f"{path}: {name} refers to data in other files, which is not followed")
    if dataset.attrs.get("dtype") == "bfloat16":  # which NumPy, and so HDF5, does not know
        return Stored(
            name, dataset.shape, np.dtype("float32"),
            lambda: from_bfloat16(dataset[()].view(np.uint16)), "bfloat16", layer,
        )  # fmt: skip
    if dataset.dtype.kind not in "fiub":
        raise WeightsError(f"{path}: {name} is of dtype {dataset.dtype}, which no weight has")
    return Stored(name, dataset.shape, dataset.dtype, lambda: dataset[()], "", layer)


@dataclass
class Group:
    """A layer, or what layers are in, in a file.

    Attributes:
        variables: names of its own arrays, in order.
        layer: the layer's name, where the file has it.
    """

    variables: list[str] = field(default_factory=list)
    layer: str = ""


class KerasWeights(Source):
    """The weights in Keras's files.

    Args:
        path: of the file, for messages.
        files: HDF5 files, open.
        config: of the model, from a `.keras` file.
        opened: to close as well.

    Raises:
        WeightsError: it is not a file of Keras.
    """

    def __init__(self, path: Any, files: list[Any], config: Any = None, opened: Any = ()) -> None:
        super().__init__(str(path), (), "keras")
        self.opened = [*files, *opened]
        self.groups: dict[str, Group] = {"": Group()}
        try:
            for file in files:
                # Links into other files are not followed.
                file.visititems(self._visit)
            if not any(name.endswith("vars") for name in self.groups):
                raise WeightsError(f"{path}: an HDF5 file, but not one of Keras: no 'vars' in it")
        except BaseException:
            self.close()
            raise
        for group in self.groups.values():
            group.variables.sort(key=lambda name: (len(name), name))  # 10 comes after 9
        self._name_layers("layers", (config or {}).get("config"))
        self.ignored = {name for name in self.stored if IGNORED.search(name)}

    def _visit(self, name: str, item: Any) -> None:
        # TensorFlow 2.12 called `layers` so.
        at = name.replace("_layer_checkpoint_dependencies", "layers")
        if not hasattr(item, "shape"):
            self.groups.setdefault(at, Group())
        parent, _, tail = at.rpartition("/")
        if hasattr(item, "shape"):
            owner = self.groups[parent.rpartition("vars")[0].rstrip("/")]
            owner.variables.append(name)
            self.stored[name] = stored_dataset(self.path, name, item, owner.layer)
        elif tail == "vars" and "name" in item.attrs:
            self.groups[parent].layer = str(item.attrs["name"])

    def _name_layers(self, prefix: str, config: Any) -> None:
        """Names of layers from a model's configuration, where the HDF5 file has none."""
        counts: dict[str, int] = {}
        for layer in (config or {}).get("layers", ()):
            at = f"{prefix}/{counted(snake_case(layer['class_name']), counts)}"
            group = self.groups.get(at)
            if group is not None and not group.layer:
                group.layer = str(layer["config"].get("name", ""))
            self._name_layers(f"{at}/layers", layer["config"])

    def close(self) -> None:
        """Close the file."""
        for file in self.opened:
            file.close()

    # -- where the weights of a layer are ---------------------------------------------------------

    def root(self, model: Layer) -> Address:
        """The root of the file."""
        return Address("")

    def named(self, text: str) -> Address | Absent:
        """The group of this name, or that of the only layer of this name."""
        found = [at for at, group in self.groups.items() if group.layer == text]
        if text in self.groups:
            found = [text]
        return Address(found[0]) if len(found) == 1 else Absent(text)

    def child(self, at: Address, owner: Layer, child: Layer, label: str) -> Address | Absent:
        """By the name that the user gave, else where Keras would have it."""
        prefix = f"{at.text}/" if at.text else ""
        found = self._by_name(prefix, child._label) if child._label else None
        if found is not None:
            return Address(found, at.suffix, at.steps)
        places = list(_places(owner, child))
        doubt = ""
        for place, is_counted in places:
            if prefix + place in self.groups:
                doubt = order_in_doubt(owner, child) if is_counted else ""
                if not doubt:
                    return Address(prefix + place, at.suffix, at.steps)
        # An attribute may have the name of a layer, but not one that Keras made: it counts layers.
        if not re.fullmatch(rf"{_class(child)}(_\d+)?", label):
            found = self._by_name(prefix, label)
            if found is not None:
                return Address(found, at.suffix, at.steps)
        return Absent(prefix + (places[0][0] if places else label), doubt)

    def _by_name(self, prefix: str, name: str) -> str | None:
        """The only layer of a name at an address."""
        depth = prefix.count("/")
        found = [
            at
            for at, group in self.groups.items()
            if group.layer == name and at.startswith(prefix) and at.count("/") - depth in (0, 1)
        ]
        return found[0] if len(found) == 1 else None

    def recipe(self, at: Address, owner: Layer, variable: Variable, label: str) -> Recipe | Absent:
        """By number. What a recurrent layer has is in its cell."""
        own = own_weights(owner)
        place = next(i for i, weight in enumerate(own) if weight is variable)
        stored = self.groups[at.text].variables
        if not stored and f"{at.text}/cell" in self.groups:
            stored = self.groups[f"{at.text}/cell"].variables
        if len(stored) == len(own):
            return Recipe((stored[place],), at.steps)
        why = f"{at.text or 'the root'} has {len(stored)} weights in the file, not {len(own)}"
        return Absent(f"{at.text}/vars/{place}", why if stored else "")


def _places(owner: Layer, child: Layer) -> Iterator[tuple[str, bool]]:
    """Where Keras keeps a sub-layer, seen from its owner, and whether it counts layers for that."""
    ordered = ordered_layers(owner)
    if ordered is not None:
        yield from ((f"layers/{place}", True) for place in places_inside(ordered, child))
    renamed = IN_ATTENTION if "MultiHeadAttention" in kinds(owner) else {}
    for attribute, value in attributes(owner):
        inside = list(_inside(value, child))
        name = renamed.get(attribute, attribute)
        yield from ((f"{name}{place}", False) for place in inside)
        # A keras.Model is written by attribute, in alphabetic order, those with an underscore last;
        # what comes after its attribute `layers` is there already.
        if inside and (attribute > "layers" or attribute.startswith("_")):
            yield from ((f"layers/{place}", True) for place in places_inside(owner.layers, child))


def _inside(value: Any, child: Layer) -> Iterator[str]:
    """Where a sub-layer is in the value of an attribute."""
    if value is child:
        yield ""
    elif isinstance(value, (list, tuple, dict)):
        yield from (f"/{place}" for place in places_inside(value, child))


def ordered_layers(owner: Layer) -> list[Layer] | None:
    """The layers of a Sequential or functional model, which Keras counts."""
    if vars(owner).get("_functional"):
        return owner.layers
    layers = sequence(owner)
    return None if layers is None else list(dict.fromkeys(layers))


def places_inside(container: Any, child: Layer) -> Iterator[str]:
    """Names of a layer inside a list or dict, where layers are counted by class."""
    counts: dict[str, int] = {}
    for item in container.values() if isinstance(container, dict) else container:
        if isinstance(item, Layer):
            name = counted(_class(item), counts)
            if item is child:
                yield name
        elif isinstance(item, (list, tuple, dict)):
            name = counted("container", counts)
            yield from (f"{name}/{place}" for place in places_inside(item, child))


def _class(layer: Layer) -> str:
    """What Keras calls the layer's class, in snake case."""
    kind = type(layer).__name__
    is_ours = kind in kinds(layer)
    return CLASSES.get(kind, snake_case(kind)) if is_ours else snake_case(kind)


def counted(name: str, counts: dict[str, int]) -> str:
    """A name with its number, from the second on."""
    count = counts.get(name, -1) + 1
    counts[name] = count
    return f"{name}_{count}" if count else name


def order_in_doubt(owner: Layer, child: Layer) -> str:
    """Why Keras may count a layer otherwise than we do; an empty string if it does not.

    The order is that of calls, or that in a list. It is not certain between attributes, nor in a
    functional model with branches, but matters only to layers that could be taken for each other.
    """
    if sequence(owner) is not None:
        return ""
    holders = {id(layer): name for name, value in attributes(owner) for layer in _layers_in(value)}
    if vars(owner).get("_functional"):
        is_chain = _is_chain(vars(owner)["_steps"])
        holders = {id(layer): "" if is_chain else str(id(layer)) for layer in owner.layers}

    def likeness(layer: Layer) -> Any:
        shapes = [(path.partition("/")[2], v.shape) for path, v in layer.weights.items()]
        return _class(layer), shapes

    own = likeness(child)
    for layer in owner.layers:
        is_apart = layer is not child and holders.get(id(layer)) != holders.get(id(child))
        if is_apart and likeness(layer) == own:
            return (
                f"{owner._label_of(child)} is like {owner._label_of(layer)}, and which of them is "
                f"first in Keras's model is not certain: give them the names that they have there, "
                f"or a name map"
            )
    return ""


def _layers_in(value: Any) -> Iterator[Layer]:
    if isinstance(value, Layer):
        yield value
    elif isinstance(value, (list, tuple, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _layers_in(item)


def _is_chain(steps: list[Node]) -> bool:
    """Whether each step of a functional model takes what the one before it made."""
    used: set[Value] = set()
    for step in steps:
        taken = {
            v for v in step.operands if v is not None and v.node.kind in ("input", "call", "op")
        }
        if len(taken) > 1 or taken & used:
            return False
        used |= taken
    return True
