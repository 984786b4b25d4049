"""`python -m tests.weights_fixtures.record [case ...]`: have Keras and PyTorch write the files.

It needs keras with a backend, torch and h5py.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.weights_fixtures.cases import CASES, FOLDER, Case

os.environ.setdefault("KERAS_BACKEND", "numpy")

OUTPUTS = FOLDER / "outputs.npz"

Writer = Callable[[Path], Callable[[Any], Any]]
"""Makes the peer's model with random weights, writes them, and returns the model."""


def write(case: Case, folder: Path) -> np.ndarray[Any, Any]:
    """Have the peer write the file of a case; returns what its model computes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the peers' own
        return np.asarray(WRITERS[case.name](folder / case.file)(case.x))


def random(shape: Any) -> np.ndarray[Any, Any]:
    """Random weights; positive, as variances have to be."""
    return RANDOM.uniform(0.1, 0.9, tuple(shape)).astype(np.float32)


RANDOM = np.random.default_rng(7)

# -- Keras ----------------------------------------------------------------------------------------


def keras_randomized(model: Any, x: Any = None) -> Any:
    if x is not None:
        model(x)
    for variable in model.weights:
        variable.assign(random(variable.shape))
    return model


def keras_convolutional() -> Any:
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((9, 9, 3)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Dropout(0.2),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5),
            layers.LayerNormalization(),
            layers.Dense(2, use_bias=False),
        ]
    )


def keras_branched_model() -> Any:
    import keras
    from keras import layers

    x = keras.Input((6,))
    right = layers.Dense(4, name="right")(x)
    left = layers.Dense(4, name="left")(x)
    inner = keras.Sequential([layers.Dense(4), layers.BatchNormalization(), layers.Dense(4)])
    return keras.Model(x, layers.Dense(3)(inner(layers.Add()([left, right]))))


def keras_perceptron(dtype: str = "float32") -> Any:
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(6, "relu", dtype=dtype),
            layers.Dense(6, "relu", dtype=dtype),
            layers.LayerNormalization(dtype=dtype),
            layers.Dense(2, dtype=dtype),
        ]
    )


def keras_sequential(path: Path) -> Any:
    model = keras_randomized(keras_convolutional())
    model.compile("adam", "mse")  # its state is in the file, too
    model.save_weights(path)
    return model


def keras_branched(path: Path) -> Any:
    model = keras_randomized(keras_branched_model())
    model.save(path)
    return model


def keras_legacy(path: Path) -> Any:
    model = keras_randomized(keras_convolutional())
    model.save(path)
    return model


def keras_legacy_branched(path: Path) -> Any:
    model = keras_randomized(keras_branched_model())
    model.save(path)
    return model


def keras_shards(path: Path) -> Any:
    model = keras_randomized(keras_perceptron())
    model.save_weights(path, max_shard_size=3e-7)  # GiB
    return model


def keras_bfloat16(path: Path) -> Any:
    model = keras_randomized(keras_perceptron("bfloat16"))
    model.save_weights(path)
    exact = keras_perceptron()  # the same numbers, but computed with in float32
    exact.set_weights([np.asarray(w).astype(np.float32) for w in model.get_weights()])
    return exact


def keras_subclassed(path: Path) -> Any:
    import keras
    from keras import layers

    class Block(layers.Layer):
        def __init__(self, units: int) -> None:
            super().__init__()
            self.zeta = layers.Dense(units)
            self.alpha = [layers.Dense(units), layers.Dense(units), layers.LayerNormalization()]
            self.beta = {"a": layers.Dense(units), "b": [layers.Dense(units)]}
            self.shift = self.add_weight(shape=(units,), name="shift")

        def call(self, x: Any) -> Any:
            for layer in (self.zeta, *self.alpha, self.beta["a"], self.beta["b"][0]):
                x = layer(x)
            return x + self.shift

    class Net(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.block = Block(4)
            self.head = layers.Dense(2)
            self._last = layers.Dense(2)

        def call(self, x: Any) -> Any:
            return self._last(self.head(self.block(x)))

    model = keras_randomized(Net(), np.ones((1, 6), np.float32))
    model.save_weights(path)
    return model


def keras_attention(path: Path) -> Any:
    import keras
    from keras import layers

    class Attentive(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.attention = layers.MultiHeadAttention(2, 4)
            self.norm = layers.LayerNormalization(epsilon=1e-5)

        def call(self, x: Any) -> Any:
            return self.norm(x + self.attention(x, x))

    model = keras_randomized(Attentive(), np.ones((1, 5, 6), np.float32))
    model.save_weights(path)
    return model


def keras_recurrent(path: Path) -> Any:
    import keras
    from keras import layers

    class Recurrent(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.both = layers.Bidirectional(layers.LSTM(4, return_sequences=True))
            self.gru = layers.GRU(3, return_sequences=True)
            self.last = layers.LSTM(2)

        def call(self, x: Any) -> Any:
            return self.last(self.gru(self.both(x)))

    model = keras_randomized(Recurrent(), np.ones((1, 5, 6), np.float32))
    model.save_weights(path)
    return model


def keras_convolutions(path: Path) -> Any:
    import keras
    from keras import layers

    class Convolutions(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.transposed = layers.Conv2DTranspose(4, 3, strides=2)
            self.depthwise = layers.DepthwiseConv2D((3, 2), depth_multiplier=2)
            self.norm = layers.GroupNormalization(4, epsilon=1e-5)
            self.flat = layers.Conv1D(5, 3, strides=2)

        def call(self, x: Any) -> Any:
            x = self.norm(self.depthwise(self.transposed(x)))
            return self.flat(x[:, :, 0])

    model = keras_randomized(Convolutions(), np.ones((1, 9, 9, 3), np.float32))
    model.save_weights(path)
    return model


# -- PyTorch --------------------------------------------------------------------------------------


def torch_saved(module: Any, path: Path, *, dtype: str = "float32") -> Callable[[Any], Any]:
    """Write a module's state with random numbers; its function of arrays."""
    import torch
    from safetensors.torch import save_file

    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            tensor.data = torch.from_numpy(random(tensor.shape)).to(getattr(torch, dtype))
    state = {name: tensor.clone().contiguous() for name, tensor in module.state_dict().items()}
    save_file(state, path, metadata={"format": "pt"})
    return torch_function(module)


def torch_function(module: Any) -> Callable[[Any], Any]:
    import torch

    module.float().eval()

    def call(x: Any) -> Any:
        given = torch.from_numpy(x)
        given = given.permute(0, 3, 1, 2) if given.ndim == 4 else given
        with torch.no_grad():
            y = module(given)
        return (y.permute(0, 2, 3, 1) if y.ndim == 4 else y).numpy()

    return call


def torch_mlp() -> Any:
    from torch import nn

    return nn.Sequential(
        nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.LayerNorm(6), nn.Linear(6, 2)
    )


def torch_perceptron(path: Path) -> Any:
    return torch_saved(torch_mlp(), path)


def torch_bfloat16(path: Path) -> Any:
    return torch_saved(torch_mlp(), path, dtype="bfloat16")


def torch_float16(path: Path) -> Any:
    return torch_saved(torch_mlp(), path, dtype="float16")


def torch_convolutional(path: Path) -> Any:
    from torch import nn

    module = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.ReLU(),
        nn.BatchNorm2d(4),
        nn.MaxPool2d(2),
        nn.Dropout(0.2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 5),
        nn.LayerNorm(5),
        nn.Linear(5, 2, bias=False),
    )
    return torch_saved(module, path)


def torch_stages(path: Path) -> Any:
    import torch
    from torch import nn

    class Stages(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convs = nn.ModuleList([nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, (3, 2), groups=2)])
            self.norm_1 = nn.BatchNorm2d(4)
            self.scale = nn.Parameter(torch.ones(4))
            self.head = nn.Linear(4, 4, bias=False)

        def forward(self, x: Any) -> Any:
            for conv in self.convs:
                x = conv(x)
            x = (self.norm_1(x) * self.scale[:, None, None]).permute(0, 2, 3, 1)
            return self.head(x).permute(0, 3, 1, 2)

    return torch_saved(Stages(), path)


def torch_attention(path: Path) -> Any:
    from torch import nn

    class Attentive(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
            self.norm = nn.LayerNorm(6)

        def forward(self, x: Any) -> Any:
            return self.norm(x + self.attention(x, x, x)[0])

    return torch_saved(Attentive(), path)


def torch_recurrent(path: Path) -> Any:
    from torch import nn

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.both = nn.LSTM(6, 4, batch_first=True, bidirectional=True)
            self.gru = nn.GRU(8, 3, batch_first=True)
            self.last = nn.LSTM(3, 2, batch_first=True)

        def forward(self, x: Any) -> Any:
            return self.last(self.gru(self.both(x)[0])[0])[0][:, -1]

    return torch_saved(Recurrent(), path)


def torch_convolutions(path: Path) -> Any:
    from torch import nn

    class Convolutions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.transposed = nn.ConvTranspose2d(3, 4, 3, stride=2)
            self.depthwise = nn.Conv2d(4, 8, (3, 2), groups=4)
            self.norm = nn.GroupNorm(4, 8)
            self.flat = nn.Conv1d(8, 5, 3, stride=2)

        def forward(self, x: Any) -> Any:
            x = self.norm(self.depthwise(self.transposed(x)))
            return self.flat(x[..., 0]).transpose(1, 2)

    return torch_saved(Convolutions(), path)


def torch_shards(path: Path) -> Any:
    import json

    from safetensors.torch import load_file, save_file
    from torch import nn

    class Layers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(7, 6)
            self.layers = nn.ModuleList([nn.ModuleDict({"net": torch_mlp()}) for _ in range(2)])

        def forward(self, x: Any) -> Any:
            x = self.table(x)
            return self.layers[0]["net"](x) + self.layers[1]["net"](x)

    function = torch_saved(Layers(), path)
    state = load_file(path)
    places = {name: f"torch_shard_{int('layers.1' in name)}.safetensors" for name in state}
    for shard in set(places.values()):
        part = {name: state[name] for name, place in places.items() if place == shard}
        save_file(part, path.parent / shard, metadata={"format": "pt"})
    path.write_text(json.dumps({"metadata": {}, "weight_map": places}, indent=1) + "\n")
    return function


WRITERS: dict[str, Writer] = {case.name: globals()[case.name] for case in CASES}


def main() -> None:
    """Record the cases named, or all."""
    outputs = dict(np.load(OUTPUTS)) if OUTPUTS.exists() else {}
    for case in CASES:
        if case.name in sys.argv[1:] or not sys.argv[1:]:
            outputs[case.name] = write(case, FOLDER)
            print(f"{case.file}: {(FOLDER / case.file).stat().st_size / 1024:.0f} KiB")
    np.savez(OUTPUTS, **{case.name: outputs[case.name] for case in CASES})


if __name__ == "__main__":
    main()
