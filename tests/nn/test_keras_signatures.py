"""Layers take what Keras's take: names, order and defaults of arguments, but for what is listed.

Compared with the Keras that is installed; see `tests/nn/test_keras_parity.py`.
"""

from __future__ import annotations

import inspect
import os
import re
import warnings
from typing import Any

import pytest

from tests.nn.one_of_each import KINDS
from tests.nn.parity.case import families

os.environ.setdefault("KERAS_BACKEND", "numpy")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Keras's own, and those of what it imports
    keras = pytest.importorskip("keras")

OURS_ALONE = {
    "RotaryEmbedding": "KerasHub has one, with other arguments",
    "StochasticDepth": "a layer of other libraries",
    "WeightNorm": "PyTorch's",
}

NOWHERE = {
    r".*_regularizer|.*_constraint": "losses and updates of training are not a layer's business",
    "lora_.*|gptq_.*|quantization_config": "Keras's ways to change a layer that is trained",
    "use_cudnn": "a choice of Keras's backends",
    "sparse": "there are no sparse tensors",
    "mask_zero": "no tensor carries a mask",
    "weights": "they are set with set_weights and load_weights",
    "trainable": "there is no such switch",
}
"""What no layer takes, and why."""

DIFFERENCES = {
    "AdditiveAttention": {"adds seed": "which Keras takes among **kwargs, too"},
    "AveragePooling1D": {"pool_size=2, not required": "as in MaxPooling1D"},
    "AveragePooling2D": {"pool_size=2, not required": "as in MaxPooling2D"},
    "AveragePooling3D": {"pool_size=2, not required": "as in MaxPooling3D"},
    "Bidirectional": {"backward_layer by name only": "Keras has weights before it"},
    "CategoryEncoding": {"num_tokens is required, not None": "Keras refuses None"},
    "Conv3DTranspose": {
        "order: output_padding, data_format": "as for 1 and 2 axes; Keras has it so for 3 alone"
    },
    "Cropping1D": {"adds data_format": "as Cropping2D has it"},
    "GRU": {"adds zero_output_for_mask": "which Keras takes among **kwargs, too"},
    "GroupQueryAttention": {
        "adds cache_length": "a cache is ours",
        "adds rotary_embedding": "positions as rotations are ours",
    },
    "InstanceNorm": {"lacks groups": "it has one channel a group"},
    "LSTM": {"adds zero_output_for_mask": "which Keras takes among **kwargs, too"},
    "Lambda": {
        "lacks output_shape": "shapes are those of what the function returns",
        "lacks mask": "no tensor carries a mask",
        "lacks arguments": "functools.partial does that",
    },
    "MultiHeadAttention": {
        "adds cache_length": "a cache is ours",
        "adds rotary_embedding": "positions as rotations are ours",
    },
    "SimpleRNN": {"adds zero_output_for_mask": "which Keras takes among **kwargs, too"},
    "UpSampling1D": {"adds data_format": "as UpSampling2D has it"},
}
"""Class -> what else differs, and why."""

IN_CALLS = {
    "BatchNorm": {"mask by name only": "Keras has training before it"},
    "GroupQueryAttention": {"adds cache_position": "a cache is ours"},
    "Lambda": {"lacks mask": "no tensor carries a mask"},
    "MultiHeadAttention": {"adds cache_position": "a cache is ours"},
    "Sequential": {"lacks mask": "no tensor carries a mask"},
}
"""Class -> what differs in its call beside the first argument, and why."""


def peer(name: str) -> Any:
    """Keras's class."""
    theirs = {case.keras for cases in families().values() for case in cases if case.layer == name}
    return getattr(keras.layers, (theirs - {None} or {name}).pop(), None) or getattr(keras, name)


def arguments(function: Any, but: set[str]) -> dict[str, inspect.Parameter]:
    """The parameters of a function, without some, and those for everything else."""
    found = inspect.signature(function).parameters.items()
    return {n: p for n, p in found if n not in but and p.kind is not p.VAR_KEYWORD}


def stated(default: Any) -> str:
    """A default in words in which alike ones are equal."""
    if default is inspect.Parameter.empty:
        return "required"
    while isinstance(default, tuple) and default and len(set(default)) == 1:
        default = default[0]  # (1, 1) for 1
    default = {"channels_last": None, "uniform": "random_uniform", (): None}.get(default, default)
    return repr(default).lower()  # "Zeros" for "zeros"


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> set[str]:
    """What differs, in words."""
    theirs = {
        name: p
        for name, p in theirs.items()
        if name in ours or not any(re.fullmatch(pattern, name) for pattern in NOWHERE)
    }
    found = {f"lacks {name}" for name in theirs if name not in ours}
    found |= {f"adds {name}" for name in ours if name not in theirs}
    common = [name for name in ours if name in theirs]
    moved = [a for a, b in zip(common, [n for n in theirs if n in ours], strict=True) if a != b]
    if moved:
        found.add(f"order: {', '.join(moved)}")
    for name in common:
        one, other = ours[name], theirs[name]
        a, b = stated(one.default), stated(other.default)
        if a != b:
            what = f"{name} is required" if a == "required" else f"{name}={a}"
            found.add(f"{what}, not {b.title() if b == 'none' else b}")
        if one.kind is one.KEYWORD_ONLY and other.kind is not other.KEYWORD_ONLY:
            found.add(f"{name} by name only")
    return found


@pytest.mark.parametrize("name", sorted(set(KINDS) - set(OURS_ALONE)))
def test_signature(name: str) -> None:
    ours, theirs = KINDS[name], peer(name)
    but = {"self", "name", "dtype"}  # all layers take these by name
    found = differences(arguments(ours.__init__, but), arguments(theirs.__init__, but))
    assert found == set(DIFFERENCES.get(name, {}))


@pytest.mark.parametrize("name", sorted(set(KINDS) - set(OURS_ALONE)))
def test_signature_of_the_call(name: str) -> None:
    def others(function: Any) -> dict[str, inspect.Parameter]:
        # Context comes by name, to whoever reads it; the first argument comes without.
        found = arguments(function, {"self", "training"})
        return dict(list(found.items())[1:])

    found = differences(others(KINDS[name].call), others(peer(name).call))
    assert found == set(IN_CALLS.get(name, {}))


def test_what_is_listed_is_so() -> None:
    assert not any(hasattr(keras.layers, name) for name in OURS_ALONE)
    assert set(DIFFERENCES) | set(IN_CALLS) <= set(KINDS)
    taken = {
        argument
        for name in set(KINDS) - set(OURS_ALONE)
        for argument in arguments(peer(name).__init__, set())
    }
    for pattern in NOWHERE:
        assert any(re.fullmatch(pattern, argument) for argument in taken), pattern
