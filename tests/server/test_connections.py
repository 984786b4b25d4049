"""Connections: slow ones, broken ones, and those that never end."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from graphctx_onnx.server import Address, Limits, connections
from graphctx_onnx.server.connections import BoundedHttp
from graphctx_onnx.server.service import Service

from tests.server.common import INFER, infer, serving
from tests.server.standin import StandIn, contextual, typed

BODY = json.dumps(infer()).encode()
HEAD = f"POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(BODY)}\r\n\r\n".encode()


class Served:
    """A server, and what a test asks of it."""

    def __init__(self, bundle: StandIn, service: Service, address: Address) -> None:
        self.bundle = bundle
        self.service = service
        self.address = address

    def connect(self) -> socket.socket:
        return socket.create_connection((self.address.host, self.address.port), timeout=20)

    def is_well(self) -> bool:
        """Whether a client is answered, soon, and no other request is in progress."""
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with self.connect() as sock:
                sock.sendall(HEAD + BODY)
                answered = received(sock).startswith(b"HTTP/1.1 200 ")
            if answered and self.service.calls == 0:
                return True
            time.sleep(0.005)
        return False


def received(sock: socket.socket) -> bytes:
    """What comes until a response is complete, or the connection ends."""
    data = b""
    while True:
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [
            int(line[15:]) for line in head.split(b"\r\n") if line[:15] == b"content-length:"
        ]
        if b"\r\n\r\n" in data and lengths and len(body) >= lengths[0]:
            return data
        part = sock.recv(65536)
        if not part:
            return data
        data += part


@pytest.fixture(scope="module")
def running() -> Iterator[Served]:
    bundle = contextual()
    limits = Limits(workers=1, timeout=20.0, body=10_000)
    with serving(bundle, limits=limits, connections=6) as (service, http, _):
        yield Served(bundle, service, http)


@pytest.fixture
def server(running: Served) -> Iterator[Served]:
    """The same for all tests; each leaves it as well as it was."""
    yield running
    assert running.is_well()


def test_one_connection_serves_many_requests_also_in_pieces(server: Served) -> None:
    with server.connect() as sock:
        for size in (1, 7, 50, 1000):
            data = HEAD + BODY
            for start in range(0, len(data), size):
                sock.sendall(data[start : start + size])
            assert received(sock).startswith(b"HTTP/1.1 200 ")
        sock.sendall(2 * (HEAD + BODY))  # pipelined
        both = received(sock)
        while both.count(b"HTTP/1.1 200 ") < 2:
            both += received(sock)


def test_a_connection_may_idle_between_requests_but_not_within_a_head(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server.connect() as sock:
        sock.sendall(HEAD + BODY)
        assert received(sock).startswith(b"HTTP/1.1 200 ")
        monkeypatch.setattr(connections, "HEAD_SECONDS", 0.05)
        time.sleep(0.2)
        sock.sendall(HEAD + BODY)
        assert received(sock).startswith(b"HTTP/1.1 200 ")
        sock.sendall(HEAD[:20])
        assert received(sock).startswith(b"HTTP/1.1 408 ")
        assert sock.recv(100) == b""


def test_a_connection_that_says_nothing_is_closed(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.05)
    with server.connect() as sock:
        assert received(sock).startswith(b"HTTP/1.1 408 ")


def test_a_head_without_end_is_refused(server: Served) -> None:
    with server.connect() as sock:
        sock.sendall(f"POST {INFER} HTTP/1.1\r\n".encode())
        sock.sendall(b"x-more: " + b"y" * 100_000 + b"\r\n")
        answer = received(sock)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")


def test_a_body_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REST_SECONDS", 0.05)
    bundle = contextual()
    with serving(bundle, limits=Limits(workers=1, timeout=0.1)) as (service, http, _):
        with Served(bundle, service, http).connect() as sock:
            sock.sendall(HEAD + BODY[:10])
            assert received(sock).startswith(b"HTTP/1.1 408 ")
            assert sock.recv(100) == b""
        assert service.calls == 0


EARLY = [
    (b"POST /nothing", b"404"),
    (b"POST /v2/models/other/infer", b"404"),
    (b"POST " + INFER.encode(), b"413"),
]


@pytest.mark.parametrize(("start", "status"), EARLY)
def test_what_is_refused_before_it_came_may_still_come(
    server: Served, start: bytes, status: bytes
) -> None:
    """A client that sends all of its body first sees why it was refused, and may go on."""
    with server.connect() as sock:
        sock.sendall(start + b" HTTP/1.1\r\nhost: x\r\ncontent-length: 3000000\r\n\r\n")
        for _ in range(30):
            sock.sendall(b"1" * 100_000)
        assert received(sock).startswith(b"HTTP/1.1 " + status)
        sock.sendall(HEAD + BODY)
        assert received(sock).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(("start", "status"), EARLY)
def test_but_not_for_long(
    server: Served, monkeypatch: pytest.MonkeyPatch, start: bytes, status: bytes
) -> None:
    monkeypatch.setattr(connections, "REST_SECONDS", 0.05)
    with server.connect() as sock:
        sock.sendall(start + b" HTTP/1.1\r\nhost: x\r\ncontent-length: 3000000\r\n\r\nsome")
        assert received(sock).startswith(b"HTTP/1.1 " + status)
        assert sock.recv(100) == b""


def test_a_client_that_does_not_take_its_answer_loses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = typed(["float32"])
    values = np.zeros((1000, 1000), np.float32)
    head = {"inputs": [{"name": "x_float32", "shape": values.shape, "datatype": "FP32",
                        "parameters": {"binary_data_size": values.nbytes}}],
            "parameters": {"binary_data_output": True}}  # fmt: skip
    text = json.dumps(head).encode()
    request = (
        f"POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(text) + values.nbytes}\r\n"
        f"inference-header-content-length: {len(text)}\r\n\r\n"
    ).encode() + text + values.tobytes()  # fmt: skip
    with serving(bundle, limits=Limits(workers=1, timeout=20.0)) as (service, http, _):
        server = Served(bundle, service, http)
        with server.connect() as sock:
            sock.sendall(request)
            assert len(received(sock)) > values.nbytes
            monkeypatch.setattr(connections, "STALL_SECONDS", 0.1)
            with pytest.raises(ConnectionError):  # a reset, not a proper end
                sock.sendall(20 * request)  # more answers than the buffers of the system hold


@pytest.mark.parametrize(("taken", "aborted"), [(0, 1), ((1 << 16) - 1, 1), (1 << 16, 0)])
def test_a_client_has_to_take_some_of_its_answer(taken: int, aborted: int) -> None:
    calls: list[Any] = []
    transport = SimpleNamespace(
        get_write_buffer_size=lambda: 500_000 - taken, abort=lambda: calls.append("abort")
    )
    connection = SimpleNamespace(transport=transport, _watch=calls.append)
    BoundedHttp._look(connection, 500_000)  # type: ignore[arg-type]
    assert calls == (["abort"] if aborted else [500_000 - taken])


def test_clients_that_vanish_leave_nothing_behind(server: Served) -> None:
    for piece in (HEAD[:30], HEAD, HEAD + BODY[:20], HEAD + BODY):
        for _ in range(3):
            sock = server.connect()
            sock.sendall(piece)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
            sock.close()


def test_more_connections_than_there_may_be_are_turned_away(server: Served) -> None:
    idle = [server.connect() for _ in range(6)]
    with server.connect() as sock:
        sock.sendall(HEAD + BODY)
        assert received(sock).startswith(b"HTTP/1.1 503 ")
    for sock in idle:
        sock.close()


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST " + INFER.encode() + b" HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST " + INFER.encode() + b" HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST " + INFER.encode() + b" HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 50,  # TLS
        b"\x00" * 200,
        b"GET /v2/\xff HTTP/1.1\r\n\r\n",
        b"GET http://[/v2 HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(server: Served, data: bytes) -> None:
    with server.connect() as sock:
        sock.sendall(data)
        answer = received(sock)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
def test_clients_that_want_another_protocol(server: Served, protocol: bytes) -> None:
    upgrade = b"host: x\r\nconnection: upgrade\r\nupgrade: " + protocol
    with server.connect() as sock:
        sock.sendall(HEAD.replace(b"host: x", upgrade) + BODY)
        answer = received(sock)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"send the request without the header Upgrade" in answer
    with server.connect() as sock:
        sock.sendall(b"GET /v2/health/live HTTP/1.1\r\n" + upgrade + b"\r\n\r\n")
        assert received(sock).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("host", [b"[", b"evil.example", b"\xff", b""])
def test_what_a_client_calls_the_host_means_nothing(server: Served, host: bytes) -> None:
    for path in (b"/v2/", b"/nothing", b"/v2/models/%ff%00/ready"):
        with server.connect() as sock:
            sock.sendall(b"GET " + path + b" HTTP/1.1\r\nhost: " + host + b"\r\n\r\n")
            answer = received(sock)
        assert answer.startswith(b"HTTP/1.1 404 ")
        assert b"location" not in answer


def test_a_client_that_hangs_up_while_it_waits_frees_its_place() -> None:
    hold = threading.Event()
    bundle = contextual(hold)
    with serving(bundle, limits=Limits(workers=1, timeout=20.0)) as (service, http, _):
        server = Served(bundle, service, http)
        first, second = server.connect(), server.connect()
        first.sendall(HEAD + BODY)
        wait(lambda: bundle.runs)
        second.sendall(HEAD + BODY)
        wait(lambda: service.calls == 2)
        second.close()
        wait(lambda: service.calls == 1)
        hold.set()
        assert received(first).startswith(b"HTTP/1.1 200 ")
        assert len(bundle.runs) == 1
        first.close()


def wait(condition: Any) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)
