"""The servers that `benchmarks.serving` compares, each a process: prints its ports as JSON.

python -m benchmarks.serving_peers bare|ours|kserve model.bundle ROWS
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any

import numpy as np


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _print(**places: int) -> None:
    print(json.dumps(places), flush=True)


def _session(path: str) -> Any:
    """The program of the default context, in the same session that the server has."""
    from graphctx_onnx.runtime import Bundle

    return Bundle.load(path, threads=1).session()


def bare(path: str, _: int) -> None:
    """Starlette and uvicorn around `session.run`."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    session = _session(path)

    async def infer(request: Request) -> Response:
        x = np.frombuffer(await request.body(), np.float32).reshape(1, -1)
        [y] = session.run(["output"], {"x": x})
        return Response(y.tobytes(), media_type="application/octet-stream")

    app = Starlette(routes=[Route("/v2/models/mlp/infer", infer, methods=["POST"])])
    port = _free_port()
    _print(http=port)
    uvicorn.run(app, port=port, http="httptools", access_log=False, log_level="error")


def ours(path: str, rows: int) -> None:
    """`graphctx serve`, which merges requests up to some rows."""
    from graphctx_onnx.runtime import Bundle
    from graphctx_onnx.server import Limits, Options, serve

    def listening(_: str, addresses: Any) -> None:
        http, grpc = addresses
        _print(http=http.port, grpc=grpc.port)

    serve(
        Bundle.load(path, threads=1), name="mlp", limits=Limits(batch=rows),
        options=Options(http_port=0, grpc_port=0, log_level="error"), listening=listening,
    )  # fmt: skip


def kserve(path: str, _: int) -> None:
    """KServe's model server around the same session."""
    import kserve

    session = _session(path)

    class Mlp(kserve.Model):
        """The program as a model of KServe."""

        def load(self) -> bool:
            self.ready = True
            return self.ready

        def predict(self, payload: Any, *_: Any, **__: Any) -> Any:
            [y] = session.run(["output"], {"x": payload.inputs[0].as_numpy()})
            output = kserve.InferOutput("output", list(y.shape), "FP32")
            output.set_data_from_numpy(y, binary_data=True)
            return kserve.InferResponse(payload.id, "mlp", [output])

    model = Mlp("mlp")
    model.load()
    port = _free_port()
    server = kserve.ModelServer(http_port=port, enable_grpc=False, workers=1)
    _print(http=port)
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # nobody reads the four lines that it logs for each request
        os.dup2(null, stream)
    server.start([model])


if __name__ == "__main__":
    {"bare": bare, "ours": ours, "kserve": kserve}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
