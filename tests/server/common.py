"""What the tests of the server share: requests to an ASGI application, and a server on a thread."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphctx_onnx.server import Address, Limits, Options
from graphctx_onnx.server.process import serve_until
from graphctx_onnx.server.service import ServedBundle, Service

MODEL = "digits"
INFER = f"/v2/models/{MODEL}/infer"
LIMITS = Limits(workers=2, timeout=20.0, quick=0.0)


@dataclass
class Answer:
    """What an application answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The text of an error; exactly that."""
        assert set(self.json) == {"error"}, self.body
        return self.json["error"]


async def ask(
    app: Any,
    path: str,
    body: bytes | Any = None,
    headers: Mapping[str, str] | None = None,
    method: str | None = None,
    chunks: Sequence[bytes] | None = None,
) -> Answer:
    """Send a request to an ASGI application.

    Args:
        app: the application.
        path: of the request.
        body: bytes, or what becomes JSON.
        headers: of the request.
        method: by default GET without a body, else POST.
        chunks: the body in pieces, without a content-length.
    """
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    sent = [body or b""] if chunks is None else list(chunks)
    found = {} if chunks is not None else {"content-length": str(len(sent[0]))}
    found.update(headers or {})
    messages = [
        {"type": "http.request", "body": part, "more_body": i < len(sent) - 1}
        for i, part in enumerate(sent)
    ]
    received: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop(0)
        return await asyncio.get_running_loop().create_future()  # a client that waits

    async def send(message: Any) -> None:
        received.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http",
        "method": method or ("GET" if body is None and chunks is None else "POST"),
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": [(k.lower().encode(), v.encode()) for k, v in found.items()],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
    }  # fmt: skip
    await app(scope, receive, send)
    start, *rest = received
    return Answer(
        start["status"],
        {k.decode(): v.decode() for k, v in start["headers"]},
        b"".join(message.get("body", b"") for message in rest),
    )


def request(app: Any, path: str, *args: Any, **kwargs: Any) -> Answer:
    """`ask`, in an event loop of its own."""
    return asyncio.run(ask(app, path, *args, **kwargs))


def tensor(name: str, shape: Sequence[int], data: Any, datatype: str = "FP32") -> dict[str, Any]:
    """An input in JSON."""
    return {"name": name, "shape": list(shape), "datatype": datatype, "data": data}


def infer(parameters: Mapping[str, Any] | None = None, data: Any = (1, 2, 3)) -> dict[str, Any]:
    """A request for the models of `standin.contextual`."""
    found: dict[str, Any] = {"inputs": [tensor("x", [1, 3], list(data))]}
    if parameters is not None:
        found["parameters"] = dict(parameters)
    return found


@contextlib.contextmanager
def serving(
    bundle: ServedBundle, *, limits: Limits = LIMITS, **options: Any
) -> Iterator[tuple[Service, Address, Address]]:
    """A server on a thread, with free ports: the service, and where REST and gRPC listen."""
    service = Service(bundle, name=MODEL, limits=limits)
    places: list[tuple[Address, ...]] = []
    begun = threading.Event()
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def main() -> None:
        stop = asyncio.Event()
        loops.append((asyncio.get_running_loop(), stop))

        def listening(_: str, addresses: tuple[Address, ...]) -> None:
            places.append(addresses)
            begun.set()

        options.setdefault("grace", 5.0)
        chosen = Options(http_port=0, grpc_port=0, **options)
        await serve_until(stop, service, chosen, listening)

    def run() -> None:
        try:
            asyncio.run(main())
        finally:
            begun.set()

    thread = threading.Thread(target=run)
    thread.start()
    begun.wait(20)
    try:
        [(http, grpc)] = places
        yield service, http, grpc
    finally:
        loop, stop = loops[0]
        with contextlib.suppress(RuntimeError):  # closed already
            loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        assert not thread.is_alive()
