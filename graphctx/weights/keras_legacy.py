"""HDF5 files of Keras 1 and 2, which Keras 3 writes as `.h5`, too.

`layer_names` lists the model's layers; each has `weight_names`, in order, those that are trained
first: also of the layers inside it, which have no groups of their own. Keras reads such files by
this order; here the names must agree as well.
"""

from __future__ import annotations

import json
import re
from typing import Any

from graphctx.layer import Layer, Variable, snake_case
from graphctx.weights.keras import (
    counted,
    order_in_doubt,
    ordered_layers,
    places_inside,
    stored_dataset,
)
from graphctx.weights.source import Absent, Address, Recipe, Source


class LegacyWeights(Source):
    """The weights in an HDF5 file with `layer_names`.

    Args:
        path: of the file, for messages.
        file: open.

    Raises:
        WeightsError: it is damaged.
    """

    def __init__(self, path: Any, file: Any) -> None:
        super().__init__(str(path), (), "keras")
        self.file = file
        self.layers: dict[str, list[str]] = {}
        self.pairs: dict[int, str] = {}
        root = file.get("model_weights", file)
        for layer in _texts(root, "layer_names"):
            own = self.layers[layer] = []
            for text in _texts(root[layer], "weight_names"):
                name = text.removesuffix(":0")
                name = f"{layer}/{name}" if name in self.stored else name
                own.append(name)
                self.stored[name] = stored_dataset(path, name, root[layer][text], layer)

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def root(self, model: Layer) -> Address:
        """The root of the file."""
        return Address("")

    def named(self, text: str) -> Address | Absent:
        """The layer of this name; the model itself is the empty name."""
        return Address(text) if not text or text in self.layers else Absent(text)

    def child(self, at: Address, owner: Layer, child: Layer, label: str) -> Address | Absent:
        """By the name that the user gave, else by its place among those of its class."""
        if at.text:
            return at  # what is inside a layer is stored with it
        name = child._label
        if name not in self.layers:
            doubt = order_in_doubt(owner, child)
            layers = ordered_layers(owner) or owner.layers
            place = next(places_inside(layers, child), label)
            name = self._places().get(place, label)
            if doubt or name not in self.layers:
                return Absent(place, doubt)
        stored = self.layers[name]
        weights = child.weights
        order = [path for path, weight in weights.items() if weight.trainable]
        order += [path for path in weights if path not in order]
        if [_tail(path) for path in order] == [_tail(path) for path in stored]:
            ids = (id(weights[path]) for path in order)
            self.pairs.update(zip(ids, stored, strict=True))
        return Address(name, at.suffix, at.steps)

    def _places(self) -> dict[str, str]:
        """Names of the layers by class and number, `dense_1`.

        The class is in the model's configuration, if that is in the file, or else in the names
        that Keras makes itself, which may count from any number.
        """
        config = json.loads(self.file.attrs.get("model_config", "{}")).get("config", {})
        # The oldest files have a list of layers there.
        layers = config.get("layers", ()) if isinstance(config, dict) else config
        classes = {layer["config"]["name"]: snake_case(layer["class_name"]) for layer in layers}
        counts: dict[str, int] = {}
        return {
            counted(classes.get(name) or re.sub(r"_\d+$", "", name), counts): name
            for name in self.layers
        }

    def recipe(self, at: Address, owner: Layer, variable: Variable, label: str) -> Recipe | Absent:
        """By its place among the weights of its layer, else by its name there."""
        name = self.pairs.get(id(variable))
        if name is not None:
            return Recipe((name,), at.steps)
        stored = self.layers.get(at.text, [])
        found = [name for name in stored if _tail(name) == label]
        if len(found) == 1:
            return Recipe((found[0],), at.steps)
        why = f"the layer {at.text!r} has {', '.join(stored)} in the file" if stored else ""
        return Absent(f"{at.text}/{label}".lstrip("/"), why)


def _texts(group: Any, name: str) -> list[str]:
    """An attribute that is a list of names; long ones are split over several attributes."""
    values = list(group.attrs.get(name, ()))
    part = 0
    while f"{name}{part}" in group.attrs:
        values += list(group.attrs[f"{name}{part}"])
        part += 1
    return [v.decode() if isinstance(v, bytes) else str(v) for v in values]


def _tail(name: str) -> str:
    return name.rpartition("/")[2]
