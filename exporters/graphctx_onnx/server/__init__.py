"""Serves a bundle over the Open Inference Protocol v2: REST and gRPC.

`app` is an ASGI application for any server that runs such; `serve` runs it with uvicorn, beside
gRPC, until the process is told to stop. Neither imports graphctx or onnx.
"""

try:
    from graphctx_onnx.server.application import app, serve
    from graphctx_onnx.server.limits import Limits
    from graphctx_onnx.server.process import Address, Options, StartError
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"the server needs {error.name}, which is not installed: pip install 'graphctx[serve]'",
        name=error.name,
    ) from error

__all__ = ["Address", "Limits", "Options", "StartError", "app", "serve"]
