"""REST: the protocol, its binary extension, and how requests are refused."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from graphctx_onnx.server import Limits, app, service
from graphctx_onnx.server.pace import RUNS

from tests.server.common import INFER, MODEL, Answer, ask, infer, request, tensor
from tests.server.standin import (
    StandIn,
    argument,
    contextual,
    failing_class,
    program_class,
    typed,
)

TOKEN = "0123456789abcdef"


def served(bundle: Any = None, **limits: Any) -> Any:
    found = {"workers": 2, "timeout": 20.0, "quick": 0.0, **limits}
    return app(bundle or contextual(), name=MODEL, limits=Limits(**found))


@pytest.fixture(scope="module")
def digits() -> Any:
    return served()


def output(answer: Answer) -> Any:
    assert answer.status == 200, answer.body
    [found] = answer.json["outputs"]
    return found["data"]


# -- health and metadata --------------------------------------------------------------------------


def test_health(digits: Any) -> None:
    assert request(digits, "/v2/health/live").json == {"live": True}
    assert request(digits, "/v2/health/ready").json == {"live": True, "ready": True}
    for path in (f"/v2/models/{MODEL}/ready", f"/v2/models/{MODEL}/versions/1/ready"):
        assert request(digits, path).json == {"name": MODEL, "ready": True}


def test_server_and_repository(digits: Any) -> None:
    found = request(digits, "/v2").json
    assert found["name"] == "graphctx"
    assert "binary_tensor_data" in found["extensions"]
    for method in ("GET", "POST"):
        assert request(digits, "/v2/repository/index", method=method).json == [
            {"name": MODEL, "version": "1", "state": "READY", "reason": ""}
        ]


def test_model_metadata_has_the_context(digits: Any) -> None:
    found = request(digits, f"/v2/models/{MODEL}").json
    assert found == request(digits, f"/v2/models/{MODEL}/versions/1").json
    assert found["name"], found["versions"] == (MODEL, ["1"])
    assert found["platform"] == "graphctx_onnx"
    assert found["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]
    assert found["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}]
    context = found["context"]
    assert context["prefix"] == "context."
    arguments = {entry["name"]: entry for entry in context["arguments"]}
    assert arguments["mode"] == {
        "name": "mode", "parameter": "mode", "type": "string", "required": False,
        "binding": "bound", "values": ["off", "low", "broken"], "default": "off",
    }  # fmt: skip
    assert arguments["noise_scale"]["binding"] == "runtime"
    assert "values" not in arguments["noise_scale"]
    classes = {entry["id"]: entry for entry in context["classes"]}
    assert classes["broken"] == {
        "id": "broken", "condition": "mode=broken", "error": "ValueError: no such mode"
    }  # fmt: skip
    assert classes["sample"]["draws_random_numbers"] is True
    assert classes["off"]["not_merged_because"] == "the server does not merge"


def test_metadata_says_what_is_merged() -> None:
    found = request(served(batch=8), f"/v2/models/{MODEL}").json["context"]["classes"]
    reasons = {c["id"]: c.get("not_merged_because") for c in found if "merged" in c}
    assert reasons == {
        "train": "it replaces weights (net/norm/mean)",
        "sample": "it draws random numbers",
        "off": None,
        "low": None,
    }


def test_metadata_of_a_model_without_a_default_context() -> None:
    bundle = StandIn(
        [argument("mode", "string", ("a", "b"), required=True)],
        [
            (failing_class("a", {"mode": ("a",)}), None),
            (program_class("b", {"mode": ("b",)}, inputs=[], outputs=[]), lambda feeds: {}),
        ],
    )
    found = request(served(bundle), f"/v2/models/{MODEL}").json
    assert (found["inputs"], found["outputs"]) == ([], [])
    answer = request(served(bundle), INFER, {"inputs": []})
    assert answer.status == 400
    assert answer.error.startswith("context argument 'mode' has no default; give it a value: 'a'")


def test_unknown_places(digits: Any) -> None:
    text = "there is no model 'other'; this server has 'digits'"
    for path in ("/v2/models/other", "/v2/models/other/ready", "/v2/models/other/versions/1"):
        assert (request(digits, path).status, request(digits, path).error) == (404, text)
    assert request(digits, "/v2/models/other/infer", infer()).error == text
    answer = request(digits, f"/v2/models/{MODEL}/versions/7/infer", infer())
    assert (answer.status, answer.error) == (404, "model 'digits' has no version '7'; it has '1'")
    assert request(digits, "/nothing").error == "Not Found: GET /nothing"
    answer = request(digits, INFER)
    assert (answer.status, answer.error) == (405, f"Method Not Allowed: GET {INFER}")


def test_a_model_in_the_body_is_the_one_of_the_path(digits: Any) -> None:
    for more in ({"model_name": MODEL}, {"model_version": "1"}, {"model_name": ""}):
        assert request(digits, INFER, {**infer(), **more}).status == 200
    for more, text in (
        ({"model_name": "other"}, "there is no model 'other'"),
        ({"model_version": "7"}, "has no version '7'"),
    ):
        answer = request(digits, INFER, {**infer(), **more})
        assert (answer.status, text in answer.error) == (404, True)


# -- inference ------------------------------------------------------------------------------------


def test_json_there_and_back(digits: Any) -> None:
    answer = request(digits, INFER, {"id": "seven", **infer()})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == {
        "model_name": MODEL, "model_version": "1", "id": "seven",
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 3], "data": [1.0, 2.0, 3.0]}],
    }  # fmt: skip


def test_an_id_is_made_up_where_there_is_none(digits: Any) -> None:
    ids = {request(digits, INFER, infer()).json["id"] for _ in range(3)}
    assert len(ids) == 3
    assert all(ids)
    unusual = 'quote " and \\ and \n and é'
    assert request(digits, INFER, {"id": unusual, **infer()}).json["id"] == unusual


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, [1, 2, 3]),
        ({"mode": "low"}, [2, 4, 6]),
        ({"context.mode": "low"}, [2, 4, 6]),
        ({"noise_scale": 0.25}, [1.25, 2.25, 3.25]),
        ({"noise_scale": 2, "steps": 3, "mode": "low"}, [34, 36, 38]),
        ({"training": True}, [0, 0, 0]),
        ({"sampling": True, "seed": 7}, [8, 9, 10]),
        ({"training": False, "seed": 7}, [1, 2, 3]),
        ({"context.priority": 2}, [1, 2, 3]),
    ],
)
def test_context_travels_as_parameters(digits: Any, parameters: Any, expected: Any) -> None:
    assert output(request(digits, INFER, infer(parameters))) == expected


def test_a_seed_that_is_drawn_is_told(digits: Any) -> None:
    first = request(digits, INFER, infer({"sampling": True}))
    seed = first.json["parameters"]["seed"]
    assert 0 <= seed < 2**53
    again = request(digits, INFER, infer({"sampling": True, "seed": seed}))
    assert output(again) == output(first)
    assert "parameters" not in again.json
    assert seed != request(digits, INFER, infer({"sampling": True})).json["parameters"]["seed"]


def test_clients_that_send_null_for_nothing(digits: Any) -> None:
    body = {**infer(), "id": None, "parameters": None, "outputs": None, "model_name": "digits"}
    assert output(request(digits, INFER, body)) == [1, 2, 3]
    assert output(request(digits, INFER, {**infer(), "outputs": []})) == [1, 2, 3]


def binary(
    head: Any, *parts: bytes, length: Any = None, app: Any = None, chunks: bool = False
) -> Answer:
    """Send JSON with binary tensors behind it."""
    text = json.dumps(head).encode()
    headers = {"Inference-Header-Content-Length": str(len(text) if length is None else length)}
    body = b"".join([text, *parts])
    if chunks:
        return request(app, INFER, headers=headers, chunks=[body[:7], body[7:20], body[20:]])
    return request(app, INFER, body, headers)


X = np.array([[1, 2, 3]], np.float32)
BINARY_X = {
    "name": "x", "shape": [1, 3], "datatype": "FP32", "parameters": {"binary_data_size": 12}
}  # fmt: skip


@pytest.mark.parametrize("chunks", [False, True])
def test_binary_there_and_back(digits: Any, chunks: bool) -> None:
    head = {"inputs": [BINARY_X], "parameters": {"binary_data_output": True, "mode": "low"}}
    answer = binary(head, X.tobytes(), app=digits, chunks=chunks)
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "application/octet-stream"
    length = int(answer.headers["inference-header-content-length"])
    [found] = json.loads(answer.body[:length])["outputs"]
    assert found == {
        "name": "y", "datatype": "FP32", "shape": [1, 3], "parameters": {"binary_data_size": 12}
    }  # fmt: skip
    assert answer.body[length:] == (2 * X).tobytes()


def test_binary_and_json_can_be_mixed() -> None:
    app = served(typed(["int8", "float32", "string"]))
    head = {
        "inputs": [
            {"name": "x_string", "shape": [1, 2], "datatype": "BYTES",
             "parameters": {"binary_data_size": 11}},
            {"name": "x_int8", "shape": [1, 2], "datatype": "INT8", "data": [1, -2]},
            {"name": "x_float32", "shape": [1, 2], "datatype": "FP32",
             "parameters": {"binary_data_size": 8}},
        ],
        "outputs": [
            {"name": "y_float32", "parameters": {"binary_data": False}},
            {"name": "y_string"},
            {"name": "y_int8", "parameters": {"binary_data": True}},
        ],
        "parameters": {"binary_data_output": True},
    }  # fmt: skip
    strings = b"\x02\x00\x00\x00ab\x01\x00\x00\x00c"
    answer = binary(head, strings, X[0, :2].tobytes(), app=app)
    assert answer.status == 200, answer.body
    length = int(answer.headers["inference-header-content-length"])
    assert json.loads(answer.body[:length])["outputs"] == [
        {"name": "y_float32", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]},
        {"name": "y_string", "datatype": "BYTES", "shape": [1, 2],
         "parameters": {"binary_data_size": 11}},
        {"name": "y_int8", "datatype": "INT8", "shape": [1, 2],
         "parameters": {"binary_data_size": 2}},
    ]  # fmt: skip
    assert answer.body[length:] == strings + b"\x01\xfe"


def test_every_datatype_there_and_back() -> None:
    bundle = typed()
    app = served(bundle)
    datatypes = {
        "bool": ("BOOL", [True, False]), "string": ("BYTES", ["é", ""]),
        "float16": ("FP16", [0.5, "NaN"]), "float32": ("FP32", [1e-3, "Infinity"]),
        "float64": ("FP64", [1e300, "-Infinity"]), "int8": ("INT8", [-128, 127]),
        "int16": ("INT16", [-2, 2]), "int32": ("INT32", [-2, 2]), "int64": ("INT64", [-(2**63), 2]),
        "uint8": ("UINT8", [0, 255]), "uint16": ("UINT16", [0, 2]), "uint32": ("UINT32", [0, 2]),
        "uint64": ("UINT64", [0, 2**64 - 1]),
    }  # fmt: skip
    body = {
        "inputs": [
            tensor(f"x_{dtype}", [1, 2], data, datatype)
            for dtype, (datatype, data) in datatypes.items()
        ]
    }
    answer = request(app, INFER, body)
    assert answer.status == 200, answer.body
    for found in answer.json["outputs"]:
        datatype, data = datatypes[found["name"].removeprefix("y_")]
        dtype = np.float32 if datatype == "FP32" else None
        assert found["datatype"] == datatype
        assert found["data"] == [dtype(v).item() if dtype and type(v) is float else v for v in data]


def test_large_requests_and_answers_are_worked_on_beside_the_event_loop() -> None:
    app = served(typed(["float32"]))
    values = np.random.default_rng(0).standard_normal((400, 500)).astype(np.float32)
    body = {"inputs": [tensor("x_float32", [400, 500], values.tolist())]}
    [found] = request(app, INFER, body).json["outputs"]
    assert np.array_equal(np.float32(found["data"]).reshape(400, 500), values)


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"trainign": True}, "model has no context argument 'trainign'; did you mean 'training'?"),
        ({"trainign": True}, "parameters: training (a bool), sampling (a bool), mode (one of 'of"),
        ({"sequence_id": 7}, "model has no context argument 'sequence_id'"),
        ({"mode": "loud"}, "context argument 'mode' got 'loud'; allowed: 'off', 'low', 'broken'"),
        ({"mode": None}, "the parameter 'mode' has no value; expected one of 'off', 'low', "),
        ({"priority": 3}, "context argument 'priority' got 3; allowed: 1, 2"),
        ({"noise_scale": "1"}, "the parameter 'noise_scale' is a string ('1'); expected a number"),
        ({"noise_scale": float("nan")}, "'noise_scale' got nan; allowed: any number but NaN"),
        ({"steps": 1.5}, "the parameter 'steps' is a float (1.5); expected an integer"),
        ({"steps": 2**63}, "'steps' got 9223372036854775808; allowed: any integer of 64 bits"),
        ({"mode": "broken"}, "the model raises ValueError: no such mode"),
        ([], "parameters: expected an object, got a list"),
    ],
)
def test_parameters_are_refused_by_name(digits: Any, parameters: Any, text: str) -> None:
    answer = request(digits, INFER, {**infer(), "parameters": parameters})
    assert answer.status == 400
    assert text in answer.error


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "the body is no JSON: Expecting value"),
        (b"{", "the body is no JSON"),
        (b"\xff\xfe", "the JSON of the body is no UTF-8: invalid start byte at byte 0; if binary"),
        (b"[" * 100_000, "the JSON of the body is nested too deep"),
        (b'{"inputs": [1e' + b"9" * 5000 + b"]}", "input 0: expected an object, got a number"),
        (b'{"inputs": [' + b"9" * 5000 + b"]}", "the body is no JSON: Exceeds the limit"),
        (b'{"id": "a", "id": "b", "inputs": []}', "the member 'id' stands twice in an object"),
        ([], "the body is a JSON object, got a list"),
        ({}, "the inputs of a request are a list, got nothing"),
        ({"inputs": {}}, "the inputs of a request are a list, got an object"),
        ({"inputs": [], "id": 7}, "the id of a request is a string, got a number"),
        ({"inputs": [], "model_name": []}, "the model_name of a request is a string, got a list"),
        ({"inputs": [], "model_version": 1}, "the model_version of a request is a string, got a"),
        ({"inputs": [], "parameter": {}}, "the request: unknown member 'parameter'; there are id"),
        ({"inputs": [{}]}, "input 0: its name is a string, got nothing"),
        ({"inputs": [{"name": "x"}]}, "input 'x': its datatype is one of BOOL, .*, got None"),
        (
            {"inputs": [{"name": "x", "datatype": "FP32"}]},
            "input 'x': its shape is a list of sizes, got None",
        ),
        (
            {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3]}]},
            "input 'x' has neither data nor a binary_data_size",
        ),
        (
            {"inputs": [{**tensor("x", [1, 3], [1, 2, 3]), "dtype": 1}]},
            "input 0: unknown member 'dtype'; there are name, shape, datatype, parameters, data",
        ),
        (
            {"inputs": [{**tensor("x", [1, 3], [1, 2, 3]), "parameters": {"a": 1}}]},
            "the parameters of input 'x': unknown member 'a'; there are binary_data_size",
        ),
        (
            {"inputs": [{**tensor("x", [1, 3], [1, 2, 3]), "parameters": {"binary_data_size": 1}}]},
            "input 'x' has both data and a binary_data_size",
        ),
        ({"inputs": [BINARY_X]}, "input 'x' is binary; the request needs the header inference-"),
        ({"inputs": [tensor("x", [1, 3], [1, 2, 3])] * 2}, "input 'x' is given twice"),
        ({"inputs": [tensor("x", [1, 3], [1, 2])]}, r"its shape \[1, 3\] needs 3 elements, got 2"),
        ({"inputs": []}, r"input 'x' is missing \(inputs: x: float32\[batch, 3\]\)"),
        (
            {"inputs": [tensor("x", [1, 3], [1, 2, 3]), tensor("z", [1], [1])]},
            r"no input 'z' \(inputs: x: float32\[batch, 3\]\)",
        ),
        (
            {"inputs": [tensor("x", [1, 3], [1, 2, 3], "FP64")]},
            r"input 'x': expected float32\[batch, 3\], got float64\[1, 3\]: convert it",
        ),
        ({"inputs": [tensor("x", [1, 2], [1, 2])]}, "input 'x': .* axis 1 must be 3"),
        ({"inputs": [tensor("x", [3], [1, 2, 3])]}, "input 'x': .* it needs 2 dimensions"),
        ({**infer(), "outputs": 1}, "the outputs of a request are a list, got a number"),
        ({**infer(), "outputs": [{"name": "z"}]}, "there is no output 'z' for .*; there are 'y'"),
        ({**infer(), "outputs": [{"name": "y"}] * 2}, "an output is asked for twice: 'y', 'y'"),
        (
            {**infer(), "outputs": [{"name": "y", "parameters": {"classification": 3}}]},
            "the parameters of output 'y': unknown member 'classification'; there are binary_data",
        ),
        (
            {**infer(), "outputs": [{"name": "y", "parameters": {"binary_data": 1}}]},
            "the parameters of output 'y': binary_data is a bool, got a number",
        ),
    ],
)
def test_bodies_are_refused_with_a_reason(digits: Any, body: Any, text: str) -> None:
    answer = request(digits, INFER, body)
    assert answer.status == 400, answer.body
    assert re.search(text, answer.error), answer.error


@pytest.mark.parametrize(
    ("head", "parts", "length", "text"),
    [
        ({"inputs": [BINARY_X]}, [b"1" * 11], None, "binary_data_size is 12, and 11 bytes are"),
        ({"inputs": [BINARY_X]}, [b"1" * 13], None, "1 bytes come after the last binary tensor"),
        ({"inputs": [BINARY_X]}, [], None, "its binary_data_size is 12, and 0 bytes are left"),
        ({"inputs": [BINARY_X]}, [], 10**9, "is 1000000000, and the body has"),
        ({"inputs": [BINARY_X]}, [], "-1", "is a number of bytes, got '-1'"),
        ({"inputs": [BINARY_X]}, [], "ten", "is a number of bytes, got 'ten'"),
        ({"inputs": [BINARY_X]}, [], "1" * 30, "is a number of bytes, got '1111"),
        ({"inputs": [BINARY_X]}, [], 0, "the body is no JSON"),
        (
            {"inputs": [{**BINARY_X, "parameters": {"binary_data_size": -1}}]}, [], None,
            "its binary_data_size is an integer from 0 on, got -1",
        ),
        (
            {"inputs": [{**BINARY_X, "parameters": {"binary_data_size": 8}}]}, [b"1" * 8], None,
            "its shape [1, 3] of FP32 needs 12 bytes, got 8",
        ),
        (
            {"inputs": [{**BINARY_X, "parameters": {"shared_memory_region": "a"}}]}, [], None,
            "unknown member 'shared_memory_region'",
        ),
    ],
)  # fmt: skip
def test_binary_that_does_not_fit(
    digits: Any, head: Any, parts: Any, length: Any, text: str
) -> None:
    answer = binary(head, *parts, length=length, app=digits)
    assert answer.status == 400
    assert text in answer.error


def test_encodings_are_refused(digits: Any) -> None:
    answer = request(digits, INFER, infer(), {"Content-Encoding": "gzip"})
    assert answer.status == 415
    assert answer.error == "the body has the encoding 'gzip'; send it as it is"
    assert request(digits, INFER, infer(), {"Content-Encoding": "identity"}).status == 200


# -- limits ---------------------------------------------------------------------------------------


def test_large_bodies_are_refused_before_they_are_read() -> None:
    app = served(body=1000)
    asked: list[int] = []

    async def send_too_much(headers: Any) -> list[Any]:
        sent: list[Any] = []

        async def receive() -> Any:
            asked.append(1)
            return {"type": "http.request", "body": b"1" * 600, "more_body": True}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": INFER, "headers": headers}
        await app(scope, receive, send)
        return sent

    for headers, count in (
        ([(b"content-length", b"1001")], 0),
        ([(b"content-length", b"9" * 30)], 0),
        ([], 2),
        ([(b"content-length", b"nonsense")], 2),
    ):
        asked.clear()
        start, body = asyncio.run(send_too_much(headers))
        assert start["status"] == 413
        assert b"more than the 1,000 bytes that are allowed" in body["body"]
        assert len(asked) == count


def test_large_shapes_and_many_rows_are_refused() -> None:
    app = served(body=10_000, rows=2)
    answer = request(app, INFER, {"inputs": [tensor("x", [10**9, 3], [])]})
    assert (answer.status, "stands for more than the 10,000 bytes" in answer.error) == (413, True)
    answer = request(app, INFER, {"inputs": [tensor("x", [3, 3], [1] * 9)]})
    assert answer.status == 413
    assert answer.error == "an input has 3 rows; 2 are allowed in a request: send several"


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"queue": 1}, "the queue of 1 requests is full; try again later"),
        ({"requests": 2}, "2 requests are in progress; try again later"),
    ],
)
def test_a_server_that_is_full_says_so(limits: Any, text: str) -> None:
    hold = threading.Event()
    app = served(contextual(hold), workers=1, **limits)

    async def clients() -> list[Answer]:
        tasks = [asyncio.create_task(ask(app, INFER, infer())) for _ in range(4)]
        while sum(task.done() for task in tasks) < 2:
            await asyncio.sleep(0.001)
        hold.set()
        return list(await asyncio.gather(*tasks))

    answers = asyncio.run(clients())
    assert sorted(answer.status for answer in answers) == [200, 200, 503, 503]
    refused = [answer for answer in answers if answer.status == 503]
    assert [answer.error for answer in refused] == [text] * 2
    assert all(answer.headers["retry-after"] == "1" for answer in refused)


def test_what_takes_too_long_is_given_up() -> None:
    hold = threading.Event()
    bundle = contextual(hold)
    app = served(bundle, workers=1, timeout=0.2)
    answers = asyncio.run(_both(app))
    assert [answer.status for answer in answers] == [504, 504]
    assert re.match(r"there was no answer within 0\.\d+ seconds", answers[0].error)
    hold.set()
    while 'running_batches{model="digits"} 0.0' not in request(app, "/metrics").body.decode():
        time.sleep(0.001)
    assert len(bundle.runs) == 1  # the one that waited in line never ran


async def _both(app: Any) -> list[Answer]:
    return list(await asyncio.gather(*(ask(app, INFER, infer()) for _ in range(2))))


def test_a_request_can_ask_for_less_time() -> None:
    hold = threading.Event()
    app = served(contextual(hold))
    start = time.monotonic()
    answer = request(app, INFER, infer({"timeout": 50_000}))
    hold.set()
    assert answer.status == 504
    assert time.monotonic() - start < 10


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    app = served(timeout=0.1)

    async def never() -> list[Any]:
        sent: list[Any] = []
        parts = [{"type": "http.request", "body": b"{", "more_body": True}]

        async def receive() -> Any:
            return parts.pop() if parts else await asyncio.get_running_loop().create_future()

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": INFER, "headers": []}
        await app(scope, receive, send)
        return sent

    start, body = asyncio.run(never())
    assert start["status"] == 408
    assert b"the body did not come within 0.1 seconds" in body["body"]


@pytest.mark.parametrize("when", ["reading", "waiting"])
def test_a_client_that_hangs_up_gets_nothing_and_costs_nothing(when: str) -> None:
    hold = threading.Event()
    bundle = contextual(hold)
    app = served(bundle, workers=1)
    body = json.dumps(infer()).encode()

    async def one(hang_up: bool) -> list[Any]:
        sent: list[Any] = []
        messages = [{"type": "http.request", "body": body, "more_body": when == "reading"}]
        if not hang_up:
            messages[0]["more_body"] = False

        async def receive() -> Any:
            if messages:
                return messages.pop()
            if not hang_up:
                return await asyncio.get_running_loop().create_future()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": INFER, "headers": []}
        await app(scope, receive, send)
        return sent

    async def both() -> list[list[Any]]:
        first = asyncio.create_task(one(False))
        while not bundle.runs:
            await asyncio.sleep(0.001)
        gone = await one(True)  # returns though the program before it still runs
        hold.set()
        return [await first, gone]

    answered, gone = asyncio.run(both())
    assert answered[0]["status"] == 200
    assert gone == []
    assert len(bundle.runs) == 1
    text = request(app, "/metrics").body.decode()
    assert 'status="client_gone",transport="http"} 1.0' in text


# -- failures -------------------------------------------------------------------------------------


def broken(error: Exception, *, load: bool = False) -> Any:
    bundle = contextual()

    def fail(*_: Any) -> Any:
        raise error

    program = bundle.program("off")
    if load:
        program.session = fail
    else:
        program.session = lambda: type("Session", (), {"run": staticmethod(fail)})
    return served(bundle)


def test_what_onnxruntime_refuses_is_a_bad_request() -> None:
    answer = request(
        broken(ValueError("indices element out of data bounds, idx=9")), INFER, infer()
    )
    assert answer.status == 400
    assert "onnxruntime refuses: indices element out of data bounds, idx=9" in answer.error


@pytest.mark.parametrize(
    ("error", "load"),
    [(RuntimeError("Failed to allocate memory"), False), (RuntimeError("no such file"), True)],
)
def test_what_is_the_servers_own_fault_is_told_to_the_log_alone(
    error: Exception, load: bool, caplog: pytest.LogCaptureFixture
) -> None:
    answer = request(broken(error, load=load), INFER, infer())
    assert answer.status == 500
    assert answer.error == "the server failed to run the program; see its log"
    assert str(error) in caplog.text


def test_a_bug_is_told_to_the_log_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def bug(*_: Any) -> Any:
        raise RuntimeError("a bug")

    app = served()
    monkeypatch.setattr(service.Service, "_count", bug)
    answer = request(app, INFER, infer())
    assert (answer.status, answer.error) == (500, "the server failed; see its log")
    assert "RuntimeError: a bug" in caplog.text
    text = request(app, "/metrics").body.decode()
    assert 'requests_total{class="off",model="digits",status="failed",transport="http"} 1.0' in text
    monkeypatch.setattr(service.Service, "index", bug)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/v2/repository/index", "headers": []}
    with pytest.raises(RuntimeError, match="a bug"):  # ASGI servers log what comes out
        asyncio.run(app(scope, None, send))
    assert (sent[0]["status"], sent[1]["body"]) == (
        500, b'{"error":"the server failed; see its log"}'
    )  # fmt: skip


# -- token, metrics, life -------------------------------------------------------------------------


def test_with_a_token_only_health_is_open() -> None:
    guarded = app(contextual(), name=MODEL, token=TOKEN)
    right = {"Authorization": f"Bearer {TOKEN}"}
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert request(guarded, path).status == 200
    for path, body in ((INFER, infer()), ("/v2", None), ("/metrics", None), ("/nothing", None)):
        answer = request(guarded, path, body)
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.error.startswith("this server wants a bearer token")
        assert request(guarded, path, body, right).status in (200, 404)
    for wrong in (f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "", "é"):
        assert request(guarded, INFER, infer(), {"Authorization": wrong}).status == 401


@pytest.mark.parametrize(
    ("token", "text"),
    [("short", "16 characters or more, got 5"), ("with a blank in it", "visible ASCII")],
)
def test_tokens_that_are_none(token: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        app(contextual(), token=token)


def test_metrics_are_by_class() -> None:
    app = served()
    request(app, INFER, infer())
    request(app, INFER, infer({"mode": "low"}))
    request(app, INFER, infer({"mode": "low"}))
    request(app, INFER, infer({"mode": "loud"}))
    text = request(app, "/metrics").body.decode()
    for line in (
        'graphctx_requests_total{class="off",model="digits",status="ok",transport="http"} 1.0',
        'graphctx_requests_total{class="low",model="digits",status="ok",transport="http"} 2.0',
        'graphctx_requests_total{class="none",model="digits",status="invalid",transport="http"} 1',
        'graphctx_request_seconds_count{class="low",model="digits"} 2.0',
        'graphctx_request_seconds_bucket{class="low",le="30.0",model="digits"} 2.0',
        'graphctx_run_seconds_count{class="low",model="digits"} 2.0',
        'graphctx_batch_rows_sum{class="low",model="digits"} 2.0',
        'graphctx_batch_requests_bucket{class="low",le="1.0",model="digits"} 2.0',
        'graphctx_batch_requests_bucket{class="low",le="+Inf",model="digits"} 2.0',
        'graphctx_queue_requests{model="digits"} 0.0',
        'graphctx_running_batches{model="digits"} 0.0',
        'graphctx_class_info{class="train",condition="training=True",model="digits"} 1.0',
    ):
        assert line in text, line


def test_requests_are_logged_without_payloads(caplog: pytest.LogCaptureFixture) -> None:
    logged = app(contextual(), name=MODEL, log_requests=True)
    with caplog.at_level("INFO", "graphctx.server"):
        request(logged, INFER, {"id": "seven", **infer({"mode": "low"}, (123, 456, 789))})
    [record] = caplog.records
    assert record.getMessage() == "request"
    fields = record.fields  # type: ignore[attr-defined]
    assert fields.pop("milliseconds") > 0
    assert fields == {
        "transport": "http", "model": MODEL, "id": "seven", "context_class": "low", "rows": 1,
        "status": "ok",
    }  # fmt: skip


def test_shutting_down_answers_what_was_taken() -> None:
    hold = threading.Event()
    bundle = contextual(hold)
    app = served(bundle, workers=1)

    async def life() -> tuple[list[Answer], Answer]:
        events: list[Any] = [{"type": "lifespan.shutdown"}, {"type": "lifespan.startup"}]
        gate = asyncio.Event()
        done: list[str] = []

        async def receive() -> Any:
            if len(events) == 1:
                await gate.wait()
            return events.pop()

        async def send(message: Any) -> None:
            done.append(message["type"])

        server = asyncio.create_task(app({"type": "lifespan", "asgi": {}}, receive, send))
        taken = [asyncio.create_task(ask(app, INFER, infer())) for _ in range(3)]
        while not bundle.runs:
            await asyncio.sleep(0.001)
        gate.set()
        while (await ask(app, "/v2/health/ready")).status != 503:
            await asyncio.sleep(0.001)
        late = await ask(app, INFER, infer())
        assert (await ask(app, "/v2/health/live")).status == 200
        hold.set()
        answers = list(await asyncio.gather(*taken))
        await server
        assert done == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        return answers, late

    answers, late = asyncio.run(life())
    assert [answer.status for answer in answers] == [200] * 3
    assert (late.status, late.error) == (503, "the server is shutting down")


# -- where programs run ---------------------------------------------------------------------------


def test_quick_programs_run_in_the_event_loop_and_slow_ones_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle = contextual()
    names: list[str] = []
    clock = SimpleNamespace(now=0.0, step=0.001)  # a run takes what the test says
    monkeypatch.setattr(service, "time", SimpleNamespace(perf_counter=lambda: clock.now))

    def run(feeds: dict[str, Any]) -> dict[str, Any]:
        names.append(threading.current_thread().name)
        clock.now += clock.step
        return {"y": feeds["x"]}

    program = bundle.program("off")
    session = program.session()
    session.function = run
    program.session = lambda: session
    app = served(bundle, quick=0.002)

    async def ask_often(count: int) -> set[str]:
        names.clear()
        for _ in range(count):
            assert (await ask(app, INFER, infer())).status == 200
        return {name.rpartition("-")[0] for name in names}

    async def life() -> None:
        assert await ask_often(RUNS) == {"graphctx-run"}  # nothing is known yet
        assert await ask_often(5) == {""}  # the main thread, which has the event loop
        clock.step = 0.03
        assert await ask_often(1) == {""}  # blocks it, once
        assert await ask_often(20) == {"graphctx-run"}

    asyncio.run(life())


def test_the_event_loop_answers_while_programs_run() -> None:
    hold = threading.Event()
    bundle = contextual(hold)
    app = served(bundle, quick=0.0002)

    async def life() -> None:
        runs = [asyncio.create_task(ask(app, INFER, infer())) for _ in range(20)]
        while not bundle.runs:
            await asyncio.sleep(0.001)
        start = time.monotonic()
        assert (await ask(app, "/v2/health/live")).status == 200
        assert time.monotonic() - start < 5
        hold.set()
        assert {answer.status for answer in await asyncio.gather(*runs)} == {200}

    asyncio.run(life())


# -- merging --------------------------------------------------------------------------------------


def test_requests_of_different_contexts_are_never_mixed() -> None:
    hold = threading.Event()
    bundle = contextual(hold)
    app = served(bundle, workers=1, batch=16)
    contexts: list[tuple[dict[str, Any], Any]] = [
        ({"mode": "off"}, lambda x: x),
        ({"mode": "low"}, lambda x: 2 * x),
        ({"mode": "off", "noise_scale": 0.5}, lambda x: x + 0.5),
        ({"mode": "off", "steps": 1}, lambda x: x + 10),
        ({"training": True}, lambda x: 0 * x),
        ({"sampling": True, "seed": 3}, lambda x: x + 3),
    ]

    async def clients() -> list[tuple[Any, Answer]]:
        tasks = []
        for number in range(12):
            for parameters, expected in contexts:
                x = np.full(3, number, np.float32)
                body = infer(parameters, x.tolist())
                tasks.append((expected(x), asyncio.create_task(ask(app, INFER, body))))
        await asyncio.sleep(0.05)
        hold.set()
        return [(expected, await task) for expected, task in tasks]

    for round_ in range(3):
        hold.clear()
        bundle.runs.clear()
        for expected, answer in asyncio.run(clients()):
            assert output(answer) == expected.tolist()
        if round_ == 2:  # by now the trials are over
            assert max(rows for name, rows in bundle.runs if name in ("off", "low")) >= 11
            assert {rows for name, rows in bundle.runs if name in ("train", "sample")} == {1}


def test_one_bad_request_of_a_batch_spoils_no_other() -> None:
    hold = threading.Event()
    bundle = contextual(hold)

    def picky(feeds: dict[str, Any]) -> dict[str, Any]:
        assert hold.wait(20)
        if (feeds["x"] < 0).any():
            raise ValueError("negative")
        return {"y": feeds["x"]}

    program = bundle.program("off")
    session = program.session()
    session.function = picky
    program.session = lambda: session
    app = served(bundle, workers=1, batch=16)

    async def clients() -> list[Answer]:
        data = [1, 2, -3, 4, 5]
        tasks = [asyncio.create_task(ask(app, INFER, infer({}, [v] * 3))) for v in data]
        await asyncio.sleep(0.05)
        hold.set()
        return list(await asyncio.gather(*tasks))

    for _ in range(5):
        hold.clear()
        assert [answer.status for answer in asyncio.run(clients())] == [200, 200, 400, 200, 200]


def test_a_program_whose_rows_know_of_each_other_is_found_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hold = threading.Event()
    bundle = contextual(hold)
    program = bundle.program("off")
    session = program.session()
    session.function = lambda feeds: {"y": feeds["x"] - feeds["x"].mean(0) + hold.wait(20)}
    program.session = lambda: session
    app = served(bundle, workers=1, batch=16)

    async def clients() -> list[Answer]:
        tasks = [asyncio.create_task(ask(app, INFER, infer({}, [v] * 3))) for v in range(4)]
        await asyncio.sleep(0.05)
        hold.set()
        return list(await asyncio.gather(*tasks))

    for _ in range(2):
        hold.clear()
        assert [output(answer) for answer in asyncio.run(clients())] == [[1, 1, 1]] * 4
    assert [r.getMessage() for r in caplog.records] == ["requests are not merged"]
    classes = request(app, f"/v2/models/{MODEL}").json["context"]["classes"]
    [found] = [c for c in classes if c["id"] == "off"]
    assert found["merged"] is False
    assert found["not_merged_because"].startswith("its output 'y' is another one when requests")


@pytest.mark.parametrize("name", ["", "a/b", "a b", "é", ".", "a?"])
def test_names_that_are_no_part_of_a_path(name: str) -> None:
    with pytest.raises(ValueError, match="the version of a model is part of a path: letters, dig"):
        app(contextual(), name=MODEL, version=name)
    if name:  # without one it is that of the bundle
        with pytest.raises(ValueError, match="the name of a model is part of a path"):
            app(contextual(), name=name)


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"body": 0}, "body is an integer from 1 on, got 0"),
        ({"workers": 1.5}, "workers is an integer from 1 on, got 1.5"),
        ({"queue": -1}, "queue is an integer from 0 on, got -1"),
        ({"timeout": 0.0}, "timeout is a number of seconds above 0"),
        ({"quick": 1.0}, "quick is a number of seconds from 0 to 0.01, got 1.0"),
        ({"delay": 30.0}, "delay is a number of seconds from 0 to less than the timeout"),
    ],
)
def test_limits_that_make_no_sense(limits: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Limits(**limits)
