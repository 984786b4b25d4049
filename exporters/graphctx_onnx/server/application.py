"""`app`, the server as an ASGI application, and `serve`, which runs it beside gRPC."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette

from graphctx_onnx.runtime import Bundle
from graphctx_onnx.server.limits import Limits
from graphctx_onnx.server.process import Listening, Options, run
from graphctx_onnx.server.rest import make_app
from graphctx_onnx.server.security import Token
from graphctx_onnx.server.service import ServedBundle, Service

if TYPE_CHECKING:
    StrPath = str | os.PathLike[str]


def app(
    bundle: ServedBundle | StrPath,
    *,
    name: str | None = None,
    version: str = "1",
    limits: Limits | None = None,
    token: str | None = None,
    log_requests: bool = False,
) -> Starlette:
    """The REST side of the server, for any ASGI server.

    Args:
        bundle: a loaded `Bundle`, or the path of one.
        name: that clients know the model by; by default that of the folder, else of the model.
        version: that clients may ask for.
        limits: what is taken at most.
        token: that requests must have as `Authorization: Bearer ...`; health is open.
        log_requests: whether each request gets a line in the log.

    Returns:
        The application. When it is shut down it answers what it has taken; its threads go with it.

    Raises:
        InvalidBundleError: the path holds no bundle that can be loaded.
        ValueError: the name, the version or the token cannot be one.
    """
    service = Service(
        _loaded(bundle), name=_name(bundle) if name is None else name, version=version,
        limits=limits, log_requests=log_requests,
    )  # fmt: skip
    return make_app(service, None if token is None else Token(token))


def serve(
    bundle: ServedBundle | StrPath,
    *,
    name: str | None = None,
    version: str = "1",
    limits: Limits | None = None,
    options: Options | None = None,
    preload: bool = True,
    log_requests: bool = False,
    listening: Listening | None = None,
) -> None:
    """Serve a bundle over REST and gRPC until SIGTERM or SIGINT.

    What has been taken by then is answered.

    Args:
        bundle: as for `app`.
        name: as for `app`.
        version: as for `app`.
        limits: as for `app`.
        options: ports, TLS, token, and how the process ends.
        preload: load all programs first; else each is loaded when it is first asked for.
        log_requests: as for `app`.
        listening: told the model's name and where the server listens, once it does.

    Raises:
        BundleError: the bundle, or one of its programs, cannot be loaded.
        ValueError: the name or the version cannot be one.
        StartError: a port is taken, or the certificate cannot be used.
    """
    options = options or Options()
    service = Service(
        _loaded(bundle), name=_name(bundle) if name is None else name, version=version,
        limits=limits, log_requests=log_requests,
    )  # fmt: skip
    if preload:
        service.preload()
    run(service, options, listening)


def _loaded(bundle: ServedBundle | StrPath) -> ServedBundle:
    return Bundle.load(bundle) if isinstance(bundle, (str, os.PathLike)) else bundle


def _name(bundle: ServedBundle | StrPath) -> str:
    path = bundle.path if isinstance(bundle, Bundle) else bundle
    return Path(path).stem if isinstance(path, (str, os.PathLike)) else "model"
