"""gRPC: a real server, called with the protocol's own messages."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from graphctx_onnx.server import Limits
from graphctx_onnx.server.messages import SERVICE, message
from graphctx_onnx.server.service import Service

from tests.server.common import LIMITS, MODEL, serving
from tests.server.standin import contextual, typed

TOKEN = "0123456789abcdef"
X = np.array([[1, 2, 3]], np.float32)


class Client:
    """Calls methods by their names."""

    def __init__(self, port: int) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def __call__(self, name: str, request: Any = None, **options: Any) -> Any:
        call, message = self._method(name, request)
        return call(message, timeout=20, **options)

    def later(self, request: Any) -> grpc.Future:
        """A `ModelInfer` that is not waited for."""
        call, message = self._method("ModelInfer", request)
        return call.future(message, timeout=20)

    def _method(self, name: str, request: Any) -> tuple[grpc.UnaryUnaryMultiCallable, Any]:
        method = SERVICE.methods_by_name[name]
        call = self.channel.unary_unary(
            f"/{SERVICE.full_name}/{name}",
            request_serializer=message(method.input_type.name).SerializeToString,
            response_deserializer=message(method.output_type.name).FromString,
        )
        return call, message(method.input_type.name)(**(request or {}))


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with serving(contextual()) as (_, _, address):
        found = Client(address.port)
        yield found
        found.channel.close()


def raw(parameters: Any = None, **others: Any) -> dict[str, Any]:
    """A request with raw contents."""
    return {
        "model_name": MODEL,
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3]}],
        "raw_input_contents": [X.tobytes()],
        "parameters": parameters or {},
        **others,
    }


def result(response: Any) -> Any:
    [data] = response.raw_output_contents
    return np.frombuffer(data, np.float32).tolist()


def refusal(client: Client, name: str, request: Any, **options: Any) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        client(name, request, **options)
    return caught.value.code().name, caught.value.details()


def test_health_and_metadata(client: Client) -> None:
    assert client("ServerLive").live
    assert client("ServerReady").ready
    assert client("ModelReady", {"name": MODEL, "version": "1"}).ready
    assert "context_arguments" in client("ServerMetadata").extensions
    found = client("ModelMetadata", {"name": MODEL})
    assert (found.name, list(found.versions), found.platform) == (MODEL, ["1"], "graphctx_onnx")
    [x] = found.inputs
    assert (x.name, x.datatype, list(x.shape)) == ("x", "FP32", [-1, 3])
    assert '"name": "noise_scale"' in found.parameters["context"].string_param
    [model] = client("RepositoryIndex", {"ready": True}).models
    assert (model.name, model.version, model.state) == (MODEL, "1", "READY")


def test_parameters_of_every_type_arrive(client: Client) -> None:
    parameters = {
        "noise_scale": {"double_param": 0.25}, "mode": {"string_param": "low"},
        "training": {"bool_param": False}, "steps": {"int64_param": 2},
        "context.priority": {"uint64_param": 2},
    }  # fmt: skip
    response = client("ModelInfer", raw(parameters, id="seven"))
    assert (response.model_name, response.model_version, response.id) == (MODEL, "1", "seven")
    assert result(response) == [22.25, 24.25, 26.25]


def test_seeds_have_all_their_bits(client: Client) -> None:
    seed = 2**63 - 1
    response = client("ModelInfer", raw({"sampling": {"bool_param": True},
                                         "seed": {"int64_param": seed}}))  # fmt: skip
    assert result(response) == (X + np.float32(seed % 1000)).ravel().tolist()
    drawn = client("ModelInfer", raw({"sampling": {"bool_param": True}}))
    assert drawn.parameters["seed"].int64_param > 0
    assert drawn.id


def test_typed_contents_are_answered_with_typed_contents() -> None:
    cases = {
        "bool": ("BOOL", {"bool_contents": [True, False]}),
        "int8": ("INT8", {"int_contents": [-128, 127]}),
        "int64": ("INT64", {"int64_contents": [-(2**63), 1]}),
        "uint16": ("UINT16", {"uint_contents": [0, 65535]}),
        "uint64": ("UINT64", {"uint64_contents": [0, 2**64 - 1]}),
        "float32": ("FP32", {"fp32_contents": [0.5, -1]}),
        "float64": ("FP64", {"fp64_contents": [0.1, float("inf")]}),
        "string": ("BYTES", {"bytes_contents": ["é".encode(), b""]}),
    }
    request = {
        "model_name": MODEL,
        "inputs": [
            {"name": f"x_{dtype}", "datatype": datatype, "shape": [2, 1], "contents": contents}
            for dtype, (datatype, contents) in cases.items()
        ],
    }
    with serving(typed(list(cases))) as (_, _, address):
        client = Client(address.port)
        response = client("ModelInfer", request)
        for tensor in response.outputs:
            datatype, contents = cases[tensor.name.removeprefix("y_")]
            assert (tensor.datatype, list(tensor.shape)) == (datatype, [2, 1])
            assert tensor.contents == message("InferTensorContents")(**contents)
        assert not response.raw_output_contents
        request["parameters"] = {"binary_data_output": {"bool_param": True}}
        assert len(client("ModelInfer", request).raw_output_contents) == len(cases)
        client.channel.close()


def test_half_precision_is_always_raw() -> None:
    with serving(typed(["float16"])) as (_, _, address):
        client = Client(address.port)
        data = np.array([[1, 2]], np.float16).tobytes()
        request = {
            "model_name": MODEL, "raw_input_contents": [data],
            "inputs": [{"name": "x_float16", "datatype": "FP16", "shape": [1, 2]}],
            "parameters": {"binary_data_output": {"bool_param": False}},
        }  # fmt: skip
        response = client("ModelInfer", request)
        assert list(response.raw_output_contents) == [data]
        client.channel.close()


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"nope": {"bool_param": True}}, "model has no context argument 'nope'"),
        ({"noise_scale": {}}, "the parameter 'noise_scale' has no value; expected a number"),
        ({"nope": {}}, "the parameter 'nope' has no value; expected a bool, a number or a string"),
        ({"noise_scale": {"string_param": "1"}}, "'noise_scale' is a string ('1'); expected a num"),
        ({"steps": {"double_param": 2.0}}, "'steps' is a float (2.0); expected an integer"),
        ({"steps": {"uint64_param": 2**64 - 1}}, "'steps' got 18446744073709551615; allowed: any"),
        ({"noise_scale": {"double_param": float("nan")}}, "allowed: any number but NaN"),
        ({"seed": {"int64_param": -1}}, "'seed' is an integer (-1)"),
        ({"mode": {"string_param": "é"}}, "'mode' got 'é'; allowed: 'off', 'low', 'broken'"),
    ],
)
def test_parameters_are_refused_by_name(client: Client, parameters: Any, text: str) -> None:
    code, details = refusal(client, "ModelInfer", raw(parameters))
    assert code == "INVALID_ARGUMENT"
    assert text in details


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"model_name": "other"}, "NOT_FOUND", "there is no model 'other'"),
        ({"model_version": "7"}, "NOT_FOUND", "model 'digits' has no version '7'"),
        ({"raw_input_contents": [b"1" * 11]}, "INVALID_ARGUMENT", "needs 12 bytes, got 11"),
        ({"raw_input_contents": [b"", b""]}, "INVALID_ARGUMENT", "2 raw_input_contents for 1 inp"),
        ({"raw_input_contents": []}, "INVALID_ARGUMENT", "needs 3 elements, got 0"),
        ({"inputs": []}, "INVALID_ARGUMENT", "1 raw_input_contents for 0 inputs"),
        ({"outputs": [{"name": "z"}]}, "INVALID_ARGUMENT", "there is no output 'z'"),
        (
            {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1 << 40]}]},
            "RESOURCE_EXHAUSTED", "stands for more than",
        ),
        (
            {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1]}]},
            "INVALID_ARGUMENT", "a size is an integer from 0 on, got -1",
        ),
        (
            {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3],
                         "contents": {"fp32_contents": [1]}}]},
            "INVALID_ARGUMENT", "has both contents and raw_input_contents",
        ),
        (
            {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3],
                         "parameters": {"shared_memory_region": {"string_param": "a"}}}]},
            "INVALID_ARGUMENT", "input 'x': unknown parameter 'shared_memory_region'",
        ),
        (
            {"outputs": [{"name": "y", "parameters": {"classification": {"int64_param": 1}}}]},
            "INVALID_ARGUMENT", "output 'y': unknown parameter 'classification'",
        ),
    ],
)  # fmt: skip
def test_requests_are_refused_with_a_reason(
    client: Client, change: Any, code: str, text: str
) -> None:
    found, details = refusal(client, "ModelInfer", {**raw(), **change})
    assert found == code
    assert text in details


def test_a_token_is_wanted_but_for_health() -> None:
    with serving(contextual(), token=TOKEN) as (_, _, address):
        client = Client(address.port)
        assert client("ServerLive").live
        assert client("ServerReady").ready
        for wrong in ([], [("authorization", "Bearer wrong")]):
            code, details = refusal(client, "ModelInfer", raw(), metadata=wrong)
            assert code == "UNAUTHENTICATED"
            assert "authorization: Bearer" in details
        right = [("authorization", f"Bearer {TOKEN}")]
        assert result(client("ModelInfer", raw(), metadata=right)) == [1, 2, 3]
        client.channel.close()


def test_limits_have_their_status() -> None:
    hold = threading.Event()
    bundle = contextual(hold)
    limits = Limits(workers=1, queue=1, timeout=20.0, body=1000)
    with serving(bundle, limits=limits) as (service, _, address):
        client = Client(address.port)
        first, second = client.later(raw()), client.later(raw())
        _until(lambda: service.waiting == 1)
        code, details = refusal(client, "ModelInfer", raw())
        assert (code, details) == (
            "UNAVAILABLE", "the queue of 1 requests is full; try again later"
        )  # fmt: skip
        hold.set()
        assert result(first.result(20)) == result(second.result(20)) == [1, 2, 3]
        hold.clear()
        code, details = refusal(client, "ModelInfer", raw({"timeout": {"int64_param": 50_000}}))
        assert code == "DEADLINE_EXCEEDED"
        assert details.startswith("there was no answer within 0.0")
        hold.set()
        large = {**raw(), "raw_input_contents": [b"1" * 100_000]}
        for compression in (None, grpc.Compression.Gzip):  # it is small then, but not for long
            code, details = refusal(client, "ModelInfer", large, compression=compression)
            assert code == "RESOURCE_EXHAUSTED"
            assert "larger than max" in details
        assert service.calls == 0
        client.channel.close()


def test_a_message_that_is_compressed(client: Client) -> None:
    options = {"compression": grpc.Compression.Gzip}
    assert result(client("ModelInfer", raw(), **options)) == [1, 2, 3]


def test_a_client_that_cancels_frees_its_place() -> None:
    hold = threading.Event()
    bundle = contextual(hold)
    limits = Limits(workers=1, queue=1, timeout=20.0)
    with serving(bundle, limits=limits) as (service, _, address):
        client = Client(address.port)
        first = client.later(raw())
        _until(lambda: bundle.runs)
        second = client.later(raw())
        _until(lambda: service.calls == 2)
        second.cancel()
        _until(lambda: service.calls == 1)
        hold.set()
        assert result(first.result(20)) == [1, 2, 3]
        assert len(bundle.runs) == 1
        client.channel.close()


def test_a_bug_is_told_to_the_log_alone(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def bug(*_: Any) -> Any:
        raise RuntimeError("a bug")

    for name, method in (("_count", "ModelInfer"), ("index", "RepositoryIndex")):
        monkeypatch.setattr(Service, name, bug)
        found = refusal(client, method, raw() if method == "ModelInfer" else {})
        assert found == ("INTERNAL", "the server failed; see its log")
    assert caplog.text.count("RuntimeError: a bug") == 2


def test_large_messages_are_worked_on_beside_the_event_loop() -> None:
    values = np.random.default_rng(0).standard_normal((400, 500)).astype(np.float32)
    with serving(typed(["float32"]), limits=LIMITS) as (_, _, address):
        client = Client(address.port)
        tensor = {
            "name": "x_float32", "datatype": "FP32", "shape": [400, 500],
            "contents": {"fp32_contents": values.ravel()},
        }  # fmt: skip
        response = client("ModelInfer", {"model_name": MODEL, "inputs": [tensor]})
        found = np.array(response.outputs[0].contents.fp32_contents, np.float32)
        assert np.array_equal(found, values.ravel())
        client.channel.close()


def _until(condition: Any) -> None:
    event = threading.Event()
    for _ in range(4000):
        if condition():
            return
        event.wait(0.005)
    raise AssertionError("it did not come to that")
