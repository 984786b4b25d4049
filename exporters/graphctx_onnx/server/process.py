"""Both transports in one process, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import math
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import uvicorn

from graphctx_onnx.server.connections import BoundedHttp
from graphctx_onnx.server.grpc import make_server
from graphctx_onnx.server.logs import LEVELS, log, set_up
from graphctx_onnx.server.rest import make_app
from graphctx_onnx.server.security import Token
from graphctx_onnx.server.service import Service

LOOPBACK = "127.0.0.1"

_KEEP_ALIVE = 75  # seconds; longer than the pools of clients and balancers keep a connection


class StartError(RuntimeError):
    """The server cannot start; the message says why."""


@dataclass(frozen=True)
class Options:
    """How a server process runs.

    Attributes:
        host: IP address to listen on; by default nobody but this machine reaches it.
        http_port: of REST; 0 for any that is free, None for no REST.
        grpc_port: of gRPC; likewise.
        token: that requests must have; health is open without it.
        certificate: file of a TLS certificate and its chain (PEM), for both ports.
        key: file of its private key (PEM).
        connections: of HTTP at a time; others are answered 503.
        grace: seconds that requests in progress have when the process is told to stop.
        log_level: `debug`, `info`, `warning` or `error`.

    Raises:
        StartError: an option makes no sense.
    """

    host: str = LOOPBACK
    http_port: int | None = 8080
    grpc_port: int | None = 8081
    token: str | None = field(default=None, repr=False)
    certificate: Path | None = None
    key: Path | None = None
    connections: int = 1024
    grace: float = 30.0
    log_level: str = "info"

    def __post_init__(self) -> None:
        try:
            ipaddress.ip_address(self.host)
        except ValueError as error:
            raise StartError(
                f"the host is an IP address such as 127.0.0.1 or ::, got {self.host!r}"
            ) from error
        if self.http_port is None and self.grpc_port is None:
            raise StartError("there is nothing to serve: neither an HTTP port nor one of gRPC")
        for port in (self.http_port, self.grpc_port):
            if port is not None and not 0 <= port < 1 << 16:
                raise StartError(f"a port is a number from 0 to 65535, got {port!r}")
        if (self.certificate is None) != (self.key is None):
            raise StartError("TLS needs both, a certificate and its private key")
        if self.connections < 1 or not 0 <= self.grace < math.inf:
            raise StartError("connections are 1 or more, and grace 0 seconds or more")
        if self.log_level not in LEVELS:
            raise StartError(f"the log level is one of {', '.join(LEVELS)}")
        if self.token is not None:
            try:
                Token(self.token)
            except ValueError as error:
                raise StartError(str(error)) from error


@dataclass(frozen=True)
class Address:
    """Where a server listens; `scheme` is `http`, `https`, `grpc` or `grpcs`."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{_bracketed(self.host)}:{self.port}"


Listening = Callable[[str, tuple[Address, ...]], None]


def run(
    service: Service, options: Options | None = None, listening: Listening | None = None
) -> None:
    """Serve until SIGTERM or SIGINT; then answer what has been taken, and return.

    A second signal ends the process at once.

    Args:
        service: to serve; it is closed at the end.
        options: how.
        listening: told the model's name and where the server listens, once it does.

    Raises:
        StartError: a port is taken, or the certificate cannot be used.
    """
    options = options or Options()
    set_up(options.log_level)

    async def main() -> None:
        stop = asyncio.Event()
        with _signals(stop):
            await serve_until(stop, service, options, listening)

    try:
        asyncio.run(main())
    finally:
        service.close(0)


async def serve_until(
    stop: asyncio.Event, service: Service, options: Options, listening: Listening | None = None
) -> None:
    """Serve until an event is set; see `run`."""
    token = None if options.token is None else Token(options.token)
    _check_certificate(options)
    if token is None and not ipaddress.ip_address(options.host).is_loopback:
        log(logging.WARNING, "anybody who reaches this machine may use the server: no token")
    addresses = []
    with contextlib.ExitStack() as stack:
        sock = http = rpc = None
        if options.http_port is not None:
            sock = stack.enter_context(_socket(options.host, options.http_port))
            scheme = "https" if options.certificate else "http"
            addresses.append(Address(scheme, options.host, sock.getsockname()[1]))
        if options.grpc_port is not None:
            rpc = make_server(service, token)
            scheme = "grpcs" if options.certificate else "grpc"
            addresses.append(Address(scheme, options.host, _add_port(rpc, options)))
        running = []
        if rpc is not None:
            await rpc.start()
        if sock is not None:
            http = _Http(_config(service, options, token))
            running.append(asyncio.create_task(http.serve([sock])))
            while not http.started and not running[0].done():
                await asyncio.sleep(0.005)
        log(logging.INFO, "listening", model=service.name, addresses=[str(a) for a in addresses])
        if listening is not None:
            listening(service.name, tuple(addresses))
        await stop.wait()
        log(logging.INFO, "stopping", requests=service.calls)
        service.drain()
        if http is not None:
            http.should_exit = True
        if rpc is not None:
            running.append(asyncio.create_task(rpc.stop(options.grace)))
        await asyncio.gather(*running)
        await asyncio.to_thread(service.close, options.grace)
        log(logging.INFO, "stopped")


# -- REST -----------------------------------------------------------------------------------------


class _Http(uvicorn.Server):
    """uvicorn's server, with the signals left to this module."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _config(service: Service, options: Options, token: Token | None) -> uvicorn.Config:
    return uvicorn.Config(
        make_app(service, token, owned=False),
        http=BoundedHttp,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=options.connections,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=math.ceil(options.grace),
        ssl_certfile=options.certificate,
        ssl_keyfile=options.key,
    )


def _socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small packets at once only where a socket says that it speaks TCP.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise _taken(host, port, error.strerror or str(error)) from error
    return made


def _taken(host: str, port: int, reason: str) -> StartError:
    return StartError(
        f"cannot listen on {_bracketed(host)}:{port}: {reason}; choose another port, or 0 for any "
        f"that is free"
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


# -- gRPC -----------------------------------------------------------------------------------------


def _add_port(server: grpc.aio.Server, options: Options) -> int:
    assert options.grpc_port is not None
    address = f"{_bracketed(options.host)}:{options.grpc_port}"
    try:
        if options.certificate is None or options.key is None:
            return int(server.add_insecure_port(address))
        pair = (options.key.read_bytes(), options.certificate.read_bytes())
        return int(server.add_secure_port(address, grpc.ssl_server_credentials([pair])))
    except RuntimeError as error:
        raise _taken(options.host, options.grpc_port, "gRPC cannot bind it") from error


# -- both -----------------------------------------------------------------------------------------


def _check_certificate(options: Options) -> None:
    if options.certificate is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(options.certificate, options.key)
    except OSError as error:  # among them ssl.SSLError
        raise StartError(
            f"the certificate {options.certificate} and its key {options.key} cannot be used: "
            f"{error}"
        ) from error


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """Set an event on the first SIGTERM or SIGINT; the next one does what it does by default."""
    loop = asyncio.get_running_loop()
    known = (signal.SIGTERM, signal.SIGINT)

    def remove() -> None:
        for number in known:
            loop.remove_signal_handler(number)

    def told() -> None:
        remove()
        stop.set()

    for number in known:
        loop.add_signal_handler(number, told)
    try:
        yield
    finally:
        remove()
