"""The protocol over REST, as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from graphctx_onnx.server.logs import log_failure
from graphctx_onnx.server.metrics import CONTENT_TYPE
from graphctx_onnx.server.protocol import RequestError, Status
from graphctx_onnx.server.rest_body import HEADER_LENGTH, Answer, read_request, write_answer
from graphctx_onnx.server.security import Token
from graphctx_onnx.server.service import RETRY_SECONDS, Call, Service
from graphctx_onnx.server.tensors import LARGE
from graphctx_onnx.server.waiting import ClientGoneError

OPEN = ("/v2/health/live", "/v2/health/ready")
"""Paths that need no token."""


def make_app(service: Service, token: Token | None = None, *, owned: bool = True) -> Starlette:
    """The application that serves a service.

    Args:
        service: to serve.
        token: that requests must have; health is open without it.
        owned: whether the service is closed when the application is shut down.
    """
    pages = _Pages(service)
    infer = _Infer(service)
    model = "/v2/models/{name}"
    version = f"{model}/versions/{{version}}"
    routes = [  # tried in this order
        Route(f"{model}/infer", infer, methods=["POST"]),
        Route(f"{version}/infer", infer, methods=["POST"]),
        Route("/v2", pages.server),
        Route("/v2/health/live", pages.live),
        Route("/v2/health/ready", pages.ready),
        Route("/v2/repository/index", pages.index, methods=["GET", "POST"]),
        Route(model, pages.model),
        Route(version, pages.model),
        Route(f"{model}/ready", pages.model_ready),
        Route(f"{version}/ready", pages.model_ready),
        Route("/metrics", pages.metrics),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        if owned:
            await asyncio.to_thread(service.close, service.limits.timeout)

    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[Middleware(_Guard, token=token)] if token else [],
        exception_handlers={RequestError: _on_refused, HTTPException: _on_http, Exception: _on_bug},
    )
    app.router.redirect_slashes = False  # it would redirect to where the client's Host says
    return app


# -- errors ---------------------------------------------------------------------------------------


def _refusal(error: RequestError) -> Response:
    headers = {}
    if error.status is Status.BUSY:
        headers["retry-after"] = str(RETRY_SECONDS)
    if error.status is Status.UNAUTHENTICATED:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse({"error": str(error)}, error.status.http, headers)


async def _on_refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return _refusal(error)


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = f"{error.detail}: {request.method} {request.scope['path']:.200}"
    return JSONResponse({"error": text}, error.status_code, error.headers)


async def _on_bug(_: Request, __: Exception) -> Response:
    return JSONResponse({"error": "the server failed; see its log"}, 500)


class _Guard:
    """Lets in who has the token."""

    def __init__(self, app: ASGIApp, token: Token) -> None:
        self.app = app
        self.token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN:
            given = [value for name, value in scope["headers"] if name == b"authorization"]
            if len(given) != 1 or not self.token.accepts(given[0]):
                error = RequestError(
                    "this server wants a bearer token: Authorization: Bearer ...",
                    Status.UNAUTHENTICATED,
                )
                await _refusal(error)(scope, receive, send)
                return
        await self.app(scope, receive, send)


# -- what is not inference ------------------------------------------------------------------------


class _Pages:
    """Health, metadata and metrics."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def server(self, _: Request) -> Response:
        return JSONResponse(self.service.server_metadata())

    async def live(self, _: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(self, _: Request) -> Response:
        ready = self.service.ready
        return JSONResponse({"live": True, "ready": ready}, 200 if ready else 503)

    async def index(self, _: Request) -> Response:
        return JSONResponse(self.service.index())

    async def metrics(self, _: Request) -> Response:
        return Response(self.service.metrics.text(), media_type=CONTENT_TYPE)

    async def model(self, request: Request) -> Response:
        self._check(request)
        return JSONResponse(self.service.model_metadata())

    async def model_ready(self, request: Request) -> Response:
        self._check(request)
        ready = self.service.ready
        return JSONResponse({"name": self.service.name, "ready": ready}, 200 if ready else 503)

    def _check(self, request: Request) -> None:
        self.service.check_model(request.path_params["name"], request.path_params.get("version"))


# -- inference ------------------------------------------------------------------------------------


class _Infer:
    """`POST .../infer`. An ASGI application, as the way over Starlette's requests takes longer."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            call = self.service.begin("http")
        except RequestError as error:
            await _refusal(error)(scope, receive, send)
            return
        status = "ok"
        answer: Answer | Response
        try:
            answer = await self._answer(scope, receive, call)
        except RequestError as error:
            status = error.status.name.lower()
            answer = _refusal(error)
        except ClientGoneError:
            status = "client_gone"
            return
        except asyncio.CancelledError:
            status = "cancelled"
            if self.service.ready:
                raise
            # The grace is over: uvicorn cancels what still runs, and would answer 500.
            answer = _refusal(RequestError("the server shuts down", Status.BUSY))
        except Exception as error:
            status = Status.FAILED.name.lower()
            log_failure(error)
            answer = await _on_bug(Request(scope), error)
        finally:
            call.finish(status)
        await answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, call: Call) -> Answer:
        service = self.service
        path = scope["path_params"]
        service.check_model(path["name"], path.get("version"))
        headers = dict(scope["headers"])
        encoding = headers.get(b"content-encoding", b"identity")
        if encoding != b"identity":
            raise RequestError(
                f"the body has the encoding {encoding.decode('latin-1')!r:.40}; send it as it is",
                Status.UNSUPPORTED,
            )
        body = await self._body(receive, headers)
        if not body and b"upgrade" in headers:  # uvicorn's parser has dropped it
            raise RequestError(
                "this server stays with HTTP/1.1: send the request without the header Upgrade"
            )
        header_length = headers.get(HEADER_LENGTH)
        most = service.limits.body
        if len(body) > LARGE:
            read = await asyncio.to_thread(read_request, body, header_length, most)
        else:
            read = read_request(body, header_length, most)
        call.id = read.request.id
        if read.model or read.version:
            service.check_model(read.model or path["name"], read.version)

        async def gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        response = await service.infer(read.request, call, gone=gone)
        if sum(array.size for array in response.outputs.values()) > LARGE:
            return await asyncio.to_thread(write_answer, service, read, response)
        return write_answer(service, read, response)

    async def _body(self, receive: Receive, headers: dict[bytes, bytes]) -> bytes:
        """The whole body, if it is not too long and does not take too long."""
        limits = self.service.limits
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and (len(declared) > 18 or int(declared) > limits.body):
            raise _too_long(limits.body)
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            body: bytes = message.get("body", b"")
            if len(body) > limits.body:
                raise _too_long(limits.body)
            return body
        parts, size = [], 0
        try:
            async with asyncio.timeout(limits.timeout):
                while True:
                    if message["type"] == "http.disconnect":
                        raise ClientGoneError
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > limits.body:
                        raise _too_long(limits.body)
                    if not message.get("more_body"):
                        return b"".join(parts)
                    message = await receive()
        except TimeoutError:
            raise RequestError(
                f"the body did not come within {limits.timeout:.3g} seconds", Status.TOO_SLOW
            ) from None


def _too_long(most: int) -> RequestError:
    return RequestError(
        f"the body has more than the {most:,} bytes that are allowed; send several requests",
        Status.TOO_LARGE,
    )
