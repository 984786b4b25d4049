"""Requests that nobody would send: refused, every one, with a reason; nothing breaks.

`GRAPHCTX_REQUESTS=20000` sends more than a few hundred.
"""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import os
import socket
import tracemalloc
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from graphctx_onnx import Bundle
from graphctx_onnx.server import Limits, app
from graphctx_onnx.server.messages import SERVICE, message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.common import INFER, MODEL, Answer, ask, serving, tensor
from tests.server.models import inputs
from tests.server.standin import DTYPES, typed

LIMITS = Limits(workers=2, timeout=20.0, body=1 << 20, batch=8)
MANY = settings(
    max_examples=int(os.environ.get("GRAPHCTX_REQUESTS", "60")),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
REFUSALS = (400, 413, 415)

X = inputs(2)
VALID = {
    "id": "seven",
    "parameters": {"training": False, "noise_scale": 0.5, "steps": 2, "seed": 3, "mc": True,
                   "intensity": "normal", "context.priority": 2, "binary_data_output": False},
    "inputs": [tensor("x", [2, 8], X.tolist())],
    "outputs": [{"name": "scores", "parameters": {"binary_data": False}}, {"name": "best"}],
}  # fmt: skip

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([10**400, -1, 0, 1, 2**63, "NaN", "x", "FP32", "BYTES", "BF16", "\ud800"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["name", "shape", "data", "datatype", "parameters", "x", "binary_data"])
            | st.text(max_size=3),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to everything in a nest."""
    yield at
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*at, key))


PLACES = [at for at in places(VALID) if at]


@st.composite
def nearly_valid(draw: Any) -> Any:
    """A valid request, changed in a few places: something else, nothing, or something more."""
    found = copy.deepcopy(VALID)
    for at in draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=3)):
        value: Any = found
        try:
            for key in at[:-1]:
                value = value[key]
            if draw(st.booleans()):
                value[at[-1]] = draw(VALUES)
            elif draw(st.booleans()):
                del value[at[-1]]
            elif isinstance(value, dict):
                value[draw(st.text(max_size=4))] = draw(VALUES)
            else:
                value.insert(at[-1], draw(VALUES))
        except (KeyError, IndexError, TypeError, AttributeError):
            continue  # an earlier change took the place away
    return found


class Application:
    """An application in one event loop."""

    def __init__(self, bundle: Any) -> None:
        self.app = app(bundle, name=MODEL, limits=LIMITS)
        self.runner = asyncio.Runner()

    def ask(self, body: Any, **headers: str) -> Answer:
        found = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.runner.run(ask(self.app, INFER, body, found))

    def check(self, answer: Answer) -> None:
        """What holds for every answer."""
        assert answer.status == 200 or answer.status in REFUSALS, (answer.status, answer.body)
        if answer.status != 200:
            assert answer.error
            assert len(answer.error) < 2000


@pytest.fixture(scope="module")
def application(bundle: Bundle) -> Iterator[Application]:
    found = Application(bundle)
    yield found
    found.runner.close()


@pytest.fixture(scope="module")
def typed_application() -> Iterator[Application]:
    found = Application(typed())
    yield found
    found.runner.close()


def test_what_is_changed_is_valid(application: Application) -> None:
    assert application.ask(VALID).status == 200


@MANY
@given(nearly_valid())
def test_json_that_is_nearly_valid(application: Application, body: Any) -> None:
    application.check(application.ask(json.dumps(body).encode()))


@MANY
@given(VALUES)
def test_json_of_any_kind(application: Application, body: Any) -> None:
    application.check(application.ask(json.dumps(body).encode()))


@MANY
@given(
    st.binary(max_size=200), st.none() | st.integers(-5, 250) | st.text("0123456789- ", max_size=9)
)
def test_bytes_of_any_kind(application: Application, body: bytes, length: Any) -> None:
    headers = {} if length is None else {"inference_header_content_length": str(length)}
    application.check(application.ask(body, **headers))


@MANY
@given(
    st.sampled_from(DTYPES),
    st.sampled_from(["BOOL", "INT8", "UINT64", "FP16", "FP32", "FP64", "BYTES", "BF16"]),
    st.lists(st.integers(-1, 5) | st.sampled_from([2**31, 2**62, 10**30]), max_size=4),
    st.none() | st.integers(-1, 40),
    st.binary(max_size=40),
    st.integers(-3, 3),
    st.booleans(),
)
def test_binary_tensors_that_may_not_fit(
    typed_application: Application, dtype: str, datatype: str, shape: Any, size: Any, data: bytes,
    shift: int, merged: bool,
) -> None:  # fmt: skip
    head = {
        "inputs": [{
            "name": f"x_{dtype}", "datatype": datatype, "shape": shape,
            "parameters": {"binary_data_size": len(data) if size is None else size},
        }],
        "parameters": {"binary_data_output": merged},
    }  # fmt: skip
    text = json.dumps(head).encode()
    answer = typed_application.ask(
        text + data, inference_header_content_length=str(len(text) + shift)
    )
    typed_application.check(answer)


@MANY
@given(st.data())
def test_every_parameter_of_every_type(application: Application, data: st.DataObject) -> None:
    """Never a default: a parameter is heard, or the request is refused."""
    names = ["training", "intensity", "mc", "priority", "noise_scale", "steps", "seed", "timeout"]
    name = data.draw(st.sampled_from([*names, *(f"context.{n}" for n in names)]) | st.text())
    value = data.draw(SCALARS)
    answer = application.ask({"inputs": VALID["inputs"], "parameters": {name: value}})
    application.check(answer) if answer.status != 504 else None
    plain = name.removeprefix("context.")
    if answer.status == 200:
        assert plain in names or name == "binary_data_output"
        assert type(value) in (bool, int, float, str)
    if value is None:
        assert answer.status == 400


@pytest.fixture(scope="module")
def places(bundle: Bundle) -> Iterator[tuple[int, int]]:
    """Ports of a server; at the end it is as well as it was."""
    with serving(bundle, limits=LIMITS) as (service, http, rpc):
        yield http.port, rpc.port
        assert sent(http.port, HEAD + BODY, 20).startswith(b"HTTP/1.1 200 ")
        assert service.calls == 0


BODY = json.dumps(VALID).encode()
HEAD = f"POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(BODY)}\r\n\r\n".encode()


def sent(port: int, data: bytes, seconds: float) -> bytes:
    """What begins to come within some time."""
    with socket.create_connection(("127.0.0.1", port), seconds) as sock:
        try:
            sock.sendall(data)
            return sock.recv(100)
        except (TimeoutError, ConnectionError):
            return b""


@MANY
@given(
    st.binary(max_size=8)
    | st.sampled_from(
        [b"\r\n", b"/", b"..", b"%00", b"?a=", b"x: y\r\n", b"transfer-encoding: chunked\r\n",
         b"connection: upgrade\r\nupgrade: websocket\r\n", b"expect: 100-continue\r\n",
         b"inference-header-content-length: 5\r\n", b"content-encoding: gzip\r\n"]
    ),
    st.integers(0, len(HEAD)),
    st.integers(0, 30),
)  # fmt: skip
def test_heads_that_are_nearly_valid(
    places: tuple[int, int], noise: bytes, at: int, cut: int
) -> None:
    answer = sent(places[0], HEAD[:at] + noise + HEAD[at + cut :] + BODY, 0.05)
    assert answer == b"" or answer[:12] in STATUS_LINES, answer


STATUS_LINES = {b"HTTP/1.1 %d" % status for status in (100, 200, 400, 404, 405, 408, 413, 415, 431)}


@pytest.fixture(scope="module")
def channel(places: tuple[int, int]) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{places[1]}") as found:
        yield found


def grpc_status(channel: grpc.Channel, data: bytes, method: str = "ModelInfer") -> str:
    call = channel.unary_unary(f"/{SERVICE.full_name}/{method}")
    try:
        call(data, timeout=20)
    except grpc.RpcError as error:
        return error.code().name
    return "OK"


@MANY
@given(st.binary(max_size=60), st.integers(0, 400), st.integers(0, 30))
def test_messages_of_grpc(channel: grpc.Channel, noise: bytes, at: int, cut: int) -> None:
    valid = message("ModelInferRequest")(
        model_name=MODEL, raw_input_contents=[X.tobytes()],
        inputs=[{"name": "x", "datatype": "FP32", "shape": [2, 8]}],
        parameters={"noise_scale": {"double_param": 0.5}, "mc": {"bool_param": True}},
        outputs=[{"name": "scores"}],
    ).SerializeToString()  # fmt: skip
    data = valid[:at] + noise + valid[at + cut :]
    assert grpc_status(channel, data) in (
        "OK", "INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED",
    )  # fmt: skip


@MANY
@given(st.sampled_from([method.name for method in SERVICE.methods]), st.binary(max_size=40))
def test_every_method_of_grpc(channel: grpc.Channel, method: str, data: bytes) -> None:
    assert grpc_status(channel, data, method) in ("OK", "INVALID_ARGUMENT", "NOT_FOUND")


def test_nothing_is_left_behind(application: Application) -> None:
    """Memory stays where it is, whatever the requests were."""
    rng = np.random.default_rng(0)
    bodies = [json.dumps(VALID).encode()]
    for _ in range(50):
        data = bytearray(bodies[0])
        data[rng.integers(len(data))] = rng.integers(32, 127)
        bodies.append(bytes(data))

    def send() -> None:
        for body in bodies:
            application.check(application.ask(body))

    send()
    send()
    gc.collect()
    tracemalloc.start()
    send()
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(4):
        send()
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 50_000
