"""Bundles of every kind of model: what a program, a bundle and both transports give is the same."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import ml_dtypes
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from graphctx_onnx import Bundle
from tritonclient.utils import np_to_triton_dtype

import graphctx as gx
from graphctx import Context, Layer, TensorSpec, Variable, nn, ops
from tests.server.common import MODEL, serving

X = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
SPEC = TensorSpec(("batch", 4), name="x")


class Branches(Layer):
    """A branch that data takes, with a context argument, weights and random numbers in it."""

    def __init__(self) -> None:
        self.dense = nn.Dense(4)

    def call(self, x: Any, *, training: Context[bool] = False, gain: Context[float] = 1.0) -> Any:
        def high(y: Any) -> Any:
            return ops.dropout(y, 0.5) * gain if training else y * gain

        return ops.cond(ops.sum(x) > 0, high, lambda y: self.dense(y) - gain, x)


class Steps(Layer):
    """A loop whose length is a context argument; a scan of which it chooses the operator."""

    def __init__(self) -> None:
        self.dense = nn.Dense(4)

    def call(
        self,
        x: Any,
        *,
        steps: Context[int] = 2,
        mode: Context[Literal["sum", "product"]] = "sum",
    ) -> Any:
        def step(state: Any) -> Any:
            return state[0] + 1, ops.tanh(self.dense(state[1]))

        _, last = ops.while_loop(lambda state: state[0] < steps, step, (np.int64(0), x))
        join = ops.add if mode == "sum" else ops.multiply
        total, seen = ops.scan(lambda c, row: (join(c, row), c), np.ones(4, np.float32), last)
        return {"last": last, "total": total, "seen": seen}


class Parts(Layer):
    """A sequence that stays inside."""

    def call(self, x: Any, *, index: Context[Literal[0, 1]] = 0) -> Any:
        return ops.sequence_at(ops.sequence_construct(x + 1, x * 2), index)


class Text(Layer):
    def call(self, words: Any, *, ending: Context[Literal["!", "é"]] = "!") -> Any:
        joined = ops.string_concat(words, np.array({"!": "!", "é": "é"}[ending], object))
        return {"joined": joined, "asked": words == "ab"}


class Stored(Layer):
    """Weights in bfloat16, which are converted where they are used."""

    def __init__(self) -> None:
        self.kernel = Variable(np.arange(1024).reshape(4, 256).astype(ml_dtypes.bfloat16))

    def call(self, x: Any, *, training: Context[bool] = False) -> Any:
        y = ops.matmul(x, ops.astype(self.kernel, "float32"))
        return y + 1 if training else y


class Half(Layer):
    def call(self, x: Any, *, gain: Context[float] = 1.0) -> Any:
        return x * gain


class Found(Layer):
    """Sizes that data decides, and outputs of other dtypes and ranks under another context."""

    def call(self, x: Any, *, what: Context[Literal["rows", "above", "all"]] = "rows") -> Any:
        if what == "rows":
            return ops.nonzero(x)[0]
        return x[x > 0] if what == "above" else x


def imported(folder: Path) -> gx.CallGraph:
    """A model from an ONNX file, with its inputs for context."""
    gx.export(gx.trace(Branches(), SPEC), folder / "m.onnx", runtime=["training", "gain"])
    return gx.load(folder / "m.onnx")


def traced(model: Layer, spec: TensorSpec = SPEC) -> Callable[[Path], gx.CallGraph]:
    return lambda folder: gx.trace(model, spec)


HALVES = TensorSpec(("batch", 4), "float16", name="x")
WORDS = TensorSpec(("n",), str, name="words")
KINDS: dict[str, tuple[Any, Any, list[dict[str, Any]], dict[str, list[int]]]] = {
    # what makes the graph; an input; contexts; shapes of outputs in the metadata
    "branches": (
        traced(Branches()), abs(X), [{"gain": 3.0}, {"training": True, "seed": 3}],
        {"output": [-1, 4]},
    ),
    "loops": (
        traced(Steps()), X, [{}, {"steps": 5, "mode": "product"}],
        {"last": [-1, 4], "total": [4], "seen": [-1, 4]},
    ),
    "sequences": (traced(Parts()), X, [{}, {"index": 1}], {"output": [-1, 4]}),
    "text": (
        traced(Text(), WORDS), np.array(["ab", "", "çÉ \0x"], object), [{}, {"ending": "é"}],
        {"joined": [-1], "asked": [-1]},
    ),
    "bfloat16 weights": (traced(Stored()), X, [{}, {"training": True}], {"output": [-1, 256]}),
    "float16": (traced(Half(), HALVES), X.astype("float16"), [{"gain": 0.5}], {"output": [-1, 4]}),
    "unknown sizes": (
        traced(Found()), X, [{}, {"what": "above"}, {"what": "all"}], {"output": [-1]},
    ),
    "imported": (
        imported, abs(X), [{}, {"gain": -2.0}, {"training": True, "seed": 2**62}],
        {"output": [-1, 4]},
    ),
}  # fmt: skip


def plain(value: Any) -> Any:
    """Text as text: gRPC and REST give bytes."""
    if value.dtype != object:
        return value
    return np.array([v.decode() if isinstance(v, bytes) else v for v in value], object)


def same(found: Any, expected: Any) -> None:
    found, expected = plain(np.asarray(found)), plain(np.asarray(expected))
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    if found.dtype == object:
        assert found.tolist() == expected.tolist()
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_program_bundle_and_server_agree(kind: str, tmp_path: Path) -> None:
    make, x, contexts, shapes = KINDS[kind]
    with gx.seed(0):
        graph = make(tmp_path)
    gx.export(graph, tmp_path / "m.bundle")
    bundle = Bundle.load(tmp_path / "m.bundle")
    name = bundle.signature().inputs[0].name
    with serving(bundle) as (_, http, rpc):
        with urllib.request.urlopen(f"{http}/v2/models/{MODEL}") as answer:
            found = {output["name"]: output["shape"] for output in json.load(answer)["outputs"]}
        assert found == shapes
        for given in contexts:
            context = {key: value for key, value in given.items() if key != "seed"}
            seed = {"seed": given["seed"]} if "seed" in given else {}
            expected = gx.compile(graph, **context)(x, **seed)
            if not isinstance(expected, dict):
                expected = {"output": expected}
            outputs = bundle.run({name: x}, **given)
            assert outputs.keys() == expected.keys()
            for key, value in expected.items():
                same(outputs[key], value)
            for module, place in ((tritonclient.http, http), (tritonclient.grpc, rpc)):
                tensor = module.InferInput(name, x.shape, np_to_triton_dtype(x.dtype))
                tensor.set_data_from_numpy(x)
                client = module.InferenceServerClient(f"{place.host}:{place.port}")
                answer = client.infer(MODEL, [tensor], parameters=given or None)
                for key, value in outputs.items():
                    same(answer.as_numpy(key), value)
                client.close()


@pytest.mark.parametrize(
    ("model", "spec", "message"),
    [
        (
            lambda x: ops.sequence_construct(x, x), SPEC,
            r"take and return tensors, and '\w+' is sequence\(float32\[batch, 4\]\)",
        ),
        (
            lambda x: ops.optional(x), SPEC,
            r"take and return tensors, and '\w+' is optional\(float32\[batch, 4\]\)",
        ),
        (
            lambda x: x * 2, TensorSpec((2,), "bfloat16", name="x"),
            "'x' is bfloat16, but a bundle runs with NumPy alone, which lacks it: take and return",
        ),
    ],
    ids=["sequence", "optional", "bfloat16"],
)  # fmt: skip
@pytest.mark.parametrize("verify", [True, False])
def test_what_a_bundle_cannot_take_or_return(
    model: Any, spec: TensorSpec, message: str, verify: bool, tmp_path: Path
) -> None:
    class Net(Layer):
        def call(self, x: Any) -> Any:
            return model(x)

    with pytest.raises(gx.ExportError, match=message):
        gx.export(gx.trace(Net(), spec), tmp_path / "m.bundle", verify=verify)
    assert not list(tmp_path.iterdir())
