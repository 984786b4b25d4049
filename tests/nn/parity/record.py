"""`python -m tests.nn.parity.record [family ...]`: record what Keras computes.

`make keras-fixtures` runs it.
"""

from __future__ import annotations

import os
import platform
import sys
import warnings
from typing import Any

import numpy as np

from tests.nn.parity.case import MODES, Case, evaluated, families, leaves
from tests.nn.parity.fixtures import Fixture, write

os.environ.setdefault("KERAS_BACKEND", "numpy")


def keras_layer(case: Case) -> Any:
    """Keras's layer of a case."""
    import keras

    options = {**case.options, **case.keras_options}
    options = {k: evaluated(v, keras=keras) for k, v in options.items() if v != "absent"}
    return getattr(keras.layers, case.keras or case.layer)(**options)


def record(case: Case) -> Fixture:
    """What Keras computes for a case, with random weights."""
    import inspect

    import keras
    from keras import ops

    keras.backend.clear_session(free_memory=False)  # names of layers count from the start
    layer = keras_layer(case)
    inputs, named = case.draw()

    def tensors(nest: Any) -> Any:
        if isinstance(nest, list):
            return [tensors(item) for item in nest]
        return ops.convert_to_tensor(nest) if isinstance(nest, np.ndarray) else nest

    def call(**context: Any) -> Any:
        return layer(*map(tensors, inputs), **{k: tensors(v) for k, v in named.items()}, **context)

    takes_training = "training" in inspect.signature(layer.call).parameters
    call(**({"training": False} if takes_training else {}))  # builds it
    fixture = Fixture()
    fixture.inputs = [np.asarray(a) for a in leaves([inputs, named])]
    rng = np.random.default_rng(1)
    variables = {v.path.partition("/")[2] or v.name: v for v in layer.weights}
    assert len(variables) == len(layer.weights), "two weights of a layer have one path"
    for path, variable in variables.items():
        # Away from zero, as variances have to be; both signs would do for the others.
        value = rng.uniform(0.2, 1.0, tuple(variable.shape))
        if not path.endswith(("variance", "stddev", "total")):
            value *= rng.choice([-1, 1], value.shape)
        fixture.weights[path] = np.asarray(value).astype(str(variable.dtype))
        fixture.trainable[path] = bool(variable.trainable)
    for mode in case.modes:
        for path, variable in variables.items():
            variable.assign(fixture.weights[path])
        if hasattr(layer, "finalize_state"):  # computes with copies of its weights
            layer.finalize_state()
        outputs = call(**({"training": MODES[mode]} if takes_training else {}))
        fixture.outputs[mode] = [np.asarray(a) for a in leaves(outputs)]
        after = {path: np.asarray(v.value) for path, v in variables.items()}
        fixture.state[mode] = {
            path: value
            for path, value in after.items()
            if not np.array_equal(value, fixture.weights[path])
        }
    return fixture


def main() -> None:
    """Record the families named, or all."""
    import keras

    versions = {
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    known = families()
    for family in sys.argv[1:] or known:
        if family not in known:
            sys.exit(f"no family {family}; known: {', '.join(known)}")
        path = write(family, {str(case): record(case) for case in known[family]}, versions)
        print(f"{path.name}: {len(known[family])} cases, {path.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras's own, and those of what it imports
        main()
